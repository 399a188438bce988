//! How two operands of any types meet in a comparison.
//!
//! A constant bends to a column, never the other way round, wherever that changes no answer: then the
//! column stays bare and an index on it can be used. So `id = '5'`, `id = 5.0` and
//! `day = '2020-01-31'` compare in the column's own domain.

use std::sync::Arc;

use super::{
    aggregate_collation, and, as_decimal, as_double, as_integer, as_numbers, as_string, cast_in,
    escape_character, fold, is_null_literal, literal, literal_typed, not, or,
};
use crate::ast;
use crate::collation::CollationId;
use crate::context::{EvalContext, SqlMode};
use crate::expr::compare::common_domain;
use crate::expr::{CastMode, CompareOp, Expr, ExprKind, ValueSet};
use crate::function::json_document::as_document;
use crate::types::datetime::parse;
use crate::types::decimal::Decimal;
use crate::types::{Domain, SqlType, TypeKind, convert};
use crate::value::Value;
use crate::{Error, Result};

/// IN lists of this many constants or more are looked up in a set.
const SET_MEMBERS_MIN: usize = 5;

/// `left op right`.
pub fn compare(op: CompareOp, left: Expr, right: Expr, ctx: &EvalContext) -> Result<Expr> {
    let (left, right) = as_numbers(Some(op), left, right);
    let (left, right, domain) = meet(left, right, op.symbol(), ctx)?;
    let nullable = op != CompareOp::NullSafeEqual && (left.ty.nullable || right.ty.nullable);
    let ty = SqlType::boolean().with_nullable(nullable);
    Ok(fold(Expr::new(ty, ExprKind::Compare { op, domain, args: Arc::new([left, right]) }), ctx))
}

/// Both operands in one domain.
fn meet(
    left: Expr,
    right: Expr,
    operation: &str,
    ctx: &EvalContext,
) -> Result<(Expr, Expr, Domain)> {
    let (left, right) = as_numbers(None, left, right);
    if left.ty.kind == TypeKind::Json || right.ty.kind == TypeKind::Json {
        // A document is compared with documents: anything else becomes one.
        let (left, right) = (as_document(left, ctx)?, as_document(right, ctx)?);
        return Ok((left, right, Domain::Text));
    }
    let (left, right) = (bend(left, &right, ctx)?, right);
    let right = bend(right, &left, ctx)?;
    let mut domain = common_domain(&left.ty, &right.ty);
    if left.ty.is_string() && right.ty.is_string() {
        let (collation, _) = aggregate_collation(&[&left, &right], operation, ctx)?;
        domain = if collation == CollationId::BINARY { Domain::Bytes } else { Domain::Text };
        let left = in_collation(left, collation, ctx);
        let right = in_collation(right, collation, ctx);
        return Ok((left, right, domain));
    }
    let days_only = left.ty.kind == TypeKind::Date || right.ty.kind == TypeKind::Date;
    let kind = if days_only { "DATE" } else { "DATETIME" };
    let left = in_domain(left, domain, kind, ctx)?;
    let right = in_domain(right, domain, kind, ctx)?;
    Ok((left, right, domain))
}

/// A string under a collation; text and bytes convert to each other.
pub(crate) fn in_collation(expr: Expr, collation: CollationId, ctx: &EvalContext) -> Expr {
    if expr.ty.collation == collation || is_null_literal(&expr) {
        return expr;
    }
    let firmness = expr.coercibility;
    let widens = expr.ty.is_text() && collation == CollationId::BINARY;
    let factor = if widens { expr.ty.collation.bytes_per_char() } else { 1 };
    let kind = match expr.ty.kind {
        TypeKind::Geometry | TypeKind::Json => TypeKind::LongText,
        kind if expr.ty.is_blob() => kind,
        _ => TypeKind::Varchar,
    };
    let length = expr.ty.length.saturating_mul(factor);
    let ty = SqlType { kind, length, collation, ..expr.ty };
    cast_in(expr, ty, CastMode::Convert, ctx).with_coercibility(firmness)
}

