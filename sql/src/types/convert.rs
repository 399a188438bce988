//! Conversions of a value from one type to another, as casts and operands make them.
//!
//! A conversion never fails for what it converts: text that is no number counts as far as it is one,
//! with warning 1292; text that is no date becomes NULL with warning 1292. (In strict DML such a
//! warning is an error, see `EvalContext::bad_value`.) Storing into a column has stricter rules:
//! `assign`.

use super::datetime::parse::{self, DateTimeText};
use super::datetime::{Date, DateTime, SECOND, Time, TimeZone};
use super::decimal::Decimal;
use super::number_text::{self, parse_double, parse_integer};
use super::{SqlType, TypeKind};
use crate::collation::CollationId;
use crate::context::{EvalContext, SqlMode};
use crate::expr::CastMode;
use crate::value::Value;
use crate::{Error, Result};

/// Characters of a bad value that a warning shows.
const SHOWN_CHARS_MAX: usize = 128;

/// Converts a value of type `from` into type `to`. NULL stays NULL.
pub fn convert(
    value: Value,
    from: &SqlType,
    to: &SqlType,
    mode: CastMode,
    ctx: &EvalContext,
) -> Result<Value> {
    if value.is_null() {
        return Ok(value);
    }
    match to.kind {
        TypeKind::Null => Ok(Value::Null),
        TypeKind::Year => to_year(&value, ctx),
        _ if to.is_integer() => to_integer(&value, to.unsigned, ctx),
        TypeKind::Decimal => to_decimal_type(&value, to, ctx),
        TypeKind::Float => {
            let number = to_double(&value, ctx)?;
            if number.abs() > f64::from(f32::MAX) {
                return Err(Error::value_out_of_range("FLOAT", number_text::double_text(number)));
            }
            Ok(Value::Double(f64::from(number as f32)))
        }
        TypeKind::Double => Ok(Value::Double(to_double(&value, ctx)?)),
        TypeKind::Date => {
            let moment = to_datetime(&value, mode, "DATE", ctx)?;
            Ok(moment.map_or(Value::Null, |moment| Value::Date(moment.date())))
        }
        TypeKind::DateTime | TypeKind::Timestamp => {
            let Some(moment) = to_datetime(&value, mode, "DATETIME", ctx)? else {
                return Ok(Value::Null);
            };
            let cut = ctx.sql_mode.contains(SqlMode::TIME_TRUNCATE_FRACTIONAL);
            Ok(moment.round(to.decimals, cut).map_or(Value::Null, Value::DateTime))
        }
        TypeKind::Time => {
            let Some(time) = to_time(&value, ctx)? else { return Ok(Value::Null) };
            let cut = ctx.sql_mode.contains(SqlMode::TIME_TRUNCATE_FRACTIONAL);
            Ok(Value::Time(time.round(to.decimals, cut)))
        }
        _ => to_string(value, from, to, ctx),
    }
}

/// The start of a text for a warning.
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(SHOWN_CHARS_MAX).collect()
}

fn rest_is_blank(text: &[u8], consumed: usize) -> bool {
    text.get(consumed..).unwrap_or_default().iter().all(u8::is_ascii_whitespace)
}

fn truncated(kind: &str, text: &[u8], ctx: &EvalContext) -> Result<()> {
    ctx.bad_value(Error::truncated_wrong_value(kind, shown(text)))
}

/// The nearest integer of a double, clamped to 64 bits; whether it was clamped.
pub fn double_to_integer(number: f64, unsigned: bool) -> (i128, bool) {
    let rounded = number.round_ties_even();
    let (low, high) =
        if unsigned { (0, i128::from(u64::MAX)) } else { (i64::MIN.into(), i64::MAX.into()) };
    // A float-to-integer `as` saturates.
    let wide = rounded as i128;
    (wide.clamp(low, high), wide < low || wide > high)
}

fn integer_value(number: i128, unsigned: bool) -> Value {
    if unsigned { Value::UInt(number as u64) } else { Value::Int(number as i64) }
}

