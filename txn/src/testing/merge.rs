//! Merging neighbouring shards of a cluster in memory, as the node that leads the meta shard does.
//!
//! ```text
//!  job: number, left, right ─► Shard::merge, again and again ─┬─ taken ──► map
//!                                                             └─ undone ─► right is thawed
//! ```

use super::MemoryCluster;
use crate::merge::{MergeAnswer, MergeAsk, MergeProgress, MergeSource};
use crate::shard::Shard;
use crate::{Error, Result, Route};
use base::{ShardEpoch, ShardId, limits};
use engine::mvcc::Sides;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Merges that were begun.
#[derive(Default)]
pub(super) struct Merges {
    /// By their left shards.
    under_way: BTreeMap<ShardId, MergeJob>,
    /// The number of the last split or merge.
    last: u64,
}

/// A merge that was begun.
#[derive(Clone, Copy, Debug)]
struct MergeJob {
    number: u64,
    left: Route,
    right: Route,
}

impl MergeJob {
    fn sides(&self) -> Sides {
        Sides { own: self.left.slots, other: self.right.slots }
    }
}

/// A shard's way to its right neighbour: they are in one process.
struct Neighbour(Arc<Shard>);

#[async_trait::async_trait]
impl MergeSource for Neighbour {
    async fn ask(&self, ask: MergeAsk) -> Result<MergeAnswer> {
        // Answers are lost, and questions come twice. Row locks are told once.
        if !matches!(ask, MergeAsk::Rest { .. }) {
            self.0.answer_merge(ask.clone()).await?;
        }
        self.0.answer_merge(ask).await
    }
}

impl MemoryCluster {
    /// Has a data shard take its right neighbour in. Says whether it has: otherwise the merge was undone. After an error it may
    /// be repeated, and goes on with what was begun.
    ///
    /// # Errors
    /// As [`Shard::merge`]; `TooLarge` when there is no right neighbour.
    pub async fn merge(&self, id: ShardId) -> Result<bool> {
        let job = self.merge_job(id)?;
        let (left, right) = (&self.shard(id)?.shard, &self.shard(job.right.shard)?.shard);
        let progress = loop {
            let source = Arc::new(Neighbour(right.clone()));
            match left.merge(job.number, job.sides(), source).await? {
                MergeProgress::UnderWay { .. } => {}
                progress => break progress,
            }
        };
        let is_taken = progress == MergeProgress::Taken;
        if is_taken {
            let mut map = self.map.write();
            map.remove(&job.right.slots.start);
            let epoch = ShardEpoch(job.left.epoch.0.max(job.right.epoch.0) + 1);
            let slots = job.sides().whole();
            map.insert(slots.start, Route { epoch, slots, ..job.left });
        } else {
            right.answer_merge(MergeAsk::Thaw { merge: job.number }).await?;
        }
        self.merges.lock().under_way.remove(&id);
        Ok(is_taken)
    }

    /// Merges a data shard with its right neighbour and goes on trying until that is done or undone.
    ///
    /// # Errors
    /// When there is no right neighbour.
    pub async fn merge_at_last(&self, id: ShardId) -> Result<bool> {
        loop {
            match self.merge(id).await {
                Err(
                    Error::NotServing { .. }
                    | Error::Unavailable { .. }
                    | Error::OutcomeUnknown { .. },
                ) => tokio::time::sleep(limits::ROUTE_RETRY_PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    /// The version that the next split or merge is written down with.
    pub(super) fn next_version(&self) -> u64 {
        let mut merges = self.merges.lock();
        merges.last += 1;
        merges.last
    }

    /// The merge of a shard that is under way, or a new one.
    fn merge_job(&self, id: ShardId) -> Result<MergeJob> {
        let mut merges = self.merges.lock();
        if let Some(job) = merges.under_way.get(&id) {
            return Ok(*job);
        }
        let map = self.map.read();
        let left = map.values().find(|route| route.shard == id).copied();
        let left = left.ok_or(Error::NotServing { shard: id, leader: None })?;
        let Some(right) = map.get(&left.slots.end).copied() else {
            let what = format!("shard {id} has no right neighbour");
            return Err(Error::TooLarge { what });
        };
        drop(map);
        merges.last += 1;
        let job = MergeJob { number: merges.last, left, right };
        merges.under_way.insert(id, job);
        Ok(job)
    }
}
