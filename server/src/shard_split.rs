//! Splits of shards: begun by command or because a shard is too large or too busy, then driven until the shard map names both halves.
//!
//! ```text
//! asked, or planned   ─> job in the meta shard ─> SplitShard ─> the parent's leader (txn::shard::Shard::split)
//!                                                                  │ done, now or before
//!      map: parent [a,b), child [b,c), the job is gone  <── one change, guarded by the version
//! ```
//!
//! Every step can be repeated by whoever leads the meta shard: the leader answers that it is done also when it was done
//! before, and the map changes only while the job stands. A leader that does not answer is asked again at the next look,
//! wherever it is then.
//!
//! Invariants:
//! 1. The job is written before a leader is asked, and every id in it belongs to it alone.
//! 2. One question per split is under way on a node; so a slow one holds up neither the others nor the repair of replicas.
//!
//! Not here: which shards are too large or too busy (`shard_router::split`), what a job says (`shard_router::split_job`), how child
//! replicas start (`replicas`).

use crate::cluster_wire as cw;
use crate::directory::Directory;
use crate::gossip::Gossip;
use crate::local_shards::LocalShards;
use crate::members::Members;
use crate::meta_store::{ChangeError, MetaStore};
use crate::peers::{CallError, Peers};
use base::limits::{SPLIT_CALL_WAIT_MAX, SPLIT_LOOK, SPLIT_WAIT_MAX};
use base::{NodeId, ShardId, SharedClock, Slot, SlotRange};
use parking_lot::Mutex;
use proto::node as pb;
use shard_router::repair::Health;
use shard_router::split::{Seen, Splits, Wanted, splits_by_load};
use shard_router::{ClusterState, NewSplit, SplitJob};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a node's splits work with.
pub struct SplitterParts {
    /// The cluster's records.
    pub meta: MetaStore,
    /// The newest state seen.
    pub directory: Arc<Directory>,
    /// How nodes are, and how large and busy shards are.
    pub gossip: Arc<Gossip>,
    /// Replicas of this node.
    pub local: Arc<LocalShards>,
    /// Ways to other nodes.
    pub peers: Arc<Peers>,
    /// Who leads.
    pub members: Arc<Members>,
    /// Time.
    pub clock: SharedClock,
    /// Bytes above which a shard is split; none: not for its size.
    pub bytes_max: Option<u64>,
    /// CPU above which it is split, thousandths of a core; none: not for its load.
    pub cpu_max: Option<u32>,
}

/// Begins and drives splits.
pub struct Splitter {
    /// What it works with.
    parts: SplitterParts,
    /// Splits whose leader is being asked.
    asking: Mutex<BTreeSet<ShardId>>,
    /// What became of the last question about a split; empty where nobody asks.
    notes: Mutex<BTreeMap<ShardId, String>>,
    /// Why shards that are too large or too busy wait, as it was last logged, without figures.
    logged: Mutex<BTreeMap<ShardId, String>>,
}

/// What came of a split that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its job.
    pub job: SplitJob,
    /// Whether the map names both halves.
    pub done: bool,
}

