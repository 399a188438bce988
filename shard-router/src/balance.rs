//! Who should lead: the preferred node of each shard while it is alive, spread evenly otherwise.
//!
//! The wanted leaders follow from the map, the nodes alive, placement policies and, only where the preferred node is down,
//! the present leader. Once the moves are made the same question has the answer "nothing": leaders do
//! not wander.
//!
//! Of a shard under a placement policy only those lead that suit it best among the living: nodes that it lets lead, as in its
//! primary region; with none of them, nodes that it lets hold replicas; with none of them, any. So a shard is never
//! without a leader for its policy's sake.

use crate::policy::{Fit, Fits};
use crate::{ClusterState, ShardInfo};
use base::{NodeId, ShardId};
use std::collections::{BTreeMap, BTreeSet};

/// A shard that has a leader to ask, and who should lead it.
struct Wanted<'a> {
    shard: &'a ShardInfo,
    /// The policy that it is under.
    fit: Option<&'a Fit>,
    /// How far from what the policy wants the best of the living is.
    least: u8,
    /// Who should lead.
    node: NodeId,
}

impl<'a> Wanted<'a> {
    fn new(
        shard: &'a ShardInfo,
        fit: Option<&'a Fit>,
        present: NodeId,
        alive: &BTreeSet<NodeId>,
    ) -> Wanted<'a> {
        let living = shard.replicas.iter().filter(|(_, node)| alive.contains(node));
        let least = living.map(|(_, node)| distance(fit, *node)).min().unwrap_or_default();
        let mut wanted = Wanted { shard, fit, least, node: present };
        let stays = Some(present).filter(|node| wanted.suits(*node, alive));
        let first = || wanted.able(alive).next();
        wanted.node = wanted.preferred(alive).or(stays).or_else(first).unwrap_or(present);
        wanted
    }

    /// Whether a node is alive and suits the policy as well as any that is.
    fn suits(&self, node: NodeId, alive: &BTreeSet<NodeId>) -> bool {
        alive.contains(&node) && distance(self.fit, node) <= self.least
    }

    /// The nodes with a replica that suit.
    fn able(&self, alive: &BTreeSet<NodeId>) -> impl Iterator<Item = NodeId> {
        let nodes = self.shard.replicas.iter().map(|(_, node)| *node);
        nodes.filter(move |node| self.suits(*node, alive))
    }

    /// The preferred leader, when it suits.
    fn preferred(&self, alive: &BTreeSet<NodeId>) -> Option<NodeId> {
        self.shard.preferred_leader().filter(|node| self.suits(*node, alive))
    }
}

/// How far a node is from what a policy wants of leaders.
fn distance(fit: Option<&Fit>, node: NodeId) -> u8 {
    match fit {
        Some(fit) if !fit.allows(node) => 2,
        Some(fit) if !fit.leads(node) => 1,
        Some(_) | None => 0,
    }
}

/// The leader transfers that bring leaders to where they should be. `leaders` are the present ones;
/// a shard without one is left to its election. `alive` are the nodes that may lead: those that answer and
/// are not about to go. A leader on another node that still leads gives its place to one of them.
pub fn leader_moves(
    state: &ClusterState,
    leaders: &BTreeMap<ShardId, NodeId>,
    alive: &BTreeSet<NodeId>,
) -> Vec<(ShardId, NodeId)> {
    let fits = Fits::new(state);
    let shards = state.map.shards().iter();
    let mut wanted: Vec<Wanted<'_>> = shards
        .filter_map(|shard| {
            let present = *leaders.get(&shard.id)?;
            Some(Wanted::new(shard, fits.of(state, shard), present, alive))
        })
        .collect();
    even_out(&mut wanted, alive);
    wanted
        .into_iter()
        .filter(|one| leaders.get(&one.shard.id) != Some(&one.node) && alive.contains(&one.node))
        .map(|one| (one.shard.id, one.node))
        .collect()
}

