//! Reads at a shard's leader.
//!
//! Order matters: latches first, then the lock table, then the engine. A prewrite enters the lock table
//! before its latch drops, so no change falls between the looks; whatever starts after the look at the
//! latches commits later than the read point.
//!
//! A read of the newest versions has no read point to protect it: between its look at the locks and its
//! engine snapshot a whole two-phase commit could go by, half of it visible. It therefore takes the
//! snapshot while it holds the lock table for reading, which holds up any prewrite's entry.
//!
//! The safe point is looked at last: it rises before the removals that it allows are replicated, so a reader that
//! still finds it low has read what was there.
//!
//! The oldest lock is looked for in this order: the lock floor, then the latches, then the lock table. A prewrite that was
//! evaluated under a lower floor holds its latches by then, or its locks stand in the table; later ones are refused.

use super::Core;
use super::evaluate::locked;
use super::tenure::Tenure;
use crate::command::{ReadRequest, ReadResponse, Version};
use crate::defect;
use crate::lock_table::LockTable;
use crate::{Error, Result};
use base::{KeyRange, Timestamp, limits};
use bytes::Bytes;
use engine::EngineSnapshot;
use engine::mvcc::{self, View};
use std::sync::Arc;
use tokio::time::timeout;

/// Reads one key if there is nothing to wait for.
pub(super) fn try_get(core: &Core, key: &[u8], ts: Timestamp) -> Option<Result<Option<Version>>> {
    let tenure = core.serving_tenure()?;
    if tenure.latches.blocks_key(key, ts) {
        return None;
    }
    if let Err(error) = check_key(&tenure.locks.read(), key, ts) {
        return Some(Err(error));
    }
    let found = version_at(&*core.engine, key, ts);
    if ts < tenure.safe_point() {
        return Some(Err(too_old(core, &tenure, ts)));
    }
    // Memory of a past term vouches for nothing; the slow path will say so.
    (core.replication.serving_term() == Some(tenure.term)).then_some(found)
}

/// Runs a read.
pub(super) async fn read(core: &Core, request: ReadRequest) -> Result<ReadResponse> {
    let tenure = core.tenure().await?;
    let ts = match &request {
        ReadRequest::Get { ts, .. } | ReadRequest::Scan { ts, .. } => *ts,
        // Versions after it are looked for; those that a later read point hides may be gone.
        ReadRequest::Changed { since, .. } => *since,
        ReadRequest::OldestLock { .. } => Timestamp::MAX,
    };
    let response = match request {
        ReadRequest::Get { keys, ts } => get(core, &tenure, &keys, ts).await?,
        ReadRequest::Scan { range, ts, reverse, limit } => {
            let wish = Wish { ts, reverse, limit: limit.clamp(1, limits::SCAN_ROWS_MAX) };
            scan(core, &tenure, range, wish).await?
        }
        ReadRequest::Changed { keys, ranges, since, ts, own } => {
            let between = Between { since, ts, own };
            changed(core, &tenure, keys, ranges, between).await?
        }
        ReadRequest::OldestLock { .. } => oldest_lock(core, &tenure).await?,
    };
    // After the engine was read: what is dropped later was still there.
    if ts < tenure.safe_point() {
        return Err(too_old(core, &tenure, ts));
    }
    match core.still_serves(&tenure).await {
        true => Ok(response),
        false => Err(core.not_serving()),
    }
}

/// The error for a read point whose versions may be dropped.
fn too_old(core: &Core, tenure: &Tenure, ts: Timestamp) -> Error {
    let (shard, safe_point) = (core.replication.shard(), tenure.safe_point());
    Error::SnapshotTooOld { shard, ts, safe_point }
}

