//! AUTO_INCREMENT values and hidden row ids: ranges that a node takes from a counter of the meta shard.
//!
//! ```text
//! counter (meta shard): 8192        highest value any node may hand out
//! node 1: 17..=4096                 values it still has
//! node 2: 4100..=8192
//! ```
//!
//! Invariants:
//! 1. A value is in the range of at most one node.
//! 2. Values of one node rise; values of several nodes interleave in blocks, and a restart leaves a gap.
//!    MySQL promises no more either (`innodb_autoinc_lock_mode=2`).
//! 3. A value given by hand lifts the counter when it is above it. When it lies in another node's range,
//!    that node meets a duplicate key, throws its range away and redoes the statement.

use crate::catalog::{TableDef, store};
use crate::{Error, Result};
use base::TableId;
use base::limits::AUTO_INCREMENT_BATCH;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
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

/// Values a node still has.
#[derive(Clone, Copy, Debug)]
struct Range {
    /// The next one; one more than the largest number when the last has been handed out.
    next: u128,
    /// The last one, included.
    last: u128,
}

/// The ranges of a node.
pub(crate) struct AutoIncrement {
    /// The way to the meta shard.
    client: Arc<dyn ShardClient>,
    /// By table and counter.
    ranges: Mutex<BTreeMap<(TableId, Counter), Range>>,
    /// Held while a range is fetched, so that many sessions fetch one.
    fetching: tokio::sync::Mutex<()>,
}

impl AutoIncrement {
    /// No ranges yet.
    pub(crate) fn new(client: Arc<dyn ShardClient>) -> AutoIncrement {
        AutoIncrement { client, ranges: Mutex::default(), fetching: tokio::sync::Mutex::new(()) }
    }

    /// The next value, when the node has one: the way without waiting.
    pub(crate) fn try_next(&self, table: TableId, counter: Counter) -> Option<u64> {
        let mut ranges = self.ranges.lock();
        let range = ranges.get_mut(&(table, counter))?;
        if range.next > range.last {
            return None;
        }
        let value = u64::try_from(range.next).ok()?;
        range.next += 1;
        Some(value)
    }

    /// The next value; fetches a range when the node has none.
    pub(crate) async fn next(&self, table: &TableDef, counter: Counter) -> Result<u64> {
        loop {
            if let Some(value) = self.try_next(table.id, counter) {
                return Ok(value);
            }
            let _one = self.fetching.lock().await;
            let key = (table.id, counter);
            let has_some = self.ranges.lock().get(&key).is_some_and(|r| r.next <= r.last);
            if !has_some {
                self.fetch(table, counter, 0).await?;
                let left = self.ranges.lock().get(&key).is_some_and(|r| r.next <= r.last);
                if !left {
                    return Err(Error::auto_increment_failed());
                }
            }
        }
    }

    /// Takes notice of a value that was given by hand.
    pub(crate) async fn seen(&self, table: &TableDef, value: u64) -> Result<()> {
        let key = (table.id, Counter::AutoIncrement);
        let is_known = || {
            let mut ranges = self.ranges.lock();
            match ranges.get_mut(&key) {
                Some(range) if u128::from(value) <= range.last => {
                    range.next = range.next.max(u128::from(value) + 1);
                    true
                }
                _ => false,
            }
        };
        if is_known() {
            return Ok(());
        }
        let _one = self.fetching.lock().await;
        if is_known() { Ok(()) } else { self.fetch(table, Counter::AutoIncrement, value).await }
    }

    async fn fetch(&self, table: &TableDef, counter: Counter, at_least: u64) -> Result<()> {
        let start = match counter {
            Counter::AutoIncrement => table.auto_increment_start.saturating_sub(1),
            Counter::RowId => 0,
        };
        let at_least = at_least.max(start);
        let key = store::auto_increment_key(table.id, counter == Counter::RowId);
        let batch = batch_of(table, counter).min(u64::MAX - at_least);
        let (before, by) = match store::bump(&self.client, key.clone(), batch, at_least).await {
            Err(error) if error.code == Error::too_large("").code => {
                // Near the end of BIGINT UNSIGNED a whole batch does not fit: take what is left.
                let left = u64::MAX - store::bump(&self.client, key.clone(), 0, at_least).await?;
                let taken = store::bump(&self.client, key, left, at_least).await;
                (taken.map_err(|_| Error::auto_increment_failed())?, left)
            }
            before => (before?, batch),
        };
        let before = u128::from(before);
        let last = (before + u128::from(by)).min(u128::from(u64::MAX));
        let range = Range { next: before + 1, last };
        self.ranges.lock().insert((table.id, counter), range);
        Ok(())
    }

    /// Throws the ranges of a table away.
    pub(crate) fn forget(&self, table: TableId) {
        let mut ranges = self.ranges.lock();
        ranges.remove(&(table, Counter::AutoIncrement));
        ranges.remove(&(table, Counter::RowId));
    }

    /// The next value that this node would hand out, else the one after the highest any node holds.
    pub(crate) async fn peek(&self, table: &TableDef) -> Result<u64> {
        if let Some(range) = self.ranges.lock().get(&(table.id, Counter::AutoIncrement))
            && range.next <= range.last
        {
            return Ok(u64::try_from(range.next).unwrap_or(u64::MAX));
        }
        let key = store::auto_increment_key(table.id, false);
        let highest = store::bump(&self.client, key, 0, 0).await?;
        Ok(highest.max(table.auto_increment_start.saturating_sub(1)).saturating_add(1))
    }
}

/// How many values a node takes at once: of a small type only a small part, so that every node gets some.
fn batch_of(table: &TableDef, counter: Counter) -> u64 {
    let column = table.columns.iter().find(|column| column.auto_increment);
    match (counter, column) {
        (Counter::AutoIncrement, Some(column)) => {
            let largest = u64::try_from(column.ty.integer_range().1).unwrap_or(u64::MAX);
            (largest / SMALL_TYPE_PARTS).clamp(1, AUTO_INCREMENT_BATCH)
        }
        _ => AUTO_INCREMENT_BATCH,
    }
}

impl std::fmt::Debug for AutoIncrement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AutoIncrement").field("ranges", &self.ranges.lock().len()).finish()
    }
}
