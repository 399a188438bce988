//! Queries of a session: point plans first, then binder and operators; SET and the like, which evaluate
//! expressions; EXPLAIN.

use super::connection::Session;
use super::found_rows;
use super::locking::WriteView;
use super::statement::{StatementContext, is_conflict};
use super::transaction::SharedTransaction;
use super::variables::Effect;
use super::{ColumnMeta, Outcome, RowSource};
use crate::ast::{self, ExplainTarget, IntoTarget, SelectInto, SetItem, SetValue, Statement};
use crate::binder::view::WITHIN;
use crate::binder::{self, BindContext, BoundQuery, Scope, Sources};
use crate::catalog::information_schema::SystemTables;
use crate::catalog::table_locks::Change;
use crate::catalog::{Catalog, TableDef};
use crate::context::EvalContext;
use crate::dml::bind;
use crate::locking_read::{self, Clause};
use crate::point_plan::PointSelect;
use crate::value::{Row, Value};
use crate::{Error, Result, ddl, exec, planner};
use base::TableId;
use base::limits::CONFLICT_RETRIES_MAX;
use futures::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use txn::Transaction;
use txn::command::LockMode;
use txn::transaction::Mode;

impl Session {
    /// Runs SELECT, UNION and the like.
    pub(crate) async fn run_query(
        &mut self,
        query: &ast::Query,
        params: Vec<Value>,
    ) -> Result<Outcome> {
        let rewritten = self.run_user_locks(query, &params).await?;
        let query = rewritten.as_ref().unwrap_or(query);
        let numbered = self.run_sequence_calls(query, &params).await?;
        let query = numbered.as_ref().unwrap_or(query);
        if let Some(SelectInto::Outfile { .. } | SelectInto::Dumpfile(_)) = &query.into {
            return Err(Error::no_files_of_server());
        }
        let whole = found_rows::without_limit(query);
        let (query, limit) = match &whole {
            Some((query, limit)) => (query, Some(limit)),
            None => (query, None),
        };
        loop {
            let catalog = self.definitions().await?;
            let ctx = self.context(params.clone());
            let mut env = StatementContext { catalog, ctx, locking: None, with: None };
            let bound = self.bind_in_time(query, &mut env).await?;
            match self.enter_query(query, &bound) {
                Ok(()) => self.check_snapshot(&bound.sources).await?,
                // Whoever has locked the tables may change their definitions: they are bound again.
                Err(error) if error.is_table_blocked() => {
                    self.wait_for_tables().await?;
                    continue;
                }
                Err(error) => {
                    if is_conflict(&error) && self.transaction.is_open() {
                        self.transaction.lose(&error);
                    }
                    return Err(error);
                }
            }
            let outcome = match PointSelect::of(query, &bound, &env.ctx)? {
                Some(plan) => self.run_point_select(&plan, &env).await?,
                None => self.run_bound((query, limit), &bound, &env).await?,
            };
            return Ok(self.using_tables(outcome));
        }
    }

    /// Notes the tables that a query uses, and checks that it may.
    fn enter_query(&self, query: &ast::Query, bound: &BoundQuery) -> Result<()> {
        let sources = &bound.sources;
        self.check_mentioned_once(sources)?;
        let exclusive = query.locks.iter().any(|lock| lock.strength == ast::LockStrength::Update);
        self.enter_sources(sources, exclusive)
    }

    /// 1100 when a query mentions a name of a locked table twice: as in MySQL, each lock is good for one mention.
    fn check_mentioned_once(&self, sources: &Sources) -> Result<()> {
        if self.table_locks.tables_owner().is_some() {
            let names = sources.tables.iter().zip(&sources.names);
            // Tables of a view were locked with it, as often as it names them.
            let mut names = names.filter(|(_, name)| !name.contains(WITHIN));
            let twice = |(table, name): (&Arc<TableDef>, &String)| {
                let same = sources.tables.iter().zip(&sources.names);
                same.filter(|(t, n)| t.database == table.database && *n == name).count() > 1
            };
            if let Some((_, name)) = names.find(|source| twice(*source)) {
                return Err(Error::table_not_locked(name));
            }
        }
        Ok(())
    }

