//! Numbers: rounding, powers, logarithms, angles, chance.

use super::{Bound, Call, Function, any_nullable, bound, per_row, pure};
use crate::context::EvalContext;
use crate::expr::{Expr, ExprKind, build};
use crate::types::decimal::{Decimal, SCALE_MAX};
use crate::types::{Domain, SqlType};
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("abs", 1, 1, |args, ctx| same_domain(args, ctx, abs)),
    pure("sign", 1, 1, sign),
    pure("ceil", 1, 1, |args, ctx| whole(args, ctx, ceil)),
    pure("ceiling", 1, 1, |args, ctx| whole(args, ctx, ceil)),
    pure("floor", 1, 1, |args, ctx| whole(args, ctx, floor)),
    pure("round", 1, 2, |args, ctx| rounding(args, ctx, false)),
    pure("truncate", 2, 2, |args, ctx| rounding(args, ctx, true)),
    pure("pow", 2, 2, |args, ctx| doubles(args, ctx, |c| two(c, f64::powf))),
    pure("power", 2, 2, |args, ctx| doubles(args, ctx, |c| two(c, f64::powf))),
    pure("sqrt", 1, 1, |args, ctx| doubles(args, ctx, |c| partial(c, |x| x >= 0.0, f64::sqrt))),
    pure("exp", 1, 1, |args, ctx| doubles(args, ctx, |c| one(c, f64::exp))),
    pure("ln", 1, 1, |args, ctx| doubles(args, ctx, |c| logarithm(c, 0, f64::ln))),
    pure("log2", 1, 1, |args, ctx| doubles(args, ctx, |c| logarithm(c, 0, f64::log2))),
    pure("log10", 1, 1, |args, ctx| doubles(args, ctx, |c| logarithm(c, 0, f64::log10))),
    pure("log", 1, 2, |args, ctx| doubles(args, ctx, log)),
    pure("sin", 1, 1, |args, ctx| doubles(args, ctx, |c| one(c, f64::sin))),
    pure("cos", 1, 1, |args, ctx| doubles(args, ctx, |c| one(c, f64::cos))),
    pure("tan", 1, 1, |args, ctx| doubles(args, ctx, |c| one(c, f64::tan))),
    pure("cot", 1, 1, |args, ctx| doubles(args, ctx, cot)),
    pure("asin", 1, 1, |args, ctx| {
        doubles(args, ctx, |c| partial(c, |x| x.abs() <= 1.0, f64::asin))
    }),
    pure("acos", 1, 1, |args, ctx| {
        doubles(args, ctx, |c| partial(c, |x| x.abs() <= 1.0, f64::acos))
    }),
    pure("atan", 1, 2, |args, ctx| doubles(args, ctx, atan)),
    pure("atan2", 2, 2, |args, ctx| doubles(args, ctx, atan)),
    pure("degrees", 1, 1, |args, ctx| doubles(args, ctx, |c| one(c, f64::to_degrees))),
    pure("radians", 1, 1, |args, ctx| doubles(args, ctx, |c| one(c, f64::to_radians))),
    pure("pi", 0, 0, |args, _| {
        let ty = SqlType::double_fixed(6).not_null();
        Ok(bound(ty, args, |_| Ok(Value::Double(std::f64::consts::PI))))
    }),
    per_row("rand", 0, 1, |args, ctx| {
        let args = args.into_iter().map(|arg| build::as_integer(arg, ctx)).collect();
        Ok(bound(SqlType::double().not_null(), args, rand))
    }),
];

/// 1690 for this call.
fn out_of_range(call: &Call<'_>, kind: &str) -> Error {
    let args: Vec<String> = call.exprs.iter().map(ToString::to_string).collect();
    Error::value_out_of_range(kind, format!("{}({})", call.name, args.join(",")))
}

fn doubles(args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let args = args.into_iter().map(|arg| build::as_double(arg, ctx)).collect();
    Ok(bound(SqlType::double(), args, eval))
}

fn finite(call: &Call<'_>, number: f64) -> Result<Value> {
    if number.is_finite() { Ok(Value::Double(number)) } else { Err(out_of_range(call, "DOUBLE")) }
}

fn one(call: &Call<'_>, f: impl Fn(f64) -> f64) -> Result<Value> {
    if call.any_null() { Ok(Value::Null) } else { finite(call, f(call.double(0))) }
}

fn two(call: &Call<'_>, f: impl Fn(f64, f64) -> f64) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    finite(call, f(call.double(0), call.double(1)))
}

/// NULL outside of where the function is defined.
fn partial(call: &Call<'_>, defined: impl Fn(f64) -> bool, f: fn(f64) -> f64) -> Result<Value> {
    if call.any_null() || !defined(call.double(0)) {
        return Ok(Value::Null);
    }
    finite(call, f(call.double(0)))
}

fn logarithm(call: &Call<'_>, index: usize, f: fn(f64) -> f64) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    if call.double(index) <= 0.0 {
        call.ctx.bad_value(Error::invalid_logarithm())?;
        return Ok(Value::Null);
    }
    finite(call, f(call.double(index)))
}

