//! Statements that define things: databases, tables, sequences, placement policies, accounts.
//!
//! ```text
//! lock its tables ──> check ──> schema change (one transaction on the meta shard) ──> announce to all nodes
//!    ▲                  ▲         │ two at once: one conflicts and starts again         │ a silent node: wait for its lease
//!    │                  └─ wait ──┤ somebody else has locked the name of a new table
//!    └────────────────────────────┘ a table has come that is not locked
//! ```
//!
//! What takes tables away from their users (DROP, TRUNCATE, RENAME) locks them first as LOCK TABLES … WRITE does: it waits
//! for transactions and statements that use them, and nobody uses them under an old definition afterwards. The record goes
//! with the change itself. CREATE takes nothing away and locks nothing; it waits for locks of its name.
//!
//! A schema change is acknowledged when no node can run a statement against the old catalog any more.
//! Dropping or truncating a table removes its definition; its rows stay under an id that is never used
//! again, recorded in the meta shard until they are removed (`catalog::dropped`).
//!
//! Indexes are added and dropped, and the sharding key is changed, while the table is used: a schema change begins a job, and
//! the statement waits for it (`indexes`, `rekey`).
//!
//! Not here: all of ALTER TABLE but indexes, the sharding key, the retention, AUTO_INCREMENT, ENABLE KEYS (which has nothing to do)
//! and those changes of partitions and ranges that move no row (`partition`, `future_partitions`, `ranges`): refused with 1235.

pub(crate) mod account;
mod column_type;
pub(crate) mod create_table;
pub mod future_partitions;
mod index_fill;
pub(crate) mod index_job;
mod index_steps;
pub(crate) mod indexes;
mod partition;
pub(crate) mod password;
pub(crate) mod placement;
mod ranges;
mod rekey;
mod rekey_steps;
mod sequence;

use crate::ast::{self, Statement, TableChange};
use crate::binder::{self, BindContext, Scope};
use crate::catalog::store::{self, SchemaChange};
use crate::catalog::table_locks::{Change, LockSet, Owners, TableLocks};
use crate::catalog::{Catalog, DatabaseDef, TableDef, information_schema};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::Expr;
use crate::instance::Instance;
use crate::session::table_gate::Blocked;
use crate::session::table_locks::SessionLocks;
use crate::session::{OkResult, Outcome, Session};
use crate::value::Value;
use crate::{Error, Result, parser};
use base::TableId;
use base::limits::{CATALOG_LEASE, CONFLICT_RETRIES_MAX, TABLE_RETENTIONS_MAX};
use placement::TablePlacement;
use std::sync::Arc;

/// Runs a statement that defines something. The open transaction has been committed.
pub(crate) async fn run(session: &mut Session, statement: &Statement) -> Result<Outcome> {
    match statement {
        Statement::CreateDatabase(create) => create_database(session, create).await,
        Statement::DropDatabase { if_exists, name } => {
            drop_database(session, name, *if_exists).await
        }
        Statement::CreateTable(create) => create_table(session, create).await,
        Statement::CreateTableLike(create) => create_like(session, create).await,
        Statement::DropTable(drop) => drop_tables(session, drop).await,
        Statement::TruncateTable { name } => truncate(session, name).await,
        Statement::RenameTable(pairs) => rename(session, pairs).await,
        Statement::Sequence(statement) => sequence::run(session, statement).await,
        Statement::Account(account) => account::run(session, account).await,
        Statement::Placement(statement) => placement::run(session, statement).await,
        Statement::AlterDatabase(alter) => placement::alter_database(session, alter).await,
        Statement::AlterTable(alter) => alter_table(session, alter).await,
        Statement::CreateIndex(create) => indexes::create(session, create).await,
        Statement::DropIndex(drop) => indexes::drop(session, drop).await,
        _ => Err(Error::internal("not a statement that defines something")),
    }
}

/// The value of an expression that reads no table and no column.
pub(crate) fn constant(expr: &ast::Expr, ctx: &EvalContext) -> Result<Value> {
    constant_expr(expr, ctx)?.eval(&[], ctx)
}

/// Binds an expression that reads no table and no column.
pub(crate) fn constant_expr(expr: &ast::Expr, ctx: &EvalContext) -> Result<Expr> {
    let mut bind = BindContext::new(Arc::default(), None, ctx);
    let bound = binder::bind_expr(expr, &Scope::default(), &mut bind)?;
    if bind.subqueries.is_empty() {
        Ok(bound)
    } else {
        Err(Error::not_supported("a subquery here: write the value"))
    }
}

