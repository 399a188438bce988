//! Placement policies: which nodes may hold the replicas of which slots, and which of them lead.
//!
//! ```text
//! policies   eu: REGIONS="frankfurt,paris" PRIMARY_REGION="paris"
//! places     [0, 16384) eu
//! s1 [0, 16384)      n1 paris   n2 frankfurt   n3 tokyo      the replica on n3 moves; n1 is to lead
//! s2 [16384, 65536)  no policy: wherever there is room
//! s3 [9000, 20000)   lies across an edge: it is split at slot 16384, then its halves are as above
//! ```
//!
//! A region is the city that nodes name before the `/` of their zone; without a `/` the zone is its own region.
//!
//! Invariants:
//! 1. Places do not overlap and are in order. Each has slots.
//! 2. What a policy forbids gets no new replica. A replica that is where it should not be stays until another one is
//!    there for it: no shard loses replicas for a policy.
//! 3. What cannot be met is named with its reason.
//!
//! Not here: what moves replicas for a policy (`moves`), which sets and tables there are (`sql`).

mod moves;

pub use moves::{PlaceReport, PolicyMoves, policy_moves, report, unmet};

use crate::ShardInfo;
use crate::cluster::{ClusterState, NodeState};
use base::limits::{PLACEMENT_FOLLOWERS_MAX, PLACEMENT_TERMS_MAX};
use base::{NodeId, ReplicaId, Slot, SlotRange};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a constraint looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The region of a node.
    Region,
    /// Its zone, with or without the region before it.
    Zone,
}

/// A condition on nodes, such as `+region=paris` or `-zone=paris/a`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// Whether nodes must have the value; else they must not.
    pub wants: bool,
    /// What is looked at.
    pub label: Label,
    /// Its value.
    pub value: String,
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.wants { '+' } else { '-' };
        let label = match self.label {
            Label::Region => "region",
            Label::Zone => "zone",
        };
        write!(f, "{sign}{label}={}", self.value)
    }
}

impl Constraint {
    /// Whether a node in this zone meets it.
    fn is_met(&self, zone: &str) -> bool {
        let has = match self.label {
            Label::Region => region_of(zone) == self.value,
            Label::Zone => {
                zone == self.value || zone.rsplit('/').next() == Some(self.value.as_str())
            }
        };
        has == self.wants
    }
}

/// The constraints of a text such as `[+region=paris,-zone=b]`; the brackets may be left out.
///
/// # Errors
/// A sentence: what is wrong with it.
pub fn parse_constraints(text: &str) -> Result<Vec<Constraint>, String> {
    let inner = text.trim();
    let inner = inner.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(inner);
    let parts = inner.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(parse_constraint).collect()
}

fn parse_constraint(part: &str) -> Result<Constraint, String> {
    let wrong =
        || format!("'{part}' is no constraint; write +region=x, -region=x, +zone=x or -zone=x");
    let part_of = part.trim_matches(['"', '\'']);
    let (wants, rest) = match part_of.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, part_of.strip_prefix('-').ok_or_else(wrong)?),
    };
    let (label, value) = rest.split_once('=').ok_or_else(wrong)?;
    let label = match label.trim().to_ascii_lowercase().as_str() {
        "region" => Label::Region,
        "zone" => Label::Zone,
        _ => return Err(wrong()),
    };
    let value = value.trim();
    if value.is_empty() {
        return Err(wrong());
    }
    Ok(Constraint { wants, label, value: value.to_string() })
}

/// Constraints as text, as [`parse_constraints`] reads them; empty for none.
pub fn constraints_text(constraints: &[Constraint]) -> String {
    if constraints.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = constraints.iter().map(Constraint::to_string).collect();
    format!("[{}]", parts.join(","))
}

