//! What is log-committed never changes: a replica's state is what the commands up to its applied index make,
//! each applied once, whatever was lost and replayed (the Raft paper, section 5.3; consensus: "a replica folder
//! is always a consistent prefix of the log").

use crate::sim::world::World;
use base::KeyRange;
use engine::mvcc::APPLIED_KEY;
use raft::applier::read_applied;
use raft::replica_group::ReplicaGroup;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compares a replica's whole state with what was applied anywhere.
pub fn check(world: &World, node: u64, group: &Arc<dyn ReplicaGroup>) {
    let view = group.engine().snapshot();
    // An engine that is being replaced answers nothing.
    let Ok((applied, _)) = read_applied(view.get(APPLIED_KEY)) else { return };
    let applied = applied.map_or(0, |applied| applied.index);
    let mut found = BTreeMap::new();
    let scanned = view.scan(&KeyRange::prefix("index/"), &mut |key, value| {
        let number = |text: &[u8]| String::from_utf8_lossy(text).parse::<u64>();
        if let (Ok(index), Ok(write)) = (number(&key["index/".len()..]), number(value)) {
            found.insert(index, write);
        }
        Ok(true)
    });
    if scanned.is_err() {
        return;
    }
    let observed = world.observed.lock();
    let committed =
        observed.applied.range(..=applied).map(|(index, entry)| (*index, entry.0.number));
    let committed: BTreeMap<u64, u64> = committed.collect();
    drop(observed);
    world.count("check: committed never changes", found.len() as u64);
    if found != committed {
        let differs = |index: &&u64| found.get(index) != committed.get(index);
        let index = found.keys().chain(committed.keys()).filter(differs).min().copied();
        let index = index.unwrap_or_default();
        world.fail(
            "committed never changes",
            format!(
                "node {node} says it has applied up to {applied}; at index {index} its state holds write \
                 {:?}, the log {:?}",
                found.get(&index),
                committed.get(&index)
            ),
        );
    }
}
