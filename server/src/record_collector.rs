//! Drops records of ended transactions that nobody can ask for any more, on the shards that this node leads, and resolves
//! the old locks that keep such records, wherever they are.
//!
//! ```text
//! every 30 s:  old locks of each shard led here ─> their primaries are asked ─> finished, unless the transaction lives
//!              a shard led here may have old records?
//!                 └─> every shard of the cluster: its oldest lock ─> prepared XA transactions: the oldest ─> limit
//!                        └─> pass over the shard's records: step of 1 MiB ─> one entry of the log drops the old ones …
//! ```
//!
//! *Old* is what began a retention ago (at least `LOCK_FLOOR_AGE_MIN`) by the oracle's time. A cluster in which no
//! transaction has written to several shards has no records: then nobody is asked anything.
//!
//! Invariants:
//! 1. The limit is never above what every shard has confirmed (`txn::record_limit`). A shard that does not answer, or a
//!    transaction that is held, keeps all younger records.
//! 2. Prepared XA transactions are looked up after the shards have answered: one that was prepared earlier is seen, and
//!    one that is recorded later has lost its locks before and was never committed.
//! 3. At most a twentieth of the time goes to passes, at `COLLECT_BYTES_PER_SECOND`.
//!
//! Not here: why this is safe (`txn/src/transaction/records.rs`).

use crate::collector::{CollectorCounters, walk};
use crate::local_shards::{LocalShard, LocalShards};
use base::limits::{LOCK_FLOOR_AGE_MIN, LOCK_FLOOR_STEP, OLD_LOCKS_PER_LOOK, RECORDS_LOOK_PAUSE};
use base::{ShardId, SharedClock, Timestamp};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use txn::ShardClient;
use txn::shard::Shard;

/// What is remembered of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Memory {
    /// Records of transactions that began before this are gone, or came after the last pass.
    passed: Timestamp,
    /// When the last pass ended, monotonic, and how long it took.
    pass: Option<(Duration, Duration)>,
    /// Where the walk over old locks goes on; empty: at the first.
    locks_from: Bytes,
}

impl Memory {
    /// Whether a pass may find records of transactions that began before a point, and the last one is long enough ago.
    fn is_due(&self, before: Timestamp, now: Duration) -> bool {
        let rested = self.pass.is_none_or(|pass| walk::is_rested(now, pass, RECORDS_LOOK_PAUSE));
        before > self.passed && rested
    }
}

/// What is old: began before this. The same for all nodes most of the time, so that lock floors rise seldom.
fn old_before(now: Timestamp, retention: Duration) -> Timestamp {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let age = ms(retention.max(LOCK_FLOOR_AGE_MIN));
    let step = ms(LOCK_FLOOR_STEP);
    Timestamp::from_unix_ms(now.unix_ms().saturating_sub(age) / step * step)
}

/// The collector of a node.
struct RecordCollector {
    client: Arc<dyn ShardClient>,
    clock: SharedClock,
    counters: Arc<CollectorCounters>,
    memories: BTreeMap<ShardId, Memory>,
}

/// Collects until the node stops.
pub async fn run(
    client: Arc<dyn ShardClient>,
    local: Arc<LocalShards>,
    clock: SharedClock,
    retention: Duration,
    counters: Arc<CollectorCounters>,
) {
    let mut collector = RecordCollector { client, clock, counters, memories: BTreeMap::new() };
    loop {
        tokio::time::sleep(RECORDS_LOOK_PAUSE).await;
        let leads = walk::led_here(&local, &mut collector.memories);
        if leads.is_empty() {
            continue;
        }
        let Ok(now) = collector.client.timestamp().await else { continue };
        let before = old_before(now, retention);
        for local in &leads {
            collector.resolve_old_locks(local, before).await;
        }
        if let Err(error) = collector.look(&leads, now, before).await {
            // A shard without a leader, for example: the next look tries again.
            tracing::debug!(%error, "no transaction records were collected");
        }
    }
}

impl RecordCollector {
    /// Resolves old locks of a shard, not too many at once.
    async fn resolve_old_locks(&mut self, local: &LocalShard, before: Timestamp) {
        let shard = local.group.shard();
        let memory = self.memories.entry(shard).or_default();
        let (mut found, mut resolved) = (0, 0);
        while found < OLD_LOCKS_PER_LOOK {
            let from = std::mem::take(&mut memory.locks_from);
            match txn::resolve_old_locks(&*self.client, &local.shard, &from, before).await {
                Ok(step) => {
                    found += step.found;
                    resolved += step.resolved;
                    match step.next {
                        Some(next) => memory.locks_from = next,
                        None => break,
                    }
                }
                // Another leader looks after them now.
                Err(error) => {
                    tracing::debug!(%shard, %error, "old locks were left");
                    break;
                }
            }
        }
        self.counters.locks_resolved.fetch_add(resolved, Ordering::Relaxed);
        if resolved > 0 {
            tracing::info!(%shard, resolved, "locks of transactions that ended long ago resolved");
        }
    }

