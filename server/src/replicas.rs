//! The replicas of this node: starts what the cluster's state gives it, removes what it no longer gives.
//!
//! ```text
//! cluster state ──> wanted: s1→r17, s2→r8 ┐
//! folders       ──> present: s1→r3, s2→r8 ┴─> remove s1/r3, start s1/r17
//! ```
//!
//! A replica leaves in this order: no more requests, Raft ends, a Destroy record is synced, the folder goes
//! to the trash. One that could not run is kept beside the others as evidence (`set-aside/`).
//!
//! The replicas of a shard that is split off come into being below this: the parent's replica here makes the child's folder
//! when it applies the split, which may be before this node has heard of the split at all, or long after.
//!
//! Invariants:
//! 1. Nothing is removed but on a state that the meta shard committed, and that knows the replica neither
//!    in its map nor in a job or split; ids are never used twice, so it cannot be wanted later. A folder that a split made
//!    says in which version the split was written down: an older state says nothing about it.
//! 2. A replica that lost what it had acknowledged never runs again under its id.
//! 3. A replica without a folder is created only when it is new. One that is gone is reported, and comes
//!    back under another id.
//! 4. A new replica starts empty and has no vote until its group gives it one. A child's replica has its vote from the
//!    beginning: it starts empty only when the parent's replica here can give it nothing any more, because it has applied the
//!    split without making the folder (it was sent a Raft snapshot), or does not run. Its group then fills it.
//! 5. A replica is started from one task, so that no two start it at once.

use crate::directory::{Directory, FIRST_VERSION};
use crate::local_shards::{LocalShard, LocalShards};
use crate::oracle::{LocalOracle, NodeOracle};
use crate::shard_state::{BatchMachine, GroupReplication};
use base::limits::{CHILD_CAMPAIGN_PAUSE, CHILD_CAMPAIGNS_MAX, RECONCILE_PAUSE};
use base::{ReplicaId, ShardId, SharedClock, Slot};
use engine::folder::ReplicaIdentity;
use parking_lot::RwLock;
use raft::host::Host;
use raft::{ChildSink, ReplicaGroup};
use shard_router::{ClusterState, NodeState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;

/// A replica that cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostReplica {
    /// The replica.
    pub replica: ReplicaId,
    /// Why, for people.
    pub why: String,
}

/// This node's replicas.
pub struct Replicas {
    /// Runs them.
    host: Arc<Host>,
    /// Those that serve.
    local: Arc<LocalShards>,
    /// What the cluster wants.
    directory: Arc<Directory>,
    /// Timestamps for their transactions.
    oracle: Arc<NodeOracle>,
    /// Time.
    clock: SharedClock,
    /// Those that could not be started, until they are replaced.
    lost: RwLock<BTreeMap<ShardId, LostReplica>>,
    /// What was set aside since the start, for people.
    set_aside: RwLock<BTreeMap<ShardId, String>>,
    /// Replicas that splits have made.
    children: Arc<ChildNews>,
}

/// Wakes whoever starts replicas when a split has made one.
#[derive(Debug, Default)]
pub struct ChildNews(Notify);

impl ChildSink for ChildNews {
    fn child_made(&self, shard: ShardId, replica: ReplicaId) {
        tracing::info!(%shard, %replica, "a split made a replica");
        self.0.notify_one();
    }
}

/// How a replica begins that has no folder.
enum Beginning {
    /// Empty: it is new.
    Empty,
    /// It does not yet: the parent's replica here may still make its folder.
    Waits,
    /// Never: it was here and is gone.
    Gone,
}

impl Replicas {
    /// No replica runs yet.
    pub fn new(
        host: Arc<Host>,
        children: Arc<ChildNews>,
        local: Arc<LocalShards>,
        directory: Arc<Directory>,
        oracle: Arc<NodeOracle>,
        clock: SharedClock,
    ) -> Arc<Replicas> {
        let (lost, set_aside) = (RwLock::default(), RwLock::default());
        Arc::new(Replicas { host, local, directory, oracle, clock, lost, set_aside, children })
    }

    /// Those that cannot run: not started, or stopped since.
    pub fn lost(&self) -> BTreeMap<ShardId, LostReplica> {
        let mut lost = self.lost.read().clone();
        for local in self.local.all() {
            let status = local.group.status();
            if status.role.starts_with("stopped") {
                let entry = LostReplica { replica: status.replica, why: status.role };
                lost.insert(status.shard, entry);
            }
        }
        lost
    }

    /// Replicas given up since the start and kept as evidence, with their folders.
    pub fn set_aside(&self) -> BTreeMap<ShardId, String> {
        self.set_aside.read().clone()
    }

