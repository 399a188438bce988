//! Locks of large transactions, which no leader keeps in memory.
//!
//! ```text
//! 'l' primary          the primary's lock, like any other's
//! 'm' key              the locks of all other keys, with the rounds that have written them
//! 'n' start_ts (8 BE)  which large transactions have locks on this shard, and their primaries
//! ```
//!
//! A large transaction sends its writes in rounds. A key that is written again gets the new change; the changes that a
//! scan of the transaction itself may still need stay in the lock, because a statement does not see what it writes.
//!
//! Invariants:
//! 1. An entry 'n' is written with the first lock of its transaction and removed after the last one.
//! 2. A lock 'm' whose transaction has no entry 'n' is left over from one that was rolled back: it means nothing.

use super::lock::{Change, Lock};
use super::{LARGE, LARGE_LOCK, TIMESTAMP_BYTES, View};
use crate::{Error, Result, WriteBatch};
use base::{KeyRange, Timestamp};
use bytes::Bytes;

/// What the lock of a large transaction knows of its rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// The round that has placed the lock's change; the first one is 1.
    pub round: u32,
    /// Changes of earlier rounds that a scan of the transaction may still need, oldest first.
    pub older: Vec<(u32, Change)>,
}

impl Lock {
    /// What the transaction had made of the key after a round; `None` when it had not written it by then.
    pub fn change_after(&self, round: u32) -> Option<&Change> {
        match &self.rounds {
            Some(rounds) if rounds.round > round => {
                let mut older = rounds.older.iter().rev();
                older.find(|(placed, _)| *placed <= round).map(|(_, change)| change)
            }
            Some(_) | None => Some(&self.change),
        }
    }
}

/// Adds "place this lock of a large transaction on `key`" to a batch; it replaces the key's lock.
pub fn put_large_lock(batch: &mut WriteBatch, key: &[u8], lock: &Lock) {
    batch.put(large_lock_key(key), lock.encode());
}

/// Adds "remove the lock of a large transaction from `key`" to a batch.
pub fn delete_large_lock(batch: &mut WriteBatch, key: &[u8]) {
    batch.delete(large_lock_key(key));
}

/// The lock of a large transaction on a key.
pub fn get_large_lock<V: View + ?Sized>(view: &V, key: &[u8]) -> Result<Option<Lock>> {
    let engine_key = large_lock_key(key);
    view.get(&engine_key)?.map(|bytes| Lock::decode(&engine_key, &bytes)).transpose()
}

/// Calls `visit(key, lock)` for the locks of large transactions in a range of keys, in ascending or descending order,
/// until it answers `false`.
pub fn scan_large_locks<V: View + ?Sized>(
    view: &V,
    range: &KeyRange,
    reverse: bool,
    mut visit: impl FnMut(Bytes, Lock) -> Result<bool>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let end = match range.end.is_empty() {
        true => Bytes::from_static(&[LARGE_LOCK + 1]),
        false => large_lock_key(&range.end),
    };
    let engine_range = KeyRange { start: large_lock_key(&range.start), end };
    let mut visit = |engine_key: &[u8], stored: &[u8]| {
        let lock = Lock::decode(engine_key, &Bytes::copy_from_slice(stored))?;
        visit(Bytes::copy_from_slice(&engine_key[1..]), lock)
    };
    match reverse {
        false => view.scan(&engine_range, &mut visit),
        true => view.scan_reverse(&engine_range, &mut visit),
    }
}

/// Adds "this large transaction has locks here" to a batch.
pub fn put_large(batch: &mut WriteBatch, start_ts: Timestamp, primary: &[u8]) {
    batch.put(large_key(start_ts), primary.to_vec());
}

/// Adds "this large transaction has no locks here any more" to a batch.
pub fn delete_large(batch: &mut WriteBatch, start_ts: Timestamp) {
    batch.delete(large_key(start_ts));
}

