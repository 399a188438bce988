//! A stored function inside of a query.
//!
//! ```text
//! SELECT f(a) FROM t     placeholder of a subquery that reads `a` ──> Apply, per row ──> Call::run ──> the body
//! ```
//!
//! Its queries read in the transaction and at the read point of the statement that calls it. Statements that write are refused:
//! there is no session at hand.
//!
//! Not here: when it is called (`exec::subquery`), how a name is found to be one (`binder`).

use super::frame::{declared_type, taken};
use super::run::Run;
use super::{Called, Host, ResultSet};
use crate::ast::{self, CreateRoutine, Query, SetItem, Statement, TableName};
use crate::binder::{self, BindContext, BoundQuery, Scope};
use crate::catalog::{Catalog, RoutineDef};
use crate::collation::{self, CollationId};
use crate::context::{EvalContext, Locals};
use crate::dml::bind::RowSubqueries;
use crate::exec::{Environment, collect_plan, subquery};
use crate::expr::Expr;
use crate::planner::plan::Subqueries;
use crate::types::SqlType;
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::Rng;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;

/// A call of a function.
#[derive(Debug)]
pub struct Call {
    routine: Arc<RoutineDef>,
    tree: CreateRoutine,
    /// The type of RETURNS.
    returns: SqlType,
    collation: CollationId,
    /// What names in its body mean.
    catalog: Arc<Catalog>,
    /// The functions that run then, itself among them.
    functions: Vec<String>,
}

impl Call {
    /// A call of this function where `running` run already.
    ///
    /// # Errors
    /// 1424 when it is one of them.
    pub(crate) fn of(
        routine: &Arc<RoutineDef>,
        catalog: &Arc<Catalog>,
        running: &[String],
    ) -> Result<Call> {
        let name = routine.qualified_name().to_lowercase();
        if running.contains(&name) {
            return Err(Error::recursive_function());
        }
        let mut functions = running.to_vec();
        functions.push(name);
        let tree = routine.tree()?;
        let collation = collation::by_name(&routine.database_collation)?.id;
        let returns = match &tree.returns {
            Some(ty) => declared_type("", ty, collation)?,
            None => return Err(Error::internal("a function without RETURNS")),
        };
        let (routine, catalog) = (routine.clone(), catalog.clone());
        Ok(Call { routine, tree, returns, collation, catalog, functions })
    }

    /// `database.function`.
    pub(crate) fn name(&self) -> String {
        self.routine.qualified_name()
    }

    /// DETERMINISTIC: equal arguments have equal results within a statement.
    pub(crate) fn is_deterministic(&self) -> bool {
        self.routine.deterministic
    }

    /// The type of its value.
    pub(crate) fn ty(&self) -> SqlType {
        self.returns.shown().with_nullable(true)
    }

    /// How many arguments it takes.
    pub(crate) fn arguments(&self) -> usize {
        self.tree.parameters.len()
    }

    /// Its value for these arguments.
    pub(crate) fn run<'a>(
        &'a self,
        args: Vec<Value>,
        environment: &'a Environment,
    ) -> BoxFuture<'a, Result<Value>> {
        Box::pin(async move {
            environment.ctx.check_cancel()?;
            let ctx = Arc::new(self.context(&environment.ctx, Arc::default()));
            let mut host = QueryHost { call: self, environment, ctx };
            let mut run = Run::new(&mut host, self.collation, self.functions.clone(), Vec::new());
            for (parameter, value) in self.tree.parameters.iter().zip(args) {
                run.parameter(parameter, value)?;
            }
            let ended = run.run(&self.tree.body.step, &[]).await;
            for warning in host.ctx.warnings.to_vec() {
                environment.ctx.warnings.push(warning.level, warning.code, warning.message);
            }
            let value =
                ended.end?.ok_or_else(|| Error::function_without_return(&self.routine.name))?;
            let returned = format!("{}()", self.routine.name);
            taken(value, &self.returns, &returned, &host.ctx)
        })
    }

    /// The context of a statement of its body.
    fn context(&self, outer: &EvalContext, locals: Arc<Locals>) -> EvalContext {
        let mut ctx = outer.under(outer.connection_collation);
        ctx.sql_mode = self.routine.sql_mode;
        ctx.database = Some(self.routine.database.clone());
        ctx.cte_max_recursion_depth = outer.cte_max_recursion_depth;
        ctx.rng = Mutex::new(Rng::seeded(outer.rng.lock().next_u64()));
        ctx.locals = Some(locals);
        ctx.strict_dml = false;
        if outer.reads_near() {
            ctx.read_near();
        }
        ctx
    }
}

