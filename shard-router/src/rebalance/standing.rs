//! How nodes stand, with everything under way done: replicas, weights and preferred leaders per node, and the next
//! move of a replica. An index, so that a step costs about one look at the nodes and at one node's replicas.

mod detour;

use super::weights::Scale;
use super::{ReplicaMove, Share};
use crate::ShardInfo;
use crate::cluster::{ClusterState, Job, JobStep, NodeState};
use crate::placement::{Zone, Zones};
use crate::policy::Fits;
use crate::repair::{Health, lacks_majority, need};
use crate::split::gib;
use base::limits::{REBALANCE_START_PERCENT, REBALANCE_STOP_PERCENT};
use base::{NodeId, ReplicaId, ShardId};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A node.
pub(super) struct Node {
    /// Its number.
    pub id: NodeId,
    /// Where it is.
    zone: Zone,
    /// Whether it gives: active, and it answers.
    pub takes_part: bool,
    /// Whether it may get something: its disk is well, too.
    pub receives: bool,
    /// Why a replica on it is not as it should be.
    broken: Option<&'static str>,
    /// Weight of its replicas.
    load: u64,
    /// Bytes of its replicas.
    bytes: u64,
    /// Shards that it has a replica of, as positions.
    held: Vec<usize>,
    /// Shards that prefer it, as positions.
    pub leads: Vec<usize>,
    /// Replicas that splits under way bring, beside those.
    coming: usize,
    /// Of them those that prefer it.
    pub coming_leads: usize,
    /// Moves to or from it that are under way.
    moving: usize,
}

/// A shard.
pub(super) struct Shard<'a> {
    /// Its entry of the map.
    pub info: &'a ShardInfo,
    /// Positions of its nodes, the preferred leader first.
    pub places: Vec<usize>,
    /// Whether it stays as it is.
    pub fixed: bool,
    /// Whether nobody can lead it, and that for long.
    pub lacks_majority: bool,
    /// Position of its placement policy among those that are used.
    fit: Option<usize>,
    /// What each of its replicas weighs.
    weight: u64,
    /// How large each of them is, bytes.
    bytes: u64,
}

impl Node {
    /// Replicas, with those that are coming.
    fn replicas(&self) -> usize {
        self.held.len() + self.coming
    }

    /// Shards that prefer it, with those that are coming.
    pub fn leading(&self) -> usize {
        self.leads.len() + self.coming_leads
    }
}

/// Everything.
pub(super) struct Standing<'a> {
    /// In order of their numbers.
    pub nodes: Vec<Node>,
    /// In order of the map.
    pub shards: Vec<Shard<'a>>,
    /// Moves under way that only even nodes out.
    pub under_way: usize,
    /// Shards that cannot move, and why.
    pub held: BTreeMap<ShardId, String>,
    /// Why nothing moves at all.
    pub waits: Option<String>,
    /// Whether replicas differ in weight.
    pub by_weight: bool,
    /// Placement policies.
    fits: Fits,
}

/// What is to be reached, from how loads are.
struct Goal {
    /// Least load of a node.
    low: u64,
    /// Most load of a node.
    high: u64,
    /// Loads above this may give.
    gives_above: u64,
    /// Loads below this may get.
    gets_below: u64,
    /// Load above the most, over all nodes.
    excess: u64,
    /// Load below the least, over all nodes that may get something.
    deficit: u64,
}

impl Goal {
    /// Whether a node of this load is to give.
    fn gives(&self, load: u64) -> bool {
        load > self.gives_above && (self.excess == 0 || load > self.high)
    }

    /// Whether a node of this load is to get something.
    fn gets(&self, load: u64) -> bool {
        load < self.gets_below && (self.deficit == 0 || load < self.low)
    }
}

