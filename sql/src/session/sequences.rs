//! NEXTVAL, LASTVAL and SETVAL.
//!
//! Expressions are evaluated without waiting, and a batch of values may have to be fetched. So calls are run before the
//! expression that they stand in, and replaced by their results:
//!
//! ```text
//! SELECT without FROM, WHERE and HAVING; DO; SET     once
//! INSERT and REPLACE … VALUES or SET                 for each row
//! DEFAULT (NEXTVAL(s))                               for each row that takes it (`dml::row`)
//! ```
//!
//! Elsewhere they are refused (`function::information`). All calls of an expression are run, also those in a branch of IF or
//! CASE that is not taken. What is taken stays taken when the statement or its transaction is undone.

use super::{Session, sleep};
use crate::ast::{
    self, ExprKind, Literal, QueryBody, SelectItem, SequenceFunction, TableName, UnaryOp,
};
use crate::catalog::{Catalog, SequenceDef};
use crate::context::EvalContext;
use crate::dml::bind;
use crate::types::convert;
use crate::value::Value;
use crate::{Error, Result, ddl};
use std::sync::Arc;

/// Sequences that an expression asks, queries inside it aside.
pub(crate) fn named_in(expr: &ast::Expr) -> Vec<TableName> {
    let mut names = Vec::new();
    // Visiting may change; this does not.
    bind::visit(&mut expr.clone(), &mut |part| {
        if let ExprKind::Sequence { name, .. } = &part.kind {
            names.push(name.clone());
        }
        false
    });
    names
}

/// A query with numbers in the place of the calls that are run before it, to learn its columns; `None` when there are none.
pub(super) fn without_calls(query: &ast::Query) -> Option<ast::Query> {
    let QueryBody::Select(select) = &query.body else { return None };
    if !sleep::is_run_once(select) {
        return None;
    }
    let mut query = query.clone();
    let QueryBody::Select(select) = &mut query.body else { return None };
    let mut any = false;
    for item in &mut select.items {
        if let SelectItem::Expr { expr, alias, text } = item
            && !named_in(expr).is_empty()
        {
            any = true;
            alias.get_or_insert_with(|| text.0.trim().to_string());
            bind::visit(expr, &mut |part| {
                let is_call = matches!(part.kind, ExprKind::Sequence { .. });
                if is_call {
                    part.kind = number(i64::MAX);
                }
                is_call
            });
        }
    }
    any.then_some(query)
}

impl Session {
    /// A query with the calls in its select list replaced by their results; `None` when there are none.
    pub(crate) async fn run_sequence_calls(
        &mut self,
        query: &ast::Query,
        params: &[Value],
    ) -> Result<Option<ast::Query>> {
        let QueryBody::Select(select) = &query.body else { return Ok(None) };
        let calls = |item: &SelectItem| match item {
            SelectItem::Expr { expr, .. } => !named_in(expr).is_empty(),
            SelectItem::Wildcard | SelectItem::TableWildcard(_) => false,
        };
        if !sleep::is_run_once(select) || !select.items.iter().any(calls) {
            return Ok(None);
        }
        let catalog = self.instance.catalog.current().await?;
        let ctx = self.context(params.to_vec());
        let mut query = query.clone();
        let QueryBody::Select(select) = &mut query.body else { return Ok(None) };
        for item in &mut select.items {
            if let SelectItem::Expr { expr, alias, text } = item
                && let Some(numbered) = self.numbered(expr, None, &catalog, &ctx).await?
            {
                // The result names its column as the call would.
                alias.get_or_insert_with(|| text.0.trim().to_string());
                *expr = numbered;
            }
        }
        Ok(Some(query))
    }

    /// The same for expressions of DO and SET.
    pub(crate) async fn run_sequence_calls_in(
        &mut self,
        exprs: &[ast::Expr],
        params: &[Value],
    ) -> Result<Option<Vec<ast::Expr>>> {
        if exprs.iter().all(|expr| named_in(expr).is_empty()) {
            return Ok(None);
        }
        let catalog = self.instance.catalog.current().await?;
        let ctx = self.context(params.to_vec());
        let mut exprs = exprs.to_vec();
        for expr in &mut exprs {
            if let Some(numbered) = self.numbered(expr, None, &catalog, &ctx).await? {
                *expr = numbered;
            }
        }
        Ok(Some(exprs))
    }

