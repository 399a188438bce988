//! A schema change: it locks what it takes away, is made in one transaction on the meta shard, and is known to all nodes when
//! it is acknowledged.
//!
//! ```text
//! lock its tables ──> check ──> schema change (one transaction on the meta shard) ──> announce to all nodes
//!    ▲                  ▲         │ two at once: one conflicts and starts again         │ a silent node: wait for its lease
//!    │                  └─ wait ──┤ somebody else has locked the name of a new table
//!    └────────────────────────────┘ a table has come that is not locked
//! ```
//!
//! Not here: what is changed (the callers' `plan`), the transaction itself (`catalog::store`).

use super::alter::{RowCheck, TableCopy};
use super::ranges;
use crate::catalog::store::SchemaChange;
use crate::catalog::table_locks::{Change, LockSet, Owners, TableLocks};
use crate::catalog::{Catalog, TableDef};
use crate::instance::Instance;
use crate::session::Session;
use crate::session::table_gate::Blocked;
use crate::session::table_locks::SessionLocks;
use crate::session::transaction::SharedTransaction;
use crate::{Error, Result};
use base::limits::{CATALOG_LEASE, CONFLICT_RETRIES_MAX};

/// What a schema change is about: LOCK TABLES keeps it from that.
pub(super) enum Touched<'a> {
    /// No table and no database.
    Nothing,
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
    pub(super) fn check_own_locks(&self, own: &SessionLocks) -> Result<()> {
        match self {
            Touched::Nothing => Ok(()),
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
            Touched::Nothing
            | Touched::NewDatabase
            | Touched::NewTable(..)
            | Touched::Altered(..) => Vec::new(),
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
            Touched::Nothing => Vec::new(),
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
pub(super) async fn change(
    session: &mut Session,
    touched: Touched<'_>,
    plan: impl FnMut(&mut SchemaChange) -> Result<bool>,
) -> Result<()> {
    change_after(session, touched, None, plan).await
}

/// What is looked at while the tables are locked, before a change is made.
#[derive(Clone, Copy)]
pub(super) enum Before<'a> {
    /// The upper parts of ranges that are divided: they must be empty.
    Division(&'a ranges::Division<'a>),
    /// The rows of a table whose columns or constraints change.
    Rows(&'a RowCheck<'a>),
    /// Rows that are written with the change.
    Copy(&'a TableCopy<'a>),
}

impl Before<'_> {
    async fn check(self, instance: &Instance) -> Result<()> {
        match self {
            Before::Division(division) => division.check_empty(instance).await,
            Before::Rows(_) | Before::Copy(_) => Ok(()),
        }
    }

    async fn fill(self, change: &mut SchemaChange, instance: &Instance) -> Result<()> {
        match self {
            Before::Division(_) => Ok(()),
            Before::Rows(rows) => rows.check(&change.catalog, instance).await,
            Before::Copy(copy) => copy.fill(change, instance).await,
        }
    }
}

/// The same for a change that asks something of rows.
pub(super) async fn change_after(
    session: &mut Session,
    touched: Touched<'_>,
    before: Option<Before<'_>>,
    mut plan: impl FnMut(&mut SchemaChange) -> Result<bool>,
) -> Result<()> {
    touched.check_own_locks(&session.table_locks)?;
    let made = make(session, &touched, before, &mut plan).await;
    session.release_defined().await;
    let Some(version) = made? else { return Ok(()) };
    announce(&session.instance, version).await;
    Ok(())
}

/// Makes a new table in the transaction that has written its rows: others see it with all of them. The catalog's new version,
/// or why the commit failed. `still` looks at the catalog right before.
pub(super) async fn publish(
    session: &mut Session,
    touched: &Touched<'_>,
    rows: &SharedTransaction,
    table: &TableDef,
    still: impl Fn(&Catalog) -> Result<()>,
) -> Result<std::result::Result<u64, txn::Error>> {
    let client = session.instance.config.client.clone();
    loop {
        let change = SchemaChange::begin(&client).await?;
        let own = session.table_locks.owners();
        let has_locked = session.table_locks.tables_owner().is_some();
        if !has_locked && let Some(blocked) = touched.blocked(&change.locks, own) {
            drop(change);
            session.blocked_at(blocked);
            session.wait_for_tables().await?;
            session.enter_changes(Change::New).await?;
            continue;
        }
        still(&change.catalog)?;
        return change.commit_with_rows(&mut *rows.lock().await, table).await;
    }
}

/// Waits until every node knows a version of the catalog. The change is made, whatever comes now: an error here would say
/// that it is not.
pub(super) async fn announce(instance: &Instance, version: u64) {
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
    before: Option<Before<'_>>,
    plan: &mut impl FnMut(&mut SchemaChange) -> Result<bool>,
) -> Result<Option<u64>> {
    let client = session.instance.config.client.clone();
    let catalog = session.instance.catalog.current().await?;
    session.lock_to_define(touched.taken(&catalog)).await?;
    let mut attempt = 0;
    loop {
        if let Some(before) = before {
            let instance = session.instance.clone();
            before.check(&instance).await?;
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
        if let Some(before) = before {
            let instance = session.instance.clone();
            before.fill(&mut change, &instance).await?;
        }
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
