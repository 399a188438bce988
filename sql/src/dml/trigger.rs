//! Triggers at work: their bodies run for each row that a statement writes, in the statement's transaction.
//!
//! ```text
//! new row ── BEFORE: NEW is what the row will be, SET NEW.a changes it ── checked, written ── AFTER: reads NEW and OLD
//!                │                                                                              │
//!                └── its statements: INSERT, UPDATE, DELETE of other tables, through `dml::run`─┘
//! ```
//!
//! What a body writes is the statement's: it is undone with it, and committed with it. Each statement of a body fails alone,
//! for a handler to go on after it.
//!
//! Invariants:
//! 1. A statement on a table without triggers makes no `Triggers`: it pays nothing.
//! 2. A statement with `Triggers` locks (`Error::must_lock`): what its triggers find stays until it commits.
//! 3. The transaction is not locked while a body runs: the body's statements lock it themselves.
//! 4. The tables whose triggers run are not written by them (1442), so no trigger calls itself.
//!
//! Not here: definitions (`catalog::trigger`, `ddl::trigger`), the interpreter (`crate::program`).

mod call;

use super::row::{NewRow, null_in};
use super::{Check, bind};
use crate::ast::{
    self, ColumnName, ExprKind, ProgramBody, Query, SetItem, Statement, TriggerEvent,
};
use crate::binder::Scope;
use crate::catalog::{RoutineDef, TableDef, TriggerDef};
use crate::collation::{self, CollationId};
use crate::context::{EvalContext, Locals};
use crate::expr::Expr;
use crate::program::check;
use crate::program::run::Run;
use crate::program::{Called, Host, ResultSet};
use crate::session::Session;
use crate::session::locking::{Locking, WriteView};
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::temporary::is_temporary;
use crate::types::assign;
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::Rng;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;

/// The triggers that a statement may fire, of one table.
pub(crate) struct Triggers<'a> {
    session: &'a Session,
    env: &'a StatementContext,
    txn: &'a SharedTransaction,
    table: Arc<TableDef>,
    list: Vec<Trigger>,
    /// Each column of a row as expressions see it.
    shown: Vec<Expr>,
    /// Tables that the bodies have written.
    written: Mutex<Vec<Arc<TableDef>>>,
}

/// A trigger, read.
struct Trigger {
    definition: Arc<TriggerDef>,
    body: ProgramBody,
    collation: CollationId,
    connection_collation: CollationId,
}

/// Whether rows of a table have triggers on one of these events.
pub(crate) fn has_some(table: &TableDef, events: &[TriggerEvent], env: &StatementContext) -> bool {
    let all = env.catalog.triggers_of(&table.database, &table.name);
    !is_temporary(table.id) && all.iter().any(|trigger| events.contains(&trigger.event))
}

