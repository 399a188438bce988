//! From a syntax tree to a logical plan: names become columns, calls become typed expressions.
//!
//! ```text
//! ast::Query ──> FROM ──> WHERE ──> GROUP BY, aggregates ──> HAVING ──> select list
//!                  └ scope: what names mean                      └──> DISTINCT ──> ORDER BY ──> LIMIT
//! ```
//!
//! Subqueries are bound in place. In the expression they leave a placeholder column
//! (`planner::plan::SUBQUERY`), in [`BindContext::subqueries`] their plan. A name that is not found in
//! its own query is looked for in the enclosing ones; then the subquery gets an *outer value*.
//!
//! Reading order: `scope` (what names mean), `expr`, `subquery`, `from`, `view`, `select`, `group`, `query`, `with`, `lateral`.
//!
//! Invariants:
//! 1. A bound query holds no AST: it can be kept and run again, also with other parameter values of
//!    the same types.
//! 2. Binding reads no table and changes nothing but the [`BindContext`].
//!
//! Not here: the choice of indexes and join order (`planner`, `access`), types of operators (`expr`).

pub mod aggregate;
pub mod expr;
pub mod from;
pub mod group;
mod lateral;
pub mod query;
pub mod rewrite;
pub mod scope;
pub mod select;
pub mod subquery;
pub(crate) mod view;
pub(crate) mod window;
mod with;

use crate::ast;
use crate::catalog::{Catalog, TableDef};
use crate::context::EvalContext;
use crate::expr::Expr;
use crate::planner;
use crate::planner::plan::{Plan, Subqueries};
use crate::session::ColumnMeta;
use crate::types::SqlType;
use crate::{Error, Result};
use base::{TableId, Timestamp};
use std::sync::Arc;

pub use scope::{Scope, ScopeColumn};

/// What binding needs to know, and what it collects.
pub struct BindContext<'a> {
    /// The definitions that names refer to.
    pub catalog: Arc<Catalog>,
    /// The default database.
    pub database: Option<String>,
    /// The statement's context: sql_mode, collations, parameter values.
    pub ctx: &'a EvalContext,
    /// Rows of tables that are computed (information_schema); `None` refuses them.
    pub virtual_tables: Option<&'a dyn VirtualTables>,
    /// The subqueries bound so far; expressions refer to them by number.
    pub subqueries: Subqueries,
    /// The tables named so far, and when they are read.
    pub sources: Sources,
    /// Queries and expressions that are being bound inside each other, against endless recursion.
    pub(crate) depth: usize,
    /// The enclosing queries.
    pub(crate) stack: Vec<Entry>,
    /// Queries that WITH names, the innermost last.
    pub(crate) named: Vec<with::Named>,
    /// Entries of the stack that do not enclose the named query that is being bound.
    pub(crate) hidden: Vec<std::ops::Range<usize>>,
    /// How often named queries have been bound.
    pub(crate) bindings: usize,
    /// Whether a named query is read somewhere.
    pub(crate) reads_named: bool,
    /// The views around the place at hand.
    pub(crate) views: view::Views,
}

/// Where rows of computed tables come from.
pub trait VirtualTables {
    /// The table, when it exists.
    fn table(&self, database: &str, name: &str) -> Result<Option<VirtualRows>>;
}

/// A computed table.
pub struct VirtualRows {
    /// Names and types.
    pub columns: Vec<(String, SqlType)>,
    /// Rows.
    pub rows: Vec<crate::value::Row>,
}

impl<'a> BindContext<'a> {
    /// A context that has bound nothing.
    pub fn new(
        catalog: Arc<Catalog>,
        database: Option<String>,
        ctx: &'a EvalContext,
    ) -> BindContext<'a> {
        BindContext {
            catalog,
            database,
            ctx,
            virtual_tables: None,
            subqueries: Vec::new(),
            sources: Sources::default(),
            depth: 0,
            stack: Vec::new(),
            named: Vec::new(),
            hidden: Vec::new(),
            bindings: 0,
            reads_named: false,
            views: view::Views::default(),
        }
    }

    /// The same with computed tables.
    #[must_use]
    pub fn with_virtual_tables(mut self, tables: &'a dyn VirtualTables) -> BindContext<'a> {
        self.virtual_tables = Some(tables);
        self
    }
}

/// The tables that a query reads, those of its subqueries included, and when.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Tables of the catalog.
    pub tables: Vec<Arc<TableDef>>,
    /// The name that each of them has in the statement; inside of views behind theirs (`view`).
    pub names: Vec<String>,
    /// AS OF TIMESTAMP of each table that has it: constants.
    pub points: Vec<Expr>,
    /// The time that those points say, once they have been evaluated.
    pub chosen: Option<Timestamp>,
    /// Whether some table has none.
    pub now: bool,
    /// Temporary tables, and their names here.
    pub temporary: Vec<(TableId, String)>,
}

/// A query that is ready to be planned.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    /// Columns of the result.
    pub columns: Vec<ColumnMeta>,
    /// What is done.
    pub plan: Plan,
    /// Subqueries of its expressions, by number.
    pub subqueries: Subqueries,
    /// What it reads, and when.
    pub sources: Sources,
    /// FOR UPDATE or FOR SHARE: the tables whose rows are locked.
    pub locks: Vec<ast::LockClause>,
    /// Whether SQL_CALC_FOUND_ROWS was asked for.
    pub calc_found_rows: bool,
}

/// A result column while it is bound.
#[derive(Clone, Debug)]
pub struct BoundColumn {
    /// What the client is told.
    pub meta: ColumnMeta,
    /// Its type.
    pub ty: SqlType,
}

