//! Point plans: queries of one table by key, and queries of no table, run row by row.
//!
//! ```text
//! SELECT c FROM t WHERE id = ?
//!   compiled once    table, key expressions, condition that is left, columns wanted
//!   each execution   parameter ─> key bytes ─> Transaction::get ─> decode c ─> row
//! ```
//!
//! A point plan never meets DataFusion. It is kept with a prepared statement, or with a text query's
//! template, as long as catalog version, sql_mode, default database and the kinds of the parameters stay
//! the same; it holds no data and no shard address.
//!
//! Invariants:
//! 1. A plan yields what the operators would: its condition is checked on every row unless the key
//!    alone decides it.
//! 2. Whatever the parameters' values, a plan runs: when they do not give row keys, it reads as
//!    `access` says.
//!
//! Not here: UPDATE, DELETE and INSERT, which use the same access paths in row form (`dml`).

use crate::access::{self, Access, ReadOptions};
use crate::ast::{self, ExprKind as AstExprKind, Literal, QueryBody, SelectItem, Statement};
use crate::binder::{BoundQuery, Sources};
use crate::broadcast;
use crate::catalog::{Catalog, TableDef};
use crate::context::EvalContext;
use crate::expr::{CompareOp, Expr, ExprKind};
use crate::planner::plan::{Plan, Scan};
use crate::session::statement::StatementContext;
use crate::session::user_locks;
use crate::session::{ColumnMeta, Outcome, Session};
use crate::types::{Domain, SqlType};
use crate::value::{Row, Value};
use crate::{Error, Result, table_codec};
use std::collections::BTreeSet;
use std::sync::Arc;
use txn::Transaction;

/// A query of one table by key, or of no table.
#[derive(Debug)]
pub(crate) struct PointSelect {
    /// What is told of the result.
    columns: Arc<[ColumnMeta]>,
    /// Where rows come from; `None` for one row without columns.
    source: Option<Source>,
    /// Conditions that are checked, over the table's columns.
    conjuncts: Vec<Expr>,
    /// The result, over the table's columns.
    exprs: Vec<Expr>,
    /// The same when every one is a bare column: values go straight from the row into the result.
    plain: Option<Vec<usize>>,
    /// Rows to leave out first.
    offset: Option<Expr>,
    /// Most rows.
    limit: Option<Expr>,
}

/// Where rows come from.
#[derive(Debug)]
struct Source {
    /// The table.
    table: Arc<TableDef>,
    /// Columns to decode for conditions and result.
    wanted: Vec<usize>,
    /// The primary key's values, when equalities with constants give all of them.
    key: Option<Vec<Expr>>,
    /// Whether nothing is left to check when `key` is given.
    key_decides: bool,
}

/// Whether a statement may have a point plan at all.
pub(crate) fn is_candidate(statement: &Statement) -> bool {
    let Statement::Query(query) = statement else { return false };
    query.locks.is_empty()
        && query.into.is_none()
        && matches!(query.body, QueryBody::Select(_))
        && !user_locks::is_used(query)
}

/// Whether a text may be worth looking up: it begins with SELECT.
pub(crate) fn is_candidate_text(sql: &str) -> bool {
    let start = sql.trim_start().as_bytes();
    start.get(..7).is_some_and(|word| {
        word[..6].eq_ignore_ascii_case(b"select") && word[6].is_ascii_whitespace()
    })
}

/// Whether a statement means the same with parameters where literals stood: no literal names a column
/// or a position, and none shows its type in the result.
pub(crate) fn keeps_its_meaning(statement: &Statement) -> bool {
    let Statement::Query(query) = statement else { return false };
    let QueryBody::Select(select) = &query.body else { return false };
    let is_plain = |item: &SelectItem| match item {
        SelectItem::Wildcard | SelectItem::TableWildcard(_) => true,
        SelectItem::Expr { expr, .. } => matches!(expr.kind, AstExprKind::Column(_)),
    };
    is_candidate(statement)
        && query.with.is_none()
        && query.order_by.is_empty()
        && select.group_by.is_empty()
        && select.having.is_none()
        && !select.distinct
        && select.from.len() == 1
        && select.items.iter().all(is_plain)
}

/// A literal that was taken out of a text, as a parameter's value.
pub(crate) fn value_of_literal(literal: Literal) -> Option<Value> {
    Some(match literal {
        Literal::Integer(value) => i64::try_from(value).map_or(Value::UInt(value), Value::Int),
        Literal::String { value, charset: None, .. } => Value::Text(value),
        // A decimal's digits decide types, so a plan for one is none for another.
        _ => return None,
    })
}

