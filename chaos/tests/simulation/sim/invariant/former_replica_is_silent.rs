//! A message to a former replica never reaches its successor: a replica with a new id, which nobody has made a
//! member, hears nothing (consensus, section 3: a reused id with an empty log is a split brain).

use crate::sim::world::World;
use raft::replica_group::ReplicaStatus;

/// At the end of a run.
pub fn check(world: &World) {
    let observed = world.observed.lock();
    let wiped = observed.wiped.iter().filter_map(|node| Some((*node, observed.groups.get(node)?)));
    let found: Vec<(u64, ReplicaStatus)> =
        wiped.map(|(node, group)| (node, group.status())).collect();
    drop(observed);
    for (node, status) in found {
        world.count("check: former replica is silent", 1);
        if (status.term, status.last_log_index, status.applied_index) != (0, 0, 0) {
            let what = format!("node {node} was told things meant for its predecessor: {status:?}");
            world.fail("former replica", what);
        }
    }
}
