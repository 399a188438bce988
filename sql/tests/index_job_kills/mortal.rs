//! Nodes over the same shards in memory that die after so many writes.
//!
//! A write that was executed counts. Behind the last one the node is dead: nothing that it asks shards for comes back, nor does
//! it wake from a pause. Its sessions and jobs stand still for ever, as those of a process that is gone.

use base::{NodeId, SharedClock, Timestamp};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sql::instance::{
    Cluster, Instance, InstanceConfig, NodeRow, ShardRow, TableUsers, TableWanted,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use txn::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use txn::testing::MemoryCluster;
use txn::{LockOwners, ReadPoints, Result, Route, ShardClient, TransactionSizes};

/// A node.
#[derive(Clone)]
pub struct Node {
    pub instance: Arc<Instance>,
    pub client: Arc<Mortal>,
}

/// All nodes.
pub struct Nodes {
    all: Mutex<BTreeMap<NodeId, Node>>,
    /// Whether the dead do not answer; else they have begun anew.
    is_silent: bool,
}

impl Nodes {
    pub fn new(is_silent: bool) -> Arc<Nodes> {
        Arc::new(Nodes { all: Mutex::default(), is_silent })
    }

    /// Adds a node.
    pub fn add(
        self: &Arc<Nodes>,
        node: NodeId,
        shards: &Arc<MemoryCluster>,
        clock: &SharedClock,
    ) -> Node {
        let client = Arc::new(Mortal {
            shards: shards.clone(),
            owners: LockOwners::new(node, clock.unix_ms()),
            left: Mutex::new(None),
            is_dead: AtomicBool::new(false),
        });
        let instance = Instance::new(InstanceConfig {
            client: client.clone(),
            cluster: Arc::new(Peers { node, nodes: self.clone() }),
            clock: clock.clone(),
            node,
            version: "8.0.46-PrecinctDB".into(),
            temp_dir: std::env::temp_dir().join("precinct-sql-tests"),
            local_infile: false,
            variables: BTreeMap::new(),
        });
        let made = Node { instance, client };
        self.all.lock().insert(node, made.clone());
        made
    }

    /// Lets go of all nodes, which know each other.
    pub fn forget(&self) {
        self.all.lock().clear();
    }
}

/// The way from a node to the others.
struct Peers {
    node: NodeId,
    nodes: Arc<Nodes>,
}

impl Peers {
    /// The others.
    fn others(&self) -> Vec<(NodeId, Node)> {
        let all = self.nodes.all.lock();
        let others = all.iter().filter(|(node, _)| **node != self.node);
        others.map(|(node, other)| (*node, other.clone())).collect()
    }
}

#[async_trait::async_trait]
impl Cluster for Peers {
    async fn announce_catalog(&self, version: u64) -> bool {
        let mut all_know = true;
        for (_, other) in self.others() {
            all_know &= match other.client.is_dead() {
                true => !self.nodes.is_silent,
                false => other.instance.catalog_announced(version).await.is_ok(),
            };
        }
        all_know
    }

    async fn announce_table_locks(&self, version: u64, wanted: &[TableWanted]) -> TableUsers {
        let mut users = TableUsers::default();
        for (node, other) in self.others() {
            if other.client.is_dead() {
                users.silent.extend(self.nodes.is_silent.then_some(node));
                continue;
            }
            match other.instance.table_locks_announced(version, wanted).await {
                Ok(used) => users.used |= used,
                Err(_) => {
                    users.silent.insert(node);
                }
            }
        }
        users
    }

    async fn lock_owner_lives(&self, owner: LockOwner) -> Option<bool> {
        let (_, node) = self.others().into_iter().find(|(node, _)| *node == owner.node())?;
        match node.client.is_dead() {
            true => (!self.nodes.is_silent).then_some(false),
            false => Some(node.client.owners.is_alive(owner)),
        }
    }

    fn shards(&self) -> Vec<ShardRow> {
        Vec::new()
    }

    fn nodes(&self) -> Vec<NodeRow> {
        Vec::new()
    }
}

/// The way from a node to shards, until it dies.
pub struct Mortal {
    shards: Arc<MemoryCluster>,
    owners: Arc<LockOwners>,
    /// Writes until it dies; none for a node that lives on.
    left: Mutex<Option<u64>>,
    is_dead: AtomicBool,
}

impl Mortal {
    /// The node dies after so many writes more.
    pub fn dies_after(&self, writes: u64) {
        *self.left.lock() = Some(writes);
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// Goes on only in a node that lives.
    async fn live(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// Counts a write that was executed.
    fn count(&self) {
        if let Some(left) = self.left.lock().as_mut() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.is_dead.store(true, Ordering::SeqCst);
            }
        }
    }
}

#[async_trait::async_trait]
impl ShardClient for Mortal {
    fn locate(&self, key: &[u8]) -> Result<Route> {
        self.shards.locate(key)
    }

    fn data_shards(&self) -> Result<Vec<Route>> {
        self.shards.data_shards()
    }

    async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        self.live().await;
        let answer = self.shards.read(route, request).await;
        self.live().await;
        answer
    }

    async fn write(&self, route: Route, request: WriteRequest) -> Result<WriteResponse> {
        self.live().await;
        let answer = self.shards.write(route, request).await;
        self.count();
        self.live().await;
        answer
    }

    async fn lock(&self, route: Route, request: LockRequest) -> Result<Vec<LockedKey>> {
        self.live().await;
        let answer = self.shards.lock(route, request).await;
        self.live().await;
        answer
    }

    async fn release(&self, route: Route, owner: LockOwner, keys: Vec<Bytes>) {
        self.live().await;
        self.shards.release(route, owner, keys).await;
    }

    async fn cancel_lock(&self, route: Route, cancel: LockCancel) {
        self.live().await;
        self.shards.cancel_lock(route, cancel).await;
    }

    fn lock_owners(&self) -> &Arc<LockOwners> {
        &self.owners
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        self.live().await;
        let ts = self.shards.timestamp().await;
        self.live().await;
        ts
    }

    fn read_points(&self) -> &Arc<ReadPoints> {
        self.shards.read_points()
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) {
        self.shards.spawn(work);
    }

    fn unix_ms(&self) -> u64 {
        self.shards.unix_ms()
    }

    fn transaction_sizes(&self) -> TransactionSizes {
        self.shards.transaction_sizes()
    }

    async fn pause(&self, pause: Duration) {
        self.live().await;
        self.shards.pause(pause).await;
        self.live().await;
    }
}