/// The expression of a column's DEFAULT (…).
pub(crate) fn default_ast(text: &str) -> Result<ast::Expr> {
    let statement =
        parser::parse_statement(&format!("DO ({text})"), &parser::ParseMode::default())?;
    match statement {
        Statement::Do(mut exprs) if exprs.len() == 1 => Ok(exprs.swap_remove(0)),
        _ => Err(Error::storage(format!("corrupt default expression {text}"))),
    }
}

/// The database of a name, which must be one that can be changed.
fn database_of<'a>(session: &'a Session, name: &'a ast::TableName) -> Result<&'a str> {
    let database = name.database.as_deref().or(session.database.as_deref());
    let database = database.ok_or_else(Error::no_database)?;
    check_own(session, database)?;
    Ok(database)
}

fn check_own(session: &Session, database: &str) -> Result<()> {
    if information_schema::is_schema(database) {
        let user = format!("'{}'@'{}'", session.info.user, session.info.host);
        return Err(Error::access_denied_database(user, database));
    }
    Ok(())
}

fn existing_database<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Arc<DatabaseDef>> {
    catalog.database(name).ok_or_else(|| Error::unknown_database(name))
}

/// What a schema change is about: LOCK TABLES keeps it from that.
enum Touched<'a> {
    /// A database that is made.
    NewDatabase,
    /// A table that is made, by database and name.
    NewTable(&'a str, &'a str),
    /// A table whose indexes are changed, by database and name: its users go on.
    Altered(&'a str, &'a str),
    /// A database with all its tables.
    Database(&'a str),
    /// Tables, by database and name; RENAME's new names are among them.
    Tables(Vec<(&'a str, &'a str)>),
}

impl Touched<'_> {
    /// Whether the session's own locks allow it: else 1099, 1100 or 1192.
    fn check_own_locks(&self, own: &SessionLocks) -> Result<()> {
        match self {
            Touched::NewDatabase | Touched::Database(_) => own.check_no_tables(),
            Touched::NewTable(database, name) | Touched::Altered(database, name) => {
                own.check_table(database, name, true)
            }
            Touched::Tables(tables) => {
                tables.iter().try_for_each(|(database, name)| own.check_table(database, name, true))
            }
        }
    }

    /// The names that nobody else may use meanwhile: those of tables that are taken away, and what they are called
    /// afterwards.
    fn taken(&self, catalog: &Catalog) -> LockSet {
        let names: Vec<(&str, &str)> = match self {
            Touched::NewDatabase | Touched::NewTable(..) | Touched::Altered(..) => Vec::new(),
            Touched::Database(database) => {
                catalog.tables(database).map(|table| (*database, table.name.as_str())).collect()
            }
            Touched::Tables(tables) => {
                let is_there =
                    |(database, name): &(&str, &str)| catalog.table(database, name).is_some();
                if tables.iter().any(is_there) { tables.clone() } else { Vec::new() }
            }
        };
        let mut taken = LockSet::new();
        for (database, name) in names {
            taken.entry(database.to_string()).or_default().insert(name.to_string(), true);
        }
        taken
    }

    /// What a session that has locked nothing has to wait for.
    fn blocked(&self, locks: &TableLocks, own: Owners) -> Option<Blocked> {
        let table = |(database, name): &(&str, &str)| Blocked::Table {
            database: database.to_string(),
            name: name.to_string(),
            write: Some(Change::New),
        };
        let all = match self {
            Touched::NewDatabase => vec![Blocked::Changes(Change::New)],
            Touched::NewTable(database, name) | Touched::Altered(database, name) => {
                vec![table(&(*database, *name))]
            }
            Touched::Database(database) => vec![Blocked::Database(database.to_string())],
            Touched::Tables(tables) => tables.iter().map(table).collect(),
        };
        all.into_iter().find(|blocked| blocked.holder(locks, own).is_some())
    }
}

/// Runs a schema change until it meets no other, then waits until every node knows it. `Ok(false)` from
/// `plan` means that nothing is to be changed.
async fn change(
    session: &mut Session,
    touched: Touched<'_>,
    plan: impl FnMut(&mut SchemaChange) -> Result<bool>,
) -> Result<()> {
    change_after(session, touched, None, plan).await
}

