//! Finding versions that nobody may read any more.
//!
//! ```text
//! safe point = 25            a!30  a!20  a!10  a!5         b!24 (tombstone)  b!7       c!9
//! a read at 25 or later sees ^^^^  ^^^^                    nothing                     ^^^
//! dead                                   ^^^^  ^^^         ^^^^^^^^^^^^^^^^  ^^^
//! ```
//!
//! Of each key the newest version at or below the safe point stays, as long as it holds a value; what is older is
//! dead. A tombstone at that place is dead together with all below it: without them a read finds nothing either.
//!
//! Invariant: a read at the safe point or later gives the same rows before and after dead versions are dropped, in
//! whatever order and in whatever parts.

use super::version::{live_value, split};
use super::{DATA, SafePoints, View, is_foreign, version_key};
use crate::{Result, WriteBatch};
use base::{KeyRange, SlotRange, Timestamp};
use bytes::Bytes;

/// A part of a walk for dead versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dead {
    /// Keys that have dead versions, in order.
    pub keys: Vec<Bytes>,
    /// Versions that were passed, dead or not.
    pub versions: u64,
    /// Bytes that were passed.
    pub bytes: u64,
    /// Of them those of versions that stay: neither dead nor foreign.
    pub kept_bytes: u64,
    /// The engine key to go on from; `None` at the end.
    pub next: Option<Bytes>,
}

/// Walks versions from the engine key `from` on (empty: from the first) and names the keys that have dead ones by the safe
/// points of their tables, but for keys that are foreign to a shard with these bounds: they go as a whole. Ends after about
/// `bytes_max` bytes, or with `keys_max` keys.
pub fn find_dead<V: View + ?Sized>(
    view: &V,
    bounds: Option<SlotRange>,
    from: &[u8],
    safe_points: &SafePoints,
    bytes_max: u64,
    keys_max: usize,
) -> Result<Dead> {
    let start =
        if from.is_empty() { Bytes::from_static(&[DATA]) } else { Bytes::copy_from_slice(from) };
    let range = KeyRange { start, end: Bytes::from_static(&[DATA + 1]) };
    let mut dead = Dead::default();
    let mut key: Vec<u8> = Vec::new();
    let mut safe_point = Timestamp::ZERO;
    // Whether the version of `key` that a read at the safe point sees was passed.
    let mut answered = false;
    // Whether `key` is foreign.
    let mut foreign = false;
    view.scan(&range, &mut |engine_key, stored| {
        let (found, commit_ts) = split(engine_key)?;
        if found != key {
            if dead.bytes >= bytes_max || dead.keys.len() >= keys_max {
                dead.next = Some(Bytes::copy_from_slice(engine_key));
                return Ok(false);
            }
            key.clear();
            key.extend_from_slice(found);
            safe_point = safe_points.of_key(found);
            answered = false;
            foreign = is_foreign(bounds, found)?;
        }
        let bytes = (engine_key.len() + stored.len()) as u64;
        dead.versions += 1;
        dead.bytes += bytes;
        if commit_ts > safe_point {
            dead.kept_bytes += if foreign { 0 } else { bytes };
            return Ok(true);
        }
        let is_dead = answered || live_value(engine_key, stored)?.is_none();
        answered = true;
        if foreign {
            return Ok(true);
        }
        if !is_dead {
            dead.kept_bytes += bytes;
        } else if dead.keys.last().is_none_or(|last| last != found) {
            dead.keys.push(Bytes::copy_from_slice(found));
        }
        Ok(true)
    })?;
    Ok(dead)
}

