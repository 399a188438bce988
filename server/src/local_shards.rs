//! The shards that have a replica on this node. They come and go while the node runs.

use crate::oracle::LocalOracle;
use base::{ShardId, SharedClock};
use parking_lot::RwLock;
use raft::replica_group::ReplicaGroup;
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::RowLocks;
use txn::shard::Shard;

/// A shard's local replica, seen by transactions and by Raft.
#[derive(Clone)]
pub struct LocalShard {
    /// Reads and writes, when this replica leads.
    pub shard: Arc<Shard>,
    /// The replica and its group.
    pub group: Arc<dyn ReplicaGroup>,
}

/// All of them.
pub struct LocalShards {
    shards: RwLock<BTreeMap<ShardId, LocalShard>>,
    /// Row locks of the shards that this node leads.
    row_locks: Arc<RowLocks>,
    /// The oracle, while this node holds a replica of the meta shard.
    oracle: RwLock<Option<Arc<LocalOracle>>>,
}

impl LocalShards {
    /// None yet.
    pub fn new(clock: SharedClock) -> LocalShards {
        let (shards, oracle) = (RwLock::default(), RwLock::default());
        LocalShards { shards, row_locks: RowLocks::new(clock), oracle }
    }

    /// Row locks of the shards that this node leads.
    pub fn row_locks(&self) -> &Arc<RowLocks> {
        &self.row_locks
    }

    /// Adds one.
    pub fn add(&self, id: ShardId, shard: LocalShard) {
        self.shards.write().insert(id, shard);
    }

    /// Takes one out. Requests that have found it before end on their own.
    pub fn remove(&self, id: ShardId) {
        self.shards.write().remove(&id);
    }

    /// The local replica of a shard, if there is one.
    pub fn get(&self, id: ShardId) -> Option<LocalShard> {
        self.shards.read().get(&id).cloned()
    }

    /// The local replicas in order of their shards.
    pub fn all(&self) -> Vec<LocalShard> {
        self.shards.read().values().cloned().collect()
    }

    /// The oracle over the local replica of the meta shard, if there is one.
    pub fn oracle(&self) -> Option<Arc<LocalOracle>> {
        self.oracle.read().clone()
    }

    /// Sets or takes away the oracle, with the replica of the meta shard.
    pub fn set_oracle(&self, oracle: Option<Arc<LocalOracle>>) {
        *self.oracle.write() = oracle;
    }
}
