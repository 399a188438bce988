//! Keys whose byte order is the order of the values in them.
//!
//! ```text
//! table (4 BE) │ index (4 BE) │ column │ column │ … │ slot (2 BE)
//! └───────── head ──────────┘ └── each: 00 = NULL, or 01 and the value ──┘
//! ```
//!
//! Each column's encoding is *order-preserving* (bytes compare as values do, NULL first) and
//! *prefix-free* (none is a proper prefix of another one of the same type), so their concatenation is
//! both, too. `docs/formats.md`, "Keys", draws every byte.
//!
//! Invariants:
//! 1. All keys of one index have the same column types in the same order; then keys are prefix-free.
//! 2. Values that MySQL calls equal have equal bytes: the caller passes collation weights for
//!    strings and one scale per decimal column; −0.0 is 0.0 here.
//! 3. The slot plays no part in the order of rows that differ in a column.
//!
//! Not here: which columns make a key (`sql`), descending columns (no index has them).

use crate::{Error, Result};
use base::{IndexId, Slot, TableId};
use bytes::Bytes;
use std::borrow::Cow;

/// Length of table id and index id.
pub const HEAD_BYTES: usize = 8;
/// Length of the slot at the end.
pub const SLOT_BYTES: usize = 2;

/// Marker of a NULL column: sorts before every value.
const NULL: u8 = 0;
/// Marker of a value.
const VALUE: u8 = 1;
/// What a zero byte inside a byte string becomes: `00 FF`.
const ESCAPED_ZERO: u8 = 0xff;
/// What ends a byte string: `00 01`, below every escaped zero, so a prefix sorts first.
const TERMINATOR: u8 = 0x01;
/// Sign byte of a decimal below zero; the magnitude's bits are flipped.
const NEGATIVE: u8 = 0;
/// Sign byte of a decimal that is not below zero.
const NOT_NEGATIVE: u8 = 1;

/// All keys of a table begin with this.
pub fn table_prefix(table: TableId) -> Bytes {
    Bytes::copy_from_slice(&table.0.to_be_bytes())
}

/// All keys of an index begin with this.
pub fn index_prefix(table: TableId, index: IndexId) -> Bytes {
    KeyBuilder::new(table, index).into_prefix()
}

/// The slot at the end of a key.
pub fn slot_of_key(key: &[u8]) -> Result<Slot> {
    match key.split_last_chunk::<SLOT_BYTES>() {
        Some((rest, slot)) if rest.len() >= HEAD_BYTES => Ok(Slot(u16::from_be_bytes(*slot))),
        _ => Err(too_short(key)),
    }
}

/// The table at the front of a key.
pub fn table_of_key(key: &[u8]) -> Result<TableId> {
    let (table, _) = key.split_first_chunk().ok_or_else(|| too_short(key))?;
    Ok(TableId(u32::from_be_bytes(*table)))
}

/// The index behind the table of a key.
pub fn index_of_key(key: &[u8]) -> Result<IndexId> {
    let head = key.get(4..HEAD_BYTES).and_then(|index| index.first_chunk());
    Ok(IndexId(u32::from_be_bytes(*head.ok_or_else(|| too_short(key))?)))
}

/// Bytes that hold the magnitude of every decimal with this many digits.
pub fn decimal_width(precision: u32) -> usize {
    // Digits times log2(10), rounded up to whole bytes. No power of ten is so near a power of 256
    // that seven decimals of the logarithm could round the wrong way for MySQL's 65 digits.
    let bits = (u64::from(precision) * 33_219_281).div_ceil(10_000_000);
    (bits.div_ceil(8) as usize).max(1)
}

/// Writes a key column by column.
#[derive(Clone, Debug)]
pub struct KeyBuilder {
    /// What is written so far.
    bytes: Vec<u8>,
}

impl KeyBuilder {
    /// The key of an index entry, with its head.
    pub fn new(table: TableId, index: IndexId) -> KeyBuilder {
        let mut builder = KeyBuilder::columns();
        builder.bytes.extend_from_slice(&table.0.to_be_bytes());
        builder.bytes.extend_from_slice(&index.0.to_be_bytes());
        builder
    }

    /// Columns without a head: a sharding key, whose hash is the slot.
    pub fn columns() -> KeyBuilder {
        KeyBuilder { bytes: Vec::with_capacity(64) }
    }

