//! Policies in clusters of a few regions: rounds of planning until nothing is left to do.

use super::*;
use crate::Reason;
use crate::cluster::tests::{job, state};
use crate::rebalance::{Limits, rebalance};
use crate::repair::{Health, rehearse, repairs};
use crate::split::{Wanted, splits};
use base::{Rng, ShardId};

/// Regions of nodes 1 to 6: a a b b c c, two zones each.
const ZONES: [&str; 6] = ["a/1", "a/2", "b/1", "b/2", "c/1", "c/2"];

fn policy(primary: &str, regions: &[&str]) -> Policy {
    Policy {
        primary_region: primary.into(),
        regions: regions.iter().map(|region| region.to_string()).collect(),
        ..Policy::default()
    }
}

/// Six nodes, shard 1 of two under the policy `eu`.
fn cluster(policy: Policy) -> ClusterState {
    let mut state = state(3, 6, 2);
    for (info, zone) in state.nodes.values_mut().zip(ZONES) {
        info.zone = zone.into();
    }
    let slots = state.map.shard(ShardId(1)).unwrap().slots;
    state.placement.policies.insert("eu".into(), policy);
    state.placement.assign(slots, Some("eu"));
    state
}

fn alive(nodes: &[u64]) -> Health {
    Health { alive: nodes.iter().copied().map(NodeId).collect(), ..Health::default() }
}

fn all() -> Health {
    alive(&[1, 2, 3, 4, 5, 6])
}

fn limits() -> Limits {
    Limits { moves: 8, moves_per_node: 4, leaders: 8 }
}

fn places(state: &ClusterState, shard: u64) -> Vec<u64> {
    let info = state.map.shard(ShardId(shard)).unwrap();
    info.replicas.iter().map(|(_, node)| node.0).collect()
}

/// Carries out what policies and evening out ask for, until they ask for nothing.
fn settle(state: &mut ClusterState, health: &Health) {
    let mut next = 1000;
    for _ in 0..200 {
        let mut moves: Vec<(ShardId, NodeId, ReplicaId)> = Vec::new();
        for new in policy_moves(state, health, limits()).start {
            assert_eq!(new.reason, Reason::Placement);
            moves.extend(new.remove.map(|gone| (new.shard, new.target, gone)));
        }
        if moves.is_empty() {
            let plan = rebalance(state, health, &BTreeMap::new(), limits());
            let began = !plan.moves.is_empty() || !plan.leaders.is_empty();
            moves.extend(plan.moves.iter().map(|next| (next.shard, next.to, next.replica)));
            for change in plan.leaders {
                let moved = moves.iter().any(|(shard, ..)| *shard == change.shard);
                if !moved {
                    state.prefer_leader(change.shard, change.to).unwrap();
                }
            }
            if !began {
                return;
            }
        }
        for (shard, to, gone) in moves {
            next += 1;
            state.jobs.insert(shard, job((next, to.0), Some(gone.0)));
            let done = state.finished(shard).unwrap();
            state.jobs.remove(&shard);
            state.replace_shard(done).unwrap();
        }
    }
    panic!("it does not come to an end");
}

#[test]
fn replicas_and_leaders_go_where_the_policy_wants_them_and_stay() {
    let mut state = cluster(policy("c", &["b", "c"]));
    assert_eq!(places(&state, 1).len(), 3);
    settle(&mut state, &all());
    let nodes = places(&state, 1);
    assert!(nodes.iter().all(|node| (3..=6).contains(node)), "{nodes:?}");
    assert!((5..=6).contains(&nodes[0]), "led in region c: {nodes:?}");
    assert_eq!(unmet(&state, &all()), BTreeMap::new());
    let told = report(&state, &all());
    assert_eq!((told.len(), told[0].state.as_str()), (1, "ok"));
}

#[test]
fn one_replica_at_a_time_goes_and_none_is_lost() {
    let state = cluster(policy("", &["b", "c"]));
    let plan = policy_moves(&state, &all(), limits());
    assert_eq!(plan.start.len(), 1, "{plan:?}");
    let new = &plan.start[0];
    let info = state.map.shard(ShardId(1)).unwrap();
    assert!(
        info.replicas.iter().any(|(replica, node)| Some(*replica) == new.remove && node.0 <= 2)
    );
    assert!((4..=6).contains(&new.target.0));
    let why = &plan.why[&ShardId(1)];
    assert!(why.contains("placement policy 'eu' allows no replica on node"), "{why}");
    assert!(why.ends_with(&format!("to {}", new.target)), "{why}");
    let told = report(&state, &all());
    assert_eq!(told[0].state, "1 of 1 shards move");
}

