//! Grouping: which expressions still have a value after rows became groups.
//!
//! ```text
//! before   columns of FROM, placeholders of aggregates
//! after    keys, then aggregates        an expression equal to a key → the key's column
//!                                       an aggregate                 → its column
//!                                       a column that the keys decide → FIRST(column)
//! ```
//!
//! A column is decided by the keys (functionally dependent, as ONLY_FULL_GROUP_BY asks) when it is a
//! key, when WHERE or an inner join makes it equal to a constant or a decided column, or when a unique
//! key of its table without NULLs is decided.

use super::aggregate::{AGGREGATE, is_aggregate};
use super::rewrite::same;
use super::subquery::column_expr;
use super::{BindContext, Scope};
use crate::expr::{CompareOp, Expr, ExprKind};
use crate::planner::plan::{Aggregate, AggregateFunction, JoinKind, OUTER, Plan, SUBQUERY};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a column that has no value in its group makes of the statement; `None` allows any value.
pub(crate) type NotGrouped<'a> = dyn Fn(&str) -> Option<Error> + 'a;

/// The groups of a query block.
pub(crate) struct Grouping {
    keys: Vec<Expr>,
    aggregates: Vec<Aggregate>,
    /// Columns of FROM that have one value per group.
    decided: BTreeSet<usize>,
}

impl Grouping {
    pub(crate) fn new(
        input: &Plan,
        scope: &Scope,
        keys: Vec<Expr>,
        aggregates: Vec<Aggregate>,
        full: bool,
    ) -> Grouping {
        let decided = if full { decided_columns(input, scope, &keys) } else { BTreeSet::new() };
        Grouping { keys, aggregates, decided }
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
            return Ok(column_expr(key, expr.ty, &name));
        }
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
            return Ok(column(self.keys.len() + position - AGGREGATE));
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
        Ok(column(self.keys.len() + place))
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
    pub(crate) fn plan(self, input: Plan) -> Plan {
        Plan::Aggregate { input: Box::new(input), keys: self.keys, aggregates: self.aggregates }
    }
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
