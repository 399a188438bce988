//! Row locks at a shard's leader.
//!
//! ```text
//!  each key in turn: ask ─► granted, or stand in line ─► no prewrite in the way?
//!                                                          └─ latch: writes under way are over ─► newest version
//! ```
//!
//! A write looks for row locks while it holds the latches of its keys. So when the latches are held here, after the
//! locks, whatever is evaluated later sees the locks, and whatever was evaluated before has been applied: the version
//! that is answered stays the newest as long as the lock is held.
//!
//! What was granted before a later key failed stays with its owner, unless the asker cancels the request. Who does not wait is
//! told of a prewrite before a row lock is taken beside it, and gives back one that was: a row that is passed over stays
//! free for others.
//!
//! Keys that a large transaction has written already need no row lock of it: their replicated locks keep others away. It
//! must not wait for one either, because somebody may hold it who waits for the replicated lock to go. Who does so is told
//! `KeyLocked` and counts as waiting for the transaction's owner until it asks again (`row_locks::held_up`).

use super::Core;
use super::evaluate::locked;
use super::tenure::Tenure;
use crate::command::{LockMode, LockRequest, LockedKey, Patience};
use crate::latch::Visibility;
use crate::row_locks::{Asked, Asker, Wait, WaitOutcome};
use crate::{Error, Result};
use base::{SlotRange, Timestamp, limits};
use bytes::Bytes;
use engine::mvcc::{self, Change};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::time::timeout;

/// Runs a lock request.
pub(super) async fn lock(
    core: &Core,
    slots: SlotRange,
    mut request: LockRequest,
) -> Result<Vec<LockedKey>> {
    if request.own == Timestamp::ZERO {
        return lock_rows(core, slots, request).await;
    }
    let tenure = core.tenure().await?;
    tenure.check_slots(slots)?;
    core.row_locks.note_large(request.own, request.owner);
    let mut outcomes = Vec::with_capacity(request.keys.len());
    let mut others = Vec::new();
    for key in std::mem::take(&mut request.keys) {
        let own = own_change(core, &tenure, &key, request.own)?;
        if own.is_none() {
            others.push(key);
        }
        outcomes.push(own.map(|exists| LockedKey::Own { exists }));
    }
    let locked = match others.is_empty() {
        true if core.still_serves(&tenure).await => Vec::new(),
        true => return Err(core.not_serving()),
        false => lock_rows(core, slots, LockRequest { keys: others, ..request }).await?,
    };
    tenure.check_slots(slots)?;
    let mut locked = locked.into_iter();
    let outcome = |own: Option<LockedKey>| own.or_else(|| locked.next());
    Ok(outcomes.into_iter().filter_map(outcome).collect())
}

/// Whether a key exists in the eyes of a large transaction that has written it; `None` when it has not.
fn own_change(core: &Core, tenure: &Tenure, key: &[u8], own: Timestamp) -> Result<Option<bool>> {
    let (in_table, large) = {
        let locks = tenure.locks.read();
        let in_table = locks.get(key).is_some_and(|lock| lock.start_ts == own);
        (in_table, locks.find_large(&*core.engine, key)?)
    };
    let lock = match in_table {
        true => mvcc::get_lock(&*core.engine, key)?,
        false => large,
    };
    match lock.filter(|lock| lock.start_ts == own).map(|lock| lock.change) {
        None => Ok(None),
        Some(Change::Put(_)) => Ok(Some(true)),
        Some(Change::Delete) => Ok(Some(false)),
        Some(Change::Keep) => {
            let newest = mvcc::newest(&*core.engine, key)?;
            Ok(Some(newest.is_some_and(|found| found.value.is_some())))
        }
    }
}

/// Runs a request for keys that the asker has not written.
async fn lock_rows(core: &Core, slots: SlotRange, request: LockRequest) -> Result<Vec<LockedKey>> {
    let tenure = core.tenure().await?;
    tenure.check_slots(slots)?;
    core.load.asked_for(&request.keys);
    let served = (&*tenure, slots);
    let waited = AtomicBool::new(false);
    // What somebody gives back who does not wait.
    let mut fresh: Vec<Bytes> = Vec::new();
    let taken = match request.patience {
        Patience::NoWait | Patience::Skip => {
            no_prewrite(core, &tenure, &request.keys)?;
            let is_fresh = |key: &&Bytes| !tenure.row_locks.holds(request.owner, key);
            fresh.extend(request.keys.iter().filter(is_fresh).cloned());
            take_all(core, served, &request, None, &waited).await?
        }
        Patience::Wait(longest) => {
            // The key that is waited for, for the error.
            let at = AtomicUsize::new(0);
            let all = take_all(core, served, &request, Some(&at), &waited);
            match timeout(longest.min(limits::ROW_LOCK_ROUND_MAX), all).await {
                Ok(taken) => taken?,
                Err(_) => {
                    let key = request.keys[at.load(Ordering::SeqCst)].clone();
                    return Err(Error::LockWaitTimeout { key });
                }
            }
        }
    };
    let held: Vec<Bytes> = (request.keys.iter().zip(&taken))
        .filter(|(_, taken)| **taken)
        .map(|(key, _)| key.clone())
        .collect();
    if held.is_empty() {
        return Ok(vec![LockedKey::Skipped; taken.len()]);
    }
    let unlocked = || {
        let met = |error| told_of_prewrite(&tenure, &request, &fresh, error);
        no_prewrite(core, &tenure, &held).map_err(met)
    };
    unlocked()?;
    let guard = tenure.latches.enqueue(held.clone(), Visibility::Never);
    let waited = waited.into_inner() || !guard.is_granted();
    if timeout(limits::READ_WAIT_MAX, guard.granted()).await.is_err() {
        let what = "a write before the lock has found no quorum yet; try again".into();
        return Err(Error::Unavailable { shard: core.replication.shard(), what });
    }
    // One that was evaluated before the lock was granted.
    unlocked()?;
    let mut outcomes = Vec::with_capacity(taken.len());
    for (key, taken) in request.keys.iter().zip(taken) {
        outcomes.push(match taken {
            false => LockedKey::Skipped,
            true => match mvcc::newest(&*core.engine, key)? {
                Some(found) => LockedKey::Held {
                    commit_ts: found.commit_ts,
                    exists: found.value.is_some(),
                    waited,
                },
                None => LockedKey::Held { commit_ts: Timestamp::ZERO, exists: false, waited },
            },
        });
    }
    drop(guard);
    if !core.still_serves(&tenure).await {
        return Err(core.not_serving());
    }
    // A lock that was granted goes to the child with the others of its slots, or stays.
    tenure.check_slots(slots)?;
    Ok(outcomes)
}

