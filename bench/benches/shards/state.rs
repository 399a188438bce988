//! Clusters that exist on paper only, as large as wanted.
//!
//! ```text
//! shard 0 ── n1 n2 n3     the nodes in turn, each shard one further; every so many shards
//! shard 1 ── n2 n3 n4     the three nodes stand farther apart, so that a node shares
//! …                       shards with many others
//! ```

use base::{NodeId, ReplicaId, ShardEpoch, ShardId, SlotRange};
use shard_router::{ClusterState, NodeInfo, RebalanceSettings, ShardInfo, ShardMap};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Replicas of a shard.
pub const REPLICATION: u64 = 3;
/// In how many ways the nodes of a shard stand apart.
const STRIDES: u64 = 7;

/// A cluster of `nodes` active nodes, the first `holders` of which hold all replicas of the meta shard and so many data shards,
/// evenly.
///
/// # Panics
/// When there are too few holders for three replicas that stand apart.
pub fn state(nodes: u64, holders: u64, data_shards: u32) -> ClusterState {
    assert!(holders > STRIDES * (REPLICATION - 1), "{holders} nodes would meet themselves");
    let meta = SlotRange { start: 0, end: 0 };
    let slots = std::iter::once(meta).chain(SlotRange::even(data_shards));
    let shards = slots.zip(0..).map(|(slots, id)| shard(id, slots, holders));
    let map = ShardMap::new(1, shards.collect()).expect("a map without contradictions");
    ClusterState {
        id: 1,
        version: 1,
        replication: REPLICATION as u32,
        nodes: (1..=nodes).map(|id| (NodeId(id), NodeInfo::default())).collect(),
        map: Arc::new(map),
        jobs: BTreeMap::new(),
        rebalance: RebalanceSettings::default(),
        splits: BTreeMap::new(),
        merges: BTreeMap::new(),
        origins: BTreeMap::new(),
        placement: shard_router::Placement::default(),
    }
}

fn shard(id: u64, slots: SlotRange, holders: u64) -> ShardInfo {
    let stride = 1 + id / holders % STRIDES;
    let replica = |number: u64| {
        let node = 1 + (id + number * stride) % holders;
        (ReplicaId(1 + id * REPLICATION + number), NodeId(node))
    };
    let replicas = (0..REPLICATION).map(replica).collect();
    ShardInfo { id: ShardId(id), epoch: ShardEpoch(1), slots, replicas }
}
