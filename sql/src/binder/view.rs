//! Views in FROM: a view is bound where it is named, from its kept text.
//!
//! ```text
//! SELECT x FROM v WHERE y = 1        v: select `d`.`t`.`a` AS `x`,`d`.`t`.`b` AS `y` from `d`.`t` where (`d`.`t`.`c` > 0)
//!
//! Project x                          columns that are plain columns of the view's tables go by their names in the view:
//!   Filter y = 1                     the SELECT and its view are one query block, which the planner sees as if it had been
//!     Filter c > 0                   written so. Otherwise the view stands there as a derived table does.
//!       Scan t
//! ```
//!
//! Inside of a view no name of the statement means anything: it is bound in a context of its own. A table inside goes by its
//! name behind those of the views around it ([`WITHIN`]), so that LOCK TABLES of a view is no lock of its tables for others than
//! the view.
//!
//! Invariants:
//! 1. What fails inside of a view because something it names is gone is 1356, and names the outermost view.
//! 2. A view inside of itself is 1462; no view is made so, but one that a view names may be replaced by one that names it.
//!
//! Not here: the text (`crate::view`), statements that define views (`ddl::view`).

use super::from::Source;
use super::{BindContext, BoundColumn, Scope, ScopeColumn, Sources, VirtualTables};
use crate::ast::{TableSource, ViewAlgorithm};
use crate::catalog::{Catalog, ColumnDef, TableDef, ViewDef};
use crate::collation;
use crate::context::EvalContext;
use crate::expr::{Expr, ExprKind, build};
use crate::planner::plan::{Plan, SUBQUERY};
use crate::session::ColumnMeta;
use crate::types::SqlType;
use crate::{Error, Result, view};
use base::TableId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Between the name of a view and the name of a table inside of it. No identifier has it.
pub(crate) const WITHIN: char = '\0';

/// The views that are being bound, and those that were.
#[derive(Debug, Default)]
pub(crate) struct Views {
    /// The views around the place at hand, the outermost first, with the names that they have.
    open: Vec<(TableId, String)>,
    /// All views so far, those inside of others included.
    pub(crate) seen: BTreeSet<TableId>,
}

impl Views {
    /// Whether a view is being bound.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// What a table goes by: its name behind those of the views around it.
    pub(super) fn path(&self, alias: &str) -> String {
        let mut path = String::new();
        for (_, view) in &self.open {
            path.push_str(view);
            path.push(WITHIN);
        }
        path.push_str(alias);
        path
    }
}

/// The name that a statement has written for what goes by such a name: the outermost view's.
pub(crate) fn written_name(path: &str) -> &str {
    path.split(WITHIN).next().unwrap_or(path)
}

