//! ALTER TABLE that changes columns, alone or with indexes and options.
//!
//! ```text
//! 1 indexes that are dropped, or lose a column: a job, while the table is used
//! 2 the definition, with the table to itself for a moment: columns, names of indexes, options
//! 3 new indexes: a job, while the table is used                    fails: columns that were added go again
//! ```
//!
//! No row is written: what rows of now have in a new column stands in its definition (`catalog::columns`). The definition changes as it does
//! for RENAME TABLE: transactions that use the table are waited for, and what begins behind the change finds the new columns.
//!
//! Not here: which columns come of it (`column_list`).

use super::column_list;
use super::{InPlace, not_in_place};
use crate::ast::{self, KeyDefinition, TableChange};
use crate::catalog::{NewColumn, TableDef};
use crate::context::EvalContext;
use crate::ddl::change::{Touched, change};
use crate::ddl::table::check_retentions;
use crate::ddl::{create_table, database_of, indexes, sequence};
use crate::dml::find_table;
use crate::session::{OkResult, Outcome, Session};
use crate::{Error, Result};
use base::limits::ROW_PLACES_MAX;

/// The parts of a statement.
struct Parts<'a> {
    /// Changes of columns.
    columns: Vec<&'a TableChange>,
    /// Names of columns that go.
    gone: Vec<&'a str>,
    /// New indexes.
    added: Vec<&'a KeyDefinition>,
    /// Indexes that are dropped.
    dropped: Vec<&'a str>,
    /// The same, as constraints.
    constraints: Vec<&'a str>,
    /// What is changed in place.
    in_place: InPlace,
}

impl<'a> Parts<'a> {
    /// `unique` are the keys of columns that are declared UNIQUE.
    fn of(changes: &'a [TableChange], unique: &'a [KeyDefinition]) -> Result<Parts<'a>> {
        let (mut columns, mut gone, mut in_place) = (Vec::new(), Vec::new(), Vec::new());
        let (mut added, mut dropped, mut constraints) = (Vec::new(), Vec::new(), Vec::new());
        added.extend(unique);
        for change in changes {
            match change {
                TableChange::AddKey(key) => added.push(key),
                TableChange::DropKey(name) => dropped.push(name.as_str()),
                TableChange::DropConstraint(name) => constraints.push(name.as_str()),
                TableChange::EnableKeys(_) => {}
                TableChange::Other(text) if indexes::is_modifier(text) => {}
                change if column_list::is_of_columns(change) => {
                    if let TableChange::DropColumn(name) = change {
                        gone.push(name.as_str());
                    }
                    columns.push(change);
                }
                TableChange::RenameTable(_) => {
                    return Err(Error::not_supported(not_in_place(changes)));
                }
                change => in_place.push(change),
            }
        }
        let Some(in_place) = InPlace::of(in_place)? else {
            return Err(Error::not_supported(
                "ALTER TABLE of columns together with this: say the columns in a statement of their own",
            ));
        };
        Ok(Parts { columns, gone, added, dropped, constraints, in_place })
    }

    /// The table after the second step; its indexes have no columns that go.
    fn define(&self, table: &TableDef, ctx: &EvalContext) -> Result<TableDef> {
        if table.rebuild.is_some() {
            return Err(Error::not_supported(
                "ALTER TABLE of columns while rows move to another sharding key: wait for the job, SHOW DDL JOBS lists it",
            ));
        }
        let columns = column_list::changed(table, &self.columns, ctx)?;
        let mut left = table.clone();
        let stays = |column: usize| columns.iter().any(|new| new.was == Some(column));
        for key in &mut left.declared {
            key.columns.retain(|column| stays(*column));
        }
        left.declared.retain(|key| !key.columns.is_empty());
        let goes = |column: usize| !table.columns[column].hidden && !stays(column);
        let mut used = left.all_indexes().flat_map(|index| {
            index.columns.iter().map(|part| part.column).chain(index.included.iter().copied())
        });
        if used.any(goes) {
            // Somebody has added an index meanwhile.
            return Err(Error::table_changed());
        }
        let mut new = left.with_columns(columns)?;
        if new.next_ordinal > ROW_PLACES_MAX {
            return Err(Error::too_many_row_places(&table.name));
        }
        self.in_place.apply(&mut new)?;
        Ok(new)
    }

    /// Whether all that is changed of columns is that some come.
    fn only_adds(&self) -> bool {
        self.columns.iter().all(|change| matches!(change, TableChange::AddColumn { .. }))
    }
}

