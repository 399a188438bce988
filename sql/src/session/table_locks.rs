//! LOCK TABLES, UNLOCK TABLES and FLUSH TABLES WITH READ LOCK; and what a schema change locks to have tables to itself.
//!
//! ```text
//! record with a ticket, every node told ─> statements of others keep away
//!        │
//!        └─ look: nobody ahead? nobody uses the tables, here and elsewhere? no prepared XA transaction? ─> locked
//!              ▲   │ some node does not say: the lock is forced for it, and TABLE_LOCK_SILENCE_MAX later had without it
//!              └───┘ until lock_wait_timeout, then the record is removed, 1205
//! ```
//!
//! The time of a silent node begins while the locker still stands in line, so those behind each other wait at the same time.
//! It begins anew when a record of that node goes that was ahead: its session could write under it until then.
//!
//! Looks come after pauses. That nobody is ahead any more ends a pause: the locks in memory are watched. The end of a use does
//! not.
//!
//! FLUSH TABLES WITH READ LOCK goes round once for each of its stages (`catalog::table_locks`).
//!
//! A record whose owner is gone is removed by whoever waits for it, as that of a user lock. Of a node that is silent for
//! `LOCK_OWNER_SILENCE_MAX` all records that are in the way are removed at once. A session that lives on all the same sees
//! that its record is gone when it uses a table next.
//!
//! A schema change that takes tables away (`ddl`) locks them as LOCK TABLES … WRITE does, and removes the record with the
//! change. A session that has locked them with LOCK TABLES has them to itself already.
//!
//! Not here: the statements that meet the locks (`table_gate`).

use super::connection::Session;
use super::table_uses::EVERYTHING;
use super::xa;
use crate::ast;
use crate::binder::view::{tables_of, written_name};
use crate::catalog::store::LockChange;
use crate::catalog::table_locks::{LockHolder, LockSet, Owners, Stage, TableLocks};
use crate::catalog::{Catalog, ViewDef, information_schema};
use crate::dml::find_table;
use crate::instance::{Instance, TableWanted};
use crate::silence::OwnerState;
use crate::{Error, Result};
use base::limits::{
    CONFLICT_RETRIES_MAX, LOCK_OWNER_SILENCE_MAX, TABLE_LOCK_LOOK_MAX, TABLE_LOCK_LOOK_MIN,
    TABLE_LOCK_OWNER_LOOK, TABLE_LOCK_SILENCE_MAX,
};
use base::{NodeId, TableId};
use futures::future::{Either, select};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use txn::command::LockOwner;
use txn::lock_owners::OwnerGuard;

/// The table locks of a session.
#[derive(Default)]
pub(crate) struct SessionLocks {
    /// LOCK TABLES.
    tables: Option<LockedTables>,
    /// FLUSH TABLES WITH READ LOCK.
    everything: Option<OwnerGuard>,
    /// The schema change at hand.
    defined: Option<OwnerGuard>,
}

/// What LOCK TABLES has locked.
struct LockedTables {
    guard: OwnerGuard,
    names: Vec<LockedName>,
}

/// A table by the name that it was locked by.
struct LockedName {
    database: String,
    alias: String,
    write: bool,
}

impl LockedName {
    /// Whether both are the same name.
    fn is_as(&self, other: &LockedName) -> bool {
        self.database == other.database && self.alias == other.alias
    }
}

impl SessionLocks {
    /// The owners of all its locks.
    pub(crate) fn owners(&self) -> Owners {
        [self.tables_owner(), self.everything.as_ref().map(OwnerGuard::owner)]
    }

    /// The owner of what LOCK TABLES has locked.
    pub(crate) fn tables_owner(&self) -> Option<LockOwner> {
        self.tables.as_ref().map(|tables| tables.guard.owner())
    }

    /// The owner of what the schema change at hand has locked.
    pub(crate) fn defined_owner(&self) -> Option<LockOwner> {
        self.defined.as_ref().map(OwnerGuard::owner)
    }

    /// The schema change at hand is made, and has removed its record.
    pub(crate) fn forget_defined(&mut self) {
        self.defined = None;
    }

    /// Whether this session has tables to itself, by the records that a schema change has read.
    ///
    /// # Errors
    /// 9001 when others have given up what it had locked.
    pub(crate) fn have_alone(&self, tables: &LockSet, locks: &TableLocks) -> Result<bool> {
        if let Some(owner) = self.tables_owner() {
            // That LOCK TABLES has locked these with WRITE is known (`check_table`).
            return locks.of(owner).map(|_| true).ok_or_else(own_locks_lost);
        }
        match self.defined_owner() {
            None => Ok(tables.is_empty()),
            Some(owner) => {
                let holder = locks.of(owner).ok_or_else(given_up)?;
                Ok(holder.has_alone(tables))
            }
        }
    }

