//! Queries of WITH that are read once become a part of what reads them, so that its conditions reach their tables.
//!
//! Invariant: a query stays apart when anything else reads it, or when what reads it runs more than once.

use super::plan::{Plan, Subqueries, Subquery, SubqueryKind, subqueries_of};
use std::collections::BTreeMap;

/// The plan with the named queries in it that nobody else reads.
pub fn inline(mut plan: Plan, subqueries: &Subqueries) -> Plan {
    let mut reads: BTreeMap<usize, usize> = BTreeMap::new();
    let mut seen = vec![false; subqueries.len()];
    count(&plan, subqueries, &mut seen, &mut reads);
    if !reads.is_empty() {
        put(&mut plan, subqueries, &reads);
    }
    plan
}

/// Counts the leaves that read each named query, in a plan and in what it runs.
fn count(
    plan: &Plan,
    subqueries: &Subqueries,
    seen: &mut [bool],
    reads: &mut BTreeMap<usize, usize>,
) {
    let mut numbers = Vec::new();
    if let Plan::Shared { number, .. } = plan {
        *reads.entry(*number).or_default() += 1;
        numbers.push(*number);
    }
    plan.for_each_expr(&mut |expr| numbers.extend(subqueries_of(expr)));
    for number in numbers {
        if !std::mem::replace(&mut seen[number], true) {
            let subquery: &Subquery = &subqueries[number];
            subquery.plans().for_each(|plan| count(plan, subqueries, seen, reads));
        }
    }
    plan.inputs().into_iter().for_each(|input| count(input, subqueries, seen, reads));
}

fn put(plan: &mut Plan, subqueries: &Subqueries, reads: &BTreeMap<usize, usize>) {
    if let Plan::Shared { number, .. } = plan
        && reads.get(number) == Some(&1)
        && matches!(subqueries[*number].kind, SubqueryKind::Table(None))
    {
        *plan = (*subqueries[*number].plan).clone();
        put(plan, subqueries, reads);
        return;
    }
    plan.inputs_mut().into_iter().for_each(|input| put(input, subqueries, reads));
}
