//! Merges of neighbouring shards: begun by command or because both have been cold for a while, then driven until the shard map
//! names one shard, or the merge is undone.
//!
//! ```text
//! asked, planned ─> job in the meta shard ─> MergeShards, again and again ─> left's leader (txn::shard::Shard::merge)
//!                                                                              │ MergeAsk … ─> right's leader
//!    map: left [a,c), right and the job are gone ◄── taken ────────────────────┤
//!    the job is gone ◄── right thawed ◄── undone ──────────────────────────────┘
//! ```
//!
//! Which of both it is, is decided by one entry of left's log and answered by whoever leads it. So every question can be
//! repeated, by whoever leads the meta shard, and the map changes only while the job stands.
//!
//! Invariants:
//! 1. The job is written before a leader is asked, and its number belongs to it alone.
//! 2. Right is thawed only after left has said that the merge is undone, and the job stands until it is.
//! 3. One question per merge is under way on a node.
//!
//! Not here: which neighbours are cold (`shard_router::merge`), what a job says (`shard_router::merge_job`), how rows come over
//! (`txn`), how replicas of the right shard go (`replicas`: they are not in the map any more).

use crate::cluster_wire as cw;
use crate::directory::Directory;
use crate::gossip::Gossip;
use crate::members::Members;
use crate::merge_wire;
use crate::meta_store::{ChangeError, MetaStore};
use crate::peers::CallError;
use crate::wire;
use base::limits::{
    MERGE_ASK_WAIT_MAX, MERGE_CALL_WAIT_MAX, MERGE_TIME_MAX, MERGE_WAIT_MAX, SPLIT_LOOK,
};
use base::{NodeId, ShardId, SharedClock, SlotRange};
use engine::mvcc::Sides;
use parking_lot::Mutex;
use proto::node as pb;
use shard_router::merge::{self, Bounds, Neighbours, Waits};
use shard_router::repair::Health;
use shard_router::split::Seen;
use shard_router::{ClusterState, MergeJob};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use txn::Error;
use txn::merge::{MergeAnswer, MergeAsk, MergeProgress, MergeSource};

/// What a node's merges work with.
pub struct MergerParts {
    /// The cluster's records.
    pub meta: MetaStore,
    /// The newest state seen.
    pub directory: Arc<Directory>,
    /// How news spreads.
    pub gossip: Arc<Gossip>,
    /// The way to leaders.
    pub members: Arc<Members>,
    /// Time.
    pub clock: SharedClock,
}

/// Begins and drives merges.
pub struct Merger {
    /// What it works with.
    parts: MergerParts,
    /// Merges that are being driven.
    driving: Mutex<BTreeSet<ShardId>>,
    /// How far each has come, or what it waits for.
    notes: Mutex<BTreeMap<ShardId, String>>,
    /// Since when neighbours have been cold, as far as this node coordinates.
    waits: Mutex<Waits>,
}

/// What came of a merge that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The left shard owns the slots of both.
    Done,
    /// It was undone.
    Undone,
    /// It goes on.
    UnderWay,
}

