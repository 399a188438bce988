//! A clock that goes as fast as tokio's paused time.

use base::Clock;
use std::time::Duration;
use tokio::time::Instant;

/// The same moment in every run, microseconds since 1970.
const START_US: u64 = 1_000_000_000;

/// Time since it was made, on tokio's clock.
#[derive(Clone, Copy, Debug)]
pub struct PausedClock(Instant);

impl PausedClock {
    /// Starts now.
    #[allow(clippy::disallowed_methods)] // Paused time is the same in every run.
    pub fn start() -> PausedClock {
        PausedClock(Instant::now())
    }
}

impl Clock for PausedClock {
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_micros(&self) -> u64 {
        START_US + self.0.elapsed().as_micros() as u64
    }
}
