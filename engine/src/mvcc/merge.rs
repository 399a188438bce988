//! What a merge of two neighbouring shards leaves in them, and what goes from the one to the other.
//!
//! ```text
//! left   [ a ──── b )░░░░░░░░    a/bounds = a..b, a/merge: takes in b..c   copies of right's rows are foreign keys
//! right             [ b ──── c )  a/merge: frozen                         serves nobody, under any leader
//! left   [ a ─────────────── c )  a/bounds = a..c, a/merge: over, taken   one batch
//! ```
//!
//! Versions and locks of right's slots are copied key by key. Transaction records are copied whatever their primary's slot,
//! because every shard with locks of a large transaction keeps one under the primary's key; but for those of left's own
//! slots, where left knows better. What a shard has once (safe points, lock floor, refused commits, large transactions) is
//! the *rest* and goes with the batch that moves the bounds.
//!
//! Invariants:
//! 1. A merge has a number, later ones a higher one. Once it is over in a shard it is not begun there again.
//! 2. While left takes in slots, foreign keys of these slots are not dropped.
//!
//! Not here: the order of things (`txn`), who decides (`server`).

use super::large::put_large;
use super::records;
use super::version::split;
use super::{
    DATA, LARGE, LARGE_LOCK, LOCK, LOCK_FLOOR_KEY, REFUSED, SAFE_POINT_KEY, SafePoints, TXN, View,
    all_large, get_refusal, is_foreign, lock_floor, put_refusal, refusals, safe_points,
};
use crate::engine::Visitor;
use crate::{Error, Mutation, Result, WriteBatch, key};
use base::{KeyRange, SlotRange, TableId, Timestamp};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The engine key of what a shard knows of its merges.
const MERGE_KEY: &[u8] = b"a/merge";
/// Tag: no merge is under way.
const NONE: u8 = 0;
/// Tag: the shard takes its right neighbour in.
const TAKES_IN: u8 = 1;
/// Tag: the shard is frozen.
const FROZEN: u8 = 2;

/// What a shard knows of its merges (`docs/formats.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeState {
    /// Merges with numbers up to this one are over.
    pub over: u64,
    /// Whether the one with that number was carried out; else it was undone.
    pub taken: bool,
    /// The part that the shard has in a merge under way.
    pub part: Option<MergePart>,
}

/// A shard's part in a merge under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergePart {
    /// It is the left one and takes in slots.
    TakesIn {
        /// The merge's number.
        merge: u64,
        /// The right one's slots.
        slots: SlotRange,
    },
    /// It is the right one and serves nobody.
    Frozen {
        /// The merge's number.
        merge: u64,
    },
}

impl MergeState {
    /// The slots that are being taken in.
    pub fn incoming(&self) -> Option<SlotRange> {
        match self.part {
            Some(MergePart::TakesIn { slots, .. }) => Some(slots),
            Some(MergePart::Frozen { .. }) | None => None,
        }
    }

    /// Whether the shard serves nobody.
    pub fn is_frozen(&self) -> bool {
        matches!(self.part, Some(MergePart::Frozen { .. }))
    }

    /// The state after a merge has come to its end; its part goes, if it has one. Nor does the shard go on with an earlier one
    /// as the left shard.
    #[must_use]
    pub fn after(self, merge: u64, taken: bool) -> MergeState {
        let part = self.part.filter(|part| match part {
            MergePart::TakesIn { merge: of, .. } => *of > merge,
            MergePart::Frozen { merge: of } => *of != merge,
        });
        MergeState { over: merge, taken, part }
    }
}

/// What a shard knows of its merges; nothing in one that never had any.
pub fn merge_state<V: View + ?Sized>(view: &V) -> Result<MergeState> {
    let Some(stored) = view.get(MERGE_KEY)? else { return Ok(MergeState::default()) };
    parse(&stored)
        .ok_or_else(|| Error::corrupt("the merge record", format!("{} bytes", stored.len())))
}

