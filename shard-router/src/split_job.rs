//! Splits of shards under way: how one begins, what its nodes run meanwhile, and what the map says at its end.
//!
//! ```text
//! map    s3 [0,8192): r7@n1 r8@n2 r9@n3        s3 [0,4096): r7@n1 r8@n2 r9@n3     s9 [4096,8192): r40@n1 r41@n2 r42@n3
//! splits s3: s9 from slot 4096, r7→r40 …   ─>  –
//! ```
//!
//! A split takes nothing back: while the parent has a majority it can be finished, and without one nothing else can.
//!
//! Invariants:
//! 1. A shard has a change of members or a split under way, never both. So the replicas that a split names are those of
//!    the map until it ends.
//! 2. The child comes into the map, and the job out of the state, in one change.
//! 3. The child's epoch is above the first: its replicas begin with what the parent gave them, and a node must not take the
//!    shard for one whose group is still to begin.
//!
//! Not here: which shard should be split (`split`), how its leader does it (`txn`), who asks it (`server`).

use crate::cluster::ClusterState;
use crate::{Error, Result, ShardInfo, ShardMap};
use base::limits::SHARDS_MAX;
use base::{NodeId, ReplicaId, ShardEpoch, ShardId, Slot, SlotRange};
use std::sync::Arc;

/// A split of one shard, the *parent*, under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitJob {
    /// The shard that comes.
    pub child: ShardId,
    /// Its first slot.
    pub at: Slot,
    /// Of each replica of the parent the child's on the same node.
    pub replicas: Vec<(ReplicaId, ReplicaId)>,
    /// Version of the state in which the job was written.
    pub since: u64,
    /// When it began, Unix milliseconds.
    pub started_unix_ms: u64,
}

impl SplitJob {
    /// The child's replica beside one of the parent's.
    fn beside(&self, parent: ReplicaId) -> Option<ReplicaId> {
        self.replicas.iter().find(|(of_parent, _)| *of_parent == parent).map(|(_, child)| *child)
    }
}

/// Where a shard that was not there from the beginning comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The shard that it was split off.
    pub parent: ShardId,
    /// Its first replicas: each one's content came from the parent's beside it, or from the group.
    pub replicas: Vec<ReplicaId>,
    /// When the split ended, Unix milliseconds.
    pub unix_ms: u64,
}

/// A split that is to begin; its ids have been allocated for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSplit {
    /// The shard to split.
    pub parent: ShardId,
    /// First slot of the child.
    pub at: Slot,
    /// The shard that comes.
    pub child: ShardId,
    /// Ids for its replicas, as many as the parent has.
    pub replicas: Vec<ReplicaId>,
    /// Now, Unix milliseconds.
    pub unix_ms: u64,
}

impl ClusterState {
    /// The slot at which a shard can be split now: the one wanted, or the middle one.
    ///
    /// # Errors
    /// A sentence: why not, and what to do.
    pub fn may_split(
        &self,
        shard: ShardId,
        wanted: Option<Slot>,
    ) -> std::result::Result<Slot, String> {
        let number = shard.0;
        if shard == ShardId::META {
            return Err("the meta shard owns no slots and is never split; name another one".into());
        }
        let Some(info) = self.map.shard(shard) else {
            let last = self.map.shards().iter().map(|info| info.id.0).max().unwrap_or_default();
            return Err(format!("there is no shard {number}; the last one is {last}"));
        };
        if self.jobs.contains_key(&shard) {
            return Err(format!(
                "a replica of shard {number} is being replaced; ask again when SHOW SHARDS says ok"
            ));
        }
        if let Some(job) = self.splits.get(&shard) {
            let (child, at) = (job.child.0, job.at);
            return Err(format!(
                "shard {number} is being split already: shard {child} gets its slots from {at} on"
            ));
        }
        if let Some(why) = self.merging(shard) {
            return Err(format!("shard {number} {why}; ask again when SHOW SHARDS says ok"));
        }
        if self.map.shards().len() + self.splits.len() >= SHARDS_MAX {
            return Err(format!("there are {SHARDS_MAX} shards, as many as a cluster may have"));
        }
        let SlotRange { start, end } = info.slots;
        if end - start < 2 {
            return Err(format!("shard {number} owns one slot, {start}, which cannot be divided"));
        }
        let at = wanted.map_or(start + (end - start) / 2, |slot| u32::from(slot.0));
        if at <= start || at >= end {
            return Err(format!(
                "shard {number} owns slots {start} to {}; it can be split at {} to {}, not at {at}",
                end - 1,
                start + 1,
                end - 1
            ));
        }
        // Below `end`, which is at most the number of slots.
        Ok(Slot(at as u16))
    }

    /// Writes a split's job down; `since` is the version that this change makes.
    ///
    /// # Errors
    /// A sentence, as [`Self::may_split`], or when the number of replicas has changed meanwhile.
    pub fn begin_split(&mut self, new: NewSplit, since: u64) -> std::result::Result<(), String> {
        let at = self.may_split(new.parent, Some(new.at))?;
        let held = self.map.shard(new.parent).map_or(&[][..], |info| info.replicas.as_slice());
        if held.len() != new.replicas.len() {
            return Err(format!(
                "the members of shard {} have just changed; ask again",
                new.parent.0
            ));
        }
        let of_parent = held.iter().map(|(replica, _)| *replica);
        let job = SplitJob {
            child: new.child,
            at,
            replicas: of_parent.zip(new.replicas).collect(),
            since,
            started_unix_ms: new.unix_ms,
        };
        self.splits.insert(new.parent, job);
        Ok(())
    }