impl Splitter {
    /// Does nothing until it is asked.
    pub fn new(parts: SplitterParts) -> Arc<Splitter> {
        let (asking, notes, logged) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Splitter { parts, asking, notes, logged })
    }

    /// Splits a shard by command, at a slot or in the middle. Answers once it is done, or after `SPLIT_WAIT_MAX`; then the
    /// cluster goes on with it.
    ///
    /// # Errors
    /// A sentence: why not, and what to do.
    pub async fn split(&self, shard: ShardId, wanted: Option<Slot>) -> Result<Asked, String> {
        // What this node knows may be old; then the records refuse or allow it, below.
        let seen = self.parts.meta.load().await.map_err(not_taken)?;
        let seen = seen.ok_or("the cluster has only just begun; ask again")?;
        let job = self.begin(&seen, shard, wanted).await?;
        let done = tokio::time::timeout(SPLIT_WAIT_MAX, async {
            while self.parts.directory.shard(job.child).is_none() {
                tokio::time::sleep(SPLIT_LOOK).await;
            }
        });
        let done = done.await.is_ok();
        Ok(Asked { job, done })
    }

    /// Writes a job down. Answers what it says.
    async fn begin(
        &self,
        state: &ClusterState,
        shard: ShardId,
        wanted: Option<Slot>,
    ) -> Result<SplitJob, String> {
        let at = state.may_split(shard, wanted)?;
        let meta = &self.parts.meta;
        let child = meta.new_shard_id(state).await.map_err(not_taken)?;
        let mut replicas = Vec::new();
        for _ in state.map.shard(shard).map_or(&[][..], |info| info.replicas.as_slice()) {
            replicas.push(meta.new_replica_id(state).await.map_err(not_taken)?);
        }
        let unix_ms = self.parts.clock.unix_ms();
        let new = NewSplit { parent: shard, at, child, replicas, unix_ms };
        let change = meta.change(|state| state.begin_split(new.clone(), state.version + 1));
        let state = change.await.map_err(|error| match error {
            ChangeError::Refused(why) => why,
            ChangeError::Meta(error) => not_taken(error),
            error @ ChangeError::NotBegun => format!("{error}; ask again"),
        })?;
        let job = state.splits.get(&shard).filter(|job| job.child == child).cloned();
        self.parts.gossip.adopt(state);
        tracing::info!(%shard, %child, %at, "a shard is to be split");
        job.ok_or_else(|| format!("shard {} was split meanwhile; look at SHOW SHARDS", shard.0))
    }

    /// One look, on the node that coordinates: begins what is due and drives what is under way. Answers what each split
    /// waits for.
    pub async fn look(self: &Arc<Self>, health: &Health) -> BTreeMap<ShardId, String> {
        self.begin_due(health).await;
        let state = self.parts.directory.state();
        for (shard, job) in &state.splits {
            if !self.asking.lock().insert(*shard) {
                continue;
            }
            let (splitter, state) = (self.clone(), state.clone());
            let (shard, job) = (*shard, job.clone());
            tokio::spawn(async move {
                let note = splitter.drive(&state, shard, &job).await.err();
                if let Some(note) = note {
                    tracing::debug!(%shard, %note, "a split waits");
                    splitter.notes.lock().insert(shard, note);
                }
                splitter.asking.lock().remove(&shard);
            });
        }
        let mut notes = self.notes.lock();
        notes.retain(|shard, _| state.splits.contains_key(shard));
        notes.clone()
    }

    /// Which shards are to be split now, by what is seen of them.
    pub fn plan(&self, state: &ClusterState, health: &Health, seen: Seen<'_>) -> Splits {
        let unix_ms = self.parts.clock.unix_ms();
        let wanted = Wanted { bytes_max: self.parts.bytes_max, unix_ms };
        splits_by_load(state, health, seen, wanted, self.parts.cpu_max)
    }

    /// Bytes and CPU above which shards are split.
    pub fn bounds(&self) -> (Option<u64>, Option<u32>) {
        (self.parts.bytes_max, self.parts.cpu_max)
    }

    /// Begins the splits of shards that are too large or too busy.
    async fn begin_due(&self, health: &Health) {
        let state = self.parts.directory.state();
        let (sizes, loads) = (self.parts.gossip.sizes(), self.parts.gossip.loads());
        let plan = self.plan(&state, health, Seen { sizes: &sizes, loads: &loads });
        let mut logged = std::mem::take(&mut *self.logged.lock());
        logged.retain(|shard, _| plan.waiting.contains_key(shard));
        for (shard, why) in plan.waiting {
            // Its figures change all the time.
            let words: String = why.chars().filter(|letter| !letter.is_ascii_digit()).collect();
            if logged.get(&shard) != Some(&words) {
                tracing::info!(%shard, %why, "a shard is not split yet");
                logged.insert(shard, words);
            }
        }
        *self.logged.lock() = logged;
        for (shard, at, why) in plan.start {
            match self.begin(&self.parts.directory.state(), shard, Some(at)).await {
                Ok(_) => tracing::info!(%shard, %why, "a shard grew too large or too busy"),
                // The next look tries again.
                Err(error) => tracing::info!(%shard, %error, "a split cannot begin"),
            }
        }
    }

    /// Asks the parent's leader, then changes the map.
    async fn drive(
        &self,
        state: &ClusterState,
        parent: ShardId,
        job: &SplitJob,
    ) -> Result<(), String> {
        let info = state.map.shard(parent).ok_or("the shard map does not name it")?;
        let (leader, _) = self.parts.members.group(parent, None).await?;
        let request = pb::SplitShard {
            shard: parent.0,
            child: job.child.0,
            slot: u32::from(job.at.0),
            replicas: cw::pairs_to_pb(&job.replicas),
            since: job.since,
            first_slot: info.slots.start,
            end_slot: info.slots.end,
        };
        self.ask(leader, request).await?;
        let (child, unix_ms) = (job.child, self.parts.clock.unix_ms());
        let change = self.parts.meta.change(|state| {
            // Else somebody else was faster.
            if state.splits.get(&parent).is_some_and(|known| known.child == child) {
                state.finish_split(parent, unix_ms).map_err(|error| error.to_string())?;
            }
            Ok(())
        });
        self.parts.gossip.adopt(change.await.map_err(|error| error.to_string())?);
        tracing::info!(shard = %parent, %child, "a shard was split");
        Ok(())
    }

    /// Asks a node to split a shard that it leads.
    async fn ask(&self, leader: NodeId, request: pb::SplitShard) -> Result<(), String> {
        let answer = if leader == self.parts.directory.node() {
            answer(&self.parts.local, request).await
        } else {
            let request = pb::call::Request::SplitShard(request);
            match self.parts.peers.call_any_way(leader, request, SPLIT_CALL_WAIT_MAX).await {
                Ok(answer) => answer,
                Err(CallError::NotSent(why) | CallError::Lost(why)) => return Err(why),
            }
        };
        match answer {
            pb::answer::Response::ShardSplit(split) if split.refused.is_empty() => Ok(()),
            pb::answer::Response::ShardSplit(split) => Err(split.refused),
            pb::answer::Response::Failure(failure) => Err(failure.what),
            _ => Err(format!("node {} gave an answer of the wrong kind", leader.0)),
        }
    }
}

fn not_taken(error: txn::Error) -> String {
    format!("the meta shard did not take it: {error}; ask again")
}

/// Splits a shard that this node leads.
pub async fn answer(local: &LocalShards, split: pb::SplitShard) -> pb::answer::Response {
    let refused = match carry_out(local, split).await {
        Ok(()) => String::new(),
        Err(why) => why,
    };
    pb::answer::Response::ShardSplit(pb::ShardSplit { refused })
}

async fn carry_out(local: &LocalShards, split: pb::SplitShard) -> Result<(), String> {
    let replica = local.get(ShardId(split.shard)).ok_or("no replica of the shard is here")?;
    let at = cw::slot_from_pb(split.slot)?;
    let pairs = cw::pairs_from_pb(&split.replicas);
    let slots = SlotRange { start: split.first_slot, end: split.end_slot };
    let done = replica.shard.split(at, ShardId(split.child), pairs, split.since, slots).await;
    done.map_err(|error| error.to_string())
}
