//! The coordinator: on the node that leads the meta shard, it replaces replicas that must go, and evens nodes out,
//! one careful step after another.
//!
//! ```text
//! every look:  records ─┬─> node details learned from nodes            ─┐
//!                       ├─> shards that need another member → new jobs  ├─ one transaction each,
//!                       ├─> jobs without a point → taken back           │  guarded by the version
//!                       ├─> decommissioned nodes that are empty → left  │
//!                       ├─> not where a placement policy wants it → jobs
//!                       ├─> sound, but uneven → jobs, preferred leaders─┘
//!                       ├─> each job: group as its leader sees it → next step → asked of that leader
//!                       └─> splits (`shard_split`), merges (`shard_merge`)
//! ```
//!
//! Nothing is remembered between two looks but for how long something has been wrong: a coordinator that
//! takes over begins where the last one stopped. Which disks have been full every node watches all the time.
//! Two that overlap do no harm: records change only from the
//! version that was read, members only from the membership that was seen, and a step that was taken is not
//! the next one any more (`shard_router::change`).

use crate::directory::{Directory, FIRST_VERSION};
use crate::gossip::Gossip;
use crate::local_shards::LocalShards;
use crate::members::Members;
use crate::meta_store::{ChangeError, MetaStore};
use crate::shard_merge::Merger;
use crate::shard_split::Splitter;
use base::limits::{CHANGE_OVERDUE, COORDINATE_PAUSE, LOST_WAIT, REBALANCE_LOOK};
use base::{NodeId, ReplicaId, ShardId, SharedClock};
use parking_lot::Mutex;
use proto::node as pb;
use shard_router::change::{Step, next_step};
use shard_router::fitness::Fitness;
use shard_router::policy::{PolicyMoves, policy_moves};
use shard_router::rebalance::{
    LeaderChange, Limits, Rebalance, Weights, bytes_of, rebalance_by_load,
};
use shard_router::repair::{Health, NewJob, repairs};
use shard_router::split::Seen;
use shard_router::why::{self, Line, Plans};
use shard_router::{ClusterState, Job, JobStep, NodeState, Reason};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a coordinator works with.
pub struct Coordinator {
    /// The cluster's records.
    pub meta: MetaStore,
    /// The newest state seen.
    pub directory: Arc<Directory>,
    /// How nodes are.
    pub gossip: Arc<Gossip>,
    /// Whether this node leads the meta shard.
    pub local: Arc<LocalShards>,
    /// The way to groups' leaders.
    pub members: Arc<Members>,
    /// Begins and drives splits.
    pub splitter: Arc<Splitter>,
    /// Begins and drives merges.
    pub merger: Arc<Merger>,
    /// Time.
    pub clock: SharedClock,
    /// How long a silent node is waited for.
    pub dead_after: Duration,
    /// Since when replicas have been unable to run, monotonic.
    lost_since: Mutex<BTreeMap<(ShardId, ReplicaId), Duration>>,
    /// Which nodes get nothing, as their disks have been full.
    fitness: Mutex<Fitness>,
    /// What each shard waits for; empty on a node that does not coordinate.
    notes: Mutex<BTreeMap<ShardId, String>>,
    /// Version of the records and health for which nothing was to be evened out, and when that was, monotonic.
    even_at: Mutex<Option<(u64, Health, Duration)>>,
}

/// What a coordinator is made of.
pub struct CoordinatorParts {
    /// The cluster's records.
    pub meta: MetaStore,
    /// The newest state seen.
    pub directory: Arc<Directory>,
    /// How nodes are.
    pub gossip: Arc<Gossip>,
    /// Replicas of this node.
    pub local: Arc<LocalShards>,
    /// The way to groups' leaders.
    pub members: Arc<Members>,
    /// Begins and drives splits.
    pub splitter: Arc<Splitter>,
    /// Begins and drives merges.
    pub merger: Arc<Merger>,
    /// Time.
    pub clock: SharedClock,
    /// How long a silent node is waited for.
    pub dead_after: Duration,
}