    /// Whether this session's own locks allow to plan a query: else 1100.
    fn check_own_locks(&self, sources: &Sources) -> Result<()> {
        if !sources.points.is_empty() {
            return Ok(());
        }
        self.check_mentioned_once(sources)?;
        let mut named = sources.tables.iter().zip(&sources.names);
        named.try_for_each(|(table, name)| {
            self.table_locks.check_table(&table.database, name, false)
        })
    }

    /// Binds a query for its columns or plan; tables of what runs in the cluster have no rows in it.
    pub(crate) fn bind(&self, query: &ast::Query, env: &StatementContext) -> Result<BoundQuery> {
        self.bind_over(query, env, &self.virtual_tables(&env.catalog))
    }

    /// Binds a query that will run.
    pub(crate) async fn bind_to_run(
        &self,
        query: &ast::Query,
        env: &StatementContext,
    ) -> Result<BoundQuery> {
        let tables = self.virtual_tables(&env.catalog);
        let warnings = env.ctx.warnings.count();
        let bound = self.bind_over(query, env, &tables)?;
        if !tables.is_incomplete() {
            return Ok(bound);
        }
        env.ctx.warnings.forget_after(warnings);
        let tables = tables.completed(&env.ctx).await?;
        self.bind_over(query, env, &tables)
    }

    fn bind_over(
        &self,
        query: &ast::Query,
        env: &StatementContext,
        tables: &SystemTables,
    ) -> Result<BoundQuery> {
        let database = self.default_database().as_deref().map(str::to_string);
        let warnings = env.ctx.warnings.count();
        let bind_once = || {
            let mut bind = BindContext::new(env.catalog.clone(), database.clone(), &env.ctx)
                .with_virtual_tables(tables);
            binder::bind_query(query, &mut bind)
        };
        let bound = bind_once()?;
        if !env.ctx.found_user_types() {
            return Ok(bound);
        }
        env.ctx.warnings.forget_after(warnings);
        bind_once()
    }

    /// Runs a bound query. A limit beside it cuts its rows after they were counted.
    async fn run_bound(
        &mut self,
        (query, limit): (&ast::Query, Option<&ast::Limit>),
        bound: &BoundQuery,
        env: &StatementContext,
    ) -> Result<Outcome> {
        if bound.calc_found_rows {
            env.ctx.warn(Error::deprecated_calc_found_rows());
        }
        let locks = !query.locks.is_empty();
        let past = self.past_transaction(&bound.sources, locks, &env.ctx).await?;
        let past = self.or_at_followers(past, &bound.sources, locks, &env.catalog).await?;
        let inside = match &past {
            Some(_) => None,
            None => self.query_transaction(reads_tables(query)).await?,
        };
        let txn = match past.as_ref().or(inside.as_ref()) {
            Some(txn) => txn.clone(),
            None => self.own_transaction(Mode::Snapshot),
        };
        let view = match (&inside, self.transaction.open()) {
            (Some(_), Some(open)) => open.view,
            _ => WriteView::Fresh,
        };
        let clauses = locking_read::clauses(query, view, self.lock_wait());
        let rows = match clauses.is_empty() {
            true => {
                env.ctx.read_near();
                let temp_dir = &self.instance.config.temp_dir;
                exec::run_query(bound, &txn, &env.ctx, temp_dir).await
            }
            false => {
                let is_exclusive =
                    |clause: &Clause<'_>| clause.locking.lock.mode == LockMode::Exclusive;
                if clauses.iter().any(is_exclusive) {
                    self.check_writable()?;
                }
                self.run_locking_read(query, bound, env, &txn, &clauses).await
            }
        };
        let rows = match rows {
            Err(error) if is_conflict(&error) && inside.is_some() => {
                self.transaction.lose(&error);
                return Err(error);
            }
            other => other?,
        };
        let (rows, found) = match limit {
            Some(limit) => {
                let (rows, found) = found_rows::cut(rows, limit, &env.ctx).await?;
                (RowSource::Ready(rows), Some(found))
            }
            None => (self.limited(query, rows), None),
        };
        self.take_last_insert_id(&env.ctx);
        if let Some(into) = &query.into {
            return self.select_into(into, bound.columns.len(), rows).await;
        }
        self.variables.set_row_count(-1);
        let rows = self.counted(rows);
        if let Some(found) = found {
            self.variables.set_found_rows(found);
        }
        Ok(Outcome::Rows { columns: bound.columns.clone().into(), rows })
    }