impl<'a> Triggers<'a> {
    /// `None` when none can fire.
    ///
    /// # Errors
    /// The marker of a statement that must lock, when it does not; 1235 for one that sees only some sets.
    pub(crate) async fn of(
        table: &Arc<TableDef>,
        events: &[TriggerEvent],
        session: &'a Session,
        env: &'a StatementContext,
        txn: &'a SharedTransaction,
    ) -> Result<Option<Triggers<'a>>> {
        if !has_some(table, events, env) {
            return Ok(None);
        }
        if env.ctx.slots.is_some() {
            return Err(Error::not_supported(
                "a change of a table with triggers for some sets: leave /*sets:…*/ out",
            ));
        }
        if env.locking.is_none() {
            return Err(Error::must_lock());
        }
        let mut list = Vec::new();
        for definition in env.catalog.triggers_of(&table.database, &table.name) {
            if events.contains(&definition.event) {
                list.push(Trigger {
                    body: definition.tree()?,
                    collation: collation::by_name(&definition.database_collation)?.id,
                    connection_collation: collation::by_name(&definition.connection_collation)?.id,
                    definition: definition.clone(),
                });
            }
        }
        let scope = Scope::of_table(table, &table.name);
        let named = |column: &str| {
            ast::Expr::new(ExprKind::Column(ColumnName {
                database: None,
                table: Some(table.name.clone()),
                column: column.to_string(),
            }))
        };
        let columns: Vec<ast::Expr> =
            table.visible_columns().map(|(_, column)| named(&column.name)).collect();
        let columns: Vec<&ast::Expr> = columns.iter().collect();
        let shown = bind::exprs(session, &columns, &scope, "field list", env, txn).await?;
        let (table, written) = (table.clone(), Mutex::default());
        Ok(Some(Triggers { session, env, txn, table, list, shown, written }))
    }

    /// Whether some run before or after such a change.
    pub(crate) fn has(&self, after: bool, event: TriggerEvent) -> bool {
        self.fitting(after, event).next().is_some()
    }

    fn fitting(&self, after: bool, event: TriggerEvent) -> impl Iterator<Item = &Trigger> {
        self.list.iter().filter(move |trigger| {
            trigger.definition.after == after && trigger.definition.event == event
        })
    }

    /// The columns that triggers give new rows: NULL may stand there until they have run.
    pub(crate) fn assigned_columns(&self) -> Vec<bool> {
        let mut assigned = vec![false; self.table.columns.len()];
        for trigger in self.fitting(false, TriggerEvent::Insert) {
            let mut names = Vec::new();
            trigger.body.step.assigned_names(&mut names);
            for name in names {
                let column =
                    name.split_once('.').filter(|(row, _)| row.eq_ignore_ascii_case("new"));
                if let Some(column) = column.and_then(|(_, name)| self.table.column(name)) {
                    assigned[column] = true;
                }
            }
        }
        assigned
    }

    /// The other tables that the bodies have written.
    pub(crate) fn others(&self) -> Vec<Arc<TableDef>> {
        self.written.lock().clone()
    }

    /// Runs those before an INSERT; the row is complete afterwards but for its constraints.
    ///
    /// # Errors
    /// What a body fails with; 1048 for a column that has got no value.
    pub(crate) async fn before_insert(&self, row: &mut NewRow, strict_null: bool) -> Result<()> {
        if !self.has(false, TriggerEvent::Insert) {
            return Ok(());
        }
        // A value that is being generated is not known yet, as in MySQL.
        let number = self.table.auto_increment().filter(|_| row.generated.is_some());
        let kept = number.map(|column| std::mem::replace(&mut row.values[column], Value::Int(0)));
        self.fire(false, TriggerEvent::Insert, None, Some(&mut row.values)).await?;
        if let (Some(column), Some(kept)) = (number, kept) {
            match row.values[column].as_integer() {
                Some(0) | None => row.values[column] = kept,
                Some(_) => row.generated = None,
            }
        }
        self.complete(&mut row.values, strict_null)
    }

    /// Runs those before an UPDATE; the new row is complete afterwards but for its constraints.
    ///
    /// # Errors
    /// As [`Triggers::before_insert`].
    pub(crate) async fn before_update(&self, old: &[Value], new: &mut Row) -> Result<()> {
        if !self.has(false, TriggerEvent::Update) {
            return Ok(());
        }
        self.fire(false, TriggerEvent::Update, Some(old), Some(new)).await?;
        self.complete(new, true)
    }

    /// Runs those before a DELETE.
    ///
    /// # Errors
    /// What a body fails with.
    pub(crate) async fn before_delete(&self, old: &[Value]) -> Result<()> {
        self.fire(false, TriggerEvent::Delete, Some(old), None).await
    }

    /// Runs those after an INSERT.
    ///
    /// # Errors
    /// What a body fails with.
    pub(crate) async fn after_insert(&self, new: &[Value]) -> Result<()> {
        self.after(TriggerEvent::Insert, None, Some(new)).await
    }

    /// Runs those after an UPDATE, also of a row that stayed as it was.
    ///
    /// # Errors
    /// What a body fails with.
    pub(crate) async fn after_update(&self, old: &[Value], new: &[Value]) -> Result<()> {
        self.after(TriggerEvent::Update, Some(old), Some(new)).await
    }

    /// Runs those after a DELETE.
    ///
    /// # Errors
    /// What a body fails with.
    pub(crate) async fn after_delete(&self, old: &[Value]) -> Result<()> {
        self.after(TriggerEvent::Delete, Some(old), None).await
    }

    async fn after(
        &self,
        event: TriggerEvent,
        old: Option<&[Value]>,
        new: Option<&[Value]>,
    ) -> Result<()> {
        if !self.has(true, event) {
            return Ok(());
        }
        let mut new = new.map(<[Value]>::to_vec);
        self.fire(true, event, old, new.as_mut()).await
    }

    /// NULL where none may stand is refused, and generated columns are computed anew.
    fn complete(&self, row: &mut Row, strict_null: bool) -> Result<()> {
        let ctx: &EvalContext = &self.env.ctx;
        for (position, column) in self.table.columns.iter().enumerate() {
            let may_be_null = column.ty.nullable
                || column.generated.is_some()
                || column.hidden
                || self.table.auto_increment() == Some(position);
            if row[position].is_null() && !may_be_null {
                row[position] = null_in(column, strict_null, ctx)?;
            }
        }
        self.table.generate(row, ctx)
    }

    async fn fire(
        &self,
        after: bool,
        event: TriggerEvent,
        old: Option<&[Value]>,
        mut new: Option<&mut Row>,
    ) -> Result<()> {
        for trigger in self.fitting(after, event) {
            self.env.ctx.check_cancel()?;
            self.run(trigger, old, new.as_deref_mut()).await?;
        }
        Ok(())
    }

    async fn run(
        &self,
        trigger: &Trigger,
        old: Option<&[Value]>,
        new: Option<&mut Row>,
    ) -> Result<()> {
        let outer: &EvalContext = &self.env.ctx;
        let definition = &trigger.definition;
        let _inside = self.session.fire(&definition.database, self.table.id);
        let running =
            outer.locals.as_ref().map_or_else(Vec::new, |locals| locals.functions.clone());
        let ctx = Arc::new(self.context(trigger, Arc::default(), false));
        let mut host =
            TriggerHost { triggers: self, trigger, ctx, failed: None, procedures: Vec::new() };
        let mut run = Run::new(&mut host, trigger.collation, running, Vec::new());
        let (mut names, mut before) = (Vec::new(), Vec::new());
        for ((position, column), shown) in self.table.visible_columns().zip(&self.shown) {
            if let Some(old) = old {
                let value = shown.eval(old, outer)?;
                run.row_column(format!("OLD.{}", column.name), &column.ty, value);
            }
            if let Some(new) = &new {
                let value = shown.eval(new, outer)?;
                names.push(format!("NEW.{}", column.name));
                before.push((position, value.clone()));
                run.row_column(format!("NEW.{}", column.name), &column.ty, value);
            }
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let ended = run.run(&trigger.body.step, &names).await;
        if let Some(failed) = host.failed {
            // Handlers know nothing of it: the whole statement is run again, or the transaction is over.
            return Err(failed);
        }
        ended.end?;
        let Some(new) = new.filter(|_| !definition.after) else { return Ok(()) };
        for ((position, before), now) in before.into_iter().zip(ended.parameters) {
            if now != before {
                let column = &self.table.columns[position];
                new[position] = match now.is_null() {
                    true => now,
                    false => assign(now, &column.ty, &column.name, outer.row(), outer)?,
                };
            }
        }
        Ok(())
    }

    /// The context of a statement of a body.
    fn context(&self, trigger: &Trigger, locals: Arc<Locals>, ignore: bool) -> EvalContext {
        let outer: &EvalContext = &self.env.ctx;
        let mut ctx = outer.under(trigger.connection_collation);
        ctx.sql_mode = trigger.definition.sql_mode;
        ctx.database = Some(trigger.definition.database.clone());
        ctx.cte_max_recursion_depth = outer.cte_max_recursion_depth;
        ctx.rng = Mutex::new(Rng::seeded(outer.rng.lock().next_u64()));
        ctx.locals = Some(locals);
        ctx.temporary.clone_from(&outer.temporary);
        ctx.strict_dml = ctx.sql_mode.is_strict() && !ignore;
        ctx
    }
}

