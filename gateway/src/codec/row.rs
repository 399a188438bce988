//! Rows: as text (COM_QUERY) and in binary (COM_STMT_EXECUTE, COM_STMT_FETCH).
//!
//! The binary form of a value follows the type of its column, so a value that does not fit its column's
//! type is a defect of whoever made the row; it is reported, never sent in another shape.
//!
//! Not here: what text a value has (`sql::value`).

use super::put_length_bytes;
use sql::session::{ColumnFlags, ColumnMeta};
use sql::types::{SqlType, TypeKind};
use sql::value::{Date, DateTime, Time, Value};
use sql::{Error, Result};

/// NULL in a text row.
const TEXT_NULL: u8 = 0xfb;
/// The longest length that takes one byte.
const SHORT_LENGTH_MAX: usize = 250;
/// The null bitmap of a binary row begins with two bits that mean nothing.
const BITMAP_OFFSET: usize = 2;

/// Appends a row as text.
pub fn put_text_row(out: &mut Vec<u8>, columns: &[ColumnMeta], row: &[Value]) -> Result<()> {
    check_width(columns, row)?;
    for (column, value) in columns.iter().zip(row) {
        match value {
            Value::Null => out.push(TEXT_NULL),
            Value::Text(text) => put_length_bytes(out, text.as_bytes()),
            Value::Bytes(bytes) => put_length_bytes(out, bytes),
            _ => put_text(out, value, column),
        }
    }
    Ok(())
}

/// Appends a row in binary.
pub fn put_binary_row(out: &mut Vec<u8>, columns: &[ColumnMeta], row: &[Value]) -> Result<()> {
    check_width(columns, row)?;
    out.push(0);
    let bitmap = out.len();
    out.resize(bitmap + (columns.len() + BITMAP_OFFSET).div_ceil(8), 0);
    for (position, (column, value)) in columns.iter().zip(row).enumerate() {
        if value.is_null() {
            let bit = position + BITMAP_OFFSET;
            out[bitmap + bit / 8] |= 1 << (bit % 8);
        } else {
            put_binary(out, value, &column.ty).ok_or_else(|| {
                Error::internal(format!(
                    "column '{}' of type {:?} cannot hold {value:?}",
                    column.name, column.ty.kind
                ))
            })?;
        }
    }
    Ok(())
}

/// A row must have one value per column.
fn check_width(columns: &[ColumnMeta], row: &[Value]) -> Result<()> {
    if columns.len() == row.len() {
        return Ok(());
    }
    Err(Error::internal(format!("a row of {} values for {} columns", row.len(), columns.len())))
}

/// Appends the text of a number or time behind its length.
fn put_text(out: &mut Vec<u8>, value: &Value, column: &ColumnMeta) {
    let start = out.len();
    out.push(0);
    value.write_text(&column.ty, out);
    if column.flags.contains(ColumnFlags::ZEROFILL) {
        let missing = (column.ty.length as usize).saturating_sub(out.len() - start - 1);
        out.splice(start + 1..start + 1, std::iter::repeat_n(b'0', missing));
    }
    let length = out.len() - start - 1;
    if length <= SHORT_LENGTH_MAX {
        out[start] = length as u8;
    } else {
        // A DOUBLE with fixed decimals may have hundreds of digits.
        let text = out.split_off(start + 1);
        out.truncate(start);
        put_length_bytes(out, &text);
    }
}

/// Appends a value as its column's type; `None` when it is no value of that type.
fn put_binary(out: &mut Vec<u8>, value: &Value, ty: &SqlType) -> Option<()> {
    match ty.kind {
        TypeKind::TinyInt => put_integer::<1>(out, value, ty)?,
        TypeKind::SmallInt | TypeKind::Year => put_integer::<2>(out, value, ty)?,
        TypeKind::MediumInt | TypeKind::Int => put_integer::<4>(out, value, ty)?,
        TypeKind::BigInt => put_integer::<8>(out, value, ty)?,
        TypeKind::Float => out.extend_from_slice(&(to_double(value)? as f32).to_le_bytes()),
        TypeKind::Double => out.extend_from_slice(&to_double(value)?.to_le_bytes()),
        TypeKind::Date => match value {
            Value::Date(date) => put_date_time(out, date.midnight()),
            _ => return None,
        },
        TypeKind::DateTime | TypeKind::Timestamp => match value {
            Value::DateTime(moment) => put_date_time(out, *moment),
            Value::Date(date) => put_date_time(out, date.midnight()),
            _ => return None,
        },
        TypeKind::Time => match value {
            Value::Time(time) => put_time(out, *time),
            _ => return None,
        },
        TypeKind::Null => return None,
        TypeKind::Decimal
        | TypeKind::Char
        | TypeKind::Varchar
        | TypeKind::TinyText
        | TypeKind::Text
        | TypeKind::MediumText
        | TypeKind::LongText
        | TypeKind::Json
        | TypeKind::Geometry
        | TypeKind::Bit
        | TypeKind::Enum
        | TypeKind::Set => match value.as_bytes() {
            Some(bytes) => put_length_bytes(out, bytes),
            None => {
                let mut text = Vec::with_capacity(24);
                value.write_text(ty, &mut text);
                put_length_bytes(out, &text);
            }
        },
    }
    Some(())
}

