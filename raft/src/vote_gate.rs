//! For a while after a start, a replica with state takes part in no election.
//!
//! A replica that acknowledged a heartbeat, crashed and came back has forgotten that it promised not to
//! elect anyone: openraft starts with a lease of zero. Until the longest lease that it may have granted is
//! over, it answers no Vote and no PreVote, and does not stand itself. Elections that the old leader asked
//! for may pass: it has stopped serving.
//!
//! A replica without state promised nothing, nor did one that a split has just made, and a group of one voter has nobody to promise to: neither
//! needs a gate.

use base::SharedClock;
use std::time::Duration;

/// The gate of one replica.
pub struct VoteGate {
    /// Time.
    clock: SharedClock,
    /// When it opens, monotonic.
    opens_at: Duration,
}

impl VoteGate {
    /// A gate that opens after `closed_for`.
    pub fn new(clock: SharedClock, closed_for: Duration) -> VoteGate {
        let opens_at = clock.monotonic() + closed_for;
        VoteGate { clock, opens_at }
    }

    /// How long it stays closed; `None` when it is open.
    pub fn closed_for(&self) -> Option<Duration> {
        let left = self.opens_at.saturating_sub(self.clock.monotonic());
        (!left.is_zero()).then_some(left)
    }

    /// Whether a vote may be answered.
    pub fn passes(&self, leadership_transfer: bool) -> bool {
        leadership_transfer || self.closed_for().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hand_clock::HandClock;
    use parking_lot::Mutex;
    use std::sync::Arc;

    #[test]
    fn votes_pass_when_the_gate_has_opened_and_transfers_always() {
        let clock = Arc::new(HandClock(Mutex::new(Duration::from_secs(5))));
        let gate = VoteGate::new(clock.clone(), Duration::from_secs(1));
        assert!(!gate.passes(false));
        assert!(gate.passes(true));
        *clock.0.lock() = Duration::from_millis(5999);
        assert!(!gate.passes(false));
        *clock.0.lock() = Duration::from_secs(6);
        assert!(gate.passes(false));
    }

    #[test]
    fn a_gate_of_no_length_is_open() {
        let clock = Arc::new(HandClock(Mutex::new(Duration::ZERO)));
        assert!(VoteGate::new(clock, Duration::ZERO).passes(false));
    }
}
