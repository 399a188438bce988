//! A cluster in memory for tests of everything above transactions: real shards over simulated engines, with
//! replication that a test can hold up, lose or depose. Shards can be split and merged while they work, and followed by a second
//! replica each, which lags as a test wants.
//!
//! ```text
//!  MemoryCluster: ShardClient ─► Shard 0 (meta), 1, 2 … ─► MemoryReplication ─► SimEngine
//!                                       └─ split ─► the replication makes the child's engine and shard when it applies
//! ```
//!
//! Deterministic on a single-threaded runtime: no threads, no chance, and time from the clock it is given.
//!
//! Not here: Raft, and replicas that take over (`chaos` simulates those).

mod chosen;
mod clock;
mod collect;
mod counted;
mod far;
mod follow;
mod merge;
mod replication;
mod rough;
mod split;

pub use chosen::{ChosenClient, Crossing, Message, MessageKind, OnTheWay};
pub use clock::PausedClock;
pub use collect::CollectedRecords;
pub use counted::LoadCounters;
pub use far::{Cancels, FarClient};
pub use replication::{Death, MemoryFollower, MemoryReplication, Unconfirmed};
pub use rough::{RoughClient, Roughness};

use crate::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use crate::lock_owners::LockOwners;
use crate::read_points::ReadPoints;
use crate::row_locks::RowLocks;
use crate::shard::Shard;
use crate::{Error, Oracle, Result, Route, ShardClient, TransactionSizes};
use base::{NodeId, ShardEpoch, ShardId, SharedClock, Slot, SlotRange, TableId, Timestamp, limits};
use bytes::Bytes;
use engine::SimDisk;
use engine::{Engine, key};
use follow::Followers;
use futures::future::BoxFuture;
use merge::Merges;
use parking_lot::{Mutex, RwLock};
use split::Splits;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The only node.
const NODE: NodeId = NodeId(1);
/// Shards of a cluster, at most, those that were split off included.
const SHARDS_MAX: usize = 64;
/// The slots of the meta shard: none.
const META_SLOTS: SlotRange = SlotRange { start: 0, end: 0 };

/// Shards in memory, and the way to them.
pub struct MemoryCluster {
    /// The shards.
    shards: Arc<Shards>,
    /// The data shards by their first slots, each with its slots and epoch.
    map: RwLock<BTreeMap<u32, Route>>,
    /// Splits that were begun and are not in the map yet.
    splits: Mutex<Splits>,
    /// The same for merges.
    merges: Mutex<Merges>,
    /// Timestamps.
    oracle: Arc<MemoryOracle>,
    /// Wall clock.
    clock: SharedClock,
    /// Read points in use.
    read_points: Arc<ReadPoints>,
    /// Row locks of all shards.
    row_locks: Arc<RowLocks>,
    /// Transactions that hold some.
    lock_owners: Arc<LockOwners>,
    /// How large transactions may become.
    sizes: Mutex<TransactionSizes>,
    /// Replicas that follow.
    followers: Followers,
}

/// One shard and its levers.
pub struct MemoryShard {
    /// The shard.
    pub shard: Arc<Shard>,
    /// Its replication.
    pub replication: Arc<MemoryReplication>,
    /// Its engine.
    pub engine: Arc<dyn Engine>,
}

/// All shards, and what new ones are made of.
struct Shards {
    /// Where their engines are.
    disk: Arc<SimDisk>,
    /// Timestamps.
    oracle: Arc<MemoryOracle>,
    /// Row locks of all of them.
    row_locks: Arc<RowLocks>,
    /// By their ids; the meta shard first, those that were split off last.
    all: Vec<OnceLock<MemoryShard>>,
}

impl Shards {
    /// The shard of an id, if it was made.
    fn get(&self, id: ShardId) -> Option<&MemoryShard> {
        self.all.get(usize::try_from(id.0).ok()?)?.get()
    }

    /// Makes the shard of an id, over the engine in its folder.
    fn make(self: &Arc<Shards>, id: ShardId) -> Result<()> {
        let engine: Arc<dyn Engine> = Arc::new(self.disk.open(&folder(id))?);
        let replication = MemoryReplication::new(id, engine.clone(), Arc::downgrade(self));
        let (oracle, row_locks) = (self.oracle.clone(), self.row_locks.clone());
        let shard = Shard::new(replication.clone(), engine.clone(), oracle, row_locks);
        let made = MemoryShard { shard: Arc::new(shard), replication, engine };
        let place = usize::try_from(id.0).ok().and_then(|index| self.all.get(index));
        // One that is there already was made by the same entry.
        let _ = place.ok_or_else(|| no_such_shard(id))?.set(made);
        Ok(())
    }
}

