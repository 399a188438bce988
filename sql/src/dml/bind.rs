//! Expressions of INSERT, UPDATE, DELETE, SET and the like: bound over one scope, with their subqueries.
//!
//! ```text
//! subquery that reads nothing of the row      runs once, becomes a constant or a list
//! subquery that does, or has very many rows   UPDATE and DELETE: its value is put in row by row
//! ```

use crate::ast::{self, ColumnName, ExprKind as AstKind};
use crate::binder::{self, BindContext, Scope, Sources};
use crate::catalog::TableDef;
use crate::catalog::information_schema::SystemTables;
use crate::context::EvalContext;
use crate::exec::{self, subquery::Evaluator};
use crate::expr::{Expr, ExprKind};
use crate::planner::plan::{SUBQUERY, Subqueries, subqueries_of};
use crate::session::Session;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::value::{Decimal, Value};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Binds expressions over a scope and runs their subqueries. Where only one row is at hand, a subquery
/// that needs another one is refused.
pub(crate) async fn exprs(
    session: &Session,
    list: &[&ast::Expr],
    scope: &Scope,
    clause: &'static str,
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<Vec<Expr>> {
    let RowExprs { exprs, mut subqueries } =
        row_exprs(session, list, scope, clause, env, txn).await?;
    if subqueries.is_empty() {
        return Ok(exprs);
    }
    if subqueries.depend_on_row() {
        return Err(Error::not_supported("a correlated subquery here: SELECT its value first"));
    }
    // Functions of constants.
    let mut settled = Vec::with_capacity(exprs.len());
    for expr in &exprs {
        settled.push(subqueries.settle(expr, &[]).await?);
    }
    Ok(settled)
}

/// Expressions and the subqueries in them that have a value of their own for each row.
pub(crate) struct RowExprs {
    /// The expressions; placeholders stand for such subqueries.
    pub(crate) exprs: Vec<Expr>,
    /// The subqueries.
    pub(crate) subqueries: RowSubqueries,
}

/// Subqueries that are evaluated row by row.
#[derive(Default)]
pub(crate) struct RowSubqueries {
    /// By number.
    evaluators: BTreeMap<usize, Evaluator>,
}

impl RowSubqueries {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.evaluators.is_empty()
    }

    /// Those that stand in these expressions, which have been resolved.
    pub(crate) fn of(
        exprs: &[Expr],
        subqueries: &Subqueries,
        environment: &exec::Environment,
    ) -> Result<RowSubqueries> {
        let mut evaluators = BTreeMap::new();
        for number in exprs.iter().flat_map(subqueries_of) {
            if let Entry::Vacant(entry) = evaluators.entry(number) {
                entry.insert(Evaluator::new(number, subqueries, environment)?);
            }
        }
        Ok(RowSubqueries { evaluators })
    }

    /// Whether one of them reads the row.
    fn depend_on_row(&self) -> bool {
        self.evaluators.values().any(Evaluator::depends_on_row)
    }

    /// The expression for one row: values stand where placeholders stood. The transaction must not be
    /// locked, because a subquery reads through it.
    pub(crate) async fn settle(&mut self, expr: &Expr, row: &[Value]) -> Result<Expr> {
        let mut known = BTreeMap::new();
        for number in subqueries_of(expr) {
            let evaluator = self
                .evaluators
                .get_mut(&number)
                .ok_or_else(|| Error::internal("a subquery without its evaluator"))?;
            known.insert(number, evaluator.value(row).await?);
        }
        Ok(put_values(expr, &known))
    }
}

/// Whether an expression waits for a subquery's value.
pub(crate) fn has_subquery(expr: &Expr) -> bool {
    !subqueries_of(expr).is_empty()
}

fn put_values(expr: &Expr, known: &BTreeMap<usize, Value>) -> Expr {
    if let ExprKind::Column(column) = expr.kind
        && let Some(value) = column.checked_sub(SUBQUERY).and_then(|number| known.get(&number))
    {
        return exec::subquery::literal(expr.ty, value.clone());
    }
    expr.map_operands(&mut |operand| put_values(operand, known))
}

