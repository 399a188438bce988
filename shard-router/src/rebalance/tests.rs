//! Evening out, on chosen and on random states.

mod small;

use super::*;
use crate::cluster::tests::{job, state};
use crate::cluster::{Job, JobStep, NodeInfo, NodeState, Reason};
use crate::split_job::NewSplit;
use crate::{ShardInfo, ShardMap};
use base::{Rng, SLOT_COUNT, ShardEpoch, SlotRange, SystemClock};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const LIMITS: Limits = Limits { moves: 4, moves_per_node: 1, leaders: 16 };

fn alive(state: &ClusterState) -> Health {
    Health { alive: state.nodes.keys().copied().collect(), ..Health::default() }
}

fn plan(state: &ClusterState) -> Rebalance {
    rebalance(state, &alive(state), &BTreeMap::new(), LIMITS)
}

/// Begins a move.
fn begin(state: &mut ClusterState, next: &ReplicaMove, id: u64) {
    let moved = Job { reason: Reason::Balance, ..job((id, next.to.0), Some(next.replica.0)) };
    assert!(state.jobs.insert(next.shard, moved).is_none(), "{next:?} beside another one");
}

/// Ends a shard's job.
fn finish(state: &mut ClusterState, shard: ShardId) {
    let done = state.finished(shard).unwrap();
    state.jobs.remove(&shard);
    state.replace_shard(done).expect("no two replicas of a shard on one node");
}

/// Carries out what is planned until nothing is; the moves of replicas.
fn settle(state: &mut ClusterState, bytes: &BTreeMap<ShardId, u64>, health: &Health) -> u64 {
    let mut moves = 0;
    for _ in 0..1000 {
        let plan = rebalance(state, health, bytes, LIMITS);
        if plan.moves.is_empty() && plan.leaders.is_empty() {
            return moves;
        }
        for change in plan.leaders {
            assert_eq!(
                state.map.shard(change.shard).unwrap().preferred_leader(),
                Some(change.from)
            );
            state.prefer_leader(change.shard, change.to).unwrap();
        }
        for next in &plan.moves {
            moves += 1;
            begin(state, next, 1_000_000 + moves);
        }
        for next in plan.moves {
            finish(state, next.shard);
        }
    }
    panic!("no end: {state:?}");
}

/// Replicas and preferred leaders per node that takes part.
fn counts(state: &ClusterState) -> (Vec<u64>, Vec<u64>) {
    let active = || state.nodes.iter().filter(|(_, info)| info.state == NodeState::Active);
    let shards = state.map.shards();
    let held = |node: NodeId| shards.iter().filter(|info| info.is_on(node)).count() as u64;
    let led = |node: NodeId| {
        shards.iter().filter(|info| info.preferred_leader() == Some(node)).count() as u64
    };
    (
        active().map(|(node, _)| held(*node)).collect(),
        active().map(|(node, _)| led(*node)).collect(),
    )
}

fn spread(counts: &[u64]) -> u64 {
    counts.iter().max().unwrap() - counts.iter().min().unwrap()
}

#[test]
fn an_even_cluster_is_left_alone() {
    for (nodes, shards) in [(1, 4), (3, 8), (4, 8), (7, 20)] {
        let plan = plan(&state(nodes, nodes, shards));
        assert_eq!((plan.moves.len(), plan.leaders.len(), plan.replicas_left), (0, 0, 0));
        assert_eq!((plan.waits, plan.shares.len()), (None, nodes as usize));
    }
}

