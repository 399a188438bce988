//! Sequences: what is defined of one, and which value follows which.
//!
//! Values are taken from a counter of the meta shard, `cache` of them at once:
//!
//! ```text
//! plain    counter = the next free place on the line of all 64-bit numbers   a batch is a piece of that line
//! CYCLE    counter = how many values were taken                              a batch is some of them, round after round
//! ```
//!
//! Invariants:
//! 1. Pieces of the line do not overlap, whatever ALTER SEQUENCE changes meanwhile: plain values are unique without anybody
//!    having to wait.
//! 2. What begins anew (RESTART, another direction, CYCLE or not) begins a generation, which has a counter of its own.
//!
//! Not here: batches of a node (`dml::sequences`), statements (`ddl::sequence`).

use super::object::Object;
use super::store;
use crate::{Error, Result};
use base::TableId;
use base::limits::SEQUENCE_CACHE_MAX;
use prost::Message;

/// The sign of 64-bit numbers: turned around, they are in order as unsigned ones.
const SIGN: u64 = 1 << 63;

/// A sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceDef {
    /// Identity, never reused, not by tables either.
    pub id: TableId,
    /// Exact name of its database.
    pub database: String,
    /// Exact name; no table of the database has it.
    pub name: String,
    /// The type that AS has named, such as `smallint unsigned`; empty when none was.
    pub type_text: String,
    /// START WITH.
    pub start: i64,
    /// INCREMENT BY; not 0.
    pub increment: i64,
    /// MINVALUE.
    pub min: i64,
    /// MAXVALUE.
    pub max: i64,
    /// Values that a node takes at once; 0 for NOCACHE, one by one.
    pub cache: u64,
    /// CYCLE.
    pub cycle: bool,
    /// Counts how often it has begun anew.
    pub generation: u64,
    /// The first value of the generation.
    pub first: i64,
    /// Unix seconds when it was created.
    pub created_unix: u64,
}

impl SequenceDef {
    /// `database.sequence`, as errors print it.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Refuses options that do not go together.
    ///
    /// # Errors
    /// 4085.
    pub(crate) fn check(&self) -> Result<()> {
        let bounds = self.min..=self.max;
        let step = self.increment.unsigned_abs();
        let fits = self.cache <= SEQUENCE_CACHE_MAX
            && step.checked_mul(self.cache.max(1)).is_some_and(|span| i64::try_from(span).is_ok());
        if self.min < self.max
            && bounds.contains(&self.start)
            && bounds.contains(&self.first)
            && self.increment != 0
            && fits
        {
            Ok(())
        } else {
            Err(Error::sequence_options(self.qualified_name()))
        }
    }

    /// How far a batch moves the counter.
    pub(crate) fn batch(&self) -> u64 {
        self.cache.max(1).saturating_mul(self.stride())
    }

    /// How far a value moves the counter.
    pub(crate) fn stride(&self) -> u64 {
        if self.cycle { 1 } else { self.increment.unsigned_abs() }
    }

    /// The lowest place of the counter that has a value.
    pub(crate) fn origin(&self) -> u64 {
        let bottom = if self.increment > 0 { self.min } else { self.max };
        if self.cycle { 0 } else { self.place_of(self.first).max(self.place_of(bottom)) }
    }

    /// The place of a value on the line; only of a plain sequence.
    pub(crate) fn place_of(&self, value: i64) -> u64 {
        let place = value as u64 ^ SIGN;
        if self.increment > 0 { place } else { !place }
    }

    /// The value at a place of the counter, which is not below the origin; `None` behind the last one.
    pub(crate) fn value_at(&self, place: u64) -> Option<i64> {
        if self.cycle {
            return Some(self.value_of_round(place));
        }
        let place = if self.increment > 0 { place } else { !place };
        let value = (place ^ SIGN) as i64;
        (self.min..=self.max).contains(&value).then_some(value)
    }

    /// The value after so many, of a sequence with CYCLE.
    fn value_of_round(&self, count: u64) -> i64 {
        let step = i128::from(self.increment);
        let (bottom, top) = match self.increment > 0 {
            true => (i128::from(self.min), i128::from(self.max)),
            false => (i128::from(self.max), i128::from(self.min)),
        };
        let values_from = |from: i128| (top - from) / step + 1;
        let (count, first) = (i128::from(count), i128::from(self.first));
        let value = match count - values_from(first) {
            ..0 => first + count * step,
            later => bottom + later % values_from(bottom) * step,
        };
        i64::try_from(value).unwrap_or(self.start)
    }

