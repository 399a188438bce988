//! The fence holds: a command proposed for a term is in no log of another (architecture invariant "a batch
//! evaluated in one term is in no log of another"). Terms rise along a log, so the terms for which commands
//! were proposed must rise with their indexes.

use crate::sim::world::{World, Write};

/// A command is applied.
pub fn applied(world: &World, index: u64, write: Write) {
    let observed = world.observed.lock();
    let before = observed.applied.range(..index).next_back();
    let after = observed.applied.range(index + 1..).next();
    let (before, after) = (before.map(|(_, entry)| entry.0), after.map(|(_, entry)| entry.0));
    drop(observed);
    world.count("check: fence", 1);
    if before.is_some_and(|before| before.term > write.term)
        || after.is_some_and(|after| after.term < write.term)
    {
        let what = format!("{write:?} stands at index {index} between {before:?} and {after:?}");
        world.fail("fence", what);
    }
}
