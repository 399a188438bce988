//! Guesses about numbers of rows, from what ANALYZE TABLE has counted.
//!
//! ```text
//! rows that an access reads (`Choice::rows`) × part that the other conditions keep = rows of a scan
//! ```
//!
//! A column with one value keeps one of as many rows as it has distinct values; every other condition keeps a third. Conditions are
//! taken to have nothing to do with each other.
//!
//! Invariant: without statistics about a table there is no guess, and the planner keeps to its rules.

use crate::access::Choice;
use crate::catalog::{IndexDef, TableDef};
use crate::context::EvalContext;
use crate::expr::Expr;
use std::collections::BTreeSet;

/// What a condition keeps of which nothing is known.
const UNKNOWN_PART: f64 = 1.0 / 3.0;

/// Which part of the rows that an access reads the conjuncts keep; `None` without statistics.
pub(super) fn kept(
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
pub(super) fn per_key(
    table: &TableDef,
    index: &IndexDef,
    columns: usize,
    ctx: &EvalContext,
) -> Option<u64> {
    let known = ctx.statistics.get(&table.id)?;
    let distinct = known.distinct(index, columns)?;
    Some(known.rows.div_ceil(distinct.max(1)).max(1))
}
