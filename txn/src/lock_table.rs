//! The replicated locks of a shard, mirrored in its leader's memory.
//!
//! A point read must not pay a probe to learn that a key is not locked, so the leader keeps the keys of
//! all locks in memory. Values stay in the engine: only a commit needs them.
//!
//! The locks of a large transaction would not fit. The table knows such a transaction by its start timestamp alone (and
//! its primary's lock, should that stand here). While there is one, a key that has no lock in the table may have one in
//! the engine, and whoever asks pays the probe.
//!
//! Invariants:
//! 1. Loaded from the engine once per leadership, after everything of earlier terms is applied.
//! 2. Changed only after the batch that changes the engine is applied, and before anybody is told.
//! 3. A large transaction that can still commit and has a lock in the engine is in the table. Other locks of large
//!    transactions mean nothing.

use base::{KeyRange, SlotRange, Timestamp};
use bytes::Bytes;
use engine::mvcc::{self, View};
use engine::{Engine, Result};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// What memory keeps of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Identity of the transaction.
    pub start_ts: Timestamp,
    /// The key whose lock decides the transaction.
    pub primary: Bytes,
    /// Wall clock after which anyone may settle the transaction. Only the primary's counts.
    pub expires_unix_ms: u64,
    /// For an asynchronous commit: the transaction does not commit before this.
    pub commit_from: Option<Timestamp>,
    /// Whether the transaction is a large one.
    pub large: bool,
}

impl HeldLock {
    /// The part of a lock that memory keeps.
    pub fn of(lock: &mvcc::Lock) -> HeldLock {
        HeldLock {
            start_ts: lock.start_ts,
            primary: lock.primary.clone(),
            expires_unix_ms: lock.expires_unix_ms,
            commit_from: lock.async_commit.as_ref().map(|commit| commit.commit_from),
            large: lock.rounds.is_some(),
        }
    }

    /// Whether a read at `ts` must not walk past it: its transaction may commit at or before `ts`.
    pub fn is_in_way(&self, ts: Timestamp) -> bool {
        self.commit_from.unwrap_or(self.start_ts) <= ts
    }

    /// Whether it decides a prepared transaction that is held: the lock of `key` goes only when somebody says so.
    pub(crate) fn is_held(&self, key: &[u8]) -> bool {
        self.expires_unix_ms == u64::MAX && self.primary == key
    }
}

/// A change of the table that goes with a replicated batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockChange {
    /// The key is locked (again).
    Put(Bytes, HeldLock),
    /// The key is free.
    Remove(Bytes),
    /// A large transaction has locks here, and this primary.
    Large(Timestamp, Bytes),
    /// It has none any more.
    Forget(Timestamp),
}

/// A part of a walk over old locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldLocks {
    /// Those that were found, in key order.
    pub locks: Vec<(Bytes, HeldLock)>,
    /// The key to go on from; `None` at the end.
    pub next: Option<Bytes>,
}

/// Large transactions by their start timestamps, with their primaries.
pub type LargeTransactions = Arc<BTreeMap<Timestamp, Bytes>>;

/// Locks by key.
#[derive(Debug, Default)]
pub struct LockTable {
    /// The locks.
    locks: BTreeMap<Bytes, HeldLock>,
    /// How many of them each transaction has, by its start.
    starts: BTreeMap<Timestamp, usize>,
    /// Large transactions that may have locks here.
    large: LargeTransactions,
}

impl LockTable {
    /// All locks in an engine but those of keys that are foreign to a shard with these bounds.
    pub fn load(engine: &dyn Engine, bounds: Option<SlotRange>) -> Result<LockTable> {
        let mut table = LockTable::default();
        mvcc::scan_locks(engine, |key, lock| {
            if !mvcc::is_foreign(bounds, &key)? {
                table.apply(LockChange::Put(key, HeldLock::of(&lock)));
            }
            Ok(true)
        })?;
        table.large = Arc::new(mvcc::all_large(engine)?.into_iter().collect());
        Ok(table)
    }

    /// The locks of some keys in a view, and its large transactions: for a reader of a replica that keeps no table.
    pub fn of_keys<V: View + ?Sized>(view: &V, keys: &[Bytes]) -> Result<LockTable> {
        let mut table = LockTable::of_nothing(view)?;
        for key in keys {
            if let Some(lock) = mvcc::get_lock(view, key)? {
                table.apply(LockChange::Put(key.clone(), HeldLock::of(&lock)));
            }
        }
        Ok(table)
    }

