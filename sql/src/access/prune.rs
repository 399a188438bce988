//! Which partitions can hold the rows that a condition wants.
//!
//! ```text
//! all columns known    the method itself: the partitions of these values
//! bounds of one        RANGE and LIST of the column, of the first of several, or of a function that grows with it
//! anything else        all partitions
//! ```
//!
//! Invariant: no partition is left out that holds a row which all conjuncts accept.
//!
//! Not here: what conjuncts say about columns (`term`).

use super::POINTS_MAX;
use super::term::{Range, Terms};
use crate::Result;
use crate::catalog::TableDef;
use crate::catalog::partition::{
    Edge, Monotone, MonotoneKind, PartitionFunction, Partitioning, edge_of, edge_of_number,
};
use crate::value::Value;
use std::collections::BTreeSet;

/// TO_SECONDS() of a date whose month and day are 0 is at most so far before that of any earlier date.
const ZERO_PARTS_SECONDS: i128 = 63 * 24 * 3600;

/// Positions of the partitions to be read, ascending; only of those that the statement has named.
pub(super) fn partitions(
    table: &TableDef,
    partitioning: &Partitioning,
    terms: &Terms,
) -> Result<Vec<usize>> {
    let all = 0..partitioning.partitions.len();
    let wanted = match of_points(table, partitioning, terms)? {
        Some(wanted) => wanted,
        None => match of_bounds(table, partitioning, terms)? {
            Some(spans) => {
                let is_wanted =
                    |position: &usize| spans.iter().any(|span| span.meets(partitioning, *position));
                all.filter(is_wanted).collect()
            }
            None => all.collect(),
        },
    };
    Ok(wanted.into_iter().filter(|position| partitioning.is_selected(*position)).collect())
}

/// The partitions of single values, when all columns that choose one are known.
fn of_points(
    table: &TableDef,
    partitioning: &Partitioning,
    terms: &Terms,
) -> Result<Option<BTreeSet<usize>>> {
    let mut rows = vec![vec![Value::Null; table.columns.len()]];
    for column in partitioning.columns() {
        let Some(points) = terms.points.get(column) else { return Ok(None) };
        if rows.len() * points.values.len() > POINTS_MAX {
            return Ok(None);
        }
        let mut longer = Vec::with_capacity(rows.len() * points.values.len());
        for row in &rows {
            for value in &points.values {
                let mut row = row.clone();
                row[*column].clone_from(value);
                longer.push(row);
            }
        }
        rows = longer;
    }
    let mut wanted = BTreeSet::new();
    for row in &rows {
        wanted.extend(partitioning.find(&table.columns, row)?);
    }
    Ok(Some(wanted))
}

/// What the first compared value lies in.
struct Span {
    /// The lowest one, and whether it is inside; NULL stands below all when it is `None`.
    lower: Option<(Edge, bool)>,
    /// The highest one, and whether it is inside.
    upper: Option<(Edge, bool)>,
    /// Whether NULL is among the values although they are bounded: of some functions, a date that no calendar has.
    with_null: bool,
}

impl Span {
    /// Whether a partition of RANGE or LIST can hold a value of it.
    fn meets(&self, partitioning: &Partitioning, position: usize) -> bool {
        if let Some(bounds) = partitioning.bounds() {
            let starts = position.checked_sub(1).map(|before| &bounds[before]);
            return self.meets_range(starts, &bounds[position])
                || (self.with_null && position == 0);
        }
        let Some(values) = partitioning.values() else { return true };
        let null = edge_of_number(None);
        let mut own = values.iter().filter(|(_, owner)| **owner == position);
        own.any(|(value, _)| {
            value.first().is_some_and(|first| {
                self.holds(first) || (self.with_null && value.len() == 1 && *first == null)
            })
        })
    }

