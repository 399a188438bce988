//! Drops versions of rows that nobody may read any more, on the shards that this node leads.
//!
//! ```text
//! safe point = the oracle's now − retention, but not after the oldest read point of any node that answers
//! shard due? ─> pass: step of 1 MiB ─> dead versions? ─> one entry of the log drops them ─> next step …
//!      ▲                                                                                       │
//!      └──── pause: at least 30 s (or the retention), at least 20 times what the pass took ────┘
//! ```
//!
//! A shard is due when something was written that a pass with this safe point could drop. Dropping goes through the
//! Raft log like any write, so replicas stay equal byte by byte; a transaction that began before the safe point is
//! told so (error 9006) and never reads a part.
//!
//! Invariants:
//! 1. The safe point comes from the oracle, never from this node's clock.
//! 2. A transaction is waited for until its read point is a day old, wherever it runs and however old the point was when it
//!    began. What a node that does not answer reads is not.
//! 3. At most a twentieth of the time goes to passes, at `COLLECT_BYTES_PER_SECOND`.
//!
//! Not here: transaction records (`record_collector`).

use crate::cluster_client::ClusterClient;
use crate::gossip::Gossip;
use crate::local_shards::LocalShards;
use base::limits::{
    COLLECT_BYTES_PER_SECOND, COLLECT_LOOK_PAUSE, COLLECT_PASS_PAUSE_FACTOR,
    COLLECT_PASS_PAUSE_MIN, READER_HOLD_MAX,
};
use base::{ShardId, SharedClock, Timestamp};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use txn::ShardClient;
use txn::shard::Shard;

/// What a node's collectors did, for metrics.
#[derive(Debug, Default)]
pub struct CollectorCounters {
    /// Versions dropped.
    pub dropped: AtomicU64,
    /// Versions passed.
    pub passed: AtomicU64,
    /// Passes over a shard that came to its end.
    pub passes: AtomicU64,
    /// Transaction records dropped.
    pub records_dropped: AtomicU64,
    /// Transaction records passed.
    pub records_passed: AtomicU64,
    /// Old locks resolved.
    pub locks_resolved: AtomicU64,
    /// How old, when this was last looked at, the oldest transaction was that keeps younger ones' records.
    pub records_behind_ms: AtomicU64,
}

/// What is remembered of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memory {
    /// Its applied index at the last look.
    applied: u64,
    /// The oracle's now when that index was first seen.
    changed_at: Timestamp,
    /// The last pass.
    pass: Option<Pass>,
}

/// A pass that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pass {
    /// Its safe point.
    safe_point: Timestamp,
    /// When it ended, monotonic.
    ended: Duration,
    /// How long it took.
    took: Duration,
}

impl Memory {
    /// Notes the applied index of now.
    fn look(&mut self, applied: u64, now: Timestamp) {
        if self.applied != applied || self.changed_at == Timestamp::ZERO {
            (self.applied, self.changed_at) = (applied, now);
        }
    }

    /// Whether a pass with this safe point may find something, and the last one is long enough ago.
    fn is_due(&self, safe_point: Timestamp, now: Duration, pause_min: Duration) -> bool {
        let Some(pass) = self.pass else { return true };
        let pause = pause_min.max(pass.took * COLLECT_PASS_PAUSE_FACTOR);
        // Everything written before `changed_at` was old enough for the last pass, and nothing came since.
        let nothing_new = self.changed_at <= pass.safe_point;
        safe_point > pass.safe_point && now >= pass.ended + pause && !nothing_new
    }
}

/// The safe point of a moment: not after what somebody still reads, unless that one has read for too long.
fn safe_point(now: Timestamp, retention: Duration, oldest_read: Option<Timestamp>) -> Timestamp {
    let ago = |time: Duration| {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_unix_ms(now.unix_ms().saturating_sub(time))
    };
    let held = oldest_read.unwrap_or(Timestamp::MAX).max(ago(READER_HOLD_MAX.max(retention)));
    ago(retention).min(held)
}

