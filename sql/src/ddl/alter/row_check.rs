//! What existing rows must be before a definition may change: with no value that a column will not have, and no CHECK false of them.
//!
//! Rows are read while the table is locked: nobody adds any. Each is made one of the new definition in the statement's modes, as a
//! copy of the table would, and then forgotten. Most changes ask nothing of rows, and none is read.
//!
//! Not here: what the new definition is (`columns`).

use crate::access::{self, ReadOptions};
use crate::ast;
use crate::catalog::{Catalog, CheckDef, ColumnDef, TableDef};
use crate::context::{EvalContext, SqlMode};
use crate::dml::find_table;
use crate::instance::Instance;
use crate::types::SqlType;
use crate::types::assign::implicit_default;
use crate::value::Value;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use txn::Transaction;
use txn::transaction::Mode;

/// A change of a definition that may ask something of rows.
pub(in crate::ddl) struct RowCheck<'a> {
    /// The table.
    pub(super) name: &'a ast::TableName,
    /// The session's database.
    pub(super) default: Option<Arc<str>>,
    /// Its definition after the change.
    pub(super) new: &'a (dyn Fn(&TableDef) -> Result<TableDef> + Sync),
    /// The highest number in a column that is AUTO_INCREMENT from now on.
    pub(super) highest: &'a AtomicU64,
    /// Modes of the statement.
    pub(super) ctx: &'a EvalContext,
}

/// What is asked of each row.
struct Asked {
    /// The definition under which rows are read.
    old: Arc<TableDef>,
    /// The new one, with those constraints alone that rows may not meet.
    new: TableDef,
    /// Where each of its columns was.
    places: Vec<Option<usize>>,
    /// New columns whose value for rows that are there is no value of theirs: there must be no row.
    zero_dates: Vec<usize>,
    /// The column of before that is AUTO_INCREMENT from now on.
    numbered: Option<usize>,
}

/// Whether a column is one of before, or what it has become.
fn is_of(was: &ColumnDef, column: &ColumnDef) -> bool {
    let former = column.former.as_ref().map(|former| former.ordinal);
    was.ordinal == column.ordinal || Some(was.ordinal) == former
}

impl Asked {
    fn of(old: Arc<TableDef>, new: TableDef, ctx: &EvalContext) -> Asked {
        let place = |column| old.columns.iter().position(|was| is_of(was, column));
        let places: Vec<Option<usize>> = new.columns.iter().map(place).collect();
        let converts = new.columns.iter().any(|column| is_converted(&old, column));
        let is_met = |check: &CheckDef| {
            let was = old.checks.iter().find(|was| was.name == check.name);
            let was_met = was.is_some_and(|was| was.enforced && was.rule == check.rule);
            !check.enforced || was_met && !converts
        };
        let checks = new.checks.iter().filter(|check| !is_met(check)).cloned().collect();
        let modes = ctx.sql_mode;
        let refuses_zero = modes.is_strict() && modes.contains(SqlMode::NO_ZERO_DATE);
        let is_zero_date = |position: &usize| {
            let column = &new.columns[*position];
            let zero = implicit_default(&column.ty);
            refuses_zero
                && places[*position].is_none()
                && column.default.is_none()
                && matches!(zero, Value::Date(_) | Value::DateTime(_))
                && column.absent == Some(zero)
        };
        let zero_dates = (0..new.columns.len()).filter(is_zero_date).collect();
        let numbered = new.auto_increment().and_then(|column| places[column]);
        let numbered = numbered.filter(|place| !old.columns[*place].auto_increment);
        Asked { old, new: TableDef { checks, ..new }, places, zero_dates, numbered }
    }

