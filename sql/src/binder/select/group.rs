//! GROUP BY and the stage of groups and aggregates.
//!
//! Not here: which expressions still have a value after grouping (`binder::group`), aggregates in expressions
//! (`binder::aggregate`).

use super::output::ordinal;
use super::{Item, Results};
use crate::ast::{self, OrderItem};
use crate::binder::aggregate::is_aggregate;
use crate::binder::group::Grouping;
use crate::binder::rewrite::same;
use crate::binder::{BindContext, Level};
use crate::context::SqlMode;
use crate::expr::{Expr, ExprKind};
use crate::planner::plan::Plan;
use crate::{Error, Result};

impl BindContext<'_> {
    pub(super) fn group_by(&mut self, group_by: &[OrderItem], items: &[Item]) -> Result<Vec<Expr>> {
        self.level()?.clause = "group statement";
        let aggregates = self.level()?.aggregates.take();
        let mut keys: Vec<Expr> = Vec::new();
        for item in group_by {
            let key = match ordinal(&item.expr, items.len(), "group statement")? {
                Some(place) => items[place].expr.clone(),
                None => self.expr(&item.expr)?,
            };
            if has_aggregate(&key) {
                let place = items.iter().find(|item| same(&item.expr, &key));
                return Err(Error::cannot_group(place.map_or("aggregate", |item| &item.name)));
            }
            if !keys.iter().any(|known| same(known, &key)) {
                keys.push(key);
            }
        }
        self.level()?.aggregates = aggregates;
        Ok(keys)
    }

    /// Groups and aggregates: what was bound over the columns of FROM is over keys and aggregates afterwards.
    pub(super) fn group_stage(
        &mut self,
        plan: Plan,
        select: &ast::Select,
        mut level: Level,
        keys: Vec<Expr>,
        results: &mut Results,
    ) -> Result<Plan> {
        let aggregated = level.aggregates.as_ref().is_some_and(|found| !found.is_empty());
        if keys.is_empty() && !aggregated {
            return match level.groupings.is_empty() {
                true => Ok(plan),
                false => Err(Error::invalid_group_use()),
            };
        }
        let full = self.ctx.sql_mode.contains(SqlMode::ONLY_FULL_GROUP_BY);
        let mut grouping = Grouping::new(&plan, keys, &mut level, select.rollup, full);
        for (i, item) in results.items.iter_mut().enumerate() {
            let column = |name: &str| grouping_error(full, !grouping_keys(select), i + 1, name);
            item.expr = grouping.after(&item.expr, self, &column)?;
        }
        for expr in &mut results.having {
            let column = |name: &str| {
                let column = name.rsplit('.').next().unwrap_or(name);
                Some(Error::unknown_column(column, "having clause"))
            };
            *expr = grouping.after(expr, self, &column)?;
        }
        for (i, key) in results.order.iter_mut().enumerate() {
            let column = |name: &str| order_error(full, i + 1, name);
            key.expr = grouping.after(&key.expr, self, &column)?;
        }
        for window in &mut results.windows {
            let column = |name: &str| grouping_error(full, !grouping_keys(select), 1, name);
            window.map(&mut |expr| grouping.after(expr, self, &column))?;
        }
        let order = match select.rollup && results.order.is_empty() {
            true => grouping.rollup_order(self.ctx)?,
            false => Vec::new(),
        };
        let plan = grouping.plan(plan, self.ctx)?;
        Ok(match order.is_empty() {
            true => plan,
            false => Plan::Sort { input: Box::new(plan), keys: order },
        })
    }
}

fn grouping_keys(select: &ast::Select) -> bool {
    !select.group_by.is_empty()
}

/// What is wrong with a select item that is neither grouped nor aggregated, if anything is.
fn grouping_error(full: bool, implicit: bool, item: usize, column: &str) -> Option<Error> {
    match (full, implicit) {
        (false, _) => None,
        (true, true) => Some(Error::mixed_without_group(item, column)),
        (true, false) => Some(Error::not_grouped(item, column)),
    }
}

fn order_error(full: bool, item: usize, column: &str) -> Option<Error> {
    full.then(|| {
        let error = Error::not_grouped(item, column);
        Error { message: error.message.replacen("SELECT list", "ORDER BY clause", 1), ..error }
    })
}

fn has_aggregate(expr: &Expr) -> bool {
    expr.any(&|part| matches!(part.kind, ExprKind::Column(c) if is_aggregate(c)))
}
