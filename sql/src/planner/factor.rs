//! Takes out of an OR what all its branches demand, and what they demand of one input of a join.
//!
//! ```text
//! (a.k = b.k AND b.x = 1) OR (a.k = b.k AND b.x = 2)     factor    a.k = b.k, (b.x = 1 OR b.x = 2)
//! (a.n = 1 AND b.n = 2) OR (a.n = 2 AND b.n = 1)         implied   of a: a.n = 1 OR a.n = 2
//! ```
//!
//! Without this a join whose only condition is an OR has no equality to go by, and pairs every row with every row (TPC-H,
//! query 19).
//!
//! Both hold in three-valued logic: (A AND B) OR (A AND C) is A AND (B OR C), and where a whole is true, so is what each of its
//! branches implies. An implied condition is added; the whole stays.
//!
//! Only conditions that give the same each time they are computed for a row are touched, and none with a subquery.

use super::plan::{Plan, Subqueries, columns_of, subqueries_of};
use crate::binder::rewrite::same;
use crate::expr::{Expr, ExprKind, build};
use base::limits::OR_FACTOR_TERMS_MAX;

/// The plan with what branches share taken out of every OR that filters or joins.
pub fn factor_plan(mut plan: Plan) -> Plan {
    for input in plan.inputs_mut() {
        let inner = std::mem::replace(input, Plan::OneRow);
        *input = factor_plan(inner);
    }
    match &mut plan {
        Plan::Filter { conjuncts, .. } => *conjuncts = factor(std::mem::take(conjuncts)),
        Plan::Join(join) => join.on = factor(std::mem::take(&mut join.on)),
        _ => {}
    }
    plan
}

/// The conditions, with those that all branches of an OR share as conditions of their own.
pub fn factor(conjuncts: Vec<Expr>) -> Vec<Expr> {
    conjuncts.into_iter().flat_map(factor_one).collect()
}

fn factor_one(conjunct: Expr) -> Vec<Expr> {
    let Some(mut branches) = branches_of(&conjunct) else { return vec![conjunct] };
    let first = branches[0].clone();
    let shared: Vec<Expr> = first
        .into_iter()
        .filter(|part| branches[1..].iter().all(|branch| holds(branch, part)))
        .collect();
    if shared.is_empty() {
        return vec![conjunct];
    }
    for branch in &mut branches {
        branch.retain(|part| !holds(&shared, part));
    }
    let mut found = shared;
    // A branch that demands nothing else makes the rest true.
    if branches.iter().all(|branch| !branch.is_empty()) {
        found.push(build::or(branches.into_iter().map(build::and).collect()));
    }
    found
}

/// What ORs among the conditions demand of the rows that `test` names by their columns.
pub fn implied(
    conjuncts: &[Expr],
    subqueries: &Subqueries,
    test: impl Fn(usize) -> bool,
) -> Vec<Expr> {
    let about = |part: &Expr| {
        let columns = columns_of(part, subqueries);
        !columns.is_empty() && columns.into_iter().all(&test)
    };
    let demanded = |conjunct: &Expr| {
        let branches = branches_of(conjunct)?;
        let parts = branches.into_iter().map(|branch| {
            let parts: Vec<Expr> = branch.into_iter().filter(&about).collect();
            (!parts.is_empty()).then(|| build::and(parts))
        });
        Some(build::or(parts.collect::<Option<Vec<Expr>>>()?))
    };
    conjuncts.iter().filter_map(demanded).collect()
}

/// The parts of each branch of an OR; `None` for every other condition, and for one that may not be moved.
fn branches_of(conjunct: &Expr) -> Option<Vec<Vec<Expr>>> {
    let ExprKind::Or(args) = &conjunct.kind else { return None };
    if args.len() > OR_FACTOR_TERMS_MAX
        || !conjunct.is_steady()
        || !subqueries_of(conjunct).is_empty()
    {
        return None;
    }
    let branches: Vec<Vec<Expr>> = args.iter().map(Expr::conjuncts).collect();
    branches.iter().all(|branch| branch.len() <= OR_FACTOR_TERMS_MAX).then_some(branches)
}

/// Whether a condition is among these.
pub fn holds(conjuncts: &[Expr], wanted: &Expr) -> bool {
    conjuncts.iter().any(|own| same(own, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binder::subquery::column_expr;
    use crate::types::SqlType;

    fn column(number: usize) -> Expr {
        column_expr(number, SqlType::boolean(), "")
    }

    #[test]
    fn what_all_terms_have_stands_before_the_or() {
        let term = |other| build::and(vec![column(0), column(other)]);
        let parts = factor_one(build::or(vec![term(1), term(2)]));
        let [common, rest] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        assert!(same(common, &column(0)));
        assert!(same(rest, &build::or(vec![column(1), column(2)])));
    }

    #[test]
    fn a_term_that_is_common_alone_makes_the_or_needless() {
        let both = build::and(vec![column(0), column(1)]);
        let parts = factor_one(build::or(vec![column(0), both]));
        let [common] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        assert!(same(common, &column(0)));
    }

    #[test]
    fn an_or_without_anything_common_stays() {
        let or = build::or(vec![column(0), column(1)]);
        let parts = factor_one(or.clone());
        let [stayed] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        assert!(same(stayed, &or));
    }
}