/// Collects until the node stops.
pub async fn run(
    client: Arc<ClusterClient>,
    local: Arc<LocalShards>,
    clock: SharedClock,
    gossip: Arc<Gossip>,
    retention: Duration,
    counters: Arc<CollectorCounters>,
) {
    let mut memories: BTreeMap<ShardId, Memory> = BTreeMap::new();
    let pause_min = COLLECT_PASS_PAUSE_MIN.min(retention);
    loop {
        tokio::time::sleep(COLLECT_LOOK_PAUSE).await;
        let leads = local.all().into_iter().filter(|local| local.group.serving_term().is_some());
        let leads: Vec<_> = leads.collect();
        // What this node does not lead, its leader collects; here it begins anew one day.
        memories.retain(|shard, _| leads.iter().any(|local| local.group.shard() == *shard));
        if leads.is_empty() {
            continue;
        }
        let Ok(now) = client.timestamp().await else { continue };
        let safe_point = safe_point(now, retention, gossip.oldest_read());
        for local in leads {
            let id = local.group.shard();
            let memory = memories.entry(id).or_default();
            memory.look(local.group.status().applied_index, now);
            if !memory.is_due(safe_point, clock.monotonic(), pause_min) {
                continue;
            }
            let began = clock.monotonic();
            match pass(&local.shard, safe_point, &counters).await {
                Ok(dropped) => {
                    let ended = clock.monotonic();
                    memory.pass = Some(Pass { safe_point, ended, took: ended - began });
                    if dropped > 0 {
                        tracing::info!(shard = %id, dropped, took = ?(ended - began), "old versions dropped");
                    }
                }
                // Another leader, or no quorum: the next look tries again.
                Err(error) => {
                    tracing::debug!(shard = %id, %error, "a pass of the collector broke off")
                }
            }
        }
    }
}

/// One pass over a shard. Returns how many versions it dropped.
async fn pass(
    shard: &Arc<Shard>,
    safe_point: Timestamp,
    counters: &CollectorCounters,
) -> txn::Result<u64> {
    let (mut from, mut total) = (Bytes::new(), 0);
    loop {
        let (reading, at) = (shard.clone(), from.clone());
        let dead = tokio::task::spawn_blocking(move || reading.find_dead(&at, safe_point)).await;
        let dead = dead.map_err(|error| txn::Error::Engine { what: error.to_string() })??;
        counters.passed.fetch_add(dead.versions, Ordering::Relaxed);
        if !dead.keys.is_empty() {
            let dropped = shard.drop_dead(dead.keys, safe_point).await?;
            counters.dropped.fetch_add(dropped, Ordering::Relaxed);
            total += dropped;
        }
        let Some(next) = dead.next else { break };
        from = next;
        tokio::time::sleep(Duration::from_micros(
            dead.bytes * 1_000_000 / COLLECT_BYTES_PER_SECOND,
        ))
        .await;
    }
    counters.passes.fetch_add(1, Ordering::Relaxed);
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_safe_point_lies_a_retention_before_the_oracles_now() {
        assert_eq!(safe_point(at(5000), s(3600), None), at(1400));
        assert_eq!(safe_point(at(5), s(3600), None), Timestamp::ZERO);
    }

    #[test]
    fn who_reads_is_waited_for_but_not_for_ever() {
        let now = at(1_000_000);
        assert_eq!(safe_point(now, s(3600), Some(at(999_000))), at(996_400), "younger");
        assert_eq!(safe_point(now, s(3600), Some(at(990_000))), at(990_000), "older");
        let day = READER_HOLD_MAX.as_secs();
        assert_eq!(safe_point(now, s(3600), Some(at(3))), at(1_000_000 - day));
        assert_eq!(safe_point(now, s(2 * day), Some(at(3))), at(1_000_000 - 2 * day));
    }

    #[test]
    fn a_shard_is_due_until_a_pass_was_later_than_its_last_write() {
        let mut memory = Memory::default();
        memory.look(7, at(1000));
        assert!(memory.is_due(at(900), s(0), s(30)), "never passed");
        memory.pass = Some(Pass { safe_point: at(900), ended: s(100), took: s(1) });
        assert!(!memory.is_due(at(930), s(129), s(30)), "too soon");
        assert!(
            memory.is_due(at(930), s(130), s(30)),
            "what was written at 1000 may be dead later"
        );
        memory.pass = Some(Pass { safe_point: at(1000), ended: s(200), took: s(1) });
        memory.look(7, at(1200));
        assert!(!memory.is_due(at(1100), s(500), s(30)), "nothing came since");
        memory.look(8, at(1300));
        assert!(memory.is_due(at(1200), s(500), s(30)));
    }

    #[test]
    fn a_long_pass_is_followed_by_a_long_pause() {
        let pass = Pass { safe_point: at(900), ended: s(1000), took: s(60) };
        let memory = Memory { applied: 7, changed_at: at(1000), pass: Some(pass) };
        assert!(!memory.is_due(at(2000), s(1000 + 1199), s(30)));
        assert!(memory.is_due(at(2000), s(1000 + 1200), s(30)));
    }
}