    /// At the start, before anyone was heard: runs what has a folder here, and what the last known state
    /// gives this node. `log_gone`: why the Raft log is not the one that the replicas wrote.
    pub async fn start_known(&self, log_gone: Option<String>) {
        let state = self.directory.state();
        let mut wanted = state.replicas_on(self.directory.node());
        for (shard, replica) in self.present() {
            if log_gone.is_some() {
                // At the next start nobody could tell that it has forgotten its votes.
                self.set_aside_one(shard, replica).await;
            } else {
                // Of two folders of a shard the state's one runs; the other is looked at later.
                wanted.entry(shard).or_insert(replica);
            }
        }
        for (shard, replica) in wanted {
            match &log_gone {
                Some(why) => self.give_up(shard, replica, why.clone()),
                None => self.start(&state, shard, replica).await,
            }
        }
    }

    /// The replica folders here.
    fn folders(&self) -> Vec<ReplicaIdentity> {
        self.host.local_identities().unwrap_or_else(|error| {
            tracing::error!(%error, "the replica folders cannot be listed");
            Vec::new()
        })
    }

    /// The replicas that have a folder here.
    fn present(&self) -> Vec<(ShardId, ReplicaId)> {
        self.folders().into_iter().map(|folder| (folder.shard, folder.replica)).collect()
    }

    fn give_up(&self, shard: ShardId, replica: ReplicaId, why: String) {
        // The other replicas of this node are sound: it serves them, and says which one it lost.
        tracing::error!(%shard, %replica, %why, "replica not started");
        self.lost.write().insert(shard, LostReplica { replica, why });
    }

    /// How a replica begins that has no folder.
    fn beginning(&self, state: &ClusterState, shard: ShardId, replica: ReplicaId) -> Beginning {
        if state.version <= FIRST_VERSION
            || state.jobs.get(&shard).is_some_and(|job| job.add.0 == replica)
        {
            return Beginning::Empty;
        }
        match state.parent_of(shard, replica) {
            Some((parent, first)) if self.split_is_past(state, parent, first) => Beginning::Empty,
            Some(_) => Beginning::Waits,
            None => Beginning::Gone,
        }
    }

    /// Whether no split of a parent at a slot is still to be applied here.
    fn split_is_past(&self, state: &ClusterState, parent: ShardId, first: Slot) -> bool {
        match self.local.get(parent) {
            Some(local) => match local.shard.bounds() {
                Ok(bounds) => bounds.is_some_and(|slots| !slots.contains(first)),
                Err(_) => false,
            },
            // One that is wanted here starts in a moment, unless it cannot.
            None => {
                let wanted = state.replica_on(parent, self.directory.node()).is_some();
                !wanted || self.lost.read().contains_key(&parent)
            }
        }
    }

    /// Starts a replica; what prevents it is remembered and reported. One without a folder is created only
    /// when it is new: in a cluster that begins, or brought by a job or a split.
    async fn start(&self, state: &ClusterState, shard: ShardId, replica: ReplicaId) {
        if !self.present().contains(&(shard, replica)) {
            match self.beginning(state, shard, replica) {
                Beginning::Empty => {}
                Beginning::Waits => return,
                Beginning::Gone => {
                    return self.give_up(shard, replica, "its folder is gone".into());
                }
            }
        }
        match self.host.start_replica(shard, replica, Arc::new(BatchMachine)).await {
            Ok(group) => {
                self.lost.write().remove(&shard);
                let replication = Arc::new(GroupReplication::new(group.clone()));
                if shard == ShardId::META {
                    let oracle =
                        LocalOracle::new(replication.clone(), group.engine(), self.clock.clone());
                    self.local.set_oracle(Some(Arc::new(oracle)));
                }
                let shard_at = txn::shard::Shard::new(
                    replication,
                    group.engine(),
                    self.oracle.clone(),
                    self.local.row_locks().clone(),
                );
                self.local.add(shard, LocalShard { shard: Arc::new(shard_at), group });
                tracing::info!(%shard, %replica, "replica runs");
                self.lead_child(state, shard, replica);
            }
            Err(error) => self.give_up(shard, replica, error.to_string()),
        }
    }

    /// Lets the replica of a new child stand for election at once when this node leads its parent: the same node then serves
    /// all of the parent's slots again.
    fn lead_child(&self, state: &ClusterState, shard: ShardId, replica: ReplicaId) {
        let Some(child) = self.local.get(shard).filter(|child| child.group.status().term == 0)
        else {
            return;
        };
        let parent = state.parent_of(shard, replica).and_then(|(parent, _)| self.local.get(parent));
        if parent.is_some_and(|parent| parent.group.serving_term().is_some()) {
            tokio::spawn(stand_for_election(child.group));
        }
    }