fn parse(stored: &[u8]) -> Option<MergeState> {
    let (over, rest) = stored.split_first_chunk::<8>()?;
    let (&[taken, tag], rest) = rest.split_first_chunk::<2>()?;
    let part = match tag {
        NONE => return rest.is_empty().then_some(state(*over, taken, None)),
        TAKES_IN => {
            let (merge, rest) = rest.split_first_chunk::<8>()?;
            let (start, end) = rest.split_first_chunk::<4>()?;
            let end = <[u8; 4]>::try_from(end).ok()?;
            let slots =
                SlotRange { start: u32::from_le_bytes(*start), end: u32::from_le_bytes(end) };
            MergePart::TakesIn { merge: u64::from_le_bytes(*merge), slots }
        }
        FROZEN => {
            let merge = <[u8; 8]>::try_from(rest).ok()?;
            MergePart::Frozen { merge: u64::from_le_bytes(merge) }
        }
        _ => return None,
    };
    Some(state(*over, taken, Some(part)))
}

fn state(over: [u8; 8], taken: u8, part: Option<MergePart>) -> MergeState {
    MergeState { over: u64::from_le_bytes(over), taken: taken == 1, part }
}

/// Adds to a batch what a shard knows of its merges.
pub fn put_merge_state(batch: &mut WriteBatch, state: &MergeState) {
    let mut bytes = Vec::with_capacity(26);
    bytes.extend_from_slice(&state.over.to_le_bytes());
    bytes.push(u8::from(state.taken));
    match state.part {
        None => bytes.push(NONE),
        Some(MergePart::TakesIn { merge, slots }) => {
            bytes.push(TAKES_IN);
            bytes.extend_from_slice(&merge.to_le_bytes());
            bytes.extend_from_slice(&slots.start.to_le_bytes());
            bytes.extend_from_slice(&slots.end.to_le_bytes());
        }
        Some(MergePart::Frozen { merge }) => {
            bytes.push(FROZEN);
            bytes.extend_from_slice(&merge.to_le_bytes());
        }
    }
    batch.put(MERGE_KEY, bytes);
}

/// The two sides of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Left's slots.
    pub own: SlotRange,
    /// Right's slots, which begin where left's end.
    pub other: SlotRange,
}

impl Sides {
    /// All slots.
    pub fn whole(self) -> SlotRange {
        SlotRange { start: self.own.start, end: self.other.end }
    }

    /// Whether left takes an entry of right's engine.
    fn takes(self, engine_key: &[u8]) -> Result<bool> {
        match kind_of(engine_key)? {
            Kind::Row(key) => Ok(!is_foreign(Some(self.other), key)?),
            // Of its own keys left has the records that count.
            Kind::Record(primary) => Ok(key::table_of_key(primary)? < TableId::FIRST_USER
                || is_foreign(Some(self.own), primary)?),
            Kind::Other => Ok(false),
        }
    }
}

/// What an entry of an engine is to a merge.
enum Kind<'a> {
    /// A version or a lock of a key.
    Row(&'a [u8]),
    /// A transaction record under a primary key.
    Record(&'a [u8]),
    /// Not copied by itself.
    Other,
}

fn kind_of(engine_key: &[u8]) -> Result<Kind<'_>> {
    Ok(match engine_key.first() {
        Some(&DATA) => Kind::Row(split(engine_key)?.0),
        Some(&LOCK | &LARGE_LOCK) => Kind::Row(&engine_key[1..]),
        Some(&TXN) => Kind::Record(records::split(engine_key)?.0),
        _ => Kind::Other,
    })
}

/// Whether an entry of the engine of a shard with these slots is copied when the shard is taken in.
pub fn is_copied(engine_key: &[u8], slots: SlotRange) -> Result<bool> {
    match kind_of(engine_key)? {
        Kind::Row(key) => Ok(!is_foreign(Some(slots), key)?),
        Kind::Record(_) => Ok(true),
        Kind::Other => Ok(false),
    }
}

/// A part of a walk over what is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The entries that lie between where the walk began and where it goes on.
    pub entries: WriteBatch,
    /// The engine key to go on from; `None` at the end.
    pub next: Option<Bytes>,
}

/// Walks an engine from the key `from` on (empty: from the first) and names what is copied when the shard, which has these
/// slots, is taken in. Ends after about `bytes_max` bytes.
pub fn find_piece<V: View + ?Sized>(
    view: &V,
    slots: SlotRange,
    from: &[u8],
    bytes_max: u64,
) -> Result<Piece> {
    let range = KeyRange { start: start_of(from), end: end_of_copied() };
    let (mut piece, mut bytes) = (Piece::default(), 0);
    view.scan(&range, &mut |engine_key, stored| {
        if bytes >= bytes_max {
            piece.next = Some(Bytes::copy_from_slice(engine_key));
            return Ok(false);
        }
        bytes += (engine_key.len() + stored.len()) as u64;
        if is_copied(engine_key, slots)? {
            let value = Bytes::copy_from_slice(stored);
            piece.entries.put(Bytes::copy_from_slice(engine_key), value);
        }
        Ok(true)
    })?;
    Ok(piece)
}

