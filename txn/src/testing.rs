//! A cluster in memory for tests of everything above transactions: real shards over simulated engines, with
//! replication that a test can hold up, lose or depose.
//!
//! ```text
//!  MemoryCluster: ShardClient ─► Shard 0 (meta), 1, 2 … ─► MemoryReplication ─► SimEngine
//! ```
//!
//! Deterministic on a single-threaded runtime: no threads, no chance, and time from the clock it is given.
//!
//! Not here: Raft and more than one copy of a shard (`chaos` simulates those).

mod chosen;
mod clock;
mod collect;
mod far;
mod rough;

pub use chosen::{ChosenClient, Crossing, Message, MessageKind, OnTheWay};
pub use clock::PausedClock;
pub use collect::CollectedRecords;
pub use far::{Cancels, FarClient};
pub use rough::{RoughClient, Roughness};

use crate::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use crate::lock_owners::LockOwners;
use crate::read_points::ReadPoints;
use crate::replication::{ReplicateError, Replication};
use crate::row_locks::RowLocks;
use crate::shard::Shard;
use crate::{Error, Oracle, Result, Route, ShardClient, TransactionSizes};
use base::{NodeId, ShardEpoch, ShardId, SharedClock, Slot, SlotRange, TableId, Timestamp};
use bytes::Bytes;
use engine::mvcc;
use engine::sim::SimDisk;
use engine::{Engine, key};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The only node.
const NODE: NodeId = NodeId(1);