/// The region of a node that names this zone.
pub fn region_of(zone: &str) -> &str {
    zone.split('/').next().unwrap_or_default()
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Where leaders are; empty for anywhere.
    pub primary_region: String,
    /// Where replicas may be; none for anywhere.
    pub regions: Vec<String>,
    /// Replicas beside the leader; 0 for as many as the cluster's other shards have.
    pub followers: u32,
    /// What nodes must meet to hold a replica.
    pub constraints: Vec<Constraint>,
    /// What nodes must meet besides to lead.
    pub leader_constraints: Vec<Constraint>,
}

impl Policy {
    /// Checks that it does not contradict itself.
    ///
    /// # Errors
    /// A sentence: what contradicts what.
    pub fn check(&self) -> Result<(), String> {
        if *self == Policy::default() {
            return Err(
                "a placement policy without options places nothing; name PRIMARY_REGION, REGIONS, \
                        FOLLOWERS, CONSTRAINTS or LEADER_CONSTRAINTS"
                    .into(),
            );
        }
        if self.followers > PLACEMENT_FOLLOWERS_MAX {
            return Err(format!(
                "FOLLOWERS = {} is more than there may be; ask for 1 to {PLACEMENT_FOLLOWERS_MAX}",
                self.followers
            ));
        }
        let terms = self.regions.len() + self.constraints.len() + self.leader_constraints.len();
        if terms > PLACEMENT_TERMS_MAX {
            return Err(format!(
                "{terms} regions and constraints are more than the {PLACEMENT_TERMS_MAX} that there may be"
            ));
        }
        let primary = &self.primary_region;
        if !primary.is_empty() && !self.regions.is_empty() && !self.regions.contains(primary) {
            return Err(format!("PRIMARY_REGION '{primary}' is not one of REGIONS; add it there"));
        }
        let all = self.constraints.iter().chain(&self.leader_constraints);
        let all: Vec<&Constraint> = all.collect();
        let contradicts = |one: &&&Constraint| {
            let opposite = Constraint { wants: !one.wants, ..(**one).clone() };
            all.contains(&&opposite)
        };
        if let Some(one) = all.iter().find(contradicts) {
            return Err(format!("the constraint {one} stands beside its opposite; drop one"));
        }
        let zones = self.zones_told_apart();
        if !zones.iter().any(|zone| self.allows(zone)) {
            return Err(
                "no node can ever hold its replicas: REGIONS and CONSTRAINTS contradict each other"
                    .into(),
            );
        }
        if !zones.iter().any(|zone| self.leads(zone)) {
            return Err(
                "no node can ever lead: PRIMARY_REGION, REGIONS, CONSTRAINTS and LEADER_CONSTRAINTS contradict each \
                 other"
                    .into(),
            );
        }
        Ok(())
    }

    /// A zone of every kind that its options can tell apart: those it names, in every region it names, and others.
    fn zones_told_apart(&self) -> Vec<String> {
        const OTHER: &str = "*";
        let all = || self.constraints.iter().chain(&self.leader_constraints);
        let of = |label: Label| {
            all().filter(move |one| one.label == label).map(|one| one.value.as_str())
        };
        let named = self.regions.iter().map(String::as_str).chain([self.primary_region.as_str()]);
        let regions = named.chain(of(Label::Region)).chain(of(Label::Zone).map(region_of));
        let regions: BTreeSet<&str> =
            regions.filter(|name| !name.is_empty()).chain([OTHER]).collect();
        let ends = of(Label::Zone).filter_map(|zone| zone.rsplit('/').next()).chain([OTHER]);
        let ends: BTreeSet<&str> = ends.collect();
        let both = |region: &&str| -> Vec<String> {
            ends.iter().map(|end| format!("{region}/{end}")).collect()
        };
        let mut zones: Vec<String> = regions.iter().flat_map(both).collect();
        // A zone without a city is its own region.
        zones.extend(regions.iter().map(|region| region.to_string()));
        zones
    }

    /// Whether a node in this zone may hold a replica.
    pub fn allows(&self, zone: &str) -> bool {
        let in_regions =
            self.regions.is_empty() || self.regions.iter().any(|region| region == region_of(zone));
        in_regions && self.constraints.iter().all(|constraint| constraint.is_met(zone))
    }

