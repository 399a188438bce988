//! AUTO_INCREMENT values and hidden row ids: ranges that a node takes from a counter of the meta shard.
//!
//! ```text
//! counter (meta shard): 8192        highest value any node may hand out
//! node 1: 17..=4096                 values it still has
//!         └─ 17..=19                reserved by a statement with three rows
//! node 2: 4100..=8192
//! ```
//!
//! Invariants:
//! 1. A value is in the range of at most one node, and of at most one statement.
//! 2. Values of one node rise; values of several nodes interleave in batches, and a restart leaves a gap.
//!    MySQL promises no more either (`innodb_autoinc_lock_mode=2`).
//! 3. The rows of one INSERT … VALUES get values that follow each other, up to one given by hand between them: drivers
//!    count on from LAST_INSERT_ID().
//! 4. A value given by hand lifts the counter when it is above it. When it lies in another node's range,
//!    that node meets a duplicate key, throws its range away and takes another value.
//!
//! A batch that is used up soon is followed by a larger one (`base::limits`), so that the meta shard is no hot spot.
//!
//! `ALTER TABLE … AUTO_INCREMENT = n` is in the definition: a node passes over values below it, and goes on
//! with its range when it is above it.

use crate::catalog::{TableDef, store};
use crate::context::{EvalContext, Scope};
use crate::value::Value;
use crate::{Error, Result};
use base::limits::{
    AUTO_INCREMENT_BATCH, AUTO_INCREMENT_BATCH_GROWTH, AUTO_INCREMENT_BATCH_LIFE,
    AUTO_INCREMENT_BATCH_LIFE_MAX, AUTO_INCREMENT_BATCH_MAX,
};
use base::{SharedClock, TableId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use txn::ShardClient;

/// A batch is at most this part of what the column's type can hold.
const SMALL_TYPE_PARTS: u64 = 256;

/// Which counter of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counter {
    /// AUTO_INCREMENT.
    AutoIncrement,
    /// Hidden row ids.
    RowId,
}

impl Counter {
    /// The lowest value that a table's definition allows.
    fn lowest(self, table: &TableDef) -> u64 {
        match self {
            Counter::AutoIncrement => table.auto_increment_start.max(1),
            Counter::RowId => 1,
        }
    }

    /// How many values a node takes at most: of a small type only a small part, so that every node gets some.
    fn batch_max(self, table: &TableDef) -> u64 {
        let column = table.columns.iter().find(|column| column.auto_increment);
        match (self, column) {
            (Counter::AutoIncrement, Some(column)) => {
                let largest = u64::try_from(column.ty.integer_range().1).unwrap_or(u64::MAX);
                (largest / SMALL_TYPE_PARTS).clamp(1, AUTO_INCREMENT_BATCH_MAX)
            }
            _ => AUTO_INCREMENT_BATCH_MAX,
        }
    }
}

/// Which numbers are handed out: `auto_increment_offset`, and every `auto_increment_increment`-th after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    increment: u64,
    offset: u64,
}

impl Steps {
    /// Every number.
    pub(crate) const ONE: Steps = Steps { increment: 1, offset: 1 };

    /// Steps of these variables. An offset above the increment is ignored, as in MySQL.
    fn new(increment: u64, offset: u64) -> Steps {
        let increment = increment.max(1);
        let offset = if (1..=increment).contains(&offset) { offset } else { 1 };
        Steps { increment, offset }
    }

    /// What the session's variables say.
    pub(crate) fn of(ctx: &EvalContext) -> Steps {
        let number = |name: &str| match ctx.vars.system(Some(Scope::Session), name) {
            Ok(Value::UInt(number)) => number,
            Ok(_) | Err(_) => 1,
        };
        Steps::new(number("auto_increment_increment"), number("auto_increment_offset"))
    }

    /// The first number that is not below `value`.
    fn at_or_after(self, value: u128) -> u128 {
        let (increment, offset) = (u128::from(self.increment), u128::from(self.offset));
        value.saturating_sub(offset).div_ceil(increment) * increment + offset
    }

    /// From one number to the next.
    fn distance(self) -> u128 {
        u128::from(self.increment)
    }

