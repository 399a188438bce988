//! Parameters of prepared statements, and query attributes, which travel alike.
//!
//! ```text
//! [count]  null bitmap  new types?  (type, unsigned, [name])…  values…
//! ```
//!
//! The count is there for clients with QUERY_ATTRIBUTES. Types are sent when they changed; the
//! statement keeps them. A parameter sent by COM_STMT_SEND_LONG_DATA has no value here. Attributes
//! follow the parameters; this server reads over them.

use super::command::Execute;
use super::{Malformed, Reader};
use mysql_common::constants::CapabilityFlags;
use sql::Error;
use sql::value::{Date, DateTime, Decimal, Time, Value};
use std::collections::BTreeMap;

/// Most parameters and attributes of one packet; the count of parameters has two bytes.
const COUNT_MAX: u64 = 65_535;
/// The bit that says "unsigned" beside a type.
const UNSIGNED: u8 = 0x80;

/// A parameter's type as a client announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterType {
    /// The protocol's number.
    code: u8,
    /// Whether integers are unsigned.
    unsigned: bool,
}

/// Why parameters cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The bytes are no parameters: the connection ends.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A value is none of SQL's: the statement fails.
    #[error(transparent)]
    Value(#[from] Error),
}

/// Reads the parameters of an execution. `expected` is the statement's number of parameters, `types`
/// those of its last execution, `long_data` what was sent before.
pub fn take_parameters(
    execute: &Execute<'_>,
    capabilities: CapabilityFlags,
    expected: u16,
    types: &mut Vec<ParameterType>,
    long_data: &BTreeMap<u16, Vec<u8>>,
) -> Result<Vec<Value>, ParameterError> {
    let mut reader = Reader::new(execute.parameters);
    let named = capabilities.contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
    if expected == 0 && !(named && execute.counted) {
        return Ok(Vec::new());
    }
    let count = if named { take_count(&mut reader)? } else { expected.into() };
    let expected = usize::from(expected);
    if count < expected {
        return Err(Malformed("too few parameters").into());
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let nulls = reader.bytes(count.div_ceil(8), "null bitmap")?;
    if reader.u8("new types flag")? == 1 {
        *types = take_types(&mut reader, count, named)?;
    }
    if types.len() != count {
        return Err(Malformed("parameters without types").into());
    }
    let mut values = Vec::with_capacity(expected);
    for (position, ty) in types.iter().enumerate() {
        let long = u16::try_from(position).ok().and_then(|position| long_data.get(&position));
        let value = if let Some(data) = long.filter(|_| position < expected) {
            string(ty.code, data)
        } else if nulls[position / 8] & 1 << (position % 8) != 0 {
            Value::Null
        } else {
            take_value(&mut reader, *ty)?
        };
        if position < expected {
            values.push(value);
        }
    }
    Ok(values)
}

/// Reads over the attributes in front of a query's text.
pub fn skip_attributes(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let count = take_count(reader)?;
    let _sets = reader.length("attribute sets")?;
    if count == 0 {
        return Ok(());
    }
    let nulls = reader.bytes(count.div_ceil(8), "null bitmap")?;
    if reader.u8("new types flag")? != 1 {
        return Err(Malformed("attributes without types"));
    }
    for (position, ty) in take_types(reader, count, true)?.into_iter().enumerate() {
        if nulls[position / 8] & 1 << (position % 8) == 0 {
            match take_value(reader, ty) {
                Ok(_) | Err(ParameterError::Value(_)) => {}
                Err(ParameterError::Malformed(malformed)) => return Err(malformed),
            }
        }
    }
    Ok(())
}

/// How many parameters and attributes follow.
fn take_count(reader: &mut Reader<'_>) -> Result<usize, Malformed> {
    let count = reader.length("parameter count")?;
    if count > COUNT_MAX { Err(Malformed("parameter count")) } else { Ok(count as usize) }
}

/// Types, and names where the client sends them.
fn take_types(
    reader: &mut Reader<'_>,
    count: usize,
    named: bool,
) -> Result<Vec<ParameterType>, Malformed> {
    let mut types = Vec::with_capacity(count);
    for _ in 0..count {
        let code = reader.u8("parameter type")?;
        let unsigned = reader.u8("parameter sign")? & UNSIGNED != 0;
        types.push(ParameterType { code, unsigned });
        if named {
            reader.length_bytes("parameter name")?;
        }
    }
    Ok(types)
}

/// One value of a type.
fn take_value(reader: &mut Reader<'_>, ty: ParameterType) -> Result<Value, ParameterError> {
    Ok(match ty.code {
        0x06 => Value::Null,
        0x01 => integer(i64::from(reader.u8("TINY")? as i8), 8, ty),
        0x02 | 0x0d => integer(i64::from(reader.u16("SHORT")? as i16), 16, ty),
        0x03 | 0x09 => integer(i64::from(reader.u32("LONG")? as i32), 32, ty),
        0x08 => integer(reader.u64("LONGLONG")? as i64, 64, ty),
        0x04 => double(f32::from_le_bytes(reader.array("FLOAT")?).into())?,
        0x05 => double(f64::from_le_bytes(reader.array("DOUBLE")?))?,
        0x0a => match take_date_time(reader)? {
            moment if moment.micros_of_day() == 0 => Value::Date(moment.date()),
            moment => Value::DateTime(moment),
        },
        0x07 | 0x0c => Value::DateTime(take_date_time(reader)?),
        0x0b => Value::Time(take_time(reader)?),
        0x00 | 0xf6 => decimal(reader.length_bytes("DECIMAL")?),
        0x0f | 0x10 | 0xf5 | 0xf7..=0xff | 0xf2 => string(ty.code, reader.length_bytes("string")?),
        _ => return Err(Malformed("parameter type").into()),
    })
}

/// An integer of `bits` bits, sign-extended in `value`.
fn integer(value: i64, bits: u32, ty: ParameterType) -> Value {
    if ty.unsigned {
        Value::UInt(value as u64 & (u64::MAX >> (64 - bits)))
    } else {
        Value::Int(value)
    }
}

/// A floating-point number that SQL has.
fn double(value: f64) -> Result<Value, Error> {
    if value.is_finite() {
        return Ok(Value::Double(value));
    }
    Err(Error::wrong_arguments("EXECUTE: a parameter is not a finite number"))
}

/// A number sent as text. What is no number stays text, and is converted where it is used.
fn decimal(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).ok();
    let decimal = text.and_then(Decimal::from_text).map(Value::Decimal);
    decimal.unwrap_or_else(|| string(0xfd, bytes))
}

