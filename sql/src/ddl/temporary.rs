//! CREATE TEMPORARY TABLE with columns, LIKE or SELECT; ALTER, TRUNCATE and DROP of temporary tables.
//!
//! ```text
//! definition as of any table ──in_memory──> rows in the session, no sharding, no partitions ──> stands before others of its name
//! ```
//!
//! Making and dropping a temporary table changes no catalog and ends no transaction, and is not undone by ROLLBACK; its rows are.
//! ALTER, TRUNCATE and CREATE INDEX end the open transaction, as in MySQL.
//!
//! Not here: the rows (`crate::temporary`), changes of them (`dml::temporary`).

mod alter;

use super::table::define_new;
use super::{create_select, create_table, database_of, deprecated, existing_database};
use crate::ast::{self, LoadDuplicates};
use crate::catalog::{Catalog, Sharding, TableDef};
use crate::context::EvalContext;
use crate::dml::insert;
use crate::dml::store::OnDuplicate;
use crate::session::statement::{StatementContext, is_conflict};
use crate::session::{Outcome, Session};
use crate::value::Value;
use crate::{Error, Result};
use base::TableId;
use base::limits::CONFLICT_RETRIES_MAX;
use std::sync::Arc;
use txn::transaction::Mode;

pub(super) use alter::{add_index, drop_index, run as alter};

/// CREATE TEMPORARY TABLE, perhaps with rows of a query.
pub(crate) async fn create(
    session: &mut Session,
    create: &ast::CreateTable,
    params: Vec<Value>,
) -> Result<Outcome> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match once(session, create, params.clone()).await {
            Err(error) if error.is_table_blocked() && attempt < CONFLICT_RETRIES_MAX => {
                session.wait_for_tables().await?;
            }
            outcome => return outcome,
        }
    }
}

async fn once(
    session: &mut Session,
    create: &ast::CreateTable,
    params: Vec<Value>,
) -> Result<Outcome> {
    let duplicates = create.query.as_ref().map(|select| select.duplicates);
    let ctx = session.dml_context(params, duplicates == Some(LoadDuplicates::Ignore));
    let database = database_of(session, &create.name)?.to_string();
    let catalog = session.definitions().await?;
    existing_database(&catalog, &database)?;
    if is_taken(session, &database, &create.name.name, create.if_not_exists, &ctx)? {
        return Ok(session.finish_change(crate::dml::Changes::default()));
    }
    check(create)?;
    let plain = ast::CreateTable { temporary: false, query: None, ..create.clone() };
    let Some(select) = &create.query else {
        let table = define(session, &plain, &database, &catalog, &ctx)?;
        session.temporary.add(Arc::new(table));
        deprecated::warn_of_table(create, &ctx)?;
        return Ok(session.finish_change(crate::dml::Changes::default()));
    };
    session.check_temporary_use()?;
    let inside = session.statement_transaction().await?;
    let txn = match &inside {
        Some(txn) => txn.clone(),
        None => session.own_transaction(Mode::Snapshot),
    };
    let env =
        StatementContext { catalog: catalog.clone(), ctx: ctx.clone(), locking: None, with: None };
    let (plain, places) =
        create_select::merged(session, &plain, &select.query, &database, &env).await?;
    let table = Arc::new(define(session, &plain, &database, &catalog, &ctx)?);
    let on_duplicate = match select.duplicates {
        LoadDuplicates::Default => OnDuplicate::Error,
        LoadDuplicates::Replace => OnDuplicate::Replace,
        LoadDuplicates::Ignore => OnDuplicate::Ignore,
    };
    // The query may read another table of the name.
    session.temporary.add_unseen(table.clone());
    let source = (&*select.query, on_duplicate);
    match insert::fill(session, &table, &places, source, &env, &txn).await {
        Ok(changes) => {
            session.temporary.show(table.id);
            if inside.is_none() {
                session.temporary.keep();
            }
            deprecated::warn_of_table(&plain, &ctx)?;
            Ok(session.finish_change(changes))
        }
        Err(error) => {
            session.temporary.remove(table.id);
            if is_conflict(&error) && inside.is_some() {
                session.transaction.lose(&error);
            }
            Err(error)
        }
    }
}

