//! A cluster in virtual time: its records, its machines, what is under way, and what happens next.
//!
//! Events wait in a queue in the order of their times. One that the planners should see asks for a look; the coordinator
//! looks at the next multiple of its pause, and again as long as a look changes something that the next one can go on from.
//! Between looks nothing is simulated, so a quiet day costs nothing. Ends of jobs are gathered for a while before a look when
//! there are very many shards: a look passes over all of them.
//!
//! A transfer takes a sender and a receiver for its bytes divided by the slower one's rate, and half as long again for
//! reading them beforehand; a node sends one after another and receives one after another. A transfer whose sender goes
//! away goes on with the next leader, and keeps what it has.
//!
//! Invariants, each broken one kept as a sentence in the tally:
//! 1. A plan begins only what may be begun: one change per shard, towards an active node that answers and holds none of it,
//!    within the limits.
//! 2. Leaders go only to nodes that hold a replica.
//! 3. A disk never holds more than it can.
//! 4. No replica begins on a node whose disk has been full for too long.
//! 5. No replica begins where the shard's placement policy does not allow one.

use super::planner::Planner;
use base::limits::{
    COORDINATE_PAUSE, DEAD_AFTER_DEFAULT, SNAPSHOT_BYTES_PER_SECOND, SNAPSHOT_READ_SPEEDUP,
    SPLIT_BYTES_DEFAULT, STATUS_PAUSE, TARGET_BACK_OFF_MAX, TARGET_FULL_WAIT,
};
use base::{NodeId, ReplicaId, Rng, ShardId, SharedClock, SlotRange, SystemClock};
use shard_router::fitness::Fitness;
use shard_router::placement::initial_in_zones;
use shard_router::rebalance::Limits;
use shard_router::repair::{Health, JOBS_MAX, JOBS_PER_NODE_MAX, NewJob};
use shard_router::split::{ShardSize, Wanted};
use shard_router::{
    ClusterState, Job, JobStep, NewSplit, NodeInfo, NodeState, Policy, Reason, RebalanceSettings,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Pause of the balancer between two leaderships that a node gives away.
const BALANCE_PAUSE: Duration = Duration::from_secs(5);
/// How long replicating a split takes.
const SPLIT_TIME: Duration = Duration::from_secs(1);
/// Looks of the coordinator that a job takes beside its transfer: one for each step.
const LOOKS_BEFORE: u32 = 2;
/// The same after the transfer.
const LOOKS_AFTER: u32 = 4;
/// How long a job waits that cannot go on, for a node or a majority that is away.
const RETRY_PAUSE: Duration = Duration::from_secs(60);
/// Such waits, after which it counts as stuck: more than a month.
const RETRIES_MAX: u32 = 50_000;
/// Events after which a run counts as endless.
const EVENTS_MAX: u64 = 20_000_000;
/// Broken rules that are kept word for word.
const SENTENCES_MAX: usize = 10;
/// A disk with less than this part of it free is not well.
const RESERVE_PART: u64 = 20;
/// How often disks that were full are looked at, within the longest time for which they are left alone.
const WATCHES: u32 = 120;
/// Bytes of a disk that nobody has said anything about: it is never full.
const CAPACITY_DEFAULT: u64 = 1 << 50;
/// Unix time at which runs begin, milliseconds.
const EPOCH_UNIX_MS: u64 = 1_000_000_000_000;

/// A machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Bytes that its disk holds.
    pub capacity: u64,
    /// Bytes of Raft snapshots that it sends per second, and receives.
    pub bytes_per_second: u64,
    /// Bytes of its replicas.
    pub used: u64,
    /// Whether its process runs.
    up: bool,
    /// How often it went away.
    outages: u32,
    /// When it has sent what it has to send.
    sends_until: Duration,
    /// When it has received what is coming.
    receives_until: Duration,
}

