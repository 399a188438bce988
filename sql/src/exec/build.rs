//! From a logical plan to operators.
//!
//! Keys of sorts, groups and joins that are text become extra columns of weights below the operator
//! that compares them; the text itself rides along.
//!
//! A join of co-located tables is built once with as many partitions as there are shards ([`LocalExec`]).

use super::aggregate::aggregate_function;
use super::apply::{ApplyExec, result_type};
use super::chain::ChainExec;
use super::expression::{condition, has_weight, value, weight, weight_type};
use super::local::LocalExec;
use super::lookup::{self, LookupJoinExec};
use super::scan::{RowsExec, TableScanExec};
use super::{Environment, error};
use crate::access::{self, Access, Choice, ReadOptions};
use crate::binder::subquery::column_expr;
use crate::context::EvalContext;
use crate::expr::{CompareOp, Expr, ExprKind};
use crate::planner::locality;
use crate::planner::plan::{
    Aggregate, AggregateFunction, Join, JoinKind, Plan, SUBQUERY, Scan, SortKey, Subqueries,
    columns_of, subqueries_of,
};
use crate::types::{Domain, SqlType};
use crate::value::Value;
use crate::{Error, Result};
use arrow::compute::SortOptions;
use arrow::datatypes::{Field, Schema};
use base::SlotRange;
use datafusion_common::{JoinSide, JoinType, NullEquality};
use datafusion_physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion_physical_plan::filter::FilterExecBuilder;
use datafusion_physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion_physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion_physical_plan::limit::GlobalLimitExec;
use datafusion_physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion_physical_plan::sorts::sort::SortExec;
use datafusion_physical_plan::union::UnionExec;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

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
    let builder = Builder { subqueries, environment, division: None };
    builder.plan(plan, &Wish::default()).map(|built| built.operator)
}

