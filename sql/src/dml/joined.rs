//! The joined rows that UPDATE and DELETE of several tables start from.
//!
//! ```text
//! FROM, WHERE ──binder──> plan ──operators──> joined rows    a.id a.x … │ b.id b.y …     as they are stored
//!                                                            └ place of a ┘ └ place of b ┘
//! ```
//!
//! A statement first reads all joined rows, and keeps the keys of the rows to change; then it changes them. So it never meets
//! what it has written, and each row is changed once under each name, however many rows it is joined with.
//!
//! Not here: what happens to the rows (`multi_update`, `multi_delete`).

use crate::ast::{self, TableRef, TableSource};
use crate::binder::subquery::column_expr;
use crate::binder::view::written_name;
use crate::binder::{self, BindContext, Scope, Sources};
use crate::catalog::information_schema::SystemTables;
use crate::catalog::{Catalog, TableDef, ViewDef};
use crate::exec::subquery::literal;
use crate::exec::{self, Environment};
use crate::planner::plan::{Plan, Subqueries};
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::session::{RowStream, Session};
use crate::temporary::is_temporary;
use crate::value::{Row, Value};
use crate::{Error, Result, table_codec, view};
use base::limits::QUERY_BYTES_MAX;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Joined rows before they are read.
pub(super) struct Joined {
    plan: Plan,
    /// What names mean in them.
    pub(super) scope: Scope,
    subqueries: Subqueries,
    sources: Sources,
}

/// A table whose rows are changed.
pub(super) struct Place {
    /// The table.
    pub(super) table: Arc<TableDef>,
    /// Where its columns begin in a joined row.
    pub(super) base: usize,
    /// What the statement calls it.
    pub(super) name: String,
}

impl Joined {
    /// Binds FROM and WHERE.
    ///
    /// # Errors
    /// As for a SELECT.
    pub(super) async fn bind(
        session: &Session,
        from: &[TableRef],
        filter: Option<&ast::Expr>,
        env: &StatementContext,
    ) -> Result<Joined> {
        let tables = session.virtual_tables(&env.catalog);
        let warnings = env.ctx.warnings.count();
        let joined = over(session, from, filter, env, &tables)?;
        if !tables.is_incomplete() {
            return Ok(joined);
        }
        env.ctx.warnings.forget_after(warnings);
        let tables = tables.completed(&env.ctx).await?;
        over(session, from, filter, env, &tables)
    }

    /// The table that a column of the joined rows belongs to.
    ///
    /// # Errors
    /// 1288 for a column of a derived table or of a view without rows of tables, 1235 for views that cannot be changed through
    /// in this form yet.
    pub(super) fn place_of(
        &self,
        position: usize,
        operation: &str,
        catalog: &Catalog,
    ) -> Result<Place> {
        let column = &self.scope.columns[position];
        let view = catalog.view(&column.database, &column.meta.org_table);
        if let Some(view) = view {
            check_view(view, &column.table, operation, catalog)?;
        }
        let whole = column.origin.as_ref().and_then(|(table, at)| {
            let base = position.checked_sub(*at)?;
            let own = self.scope.columns.get(base..base + table.columns.len())?;
            let is_whole = own.iter().enumerate().all(|(at, column)| {
                let origin = column.origin.as_ref();
                origin.is_some_and(|(other, place)| *place == at && Arc::ptr_eq(other, table))
            });
            is_whole.then(|| Place { table: table.clone(), base, name: column.table.clone() })
        });
        match (whole, view) {
            (Some(place), _) => Ok(place),
            (None, Some(view)) => Err(through_view(view, operation)),
            (None, None) => Err(Error::not_updatable(&column.table, operation)),
        }
    }

    /// Notes the use of what is changed, then of what is read.
    ///
    /// # Errors
    /// Those of tables that others have locked or changed, and of AS OF TIMESTAMP.
    pub(super) async fn enter(
        &self,
        session: &Session,
        places: &[&Place],
        txn: &SharedTransaction,
    ) -> Result<()> {
        for place in places {
            if is_temporary(place.table.id) {
                session.check_temporary_use()?;
            }
            for (table, path) in self.sources.tables.iter().zip(&self.sources.names) {
                if table.id == place.table.id && written_name(path) == place.name {
                    session.enter(table, path, true)?;
                }
            }
        }
        session.check_sources(&self.sources, txn).await
    }

    /// Starts to read the rows; columns that are not needed are NULL in them.
    pub(super) async fn open(
        &self,
        needed: &BTreeSet<usize>,
        session: &Session,
        env: &StatementContext,
        txn: &SharedTransaction,
    ) -> Result<RowStream> {
        if let Some(locking) = &env.locking {
            locking.begin(txn).await?;
        }
        let exprs = self.plan.types().into_iter().enumerate();
        let exprs = exprs.map(|(column, ty)| match needed.contains(&column) {
            true => column_expr(column, ty, ""),
            false => literal(ty.with_nullable(true), Value::Null),
        });
        let plan = Plan::Project { exprs: exprs.collect(), input: Box::new(self.plan.clone()) };
        let temp_dir = &session.instance.config.temp_dir;
        let environment = Environment::new(txn.clone(), env.ctx.clone(), temp_dir).await?;
        let mut subqueries = self.subqueries.clone();
        let plan = exec::subquery::resolve(plan, &mut subqueries, &environment).await?;
        exec::stream_plan(plan, subqueries, &environment)
    }
}

