//! GREATEST, LEAST, INTERVAL. (IF, CASE, COALESCE … are lazy and live in `expr::build`.)

use std::cmp::Ordering;

use super::{Bound, Call, Function, any_nullable, bound, pure};
use crate::Result;
use crate::context::EvalContext;
use crate::expr::{Expr, build, compare_values};
use crate::types::{Domain, SqlType};
use crate::value::Value;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("greatest", 2, super::MANY, |args, ctx| {
        extreme(args, ctx, |c| pick(c, Ordering::Greater))
    }),
    pure("least", 2, super::MANY, |args, ctx| extreme(args, ctx, |c| pick(c, Ordering::Less))),
    pure("interval", 2, super::MANY, interval),
];

fn extreme(args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    // Numbers with texts compare as numbers here, unlike in CASE.
    let numbers = args.iter().any(|arg| arg.ty.is_numeric());
    let texts = args.iter().any(|arg| arg.ty.is_string());
    if numbers && texts {
        let args: Vec<Expr> = args.into_iter().map(|arg| build::as_double(arg, ctx)).collect();
        let ty = SqlType::double().with_nullable(any_nullable(&args));
        return Ok(bound(ty, args, eval));
    }
    let (ty, firmness, args) = build::unify(args, "greatest", ctx)?;
    Ok(Bound { coercibility: Some(firmness), ..bound(ty, args, eval) })
}

fn pick(call: &Call<'_>, wanted: Ordering) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let collation = call.ty.collation;
    let mut best = &call.args[0];
    for value in &call.args[1..] {
        if compare_values(value, best, collation) == wanted {
            best = value;
        }
    }
    Ok(best.clone())
}

/// INTERVAL(n, a, b, …): how many of the rising bounds are not above n; −1 for NULL.
fn interval(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let exact = args
        .iter()
        .all(|arg| matches!(build::numeric_domain(&arg.ty), Domain::Integer | Domain::Decimal));
    let args = args
        .into_iter()
        .map(|arg| if exact { build::as_decimal(arg, ctx) } else { build::as_double(arg, ctx) })
        .collect();
    Ok(bound(SqlType::bigint_width(2).not_null(), args, |call| {
        let number = &call.args[0];
        if number.is_null() {
            return Ok(Value::Int(-1));
        }
        let collation = call.ty.collation;
        let below = call.args[1..]
            .iter()
            .take_while(|b| b.is_null() || compare_values(b, number, collation).is_le())
            .count();
        Ok(Value::Int(below as i64))
    }))
}
