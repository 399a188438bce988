//! The state of one group.

use super::Spec;
use crate::expr::{compare, key_bytes};
use crate::planner::plan::AggregateFunction;
use crate::types::json::Json;
use crate::types::json::parse::parse;
use crate::types::{Domain, SqlType};
use crate::value::{Decimal, Value};
use crate::{Error, Result};
use arrow::datatypes::i256;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a group has seen.
#[derive(Clone, Debug)]
pub(super) enum Group {
    /// COUNT.
    Count(i64),
    /// SUM and AVG of numbers that are exact; the sum at the argument's scale. The small sum is where
    /// most numbers go: it is cheaper than 256 bits.
    Exact { sum: i256, small: i128, count: u64 },
    /// SUM and AVG of doubles.
    Double { sum: f64, count: u64 },
    /// MIN, MAX and FIRST; `None` before the first value.
    Value(Option<Value>, Pick),
    /// DISTINCT: arguments by their key.
    Distinct(BTreeMap<Vec<u8>, Vec<Value>>),
    /// BIT_AND, BIT_OR, BIT_XOR.
    Bits(u64),
    /// STDDEV, VARIANCE: how many, their mean, and the sum of squares of their distances to it (Welford, "Note on a
    /// method for calculating corrected sums of squares and products", Technometrics 1962).
    Moments { count: u64, mean: f64, squares: f64 },
    /// GROUP_CONCAT: values with their sort keys.
    Pieces(Vec<Vec<Value>>),
}

/// Which value stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    Smallest,
    Largest,
    First,
}

/// What a small sum must stay below so that adding one more 64-bit number cannot overflow.
const SMALL_MAX: i128 = 1 << 126;

impl Group {
    /// A group without rows.
    pub(super) fn new(spec: &Spec) -> Group {
        if spec.distinct {
            return Group::Distinct(BTreeMap::new());
        }
        Group::plain(spec)
    }

    /// The same, whether or not values must be distinct.
    fn plain(spec: &Spec) -> Group {
        match &spec.function {
            AggregateFunction::Count => Group::Count(0),
            AggregateFunction::Sum | AggregateFunction::Avg => {
                match spec.args.first().map(SqlType::domain) {
                    Some(Domain::Double) => Group::Double { sum: 0.0, count: 0 },
                    _ => Group::Exact { sum: i256::ZERO, small: 0, count: 0 },
                }
            }
            AggregateFunction::Min => Group::Value(None, Pick::Smallest),
            AggregateFunction::Max => Group::Value(None, Pick::Largest),
            AggregateFunction::First => Group::Value(None, Pick::First),
            AggregateFunction::BitAnd => Group::Bits(u64::MAX),
            AggregateFunction::BitOr | AggregateFunction::BitXor => Group::Bits(0),
            AggregateFunction::Deviation { .. } => {
                Group::Moments { count: 0, mean: 0.0, squares: 0.0 }
            }
            AggregateFunction::GroupConcat { .. } | AggregateFunction::Json { .. } => {
                Group::Pieces(Vec::new())
            }
        }
    }