#[test]
fn a_node_that_joins_fills_itself_one_replica_at_a_time_and_says_why() {
    let mut state = state(3, 4, 8);
    let first = plan(&state);
    assert_eq!(first.moves.len(), 1, "one for each target");
    assert_eq!(first.moves[0].why, "node 4 has 0 replicas, node 1 has 9: s1 moves from n1 to n4");
    assert_eq!(first.replicas_left, 6);
    begin(&mut state, &first.moves[0], 77);
    let second = plan(&state);
    assert_eq!((second.moves.len(), second.replicas_left), (0, 5), "its target is busy");
    assert!(second.held[&first.moves[0].shard].contains("holds more than its share"));
    finish(&mut state, first.moves[0].shard);
    let health = alive(&state);
    assert_eq!(1 + settle(&mut state, &BTreeMap::new(), &health), 6);
    let (replicas, leaders) = counts(&state);
    assert_eq!(replicas, [7, 7, 7, 6]);
    assert!(spread(&leaders) <= 1, "{leaders:?}");
}

#[test]
fn nothing_moves_while_something_is_broken() {
    let waits = |state: &ClusterState, health: &Health| {
        let plan = rebalance(state, health, &BTreeMap::new(), LIMITS);
        assert_eq!((plan.moves.len(), plan.leaders.len()), (0, 0));
        plan.waits.expect("it waits")
    };
    let sound = state(3, 4, 8);
    let all = alive(&sound);
    let mut dead = all.clone();
    dead.alive.remove(&NodeId(3));
    assert!(waits(&sound, &dead).contains("node 3, which holds a replica of s0, does not answer"));
    let replica = sound.replica_on(ShardId(2), NodeId(3)).unwrap();
    let lost = Health { lost: BTreeSet::from([(ShardId(2), replica)]), ..all.clone() };
    assert!(waits(&sound, &lost).contains("of s2 on node 3 cannot run"));
    let mut going = sound.clone();
    going.nodes.get_mut(&NodeId(2)).unwrap().state = NodeState::Decommissioning;
    assert!(waits(&going, &all).contains("is being decommissioned"));
    let mut few = sound.clone();
    few.replication = 4;
    assert!(waits(&few, &all).contains("s0 has 3 of 4 replicas"));
    let mut repaired = sound.clone();
    repaired.jobs.insert(ShardId(1), job((77, 4), Some(1)));
    assert!(waits(&repaired, &all).contains("repairs come first: s1 gets a replica on node 4"));
    // A node without replicas is missed by nobody.
    let mut newcomer = all.clone();
    newcomer.alive.remove(&NodeId(4));
    let plan = rebalance(&sound, &newcomer, &BTreeMap::new(), LIMITS);
    assert_eq!((plan.waits, plan.moves.len(), plan.shares.len()), (None, 0, 3));
}

#[test]
fn drained_nodes_and_sick_disks_get_nothing() {
    let mut drained = state(3, 4, 8);
    drained.nodes.get_mut(&NodeId(4)).unwrap().state = NodeState::Draining;
    assert_eq!(plan(&drained).moves, []);
    let sick = state(3, 4, 8);
    let health = Health { sick: BTreeSet::from([NodeId(4)]), ..alive(&sick) };
    let plan = rebalance(&sick, &health, &BTreeMap::new(), LIMITS);
    assert_eq!((plan.moves.len(), plan.leaders.len()), (0, 0), "nor do others take its share");
}

