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
//! Locks of large transactions are not in the table: while there is such a transaction, the engine is asked for them
//! (`sight`).
//!
//! The safe point of the tables that were read is looked at last: it rises before the removals that it allows are
//! replicated, so a reader that still finds it low has read what was there.
//!
//! Which slots are served is looked at first and last. A leader stops to serve a child's slots before the split is replicated
//! (`splitter`), so a reader that still finds them served at the end has read before anybody could write at the child. A
//! shard that was split may hold keys of other slots; reads of ranges pass over them.
//!
//! The oldest lock is looked for in this order: the lock floor, then the latches, then the lock table. A prewrite that was
//! evaluated under a lower floor holds its latches by then, or its locks stand in the table; later ones are refused.

use super::Core;
use super::evaluate::locked;
use super::sight::{End, RangeSight, Sight};
use super::tenure::Tenure;
use crate::command::{Fate, KnownTransaction, ReadRequest, ReadResponse, Version};
use crate::defect;
use crate::load::LoadKind;
use crate::lock_table::{HeldLock, LockTable};
use crate::{Error, Result};
use base::{KeyRange, SlotRange, Timestamp, limits};
use bytes::Bytes;
use engine::EngineSnapshot;
use engine::mvcc::{self, Change, TableSpan, View};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::timeout;

/// Reads one key if there is nothing to wait for.
pub(super) fn try_get(
    core: &Core,
    slots: SlotRange,
    key: &[u8],
    ts: Timestamp,
) -> Option<Result<Option<Version>>> {
    let tenure = core.serving_tenure()?;
    if let Err(error) = tenure.check_slots(slots) {
        return Some(Err(error));
    }
    if tenure.latches.blocks_key(key, ts) {
        return None;
    }
    let _timed = core.load.point(key);
    let sight = {
        let locks = tenure.locks.read();
        let sight = Sight::new(&locks, None, ts, &[]);
        if let Err(error) = check_key(&locks, &sight, key, ts) {
            return Some(Err(error));
        }
        sight
    };
    let found = sight.version(&*core.engine, key);
    if let Some(safe_point) = tenure.safe_point_after(ts, TableSpan::of_key(key)) {
        return Some(Err(too_old(core, ts, safe_point)));
    }
    if let Err(error) = tenure.check_slots(slots) {
        return Some(Err(error));
    }
    // Memory of a past term vouches for nothing; the slow path will say so.
    (core.replication.serving_term() == Some(tenure.term)).then_some(found)
}

/// Reads a page of a range if there is nothing to wait for. What is in the way, and what fails, is left to `read`: it looks at
/// the same things in the same order.
pub(super) fn try_scan(
    core: &Core,
    slots: SlotRange,
    request: &ReadRequest,
) -> Option<ReadResponse> {
    let ReadRequest::Scan { range, ts, reverse, limit, known } = request else { return None };
    let tenure = core.serving_tenure()?;
    // Kept for the whole read.
    let bounds = tenure.check_slots(slots).ok()?;
    if tenure.latches.blocker_in_range(range, *ts).is_some() {
        return None;
    }
    let limit = (*limit).clamp(1, limits::SCAN_ROWS_MAX);
    let wish = Wish { ts: *ts, reverse: *reverse, limit, bounds };
    let answer = scan_now(core, &tenure, range.clone(), wish, known).ok()?;
    // After the engine was read: what is dropped later was still there.
    let is_too_old = tenure.safe_point_after(*ts, TableSpan::of_range(range)).is_some();
    // Memory of a past term vouches for nothing.
    let still_serves = core.replication.serving_term() == Some(tenure.term);
    let still_owns = tenure.check_slots(slots).ok()? == bounds;
    (!is_too_old && still_serves && still_owns).then_some(answer)
}

/// Runs a read.
pub(super) async fn read(
    core: &Core,
    slots: SlotRange,
    request: ReadRequest,
) -> Result<ReadResponse> {
    let tenure = core.tenure().await?;
    // Kept for the whole read.
    let bounds = tenure.check_slots(slots)?;
    let ts = match &request {
        ReadRequest::Get { ts, .. } | ReadRequest::Scan { ts, .. } => *ts,
        // Versions after it are looked for; those that a later read point hides may be gone.
        ReadRequest::Changed { since, .. } => *since,
        ReadRequest::OldestLock { .. } => Timestamp::MAX,
    };
    let tables = tables_of(&request);
    let response = match request {
        ReadRequest::Get { keys, ts, known } => get(core, &tenure, &keys, ts, &known).await?,
        ReadRequest::Scan { range, ts, reverse, limit, known } => {
            let limit = limit.clamp(1, limits::SCAN_ROWS_MAX);
            let wish = Wish { ts, reverse, limit, bounds };
            scan(core, &tenure, range, wish, &known).await?
        }
        ReadRequest::Changed { keys, ranges, since, ts, own, mut known } => {
            // Its own locks change nothing.
            known.push(KnownTransaction { start_ts: own, fate: Fate::Passed });
            let between = Between { since, ts, bounds };
            changed(core, &tenure, keys, ranges, between, &known).await?
        }
        ReadRequest::OldestLock { .. } => oldest_lock(core, &tenure).await?,
    };
    // After the engine was read: what is dropped later was still there.
    if let Some(safe_point) = tables.and_then(|tables| tenure.safe_point_after(ts, tables)) {
        return Err(too_old(core, ts, safe_point));
    }
    if !core.still_serves(&tenure).await {
        return Err(core.not_serving());
    }
    // A shard without bounds gets some before rows of other slots come into it (`merger`).
    if tenure.check_slots(slots)? != bounds {
        return Err(Error::Moved { shard: tenure.shard });
    }
    Ok(response)
}