/// Shards in memory, and the way to them.
pub struct MemoryCluster {
    /// The meta shard, then the data shards in slot order.
    shards: Vec<MemoryShard>,
    /// The slots of each data shard.
    ranges: Vec<SlotRange>,
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

impl MemoryCluster {
    /// A cluster with a meta shard and so many data shards with equal slot ranges.
    ///
    /// # Errors
    /// None in practice: a new simulated disk refuses nothing.
    pub fn new(data_shards: u32, clock: SharedClock) -> Result<Arc<MemoryCluster>> {
        let disk = SimDisk::new();
        let oracle =
            Arc::new(MemoryOracle { last: Mutex::new(Timestamp::ZERO), clock: clock.clone() });
        let row_locks = RowLocks::new(clock.clone());
        let lock_owners = LockOwners::new(NODE, clock.unix_ms());
        let mut shards = Vec::new();
        for id in 0..=data_shards {
            let folder = PathBuf::from(format!("shard-{id}"));
            let engine: Arc<dyn Engine> = Arc::new(disk.open(&folder)?);
            let replication = Arc::new(MemoryReplication {
                shard: ShardId(u64::from(id)),
                engine: engine.clone(),
                state: Mutex::new(State::default()),
                released: Notify::new(),
            });
            let shard =
                Shard::new(replication.clone(), engine.clone(), oracle.clone(), row_locks.clone());
            shards.push(MemoryShard { shard: Arc::new(shard), replication, engine });
        }
        let (ranges, read_points) = (SlotRange::even(data_shards), Arc::default());
        Ok(Arc::new(MemoryCluster {
            shards,
            ranges,
            oracle,
            clock,
            read_points,
            row_locks,
            lock_owners,
            sizes: Mutex::default(),
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
        let index = usize::try_from(id.0).ok();
        index.and_then(|index| self.shards.get(index)).ok_or_else(|| no_such_shard(id))
    }

    /// The slots of the data shards, in order; the first belongs to shard 1.
    pub fn ranges(&self) -> &[SlotRange] {
        &self.ranges
    }

    /// The route to a shard.
    fn route(&self, id: ShardId) -> Route {
        Route { shard: id, epoch: ShardEpoch(1) }
    }

    /// The shard that owns a slot.
    fn owner(&self, slot: Slot) -> Option<ShardId> {
        let index = self.ranges.iter().position(|range| range.contains(slot))?;
        Some(ShardId(index as u64 + 1))
    }
}

#[async_trait::async_trait]
impl ShardClient for MemoryCluster {
    fn locate(&self, engine_key: &[u8]) -> Result<Route> {
        if key::table_of_key(engine_key)? < TableId::FIRST_USER {
            return Ok(self.route(ShardId::META));
        }
        let owner = self.owner(key::slot_of_key(engine_key)?);
        Ok(self.route(owner.ok_or_else(|| no_such_shard(ShardId::META))?))
    }

    fn data_shards(&self) -> Result<Vec<Route>> {
        Ok((1..=self.ranges.len() as u64).map(|id| self.route(ShardId(id))).collect())
    }

    async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        self.shard(route.shard)?.shard.read(request).await
    }

    async fn write(&self, route: Route, request: WriteRequest) -> Result<WriteResponse> {
        self.shard(route.shard)?.shard.write(request).await
    }

    async fn lock(&self, route: Route, request: LockRequest) -> Result<Vec<LockedKey>> {
        self.shard(route.shard)?.shard.lock(request).await
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

/// Replication to nobody else: a batch is applied here, or what the test wants happens to it.
pub struct MemoryReplication {
    /// The shard.
    shard: ShardId,
    /// Where batches are applied.
    engine: Arc<dyn Engine>,
    /// Leadership and faults.
    state: Mutex<State>,
    /// Rings when a hold ends.
    released: Notify,
}

/// What a test has set up.
struct State {
    /// Whether this replica leads.
    leads: bool,
    /// The term.
    term: u64,
    /// What happens to batches.
    fault: Fault,
    /// Batches in the log that no quorum has confirmed, oldest first.
    limbo: Vec<Bytes>,
    /// Batches applied that changed something.
    entries: u64,
    /// Why new writes are refused.
    full: Option<String>,
}

impl Default for State {
    fn default() -> State {
        State {
            leads: true,
            term: 1,
            fault: Fault::None,
            limbo: Vec::new(),
            entries: 0,
            full: None,
        }
    }
}

/// What happens to batches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// They are applied.
    None,
    /// They wait, after so many more.
    Hold {
        /// How many are applied first.
        after: usize,
    },
    /// They enter the log, but no quorum answers.
    Unknown,
}

impl MemoryReplication {
    /// From now on batches wait for [`Self::heal`], but for so many that come first.
    pub fn hold(&self, after: usize) {
        self.state.lock().fault = Fault::Hold { after };
    }

    /// From now on batches enter the log but nobody learns their outcome.
    pub fn lose_quorum(&self) {
        self.state.lock().fault = Fault::Unknown;
    }

    /// Batches are applied again; those in the log as soon as the next one comes.
    pub fn heal(&self) {
        self.state.lock().fault = Fault::None;
        self.released.notify_waiters();
    }

    /// From now on new writes are refused with this sentence, or no longer.
    pub fn set_full(&self, why: Option<&str>) {
        self.state.lock().full = why.map(str::to_string);
    }

    /// This replica loses its leadership.
    pub fn depose(&self) {
        self.state.lock().leads = false;
        self.released.notify_waiters();
    }

    /// This replica leads again in a new term; batches without a quorum are applied or gone.
    ///
    /// # Errors
    /// When the engine refuses a batch.
    pub fn elect(&self, unconfirmed: Unconfirmed) -> Result<()> {
        let mut state = self.state.lock();
        let limbo = std::mem::take(&mut state.limbo);
        if unconfirmed == Unconfirmed::Kept {
            for batch in limbo {
                self.apply(&mut state, &batch)?;
            }
        }
        state.term += 1;
        state.leads = true;
        state.fault = Fault::None;
        Ok(())
    }

    /// Entries applied that changed something.
    pub fn entries(&self) -> u64 {
        self.state.lock().entries
    }

    /// Decodes a batch and writes it, as a replica's state machine does.
    fn apply(&self, state: &mut State, batch: &[u8]) -> Result<()> {
        let batch = mvcc::decode_batch(batch)?;
        state.entries += u64::from(!batch.is_empty());
        Ok(self.engine.write(batch)?)
    }
}

/// What a new term does with batches that no quorum had confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unconfirmed {
    /// The new leader has them in its log.
    Kept,
    /// Its log does not have them.
    Lost,
}

#[async_trait::async_trait]
impl Replication for MemoryReplication {
    fn shard(&self) -> ShardId {
        self.shard
    }

    fn serving_term(&self) -> Option<u64> {
        let state = self.state.lock();
        state.leads.then_some(state.term)
    }

    async fn confirm_term(&self) -> Option<u64> {
        self.serving_term()
    }

    fn leader(&self) -> Option<NodeId> {
        self.state.lock().leads.then_some(NODE)
    }

    fn refuses_writes(&self) -> Option<String> {
        self.state.lock().full.clone()
    }

    async fn replicate(&self, term: u64, batch: Bytes) -> std::result::Result<(), ReplicateError> {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            {
                let mut state = self.state.lock();
                if !state.leads || state.term != term {
                    return Err(ReplicateError::NotLeader);
                }
                match state.fault {
                    Fault::Hold { after: 0 } => {}
                    Fault::None | Fault::Hold { .. } => {
                        if let Fault::Hold { after } = &mut state.fault {
                            *after -= 1;
                        }
                        let mut batches = std::mem::take(&mut state.limbo);
                        batches.push(batch);
                        let applied =
                            batches.iter().try_for_each(|batch| self.apply(&mut state, batch));
                        return applied.map_err(|_| ReplicateError::Unknown);
                    }
                    Fault::Unknown => {
                        state.limbo.push(batch);
                        return Err(ReplicateError::Unknown);
                    }
                }
            }
            released.await;
        }
    }
}

/// The error for a shard that does not exist.
fn no_such_shard(shard: ShardId) -> Error {
    Error::NotServing { shard, leader: None }
}