    /// 1223 when this session has said FLUSH TABLES WITH READ LOCK.
    pub(crate) fn check_changes(&self) -> Result<()> {
        match self.everything {
            Some(_) => Err(Error::conflicting_read_lock()),
            None => Ok(()),
        }
    }

    /// 1192 when LOCK TABLES has locked something.
    pub(crate) fn check_no_tables(&self) -> Result<()> {
        match self.tables {
            Some(_) => Err(Error::lock_or_active_transaction()),
            None => Ok(()),
        }
    }

    /// Whether this session's own locks allow to use a table by this name: else 1099, 1100 or 1223.
    pub(crate) fn check_table(&self, database: &str, alias: &str, write: bool) -> Result<()> {
        if write {
            self.check_changes()?;
        }
        let Some(tables) = &self.tables else { return Ok(()) };
        let mut names = tables.names.iter();
        match names.find(|name| name.database == database && name.alias == alias) {
            None => Err(Error::table_not_locked(written_name(alias))),
            Some(name) if write && !name.write => {
                Err(Error::table_locked_for_read(written_name(alias)))
            }
            Some(_) => Ok(()),
        }
    }
}

impl Session {
    /// LOCK TABLES.
    pub(super) async fn lock_tables(&mut self, locks: &[ast::TableLock]) -> Result<()> {
        self.commit_open().await?;
        self.release_tables().await;
        let catalog = self.instance.catalog.current().await?;
        let mut names: Vec<LockedName> = Vec::with_capacity(locks.len());
        let mut tables = LockSet::new();
        for lock in locks {
            // `SET TRANSACTION READ ONLY` was for the transaction that has just ended; the session's mode stays.
            if lock.write && self.variables.read_only() {
                return Err(Error::read_only_transaction());
            }
            let database = lock.table.database.as_deref().or(self.database.as_deref());
            if let Some(database) = database.filter(|name| information_schema::is_schema(name)) {
                let user = format!("'{}'@'{}'", self.info.user, self.info.host);
                return Err(Error::access_denied_database(user, database));
            }
            if lock.write {
                self.table_locks.check_changes()?;
            }
            let view = database.and_then(|name| catalog.view(name, &lock.table.name));
            if let Some(view) = view {
                let of_view = self.names_of_view(view, lock, &catalog, &mut tables)?;
                if names.iter().any(|name| name.is_as(&of_view[0])) {
                    return Err(Error::nonunique_table(&of_view[0].alias));
                }
                names.extend(of_view);
                continue;
            }
            let table = find_table(&lock.table, self.database.as_deref(), &catalog)?;
            let alias = lock.alias.as_ref().unwrap_or(&table.name);
            if names.iter().any(|name| name.database == table.database && name.alias == *alias) {
                return Err(Error::nonunique_table(alias));
            }
            let of_database = tables.entry(table.database.clone()).or_default();
            *of_database.entry(table.name.clone()).or_default() |= lock.write;
            names.push(LockedName {
                database: table.database.clone(),
                alias: alias.clone(),
                write: lock.write,
            });
        }
        let guard = self.take_locks(tables, false).await?;
        self.table_locks.tables = Some(LockedTables { guard, names });
        self.tell_table_locks();
        Ok(())
    }

    /// What a view is locked as, its own name first: it is what it reads, by names that only the view uses.
    fn names_of_view(
        &mut self,
        view: &ViewDef,
        lock: &ast::TableLock,
        catalog: &Arc<Catalog>,
        tables: &mut LockSet,
    ) -> Result<Vec<LockedName>> {
        let alias = lock.alias.as_ref().unwrap_or(&view.name);
        let ctx = self.context(Vec::new());
        let computed = self.virtual_tables(catalog);
        let write = lock.write;
        let (database, own) = (view.database.clone(), alias.clone());
        let mut names = vec![LockedName { database, alias: own, write }];
        for (table, path) in tables_of(view, alias, catalog, &ctx, &computed)? {
            let of_database = tables.entry(table.database.clone()).or_default();
            *of_database.entry(table.name.clone()).or_default() |= write;
            names.push(LockedName { database: table.database.clone(), alias: path, write });
        }
        Ok(names)
    }

