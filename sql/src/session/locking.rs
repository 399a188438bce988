//! Row locks of statements: who waits for whom, and which version a locking statement sees.
//!
//! ```text
//! rows found at the read point ──lock──> newer version there, or waited? ─┬─ no:  go on
//!                                                                         └─ yes: newer read point ─> statement again
//! ```
//!
//! A wait counts even when the row is the same afterwards: whoever held it may have changed other rows, and a lock is
//! taken to see those.
//!
//! | transaction                          | newer read point                                     |
//! |---|---|
//! | READ COMMITTED, one statement        | a fresh one                                          |
//! | REPEATABLE READ, SERIALIZABLE        | moves to now if nothing it has read has changed, else 1213 |
//! | REPEATABLE READ, `innodb_snapshot_isolation=OFF` | for this statement only; plain reads stay |
//!
//! Locks that a statement took stay when it is run again, so it meets each row's change once.
//!
//! What a transaction has read is what it was told. So a statement that ends with 3572 or 1205 has read nothing, and one that
//! skips locked rows has read those that it has locked: the others may change without keeping the read point where it is.
//!
//! Not here: which rows (`dml`, `locking_read`), lines and deadlocks (`txn::row_locks`).

use crate::context::EvalContext;
use crate::session::transaction::SharedTransaction;
use crate::{Error, Result};
use base::limits::CANCEL_LOOK;
use bytes::Bytes;
use std::time::Duration;
use txn::command::{LockMode, LockedKey, Patience};
use txn::{RowLock, Transaction};

/// How a transaction's locking statements come to see the newest versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteView {
    /// Each statement has a read point of its own.
    Fresh,
    /// The transaction's read point moves, as long as it stays one snapshot.
    Advance,
    /// The statement reads at the newest point, the transaction's plain reads do not.
    Newest,
}

/// How the statement at hand locks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Locking {
    /// Strength and patience.
    pub(crate) lock: RowLock,
    /// What happens at a row that has changed.
    pub(crate) view: WriteView,
}

impl Locking {
    /// What a statement that writes takes.
    pub(crate) fn exclusive(view: WriteView, wait: Duration) -> Locking {
        let lock = RowLock { mode: LockMode::Exclusive, patience: Patience::Wait(wait) };
        Locking { lock, view }
    }

    /// Whether rows that somebody else holds are passed over.
    pub(crate) fn skips(&self) -> bool {
        self.lock.patience == Patience::Skip
    }

    /// Chooses the statement's read point, before it looks for rows other than by their keys.
    pub(crate) async fn begin(&self, txn: &SharedTransaction) -> Result<()> {
        let mut txn = txn.lock().await;
        match self.view {
            WriteView::Fresh => {}
            // What was read may have changed; then rows that changed as well are refused when they are locked.
            WriteView::Advance => {
                txn.advance().await?;
            }
            WriteView::Newest => txn.read_newest().await?,
        }
        Ok(())
    }

    /// Chooses a newer read point after the stale marker, for the statement to be run again; `false` when the transaction
    /// cannot have one and would need it. What the statement itself has read does not count: it is read again.
    pub(crate) async fn renew(&self, txn: &SharedTransaction, stale: &Error) -> Result<bool> {
        let mut txn = txn.lock().await;
        txn.read_at_read_point();
        match self.view {
            WriteView::Fresh => {
                txn.unpin();
                Ok(true)
            }
            WriteView::Advance => {
                txn.forget_reads();
                // A row that was only waited for is the same at the old point.
                Ok(txn.advance().await? || stale.code == WAITED)
            }
            WriteView::Newest => Ok(true),
        }
    }

    /// Locks keys and checks that they are what the statement has read of them; the outcome of each.
    ///
    /// # Errors
    /// 1205, 1213, 3572, 1317; the stale marker when a row has changed since.
    pub(crate) async fn take(
        &self,
        txn: &mut Transaction,
        keys: &[Bytes],
        ctx: &EvalContext,
    ) -> Result<Vec<LockedKey>> {
        let outcomes = self.take_any(txn, keys, ctx).await?;
        check_fresh(txn, keys, &outcomes)?;
        Ok(outcomes)
    }

    /// Locks rows that are found by their keys before they are read, so that nothing can change in between, and chooses
    /// the statement's read point; the outcome of each.
    ///
    /// # Errors
    /// As [`Locking::take`].
    pub(crate) async fn take_points(
        &self,
        txn: &SharedTransaction,
        keys: &[Bytes],
        ctx: &EvalContext,
    ) -> Result<Vec<LockedKey>> {
        let mut txn = txn.lock().await;
        let outcomes = self.take_any(&mut txn, keys, ctx).await?;
        txn.guard_absent(keys);
        match self.view {
            WriteView::Newest => txn.read_newest().await?,
            WriteView::Fresh | WriteView::Advance => check_fresh(&txn, keys, &outcomes)?,
        }
        Ok(outcomes)
    }

    /// Locks keys, whatever was read of them.
    pub(crate) async fn take_any(
        &self,
        txn: &mut Transaction,
        keys: &[Bytes],
        ctx: &EvalContext,
    ) -> Result<Vec<LockedKey>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut locked = std::pin::pin!(txn.lock(keys, self.lock));
        loop {
            match tokio::time::timeout(CANCEL_LOOK, &mut locked).await {
                Ok(outcomes) => return Ok(outcomes?),
                // KILL ends the wait.
                Err(_) => ctx.check_cancel()?,
            }
        }
    }
}

/// Checks that locked keys are what was read of them.
fn check_fresh(txn: &Transaction, keys: &[Bytes], outcomes: &[LockedKey]) -> Result<()> {
    for (key, outcome) in keys.iter().zip(outcomes) {
        txn.check_fresh(key, *outcome)?;
    }
    Ok(())
}

/// Whether a key exists now: the transaction's own write of it, else what was found when it was locked.
pub(crate) fn exists(txn: &Transaction, key: &[u8], outcome: LockedKey) -> bool {
    match (txn.own_write(key), outcome) {
        (Some(own), _) => own.is_some(),
        (None, LockedKey::Held { exists, .. } | LockedKey::Own { exists }) => exists,
        (None, LockedKey::Skipped) => false,
    }
}

/// The codes of the markers below; no client ever sees them.
const STALE: u16 = u16::MAX;
const WAITED: u16 = u16::MAX - 1;
const MUST_LOCK: u16 = u16::MAX - 2;

impl Error {
    /// A row has changed between the look and the lock, or was waited for: the statement is run again.
    pub(crate) fn stale(changed: bool) -> Error {
        let message = "a row has changed; the statement must be run again".into();
        Error { code: if changed { STALE } else { WAITED }, sqlstate: "HY000", message }
    }

    /// A statement that locks nothing has met rows which it must lock: it is run again, locking.
    pub(crate) fn must_lock() -> Error {
        let message = "the statement must lock what it looks at".into();
        Error { code: MUST_LOCK, sqlstate: "HY000", message }
    }

    /// Whether it is that marker.
    pub(crate) fn is_must_lock(&self) -> bool {
        self.code == MUST_LOCK
    }

    /// Whether it is the stale marker.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self.code, STALE | WAITED)
    }

    /// Whether a statement ended with it because others hold a row: it has told nothing of any row.
    pub(crate) fn is_lock_refused(&self) -> bool {
        [Error::lock_not_available().code, Error::lock_wait_timeout().code].contains(&self.code)
    }

    /// The marker where nothing can be run again: a conflict.
    pub(crate) fn stale_as_deadlock(self) -> Error {
        if self.is_stale() { Error::deadlock() } else { self }
    }
}