#[test]
fn what_cannot_be_met_is_named_and_keeps_its_replicas() {
    let mut state = cluster(policy("", &["c"]));
    settle(&mut state, &all());
    let nodes = places(&state, 1);
    assert_eq!(nodes.len(), 3);
    assert_eq!(nodes.iter().filter(|node| **node >= 5).count(), 2, "{nodes:?}");
    let why = &unmet(&state, &all())[&ShardId(1)];
    assert!(why.contains("placement policy 'eu' allows no replica on node"), "{why}");
    assert!(why.contains("only nodes 5, 6 allowed"), "{why}");
    let told = report(&state, &all());
    assert!(told[0].state.starts_with("1 of 1 shards are not as it wants them"), "{told:?}");
    let short = state.placement.policies["eu"].shortfall("eu", &state).unwrap();
    assert!(short.contains("needs 3 active nodes and allows only nodes 5, 6"), "{short}");
    assert_eq!(policy("a", &["a", "b"]).shortfall("eu", &state), None);
    let short = policy("d", &["a", "b", "d"]).shortfall("eu", &state).unwrap();
    assert!(short.contains("no active node may lead"), "{short}");
}

#[test]
fn missing_and_dead_replicas_are_told() {
    let mut state = cluster(policy("", &["b", "c"]));
    settle(&mut state, &all());
    assert_eq!(report(&state, &all())[0].state, "ok");
    let gone = places(&state, 1)[2];
    let others: Vec<u64> = (1..=6).filter(|node| *node != gone).collect();
    assert_eq!(
        report(&state, &alive(&others))[0].state,
        format!(
            "1 of 1 shards have fewer sound replicas than they should: shard 1 has a replica on node {gone}, which does \
             not answer"
        )
    );
    state.placement.policies.get_mut("eu").unwrap().followers = 3;
    assert_eq!(
        report(&state, &all())[0].state,
        "1 of 1 shards have fewer sound replicas than they should: shard 1 has 3 of 4 replicas"
    );
    // The slots of shard 2 are under no policy: nothing is said of them.
    assert_eq!(report(&state, &all()).len(), 1);
}

#[test]
fn the_primary_region_gets_a_replica_and_the_lead() {
    let mut state = cluster(policy("c", &[]));
    assert!(places(&state, 1).iter().all(|node| *node <= 3));
    settle(&mut state, &all());
    let nodes = places(&state, 1);
    assert!(nodes[0] >= 5, "{nodes:?}");
    // Evening out does not take it back.
    let plan = rebalance(&state, &all(), &BTreeMap::new(), limits());
    assert_eq!((plan.moves.len(), plan.leaders.len(), plan.replicas_left), (0, 0, 0), "{plan:?}");
}

#[test]
fn a_successor_goes_only_where_the_policy_allows_it() {
    let mut state = cluster(policy("", &["a", "b"]));
    settle(&mut state, &all());
    let gone = places(&state, 1)[1];
    let rest: Vec<u64> = (1..=6).filter(|node| *node != gone).collect();
    let health = Health { silent: BTreeSet::from([NodeId(gone)]), ..alive(&rest) };
    let plan = repairs(&state, &health);
    let new = plan.start.iter().find(|new| new.shard == ShardId(1)).unwrap();
    assert!(new.target.0 <= 4, "{new:?}");
    // With nobody left there it waits, though others are free.
    state.placement.policies.insert("eu".into(), {
        let mut narrow = policy("", &[]);
        narrow.constraints = parse_constraints("[-zone=1,-region=c]").unwrap();
        narrow
    });
    let plan = repairs(&state, &health);
    let started = plan.start.iter().any(|new| new.shard == ShardId(1) && new.target.0 % 2 == 1);
    assert!(!started, "zone 1 is forbidden: {plan:?}");
    state.placement.policies.insert("eu".into(), policy("", &["d"]));
    let plan = repairs(&state, &health);
    let why = &plan.blocked[&ShardId(1)];
    assert!(why.contains("no free node that placement policy 'eu' allows"), "{why}");
    let held = NodeId(places(&state, 1)[0]);
    let rehearsed = rehearse(&state, &all(), held);
    assert!(rehearsed[&ShardId(1)].as_ref().unwrap_err().contains("policy 'eu'"));
}

