//! Row locks: who may change a row next. In the memory of the nodes that lead shards, one table per node.
//!
//! ```text
//!  ask ─┬─ free, or shared beside shared ─────────► held ──release──► next of the line
//!       └─ taken ─► line (first come, first served) ─┬─ granted ──► held
//!                        │                           ├─ deadlock: chosen to give way
//!                        └─ a cycle of waits? ───────┴─ gone: released, or the shard went elsewhere
//! ```
//!
//! A lock keeps others waiting; it proves nothing. Whoever writes says which version it has seen, and the shard checks
//! that when it commits, so a table that is lost with its leader costs a retry (1213), never an update. When
//! leadership is given away on purpose the locks go along (`handover`).
//!
//! An upgrade from shared to exclusive goes before everybody in the line: nobody there can be served first anyway.
//!
//! Locks of large transactions are in no such table. Whoever meets one asks again and again, and counts as waiting
//! meanwhile (`held_up`).
//!
//! Whoever asks may give up (`cancel`): its requests are numbered, and a later one ends the waits of those before it.
//!
//! Invariants:
//! 1. A key has one exclusive holder and no other, or any number of shared ones.
//! 2. A line is not longer than its first waiter's reason to wait: whoever leaves lets in all that fit then.
//! 3. Nobody waits in a cycle within this table: the one who closes it, or a lighter member, is told `Deadlock` at
//!    once. Cycles over several nodes are found by comparing [`RowLocks::waits`].
//! 4. An owner stands once in a line. Nobody is granted a lock by a request that was cancelled here.
//!
//! Not here: finding out that an owner is gone, and how long a wait may last (`shard`).

mod cancel;
mod deadlock;
mod division;
mod handover;
mod held_up;
mod report;

pub use deadlock::find_victims;
pub use report::{Deadlock, HeldLock, LockReport, WaitingLock};

use crate::command::{LockMode, LockOwner, LockWaiting};
use crate::{Error, Result};
use base::{ShardId, SharedClock, limits};
use bytes::Bytes;
use cancel::Cancelled;
use handover::Aside;
use held_up::HeldUps;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// The row locks of all shards that a node leads.
pub struct RowLocks {
    /// Says when a deadlock was.
    clock: SharedClock,
    state: Mutex<State>,
    /// Locks held: a look without the mutex for writes that meet none.
    held: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// Keys that somebody holds.
    keys: BTreeMap<Bytes, KeyLocks>,
    /// What each owner holds.
    owners: BTreeMap<LockOwner, BTreeSet<Bytes>>,
    /// Who waits for what.
    waits: BTreeMap<(LockOwner, Bytes), Arc<Waiter>>,
    /// The last deadlock that was ended here.
    deadlock: Option<Deadlock>,
    /// What leaders elsewhere have handed over for leaderships that have yet to begin here.
    aside: BTreeMap<ShardId, Aside>,
    /// Requests that were cancelled lately: one that comes after its cancel is refused.
    cancelled: Cancelled,
    /// Requests that wait for large transactions.
    held_ups: HeldUps,
}

/// One key's locks.
#[derive(Debug)]
struct KeyLocks {
    shard: ShardId,
    /// Who holds it, and how.
    holders: Vec<Holder>,
    /// Who waits for it, the next one first.
    line: VecDeque<Arc<Waiter>>,
}

/// Who holds a key.
#[derive(Debug)]
struct Holder {
    owner: LockOwner,
    mode: LockMode,
    /// The one request that has asked for this; 0 when others have asked for it too.
    request: u64,
    /// What the owner held before that request.
    before: Option<LockMode>,
}

/// Who asks for a lock.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// For whom.
    pub owner: LockOwner,
    /// The number of its request; 0 when it cannot be cancelled.
    pub request: u64,
    /// Locks and writes that the owner has already.
    pub weight: u64,
}

/// A place in a line.
#[derive(Debug)]
struct Waiter {
    owner: LockOwner,
    request: u64,
    weight: u64,
    key: Bytes,
    mode: LockMode,
    /// `WAITING` or how it ended.
    outcome: AtomicU8,
    /// Rings at the end.
    ended: Notify,
}

