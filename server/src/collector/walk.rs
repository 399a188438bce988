//! What the collectors of a node have in common: they walk over the shards that it leads, a step at a time, and rest.
//!
//! ```text
//! step, where it may block ─> what it found is dropped ─> pause, so that COLLECT_BYTES_PER_SECOND is kept ─> next step …
//! ```
//!
//! Not here: what a step looks for, and when a shard is due (`collector`, `record_collector`).

use crate::local_shards::{LocalShard, LocalShards};
use base::ShardId;
use base::limits::{COLLECT_BYTES_PER_SECOND, COLLECT_PASS_PAUSE_FACTOR};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use txn::shard::Shard;

/// The shards that this node leads. What is remembered of others is forgotten: their leaders collect, and here it begins
/// anew one day.
pub(crate) fn led_here<M>(
    local: &LocalShards,
    memories: &mut BTreeMap<ShardId, M>,
) -> Vec<LocalShard> {
    let mut led = local.all();
    led.retain(|local| local.group.serving_term().is_some());
    memories.retain(|shard, _| led.iter().any(|local| local.group.shard() == *shard));
    led
}

/// Takes a step of a walk over a shard, on a thread that may block.
pub(crate) async fn step<T: Send + 'static>(
    shard: &Arc<Shard>,
    look: impl FnOnce(&Shard) -> txn::Result<T> + Send + 'static,
) -> txn::Result<T> {
    let shard = shard.clone();
    let found = tokio::task::spawn_blocking(move || look(&shard)).await;
    found.map_err(|error| txn::Error::Engine { what: error.to_string() })?
}

/// Rests after a step that has passed so many bytes.
pub(crate) async fn rest_after(bytes: u64) {
    let pause = Duration::from_micros(bytes * 1_000_000 / COLLECT_BYTES_PER_SECOND);
    tokio::time::sleep(pause).await;
}

/// Whether a shard has rested after a pass, at least for `pause_min`.
pub(crate) fn is_rested(
    now: Duration,
    (ended, took): (Duration, Duration),
    pause_min: Duration,
) -> bool {
    now >= ended + pause_min.max(took * COLLECT_PASS_PAUSE_FACTOR)
}
