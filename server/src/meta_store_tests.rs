//! The records over a cluster in memory.

use super::*;
use base::SystemClock;
use shard_router::{Job, JobStep, NewSplit, NodeInfo, NodeState, Reason, RebalanceSettings};
use txn::testing::MemoryCluster;

fn state() -> ClusterState {
    let nodes: Vec<NodeId> = (1..=3).map(NodeId).collect();
    let map = Arc::new(shard_router::initial(&nodes, 4, 3).unwrap().map);
    let info = |id: u64| NodeInfo { address: format!("h{id}:1"), ..NodeInfo::default() };
    let nodes = nodes.into_iter().map(|id| (id, info(id.0))).collect();
    ClusterState {
        id: 4,
        version: 2,
        replication: 3,
        nodes,
        map,
        jobs: BTreeMap::new(),
        rebalance: RebalanceSettings::default(),
        splits: BTreeMap::new(),
        merges: BTreeMap::new(),
        origins: BTreeMap::new(),
        placement: shard_router::Placement::default(),
    }
}

async fn store() -> MetaStore {
    let store = MetaStore::new(MemoryCluster::new(2, SystemClock::shared()).unwrap());
    assert_eq!(store.load().await.unwrap(), None);
    store.bootstrap(&state()).await.unwrap();
    store
}

fn job() -> Job {
    Job {
        add: (ReplicaId(77), NodeId(3)),
        remove: Some(ReplicaId(1)),
        reason: Reason::Lost,
        step: JobStep::CatchingUp,
        cancelled: false,
        started_unix_ms: 5,
    }
}

#[tokio::test]
async fn the_first_records_are_written_once() {
    let store = store().await;
    let other = ClusterState { replication: 1, ..state() };
    store.bootstrap(&other).await.unwrap();
    let loaded = store.load().await.unwrap().unwrap();
    assert_eq!((loaded.version, loaded.replication, loaded.nodes), (2, 3, state().nodes));
    assert_eq!(loaded.map.shards(), state().map.shards());
    assert_eq!(store.version().await.unwrap(), Some(2));
}

