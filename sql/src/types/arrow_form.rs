//! Values as Arrow columns and back.
//!
//! ```text
//! integers, YEAR        Int64 or UInt64          DATE, DATETIME, TIMESTAMP   UInt64, packed
//! DECIMAL(p, s)         Decimal256(76, s)        TIME                        Int64, microseconds
//! FLOAT, DOUBLE         Float64                  text                        Utf8
//! NULL                  Int64, all NULL          byte strings                Binary
//! ```
//!
//! Decimals are rounded to their type's scale when they become a column.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, Decimal256Builder, Float64Builder, Int64Builder,
    StringBuilder, UInt64Builder,
};
use arrow::datatypes::{DataType, Decimal256Type, Float64Type, Int64Type, UInt64Type, i256};

use super::datetime::{Date, DateTime, Time};
use super::decimal::Decimal;
use super::{Domain, SqlType};
use crate::value::Value;
use crate::{Error, Result};

/// Precision of every decimal column: what 256 bits hold.
pub const DECIMAL_PRECISION: u8 = 76;

/// The Arrow type of a column.
pub fn data_type(ty: &SqlType) -> DataType {
    match ty.domain() {
        Domain::Integer if ty.unsigned => DataType::UInt64,
        Domain::Null | Domain::Integer | Domain::Time => DataType::Int64,
        Domain::Decimal => DataType::Decimal256(DECIMAL_PRECISION, ty.decimals as i8),
        Domain::Double => DataType::Float64,
        Domain::Text => DataType::Utf8,
        Domain::Bytes => DataType::Binary,
        Domain::Date | Domain::DateTime => DataType::UInt64,
    }
}

/// The unscaled decimal at the type's scale; 1690 when its digits do not fit beside that scale.
fn unscaled(value: &Decimal, ty: &SqlType) -> Result<i256> {
    if value.scale() == ty.decimals {
        return Ok(value.unscaled());
    }
    match value.rescale(ty.decimals) {
        Some(scaled) => Ok(scaled.unscaled()),
        None => Err(Error::value_out_of_range("DECIMAL", value)),
    }
}

/// A column of values, each NULL or of the variant that the type fixes; another variant is a defect
/// of ours (1815).
pub fn values_to_array<'a>(
    ty: &SqlType,
    values: impl IntoIterator<Item = &'a Value>,
) -> Result<ArrayRef> {
    let values = values.into_iter();
    let count = values.size_hint().0;
    let wrong = |value: &Value| {
        Error::internal(format!("{value:?} in a column of type {}", ty.kind_name()))
    };
    macro_rules! build {
        ($builder:expr, $($pattern:pat => $item:expr),+) => {{
            let mut builder = $builder;
            for value in values {
                match value {
                    Value::Null => builder.append_null(),
                    $($pattern => builder.append_value($item),)+
                    #[allow(unreachable_patterns, reason = "some types take every variant")]
                    other => return Err(wrong(other)),
                }
            }
            Ok(Arc::new(builder.finish()) as ArrayRef)
        }};
    }
    match ty.domain() {
        Domain::Integer if ty.unsigned => {
            build!(UInt64Builder::with_capacity(count), Value::UInt(number) => *number)
        }
        Domain::Null | Domain::Integer => {
            build!(Int64Builder::with_capacity(count), Value::Int(number) => *number)
        }
        Domain::Time => {
            build!(Int64Builder::with_capacity(count), Value::Time(time) => time.micros())
        }
        Domain::Decimal => build!(
            Decimal256Builder::with_capacity(count).with_data_type(data_type(ty)),
            Value::Decimal(number) => unscaled(number, ty)?
        ),
        Domain::Double => {
            build!(Float64Builder::with_capacity(count), Value::Double(number) => *number)
        }
        Domain::Text => build!(StringBuilder::new(), Value::Text(text) => text),
        Domain::Bytes => build!(BinaryBuilder::new(), Value::Bytes(bytes) => bytes),
        Domain::Date => {
            build!(UInt64Builder::with_capacity(count), Value::Date(date) => date.packed())
        }
        Domain::DateTime => {
            build!(UInt64Builder::with_capacity(count), Value::DateTime(moment) => moment.packed())
        }
    }
}

/// One value of a column of this type.
///
/// # Panics
/// When `row` is beyond the array, or the array is not of the type's Arrow type.
pub fn array_value(array: &dyn Array, row: usize, ty: &SqlType) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match ty.domain() {
        Domain::Integer if ty.unsigned => {
            Value::UInt(array.as_primitive::<UInt64Type>().value(row))
        }
        Domain::Null => Value::Null,
        Domain::Integer => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        Domain::Time => {
            Value::Time(Time::from_micros(array.as_primitive::<Int64Type>().value(row)))
        }
        Domain::Decimal => {
            let unscaled = array.as_primitive::<Decimal256Type>().value(row);
            let scale = match array.data_type() {
                DataType::Decimal256(_, scale) => *scale as u8,
                _ => ty.decimals,
            };
            Value::Decimal(Decimal::new(unscaled, scale))
        }
        Domain::Double => Value::Double(array.as_primitive::<Float64Type>().value(row)),
        Domain::Text => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        Domain::Bytes => Value::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        Domain::Date => {
            Value::Date(Date::from_packed(array.as_primitive::<UInt64Type>().value(row)))
        }
        Domain::DateTime => {
            Value::DateTime(DateTime::from_packed(array.as_primitive::<UInt64Type>().value(row)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collation::CollationId;

    #[test]
    fn every_kind_of_value_survives_a_column() {
        let date = Date::new(2020, 0, 15);
        let cases = [
            (SqlType::bigint(), Value::Int(-5)),
            (SqlType::bigint().unsigned(), Value::UInt(u64::MAX)),
            (SqlType::year(), Value::UInt(2024)),
            (SqlType::decimal(65, 30), Value::Decimal(Decimal::largest(65, 30, true))),
            (SqlType::double(), Value::Double(-0.5)),
            (SqlType::varchar(9, CollationId::DEFAULT), Value::text("é\0x")),
            (SqlType::varbinary(9), Value::Bytes(vec![0, 255])),
            (SqlType::date(), Value::Date(date)),
            (SqlType::datetime(6), Value::DateTime(DateTime::at(date, 1))),
            (SqlType::time(6), Value::Time(Time::from_micros(-1))),
        ];
        for (ty, value) in cases {
            let array = values_to_array(&ty, [&Value::Null, &value]).unwrap();
            assert_eq!(array.data_type(), &ty.arrow());
            assert_eq!(array_value(&array, 0, &ty), Value::Null);
            assert_eq!(array_value(&array, 1, &ty), value);
        }
    }

    #[test]
    fn a_value_of_another_variant_is_refused() {
        let error = values_to_array(&SqlType::bigint(), [&Value::text("1")]).unwrap_err();
        assert_eq!(error.code, 1815);
    }
}
