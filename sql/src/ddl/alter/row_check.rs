//! What existing rows must be before a definition may change: with no value that a column will not have, and no CHECK false of them.
//!
//! Rows are read under the new definition, which reads them rightly whatever columns come with it, while the table is locked: nobody
//! adds any. Most changes ask nothing of rows, and none is read.
//!
//! Not here: what the new definition is (`columns`).

use crate::access::{self, ReadOptions};
use crate::ast;
use crate::catalog::{CheckDef, ColumnDef, TableDef};
use crate::context::{EvalContext, SqlMode};
use crate::dml::find_table;
use crate::instance::Instance;
use crate::types::assign::implicit_default;
use crate::value::Value;
use crate::{Error, Result};
use std::sync::Arc;
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
    /// Modes of the statement.
    pub(super) ctx: &'a EvalContext,
}

/// What is asked of each row.
struct Asked {
    /// The new definition, with those constraints alone that no row has met yet.
    table: Arc<TableDef>,
    /// Columns that are NOT NULL from now on.
    filled: Vec<usize>,
    /// New columns whose value for rows that are there is no value of theirs: there must be no row.
    zero_dates: Vec<usize>,
}

impl Asked {
    fn of(old: &TableDef, new: TableDef, ctx: &EvalContext) -> Asked {
        let is_met = |check: &CheckDef| {
            let was = old.checks.iter().find(|was| was.name == check.name);
            !check.enforced || was.is_some_and(|was| was.enforced && was.rule == check.rule)
        };
        let checks = new.checks.iter().filter(|check| !is_met(check)).cloned().collect();
        let was_nullable = |column: &ColumnDef| {
            let was = old.columns.iter().find(|was| was.ordinal == column.ordinal);
            was.is_some_and(|was| was.ty.nullable)
        };
        let modes = ctx.sql_mode;
        let refuses_zero = modes.is_strict() && modes.contains(SqlMode::NO_ZERO_DATE);
        let (mut filled, mut zero_dates) = (Vec::new(), Vec::new());
        for (position, column) in new.columns.iter().enumerate() {
            let ty = &column.ty;
            if !ty.nullable && was_nullable(column) {
                filled.push(position);
            }
            let is_dated = ty.is_temporal()
                && matches!(implicit_default(ty), Value::Date(_) | Value::DateTime(_));
            let is_new = column.ordinal >= old.next_ordinal && column.default.is_none();
            if refuses_zero && is_new && is_dated && column.absent == Some(implicit_default(ty)) {
                zero_dates.push(position);
            }
        }
        Asked { table: Arc::new(TableDef { checks, ..new }), filled, zero_dates }
    }

    fn is_nothing(&self) -> bool {
        self.table.checks.is_empty() && self.filled.is_empty() && self.zero_dates.is_empty()
    }

    fn check(&self, row: &[Value], ctx: &EvalContext) -> Result<()> {
        if let Some(position) = self.zero_dates.first() {
            let column = &self.table.columns[*position];
            let kind = if column.ty.is_datetime() { "datetime" } else { "date" };
            let shown = row[*position].to_text(&column.ty).unwrap_or_default();
            return Err(Error::incorrect_datetime(kind, shown, &column.name, 1));
        }
        if self.filled.iter().any(|position| row[*position].is_null()) {
            return Err(Error::invalid_null());
        }
        self.table.check_row(row, ctx)
    }
}

impl RowCheck<'_> {
    /// Refuses a change that rows are in the way of.
    ///
    /// # Errors
    /// 1138, 1292, 3819.
    pub(in crate::ddl) async fn check(&self, instance: &Instance) -> Result<()> {
        let catalog = instance.catalog.current().await?;
        let table = find_table(self.name, self.default.as_deref(), &catalog)?;
        let asked = Asked::of(&table, (self.new)(&table)?, self.ctx);
        if asked.is_nothing() {
            return Ok(());
        }
        let choice = access::plan(&asked.table, &[], self.ctx)?;
        let mut transaction = Transaction::begin(instance.config.client.clone(), Mode::Snapshot);
        let (shard, slots) = (choice.shard, choice.slots);
        let options = ReadOptions { shard, slots, ..ReadOptions::default() };
        let all: Vec<usize> = (0..asked.table.columns.len()).collect();
        let mut rows =
            access::read(&choice.access, &asked.table, &all, options, &mut transaction).await?;
        while let Some(page) = rows.next_page(&mut transaction).await? {
            self.ctx.check_cancel()?;
            page.iter().try_for_each(|(_, row)| asked.check(row, self.ctx))?;
        }
        Ok(())
    }
}