const WAITING: u8 = 0;
const GRANTED: u8 = 1;
const DEADLOCK: u8 = 2;
const GONE: u8 = 3;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// The lock is held now.
    Granted,
    /// The waiter was chosen to give way.
    Deadlock,
    /// The owner was released or gave up meanwhile, or the shard's locks were given up.
    Gone,
}

/// The answer to [`RowLocks::ask`].
#[derive(Debug)]
pub enum Asked {
    /// The lock is held.
    Granted,
    /// Somebody else has it, and the asker would not wait.
    Taken,
    /// The request was cancelled before.
    Cancelled,
    /// While it was held up by a large transaction, the asker was chosen to give way.
    Deadlock,
    /// The asker stands in line.
    Waits(Wait),
}

/// A wait. Dropping it leaves the line, and gives back a lock that was granted without anybody noticing.
#[derive(Debug)]
pub struct Wait {
    locks: Arc<RowLocks>,
    waiter: Arc<Waiter>,
    /// Whether somebody has learned that the lock is granted.
    noticed: AtomicBool,
}

/// A lock or a wait, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLockInfo {
    /// The shard.
    pub shard: ShardId,
    /// The engine key.
    pub key: Bytes,
    /// Who.
    pub owner: LockOwner,
    /// How.
    pub mode: LockMode,
    /// For a wait: who is before it.
    pub waits_for: Vec<LockOwner>,
}

impl std::fmt::Debug for RowLocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowLocks").field("held", &self.held).finish_non_exhaustive()
    }
}

impl RowLocks {
    /// None yet.
    pub fn new(clock: SharedClock) -> Arc<RowLocks> {
        Arc::new(RowLocks { clock, state: Mutex::default(), held: AtomicUsize::new(0) })
    }

    /// The node's time.
    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Asks for a lock.
    ///
    /// # Errors
    /// `TooLarge` at `base::limits::ROW_LOCKS_MAX`.
    pub fn ask(
        self: &Arc<Self>,
        shard: ShardId,
        asker: Asker,
        key: &Bytes,
        mode: LockMode,
        may_wait: bool,
    ) -> Result<Asked> {
        let Asker { owner, request, weight } = asker;
        let mut state = self.state.lock();
        if state.cancelled.has(owner, request) {
            return Ok(Asked::Cancelled);
        }
        // An owner has one request under way: it does not hear of those before.
        self.end_requests(&mut state, owner, request.saturating_sub(1));
        if state.held_ups.ask(owner, request, key) {
            return Ok(Asked::Deadlock);
        }
        let mine = state.keys.get(key).and_then(|locks| locks.mode_of(owner));
        if mine.is_some_and(|mine| mine >= mode) {
            state.asked_again(owner, key, request);
            return Ok(Asked::Granted);
        }
        let entry = state.keys.get(key);
        let free = entry.is_none_or(|locks| {
            locks.admits(owner, mode) && (mine.is_some() || locks.line.is_empty())
        });
        if free {
            if mine.is_none() && self.held.load(Ordering::Relaxed) >= limits::ROW_LOCKS_MAX {
                let limit = limits::ROW_LOCKS_MAX;
                let what = format!("this node holds {limit} row locks; commit in smaller parts");
                return Err(Error::TooLarge { what });
            }
            self.take(&mut state, shard, (owner, request), key, mode);
            return Ok(Asked::Granted);
        }
        if !may_wait {
            return Ok(Asked::Taken);
        }
        let (outcome, ended) = (AtomicU8::new(WAITING), Notify::new());
        let waiter = Waiter { owner, request, weight, key: key.clone(), mode, outcome, ended };
        let waiter = Arc::new(waiter);
        let older = state.waits.insert((owner, key.clone()), waiter.clone());
        if let Some(locks) = state.keys.get_mut(key) {
            let is_older =
                |other: &Arc<Waiter>| older.as_ref().is_some_and(|older| Arc::ptr_eq(older, other));
            match (locks.line.iter().position(is_older), mine) {
                // The same request, sent again: it keeps its place.
                (Some(place), _) => locks.line[place] = waiter.clone(),
                (None, Some(_)) => locks.line.push_front(waiter.clone()),
                (None, None) => locks.line.push_back(waiter.clone()),
            }
        }
        if let Some(older) = older {
            older.end(GONE);
        }
        let now = self.clock.monotonic();
        if let Some(victim) = deadlock::victim_of_cycle(owner, |owner| state.blockers(owner, now)) {
            self.end_waits(&mut state, victim, None, DEADLOCK);
        }
        drop(state);
        let noticed = AtomicBool::new(false);
        Ok(Asked::Waits(Wait { locks: self.clone(), waiter, noticed }))
    }

