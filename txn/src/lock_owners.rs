//! The transactions of a node that hold row locks, wherever those are, and the numbers of its commits.
//!
//! A leader keeps row locks for transactions of other nodes, and asks those nodes now and then which of them still
//! live, and which of their lock requests are still under way: so locks and waits go when a client, its gateway or a
//! message is lost.

use crate::command::LockOwner;
use base::NodeId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
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
    alive: BTreeMap<LockOwner, Requests>,
}

/// The lock requests of an owner, one after the other.
#[derive(Debug, Default)]
struct Requests {
    /// The number of the last one; 0 when there was none.
    last: u64,
    /// Whether it is under way.
    open: bool,
}

/// A transaction's right to hold locks; over when dropped.
#[derive(Debug)]
pub struct OwnerGuard {
    owner: LockOwner,
    all: Arc<LockOwners>,
}

/// A lock request under way; over when dropped.
#[derive(Debug)]
pub struct OpenRequest {
    owner: LockOwner,
    number: u64,
    all: Arc<LockOwners>,
}

impl LockOwners {
    /// None yet. `unix_ms` is the wall clock: numbers go on where an earlier process of the node cannot have come.
    pub fn new(node: NodeId, unix_ms: u64) -> Arc<LockOwners> {
        let state = State { next: unix_ms.wrapping_mul(OWNERS_PER_MS), alive: BTreeMap::new() };
        Arc::new(LockOwners { node, state: Mutex::new(state) })
    }

    /// A new owner.
    pub fn begin(self: &Arc<Self>) -> OwnerGuard {
        let mut state = self.state.lock();
        let owner = self.next(&mut state);
        state.alive.insert(owner, Requests::default());
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
        self.state.lock().alive.contains_key(&owner)
    }

    /// Whether a lock request of an owner of this node is still under way.
    pub fn is_under_way(&self, owner: LockOwner, number: u64) -> bool {
        let state = self.state.lock();
        state.alive.get(&owner).is_some_and(|requests| requests.open && requests.last == number)
    }
}

impl OwnerGuard {
    /// The owner.
    pub fn owner(&self) -> LockOwner {
        self.owner
    }

    /// A lock request begins; those before it are over.
    pub fn begin_request(&self) -> OpenRequest {
        let mut state = self.all.state.lock();
        let requests = state.alive.entry(self.owner).or_default();
        requests.last += 1;
        requests.open = true;
        OpenRequest { owner: self.owner, number: requests.last, all: self.all.clone() }
    }
}

impl OpenRequest {
    /// Its number among the owner's requests, from 1 on.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if let Some(requests) = self.all.state.lock().alive.get_mut(&self.owner)
            && requests.last == self.number
        {
            requests.open = false;
        }
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
    fn a_request_is_under_way_until_it_is_dropped_or_another_begins() {
        let owners = LockOwners::new(NodeId(3), 1_000);
        let guard = owners.begin();
        let owner = guard.owner();
        let first = guard.begin_request();
        assert!(owners.is_under_way(owner, first.number()));
        let second = guard.begin_request();
        assert!(!owners.is_under_way(owner, first.number()));
        drop(first);
        assert!(owners.is_under_way(owner, second.number()));
        drop(guard);
        assert!(!owners.is_under_way(owner, second.number()));
    }

    #[test]
    fn a_later_process_repeats_no_number() {
        let before = LockOwners::new(NodeId(1), 1_000).begin().owner();
        let after = LockOwners::new(NodeId(1), 1_001).begin().owner();
        assert!(before < after);
    }
}
