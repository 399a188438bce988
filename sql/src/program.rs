//! Stored programs at work: an interpreter that walks the tree of a body.
//!
//! ```text
//! CALL p(…)   ──> session::call ──> Run over the tree ──> Host: the session      any statement, result sets
//! … f(a) …    ──> exec::subquery ─> Run over the tree ──> Host: the query        reads only, one value
//! ```
//!
//! A step ends with a [`run::Flow`]: go on, leave a labelled block, begin it again, return. An error looks for a handler in the
//! blocks around it, the innermost first; without one it ends the program.
//!
//! Reading order: this file (what a program needs of the world), `run` (steps), `frame` (blocks, variables, cursors), `handle`
//! (conditions and their handlers), `condition`, `signal` (SIGNAL, RESIGNAL, GET DIAGNOSTICS), `check` (what CREATE refuses),
//! `function` (a function inside of a query).
//!
//! Invariants:
//! 1. Each loop looks at the cancel flag in every round: KILL ends a program between two steps.
//! 2. Handlers see the blocks around the one that declares them, never those inside.
//!
//! Not here: definitions (`catalog::routine`, `ddl::routine`), CALL itself (`session::call`).

pub(crate) mod check;
pub(crate) mod condition;
mod frame;
pub(crate) mod function;
mod handle;
pub(crate) mod run;
mod signal;

use crate::Result;
use crate::ast::{Expr, Query, Statement, TableName};
use crate::context::{EvalContext, Locals};
use crate::session::ColumnMeta;
use crate::value::{Row, Value};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Rows in memory, and what they are.
pub(crate) type ResultSet = (Arc<[ColumnMeta]>, Vec<Row>);

/// What a CALL inside of a program leaves behind.
pub(crate) struct Called {
    /// Result sets, in order.
    pub(crate) results: Vec<ResultSet>,
    /// How it ended; with the values of OUT and INOUT for variables of the program that calls.
    pub(crate) end: Result<Vec<(String, Value)>>,
}

/// The world outside of a program.
pub(crate) trait Host: Send {
    /// Values of expressions.
    fn values<'s>(
        &'s mut self,
        exprs: &'s [Expr],
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Row>>;

    /// The rows of a query that has no INTO.
    fn rows<'s>(
        &'s mut self,
        query: &'s Query,
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<ResultSet>>;

    /// Runs any other statement; its rows, when it has some.
    fn statement<'s>(
        &'s mut self,
        statement: &'s Statement,
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Option<ResultSet>>>;

    /// Runs CALL.
    fn call<'s>(
        &'s mut self,
        name: &'s TableName,
        args: &'s [Expr],
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Called>>;

    /// The context of the last of these: its warnings, the cancel flag.
    fn context(&mut self) -> Arc<EvalContext>;
}
