//! Removes what is left of dropped tables and partitions.
//!
//! ```text
//! DROP, TRUNCATE ─> record in the meta shard … safe point later than that ─> step of 1 MiB ─> one entry of the log drops ─> …
//!                        ▲                                                                                          │
//!                        └── the shard's slots are empty: noted; all slots: the record goes ◄── a walk that meets nothing
//! ```
//!
//! Each shard's leader does so for its slots. What is noted are slots, not shards: a pass that breaks off, a split or a merge
//! only means that some slots are walked again. What foreign slots hold of the table goes as well.
//!
//! Nobody reads these rows meanwhile: each removal raises the shard's safe point beyond the DROP, and whoever still reads
//! before that holds the safe point back.

use super::{CollectorCounters, walk};
use crate::cluster_client::ClusterClient;
use crate::local_shards::LocalShard;
use base::limits::{DROPPED_BYTES_A_LOOK, DROPPED_TABLES_A_LOOK};
use base::{ShardId, SlotRange};
use bytes::Bytes;
use engine::mvcc::SafePoints;
use sql::catalog::DroppedTable;
use sql::instance::Instance;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use txn::ShardClient;
use txn::shard::Shard;

/// Removes rows of tables that were dropped before the general safe point, on the shards that this node leads.
pub(super) async fn look(
    client: &ClusterClient,
    instance: &Instance,
    leads: &[LocalShard],
    safe_points: &SafePoints,
    counters: &CollectorCounters,
) {
    let tables = match instance.dropped_before(safe_points.general()).await {
        Ok(tables) => tables,
        // The meta shard has no leader, or has dropped that past: the next look tries again.
        Err(error) => {
            tracing::debug!(%error, "dropped tables are not known");
            return;
        }
    };
    let mut bytes_left = DROPPED_BYTES_A_LOOK;
    for local in leads.iter().filter(|local| local.group.shard() != ShardId::META) {
        let shard = local.group.shard();
        let Some(slots) = slots_of(client, local) else { continue };
        let there = tables.iter().filter(|table| !table.is_gone_from(slots));
        let there: Vec<&DroppedTable> = there.take(DROPPED_TABLES_A_LOOK).collect();
        for table in there {
            match pass(&local.shard, table, safe_points, &mut bytes_left, counters).await {
                Ok(Pass { dropped, is_empty }) => {
                    if dropped > 0 {
                        tracing::info!(%shard, table = %table.name, dropped, "rows of a dropped table removed");
                    }
                    if is_empty && let Err(error) = instance.note_empty(table.id, slots).await {
                        tracing::debug!(%shard, %error, "a dropped table is not noted to be gone");
                    }
                }
                // Another leader, or no quorum: the next look begins anew.
                Err(error) => {
                    tracing::debug!(%shard, %error, "removing a dropped table broke off");
                    break;
                }
            }
        }
    }
}

/// The slots that a shard owns, as far as it has applied; by the map when it was never split.
fn slots_of(client: &ClusterClient, local: &LocalShard) -> Option<SlotRange> {
    let own = local.shard.bounds().ok()?;
    own.or_else(|| {
        let routes = client.data_shards().ok()?;
        routes.into_iter().find(|route| route.shard == local.group.shard()).map(|route| route.slots)
    })
}

/// What a pass came to.
struct Pass {
    /// Versions dropped.
    dropped: u64,
    /// Whether it has met nothing of the table.
    is_empty: bool,
}

/// One pass over a dropped table's keys in a shard, up to the bytes that the look may still pass.
async fn pass(
    shard: &Arc<Shard>,
    table: &DroppedTable,
    safe_points: &SafePoints,
    bytes_left: &mut u64,
    counters: &CollectorCounters,
) -> txn::Result<Pass> {
    // Who serves has applied all that was ever written before.
    shard.old_large(safe_points.general()).await?;
    let (mut from, mut dropped, mut is_empty) = (Bytes::new(), 0, true);
    loop {
        let (at, id) = (from.clone(), table.id);
        let found = walk::step(shard, move |shard| shard.find_leftover(id, &at)).await?;
        is_empty &= found.keys.is_empty() && !found.locked;
        if !found.keys.is_empty() {
            let part = shard.drop_leftover(found.keys, safe_points).await?;
            counters.of_dropped_tables.fetch_add(part, Ordering::Relaxed);
            dropped += part;
        }
        *bytes_left = bytes_left.saturating_sub(found.bytes);
        walk::rest_after(found.bytes).await;
        match found.next {
            Some(next) if *bytes_left > 0 => from = next,
            // The next look begins where the first key is left.
            Some(_) | None => break,
        }
    }
    Ok(Pass { dropped, is_empty })
}