    /// Runs a locking read, again when a row has changed between the look and the lock.
    async fn run_locking_read(
        &mut self,
        query: &ast::Query,
        bound: &BoundQuery,
        env: &StatementContext,
        txn: &SharedTransaction,
        clauses: &[Clause<'_>],
    ) -> Result<RowSource> {
        let temp_dir = self.instance.config.temp_dir.clone();
        // The read point is the statement's, whatever its clauses say of single tables.
        let locking = clauses[0].locking;
        let mut attempt = 0;
        txn.lock().await.mark_reads();
        loop {
            attempt += 1;
            let rows = locking_read::run(query, bound, env, txn, clauses, &temp_dir).await;
            txn.lock().await.read_at_read_point();
            match rows {
                Err(error) if error.is_stale() && attempt < CONFLICT_RETRIES_MAX => {
                    env.ctx.check_cancel()?;
                    if !locking.renew(txn, &error).await? {
                        return Err(Error::deadlock());
                    }
                }
                Err(error) if error.is_lock_refused() => {
                    txn.lock().await.forget_reads();
                    return Err(error);
                }
                rows => return rows.map_err(Error::stale_as_deadlock),
            }
        }
    }

    /// Rows and columns of a query inside a statement that writes them to a table.
    pub(crate) async fn query_rows(
        &self,
        query: &ast::Query,
        env: &StatementContext,
        txn: &SharedTransaction,
        target: TableId,
    ) -> Result<(Vec<ColumnMeta>, RowSource)> {
        binder::query::refuse_inner_locks(query)?;
        let bound = self.bind_to_run(query, env).await?;
        if let Some((_, name)) = bound.sources.temporary.iter().find(|(id, _)| *id == target) {
            return Err(Error::cannot_reopen(name));
        }
        self.check_sources(&bound.sources, txn).await?;
        let temp_dir = &self.instance.config.temp_dir;
        let rows = exec::run_query(&bound, txn, &env.ctx, temp_dir).await?;
        Ok((bound.columns, rows))
    }

    /// A transaction for one statement.
    pub(crate) fn own_transaction(&self, mode: Mode) -> SharedTransaction {
        let client = self.instance.config.client.clone();
        let txn = self.watched_alone(Transaction::begin(client, mode));
        Arc::new(tokio::sync::Mutex::new(txn))
    }

    /// Runs a point plan, again when another transaction was in the way and no row has been sent.
    pub(crate) async fn run_point_select(
        &mut self,
        plan: &PointSelect,
        env: &StatementContext,
    ) -> Result<Outcome> {
        env.ctx.read_near();
        let past = match self.may_read_past() {
            true => self.past_transaction(&plan.sources(), false, &env.ctx).await?,
            false => None,
        };
        let past = match self.may_read_followers() {
            true => self.or_at_followers(past, &plan.sources(), false, &env.catalog).await?,
            false => past,
        };
        let inside = match past {
            Some(txn) => Some(txn),
            None => self.query_transaction(!plan.reads_nothing()).await?,
        };
        let rows = match inside {
            Some(txn) => {
                let rows = plan.run(&mut *txn.lock().await, &env.ctx).await;
                if let Err(error) = &rows
                    && is_conflict(error)
                {
                    self.transaction.lose(error);
                }
                rows?
            }
            None if plan.reads_nothing() => plan.constant_rows(&env.ctx)?,
            None => {
                let mut attempt = 0;
                loop {
                    attempt += 1;
                    let client = self.instance.config.client.clone();
                    let mut txn = Transaction::begin(client, Mode::Latest);
                    match plan.run(&mut txn, &env.ctx).await {
                        Err(error) if is_conflict(&error) && attempt < CONFLICT_RETRIES_MAX => {}
                        other => break other?,
                    }
                }
            }
        };
        self.take_last_insert_id(&env.ctx);
        self.variables.set_row_count(-1);
        self.variables.set_found_rows(rows.len() as u64);
        Ok(Outcome::Rows { columns: plan.columns(), rows: RowSource::Ready(rows) })
    }

    /// LAST_INSERT_ID(expr) sets what LAST_INSERT_ID() answers later.
    pub(crate) fn take_last_insert_id(&self, ctx: &EvalContext) {
        let id = ctx.last_insert_id_set.load(Ordering::Relaxed);
        if id != u64::MAX {
            self.variables.set_last_insert_id(id);
        }
    }

    /// `sql_select_limit` on a query that has no LIMIT of its own.
    fn limited(&self, query: &ast::Query, rows: RowSource) -> RowSource {
        let Some(limit) = self.variables.select_limit() else { return rows };
        if query.limit.is_some() {
            return rows;
        }
        match rows {
            RowSource::Ready(mut rows) => {
                rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                RowSource::Ready(rows)
            }
            RowSource::Stream(pages) => {
                let mut left = limit;
                let cut = pages.map(move |page| {
                    let mut page = page?;
                    page.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    left -= page.len() as u64;
                    Ok(page)
                });
                RowSource::Stream(Box::pin(cut))
            }
        }
    }

    /// Counts rows for FOUND_ROWS() while they are taken.
    fn counted(&self, rows: RowSource) -> RowSource {
        match rows {
            RowSource::Ready(rows) => {
                self.variables.set_found_rows(rows.len() as u64);
                RowSource::Ready(rows)
            }
            RowSource::Stream(pages) => {
                let variables = self.variables.clone();
                let count = AtomicU64::new(0);
                let counted = pages.inspect(move |page| {
                    if let Ok(page) = page {
                        let before = count.fetch_add(page.len() as u64, Ordering::Relaxed);
                        variables.set_found_rows(before + page.len() as u64);
                    }
                });
                RowSource::Stream(Box::pin(counted))
            }
        }
    }

    async fn select_into(
        &mut self,
        into: &SelectInto,
        width: usize,
        rows: RowSource,
    ) -> Result<Outcome> {
        let SelectInto::Variables(targets) = into else { return Err(Error::no_files_of_server()) };
        let names = targets.iter().map(|target| match target {
            IntoTarget::User(name) => Ok(name),
            IntoTarget::Local(name) => Err(Error::undeclared_variable(name)),
        });
        let names = names.collect::<Result<Vec<&String>>>()?;
        if names.len() != width {
            return Err(Error::wrong_select_into());
        }
        let rows = rows.collect().await?;
        if rows.len() > 1 {
            return Err(Error::too_many_rows());
        }
        let found = rows.len() as i64;
        let Some(row) = rows.into_iter().next() else {
            let ctx = self.context(Vec::new());
            ctx.warn(Error::no_rows());
            self.variables.set_row_count(0);
            return Ok(Outcome::done());
        };
        use crate::context::VariableSource;
        for (name, value) in names.into_iter().zip(row) {
            self.variables.set_user(name, value);
        }
        self.variables.set_row_count(found);
        Ok(Outcome::Ok(super::OkResult { affected_rows: 1, ..Default::default() }))
    }

    /// Computed tables as they are now.
    pub(crate) fn virtual_tables(&self, catalog: &Arc<Catalog>) -> SystemTables {
        SystemTables::new(&self.instance, catalog, &self.variables)
    }

    /// Values of expressions that stand in no query (DO, SET, KILL, EXECUTE).
    pub(crate) async fn evaluate(
        &mut self,
        exprs: &[ast::Expr],
        params: Vec<Value>,
    ) -> Result<Row> {
        let rewritten = self.run_user_locks_in(exprs, &params).await?;
        let exprs = rewritten.as_deref().unwrap_or(exprs);
        let numbered = self.run_sequence_calls_in(exprs, &params).await?;
        let exprs = numbered.as_deref().unwrap_or(exprs);
        let list: Vec<&ast::Expr> = exprs.iter().collect();
        let scope = Scope::default();
        let (bound, env) = loop {
            let catalog = self.definitions().await?;
            let ctx = self.context(params.clone());
            let env = StatementContext { catalog, ctx, locking: None, with: None };
            let txn = match self.transaction.open() {
                Some(open) => open.txn.clone(),
                None => self.own_transaction(Mode::Snapshot),
            };
            match bind::exprs(self, &list, &scope, "field list", &env, &txn).await {
                Err(error) if error.is_table_blocked() => self.wait_for_tables().await?,
                bound => break (bound?, env),
            }
        };
        let values = bound.iter().map(|expr| expr.eval(&[], &env.ctx)).collect::<Result<_>>()?;
        self.take_last_insert_id(&env.ctx);
        Ok(values)
    }

    /// SET. Items take effect one after the other.
    pub(crate) async fn set(&mut self, items: &[SetItem], params: Vec<Value>) -> Result<()> {
        for item in items {
            match item {
                SetItem::System { scope, name, value } => {
                    let value = self.set_value(value, &params).await?;
                    self.set_system(*scope, name, value).await?;
                }
                // The grammar makes it inside of stored programs only.
                SetItem::Named { name, .. } => return Err(Error::unknown_variable(name)),
                SetItem::User { name, value } => {
                    use crate::context::VariableSource;
                    let values = self.evaluate(std::slice::from_ref(value), params.clone()).await?;
                    let value = values.into_iter().next().unwrap_or_default();
                    self.variables.set_user(name, value);
                }
                SetItem::Names { charset, collation } => {
                    self.variables.set_names(charset.as_deref(), collation.as_deref())?;
                }
                SetItem::CharacterSet(charset) => {
                    self.variables.set_character_set(charset.as_deref())?;
                }
                SetItem::Transaction { scope, isolation, access, as_of } => {
                    let read_only = access.map(|access| access == ast::AccessMode::ReadOnly);
                    let past = match (as_of, scope) {
                        (None, _) => None,
                        (Some(point), None) => Some(self.past_at(point, params.clone()).await?),
                        (Some(_), Some(_)) => {
                            return Err(Error::invalid_as_of(
                                "it holds for the next transaction only; leave out GLOBAL and SESSION",
                            ));
                        }
                    };
                    if *scope == Some(ast::VariableScope::Global) {
                        let level = isolation.map(|level| Value::Text(level.name().to_string()));
                        let read_only = read_only.map(|only| Value::Int(i64::from(only)));
                        for (name, value) in
                            [("transaction_isolation", level), ("transaction_read_only", read_only)]
                        {
                            if value.is_some() {
                                self.set_system(*scope, name, value).await?;
                            }
                        }
                        continue;
                    }
                    self.set_transaction(*scope, *isolation, read_only, past)?;
                }
                SetItem::Password { account, password } => {
                    self.commit_open().await?;
                    self.table_locks.check_changes()?;
                    self.table_locks.check_no_tables()?;
                    self.enter_changes(Change::New).await?;
                    ddl::account::set_password(self, account.as_ref(), password).await?;
                }
                SetItem::ResetPersist { if_exists, name } => {
                    ddl::setting::reset_persist(self, name.as_deref(), *if_exists).await?;
                }
                SetItem::Other(text) => return Err(Error::not_supported(format!("SET {text}"))),
            }
        }
        Ok(())
    }

    async fn set_value(&mut self, value: &SetValue, params: &[Value]) -> Result<Option<Value>> {
        Ok(match value {
            SetValue::Default => None,
            SetValue::Word(word) => Some(Value::Text(word.clone())),
            SetValue::Expr(expr) => {
                let values = self.evaluate(std::slice::from_ref(expr), params.to_vec()).await?;
                values.into_iter().next()
            }
        })
    }

    async fn set_system(
        &mut self,
        scope: Option<ast::VariableScope>,
        name: &str,
        value: Option<Value>,
    ) -> Result<()> {
        let lower = name.to_ascii_lowercase();
        match scope {
            Some(scope @ (ast::VariableScope::Global | ast::VariableScope::Persist)) => {
                let ctx = self.context(Vec::new());
                let persist = scope == ast::VariableScope::Persist;
                return match self.variables.global_setting(&lower, value, persist, &ctx)? {
                    Some((name, value)) => {
                        ddl::setting::set(self, &ctx, name, value, persist).await
                    }
                    None => Ok(()),
                };
            }
            Some(ast::VariableScope::PersistOnly) => {
                return Err(Error::not_supported(
                    "SET PERSIST_ONLY: use SET PERSIST, or the configuration file of every node",
                ));
            }
            Some(ast::VariableScope::Session) | None => {}
        }
        let ctx = self.context(Vec::new());
        match self.variables.set_session(&lower, value, &ctx)? {
            Effect::None => Ok(()),
            Effect::Commit => match self.transaction.check_no_xa() {
                Ok(()) => self.commit_open().await,
                Err(error) => {
                    self.variables.set_session(&lower, Some(Value::Int(0)), &ctx)?;
                    Err(error)
                }
            },
        }
    }

    fn set_transaction(
        &mut self,
        scope: Option<ast::VariableScope>,
        isolation: Option<ast::IsolationLevel>,
        read_only: Option<bool>,
        past: Option<Transaction>,
    ) -> Result<()> {
        match scope {
            Some(ast::VariableScope::Session) => {
                self.variables.set_characteristics(isolation, read_only)
            }
            None => {
                if self.transaction.is_open() {
                    return Err(Error::transaction_in_progress());
                }
                if let Some(level) = isolation {
                    self.transaction.next_isolation = Some(level);
                }
                if read_only.is_some() {
                    self.transaction.next_read_only = read_only;
                    self.transaction.next_past = past;
                }
                Ok(())
            }
            Some(_) => Err(Error::not_supported(
                "SET TRANSACTION of another scope: use SET SESSION or SET GLOBAL TRANSACTION",
            )),
        }
    }

    /// EXPLAIN.
    pub(crate) async fn explain(
        &mut self,
        explain: &ast::Explain,
        params: Vec<Value>,
    ) -> Result<Outcome> {
        let ExplainTarget::Statement(statement) = &explain.target else {
            return Err(Error::not_supported("EXPLAIN of this: explain the statement's text"));
        };
        let catalog = self.definitions().await?;
        let ctx = self.context(params);
        let mut env = StatementContext { catalog, ctx, locking: None, with: None };
        let query = match &**statement {
            Statement::Query(query) => (**query).clone(),
            Statement::Update(update) => {
                query_of_change(&update.tables, update.filter.as_ref(), &update.with)?
            }
            Statement::Delete(delete) => match &delete.target {
                ast::DeleteTarget::Single(source) => query_of_change(
                    &[ast::TableRef::Table(source.clone())],
                    delete.filter.as_ref(),
                    &delete.with,
                )?,
                ast::DeleteTarget::Multi { from, .. } => {
                    query_of_change(from, delete.filter.as_ref(), &delete.with)?
                }
            },
            _ => return Err(Error::not_supported("EXPLAIN of this statement: explain its SELECT")),
        };
        let mut bound = self.bind(&query, &env)?;
        if let Some(ts) = self.past_of(&bound.sources, &env.ctx)? {
            env.catalog = env.catalog.at(ts);
            bound = self.bind(&query, &env)?;
        }
        self.check_own_locks(&bound.sources)?;
        if explain.analyze {
            return self.explain_analyze(explain, &query, &bound, &env).await;
        }
        let txn = self.own_transaction(Mode::Snapshot);
        let temp_dir = &self.instance.config.temp_dir;
        let environment = exec::Environment::new(txn, env.ctx.clone(), temp_dir).await?;
        let shows_sets = self.variables.is_on("tdsql_explain_info")
            && explain.format.as_deref().is_none_or(|format| format == "TRADITIONAL");
        let format = if shows_sets { Some("TDSQL") } else { explain.format.as_deref() };
        let text = match shows_sets || format == Some("TDSQL") {
            true => statement.to_string(),
            false => String::new(),
        };
        let holds_rows = !matches!(&**statement, Statement::Query(query) if query.locks.is_empty());
        let (columns, rows) =
            planner::explain(&bound, format, &text, holds_rows, &environment).await?;
        Ok(Outcome::rows(columns, rows))
    }
}

impl Session {
    /// Rows of a query that stands in for a statement; they are all read before the next statement.
    pub(crate) async fn rows_of(
        &mut self,
        query: &ast::Query,
        env: &StatementContext,
    ) -> Result<RowSource> {
        let bound = self.bind_to_run(query, env).await?;
        let txn = self.reading(query, &bound, env).await?;
        exec::run_query(&bound, &txn, &env.ctx, &self.instance.config.temp_dir).await
    }