    /// UNLOCK TABLES.
    pub(super) async fn unlock_tables(&mut self) -> Result<()> {
        let committed = match self.table_locks.tables.is_some() {
            true => self.commit_open().await,
            false => Ok(()),
        };
        self.release_all_tables().await;
        committed
    }

    /// FLUSH TABLES … WITH READ LOCK; of all tables when none is named.
    pub(super) async fn flush_with_read_lock(&mut self, tables: &[ast::TableName]) -> Result<()> {
        self.table_locks.check_no_tables()?;
        if !tables.is_empty() {
            let locks: Vec<ast::TableLock> = tables
                .iter()
                .map(|table| ast::TableLock {
                    table: table.clone(),
                    alias: None,
                    write: false,
                    local: false,
                })
                .collect();
            return self.lock_tables(&locks).await;
        }
        self.commit_open().await?;
        if self.table_locks.everything.is_none() {
            self.table_locks.everything = Some(self.take_locks(LockSet::new(), true).await?);
            self.tell_table_locks();
        }
        Ok(())
    }

    /// Keeps everybody else from tables until the schema change at hand is made or given up. It changes nothing while it
    /// waits.
    ///
    /// # Errors
    /// 1205 after `lock_wait_timeout`, 1317.
    pub(crate) async fn lock_to_define(&mut self, tables: LockSet) -> Result<()> {
        self.release_defined().await;
        if tables.is_empty() || self.table_locks.tables.is_some() {
            return Ok(());
        }
        self.entry.uses.leave();
        self.table_locks.defined = Some(self.take_locks(tables, false).await?);
        self.tell_table_locks();
        Ok(())
    }

    /// Gives up what the schema change at hand has locked.
    pub(crate) async fn release_defined(&mut self) {
        if let Some(guard) = self.table_locks.defined.take() {
            self.tell_table_locks();
            remove(&self.instance, guard.owner()).await;
        }
    }

    /// Shows others what this session has.
    fn tell_table_locks(&self) {
        let owners =
            self.table_locks.owners().into_iter().chain([self.table_locks.defined_owner()]);
        self.entry.state.lock().table_locks = owners.flatten().collect();
    }

    /// Gives up what LOCK TABLES has locked.
    pub(crate) async fn release_tables(&mut self) {
        if let Some(tables) = self.table_locks.tables.take() {
            self.tell_table_locks();
            remove(&self.instance, tables.guard.owner()).await;
        }
    }

    /// Gives up all table locks.
    pub(crate) async fn release_all_tables(&mut self) {
        self.release_tables().await;
        self.release_defined().await;
        if let Some(guard) = self.table_locks.everything.take() {
            self.tell_table_locks();
            remove(&self.instance, guard.owner()).await;
        }
    }

    /// The same at the end of the session, without waiting for it.
    pub(crate) fn drop_table_locks(&mut self) {
        let SessionLocks { tables, everything, defined } = std::mem::take(&mut self.table_locks);
        let tables = tables.map(|tables| tables.guard);
        let guards: Vec<OwnerGuard> = tables.into_iter().chain(everything).chain(defined).collect();
        if guards.is_empty() {
            return;
        }
        let instance = self.instance.clone();
        self.instance.config.client.spawn(Box::pin(async move {
            for guard in guards {
                remove(&instance, guard.owner()).await;
            }
        }));
    }

    /// Locks tables, or everything against changes.
    async fn take_locks(&self, tables: LockSet, everything: bool) -> Result<OwnerGuard> {
        let guard = self.instance.config.client.lock_owners().begin();
        let holder = LockHolder {
            owner: guard.owner(),
            connection: self.info.connection_id,
            ticket: 0,
            forced: false,
            forced_for: BTreeSet::new(),
            everything,
            stage: if everything { Stage::Wanted } else { Stage::Closed },
            tables,
        };
        match self.wait_for_locks(holder).await {
            Ok(()) => Ok(guard),
            Err(error) => {
                remove(&self.instance, guard.owner()).await;
                Err(error)
            }
        }
    }