/// Any value as BIGINT or BIGINT UNSIGNED. Integers keep their 64 bits, whatever their sign means.
fn to_integer(value: &Value, unsigned: bool, ctx: &EvalContext) -> Result<Value> {
    let from_decimal = |decimal: &Decimal| -> Result<Value> {
        let (low, high) =
            if unsigned { (0, i128::from(u64::MAX)) } else { (i64::MIN.into(), i64::MAX.into()) };
        let exact = decimal.to_integer();
        let number = exact.unwrap_or(if decimal.is_negative() { low } else { high });
        let clamped = number.clamp(low, high);
        if exact != Some(clamped) {
            truncated("DECIMAL", decimal.to_string().as_bytes(), ctx)?;
        }
        Ok(integer_value(clamped, unsigned))
    };
    match value {
        Value::Int(number) if unsigned => Ok(Value::UInt(*number as u64)),
        Value::UInt(number) if !unsigned => Ok(Value::Int(*number as i64)),
        Value::Int(_) | Value::UInt(_) | Value::Null => Ok(value.clone()),
        Value::Decimal(decimal) => from_decimal(decimal),
        Value::Double(number) => {
            let (integer, clamped) = double_to_integer(*number, unsigned);
            if clamped {
                truncated("INTEGER", number_text::double_text(*number).as_bytes(), ctx)?;
            }
            Ok(integer_value(integer, unsigned))
        }
        Value::Text(_) | Value::Bytes(_) => {
            let text = value.as_bytes().unwrap_or_default();
            let parsed = parse_integer(text);
            let limit = i128::from(if unsigned { u64::MAX } else { i64::MAX as u64 });
            // Even a blank behind the digits is too much here.
            if parsed.consumed == 0 || parsed.overflow || parsed.consumed < text.len() {
                truncated("INTEGER", text, ctx)?;
            } else if unsigned && parsed.value < 0 {
                ctx.warnings.push(
                    crate::context::Level::Warning,
                    1105,
                    "Cast to unsigned converted negative integer to its positive complement",
                );
            } else if parsed.value > limit {
                ctx.warnings.push(
                    crate::context::Level::Warning,
                    1105,
                    "Cast to signed converted positive out-of-range integer to its negative \
                     complement",
                );
            }
            Ok(integer_value(parsed.value, unsigned))
        }
        Value::Date(date) => Ok(integer_value(date.to_number().into(), unsigned)),
        Value::Time(_) | Value::DateTime(_) => from_decimal(&temporal_decimal(value)),
    }
}

/// A date or time as the number MySQL makes of it, with its fraction.
fn temporal_decimal(value: &Value) -> Decimal {
    let with_fraction = |whole: i64, micro: u32, negative: bool| {
        let micro = if negative { -i128::from(micro) } else { i128::from(micro) };
        Decimal::from_i128(i128::from(whole) * 1_000_000 + micro, 6)
    };
    match value {
        Value::Date(date) => Decimal::from(date.to_number()),
        Value::Time(time) => with_fraction(time.to_number(), time.micro(), time.is_negative()),
        Value::DateTime(moment) => with_fraction(moment.to_number(), moment.micro(), false),
        _ => Decimal::ZERO,
    }
}

/// Any value as an exact number.
pub fn to_decimal(value: &Value, ctx: &EvalContext) -> Result<Decimal> {
    Ok(match value {
        Value::Null => Decimal::ZERO,
        Value::Int(number) => Decimal::from(*number),
        Value::UInt(number) => Decimal::from(*number),
        Value::Decimal(decimal) => *decimal,
        Value::Double(number) => match Decimal::from_f64(*number) {
            Some(decimal) => decimal,
            None => {
                truncated("DECIMAL", number_text::double_text(*number).as_bytes(), ctx)?;
                Decimal::largest(65, 0, *number < 0.0)
            }
        },
        Value::Text(_) | Value::Bytes(_) => {
            let bytes = value.as_bytes().unwrap_or_default();
            let text = String::from_utf8_lossy(bytes);
            let parsed = Decimal::parse(&text);
            if parsed.consumed == 0
                || parsed.overflow
                || !rest_is_blank(text.as_bytes(), parsed.consumed)
            {
                truncated("DECIMAL", bytes, ctx)?;
            }
            parsed.value
        }
        Value::Date(_) | Value::Time(_) | Value::DateTime(_) => temporal_decimal(value),
    })
}

fn to_decimal_type(value: &Value, to: &SqlType, ctx: &EvalContext) -> Result<Value> {
    let decimal = to_decimal(value, ctx)?;
    let rounded = decimal.round(i32::from(to.decimals));
    if rounded.fits(to.length, to.decimals) {
        return Ok(Value::Decimal(rounded));
    }
    ctx.bad_value(Error::out_of_range("CAST", ctx.row()))?;
    Ok(Value::Decimal(Decimal::largest(to.length, to.decimals, decimal.is_negative())))
}

