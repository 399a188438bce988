//! Requests that are given up: KILL, a client that went away, an answer that was lost.
//!
//! ```text
//!  asker                              leader
//!  request 7 ───────────────────────► line, or held
//!     │ given up                        │
//!     └─ cancel 7 ────────────────────► out of the line; what only request 7 has asked for goes back
//!                                       (request 7 that comes later still is refused)
//!  request 8 ───────────────────────► ends what waits for 7
//!  survey: "is request 7 under way?" ─► no: as a cancel
//! ```
//!
//! Numbers of an owner's requests grow, and it has one under way at a time. So a cancel may come early, late, twice or
//! never: whatever waits for a number that is not the newest is over.
//!
//! Invariants:
//! 1. What an earlier request of the owner was granted stays: an upgrade goes back to what was held before it.
//! 2. At most `LOCK_CANCELS_KEPT_MAX` cancels are remembered, the latest ones.
//!
//! Not here: sending cancels, and asking which requests are under way (`server`). A grant whose cancel is lost on all its
//! ways stays until its transaction ends.

use super::{GONE, GRANTED, RowLocks, State, WAITING, Waiter};
use crate::command::LockOwner;
use base::limits::LOCK_CANCELS_KEPT_MAX;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The last request that each owner has cancelled, in two halves: when the newer one is full, the older one is forgotten.
#[derive(Debug, Default)]
pub(super) struct Cancelled {
    newer: BTreeMap<LockOwner, u64>,
    older: BTreeMap<LockOwner, u64>,
}

impl Cancelled {
    /// Whether a request was cancelled, or one after it.
    pub(super) fn has(&self, owner: LockOwner, request: u64) -> bool {
        let halves = [&self.newer, &self.older];
        request != 0
            && halves.iter().any(|half| half.get(&owner).is_some_and(|last| *last >= request))
    }

    fn note(&mut self, owner: LockOwner, request: u64) {
        if self.newer.len() >= LOCK_CANCELS_KEPT_MAX / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
        let last = self.newer.entry(owner).or_default();
        *last = request.max(*last);
    }
}

impl RowLocks {
    /// Cancels a request of an owner, and those before it: their waits end, and locks on `keys` that no other request has
    /// asked for are given back.
    pub fn cancel(&self, owner: LockOwner, request: u64, keys: &[Bytes]) {
        if request == 0 {
            return;
        }
        let mut state = self.state.lock();
        state.cancelled.note(owner, request);
        self.end_requests(&mut state, owner, request);
        for key in keys {
            self.give_back(&mut state, owner, request, key);
        }
    }

    /// The requests that wait here and can be cancelled, at most `LOCK_WAITS_TOLD_MAX` of them.
    pub fn waiting_requests(&self) -> BTreeSet<(LockOwner, u64)> {
        let state = self.state.lock();
        let waiting = state.waits.values().filter(|waiter| waiter.request != 0);
        let waiting = waiting.map(|waiter| (waiter.owner, waiter.request));
        waiting.take(base::limits::LOCK_WAITS_TOLD_MAX).collect()
    }

    /// Ends an owner's waits for requests up to this number.
    pub(super) fn end_requests(&self, state: &mut State, owner: LockOwner, last: u64) {
        if last == 0 {
            return;
        }
        state.held_ups.end_requests(owner, last);
        if state.waits.is_empty() {
            return;
        }
        let waits: Vec<Arc<Waiter>> = state
            .waits_of(owner)
            .filter(|waiter| (1..=last).contains(&waiter.request))
            .cloned()
            .collect();
        for waiter in waits {
            self.quit(state, &waiter, GONE);
        }
    }

    /// Ends a wait whose outcome nobody has learned: as if it had never been asked for.
    pub(super) fn give_up(&self, waiter: &Arc<Waiter>) {
        let mut state = self.state.lock();
        match waiter.outcome.load(Ordering::SeqCst) {
            WAITING => self.quit(&mut state, waiter, GONE),
            GRANTED => self.give_back(&mut state, waiter.owner, waiter.request, &waiter.key),
            _ => {}
        }
    }

    /// Undoes what a request alone has been granted on a key.
    fn give_back(&self, state: &mut State, owner: LockOwner, request: u64, key: &Bytes) {
        let Some(locks) = state.keys.get_mut(key) else { return };
        let mut holders = locks.holders.iter_mut();
        let granted = holders.find(|held| held.owner == owner && held.request == request);
        let Some(held) = granted.filter(|_| request != 0) else { return };
        match held.before.take() {
            Some(before) => {
                held.mode = before;
                held.request = 0;
                self.let_in(state, key);
            }
            None => self.leave(state, owner, key),
        }
    }
}

impl State {
    /// A request has asked for what its owner holds: that does not go back with an earlier request any more.
    pub(super) fn asked_again(&mut self, owner: LockOwner, key: &Bytes, request: u64) {
        let Some(locks) = self.keys.get_mut(key) else { return };
        let mine = locks.holders.iter_mut().find(|held| held.owner == owner);
        if let Some(held) = mine.filter(|held| held.request != request) {
            held.request = 0;
            held.before = None;
        }
    }
}
