//! What the meta shard knows of a cluster: its nodes, its shard map, and the changes of members, splits and merges under way.
//!
//! ```text
//! nodes   n1 active   n2 decommissioning   n3 active   n4 active
//! map     s1: r1@n1 r2@n2 r3@n3
//! jobs    s1: replace r2 by r17@n4, catching up
//! splits  s2: s9 from slot 4096 on
//! merges  s3: takes in s4
//! places  [0,4096): policy eu
//! ```
//!
//! Every change makes a new version; of two states the one with the higher version is newer. An id of a replica, shard
//! or node that was handed out once is never handed out again.

use crate::merge_job::MergeJob;
use crate::policy::Placement;
use crate::split_job::{Origin, SplitJob};
use crate::{Error, Result, ShardInfo, ShardMap};
use base::limits::{CHANGES_NODES, REBALANCE_MOVES_DEFAULT, REBALANCE_MOVES_MAX};
use base::{NodeId, ReplicaId, ShardEpoch, ShardId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is wanted of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// Holds replicas and leads.
    #[default]
    Active,
    /// Holds replicas and leads nothing: it is about to be stopped for a while.
    Draining,
    /// Its replicas go to other nodes.
    Decommissioning,
    /// Holds nothing any more and never comes back under its number.
    Left,
}

impl NodeState {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Active => "active",
            NodeState::Draining => "draining",
            NodeState::Decommissioning => "decommissioning",
            NodeState::Left => "left",
        }
    }
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// Where other nodes reach it, `host:port`.
    pub address: String,
    /// Where MySQL clients reach it.
    pub sql_address: String,
    /// What is wanted of it.
    pub state: NodeState,
    /// Number drawn when its data folder was made; 0 when it is not known. A node with the same id and
    /// another number has lost its disk.
    pub incarnation: u64,
    /// What fails together with it, as its configuration says: `zone` or `city/zone`; empty when it does not say.
    pub zone: String,
}

/// Why a shard's members change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The replica's node is being decommissioned.
    Decommission,
    /// The replica's node has been silent for too long.
    Silent,
    /// The replica cannot run.
    Lost,
    /// The shard has fewer replicas than it should.
    Missing,
    /// The replica's node holds more than its share.
    Balance,
    /// Somebody asked for it.
    Request,
    /// The placement policy of the shard's slots wants it elsewhere.
    Placement,
}

impl Reason {
    /// The words for people.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Decommission => "its node is decommissioned",
            Reason::Silent => "its node does not answer",
            Reason::Lost => "it cannot run",
            Reason::Missing => "the shard has too few replicas",
            Reason::Balance => "its node holds more than its share",
            Reason::Request => "it was asked for",
            Reason::Placement => "its placement policy wants it there",
        }
    }

    /// Whether something is wrong that the change mends; else the shard is sound, and the change can wait.
    pub fn repairs(self) -> bool {
        match self {
            Reason::Decommission | Reason::Silent | Reason::Lost | Reason::Missing => true,
            Reason::Balance | Reason::Request | Reason::Placement => false,
        }
    }
}

/// How far a change of members has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobStep {
    /// The new replica becomes a learner.
    #[default]
    Adding,
    /// It receives what it lacks.
    CatchingUp,
    /// Leadership leaves the old replica.
    MovingLeader,
    /// It gets its vote, the old replica loses its own.
    ChangingVoters,
    /// The old replica leaves the group.
    Removing,
    /// The map is updated.
    Finishing,
}

impl JobStep {
    /// The words for people.
    pub fn name(self) -> &'static str {
        match self {
            JobStep::Adding => "adding the new replica",
            JobStep::CatchingUp => "the new replica catches up",
            JobStep::MovingLeader => "leadership leaves the old replica",
            JobStep::ChangingVoters => "the voters change",
            JobStep::Removing => "removing the old replica",
            JobStep::Finishing => "updating the map",
        }
    }
}

/// A change of one shard's members: one replica comes, and one may go for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The replica that comes, and its node.
    pub add: (ReplicaId, NodeId),
    /// The replica that goes.
    pub remove: Option<ReplicaId>,
    /// Why.
    pub reason: Reason,
    /// How far it has come.
    pub step: JobStep,
    /// Whether it is taken back: the new replica goes again, unless it has its vote already.
    pub cancelled: bool,
    /// When it began, Unix milliseconds.
    pub started_unix_ms: u64,
}

/// How the cluster may even nodes out, and whether it merges shards by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RebalanceSettings {
    /// Nothing is begun; what is under way is finished.
    pub paused: bool,
    /// Replicas that move at once, at most; 0 when nobody has said.
    pub moves_at_once: u32,
    /// Neighbours that are cold become one shard by themselves; what is under way is finished.
    pub auto_merge: bool,
}