/// Any value as a double.
pub fn to_double(value: &Value, ctx: &EvalContext) -> Result<f64> {
    Ok(match value {
        Value::Null => 0.0,
        Value::Int(number) => *number as f64,
        Value::UInt(number) => *number as f64,
        Value::Decimal(decimal) => decimal.to_f64(),
        Value::Double(number) => *number,
        Value::Text(_) | Value::Bytes(_) => {
            let text = value.as_bytes().unwrap_or_default();
            let (number, consumed) = parse_double(text);
            if consumed == 0 || !rest_is_blank(text, consumed) {
                truncated("DOUBLE", text, ctx)?;
            }
            number
        }
        Value::Date(_) | Value::Time(_) | Value::DateTime(_) => temporal_decimal(value).to_f64(),
    })
}

fn to_year(value: &Value, ctx: &EvalContext) -> Result<Value> {
    let number = match to_integer(value, false, ctx)? {
        Value::Int(number) => number,
        _ => 0,
    };
    let number = match value {
        Value::Date(date) => i64::from(date.year()),
        Value::DateTime(moment) => i64::from(moment.date().year()),
        _ => number,
    };
    let year = match number {
        0 if matches!(value, Value::Text(_) | Value::Bytes(_)) => 2000,
        0 => 0,
        1..=69 => number + 2000,
        70..=99 => number + 1900,
        1901..=2155 => number,
        _ => {
            truncated("YEAR", number.to_string().as_bytes(), ctx)?;
            return Ok(Value::Null);
        }
    };
    Ok(Value::UInt(year as u64))
}

/// Which days a conversion accepts.
fn date_mode(mode: CastMode, ctx: &EvalContext) -> SqlMode {
    match mode {
        CastMode::Convert => ctx.sql_mode,
        CastMode::Compare => {
            // Comparing with '0000-00-00' finds rows that an older sql_mode let in.
            let forbids = SqlMode::NO_ZERO_DATE.0 | SqlMode::NO_ZERO_IN_DATE.0;
            SqlMode(ctx.sql_mode.0 & !forbids)
        }
        CastMode::Part => SqlMode::EMPTY,
    }
}

/// The moment a text's offset says, in the session's time zone.
pub fn in_session_zone(text: &DateTimeText, ctx: &EvalContext) -> DateTime {
    match text.offset_seconds {
        Some(offset) => {
            let utc = TimeZone::UTC.to_unix_micros(text.moment);
            let local = ctx.time_zone.from_unix_micros(utc - i64::from(offset) * SECOND);
            if local.is_zero() { text.moment } else { local }
        }
        None => text.moment,
    }
}

/// Any value as a moment; `None` (after a warning) when it is none.
pub fn to_datetime(
    value: &Value,
    mode: CastMode,
    kind: &str,
    ctx: &EvalContext,
) -> Result<Option<DateTime>> {
    let days = date_mode(mode, ctx);
    let found = match value {
        Value::Null => return Ok(None),
        Value::Date(date) => Some(date.midnight()),
        Value::DateTime(moment) => Some(*moment),
        Value::Time(time) => {
            DateTime::from_micros(ctx.now().date().to_days() * super::datetime::DAY + time.micros())
        }
        Value::Text(text) => match parse::datetime(text, days) {
            Some(parsed) => {
                if parsed.cut {
                    truncated(&kind.to_ascii_lowercase(), text.as_bytes(), ctx)?;
                }
                Some(in_session_zone(&parsed, ctx))
            }
            None => None,
        },
        Value::Bytes(bytes) => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| parse::datetime(text, days))
            .map(|parsed| in_session_zone(&parsed, ctx)),
        Value::Int(number) => parse::datetime_of_number(*number, days),
        Value::UInt(number) => {
            i64::try_from(*number).ok().and_then(|n| parse::datetime_of_number(n, days))
        }
        Value::Decimal(decimal) => decimal_moment(decimal, days),
        Value::Double(number) => {
            Decimal::from_f64(*number).and_then(|decimal| decimal_moment(&decimal, days))
        }
    };
    // Dates that exist may still be forbidden by sql_mode.
    let forbidden = found.is_some_and(|moment| {
        mode == CastMode::Convert
            && !matches!(value, Value::Date(_) | Value::DateTime(_) | Value::Time(_))
            && moment.is_zero()
            && days.contains(SqlMode::NO_ZERO_DATE)
    });
    if found.is_some() && !forbidden {
        return Ok(found);
    }
    let shown = shown_value(value);
    if mode == CastMode::Compare {
        return Err(Error::wrong_value(kind, shown));
    }
    ctx.bad_value(Error::incorrect_temporal("datetime", shown))?;
    Ok(None)
}

