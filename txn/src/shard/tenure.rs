//! One leadership's memory: its lock table, its latches, and the slots that it serves.
//!
//! The slots are those of the engine, but for the time of a split: the leader stops to serve the child's slots before the
//! split is replicated (`splitter`). Whoever decides what may be removed asks the engine, not the tenure. A leadership that is
//! *closed* serves nobody, whatever the slots: the shard is being taken in by its neighbour (`giver`).

use super::changes::Changes;
use crate::defect;
use crate::latch::Latches;
use crate::lock_table::{LockChange, LockTable};
use crate::row_locks::RowLocks;
use crate::{Error, Result};
use base::{ShardId, SlotRange, Timestamp};
use bytes::Bytes;
use engine::Engine;
use engine::mvcc::{self, SafePoints, Sides, TableSpan};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The latch of what a shard does by itself and has once: its floors, its marks, its large transactions. No row has this key.
pub(super) fn own_latch() -> Bytes {
    Bytes::new()
}

/// What a leader keeps in memory while its term lasts.
#[derive(Debug)]
pub(super) struct Tenure {
    /// The shard.
    pub(super) shard: ShardId,
    /// The term.
    pub(super) term: u64,
    /// Replicated locks.
    pub(super) locks: RwLock<LockTable>,
    /// Writes being evaluated or replicated.
    pub(super) latches: Arc<Latches>,
    /// The node's row locks; those of this shard belong to this leadership.
    pub(super) row_locks: Arc<RowLocks>,
    /// The last timestamp of a commit that may be refused; raised before the refusal is replicated.
    pub(super) refused_until: AtomicU64,
    /// Large transactions whose locks are being finished.
    pub(super) finishing: Mutex<BTreeSet<Timestamp>>,
    /// Reads before these points are refused: what they would see may be dropped.
    safe_points: RwLock<Arc<SafePoints>>,
    /// The highest of them: most reads are later and look no further.
    safe_point_max: AtomicU64,
    /// New locks of transactions that began before this point are refused. Never above what is replicated.
    lock_floor: AtomicU64,
    /// The slots that are served; `None` in a shard that was never split, which serves what it is asked for.
    bounds: RwLock<Option<SlotRange>>,
    /// Whether nobody is served, because the shard is frozen or is about to be.
    closed: AtomicBool,
    /// Slots that are being taken in: their keys are foreign, and stay.
    expected: RwLock<Option<SlotRange>>,
    /// Commands of this leadership, for a copy of the shard.
    pub(super) changes: Changes,
}

impl Tenure {
    /// The memory of a term that has just begun to serve.
    pub(super) fn load(
        (shard, term): (ShardId, u64),
        engine: &dyn Engine,
        row_locks: Arc<RowLocks>,
    ) -> engine::Result<Tenure> {
        let bounds = mvcc::bounds(engine)?;
        let locks = RwLock::new(match defect::active("locks-not-loaded") {
            true => LockTable::default(),
            false => LockTable::load(engine, bounds)?,
        });
        let safe_points = mvcc::safe_points(engine)?;
        let safe_point_max = AtomicU64::new(safe_points.highest().0);
        let lock_floor = AtomicU64::new(mvcc::lock_floor(engine)?.0);
        let refused_until = mvcc::refusals(engine)?.into_iter().map(|(_, until)| until.0).max();
        let merges = mvcc::merge_state(engine)?;
        Ok(Tenure {
            shard,
            term,
            locks,
            latches: Arc::default(),
            row_locks,
            refused_until: AtomicU64::new(refused_until.unwrap_or_default()),
            safe_points: RwLock::new(Arc::new(safe_points)),
            safe_point_max,
            lock_floor,
            finishing: Mutex::default(),
            bounds: RwLock::new(bounds),
            closed: AtomicBool::new(merges.is_frozen()),
            expected: RwLock::new(merges.incoming()),
            changes: Changes::default(),
        })
    }

    /// The slots that are served.
    pub(super) fn bounds(&self) -> Option<SlotRange> {
        *self.bounds.read()
    }

    /// Serves these slots and no others from now on. What was evaluated before holds its latches.
    pub(super) fn serve(&self, bounds: Option<SlotRange>) {
        *self.bounds.write() = bounds;
    }