    /// Whether a node in this zone may lead.
    pub fn leads(&self, zone: &str) -> bool {
        let primary = &self.primary_region;
        self.allows(zone)
            && (primary.is_empty() || primary == region_of(zone))
            && self.leader_constraints.iter().all(|constraint| constraint.is_met(zone))
    }

    /// Replicas that its shards should have where the cluster's others have so many.
    pub fn replicas(&self, usual: u32) -> u32 {
        // It asks for more, never for fewer.
        usual.max(if self.followers == 0 { 0 } else { self.followers.saturating_add(1) })
    }

    /// Its options as SQL has them.
    pub fn options_text(&self) -> String {
        let mut parts = Vec::new();
        let mut text = |name: &str, value: String| {
            if !value.is_empty() {
                parts.push(format!("{name}=\"{value}\""));
            }
        };
        text("PRIMARY_REGION", self.primary_region.clone());
        text("REGIONS", self.regions.join(","));
        text("CONSTRAINTS", constraints_text(&self.constraints));
        text("LEADER_CONSTRAINTS", constraints_text(&self.leader_constraints));
        if self.followers > 0 {
            parts.push(format!("FOLLOWERS={}", self.followers));
        }
        parts.join(" ")
    }

    /// Why it cannot be met by the nodes that there are, if it cannot: a sentence.
    pub fn shortfall(&self, name: &str, state: &ClusterState) -> Option<String> {
        let active = || state.nodes.iter().filter(|(_, info)| info.state == NodeState::Active);
        let allowed = active().filter(|(_, info)| self.allows(&info.zone)).map(|(node, _)| *node);
        let allowed: Vec<NodeId> = allowed.collect();
        let wanted = self.replicas(state.replication) as usize;
        if allowed.len() < wanted {
            return Some(format!(
                "placement policy '{name}' cannot be met: it needs {wanted} active nodes and allows {}; replicas that \
                 find no place stay where they are. Add nodes in its regions and zones, or alter it",
                named(&allowed)
            ));
        }
        let leads = active().any(|(_, info)| self.leads(&info.zone));
        (!leads).then(|| {
            format!(
                "placement policy '{name}' cannot be met: no active node may lead its shards, so any of their nodes \
                 does. Add nodes in its primary region, or alter it"
            )
        })
    }
}

/// Nodes for people.
fn named(nodes: &[NodeId]) -> String {
    let numbers: Vec<String> = nodes.iter().map(|node| node.0.to_string()).collect();
    match numbers.as_slice() {
        [] => "none".to_string(),
        [only] => format!("only node {only}"),
        _ => format!("only nodes {}", numbers.join(", ")),
    }
}

/// Slots under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The slots.
    pub slots: SlotRange,
    /// Name of the policy.
    pub policy: String,
}

/// All policies of a cluster, and what is under them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Policies by their names, in lower case.
    pub policies: BTreeMap<String, Policy>,
    /// What is under which; the other slots are under none.
    pub places: Vec<Place>,
}

impl Placement {
    /// The policy of a slot.
    fn at(&self, slot: u32) -> Option<&str> {
        let place =
            self.places.iter().find(|place| (place.slots.start..place.slots.end).contains(&slot));
        place.map(|place| place.policy.as_str())
    }

    /// The first slot in a range that is under another policy than the range's beginning.
    pub fn edge(&self, slots: SlotRange) -> Option<Slot> {
        let edges = self.places.iter().flat_map(|place| [place.slots.start, place.slots.end]);
        let inside = edges.filter(|edge| slots.start < *edge && *edge < slots.end);
        let edge = inside.filter(|edge| self.at(*edge) != self.at(slots.start)).min()?;
        // Inside of slots, so below their number.
        Some(Slot(edge as u16))
    }

    /// The policy that all slots of a range are under.
    pub fn of(&self, slots: SlotRange) -> Option<(&str, &Policy)> {
        if slots.start >= slots.end || self.edge(slots).is_some() {
            return None;
        }
        let name = self.at(slots.start)?;
        Some((name, self.policies.get(name)?))
    }