fn start_of(from: &[u8]) -> Bytes {
    if from.is_empty() { Bytes::from_static(&[DATA]) } else { Bytes::copy_from_slice(from) }
}

fn end_of_copied() -> Bytes {
    Bytes::from_static(&[TXN + 1])
}

/// Where a piece lies: right has nothing else there.
#[derive(Clone, Debug)]
pub struct Interval {
    /// The engine key that it begins with; empty: the first.
    pub from: Bytes,
    /// The engine key that it ends before; `None`: the last.
    pub until: Option<Bytes>,
}

/// A part of a walk over left's engine, beside a piece of right's.
#[derive(Clone, Debug, Default)]
pub struct Aligned {
    /// What makes left's content of right's slots there the same as right's.
    pub batch: WriteBatch,
    /// Where to go on; `None` at the end of the interval.
    pub next: Option<Bytes>,
}

/// Walks left's engine over an interval and compares it with right's entries there: what is missing or different is put, and
/// versions and locks of right's slots that right does not have go. Ends after about `bytes_max` bytes.
pub fn align<V: View + ?Sized>(
    view: &V,
    sides: Sides,
    interval: &Interval,
    entries: &BTreeMap<Bytes, Bytes>,
    bytes_max: u64,
) -> Result<Aligned> {
    let start = start_of(&interval.from);
    let end = interval.until.clone().unwrap_or_else(end_of_copied);
    let (mut aligned, mut bytes, mut same) = (Aligned::default(), 0, BTreeSet::new());
    let range = KeyRange { start: start.clone(), end: end.clone() };
    view.scan(&range, &mut |engine_key, stored| {
        if bytes >= bytes_max {
            aligned.next = Some(Bytes::copy_from_slice(engine_key));
            return Ok(false);
        }
        bytes += (engine_key.len() + stored.len()) as u64;
        let wanted = entries.get(engine_key);
        if wanted.is_some_and(|wanted| wanted == stored) {
            same.insert(Bytes::copy_from_slice(engine_key));
        } else if wanted.is_none() && is_row_of(engine_key, sides.other)? {
            aligned.batch.delete(Bytes::copy_from_slice(engine_key));
        }
        Ok(true)
    })?;
    let stop = aligned.next.clone().unwrap_or(end);
    let between = (Bound::Included(start), Bound::Excluded(stop));
    for (engine_key, value) in entries.range(between) {
        if !same.contains(engine_key) && sides.takes(engine_key)? {
            aligned.batch.put(engine_key.clone(), value.clone());
        }
    }
    Ok(aligned)
}

/// Whether an entry is a version or a lock of a key of these slots.
fn is_row_of(engine_key: &[u8], slots: SlotRange) -> Result<bool> {
    match kind_of(engine_key)? {
        Kind::Row(key) => Ok(!is_foreign(Some(slots), key)?),
        Kind::Record(_) | Kind::Other => Ok(false),
    }
}

/// Of changes in right's engine those that left takes. Records only come: one that right has dropped is dropped by left when
/// it is old.
pub fn taken_changes(changes: WriteBatch, sides: Sides) -> Result<WriteBatch> {
    let mut taken = WriteBatch::new();
    for change in changes.into_mutations() {
        match change {
            Mutation::Put { key, value } if sides.takes(&key)? => taken.put(key, value),
            Mutation::Delete { key } if is_row_of(&key, sides.other)? => taken.delete(key),
            Mutation::Put { .. } | Mutation::Delete { .. } => {}
        }
    }
    Ok(taken)
}

/// What a shard has once, as entries of its engine.
pub fn rest_of<V: View + ?Sized>(view: &V) -> Result<WriteBatch> {
    let mut rest = WriteBatch::new();
    for name in [SAFE_POINT_KEY, LOCK_FLOOR_KEY] {
        if let Some(stored) = view.get(name)? {
            rest.put(name, stored);
        }
    }
    for kind in [LARGE, REFUSED] {
        view.scan(&KeyRange::prefix(vec![kind]), &mut |engine_key, stored| {
            rest.put(Bytes::copy_from_slice(engine_key), Bytes::copy_from_slice(stored));
            Ok(true)
        })?;
    }
    Ok(rest)
}

