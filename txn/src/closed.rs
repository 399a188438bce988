//! Closed timestamps: up to when a replica that does not lead can answer reads.
//!
//! ```text
//! leader    T was handed out ─► writes under way that may commit at T or before are over ─► "T is closed at entry i"
//! follower                          … applied i ─► reads at T and before are answered here
//! ```
//!
//! A pair of timestamp and entry is a promise about the shard's one log: after the entry, no version appears at the
//! timestamp or before, but for versions whose locks are in the log up to the entry. Entries that are applied never change,
//! so a promise holds for ever, whoever leads later; what it needs is that whoever gave it led at that time
//! ([`crate::shard::Shard::close`]).
//!
//! Invariants:
//! 1. A timestamp is usable only once its entry is applied here.
//! 2. The usable timestamp never falls.

use base::Timestamp;
use base::limits::CLOSED_PENDING_MAX;
use std::collections::VecDeque;

/// A promise: after the entry nothing becomes visible at the timestamp or before, but what is locked by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The timestamp.
    pub ts: Timestamp,
    /// The entry of the shard's log.
    pub index: u64,
}

/// What a replica has been promised.
#[derive(Debug, Default)]
pub(crate) struct ClosedTimestamps {
    /// The latest promise whose entry is applied.
    usable: Timestamp,
    /// Later ones, oldest first.
    pending: VecDeque<Closed>,
}

impl ClosedTimestamps {
    /// Takes a promise in. One that says nothing new is left out.
    pub(crate) fn learn(&mut self, closed: Closed) {
        let newest = self.pending.back().map_or(self.usable, |newest| newest.ts);
        if closed.ts <= newest {
            return;
        }
        if self.pending.len() >= CLOSED_PENDING_MAX {
            // The older ones come true first.
            self.pending.pop_back();
        }
        self.pending.push_back(closed);
    }

    /// Up to when a replica that has applied so much can answer.
    pub(crate) fn at(&mut self, applied: u64) -> Timestamp {
        while let Some(next) = self.pending.front().filter(|next| next.index <= applied) {
            self.usable = next.ts;
            self.pending.pop_front();
        }
        self.usable
    }

    /// The entry that must be applied before a read at `ts` can be answered; `None` when nothing was promised for it.
    pub(crate) fn entry_for(&self, ts: Timestamp) -> Option<u64> {
        if ts <= self.usable {
            return Some(0);
        }
        self.pending.iter().find(|promise| ts <= promise.ts).map(|promise| promise.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(ts: u64, index: u64) -> Closed {
        Closed { ts: Timestamp(ts), index }
    }

    #[test]
    fn a_promise_is_usable_when_its_entry_is_applied() {
        let mut closed = ClosedTimestamps::default();
        assert_eq!(closed.at(9), Timestamp::ZERO);
        closed.learn(promise(10, 3));
        closed.learn(promise(20, 5));
        // It came late and promises less.
        closed.learn(promise(15, 4));
        assert_eq!(closed.entry_for(Timestamp(10)), Some(3));
        assert_eq!(closed.entry_for(Timestamp(15)), Some(5));
        assert_eq!(closed.entry_for(Timestamp(21)), None);
        assert_eq!(closed.at(2), Timestamp::ZERO);
        assert_eq!(closed.at(4), Timestamp(10));
        assert_eq!(closed.at(5), Timestamp(20));
        assert_eq!(closed.at(1), Timestamp(20), "it never falls");
        assert_eq!(closed.entry_for(Timestamp(20)), Some(0));
    }

    #[test]
    fn a_replica_that_lags_keeps_the_promises_that_come_true_first() {
        let mut closed = ClosedTimestamps::default();
        for number in 1..=100 {
            closed.learn(promise(number, number));
        }
        assert_eq!(closed.pending.len(), CLOSED_PENDING_MAX);
        assert_eq!(closed.at(1), Timestamp(1));
        assert_eq!(closed.at(100), Timestamp(100));
    }
}