    /// Puts the record, and waits until its locks are had.
    async fn wait_for_locks(&self, mut holder: LockHolder) -> Result<()> {
        let instance = &self.instance;
        let mut version = change(instance, |change| {
            holder.ticket = change.version();
            change.put(&holder)
        })
        .await?;
        let mut looks = Looks::new(instance, self.table_lock_wait());
        let mut waiting = None;
        // Since when the record is forced for nodes that do not say.
        let mut forced: BTreeMap<NodeId, Duration> = BTreeMap::new();
        let mut ahead_before: BTreeSet<LockOwner> = BTreeSet::new();
        loop {
            self.check_cancel()?;
            instance.catalog.table_locks_announced(version).await?;
            // In this order: what those ahead have done with their locks is over, or seen as a use.
            let locks = instance.catalog.table_locks().await?;
            let wanted = wanted(instance, &holder).await?;
            // What others removed by force meanwhile makes a newer version: a node that has not loaded it may still let
            // the session go on that had locked the tables.
            let newest = locks.version.max(version);
            let others = instance.config.cluster.announce_table_locks(newest, &wanted).await;
            if locks.of(holder.owner).is_none() {
                return Err(given_up());
            }
            // A session there whose record went may have used the tables under it until then.
            let ahead_now = locks.owners_ahead_of(&holder);
            for gone in ahead_before.difference(&ahead_now) {
                if let Some(since) = forced.get_mut(&gone.node()) {
                    *since = looks.waited();
                }
            }
            ahead_before = ahead_now;
            let is_last = holder.stage.next().is_none();
            if is_last && others.silent.iter().any(|node| !forced.contains_key(node)) {
                holder.forced = true;
                holder.forced_for.extend(&others.silent);
                version = put_again(instance, &holder).await?;
                let since = looks.waited();
                for node in &others.silent {
                    forced.entry(*node).or_insert(since);
                }
            }
            let ahead = locks.ahead_of(&holder);
            if let Some(ahead) = ahead {
                looks.remove_if_gone(ahead, |other: &LockHolder| other.is_ahead_of(&holder)).await;
            } else if !others.used
                && !instance.uses_tables(&wanted)
                && !xa::is_in_the_way(&instance.config.client, &wanted).await?
            {
                if let Some(next) = holder.stage.next() {
                    holder.stage = next;
                    version = put_again(instance, &holder).await?;
                    continue;
                }
                let now = looks.waited();
                let is_over = |since: &Duration| now >= *since + TABLE_LOCK_SILENCE_MAX;
                if others.silent.iter().all(|node| forced.get(node).is_some_and(is_over)) {
                    return Ok(());
                }
            }
            // The state of before is forgotten first.
            drop(waiting.take());
            waiting = Some(self.entry.waits(holder.state_of_waiter()));
            // Uses end without a word; a place in the line does not.
            let is_behind = ahead.is_some();
            let is_first = |now: &TableLocks| is_behind && now.ahead_of(&holder).is_none();
            looks.pause(is_first).await?;
        }
    }
}

/// Puts the record of somebody who waits, which has changed; the version that has it.
async fn put_again(instance: &Instance, holder: &LockHolder) -> Result<u64> {
    change(instance, |change| {
        let stands = change.locks.of(holder.owner).is_some();
        if stands { change.put(holder) } else { Err(given_up()) }
    })
    .await
}

/// Others have removed the record of somebody who waits.
fn given_up() -> Error {
    Error::unavailable("this node was silent while it waited for table locks; try again")
}

/// The same, of what LOCK TABLES had locked.
pub(super) fn own_locks_lost() -> Error {
    Error::unavailable(
        "this node was silent, so others gave up the table locks of this session: say UNLOCK TABLES and lock again",
    )
}

/// The tables of a record as their users know them.
async fn wanted(instance: &Instance, holder: &LockHolder) -> Result<Vec<TableWanted>> {
    let catalog = instance.catalog.current().await?;
    let id = |database: &str, name: &str| -> Option<TableId> {
        catalog.table(database, name).map(|table| table.id)
    };
    let tables = holder.tables().filter_map(|(database, name, write)| {
        Some(TableWanted { table: id(database, name)?, write, older_than: None })
    });
    let all = TableWanted { table: EVERYTHING, write: false, older_than: None };
    let everything = holder.everything.then_some(all);
    Ok(tables.chain(everything).collect())
}

/// Changes the table locks; the version that has the change.
async fn change(
    instance: &Instance,
    mut plan: impl FnMut(&mut LockChange) -> Result<()>,
) -> Result<u64> {
    let client = &instance.config.client;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut change = LockChange::begin(client).await?;
        plan(&mut change)?;
        match change.commit().await {
            Err(error) if error.code == 1213 && attempt < CONFLICT_RETRIES_MAX => {
                client.pause(TABLE_LOCK_LOOK_MIN).await;
            }
            other => return other,
        }
    }
}