    /// Puts slots under a policy, or under none.
    pub fn assign(&mut self, slots: SlotRange, policy: Option<&str>) {
        let before = std::mem::take(&mut self.places);
        let part = |start: u32, end: u32, policy: &str| {
            let policy = policy.to_string();
            (start < end).then_some(Place { slots: SlotRange { start, end }, policy })
        };
        for place in &before {
            let SlotRange { start, end } = place.slots;
            self.places.extend(part(start, end.min(slots.start), &place.policy));
            self.places.extend(part(start.max(slots.end), end, &place.policy));
        }
        self.places.extend(policy.and_then(|policy| part(slots.start, slots.end, policy)));
        self.places.sort_by_key(|place| place.slots.start);
    }

    /// Slots that a policy is used for.
    pub fn used_for(&self, policy: &str) -> Option<SlotRange> {
        self.places.iter().find(|place| place.policy == policy).map(|place| place.slots)
    }
}

/// What a policy comes to among a cluster's nodes.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    /// Its name.
    pub name: String,
    /// Nodes that may hold replicas, whatever state they are in.
    allowed: BTreeSet<NodeId>,
    /// Of them those that may lead.
    leading: BTreeSet<NodeId>,
    /// Replicas that its shards should have.
    pub replicas: usize,
}

impl Fit {
    /// Whether a node may hold a replica.
    pub fn allows(&self, node: NodeId) -> bool {
        self.allowed.contains(&node)
    }

    /// Whether a node may lead.
    pub fn leads(&self, node: NodeId) -> bool {
        self.leading.contains(&node)
    }

    /// Nodes that may hold replicas, for people.
    pub fn allowed_text(&self) -> String {
        named(&self.allowed.iter().copied().collect::<Vec<_>>())
    }

    /// The replica that should go first, for its node may not hold one: followers before the preferred leader.
    fn misplaced(&self, info: &ShardInfo) -> Option<(ReplicaId, NodeId)> {
        info.replicas.iter().rev().find(|(_, node)| !self.allows(*node)).copied()
    }

    /// Whether none of these nodes may lead, though others may.
    pub fn lacks_leader(&self, mut nodes: impl Iterator<Item = NodeId>) -> bool {
        !self.leading.is_empty() && !nodes.any(|node| self.leads(node))
    }
}

/// What the policies of a cluster come to among its nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fits {
    list: Vec<Fit>,
}

impl Fits {
    /// Of those that are used.
    pub fn new(state: &ClusterState) -> Fits {
        let used = |(name, _): &(&String, &Policy)| state.placement.used_for(name).is_some();
        let fit = |(name, policy): (&String, &Policy)| {
            let that = |meets: &dyn Fn(&str) -> bool| {
                let nodes = state.nodes.iter().filter(|(_, info)| meets(&info.zone));
                nodes.map(|(node, _)| *node).collect()
            };
            Fit {
                name: name.clone(),
                allowed: that(&|zone| policy.allows(zone)),
                leading: that(&|zone| policy.leads(zone)),
                replicas: policy.replicas(state.replication) as usize,
            }
        };
        Fits { list: state.placement.policies.iter().filter(used).map(fit).collect() }
    }

    /// Whether no policy is used.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The position of the one that all slots of a shard are under.
    pub fn position(&self, state: &ClusterState, info: &ShardInfo) -> Option<usize> {
        if self.list.is_empty() {
            return None;
        }
        let (name, _) = state.placement.of(info.slots)?;
        self.list.iter().position(|fit| fit.name == name)
    }

    /// The one at a position.
    pub fn get(&self, position: usize) -> Option<&Fit> {
        self.list.get(position)
    }

    /// The one that all slots of a shard are under.
    pub fn of(&self, state: &ClusterState, info: &ShardInfo) -> Option<&Fit> {
        self.get(self.position(state, info)?)
    }
}

#[cfg(test)]
mod tests;
