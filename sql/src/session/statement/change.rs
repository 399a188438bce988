//! Statements that change rows: attempts, locks, undo and commit.
//!
//! ```text
//! transaction open:    savepoint ─ statement, locking ─┬─ ok: release
//!                                    ▲                   ├─ a row has changed: undo the statement, newer read point
//!                                    └───────────────────┤        at most CONFLICT_RETRIES_MAX
//!                                                        ├─ error: undo the statement
//!                                                        ├─ deadlock: undo the transaction, 1213
//!                                                        └─ cannot be undone alone: undo the transaction, 9010
//! autocommit:          own transaction ─ statement ─ commit ─┬─ ok
//!                                             ▲              └─ conflict: again, locking
//!                                             └────────────────────┘ at most CONFLICT_RETRIES_MAX
//! ```
//!
//! An autocommit statement locks nothing at first: most meet nobody, and the shard checks what they have read when
//! they commit. One that met somebody stands in line like the others, and one whose rows have foreign keys from the start.
//!
//! Not here: what a statement changes (`dml`).

use super::{StatementContext, is_conflict};
use crate::ast::{IsolationLevel, Statement};
use crate::dml::{self, Changes};
use crate::session::connection::Session;
use crate::session::locking::{Locking, WriteView};
use crate::session::transaction::SharedTransaction;
use crate::session::{OkResult, Outcome};
use crate::value::Value;
use crate::{Error, Result};
use base::limits::CONFLICT_RETRIES_MAX;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use txn::Transaction;
use txn::transaction::Mode;

impl Session {
    /// INSERT, UPDATE, DELETE in the open transaction, or as a transaction of its own.
    pub(crate) async fn run_change(
        &mut self,
        statement: &Statement,
        params: Vec<Value>,
    ) -> Result<Outcome> {
        if !self.changes_temporary(statement) {
            self.check_writable()?;
        }
        let ignore = match statement {
            Statement::Insert(insert) => insert.ignore,
            Statement::Update(update) => update.ignore,
            Statement::Delete(delete) => delete.ignore,
            _ => false,
        };
        let inside = self.statement_transaction().await?;
        let mark = self.temporary.mark();
        let changes = match &inside {
            Some(txn) => self.change_inside(statement, params, ignore, txn).await,
            None => self.change_alone(statement, params, ignore).await,
        };
        if changes.is_err() {
            self.temporary.undo_to(mark);
        } else if inside.is_none() {
            self.temporary.keep();
        }
        Ok(self.finish_change(changes?))
    }

    /// The numbers and texts that a change leaves behind.
    pub(crate) fn finish_change(&mut self, changes: Changes) -> Outcome {
        let affected = changes.affected(self.info.found_rows);
        // LAST_INSERT_ID(expr) counts when no value was generated.
        let set = self.diagnostics.context.as_ref().map(|ctx| &ctx.last_insert_id_set);
        let set = set.map(|id| id.load(Ordering::Relaxed)).filter(|id| *id != u64::MAX);
        if let Some(id) = changes.first_id.or(set) {
            self.variables.set_last_insert_id(id);
        }
        self.variables.set_row_count(affected as i64);
        let inserted = changes.explicit_id.filter(|_| affected > 0);
        let warnings = self.diagnostics.count();
        Outcome::Ok(OkResult {
            affected_rows: affected,
            last_insert_id: changes.first_id.or(set).or(inserted).unwrap_or(0),
            info: changes.info(warnings),
        })
    }

    async fn change_inside(
        &mut self,
        statement: &Statement,
        params: Vec<Value>,
        ignore: bool,
        txn: &SharedTransaction,
    ) -> Result<Changes> {
        let mut attempt = 0;
        let mark = self.temporary.mark();
        txn.lock().await.mark_reads();
        loop {
            attempt += 1;
            self.temporary.undo_to(mark);
            // Warnings, NOW() and RAND() belong to the attempt that counts.
            let ctx = self.dml_context(params.clone(), ignore);
            let catalog = self.definitions().await?;
            let locking = self.exclusive_locking();
            let env = StatementContext { catalog, ctx, locking: Some(locking), with: None };
            let savepoint = txn.lock().await.savepoint();
            let result = dml::run(self, statement, &env, txn, dml::Check::Now).await;
            txn.lock().await.read_at_read_point();
            match result {
                Err(error) if error.is_table_blocked() && attempt < CONFLICT_RETRIES_MAX => {
                    undo(txn, savepoint).await;
                    self.wait_for_tables().await?;
                }
                Err(error) if error.is_stale() && attempt < CONFLICT_RETRIES_MAX => {
                    if !undo(txn, savepoint).await {
                        let error = Error::deadlock();
                        self.transaction.lose(&error);
                        return Err(error);
                    }
                    env.ctx.check_cancel()?;
                    if !locking.renew(txn, &error).await? {
                        let error = Error::deadlock();
                        self.transaction.lose(&error);
                        return Err(error);
                    }
                }
                Err(error) if error.is_lock_refused() => {
                    txn.lock().await.forget_reads();
                    return self.end_statement(txn, savepoint, Err(error)).await;
                }
                result => return self.end_statement(txn, savepoint, result).await,
            }
        }
    }

    /// How a statement that writes locks in the open transaction, or in one of its own.
    pub(crate) fn exclusive_locking(&self) -> Locking {
        let view = self.transaction.open().map_or(WriteView::Fresh, |open| open.view);
        Locking::exclusive(view, self.lock_wait())
    }

    /// `innodb_lock_wait_timeout`.
    pub(crate) fn lock_wait(&self) -> Duration {
        Duration::from_secs(self.variables.number("innodb_lock_wait_timeout"))
    }