/// The same for a change that divides a range of a table: it must be empty above the new bounds while the table is locked.
async fn change_after(
    session: &mut Session,
    touched: Touched<'_>,
    division: Option<&ranges::Division<'_>>,
    mut plan: impl FnMut(&mut SchemaChange) -> Result<bool>,
) -> Result<()> {
    touched.check_own_locks(&session.table_locks)?;
    let made = make(session, &touched, division, &mut plan).await;
    session.release_defined().await;
    let Some(version) = made? else { return Ok(()) };
    announce(&session.instance, version).await;
    Ok(())
}

/// Waits until every node knows a version of the catalog. The change is made, whatever comes now: an error here would say
/// that it is not.
async fn announce(instance: &Instance, version: u64) {
    let here = instance.catalog.announced(version).await.is_ok();
    if !instance.config.cluster.announce_catalog(version).await || !here {
        // Some node is silent, or this one could not read the meta shard: after this time its lease is over.
        instance.config.client.pause(CATALOG_LEASE).await;
    }
}

/// Makes a schema change, with its tables to itself; the catalog's new version, or `None` when nothing was to be changed.
async fn make(
    session: &mut Session,
    touched: &Touched<'_>,
    division: Option<&ranges::Division<'_>>,
    plan: &mut impl FnMut(&mut SchemaChange) -> Result<bool>,
) -> Result<Option<u64>> {
    let client = session.instance.config.client.clone();
    let catalog = session.instance.catalog.current().await?;
    session.lock_to_define(touched.taken(&catalog)).await?;
    let mut attempt = 0;
    loop {
        if let Some(division) = division {
            let instance = session.instance.clone();
            division.check_empty(&instance).await?;
        }
        let mut change = SchemaChange::begin(&client).await?;
        let taken = touched.taken(&change.catalog);
        let alone = session.table_locks.have_alone(&taken, &change.locks)?;
        if !alone && attempt < CONFLICT_RETRIES_MAX {
            attempt += 1;
            drop(change);
            session.lock_to_define(taken).await?;
            continue;
        }
        if !alone {
            return Err(Error::deadlock());
        }
        // Whoever has its tables to itself is waited for by all others, and waits for nobody.
        let defined = session.table_locks.defined_owner();
        let has_locked = defined.is_some() || session.table_locks.tables_owner().is_some();
        let own = session.table_locks.owners();
        if !has_locked && let Some(blocked) = touched.blocked(&change.locks, own) {
            drop(change);
            session.blocked_at(blocked);
            session.wait_for_tables().await?;
            session.enter_changes(Change::New).await?;
            continue;
        }
        attempt += 1;
        if !plan(&mut change)? {
            return Ok(None);
        }
        if let Some(owner) = defined {
            change.release(owner);
        }
        match change.commit().await {
            Err(error) if error.code == 1213 && attempt < CONFLICT_RETRIES_MAX => {}
            made => {
                let version = made?;
                session.table_locks.forget_defined();
                return Ok(Some(version));
            }
        }
    }
}

/// ENABLE KEYS and DISABLE KEYS change nothing: indexes are always kept, as InnoDB's.
async fn enable_keys(session: &mut Session, name: &ast::TableName) -> Result<Outcome> {
    let catalog = session.instance.catalog.current().await?;
    let table = crate::dml::find_table(name, session.database.as_deref(), &catalog)?;
    session.table_locks.check_table(&table.database, &table.name, true)?;
    session.context(Vec::new()).note(Error::illegal_engine_option(&table.name));
    Ok(Outcome::done())
}

async fn create_database(session: &mut Session, create: &ast::CreateDatabase) -> Result<Outcome> {
    create_table::check_identifier(&create.name, |name| Error::wrong_database_name(name))?;
    let options = &create.options;
    let collation = column_type::choose_collation(
        options.charset.as_deref(),
        options.collation.as_deref(),
        CollationId::DEFAULT,
    )?;
    if options.encryption.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("y")) {
        return Err(Error::not_supported("ENCRYPTION='Y': encrypt the disk"));
    }
    let ctx = session.dml_context(Vec::new(), false);
    let placement = placement::known(session, options.placement.as_deref().unwrap_or_default())?;
    let id = store::new_database_id(&session.instance.config.client).await?;
    let name = create.name.clone();
    change(session, Touched::NewDatabase, |change| {
        if change.catalog.has_database(&name) {
            if !create.if_not_exists {
                return Err(Error::database_exists(&name));
            }
            ctx.note(Error::database_exists(&name));
            return Ok(false);
        }
        let placement = placement.clone();
        change.put_database(&DatabaseDef { id, name: name.clone(), collation, placement })?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::Ok(OkResult { affected_rows: 1, ..OkResult::default() }))
}

