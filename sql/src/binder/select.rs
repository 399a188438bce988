//! One SELECT: its clauses in the order in which they mean something.
//!
//! ```text
//! FROM ─ WHERE ─ [groups ─ HAVING] ─ [windows] ─ output: select list (+ hidden sort keys) ─ [DISTINCT] ─ ORDER BY ─ LIMIT
//! ```
//!
//! All clauses are bound over the columns of FROM first (`Clauses`). A stage that makes other rows, as groups are, maps the
//! `Results`, what is still to be computed, onto them.
//!
//! Names: GROUP BY and HAVING prefer columns of FROM (HAVING only grouped ones) to aliases of the
//! select list; ORDER BY prefers aliases, but inside of an expression columns of FROM.
//!
//! Parts: `list` (the select list), `group` (GROUP BY, the stage of groups), `output`.

mod group;
mod list;
mod output;

use super::window::{self, Windowed};
use super::{BindContext, BoundColumn, Level};
use crate::ast::{self, OrderItem};
use crate::expr::{Expr, ExprKind, build};
use crate::planner::plan::{Plan, SortKey};
use crate::session::ColumnMeta;
use crate::{Error, Result};

pub(crate) use output::ordinal;

/// An item of the select list.
struct Item {
    /// Its value over the columns of FROM.
    expr: Expr,
    /// Its name.
    name: String,
    /// What the client is told when it is a column of a table.
    meta: Option<ColumnMeta>,
}

/// Everything of one SELECT, bound over the columns of FROM.
struct Clauses {
    /// WHERE.
    filter: Vec<Expr>,
    /// GROUP BY.
    keys: Vec<Expr>,
    results: Results,
}

/// What is computed over the rows of FROM, or over groups once they are made.
struct Results {
    items: Vec<Item>,
    having: Vec<Expr>,
    order: Vec<SortKey>,
    windows: Vec<Windowed>,
}

impl BindContext<'_> {
    /// A SELECT with the ORDER BY and LIMIT that belong to it.
    pub(crate) fn select(
        &mut self,
        select: &ast::Select,
        order_by: &[OrderItem],
        limit: Option<&ast::Limit>,
    ) -> Result<(Plan, Vec<BoundColumn>)> {
        window::check_names(&select.windows)?;
        let source = self.bind_from(&select.from, select.options.straight_join)?;
        let level = Level { scope: source.scope, ..Level::default() };
        let (clauses, level) = self.in_level(level, |bind| bind.clauses(select, order_by))?;
        let Clauses { filter, keys, mut results } = clauses;
        let plan = filtered(source.plan, filter);
        let plan = self.group_stage(plan, select, level, keys, &mut results)?;
        let Results { mut items, having, mut order, windows } = results;
        let mut plan = filtered(plan, having);
        if !windows.is_empty() {
            let (windowed, columns) = self.window_stage(plan, windows)?;
            plan = windowed;
            let exprs = items.iter_mut().map(|item| &mut item.expr);
            for expr in exprs.chain(order.iter_mut().map(|key| &mut key.expr)) {
                *expr = window::with_results(expr, &columns);
            }
        }
        let plan = self.output(plan, select.distinct, &items, order, limit)?;
        let columns = items
            .into_iter()
            .map(|item| {
                let ty = item.expr.ty;
                let meta = match item.meta {
                    Some(meta) => ColumnMeta { name: item.name, ..meta },
                    None => ColumnMeta::computed(item.name, ty),
                };
                BoundColumn { meta, ty }
            })
            .collect();
        Ok((plan, columns))
    }

    fn clauses(&mut self, select: &ast::Select, order_by: &[OrderItem]) -> Result<Clauses> {
        let mut filter = Vec::new();
        if let Some(condition) = &select.filter {
            self.level()?.clause = "where clause";
            filter = self.expr(condition)?.conjuncts();
        }
        self.level()?.clause = "field list";
        let level = self.level()?;
        level.aggregates = Some(Vec::new());
        level.windows = Some(Vec::new());
        level.named_windows = select.windows.clone();
        let items = self.select_list(select)?;
        // GROUP BY and HAVING come before windows.
        let windows = self.level()?.take_windows();
        let aliases = items.iter().map(|item| (item.name.clone(), item.expr.clone())).collect();
        self.level()?.aliases = aliases;
        let keys = self.group_by(&select.group_by, &items)?;
        let mut having = Vec::new();
        if let Some(condition) = &select.having {
            let grouped = keys
                .iter()
                .filter_map(|key| match key.kind {
                    ExprKind::Column(position) => Some(position),
                    _ => None,
                })
                .collect();
            let level = self.level()?;
            (level.clause, level.aliases_first, level.grouped) = ("having clause", true, grouped);
            having = self.expr(condition)?.conjuncts();
            self.level()?.aliases_first = false;
        }
        if let Some(item) = items.iter().find(|item| {
            let named = |expr: &Expr| window::has_window(expr);
            window::has_window(&item.expr) && keys.iter().chain(&having).any(named)
        }) {
            return Err(Error::window_alias_misplaced(&item.name));
        }
        self.level()?.windows = Some(windows);
        self.level()?.clause = "order clause";
        let mut order = self.order_by(order_by, &items)?;
        if !select.distinct {
            // ENUM and SET are ordered by number, where their rows still have it.
            for key in &mut order {
                key.expr = build::stored_member(&key.expr).unwrap_or_else(|| key.expr.clone());
            }
        }
        let windows = self.level()?.take_windows();
        Ok(Clauses { filter, keys, results: Results { items, having, order, windows } })
    }
}

/// The rows for which all conjuncts are true.
pub(super) fn filtered(plan: Plan, conjuncts: Vec<Expr>) -> Plan {
    match plan {
        plan if conjuncts.is_empty() => plan,
        // The condition of a view comes first.
        Plan::Filter { input, conjuncts: mut all } => {
            all.extend(conjuncts);
            Plan::Filter { input, conjuncts: all }
        }
        plan => Plan::Filter { input: Box::new(plan), conjuncts },
    }
}
