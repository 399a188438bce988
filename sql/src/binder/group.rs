//! Grouping: which expressions still have a value after rows became groups.
//!
//! ```text
//! before   columns of FROM, placeholders of aggregates
//! after    keys, then aggregates        an expression equal to a key → the key's column
//!                                       an aggregate                 → its column
//!                                       a column that the keys decide → FIRST(column)
//! ```
//!
//! WITH ROLLUP makes each row count in its group and in the groups above: it is joined with the numbers 0 to n of keys that are
//! rolled up, the last ones first, and those keys are NULL:
//!
//! ```text
//! GROUP BY a, b WITH ROLLUP      row (1, 2)  ──>  (1, 2, 0)  (1, NULL, 1)  (NULL, NULL, 2)      the last column is a key, too
//! ```
//!
//! A column is decided by the keys (functionally dependent, as ONLY_FULL_GROUP_BY asks) when it is a
//! key, when WHERE or an inner join makes it equal to a constant or a decided column, or when a unique
//! key of its table without NULLs is decided.

use super::aggregate::{AGGREGATE, GROUPING, is_aggregate, is_grouping};
use super::rewrite::same;
use super::subquery::column_expr;
use super::{BindContext, Level, Scope};
use crate::ast::BinaryOp;
use crate::context::EvalContext;
use crate::exec::subquery::literal;
use crate::expr::{CompareOp, Expr, ExprKind, build};
use crate::planner::plan::{
    Aggregate, AggregateFunction, Join, JoinKind, OUTER, Plan, SUBQUERY, SortKey,
};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a column that has no value in its group makes of the statement; `None` allows any value.
pub(crate) type NotGrouped<'a> = dyn Fn(&str) -> Option<Error> + 'a;

/// The groups of a query block.
pub(crate) struct Grouping {
    keys: Vec<Expr>,
    /// WITH ROLLUP.
    rollup: bool,
    /// Arguments of GROUPING() calls.
    groupings: Vec<Vec<Expr>>,
    aggregates: Vec<Aggregate>,
    /// Columns of FROM that have one value per group.
    decided: BTreeSet<usize>,
}

impl Grouping {
    pub(crate) fn new(
        input: &Plan,
        keys: Vec<Expr>,
        level: &mut Level,
        rollup: bool,
        full: bool,
    ) -> Grouping {
        let scope = &level.scope;
        // In the totals of ROLLUP keys are NULL, and decide nothing.
        let decided = match full && !rollup {
            true => decided_columns(input, scope, &keys),
            false => BTreeSet::new(),
        };
        let aggregates = level.aggregates.take().unwrap_or_default();
        let groupings = std::mem::take(&mut level.groupings);
        Grouping { keys, rollup, groupings, aggregates, decided }
    }

    /// Columns of keys after grouping.
    fn width(&self) -> usize {
        self.keys.len() + usize::from(self.rollup)
    }

    /// Whether a key is rolled up, over a row whose column at this place says how many are.
    fn is_rolled(&self, key: usize, place: usize, ctx: &EvalContext) -> Result<Expr> {
        let ty = SqlType::bigint().not_null();
        let least = literal(ty, Value::Int((self.keys.len() - key) as i64));
        build::binary(BinaryOp::GreaterEqual, column_expr(place, ty, ""), least, ctx)
    }

    /// GROUPING(): a bit for each argument, the last one lowest.
    fn rolled_bits(&self, args: &[Expr], ctx: &EvalContext) -> Result<Expr> {
        let ty = SqlType::bigint().not_null();
        let mut bits = literal(ty, Value::Int(0));
        for (i, arg) in args.iter().enumerate() {
            let key = self.keys.iter().position(|key| same(key, arg));
            let key = key.ok_or_else(|| Error::grouping_of_no_key(i + 1))?;
            let rolled = self.is_rolled(key, self.keys.len(), ctx)?;
            let twice = build::binary(BinaryOp::Multiply, bits, literal(ty, Value::Int(2)), ctx)?;
            bits = build::binary(BinaryOp::Add, twice, rolled, ctx)?;
        }
        Ok(bits)
    }