    /// Brings the node in line with the cluster's state whenever that changes, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut changes = self.directory.watch();
        loop {
            self.reconcile().await;
            let pause = tokio::time::sleep(RECONCILE_PAUSE);
            tokio::select! {
                // The directory lives as long as this.
                _ = changes.changed() => {}
                () = self.children.0.notified() => {}
                () = pause => {}
            }
        }
    }

    /// One look.
    async fn reconcile(&self) {
        let state = self.directory.state();
        if state.version <= FIRST_VERSION {
            return;
        }
        let me = self.directory.node();
        if state.node_state(me) == NodeState::Left {
            // It is about to stop. What it still has may be all that is left of acknowledged writes: a cluster
            // that was recovered without it lets it leave too.
            return;
        }
        let wanted = state.replicas_on(me);
        // One whose folder is gone is still known to the Raft log.
        let lost: BTreeSet<(ShardId, ReplicaId)> =
            self.lost().into_iter().map(|(shard, lost)| (shard, lost.replica)).collect();
        let folders = self.folders();
        // Made by splits that were written down after this state: it says nothing about them.
        let early = folders.iter().filter(|folder| folder.since > state.version);
        let early: BTreeMap<_, _> = early.map(|folder| (folder.shard, folder.replica)).collect();
        let present = folders.iter().map(|folder| (folder.shard, folder.replica));
        let here: BTreeSet<_> = present.chain(lost.iter().copied()).collect();
        for (shard, replica) in here {
            if wanted.get(&shard) == Some(&replica) {
                continue;
            }
            if early.get(&shard) == Some(&replica) {
                continue;
            }
            let replaced_here = state
                .jobs
                .get(&shard)
                .is_some_and(|job| job.remove == Some(replica) && job.add.1 == me);
            if replaced_here {
                self.set_aside_one(shard, replica).await;
            } else if !state.knows(shard, replica) {
                match lost.contains(&(shard, replica)) {
                    true => self.set_aside_one(shard, replica).await,
                    false => self.remove(shard, replica).await,
                }
            }
        }
        for (shard, replica) in wanted.iter().chain(&early) {
            let runs =
                self.local.get(*shard).is_some_and(|local| local.group.replica() == *replica);
            let known_lost = self.lost.read().get(shard).is_some_and(|l| l.replica == *replica);
            if !runs && !known_lost {
                self.start(&state, *shard, *replica).await;
            }
        }
        let kept = |shard: &ShardId| wanted.get(shard).or_else(|| early.get(shard));
        self.lost.write().retain(|shard, lost| kept(shard) == Some(&lost.replica));
    }

    /// No more requests reach a replica.
    fn withdraw(&self, shard: ShardId, replica: ReplicaId) {
        if self.local.get(shard).is_some_and(|local| local.group.replica() == replica) {
            self.local.remove(shard);
            if shard == ShardId::META {
                self.local.set_oracle(None);
            }
        }
    }

    /// Removes a replica that the cluster knows no more.
    async fn remove(&self, shard: ShardId, replica: ReplicaId) {
        self.withdraw(shard, replica);
        match self.host.destroy_replica(shard, replica).await {
            Ok(()) => tracing::info!(%shard, %replica, "replica removed"),
            Err(error) => tracing::error!(%shard, %replica, %error, "replica not removed"),
        }
    }

    /// Gives a replica up that is replaced on this node, and keeps its folder.
    async fn set_aside_one(&self, shard: ShardId, replica: ReplicaId) {
        self.withdraw(shard, replica);
        match self.host.set_aside_replica(shard, replica).await {
            Ok(kept) => {
                let kept = kept.map_or("nothing was left of it".to_string(), |kept| {
                    format!("kept in {}", kept.display())
                });
                tracing::warn!(%shard, %replica, %kept, "replica given up");
                self.set_aside.write().insert(shard, format!("replica {} {kept}", replica.0));
            }
            Err(error) => tracing::error!(%shard, %replica, %error, "replica not set aside"),
        }
    }
}

/// Stands for election until somebody leads: the other replicas come into being at the same time as this one, and who is not
/// there yet cannot vote. What fails here is left to the timers.
async fn stand_for_election(group: Arc<dyn ReplicaGroup>) {
    for _ in 0..CHILD_CAMPAIGNS_MAX {
        if group.leader().is_some() {
            return;
        }
        if let Err(error) = group.campaign().await {
            let shard = group.shard();
            tracing::debug!(%shard, %error, "a new shard's replica does not stand for election");
        }
        tokio::time::sleep(CHILD_CAMPAIGN_PAUSE).await;
    }
}