    /// The statement that creates it.
    pub(crate) fn create_text(&self) -> String {
        let name = crate::printer::identifier(&self.name);
        let of = match self.type_text.as_str() {
            "" => String::new(),
            of => format!(" as {of}"),
        };
        let SequenceDef { start, min, max, increment, .. } = self;
        let cache = match self.cache {
            0 => "nocache".to_string(),
            cache => format!("cache {cache}"),
        };
        let cycle = if self.cycle { "cycle" } else { "nocycle" };
        format!(
            "CREATE SEQUENCE {name}{of} start with {start} minvalue {min} maxvalue {max} increment by {increment} {cache} \
             {cycle} ENGINE=InnoDB"
        )
    }
}

/// A sequence on disk (`docs/formats.md`, "Catalog", table 140).
#[derive(Clone, PartialEq, Message)]
struct SequenceRecord {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    database: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    type_text: String,
    #[prost(sint64, tag = "5")]
    start: i64,
    #[prost(sint64, tag = "6")]
    increment: i64,
    #[prost(sint64, tag = "7")]
    min: i64,
    #[prost(sint64, tag = "8")]
    max: i64,
    #[prost(uint64, tag = "9")]
    cache: u64,
    #[prost(bool, tag = "10")]
    cycle: bool,
    #[prost(uint64, tag = "11")]
    generation: u64,
    #[prost(sint64, tag = "12")]
    first: i64,
    #[prost(uint64, tag = "13")]
    created_unix: u64,
}

impl Object for SequenceDef {
    const TABLE: TableId = store::SEQUENCES;

    fn id(&self) -> TableId {
        self.id
    }

    fn database(&self) -> &str {
        &self.database
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn encode(&self) -> Vec<u8> {
        SequenceRecord {
            id: self.id.0,
            database: self.database.clone(),
            name: self.name.clone(),
            type_text: self.type_text.clone(),
            start: self.start,
            increment: self.increment,
            min: self.min,
            max: self.max,
            cache: self.cache,
            cycle: self.cycle,
            generation: self.generation,
            first: self.first,
            created_unix: self.created_unix,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<SequenceDef> {
        let corrupt = |what: String| Error::storage(format!("corrupt sequence record: {what}"));
        let record = SequenceRecord::decode(bytes).map_err(|error| corrupt(error.to_string()))?;
        let sequence = SequenceDef {
            id: TableId(record.id),
            database: record.database,
            name: record.name,
            type_text: record.type_text,
            start: record.start,
            increment: record.increment,
            min: record.min,
            max: record.max,
            cache: record.cache,
            cycle: record.cycle,
            generation: record.generation,
            first: record.first,
            created_unix: record.created_unix,
        };
        sequence.check().map_err(|error| corrupt(error.message))?;
        Ok(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(increment: i64, min: i64, max: i64, first: i64, cycle: bool) -> SequenceDef {
        SequenceDef {
            id: TableId(1000),
            database: "d".into(),
            name: "s".into(),
            type_text: String::new(),
            start: first,
            increment,
            min,
            max,
            cache: 10,
            cycle,
            generation: 0,
            first,
            created_unix: 0,
        }
    }

    fn values(sequence: &SequenceDef, count: u64) -> Vec<Option<i64>> {
        let places = (0..count).map(|n| sequence.origin() + n * sequence.stride());
        places.map(|place| sequence.value_at(place)).collect()
    }

    #[test]
    fn plain_values_go_up_or_down_to_their_bound() {
        let up = sequence(3, 1, 9, 2, false);
        assert_eq!(values(&up, 4), [Some(2), Some(5), Some(8), None]);
        let down = sequence(-4, -9, -1, -1, false);
        assert_eq!(values(&down, 4), [Some(-1), Some(-5), Some(-9), None]);
        let wide = sequence(1, -i64::MAX, i64::MAX - 1, -1, false);
        assert_eq!(values(&wide, 3), [Some(-1), Some(0), Some(1)]);
    }

    #[test]
    fn rounds_begin_at_the_other_end() {
        let up = sequence(3, 1, 9, 5, true);
        assert_eq!(values(&up, 6), [5, 8, 1, 4, 7, 1].map(Some));
        let down = sequence(-2, 1, 4, 3, true);
        assert_eq!(values(&down, 5), [3, 1, 4, 2, 4].map(Some));
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let sequence = sequence(-2, -7, 4, 3, true);
        assert_eq!(SequenceDef::decode(&sequence.encode()).unwrap(), sequence);
    }
}