    /// The same for the locks in a range, but those of keys that are foreign to these slots.
    pub fn of_range<V: View + ?Sized>(
        view: &V,
        range: &KeyRange,
        slots: SlotRange,
    ) -> Result<LockTable> {
        let mut table = LockTable::of_nothing(view)?;
        mvcc::scan_locks_in(view, range, |key, lock| {
            if !mvcc::is_foreign(Some(slots), &key)? {
                table.apply(LockChange::Put(key, HeldLock::of(&lock)));
            }
            Ok(true)
        })?;
        Ok(table)
    }

    /// No locks, and the large transactions of a view.
    fn of_nothing<V: View + ?Sized>(view: &V) -> Result<LockTable> {
        let large = Arc::new(mvcc::all_large(view)?.into_iter().collect());
        Ok(LockTable { large, ..LockTable::default() })
    }

    /// The lock of a key, wherever it is kept.
    pub fn find<V: View + ?Sized>(&self, view: &V, key: &[u8]) -> Result<Option<HeldLock>> {
        if let Some(held) = self.locks.get(key) {
            return Ok(Some(held.clone()));
        }
        Ok(self.find_large(view, key)?.map(|lock| HeldLock::of(&lock)))
    }

    /// The lock of a large transaction on a key that is not its primary.
    pub fn find_large<V: View + ?Sized>(&self, view: &V, key: &[u8]) -> Result<Option<mvcc::Lock>> {
        if self.large.is_empty() {
            return Ok(None);
        }
        let lock = mvcc::get_large_lock(view, key)?;
        Ok(lock.filter(|lock| self.large.contains_key(&lock.start_ts)))
    }

    /// The large transactions that may have locks here.
    pub fn large(&self) -> &LargeTransactions {
        &self.large
    }

    /// The lock of a key, as far as it is in memory.
    pub fn get(&self, key: &[u8]) -> Option<&HeldLock> {
        self.locks.get(key)
    }

    /// The first lock in a range, in ascending or descending order, that a read at `ts` must not walk
    /// past: its transaction may commit at or before `ts`, and is none of those that are `passed`. Only locks in memory.
    pub fn first_in_way(
        &self,
        range: &KeyRange,
        ts: Timestamp,
        reverse: bool,
        passed: impl Fn(Timestamp) -> bool,
    ) -> Option<(&Bytes, &HeldLock)> {
        if self.locks.is_empty() {
            return None;
        }
        let mut locks = self.in_range(range);
        let in_way = |(_, lock): &(&Bytes, &HeldLock)| lock.is_in_way(ts) && !passed(lock.start_ts);
        if reverse { locks.rfind(in_way) } else { locks.find(in_way) }
    }