/// Removes a record and lets those that wait go on.
async fn remove(instance: &Arc<Instance>, owner: LockOwner) {
    // A record that stays names an owner that is gone: whoever waits for it removes it.
    if let Ok(version) = change(instance, |change| change.remove(owner)).await {
        tell_removed(instance, version).await;
    }
}

/// The same for all records that are over.
async fn remove_all(instance: &Arc<Instance>, is_over: impl Fn(&LockHolder) -> bool) {
    let removed = change(instance, |change| {
        let over = change.locks.holders.iter().filter(|holder| is_over(holder));
        let owners: Vec<LockOwner> = over.map(|holder| holder.owner).collect();
        owners.into_iter().try_for_each(|owner| change.remove(owner))
    });
    if let Ok(version) = removed.await {
        tell_removed(instance, version).await;
    }
}

/// Makes it known that records were removed.
async fn tell_removed(instance: &Arc<Instance>, version: u64) {
    let _ = instance.catalog.table_locks_announced(version).await;
    let cluster = instance.config.cluster.clone();
    instance.config.client.spawn(Box::pin(async move {
        // A node that does not hear it finds out when it renews its lease.
        cluster.announce_table_locks(version, &[]).await;
    }));
}

/// The looks of somebody who waits for tables.
pub(super) struct Looks<'a> {
    instance: &'a Arc<Instance>,
    /// Longest wait.
    limit: Duration,
    /// Monotonic time of the beginning.
    began: Duration,
    /// All pauses so far.
    paused: Duration,
    /// The next one.
    pause: Duration,
    /// Who was asked for last, and when to ask next whether that one lives.
    asked: Option<(LockOwner, Duration)>,
    /// The node that did not say so, since when.
    silent: Option<(NodeId, Duration)>,
}

impl<'a> Looks<'a> {
    /// Of somebody who begins to wait.
    pub(super) fn new(instance: &'a Arc<Instance>, limit: Duration) -> Looks<'a> {
        Looks {
            instance,
            limit,
            began: instance.config.clock.monotonic(),
            paused: Duration::ZERO,
            pause: TABLE_LOCK_LOOK_MIN,
            asked: None,
            silent: None,
        }
    }

    /// Time since then: at least what the pauses come to.
    fn waited(&self) -> Duration {
        let now = self.instance.config.clock.monotonic();
        self.paused.max(now.saturating_sub(self.began))
    }

    /// Pauses before the next look, but only until the locks `are_free`, as far as this node knows; 1205 when that was the
    /// last look.
    pub(super) async fn pause(&mut self, are_free: impl Fn(&TableLocks) -> bool) -> Result<()> {
        let left = self.limit.saturating_sub(self.waited());
        if left.is_zero() {
            return Err(Error::lock_wait_timeout());
        }
        let (instance, pause) = (self.instance, self.pause.min(left));
        let freed = std::pin::pin!(instance.catalog.table_locks_until(are_free));
        let paused = std::pin::pin!(instance.config.client.pause(pause));
        match select(freed, paused).await {
            Either::Left(_) => self.pause = TABLE_LOCK_LOOK_MIN,
            Either::Right(_) => {
                self.paused += pause;
                self.pause = (self.pause * 2).min(TABLE_LOCK_LOOK_MAX);
            }
        }
        Ok(())
    }

    /// Removes the record of a holder that is gone; when its node has been silent for long, all records of that node that
    /// are `in_the_way`.
    pub(super) async fn remove_if_gone(
        &mut self,
        holder: &LockHolder,
        in_the_way: impl Fn(&LockHolder) -> bool,
    ) {
        let now = self.waited();
        if self.asked.is_some_and(|(owner, again)| owner == holder.owner && now < again) {
            return;
        }
        self.asked = Some((holder.owner, now + TABLE_LOCK_OWNER_LOOK));
        let node = holder.owner.node();
        match self.instance.owner_state(holder.owner).await {
            OwnerState::Lives => self.silent = None,
            OwnerState::Gone => {
                self.silent = None;
                remove(self.instance, holder.owner).await;
            }
            OwnerState::Silent(known) => {
                let before = self.silent.filter(|(silent, _)| *silent == node);
                let since = before.map_or(now, |(_, since)| since);
                self.silent = Some((node, since));
                if known.max(now.saturating_sub(since)) >= LOCK_OWNER_SILENCE_MAX {
                    remove_all(self.instance, |other: &LockHolder| {
                        other.owner == holder.owner
                            || other.owner.node() == node && in_the_way(other)
                    })
                    .await;
                }
            }
        }
    }
}
