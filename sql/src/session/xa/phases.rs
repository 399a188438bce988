//! The two phases of an XA transaction: how it becomes prepared, and how it ends.
//!
//! ```text
//! prepare:  locks with an expiry ─> record ─> locks without an expiry ─> answer
//! settle:   decision in the record ─> commit or rollback ─> record removed ─> answer
//! ```
//!
//! Locks without an expiry stand only where a record says how to end them. A node that dies before that leaves locks
//! that expire, and perhaps a record of a transaction that others have rolled back: XA COMMIT finds that out, answers
//! 1402 and removes it.
//!
//! The record decides, not who comes first to the shards: XA COMMIT and XA ROLLBACK of one name at once write their
//! decision into it, the second finds the first one's, helps to carry it out and answers what has come of it. Every step
//! can be repeated, by any session of any node, as long as the record stands: until it is removed, no shard forgets what
//! became of a transaction that was prepared when the record was written (`oldest_prepared`).

use super::record::{self, Decision, XaRecord};
use crate::ast::Xid;
use crate::session::transaction::SharedTransaction;
use crate::{Error, Result};
use base::Timestamp;
use std::sync::Arc;
use txn::{PreparedTransaction, ShardClient};

/// How a prepared transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its writes are visible.
    Committed,
    /// It has done nothing.
    RolledBack,
}

/// Why a phase was not completed.
pub(super) struct Failure {
    /// What the client is told.
    pub(super) answer: Error,
    /// Why, when that is something else.
    pub(super) cause: Option<Error>,
}

impl Failure {
    /// The transaction was certainly rolled back.
    pub(super) fn rolled_back(cause: Error) -> Failure {
        Failure { answer: Error::xa_lost(&cause), cause: Some(cause) }
    }

    /// Whether another transaction has the name.
    pub(super) fn is_duplicate(&self) -> bool {
        self.cause.as_ref().is_some_and(|cause| cause.code == Error::xa_duplicate().code)
    }

    /// Nothing was decided: the statement's own error.
    fn undecided(error: Error) -> Failure {
        Failure { answer: error, cause: None }
    }

    /// It is decided, and what remains is done when the statement is repeated.
    fn unfinished(cause: Error) -> Failure {
        Failure { answer: Error::xa_retry(), cause: Some(cause) }
    }

    /// It may be prepared or not.
    fn unknown(cause: Error) -> Failure {
        let answer = Error::outcome_unknown(
            "XA PREPARE was not confirmed; XA RECOVER shows whether it was prepared, XA ROLLBACK undoes it",
        );
        Failure { answer, cause: Some(cause) }
    }
}

/// First phase. `record` has no locks yet.
pub(super) async fn prepare(
    client: &Arc<dyn ShardClient>,
    transaction: &SharedTransaction,
    mut record: XaRecord,
) -> std::result::Result<(), Failure> {
    let prepared = transaction.lock().await.prepare().await;
    let prepared = match prepared {
        Ok(prepared) => prepared,
        // The statement saw the key absent, so somebody else added it since: a conflict.
        Err(txn::Error::AlreadyExists { .. }) => {
            return Err(Failure::rolled_back(Error::deadlock()));
        }
        // What was locked before the error is unlocked, or expires: no record says that it may commit.
        Err(error) => return Err(Failure::rolled_back(error.into())),
    };
    match keep(client, &mut record, prepared.as_ref()).await {
        Ok(()) => Ok(()),
        Err(cause) => Err(undo(client, &record, prepared.as_ref(), cause).await),
    }
}

/// Writes the record, then takes the expiry from the locks.
async fn keep(
    client: &Arc<dyn ShardClient>,
    record: &mut XaRecord,
    prepared: Option<&PreparedTransaction>,
) -> Result<()> {
    record::insert(client, record, prepared).await?;
    match prepared {
        Some(prepared) => Ok(txn::hold_prepared(client, prepared).await?),
        None => Ok(()),
    }
}

/// Rolls back what could not be kept.
async fn undo(
    client: &Arc<dyn ShardClient>,
    record: &XaRecord,
    prepared: Option<&PreparedTransaction>,
    cause: Error,
) -> Failure {
    match settle(client, &record.xid, Some(record.id), Decision::RollBack).await {
        Ok(Some(Ending::RolledBack)) => Failure::rolled_back(cause),
        // Somebody has seen the record and committed it before it was answered.
        Ok(Some(Ending::Committed)) => Failure::unknown(cause),
        Ok(None) => {
            let undone = match prepared {
                Some(prepared) => txn::roll_back_prepared(client, prepared).await,
                None => Ok(()),
            };
            match undone {
                Ok(()) => Failure::rolled_back(cause),
                // No record names its locks, and none ever will: they expire.
                Err(_) if cause.code == Error::xa_duplicate().code => Failure::rolled_back(cause),
                Err(error) => Failure::unknown(error.into()),
            }
        }
        Err(failure) => Failure::unknown(failure.cause.unwrap_or(failure.answer)),
    }
}

/// Second phase: ends a transaction as it was decided before, or as is wanted now. `None` when there is none of this
/// name (and, if it is given, of this id).
pub(super) async fn settle(
    client: &Arc<dyn ShardClient>,
    xid: &Xid,
    id: Option<Timestamp>,
    wanted: Decision,
) -> std::result::Result<Option<Ending>, Failure> {
    let decided = record::decide(client, xid, id, wanted).await.map_err(Failure::undecided)?;
    let Some((record, prepared)) = decided else { return Ok(None) };
    let decision = record.decision.unwrap_or(wanted);
    let ending = carry_out(client, &record, decision, prepared.as_ref()).await;
    let ending = ending.map_err(Failure::unfinished)?;
    record::remove(client, &record).await.map_err(Failure::unfinished)?;
    Ok(Some(ending))
}

/// Commits or rolls back. Repeating it changes nothing.
async fn carry_out(
    client: &Arc<dyn ShardClient>,
    record: &XaRecord,
    decision: Decision,
    prepared: Option<&PreparedTransaction>,
) -> Result<Ending> {
    match (decision, prepared) {
        (Decision::Commit, None) => Ok(Ending::Committed),
        (Decision::RollBack, None) => Ok(Ending::RolledBack),
        (Decision::Commit, Some(prepared)) => match txn::commit_prepared(client, prepared).await {
            Ok(_) => Ok(Ending::Committed),
            // Its locks expired before their expiry was taken away.
            Err(txn::Error::RolledBack { .. }) => {
                txn::roll_back_prepared(client, prepared).await?;
                Ok(Ending::RolledBack)
            }
            // While the record stands nothing is forgotten, but what had expired and was rolled back before it was
            // written. Without it, somebody else has ended the transaction.
            Err(error @ txn::Error::Forgotten { .. }) => {
                match record::stands(client, record).await? {
                    true => Ok(Ending::RolledBack),
                    false => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        },
        (Decision::RollBack, Some(prepared)) => {
            match txn::roll_back_prepared(client, prepared).await {
                // Nobody has ever committed what is decided to be rolled back.
                Ok(()) | Err(txn::Error::Forgotten { .. }) => Ok(Ending::RolledBack),
                Err(error) => Err(error.into()),
            }
        }
    }
}