/// The operand in the domain that the comparison works in; `kind` names it in errors about dates.
fn in_domain(expr: Expr, domain: Domain, kind: &str, ctx: &EvalContext) -> Result<Expr> {
    if is_null_literal(&expr) || expr.ty.domain() == domain {
        return Ok(expr);
    }
    let to_temporal = |expr: Expr, ty: SqlType| -> Result<Expr> {
        let mode = CastMode::Compare;
        if !matches!(expr.kind, ExprKind::Literal(_)) {
            // Only a constant is an error; a row's bad text is NULL with a warning.
            return Ok(cast_in(expr, ty, CastMode::Convert, ctx));
        }
        let cast = cast_in(expr, ty, mode, ctx);
        if let ExprKind::Cast { arg, .. } = &cast.kind
            && let Some(value) = arg.as_literal()
        {
            // It did not fold: it is no date, or something stands behind it.
            convert::to_datetime(value, mode, kind, ctx)?;
        }
        Ok(cast)
    };
    let fraction = |expr: &Expr| if expr.ty.is_temporal() { expr.ty.decimals } else { 6 };
    match domain {
        Domain::Null => Ok(expr),
        Domain::Integer => Ok(as_integer(expr, ctx)),
        Domain::Decimal => Ok(as_decimal(expr, ctx)),
        Domain::Double => Ok(as_double(expr, ctx)),
        Domain::Text | Domain::Bytes => Ok(as_string(expr, ctx)),
        Domain::Date => to_temporal(expr, SqlType::date()),
        Domain::DateTime => {
            let ty = SqlType::datetime(fraction(&expr));
            to_temporal(expr, ty)
        }
        Domain::Time => {
            let ty = SqlType::time(fraction(&expr));
            Ok(cast_in(expr, ty, CastMode::Convert, ctx))
        }
    }
}

/// A literal made one of the other side's domain, when the comparison then gives the same answer.
fn bend(constant: Expr, other: &Expr, ctx: &EvalContext) -> Result<Expr> {
    let Some(value) = constant.as_literal() else { return Ok(constant) };
    if matches!(other.kind, ExprKind::Literal(_)) || value.is_null() {
        return Ok(constant);
    }
    let exact_number = match value {
        Value::Int(number) => Some(Decimal::from(*number)),
        Value::UInt(number) => Some(Decimal::from(*number)),
        Value::Decimal(number) => Some(*number),
        Value::Text(text) if other.ty.is_numeric() && !other.ty.is_floating() => {
            Decimal::from_text(text.trim_ascii_end())
        }
        Value::Bytes(bytes) if other.ty.is_numeric() && bytes.len() <= 8 => {
            let number = bytes.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
            Some(Decimal::from(number))
        }
        _ => None,
    };
    let bent = match other.ty.domain() {
        Domain::Integer => exact_number.map(|number| {
            let whole = number.truncate(0) == number;
            match number.to_integer() {
                Some(n) if whole && i64::try_from(n).is_ok() => Value::Int(n as i64),
                Some(n) if whole && u64::try_from(n).is_ok() => Value::UInt(n as u64),
                _ => Value::Decimal(number),
            }
        }),
        Domain::Decimal => exact_number.map(Value::Decimal),
        Domain::Double => exact_number.map(|number| Value::Double(number.to_f64())),
        Domain::Date => match value {
            Value::Text(text) => {
                let mode = compare_mode(ctx);
                parse::datetime(text, mode)
                    .filter(|parsed| !parsed.cut && parsed.moment.micros_of_day() == 0)
                    .map(|parsed| Value::Date(parsed.moment.date()))
            }
            Value::DateTime(moment) if moment.micros_of_day() == 0 => {
                Some(Value::Date(moment.date()))
            }
            _ => number_date(value, ctx).map(|moment| match moment {
                Value::DateTime(m) if m.micros_of_day() == 0 => Value::Date(m.date()),
                other => other,
            }),
        },
        Domain::DateTime => match value {
            Value::Date(date) => Some(Value::DateTime(date.midnight())),
            _ => number_date(value, ctx),
        },
        _ => None,
    };
    Ok(match bent {
        Some(value) => literal(value),
        None => constant,
    })
}

/// Zero dates may be asked for whatever sql_mode says.
fn compare_mode(ctx: &EvalContext) -> SqlMode {
    SqlMode(ctx.sql_mode.0 & !(SqlMode::NO_ZERO_DATE.0 | SqlMode::NO_ZERO_IN_DATE.0))
}

