//! The probe: how long a client cannot read or write, shard by shard.
//!
//! A lane is one key. Every 10 ms it writes the key and reads it back over one connection; what fails goes
//! on at another node at once. Beside the outages it keeps what a report draws: answers and errors per
//! 100 ms, latencies, errors by MySQL's number.
//!
//! ```text
//!  ok ok ok  FAIL  fail  fail  ok ok fail ok ok ok ok … ok
//!            └───────────── outage ──────┘└── 1 s of ok ──┘
//! ```
//!
//! pMax is the longest time between two answers of a lane that were good: it also counts a statement that
//! only took long.

mod lane;
mod latency;
mod measure;
mod report;

pub use latency::Latencies;
pub use measure::{Gap, Outage, Tick};
pub use report::{LaneReport, Report};

use super::{Stop, Target};
use crate::history::Failure;

/// What to probe.
#[derive(Clone, Debug)]
pub struct Lane {
    /// How reports call it: `shard 3`, `key 7`.
    pub name: String,
    /// The key that it writes and reads: the primary key of its row.
    pub key: i64,
}

/// A running probe.
pub struct Probe {
    stop: Stop,
    lanes: Vec<tokio::task::JoinHandle<measure::Measure>>,
}

impl Probe {
    /// One lane for each shard that answers for a part of the slots.
    ///
    /// # Errors
    /// When SHOW SHARDS does not answer.
    pub async fn lane_per_shard(target: &Target) -> Result<Vec<Lane>, Failure> {
        lane::per_shard(target).await
    }

    /// Makes the probe's table and starts the lanes on the present tokio runtime.
    ///
    /// # Errors
    /// When the table cannot be made.
    pub async fn start(target: &Target, lanes: Vec<Lane>) -> Result<Probe, Failure> {
        lane::prepare(target, &lanes).await?;
        let stop = Stop::default();
        let lanes = lanes
            .into_iter()
            .map(|lane| tokio::spawn(lane::run(lane, target.clone(), stop.clone())))
            .collect();
        Ok(Probe { stop, lanes })
    }

    /// Stops the lanes and says what they measured. Times are of the target's monotonic clock.
    ///
    /// # Panics
    /// When a lane panicked.
    pub async fn finish(self) -> Report {
        self.stop.set();
        let mut lanes = Vec::with_capacity(self.lanes.len());
        for lane in self.lanes {
            lanes.push(lane.await.expect("a lane of the probe does not panic"));
        }
        Report::of(lanes)
    }
}