/// Takes the keys one after the other; `false` for one that is left out.
async fn take_all(
    core: &Core,
    (tenure, slots): (&Tenure, SlotRange),
    request: &LockRequest,
    at: Option<&AtomicUsize>,
    waited: &AtomicBool,
) -> Result<Vec<bool>> {
    let shard = core.replication.shard();
    let LockRequest { owner, number, weight, .. } = *request;
    let asker = Asker { owner, request: number, weight };
    let mut taken = Vec::with_capacity(request.keys.len());
    for (position, key) in request.keys.iter().enumerate() {
        // Those of a child's slots are on their way there.
        tenure.check_slots(slots)?;
        match tenure.row_locks.ask(shard, asker, key, request.mode, at.is_some())? {
            Asked::Granted => taken.push(true),
            // Nobody hears this any more.
            Asked::Cancelled => return Err(core.not_serving()),
            Asked::Deadlock => return Err(Error::Deadlock { key: key.clone() }),
            Asked::Taken if request.patience == Patience::Skip => taken.push(false),
            Asked::Taken => return Err(Error::LockNotAvailable { key: key.clone() }),
            Asked::Waits(wait) => {
                waited.store(true, Ordering::SeqCst);
                if let Some(at) = at {
                    at.store(position, Ordering::SeqCst);
                }
                granted(core, (tenure, slots), &wait, key).await?;
                taken.push(true);
            }
        }
    }
    Ok(taken)
}

/// Waits in line as long as this replica leads and serves these slots.
async fn granted(
    core: &Core,
    (tenure, slots): (&Tenure, SlotRange),
    wait: &Wait,
    key: &Bytes,
) -> Result<()> {
    loop {
        match timeout(limits::ROW_LOCK_LEADER_CHECK, wait.ended()).await {
            Ok(WaitOutcome::Granted) => return Ok(()),
            Ok(WaitOutcome::Deadlock) => return Err(Error::Deadlock { key: key.clone() }),
            Ok(WaitOutcome::Gone) => {
                tenure.check_slots(slots)?;
                return Err(core.not_serving());
            }
            Err(_) if core.still_serves(tenure).await => {
                tenure.check_slots(slots)?;
            }
            Err(_) => return Err(core.not_serving()),
        }
    }
}

/// The replicated locks of unfinished commits come before row locks.
fn no_prewrite(core: &Core, tenure: &Tenure, keys: &[Bytes]) -> Result<()> {
    let locks = tenure.locks.read();
    for key in keys {
        if let Some(lock) = locks.find(&*core.engine, key)? {
            return Err(locked(key, &lock));
        }
    }
    Ok(())
}

/// What an asker is told whose rows are locked and who then meets a prewrite. Who does not wait gives a fresh row lock
/// back; who waits is held up by a large transaction, or gives way to it.
fn told_of_prewrite(
    tenure: &Tenure,
    request: &LockRequest,
    fresh: &[Bytes],
    error: Error,
) -> Error {
    let LockRequest { owner, number, weight, mode, patience, .. } = *request;
    let Error::KeyLocked { key, start_ts, large, .. } = &error else { return error };
    match patience {
        Patience::NoWait | Patience::Skip => {
            if fresh.contains(key) {
                tenure.row_locks.release_keys(owner, std::slice::from_ref(key));
            }
            error
        }
        Patience::Wait(left) if *large && !left.is_zero() => {
            let asker = Asker { owner, request: number, weight };
            match tenure.row_locks.hold_up(tenure.shard, asker, key, mode, *start_ts) {
                true => Error::Deadlock { key: key.clone() },
                false => error,
            }
        }
        Patience::Wait(_) => error,
    }
}

/// The row lock that a change needs.
pub(super) fn mode_of(change: &Change) -> LockMode {
    match change {
        Change::Put(_) | Change::Delete => LockMode::Exclusive,
        Change::Keep => LockMode::Shared,
    }
}
