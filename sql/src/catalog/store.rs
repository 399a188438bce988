//! The catalog in the meta shard: its keys, and reading and changing it.
//!
//! ```text
//! table 100  ()            → version (8 BE)       written by every schema change
//! table 101  (name)        → database record
//! table 102  (table id)    → table record
//! table 103  (table id)    → dropped table, partition or sequence: rows, then counters still to be removed (`dropped`)
//! table 104  (user, host)  → account record
//! table 105  (table, kind) → highest value handed out: kind 0 AUTO_INCREMENT, 1 hidden row id
//! table 106  (kind)        → counter of ids: 0 databases, 1 tables
//! table 116  ()            → version of the table locks (8 BE)
//! table 117  (owner)       → what a session has locked with LOCK TABLES, or for a schema change
//! table 130  (job)         → job that adds and drops indexes (`index_jobs`)
//! table 140  (sequence id) → sequence record
//! table 141  (sequence id, generation) → counter of its values: the next free place (`sequence`)
//! table 142  (view id)     → view record
//! table 143  (routine id)  → procedure or function (`routine`)
//! table 144  (trigger id)  → trigger (`trigger`)
//! table 146  (table id)    → what ANALYZE TABLE has found (`statistics`)
//! table 148  (name)        → global value of a variable (`setting`)
//! ```
//!
//! Every schema change reads the version in its transaction and writes the next one, so two changes
//! at once conflict and one is redone: names stay unique without a further index. Table locks have a version of their
//! own, so that they cost no reading of definitions; a schema change writes it too, so that it conflicts with a lock of its
//! tables: as it is, or the next one when it removes the record with which it kept others away.

use super::index_jobs::{self, IndexJob};
use super::object::{self, Object};
use super::partition::PartitionDef;
use super::table_locks::{LockHolder, TableLocks};
use super::{
    Catalog, DatabaseDef, RoutineDef, SequenceDef, Setting, TableDef, TableStatistics, TriggerDef,
    ViewDef, dropped, record, setting, statistics,
};
use crate::instance::Account;
use crate::{Error, Result};
use base::{DatabaseId, IndexId, KeyRange, Slot, TableId, Timestamp};
use bytes::Bytes;
use engine::key::{KeyBuilder, KeyReader, table_prefix};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::command::{Expect, LockOwner, ReadRequest, ReadResponse, WriteRequest, WriteResponse};
use txn::transaction::{Mode, ScanOptions};
use txn::{ShardClient, Transaction};

const VERSION: TableId = TableId(100);
const DATABASES: TableId = TableId(101);
pub(super) const TABLES: TableId = TableId(102);
const ACCOUNTS: TableId = TableId(104);
const AUTO_INCREMENT: TableId = TableId(105);
const IDS: TableId = TableId(106);
const LOCKS_VERSION: TableId = TableId(116);
const LOCK_HOLDERS: TableId = TableId(117);
pub(super) const SEQUENCES: TableId = TableId(140);
const SEQUENCE_COUNTERS: TableId = TableId(141);
pub(super) const VIEWS: TableId = TableId(142);
pub(super) const ROUTINES: TableId = TableId(143);
pub(super) const TRIGGERS: TableId = TableId(144);
pub(super) const STATISTICS: TableId = TableId(146);
pub(super) const SETTINGS: TableId = TableId(148);

/// Times a read is tried again because the meta shard changed its leader.
const READ_ATTEMPTS: u32 = 3;

pub(super) fn meta_key(table: TableId, columns: impl FnOnce(&mut KeyBuilder)) -> Bytes {
    let mut key = KeyBuilder::new(table, IndexId::PRIMARY);
    columns(&mut key);
    key.finish(Slot(0))
}

fn version_key() -> Bytes {
    meta_key(VERSION, |_| {})
}

fn locks_version_key() -> Bytes {
    meta_key(LOCKS_VERSION, |_| {})
}

fn lock_holder_key(owner: LockOwner) -> Bytes {
    meta_key(LOCK_HOLDERS, |key| key.put_u64(owner.0))
}

fn database_key(name: &str) -> Bytes {
    meta_key(DATABASES, |key| key.put_bytes(name.as_bytes()))
}