/// The versions of some keys.
async fn get(core: &Core, tenure: &Tenure, keys: &[Bytes], ts: Timestamp) -> Result<ReadResponse> {
    while let Some(blocker) = tenure.latches.blocker_of_keys(keys, ts) {
        bounded(core, blocker.cleared()).await?;
    }
    // One key, or a read point that no later commit can touch, needs no frozen view.
    let frozen = {
        let locks = tenure.locks.read();
        keys.iter().try_for_each(|key| check_key(&locks, key, ts))?;
        (ts == Timestamp::MAX && keys.len() > 1).then(|| core.engine.snapshot())
    };
    let values = match frozen {
        Some(snapshot) => versions_at(&*snapshot, keys, ts)?,
        None => versions_at(&*core.engine, keys, ts)?,
    };
    Ok(ReadResponse::Values(values))
}

/// When the oldest transaction began that has a lock, and the lock floor under which none was overlooked.
async fn oldest_lock(core: &Core, tenure: &Tenure) -> Result<ReadResponse> {
    let floor = tenure.lock_floor();
    let holders = tenure.latches.holders();
    bounded(core, async {
        for holder in &holders {
            holder.over().await;
        }
    })
    .await?;
    let oldest = tenure.locks.read().oldest();
    Ok(ReadResponse::OldestLock { floor, oldest })
}

/// Which changes count.
#[derive(Clone, Copy)]
struct Between {
    /// Versions up to here do not.
    since: Timestamp,
    /// Versions after this do not.
    ts: Timestamp,
    /// Locks of this prewrite are no obstacle.
    own: Timestamp,
}

/// Looks for changes of keys and ranges. What may still commit at or before `ts` is waited for, as by a read at `ts`.
async fn changed(
    core: &Core,
    tenure: &Tenure,
    keys: Vec<Bytes>,
    ranges: Vec<KeyRange>,
    between: Between,
) -> Result<ReadResponse> {
    let Between { since, ts, own } = between;
    while let Some(blocker) = tenure.latches.blocker_of_keys(&keys, ts) {
        bounded(core, blocker.cleared()).await?;
    }
    for range in &ranges {
        while let Some(blocker) = tenure.latches.blocker_in_range(range, ts) {
            bounded(core, blocker.cleared()).await?;
        }
    }
    let snapshot = {
        let locks = tenure.locks.read();
        for key in &keys {
            match locks.get(key) {
                Some(lock) if lock.is_in_way(ts) && lock.start_ts != own => {
                    return Err(locked(key, lock));
                }
                Some(_) | None => {}
            }
        }
        for range in &ranges {
            if let Some((key, lock)) = locks.first_in_way_of(range, ts, own) {
                return Err(locked(key, lock));
            }
        }
        core.engine.snapshot()
    };
    for key in keys {
        let newest = mvcc::get(&*snapshot, &key, ts)?;
        if newest.is_some_and(|version| version.commit_ts > since) {
            return Ok(ReadResponse::Changed { key: Some(key), rest: Vec::new() });
        }
    }
    let mut ranges = ranges.into_iter();
    while let Some(range) = ranges.next() {
        match mvcc::find_change(&*snapshot, &range, since, ts, limits::SCAN_ROWS_MAX)? {
            mvcc::Changes::Found(key) => {
                return Ok(ReadResponse::Changed { key: Some(key), rest: Vec::new() });
            }
            mvcc::Changes::None => {}
            mvcc::Changes::Rest(rest) => {
                let rest = std::iter::once(rest).chain(ranges).collect();
                return Ok(ReadResponse::Changed { key: None, rest });
            }
        }
    }
    Ok(ReadResponse::Changed { key: None, rest: Vec::new() })
}

/// How to scan.
#[derive(Clone, Copy)]
struct Wish {
    /// Read point.
    ts: Timestamp,
    /// Descending order.
    reverse: bool,
    /// Most rows; at least one.
    limit: usize,
}

