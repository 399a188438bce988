//! Drops versions of rows that nobody may read any more, on the shards that this node leads.
//!
//! ```text
//! safe point = the oracle's now − retention, but not after the oldest read point of any node that answers;
//!              one for all tables, and one for each table with a retention of its own
//! shard due? ─> pass: step of 1 MiB ─> dead versions? ─> one entry of the log drops them ─> next step …
//!      ▲                                                                                       │
//!      └──── pause: at least 30 s (or the retention), at least 20 times what the pass took ────┘
//! ```
//!
//! A shard is due when something was written that a pass with these safe points could drop, and one of them has risen by a
//! hundredth of its age: the past of a table that is kept for a year needs no look every minute. Dropping goes through the
//! Raft log like any write, so replicas stay equal byte by byte; a transaction that began before the safe point is
//! told so (error 9006) and never reads a part.
//!
//! Invariants:
//! 1. The safe point comes from the oracle, never from this node's clock.
//! 2. A transaction is waited for until its read point is a day old, wherever it runs and however old the point was when it
//!    began. What a node that does not answer reads is not.
//! 3. At most a twentieth of the time goes to passes, at `COLLECT_BYTES_PER_SECOND`.
//! 4. Retentions come from the catalog under its lease: once ALTER TABLE has answered, passes that begin go by the new one.
//!
//! Rows that a shard gave away when it was split go at the same rate, once, whatever their age (`foreign`), and those of dropped
//! tables once the safe point lies after the DROP (`dropped`).
//!
//! Not here: transaction records (`record_collector`).

mod dropped;
mod foreign;
pub(crate) mod walk;

use crate::cluster_client::ClusterClient;
use crate::gossip::Gossip;
use crate::load_meter::Moment;
use crate::local_shards::{LocalShard, LocalShards};
use base::limits::{
    COLLECT_AGE_PARTS, COLLECT_LOOK_PAUSE, COLLECT_PASS_PAUSE_MIN, READER_HOLD_MAX,
};
use base::{ShardId, SharedClock, SlotRange, TableId, Timestamp};
use bytes::Bytes;
use engine::mvcc::SafePoints;
use sql::instance::Instance;
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
    /// Keys dropped that belong to another shard since a split.
    pub foreign_dropped: AtomicU64,
    /// Versions dropped because their table was.
    pub of_dropped_tables: AtomicU64,
    /// Old locks resolved.
    pub locks_resolved: AtomicU64,
    /// How old, when this was last looked at, the oldest transaction was that keeps younger ones' records.
    pub records_behind_ms: AtomicU64,
}

/// What is remembered of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Memory {
    /// Its applied index at the last look.
    applied: u64,
    /// The oracle's now when that index was first seen.
    changed_at: Timestamp,
    /// The slots that it owned at the last look, if it has said.
    bounds: Option<SlotRange>,
    /// The last pass.
    pass: Option<Pass>,
}

/// A pass that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pass {
    /// Its safe points.
    safe_points: SafePoints,
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

    /// Notes the slots of now. When they are others, the next pass is due: it counts what is left.
    fn look_at_slots(&mut self, bounds: Option<SlotRange>) {
        if self.bounds != bounds {
            (self.bounds, self.pass) = (bounds, None);
        }
    }

    /// Whether a pass of this look may find something, and the last one is long enough ago.
    fn is_due(&self, look: &Look, now: Duration, pause_min: Duration) -> bool {
        let Some(pass) = &self.pass else { return true };
        walk::is_rested(now, (pass.ended, pass.took), pause_min) && self.has_work(pass, look)
    }

    /// Whether the safe point of a table, or of all others, has risen by enough over what the last pass left.
    fn has_work(&self, pass: &Pass, look: &Look) -> bool {
        let general = (pass.safe_points.general(), look.safe_points.general());
        let named = pass.safe_points.tables().chain(look.safe_points.tables());
        let named =
            named.map(|table| (pass.safe_points.of_table(table), look.safe_points.of_table(table)));
        std::iter::once(general).chain(named).any(|(before, point)| {
            let age_ms = look.now.unix_ms().saturating_sub(point.unix_ms());
            let risen_ms = point.unix_ms().saturating_sub(before.unix_ms());
            // Everything written before `changed_at` was old enough for the last pass, and nothing came since.
            let nothing_new = self.changed_at <= before;
            point > before && risen_ms >= age_ms / COLLECT_AGE_PARTS && !nothing_new
        })
    }
}

