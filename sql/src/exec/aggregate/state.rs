//! A group as bytes, for spilling. Written and read within one query of one process.
//!
//! ```text
//! Count     i64        Exact  i256 │ i128 │ u64      Double  f64 │ u64
//! Value     0, or 1 │ value                        Bits    u64
//! Moments   u64 │ f64 │ f64
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
            Group::Bits(bits) => out.extend(bits.to_le_bytes()),
            Group::Moments { count, mean, squares } => {
                out.extend(count.to_le_bytes());
                out.extend(mean.to_le_bytes());
                out.extend(squares.to_le_bytes());
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
            Group::Bits(bits) => *bits = u64::from_le_bytes(input.array()?),
            Group::Moments { count, mean, squares } => {
                *count = u64::from_le_bytes(input.array()?);
                *mean = f64::from_le_bytes(input.array()?);
                *squares = f64::from_le_bytes(input.array()?);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collation::CollationId;
    use crate::context::EvalContext;
    use crate::planner::plan::AggregateFunction;
    use crate::types::SqlType;
    use std::sync::Arc;

    fn spec(function: AggregateFunction, distinct: bool, arg: SqlType, ty: SqlType) -> Spec {
        let ctx = Arc::new(EvalContext::detached(0));
        Spec { function, distinct, args: vec![arg], ty, ctx }
    }

    fn total(spec: &Spec, first: &[Value], second: &[Value]) -> Value {
        let mut groups = [Group::new(spec), Group::new(spec)];
        for (group, values) in groups.iter_mut().zip([first, second]) {
            for value in values {
                group.add_row(std::slice::from_ref(value), spec).unwrap();
            }
        }
        let [mut a, b] = groups.map(|group| Group::read(&group.write(spec), spec).unwrap());
        a.merge(b, spec).unwrap();
        a.finish(spec).unwrap()
    }

    #[test]
    fn a_group_spilled_in_two_parts_gives_the_same_result() {
        let int = SqlType::int();
        let text = SqlType::varchar(9, CollationId::DEFAULT);
        let decimal = |scale| SqlType::decimal(40, scale);
        let (a, b) = ([Value::Int(3), Value::Null, Value::Int(-1)], [Value::Int(3)]);
        let sum = spec(AggregateFunction::Sum, false, int, decimal(0));
        assert_eq!(total(&sum, &a, &b).to_text(&sum.ty).unwrap(), "5");
        let distinct = spec(AggregateFunction::Sum, true, int, decimal(0));
        assert_eq!(total(&distinct, &a, &b).to_text(&distinct.ty).unwrap(), "2");
        let mean = spec(AggregateFunction::Avg, false, int, decimal(4));
        assert_eq!(total(&mean, &a, &b).to_text(&mean.ty).unwrap(), "1.6667");
        let count = spec(AggregateFunction::Count, true, int, SqlType::bigint());
        assert_eq!(total(&count, &a, &b), Value::Int(2));
        let texts = [Value::text("b"), Value::text("A")];
        let min = spec(AggregateFunction::Min, false, text, text);
        assert_eq!(total(&min, &texts, &[Value::text("a")]), Value::text("A"));
        let double = SqlType::double();
        let deviation = |sample, root| {
            spec(AggregateFunction::Deviation { sample, root }, false, double, double)
        };
        let (c, d) = ([2.0, 4.0].map(Value::Double), [4.0, 6.0].map(Value::Double));
        assert_eq!(total(&deviation(false, false), &c, &d), Value::Double(2.0));
        assert_eq!(total(&deviation(false, true), &c, &[]), Value::Double(1.0));
        assert_eq!(total(&deviation(true, false), &c, &[]), Value::Double(2.0));
        assert_eq!(total(&deviation(true, true), &c[..1], &[]), Value::Null);
        assert_eq!(total(&deviation(false, true), &[], &[Value::Null]), Value::Null);
        let unsigned = SqlType::bigint().unsigned();
        let bits = |function| spec(function, false, unsigned, unsigned);
        assert_eq!(total(&bits(AggregateFunction::BitAnd), &a, &b), Value::UInt(3));
        assert_eq!(total(&bits(AggregateFunction::BitOr), &a, &[]), Value::UInt(u64::MAX));
        assert_eq!(total(&bits(AggregateFunction::BitXor), &b, &b), Value::UInt(0));
        assert_eq!(total(&bits(AggregateFunction::BitAnd), &[], &[]), Value::UInt(u64::MAX));
        let first = spec(AggregateFunction::First, false, text, text);
        assert_eq!(total(&first, &texts, &[]), Value::text("b"));
        let function =
            AggregateFunction::GroupConcat { separator: "+".into(), descending: Vec::new() };
        let concat = spec(function, false, text, SqlType::text(CollationId::DEFAULT));
        assert_eq!(total(&concat, &texts, &[Value::text("c")]), Value::text("b+A+c"));
    }

    #[test]
    fn no_row_is_null_and_counts_zero() {
        let sum = spec(AggregateFunction::Sum, false, SqlType::int(), SqlType::decimal(9, 0));
        assert_eq!(total(&sum, &[], &[Value::Null]), Value::Null);
        let count = spec(AggregateFunction::Count, false, SqlType::int(), SqlType::bigint());
        assert_eq!(total(&count, &[], &[Value::Null]), Value::Int(0));
    }
}
