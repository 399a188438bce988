//! Splitting a shard: which slots it serves before, while and after the entry that splits it is replicated.
//!
//! ```text
//!  serves a..c ─► serves a..b only ─► writes under way are over ─► row locks of b..c aside ─► entry replicated, applied
//!                   (the fence)                                                                 │ the child leads
//!                                                                                               ▼ from here on
//!  requests for a..c  ─────────────── Moved ─────────────────────────────────────────────────────────────────►
//! ```
//!
//! The fence comes before the entry: a follower may apply it first, and the child may get a leader and take writes while this
//! one has not heard of it yet. By then nobody is served here any more who believes that the shard owns b..c. Nobody knows
//! another map while the entry is under way, so all requests wait for that long.
//!
//! ```text
//!  replicated ─┬─ applied   ─► the child's locks are forgotten
//!              ├─ NotLeader ─► in no log: the term is over, and the fence with it, or the fence is lifted
//!              └─ unknown   ─► fenced until a later entry of the term tells whether it was applied, or the term is over
//! ```
//!
//! Invariants:
//! 1. What was evaluated for a..c before the fence is applied before the entry is replicated, so the child's copy has it.
//! 2. A fence is lifted only when it is known that the split is in no log of this term.
//!
//! Not here: copies and membership (`raft`), and who decides to split (`server`).

use super::Core;
use super::tenure::Tenure;
use crate::replication::{ReplicateError, Split};
use crate::{Error, Result};
use base::{ReplicaId, ShardId, Slot, SlotRange, limits};
use bytes::Bytes;
use engine::WriteBatch;
use engine::mvcc;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, timeout};

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// The first slot of the child.
    pub(super) at: Slot,
    /// The new shard.
    pub(super) child: ShardId,
    /// The parent's replicas, each with the child's on the same node.
    pub(super) replicas: Vec<(ReplicaId, ReplicaId)>,
    /// The version of the cluster that knows of the split.
    pub(super) since: u64,
    /// The parent's slots.
    pub(super) slots: SlotRange,
}

impl Wish {
    /// The slots of the parent afterwards.
    fn own(&self) -> SlotRange {
        SlotRange { start: self.slots.start, end: u32::from(self.at.0) }
    }

    /// The slots of the child.
    fn other(&self) -> SlotRange {
        SlotRange { start: u32::from(self.at.0), end: self.slots.end }
    }

    /// Whether both get some.
    fn is_inside(&self) -> bool {
        self.own().start < self.own().end && self.other().start < self.other().end
    }

    /// Whether a shard with these bounds has been split so before.
    fn is_done(&self, bounds: Option<SlotRange>) -> bool {
        let own = self.own();
        bounds.is_some_and(|bounds| bounds.start == own.start && bounds.end <= own.end)
    }
}

/// A split under way, alone as long as it lives.
struct Turn {
    core: Arc<Core>,
    tenure: Arc<Tenure>,
    wish: Wish,
    /// What was served before.
    before: Option<SlotRange>,
    _alone: OwnedMutexGuard<()>,
}

/// Splits the shard.
pub(super) async fn split(core: &Arc<Core>, wish: Wish) -> Result<()> {
    let shard = core.replication.shard();
    let tenure = core.tenure().await?;
    if shard == ShardId::META || !wish.is_inside() {
        let what = format!("it cannot be split at slot {} of {}", wish.at, wish.slots);
        return Err(Error::Unavailable { shard, what });
    }
    if wish.is_done(mvcc::bounds(&*core.engine)?) {
        return Ok(());
    }
    let Ok(alone) = core.splitting.clone().try_lock_owned() else {
        return Err(core.refused("a step of a split or merge of it is under way; ask again"));
    };
    let merges = mvcc::merge_state(&*core.engine)?;
    if merges.part.is_some() {
        return Err(core.refused("a merge of it is under way"));
    }
    if wish.since <= merges.over {
        // A message that was long under way: the child may have been taken in again since.
        return Err(core.refused("that split is older than its last merge"));
    }
    // The other one may have come to its end in between.
    let before = mvcc::bounds(&*core.engine)?;
    if wish.is_done(before) {
        return Ok(());
    }
    if before.is_some_and(|before| before != wish.slots) {
        return Err(Error::Moved { shard });
    }
    let turn = Turn { core: core.clone(), tenure, wish, before, _alone: alone };
    // Goes on when the caller goes away: nobody else would lift the fence.
    let split = tokio::spawn(turn.run());
    split.await.unwrap_or(Err(Error::OutcomeUnknown { shard }))
}

impl Turn {
    async fn run(self) -> Result<()> {
        let Turn { core, tenure, wish, before, .. } = &self;
        let (own, other) = (wish.own(), wish.other());
        let shard = core.replication.shard();
        tenure.serve(Some(own));
        // What is evaluated from now on is refused; what was evaluated before holds its latches.
        let evaluated = tenure.latches.holders();
        let drained = async {
            for holder in &evaluated {
                holder.over().await;
            }
        };
        if timeout(limits::PROPOSE_WAIT_MAX, drained).await.is_err() {
            tenure.serve(*before);
            let what = "earlier writes have found no quorum in time; it was not split".into();
            return Err(Error::Unavailable { shard, what });
        }
        core.row_locks.set_apart(shard, wish.child, own);
        let split = Split {
            child: wish.child,
            replicas: wish.replicas.clone(),
            since: wish.since,
            own: batch_of(own),
            other: batch_of(other),
        };
        let outcome = core.replication.replicate_split(tenure.term, split).await;
        match outcome {
            Ok(()) => self.has_happened(),
            Err(ReplicateError::NotLeader) => {
                // It is in no log. Without room for the entry the term goes on; else row locks that are aside go by
                // themselves.
                if core.still_serves(tenure).await {
                    self.has_failed();
                }
                Err(core.not_serving())
            }
            Err(ReplicateError::Unknown) => {
                tracing::warn!(%shard, child = %wish.child, term = tenure.term,
                    "the outcome of a split is unknown");
                tokio::spawn(self.settle());
                Err(Error::OutcomeUnknown { shard })
            }
        }
    }

    /// The split is applied here.
    fn has_happened(&self) -> Result<()> {
        Ok(self.tenure.keep_own_locks(self.wish.own())?)
    }

    /// The split is in no log of this term.
    fn has_failed(&self) {
        self.core.row_locks.put_back(self.tenure.shard, self.wish.child);
        self.tenure.serve(self.before);
    }

    /// Waits until a later entry of the term, or its end, tells what became of the split.
    async fn settle(self) {
        let nothing = mvcc::encode_batch(&WriteBatch::new());
        loop {
            match self.core.replicate(&self.tenure, nothing.clone()).await {
                Ok(()) => match self.outcome() {
                    Ok(()) => return,
                    Err(error) => {
                        let shard = self.tenure.shard;
                        tracing::error!(%shard, %error, "cannot tell whether it was split; it stays closed in this term");
                    }
                },
                Err(ReplicateError::NotLeader) => return,
                Err(ReplicateError::Unknown) => {}
            }
            sleep(limits::OUTCOME_RETRY_PAUSE).await;
        }
    }

    /// Goes by what is applied.
    fn outcome(&self) -> Result<()> {
        if self.wish.is_done(mvcc::bounds(&*self.core.engine)?) {
            return self.has_happened();
        }
        self.has_failed();
        Ok(())
    }
}

/// The encoded write batch that gives a shard its slots.
fn batch_of(bounds: SlotRange) -> Bytes {
    let mut batch = WriteBatch::new();
    mvcc::put_bounds(&mut batch, bounds);
    mvcc::encode_batch(&batch)
}
