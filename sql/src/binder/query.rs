//! Queries around SELECT: UNION, INTERSECT, EXCEPT, VALUES, TABLE, parentheses.

use super::select::ordinal;
use super::subquery::column_expr;
use super::{BindContext, BoundColumn, Level, Scope};
use crate::ast::{self, OrderItem, Query, QueryBody, SetOperator};
use crate::expr::{Expr, build};
use crate::planner::plan::{
    Aggregate, AggregateFunction, Bound, Frame, Plan, SortKey, Window, WindowCall, WindowFunction,
};
use crate::session::ColumnMeta;
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

/// 1235 for a locking clause where it would not lock.
pub(crate) fn refuse_inner_locks(query: &Query) -> Result<()> {
    match query.locks.is_empty() {
        true => Ok(()),
        false => Err(Error::not_supported(
            "FOR UPDATE and FOR SHARE inside of another statement: lock the rows with a SELECT of its own before",
        )),
    }
}

impl BindContext<'_> {
    /// A query: its rows and its columns.
    pub(crate) fn query(&mut self, query: &Query) -> Result<(Plan, Vec<BoundColumn>)> {
        let scope = self.enter_with(query.with.as_ref())?;
        let bound = self.query_of_names(query);
        self.leave_with(scope);
        bound
    }

    /// The same, where its WITH is known.
    fn query_of_names(&mut self, query: &Query) -> Result<(Plan, Vec<BoundColumn>)> {
        if query.into.is_some() && !self.stack.is_empty() {
            return Err(Error::not_supported(
                "INTO inside of a subquery; it can only stand at the end",
            ));
        }
        let limit = query.limit.as_ref();
        self.deeper(|bind| match &query.body {
            QueryBody::Select(select) => bind.select(select, &query.order_by, limit),
            body => {
                let (plan, columns) = bind.body(body)?;
                let keys = bind.order_columns(&query.order_by, &columns)?;
                Ok((bind.sort_and_limit(plan, keys, limit)?, columns))
            }
        })
    }

    pub(super) fn body(&mut self, body: &QueryBody) -> Result<(Plan, Vec<BoundColumn>)> {
        self.deeper(|bind| match body {
            QueryBody::Select(select) => bind.select(select, &[], None),
            QueryBody::Query(query) => {
                refuse_inner_locks(query)?;
                bind.query(query)
            }
            QueryBody::Table(name) => {
                let select = ast::Select {
                    distinct: false,
                    options: ast::SelectOptions::default(),
                    items: vec![ast::SelectItem::Wildcard],
                    from: vec![ast::TableRef::Table(Box::new(ast::TableSource {
                        name: name.clone(),
                        partitions: Vec::new(),
                        alias: None,
                        as_of: None,
                        hints: Vec::new(),
                        span: ast::Span::default(),
                    }))],
                    filter: None,
                    group_by: Vec::new(),
                    rollup: false,
                    having: None,
                    windows: Vec::new(),
                    hints: String::new(),
                };
                bind.select(&select, &[], None)
            }
            QueryBody::Values(rows) => bind.values(rows),
            QueryBody::SetOperation { op: SetOperator::Union, all, left, right } => {
                let left = bind.body(left)?;
                let right = bind.body(right)?;
                bind.union(left, right, *all)
            }
            QueryBody::SetOperation { op, all, left, right } => {
                let left = bind.body(left)?;
                let right = bind.body(right)?;
                match *all {
                    true => bind.compare_all_rows(left, right, *op),
                    false => bind.compare_rows(left, right, *op),
                }
            }
        })
    }

    pub(super) fn union(
        &mut self,
        left: (Plan, Vec<BoundColumn>),
        right: (Plan, Vec<BoundColumn>),
        all: bool,
    ) -> Result<(Plan, Vec<BoundColumn>)> {
        let (left, columns) = left;
        let (right, right_columns) = right;
        if columns.len() != right_columns.len() {
            return Err(Error::union_width());
        }
        let types: Vec<SqlType> =
            columns.iter().zip(&right_columns).map(|(a, b)| a.ty.unify(b.ty)).collect();
        // UNION ALL of UNION ALL is one list; below a DISTINCT it is not.
        let mut inputs = match left {
            Plan::Union { inputs, types: before } if before == types => inputs,
            left => vec![self.cast_columns(left, &types)?],
        };
        inputs.push(self.cast_columns(right, &types)?);
        let mut plan = Plan::Union { inputs, types: types.clone() };
        if !all {
            plan = Plan::Distinct { input: Box::new(plan) };
        }
        let columns = columns
            .into_iter()
            .zip(types)
            .map(|(column, ty)| BoundColumn {
                meta: ColumnMeta::computed(column.meta.name, ty),
                ty,
            })
            .collect();
        Ok((plan, columns))
    }

    /// INTERSECT and EXCEPT: rows of both sides are grouped, and each group is judged by how many come from where. NULLs are
    /// equal here, as in groups.
    fn compare_rows(
        &mut self,
        left: (Plan, Vec<BoundColumn>),
        right: (Plan, Vec<BoundColumn>),
        op: SetOperator,
    ) -> Result<(Plan, Vec<BoundColumn>)> {
        let mut marked = Vec::with_capacity(2);
        for (place, (plan, mut columns)) in [left, right].into_iter().enumerate() {
            let types = plan.types();
            let mut exprs: Vec<Expr> =
                types.iter().enumerate().map(|(i, ty)| column_expr(i, *ty, "")).collect();
            for side in 0..2 {
                let ty = SqlType::bigint();
                let value = if side == place { Value::Int(1) } else { Value::Null };
                exprs.push(crate::exec::subquery::literal(ty, value));
                columns.push(BoundColumn { meta: ColumnMeta::computed("", ty), ty });
            }
            marked.push((Plan::Project { input: Box::new(plan), exprs }, columns));
        }
        let (Some(right), Some(left)) = (marked.pop(), marked.pop()) else {
            return Err(Error::internal("two sides are not two"));
        };
        let (plan, mut columns) = self.union(left, right, true)?;
        columns.truncate(columns.len() - 2);
        let width = columns.len();
        let count = |side: usize| Aggregate {
            function: AggregateFunction::Count,
            distinct: false,
            args: vec![column_expr(width + side, SqlType::bigint(), "")],
            ty: SqlType::bigint().not_null(),
        };
        let keys = || columns.iter().enumerate().map(|(i, column)| column_expr(i, column.ty, ""));
        let plan = Plan::Aggregate {
            input: Box::new(plan),
            keys: keys().collect(),
            aggregates: vec![count(0), count(1)],
        };
        let zero = crate::exec::subquery::literal(SqlType::bigint().not_null(), Value::Int(0));
        let found = |side: usize| column_expr(width + side, SqlType::bigint().not_null(), "");
        let wanted = match op {
            SetOperator::Except => ast::BinaryOp::Equal,
            SetOperator::Union | SetOperator::Intersect => ast::BinaryOp::Greater,
        };
        let conjuncts = vec![
            build::binary(ast::BinaryOp::Greater, found(0), zero.clone(), self.ctx)?,
            build::binary(wanted, found(1), zero, self.ctx)?,
        ];
        let plan = Plan::Filter { input: Box::new(plan), conjuncts };
        let exprs = keys().collect();
        Ok((Plan::Project { input: Box::new(plan), exprs }, columns))
    }

    /// INTERSECT ALL and EXCEPT ALL: equal rows of each side are numbered, and the n-th is compared with the other side's n-th.
    fn compare_all_rows(
        &mut self,
        (left, columns): (Plan, Vec<BoundColumn>),
        (right, right_columns): (Plan, Vec<BoundColumn>),
        op: SetOperator,
    ) -> Result<(Plan, Vec<BoundColumn>)> {
        if columns.len() != right_columns.len() {
            return Err(Error::union_width());
        }
        // Which rows are equal is a matter of the types that both sides get.
        let types: Vec<SqlType> =
            columns.iter().zip(&right_columns).map(|(a, b)| a.ty.unify(b.ty)).collect();
        let number = SqlType::bigint().unsigned().not_null();
        let mut columns: Vec<BoundColumn> = columns
            .into_iter()
            .zip(&types)
            .map(|(column, ty)| BoundColumn {
                meta: ColumnMeta::computed(column.meta.name, *ty),
                ty: *ty,
            })
            .collect();
        columns.push(BoundColumn { meta: ColumnMeta::computed("", number), ty: number });
        let left = numbered(self.cast_columns(left, &types)?, &types, number);
        let right = numbered(self.cast_columns(right, &types)?, &types, number);
        let (plan, mut columns) =
            self.compare_rows((left, columns.clone()), (right, columns), op)?;
        columns.truncate(types.len());
        let exprs =
            columns.iter().enumerate().map(|(i, column)| column_expr(i, column.ty, "")).collect();
        Ok((Plan::Project { input: Box::new(plan), exprs }, columns))
    }

    /// The rows of a plan with columns of these types.
    fn cast_columns(&mut self, plan: Plan, types: &[SqlType]) -> Result<Plan> {
        let before = plan.types();
        let same = |a: &SqlType, b: &SqlType| a.with_nullable(true) == b.with_nullable(true);
        if before.iter().zip(types).all(|(a, b)| same(a, b)) {
            return Ok(plan);
        }
        let exprs = before
            .iter()
            .zip(types)
            .enumerate()
            .map(|(i, (from, to))| {
                let column = column_expr(i, *from, "");
                if same(from, to) { column } else { build::cast(column, *to) }
            })
            .collect();
        Ok(Plan::Project { input: Box::new(plan), exprs })
    }

    fn values(&mut self, rows: &[Vec<ast::Expr>]) -> Result<(Plan, Vec<BoundColumn>)> {
        let mut bound: Vec<Vec<Expr>> = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            let level = Level { clause: "field list", ..Level::default() };
            let (row, _) = self.in_level(level, |bind| {
                row.iter().map(|value| bind.expr(value)).collect::<Result<Vec<Expr>>>()
            })?;
            if bound.first().is_some_and(|first| first.len() != row.len()) {
                return Err(Error::wrong_value_count(i + 1));
            }
            bound.push(row);
        }
        let width = bound.first().map_or(0, Vec::len);
        let types: Vec<SqlType> = (0..width)
            .map(|i| {
                let mut column = bound.iter().map(|row| row[i].ty);
                let first = column.next().unwrap_or_else(SqlType::null);
                column.fold(first, SqlType::unify)
            })
            .collect();
        let mut inputs = Vec::with_capacity(bound.len());
        for row in bound {
            let plan = Plan::Project { input: Box::new(Plan::OneRow), exprs: row };
            inputs.push(self.cast_columns(plan, &types)?);
        }
        let columns = types
            .iter()
            .enumerate()
            .map(|(i, ty)| BoundColumn {
                meta: ColumnMeta::computed(format!("column_{i}"), *ty),
                ty: *ty,
            })
            .collect();
        Ok((Plan::Union { inputs, types }, columns))
    }

    /// ORDER BY over the columns of a result: names of its columns, places, and expressions of them.
    fn order_columns(
        &mut self,
        order_by: &[OrderItem],
        columns: &[BoundColumn],
    ) -> Result<Vec<SortKey>> {
        let scope = Scope::of_columns("", "", columns);
        let level = Level { scope, clause: "order clause", ..Level::default() };
        let (keys, _) = self.in_level(level, |bind| {
            let mut keys = Vec::with_capacity(order_by.len());
            for item in order_by {
                let expr = match ordinal(&item.expr, columns.len(), "order clause")? {
                    Some(place) => column_expr(place, columns[place].ty, ""),
                    None => bind.expr(&item.expr)?,
                };
                if !expr.is_constant() {
                    keys.push(SortKey { expr, descending: item.descending });
                }
            }
            Ok(keys)
        })?;
        Ok(keys)
    }
}

/// The rows with a number behind each, counted among its equals.
fn numbered(plan: Plan, types: &[SqlType], number: SqlType) -> Plan {
    let keys = types
        .iter()
        .enumerate()
        .map(|(i, ty)| SortKey { expr: column_expr(i, *ty, ""), descending: false })
        .collect();
    let frame = Frame { rows: true, start: Bound::Unbounded, end: Bound::Unbounded, key: None };
    let function = WindowFunction::RowNumber;
    let call = WindowCall { function, args: Vec::new(), frame, ty: number };
    let partition = (0..types.len()).collect();
    let window = Window { partition, order: Vec::new(), calls: vec![call] };
    let input = Plan::Sort { input: Box::new(plan), keys };
    Plan::Window { input: Box::new(input), window }
}
