//! Reads of the past: AS OF TIMESTAMP.
//!
//! ```text
//! SELECT … FROM t AS OF TIMESTAMP e              one query, with a transaction of its own
//! START TRANSACTION READ ONLY AS OF TIMESTAMP e  a transaction
//! SET TRANSACTION READ ONLY AS OF TIMESTAMP e    the next transaction, or the next query that reads a table
//!
//! e ──> moment in the session's time zone ──> last timestamp of its millisecond ──> Transaction::at
//! ```
//!
//! The expression is evaluated once, when its statement runs. Versions of rows of that time are read with the definitions
//! of now without the indexes that are younger, for which a query is bound a second time. So a table whose definition is
//! younger otherwise is refused (1412): its record in the meta shard is read at the same point and compared, its retention aside.
//!
//! Invariants:
//! 1. A transaction of the past writes nothing, locks nothing and never gives up its read point.
//! 2. What was committed more than `PAST_AHEAD_MAX` before the time is seen, by this node's clock, unless a warning says that
//!    the cluster's clock is further ahead of it than that.
//! 3. A time that is too old is an error (9006), never an empty result: each shard compares it with its safe point.
//!
//! Not here: how long versions are kept (`docs/decisions/0009-old-versions-go-through-the-log.md`).

use super::connection::Session;
use super::statement::StatementContext;
use super::transaction::SharedTransaction;
use crate::ast;
use crate::binder::{BindContext, BoundQuery, Sources};
use crate::catalog::{TableDef, store};
use crate::context::EvalContext;
use crate::expr::{CastMode, Expr};
use crate::types::convert::{shown_value, to_datetime};
use crate::types::datetime::{DateTime, parse};
use crate::value::Value;
use crate::{Error, Result};
use base::limits::PAST_AHEAD_MAX;
use base::{TableId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use txn::Transaction;

/// Microseconds of a millisecond.
const MILLISECOND: u64 = 1000;

impl Session {
    /// A transaction at the time that an expression gives.
    ///
    /// # Errors
    /// 1525 for what is no time; 8135 for a time to come.
    pub(crate) async fn past_at(
        &mut self,
        expr: &ast::Expr,
        params: Vec<Value>,
    ) -> Result<Transaction> {
        let catalog = self.instance.catalog.current().await?;
        let ctx = self.context(params);
        let ts = {
            let database = self.database.as_deref().map(str::to_string);
            let point = BindContext::new(catalog, database, &ctx).point(expr)?;
            timestamp_of(&point, &ctx)?
        };
        let txn = self.transaction_at(ts).await?;
        self.warn_of_clock(&ctx);
        Ok(txn)
    }

    /// A transaction at a timestamp.
    pub(crate) async fn transaction_at(&self, ts: Timestamp) -> Result<Transaction> {
        Ok(Transaction::at(self.instance.config.client.clone(), ts).await?)
    }

    /// Warns when the cluster's clock, which a transaction has just asked, is far ahead of this node's: people and programs take
    /// the time that they ask for from clocks such as the latter.
    fn warn_of_clock(&self, ctx: &EvalContext) {
        let cluster_ms = self.instance.config.client.unix_ms();
        let ahead_ms = cluster_ms.saturating_sub(ctx.clock.unix_ms());
        if Duration::from_millis(ahead_ms) > PAST_AHEAD_MAX {
            ctx.warn(Error::cluster_clock_ahead(ahead_ms));
        }
    }

    /// Whether a query without AS OF may have to read the past.
    pub(crate) fn may_read_past(&self) -> bool {
        self.transaction.next_past.is_some() || self.is_in_past()
    }

    /// Whether the open transaction reads the past.
    pub(super) fn is_in_past(&self) -> bool {
        self.transaction.open().is_some_and(|open| open.past.is_some())
    }

    /// The transaction of a query that reads the past; `None` for one that reads now. Its tables are what they were then.
    ///
    /// # Errors
    /// 8135 for AS OF where it cannot be, 1525 for what is no time, 1412 for a table whose definition is younger.
    pub(crate) async fn past_transaction(
        &mut self,
        sources: &Sources,
        locks: bool,
        ctx: &EvalContext,
    ) -> Result<Option<SharedTransaction>> {
        let Some(txn) = self.choose_past(sources, ctx).await? else { return Ok(None) };
        if locks {
            return Err(Error::invalid_as_of("FOR UPDATE and FOR SHARE lock rows as they are now"));
        }
        check_definitions(&txn, &sources.tables).await?;
        Ok(Some(txn))
    }

    /// Binds a query that will run to the definitions of the time that it reads, indexes that are younger left out.
    ///
    /// # Errors
    /// As the binder; 1525 and 8135 for a time that cannot be.
    pub(crate) async fn bind_in_time(
        &self,
        query: &ast::Query,
        env: &mut StatementContext,
    ) -> Result<BoundQuery> {
        let warnings = env.ctx.warnings.count();
        let mut bound = self.bind_to_run(query, env).await?;
        let Some(ts) = self.past_of(&bound.sources, &env.ctx)? else { return Ok(bound) };
        let then = env.catalog.at(ts);
        if !Arc::ptr_eq(&then, &env.catalog) {
            env.catalog = then;
            env.ctx.warnings.forget_after(warnings);
            bound = self.bind_to_run(query, env).await?;
        }
        if !bound.sources.points.is_empty() {
            bound.sources.chosen = Some(ts);
        }
        Ok(bound)
    }

    /// The time that a query reads, when it or SET TRANSACTION says one. An open transaction has its definitions already.
    pub(crate) fn past_of(
        &self,
        sources: &Sources,
        ctx: &EvalContext,
    ) -> Result<Option<Timestamp>> {
        let point = point_of(sources, ctx)?;
        let next = self.transaction.next_past.as_ref().filter(|_| !sources.tables.is_empty());
        Ok(point.or_else(|| next.and_then(Transaction::read_ts)))
    }

    async fn choose_past(
        &mut self,
        sources: &Sources,
        ctx: &EvalContext,
    ) -> Result<Option<SharedTransaction>> {
        let point = point_of(sources, ctx)?;
        if let Some(ts) = point {
            if self.transaction.is_open() {
                return Err(Error::invalid_as_of(
                    "inside of a transaction all statements read one point; use START TRANSACTION READ ONLY AS OF TIMESTAMP",
                ));
            }
            if self.transaction.next_past.is_some() {
                return Err(Error::invalid_as_of(
                    "SET TRANSACTION READ ONLY AS OF TIMESTAMP has said before what this query reads",
                ));
            }
            let txn = self.transaction_at(ts).await?;
            self.warn_of_clock(ctx);
            return Ok(Some(shared(txn)));
        }
        if sources.tables.is_empty() {
            return Ok(None);
        }
        if self.transaction.next_past.is_some() {
            if self.variables.autocommit() {
                return Ok(self.transaction.take_next_past().map(shared));
            }
            self.statement_transaction().await?;
        }
        let open = self.transaction.open().filter(|open| open.past.is_some());
        Ok(open.map(|open| open.txn.clone()))
    }

    /// Checks the tables of subqueries that stand outside of a query, in SET, UPDATE and the like, and notes their use.
    ///
    /// # Errors
    /// As [`Session::enter`].
    /// 8135 when one has AS OF; 1412 when one is younger than what the transaction reads.
    pub(crate) async fn check_sources(
        &self,
        sources: &Sources,
        txn: &SharedTransaction,
    ) -> Result<()> {
        if !sources.points.is_empty() {
            return Err(Error::invalid_as_of("it can only stand in a SELECT of its own"));
        }
        if self.is_in_past() {
            check_definitions(txn, &sources.tables).await?;
        }
        self.enter_sources(sources, false)?;
        self.check_snapshot(sources).await
    }
}

fn shared(txn: Transaction) -> SharedTransaction {
    Arc::new(tokio::sync::Mutex::new(txn))
}

/// 1412 unless tables were at the transaction's read point what they are now.
async fn check_definitions(txn: &SharedTransaction, tables: &[Arc<TableDef>]) -> Result<()> {
    let ids: Vec<TableId> = tables.iter().map(|table| table.id).collect();
    let mut txn = txn.lock().await;
    let then = store::tables_by_id(&mut txn, &ids).await?;
    let read_ts = txn.read_ts().unwrap_or(Timestamp::ZERO);
    for (table, then) in tables.iter().zip(then) {
        if then.is_none_or(|then| !table.reads_as(&then, read_ts)) {
            return Err(Error::table_younger(table.qualified_name()));
        }
    }
    Ok(())
}

/// The one point that the AS OF clauses of a statement give; `None` when it has none.
fn point_of(sources: &Sources, ctx: &EvalContext) -> Result<Option<Timestamp>> {
    let Some((first, others)) = sources.points.split_first() else { return Ok(None) };
    if sources.chosen.is_some() {
        return Ok(sources.chosen);
    }
    let different =
        || Error::invalid_as_of("all tables of a statement must be read as of one time");
    if sources.now {
        return Err(different());
    }
    let ts = timestamp_of(first, ctx)?;
    for other in others {
        if timestamp_of(other, ctx)? != ts {
            return Err(different());
        }
    }
    Ok(Some(ts))
}

/// The last timestamp of the millisecond that an expression names in the session's time zone.
fn timestamp_of(point: &Expr, ctx: &EvalContext) -> Result<Timestamp> {
    let moment = moment_of(&point.eval(&[], ctx)?, ctx)?;
    // Before 1970 nothing was written, as in its first millisecond.
    let micros = ctx.time_zone.to_unix_micros(moment).max(0).unsigned_abs();
    Ok(Timestamp::last_of_unix_ms(micros / MILLISECOND))
}

/// A value as a moment, without any leniency: a time that is read by mistake gives rows that look right.
fn moment_of(value: &Value, ctx: &EvalContext) -> Result<DateTime> {
    let wrong = || {
        let shown = if value.is_null() { "NULL".to_string() } else { shown_value(value) };
        Error::wrong_value("DATETIME", shown)
    };
    let text = value.as_bytes().map(|bytes| std::str::from_utf8(bytes).unwrap_or_default());
    let is_whole = |text: &str| parse::datetime(text, ctx.sql_mode).is_some_and(|read| !read.cut);
    if text.is_some_and(|text| !is_whole(text)) {
        return Err(wrong());
    }
    let moment = to_datetime(value, CastMode::Compare, "DATETIME", ctx)?;
    moment.filter(|moment| !moment.date().has_zero_part()).ok_or_else(wrong)
}
