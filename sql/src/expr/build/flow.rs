//! CASE, IF, COALESCE, IFNULL, NULLIF: operands of one type, evaluated lazily.

use std::sync::Arc;

use super::{aggregate_collation, cast_in, compare, fold, is_null_literal, null};
use crate::context::EvalContext;
use crate::expr::{CastMode, CompareOp, Expr, ExprKind, coercibility};
use crate::types::{SqlType, TypeKind};
use crate::{Error, Result};

/// One type for all results, and the results cast to it: of CASE, COALESCE, UNION columns.
pub fn unify(
    exprs: Vec<Expr>,
    operation: &str,
    ctx: &EvalContext,
) -> Result<(SqlType, u8, Vec<Expr>)> {
    let types = exprs.iter().map(|expr| expr.ty);
    let mut ty = types.reduce(SqlType::unify).unwrap_or_else(SqlType::null);
    let mut firmness = coercibility::NUMERIC;
    if ty.is_string() && ty.kind != TypeKind::Json {
        let strings: Vec<&Expr> = exprs.iter().filter(|expr| !is_null_literal(expr)).collect();
        let (collation, best) = aggregate_collation(&strings, operation, ctx)?;
        firmness = best;
        if ty.is_bytes() && collation != crate::collation::CollationId::BINARY {
            // Byte strings that are weaker than a text become text.
            ty = SqlType { collation, ..ty };
        } else {
            ty = ty.with_collation(collation);
        }
    }
    let nullable = ty.nullable;
    let casts = exprs
        .into_iter()
        .map(|expr| cast_in(expr, ty.with_nullable(true), CastMode::Convert, ctx))
        .collect();
    Ok((ty.with_nullable(nullable), firmness, casts))
}

/// IF(condition, then, otherwise).
pub fn if_(condition: Expr, then: Expr, otherwise: Expr, ctx: &EvalContext) -> Result<Expr> {
    let (ty, firmness, results) = unify(vec![then, otherwise], "if", ctx)?;
    let Ok([then, otherwise]) = <[Expr; 2]>::try_from(results) else {
        return Err(Error::internal("IF lost a branch"));
    };
    let kind = ExprKind::If(Arc::new([condition, then, otherwise]));
    Ok(fold(Expr::new(ty, kind).with_coercibility(firmness), ctx))
}

/// CASE [operand] WHEN … THEN … [ELSE …] END.
pub fn case(
    operand: Option<Expr>,
    whens: Vec<(Expr, Expr)>,
    otherwise: Option<Expr>,
    ctx: &EvalContext,
) -> Result<Expr> {
    let has_else = otherwise.is_some();
    let (conditions, mut results): (Vec<Expr>, Vec<Expr>) = whens.into_iter().unzip();
    results.extend(otherwise);
    let (ty, firmness, mut results) = unify(results, "case", ctx)?;
    let otherwise = if has_else { results.pop().map(Arc::new) } else { None };
    let conditions = match operand {
        None => conditions,
        Some(operand) => conditions
            .into_iter()
            .map(|when| compare(CompareOp::Equal, operand.clone(), when, ctx))
            .collect::<Result<Vec<_>>>()?,
    };
    let ty = ty.with_nullable(ty.nullable || !has_else);
    let whens: Arc<[(Expr, Expr)]> = conditions.into_iter().zip(results).collect();
    let kind = ExprKind::Case { whens, otherwise };
    Ok(fold(Expr::new(ty, kind).with_coercibility(firmness), ctx))
}

/// COALESCE(…), IFNULL(a, b).
pub fn coalesce(args: Vec<Expr>, ctx: &EvalContext) -> Result<Expr> {
    let never_null = args.iter().any(|arg| !arg.ty.nullable);
    let (ty, firmness, args) = unify(args, "coalesce", ctx)?;
    let ty = ty.with_nullable(ty.nullable && !never_null);
    let kind = ExprKind::Coalesce(args.into());
    Ok(fold(Expr::new(ty, kind).with_coercibility(firmness), ctx))
}

/// NULLIF(a, b): NULL when they are equal, else a.
pub fn nullif(a: Expr, b: Expr, ctx: &EvalContext) -> Result<Expr> {
    let equal = compare(CompareOp::Equal, a.clone(), b, ctx)?;
    case(None, vec![(equal, null())], Some(a), ctx)
}

/// The lazy forms under their function names; `None` for any other name.
pub(super) fn lazy_call(name: &str, args: &[Expr], ctx: &EvalContext) -> Option<Result<Expr>> {
    let wrong_count = |shown: &'static str| Some(Err(Error::wrong_parameter_count(shown)));
    match (name, args) {
        ("if", [condition, then, otherwise]) => {
            Some(if_(condition.clone(), then.clone(), otherwise.clone(), ctx))
        }
        ("ifnull", [_, _]) => Some(coalesce(args.to_vec(), ctx)),
        ("nullif", [a, b]) => Some(nullif(a.clone(), b.clone(), ctx)),
        ("coalesce", [_, ..]) => Some(coalesce(args.to_vec(), ctx)),
        ("isnull", [arg]) => Some(Ok(super::is(false, arg.clone(), crate::ast::IsTest::Null, ctx))),
        ("if", _) => wrong_count("if"),
        ("ifnull", _) => wrong_count("ifnull"),
        ("nullif", _) => wrong_count("nullif"),
        ("coalesce", _) => wrong_count("coalesce"),
        ("isnull", _) => wrong_count("isnull"),
        ("mod", [a, b]) => {
            Some(super::binary(crate::ast::BinaryOp::Modulo, a.clone(), b.clone(), ctx))
        }
        ("mod", _) => wrong_count("mod"),
        _ => None,
    }
}
