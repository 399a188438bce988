//! Vectors: lists of 4-byte floating-point numbers, little-endian, one behind the other.

use super::server::scientific;
use super::{Bound, Call, Eval, Function, bound, pure};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

/// Most numbers of a vector.
const DIMENSIONS_MAX: usize = 16_383;
/// Bytes of a number.
const WIDTH: usize = size_of::<f32>();

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("string_to_vector", 1, 1, |args, ctx| of_strings(bytes(), args, ctx, read)),
    pure("to_vector", 1, 1, |args, ctx| of_strings(bytes(), args, ctx, read)),
    pure("vector_to_string", 1, 1, show),
    pure("from_vector", 1, 1, show),
    pure("vector_dim", 1, 1, |args, ctx| {
        of_strings(SqlType::bigint_width(10), args, ctx, |call| {
            Ok(numbers(call, 0)?.map_or(Value::Null, |found| Value::Int(found.len() as i64)))
        })
    }),
    pure("distance", 3, 3, |args, ctx| of_strings(SqlType::double(), args, ctx, distance)),
    pure("vector_distance", 3, 3, |args, ctx| of_strings(SqlType::double(), args, ctx, distance)),
];

fn bytes() -> SqlType {
    SqlType::sized_string((DIMENSIONS_MAX * WIDTH) as u32, CollationId::BINARY, false)
}

fn of_strings(ty: SqlType, args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let args = args.into_iter().map(|arg| build::as_string(arg, ctx)).collect();
    Ok(bound(ty, args, eval))
}

/// STRING_TO_VECTOR('[1, 2.5, …]').
fn read(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let shown = || Error::no_vector(crate::types::convert::shown(call.bytes(0)));
    let text = std::str::from_utf8(call.bytes(0)).map_err(|_| shown())?.trim();
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(shown)?;
    let mut out = Vec::new();
    for number in inner.split(',') {
        let number: f32 = number.trim().parse().map_err(|_| shown())?;
        if !number.is_finite() || out.len() >= DIMENSIONS_MAX * WIDTH {
            return Err(shown());
        }
        out.extend_from_slice(&number.to_le_bytes());
    }
    Ok(Value::Bytes(out))
}

/// The numbers of an argument; `None` for NULL.
fn numbers(call: &Call<'_>, index: usize) -> Result<Option<Vec<f32>>> {
    if call.args[index].is_null() {
        return Ok(None);
    }
    let bytes = call.bytes(index);
    if bytes.is_empty()
        || !bytes.len().is_multiple_of(WIDTH)
        || bytes.len() / WIDTH > DIMENSIONS_MAX
    {
        return Err(Error::wrong_arguments(call.name));
    }
    let number = |chunk: &[u8]| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    Ok(Some(bytes.chunks_exact(WIDTH).map(number).collect()))
}

/// VECTOR_TO_STRING: five digits and an exponent for each number.
fn show(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    of_strings(SqlType::longtext(build::text_collation(ctx)), args, ctx, |call| {
        let Some(found) = numbers(call, 0)? else { return Ok(Value::Null) };
        let shown: Vec<String> =
            found.into_iter().map(|number| scientific(f64::from(number), 5)).collect();
        Ok(Value::Text(format!("[{}]", shown.join(","))))
    })
}

/// DISTANCE(a, b, 'COSINE' | 'DOT' | 'EUCLIDEAN').
fn distance(call: &Call<'_>) -> Result<Value> {
    let Some((a, b)) = numbers(call, 0)?.zip(numbers(call, 1)?) else { return Ok(Value::Null) };
    if call.args[2].is_null() {
        return Ok(Value::Null);
    }
    if a.len() != b.len() {
        return Err(Error::wrong_arguments(call.name));
    }
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let found = match call.bytes(2).to_ascii_uppercase().as_slice() {
        b"DOT" => product(&a, &b),
        b"COSINE" => 1.0 - product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt(),
        b"EUCLIDEAN" => {
            let square = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
            a.iter().zip(&b).map(square).sum::<f64>().sqrt()
        }
        _ => return Err(Error::wrong_arguments(call.name)),
    };
    Ok(if found.is_finite() { Value::Double(found) } else { Value::Null })
}
