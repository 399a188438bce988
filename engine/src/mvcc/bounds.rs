//! Which slots a shard owns, as its replicas know it, and what is left of slots that it does not own.
//!
//! ```text
//! before    [ a ─────────────────────────────── c )    no record: every slot is its own
//!                             split at b
//! parent    [ a ───────────── b )░░░░░░░░░░░░░░░░░░    a/bounds = a..b, a/foreign
//! child     ░░░░░░░░░░░░░░░░░░[ b ───────────── c )    a/bounds = b..c, a/foreign
//! ```
//!
//! Both have a copy of everything, so each holds keys of the other one's slots (░): *foreign* ones. Nobody asks for them.
//! They are dropped by commands in the log, as old versions are.
//!
//! Invariants:
//! 1. A key that is foreign stays foreign, until a merge makes the bounds wider: then what the shard holds of the slots that
//!    come has been made equal to what their owner had (`merge`).
//! 2. Versions and locks of foreign keys may go at any time, but for those of slots that are being taken in. Transaction
//!    records stay, whatever their primary's slot: every shard with locks of a large transaction keeps one under the
//!    primary's key. They go when they are old (`records`).
//! 3. While `a/foreign` is absent, no version and no lock of a foreign key is here.
//!
//! Not here: when a shard is split, and when foreign keys are dropped (`txn`, `server`).

use super::large::large_lock_key;
use super::lock::lock_key;
use super::version::split;
use super::{DATA, LARGE_LOCK, View, version_key};
use crate::{Error, Result, WriteBatch, key};
use base::{KeyRange, SlotRange, Timestamp};
use bytes::Bytes;

/// The engine key of the slots that the shard owns.
const BOUNDS_KEY: &[u8] = b"a/bounds";
/// The engine key that stands while there may be foreign keys.
const FOREIGN_KEY: &[u8] = b"a/foreign";
/// Bytes of each of the two bounds.
const BOUND_BYTES: usize = 4;

/// A part of a walk for foreign keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// Foreign keys that have versions or locks. One may be named twice.
    pub keys: Vec<Bytes>,
    /// Bytes that were passed.
    pub bytes: u64,
    /// The engine key to go on from; `None` at the end.
    pub next: Option<Bytes>,
}

/// The slots that the shard owns (`docs/formats.md`); `None` when it was never split: all that it is asked for.
pub fn bounds<V: View + ?Sized>(view: &V) -> Result<Option<SlotRange>> {
    let Some(stored) = view.get(BOUNDS_KEY)? else { return Ok(None) };
    let corrupt = || Error::corrupt("the bounds", format!("{} bytes", stored.len()));
    let (start, end) = stored.split_first_chunk::<BOUND_BYTES>().ok_or_else(corrupt)?;
    let end = <[u8; BOUND_BYTES]>::try_from(end).map_err(|_| corrupt())?;
    let (start, end) = (u32::from_le_bytes(*start), u32::from_le_bytes(end));
    Ok(Some(SlotRange { start, end }))
}

/// Adds to a batch that the shard owns these slots, and that there may be foreign keys from now on.
pub fn put_bounds(batch: &mut WriteBatch, bounds: SlotRange) {
    let mut bytes = Vec::with_capacity(2 * BOUND_BYTES);
    bytes.extend_from_slice(&bounds.start.to_le_bytes());
    bytes.extend_from_slice(&bounds.end.to_le_bytes());
    batch.put(BOUNDS_KEY, bytes);
    batch.put(FOREIGN_KEY, Bytes::new());
}

/// Whether there may be foreign keys.
pub fn has_foreign<V: View + ?Sized>(view: &V) -> Result<bool> {
    Ok(view.get(FOREIGN_KEY)?.is_some())
}

/// Adds to a batch that no foreign key is left.
pub fn delete_foreign_mark(batch: &mut WriteBatch) {
    batch.delete(FOREIGN_KEY);
}

/// Whether a key lies in a slot that a shard with these bounds does not own.
pub fn is_foreign(bounds: Option<SlotRange>, key: &[u8]) -> Result<bool> {
    match bounds {
        None => Ok(false),
        Some(bounds) => Ok(!bounds.contains(key::slot_of_key(key)?)),
    }
}

/// Walks versions and locks from the engine key `from` on (empty: from the first) and names foreign keys. Ends after about
/// `bytes_max` bytes, or with `keys_max` keys.
pub fn find_foreign<V: View + ?Sized>(
    view: &V,
    bounds: SlotRange,
    from: &[u8],
    bytes_max: u64,
    keys_max: usize,
) -> Result<Foreign> {
    let start =
        if from.is_empty() { Bytes::from_static(&[DATA]) } else { Bytes::copy_from_slice(from) };
    // Versions, locks and locks of large transactions, in the order of their first bytes; nothing else lies between.
    let range = KeyRange { start, end: Bytes::from_static(&[LARGE_LOCK + 1]) };
    let mut foreign = Foreign::default();
    view.scan(&range, &mut |engine_key, stored| {
        if foreign.bytes >= bytes_max || foreign.keys.len() >= keys_max {
            foreign.next = Some(Bytes::copy_from_slice(engine_key));
            return Ok(false);
        }
        foreign.bytes += (engine_key.len() + stored.len()) as u64;
        let key = match engine_key.first() {
            Some(&DATA) => split(engine_key)?.0,
            _ => &engine_key[1..],
        };
        if is_foreign(Some(bounds), key)? && foreign.keys.last().is_none_or(|last| last != key) {
            foreign.keys.push(Bytes::copy_from_slice(key));
        }
        Ok(true)
    })?;
    Ok(foreign)
}

