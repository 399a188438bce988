//! Row locks that go along when the leadership of a shard is given away on purpose.
//!
//! ```text
//!  old leader, which serves no more          next leader
//!  held_of ──── as many as fit ────────────► keep_aside ─┬─ its term serves ─► take_in ─► held, before anything else
//!                                                        ├─ released meanwhile ─► gone
//!                                                        └─ no such term in time ─► gone
//! ```
//!
//! The lines are not sent: whoever waits is told that the shard is served elsewhere, and asks there.
//!
//! Invariants:
//! 1. What is held here already stays as it is: a lock from aside that does not fit beside it is left out.
//! 2. A lock from aside is held only in a term after the one that it comes from, at most `LOCK_HANDOVER_KEEP` after
//!    it came.
//! 3. A release takes locks from aside too.
//!
//! A lost or late handover costs what a lost leader costs: a retry, never an update. Not here: sending, and asking which
//! owners still live (`server`).

use super::{HeldLock, RowLocks, State};
use crate::command::{LockMode, LockOwner};
use base::{ShardId, limits};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// Locks of a shard that wait for the leadership they go with.
#[derive(Debug)]
pub(super) struct Aside {
    /// The term in which they were held.
    term: u64,
    /// When the first of them came, monotonic.
    since: Duration,
    /// How many came.
    count: usize,
    /// Bytes of their keys.
    bytes: usize,
    /// Those that were not released since.
    locks: BTreeMap<LockOwner, BTreeMap<Bytes, LockMode>>,
    /// The shard that they come from, when the shard that they are for is split off it.
    parent: Option<ShardId>,
}

impl RowLocks {
    /// What is held of a shard, as much of it as a handover carries, and how many locks are left out.
    pub fn held_of(&self, shard: ShardId) -> (Vec<HeldLock>, usize) {
        let state = self.state.lock();
        let (mut locks, mut bytes, mut left) = (Vec::new(), 0, 0);
        for (key, of_key) in state.keys.iter().filter(|(_, of_key)| of_key.shard == shard) {
            for held in &of_key.holders {
                if locks.len() >= limits::LOCK_HANDOVER_LOCKS_MAX
                    || bytes + key.len() > limits::LOCK_HANDOVER_BYTES_MAX
                {
                    left += 1;
                    continue;
                }
                bytes += key.len();
                locks.push(HeldLock { key: key.clone(), owner: held.owner, mode: held.mode });
            }
        }
        (locks, left)
    }

    /// Keeps locks of a shard's leadership in `term` aside until the next one begins here. Answers how many of them it
    /// keeps: none when those of a later term are here.
    pub fn keep_aside(&self, shard: ShardId, term: u64, locks: Vec<HeldLock>) -> usize {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        state.aside.retain(|of, aside| aside.is_fresh(now) && (*of != shard || aside.term >= term));
        let elsewhere: usize = state.aside.values().map(|aside| aside.count).sum();
        let room = limits::ROW_LOCKS_MAX.saturating_sub(self.len() + elsewhere);
        let aside = state.aside.entry(shard).or_insert_with(|| Aside::new(term, now));
        if aside.term > term {
            return 0;
        }
        locks.into_iter().take(room).map(|lock| usize::from(aside.add(lock))).sum()
    }

    /// Takes in what is aside for a leadership that begins or has just begun here.
    pub fn take_in(&self, shard: ShardId, term: u64) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        if state.aside.get(&shard).is_none_or(|aside| aside.term >= term) {
            return;
        }
        let Some(aside) = state.aside.remove(&shard) else { return };
        let fresh = aside.is_fresh(now);
        let (mut taken, mut left) = (0_usize, 0_usize);
        for (owner, keys) in aside.locks {
            for (key, mode) in keys {
                if fresh && self.take_beside(&mut state, shard, owner, &key, mode) {
                    taken += 1;
                } else {
                    left += 1;
                }
            }
        }
        tracing::info!(%shard, term, taken, left, "row locks came with the leadership");
    }

    /// Forgets locks aside whose leadership has not begun here in time.
    pub fn forget_stale(&self) {
        let now = self.clock.monotonic();
        self.state.lock().aside.retain(|_, aside| aside.is_fresh(now));
    }

    /// Makes an owner a holder beside those who are; `false` when that does not fit.
    pub(super) fn take_beside(
        &self,
        state: &mut State,
        shard: ShardId,
        owner: LockOwner,
        key: &Bytes,
        mode: LockMode,
    ) -> bool {
        let locks = state.keys.get(key);
        let mine = locks.and_then(|locks| locks.mode_of(owner));
        if mine.is_some_and(|mine| mine >= mode) {
            return true;
        }
        let room = mine.is_some() || self.len() < limits::ROW_LOCKS_MAX;
        if !room || locks.is_some_and(|locks| locks.shard != shard || !locks.admits(owner, mode)) {
            return false;
        }
        self.take(state, shard, (owner, 0), key, mode);
        true
    }
}

impl Aside {
    /// None yet.
    fn new(term: u64, since: Duration) -> Aside {
        Aside { term, since, count: 0, bytes: 0, locks: BTreeMap::new(), parent: None }
    }

    /// Those of a shard that is split off another one.
    pub(super) fn of_child(parent: ShardId, since: Duration) -> Aside {
        // Before every term of the child.
        Aside { parent: Some(parent), ..Aside::new(0, since) }
    }

    /// Its locks.
    pub(super) fn into_locks(self) -> Vec<HeldLock> {
        let of_owner = |(owner, keys): (LockOwner, BTreeMap<Bytes, LockMode>)| {
            keys.into_iter().map(move |(key, mode)| HeldLock { key, owner, mode })
        };
        self.locks.into_iter().flat_map(of_owner).collect()
    }

    fn is_fresh(&self, now: Duration) -> bool {
        now < self.since + limits::LOCK_HANDOVER_KEEP
    }

    /// Adds a lock; `false` when there is no room for it.
    pub(super) fn add(&mut self, lock: HeldLock) -> bool {
        let HeldLock { key, owner, mode } = lock;
        if self.count >= limits::LOCK_HANDOVER_LOCKS_MAX
            || self.bytes + key.len() > limits::LOCK_HANDOVER_BYTES_MAX
        {
            return false;
        }
        self.count += 1;
        self.bytes += key.len();
        self.locks.entry(owner).or_default().insert(key, mode);
        true
    }
}

impl State {
    /// Takes an owner's locks on a shard, or on all, from aside.
    pub(super) fn release_aside(&mut self, shard: Option<ShardId>, owner: LockOwner) {
        for (of, aside) in &mut self.aside {
            if shard.is_none_or(|shard| shard == *of || aside.parent == Some(shard)) {
                aside.locks.remove(&owner);
            }
        }
    }

    /// Takes an owner's locks on some keys from aside.
    pub(super) fn release_keys_aside(&mut self, owner: LockOwner, keys: &[Bytes]) {
        for aside in self.aside.values_mut() {
            if let Some(held) = aside.locks.get_mut(&owner) {
                for key in keys {
                    held.remove(key);
                }
            }
        }
    }
}
