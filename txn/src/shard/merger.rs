//! The left shard's side of a merge: its leader copies its right neighbour through its own log, then takes over the slots.
//!
//! ```text
//!  begin: entry ─► pieces ─► changes, round after round ─► few are left ─► right is frozen ─► the last changes, the rest
//!                  (both shards serve)                                                          │ in MERGE_FREEZE_MAX
//!                                                     entry: bounds a..c, the merge is over  ◄──┤
//!                                                     entry: the merge is undone, then Thaw  ◄──┘ or not
//! ```
//!
//! Everything goes through left's log as ordinary batches. So replicas of left are alike whatever nodes right's are on, and a
//! replica that is brought up by a Raft snapshot, before or after, needs nothing else. Copied rows are foreign keys, which
//! nobody reads, until one entry moves the bounds.
//!
//! The coordinator asks again and again. A leader goes on with its copy from one question to the next; another leader, of left
//! or of right, begins the copy anew, which writes only what differs. Right is frozen for the last steps alone. If these do not
//! come to their end at the first attempt, the merge is undone; so right never stays frozen for the length of a copy.
//!
//! Invariants:
//! 1. A merge is over in left by one entry, which says whether it was carried out. After that no other entry of that merge is
//!    ever proposed, by any leader: each looks at the record under `Core::splitting`, in the term of the entry.
//! 2. Right is thawed only after the entry that says that the merge is undone is applied here.
//! 3. The bounds move only in the term in which the whole copy was made and the last changes were taken in, and right was
//!    frozen before these.
//! 4. Before anything is compared with the engine, an entry of this term is applied that is behind all earlier entries of
//!    merges. So a batch of unknown outcome cannot come later and bring back what was different then.
//! 5. While the bounds move, nobody raises the lock floor or safe points, or forgets large transactions or foreign keys
//!    (`own_latch`): what both shards had is put together from what is applied.
//!
//! Not here: right's side (`giver`), the shard map (`server`).

use super::Core;
use super::tenure::{Tenure, own_latch};
use crate::latch::{Guard, Visibility};
use crate::merge::{CopyId, MergeAnswer, MergeAsk, MergeProgress, MergeSource};
use crate::replication::ReplicateError;
use crate::row_locks::HeldLock;
use crate::{Error, Result};
use base::{ShardId, limits};
use bytes::Bytes;
use engine::mvcc::{self, Interval, MergePart, MergeState, Rest, Sides};
use engine::{Mutation, WriteBatch};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, timeout};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// The merge's number.
    pub(super) merge: u64,
    /// The slots of both shards, as the map has them.
    pub(super) sides: Sides,
    /// Whether it shall be undone.
    pub(super) undo: bool,
}

/// A copy of right that is being made.
#[derive(Debug)]
pub(super) struct Copied {
    /// The merge's number.
    merge: u64,
    /// Left's term.
    term: u64,
    /// What right calls it.
    id: CopyId,
    /// Where the walk over right goes on; `None` after its end.
    walk: Option<Bytes>,
    /// Whether left may hold keys of right's slots that right does not have.
    compares: bool,
    /// Questions about changes so far.
    turn: u64,
    /// Bytes copied.
    copied: u64,
}

/// A merge under way, alone as long as it lives.
struct Turn {
    core: Arc<Core>,
    tenure: Arc<Tenure>,
    wish: Wish,
    source: Arc<dyn MergeSource>,
    _alone: OwnedMutexGuard<()>,
}

/// Goes on with a merge.
pub(super) async fn merge(
    core: &Arc<Core>,
    wish: Wish,
    source: Arc<dyn MergeSource>,
) -> Result<MergeProgress> {
    let shard = core.replication.shard();
    let tenure = core.tenure().await?;
    let Sides { own, other } = wish.sides;
    let are_neighbours = own.start < own.end && own.end == other.start && other.start < other.end;
    if shard == ShardId::META || !are_neighbours {
        return Err(core.refused(&format!("{own} and {other} cannot be merged")));
    }
    let Ok(alone) = core.splitting.clone().try_lock_owned() else {
        return Err(core.refused("a step of a split or merge of it is under way; ask again"));
    };
    let state = mvcc::merge_state(&*core.engine)?;
    if let Some(progress) = outcome(core, &state, wish.merge)? {
        if progress == MergeProgress::Taken && tenure.expected().is_some() {
            // An engine that could not be read has kept memory behind.
            tenure.take_in(&*core.engine, wish.sides)?;
        }
        return Ok(progress);
    }
    let bounds = mvcc::bounds(&*core.engine)?;
    if bounds.is_some_and(|bounds| bounds != own) && !wish.undo {
        return Err(Error::Moved { shard });
    }
    match state.part {
        Some(MergePart::Frozen { .. }) => {
            return Err(core.refused("it is being taken in by its own left neighbour"));
        }
        // One that the records do not know any more: it is over, whatever became of it.
        Some(MergePart::TakesIn { merge, .. }) if merge > wish.merge => {
            return Err(core.refused("a later merge of it is under way"));
        }
        Some(MergePart::TakesIn { .. }) | None => {}
    }
    let turn = Turn { core: core.clone(), tenure, wish, source, _alone: alone };
    // Goes on when the caller goes away.
    let done = tokio::spawn(turn.run());
    done.await.unwrap_or(Err(Error::OutcomeUnknown { shard }))
}

