//! One key's versions: writing one, finding the one that a read point sees.

use super::{DATA, TIMESTAMP_BYTES, View};
use crate::{Error, Result, WriteBatch};
use base::Timestamp;
use bytes::Bytes;

/// Kind byte of a version that holds a value.
pub(super) const PUT: u8 = 0;
/// Kind byte of a version that says the key is gone.
pub(super) const TOMBSTONE: u8 = 1;

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

/// Adds a version to a batch: `None` is a tombstone.
pub fn put_version(batch: &mut WriteBatch, key: &[u8], commit_ts: Timestamp, value: Option<&[u8]>) {
    let mut bytes = Vec::with_capacity(1 + value.map_or(0, <[u8]>::len));
    bytes.push(if value.is_some() { PUT } else { TOMBSTONE });
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

/// The value inside a stored version; `None` for a tombstone.
pub(super) fn live_value<'a>(engine_key: &[u8], stored: &'a [u8]) -> Result<Option<&'a [u8]>> {
    match stored {
        [PUT, value @ ..] => Ok(Some(value)),
        [TOMBSTONE] => Ok(None),
        _ => Err(Error::corrupt(
            format!("version {}", engine_key.escape_ascii()),
            format!("kind {:?} with {} bytes", stored.first(), stored.len()),
        )),
    }
}
