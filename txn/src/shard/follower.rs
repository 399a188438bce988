//! Reads at a replica that does not lead, and what its leader promises for them.
//!
//! ```text
//! leader: lead? ─► writes under way that may commit at T or before ─► wait ─► applied entry i ─► still lead? ─► (T, i)
//! ```
//!
//! Why (T, i) is true for ever. T was handed out before the leader looked at its latches. Whatever may appear at T or before:
//!
//! | it appears by | then |
//! |---|---|
//! | a write that held its latches at the look | it was waited for: it is in the log up to i, or commits after T |
//! | one that got its latches later, `CommitNow`, `Decide` or an asynchronous prewrite | it asks the oracle after that: it commits after T |
//! | a plain prewrite that was placed after the look | its coordinator asks the oracle after the answer: it commits after T |
//! | the commit of a lock that was placed before the look | the lock is in the log up to i: a reader meets it there |
//! | a write under a later leader | that one serves only after this one has ended to: as for later writes |
//! | a write of an earlier term | everything of earlier terms is applied before a leader serves |
//!
//! | a write at the child of a split | the child takes writes only after the parent's leader has put up its fence; one that has, and has not applied the split, promises nothing |
//!
//! The leader asks whether it still leads last, so all looks lie within its lease. What it promises after a split, a replica uses
//! only when it has applied the split, too.
//!
//! The reader takes one engine snapshot and asks it for everything: the entry it reaches, the shard's slots, its safe points,
//! its locks. Locks whose transaction may commit at the read point or before are in its way. Their transaction may be over at
//! the leader, and its record gone: whoever meets such a lock must not conclude from a missing record that it was rolled back.
//!
//! A replica that was never split does not know its slots; it passes over what is not in those of the request, for the leader may
//! have been split since.
//!
//! Not here: who asks leaders for promises, and when (`server`), what is done when a follower cannot answer (`follower_client`).

use super::Core;
use super::reader::{SeenLocks, Wish, get_view, scan_view, tables_of};
use crate::closed::Closed;
use crate::command::{ReadRequest, ReadResponse};
use crate::lock_table::LockTable;
use crate::{Error, Result};
use base::{ShardId, SlotRange, Timestamp, limits};
use engine::mvcc;
use tokio::time::timeout;

/// Makes a promise as the leader.
pub(super) async fn close(core: &Core, ts: Timestamp) -> Result<Closed> {
    let shard = core.replication.shard();
    if shard == ShardId::META {
        return Err(no_follower(core, "its counters are read at the leader".into()));
    }
    if ts == Timestamp::MAX {
        return Err(no_follower(core, "what will be written cannot be closed".into()));
    }
    let Some(term) = core.confirmed_term().await else { return Err(core.not_serving()) };
    // What its neighbour has taken in is written there.
    if mvcc::merge_state(&*core.engine)?.is_frozen() {
        let what = "its neighbour takes it in; try again".into();
        return Err(Error::Unavailable { shard, what });
    }
    // A leader that has loaded no memory yet has evaluated nothing.
    let tenure = core.tenure.read().as_ref().filter(|tenure| tenure.term == term).cloned();
    if let Some(tenure) = tenure {
        if tenure.bounds() != mvcc::bounds(&*core.engine)? {
            let what = "it is being split; try again".into();
            return Err(Error::Unavailable { shard, what });
        }
        let blockers = tenure.latches.blockers(ts);
        let cleared = async {
            for blocker in &blockers {
                blocker.cleared().await;
            }
        };
        if timeout(limits::CLOSE_WAIT_MAX, cleared).await.is_err() {
            let what = "a write under way has found no quorum yet; try again".into();
            return Err(Error::Unavailable { shard, what });
        }
    }
    let applied = core.replication.applied_view().map(|applied| applied.index);
    let index = applied.map_err(|what| Error::Unavailable { shard, what })?;
    match core.confirmed_term().await == Some(term) {
        true => Ok(Closed { ts, index }),
        false => Err(core.not_serving()),
    }
}

/// Up to when this replica can answer.
pub(super) fn closed(core: &Core) -> Timestamp {
    match core.replication.applied_view() {
        Ok(applied) => core.closed.lock().at(applied.index),
        Err(_) => Timestamp::ZERO,
    }
}

/// Runs a read.
pub(super) fn read(core: &Core, slots: SlotRange, request: ReadRequest) -> Result<ReadResponse> {
    let shard = core.replication.shard();
    let (ReadRequest::Get { ts, .. } | ReadRequest::Scan { ts, .. }) = request else {
        return Err(no_follower(core, "only a leader answers this".into()));
    };
    if core.replication.serving_term().is_some() {
        return Err(no_follower(core, "this replica leads".into()));
    }
    let applied = core.replication.applied_view().map_err(|what| no_follower(core, what))?;
    let closed = core.closed.lock().at(applied.index);
    if ts > closed {
        let what = match (ts, closed) {
            (_, Timestamp::ZERO) => "it does not know yet up to when it may answer".to_string(),
            (Timestamp::MAX, _) => "only a leader knows the newest versions".to_string(),
            (ts, closed) => {
                let behind_ms = ts.unix_ms().saturating_sub(closed.unix_ms());
                format!("it is {behind_ms} ms behind what is asked for")
            }
        };
        return Err(no_follower(core, what));
    }
    let view = &*applied.view;
    let owns = |bounds: SlotRange| bounds.start <= slots.start && slots.end <= bounds.end;
    if mvcc::bounds(view)?.is_some_and(|bounds| !owns(bounds)) {
        return Err(Error::Moved { shard });
    }
    if let Some(tables) = tables_of(&request) {
        let safe_point = mvcc::safe_points(view)?.of_span(tables);
        if ts < safe_point {
            return Err(Error::SnapshotTooOld { shard, ts, safe_point });
        }
    }
    match request {
        ReadRequest::Get { keys, ts, known } => {
            let locks = LockTable::of_keys(view, &keys)?;
            get_view(view, &locks, &keys, ts, &known)
        }
        ReadRequest::Scan { range, ts, reverse, limit, known } => {
            let limit = limit.clamp(1, limits::SCAN_ROWS_MAX);
            let wish = Wish { ts, reverse, limit, bounds: Some(slots) };
            let locks = LockTable::of_range(view, &range, slots)?;
            let seen = SeenLocks::of(&locks, &range, wish, &known);
            scan_view(applied.view.clone(), range, wish, seen)
        }
        ReadRequest::Changed { .. } | ReadRequest::OldestLock { .. } => {
            Err(no_follower(core, "only a leader answers this".into()))
        }
    }
}

fn no_follower(core: &Core, what: String) -> Error {
    Error::NoFollower { shard: core.replication.shard(), what }
}
