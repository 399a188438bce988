//! From a logical plan to operators.
//!
//! Keys of sorts, groups and joins that are text become extra columns of weights below the operator
//! that compares them; the text itself rides along.
//!
//! A join of co-located tables is built once with as many partitions as there are shards (`LocalExec`).
//!
//! Parts: `scan`, `join`, `aggregate`, `sort`, and `subquery` (those that run per row).

mod aggregate;
mod join;
mod scan;
mod sort;
mod subquery;

use super::chain::ChainExec;
use super::expression::{condition, value};
use super::lateral::LateralExec;
use super::measure::Meter;
use super::scan::{RowsExec, TableScanExec};
use super::window::WindowExec;
use super::{Environment, error};
use crate::binder::subquery::column_expr;
use crate::expr::Expr;
use crate::planner::plan::{Plan, Subqueries};
use crate::{Error, Result};
use base::SlotRange;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::filter::FilterExecBuilder;
use datafusion_physical_plan::limit::GlobalLimitExec;
use datafusion_physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion_physical_plan::union::UnionExec;
use sort::wish_through;
use std::cell::RefCell;
use std::sync::Arc;

pub(crate) use join::equality;
pub(crate) use sort::is_sorted;

/// An operator.
pub(crate) type Operator = Arc<dyn ExecutionPlan>;

/// What the operators above want from a scan.
#[derive(Clone, Debug, Default)]
struct Wish {
    /// Most rows that will be read.
    limit: Option<usize>,
    /// The order that makes a sort unnecessary: positions in the output, descending.
    order: Vec<(usize, bool)>,
}

/// The operators of an optimised plan.
pub fn build(plan: &Plan, subqueries: &Subqueries, environment: &Environment) -> Result<Operator> {
    let builder = Builder { subqueries, environment, division: None, meter: None };
    builder.plan(plan, &Wish::default()).map(|built| built.operator)
}

/// The same, measured.
pub(crate) fn build_measured(
    plan: &Plan,
    subqueries: &Subqueries,
    environment: &Environment,
    meter: &Meter,
) -> Result<Operator> {
    let builder = Builder { subqueries, environment, division: None, meter: Some(meter) };
    builder.plan(plan, &Wish::default()).map(|built| built.operator)
}

struct Builder<'a> {
    subqueries: &'a Subqueries,
    environment: &'a Environment,
    /// Inside of a local join: into which partitions.
    division: Option<&'a Division>,
    /// What measures the operators, for EXPLAIN ANALYZE.
    meter: Option<&'a Meter>,
}

/// The partitions of a local join.
struct Division {
    /// The slots of each.
    parts: Arc<[SlotRange]>,
    /// The scans that were built for it.
    scans: RefCell<Vec<Arc<TableScanExec>>>,
}

/// An operator, and whether its rows come in the order that was wished for.
struct Built {
    operator: Operator,
    ordered: bool,
}

impl From<Operator> for Built {
    fn from(operator: Operator) -> Built {
        Built { operator, ordered: false }
    }
}

