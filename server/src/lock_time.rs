//! The time by which locks expire: the same on every node, whatever their wall clocks say.
//!
//! ```text
//!  timestamp of the oracle ─ its milliseconds ──┐
//!  monotonic time since it came ────────────────┴─> now
//! ```
//!
//! A coordinator writes when its lock expires and another node decides whether that is over. Did each read its own
//! wall clock, a node whose clock is ahead would roll back living transactions of the others, and one whose
//! clock is behind would wait for dead ones. A transaction begins with a timestamp, so a node that writes locks
//! knows the oracle's time; before the first one the wall clock stands in.
//!
//! Not exact, and need not be: an answer of the oracle may have been under way for a while, and the oracle stands
//! still after its own clock was set back. A wrong decision costs a retry, never a wrong result.

use base::{SharedClock, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};

/// No timestamp has come yet.
const UNKNOWN: i64 = i64::MIN;

/// What a node knows of the oracle's time.
pub struct LockTime {
    clock: SharedClock,
    /// The oracle's milliseconds less the monotonic ones, by the last timestamp; or [`UNKNOWN`].
    ahead_ms: AtomicI64,
}

impl LockTime {
    /// Nothing is known yet.
    pub fn new(clock: SharedClock) -> LockTime {
        LockTime { clock, ahead_ms: AtomicI64::new(UNKNOWN) }
    }

    /// The oracle has just given this timestamp.
    pub fn heard(&self, timestamp: Timestamp) {
        let ahead = timestamp.unix_ms() as i64 - self.monotonic_ms();
        self.ahead_ms.store(ahead, Ordering::Relaxed);
    }

    /// Now, milliseconds since 1970.
    pub fn unix_ms(&self) -> u64 {
        match self.ahead_ms.load(Ordering::Relaxed) {
            UNKNOWN => self.clock.unix_ms(),
            ahead => self.monotonic_ms().saturating_add(ahead).max(0) as u64,
        }
    }

    fn monotonic_ms(&self) -> i64 {
        self.clock.monotonic().as_millis() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Clock;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    /// Both readings as the test sets them, milliseconds.
    #[derive(Default)]
    struct HandClock {
        monotonic: AtomicU64,
        wall: AtomicU64,
    }

    impl Clock for HandClock {
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.monotonic.load(Ordering::Relaxed))
        }

        fn unix_micros(&self) -> u64 {
            self.wall.load(Ordering::Relaxed) * 1000
        }
    }

    #[test]
    fn locks_expire_by_the_oracles_time_and_not_by_a_wall_clock_that_jumps() {
        let clock = Arc::new(HandClock::default());
        let time = LockTime::new(clock.clone());
        clock.wall.store(50_000, Ordering::Relaxed);
        assert_eq!(time.unix_ms(), 50_000, "before the first timestamp");
        clock.monotonic.store(700, Ordering::Relaxed);
        time.heard(Timestamp::from_unix_ms(60_000));
        clock.wall.store(90_000, Ordering::Relaxed);
        assert_eq!(time.unix_ms(), 60_000);
        clock.monotonic.store(1_700, Ordering::Relaxed);
        clock.wall.store(0, Ordering::Relaxed);
        assert_eq!(time.unix_ms(), 61_000);
        time.heard(Timestamp::from_unix_ms(60_500));
        assert_eq!(time.unix_ms(), 60_500, "the oracle is right, also when it is behind");
    }
}