/// The large transactions that have locks here, and their primary keys.
pub fn all_large<V: View + ?Sized>(view: &V) -> Result<Vec<(Timestamp, Bytes)>> {
    let mut all = Vec::new();
    view.scan(&KeyRange::prefix(vec![LARGE]), &mut |engine_key, primary| {
        let Ok(start_ts) = <[u8; TIMESTAMP_BYTES]>::try_from(&engine_key[1..]) else {
            let what = format!("key {}", engine_key.escape_ascii());
            return Err(Error::corrupt(what, "it names no large transaction"));
        };
        let start_ts = Timestamp(u64::from_be_bytes(start_ts));
        all.push((start_ts, Bytes::copy_from_slice(primary)));
        Ok(true)
    })?;
    Ok(all)
}

/// The engine key of a large transaction's lock on a key.
pub(super) fn large_lock_key(key: &[u8]) -> Bytes {
    let mut engine_key = Vec::with_capacity(1 + key.len());
    engine_key.push(LARGE_LOCK);
    engine_key.extend_from_slice(key);
    engine_key.into()
}

/// The engine key of "this large transaction has locks here".
fn large_key(start_ts: Timestamp) -> Bytes {
    let mut engine_key = Vec::with_capacity(1 + TIMESTAMP_BYTES);
    engine_key.push(LARGE);
    engine_key.extend_from_slice(&start_ts.0.to_be_bytes());
    engine_key.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;
    use crate::mvcc::LockExpect;
    use crate::sim::SimDisk;
    use std::path::Path;

    fn put(text: &'static str) -> Change {
        Change::Put(Bytes::from_static(text.as_bytes()))
    }

    fn lock(round: u32, change: Change, older: Vec<(u32, Change)>) -> Lock {
        Lock {
            start_ts: Timestamp(7),
            primary: Bytes::from_static(b"p"),
            expires_unix_ms: 9,
            change,
            expect: LockExpect::Absent,
            async_commit: None,
            rounds: Some(Rounds { round, older }),
        }
    }

    #[test]
    fn a_scan_finds_the_change_of_its_round() {
        let lock = lock(5, put("new"), vec![(1, put("old")), (3, Change::Delete)]);
        assert_eq!(lock.change_after(0), None);
        assert_eq!(lock.change_after(1), Some(&put("old")));
        assert_eq!(lock.change_after(2), Some(&put("old")));
        assert_eq!(lock.change_after(4), Some(&Change::Delete));
        assert_eq!(lock.change_after(5), Some(&put("new")));
    }

    #[test]
    fn locks_and_transactions_are_found_again() {
        let engine = SimDisk::new().open(Path::new("large")).unwrap();
        let engine: &dyn Engine = &engine;
        let locks = [
            lock(1, put("a"), Vec::new()),
            lock(2, Change::Delete, vec![(1, put("b"))]),
            lock(3, Change::Keep, vec![(1, Change::Keep), (2, Change::Delete)]),
        ];
        let mut batch = WriteBatch::new();
        for (key, lock) in [b"a", b"b", b"c"].into_iter().zip(&locks) {
            put_large_lock(&mut batch, key, lock);
        }
        put_large(&mut batch, Timestamp(7), b"p");
        engine.write(batch).unwrap();
        assert_eq!(get_large_lock(engine, b"b").unwrap().as_ref(), Some(&locks[1]));
        assert_eq!(all_large(engine).unwrap(), [(Timestamp(7), Bytes::from_static(b"p"))]);
        let found = |range: KeyRange, reverse| {
            let mut keys = Vec::new();
            scan_large_locks(engine, &range, reverse, |key, _| {
                keys.push(key);
                Ok(true)
            })
            .unwrap();
            keys
        };
        assert_eq!(found(KeyRange::new("b", ""), false), ["b", "c"]);
        assert_eq!(found(KeyRange::new("a", "c"), true), ["b", "a"]);
        assert!(found(KeyRange::new("c", "b"), false).is_empty());
        let mut batch = WriteBatch::new();
        delete_large_lock(&mut batch, b"b");
        delete_large(&mut batch, Timestamp(7));
        engine.write(batch).unwrap();
        assert_eq!(get_large_lock(engine, b"b").unwrap(), None);
        assert!(all_large(engine).unwrap().is_empty());
    }
}