fn table_key(id: TableId) -> Bytes {
    meta_key(TABLES, |key| key.put_u64(u64::from(id.0)))
}

fn account_key(user: &str, host: &str) -> Bytes {
    meta_key(ACCOUNTS, |key| {
        key.put_bytes(user.as_bytes());
        key.put_bytes(host.as_bytes());
    })
}

/// The key of a table's AUTO_INCREMENT counter, or of the counter of its hidden row ids.
pub(crate) fn auto_increment_key(id: TableId, row_id: bool) -> Bytes {
    meta_key(AUTO_INCREMENT, |key| {
        key.put_u64(u64::from(id.0));
        key.put_u64(u64::from(row_id));
    })
}

/// The key of a sequence's counter.
pub(crate) fn sequence_counter_key(sequence: &SequenceDef) -> Bytes {
    meta_key(SEQUENCE_COUNTERS, |key| {
        key.put_u64(u64::from(sequence.id.0));
        key.put_u64(sequence.generation);
    })
}

/// Versions of what a node keeps a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Versions {
    /// Of the catalog.
    pub(super) catalog: u64,
    /// Of the table locks.
    pub(super) locks: u64,
}

impl Versions {
    fn decode<V: AsRef<[u8]>>(values: &[Option<V>]) -> Result<Versions> {
        let version = |at: usize| {
            let value = values.get(at).and_then(Option::as_ref);
            value.map_or(Ok(0), |value| decode_version(value.as_ref()))
        };
        Ok(Versions { catalog: version(0)?, locks: version(1)? })
    }
}

