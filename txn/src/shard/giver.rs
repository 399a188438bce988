//! The right shard's side of a merge: its leader tells what it has, then serves nobody any more.
//!
//! ```text
//!  serves ─► Open, Piece …, Changes … ─► closed ─► writes under way are over ─► entry: frozen ─► Changes, Rest
//!                                          │ not in time                          │ Thaw: entry: over
//!                                          └─► serves                             └─► serves
//! ```
//!
//! Closed means what a fence means in a split: every request is answered `Moved`, and nothing is executed. It comes before the
//! entry; the entry makes it hold under every later leader. Only a thaw ends it, and a merge is thawed only after left can
//! never take in what it has copied (`merger`).
//!
//! Invariants:
//! 1. What was evaluated before the shard was closed is applied before it is frozen, so the last changes have all of it.
//! 2. What is told belongs to one term, from the first piece to the rest. So nothing was applied here in between that this
//!    leadership has not noted (`changes`).
//! 3. A thawed merge never freezes the shard again, however late a question comes.

use super::Core;
use super::tenure::Tenure;
use crate::merge::{CopyId, MergeAnswer, MergeAsk};
use crate::replication::ReplicateError;
use crate::{Error, Result};
use base::{ShardId, SlotRange, limits};
use bytes::Bytes;
use engine::WriteBatch;
use engine::mvcc::{self, MergePart, MergeState};
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, timeout};

/// Answers a question of the left shard's leader.
pub(super) async fn answer(core: &Arc<Core>, ask: MergeAsk) -> Result<MergeAnswer> {
    let tenure = core.tenure().await?;
    match ask {
        MergeAsk::Open { merge, slots } => open(core, &tenure, merge, slots),
        MergeAsk::Piece { copy, from } => {
            let slots = slots_of(core, &tenure, copy)?;
            let bytes_max = limits::COLLECT_STEP_BYTES;
            let piece = mvcc::find_piece(&*core.engine, slots, &from, bytes_max)?;
            let entries = mvcc::encode_batch(&piece.entries);
            Ok(MergeAnswer::Piece { entries, next: piece.next })
        }
        MergeAsk::Changes { copy, turn } => changes(core, &tenure, copy, turn),
        MergeAsk::Freeze { copy, merge } => {
            slots_of(core, &tenure, copy)?;
            freeze(core, tenure, merge).await
        }
        MergeAsk::Rest { copy } => {
            slots_of(core, &tenure, copy)?;
            rest(core)
        }
        MergeAsk::Thaw { merge } => thaw(core, &tenure, merge).await,
    }
}

/// The slots of a copy that goes on.
fn slots_of(core: &Core, tenure: &Tenure, copy: CopyId) -> Result<SlotRange> {
    let slots = tenure.changes.copied_slots(copy.number).filter(|_| copy.term == tenure.term);
    slots.ok_or_else(|| begin_anew(core))
}

/// The error for a copy that cannot go on.
fn begin_anew(core: &Core) -> Error {
    core.refused("its leader has changed, or too much was written; the copy begins anew")
}

fn open(core: &Core, tenure: &Tenure, merge: u64, slots: SlotRange) -> Result<MergeAnswer> {
    if core.replication.shard() == ShardId::META {
        return Err(core.refused("the meta shard is never merged"));
    }
    let state = mvcc::merge_state(&*core.engine)?;
    if merge <= state.over {
        return Err(core.refused("that merge is over here"));
    }
    let frozen = state.part == Some(MergePart::Frozen { merge });
    if !frozen && (state.part.is_some() || tenure.is_closed()) {
        return Err(core.refused("another merge of it is under way"));
    }
    if mvcc::bounds(&*core.engine)?.is_some_and(|bounds| bounds != slots) {
        return Err(Error::Moved { shard: core.replication.shard() });
    }
    let number = tenure.changes.open_copy(slots);
    let number = number.ok_or_else(|| core.refused("it has lost too many writes in this term"))?;
    let copy = CopyId { term: tenure.term, number };
    Ok(MergeAnswer::Opened { copy, frozen })
}

