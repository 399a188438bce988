//! Guesses about numbers of rows, from what ANALYZE TABLE has counted.
//!
//! ```text
//! rows that an access reads (`Choice::rows`) × part that the other conditions keep = rows of a scan
//! join by an equality: as many as its larger side has; without one: all pairs
//! ```
//!
//! A column with one value keeps one of as many rows as it has distinct values; every other condition keeps a third. Conditions are
//! taken to have nothing to do with each other.
//!
//! Invariant: without statistics about a table there is no guess, and the planner keeps to its rules.

use super::plan::{Join, JoinKind, Plan, SUBQUERY, Scan};
use crate::Result;
use crate::access::{self, Access, Choice};
use crate::catalog::{IndexDef, TableDef};
use crate::context::EvalContext;
use crate::expr::Expr;
use std::collections::BTreeSet;

/// What a condition keeps of which nothing is known.
const UNKNOWN_PART: f64 = 1.0 / 3.0;

/// Which part of the rows that an access reads the conjuncts keep; `None` without statistics.
pub(crate) fn kept(
    table: &TableDef,
    conjuncts: &[Expr],
    choice: &Choice,
    ctx: &EvalContext,
) -> Option<f64> {
    let known = ctx.statistics.get(&table.id)?;
    let rest = conjuncts.iter().enumerate().filter(|(at, _)| !choice.covered.contains(at));
    let parts = rest.map(|(_, conjunct)| {
        let mut columns = BTreeSet::new();
        conjunct.columns(&mut columns);
        let one = match columns.first() {
            Some(column) if columns.len() == 1 && choice.fixed.contains(column) => *column,
            _ => return UNKNOWN_PART,
        };
        let found = table.columns.get(one).and_then(|column| known.column(column.ordinal));
        found.map_or(UNKNOWN_PART, |found| 1.0 / found.distinct.max(1) as f64)
    });
    Some(parts.product())
}

/// Rows with the same values in the first `columns` columns of an index; `None` without statistics.
pub(crate) fn per_key(
    table: &TableDef,
    index: &IndexDef,
    columns: usize,
    ctx: &EvalContext,
) -> Option<u64> {
    let known = ctx.statistics.get(&table.id)?;
    let distinct = known.distinct(index, columns)?;
    Some(known.rows.div_ceil(distinct.max(1)).max(1))
}

/// Rows that an access reads and conjuncts keep; `None` without statistics.
pub(crate) fn of_choice(
    table: &TableDef,
    conjuncts: &[Expr],
    choice: &Choice,
    ctx: &EvalContext,
) -> Option<f64> {
    let part = kept(table, conjuncts, choice, ctx)?;
    match choice.access {
        Access::Nothing => Some(0.0),
        _ => choice.rows.map(|rows| rows as f64 * part),
    }
}

/// Rows of a plan; `None` when it reads a table without statistics, or it is nothing that can be told.
pub(crate) fn rows(plan: &Plan, ctx: &EvalContext) -> Result<Option<f64>> {
    Ok(match plan {
        Plan::Scan(scan) => rows_of_scan(scan, ctx)?,
        Plan::Filter { input, conjuncts } => {
            let part = UNKNOWN_PART.powf(conjuncts.len() as f64);
            rows(input, ctx)?.map(|rows| rows * part)
        }
        Plan::Project { input, .. } | Plan::Sort { input, .. } | Plan::Window { input, .. } => {
            rows(input, ctx)?
        }
        Plan::Join(join) => rows_of_join(join, ctx)?,
        Plan::OneRow => Some(1.0),
        Plan::Rows { rows, .. } => Some(rows.len() as f64),
        Plan::Shared { .. }
        | Plan::Lateral(_)
        | Plan::Aggregate { .. }
        | Plan::Distinct { .. }
        | Plan::Limit { .. }
        | Plan::Union { .. } => None,
    })
}

fn rows_of_join(join: &Join, ctx: &EvalContext) -> Result<Option<f64>> {
    let Some(left) = rows(&join.left, ctx)? else { return Ok(None) };
    if !join.kind.shows_right() {
        return Ok(Some(left));
    }
    let right = rows(&join.right, ctx)?;
    let pairs = right.map(|right| if join.on.is_empty() { left * right } else { left.max(right) });
    Ok(match join.kind {
        JoinKind::Left => pairs.map(|pairs| pairs.max(left)),
        JoinKind::Inner | JoinKind::Semi | JoinKind::Anti => pairs,
    })
}

/// Rows of a scan. Conditions over values of an enclosing query are left aside.
fn rows_of_scan(scan: &Scan, ctx: &EvalContext) -> Result<Option<f64>> {
    if !ctx.statistics.contains_key(&scan.table.id) {
        return Ok(None);
    }
    let is_known = |conjunct: &&Expr| {
        let mut columns = BTreeSet::new();
        conjunct.columns(&mut columns);
        columns.range(SUBQUERY..).next().is_none()
    };
    let known: Vec<Expr> = scan.conjuncts.iter().filter(is_known).cloned().collect();
    let choice = access::plan(&scan.table, &known, ctx)?;
    Ok(of_choice(&scan.table, &known, &choice, ctx))
}

/// Different values in a column of a scan's output; `None` without statistics.
pub(crate) fn distinct(scan: &Scan, column: usize, ctx: &EvalContext) -> Option<u64> {
    let column = scan.table.columns.get(*scan.columns.get(column)?)?;
    let known = ctx.statistics.get(&scan.table.id)?;
    Some(known.column(column.ordinal)?.distinct)
}