/// What became of a merge that is over.
fn outcome(core: &Core, state: &MergeState, merge: u64) -> Result<Option<MergeProgress>> {
    match (merge.cmp(&state.over), state.taken) {
        (std::cmp::Ordering::Greater, _) => Ok(None),
        (std::cmp::Ordering::Equal, true) => Ok(Some(MergeProgress::Taken)),
        (std::cmp::Ordering::Equal, false) => Ok(Some(MergeProgress::Undone)),
        (std::cmp::Ordering::Less, _) => {
            Err(core.refused("a later merge of it is over; the cluster's records have the outcome"))
        }
    }
}

impl Turn {
    async fn run(self) -> Result<MergeProgress> {
        let Turn { core, tenure, wish, .. } = &self;
        let kept = core.copying.lock().take();
        if wish.undo {
            return self.undo().await;
        }
        let kept = kept.filter(|copy| copy.merge == wish.merge && copy.term == tenure.term);
        let mut copy = match kept {
            Some(copy) => copy,
            None => match self.begin().await? {
                Some(copy) => copy,
                // An earlier attempt has frozen right and did not come to its end.
                None => return self.undo().await,
            },
        };
        // After an error the copy is forgotten and begins anew.
        for _ in 0..limits::MERGE_STEPS_A_CALL {
            if copy.walk.is_some() {
                self.copy_piece(&mut copy).await?;
            } else if self.copy_changes(&mut copy).await? <= limits::MERGE_LEFT_MAX {
                return self.take_in(copy).await;
            }
        }
        let copied = copy.copied;
        *core.copying.lock() = Some(copy);
        Ok(MergeProgress::UnderWay { copied })
    }

    /// Begins a copy; `None` when right is frozen by this merge already.
    async fn begin(&self) -> Result<Option<Copied>> {
        let Turn { core, tenure, wish, source, .. } = self;
        let Sides { own, other } = wish.sides;
        let (merge, slots) = (wish.merge, other);
        let (id, frozen) = match source.ask(MergeAsk::Open { merge, slots }).await? {
            MergeAnswer::Opened { copy, frozen } => (copy, frozen),
            other => return Err(self.wrong(&other)),
        };
        if frozen {
            return Ok(None);
        }
        // Behind whatever an earlier attempt of this term has proposed.
        self.write(WriteBatch::new()).await?;
        let state = mvcc::merge_state(&*core.engine)?;
        if outcome(core, &state, merge)?.is_some() {
            return Err(core.refused("that merge is over here; ask again"));
        }
        let compares = state.part.is_some() || mvcc::has_foreign(&*core.engine)?;
        // Rows that come are foreign from their first moment, also in a shard that had no bounds.
        tenure.serve(Some(own));
        tenure.expect(Some(other));
        // Who drops foreign keys by what was expected before holds latches.
        self.drained().await?;
        let _own_work = self.own_work_waits().await?;
        let mut batch = WriteBatch::new();
        mvcc::put_bounds(&mut batch, own);
        let part = Some(MergePart::TakesIn { merge, slots });
        mvcc::put_merge_state(&mut batch, &MergeState { part, ..state });
        self.write(batch).await?;
        let shard = tenure.shard;
        tracing::info!(%shard, merge, slots = %other, "a shard takes its right neighbour in");
        let walk = Some(Bytes::new());
        Ok(Some(Copied { merge, term: tenure.term, id, walk, compares, turn: 0, copied: 0 }))
    }

    /// Copies the next piece of right.
    async fn copy_piece(&self, copy: &mut Copied) -> Result<()> {
        let Some(from) = copy.walk.take() else { return Ok(()) };
        let asked = MergeAsk::Piece { copy: copy.id, from: from.clone() };
        let (entries, next) = match self.source.ask(asked).await? {
            MergeAnswer::Piece { entries, next } => (entries, next),
            other => return Err(self.wrong(&other)),
        };
        let bytes = entries.len() as u64;
        let entries = mvcc::decode_batch(&entries)?;
        if copy.compares {
            self.align(Interval { from, until: next.clone() }, entries).await?;
        } else {
            self.write_all(mvcc::taken_changes(entries, self.wish.sides)?).await?;
        }
        copy.walk = next;
        copy.copied += bytes;
        // Clients come first.
        let share = Duration::from_millis(bytes * 1000 / limits::MERGE_BYTES_A_SECOND);
        if !share.is_zero() {
            sleep(share).await;
        }
        Ok(())
    }

