//! ALTER TABLE that gives a table another primary key, or takes it, or adds a column that numbers its rows: the table is made anew,
//! with its rows.
//!
//! ```text
//! lock ──> definition of now as CREATE TABLE, with the other key ──> a new id ──> all rows under it ──┐ one transaction with
//!          the old id is dropped, as TRUNCATE drops it                                                ├ the schema change
//! ```
//!
//! The primary key is the key of every row and, unless another one is declared, the sharding key: each row and each entry moves.
//! The rows are written in the transaction of the schema change, so the table has the old key or the new one, whatever fails. While it
//! commits nobody reads the catalog, which bounds how many rows that may be.
//!
//! Not here: bigger tables (1235), other changes (`columns`).

use super::column_list;
use crate::access::{self, ReadOptions};
use crate::ast::{self, ColumnPlace, KeyKind, Statement, TableChange};
use crate::catalog::store::{self, SchemaChange};
use crate::catalog::{ColumnDef, TableDef};
use crate::context::EvalContext;
use crate::ddl::change::{Before, Touched, change_after};
use crate::ddl::{create_table, database_of, existing_database, indexes, rule};
use crate::dml::find_table;
use crate::dml::store::put_new;
use crate::instance::Instance;
use crate::session::{OkResult, Outcome, Session};
use crate::show::create_table::{ShardingStyle, text};
use crate::types::datetime::TimeZone;
use crate::value::{Row, Value};
use crate::{Error, Result, parser, table_codec};
use base::TableId;
use base::limits::{TABLE_COPY_BYTES_MAX, TABLE_COPY_ROWS_MAX};
use parking_lot::Mutex;
use std::sync::Arc;
use txn::Transaction;
use txn::transaction::Mode;

/// The name of every primary key.
const PRIMARY: &str = "PRIMARY";

/// Whether a change is one of the primary key.
pub(super) fn is_of_primary(change: &TableChange) -> bool {
    match change {
        TableChange::AddKey(key) => key.kind == KeyKind::Primary,
        TableChange::DropPrimaryKey => true,
        TableChange::DropKey(name) => name.eq_ignore_ascii_case(PRIMARY),
        TableChange::AddColumn { column, .. } => column.primary_key || column.auto_increment,
        _ => false,
    }
}

/// A copy of a table under another key, and what came of it last.
pub(in crate::ddl) struct TableCopy<'a> {
    name: &'a ast::TableName,
    /// The session's database.
    default: Option<Arc<str>>,
    changes: &'a [TableChange],
    /// Id of the new table.
    id: TableId,
    ctx: &'a EvalContext,
    outcome: Mutex<Copied>,
}

/// Where a value of a copied row comes from.
enum Origin {
    /// A column of the table.
    Column(usize),
    /// The rows are counted, from 1.
    Number { unsigned: bool },
    /// All rows have it.
    Value(Value),
}

impl Origin {
    fn value(&self, row: &[Value], number: u64) -> Value {
        match self {
            Origin::Column(at) => row[*at].clone(),
            Origin::Number { unsigned: true } => Value::UInt(number),
            Origin::Number { unsigned: false } => Value::Int(number as i64),
            Origin::Value(value) => value.clone(),
        }
    }
}

/// What came of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Copied {
    /// Nothing yet.
    #[default]
    Nothing,
    /// A job of the table is to be waited for.
    Busy(u64),
    /// So many rows.
    Rows(u64),
}

/// Changes the primary key of a table.
pub(super) async fn alter(
    session: &mut Session,
    name: &ast::TableName,
    changes: &[TableChange],
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, name)?.to_string();
    let id = store::new_table_ids(&session.instance.config.client, 1).await?[0];
    let (default, outcome) = (session.database.clone(), Mutex::default());
    let copy = TableCopy { name, default, changes, id, ctx: &ctx, outcome };
    loop {
        let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
        change_after(session, touched, Some(Before::Copy(&copy)), |_| {
            Ok(matches!(*copy.outcome.lock(), Copied::Rows(_)))
        })
        .await?;
        let outcome = *copy.outcome.lock();
        match outcome {
            Copied::Busy(job) => indexes::wait_for_other(session, job).await?,
            Copied::Rows(count) => {
                // MySQL counts the rows that it copies: those of a table that only loses its key.
                let drops = |change: &TableChange| matches!(change, TableChange::DropPrimaryKey);
                let gives = |change: &TableChange| is_of_primary(change) && !drops(change);
                let counted = changes.iter().any(drops) && !changes.iter().any(gives);
                let affected_rows = if counted { count } else { 0 };
                let warnings = session.diagnostics.count();
                let info = format!("Records: {affected_rows}  Duplicates: 0  Warnings: {warnings}");
                return Ok(Outcome::Ok(OkResult { affected_rows, info, ..OkResult::default() }));
            }
            Copied::Nothing => return Err(Error::internal("a table that was not copied")),
        }
    }
}