#[test]
fn a_copy_to_a_disk_that_fills_up_waits_says_so_and_is_given_up_with_its_node() {
    let mut state = state(3, 5, 8);
    let sound = alive(&state);
    let (shard, target) = (ShardId(1), NodeId(4));
    let old = state.replica_on(shard, NodeId(1)).unwrap();
    let copy = Job { step: JobStep::CatchingUp, ..job((77, target.0), Some(old.0)) };
    let full = Health { sick: BTreeSet::from([target]), ..sound.clone() };
    for reason in [Reason::Balance, Reason::Request, Reason::Placement, Reason::Lost] {
        state.jobs.insert(shard, Job { reason, ..copy.clone() });
        let told = |health: &Health| {
            let plan = rebalance(&state, health, &BTreeMap::new(), LIMITS);
            assert!(plan.moves.iter().all(|next| next.to != target), "{:?}", plan.moves);
            (plan.held[&shard].clone(), plan.waits)
        };
        assert!(!told(&sound).0.contains("disk"), "{reason:?}");
        let (held, waits) = told(&full);
        assert!(held.contains("the disk of node 4 is not well"), "{reason:?}: {held}");
        // What repairs holds up all others, and these name the disk, too.
        let names_disk = waits.as_ref().is_some_and(|why| why.contains("disk of node 4"));
        assert_eq!(names_disk, reason.repairs(), "{reason:?}: {waits:?}");
    }
    // Others go on elsewhere while it waits; it is taken back when people take the node out, or when the disk stays full.
    state.jobs.insert(shard, Job { reason: Reason::Balance, ..copy });
    let plan = rebalance(&state, &full, &BTreeMap::new(), LIMITS);
    assert!(plan.moves.iter().any(|next| next.to == NodeId(5)), "{plan:?}");
    assert_eq!(crate::repair::repairs(&state, &full).cancel, []);
    let stays = Health { full: BTreeSet::from([target]), ..full.clone() };
    assert_eq!(crate::repair::repairs(&state, &stays).cancel, [shard]);
    let held = rebalance(&state, &stays, &BTreeMap::new(), LIMITS).held;
    assert!(held[&shard].contains("has been full for long"), "{held:?}");
    state.nodes.get_mut(&target).unwrap().state = NodeState::Decommissioning;
    assert_eq!(crate::repair::repairs(&state, &full).cancel, [shard]);
}

#[test]
fn a_repair_that_cannot_end_holds_up_only_its_own_shard() {
    let mut state = state(3, 5, 8);
    let sound = alive(&state);
    let shard = ShardId(1);
    let old = state.replica_on(shard, NodeId(1)).unwrap();
    let repair = Job { reason: Reason::Lost, ..job((77, 4), Some(old.0)) };
    let begins = |state: &ClusterState, health: &Health| {
        let plan = rebalance(state, health, &BTreeMap::new(), LIMITS);
        assert!(plan.held.contains_key(&shard), "{plan:?}");
        assert!(plan.moves.iter().all(|next| next.shard != shard), "{:?}", plan.moves);
        assert_eq!(plan.waits.is_none(), !plan.moves.is_empty(), "{plan:?}");
        plan.waits.is_none()
    };
    state.jobs.insert(shard, repair.clone());
    assert!(!begins(&state, &sound), "repairs come first");
    let overdue = Health { overdue: BTreeSet::from([shard]), ..sound.clone() };
    assert!(begins(&state, &overdue));
    state.jobs.insert(shard, Job { cancelled: true, ..repair });
    assert!(begins(&state, &sound), "it is given up");
}

#[test]
fn a_shard_without_a_majority_or_a_free_node_holds_up_only_itself() {
    let mut state = state(3, 5, 8);
    let shard = ShardId(1);
    let on = |node| (shard, state.replica_on(shard, NodeId(node)).unwrap());
    let (one, two) = (on(1), on(2));
    let sound = alive(&state);
    let lost = Health { lost: BTreeSet::from([one, two]), ..sound.clone() };
    let plan = rebalance(&state, &lost, &BTreeMap::new(), LIMITS);
    assert!(plan.waits.is_none() && !plan.moves.is_empty(), "{plan:?}");
    assert!(plan.held[&shard].contains("has no majority"), "{:?}", plan.held);
    let one_lost = Health { lost: BTreeSet::from([one]), ..sound.clone() };
    assert!(rebalance(&state, &one_lost, &BTreeMap::new(), LIMITS).waits.is_some());
    // A replica too few, and the only nodes that could take one are full.
    state.replication = 4;
    assert!(rebalance(&state, &sound, &BTreeMap::new(), LIMITS).waits.is_some());
    let full = Health { full: [NodeId(4), NodeId(5)].into(), ..sound };
    let plan = rebalance(&state, &full, &BTreeMap::new(), LIMITS);
    assert_eq!((plan.waits, plan.moves.len()), (None, 0));
    assert!(plan.held[&shard].contains("no node is free"), "{:?}", plan.held);
}

