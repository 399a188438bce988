//! Clocks of simulated nodes, some faster than others.
//!
//! All of a node's time is its tokio runtime's, which stands still but for what the simulation moves it by: the
//! leases and timeouts of openraft, the vote gate, every sleep. A fast clock is a task that moves it on a
//! little more, whenever it has fallen behind where a fast clock would be.

use base::Clock;
use std::time::Duration;

/// How often a fast clock is moved on.
const STEP: Duration = Duration::from_millis(20);

/// The clock of a simulated node.
pub struct SimClock(tokio::time::Instant);

#[allow(clippy::disallowed_methods)] // The simulation's own clock.
impl SimClock {
    /// A clock that starts now.
    pub fn new() -> SimClock {
        SimClock(tokio::time::Instant::now())
    }
}

impl Clock for SimClock {
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_micros(&self) -> u64 {
        world_time().as_micros() as u64
    }
}

/// Time of the simulation, the same for all nodes up to a tick.
pub fn world_time() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// Makes this node's clock run `rate` times as fast as the simulation, at least 1.
pub async fn drift(rate: f64) {
    let clock = SimClock::new();
    let begun = world_time();
    loop {
        tokio::time::sleep(STEP).await;
        let wanted = world_time().saturating_sub(begun).mul_f64(rate);
        // What falls inside this tick of the simulation is not gained, so some of it is made up later.
        let behind = wanted.saturating_sub(clock.monotonic());
        if rate > 1.0 && !behind.is_zero() {
            tokio::time::advance(behind).await;
        }
    }
}