/// LOG(x) or LOG(base, x).
fn log(call: &Call<'_>) -> Result<Value> {
    if call.args.len() == 1 {
        return logarithm(call, 0, f64::ln);
    }
    if call.any_null() {
        return Ok(Value::Null);
    }
    let (base, number) = (call.double(0), call.double(1));
    if base <= 0.0 || number <= 0.0 || base == 1.0 {
        call.ctx.bad_value(Error::invalid_logarithm())?;
        return Ok(Value::Null);
    }
    finite(call, number.ln() / base.ln())
}

fn cot(call: &Call<'_>) -> Result<Value> {
    one(call, |x| 1.0 / x.tan())
}

fn atan(call: &Call<'_>) -> Result<Value> {
    if call.args.len() == 1 { one(call, f64::atan) } else { two(call, f64::atan2) }
}

/// The argument in its numeric domain, which is the result's, too.
fn same_domain(mut args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let arg = args.swap_remove(0);
    let arg = build::number_of_bytes(&arg).unwrap_or(arg);
    let domain = build::numeric_domain(&arg.ty);
    let arg = build::in_numeric_domain(arg, domain, ctx);
    let ty = match domain {
        Domain::Integer => SqlType {
            unsigned: arg.ty.unsigned,
            ..SqlType::bigint_width(arg.ty.length.clamp(1, 20))
        },
        _ => arg.ty,
    };
    Ok(bound(ty.with_nullable(arg.ty.nullable), vec![arg], eval))
}

fn abs(call: &Call<'_>) -> Result<Value> {
    Ok(match &call.args[0] {
        Value::Int(number) => {
            Value::Int(number.checked_abs().ok_or_else(|| out_of_range(call, "BIGINT"))?)
        }
        Value::Decimal(number) => Value::Decimal(number.abs()),
        Value::Double(number) => Value::Double(number.abs()),
        other => other.clone(),
    })
}

fn sign(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = args.swap_remove(0);
    let domain = build::numeric_domain(&arg.ty);
    let arg = build::in_numeric_domain(arg, domain, ctx);
    let ty = SqlType::bigint_width(2).with_nullable(arg.ty.nullable);
    Ok(bound(ty, vec![arg], |call| {
        Ok(match &call.args[0] {
            Value::Int(number) => Value::Int(number.signum()),
            Value::UInt(number) => Value::Int(i64::from(*number > 0)),
            Value::Decimal(number) if number.is_zero() => Value::Int(0),
            Value::Decimal(number) => Value::Int(if number.is_negative() { -1 } else { 1 }),
            Value::Double(number) => {
                Value::Int(i64::from(*number > 0.0) - i64::from(*number < 0.0))
            }
            _ => Value::Null,
        })
    }))
}

/// CEIL and FLOOR: integers when the digits before the point fit BIGINT, else DECIMAL or DOUBLE.
fn whole(mut args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let arg = args.swap_remove(0);
    let domain = build::numeric_domain(&arg.ty);
    let arg = build::in_numeric_domain(arg, domain, ctx);
    let ty = match domain {
        Domain::Integer => SqlType {
            unsigned: arg.ty.unsigned,
            ..SqlType::bigint_width(arg.ty.length.clamp(1, 20))
        },
        Domain::Decimal => {
            let digits = arg.ty.length - u32::from(arg.ty.decimals).min(arg.ty.length) + 1;
            // One more for the sign: FLOOR(-0.5) is -1.
            let width = digits + 1;
            if digits <= 18 { SqlType::bigint_width(width) } else { SqlType::decimal(digits, 0) }
        }
        _ => SqlType::double_fixed(0),
    };
    Ok(bound(ty.with_nullable(arg.ty.nullable), vec![arg], eval))
}

fn whole_decimal(call: &Call<'_>, number: Decimal) -> Result<Value> {
    if !call.ty.is_integer() {
        return Ok(Value::Decimal(number));
    }
    let integer = number.to_integer().and_then(|n| i64::try_from(n).ok());
    integer.map(Value::Int).ok_or_else(|| out_of_range(call, "BIGINT"))
}

fn ceil(call: &Call<'_>) -> Result<Value> {
    match &call.args[0] {
        Value::Decimal(number) => whole_decimal(call, number.ceil()),
        Value::Double(number) => Ok(Value::Double(number.ceil())),
        other => Ok(other.clone()),
    }
}

fn floor(call: &Call<'_>) -> Result<Value> {
    match &call.args[0] {
        Value::Decimal(number) => whole_decimal(call, number.floor()),
        Value::Double(number) => Ok(Value::Double(number.floor())),
        other => Ok(other.clone()),
    }
}

/// Fraction digits that a constant second argument asks for.
fn constant_digits(args: &[Expr]) -> Option<i64> {
    match args.get(1) {
        None => Some(0),
        Some(digits) => match digits.as_literal() {
            Some(Value::Int(digits)) => Some(*digits),
            Some(Value::UInt(digits)) => Some(i64::try_from(*digits).unwrap_or(i64::MAX)),
            _ => None,
        },
    }
}