/// What a look at the shards goes by.
#[derive(Clone, Debug)]
struct Look {
    /// The oracle's now.
    now: Timestamp,
    /// The safe points of now.
    safe_points: SafePoints,
}

impl Look {
    /// A look at a moment. `retentions` are those of tables that differ from the `usual` one.
    fn at(
        now: Timestamp,
        usual: Duration,
        retentions: &BTreeMap<TableId, Duration>,
        oldest_read: Option<Timestamp>,
    ) -> Look {
        let general = SafePoints::from(safe_point(now, usual, oldest_read));
        let safe_points = retentions.iter().fold(general, |points, (table, retention)| {
            points.with_table(*table, safe_point(now, *retention, oldest_read))
        });
        Look { now, safe_points }
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

/// What the collector of a node needs.
pub struct Collecting {
    /// The way to the oracle.
    pub client: Arc<ClusterClient>,
    /// Whose shards these are.
    pub local: Arc<LocalShards>,
    /// Time.
    pub clock: SharedClock,
    /// Who reads what elsewhere.
    pub gossip: Arc<Gossip>,
    /// The retentions of tables.
    pub instance: Arc<Instance>,
    /// The retention of the other tables.
    pub retention: Duration,
    /// What was done.
    pub counters: Arc<CollectorCounters>,
}

/// Collects until the node stops.
pub async fn run(collecting: Collecting) {
    let Collecting { client, local, clock, gossip, instance, retention, counters } = collecting;
    let mut memories: BTreeMap<ShardId, Memory> = BTreeMap::new();
    // When dropped tables were last looked for.
    let mut removed: Option<Duration> = None;
    loop {
        tokio::time::sleep(COLLECT_LOOK_PAUSE).await;
        let leads = walk::led_here(&local, &mut memories);
        if leads.is_empty() {
            continue;
        }
        drop_foreign(&leads, &counters).await;
        let Ok(now) = client.timestamp().await else { continue };
        // Without them a table's versions might go too soon: the next look tries again.
        let Ok(retentions) = instance.retentions(retention).await else { continue };
        let shortest = retentions.values().copied().fold(retention, Duration::min);
        let pause_min = COLLECT_PASS_PAUSE_MIN.min(shortest);
        let look = Look::at(now, retention, &retentions, gossip.oldest_read());
        if removed.is_none_or(|ended| clock.monotonic() >= ended + pause_min) {
            dropped::look(&client, &instance, &leads, &look.safe_points, &counters).await;
            removed = Some(clock.monotonic());
        }
        for local in leads {
            let id = local.group.shard();
            let memory = memories.entry(id).or_default();
            memory.look(local.group.status().applied_index, now);
            let moment = Moment::of(&local);
            memory.look_at_slots(moment.bounds());
            if !memory.is_due(&look, clock.monotonic(), pause_min) {
                continue;
            }
            let began = clock.monotonic();
            match pass(&local.shard, &look.safe_points, &counters).await {
                Ok((dropped, kept_bytes)) => {
                    gossip.walked(id, moment, kept_bytes);
                    let ended = clock.monotonic();
                    let safe_points = look.safe_points.clone();
                    memory.pass = Some(Pass { safe_points, ended, took: ended - began });
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

/// Drops what shards have of other shards' rows.
async fn drop_foreign(leads: &[LocalShard], counters: &CollectorCounters) {
    for local in leads.iter().filter(|local| local.shard.has_foreign().unwrap_or(false)) {
        let shard = local.group.shard();
        match foreign::pass(&local.shard).await {
            Ok(dropped) => {
                counters.foreign_dropped.fetch_add(dropped, Ordering::Relaxed);
                tracing::info!(%shard, dropped, "rows of another shard dropped after a split");
            }
            // Another leader, or no quorum: the next look begins anew.
            Err(error) => {
                tracing::debug!(%shard, %error, "dropping another shard's rows broke off")
            }
        }
    }
}

/// One pass over a shard. Returns how many versions it dropped, and the bytes of those that stay.
async fn pass(
    shard: &Arc<Shard>,
    safe_points: &SafePoints,
    counters: &CollectorCounters,
) -> txn::Result<(u64, u64)> {
    let (mut from, mut total, mut kept_bytes) = (Bytes::new(), 0, 0);
    loop {
        let (at, points) = (from.clone(), safe_points.clone());
        let dead = walk::step(shard, move |shard| shard.find_dead(&at, &points)).await?;
        counters.passed.fetch_add(dead.versions, Ordering::Relaxed);
        kept_bytes += dead.kept_bytes;
        if !dead.keys.is_empty() {
            let dropped = shard.drop_dead(dead.keys, safe_points).await?;
            counters.dropped.fetch_add(dropped, Ordering::Relaxed);
            total += dropped;
        }
        let Some(next) = dead.next else { break };
        from = next;
        walk::rest_after(dead.bytes).await;
    }
    counters.passes.fetch_add(1, Ordering::Relaxed);
    Ok((total, kept_bytes))
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

    const TABLE: TableId = TableId::FIRST_USER;

    /// A look with a retention of 100 seconds, and another one of a table.
    fn look(now: u64, table_s: Option<u64>) -> Look {
        let retentions = table_s.map(|seconds| (TABLE, s(seconds))).into_iter().collect();
        Look::at(at(now), s(100), &retentions, None)
    }

    /// A pass of a look; it took a second.
    fn passed(look: &Look, ended: u64) -> Option<Pass> {
        Some(Pass { safe_points: look.safe_points.clone(), ended: s(ended), took: s(1) })
    }

    #[test]
    fn a_table_has_the_safe_point_of_its_retention() {
        let points = look(1000, Some(500)).safe_points;
        assert_eq!([points.general(), points.of_table(TABLE)], [at(900), at(500)]);
        let retentions = BTreeMap::from([(TABLE, s(10))]);
        let held = Look::at(at(1000), s(100), &retentions, Some(at(950))).safe_points;
        assert_eq!([held.general(), held.of_table(TABLE)], [at(900), at(950)], "somebody reads");
    }

    #[test]
    fn a_shard_is_due_until_a_pass_was_later_than_its_last_write() {
        let mut memory = Memory::default();
        memory.look(7, at(1000));
        assert!(memory.is_due(&look(1000, None), s(0), s(30)), "never passed");
        memory.pass = passed(&look(1000, None), 100);
        assert!(!memory.is_due(&look(1030, None), s(129), s(30)), "too soon");
        let later = look(1030, None);
        assert!(memory.is_due(&later, s(130), s(30)), "what was written at 1000 may be dead later");
        memory.pass = passed(&look(1100, None), 200);
        memory.look(7, at(1200));
        assert!(!memory.is_due(&look(1200, None), s(500), s(30)), "nothing came since");
        memory.look(8, at(1300));
        assert!(memory.is_due(&look(1300, None), s(500), s(30)));
    }

    #[test]
    fn a_shard_is_due_when_its_slots_are_others() {
        let mut memory = Memory { pass: passed(&look(1000, None), 100), ..Memory::default() };
        memory.look_at_slots(None);
        assert!(!memory.is_due(&look(1000, None), s(101), s(30)));
        memory.look_at_slots(Some(SlotRange::ALL));
        assert!(memory.is_due(&look(1000, None), s(101), s(30)));
        memory.pass = passed(&look(1000, None), 102);
        memory.look_at_slots(Some(SlotRange::ALL));
        assert!(!memory.is_due(&look(1000, None), s(103), s(30)));
    }

    #[test]
    fn a_table_that_keeps_longer_needs_fewer_passes() {
        let mut memory = Memory::default();
        memory.look(7, at(100_000));
        memory.pass = passed(&look(101_000, Some(50_000)), 0);
        let due = |now| memory.is_due(&look(now, Some(50_000)), s(1000), s(30));
        assert!(!due(101_400), "only the table may have dead versions, and few");
        assert!(due(101_500), "a hundredth of its retention later");
    }

    #[test]
    fn a_retention_that_changes_is_looked_at() {
        let mut memory = Memory::default();
        memory.look(7, at(10_000));
        memory.pass = passed(&look(10_200, Some(5000)), 0);
        assert!(memory.is_due(&look(10_201, None), s(1000), s(30)), "shorter now");
        memory.pass = passed(&look(10_200, None), 0);
        assert!(!memory.is_due(&look(10_300, Some(5000)), s(1000), s(30)), "longer now");
        memory.look(8, at(10_300));
        assert!(memory.is_due(&look(10_400, Some(5000)), s(1000), s(30)), "the others go on");
    }

    #[test]
    fn a_long_pass_is_followed_by_a_long_pause() {
        let pass = Pass { safe_points: look(1000, None).safe_points, ended: s(1000), took: s(60) };
        let memory = Memory { applied: 7, changed_at: at(1000), bounds: None, pass: Some(pass) };
        assert!(!memory.is_due(&look(2100, None), s(1000 + 1199), s(30)));
        assert!(memory.is_due(&look(2100, None), s(1000 + 1200), s(30)));
    }
}
