//! One statement from text or tree to outcome: dispatch, autocommit, warnings.
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
//! they commit. One that met somebody stands in line like the others.

use super::connection::Session;
use super::locking::{Locking, WriteView};
use super::replica_read::{hint_of, only_select};
use super::transaction::SharedTransaction;
use super::{OkResult, Outcome};
use crate::ast::{self, IsolationLevel, Statement};
use crate::catalog::table_locks::Change;
use crate::catalog::{Catalog, TableDef};
use crate::context::{EvalContext, Level, Warning};
use crate::dml::{self, Changes};
use crate::lexer::ParseMode;
use crate::value::Value;
use crate::{Error, Result, ddl, parser, show};
use base::limits::CONFLICT_RETRIES_MAX;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use txn::Transaction;
use txn::transaction::Mode;

/// Warnings of the last statement.
#[derive(Default)]
pub(crate) struct Diagnostics {
    /// Its context: a result that is still being read may add warnings.
    context: Option<Arc<EvalContext>>,
    /// The error it ended with.
    error: Option<Warning>,
}

impl Diagnostics {
    /// Warnings, notes and errors.
    pub(crate) fn count(&self) -> u64 {
        let warnings = self.context.as_ref().map_or(0, |ctx| ctx.warnings.count());
        warnings + u64::from(self.error.is_some())
    }

    /// Errors.
    pub(crate) fn errors(&self) -> u64 {
        self.list().iter().filter(|warning| warning.level == Level::Error).count() as u64
    }

    /// Where the statement leaves its warnings, once it has said so.
    pub(crate) fn current(&self) -> Option<Arc<EvalContext>> {
        self.context.clone()
    }

    /// All that were kept, in order.
    pub(crate) fn list(&self) -> Vec<Warning> {
        let mut list = self.context.as_ref().map_or_else(Vec::new, |ctx| ctx.warnings.to_vec());
        list.extend(self.error.clone());
        list
    }
}

/// What statements of the session's transaction need.
pub(crate) struct StatementContext {
    /// Definitions.
    pub(crate) catalog: Arc<Catalog>,
    /// Modes, parameters, warnings.
    pub(crate) ctx: Arc<EvalContext>,
    /// How it locks the rows it changes; `None` leaves conflicts to the commit.
    pub(crate) locking: Option<Locking>,
}

/// How a mode of reading text follows from sql_mode.
pub(crate) fn parse_mode(mode: crate::context::SqlMode) -> ParseMode {
    use crate::context::SqlMode;
    ParseMode {
        ansi_quotes: mode.contains(SqlMode::ANSI_QUOTES),
        pipes_as_concat: mode.contains(SqlMode::PIPES_AS_CONCAT),
        no_backslash_escapes: mode.contains(SqlMode::NO_BACKSLASH_ESCAPES),
        high_not_precedence: mode.contains(SqlMode::HIGH_NOT_PRECEDENCE),
        ignore_space: mode.contains(SqlMode::IGNORE_SPACE),
    }
}

impl Session {
    /// Marks the start of a command: the process list shows it, an old KILL QUERY is forgotten.
    pub(super) fn begin_command(&mut self, sql: Option<&str>) {
        self.instance.questions.fetch_add(1, Ordering::Relaxed);
        self.entry.stopped.store(false, Ordering::Release);
        self.entry.cancel.store(false, Ordering::Release);
        // A statement that was broken off may have left its own.
        self.part = None;
        let mut state = self.entry.state.lock();
        let text = sql.unwrap_or("Execute");
        match &mut state.statement {
            Some(statement) => {
                statement.clear();
                statement.push_str(text);
            }
            statement => *statement = Some(text.to_string()),
        }
        state.since = self.instance.config.clock.monotonic();
    }

    /// Marks the end of a command and keeps its error for SHOW WARNINGS.
    pub(super) fn end_command<T>(&mut self, result: Result<T>) -> Result<T> {
        self.settle_uses();
        self.invalid_literals = Vec::new();
        let result = result.map_err(Error::blocked_as_timeout);
        {
            let mut state = self.entry.state.lock();
            state.statement = None;
            state.since = self.instance.config.clock.monotonic();
        }
        if let Err(error) = &result {
            self.variables.set_row_count(-1);
            self.diagnostics.error = Some(Warning {
                level: Level::Error,
                code: error.code,
                message: error.message.clone(),
            });
        }
        result
    }