struct Builder<'a> {
    subqueries: &'a Subqueries,
    environment: &'a Environment,
    /// Inside of a local join: into which partitions.
    division: Option<&'a Division>,
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
        let none = Wish::default();
        match plan {
            Plan::OneRow => Ok(Built::from(Arc::new(RowsExec::new(
                Vec::new(),
                Arc::new(vec![Vec::new()]),
            )) as Operator)),
            Plan::Rows { types, rows, .. } => {
                Ok(Built::from(Arc::new(RowsExec::new(types.clone(), rows.clone())) as Operator))
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
            Plan::Sort { input, keys } => self.sort(input, keys, wish.limit).map(Built::from),
            Plan::Limit { input, offset, count } => {
                let offset = self.row_count(offset.as_ref())?.unwrap_or(0);
                let count = self.row_count(count.as_ref())?;
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

    fn scan(&self, scan: &Scan, wish: &Wish) -> Result<Built> {
        let table = &scan.table;
        let (choice, walk) = scan_access(scan, &scan.conjuncts, wish, &self.environment.ctx)?;
        let residual: Vec<Expr> = scan
            .conjuncts
            .iter()
            .enumerate()
            .filter(|(i, _)| !choice.covered.contains(i))
            .map(|(_, conjunct)| conjunct.clone())
            .collect();
        let ordered = walk.is_some();
        let options = ReadOptions {
            ordered,
            reverse: walk.unwrap_or(false),
            // A sort above must see every row.
            limit: wish.limit.filter(|_| residual.is_empty() && (ordered || wish.order.is_empty())),
            shard: choice.shard.clone(),
            slots: choice.slots.clone(),
            near: self.environment.ctx.reads_near(),
            carried: access::carries(table, &choice.access, &scan.read_columns()),
        };
        // Columns that only conditions read are decoded, too, and dropped after the conditions.
        let mut read: BTreeSet<usize> = scan.columns.iter().copied().collect();
        for conjunct in &residual {
            conjunct.columns(&mut read);
        }
        let read: Vec<usize> = read.into_iter().collect();
        let place = |column: usize| read.binary_search(&column).unwrap_or(column);
        let scan_exec = TableScanExec::new(
            table.clone(),
            read.clone(),
            choice.access,
            options,
            self.environment.clone(),
        );
        let operator: Operator = match self.division {
            Some(division) => {
                let scan_exec = Arc::new(scan_exec.divided(division.parts.clone()));
                division.scans.borrow_mut().push(scan_exec.clone());
                scan_exec
            }
            None => Arc::new(scan_exec),
        };
        let residual: Vec<Expr> =
            residual.iter().map(|conjunct| conjunct.map_columns(&place)).collect();
        let output: Vec<usize> = scan.columns.iter().map(|&column| place(column)).collect();
        let operator = self.filter_to(operator, &residual, &output)?;
        Ok(Built { operator, ordered })
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

    /// Adds the results of the subqueries that expressions read; the expressions over them.
    fn with_subqueries(
        &self,
        input: Operator,
        plan: &Plan,
        exprs: &[Expr],
    ) -> Result<(Operator, Vec<Expr>)> {
        let numbers: BTreeSet<usize> = exprs.iter().flat_map(subqueries_of).collect();
        if numbers.is_empty() {
            return Ok((input, exprs.to_vec()));
        }
        // An operand of IN may hold a subquery itself: that one is computed first.
        let mut inner: Vec<Expr> = Vec::new();
        for number in &numbers {
            self.subqueries[*number].for_each_enclosing(&mut |expr| inner.push(expr.clone()));
        }
        let width = plan.width();
        let mut types = plan.types();
        let mut operator = input;
        let mut subqueries = self.subqueries.clone();
        let nested: BTreeSet<usize> = inner.iter().flat_map(subqueries_of).collect();
        let mut places: Vec<usize> = Vec::new();
        if !nested.is_empty() {
            let (with_nested, _) = self.with_subqueries(operator, plan, &inner)?;
            operator = with_nested;
            places = self.order_of_apply(&inner);
            types.extend(places.iter().map(|number| result_type(&subqueries, *number)));
        }
        let known = |places: &[usize], column: usize| match column.checked_sub(SUBQUERY) {
            Some(number) => places
                .iter()
                .position(|&place| place == number)
                .map_or(column, |place| width + place),
            None => column,
        };
        for number in &numbers {
            let subquery = Arc::make_mut(&mut subqueries[*number]);
            subquery.map_enclosing(&mut |expr| expr.map_columns(&|c| known(&places, c)));
        }
        let list: Vec<usize> = numbers.iter().copied().collect();
        let operator: Operator = Arc::new(ApplyExec::new(
            operator,
            types,
            list.clone(),
            subqueries,
            self.environment.clone(),
        ));
        places.extend(list);
        let exprs = exprs.iter().map(|expr| expr.map_columns(&|c| known(&places, c))).collect();
        Ok((operator, exprs))
    }

    /// The order in which [`Self::with_subqueries`] appends columns for these expressions.
    fn order_of_apply(&self, exprs: &[Expr]) -> Vec<usize> {
        let numbers: BTreeSet<usize> = exprs.iter().flat_map(subqueries_of).collect();
        let mut inner: Vec<Expr> = Vec::new();
        for number in &numbers {
            self.subqueries[*number].for_each_enclosing(&mut |expr| inner.push(expr.clone()));
        }
        let mut places = if inner.iter().all(|expr| subqueries_of(expr).is_empty()) {
            Vec::new()
        } else {
            self.order_of_apply(&inner)
        };
        places.extend(numbers);
        places
    }

    fn sort(&self, input: &Plan, keys: &[SortKey], limit: Option<usize>) -> Result<Operator> {
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
            match super::plain_column(expr) {
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

    fn aggregate(
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
            let one = super::subquery::literal(SqlType::bigint(), Value::Int(1));
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

    fn join(&self, join: &Join) -> Result<Operator> {
        if join.on.iter().any(|expr| !subqueries_of(expr).is_empty()) {
            return Err(Error::not_supported(
                "a correlated subquery in ON of an outer join; move it to WHERE or a derived table",
            ));
        }
        if let Some(lookup) = lookup::plan(join, self.subqueries, self.environment)? {
            let left = self.plan(&join.left, &Wish::default())?.operator;
            let types = join.left.types();
            let operator = LookupJoinExec::new(left, types, lookup, self.environment.clone());
            return Ok(Arc::new(operator));
        }
        if self.division.is_none()
            && locality::is_divisible(join, self.subqueries, self.environment)?
        {
            let parts = self.environment.slots_by_shard()?;
            if parts.len() > 1 {
                return self.divided(join, parts);
            }
        }
        let left = self.plan(&join.left, &Wish::default())?.operator;
        let right = self.plan(&join.right, &Wish::default())?.operator;
        let (left_width, right_width) = (join.left.width(), join.right.width());
        let mut keys: Vec<(Expr, Expr)> = Vec::new();
        let mut rest: Vec<Expr> = Vec::new();
        for condition in &join.on {
            match equality(condition, left_width, self.subqueries) {
                Some(pair) => keys.push(pair),
                None => rest.push(condition.clone()),
            }
        }
        // The second input is built into memory and the first one streams, so that rows keep its
        // order; the other way round when the first one promises to be small.
        let build_left =
            join.kind == JoinKind::Inner && lookup::is_small(&join.left, self.environment)?;
        let (build, probe, build_width) =
            if build_left { (left, right, left_width) } else { (right, left, right_width) };
        let side = |column: usize| {
            let is_left = column < left_width;
            let index = if is_left { column } else { column - left_width };
            let side = if is_left == build_left { JoinSide::Left } else { JoinSide::Right };
            ColumnIndex { index, side }
        };
        let filter = self.join_filter(&rest, &build, &probe, &side);
        let kind = match join.kind {
            JoinKind::Inner => JoinType::Inner,
            // The probe side is the one whose rows all stay.
            JoinKind::Left => JoinType::Right,
        };
        let output: Option<Vec<usize>> = if build_left {
            None
        } else {
            let probe_first = build_width..build_width + left_width;
            Some(probe_first.chain(0..build_width).collect())
        };
        if keys.is_empty() {
            let operator = NestedLoopJoinExec::try_new(build, probe, filter, &kind, None)
                .map_err(error::unwrap)?;
            let operator: Operator = Arc::new(operator);
            return match output {
                Some(columns) => self.pick(operator, &columns),
                None => Ok(operator),
            };
        }
        let ctx = &self.environment.ctx;
        let (build_schema, probe_schema) = (build.schema(), probe.schema());
        let on = keys
            .iter()
            .map(|(left, right)| {
                let (build, probe) = if build_left { (left, right) } else { (right, left) };
                (weight(build, &build_schema, ctx), weight(probe, &probe_schema, ctx))
            })
            .collect();
        let operator = HashJoinExec::try_new(
            build,
            probe,
            on,
            filter,
            &kind,
            None,
            match self.division {
                Some(_) => PartitionMode::Partitioned,
                None => PartitionMode::CollectLeft,
            },
            NullEquality::NullEqualsNothing,
            false,
        )
        .map_err(error::unwrap)?;
        let operator: Operator = Arc::new(operator);
        match output {
            Some(columns) => self.pick(operator, &columns),
            None => Ok(operator),
        }
    }

    /// A join of co-located tables, each partition of it on its own.
    fn divided(&self, join: &Join, parts: Arc<[SlotRange]>) -> Result<Operator> {
        let division = Division { parts, scans: RefCell::default() };
        let inside = Builder {
            subqueries: self.subqueries,
            environment: self.environment,
            division: Some(&division),
        };
        let operator = inside.join(join)?;
        let scans = division.scans.into_inner();
        Ok(Arc::new(LocalExec::new(operator, scans, self.environment.clone())))
    }

    fn join_filter(
        &self,
        conditions: &[Expr],
        build: &Operator,
        probe: &Operator,
        side: &dyn Fn(usize) -> ColumnIndex,
    ) -> Option<JoinFilter> {
        if conditions.is_empty() {
            return None;
        }
        let mut columns = BTreeSet::new();
        for condition in conditions {
            columns.extend(columns_of(condition, self.subqueries));
        }
        let columns: Vec<usize> = columns.into_iter().collect();
        let indices: Vec<ColumnIndex> = columns.iter().map(|&column| side(column)).collect();
        let fields: Vec<Field> = indices
            .iter()
            .map(|index| {
                let schema =
                    if index.side == JoinSide::Left { build.schema() } else { probe.schema() };
                schema.field(index.index).clone()
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let place = |column: usize| columns.binary_search(&column).unwrap_or(column);
        let conditions: Vec<Expr> =
            conditions.iter().map(|condition| condition.map_columns(&place)).collect();
        let predicate = condition(&conditions, &schema, &self.environment.ctx);
        Some(JoinFilter::new(predicate, indices, schema))
    }
}

/// The columns that a sort compares; none when it compares anything else.
fn order_of(keys: &[SortKey]) -> Vec<(usize, bool)> {
    let columns: Option<Vec<(usize, bool)>> = keys
        .iter()
        .map(|key| {
            let column = super::plain_column(&key.expr).filter(|column| *column < SUBQUERY)?;
            Some((column, key.descending))
        })
        .collect();
    columns.unwrap_or_default()
}

/// What a projection wishes from its input, and whether that is the whole order.
fn wish_through(wish: &Wish, exprs: &[Expr]) -> (Wish, bool) {
    let order: Option<Vec<(usize, bool)>> = wish
        .order
        .iter()
        .map(|(column, descending)| {
            let expr = &exprs[*column];
            let inner = super::plain_column(expr)
                .filter(|inner| *inner < SUBQUERY)
                .or_else(|| from_utc_column(expr))?;
            Some((inner, *descending))
        })
        .collect();
    let whole = order.is_some();
    (Wish { limit: wish.limit, order: order.unwrap_or_default() }, whole)
}

/// How a table is read, and whether its rows then come in the order that was wished for: the
/// direction of the walk that gives it.
fn scan_access(
    scan: &Scan,
    conjuncts: &[Expr],
    wish: &Wish,
    ctx: &EvalContext,
) -> Result<(Choice, Option<bool>)> {
    let table = &scan.table;
    let mut choice = access::plan_for(table, conjuncts, &scan.read_columns(), ctx)?;
    if wish.order.is_empty() {
        return Ok((choice, None));
    }
    let keys: Vec<(usize, bool)> =
        wish.order.iter().map(|(column, down)| (scan.columns[*column], *down)).collect();
    let mut walk = access::walk_order(table, &choice.access, &choice.fixed, &keys);
    if walk.is_none() && choice.access == Access::Full && wish.limit.is_some() {
        // An index in that order gives the first rows without reading all of them.
        for index in 1..table.indexes.len() {
            let whole = access::whole_index(table, index)?;
            walk = access::walk_order(table, &whole, &choice.fixed, &keys);
            if walk.is_some() {
                choice.access = whole;
                choice.covered.clear();
                break;
            }
        }
    }
    Ok((choice, walk))
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

fn smaller(a: Option<usize>, b: Option<usize>) -> Option<usize> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The TIMESTAMP column that an expression shows in the session's time zone: in the same order.
fn from_utc_column(expr: &Expr) -> Option<usize> {
    match &expr.kind {
        ExprKind::Call { args, .. } if crate::expr::build::is_from_utc(expr) => {
            super::plain_column(&args[0]).filter(|column| *column < SUBQUERY)
        }
        _ => None,
    }
}

/// Both sides of an equality between the inputs of a join, each over its own input, when they can be
/// keys of a hash table.
pub(crate) fn equality(
    condition: &Expr,
    left_width: usize,
    subqueries: &Subqueries,
) -> Option<(Expr, Expr)> {
    let ExprKind::Compare { op: CompareOp::Equal, domain, args } = &condition.kind else {
        return None;
    };
    let columns = [columns_of(&args[0], subqueries), columns_of(&args[1], subqueries)];
    let is_left = |columns: &BTreeSet<usize>| {
        !columns.is_empty() && columns.iter().all(|&column| column < left_width)
    };
    let is_right = |columns: &BTreeSet<usize>| {
        !columns.is_empty() && columns.iter().all(|&column| column >= left_width)
    };
    let (left, right) = if is_left(&columns[0]) && is_right(&columns[1]) {
        (&args[0], &args[1])
    } else if is_left(&columns[1]) && is_right(&columns[0]) {
        (&args[1], &args[0])
    } else {
        return None;
    };
    let right = right.map_columns(&|c| if c < SUBQUERY { c - left_width } else { c });
    let (mut left, mut right) = (left.clone(), right);
    match domain {
        Domain::Text => {
            // Both are compared under the collation of the left operand of `=`.
            let collation = args[0].ty.collation;
            left.ty.is_text().then_some(())?;
            right.ty.is_text().then_some(())?;
            if left.ty.collation != collation || right.ty.collation != collation {
                return None;
            }
        }
        Domain::Integer if left.ty.unsigned != right.ty.unsigned => {
            let exact = SqlType::decimal(20, 0);
            left = crate::expr::build::cast(left, exact);
            right = crate::expr::build::cast(right, exact);
        }
        Domain::Decimal => {
            let scale = left.ty.scale().max(right.ty.scale());
            let exact = SqlType::decimal(65, scale);
            left = crate::expr::build::cast(left, exact);
            right = crate::expr::build::cast(right, exact);
        }
        _ => {}
    }
    (weight_type(&left.ty) == weight_type(&right.ty)).then_some((left, right))
}
