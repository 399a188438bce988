//! Finishing the locks of a large transaction that is decided: they become versions, or go.
//!
//! ```text
//! record that it is over ─► locks from a position on ─► one entry for some of them ─┬─► … ─► forget the transaction
//!                                  ▲────────────────────────────────────────────────┘
//! ```
//!
//! The leader does it by itself, behind the answer: when the coordinator asks (`FinishAll`), and when somebody has
//! finished a single lock, because then the coordinator may be gone. Every step may be repeated. Another leader starts
//! again where it is asked.
//!
//! Not here: who decides (`evaluate`, `transaction::large`).

use super::Core;
use super::proposer::Proposer;
use super::tenure::Tenure;
use crate::Result;
use crate::command::{Change, WriteRequest, WriteResponse};
use base::{KeyRange, SlotRange, Timestamp, limits};
use bytes::Bytes;
use engine::Engine;
use engine::mvcc;
use std::sync::Arc;

/// A large transaction that is decided.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// Its identity.
    pub(super) start_ts: Timestamp,
    /// Its primary key.
    pub(super) primary: Bytes,
    /// When it was committed; `None` when it was rolled back.
    pub(super) commit_ts: Option<Timestamp>,
}

/// Answers `FinishAll`: 0 when nothing is left here, else 1, and it goes on behind.
pub(super) async fn finish_all(
    core: &Arc<Core>,
    proposer: &Arc<Proposer>,
    slots: SlotRange,
    ended: Ended,
) -> Result<WriteResponse> {
    let tenure = core.tenure().await?;
    tenure.check_slots(slots)?;
    let is_left = tenure.locks.read().large().contains_key(&ended.start_ts);
    if is_left {
        start(core, proposer, tenure, ended);
        return Ok(WriteResponse::Counter(1));
    }
    // A prewrite that is still on its way must not place locks any more.
    let Ended { start_ts, primary, commit_ts } = ended;
    let request = WriteRequest::FinishAll { start_ts, primary, commit_ts };
    proposer.write(slots, request).await?;
    Ok(WriteResponse::Counter(0))
}

/// Starts finishing, unless that is under way.
pub(super) fn start(core: &Arc<Core>, proposer: &Arc<Proposer>, tenure: Arc<Tenure>, ended: Ended) {
    if !tenure.finishing.lock().insert(ended.start_ts) {
        return;
    }
    let (core, proposer) = (core.clone(), proposer.clone());
    tokio::spawn(async move {
        let start_ts = ended.start_ts;
        if let Err(error) = run(&core, &proposer, ended).await {
            let shard = core.replication.shard();
            tracing::info!(%shard, %start_ts, %error, "locks of a large transaction are left for later");
        }
        tenure.finishing.lock().remove(&start_ts);
    });
}

async fn run(core: &Core, proposer: &Arc<Proposer>, ended: Ended) -> Result<()> {
    let Ended { start_ts, primary, commit_ts } = ended;
    // Locks that come with a merge may lie where this has been already.
    let merges = mvcc::merge_state(&*core.engine)?.over;
    proposer.write_own(WriteRequest::FinishAll { start_ts, primary, commit_ts }).await?;
    let mut rest = Some(KeyRange::default());
    while let Some(range) = rest {
        let Step { written, kept, rest: after } = next_step(&*core.engine, start_ts, &range)?;
        rest = after;
        if written.is_empty() && kept.is_empty() {
            continue;
        }
        let request = match commit_ts {
            Some(commit_ts) => WriteRequest::Commit { start_ts, commit_ts, keys: written, kept },
            None => {
                let keys = written.into_iter().chain(kept).collect();
                WriteRequest::Rollback { start_ts, keys }
            }
        };
        proposer.write_own(request).await?;
    }
    proposer.forget(start_ts, merges).await
}

/// Locks that are finished with one entry.
struct Step {
    /// Keys that are written.
    written: Vec<Bytes>,
    /// Keys that stay as they are.
    kept: Vec<Bytes>,
    /// Where to go on.
    rest: Option<KeyRange>,
}

/// The first locks of a transaction in a range. Those of foreign keys are the business of the shards that own them now; what
/// counts is a split that is applied, for the transaction is forgotten here when nothing else is left.
fn next_step(engine: &dyn Engine, start_ts: Timestamp, range: &KeyRange) -> Result<Step> {
    let mut step = Step { written: Vec::new(), kept: Vec::new(), rest: None };
    let (mut steps, mut bytes) = (0, 0);
    let bounds = mvcc::bounds(engine)?;
    mvcc::scan_large_locks(engine, range, false, |key, lock| {
        steps += 1;
        if lock.start_ts == start_ts && !mvcc::is_foreign(bounds, &key)? {
            bytes += key.len() + lock.change.bytes() + limits::WRITE_OVERHEAD_BYTES;
            match lock.change {
                Change::Keep => step.kept.push(key.clone()),
                Change::Put(_) | Change::Delete => step.written.push(key.clone()),
            }
        }
        let count = step.written.len() + step.kept.len();
        let full = count >= limits::FINISH_STEP_KEYS || bytes >= limits::ENTRY_BYTES_TARGET;
        if full || steps >= limits::LARGE_LOCKS_STEP {
            let after = [&key[..], &[0]].concat();
            step.rest = Some(KeyRange::new(after, range.end.clone()));
            return Ok(false);
        }
        Ok(true)
    })?;
    Ok(step)
}
