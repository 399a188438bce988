//! What a reader sees of the locks of large transactions.
//!
//! ```text
//!  lock met ─► its transaction is known to the reader? ─┬─ own:       its change, up to the reader's round
//!                                                       ├─ committed: its change, as a version of that timestamp
//!                                                       ├─ passed:    nothing
//!                                                       └─ unknown:   in the way, if it may commit at or before the read point
//! ```
//!
//! A lock and the version it becomes change places in one batch. So whoever looks for the lock first and for the version
//! afterwards, or for both in one engine snapshot, misses neither.
//!
//! The primary's lock of a large transaction is in the lock table, which has been looked at before (`reader`); here it
//! matters only when its transaction is known. All locks of a prepared transaction are there; a reader that knows it passes
//! them.

use super::evaluate::locked;
use crate::Result;
use crate::command::{Fate, KnownTransaction, Version};
use crate::defect;
use crate::lock_table::{HeldLock, LargeTransactions, LockTable};
use base::{KeyRange, SlotRange, Timestamp, limits};
use bytes::Bytes;
use engine::mvcc::{self, Change, Lock, View};
use std::collections::BTreeMap;

/// A reader's view of large transactions.
pub(super) struct Sight<'a> {
    /// Read point.
    ts: Timestamp,
    /// What the reader knows.
    known: &'a [KnownTransaction],
    /// Large transactions that may have locks here, as the lock table had them when it was looked at; `None` when there
    /// are none, so that ordinary reads share nothing.
    large: Option<LargeTransactions>,
    /// Keys of other slots are passed over.
    bounds: Option<SlotRange>,
}

/// What the locks of a range tell a reader.
pub(super) struct RangeSight {
    /// Keys whose locks, not their versions, are what the reader sees, and since when.
    pub(super) changes: BTreeMap<Bytes, (Timestamp, Change)>,
    /// How far that is all.
    pub(super) end: End,
}

/// Where a look at the locks of a range ended.
pub(super) enum End {
    /// At the end of the range.
    Whole,
    /// After this key, for want of room.
    After(Bytes),
    /// Before this key: its lock is in the way.
    Before(Bytes, HeldLock),
}

/// What a lock tells a reader.
enum Seen {
    /// This change, as if it were a version of that timestamp.
    Change(Timestamp, Change),
    /// Nothing: the key's versions count.
    Versions,
    /// It has to be resolved or waited for.
    Obstacle(HeldLock),
}

impl Seen {
    /// The same for the reader of one key.
    fn of_key(self, key: &[u8]) -> Result<Option<(Timestamp, Change)>> {
        match self {
            Seen::Change(since, change) => Ok(Some((since, change))),
            Seen::Versions => Ok(None),
            Seen::Obstacle(held) => Err(locked(key, &held)),
        }
    }
}

