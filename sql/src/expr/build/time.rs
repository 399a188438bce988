//! Intervals, parts of dates, and TIMESTAMP columns.
//!
//! Units travel as integer literals: the position in `ast::IntervalUnit::ALL`.

use super::{as_integer, as_string, call, literal};
use crate::Result;
use crate::ast::IntervalUnit;
use crate::context::EvalContext;
use crate::expr::{Expr, ExprKind};
use crate::types::TypeKind;
use crate::value::Value;

/// A unit as a literal operand.
fn unit_literal(unit: IntervalUnit) -> Expr {
    let position = IntervalUnit::ALL.iter().position(|(known, _)| *known == unit).unwrap_or(0);
    literal(Value::Int(position as i64))
}

/// `operand ± INTERVAL amount unit`, DATE_ADD, DATE_SUB, ADDDATE, TIMESTAMPADD.
pub fn date_arithmetic(
    subtract: bool,
    operand: Expr,
    amount: Expr,
    unit: IntervalUnit,
    ctx: &EvalContext,
) -> Result<Expr> {
    use IntervalUnit::*;
    let amount = match unit {
        // Whole numbers, rounded.
        Microsecond | Minute | Hour | Day | Week | Month | Quarter | Year => {
            as_integer(amount, ctx)
        }
        // Seconds keep their fraction.
        Second if amount.ty.is_integer() || amount.ty.kind == TypeKind::Decimal => amount,
        Second => super::as_decimal(amount, ctx),
        // '1:30': compound units are read from text.
        _ => as_string(amount, ctx),
    };
    let name = if subtract { "- interval" } else { "+ interval" };
    call(name, vec![operand, amount, unit_literal(unit)], ctx)
}

/// `EXTRACT(unit FROM operand)`.
pub fn extract(unit: IntervalUnit, operand: Expr, ctx: &EvalContext) -> Result<Expr> {
    call("extract", vec![operand, unit_literal(unit)], ctx)
}

/// `TIMESTAMPDIFF(unit, from, to)`.
pub fn timestamp_diff(unit: IntervalUnit, from: Expr, to: Expr, ctx: &EvalContext) -> Result<Expr> {
    call("timestampdiff", vec![from, to, unit_literal(unit)], ctx)
}

const FROM_UTC: &str = "from utc";
const TO_UTC: &str = "to utc";

/// A stored TIMESTAMP (UTC) in the session's time zone: what reading such a column yields.
pub fn from_utc(stored: Expr) -> Result<Expr> {
    stamp(FROM_UTC, stored)
}

/// The inverse of [`from_utc`], for looking values up in an index of a TIMESTAMP column: NULL when
/// the moment is none that a TIMESTAMP can hold.
pub fn to_utc(local: Expr) -> Result<Expr> {
    stamp(TO_UTC, local)
}

fn stamp(name: &'static str, arg: Expr) -> Result<Expr> {
    let function = crate::function::find(name)
        .ok_or_else(|| crate::Error::internal(format!("no function {name}")))?;
    let eval = if name == FROM_UTC {
        crate::function::date::from_utc
    } else {
        crate::function::date::to_utc
    };
    let ty = arg.ty.with_nullable(arg.ty.nullable || name == TO_UTC);
    let (column, firmness) = (arg.name.clone(), arg.coercibility);
    let kind = ExprKind::Call { function, eval, args: [arg].into() };
    Ok(Expr { ty, kind, coercibility: firmness, name: column })
}

/// Whether this is a TIMESTAMP column as [`from_utc`] wraps it.
pub fn is_from_utc(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call { function, .. } if function.name == FROM_UTC)
}