    /// Serves nobody from now on, or again. What was evaluated before holds its latches.
    pub(super) fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::SeqCst);
    }

    /// Whether nobody is served.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// `Moved` when nobody is served.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::Moved { shard: self.shard }) } else { Ok(()) }
    }

    /// Slots that are being taken in.
    pub(super) fn expected(&self) -> Option<SlotRange> {
        *self.expected.read()
    }

    /// Keeps foreign keys of these slots from now on.
    pub(super) fn expect(&self, slots: Option<SlotRange>) {
        *self.expected.write() = slots;
    }

    /// Follows the engine after it has taken in the slots of the right side: their locks, and what the shard has once.
    /// Serves all slots from then on.
    pub(super) fn take_in(&self, engine: &dyn Engine, sides: Sides) -> engine::Result<()> {
        let mut changes = Vec::new();
        mvcc::scan_locks(engine, |key, lock| {
            if !mvcc::is_foreign(Some(sides.other), &key)? {
                changes.push(LockChange::Put(key, crate::lock_table::HeldLock::of(&lock)));
            }
            Ok(true)
        })?;
        let large = mvcc::all_large(engine)?.into_iter();
        changes.extend(large.map(|(start_ts, primary)| LockChange::Large(start_ts, primary)));
        self.raise_lock_floor(mvcc::lock_floor(engine)?);
        self.raise_safe_points(&mvcc::safe_points(engine)?);
        self.refuse_until(mvcc::refusals(engine)?.into_iter().map(|(_, until)| until).max());
        let bounds = mvcc::bounds(engine)?;
        self.change_locks(changes);
        self.expect(None);
        self.serve(bounds);
        Ok(())
    }

    /// Looks for refused commits up to a timestamp from now on.
    pub(super) fn refuse_until(&self, until: Option<Timestamp>) {
        self.refused_until.fetch_max(until.unwrap_or_default().0, Ordering::SeqCst);
    }

    /// `Moved` unless the slots that a request is for are those that are served. Answers [`Tenure::bounds`].
    pub(super) fn check_slots(&self, slots: SlotRange) -> Result<Option<SlotRange>> {
        self.check_open()?;
        match self.bounds() {
            Some(bounds) if bounds != slots && !defect::active("split-unfenced") => {
                Err(Error::Moved { shard: self.shard })
            }
            bounds => Ok(bounds),
        }
    }

    /// Forgets the locks of the child: the split is applied.
    pub(super) fn keep_own_locks(&self, own: SlotRange) -> engine::Result<()> {
        self.locks.write().keep_own(own)
    }

    /// The earliest read points that are served.
    pub(super) fn safe_points(&self) -> Arc<SafePoints> {
        self.safe_points.read().clone()
    }

    /// The safe point that a read of these tables comes before, if it does.
    pub(super) fn safe_point_after(&self, ts: Timestamp, tables: TableSpan) -> Option<Timestamp> {
        if ts.0 >= self.safe_point_max.load(Ordering::SeqCst) {
            return None;
        }
        let safe_point = self.safe_points.read().of_span(tables);
        (ts < safe_point).then_some(safe_point)
    }

    /// Refuses reads before these points from now on. Comes before the first removal that they allow is replicated.
    /// Returns what counts now.
    pub(super) fn raise_safe_points(&self, raised: &SafePoints) -> Arc<SafePoints> {
        let mut held = self.safe_points.write();
        let mut points = SafePoints::clone(&held);
        points.raise(raised);
        let points = Arc::new(points);
        *held = points.clone();
        self.safe_point_max.fetch_max(points.highest().0, Ordering::SeqCst);
        points
    }

    /// The earliest start of a transaction that may place locks.
    pub(super) fn lock_floor(&self) -> Timestamp {
        Timestamp(self.lock_floor.load(Ordering::SeqCst))
    }

    /// Refuses new locks of transactions that began before a point, for good. Comes after the floor is applied, so that
    /// what is answered because of it is true under every later leader.
    pub(super) fn raise_lock_floor(&self, floor: Timestamp) {
        self.lock_floor.fetch_max(floor.0, Ordering::SeqCst);
    }

    /// Takes over the lock changes of an applied batch.
    pub(super) fn change_locks(&self, changes: Vec<LockChange>) {
        if changes.is_empty() {
            return;
        }
        let mut locks = self.locks.write();
        changes.into_iter().for_each(|change| locks.apply(change));
    }

    /// Reads the locks of some keys from the engine again: nobody knows whether the batch that would
    /// have changed them was applied.
    pub(super) fn reload_locks(&self, engine: &dyn Engine, keys: &[Bytes]) -> engine::Result<()> {
        let bounds = mvcc::bounds(engine)?;
        let mut changes = Vec::with_capacity(keys.len());
        // Some latches are no row's key.
        for key in keys.iter().filter(|key| !key.is_empty()) {
            let lock = match mvcc::is_foreign(bounds, key)? {
                true => None,
                false => mvcc::get_lock(engine, key)?,
            };
            changes.push(match lock {
                Some(lock) => LockChange::Put(key.clone(), crate::lock_table::HeldLock::of(&lock)),
                None => LockChange::Remove(key.clone()),
            });
        }
        // One that is over stays in the table, where it does no harm until it is finished again.
        let large = mvcc::all_large(engine)?.into_iter();
        changes.extend(large.map(|(start_ts, primary)| LockChange::Large(start_ts, primary)));
        self.change_locks(changes);
        Ok(())
    }
}