    /// Whether no further row can change it.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self, Group::Value(Some(_), Pick::First))
    }

    /// COUNT: so many rows more.
    pub(super) fn count(&mut self, rows: i64) {
        if let Group::Count(count) = self {
            *count += rows;
        }
    }

    /// SUM, AVG: a 64-bit integer more.
    pub(super) fn add_small(&mut self, value: i128) -> Result<()> {
        if let Group::Exact { sum, small, count } = self {
            *small += value;
            *count += 1;
            if small.abs() > SMALL_MAX {
                *sum = sum.checked_add(i256::from_i128(*small)).ok_or_else(overflow)?;
                *small = 0;
            }
        }
        Ok(())
    }

    /// SUM, AVG: a decimal more, at the argument's scale.
    pub(super) fn add_exact(&mut self, value: i256) -> Result<()> {
        if let Group::Exact { sum, count, .. } = self {
            *sum = sum.checked_add(value).ok_or_else(overflow)?;
            *count += 1;
        }
        Ok(())
    }

    /// SUM, AVG: a double more.
    pub(super) fn add_double(&mut self, value: f64) -> Result<()> {
        if let Group::Double { sum, count } = self {
            *sum += value;
            *count += 1;
        }
        Ok(())
    }

    /// Any aggregate: a row more. Answers how many bytes the group grew.
    pub(super) fn add_row(&mut self, row: &[Value], spec: &Spec) -> Result<usize> {
        // FIRST takes what comes; for all others a NULL argument is no row.
        let is_first = matches!(self, Group::Value(_, Pick::First));
        let counted = match &spec.function {
            AggregateFunction::GroupConcat { .. } => &row[..1],
            // NULL is a value of a document.
            AggregateFunction::Json { .. } => &row[..0],
            _ => row,
        };
        if !is_first && counted.iter().any(Value::is_null) {
            return Ok(0);
        }
        match self {
            Group::Count(count) => {
                *count += 1;
                Ok(0)
            }
            Group::Exact { .. } | Group::Double { .. } => {
                self.add_value(&row[0], spec)?;
                Ok(0)
            }
            Group::Value(best, pick) => {
                let value = &row[0];
                let better = match best {
                    None => true,
                    Some(best) => match pick {
                        Pick::Smallest => compare(value, best, &spec.args[0]) == Ordering::Less,
                        Pick::Largest => compare(value, best, &spec.args[0]) == Ordering::Greater,
                        Pick::First => false,
                    },
                };
                if !better {
                    return Ok(0);
                }
                let before = best.as_ref().map_or(0, Value::heap_bytes);
                *best = Some(value.clone());
                Ok(value.heap_bytes().saturating_sub(before))
            }
            Group::Distinct(seen) => {
                let width = counted.len();
                let mut key = Vec::new();
                for (value, ty) in row.iter().zip(&spec.args).take(width) {
                    key.extend(key_bytes(value, ty));
                }
                let bytes = key.len() + row.iter().map(Value::heap_bytes).sum::<usize>() + 64;
                match seen.entry(key) {
                    std::collections::btree_map::Entry::Occupied(_) => Ok(0),
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        // COUNT needs the key alone.
                        let keep = spec.function != AggregateFunction::Count;
                        entry.insert(if keep { row.to_vec() } else { Vec::new() });
                        Ok(bytes)
                    }
                }
            }
            Group::Bits(bits) => {
                let value = row[0].as_integer();
                let value = value.ok_or_else(|| Error::internal("bits of no integer"))?;
                // A negative number has the bits of its 64-bit form.
                *bits = join_bits(*bits, value as u64, &spec.function);
                Ok(0)
            }
            Group::Moments { count, mean, squares } => {
                let Value::Double(value) = row[0] else {
                    return Err(Error::internal("a deviation of no double"));
                };
                *count += 1;
                let distance = value - *mean;
                *mean += distance / *count as f64;
                *squares += distance * (value - *mean);
                Ok(0)
            }
            Group::Pieces(pieces) => {
                pieces.push(row.to_vec());
                Ok(row.iter().map(Value::heap_bytes).sum::<usize>() + size_of::<Vec<Value>>())
            }
        }
    }

    fn add_value(&mut self, value: &Value, spec: &Spec) -> Result<()> {
        match value {
            Value::Double(value) => self.add_double(*value),
            Value::Decimal(value) => {
                let scale = spec.args[0].decimals;
                let value = value.rescale(scale).ok_or_else(overflow)?;
                self.add_exact(value.unscaled())
            }
            value => match value.as_integer() {
                Some(value) => self.add_small(value),
                None => Err(Error::internal("a sum over something that is no number")),
            },
        }
    }

    /// Takes over what another group has seen. Answers how many bytes this one grew.
    pub(super) fn merge(&mut self, other: Group, spec: &Spec) -> Result<usize> {
        match (self, other) {
            (Group::Count(a), Group::Count(b)) => *a += b,
            (
                Group::Exact { sum, small, count },
                Group::Exact { sum: other_sum, small: other_small, count: other_count },
            ) => {
                let both = i256::from_i128(*small).wrapping_add(i256::from_i128(other_small));
                let total = sum.checked_add(other_sum).and_then(|sum| sum.checked_add(both));
                *sum = total.ok_or_else(overflow)?;
                *small = 0;
                *count += other_count;
            }
            (
                Group::Double { sum, count },
                Group::Double { sum: other_sum, count: other_count },
            ) => {
                *sum += other_sum;
                *count += other_count;
            }
            (this @ Group::Value(..), Group::Value(Some(value), _)) => {
                if !this.is_settled() {
                    return this.add_row(&[value], spec);
                }
            }
            (Group::Value(..), Group::Value(None, _)) => {}
            (Group::Distinct(seen), Group::Distinct(more)) => {
                let mut bytes = 0;
                for (key, row) in more {
                    bytes += key.len() + row.iter().map(Value::heap_bytes).sum::<usize>() + 64;
                    seen.entry(key).or_insert(row);
                }
                return Ok(bytes);
            }
            (Group::Bits(bits), Group::Bits(more)) => {
                *bits = join_bits(*bits, more, &spec.function);
            }
            (
                Group::Moments { count, mean, squares },
                Group::Moments { count: more, mean: other_mean, squares: other_squares },
            ) => {
                // Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
                let total = *count + more;
                if more > 0 {
                    let distance = other_mean - *mean;
                    let share = more as f64 / total as f64;
                    *squares += other_squares + distance * distance * *count as f64 * share;
                    *mean += distance * share;
                    *count = total;
                }
            }
            (Group::Pieces(pieces), Group::Pieces(more)) => {
                let bytes = more.iter().flatten().map(Value::heap_bytes).sum();
                pieces.extend(more);
                return Ok(bytes);
            }
            _ => return Err(Error::internal("two groups of different aggregates")),
        }
        Ok(0)
    }

    /// The aggregate's value.
    pub(super) fn finish(self, spec: &Spec) -> Result<Value> {
        match self {
            Group::Count(count) => Ok(Value::Int(count)),
            Group::Exact { count: 0, .. } | Group::Double { count: 0, .. } => Ok(Value::Null),
            Group::Exact { sum, small, count } => {
                let sum = sum.checked_add(i256::from_i128(small)).ok_or_else(overflow)?;
                let sum = Decimal::new(sum, spec.args[0].scale());
                let value = match spec.function {
                    AggregateFunction::Avg => {
                        // One digit more than shown, so that rounding happens once.
                        let increment = spec.ty.decimals.saturating_sub(sum.scale());
                        let count = Decimal::from_i128(i128::from(count), 0);
                        let mean = sum.divide(&count, increment).ok_or_else(overflow)?;
                        mean.rescale(spec.ty.decimals).ok_or_else(overflow)?
                    }
                    _ => sum.rescale(spec.ty.decimals).ok_or_else(overflow)?,
                };
                Ok(Value::Decimal(value))
            }
            Group::Double { sum, count } => {
                let value = match spec.function {
                    AggregateFunction::Avg => sum / count as f64,
                    _ => sum,
                };
                if value.is_finite() {
                    Ok(Value::Double(value))
                } else {
                    Err(Error::value_out_of_range("DOUBLE", "sum"))
                }
            }
            Group::Value(value, _) => Ok(value.unwrap_or_default()),
            Group::Bits(bits) => Ok(Value::UInt(bits)),
            Group::Moments { count, squares, .. } => {
                let AggregateFunction::Deviation { sample, root } = spec.function else {
                    return Err(Error::internal("a deviation of another aggregate"));
                };
                let count = count.saturating_sub(u64::from(sample));
                if count == 0 {
                    return Ok(Value::Null);
                }
                let variance = squares / count as f64;
                let value = if root { variance.sqrt() } else { variance };
                match value.is_finite() {
                    true => Ok(Value::Double(value)),
                    false => Err(Error::value_out_of_range("DOUBLE", "deviation")),
                }
            }
            Group::Distinct(seen) if spec.function == AggregateFunction::Count => {
                Ok(Value::Int(i64::try_from(seen.len()).unwrap_or(i64::MAX)))
            }
            Group::Distinct(seen) => {
                let mut plain = Group::plain(spec);
                for row in seen.into_values() {
                    plain.add_row(&row, spec)?;
                }
                plain.finish(spec)
            }
            Group::Pieces(pieces) => match spec.function {
                AggregateFunction::Json { object } => document(pieces, object),
                _ => Ok(concatenate(pieces, spec)),
            },
        }
    }
}