    /// Makes left's part of an interval the same as right's entries.
    async fn align(&self, interval: Interval, entries: WriteBatch) -> Result<()> {
        let mut wanted: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        for entry in entries.into_mutations() {
            if let Mutation::Put { key, value } = entry {
                wanted.insert(key, value);
            }
        }
        let mut rest = Some(interval);
        while let Some(interval) = rest {
            let (engine, sides) = (&*self.core.engine, self.wish.sides);
            let bytes_max = limits::COLLECT_STEP_BYTES;
            let aligned = mvcc::align(engine, sides, &interval, &wanted, bytes_max)?;
            self.write_all(aligned.batch).await?;
            rest = aligned.next.map(|from| Interval { from, until: interval.until });
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Copies some of what has changed at right, and answers how much is left, those of this step included.
    async fn copy_changes(&self, copy: &mut Copied) -> Result<u64> {
        let asked = MergeAsk::Changes { copy: copy.id, turn: copy.turn + 1 };
        let (changes, left) = match self.source.ask(asked).await? {
            MergeAnswer::Changes { changes, left } => (changes, left),
            other => return Err(self.wrong(&other)),
        };
        copy.turn += 1;
        copy.copied += changes.len() as u64;
        let changes = mvcc::decode_batch(&changes)?;
        let count = changes.len() as u64;
        self.write_all(mvcc::taken_changes(changes, self.wish.sides)?).await?;
        Ok(left + count)
    }

    /// Freezes right, copies the last of it and moves the bounds; or undoes the merge.
    async fn take_in(&self, mut copy: Copied) -> Result<MergeProgress> {
        let shard = self.tenure.shard;
        let prepared = async {
            let (rest, locks) = self.copy_the_last(&mut copy).await?;
            let own_work = self.own_work_waits().await?;
            Ok::<_, Error>((rest, locks, own_work))
        };
        match timeout(limits::MERGE_FREEZE_MAX, prepared).await {
            Ok(Ok((rest, locks, own_work))) => self.move_bounds(rest, locks, own_work).await,
            Ok(Err(error)) => {
                tracing::warn!(%shard, %error, "a merge is undone: its last steps have failed");
                self.undo().await
            }
            Err(_) => {
                tracing::warn!(%shard, "a merge is undone: its last steps took too long");
                self.undo().await
            }
        }
    }

    /// Freezes right and copies the last of it.
    async fn copy_the_last(&self, copy: &mut Copied) -> Result<(Rest, Vec<HeldLock>)> {
        let asked = MergeAsk::Freeze { copy: copy.id, merge: self.wish.merge };
        match self.source.ask(asked).await? {
            MergeAnswer::Done => {}
            other => return Err(self.wrong(&other)),
        }
        while self.copy_changes(copy).await? > 0 {}
        match self.source.ask(MergeAsk::Rest { copy: copy.id }).await? {
            MergeAnswer::Rest { entries, locks } => {
                Ok((mvcc::read_rest(mvcc::decode_batch(&entries)?)?, locks))
            }
            other => Err(self.wrong(&other)),
        }
    }

    /// Takes over right's slots with one entry.
    async fn move_bounds(
        &self,
        rest: Rest,
        locks: Vec<HeldLock>,
        own_work: Guard,
    ) -> Result<MergeProgress> {
        let Turn { core, tenure, wish, .. } = self;
        let engine = &*core.engine;
        let state = mvcc::merge_state(engine)?;
        assert!(state.over < wish.merge, "a merge that is over moves bounds");
        // In memory first: what is removed from now on is removed by these.
        let points = tenure.raise_safe_points(&rest.safe_points);
        tenure.refuse_until(rest.refusals.iter().map(|(_, until)| *until).max());
        let mut batch = WriteBatch::new();
        mvcc::put_bounds(&mut batch, wish.sides.whole());
        mvcc::put_merge_state(&mut batch, &state.after(wish.merge, true));
        mvcc::put_safe_points(&mut batch, &points);
        mvcc::put_lock_floor(&mut batch, mvcc::lock_floor(engine)?.max(rest.lock_floor));
        mvcc::put_rest(engine, &mut batch, &rest)?;
        match core.replicate(tenure, mvcc::encode_batch(&batch)).await {
            Ok(()) => {
                self.has_taken(locks)?;
                Ok(MergeProgress::Taken)
            }
            Err(ReplicateError::NotLeader) => Err(core.not_serving()),
            Err(ReplicateError::Unknown) => {
                let shard = tenure.shard;
                tracing::warn!(%shard, term = tenure.term, "the outcome of a merge is unknown");
                self.settle(locks, own_work).await
            }
        }
    }

    /// The bounds have moved here: the leadership's memory follows the engine.
    fn has_taken(&self, locks: Vec<HeldLock>) -> Result<()> {
        let Turn { core, tenure, wish, .. } = self;
        let count = locks.len();
        core.row_locks.take_over(tenure.shard, locks);
        tenure.take_in(&*core.engine, wish.sides)?;
        let shard = tenure.shard;
        tracing::info!(%shard, merge = wish.merge, row_locks = count, "a shard has taken its right neighbour in");
        Ok(())
    }

    /// Waits until a later entry of the term, or its end, tells whether the bounds have moved.
    async fn settle(&self, locks: Vec<HeldLock>, _own_work: Guard) -> Result<MergeProgress> {
        let nothing = mvcc::encode_batch(&WriteBatch::new());
        loop {
            match self.core.replicate(&self.tenure, nothing.clone()).await {
                Ok(()) => break,
                Err(ReplicateError::NotLeader) => return Err(self.core.not_serving()),
                Err(ReplicateError::Unknown) => sleep(limits::OUTCOME_RETRY_PAUSE).await,
            }
        }
        let state = mvcc::merge_state(&*self.core.engine)?;
        if outcome(&self.core, &state, self.wish.merge)? == Some(MergeProgress::Taken) {
            self.has_taken(locks)?;
            return Ok(MergeProgress::Taken);
        }
        self.undo().await
    }

    /// Undoes the merge: an entry here, then right may serve again.
    async fn undo(&self) -> Result<MergeProgress> {
        let Turn { core, tenure, wish, source, .. } = self;
        let state = mvcc::merge_state(&*core.engine)?;
        let mut batch = WriteBatch::new();
        mvcc::put_merge_state(&mut batch, &state.after(wish.merge, false));
        self.write(batch).await?;
        tenure.expect(None);
        let (shard, merge) = (tenure.shard, wish.merge);
        tracing::info!(%shard, merge, "a merge is undone");
        if let Err(error) = source.ask(MergeAsk::Thaw { merge }).await {
            // The coordinator asks as well, until it is done.
            tracing::info!(%shard, merge, %error, "the right shard is not thawed yet");
        }
        Ok(MergeProgress::Undone)
    }

    /// Keeps the shard's own work out that changes what it has once.
    async fn own_work_waits(&self) -> Result<Guard> {
        let latch = self.tenure.latches.acquire(vec![own_latch()], Visibility::Never);
        let guard = timeout(limits::MERGE_DRAIN_MAX, latch).await;
        guard.map_err(|_| self.core.refused("its own work has found no quorum in time"))
    }

    /// Waits for what was evaluated before.
    async fn drained(&self) -> Result<()> {
        let evaluated = self.tenure.latches.holders();
        let over = async {
            for holder in &evaluated {
                holder.over().await;
            }
        };
        let over = timeout(limits::PROPOSE_WAIT_MAX, over).await;
        over.map_err(|_| self.core.refused("earlier writes have found no quorum in time"))
    }

    /// Replicates changes in entries that are not too large.
    async fn write_all(&self, changes: WriteBatch) -> Result<()> {
        let mut batch = WriteBatch::new();
        for change in changes.into_mutations() {
            let own_bytes = match &change {
                Mutation::Put { key, value } => key.len() + value.len(),
                Mutation::Delete { key } => key.len(),
            };
            let bytes = batch.bytes() + (batch.len() + 1) * limits::WRITE_OVERHEAD_BYTES;
            if bytes + own_bytes > limits::ENTRY_BYTES_TARGET && !batch.is_empty() {
                self.write(std::mem::take(&mut batch)).await?;
            }
            match change {
                Mutation::Put { key, value } => batch.put(key, value),
                Mutation::Delete { key } => batch.delete(key),
            }
        }
        if batch.is_empty() { Ok(()) } else { self.write(batch).await }
    }

    /// Replicates an entry.
    async fn write(&self, batch: WriteBatch) -> Result<()> {
        let Turn { core, tenure, .. } = self;
        match core.replicate(tenure, mvcc::encode_batch(&batch)).await {
            Ok(()) => Ok(()),
            Err(ReplicateError::NotLeader) => Err(core.not_serving()),
            Err(ReplicateError::Unknown) => Err(Error::OutcomeUnknown { shard: tenure.shard }),
        }
    }

    /// The error for an answer to another question.
    fn wrong(&self, answer: &MergeAnswer) -> Error {
        let shard = self.tenure.shard;
        tracing::error!(%shard, ?answer, "the right shard's leader gave an answer of the wrong kind");
        self.core.refused("the right shard's leader gave an answer of the wrong kind")
    }
}
