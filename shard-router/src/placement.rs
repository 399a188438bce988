//! The first map of a cluster: replicas and preferred leaders spread evenly, and apart.
//!
//! Shards are placed one after another. The leader goes to the node that leads least, each follower to
//! the node that holds fewest replicas; among equals the one that follows this leader least, so that the
//! shards of a node that dies fall to many others and not to one neighbour.
//!
//! Nodes may say what fails together with them: a *zone*, or a city and a zone in it, `city/zone`. Replicas of a shard come
//! together in one zone only when there is no other one for them, and in one city likewise. That goes before evenness. A node
//! that says nothing is near no other one.

mod zone;

pub(crate) use zone::{Zone, Zones};

use crate::{Error, Result, ShardInfo, ShardMap};
use base::{NodeId, ReplicaId, SLOT_COUNT, ShardEpoch, ShardId, SlotRange};
use std::collections::{BTreeMap, BTreeSet};

/// What to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The map; each shard's first replica is its preferred leader.
    pub map: ShardMap,
    /// The first replica id that is still free.
    pub next_replica: ReplicaId,
}

/// The map of a new cluster: the meta shard and `shard_count` data shards with equal slot ranges. Equal
/// arguments give equal maps.
///
/// # Errors
/// `Unplaceable` when the numbers do not fit each other.
pub fn initial(nodes: &[NodeId], shard_count: u32, replication_factor: usize) -> Result<Plan> {
    let nodes = nodes.iter().map(|node| (*node, String::new())).collect();
    initial_in_zones(&nodes, shard_count, replication_factor)
}

/// The same for nodes that say in which zones they are.
///
/// # Errors
/// As [`initial`].
pub fn initial_in_zones(
    nodes: &BTreeMap<NodeId, String>,
    shard_count: u32,
    replication_factor: usize,
) -> Result<Plan> {
    let unplaceable = |what| Err(Error::Unplaceable { what });
    if replication_factor == 0 || replication_factor > nodes.len() {
        let most = nodes.len();
        return unplaceable(format!(
            "{replication_factor} replicas need as many nodes, and there are {most}; ask for 1 to {most}"
        ));
    }
    if !(1..=SLOT_COUNT).contains(&shard_count) {
        return unplaceable(format!("{shard_count} shards; ask for 1 to {SLOT_COUNT}"));
    }
    let mut load = Load::new(nodes);
    let mut next_replica = 1;
    let meta_slots = SlotRange { start: 0, end: 0 };
    let ranges = std::iter::once(meta_slots).chain(SlotRange::even(shard_count));
    let shards = (0..).zip(ranges).map(|(id, slots)| {
        let replicas = load
            .place(replication_factor)
            .into_iter()
            .map(|node| {
                let replica = ReplicaId(next_replica);
                next_replica += 1;
                (replica, node)
            })
            .collect();
        ShardInfo { id: ShardId(id), epoch: ShardEpoch(1), slots, replicas }
    });
    let map = ShardMap::new(1, shards.collect())?;
    Ok(Plan { map, next_replica: ReplicaId(next_replica) })
}

/// What each node has been given so far, in the orders in which nodes are chosen.
struct Load {
    /// Where nodes are.
    zones: Zones,
    /// Shards that each should lead and replicas it holds.
    given: BTreeMap<NodeId, (usize, usize)>,
    /// The same with the node, least first: the order of leaders.
    leaders: BTreeSet<(usize, usize, NodeId)>,
    /// Of each zone its nodes by the replicas that they hold: the order of followers.
    followers: BTreeMap<Zone, BTreeMap<usize, BTreeSet<NodeId>>>,
    /// How often the second node follows the first one.
    follows: BTreeMap<(NodeId, NodeId), usize>,
}

impl Load {
    /// Nothing given.
    fn new(nodes: &BTreeMap<NodeId, String>) -> Load {
        let zones = Zones::new(nodes.iter().map(|(node, zone)| (*node, zone.as_str())));
        let mut followers: BTreeMap<Zone, BTreeMap<usize, BTreeSet<NodeId>>> = BTreeMap::new();
        for node in nodes.keys() {
            followers.entry(zones.of(*node)).or_default().entry(0).or_default().insert(*node);
        }
        Load {
            zones,
            given: nodes.keys().map(|node| (*node, (0, 0))).collect(),
            leaders: nodes.keys().map(|node| (0, 0, *node)).collect(),
            followers,
            follows: BTreeMap::new(),
        }
    }

    /// The nodes of one more shard, leader first.
    fn place(&mut self, count: usize) -> Vec<NodeId> {
        let mut chosen: Vec<NodeId> = Vec::with_capacity(count);
        while chosen.len() < count {
            let best = match chosen.first() {
                None => self.leaders.first().map(|(_, _, node)| *node),
                Some(_) => self.follower(&chosen),
            };
            let Some(node) = best else { break };
            self.give(node, chosen.is_empty());
            if let Some(leader) = chosen.first() {
                *self.follows.entry((*leader, node)).or_default() += 1;
            }
            chosen.push(node);
        }
        chosen
    }