impl Machine {
    fn new() -> Machine {
        Machine {
            capacity: CAPACITY_DEFAULT,
            bytes_per_second: SNAPSHOT_BYTES_PER_SECOND,
            used: 0,
            up: true,
            outages: 0,
            sends_until: Duration::ZERO,
            receives_until: Duration::ZERO,
        }
    }
}

/// How a cluster begins.
#[derive(Clone, Copy, Debug)]
pub struct Founders {
    /// Its nodes, numbered from 1.
    pub nodes: u64,
    /// Its data shards.
    pub shards: u32,
    /// Replicas of each.
    pub replication: u32,
    /// Whether nodes say where they are: five zones in three cities of one size.
    pub zones: bool,
    /// Bytes of each shard.
    pub shard_bytes: u64,
    /// Decides whatever is random.
    pub seed: u64,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node's process ends.
    Down(NodeId),
    /// It runs again, with its disk.
    Up(NodeId),
    /// A node joins, in the next zone where nodes say where they are.
    Join,
    /// A node's replicas are to go to others.
    Decommission(NodeId),
    /// Shards shall have so many replicas.
    Replicate(u32),
    /// A shard has grown or shrunk.
    Resize(ShardId, u64),
    /// Slots come under a placement policy: only this city may hold them.
    Pin(SlotRange, &'static str),
    /// Somebody else's files fill a node's disk: its replicas take nothing more.
    DiskFull(NodeId),
    /// It has room again.
    DiskRoom(NodeId),
    /// Nodes look at how long disks have been full.
    WatchDisks,
    /// Nobody hears a node any more since its outage of this number.
    Unheard(NodeId, u32),
    /// The same, for longer than the cluster waits.
    Silent(NodeId, u32),
    /// A new replica has everything; tried so often.
    Arrived(ShardId, ReplicaId, u32),
    /// A split is replicated.
    Divided(ShardId),
    /// The balancers of all nodes look.
    Balance,
    /// The coordinator looks.
    Look,
}

/// What has happened since the mark.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Changes of members that went through.
    pub moves: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The same by shard.
    pub by_shard: BTreeMap<ShardId, u32>,
    /// Jobs that were taken back.
    pub taken_back: u64,
    /// Leaderships that were given away.
    pub leader_moves: u64,
    /// Shards that became two.
    pub splits: u64,
    /// How long the planners took for each question, by the machine's clock.
    pub rounds: Vec<Duration>,
    /// Rules that were broken: how many, and the first ones in words.
    pub broken: (u64, Vec<String>),
}

/// A cluster.
pub struct World<'a> {
    planner: &'a dyn Planner,
    clock: SharedClock,
    rng: Rng,
    zones: bool,
    /// The cluster's records.
    pub state: ClusterState,
    /// How nodes are.
    pub health: Health,
    /// Every machine there ever was.
    pub machines: BTreeMap<NodeId, Machine>,
    /// Bytes of shards.
    pub sizes: BTreeMap<ShardId, u64>,
    /// Who leads; a shard without a majority has no leader.
    pub leaders: BTreeMap<ShardId, NodeId>,
    /// Whether planners are told the sizes of shards.
    pub by_bytes: bool,
    /// Whether shards are split that are too large.
    pub splits: bool,
    /// How long ends of jobs are gathered before a look.
    pub gather: Duration,
    /// How long a silent node is waited for.
    pub dead_after: Duration,
    /// What has happened since the mark.
    pub tally: Tally,
    /// When the mark was set.
    pub marked_at: Duration,
    /// When something was last changed.
    pub acted_at: Duration,
    /// Where replicas would be if nothing had been moved since the mark.
    pub unmoved: BTreeMap<ShardId, Vec<NodeId>>,
    pub(super) now: Duration,
    /// Nodes whose disks somebody else has filled.
    pub(super) filled: BTreeSet<NodeId>,
    fitness: Fitness,
    queue: BTreeMap<(Duration, u64), Event>,
    events: u64,
    look_at: Option<Duration>,
    balance_waits: bool,
    elections_due: bool,
    next_replica: u64,
    next_shard: u64,
}

