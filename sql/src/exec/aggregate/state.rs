//! A group as bytes, for spilling. Written and read within one query of one process.
//!
//! ```text
//! Count     i64        Exact  i256 │ i128 │ u64      Double  f64 │ u64
//! Value     0, or 1 │ value
//! Distinct  u32 │ (key, values)…      Pieces  u32 │ values…
//! values    u32 │ value…              value   tag │ bytes
//! ```

use super::Spec;
use super::group::Group;
use crate::value::{Date, DateTime, Decimal, Time, Value};
use crate::{Error, Result};
use arrow::datatypes::i256;

impl Group {
    /// The state as bytes.
    pub(super) fn write(&self, _: &Spec) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        match self {
            Group::Count(count) => out.extend(count.to_le_bytes()),
            Group::Exact { sum, small, count } => {
                out.extend(sum.to_le_bytes());
                out.extend(small.to_le_bytes());
                out.extend(count.to_le_bytes());
            }
            Group::Double { sum, count } => {
                out.extend(sum.to_le_bytes());
                out.extend(count.to_le_bytes());
            }
            Group::Value(value, _) => match value {
                None => out.push(0),
                Some(value) => {
                    out.push(1);
                    put_value(&mut out, value);
                }
            },
            Group::Distinct(seen) => {
                put_length(&mut out, seen.len());
                for (key, row) in seen {
                    put_bytes(&mut out, key);
                    put_row(&mut out, row);
                }
            }
            Group::Pieces(pieces) => {
                put_length(&mut out, pieces.len());
                pieces.iter().for_each(|row| put_row(&mut out, row));
            }
        }
        out
    }

    /// The state that [`Group::write`] wrote.
    pub(super) fn read(bytes: &[u8], spec: &Spec) -> Result<Group> {
        let mut input = Input(bytes);
        let mut group = Group::new(spec);
        match &mut group {
            Group::Count(count) => *count = i64::from_le_bytes(input.array()?),
            Group::Exact { sum, small, count } => {
                *sum = i256::from_le_bytes(input.array()?);
                *small = i128::from_le_bytes(input.array()?);
                *count = u64::from_le_bytes(input.array()?);
            }
            Group::Double { sum, count } => {
                *sum = f64::from_le_bytes(input.array()?);
                *count = u64::from_le_bytes(input.array()?);
            }
            Group::Value(value, _) => {
                if input.array::<1>()? == [1] {
                    *value = Some(input.value()?);
                }
            }
            Group::Distinct(seen) => {
                for _ in 0..input.length()? {
                    let key = input.bytes()?.to_vec();
                    seen.insert(key, input.row()?);
                }
            }
            Group::Pieces(pieces) => {
                for _ in 0..input.length()? {
                    pieces.push(input.row()?);
                }
            }
        }
        Ok(group)
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_row(out: &mut Vec<u8>, row: &[Value]) {
    put_length(out, row.len());
    row.iter().for_each(|value| put_value(out, value));
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Int(value) => {
            out.push(1);
            out.extend(value.to_le_bytes());
        }
        Value::UInt(value) => {
            out.push(2);
            out.extend(value.to_le_bytes());
        }
        Value::Decimal(value) => {
            out.push(3);
            out.push(value.scale());
            out.extend(value.unscaled().to_le_bytes());
        }
        Value::Double(value) => {
            out.push(4);
            out.extend(value.to_le_bytes());
        }
        Value::Text(value) => {
            out.push(5);
            put_bytes(out, value.as_bytes());
        }
        Value::Bytes(value) => {
            out.push(6);
            put_bytes(out, value);
        }
        Value::Date(value) => {
            out.push(7);
            out.extend(value.packed().to_le_bytes());
        }
        Value::Time(value) => {
            out.push(8);
            out.extend(value.micros().to_le_bytes());
        }
        Value::DateTime(value) => {
            out.push(9);
            out.extend(value.packed().to_le_bytes());
        }
    }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(corrupt)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| corrupt())
    }

    fn length(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn row(&mut self) -> Result<Vec<Value>> {
        let length = self.length()?;
        (0..length).map(|_| self.value()).collect()
    }

    fn value(&mut self) -> Result<Value> {
        Ok(match self.array::<1>()?[0] {
            0 => Value::Null,
            1 => Value::Int(i64::from_le_bytes(self.array()?)),
            2 => Value::UInt(u64::from_le_bytes(self.array()?)),
            3 => {
                let [scale] = self.array()?;
                Value::Decimal(Decimal::new(i256::from_le_bytes(self.array()?), scale))
            }
            4 => Value::Double(f64::from_le_bytes(self.array()?)),
            5 => Value::Text(String::from_utf8(self.bytes()?.to_vec()).map_err(|_| corrupt())?),
            6 => Value::Bytes(self.bytes()?.to_vec()),
            7 => Value::Date(Date::from_packed(u64::from_le_bytes(self.array()?))),
            8 => Value::Time(Time::from_micros(i64::from_le_bytes(self.array()?))),
            9 => Value::DateTime(DateTime::from_packed(u64::from_le_bytes(self.array()?))),
            _ => return Err(corrupt()),
        })
    }
}

fn corrupt() -> Error {
    Error::storage("a spilled group cannot be read back")
}
