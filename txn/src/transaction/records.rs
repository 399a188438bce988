//! When records of transactions may go, and old locks that keep them.
//!
//! ```text
//!  every shard's leader:  locks older than `before` ─► ask their primaries ─► finish them (resolve_old_locks)
//!
//!  whoever has records:   OldestLock(before) to every shard ─► each raises its lock floor, then looks at its locks
//!                         limit = the least of: before, all lock floors, all oldest locks     (record_limit)
//!                         records of transactions that began before the limit go              (Shard::drop_records)
//! ```
//!
//! Who asks for a record has met a lock of its transaction, or is its coordinator. Before the limit no shard has a lock
//! any more, and none will: each has said so after its lock floor was replicated. A coordinator that has been silent for
//! so long hears `Forgotten`, and its client that the outcome is unknown.
//!
//! A held prepared transaction has old locks for as long as it is held, and all younger records wait for it.
//!
//! Not here: when to do this and how fast (`server`), transactions whose end is recorded elsewhere and may be asked for
//! again (XA: `server` lowers the limit for them).

use super::owners::Moves;
use super::resolve;
use super::wrong_answer;
use crate::command::{ReadRequest, ReadResponse, TxnStatus};
use crate::defect;
use crate::shard::Shard;
use crate::shard_client::{Route, ShardClient};
use crate::{Error, Result};
use base::{TableId, Timestamp, limits};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::collections::BTreeMap;

/// What a step of [`resolve_old_locks`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedLocks {
    /// Locks that are gone.
    pub resolved: u64,
    /// Locks that were found, whether they could be resolved or not.
    pub found: u64,
    /// The key to go on from; `None` at the end.
    pub next: Option<Bytes>,
}

/// Resolves locks of a shard that this node leads whose transactions began before `before`, from the key `from` on
/// (empty: from the first), a step at a time. Locks of transactions that live stay.
///
/// # Errors
/// `NotServing` when this node does not lead the shard; `Unavailable` and the like when a primary's shard does not answer.
pub async fn resolve_old_locks(
    client: &dyn ShardClient,
    shard: &Shard,
    from: &[u8],
    before: Timestamp,
) -> Result<ResolvedLocks> {
    if from.is_empty() {
        finish_old_large(client, shard, before).await?;
    }
    let old = shard.old_locks(from, before).await?;
    let mut step = ResolvedLocks { next: old.next, ..ResolvedLocks::default() };
    let mut known: BTreeMap<(Timestamp, Bytes), TxnStatus> = BTreeMap::new();
    for (key, lock) in old.locks {
        step.found += 1;
        let transaction = (lock.start_ts, lock.primary);
        let status = match known.get(&transaction) {
            Some(status) => status.clone(),
            None => {
                let (start_ts, primary) = &transaction;
                let status = resolve::what_became(client, *start_ts, primary).await?;
                known.insert(transaction, status.clone());
                status
            }
        };
        let finished = resolve::finish_key(client, &key, lock.start_ts, &status).await?;
        step.resolved += u64::from(finished);
    }
    Ok(step)
}

/// Has the locks of large transactions finished that began before `before` and are decided.
async fn finish_old_large(
    client: &dyn ShardClient,
    shard: &Shard,
    before: Timestamp,
) -> Result<()> {
    for (start_ts, primary) in shard.old_large(before).await? {
        let commit_ts = match resolve::what_became(client, start_ts, &primary).await? {
            TxnStatus::Committed { commit_ts } => Some(commit_ts),
            TxnStatus::RolledBack | TxnStatus::Forgotten => None,
            TxnStatus::Alive | TxnStatus::Open | TxnStatus::Prewritten { .. } => continue,
        };
        let route = client.data_shards()?.into_iter().find(|route| route.shard == shard.id());
        if let Some(route) = route {
            resolve::have_finished(client, route, start_ts, &primary, commit_ts).await;
        }
    }
    Ok(())
}

/// The start before which nobody asks for a transaction's record any more, at most `before`. Every shard refuses new
/// locks of transactions that began before `before` from now on.
///
/// # Errors
/// `NotServing`, `Unavailable` and the like when a shard does not answer: then nothing is known.
pub async fn record_limit(client: &dyn ShardClient, before: Timestamp) -> Result<Timestamp> {
    let mut moves = Moves::default();
    loop {
        // Any key of its tables tells where the meta shard is.
        let meta = client.locate(&engine::key::table_prefix(TableId(0)))?;
        let mut shards = client.data_shards()?;
        shards.push(meta);
        let answers: Vec<_> =
            shards.into_iter().map(|route| no_lock_before(client, route, before)).collect();
        let limit = stream::iter(answers)
            .buffer_unordered(limits::OLDEST_LOCK_ASKED_AT_ONCE)
            .try_fold(before, async |limit: Timestamp, answer| Ok(limit.min(answer)))
            .await;
        match limit {
            // It was split: its child has to be asked, too.
            Err(Error::Moved { shard }) => moves.again(shard)?,
            limit => return limit,
        }
    }
}

/// Before this start no lock stands on a shard, and none will.
async fn no_lock_before(
    client: &dyn ShardClient,
    route: Route,
    before: Timestamp,
) -> Result<Timestamp> {
    match client.read(route, ReadRequest::OldestLock { before }).await? {
        ReadResponse::OldestLock { floor, .. }
            if defect::active("records-collected-before-locks") =>
        {
            Ok(floor)
        }
        ReadResponse::OldestLock { floor, oldest } => {
            Ok(oldest.map_or(floor, |oldest| floor.min(oldest)))
        }
        ReadResponse::Values(_) | ReadResponse::Page { .. } | ReadResponse::Changed { .. } => {
            Err(wrong_answer(route.shard))
        }
    }
}
