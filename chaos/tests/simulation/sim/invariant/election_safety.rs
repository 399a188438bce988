//! Election safety: at most one leader per term (the Raft paper, figure 3).

use super::{leader_completeness, lease_safety};
use crate::sim::world::World;
use raft::replica_group::ReplicaGroup;
use std::sync::Arc;

/// A node was seen serving in a term, now.
pub fn serving(world: &World, node: u64, term: u64, group: &Arc<dyn ReplicaGroup>) {
    let mut observed = world.observed.lock();
    let fresh = !observed.leaders.contains_key(&term);
    let leader = *observed.leaders.entry(term).or_insert(node);
    drop(observed);
    world.count("check: election safety", 1);
    if leader != node {
        let what = format!("nodes {leader} and {node} both serve in term {term}");
        world.fail("election safety", what);
    }
    lease_safety::serving(world, node, term);
    if fresh {
        world.event(&format!("node {node} serves in term {term}"));
        leader_completeness::elected(world, node, term, group);
    }
}