impl Place {
    /// Columns of a joined row that the key of this table's row is made of.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = usize> {
        key_columns(&self.table).map(move |column| self.base + column)
    }

    /// The key of this table's row in a joined one; `None` on the missing side of an outer join.
    pub(super) fn key_of(&self, joined: &[Value]) -> Result<Option<Bytes>> {
        let row = &joined[self.base..self.base + self.table.columns.len()];
        // No column of a primary key is ever NULL.
        let lacks = self.table.primary().columns.iter().any(|part| row[part.column].is_null());
        match lacks {
            true => Ok(None),
            false => table_codec::row_key(&self.table, row).map(Some),
        }
    }

    /// The rows with these keys; `None` for one that is gone, because the statement itself has moved or removed it.
    pub(super) async fn rows(
        &self,
        keys: &[Bytes],
        env: &StatementContext,
        txn: &mut txn::Transaction,
    ) -> Result<Vec<Option<Row>>> {
        if is_temporary(self.table.id) {
            let tables = env.ctx.temporary.as_ref();
            return tables.map_or_else(|| Ok(Vec::new()), |tables| tables.get(self.table.id, keys));
        }
        if let Some(locking) = &env.locking {
            locking.take(txn, keys, &env.ctx).await?;
        }
        let found = txn.multi_get(keys).await?;
        let rows = found.into_iter().map(|bytes| {
            bytes.map(|bytes| table_codec::decode_all(&self.table, &bytes)).transpose()
        });
        rows.collect()
    }
}

/// The columns that decide where a table's row is.
pub(super) fn key_columns(table: &TableDef) -> impl Iterator<Item = usize> {
    let primary = table.primary().columns.iter().map(|part| part.column);
    let others = table.sharding_columns().iter().chain(table.partition_columns());
    primary.chain(others.copied())
}

/// The memory of what is kept of rows until they are changed: as much as a query's operators may have.
#[derive(Default)]
pub(super) struct Budget {
    bytes: usize,
}

impl Budget {
    /// Counts what is kept of a row; 1038 when it is too much.
    pub(super) fn add(&mut self, key: &Bytes, values: &[Value]) -> Result<()> {
        self.bytes += 2 * (size_of::<Bytes>() + key.len());
        self.bytes += values.iter().map(Value::heap_bytes).sum::<usize>();
        match self.bytes > QUERY_BYTES_MAX {
            true => Err(Error::out_of_memory(format!(
                "a statement changes more than {} MiB of rows of joined tables; change fewer rows at a time",
                QUERY_BYTES_MAX >> 20
            ))),
            false => Ok(()),
        }
    }
}

fn over(
    session: &Session,
    from: &[TableRef],
    filter: Option<&ast::Expr>,
    env: &StatementContext,
    tables: &SystemTables,
) -> Result<Joined> {
    let database = session.default_database().as_deref().map(str::to_string);
    let mut bind =
        BindContext::new(env.catalog.clone(), database, &env.ctx).with_virtual_tables(tables);
    bind.enter_with(env.with.as_ref())?;
    let (plan, scope) = binder::bind_rows(from, filter, &mut bind)?;
    Ok(Joined { plan, scope, subqueries: bind.subqueries, sources: bind.sources })
}

/// Whether rows can be changed through a view that stands among joined tables.
fn check_view(view: &ViewDef, alias: &str, operation: &str, catalog: &Catalog) -> Result<()> {
    if !view.updatable {
        return Err(Error::not_updatable(alias, operation));
    }
    let query = view::query_of(view)?;
    let mut list = Vec::new();
    if let ast::QueryBody::Select(select) = &query.body {
        select.from.iter().for_each(|table| sources_of(table, &mut list));
    }
    if view.check.is_some() {
        return Err(through_view(view, operation));
    }
    for source in list {
        let database = source.name.database.as_deref().unwrap_or(&view.database);
        if let Some(inner) = catalog.view(database, &source.name.name) {
            check_view(inner, alias, operation, catalog)?;
        }
    }
    Ok(())
}

fn through_view(view: &ViewDef, operation: &str) -> Error {
    Error::not_supported(format!(
        "{operation} of several tables through view {}: name the table itself",
        view.qualified_name()
    ))
}

/// Tables that a part of FROM names.
pub(super) fn sources_of<'a>(table: &'a TableRef, list: &mut Vec<&'a TableSource>) {
    match table {
        TableRef::Table(source) => list.push(source),
        TableRef::Derived { .. } => {}
        TableRef::Join { left, right, .. } => {
            sources_of(left, list);
            sources_of(right, list);
        }
    }
}
