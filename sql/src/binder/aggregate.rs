//! Aggregate calls: they leave a placeholder column and an entry in their query block.

use super::subquery::column_expr;
use super::{BindContext, rewrite};
use crate::ast::{self, AggregateKind};
use crate::expr::{ArithmeticOp, Expr, ExprKind, build};
use crate::function::json_document;
use crate::planner::plan::{Aggregate, AggregateFunction};
use crate::types::decimal::{PRECISION_MAX, SCALE_MAX};
use crate::types::{AggKind, Domain, SqlType, agg_type};
use crate::value::Value;
use crate::{Error, Result};

/// First column position that stands for an aggregate of the query block.
pub(crate) const AGGREGATE: usize = 1 << 42;

/// First column position that stands for a GROUPING() of the query block.
pub(crate) const GROUPING: usize = 1 << 43;

/// Whether a column position stands for an aggregate.
pub(crate) fn is_aggregate(position: usize) -> bool {
    (AGGREGATE..GROUPING).contains(&position)
}

/// Whether a column position stands for a GROUPING().
pub(crate) fn is_grouping(position: usize) -> bool {
    (GROUPING..super::window::WINDOW).contains(&position)
}

impl BindContext<'_> {
    /// GROUPING(…).
    pub(crate) fn grouping(&mut self, args: &[ast::Expr]) -> Result<Expr> {
        let level = self.level()?;
        if level.in_aggregate || level.aggregates.is_none() {
            return Err(Error::invalid_group_use());
        }
        let args = args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let groupings = &mut self.level()?.groupings;
        groupings.push(args);
        let number = groupings.len() - 1;
        Ok(column_expr(GROUPING + number, SqlType::bigint().not_null(), ""))
    }

    /// COUNT, SUM, …
    pub(crate) fn aggregate(&mut self, call: &ast::Aggregate) -> Result<Expr> {
        let level = self.level()?;
        if level.in_aggregate || level.aggregates.is_none() {
            return Err(Error::invalid_group_use());
        }
        level.in_aggregate = true;
        let bound = self.aggregate_call(call);
        let level = self.level()?;
        level.in_aggregate = false;
        let aggregate = bound?;
        let known = level.aggregates.get_or_insert_default();
        let number = known
            .iter()
            .position(|other| {
                other.function == aggregate.function
                    && other.distinct == aggregate.distinct
                    && other.args.len() == aggregate.args.len()
                    && other.args.iter().zip(&aggregate.args).all(|(a, b)| rewrite::same(a, b))
            })
            .unwrap_or_else(|| {
                known.push(aggregate.clone());
                known.len() - 1
            });
        Ok(column_expr(AGGREGATE + number, aggregate.ty, ""))
    }

    /// The same without its place in the query block.
    pub(super) fn aggregate_call(&mut self, call: &ast::Aggregate) -> Result<Aggregate> {
        let mut args = call.args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let increment = self.ctx.div_precision_increment;
        let (function, kind) = match call.kind {
            AggregateKind::Count => (AggregateFunction::Count, AggKind::Count),
            AggregateKind::Sum => (AggregateFunction::Sum, AggKind::Sum),
            AggregateKind::Avg => (AggregateFunction::Avg, AggKind::Avg),
            AggregateKind::Min => (AggregateFunction::Min, AggKind::Min),
            AggregateKind::Max => (AggregateFunction::Max, AggKind::Max),
            AggregateKind::GroupConcat => return self.group_concat(call, args),
            AggregateKind::BitAnd => return self.of_bits(AggregateFunction::BitAnd, call, args),
            AggregateKind::BitOr => return self.of_bits(AggregateFunction::BitOr, call, args),
            AggregateKind::BitXor => return self.of_bits(AggregateFunction::BitXor, call, args),
            AggregateKind::StdDevPop => return deviation(false, true, call, args),
            AggregateKind::StdDevSamp => return deviation(true, true, call, args),
            AggregateKind::VarPop => return deviation(false, false, call, args),
            AggregateKind::VarSamp => return deviation(true, false, call, args),
            AggregateKind::JsonArrayAgg | AggregateKind::JsonObjectAgg => {
                return self.of_documents(call, args);
            }
        };
        if args.len() != 1 && function != AggregateFunction::Count {
            return Err(Error::wrong_parameter_count(name_of(call.kind)));
        }
        let sums = matches!(function, AggregateFunction::Sum | AggregateFunction::Avg);
        for arg in &mut args {
            // ENUM and SET are summed by number, but the least is that of the texts.
            let has_number = sums && build::stored_member(arg).is_some();
            *arg = match has_number {
                true => build::number_of_bytes(arg).unwrap_or_else(|| arg.clone()),
                false => build::bits_as_number(arg.clone()),
            };
        }
        let ty = match args.first() {
            Some(arg) => agg_type(kind, &arg.ty, increment),
            None => SqlType::bigint().not_null(),
        };
        if sums {
            // Anything that is no number is summed as DOUBLE (text), or as its digits (dates).
            let arg = &args[0];
            if !arg.ty.is_numeric() {
                let target = match ty.kind {
                    crate::types::TypeKind::Decimal => {
                        SqlType::decimal(arg.ty.precision(), arg.ty.scale())
                    }
                    _ => SqlType::double(),
                };
                args[0] = build::cast(arg.clone(), target);
            }
            args[0] = with_all_digits(args[0].clone());
        }
        let plain = matches!(function, AggregateFunction::Min | AggregateFunction::Max);
        Ok(Aggregate { function, distinct: call.distinct && !plain, args, ty })
    }

    /// BIT_AND, BIT_OR, BIT_XOR: the argument becomes 64 bits as that of `|` does.
    fn of_bits(
        &mut self,
        function: AggregateFunction,
        call: &ast::Aggregate,
        args: Vec<Expr>,
    ) -> Result<Aggregate> {
        let arg = only(call, args)?;
        let zero = build::literal(Value::Int(0));
        let bits = build::binary(ast::BinaryOp::BitOr, arg, zero, self.ctx)?;
        if !bits.ty.is_integer() {
            return Err(Error::not_supported(format!(
                "{}() of a binary string: CONV or HEX its parts to numbers",
                name_of(call.kind)
            )));
        }
        let ty = SqlType::bigint().unsigned().not_null();
        Ok(Aggregate { function, distinct: false, args: vec![bits], ty })
    }

    /// JSON_ARRAYAGG, JSON_OBJECTAGG.
    fn of_documents(&mut self, call: &ast::Aggregate, args: Vec<Expr>) -> Result<Aggregate> {
        let object = call.kind == AggregateKind::JsonObjectAgg;
        if args.len() != if object { 2 } else { 1 } {
            return Err(Error::wrong_parameter_count(name_of(call.kind)));
        }
        let last = args.len() - 1;
        let args = args.into_iter().enumerate().map(|(place, arg)| match place == last {
            true => json_document::as_document(arg, self.ctx),
            false => Ok(build::as_string(arg, self.ctx)),
        });
        let args = args.collect::<Result<_>>()?;
        let function = AggregateFunction::Json { object };
        Ok(Aggregate { function, distinct: false, args, ty: SqlType::json() })
    }

    fn group_concat(&mut self, call: &ast::Aggregate, args: Vec<Expr>) -> Result<Aggregate> {
        let ctx = self.ctx;
        let parts = args.clone();
        let value = match args.len() {
            1 => args.into_iter().next(),
            _ => Some(build::call("concat", args, ctx)?),
        };
        let value = value.ok_or_else(|| Error::wrong_parameter_count("group_concat"))?;
        let collation =
            if value.ty.is_string() { value.ty.collation } else { ctx.connection_collation };
        let limit = u32::try_from(ctx.group_concat_max_len).unwrap_or(u32::MAX);
        let ty = SqlType::sized_string(limit.max(16_384), collation, true);
        let mut args = vec![if value.ty.is_string() { value } else { build::cast(value, ty) }];
        let mut descending = Vec::new();
        for item in &call.order_by {
            let key = match &item.expr.kind {
                // The place of an argument, which sorts as what it is, not as its text.
                ast::ExprKind::Literal(ast::Literal::Integer(place)) => {
                    let part = usize::try_from(*place).ok().and_then(|place| place.checked_sub(1));
                    let part = part.and_then(|place| parts.get(place)).cloned();
                    part.ok_or_else(|| Error::unknown_column(place.to_string(), "order clause"))?
                }
                _ => self.expr(&item.expr)?,
            };
            args.push(key);
            descending.push(item.descending);
        }
        let separator = call.separator.clone().unwrap_or_else(|| ",".to_string());
        let function = AggregateFunction::GroupConcat { separator, descending };
        Ok(Aggregate { function, distinct: call.distinct, args, ty })
    }
}