impl<'a> Sight<'a> {
    /// The view of a reader, as long as the table is looked at.
    pub(super) fn new(
        locks: &LockTable,
        bounds: Option<SlotRange>,
        ts: Timestamp,
        known: &'a [KnownTransaction],
    ) -> Sight<'a> {
        let large = locks.large();
        Sight { ts, known, large: (!large.is_empty()).then(|| large.clone()), bounds }
    }

    /// Whether the reader knows what to make of a transaction's locks.
    pub(super) fn knows(&self, start_ts: Timestamp) -> bool {
        self.fate(start_ts).is_some()
    }

    fn fate(&self, start_ts: Timestamp) -> Option<Fate> {
        let known = self.known.iter().find(|known| known.start_ts == start_ts);
        known.map(|known| known.fate)
    }

    /// Whether locks of large transactions matter to the reader at all.
    fn probes(&self) -> bool {
        let matters = |start_ts: &Timestamp| match self.fate(*start_ts) {
            Some(Fate::Own { .. }) => true,
            Some(Fate::Committed { commit_ts }) => commit_ts <= self.ts,
            Some(Fate::Passed) => false,
            None => *start_ts <= self.ts,
        };
        self.large.as_ref().is_some_and(|large| large.keys().any(matters))
    }

    /// Whether a lock that was found in the engine counts.
    fn counts(&self, lock: &Lock) -> bool {
        self.large.as_ref().is_some_and(|large| large.contains_key(&lock.start_ts))
    }

    /// What the reader makes of a lock.
    fn through(&self, lock: Lock) -> Seen {
        let seen = match self.fate(lock.start_ts) {
            Some(Fate::Own { .. }) if defect::active("own-round-unseen") => None,
            Some(Fate::Own { round }) => {
                lock.change_after(round).map(|change| (Timestamp::ZERO, change.clone()))
            }
            Some(Fate::Committed { commit_ts }) if commit_ts <= self.ts => {
                Some((commit_ts, lock.change))
            }
            Some(Fate::Committed { .. } | Fate::Passed) => None,
            None if lock.start_ts <= self.ts && !defect::active("large-locks-passed") => {
                return Seen::Obstacle(HeldLock::of(&lock));
            }
            None => None,
        };
        match seen {
            // A key that is only kept has its versions.
            Some((_, Change::Keep)) | None => Seen::Versions,
            Some((since, change)) => Seen::Change(since, change),
        }
    }

    /// What the reader sees of a key instead of its versions. The lock table has been asked before.
    pub(super) fn change<V: View + ?Sized>(
        &self,
        view: &V,
        key: &[u8],
    ) -> Result<Option<(Timestamp, Change)>> {
        if !self.known.is_empty()
            && let Some(lock) = mvcc::get_lock(view, key)?
            && self.knows(lock.start_ts)
        {
            return self.through(lock).of_key(key);
        }
        if !self.probes() {
            return Ok(None);
        }
        match mvcc::get_large_lock(view, key)? {
            Some(lock) if self.counts(&lock) => self.through(lock).of_key(key),
            Some(_) | None => Ok(None),
        }
    }

    /// The version of a key that the reader sees.
    pub(super) fn version<V: View + ?Sized>(
        &self,
        view: &V,
        key: &[u8],
    ) -> Result<Option<Version>> {
        match self.change(view, key)? {
            Some((commit_ts, Change::Put(value))) => Ok(Some(Version { commit_ts, value })),
            Some((_, Change::Delete)) => Ok(None),
            Some((_, Change::Keep)) | None => {
                let Some(found) = mvcc::get(view, key, self.ts)? else { return Ok(None) };
                Ok(found.value.map(|value| Version { commit_ts: found.commit_ts, value }))
            }
        }
    }

    /// What the locks of a range tell, up to about `most` keys. `primaries` are keys of the range whose lock is in the
    /// table and known; `obstacle` is the first other lock there that is in the way.
    pub(super) fn range<V: View + ?Sized>(
        &self,
        view: &V,
        range: &KeyRange,
        (reverse, most): (bool, usize),
        primaries: &[Bytes],
        obstacle: Option<(Bytes, HeldLock)>,
    ) -> Result<RangeSight> {
        let mut changes = BTreeMap::new();
        let mut end = End::Whole;
        for key in primaries {
            if let Some(lock) = mvcc::get_lock(view, key)?
                && let Seen::Change(since, change) = self.through(lock)
            {
                changes.insert(key.clone(), (since, change));
            }
        }
        if self.probes() {
            let (mut steps, mut bytes) = (0, 0);
            mvcc::scan_large_locks(view, range, reverse, |key, lock| {
                steps += 1;
                if self.counts(&lock) && !mvcc::is_foreign(self.bounds, &key)? {
                    match self.through(lock) {
                        Seen::Change(since, change) => {
                            bytes += key.len() + change.bytes();
                            changes.insert(key.clone(), (since, change));
                        }
                        Seen::Versions => {}
                        Seen::Obstacle(held) => {
                            end = End::Before(key, held);
                            return Ok(false);
                        }
                    }
                }
                let full = changes.len() >= most || bytes >= limits::SCAN_BYTES_MAX;
                if full || steps >= limits::LARGE_LOCKS_STEP {
                    end = End::After(key);
                    return Ok(false);
                }
                Ok(true)
            })?;
        }
        if let Some((key, held)) = obstacle {
            let nearer = |other: &Bytes| if reverse { key > *other } else { key < *other };
            let is_first = match &end {
                End::Whole => true,
                End::After(last) => nearer(last),
                End::Before(first, _) => nearer(first),
            };
            if is_first {
                end = End::Before(key, held);
            }
        }
        Ok(RangeSight { changes, end })
    }
}
