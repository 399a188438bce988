//! The only place that reads time.
//!
//! Two readings, never mixed: *monotonic* time for waits, leases and latencies, *wall* time for what
//! people read (NOW(), timestamps of the oracle). A simulation brings its own `Clock`.
//!
//! A drill may move the wall time of one process by a [`WallOffset`]; monotonic time stays true.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Time since a fixed point of this process; never goes back (`CLOCK_MONOTONIC`).
    fn monotonic(&self) -> Duration;

    /// Microseconds since 1970-01-01T00:00:00Z by the machine's wall clock. May jump.
    fn unix_micros(&self) -> u64;

    /// Milliseconds since 1970-01-01T00:00:00Z by the machine's wall clock. May jump.
    fn unix_ms(&self) -> u64 {
        self.unix_micros() / 1000
    }
}

/// A clock that many parts of a node hold.
pub type SharedClock = Arc<dyn Clock>;

/// How far a clock's wall time is from the machine's. Zero outside drills. Clones are the same offset.
#[derive(Clone, Debug, Default)]
pub struct WallOffset {
    /// Microseconds, negative for a clock that is behind.
    micros: Arc<AtomicI64>,
}

impl WallOffset {
    /// Moves every clock that has this offset.
    pub fn set_micros(&self, micros: i64) {
        self.micros.store(micros, Ordering::Relaxed);
    }

    /// The offset now, microseconds.
    pub fn micros(&self) -> i64 {
        self.micros.load(Ordering::Relaxed)
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    /// Zero point of `monotonic`.
    origin: Instant,
    /// Added to wall time.
    offset: WallOffset,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> SystemClock {
        SystemClock::with_offset(WallOffset::default())
    }

    /// The same, with a wall time that whoever else holds the offset moves.
    #[allow(clippy::disallowed_methods)] // The one reader of time.
    pub fn with_offset(offset: WallOffset) -> SystemClock {
        SystemClock { origin: Instant::now(), offset }
    }

    /// The same, ready to share.
    pub fn shared() -> SharedClock {
        Arc::new(SystemClock::new())
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

#[allow(clippy::disallowed_methods)] // The one reader of time.
impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn unix_micros(&self) -> u64 {
        // A clock set before 1970 reads as 1970: no caller can do anything better with it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (now.as_micros() as u64).saturating_add_signed(self.offset.micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MICROS: i64 = 3_600_000_000;
    /// More than a test takes, less than what is set.
    const SLACK_MICROS: i64 = HOUR_MICROS / 2;

    fn ahead(clock: &SystemClock) -> i64 {
        clock.unix_micros() as i64 - SystemClock::new().unix_micros() as i64
    }

    #[test]
    fn an_offset_moves_wall_time_both_ways_and_leaves_monotonic_time_alone() {
        let offset = WallOffset::default();
        let clock = SystemClock::with_offset(offset.clone());
        assert!(ahead(&clock).abs() < SLACK_MICROS);
        for micros in [HOUR_MICROS, -HOUR_MICROS] {
            offset.set_micros(micros);
            assert!((ahead(&clock) - micros).abs() < SLACK_MICROS, "{micros}");
        }
        assert!(clock.monotonic().as_micros() < SLACK_MICROS as u128);
        offset.set_micros(i64::MIN);
        assert_eq!(clock.unix_micros(), 0);
    }
}