/// The versions now, read without a timestamp.
pub(super) async fn versions(client: &Arc<dyn ShardClient>) -> Result<Versions> {
    let keys = vec![version_key(), locks_version_key()];
    let mut attempt = 0;
    loop {
        let route = client.locate(&keys[0])?;
        let (wanted, known) = (keys.clone(), Vec::new());
        let request = ReadRequest::Get { keys: wanted, ts: Timestamp::MAX, known };
        match client.read(route, request).await {
            Ok(ReadResponse::Values(values)) => {
                let values: Vec<Option<Bytes>> =
                    values.into_iter().map(|found| found.map(|version| version.value)).collect();
                return Versions::decode(&values);
            }
            Ok(
                ReadResponse::Page { .. }
                | ReadResponse::Changed { .. }
                | ReadResponse::OldestLock { .. },
            ) => {
                return Err(Error::internal("a get has no page for an answer"));
            }
            Err(txn::Error::KeyLocked { .. }) => {
                // A schema change over several requests is being committed: a transaction resolves it.
                let mut txn = Transaction::begin(client.clone(), Mode::Latest);
                return Versions::decode(&txn.multi_get(&keys).await?);
            }
            Err(error) if error.is_retryable() && attempt < READ_ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

fn decode_version(value: &[u8]) -> Result<u64> {
    let bytes = value.try_into().map_err(|_| Error::storage("corrupt catalog version"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The whole catalog and the table locks at one read point.
pub(super) async fn load(client: &Arc<dyn ShardClient>) -> Result<(Catalog, TableLocks)> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    let catalog = load_in(&mut txn).await?;
    let catalog = Catalog { read_ts: txn.read_ts().unwrap_or(Timestamp::ZERO), ..catalog };
    Ok((catalog, locks_in(&mut txn).await?))
}

/// The table locks.
pub(super) async fn load_locks(client: &Arc<dyn ShardClient>) -> Result<TableLocks> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    locks_in(&mut txn).await
}

async fn locks_in(txn: &mut Transaction) -> Result<TableLocks> {
    let version = txn.get(&locks_version_key()).await?;
    let version = version.map_or(Ok(0), |value| decode_version(&value))?;
    let holders = scan_table(txn, LOCK_HOLDERS, |_, value| LockHolder::decode(value)).await?;
    Ok(TableLocks { version, holders })
}

async fn load_in(txn: &mut Transaction) -> Result<Catalog> {
    let version = txn.get(&version_key()).await?.map_or(Ok(0), |value| decode_version(&value))?;
    let databases = scan_table(txn, DATABASES, |_, value| record::decode_database(value)).await?;
    let tables = scan_table(txn, TABLES, |_, value| record::decode_table(value)).await?;
    let sequences = object::all_in::<SequenceDef>(txn).await?;
    let views = object::all_in::<ViewDef>(txn).await?;
    let settings = setting::all_in(txn).await?;
    let routines = object::all_in::<RoutineDef>(txn).await?;
    let triggers = object::all_in::<TriggerDef>(txn).await?;
    let statistics = statistics::all_in(txn).await?;
    let catalog = Catalog::new(version, databases, tables).with_sequences(sequences);
    let catalog = catalog.with_views(views).with_settings(settings).with_routines(routines);
    Ok(catalog.with_triggers(triggers).with_statistics(statistics))
}

/// Definitions of tables as a transaction sees them, in the order of the ids; `None` for one that is not there.
pub(crate) async fn tables_by_id(
    txn: &mut Transaction,
    ids: &[TableId],
) -> Result<Vec<Option<TableDef>>> {
    let keys: Vec<Bytes> = ids.iter().map(|id| table_key(*id)).collect();
    let values = txn.multi_get(&keys).await?.into_iter();
    values.map(|value| value.map(|bytes| record::decode_table(&bytes)).transpose()).collect()
}

pub(super) async fn scan_table<T>(
    txn: &mut Transaction,
    table: TableId,
    decode: impl Fn(&[u8], &[u8]) -> Result<T>,
) -> Result<Vec<T>> {
    let prefix = table_prefix(table);
    let options = ScanOptions {
        shard: Some(meta_key(table, |_| {})),
        ordered: true,
        ..ScanOptions::default()
    };
    let mut scan = txn.scan(KeyRange::prefix(prefix), options).await?;
    let mut records = Vec::new();
    while let Some(page) = scan.next_page().await? {
        for (key, value) in page {
            records.push(decode(&key, &value)?);
        }
    }
    Ok(records)
}

/// A schema change under way: the catalog as it is in its transaction, and what is written.
pub(crate) struct SchemaChange {
    /// The transaction on the meta shard.
    txn: Transaction,
    /// The catalog before the change.
    pub(crate) catalog: Catalog,
    /// The table locks, which stay as they are until the change is made.
    pub(crate) locks: TableLocks,
    /// The jobs that change indexes.
    pub(crate) index_jobs: Vec<IndexJob>,
    /// Whose record goes when it is made.
    released: Option<LockOwner>,
}

impl SchemaChange {
    /// Reads the catalog and claims the next version.
    pub(crate) async fn begin(client: &Arc<dyn ShardClient>) -> Result<SchemaChange> {
        let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
        let catalog = load_in(&mut txn).await?;
        let key = version_key();
        let expect = txn.expect_unchanged(&key);
        let next = (catalog.version + 1).to_be_bytes().to_vec();
        txn.put(key, next, expect)?;
        let locks = locks_in(&mut txn).await?;
        let index_jobs = index_jobs::all_in(&mut txn).await?;
        Ok(SchemaChange { txn, catalog, locks, index_jobs, released: None })
    }

    /// The time as of which it has read; later than all that was acknowledged before it began.
    pub(crate) fn read_ts(&self) -> Timestamp {
        self.txn.read_ts().unwrap_or(Timestamp::ZERO)
    }

    /// Its transaction, for rows that come with the change.
    pub(crate) fn transaction(&mut self) -> &mut Transaction {
        &mut self.txn
    }

    /// Stores a job that changes indexes, which must still be what was read.
    pub(crate) fn put_index_job(&mut self, job: &IndexJob) -> Result<()> {
        index_jobs::put(&mut self.txn, job)
    }

    /// Forgets a job that has ended.
    pub(crate) fn forget_index_job(&mut self, id: u64) -> Result<()> {
        index_jobs::remove(&mut self.txn, id)
    }

    /// Removes a record of table locks when the change is made.
    pub(crate) fn release(&mut self, owner: LockOwner) {
        self.released = Some(owner);
    }

    /// Stores a new or changed database.
    pub(crate) fn put_database(&mut self, database: &DatabaseDef) -> Result<()> {
        let value = record::encode_database(database);
        Ok(self.txn.put(database_key(&database.name), value, Expect::Any)?)
    }

    /// Removes a database's record; its tables are removed one by one.
    pub(crate) fn drop_database(&mut self, name: &str) -> Result<()> {
        Ok(self.txn.delete(database_key(name), Expect::Any)?)
    }

    /// Stores a new table.
    pub(crate) fn put_table(&mut self, table: &TableDef) -> Result<()> {
        let value = record::encode_table(table)?;
        Ok(self.txn.put(table_key(table.id), value, Expect::Any)?)
    }

    /// Removes a table's record and remembers that its rows are to be removed.
    pub(crate) fn drop_table(&mut self, table: &TableDef, now_unix: u64) -> Result<()> {
        self.txn.delete(table_key(table.id), Expect::Any)?;
        if self.catalog.statistics().contains_key(&table.id) {
            self.txn.delete(statistics::key(table.id), Expect::Any)?;
        }
        self.drop_rows(table.id, table.qualified_name(), now_unix)?;
        if table.partitioning.is_none() {
            for id in table.stored_ids().into_iter().filter(|id| *id != table.id) {
                self.drop_layout(table, id, now_unix)?;
            }
        }
        for partition in table.partitioning.iter().flat_map(|by| &by.partitions) {
            self.drop_partition(table, partition, now_unix)?;
        }
        Ok(())
    }

    /// Remembers that the rows of a partition are to be removed; the caller stores the table without it.
    pub(crate) fn drop_partition(
        &mut self,
        table: &TableDef,
        partition: &PartitionDef,
        now_unix: u64,
    ) -> Result<()> {
        let name = format!("{} partition {}", table.qualified_name(), partition.name);
        self.drop_rows(partition.id, name, now_unix)
    }

    /// Remembers that the rows which a table has under this id are to be removed; the caller stores the table without it.
    pub(crate) fn drop_layout(
        &mut self,
        table: &TableDef,
        id: TableId,
        now_unix: u64,
    ) -> Result<()> {
        self.drop_rows(id, format!("{} layout {}", table.qualified_name(), id.0), now_unix)
    }

    fn drop_rows(&mut self, id: TableId, name: String, dropped_unix: u64) -> Result<()> {
        dropped::put(&mut self.txn, id, name, dropped_unix)
    }

    /// Stores a new or changed object.
    pub(crate) fn put_object<T: Object>(&mut self, object: &T) -> Result<()> {
        Ok(self.txn.put(object::key::<T>(object.id()), object.encode(), Expect::Any)?)
    }

    /// Removes an object's record.
    pub(crate) fn remove_object<T: Object>(&mut self, object: &T) -> Result<()> {
        Ok(self.txn.delete(object::key::<T>(object.id()), Expect::Any)?)
    }

    /// Stores a global value of a variable.
    pub(crate) fn put_setting(&mut self, setting: &Setting) -> Result<()> {
        Ok(self.txn.put(setting::key(&setting.name), setting.encode(), Expect::Any)?)
    }

    /// Removes a global value of a variable.
    pub(crate) fn remove_setting(&mut self, name: &str) -> Result<()> {
        Ok(self.txn.delete(setting::key(name), Expect::Any)?)
    }

    /// Stores what ANALYZE TABLE has found in a table.
    pub(crate) fn put_statistics(&mut self, found: &TableStatistics) -> Result<()> {
        Ok(self.txn.put(statistics::key(found.table), found.encode(), Expect::Any)?)
    }

    /// Removes a sequence's record and remembers that its counters are to be removed, as those of a table.
    pub(crate) fn drop_sequence(&mut self, sequence: &SequenceDef, now_unix: u64) -> Result<()> {
        self.remove_object(sequence)?;
        let name = format!("{} (sequence)", sequence.qualified_name());
        self.drop_rows(sequence.id, name, now_unix)
    }

    /// Commits; answers the new version.
    pub(crate) async fn commit(mut self) -> Result<u64> {
        let locks = self.locks.version + u64::from(self.released.is_some());
        let key = locks_version_key();
        let expect = self.txn.expect_unchanged(&key);
        self.txn.put(key, locks.to_be_bytes().to_vec(), expect)?;
        if let Some(owner) = self.released {
            self.txn.delete(lock_holder_key(owner), Expect::Any)?;
        }
        self.txn.commit().await?;
        Ok(self.catalog.version + 1)
    }
}

impl SchemaChange {
    /// Stores a new table in the transaction that has written its rows, and commits that. The inner error is the commit's.
    pub(crate) async fn commit_with_rows(
        self,
        rows: &mut Transaction,
        table: &TableDef,
    ) -> Result<std::result::Result<u64, txn::Error>> {
        let version = self.catalog.version + 1;
        let key = version_key();
        let expect = self.txn.expect_unchanged(&key);
        rows.put(key, version.to_be_bytes().to_vec(), expect)?;
        let key = locks_version_key();
        let expect = self.txn.expect_unchanged(&key);
        rows.put(key, self.locks.version.to_be_bytes().to_vec(), expect)?;
        rows.put(table_key(table.id), record::encode_table(table)?, Expect::Any)?;
        Ok(rows.commit().await.map(|_| version))
    }
}

/// A change of the table locks under way.
pub(crate) struct LockChange {
    txn: Transaction,
    /// The locks before the change.
    pub(crate) locks: TableLocks,
}

impl LockChange {
    /// Reads the locks and claims their next version.
    pub(crate) async fn begin(client: &Arc<dyn ShardClient>) -> Result<LockChange> {
        let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
        let locks = locks_in(&mut txn).await?;
        let key = locks_version_key();
        let expect = txn.expect_unchanged(&key);
        txn.put(key, (locks.version + 1).to_be_bytes().to_vec(), expect)?;
        Ok(LockChange { txn, locks })
    }

    /// The version that the change makes.
    pub(crate) fn version(&self) -> u64 {
        self.locks.version + 1
    }

    /// Stores what a session has locked.
    pub(crate) fn put(&mut self, holder: &LockHolder) -> Result<()> {
        Ok(self.txn.put(lock_holder_key(holder.owner), holder.encode(), Expect::Any)?)
    }

    /// Removes what a session has locked.
    pub(crate) fn remove(&mut self, owner: LockOwner) -> Result<()> {
        Ok(self.txn.delete(lock_holder_key(owner), Expect::Any)?)
    }

    /// Commits; answers the new version.
    pub(crate) async fn commit(mut self) -> Result<u64> {
        self.txn.commit().await?;
        Ok(self.version())
    }
}

/// The AUTO_INCREMENT counters of all tables that have handed out values: the highest one of each.
pub(crate) async fn auto_increment_counters(
    client: &Arc<dyn ShardClient>,
) -> Result<BTreeMap<TableId, u64>> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    let corrupt = || Error::storage("corrupt AUTO_INCREMENT counter");
    let counters = scan_table(&mut txn, AUTO_INCREMENT, |key, value| {
        let mut columns = KeyReader::new(key).map_err(|_| corrupt())?;
        let table = columns.take_u64().map_err(|_| corrupt())?;
        let kind = columns.take_u64().map_err(|_| corrupt())?;
        let table = table.and_then(|id| u32::try_from(id).ok()).ok_or_else(corrupt)?;
        let highest = u64::from_be_bytes(value.try_into().map_err(|_| corrupt())?);
        Ok((kind == Some(0)).then_some((TableId(table), highest)))
    })
    .await?;
    Ok(counters.into_iter().flatten().collect())
}

/// Removes the counters of a table or sequence that is gone. A table that lives keeps them: its rows may have got another id
/// while those under its own are removed. Ids are never used again, so what is gone once stays so.
pub(super) async fn drop_counters(txn: &mut Transaction, id: TableId) -> Result<()> {
    if txn.get(&table_key(id)).await?.is_some()
        || txn.get(&object::key::<SequenceDef>(id)).await?.is_some()
    {
        return Ok(());
    }
    for counters in [AUTO_INCREMENT, SEQUENCE_COUNTERS] {
        let mut prefix = KeyBuilder::new(counters, IndexId::PRIMARY);
        prefix.put_u64(u64::from(id.0));
        let options =
            ScanOptions { shard: Some(meta_key(counters, |_| {})), ..ScanOptions::default() };
        let mut scan = txn.scan(KeyRange::prefix(prefix.into_prefix()), options).await?;
        let mut keys = Vec::new();
        while let Some(page) = scan.next_page().await? {
            keys.extend(page.into_iter().map(|(key, _)| key));
        }
        for key in keys {
            txn.delete(key, Expect::Any)?;
        }
    }
    Ok(())
}

/// Adds to a counter of the meta shard; answers its value before the addition.
pub(crate) async fn bump(
    client: &Arc<dyn ShardClient>,
    key: Bytes,
    by: u64,
    at_least: u64,
) -> Result<u64> {
    let route = client.locate(&key)?;
    match client.write(route, WriteRequest::Bump { key, by, at_least }).await? {
        WriteResponse::Counter(before) => Ok(before),
        WriteResponse::Done { .. } | WriteResponse::Status(_) => {
            Err(Error::internal("a bump was not answered with a counter"))
        }
    }
}

/// So many ids that no table and no partition ever had.
pub(crate) async fn new_table_ids(
    client: &Arc<dyn ShardClient>,
    count: usize,
) -> Result<Vec<TableId>> {
    let key = meta_key(IDS, |key| key.put_u64(1));
    let first = bump(client, key, count as u64, u64::from(TableId::FIRST_USER.0)).await?;
    let id = |id: u64| u32::try_from(id).map(TableId);
    let ids = (first..first.saturating_add(count as u64)).map(id);
    let ids: std::result::Result<Vec<TableId>, _> = ids.collect();
    ids.map_err(|_| Error::too_large("table ids are used up"))
}

/// An id that no database ever had.
pub(crate) async fn new_database_id(client: &Arc<dyn ShardClient>) -> Result<DatabaseId> {
    let key = meta_key(IDS, |key| key.put_u64(0));
    let id = bump(client, key, 1, 1).await?;
    let id = u32::try_from(id).map_err(|_| Error::too_large("database ids are used up"))?;
    Ok(DatabaseId(id))
}

/// An account on disk.
#[derive(Clone, PartialEq, Message)]
struct AccountRecord {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    host: String,
    #[prost(string, tag = "3")]
    plugin: String,
    #[prost(bytes = "vec", tag = "4")]
    authentication_string: Vec<u8>,
}

/// All accounts.
pub(crate) async fn accounts(txn: &mut Transaction) -> Result<Vec<Account>> {
    scan_table(txn, ACCOUNTS, |_, value| {
        let record = AccountRecord::decode(value)
            .map_err(|error| Error::storage(format!("corrupt account record: {error}")))?;
        Ok(Account {
            user: record.user,
            host: record.host,
            plugin: record.plugin,
            authentication_string: record.authentication_string,
        })
    })
    .await
}

/// Stores an account.
pub(crate) fn put_account(txn: &mut Transaction, account: &Account, expect: Expect) -> Result<()> {
    let record = AccountRecord {
        user: account.user.clone(),
        host: account.host.clone(),
        plugin: account.plugin.clone(),
        authentication_string: account.authentication_string.clone(),
    };
    let key = account_key(&account.user, &account.host);
    Ok(txn.put(key, record.encode_to_vec(), expect)?)
}

/// Removes an account.
pub(crate) fn drop_account(txn: &mut Transaction, user: &str, host: &str) -> Result<()> {
    let key = account_key(user, host);
    let expect = txn.expect_unchanged(&key);
    Ok(txn.delete(key, expect)?)
}

/// Writes the first version and the accounts of a new cluster. Repeating it changes nothing.
pub(crate) async fn bootstrap(client: &Arc<dyn ShardClient>) -> Result<()> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    if txn.get(&version_key()).await?.is_some() {
        return Ok(());
    }
    txn.put(version_key(), 1_u64.to_be_bytes().to_vec(), Expect::Absent)?;
    // Only from the node's own machine: its password is empty until somebody sets one.
    let root = Account {
        user: "root".into(),
        host: "localhost".into(),
        plugin: "caching_sha2_password".into(),
        authentication_string: Vec::new(),
    };
    put_account(&mut txn, &root, Expect::Any)?;
    match txn.commit().await {
        Ok(_) | Err(txn::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
