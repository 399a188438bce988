//! Every scenario on a small cluster, the same run twice, and planners that are worse than the product's.

use super::scenario::{Scenario, Size, run};
use super::{Event, Founders, Planner, RealPlanner, Report, World};
use base::limits::{DEAD_AFTER_DEFAULT, TARGET_BACK_OFF};
use base::{NodeId, ShardId};
use shard_router::policy::PolicyMoves;
use shard_router::rebalance::{Limits, Rebalance, ReplicaMove, rebalance};
use shard_router::repair::{Health, Repairs, repairs};
use shard_router::{ClusterState, NodeState};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

const SMALL: Size = Size { nodes: 30, shards: 1000, replication: 3, seed: 1 };

fn small(scenario: Scenario, planner: &dyn Planner) -> Report {
    run(scenario, SMALL, planner).expect("a cluster of this size")
}

/// Runs a scenario that must hold every bar.
fn holds(scenario: Scenario) -> Report {
    let report = small(scenario, &RealPlanner);
    println!("{report}");
    assert_eq!(report.missed(), Vec::<String>::new(), "{report}\n{:?}", report.sentences);
    report
}

#[test]
fn what_a_lost_node_held_is_made_anew_once() {
    let report = holds(Scenario::NodeLoss);
    assert!(report.moves >= 95 && report.moves == report.bound, "{report:?}");
    assert!(report.took.as_secs() > 300, "it is waited for");
}

#[test]
fn a_lost_zone_is_made_anew_in_its_city() {
    let report = holds(Scenario::ZoneLoss);
    assert!(report.moves >= 480, "{report:?}");
}

#[test]
fn a_lost_city_is_made_anew_in_the_others() {
    let report = holds(Scenario::CityLoss);
    assert!((1001..1050).contains(&report.moves), "each shard had one replica there: {report:?}");
}

#[test]
fn nodes_that_join_take_their_share() {
    let report = holds(Scenario::Join);
    assert!(report.moves >= 260, "{report:?}");
    assert!(report.leads.1 - report.leads.0 <= 1, "{report:?}");
}

#[test]
fn decommissioned_nodes_are_emptied() {
    holds(Scenario::Drain);
}

#[test]
fn disks_of_several_kinds_are_never_overfull() {
    holds(Scenario::Disks);
}

/// Six nodes, 40 shards of 8 GiB: copying one takes more than a minute.
const FEW: Founders =
    Founders { nodes: 6, shards: 40, replication: 3, zones: false, shard_bytes: 8 << 30, seed: 1 };

/// Replicas that a node holds.
fn held(world: &World<'_>, node: NodeId) -> usize {
    world.state.map.shards().iter().filter(|info| info.is_on(node)).count()
}

#[test]
fn what_moves_to_a_disk_that_fills_up_is_taken_back_until_there_is_room_for_a_while() {
    let mut world = World::found(&RealPlanner, FEW).unwrap();
    let joined = NodeId(7);
    world.after(Duration::ZERO, Event::Join);
    world.after(Duration::from_secs(60), Event::DiskFull(joined));
    assert!(world.settle(), "{:?}", world.state.jobs);
    assert_eq!((world.tally.taken_back, held(&world, joined)), (1, 0));
    world.mark();
    world.after(Duration::ZERO, Event::DiskRoom(joined));
    assert!(world.settle(), "{:?}", world.state.jobs);
    assert!(held(&world, joined) >= 17, "{}", held(&world, joined));
    assert!(world.acted_at - world.marked_at >= TARGET_BACK_OFF);
    assert_eq!((world.tally.taken_back, world.tally.broken.0), (0, 0), "{:?}", world.tally.broken);
}

#[test]
fn repairs_towards_a_disk_that_fills_up_go_elsewhere() {
    let mut world = World::found(&RealPlanner, FEW).unwrap();
    let (dead, full) = (NodeId(1), NodeId(2));
    let before = held(&world, full);
    world.after(Duration::ZERO, Event::Down(dead));
    world.after(DEAD_AFTER_DEFAULT + Duration::from_secs(40), Event::DiskFull(full));
    assert!(world.settle(), "{:?}", world.state.jobs);
    assert!(world.tally.taken_back > 0, "something was on its way");
    assert!(held(&world, full) <= before, "{before}, then {}", held(&world, full));
    assert_eq!(held(&world, dead), 0);
    let shards = world.state.map.shards();
    assert!(shards.iter().all(|info| info.replicas.len() == 3));
    assert_eq!(world.tally.broken.0, 0, "{:?}", world.tally.broken);
}

#[test]
fn a_node_that_is_soon_back_moves_nothing() {
    let report = holds(Scenario::Flapping);
    assert_eq!((report.moves, report.bound, report.taken_back), (0, 0, 0));
    assert!(report.leader_moves > 0, "its leaders come back to it");
}

#[test]
fn two_replicas_more_are_made_once_each() {
    let report = holds(Scenario::Replicas);
    assert_eq!((report.moves, report.moves_per_shard), (2002, 2));
}

#[test]
fn shards_that_grow_are_split_and_evened_out() {
    let report = small(Scenario::Growth, &RealPlanner);
    println!("{report}");
    assert!(report.splits >= 90, "{report:?}");
    assert_eq!(report.violations, 0, "{:?}", report.sentences);
    assert!(report.spread.variation <= 5.0 && report.moves_per_shard <= 2, "{report:?}");
}

#[test]
fn shards_of_many_sizes_are_evened_out_by_bytes() {
    let report = small(Scenario::Zipf, &RealPlanner);
    println!("{report}");
    assert!(report.by_bytes && report.moves > 0, "{report:?}");
    assert_eq!(report.violations, 0, "{:?}", report.sentences);
    assert!(report.spread.variation <= 5.0 && report.moves_per_shard <= 2, "{report:?}");
}

