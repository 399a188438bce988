//! What is left of a dropped table.
//!
//! ```text
//! DROP ─────────── retention ─────────── safe point      keys  table │ …   versions, all of them   go
//!  │ the last version of any of its keys     │                             locks                    are resolved first
//! ```
//!
//! Versions of a key stay while somebody may read them. Once the safe point lies after the DROP nobody may: no catalog of
//! then or later has the table. A lock stays until its transaction is resolved as any other, which may leave one more version.
//!
//! Not here: which tables were dropped, and when (`sql`); commands in the log (`txn`).

use super::version::split;
use super::{DATA, LARGE_LOCK, LOCK, View, get_large_lock, get_lock, newest};
use crate::Result;
use crate::key::table_prefix;
use base::{KeyRange, TableId, Timestamp};
use bytes::Bytes;

/// A part of a walk over the keys of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Keys with versions, in order.
    pub keys: Vec<Bytes>,
    /// Bytes of versions that were passed.
    pub bytes: u64,
    /// Whether any key of the table is locked.
    pub locked: bool,
    /// The engine key to go on from; `None` at the end.
    pub next: Option<Bytes>,
}

/// The keys of a table that begin with `kind` in the engine.
fn keys_of(kind: u8, table: TableId) -> KeyRange {
    KeyRange::prefix([&[kind][..], &table_prefix(table)[..]].concat())
}

/// Walks versions of a table's keys from the engine key `from` on (empty: from the first), whatever slots they have. Ends after
/// about `bytes_max` bytes, or with `keys_max` keys.
pub fn find_leftover<V: View + ?Sized>(
    view: &V,
    table: TableId,
    from: &[u8],
    bytes_max: u64,
    keys_max: usize,
) -> Result<Leftover> {
    let mut range = keys_of(DATA, table);
    if !from.is_empty() {
        range.start = Bytes::copy_from_slice(from);
    }
    let mut leftover = Leftover::default();
    view.scan(&range, &mut |engine_key, stored| {
        let key = split(engine_key)?.0;
        let is_new = leftover.keys.last().is_none_or(|last| last != key);
        if is_new && (leftover.bytes >= bytes_max || leftover.keys.len() >= keys_max) {
            leftover.next = Some(Bytes::copy_from_slice(engine_key));
            return Ok(false);
        }
        leftover.bytes += (engine_key.len() + stored.len()) as u64;
        if is_new {
            leftover.keys.push(Bytes::copy_from_slice(key));
        }
        Ok(true)
    })?;
    for kind in [LOCK, LARGE_LOCK] {
        view.scan(&keys_of(kind, table), &mut |_, _| {
            leftover.locked = true;
            Ok(false)
        })?;
    }
    Ok(leftover)
}

/// Whether all versions of a dropped table's key may go: nobody holds a lock on it, and none is younger than the safe point.
pub fn may_go<V: View + ?Sized>(view: &V, key: &[u8], safe_point: Timestamp) -> Result<bool> {
    if get_lock(view, key)?.is_some() || get_large_lock(view, key)?.is_some() {
        return Ok(false);
    }
    Ok(newest(view, key)?.is_some_and(|found| found.commit_ts <= safe_point))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mvcc::{Change, Lock, LockExpect, put_lock, put_version};
    use crate::{Engine, SimDisk, WriteBatch};
    use std::path::Path;

    const DROPPED: TableId = TableId(1001);

    fn key_of(table: u32, name: &str) -> Vec<u8> {
        [&table.to_be_bytes()[..], name.as_bytes()].concat()
    }

    fn filled() -> Box<dyn Engine> {
        let engine = SimDisk::new().open(Path::new("db")).unwrap();
        let mut batch = WriteBatch::new();
        for table in [1000, 1001, 1002] {
            for name in ["a", "b", "c"] {
                for ts in [5, 9] {
                    put_version(&mut batch, &key_of(table, name), Timestamp(ts), Some(&b"v"[..]));
                }
            }
        }
        engine.write(batch).unwrap();
        Box::new(engine)
    }

    #[test]
    fn a_walk_meets_each_key_of_the_table_once_and_no_other() {
        let engine = filled();
        let mut met = Vec::new();
        let mut from = Some(Bytes::new());
        while let Some(at) = from {
            let found = find_leftover(&*engine, DROPPED, &at, u64::MAX, 1).unwrap();
            assert!(!found.locked);
            met.extend(found.keys);
            from = found.next;
        }
        assert_eq!(met, [key_of(1001, "a"), key_of(1001, "b"), key_of(1001, "c")]);
    }

    #[test]
    fn what_is_locked_or_younger_than_the_safe_point_stays() {
        let engine = filled();
        let lock = Lock {
            start_ts: Timestamp(7),
            primary: key_of(1001, "b").into(),
            expires_unix_ms: 0,
            change: Change::Delete,
            expect: LockExpect::Any,
            async_commit: None,
            rounds: None,
        };
        let mut batch = WriteBatch::new();
        put_lock(&mut batch, &key_of(1001, "b"), &lock);
        engine.write(batch).unwrap();
        let may_go = |name, ts| may_go(&*engine, &key_of(1001, name), Timestamp(ts)).unwrap();
        assert!(may_go("a", 9) && !may_go("a", 8) && !may_go("b", 9) && !may_go("none", 9));
        assert!(find_leftover(&*engine, DROPPED, b"", u64::MAX, 9).unwrap().locked);
        assert!(!find_leftover(&*engine, TableId(1002), b"", u64::MAX, 9).unwrap().locked);
    }
}