/// The folder of a shard's engine.
fn folder(id: ShardId) -> PathBuf {
    PathBuf::from(format!("shard-{id}"))
}

impl MemoryCluster {
    /// A cluster with a meta shard and so many data shards with equal slot ranges.
    ///
    /// # Errors
    /// None in practice: a new simulated disk refuses nothing.
    pub fn new(data_shards: u32, clock: SharedClock) -> Result<Arc<MemoryCluster>> {
        let oracle =
            Arc::new(MemoryOracle { last: Mutex::new(Timestamp::ZERO), clock: clock.clone() });
        let row_locks = RowLocks::new(clock.clone());
        let lock_owners = LockOwners::new(NODE, clock.unix_ms());
        let shards = Arc::new(Shards {
            disk: SimDisk::new(),
            oracle: oracle.clone(),
            row_locks: row_locks.clone(),
            all: (0..SHARDS_MAX).map(|_| OnceLock::new()).collect(),
        });
        for id in 0..=data_shards {
            shards.make(ShardId(u64::from(id)))?;
        }
        let route = |(slots, id): (SlotRange, u64)| {
            (slots.start, Route { shard: ShardId(id), epoch: ShardEpoch(1), slots })
        };
        let map = SlotRange::even(data_shards).into_iter().zip(1..).map(route).collect();
        Ok(Arc::new(MemoryCluster {
            shards,
            map: RwLock::new(map),
            splits: Mutex::new(Splits::after(ShardId(u64::from(data_shards)))),
            merges: Mutex::default(),
            oracle,
            clock,
            read_points: Arc::default(),
            row_locks,
            lock_owners,
            sizes: Mutex::default(),
            followers: Followers::default(),
        }))
    }

    /// How large transactions may become that begin from now on.
    pub fn set_transaction_sizes(&self, sizes: TransactionSizes) {
        *self.sizes.lock() = sizes;
    }

    /// Releases the row locks of transactions that are gone and cancels requests that are not under way any more, as a
    /// node's survey does.
    pub fn survey_locks(&self) {
        let owners = self.row_locks.owners().into_iter();
        let gone = owners.filter(|owner| !self.lock_owners.is_alive(*owner));
        gone.for_each(|owner| self.row_locks.release_all(owner));
        for (owner, number) in self.row_locks.waiting_requests() {
            if !self.lock_owners.is_under_way(owner, number) {
                self.row_locks.cancel(owner, number, &[]);
            }
        }
    }

    /// The row locks of all shards.
    pub fn row_locks(&self) -> &Arc<RowLocks> {
        &self.row_locks
    }

    /// Puts the oracle so far ahead of the clock, as a change of the meta shard's leader may. It stands still until the clock has
    /// come up.
    pub fn set_oracle_ahead(&self, ahead: Duration) {
        let ahead_ms = u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX);
        let ahead = Timestamp::from_unix_ms(self.clock.unix_ms().saturating_add(ahead_ms));
        let mut last = self.oracle.last.lock();
        *last = ahead.max(*last);
    }

    /// A shard by its id.
    pub fn shard(&self, id: ShardId) -> Result<&MemoryShard> {
        self.shards.get(id).ok_or_else(|| no_such_shard(id))
    }

    /// The data shards, in slot order.
    pub fn data_shard_ids(&self) -> Vec<ShardId> {
        self.map.read().values().map(|route| route.shard).collect()
    }

    /// The route to the meta shard.
    fn meta(&self) -> Route {
        Route { shard: ShardId::META, epoch: ShardEpoch(1), slots: META_SLOTS }
    }

    /// The shard that owns a slot.
    fn owner(&self, slot: Slot) -> Option<Route> {
        let map = self.map.read();
        map.range(..=u32::from(slot.0)).next_back().map(|(_, route)| *route)
    }

    /// Whether a route is as good as the map.
    fn is_current(&self, route: Route) -> bool {
        self.map.read().get(&route.slots.start) == Some(&route)
    }

    /// Calls a shard, again and again while it says that its slots have moved and the map does not know of it yet.
    async fn by_the_map<T, F>(&self, route: Route, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut waited = Duration::ZERO;
        loop {
            match call().await {
                Err(Error::Moved { .. })
                    if self.is_current(route) && waited < limits::ROUTE_WAIT_MAX =>
                {
                    tokio::time::sleep(limits::ROUTE_RETRY_PAUSE).await;
                    waited += limits::ROUTE_RETRY_PAUSE;
                }
                outcome => return outcome,
            }
        }
    }
}

