//! The last stage: select list with hidden sort keys, DISTINCT, ORDER BY, LIMIT.
//!
//! ```text
//! Project (items, hidden keys) ─ [Distinct] ─ [Sort] ─ [Limit] ─ [Project (items)]
//! [Sort] ─ [Limit] ─ Project (items that assign to user variables)
//! ```

use super::Item;
use crate::ast::{self, ExprKind as Ast, Literal, OrderItem};
use crate::binder::rewrite::same;
use crate::binder::subquery::column_expr;
use crate::binder::{BindContext, Level};
use crate::expr::{Expr, ExprKind};
use crate::planner::plan::{Plan, SortKey, subqueries_of};
use crate::{Error, Result};

impl BindContext<'_> {
    pub(super) fn order_by(
        &mut self,
        order_by: &[OrderItem],
        items: &[Item],
    ) -> Result<Vec<SortKey>> {
        let mut keys: Vec<SortKey> = Vec::new();
        for item in order_by {
            let expr = match ordinal(&item.expr, items.len(), "order clause")? {
                Some(place) => items[place].expr.clone(),
                None => {
                    // A bare name means a select item first.
                    let bare = matches!(&item.expr.kind, Ast::Column(name) if name.table.is_none());
                    self.level()?.aliases_first = bare;
                    let expr = self.expr(&item.expr);
                    self.level()?.aliases_first = false;
                    expr?
                }
            };
            if !keys.iter().any(|known| same(&known.expr, &expr)) {
                keys.push(SortKey { expr, descending: item.descending });
            }
        }
        Ok(keys)
    }

    /// The select list, DISTINCT, ORDER BY and LIMIT over the rows of a plan.
    pub(super) fn output(
        &mut self,
        input: Plan,
        distinct: bool,
        items: &[Item],
        order: Vec<SortKey>,
        limit: Option<&ast::Limit>,
    ) -> Result<Plan> {
        let width = items.len();
        let mut exprs: Vec<Expr> = items.iter().map(|item| item.expr.clone()).collect();
        if !distinct && exprs.iter().any(assigns) && order.iter().all(is_known_before) {
            // `@v := …` is computed for the rows that are answered, in their order.
            let keys = order.into_iter().filter(|key| !key.expr.is_constant()).collect();
            let input = Box::new(self.sort_and_limit(input, keys, limit)?);
            return Ok(Plan::Project { input, exprs });
        }
        let mut keys = Vec::new();
        for (i, key) in order.into_iter().enumerate() {
            if key.expr.is_constant() {
                continue;
            }
            let place = match exprs.iter().position(|expr| same(expr, &key.expr)) {
                Some(place) => place,
                None if distinct => {
                    let name = first_column_name(&key.expr);
                    return Err(Error::distinct_order(i + 1, name));
                }
                None => {
                    exprs.push(key.expr.clone());
                    exprs.len() - 1
                }
            };
            let expr = column_expr(place, key.expr.ty, name_of(&exprs[place]));
            keys.push(SortKey { expr, descending: key.descending });
        }
        let visible: Vec<Expr> = exprs[..width]
            .iter()
            .enumerate()
            .map(|(i, expr)| column_expr(i, expr.ty, name_of(expr)))
            .collect();
        let hidden = exprs.len() > width;
        let mut plan = Plan::Project { input: Box::new(input), exprs };
        if distinct {
            plan = Plan::Distinct { input: Box::new(plan) };
        }
        plan = self.sort_and_limit(plan, keys, limit)?;
        if hidden {
            plan = Plan::Project { input: Box::new(plan), exprs: visible };
        }
        Ok(plan)
    }

    /// ORDER BY and LIMIT over the rows of a plan.
    pub(crate) fn sort_and_limit(
        &mut self,
        mut plan: Plan,
        keys: Vec<SortKey>,
        limit: Option<&ast::Limit>,
    ) -> Result<Plan> {
        if !keys.is_empty() {
            plan = Plan::Sort { input: Box::new(plan), keys };
        }
        if let Some(limit) = limit {
            let level = Level { clause: "limit clause", ..Level::default() };
            let ((count, offset), _) = self.in_level(level, |bind| {
                let count = bind.expr(&limit.count)?;
                let offset = limit.offset.as_ref().map(|offset| bind.expr(offset)).transpose()?;
                Ok((count, offset))
            })?;
            plan = Plan::Limit { input: Box::new(plan), offset, count: Some(count) };
        }
        Ok(plan)
    }
}

/// `ORDER BY 2`: the place of the select item, from 0.
pub(crate) fn ordinal(expr: &ast::Expr, width: usize, clause: &str) -> Result<Option<usize>> {
    let Ast::Literal(Literal::Integer(number)) = &expr.kind else { return Ok(None) };
    match usize::try_from(*number) {
        Ok(place) if (1..=width).contains(&place) => Ok(Some(place - 1)),
        _ => Err(Error::unknown_column(number, clause)),
    }
}

/// Whether an expression sets a user variable.
fn assigns(expr: &Expr) -> bool {
    expr.any(&|part| matches!(part.kind, ExprKind::AssignUserVariable { .. }))
}

/// Whether a sort key does not wait for the select list, nor for a subquery.
fn is_known_before(key: &SortKey) -> bool {
    !key.expr.is_ordered() && subqueries_of(&key.expr).is_empty()
}

/// The column that an expression is, for error texts and EXPLAIN.
fn name_of(expr: &Expr) -> &str {
    expr.name.as_deref().unwrap_or("")
}

fn first_column_name(expr: &Expr) -> String {
    let mut found = None;
    find_name(expr, &mut found);
    found.unwrap_or_default()
}

fn find_name(expr: &Expr, found: &mut Option<String>) {
    if found.is_none()
        && let Some(name) = &expr.name
    {
        *found = Some(name.replace('`', ""));
    }
    expr.operands(&mut |operand| find_name(operand, found));
}