impl Coordinator {
    /// Does nothing until it runs.
    pub fn new(parts: CoordinatorParts) -> Arc<Coordinator> {
        Arc::new(Coordinator {
            meta: parts.meta,
            directory: parts.directory,
            gossip: parts.gossip,
            local: parts.local,
            members: parts.members,
            splitter: parts.splitter,
            merger: parts.merger,
            clock: parts.clock,
            dead_after: parts.dead_after,
            lost_since: Mutex::default(),
            fitness: Mutex::default(),
            notes: Mutex::default(),
            even_at: Mutex::default(),
        })
    }

    /// What shards wait for, as far as this node coordinates.
    pub fn notes(&self) -> BTreeMap<ShardId, String> {
        self.notes.lock().clone()
    }

    /// How nodes and replicas are, for plans.
    pub fn health(&self, state: &ClusterState) -> Health {
        let now = self.clock.monotonic();
        let reported: BTreeSet<(ShardId, ReplicaId)> = self.gossip.lost().into_keys().collect();
        let mut since = self.lost_since.lock();
        since.retain(|key, _| reported.contains(key));
        let lost = reported.iter().copied().filter(|key| {
            let first = *since.entry(*key).or_insert(now);
            now.saturating_sub(first) >= LOST_WAIT
        });
        let lost: BTreeSet<_> = lost.collect();
        let here = state.nodes.iter().filter(|(_, info)| info.state != NodeState::Left);
        let silent = here
            .map(|(node, _)| *node)
            .filter(|node| self.gossip.silent_for(*node) >= self.dead_after);
        let alive = self.gossip.alive();
        let full = self.fitness.lock().barred();
        let sick = &alive - &self.gossip.well();
        let unix_ms = self.clock.unix_ms();
        let age = |job: &Job| Duration::from_millis(unix_ms.saturating_sub(job.started_unix_ms));
        let overdue = state.jobs.iter().filter(|(_, job)| age(job) >= CHANGE_OVERDUE);
        let overdue = overdue.map(|(shard, _)| *shard).collect();
        Health { alive, silent: silent.collect(), lost, sick, full, overdue }
    }

    /// Takes note of the disks that are full.
    fn watch_disks(&self) {
        let state = self.directory.state();
        let nodes = state.nodes.keys().copied();
        let full: BTreeSet<NodeId> = nodes.filter(|node| self.gossip.is_full(*node)).collect();
        self.fitness.lock().look(self.clock.monotonic(), &full);
    }

    /// What evens nodes out now, whether or not it is paused.
    pub fn rebalance(&self, state: &ClusterState) -> Rebalance {
        let sizes = self.gossip.sizes().into_iter();
        // Right after a split both halves have all rows on disk; the foreign ones go.
        let stored = sizes
            .map(|(shard, size)| (shard, size.bytes / if size.has_foreign { 2 } else { 1 }))
            .collect();
        let bytes = bytes_of(stored, self.gossip.row_bytes());
        let loads = self.gossip.loads().into_iter();
        let cpu = loads.map(|(shard, load)| (shard, load.cpu)).collect();
        let weights = Weights { bytes: &bytes, cpu: &cpu };
        rebalance_by_load(state, &self.health(state), weights, Limits::in_cluster(state))
    }

    /// What comes next for placement policies, as far as this node knows.
    pub fn for_policies(&self, state: &ClusterState) -> PolicyMoves {
        policy_moves(state, &self.health(state), Limits::in_cluster(state))
    }

    /// What the planners think of a shard, as far as this node knows.
    ///
    /// # Errors
    /// A sentence: there is no such shard.
    pub fn why(&self, state: &ClusterState, shard: ShardId) -> Result<Vec<Line>, String> {
        let (sizes, loads) = (self.gossip.sizes(), self.gossip.loads());
        let seen = Seen { sizes: &sizes, loads: &loads };
        let splits = self.splitter.plan(state, &self.health(state), seen);
        let (bytes_max, cpu_max) = self.splitter.bounds();
        let merges = self.merger.neighbours(state, &self.health(state), seen, (bytes_max, cpu_max));
        let rebalance = self.rebalance(state);
        let (splits, merges) = (&splits, merges.as_slice());
        let plans = Plans { splits, merges, rebalance: &rebalance, bytes_max, cpu_max };
        why::why(state, shard, seen, plans)
    }