#[test]
fn a_newcomer_in_a_zone_gets_nothing_that_was_apart() {
    let mut state = state(3, 4, 8);
    for (node, zone) in [(1, "a"), (2, "b"), (3, "c"), (4, "b")] {
        state.nodes.get_mut(&NodeId(node)).unwrap().zone = zone.into();
    }
    let health = alive(&state);
    for _ in 0..20 {
        let plan = rebalance(&state, &health, &BTreeMap::new(), LIMITS);
        assert!(plan.moves.iter().all(|next| next.from == NodeId(2)), "{plan:?}");
        for next in &plan.moves {
            begin(&mut state, next, 1000 + next.shard.0);
            finish(&mut state, next.shard);
        }
    }
    // Nodes 1 and 3 are alone in their zones and keep everything; node 2 gives what is above the mean of all.
    assert_eq!(counts(&state).0, [9, 7, 9, 2]);
}

#[test]
fn leaders_go_over_a_third_node_when_there_is_no_direct_way() {
    // n1 leads three and shares them only with n2, n2 leads two and shares them with n3.
    let on = |id: u64, nodes: [u64; 2]| {
        let slots = match id {
            0 => SlotRange { start: 0, end: 0 },
            1..=3 => SlotRange { start: id as u32 - 1, end: id as u32 },
            _ => SlotRange { start: 3, end: SLOT_COUNT },
        };
        let replicas =
            nodes.iter().zip(1..).map(|(node, n)| (ReplicaId(id * 10 + n), NodeId(*node)));
        let epoch = ShardEpoch(1);
        ShardInfo { id: ShardId(id), epoch, slots, replicas: replicas.collect() }
    };
    let shards = vec![on(0, [1, 2]), on(1, [1, 2]), on(2, [1, 2]), on(3, [2, 3]), on(4, [2, 3])];
    let mut state = state(3, 3, 1);
    state.replication = 2;
    state.map = Arc::new(ShardMap::new(1, shards).unwrap());
    let plan = plan(&state);
    let ways: Vec<(u64, u64)> = plan.leaders.iter().map(|c| (c.from.0, c.to.0)).collect();
    assert_eq!(ways, [(2, 3), (1, 2)], "{:?}", plan.leaders);
    assert!(plan.leaders[0].why.contains("preferred leader of 0 shards"), "{:?}", plan.leaders);
    let health = alive(&state);
    settle(&mut state, &BTreeMap::new(), &health);
    assert!(spread(&counts(&state).1) <= 1);
}

/// Bytes of replicas per node.
fn bytes_held(state: &ClusterState, bytes: &BTreeMap<ShardId, u64>) -> Vec<u64> {
    let held = |node: &NodeId| -> u64 {
        let shards = state.map.shards().iter().filter(|info| info.is_on(*node));
        shards.map(|info| bytes[&info.id]).sum()
    };
    state.nodes.keys().map(held).collect()
}

/// Sizes from one to so many GiB.
fn sizes(shards: u64, most: u64) -> BTreeMap<ShardId, u64> {
    (0..=shards).map(|id| (ShardId(id), (1 + id * 7 % most) << 30)).collect()
}

#[test]
fn heavy_shards_are_evened_out_by_bytes_to_within_a_tenth() {
    for most in [2, 5, 16] {
        let mut state = state(3, 4, 60);
        let bytes = sizes(60, most);
        let health = alive(&state);
        let first = rebalance(&state, &health, &bytes, LIMITS);
        assert!(first.moves[0].why.starts_with("node 4 holds 0 GiB in 0 replicas"), "{first:?}");
        assert!(settle(&mut state, &bytes, &health) < 70, "most {most}");
        let loads = bytes_held(&state, &bytes);
        let mean = loads.iter().sum::<u64>() / 4;
        let off = loads.iter().map(|load| load.abs_diff(mean) * 100 / mean).max();
        assert!(off < Some(12), "most {most}: {loads:?}");
        let done = rebalance(&state, &health, &bytes, LIMITS);
        assert_eq!((done.moves.len(), done.replicas_left), (0, 0));
        assert_eq!(done.shares.values().map(|share| share.bytes).collect::<Vec<_>>(), loads);
    }
}

