//! Casts: implicit ones to the type an operand is needed in, and those of CAST and CONVERT.

use std::sync::Arc;

use super::{fold, text_collation};
use crate::ast::CastType;
use crate::collation::{self, CollationId};
use crate::context::EvalContext;
use crate::expr::{CastMode, Expr, ExprKind, coercibility};
use crate::function::json_document::{self, as_scalar};
use crate::function::members::MEMBER_TEXT;
use crate::function::narrow;
use crate::types::{DECIMALS_NOT_FIXED, Domain, SqlType, TypeKind, decimal};
use crate::value::Value;
use crate::{Error, Result};

/// A conversion that stays in the tree.
pub(super) fn wrap(expr: Expr, ty: SqlType, mode: CastMode) -> Expr {
    let firmness = if !ty.is_string() {
        coercibility::NUMERIC
    } else if expr.ty.is_string() {
        expr.coercibility
    } else {
        coercibility::COERCIBLE
    };
    // Conversions may fail and give NULL.
    let may_be_null = ty.is_temporal() || (ty.is_text() && expr.ty.is_bytes());
    let nullable = expr.ty.nullable || may_be_null;
    Expr::new(ty.with_nullable(nullable), ExprKind::Cast { arg: Arc::new(expr), mode })
        .with_coercibility(firmness)
}

/// The same values under another type of the same variant.
pub(super) fn relabel(expr: Expr, ty: SqlType) -> Expr {
    let ty = ty.with_nullable(expr.ty.nullable);
    match expr.kind {
        ExprKind::Cast { .. }
        | ExprKind::Param(_)
        | ExprKind::SystemVariable { .. }
        | ExprKind::UserVariable { .. }
        | ExprKind::AssignUserVariable { .. } => wrap(expr, ty, CastMode::Convert),
        // Under another collation it is no more the column whose number counts.
        ExprKind::Call { function, .. } if function.name == MEMBER_TEXT => {
            wrap(expr, ty, CastMode::Convert)
        }
        _ => Expr { ty, ..expr },
    }
}

/// Whether values of `from` are values of `to` as they are.
fn is_free(from: &SqlType, to: &SqlType) -> bool {
    if from.domain() != to.domain() {
        return false;
    }
    match to.domain() {
        Domain::Integer => {
            let ((low, high), (min, max)) = (from.integer_range(), to.integer_range());
            from.unsigned == to.unsigned && min <= low && high <= max
        }
        Domain::Decimal => {
            let whole = |ty: &SqlType| ty.length - u32::from(ty.decimals).min(ty.length);
            from.decimals == to.decimals && whole(from) <= whole(to)
        }
        Domain::Double => to.kind == TypeKind::Double || from.kind == TypeKind::Float,
        Domain::Text => from.length <= to.length,
        Domain::Bytes => from.length <= to.length && to.kind != TypeKind::Char,
        Domain::Time | Domain::DateTime => from.decimals <= to.decimals,
        Domain::Date | Domain::Null => true,
    }
}

/// The expression as a value of type `ty`: itself when its values are that already.
pub fn cast(expr: Expr, ty: SqlType) -> Expr {
    if expr.ty.with_nullable(true) == ty.with_nullable(true) {
        return expr;
    }
    if let ExprKind::Literal(Value::Null) = expr.kind {
        return Expr::new(ty.with_nullable(true), ExprKind::Literal(Value::Null))
            .with_coercibility(coercibility::IGNORABLE);
    }
    if is_free(&expr.ty, &ty) {
        let firmness = expr.coercibility;
        return relabel(expr, ty).with_coercibility(firmness);
    }
    wrap(expr, ty, CastMode::Convert)
}

/// The same with a mode, folded when it is a literal.
pub(crate) fn cast_in(expr: Expr, ty: SqlType, mode: CastMode, ctx: &EvalContext) -> Expr {
    let cast = cast(expr, ty);
    match cast.kind {
        ExprKind::Cast { arg, mode: CastMode::Convert } if cast.ty.is_temporal() => {
            let kind = ExprKind::Cast { arg, mode };
            fold(Expr { kind, ..cast }, ctx)
        }
        _ => fold(cast, ctx),
    }
}

/// As a 64-bit integer of either sign; integers stay as they are. Here and in the other numeric casts
/// a hexadecimal or bit literal is the number it spells.
pub fn as_integer(expr: Expr, ctx: &EvalContext) -> Expr {
    let expr = as_scalar(number_of_bytes(&expr).unwrap_or(expr), ctx);
    if expr.ty.is_integer() {
        return expr;
    }
    cast_in(expr, SqlType::bigint(), CastMode::Convert, ctx)
}

/// As a decimal that holds all digits of integers and decimals.
pub fn as_decimal(expr: Expr, ctx: &EvalContext) -> Expr {
    let expr = as_scalar(number_of_bytes(&expr).unwrap_or(expr), ctx);
    if expr.ty.kind == TypeKind::Decimal {
        return expr;
    }
    let ty = if expr.ty.is_integer() || expr.ty.is_temporal() {
        SqlType::decimal(expr.ty.precision(), expr.ty.scale())
    } else {
        SqlType::decimal(u32::from(decimal::PRECISION_MAX), decimal::SCALE_MAX)
    };
    cast_in(expr, ty, CastMode::Convert, ctx)
}

/// As a double; FLOAT stays as it is.
pub fn as_double(expr: Expr, ctx: &EvalContext) -> Expr {
    let expr = as_scalar(number_of_bytes(&expr).unwrap_or(expr), ctx);
    if expr.ty.is_floating() {
        return expr;
    }
    cast_in(expr, SqlType::double(), CastMode::Convert, ctx)
}

