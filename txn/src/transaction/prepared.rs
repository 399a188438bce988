//! Transactions that are prepared now and decided later, perhaps by another node: the first phase of XA.
//!
//! ```text
//!  prepare: prewrite all ─► record it (the caller) ─► hold: the primary's lock never expires
//!  later:   decide at the primary ─► commit the others                or: roll back the primary ─► the others
//! ```
//!
//! Until it is held a prepared transaction expires like any other, so a coordinator that dies before it could record
//! what it has prepared leaves no locks behind.
//!
//! The primary's leader fetches the commit timestamp while it holds the primary's latch (`Decide`). So whoever has found the
//! lock held knows that the transaction commits later than any timestamp of that time: readers pass its locks (`resolve`),
//! for as long as it takes. A commit timestamp that somebody else has fetched before is refused at a lock that is held.
//!
//! Invariants:
//! 1. What is held is committed or rolled back by whoever has the record, and by nobody else.
//! 2. Committing and rolling back may be repeated; the primary's shard keeps to what it has executed first. Once its
//!    record is gone (`records`) it says so; whoever may repeat this after days sees to it that the record stays.
//! 3. What is held commits at a timestamp that was fetched while its primary was latched.

use super::commit::TwoPhase;
use super::owners::{write_at, write_everywhere};
use super::wrong_answer;
use crate::command::{TxnStatus, WriteRequest, WriteResponse};
use crate::shard_client::{Route, ShardClient};
use crate::{Error, Result};
use base::{Timestamp, limits};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What must be known to finish a prepared transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedTransaction {
    /// Identity.
    pub start_ts: Timestamp,
    /// The key whose lock decides it; one of `keys`.
    pub primary: Bytes,
    /// Keys that it writes.
    pub keys: Vec<Bytes>,
    /// Keys that it has locked and does not write.
    pub kept: Vec<Bytes>,
}

impl PreparedTransaction {
    /// What two phases have prewritten.
    pub(super) fn of(work: &TwoPhase) -> PreparedTransaction {
        let (mut keys, mut kept) = (Vec::new(), Vec::new());
        for chunk in &work.chunks {
            let (written, only_kept) = chunk.written_and_kept();
            keys.extend(written);
            kept.extend(only_kept);
        }
        let (start_ts, primary) = (work.start_ts, work.primary.clone());
        // Where nothing is written, a key that was locked decides.
        if let Some(at) = kept.iter().position(|key| *key == primary) {
            keys.push(kept.swap_remove(at));
        }
        PreparedTransaction { start_ts, primary, keys, kept }
    }

    /// Its keys but the primary, those of a shard together.
    fn others(&self, client: &dyn ShardClient) -> Result<Vec<Part>> {
        let mut shards: BTreeMap<Route, (Vec<Bytes>, Vec<Bytes>)> = BTreeMap::new();
        for key in self.keys.iter().filter(|key| **key != self.primary) {
            shards.entry(client.locate(key)?).or_default().0.push(key.clone());
        }
        for key in &self.kept {
            shards.entry(client.locate(key)?).or_default().1.push(key.clone());
        }
        let mut parts = Vec::new();
        for (written, only_kept) in shards.into_values() {
            let part = |keys: &[Bytes], kept| Part { keys: keys.to_vec(), kept };
            parts.extend(written.chunks(KEYS_MAX).map(|keys| part(keys, false)));
            parts.extend(only_kept.chunks(KEYS_MAX).map(|keys| part(keys, true)));
        }
        Ok(parts)
    }
}

/// Keys that travel in one request, unless their shard is split.
struct Part {
    keys: Vec<Bytes>,
    /// Whether they are only kept.
    kept: bool,
}

/// Keys of one request.
const KEYS_MAX: usize = limits::GET_KEYS_MAX;