/// CREATE TEMPORARY TABLE … LIKE.
pub(crate) async fn create_like(
    session: &mut Session,
    create: &ast::CreateTableLike,
) -> Result<()> {
    let ctx = session.dml_context(Vec::new(), false);
    create_table::check_identifier(&create.name.name, |name| Error::wrong_table_name(name))?;
    let database = database_of(session, &create.name)?.to_string();
    let catalog = session.definitions().await?;
    let model = match session.temporary_table(&create.like) {
        Some(table) => table,
        None => crate::dml::find_table(&create.like, session.database.as_deref(), &catalog)?,
    };
    existing_database(&catalog, &database)?;
    if is_taken(session, &database, &create.name.name, create.if_not_exists, &ctx)? {
        return Ok(());
    }
    if model.partitioning.is_some() {
        return Err(Error::partitioned_temporary());
    }
    let table = TableDef {
        database,
        name: create.name.name.clone(),
        auto_increment_start: 0,
        created_unix: ctx.now_unix_micros / 1_000_000,
        ..TableDef::clone(&model)
    };
    session.temporary.add(Arc::new(in_memory(table, session.temporary.new_id()?)));
    Ok(())
}

/// DROP TEMPORARY TABLE: all of them or none.
pub(crate) async fn drop(session: &mut Session, drop: &ast::DropTable) -> Result<()> {
    let ctx = session.dml_context(Vec::new(), false);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &drop.names {
        match session.temporary_table(name) {
            Some(table) if found.contains(&table.id) => {
                return Err(Error::nonunique_table(&name.name));
            }
            Some(table) => found.push(table.id),
            None => missing.push(format!("{}.{}", database_of(session, name)?, name.name)),
        }
    }
    if !missing.is_empty() && !drop.if_exists {
        return Err(Error::unknown_table(missing.join(",")));
    }
    found.into_iter().for_each(|id| session.temporary.remove(id));
    missing.into_iter().for_each(|name| ctx.note(Error::unknown_table(name)));
    Ok(())
}

/// TRUNCATE of a temporary table.
pub(super) fn truncate(session: &Session, table: &TableDef) {
    session.temporary.add(Arc::new(TableDef { auto_increment_start: 0, ..table.clone() }));
}

/// Whether a temporary table has a name: 1050, or a note.
fn is_taken(
    session: &Session,
    database: &str,
    name: &str,
    if_not_exists: bool,
    ctx: &EvalContext,
) -> Result<bool> {
    if session.temporary.find(database, name).is_none() {
        return Ok(false);
    }
    let error = Error::table_exists(name);
    if !if_not_exists {
        return Err(error);
    }
    ctx.note(error);
    Ok(true)
}

/// Refuses what is about shards.
fn check(create: &ast::CreateTable) -> Result<()> {
    if create.partition_by.is_some() {
        return Err(Error::partitioned_temporary());
    }
    let options = &create.options;
    if create.sharding.is_some() || options.placement.is_some() || options.auto_partition.is_some()
    {
        return Err(Error::not_supported(
            "a sharding clause or a placement policy of a temporary table: its rows are in the memory of the session; \
             leave it out",
        ));
    }
    Ok(())
}

fn define(
    session: &Session,
    create: &ast::CreateTable,
    database: &str,
    catalog: &Catalog,
    ctx: &EvalContext,
) -> Result<TableDef> {
    if !create.foreign_keys.is_empty() {
        return Err(Error::cannot_add_foreign_key());
    }
    let id = session.temporary.new_id()?;
    Ok(in_memory(define_new(create, database, &[id], catalog, None, ctx)?, id))
}

/// The definition as that of a temporary table under this id.
fn in_memory(mut table: TableDef, id: TableId) -> TableDef {
    table.indexes.retain(|index| !index.implicit);
    table.indexes.iter_mut().for_each(|index| index.global = false);
    TableDef {
        id,
        rows: id,
        sharding: Sharding::Single,
        sharding_declared: false,
        distributed_by: false,
        unpublished: Vec::new(),
        foreign_keys: Vec::new(),
        index_version: 0,
        retention_s: 0,
        placement: String::new(),
        partitioning: None,
        rebuild: None,
        ..table
    }
}