/// What right has once, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// The earliest read points that it serves.
    pub safe_points: SafePoints,
    /// The earliest start of a transaction that may place locks.
    pub lock_floor: Timestamp,
    /// Large transactions that have locks there, with their primaries.
    pub large: Vec<(Timestamp, Bytes)>,
    /// Commits that must not be executed any more, and until when.
    pub refusals: Vec<(u64, Timestamp)>,
}

/// Reads what [`rest_of`] has found.
pub fn read_rest(entries: WriteBatch) -> Result<Rest> {
    let mut held = Held::default();
    for entry in entries.into_mutations() {
        match entry {
            Mutation::Put { key, value } => held.0.insert(key, value),
            Mutation::Delete { key } => held.0.remove(&key),
        };
    }
    Ok(Rest {
        safe_points: safe_points(&held)?,
        lock_floor: lock_floor(&held)?,
        large: all_large(&held)?,
        refusals: refusals(&held)?,
    })
}

/// Adds to left's batch the large transactions and the refused commits of right. A commit that both refuse is refused for
/// as long as either says.
pub fn put_rest<V: View + ?Sized>(view: &V, batch: &mut WriteBatch, rest: &Rest) -> Result<()> {
    for (start_ts, primary) in &rest.large {
        put_large(batch, *start_ts, primary);
    }
    for (commit, until) in &rest.refusals {
        let own = get_refusal(view, *commit)?.unwrap_or(Timestamp::ZERO);
        put_refusal(batch, *commit, own.max(*until));
    }
    Ok(())
}

/// A few entries in memory, to be read like an engine.
#[derive(Default)]
struct Held(BTreeMap<Bytes, Bytes>);

impl Held {
    fn in_range<'a>(
        &'a self,
        range: &KeyRange,
    ) -> impl DoubleEndedIterator<Item = (&'a Bytes, &'a Bytes)> {
        let range = range.clone();
        self.0.iter().filter(move |(key, _)| range.contains(key))
    }
}