impl BindContext<'_> {
    /// The rows of a view.
    pub(super) fn view(&mut self, view: &ViewDef, source: &TableSource) -> Result<Source> {
        if !source.partitions.is_empty() {
            return Err(Error::partition_clause_on_plain_table());
        }
        if source.as_of.is_some() {
            return Err(Error::not_supported(
                "AS OF TIMESTAMP of a view: say it of the tables in its query, or set the time for a whole transaction with \
                 SET TRANSACTION READ ONLY AS OF TIMESTAMP",
            ));
        }
        let alias = source.alias.as_deref().unwrap_or(&view.name);
        let (plan, mut columns) = self.view_query(view, alias)?;
        for (column, name) in columns.iter_mut().zip(&view.columns) {
            let meta = &mut column.meta;
            meta.database.clone_from(&view.database);
            meta.org_table.clone_from(&view.name);
            meta.org_name.clone_from(name);
            meta.name.clone_from(name);
        }
        let places = match &plan {
            Plan::Project { exprs, .. } if view.algorithm != ViewAlgorithm::TempTable => {
                places(exprs)
            }
            _ => None,
        };
        Ok(match (plan, places) {
            (Plan::Project { input, .. }, Some(places)) => {
                let scope = merged_scope(view, alias, &input, &places, &columns);
                Source { scope, plan: *input }
            }
            (plan, _) => Source { scope: Scope::of_columns(&view.database, alias, &columns), plan },
        })
    }

    /// The query of a view, alone: its columns are those of the tables inside. Literals have the collation of who made it.
    fn view_query(&mut self, view: &ViewDef, alias: &str) -> Result<(Plan, Vec<BoundColumn>)> {
        if self.views.open.iter().any(|(open, _)| *open == view.id) {
            return Err(Error::view_recursion(&view.database, &view.name));
        }
        let query = view::query_of(view)?;
        self.views.seen.insert(view.id);
        self.views.open.push((view.id, alias.to_string()));
        let collation = collation::by_name(&view.connection_collation).map(|known| known.id).ok();
        let made = collation.unwrap_or(self.ctx.connection_collation);
        let is_other = made != self.ctx.connection_collation || self.ctx.locals.is_some();
        let other = is_other.then(|| {
            let mut other = self.ctx.under(made);
            // Variables of a program around the statement are none of the view's.
            let locals = self.ctx.locals.as_ref();
            other.locals = locals.map(|locals| Arc::new(locals.without_variables()));
            other
        });
        let ctx = other.as_ref().unwrap_or(self.ctx);
        // Stored functions are those of the view's database.
        let database = Some(view.database.clone());
        let mut inside = BindContext::new(self.catalog.clone(), database, ctx);
        inside.virtual_tables = self.virtual_tables;
        inside.depth = self.depth;
        inside.bindings = self.bindings;
        inside.subqueries = std::mem::take(&mut self.subqueries);
        inside.sources = std::mem::take(&mut self.sources);
        inside.views = std::mem::take(&mut self.views);
        let bound = inside.query(&query);
        self.subqueries = inside.subqueries;
        self.sources = inside.sources;
        self.views = inside.views;
        self.bindings = inside.bindings;
        self.reads_named |= inside.reads_named;
        self.views.open.pop();
        for warning in other.iter().flat_map(|ctx| ctx.warnings.to_vec()) {
            self.ctx.warnings.push(warning.level, warning.code, warning.message);
        }
        match bound {
            Ok((plan, columns)) if columns.len() == view.columns.len() => Ok((plan, columns)),
            Ok(_) => Err(Error::view_invalid(view.qualified_name())),
            Err(error) if is_of_names(&error) => Err(Error::view_invalid(view.qualified_name())),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error says that something which the view names is gone: a database, a table, a column, a function, or that it is no
/// table any more.
fn is_of_names(error: &Error) -> bool {
    matches!(error.code, 1049 | 1054 | 1146 | 1176 | 1305 | 1347 | 1356)
}

/// A column of the row below: where it stands, its type there, and whether it is a TIMESTAMP as it is stored.
type Place = (usize, SqlType, bool);

/// The columns below that the columns of a view are, one for one and none twice.
fn places(exprs: &[Expr]) -> Option<Vec<Place>> {
    let mut seen = BTreeSet::new();
    exprs
        .iter()
        .map(|expr| {
            let (column, is_utc) = match &expr.kind {
                ExprKind::Call { args, .. } if build::is_from_utc(expr) => (args.first()?, true),
                _ => (expr, false),
            };
            match column.kind {
                ExprKind::Column(place) if place < SUBQUERY && seen.insert(place) => {
                    Some((place, column.ty, is_utc))
                }
                _ => None,
            }
        })
        .collect()
}

/// What names mean in the rows below a view: the columns of the view, and others that nobody can name.
fn merged_scope(
    view: &ViewDef,
    alias: &str,
    input: &Plan,
    places: &[Place],
    columns: &[BoundColumn],
) -> Scope {
    let unnamed = format!("{WITHIN}{alias}");
    let origins = origins(input);
    let rows = input.types().into_iter().zip(origins).map(|(ty, origin)| ScopeColumn {
        database: view.database.clone(),
        table: unnamed.clone(),
        name: String::new(),
        ty,
        meta: ColumnMeta::computed(String::new(), ty),
        origin,
        hidden: true,
        invisible: false,
        utc: false,
        place: 0,
    });
    let mut scope = Scope { columns: rows.collect(), star: Vec::with_capacity(columns.len()) };
    for (number, ((place, ty, is_utc), column)) in places.iter().zip(columns).enumerate() {
        let known = &mut scope.columns[*place];
        known.table = alias.to_string();
        known.name.clone_from(&column.meta.name);
        known.ty = *ty;
        known.meta = ColumnMeta { table: alias.to_string(), ..column.meta.clone() };
        known.hidden = false;
        known.utc = *is_utc;
        known.place = number;
        scope.star.push(*place);
    }
    scope
}

/// The columns of tables that the columns of a plan are, as far as its tables stand in it side by side.
fn origins(plan: &Plan) -> Vec<Option<(Arc<TableDef>, usize)>> {
    match plan {
        Plan::Scan(scan) => {
            scan.columns.iter().map(|column| Some((scan.table.clone(), *column))).collect()
        }
        Plan::Filter { input, .. } => origins(input),
        Plan::Join(join) => {
            let mut all = origins(&join.left);
            all.extend(origins(&join.right));
            all
        }
        _ => vec![None; plan.width()],
    }
}

/// A column of a view, for those who list columns.
pub(crate) struct ViewColumn {
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    pub(crate) ty: SqlType,
    /// The column of a table that it shows, when it shows one as it is.
    pub(crate) base: Option<ColumnDef>,
}

/// The columns of a view as they are now.
///
/// # Errors
/// 1356 when its query fails by now.
pub(crate) fn columns_of(
    view: &ViewDef,
    catalog: &Arc<Catalog>,
    ctx: &EvalContext,
    tables: &dyn VirtualTables,
) -> Result<Vec<ViewColumn>> {
    let database = Some(view.database.clone());
    let mut bind = BindContext::new(catalog.clone(), database, ctx).with_virtual_tables(tables);
    let (_, columns) = bind.view_query(view, &view.name)?;
    let columns = columns.into_iter().zip(&view.columns);
    columns
        .map(|(column, name)| {
            let base = base_of(&column.meta, catalog, ctx, tables)?;
            Ok(ViewColumn { name: name.clone(), ty: column.ty, base })
        })
        .collect()
}

/// The tables that a view reads, and what each goes by when the view goes by `alias`.
///
/// # Errors
/// 1356 when its query fails by now.
pub(crate) fn tables_of(
    view: &ViewDef,
    alias: &str,
    catalog: &Arc<Catalog>,
    ctx: &EvalContext,
    tables: &dyn VirtualTables,
) -> Result<Vec<(Arc<TableDef>, String)>> {
    let mut bind = BindContext::new(catalog.clone(), None, ctx).with_virtual_tables(tables);
    bind.view_query(view, alias)?;
    let Sources { tables, names, .. } = bind.sources;
    Ok(tables.into_iter().zip(names).collect())
}

fn base_of(
    meta: &ColumnMeta,
    catalog: &Arc<Catalog>,
    ctx: &EvalContext,
    tables: &dyn VirtualTables,
) -> Result<Option<ColumnDef>> {
    if let Some(table) = catalog.table(&meta.database, &meta.org_table) {
        return Ok(table.column(&meta.org_name).map(|place| table.columns[place].clone()));
    }
    let Some(inner) = catalog.view(&meta.database, &meta.org_table) else { return Ok(None) };
    let columns = columns_of(inner, catalog, ctx, tables)?;
    let found = columns.into_iter().find(|column| column.name == meta.org_name);
    Ok(found.and_then(|column| column.base))
}
