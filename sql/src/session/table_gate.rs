//! How a statement comes past the table locks of other sessions.
//!
//! ```text
//! bind ─> enter: use noted, locks looked at (memory) ─┬─ free, or used before by this transaction ─> run
//!            ▲                                        ├─ locked by others ─> marker ─> undone, wait ─┐
//!            └────────────────────────────────────────┼──────────────────────────────────────────────┘
//!                                                     └─ own LOCK TABLES does not allow it ─> 1099, 1100, 1223
//! ```
//!
//! Who has locked a table goes on with it, whoever waits for it: else both would wait.
//!
//! A transaction goes on with tables that it uses already, for a lock of them waits until it ends. It does not wait for
//! other tables then: it would wait for the one who waits for it, so it is the victim of a deadlock (1213), as in MySQL.
//! FLUSH TABLES WITH READ LOCK lets it go on, and commit, as long as it waits (`catalog::table_locks`).
//!
//! A node that did not say what its sessions use when tables were locked may have been left out. What it wrote must not be
//! committed any more: such locks are *forced* for that node, and its commits look for them, under the catalog's lease. A
//! schema change leaves no lock behind, so every commit also looks whether its tables are still what they were.
//!
//! Not here: taking locks (`table_locks`).

use super::connection::Session;
use super::table_locks::{Looks, own_locks_lost};
use super::table_uses::EVERYTHING;
use super::{Outcome, RowSource};
use crate::binder::Sources;
use crate::catalog::TableDef;
use crate::catalog::table_locks::{
    Change, LockHolder, Owners, TableLocks, WAITS_FOR_CHANGES, WAITS_FOR_COMMITS, WAITS_FOR_TABLE,
};
use crate::temporary::is_temporary;
use crate::{Error, Result};
use base::TableId;
use futures::StreamExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a statement waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// A table.
    Table {
        /// Its database.
        database: String,
        /// Its name.
        name: String,
        /// How it is to be written.
        write: Option<Change>,
    },
    /// All tables of a database, to drop them.
    Database(String),
    /// The permission to change anything.
    Changes(Change),
}

impl Blocked {
    /// Who keeps a session from it.
    pub(crate) fn holder<'l>(&self, locks: &'l TableLocks, own: Owners) -> Option<&'l LockHolder> {
        match self {
            Blocked::Table { database, name, write } => {
                let changes = write.and_then(|change| locks.against_changes(own, change));
                changes.or_else(|| locks.against(own, database, name, write.is_some()))
            }
            Blocked::Database(database) => locks.against_database(own, database),
            Blocked::Changes(change) => locks.against_changes(own, *change),
        }
    }

    /// What PROCESSLIST says while this holder is waited for.
    fn state(&self, holder: &LockHolder) -> &'static str {
        match self {
            Blocked::Changes(Change::Commit) => WAITS_FOR_COMMITS,
            _ if holder.everything => WAITS_FOR_CHANGES,
            Blocked::Table { .. } | Blocked::Database(_) | Blocked::Changes(_) => WAITS_FOR_TABLE,
        }
    }

    /// Whether a record of another session is one that keeps from it.
    fn is_by(&self, holder: &LockHolder) -> bool {
        match self {
            Blocked::Table { database, name, write } => {
                holder.is_against(database, name, write.is_some())
                    || write.is_some_and(|change| holder.is_against_change(change))
            }
            Blocked::Database(database) => holder.is_against_database(database),
            Blocked::Changes(change) => holder.is_against_change(*change),
        }
    }
}

/// What the locks say of a use.
enum Passage {
    Free,
    Blocked,
    /// The locks were taken without this session.
    TooLate,
    /// The session's own locks are gone.
    OwnLost,
}

