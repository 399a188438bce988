//! From a key to its shard: in the shard map alone, and the whole way that a node's transactions go.
//!
//! ```text
//! map     slot ─> ShardMap::locate
//! client  key ─> table, slot ─> the map in force (a lock for reading, a count of who holds it) ─> ShardMap::locate ─> Route
//! ```

use crate::state::state;
use base::{ClusterId, IndexId, NodeId, Rng, SLOT_COUNT, Slot, SystemClock, TableId};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use engine::key::KeyBuilder;
use raft::transport::dialer::TcpDialer;
use server::cluster_client::{ClusterClient, ClusterClientParts};
use server::directory::Directory;
use server::local_shards::LocalShards;
use server::peers::Peers;
use shard_router::{ClusterState, NodeInfo};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use txn::{ShardClient, TransactionSizes};

/// Data shards: of a new cluster, of a large one, and as many as there are slots.
const SHARDS: [u32; 3] = [8, 1_000, SLOT_COUNT];
/// Nodes of the cluster.
const NODES: u64 = 30;
/// Keys that are looked up in turn.
const KEYS: u64 = 4_096;

/// Both ways, for each number of shards.
pub fn route(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mut rng = Rng::seeded(1);
    let keys: Vec<(Slot, Bytes)> = (0..KEYS).map(|id| key(id, &mut rng)).collect();
    let mut group = criterion.benchmark_group("shard_route");
    for shards in SHARDS {
        let state = state(NODES, NODES, shards);
        let map = state.map.clone();
        let mut turn = keys.iter().cycle();
        group.bench_function(BenchmarkId::new("map", shards), |bench| {
            bench.iter(|| turn.next().map(|(slot, _)| map.locate(*slot)))
        });
        let client = client(state, folder.path(), runtime.handle());
        let mut turn = keys.iter().cycle();
        group.bench_function(BenchmarkId::new("client", shards), |bench| {
            bench.iter(|| turn.next().map(|(_, key)| client.locate(key)))
        });
    }
    group.finish();
}

/// A row's key, in a slot by chance.
fn key(id: u64, rng: &mut Rng) -> (Slot, Bytes) {
    let slot = Slot(rng.below(u64::from(SLOT_COUNT)) as u16);
    let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
    key.put_u64(id);
    (slot, key.finish(slot))
}

/// What a node's transactions ask, on a node without replicas that talks to nobody.
fn client(
    state: ClusterState,
    folder: &Path,
    runtime: &tokio::runtime::Handle,
) -> Arc<ClusterClient> {
    let (node, clock) = (NodeId(1), SystemClock::shared());
    let peers = Peers::new(node, ClusterId::default(), BTreeMap::new(), runtime.clone());
    let (peers, dialer) = (Arc::new(peers), Arc::new(TcpDialer::new(BTreeMap::new())));
    let me = (node, NodeInfo::default());
    let directory = Directory::new(folder.to_path_buf(), me, state, peers.clone(), dialer);
    ClusterClient::new(ClusterClientParts {
        node,
        directory,
        local: Arc::new(LocalShards::new(clock.clone())),
        peers,
        clock,
        runtime: runtime.clone(),
        transaction_sizes: TransactionSizes::default(),
    })
}