    /// Adds NULL.
    pub fn put_null(&mut self) {
        self.bytes.push(NULL);
    }

    /// Adds a signed integer.
    pub fn put_i64(&mut self, value: i64) {
        self.put_fixed(&(value as u64 ^ 1 << 63).to_be_bytes());
    }

    /// Adds an unsigned integer; also dates and times in their packed, order-preserving form.
    pub fn put_u64(&mut self, value: u64) {
        self.put_fixed(&value.to_be_bytes());
    }

    /// Adds a floating-point number. −0.0 becomes 0.0; not-a-numbers sort above everything else.
    pub fn put_f64(&mut self, value: f64) {
        let bits = if value == 0.0 {
            0.0_f64.to_bits()
        } else if value.is_nan() {
            f64::NAN.to_bits() & !(1 << 63)
        } else {
            value.to_bits()
        };
        let ordered = if bits >> 63 == 1 { !bits } else { bits ^ 1 << 63 };
        self.put_fixed(&ordered.to_be_bytes());
    }

    /// Adds a decimal: its sign and the magnitude of its unscaled value, big-endian, in `width` bytes
    /// ([`decimal_width`] of the column's precision). The scale is the column's, so it is not stored.
    ///
    /// # Panics
    /// When the magnitude needs more than `width` bytes: the column's type was not checked before.
    pub fn put_decimal(&mut self, negative: bool, magnitude_be: &[u8], width: usize) {
        let zeros = magnitude_be.iter().take_while(|byte| **byte == 0).count();
        let digits = &magnitude_be[zeros..];
        assert!(digits.len() <= width, "{} bytes of decimal for {width}", digits.len());
        let negative = negative && !digits.is_empty();
        self.bytes.push(VALUE);
        self.bytes.push(if negative { NEGATIVE } else { NOT_NEGATIVE });
        let flip = if negative { 0xff } else { 0 };
        self.bytes.resize(self.bytes.len() + width - digits.len(), flip);
        self.bytes.extend(digits.iter().map(|byte| byte ^ flip));
    }

    /// Adds bytes that are order-preserving already and have one length for the whole column.
    pub fn put_fixed(&mut self, value: &[u8]) {
        self.bytes.push(VALUE);
        self.bytes.extend_from_slice(value);
    }

    /// Adds a byte string of any length: binary data, or the collation weights of text.
    pub fn put_bytes(&mut self, value: &[u8]) {
        self.put_beginning(value);
        self.bytes.extend_from_slice(&[0, TERMINATOR]);
    }

    /// Adds how all byte strings begin that begin with this one, as the end of a prefix: nothing is added behind it.
    pub fn put_beginning(&mut self, value: &[u8]) {
        self.bytes.push(VALUE);
        let mut rest = value;
        while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
            self.bytes.extend_from_slice(&rest[..=zero]);
            self.bytes.push(ESCAPED_ZERO);
            rest = &rest[zero + 1..];
        }
        self.bytes.extend_from_slice(rest);
    }

    /// Adds columns that another builder wrote without a head.
    pub fn put_columns(&mut self, columns: &[u8]) {
        self.bytes.extend_from_slice(columns);
    }

    /// What is written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The slot of the columns written so far, when they are a sharding key without a head.
    pub fn slot(&self) -> Slot {
        Slot::of(&self.bytes)
    }

    /// The key, with its slot at the end.
    pub fn finish(mut self, slot: Slot) -> Bytes {
        self.bytes.extend_from_slice(&slot.0.to_be_bytes());
        self.bytes.into()
    }

    /// What is written, as the bound of a range: no slot at the end.
    pub fn into_prefix(self) -> Bytes {
        self.bytes.into()
    }
}

/// Reads a key column by column. Every method takes one column off the front; `None` is NULL.
#[derive(Clone, Debug)]
pub struct KeyReader<'a> {
    /// The whole key, named in errors.
    key: &'a [u8],
    /// What is not read yet.
    rest: &'a [u8],
}

