//! New rows: which value each column gets.
//!
//! ```text
//! given  ──assign──> value of the column's type      NULL in NOT NULL: 1048
//! absent ──────────> DEFAULT, generated value, NULL, or 1364
//! ```
//!
//! Not here: where given values come from (`insert`, `load_data`), unique keys (`store`).

use super::auto_increment::{AutoIncrement, Numbers, Steps};
use crate::ast;
use crate::catalog::{ColumnDef, DefaultValue, TableDef};
use crate::context::{EvalContext, SqlMode};
use crate::expr::Expr;
use crate::session::statement::StatementContext;
use crate::session::{Session, sequences};
use crate::types::assign::implicit_default;
use crate::types::{SqlType, TypeKind, assign};
use crate::value::{Row, Value};
use crate::{Error, Result, ddl};
use parking_lot::Mutex;
use std::sync::Arc;

/// What a column gets when a statement gives it nothing.
#[derive(Debug)]
enum Absent {
    /// This value.
    Value(Value),
    /// The value of an expression.
    Expression(Expr),
    /// The value of an expression that asks sequences.
    Sequence {
        /// The expression.
        expr: ast::Expr,
        /// Its value for the next row that takes it.
        ready: Mutex<Option<Value>>,
    },
    /// The next AUTO_INCREMENT value.
    Generate,
    /// The next hidden row id.
    RowId,
    /// An error in strict mode, else the type's zero with a warning.
    Missing(Value),
}

/// Makes rows of one table for one statement.
pub(crate) struct RowMaker {
    /// The table.
    table: Arc<TableDef>,
    /// What each column gets without a value.
    absent: Vec<Absent>,
    /// Position of the AUTO_INCREMENT column.
    auto_increment: Option<usize>,
    /// Whether 0 asks for a generated value, too.
    zero_generates: bool,
    /// Which values are generated.
    steps: Steps,
    /// Columns that triggers give values before a row is stored: NULL may stand there until then. Empty without such.
    deferred: Vec<bool>,
}

/// A complete row, ready to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewRow {
    /// A value for every column.
    pub(crate) values: Row,
    /// Its AUTO_INCREMENT value, when that was generated.
    pub(crate) generated: Option<u64>,
    /// What ON DUPLICATE KEY UPDATE may name besides: the columns of the tables that the row was read from.
    pub(crate) read: Row,
}

/// CURRENT_TIMESTAMP as a column stores it.
pub(crate) fn now_for(ty: &SqlType, ctx: &EvalContext) -> Value {
    let zone = if ty.kind == TypeKind::Timestamp {
        crate::types::datetime::TimeZone::UTC
    } else {
        ctx.time_zone
    };
    let now = zone.from_unix_micros(ctx.now_unix_micros as i64);
    Value::DateTime(now.round(ty.decimals, true).unwrap_or(now))
}

impl RowMaker {
    /// Prepares a table's defaults.
    pub(crate) fn new(table: &Arc<TableDef>, ctx: &EvalContext) -> Result<RowMaker> {
        let absent = table.columns.iter().map(|column| absent_of(column, ctx));
        let auto_increment = table.auto_increment();
        Ok(RowMaker {
            absent: absent.collect::<Result<_>>()?,
            auto_increment,
            steps: if auto_increment.is_some() { Steps::of(ctx) } else { Steps::ONE },
            zero_generates: !ctx.sql_mode.contains(SqlMode::NO_AUTO_VALUE_ON_ZERO),
            deferred: Vec::new(),
            table: table.clone(),
        })
    }

    /// The same where triggers give these columns values.
    #[must_use]
    pub(crate) fn deferring(mut self, deferred: Vec<bool>) -> RowMaker {
        self.deferred = deferred;
        self
    }

    fn is_deferred(&self, column: usize) -> bool {
        self.deferred.get(column).copied().unwrap_or(false)
    }

    /// The table.
    pub(super) fn table(&self) -> &Arc<TableDef> {
        &self.table
    }

    /// The row's length.
    pub(crate) fn width(&self) -> usize {
        self.table.columns.len()
    }

