//! What brings replicas to where their policies want them: cluster state and health in, a few jobs and sentences out.
//!
//! ```text
//! eu: only paris and frankfurt     s1: n1 paris  n2 tokyo  n3 frankfurt    n2's replica goes to n5, paris
//! ```
//!
//! One replica of a shard moves at a time. The new one is chosen as in `repair`: far from those that stay, where few are;
//! when no replica may lead, then among the nodes that may. What is broken is mended first.

use super::{Fit, Fits};
use crate::ShardInfo;
use crate::cluster::{ClusterState, NodeState, Reason};
use crate::placement::Zones;
use crate::rebalance::Limits;
use crate::repair::{Health, NewJob};
use base::{NodeId, ReplicaId, ShardId, SlotRange};
use std::collections::BTreeMap;

/// What to do for policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyMoves {
    /// Jobs to begin.
    pub start: Vec<NewJob>,
    /// Why each of them, in a sentence.
    pub why: BTreeMap<ShardId, String>,
    /// Shards that are not as their policies want them and that get no job now, and why.
    pub unmet: BTreeMap<ShardId, String>,
}

/// How slots under a policy stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceReport {
    /// The slots.
    pub slots: SlotRange,
    /// The policy.
    pub policy: String,
    /// `ok`, or how many shards are not as they should be, and why: in the wrong places, on the move, with a replica
    /// missing or on a node that does not answer.
    pub state: String,
}

/// What is wrong with a shard.
struct Gap {
    /// The replica that goes, and its node.
    goes: (ReplicaId, NodeId),
    /// Whether the new one must be where it may lead.
    must_lead: bool,
    /// In words.
    what: String,
}

/// What to begin now, within limits that count for all moves.
pub fn policy_moves(state: &ClusterState, health: &Health, limits: Limits) -> PolicyMoves {
    let mut plan = PolicyMoves::default();
    if state.placement.places.is_empty() {
        return plan;
    }
    let fits = Fits::new(state);
    let mut room = Room::new(state, health, limits);
    for info in state.map.shards() {
        if let Some(at) = state.placement.edge(info.slots) {
            let why =
                format!("slot {at} begins another placement policy: it is to be split there first");
            plan.unmet.insert(info.id, why);
            continue;
        }
        let Some(fit) = fits.of(state, info) else { continue };
        // A job tells by itself how far it is.
        let Some(gap) = gap(fit, info).filter(|_| !state.jobs.contains_key(&info.id)) else {
            continue;
        };
        let mended = || Some(format!("{}; that is mended first", lack(state, health, fit, info)?));
        if let Some(why) = state.members_fixed(info.id).or_else(mended) {
            plan.unmet.insert(info.id, format!("{}; but it {why}", gap.what));
            continue;
        }
        match room.target(fit, info, &gap) {
            Ok(target) => {
                let (remove, reason) = (Some(gap.goes.0), Reason::Placement);
                let what = format!("{} goes from {} to {target}", info.id, gap.goes.1);
                plan.why.insert(info.id, format!("{}: {what}", gap.what));
                plan.start.push(NewJob { shard: info.id, target, remove, reason });
            }
            Err(why) => {
                plan.unmet.insert(info.id, format!("{}, and {why}", gap.what));
            }
        }
    }
    plan
}

/// Shards that are not as their policies want them and that nothing is begun for, and why.
pub fn unmet(state: &ClusterState, health: &Health) -> BTreeMap<ShardId, String> {
    policy_moves(state, health, Limits::in_cluster(state)).unmet
}

/// How everything under a policy stands.
pub fn report(state: &ClusterState, health: &Health) -> Vec<PlaceReport> {
    let plan = policy_moves(state, health, Limits::in_cluster(state));
    let fits = Fits::new(state);
    let row = |place: &super::Place| {
        let meets = |info: &&ShardInfo| {
            info.slots.start < place.slots.end && place.slots.start < info.slots.end
        };
        let shards: Vec<ShardId> =
            state.map.shards().iter().filter(meets).map(|info| info.id).collect();
        let unmet = shards.iter().filter_map(|id| Some((*id, plan.unmet.get(id)?)));
        let unmet: Vec<(ShardId, &String)> = unmet.collect();
        let comes = |id: &&ShardId| {
            let job = state.jobs.get(*id);
            plan.start.iter().any(|new| new.shard == **id)
                || job.is_some_and(|job| job.reason == Reason::Placement)
        };
        let moving = shards.iter().filter(comes).count();
        let lacking = shards.iter().filter_map(|id| {
            let info = state.map.shard(*id)?;
            Some((*id, lack(state, health, fits.of(state, info)?, info)?))
        });
        let lacking: Vec<(ShardId, String)> = lacking.collect();
        let total = shards.len();
        let told = match (unmet.first(), lacking.first()) {
            (Some((id, why)), _) => format!(
                "{} of {total} shards are not as it wants them: shard {}: {why}",
                unmet.len(),
                id.0
            ),
            (None, Some((id, what))) => format!(
                "{} of {total} shards have fewer sound replicas than they should: shard {} {what}",
                lacking.len(),
                id.0
            ),
            (None, None) if moving > 0 => format!("{moving} of {total} shards move"),
            (None, None) => "ok".to_string(),
        };
        PlaceReport { slots: place.slots, policy: place.policy.clone(), state: told }
    };
    state.placement.places.iter().map(row).collect()
}