/// A part of the stack of enclosing queries, outermost first.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A query block whose columns can be named.
    Level(Level),
    /// The border of a subquery: what lies below is outer.
    Frame {
        /// Outer values of the subquery, as expressions of the block below the border.
        outer: Vec<Expr>,
    },
}

/// A query block while its expressions are bound.
#[derive(Debug, Default)]
pub(crate) struct Level {
    /// Columns of FROM.
    pub scope: Scope,
    /// Names of select items and what they are, once the select list is bound.
    pub aliases: Vec<(String, Expr)>,
    /// Names are looked up in `aliases` before `scope`.
    pub aliases_first: bool,
    /// Columns of FROM that GROUP BY names: they win over aliases in HAVING.
    pub grouped: Vec<usize>,
    /// Aggregates found so far; `None` where none may stand.
    pub aggregates: Option<Vec<crate::planner::plan::Aggregate>>,
    /// Arguments of GROUPING() calls.
    pub groupings: Vec<Vec<Expr>>,
    /// Window functions found so far; `None` where none may stand.
    pub windows: Option<Vec<window::Windowed>>,
    /// The WINDOW clause.
    pub named_windows: Vec<(String, ast::WindowSpec)>,
    /// Whether a window function is being bound.
    pub in_window: bool,
    /// Whether the arguments of an aggregate are being bound.
    pub in_aggregate: bool,
    /// The clause that errors name.
    pub clause: &'static str,
}

/// Most queries and expressions inside each other.
const DEPTH_MAX: usize = 400;

impl BindContext<'_> {
    /// Binds `work` one step deeper.
    pub(crate) fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(Error::not_supported(format!(
                "expressions and queries nested more than {DEPTH_MAX} deep; split the statement"
            )));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    /// An expression that says when to read: it stands for itself, so no column and no subquery is at hand.
    pub(crate) fn point(&self, expr: &ast::Expr) -> Result<Expr> {
        let mut alone = BindContext::new(self.catalog.clone(), self.database.clone(), self.ctx);
        let point = bind_expr_in(expr, &Scope::default(), "as of clause", &mut alone)?;
        match alone.subqueries.is_empty() {
            true => Ok(point),
            false => Err(Error::invalid_as_of(
                "a subquery cannot say when; put its value into a user variable before",
            )),
        }
    }

    /// Binds `work` inside a query block.
    pub(crate) fn in_level<T>(
        &mut self,
        level: Level,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Level)> {
        self.stack.push(Entry::Level(level));
        let result = work(self);
        match (self.stack.pop(), result) {
            (Some(Entry::Level(level)), Ok(value)) => Ok((value, level)),
            (_, Err(error)) => Err(error),
            (_, Ok(_)) => Err(Error::internal("a query block did not end where it began")),
        }
    }

    /// The query block that is being bound.
    pub(crate) fn level(&mut self) -> Result<&mut Level> {
        match self.stack.last_mut() {
            Some(Entry::Level(level)) => Ok(level),
            _ => Err(Error::internal("an expression outside of every query block")),
        }
    }
}

/// Binds a whole query. INTO at its end is left to the caller.
pub fn bind_query(query: &ast::Query, bind: &mut BindContext<'_>) -> Result<BoundQuery> {
    let (plan, columns) = bind.query(query)?;
    if bind.reads_named && !query.locks.is_empty() {
        return Err(Error::not_supported(
            "FOR UPDATE and FOR SHARE of a query that reads one of WITH: lock the rows with a SELECT of its own before",
        ));
    }
    let plan = planner::shared::inline(plan, &bind.subqueries);
    Ok(BoundQuery {
        columns: columns.into_iter().map(|column| column.meta).collect(),
        plan,
        subqueries: std::mem::take(&mut bind.subqueries),
        sources: std::mem::take(&mut bind.sources),
        locks: query.locks.clone(),
        calc_found_rows: matches!(&query.body, ast::QueryBody::Select(select)
            if select.options.calc_found_rows),
    })
}

/// Binds an expression over the columns of a scope; aggregates may not stand in it. Subqueries leave
/// placeholders, see `exec::subquery`.
pub fn bind_expr(expr: &ast::Expr, scope: &Scope, bind: &mut BindContext<'_>) -> Result<Expr> {
    bind_expr_in(expr, scope, "field list", bind)
}

/// The same; errors name this clause, for example `where clause`.
pub fn bind_expr_in(
    expr: &ast::Expr,
    scope: &Scope,
    clause: &'static str,
    bind: &mut BindContext<'_>,
) -> Result<Expr> {
    let level = Level { scope: scope.clone(), clause, ..Level::default() };
    Ok(bind.in_level(level, |bind| bind.expr(expr))?.0)
}

/// Binds a condition and splits it at its ANDs.
pub fn bind_condition(
    expr: &ast::Expr,
    scope: &Scope,
    bind: &mut BindContext<'_>,
) -> Result<Vec<Expr>> {
    Ok(bind_expr_in(expr, scope, "where clause", bind)?.conjuncts())
}

/// The joined rows of FROM for which a condition is true, all columns of them as they are stored, and what names mean in
/// them: what UPDATE and DELETE of several tables start from.
pub(crate) fn bind_rows(
    from: &[ast::TableRef],
    filter: Option<&ast::Expr>,
    bind: &mut BindContext<'_>,
) -> Result<(Plan, Scope)> {
    let source = bind.bind_from(from, false)?;
    let conjuncts = match filter {
        Some(filter) => bind_condition(filter, &source.scope, bind)?,
        None => Vec::new(),
    };
    let plan = select::filtered(source.plan, conjuncts);
    Ok((planner::shared::inline(plan, &bind.subqueries), source.scope))
}