/// What of a parameter's value a plan depends on: `None` when it is too much to keep plans by it.
pub(crate) fn kinds_of(params: &[Value]) -> Option<Vec<u8>> {
    let kind = |value: &Value| {
        Some(match value {
            Value::Null => 0,
            Value::Int(_) => 1,
            Value::UInt(_) => 2,
            Value::Double(_) => 3,
            Value::Text(_) => 4,
            Value::Bytes(_) => 5,
            Value::Date(_) => 6,
            Value::Time(_) | Value::DateTime(_) | Value::Decimal(_) => return None,
        })
    };
    params.iter().map(kind).collect()
}

impl PointSelect {
    /// The point plan of a bound query, when it has one.
    pub(crate) fn of(
        query: &ast::Query,
        bound: &BoundQuery,
        ctx: &EvalContext,
    ) -> Result<Option<PointSelect>> {
        let fits = bound.subqueries.is_empty()
            && bound.sources.points.is_empty()
            && query.locks.is_empty()
            && query.into.is_none()
            && !bound.calc_found_rows;
        if !fits {
            return Ok(None);
        }
        let (plan, offset, limit) = match &bound.plan {
            Plan::Limit { input, offset, count } => (&**input, offset.clone(), count.clone()),
            plan => (plan, None, None),
        };
        let Plan::Project { input, exprs } = plan else { return Ok(None) };
        let (input, filters) = match &**input {
            Plan::Filter { input, conjuncts } => (&**input, conjuncts.as_slice()),
            input => (input, [].as_slice()),
        };
        let columns: Arc<[ColumnMeta]> = bound.columns.clone().into();
        match input {
            Plan::OneRow => Ok(Some(PointSelect {
                columns,
                source: None,
                conjuncts: filters.to_vec(),
                exprs: exprs.clone(),
                plain: None,
                offset,
                limit,
            })),
            Plan::Scan(scan) => {
                let place = |exprs: &[Expr]| -> Vec<Expr> {
                    exprs.iter().map(|e| e.map_columns(&|at| scan.columns[at])).collect()
                };
                let mut conjuncts = scan.conjuncts.clone();
                conjuncts.extend(place(filters));
                let Some(source) = source_of(scan, &conjuncts, ctx)? else { return Ok(None) };
                let exprs = place(exprs);
                let plain = exprs.iter().map(plain_column).collect::<Option<Vec<usize>>>();
                let mut select = PointSelect {
                    columns,
                    source: Some(source),
                    conjuncts,
                    exprs,
                    plain,
                    offset,
                    limit,
                };
                select.choose_columns();
                Ok(Some(select))
            }
            _ => Ok(None),
        }
    }

    fn choose_columns(&mut self) {
        let mut wanted = BTreeSet::new();
        for expr in self.exprs.iter().chain(&self.conjuncts) {
            expr.columns(&mut wanted);
        }
        if let Some(source) = &mut self.source {
            source.wanted = wanted.into_iter().collect();
        }
    }

    /// What is told of the result.
    pub(crate) fn columns(&self) -> Arc<[ColumnMeta]> {
        self.columns.clone()
    }

    /// What it reads, by the words of a bound query.
    pub(crate) fn sources(&self) -> Sources {
        let tables: Vec<_> = self.source.iter().map(|source| source.table.clone()).collect();
        let names = tables.iter().map(|table| table.name.clone()).collect();
        Sources { tables, names, now: true, ..Sources::default() }
    }

    /// The table that it reads.
    pub(crate) fn table(&self) -> Option<&TableDef> {
        self.source.as_ref().map(|source| &*source.table)
    }

    /// Whether it needs no transaction.
    pub(crate) fn reads_nothing(&self) -> bool {
        self.source.is_none()
    }

