//! What the observer of a simulation sees: disks, writes, leaders, and a hash over all events.

use super::net::LinkReset;
use super::plan::Plan;
use base::{NodeId, ReplicaId, Rng, ShardId};
use engine::SimDisk;
use parking_lot::Mutex;
use raft::log::disk::SimLogDisk;
use raft::replica_group::ReplicaGroup;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The shard that is replicated.
pub const SHARD: ShardId = ShardId(1);

/// The replica of a node at the beginning.
pub fn first_replica(node: u64) -> ReplicaId {
    ReplicaId(10 + node)
}

/// A node's disks: they survive its crashes, but for what was not synced.
#[derive(Clone)]
pub struct Disks {
    /// The engines'.
    pub engine: Arc<SimDisk>,
    /// The Raft log's.
    pub log: SimLogDisk,
}

impl Disks {
    /// Empty disks.
    fn new() -> Disks {
        Disks { engine: SimDisk::new(), log: SimLogDisk::new() }
    }
}

/// A write that a client made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its number, unique in the run.
    pub number: u64,
    /// The register it sets.
    pub register: u64,
    /// The term for which it was proposed.
    pub term: u64,
}

/// Everything an observer remembers.
#[derive(Default)]
pub struct Observed {
    /// The last write's number.
    pub last_write: u64,
    /// Writes that were sent.
    pub sent: BTreeSet<u64>,
    /// Writes that were acknowledged, and when.
    pub acknowledged: BTreeMap<u64, Duration>,
    /// Leader seen serving in each term.
    pub leaders: BTreeMap<u64, u64>,
    /// The highest term in which any node was seen serving.
    pub serving_term: u64,
    /// Write applied at each index, and by whom first.
    pub applied: BTreeMap<u64, (Write, u64)>,
    /// Index of each write that was applied anywhere.
    pub index_of: BTreeMap<u64, u64>,
    /// Per register: the index that every read which begins now must see.
    pub registers: BTreeMap<u64, u64>,
    /// The group of each running node.
    pub groups: BTreeMap<u64, Arc<dyn ReplicaGroup>>,
    /// The highest term that each node has shown to others in its replica's lives.
    pub promised: BTreeMap<u64, u64>,
    /// Check sum of each log entry ever seen on a disk, by index and term.
    pub entries: BTreeMap<(u64, u64), u64>,
    /// Term of the entry before each log entry ever seen on a disk, by index and term.
    pub predecessors: BTreeMap<(u64, u64), u64>,
    /// Nodes that lost something they had acknowledged, and what.
    pub lost: BTreeMap<u64, String>,
    /// Nodes whose replica was refused at a start.
    pub recovering: BTreeSet<u64>,
    /// Nodes whose disks were wiped: they hold a new replica that is no member.
    pub wiped: BTreeSet<u64>,
    /// Leadership to give away: from, to.
    pub transfers: Vec<(u64, u64)>,
    /// How often what happened, and how often which invariant was checked on something.
    pub counts: BTreeMap<&'static str, u64>,
    /// FNV-1a over every event.
    hash: u64,
    /// Number of events.
    events: u64,
}

/// The world of one simulation.
pub struct World {
    /// For messages: how to replay.
    pub seed: u64,
    /// What is fixed for the run.
    pub plan: Plan,
    /// What was seen.
    pub observed: Mutex<Observed>,
    /// Disks by node.
    disks: Mutex<BTreeMap<u64, Disks>>,
    /// Resets by link.
    links: BTreeMap<(u64, u64), tokio::sync::watch::Sender<u64>>,
    /// Chance for everything beside the schedule.
    rng: Mutex<Rng>,
    /// Whether to print events.
    trace: bool,
}