fn rounding(mut args: Vec<Expr>, ctx: &EvalContext, cut: bool) -> Result<Bound> {
    let domain = build::numeric_domain(&args[0].ty);
    args[0] = build::in_numeric_domain(args[0].clone(), domain, ctx);
    if let Some(digits) = args.get(1).cloned() {
        args[1] = build::as_integer(digits, ctx);
    }
    let number = args[0].ty;
    let digits = constant_digits(&args);
    let ty = match domain {
        Domain::Integer => {
            let length = (number.length + u32::from(!cut)).clamp(1, 20);
            SqlType { unsigned: number.unsigned, ..SqlType::bigint_width(length) }
        }
        Domain::Decimal => {
            let whole = number.length - u32::from(number.decimals).min(number.length);
            let scale = match digits {
                Some(digits) => digits.clamp(0, i64::from(SCALE_MAX)) as u8,
                None => number.decimals,
            };
            let carry = u32::from(!cut && scale < number.decimals);
            SqlType::decimal((whole + carry).max(1) + u32::from(scale), scale)
        }
        _ => match digits {
            Some(digits) => SqlType::double_fixed(digits.clamp(0, 31) as u8),
            None => SqlType::double(),
        },
    };
    let ty = ty.with_nullable(any_nullable(&args));
    Ok(bound(ty, args, if cut { truncate } else { round }))
}

fn round(call: &Call<'_>) -> Result<Value> {
    round_or_cut(call, false)
}

fn truncate(call: &Call<'_>) -> Result<Value> {
    round_or_cut(call, true)
}

fn round_or_cut(call: &Call<'_>, cut: bool) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let digits = if call.args.len() > 1 { call.int(1) } else { 0 };
    let near = digits.clamp(-100, 100) as i32;
    Ok(match &call.args[0] {
        Value::Decimal(number) => {
            Value::Decimal(if cut { number.truncate(near) } else { number.round(near) })
        }
        Value::Double(number) if cut => Value::Double(truncate_double(*number, digits)),
        Value::Double(number) => Value::Double(round_double(*number, digits)),
        integer if near >= 0 => integer.clone(),
        integer => {
            let number = integer.as_integer().unwrap_or(0);
            let unit = if near < -38 { i128::MAX } else { 10_i128.pow(near.unsigned_abs()) };
            let rest = number % unit;
            let base = number - rest;
            let up = !cut && rest.abs() >= unit - rest.abs();
            let rounded = if up { base.checked_add(unit * number.signum()) } else { Some(base) };
            crate::expr::arithmetic::fit_integer(rounded, call.ty)
                .ok_or_else(|| out_of_range(call, "BIGINT"))?
        }
    })
}

/// A double rounded to this many fraction digits, halves to even as the machine rounds.
pub(crate) fn round_double(number: f64, digits: i64) -> f64 {
    scaled(number, digits, f64::round_ties_even)
}

fn truncate_double(number: f64, digits: i64) -> f64 {
    scaled(number, digits, f64::trunc)
}

fn scaled(number: f64, digits: i64, cut: fn(f64) -> f64) -> f64 {
    let unit = 10_f64.powi(digits.unsigned_abs().min(400) as i32);
    if digits < 0 {
        return if unit.is_infinite() { 0.0 } else { cut(number / unit) * unit };
    }
    let raised = number * unit;
    if raised.is_finite() { cut(raised) / unit } else { number }
}

/// RAND(): the context's stream. RAND(n): MySQL's own generator, so that a seed gives MySQL's
/// numbers; a constant seed goes on from row to row.
fn rand(call: &Call<'_>) -> Result<Value> {
    if call.args.is_empty() {
        return Ok(Value::Double(call.ctx.rng.lock().unit()));
    }
    let seed = call.int(0) as u64 as u32;
    let fresh = || {
        const LIMIT: u64 = 0x3fff_ffff;
        let first = u64::from(seed.wrapping_mul(0x1_0001).wrapping_add(55_555_555)) % LIMIT;
        let second = u64::from(seed.wrapping_mul(0x1000_0001)) % LIMIT;
        (first, second)
    };
    let constant = matches!(call.exprs[0].kind, ExprKind::Literal(_) | ExprKind::Param(_));
    let mut streams = call.ctx.seeded.lock();
    // The call's arguments are shared by all its clones: their place names the call.
    let place = call.exprs.as_ptr() as usize;
    let state = if constant { *streams.entry(place).or_insert_with(fresh) } else { fresh() };
    let (next, unit) = next_seeded(state);
    if constant {
        streams.insert(place, next);
    }
    Ok(Value::Double(unit))
}

fn next_seeded((first, second): (u64, u64)) -> ((u64, u64), f64) {
    const LIMIT: u64 = 0x3fff_ffff;
    let first = (first * 3 + second) % LIMIT;
    let second = (first + second + 33) % LIMIT;
    ((first, second), first as f64 / LIMIT as f64)
}
