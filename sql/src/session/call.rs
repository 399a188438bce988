//! CALL: a procedure runs in the session that calls it.
//!
//! ```text
//! CALL p(1, @x) ──> arguments ──> default database and sql_mode of the procedure ──> the body, statement by statement
//!                                 └─ given back at the end, whatever it comes to         └─ OUT, INOUT: @x is set
//! ```
//!
//! Each statement of the body is one of its own: it commits under autocommit, and fails alone.
//!
//! Not here: the interpreter (`crate::program`).

use super::Outcome;
use super::connection::Session;
use crate::ast::{Expr, ExprKind, ParameterMode, Query, RoutineKind, Statement, Step, TableName};
use crate::catalog::{RoutineDef, TableDef};
use crate::collation;
use crate::context::{EvalContext, Locals, VariableSource};
use crate::program::condition::Condition;
use crate::program::run::{Ended, Run};
use crate::program::{Called, Host, ResultSet};
use crate::session::OkResult;
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::TableId;
use base::limits::PROGRAM_CALLS_MAX;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The programs that run in a session.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// What the statement at hand sees of the program around it.
    pub(crate) locals: Option<Arc<Locals>>,
    /// The procedures that run, the innermost last.
    running: Vec<TableId>,
    /// The triggers that run: their databases and the tables whose rows they run for, the innermost last.
    firing: Mutex<Vec<(String, TableId)>>,
}

/// A trigger that runs; it is over when this is dropped.
pub(crate) struct Firing<'a>(&'a Mutex<Vec<(String, TableId)>>);

impl Drop for Firing<'_> {
    fn drop(&mut self) {
        self.0.lock().pop();
    }
}

impl Session {
    /// Says that a trigger of a table runs: names of its statements mean things in this database.
    pub(crate) fn fire(&self, database: &str, table: TableId) -> Firing<'_> {
        self.programs.firing.lock().push((database.to_string(), table));
        Firing(&self.programs.firing)
    }

    /// The database of names that say none: the session's, or that of the trigger that runs.
    pub(crate) fn default_database(&self) -> Option<Arc<str>> {
        let firing =
            self.programs.firing.lock().last().map(|(database, _)| database.as_str().into());
        firing.or_else(|| self.database.clone())
    }

    /// 1442 when a trigger of this table runs.
    pub(crate) fn check_not_firing(&self, table: &TableDef) -> Result<()> {
        match self.programs.firing.lock().iter().any(|(_, id)| *id == table.id) {
            true => Err(Error::table_in_use(&table.name)),
            false => Ok(()),
        }
    }
}

impl Session {
    /// CALL as a client sends it.
    pub(crate) async fn call_statement(
        &mut self,
        name: &TableName,
        args: &[Expr],
        params: Vec<Value>,
    ) -> Result<Outcome> {
        let called = self.call(name, args, params).await?;
        let row_count = self.variables.row_count();
        let end = called.end.map(|_| OkResult {
            affected_rows: u64::try_from(row_count).unwrap_or(0),
            ..OkResult::default()
        });
        if let Err(error) = &end {
            self.variables.set_row_count(-1);
            self.diagnostics.fail(error);
        }
        match (called.results.is_empty(), end) {
            (true, end) => end.map(Outcome::Ok),
            (false, end) => Ok(Outcome::Many { results: called.results, end }),
        }
    }

