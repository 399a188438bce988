//! Finding records of transactions that ended long ago.
//!
//! Records lie in the order of their primary keys, not of time, so a walk passes all of them and picks the old ones.
//!
//! Not here: when a record may go (`txn`).

use super::{TIMESTAMP_BYTES, TXN, View};
use crate::{Error, Result};
use base::{KeyRange, Timestamp};
use bytes::Bytes;

/// A part of a walk over transaction records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldRecords {
    /// Primary and start timestamp of those that began before the limit, in key order.
    pub records: Vec<(Bytes, Timestamp)>,
    /// Records that were passed, old or not.
    pub passed: u64,
    /// Bytes that were passed.
    pub bytes: u64,
    /// The earliest start timestamp of those that were passed and are not old.
    pub oldest_left: Option<Timestamp>,
    /// The engine key to go on from; `None` at the end.
    pub next: Option<Bytes>,
}

/// Walks transaction records from the engine key `from` on (empty: from the first) and names those of transactions that
/// began before `limit`. Ends after about `bytes_max` bytes, or with `records_max` of them.
pub fn find_old_records<V: View + ?Sized>(
    view: &V,
    from: &[u8],
    limit: Timestamp,
    bytes_max: u64,
    records_max: usize,
) -> Result<OldRecords> {
    let mut range = KeyRange::prefix(vec![TXN]);
    if !from.is_empty() {
        range.start = Bytes::copy_from_slice(from);
    }
    let mut old = OldRecords::default();
    view.scan(&range, &mut |engine_key, stored| {
        if old.bytes >= bytes_max || old.records.len() >= records_max {
            old.next = Some(Bytes::copy_from_slice(engine_key));
            return Ok(false);
        }
        let (primary, start_ts) = split(engine_key)?;
        old.passed += 1;
        old.bytes += (engine_key.len() + stored.len()) as u64;
        if start_ts < limit {
            old.records.push((Bytes::copy_from_slice(primary), start_ts));
        } else {
            old.oldest_left = Some(old.oldest_left.map_or(start_ts, |oldest| oldest.min(start_ts)));
        }
        Ok(true)
    })?;
    Ok(old)
}

/// Whether there is any transaction record.
pub fn has_records<V: View + ?Sized>(view: &V) -> Result<bool> {
    Ok(view.seek_prefix(&[TXN], &[TXN])?.is_some())
}

/// The primary and the start timestamp in the engine key of a record.
pub(super) fn split(engine_key: &[u8]) -> Result<(&[u8], Timestamp)> {
    if let [TXN, rest @ ..] = engine_key
        && let Some((primary, start_ts)) = rest.split_last_chunk::<TIMESTAMP_BYTES>()
    {
        return Ok((primary, Timestamp(u64::from_be_bytes(*start_ts))));
    }
    Err(Error::corrupt(
        format!("key {}", engine_key.escape_ascii()),
        "it is not the key of a transaction record",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WriteBatch;
    use crate::engine::Engine;
    use crate::mvcc::{TxnRecord, delete_txn_record, put_txn_record, put_version};
    use crate::sim::SimDisk;
    use std::path::Path;

    fn engine_with(records: &[(&str, u64)]) -> Box<dyn Engine> {
        let engine = SimDisk::new().open(Path::new("x")).unwrap();
        let mut batch = WriteBatch::new();
        // Neighbours that are no records.
        put_version(&mut batch, b"a", Timestamp(1), Some(b"x"));
        batch.put(&b"u"[..], &b"x"[..]);
        for (primary, start_ts) in records {
            let record = TxnRecord::RolledBack;
            put_txn_record(&mut batch, primary.as_bytes(), Timestamp(*start_ts), record);
        }
        engine.write(batch).unwrap();
        Box::new(engine)
    }

    fn find(engine: &dyn Engine, limit: u64) -> OldRecords {
        find_old_records(engine, b"", Timestamp(limit), u64::MAX, usize::MAX).unwrap()
    }

    #[test]
    fn records_before_the_limit_are_found_and_the_oldest_of_the_others_is_told() {
        let engine = engine_with(&[("a", 30), ("a", 7), ("b", 20), ("c", 10)]);
        let old = find(&*engine, 20);
        let expected = [(Bytes::from("a"), Timestamp(7)), (Bytes::from("c"), Timestamp(10))];
        assert_eq!(old.records, expected);
        assert_eq!((old.passed, old.oldest_left, old.next), (4, Some(Timestamp(20)), None));
        let mut batch = WriteBatch::new();
        for (primary, start_ts) in &old.records {
            delete_txn_record(&mut batch, primary, *start_ts);
        }
        engine.write(batch).unwrap();
        assert_eq!((find(&*engine, 20).passed, find(&*engine, 31).records.len()), (2, 2));
    }

    #[test]
    fn a_walk_in_parts_finds_what_a_whole_one_finds() {
        let names: Vec<String> = (0..50).map(|number| format!("k{number:02}")).collect();
        let records: Vec<_> = names.iter().zip(0..).map(|(name, ts)| (name.as_str(), ts)).collect();
        let engine = engine_with(&records);
        for (bytes_max, records_max) in
            [(1, usize::MAX), (100, usize::MAX), (u64::MAX, 1), (u64::MAX, 7)]
        {
            let (mut found, mut oldest, mut from) = (Vec::new(), None, Bytes::new());
            loop {
                let limit = Timestamp(25);
                let part =
                    find_old_records(&*engine, &from, limit, bytes_max, records_max).unwrap();
                found.extend(part.records);
                oldest = oldest.into_iter().chain(part.oldest_left).min();
                match part.next {
                    Some(next) => from = next,
                    None => break,
                }
            }
            assert_eq!(found, find(&*engine, 25).records);
            assert_eq!(oldest, Some(Timestamp(25)));
        }
    }

    #[test]
    fn an_engine_without_records_has_none() {
        assert!(!has_records(&*engine_with(&[])).unwrap());
        assert!(has_records(&*engine_with(&[("a", 1)])).unwrap());
    }
}
