//! What happens to a simulated cluster, and what is asked of it afterwards.

use super::measure::Spread;
use super::planner::Planner;
use super::report::Report;
use super::world::{Event, Founders, World, zone_of};
use base::limits::SHARDS_MAX;
use base::{NodeId, ShardId, SlotRange, SystemClock};
use shard_router::policy::region_of;
use std::time::Duration;

/// Bytes of a shard where all are alike.
const SHARD_BYTES: u64 = 8 << 30;
/// When the first thing happens.
const BEGINS: Duration = Duration::from_secs(60);
/// Shards from which ends of jobs are gathered, and for how long.
const GATHER: [(u32, Duration); 2] =
    [(20_000, Duration::from_secs(30)), (200, Duration::from_secs(5))];
/// Sizes of shards follow this many ranks of Zipf's law, again and again.
const ZIPF_RANKS: u64 = 1000;
/// Bytes of the largest.
const ZIPF_LARGEST: f64 = (64_u64 << 30) as f64;
/// Size to which a shard grows that is to be split: above `SPLIT_BYTES_DEFAULT`.
const GROWN_BYTES: u64 = 20 << 30;
/// Outages of a flapping node.
const FLAPS: u32 = 10;
/// How long each is: less than the cluster waits.
const FLAP: Duration = Duration::from_secs(120);

/// The city that shards are pinned to.
const PINNED_CITY: &str = "north";
/// How long after that its nodes go: some shards have moved by then, others not.
const CITY_GOES: Duration = Duration::from_secs(600);

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A node goes for good.
    NodeLoss,
    /// All nodes of one zone do.
    ZoneLoss,
    /// All nodes of one city do.
    CityLoss,
    /// A tenth more nodes join.
    Join,
    /// One node in twenty is decommissioned.
    Drain,
    /// Sizes of shards become known, and they differ by Zipf's law.
    Zipf,
    /// Disks and links of several kinds; one node in twenty is decommissioned.
    Disks,
    /// A node goes and comes again and again, each time for less than the cluster waits.
    Flapping,
    /// Every shard shall have two replicas more.
    Replicas,
    /// Shards grow and are split.
    Growth,
    /// A quarter of the shards is pinned to one of three cities, which goes and comes back while they move there.
    Policy,
}

/// How large the cluster is, and the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Nodes.
    pub nodes: u64,
    /// Data shards.
    pub shards: u32,
    /// Replicas of each.
    pub replication: u32,
    /// Decides whatever is random.
    pub seed: u64,
}