    /// Whether somebody but `owner` keeps a key from being changed (or, for `Shared`, from being relied upon).
    pub fn is_blocked(&self, key: &[u8], owner: Option<LockOwner>, mode: LockMode) -> bool {
        if self.held.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let state = self.state.lock();
        let Some(locks) = state.keys.get(key) else { return false };
        locks.holders.iter().any(|held| {
            Some(held.owner) != owner
                && (mode == LockMode::Exclusive || held.mode == LockMode::Exclusive)
        })
    }

    /// Whether an owner holds a key, in whatever mode.
    pub fn holds(&self, owner: LockOwner, key: &Bytes) -> bool {
        self.state.lock().owners.get(&owner).is_some_and(|held| held.contains(key))
    }

    /// Gives up an owner's locks on a shard, and its waits there.
    pub fn release(&self, shard: ShardId, owner: LockOwner) {
        let mut state = self.state.lock();
        state.release_aside(Some(shard), owner);
        self.end_waits(&mut state, owner, Some(shard), GONE);
        let keys: Vec<Bytes> = match state.owners.get(&owner) {
            Some(held) => held.iter().filter(|key| state.shard_of(key) == Some(shard)).cloned(),
            None => return,
        }
        .collect();
        for key in keys {
            self.leave(&mut state, owner, &key);
        }
    }

    /// Gives up an owner's locks on some keys.
    pub fn release_keys(&self, owner: LockOwner, keys: &[Bytes]) {
        let mut state = self.state.lock();
        state.release_keys_aside(owner, keys);
        for key in keys {
            state.held_ups.end_key(owner, key);
            if state.owners.get(&owner).is_some_and(|held| held.contains(key)) {
                self.leave(&mut state, owner, key);
            }
        }
    }

    /// Gives up all that an owner holds and waits for on this node.
    pub fn release_all(&self, owner: LockOwner) {
        let mut state = self.state.lock();
        state.release_aside(None, owner);
        self.end_waits(&mut state, owner, None, GONE);
        let keys: Vec<Bytes> = state.owners.get(&owner).into_iter().flatten().cloned().collect();
        for key in keys {
            self.leave(&mut state, owner, &key);
        }
    }

    /// Forgets a shard's locks: another leadership begins, and nobody knows what was locked in between. Locks aside
    /// stay there.
    pub fn reset(&self, shard: ShardId) {
        let mut state = self.state.lock();
        state.held_ups.reset(shard);
        let of_shard =
            |(key, locks): (&Bytes, &KeyLocks)| (locks.shard == shard).then(|| key.clone());
        let keys: Vec<Bytes> = state.keys.iter().filter_map(of_shard).collect();
        for key in keys {
            let Some(locks) = state.keys.remove(&key) else { continue };
            self.held.fetch_sub(locks.holders.len(), Ordering::SeqCst);
            for held in &locks.holders {
                state.forget(held.owner, &key);
            }
            for waiter in &locks.line {
                state.waits.remove(&(waiter.owner, key.clone()));
                waiter.end(GONE);
            }
        }
    }

    /// Owners that hold or wait for something.
    pub fn owners(&self) -> BTreeSet<LockOwner> {
        let state = self.state.lock();
        state.owners.keys().copied().chain(state.waits.keys().map(|(owner, _)| *owner)).collect()
    }

    /// Who waits for whom, at most `LOCK_WAITS_TOLD_MAX` of them.
    pub fn waits(&self) -> Vec<LockWaiting> {
        let state = self.state.lock();
        let in_line = state.waits.values().map(|waiter| LockWaiting {
            owner: waiter.owner,
            weight: waiter.weight,
            blockers: state.blockers_of(waiter),
        });
        let held_up = state.held_ups.recent(self.clock.monotonic());
        let held_up = held_up.map(|(owner, _, held_up)| LockWaiting {
            owner,
            weight: held_up.weight,
            blockers: held_up.blocker().into_iter().collect(),
        });
        in_line.chain(held_up).take(limits::LOCK_WAITS_TOLD_MAX).collect()
    }