    /// The order in which ROLLUP answers: groups by their keys, each total behind what it sums up.
    pub(crate) fn rollup_order(&self, ctx: &EvalContext) -> Result<Vec<SortKey>> {
        let mut order = Vec::with_capacity(self.keys.len() * 2);
        for (place, key) in self.keys.iter().enumerate() {
            let expr = self.is_rolled(place, self.keys.len(), ctx)?;
            order.push(SortKey { expr, descending: false });
            let expr = column_expr(place, key.ty.with_nullable(true), "");
            order.push(SortKey { expr, descending: false });
        }
        Ok(order)
    }

    /// The expression over the columns after grouping.
    pub(crate) fn after(
        &mut self,
        expr: &Expr,
        bind: &mut BindContext<'_>,
        error: &NotGrouped<'_>,
    ) -> Result<Expr> {
        if let Some(key) = self.keys.iter().position(|key| same(key, expr)) {
            let name = expr.name.as_deref().unwrap_or("").to_string();
            let ty = expr.ty.with_nullable(expr.ty.nullable || self.rollup);
            return Ok(column_expr(key, ty, &name));
        }
        let any = |_: &str| None;
        let error = if is_any_value(expr) { &any } else { error };
        let ExprKind::Column(position) = expr.kind else {
            let mut failure = None;
            let mapped = expr.map_operands(&mut |operand| {
                if failure.is_some() {
                    return operand.clone();
                }
                self.after(operand, bind, error).unwrap_or_else(|problem| {
                    failure = Some(problem);
                    operand.clone()
                })
            });
            return failure.map_or(Ok(mapped), Err);
        };
        let column = |place: usize| Expr { kind: ExprKind::Column(place), ..expr.clone() };
        if is_aggregate(position) {
            return Ok(column(self.width() + position - AGGREGATE));
        }
        if is_grouping(position) {
            if !self.rollup {
                return Err(Error::invalid_group_use());
            }
            let args = self.groupings.get(position - GROUPING).cloned().unwrap_or_default();
            return self.rolled_bits(&args, bind.ctx);
        }
        if (SUBQUERY..OUTER).contains(&position) {
            let number = self.move_subquery(position - SUBQUERY, bind, error)?;
            return Ok(column(SUBQUERY + number));
        }
        if position >= OUTER {
            return Ok(expr.clone());
        }
        if !self.decided.contains(&position) {
            let name = expr.name.as_deref().unwrap_or("").replace('`', "");
            if let Some(error) = error(&name) {
                return Err(error);
            }
        }
        let place = self.aggregates.iter().position(|aggregate| {
            aggregate.function == AggregateFunction::First && same(&aggregate.args[0], expr)
        });
        let place = place.unwrap_or_else(|| {
            self.aggregates.push(Aggregate {
                function: AggregateFunction::First,
                distinct: false,
                args: vec![expr.clone()],
                ty: expr.ty.with_nullable(true),
            });
            self.aggregates.len() - 1
        });
        Ok(column(self.width() + place))
    }

    /// The same subquery with its outer values taken behind the grouping, as a new one.
    fn move_subquery(
        &mut self,
        number: usize,
        bind: &mut BindContext<'_>,
        error: &NotGrouped<'_>,
    ) -> Result<usize> {
        let mut subquery = (*bind.subqueries[number]).clone();
        subquery.try_map_enclosing(&mut |expr| self.after(expr, bind, error))?;
        bind.subqueries.push(Arc::new(subquery));
        Ok(bind.subqueries.len() - 1)
    }

