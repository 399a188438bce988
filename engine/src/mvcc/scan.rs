//! Walking the keys of a range as a read point sees them.
//!
//! The walk steps over versions it does not want, because a step is far cheaper than a seek. A key
//! with many unwanted versions would make steps dear, so after `STEPS_MAX` of them it seeks past.
//!
//! ```text
//! forward, ts = 25:   a!30  a!20  a!10  b!40 … b!26  b!20 …
//!                     step  give  step  step … seek  give
//! ```
//!
//! Backwards a key's oldest version comes first, so the walk keeps the newest one not above `ts` as
//! a candidate and gives it when the key ends.

use super::version::{get, live_value, split};
use super::{DATA, TIMESTAMP_BYTES, View, version_key};
use crate::Result;
use base::{KeyRange, Timestamp};
use bytes::Bytes;

/// Unwanted versions of one key that a walk steps over before it seeks.
const STEPS_MAX: usize = 16;

/// Calls `visit(key, commit_ts, value)` for each key of the range that has a value at `ts`, in
/// ascending or descending order, until it answers `false`. Older versions and tombstones are skipped.
pub fn scan<V: View + ?Sized>(
    view: &V,
    range: &KeyRange,
    ts: Timestamp,
    reverse: bool,
    mut visit: impl FnMut(&[u8], Timestamp, &[u8]) -> Result<bool>,
) -> Result<()> {
    if range.is_empty() {
        Ok(())
    } else if reverse {
        scan_backward(view, range, ts, &mut visit)
    } else {
        scan_forward(view, range, ts, &mut visit)
    }
}

/// Where a walk goes on.
enum Next {
    /// It has come to its end.
    Done,
    /// At this engine key (forward: the first wanted one, backward: the first unwanted one).
    Seek(Bytes),
}

/// What callers of `scan` pass.
type Visit<'a> = dyn FnMut(&[u8], Timestamp, &[u8]) -> Result<bool> + 'a;

fn scan_forward<V: View + ?Sized>(
    view: &V,
    range: &KeyRange,
    ts: Timestamp,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let mut engine_range = engine_range(range);
    // The key whose versions are being stepped over, and whether its answer is already given.
    let mut key = Vec::new();
    let mut answered = false;
    let mut steps = 0;
    loop {
        let mut next = Next::Done;
        view.scan(&engine_range, &mut |engine_key, stored| {
            let (found, commit_ts) = split(engine_key)?;
            if !range.end.is_empty() && found >= &range.end[..] {
                return Ok(false);
            }
            if found != key {
                key.clear();
                key.extend_from_slice(found);
                // A range that starts right after a key meets that key's versions first.
                answered = found < &range.start[..];
                steps = 0;
            }
            if !answered && commit_ts <= ts {
                answered = true;
                steps = 0;
                return match live_value(engine_key, stored)? {
                    Some(value) => visit(found, commit_ts, value),
                    None => Ok(true),
                };
            }
            steps += 1;
            if steps <= STEPS_MAX {
                return Ok(true);
            }
            steps = 0;
            next =
                Next::Seek(if answered { after_versions(found) } else { version_key(found, ts) });
            Ok(false)
        })?;
        match next {
            Next::Done => return Ok(()),
            Next::Seek(start) => engine_range.start = start,
        }
    }
}

fn scan_backward<V: View + ?Sized>(
    view: &V,
    range: &KeyRange,
    ts: Timestamp,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let mut engine_range = engine_range(range);
    let mut key = Vec::new();
    // The newest version of `key` at or below `ts` so far; `None` when it is a tombstone.
    let mut candidate: Option<(Timestamp, Vec<u8>)> = None;
    let mut stopped = false;
    loop {
        let mut next = Next::Done;
        let mut steps = 0;
        view.scan_reverse(&engine_range, &mut |engine_key, stored| {
            let (found, commit_ts) = split(engine_key)?;
            if !range.end.is_empty() && found >= &range.end[..] {
                return Ok(true);
            }
            if found < &range.start[..] {
                return Ok(false);
            }
            if found != key {
                if let Some((commit_ts, value)) = candidate.take()
                    && !visit(&key, commit_ts, &value)?
                {
                    stopped = true;
                    return Ok(false);
                }
                key.clear();
                key.extend_from_slice(found);
                steps = 0;
            }
            steps += 1;
            if steps <= STEPS_MAX {
                if commit_ts <= ts {
                    candidate = live_value(engine_key, stored)?.map(|v| (commit_ts, v.to_vec()));
                }
                return Ok(true);
            }
            next = Next::Seek(version_key(found, Timestamp::MAX));
            Ok(false)
        })?;
        if stopped {
            return Ok(());
        }
        match next {
            Next::Done => break,
            Next::Seek(end) => {
                let found = get(view, &key, ts)?;
                candidate = found.and_then(|f| f.value.map(|v| (f.commit_ts, v.to_vec())));
                engine_range.end = end;
            }
        }
    }
    if let Some((commit_ts, value)) = candidate {
        visit(&key, commit_ts, &value)?;
    }
    Ok(())
}

/// The engine keys of all versions of a range's keys, and a few more that the walks sort out.
pub(super) fn engine_range(range: &KeyRange) -> KeyRange {
    let mut start = Vec::with_capacity(1 + range.start.len());
    start.push(DATA);
    start.extend_from_slice(&range.start);
    let end = match &range.end[..] {
        [] => Bytes::from_static(&[DATA + 1]),
        // `key 00` is right after `key`, yet the versions of `key` are engine keys above it.
        [key @ .., 0] => after_versions(key),
        end => {
            let mut bound = Vec::with_capacity(1 + end.len());
            bound.push(DATA);
            bound.extend_from_slice(end);
            bound.into()
        }
    };
    KeyRange { start: start.into(), end }
}

/// The first engine key after every version of a key.
fn after_versions(key: &[u8]) -> Bytes {
    let mut engine_key = Vec::with_capacity(1 + key.len() + TIMESTAMP_BYTES + 1);
    engine_key.push(DATA);
    engine_key.extend_from_slice(key);
    engine_key.extend_from_slice(&[0xff; TIMESTAMP_BYTES]);
    engine_key.push(0);
    engine_key.into()
}
