//! Groups: keys by their weights, and the functions over each group.
//!
//! Not here: what the functions do (`exec::aggregate`).

use super::{Builder, Operator};
use crate::Result;
use crate::exec::aggregate::aggregate_function;
use crate::exec::error;
use crate::exec::expression::{has_weight, value, weight};
use crate::expr::Expr;
use crate::planner::plan::{Aggregate, AggregateFunction, Plan};
use crate::types::SqlType;
use crate::value::Value;
use arrow::datatypes::Schema;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion_physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use std::sync::Arc;

impl Builder<'_> {
    pub(super) fn aggregate(
        &self,
        input: Operator,
        plan: &Plan,
        keys: &[Expr],
        aggregates: &[Aggregate],
    ) -> Result<Operator> {
        let exprs: Vec<Expr> = keys
            .iter()
            .chain(aggregates.iter().flat_map(|aggregate| &aggregate.args))
            .cloned()
            .collect();
        let (input, exprs) = self.with_subqueries(input, plan, &exprs)?;
        let (keys, mut args) = exprs.split_at(keys.len());
        let schema = input.schema();
        let ctx = &self.environment.ctx;
        // Text is grouped by its weights; the group shows the text of its first row.
        let mut functions: Vec<Arc<AggregateFunctionExpr>> = Vec::new();
        let mut output = Vec::with_capacity(keys.len() + aggregates.len());
        let mut groups = Vec::with_capacity(keys.len());
        for (i, key) in keys.iter().enumerate() {
            groups.push((weight(key, &schema, ctx), format!("g{i}")));
            if has_weight(&key.ty) {
                let first = Aggregate {
                    function: AggregateFunction::First,
                    distinct: false,
                    args: vec![key.clone()],
                    ty: key.ty,
                };
                output.push(keys.len() + functions.len());
                functions.push(self.function(&first, &first.args, &schema, functions.len())?);
            } else {
                output.push(i);
            }
        }
        for aggregate in aggregates {
            let (own, rest) = args.split_at(aggregate.args.len());
            args = rest;
            output.push(keys.len() + functions.len());
            functions.push(self.function(aggregate, own, &schema, functions.len())?);
        }
        let filters = vec![None; functions.len()];
        let operator = AggregateExec::try_new(
            AggregateMode::Single,
            PhysicalGroupBy::new_single(groups),
            functions,
            filters,
            input,
            schema,
        )
        .map_err(error::unwrap)?;
        self.pick(Arc::new(operator), &output)
    }

    fn function(
        &self,
        aggregate: &Aggregate,
        args: &[Expr],
        schema: &Arc<Schema>,
        number: usize,
    ) -> Result<Arc<AggregateFunctionExpr>> {
        let ctx = &self.environment.ctx;
        let types: Vec<SqlType> = args.iter().map(|arg| arg.ty).collect();
        let values: Vec<Arc<dyn PhysicalExpr>> = if args.is_empty() {
            // COUNT(*) counts a constant.
            let one = crate::exec::subquery::literal(SqlType::bigint(), Value::Int(1));
            vec![value(&one, schema, ctx)]
        } else {
            args.iter().map(|arg| value(arg, schema, ctx)).collect()
        };
        let function = aggregate_function(aggregate, types, ctx)?;
        let built = AggregateExprBuilder::new(Arc::new(function), values)
            .schema(schema.clone())
            .alias(format!("a{number}"))
            .build()
            .map_err(error::unwrap)?;
        Ok(Arc::new(built))
    }
}