impl Session {
    /// Notes that the statement at hand uses a table by this name.
    ///
    /// # Errors
    /// 1099, 1100, 1223 when this session's own locks do not allow it; 1412 when its sharding key has changed since the read
    /// point; the marker when somebody else has locked it: the statement is undone, then [`Session::wait_for_tables`], then it
    /// is run again.
    pub(crate) fn enter(&self, table: &TableDef, alias: &str, write: bool) -> Result<()> {
        if is_temporary(table.id) {
            // Nobody else knows it.
            return Ok(());
        }
        if write {
            self.check_not_firing(table)?;
        }
        self.table_locks.check_table(&table.database, alias, write)?;
        self.check_layout(table)?;
        let before = self.entry.uses.enter_at(table.id, write, table.index_version);
        let own = self.table_locks.owners();
        let change = write.then_some(match (before.changing, before.in_transaction) {
            (true, _) => Change::Running,
            (false, true) => Change::Ongoing,
            (false, false) => Change::New,
        });
        let (node, name) = (self.instance.config.node, (&*table.database, &*table.name));
        let passage = self.instance.catalog.with_locks(|locks| {
            if locks.has_lost(own) {
                return Passage::OwnLost;
            }
            if locks.is_empty() {
                return Passage::Free;
            }
            if change.is_some_and(|change| locks.against_changes(own, change).is_some()) {
                return Passage::Blocked;
            }
            match locks.against(own, &table.database, &table.name, write) {
                None => Passage::Free,
                Some(_) if !before.table => Passage::Blocked,
                Some(_) if locks.is_forced_against(own, node, name, write) => Passage::TooLate,
                Some(_) => Passage::Free,
            }
        });
        match passage {
            Some(Passage::Free) if self.instance.catalog.is_current(table) => Ok(()),
            Some(Passage::TooLate) => Err(Error::deadlock()),
            Some(Passage::OwnLost) => Err(own_locks_lost()),
            Some(Passage::Blocked) => {
                let (database, name) = (table.database.clone(), table.name.clone());
                Err(self.blocked_at(Blocked::Table { database, name, write: change }))
            }
            // A lock that came and went has left another definition, or nobody knows the locks without a lease.
            Some(Passage::Free) | None => {
                self.entry.uses.leave();
                *self.blocked.lock() = None;
                Err(Error::table_blocked())
            }
        }
    }

    /// The same for all tables that a query reads.
    pub(crate) fn enter_sources(&self, sources: &Sources, write: bool) -> Result<()> {
        // What is read as of a time is not what the locks are about.
        if !sources.points.is_empty() {
            return Ok(());
        }
        for (table, name) in sources.tables.iter().zip(&sources.names) {
            self.enter(table, name, write)?;
        }
        Ok(())
    }

    /// Whether a point plan may run now: else the ordinary way waits, or says why not.
    pub(crate) fn may_run_point(&self, table: Option<&TableDef>) -> bool {
        // A plan that is kept has the definitions of now, and may read an index that is younger than the past.
        if table.is_some() && self.may_read_past() {
            return false;
        }
        if self.may_have_lost_user_locks() {
            return false;
        }
        table.is_none_or(|table| {
            self.table_locks.tables_owner().is_none()
                && self.enter(table, &table.name, false).is_ok()
                && self.is_as_at_begin(table)
        })
    }

    /// Notes that the statement at hand changes something other than rows of a table, or commits, and waits until
    /// FLUSH TABLES WITH READ LOCK of others allows it.
    pub(crate) async fn enter_changes(&mut self, change: Change) -> Result<()> {
        loop {
            self.entry.uses.enter(EVERYTHING, true);
            let own = self.table_locks.owners();
            let look = |locks: &TableLocks| locks.against_changes(own, change).is_some();
            match self.instance.catalog.with_locks(look) {
                Some(false) => return Ok(()),
                Some(true) => {
                    self.blocked_at(Blocked::Changes(change));
                    self.wait_for_tables().await?;
                }
                None => drop(self.instance.catalog.table_locks().await?),
            }
        }
    }

    /// Remembers what the statement waits for, which uses nothing meanwhile; the marker.
    pub(crate) fn blocked_at(&self, blocked: Blocked) -> Error {
        self.entry.uses.leave();
        *self.blocked.lock() = Some(blocked);
        Error::table_blocked()
    }

    /// Waits until the statement that met the marker may be run again. It has been undone.
    ///
    /// # Errors
    /// 1205 after `lock_wait_timeout`, 1213 when this transaction is what others wait for, 1317.
    pub(crate) async fn wait_for_tables(&mut self) -> Result<()> {
        let blocked = self.blocked.lock().take();
        let instance = self.instance.clone();
        let Some(blocked) = blocked else {
            return instance.catalog.table_locks().await.map(drop);
        };
        let own = self.table_locks.owners();
        let mut looks = Looks::new(&instance, self.table_lock_wait());
        let mut waiting = None;
        loop {
            self.check_cancel()?;
            let locks = instance.catalog.table_locks().await?;
            let Some(holder) = blocked.holder(&locks, own) else { return Ok(()) };
            if locks.may_wait(holder) && self.holds_up_others(&locks).await? {
                let error = Error::deadlock();
                self.transaction.lose(&error);
                return Err(error);
            }
            waiting.get_or_insert_with(|| self.entry.waits(blocked.state(holder)));
            looks.remove_if_gone(holder, |other: &LockHolder| blocked.is_by(other)).await;
            looks.pause(|now: &TableLocks| blocked.holder(now, own).is_none()).await?;
        }
    }

