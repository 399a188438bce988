//! Bit operators and the unary minus. Their names are no identifiers, so no call can name them.

use super::{Bound, Call, Function, bound, pure};
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::{Domain, SqlType};
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("&", 2, 2, |args, ctx| bits(args, ctx, |c| two(c, |a, b| a & b))),
    pure("|", 2, 2, |args, ctx| bits(args, ctx, |c| two(c, |a, b| a | b))),
    pure("^", 2, 2, |args, ctx| bits(args, ctx, |c| two(c, |a, b| a ^ b))),
    pure("<<", 2, 2, |args, ctx| {
        bits(args, ctx, |c| two(c, |a, b| if b < 64 { a << b } else { 0 }))
    }),
    pure(">>", 2, 2, |args, ctx| {
        bits(args, ctx, |c| two(c, |a, b| if b < 64 { a >> b } else { 0 }))
    }),
    pure("~", 1, 1, |args, ctx| {
        bits(args, ctx, |c| Ok(if c.any_null() { Value::Null } else { Value::UInt(!c.bits(0)) }))
    }),
    pure("bit_count", 1, 1, |args, ctx| {
        let args = integers(args, ctx);
        let ty = SqlType::bigint_width(2).with_nullable(super::any_nullable(&args));
        Ok(bound(ty, args, |c| {
            let count = Value::Int(i64::from(c.bits(0).count_ones()));
            Ok(if c.any_null() { Value::Null } else { count })
        }))
    }),
    pure("-", 1, 1, negate),
];

/// Arguments as 64 bits; hexadecimal and bit literals are numbers here.
fn integers(args: Vec<Expr>, ctx: &EvalContext) -> Vec<Expr> {
    args.into_iter()
        .map(|arg| build::number_of_bytes(&arg).unwrap_or(arg))
        .map(|arg| build::as_integer(arg, ctx))
        .collect()
}

fn bits(args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let args = integers(args, ctx);
    let ty = SqlType::bigint().unsigned().with_nullable(super::any_nullable(&args));
    Ok(bound(ty, args, eval))
}

fn two(call: &Call<'_>, f: impl Fn(u64, u64) -> u64) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    Ok(Value::UInt(f(call.bits(0), call.bits(1))))
}

fn negate(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = args.swap_remove(0);
    let arg = build::number_of_bytes(&arg).unwrap_or(arg);
    let domain = build::numeric_domain(&arg.ty);
    let arg = build::in_numeric_domain(arg, domain, ctx);
    let ty = match domain {
        Domain::Integer => SqlType::bigint_width((arg.ty.length + 1).clamp(1, 20)),
        Domain::Decimal => SqlType { unsigned: false, ..arg.ty },
        _ => SqlType { unsigned: false, ..arg.ty },
    };
    Ok(bound(ty.with_nullable(arg.ty.nullable), vec![arg], |call| {
        let out_of_range =
            |kind: &str| Error::value_out_of_range(kind, format!("-({})", call.exprs[0]));
        Ok(match &call.args[0] {
            Value::Int(number) => {
                Value::Int(number.checked_neg().ok_or_else(|| out_of_range("BIGINT"))?)
            }
            Value::UInt(number) => {
                let negative = i64::try_from(-i128::from(*number));
                Value::Int(negative.map_err(|_| out_of_range("BIGINT"))?)
            }
            Value::Decimal(number) => Value::Decimal(number.negate()),
            Value::Double(number) => Value::Double(-number),
            _ => Value::Null,
        })
    }))
}
