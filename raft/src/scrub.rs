//! Reads everything a node stores, slowly and again and again, so that rot is found before it is needed.
//!
//! A record or block that nobody reads for months may rot on every replica in turn, and then there is no
//! good copy left. A pass reads every sealed segment of the Raft log below the watermark, then every replica's
//! engine, and checks all checksums, at a limited byte rate and past the caches.
//!
//! ```text
//! damage in the log       replicas with entries in the bad record stop; votes and purge points that may have
//!                         stood in it are written again from memory
//! damage in an engine     its replica stops
//! ```
//!
//! A replica that stops says in which file and where, keeps its folder and log as evidence, and is replaced under
//! a new id. Nothing is repaired in place.

use crate::applier::blocking;
use crate::log::SharedLog;
use crate::log::scrub::Step;
use crate::replica::Replica;
use crate::transport::service::Registry;
use base::limits;
use bytes::Bytes;
use engine::Engine;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Figures of the scrubs since the start.
#[derive(Debug, Default)]
pub struct ScrubCounters {
    /// Passes ended.
    passes: AtomicU64,
    /// Bytes read, roughly.
    bytes: AtomicU64,
    /// Places found damaged.
    damaged: AtomicU64,
}

/// Figures of the scrubs since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubMetrics {
    /// Passes ended.
    pub passes: u64,
    /// Bytes read, roughly.
    pub bytes: u64,
    /// Places found damaged.
    pub damaged: u64,
}

impl ScrubCounters {
    /// The figures now.
    pub fn metrics(&self) -> ScrubMetrics {
        ScrubMetrics {
            passes: self.passes.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
        }
    }
}

/// Scrubs until the node has ended.
pub async fn run(registry: Weak<Registry>, log: SharedLog, counters: Arc<ScrubCounters>) {
    let mut pause = limits::SCRUB_FIRST;
    loop {
        if !sleep_while(&registry, pause).await {
            return;
        }
        let Some(here) = registry.upgrade() else { return };
        pass(&here, &log, &counters, limits::SCRUB_BYTES_PER_SECOND).await;
        pause = limits::SCRUB_INTERVAL;
    }
}

/// Sleeps in short parts, so that it ends with the node. Whether the node is still there.
async fn sleep_while(registry: &Weak<Registry>, pause: Duration) -> bool {
    let mut left = pause;
    while !left.is_zero() {
        let part = left.min(limits::SCRUB_LOOK);
        tokio::time::sleep(part).await;
        left -= part;
        if registry.strong_count() == 0 {
            return false;
        }
    }
    true
}

/// One pass over everything.
pub async fn pass(registry: &Registry, log: &SharedLog, counters: &ScrubCounters, rate: u64) {
    for segment in log.sealed_segments() {
        scrub_segment(registry, log, counters, segment, rate).await;
    }
    for replica in registry.all() {
        scrub_engine(&replica, counters, rate).await;
    }
    counters.passes.fetch_add(1, Ordering::Relaxed);
}

/// Counts what was read, and rests as long as the rate wants.
async fn rest(counters: &ScrubCounters, bytes: u64, rate: u64) {
    counters.bytes.fetch_add(bytes, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_micros(bytes.saturating_mul(1_000_000) / rate.max(1))).await;
}

/// Checks one segment of the log.
async fn scrub_segment(
    registry: &Registry,
    log: &SharedLog,
    counters: &ScrubCounters,
    segment: u64,
    rate: u64,
) {
    let mut offset = crate::log::segment::SEGMENT_HEADER_BYTES;
    loop {
        let reader = log.clone();
        let step =
            blocking(move || reader.scrub_segment(segment, offset, limits::SCRUB_STEP_BYTES));
        match step.await {
            // It was freed meanwhile.
            Ok(None) => return,
            Ok(Some(Step::Sound { next, bytes })) => {
                offset = next;
                rest(counters, bytes, rate).await;
            }
            Ok(Some(Step::End)) => return,
            Ok(Some(Step::Damaged { place, replicas, next })) => {
                counters.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%place, "the scrub found a damaged record in the Raft log");
                for key in replicas {
                    if let Some(replica) = registry.get(key.0).filter(|replica| replica.key == key)
                    {
                        replica.context.health.stop(format!("corrupt Raft log record in {place}"));
                    }
                }
                log.rewrite_marks();
                match next {
                    Some(next) => offset = next,
                    None => return,
                }
            }
            Err(error) => {
                // A disk that cannot read is no damage that one replica could be blamed for; the reader
                // who needs the record will say so.
                counters.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(segment, %error, "the scrub cannot read a segment of the Raft log");
                return;
            }
        }
    }
}

/// Checks one replica's engine. What is damaged stops the replica where the engine's errors are watched.
async fn scrub_engine(replica: &Arc<Replica>, counters: &ScrubCounters, rate: u64) {
    let mut from = Bytes::new();
    loop {
        if replica.context.health.stopped() {
            return;
        }
        let (slot, at) = (replica.slot().clone(), from.clone());
        let outcome = blocking(move || slot.verify(&at, limits::SCRUB_STEP_BYTES)).await;
        match outcome {
            Ok(step) => {
                rest(counters, step.bytes, rate).await;
                match step.next {
                    Some(next) => from = next,
                    None => return,
                }
            }
            Err(error @ engine::Error::Corrupt { .. }) => {
                counters.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(shard = %replica.key.0, %error, "the scrub found a damaged engine");
                return;
            }
            // Closed, or replaced by a Raft snapshot: the next pass looks at what is there then.
            Err(error) => {
                tracing::info!(shard = %replica.key.0, %error, "an engine was not scrubbed to its end");
                return;
            }
        }
    }
}
