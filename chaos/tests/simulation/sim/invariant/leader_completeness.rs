//! Leader completeness: what is log-committed in a term is in the logs of the leaders of all later terms (the
//! Raft paper, figure 3). A leader serves only after it has applied an entry of its own term, so whatever was
//! acknowledged before must be in its state then.

use crate::sim::node::write_key;
use crate::sim::world::World;
use raft::replica_group::ReplicaGroup;
use std::sync::Arc;

/// A node serves in a term for the first time.
pub fn elected(world: &World, node: u64, term: u64, group: &Arc<dyn ReplicaGroup>) {
    let acknowledged: Vec<u64> = world.observed.lock().acknowledged.keys().copied().collect();
    let engine = group.engine();
    for write in &acknowledged {
        match engine.get(&write_key(*write)) {
            Ok(Some(_)) => {}
            Ok(None) => world.fail(
                "leader completeness",
                format!("node {node} leads in term {term} without acknowledged write {write}"),
            ),
            // Its engine is being replaced; whoever serves later is asked again.
            Err(_) => return,
        }
    }
    world.count("check: leader completeness", acknowledged.len() as u64);
}