    /// The next follower beside these nodes, the first of which leads.
    fn follower(&self, chosen: &[NodeId]) -> Option<NodeId> {
        let leader = chosen.first()?;
        let taken: Vec<Zone> = chosen.iter().map(|node| self.zones.of(*node)).collect();
        let best_of = |nodes: &BTreeSet<NodeId>| {
            let mut best: Option<(usize, NodeId)> = None;
            for node in nodes.iter().filter(|node| !chosen.contains(node)) {
                let follows = self.follows.get(&(*leader, *node)).copied().unwrap_or(0);
                best = Some(best.map_or((follows, *node), |known| known.min((follows, *node))));
                if follows == 0 {
                    break; // None that comes later is better.
                }
            }
            best
        };
        let zones = self.followers.iter().filter_map(|(zone, by_held)| {
            let mut buckets = by_held.iter();
            let (held, (follows, node)) =
                buckets.find_map(|(held, nodes)| Some((*held, best_of(nodes)?)))?;
            Some((zone.crowding(taken.iter().copied()), held, follows, node))
        });
        zones.min().map(|(.., node)| node)
    }

    /// Gives a node one more replica, as the leader or not.
    fn give(&mut self, node: NodeId, leads: bool) {
        let Some(given) = self.given.get_mut(&node) else { return };
        let before = *given;
        *given = (before.0 + usize::from(leads), before.1 + 1);
        let after = *given;
        self.leaders.remove(&(before.0, before.1, node));
        self.leaders.insert((after.0, after.1, node));
        let by_held = self.followers.entry(self.zones.of(node)).or_default();
        if let Some(nodes) = by_held.get_mut(&before.1) {
            nodes.remove(&node);
            if nodes.is_empty() {
                by_held.remove(&before.1);
            }
        }
        by_held.entry(after.1).or_default().insert(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: u64) -> Vec<NodeId> {
        (1..=count).map(NodeId).collect()
    }

    fn spread(counts: impl IntoIterator<Item = usize>) -> usize {
        let counts: Vec<usize> = counts.into_iter().collect();
        counts.iter().max().unwrap() - counts.iter().min().unwrap()
    }

    #[test]
    fn leaders_and_replicas_are_spread_evenly() {
        for (node_count, shard_count, factor) in
            [(1, 8, 1), (3, 8, 3), (3, 8, 1), (4, 8, 3), (5, 12, 3), (7, 100, 3), (10, 64, 5)]
        {
            let plan = initial(&nodes(node_count), shard_count, factor).unwrap();
            let shards = plan.map.shards();
            let all = nodes(node_count);
            let leads = all.iter().map(|node| {
                shards.iter().filter(|shard| shard.preferred_leader() == Some(*node)).count()
            });
            let replicas =
                all.iter().map(|node| shards.iter().filter(|shard| shard.is_on(*node)).count());
            assert!(spread(leads) <= 1, "leaders of {node_count} nodes, {shard_count} shards");
            assert!(spread(replicas) <= 1, "replicas of {node_count} nodes, {shard_count} shards");
            assert_eq!(plan.next_replica.0, 1 + u64::from(shard_count + 1) * factor as u64);
        }
    }

    #[test]
    fn the_followers_of_one_leader_differ() {
        let plan = initial(&nodes(5), 39, 2).unwrap();
        let followers: BTreeSet<NodeId> = plan
            .map
            .shards()
            .iter()
            .filter(|shard| shard.preferred_leader() == Some(NodeId(1)))
            .map(|shard| shard.replicas[1].1)
            .collect();
        assert!(followers.len() >= 3, "{followers:?}");
    }

    fn city(zone: &str) -> &str {
        zone.split('/').next().unwrap_or(zone)
    }

    fn whole(zone: &str) -> &str {
        zone
    }

    #[test]
    fn replicas_are_apart_as_far_as_zones_allow() {
        // Two zones in each of two cities, one in the third; nodes 1 to 12.
        let places = ["a/1", "a/2", "b/1", "b/2", "c/1", "c/1"];
        let nodes: BTreeMap<NodeId, String> =
            (1..=12).map(|id| (NodeId(id), places[id as usize % 6].to_string())).collect();
        let apart = |factor: usize, names: fn(&str) -> &str| {
            let plan = initial_in_zones(&nodes, 40, factor).unwrap();
            let names_of = |shard: &ShardInfo| -> BTreeSet<String> {
                shard.replicas.iter().map(|(_, node)| names(&nodes[node]).to_string()).collect()
            };
            plan.map.shards().iter().map(|shard| names_of(shard).len()).min().unwrap()
        };
        assert_eq!(apart(3, city), 3, "one in each city");
        assert_eq!((apart(5, city), apart(5, whole)), (3, 5), "one in each zone");
        let plan = initial_in_zones(&nodes, 40, 3).unwrap();
        let held = |node: &NodeId| plan.map.shards().iter().filter(|s| s.is_on(*node)).count();
        assert!(spread(nodes.keys().map(held)) <= 2, "cities are of one size");
    }

    #[test]
    fn the_largest_cluster_is_placed_evenly() {
        let plan = initial(&nodes(1000), SLOT_COUNT, 3).unwrap();
        let mut held: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (_, node) in plan.map.shards().iter().flat_map(|shard| shard.replicas.iter()) {
            *held.entry(*node).or_default() += 1;
        }
        assert!(spread(held.into_values()) <= 2);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert!(initial(&nodes(2), 8, 3).is_err());
        assert!(initial(&nodes(3), 8, 0).is_err());
        assert!(initial(&nodes(3), 0, 3).is_err());
        assert!(initial(&[NodeId(1), NodeId(1)], 8, 2).is_err());
    }
}
