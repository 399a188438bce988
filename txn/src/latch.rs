//! Latches: who is evaluating or replicating a write of which key, right now, at this leader.
//!
//! A write holds the latches of all its keys from before it reads them until its batch is applied, so
//! what it checked is still true when it takes effect. Readers look at latches too: a write that already
//! has its commit timestamp but is not applied yet must not be missed by a later read.
//!
//! ```text
//!  enqueue ─► waiting ─► granted ─► asks the oracle ─► stamped with commit_ts ─► dropped (applied, or failed)
//!                           │             │                 └ readers at ts ≥ commit_ts wait for the drop
//!                           │             └ readers of the newest versions wait for the drop
//!                           └ readers at a ts wait for the stamp
//! ```
//!
//! Why readers of the newest versions wait too: a write that has its timestamp may be slow to be applied while a later
//! one on another shard is answered already. Whoever has seen the later one and then missed the earlier one would
//! contradict every snapshot taken between the two.
//!
//! Tickets join the queues of all their keys in one step, so any two tickets stand in the same order in
//! every queue they share: no deadlock, first come first served.
//!
//! A ticket that is not granted yet needs no reader's attention: it will fetch its timestamp after the
//! grant, later than the read point of any reader that looks now.
//!
//! Invariants:
//! 1. A key's holder is granted as soon as it holds all its keys.
//! 2. Dropping a guard, granted or not, takes its ticket out of every queue.

use crate::defect;
use base::{KeyRange, Timestamp};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// From which read point on the keys' pending change is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// From a commit timestamp that [`Guard::stamp`] will tell.
    AtStamp,
    /// From this timestamp on.
    From(Timestamp),
    /// Never: locks and records change, no version appears.
    Never,
}

/// Stands for "not stamped yet" in a ticket: no transaction commits at zero.
const UNKNOWN: u64 = Timestamp::ZERO.0;
/// Stands for "the oracle is being asked" in a ticket: no transaction commits at one.
const ASKED: u64 = 1;
/// Stands for "no version appears" in a ticket: no transaction commits at the end of time.
const NEVER: u64 = Timestamp::MAX.0;

/// The latches of one leadership.
#[derive(Debug, Default)]
pub struct Latches {
    /// Who holds and who waits, by key.
    queues: Mutex<BTreeMap<Bytes, Queue>>,
    /// Keys with a holder: a look without the mutex.
    keys: AtomicUsize,
}

/// One key's line.
#[derive(Debug)]
struct Queue {
    /// Holds the key.
    holder: Arc<Ticket>,
    /// Come next, in this order.
    waiters: VecDeque<Arc<Ticket>>,
}

/// One write's place in the queues.
#[derive(Debug)]
struct Ticket {
    /// Keys it does not hold yet; granted at zero. Changed under the queues' mutex.
    missing: AtomicUsize,
    /// Commit timestamp, `UNKNOWN`, `ASKED` or `NEVER`.
    visible_from: AtomicU64,
    /// Set when the guard is gone.
    over: AtomicBool,
    /// Rings at the grant, at the stamp and at the end.
    changed: Notify,
}

impl Ticket {
    /// Whether it has all its keys.
    fn is_granted(&self) -> bool {
        self.missing.load(Ordering::SeqCst) == 0
    }

    /// Whether a read at `ts` must wait for it.
    fn blocks(&self, ts: Timestamp) -> bool {
        if self.over.load(Ordering::SeqCst) || !self.is_granted() {
            return false;
        }
        match self.visible_from.load(Ordering::SeqCst) {
            UNKNOWN => ts != Timestamp::MAX,
            _ if ts == Timestamp::MAX && defect::active("newest-read-passes-pending") => false,
            ASKED => true,
            NEVER => false,
            commit_ts => commit_ts <= ts.0,
        }
    }

    /// Waits until a condition holds that only the ticket's own events can make true.
    async fn until(&self, condition: impl Fn(&Ticket) -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Listens before it looks, so that no ring is missed in between.
            changed.as_mut().enable();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }
}