#[test]
fn shards_that_grow_and_shrink_a_little_do_not_go_to_and_fro() {
    let mut state = state(3, 4, 60);
    let low = sizes(60, 16);
    let high: BTreeMap<ShardId, u64> =
        low.iter().map(|(shard, bytes)| (*shard, bytes + bytes / 20 * (shard.0 % 2))).collect();
    let health = alive(&state);
    settle(&mut state, &low, &health);
    let moves: u64 = (0..20)
        .map(|_| settle(&mut state, &high, &health) + settle(&mut state, &low, &health))
        .sum();
    assert!(moves <= 6, "{moves}");
}

#[test]
fn tiny_shards_all_weigh_the_same() {
    let state = state(3, 4, 8);
    let bytes: BTreeMap<ShardId, u64> = (0..=8).map(|id| (ShardId(id), id << 17)).collect();
    let by_bytes = rebalance(&state, &alive(&state), &bytes, LIMITS);
    assert_eq!(by_bytes.moves, plan(&state).moves);
    assert_eq!(by_bytes.replicas_left, 6);
}

#[test]
fn a_shard_that_is_being_split_counts_as_the_two_that_it_becomes() {
    let mut state = state(3, 3, 8);
    let before = plan(&state).shares;
    split(&mut state, ShardId(2));
    let leader = state.map.shard(ShardId(2)).unwrap().preferred_leader().unwrap();
    for (node, share) in plan(&state).shares {
        let leads = u64::from(node == leader);
        assert_eq!(share.replicas, before[&node].replicas + 1);
        assert_eq!(share.leaders, before[&node].leaders + leads);
    }
    let during = plan(&state).shares;
    state.finish_split(ShardId(2), 0).unwrap();
    let after = rebalance(&state, &alive(&state), &BTreeMap::new(), LIMITS).shares;
    assert_eq!(during, after);
}

/// What changes leaders when shards take so much CPU.
fn leaders_by_load(state: &ClusterState, cpu: &BTreeMap<ShardId, u32>) -> Vec<LeaderChange> {
    let bytes = BTreeMap::new();
    rebalance_by_load(state, &alive(state), Weights { bytes: &bytes, cpu }, LIMITS).leaders
}

#[test]
fn leaders_of_busy_shards_are_evened_out_by_their_load() {
    let mut state = state(3, 3, 6);
    // All that one node leads is busy.
    let leads = |state: &ClusterState, shard: ShardId| {
        state.map.shard(shard).unwrap().preferred_leader().unwrap()
    };
    let all: Vec<ShardId> = state.map.shards().iter().map(|info| info.id).collect();
    let busy: Vec<ShardId> =
        all.iter().copied().filter(|shard| leads(&state, *shard) == NodeId(1)).collect();
    assert!((2..=3).contains(&busy.len()), "{busy:?}");
    let cpu_of = |shard: &ShardId| if busy.contains(shard) { 400 } else { 3 };
    let cpu: BTreeMap<ShardId, u32> = all.iter().map(|shard| (*shard, cpu_of(shard))).collect();
    let changes = leaders_by_load(&state, &cpu);
    assert!(changes[0].why.contains("of a core"), "{changes:?}");
    for change in changes {
        state.prefer_leader(change.shard, change.to).unwrap();
    }
    let homes: BTreeSet<NodeId> = busy.iter().map(|shard| leads(&state, *shard)).collect();
    assert_eq!(homes.len(), busy.len(), "each busy one has a node of its own");
    assert_eq!(leaders_by_load(&state, &cpu), [], "and there it ends");
}

