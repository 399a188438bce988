//! Which statement is done by whom.
//!
//! One arm per statement; what defines something ends the open transaction first and goes to `ddl`.

use super::Diagnostics;
use crate::ast::{self, Statement};
use crate::catalog::table_locks::Change;
use crate::program::condition::Condition;
use crate::session::Outcome;
use crate::session::connection::Session;
use crate::session::replica_read::only_select;
use crate::value::Value;
use crate::{Error, Result, ddl, show};

impl Session {
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
        let met = match statement {
            Statement::Program(program) if program.is_about_conditions() => {
                self.diagnostics.list().iter().map(Condition::of_warning).collect()
            }
            _ => Vec::new(),
        };
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
            Statement::Call { name, args } => self.call_statement(name, args, params).await,
            Statement::Program(program) if program.is_about_conditions() => {
                self.signal_statement(statement, met).await
            }

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

            Statement::CreateTable(create) if create.temporary => {
                Box::pin(ddl::temporary::create(self, create, params)).await
            }
            Statement::CreateTableLike(create) if create.temporary => {
                ddl::temporary::create_like(self, create).await?;
                self.done()
            }
            Statement::DropTable(drop) if drop.temporary => {
                ddl::temporary::drop(self, drop).await?;
                self.done()
            }
            Statement::CreateTable(create) if create.query.is_some() => {
                self.commit_open().await?;
                self.check_writable()?;
                self.table_locks.check_changes()?;
                Box::pin(ddl::create_select::run(self, create, params)).await
            }
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
            | Statement::View(_)
            | Statement::Program(_)
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
