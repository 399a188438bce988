//! Dropped tables and partitions whose rows may still be there: what the meta shard remembers of them.
//!
//! ```text
//! table 103  (table id) → record      DROP, TRUNCATE ──> record ──> slots without any row are added ──> all: no record
//! ```
//!
//! Shards come and go with splits and merges, so a record has slots. Slots that have been found empty stay so: nobody writes
//! rows of the table any more, and whoever takes slots over takes what their owner had.
//!
//! A sequence has no rows, but a record all the same. With the record go the counters that stand under its id, unless a table
//! has the id still: that of the first rows of a table is the table's own, and they are dropped with a new sharding key.
//!
//! Invariants:
//! 1. A record goes only when all slots were found empty.
//! 2. Counters go in the transaction in which the record goes: they are not left behind, and not looked for again.
//!
//! Not here: the removal (`server`), and how long rows are kept for readers of the past.

use super::store::{drop_counters, meta_key, scan_table};
use crate::{Error, Result};
use base::{SlotRange, TableId, Timestamp};
use bytes::Bytes;
use engine::key::KeyReader;
use prost::Message;
use std::collections::BTreeSet;
use std::sync::Arc;
use txn::command::Expect;
use txn::transaction::Mode;
use txn::{ShardClient, Transaction};

const DROPPED: TableId = TableId(103);

/// The record.
#[derive(Clone, PartialEq, Message)]
struct DroppedRecord {
    /// `database.table`, and the partition, for people.
    #[prost(string, tag = "1")]
    name: String,
    /// When it was dropped.
    #[prost(uint64, tag = "2")]
    dropped_unix: u64,
    /// Slots without any of its rows, ascending, no two of them touching.
    #[prost(message, repeated, tag = "3")]
    empty: Vec<SlotsRecord>,
}

/// Some slots.
#[derive(Clone, PartialEq, Message)]
struct SlotsRecord {
    #[prost(uint32, tag = "1")]
    start: u32,
    /// The slot after the last.
    #[prost(uint32, tag = "2")]
    end: u32,
}

impl DroppedRecord {
    fn empty(&self) -> Vec<SlotRange> {
        let ranges = self.empty.iter();
        ranges.map(|slots| SlotRange { start: slots.start, end: slots.end }).collect()
    }
}

/// A dropped table, or partition of one, with rows that may still be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedTable {
    /// The id that its keys begin with.
    pub id: TableId,
    /// Its name, for people.
    pub name: String,
    /// Slots that were found empty.
    empty: Vec<SlotRange>,
}

impl DroppedTable {
    /// Whether these slots are known to have none of its rows.
    pub fn is_gone_from(&self, slots: SlotRange) -> bool {
        self.empty.iter().any(|empty| empty.start <= slots.start && slots.end <= empty.end)
    }
}

fn dropped_key(id: TableId) -> Bytes {
    meta_key(DROPPED, |key| key.put_u64(u64::from(id.0)))
}

fn corrupt() -> Error {
    Error::storage("corrupt record of a dropped table")
}

/// Remembers that the rows under an id are to be removed.
pub(super) fn put(
    txn: &mut Transaction,
    id: TableId,
    name: String,
    dropped_unix: u64,
) -> Result<()> {
    let dropped = DroppedRecord { name, dropped_unix, empty: Vec::new() };
    Ok(txn.put(dropped_key(id), dropped.encode_to_vec(), Expect::Any)?)
}

async fn scan(txn: &mut Transaction) -> Result<Vec<DroppedTable>> {
    scan_table(txn, DROPPED, |key, value| {
        let id = KeyReader::new(key).and_then(|mut key| key.take_u64()).map_err(|_| corrupt())?;
        let id = id.and_then(|id| u32::try_from(id).ok()).ok_or_else(corrupt)?;
        let record = DroppedRecord::decode(value).map_err(|_| corrupt())?;
        let empty = record.empty();
        Ok(DroppedTable { id: TableId(id), name: record.name, empty })
    })
    .await
}

/// The tables that were dropped before a point and may have rows.
pub(crate) async fn before(
    client: &Arc<dyn ShardClient>,
    point: Timestamp,
) -> Result<Vec<DroppedTable>> {
    let mut now = Transaction::begin(client.clone(), Mode::Snapshot);
    let mut dropped = scan(&mut now).await?;
    if !dropped.is_empty() {
        let mut then = Transaction::at(client.clone(), point).await?;
        let then = scan(&mut then).await?;
        let then: BTreeSet<TableId> = then.into_iter().map(|table| table.id).collect();
        dropped.retain(|table| then.contains(&table.id));
    }
    Ok(dropped)
}

/// Notes that slots have no row of a dropped table; forgets it once that is so of all.
pub(crate) async fn note_empty(
    client: &Arc<dyn ShardClient>,
    id: TableId,
    slots: SlotRange,
) -> Result<()> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    let key = dropped_key(id);
    let Some(bytes) = txn.get(&key).await? else { return Ok(()) };
    let record = DroppedRecord::decode(&bytes[..]).map_err(|_| corrupt())?;
    let empty = joined(&record.empty(), slots);
    let expect = txn.expect_unchanged(&key);
    if empty == [SlotRange::ALL] {
        txn.delete(key, expect)?;
        drop_counters(&mut txn, id).await?;
    } else {
        let empty = empty.iter().map(|slots| SlotsRecord { start: slots.start, end: slots.end });
        let record = DroppedRecord { empty: empty.collect(), ..record };
        txn.put(key, record.encode_to_vec(), expect)?;
    }
    txn.commit().await?;
    Ok(())
}

/// Ranges and one more, ascending, no two of them touching.
fn joined(ranges: &[SlotRange], added: SlotRange) -> Vec<SlotRange> {
    let mut all: Vec<SlotRange> = ranges.iter().copied().chain([added]).collect();
    all.sort_unstable();
    let mut joined: Vec<SlotRange> = Vec::with_capacity(all.len());
    for range in all {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(start: u32, end: u32) -> SlotRange {
        SlotRange { start, end }
    }

    #[test]
    fn slots_are_joined_where_they_touch() {
        let some = joined(&joined(&[], slots(10, 20)), slots(40, 50));
        assert_eq!(some, [slots(10, 20), slots(40, 50)]);
        assert_eq!(joined(&some, slots(20, 30)), [slots(10, 30), slots(40, 50)]);
        assert_eq!(joined(&some, slots(0, 45)), [slots(0, 50)]);
        assert_eq!(joined(&some, slots(42, 44)), some);
    }

    #[test]
    fn a_table_is_gone_from_slots_when_all_of_them_are_empty() {
        let empty = vec![slots(10, 20), slots(40, 50)];
        let table = DroppedTable { id: TableId(1000), name: String::new(), empty };
        assert!(table.is_gone_from(slots(10, 20)) && table.is_gone_from(slots(41, 42)));
        assert!(!table.is_gone_from(slots(19, 21)) && !table.is_gone_from(slots(10, 50)));
    }
}
