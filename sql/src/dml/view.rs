//! What a statement that changes rows calls a table: by the table's own name and columns, or through views.
//!
//! ```text
//! UPDATE v SET x = 1 WHERE y > 2       v: select `d`.`t`.`a` AS `x`,`d`.`t`.`b` AS `y` from `d`.`t` where (`d`.`t`.`c` = 3)
//!   row       that of t: all scopes have its columns at their places
//!   names     x is a, y is b; c has no name
//!   rows      those with c = 3, bound over the names inside of the view
//!   checks    WITH CHECK OPTION: the new row must have c = 3, too (1369)
//! ```
//!
//! A view can be changed through when it shows plain columns of one table, or of one such view. Computed columns and joins are refused.
//!
//! Invariant: a scope here has the columns of the table and no others, so expressions over any of them see the table's row.
//!
//! Not here: reading through views (`binder::view`).

use super::{bind, find_writable};
use crate::ast::{self, CheckOption, ColumnName, QueryBody, SelectItem, TableRef};
use crate::binder::Scope;
use crate::binder::view::WITHIN;
use crate::catalog::{Catalog, TableDef, ViewDef};
use crate::context::EvalContext;
use crate::expr::Expr;
use crate::session::Session;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::value::Value;
use crate::{Error, Result, view};
use base::TableId;
use std::sync::{Arc, OnceLock};

/// A table as a statement sees it.
pub(crate) struct Seen {
    /// The table.
    pub(crate) table: Arc<TableDef>,
    /// What the statement calls it.
    alias: String,
    /// What its columns are called. Of a table itself it is made when it is asked for: most INSERTs never do.
    scope: OnceLock<Scope>,
    /// Conditions of the views that it is seen through.
    conditions: Vec<Condition>,
    /// The outermost of them.
    view: Option<String>,
}

/// The condition of a view.
struct Condition {
    expr: ast::Expr,
    /// What names in it mean.
    scope: Scope,
    /// Whether new rows must meet it, too.
    is_checked: bool,
}

/// Conditions of views, over the row of their table.
pub(crate) struct Conditions {
    /// The rows that the views show.
    pub(crate) shown: Vec<Expr>,
    /// What is asked of new rows.
    pub(crate) checks: Checks,
}

/// WITH CHECK OPTION.
#[derive(Default)]
pub(crate) struct Checks {
    conditions: Vec<Expr>,
    /// The outermost view.
    view: String,
}

impl Checks {
    /// Refuses a row that the view would not show.
    ///
    /// # Errors
    /// 1369.
    pub(crate) fn check(&self, row: &[Value], ctx: &EvalContext) -> Result<()> {
        for condition in &self.conditions {
            if condition.truth(row, ctx)? != Some(true) {
                return Err(Error::view_check_failed(&self.view));
            }
        }
        Ok(())
    }
}

impl Seen {
    /// A table by its own name or an alias.
    pub(super) fn own(table: Arc<TableDef>, alias: &str) -> Seen {
        let (alias, scope) = (alias.to_string(), OnceLock::new());
        Seen { table, alias, scope, conditions: Vec::new(), view: None }
    }

    /// What its columns are called.
    pub(crate) fn scope(&self) -> &Scope {
        self.scope.get_or_init(|| Scope::of_table(&self.table, &self.alias))
    }

    /// The columns that a statement means which names none.
    pub(crate) fn columns(&self) -> Vec<usize> {
        match self.is_view() {
            true => self.scope().star.clone(),
            false => self.table.shown_columns().map(|(position, _)| position).collect(),
        }
    }

    /// Whether it is seen through a view.
    pub(crate) fn is_view(&self) -> bool {
        self.view.is_some()
    }

    /// The place of a column that a statement assigns.
    ///
    /// # Errors
    /// 1054.
    pub(crate) fn column(&self, name: &ColumnName) -> Result<usize> {
        let clause = "field list";
        if !self.is_view() {
            return bind::target(name, &self.table, &self.alias, clause);
        }
        self.scope().find(name, clause)?.ok_or_else(|| Error::unknown_column(name, clause))
    }

    /// Binds the conditions of the views.
    pub(crate) async fn conditions(
        &self,
        session: &Session,
        env: &StatementContext,
        txn: &SharedTransaction,
    ) -> Result<Conditions> {
        let (mut shown, mut checked) = (Vec::new(), Vec::new());
        for condition in &self.conditions {
            let list = [&condition.expr];
            let bound =
                bind::exprs(session, &list, &condition.scope, "where clause", env, txn).await?;
            let conjuncts = bound.iter().flat_map(Expr::conjuncts);
            match condition.is_checked {
                true => {
                    let conjuncts: Vec<Expr> = conjuncts.collect();
                    checked.extend(conjuncts.iter().cloned());
                    shown.extend(conjuncts);
                }
                false => shown.extend(conjuncts),
            }
        }
        let view = self.view.clone().unwrap_or_default();
        Ok(Conditions { shown, checks: Checks { conditions: checked, view } })
    }
}