/// Text, or bytes when the type says so or the bytes are no UTF-8: many drivers send both as VAR_STRING,
/// and the column that takes the value decides whether bytes will do.
fn string(code: u8, bytes: &[u8]) -> Value {
    let binary = matches!(code, 0xf2 | 0xf9..=0xfc | 0xff | 0x10);
    match std::str::from_utf8(bytes) {
        Ok(text) if !binary => Value::Text(text.to_string()),
        _ => Value::Bytes(bytes.to_vec()),
    }
}

/// A day and time; missing parts are zero.
fn take_date_time(reader: &mut Reader<'_>) -> Result<DateTime, ParameterError> {
    let length = reader.u8("date length")?;
    if !matches!(length, 0 | 4 | 7 | 11) {
        return Err(Malformed("date length").into());
    }
    let (mut year, mut month, mut day) = (0, 0, 0);
    let (mut hour, mut minute, mut second, mut micro) = (0, 0, 0, 0);
    if length >= 4 {
        year = u32::from(reader.u16("year")?);
        [month, day] = reader.array("month and day")?.map(|part: u8| u32::from(part));
    }
    if length >= 7 {
        [hour, minute, second] = reader.array("time of day")?.map(|part: u8| u32::from(part));
    }
    if length == 11 {
        micro = reader.u32("microseconds")?;
    }
    let fits = year <= 9999
        && month <= 12
        && day <= 31
        && hour <= 23
        && minute <= 59
        && second <= 59
        && micro <= 999_999;
    if !fits {
        let shown =
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micro:06}");
        return Err(Error::truncated_wrong_value("datetime", shown).into());
    }
    Ok(DateTime::new(Date::new(year, month, day), hour, minute, second, micro))
}

