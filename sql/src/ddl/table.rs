//! CREATE TABLE and CREATE TABLE … LIKE: ids, the set of a placement policy, then the schema change.
//!
//! Not here: what a definition becomes (`create_table`, `partition`).

use super::change::{Touched, change};
use super::placement::{self, TablePlacement};
use super::{
    create_table, database_of, deprecated, existing_database, foreign_key, partition, rule,
    sequence,
};
use crate::catalog::{Catalog, DeclaredKind, TableDef, store};
use crate::context::EvalContext;
use crate::session::{Outcome, Session};
use crate::temporary::is_temporary;
use crate::{Error, Result, ast};
use base::TableId;
use base::limits::TABLE_RETENTIONS_MAX;

/// CREATE TABLE with its columns.
pub(super) async fn create(session: &mut Session, create: &ast::CreateTable) -> Result<Outcome> {
    let mut ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, &create.name)?.to_string();
    let partitions = create.partition_by.as_deref().map_or(0, partition::declared_count);
    let ids = store::new_table_ids(&session.instance.config.client, 1 + partitions).await?;
    let define = |catalog: &Catalog, placement: Option<&TablePlacement>, ctx: &EvalContext| {
        define_new(create, &database, &ids, catalog, placement, ctx)
    };
    let touched = Touched::NewTable(&database, &create.name.name);
    let mut placement = None;
    if let Some(wanted) = placement::of_new_table(session, create, &database, &ctx).await? {
        // A set that comes under the policy stays there, so what fails is to fail before.
        touched.check_own_locks(&session.table_locks)?;
        let catalog = session.instance.catalog.current().await?;
        define(&catalog, Some(&wanted.anywhere()), &ctx)?;
        // What that warned of is said when the table is made.
        ctx = session.dml_context(Vec::new(), false);
        placement = Some(placement::take_set(session, &wanted, &ctx).await?);
    }
    let mut made = None;
    change(session, touched, |change| {
        made = None;
        let database = existing_database(&change.catalog, &database)?;
        if change.catalog.is_name_taken(&database.name, &create.name.name) {
            let error = Error::table_exists(&create.name.name);
            if !create.if_not_exists {
                return Err(error);
            }
            ctx.note(error);
            return Ok(false);
        }
        let table = define(&change.catalog, placement.as_ref(), &ctx)?;
        change.put_table(&table)?;
        made = Some(table);
        Ok(true)
    })
    .await?;
    if let Some(table) = made {
        deprecated::warn_of_table(create, &ctx)?;
        for key in table.declared.iter().filter(|key| key.kind == DeclaredKind::Spatial) {
            ctx.warn(Error::unused_spatial_key(&table.columns[key.columns[0]].name));
        }
        placement::warn_of_global(&table.placement, &table.indexes, &ctx);
    }
    Ok(Outcome::done())
}

/// The definition of a new table under these ids: its own, then those of its partitions.
pub(super) fn define_new(
    create: &ast::CreateTable,
    database: &str,
    ids: &[TableId],
    catalog: &Catalog,
    placement: Option<&TablePlacement>,
    ctx: &EvalContext,
) -> Result<TableDef> {
    let database = existing_database(catalog, database)?;
    let auto = partition::auto(&create.options)?;
    let table = create_table::define(create, database, ids[0], placement, ctx)?;
    let table = match &create.partition_by {
        Some(by) => partition::define(by, table, &ids[1..], auto, ctx)?,
        None if auto > 0 => return Err(Error::not_partitioned()),
        None => table,
    };
    sequence::check_defaults(catalog, &table)?;
    rule::check_names(catalog, &table)?;
    if !is_temporary(table.id) {
        foreign_key::check(catalog, &table, ctx)?;
    }
    check_retentions(catalog, &table)?;
    Ok(table)
}

pub(super) async fn create_like(
    session: &mut Session,
    create: &ast::CreateTableLike,
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    create_table::check_identifier(&create.name.name, |name| Error::wrong_table_name(name))?;
    let database = database_of(session, &create.name)?.to_string();
    let default = session.database.clone();
    let client = session.instance.config.client.clone();
    let known = session.instance.catalog.current().await?;
    let model = crate::dml::find_table(&create.like, default.as_deref(), &known)?;
    let mut wanted = partition::ids_of(&model);
    while wanted > 0 {
        let ids = store::new_table_ids(&client, wanted).await?;
        wanted = like(session, create, (database.as_str(), default.as_deref()), &ids, &ctx).await?;
    }
    Ok(Outcome::done())
}

/// Makes a table like another one with these ids for it and its partitions; how many ids it takes when these are too few,
/// because the other table has changed, else 0.
async fn like(
    session: &mut Session,
    create: &ast::CreateTableLike,
    (database, default): (&str, Option<&str>),
    ids: &[TableId],
    ctx: &EvalContext,
) -> Result<usize> {
    let touched = Touched::NewTable(database, &create.name.name);
    let mut wanted = 0;
    change(session, touched, |change| {
        let catalog = &change.catalog;
        let model = crate::dml::find_table(&create.like, default, catalog)?;
        existing_database(catalog, database)?;
        if catalog.is_name_taken(database, &create.name.name) {
            let error = Error::table_exists(&create.name.name);
            if !create.if_not_exists {
                return Err(error);
            }
            ctx.note(error);
            return Ok(false);
        }
        wanted = partition::ids_of(&model);
        if wanted > ids.len() {
            return Ok(false);
        }
        wanted = 0;
        let mut table = TableDef {
            database: database.to_string(),
            name: create.name.name.clone(),
            auto_increment_start: 0,
            created_unix: ctx.now_unix_micros / 1_000_000,
            unpublished: Vec::new(),
            // As in MySQL.
            foreign_keys: Vec::new(),
            index_version: 0,
            ..partition::with_ids(&model, ids)
        };
        rule::number(&mut table);
        foreign_key::check(catalog, &table, ctx)?;
        rule::check_names(catalog, &table)?;
        check_retentions(catalog, &table)?;
        change.put_table(&table)?;
        Ok(true)
    })
    .await?;
    Ok(wanted)
}

/// Refuses one more table with a retention of its own than there may be.
pub(super) fn check_retentions(catalog: &Catalog, table: &TableDef) -> Result<()> {
    let before = catalog.table_by_id(table.id).filter(|known| known.retention_s > 0);
    let before = before.map_or(0, |known| known.key_ids().len());
    let after = if table.retention_s > 0 { table.key_ids().len() } else { 0 };
    if after > before && catalog.own_retentions() - before + after > TABLE_RETENTIONS_MAX {
        return Err(Error::not_supported(format!(
            "RETENTION_SECONDS of more than {TABLE_RETENTIONS_MAX} tables and partitions: set it to DEFAULT for another one first"
        )));
    }
    Ok(())
}