impl<'a> World<'a> {
    /// A cluster with an even first map.
    ///
    /// # Errors
    /// `Unplaceable` when the numbers do not fit each other.
    pub fn found(planner: &'a dyn Planner, founders: Founders) -> shard_router::Result<World<'a>> {
        let info = |node: u64| NodeInfo {
            zone: if founders.zones { zone_of(node) } else { String::new() },
            ..NodeInfo::default()
        };
        let nodes: BTreeMap<NodeId, NodeInfo> =
            (1..=founders.nodes).map(|node| (NodeId(node), info(node))).collect();
        let zones = nodes.iter().map(|(node, info)| (*node, info.zone.clone())).collect();
        let plan = initial_in_zones(&zones, founders.shards, founders.replication as usize)?;
        let mut world = World {
            planner,
            clock: SystemClock::shared(),
            rng: Rng::seeded(founders.seed),
            zones: founders.zones,
            health: Health { alive: nodes.keys().copied().collect(), ..Health::default() },
            machines: nodes.keys().map(|node| (*node, Machine::new())).collect(),
            sizes: BTreeMap::new(),
            leaders: BTreeMap::new(),
            by_bytes: false,
            splits: false,
            gather: Duration::ZERO,
            dead_after: DEAD_AFTER_DEFAULT,
            tally: Tally::default(),
            marked_at: Duration::ZERO,
            acted_at: Duration::ZERO,
            unmoved: BTreeMap::new(),
            now: Duration::ZERO,
            filled: BTreeSet::new(),
            fitness: Fitness::default(),
            queue: BTreeMap::new(),
            events: 0,
            look_at: None,
            balance_waits: false,
            elections_due: false,
            next_replica: plan.next_replica.0,
            next_shard: u64::from(founders.shards) + 1,
            state: ClusterState {
                id: 1,
                version: 1,
                replication: founders.replication,
                nodes,
                map: Arc::new(plan.map),
                jobs: BTreeMap::new(),
                rebalance: RebalanceSettings::default(),
                splits: BTreeMap::new(),
                merges: BTreeMap::new(),
                origins: BTreeMap::new(),
                placement: shard_router::Placement::default(),
            },
        };
        for info in world.state.map.shards() {
            world.sizes.insert(info.id, founders.shard_bytes);
            if let Some(leader) = info.preferred_leader() {
                world.leaders.insert(info.id, leader);
            }
            for (_, node) in &info.replicas {
                if let Some(machine) = world.machines.get_mut(node) {
                    machine.used += founders.shard_bytes;
                }
            }
        }
        world.mark();
        Ok(world)
    }

    /// From here on moves are counted.
    pub fn mark(&mut self) {
        self.tally = Tally::default();
        self.marked_at = self.now;
        self.acted_at = self.now;
        let shards = self.state.map.shards().iter();
        let nodes =
            shards.map(|info| (info.id, info.replicas.iter().map(|at| at.1).collect::<Vec<_>>()));
        self.unmoved = nodes.collect();
    }

    /// The world's chance.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Lets something happen so long from now.
    pub fn after(&mut self, wait: Duration, event: Event) {
        // Events of one instant happen in the order in which they were named.
        self.events += 1;
        self.queue.insert((self.now + wait, self.events), event);
    }

    /// Lets time pass until nothing happens any more. Whether that came.
    pub fn settle(&mut self) -> bool {
        let first = self.events;
        // What was there before may want something, too.
        self.look_soon(Duration::ZERO);
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            self.take(event);
            if self.events - first > EVENTS_MAX {
                self.broken("the plans come to no end".into());
                return false;
            }
        }
        self.state.jobs.is_empty() && self.state.splits.is_empty()
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Down(node) => self.down(node),
            Event::Up(node) => self.up(node),
            Event::Join => self.join(),
            Event::Decommission(node) => {
                if let Some(info) = self.state.nodes.get_mut(&node) {
                    info.state = NodeState::Decommissioning;
                }
                self.look_soon(Duration::ZERO);
                self.balance_soon();
            }
            Event::Replicate(replicas) => {
                self.state.replication = replicas;
                self.look_soon(Duration::ZERO);
            }
            Event::Resize(shard, bytes) => self.resize(shard, bytes),
            Event::Pin(slots, city) => {
                let policy = Policy { regions: vec![city.to_string()], ..Policy::default() };
                self.state.placement.policies.insert(city.to_string(), policy);
                self.state.placement.assign(slots, Some(city));
                self.look_soon(Duration::ZERO);
                self.balance_soon();
            }
            Event::DiskFull(node) => {
                self.filled.insert(node);
                self.weigh(node, |used| used);
                self.watch_disks();
                self.after(TARGET_FULL_WAIT, Event::WatchDisks);
                self.balance_soon();
            }
            Event::DiskRoom(node) => {
                self.filled.remove(&node);
                self.weigh(node, |used| used);
                self.watch_disks();
            }
            Event::WatchDisks => self.watch_disks(),
            Event::Unheard(node, outage) if self.is_away(node, outage) => {
                self.health.alive.remove(&node);
                self.elections_due = true;
                self.look_soon(Duration::ZERO);
                self.balance_soon();
            }
            Event::Silent(node, outage) if self.is_away(node, outage) => {
                self.health.silent.insert(node);
                self.look_soon(Duration::ZERO);
            }
            Event::Unheard(..) | Event::Silent(..) => {}
            Event::Arrived(shard, replica, tries) => self.arrived(shard, replica, tries),
            Event::Divided(parent) => self.divided(parent),
            Event::Balance => self.balance(),
            Event::Look if self.look_at == Some(self.now) => {
                self.look_at = None;
                self.look();
            }
            Event::Look => {}
        }
    }

    /// What every node does all the time, at the times at which it may find something.
    fn watch_disks(&mut self) {
        self.fitness.look(self.now, &self.filled);
        let barred = self.fitness.barred();
        let waits = barred.iter().any(|node| !self.filled.contains(node));
        if waits && !self.queue.values().any(|event| *event == Event::WatchDisks) {
            self.after(TARGET_BACK_OFF_MAX / WATCHES, Event::WatchDisks);
        }
        if barred != self.health.full {
            self.health.full = barred;
            self.look_soon(Duration::ZERO);
        }
    }

    fn down(&mut self, node: NodeId) {
        let Some(machine) = self.machines.get_mut(&node).filter(|machine| machine.up) else {
            return;
        };
        machine.up = false;
        machine.outages += 1;
        let outage = machine.outages;
        self.after(STATUS_PAUSE, Event::Unheard(node, outage));
        self.after(self.dead_after, Event::Silent(node, outage));
    }

    fn up(&mut self, node: NodeId) {
        let Some(machine) = self.machines.get_mut(&node) else { return };
        machine.up = true;
        self.health.alive.insert(node);
        self.health.silent.remove(&node);
        // A shard that had no majority may have one again.
        self.elections_due = true;
        self.look_soon(Duration::ZERO);
        self.balance_soon();
    }

    fn is_away(&self, node: NodeId, outage: u32) -> bool {
        self.machines.get(&node).is_some_and(|machine| !machine.up && machine.outages == outage)
    }

    /// Whether a node's process runs.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.machines.get(&node).is_some_and(|machine| machine.up)
    }

    fn join(&mut self) {
        let number = self.state.nodes.keys().last().map_or(1, |last| last.0 + 1);
        let zone = if self.zones { zone_of(number) } else { String::new() };
        let node = NodeId(number);
        self.state.nodes.insert(node, NodeInfo { zone, ..NodeInfo::default() });
        self.machines.insert(node, Machine::new());
        self.health.alive.insert(node);
        self.look_soon(Duration::ZERO);
    }

    fn resize(&mut self, shard: ShardId, bytes: u64) {
        let before = self.sizes.insert(shard, bytes).unwrap_or_default();
        let nodes = self.state.map.shard(shard).map_or(&[][..], |info| info.replicas.as_slice());
        let nodes: Vec<NodeId> = nodes.iter().map(|(_, node)| *node).collect();
        for node in nodes {
            self.weigh(node, |used| used.saturating_sub(before).saturating_add(bytes));
        }
        self.look_soon(Duration::ZERO);
    }

    /// Changes what a disk holds.
    pub(super) fn weigh(&mut self, node: NodeId, change: impl FnOnce(u64) -> u64) {
        let Some(machine) = self.machines.get_mut(&node) else { return };
        machine.used = change(machine.used);
        let (used, capacity) = (machine.used, machine.capacity);
        if used > capacity - capacity / RESERVE_PART || self.filled.contains(&node) {
            self.health.sick.insert(node);
        } else {
            self.health.sick.remove(&node);
        }
        if used > capacity {
            self.broken(format!("the disk of {node} holds {used} bytes of {capacity}"));
        }
    }

    /// Says what a disk holds at most.
    pub fn set_capacity(&mut self, node: NodeId, capacity: u64) {
        if let Some(machine) = self.machines.get_mut(&node) {
            machine.capacity = capacity;
        }
        self.weigh(node, |used| used);
    }

    /// Bytes of a shard.
    pub(super) fn size(&self, shard: ShardId) -> u64 {
        self.sizes.get(&shard).copied().unwrap_or_default()
    }

    /// Writes down that a rule was broken.
    pub(super) fn broken(&mut self, what: String) {
        let (count, sentences) = &mut self.tally.broken;
        *count += 1;
        if sentences.len() < SENTENCES_MAX {
            sentences.push(format!("{what}, after {:?}", self.now.saturating_sub(self.marked_at)));
        }
    }

    /// Who leads a shard; an election when the one that led is away. `None` without a majority.
    pub(super) fn leader_of(&mut self, shard: ShardId) -> Option<NodeId> {
        let map = self.state.map.clone();
        let info = map.shard(shard)?;
        let up = info.replicas.iter().map(|(_, node)| *node).filter(|node| self.is_up(*node));
        let up: Vec<NodeId> = up.collect();
        if up.len() <= info.replicas.len() / 2 {
            self.leaders.remove(&shard);
            return None;
        }
        match self.leaders.get(&shard).filter(|leader| up.contains(leader)) {
            Some(leader) => Some(*leader),
            None => {
                let elected = *self.rng.pick(&up)?;
                self.leaders.insert(shard, elected);
                Some(elected)
            }
        }
    }

    /// Elections of all shards whose leaders are away.
    fn elect(&mut self) {
        self.elections_due = false;
        let map = self.state.map.clone();
        for info in map.shards() {
            let leads = self.leaders.get(&info.id);
            if leads.is_none_or(|leader| !self.is_up(*leader)) {
                self.leader_of(info.id);
            }
        }
    }

    /// Unix time, milliseconds.
    fn unix_ms(&self) -> u64 {
        EPOCH_UNIX_MS + u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX / 2)
    }

    /// Lets the coordinator look at its next time, so long from now.
    pub(super) fn look_soon(&mut self, wait: Duration) {
        let pause = COORDINATE_PAUSE.as_millis();
        let times = (self.now + wait).as_millis() / pause + 1;
        let at = Duration::from_millis(u64::try_from(times * pause).unwrap_or(u64::MAX));
        if self.look_at.is_none_or(|known| at < known) {
            self.look_at = Some(at);
            self.after(at.saturating_sub(self.now), Event::Look);
        }
    }

    /// Lets the balancers look.
    pub(super) fn balance_soon(&mut self) {
        if !self.balance_waits {
            self.balance_waits = true;
            let gather = if self.state.jobs.is_empty() { Duration::ZERO } else { self.gather };
            self.after(BALANCE_PAUSE.max(gather), Event::Balance);
        }
    }

    /// Something was changed.
    pub(super) fn acted(&mut self) {
        self.acted_at = self.now;
        self.state.version += 1;
    }

    /// Asks the planners, and writes down how long they took.
    fn ask<T>(&mut self, question: impl FnOnce(&World<'a>) -> T) -> T {
        let began = self.clock.monotonic();
        let answer = question(self);
        let took = self.clock.monotonic().saturating_sub(began);
        self.tally.rounds.push(took);
        answer
    }

    /// One look of the coordinator.
    fn look(&mut self) {
        if self.elections_due {
            self.elect();
        }
        let plan = self.ask(|world| world.planner.repairs(&world.state, &world.health));
        // As in the coordinator: what is taken back, or has left, is seen by the next look.
        let mut again = !plan.cancel.is_empty() || !plan.emptied.is_empty();
        for shard in plan.cancel {
            self.take_back(shard);
        }
        for node in plan.emptied {
            if let Some(info) = self.state.nodes.get_mut(&node) {
                info.state = NodeState::Left;
            }
            self.health.alive.remove(&node);
            self.acted();
        }
        let mends = !plan.start.is_empty() || !plan.blocked.is_empty();
        for new in plan.start {
            self.begin(new);
        }
        self.keep_policies();
        // While something is to be mended the answer is that it waits.
        if !mends && self.state.jobs.values().all(|job| !job.reason.repairs()) {
            again |= self.even_out();
        }
        if self.splits {
            self.split();
        }
        if again {
            let busy = !self.state.jobs.is_empty();
            self.look_soon(if busy { self.gather } else { Duration::ZERO });
        }
    }

    /// Begins what brings replicas to where placement policies want them.
    fn keep_policies(&mut self) {
        if self.state.placement.places.is_empty() {
            return;
        }
        let plan = self.ask(|world| {
            let limits = Limits::in_cluster(&world.state);
            world.planner.policy_moves(&world.state, &world.health, limits)
        });
        for new in plan.start {
            self.begin(new);
        }
    }

    /// Begins what evens nodes out. Whether leaders changed.
    fn even_out(&mut self) -> bool {
        let plan = self.ask(|world| {
            let (none, limits) = (BTreeMap::new(), Limits::in_cluster(&world.state));
            let bytes = if world.by_bytes { &world.sizes } else { &none };
            world.planner.rebalance(&world.state, &world.health, bytes, limits)
        });
        for next in plan.moves {
            let (remove, reason) = (Some(next.replica), Reason::Balance);
            self.begin(NewJob { shard: next.shard, target: next.to, remove, reason });
        }
        let mut changed = false;
        for change in plan.leaders {
            match self.state.prefer_leader(change.shard, change.to) {
                Ok(()) => {
                    changed = true;
                    self.acted();
                }
                Err(error) => self.broken(error.to_string()),
            }
        }
        if changed {
            self.balance_soon();
        }
        changed
    }

    /// Why a change of members must not begin.
    fn wrong_with(&self, new: &NewJob) -> Option<String> {
        let (shard, target) = (new.shard, new.target);
        let Some(info) = self.state.map.shard(shard) else {
            return Some(format!("there is no shard {shard}"));
        };
        let others = info.replicas.iter().filter(|(replica, _)| Some(*replica) != new.remove);
        let towards = self.state.jobs.values().filter(|job| job.add.1 == target).count();
        let repairs = self.state.jobs.values().filter(|job| job.reason.repairs()).count();
        let moves = self.state.jobs.len() - repairs;
        let full = match new.reason.repairs() {
            true => repairs >= JOBS_MAX * self.state.limit_units() || towards >= JOBS_PER_NODE_MAX,
            false => moves >= Limits::in_cluster(&self.state).moves,
        };
        if self.state.jobs.contains_key(&shard) || self.state.splits.contains_key(&shard) {
            Some(format!("{shard} changes already"))
        } else if others.clone().any(|(_, node)| *node == target) {
            Some(format!("{shard} would have two replicas on {target}"))
        } else if new.remove.is_some() && others.count() == info.replicas.len() {
            Some(format!("{shard} has no such replica to give up"))
        } else if self.state.node_state(target) != NodeState::Active
            || !self.health.alive.contains(&target)
        {
            Some(format!("{shard} would get a replica on {target}, which takes no part"))
        } else if self.health.full.contains(&target) {
            Some(format!("{shard} would get a replica on {target}, whose disk is full"))
        } else if self.is_forbidden(info.slots, target) {
            Some(format!("{shard} would get a replica on {target}, which its policy forbids"))
        } else if full {
            Some(format!("more is begun at once than may be, with {shard} towards {target}"))
        } else {
            None
        }
    }

    /// Whether the placement policy of slots forbids a node.
    fn is_forbidden(&self, slots: SlotRange, node: NodeId) -> bool {
        let zone = self.state.nodes.get(&node).map_or("", |info| info.zone.as_str());
        self.state.placement.of(slots).is_some_and(|(_, policy)| !policy.allows(zone))
    }

    /// Begins a change of members.
    fn begin(&mut self, new: NewJob) {
        if let Some(wrong) = self.wrong_with(&new) {
            self.broken(wrong);
            return;
        }
        let replica = ReplicaId(self.next_replica);
        self.next_replica += 1;
        let job = Job {
            add: (replica, new.target),
            remove: new.remove,
            reason: new.reason,
            step: JobStep::CatchingUp,
            cancelled: false,
            started_unix_ms: self.unix_ms(),
        };
        self.state.jobs.insert(new.shard, job);
        self.acted();
        let bytes = self.size(new.shard);
        self.weigh(new.target, |used| used + bytes);
        self.send(new.shard, replica, new.target, 0);
    }

    /// Sends a shard's content to its new replica.
    pub(super) fn send(&mut self, shard: ShardId, replica: ReplicaId, to: NodeId, tries: u32) {
        let Some(from) = self.leader_of(shard) else {
            self.wait_for(shard, replica, tries);
            return;
        };
        let bytes = self.size(shard);
        let free = |machine: &Machine, until: Duration| (machine.bytes_per_second.max(1), until);
        let source = self.machines.get(&from).map(|machine| free(machine, machine.sends_until));
        let target = self.machines.get(&to).map(|machine| free(machine, machine.receives_until));
        let (Some(source), Some(target)) = (source, target) else { return };
        let rate = source.0.min(target.0);
        let begins = (self.now + COORDINATE_PAUSE * LOOKS_BEFORE).max(source.1).max(target.1);
        let micros = |rate: u64| u128::from(bytes) * 1_000_000 / u128::from(rate);
        let takes = micros(rate) + micros(rate.saturating_mul(SNAPSHOT_READ_SPEEDUP));
        let ends = begins + Duration::from_micros(u64::try_from(takes).unwrap_or(u64::MAX / 4));
        if let Some(machine) = self.machines.get_mut(&from) {
            machine.sends_until = ends;
        }
        if let Some(machine) = self.machines.get_mut(&to) {
            machine.receives_until = ends;
        }
        let wait = ends.saturating_sub(self.now) + COORDINATE_PAUSE * LOOKS_AFTER;
        self.after(wait, Event::Arrived(shard, replica, tries));
    }

    /// A job that cannot go on now tries again later.
    pub(super) fn wait_for(&mut self, shard: ShardId, replica: ReplicaId, tries: u32) {
        if tries >= RETRIES_MAX {
            self.broken(format!("the change of {shard} is stuck"));
            return;
        }
        self.after(RETRY_PAUSE, Event::Arrived(shard, replica, tries + 1));
    }

    /// A job that lost its point.
    fn take_back(&mut self, shard: ShardId) {
        let Some(job) = self.state.jobs.get_mut(&shard) else { return };
        job.cancelled = true;
        let replica = job.add.0;
        self.acted();
        self.after(COORDINATE_PAUSE * LOOKS_BEFORE, Event::Arrived(shard, replica, 0));
    }

    /// Begins splits of shards that are too large.
    fn split(&mut self) {
        let sizes = self
            .sizes
            .iter()
            .map(|(shard, bytes)| (*shard, ShardSize { bytes: *bytes, has_foreign: false }));
        let sizes: BTreeMap<ShardId, ShardSize> = sizes.collect();
        let wanted = Wanted { bytes_max: Some(SPLIT_BYTES_DEFAULT), unix_ms: self.unix_ms() };
        let plan =
            self.ask(|world| world.planner.splits(&world.state, &world.health, &sizes, wanted));
        for (parent, at, _) in plan.start {
            let held = self.state.map.shard(parent).map_or(0, |info| info.replicas.len() as u64);
            let replicas = (self.next_replica..self.next_replica + held).map(ReplicaId).collect();
            let child = ShardId(self.next_shard);
            self.next_replica += held;
            self.next_shard += 1;
            let new = NewSplit { parent, at, child, replicas, unix_ms: self.unix_ms() };
            match self.state.begin_split(new, self.state.version + 1) {
                Ok(()) => {
                    self.acted();
                    self.after(SPLIT_TIME, Event::Divided(parent));
                }
                Err(why) => self.broken(why),
            }
        }
    }

    /// Ends a split: both halves hold half, where the parent is.
    fn divided(&mut self, parent: ShardId) {
        let Some(child) = self.state.splits.get(&parent).map(|job| job.child) else { return };
        let unix_ms = self.unix_ms();
        if let Err(error) = self.state.finish_split(parent, unix_ms) {
            self.broken(error.to_string());
            return;
        }
        let bytes = self.size(parent);
        self.sizes.insert(parent, bytes - bytes / 2);
        self.sizes.insert(child, bytes / 2);
        if let Some(leader) = self.leader_of(parent) {
            self.leaders.insert(child, leader);
        }
        let nodes = self.unmoved.get(&parent).cloned().unwrap_or_default();
        self.unmoved.insert(child, nodes);
        self.tally.splits += 1;
        self.acted();
        self.look_soon(Duration::ZERO);
        self.balance_soon();
    }

    /// One look of every node's balancer: each gives at most one leadership away.
    fn balance(&mut self) {
        self.balance_waits = false;
        if self.elections_due {
            self.elect();
        }
        let well = &self.health.alive - &self.health.sick;
        let is_active = |node: &NodeId| self.state.node_state(*node) == NodeState::Active;
        let able: BTreeSet<NodeId> = well.into_iter().filter(is_active).collect();
        let moves =
            self.ask(|world| world.planner.leader_moves(&world.state, &world.leaders, &able));
        let mut gave = BTreeSet::new();
        for (shard, to) in moves {
            let Some(from) = self.leaders.get(&shard).copied() else { continue };
            if self.state.map.shard(shard).is_none_or(|info| !info.is_on(to)) {
                self.broken(format!("{shard} would be led by {to}, which has no replica of it"));
            } else if self.is_up(to) && gave.insert(from) {
                self.leaders.insert(shard, to);
                self.tally.leader_moves += 1;
                self.acted_at = self.now;
            }
        }
        if !gave.is_empty() {
            self.balance_soon();
        }
    }
}

/// The zone of a node: five in three cities, the cities of one size.
pub fn zone_of(node: u64) -> String {
    let half = node / 3 % 2 + 1;
    match node % 3 {
        0 => format!("north/{half}"),
        1 => format!("south/{half}"),
        _ => "west/1".to_string(),
    }
}
