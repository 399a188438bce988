//! Which rows of its partition a row looks at.
//!
//! ```text
//! ROWS 1 PRECEDING … 1 FOLLOWING      places i-1 ..= i+1
//! RANGE 5 PRECEDING … CURRENT ROW     from the first row whose value is not before (value - 5) to the last peer
//! ```
//!
//! A frame is a range of places, and may be empty. A row whose value is NULL sees its peers at a bound with a distance.

use super::Partition;
use crate::expr::compare;
use crate::planner::plan::{Bound, Frame};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};
use std::cmp::Ordering;
use std::ops::Range;

/// The frames of a partition's rows.
pub(super) struct Frames<'a> {
    frame: &'a Frame,
    partition: &'a Partition,
    types: &'a [SqlType],
}

impl<'a> Frames<'a> {
    pub(super) fn new(
        frame: &'a Frame,
        partition: &'a Partition,
        types: &'a [SqlType],
    ) -> Frames<'a> {
        Frames { frame, partition, types }
    }

    /// The places that the row at a place sees.
    ///
    /// # Errors
    /// 3586 for a distance that is NULL, negative or no whole number of rows.
    pub(super) fn of(&self, at: usize) -> Result<Range<usize>> {
        let start = self.start(at)?;
        let end = self.end(at)?.min(self.partition.rows.len());
        Ok(start.min(end)..end)
    }

    fn start(&self, at: usize) -> Result<usize> {
        Ok(match (self.frame.start, self.frame.rows) {
            (Bound::Unbounded, _) => 0,
            (Bound::Current, true) => at,
            (Bound::Current, false) => self.partition.peers_of(at).start,
            (Bound::Preceding(column), true) => at.saturating_sub(self.distance(at, column)?),
            (Bound::Following(column), true) => at.saturating_add(self.distance(at, column)?),
            (Bound::Preceding(column) | Bound::Following(column), false) => {
                self.first_not_before(at, column)?
            }
        })
    }

    /// The place behind the last one.
    fn end(&self, at: usize) -> Result<usize> {
        Ok(match (self.frame.end, self.frame.rows) {
            (Bound::Unbounded, _) => self.partition.rows.len(),
            (Bound::Current, true) => at + 1,
            (Bound::Current, false) => self.partition.peers_of(at).end,
            (Bound::Preceding(column), true) => (at + 1).saturating_sub(self.distance(at, column)?),
            (Bound::Following(column), true) => (at + 1).saturating_add(self.distance(at, column)?),
            (Bound::Preceding(column) | Bound::Following(column), false) => {
                self.first_behind(at, column)?
            }
        })
    }

    /// A number of rows.
    fn distance(&self, at: usize, column: usize) -> Result<usize> {
        let rows = self.partition.rows[at][column].as_integer();
        let rows = rows.filter(|rows| *rows >= 0).ok_or_else(Error::frame_distance)?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    /// The first place whose value is not before that of a bound.
    fn first_not_before(&self, at: usize, column: usize) -> Result<usize> {
        self.search(at, column, |order| order == Ordering::Less)
            .map(|found| found.unwrap_or(self.partition.peers_of(at).start))
    }

    /// The first place whose value is behind that of a bound.
    fn first_behind(&self, at: usize, column: usize) -> Result<usize> {
        self.search(at, column, |order| order != Ordering::Greater)
            .map(|found| found.unwrap_or(self.partition.peers_of(at).end))
    }

    /// The first place, among rows with values, for whose order relative to the bound `passes` does not hold; `None` for a
    /// row whose value is NULL.
    fn search(
        &self,
        at: usize,
        column: usize,
        passes: impl Fn(Ordering) -> bool,
    ) -> Result<Option<usize>> {
        let (key, descending) = self
            .frame
            .key
            .ok_or_else(|| Error::internal("a frame of values without a value to compare"))?;
        let rows = &self.partition.rows;
        if rows[at][key].is_null() {
            return Ok(None);
        }
        let bound = &rows[at][column];
        if bound.is_null() {
            return Err(Error::frame_distance());
        }
        let ty = &self.types[key];
        // NULLs stand before all values, behind them when the order descends.
        let is_null = |row: &Vec<Value>| row[key].is_null();
        let (first, last) = match descending {
            false => (rows.partition_point(is_null), rows.len()),
            true => (0, rows.partition_point(|row| !is_null(row))),
        };
        let found = rows[first..last].partition_point(|row| {
            let order = compare(&row[key], bound, ty);
            passes(if descending { order.reverse() } else { order })
        });
        Ok(Some(first + found))
    }
}

impl Partition {
    /// The places of a row's peers.
    pub(super) fn peers_of(&self, at: usize) -> Range<usize> {
        let group = self.peers.partition_point(|first| *first <= at);
        let start = self.peers[group.saturating_sub(1)];
        start..self.peers.get(group).copied().unwrap_or(self.rows.len())
    }
}
