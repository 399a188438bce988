//! What a node's row locks look like from outside: who holds and waits, and the last deadlock.
//!
//! A report has room for some rows only. Locks that somebody waits for come first: they are what people look for.
//! Locks of the meta shard's own records (user locks, the catalog) are left out.

use super::{KeyLocks, RowLocks, State, Waiter};
use crate::command::{LockMode, LockOwner};
use base::TableId;
use bytes::Bytes;
use engine::key;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Waits that are remembered of a deadlock.
const DEADLOCK_WAITS_MAX: usize = 16;
/// Others before it that a waiter is told with.
const BLOCKERS_TOLD_MAX: usize = 64;

/// The row locks of a node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockReport {
    /// Locks that are held.
    pub held: Vec<HeldLock>,
    /// Locks that are waited for.
    pub waits: Vec<WaitingLock>,
    /// Whether there are more than there was room for.
    pub cut: bool,
    /// The last deadlock that was ended here.
    pub deadlock: Option<Deadlock>,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// The engine key.
    pub key: Bytes,
    /// Who.
    pub owner: LockOwner,
    /// How.
    pub mode: LockMode,
}

/// A lock that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingLock {
    /// The engine key.
    pub key: Bytes,
    /// Who.
    pub owner: LockOwner,
    /// How.
    pub mode: LockMode,
    /// The holders it cannot share with and the nearest such one before it in the line, and how they hold or want it.
    pub blockers: Vec<(LockOwner, LockMode)>,
}

/// A deadlock that was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    /// When, by this node's wall clock.
    pub unix_ms: u64,
    /// Who gave way.
    pub victim: LockOwner,
    /// What it waited for, then what those before it waited for on this node.
    pub waits: Vec<WaitingLock>,
}

/// What is left of a report's room.
struct Room {
    rows: usize,
    bytes: usize,
}

impl RowLocks {
    /// Locks, waits and the last deadlock: at most so many rows of locks and as many of waits, and so many bytes of
    /// keys in each.
    pub fn report(&self, rows_max: usize, bytes_max: usize) -> LockReport {
        let now = self.clock.monotonic();
        let state = self.state.lock();
        let deadlock = state.deadlock.clone();
        let mut report = LockReport { deadlock, ..LockReport::default() };
        let mut contended: BTreeSet<Bytes> = BTreeSet::new();
        let mut room = Room { rows: rows_max, bytes: bytes_max };
        let in_line = state.waits.values().map(|waiter| state.wait_of(waiter));
        let held_up = state.held_ups.recent(now);
        let held_up = held_up.map(|(owner, key, held_up)| held_up.to_wait(owner, key));
        for mut wait in in_line.chain(held_up).filter(|wait| is_of_a_table(&wait.key)) {
            if wait.blockers.len() > BLOCKERS_TOLD_MAX {
                wait.blockers.truncate(BLOCKERS_TOLD_MAX);
                report.cut = true;
            }
            if !room.takes(wait.blockers.len().max(1), wait.key.len()) {
                report.cut = true;
                break;
            }
            contended.insert(wait.key.clone());
            report.waits.push(wait);
        }
        let mut room = Room { rows: rows_max, bytes: bytes_max };
        // What large transactions have locked, as far as somebody waits for it.
        let mut told: BTreeSet<(LockOwner, &Bytes)> = BTreeSet::new();
        for (_, key, held_up) in state.held_ups.recent(now).filter(|(_, key, _)| is_of_a_table(key))
        {
            let Some(owner) = held_up.blocker().filter(|owner| told.insert((*owner, key))) else {
                continue;
            };
            if !room.takes(1, key.len()) {
                report.cut = true;
                break;
            }
            report.held.push(HeldLock { key: key.clone(), owner, mode: LockMode::Exclusive });
        }
        let waited_for = contended.iter().filter_map(|key| state.keys.get_key_value(key));
        let others = state.keys.iter().filter(|(key, _)| !contended.contains(*key));
        for (key, locks) in waited_for.chain(others).filter(|(key, _)| is_of_a_table(key)) {
            if !room.takes(locks.holders.len(), key.len()) {
                report.cut = true;
                break;
            }
            // Who is held up has got the row lock, and waits for the row all the same.
            let has = |lock: &HeldLock| !state.held_ups.has(lock.owner, key, now);
            report.held.extend(held(key, locks).filter(has));
        }
        report
    }
}

impl Room {
    /// Takes room for so many rows with a key of this length; `false` when there is not enough.
    fn takes(&mut self, rows: usize, key_bytes: usize) -> bool {
        let bytes = rows * key_bytes;
        if rows > self.rows || bytes > self.bytes {
            return false;
        }
        self.rows -= rows;
        self.bytes -= bytes;
        true
    }
}

impl State {
    /// Remembers a deadlock that is ended by this owner's giving way. Nothing happens when it does not wait.
    pub(super) fn remember_deadlock(&mut self, victim: LockOwner, unix_ms: u64, now: Duration) {
        let mut waits: Vec<WaitingLock> = Vec::new();
        let mut seen = BTreeSet::from([victim]);
        let mut left = VecDeque::from([victim]);
        while let Some(owner) = left.pop_front() {
            let in_line = self.waits_of(owner).map(|waiter| self.wait_of(waiter));
            let held_up = self.held_ups.of_owner(owner, now);
            let held_up = held_up.map(|(key, held_up)| held_up.to_wait(owner, key));
            for wait in in_line.chain(held_up).take(DEADLOCK_WAITS_MAX - waits.len()) {
                for (blocker, _) in &wait.blockers {
                    if seen.insert(*blocker) {
                        left.push_back(*blocker);
                    }
                }
                waits.push(wait);
            }
            if waits.len() == DEADLOCK_WAITS_MAX {
                break;
            }
        }
        if !waits.is_empty() {
            self.deadlock = Some(Deadlock { unix_ms, victim, waits });
        }
    }

    fn wait_of(&self, waiter: &Waiter) -> WaitingLock {
        let Waiter { key, owner, mode, .. } = waiter;
        let mut blockers: Vec<(LockOwner, LockMode)> = Vec::new();
        if let Some(locks) = self.keys.get(key) {
            let shares = |other: LockMode| other == LockMode::Shared && *mode == LockMode::Shared;
            let holders = locks.holders.iter();
            let others = holders.filter(|held| held.owner != *owner && !shares(held.mode));
            blockers.extend(others.map(|held| (held.owner, held.mode)));
            let place = locks.line.iter().position(|other| std::ptr::eq(&**other, waiter));
            let mut ahead = locks.line.iter().take(place.unwrap_or(0)).rev();
            let nearest = ahead.find(|other| !shares(other.mode));
            blockers.extend(nearest.map(|other| (other.owner, other.mode)));
        }
        WaitingLock { key: key.clone(), owner: *owner, mode: *mode, blockers }
    }
}

fn held<'a>(key: &'a Bytes, locks: &'a KeyLocks) -> impl Iterator<Item = HeldLock> + 'a {
    let holders = locks.holders.iter();
    holders.map(|held| HeldLock { key: key.clone(), owner: held.owner, mode: held.mode })
}

/// Whether a key belongs to a table that people have made.
fn is_of_a_table(engine_key: &[u8]) -> bool {
    key::table_of_key(engine_key).is_ok_and(|table| table >= TableId::FIRST_USER)
}