    /// The length of any stretch that has so many of the numbers.
    fn span(self, count: u64) -> u64 {
        count.saturating_mul(self.increment)
    }
}

/// Values a node still has.
#[derive(Clone, Copy, Debug)]
struct Range {
    /// The next one; one more than the largest number when the last has been handed out.
    next: u128,
    /// The last one, included.
    last: u128,
    /// How many were to be taken with the last batch of it.
    batch: u64,
    /// Monotonic time at which that was.
    fetched_at: Duration,
}

impl Range {
    /// Takes values that follow each other, none below `lowest`; `None` when it has not so many.
    fn take(&mut self, count: u64, lowest: u64, steps: Steps) -> Option<Reserved> {
        let first = steps.at_or_after(self.next.max(u128::from(lowest)));
        let last = first + u128::from(count.saturating_sub(1)) * steps.distance();
        if last > self.last {
            return None;
        }
        self.next = last + 1;
        Some(Reserved { next: first, last })
    }
}

/// Values that a statement has taken and not used yet.
#[derive(Clone, Copy, Debug)]
struct Reserved {
    /// The next one.
    next: u128,
    /// The last one, included.
    last: u128,
}

impl Reserved {
    /// The next one.
    fn take(&mut self, steps: Steps) -> Option<u64> {
        if self.next > self.last {
            return None;
        }
        let value = u64::try_from(self.next).ok()?;
        self.next += steps.distance();
        Some(value)
    }

    /// Passes over a value that was given by hand, and over those below it.
    fn pass(&mut self, value: u64, steps: Steps) {
        self.next = self.next.max(steps.at_or_after(u128::from(value) + 1));
    }
}

/// AUTO_INCREMENT values of one statement.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// Rows from the present one on that may ask for a value; 0 where that is not known.
    pub(crate) rows_left: u64,
    /// The last one that was given by hand.
    last_given: Option<u64>,
    /// The largest one given by hand that the counter was not told of yet.
    untold: Option<u64>,
    /// Values for the rows that are left.
    reserved: Option<Reserved>,
}

impl Numbers {
    /// Takes notice of a value that was given by hand.
    pub(crate) fn give(&mut self, value: u64) {
        self.last_given = Some(value);
        self.lift(value);
    }

    /// Takes notice of a value that a row got by an assignment: it is no new row's.
    pub(crate) fn lift(&mut self, value: u64) {
        // 0 is below every value.
        self.untold = self.untold.max(Some(value).filter(|value| *value > 0));
    }

    /// The last value that a new row was given by hand.
    pub(crate) fn last_given(&self) -> Option<u64> {
        self.last_given
    }
}

/// The ranges of a node.
pub(crate) struct AutoIncrement {
    /// The way to the meta shard.
    client: Arc<dyn ShardClient>,
    /// How long a batch lasts.
    clock: SharedClock,
    /// By table and counter.
    ranges: Mutex<BTreeMap<(TableId, Counter), Range>>,
    /// Held while a range is fetched, so that many sessions fetch one.
    fetching: tokio::sync::Mutex<()>,
}

impl AutoIncrement {
    /// No ranges yet.
    pub(crate) fn new(client: Arc<dyn ShardClient>, clock: SharedClock) -> AutoIncrement {
        let (ranges, fetching) = (Mutex::default(), tokio::sync::Mutex::new(()));
        AutoIncrement { client, clock, ranges, fetching }
    }

    /// The next AUTO_INCREMENT value for a statement.
    pub(crate) async fn generate(
        &self,
        table: &TableDef,
        steps: Steps,
        numbers: &mut Numbers,
    ) -> Result<u64> {
        if let Some(given) = numbers.untold.take() {
            self.seen(table, given).await?;
            if let Some(reserved) = &mut numbers.reserved {
                reserved.pass(given, steps);
            }
        }
        if let Some(value) = numbers.reserved.as_mut().and_then(|reserved| reserved.take(steps)) {
            return Ok(value);
        }
        let count = numbers.rows_left.max(1);
        let mut reserved = self.reserve(table, Counter::AutoIncrement, count, steps).await?;
        let value = reserved.take(steps).ok_or_else(Error::auto_increment_failed)?;
        numbers.reserved = Some(reserved);
        Ok(value)
    }