/// Appends an integer of `N` bytes when it fits them.
fn put_integer<const N: usize>(out: &mut Vec<u8>, value: &Value, ty: &SqlType) -> Option<()> {
    let integer = value.as_integer()?;
    let bits = 8 * N as u32;
    let unsigned = ty.unsigned || ty.kind == TypeKind::Year;
    let (low, high) = if unsigned {
        (0, (1_i128 << bits) - 1)
    } else {
        (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
    };
    if !(low..=high).contains(&integer) {
        return None;
    }
    out.extend_from_slice(&integer.to_le_bytes()[..N]);
    Some(())
}

/// A number as floating point.
fn to_double(value: &Value) -> Option<f64> {
    match value {
        Value::Double(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        Value::UInt(value) => Some(*value as f64),
        Value::Decimal(value) => Some(value.to_f64()),
        _ => None,
    }
}

/// Appends a day and time; trailing zero parts are left out.
fn put_date_time(out: &mut Vec<u8>, moment: DateTime) {
    let date: Date = moment.date();
    let clock = [moment.hour() as u8, moment.minute() as u8, moment.second() as u8];
    let length = match (moment.micro(), clock) {
        (1.., _) => 11,
        (0, [0, 0, 0]) if date.is_zero() => 0,
        (0, [0, 0, 0]) => 4,
        (0, _) => 7,
    };
    out.push(length);
    if length >= 4 {
        out.extend_from_slice(&(date.year() as u16).to_le_bytes());
        out.extend_from_slice(&[date.month() as u8, date.day() as u8]);
    }
    if length >= 7 {
        out.extend_from_slice(&clock);
    }
    if length == 11 {
        out.extend_from_slice(&moment.micro().to_le_bytes());
    }
}

/// Appends a duration; zero parts are left out.
fn put_time(out: &mut Vec<u8>, time: Time) {
    let length = match (time.micros(), time.micro()) {
        (0, _) => 0,
        (_, 0) => 8,
        _ => 12,
    };
    out.push(length);
    if length >= 8 {
        out.push(time.is_negative().into());
        out.extend_from_slice(&(time.hours() / 24).to_le_bytes());
        let hours = (time.hours() % 24) as u8;
        out.extend_from_slice(&[hours, time.minutes() as u8, time.seconds() as u8]);
    }
    if length == 12 {
        out.extend_from_slice(&time.micro().to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql::collation::CollationId;
    use sql::value::Decimal;

    fn columns(types: &[SqlType]) -> Vec<ColumnMeta> {
        types.iter().map(|ty| ColumnMeta::computed("c", *ty)).collect()
    }

    fn text(ty: SqlType, value: Value) -> Vec<u8> {
        let mut out = Vec::new();
        put_text_row(&mut out, &columns(&[ty]), &[value]).unwrap();
        out
    }

    fn binary(ty: SqlType, value: Value) -> Vec<u8> {
        let mut out = Vec::new();
        put_binary_row(&mut out, &columns(&[ty]), &[value]).unwrap();
        assert_eq!(out[..2], [0, 0], "header and empty null bitmap");
        out.split_off(2)
    }

    #[test]
    fn text_row_bytes() {
        let varchar = SqlType::varchar(9, CollationId::DEFAULT);
        let mut out = Vec::new();
        let types = columns(&[SqlType::int(), SqlType::decimal(5, 2), varchar, SqlType::date()]);
        let row = [
            Value::Int(-5),
            Value::Decimal(Decimal::from_i128(150, 2)),
            Value::Null,
            Value::Date(Date::new(2018, 7, 1)),
        ];
        put_text_row(&mut out, &types, &row).unwrap();
        assert_eq!(out, b"\x02-5\x041.50\xfb\x0a2018-07-01");
    }

    #[test]
    fn long_text_of_a_number_has_a_long_length() {
        let out = text(SqlType::double_fixed(10), Value::Double(1e300));
        assert_eq!(out[0], 0xfc);
        let length = usize::from(u16::from_le_bytes([out[1], out[2]]));
        assert_eq!(out.len(), 3 + length);
        assert!(length > SHORT_LENGTH_MAX);
    }

    #[test]
    fn zerofill_pads_to_the_width() {
        let mut column = columns(&[SqlType::int().unsigned()]);
        column[0].flags = column[0].flags.with(ColumnFlags::ZEROFILL);
        let mut out = Vec::new();
        put_text_row(&mut out, &column, &[Value::UInt(7)]).unwrap();
        assert_eq!(out, b"\x0a0000000007");
    }

    #[test]
    fn binary_integers_take_their_column_width() {
        assert_eq!(binary(SqlType::tinyint(), Value::Int(-1)), [0xff]);
        assert_eq!(binary(SqlType::smallint(), Value::Int(-2)), [0xfe, 0xff]);
        assert_eq!(binary(SqlType::year(), Value::UInt(2026)), [0xea, 0x07]);
        assert_eq!(binary(SqlType::int().unsigned(), Value::UInt(0xffff_ffff)), [0xff; 4]);
        assert_eq!(binary(SqlType::bigint(), Value::Int(1)), [1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn binary_numbers_and_text() {
        assert_eq!(binary(SqlType::double(), Value::Double(1.5)), 1.5f64.to_le_bytes());
        assert_eq!(binary(SqlType::float(), Value::Double(1.5)), 1.5f32.to_le_bytes());
        let decimal = Value::Decimal(Decimal::from_i128(150, 2));
        assert_eq!(binary(SqlType::decimal(5, 2), decimal), b"\x041.50");
        let varchar = SqlType::varchar(9, CollationId::DEFAULT);
        assert_eq!(binary(varchar, Value::text("ab")), b"\x02ab");
    }

    #[test]
    fn binary_times_leave_zero_parts_out() {
        let day = Date::new(2018, 7, 1);
        assert_eq!(binary(SqlType::date(), Value::Date(day)), [4, 0xe2, 7, 7, 1]);
        assert_eq!(binary(SqlType::date(), Value::Date(Date::ZERO)), [0]);
        let moment = |micro| Value::DateTime(DateTime::new(day, 13, 14, 15, micro));
        assert_eq!(binary(SqlType::datetime(0), moment(0)), [7, 0xe2, 7, 7, 1, 13, 14, 15]);
        assert_eq!(
            binary(SqlType::datetime(6), moment(258)),
            [11, 0xe2, 7, 7, 1, 13, 14, 15, 2, 1, 0, 0]
        );
        assert_eq!(binary(SqlType::datetime(0), Value::DateTime(day.midnight())).len(), 5);
        assert_eq!(binary(SqlType::time(0), Value::Time(Time::ZERO)), [0]);
        assert_eq!(
            binary(SqlType::time(0), Value::Time(Time::new(true, 49, 2, 3, 0))),
            [8, 1, 2, 0, 0, 0, 1, 2, 3]
        );
        assert_eq!(
            binary(SqlType::time(6), Value::Time(Time::new(false, 0, 0, 0, 5))),
            [12, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0]
        );
    }

    #[test]
    fn nulls_are_bits_behind_two_others() {
        let types = [SqlType::int(); 7];
        let mut row = vec![Value::Null; 7];
        row[1] = Value::Int(9);
        let mut out = Vec::new();
        put_binary_row(&mut out, &columns(&types), &row).unwrap();
        assert_eq!(out, [0, 0b1111_0100, 0b1, 9, 0, 0, 0]);
    }

    #[test]
    fn value_of_another_type_is_reported() {
        let mut out = Vec::new();
        for (ty, value) in [
            (SqlType::tinyint(), Value::Int(128)),
            (SqlType::tinyint().unsigned(), Value::Int(-1)),
            (SqlType::int(), Value::text("1")),
            (SqlType::date(), Value::text("2018-07-01")),
            (SqlType::null(), Value::Int(1)),
        ] {
            let error = put_binary_row(&mut out, &columns(&[ty]), &[value]).unwrap_err();
            assert_eq!(error.code, 1815);
        }
        assert_eq!(put_text_row(&mut out, &columns(&[]), &[Value::Null]).unwrap_err().code, 1815);
    }
}
