//! State-machine safety: no two replicas apply different commands at one index (the Raft paper, figure 3).

use super::fence_holds;
use crate::sim::world::{World, Write};

/// A replica applies a command.
pub fn applied(world: &World, node: u64, index: u64, write: Write) {
    let mut observed = world.observed.lock();
    let (first, first_node) = *observed.applied.entry(index).or_insert((write, node));
    let other_index = *observed.index_of.entry(write.number).or_insert(index);
    drop(observed);
    world.count("check: state-machine safety", 1);
    if first != write {
        world.fail(
            "state-machine safety",
            format!(
                "at index {index} node {first_node} applied {first:?} and node {node} {write:?}"
            ),
        );
    }
    if other_index != index {
        let what = format!("{write:?} is applied at index {other_index} and at index {index}");
        world.fail("state-machine safety", what);
    }
    fence_holds::applied(world, index, write);
}
