//! AUTO_PARTITION, kept on the node that leads the meta shard: tables get the partitions of the future that they ask for.
//!
//! ```text
//! every minute: leads the meta shard? ─> tables that lack partitions ─> ALTER TABLE … ADD PARTITION
//!                                                                        └─ in use: rests for a while
//! ```
//!
//! Two nodes that both believe to lead do no harm: what one has added the other cannot add again.
//!
//! Not here: which partitions are missing, and how they are added (`sql::ddl::future_partitions`).

use crate::local_shards::LocalShards;
use base::limits::{FUTURE_PARTITIONS_LOOK, FUTURE_PARTITIONS_REST};
use base::{ShardId, SharedClock, TableId};
use sql::instance::Instance;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Adds partitions until the node stops.
pub async fn run(instance: Arc<Instance>, local: Arc<LocalShards>, clock: SharedClock) {
    // Tables that could not be changed, and until when, monotonic.
    let mut resting: BTreeMap<TableId, Duration> = BTreeMap::new();
    loop {
        tokio::time::sleep(FUTURE_PARTITIONS_LOOK).await;
        let meta = local.get(ShardId::META);
        if meta.is_none_or(|meta| meta.group.serving_term().is_none()) {
            resting.clear();
            continue;
        }
        let now = clock.monotonic();
        resting.retain(|_, until| *until > now);
        let tables: BTreeSet<TableId> = resting.keys().copied().collect();
        let additions = match instance.add_future_partitions(&tables).await {
            Ok(additions) => additions,
            Err(error) => {
                // The meta shard cannot be read now, for example: the next look tries again.
                tracing::debug!(%error, "no partitions were added");
                continue;
            }
        };
        for addition in additions {
            let statement = &addition.statement;
            match addition.result {
                Ok(()) => tracing::info!(%statement, "partitions of the future were added"),
                Err(error) => {
                    tracing::warn!(%statement, %error, "partitions of the future are missing; it is tried again later");
                    resting.insert(addition.table, clock.monotonic() + FUTURE_PARTITIONS_REST);
                }
            }
        }
    }
}
