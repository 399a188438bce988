//! Merges of neighbouring shards under way: how one begins, and what the map says at its end.
//!
//! ```text
//! map     s3 [0,4096): …     s9 [4096,8192): …            s3 [0,8192): …
//! merges  s3: takes in s9, number 71               ─>     –
//! ```
//!
//! The left shard keeps its name, its replicas and their nodes; the right one goes. What it held comes through the left one's
//! log, so members of both may change meanwhile.
//!
//! Invariants:
//! 1. A shard has a split or a merge under way, never both, and a part in one merge at most.
//! 2. A merge's number is the version of the state in which it was written, so later merges have higher ones.
//! 3. The right shard leaves the map, and the job the state, in one change. The left one's epoch is above both: a route by an
//!    older map is older than it.
//!
//! Not here: how the shards do it (`txn`), who asks them (`server`).

use crate::cluster::ClusterState;
use crate::{Error, Result, ShardInfo, ShardMap};
use base::limits::MERGES_MAX;
use base::{ShardEpoch, ShardId, SlotRange};
use std::sync::Arc;

/// A merge under way, of the *left* shard, which stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeJob {
    /// The right shard, which goes.
    pub right: ShardId,
    /// Tells this merge from all others: later ones have higher numbers.
    pub number: u64,
    /// When it began, Unix milliseconds.
    pub started_unix_ms: u64,
}

impl ClusterState {
    /// The right neighbour that a shard can take in now.
    ///
    /// # Errors
    /// A sentence: why not, and what to do.
    pub fn may_merge(&self, shard: ShardId) -> std::result::Result<ShardId, String> {
        let number = shard.0;
        if shard == ShardId::META {
            return Err("the meta shard owns no slots and is never merged; name another one".into());
        }
        let data = self.map.data_shards();
        let Some(at) = data.iter().position(|info| info.id == shard) else {
            return Err(format!("there is no shard {number}; look at SHOW SHARDS"));
        };
        let Some(right) = data.get(at + 1) else {
            let left = at.checked_sub(1).and_then(|at| data.get(at));
            let what = left.map_or("it is the only one".to_string(), |left| {
                format!("name its left neighbour, shard {}, to have that one take it in", left.id.0)
            });
            return Err(format!("no shard owns slots after those of shard {number}; {what}"));
        };
        for id in [shard, right.id] {
            if self.splits.contains_key(&id) {
                return Err(format!(
                    "shard {} is being split; ask again when SHOW SHARDS says ok",
                    id.0
                ));
            }
            if let Some(why) = self.merging(id) {
                return Err(format!("shard {} {why}", id.0));
            }
        }
        let both = self
            .map
            .shard(shard)
            .map(|info| SlotRange { start: info.slots.start, end: right.slots.end });
        if let Some(edge) = both.and_then(|both| self.placement.edge(both)) {
            return Err(format!(
                "shards {number} and {} are not under the same placement policy: slot {edge} begins another one; see \
                 SHOW PLACEMENT",
                right.id.0
            ));
        }
        if self.merges.len() >= MERGES_MAX {
            return Err(format!("{MERGES_MAX} merges are under way, as many as may be; ask again"));
        }
        Ok(right.id)
    }

    /// What a shard does in a merge under way, if it has a part in one: words to go after its name.
    pub fn merging(&self, shard: ShardId) -> Option<String> {
        if let Some(job) = self.merges.get(&shard) {
            return Some(format!("takes shard {} in", job.right.0));
        }
        let (left, _) = self.merges.iter().find(|(_, job)| job.right == shard)?;
        Some(format!("is being taken in by shard {}", left.0))
    }

    /// Writes a merge's job down; `version` is the version that this change makes.
    ///
    /// # Errors
    /// A sentence, as [`Self::may_merge`].
    pub fn begin_merge(
        &mut self,
        left: ShardId,
        version: u64,
        unix_ms: u64,
    ) -> std::result::Result<MergeJob, String> {
        let right = self.may_merge(left)?;
        let job = MergeJob { right, number: version, started_unix_ms: unix_ms };
        self.merges.insert(left, job);
        Ok(job)
    }

    /// The slots of both shards of a merge, as the map has them.
    ///
    /// # Errors
    /// `InvalidMap` when the map does not have both side by side.
    pub fn merge_sides(&self, left: ShardId, job: &MergeJob) -> Result<(SlotRange, SlotRange)> {
        let slots = |id| self.map.shard(id).map(|info| info.slots);
        match (slots(left), slots(job.right)) {
            (Some(own), Some(other)) if own.end == other.start => Ok((own, other)),
            _ => {
                let what = format!("shards {left} and {} are not side by side", job.right);
                Err(Error::InvalidMap { what })
            }
        }
    }

    /// Ends a merge that the left shard's leader has carried out: the map names one shard, and the job is gone.
    ///
    /// # Errors
    /// `InvalidMap` when there is no such merge, or the map would contradict itself.
    pub fn finish_merge(&mut self, left: ShardId) -> Result<()> {
        let missing = || Error::InvalidMap { what: format!("shard {left} has no merge to finish") };
        let job = *self.merges.get(&left).ok_or_else(missing)?;
        let (own, other) = self.merge_sides(left, &job)?;
        let epoch_of = |id| self.map.shard(id).map_or(0, |info| info.epoch.0);
        let epoch = ShardEpoch(epoch_of(left).max(epoch_of(job.right)) + 1);
        let slots = SlotRange { start: own.start, end: other.end };
        let kept = self.map.shards().iter().filter(|info| info.id != job.right);
        let shards = kept.map(|info| match info.id == left {
            true => ShardInfo { epoch, slots, ..info.clone() },
            false => info.clone(),
        });
        self.map = Arc::new(ShardMap::new(self.map.version(), shards.collect())?);
        self.merges.remove(&left);
        // A change of its members is over with it.
        self.jobs.remove(&job.right);
        self.origins.remove(&job.right);
        Ok(())
    }