impl Latches {
    /// Joins the queues of these keys. The guard is granted at once when all of them are free.
    pub fn enqueue(self: &Arc<Self>, mut keys: Vec<Bytes>, visibility: Visibility) -> Guard {
        keys.sort_unstable();
        keys.dedup();
        let visible_from = match visibility {
            Visibility::AtStamp => UNKNOWN,
            Visibility::From(commit_ts) => commit_ts.0,
            Visibility::Never => NEVER,
        };
        let ticket = Arc::new(Ticket {
            missing: AtomicUsize::new(0),
            visible_from: AtomicU64::new(visible_from),
            over: AtomicBool::new(false),
            changed: Notify::new(),
        });
        let mut queues = self.queues.lock();
        let mut missing = 0;
        for key in &keys {
            match queues.get_mut(key) {
                Some(queue) => {
                    queue.waiters.push_back(ticket.clone());
                    missing += 1;
                }
                None => {
                    let queue = Queue { holder: ticket.clone(), waiters: VecDeque::new() };
                    queues.insert(key.clone(), queue);
                    self.keys.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        ticket.missing.store(missing, Ordering::SeqCst);
        drop(queues);
        Guard { latches: self.clone(), keys, ticket }
    }

    /// As [`Latches::enqueue`], and waits for the grant. Giving up (dropping the future) leaves the
    /// queues.
    pub async fn acquire(self: &Arc<Self>, keys: Vec<Bytes>, visibility: Visibility) -> Guard {
        let guard = self.enqueue(keys, visibility);
        guard.granted().await;
        guard
    }

    /// Whether a read of one key at `ts` must wait.
    pub fn blocks_key(&self, key: &[u8], ts: Timestamp) -> bool {
        // Who comes after this look asks the oracle later than the reader did.
        self.keys.load(Ordering::SeqCst) > 0
            && self.queues.lock().get(key).is_some_and(|queue| queue.holder.blocks(ts))
    }

    /// The first pending write that a read of these keys at `ts` must wait for.
    pub fn blocker_of_keys(&self, keys: &[Bytes], ts: Timestamp) -> Option<Blocker> {
        if self.keys.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let queues = self.queues.lock();
        keys.iter()
            .filter_map(|key| queues.get(key))
            .find(|queue| queue.holder.blocks(ts))
            .map(|queue| Blocker { ticket: queue.holder.clone(), ts })
    }

    /// As [`Latches::blocker_of_keys`], for all keys of a range.
    pub fn blocker_in_range(&self, range: &KeyRange, ts: Timestamp) -> Option<Blocker> {
        if self.keys.load(Ordering::SeqCst) == 0 || range.is_empty() {
            return None;
        }
        let end = match range.end.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Excluded(&range.end[..]),
        };
        self.queues
            .lock()
            .range::<[u8], _>((Bound::Included(&range.start[..]), end))
            .find(|(_, queue)| queue.holder.blocks(ts))
            .map(|(_, queue)| Blocker { ticket: queue.holder.clone(), ts })
    }

    /// Every pending write that a read of all keys at `ts` must wait for. One that comes later asks the oracle later.
    pub fn blockers(&self, ts: Timestamp) -> Vec<Blocker> {
        if self.keys.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        let queues = self.queues.lock();
        let blocking =
            queues.values().map(|queue| &queue.holder).filter(|ticket| ticket.blocks(ts));
        blocking
            .filter(|ticket| seen.insert(Arc::as_ptr(ticket)))
            .map(|ticket| Blocker { ticket: ticket.clone(), ts })
            .collect()
    }

    /// The writes that hold all their latches now, each once: those that may have been evaluated.
    pub fn holders(&self) -> Vec<Holder> {
        if self.keys.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        let queues = self.queues.lock();
        let granted =
            queues.values().map(|queue| &queue.holder).filter(|ticket| ticket.is_granted());
        granted
            .filter(|ticket| seen.insert(Arc::as_ptr(ticket)))
            .map(|ticket| Holder { ticket: ticket.clone() })
            .collect()
    }

    /// Takes a ticket out of the queues of its keys and moves up those behind it.
    fn leave(&self, keys: &[Bytes], ticket: &Arc<Ticket>) {
        let mut queues = self.queues.lock();
        ticket.over.store(true, Ordering::SeqCst);
        for key in keys {
            let Some(queue) = queues.get_mut(key) else { continue };
            if !Arc::ptr_eq(&queue.holder, ticket) {
                queue.waiters.retain(|waiter| !Arc::ptr_eq(waiter, ticket));
                continue;
            }
            match queue.waiters.pop_front() {
                Some(next) => {
                    if next.missing.fetch_sub(1, Ordering::SeqCst) == 1 {
                        next.changed.notify_waiters();
                    }
                    queue.holder = next;
                }
                None => {
                    queues.remove(key);
                    self.keys.fetch_sub(1, Ordering::SeqCst);
                }
            }
        }
        drop(queues);
        ticket.changed.notify_waiters();
    }
}

/// A pending write that a reader must wait for.
#[derive(Debug)]
pub struct Blocker {
    /// The write.
    ticket: Arc<Ticket>,
    /// The reader's read point.
    ts: Timestamp,
}

impl Blocker {
    /// Waits until the write is over or turns out to commit after the read point.
    pub async fn cleared(&self) {
        self.ticket.until(|ticket| !ticket.blocks(self.ts)).await;
    }
}

/// A write that held its latches when it was looked for.
#[derive(Debug)]
pub struct Holder {
    /// The write.
    ticket: Arc<Ticket>,
}

impl Holder {
    /// Waits until it holds them no more.
    pub async fn over(&self) {
        self.ticket.until(|ticket| ticket.over.load(Ordering::SeqCst)).await;
    }
}

/// A write's latches. Dropping it lets the next ones in.
#[derive(Debug)]
pub struct Guard {
    /// Where it stands.
    latches: Arc<Latches>,
    /// Its keys, sorted, each once.
    keys: Vec<Bytes>,
    /// Its place.
    ticket: Arc<Ticket>,
}

impl Guard {
    /// Whether it holds all its keys.
    pub fn is_granted(&self) -> bool {
        self.ticket.is_granted()
    }

    /// Waits for the grant.
    pub async fn granted(&self) {
        self.ticket.until(Ticket::is_granted).await;
    }

    /// Tells readers that the oracle is asked for the commit timestamp from now on.
    pub fn asks(&self) {
        self.ticket.visible_from.store(ASKED, Ordering::SeqCst);
    }

    /// Tells readers from when on the change is visible.
    pub fn stamp(&self, commit_ts: Timestamp) {
        self.ticket.visible_from.store(commit_ts.0, Ordering::SeqCst);
        self.ticket.changed.notify_waiters();
    }

    /// Its keys, sorted.
    pub fn keys(&self) -> &[Bytes] {
        &self.keys
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.latches.leave(&self.keys, &self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn keys(text: &str) -> Vec<Bytes> {
        text.chars().map(|c| Bytes::from(c.to_string())).collect()
    }

    fn latches() -> Arc<Latches> {
        Arc::new(Latches::default())
    }

    #[test]
    fn crossing_writes_are_granted_in_order_of_arrival() {
        let latches = latches();
        let first = latches.enqueue(keys("ab"), Visibility::AtStamp);
        let second = latches.enqueue(keys("bc"), Visibility::AtStamp);
        let third = latches.enqueue(keys("ca"), Visibility::AtStamp);
        assert!(first.is_granted() && !second.is_granted() && !third.is_granted());
        drop(first);
        assert!(second.is_granted() && !third.is_granted());
        drop(second);
        assert!(third.is_granted());
        drop(third);
        assert!(latches.queues.lock().is_empty());
    }

    #[test]
    fn a_waiter_that_gives_up_lets_others_pass() {
        let latches = latches();
        let first = latches.enqueue(keys("a"), Visibility::AtStamp);
        let second = latches.enqueue(keys("ab"), Visibility::AtStamp);
        let third = latches.enqueue(keys("b"), Visibility::AtStamp);
        drop(second);
        assert!(third.is_granted());
        drop(first);
        drop(third);
        assert!(latches.queues.lock().is_empty());
    }

    #[test]
    fn a_reader_waits_only_for_writes_it_would_see() {
        let latches = latches();
        let range = KeyRange::new("a", "c");
        let guard = latches.enqueue(keys("b"), Visibility::AtStamp);
        let at = |ts: u64| latches.blocker_in_range(&range, Timestamp(ts));
        let unknown = at(5).expect("not stamped yet");
        assert!(unknown.cleared().now_or_never().is_none());
        let newest = |latches: &Arc<Latches>| latches.blocks_key(b"b", Timestamp::MAX);
        assert!(!newest(&latches), "its timestamp will be later than anything answered by now");
        guard.asks();
        assert!(newest(&latches), "its timestamp may be earlier than something answered");
        guard.stamp(Timestamp(10));
        assert!(unknown.cleared().now_or_never().is_some(), "commits after the reader");
        assert!(at(9).is_none());
        let blocked = at(10).expect("commits at the read point");
        assert!(blocked.cleared().now_or_never().is_none());
        assert!(newest(&latches));
        drop(guard);
        assert!(blocked.cleared().now_or_never().is_some());
    }

    #[test]
    fn holders_are_the_writes_that_were_granted_and_are_not_over() {
        let latches = latches();
        assert!(latches.holders().is_empty());
        let first = latches.enqueue(keys("ab"), Visibility::Never);
        let _second = latches.enqueue(keys("bc"), Visibility::Never);
        let holders = latches.holders();
        assert_eq!(holders.len(), 1, "the second waits for the first");
        assert!(holders[0].over().now_or_never().is_none());
        drop(first);
        assert!(holders[0].over().now_or_never().is_some());
        assert_eq!(latches.holders().len(), 1, "now the second");
    }

    #[test]
    fn all_that_may_commit_by_then_block_a_timestamp() {
        let latches = latches();
        assert!(latches.blockers(Timestamp(5)).is_empty());
        let unknown = latches.enqueue(keys("ab"), Visibility::AtStamp);
        let _invisible = latches.enqueue(keys("c"), Visibility::Never);
        let _earlier = latches.enqueue(keys("d"), Visibility::From(Timestamp(5)));
        let _later = latches.enqueue(keys("e"), Visibility::From(Timestamp(6)));
        let _waiting = latches.enqueue(keys("af"), Visibility::AtStamp);
        let blockers = latches.blockers(Timestamp(5));
        assert_eq!(blockers.len(), 2, "each once, and the one that waits asks the oracle later");
        let cleared = |at: usize| blockers[at].cleared().now_or_never().is_some();
        assert!(!cleared(0) && !cleared(1));
        unknown.stamp(Timestamp(6));
        assert!(cleared(0) && !cleared(1));
    }

    #[test]
    fn a_write_still_waiting_for_a_key_blocks_no_reader() {
        let latches = latches();
        let _first = latches.enqueue(keys("a"), Visibility::Never);
        let _second = latches.enqueue(keys("ab"), Visibility::AtStamp);
        assert!(latches.blocker_of_keys(&keys("ab"), Timestamp(5)).is_none());
    }
}
