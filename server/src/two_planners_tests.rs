//! Two nodes that both believe to lead the meta shard plan for the same shards, from the same records.
//!
//! ```text
//! one   reads ─ ids ─ reads ─┊ stands still                                    ┊─ writes ─> refused, or planned anew
//! two                        ┊ reads ─ ids ─ reads ─ writes: the next version  ┊
//! ```
//!
//! One stands still before each of its messages in turn, while two does all of its work: what was replaced without knowing it
//! wakes up and goes on. Whatever the order, a shard has one change at a time, and no id belongs to two.

use super::*;
use shard_router::{NewSplit, NodeInfo, Placement, RebalanceSettings};
use txn::testing::{Crossing, MemoryCluster, OnTheWay, PausedClock};

/// Time in which everybody does what can be done: paused time passes only when nobody has anything left to do.
const TURN: Duration = Duration::from_millis(1);
/// Turns of a planner, at most.
const TURNS_MAX: usize = 1000;

/// What a planner wants.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// The shard becomes two.
    Split(ShardId),
    /// The shard takes its right neighbour in.
    Merge(ShardId),
    /// The shard's first replica goes to a node.
    Move(ShardId, NodeId),
}

/// Five nodes, four data shards on the first three.
fn state() -> ClusterState {
    let nodes: Vec<NodeId> = (1..=5).map(NodeId).collect();
    let map = Arc::new(shard_router::initial(&nodes[..3], 4, 3).unwrap().map);
    let info = |id: u64| NodeInfo { address: format!("h{id}:1"), ..NodeInfo::default() };
    ClusterState {
        id: 4,
        version: 2,
        replication: 3,
        nodes: nodes.into_iter().map(|id| (id, info(id.0))).collect(),
        map,
        jobs: BTreeMap::new(),
        rebalance: RebalanceSettings::default(),
        splits: BTreeMap::new(),
        merges: BTreeMap::new(),
        origins: BTreeMap::new(),
        placement: Placement::default(),
    }
}

/// The change of a shard's members that brings a replica to a node in the place of the first one.
fn to(state: &ClusterState, shard: ShardId, replica: ReplicaId, node: NodeId) -> Job {
    let first = state.map.shard(shard).and_then(|info| info.replicas.first());
    Job {
        add: (replica, node),
        remove: first.map(|(replica, _)| *replica),
        reason: Reason::Balance,
        step: JobStep::Adding,
        cancelled: false,
        started_unix_ms: 0,
    }
}

/// Begins what a planner wants by the records that it has seen, as the coordinator does.
async fn begin(meta: MetaStore, seen: ClusterState, plan: Plan) -> Result<(), String> {
    let told = |error: txn::Error| error.to_string();
    let changed = match plan {
        Plan::Split(parent) => {
            let at = seen.may_split(parent, None)?;
            let child = meta.new_shard_id(&seen).await.map_err(told)?;
            let mut replicas = Vec::new();
            for _ in 0..3 {
                replicas.push(meta.new_replica_id(&seen).await.map_err(told)?);
            }
            let new = NewSplit { parent, at, child, replicas, unix_ms: 0 };
            meta.change(|state| state.begin_split(new.clone(), state.version + 1)).await
        }
        Plan::Merge(left) => {
            seen.may_merge(left)?;
            meta.retire_ids(&seen).await.map_err(told)?;
            meta.change(|state| {
                let version = state.version + 1;
                state.begin_merge(left, version, 0).map(|_| ())
            })
            .await
        }
        Plan::Move(shard, node) => {
            let replica = meta.new_replica_id(&seen).await.map_err(told)?;
            let job = to(&seen, shard, replica, node);
            meta.change(|state| {
                write_job(state, shard, &job);
                Ok(())
            })
            .await
        }
    };
    changed.map(drop).map_err(|error| error.to_string())
}

/// Lets a planner's messages go on, so many at most, until it sends none. How many went on.
async fn deliver(crossing: &Arc<Crossing>, party: &str, at_most: usize) -> usize {
    let mut delivered = 0;
    for _ in 0..TURNS_MAX {
        tokio::time::sleep(TURN).await;
        if crossing.is_executing() {
            continue;
        }
        let mut waiting = crossing.messages().into_iter();
        match waiting.find(|message| message.party == party) {
            Some(message) if delivered < at_most => {
                crossing.deliver(message.number);
                delivered += 1;
            }
            _ => return delivered,
        }
    }
    panic!("{party} comes to no end");
}

