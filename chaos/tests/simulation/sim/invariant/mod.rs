//! One file per invariant, with its citation. "The Raft paper" is Ongaro and Ousterhout, "In Search of an
//! Understandable Consensus Algorithm", extended version; its figure 3 names five of these.

pub mod acknowledged_is_durable;
pub mod committed_never_changes;
pub mod election_safety;
pub mod fence_holds;
pub mod former_replica_is_silent;
pub mod leader_completeness;
pub mod lease_safety;
pub mod log_matching;
pub mod promises_survive;
pub mod recovering_never_votes;
pub mod state_machine_safety;

use super::world::World;

/// After a power cut, while the node is off.
pub fn after_power_cut(world: &World, node: u64) {
    promises_survive::check(world, node);
    log_matching::check(world, node);
}

/// After everything is healed and all replicas had time to catch up.
pub fn at_the_end(world: &World) {
    acknowledged_is_durable::check(world);
    former_replica_is_silent::check(world);
    for node in world.members_left() {
        log_matching::check(world, node);
        let group = world.observed.lock().groups.get(&node).cloned();
        if let Some(group) = group {
            committed_never_changes::check(world, node, &group);
        }
    }
}