    /// Ends a split that the parent's leader has carried out: the map names the child, and the job is gone.
    ///
    /// # Errors
    /// `InvalidMap` when there is no such split, or the map would contradict itself.
    pub fn finish_split(&mut self, parent: ShardId, unix_ms: u64) -> Result<()> {
        let missing =
            || Error::InvalidMap { what: format!("shard {parent} has no split to finish") };
        let job = self.splits.get(&parent).ok_or_else(missing)?;
        let info = self.map.shard(parent).ok_or_else(missing)?;
        let (at, epoch) = (u32::from(job.at.0), ShardEpoch(info.epoch.0 + 1));
        let beside = |(replica, node): &(ReplicaId, NodeId)| -> Result<(ReplicaId, NodeId)> {
            let child = job.beside(*replica).ok_or_else(|| Error::InvalidMap {
                what: format!("the split of shard {parent} names no replica beside {replica}"),
            })?;
            Ok((child, *node))
        };
        // In the parent's order: so the preferred leader is the same node.
        let replicas = info.replicas.iter().map(beside).collect::<Result<Vec<_>>>()?;
        let origin = Origin {
            parent,
            replicas: replicas.iter().map(|(replica, _)| *replica).collect(),
            unix_ms,
        };
        let child = ShardInfo {
            id: job.child,
            epoch,
            slots: SlotRange { start: at, end: info.slots.end },
            replicas,
        };
        let kept = ShardInfo {
            epoch,
            slots: SlotRange { start: info.slots.start, end: at },
            ..info.clone()
        };
        let others = self.map.shards().iter().filter(|known| known.id != parent);
        let shards = others.cloned().chain([kept, child]).collect();
        self.map = Arc::new(ShardMap::new(self.map.version(), shards)?);
        if let Some(job) = self.splits.remove(&parent) {
            self.origins.insert(job.child, origin);
        }
        Ok(())
    }

    /// The parent and the job of a child that is not in the map yet.
    fn coming(&self, child: ShardId) -> Option<(ShardId, &SplitJob)> {
        let mut splits = self.splits.iter();
        splits.find(|(_, job)| job.child == child).map(|(parent, job)| (*parent, job))
    }

    /// The replica of a child, not in the map yet, that a node should run.
    pub(crate) fn child_on(&self, child: ShardId, node: NodeId) -> Option<ReplicaId> {
        let (parent, job) = self.coming(child)?;
        let mut held = self.map.shard(parent)?.replicas.iter();
        held.find(|(_, at)| *at == node).and_then(|(replica, _)| job.beside(*replica))
    }

    /// Whether a replica is one of a child that is not in the map yet.
    pub(crate) fn is_coming(&self, child: ShardId, replica: ReplicaId) -> bool {
        let named = |job: &SplitJob| job.replicas.iter().any(|(_, of_child)| *of_child == replica);
        self.coming(child).is_some_and(|(_, job)| named(job))
    }

    /// The shard whose split made a replica, and the first slot that the shard gave away with it. `None` for a replica
    /// that was there from the beginning, or came by a change of members.
    pub fn parent_of(&self, shard: ShardId, replica: ReplicaId) -> Option<(ShardId, Slot)> {
        if let Some((parent, job)) = self.coming(shard) {
            return self.is_coming(shard, replica).then_some((parent, job.at));
        }
        let origin = self.origins.get(&shard).filter(|known| known.replicas.contains(&replica))?;
        // A shard that is split keeps its first slot.
        let first = self.map.shard(shard)?.slots.start;
        Some((origin.parent, Slot(first as u16)))
    }