impl<'a> KeyReader<'a> {
    /// Reads the columns of an index entry's key; the head is skipped.
    pub fn new(key: &'a [u8]) -> Result<KeyReader<'a>> {
        let rest = key.get(HEAD_BYTES..).ok_or_else(|| too_short(key))?;
        Ok(KeyReader { key, rest })
    }

    /// Reads columns that have no head.
    pub fn columns(columns: &'a [u8]) -> KeyReader<'a> {
        KeyReader { key: columns, rest: columns }
    }

    /// What is not read yet: columns and, in an entry's key, the slot.
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes a signed integer.
    pub fn take_i64(&mut self) -> Result<Option<i64>> {
        Ok(self.take_u64()?.map(|value| (value ^ 1 << 63) as i64))
    }

    /// Takes an unsigned integer.
    pub fn take_u64(&mut self) -> Result<Option<u64>> {
        if self.take_null()? {
            return Ok(None);
        }
        let (value, rest) = self.rest.split_first_chunk().ok_or_else(|| self.cut("8 bytes"))?;
        self.rest = rest;
        Ok(Some(u64::from_be_bytes(*value)))
    }

    /// Takes a floating-point number.
    pub fn take_f64(&mut self) -> Result<Option<f64>> {
        let ordered = self.take_u64()?;
        let bits = ordered.map(|bits| if bits >> 63 == 1 { bits ^ 1 << 63 } else { !bits });
        Ok(bits.map(f64::from_bits))
    }

    /// Takes a decimal of a column with this width: whether it is negative, and its magnitude,
    /// big-endian, `width` bytes.
    pub fn take_decimal(&mut self, width: usize) -> Result<Option<(bool, Vec<u8>)>> {
        let Some(bytes) = self.take_fixed(width + 1)? else { return Ok(None) };
        match bytes {
            [NOT_NEGATIVE, magnitude @ ..] => Ok(Some((false, magnitude.to_vec()))),
            [NEGATIVE, magnitude @ ..] => {
                Ok(Some((true, magnitude.iter().map(|byte| !byte).collect())))
            }
            _ => Err(self.cut("the sign of a decimal")),
        }
    }

    /// Takes a value of a column whose values have this length.
    pub fn take_fixed(&mut self, width: usize) -> Result<Option<&'a [u8]>> {
        if self.take_null()? {
            return Ok(None);
        }
        let (value, rest) =
            self.rest.split_at_checked(width).ok_or_else(|| self.cut("a value of fixed length"))?;
        self.rest = rest;
        Ok(Some(value))
    }

    /// Takes a byte string; borrowed when it holds no zero byte.
    pub fn take_bytes(&mut self) -> Result<Option<Cow<'a, [u8]>>> {
        if self.take_null()? {
            return Ok(None);
        }
        let mut value: Cow<'a, [u8]> = Cow::Borrowed(&[]);
        loop {
            let zero = self.rest.iter().position(|byte| *byte == 0);
            let zero = zero.ok_or_else(|| self.cut("the end of a byte string"))?;
            let (part, mark) = (&self.rest[..zero], self.rest.get(zero + 1));
            match mark {
                Some(&TERMINATOR) => {
                    match &mut value {
                        Cow::Borrowed([]) => value = Cow::Borrowed(part),
                        value => value.to_mut().extend_from_slice(part),
                    }
                    self.rest = &self.rest[zero + 2..];
                    return Ok(Some(value));
                }
                Some(&ESCAPED_ZERO) => {
                    value.to_mut().extend_from_slice(&self.rest[..=zero]);
                    self.rest = &self.rest[zero + 2..];
                }
                _ => return Err(self.cut("an escaped zero byte")),
            }
        }
    }

    /// The slot, after all columns were taken.
    pub fn finish(self) -> Result<Slot> {
        match self.rest {
            [high, low] => Ok(Slot(u16::from_be_bytes([*high, *low]))),
            _ => Err(self.cut("exactly a slot after the columns")),
        }
    }

    /// Takes a column's marker; true for NULL.
    fn take_null(&mut self) -> Result<bool> {
        match self.rest {
            [marker @ (NULL | VALUE), rest @ ..] => {
                self.rest = rest;
                Ok(*marker == NULL)
            }
            _ => Err(self.cut("a column's marker")),
        }
    }

    /// The error for bytes that are not what the column's type says.
    fn cut(&self, expected: &str) -> Error {
        Error::corrupt(
            format!("key {}", self.key.escape_ascii()),
            format!("expected {expected} at byte {}", self.key.len() - self.rest.len()),
        )
    }
}

fn too_short(key: &[u8]) -> Error {
    Error::corrupt(format!("key {}", key.escape_ascii()), "it is too short for a key")
}

#[cfg(test)]
mod tests;