    /// The locks in a range, in key order.
    pub fn in_range(
        &self,
        range: &KeyRange,
    ) -> impl DoubleEndedIterator<Item = (&Bytes, &HeldLock)> {
        let end = match range.end.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Excluded(&range.end[..]),
        };
        // BTreeMap panics on an upside-down range.
        let locks = (!range.is_empty())
            .then(|| self.locks.range::<[u8], _>((Bound::Included(&range.start[..]), end)));
        locks.into_iter().flatten()
    }

    /// Carries out a change.
    pub fn apply(&mut self, change: LockChange) {
        let before = match change {
            LockChange::Put(key, lock) => {
                *self.starts.entry(lock.start_ts).or_default() += 1;
                self.locks.insert(key, lock)
            }
            LockChange::Remove(key) => self.locks.remove(&key),
            LockChange::Large(start_ts, primary) => {
                if !self.large.contains_key(&start_ts) {
                    Arc::make_mut(&mut self.large).insert(start_ts, primary);
                }
                None
            }
            LockChange::Forget(start_ts) => {
                Arc::make_mut(&mut self.large).remove(&start_ts);
                None
            }
        };
        if let Some(HeldLock { start_ts, .. }) = before
            && let Some(count) = self.starts.get_mut(&start_ts)
        {
            *count -= 1;
            if *count == 0 {
                self.starts.remove(&start_ts);
            }
        }
    }

    /// Forgets the locks of keys that are foreign to a shard with these bounds. Large transactions stay: they may have other
    /// locks here.
    pub fn keep_own(&mut self, bounds: SlotRange) -> Result<()> {
        let mut foreign = Vec::new();
        for key in self.locks.keys() {
            if mvcc::is_foreign(Some(bounds), key)? {
                foreign.push(key.clone());
            }
        }
        foreign.into_iter().for_each(|key| self.apply(LockChange::Remove(key)));
        Ok(())
    }

    /// When the oldest transaction began that has a lock.
    pub fn oldest(&self) -> Option<Timestamp> {
        let large = self.large.keys().next();
        self.starts.keys().next().into_iter().chain(large).min().copied()
    }

    /// Locks of transactions that began before a point, from the key `from` on, but those of which only an outside
    /// manager may say what becomes of them. Ends after so many locks, old or not, or so many old ones.
    pub fn older_than(
        &self,
        before: Timestamp,
        from: &[u8],
        passed_max: usize,
        found_max: usize,
    ) -> OldLocks {
        let mut old = OldLocks::default();
        if self.oldest().is_none_or(|oldest| oldest >= before) {
            return old;
        }
        let locks = self.locks.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        for (passed, (key, lock)) in locks.enumerate() {
            if passed >= passed_max || old.locks.len() >= found_max {
                old.next = Some(key.clone());
                break;
            }
            if lock.start_ts < before && !lock.is_held(key) {
                old.locks.push((key.clone(), lock.clone()));
            }
        }
        old
    }

    /// Number of locks in memory.
    pub fn len(&self) -> usize {
        self.locks.len()
    }

    /// Whether nothing is locked.
    pub fn is_empty(&self) -> bool {
        self.locks.is_empty() && self.large.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> LockTable {
        let mut table = LockTable::default();
        for (key, start_ts) in [("a", 30), ("b", 10), ("c", 20)] {
            let primary = Bytes::from_static(b"p");
            let lock = HeldLock {
                start_ts: Timestamp(start_ts),
                primary,
                expires_unix_ms: 0,
                // One that begins early and commits late.
                commit_from: (key == "b").then_some(Timestamp(15)),
                large: false,
            };
            table.apply(LockChange::Put(key.into(), lock));
        }
        table
    }

    fn first(range: KeyRange, ts: u64, reverse: bool) -> Option<Bytes> {
        table().first_in_way(&range, Timestamp(ts), reverse, |_| false).map(|(key, _)| key.clone())
    }

    #[test]
    fn a_reader_walks_past_locks_that_are_younger_than_its_read_point() {
        let all = || KeyRange::new("a", "");
        assert_eq!(first(all(), 25, false), Some("b".into()));
        assert_eq!(first(all(), 25, true), Some("c".into()));
        assert_eq!(first(all(), 30, false), Some("a".into()));
        assert_eq!(first(all(), 14, false), None);
        assert_eq!(first(KeyRange::new("c", "b"), 30, false), None);
        assert_eq!(first(KeyRange::new("a", "c"), 25, true), Some("b".into()));
    }

    #[test]
    fn the_oldest_lock_is_known_whatever_is_replaced_or_removed() {
        let mut table = table();
        assert_eq!(table.oldest(), Some(Timestamp(10)));
        let again = table.get(b"b").unwrap().clone();
        table.apply(LockChange::Put("b".into(), again.clone()));
        table.apply(LockChange::Put("d".into(), again));
        table.apply(LockChange::Remove("b".into()));
        assert_eq!(table.oldest(), Some(Timestamp(10)), "it has another one");
        table.apply(LockChange::Remove("d".into()));
        table.apply(LockChange::Remove("d".into()));
        assert_eq!(table.oldest(), Some(Timestamp(20)));
        table.apply(LockChange::Remove("a".into()));
        table.apply(LockChange::Remove("c".into()));
        assert_eq!((table.oldest(), table.len()), (None, 0));
    }

    #[test]
    fn a_walk_over_old_locks_goes_on_where_it_ended() {
        let mut table = table();
        let held = HeldLock {
            start_ts: Timestamp(1),
            primary: Bytes::from_static(b"bb"),
            expires_unix_ms: u64::MAX,
            commit_from: None,
            large: false,
        };
        table.apply(LockChange::Put("bb".into(), held));
        let walk = |before: u64, passed_max: usize, found_max: usize| {
            let (mut keys, mut from, mut steps) = (Vec::new(), Bytes::new(), 0);
            loop {
                let old = table.older_than(Timestamp(before), &from, passed_max, found_max);
                keys.extend(old.locks.into_iter().map(|(key, _)| key));
                steps += 1;
                match old.next {
                    Some(next) => from = next,
                    None => return (keys, steps),
                }
            }
        };
        assert_eq!(walk(1, 1, 1), (vec![], 1));
        assert_eq!(walk(30, 9, 9), (vec!["b".into(), "c".into()], 1));
        assert_eq!(walk(30, 1, 9), (vec!["b".into(), "c".into()], 4));
        assert_eq!(walk(31, 9, 1), (vec!["a".into(), "b".into(), "c".into()], 3));
    }
}
