//! Broadcast tables: the same rows in several places of the cluster.
//!
//! ```text
//!            slot 0 ─────── 8192 ────── 16384 ── … ── 57344 ──────── 65536
//!  keys      the first copy  the next    the next  …  the last        of a table whose first slot is 0
//!  writes    checked, locked written     written      written         in one transaction
//!  queries   ·               ·           the one on this node
//! ```
//!
//! A copy is a complete set of the table's keys, rows and index entries, in one slot. The slots lie evenly over all slots, so shards
//! that were split evenly have one each; with fewer shards than copies, several are in one shard. Which copy is the first one
//! depends on the table's id, so the first copies of many tables are spread, too.
//!
//! Invariants:
//! 1. Copies differ in the slots of their keys alone: where an entry says in which slot its row is, it names the first copy's.
//! 2. Whoever writes writes all copies, in one transaction. At any point in time all are the same, so a reader may take any.
//! 3. Only the first copy is locked, looked at for duplicates and expected unchanged: a conflict is found there or nowhere.
//! 4. Keys are made for the first copy (`table_codec`); another one's are made of those, here.
//!
//! Not here: reading (`access::read`), the number of copies of a new table (`base::limits::BROADCAST_COPIES`).

use crate::Result;
use crate::catalog::{Sharding, TableDef};
use crate::table_codec::key_in_slot;
use base::{SLOT_COUNT, Slot, SlotFilter, SlotRange};
use bytes::Bytes;
use engine::key::{SLOT_BYTES, slot_of_key};
use txn::command::Expect;
use txn::{ShardClient, Transaction};

/// The slots of a table's copies, the first copy's first; none of a table that is not broadcast.
pub(crate) fn slots(table: &TableDef) -> impl Iterator<Item = Slot> + use<> {
    let copies = match &table.sharding {
        Sharding::Broadcast(copies) => *copies,
        Sharding::Hash(_)
        | Sharding::Single
        | Sharding::Range(_)
        | Sharding::List(_)
        | Sharding::Keys(_) => 0,
    };
    let id = table.id.0;
    (0..copies).map(move |copy| slot_of_copy(id, copy, copies))
}

/// The slot of the copy of this number: part of the disk format.
fn slot_of_copy(id: u32, copy: u32, copies: u32) -> Slot {
    let place = (u64::from(id) + u64::from(copy)) % u64::from(copies);
    Slot((place * u64::from(SLOT_COUNT) / u64::from(copies)) as u16)
}

/// The slots of all copies but the first.
pub(crate) fn others(table: &TableDef) -> impl Iterator<Item = Slot> + use<> {
    slots(table).skip(1)
}

/// Whether a table has copies.
pub(crate) fn is_broadcast(table: &TableDef) -> bool {
    matches!(table.sharding, Sharding::Broadcast(_))
}

/// Whether a key stands for what it names: in the first copy, or in a table without copies.
pub(crate) fn is_first(table: &TableDef, key: &[u8]) -> bool {
    slots(table).next().is_none_or(|first| slot_of_key(key).is_ok_and(|slot| slot == first))
}

/// A key as it is in the copy of this slot.
pub(crate) fn in_slot(key: &[u8], slot: Slot) -> Bytes {
    let columns = &key[..key.len().saturating_sub(SLOT_BYTES)];
    [columns, &slot.0.to_be_bytes()].concat().into()
}

/// The filter that lets pass what is in some slots.
pub(crate) fn only(slots: impl IntoIterator<Item = Slot>) -> SlotFilter {
    let one = |slot: Slot| SlotRange { start: u32::from(slot.0), end: u32::from(slot.0) + 1 };
    SlotFilter::new(slots.into_iter().map(one).collect::<Vec<_>>())
}

/// The slot of the copy that a read takes: `near`, the first one that is read on this node; else, and when none is here, the
/// first of all. `None` for a table without copies.
pub(crate) fn slot_to_read(
    table: &TableDef,
    near: bool,
    client: &dyn ShardClient,
) -> Result<Option<Slot>> {
    if near {
        for slot in slots(table) {
            if client.is_here(client.locate(&key_in_slot(table, slot))?) {
                return Ok(Some(slot));
            }
        }
    }
    Ok(slots(table).next())
}

/// Buffers "set `key` to `value`" in all copies. `key` is the first one's, and `expect` is of that.
///
/// # Errors
/// As [`Transaction::put`].
pub(crate) fn put(
    txn: &mut Transaction,
    table: &TableDef,
    key: Bytes,
    value: Bytes,
    expect: Expect,
) -> txn::Result<()> {
    let copies: Vec<Bytes> = others(table).map(|slot| in_slot(&key, slot)).collect();
    // What the first copy refuses is not in the others either.
    txn.put(key, value.clone(), expect)?;
    copies.into_iter().try_for_each(|copy| txn.put(copy, value.clone(), Expect::Any))
}

/// Buffers "remove `key`" in all copies. `key` is the first one's, and `expect` is of that.
///
/// # Errors
/// As [`Transaction::delete`].
pub(crate) fn delete(
    txn: &mut Transaction,
    table: &TableDef,
    key: Bytes,
    expect: Expect,
) -> txn::Result<()> {
    let copies: Vec<Bytes> = others(table).map(|slot| in_slot(&key, slot)).collect();
    txn.delete(key, expect)?;
    copies.into_iter().try_for_each(|copy| txn.delete(copy, Expect::Any))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::limits::BROADCAST_COPIES;
    use std::collections::BTreeSet;

    #[test]
    fn slots_of_copies_never_change() {
        // Part of the disk format: a change here would lose every row of a broadcast table.
        let of = |id| (0..4).map(|copy| slot_of_copy(id, copy, 4).0).collect::<Vec<_>>();
        assert_eq!(of(1000), [0, 16_384, 32_768, 49_152]);
        assert_eq!(of(1003), [49_152, 0, 16_384, 32_768]);
        assert_eq!(of(u32::MAX), [49_152, 0, 16_384, 32_768]);
        assert_eq!(slot_of_copy(1001, 2, 3), Slot(21_845));
        assert_eq!(slot_of_copy(7, 0, 1), Slot(0));
    }

    #[test]
    fn copies_have_one_slot_in_each_of_as_many_equal_ranges() {
        for id in 1000..1020 {
            let slots = (0..BROADCAST_COPIES).map(|copy| slot_of_copy(id, copy, BROADCAST_COPIES));
            let slots: BTreeSet<Slot> = slots.collect();
            let ranges = SlotRange::even(BROADCAST_COPIES);
            assert_eq!(slots.len(), ranges.len());
            assert!(ranges.iter().zip(&slots).all(|(range, slot)| range.contains(*slot)));
        }
    }

    #[test]
    fn a_key_in_another_copy_differs_in_its_slot() {
        let key = Bytes::from_static(b"tablindxcolumns\x00\x00");
        assert_eq!(in_slot(&key, Slot(0x2000)), &b"tablindxcolumns\x20\x00"[..]);
        let both = only([Slot(0), Slot(0xffff)]);
        assert!(both.contains(Slot(0)) && both.contains(Slot(0xffff)) && !both.contains(Slot(1)));
    }
}