    /// Whether rows may be whatever they are.
    fn is_nothing(&self) -> bool {
        let mut columns = self.new.columns.iter().zip(&self.places);
        let asks = |(column, place): (&ColumnDef, &Option<usize>)| {
            let was = place.map(|place| &self.old.columns[place]);
            let is_filled = was.is_some_and(|was| was.ty.nullable && !column.ty.nullable);
            is_filled || is_converted(&self.old, column)
        };
        let asks_none = self.numbered.is_none() && self.zero_dates.is_empty();
        asks_none && self.new.checks.is_empty() && !columns.any(asks)
    }

    /// Tries the change with a row of now.
    fn check(&self, row: &[Value], ctx: &EvalContext) -> Result<()> {
        if let Some(position) = self.zero_dates.first() {
            let column = &self.new.columns[*position];
            let kind = if column.ty.is_datetime() { "datetime" } else { "date" };
            let zero = implicit_default(&column.ty).to_text(&column.ty).unwrap_or_default();
            return Err(Error::incorrect_datetime(kind, zero, &column.name, 1));
        }
        let mut new = Vec::with_capacity(self.new.columns.len());
        for (column, place) in self.new.columns.iter().zip(&self.places) {
            let Some(place) = *place else {
                new.push(column.absent.clone().unwrap_or(Value::Null));
                continue;
            };
            let value = row[place].clone();
            if value.is_null() && !column.ty.nullable {
                return Err(Error::invalid_null());
            }
            new.push(match is_converted(&self.old, column) {
                true => converted(column, value, &self.old.columns[place].ty, ctx)?,
                false => value,
            });
        }
        if self.new.checks.is_empty() {
            return Ok(());
        }
        self.new.generate(&mut new, ctx)?;
        self.new.check_row(&new, ctx)
    }
}

/// Whether a change gives a column another place.
fn is_converted(old: &TableDef, column: &ColumnDef) -> bool {
    column.former.is_some() && column.ordinal >= old.next_ordinal
}

fn converted(column: &ColumnDef, value: Value, from: &SqlType, ctx: &EvalContext) -> Result<Value> {
    column.convert(value, from, ctx).map_err(|error| match error.code {
        // MySQL says so of ALTER TABLE.
        1406 => Error::data_truncated(&column.name, ctx.row()),
        _ => error,
    })
}

impl RowCheck<'_> {
    /// Takes notice of a number that a row has.
    fn note(&self, number: Option<&Value>) -> Result<()> {
        let Some(number) = number.and_then(Value::as_integer) else { return Ok(()) };
        if number == 0 {
            return Err(Error::not_supported(
                "AUTO_INCREMENT for a column with 0 in a row, which would get a number: UPDATE that row first",
            ));
        }
        if let Ok(number) = u64::try_from(number) {
            self.highest.fetch_max(number, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Refuses a change that rows are in the way of.
    ///
    /// # Errors
    /// 1138, 1292, 3819; 1264, 1265, 1292 or 1366 for a value that the new type does not have.
    pub(in crate::ddl) async fn check(&self, catalog: &Catalog, instance: &Instance) -> Result<()> {
        let table = find_table(self.name, self.default.as_deref(), catalog)?;
        let new = (self.new)(&table)?;
        let asked = Asked::of(table, new, self.ctx);
        if asked.is_nothing() {
            return Ok(());
        }
        let table = &asked.old;
        let choice = access::plan(table, &[], self.ctx)?;
        let mut transaction = Transaction::begin(instance.config.client.clone(), Mode::Snapshot);
        let (shard, slots) = (choice.shard, choice.slots);
        let options = ReadOptions { shard, slots, ..ReadOptions::default() };
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let mut rows = access::read(&choice.access, table, &all, options, &mut transaction).await?;
        let mut count = 0;
        while let Some(page) = rows.next_page(&mut transaction).await? {
            self.ctx.check_cancel()?;
            for (_, row) in &page {
                count += 1;
                self.ctx.set_row(count);
                asked.check(row, self.ctx)?;
                self.note(asked.numbered.map(|column| &row[column]))?;
            }
        }
        Ok(())
    }
}
