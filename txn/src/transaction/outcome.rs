//! What became of a commit whose outcome nobody knows.
//!
//! ```text
//!  one shard:       SettleNow at the primary ─┬─ its version is there          ─► committed
//!                                             ├─ not there: refused from now on ─► rolled back
//!                                             └─ may have been dropped          ─► forgotten
//!  several shards:  status of the primary ────┬─ a record                       ─► committed, rolled back
//!                                             └─ a lock of a live coordinator   ─► running
//! ```
//!
//! Invariants:
//! 1. *Committed* and *rolled back* are final: whatever is still under way cannot change them.
//! 2. Where that cannot be known, the answer is *forgotten*.

use super::owners::write_at;
use super::{resolve, wrong_answer};
use crate::command::{CommitId, TxnStatus, WriteRequest, WriteResponse};
use crate::shard_client::ShardClient;
use crate::{Error, Result};
use base::{ShardId, Timestamp};
use bytes::Bytes;
use std::sync::Arc;

/// By what a commit is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It was to be one entry of one shard.
    OneShard {
        /// Its number and its time.
        id: CommitId,
        /// The first key that it changes.
        primary: Bytes,
    },
    /// It has two phases.
    SeveralShards {
        /// Identity of its locks.
        start_ts: Timestamp,
        /// The key whose lock decides it.
        primary: Bytes,
    },
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Its writes are visible.
    Committed {
        /// Since then.
        commit_ts: Timestamp,
    },
    /// It has done nothing and never will.
    RolledBack,
    /// Its coordinator may still be at work; its locks tell, once they have expired.
    Running,
    /// It was so long ago that nobody knows.
    Forgotten,
}

/// Asks what became of a commit. One that was not executed never will be, once the answer is `RolledBack`.
///
/// # Errors
/// `Unavailable` and the like: ask again.
pub async fn settle(client: &Arc<dyn ShardClient>, identity: &Identity) -> Result<Settled> {
    match ask(&**client, identity).await {
        Ok(TxnStatus::Committed { commit_ts }) => Ok(Settled::Committed { commit_ts }),
        Ok(TxnStatus::RolledBack) => Ok(Settled::RolledBack),
        Ok(TxnStatus::Alive | TxnStatus::Open | TxnStatus::Prewritten { .. }) => {
            Ok(Settled::Running)
        }
        Ok(TxnStatus::Forgotten) => Ok(Settled::Forgotten),
        Err(Error::OutcomeUnknown { shard }) => Err(unconfirmed(shard)),
        Err(error) => Err(error),
    }
}

async fn ask(client: &dyn ShardClient, identity: &Identity) -> Result<TxnStatus> {
    match identity {
        Identity::OneShard { id, primary } => {
            let question = WriteRequest::SettleNow { id: *id, primary: primary.clone() };
            match write_at(client, primary, question).await? {
                (_, WriteResponse::Status(status)) => Ok(status),
                (shard, WriteResponse::Done { .. } | WriteResponse::Counter(_)) => {
                    Err(wrong_answer(shard))
                }
            }
        }
        Identity::SeveralShards { start_ts, primary } => {
            resolve::what_became(client, *start_ts, primary).await
        }
    }
}

/// The error for a question that may have been executed or not.
fn unconfirmed(shard: ShardId) -> Error {
    let what = "it has not confirmed in time what became of the transaction; ask again".into();
    Error::Unavailable { shard, what }
}