impl Merger {
    /// Does nothing until it is asked.
    pub fn new(parts: MergerParts) -> Arc<Merger> {
        let (driving, notes, waits) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Merger { parts, driving, notes, waits })
    }

    /// Has a shard take its right neighbour in, by command. Answers which one that is, once it is over, or after
    /// `MERGE_WAIT_MAX`; then the cluster goes on with it.
    ///
    /// # Errors
    /// A sentence: why not, and what to do.
    pub async fn merge(&self, left: ShardId) -> Result<(ShardId, Asked), String> {
        let job = self.begin(left, |_| Ok(())).await?;
        let over = tokio::time::timeout(MERGE_WAIT_MAX, async {
            while self.stands(left, &job) {
                tokio::time::sleep(SPLIT_LOOK).await;
            }
        });
        let is_over = over.await.is_ok();
        let asked = match is_over {
            false => Asked::UnderWay,
            true if self.parts.directory.shard(job.right).is_none() => Asked::Done,
            true => Asked::Undone,
        };
        Ok((job.right, asked))
    }

    /// Which neighbours are cold, by what is seen of them and by the bounds, of bytes and of CPU, above which shards are split.
    pub fn neighbours(
        &self,
        state: &ClusterState,
        health: &Health,
        seen: Seen<'_>,
        (split_bytes, split_cpu): (Option<u64>, Option<u32>),
    ) -> Vec<Neighbours> {
        let bounds = Bounds { split_bytes, split_cpu, unix_ms: self.parts.clock.unix_ms() };
        merge::neighbours(state, health, seen, bounds)
    }

    /// Begins the merges of neighbours that have been cold for long enough, on the node that coordinates, where an administrator
    /// has turned that on.
    pub async fn begin_due(&self, health: &Health, split_above: (Option<u64>, Option<u32>)) {
        let state = self.parts.directory.state();
        let now = self.parts.clock.monotonic();
        let wanted = state.rebalance.auto_merge && !state.rebalance.paused;
        if !wanted || !self.waits.lock().is_time(now) {
            return;
        }
        let (sizes, loads) = (self.parts.gossip.sizes(), self.parts.gossip.loads());
        let seen = Seen { sizes: &sizes, loads: &loads };
        let neighbours = self.neighbours(&state, health, seen, split_above);
        let due = self.waits.lock().due(&state, &neighbours, now);
        for (left, right, why) in due {
            match self.begin(left, |state| merge::still_wanted(state, left, right)).await {
                Ok(_) => tracing::info!(shard = %left, %right, %why, "two neighbours are cold"),
                // The next look tries again.
                Err(error) => tracing::info!(shard = %left, %error, "a merge cannot begin"),
            }
        }
    }

    /// Writes a job down, if that is allowed by the records as they are then.
    async fn begin(
        &self,
        left: ShardId,
        allowed: impl Fn(&ClusterState) -> Result<(), String>,
    ) -> Result<MergeJob, String> {
        let meta = &self.parts.meta;
        let seen = meta.load().await.map_err(not_taken)?;
        let seen = seen.ok_or("the cluster has only just begun; ask again")?;
        seen.may_merge(left)?;
        allowed(&seen)?;
        // The right one's leave the map.
        meta.retire_ids(&seen).await.map_err(not_taken)?;
        let unix_ms = self.parts.clock.unix_ms();
        let change = meta.change(|state| {
            allowed(state)?;
            let version = state.version + 1;
            state.begin_merge(left, version, unix_ms).map(|_| ())
        });
        let state = change.await.map_err(|error| match error {
            ChangeError::Refused(why) => why,
            ChangeError::Meta(error) => not_taken(error),
            error @ ChangeError::NotBegun => format!("{error}; ask again"),
        })?;
        let job = state.merges.get(&left).copied();
        self.parts.gossip.adopt(state);
        let job = job.ok_or("the merge was not written down; ask again")?;
        tracing::info!(shard = %left, right = %job.right, "a shard is to take its right neighbour in");
        Ok(job)
    }

    /// Whether a merge is not over, as far as is known here.
    fn stands(&self, left: ShardId, job: &MergeJob) -> bool {
        self.parts.directory.state().merges.get(&left) == Some(job)
    }

    /// One look, on the node that coordinates: drives what is under way. Answers how far each merge has come, by both
    /// shards.
    pub fn look(self: &Arc<Self>) -> BTreeMap<ShardId, String> {
        let state = self.parts.directory.state();
        for (left, job) in &state.merges {
            if !self.driving.lock().insert(*left) {
                continue;
            }
            let (merger, left, job) = (self.clone(), *left, *job);
            tokio::spawn(async move {
                if let Err(note) = merger.drive(left, job).await {
                    tracing::debug!(shard = %left, %note, "a merge waits");
                    merger.notes.lock().insert(left, note);
                }
                merger.driving.lock().remove(&left);
            });
        }
        let mut notes = self.notes.lock();
        notes.retain(|left, _| state.merges.contains_key(left));
        notes.clone()
    }

    /// Asks the left shard's leader until the merge is over, then changes the map.
    async fn drive(&self, left: ShardId, job: MergeJob) -> Result<(), String> {
        while self.stands(left, &job) {
            let state = self.parts.directory.state();
            let age_ms = self.parts.clock.unix_ms().saturating_sub(job.started_unix_ms);
            let undo = u128::from(age_ms) > MERGE_TIME_MAX.as_millis();
            let (leader, _) = self.parts.members.group(left, None).await?;
            match self.ask(leader, &state, left, &job, undo).await? {
                MergeProgress::UnderWay { copied } => {
                    let note = format!("{} MiB copied", copied >> 20);
                    self.notes.lock().insert(left, note);
                }
                MergeProgress::Taken => return self.finish(left, &job).await,
                MergeProgress::Undone => return self.give_up(left, &job).await,
            }
        }
        Ok(())
    }

    /// The map names one shard.
    async fn finish(&self, left: ShardId, job: &MergeJob) -> Result<(), String> {
        let change = self.parts.meta.change(|state| {
            // Else somebody else was faster.
            if state.merges.get(&left) == Some(job) {
                state.finish_merge(left).map_err(|error| error.to_string())?;
            }
            Ok(())
        });
        self.parts.gossip.adopt(change.await.map_err(|error| error.to_string())?);
        tracing::info!(shard = %left, right = %job.right, "two shards have become one");
        Ok(())
    }

    /// The right shard serves again, and the job is gone.
    async fn give_up(&self, left: ShardId, job: &MergeJob) -> Result<(), String> {
        let right = RightShard { shard: job.right, members: self.parts.members.clone() };
        match right.ask(MergeAsk::Thaw { merge: job.number }).await {
            Ok(MergeAnswer::Done) => {}
            Ok(_) => return Err("the right shard's leader gave a wrong answer".into()),
            Err(error) => return Err(format!("undone, but shard {}: {error}", job.right.0)),
        }
        let change = self.parts.meta.change(|state| {
            if state.merges.get(&left) == Some(job) {
                state.drop_merge(left);
            }
            Ok(())
        });
        self.parts.gossip.adopt(change.await.map_err(|error| error.to_string())?);
        tracing::warn!(shard = %left, right = %job.right, "a merge was undone");
        Ok(())
    }

    /// Asks a node to go on with the merge of a shard that it leads.
    async fn ask(
        &self,
        leader: NodeId,
        state: &ClusterState,
        left: ShardId,
        job: &MergeJob,
        undo: bool,
    ) -> Result<MergeProgress, String> {
        let (own, other) = state.merge_sides(left, job).map_err(|error| error.to_string())?;
        let request = pb::MergeShards {
            left: left.0,
            right: job.right.0,
            number: job.number,
            first_slot: own.start,
            middle_slot: own.end,
            end_slot: other.end,
            undo,
        };
        let members = &self.parts.members;
        let answer = if leader == members.node {
            answer(members, request).await
        } else {
            let request = pb::call::Request::MergeShards(request);
            match members.peers.call_any_way(leader, request, MERGE_CALL_WAIT_MAX).await {
                Ok(answer) => answer,
                Err(CallError::NotSent(why) | CallError::Lost(why)) => return Err(why),
            }
        };
        match answer {
            pb::answer::Response::ShardsMerged(merged) => cw::merged_from_pb(merged),
            pb::answer::Response::Failure(failure) => Err(failure.what),
            _ => Err(format!("node {} gave an answer of the wrong kind", leader.0)),
        }
    }
}