/// The tables that a request reads; `None` for one that reads no row.
pub(super) fn tables_of(request: &ReadRequest) -> Option<TableSpan> {
    let of_keys =
        |keys: &[Bytes]| keys.iter().map(|key| TableSpan::of_key(key)).reduce(TableSpan::and);
    match request {
        ReadRequest::Get { keys, .. } => of_keys(keys),
        ReadRequest::Scan { range, .. } => Some(TableSpan::of_range(range)),
        ReadRequest::Changed { keys, ranges, .. } => {
            let of_ranges = ranges.iter().map(TableSpan::of_range);
            of_keys(keys).into_iter().chain(of_ranges).reduce(TableSpan::and)
        }
        ReadRequest::OldestLock { .. } => None,
    }
}

/// The error for a read point whose versions may be dropped.
fn too_old(core: &Core, ts: Timestamp, safe_point: Timestamp) -> Error {
    Error::SnapshotTooOld { shard: core.replication.shard(), ts, safe_point }
}

/// The versions of some keys in a view, with its locks.
pub(super) fn get_view<V: View + ?Sized>(
    view: &V,
    locks: &LockTable,
    keys: &[Bytes],
    ts: Timestamp,
    known: &[KnownTransaction],
) -> Result<ReadResponse> {
    let sight = Sight::new(locks, None, ts, known);
    keys.iter().try_for_each(|key| check_key(locks, &sight, key, ts))?;
    Ok(ReadResponse::Values(versions(view, keys, &sight)?))
}

