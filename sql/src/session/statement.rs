//! One statement from text or tree to outcome: its context, its warnings, its error.
//!
//! ```text
//! text ──parse──> Statement ──dispatch──┬─> change: INSERT, UPDATE, DELETE with attempts and commit
//!                                       ├─> query, transaction, variables, show, … (their own files)
//!                                       └─> ddl
//! ```
//!
//! Parts: `dispatch` (who does which statement), `change` (those that change rows).

mod change;
mod dispatch;

use super::Outcome;
use super::call::Programs;
use super::connection::Session;
use super::locking::Locking;
use super::replica_read::hint_of;
use crate::catalog::Catalog;
use crate::context::{EvalContext, Level, Warning};
use crate::lexer::ParseMode;
use crate::value::Value;
use crate::{Error, Result, ast, parser};
use std::sync::Arc;
use std::sync::atomic::Ordering;

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

    /// The statement has ended with an error.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.error =
            Some(Warning { level: Level::Error, code: error.code, message: error.message.clone() });
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
    /// WITH before an UPDATE or DELETE: what its expressions may name.
    pub(crate) with: Option<ast::With>,
}

impl StatementContext {
    /// The same for a statement behind this WITH.
    pub(crate) fn with_named(&self, with: &Option<ast::With>) -> StatementContext {
        StatementContext {
            catalog: self.catalog.clone(),
            ctx: self.ctx.clone(),
            locking: self.locking,
            with: with.clone(),
        }
    }
}

/// How a mode of reading text follows from sql_mode.
pub(crate) fn parse_mode(mode: crate::context::SqlMode) -> ParseMode {
    mode.parse_mode()
}

impl Session {
    /// Marks the start of a command: the process list shows it, an old KILL QUERY is forgotten.
    pub(super) fn begin_command(&mut self, sql: Option<&str>) {
        self.instance.questions.fetch_add(1, Ordering::Relaxed);
        self.entry.stopped.store(false, Ordering::Release);
        self.entry.cancel.store(false, Ordering::Release);
        // A statement that was broken off may have left its own.
        self.part = None;
        self.programs = Programs::default();
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
            self.diagnostics.fail(error);
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
        ctx.temporary = self.visible_temporary();
        ctx.locals = self.programs.locals.clone();
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
        ctx.temporary = self.visible_temporary();
        ctx.locals = self.programs.locals.clone();
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