    /// The grouping of a plan's rows. Call it after all expressions have passed [`Self::after`].
    pub(crate) fn plan(self, input: Plan, ctx: &EvalContext) -> Result<Plan> {
        if !self.rollup {
            let (keys, aggregates) = (self.keys, self.aggregates);
            return Ok(Plan::Aggregate { input: Box::new(input), keys, aggregates });
        }
        let place = input.width();
        let ty = SqlType::bigint().not_null();
        let mut keys = Vec::with_capacity(self.width());
        for (i, key) in self.keys.iter().enumerate() {
            let rolled = self.is_rolled(i, place, ctx)?;
            keys.push(build::case(None, vec![(rolled, build::null())], Some(key.clone()), ctx)?);
        }
        keys.push(column_expr(place, ty, ""));
        let rows = (0..=self.keys.len() as i64).map(|rolled| vec![Value::Int(rolled)]).collect();
        let levels =
            Plan::Rows { name: "rollup".to_string(), types: vec![ty], rows: Arc::new(rows) };
        let input = Plan::Join(Box::new(Join {
            left: input,
            right: levels,
            kind: JoinKind::Inner,
            on: Vec::new(),
            straight: true,
        }));
        Ok(Plan::Aggregate { input: Box::new(input), keys, aggregates: self.aggregates })
    }
}

/// ANY_VALUE(): the value itself, in a wrapping that lets columns in it have any value of their group.
pub(crate) fn any_value(expr: Expr) -> Expr {
    Expr { kind: ExprKind::Coalesce(Arc::from([expr.clone()])), name: None, ..expr }
}

fn is_any_value(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Coalesce(args) if args.len() == 1)
}

fn decided_columns(input: &Plan, scope: &Scope, keys: &[Expr]) -> BTreeSet<usize> {
    let mut decided: BTreeSet<usize> = keys.iter().filter_map(plain).collect();
    let mut conditions = Vec::new();
    certain_conditions(input, 0, &mut conditions);
    loop {
        let before = decided.len();
        for condition in &conditions {
            let ExprKind::Compare { op: CompareOp::Equal, args, .. } = &condition.kind else {
                continue;
            };
            for (a, b) in [(&args[0], &args[1]), (&args[1], &args[0])] {
                if let Some(column) = plain(a)
                    && (b.is_constant() || plain(b).is_some_and(|other| decided.contains(&other)))
                {
                    decided.insert(column);
                }
            }
        }
        for (first, column) in scope.columns.iter().enumerate() {
            // The columns of a table stand one after the other.
            let Some((table, 0)) = column.origin.as_ref().map(|(table, i)| (table, *i)) else {
                continue;
            };
            let is_decided = |index: &crate::catalog::IndexDef| {
                index.unique
                    && index.columns.iter().all(|c| {
                        c.prefix.is_none()
                            && !table.columns[c.column].ty.nullable
                            && decided.contains(&(first + c.column))
                    })
            };
            if table.indexes.iter().any(is_decided) {
                decided.extend(first..first + table.columns.len());
            }
        }
        if decided.len() == before {
            return decided;
        }
    }
}

/// The position when an expression is a column of FROM, or what is shown of it.
fn plain(expr: &Expr) -> Option<usize> {
    match &expr.kind {
        ExprKind::Column(position) if *position < SUBQUERY => Some(*position),
        ExprKind::Call { args, .. } if crate::expr::build::is_shown_column(expr) => plain(&args[0]),
        _ => None,
    }
}

/// Conditions that hold for every row of FROM and WHERE, over its columns.
fn certain_conditions(plan: &Plan, offset: usize, out: &mut Vec<Expr>) {
    let moved = |expr: &Expr| expr.map_columns(&|c| if c < SUBQUERY { c + offset } else { c });
    match plan {
        Plan::Filter { input, conjuncts } => {
            out.extend(conjuncts.iter().map(moved));
            certain_conditions(input, offset, out);
        }
        Plan::Join(join) => {
            if join.kind == JoinKind::Inner {
                out.extend(join.on.iter().map(moved));
                certain_conditions(&join.right, offset + join.left.width(), out);
            }
            certain_conditions(&join.left, offset, out);
        }
        _ => {}
    }
}
