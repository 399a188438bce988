//! Row locks when a shard is split, and when two become one.
//!
//! ```text
//!  parent a..c        held: k1 (slot < b)   k2 (slot ≥ b)        lines behind both
//!  set_apart ──────►  held: k1              aside, for the child: k2      the line of k2 ends
//!  the child leads here in time ──► takes k2 in (`handover`)
//!  the split has failed ──────────► put_back: held again by the parent
//! ```
//!
//! A shard that is taken in by its left neighbour gives its locks to that one's leader when it is frozen.
//!
//! While locks are set apart nobody is served who could ask for them. Another node may lead the child first: then they are lost
//! as with a leader that fails, which costs a retry.

use super::handover::Aside;
use super::{GONE, HeldLock, KeyLocks, RowLocks};
use base::{ShardId, SlotRange};
use bytes::Bytes;
use engine::mvcc;
use std::sync::atomic::Ordering;

impl RowLocks {
    /// Moves the locks of a shard's keys outside of its `own` slots aside, for the shard that gets these slots. Who waits for
    /// one has to ask there.
    pub fn set_apart(&self, shard: ShardId, child: ShardId, own: SlotRange) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        // A key that is locked was located by its slot, so it has one.
        let is_foreign = |key: &[u8]| mvcc::is_foreign(Some(own), key).unwrap_or(false);
        let foreign = |(key, locks): (&Bytes, &KeyLocks)| {
            (locks.shard == shard && is_foreign(key)).then(|| key.clone())
        };
        let keys: Vec<Bytes> = state.keys.iter().filter_map(foreign).collect();
        if keys.is_empty() {
            return;
        }
        let mut aside = Aside::of_child(shard, now);
        let (mut moved, mut left) = (0_usize, 0_usize);
        for key in keys {
            let Some(locks) = state.keys.remove(&key) else { continue };
            self.held.fetch_sub(locks.holders.len(), Ordering::SeqCst);
            for held in locks.holders {
                state.forget(held.owner, &key);
                let lock = HeldLock { key: key.clone(), owner: held.owner, mode: held.mode };
                match aside.add(lock) {
                    true => moved += 1,
                    false => left += 1,
                }
            }
            for waiter in locks.line {
                state.waits.remove(&(waiter.owner, key.clone()));
                waiter.end(GONE);
            }
        }
        state.aside.insert(child, aside);
        tracing::info!(%shard, %child, moved, left, "row locks wait for the shard that is split off");
    }

    /// Makes a shard hold the locks of a neighbour that it has taken in. They do not wait for a leadership: this one has them
    /// from its first request for the neighbour's slots on.
    pub fn take_over(&self, shard: ShardId, locks: Vec<HeldLock>) {
        let mut state = self.state.lock();
        for HeldLock { key, owner, mode } in locks {
            self.take_beside(&mut state, shard, owner, &key, mode);
        }
    }

    /// Takes back what was set apart: the split has failed.
    pub fn put_back(&self, shard: ShardId, child: ShardId) {
        let mut state = self.state.lock();
        let Some(aside) = state.aside.remove(&child) else { return };
        for HeldLock { key, owner, mode } in aside.into_locks() {
            self.take_beside(&mut state, shard, owner, &key, mode);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::{LockMode, LockOwner};
    use crate::row_locks::{Asked, Asker, RowLocks};
    use crate::testing::PausedClock;
    use base::{IndexId, ShardId, Slot, SlotRange, TableId};
    use bytes::Bytes;
    use engine::key::KeyBuilder;
    use std::sync::Arc;

    const PARENT: ShardId = ShardId(1);
    const CHILD: ShardId = ShardId(2);
    const OWN: SlotRange = SlotRange { start: 0, end: 100 };

    fn key(slot: u16) -> Bytes {
        KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY).finish(Slot(slot))
    }

    fn asker(owner: u64) -> Asker {
        Asker { owner: LockOwner(owner), request: 1, weight: 0 }
    }

    fn locks() -> Arc<RowLocks> {
        let locks = RowLocks::new(Arc::new(PausedClock::start()));
        for slot in [99, 100] {
            let asked = locks.ask(PARENT, asker(7), &key(slot), LockMode::Exclusive, true).unwrap();
            assert!(matches!(asked, Asked::Granted));
        }
        locks
    }

    fn is_held(locks: &RowLocks, slot: u16) -> bool {
        locks.is_blocked(&key(slot), None, LockMode::Exclusive)
    }

    #[tokio::test(start_paused = true)]
    async fn locks_of_the_childs_slots_are_taken_in_by_its_first_leadership() {
        let locks = locks();
        let waits = locks.ask(PARENT, asker(8), &key(100), LockMode::Exclusive, true).unwrap();
        let Asked::Waits(wait) = waits else { panic!("somebody holds it") };
        locks.set_apart(PARENT, CHILD, OWN);
        assert!(is_held(&locks, 99) && !is_held(&locks, 100));
        assert_eq!(wait.ended().await, crate::row_locks::WaitOutcome::Gone);
        drop(wait);
        locks.take_in(CHILD, 1);
        assert!(is_held(&locks, 99) && is_held(&locks, 100));
        locks.release(PARENT, LockOwner(7));
        assert!(!is_held(&locks, 99) && is_held(&locks, 100), "the child's is another shard's");
        locks.release(CHILD, LockOwner(7));
        assert!(locks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_release_at_the_parent_reaches_locks_that_wait_for_the_child() {
        let locks = locks();
        locks.set_apart(PARENT, CHILD, OWN);
        locks.release(PARENT, LockOwner(7));
        locks.take_in(CHILD, 1);
        assert!(locks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_split_that_fails_changes_nothing() {
        let locks = locks();
        locks.set_apart(PARENT, CHILD, OWN);
        locks.put_back(PARENT, CHILD);
        assert!(is_held(&locks, 99) && is_held(&locks, 100));
        locks.release(PARENT, LockOwner(7));
        assert!(locks.is_empty());
    }
}