impl World {
    /// A world with empty disks.
    pub fn new(seed: u64, plan: Plan) -> Arc<World> {
        let nodes: Vec<u64> = (1..=plan.nodes).collect();
        let pairs = nodes.iter().flat_map(|one| nodes.iter().map(move |two| (*one, *two)));
        Arc::new(World {
            seed,
            observed: Mutex::new(Observed { hash: 0xcbf2_9ce4_8422_2325, ..Observed::default() }),
            disks: Mutex::new(nodes.iter().map(|node| (*node, Disks::new())).collect()),
            links: pairs
                .filter(|(one, two)| one < two)
                .map(|link| (link, tokio::sync::watch::channel(0).0))
                .collect(),
            rng: Mutex::new(Rng::seeded(seed ^ 0x5eed)),
            trace: std::env::var_os("PRECINCT_TRACE").is_some(),
            plan,
        })
    }

    /// The nodes, by number.
    pub fn nodes(&self) -> Vec<u64> {
        (1..=self.plan.nodes).collect()
    }

    /// The nodes that still hold a member of the group.
    pub fn members_left(&self) -> Vec<u64> {
        let observed = self.observed.lock();
        self.nodes().into_iter().filter(|node| !observed.lost.contains_key(node)).collect()
    }

    /// A node's disks.
    pub fn disks(&self, node: u64) -> Disks {
        self.disks.lock()[&node].clone()
    }

    /// A node's replica: another one after its disks were wiped.
    pub fn replica(&self, node: u64) -> ReplicaId {
        match self.observed.lock().wiped.contains(&node) {
            true => ReplicaId(100 + node),
            false => first_replica(node),
        }
    }

    /// Replaces a node's disks by empty ones.
    pub fn wipe(&self, node: u64) {
        self.disks.lock().insert(node, Disks::new());
        let mut observed = self.observed.lock();
        observed.wiped.insert(node);
        observed.lost.insert(node, "its disks".to_string());
        observed.promised.remove(&node);
    }

    /// Tells when the link between two nodes is reset.
    pub fn link_reset(&self, one: u64, two: u64) -> LinkReset {
        self.links[&(one.min(two), one.max(two))].subscribe()
    }

    /// Breaks the connections between two nodes.
    pub fn reset_link(&self, one: u64, two: u64) {
        self.links[&(one.min(two), one.max(two))].send_modify(|resets| *resets += 1);
    }

    /// A new stream of chance.
    pub fn draw(&self) -> Rng {
        Rng::seeded(self.rng.lock().next_u64())
    }

    /// Counts something.
    pub fn count(&self, what: &'static str, by: u64) {
        *self.observed.lock().counts.entry(what).or_default() += by;
    }

    /// Notes an event. Its text and place in the run decide the run's hash.
    pub fn event(&self, text: &str) {
        let mut observed = self.observed.lock();
        observed.events += 1;
        for byte in text.bytes().chain([b'\n']) {
            observed.hash = (observed.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.trace {
            eprintln!("{text}");
        }
    }

    /// The run in short, as one line of JSON. Two runs of one seed must give the same line.
    pub fn report(&self, simulated: Duration) -> String {
        let observed = self.observed.lock();
        let mut counts = observed.counts.clone();
        counts.insert("simulated seconds", simulated.as_secs());
        counts.insert("acknowledged writes", observed.acknowledged.len() as u64);
        counts.insert("terms with a leader", observed.leaders.len() as u64);
        counts.insert("events", observed.events);
        let hash = format!("{:016x}", observed.hash);
        serde_json::json!({ "hash": hash, "counts": counts }).to_string()
    }

    /// Ends the run with a message that says how to see this again.
    pub fn fail(&self, invariant: &str, what: String) -> ! {
        println!(
            "\n{}{invariant}: {what}\nreplay: PRECINCT_TRACE=1 PRECINCT_SEED={} cargo test --release --workspace --test simulation -- --nocapture",
            chaos::seeds::BROKEN,
            self.seed
        );
        // Not a panic: in a task of a simulated node that would go by unseen.
        std::process::exit(chaos::seeds::BROKEN_STATUS)
    }

    /// The members of the group at the beginning.
    pub fn members(&self) -> Vec<(ReplicaId, NodeId)> {
        self.nodes().into_iter().map(|node| (first_replica(node), NodeId(node))).collect()
    }
}