async fn drop_database(session: &mut Session, name: &str, if_exists: bool) -> Result<Outcome> {
    check_own(session, name)?;
    let ctx = session.dml_context(Vec::new(), false);
    let now = ctx.now_unix_micros / 1_000_000;
    let mut dropped = 0;
    change(session, Touched::Database(name), |change| {
        dropped = 0;
        if change.catalog.database(name).is_none() {
            if !if_exists {
                return Err(Error::drop_unknown_database(name));
            }
            ctx.note(Error::drop_unknown_database(name));
            return Ok(false);
        }
        let tables: Vec<Arc<TableDef>> = change.catalog.tables(name).cloned().collect();
        for table in tables {
            change.drop_table(&table, now)?;
            dropped += 1;
        }
        let sequences: Vec<_> = change.catalog.sequences(name).cloned().collect();
        for sequence in sequences {
            change.drop_sequence(&sequence, now)?;
            dropped += 1;
        }
        change.drop_database(name)?;
        Ok(true)
    })
    .await?;
    if session.database.as_deref() == Some(name) {
        session.forget_database();
    }
    Ok(Outcome::Ok(OkResult { affected_rows: dropped, ..OkResult::default() }))
}

async fn create_table(session: &mut Session, create: &ast::CreateTable) -> Result<Outcome> {
    let mut ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, &create.name)?.to_string();
    let partitions = create.partition_by.as_deref().map_or(0, partition::declared_count);
    let ids = store::new_table_ids(&session.instance.config.client, 1 + partitions).await?;
    let (id, ids) = (ids[0], &ids[1..]);
    let auto = partition::auto(&create.options)?;
    let define = |catalog: &Catalog,
                  placement: Option<&TablePlacement>,
                  ctx: &EvalContext|
     -> Result<TableDef> {
        let database = existing_database(catalog, &database)?;
        let table = create_table::define(create, database, id, placement, ctx)?;
        let table = match &create.partition_by {
            Some(by) => partition::define(by, table, ids, auto, ctx)?,
            None if auto > 0 => return Err(Error::not_partitioned()),
            None => table,
        };
        sequence::check_defaults(catalog, &table)?;
        check_retentions(catalog, &table)?;
        Ok(table)
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
        placement::warn_of_global(&table.placement, &table.indexes, &ctx);
    }
    Ok(Outcome::done())
}

async fn create_like(session: &mut Session, create: &ast::CreateTableLike) -> Result<Outcome> {
    if create.temporary {
        return Err(Error::not_supported(
            "CREATE TEMPORARY TABLE: use an ordinary table and drop it",
        ));
    }
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
        let table = TableDef {
            database: database.to_string(),
            name: create.name.name.clone(),
            auto_increment_start: 0,
            created_unix: ctx.now_unix_micros / 1_000_000,
            unpublished: Vec::new(),
            index_version: 0,
            ..partition::with_ids(&model, ids)
        };
        check_retentions(catalog, &table)?;
        change.put_table(&table)?;
        Ok(true)
    })
    .await?;
    Ok(wanted)
}

