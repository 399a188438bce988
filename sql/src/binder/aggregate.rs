//! Aggregate calls: they leave a placeholder column and an entry in their query block.

use super::subquery::column_expr;
use super::{BindContext, rewrite};
use crate::ast::{self, AggregateKind};
use crate::collation::CollationId;
use crate::expr::{Expr, build};
use crate::planner::plan::{Aggregate, AggregateFunction};
use crate::types::{AggKind, SqlType, agg_type};
use crate::{Error, Result};

/// First column position that stands for an aggregate of the query block.
pub(crate) const AGGREGATE: usize = 1 << 42;

/// Whether a column position stands for an aggregate.
pub(crate) fn is_aggregate(position: usize) -> bool {
    position >= AGGREGATE
}

impl BindContext<'_> {
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

    fn aggregate_call(&mut self, call: &ast::Aggregate) -> Result<Aggregate> {
        let mut args = call.args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let increment = self.ctx.div_precision_increment;
        let (function, kind) = match call.kind {
            AggregateKind::Count => (AggregateFunction::Count, AggKind::Count),
            AggregateKind::Sum => (AggregateFunction::Sum, AggKind::Sum),
            AggregateKind::Avg => (AggregateFunction::Avg, AggKind::Avg),
            AggregateKind::Min => (AggregateFunction::Min, AggKind::Min),
            AggregateKind::Max => (AggregateFunction::Max, AggKind::Max),
            AggregateKind::GroupConcat => return self.group_concat(call, args),
            other => {
                return Err(Error::not_supported(format!(
                    "{}(); compute it from COUNT, SUM and AVG, or in the client",
                    name_of(other)
                )));
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
        }
        let plain = matches!(function, AggregateFunction::Min | AggregateFunction::Max);
        Ok(Aggregate { function, distinct: call.distinct && !plain, args, ty })
    }

    fn group_concat(&mut self, call: &ast::Aggregate, args: Vec<Expr>) -> Result<Aggregate> {
        let ctx = self.ctx;
        let value = match args.len() {
            1 => args.into_iter().next(),
            _ => Some(build::call("concat", args, ctx)?),
        };
        let value = value.ok_or_else(|| Error::wrong_parameter_count("group_concat"))?;
        let collation =
            if value.ty.is_string() { value.ty.collation } else { CollationId::DEFAULT };
        let limit = u32::try_from(ctx.group_concat_max_len).unwrap_or(u32::MAX);
        let ty = SqlType::sized_string(limit.max(16_384), collation, true);
        let mut args = vec![if value.ty.is_string() { value } else { build::cast(value, ty) }];
        let mut descending = Vec::new();
        for item in &call.order_by {
            let key = match &item.expr.kind {
                ast::ExprKind::Literal(ast::Literal::Integer(1)) => args[0].clone(),
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

fn name_of(kind: AggregateKind) -> &'static str {
    AggregateKind::NAMES.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name)
}