/// What two planners come to when the first stands still after so many messages. Whether it had more to send.
async fn overlap(first: Plan, second: Plan, after: usize, both: bool) -> bool {
    let what = format!("{first:?} stands still after {after} messages for {second:?}");
    let clock = Arc::new(PausedClock::start());
    let cluster = MemoryCluster::new(2, clock).unwrap();
    let store = MetaStore::new(cluster.clone());
    store.bootstrap(&state()).await.unwrap();
    let seen = store.load().await.unwrap().unwrap();
    let crossing = Crossing::new(cluster);
    let one = MetaStore::new(crossing.client("one"));
    let one = tokio::spawn(begin(one, seen.clone(), first));
    let delivered = deliver(&crossing, "one", after).await;
    let is_over = one.is_finished();
    let two = MetaStore::new(crossing.client("two"));
    let two = tokio::spawn(begin(two, seen.clone(), second));
    deliver(&crossing, "two", usize::MAX).await;
    assert!(two.is_finished(), "{what}: two does not end");
    deliver(&crossing, "one", usize::MAX).await;
    assert!(one.is_finished(), "{what}: one does not end");
    let outcomes = [one.await.unwrap(), two.await.unwrap()];

    let state = store.load().await.unwrap().unwrap();
    let changes = state.jobs.len() + state.splits.len() + state.merges.len();
    assert_eq!(changes, if both { 2 } else { 1 }, "{what}: {outcomes:?}, {state:?}");
    assert_eq!(state.version, seen.version + changes as u64, "{what}: {outcomes:?}");
    let refused: Vec<&String> =
        outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(refused.len() <= usize::from(!both), "{what}: {refused:?}");
    assert!(refused.iter().all(|why| why.contains("shard")), "{what}: {refused:?}");
    ids_are_of_one(&state, &what);
    delivered == after && !is_over
}

/// No replica and no shard that is there or comes has the number of another one.
fn ids_are_of_one(state: &ClusterState, what: &str) {
    let held = state.map.shards().iter().flat_map(|info| info.replicas.iter());
    let coming = state.jobs.values().map(|job| &job.add);
    let replicas = held.chain(coming).map(|(replica, _)| *replica);
    let split = state.splits.values().flat_map(|job| job.replicas.iter());
    let replicas: Vec<ReplicaId> = replicas.chain(split.map(|(_, child)| *child)).collect();
    let shards = state.map.shards().iter().map(|info| info.id);
    let shards: Vec<ShardId> = shards.chain(state.splits.values().map(|job| job.child)).collect();
    assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), replicas.len(), "{what}: {state:?}");
    assert_eq!(shards.iter().collect::<BTreeSet<_>>().len(), shards.len(), "{what}: {state:?}");
}