#[test]
fn a_node_that_joins_gets_leaders_of_busy_shards_too() {
    // n4 holds its share of replicas, and leads nothing yet.
    let mut state = state(4, 4, 8);
    for id in 0..=8 {
        let info = state.map.shard(ShardId(id)).unwrap();
        let other = info.replicas.iter().map(|(_, node)| *node).find(|node| *node != NodeId(4));
        state.prefer_leader(ShardId(id), other.unwrap()).unwrap();
    }
    let cpu: BTreeMap<ShardId, u32> = (0..=8).map(|id| (ShardId(id), 180)).collect();
    for _ in 0..10 {
        for change in leaders_by_load(&state, &cpu) {
            state.prefer_leader(change.shard, change.to).unwrap();
        }
    }
    let (_, leaders) = counts(&state);
    assert!(leaders[3] >= 1, "{leaders:?}");
    assert_eq!(leaders_by_load(&state, &cpu), []);
}

#[test]
fn leaders_wait_while_loads_are_not_known_and_go_by_number_while_all_are_quiet() {
    let mut state = state(3, 3, 6);
    for shard in 0..=6 {
        state.prefer_leader(ShardId(shard), NodeId(1)).unwrap();
    }
    let cpu = |of: fn(u64) -> u32| -> BTreeMap<ShardId, u32> {
        (0..=6).map(|id| (ShardId(id), of(id))).collect()
    };
    let quiet = cpu(|_| 20);
    assert_eq!(leaders_by_load(&state, &quiet), plan(&state).leaders);
    let mut unknown = cpu(|_| 300);
    unknown.remove(&ShardId(4));
    assert_eq!(leaders_by_load(&state, &unknown), []);
    // One alone is busy. It goes once, to where it is alone; then nobody is better off when it goes on.
    let alone = cpu(|id| if id == 3 { 900 } else { 0 });
    let changes = leaders_by_load(&state, &alone);
    assert_eq!(changes.iter().map(|change| change.shard.0).collect::<Vec<_>>(), [3]);
    state.prefer_leader(ShardId(3), changes[0].to).unwrap();
    assert_eq!(leaders_by_load(&state, &alone), []);
}

#[test]
fn a_move_by_hand_is_refused_with_what_to_do() {
    let mut state = state(3, 5, 2);
    let all = alive(&state);
    let node = NodeId;
    let ask = |state: &ClusterState, health: &Health, shard, from, to| {
        may_move(state, health, ShardId(shard), node(from), node(to))
    };
    let replica = state.replica_on(ShardId(1), NodeId(2)).unwrap();
    assert_eq!(ask(&state, &all, 1, 2, 4), Ok(replica));
    let refused = |shard, from, to| ask(&state, &all, shard, from, to).unwrap_err();
    assert!(refused(9, 2, 4).contains("the last one is 2"));
    assert!(refused(1, 2, 9).contains("there are 1, 2, 3, 4, 5"));
    assert!(refused(1, 4, 5).contains("node 4 holds no replica of shard 1"));
    assert!(refused(1, 2, 3).contains("node 3 holds a replica of shard 1 already"));
    let mut dead = all.clone();
    dead.alive.remove(&NodeId(4));
    assert!(ask(&state, &dead, 1, 2, 4).unwrap_err().contains("does not answer"));
    let sick = Health { sick: BTreeSet::from([NodeId(4)]), ..all.clone() };
    assert!(ask(&state, &sick, 1, 2, 4).unwrap_err().contains("disk of node 4 is not well"));
    let mut down = all.clone();
    down.alive.remove(&NodeId(3));
    assert!(ask(&state, &down, 1, 2, 4).unwrap_err().contains("mended first"));
    assert!(ask(&state, &down, 1, 3, 4).is_ok(), "the one that does not work goes");
    state.nodes.get_mut(&NodeId(4)).unwrap().state = NodeState::Draining;
    assert!(ask(&state, &all, 1, 2, 4).unwrap_err().contains("choose an active one"));
    state.jobs.insert(ShardId(1), job((77, 5), Some(replica.0)));
    assert!(ask(&state, &all, 1, 2, 5).unwrap_err().contains("just now"));
    split(&mut state, ShardId(2));
    assert!(ask(&state, &all, 2, 2, 5).unwrap_err().contains("shard 2 waits until it is split"));
}

