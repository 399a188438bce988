//! Storing a value in a column: range, length and form under sql_mode, with MySQL's codes.
//!
//! | column | bad value | strict | otherwise |
//! |---|---|---|---|
//! | any NOT NULL | NULL | 1048 | warning 1048, implicit default |
//! | integer, DECIMAL, FLOAT | out of range | 1264 | warning 1264, nearest value |
//! | integer, DECIMAL | text without a number | 1366 | warning 1366, 0 |
//! | any number | text behind the number | 1265 | warning 1265, the number |
//! | ENUM, SET | no member | 1265 | warning 1265, the empty value; of a SET those that are |
//! | BIT | more bits | 1406 | warning 1264, all bits |
//! | string | too long | 1406 | warning 1265, cut |
//! | text | bytes that are no UTF-8 | 1366 | warning 1366, what is before them |
//! | text | characters that the character set lacks | 1366 | warning 1366, question marks |
//! | date and time | no such moment | 1292 | warning 1264 or 1265, zero date |
//!
//! Fraction digits that a column lacks are rounded away with a note (1265) at most. "Strict" is
//! `EvalContext::strict_dml`: INSERT IGNORE and LOAD DATA LOCAL run without it.
//!
//! TIMESTAMP columns get the moment in the session's time zone and store it in UTC: a value that was
//! read from storage must not be assigned again.

use super::convert::{in_session_zone, shown_value, to_decimal};
use super::datetime::parse;
use super::datetime::{Date, DateTime, Time};
use super::decimal::Decimal;
use super::number_text::parse_double;
use super::{DECIMALS_NOT_FIXED, Members, SqlType, TypeKind, geometry, json};
use crate::collation::CollationId;
use crate::context::{EvalContext, SqlMode};
use crate::value::Value;
use crate::{Error, Result};

/// The column a value is stored in.
struct Target<'a> {
    ty: &'a SqlType,
    column: &'a str,
    row: u64,
    ctx: &'a EvalContext,
}

/// Makes `value` a value of a column of type `ty`; `row` is the statement's row, from 1.
pub fn assign(
    value: Value,
    ty: &SqlType,
    column: &str,
    row: u64,
    ctx: &EvalContext,
) -> Result<Value> {
    let target = Target { ty, column, row, ctx };
    if value.is_null() {
        if ty.nullable {
            return Ok(Value::Null);
        }
        ctx.bad_value(Error::column_null(column))?;
        return Ok(implicit_default(ty));
    }
    match ty.kind {
        TypeKind::Null => Ok(Value::Null),
        TypeKind::Year => target.year(&value),
        TypeKind::Decimal => target.decimal(&value),
        TypeKind::Float | TypeKind::Double => target.double(&value),
        TypeKind::Date => target.date(&value),
        TypeKind::DateTime => Ok(Value::DateTime(target.moment(&value, "datetime")?)),
        TypeKind::Timestamp => target.timestamp(&value),
        TypeKind::Time => target.time(&value),
        TypeKind::Geometry => target.geometry(value),
        TypeKind::Json => target.document(&value),
        TypeKind::Enum => target.enumeration(&value),
        TypeKind::Set => target.set(&value),
        TypeKind::Bit => target.bit(&value),
        _ if ty.is_integer() => target.integer(&value),
        _ if ty.is_bytes() => target.bytes(value),
        _ => target.text(value),
    }
}

/// What a NOT NULL column without a default gets outside of strict mode.
pub fn implicit_default(ty: &SqlType) -> Value {
    match ty.kind {
        TypeKind::Null => Value::Null,
        TypeKind::Decimal => Value::Decimal(Decimal::from_i128(0, ty.decimals)),
        TypeKind::Float | TypeKind::Double => Value::Double(0.0),
        TypeKind::Date => Value::Date(Date::ZERO),
        TypeKind::Time => Value::Time(Time::ZERO),
        TypeKind::DateTime | TypeKind::Timestamp => Value::DateTime(DateTime::ZERO),
        TypeKind::Enum | TypeKind::Set | TypeKind::Bit => Value::UInt(0),
        _ if ty.is_integer() && ty.unsigned => Value::UInt(0),
        _ if ty.is_integer() => Value::Int(0),
        TypeKind::Char if ty.is_bytes() => Value::Bytes(vec![0; ty.length as usize]),
        _ if ty.is_bytes() => Value::Bytes(Vec::new()),
        TypeKind::Json => Value::text("null"),
        _ => Value::Text(String::new()),
    }
}