    /// Drops a merge that was undone, and whose right shard serves again.
    pub fn drop_merge(&mut self, left: ShardId) {
        self.merges.remove(&left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewSplit;
    use crate::cluster::tests::{job, state};
    use base::{NodeId, ReplicaId};

    #[test]
    fn the_left_shard_gets_the_slots_and_the_right_one_goes() {
        let mut state = state(3, 4, 3);
        let before = state.map.shard(ShardId(1)).unwrap().clone();
        let gone = state.replica_on(ShardId(2), NodeId(2)).unwrap();
        let begun = state.begin_merge(ShardId(1), 7, 99).unwrap();
        assert_eq!(begun, MergeJob { right: ShardId(2), number: 7, started_unix_ms: 99 });
        assert_eq!(state.merging(ShardId(1)).unwrap(), "takes shard 2 in");
        assert_eq!(state.merging(ShardId(2)).unwrap(), "is being taken in by shard 1");
        assert_eq!(state.merging(ShardId(3)), None);
        // Its members are being changed: that is over with it.
        state.jobs.insert(ShardId(2), job((77, 4), Some(gone.0)));
        state.prefer_leader(ShardId(2), NodeId(2)).unwrap();
        let (own, other) = state.merge_sides(ShardId(1), &begun).unwrap();
        state.finish_merge(ShardId(1)).unwrap();
        let after = state.map.shard(ShardId(1)).unwrap();
        assert_eq!(after.slots, SlotRange { start: own.start, end: other.end });
        assert_eq!((&after.replicas, after.epoch), (&before.replicas, ShardEpoch(3)));
        assert!(state.map.shard(ShardId(2)).is_none() && state.merges.is_empty());
        assert!(!state.knows(ShardId(2), gone) && !state.knows(ShardId(2), ReplicaId(77)));
        assert!(state.finish_merge(ShardId(1)).is_err(), "it is over");
    }

    #[test]
    fn what_cannot_be_merged_is_refused_with_what_to_do() {
        let mut state = state(3, 3, 4);
        let why = |state: &ClusterState, shard| state.may_merge(ShardId(shard)).unwrap_err();
        assert!(why(&state, 0).contains("meta shard"));
        assert!(why(&state, 9).contains("no shard 9"));
        assert!(why(&state, 4).contains("left neighbour, shard 3"));
        let replicas = [70, 71, 72].map(ReplicaId).to_vec();
        let (parent, child) = (ShardId(2), ShardId(5));
        let at = state.may_split(parent, None).unwrap();
        state.begin_split(NewSplit { parent, at, child, replicas, unix_ms: 0 }, 2).unwrap();
        assert!(why(&state, 1).contains("shard 2 is being split"));
        assert!(why(&state, 2).contains("shard 2 is being split"));
        state.begin_merge(ShardId(3), 3, 0).unwrap();
        assert!(why(&state, 3).contains("shard 3 takes shard 4 in"));
        for shard in [3, 4] {
            let why = state.may_split(ShardId(shard), None).unwrap_err();
            assert!(why.contains("shard 3") && why.contains("ask again"), "{why}");
        }
        state.drop_merge(ShardId(3));
        assert_eq!(state.may_merge(ShardId(3)), Ok(ShardId(4)));
        let only = crate::cluster::tests::state(3, 3, 1);
        assert!(why(&only, 1).contains("the only one"));
    }

    #[test]
    fn shards_of_different_policies_stay_apart() {
        let mut state = state(3, 3, 4);
        let first = state.map.shard(ShardId(1)).unwrap().slots;
        state.placement.policies.insert("eu".into(), crate::Policy::default());
        state.placement.assign(first, Some("eu"));
        let why = state.may_merge(ShardId(1)).unwrap_err();
        assert!(why.contains(&format!("slot {} begins another one", first.end)), "{why}");
        assert_eq!(state.may_merge(ShardId(2)), Ok(ShardId(3)));
        state.placement.assign(state.map.shard(ShardId(2)).unwrap().slots, Some("eu"));
        assert_eq!(state.may_merge(ShardId(1)), Ok(ShardId(2)));
    }

    #[test]
    fn a_shard_that_was_split_becomes_one_again() {
        let mut state = state(3, 3, 1);
        let replicas = [70, 71, 72].map(ReplicaId).to_vec();
        let (parent, child) = (ShardId(1), ShardId(2));
        let at = state.may_split(parent, None).unwrap();
        state.begin_split(NewSplit { parent, at, child, replicas, unix_ms: 0 }, 2).unwrap();
        state.finish_split(parent, 5).unwrap();
        state.begin_merge(parent, 9, 0).unwrap();
        state.finish_merge(parent).unwrap();
        assert_eq!(state.map.shard(parent).unwrap().slots, SlotRange::ALL);
        assert!(state.origins.is_empty());
    }
}