/// Begins to split a shard.
fn split(state: &mut ClusterState, parent: ShardId) {
    let replicas = [50, 51, 52].map(ReplicaId).to_vec();
    let at = state.may_split(parent, None).unwrap();
    let new = NewSplit { parent, at, child: ShardId(99), replicas, unix_ms: 0 };
    state.begin_split(new, 2).unwrap();
}

#[test]
fn a_shard_that_is_split_stays_where_it_is_and_others_move() {
    let mut state = state(3, 4, 8);
    let first = plan(&state).moves[0].shard;
    split(&mut state, first);
    let then = plan(&state);
    assert_eq!((then.waits, then.moves.len()), (None, 1));
    assert_ne!(then.moves[0].shard, first);
    assert!(then.leaders.iter().all(|change| change.shard != first));
    assert!(then.held[&first].contains("waits until it is split"), "{:?}", then.held);
    state.finish_split(first, 0).unwrap();
    let health = alive(&state);
    settle(&mut state, &BTreeMap::new(), &health);
    assert!(spread(&counts(&state).0) <= 1, "the child moves, too");
}

/// A cluster of random shape: some nodes are empty, some drained.
fn random_state(rng: &mut Rng) -> (ClusterState, usize) {
    let nodes = 2 + rng.below(11);
    let holders = 1 + rng.below(nodes);
    let replication = 1 + rng.below(holders.min(5));
    let shards = 1 + rng.below(60) as u32;
    let mut next = 0;
    let slots = std::iter::once(SlotRange { start: 0, end: 0 }).chain(SlotRange::even(shards));
    let shards = slots.zip(0..).map(|(slots, id)| {
        let mut on = Vec::new();
        while (on.len() as u64) < replication {
            let node = NodeId(1 + rng.below(holders));
            if !on.contains(&node) {
                on.push(node);
            }
        }
        let replicas = on.into_iter().map(|node| {
            next += 1;
            (ReplicaId(next), node)
        });
        let (id, epoch) = (ShardId(id), ShardEpoch(1));
        ShardInfo { id, epoch, slots, replicas: replicas.collect() }
    });
    let map = Arc::new(ShardMap::new(1, shards.collect()).unwrap());
    let mut drained = 0;
    let nodes = (1..=nodes).map(|id| {
        let drains = id > 1 && rng.chance(0.1);
        drained += usize::from(drains);
        let state = if drains { NodeState::Draining } else { NodeState::Active };
        (NodeId(id), NodeInfo { state, ..NodeInfo::default() })
    });
    let nodes = nodes.collect();
    let state = ClusterState {
        id: 1,
        version: 1,
        replication: replication as u32,
        nodes,
        map,
        jobs: BTreeMap::new(),
        rebalance: RebalanceSettings::default(),
        splits: BTreeMap::new(),
        merges: BTreeMap::new(),
        origins: BTreeMap::new(),
        placement: crate::Placement::default(),
    };
    (state, drained)
}