/// The entries that have changed, as they are now.
fn changes(core: &Core, tenure: &Tenure, copy: CopyId, turn: u64) -> Result<MergeAnswer> {
    slots_of(core, tenure, copy)?;
    let told = tenure.changes.take(copy.number, turn).ok_or_else(|| begin_anew(core))?;
    let mut batch = WriteBatch::new();
    let mut keys = told.keys.into_iter();
    while batch.bytes() < limits::ENTRY_BYTES_TARGET {
        let Some(key) = keys.next() else { break };
        match core.engine.get(&key)? {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
    }
    let later: Vec<Bytes> = keys.collect();
    let left = told.left + later.len() as u64;
    tenure.changes.give_back(copy.number, later);
    Ok(MergeAnswer::Changes { changes: mvcc::encode_batch(&batch), left })
}

/// What the frozen shard has once. Its row locks go along.
fn rest(core: &Core) -> Result<MergeAnswer> {
    if !mvcc::merge_state(&*core.engine)?.is_frozen() {
        return Err(core.refused("it is not frozen"));
    }
    let entries = mvcc::encode_batch(&mvcc::rest_of(&*core.engine)?);
    let shard = core.replication.shard();
    let (locks, left) = core.row_locks.held_of(shard);
    core.row_locks.reset(shard);
    if left > 0 {
        tracing::info!(%shard, left, "row locks are left behind in a merge");
    }
    Ok(MergeAnswer::Rest { entries, locks })
}

/// Freezes the shard.
async fn freeze(core: &Arc<Core>, tenure: Arc<Tenure>, merge: u64) -> Result<MergeAnswer> {
    let Ok(alone) = core.splitting.clone().try_lock_owned() else {
        return Err(core.refused("a split or merge of it is under way"));
    };
    let state = mvcc::merge_state(&*core.engine)?;
    if merge <= state.over {
        return Err(core.refused("that merge is over here"));
    }
    match state.part {
        Some(MergePart::Frozen { merge: frozen }) if frozen == merge => {
            return Ok(MergeAnswer::Done);
        }
        Some(_) => return Err(core.refused("another merge of it is under way")),
        None => {}
    }
    let part = Some(MergePart::Frozen { merge });
    let turn =
        Turn { core: core.clone(), tenure, state: MergeState { part, ..state }, _alone: alone };
    let shard = core.replication.shard();
    // Goes on when the caller goes away: nobody else would open it again.
    let frozen = tokio::spawn(turn.freeze());
    frozen.await.unwrap_or(Err(Error::OutcomeUnknown { shard }))
}

/// A shard that is being frozen, alone as long as it lives.
struct Turn {
    core: Arc<Core>,
    tenure: Arc<Tenure>,
    /// What it knows of merges when it is frozen.
    state: MergeState,
    _alone: OwnedMutexGuard<()>,
}

impl Turn {
    async fn freeze(self) -> Result<MergeAnswer> {
        let Turn { core, tenure, state, .. } = &self;
        let shard = core.replication.shard();
        tenure.close(true);
        // What is evaluated from now on is refused; what was evaluated before holds its latches.
        let evaluated = tenure.latches.holders();
        let drained = async {
            for holder in &evaluated {
                holder.over().await;
            }
        };
        if timeout(limits::MERGE_DRAIN_MAX, drained).await.is_err() {
            tenure.close(false);
            return Err(core.refused("earlier writes have found no quorum in time"));
        }
        match core.replicate(tenure, state_batch(state)).await {
            Ok(()) => {
                tenure.changes.note_the_rest();
                Ok(MergeAnswer::Done)
            }
            Err(ReplicateError::NotLeader) => {
                // It is in no log. Without room for the entry the term goes on.
                tenure.close(false);
                Err(core.not_serving())
            }
            Err(ReplicateError::Unknown) => {
                tracing::warn!(%shard, term = tenure.term, "whether a shard is frozen is unknown");
                tokio::spawn(self.settle());
                Err(Error::OutcomeUnknown { shard })
            }
        }
    }

    /// Waits until a later entry of the term, or its end, tells whether the shard is frozen.
    async fn settle(self) {
        let nothing = mvcc::encode_batch(&WriteBatch::new());
        loop {
            match self.core.replicate(&self.tenure, nothing.clone()).await {
                Ok(()) => match mvcc::merge_state(&*self.core.engine) {
                    Ok(state) => {
                        self.tenure.changes.note_the_rest();
                        self.tenure.close(state.is_frozen());
                        return;
                    }
                    Err(error) => {
                        let shard = self.tenure.shard;
                        tracing::error!(%shard, %error, "cannot tell whether it is frozen; it stays closed in this term");
                    }
                },
                Err(ReplicateError::NotLeader) => return,
                Err(ReplicateError::Unknown) => {}
            }
            sleep(limits::OUTCOME_RETRY_PAUSE).await;
        }
    }
}

/// Ends a merge that is undone: the shard serves again, and never takes part in that merge any more.
async fn thaw(core: &Arc<Core>, tenure: &Arc<Tenure>, merge: u64) -> Result<MergeAnswer> {
    let Ok(_alone) = core.splitting.try_lock() else {
        return Err(core.refused("a split or merge of it is under way"));
    };
    let state = mvcc::merge_state(&*core.engine)?;
    if merge > state.over {
        let after = state.after(merge, false);
        match core.replicate(tenure, state_batch(&after)).await {
            Ok(()) => {}
            Err(ReplicateError::NotLeader) => return Err(core.not_serving()),
            Err(ReplicateError::Unknown) => {
                return Err(Error::OutcomeUnknown { shard: core.replication.shard() });
            }
        }
    }
    // An earlier question may have done it without an answer.
    tenure.close(mvcc::merge_state(&*core.engine)?.is_frozen());
    Ok(MergeAnswer::Done)
}

/// The encoded write batch that changes what a shard knows of its merges.
fn state_batch(state: &MergeState) -> Bytes {
    let mut batch = WriteBatch::new();
    mvcc::put_merge_state(&mut batch, state);
    mvcc::encode_batch(&batch)
}