/// As [`exprs`], with subqueries that need the row.
pub(crate) async fn row_exprs(
    session: &Session,
    list: &[&ast::Expr],
    scope: &Scope,
    clause: &'static str,
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<RowExprs> {
    let tables = session.virtual_tables(&env.catalog);
    let warnings = env.ctx.warnings.count();
    let (mut bound, mut subqueries, mut sources) =
        over(session, list, scope, clause, env, &tables)?;
    if tables.is_incomplete() {
        env.ctx.warnings.forget_after(warnings);
        let tables = tables.completed(&env.ctx).await?;
        (bound, subqueries, sources) = over(session, list, scope, clause, env, &tables)?;
    }
    if subqueries.is_empty() {
        return Ok(RowExprs { exprs: bound, subqueries: RowSubqueries::default() });
    }
    session.check_sources(&sources, txn).await?;
    let temp_dir = &session.instance.config.temp_dir;
    let environment = exec::Environment::new(txn.clone(), env.ctx.clone(), temp_dir).await?;
    let exprs = exec::subquery::resolve_exprs(bound, &mut subqueries, &environment).await?;
    let subqueries = RowSubqueries::of(&exprs, &subqueries, &environment)?;
    Ok(RowExprs { exprs, subqueries })
}

/// Binds expressions and the queries inside them over some computed tables.
fn over(
    session: &Session,
    list: &[&ast::Expr],
    scope: &Scope,
    clause: &'static str,
    env: &StatementContext,
    tables: &SystemTables,
) -> Result<(Vec<Expr>, Subqueries, Sources)> {
    let database = session.default_database().as_deref().map(str::to_string);
    let mut bind =
        BindContext::new(env.catalog.clone(), database, &env.ctx).with_virtual_tables(tables);
    bind.enter_with(env.with.as_ref())?;
    let mut bound = Vec::with_capacity(list.len());
    for expr in list {
        bound.push(binder::bind_expr_in(expr, scope, clause, &mut bind)?);
    }
    Ok((bound, bind.subqueries, bind.sources))
}

/// The value of a literal that needs no binding: the fast way of long VALUES lists.
pub(crate) fn literal(expr: &ast::Expr, ctx: &EvalContext) -> Option<Value> {
    use ast::Literal;
    match &expr.kind {
        AstKind::Literal(literal) => Some(match literal {
            Literal::Null => Value::Null,
            Literal::Bool(value) => Value::Int(i64::from(*value)),
            Literal::Integer(value) => {
                i64::try_from(*value).map_or(Value::UInt(*value), Value::Int)
            }
            Literal::Decimal(text) => Value::Decimal(Decimal::from_text(text)?),
            Literal::Double(text) => Value::Double(text.parse().ok()?),
            Literal::String { value, charset: None, .. } => Value::Text(value.clone()),
            Literal::Bytes { value, charset: None, .. } => Value::Bytes(value.clone()),
            Literal::Bytes { value, charset: Some(charset), .. } if charset == "binary" => {
                Value::Bytes(value.clone())
            }
            _ => return None,
        }),
        AstKind::Unary { op: ast::UnaryOp::Minus, operand } => match &operand.kind {
            AstKind::Literal(Literal::Integer(value)) => {
                i64::try_from(*value).ok().map(|value| Value::Int(-value))
            }
            _ => None,
        },
        AstKind::Param(position) => ctx.params.get(*position).cloned(),
        AstKind::Column(name) if name.table.is_none() => {
            let local = ctx.locals.as_ref()?.find(&name.column)?;
            Some(local.value.clone())
        }
        _ => None,
    }
}

/// Whether an expression is DEFAULT, or DEFAULT(c) of the column it is assigned to.
pub(crate) fn is_default(expr: &ast::Expr, column: &str) -> bool {
    match &expr.kind {
        AstKind::Default(None) => true,
        AstKind::Default(Some(name)) => name.column.eq_ignore_ascii_case(column),
        _ => false,
    }
}

/// The position of a column that a statement assigns; 1054 in this clause when there is none.
pub(crate) fn target(
    name: &ColumnName,
    table: &TableDef,
    alias: &str,
    clause: &'static str,
) -> Result<usize> {
    let fits = name.table.as_deref().is_none_or(|named| named == alias)
        && name.database.as_deref().is_none_or(|named| named == table.database);
    let column = if fits { table.column(&name.column) } else { None };
    column.ok_or_else(|| Error::unknown_column(name, clause))
}

/// The columns of a table and, behind them, those of the row that was to be inserted, under another
/// table name. A bare name means one of the first, or one that only the new row has.
pub(crate) fn scope_with_new_row(table: &Arc<TableDef>, alias: &str, names: &[String]) -> Scope {
    let mut scope = Scope::of_table(table, &table.name);
    let mut new = Scope::of_table(table, alias);
    for (position, column) in new.columns.iter_mut().enumerate() {
        column.hidden = true;
        if let Some(name) = names.get(position) {
            column.hidden = table.column(name).is_some();
            column.name.clone_from(name);
        }
    }
    scope.append(new, false);
    scope
}

/// Replaces each `VALUES(column)` of ON DUPLICATE KEY UPDATE by a column. Those inside subqueries stay
/// and are refused by the binder.
pub(crate) fn replace_values(
    expr: &mut ast::Expr,
    replace: &mut dyn FnMut(&ColumnName) -> ColumnName,
) {
    visit(expr, &mut |part| {
        if let AstKind::Values(name) = &part.kind {
            part.kind = AstKind::Column(replace(name));
        }
        false
    });
}

/// Visits an expression and its parts, outside in and left to right. The parts of one for which `enter` answers true are left
/// alone, and so are queries inside.
pub(crate) fn visit(expr: &mut ast::Expr, enter: &mut dyn FnMut(&mut ast::Expr) -> bool) {
    use AstKind::*;
    if enter(expr) {
        return;
    }
    match &mut expr.kind {
        Unary { operand, .. }
        | Is { operand, .. }
        | Cast { operand, .. }
        | ConvertUsing { operand, .. }
        | Collate { operand, .. }
        | Extract { operand, .. }
        | InSubquery { operand, .. }
        | GetFormat { operand, .. }
        | WeightString { operand, .. } => visit(operand, enter),
        Assign { value, .. } => visit(value, enter),
        Binary { left, right, .. } => {
            visit(left, enter);
            visit(right, enter);
        }
        Between { operand, low, high, .. } => {
            for part in [operand, low, high] {
                visit(part, enter);
            }
        }
        InList { operand, list, .. } => {
            visit(operand, enter);
            list.iter_mut().for_each(|item| visit(item, enter));
        }
        Like { operand, pattern, escape, .. } => {
            visit(operand, enter);
            visit(pattern, enter);
            if let Some(escape) = escape {
                visit(escape, enter);
            }
        }
        Regexp { operand, pattern, .. } => {
            visit(operand, enter);
            visit(pattern, enter);
        }
        MemberOf { value, array } => {
            visit(value, enter);
            visit(array, enter);
        }
        Case { operand, whens, otherwise } => {
            for part in operand.iter_mut().chain(otherwise) {
                visit(part, enter);
            }
            for (when, then) in whens {
                visit(when, enter);
                visit(then, enter);
            }
        }
        Function { args, .. } | Char { args, .. } | Sequence { args, .. } | Row(args) => {
            args.iter_mut().for_each(|arg| visit(arg, enter));
        }
        DateArithmetic { operand, amount, .. } => {
            visit(operand, enter);
            visit(amount, enter);
        }
        TimestampDiff { from, to, .. } => {
            visit(from, enter);
            visit(to, enter);
        }
        Trim { what, operand, .. } => {
            if let Some(what) = what {
                visit(what, enter);
            }
            visit(operand, enter);
        }
        Values(_)
        | Literal(_)
        | Param(_)
        | Column(_)
        | UserVariable(_)
        | SystemVariable { .. }
        | Aggregate(_)
        | Window { .. }
        | Grouping(_)
        | Default(_)
        | Subquery(_)
        | Exists(_)
        | Quantified { .. }
        | Match { .. }
        | JsonPath { .. } => {}
    }
}
