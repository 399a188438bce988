//! One SQL value.
//!
//! Which variant a value of a type takes is fixed, so that operators never look at both:
//!
//! ```text
//! integers, YEAR        Int (signed) or UInt (unsigned)
//! DECIMAL               Decimal
//! FLOAT, DOUBLE         Double          (FLOAT already rounded to 4 bytes)
//! ENUM, SET             UInt in storage; Text in expressions
//! BIT                   UInt in storage; Bytes in expressions
//! strings               Text; Bytes under the binary collation
//! DATE                  Date
//! TIME                  Time
//! DATETIME, TIMESTAMP   DateTime        (TIMESTAMP: UTC in storage, session zone in expressions)
//! any type              Null
//! ```
//!
//! Not here: conversions between types (`types::convert`), comparison (`expr::compare`).

pub use crate::types::datetime::{Date, DateTime, Time};
pub use crate::types::decimal::Decimal;

use crate::types::{SqlType, TypeKind, number_text};

/// A row: one value per column.
pub type Row = Vec<Value>;

/// One SQL value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// NULL.
    #[default]
    Null,
    /// A signed integer.
    Int(i64),
    /// An unsigned integer or a year.
    UInt(u64),
    /// An exact decimal.
    Decimal(Decimal),
    /// A floating-point number; never NaN or infinite.
    Double(f64),
    /// Text of a character set.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A day.
    Date(Date),
    /// A duration.
    Time(Time),
    /// A day and time.
    DateTime(DateTime),
}

impl Value {
    /// 1 or 0.
    pub fn boolean(truth: bool) -> Value {
        Value::Int(i64::from(truth))
    }

    /// Three-valued truth as MySQL's 1, 0, NULL.
    pub fn truth(truth: Option<bool>) -> Value {
        truth.map_or(Value::Null, Value::boolean)
    }

    /// Text from anything that can become a string.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The integer, signed or not.
    pub fn as_integer(&self) -> Option<i128> {
        match self {
            Value::Int(value) => Some(i128::from(*value)),
            Value::UInt(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    /// The text, when this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of a text or byte string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text.as_bytes()),
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// MySQL's display text; `None` for NULL. Byte strings that are no UTF-8 lose their bad bytes:
    /// use [`Value::write_text`] for the wire.
    pub fn to_text(&self, ty: &SqlType) -> Option<String> {
        match self {
            Value::Null => None,
            Value::Text(text) => Some(text.clone()),
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => {
                let mut out = Vec::with_capacity(24);
                self.write_text(ty, &mut out);
                Some(String::from_utf8_lossy(&out).into_owned())
            }
        }
    }

    /// Appends MySQL's display text; appends nothing and answers false for NULL.
    pub fn write_text(&self, ty: &SqlType, out: &mut Vec<u8>) -> bool {
        match self {
            Value::Null => return false,
            Value::Int(value) => number_text::write_i64(*value, out),
            Value::UInt(value) if ty.kind == TypeKind::Year => {
                out.extend_from_slice(format!("{value:04}").as_bytes());
            }
            Value::UInt(value) if ty.kind == TypeKind::Bit => {
                let bytes = (ty.length.div_ceil(8) as usize).min(8);
                out.extend_from_slice(&value.to_be_bytes()[8 - bytes..]);
            }
            Value::UInt(value) => match ty.members {
                Some(members) if ty.kind == TypeKind::Enum => {
                    out.extend_from_slice(members.of_enum(*value).as_bytes());
                }
                Some(members) => out.extend_from_slice(members.of_set(*value).as_bytes()),
                None => number_text::write_u64(*value, out),
            },
            Value::Decimal(value) => {
                let shown = if ty.kind == TypeKind::Decimal {
                    value.round(i32::from(ty.decimals))
                } else {
                    *value
                };
                out.extend_from_slice(shown.to_string().as_bytes());
            }
            Value::Double(value) => number_text::write_double(*value, ty, out),
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            Value::Bytes(bytes) => out.extend_from_slice(bytes),
            Value::Date(date) => date.write_text(out),
            Value::Time(time) => time.write_text(fraction_digits(ty), out),
            Value::DateTime(moment) => moment.write_text(fraction_digits(ty), out),
        }
        true
    }

    /// Memory this value takes, roughly; for limits.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Value>()
            + match self {
                Value::Text(text) => text.len(),
                Value::Bytes(bytes) => bytes.len(),
                _ => 0,
            }
    }

    /// The most natural type of this value: of a literal, a user variable or a parameter.
    pub fn natural_type(&self) -> SqlType {
        let ty = match self {
            Value::Null => return SqlType::null(),
            Value::Int(value) => SqlType::bigint_width(number_text::digits_i64(*value)),
            Value::UInt(value) => SqlType::bigint_width(number_text::digits_u64(*value)).unsigned(),
            Value::Decimal(value) => SqlType::decimal(value.precision().max(1), value.scale()),
            Value::Double(_) => SqlType::double(),
            Value::Text(text) => SqlType::sized_string(
                text.chars().count() as u32,
                crate::collation::CollationId::DEFAULT,
                false,
            ),
            Value::Bytes(bytes) => SqlType::sized_string(
                bytes.len() as u32,
                crate::collation::CollationId::BINARY,
                false,
            ),
            Value::Date(_) => SqlType::date(),
            Value::Time(time) => SqlType::time(time.fraction_digits()),
            Value::DateTime(moment) => SqlType::datetime(moment.fraction_digits()),
        };
        ty.not_null()
    }
}

/// Fraction digits to show: those of a date type, else all six when the type is another one.
fn fraction_digits(ty: &SqlType) -> u8 {
    if ty.is_temporal() { ty.decimals.min(6) } else { 6 }
}
