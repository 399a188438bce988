//! What the observer of a simulation sees: disks, writes, leaders, and a hash over all events.

use base::{NodeId, ReplicaId, ShardId};
use engine::SimDisk;
use parking_lot::Mutex;
use raft::log::disk::SimLogDisk;
use raft::replica_group::ReplicaGroup;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The nodes, by number.
pub const NODES: [u64; 3] = [1, 2, 3];
/// The shard that is replicated.
pub const SHARD: ShardId = ShardId(1);

/// The replica of a node.
pub fn replica(node: u64) -> ReplicaId {
    ReplicaId(10 + node)
}

/// A node's disks: they survive its crashes, but for what was not synced.
pub struct Disks {
    /// The engines'.
    pub engine: Arc<SimDisk>,
    /// The Raft log's.
    pub log: SimLogDisk,
}

/// Everything an observer remembers.
#[derive(Default)]
pub struct Observed {
    /// The next write's number.
    pub next_write: u64,
    /// Writes that were sent.
    pub sent: BTreeSet<u64>,
    /// Writes that were acknowledged, and when.
    pub acknowledged: BTreeMap<u64, Duration>,
    /// Leader seen serving in each term.
    pub leaders: BTreeMap<u64, u64>,
    /// The highest term in which any node was seen serving.
    pub serving_term: u64,
    /// Command applied at each index, and by whom first.
    pub applied: BTreeMap<u64, (Vec<u8>, u64)>,
    /// The group of each running node.
    pub groups: BTreeMap<u64, Arc<dyn ReplicaGroup>>,
    /// Power cuts so far.
    pub crashes: u64,
    /// FNV-1a over every event.
    hash: u64,
    /// Number of events.
    events: u64,
}

/// The world of one simulation.
pub struct World {
    /// For messages: how to replay.
    pub seed: u64,
    /// Disks by node.
    pub disks: BTreeMap<u64, Disks>,
    /// What was seen.
    pub observed: Mutex<Observed>,
}

/// A run in short; two runs of one seed must be equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Over every event of the run.
    pub hash: u64,
    events: u64,
    acknowledged: usize,
    terms: usize,
    crashes: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { hash, events, acknowledged, terms, crashes } = self;
        write!(
            f,
            "{acknowledged} writes acknowledged, {terms} terms, {crashes} power cuts, {events} events, hash {hash:016x}"
        )
    }
}

impl World {
    /// A world with empty disks.
    pub fn new(seed: u64) -> Arc<World> {
        let disks = NODES
            .into_iter()
            .map(|node| (node, Disks { engine: SimDisk::new(), log: SimLogDisk::new() }))
            .collect();
        let observed = Observed { hash: 0xcbf2_9ce4_8422_2325, ..Observed::default() };
        Arc::new(World { seed, disks, observed: Mutex::new(observed) })
    }

    /// Notes an event. Its text and place in the run decide the run's hash.
    pub fn event(&self, text: &str) {
        let mut observed = self.observed.lock();
        observed.events += 1;
        for byte in text.bytes().chain([b'\n']) {
            observed.hash = (observed.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if std::env::var_os("PRECINCT_TRACE").is_some() {
            eprintln!("{text}");
        }
    }

    /// The run in short.
    pub fn report(&self) -> Report {
        let observed = self.observed.lock();
        Report {
            hash: observed.hash,
            events: observed.events,
            acknowledged: observed.acknowledged.len(),
            terms: observed.leaders.len(),
            crashes: observed.crashes,
        }
    }

    /// Stops the test with a message that says how to see this again.
    pub fn fail(&self, invariant: &str, what: String) -> ! {
        panic!(
            "{invariant} is broken: {what}\nreplay: PRECINCT_TRACE=1 PRECINCT_SEED={} cargo test --release --workspace --test simulation",
            self.seed
        )
    }
}

/// The members of the group.
pub fn members() -> Vec<(ReplicaId, NodeId)> {
    NODES.into_iter().map(|node| (replica(node), NodeId(node))).collect()
}