#[test]
fn shards_pinned_to_a_city_gather_there_though_it_is_gone_for_a_while() {
    let report = small(Scenario::Policy, &RealPlanner);
    println!("{report}");
    assert_eq!(report.violations, 0, "{:?}", report.sentences);
    assert!(report.moves >= 500, "two replicas of each pinned shard were elsewhere: {report:?}");
    assert!(report.leader_moves > 0, "its leaders come back to it");
    assert!(report.spread.variation <= 5.0, "{report:?}");
}

/// Knows no placement policies.
struct Careless;

impl Planner for Careless {
    fn policy_moves(&self, _: &ClusterState, _: &Health, _: Limits) -> PolicyMoves {
        PolicyMoves::default()
    }
}

#[test]
fn policies_that_nobody_keeps_are_seen() {
    let report = small(Scenario::Policy, &Careless);
    assert!(report.violations >= 250, "{report:?}");
    let seen = report.sentences.iter().any(|what| what.contains("which policy north forbids"));
    assert!(seen, "{:?}", report.sentences);
}

#[test]
fn a_seed_decides_everything() {
    for scenario in [Scenario::CityLoss, Scenario::Zipf, Scenario::Policy] {
        let (one, two) = (small(scenario, &RealPlanner), small(scenario, &RealPlanner));
        assert_eq!((one.hash, one.moves, one.took), (two.hash, two.moves, two.took));
    }
    let other = run(Scenario::Zipf, Size { seed: 2, ..SMALL }, &RealPlanner).unwrap();
    assert_ne!(small(Scenario::Zipf, &RealPlanner).hash, other.hash);
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let many = Size { shards: 100_000, ..SMALL };
    let why = run(Scenario::NodeLoss, many, &RealPlanner).unwrap_err();
    assert!(why.contains("ask for 1 to 65536"), "{why}");
}

/// Puts successors beside the replicas that stay.
struct Crowds;

impl Planner for Crowds {
    fn repairs(&self, state: &ClusterState, health: &Health) -> Repairs {
        let mut plan = repairs(state, health);
        for new in &mut plan.start {
            let info = state.map.shard(new.shard).expect("a shard of the map");
            let stays = info.replicas.iter().find(|(replica, _)| Some(*replica) != new.remove);
            let zone = stays.map(|(_, node)| &state.nodes[node].zone);
            let beside = state
                .nodes
                .iter()
                .find(|(node, info)| Some(&info.zone) == zone && health.alive.contains(node));
            let free = beside.map(|(node, _)| *node).filter(|node| !info.is_on(*node));
            new.target = free.unwrap_or(new.target);
        }
        plan
    }
}

#[test]
fn replicas_that_come_together_in_one_zone_are_seen() {
    let report = small(Scenario::NodeLoss, &Crowds);
    assert!(report.violations > 0);
    let seen = report.sentences.iter().any(|what| what.contains("two replicas in one zone"));
    assert!(seen, "{:?}", report.sentences);
    assert!(report.missed()[0].contains("rules broken"), "{:?}", report.missed());
}

/// Mends nothing.
struct Idle;

impl Planner for Idle {
    fn repairs(&self, _state: &ClusterState, _health: &Health) -> Repairs {
        Repairs::default()
    }
}

#[test]
fn shards_that_nobody_mends_are_seen() {
    let report = small(Scenario::NodeLoss, &Idle);
    assert_eq!(report.moves, 0);
    assert!(report.violations >= 95, "{report:?}");
    assert!(report.sentences[0].contains("takes no part"), "{:?}", report.sentences);
}

/// Begins everything twice.
struct Hasty;

impl Planner for Hasty {
    fn repairs(&self, state: &ClusterState, health: &Health) -> Repairs {
        let mut plan = repairs(state, health);
        plan.start.extend(plan.start.clone());
        plan
    }
}

#[test]
fn a_second_change_of_one_shard_is_seen() {
    let report = small(Scenario::NodeLoss, &Hasty);
    assert!(report.sentences[0].contains("changes already"), "{:?}", report.sentences);
    assert_eq!(report.moves, report.bound, "and not carried out");
}

/// Moves one shard to and fro for a while, once the lost node is replaced.
struct Restless(Cell<u32>);

impl Planner for Restless {
    fn rebalance(
        &self,
        state: &ClusterState,
        health: &Health,
        bytes: &BTreeMap<ShardId, u64>,
        limits: Limits,
    ) -> Rebalance {
        let mut plan = rebalance(state, health, bytes, limits);
        let after = !health.silent.is_empty() && plan.waits.is_none();
        if after && state.jobs.is_empty() && self.0.get() > 0 {
            self.0.set(self.0.get() - 1);
            let info = state.map.shard(ShardId(1)).expect("shard 1");
            let (replica, from) = info.replicas[0];
            let zone = &state.nodes[&from].zone;
            let others = state.nodes.iter().filter(|(node, info)| {
                info.zone == *zone && info.state == NodeState::Active && **node != from
            });
            let to: Option<NodeId> = others.map(|(node, _)| *node).next();
            let next = to.map(|to| ReplicaMove {
                shard: info.id,
                replica,
                from,
                to,
                why: "for nothing".into(),
            });
            plan.moves = next.into_iter().collect();
            plan.leaders.clear();
        }
        plan
    }
}

#[test]
fn moves_to_and_fro_are_seen() {
    let report = small(Scenario::NodeLoss, &Restless(Cell::new(6)));
    assert!(report.moves_per_shard >= 5, "{report:?}");
    let missed = report.missed();
    assert!(missed.iter().any(|what| what.contains("a shard moved")), "{missed:?}");
}
