//! The expression of RANGE, LIST and HASH.
//!
//! It is kept as the text that SHOW CREATE TABLE prints and bound once, when the definition is made or read. It is evaluated
//! with a context of its own, so that neither sql_mode nor time zone of a session move a row to another partition.
//!
//! In tables of TDSQL's spelling, `month(d)` of RANGE means the number YYYYMM and `day(d)` the number YYYYMMDD
//! (*calendar*): what grows with the date, as ranges must.

use crate::ast::{self, Statement};
use crate::binder::{self, BindContext, Scope};
use crate::catalog::TableDef;
use crate::context::{EvalContext, SqlMode};
use crate::expr::Expr;
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result, parser};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// What every partitioning is evaluated with.
static CONTEXT: LazyLock<EvalContext> = LazyLock::new(|| {
    let mut ctx = EvalContext::detached(0);
    ctx.sql_mode = SqlMode::EMPTY;
    ctx
});

/// An integer expression over a row.
#[derive(Clone, Debug)]
pub struct PartitionFunction {
    /// As SHOW CREATE TABLE prints it.
    pub text: String,
    /// Whether month and day are those of the calendar.
    pub calendar: bool,
    /// The expression over the table's columns.
    expr: Expr,
    /// The columns that it reads, ascending.
    columns: Vec<usize>,
    /// How it grows with its column.
    monotone: Option<Monotone>,
}

/// A function that never falls while its column rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monotone {
    /// The column.
    pub column: usize,
    /// How it grows.
    pub kind: MonotoneKind,
}

/// How a function grows with its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonotoneKind {
    /// It is the column.
    Column,
    /// With the year.
    Year,
    /// With the month of the calendar.
    Month,
    /// With the day.
    Day,
    /// With the second of a moment that there was.
    Second,
    /// With the second of a date, which may be one that no calendar has.
    DatedSecond,
}

impl MonotoneKind {
    /// Whether a moment is the first one with its value of the function.
    pub(crate) fn begins_at(self, value: &Value) -> bool {
        let (date, micros) = match value {
            Value::Date(date) => (*date, 0),
            Value::DateTime(moment) => (moment.date(), moment.micros_of_day()),
            _ => return false,
        };
        match self {
            MonotoneKind::Column => false,
            MonotoneKind::Year => date.month() == 1 && date.day() == 1 && micros == 0,
            MonotoneKind::Month => date.day() == 1 && micros == 0,
            MonotoneKind::Day => micros == 0,
            MonotoneKind::Second | MonotoneKind::DatedSecond => micros % 1_000_000 == 0,
        }
    }
}

impl PartialEq for PartitionFunction {
    fn eq(&self, other: &PartitionFunction) -> bool {
        self.text == other.text && self.calendar == other.calendar
    }
}

impl PartitionFunction {
    /// Binds an expression's text over the columns of a table.
    ///
    /// # Errors
    /// 1054 for a column that the table does not have, 1486 for an expression that is constant or differs from one
    /// evaluation to the next, 1491 when it is no integer.
    pub fn new(text: &str, calendar: bool, table: &Arc<TableDef>) -> Result<PartitionFunction> {
        let written = parse(text)?;
        let meant = if calendar { parse(&calendar_text(&written)?)? } else { written.clone() };
        let mut bind = BindContext::new(Arc::default(), None, &CONTEXT);
        let scope = Scope::of_table(table, &table.name);
        let expr = binder::bind_expr_in(&meant, &scope, "partition function", &mut bind)?;
        let mut columns = BTreeSet::new();
        expr.columns(&mut columns);
        let known = columns.iter().all(|column| *column < table.columns.len());
        if columns.is_empty() || !known {
            return Err(Error::partition_function_unsteady());
        }
        if !expr.ty.is_integer() {
            return Err(Error::partition_function_type());
        }
        Ok(PartitionFunction {
            text: text.to_string(),
            calendar,
            expr,
            columns: columns.into_iter().collect(),
            monotone: monotone(&written, calendar, table),
        })
    }

    /// The value for a row; `None` for NULL.
    pub fn value(&self, row: &[Value]) -> Result<Option<i128>> {
        Ok(self.expr.eval(row, &CONTEXT)?.as_integer())
    }

    /// Type of its values and of the constants that they are compared with.
    pub fn value_type(&self) -> SqlType {
        if self.expr.ty.unsigned { SqlType::bigint().unsigned() } else { SqlType::bigint() }
    }

    /// The columns that it reads, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// How it grows with its column, when it does.
    pub fn monotone(&self) -> Option<Monotone> {
        self.monotone
    }
}

fn parse(text: &str) -> Result<ast::Expr> {
    let statement =
        parser::parse_statement(&format!("DO ({text})"), &parser::ParseMode::default())?;
    let expr = match statement {
        Statement::Do(exprs) => exprs.into_iter().next(),
        _ => None,
    };
    expr.ok_or_else(|| Error::storage(format!("corrupt partition function {text}")))
}

/// The function and the column of `f(c)`.
fn function_of_column(expr: &ast::Expr) -> Option<(String, &str)> {
    let ast::ExprKind::Function { name, args, .. } = &expr.kind else { return None };
    match args.as_slice() {
        [ast::Expr { kind: ast::ExprKind::Column(column), .. }] => {
            Some((name.to_ascii_lowercase(), column.column.as_str()))
        }
        _ => None,
    }
}

/// What month and day of the calendar are computed by.
fn calendar_text(expr: &ast::Expr) -> Result<String> {
    let Some((name, column)) = function_of_column(expr) else {
        return Err(Error::storage("corrupt partition function: no date"));
    };
    let column = crate::printer::identifier(column);
    match name.as_str() {
        "month" => Ok(format!("year({column}) * 100 + month({column})")),
        "day" | "dayofmonth" => {
            Ok(format!("year({column}) * 10000 + month({column}) * 100 + dayofmonth({column})"))
        }
        _ => Err(Error::storage(format!("corrupt partition function: {name}"))),
    }
}

fn monotone(expr: &ast::Expr, calendar: bool, table: &TableDef) -> Option<Monotone> {
    if let ast::ExprKind::Column(name) = &expr.kind {
        return Some(Monotone { column: table.column(&name.column)?, kind: MonotoneKind::Column });
    }
    let (name, column) = function_of_column(expr)?;
    let kind = match name.as_str() {
        "year" => MonotoneKind::Year,
        "month" if calendar => MonotoneKind::Month,
        "day" | "dayofmonth" if calendar => MonotoneKind::Day,
        "to_days" => MonotoneKind::Day,
        "to_seconds" => MonotoneKind::DatedSecond,
        "unix_timestamp" => MonotoneKind::Second,
        _ => return None,
    };
    Some(Monotone { column: table.column(column)?, kind })
}