/// Adds to a batch the removal of a key's versions and locks, at most `entries_max`. Returns how many.
pub fn delete_key<V: View + ?Sized>(
    view: &V,
    batch: &mut WriteBatch,
    key: &[u8],
    entries_max: usize,
) -> Result<usize> {
    let end = [&version_key(key, Timestamp::ZERO)[..], &[0]].concat();
    let range = KeyRange { start: version_key(key, Timestamp::MAX), end: end.into() };
    let mut entries: Vec<Bytes> = Vec::new();
    view.scan(&range, &mut |engine_key, _| {
        if entries.len() >= entries_max {
            return Ok(false);
        }
        if split(engine_key)?.0 == key {
            entries.push(Bytes::copy_from_slice(engine_key));
        }
        Ok(true)
    })?;
    for engine_key in [lock_key(key), large_lock_key(key)] {
        if entries.len() < entries_max && view.get(&engine_key)?.is_some() {
            entries.push(engine_key);
        }
    }
    let count = entries.len();
    entries.into_iter().for_each(|engine_key| batch.delete(engine_key));
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mvcc::{Change, Lock, LockExpect, all_locks, get, put_lock, put_version};
    use crate::{Engine, SimDisk};
    use base::{IndexId, Slot, TableId};
    use std::path::Path;

    const HALF: SlotRange = SlotRange { start: 0, end: 100 };

    fn key_in(slot: u16, name: &str) -> Bytes {
        let mut key = key::KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
        key.put_bytes(name.as_bytes());
        key.finish(Slot(slot))
    }

    fn lock(primary: &Bytes) -> Lock {
        Lock {
            start_ts: Timestamp(5),
            primary: primary.clone(),
            expires_unix_ms: 0,
            change: Change::Delete,
            expect: LockExpect::Any,
            async_commit: None,
            rounds: None,
        }
    }

    #[test]
    fn bounds_are_read_as_they_were_written() {
        let engine: &dyn Engine = &SimDisk::new().open(Path::new("db")).unwrap();
        assert_eq!(bounds(engine).unwrap(), None);
        assert!(!has_foreign(engine).unwrap());
        let mut batch = WriteBatch::new();
        put_bounds(&mut batch, SlotRange { start: 7, end: 65_536 });
        engine.write(batch).unwrap();
        assert_eq!(bounds(engine).unwrap(), Some(SlotRange { start: 7, end: 65_536 }));
        assert!(has_foreign(engine).unwrap());
        let mut batch = WriteBatch::new();
        delete_foreign_mark(&mut batch);
        batch.put(BOUNDS_KEY, vec![1, 2, 3]);
        engine.write(batch).unwrap();
        assert!(!has_foreign(engine).unwrap());
        assert!(bounds(engine).is_err());
    }

    #[test]
    fn all_that_belongs_to_foreign_keys_goes_and_nothing_else() {
        let engine: &dyn Engine = &SimDisk::new().open(Path::new("db")).unwrap();
        let (own, foreign) = (key_in(99, "own"), key_in(100, "foreign"));
        let locked = key_in(65_535, "locked");
        let mut batch = WriteBatch::new();
        for ts in 1..=5 {
            put_version(&mut batch, &own, Timestamp(ts), Some(&b"v"[..]));
            put_version(&mut batch, &foreign, Timestamp(ts), Some(&b"v"[..]));
        }
        put_lock(&mut batch, &own, &lock(&own));
        put_lock(&mut batch, &locked, &lock(&locked));
        engine.write(batch).unwrap();
        let (mut from, mut left) = (Bytes::new(), 0);
        loop {
            let found = find_foreign(engine, HALF, &from, 1, 1).unwrap();
            for key in found.keys {
                let mut batch = WriteBatch::new();
                left += delete_key(engine, &mut batch, &key, 2).unwrap();
                engine.write(batch).unwrap();
            }
            match found.next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!(left, 6, "five versions and a lock, two at a time");
        assert_eq!(find_foreign(engine, HALF, b"", u64::MAX, 9).unwrap().keys, Vec::<Bytes>::new());
        assert!(get(engine, &own, Timestamp(3)).unwrap().is_some());
        assert_eq!(all_locks(engine).unwrap().len(), 1);
    }
}