fn decimal_moment(decimal: &Decimal, days: SqlMode) -> Option<DateTime> {
    let whole = decimal.truncate(0).to_integer()?;
    let moment = parse::datetime_of_number(i64::try_from(whole).ok()?, days)?;
    let micro = decimal.subtract(&decimal.truncate(0))?.rescale(6)?.unscaled().to_i128()?;
    Some(DateTime::from_packed(moment.packed() + u64::try_from(micro).ok()?.min(999_999)))
}

/// A value as a warning shows it.
pub fn shown_value(value: &Value) -> String {
    match value.as_bytes() {
        Some(bytes) => shown(bytes),
        None => value.to_text(&value.natural_type()).unwrap_or_default(),
    }
}

/// Any value as a duration; `None` (after a warning) when it is none.
pub fn to_time(value: &Value, ctx: &EvalContext) -> Result<Option<Time>> {
    let from_number = |number: i64, micro: u32| parse::time_of_number(number, micro);
    let parsed = match value {
        Value::Null => return Ok(None),
        Value::Time(time) => return Ok(Some(*time)),
        Value::Date(_) => return Ok(Some(Time::ZERO)),
        Value::DateTime(moment) => return Ok(Some(moment.time())),
        Value::Text(text) => parse::time(text),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok().and_then(parse::time),
        Value::Int(number) => from_number(*number, 0),
        Value::UInt(number) => from_number(i64::try_from(*number).unwrap_or(i64::MAX), 0),
        Value::Decimal(_) | Value::Double(_) => {
            let decimal = to_decimal(value, ctx)?;
            let whole = decimal.truncate(0);
            let micro = decimal
                .abs()
                .subtract(&whole.abs())
                .and_then(|fraction| fraction.rescale(6))
                .and_then(|fraction| fraction.unscaled().to_i128())
                .unwrap_or(0);
            let number = whole.to_integer().and_then(|n| i64::try_from(n).ok()).unwrap_or(i64::MAX);
            from_number(number, micro.clamp(0, 999_999) as u32)
        }
    };
    match parsed {
        Some(parsed) => {
            if parsed.cut {
                truncated("time", shown_value(value).as_bytes(), ctx)?;
            }
            Ok(Some(parsed.value))
        }
        None => {
            truncated("time", shown_value(value).as_bytes(), ctx)?;
            Ok(None)
        }
    }
}

/// Any value as text or bytes, cut to the type's length with a warning; BINARY(n) is padded.
fn to_string(value: Value, from: &SqlType, to: &SqlType, ctx: &EvalContext) -> Result<Value> {
    if to.collation == CollationId::BINARY {
        let mut bytes = match value {
            Value::Bytes(bytes) => bytes,
            Value::Text(text) => text.into_bytes(),
            other => {
                let mut out = Vec::new();
                other.write_text(from, &mut out);
                out
            }
        };
        let length = to.length as usize;
        if bytes.len() > length {
            truncated(&format!("BINARY({length})"), &bytes, ctx)?;
            bytes.truncate(length);
        }
        if to.kind == TypeKind::Char {
            bytes.resize(length, 0);
        }
        return Ok(Value::Bytes(bytes));
    }
    let text = match value {
        Value::Text(text) => text,
        Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let bad = error.into_bytes();
                let hex: String = bad.iter().take(6).map(|b| format!("{b:02X}")).collect();
                ctx.bad_value(Error::invalid_text(to.collation.charset(), hex))?;
                return Ok(Value::Null);
            }
        },
        other => other.to_text(from).unwrap_or_default(),
    };
    let length = to.length as usize;
    if text.len() > length
        && let Some((end, _)) = text.char_indices().nth(length)
    {
        truncated(&format!("CHAR({length})"), text.as_bytes(), ctx)?;
        return Ok(Value::Text(text[..end].to_owned()));
    }
    Ok(Value::Text(text))
}

/// 0000-00-00 or the day of a moment, for functions that take parts of a date.
pub fn date_of(value: &Value) -> Option<Date> {
    match value {
        Value::Date(date) => Some(*date),
        Value::DateTime(moment) => Some(moment.date()),
        _ => None,
    }
}
