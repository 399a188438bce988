//! Statements that change rows: INSERT, REPLACE, UPDATE, DELETE, LOAD DATA.
//!
//! ```text
//! source rows ──> assign (types, defaults, NOT NULL) ──> unique keys ──> write buffer ──> commit
//!                      dml::row                          dml::store      txn             session
//! ```
//!
//! Invariants:
//! 1. A row is written together with all its index entries, in one transaction.
//! 2. What a statement overwrites carries the version it has read (`Transaction::expect_unchanged`).
//! 3. A new row and each unique entry of it carry `Expect::Absent`; whether they are also looked up
//!    before is decided by [`Check`].
//!
//! Not here: savepoints, retries, commits (`session::statement`), access paths (`access`).

pub(crate) mod auto_increment;
pub(crate) mod bind;
pub(crate) mod delete;
pub(crate) mod duplicate;
pub(crate) mod insert;
mod joined;
pub(crate) mod line_reader;
pub(crate) mod load_data;
pub(crate) mod mirror;
mod multi_delete;
mod multi_update;
pub(crate) mod reference;
pub(crate) mod row;
pub(crate) mod sequences;
pub(crate) mod store;
mod temporary;
pub(crate) mod trigger;
pub(crate) mod update;
pub(crate) mod view;

use crate::ast::{self, Statement};
use crate::catalog::{Catalog, TableDef, information_schema};
use crate::session::Session;
use crate::session::locking::Locking;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::temporary::is_temporary;
use crate::value::Row;
use crate::{Error, Result};
use std::sync::Arc;

/// When a plain INSERT learns of a duplicate key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Before it writes: inside a transaction, where the client expects 1062 now.
    Now,
    /// At the commit, which follows at once: the shard checks it anyway, so no read is spent.
    AtCommit,
}

impl Check {
    /// Of a statement that locks what it changes, or leaves everything to its commit.
    pub(crate) fn of(locking: Option<&Locking>) -> Check {
        if locking.is_some() { Check::Now } else { Check::AtCommit }
    }
}

/// What a statement has changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// The table.
    pub(crate) table: Option<Arc<TableDef>>,
    /// The other tables of a statement that changes several.
    pub(crate) others: Vec<Arc<TableDef>>,
    /// Affected rows as MySQL counts them.
    pub(crate) affected: u64,
    /// Rows that an UPDATE left as they were; they count when the client asks for found rows.
    pub(crate) unchanged: u64,
    /// First AUTO_INCREMENT value that was generated.
    pub(crate) first_id: Option<u64>,
    /// An AUTO_INCREMENT value that was given by hand, for the OK packet.
    pub(crate) explicit_id: Option<u64>,
    /// Whether every AUTO_INCREMENT value of the statement was generated.
    pub(crate) all_generated: bool,
    /// Whether a row was inserted without a generated value.
    pub(crate) some_given: bool,
    /// Whether the statement says what happens at a duplicate key (IGNORE, REPLACE, ON DUPLICATE KEY UPDATE):
    /// then one that only the commit meets is a conflict, not an error.
    pub(crate) settles_duplicates: bool,
    /// The first inserted rows, to name the values of a duplicate key at commit.
    pub(crate) rows: Vec<Row>,
    /// What the OK packet's text counts.
    pub(crate) info: Info,
}

/// The numbers of an OK packet's text.
#[derive(Clone, Debug, Default)]
pub(crate) enum Info {
    /// No text.
    #[default]
    None,
    /// INSERT of several rows.
    Records {
        /// Rows given.
        records: u64,
        /// Rows that met a duplicate key.
        duplicates: u64,
    },
    /// UPDATE.
    Matched {
        /// Rows that the condition chose.
        matched: u64,
        /// Rows that became different.
        changed: u64,
    },
    /// LOAD DATA.
    Load {
        /// Lines read.
        records: u64,
        /// Rows that REPLACE removed.
        deleted: u64,
        /// Rows left out.
        skipped: u64,
    },
}

impl Changes {
    /// Affected rows; those left unchanged count under CLIENT_FOUND_ROWS.
    pub(crate) fn affected(&self, found_rows: bool) -> u64 {
        if found_rows { self.affected + self.unchanged } else { self.affected }
    }