/// Goes through all places where one of two plans can stand still, and the same with the plans the other way round.
async fn every_overlap(one: Plan, other: Plan, both: bool) {
    for (first, second) in [(one, other), (other, one)] {
        let mut after = 0;
        while overlap(first, second, after, both).await {
            after += 1;
            assert!(after < TURNS_MAX, "{first:?} comes to no end");
        }
        // It reads, gets its ids, reads again and writes.
        assert!(after >= 8, "{first:?} sends only {after} messages");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_changes_of_a_shard_one_begins() {
    let (first, second) = (ShardId(1), ShardId(2));
    let to_four = Plan::Move(second, NodeId(4));
    for (one, other) in [
        (Plan::Split(second), Plan::Split(second)),
        (Plan::Split(second), Plan::Merge(first)),
        (Plan::Split(second), Plan::Merge(second)),
        (Plan::Split(second), to_four),
        (Plan::Merge(first), Plan::Merge(first)),
        (Plan::Merge(first), Plan::Merge(second)),
        (to_four, Plan::Move(second, NodeId(5))),
        (to_four, to_four),
    ] {
        every_overlap(one, other, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn changes_that_are_not_in_each_others_way_both_begin() {
    let [first, second, third] = [1, 2, 3].map(ShardId);
    for (one, other) in [
        (Plan::Split(first), Plan::Split(third)),
        (Plan::Merge(first), Plan::Merge(third)),
        (Plan::Split(first), Plan::Move(third, NodeId(4))),
        // Members of both may change while two shards become one.
        (Plan::Merge(second), Plan::Move(second, NodeId(4))),
    ] {
        every_overlap(one, other, true).await;
    }
}

/// What is left when a planner dies after so many messages, the last one executed but not answered or lost with it. Another one
/// wants the same then. Whether the first had more to send.
async fn dies(plan: Plan, after: usize, on_the_way: OnTheWay) -> bool {
    let what = format!("{plan:?}, dead after {after} messages, the next one {on_the_way:?}");
    let clock = Arc::new(PausedClock::start());
    let cluster = MemoryCluster::new(2, clock).unwrap();
    let store = MetaStore::new(cluster.clone());
    store.bootstrap(&state()).await.unwrap();
    let seen = store.load().await.unwrap().unwrap();
    let crossing = Crossing::new(cluster);
    let one = tokio::spawn(begin(MetaStore::new(crossing.client("one")), seen.clone(), plan));
    deliver(&crossing, "one", after).await;
    let is_over = one.is_finished();
    one.abort();
    crossing.kill("one", on_the_way);
    // Time for what still arrives: nobody waits for it.
    deliver(&crossing, "one", usize::MAX).await;
    let left = store.load().await.unwrap().unwrap();
    let begun = left.jobs.len() + left.splits.len() + left.merges.len();
    assert_eq!(left.version, seen.version + begun as u64, "{what}: {left:?}");

    // It looks first, as everybody does who begins to lead.
    let two = tokio::spawn(begin(MetaStore::new(crossing.client("two")), left, plan));
    deliver(&crossing, "two", usize::MAX).await;
    assert!(two.is_finished(), "{what}: the heir does not end");
    let outcome = two.await.unwrap();
    let state = store.load().await.unwrap().unwrap();
    let changes = state.jobs.len() + state.splits.len() + state.merges.len();
    assert_eq!(changes, 1, "{what}: {outcome:?}, {state:?}");
    assert_eq!(state.version, seen.version + 1, "{what}: {outcome:?}");
    ids_are_of_one(&state, &what);
    ends_once(state, plan, &what);
    !is_over
}

/// The end of a change is one write: a second planner that comes with it changes nothing. The map is whole afterwards.
fn ends_once(mut state: ClusterState, plan: Plan, what: &str) {
    let end = |state: &mut ClusterState, job: Option<&Job>| match (plan, job) {
        (Plan::Split(parent), _) => state.finish_split(parent, 1).map_err(|why| why.to_string()),
        (Plan::Merge(left), _) => state.finish_merge(left).map_err(|why| why.to_string()),
        (Plan::Move(shard, _), Some(job)) => finish_job(state, shard, job),
        (Plan::Move(..), None) => Err("there is no job".into()),
    };
    let job = state.jobs.values().next().cloned();
    let ended = end(&mut state, job.as_ref());
    assert_eq!(ended, Ok(()), "{what}");
    let once = state.clone();
    // Splits and merges are ended only while their job stands; a change of members says so itself.
    let again = end(&mut state, job.as_ref());
    assert_eq!(again.is_ok(), matches!(plan, Plan::Move(..)), "{what}: {again:?}");
    assert_eq!(state, once, "{what}");
    assert!(state.jobs.is_empty() && state.splits.is_empty() && state.merges.is_empty(), "{what}");
    let mut next = 0;
    for info in state.map.data_shards() {
        assert_eq!(info.slots.start, next, "{what}: a gap or an overlap");
        next = info.slots.end;
    }
    assert_eq!(next, base::SlotRange::ALL.end, "{what}: slots without a shard");
}

#[tokio::test(start_paused = true)]
async fn a_planner_that_dies_leaves_all_of_a_change_or_nothing() {
    let shard = ShardId(2);
    for plan in [Plan::Split(shard), Plan::Merge(shard), Plan::Move(shard, NodeId(4))] {
        for on_the_way in [OnTheWay::Arrives, OnTheWay::Lost] {
            let mut after = 0;
            while dies(plan, after, on_the_way).await {
                after += 1;
                assert!(after < TURNS_MAX, "{plan:?} comes to no end");
            }
            assert!(after >= 8, "{plan:?} sends only {after} messages");
        }
    }
}

#[test]
fn a_change_of_members_ends_once_and_a_younger_one_is_left_alone() {
    let (mut state, shard) = (state(), ShardId(2));
    let job = to(&state, shard, ReplicaId(77), NodeId(4));
    write_job(&mut state, shard, &job);
    assert_eq!(state.jobs.get(&shard), Some(&job));
    finish_job(&mut state, shard, &job).unwrap();
    let done = state.clone();
    assert_eq!(done.replica_on(shard, NodeId(4)), Some(ReplicaId(77)));
    // The other planner has seen it before that, and is late with all of it.
    finish_job(&mut state, shard, &job).unwrap();
    write_job(&mut state, shard, &job);
    assert_eq!(state, done);
    let younger = to(&state, shard, ReplicaId(78), NodeId(5));
    write_job(&mut state, shard, &younger);
    finish_job(&mut state, shard, &job).unwrap();
    assert_eq!(state.jobs.get(&shard), Some(&younger));
    assert_eq!(state.map, done.map);
}

#[test]
fn a_change_that_is_taken_back_late_leaves_its_successor_alone() {
    let (mut state, shard) = (state(), ShardId(2));
    let job = to(&state, shard, ReplicaId(77), NodeId(4));
    write_job(&mut state, shard, &job);
    let seen = state.clone();
    take_back(&mut state, &seen, &[shard, ShardId(3)]);
    assert!(state.jobs[&shard].cancelled, "{:?}", state.jobs);
    assert_eq!(state.jobs.len(), 1);
    // The other planner has undone it and begun its successor, on another node.
    state.jobs.remove(&shard);
    let successor = to(&state, shard, ReplicaId(78), NodeId(5));
    write_job(&mut state, shard, &successor);
    take_back(&mut state, &seen, &[shard]);
    assert_eq!(state.jobs.get(&shard), Some(&successor));
}