impl RebalanceSettings {
    /// Replicas that move at once, at most.
    pub fn moves(self) -> usize {
        match self.moves_at_once {
            0 => REBALANCE_MOVES_DEFAULT,
            moves => (moves as usize).min(REBALANCE_MOVES_MAX),
        }
    }
}

/// All of it, at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterState {
    /// Drawn when the cluster was founded, never changed: two clusters of one name differ in it. 0 in clusters that
    /// are older than it.
    pub id: u64,
    /// Grows with every change.
    pub version: u64,
    /// Replicas that every shard should have.
    pub replication: u32,
    /// Every node there ever was.
    pub nodes: BTreeMap<NodeId, NodeInfo>,
    /// Where slots live.
    pub map: Arc<ShardMap>,
    /// Changes of members under way, by shard.
    pub jobs: BTreeMap<ShardId, Job>,
    /// How the cluster may even nodes out.
    pub rebalance: RebalanceSettings,
    /// Splits under way, by the shard that is split.
    pub splits: BTreeMap<ShardId, SplitJob>,
    /// Merges under way, by the left shard, which stays.
    pub merges: BTreeMap<ShardId, MergeJob>,
    /// Where the shards of the map come from that were not there from the beginning.
    pub origins: BTreeMap<ShardId, Origin>,
    /// Placement policies, and which slots are under them.
    pub placement: Placement,
}

impl ClusterState {
    /// The replica of a shard that a node should run: the one that a job or a split brings to it, else the map's.
    pub fn replica_on(&self, shard: ShardId, node: NodeId) -> Option<ReplicaId> {
        let coming = self.jobs.get(&shard).filter(|job| job.add.1 == node).map(|job| job.add.0);
        let held = || {
            let info = self.map.shard(shard)?;
            info.replicas.iter().find(|(_, at)| *at == node).map(|(replica, _)| *replica)
        };
        coming.or_else(held).or_else(|| self.child_on(shard, node))
    }

    /// The replicas that a node should run, in order of their shards.
    pub fn replicas_on(&self, node: NodeId) -> BTreeMap<ShardId, ReplicaId> {
        let children = self.splits.values().map(|job| job.child);
        let shards = self.map.shards().iter().map(|info| info.id).chain(children);
        shards.filter_map(|shard| Some((shard, self.replica_on(shard, node)?))).collect()
    }

    /// Whether a replica is part of the map, of a job or of a split, on whichever node.
    pub fn knows(&self, shard: ShardId, replica: ReplicaId) -> bool {
        let in_map = |info: &ShardInfo| info.replicas.iter().any(|(id, _)| *id == replica);
        self.map.shard(shard).is_some_and(in_map)
            || self.jobs.get(&shard).is_some_and(|job| job.add.0 == replica)
            || self.is_coming(shard, replica)
    }

    /// Why no change of a shard's members may begin now, if none may: a sentence for people.
    pub fn members_fixed(&self, shard: ShardId) -> Option<String> {
        let job = self.splits.get(&shard)?;
        Some(format!(
            "waits until it is split: shard {} gets its slots from {} on",
            job.child.0, job.at
        ))
    }

    /// What is wanted of a node; `Left` for one that was never there.
    pub fn node_state(&self, node: NodeId) -> NodeState {
        self.nodes.get(&node).map_or(NodeState::Left, |info| info.state)
    }

    /// Puts a shard's new entry into the map.
    ///
    /// # Errors
    /// `InvalidMap` when the map would contradict itself.
    pub fn replace_shard(&mut self, info: ShardInfo) -> Result<()> {
        // It is copied only while somebody else reads it.
        Arc::make_mut(&mut self.map).replace(info)
    }

    /// How many times limits on changes over the whole cluster count: once for each so many nodes.
    pub fn limit_units(&self) -> usize {
        let here = self.nodes.values().filter(|info| info.state != NodeState::Left).count();
        here.div_ceil(CHANGES_NODES).max(1)
    }

    /// Makes a node the preferred leader of a shard: its replica becomes the first. The epoch grows, so that no node
    /// takes the shard for one that has still to begin.
    ///
    /// # Errors
    /// `InvalidMap` when the node has no replica of it.
    pub fn prefer_leader(&mut self, shard: ShardId, node: NodeId) -> Result<()> {
        let missing =
            || Error::InvalidMap { what: format!("node {node} has no replica of {shard}") };
        let info = self.map.shard(shard).ok_or_else(missing)?;
        let mut replicas = info.replicas.clone();
        let at = replicas.iter().position(|(_, at)| *at == node).ok_or_else(missing)?;
        replicas[..=at].rotate_right(1);
        let epoch = ShardEpoch(info.epoch.0 + 1);
        let info = ShardInfo { id: shard, epoch, slots: info.slots, replicas };
        self.replace_shard(info)
    }