impl<'a> Standing<'a> {
    /// How nodes stand.
    pub fn new(
        state: &'a ClusterState,
        health: &Health,
        bytes: &BTreeMap<ShardId, u64>,
    ) -> Standing<'a> {
        let zones = Zones::new(state.nodes.iter().map(|(id, info)| (*id, info.zone.as_str())));
        let each = state.nodes.keys();
        let nodes: Vec<Node> = each.map(|id| node(state, health, *id, zones.of(*id))).collect();
        let at: BTreeMap<NodeId, usize> = nodes.iter().map(|node| node.id).zip(0..).collect();
        let size = |info: &ShardInfo| bytes.get(&info.id).copied();
        let of_data = state.map.shards().iter().filter(|info| info.id != ShardId::META);
        let scale = Scale::of(&of_data.filter_map(size).collect::<Vec<u64>>());
        let mut standing = Standing {
            nodes,
            shards: Vec::with_capacity(state.map.shards().len()),
            under_way: 0,
            held: BTreeMap::new(),
            waits: None,
            by_weight: scale.by_weight,
            fits: Fits::new(state),
        };
        for info in state.map.shards() {
            let bytes = size(info).unwrap_or(scale.mean);
            standing.add(state, health, &at, info, (bytes, scale));
        }
        standing
    }

    /// Takes a shard in, of so many bytes.
    fn add(
        &mut self,
        state: &ClusterState,
        health: &Health,
        at: &BTreeMap<NodeId, usize>,
        info: &'a ShardInfo,
        (bytes, scale): (u64, Scale),
    ) {
        let job = state.jobs.get(&info.id);
        let held = match job {
            Some(job) => Some(self.wait_for(health, info, job, at)),
            None => self.broken(state, health, info, at).or_else(|| {
                let why = state.members_fixed(info.id)?;
                Some(format!("shard {} {why}", info.id.0))
            }),
        };
        let places = places(info, job, at);
        let position = self.shards.len();
        // A shard that is being split is two already, on the same nodes, each with its part of the rows.
        let is_split = state.splits.contains_key(&info.id);
        let bytes = if is_split { bytes / 2 } else { bytes };
        let weight = scale.weight(info.id, bytes);
        for place in &places {
            let node = &mut self.nodes[*place];
            node.load += weight;
            node.bytes += bytes;
            node.held.push(position);
            if is_split {
                node.load += weight;
                node.bytes += bytes;
                node.coming += 1;
            }
        }
        if let Some(first) = places.first() {
            self.nodes[*first].leads.push(position);
            self.nodes[*first].coming_leads += usize::from(is_split);
        }
        let fit = self.fits.position(state, info);
        let (fixed, lacks_majority) = (held.is_some(), lacks_majority(health, info));
        self.shards.push(Shard { info, places, fixed, lacks_majority, fit, weight, bytes });
        if let Some(why) = held {
            self.held.insert(info.id, why);
        }
    }

    /// Counts a job that is under way; why its shard stays as it is.
    fn wait_for(
        &mut self,
        health: &Health,
        info: &ShardInfo,
        job: &Job,
        at: &BTreeMap<NodeId, usize>,
    ) -> String {
        let (shard, target) = (info.id, job.add.1);
        // A full disk takes no entries: nothing is lost, and the copy goes on when there is room soon.
        let disk = match health.sick.contains(&target) {
            _ if health.full.contains(&target) => {
                format!(
                    "; the disk of node {} has been full for long, and the copy is taken back",
                    target.0
                )
            }
            true => format!(
                "; the disk of node {} is not well, and the copy may wait for that: mend it, or decommission the node",
                target.0
            ),
            false => String::new(),
        };
        let is_overdue = health.overdue.contains(&shard);
        if job.reason.repairs() {
            // Nobody waits for what comes to no end, or is given up.
            if is_overdue || job.cancelled || lacks_majority(health, info) {
                return told(shard, job, &disk);
            }
            let reason = job.reason.name();
            self.waits.get_or_insert_with(|| {
                format!(
                    "repairs come first: {shard} gets a replica on node {}, as {reason}{disk}",
                    target.0
                )
            });
        } else {
            self.under_way += usize::from(!is_overdue);
            let gone = info.replicas.iter().find(|(replica, _)| Some(*replica) == job.remove);
            for node in gone.map(|(_, node)| *node).into_iter().chain([target]) {
                if let Some(place) = at.get(&node) {
                    self.nodes[*place].moving += 1;
                }
            }
        }
        told(shard, job, &disk)
    }

    /// What is wrong with a shard; then nothing moves before it is mended.
    fn broken(
        &mut self,
        state: &ClusterState,
        health: &Health,
        info: &ShardInfo,
        at: &BTreeMap<NodeId, usize>,
    ) -> Option<String> {
        let shard = info.id;
        let wrong = info.replicas.iter().find_map(|(replica, node)| {
            if !health.lost.is_empty() && health.lost.contains(&(shard, *replica)) {
                return Some(format!("{replica} of {shard} on node {} cannot run", node.0));
            }
            let broken = match at.get(node) {
                Some(place) => self.nodes[*place].broken,
                None => Some("is not known"),
            };
            broken.map(|broken| {
                format!("node {}, which holds a replica of {shard}, {broken}", node.0)
            })
        });
        let wanted = state.replication as usize;
        let wrong = wrong.or_else(|| {
            let has = info.replicas.len();
            (has < wanted).then(|| format!("{shard} has {has} of {wanted} replicas"))
        })?;
        if !self.is_stuck(state, health, info) {
            self.waits.get_or_insert_with(|| format!("repairs come first: {wrong}"));
            return Some(wrong);
        }
        let in_the_way = match lacks_majority(health, info) {
            true => "it has no majority to change its members with",
            false => "no node is free that may take one in its place",
        };
        Some(format!("{wrong}, and {in_the_way}; other shards do not wait for it"))
    }

    /// Whether a shard cannot be mended, as it has no majority, or as full disks or its placement policy leave no node:
    /// nobody else waits for it.
    fn is_stuck(&self, state: &ClusterState, health: &Health, info: &ShardInfo) -> bool {
        if lacks_majority(health, info) {
            return true;
        }
        let fit = self.fits.of(state, info);
        // A node that is away for a moment comes back.
        if fit.is_none() && need(state, health, fit, info).is_none() {
            return false;
        }
        let free = |node: &Node| {
            node.takes_part
                && !health.full.contains(&node.id)
                && fit.is_none_or(|fit| fit.allows(node.id))
                && !info.is_on(node.id)
        };
        // What cannot run can be made anew where it is.
        let is_lost = |(replica, node): &(ReplicaId, NodeId)| {
            health.lost.contains(&(info.id, *replica)) && !health.full.contains(node)
        };
        !self.nodes.iter().any(free) && !info.replicas.iter().any(is_lost)
    }

    /// What is to be reached; `None` when nobody takes part.
    fn goal(&self) -> Option<Goal> {
        let loads = || self.nodes.iter().filter(|node| node.takes_part).map(|node| node.load);
        let (count, total) = (loads().count() as u64, loads().sum::<u64>());
        if count == 0 {
            return None;
        }
        let mean = total / count;
        let (low, high, gives_above, gets_below) = if self.by_weight {
            // What has been begun is brought to its end; for less nothing is begun.
            let percent = match self.under_way {
                0 => REBALANCE_START_PERCENT,
                _ => REBALANCE_STOP_PERCENT,
            };
            let slack = mean / 100 * percent;
            (mean - slack, mean + slack, mean, mean)
        } else {
            let high = total.div_ceil(count);
            (mean, high, mean, high)
        };
        let excess = loads().map(|load| load.saturating_sub(high)).sum();
        let lacking = self.nodes.iter().filter(|node| node.receives);
        let deficit = lacking.map(|node| low.saturating_sub(node.load)).sum();
        Some(Goal { low, high, gives_above, gets_below, excess, deficit })
    }

    /// Replicas that must move before nodes are even; by weight as many as weigh so much on average.
    pub fn replicas_left(&self) -> u64 {
        let Some(goal) = self.goal() else { return 0 };
        let left = goal.excess.max(goal.deficit);
        if !self.by_weight {
            return left;
        }
        let weights: u64 = self.shards.iter().map(|shard| shard.weight).sum();
        let mean = weights / (self.shards.len() as u64).max(1);
        left.div_ceil(mean.max(1))
    }

    /// What the nodes that take part hold.
    pub fn shares(&self) -> BTreeMap<NodeId, Share> {
        let nodes = self.nodes.iter().filter(|node| node.takes_part);
        nodes
            .map(|node| {
                let (replicas, leaders) = (node.replicas() as u64, node.leading() as u64);
                (node.id, Share { replicas, bytes: node.bytes, leaders })
            })
            .collect()
    }

    /// The move that evens nodes out most, taken as done, or two by which replicas change places, if `more` are allowed; none
    /// when there is none now.
    pub fn next_moves(&mut self, moves_per_node: usize, more: usize) -> Vec<ReplicaMove> {
        let Some(goal) = self.goal().filter(|goal| goal.excess > 0 || goal.deficit > 0) else {
            return Vec::new();
        };
        let free = |place: &usize| self.nodes[*place].moving < moves_per_node;
        let load = |place: &usize| self.nodes[*place].load;
        let mut sources: Vec<usize> = (0..self.nodes.len())
            .filter(|place| self.nodes[*place].takes_part && goal.gives(load(place)) && free(place))
            .collect();
        sources.sort_by_key(|place| (Reverse(load(place)), *place));
        let mut targets: Vec<usize> = (0..self.nodes.len())
            .filter(|place| self.nodes[*place].receives && goal.gets(load(place)) && free(place))
            .collect();
        targets.sort_by_key(|place| (load(place), *place));
        match self.choose(&sources, &targets) {
            Some((shard, from, to)) => vec![self.take(shard, from, to)],
            // While something is under way, nodes that are busy may be all that is in the way.
            None if self.by_weight && self.under_way == 0 => self.detour(&goal, more),
            None => Vec::new(),
        }
    }

    /// A shard and two of these nodes that it can move between: the first ones that fit.
    fn choose(&self, sources: &[usize], targets: &[usize]) -> Option<(usize, usize, usize)> {
        for from in sources {
            let source = &self.nodes[*from];
            let lightest = source.held.iter().map(|shard| self.shards[*shard].weight).min();
            // Zones where none of its shards may go: the next targets leave less room.
            let mut closed: Vec<Zone> = Vec::new();
            for to in targets {
                let zone = self.nodes[*to].zone;
                if closed.contains(&zone) {
                    continue;
                }
                // After the move the source still holds as much as the target.
                let room = source.load.saturating_sub(self.nodes[*to].load) / 2;
                if lightest.is_none_or(|lightest| lightest > room) {
                    break; // The next targets leave less room.
                }
                if let Some(shard) = self.movable(*from, *to, room) {
                    return Some((shard, *from, *to));
                }
                if zone.is_known() && zone != source.zone {
                    closed.push(zone);
                }
            }
        }
        None
    }

    /// The best shard to move between two nodes, of those that weigh at most `room`.
    fn movable(&self, from: usize, to: usize, room: u64) -> Option<usize> {
        let fits = |shard: &&usize| {
            let shard = &self.shards[**shard];
            !shard.fixed
                && shard.weight <= room
                && !shard.places.contains(&to)
                && self.stays_apart(shard, from, to)
                && self.may_hold(shard, from, to)
        };
        let best = self.nodes[from].held.iter().filter(fits).min_by_key(|position| {
            let shard = &self.shards[**position];
            let leads = shard.places.first() == Some(&from);
            let (id, epoch) = (shard.info.id, shard.info.epoch);
            (Reverse(shard.weight), id == ShardId::META, leads, epoch, id)
        });
        best.copied()
    }

    /// Whether a shard's replicas are no closer together after a move.
    fn stays_apart(&self, shard: &Shard<'_>, from: usize, to: usize) -> bool {
        let (old, new) = (self.nodes[from].zone, self.nodes[to].zone);
        let others = || shard.places.iter().filter(|place| **place != from);
        let crowding = |zone: Zone| zone.crowding(others().map(|place| self.nodes[*place].zone));
        old == new || !new.is_known() || crowding(new) <= crowding(old)
    }

    /// Whether a placement policy is used.
    pub fn has_policies(&self) -> bool {
        !self.fits.is_empty()
    }

    /// Whether a shard's policy allows a move, and still lets one of its nodes lead.
    fn may_hold(&self, shard: &Shard<'_>, from: usize, to: usize) -> bool {
        let Some(fit) = shard.fit.and_then(|at| self.fits.get(at)) else { return true };
        let id = |place: usize| self.nodes[place].id;
        let others = || shard.places.iter().filter(|place| **place != from).map(|place| id(*place));
        let leads_still =
            fit.leads(id(to)) || !fit.leads(id(from)) || others().any(|node| fit.leads(node));
        fit.allows(id(to)) && leads_still
    }

    /// Whether a shard's policy lets it be led here; when it lets none of its nodes, then by any.
    pub fn may_lead(&self, shard: &Shard<'_>, place: usize) -> bool {
        let Some(fit) = shard.fit.and_then(|at| self.fits.get(at)) else { return true };
        let leads = |place: usize| fit.leads(self.nodes[place].id);
        leads(place) || !shard.places.iter().any(|other| leads(*other))
    }

    /// Takes a move as done.
    fn take(&mut self, position: usize, from: usize, to: usize) -> ReplicaMove {
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let (from_id, to_id) = (source.id, target.id);
        let shard = &mut self.shards[position];
        let id = shard.info.id;
        let (few, many) = (target.replicas(), source.replicas());
        let figures = if self.by_weight {
            let amount = if source.bytes < 1 << 30 { mib } else { gib };
            let (less, more) = (amount(target.bytes), amount(source.bytes));
            format!(
                "node {} holds {less} in {few} replicas, node {} holds {more} in {many}",
                to_id.0, from_id.0
            )
        } else {
            format!("node {} has {few} replicas, node {} has {many}", to_id.0, from_id.0)
        };
        let why = format!("{figures}: {id} moves from {from_id} to {to_id}");
        let mut replica = None;
        for (place, (known, _)) in shard.places.iter_mut().zip(&shard.info.replicas) {
            if *place == from {
                *place = to;
                replica = Some(*known);
            }
        }
        shard.fixed = true;
        let (weight, leads) = (shard.weight, shard.places.first() == Some(&to));
        let bytes = shard.bytes;
        let source = &mut self.nodes[from];
        source.load -= weight;
        source.bytes -= bytes;
        source.moving += 1;
        source.held.retain(|held| *held != position);
        source.leads.retain(|led| *led != position);
        let target = &mut self.nodes[to];
        target.load += weight;
        target.bytes += bytes;
        target.moving += 1;
        target.held.push(position);
        if leads {
            target.leads.push(position);
        }
        self.under_way += 1;
        let replica = replica.expect("a shard without a job is where its entry says");
        ReplicaMove { shard: id, replica, from: from_id, to: to_id, why }
    }
}

