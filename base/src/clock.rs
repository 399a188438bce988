//! The only place that reads time.
//!
//! Two readings, never mixed: *monotonic* time for waits, leases and latencies, *wall* time for what
//! people read (NOW(), timestamps of the oracle). A simulation brings its own `Clock`.

use std::sync::Arc;
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

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    /// Zero point of `monotonic`.
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[allow(clippy::disallowed_methods)] // The one reader of time.
    pub fn new() -> SystemClock {
        SystemClock { origin: Instant::now() }
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
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
    }
}