    /// The shard's entry of the map once its job is done.
    ///
    /// # Errors
    /// `InvalidMap` when there is no such shard or job.
    pub fn finished(&self, shard: ShardId) -> Result<ShardInfo> {
        let missing = || Error::InvalidMap { what: format!("shard {shard} has no job to finish") };
        let info = self.map.shard(shard).ok_or_else(missing)?;
        let job = self.jobs.get(&shard).ok_or_else(missing)?;
        let mut replicas = info.replicas.clone();
        match replicas.iter_mut().find(|(replica, _)| Some(*replica) == job.remove) {
            // In the old one's place: so the preferred leader moves with it.
            Some(place) => *place = job.add,
            None => replicas.push(job.add),
        }
        let epoch = ShardEpoch(info.epoch.0 + 1);
        Ok(ShardInfo { id: shard, epoch, slots: info.slots, replicas })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::initial;

    /// A cluster of `nodes` active nodes, the first `founders` of which hold replicas.
    pub(crate) fn state(founders: u64, nodes: u64, shards: u32) -> ClusterState {
        let ids: Vec<NodeId> = (1..=founders).map(NodeId).collect();
        let map = Arc::new(initial(&ids, shards, 3.min(founders as usize)).unwrap().map);
        let node =
            |id| (NodeId(id), NodeInfo { address: format!("h{id}:1"), ..NodeInfo::default() });
        ClusterState {
            id: 1,
            version: 1,
            replication: 3.min(founders as u32),
            nodes: (1..=nodes).map(node).collect(),
            map,
            jobs: BTreeMap::new(),
            rebalance: RebalanceSettings::default(),
            splits: BTreeMap::new(),
            merges: BTreeMap::new(),
            origins: BTreeMap::new(),
            placement: Placement::default(),
        }
    }

    pub(crate) fn job(add: (u64, u64), remove: Option<u64>) -> Job {
        Job {
            add: (ReplicaId(add.0), NodeId(add.1)),
            remove: remove.map(ReplicaId),
            reason: Reason::Decommission,
            step: JobStep::Adding,
            cancelled: false,
            started_unix_ms: 0,
        }
    }

    #[test]
    fn a_job_decides_what_its_node_runs_and_ends_in_the_map() {
        let mut state = state(3, 4, 1);
        let old = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        state.jobs.insert(ShardId(1), job((77, 4), Some(old.0)));
        assert_eq!(state.replica_on(ShardId(1), NodeId(4)), Some(ReplicaId(77)));
        assert_eq!(
            state.replica_on(ShardId(1), NodeId(2)),
            Some(old),
            "until the map says otherwise"
        );
        assert!(state.knows(ShardId(1), ReplicaId(77)) && !state.knows(ShardId(0), ReplicaId(77)));
        let done = state.finished(ShardId(1)).unwrap();
        assert_eq!(done.epoch, ShardEpoch(2));
        assert!(done.is_on(NodeId(4)) && !done.is_on(NodeId(2)));
        assert!(state.finished(ShardId(0)).is_err());
    }

    #[test]
    fn another_preferred_leader_changes_only_the_order() {
        let mut state = state(3, 3, 2);
        let before = state.map.shard(ShardId(2)).unwrap().clone();
        let last = before.replicas[2];
        state.prefer_leader(ShardId(2), last.1).unwrap();
        let after = state.map.shard(ShardId(2)).unwrap();
        assert_eq!(after.replicas, [last, before.replicas[0], before.replicas[1]]);
        assert_eq!((after.epoch, after.slots), (ShardEpoch(2), before.slots));
        assert!(state.prefer_leader(ShardId(2), NodeId(9)).is_err());
        assert!(state.prefer_leader(ShardId(9), NodeId(1)).is_err());
    }

    #[test]
    fn a_replica_rebuilt_in_place_runs_under_its_new_id() {
        let mut state = state(3, 3, 1);
        let old = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        state.jobs.insert(ShardId(1), job((77, 2), Some(old.0)));
        assert_eq!(state.replica_on(ShardId(1), NodeId(2)), Some(ReplicaId(77)));
        assert_eq!(state.replicas_on(NodeId(2)).len(), 2);
        assert_eq!(state.node_state(NodeId(9)), NodeState::Left);
    }
}