#[test]
fn nobody_waits_for_a_shard_that_its_policy_keeps_broken() {
    let mut state = cluster(policy("", &["a"]));
    state.nodes.get_mut(&NodeId(3)).unwrap().state = NodeState::Decommissioning;
    let waits = rebalance(&state, &all(), &BTreeMap::new(), limits()).waits;
    assert!(waits.unwrap().contains("repairs come first"), "of the other shards");
    for round in 0..10 {
        for new in repairs(&state, &all()).start {
            let added =
                job((2000 + round * 10 + new.shard.0, new.target.0), new.remove.map(|r| r.0));
            state.jobs.insert(new.shard, added);
            let done = state.finished(new.shard).unwrap();
            state.jobs.remove(&new.shard);
            state.replace_shard(done).unwrap();
        }
    }
    let plan = repairs(&state, &all());
    assert_eq!((plan.start.len(), plan.blocked.len()), (0, 1), "{plan:?}");
    let plan = rebalance(&state, &all(), &BTreeMap::new(), limits());
    assert_eq!(plan.waits, None);
    assert!(plan.held[&ShardId(1)].contains("node 3"), "{plan:?}");
}

/// A cluster of random shape, some of its shards under random policies.
fn random_cluster(rng: &mut Rng) -> ClusterState {
    let cities = ["a", "b", "c", "d"];
    let (nodes, shards) = (4 + rng.below(9), 1 + rng.below(12) as u32);
    let mut state = state(3, nodes, shards);
    for info in state.nodes.values_mut() {
        info.zone = format!("{}/{}", cities[rng.below(4) as usize], rng.below(3));
    }
    for name in ["x", "y", "z"] {
        let mut made = Policy::default();
        let regions = cities.iter().filter(|_| rng.chance(0.6)).map(|city| city.to_string());
        made.regions = regions.collect();
        if rng.chance(0.5) {
            made.primary_region = made.regions.first().cloned().unwrap_or_default();
        }
        if rng.chance(0.3) {
            made.constraints = parse_constraints(&format!("-zone={}", rng.below(3))).unwrap();
        }
        state.placement.policies.insert(name.into(), made);
        let map = state.map.clone();
        for info in map.data_shards().iter().filter(|_| rng.chance(0.3)) {
            state.placement.assign(info.slots, Some(name));
        }
    }
    state
}

#[test]
fn random_clusters_come_to_rest_lose_nothing_and_name_what_is_unmet() {
    for seed in 0..300 {
        let mut state = random_cluster(&mut Rng::seeded(seed));
        let health = Health { alive: state.nodes.keys().copied().collect(), ..Health::default() };
        settle(&mut state, &health);
        let (fits, unmet) = (Fits::new(&state), unmet(&state, &health));
        for info in state.map.shards() {
            let nodes: BTreeSet<NodeId> = info.replicas.iter().map(|(_, node)| *node).collect();
            assert_eq!(nodes.len(), 3, "seed {seed}: {info:?}");
            let Some(fit) = fits.of(&state, info) else { continue };
            let why = unmet.get(&info.id);
            let wrong = fit.misplaced(info).is_some() || fit.lacks_leader(nodes.iter().copied());
            assert_eq!(wrong, why.is_some(), "seed {seed}: {info:?} {fit:?} {why:?}");
            let waits = why.is_some_and(|why| why.contains("waits for its turn"));
            assert!(!waits, "seed {seed}: nothing is under way: {why:?}");
            let led = info.preferred_leader().is_some_and(|node| fit.leads(node));
            let able = nodes.iter().any(|node| fit.leads(*node));
            assert_eq!(led, able, "seed {seed}: {info:?} {fit:?}");
        }
    }
}

#[test]
fn a_policy_may_ask_for_more_replicas() {
    let mut state = cluster(Policy { followers: 3, ..Policy::default() });
    let plan = repairs(&state, &all());
    assert_eq!(plan.start.len(), 1, "{plan:?}");
    assert_eq!((plan.start[0].shard, plan.start[0].reason), (ShardId(1), Reason::Missing));
    state.placement.policies.insert("eu".into(), Policy { followers: 1, ..Policy::default() });
    assert_eq!(repairs(&state, &all()).start, [], "never fewer");
}

#[test]
fn a_shard_across_an_edge_is_split_there() {
    let mut state = cluster(policy("", &["a"]));
    let slots = state.map.shard(ShardId(2)).unwrap().slots;
    let half = SlotRange { start: slots.start, end: slots.start + 100 };
    state.placement.assign(half, Some("eu"));
    assert_eq!(state.placement.edge(slots), Some(Slot(half.end as u16)));
    let wanted = Wanted { bytes_max: None, unix_ms: 1 };
    let plan = splits(&state, &all(), &BTreeMap::new(), wanted);
    let why = "another placement policy begins there".to_string();
    assert_eq!(plan.start, [(ShardId(2), Slot(half.end as u16), why)]);
    assert!(unmet(&state, &all())[&ShardId(2)].contains("it is to be split there first"));
}