/// The versions of some keys.
async fn get(
    core: &Core,
    tenure: &Tenure,
    keys: &[Bytes],
    ts: Timestamp,
    known: &[KnownTransaction],
) -> Result<ReadResponse> {
    while let Some(blocker) = tenure.latches.blocker_of_keys(keys, ts) {
        bounded(core, blocker.cleared()).await?;
    }
    core.load.asked_for(keys);
    let _timed = core.load.timed(LoadKind::Keys);
    // One key, or a read point that no later commit can touch, needs no frozen view.
    let (sight, frozen) = {
        let locks = tenure.locks.read();
        let sight = Sight::new(&locks, None, ts, known);
        keys.iter().try_for_each(|key| check_key(&locks, &sight, key, ts))?;
        (sight, (ts == Timestamp::MAX && keys.len() > 1).then(|| core.engine.snapshot()))
    };
    let values = match frozen {
        Some(snapshot) => versions(&*snapshot, keys, &sight)?,
        None => versions(&*core.engine, keys, &sight)?,
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
    /// Keys of other slots do not.
    bounds: Option<SlotRange>,
}

/// Looks for changes of keys and ranges. What may still commit at or before `ts` is waited for, as by a read at `ts`.
async fn changed(
    core: &Core,
    tenure: &Tenure,
    keys: Vec<Bytes>,
    ranges: Vec<KeyRange>,
    between: Between,
    known: &[KnownTransaction],
) -> Result<ReadResponse> {
    let Between { since, ts, bounds } = between;
    while let Some(blocker) = tenure.latches.blocker_of_keys(&keys, ts) {
        bounded(core, blocker.cleared()).await?;
    }
    for range in &ranges {
        while let Some(blocker) = tenure.latches.blocker_in_range(range, ts) {
            bounded(core, blocker.cleared()).await?;
        }
    }
    core.load.asked_for(&keys);
    let _timed = core.load.timed(LoadKind::Keys);
    let (sight, snapshot) = {
        let locks = tenure.locks.read();
        let sight = Sight::new(&locks, bounds, ts, known);
        keys.iter().try_for_each(|key| check_key(&locks, &sight, key, ts))?;
        for range in &ranges {
            let passed = |start_ts| sight.knows(start_ts);
            if let Some((key, lock)) = locks.first_in_way(range, ts, false, passed) {
                return Err(locked(key, lock));
            }
        }
        (sight, core.engine.snapshot())
    };
    let found = |key: Bytes| Ok(ReadResponse::Changed { key: Some(key), rest: Vec::new() });
    for key in keys {
        let newest = match sight.change(&*snapshot, &key)? {
            Some((commit_ts, _)) => Some(commit_ts),
            None => mvcc::get(&*snapshot, &key, ts)?.map(|version| version.commit_ts),
        };
        if newest.is_some_and(|commit_ts| commit_ts > since) {
            return found(key);
        }
    }
    let mut ranges = ranges.into_iter();
    while let Some(mut range) = ranges.next() {
        let seen = sight.range(&*snapshot, &range, (false, limits::SCAN_ROWS_MAX), &[], None)?;
        let mut changes = seen.changes.into_iter();
        if let Some((key, _)) = changes.find(|(_, (commit_ts, _))| *commit_ts > since) {
            return found(key);
        }
        let unseen = match seen.end {
            End::Whole => None,
            End::Before(key, lock) => return Err(locked(&key, &lock)),
            End::After(key) => {
                let after = right_after(&key);
                let unseen = KeyRange::new(after.clone(), range.end);
                range = KeyRange::new(range.start, after);
                Some(unseen)
            }
        };
        let most = limits::SCAN_ROWS_MAX;
        let rest = match mvcc::find_change(&*snapshot, bounds, &range, since, ts, most)? {
            mvcc::Changes::Found(key) => return found(key),
            mvcc::Changes::None => None,
            mvcc::Changes::Rest(rest) => Some(rest),
        };
        if rest.is_some() || unseen.is_some() {
            let rest = rest.into_iter().chain(unseen).chain(ranges).collect();
            return Ok(ReadResponse::Changed { key: None, rest });
        }
    }
    Ok(ReadResponse::Changed { key: None, rest: Vec::new() })
}

/// How to scan.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    /// Read point.
    pub(super) ts: Timestamp,
    /// Descending order.
    pub(super) reverse: bool,
    /// Most rows; at least one.
    pub(super) limit: usize,
    /// Keys of other slots are passed over.
    pub(super) bounds: Option<SlotRange>,
}

/// What a scan has seen of the locks when it took its engine snapshot.
pub(super) struct SeenLocks<'a> {
    /// Large transactions, as the reader sees them.
    sight: Sight<'a>,
    /// The first lock in the way.
    obstacle: Option<(Bytes, HeldLock)>,
    /// Keys whose lock is in the table and known to the reader.
    primaries: Vec<Bytes>,
}

impl<'a> SeenLocks<'a> {
    /// Looks at the locks of a range.
    pub(super) fn of(
        locks: &LockTable,
        range: &KeyRange,
        wish: Wish,
        known: &'a [KnownTransaction],
    ) -> SeenLocks<'a> {
        let sight = Sight::new(locks, wish.bounds, wish.ts, known);
        let passed = |start_ts| sight.knows(start_ts);
        let obstacle = locks
            .first_in_way(range, wish.ts, wish.reverse, passed)
            .map(|(key, lock)| (key.clone(), lock.clone()));
        let primaries = primaries_in(locks, range, &sight);
        SeenLocks { sight, obstacle, primaries }
    }
}

/// One page of a range. A lock in the way ends the page before it; only when nothing comes before it
/// is the caller told.
async fn scan(
    core: &Core,
    tenure: &Tenure,
    range: KeyRange,
    wish: Wish,
    known: &[KnownTransaction],
) -> Result<ReadResponse> {
    while let Some(blocker) = tenure.latches.blocker_in_range(&range, wish.ts) {
        bounded(core, blocker.cleared()).await?;
    }
    scan_now(core, tenure, range, wish, known)
}

/// The same once no write under way is in the way.
fn scan_now(
    core: &Core,
    tenure: &Tenure,
    range: KeyRange,
    wish: Wish,
    known: &[KnownTransaction],
) -> Result<ReadResponse> {
    let _timed = core.load.timed(LoadKind::Ranges);
    let (seen, snapshot) = {
        let locks = tenure.locks.read();
        (SeenLocks::of(&locks, &range, wish, known), core.engine.snapshot())
    };
    let answer = scan_view(snapshot, range, wish, seen)?;
    if let ReadResponse::Page { rows, .. } = &answer {
        core.load.scanned(rows);
    }
    Ok(answer)
}

