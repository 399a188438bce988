//! Types of arithmetic and bit operators, and the dispatch of all operators.

use std::sync::Arc;

use super::cast::number_of_bytes;
use super::{and, as_decimal, as_double, as_integer, call, compare, fold, literal, not, or, xor};
use crate::Result;
use crate::ast::{BinaryOp, UnaryOp};
use crate::context::{EvalContext, SqlMode};
use crate::expr::{ArithmeticOp, CompareOp, Expr, ExprKind};
use crate::types::decimal::{self, Decimal};
use crate::types::{Domain, SqlType};
use crate::value::Value;

/// `left op right`.
pub fn binary(op: BinaryOp, left: Expr, right: Expr, ctx: &EvalContext) -> Result<Expr> {
    let comparison = |op: CompareOp, left, right| compare(op, left, right, ctx);
    let arithmetic = |op: ArithmeticOp, left, right| arithmetic(op, left, right, ctx);
    match op {
        BinaryOp::Or => Ok(or(vec![left, right])),
        BinaryOp::Xor => Ok(xor(left, right, ctx)),
        BinaryOp::And => Ok(and(vec![left, right])),
        BinaryOp::Equal => comparison(CompareOp::Equal, left, right),
        BinaryOp::NullSafeEqual => comparison(CompareOp::NullSafeEqual, left, right),
        BinaryOp::NotEqual => comparison(CompareOp::NotEqual, left, right),
        BinaryOp::Less => comparison(CompareOp::Less, left, right),
        BinaryOp::LessEqual => comparison(CompareOp::LessEqual, left, right),
        BinaryOp::Greater => comparison(CompareOp::Greater, left, right),
        BinaryOp::GreaterEqual => comparison(CompareOp::GreaterEqual, left, right),
        BinaryOp::BitOr => call("|", vec![left, right], ctx),
        BinaryOp::BitAnd => call("&", vec![left, right], ctx),
        BinaryOp::ShiftLeft => call("<<", vec![left, right], ctx),
        BinaryOp::ShiftRight => call(">>", vec![left, right], ctx),
        BinaryOp::BitXor => call("^", vec![left, right], ctx),
        BinaryOp::Add => arithmetic(ArithmeticOp::Add, left, right),
        BinaryOp::Subtract => arithmetic(ArithmeticOp::Subtract, left, right),
        BinaryOp::Multiply => arithmetic(ArithmeticOp::Multiply, left, right),
        BinaryOp::Divide => arithmetic(ArithmeticOp::Divide, left, right),
        BinaryOp::IntegerDivide => arithmetic(ArithmeticOp::IntegerDivide, left, right),
        BinaryOp::Modulo => arithmetic(ArithmeticOp::Modulo, left, right),
    }
}

/// `op operand`.
pub fn unary(op: UnaryOp, operand: Expr, ctx: &EvalContext) -> Result<Expr> {
    match op {
        UnaryOp::Plus => Ok(operand),
        UnaryOp::Not => Ok(not(operand, ctx)),
        UnaryOp::BitNot => call("~", vec![operand], ctx),
        UnaryOp::Minus => {
            // 9223372036854775808 does not fit BIGINT, but its negative does; beyond it is exact, too.
            if let Some(Value::UInt(number)) = operand.as_literal()
                && *number >= 1 << 63
            {
                return Ok(literal(match *number {
                    0x8000_0000_0000_0000 => Value::Int(i64::MIN),
                    number => Value::Decimal(Decimal::from(number).negate()),
                }));
            }
            // The negative of a constant is exact where it does not fit: MySQL computes it as DECIMAL then.
            if let Some(Value::Int(i64::MIN)) = operand.as_literal() {
                return Ok(literal(Value::Decimal(Decimal::from(1_u64 << 63))));
            }
            call("-", vec![operand], ctx)
        }
    }
}

/// The numeric domain an operand is computed in.
pub(crate) fn numeric_domain(ty: &SqlType) -> Domain {
    match ty.domain() {
        Domain::Null | Domain::Integer => Domain::Integer,
        Domain::Decimal => Domain::Decimal,
        Domain::Date => Domain::Integer,
        Domain::Time | Domain::DateTime if ty.decimals == 0 => Domain::Integer,
        Domain::Time | Domain::DateTime => Domain::Decimal,
        Domain::Double | Domain::Text | Domain::Bytes => Domain::Double,
    }
}

