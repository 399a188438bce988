//! State-machine safety: no two replicas apply different commands at one index (same paper, figure 3).

use crate::world::{NODES, World};
use base::KeyRange;

/// A replica applies a command.
pub fn applied(world: &World, node: u64, index: u64, command: &[u8]) {
    let mut observed = world.observed.lock();
    let entry = observed.applied.entry(index).or_insert_with(|| (command.to_vec(), node));
    let (first, first_node) = entry.clone();
    drop(observed);
    if first != command {
        world.fail(
            "state-machine safety",
            format!(
                "at index {index} node {first_node} applied {} and node {node} applied {}",
                first.escape_ascii(),
                command.escape_ascii()
            ),
        );
    }
}

/// After everything is healed and quiet, all replicas hold the same writes, up to the few still on
/// their way.
pub fn check_replicas_agree(world: &World) {
    let observed = world.observed.lock();
    let contents: Vec<Vec<Vec<u8>>> = NODES
        .into_iter()
        .map(|node| {
            let mut writes = Vec::new();
            observed.groups[&node]
                .engine()
                .scan(&KeyRange::prefix("write/"), &mut |key, _| {
                    writes.push(key.to_vec());
                    Ok(true)
                })
                .expect("a simulated engine can be read");
            writes
        })
        .collect();
    drop(observed);
    let fewest = contents.iter().map(Vec::len).min().unwrap_or_default();
    let most = contents.iter().map(Vec::len).max().unwrap_or_default();
    if most - fewest > 20 {
        world.fail("convergence", format!("replicas hold between {fewest} and {most} writes"));
    }
}