/// Moves shards whose preferred node does not lead from busy nodes to idle ones. Each step takes a shard from
/// a node to one that leads at least two less, so it ends; and at the end there is no such step.
fn even_out(wanted: &mut [Wanted<'_>], alive: &BTreeSet<NodeId>) {
    let mut leads: BTreeMap<NodeId, usize> = alive.iter().map(|node| (*node, 0)).collect();
    for one in wanted.iter() {
        *leads.entry(one.node).or_default() += 1;
    }
    let movable: Vec<usize> =
        (0..wanted.len()).filter(|index| wanted[*index].preferred(alive).is_none()).collect();
    let mut moved = true;
    while moved {
        moved = false;
        for index in &movable {
            let one = &wanted[*index];
            let from = one.node;
            let count = |node: NodeId| leads.get(&node).copied().unwrap_or_default();
            let least = one.able(alive).min_by_key(|node| (count(*node), *node));
            let Some(to) = least else { continue };
            if count(from) < count(to) + 2 {
                continue;
            }
            wanted[*index].node = to;
            *leads.entry(from).or_default() -= 1;
            *leads.entry(to).or_default() += 1;
            moved = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use crate::cluster::tests::state;

    /// Eight shards on three nodes.
    fn three() -> ClusterState {
        state(3, 3, 8)
    }

    fn alive(nodes: &[u64]) -> BTreeSet<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    fn all_led_by(state: &ClusterState, node: u64) -> BTreeMap<ShardId, NodeId> {
        state.map.shards().iter().map(|shard| (shard.id, NodeId(node))).collect()
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
        let state = three();
        let leaders = all_led_by(&state, 1);
        let leaders = after(&leaders, leader_moves(&state, &leaders, &alive(&[1, 2, 3])));
        for shard in state.map.shards() {
            assert_eq!(leaders.get(&shard.id).copied(), shard.preferred_leader());
        }
        assert_eq!(leader_moves(&state, &leaders, &alive(&[1, 2, 3])), []);
    }

    #[test]
    fn shards_of_a_dead_node_are_shared_by_the_living() {
        let state = three();
        let alive = alive(&[1, 2]);
        let leaders = all_led_by(&state, 1);
        let leaders = after(&leaders, leader_moves(&state, &leaders, &alive));
        let led = |node| leaders.values().filter(|leader| **leader == NodeId(node)).count();
        assert!(led(1).abs_diff(led(2)) <= 1, "{leaders:?}");
        assert_eq!(leader_moves(&state, &leaders, &alive), []);
    }

    #[test]
    fn a_round_after_a_third_of_a_large_cluster_is_gone_takes_no_time_to_speak_of() {
        let state = state(900, 900, 60_000);
        let alive: BTreeSet<NodeId> = (1..=600).map(NodeId).collect();
        // Whoever is left leads: the last one of each shard that is alive.
        let leader = |shard: &ShardInfo| {
            let mut left = shard.replicas.iter().rev().map(|(_, node)| *node);
            left.find(|node| alive.contains(node)).map(|node| (shard.id, node))
        };
        let leaders: BTreeMap<ShardId, NodeId> =
            state.map.shards().iter().filter_map(leader).collect();
        let clock = base::SystemClock::shared();
        let began = clock.monotonic();
        let moves = leader_moves(&state, &leaders, &alive);
        let took = clock.monotonic().saturating_sub(began);
        assert!(took <= std::time::Duration::from_secs(1), "{took:?}");
        let leaders = after(&leaders, moves);
        assert_eq!(leader_moves(&state, &leaders, &alive), []);
    }

    #[test]
    fn leaders_leave_a_node_that_may_not_lead() {
        let state = three();
        let leaders = all_led_by(&state, 3);
        let able = alive(&[1, 2]);
        let leaders = after(&leaders, leader_moves(&state, &leaders, &able));
        assert!(leaders.values().all(|leader| *leader != NodeId(3)), "{leaders:?}");
        assert_eq!(leader_moves(&state, &leaders, &able), []);
    }

    #[test]
    fn a_shard_without_a_leader_is_left_alone() {
        let state = three();
        assert_eq!(leader_moves(&state, &BTreeMap::new(), &alive(&[1, 2, 3])), []);
    }

    /// Node 1 is in paris, 2 and 3 in rome, 4 in oslo; every shard is on the first three, under a policy.
    fn by_policy(policy: Policy) -> ClusterState {
        let mut state = state(3, 4, 8);
        for (info, zone) in state.nodes.values_mut().zip(["paris/a", "rome/a", "rome/b", "oslo/a"])
        {
            info.zone = zone.into();
        }
        state.placement.policies.insert("eu".into(), policy);
        state.placement.assign(base::SlotRange::ALL, Some("eu"));
        state
    }

    /// Those that lead data shards once the moves are made. Asserts that nothing is left to do then.
    fn leading(
        state: &ClusterState,
        leaders: &BTreeMap<ShardId, NodeId>,
        alive: &BTreeSet<NodeId>,
    ) -> BTreeSet<NodeId> {
        let leaders = after(leaders, leader_moves(state, leaders, alive));
        assert_eq!(leader_moves(state, &leaders, alive), []);
        let data = leaders.into_iter().filter(|(shard, _)| *shard != ShardId::META);
        data.map(|(_, node)| node).collect()
    }

    #[test]
    fn of_the_living_those_in_the_primary_region_lead() {
        let rome = Policy { primary_region: "rome".into(), ..Policy::default() };
        let state = by_policy(rome);
        // Whoever is preferred: who must not lead gives its shards away, and they are shared.
        assert_eq!(leading(&state, &all_led_by(&state, 1), &alive(&[1, 2, 3, 4])), alive(&[2, 3]));
        let left = all_led_by(&state, 1);
        assert_eq!(leading(&state, &left, &alive(&[1, 3, 4])), alive(&[3]), "another one there");
        assert_eq!(leading(&state, &left, &alive(&[1, 4])), alive(&[1]), "nobody is left there");
        assert_eq!(leading(&state, &left, &alive(&[2, 3, 4])), alive(&[2, 3]), "and they are back");
    }

    #[test]
    fn a_preferred_leader_that_is_back_leads_again() {
        let mut state = by_policy(Policy { primary_region: "rome".into(), ..Policy::default() });
        let shards: Vec<ShardId> = state.map.shards().iter().map(|shard| shard.id).collect();
        for shard in shards {
            if state.map.shard(shard).and_then(ShardInfo::preferred_leader) != Some(NodeId(2)) {
                state.prefer_leader(shard, NodeId(2)).unwrap();
            }
        }
        let leaders = all_led_by(&state, 2);
        assert_eq!(leading(&state, &leaders, &alive(&[1, 3])), alive(&[3]));
        assert_eq!(leading(&state, &all_led_by(&state, 3), &alive(&[1, 2, 3])), alive(&[2]));
    }

    #[test]
    fn where_no_replica_may_lead_one_that_may_be_there_does() {
        let wanted = |regions: &[&str]| Policy {
            primary_region: "oslo".into(),
            regions: regions.iter().map(|region| region.to_string()).collect(),
            ..Policy::default()
        };
        let all = alive(&[1, 2, 3, 4]);
        let state = by_policy(wanted(&["oslo", "paris"]));
        assert_eq!(leading(&state, &all_led_by(&state, 3), &all), alive(&[1]));
        let state = by_policy(wanted(&["oslo"]));
        let leaders = state.map.shards().iter().filter_map(|shard| {
            let preferred = shard.preferred_leader()?;
            Some((shard.id, preferred))
        });
        let leaders: BTreeMap<ShardId, NodeId> = leaders.collect();
        assert_eq!(leader_moves(&state, &leaders, &all), [], "none is better than another");
    }
}