    /// The next hidden row id.
    pub(crate) async fn next_row_id(&self, table: &TableDef) -> Result<u64> {
        let mut reserved = self.reserve(table, Counter::RowId, 1, Steps::ONE).await?;
        reserved.take(Steps::ONE).ok_or_else(Error::auto_increment_failed)
    }

    /// Ends a statement: tells the counter of values given by hand, and gives back what was reserved for rows that had
    /// values, unless others have taken more meanwhile.
    pub(crate) async fn settle(&self, table: &TableDef, numbers: &mut Numbers) -> Result<()> {
        if let Some(reserved) = numbers.reserved.take()
            && reserved.next <= reserved.last
            && let Some(range) = self.ranges.lock().get_mut(&(table.id, Counter::AutoIncrement))
            && range.next == reserved.last + 1
        {
            range.next = reserved.next;
        }
        match numbers.untold.take() {
            Some(given) => self.seen(table, given).await,
            None => Ok(()),
        }
    }

    /// Takes notice of a value that was given by hand.
    pub(crate) async fn seen(&self, table: &TableDef, value: u64) -> Result<()> {
        if self.pass(table.id, value) {
            return Ok(());
        }
        let _one = self.fetching.lock().await;
        if self.pass(table.id, value) {
            return Ok(());
        }
        let range = self.fetch(table, Counter::AutoIncrement, value, 0).await?;
        self.ranges.lock().insert((table.id, Counter::AutoIncrement), range);
        Ok(())
    }