    /// Stores a given value in a column. `strict_null`: NULL for a NOT NULL column is an error, not a
    /// warning.
    pub(crate) fn give(
        &self,
        row: &mut Row,
        column: usize,
        value: Value,
        number: u64,
        strict_null: bool,
        ctx: &EvalContext,
    ) -> Result<()> {
        let definition = &self.table.columns[column];
        if definition.generated.is_some() {
            return Err(Error::value_of_generated(&definition.name, &self.table.name));
        }
        row[column] = if value.is_null() {
            let may_be_null = definition.ty.nullable || self.is_deferred(column);
            if may_be_null || Some(column) == self.auto_increment {
                Value::Null
            } else {
                null_in(definition, strict_null, ctx)?
            }
        } else {
            assign(value, &definition.ty, &definition.name, number, ctx)?
        };
        Ok(())
    }

    /// What DEFAULT means for a column. For AUTO_INCREMENT it is NULL, which asks for a value.
    pub(crate) fn default_for(&self, column: usize, ctx: &EvalContext) -> Result<Value> {
        let definition = &self.table.columns[column];
        match &self.absent[column] {
            Absent::Value(value) => Ok(value.clone()),
            Absent::Expression(expr) => default_value(definition, expr.eval(&[], ctx)?, ctx),
            Absent::Sequence { ready, .. } => match ready.lock().take() {
                Some(value) => default_value(definition, value, ctx),
                None => Err(Error::not_supported(
                    "DEFAULT of a column that a sequence numbers, in ON DUPLICATE KEY UPDATE: INSERT a new row",
                )),
            },
            Absent::Generate | Absent::RowId => Ok(Value::Null),
            Absent::Missing(_) if self.is_deferred(column) => Ok(Value::Null),
            Absent::Missing(zero) => {
                ctx.bad_value(Error::no_default(&definition.name))?;
                Ok(zero.clone())
            }
        }
    }

    /// Asks sequences for the defaults of the columns that the next row is not given.
    pub(crate) async fn prepare(
        &self,
        given: &[bool],
        session: &Session,
        env: &StatementContext,
    ) -> Result<()> {
        for (absent, given) in self.absent.iter().zip(given) {
            let Absent::Sequence { expr, ready } = absent else { continue };
            let is_ready = ready.lock().is_some();
            if !given && !is_ready {
                let database = Some(self.table.database.as_str());
                let numbered = session.numbered(expr, database, &env.catalog, &env.ctx).await?;
                let value = ddl::constant(numbered.as_ref().unwrap_or(expr), &env.ctx)?;
                *ready.lock() = Some(value);
            }
        }
        Ok(())
    }

    /// Gives every column its plain default, which expressions read until the column has its value.
    pub(crate) fn prefill(&self, row: &mut Row) {
        for (value, absent) in row.iter_mut().zip(&self.absent) {
            if let Absent::Value(default) | Absent::Missing(default) = absent {
                value.clone_from(default);
            }
        }
    }

    /// Fills the columns that the statement gives nothing.
    pub(crate) fn fill(&self, row: &mut Row, given: &[bool], ctx: &EvalContext) -> Result<()> {
        for column in 0..row.len() {
            if !given[column] {
                row[column] = self.default_for(column, ctx)?;
            }
        }
        Ok(())
    }

    /// Generates what is to be generated, takes notice of AUTO_INCREMENT values given by hand, and computes generated columns.
    pub(crate) async fn complete(
        &self,
        mut row: Row,
        counters: &AutoIncrement,
        numbers: &mut Numbers,
        ctx: &EvalContext,
    ) -> Result<NewRow> {
        let mut generated = None;
        if let Some(column) = self.asks_for_number(&row) {
            generated = Some(self.generate(column, &mut row, counters, numbers).await?);
        } else if let Some(column) = self.auto_increment
            && let Some(value) = row[column].as_integer()
            && let Ok(value) = u64::try_from(value)
        {
            numbers.give(value);
        }
        if let Some(column) = self.table.row_id()
            && row[column].is_null()
        {
            row[column] = Value::UInt(counters.next_row_id(&self.table).await?);
        }
        self.table.generate(&mut row, ctx)?;
        Ok(NewRow { values: row, generated, read: Row::new() })
    }