    /// When a shard was last split or split off, Unix milliseconds; 0 when it never was.
    pub fn last_split_unix_ms(&self, shard: ShardId) -> u64 {
        let concerned =
            self.origins.iter().filter(|(child, from)| **child == shard || from.parent == shard);
        concerned.map(|(_, from)| from.unix_ms).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::{job, state};

    fn new(state: &ClusterState, parent: u64, at: Slot) -> NewSplit {
        let shards = state.map.shards().iter().map(|info| info.id.0).max().unwrap();
        let child = ShardId(shards + 1 + state.splits.len() as u64);
        let replicas = (0..3).map(|at| ReplicaId(child.0 * 100 + at)).collect();
        NewSplit { parent: ShardId(parent), at, child, replicas, unix_ms: 5 }
    }

    /// Begins a split, at the middle slot unless one is wanted.
    fn begin(state: &mut ClusterState, parent: u64, wanted: Option<u16>) -> ShardId {
        let at = state.may_split(ShardId(parent), wanted.map(Slot)).unwrap();
        let new = new(state, parent, at);
        let child = new.child;
        state.begin_split(new, 7).unwrap();
        child
    }

    #[test]
    fn a_shard_is_split_in_the_middle_and_both_halves_stay_where_they_are() {
        let mut state = state(3, 3, 2);
        let before = state.map.shard(ShardId(2)).unwrap().clone();
        let child = begin(&mut state, 2, None);
        state.finish_split(ShardId(2), 99).unwrap();
        let kept = state.map.shard(ShardId(2)).unwrap();
        let came = state.map.shard(child).unwrap();
        assert_eq!((before.slots.start, before.slots.end), (32_768, 65_536));
        assert_eq!(kept.slots, SlotRange { start: 32_768, end: 49_152 });
        assert_eq!(came.slots, SlotRange { start: 49_152, end: 65_536 });
        assert_eq!(kept.replicas, before.replicas);
        assert_eq!(came.preferred_leader(), before.preferred_leader());
        assert!(before.replicas.iter().all(|(_, node)| came.is_on(*node)));
        assert_eq!((kept.epoch, came.epoch), (ShardEpoch(2), ShardEpoch(2)));
        assert!(state.splits.is_empty());
        assert_eq!(
            (state.last_split_unix_ms(ShardId(2)), state.last_split_unix_ms(child)),
            (99, 99)
        );
        assert_eq!(state.last_split_unix_ms(ShardId(1)), 0);
        assert!(state.finish_split(ShardId(2), 99).is_err(), "it is over");
    }

    #[test]
    fn the_childs_replicas_are_known_while_the_job_stands_and_afterwards() {
        let mut state = state(3, 4, 1);
        let parent = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        let child = begin(&mut state, 1, Some(9));
        let coming = state.replica_on(child, NodeId(2)).unwrap();
        let check = |state: &ClusterState| {
            assert_eq!(state.replica_on(child, NodeId(2)), Some(coming));
            assert_eq!(state.replicas_on(NodeId(2)).get(&child), Some(&coming));
            assert!(state.knows(child, coming) && !state.knows(child, ReplicaId(9999)));
            assert_eq!(state.parent_of(child, coming), Some((ShardId(1), Slot(9))));
            assert_eq!(state.parent_of(child, ReplicaId(9999)), None);
            assert_eq!(state.parent_of(ShardId(1), parent), None);
            assert_eq!(state.replica_on(child, NodeId(4)), None);
        };
        check(&state);
        assert_eq!(state.splits[&ShardId(1)].beside(parent), Some(coming));
        state.finish_split(ShardId(1), 1).unwrap();
        check(&state);
    }

    #[test]
    fn what_cannot_be_split_is_refused_with_what_to_do() {
        let mut state = state(3, 4, 2);
        let ask = |state: &ClusterState, shard, at: Option<u16>| {
            state.may_split(ShardId(shard), at.map(Slot)).map(|slot| slot.0)
        };
        assert_eq!(ask(&state, 1, None), Ok(16_384));
        assert_eq!((ask(&state, 1, Some(1)), ask(&state, 1, Some(32_767))), (Ok(1), Ok(32_767)));
        for at in [0, 32_768] {
            let why = ask(&state, 1, Some(at)).unwrap_err();
            assert!(why.contains("slots 0 to 32767") && why.contains("at 1 to 32767"), "{why}");
        }
        assert!(ask(&state, 0, None).unwrap_err().contains("meta shard"));
        assert!(ask(&state, 9, None).unwrap_err().contains("the last one is 2"));
        let old = state.replica_on(ShardId(2), NodeId(2)).unwrap();
        state.jobs.insert(ShardId(2), job((77, 4), Some(old.0)));
        assert!(ask(&state, 2, None).unwrap_err().contains("is being replaced"));
        let child = begin(&mut state, 1, Some(1));
        assert!(ask(&state, 1, None).unwrap_err().contains("being split already"));
        assert!(ask(&state, child.0, None).unwrap_err().contains("there is no shard"));
        state.finish_split(ShardId(1), 0).unwrap();
        assert!(ask(&state, 1, None).unwrap_err().contains("owns one slot, 0"));
    }

    #[test]
    fn a_split_that_lost_a_race_is_refused() {
        let mut state = state(3, 3, 1);
        let twice = new(&state, 1, Slot(9));
        begin(&mut state, 1, None);
        assert!(state.begin_split(twice, 8).unwrap_err().contains("being split already"));
        state.splits.clear();
        let few = NewSplit { replicas: vec![ReplicaId(50)], ..new(&state, 1, Slot(9)) };
        assert!(state.begin_split(few, 8).unwrap_err().contains("have just changed"));
    }

    #[test]
    fn shards_are_split_again_and_again_and_every_slot_has_one_owner() {
        let mut state = state(3, 3, 1);
        for _ in 0..30 {
            let widest =
                state.map.data_shards().iter().max_by_key(|info| info.slots.end - info.slots.start);
            let parent = widest.unwrap().id;
            begin(&mut state, parent.0, None);
            // Checks the map's invariants.
            state.finish_split(parent, 0).unwrap();
        }
        assert_eq!(state.map.data_shards().len(), 31);
        assert_eq!(state.origins.len(), 30);
    }
}