/// How a text reads as a number.
enum NumberText {
    Whole,
    /// Something stands behind the number.
    Cut,
    /// There is no number.
    None,
}

fn number_text(text: &[u8], consumed: usize) -> NumberText {
    if consumed == 0 {
        NumberText::None
    } else if text[consumed.min(text.len())..].iter().all(u8::is_ascii_whitespace) {
        NumberText::Whole
    } else {
        NumberText::Cut
    }
}

impl Target<'_> {
    fn out_of_range(&self) -> Result<()> {
        self.ctx.bad_value(Error::out_of_range(self.column, self.row))
    }

    fn data_truncated(&self) -> Result<()> {
        self.ctx.bad_value(Error::data_truncated(self.column, self.row))
    }

    fn incorrect(&self, kind: &str, value: &Value) -> Result<()> {
        let shown = shown_value(value);
        self.ctx.bad_value(Error::incorrect_value(kind, shown, self.column, self.row))
    }

    /// The number in a text, with its errors reported.
    fn text_number(&self, kind: &str, value: &Value) -> Result<Decimal> {
        let text = String::from_utf8_lossy(value.as_bytes().unwrap_or_default());
        let parsed = Decimal::parse(&text);
        match number_text(text.as_bytes(), parsed.consumed) {
            NumberText::Whole => {}
            NumberText::Cut => self.data_truncated()?,
            NumberText::None => self.incorrect(kind, value)?,
        }
        Ok(parsed.value)
    }

    fn integer(&self, value: &Value) -> Result<Value> {
        let number = match value {
            Value::Int(number) => i128::from(*number),
            Value::UInt(number) => i128::from(*number),
            // Half away from zero here, unlike a cast of a double; `as` saturates.
            Value::Double(number) => number.round() as i128,
            Value::Text(_) | Value::Bytes(_) => {
                let decimal = self.text_number("integer", value)?;
                decimal.to_integer().unwrap_or(i128::MAX)
            }
            other => {
                let decimal = to_decimal(other, self.ctx)?;
                let beyond = if decimal.is_negative() { i128::MIN } else { i128::MAX };
                decimal.to_integer().unwrap_or(beyond)
            }
        };
        let (low, high) = self.ty.integer_range();
        let clamped = number.clamp(low, high);
        if clamped != number {
            self.out_of_range()?;
        }
        Ok(if self.ty.unsigned { Value::UInt(clamped as u64) } else { Value::Int(clamped as i64) })
    }

    fn decimal(&self, value: &Value) -> Result<Value> {
        let decimal = match value {
            Value::Text(_) | Value::Bytes(_) => self.text_number("decimal", value)?,
            other => to_decimal(other, self.ctx)?,
        };
        let (precision, scale) = (self.ty.length, self.ty.decimals);
        if self.ty.unsigned && decimal.is_negative() && !decimal.is_zero() {
            self.out_of_range()?;
            return Ok(Value::Decimal(Decimal::from_i128(0, scale)));
        }
        let rounded = decimal.round(i32::from(scale));
        if !rounded.fits(precision, scale) {
            self.out_of_range()?;
            let negative = decimal.is_negative();
            return Ok(Value::Decimal(Decimal::largest(precision, scale, negative)));
        }
        // Doubles are inexact anyway: no note for them.
        if rounded != decimal && !matches!(value, Value::Double(_)) {
            self.ctx.note(Error::data_truncated(self.column, self.row));
        }
        Ok(Value::Decimal(rounded.rescale(scale).unwrap_or(rounded)))
    }

    fn double(&self, value: &Value) -> Result<Value> {
        let mut number = match value.as_bytes() {
            Some(text) => {
                let (number, consumed) = parse_double(text);
                if !matches!(number_text(text, consumed), NumberText::Whole) {
                    self.data_truncated()?;
                }
                number
            }
            None => super::convert::to_double(value, self.ctx)?,
        };
        let fixed = self.ty.decimals < DECIMALS_NOT_FIXED;
        if fixed {
            number = crate::function::numeric::round_double(number, i64::from(self.ty.decimals));
            let digits = self.ty.length.saturating_sub(u32::from(self.ty.decimals));
            let limit =
                10_f64.powi(digits.min(300) as i32) - 10_f64.powi(-i32::from(self.ty.decimals));
            if number.abs() > limit {
                self.out_of_range()?;
                number = limit.copysign(number);
            }
        }
        if self.ty.unsigned && number < 0.0 {
            self.out_of_range()?;
            number = 0.0;
        }
        if self.ty.kind == TypeKind::Float {
            let limit = f64::from(f32::MAX);
            if number.abs() > limit {
                self.out_of_range()?;
                number = limit.copysign(number);
            }
            number = f64::from(number as f32);
        }
        Ok(Value::Double(number))
    }

    fn year(&self, value: &Value) -> Result<Value> {
        let (number, is_text) = match value {
            Value::Text(_) | Value::Bytes(_) => {
                (self.text_number("integer", value)?.to_integer().unwrap_or(i128::MAX), true)
            }
            Value::Date(date) => (i128::from(date.year()), false),
            Value::DateTime(moment) => (i128::from(moment.date().year()), false),
            other => (to_decimal(other, self.ctx)?.to_integer().unwrap_or(i128::MAX), false),
        };
        let four_digits = value.as_bytes().is_some_and(|text| text.trim_ascii().len() == 4);
        let year = match number {
            0 if is_text && !four_digits => 2000,
            0 => 0,
            1..=69 => number + 2000,
            70..=99 => number + 1900,
            1901..=2155 => number,
            _ => {
                self.out_of_range()?;
                0
            }
        };
        Ok(Value::UInt(year as u64))
    }

    /// A date that does not exist: an error in strict mode, else the zero date.
    fn no_moment(&self, kind: &str, value: &Value) -> Result<()> {
        let ctx = self.ctx;
        if ctx.strict_dml {
            let shown = shown_value(value);
            return Err(Error::incorrect_datetime(kind, shown, self.column, self.row));
        }
        // 02-31 and 25:61 are out of range; month 13 and words are no date at all.
        let has_parts = value.as_bytes().is_none_or(|bytes| match std::str::from_utf8(bytes) {
            Ok(_) if kind == "time" => bytes.iter().any(u8::is_ascii_digit),
            Ok(text) => parse::datetime(text, SqlMode::ALLOW_INVALID_DATES).is_some(),
            Err(_) => false,
        });
        ctx.warn(if has_parts {
            Error::out_of_range(self.column, self.row)
        } else {
            Error::data_truncated(self.column, self.row)
        });
        Ok(())
    }

    /// A moment at which clocks were put on: the next one that there is, where that is allowed.
    fn skipped(&self, value: &Value) -> Result<()> {
        if self.ctx.strict_dml {
            let shown = shown_value(value);
            return Err(Error::incorrect_datetime("datetime", shown, self.column, self.row));
        }
        self.ctx.warn(Error::skipped_timestamp(self.column, self.row));
        Ok(())
    }

    /// Which days may be stored. Outside of strict mode zero dates pass with a warning.
    fn day_mode(&self) -> SqlMode {
        let mode = self.ctx.sql_mode;
        if self.ctx.strict_dml {
            return mode;
        }
        SqlMode(mode.0 & !(SqlMode::NO_ZERO_DATE.0 | SqlMode::NO_ZERO_IN_DATE.0))
    }

    /// The moment, exactly; `None` after its report when there is none.
    fn exact_moment(&self, value: &Value, kind: &str) -> Result<Option<DateTime>> {
        let mode = self.day_mode();
        let found = match value {
            Value::Text(_) | Value::Bytes(_) => {
                let bytes = value.as_bytes().unwrap_or_default();
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                match parse::datetime(text, mode) {
                    Some(parsed) => {
                        if parsed.cut {
                            if self.ctx.strict_dml {
                                self.no_moment(kind, value)?;
                            }
                            self.ctx.warn(Error::data_truncated(self.column, self.row));
                        }
                        Some(in_session_zone(&parsed, self.ctx))
                    }
                    None => None,
                }
            }
            Value::Date(date) => Some(date.midnight()),
            Value::DateTime(moment) => Some(*moment),
            Value::Time(time) => {
                let midnight = self.ctx.now().date().midnight().to_micros();
                DateTime::from_micros(midnight + time.micros())
            }
            Value::Int(number) => parse::datetime_of_number(*number, mode),
            Value::UInt(number) => {
                i64::try_from(*number).ok().and_then(|n| parse::datetime_of_number(n, mode))
            }
            other => {
                let whole = to_decimal(other, self.ctx)?.truncate(0).to_integer();
                whole
                    .and_then(|n| i64::try_from(n).ok())
                    .and_then(|n| parse::datetime_of_number(n, mode))
            }
        };
        let found = found.filter(|moment| {
            moment.date().is_valid(mode) || (moment.date().is_zero() && !moment.is_zero())
        });
        let Some(moment) = found else {
            self.no_moment(kind, value)?;
            return Ok(None);
        };
        if !moment.date().is_valid(self.ctx.sql_mode) {
            // Stored, but sql_mode would rather not have it.
            self.ctx.warn(Error::out_of_range(self.column, self.row));
        }
        Ok(Some(moment))
    }

    fn cuts_fraction(&self) -> bool {
        self.ctx.sql_mode.contains(SqlMode::TIME_TRUNCATE_FRACTIONAL)
    }

    fn date(&self, value: &Value) -> Result<Value> {
        let Some(moment) = self.exact_moment(value, "date")? else {
            return Ok(Value::Date(Date::ZERO));
        };
        if moment.micros_of_day() != 0 {
            self.ctx.note(Error::data_truncated(self.column, self.row));
        }
        Ok(Value::Date(moment.date()))
    }

    fn moment(&self, value: &Value, kind: &str) -> Result<DateTime> {
        let Some(moment) = self.exact_moment(value, kind)? else { return Ok(DateTime::ZERO) };
        match moment.round(self.ty.decimals, self.cuts_fraction()) {
            Some(rounded) => Ok(rounded),
            None => {
                self.no_moment(kind, value)?;
                Ok(DateTime::ZERO)
            }
        }
    }

    fn timestamp(&self, value: &Value) -> Result<Value> {
        let local = self.moment(value, "datetime")?;
        match self.ctx.time_zone.to_utc(local) {
            Some(utc) => {
                if self.ctx.time_zone.is_skipped(local) && !local.is_zero() {
                    self.skipped(value)?;
                }
                Ok(Value::DateTime(utc))
            }
            None => {
                self.no_moment("datetime", value)?;
                Ok(Value::DateTime(DateTime::ZERO))
            }
        }
    }

    fn time(&self, value: &Value) -> Result<Value> {
        let parsed = match value {
            Value::Time(time) => Some(parse::Parsed { value: *time, cut: false }),
            Value::DateTime(moment) => {
                if !moment.date().is_zero() {
                    self.ctx.note(Error::data_truncated(self.column, self.row));
                }
                Some(parse::Parsed { value: moment.time(), cut: false })
            }
            Value::Date(_) => Some(parse::Parsed { value: Time::ZERO, cut: false }),
            Value::Text(_) | Value::Bytes(_) => {
                let bytes = value.as_bytes().unwrap_or_default();
                std::str::from_utf8(bytes).ok().and_then(parse::time)
            }
            other => {
                let decimal = to_decimal(other, self.ctx)?;
                let whole = decimal.truncate(0);
                let micro = decimal
                    .abs()
                    .subtract(&whole.abs())
                    .and_then(|fraction| fraction.rescale(6))
                    .and_then(|fraction| fraction.unscaled().to_i128())
                    .unwrap_or(0);
                let number = whole.to_integer().and_then(|n| i64::try_from(n).ok());
                parse::time_of_number(number.unwrap_or(i64::MAX), micro as u32)
            }
        };
        let Some(parsed) = parsed else {
            self.no_moment("time", value)?;
            return Ok(Value::Time(Time::ZERO));
        };
        if parsed.cut {
            self.no_moment("time", value)?;
        }
        Ok(Value::Time(parsed.value.round(self.ty.decimals, self.cuts_fraction())))
    }

    /// Bytes that are a place of the column's kind. Others are an error in every mode.
    /// The document that a text is, as it is shown.
    fn document(&self, value: &Value) -> Result<Value> {
        let text = match value {
            Value::Text(text) => text,
            Value::Bytes(_) => return Err(Error::json_of_binary()),
            _ => {
                let what = "not a JSON text, may need CAST";
                return Err(Error::invalid_json_value(what, 0, self.column));
            }
        };
        match json::parse::parse(text) {
            Ok(document) => Ok(Value::Text(document.to_string())),
            Err(json::parse::Fault::Text(what, at)) => {
                Err(Error::invalid_json_value(what, at, self.column))
            }
            Err(json::parse::Fault::Deep) => Err(Error::json_too_deep()),
        }
    }

    fn geometry(&self, value: Value) -> Result<Value> {
        match value {
            Value::Bytes(bytes) if geometry::fits(&bytes, self.ty.decimals) => {
                Ok(Value::Bytes(bytes))
            }
            _ => Err(Error::no_geometry()),
        }
    }

    /// The text of a value, and the number that it is, for a column of members.
    fn member_of(&self, value: &Value) -> Result<(Option<String>, Option<u64>)> {
        Ok(match value {
            Value::Text(_) | Value::Bytes(_) => {
                let bytes = value.as_bytes().unwrap_or_default();
                let text = String::from_utf8_lossy(bytes).into_owned();
                let number = text.trim().parse().ok();
                (Some(text), number)
            }
            Value::Date(_) | Value::Time(_) | Value::DateTime(_) => {
                (value.to_text(&value.natural_type()), None)
            }
            other => {
                let number = to_decimal(other, self.ctx)?.truncate(0).to_integer();
                (None, number.and_then(|number| u64::try_from(number).ok()))
            }
        })
    }

    fn enumeration(&self, value: &Value) -> Result<Value> {
        let members = self.members()?;
        let (text, number) = self.member_of(value)?;
        let count = members.names().len() as u64;
        let found = match &text {
            // A text that is no member may be a number, as LOAD DATA has them.
            Some(text) => {
                members.number(text, self.ty.collation).or(number.filter(|number| *number <= count))
            }
            None => number.filter(|number| (1..=count).contains(number)),
        };
        if found.is_none() {
            self.data_truncated()?;
        }
        Ok(Value::UInt(found.unwrap_or(0)))
    }

    fn set(&self, value: &Value) -> Result<Value> {
        let members = self.members()?;
        let (text, number) = self.member_of(value)?;
        let all = members.all_bits();
        let (bits, is_whole) = match (&text, number) {
            (Some(text), number) => match (members.bits(text, self.ty.collation), number) {
                ((_, false), Some(bits)) if bits <= all => (bits, true),
                (found, _) => found,
            },
            (None, Some(bits)) => (bits & all, bits <= all),
            (None, None) => (0, false),
        };
        if !is_whole {
            self.data_truncated()?;
        }
        Ok(Value::UInt(bits))
    }

    fn bit(&self, value: &Value) -> Result<Value> {
        let number = match value {
            // Bytes are bits, of text too; those before the last eight have to be zero.
            Value::Text(_) | Value::Bytes(_) => {
                let bytes = value.as_bytes().unwrap_or_default();
                let (more, bytes) = bytes.split_at(bytes.len().saturating_sub(8));
                let number =
                    bytes.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
                more.iter().all(|byte| *byte == 0).then_some(number)
            }
            // A negative number has all 64 bits of its two's complement.
            Value::Int(number) => Some(*number as u64),
            other => {
                let number = to_decimal(other, self.ctx)?.round(0).to_integer();
                number.and_then(|number| u64::try_from(number).ok())
            }
        };
        let most = u64::MAX >> (64 - self.ty.length.clamp(1, 64));
        if let Some(number) = number.filter(|number| *number <= most) {
            return Ok(Value::UInt(number));
        }
        if self.ctx.strict_dml {
            return Err(Error::too_long(self.column, self.row));
        }
        self.ctx.warn(Error::out_of_range(self.column, self.row));
        Ok(Value::UInt(most))
    }

    fn members(&self) -> Result<Members> {
        self.ty.members.ok_or_else(|| Error::internal("an ENUM or SET without members"))
    }

    /// The column's limit of characters (of bytes for byte strings).
    fn too_long(&self) -> Result<()> {
        if self.ctx.strict_dml {
            return Err(Error::too_long(self.column, self.row));
        }
        self.ctx.warn(Error::data_truncated(self.column, self.row));
        Ok(())
    }

    fn bytes(&self, value: Value) -> Result<Value> {
        let mut bytes = match value {
            Value::Bytes(bytes) => bytes,
            Value::Text(text) => text.into_bytes(),
            other => {
                let mut out = Vec::new();
                other.write_text(&other.natural_type(), &mut out);
                out
            }
        };
        let length = self.ty.length as usize;
        if bytes.len() > length {
            self.too_long()?;
            bytes.truncate(length);
        }
        if self.ty.kind == TypeKind::Char {
            bytes.resize(length, 0);
        }
        Ok(Value::Bytes(bytes))
    }

    fn text(&self, value: Value) -> Result<Value> {
        let mut text = match value {
            Value::Text(text) => text,
            Value::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => {
                    let valid = error.utf8_error().valid_up_to();
                    let bytes = error.into_bytes();
                    let bad = printable(&bytes[valid..]);
                    self.ctx.bad_value(Error::incorrect_value(
                        "string",
                        bad,
                        self.column,
                        self.row,
                    ))?;
                    String::from_utf8_lossy(&bytes[..valid]).into_owned()
                }
            },
            other => other.to_text(&other.natural_type()).unwrap_or_default(),
        };
        let collation = self.ty.collation;
        if collation.bytes_per_char() < 4
            && let Some(at) = text.find(|c: char| !collation.has_char(c))
        {
            let bad = printable(&text.as_bytes()[at..]);
            self.ctx.bad_value(Error::incorrect_value("string", bad, self.column, self.row))?;
            text = text.chars().map(|c| if collation.has_char(c) { c } else { '?' }).collect();
        }
        let length = self.ty.length as usize;
        if self.ty.is_blob() {
            // TEXT columns count bytes.
            if text.len() > length {
                self.too_long()?;
                let end = (0..=length).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                text.truncate(end);
            }
            return Ok(Value::Text(text));
        }
        if text.len() > length
            && let Some((end, _)) = text.char_indices().nth(length)
        {
            if text[end..].bytes().all(|b| b == b' ') {
                // Blanks beyond the length go quietly from CHAR, with a note from VARCHAR.
                if self.ty.kind == TypeKind::Varchar {
                    self.ctx.note(Error::data_truncated(self.column, self.row));
                }
            } else {
                self.too_long()?;
            }
            text.truncate(end);
        }
        if self.ty.kind == TypeKind::Char && self.ty.collation != CollationId::BINARY {
            // CHAR shows no trailing blanks, so it stores none.
            text.truncate(text.trim_end_matches(' ').len());
        }
        Ok(Value::Text(text))
    }
}

/// The first bytes of what is no text, as error texts show them: what is no ASCII in hexadecimal digits.
fn printable(bytes: &[u8]) -> String {
    let shown = |byte: &u8| match byte {
        0x20..=0x7e => char::from(*byte).to_string(),
        byte => format!("\\x{byte:02X}"),
    };
    bytes.iter().take(6).map(shown).collect()
}

#[cfg(test)]
#[path = "assign_tests.rs"]
mod tests;