/// The view that a statement names, when its query joins tables.
///
/// # Errors
/// None but that of a broken catalog.
pub(crate) fn find_join<'a>(
    name: &ast::TableName,
    session: &Session,
    catalog: &'a Catalog,
) -> Result<Option<&'a ViewDef>> {
    let default = session.default_database();
    let database = name.database.as_deref().or(default.as_deref());
    let view = database.and_then(|database| catalog.view(database, &name.name));
    let Some(view) = view.filter(|_| session.temporary_table(name).is_none()) else {
        return Ok(None);
    };
    let query = view::query_of(view)?;
    let QueryBody::Select(select) = &query.body else { return Ok(None) };
    let joins = !matches!(select.from.as_slice(), [TableRef::Table(_)]);
    Ok((joins && view.updatable && view::is_mergeable(&query)).then_some(&**view))
}

/// The table that a statement names to change it, perhaps through views. Its use is noted.
///
/// # Errors
/// 1288, 1471 for a view that shows no rows of a table, 1235 for one that cannot be changed through yet.
pub(crate) fn find(
    name: &ast::TableName,
    alias: Option<&str>,
    partitions: &[String],
    operation: &str,
    session: &Session,
    catalog: &Catalog,
) -> Result<Seen> {
    let default = session.default_database();
    let database = name.database.as_deref().or(default.as_deref());
    let view = database.and_then(|database| catalog.view(database, &name.name));
    let Some(view) = view.filter(|_| session.temporary_table(name).is_none()) else {
        let table = find_writable(name, alias, operation, session, catalog)?;
        let table = table.select_partitions(partitions)?;
        let alias = alias.map_or_else(|| table.name.clone(), str::to_string);
        return Ok(Seen::own(table, &alias));
    };
    if !partitions.is_empty() {
        return Err(Error::partition_clause_on_plain_table());
    }
    let (seen, path) =
        through(view, alias.unwrap_or(&view.name), operation, catalog, &mut Vec::new())?;
    session.enter(&seen.table, &path, true)?;
    Ok(seen)
}

/// The table behind a view, and what it goes by for LOCK TABLES.
fn through(
    view: &ViewDef,
    alias: &str,
    operation: &str,
    catalog: &Catalog,
    open: &mut Vec<TableId>,
) -> Result<(Seen, String)> {
    if open.contains(&view.id) {
        return Err(Error::view_recursion(&view.database, &view.name));
    }
    open.push(view.id);
    let query = view::query_of(view)?;
    let QueryBody::Select(select) = &query.body else {
        return Err(not_changeable(alias, operation));
    };
    if !view.updatable || !view::is_mergeable(&query) {
        return Err(not_changeable(alias, operation));
    }
    let [TableRef::Table(source)] = select.from.as_slice() else {
        return Err(not_yet(view, operation, "which joins tables"));
    };
    let invalid = || Error::view_invalid(view.qualified_name());
    let own = source.alias.as_deref().unwrap_or(&source.name.name);
    let database = source.name.database.as_deref().ok_or_else(invalid)?;
    let (inner, path) = match catalog.table(database, &source.name.name) {
        Some(table) => {
            let table = table.select_partitions(&source.partitions)?;
            (Seen::own(table, own), own.to_string())
        }
        None => {
            let inner = catalog.view(database, &source.name.name).ok_or_else(invalid)?;
            through(inner, own, operation, catalog, open)?
        }
    };
    let inside = inner.scope().clone();
    let mut scope = inside.clone();
    scope.star.clear();
    for column in &mut scope.columns {
        column.hidden = true;
        column.name.clear();
    }
    for (place, (item, name)) in select.items.iter().zip(&view.columns).enumerate() {
        let SelectItem::Expr { expr, .. } = item else { return Err(invalid()) };
        let ast::ExprKind::Column(column) = &expr.kind else {
            return Err(not_yet(view, operation, "which has a computed column"));
        };
        let position = inside.find(column, "field list")?.ok_or_else(invalid)?;
        if scope.star.contains(&position) {
            return Err(not_yet(view, operation, "which shows a column twice"));
        }
        let column = &mut scope.columns[position];
        column.database.clone_from(&view.database);
        column.table = alias.to_string();
        column.name.clone_from(name);
        column.hidden = false;
        column.invisible = false;
        column.place = place;
        scope.star.push(position);
    }
    let mut conditions = inner.conditions;
    if view.check == Some(CheckOption::Cascaded) {
        conditions.iter_mut().for_each(|condition| condition.is_checked = true);
    }
    if let Some(filter) = &select.filter {
        let (expr, is_checked) = (filter.clone(), view.check.is_some());
        conditions.push(Condition { expr, scope: inside, is_checked });
    }
    let seen = Seen {
        table: inner.table,
        alias: alias.to_string(),
        scope: OnceLock::from(scope),
        conditions,
        view: Some(view.qualified_name()),
    };
    Ok((seen, format!("{alias}{WITHIN}{path}")))
}

/// No row that the view shows is a row of a table.
fn not_changeable(alias: &str, operation: &str) -> Error {
    match operation {
        "UPDATE" | "DELETE" => Error::not_updatable(alias, operation),
        _ => Error::not_insertable(alias, operation),
    }
}

fn not_yet(view: &ViewDef, operation: &str, why: &str) -> Error {
    Error::not_supported(format!(
        "{operation} through view {}, {why}: change the table itself",
        view.qualified_name()
    ))
}