/// Keeps a prepared transaction for as long as it takes. May be repeated.
///
/// # Errors
/// `RolledBack` when it has expired before; `Unavailable` and the like when nobody knows yet.
pub async fn hold_prepared(
    client: &Arc<dyn ShardClient>,
    prepared: &PreparedTransaction,
) -> Result<()> {
    let (start_ts, primary) = (prepared.start_ts, prepared.primary.clone());
    let request = WriteRequest::Heartbeat { start_ts, primary, expires_unix_ms: u64::MAX };
    write_at(&**client, &prepared.primary, request).await.map(|_| ())
}

/// Commits a prepared transaction and answers when it became visible. May be repeated.
///
/// # Errors
/// `RolledBack`; `Forgotten` when it ended long ago; `OutcomeUnknown` and the like when nobody knows: repeat it.
pub async fn commit_prepared(
    client: &Arc<dyn ShardClient>,
    prepared: &PreparedTransaction,
) -> Result<Timestamp> {
    let start_ts = prepared.start_ts;
    let decision = WriteRequest::Decide { start_ts, primary: prepared.primary.clone() };
    let (shard, decided) = write_at(&**client, &prepared.primary, decision).await?;
    let commit_ts = match decided {
        WriteResponse::Done { commit_ts }
        | WriteResponse::Status(TxnStatus::Committed { commit_ts }) => commit_ts,
        WriteResponse::Status(TxnStatus::Forgotten) => return Err(Error::Forgotten { start_ts }),
        WriteResponse::Status(_) | WriteResponse::Counter(_) => {
            return Err(wrong_answer(shard));
        }
    };
    // Whoever meets a lock that is left asks the primary.
    let commits = prepared.others(&**client)?.into_iter().map(async |part| {
        let commit = |keys: Vec<Bytes>| {
            let (keys, kept) = if part.kept { (Vec::new(), keys) } else { (keys, Vec::new()) };
            WriteRequest::Commit { start_ts, commit_ts, keys, kept }
        };
        let outcomes = write_everywhere(&**client, part.keys, commit).await?;
        outcomes.into_iter().try_for_each(|(_, outcome)| match outcome {
            Ok(_) | Err(Error::RolledBack { .. }) => Ok(()),
            Err(error) => Err(error),
        })
    });
    let commits: Vec<_> = commits.collect();
    stream::iter(commits)
        .buffer_unordered(limits::PREWRITES_IN_FLIGHT)
        .try_for_each(|()| futures::future::ready(Ok(())))
        .await?;
    Ok(commit_ts)
}

/// Rolls a prepared transaction back. May be repeated.
///
/// # Errors
/// `Unavailable` when it is committed; `Forgotten` when it ended long ago; `OutcomeUnknown` and the like when nobody
/// knows: repeat it.
pub async fn roll_back_prepared(
    client: &Arc<dyn ShardClient>,
    prepared: &PreparedTransaction,
) -> Result<()> {
    let start_ts = prepared.start_ts;
    let rollback = |keys| WriteRequest::Rollback { start_ts, keys };
    let request = rollback(vec![prepared.primary.clone()]);
    let (shard, rolled_back) = write_at(&**client, &prepared.primary, request).await?;
    match rolled_back {
        WriteResponse::Done { .. } => {}
        WriteResponse::Status(TxnStatus::Committed { .. }) => {
            let what = "the transaction is committed; nothing was rolled back".into();
            return Err(Error::Unavailable { shard, what });
        }
        WriteResponse::Status(TxnStatus::Forgotten) => return Err(Error::Forgotten { start_ts }),
        WriteResponse::Status(_) | WriteResponse::Counter(_) => {
            return Err(wrong_answer(shard));
        }
    }
    let rollbacks = prepared.others(&**client)?.into_iter().map(async |part| {
        let outcomes = write_everywhere(&**client, part.keys, rollback).await?;
        outcomes.into_iter().try_for_each(|(_, outcome)| outcome.map(|_| ()))
    });
    let rollbacks: Vec<_> = rollbacks.collect();
    stream::iter(rollbacks)
        .buffer_unordered(limits::PREWRITES_IN_FLIGHT)
        .try_for_each(|()| futures::future::ready(Ok(())))
        .await
}