    /// The rows of a query without a table.
    pub(crate) fn constant_rows(&self, ctx: &EvalContext) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        if self.accepts(&[], ctx)? {
            rows.push(self.project(&[], ctx)?);
        }
        self.cut(rows, ctx)
    }

    /// The rows.
    pub(crate) async fn run(&self, txn: &mut Transaction, ctx: &EvalContext) -> Result<Vec<Row>> {
        let Some(source) = &self.source else { return self.constant_rows(ctx) };
        match &source.key {
            Some(key) => {
                let mut values = Vec::with_capacity(key.len());
                for (expr, part) in key.iter().zip(&source.table.primary().columns) {
                    let value = expr.eval(&[], ctx)?;
                    match key_value(value, &source.table.columns[part.column].ty) {
                        KeyValue::Exact(value) => values.push(value),
                        KeyValue::Never => return Ok(Vec::new()),
                        KeyValue::Unclear => return self.run_by_access(source, txn, ctx).await,
                    }
                }
                match table_codec::row_key_of_primary(&source.table, &values)? {
                    Some(key) => self.run_by_key(source, key, txn, ctx).await,
                    None => self.run_by_access(source, txn, ctx).await,
                }
            }
            None => self.run_by_access(source, txn, ctx).await,
        }
    }

    async fn run_by_key(
        &self,
        source: &Source,
        key: bytes::Bytes,
        txn: &mut Transaction,
        ctx: &EvalContext,
    ) -> Result<Vec<Row>> {
        let table = &source.table;
        let key = match broadcast::slot_to_read(table, ctx.reads_near(), &**txn.client())? {
            Some(slot) => broadcast::in_slot(&key, slot),
            None if access::read::is_inside(ctx.slots.as_ref(), &key) => key,
            None => return Ok(Vec::new()),
        };
        let Some(bytes) = txn.get(&key).await? else { return Ok(Vec::new()) };
        if let (true, Some(plain)) = (source.key_decides, &self.plain) {
            let mut row = Vec::with_capacity(plain.len());
            table_codec::decode_row_to(&source.table, &bytes, plain, &mut row)?;
            return self.cut(vec![row], ctx);
        }
        let row = table_codec::decode_row(&source.table, &bytes, &source.wanted)?;
        let mut rows = Vec::new();
        if source.key_decides || self.accepts(&row, ctx)? {
            rows.push(self.project(&row, ctx)?);
        }
        self.cut(rows, ctx)
    }

    async fn run_by_access(
        &self,
        source: &Source,
        txn: &mut Transaction,
        ctx: &EvalContext,
    ) -> Result<Vec<Row>> {
        let columns: BTreeSet<usize> = source.wanted.iter().copied().collect();
        let choice = access::plan_for(&source.table, &self.conjuncts, &columns, ctx)?;
        let (shard, slots) = (choice.shard.clone(), choice.slots.clone());
        let near = ctx.reads_near();
        let carried = access::carries(&source.table, &choice.access, &columns);
        let options = ReadOptions { shard, slots, near, carried, ..ReadOptions::default() };
        let table = &source.table;
        let mut reader = access::read(&choice.access, table, &source.wanted, options, txn).await?;
        let mut rows = Vec::new();
        while let Some(page) = reader.next_page(txn).await? {
            ctx.check_cancel()?;
            for (_, row) in page {
                if self.accepts(&row, ctx)? {
                    rows.push(self.project(&row, ctx)?);
                }
            }
        }
        self.cut(rows, ctx)
    }

    fn accepts(&self, row: &[Value], ctx: &EvalContext) -> Result<bool> {
        for conjunct in &self.conjuncts {
            if conjunct.truth(row, ctx)? != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn project(&self, row: &[Value], ctx: &EvalContext) -> Result<Row> {
        self.exprs.iter().map(|expr| expr.eval(row, ctx)).collect()
    }

    fn cut(&self, mut rows: Vec<Row>, ctx: &EvalContext) -> Result<Vec<Row>> {
        let number = |expr: &Expr| -> Result<usize> {
            let value = expr.eval(&[], ctx)?.as_integer();
            let value = value.and_then(|value| usize::try_from(value).ok());
            value.ok_or_else(|| Error::wrong_arguments("LIMIT"))
        };
        if let Some(offset) = &self.offset {
            rows.drain(..number(offset)?.min(rows.len()));
        }
        if let Some(limit) = &self.limit {
            rows.truncate(number(limit)?);
        }
        Ok(rows)
    }
}

fn source_of(scan: &Scan, conjuncts: &[Expr], ctx: &EvalContext) -> Result<Option<Source>> {
    let table = scan.table.clone();
    let (key, used) = primary_key(&table, conjuncts);
    let key_decides = key.is_some() && used == conjuncts.len();
    if key.is_none() {
        // Points with at most one row each: everything else streams through operators.
        // The plan is chosen again when it runs; warnings of constants belong to that.
        let (before, _) = ctx.warnings.take();
        let choice = access::plan(&table, conjuncts, ctx);
        ctx.warnings.take();
        for warning in before {
            ctx.warnings.push(warning.level, warning.code, warning.message);
        }
        let by_points = match choice?.access {
            Access::Nothing | Access::Rows(_) => true,
            Access::Index { points, .. } => points.iter().all(|point| point.entry.is_some()),
            Access::IndexRange { .. }
            | Access::PrimaryRange(_)
            | Access::Full
            | Access::Partitions(_) => false,
        };
        if !by_points {
            return Ok(None);
        }
    }
    Ok(Some(Source { table, wanted: Vec::new(), key, key_decides }))
}

/// The primary key's values in its order, and how many conjuncts gave them.
fn primary_key(table: &TableDef, conjuncts: &[Expr]) -> (Option<Vec<Expr>>, usize) {
    if !table.primary_decides_slot() || table.row_id().is_some() {
        return (None, 0);
    }
    let mut key = Vec::new();
    for part in &table.primary().columns {
        let ty = &table.columns[part.column].ty;
        match conjuncts.iter().find_map(|conjunct| equality(conjunct, part.column, ty)) {
            Some(value) => key.push(value),
            None => return (None, 0),
        }
    }
    let used = key.len();
    (Some(key), used)
}

/// The constant that a conjunct equates a column with, in the column's own domain and collation.
fn equality(conjunct: &Expr, column: usize, ty: &SqlType) -> Option<Expr> {
    let ExprKind::Compare { op: CompareOp::Equal, domain, args } = &conjunct.kind else {
        return None;
    };
    let [left, right] = &**args;
    let (named, value) = if plain_column(left) == Some(column) {
        (left, right)
    } else if plain_column(right) == Some(column) {
        (right, left)
    } else {
        return None;
    };
    let same = *domain == ty.domain()
        && matches!(domain, Domain::Integer | Domain::Text | Domain::Bytes | Domain::Date)
        && (*domain != Domain::Text || left.ty.collation == ty.collation)
        && named.ty.kind == ty.kind
        && value.is_constant();
    same.then(|| value.clone())
}

fn plain_column(expr: &Expr) -> Option<usize> {
    match expr.kind {
        ExprKind::Column(column) => Some(column),
        _ => None,
    }
}

/// A constant as a key column.
enum KeyValue {
    /// This value.
    Exact(Value),
    /// No row can have it.
    Never,
    /// Of another variant: `access` decides.
    Unclear,
}

fn key_value(value: Value, ty: &SqlType) -> KeyValue {
    match (value, ty.domain()) {
        (Value::Null, _) => KeyValue::Never,
        (Value::Int(number), Domain::Integer) if ty.unsigned => {
            u64::try_from(number).map_or(KeyValue::Never, |n| KeyValue::Exact(Value::UInt(n)))
        }
        (Value::UInt(number), Domain::Integer) if !ty.unsigned => {
            i64::try_from(number).map_or(KeyValue::Never, |n| KeyValue::Exact(Value::Int(n)))
        }
        (value @ (Value::Int(_) | Value::UInt(_)), Domain::Integer)
        | (value @ Value::Text(_), Domain::Text)
        | (value @ Value::Bytes(_), Domain::Bytes)
        | (value @ Value::Date(_), Domain::Date) => KeyValue::Exact(value),
        _ => KeyValue::Unclear,
    }
}

impl Session {
    /// Runs a point plan with these parameters.
    pub(crate) async fn run_point(
        &mut self,
        plan: &PointSelect,
        catalog: Arc<Catalog>,
        params: Vec<Value>,
    ) -> Result<Outcome> {
        let ctx = self.context(params);
        self.run_point_select(plan, &StatementContext { catalog, ctx, locking: None, with: None })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_outside_the_columns_sign_match_no_row() {
        let unsigned = SqlType::bigint().unsigned();
        assert!(matches!(key_value(Value::Int(-1), &unsigned), KeyValue::Never));
        assert!(matches!(
            key_value(Value::UInt(7), &SqlType::bigint()),
            KeyValue::Exact(Value::Int(7))
        ));
        assert!(matches!(key_value(Value::Double(1.5), &unsigned), KeyValue::Unclear));
    }

    #[test]
    fn only_selects_are_looked_up_by_text() {
        assert!(is_candidate_text("  select c from t"));
        assert!(!is_candidate_text("selectx"));
        assert!(!is_candidate_text("/* x */ INSERT"));
    }
}