/// ALTER TABLE: indexes, the sharding key, the placement policy, RETENTION_SECONDS = n, AUTO_INCREMENT = n, AUTO_PARTITION = n, changes of partitions or
/// ranges, or nothing to do.
async fn alter_table(session: &mut Session, alter: &ast::AlterTable) -> Result<Outcome> {
    session.dml_context(Vec::new(), false);
    let database = database_of(session, &alter.table)?.to_string();
    let of_keys = |change: &TableChange| matches!(change, TableChange::EnableKeys(_));
    if !alter.changes.is_empty() && alter.changes.iter().all(of_keys) {
        return enable_keys(session, &alter.table).await;
    }
    ranges::check_alone(&alter.changes)?;
    if let Some(changes) = indexes::changes_alone(&alter.changes)? {
        return indexes::alter(session, &alter.table, changes).await;
    }
    if let Some(sharding) = rekey::changes_alone(&alter.changes)? {
        return rekey::alter(session, &alter.table, sharding).await;
    }
    if partition::is_change(&alter.changes)? {
        return partition::alter(session, &alter.table, &alter.changes[0]).await;
    }
    if let [TableChange::SplitRange(bounds)] = alter.changes.as_slice() {
        return ranges::split(session, &alter.table, bounds).await;
    }
    if let [TableChange::MergeRanges(bounds)] = alter.changes.as_slice() {
        return ranges::merge(session, &alter.table, bounds).await;
    }
    if let Some(auto) = auto_alone(&alter.changes)? {
        return partition::set_auto(session, &alter.table, auto).await;
    }
    if let Some(policy) = placement_alone(&alter.changes) {
        return placement::alter_table(session, &alter.table, policy).await;
    }
    let Some(InPlace { retention_s, auto_increment }) = InPlace::of(&alter.changes)? else {
        return Err(Error::not_supported(
            "ALTER TABLE: create a table with the new definition and INSERT … SELECT into it",
        ));
    };
    let default = session.database.clone();
    let touched = Touched::Tables(vec![(database.as_str(), alter.table.name.as_str())]);
    change(session, touched, |change| {
        let table = crate::dml::find_table(&alter.table, default.as_deref(), &change.catalog)?;
        indexes::check_no_rekey(&change.index_jobs, &table)?;
        let mut new = TableDef::clone(&table);
        new.retention_s = retention_s.unwrap_or(table.retention_s);
        if table.auto_increment().is_some() {
            new.auto_increment_start = auto_increment.unwrap_or(table.auto_increment_start);
        }
        if new == *table {
            return Ok(false);
        }
        check_retentions(&change.catalog, &new)?;
        change.put_table(&new)?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}

/// What ALTER TABLE changes in place.
#[derive(Default)]
struct InPlace {
    /// RETENTION_SECONDS.
    retention_s: Option<u64>,
    /// AUTO_INCREMENT: the next value, unless higher ones have been handed out. Without such a column it means nothing, as
    /// in MySQL.
    auto_increment: Option<u64>,
}

impl InPlace {
    /// `None` when anything else is to be changed.
    fn of(changes: &[TableChange]) -> Result<Option<InPlace>> {
        let mut all = InPlace::default();
        for change in changes {
            let TableChange::Options(options) = change else { return Ok(None) };
            let (retention_s, auto_increment) = (options.retention_s, options.auto_increment);
            let known =
                ast::TableOptions { retention_s, auto_increment, ..ast::TableOptions::default() };
            if *options != known {
                return Ok(None);
            }
            if retention_s.is_some() {
                all.retention_s = Some(create_table::retention(options)?);
            }
            all.auto_increment = auto_increment.or(all.auto_increment);
        }
        let is_known = all.retention_s.is_some() || all.auto_increment.is_some();
        Ok(is_known.then_some(all))
    }
}

/// How many partitions of the future are asked for, when that is all that is changed.
fn auto_alone(changes: &[TableChange]) -> Result<Option<u32>> {
    let [TableChange::Options(options)] = changes else { return Ok(None) };
    let auto_partition = options.auto_partition;
    let alone = ast::TableOptions { auto_partition, ..ast::TableOptions::default() };
    match auto_partition {
        Some(_) if *options == alone => partition::auto(options).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// The placement policy that is asked for, when that is all that is changed.
fn placement_alone(changes: &[TableChange]) -> Option<&str> {
    let [TableChange::Options(options)] = changes else { return None };
    let placement = options.placement.clone();
    let alone = ast::TableOptions { placement, ..ast::TableOptions::default() };
    options.placement.as_deref().filter(|_| *options == alone)
}

/// Refuses one more table with a retention of its own than there may be.
fn check_retentions(catalog: &Catalog, table: &TableDef) -> Result<()> {
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

async fn drop_tables(session: &mut Session, drop: &ast::DropTable) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let now = ctx.now_unix_micros / 1_000_000;
    if drop.temporary {
        let names = drop.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        if drop.if_exists {
            ctx.note(Error::unknown_table(names));
            return Ok(Outcome::done());
        }
        return Err(Error::unknown_table(names));
    }
    let mut names = Vec::with_capacity(drop.names.len());
    for name in &drop.names {
        let pair = (database_of(session, name)?.to_string(), name.name.clone());
        if names.contains(&pair) {
            return Err(Error::nonunique_table(&pair.1));
        }
        names.push(pair);
    }
    let mut missing = Vec::new();
    let touched = names.iter().map(|(database, name)| (database.as_str(), name.as_str()));
    change(session, Touched::Tables(touched.collect()), |change| {
        missing.clear();
        let mut found = Vec::new();
        for (database, name) in &names {
            match change.catalog.table(database, name) {
                Some(table) => found.push(table.clone()),
                None if change.catalog.sequence(database, name).is_some() => {
                    let full = format!("{database}.{name}");
                    let wanted = "BASE TABLE: it is a sequence, use DROP SEQUENCE";
                    return Err(Error::wrong_object(full, wanted));
                }
                None => missing.push(format!("{database}.{name}")),
            }
        }
        if !missing.is_empty() && !drop.if_exists {
            // MySQL 8 drops all tables or none.
            return Err(Error::unknown_table(missing.join(",")));
        }
        for table in &found {
            change.drop_table(table, now)?;
        }
        Ok(!found.is_empty())
    })
    .await?;
    for name in missing {
        ctx.note(Error::unknown_table(name));
    }
    Ok(Outcome::done())
}

async fn truncate(session: &mut Session, name: &ast::TableName) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let now = ctx.now_unix_micros / 1_000_000;
    let database = database_of(session, name)?.to_string();
    let default = session.database.clone();
    let client = session.instance.config.client.clone();
    let known = session.instance.catalog.current().await?;
    let mut wanted = known.table(&database, &name.name).map_or(1, |table| partition::ids_of(table));
    while wanted > 0 {
        let ids = store::new_table_ids(&client, wanted).await?;
        let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
        change(session, touched, |change| {
            let table = crate::dml::find_table(name, default.as_deref(), &change.catalog)?;
            wanted = partition::ids_of(&table);
            if wanted > ids.len() {
                // It has got partitions since: once more, with an id for each.
                return Ok(false);
            }
            wanted = 0;
            change.drop_table(&table, now)?;
            // A new id is an empty table, and AUTO_INCREMENT begins again.
            let empty = partition::with_ids(&table, &ids);
            let unpublished = Vec::new();
            change.put_table(&TableDef { auto_increment_start: 0, unpublished, ..empty })?;
            Ok(true)
        })
        .await?;
    }
    Ok(Outcome::done())
}

async fn rename(
    session: &mut Session,
    pairs: &[(ast::TableName, ast::TableName)],
) -> Result<Outcome> {
    session.dml_context(Vec::new(), false);
    // Locks are known by names: a table that is locked keeps its name.
    session.table_locks.check_no_tables()?;
    let mut renames = Vec::with_capacity(pairs.len());
    for (from, to) in pairs {
        create_table::check_identifier(&to.name, |name| Error::wrong_table_name(name))?;
        let from = (database_of(session, from)?.to_string(), from.name.clone());
        let to = (database_of(session, to)?.to_string(), to.name.clone());
        renames.push((from, to));
    }
    let touched = renames.iter().flat_map(|(from, to)| [from, to]);
    let touched = touched.map(|(database, name)| (database.as_str(), name.as_str()));
    change(session, Touched::Tables(touched.collect()), |change| {
        // Left to right, so that two tables can swap names over a third one.
        let mut now: Vec<TableDef> = Vec::new();
        let find = |now: &[TableDef], catalog: &Catalog, database: &str, name: &str| {
            let renamed = now.iter().find(|t| t.database == database && t.name == name).cloned();
            let original = catalog.table(database, name).map(|table| TableDef::clone(table));
            renamed.or_else(|| original.filter(|o| !now.iter().any(|t| t.id == o.id)))
        };
        for ((from_database, from), (to_database, to)) in &renames {
            existing_database(&change.catalog, to_database)?;
            let Some(mut table) = find(&now, &change.catalog, from_database, from) else {
                return Err(Error::no_such_table(format!("{from_database}.{from}")));
            };
            let is_sequence = change.catalog.sequence(to_database, to).is_some();
            if is_sequence || find(&now, &change.catalog, to_database, to).is_some() {
                return Err(Error::table_exists(to));
            }
            table.database.clone_from(to_database);
            table.name.clone_from(to);
            now.retain(|other| other.id != table.id);
            now.push(table);
        }
        for table in &now {
            change.put_table(table)?;
        }
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}