    /// Refuses a row of which a CHECK is false.
    ///
    /// # Errors
    /// 3819.
    pub(crate) fn check(&self, row: &[Value], ctx: &EvalContext) -> Result<()> {
        self.table.check_row(row, ctx)
    }

    /// Gives a row the next AUTO_INCREMENT value.
    async fn generate(
        &self,
        column: usize,
        row: &mut Row,
        counters: &AutoIncrement,
        numbers: &mut Numbers,
    ) -> Result<u64> {
        let value = counters.generate(&self.table, self.steps, numbers).await?;
        row[column] = self.number_for(column, value)?;
        Ok(value)
    }

    /// The AUTO_INCREMENT column, when the row asks for a value of it.
    pub(super) fn asks_for_number(&self, row: &[Value]) -> Option<usize> {
        self.auto_increment.filter(|column| {
            let zero = matches!(row[*column], Value::Int(0) | Value::UInt(0));
            row[*column].is_null() || (zero && self.zero_generates)
        })
    }

    /// The AUTO_INCREMENT value that a row was given.
    pub(super) fn given_number(&self, row: &[Value]) -> Option<u64> {
        u64::try_from(row[self.auto_increment?].as_integer()?).ok()
    }

    /// A generated number as a column has it; 1467 when it does not fit.
    pub(super) fn number_for(&self, column: usize, number: u64) -> Result<Value> {
        let definition = &self.table.columns[column];
        if i128::from(number) > definition.ty.integer_range().1 {
            return Err(Error::auto_increment_failed());
        }
        Ok(match definition.ty.unsigned {
            true => Value::UInt(number),
            false => Value::Int(number as i64),
        })
    }

    /// Gives a row another value when the one that was generated for it is taken by a row that somebody gave it by hand:
    /// what was generated names no other row. `false` when the index that was met does not have the column.
    pub(crate) async fn generate_again(
        &self,
        index: usize,
        row: &mut NewRow,
        counters: &AutoIncrement,
    ) -> Result<bool> {
        let met = |column: &usize| self.table.indexes[index].covers(*column);
        match self.auto_increment.filter(met) {
            Some(column) if row.generated.is_some() => {
                // The other row was inserted at another node, within the range of this one.
                counters.forget(self.table.id);
                let mut numbers = Numbers::default();
                let value = self.generate(column, &mut row.values, counters, &mut numbers).await?;
                row.generated = Some(value);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }
}

fn absent_of(column: &ColumnDef, ctx: &EvalContext) -> Result<Absent> {
    if column.hidden {
        return Ok(Absent::RowId);
    }
    if column.auto_increment {
        return Ok(Absent::Generate);
    }
    if column.generated.is_some() {
        // It is computed when the others have their values.
        return Ok(Absent::Value(Value::Null));
    }
    Ok(match &column.default {
        Some(DefaultValue::Literal(value)) => Absent::Value(value.clone()),
        Some(DefaultValue::Now) => Absent::Value(now_for(&column.ty, ctx)),
        Some(DefaultValue::Expression(text)) => {
            let expr = ddl::default_ast(text)?;
            match sequences::named_in(&expr).is_empty() {
                true => Absent::Expression(ddl::constant_expr(&expr, ctx)?),
                false => Absent::Sequence { expr, ready: Mutex::default() },
            }
        }
        None if column.ty.nullable => Absent::Value(Value::Null),
        // An ENUM has its first member then, without a word.
        None if column.ty.kind == TypeKind::Enum => Absent::Value(Value::UInt(1)),
        None => Absent::Missing(implicit_default(&column.ty)),
    })
}

/// What the expression of a default has given, as the column stores it.
fn default_value(column: &ColumnDef, value: Value, ctx: &EvalContext) -> Result<Value> {
    if !value.is_null() {
        return assign(value, &column.ty, &column.name, ctx.row(), ctx);
    }
    if column.ty.nullable { Ok(value) } else { null_in(column, true, ctx) }
}

/// NULL for a NOT NULL column: an error, or the type's zero with a warning.
pub(crate) fn null_in(column: &ColumnDef, strict: bool, ctx: &EvalContext) -> Result<Value> {
    let error = Error::column_null(&column.name);
    if strict || ctx.strict_dml {
        return Err(error);
    }
    ctx.warn(error);
    Ok(implicit_default(&column.ty))
}