    /// Runs a procedure.
    pub(crate) fn call<'s>(
        &'s mut self,
        name: &'s TableName,
        args: &'s [Expr],
        params: Vec<Value>,
    ) -> BoxFuture<'s, Result<Called>> {
        Box::pin(async move {
            let database = name.database.as_deref().or(self.database.as_deref());
            let database = database.ok_or_else(Error::no_database)?.to_string();
            let catalog = self.instance.catalog.current().await?;
            let full = format!("{database}.{}", name.name);
            let routine = catalog.routine(&database, RoutineKind::Procedure, &name.name).cloned();
            let routine = routine.ok_or_else(|| Error::unknown_procedure(&full))?;
            let tree = routine.tree()?;
            if tree.parameters.len() != args.len() {
                let (expected, got) = (tree.parameters.len(), args.len());
                return Err(Error::wrong_argument_count("PROCEDURE", full, expected, got));
            }
            self.check_calls(&routine, &[])?;
            let mut values = Vec::with_capacity(args.len());
            let mut targets = Vec::new();
            let mut names = Vec::new();
            for (place, (parameter, arg)) in tree.parameters.iter().zip(args).enumerate() {
                let mode = parameter.mode.unwrap_or(ParameterMode::In);
                if mode != ParameterMode::In {
                    let target = self.target(arg);
                    let target = target.ok_or_else(|| Error::not_a_variable(place + 1, &full))?;
                    targets.push(target);
                    names.push(parameter.name.as_str());
                }
                values.push(match mode {
                    ParameterMode::Out => Value::Null,
                    ParameterMode::In | ParameterMode::InOut => {
                        let list = std::slice::from_ref(arg);
                        let value = self.evaluate(list, params.clone()).await?;
                        value.into_iter().next().unwrap_or_default()
                    }
                });
            }
            let around = self.programs.locals.take();
            let ended = self.run_procedure(&routine, &tree, values, &names).await;
            self.programs.locals = around;
            let ended = ended?;
            let mut out = Vec::new();
            if ended.end.is_ok() {
                for (target, value) in targets.into_iter().zip(ended.parameters) {
                    match target {
                        Target::User(name) => self.variables.set_user(&name, value),
                        Target::Local(name) => out.push((name, value)),
                    }
                }
            }
            Ok(Called { results: ended.results, end: ended.end.map(|_| out) })
        })
    }

    /// 1317 when KILL has ended what runs.
    fn check_stopped(&self) -> Result<()> {
        match self.entry.cancel.load(Ordering::Acquire) {
            true => Err(Error::interrupted()),
            false => Ok(()),
        }
    }

    /// 1456 when a procedure is called from within itself too often. `inner` run in a trigger, inside of the session's.
    pub(crate) fn check_calls(
        &self,
        routine: &RoutineDef,
        inner: &[Arc<RoutineDef>],
    ) -> Result<()> {
        let mut running = self.programs.running.clone();
        running.extend(inner.iter().map(|procedure| procedure.id));
        let depth = running.iter().filter(|id| **id == routine.id).count() as u64;
        let limit = self.variables.number("max_sp_recursion_depth");
        if depth > limit {
            return Err(Error::recursion_limit(limit, &routine.name));
        }
        if running.len() >= PROGRAM_CALLS_MAX {
            return Err(Error::not_supported(format!(
                "more than {PROGRAM_CALLS_MAX} calls of procedures inside of each other; use a loop"
            )));
        }
        Ok(())
    }

    /// Where the value of an OUT parameter goes; `None` when it can go nowhere.
    fn target(&self, arg: &Expr) -> Option<Target> {
        match &arg.kind {
            ExprKind::UserVariable(name) => Some(Target::User(name.clone())),
            ExprKind::Column(name) if name.table.is_none() => {
                let locals = self.programs.locals.as_ref()?;
                locals.find(&name.column).map(|local| Target::Local(local.name.clone()))
            }
            _ => None,
        }
    }

    /// Runs the body under the database and the sql_mode that the procedure was made with.
    async fn run_procedure(
        &mut self,
        routine: &RoutineDef,
        tree: &crate::ast::CreateRoutine,
        values: Vec<Value>,
        names: &[&str],
    ) -> Result<Ended> {
        let collation = collation::by_name(&routine.database_collation)?.id;
        let (database, mode) = (self.database.clone(), self.variables.sql_mode());
        let changes_database = database.as_deref() != Some(routine.database.as_str());
        if changes_database {
            let name = routine.database.clone();
            self.enter_database(Some(name.as_str())).await?;
        }
        self.variables.set_sql_mode(routine.sql_mode);
        self.programs.running.push(routine.id);
        let ended = {
            let mut host = SessionHost { session: self };
            let mut run = Run::new(&mut host, collation, Vec::new(), Vec::new());
            let mut declared = Ok(());
            for (parameter, value) in tree.parameters.iter().zip(values) {
                declared = declared.and_then(|()| run.parameter(parameter, value));
            }
            match declared {
                Ok(()) => Ok(run.run(&tree.body.step, names).await),
                Err(error) => Err(error),
            }
        };
        self.programs.running.pop();
        self.variables.set_sql_mode(mode);
        if changes_database {
            self.enter_database(database.as_deref()).await?;
        }
        ended
    }

    /// Makes a database the default one of the statements to come.
    async fn enter_database(&mut self, name: Option<&str>) -> Result<()> {
        let catalog = self.instance.catalog.current().await?;
        self.database = name.map(Into::into);
        self.variables.set_database(Some(&catalog), name);
        Ok(())
    }

    /// SIGNAL, RESIGNAL and GET DIAGNOSTICS outside of programs: a body of one step.
    pub(crate) async fn signal_statement(
        &mut self,
        statement: &Statement,
        met: Vec<Condition>,
    ) -> Result<Outcome> {
        let collation = self.context(Vec::new()).connection_collation;
        let step = Step::Statement(Box::new(statement.clone()));
        let mut host = SessionHost { session: self };
        let run = Run::new(&mut host, collation, Vec::new(), met);
        let ended = run.run(&step, &[]).await;
        self.programs.locals = None;
        ended.end.map(|_| Outcome::done())
    }
}