#[tokio::test]
async fn a_change_makes_one_new_version_and_nothing_makes_none() {
    let store = store().await;
    let changed = store
        .change(|state| {
            state.jobs.insert(ShardId(2), job());
            state.nodes.get_mut(&NodeId(2)).unwrap().state = NodeState::Draining;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(changed.version, 3);
    assert_eq!(store.load().await.unwrap(), Some(changed));
    let removed = store
        .change(|state| {
            state.jobs.clear();
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((removed.version, removed.map.version()), (4, 4));
    assert_eq!(store.load().await.unwrap(), Some(removed));
    assert_eq!(store.change(|_| Ok(())).await.unwrap().version, 4);
    let refused = store.change(|_| Err("not today".into())).await.unwrap_err();
    assert_eq!(refused.to_string(), "not today");
}

#[tokio::test]
async fn settings_are_kept_and_other_changes_leave_them_alone() {
    let store = store().await;
    let settings = RebalanceSettings { paused: true, moves_at_once: 2, auto_merge: true };
    let set = |state: &mut ClusterState| {
        state.rebalance = settings;
        Ok(())
    };
    assert_eq!(store.change(set).await.unwrap().version, 3);
    let moved = |state: &mut ClusterState| {
        state.jobs.insert(ShardId(2), job());
        Ok(())
    };
    store.change(moved).await.unwrap();
    let loaded = store.load().await.unwrap().unwrap();
    assert_eq!((loaded.version, loaded.rebalance), (4, settings));
}

#[tokio::test]
async fn a_split_is_written_carried_out_and_remembered() {
    let store = store().await;
    let before = store.load().await.unwrap().unwrap();
    let (parent, child) = (ShardId(2), store.new_shard_id(&before).await.unwrap());
    assert_eq!(child, ShardId(5));
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(store.new_replica_id(&before).await.unwrap());
    }
    let new = NewSplit { parent, at: Slot(20_000), child, replicas, unix_ms: 9 };
    let begun = store.change(|state| state.begin_split(new.clone(), state.version + 1)).await;
    let begun = begun.unwrap();
    assert_eq!((begun.version, begun.splits[&parent].since), (3, 3));
    assert_eq!(store.load().await.unwrap(), Some(begun.clone()));
    assert_eq!(store.new_shard_id(&begun).await.unwrap(), ShardId(6));
    let again = store.change(|state| state.begin_split(new.clone(), state.version + 1)).await;
    assert!(again.unwrap_err().to_string().contains("being split already"));
    let finish = |state: &mut ClusterState| {
        state.finish_split(parent, 12).map_err(|error| error.to_string())
    };
    let done = store.change(finish).await.unwrap();
    assert!(done.splits.is_empty());
    assert_eq!((done.origins[&child].parent, done.map.data_shards().len()), (parent, 5));
    assert_eq!(store.load().await.unwrap(), Some(done));
}

#[tokio::test]
async fn a_merge_is_written_and_its_right_shard_goes() {
    let store = store().await;
    let (left, right) = (ShardId(3), ShardId(4));
    store.retire_ids(&store.load().await.unwrap().unwrap()).await.unwrap();
    let begin = |state: &mut ClusterState| {
        let version = state.version + 1;
        state.begin_merge(left, version, 9).map(|_| ())
    };
    let begun = store.change(begin).await.unwrap();
    assert_eq!((begun.merges[&left].right, begun.merges[&left].number), (right, begun.version));
    assert_eq!(store.load().await.unwrap(), Some(begun));
    let again = store.change(begin).await.unwrap_err().to_string();
    assert!(again.contains("shard 3 takes shard 4 in"), "{again}");
    let finish =
        |state: &mut ClusterState| state.finish_merge(left).map_err(|error| error.to_string());
    let done = store.change(finish).await.unwrap();
    assert!(done.merges.is_empty() && done.map.shard(right).is_none());
    assert_eq!(store.load().await.unwrap(), Some(done.clone()));
    assert_eq!(store.new_shard_id(&done).await.unwrap(), ShardId(6), "not the one that is gone");
}

#[tokio::test]
async fn changes_at_once_are_all_made_one_after_another() {
    let store = store().await;
    let edits = (0..10_u64).map(|number| {
        let store = store.clone();
        async move {
            let edit = |state: &mut ClusterState| {
                let info = NodeInfo { incarnation: number, ..NodeInfo::default() };
                state.nodes.insert(NodeId(100 + number), info);
                Ok(())
            };
            store.change(edit).await.unwrap();
        }
    });
    futures::future::join_all(edits).await;
    let state = store.load().await.unwrap().unwrap();
    assert_eq!((state.version, state.nodes.len()), (12, 13));
}

#[tokio::test]
async fn ids_are_never_handed_out_twice_and_begin_after_those_in_use() {
    let store = store().await;
    let state = store.load().await.unwrap().unwrap();
    assert_eq!(store.new_node_id(&state).await.unwrap(), NodeId(4));
    assert_eq!(store.new_node_id(&state).await.unwrap(), NodeId(5));
    let used = state.map.shards().iter().map(|info| info.replicas.len() as u64).sum::<u64>();
    assert_eq!(store.new_replica_id(&state).await.unwrap(), ReplicaId(used + 1));
    assert_eq!(store.new_replica_id(&state).await.unwrap(), ReplicaId(used + 2));
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_an_error_that_says_where() {
    let store = store().await;
    let mut txn = Transaction::begin(store.client.clone(), Mode::Snapshot);
    let bad = pb::NodeRecord { id: 9, state: 77, ..Default::default() };
    txn.put(key(NODES, Some(9)), bad.encode_to_vec(), Expect::Any).unwrap();
    txn.commit().await.unwrap();
    let error = store.load().await.unwrap_err().to_string();
    assert!(error.contains("meta shard") && error.contains("node state 77"), "{error}");
}