/// A number such as 20200131 that is compared with a date.
fn number_date(value: &Value, ctx: &EvalContext) -> Option<Value> {
    let number = match value {
        Value::Int(number) => *number,
        Value::UInt(number) => i64::try_from(*number).ok()?,
        _ => return None,
    };
    parse::datetime_of_number(number, compare_mode(ctx)).map(Value::DateTime)
}

/// `operand [NOT] BETWEEN low AND high`.
pub fn between(
    negated: bool,
    operand: Expr,
    low: Expr,
    high: Expr,
    ctx: &EvalContext,
) -> Result<Expr> {
    let above = compare(CompareOp::GreaterEqual, operand.clone(), low, ctx)?;
    let below = compare(CompareOp::LessEqual, operand, high, ctx)?;
    let inside = fold(and(vec![above, below]), ctx);
    Ok(if negated { not(inside, ctx) } else { inside })
}

/// `operand [NOT] IN (list)`.
pub fn in_list(negated: bool, operand: Expr, list: Vec<Expr>, ctx: &EvalContext) -> Result<Expr> {
    let mut met = Vec::with_capacity(list.len());
    for member in &list {
        met.push(meet(operand.clone(), member.clone(), "IN", ctx)?);
    }
    let Some((first, _, domain)) = met.iter().find(|(_, member, _)| !is_null_literal(member))
    else {
        // Only NULLs: never found.
        let nothing = literal_typed(Value::Null, SqlType::boolean());
        return Ok(if list.is_empty() {
            literal_typed(Value::boolean(negated), SqlType::boolean())
        } else {
            nothing
        });
    };
    // A decimal's scale is no part of its value; any other difference is another comparison.
    let alike = |a: &Expr, b: &Expr| {
        a.ty.domain() == b.ty.domain()
            && a.ty.collation == b.ty.collation
            && std::mem::discriminant(&a.kind) == std::mem::discriminant(&b.kind)
    };
    let uniform = met
        .iter()
        .all(|(arg, member, d)| is_null_literal(member) || (d == domain && alike(arg, first)));
    if !uniform {
        let mut parts = Vec::with_capacity(list.len());
        for member in list {
            parts.push(compare(CompareOp::Equal, operand.clone(), member, ctx)?);
        }
        let found = fold(or(parts), ctx);
        return Ok(if negated { not(found, ctx) } else { found });
    }
    let arg = first.clone();
    let members: Vec<Expr> = met.into_iter().map(|(_, member, _)| member).collect();
    let constant = members.iter().all(|member| member.as_literal().is_some());
    let set = (constant && members.len() >= SET_MEMBERS_MIN).then(|| {
        let values = members.iter().filter_map(|member| member.as_literal().cloned());
        Arc::new(ValueSet::new(arg.ty, values))
    });
    let nullable = arg.ty.nullable || members.iter().any(|member| member.ty.nullable);
    let ty = SqlType::boolean().with_nullable(nullable);
    let kind = ExprKind::InList { arg: Arc::new(arg), list: members.into(), set, negated };
    Ok(fold(Expr::new(ty, kind), ctx))
}

/// `operand [NOT] IN` a set of values of type `ty`, as a subquery gave them.
pub fn in_set(
    negated: bool,
    operand: Expr,
    values: Vec<Value>,
    ty: SqlType,
    ctx: &EvalContext,
) -> Result<Expr> {
    // The members' type decides like an expression's: meet an unknown member of it.
    let unknown = Expr::new(ty, ExprKind::Column(usize::MAX));
    let (arg, member, _) = meet(operand, unknown, "IN", ctx)?;
    let mut members = Vec::with_capacity(values.len());
    let row = vec![];
    for value in values {
        let one = member.substitute(&|_| Some(literal_typed(value.clone(), ty)));
        members.push(one.eval(&row, ctx)?);
    }
    let empty = members.is_empty();
    let set = Arc::new(ValueSet::new(member.ty, members));
    let nullable = !empty && (arg.ty.nullable || set.has_null());
    let ty = SqlType::boolean().with_nullable(nullable);
    let kind = ExprKind::InList { arg: Arc::new(arg), list: Arc::new([]), set: Some(set), negated };
    Ok(Expr::new(ty, kind))
}

