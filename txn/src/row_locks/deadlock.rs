//! Cycles of waits, and who gives way.
//!
//! The member with the smallest weight (locks and writes it has already) gives way, the youngest among equals: the
//! least work is lost. InnoDB chooses the same way (MySQL 8.4 reference manual, "Deadlock Detection").

use crate::command::{LockOwner, LockWaiting};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The member of a cycle through `start` that gives way; `None` when `start` waits in no cycle. `blockers` answers
/// the weight of an owner that waits and whom it waits for.
pub(super) fn victim_of_cycle(
    start: LockOwner,
    blockers: impl Fn(LockOwner) -> Option<(u64, Vec<LockOwner>)>,
) -> Option<LockOwner> {
    // Depth first; the path is the chain of waits that leads from `start` to the owner looked at.
    let mut seen = BTreeSet::from([start]);
    let mut path: Vec<(LockOwner, u64, Vec<LockOwner>)> = Vec::new();
    let (weight, first) = blockers(start)?;
    path.push((start, weight, first));
    while let Some((_, _, left)) = path.last_mut() {
        let Some(next) = left.pop() else {
            path.pop();
            continue;
        };
        if next == start {
            let members =
                path.iter().map(|(owner, weight, _)| (*weight, Reverse(owner.age()), *owner));
            return members.min().map(|(_, _, owner)| owner);
        }
        if seen.insert(next)
            && let Some((weight, further)) = blockers(next)
        {
            path.push((next, weight, further));
        }
    }
    None
}

/// Who gives way so that no cycle is left, among waits told by several nodes.
pub fn find_victims(waits: &[LockWaiting]) -> BTreeSet<LockOwner> {
    let mut graph: BTreeMap<LockOwner, (u64, Vec<LockOwner>)> = BTreeMap::new();
    for waiting in waits {
        let (weight, blockers) = graph.entry(waiting.owner).or_default();
        *weight = waiting.weight.max(*weight);
        blockers.extend(&waiting.blockers);
    }
    let owners: Vec<LockOwner> = graph.keys().copied().collect();
    let mut victims = BTreeSet::new();
    for owner in owners {
        while let Some(victim) = victim_of_cycle(owner, |owner| graph.get(&owner).cloned()) {
            graph.remove(&victim);
            victims.insert(victim);
        }
    }
    victims
}
