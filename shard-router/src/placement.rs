//! The first map of a cluster: replicas and preferred leaders spread evenly.
//!
//! Shards are placed one after another. The leader goes to the node that leads least, each follower to
//! the node that holds fewest replicas; among equals the one that follows this leader least, so that the
//! shards of a node that dies fall to many others and not to one neighbour.

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
    let nodes: BTreeSet<NodeId> = nodes.iter().copied().collect();
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
    let mut load = Load::new(&nodes);
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

/// What each node has been given so far.
struct Load {
    /// Shards it should lead and replicas it holds.
    nodes: BTreeMap<NodeId, (usize, usize)>,
    /// How often the second node follows the first one.
    follows: BTreeMap<(NodeId, NodeId), usize>,
}

impl Load {
    /// Nothing given.
    fn new(nodes: &BTreeSet<NodeId>) -> Load {
        let nodes = nodes.iter().map(|node| (*node, (0, 0))).collect();
        Load { nodes, follows: BTreeMap::new() }
    }

    /// The nodes of one more shard, leader first.
    fn place(&mut self, count: usize) -> Vec<NodeId> {
        let mut chosen: Vec<NodeId> = Vec::with_capacity(count);
        while chosen.len() < count {
            let free = self.nodes.iter().filter(|(node, _)| !chosen.contains(node));
            let best = match chosen.first().copied() {
                None => free.min_by_key(|(node, load)| (**load, **node)),
                Some(leader) => free.min_by_key(|(node, (_, replicas))| {
                    (*replicas, self.follows.get(&(leader, **node)).copied(), **node)
                }),
            };
            let Some((&node, _)) = best else { break };
            if let Some((leads, replicas)) = self.nodes.get_mut(&node) {
                *leads += usize::from(chosen.is_empty());
                *replicas += 1;
            }
            if let Some(leader) = chosen.first() {
                *self.follows.entry((*leader, node)).or_default() += 1;
            }
            chosen.push(node);
        }
        chosen
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

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert!(initial(&nodes(2), 8, 3).is_err());
        assert!(initial(&nodes(3), 8, 0).is_err());
        assert!(initial(&nodes(3), 0, 3).is_err());
        assert!(initial(&[NodeId(1), NodeId(1)], 8, 2).is_err());
    }
}