/// The statement that fires a trigger.
struct TriggerHost<'a, 'b> {
    triggers: &'a Triggers<'b>,
    trigger: &'a Trigger,
    /// Of the last statement.
    ctx: Arc<EvalContext>,
    /// What ends the statement that fires, whatever the body says to it.
    failed: Option<Error>,
    /// The procedures that it has called and that run, the innermost last.
    procedures: Vec<Arc<RoutineDef>>,
}

impl TriggerHost<'_, '_> {
    /// What the next statement works with. It reads what it changes at the newest point, and the rest where the statement
    /// that fires reads.
    fn environment(&mut self, locals: Arc<Locals>, ignore: bool) -> StatementContext {
        let outer = self.triggers.env;
        let mut ctx = self.triggers.context(self.trigger, locals, ignore);
        if let Some(procedure) = self.procedures.last() {
            ctx.sql_mode = procedure.sql_mode;
            ctx.database = Some(procedure.database.clone());
            ctx.strict_dml = ctx.sql_mode.is_strict() && !ignore;
        }
        self.ctx = Arc::new(ctx);
        let newest = |locking: Locking| Locking { view: WriteView::Newest, ..locking };
        StatementContext {
            catalog: outer.catalog.clone(),
            ctx: self.ctx.clone(),
            locking: outer.locking.map(newest),
            with: None,
        }
    }

