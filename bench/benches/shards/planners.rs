//! A round of all planners, as the node that coordinates goes it every second: repairs, evening out, splits, leaders.
//!
//! A map has at most as many data shards as there are slots; so that many are planned for, on 1,000 nodes.
//!
//! | situation | what the round finds |
//! |---|---|
//! | `even` | nothing to do |
//! | `joined` | ten nodes hold nothing, some shards are too large and some too busy |
//! | `silent` | a node has been silent for too long: its replicas are to be replaced, nothing else moves |

use crate::state::state;
use base::limits::{SPLIT_BYTES_DEFAULT, SPLIT_CPU_PERCENT_DEFAULT};
use base::{NodeId, SLOT_COUNT, ShardId, Slot, TableId};
use criterion::{Criterion, SamplingMode};
use shard_router::load::{Cut, HotSlot, ShardLoad};
use shard_router::rebalance::{Limits, Rebalance, Weights, rebalance_by_load};
use shard_router::repair::{Health, Repairs, repairs};
use shard_router::split::{Seen, ShardSize, Splits, Wanted, splits_by_load};
use shard_router::{ClusterState, leader_moves};
use std::collections::BTreeMap;

/// Nodes of the cluster.
const NODES: u64 = 1_000;
/// Those of them that have just joined.
const JOINED: u64 = 10;
/// One shard of so many is too large, and another one too busy.
const TROUBLED_EVERY: u64 = 3_000;
/// Bytes of the smallest shards; others have up to three GiB more.
const BYTES_MIN: u64 = 4 << 30;
/// Bytes of one that is too large.
const BYTES_TOO_LARGE: u64 = SPLIT_BYTES_DEFAULT + (4 << 30);
/// CPU of a quiet shard and of a busy one, thousandths of a core.
const CPU_QUIET: u32 = 20;
const CPU_BUSY: u32 = SPLIT_CPU_PERCENT_DEFAULT * 10 + 100;
/// Now, Unix milliseconds: long after every split.
const NOW: u64 = 1_800_000_000_000;

/// A round in each situation.
pub fn planners(criterion: &mut Criterion) {
    let even = World::new(NODES, Mood::Quiet);
    let plan = even.round();
    assert!(plan.repairs == Repairs::default() && plan.splits == Splits::default());
    assert!(plan.rebalance.moves.is_empty() && plan.leaders == 0, "nothing is to be done");

    let joined = World::new(NODES - JOINED, Mood::Troubled);
    let plan = joined.round();
    assert!(!plan.rebalance.moves.is_empty(), "nodes that joined get replicas");
    assert!(!plan.splits.waiting.is_empty(), "a shard of one slot waits for ever");

    let mut silent = World::new(NODES, Mood::Quiet);
    silent.health.alive.remove(&NodeId(1));
    silent.health.silent.insert(NodeId(1));
    let plan = silent.round();
    assert!(!plan.repairs.start.is_empty() && plan.rebalance.waits.is_some());
    assert!(plan.rebalance.moves.is_empty(), "repairs come first");

    let mut group = criterion.benchmark_group("shard_planners");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, world) in [("even", &even), ("joined", &joined), ("silent", &silent)] {
        group.bench_function(name, |bench| bench.iter(|| world.round()));
    }
    group.finish();
}

/// How shards are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// None is too large or too busy.
    Quiet,
    /// Some are.
    Troubled,
}

/// What the node that coordinates knows.
struct World {
    state: ClusterState,
    health: Health,
    /// Who leads.
    leaders: BTreeMap<ShardId, NodeId>,
    /// What leaders say of the sizes of shards, and of their loads.
    sizes: BTreeMap<ShardId, ShardSize>,
    loads: BTreeMap<ShardId, ShardLoad>,
}

/// What a round finds.
struct Plan {
    repairs: Repairs,
    rebalance: Rebalance,
    splits: Splits,
    /// Leaders that are to go to another node.
    leaders: usize,
}

impl World {
    /// All shards on the first `holders` nodes.
    fn new(holders: u64, mood: Mood) -> World {
        let state = state(NODES, holders, SLOT_COUNT);
        let health = Health { alive: state.nodes.keys().copied().collect(), ..Health::default() };
        let shards = || state.map.shards().iter();
        let leaders = shards().filter_map(|info| Some((info.id, info.preferred_leader()?)));
        let troubled = |id: ShardId, rest| {
            mood == Mood::Troubled && id != ShardId::META && id.0 % TROUBLED_EVERY == rest
        };
        let sizes = shards().map(|info| {
            // Equal for as many shards in a row as there are holders: so nodes stay even.
            let usual = BYTES_MIN + ((info.id.0 / holders % 4) << 30);
            let bytes = if troubled(info.id, 1) { BYTES_TOO_LARGE } else { usual };
            (info.id, ShardSize { bytes, has_foreign: false })
        });
        let loads = shards().map(|info| {
            let busy = troubled(info.id, 2);
            (info.id, load(info.slots.start, if busy { CPU_BUSY } else { CPU_QUIET }))
        });
        let (leaders, sizes, loads) = (leaders.collect(), sizes.collect(), loads.collect());
        World { state, health, leaders, sizes, loads }
    }

    /// What the coordinator does with what it knows (`server/src/coordinator.rs`), but for carrying it out.
    fn round(&self) -> Plan {
        let (state, health) = (&self.state, &self.health);
        let repairs = repairs(state, health);
        let bytes = self.sizes.iter().map(|(shard, size)| (*shard, size.bytes)).collect();
        let cpu = self.loads.iter().map(|(shard, load)| (*shard, load.cpu)).collect();
        let weights = Weights { bytes: &bytes, cpu: &cpu };
        let rebalance = rebalance_by_load(state, health, weights, Limits::of(state.rebalance));
        let seen = Seen { sizes: &self.sizes, loads: &self.loads };
        let wanted = Wanted { bytes_max: Some(SPLIT_BYTES_DEFAULT), unix_ms: NOW };
        let cpu_max = Some(SPLIT_CPU_PERCENT_DEFAULT * 10);
        let splits = splits_by_load(state, health, seen, wanted, cpu_max);
        let leaders = leader_moves(state, &self.leaders, &health.alive).len();
        Plan { repairs, rebalance, splits, leaders }
    }
}

/// The load of a shard that begins with a slot.
fn load(first: u32, cpu: u32) -> ShardLoad {
    let slot = Slot(u16::try_from(first).unwrap_or_default());
    let table = TableId::FIRST_USER;
    ShardLoad {
        reads: 1_000,
        keys_read: 1_000,
        writes: 100,
        cpu,
        cpu_least: cpu,
        samples: 256,
        hottest: Some(HotSlot { slot, permille: 40, table, by_writes: false }),
        table: Some((table, 900)),
        cut: Some(Cut { at: slot, below: 500 }),
        ..ShardLoad::default()
    }
}
