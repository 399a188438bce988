//! Keeps the log short: flushes engines and purges what they have flushed.
//!
//! The engine has no log of its own, so an entry may leave the Raft log only when the state that holds
//! it is flushed. A flush happens when RocksDB likes, and a cold replica with one old write would keep the
//! oldest segment for ever; so each replica is looked at from time to time:
//!
//! ```text
//! log above tail + minimum, or it pins the oldest of many segments
//!   └─> virtual snapshot (flushes, then says what is flushed) ─> next look: purge up to there
//! ```
//!
//! A tail of entries stays for followers that lag a little, and everything behind a checkpoint that is
//! being sent stays until it has arrived.

use crate::log::SharedLog;
use crate::replica::Replica;
use crate::transport::service::Registry;
use base::limits;
use std::sync::{Arc, Weak};

/// Looks at every replica, again and again, until the node has ended.
pub async fn run(registry: Weak<Registry>, log: SharedLog) {
    loop {
        tokio::time::sleep(limits::PURGE_INTERVAL).await;
        let Some(registry) = registry.upgrade() else { return };
        for replica in registry.all() {
            if !replica.context.health.stopped() {
                look_at(&replica, &log).await;
            }
        }
    }
}

/// One look at one replica.
async fn look_at(replica: &Arc<Replica>, log: &SharedLog) {
    let key = replica.key;
    let (applied, flushed, purged) = replica.with_metrics(|metrics| {
        let index = |id: &Option<_>| id.as_ref().map(|id: &crate::type_config::LogId| id.index);
        (index(&metrics.last_applied), index(&metrics.snapshot), index(&metrics.purged))
    });
    let pinned =
        log.pins_oldest_segment(&key) && log.metrics().segments >= limits::LOG_SEGMENTS_PINNED_MAX;
    let long = log.bytes(&key) > limits::LOG_TAIL_BYTES + limits::PURGE_BYTES_MIN;
    if !pinned && !long {
        return;
    }
    let tail = if pinned { 0 } else { limits::LOG_TAIL_BYTES };
    let sending = replica.context.sending.current().map(|sending| sending.last_log_id.index);
    let wanted = [log.index_before_tail(&key, tail), applied].into_iter().min().flatten();
    let Some(wanted) = wanted.map(|wanted| wanted.min(sending.unwrap_or(u64::MAX))) else { return };
    if purged.is_some_and(|purged| wanted <= purged) {
        return;
    }
    let asked = match flushed {
        Some(flushed) if flushed >= wanted => replica.raft.trigger().purge_log(wanted).await,
        _ => replica.raft.trigger().snapshot().await,
    };
    if let Err(error) = asked {
        tracing::warn!(shard = %key.0, replica = %key.1, %error, "the Raft log cannot be purged");
    }
}
