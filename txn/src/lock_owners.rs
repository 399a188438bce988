//! The transactions of a node that hold row locks, wherever those are, and the numbers of its commits.
//!
//! A leader keeps row locks for transactions of other nodes, and asks those nodes now and then which of them still
//! live: so locks go when a client, its gateway or a message is lost.

use crate::command::LockOwner;
use base::NodeId;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Owners numbered per millisecond of the clock: how many transactions may begin in one, on average, before a restart
/// could repeat a number.
const OWNERS_PER_MS: u64 = 1 << 7;

/// All of a node's.
#[derive(Debug)]
pub struct LockOwners {
    node: NodeId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The number of the next one.
    next: u64,
    /// Those that live.
    alive: BTreeSet<LockOwner>,
}

/// A transaction's right to hold locks; over when dropped.
#[derive(Debug)]
pub struct OwnerGuard {
    owner: LockOwner,
    all: Arc<LockOwners>,
}

impl LockOwners {
    /// None yet. `unix_ms` is the wall clock: numbers go on where an earlier process of the node cannot have come.
    pub fn new(node: NodeId, unix_ms: u64) -> Arc<LockOwners> {
        let state = State { next: unix_ms.wrapping_mul(OWNERS_PER_MS), alive: BTreeSet::new() };
        Arc::new(LockOwners { node, state: Mutex::new(state) })
    }

    /// A new owner.
    pub fn begin(self: &Arc<Self>) -> OwnerGuard {
        let mut state = self.state.lock();
        let owner = self.next(&mut state);
        state.alive.insert(owner);
        OwnerGuard { owner, all: self.clone() }
    }

    /// A number that no owner and no other caller gets.
    pub fn number(&self) -> u64 {
        self.next(&mut self.state.lock()).0
    }

    fn next(&self, state: &mut State) -> LockOwner {
        let owner = LockOwner::new(self.node, state.next);
        state.next = state.next.wrapping_add(1);
        owner
    }

    /// Whether an owner of this node still lives.
    pub fn is_alive(&self, owner: LockOwner) -> bool {
        self.state.lock().alive.contains(&owner)
    }
}

impl OwnerGuard {
    /// The owner.
    pub fn owner(&self) -> LockOwner {
        self.owner
    }
}

impl Drop for OwnerGuard {
    fn drop(&mut self) {
        self.all.state.lock().alive.remove(&self.owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lives_as_long_as_its_guard() {
        let owners = LockOwners::new(NodeId(3), 1_000);
        let (first, second) = (owners.begin(), owners.begin());
        assert_eq!(first.owner().node(), NodeId(3));
        assert!(first.owner().age() < second.owner().age());
        assert!(second.owner().0 < owners.number() && owners.number() < owners.begin().owner().0);
        let gone = first.owner();
        drop(first);
        assert!(!owners.is_alive(gone));
        assert!(owners.is_alive(second.owner()));
    }

    #[test]
    fn a_later_process_repeats_no_number() {
        let before = LockOwners::new(NodeId(1), 1_000).begin().owner();
        let after = LockOwners::new(NodeId(1), 1_001).begin().owner();
        assert!(before < after);
    }
}