/// One page of a range. A lock in the way ends the page before it; only when nothing comes before it
/// is the caller told.
async fn scan(core: &Core, tenure: &Tenure, range: KeyRange, wish: Wish) -> Result<ReadResponse> {
    while let Some(blocker) = tenure.latches.blocker_in_range(&range, wish.ts) {
        bounded(core, blocker.cleared()).await?;
    }
    let (snapshot, obstacle) = {
        let locks = tenure.locks.read();
        let obstacle = locks
            .first_in_way(&range, wish.ts, wish.reverse)
            .map(|(key, lock)| (key.clone(), lock.clone()));
        (core.engine.snapshot(), obstacle)
    };
    let Some((key, lock)) = obstacle else {
        let (rows, rest) = page(snapshot, &range, wish)?;
        return Ok(ReadResponse::Page { rows, rest });
    };
    // Both halves of the range: what comes before the lock, and from the lock on.
    let (before, from) = match wish.reverse {
        false => (KeyRange::new(range.start, key.clone()), KeyRange::new(key.clone(), range.end)),
        true => (
            KeyRange::new(right_after(&key), range.end),
            KeyRange::new(range.start, right_after(&key)),
        ),
    };
    let (rows, rest) = page(snapshot, &before, wish)?;
    let rest = match rest {
        None if rows.is_empty() => return Err(locked(&key, &lock)),
        None => from,
        // The page was cut before it came to the lock.
        Some(rest) if wish.reverse => KeyRange::new(from.start, rest.end),
        Some(rest) => KeyRange::new(rest.start, from.end),
    };
    Ok(ReadResponse::Page { rows, rest: Some(rest) })
}

/// Rows, and what is left of the range.
type Page = (Vec<(Bytes, Version)>, Option<KeyRange>);

/// Visible rows of a range up to the limits, and what is left of it.
fn page(snapshot: Arc<dyn EngineSnapshot>, range: &KeyRange, wish: Wish) -> Result<Page> {
    let mut rows: Vec<(Bytes, Version)> = Vec::new();
    let mut bytes = 0;
    let mut cut = false;
    mvcc::scan(&*snapshot, range, wish.ts, wish.reverse, |key, commit_ts, value| {
        bytes += key.len() + value.len();
        let value = Bytes::copy_from_slice(value);
        rows.push((Bytes::copy_from_slice(key), Version { commit_ts, value }));
        cut = rows.len() >= wish.limit || bytes >= limits::SCAN_BYTES_MAX;
        Ok(!cut)
    })?;
    let rest = rows.last().filter(|_| cut).map(|(last, _)| match wish.reverse {
        false => KeyRange::new(right_after(last), range.end.clone()),
        true => KeyRange::new(range.start.clone(), last.clone()),
    });
    // An end that is empty means "no bound", so only a descending rest can come to nothing here.
    Ok((rows, rest.filter(|rest| !rest.is_empty())))
}

/// The smallest key above `key`.
fn right_after(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The version of each key at `ts`.
fn versions_at<V: View + ?Sized>(
    view: &V,
    keys: &[Bytes],
    ts: Timestamp,
) -> Result<Vec<Option<Version>>> {
    keys.iter().map(|key| version_at(view, key, ts)).collect()
}

/// The visible version of a key at `ts`: one probe.
fn version_at<V: View + ?Sized>(view: &V, key: &[u8], ts: Timestamp) -> Result<Option<Version>> {
    let Some(found) = mvcc::get(view, key, ts)? else { return Ok(None) };
    Ok(found.value.map(|value| Version { commit_ts: found.commit_ts, value }))
}

/// Whether a read of `key` at `ts` may go on.
fn check_key(locks: &LockTable, key: &[u8], ts: Timestamp) -> Result<()> {
    match locks.get(key) {
        Some(_) if defect::active("reads-pass-locks") => Ok(()),
        Some(lock) if lock.is_in_way(ts) => Err(locked(key, lock)),
        Some(_) | None => Ok(()),
    }
}

/// Waits for a pending write, but not for ever.
async fn bounded(core: &Core, wait: impl Future<Output = ()>) -> Result<()> {
    timeout(limits::READ_WAIT_MAX, wait).await.map_err(|_| Error::Unavailable {
        shard: core.replication.shard(),
        what: "a write below the read point has found no quorum yet; try again".into(),
    })
}