/// As text (byte strings stay as they are): numbers and dates in the connection's collation.
pub fn as_string(expr: Expr, ctx: &EvalContext) -> Expr {
    if expr.ty.is_string() {
        return expr;
    }
    let length = match expr.ty.kind {
        TypeKind::Double | TypeKind::Float if expr.ty.decimals >= DECIMALS_NOT_FIXED => 23,
        _ => expr.ty.display_length().max(1),
    };
    let ty = SqlType::sized_string(length, text_collation(ctx), false);
    cast_in(expr, ty, CastMode::Convert, ctx)
}

/// CAST(expr AS to).
pub fn cast_as(expr: Expr, to: &CastType, ctx: &EvalContext) -> Result<Expr> {
    let fraction = |decimals: u8| {
        if decimals > 6 { Err(Error::too_big_precision(decimals, "CAST", 6)) } else { Ok(decimals) }
    };
    let ty = match to {
        CastType::Signed => SqlType::bigint(),
        CastType::Unsigned => SqlType::bigint().unsigned(),
        CastType::Char { length, charset } => {
            let collation = match charset {
                None if expr.ty.is_text() => expr.ty.collation.of_text(),
                None => text_collation(ctx),
                Some(name) => cast_charset(name)?,
            };
            let ty = string_type(&expr, *length, collation, ctx);
            if let Some(name) = charset.as_deref().and_then(narrow::name_of) {
                let text = wrap(as_string(expr, ctx), ty, CastMode::Convert);
                return Ok(fold(super::call(name, vec![text], ctx)?, ctx));
            }
            ty
        }
        CastType::Binary { length } => {
            if let Some(length) = length {
                // BINARY(n) is padded to its length.
                SqlType::char(*length, CollationId::BINARY)
            } else {
                string_type(&expr, None, CollationId::BINARY, ctx)
            }
        }
        CastType::Date => SqlType::date(),
        CastType::Time { decimals } => SqlType::time(fraction(*decimals)?),
        CastType::DateTime { decimals } => SqlType::datetime(fraction(*decimals)?),
        CastType::Decimal { precision, scale } => {
            if *precision > u32::from(decimal::PRECISION_MAX) {
                let max = decimal::PRECISION_MAX;
                return Err(Error::too_big_precision(precision, expr, max));
            }
            if *scale > u32::from(decimal::SCALE_MAX) {
                return Err(Error::too_big_scale(scale, expr, decimal::SCALE_MAX));
            }
            if scale > precision {
                return Err(Error::scale_above_precision(expr));
            }
            SqlType::decimal((*precision).max(1), *scale as u8)
        }
        CastType::Float => SqlType::float(),
        CastType::Double => SqlType::double(),
        CastType::Year => SqlType::year(),
        CastType::Json if expr.ty.kind == TypeKind::Json => return Ok(expr),
        CastType::Json => {
            return super::call_function(&json_document::PARSED, vec![expr], ctx);
        }
    };
    let expr = if ty.is_string() { expr } else { as_scalar(expr, ctx) };
    let numeric_literal = number_of_bytes(&expr);
    let expr = match numeric_literal {
        Some(number) if ty.is_numeric() => number,
        _ => expr,
    };
    let keeps_firmness = ty.is_string() && expr.ty.is_string();
    let firmness = if keeps_firmness { coercibility::IMPLICIT } else { coercibility::COERCIBLE };
    let is_string = ty.is_string();
    let cast = wrap(expr, ty, CastMode::Convert);
    let cast = if is_string { cast.with_coercibility(firmness) } else { cast };
    Ok(fold(cast, ctx))
}

/// A hexadecimal or bit literal as the number it is in numeric context, and so an ENUM's and a SET's text.
pub(crate) fn number_of_bytes(expr: &Expr) -> Option<Expr> {
    if let Some(stored) = super::stored_member(expr) {
        let ty = SqlType::bigint().unsigned().with_nullable(stored.ty.nullable);
        return Some(Expr { ty, ..stored });
    }
    match &expr.kind {
        ExprKind::Literal(Value::Bytes(bytes)) if bytes.len() <= 8 => {
            let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            Some(super::literal(Value::UInt(number)))
        }
        _ => None,
    }
}

fn cast_charset(name: &str) -> Result<CollationId> {
    match collation::charset_by_name(name) {
        Ok(charset) => Ok(charset.default),
        Err(error) => collation::connection_charset(name).map_err(|_| error),
    }
}

fn string_type(
    expr: &Expr,
    length: Option<u32>,
    collation: CollationId,
    ctx: &EvalContext,
) -> SqlType {
    let length = length.unwrap_or_else(|| {
        if expr.ty.is_string() {
            let widens = collation == CollationId::BINARY && expr.ty.is_text();
            let factor = if widens { expr.ty.collation.bytes_per_char() } else { 1 };
            expr.ty.length.saturating_mul(factor)
        } else {
            as_string(expr.clone(), ctx).ty.length
        }
    });
    SqlType::sized_string(length, collation, false)
}

/// CONVERT(expr USING charset).
pub fn convert_using(expr: Expr, charset: &str, ctx: &EvalContext) -> Result<Expr> {
    let collation = cast_charset(charset)?;
    let text = as_string(expr, ctx);
    let ty = string_type(&text, None, collation, ctx);
    let text = wrap(text, ty, CastMode::Convert);
    let text = match narrow::name_of(charset) {
        Some(name) => super::call(name, vec![text], ctx)?,
        None => text,
    };
    Ok(fold(text.with_coercibility(coercibility::IMPLICIT), ctx))
}