impl Builder<'_> {
    fn plan(&self, plan: &Plan, wish: &Wish) -> Result<Built> {
        let built = self.node(plan, wish)?;
        Ok(match self.meter {
            Some(meter) => Built {
                operator: meter.measured(plan, built.operator, self.environment),
                ordered: built.ordered,
            },
            None => built,
        })
    }

    fn node(&self, plan: &Plan, wish: &Wish) -> Result<Built> {
        let none = Wish::default();
        match plan {
            Plan::OneRow => Ok(Built::from(Arc::new(RowsExec::new(
                Vec::new(),
                Arc::new(vec![Vec::new()]),
            )) as Operator)),
            Plan::Rows { types, rows, .. } => {
                Ok(Built::from(Arc::new(RowsExec::new(types.clone(), rows.clone())) as Operator))
            }
            Plan::Shared { number, types, .. } => {
                let rows = self.subqueries.get(*number).and_then(|shared| shared.rows.clone());
                let rows = rows.ok_or_else(|| Error::internal("a query of WITH has not run"))?;
                Ok(Built::from(Arc::new(RowsExec::new(types.clone(), rows)) as Operator))
            }
            Plan::Scan(scan) => self.scan(scan, wish),
            Plan::Filter { input, conjuncts } => {
                let wish = Wish { limit: None, ..wish.clone() };
                let built = self.plan(input, &wish)?;
                let width = input.width();
                let (operator, conjuncts) =
                    self.with_subqueries(built.operator, input, conjuncts)?;
                let operator = self.filter(operator, &conjuncts, Some(width))?;
                Ok(Built { operator, ordered: built.ordered })
            }
            Plan::Project { input, exprs } => {
                let (through, whole) = wish_through(wish, exprs);
                let built = self.plan(input, &through)?;
                let ordered = built.ordered && whole;
                let (operator, exprs) = self.with_subqueries(built.operator, input, exprs)?;
                Ok(Built { operator: self.project(operator, &exprs)?, ordered })
            }
            Plan::Join(join) => self.join(join).map(Built::from),
            Plan::Lateral(lateral) => {
                let input = self.plan(&lateral.input, &none)?.operator;
                let lateral = Arc::new((**lateral).clone());
                let (subqueries, environment) = (self.subqueries.clone(), self.environment.clone());
                let joined = LateralExec::new(input, lateral, subqueries, environment);
                Ok(Built::from(Arc::new(joined) as Operator))
            }
            Plan::Aggregate { input, keys, aggregates } => {
                let operator = self.plan(input, &none)?.operator;
                self.aggregate(operator, input, keys, aggregates).map(Built::from)
            }
            Plan::Distinct { input } => {
                let limit = Wish::default();
                let operator = self.plan(input, &limit)?.operator;
                let types = input.types();
                let keys: Vec<Expr> =
                    types.iter().enumerate().map(|(i, ty)| column_expr(i, *ty, "")).collect();
                self.aggregate(operator, input, &keys, &[]).map(Built::from)
            }
            Plan::Window { input, window } => {
                let types = input.types();
                let operator = self.plan(input, &none)?.operator;
                let window = WindowExec::new(operator, types, window, self.environment)?;
                Ok(Built::from(Arc::new(window) as Operator))
            }
            Plan::Sort { input, keys } => self.sort(input, keys, wish.limit).map(Built::from),
            Plan::Limit { input, offset, count } => {
                let offset = self.row_count(offset.as_ref())?.unwrap_or(0);
                let count = self.row_count(count.as_ref())?;
                if count == Some(0) {
                    // DataFusion's top-n operator takes one row at least.
                    let rows = RowsExec::new(input.types(), Arc::default());
                    return Ok(Built::from(Arc::new(rows) as Operator));
                }
                let most = count.map(|count| count.saturating_add(offset));
                let wish = Wish { limit: smaller(most, wish.limit), order: wish.order.clone() };
                let built = self.plan(input, &wish)?;
                let operator = Arc::new(GlobalLimitExec::new(built.operator, offset, count));
                Ok(Built { operator, ordered: built.ordered })
            }
            Plan::Union { inputs, types } => {
                let limit = Wish { limit: wish.limit, order: Vec::new() };
                let inputs = inputs
                    .iter()
                    .map(|input| Ok(self.plan(input, &limit)?.operator))
                    .collect::<Result<Vec<_>>>()?;
                if inputs.is_empty() {
                    let rows = RowsExec::new(types.clone(), Arc::default());
                    return Ok(Built::from(Arc::new(rows) as Operator));
                }
                let union = UnionExec::try_new(inputs).map_err(error::unwrap)?;
                Ok(Built::from(Arc::new(ChainExec::new(union)) as Operator))
            }
        }
    }

    /// The value of a LIMIT or OFFSET.
    fn row_count(&self, expr: Option<&Expr>) -> Result<Option<usize>> {
        let Some(expr) = expr else { return Ok(None) };
        let value = expr.eval(&[], &self.environment.ctx)?;
        match value.as_integer().map(usize::try_from) {
            Some(Ok(count)) => Ok(Some(count)),
            _ => Err(Error::wrong_arguments("LIMIT")),
        }
    }

    /// Rows for which all conjuncts are true; the first `width` columns of them.
    fn filter(
        &self,
        input: Operator,
        conjuncts: &[Expr],
        width: Option<usize>,
    ) -> Result<Operator> {
        let width = width.unwrap_or(input.schema().fields().len());
        let output: Vec<usize> = (0..width).collect();
        self.filter_to(input, conjuncts, &output)
    }

    /// Rows for which all conjuncts are true, with these columns.
    fn filter_to(&self, input: Operator, conjuncts: &[Expr], output: &[usize]) -> Result<Operator> {
        let schema = input.schema();
        let all = output.iter().copied().eq(0..schema.fields().len());
        if conjuncts.is_empty() {
            return if all { Ok(input) } else { self.pick(input, output) };
        }
        let predicate = condition(conjuncts, &schema, &self.environment.ctx);
        let projection = (!all).then(|| output.to_vec());
        let filter = FilterExecBuilder::new(predicate, input)
            .apply_projection(projection)
            .and_then(FilterExecBuilder::build)
            .map_err(error::unwrap)?;
        Ok(Arc::new(filter))
    }

    /// Some columns of an input.
    fn pick(&self, input: Operator, columns: &[usize]) -> Result<Operator> {
        let schema = input.schema();
        let exprs = columns.iter().enumerate().map(|(i, &column)| ProjectionExpr {
            expr: Arc::new(Column::new(schema.field(column).name(), column)),
            alias: format!("c{i}"),
        });
        let exprs: Vec<ProjectionExpr> = exprs.collect();
        Ok(Arc::new(ProjectionExec::try_new(exprs, input).map_err(error::unwrap)?))
    }

    fn project(&self, input: Operator, exprs: &[Expr]) -> Result<Operator> {
        let schema = input.schema();
        let ctx = &self.environment.ctx;
        let same = exprs.len() == schema.fields().len()
            && exprs.iter().enumerate().all(|(i, expr)| super::plain_column(expr) == Some(i));
        if same {
            return Ok(input);
        }
        let exprs: Vec<ProjectionExpr> = exprs
            .iter()
            .enumerate()
            .map(|(i, expr)| ProjectionExpr {
                expr: value(expr, &schema, ctx),
                alias: format!("c{i}"),
            })
            .collect();
        Ok(Arc::new(ProjectionExec::try_new(exprs, input).map_err(error::unwrap)?))
    }
}

fn smaller(a: Option<usize>, b: Option<usize>) -> Option<usize> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