fn not_taken(error: Error) -> String {
    format!("the meta shard did not take it: {error}; ask again")
}

/// Goes on with the merge of a shard that this node leads.
pub async fn answer(members: &Arc<Members>, merge: pb::MergeShards) -> pb::answer::Response {
    pb::answer::Response::ShardsMerged(cw::merged_to_pb(carry_out(members, merge).await))
}

async fn carry_out(
    members: &Arc<Members>,
    merge: pb::MergeShards,
) -> Result<MergeProgress, String> {
    let replica =
        members.local.get(ShardId(merge.left)).ok_or("no replica of the shard is here")?;
    let sides = Sides {
        own: SlotRange { start: merge.first_slot, end: merge.middle_slot },
        other: SlotRange { start: merge.middle_slot, end: merge.end_slot },
    };
    let right = RightShard { shard: ShardId(merge.right), members: members.clone() };
    let right: Arc<dyn MergeSource> = Arc::new(right);
    let progress = match merge.undo {
        false => replica.shard.merge(merge.number, sides, right).await,
        true => replica.shard.undo_merge(merge.number, sides, right).await,
    };
    progress.map_err(|error| error.to_string())
}

/// Answers the left neighbour of a shard that this node leads.
pub async fn answer_ask(members: &Members, message: pb::MergeAsk) -> pb::answer::Response {
    let answered = match merge_wire::ask_from_pb(message) {
        Ok((shard, ask)) => ask_here(members, shard, ask).await,
        Err(what) => Err(Error::Unavailable { shard: ShardId::META, what }),
    };
    match answered {
        Ok(answer) => pb::answer::Response::MergeAnswer(merge_wire::answer_to_pb(answer)),
        Err(error) => pb::answer::Response::Failure(wire::failure_to_pb(error)),
    }
}