/// A duration; missing parts are zero.
fn take_time(reader: &mut Reader<'_>) -> Result<Time, ParameterError> {
    let length = reader.u8("time length")?;
    if !matches!(length, 0 | 8 | 12) {
        return Err(Malformed("time length").into());
    }
    if length == 0 {
        return Ok(Time::ZERO);
    }
    let negative = reader.u8("time sign")? != 0;
    let days = reader.u32("days")?;
    let [hours, minutes, seconds] = reader.array("time of day")?.map(|part: u8| u32::from(part));
    let micro = if length == 12 { reader.u32("microseconds")? } else { 0 };
    if minutes > 59 || seconds > 59 || micro > 999_999 {
        let shown = format!("{days} {hours:02}:{minutes:02}:{seconds:02}.{micro:06}");
        return Err(Error::truncated_wrong_value("time", shown).into());
    }
    let hours = days.saturating_mul(24).saturating_add(hours);
    Ok(Time::new(negative, hours, minutes, seconds, micro))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41;
    const ATTRIBUTES: CapabilityFlags = CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;

    fn execute(parameters: &[u8]) -> Execute<'_> {
        Execute { statement: 1, cursor: false, counted: true, parameters }
    }

    /// One parameter of a type, sent with its value.
    fn one(code: u8, sign: u8, value: &[u8]) -> Result<Value, ParameterError> {
        let mut bytes = vec![0, 1, code, sign];
        bytes.extend_from_slice(value);
        let mut types = Vec::new();
        take_parameters(&execute(&bytes), PLAIN, 1, &mut types, &BTreeMap::new())
            .map(|mut values| values.remove(0))
    }

    #[test]
    fn integers_of_every_width_and_sign() {
        assert_eq!(one(0x01, 0, &[0xff]), Ok(Value::Int(-1)));
        assert_eq!(one(0x01, 0x80, &[0xff]), Ok(Value::UInt(255)));
        assert_eq!(one(0x02, 0, &[0xfe, 0xff]), Ok(Value::Int(-2)));
        assert_eq!(one(0x03, 0x80, &[0xff; 4]), Ok(Value::UInt(0xffff_ffff)));
        assert_eq!(one(0x08, 0x80, &[0xff; 8]), Ok(Value::UInt(u64::MAX)));
        assert_eq!(one(0x08, 0, &[0xff; 8]), Ok(Value::Int(-1)));
    }

    #[test]
    fn numbers_and_strings() {
        assert_eq!(one(0x05, 0, &1.5f64.to_le_bytes()), Ok(Value::Double(1.5)));
        assert_eq!(one(0x04, 0, &0.5f32.to_le_bytes()), Ok(Value::Double(0.5)));
        assert!(matches!(one(0x05, 0, &f64::NAN.to_le_bytes()), Err(ParameterError::Value(_))));
        let decimal = Value::Decimal(Decimal::from_i128(-125, 2));
        assert_eq!(one(0xf6, 0, b"\x05-1.25"), Ok(decimal));
        assert_eq!(one(0xfd, 0, b"\x02ab"), Ok(Value::text("ab")));
        assert_eq!(one(0xfc, 0, b"\x02ab"), Ok(Value::Bytes(b"ab".to_vec())));
        assert_eq!(one(0xfd, 0, b"\x02\xff\xfe"), Ok(Value::Bytes(b"\xff\xfe".to_vec())));
        assert_eq!(one(0x06, 0, b""), Ok(Value::Null));
    }

    #[test]
    fn dates_and_times() {
        let day = Date::new(2018, 7, 1);
        assert_eq!(one(0x0a, 0, &[4, 0xe2, 7, 7, 1]), Ok(Value::Date(day)));
        assert_eq!(one(0x0c, 0, &[0]), Ok(Value::DateTime(DateTime::ZERO)));
        let moment = DateTime::new(day, 13, 14, 15, 258);
        let bytes = [11, 0xe2, 7, 7, 1, 13, 14, 15, 2, 1, 0, 0];
        assert_eq!(one(0x0c, 0, &bytes), Ok(Value::DateTime(moment)));
        let time = Time::new(true, 49, 2, 3, 0);
        assert_eq!(one(0x0b, 0, &[8, 1, 2, 0, 0, 0, 1, 2, 3]), Ok(Value::Time(time)));
        let error = one(0x0c, 0, &[4, 0xe2, 7, 13, 1]);
        assert!(matches!(error, Err(ParameterError::Value(error)) if error.code == 1292));
        assert!(matches!(one(0x0c, 0, &[5, 1, 1, 1, 1, 1]), Err(ParameterError::Malformed(_))));
    }

    #[test]
    fn nulls_and_remembered_types() {
        let mut types = Vec::new();
        let long = BTreeMap::new();
        let first = [0b10, 1, 0x03, 0, 0x03, 0, 7, 0, 0, 0];
        let values = take_parameters(&execute(&first), PLAIN, 2, &mut types, &long);
        assert_eq!(values, Ok(vec![Value::Int(7), Value::Null]));
        let second = [0b01, 0, 8, 0, 0, 0];
        let values = take_parameters(&execute(&second), PLAIN, 2, &mut types, &long);
        assert_eq!(values, Ok(vec![Value::Null, Value::Int(8)]));
    }

    #[test]
    fn types_never_sent_are_malformed() {
        let values =
            take_parameters(&execute(&[0, 0, 1]), PLAIN, 1, &mut Vec::new(), &BTreeMap::new());
        assert!(matches!(values, Err(ParameterError::Malformed(_))));
    }

    #[test]
    fn long_data_stands_for_its_parameter() {
        let long = BTreeMap::from([(0, b"long".to_vec())]);
        let bytes = [0, 1, 0xfc, 0, 0x01, 0, 5];
        let values = take_parameters(&execute(&bytes), PLAIN, 2, &mut Vec::new(), &long);
        assert_eq!(values, Ok(vec![Value::Bytes(b"long".to_vec()), Value::Int(5)]));
    }

    #[test]
    fn attributes_behind_parameters_are_dropped() {
        // Two in all: a parameter without a name and an attribute `n` with value `v`.
        let bytes = b"\x02\x00\x01\x01\x00\x00\xfd\x00\x01n\x07\x01v";
        let values =
            take_parameters(&execute(bytes), ATTRIBUTES, 1, &mut Vec::new(), &BTreeMap::new());
        assert_eq!(values, Ok(vec![Value::Int(7)]));
        let none =
            take_parameters(&execute(b"\x00"), ATTRIBUTES, 0, &mut Vec::new(), &BTreeMap::new());
        assert_eq!(none, Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            expected in 0u16..40,
            attributes: bool,
        ) {
            let capabilities = if attributes { ATTRIBUTES } else { PLAIN };
            let mut types = Vec::new();
            let long = BTreeMap::from([(1, vec![0xff])]);
            let _ = take_parameters(&execute(&bytes), capabilities, expected, &mut types, &long);
            let _ = skip_attributes(&mut Reader::new(&bytes));
        }
    }
}