    /// Whether a value can lie from `start` to `end`, which is left out. Of several columns only the first is looked at.
    fn meets_range(&self, start: Option<&Vec<Edge>>, end: &[Edge]) -> bool {
        // With further columns, the end's own first value can be in the partition.
        let several = end.len() > 1;
        let ends_after = match (&self.lower, end.first()) {
            (Some((lower, true)), Some(end)) if several => end >= lower,
            (Some((lower, _)), Some(end)) => end > lower,
            _ => true,
        };
        let starts_before = match (&self.upper, start.and_then(|start| start.first())) {
            (Some((upper, true)), Some(start)) => start <= upper,
            (Some((upper, false)), Some(start)) => start < upper,
            _ => true,
        };
        ends_after && starts_before
    }

    fn holds(&self, value: &Edge) -> bool {
        let above = self.lower.as_ref().is_none_or(|(lower, inside)| match inside {
            true => value >= lower,
            false => value > lower,
        });
        let below = self.upper.as_ref().is_none_or(|(upper, inside)| match inside {
            true => value <= upper,
            false => value < upper,
        });
        above && below
    }
}

/// Whether a date has a month or a day that is 0.
fn has_zero_part(value: &Value) -> bool {
    match value {
        Value::Date(date) => date.has_zero_part(),
        Value::DateTime(moment) => moment.date().has_zero_part(),
        _ => false,
    }
}

/// What the bounds of a column leave of the first compared value.
fn of_bounds(
    table: &TableDef,
    partitioning: &Partitioning,
    terms: &Terms,
) -> Result<Option<Vec<Span>>> {
    if !partitioning.method.has_values() {
        return Ok(None);
    }
    if let Some(function) = partitioning.method.function() {
        let Some(monotone) = function.monotone() else { return Ok(None) };
        return match terms.ranges.get(&monotone.column) {
            Some(range) => {
                of_function(table, function, monotone, range).map(|span| Some(vec![span]))
            }
            None => Ok(None),
        };
    }
    let Some(first) = partitioning.method.listed_columns().first() else { return Ok(None) };
    let ty = &table.columns[*first].ty;
    if let Some(points) = terms.points.get(first) {
        let span = |value: &Value| {
            let edge = edge_of(value, ty);
            let ends = Some((edge, true));
            Span { lower: ends.clone(), upper: ends, with_null: false }
        };
        return Ok(Some(points.values.iter().map(span).collect()));
    }
    let Some(range) = terms.ranges.get(first) else { return Ok(None) };
    let lower = range.lower.as_ref().map(|(value, closed)| (edge_of(value, ty), *closed));
    let upper = range.upper.as_ref().map(|(value, closed)| (edge_of(value, ty), *closed));
    Ok(Some(vec![Span { lower, upper, with_null: false }]))
}

/// The values of a function that grows with its column, for a range of the column.
fn of_function(
    table: &TableDef,
    function: &PartitionFunction,
    monotone: Monotone,
    range: &Range,
) -> Result<Span> {
    let value_at = |value: &Value| {
        // Such dates do not stand in the order of the days.
        if has_zero_part(value) {
            return Ok(None);
        }
        let mut row = vec![Value::Null; table.columns.len()];
        row[monotone.column].clone_from(value);
        function.value(&row)
    };
    let is_column = monotone.kind == MonotoneKind::Column;
    let lower = match &range.lower {
        // An integer above 9 is at least 10.
        Some((value, closed)) => {
            value_at(value)?.map(|number| if is_column && !closed { number + 1 } else { number })
        }
        None => None,
    };
    let upper = match &range.upper {
        Some((value, closed)) => {
            let reached = *closed || !(is_column || monotone.kind.begins_at(value));
            value_at(value)?.map(|number| (edge_of_number(Some(number)), reached))
        }
        None => None,
    };
    let is_dated = monotone.kind == MonotoneKind::DatedSecond;
    let lower = lower.map(|number| if is_dated { number - ZERO_PARTS_SECONDS } else { number });
    let lower = lower.map(|number| (edge_of_number(Some(number)), true));
    let with_null = is_dated || monotone.kind == MonotoneKind::Day;
    Ok(Span { lower, upper, with_null })
}