/// Where the value of an OUT parameter goes.
enum Target {
    /// A user variable.
    User(String),
    /// A variable of the program that calls.
    Local(String),
}

/// The session that a procedure runs in.
struct SessionHost<'a> {
    session: &'a mut Session,
}

impl SessionHost<'_> {
    async fn query(&mut self, query: &Query, locals: Arc<Locals>) -> Result<ResultSet> {
        self.session.programs.locals = Some(locals);
        self.session.check_stopped()?;
        let outcome = self.session.run_query(query, Vec::new()).await;
        let rows = match outcome {
            Ok(Outcome::Rows { columns, rows }) => rows.collect().await.map(|rows| (columns, rows)),
            Ok(_) => Err(Error::internal("a query without rows")),
            Err(error) => Err(error),
        };
        self.session.settle_uses();
        rows.map_err(Error::blocked_as_timeout)
    }

    async fn run(
        &mut self,
        statement: &Statement,
        locals: Arc<Locals>,
    ) -> Result<Option<ResultSet>> {
        // What EXECUTE runs was prepared outside of the program, and sees nothing of it.
        let is_prepared = matches!(statement, Statement::Execute { .. });
        self.session.programs.locals = (!is_prepared).then_some(locals);
        self.session.check_stopped()?;
        let outcome = self.session.run(statement, Vec::new()).await;
        let result = match outcome {
            Ok(Outcome::Rows { columns, rows }) => {
                rows.collect().await.map(|rows| Some((columns, rows)))
            }
            Ok(Outcome::Ok(_)) => Ok(None),
            Ok(Outcome::LocalInfile { .. }) => Err(Error::not_in_programs("LOAD DATA")),
            Ok(Outcome::Many { .. }) => {
                Err(Error::not_supported("EXECUTE of CALL in a stored program; write CALL itself"))
            }
            Err(error) => Err(error),
        };
        self.session.settle_uses();
        result.map_err(Error::blocked_as_timeout)
    }
}

impl Host for SessionHost<'_> {
    fn values<'s>(
        &'s mut self,
        exprs: &'s [Expr],
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Row>> {
        Box::pin(async move {
            self.session.programs.locals = Some(locals);
            let values = self.session.evaluate(exprs, Vec::new()).await;
            self.session.settle_uses();
            values
        })
    }

    fn rows<'s>(
        &'s mut self,
        query: &'s Query,
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<ResultSet>> {
        Box::pin(self.query(query, locals))
    }

    fn statement<'s>(
        &'s mut self,
        statement: &'s Statement,
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Option<ResultSet>>> {
        Box::pin(self.run(statement, locals))
    }

    fn call<'s>(
        &'s mut self,
        name: &'s TableName,
        args: &'s [Expr],
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Called>> {
        self.session.programs.locals = Some(locals);
        self.session.call(name, args, Vec::new())
    }

    fn context(&mut self) -> Arc<EvalContext> {
        match self.session.diagnostics.current() {
            Some(ctx) => ctx,
            None => self.session.context(Vec::new()),
        }
    }
}
