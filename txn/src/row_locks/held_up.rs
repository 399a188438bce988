//! Who waits for a large transaction: its replicated locks stand in no line, so whoever meets one asks again and again.
//!
//! ```text
//!  large transaction ── rounds, lock requests ──► its start and its owner are noted
//!  lock request ─► row lock granted ─► replicated lock in the way? ─► held up: an edge to that owner, told KeyLocked
//!       ▲                                                                │ a cycle? the lightest member gives way
//!       └── asks again, in pauses ── "gives way": Deadlock ◄─────────────┘
//! ```
//!
//! Whoever is held up has the row lock already; in lists it is a waiter all the same.
//!
//! Prepared transactions wait for nobody, so there is no such edge to them. Other commits are over in a moment.
//!
//! Invariants:
//! 1. A request is held up from the answer that says so until it asks again, is cancelled or released, or is silent for
//!    `LOCK_HELD_UP_KEEP`.
//! 2. At most `LOCK_WAITS_TOLD_MAX` requests are known to be held up, and `LARGE_OWNERS_KEPT_MAX` owners of large
//!    transactions: the oldest ones are forgotten first. What is not known costs a deadlock its early end: it lasts until a
//!    wait times out.
//!
//! Not here: asking again (`transaction::held_locks`).

use super::{Asker, DEADLOCK, RowLocks, WaitingLock, deadlock};
use crate::command::{LockMode, LockOwner};
use base::limits::{LARGE_OWNERS_KEPT_MAX, LOCK_HELD_UP_KEEP, LOCK_WAITS_TOLD_MAX};
use base::{ShardId, Timestamp};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// Requests that replicated locks hold up, by owner and key.
#[derive(Debug, Default)]
pub(super) struct HeldUps {
    requests: BTreeMap<(LockOwner, Bytes), HeldUp>,
    /// Owners of large transactions, by their starts.
    large: BTreeMap<Timestamp, LockOwner>,
}

/// A request that waits for a large transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldUp {
    shard: ShardId,
    request: u64,
    /// Locks and writes that its owner has already.
    pub(super) weight: u64,
    mode: LockMode,
    /// Whose lock it is; `None` when this node has not heard.
    by: Option<LockOwner>,
    /// When it was told so last, monotonic.
    at: Duration,
    /// Whether it was chosen to give way.
    gives_way: bool,
}

impl HeldUp {
    fn is_recent(&self, now: Duration) -> bool {
        self.at + LOCK_HELD_UP_KEEP >= now
    }

    /// As lists show it.
    pub(super) fn to_wait(self, owner: LockOwner, key: &Bytes) -> WaitingLock {
        let blockers = self.by.map(|by| (by, LockMode::Exclusive)).into_iter().collect();
        WaitingLock { key: key.clone(), owner, mode: self.mode, blockers }
    }

    /// For whom it waits.
    pub(super) fn blocker(&self) -> Option<LockOwner> {
        self.by
    }
}

impl HeldUps {
    /// All that have asked lately.
    pub(super) fn recent(
        &self,
        now: Duration,
    ) -> impl Iterator<Item = (LockOwner, &Bytes, HeldUp)> {
        let recent = self.requests.iter().filter(move |(_, held_up)| held_up.is_recent(now));
        recent.map(|((owner, key), held_up)| (*owner, key, *held_up))
    }

    /// Those of one owner.
    pub(super) fn of_owner(
        &self,
        owner: LockOwner,
        now: Duration,
    ) -> impl Iterator<Item = (&Bytes, HeldUp)> {
        let mine = self.requests.range((owner, Bytes::new())..);
        mine.take_while(move |((other, _), _)| *other == owner)
            .filter(move |(_, held_up)| held_up.is_recent(now))
            .map(|((_, key), held_up)| (key, *held_up))
    }

    /// Whether an owner's request for a key is held up.
    pub(super) fn has(&self, owner: LockOwner, key: &Bytes, now: Duration) -> bool {
        if self.requests.is_empty() {
            return false;
        }
        let held_up = self.requests.get(&(owner, key.clone()));
        held_up.is_some_and(|held_up| held_up.is_recent(now))
    }