/// `(a, b) op (c, d)`; 1241 when the widths differ.
pub fn row_compare(
    op: CompareOp,
    left: Vec<Expr>,
    right: Vec<Expr>,
    ctx: &EvalContext,
) -> Result<Expr> {
    if left.len() != right.len() || left.is_empty() {
        return Err(Error::operand_columns(left.len()));
    }
    let pairs: Vec<(Expr, Expr)> = left.into_iter().zip(right).collect();
    let all = |op: CompareOp| -> Result<Vec<Expr>> {
        pairs.iter().map(|(l, r)| compare(op, l.clone(), r.clone(), ctx)).collect()
    };
    match op {
        CompareOp::Equal | CompareOp::NullSafeEqual => Ok(fold(and(all(op)?), ctx)),
        CompareOp::NotEqual => Ok(fold(or(all(op)?), ctx)),
        _ => {
            // (a, b) < (c, d) is a < c OR (a = c AND b < d).
            let strict = match op {
                CompareOp::LessEqual => CompareOp::Less,
                CompareOp::GreaterEqual => CompareOp::Greater,
                other => other,
            };
            let mut result: Option<Expr> = None;
            for (index, (l, r)) in pairs.iter().enumerate().rev() {
                let last = index + 1 == pairs.len();
                let own = if last { op } else { strict };
                let decides = compare(own, l.clone(), r.clone(), ctx)?;
                result = Some(match result {
                    None => decides,
                    Some(rest) => {
                        let equal = compare(CompareOp::Equal, l.clone(), r.clone(), ctx)?;
                        fold(or(vec![decides, fold(and(vec![equal, rest]), ctx)]), ctx)
                    }
                });
            }
            result.ok_or_else(|| Error::operand_columns(1))
        }
    }
}

/// `(a, b) [NOT] IN ((c, d), …)`.
pub fn row_in_list(
    negated: bool,
    operand: Vec<Expr>,
    list: Vec<Vec<Expr>>,
    ctx: &EvalContext,
) -> Result<Expr> {
    let mut parts = Vec::with_capacity(list.len());
    for member in list {
        parts.push(row_compare(CompareOp::Equal, operand.clone(), member, ctx)?);
    }
    let found = fold(or(parts), ctx);
    Ok(if negated { not(found, ctx) } else { found })
}

/// `operand IS [NOT] NULL | TRUE | FALSE | UNKNOWN`.
pub fn is(negated: bool, operand: Expr, test: ast::IsTest, ctx: &EvalContext) -> Expr {
    let arg = Arc::new(operand);
    let kind = match test {
        ast::IsTest::Null | ast::IsTest::Unknown => ExprKind::IsNull { arg, negated },
        ast::IsTest::True => ExprKind::IsTruth { arg, expected: true, negated },
        ast::IsTest::False => ExprKind::IsTruth { arg, expected: false, negated },
    };
    fold(Expr::new(SqlType::boolean().not_null(), kind), ctx)
}

/// `operand [NOT] LIKE pattern [ESCAPE escape]`.
pub fn like(
    negated: bool,
    operand: Expr,
    pattern: Expr,
    escape: Option<Expr>,
    ctx: &EvalContext,
) -> Result<Expr> {
    let escape = escape_character(escape, ctx)?;
    let (arg, pattern) = (as_string(operand, ctx), as_string(pattern, ctx));
    let (collation, _) = aggregate_collation(&[&arg, &pattern], "like", ctx)?;
    let arg = in_collation(arg, collation, ctx);
    let pattern = in_collation(pattern, collation, ctx);
    let ty = SqlType::boolean().with_nullable(arg.ty.nullable || pattern.ty.nullable);
    let kind = ExprKind::Like { arg: Arc::new(arg), pattern: Arc::new(pattern), escape };
    let like = fold(Expr::new(ty, kind), ctx);
    Ok(if negated { not(like, ctx) } else { like })
}

/// `operand [NOT] REGEXP pattern`.
pub fn regexp(negated: bool, operand: Expr, pattern: Expr, ctx: &EvalContext) -> Result<Expr> {
    let found = super::call("regexp_like", vec![operand, pattern], ctx)?;
    Ok(if negated { not(found, ctx) } else { found })
}
