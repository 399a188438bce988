//! Sorts, and the wish for an order that makes them unnecessary.
//!
//! ```text
//! Sort ──wish: order, limit──> Project, Filter ──> Scan: walks its table in that order, if it can
//! ```
//!
//! Text is compared by columns of weights, which are dropped above the sort.

use super::scan::scan_access;
use super::{Builder, Operator, Wish};
use crate::Result;
use crate::context::EvalContext;
use crate::exec::error;
use crate::exec::expression::{has_weight, weight};
use crate::expr::{Expr, ExprKind};
use crate::planner::plan::{Plan, SUBQUERY, Scan, SortKey};
use arrow::compute::SortOptions;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion_physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion_physical_plan::sorts::sort::SortExec;
use std::sync::Arc;

impl Builder<'_> {
    pub(super) fn sort(
        &self,
        input: &Plan,
        keys: &[SortKey],
        limit: Option<usize>,
    ) -> Result<Operator> {
        let wish = Wish { limit, order: order_of(keys) };
        let built = self.plan(input, &wish)?;
        if built.ordered {
            return Ok(built.operator);
        }
        let built = match wish.limit {
            // The scan may have been told to stop early: only an ordered one may.
            Some(_) => self.plan(input, &Wish { limit: None, ..wish.clone() })?,
            None => built,
        };
        let width = input.width();
        let exprs: Vec<Expr> = keys.iter().map(|key| key.expr.clone()).collect();
        let (operator, exprs) = self.with_subqueries(built.operator, input, &exprs)?;
        let schema = operator.schema();
        let ctx = &self.environment.ctx;
        // Keys that are no plain columns are computed once, below the sort.
        let mut extra: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
        let mut places = Vec::with_capacity(keys.len());
        for expr in &exprs {
            let key = weight(expr, &schema, ctx);
            match crate::exec::plain_column(expr) {
                Some(column) if !has_weight(&expr.ty) => places.push(column),
                _ => {
                    places.push(schema.fields().len() + extra.len());
                    extra.push(key);
                }
            }
        }
        let operator = self.with_columns(operator, extra)?;
        let schema = operator.schema();
        let ordering: Vec<PhysicalSortExpr> = places
            .iter()
            .zip(keys)
            .map(|(&place, key)| PhysicalSortExpr {
                expr: Arc::new(Column::new(schema.field(place).name(), place)),
                // NULL is MySQL's smallest value.
                options: SortOptions { descending: key.descending, nulls_first: !key.descending },
            })
            .collect();
        let Some(ordering) = LexOrdering::new(ordering) else { return Ok(operator) };
        let sort: Operator = Arc::new(SortExec::new(ordering, operator).with_fetch(limit));
        if schema.fields().len() == width {
            return Ok(sort);
        }
        self.pick(sort, &(0..width).collect::<Vec<_>>())
    }

    /// All columns of an input and some more behind them.
    fn with_columns(&self, input: Operator, extra: Vec<Arc<dyn PhysicalExpr>>) -> Result<Operator> {
        if extra.is_empty() {
            return Ok(input);
        }
        let schema = input.schema();
        let columns = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(i, field)| Arc::new(Column::new(field.name(), i)) as Arc<dyn PhysicalExpr>);
        let exprs: Vec<ProjectionExpr> = columns
            .chain(extra)
            .enumerate()
            .map(|(i, expr)| ProjectionExpr { expr, alias: format!("c{i}") })
            .collect();
        Ok(Arc::new(ProjectionExec::try_new(exprs, input).map_err(error::unwrap)?))
    }
}

/// The columns that a sort compares; none when it compares anything else.
fn order_of(keys: &[SortKey]) -> Vec<(usize, bool)> {
    let columns: Option<Vec<(usize, bool)>> = keys
        .iter()
        .map(|key| {
            let column =
                crate::exec::plain_column(&key.expr).filter(|column| *column < SUBQUERY)?;
            Some((column, key.descending))
        })
        .collect();
    columns.unwrap_or_default()
}

/// What a projection wishes from its input, and whether that is the whole order.
pub(super) fn wish_through(wish: &Wish, exprs: &[Expr]) -> (Wish, bool) {
    let order: Option<Vec<(usize, bool)>> = wish
        .order
        .iter()
        .map(|(column, descending)| {
            let expr = &exprs[*column];
            let inner = crate::exec::plain_column(expr)
                .filter(|inner| *inner < SUBQUERY)
                .or_else(|| from_utc_column(expr))?;
            Some((inner, *descending))
        })
        .collect();
    let whole = order.is_some();
    (Wish { limit: wish.limit, order: order.unwrap_or_default() }, whole)
}

/// Whether a sort over this input needs no sorting, because a table is walked in its order.
/// `conjuncts` picks those conditions of a scan whose constants are known.
pub(crate) fn is_sorted(
    input: &Plan,
    keys: &[SortKey],
    limited: bool,
    conjuncts: &dyn Fn(&Scan) -> Vec<Expr>,
    ctx: &EvalContext,
) -> Result<bool> {
    let mut wish = Wish { limit: limited.then_some(1), order: order_of(keys) };
    let mut plan = input;
    loop {
        if wish.order.is_empty() {
            return Ok(false);
        }
        plan = match plan {
            Plan::Filter { input, .. } => {
                wish.limit = None;
                input
            }
            Plan::Project { input, exprs } => {
                wish = wish_through(&wish, exprs).0;
                input
            }
            Plan::Scan(scan) => {
                return Ok(scan_access(scan, &conjuncts(scan), &wish, ctx)?.1.is_some());
            }
            _ => return Ok(false),
        };
    }
}

/// The TIMESTAMP column that an expression shows in the session's time zone: in the same order.
fn from_utc_column(expr: &Expr) -> Option<usize> {
    match &expr.kind {
        ExprKind::Call { args, .. } if crate::expr::build::is_from_utc(expr) => {
            crate::exec::plain_column(&args[0]).filter(|column| *column < SUBQUERY)
        }
        _ => None,
    }
}
