//! A message to a former replica never reaches its successor: a replica with a new id hears nothing until somebody
//! makes it a member (consensus, section 3: a reused id with an empty log is a split brain).

use crate::sim::world::World;
use base::ReplicaId;

/// A replica is about to be made a member for the first time.
pub fn before_joining(world: &World, node: u64, replica: ReplicaId) {
    let mut observed = world.observed.lock();
    let first = observed.welcomed.insert(replica);
    let group = observed.groups.get(&node).cloned();
    drop(observed);
    // One that a leader tried to add has heard of it, whether that became log-committed or not.
    if !first {
        return;
    }
    let Some(status) = group.map(|group| group.status()) else { return };
    if status.replica != replica {
        return;
    }
    world.count("check: former replica is silent", 1);
    if (status.term, status.last_log_index, status.applied_index) != (0, 0, 0) {
        let what = format!("node {node} was told things meant for its predecessor: {status:?}");
        world.fail("former replica", what);
    }
}