    /// Passes over a value and those below it; `false` when it is above the node's range.
    fn pass(&self, table: TableId, value: u64) -> bool {
        let mut ranges = self.ranges.lock();
        match ranges.get_mut(&(table, Counter::AutoIncrement)) {
            Some(range) if u128::from(value) <= range.last => {
                range.next = range.next.max(u128::from(value) + 1);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Takes values that follow each other, fewer only when the counter comes to its end.
    async fn reserve(
        &self,
        table: &TableDef,
        counter: Counter,
        count: u64,
        steps: Steps,
    ) -> Result<Reserved> {
        let (key, lowest) = ((table.id, counter), counter.lowest(table));
        let take = || self.ranges.lock().get_mut(&key)?.take(count, lowest, steps);
        if let Some(reserved) = take() {
            return Ok(reserved);
        }
        let _one = self.fetching.lock().await;
        if let Some(reserved) = take() {
            return Ok(reserved);
        }
        let mut range = self.fetch(table, counter, 0, steps.span(count)).await?;
        let mut ranges = self.ranges.lock();
        if let Some(before) = ranges.get(&key)
            && range.next == before.last + 1
        {
            // No other node came between: what is left of the old batch is not lost.
            range.next = before.next;
        }
        let reserved = range.take(count, lowest, steps).or_else(|| range.take(1, lowest, steps));
        ranges.insert(key, range);
        reserved.ok_or_else(Error::auto_increment_failed)
    }

    /// Takes a new batch from the counter: of values above `at_least`, and at least `span` of them.
    async fn fetch(
        &self,
        table: &TableDef,
        counter: Counter,
        at_least: u64,
        span: u64,
    ) -> Result<Range> {
        let at_least = at_least.max(counter.lowest(table) - 1);
        let key = store::auto_increment_key(table.id, counter == Counter::RowId);
        let fetched_at = self.clock.monotonic();
        let batch = self.next_batch(table, counter, fetched_at);
        let wanted = batch.max(span).min(u64::MAX - at_least);
        let (before, by) = match store::bump(&self.client, key.clone(), wanted, at_least).await {
            Err(error) if error.code == Error::too_large("").code => {
                // Near the end of BIGINT UNSIGNED a whole batch does not fit: take what is left.
                let left = u64::MAX - store::bump(&self.client, key.clone(), 0, at_least).await?;
                let taken = store::bump(&self.client, key, left, at_least).await;
                (taken.map_err(|_| Error::auto_increment_failed())?, left)
            }
            before => (before?, wanted),
        };
        let before = u128::from(before);
        let last = (before + u128::from(by)).min(u128::from(u64::MAX));
        Ok(Range { next: before + 1, last, batch, fetched_at })
    }

    /// How many values are taken next, by how long the last batch has lasted.
    fn next_batch(&self, table: &TableDef, counter: Counter, now: Duration) -> u64 {
        let before = self.ranges.lock().get(&(table.id, counter)).copied();
        let batch = before.map_or(AUTO_INCREMENT_BATCH, |range| {
            let lasted = now.saturating_sub(range.fetched_at);
            if lasted < AUTO_INCREMENT_BATCH_LIFE {
                range.batch.saturating_mul(AUTO_INCREMENT_BATCH_GROWTH)
            } else if lasted > AUTO_INCREMENT_BATCH_LIFE_MAX {
                (range.batch / AUTO_INCREMENT_BATCH_GROWTH).max(AUTO_INCREMENT_BATCH)
            } else {
                range.batch
            }
        });
        batch.min(counter.batch_max(table))
    }

    /// Throws the ranges of a table away.
    pub(crate) fn forget(&self, table: TableId) {
        let mut ranges = self.ranges.lock();
        ranges.remove(&(table, Counter::AutoIncrement));
        ranges.remove(&(table, Counter::RowId));
    }

    /// The next value that this node would hand out, as people see it.
    pub(crate) async fn peek(&self, table: &TableDef) -> Result<u64> {
        if let Some(next) = self.next_here(table) {
            return Ok(next);
        }
        let key = store::auto_increment_key(table.id, false);
        let highest = store::bump(&self.client, key, 0, 0).await?;
        Ok(next_above(table, highest))
    }

    /// The same for many tables: of those that have the column, by the counters of all.
    pub(crate) async fn peek_all(
        &self,
        tables: &[Arc<TableDef>],
    ) -> Result<BTreeMap<TableId, u64>> {
        let generates = |table: &&Arc<TableDef>| table.auto_increment().is_some();
        if !tables.iter().any(|table| generates(&table)) {
            return Ok(BTreeMap::new());
        }
        let counters = store::auto_increment_counters(&self.client).await?;
        let next = |table: &TableDef| {
            let highest = counters.get(&table.id).copied().unwrap_or(0);
            self.next_here(table).unwrap_or_else(|| next_above(table, highest))
        };
        Ok(tables.iter().filter(generates).map(|table| (table.id, next(table))).collect())
    }

    /// The next value of the node's range, while it has one.
    fn next_here(&self, table: &TableDef) -> Option<u64> {
        let ranges = self.ranges.lock();
        let range = ranges.get(&(table.id, Counter::AutoIncrement))?;
        let next = range.next.max(u128::from(Counter::AutoIncrement.lowest(table)));
        if next > range.last { None } else { u64::try_from(next).ok() }
    }
}

/// The first value above the counter that a table's definition allows.
fn next_above(table: &TableDef, highest: u64) -> u64 {
    highest.saturating_add(1).max(Counter::AutoIncrement.lowest(table))
}

impl std::fmt::Debug for AutoIncrement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AutoIncrement").field("ranges", &self.ranges.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_meet_their_offset_and_go_on_by_the_increment() {
        let from = |value| Steps::new(5, 3).at_or_after(value);
        assert_eq!([from(0), from(3), from(4), from(8), from(9)], [3, 3, 8, 8, 13]);
        assert_eq!(Steps::new(2, 7), Steps::new(2, 1));
        assert_eq!(Steps::ONE.at_or_after(17), 17);
    }

    #[test]
    fn a_range_is_cut_below_and_never_left() {
        let mut range = Range { next: 5, last: 20, batch: 20, fetched_at: Duration::ZERO };
        let taken = range.take(3, 10, Steps::ONE).map(|taken| (taken.next, taken.last));
        assert_eq!((taken, range.next), (Some((10, 12)), 13));
        assert!(range.take(2, 1, Steps::new(10, 10)).is_none());
        let taken = range.take(1, 1, Steps::new(10, 10)).map(|taken| taken.next);
        assert_eq!((taken, range.next), (Some(20), 21));
        assert!(range.take(1, 1, Steps::ONE).is_none());
    }
}
