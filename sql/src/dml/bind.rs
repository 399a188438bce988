//! Expressions of INSERT, UPDATE, DELETE, SET and the like: bound over one scope, subqueries run first.
//!
//! A subquery that reads nothing of the statement's row is executed once and becomes a constant. One
//! that does is refused here: UPDATE and DELETE evaluate row by row and have no `Apply`.

use crate::ast::{self, ColumnName, ExprKind};
use crate::binder::{self, BindContext, Scope};
use crate::catalog::TableDef;
use crate::context::EvalContext;
use crate::exec;
use crate::expr::Expr;
use crate::planner::plan::SUBQUERY;
use crate::session::Session;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::value::{Decimal, Value};
use crate::{Error, Result};
use std::sync::Arc;

/// Binds expressions over a scope and runs their subqueries.
pub(crate) async fn exprs(
    session: &Session,
    list: &[&ast::Expr],
    scope: &Scope,
    clause: &'static str,
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<Vec<Expr>> {
    let (bound, mut subqueries) = {
        let tables = session.virtual_tables(&env.catalog);
        let database = session.database.as_deref().map(str::to_string);
        let mut bind = BindContext::new(env.catalog.clone(), database, &env.ctx)
            .with_virtual_tables(&tables);
        let mut bound = Vec::with_capacity(list.len());
        for expr in list {
            bound.push(binder::bind_expr_in(expr, scope, clause, &mut bind)?);
        }
        (bound, std::mem::take(&mut bind.subqueries))
    };
    if subqueries.is_empty() {
        return Ok(bound);
    }
    let temp_dir = &session.instance.config.temp_dir;
    let environment = exec::Environment::new(txn.clone(), env.ctx.clone(), temp_dir)?;
    let bound = exec::subquery::resolve_exprs(bound, &mut subqueries, &environment).await?;
    let is_left = |expr: &Expr| matches!(expr.kind, crate::expr::ExprKind::Column(c) if c >= SUBQUERY);
    if bound.iter().any(|expr| expr.any(&is_left)) {
        return Err(Error::not_supported(
            "a correlated or very large subquery here: SELECT the keys first, then change those rows",
        ));
    }
    Ok(bound)
}

/// The value of a literal that needs no binding: the fast way of long VALUES lists.
pub(crate) fn literal(expr: &ast::Expr, ctx: &EvalContext) -> Option<Value> {
    use ast::Literal;
    match &expr.kind {
        ExprKind::Literal(literal) => Some(match literal {
            Literal::Null => Value::Null,
            Literal::Bool(value) => Value::Int(i64::from(*value)),
            Literal::Integer(value) => {
                i64::try_from(*value).map_or(Value::UInt(*value), Value::Int)
            }
            Literal::Decimal(text) => Value::Decimal(Decimal::from_text(text)?),
            Literal::Double(text) => Value::Double(text.parse().ok()?),
            Literal::String { value, charset: None, .. } => Value::Text(value.clone()),
            Literal::Bytes { value, charset: None, .. } => Value::Bytes(value.clone()),
            _ => return None,
        }),
        ExprKind::Unary { op: ast::UnaryOp::Minus, operand } => match &operand.kind {
            ExprKind::Literal(Literal::Integer(value)) => {
                i64::try_from(*value).ok().map(|value| Value::Int(-value))
            }
            _ => None,
        },
        ExprKind::Param(position) => ctx.params.get(*position).cloned(),
        _ => None,
    }
}

/// Whether an expression is DEFAULT, or DEFAULT(c) of the column it is assigned to.
pub(crate) fn is_default(expr: &ast::Expr, column: &str) -> bool {
    match &expr.kind {
        ExprKind::Default(None) => true,
        ExprKind::Default(Some(name)) => name.column.eq_ignore_ascii_case(column),
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
/// table name. Bare names only mean the first ones.
pub(crate) fn scope_with_new_row(table: &Arc<TableDef>, alias: &str, names: &[String]) -> Scope {
    let mut scope = Scope::of_table(table, &table.name);
    let mut new = Scope::of_table(table, alias);
    for (position, column) in new.columns.iter_mut().enumerate() {
        column.hidden = true;
        if let Some(name) = names.get(position) {
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
    use ExprKind::*;
    match &mut expr.kind {
        Values(name) => {
            let column = replace(name);
            expr.kind = Column(column);
        }
        Unary { operand, .. }
        | Is { operand, .. }
        | Cast { operand, .. }
        | ConvertUsing { operand, .. }
        | Collate { operand, .. }
        | Extract { operand, .. }
        | InSubquery { operand, .. }
        | GetFormat { operand, .. }
        | WeightString { operand, .. } => replace_values(operand, replace),
        Assign { value, .. } => replace_values(value, replace),
        Binary { left, right, .. } => {
            replace_values(left, replace);
            replace_values(right, replace);
        }
        Between { operand, low, high, .. } => {
            for part in [operand, low, high] {
                replace_values(part, replace);
            }
        }
        InList { operand, list, .. } => {
            replace_values(operand, replace);
            list.iter_mut().for_each(|item| replace_values(item, replace));
        }
        Like { operand, pattern, escape, .. } => {
            replace_values(operand, replace);
            replace_values(pattern, replace);
            if let Some(escape) = escape {
                replace_values(escape, replace);
            }
        }
        Regexp { operand, pattern, .. } => {
            replace_values(operand, replace);
            replace_values(pattern, replace);
        }
        MemberOf { value, array } => {
            replace_values(value, replace);
            replace_values(array, replace);
        }
        Case { operand, whens, otherwise } => {
            for part in operand.iter_mut().chain(otherwise) {
                replace_values(part, replace);
            }
            for (when, then) in whens {
                replace_values(when, replace);
                replace_values(then, replace);
            }
        }
        Function { args, .. } | Char { args, .. } | Row(args) => {
            args.iter_mut().for_each(|arg| replace_values(arg, replace));
        }
        DateArithmetic { operand, amount, .. } => {
            replace_values(operand, replace);
            replace_values(amount, replace);
        }
        TimestampDiff { from, to, .. } => {
            replace_values(from, replace);
            replace_values(to, replace);
        }
        Trim { what, operand, .. } => {
            if let Some(what) = what {
                replace_values(what, replace);
            }
            replace_values(operand, replace);
        }
        Literal(_)
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
