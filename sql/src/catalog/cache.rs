//! A node's copies of the catalog and of the table locks, and the lease under which they may be used.
//!
//! The lease begins when a read of the version *begins*, so that a schema change which commits after
//! that read is acknowledged only when the lease is over or this node has loaded the change.

use super::table_locks::TableLocks;
use super::{Catalog, TableDef, store};
use crate::{Error, Result};
use base::SharedClock;
use base::limits::CATALOG_LEASE;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use txn::ShardClient;

/// Times a lease is taken that is over before its first use.
const LEASE_ATTEMPTS: u32 = 3;

/// The catalog of a node.
pub struct CatalogCache {
    /// The way to the meta shard.
    client: Arc<dyn ShardClient>,
    /// Monotonic time for the lease.
    clock: SharedClock,
    /// The snapshot and its lease.
    held: RwLock<Held>,
    /// Version of the table locks in it, for those who wait for another one.
    locks_version: watch::Sender<u64>,
    /// Held while the meta shard is asked, so that many sessions ask once.
    renewing: tokio::sync::Mutex<()>,
    /// Times the meta shard was asked, and how the last time failed. Who waited while it failed gets the
    /// same error, and does not ask again: a hundred sessions that ask one after the other would hang.
    asked: Mutex<(u64, Option<Error>)>,
}

/// A snapshot and how long it may be used.
struct Held {
    /// The snapshot; empty before the first load.
    catalog: Arc<Catalog>,
    /// Who has locked which tables.
    locks: Arc<TableLocks>,
    /// Monotonic time when the lease ends; zero before the first load.
    lease_end: Duration,
}

impl CatalogCache {
    /// A cache that has nothing yet.
    pub fn new(client: Arc<dyn ShardClient>, clock: SharedClock) -> CatalogCache {
        CatalogCache {
            client,
            clock,
            held: RwLock::new(Held {
                catalog: Arc::default(),
                locks: Arc::default(),
                lease_end: Duration::ZERO,
            }),
            locks_version: watch::channel(0).0,
            renewing: tokio::sync::Mutex::new(()),
            asked: Mutex::default(),
        }
    }

    /// The catalog to run a statement against.
    pub async fn current(&self) -> Result<Arc<Catalog>> {
        match self.leased() {
            Some(catalog) => Ok(catalog),
            None => self.current_after_lease().await,
        }
    }

    /// The catalog, when its lease runs: the way without waiting.
    pub fn leased(&self) -> Option<Arc<Catalog>> {
        let held = self.held.read();
        (self.clock.monotonic() < held.lease_end).then(|| held.catalog.clone())
    }

    async fn current_after_lease(&self) -> Result<Arc<Catalog>> {
        let before = self.asked.lock().0;
        let _one = self.renewing.lock().await;
        if let Some(catalog) = self.leased() {
            return Ok(catalog);
        }
        if let (count, Some(error)) = &*self.asked.lock()
            && *count > before
        {
            return Err(error.clone());
        }
        self.read_version().await
    }

    /// Reads the version, and the catalog when it is a new one, and starts a new lease.
    pub async fn renew(&self) -> Result<()> {
        let _one = self.renewing.lock().await;
        self.read_version().await.map(drop)
    }

    /// As [`Self::renew`], unless this version is here already.
    pub async fn announced(&self, version: u64) -> Result<()> {
        if self.version() < version { self.renew().await } else { Ok(()) }
    }

    /// Looks at the table locks, when the lease runs.
    pub(crate) fn with_locks<T>(&self, look: impl FnOnce(&TableLocks) -> T) -> Option<T> {
        let held = self.held.read();
        (self.clock.monotonic() < held.lease_end).then(|| look(&held.locks))
    }

    /// The table locks that statements keep to.
    pub(crate) async fn table_locks(&self) -> Result<Arc<TableLocks>> {
        for _ in 0..LEASE_ATTEMPTS {
            if let Some(locks) = self.leased_locks() {
                return Ok(locks);
            }
            self.current_after_lease().await?;
        }
        Err(Error::unavailable("the meta shard answers too slowly to know who has locked tables"))
    }

    fn leased_locks(&self) -> Option<Arc<TableLocks>> {
        let held = self.held.read();
        (self.clock.monotonic() < held.lease_end).then(|| held.locks.clone())
    }

    /// The catalog as this node knows it, whether its lease runs or not: as it is, or as it was some time ago.
    pub(crate) fn known(&self) -> Arc<Catalog> {
        self.held.read().catalog.clone()
    }

    /// Whether a table is still what a statement was bound to, as this node knows it.
    pub(crate) fn is_current(&self, table: &TableDef) -> bool {
        let held = self.held.read();
        let now = held.catalog.table_by_id(table.id);
        let same = |now: &TableDef| {
            // As it is, or as it is for reads at an earlier time.
            now == table || now.index_version == table.index_version && now.is_in_step_with(table)
        };
        now.is_some_and(|now| std::ptr::eq(&**now, table) || same(now))
    }

    /// Whether what was written under a definition may be committed under that of now, as this node knows it.
    pub(crate) fn may_commit(&self, table: &TableDef) -> bool {
        let held = self.held.read();
        let now = held.catalog.table_by_id(table.id);
        now.is_some_and(|now| std::ptr::eq(&**now, table) || table.may_commit_under(now))
    }

    /// Makes this node keep to this version of the table locks, or a later one.
    pub(crate) async fn table_locks_announced(&self, version: u64) -> Result<()> {
        let known = self.table_locks_version();
        if known < version { self.renew().await } else { Ok(()) }
    }

    /// Waits until this node knows table locks that are as wanted.
    pub(crate) async fn table_locks_until(&self, are_so: impl Fn(&TableLocks) -> bool) {
        let mut versions = self.locks_version.subscribe();
        while self.with_locks(&are_so) != Some(true) {
            // The sender lives as long as this cache.
            let _ = versions.changed().await;
        }
    }

    /// Version of the table locks, whether the lease runs or not.
    pub(crate) fn table_locks_version(&self) -> u64 {
        self.held.read().locks.version
    }

    /// Version of the snapshot, whether its lease runs or not.
    pub fn version(&self) -> u64 {
        self.held.read().catalog.version
    }

    async fn read_version(&self) -> Result<Arc<Catalog>> {
        let result = self.read_version_now().await;
        let mut asked = self.asked.lock();
        *asked = (asked.0 + 1, result.as_ref().err().cloned());
        result
    }

    async fn read_version_now(&self) -> Result<Arc<Catalog>> {
        let lease_end = self.clock.monotonic() + CATALOG_LEASE;
        let versions = store::versions(&self.client).await?;
        let (mut catalog, mut locks) = {
            let held = self.held.read();
            (held.catalog.clone(), held.locks.clone())
        };
        if versions.catalog != catalog.version {
            let loaded = store::load(&self.client).await?;
            (catalog, locks) = (Arc::new(loaded.0), Arc::new(loaded.1));
        } else if versions.locks != locks.version {
            locks = Arc::new(store::load_locks(&self.client).await?);
        }
        let version = locks.version;
        *self.held.write() = Held { catalog: catalog.clone(), locks, lease_end };
        self.locks_version.send_if_modified(|known| std::mem::replace(known, version) != version);
        Ok(catalog)
    }
}

impl std::fmt::Debug for CatalogCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CatalogCache(version {})", self.version())
    }
}
