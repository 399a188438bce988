//! Promises survive: a replica's term and vote are on disk before anybody hears of them (the Raft paper,
//! figure 2: "updated on stable storage before responding to RPCs").

use crate::sim::disk;
use crate::sim::world::World;
use raft::replica_group::ReplicaStatus;

/// A node shows its term.
pub fn shown(world: &World, node: u64, status: &ReplicaStatus) {
    let mut observed = world.observed.lock();
    let promised = observed.promised.entry(node).or_default();
    *promised = (*promised).max(status.term);
}

/// After a power cut, while the node is off.
pub fn check(world: &World, node: u64) {
    let observed = world.observed.lock();
    let promised = observed.promised.get(&node).copied().unwrap_or(0);
    // What rot took is another matter.
    let excused = observed.lost.contains_key(&node);
    drop(observed);
    if excused {
        return;
    }
    let (found, _) = disk::read_back(&world.disks(node).log);
    let log = found.index.get(&disk::key(world, node));
    let term = log.and_then(|log| log.vote).map_or(0, |vote| vote.leader_id.term);
    world.count("check: promises survive", 1);
    if term < promised {
        let what =
            format!("node {node} took part in term {promised}; its log knows of term {term}");
        world.fail("promises survive", what);
    }
}