async fn ask_here(members: &Members, shard: ShardId, ask: MergeAsk) -> txn::Result<MergeAnswer> {
    match members.local.get(shard) {
        Some(local) => local.shard.answer_merge(ask).await,
        None => Err(Error::NotServing { shard, leader: None }),
    }
}

/// The way to the leader of the right shard, from the node that leads the left one.
struct RightShard {
    shard: ShardId,
    members: Arc<Members>,
}

impl RightShard {
    fn unavailable(&self, what: String) -> Error {
        Error::Unavailable { shard: self.shard, what }
    }

    async fn ask_at(&self, node: NodeId, ask: MergeAsk) -> txn::Result<MergeAnswer> {
        if node == self.members.node {
            return ask_here(&self.members, self.shard, ask).await;
        }
        let request = pb::call::Request::MergeAsk(merge_wire::ask_to_pb(self.shard, ask));
        match self.members.peers.call_any_way(node, request, MERGE_ASK_WAIT_MAX).await {
            Ok(pb::answer::Response::MergeAnswer(answer)) => {
                merge_wire::answer_from_pb(answer).map_err(|what| self.unavailable(what))
            }
            Ok(pb::answer::Response::Failure(failure)) => Err(wire::failure_from_pb(failure)),
            Ok(_) => {
                Err(self.unavailable(format!("node {} does not know merges; update it", node.0)))
            }
            // Nothing was executed: another node may lead by now.
            Err(CallError::NotSent(_)) => {
                Err(Error::NotServing { shard: self.shard, leader: None })
            }
            Err(CallError::Lost(why)) => Err(self.unavailable(why)),
        }
    }
}

#[async_trait::async_trait]
impl MergeSource for RightShard {
    async fn ask(&self, ask: MergeAsk) -> txn::Result<MergeAnswer> {
        if let Some(node) = self.members.client.leader(self.shard) {
            match self.ask_at(node, ask.clone()).await {
                Err(Error::NotServing { .. }) => {}
                outcome => return outcome,
            }
        }
        let led = self.members.group(self.shard, None).await;
        let (node, _) = led.map_err(|what| self.unavailable(what))?;
        self.ask_at(node, ask).await
    }
}
