//! A clock for tests of what waits: it stands until it is moved.

use base::Clock;
use parking_lot::Mutex;
use std::time::Duration;

/// Time since an arbitrary moment, moved by hand.
pub struct HandClock(pub Mutex<Duration>);

impl HandClock {
    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Clock for HandClock {
    fn monotonic(&self) -> Duration {
        *self.0.lock()
    }

    fn unix_micros(&self) -> u64 {
        self.0.lock().as_micros() as u64
    }
}
