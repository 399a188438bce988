//! One round of the collection of transaction records, as the nodes of a cluster do it together.

use super::{MemoryCluster, MemoryShard};
use crate::{Result, ShardClient, record_limit, resolve_old_locks};
use base::{ShardId, Timestamp};
use bytes::Bytes;

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectedRecords {
    /// Old locks resolved.
    pub resolved: u64,
    /// Records dropped.
    pub dropped: u64,
}

impl MemoryCluster {
    /// Resolves locks and drops records of transactions that began before `before`, as far as that can be done now.
    /// Questions between shards go through `client`.
    ///
    /// # Errors
    /// When a shard does not tell its oldest lock.
    pub async fn collect_records(
        &self,
        client: &dyn ShardClient,
        before: Timestamp,
    ) -> Result<CollectedRecords> {
        let mut round = CollectedRecords::default();
        for shard in self.known_shards() {
            let mut from = Some(Bytes::new());
            while let Some(at) = from {
                // A shard without a leader is left to its next one.
                let step = resolve_old_locks(client, &shard.shard, &at, before).await;
                let step = step.unwrap_or_default();
                round.resolved += step.resolved;
                from = step.next;
            }
        }
        let limit = record_limit(client, before).await?;
        for shard in self.known_shards() {
            let mut from = Some(Bytes::new());
            while let Some(at) = from {
                let old = shard.shard.find_old_records(&at, limit)?;
                if !old.records.is_empty() {
                    round.dropped += shard.shard.drop_records(old.records).await.unwrap_or(0);
                }
                from = old.next;
            }
        }
        Ok(round)
    }

    /// Whether any shard has a transaction record.
    ///
    /// # Errors
    /// None in practice: a simulated disk refuses nothing.
    pub fn has_records(&self) -> Result<bool> {
        let shards = self.known_shards().into_iter();
        shards.map(|shard| shard.shard.has_records()).try_fold(false, |any, has| Ok(any || has?))
    }

    /// The meta shard and those of the map: one that was taken in is nobody's business any more.
    fn known_shards(&self) -> Vec<&MemoryShard> {
        let ids = [ShardId::META].into_iter().chain(self.data_shard_ids());
        ids.filter_map(|id| self.shards.get(id)).collect()
    }
}