fn wider(a: Domain, b: Domain) -> Domain {
    match (a, b) {
        (Domain::Double, _) | (_, Domain::Double) => Domain::Double,
        (Domain::Decimal, _) | (_, Domain::Decimal) => Domain::Decimal,
        _ => Domain::Integer,
    }
}

/// The operand in a numeric domain.
pub(crate) fn in_numeric_domain(expr: Expr, domain: Domain, ctx: &EvalContext) -> Expr {
    match domain {
        Domain::Integer => as_integer(expr, ctx),
        Domain::Decimal => as_decimal(expr, ctx),
        _ => as_double(expr, ctx),
    }
}

fn arithmetic(op: ArithmeticOp, left: Expr, right: Expr, ctx: &EvalContext) -> Result<Expr> {
    let left = number_of_bytes(&left).unwrap_or(left);
    let right = number_of_bytes(&right).unwrap_or(right);
    let mut domain = wider(numeric_domain(&left.ty), numeric_domain(&right.ty));
    match op {
        // 7 / 2 is 3.5000: integers divide as decimals.
        ArithmeticOp::Divide if domain == Domain::Integer => domain = Domain::Decimal,
        // DIV of anything but integers is computed exactly and cut.
        ArithmeticOp::IntegerDivide if domain == Domain::Double => domain = Domain::Decimal,
        _ => {}
    }
    let left = in_numeric_domain(left, domain, ctx);
    let right = in_numeric_domain(right, domain, ctx);
    let ty = result_type(op, domain, &left.ty, &right.ty, ctx);
    let args = Arc::new([left, right]);
    Ok(fold(Expr::new(ty, ExprKind::Arithmetic { op, domain, args }), ctx))
}

/// The type of `a op b`; both are of `domain`.
fn result_type(
    op: ArithmeticOp,
    domain: Domain,
    a: &SqlType,
    b: &SqlType,
    ctx: &EvalContext,
) -> SqlType {
    use ArithmeticOp::*;
    let divides = matches!(op, Divide | IntegerDivide | Modulo);
    let nullable = a.nullable || b.nullable || divides;
    let keeps_sign = ctx.sql_mode.contains(SqlMode::NO_UNSIGNED_SUBTRACTION) && op == Subtract;
    let unsigned = match op {
        Modulo => a.unsigned,
        _ => (a.unsigned || b.unsigned) && !keeps_sign,
    };
    let signed_as = |ty: SqlType| if unsigned { ty.unsigned() } else { ty };
    let ty = match domain {
        Domain::Integer => {
            let width = match op {
                Add | Subtract => a.length.max(b.length) + 1,
                Multiply => a.length + b.length,
                Modulo => a.length.max(b.length),
                Divide | IntegerDivide => a.length,
            };
            signed_as(SqlType::bigint_width(width.clamp(1, 20)))
        }
        Domain::Decimal => {
            let (p1, p2) = (a.length, b.length);
            let (s1, s2) = (u32::from(a.decimals), u32::from(b.decimals));
            let (w1, w2) = (p1 - s1.min(p1), p2 - s2.min(p2));
            let max_scale = u32::from(decimal::SCALE_MAX);
            match op {
                Add | Subtract => {
                    let scale = s1.max(s2);
                    SqlType::decimal(w1.max(w2) + 1 + scale, scale as u8)
                }
                Multiply => {
                    let scale = (s1 + s2).min(max_scale);
                    SqlType::decimal(w1 + w2 + scale, scale as u8)
                }
                Divide => {
                    let increment = u32::from(ctx.div_precision_increment);
                    let scale = (s1 + increment).min(max_scale);
                    SqlType::decimal(w1 + s2 + scale, scale as u8)
                }
                Modulo => {
                    let scale = s1.max(s2);
                    SqlType::decimal(w1.max(w2) + scale, scale as u8)
                }
                IntegerDivide => signed_as(SqlType::bigint_width((w1 + s2).clamp(1, 20))),
            }
        }
        _ => SqlType::double(),
    };
    ty.with_nullable(nullable)
}