    /// An expression with its calls replaced by their results; `None` when there are none. Names without a database mean
    /// `database`, else the session's.
    pub(crate) async fn numbered(
        &self,
        expr: &ast::Expr,
        database: Option<&str>,
        catalog: &Catalog,
        ctx: &EvalContext,
    ) -> Result<Option<ast::Expr>> {
        let mut expr = expr.clone();
        let mut calls = Vec::new();
        bind::visit(&mut expr, &mut |part| {
            let is_call = matches!(part.kind, ExprKind::Sequence { .. });
            if is_call {
                calls.push(part.kind.clone());
            }
            is_call
        });
        if calls.is_empty() {
            return Ok(None);
        }
        let mut results = Vec::with_capacity(calls.len());
        for call in &calls {
            let ExprKind::Sequence { function, name, args } = call else { continue };
            let sequence = self.sequence(name, database, catalog)?;
            results.push(self.run_sequence_call(*function, &sequence, args, ctx).await?);
        }
        let mut results = results.into_iter();
        bind::visit(&mut expr, &mut |part| {
            let is_call = matches!(part.kind, ExprKind::Sequence { .. });
            if is_call {
                part.kind = results.next().flatten().map_or_else(null, number);
            }
            is_call
        });
        Ok(Some(expr))
    }

    /// The sequence of a name.
    ///
    /// # Errors
    /// 1146 when there is none, 4089 when it is a table.
    fn sequence(
        &self,
        name: &TableName,
        database: Option<&str>,
        catalog: &Catalog,
    ) -> Result<Arc<SequenceDef>> {
        let default = self.default_database();
        let database = name.database.as_deref().or(database).or(default.as_deref());
        let database = database.ok_or_else(Error::no_database)?;
        if let Some(sequence) = catalog.sequence(database, &name.name) {
            return Ok(sequence.clone());
        }
        let full = format!("{database}.{}", name.name);
        Err(match catalog.table(database, &name.name) {
            Some(_) => Error::not_a_sequence(full),
            None => Error::no_such_table(full),
        })
    }

    async fn run_sequence_call(
        &self,
        function: SequenceFunction,
        sequence: &SequenceDef,
        args: &[ast::Expr],
        ctx: &EvalContext,
    ) -> Result<Option<i64>> {
        match function {
            SequenceFunction::Next => {
                let value = self.instance.sequences.next(sequence).await?;
                self.last_values.lock().insert(sequence.id, value);
                Ok(Some(value))
            }
            SequenceFunction::Last => Ok(self.last_values.lock().get(&sequence.id).copied()),
            SequenceFunction::Set => {
                let values = args.iter().map(|arg| ddl::constant(arg, ctx));
                let values = values.collect::<Result<Vec<Value>>>()?;
                let (value, used) = match &values[..] {
                    [value] => (value, true),
                    [value, used] => (value, is_true(used, ctx)?),
                    _ => return Err(Error::wrong_parameter_count("SETVAL")),
                };
                let refused = || Error::sequence_options(sequence.qualified_name());
                let value = value.as_integer().and_then(|value| i64::try_from(value).ok());
                self.instance.sequences.set(sequence, value.ok_or_else(refused)?, used).await
            }
        }
    }
}

fn is_true(value: &Value, ctx: &EvalContext) -> Result<bool> {
    Ok(!value.is_null() && convert::to_double(value, ctx)? != 0.0)
}

fn null() -> ExprKind {
    ExprKind::Literal(Literal::Null)
}

fn number(value: i64) -> ExprKind {
    let literal = ExprKind::Literal(Literal::Integer(value.unsigned_abs()));
    match value < 0 {
        true => ExprKind::Unary { op: UnaryOp::Minus, operand: Box::new(ast::Expr::new(literal)) },
        false => literal,
    }
}