impl Scenario {
    /// All of them, in the order of the table.
    pub const ALL: [Scenario; 11] = [
        Scenario::NodeLoss,
        Scenario::ZoneLoss,
        Scenario::CityLoss,
        Scenario::Join,
        Scenario::Drain,
        Scenario::Zipf,
        Scenario::Disks,
        Scenario::Flapping,
        Scenario::Replicas,
        Scenario::Growth,
        Scenario::Policy,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::NodeLoss => "node-loss",
            Scenario::ZoneLoss => "zone-loss",
            Scenario::CityLoss => "city-loss",
            Scenario::Join => "join",
            Scenario::Drain => "drain",
            Scenario::Zipf => "zipf",
            Scenario::Disks => "disks",
            Scenario::Flapping => "flapping",
            Scenario::Replicas => "replicas",
            Scenario::Growth => "growth",
            Scenario::Policy => "policy",
        }
    }

    /// What happens.
    pub fn what(self) -> &'static str {
        match self {
            Scenario::NodeLoss => "a node goes for good",
            Scenario::ZoneLoss => "a zone of a city with two goes for good",
            Scenario::CityLoss => "a city of three goes for good",
            Scenario::Join => "a tenth more nodes join",
            Scenario::Drain => "one node in twenty is decommissioned",
            Scenario::Zipf => "sizes of shards differ by Zipf's law",
            Scenario::Disks => "small, large and slow disks; one node in twenty is decommissioned",
            Scenario::Flapping => "a node goes and comes ten times",
            Scenario::Replicas => "every shard gets two replicas more",
            Scenario::Growth => "shards grow and are split",
            Scenario::Policy => {
                "a quarter of the shards is pinned to a city, which is lost and back"
            }
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Scenario> {
        Scenario::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// The number of shards that it is run with: a cluster that splits shards has fewer than it may come to have.
    fn shards(self, wanted: u32) -> u32 {
        match self {
            Scenario::Growth => wanted.min(SHARDS_MAX as u32 / 2),
            _ => wanted,
        }
    }
}

/// Runs a scenario.
///
/// # Errors
/// A sentence when a cluster cannot be of this size.
pub fn run(scenario: Scenario, size: Size, planner: &dyn Planner) -> Result<Report, String> {
    let clock = SystemClock::shared();
    let began = clock.monotonic();
    let shards = scenario.shards(size.shards);
    let founders = Founders {
        nodes: size.nodes,
        shards,
        replication: size.replication,
        zones: true,
        shard_bytes: SHARD_BYTES,
        seed: size.seed,
    };
    let mut world = World::found(planner, founders).map_err(|error| error.to_string())?;
    let gather = GATHER.into_iter().find(|(least, _)| shards >= *least);
    world.gather = gather.map_or(Duration::ZERO, |(_, gather)| gather);
    // What the first map leaves to be evened out is no part of the scenario.
    world.settle();
    arrange(scenario, size, &mut world);
    world.mark();
    world.settle();
    let mut report = report(scenario, size, &world);
    report.shards = shards;
    report.wall = clock.monotonic().saturating_sub(began);
    Ok(report)
}

/// Puts a scenario's events into the queue, and says what is special about its nodes.
fn arrange(scenario: Scenario, size: Size, world: &mut World<'_>) {
    let nodes = || (1..=size.nodes).map(NodeId);
    let part = |one_in: u64| (size.nodes / one_in).max(1);
    match scenario {
        Scenario::NodeLoss => world.after(BEGINS, Event::Down(NodeId(size.nodes / 2))),
        Scenario::ZoneLoss => {
            let zone = zone_of(1);
            lose(world, nodes().filter(|node| zone_of(node.0) == zone));
        }
        Scenario::CityLoss => {
            lose(world, nodes().filter(|node| zone_of(node.0).starts_with("west/")));
        }
        Scenario::Join => (0..part(10)).for_each(|_| world.after(BEGINS, Event::Join)),
        Scenario::Drain => decommission(world, part(20)),
        Scenario::Zipf => {
            world.by_bytes = true;
            let mut ranks: Vec<u64> =
                (0..=u64::from(size.shards)).map(|n| n % ZIPF_RANKS).collect();
            shuffle(world, &mut ranks);
            let shards: Vec<ShardId> = world.sizes.keys().copied().collect();
            for (shard, rank) in shards.into_iter().zip(ranks) {
                let bytes = ZIPF_LARGEST / ((rank + 1) as f64).sqrt();
                world.after(BEGINS, Event::Resize(shard, bytes as u64));
            }
        }
        Scenario::Disks => {
            let loads = world.replicas();
            for (node, replicas) in loads {
                // Room for a quarter more, for three times as much, and that on a slow link.
                let (parts, slow) = [(5, 1), (12, 1), (12, 4)][node.0 as usize / 6 % 3];
                world.set_capacity(node, replicas * SHARD_BYTES / 4 * parts);
                if let Some(machine) = world.machines.get_mut(&node) {
                    machine.bytes_per_second /= slow;
                }
            }
            decommission(world, part(20));
        }
        Scenario::Flapping => {
            let node = NodeId(size.nodes / 2);
            for flap in 0..FLAPS {
                let at = BEGINS + FLAP * 2 * flap;
                world.after(at, Event::Down(node));
                world.after(at + FLAP, Event::Up(node));
            }
        }
        Scenario::Replicas => world.after(BEGINS, Event::Replicate(size.replication + 2)),
        Scenario::Growth => {
            world.splits = true;
            // Those that the first nodes lead, so that their nodes come to hold more than others.
            let first = part(10);
            let leads = |shard: &ShardId| world.leaders.get(shard).is_some_and(|n| n.0 <= first);
            let shards = world.sizes.keys().copied().filter(|shard| *shard != ShardId::META);
            let grown: Vec<ShardId> = shards.filter(leads).collect();
            for shard in grown {
                world.after(BEGINS, Event::Resize(shard, GROWN_BYTES));
            }
        }
        Scenario::Policy => {
            let slots = first_quarter(world);
            world.after(BEGINS, Event::Pin(slots, PINNED_CITY));
            let pinned = nodes().filter(|node| region_of(&zone_of(node.0)) == PINNED_CITY);
            for node in pinned {
                world.after(BEGINS + CITY_GOES, Event::Down(node));
                world.after(BEGINS + CITY_GOES + FLAP, Event::Up(node));
            }
        }
    }
}

/// The slots of the first quarter of the data shards.
fn first_quarter(world: &World<'_>) -> SlotRange {
    let shards = world.state.map.shards().iter().filter(|info| info.id != ShardId::META);
    let mut ranges: Vec<SlotRange> = shards.map(|info| info.slots).collect();
    ranges.sort();
    let last = ranges.get((ranges.len() / 4).saturating_sub(1));
    SlotRange { start: 0, end: last.map_or(0, |last| last.end) }
}

fn lose(world: &mut World<'_>, nodes: impl Iterator<Item = NodeId>) {
    for node in nodes {
        world.after(BEGINS, Event::Down(node));
    }
}

fn decommission(world: &mut World<'_>, count: u64) {
    for node in (1..=count).map(NodeId) {
        world.after(BEGINS, Event::Decommission(node));
    }
}

/// Any order (Fisher and Yates, as Durstenfeld has it).
fn shuffle(world: &mut World<'_>, items: &mut [u64]) {
    for last in (1..items.len()).rev() {
        let other = world.rng().below(last as u64 + 1) as usize;
        items.swap(last, other);
    }
}

/// What came of it.
fn report(scenario: Scenario, size: Size, world: &World<'_>) -> Report {
    let tally = &world.tally;
    let wrong = world.wrong();
    let mut sentences = tally.broken.1.clone();
    sentences.extend(wrong.iter().take(5).cloned());
    let mut rounds = tally.rounds.clone();
    rounds.sort();
    let round_p99 = rounds.len().checked_sub(1).map(|last| rounds[last - last / 100]);
    let leads = world.leads();
    let spread: Spread = world.evenness();
    let began = world.marked_at + BEGINS;
    Report {
        scenario: scenario.name(),
        nodes: size.nodes,
        shards: size.shards,
        replication: size.replication,
        took: world.acted_at.saturating_sub(began),
        moves: tally.moves,
        moved: if world.by_bytes { tally.bytes } else { tally.moves },
        bound: world.lower_bound(),
        by_bytes: world.by_bytes,
        moves_per_shard: tally.by_shard.values().copied().max().unwrap_or_default(),
        restless: world.restless(),
        taken_back: tally.taken_back,
        leader_moves: tally.leader_moves,
        splits: tally.splits,
        spread,
        variation_least: world.variation_least(),
        leads: (
            leads.values().copied().min().unwrap_or_default(),
            leads.values().copied().max().unwrap_or_default(),
        ),
        violations: tally.broken.0 + wrong.len() as u64,
        sentences,
        rounds: rounds.len(),
        round_p99: round_p99.unwrap_or_default(),
        wall: Duration::ZERO,
        memory: memory(),
        hash: world.hash(),
    }
}

/// Most memory that this process has had, bytes; 0 where the system does not say.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