    /// A context for the next statement, which becomes the one that SHOW WARNINGS looks at.
    pub(crate) fn context(&mut self, params: Vec<Value>) -> Arc<EvalContext> {
        let mut ctx = self.variables.context(
            &self.info,
            self.database.as_deref(),
            params,
            &self.entry.cancel,
        );
        ctx.slots = self.part.clone();
        let ctx = Arc::new(ctx);
        self.watch(&ctx);
        ctx
    }

    /// A context in which bad values are errors as sql_mode says; IGNORE makes them warnings.
    pub(crate) fn dml_context(&mut self, params: Vec<Value>, ignore: bool) -> Arc<EvalContext> {
        let mut ctx = self.variables.context(
            &self.info,
            self.database.as_deref(),
            params,
            &self.entry.cancel,
        );
        ctx.strict_dml = ctx.sql_mode.is_strict() && !ignore;
        ctx.slots = self.part.clone();
        let ctx = Arc::new(ctx);
        self.watch(&ctx);
        ctx
    }

    fn watch(&mut self, ctx: &Arc<EvalContext>) {
        for literal in &self.invalid_literals {
            ctx.warn(literal.warning());
        }
        self.diagnostics = Diagnostics { context: Some(ctx.clone()), error: None };
    }

    /// The first statement of a text.
    pub(super) async fn execute_text(&mut self, sql: &str) -> (Result<Outcome>, Option<usize>) {
        let mode = parse_mode(self.variables.sql_mode());
        self.replica_hint = match hint_of(sql) {
            Ok(hint) => hint,
            Err(error) => {
                self.diagnostics = Diagnostics::default();
                return (Err(error), None);
            }
        };
        if let Some((result, consumed)) = self.execute_cached_text(sql, &mode).await {
            return (result, parser::rest_after(sql, consumed, &mode));
        }
        let (parsed, consumed) = parser::parse_one(sql, &mode);
        let rest = parser::rest_after(sql, consumed, &mode);
        match parsed {
            Ok(Some(statement)) => (self.run(&statement, Vec::new()).await, rest),
            Ok(None) => {
                self.diagnostics = Diagnostics::default();
                (Err(Error::empty_query()), rest)
            }
            Err(error) => {
                self.diagnostics = Diagnostics::default();
                (Err(error), None)
            }
        }
    }