    /// The OK packet's text.
    pub(crate) fn info(&self, warnings: u64) -> String {
        match self.info {
            Info::None => String::new(),
            Info::Records { records, duplicates } => {
                format!("Records: {records}  Duplicates: {duplicates}  Warnings: {warnings}")
            }
            Info::Matched { matched, changed } => {
                format!("Rows matched: {matched}  Changed: {changed}  Warnings: {warnings}")
            }
            Info::Load { records, deleted, skipped } => format!(
                "Records: {records}  Deleted: {deleted}  Skipped: {skipped}  Warnings: {warnings}"
            ),
        }
    }

    /// All tables that were changed.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<TableDef>> {
        self.table.iter().chain(&self.others)
    }

    /// The table that a key belongs to which was written.
    pub(crate) fn table_of(&self, key: &[u8]) -> Option<&Arc<TableDef>> {
        let id = engine::key::table_of_key(key).ok();
        let owns = |table: &&Arc<TableDef>| {
            let mirror = table.rebuild.as_ref().map(|rebuild| rebuild.mirror.rows);
            id.is_some_and(|id| mirror == Some(id) || table.key_ids().contains(&id))
        };
        match self.others.is_empty() {
            true => self.table.as_ref(),
            false => self.tables().find(owns).or(self.table.as_ref()),
        }
    }

    /// Whether a key was made of values that this node generated.
    pub(crate) fn is_generated_key(&self, key: &[u8]) -> bool {
        let Some(table) = self.table_of(key) else { return false };
        let Ok(id) = engine::key::index_of_key(key) else { return false };
        let index = table.all_indexes().find(|index| index.id == id);
        let generated = match table.auto_increment() {
            Some(column) if self.all_generated => Some(column),
            Some(_) => None,
            None => table.row_id(),
        };
        match (index, generated) {
            (Some(index), Some(column)) => index.covers(column),
            _ => false,
        }
    }
}

/// Runs INSERT, UPDATE or DELETE; whatever it writes is in the transaction's buffer afterwards, or with the shards when it
/// is too much for memory.
pub(crate) async fn run(
    session: &Session,
    statement: &Statement,
    env: &StatementContext,
    txn: &SharedTransaction,
    check: Check,
) -> Result<Changes> {
    match statement {
        Statement::Insert(insert) => insert::run(session, insert, env, txn, check).await,
        Statement::Update(update) => update::run(session, update, env, txn).await,
        Statement::Delete(delete) => delete::run(session, delete, env, txn).await,
        _ => Err(Error::internal("not a statement that changes rows")),
    }
}

/// A table whose rows are with the shards, where a commit has to look at it; a temporary one is in memory.
fn stored_table(table: &Arc<TableDef>) -> Option<Arc<TableDef>> {
    (!is_temporary(table.id)).then(|| table.clone())
}

/// The table that a statement names.
pub(crate) fn find_table(
    name: &ast::TableName,
    database: Option<&str>,
    catalog: &Catalog,
) -> Result<Arc<TableDef>> {
    let database = name.database.as_deref().or(database).ok_or_else(Error::no_database)?;
    if let Some(table) = catalog.table(database, &name.name) {
        return Ok(table.clone());
    }
    if !catalog.has_database(database) {
        return Err(Error::unknown_database(database));
    }
    Err(catalog.no_table(database, &name.name))
}

/// The table that a statement changes, whose use is noted: tables of system schemas are refused, and views (`view` looks
/// through them).
pub(crate) fn find_writable(
    name: &ast::TableName,
    alias: Option<&str>,
    operation: &str,
    session: &Session,
    catalog: &Catalog,
) -> Result<Arc<TableDef>> {
    if let Some(table) = session.temporary_table(name) {
        session.check_temporary_use()?;
        return Ok(table);
    }
    let default = session.default_database();
    let database = name.database.as_deref().or(default.as_deref());
    if let Some(view) = database.and_then(|database| catalog.view(database, &name.name)) {
        return Err(Error::not_supported(format!(
            "{operation} through view {}: name its table",
            view.qualified_name()
        )));
    }
    if let Some(database) = database
        && information_schema::is_schema(database)
    {
        let user = format!("'{}'@'{}'", session.info.user, session.info.host);
        return Err(Error::access_denied_database(user, database));
    }
    let table = find_table(name, default.as_deref(), catalog)?;
    session.enter(&table, alias.unwrap_or(&table.name), true)?;
    Ok(table)
}