    /// Looks again and again, for ever; only the meta shard's leader acts.
    pub async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(COORDINATE_PAUSE).await;
            // Whoever takes over knows it.
            self.watch_disks();
            let leads = self
                .local
                .get(ShardId::META)
                .is_some_and(|meta| meta.group.serving_term().is_some());
            if !leads {
                self.notes.lock().clear();
                continue;
            }
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "the coordinator could not act");
            }
        }
    }

    /// One look.
    async fn look(&self) -> Result<(), ChangeError> {
        let state = self.records().await?;
        let state = self.keep_nodes(state).await?;
        let plan = repairs(&state, &self.health(&state));
        let mut notes = plan.blocked.clone();
        let state = if plan.cancel.is_empty() && plan.emptied.is_empty() {
            state
        } else {
            let (cancel, emptied) = (plan.cancel, plan.emptied);
            self.change(|records| {
                take_back(records, &state, &cancel);
                for node in &emptied {
                    if let Some(info) = records.nodes.get_mut(node) {
                        info.state = NodeState::Left;
                    }
                }
                Ok(())
            })
            .await?
        };
        for new in plan.start {
            self.begin(&state, new).await?;
        }
        notes.extend(self.keep_policies().await?);
        // What is under way goes on whether or not something more can begin.
        if let Err(error) = self.even_out().await {
            tracing::debug!(%error, "nodes were not evened out");
        }
        let state = self.directory.state();
        // All at once: a shard that nobody leads is asked for long, and the others are not to wait for that.
        let asked: Vec<(ShardId, NodeId)> =
            state.jobs.iter().map(|(shard, job)| (*shard, job.add.1)).collect();
        let asked = asked.into_iter().map(|(shard, to)| self.members.group(shard, Some(to)));
        let groups = futures::future::join_all(asked).await;
        for ((shard, job), group) in state.jobs.iter().zip(groups) {
            let note = match self.advance(&state, *shard, job, group).await {
                Ok(note) => note,
                Err(why) => why,
            };
            notes.insert(*shard, note);
        }
        notes.extend(self.splitter.look(&self.health(&state)).await);
        self.merger.begin_due(&self.health(&state), self.splitter.bounds()).await;
        notes.extend(self.merger.look());
        *self.notes.lock() = notes;
        Ok(())
    }

    /// The newest records, written first if there are none.
    async fn records(&self) -> Result<Arc<ClusterState>, ChangeError> {
        let seen = self.directory.state();
        match self.meta.version().await? {
            Some(version) if version == seen.version => return Ok(seen),
            Some(_) => {}
            None => {
                let first = ClusterState { version: FIRST_VERSION + 1, ..(*seen).clone() };
                self.meta.bootstrap(&first).await?;
                tracing::info!("the cluster's records begin");
            }
        }
        if let Some(state) = self.meta.load().await? {
            self.gossip.adopt(state);
        }
        Ok(self.directory.state())
    }

    /// Changes the records and takes the result over.
    async fn change(
        &self,
        edit: impl FnMut(&mut ClusterState) -> Result<(), String>,
    ) -> Result<Arc<ClusterState>, ChangeError> {
        let state = self.meta.change(edit).await?;
        self.gossip.adopt(state);
        Ok(self.directory.state())
    }

    /// Writes down where nodes are and which data folders they have, as they say themselves.
    async fn keep_nodes(&self, state: Arc<ClusterState>) -> Result<Arc<ClusterState>, ChangeError> {
        let details = self.gossip.details();
        let edit = |state: &mut ClusterState| {
            for (node, said) in &details {
                let Some(known) = state.nodes.get_mut(node) else { continue };
                // Another folder under the same number is refused, not written down.
                if known.incarnation == 0 || known.incarnation == said.incarnation {
                    known.incarnation = said.incarnation;
                    known.address.clone_from(&said.address);
                    known.sql_address.clone_from(&said.sql_address);
                    known.zone.clone_from(&said.zone);
                }
            }
            Ok(())
        };
        let mut after = (*state).clone();
        match edit(&mut after) {
            Ok(()) if after != *state => self.change(edit).await,
            Ok(()) => Ok(state),
            Err(why) => Err(ChangeError::Refused(why)),
        }
    }

    /// Begins what evens nodes out, unless that is paused or something is to be mended.
    async fn even_out(&self) -> Result<(), ChangeError> {
        let state = self.directory.state();
        if state.rebalance.paused {
            return Ok(());
        }
        let (health, now) = (self.health(&state), self.clock.monotonic());
        let is_even = self.even_at.lock().as_ref().is_some_and(|(version, seen, at)| {
            // Sizes and loads change all the time.
            *version == state.version && *seen == health && now.saturating_sub(*at) < REBALANCE_LOOK
        });
        if is_even {
            return Ok(());
        }
        let plan = self.rebalance(&state);
        if plan.moves.is_empty() && plan.leaders.is_empty() {
            *self.even_at.lock() = Some((state.version, health, now));
            return Ok(());
        }
        for next in plan.moves {
            tracing::info!(why = %next.why, "nodes are evened out");
            let (remove, reason) = (Some(next.replica), Reason::Balance);
            self.begin(&state, NewJob { shard: next.shard, target: next.to, remove, reason })
                .await?;
        }
        // A group that has not begun yet is begun by the first of its replicas.
        let begun = plan.leaders.into_iter().filter(|change| self.has_leader(change.shard));
        let changes: Vec<LeaderChange> = begun.collect();
        if changes.is_empty() {
            return Ok(());
        }
        self.change(|state| {
            for change in &changes {
                if still_wanted(state, change) {
                    let changed = state.prefer_leader(change.shard, change.to);
                    changed.map_err(|error| error.to_string())?;
                }
            }
            Ok(())
        })
        .await?;
        for change in &changes {
            tracing::info!(why = %change.why, "leaders are evened out");
        }
        Ok(())
    }

    /// Begins what brings replicas to where placement policies want them, unless that is paused. Answers the shards that
    /// are not as they should be and get nothing now, and why.
    async fn keep_policies(&self) -> Result<BTreeMap<ShardId, String>, ChangeError> {
        let state = self.directory.state();
        if state.placement.places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let plan = self.for_policies(&state);
        if !state.rebalance.paused {
            for new in plan.start {
                self.begin(&state, new).await?;
            }
        }
        Ok(plan.unmet)
    }

    /// Whether somebody leads a shard, as far as this node knows.
    fn has_leader(&self, shard: ShardId) -> bool {
        let here = self.local.get(shard).is_some_and(|local| local.group.leader().is_some());
        here || self.gossip.leader_of(shard).is_some()
    }

    /// Begins a job: its replica id is allocated, then the job is written, then anything happens.
    async fn begin(&self, state: &ClusterState, new: NewJob) -> Result<(), ChangeError> {
        let replica = self.meta.new_replica_id(state).await?;
        let job = Job {
            add: (replica, new.target),
            remove: new.remove,
            reason: new.reason,
            step: JobStep::Adding,
            cancelled: false,
            started_unix_ms: self.clock.unix_ms(),
        };
        let shard = new.shard;
        self.change(|state| {
            write_job(state, shard, &job);
            Ok(())
        })
        .await?;
        let (target, reason) = (new.target, new.reason.name());
        tracing::info!(%shard, %replica, %target, %reason, "a replica is to be replaced");
        Ok(())
    }

    /// Takes the next step of a job, from what its group's leader said. Answers what the shard now waits for.
    async fn advance(
        &self,
        state: &ClusterState,
        shard: ShardId,
        job: &Job,
        group: Result<(NodeId, pb::Group), String>,
    ) -> Result<String, String> {
        let (node, seen) = group?;
        let group = crate::cluster_wire::group_from_pb(&seen)?;
        let (name, step) = next_step(job, &group);
        if name != job.step {
            // Written before the step is taken: whoever looks knows what may be under way.
            let change = self.change(|state| {
                match state.jobs.get_mut(&shard) {
                    Some(known) if known.add == job.add => known.step = name,
                    _ => return Err("the job is gone".into()),
                }
                Ok(())
            });
            change.await.map_err(|error| error.to_string())?;
        }
        match &step {
            Step::Wait(why) => return Ok(why.clone()),
            Step::Finish => {
                let done = state.finished(shard).map_err(|error| error.to_string())?;
                let change = self.change(|state| finish_job(state, shard, job));
                change.await.map_err(|error| error.to_string())?;
                tracing::info!(%shard, epoch = done.epoch.0, "a replica was replaced");
            }
            Step::Drop => {
                let change = self.change(|state| {
                    if state.jobs.get(&shard).is_some_and(|known| known.add == job.add) {
                        state.jobs.remove(&shard);
                    }
                    Ok(())
                });
                change.await.map_err(|error| error.to_string())?;
                tracing::info!(%shard, "a change of members was taken back");
            }
            Step::AddLearner(..)
            | Step::ChangeVoters(_)
            | Step::RemoveMember(_)
            | Step::TransferLeader(_) => {
                self.members.step(shard, node, &seen, &step).await?;
            }
        }
        Ok(name.name().to_string())
    }
}