    /// Tells an owner that it gives way to a deadlock. Nothing happens when it does not wait any more.
    pub fn give_way(&self, owner: LockOwner) {
        self.end_waits(&mut self.state.lock(), owner, None, DEADLOCK);
    }

    /// Locks, then waits, at most `most` of each.
    pub fn list(&self, most: usize) -> Vec<RowLockInfo> {
        let state = self.state.lock();
        let held = state.keys.iter().flat_map(|(key, locks)| {
            locks.holders.iter().map(|held| RowLockInfo {
                shard: locks.shard,
                key: key.clone(),
                owner: held.owner,
                mode: held.mode,
                waits_for: Vec::new(),
            })
        });
        let waiting = state.waits.values().filter_map(|waiter| {
            Some(RowLockInfo {
                shard: state.shard_of(&waiter.key)?,
                key: waiter.key.clone(),
                owner: waiter.owner,
                mode: waiter.mode,
                waits_for: state.blockers_of(waiter),
            })
        });
        held.take(most).chain(waiting.take(most)).collect()
    }

    /// Locks held.
    pub fn len(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// Whether nothing is locked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes an owner a holder, because of one of its requests.
    fn take(
        &self,
        state: &mut State,
        shard: ShardId,
        (owner, request): (LockOwner, u64),
        key: &Bytes,
        mode: LockMode,
    ) {
        let locks = state.keys.entry(key.clone()).or_insert_with(|| KeyLocks {
            shard,
            holders: Vec::new(),
            line: VecDeque::new(),
        });
        match locks.holders.iter_mut().find(|held| held.owner == owner) {
            Some(held) => {
                let before = Some(held.mode);
                *held = Holder { owner, mode, request, before };
            }
            None => {
                locks.holders.push(Holder { owner, mode, request, before: None });
                self.held.fetch_add(1, Ordering::SeqCst);
                state.owners.entry(owner).or_default().insert(key.clone());
            }
        }
    }

    /// Takes a holder away and lets in whom that makes room for.
    fn leave(&self, state: &mut State, owner: LockOwner, key: &Bytes) {
        let Some(locks) = state.keys.get_mut(key) else { return };
        let before = locks.holders.len();
        locks.holders.retain(|held| held.owner != owner);
        self.held.fetch_sub(before - locks.holders.len(), Ordering::SeqCst);
        state.forget(owner, key);
        self.let_in(state, key);
    }

    /// Grants from the front of a line what can be granted; forgets a key that nobody holds.
    fn let_in(&self, state: &mut State, key: &Bytes) {
        while let Some(locks) = state.keys.get_mut(key) {
            let shard = locks.shard;
            let Some(next) = locks.line.front() else {
                if locks.holders.is_empty() {
                    state.keys.remove(key);
                }
                return;
            };
            if !locks.admits(next.owner, next.mode) {
                return;
            }
            let Some(next) = locks.line.pop_front() else { return };
            state.waits.remove(&(next.owner, key.clone()));
            self.take(state, shard, (next.owner, next.request), key, next.mode);
            next.end(GRANTED);
        }
    }

    /// Ends an owner's waits (on one shard, or all).
    fn end_waits(&self, state: &mut State, owner: LockOwner, shard: Option<ShardId>, outcome: u8) {
        if outcome == DEADLOCK {
            state.remember_deadlock(owner, self.clock.unix_ms(), self.clock.monotonic());
            state.held_ups.give_way(owner);
        } else {
            state.held_ups.end(owner, shard);
        }
        let waits: Vec<Arc<Waiter>> = state
            .waits_of(owner)
            .filter(|waiter| shard.is_none() || state.shard_of(&waiter.key) == shard)
            .cloned()
            .collect();
        for waiter in waits {
            self.quit(state, &waiter, outcome);
        }
    }

    /// Takes a waiter out of its line.
    fn quit(&self, state: &mut State, waiter: &Arc<Waiter>, outcome: u8) {
        if waiter.outcome.load(Ordering::SeqCst) != WAITING {
            return;
        }
        waiter.end(outcome);
        state.waits.remove(&(waiter.owner, waiter.key.clone()));
        if let Some(locks) = state.keys.get_mut(&waiter.key) {
            locks.line.retain(|other| !Arc::ptr_eq(other, waiter));
        }
        self.let_in(state, &waiter.key);
    }
}

impl State {
    fn shard_of(&self, key: &[u8]) -> Option<ShardId> {
        self.keys.get(key).map(|locks| locks.shard)
    }

