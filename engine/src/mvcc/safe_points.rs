//! The earliest read points that a shard serves: one for most tables, and one for each table that keeps its versions for
//! another time.
//!
//! ```text
//! tables:    t1000        t1001 (longer)            t1002 (shorter)
//!              │     ┌──────────┘                          │
//! time   ──────┼─────●─────────────●───────────────────────●──────────────▶ now
//!              └───────────────────┘ the general one
//! ```
//!
//! Invariants:
//! 1. No table's safe point ever falls, however its retention changes: what was dropped stays dropped.
//! 2. A table that is not named has the general one; one that has come to the same is not named any more.
//!
//! Not here: where they come from (`server`), and when they rise (`txn`).

use super::{SAFE_POINT_KEY, View};
use crate::{Error, Result, WriteBatch};
use base::{KeyRange, TableId, Timestamp};
use std::collections::BTreeMap;

/// Bytes of the general safe point.
const GENERAL_BYTES: usize = 8;
/// Bytes of a table's own: its id and the point.
const TABLE_BYTES: usize = 12;

/// The safe points of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafePoints {
    /// Of the tables that are not named.
    general: Timestamp,
    /// Of the others; each differs from the general one.
    tables: BTreeMap<TableId, Timestamp>,
}

impl From<Timestamp> for SafePoints {
    /// The same one for all tables.
    fn from(general: Timestamp) -> SafePoints {
        SafePoints { general, tables: BTreeMap::new() }
    }
}

impl SafePoints {
    /// Gives a table another one.
    pub fn with_table(mut self, table: TableId, point: Timestamp) -> SafePoints {
        self.tables.insert(table, point);
        self.forget_equal();
        self
    }

    /// The one of the tables that are not named.
    pub fn general(&self) -> Timestamp {
        self.general
    }

    /// Tables with another one.
    pub fn tables(&self) -> impl Iterator<Item = TableId> {
        self.tables.keys().copied()
    }

    /// The one of a table.
    pub fn of_table(&self, table: TableId) -> Timestamp {
        self.tables.get(&table).copied().unwrap_or(self.general)
    }

    /// The one of a key's table.
    pub fn of_key(&self, key: &[u8]) -> Timestamp {
        if self.tables.is_empty() { self.general } else { self.of_table(table_at(key)) }
    }

    /// The highest that any table of a span may have.
    pub fn of_span(&self, span: TableSpan) -> Timestamp {
        if span.first >= span.last {
            return self.of_table(span.first);
        }
        let named = self.tables.range(span.first..=span.last).map(|(_, point)| *point);
        named.fold(self.general, Timestamp::max)
    }

    /// The highest of all.
    pub fn highest(&self) -> Timestamp {
        self.tables.values().copied().fold(self.general, Timestamp::max)
    }

    /// Raises each table's to another's where that is higher.
    pub fn raise(&mut self, other: &SafePoints) {
        let named: Vec<TableId> = self.tables().chain(other.tables()).collect();
        let raised = |table| (table, self.of_table(table).max(other.of_table(table)));
        let tables = named.into_iter().map(raised).collect();
        self.tables = tables;
        self.general = self.general.max(other.general);
        self.forget_equal();
    }

    fn forget_equal(&mut self) {
        let general = self.general;
        self.tables.retain(|_, point| *point != general);
    }
}

/// The tables that keys lie in: none below the first, none above the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSpan {
    /// The first.
    first: TableId,
    /// The last.
    last: TableId,
}

impl TableSpan {
    /// The table of a key.
    pub fn of_key(key: &[u8]) -> TableSpan {
        let table = table_at(key);
        TableSpan { first: table, last: table }
    }

    /// The tables of the keys in a range.
    pub fn of_range(range: &KeyRange) -> TableSpan {
        let end = table_at(&range.end);
        let last = match range.end.len() {
            0 => TableId(u32::MAX),
            // No key of the end's table lies before the end.
            1..=4 => TableId(end.0.saturating_sub(1)),
            _ => end,
        };
        TableSpan { first: table_at(&range.start), last }
    }