/// Bytes for people, where they are few.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// A node that holds nothing yet.
fn node(state: &ClusterState, health: &Health, id: NodeId, zone: Zone) -> Node {
    let answers = health.alive.contains(&id) && !health.silent.contains(&id);
    let wanted = state.node_state(id);
    let broken = match wanted {
        NodeState::Decommissioning => Some("is being decommissioned"),
        NodeState::Left => Some("has left"),
        NodeState::Active | NodeState::Draining if answers => None,
        NodeState::Active | NodeState::Draining => Some("does not answer"),
    };
    let takes_part = wanted == NodeState::Active && answers;
    Node {
        id,
        zone,
        takes_part,
        receives: takes_part && !health.sick.contains(&id) && !health.full.contains(&id),
        broken,
        load: 0,
        bytes: 0,
        held: Vec::new(),
        leads: Vec::new(),
        coming: 0,
        coming_leads: 0,
        moving: 0,
    }
}

/// What a shard's job is about, in words.
fn told(shard: ShardId, job: &Job, disk: &str) -> String {
    let (step, reason) = (job.step.name(), job.reason.name());
    format!("{shard} gets a replica on node {}, as {reason}: {step}{disk}", job.add.1.0)
}

/// Where a shard's replicas are once its job is done.
fn places(info: &ShardInfo, job: Option<&Job>, at: &BTreeMap<NodeId, usize>) -> Vec<usize> {
    // One that is taken back early changes nothing; later it goes through.
    let job = job.filter(|job| !job.cancelled || job.step > JobStep::CatchingUp);
    let mut nodes: Vec<NodeId> = info
        .replicas
        .iter()
        .map(|(replica, node)| match job {
            Some(job) if job.remove == Some(*replica) => job.add.1,
            _ => *node,
        })
        .collect();
    if let Some(job) = job.filter(|job| !nodes.contains(&job.add.1)) {
        nodes.push(job.add.1);
    }
    nodes.iter().filter_map(|node| at.get(node).copied()).collect()
}