    fn waits_of(&self, owner: LockOwner) -> impl Iterator<Item = &Arc<Waiter>> {
        let from = Bound::Included((owner, Bytes::new()));
        let mine = self.waits.range((from, Bound::Unbounded));
        mine.take_while(move |((waiting, _), _)| *waiting == owner).map(|(_, waiter)| waiter)
    }

    /// Whom an owner waits for, and its weight; `None` when it does not wait.
    fn blockers(&self, owner: LockOwner, now: Duration) -> Option<(u64, Vec<LockOwner>)> {
        let mut weight = None;
        let mut blockers = Vec::new();
        for waiter in self.waits_of(owner) {
            weight = Some(waiter.weight);
            blockers.extend(self.blockers_of(waiter));
        }
        for (_, held_up) in self.held_ups.of_owner(owner, now) {
            weight = Some(held_up.weight);
            blockers.extend(held_up.blocker());
        }
        weight.map(|weight| (weight, blockers))
    }

    /// Whom a waiter waits for: the nearest one before it in the line that it cannot share with, else the holders. Who
    /// is further ahead is waited for by that one.
    fn blockers_of(&self, waiter: &Waiter) -> Vec<LockOwner> {
        let Some(locks) = self.keys.get(&waiter.key) else { return Vec::new() };
        let place = locks.line.iter().position(|other| std::ptr::eq(&**other, waiter));
        let ahead = locks.line.iter().take(place.unwrap_or(0)).rev();
        let shares = |mode: LockMode| mode == LockMode::Shared && waiter.mode == LockMode::Shared;
        if let Some(other) = ahead.into_iter().find(|other| !shares(other.mode)) {
            return vec![other.owner];
        }
        let holders = locks.holders.iter();
        holders
            .filter(|held| held.owner != waiter.owner && !shares(held.mode))
            .map(|held| held.owner)
            .collect()
    }

    fn forget(&mut self, owner: LockOwner, key: &Bytes) {
        if let Some(held) = self.owners.get_mut(&owner) {
            held.remove(key);
            if held.is_empty() {
                self.owners.remove(&owner);
            }
        }
    }
}

impl KeyLocks {
    fn mode_of(&self, owner: LockOwner) -> Option<LockMode> {
        self.holders.iter().find(|held| held.owner == owner).map(|held| held.mode)
    }

    /// Whether the holders leave room for an owner's lock.
    fn admits(&self, owner: LockOwner, mode: LockMode) -> bool {
        self.holders.iter().all(|held| {
            held.owner == owner || (held.mode == LockMode::Shared && mode == LockMode::Shared)
        })
    }
}

impl Waiter {
    fn end(&self, outcome: u8) {
        self.outcome.store(outcome, Ordering::SeqCst);
        self.ended.notify_waiters();
    }
}

impl Wait {
    /// Waits for the end. May be called again after it was given up.
    pub async fn ended(&self) -> WaitOutcome {
        loop {
            let mut ended = pin!(self.waiter.ended.notified());
            // Listens before it looks, so that no ring is missed in between.
            ended.as_mut().enable();
            match self.waiter.outcome.load(Ordering::SeqCst) {
                WAITING => ended.await,
                GRANTED => {
                    self.noticed.store(true, Ordering::SeqCst);
                    return WaitOutcome::Granted;
                }
                DEADLOCK => return WaitOutcome::Deadlock,
                _ => return WaitOutcome::Gone,
            }
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if !self.noticed.load(Ordering::SeqCst) {
            self.locks.give_up(&self.waiter);
        }
    }
}

#[cfg(test)]
mod tests;
