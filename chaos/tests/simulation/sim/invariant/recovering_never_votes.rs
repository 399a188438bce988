//! A replica that lost what it had acknowledged takes no part under its id; one that lost nothing is never
//! refused ("Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018; docs/decisions/0002).

use crate::sim::world::World;

/// A replica was refused at its start.
pub fn refused(world: &World, node: u64, what: &str) {
    let mut observed = world.observed.lock();
    let lost = observed.lost.get(&node).cloned();
    let first = observed.recovering.insert(node);
    drop(observed);
    world.event(&format!("node {node} is recovering: {what}"));
    if lost.is_none() {
        world.fail("recovering", format!("node {node} lost nothing, but is refused: {what}"));
    }
    if first {
        world.count("check: recovering never votes", 1);
    }
}

/// A replica starts.
pub fn started(world: &World, node: u64) {
    let observed = world.observed.lock();
    let lost = observed.lost.get(&node).filter(|_| !observed.wiped.contains(&node)).cloned();
    drop(observed);
    if let Some(lost) = lost {
        world.fail("recovering", format!("node {node} takes part, but it has lost {lost}"));
    }
}