    /// Collects on the shards that may have old records.
    async fn look(
        &mut self,
        leads: &[LocalShard],
        now: Timestamp,
        before: Timestamp,
    ) -> Result<(), sql::Error> {
        // Asked for once, and only when there is something to drop.
        let mut limit = None;
        for local in leads {
            let id = local.group.shard();
            let memory = self.memories.entry(id).or_default();
            if !memory.is_due(before, self.clock.monotonic()) {
                continue;
            }
            if !local.shard.has_records()? {
                memory.passed = now;
                continue;
            }
            let limit = match limit {
                Some(limit) => limit,
                None => *limit.insert(self.limit(now, before).await?),
            };
            self.collect(local, now, limit).await;
        }
        Ok(())
    }

    /// The start before which nobody asks for a transaction's record any more.
    async fn limit(&self, now: Timestamp, before: Timestamp) -> Result<Timestamp, sql::Error> {
        let limit = txn::record_limit(&*self.client, before).await?;
        // After that, not before.
        let prepared = sql::session::oldest_prepared(&self.client).await?;
        let limit = prepared.map_or(limit, |prepared| limit.min(prepared));
        let behind = now.unix_ms().saturating_sub(limit.unix_ms());
        self.counters.records_behind_ms.store(behind, Ordering::Relaxed);
        Ok(limit)
    }

    /// One pass over a shard, if it has records that may go.
    async fn collect(&mut self, local: &LocalShard, now: Timestamp, limit: Timestamp) {
        let id = local.group.shard();
        let memory = self.memories.entry(id).or_default();
        let began = self.clock.monotonic();
        if limit <= memory.passed {
            // Something keeps them, perhaps for days: a rest as after a long pass.
            memory.pass = Some((began, RECORDS_LOOK_PAUSE));
            return;
        }
        match pass(&local.shard, limit, &self.counters).await {
            Ok((dropped, oldest_left)) => {
                let ended = self.clock.monotonic();
                memory.pass = Some((ended, ended - began));
                memory.passed = oldest_left.map_or(now, |oldest| oldest.min(now));
                if dropped > 0 {
                    tracing::info!(shard = %id, dropped, took = ?(ended - began), "old transaction records dropped");
                }
            }
            // Another leader, or no quorum: the next look tries again.
            Err(error) => {
                tracing::debug!(shard = %id, %error, "a pass over transaction records broke off")
            }
        }
    }
}

/// One pass over a shard's records. Returns how many it dropped, and the start of the oldest that it left.
async fn pass(
    shard: &Arc<Shard>,
    limit: Timestamp,
    counters: &CollectorCounters,
) -> txn::Result<(u64, Option<Timestamp>)> {
    let (mut from, mut total, mut oldest_left) = (Bytes::new(), 0, None::<Timestamp>);
    loop {
        let at = from.clone();
        let old = walk::step(shard, move |shard| shard.find_old_records(&at, limit)).await?;
        counters.records_passed.fetch_add(old.passed, Ordering::Relaxed);
        oldest_left = oldest_left.into_iter().chain(old.oldest_left).min();
        if !old.records.is_empty() {
            let dropped = shard.drop_records(old.records).await?;
            counters.records_dropped.fetch_add(dropped, Ordering::Relaxed);
            total += dropped;
        }
        let Some(next) = old.next else { return Ok((total, oldest_left)) };
        from = next;
        walk::rest_after(old.bytes).await;
    }
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
    fn old_is_older_than_the_retention_and_than_any_commit_takes() {
        assert_eq!(old_before(at(7200), s(3600)), at(3600));
        assert_eq!(old_before(at(7259), s(3600)), at(3600), "the same for a whole minute");
        assert_eq!(old_before(at(7200), s(10)), at(6900), "however short the retention is");
        assert_eq!(old_before(at(5), s(3600)), Timestamp::ZERO);
    }

    #[test]
    fn a_pass_is_due_when_old_records_may_be_there() {
        let mut memory = Memory::default();
        assert!(!memory.is_due(Timestamp::ZERO, s(0)), "nothing is old");
        assert!(memory.is_due(at(100), s(0)), "never passed");
        memory.passed = at(100);
        assert!(!memory.is_due(at(100), s(500)));
        assert!(memory.is_due(at(160), s(500)));
        memory.pass = Some((s(490), s(0)));
        assert!(!memory.is_due(at(160), s(500)), "too soon");
        memory.pass = Some((s(400), s(10)));
        assert!(!memory.is_due(at(160), s(599)), "a long pass is followed by a long pause");
        assert!(memory.is_due(at(160), s(600)));
    }
}