/// The query that calls a function.
struct QueryHost<'a> {
    call: &'a Call,
    environment: &'a Environment,
    /// Of the last statement.
    ctx: Arc<EvalContext>,
}

impl QueryHost<'_> {
    /// What the next statement works with.
    fn environment(&mut self, locals: Arc<Locals>) -> Environment {
        self.ctx = Arc::new(self.call.context(&self.environment.ctx, locals));
        let mut environment = self.environment.clone();
        environment.ctx = self.ctx.clone();
        environment
    }

    fn bind(&self) -> BindContext<'_> {
        let database = Some(self.call.routine.database.clone());
        BindContext::new(self.call.catalog.clone(), database, &self.ctx)
    }

    fn bind_exprs(&self, exprs: &[ast::Expr]) -> Result<(Vec<Expr>, Subqueries)> {
        let mut bind = self.bind();
        let scope = Scope::default();
        let mut bound = Vec::with_capacity(exprs.len());
        for expr in exprs {
            bound.push(binder::bind_expr_in(expr, &scope, "field list", &mut bind)?);
        }
        Ok((bound, bind.subqueries))
    }

    fn bind_query(&self, query: &Query) -> Result<BoundQuery> {
        let bound = binder::bind_query(query, &mut self.bind())?;
        if !bound.locks.is_empty() || !bound.sources.points.is_empty() {
            return Err(Error::not_supported(
                "FOR UPDATE, FOR SHARE and AS OF in a stored function; read the rows in a procedure",
            ));
        }
        Ok(bound)
    }

    async fn evaluate(&mut self, exprs: &[ast::Expr], locals: Arc<Locals>) -> Result<Row> {
        let environment = self.environment(locals);
        let (bound, mut subqueries) = self.bind_exprs(exprs)?;
        let bound = subquery::resolve_exprs(bound, &mut subqueries, &environment).await?;
        let mut waiting = RowSubqueries::of(&bound, &subqueries, &environment)?;
        let mut row = Vec::with_capacity(bound.len());
        for expr in &bound {
            let expr = waiting.settle(expr, &[]).await?;
            row.push(expr.eval(&[], &environment.ctx)?);
        }
        Ok(row)
    }

    async fn query(&mut self, query: &Query, locals: Arc<Locals>) -> Result<ResultSet> {
        let environment = self.environment(locals);
        let bound = self.bind_query(query)?;
        let mut subqueries = bound.subqueries;
        let plan = subquery::resolve(bound.plan, &mut subqueries, &environment).await?;
        let rows = collect_plan(plan, subqueries, &environment, usize::MAX).await?;
        Ok((bound.columns.into(), rows))
    }

    async fn set(&mut self, item: &SetItem, locals: Arc<Locals>) -> Result<()> {
        let SetItem::User { name, value } = item else {
            return Err(Error::not_supported(
                "SET of a system variable in a stored function; set it before the statement that calls the function",
            ));
        };
        let values = self.evaluate(std::slice::from_ref(value), locals).await?;
        self.ctx.vars.set_user(name, values.into_iter().next().unwrap_or_default());
        Ok(())
    }
}

impl Host for QueryHost<'_> {
    fn values<'s>(
        &'s mut self,
        exprs: &'s [ast::Expr],
        locals: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Row>> {
        Box::pin(self.evaluate(exprs, locals))
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
        Box::pin(async move {
            match statement {
                Statement::Set(items) => {
                    for item in items {
                        self.set(item, locals.clone()).await?;
                    }
                    Ok(None)
                }
                Statement::Do(exprs) => {
                    self.evaluate(exprs, locals).await?;
                    Ok(None)
                }
                _ => Err(Error::not_supported(
                    "a statement in a stored function that is no query with INTO and no SET; run it in a procedure",
                )),
            }
        })
    }

    fn call<'s>(
        &'s mut self,
        _: &'s TableName,
        _: &'s [ast::Expr],
        _: Arc<Locals>,
    ) -> BoxFuture<'s, Result<Called>> {
        Box::pin(async {
            Err(Error::not_supported("CALL in a stored function; call the procedure before"))
        })
    }

    fn context(&mut self) -> Arc<EvalContext> {
        self.ctx.clone()
    }
}