    /// Remembers what no handler may handle.
    fn noted<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            let ends = error.is_stale()
                || error.is_must_lock()
                || error.is_table_blocked()
                || error.is_lock_refused()
                || error.code == Error::deadlock().code
                || error.code == Error::transaction_undone("").code;
            if ends {
                self.failed = Some(error.clone());
            }
        }
        result
    }

    async fn evaluate(&mut self, exprs: &[ast::Expr], locals: Arc<Locals>) -> Result<Row> {
        let env = self.environment(locals, false);
        let (session, txn) = (self.triggers.session, self.triggers.txn);
        let list: Vec<&ast::Expr> = exprs.iter().collect();
        let bound = bind::exprs(session, &list, &Scope::default(), "field list", &env, txn).await?;
        bound.iter().map(|expr| expr.eval(&[], &env.ctx)).collect()
    }

    async fn query(&mut self, query: &Query, locals: Arc<Locals>) -> Result<ResultSet> {
        let env = self.environment(locals, false);
        let Triggers { session, txn, table, .. } = self.triggers;
        let (columns, rows) = session.query_rows(query, &env, txn, table.id).await?;
        Ok((columns.into(), rows.collect().await?))
    }

    async fn change(
        &mut self,
        statement: &Statement,
        ignore: bool,
        locals: Arc<Locals>,
    ) -> Result<()> {
        let env = self.environment(locals, ignore);
        let Triggers { session, txn, written, .. } = self.triggers;
        let (savepoint, look) = {
            let mut txn = txn.lock().await;
            (txn.savepoint(), txn.look_at_newest().await?)
        };
        let done = super::run(session, statement, &env, txn, Check::Now).await;
        let mut txn = txn.lock().await;
        txn.look_back(look);
        let done = match done {
            Ok(changes) => {
                let mut written = written.lock();
                for table in changes.tables() {
                    if written.iter().all(|known| known.id != table.id) {
                        written.push(table.clone());
                    }
                }
                Ok(())
            }
            Err(error) => match txn.rollback_to(savepoint) {
                Ok(()) => Err(error),
                Err(_) => Err(error.of_whole_transaction()),
            },
        };
        txn.release(savepoint);
        done
    }

    async fn run(
        &mut self,
        statement: &Statement,
        locals: Arc<Locals>,
    ) -> Result<Option<ResultSet>> {
        match statement {
            Statement::Insert(insert) => self.change(statement, insert.ignore, locals).await?,
            Statement::Update(update) => self.change(statement, update.ignore, locals).await?,
            Statement::Delete(delete) => self.change(statement, delete.ignore, locals).await?,
            Statement::Do(exprs) => drop(self.evaluate(exprs, locals).await?),
            Statement::Set(items) => {
                for item in items {
                    let SetItem::User { name, value } = item else {
                        return Err(Error::not_supported(
                            "SET of a system variable in a trigger; set it before the statement that fires it",
                        ));
                    };
                    let list = std::slice::from_ref(value);
                    let values = self.evaluate(list, locals.clone()).await?;
                    let value = values.into_iter().next().unwrap_or_default();
                    self.ctx.vars.set_user(name, value);
                }
            }
            // CREATE TRIGGER refuses them in its own body; these stand in a procedure that it calls.
            Statement::Query(_) => return Err(Error::rows_from("trigger")),
            other if check::commits(other) => return Err(Error::commit_in_function()),
            _ => {
                return Err(Error::not_supported(
                    "a statement in a trigger, or in a procedure that it calls, that is no INSERT, UPDATE, DELETE, SET and no query with INTO; run it from the application",
                ));
            }
        }
        Ok(None)
    }
}

impl Host for TriggerHost<'_, '_> {
    fn values<'s>(
        &'s mut self,
        exprs: &'s [ast::Expr],
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Row>> {
        Box::pin(async move {
            let values = self.evaluate(exprs, locals).await;
            self.noted(values)
        })
    }

    fn rows<'s>(
        &'s mut self,
        query: &'s Query,
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<ResultSet>> {
        Box::pin(async move {
            let rows = self.query(query, locals).await;
            self.noted(rows)
        })
    }

    fn statement<'s>(
        &'s mut self,
        statement: &'s Statement,
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Option<ResultSet>>> {
        Box::pin(async move {
            let done = self.run(statement, locals).await;
            self.noted(done)
        })
    }

    fn call<'s>(
        &'s mut self,
        name: &'s ast::TableName,
        args: &'s [ast::Expr],
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Called>> {
        Box::pin(self.call_procedure(name, args, locals))
    }

    fn context(&mut self) -> Arc<EvalContext> {
        self.ctx.clone()
    }
}
