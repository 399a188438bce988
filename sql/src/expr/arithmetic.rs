//! `+ - * / DIV %` on one numeric domain, with MySQL's overflow errors.
//!
//! BIGINT results outside 64 bits are error 1690; one unsigned operand makes the result unsigned.
//! `/` never works on integers: the binder casts them to DECIMAL. Division by zero is NULL, with a
//! warning or an error as sql_mode says.

use crate::context::EvalContext;
use crate::expr::Expr;
use crate::types::{Domain, SqlType};
use crate::value::Value;
use crate::{Error, Result};

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// DIV
    IntegerDivide,
    /// `%`, MOD
    Modulo,
}

impl ArithmeticOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            ArithmeticOp::Add => "+",
            ArithmeticOp::Subtract => "-",
            ArithmeticOp::Multiply => "*",
            ArithmeticOp::Divide => "/",
            ArithmeticOp::IntegerDivide => "DIV",
            ArithmeticOp::Modulo => "%",
        }
    }
}

/// 1690 for `expr`.
pub fn out_of_range(expr: &Expr) -> Error {
    let kind = match expr.ty.domain() {
        Domain::Integer if expr.ty.unsigned => "BIGINT UNSIGNED",
        Domain::Integer => "BIGINT",
        Domain::Decimal => "DECIMAL",
        _ => "DOUBLE",
    };
    Error::value_out_of_range(kind, expr)
}

/// An integer result within the type's 64 bits.
pub fn fit_integer(number: Option<i128>, ty: &SqlType) -> Option<Value> {
    let number = number?;
    if ty.unsigned {
        u64::try_from(number).ok().map(Value::UInt)
    } else {
        i64::try_from(number).ok().map(Value::Int)
    }
}

/// Computes `a op b`; both are of `domain` or NULL. `expr` is the whole expression, for its type and
/// for error texts.
pub fn apply(
    op: ArithmeticOp,
    domain: Domain,
    a: &Value,
    b: &Value,
    expr: &Expr,
    ctx: &EvalContext,
) -> Result<Value> {
    if a.is_null() || b.is_null() {
        return Ok(Value::Null);
    }
    match domain {
        Domain::Integer => integers(op, a, b, expr, ctx),
        Domain::Decimal => decimals(op, a, b, expr, ctx),
        _ => doubles(op, a, b, expr, ctx),
    }
}

fn integers(
    op: ArithmeticOp,
    a: &Value,
    b: &Value,
    expr: &Expr,
    ctx: &EvalContext,
) -> Result<Value> {
    let (x, y) = (a.as_integer().unwrap_or(0), b.as_integer().unwrap_or(0));
    let result = match op {
        ArithmeticOp::Add => Some(x + y),
        ArithmeticOp::Subtract => Some(x - y),
        ArithmeticOp::Multiply => x.checked_mul(y),
        ArithmeticOp::Divide | ArithmeticOp::IntegerDivide | ArithmeticOp::Modulo if y == 0 => {
            ctx.division_by_zero()?;
            return Ok(Value::Null);
        }
        ArithmeticOp::Divide | ArithmeticOp::IntegerDivide => Some(x / y),
        ArithmeticOp::Modulo => Some(x % y),
    };
    fit_integer(result, &expr.ty).ok_or_else(|| out_of_range(expr))
}

fn decimals(
    op: ArithmeticOp,
    a: &Value,
    b: &Value,
    expr: &Expr,
    ctx: &EvalContext,
) -> Result<Value> {
    let (Value::Decimal(a), Value::Decimal(b)) = (a, b) else {
        return Err(Error::internal(format!("{a:?} {} {b:?} as decimals", op.symbol())));
    };
    let divides =
        matches!(op, ArithmeticOp::Divide | ArithmeticOp::IntegerDivide | ArithmeticOp::Modulo);
    if divides && b.is_zero() {
        ctx.division_by_zero()?;
        return Ok(Value::Null);
    }
    if op == ArithmeticOp::IntegerDivide {
        return fit_integer(a.divide_integer(b), &expr.ty).ok_or_else(|| out_of_range(expr));
    }
    let result = match op {
        ArithmeticOp::Add => a.add(b),
        ArithmeticOp::Subtract => a.subtract(b),
        ArithmeticOp::Multiply => a.multiply(b),
        ArithmeticOp::Divide => a.divide(b, ctx.div_precision_increment),
        _ => a.remainder(b),
    };
    result.map(Value::Decimal).ok_or_else(|| out_of_range(expr))
}

fn doubles(
    op: ArithmeticOp,
    a: &Value,
    b: &Value,
    expr: &Expr,
    ctx: &EvalContext,
) -> Result<Value> {
    let (Value::Double(a), Value::Double(b)) = (a, b) else {
        return Err(Error::internal(format!("{a:?} {} {b:?} as doubles", op.symbol())));
    };
    let result = match op {
        ArithmeticOp::Add => a + b,
        ArithmeticOp::Subtract => a - b,
        ArithmeticOp::Multiply => a * b,
        _ if *b == 0.0 => {
            ctx.division_by_zero()?;
            return Ok(Value::Null);
        }
        ArithmeticOp::Modulo => a % b,
        ArithmeticOp::Divide | ArithmeticOp::IntegerDivide => a / b,
    };
    if result.is_finite() { Ok(Value::Double(result)) } else { Err(out_of_range(expr)) }
}
