//! A replica that lost what it had acknowledged takes no part under its id; one that lost nothing is never
//! refused ("Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018; docs/decisions/0002).

use crate::sim::world::World;

/// A replica was refused at its start.
pub fn refused(world: &World, node: u64, what: &str) {
    let observed = world.observed.lock();
    let lost = observed.lost.get(&node).cloned();
    drop(observed);
    world.event(&format!("node {node} is recovering: {what}"));
    if lost.is_none() {
        world.fail("recovering", format!("node {node} lost nothing, but is refused: {what}"));
    }
    world.count("check: recovering never votes", 1);
}

/// A replica starts.
pub fn started(world: &World, node: u64) {
    let observed = world.observed.lock();
    // Its successor under another id has lost nothing.
    let replaced = observed.welcome_at.contains_key(&node);
    let lost = observed.lost.get(&node).filter(|_| !replaced).cloned();
    drop(observed);
    if let Some(lost) = lost {
        world.fail("recovering", format!("node {node} takes part, but it has lost {lost}"));
    }
}
