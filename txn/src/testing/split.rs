//! Splitting shards of a cluster in memory, as the node that leads the meta shard does.
//!
//! ```text
//!  job: parent, child, slot ─► Shard::split, until it says that it is done ─► the child takes in row locks ─► map
//! ```

use super::{MemoryCluster, SHARDS_MAX};
use crate::{Error, Result, Route};
use base::{ReplicaId, ShardEpoch, ShardId, Slot, SlotRange, limits};
use std::collections::BTreeMap;

/// Splits that were begun.
pub(super) struct Splits {
    /// By their parents.
    under_way: BTreeMap<ShardId, SplitJob>,
    /// The last shard that was given an id. Ids are never used twice.
    last: ShardId,
}

impl Splits {
    /// None yet.
    pub(super) fn after(last: ShardId) -> Splits {
        Splits { under_way: BTreeMap::new(), last }
    }
}

/// A split that was begun.
#[derive(Clone, Copy, Debug)]
struct SplitJob {
    /// The new shard.
    child: ShardId,
    /// Its first slot.
    at: Slot,
    /// What the parent had before.
    parent: Route,
    /// The version that knows of it.
    since: u64,
}

impl MemoryCluster {
    /// Splits a data shard at a slot and answers the new shard. After an error it may be repeated, and goes on with what was
    /// begun: then the slot is the first one's.
    ///
    /// # Errors
    /// As [`crate::shard::Shard::split`]; `TooLarge` when there are too many shards.
    pub async fn split(&self, id: ShardId, at: Slot) -> Result<ShardId> {
        let SplitJob { child, at, parent, since } = self.job(id, at)?;
        let replicas = vec![(ReplicaId(id.0), ReplicaId(child.0))];
        self.shard(id)?.shard.split(at, child, replicas, since, parent.slots).await?;
        // Its leader is on the same node. One that does not lead has nothing to take in.
        match self.shard(child)?.shard.take_in_locks().await {
            Ok(()) | Err(Error::NotServing { .. }) => {}
            Err(error) => return Err(error),
        }
        let at = u32::from(at.0);
        let epoch = ShardEpoch(parent.epoch.0 + 1);
        let SlotRange { start, end } = parent.slots;
        let mut map = self.map.write();
        map.insert(start, Route { slots: SlotRange { start, end: at }, epoch, ..parent });
        map.insert(at, Route { shard: child, epoch, slots: SlotRange { start: at, end } });
        drop(map);
        self.splits.lock().under_way.remove(&id);
        Ok(child)
    }

    /// Splits a data shard and goes on trying until it is done.
    ///
    /// # Errors
    /// When the shard cannot be split at this slot.
    pub async fn split_at_last(&self, id: ShardId, at: Slot) -> Result<ShardId> {
        loop {
            match self.split(id, at).await {
                Err(
                    Error::NotServing { .. }
                    | Error::Unavailable { .. }
                    | Error::OutcomeUnknown { .. },
                ) => tokio::time::sleep(limits::ROUTE_RETRY_PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    /// The split of a shard that is under way, or a new one.
    fn job(&self, id: ShardId, at: Slot) -> Result<SplitJob> {
        let mut splits = self.splits.lock();
        if let Some(job) = splits.under_way.get(&id) {
            return Ok(*job);
        }
        let parent = self.map.read().values().find(|route| route.shard == id).copied();
        let parent = parent.ok_or(Error::NotServing { shard: id, leader: None })?;
        if !(parent.slots.start + 1..parent.slots.end).contains(&u32::from(at.0)) {
            let what = format!("slot {at} cuts nothing off {}", parent.slots);
            return Err(Error::TooLarge { what });
        }
        let child = ShardId(splits.last.0 + 1);
        if child.0 >= SHARDS_MAX as u64 {
            let what = format!("a cluster in memory has at most {SHARDS_MAX} shards");
            return Err(Error::TooLarge { what });
        }
        let job = SplitJob { child, at, parent, since: self.next_version() };
        splits.last = child;
        splits.under_way.insert(id, job);
        Ok(job)
    }
}