/// Writes a job down, unless somebody else was faster or it must not begin now.
fn write_job(state: &mut ClusterState, shard: ShardId, job: &Job) {
    let held = |id| {
        state
            .map
            .shard(shard)
            .is_some_and(|info| info.replicas.iter().any(|(replica, _)| *replica == id))
    };
    let there = state.map.shard(shard).is_some_and(|info| {
        let on_target = |(replica, node): &(ReplicaId, NodeId)| {
            *node == job.add.1 && Some(*replica) != job.remove
        };
        info.replicas.iter().any(on_target)
    });
    if state.jobs.contains_key(&shard) || !job.remove.is_none_or(held) || there {
        return; // Somebody else was faster.
    }
    let can_wait = matches!(job.reason, Reason::Balance | Reason::Placement);
    if can_wait && state.rebalance.paused {
        return;
    }
    if state.members_fixed(shard).is_some() {
        return; // It waits until the shard is split.
    }
    state.jobs.insert(shard, job.clone());
}

/// Takes jobs back as they were seen; one that has begun meanwhile in the place of another stays.
fn take_back(state: &mut ClusterState, seen: &ClusterState, shards: &[ShardId]) {
    for shard in shards {
        let Some(was) = seen.jobs.get(shard) else { continue };
        if let Some(job) = state.jobs.get_mut(shard).filter(|job| job.add == was.add) {
            job.cancelled = true;
        }
    }
}

/// Ends a job whose members have changed: the map says so, and the job is gone. Nothing when somebody else was faster.
fn finish_job(state: &mut ClusterState, shard: ShardId, job: &Job) -> Result<(), String> {
    if state.jobs.get(&shard).is_none_or(|known| known.add != job.add) {
        return Ok(());
    }
    let done = state.finished(shard).map_err(|error| error.to_string())?;
    state.replace_shard(done).map_err(|error| error.to_string())?;
    state.jobs.remove(&shard);
    Ok(())
}

/// Whether a preferred leader is still to be changed.
fn still_wanted(state: &ClusterState, change: &LeaderChange) -> bool {
    let settled = !state.rebalance.paused
        && !state.jobs.contains_key(&change.shard)
        && state.members_fixed(change.shard).is_none();
    let info = state.map.shard(change.shard).filter(|_| settled);
    info.is_some_and(|info| {
        info.preferred_leader() == Some(change.from)
            && info.is_on(change.to)
            && state.node_state(change.to) == NodeState::Active
    })
}

#[cfg(test)]
#[path = "two_planners_tests.rs"]
mod tests;