    /// 1412 for a table whose sharding key has changed since the transaction's read point, unless the transaction has used it
    /// before: only then is the former layout written until the transaction ends. Reads of the past need no such writes.
    fn check_layout(&self, table: &TableDef) -> Result<()> {
        if !table.reads_former_layout() || self.is_in_past() {
            return Ok(());
        }
        let used = self.entry.uses.of_transaction();
        match used.iter().any(|(id, _)| *id == table.id) {
            true => Ok(()),
            false => Err(Error::table_changed()),
        }
    }

    /// Whether somebody waits to lock tables that the open transaction uses.
    async fn holds_up_others(&self, locks: &TableLocks) -> Result<bool> {
        let used = self.entry.uses.of_transaction();
        if used.is_empty() {
            return Ok(false);
        }
        let catalog = self.instance.catalog.current().await?;
        let own = self.table_locks.owners();
        let mut others = locks
            .holders
            .iter()
            .filter(|holder| !holder.everything && !own.contains(&Some(holder.owner)));
        Ok(others.any(|holder| {
            used.iter().any(|(id, write)| {
                let table = catalog.table_by_id(*id);
                table.is_some_and(|table| holder.is_against(&table.database, &table.name, *write))
            })
        }))
    }

    /// 1213 when tables that were written have been locked without this session; to be asked right before a commit.
    pub(crate) async fn check_forced(
        &self,
        written: impl IntoIterator<Item = TableId>,
    ) -> Result<()> {
        let node = self.instance.config.node;
        let is_forced =
            |locks: &TableLocks| locks.holders.iter().any(|holder| holder.is_forced_for(node));
        if self.instance.catalog.with_locks(is_forced) == Some(false) {
            return Ok(());
        }
        let catalog = self.instance.catalog.current().await?;
        let locks = self.instance.catalog.table_locks().await?;
        let own = self.table_locks.owners();
        for id in written {
            let Some(table) = catalog.table_by_id(id) else { continue };
            if locks.is_too_late(own, node, &table.database, &table.name) {
                return Err(Error::deadlock());
            }
        }
        Ok(())
    }

    /// A query's outcome, which keeps the uses of its statement until all rows are read.
    pub(crate) fn using_tables(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Rows { columns, rows: RowSource::Stream(pages) }
                if !self.transaction.is_open() =>
            {
                let uses = self.entry.uses.hand_to_result();
                let pages = pages.inspect(move |_| uses.stays());
                Outcome::Rows { columns, rows: RowSource::Stream(Box::pin(pages)) }
            }
            outcome => outcome,
        }
    }

    /// Marks the end of a statement: what it used belongs to the open transaction, or is over.
    pub(crate) fn settle_uses(&self) {
        if self.infile.is_some() {
            return;
        }
        match self.transaction.is_open() {
            true => self.entry.uses.keep(),
            false => self.entry.uses.leave(),
        }
    }

    /// `lock_wait_timeout`.
    pub(crate) fn table_lock_wait(&self) -> Duration {
        Duration::from_secs(self.variables.number("lock_wait_timeout"))
    }

    /// 1317 when the statement was cancelled.
    pub(crate) fn check_cancel(&self) -> Result<()> {
        match self.entry.cancel.load(Ordering::Acquire) {
            true => Err(Error::interrupted()),
            false => Ok(()),
        }
    }
}

/// The code of the marker below; no client ever sees it.
const BLOCKED: u16 = u16::MAX - 2;

impl Error {
    /// A table is locked by another session: the statement is run again when it is free.
    fn table_blocked() -> Error {
        let message = "a table is locked; the statement must be run again".into();
        Error { code: BLOCKED, sqlstate: "HY000", message }
    }

    /// Whether it is that marker.
    pub(crate) fn is_table_blocked(&self) -> bool {
        self.code == BLOCKED
    }

    /// The marker where nothing is run again: a wait that took too long.
    pub(crate) fn blocked_as_timeout(self) -> Error {
        if self.is_table_blocked() { Error::lock_wait_timeout() } else { self }
    }
}