#[async_trait::async_trait]
impl ShardClient for MemoryCluster {
    fn locate(&self, engine_key: &[u8]) -> Result<Route> {
        if key::table_of_key(engine_key)? < TableId::FIRST_USER {
            return Ok(self.meta());
        }
        let owner = self.owner(key::slot_of_key(engine_key)?);
        owner.ok_or_else(|| no_such_shard(ShardId::META))
    }

    fn data_shards(&self) -> Result<Vec<Route>> {
        Ok(self.map.read().values().copied().collect())
    }

    /// As if another node led all shards but the last: a read that may take any copy of a table does not take the first.
    fn is_here(&self, route: Route) -> bool {
        self.map.read().values().next_back().is_some_and(|last| last.shard == route.shard)
    }

    /// The same with replicas that follow.
    fn follows(&self, route: Route) -> bool {
        self.is_here(route) && self.followers.has(route.shard)
    }

    async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        let shard = &self.shard(route.shard)?.shard;
        self.by_the_map(route, || shard.read(route.slots, request.clone())).await
    }

    fn try_scan(&self, route: Route, request: &ReadRequest) -> Option<ReadResponse> {
        self.shard(route.shard).ok()?.shard.try_scan(route.slots, request)
    }

    async fn read_at_follower(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        self.read_followed(route, request)
    }

    fn closed_timestamp(&self) -> Option<Timestamp> {
        self.followers.closed()
    }

    fn follower_reads(&self) -> u64 {
        self.followers.reads()
    }

    async fn write(&self, route: Route, request: WriteRequest) -> Result<WriteResponse> {
        let shard = &self.shard(route.shard)?.shard;
        self.by_the_map(route, || shard.write(route.slots, request.clone())).await
    }

    async fn lock(&self, route: Route, request: LockRequest) -> Result<Vec<LockedKey>> {
        let shard = &self.shard(route.shard)?.shard;
        self.by_the_map(route, || shard.lock(route.slots, request.clone())).await
    }

    async fn release(&self, route: Route, owner: LockOwner, keys: Vec<Bytes>) {
        if let Ok(shard) = self.shard(route.shard) {
            // Whoever leads the shard next has the same memory: nobody else is to be told.
            let _ = shard.shard.release(owner, &keys);
        }
    }

    async fn cancel_lock(&self, route: Route, cancel: LockCancel) {
        if let Ok(shard) = self.shard(route.shard) {
            // As above.
            let _ = shard.shard.cancel_lock(&cancel);
        }
    }

    fn lock_owners(&self) -> &Arc<LockOwners> {
        &self.lock_owners
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        self.oracle.timestamps(1).await
    }

    fn read_points(&self) -> &Arc<ReadPoints> {
        &self.read_points
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) {
        // Outside of a runtime the test is over.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(work);
        }
    }

    fn unix_ms(&self) -> u64 {
        let last = *self.oracle.last.lock();
        self.clock.unix_ms().max(last.unix_ms())
    }

    fn transaction_sizes(&self) -> TransactionSizes {
        *self.sizes.lock()
    }

    async fn pause(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }
}

/// Timestamps from a counter that follows the clock.
struct MemoryOracle {
    /// The last one handed out.
    last: Mutex<Timestamp>,
    /// The clock.
    clock: SharedClock,
}

#[async_trait::async_trait]
impl Oracle for MemoryOracle {
    async fn timestamps(&self, count: u32) -> Result<Timestamp> {
        let now = Timestamp::from_unix_ms(self.clock.unix_ms());
        let mut last = self.last.lock();
        let first = now.max(last.next());
        *last = Timestamp(first.0 + u64::from(count.max(1)) - 1);
        Ok(first)
    }
}

/// The error for a shard that does not exist.
fn no_such_shard(shard: ShardId) -> Error {
    Error::NotServing { shard, leader: None }
}
