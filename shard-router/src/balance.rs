//! Who should lead: the preferred node of each shard while it is alive, spread evenly otherwise.
//!
//! The wanted leaders follow from the map, the nodes alive and, only where the preferred node is down,
//! the present leader. Once the moves are made the same question has the answer "nothing": leaders do
//! not wander.

use crate::{ShardInfo, ShardMap};
use base::{NodeId, ShardId};
use std::collections::{BTreeMap, BTreeSet};

/// The leader transfers that bring leaders to where they should be. `leaders` are the present ones;
/// a shard without one is left to its election. `alive` are the nodes that may lead: those that answer and
/// are not about to go. A leader on another node that still leads gives its place to one of them.
pub fn leader_moves(
    map: &ShardMap,
    leaders: &BTreeMap<ShardId, NodeId>,
    alive: &BTreeSet<NodeId>,
) -> Vec<(ShardId, NodeId)> {
    // Shards that have a leader to ask, and who should lead them.
    let mut wanted: Vec<(&ShardInfo, NodeId)> = map
        .shards()
        .iter()
        .filter_map(|shard| {
            let present = *leaders.get(&shard.id)?;
            let preferred = shard.preferred_leader().filter(|node| alive.contains(node));
            let stays = Some(present).filter(|node| alive.contains(node));
            let able = || shard.replicas.iter().map(|(_, node)| *node).find(|n| alive.contains(n));
            Some((shard, preferred.or(stays).or_else(able).unwrap_or(present)))
        })
        .collect();
    even_out(&mut wanted, alive);
    wanted
        .into_iter()
        .filter(|(shard, node)| leaders.get(&shard.id) != Some(node) && alive.contains(node))
        .map(|(shard, node)| (shard.id, node))
        .collect()
}

/// Moves shards whose preferred node is down from busy nodes to idle ones. Each step takes a shard from
/// a node to one that leads at least two less, so it ends; and at the end there is no such step.
fn even_out(wanted: &mut [(&ShardInfo, NodeId)], alive: &BTreeSet<NodeId>) {
    let mut leads: BTreeMap<NodeId, usize> = alive.iter().map(|node| (*node, 0)).collect();
    for (_, node) in wanted.iter() {
        *leads.entry(*node).or_default() += 1;
    }
    let is_movable =
        |shard: &ShardInfo| shard.preferred_leader().is_some_and(|n| !alive.contains(&n));
    let movable: Vec<usize> =
        (0..wanted.len()).filter(|index| is_movable(wanted[*index].0)).collect();
    let mut moved = true;
    while moved {
        moved = false;
        for index in &movable {
            let (shard, from) = wanted[*index];
            let count = |node: NodeId| leads.get(&node).copied().unwrap_or_default();
            let able = shard.replicas.iter().map(|(_, node)| *node).filter(|n| alive.contains(n));
            let Some(to) = able.min_by_key(|node| (count(*node), *node)) else { continue };
            if count(from) < count(to) + 2 {
                continue;
            }
            wanted[*index].1 = to;
            *leads.entry(from).or_default() -= 1;
            *leads.entry(to).or_default() += 1;
            moved = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initial;

    fn map() -> ShardMap {
        let nodes: Vec<NodeId> = (1..=3).map(NodeId).collect();
        initial(&nodes, 8, 3).unwrap().map
    }

    fn alive(nodes: &[u64]) -> BTreeSet<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    fn all_led_by(map: &ShardMap, node: u64) -> BTreeMap<ShardId, NodeId> {
        map.shards().iter().map(|shard| (shard.id, NodeId(node))).collect()
    }

    fn after(
        leaders: &BTreeMap<ShardId, NodeId>,
        moves: Vec<(ShardId, NodeId)>,
    ) -> BTreeMap<ShardId, NodeId> {
        let mut leaders = leaders.clone();
        leaders.extend(moves);
        leaders
    }

    #[test]
    fn leaders_return_to_their_preferred_nodes() {
        let map = map();
        let leaders = all_led_by(&map, 1);
        let leaders = after(&leaders, leader_moves(&map, &leaders, &alive(&[1, 2, 3])));
        for shard in map.shards() {
            assert_eq!(leaders.get(&shard.id).copied(), shard.preferred_leader());
        }
        assert_eq!(leader_moves(&map, &leaders, &alive(&[1, 2, 3])), []);
    }

    #[test]
    fn shards_of_a_dead_node_are_shared_by_the_living() {
        let map = map();
        let alive = alive(&[1, 2]);
        let leaders = all_led_by(&map, 1);
        let leaders = after(&leaders, leader_moves(&map, &leaders, &alive));
        let led = |node| leaders.values().filter(|leader| **leader == NodeId(node)).count();
        assert!(led(1).abs_diff(led(2)) <= 1, "{leaders:?}");
        assert_eq!(leader_moves(&map, &leaders, &alive), []);
    }

    #[test]
    fn a_round_after_a_third_of_a_large_cluster_is_gone_takes_no_time_to_speak_of() {
        let nodes: Vec<NodeId> = (1..=900).map(NodeId).collect();
        let map = initial(&nodes, 60_000, 3).unwrap().map;
        let alive: BTreeSet<NodeId> = (1..=600).map(NodeId).collect();
        // Whoever is left leads: the last one of each shard that is alive.
        let leader = |shard: &ShardInfo| {
            let mut left = shard.replicas.iter().rev().map(|(_, node)| *node);
            left.find(|node| alive.contains(node)).map(|node| (shard.id, node))
        };
        let leaders: BTreeMap<ShardId, NodeId> = map.shards().iter().filter_map(leader).collect();
        let clock = base::SystemClock::shared();
        let began = clock.monotonic();
        let moves = leader_moves(&map, &leaders, &alive);
        let took = clock.monotonic().saturating_sub(began);
        assert!(took <= std::time::Duration::from_secs(1), "{took:?}");
        let leaders = after(&leaders, moves);
        assert_eq!(leader_moves(&map, &leaders, &alive), []);
    }

    #[test]
    fn leaders_leave_a_node_that_may_not_lead() {
        let map = map();
        let leaders = all_led_by(&map, 3);
        let able = alive(&[1, 2]);
        let leaders = after(&leaders, leader_moves(&map, &leaders, &able));
        assert!(leaders.values().all(|leader| *leader != NodeId(3)), "{leaders:?}");
        assert_eq!(leader_moves(&map, &leaders, &able), []);
    }

    #[test]
    fn a_shard_without_a_leader_is_left_alone() {
        let map = map();
        assert_eq!(leader_moves(&map, &BTreeMap::new(), &alive(&[1, 2, 3])), []);
    }
}