/// The keys of columns that are declared UNIQUE.
fn unique_keys(changes: &[TableChange]) -> Vec<KeyDefinition> {
    let column = |change: &TableChange| match change {
        TableChange::AddColumn { column, .. }
        | TableChange::ModifyColumn { column, .. }
        | TableChange::ChangeColumn { column, .. } => {
            column.unique.then(|| KeyDefinition::unique(&column.name))
        }
        _ => None,
    };
    changes.iter().filter_map(column).collect()
}

/// Changes columns of a table, and what is said besides.
pub(super) async fn alter(
    session: &mut Session,
    name: &ast::TableName,
    changes: &[TableChange],
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let unique = unique_keys(changes);
    let parts = Parts::of(changes, &unique)?;
    let catalog = session.instance.catalog.current().await?;
    let table = find_table(name, session.database.as_deref(), &catalog)?;
    check(&parts, &table, &ctx)?;
    if !parts.gone.is_empty() || !parts.dropped.is_empty() || !parts.constraints.is_empty() {
        let dropped = (parts.dropped.as_slice(), parts.constraints.as_slice());
        indexes::leave(session, name, dropped, &parts.gone).await?;
    }
    let before = define(session, name, |table| parts.define(table, &ctx)).await?;
    if !parts.added.is_empty()
        && let Err(error) = indexes::add(session, name, &parts.added).await
    {
        if parts.only_adds() {
            define(session, name, |table| without_added(table, &before)).await?;
        }
        return Err(error);
    }
    let info = format!("Records: 0  Duplicates: 0  Warnings: {}", session.diagnostics.count());
    Ok(Outcome::Ok(OkResult { info, ..OkResult::default() }))
}

/// Finds mistakes before the first step.
fn check(parts: &Parts<'_>, table: &TableDef, ctx: &EvalContext) -> Result<()> {
    let mut left = TableDef { unpublished: Vec::new(), ..table.clone() };
    let goes = |column: usize| {
        let name = &table.columns[column].name;
        parts.gone.iter().any(|gone| gone.eq_ignore_ascii_case(name))
    };
    let is_dropped = |name: &str| {
        let mut names = parts.dropped.iter().chain(&parts.constraints);
        names.any(|dropped| dropped.eq_ignore_ascii_case(name))
    };
    for at in (1..left.indexes.len()).rev() {
        let index = &mut left.indexes[at];
        index.columns.retain(|part| !goes(part.column));
        index.included.retain(|column| !goes(*column));
        let is_gone = index.columns.is_empty() || is_dropped(&index.name);
        if is_gone && !index.implicit {
            left.indexes.remove(at);
        }
    }
    let mut new = parts.define(&left, ctx)?;
    let added = create_table::define_added(&parts.added, &new)?;
    new.indexes.extend(added);
    create_table::check_auto_increment(&new)
}

/// Changes the definition of a table, with the table to itself; what it was.
async fn define(
    session: &mut Session,
    name: &ast::TableName,
    new: impl Fn(&TableDef) -> Result<TableDef>,
) -> Result<TableDef> {
    let database = database_of(session, name)?.to_string();
    let default = session.database.clone();
    loop {
        let (mut busy, mut before) = (None, None);
        let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
        change(session, touched, |change| {
            let table = find_table(name, default.as_deref(), &change.catalog)?;
            indexes::check_no_rekey(&change.index_jobs, &table)?;
            busy = indexes::job_of(&change.index_jobs, &table);
            if busy.is_some() {
                return Ok(false);
            }
            let new = new(&table)?;
            before = Some(TableDef::clone(&table));
            sequence::check_defaults(&change.catalog, &new)?;
            check_retentions(&change.catalog, &new)?;
            if new == *table {
                return Ok(false);
            }
            change.put_table(&new)?;
            Ok(true)
        })
        .await?;
        match (busy, before) {
            (Some(other), _) => indexes::wait_for_other(session, other).await?,
            (None, Some(before)) => return Ok(before),
            (None, None) => return Err(Error::internal("a schema change that changed nothing")),
        }
    }
}

/// A table without the columns that it did not have before. Their places in rows are spent.
fn without_added(table: &TableDef, before: &TableDef) -> Result<TableDef> {
    let had = |ordinal: usize| before.columns.iter().any(|column| column.ordinal == ordinal);
    let left = table.visible_columns().filter(|(_, column)| had(column.ordinal));
    let left = left.map(|(at, column)| NewColumn { was: Some(at), column: column.clone() });
    table.with_columns(left.collect())
}