fn join_bits(a: u64, b: u64, function: &AggregateFunction) -> u64 {
    match function {
        AggregateFunction::BitAnd => a & b,
        AggregateFunction::BitXor => a ^ b,
        _ => a | b,
    }
}

/// The document of JSON_ARRAYAGG and JSON_OBJECTAGG: NULL of no rows.
///
/// # Errors
/// 3158 for a member without a name.
fn document(pieces: Vec<Vec<Value>>, object: bool) -> Result<Value> {
    if pieces.is_empty() {
        return Ok(Value::Null);
    }
    let json = |value: Option<&Value>| match value.and_then(Value::as_text) {
        Some(text) => parse(text).map_err(|_| Error::internal("a document that is none")),
        None => Ok(Json::Null),
    };
    let document = match object {
        false => {
            let elements = pieces.iter().map(|piece| json(piece.first()));
            Json::Array(elements.collect::<Result<_>>()?)
        }
        true => {
            let mut members = Vec::with_capacity(pieces.len());
            for piece in &pieces {
                let name = piece.first().and_then(Value::as_text);
                let name = name.ok_or_else(Error::json_null_name)?;
                members.push((name.to_string(), json(piece.get(1))?));
            }
            Json::object(members)
        }
    };
    Ok(Value::Text(document.to_string()))
}

/// GROUP_CONCAT's text, cut at `group_concat_max_len` bytes with a warning.
fn concatenate(mut pieces: Vec<Vec<Value>>, spec: &Spec) -> Value {
    let AggregateFunction::GroupConcat { separator, descending } = &spec.function else {
        return Value::Null;
    };
    if pieces.is_empty() {
        return Value::Null;
    }
    pieces.sort_by(|a, b| {
        for (i, descending) in descending.iter().enumerate() {
            let order = compare(&a[i + 1], &b[i + 1], &spec.args[i + 1]);
            let order = if *descending { order.reverse() } else { order };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    });
    let limit = usize::try_from(spec.ctx.group_concat_max_len).unwrap_or(usize::MAX);
    let mut out: Vec<u8> = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(separator.as_bytes());
        }
        out.extend_from_slice(piece[0].as_bytes().unwrap_or_default());
        if out.len() > limit {
            spec.ctx.warn(Error::group_concat_cut(i + 1));
            break;
        }
    }
    if spec.ty.is_bytes() {
        out.truncate(limit);
        return Value::Bytes(out);
    }
    let mut text = String::from_utf8_lossy(&out).into_owned();
    if text.len() > limit {
        let end = (0..=limit).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
    }
    Value::Text(text)
}

fn overflow() -> Error {
    Error::value_out_of_range("DECIMAL", "sum")
}