    /// The transaction in which a query reads that locks nothing.
    async fn reading(
        &mut self,
        query: &ast::Query,
        bound: &BoundQuery,
        env: &StatementContext,
    ) -> Result<SharedTransaction> {
        let txn = match self.past_transaction(&bound.sources, false, &env.ctx).await? {
            Some(txn) => txn,
            None => match self.query_transaction(reads_tables(query)).await? {
                Some(txn) => txn,
                None => self.own_transaction(Mode::Snapshot),
            },
        };
        env.ctx.read_near();
        Ok(txn)
    }

    /// EXPLAIN ANALYZE: the query runs as a SELECT would.
    async fn explain_analyze(
        &mut self,
        explain: &ast::Explain,
        query: &ast::Query,
        bound: &BoundQuery,
        env: &StatementContext,
    ) -> Result<Outcome> {
        let ExplainTarget::Statement(statement) = &explain.target else {
            return Err(Error::not_supported("EXPLAIN ANALYZE of this: name a SELECT"));
        };
        if !matches!(&**statement, Statement::Query(query) if query.locks.is_empty() && query.into.is_none())
        {
            return Err(Error::not_supported(
                "EXPLAIN ANALYZE of what changes, locks or stores something: analyse the SELECT that finds its rows",
            ));
        }
        if let Some(format) = explain.format.as_deref().filter(|format| *format != "TREE") {
            return Err(Error::not_supported(format!(
                "EXPLAIN ANALYZE with FORMAT={format}: use FORMAT=TREE, or leave FORMAT out"
            )));
        }
        let txn = self.reading(query, bound, env).await?;
        let temp_dir = &self.instance.config.temp_dir;
        let environment = exec::Environment::new(txn, env.ctx.clone(), temp_dir).await?;
        let (columns, rows) = planner::explain_analyze(bound, &environment).await?;
        Ok(Outcome::rows(columns, rows))
    }
}

/// The query that finds the rows of an UPDATE or DELETE.
fn query_of_change(
    tables: &[ast::TableRef],
    filter: Option<&ast::Expr>,
    with: &Option<ast::With>,
) -> Result<ast::Query> {
    let select = ast::Select {
        distinct: false,
        options: ast::SelectOptions::default(),
        items: vec![ast::SelectItem::Wildcard],
        from: tables.to_vec(),
        filter: filter.cloned(),
        group_by: Vec::new(),
        rollup: false,
        having: None,
        windows: Vec::new(),
        hints: String::new(),
    };
    Ok(ast::Query {
        with: with.clone(),
        body: ast::QueryBody::Select(Box::new(select)),
        order_by: Vec::new(),
        limit: None,
        locks: Vec::new(),
        into: None,
        span: ast::Span::default(),
    })
}

/// Whether a query names tables in its own FROM.
fn reads_tables(query: &ast::Query) -> bool {
    !matches!(&query.body, ast::QueryBody::Select(select) if select.from.is_empty())
}
