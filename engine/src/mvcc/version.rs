//! One key's versions: writing one, finding the one that a read point sees, or the one that a commit has left.
//!
//! A version may name its commit: a transaction of one shard leaves no record, and its number in one of its versions is how
//! it is found again.

use super::{DATA, TIMESTAMP_BYTES, View};
use crate::{Error, Result, WriteBatch, key};
use base::{KeyRange, Slot, Timestamp};
use bytes::Bytes;

/// Kind byte of a version that holds a value.
pub(super) const PUT: u8 = 0;
/// Kind byte of a version that says the key is gone.
pub(super) const TOMBSTONE: u8 = 1;
/// Kind byte of a version that holds a value and names its commit.
const PUT_BY: u8 = 2;
/// Kind byte of a version that says the key is gone and names its commit.
const TOMBSTONE_BY: u8 = 3;
/// Bytes of a commit's number.
const COMMIT_BYTES: usize = 8;

/// The version that a read point sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// When it became visible.
    pub commit_ts: Timestamp,
    /// Its value; `None` for a tombstone.
    pub value: Option<Bytes>,
}

/// The newest version of a key at or below `ts`; `None` when there is none. Exactly one probe.
pub fn get<V: View + ?Sized>(view: &V, key: &[u8], ts: Timestamp) -> Result<Option<Found>> {
    let from = version_key(key, ts);
    let prefix = &from[..from.len() - TIMESTAMP_BYTES];
    let Some((engine_key, value)) = view.seek_prefix(prefix, &from)? else {
        return Ok(None);
    };
    if engine_key.len() != from.len() {
        return Err(Error::corrupt(
            format!("key {}", engine_key.escape_ascii()),
            format!("it extends the key {}; stored keys are prefix-free", key.escape_ascii()),
        ));
    }
    let (_, commit_ts) = split(&engine_key)?;
    let value = live_value(&engine_key, &value)?.map(|live| value.slice_ref(live));
    Ok(Some(Found { commit_ts, value }))
}

/// The newest version of a key; `None` when it never had one.
pub fn newest<V: View + ?Sized>(view: &V, key: &[u8]) -> Result<Option<Found>> {
    get(view, key, Timestamp::MAX)
}

/// Where the version of a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundCommit {
    /// It became visible then.
    At(Timestamp),
    /// There is none.
    Nowhere,
    /// Too many versions were passed; the rest was not looked at.
    TooMany,
}

/// The version of a key that names a commit, among those newer than `after` and not newer than `until`. Looks at about
/// `steps_max` of them, the oldest first.
pub fn find_commit<V: View + ?Sized>(
    view: &V,
    key: &[u8],
    commit: u64,
    (after, until): (Timestamp, Timestamp),
    steps_max: usize,
) -> Result<FoundCommit> {
    let range = KeyRange { start: version_key(key, until), end: version_key(key, after) };
    let mut steps = 0;
    let mut outcome = FoundCommit::Nowhere;
    view.scan_reverse(&range, &mut |engine_key, stored| {
        let (found, commit_ts) = split(engine_key)?;
        if found != key {
            return Ok(true);
        }
        if commit_of(stored) == Some(commit) {
            outcome = FoundCommit::At(commit_ts);
            return Ok(false);
        }
        steps += 1;
        if steps >= steps_max {
            outcome = FoundCommit::TooMany;
            return Ok(false);
        }
        Ok(true)
    })?;
    Ok(outcome)
}

/// Adds a version to a batch: `None` is a tombstone.
pub fn put_version(batch: &mut WriteBatch, key: &[u8], commit_ts: Timestamp, value: Option<&[u8]>) {
    let mut bytes = Vec::with_capacity(1 + value.map_or(0, <[u8]>::len));
    bytes.push(if value.is_some() { PUT } else { TOMBSTONE });
    bytes.extend_from_slice(value.unwrap_or_default());
    batch.put(version_key(key, commit_ts), bytes);
}

/// The same for a version that names its commit.
pub fn put_version_by(
    batch: &mut WriteBatch,
    key: &[u8],
    commit_ts: Timestamp,
    value: Option<&[u8]>,
    commit: u64,
) {
    let mut bytes = Vec::with_capacity(1 + COMMIT_BYTES + value.map_or(0, <[u8]>::len));
    bytes.push(if value.is_some() { PUT_BY } else { TOMBSTONE_BY });
    bytes.extend_from_slice(&commit.to_le_bytes());
    bytes.extend_from_slice(value.unwrap_or_default());
    batch.put(version_key(key, commit_ts), bytes);
}

/// The engine key of a version. The complement of the timestamp puts newer versions first.
pub fn version_key(key: &[u8], commit_ts: Timestamp) -> Bytes {
    let mut engine_key = Vec::with_capacity(1 + key.len() + TIMESTAMP_BYTES);
    engine_key.push(DATA);
    engine_key.extend_from_slice(key);
    engine_key.extend_from_slice(&(!commit_ts.0).to_be_bytes());
    engine_key.into()
}

/// The key and the commit timestamp in the engine key of a version.
pub(super) fn split(engine_key: &[u8]) -> Result<(&[u8], Timestamp)> {
    if let [DATA, rest @ ..] = engine_key
        && let Some((key, ts)) = rest.split_last_chunk::<TIMESTAMP_BYTES>()
    {
        return Ok((key, Timestamp(!u64::from_be_bytes(*ts))));
    }
    Err(Error::corrupt(
        format!("key {}", engine_key.escape_ascii()),
        "it is not the key of a version",
    ))
}

/// The slot of the key that a version belongs to, from the version's engine key.
pub fn slot_of_version(engine_key: &[u8]) -> Result<Slot> {
    key::slot_of_key(split(engine_key)?.0)
}

/// The value inside a stored version; `None` for a tombstone.
pub(super) fn live_value<'a>(engine_key: &[u8], stored: &'a [u8]) -> Result<Option<&'a [u8]>> {
    match stored {
        [PUT, value @ ..] => Ok(Some(value)),
        [TOMBSTONE] => Ok(None),
        [PUT_BY, rest @ ..] if rest.len() >= COMMIT_BYTES => Ok(Some(&rest[COMMIT_BYTES..])),
        [TOMBSTONE_BY, rest @ ..] if rest.len() == COMMIT_BYTES => Ok(None),
        _ => Err(Error::corrupt(
            format!("version {}", engine_key.escape_ascii()),
            format!("kind {:?} with {} bytes", stored.first(), stored.len()),
        )),
    }
}

/// The number of the commit that a stored version names.
fn commit_of(stored: &[u8]) -> Option<u64> {
    match stored {
        [PUT_BY | TOMBSTONE_BY, rest @ ..] => {
            rest.first_chunk::<COMMIT_BYTES>().map(|bytes| u64::from_le_bytes(*bytes))
        }
        _ => None,
    }
}