/// Adds to a batch the removal of a key's dead versions, at most `versions_max`. Returns how many.
pub fn delete_dead<V: View + ?Sized>(
    view: &V,
    batch: &mut WriteBatch,
    key: &[u8],
    safe_point: Timestamp,
    versions_max: usize,
) -> Result<usize> {
    let range = KeyRange {
        start: version_key(key, safe_point),
        end: {
            let mut end = version_key(key, Timestamp::ZERO).to_vec();
            end.push(0);
            end.into()
        },
    };
    let mut tombstone = None;
    let mut dead: Vec<Bytes> = Vec::new();
    let mut answered = false;
    let mut more = false;
    view.scan(&range, &mut |engine_key, stored| {
        let (found, _) = split(engine_key)?;
        if found != key {
            return Ok(true);
        }
        if dead.len() >= versions_max {
            more = true;
            return Ok(false);
        }
        if answered {
            dead.push(Bytes::copy_from_slice(engine_key));
        } else {
            answered = true;
            if live_value(engine_key, stored)?.is_none() {
                tombstone = Some(Bytes::copy_from_slice(engine_key));
            }
        }
        Ok(true)
    })?;
    // The tombstone hides what is below it, so it goes with the last of them or after it.
    let room = !more && dead.len() < versions_max;
    dead.extend(tombstone.filter(|_| room));
    let count = dead.len();
    dead.into_iter().for_each(|engine_key| batch.delete(engine_key));
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::mvcc::{get, put_version, scan};
    use crate::sim::SimDisk;
    use base::TableId;
    use proptest::prelude::*;
    use std::path::Path;

    fn engine_with(versions: &[(&str, u64, Option<&str>)]) -> Box<dyn Engine> {
        let engine = SimDisk::new().open(Path::new("x")).unwrap();
        let mut batch = WriteBatch::new();
        for (key, ts, value) in versions {
            put_version(&mut batch, key.as_bytes(), Timestamp(*ts), value.map(str::as_bytes));
        }
        engine.write(batch).unwrap();
        Box::new(engine)
    }

    fn dead_of(engine: &dyn Engine, safe_point: u64) -> Vec<Bytes> {
        find_dead(engine, None, b"", &Timestamp(safe_point).into(), u64::MAX, usize::MAX)
            .unwrap()
            .keys
    }

    fn collect(engine: &dyn Engine, safe_point: u64, versions_max: usize) -> usize {
        let mut batch = WriteBatch::new();
        let mut count = 0;
        for key in dead_of(engine, safe_point) {
            count +=
                delete_dead(engine, &mut batch, &key, Timestamp(safe_point), versions_max).unwrap();
        }
        engine.write(batch).unwrap();
        count
    }

    /// What the picture in the header shows.
    #[test]
    fn what_no_read_sees_is_dead() {
        let engine = engine_with(&[
            ("a", 30, Some("a30")),
            ("a", 20, Some("a20")),
            ("a", 10, Some("a10")),
            ("a", 5, None),
            ("b", 24, None),
            ("b", 7, Some("b7")),
            ("c", 9, Some("c9")),
        ]);
        assert_eq!(dead_of(&*engine, 25), ["a", "b"]);
        assert_eq!(collect(&*engine, 25, 100), 4);
        assert_eq!(dead_of(&*engine, 25), Vec::<Bytes>::new());
        let left =
            find_dead(&*engine, None, b"", &Timestamp(25).into(), u64::MAX, usize::MAX).unwrap();
        assert_eq!(left.versions, 3);
        let at = |key: &str, ts| get(&*engine, key.as_bytes(), Timestamp(ts)).unwrap();
        assert_eq!(at("a", 25).unwrap().value.unwrap(), "a20");
        assert_eq!(at("a", 40).unwrap().value.unwrap(), "a30");
        assert_eq!(at("b", 25), None);
        assert_eq!(at("c", 25).unwrap().value.unwrap(), "c9");
    }

    #[test]
    fn bytes_of_what_is_dead_or_foreign_do_not_stay() {
        let kept = |versions: &[(&str, u64, Option<&str>)], bounds| {
            let engine = engine_with(versions);
            let points = Timestamp(25).into();
            find_dead(&*engine, bounds, b"", &points, u64::MAX, usize::MAX).unwrap()
        };
        // Keys of an index end with their slots: 7 and 9.
        let (seven, nine) = ("00000000-\0\x07", "00000000-\0\x09");
        let both = [
            (seven, 30, Some("newer")),
            (seven, 20, Some("seen")),
            (seven, 10, Some("dead")),
            (nine, 24, None),
            (nine, 5, Some("gone")),
        ];
        let all = kept(&both, None);
        let stays = kept(&both[..2], None);
        assert_eq!((stays.kept_bytes, stays.keys.len()), (stays.bytes, 0), "nothing is dead");
        assert_eq!((all.kept_bytes, all.keys.len()), (stays.bytes, 2));
        let nines = Some(SlotRange { start: 8, end: 10 });
        let away = kept(&both, nines);
        assert_eq!((away.kept_bytes, away.keys.len(), away.bytes), (0, 1, all.bytes));
        let one = kept(&[(seven, 30, Some("newer")), (nine, 30, Some("newer"))], nines);
        assert_eq!(one.kept_bytes * 2, one.bytes);
    }

    #[test]
    fn each_table_has_a_safe_point_of_its_own() {
        let versions: Vec<_> = ["\0\0\x03a", "\0\0\x04a", "\0\0\x05a"]
            .into_iter()
            .flat_map(|key| [(key, 10, Some("old")), (key, 20, Some("new"))])
            .collect();
        let engine = engine_with(&versions);
        let table = |last: u8| TableId(u32::from_be_bytes([0, 0, last, b'a']));
        let points = SafePoints::from(Timestamp(15))
            .with_table(table(4), Timestamp(20))
            .with_table(table(5), Timestamp(5));
        let dead = find_dead(&*engine, None, b"", &points, u64::MAX, usize::MAX).unwrap();
        assert_eq!((dead.keys, dead.versions), (vec!["\0\0\x04a".into()], 6));
    }

    #[test]
    fn a_tombstone_stays_until_all_below_it_is_gone() {
        let engine = engine_with(&[
            ("a", 9, None),
            ("a", 4, Some("x")),
            ("a", 3, Some("y")),
            ("a", 2, Some("z")),
        ]);
        let seen = || get(&*engine, b"a", Timestamp(10)).unwrap().and_then(|found| found.value);
        for left in [3, 2, 1] {
            assert_eq!(collect(&*engine, 10, 1), 1, "{left} values are left");
            assert_eq!(seen(), None);
        }
        assert_eq!(collect(&*engine, 10, 1), 1, "the tombstone");
        assert_eq!(
            (collect(&*engine, 10, 1), get(&*engine, b"a", Timestamp(10)).unwrap()),
            (0, None)
        );
    }

    #[test]
    fn a_walk_in_parts_finds_what_a_whole_one_finds() {
        let names: Vec<String> = (0..50).map(|number| format!("k{number:02}")).collect();
        let versions: Vec<_> = names
            .iter()
            .flat_map(|name| [(name.as_str(), 1, Some("x")), (name.as_str(), 2, None)])
            .collect();
        let engine = engine_with(&versions);
        for (bytes_max, keys_max) in
            [(1, usize::MAX), (100, usize::MAX), (u64::MAX, 1), (u64::MAX, 7)]
        {
            let (mut found, mut from) = (Vec::new(), Bytes::new());
            loop {
                let part =
                    find_dead(&*engine, None, &from, &Timestamp(5).into(), bytes_max, keys_max)
                        .unwrap();
                found.extend(part.keys);
                match part.next {
                    Some(next) => from = next,
                    None => break,
                }
            }
            assert_eq!(found, dead_of(&*engine, 5));
        }
    }

    proptest! {
        #[test]
        fn reads_at_the_safe_point_or_later_stay_the_same(
            versions in prop::collection::vec((0u8..4, 1u64..12, prop::option::of(any::<u8>())), 0..60),
            safe_point in 0u64..14,
            versions_max in 1usize..4,
        ) {
            let engine: Box<dyn Engine> =
                Box::new(SimDisk::new().open(Path::new("x")).unwrap());
            let mut batch = WriteBatch::new();
            for (key, ts, value) in &versions {
                let value = value.map(|value| [value]);
                put_version(&mut batch, &[b'a' + key], Timestamp(*ts), value.as_ref().map(|v| &v[..]));
            }
            engine.write(batch).unwrap();
            let rows = |ts| {
                let mut rows = Vec::new();
                let all = KeyRange { start: Bytes::from_static(b"a"), end: Bytes::from_static(b"z") };
                scan(&*engine, &all, Timestamp(ts), false, |key, commit_ts, value| {
                    rows.push((key.to_vec(), commit_ts, value.to_vec()));
                    Ok(true)
                }).unwrap();
                rows
            };
            let before: Vec<_> = (safe_point..15).map(rows).collect();
            while collect(&*engine, safe_point, versions_max) > 0 {
                let after: Vec<_> = (safe_point..15).map(rows).collect();
                prop_assert_eq!(&after, &before);
            }
            prop_assert!(dead_of(&*engine, safe_point).is_empty());
        }
    }
}