impl TableCopy<'_> {
    /// Writes the new table and its rows into a schema change, whose tables are locked.
    ///
    /// # Errors
    /// 1062, 1068, 1075, 1091, 1138; 1235 for tables that are not copied.
    pub(in crate::ddl) async fn fill(
        &self,
        change: &mut SchemaChange,
        instance: &Instance,
    ) -> Result<()> {
        let table = find_table(self.name, self.default.as_deref(), &change.catalog)?;
        indexes::check_no_rekey(&change.index_jobs, &table)?;
        if let Some(job) = indexes::job_of(&change.index_jobs, &table) {
            *self.outcome.lock() = Copied::Busy(job);
            return Ok(());
        }
        let mut new = self.define(&table, change)?;
        let count = self.copy(&table, &mut new, change, instance).await?;
        rule::check_names(&change.catalog, &TableDef { id: table.id, ..new.clone() })?;
        change.drop_table(&table, self.ctx.now_unix_micros / 1_000_000)?;
        change.put_table(&new)?;
        *self.outcome.lock() = Copied::Rows(count);
        Ok(())
    }

    /// The new definition.
    fn define(&self, table: &TableDef, change: &SchemaChange) -> Result<TableDef> {
        let kept = match (table.partitioning.is_some(), table.placement.is_empty()) {
            (true, _) => Some("a partitioned table"),
            (_, false) => Some("a table with a placement policy"),
            (false, true) => None,
        };
        if let Some(kept) = kept {
            return Err(Error::not_supported(format!(
                "another PRIMARY KEY for {kept}: create a table with the key and INSERT … SELECT into it"
            )));
        }
        let own = text(table, None, TimeZone::UTC, ShardingStyle::Declared);
        let written = parser::parse_statement(&own, &parser::ParseMode::default())?;
        let Statement::CreateTable(mut create) = written else {
            return Err(Error::internal("the text of a table that is none"));
        };
        self.change_keys(&mut create)?;
        let database = existing_database(&change.catalog, &table.database)?;
        let mut new = create_table::define(&create, database, self.id, None, self.ctx)?;
        let visible = new.visible_columns().count();
        for (ordinal, column) in new.columns.iter_mut().enumerate().take(visible) {
            let Some(at) = table.column(&column.name) else { continue };
            // Literals of defaults have been values of the column already.
            let (ty, generated) = (column.ty, column.generated.take());
            let (absent, former) = (None, None);
            let old = table.columns[at].clone();
            *column = ColumnDef { ty, ordinal, generated, absent, former, ..old };
        }
        new.created_unix = table.created_unix;
        new.auto_increment_start = table.auto_increment_start;
        new.retention_s = table.retention_s;
        Ok(new)
    }

    /// Makes the changes in the statement that creates the table.
    fn change_keys(&self, create: &mut ast::CreateTable) -> Result<()> {
        for change in self.changes {
            let gone = match change {
                TableChange::DropPrimaryKey => None,
                TableChange::DropKey(name) => {
                    Some(name.as_str()).filter(|name| !name.eq_ignore_ascii_case(PRIMARY))
                }
                TableChange::AddKey(_) | TableChange::EnableKeys(_) => continue,
                TableChange::AddColumn { column, place } => {
                    let is_it = |name: &str| {
                        let mut columns = create.columns.iter();
                        columns.position(|other| other.name.eq_ignore_ascii_case(name))
                    };
                    let at = match place {
                        ColumnPlace::Unchanged => create.columns.len(),
                        ColumnPlace::First => 0,
                        ColumnPlace::After(name) => {
                            let table = &create.name.name;
                            is_it(name).ok_or_else(|| Error::unknown_column(name, table))? + 1
                        }
                    };
                    create.columns.insert(at, column.clone());
                    continue;
                }
                TableChange::Other(text) if indexes::is_modifier(text) => continue,
                _ => {
                    return Err(Error::not_supported(
                        "ALTER TABLE of the PRIMARY KEY together with this: say the keys in a statement of their own",
                    ));
                }
            };
            let is_it = |key: &ast::KeyDefinition| match (gone, key.name.as_deref()) {
                (None, _) => key.kind == KeyKind::Primary,
                (Some(gone), Some(name)) => name.eq_ignore_ascii_case(gone),
                (Some(_), None) => false,
            };
            let at = create.keys.iter().position(is_it);
            let missing = || Error::cant_drop(gone.unwrap_or(PRIMARY));
            create.keys.remove(at.ok_or_else(missing)?);
        }
        for change in self.changes {
            if let TableChange::AddKey(key) = change {
                if key.kind == KeyKind::Primary {
                    take_nulls(create, key);
                }
                create.keys.push(key.clone());
            }
        }
        Ok(())
    }

    /// Where the values of the new columns come from, a hidden row id aside.
    fn origins(&self, table: &TableDef, new: &TableDef) -> Result<Vec<Origin>> {
        let origin = |(_, column): (usize, &ColumnDef)| -> Result<Origin> {
            Ok(match table.column(&column.name) {
                Some(at) => Origin::Column(at),
                None if column.auto_increment => Origin::Number { unsigned: column.ty.unsigned },
                None if column.generated.is_some() => Origin::Value(Value::Null),
                None => Origin::Value(column_list::value_of_old_rows(column, self.ctx)?),
            })
        };
        new.visible_columns().map(origin).collect()
    }

    /// Writes all rows; how many there are.
    async fn copy(
        &self,
        table: &Arc<TableDef>,
        new: &mut TableDef,
        change: &mut SchemaChange,
        instance: &Instance,
    ) -> Result<u64> {
        let choice = access::plan(table, &[], self.ctx)?;
        let mut reading = Transaction::begin(instance.config.client.clone(), Mode::Snapshot);
        let (shard, slots) = (choice.shard, choice.slots);
        let options = ReadOptions { shard, slots, ..ReadOptions::default() };
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let mut rows = access::read(&choice.access, table, &all, options, &mut reading).await?;
        let origins = self.origins(table, new)?;
        let (mut count, mut bytes) = (0, 0);
        while let Some(page) = rows.next_page(&mut reading).await? {
            self.ctx.check_cancel()?;
            for (_, old) in page {
                count += 1;
                let mut row: Row = origins.iter().map(|origin| origin.value(&old, count)).collect();
                new.generate(&mut row, self.ctx)?;
                let is_null =
                    |(value, column): (&Value, &ColumnDef)| value.is_null() && !column.ty.nullable;
                if row.iter().zip(&new.columns).any(is_null) {
                    return Err(Error::invalid_null());
                }
                if new.row_id().is_some() {
                    row.push(Value::UInt(instance.auto_increment.next_row_id(new).await?));
                }
                bytes += table_codec::encode_row(new, &row)?.len();
                if count > TABLE_COPY_ROWS_MAX || bytes > TABLE_COPY_BYTES_MAX {
                    return Err(Error::not_supported(format!(
                        "another PRIMARY KEY for a table of more than {TABLE_COPY_ROWS_MAX} rows or {TABLE_COPY_BYTES_MAX} bytes: create \
                         a table with the key, INSERT … SELECT into it and RENAME both"
                    )));
                }
                let number = new.auto_increment().and_then(|column| row[column].as_integer());
                if let Some(number) = number.and_then(|number| u64::try_from(number).ok()) {
                    let next = number.saturating_add(1);
                    new.auto_increment_start = new.auto_increment_start.max(next);
                }
                let key = table_codec::row_key(new, &row)?;
                let entries = table_codec::new_entries(new, &row)?;
                put_new(change.transaction(), new, key, entries, &row, self.ctx)?;
            }
        }
        Ok(count)
    }
}

/// The columns of a primary key lose the NULL that they had as default: they are NOT NULL with the key.
fn take_nulls(create: &mut ast::CreateTable, key: &ast::KeyDefinition) {
    let is_part = |name: &str| {
        key.columns.iter().any(|part| match &part.target {
            ast::KeyTarget::Column(column) => column.eq_ignore_ascii_case(name),
            ast::KeyTarget::Expression(_) => false,
        })
    };
    let is_null = |default: &ast::DefaultValue| match default {
        ast::DefaultValue::Literal(expr) => {
            matches!(expr.kind, ast::ExprKind::Literal(ast::Literal::Null))
        }
        _ => false,
    };
    for column in create.columns.iter_mut().filter(|column| is_part(&column.name)) {
        column.nullable = column.nullable.filter(|nullable| !nullable);
        column.default = column.default.take().filter(|default| !is_null(default));
    }
}