#[test]
fn random_clusters_become_even_with_about_as_few_moves_as_there_can_be() {
    for seed in 0..400 {
        let mut rng = Rng::seeded(seed);
        let (mut state, drained) = random_state(&mut rng);
        let health = alive(&state);
        let limits = Limits { moves: 1 + rng.below(8) as usize, moves_per_node: 1, leaders: 16 };
        let (before, _) = counts(&state);
        let (total, nodes) = (before.iter().sum::<u64>(), before.len() as u64);
        let above = |count: &u64| count.saturating_sub(total.div_ceil(nodes));
        let below = |count: &u64| (total / nodes).saturating_sub(*count);
        let excess: u64 = before.iter().map(above).sum();
        let bound = excess.max(before.iter().map(below).sum());
        let (mut moves, mut rounds) = (0, 0);
        loop {
            let plan = rebalance(&state, &health, &BTreeMap::new(), limits);
            assert_eq!(plan.waits, None, "seed {seed}");
            assert!(state.jobs.len() + plan.moves.len() <= limits.moves, "seed {seed}");
            if state.jobs.is_empty() && plan.moves.is_empty() && plan.leaders.is_empty() {
                break;
            }
            for change in plan.leaders {
                assert!(!state.jobs.contains_key(&change.shard), "seed {seed}: {change:?}");
                state.prefer_leader(change.shard, change.to).unwrap();
            }
            for next in plan.moves {
                assert_eq!(state.nodes[&next.to].state, NodeState::Active, "seed {seed}");
                moves += 1;
                begin(&mut state, &next, 1_000_000 + moves);
            }
            let busy = state.jobs.values().map(|job| job.add.1);
            assert_eq!(busy.collect::<BTreeSet<_>>().len(), state.jobs.len(), "seed {seed}");
            // Some end sooner than others; at least one does.
            let under_way: Vec<ShardId> = state.jobs.keys().copied().collect();
            for (position, shard) in under_way.into_iter().enumerate() {
                if position == 0 || rng.chance(0.5) {
                    finish(&mut state, shard);
                }
            }
            rounds += 1;
            assert!(rounds < 2000, "seed {seed}: no end");
        }
        let (replicas, leaders) = counts(&state);
        assert!(spread(&replicas) <= 1, "seed {seed}: {replicas:?}");
        assert!(moves * 10 <= bound * 13, "seed {seed}: {moves} moves, at least {bound}");
        if drained == 0 {
            assert!(spread(&leaders) <= 1, "seed {seed}: leaders {leaders:?}");
        }
    }
}

#[test]
fn a_late_cancelled_move_counts_as_done_and_an_early_one_as_undone() {
    let mut state = state(3, 4, 8);
    let old = state.replica_on(ShardId(1), NodeId(1)).unwrap();
    let taken_back = |step| {
        let reason = Reason::Balance;
        Job { reason, step, cancelled: true, ..job((77, 4), Some(old.0)) }
    };
    let on_four = |state: &ClusterState| plan(state).shares[&NodeId(4)].replicas;
    state.jobs.insert(ShardId(1), taken_back(JobStep::CatchingUp));
    assert_eq!(on_four(&state), 0);
    state.jobs.insert(ShardId(1), taken_back(JobStep::ChangingVoters));
    assert_eq!(on_four(&state), 1);
}

#[test]
fn a_round_over_the_largest_cluster_takes_less_than_a_second() {
    // As many shards as there are slots, with five replicas each: more replicas than 100,000 shards with three.
    let (holders, nodes, replication) = (900, 1000, 5);
    let slots = std::iter::once(SlotRange { start: 0, end: 0 }).chain(SlotRange::even(SLOT_COUNT));
    let shards = slots.zip(0_u64..).map(|(slots, id)| {
        let replicas = (0..replication).map(|n| {
            let node = 1 + (id * 7 + n * 13) % holders;
            (ReplicaId(id * replication + n + 1), NodeId(node))
        });
        let (id, epoch) = (ShardId(id), ShardEpoch(1));
        ShardInfo { id, epoch, slots, replicas: replicas.collect() }
    });
    let mut state = state(1, nodes, 1);
    state.replication = replication as u32;
    state.map = Arc::new(ShardMap::new(1, shards.collect()).unwrap());
    let health = alive(&state);
    let limits = Limits { moves: 100, moves_per_node: 1, leaders: 100 };
    let clock = SystemClock::shared();
    let began = clock.monotonic();
    let plan = rebalance(&state, &health, &BTreeMap::new(), limits);
    let took = clock.monotonic().saturating_sub(began);
    assert_eq!(plan.moves.len(), 100);
    assert!(plan.replicas_left > 30_000, "{}", plan.replicas_left);
    assert!(took <= Duration::from_secs(1), "{took:?}");
}