    /// Runs any statement.
    pub(crate) async fn run(
        &mut self,
        statement: &Statement,
        params: Vec<Value>,
    ) -> Result<Outcome> {
        let counts = (self.diagnostics.count(), self.diagnostics.errors());
        self.variables.set_counts(counts.0, counts.1);
        if self.replica_hint.is_none()
            && let Statement::Show(
                ast::Show::Warnings(_)
                | ast::Show::Errors(_)
                | ast::Show::CountWarnings
                | ast::Show::CountErrors,
            ) = statement
        {
            return show::diagnostics(self, statement);
        }
        self.diagnostics = Diagnostics::default();
        if self.replica_hint.is_some() && !matches!(statement, Statement::Query(_)) {
            return Err(only_select(statement));
        }
        self.check_user_locks(statement).await?;
        match statement {
            Statement::Query(query) => self.run_query(query, params).await,
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
                self.run_change(statement, params).await
            }
            Statement::LoadData(load) => self.load_data(load).await,
            Statement::Do(exprs) => {
                self.evaluate(exprs, params).await?;
                self.done()
            }
            Statement::Call { name, .. } => Err(Error::unknown_procedure(name)),

            Statement::Use { database } => {
                self.use_database(database).await?;
                self.done()
            }
            Statement::Begin(begin) => {
                self.begin(begin, params).await?;
                self.done()
            }
            Statement::Commit(completion) => {
                self.commit(completion).await?;
                self.done()
            }
            Statement::Rollback(completion) => {
                self.rollback(completion).await?;
                self.done()
            }
            Statement::Savepoint(name) => {
                self.savepoint(name).await?;
                self.done()
            }
            Statement::RollbackTo(name) => {
                self.rollback_to(name).await?;
                self.done()
            }
            Statement::ReleaseSavepoint(name) => {
                self.release_savepoint(name).await?;
                self.done()
            }

            Statement::Xa(xa) => self.xa(xa).await,

            Statement::Set(items) => {
                self.set(items, params).await?;
                self.done()
            }
            Statement::Show(show) => show::run(self, show).await,
            Statement::Describe { table, column } => {
                show::describe(self, table, column.as_deref()).await
            }
            Statement::Explain(explain) => self.explain(explain, params).await,
            // Boxed: it runs the statement inside it.
            Statement::OnSets(on) => Box::pin(self.run_on_sets(on, params)).await,
            Statement::ChecksumCluster => show::checksum_cluster(self).await,
            Statement::AdminCheck(check) => show::admin_check(self, check).await,
            Statement::DdlJobs { action, jobs } => show::jobs::ask(self, *action, jobs).await,
            Statement::Help(_) => Err(Error::not_supported("HELP: see docs/ of the project")),

            Statement::Prepare { name, from } => {
                self.prepare_named(name, from).await?;
                self.done()
            }
            Statement::Execute { name, using } => {
                // A prepared EXECUTE of itself would recurse; the grammar of PREPARE refuses it.
                Box::pin(self.execute_named(name, using)).await
            }
            Statement::Deallocate(name) => {
                self.deallocate(name)?;
                self.done()
            }

            Statement::Kill { query_only, id } => {
                self.kill(*query_only, id, params).await?;
                self.done()
            }
            Statement::AlterNode { node, action, dry_run } => {
                show::alter_node(self, *node, *action, *dry_run).await
            }
            Statement::TransferLeader { shard, to } => {
                show::transfer_leader(self, *shard, *to).await
            }
            Statement::MoveReplica { shard, from, to } => {
                show::rebalance::move_replica(self, *shard, *from, *to).await
            }
            Statement::AlterRebalance(action) => show::rebalance::alter(self, *action).await,
            Statement::SplitShard { shard, at } => show::split_shard(self, *shard, *at).await,
            Statement::MergeShard { shard } => show::merge_shard(self, *shard).await,
            Statement::Flush(flush) => {
                self.transaction.check_no_xa()?;
                self.flush(flush).await
            }
            Statement::LockTables(locks) => {
                self.lock_tables(locks).await?;
                self.done()
            }
            Statement::UnlockTables => {
                self.unlock_tables().await?;
                self.done()
            }
            Statement::TableAdministration(what) => {
                // MySQL commits before all of them but CHECKSUM.
                if what.action != ast::AdministrationAction::Checksum {
                    self.transaction.check_no_xa()?;
                }
                show::administration(self, what).await
            }
            Statement::Grant(_) => Err(Error::not_supported(
                "GRANT: every account has all privileges today; CREATE USER is enough",
            )),
            Statement::Revoke(_) => Err(Error::not_supported(
                "REVOKE: every account has all privileges today; DROP USER removes one",
            )),
            Statement::Unsupported(unsupported) => Err(Error::not_supported(&unsupported.what)),

            Statement::CreateDatabase(_)
            | Statement::AlterDatabase(_)
            | Statement::DropDatabase { .. }
            | Statement::CreateTable(_)
            | Statement::CreateTableLike(_)
            | Statement::AlterTable(_)
            | Statement::DropTable(_)
            | Statement::TruncateTable { .. }
            | Statement::RenameTable(_)
            | Statement::CreateIndex(_)
            | Statement::DropIndex(_)
            | Statement::Sequence(_)
            | Statement::Placement(_)
            | Statement::Account(_) => {
                self.commit_open().await?;
                self.check_writable()?;
                self.table_locks.check_changes()?;
                if matches!(statement, Statement::Account(_)) {
                    self.table_locks.check_no_tables()?;
                }
                self.enter_changes(Change::New).await?;
                let outcome = ddl::run(self, statement).await?;
                self.variables.set_row_count(0);
                Ok(outcome)
            }
        }
    }

    fn done(&mut self) -> Result<Outcome> {
        self.variables.set_row_count(0);
        Ok(Outcome::done())
    }

    async fn flush(&mut self, flush: &ast::Flush) -> Result<Outcome> {
        match &flush.what {
            ast::FlushTarget::Tables { for_export: true, .. } => Err(Error::not_supported(
                "FLUSH TABLES … FOR EXPORT: there are no files of tables to copy; lock them with LOCK TABLES … READ \
                 and select their rows",
            )),
            ast::FlushTarget::Tables { tables, read_lock: true, .. } => {
                self.flush_with_read_lock(tables).await?;
                self.done()
            }
            ast::FlushTarget::Tables { .. } => self.done(),
            ast::FlushTarget::Options(options) => {
                options.iter().try_for_each(|option| check_flushed(option))?;
                self.done()
            }
        }
    }

    /// INSERT, UPDATE, DELETE in the open transaction, or as a transaction of its own.
    pub(crate) async fn run_change(
        &mut self,
        statement: &Statement,
        params: Vec<Value>,
    ) -> Result<Outcome> {
        self.check_writable()?;
        let ignore = match statement {
            Statement::Insert(insert) => insert.ignore,
            Statement::Update(update) => update.ignore,
            Statement::Delete(delete) => delete.ignore,
            _ => false,
        };
        let changes = match self.statement_transaction().await? {
            Some(txn) => self.change_inside(statement, params, ignore, &txn).await?,
            None => self.change_alone(statement, params, ignore).await?,
        };
        Ok(self.finish_change(changes))
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
        txn.lock().await.mark_reads();
        loop {
            attempt += 1;
            // Warnings, NOW() and RAND() belong to the attempt that counts.
            let ctx = self.dml_context(params.clone(), ignore);
            let catalog = self.definitions().await?;
            let locking = self.exclusive_locking();
            let env = StatementContext { catalog, ctx, locking: Some(locking) };
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
                if let Some(table) = &changes.table {
                    self.transaction.wrote(table);
                }
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
        let mut txn = self.change_transaction();
        let mut locking = None;
        loop {
            attempt += 1;
            // Warnings, NOW() and RAND() belong to the attempt that counts.
            let ctx = self.dml_context(params.clone(), ignore);
            let catalog = self.instance.catalog.current().await?;
            let env = StatementContext { catalog, ctx, locking };
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
        if let Some(table) = &changes.table {
            drop(self.instance.catalog.current().await?);
            if !self.instance.catalog.may_commit(table) {
                return Err(Error::deadlock());
            }
            self.check_forced([table.id]).await?;
        }
        let (committed, identity) = {
            let mut txn = txn.lock().await;
            (txn.commit().await, txn.identity().cloned())
        };
        if committed.is_ok() {
            self.count_commit(identity.as_ref());
        }
        match (committed, &changes.table) {
            (Ok(_), _) => Ok(changes),
            (Err(txn::Error::AlreadyExists { key }), Some(table)) => {
                let table: &Arc<TableDef> = table;
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
            (Err(error), _) => Err(self.instance.commit_error(error, identity, None).await),
        }
    }
}

/// Whether FLUSH of this has nothing to do: logs are always written through, accounts always current, hosts not
/// remembered.
fn check_flushed(option: &str) -> Result<()> {
    match option {
        "PRIVILEGES" | "STATUS" | "HOSTS" | "USER_RESOURCES" | "LOGS" | "BINARY LOGS"
        | "ENGINE LOGS" | "ERROR LOGS" | "GENERAL LOGS" | "SLOW LOGS" => Ok(()),
        "RELAY LOGS" => Err(Error::not_supported(
            "FLUSH RELAY LOGS: there are none, because the cluster replicates by itself; leave it out",
        )),
        "OPTIMIZER_COSTS" => Err(Error::not_supported(
            "FLUSH OPTIMIZER_COSTS: there are no tables of costs to read again; leave it out",
        )),
        _ => Err(Error::not_supported(format!("FLUSH {option}: there is no such thing to flush"))),
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

impl Error {
    /// The error of a statement that took its whole transaction with it.
    pub(crate) fn of_whole_transaction(self) -> Error {
        if self.code == Error::transaction_undone("").code {
            return self;
        }
        Error::transaction_undone(format!(" What failed: error {}, {}", self.code, self.message))
    }
}

/// Whether a statement lost against another transaction and did nothing.
pub(crate) fn is_conflict(error: &Error) -> bool {
    error.code == 1213
}