    /// An owner asks for a key (again). Answers whether it has to give way.
    pub(super) fn ask(&mut self, owner: LockOwner, request: u64, key: &Bytes) -> bool {
        if self.requests.is_empty() {
            return false;
        }
        let before = self.requests.remove(&(owner, key.clone()));
        before.is_some_and(|before| before.gives_way && before.request == request)
    }

    /// An owner does not wait here any more, on one shard or on all.
    pub(super) fn end(&mut self, owner: LockOwner, shard: Option<ShardId>) {
        self.retain(owner, |held_up| shard.is_some_and(|shard| held_up.shard != shard));
    }

    /// An owner's requests up to this number are over.
    pub(super) fn end_requests(&mut self, owner: LockOwner, last: u64) {
        self.retain(owner, |held_up| !(1..=last).contains(&held_up.request));
    }

    /// An owner gives up a key.
    pub(super) fn end_key(&mut self, owner: LockOwner, key: &Bytes) {
        if !self.requests.is_empty() {
            self.requests.remove(&(owner, key.clone()));
        }
    }

    /// A shard's locks are forgotten.
    pub(super) fn reset(&mut self, shard: ShardId) {
        self.requests.retain(|_, held_up| held_up.shard != shard);
    }

    /// An owner is told that it gives way when it asks again.
    pub(super) fn give_way(&mut self, owner: LockOwner) {
        let mine = self.requests.range_mut((owner, Bytes::new())..);
        for (_, held_up) in mine.take_while(|((other, _), _)| *other == owner) {
            held_up.gives_way = true;
        }
    }

    /// Ends those requests of an owner that are not to stay.
    fn retain(&mut self, owner: LockOwner, stays: impl Fn(&HeldUp) -> bool) {
        if self.requests.is_empty() {
            return;
        }
        let mine = self.requests.range((owner, Bytes::new())..);
        let over: Vec<(LockOwner, Bytes)> = mine
            .take_while(|((other, _), _)| *other == owner)
            .filter(|(_, held_up)| !stays(held_up))
            .map(|(place, _)| place.clone())
            .collect();
        for place in over {
            self.requests.remove(&place);
        }
    }

    /// Makes room for one more; `false` when there is none.
    fn make_room(&mut self, now: Duration) -> bool {
        if self.requests.len() >= LOCK_WAITS_TOLD_MAX {
            self.requests.retain(|_, held_up| held_up.is_recent(now));
        }
        self.requests.len() < LOCK_WAITS_TOLD_MAX
    }
}

impl RowLocks {
    /// A large transaction belongs to this owner: its rounds and lock requests say so.
    pub fn note_large(&self, start_ts: Timestamp, owner: LockOwner) {
        let mut state = self.state.lock();
        let large = &mut state.held_ups.large;
        large.insert(start_ts, owner);
        if large.len() > LARGE_OWNERS_KEPT_MAX {
            large.pop_first();
        }
    }

    /// A large transaction is over.
    pub fn forget_large(&self, start_ts: Timestamp) {
        self.state.lock().held_ups.large.remove(&start_ts);
    }

    /// A request is told that the lock of a large transaction holds it up. Answers whether it has to give way instead.
    pub fn hold_up(
        &self,
        shard: ShardId,
        asker: Asker,
        key: &Bytes,
        mode: LockMode,
        by: Timestamp,
    ) -> bool {
        let Asker { owner, request, weight } = asker;
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        if state.cancelled.has(owner, request) || !state.held_ups.make_room(now) {
            return false;
        }
        let by = state.held_ups.large.get(&by).copied().filter(|by| *by != owner);
        let held_up = HeldUp { shard, request, weight, mode, by, at: now, gives_way: false };
        state.held_ups.requests.insert((owner, key.clone()), held_up);
        match deadlock::victim_of_cycle(owner, |owner| state.blockers(owner, now)) {
            Some(victim) => {
                self.end_waits(&mut state, victim, None, DEADLOCK);
                state.held_ups.ask(owner, request, key)
            }
            None => false,
        }
    }
}