    /// Keeps or undoes what a statement wrote inside a transaction; with rows that it has inserted go their locks.
    pub(crate) async fn end_statement(
        &mut self,
        txn: &SharedTransaction,
        savepoint: txn::transaction::Savepoint,
        result: Result<Changes>,
    ) -> Result<Changes> {
        let mut guard = txn.lock().await;
        match result {
            Ok(changes) => {
                guard.release(savepoint);
                drop(guard);
                changes.tables().for_each(|table| self.transaction.wrote(table));
                Ok(changes)
            }
            Err(error) => {
                let undone = guard.fail_statement(savepoint).await.is_ok();
                guard.release(savepoint);
                drop(guard);
                let error = error.stale_as_deadlock();
                if error.code == Error::deadlock().code {
                    self.transaction.lose(&error);
                    return Err(error);
                }
                if undone {
                    return Err(error);
                }
                let error = error.of_whole_transaction();
                self.transaction.lose(&error);
                Err(error)
            }
        }
    }

    async fn change_alone(
        &mut self,
        statement: &Statement,
        params: Vec<Value>,
        ignore: bool,
    ) -> Result<Changes> {
        let mut attempt = 0;
        let mark = self.temporary.mark();
        let mut txn = self.change_transaction();
        let mut locking = None;
        loop {
            attempt += 1;
            self.temporary.undo_to(mark);
            // Warnings, NOW() and RAND() belong to the attempt that counts.
            let ctx = self.dml_context(params.clone(), ignore);
            let catalog = self.instance.catalog.current().await?;
            let env = StatementContext { catalog, ctx, locking, with: None };
            let savepoint = txn.lock().await.savepoint();
            let check = match locking {
                None => dml::Check::AtCommit,
                Some(_) => dml::Check::Now,
            };
            let result = match dml::run(self, statement, &env, &txn, check).await {
                Ok(changes) => self.commit_alone(&txn, changes, &env).await,
                Err(error) => Err(error),
            };
            match result {
                Err(error) if error.is_table_blocked() && attempt < CONFLICT_RETRIES_MAX => {
                    self.wait_for_tables().await?;
                    txn = self.change_transaction();
                }
                Err(error) if error.is_stale() && attempt < CONFLICT_RETRIES_MAX => {
                    if undo(&txn, savepoint).await {
                        txn.lock().await.unpin();
                    } else {
                        txn = self.change_transaction();
                        locking = Some(Locking::exclusive(WriteView::Fresh, self.lock_wait()));
                    }
                }
                Err(error) if error.is_must_lock() && locking.is_none() => {
                    txn = self.change_transaction();
                    locking = Some(Locking::exclusive(WriteView::Fresh, self.lock_wait()));
                }
                Err(error) if is_conflict(&error) && attempt < CONFLICT_RETRIES_MAX => {
                    self.entry.uses.leave();
                    txn = self.change_transaction();
                    locking = Some(Locking::exclusive(WriteView::Fresh, self.lock_wait()));
                }
                other => return other.map_err(Error::stale_as_deadlock),
            }
            env.ctx.check_cancel()?;
        }
    }

    /// A transaction for one statement that changes rows.
    fn change_transaction(&self) -> SharedTransaction {
        let client = self.instance.config.client.clone();
        let txn = match self.variables.isolation() {
            IsolationLevel::Serializable => {
                Transaction::begin(client, Mode::Snapshot).serializable()
            }
            _ => Transaction::begin(client, Mode::Latest),
        };
        Arc::new(tokio::sync::Mutex::new(self.watched_alone(txn)))
    }

    /// Commits an autocommit statement and names the values of a duplicate key.
    pub(crate) async fn commit_alone(
        &mut self,
        txn: &SharedTransaction,
        changes: Changes,
        env: &StatementContext,
    ) -> Result<Changes> {
        if changes.table.is_some() {
            drop(self.instance.catalog.current().await?);
            if !changes.tables().all(|table| self.instance.catalog.may_commit(table)) {
                return Err(Error::deadlock());
            }
            let written: Vec<_> = changes.tables().map(|table| table.id).collect();
            self.check_forced(written).await?;
        }
        let (committed, identity) = {
            let mut txn = txn.lock().await;
            (txn.commit().await, txn.identity().cloned())
        };
        if committed.is_ok() {
            self.count_commit(identity.as_ref());
        }
        match committed {
            Ok(_) => Ok(changes),
            Err(txn::Error::AlreadyExists { key }) if changes.table.is_some() => {
                let Some(table) = changes.table_of(&key) else { return Err(Error::deadlock()) };
                if changes.is_generated_key(&key) {
                    // Somebody inserted a value by hand that this node would have generated later.
                    self.instance.auto_increment.forget(table.id);
                    return Err(Error::deadlock());
                }
                if changes.settles_duplicates {
                    // Somebody inserted the key after this statement looked; the next attempt sees it.
                    return Err(Error::deadlock());
                }
                let client = &self.instance.config.client;
                Err(dml::duplicate::describe(client, table, &key, &changes.rows, &env.ctx).await)
            }
            Err(error) => Err(self.instance.commit_error(error, identity, None).await),
        }
    }
}

/// Undoes what a statement has written; its locks stay. `false` when that could not be done alone: the whole transaction
/// was rolled back.
async fn undo(txn: &SharedTransaction, savepoint: txn::transaction::Savepoint) -> bool {
    let mut txn = txn.lock().await;
    let undone = txn.rollback_to(savepoint).is_ok();
    txn.release(savepoint);
    undone
}
