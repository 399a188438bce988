//! Rows as bytes, made so that one column can be read without touching the others.
//!
//! ```text
//! version │ flags │ columns (2) │ NULL bits │ end of column 0, 1, … (2 or 4 each) │ values
//! ```
//!
//! A column's value lies between the end of the one before it and its own end, so reading a column
//! is two loads and a slice. All numbers are little-endian. `docs/formats.md`, "Rows", draws it.
//!
//! Invariants:
//! 1. A row knows how many columns it has. A column added to the table later is *absent* in it, which
//!    is not NULL: the reader of the table supplies the default. [`RowReader::has_column`] tells.
//! 2. Random bytes give `Corrupt`, never a panic or a value from outside the row.
//!
//! Not here: types (`sql` knows what a column's bytes mean; the integer and float forms are helpers).

use crate::{Error, Result};
use bytes::Bytes;

/// Format version of a row.
const ROW_VERSION: u8 = 1;
/// Flag: ends of columns take four bytes, not two.
const WIDE: u8 = 1;
/// Length of version, flags and column count.
const FIXED_BYTES: usize = 4;

/// Writes a row column by column.
#[derive(Clone, Debug)]
pub struct RowWriter {
    /// Columns the row will have.
    columns: usize,
    /// Which of them are NULL, one bit each, lowest first.
    nulls: Vec<u8>,
    /// Where each column's value ends.
    ends: Vec<u32>,
    /// The values.
    values: Vec<u8>,
}

impl RowWriter {
    /// A row of so many columns.
    ///
    /// # Panics
    /// When they are more than 65,535; MySQL's tables have at most 4,096.
    pub fn new(columns: usize) -> RowWriter {
        assert!(columns <= usize::from(u16::MAX), "{columns} columns");
        RowWriter {
            columns,
            nulls: vec![0; columns.div_ceil(8)],
            ends: Vec::with_capacity(columns),
            values: Vec::with_capacity(columns * 8),
        }
    }

    /// The next column is NULL.
    pub fn push_null(&mut self) {
        let column = self.ends.len();
        assert!(column < self.columns, "the row has {} columns", self.columns);
        self.nulls[column / 8] |= 1 << (column % 8);
        self.push_bytes(&[]);
    }

    /// The next column has these bytes.
    ///
    /// # Panics
    /// When the row has all its columns already, or is 4 GiB long.
    pub fn push_bytes(&mut self, value: &[u8]) {
        assert!(self.ends.len() < self.columns, "the row has {} columns", self.columns);
        self.values.extend_from_slice(value);
        let end = u32::try_from(self.values.len());
        self.ends.push(end.expect("limits keep rows far below 4 GiB"));
    }