/// The same of an engine snapshot and what was seen of its locks.
pub(super) fn scan_view(
    snapshot: Arc<dyn EngineSnapshot>,
    range: KeyRange,
    wish: Wish,
    seen: SeenLocks<'_>,
) -> Result<ReadResponse> {
    let SeenLocks { sight, obstacle, primaries } = seen;
    let RangeSight { changes, end } =
        sight.range(&*snapshot, &range, (wish.reverse, wish.limit), &primaries, obstacle)?;
    // What is looked at now, and what is left for another page.
    let (now, later, obstacle) = match end {
        End::Whole => (range, None, None),
        End::After(key) => {
            let (now, later) = match wish.reverse {
                false => cut(range, right_after(&key)),
                true => swapped(cut(range, key)),
            };
            (now, Some(later), None)
        }
        End::Before(key, lock) => {
            let (now, later) = match wish.reverse {
                false => cut(range, key.clone()),
                true => swapped(cut(range, right_after(&key))),
            };
            (now, Some(later), Some((key, lock)))
        }
    };
    let (rows, rest) = page(snapshot, &now, wish)?;
    let is_covered =
        |key: &Bytes| now.contains(key) && !rest.as_ref().is_some_and(|r| r.contains(key));
    let changes = changes.into_iter().filter(|(key, _)| is_covered(key)).collect();
    let rows = merged(rows, changes, wish.reverse);
    let rest = match (rest, later) {
        (None, None) => None,
        (None, Some(later)) => match obstacle {
            Some((key, lock)) if rows.is_empty() => return Err(locked(&key, &lock)),
            _ => Some(later),
        },
        (Some(rest), None) => Some(rest),
        // The page was cut before it came to the end of what was looked at.
        (Some(rest), Some(later)) if wish.reverse => Some(KeyRange::new(later.start, rest.end)),
        (Some(rest), Some(later)) => Some(KeyRange::new(rest.start, later.end)),
    };
    // An end that is empty means "no bound", so only a descending rest can come to nothing here.
    Ok(ReadResponse::Page { rows, rest: rest.filter(|rest| !rest.is_empty()) })
}

/// Keys of a range whose lock is in the table and known to the reader: primaries of large transactions.
fn primaries_in(locks: &LockTable, range: &KeyRange, sight: &Sight<'_>) -> Vec<Bytes> {
    let known = |(_, held): &(&Bytes, &HeldLock)| held.large && sight.knows(held.start_ts);
    locks.in_range(range).filter(known).map(|(key, _)| key.clone()).collect()
}

/// The two halves of a range.
fn cut(range: KeyRange, at: Bytes) -> (KeyRange, KeyRange) {
    (KeyRange::new(range.start, at.clone()), KeyRange::new(at, range.end))
}

fn swapped((first, second): (KeyRange, KeyRange)) -> (KeyRange, KeyRange) {
    (second, first)
}

/// Visible rows with what locks say of their keys.
fn merged(
    rows: Vec<(Bytes, Version)>,
    changes: BTreeMap<Bytes, (Timestamp, Change)>,
    reverse: bool,
) -> Vec<(Bytes, Version)> {
    if changes.is_empty() {
        return rows;
    }
    let mut merged: BTreeMap<Bytes, Version> = rows.into_iter().collect();
    for (key, (commit_ts, change)) in changes {
        match change {
            Change::Put(value) => {
                merged.insert(key, Version { commit_ts, value });
            }
            Change::Delete => {
                merged.remove(&key);
            }
            Change::Keep => {}
        }
    }
    match reverse {
        false => merged.into_iter().collect(),
        true => merged.into_iter().rev().collect(),
    }
}

/// Rows, and what is left of the range.
type Page = (Vec<(Bytes, Version)>, Option<KeyRange>);

/// Visible rows of a range up to the limits, and what is left of it.
fn page(snapshot: Arc<dyn EngineSnapshot>, range: &KeyRange, wish: Wish) -> Result<Page> {
    let mut rows: Vec<(Bytes, Version)> = Vec::new();
    let mut bytes = 0;
    let mut cut = false;
    mvcc::scan(&*snapshot, range, wish.ts, wish.reverse, |key, commit_ts, value| {
        if mvcc::is_foreign(wish.bounds, key)? {
            return Ok(true);
        }
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

/// The version of each key that a reader sees.
fn versions<V: View + ?Sized>(
    view: &V,
    keys: &[Bytes],
    sight: &Sight<'_>,
) -> Result<Vec<Option<Version>>> {
    keys.iter().map(|key| sight.version(view, key)).collect()
}

/// Whether a read of `key` at `ts` may go on, as far as the lock table knows.
fn check_key(locks: &LockTable, sight: &Sight<'_>, key: &[u8], ts: Timestamp) -> Result<()> {
    match locks.get(key) {
        Some(_) if defect::active("reads-pass-locks") => Ok(()),
        Some(lock) if lock.is_in_way(ts) && !sight.knows(lock.start_ts) => Err(locked(key, lock)),
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
