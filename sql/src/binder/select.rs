//! One SELECT: its clauses in the order in which they mean something.
//!
//! ```text
//! FROM ─ WHERE ─ [groups ─ HAVING] ─ select list (+ hidden sort keys) ─ [DISTINCT] ─ ORDER BY ─ LIMIT
//! ```
//!
//! Names: GROUP BY and HAVING prefer columns of FROM (HAVING only grouped ones) to aliases of the
//! select list; ORDER BY prefers aliases, but inside of an expression columns of FROM.

use super::group::Grouping;
use super::rewrite::same;
use super::subquery::column_expr;
use super::{BindContext, BoundColumn, Level};
use crate::ast::{self, ExprKind as Ast, Literal, OrderItem, SelectItem};
use crate::context::SqlMode;
use crate::expr::{Expr, ExprKind};
use crate::planner::plan::{Plan, SortKey};
use crate::session::ColumnMeta;
use crate::{Error, Result};

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
    filter: Vec<Expr>,
    items: Vec<Item>,
    keys: Vec<Expr>,
    having: Vec<Expr>,
    order: Vec<SortKey>,
}

impl BindContext<'_> {
    /// A SELECT with the ORDER BY and LIMIT that belong to it.
    pub(crate) fn select(
        &mut self,
        select: &ast::Select,
        order_by: &[OrderItem],
        limit: Option<&ast::Limit>,
    ) -> Result<(Plan, Vec<BoundColumn>)> {
        if select.rollup {
            return Err(Error::not_supported(
                "GROUP BY … WITH ROLLUP; add the totals with UNION ALL",
            ));
        }
        if !select.windows.is_empty() {
            return Err(Error::not_supported("window functions; use GROUP BY or a subquery"));
        }
        let source = self.bind_from(&select.from, select.options.straight_join)?;
        let level = Level { scope: source.scope, ..Level::default() };
        let (clauses, level) = self.in_level(level, |bind| bind.clauses(select, order_by))?;
        let mut plan = source.plan;
        if !clauses.filter.is_empty() {
            plan = Plan::Filter { input: Box::new(plan), conjuncts: clauses.filter };
        }
        let aggregates = level.aggregates.unwrap_or_default();
        let Clauses { mut items, mut having, mut order, keys, .. } = clauses;
        if !keys.is_empty() || !aggregates.is_empty() {
            let full = self.ctx.sql_mode.contains(SqlMode::ONLY_FULL_GROUP_BY);
            let mut grouping = Grouping::new(&plan, &level.scope, keys, aggregates, full);
            for (i, item) in items.iter_mut().enumerate() {
                let column = |name: &str| grouping_error(full, !grouping_keys(select), i + 1, name);
                item.expr = grouping.after(&item.expr, self, &column)?;
            }
            for expr in &mut having {
                let column = |name: &str| {
                    let column = name.rsplit('.').next().unwrap_or(name);
                    Some(Error::unknown_column(column, "having clause"))
                };
                *expr = grouping.after(expr, self, &column)?;
            }
            for (i, key) in order.iter_mut().enumerate() {
                let column = |name: &str| order_error(full, i + 1, name);
                key.expr = grouping.after(&key.expr, self, &column)?;
            }
            plan = grouping.plan(plan);
        }
        if !having.is_empty() {
            plan = Plan::Filter { input: Box::new(plan), conjuncts: having };
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
        self.level()?.aggregates = Some(Vec::new());
        let items = self.select_list(select)?;
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
        self.level()?.clause = "order clause";
        let order = self.order_by(order_by, &items)?;
        Ok(Clauses { filter, items, keys, having, order })
    }

    fn select_list(&mut self, select: &ast::Select) -> Result<Vec<Item>> {
        let mut items = Vec::with_capacity(select.items.len());
        for item in &select.items {
            match item {
                SelectItem::Wildcard => {
                    if select.from.is_empty() {
                        return Err(Error::no_tables_used());
                    }
                    let positions = self.level()?.scope.star.clone();
                    self.wildcard(positions, &mut items)?;
                }
                SelectItem::TableWildcard(table) => {
                    let scope = &self.level()?.scope;
                    let database = table.database.as_deref();
                    let positions = scope.table_star(database, &table.name);
                    if positions.is_empty() {
                        return Err(Error::unknown_table(&table.name));
                    }
                    self.wildcard(positions, &mut items)?;
                }
                SelectItem::Expr { expr, .. } => {
                    let bound = self.expr(expr)?;
                    let meta = match &expr.kind {
                        Ast::Column(name) => self.column_meta(name)?,
                        _ => None,
                    };
                    let name = item.name().unwrap_or_default();
                    items.push(Item { expr: bound, name, meta });
                }
            }
        }
        Ok(items)
    }

    fn wildcard(&mut self, positions: Vec<usize>, items: &mut Vec<Item>) -> Result<()> {
        for position in positions {
            let Some(super::Entry::Level(level)) = self.stack.last() else {
                return Err(Error::internal("a select list outside of every query block"));
            };
            let expr = self.scope_column(level, position)?;
            let column = &level.scope.columns[position];
            items.push(Item { expr, name: column.name.clone(), meta: Some(column.meta.clone()) });
        }
        Ok(())
    }

    /// What the client is told about a plain column.
    fn column_meta(&mut self, name: &ast::ColumnName) -> Result<Option<ColumnMeta>> {
        let level = self.level()?;
        let position = level.scope.find(name, level.clause)?;
        Ok(position.map(|position| level.scope.columns[position].meta.clone()))
    }

    fn group_by(&mut self, group_by: &[OrderItem], items: &[Item]) -> Result<Vec<Expr>> {
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

    fn order_by(&mut self, order_by: &[OrderItem], items: &[Item]) -> Result<Vec<SortKey>> {
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
    fn output(
        &mut self,
        input: Plan,
        distinct: bool,
        items: &[Item],
        order: Vec<SortKey>,
        limit: Option<&ast::Limit>,
    ) -> Result<Plan> {
        let width = items.len();
        let mut exprs: Vec<Expr> = items.iter().map(|item| item.expr.clone()).collect();
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
    expr.any(&|part| matches!(part.kind, ExprKind::Column(c) if super::aggregate::is_aggregate(c)))
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