impl View for Held {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(key).cloned())
    }

    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        let found = self.0.iter().find(|(key, _)| key.starts_with(prefix) && &key[..] >= from);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        for (key, value) in self.in_range(range) {
            if !visit(&key[..], &value[..])? {
                break;
            }
        }
        Ok(())
    }

    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        for (key, value) in self.in_range(range).rev() {
            if !visit(&key[..], &value[..])? {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mvcc::{
        TxnRecord, get_txn_record, put_lock_floor, put_safe_points, put_txn_record, put_version,
        version_key,
    };
    use crate::{Engine, SimDisk};
    use base::{IndexId, Slot};
    use std::path::Path;

    const LEFT: SlotRange = SlotRange { start: 0, end: 100 };
    const RIGHT: SlotRange = SlotRange { start: 100, end: 200 };
    const SIDES: Sides = Sides { own: LEFT, other: RIGHT };

    fn key_in(slot: u16, name: &str) -> Bytes {
        let mut key = key::KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
        key.put_bytes(name.as_bytes());
        key.finish(Slot(slot))
    }

    fn engine_with(write: impl FnOnce(&mut WriteBatch)) -> Box<dyn Engine> {
        let engine = SimDisk::new().open(Path::new("db")).unwrap();
        let mut batch = WriteBatch::new();
        write(&mut batch);
        engine.write(batch).unwrap();
        Box::new(engine)
    }

    /// Copies right into left, in steps that are as small as can be.
    fn copy(left: &dyn Engine, right: &dyn Engine) {
        let mut from = Some(Bytes::new());
        while let Some(at) = from {
            let piece = find_piece(right, RIGHT, &at, 1).unwrap();
            let entries = piece.entries.into_mutations().into_iter().map(|entry| match entry {
                Mutation::Put { key, value } => (key, value),
                Mutation::Delete { .. } => panic!("a piece holds what is there"),
            });
            let entries = entries.collect();
            let mut own = Some(at);
            while let Some(from) = own {
                let interval = Interval { from, until: piece.next.clone() };
                let aligned = align(left, SIDES, &interval, &entries, 1).unwrap();
                left.write(aligned.batch).unwrap();
                own = aligned.next;
            }
            from = piece.next;
        }
    }

    #[test]
    fn what_a_shard_knows_of_merges_is_read_as_it_was_written() {
        let engine = engine_with(|_| {});
        assert_eq!(merge_state(&*engine).unwrap(), MergeState::default());
        let parts = [
            None,
            Some(MergePart::TakesIn { merge: 9, slots: RIGHT }),
            Some(MergePart::Frozen { merge: 9 }),
        ];
        for part in parts {
            let state = MergeState { over: 8, taken: true, part };
            let mut batch = WriteBatch::new();
            put_merge_state(&mut batch, &state);
            engine.write(batch).unwrap();
            assert_eq!(merge_state(&*engine).unwrap(), state);
            assert_eq!(state.after(9, false), MergeState { over: 9, taken: false, part: None });
        }
        for bad in [&[0_u8; 9][..], &[0; 11], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 3]] {
            let mut batch = WriteBatch::new();
            batch.put(MERGE_KEY, bad.to_vec());
            engine.write(batch).unwrap();
            assert!(merge_state(&*engine).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn left_gets_what_right_has_and_loses_what_right_has_not() {
        let (own, other) = (key_in(1, "own"), key_in(101, "other"));
        let (left_over, third) = (key_in(102, "left over"), key_in(300, "third"));
        let record = TxnRecord::RolledBack;
        let right = engine_with(|batch| {
            put_version(batch, &other, Timestamp(5), Some(&b"new"[..]));
            // As a split has left it: not right's.
            put_version(batch, &own, Timestamp(3), Some(&b"old"[..]));
            put_txn_record(batch, &other, Timestamp(2), record);
            put_txn_record(batch, &third, Timestamp(2), record);
            put_txn_record(batch, &own, Timestamp(2), record);
        });
        let left = engine_with(|batch| {
            put_version(batch, &own, Timestamp(4), Some(&b"left's"[..]));
            put_version(batch, &other, Timestamp(1), Some(&b"old"[..]));
            put_version(batch, &left_over, Timestamp(1), Some(&b"old"[..]));
        });
        copy(&*left, &*right);
        copy(&*left, &*right);
        let version = |key: &Bytes, ts| left.get(&version_key(key, Timestamp(ts))).unwrap();
        assert!(version(&own, 4).is_some() && version(&other, 5).is_some());
        assert_eq!(
            (version(&own, 3), version(&other, 1), version(&left_over, 1)),
            (None, None, None)
        );
        let record_of = |key: &Bytes| get_txn_record(&*left, key, Timestamp(2)).unwrap();
        assert!(record_of(&other).is_some() && record_of(&third).is_some());
        assert_eq!(record_of(&own), None, "left knows better");
    }

    #[test]
    fn changes_outside_of_rights_slots_are_left_alone() {
        let (own, other) = (key_in(1, "own"), key_in(101, "other"));
        let mut changes = WriteBatch::new();
        for key in [&own, &other] {
            changes.delete(version_key(key, Timestamp(1)));
            put_version(&mut changes, key, Timestamp(2), Some(&b"v"[..]));
        }
        changes.put(MERGE_KEY, Bytes::new());
        let taken = taken_changes(changes, SIDES).unwrap();
        let mut expected = WriteBatch::new();
        expected.delete(version_key(&other, Timestamp(1)));
        put_version(&mut expected, &other, Timestamp(2), Some(&b"v"[..]));
        assert_eq!(taken, expected);
    }

    #[test]
    fn what_a_shard_has_once_is_read_again_on_the_other_side() {
        let points = SafePoints::from(Timestamp(7)).with_table(TableId(1001), Timestamp(9));
        let right = engine_with(|batch| {
            put_safe_points(batch, &points);
            put_lock_floor(batch, Timestamp(6));
            put_large(batch, Timestamp(5), b"primary");
            put_refusal(batch, 11, Timestamp(30));
            put_refusal(batch, 12, Timestamp(40));
        });
        let rest = read_rest(rest_of(&*right).unwrap()).unwrap();
        assert_eq!((&rest.safe_points, rest.lock_floor), (&points, Timestamp(6)));
        let left = engine_with(|batch| put_refusal(batch, 11, Timestamp(50)));
        let mut batch = WriteBatch::new();
        put_rest(&*left, &mut batch, &rest).unwrap();
        left.write(batch).unwrap();
        assert_eq!(all_large(&*left).unwrap(), [(Timestamp(5), Bytes::from("primary"))]);
        let until = |commit| get_refusal(&*left, commit).unwrap();
        assert_eq!((until(11), until(12)), (Some(Timestamp(50)), Some(Timestamp(40))));
        assert_eq!(read_rest(WriteBatch::new()).unwrap(), Rest::default());
    }
}