    /// The next column is a signed integer, in as few of 1, 2, 4 and 8 bytes as hold it.
    pub fn push_i64(&mut self, value: i64) {
        if let Ok(value) = i8::try_from(value) {
            self.push_bytes(&value.to_le_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.push_bytes(&value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.push_bytes(&value.to_le_bytes());
        } else {
            self.push_bytes(&value.to_le_bytes());
        }
    }

    /// The next column is an unsigned integer, in as few of 1, 2, 4 and 8 bytes as hold it.
    pub fn push_u64(&mut self, value: u64) {
        if let Ok(value) = u8::try_from(value) {
            self.push_bytes(&value.to_le_bytes());
        } else if let Ok(value) = u16::try_from(value) {
            self.push_bytes(&value.to_le_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.push_bytes(&value.to_le_bytes());
        } else {
            self.push_bytes(&value.to_le_bytes());
        }
    }

    /// The next column is a floating-point number.
    pub fn push_f64(&mut self, value: f64) {
        self.push_bytes(&value.to_bits().to_le_bytes());
    }

    /// The row.
    ///
    /// # Panics
    /// When columns are missing.
    pub fn finish(self) -> Bytes {
        assert_eq!(self.ends.len(), self.columns, "columns pushed and promised");
        let wide = self.values.len() > usize::from(u16::MAX);
        let end_bytes = if wide { 4 } else { 2 };
        let length = FIXED_BYTES + self.nulls.len() + self.columns * end_bytes + self.values.len();
        let mut row = Vec::with_capacity(length);
        row.push(ROW_VERSION);
        row.push(if wide { WIDE } else { 0 });
        row.extend_from_slice(&(self.columns as u16).to_le_bytes());
        row.extend_from_slice(&self.nulls);
        for end in self.ends {
            row.extend_from_slice(&end.to_le_bytes()[..end_bytes]);
        }
        row.extend_from_slice(&self.values);
        row.into()
    }
}

/// Reads single columns of a row.
#[derive(Clone, Copy, Debug)]
pub struct RowReader<'a> {
    /// Columns the row has.
    columns: usize,
    /// Which of them are NULL.
    nulls: &'a [u8],
    /// Where each column's value ends.
    ends: &'a [u8],
    /// Length of one end: 2 or 4.
    end_bytes: usize,
    /// The values.
    values: &'a [u8],
}

impl<'a> RowReader<'a> {
    /// Looks at a row's header; values are not touched.
    pub fn new(row: &'a [u8]) -> Result<RowReader<'a>> {
        let Some((&[version, flags, c0, c1], rest)) = row.split_first_chunk::<FIXED_BYTES>() else {
            return Err(corrupt(format!("{} bytes are too few", row.len())));
        };
        if version != ROW_VERSION || flags & !WIDE != 0 {
            return Err(corrupt(format!("format version {version} with flags {flags}")));
        }
        let columns = usize::from(u16::from_le_bytes([c0, c1]));
        let end_bytes = if flags & WIDE != 0 { 4 } else { 2 };
        let header = rest.split_at_checked(columns.div_ceil(8)).and_then(|(nulls, rest)| {
            rest.split_at_checked(columns * end_bytes).map(|(ends, values)| (nulls, ends, values))
        });
        let Some((nulls, ends, values)) = header else {
            return Err(corrupt(format!("{} bytes for {columns} columns", row.len())));
        };
        let reader = RowReader { columns, nulls, ends, end_bytes, values };
        let end = if columns == 0 { 0 } else { reader.end(columns - 1) };
        if end != values.len() {
            return Err(corrupt(format!("{} bytes of values, expected {end}", values.len())));
        }
        Ok(reader)
    }

    /// Columns the row has; later ones are absent.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether the row has this column. A column that was added to the table later is absent.
    pub fn has_column(&self, column: usize) -> bool {
        column < self.columns
    }

    /// The bytes of a column; `None` is NULL.
    ///
    /// # Errors
    /// `Corrupt` when the column is absent, or lies outside the row.
    pub fn column(&self, column: usize) -> Result<Option<&'a [u8]>> {
        if column >= self.columns {
            return Err(corrupt(format!("column {column} of {} is absent", self.columns)));
        }
        if self.nulls[column / 8] & 1 << (column % 8) != 0 {
            return Ok(None);
        }
        let start = if column == 0 { 0 } else { self.end(column - 1) };
        let end = self.end(column);
        let value = self.values.get(start..end);
        value.map(Some).ok_or_else(|| corrupt(format!("column {column} at bytes {start}..{end}")))
    }

    /// A column that is a signed integer.
    pub fn i64(&self, column: usize) -> Result<Option<i64>> {
        let Some(bytes) = self.column(column)? else { return Ok(None) };
        match *bytes {
            [a] => Ok(Some(i64::from(a as i8))),
            [a, b] => Ok(Some(i64::from(i16::from_le_bytes([a, b])))),
            [a, b, c, d] => Ok(Some(i64::from(i32::from_le_bytes([a, b, c, d])))),
            _ => Ok(Some(i64::from_le_bytes(self.eight(column, bytes)?))),
        }
    }

    /// A column that is an unsigned integer.
    pub fn u64(&self, column: usize) -> Result<Option<u64>> {
        let Some(bytes) = self.column(column)? else { return Ok(None) };
        match *bytes {
            [a] => Ok(Some(u64::from(a))),
            [a, b] => Ok(Some(u64::from(u16::from_le_bytes([a, b])))),
            [a, b, c, d] => Ok(Some(u64::from(u32::from_le_bytes([a, b, c, d])))),
            _ => Ok(Some(u64::from_le_bytes(self.eight(column, bytes)?))),
        }
    }

    /// A column that is a floating-point number.
    pub fn f64(&self, column: usize) -> Result<Option<f64>> {
        let Some(bytes) = self.column(column)? else { return Ok(None) };
        Ok(Some(f64::from_bits(u64::from_le_bytes(self.eight(column, bytes)?))))
    }

    /// Where a column's value ends. The header was checked to hold all ends.
    fn end(&self, column: usize) -> usize {
        let at = column * self.end_bytes;
        let mut end = [0; 4];
        end[..self.end_bytes].copy_from_slice(&self.ends[at..at + self.end_bytes]);
        u32::from_le_bytes(end) as usize
    }

    fn eight(&self, column: usize, bytes: &[u8]) -> Result<[u8; 8]> {
        <[u8; 8]>::try_from(bytes)
            .map_err(|_| corrupt(format!("column {column} is a number of {} bytes", bytes.len())))
    }
}

fn corrupt(what: String) -> Error {
    Error::corrupt("row", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_round_trip(
            columns in prop::collection::vec(
                prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0..70),
            wide: bool,
        ) {
            let mut columns = columns;
            if wide {
                columns.push(Some(vec![7; 70_000]));
            }
            let mut writer = RowWriter::new(columns.len());
            for column in &columns {
                match column {
                    Some(value) => writer.push_bytes(value),
                    None => writer.push_null(),
                }
            }
            let row = writer.finish();
            let reader = RowReader::new(&row).unwrap();
            prop_assert_eq!(reader.columns(), columns.len());
            for (i, column) in columns.iter().enumerate() {
                prop_assert_eq!(reader.column(i).unwrap(), column.as_deref());
            }
        }

        #[test]
        fn numbers_round_trip(signed: i64, unsigned: u64, float: f64, shift in 0..64_u32) {
            let (signed, unsigned) = (signed >> shift, unsigned >> shift);
            let mut writer = RowWriter::new(3);
            writer.push_i64(signed);
            writer.push_u64(unsigned);
            writer.push_f64(float);
            let row = writer.finish();
            let reader = RowReader::new(&row).unwrap();
            prop_assert_eq!(reader.i64(0).unwrap(), Some(signed));
            prop_assert_eq!(reader.u64(1).unwrap(), Some(unsigned));
            prop_assert_eq!(reader.f64(2).unwrap().map(f64::to_bits), Some(float.to_bits()));
        }

        #[test]
        fn random_bytes_never_panic(mut row in prop::collection::vec(any::<u8>(), 0..60), header: bool) {
            if header && row.len() > 4 {
                // Near enough to a row to pass the first checks.
                row[0] = ROW_VERSION;
                row[1] &= WIDE;
                row[2] %= 8;
                row[3] = 0;
            }
            if let Ok(reader) = RowReader::new(&row) {
                for column in 0..reader.columns() {
                    let _ = (reader.column(column), reader.i64(column), reader.f64(column));
                }
            }
        }

        #[test]
        fn every_cut_row_is_corrupt(cut in 0..18_usize) {
            let mut writer = RowWriter::new(3);
            writer.push_bytes(b"Leeds");
            writer.push_null();
            writer.push_i64(300);
            let row = writer.finish();
            prop_assert_eq!(row.len(), 18);
            prop_assert!(RowReader::new(&row[..cut]).is_err());
        }
    }

    #[test]
    fn a_column_added_later_is_absent_not_null() {
        let mut writer = RowWriter::new(1);
        writer.push_null();
        let row = writer.finish();
        let reader = RowReader::new(&row).unwrap();
        assert_eq!(reader.column(0).unwrap(), None);
        assert!(reader.has_column(0) && !reader.has_column(1));
        assert!(matches!(reader.column(1), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn row_bytes_never_change() {
        // Part of the disk format, as drawn in docs/formats.md.
        let mut writer = RowWriter::new(3);
        writer.push_i64(-2);
        writer.push_null();
        writer.push_bytes(b"ab");
        let expected = [1, 0, 3, 0, 0b010, 1, 0, 1, 0, 3, 0, 0xfe, b'a', b'b'];
        assert_eq!(&writer.finish()[..], &expected[..]);
    }
}