/// A decimal argument with the digits that a quotient has beyond those it shows: MySQL adds up what it computed, and
/// rounds the sum. (A quotient's digits are computed in groups of nine: `decimal.c`, `do_div_mod`.)
fn with_all_digits(arg: Expr) -> Expr {
    let divides = |part: &Expr| {
        matches!(
            part.kind,
            ExprKind::Arithmetic { op: ArithmeticOp::Divide, domain: Domain::Decimal, .. }
        )
    };
    let integer_digits = arg.ty.precision().saturating_sub(arg.ty.scale().into());
    let room = u32::from(PRECISION_MAX - SCALE_MAX);
    if arg.ty.domain() != Domain::Decimal || integer_digits > room || !arg.any(&divides) {
        return arg;
    }
    let ty = SqlType::decimal(PRECISION_MAX.into(), SCALE_MAX);
    let nullable = arg.ty.nullable;
    build::cast(arg, ty.with_nullable(nullable))
}

/// STDDEV_POP and its relatives, over doubles.
fn deviation(
    sample: bool,
    root: bool,
    call: &ast::Aggregate,
    args: Vec<Expr>,
) -> Result<Aggregate> {
    let arg = only(call, args)?;
    let arg = if arg.ty.is_floating() { arg } else { build::cast(arg, SqlType::double()) };
    let function = AggregateFunction::Deviation { sample, root };
    Ok(Aggregate { function, distinct: false, args: vec![arg], ty: SqlType::double() })
}

/// The argument of an aggregate that has one.
fn only(call: &ast::Aggregate, args: Vec<Expr>) -> Result<Expr> {
    let count = args.len();
    match (args.into_iter().next(), count) {
        (Some(arg), 1) => Ok(arg),
        _ => Err(Error::wrong_parameter_count(name_of(call.kind))),
    }
}

fn name_of(kind: AggregateKind) -> &'static str {
    AggregateKind::NAMES.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name)
}
