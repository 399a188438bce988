//! What was written to a range between two points in time.

use super::scan::engine_range;
use super::version::split;
use super::{View, is_foreign};
use crate::Result;
use base::{KeyRange, SlotRange, Timestamp};
use bytes::Bytes;

/// What a look for changes came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// The first key with a version in between.
    Found(Bytes),
    /// None.
    None,
    /// None so far; the rest of the range was not looked at.
    Rest(KeyRange),
}

/// Looks for a version, a tombstone included, that is newer than `since` and not newer than `ts`, of a key that is not foreign
/// to a shard with these bounds. Stops after about `steps_max` versions.
pub fn find_change<V: View + ?Sized>(
    view: &V,
    bounds: Option<SlotRange>,
    range: &KeyRange,
    since: Timestamp,
    ts: Timestamp,
    steps_max: usize,
) -> Result<Changes> {
    if range.is_empty() {
        return Ok(Changes::None);
    }
    let mut steps = 0;
    let mut outcome = Changes::None;
    view.scan(&engine_range(range), &mut |engine_key, _| {
        let (key, commit_ts) = split(engine_key)?;
        if !range.end.is_empty() && key >= &range.end[..] {
            return Ok(false);
        }
        // A range that starts right after a key meets that key's versions first.
        let is_change = key >= &range.start[..] && commit_ts > since && commit_ts <= ts;
        if is_change && !is_foreign(bounds, key)? {
            outcome = Changes::Found(Bytes::copy_from_slice(key));
            return Ok(false);
        }
        steps += 1;
        // Only where the key's other versions are of no concern, so that the rest begins with another key.
        if steps >= steps_max && commit_ts <= since {
            let after = [key, &[0]].concat();
            outcome = Changes::Rest(KeyRange::new(after, range.end.clone()));
            return Ok(false);
        }
        Ok(true)
    })?;
    Ok(outcome)
}