/// What a policy has against a shard as it is.
fn gap(fit: &Fit, info: &ShardInfo) -> Option<Gap> {
    let name = &fit.name;
    if let Some(goes) = fit.misplaced(info) {
        let stay = info.replicas.iter().filter(|replica| **replica != goes);
        let must_lead = fit.lacks_leader(stay.map(|(_, node)| *node));
        let what = format!("placement policy '{name}' allows no replica on node {}", goes.1.0);
        return Some(Gap { goes, must_lead, what });
    }
    let last = info.replicas.last().copied()?;
    fit.lacks_leader(info.replicas.iter().map(|(_, node)| *node)).then(|| Gap {
        goes: last,
        must_lead: true,
        what: format!("placement policy '{name}' lets none of its nodes lead"),
    })
}

/// What a shard lacks of the replicas that it should have, if anything: words to go after its name.
fn lack(state: &ClusterState, health: &Health, fit: &Fit, info: &ShardInfo) -> Option<String> {
    let away = info.replicas.iter().find_map(|(replica, node)| {
        let wanted = state.node_state(*node);
        let why = if matches!(wanted, NodeState::Decommissioning | NodeState::Left) {
            "leaves the cluster"
        } else if !health.alive.contains(node) || health.silent.contains(node) {
            "does not answer"
        } else if health.lost.contains(&(info.id, *replica)) {
            "lost it"
        } else {
            return None;
        };
        Some(format!("has a replica on node {}, which {why}", node.0))
    });
    let (has, wanted) = (info.replicas.len(), fit.replicas);
    away.or_else(|| (has < wanted).then(|| format!("has {has} of {wanted} replicas")))
}

/// Where replicas can go.
struct Room {
    /// Active nodes that answer and whose disks are well.
    sound: Vec<NodeId>,
    /// Where nodes are.
    zones: Zones,
    /// Replicas held or on their way, by node.
    replicas: BTreeMap<NodeId, usize>,
    /// Moves that a node takes part in.
    moving: BTreeMap<NodeId, usize>,
    /// Moves in all.
    under_way: usize,
    limits: Limits,
}

impl Room {
    fn new(state: &ClusterState, health: &Health, limits: Limits) -> Room {
        let is_sound = |node: &NodeId| {
            state.node_state(*node) == NodeState::Active
                && health.alive.contains(node)
                && !health.silent.contains(node)
                && !health.sick.contains(node)
                && !health.full.contains(node)
        };
        let mut room = Room {
            sound: state.nodes.keys().copied().filter(is_sound).collect(),
            zones: Zones::new(state.nodes.iter().map(|(id, info)| (*id, info.zone.as_str()))),
            replicas: BTreeMap::new(),
            moving: BTreeMap::new(),
            under_way: 0,
            limits,
        };
        let held = state.map.shards().iter().flat_map(|info| info.replicas.iter());
        for (_, node) in held.chain(state.jobs.values().map(|job| &job.add)) {
            *room.replicas.entry(*node).or_default() += 1;
        }
        for (shard, job) in state.jobs.iter().filter(|(_, job)| !job.reason.repairs()) {
            let replicas = state.map.shard(*shard).map_or(&[][..], |info| info.replicas.as_slice());
            let gone = replicas.iter().find(|(replica, _)| Some(*replica) == job.remove);
            for node in gone.map(|(_, node)| *node).into_iter().chain([job.add.1]) {
                *room.moving.entry(node).or_default() += 1;
            }
            // Nobody waits for what comes to no end.
            room.under_way += usize::from(!health.overdue.contains(shard));
        }
        room
    }

    fn has_room(&self, node: NodeId) -> bool {
        self.moving.get(&node).is_none_or(|moving| *moving < self.limits.moves_per_node)
    }

    /// Why nothing begins though there is a place.
    fn waits(&self) -> String {
        format!("it waits for its turn: {} replicas move", self.under_way)
    }

    /// The node that gets a shard's new replica.
    fn target(&mut self, fit: &Fit, info: &ShardInfo, gap: &Gap) -> Result<NodeId, String> {
        // No node is looked for in vain: very many shards may wait.
        if self.under_way >= self.limits.moves {
            return Err(self.waits());
        }
        let (_, from) = gap.goes;
        let stay = info.replicas.iter().filter(|replica| **replica != gap.goes);
        let stay: Vec<_> = stay.map(|(_, node)| self.zones.of(*node)).collect();
        let free = |node: &NodeId| fit.allows(*node) && !info.is_on(*node);
        let leading = self.sound.iter().copied().filter(|node| free(node) && fit.leads(*node));
        let mut able: Vec<NodeId> = leading.collect();
        // One that may not be where it is goes elsewhere all the same.
        if !gap.must_lead || (able.is_empty() && !fit.allows(from)) {
            able = self.sound.iter().copied().filter(free).collect();
        }
        let crowding = |node: NodeId| self.zones.of(node).crowding(stay.iter().copied());
        let Some(least) = able.iter().map(|node| crowding(*node)).min() else {
            let who = match gap.must_lead && fit.allows(from) {
                true => "that may lead",
                false => "that it allows",
            };
            return Err(format!(
                "no other active node {who} answers and is free ({} allowed); the shard is kept as it is. Add a node \
                 there, or alter the policy",
                fit.allowed_text()
            ));
        };
        let held = |node: NodeId| self.replicas.get(&node).copied().unwrap_or_default();
        let best = able.into_iter().filter(|node| crowding(*node) == least && self.has_room(*node));
        let best = best.min_by_key(|node| (held(*node), *node));
        let Some(node) = best.filter(|_| self.has_room(from)) else { return Err(self.waits()) };
        self.under_way += 1;
        *self.replicas.entry(node).or_default() += 1;
        for node in [from, node] {
            *self.moving.entry(node).or_default() += 1;
        }
        Ok(node)
    }
}