#[test]
fn places_are_cut_and_replaced() {
    let range = |start, end| SlotRange { start, end };
    let mut placement = Placement::default();
    placement.policies.insert("x".into(), policy("", &["a"]));
    placement.policies.insert("y".into(), policy("", &["b"]));
    placement.assign(range(0, 300), Some("x"));
    placement.assign(range(100, 200), Some("y"));
    let known = |placement: &Placement| -> Vec<(u32, u32, String)> {
        let places = placement.places.iter();
        places.map(|place| (place.slots.start, place.slots.end, place.policy.clone())).collect()
    };
    let cut = [(0, 100, "x"), (100, 200, "y"), (200, 300, "x")];
    assert_eq!(known(&placement), cut.map(|(start, end, name)| (start, end, name.to_string())));
    assert_eq!(placement.of(range(10, 100)).unwrap().0, "x");
    assert_eq!(placement.of(range(10, 101)), None);
    assert_eq!(placement.of(range(0, 0)), None, "the meta shard");
    assert_eq!(placement.used_for("y"), Some(range(100, 200)));
    placement.assign(range(0, 250), None);
    assert_eq!(known(&placement), [(250, 300, "x".to_string())]);
    assert_eq!(placement.edge(range(0, 300)), Some(Slot(250)));
}

#[test]
fn options_are_read_checked_and_told() {
    let mut eu = policy("a", &["a", "b"]);
    eu.constraints = parse_constraints("[+region=a, -zone=2]").unwrap();
    eu.leader_constraints = parse_constraints("+zone=a/1").unwrap();
    eu.followers = 4;
    assert_eq!(eu.check(), Ok(()));
    assert_eq!(
        eu.options_text(),
        "PRIMARY_REGION=\"a\" REGIONS=\"a,b\" CONSTRAINTS=\"[+region=a,-zone=2]\" \
         LEADER_CONSTRAINTS=\"[+zone=a/1]\" FOLLOWERS=4"
    );
    assert_eq!(ZONES.map(|zone| eu.allows(zone)), [true, false, false, false, false, false]);
    assert!(eu.leads("a/1") && !eu.leads("a/3") && eu.allows("a/3"));
    assert!(policy("c", &["a"]).check().unwrap_err().contains("not one of REGIONS"));
    assert!(Policy::default().check().unwrap_err().contains("without options"));
    let many = Policy { followers: 7, ..Policy::default() };
    assert!(many.check().unwrap_err().contains("ask for 1 to 6"));
    eu.leader_constraints = parse_constraints("-region=a").unwrap();
    assert!(eu.check().unwrap_err().contains("beside its opposite"));
    let refused = |constraints: &str, leader: &str, primary: &str| {
        let mut policy = policy(primary, &[]);
        policy.constraints = parse_constraints(constraints).unwrap();
        policy.leader_constraints = parse_constraints(leader).unwrap();
        policy.check().err().unwrap_or_default()
    };
    for (constraints, leader, primary) in [
        ("+region=a,+region=b", "", ""),
        ("+region=a,+zone=b/1", "", ""),
        ("+zone=1,+zone=2", "", ""),
    ] {
        let why = refused(constraints, leader, primary);
        assert!(why.contains("no node can ever hold its replicas"), "{constraints}: {why}");
    }
    for (constraints, leader, primary) in
        [("-region=a", "", "a"), ("", "+region=b", "a"), ("+region=a", "+zone=b/1", "")]
    {
        let why = refused(constraints, leader, primary);
        assert!(why.contains("no node can ever lead"), "{constraints} {leader} {primary}: {why}");
    }
    assert_eq!(refused("+region=a,-zone=1", "+zone=2", "a"), "");
    assert_eq!(refused("-region=a,-region=b", "-zone=1", ""), "");
    let long = vec!["+region=a"; 65].join(",");
    assert!(refused(&long, "", "").contains("more than the 64"));
    for wrong in ["region=a", "+city=a", "+zone=", "+zone"] {
        assert!(parse_constraints(wrong).unwrap_err().contains("is no constraint"), "{wrong}");
    }
    assert_eq!(parse_constraints("[]"), Ok(Vec::new()));
    assert!(policy("", &["lone"]).allows("lone"), "a zone without a city is its own region");
}