    /// The tables of both, and all between.
    pub fn and(self, other: TableSpan) -> TableSpan {
        TableSpan { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// The table that the first four bytes of a key name; what is shorter is filled up with zeros.
fn table_at(key: &[u8]) -> TableId {
    let mut bytes = [0; 4];
    let length = key.len().min(bytes.len());
    bytes[..length].copy_from_slice(&key[..length]);
    TableId(u32::from_be_bytes(bytes))
}

/// The safe points of a shard (`docs/formats.md`); zero when nothing was ever dropped.
pub fn safe_points<V: View + ?Sized>(view: &V) -> Result<SafePoints> {
    let Some(stored) = view.get(SAFE_POINT_KEY)? else { return Ok(SafePoints::default()) };
    let corrupt = || Error::corrupt("the safe points", format!("{} bytes", stored.len()));
    let (general, tables) = stored.split_first_chunk::<GENERAL_BYTES>().ok_or_else(corrupt)?;
    if !tables.len().is_multiple_of(TABLE_BYTES) {
        return Err(corrupt());
    }
    let mut points = SafePoints::from(Timestamp(u64::from_be_bytes(*general)));
    for entry in tables.chunks_exact(TABLE_BYTES) {
        let (table, point) = entry.split_first_chunk::<4>().ok_or_else(corrupt)?;
        let point = point.first_chunk::<8>().ok_or_else(corrupt)?;
        let point = Timestamp(u64::from_be_bytes(*point));
        points.tables.insert(TableId(u32::from_be_bytes(*table)), point);
    }
    Ok(points)
}

/// Adds new safe points to a batch. They go with the first removal that they allow, in the same batch.
pub fn put_safe_points(batch: &mut WriteBatch, points: &SafePoints) {
    let mut bytes = Vec::with_capacity(GENERAL_BYTES + points.tables.len() * TABLE_BYTES);
    bytes.extend_from_slice(&points.general.0.to_be_bytes());
    for (table, point) in &points.tables {
        bytes.extend_from_slice(&table.0.to_be_bytes());
        bytes.extend_from_slice(&point.0.to_be_bytes());
    }
    batch.put(SAFE_POINT_KEY, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::key::table_prefix;
    use crate::sim::SimDisk;
    use std::path::Path;

    const A: TableId = TableId(1000);
    const B: TableId = TableId(1001);
    const C: TableId = TableId(1002);

    fn points(general: u64, tables: &[(TableId, u64)]) -> SafePoints {
        let start = SafePoints::from(Timestamp(general));
        tables
            .iter()
            .fold(start, |points, (table, point)| points.with_table(*table, Timestamp(*point)))
    }

    #[test]
    fn no_tables_safe_point_falls_when_its_retention_changes() {
        let mut shard = points(50, &[]);
        shard.raise(&points(60, &[(A, 10), (B, 90)]));
        assert_eq!(shard, points(60, &[(A, 50), (B, 90)]), "what was dropped at 50 is gone");
        shard.raise(&points(70, &[(A, 20)]));
        assert_eq!(shard, points(70, &[(A, 50), (B, 90)]), "one keeps, one must catch up");
        shard.raise(&points(90, &[]));
        assert_eq!(shard, points(90, &[]), "all alike again");
    }

    #[test]
    fn a_range_of_one_table_has_its_safe_point() {
        let points = points(60, &[(A, 10), (C, 90)]);
        let of = |range: &KeyRange| points.of_span(TableSpan::of_range(range)).0;
        let table = |table: TableId| KeyRange::prefix(table_prefix(table));
        assert_eq!([of(&table(A)), of(&table(B)), of(&table(C))], [10, 60, 90]);
        assert_eq!(of(&table(TableId(0x00ff_ffff))), 60, "its range ends with fewer bytes");
        let inside = KeyRange::new(&b"\0\0\x03\xe8abc"[..], &b"\0\0\x03\xe8x"[..]);
        assert_eq!(of(&inside), 10);
        let both = TableSpan::of_range(&table(A)).and(TableSpan::of_key(b"\0\0\x03\xe9abc"));
        assert_eq!(points.of_span(both).0, 60, "the higher of two tables'");
        assert_eq!(of(&KeyRange::default()), 90, "everything");
        assert_eq!(points.of_key(b"\0\0\x03\xe8abc").0, 10);
        assert_eq!(points.of_key(b"a").0, 60);
    }

    #[test]
    fn stored_safe_points_are_read_back() {
        let engine: Box<dyn Engine> = Box::new(SimDisk::new().open(Path::new("x")).unwrap());
        assert_eq!(safe_points(&*engine).unwrap(), SafePoints::default());
        for stored in [points(7, &[]), points(60, &[(A, 10), (C, 90)])] {
            let mut batch = WriteBatch::new();
            put_safe_points(&mut batch, &stored);
            engine.write(batch).unwrap();
            assert_eq!(safe_points(&*engine).unwrap(), stored);
        }
        let mut batch = WriteBatch::new();
        batch.put(SAFE_POINT_KEY, vec![0u8; 9]);
        engine.write(batch).unwrap();
        assert!(safe_points(&*engine).is_err());
    }
}
