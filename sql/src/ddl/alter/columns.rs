//! ALTER TABLE that changes columns, alone or with indexes and options.
//!
//! ```text
//! 1 indexes that are dropped, or lose a column: a job, while the table is used
//! 2 the definition, with the table to itself for a moment: columns, CHECK, options
//! 3 new indexes: a job, while the table is used                    fails: columns that were added go again
//! ```
//!
//! No row is written: what rows of now have in a new column stands in its definition (`catalog::columns`). Rows are read when a new
//! CHECK, or NOT NULL, asks something of them (`row_check`). The definition changes as it does
//! for RENAME TABLE: transactions that use the table are waited for, and what begins behind the change finds the new columns.
//!
//! Not here: which columns come of it (`column_list`).

use super::modifiers::{Cost, Modifiers};
use super::{InPlace, RowCheck, not_in_place};
use super::{column_list, kept_type};
use crate::ast::{self, KeyDefinition, TableChange};
use crate::catalog::{CheckDef, ColumnDef, IndexColumn, IndexDef, NewColumn, TableDef};
use crate::context::EvalContext;
use crate::ddl::change::{Before, Touched, change_after};
use crate::ddl::table::check_retentions;
use crate::ddl::{create_table, database_of, deprecated, indexes, rule, sequence};
use crate::dml::find_table;
use crate::session::{OkResult, Outcome, Session};
use crate::{Error, Result};
use base::limits::ROW_PLACES_MAX;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// New constraints, with the column that each is of.
    checks: Vec<(&'a ast::Check, Option<&'a str>)>,
    /// Constraints that go.
    dropped_checks: Vec<&'a str>,
    /// Constraints that are enforced from now on, or no longer.
    altered_checks: Vec<(&'a str, bool)>,
    /// Indexes that get other names.
    renamed: Vec<(&'a str, &'a str)>,
    /// What is changed in place.
    in_place: InPlace,
    /// The highest number in a column that becomes AUTO_INCREMENT, when rows have been looked at.
    highest: AtomicU64,
}

impl<'a> Parts<'a> {
    /// `unique` are the keys of columns that are declared UNIQUE.
    fn of(changes: &'a [TableChange], unique: &'a [KeyDefinition]) -> Result<Parts<'a>> {
        let (mut columns, mut gone, mut in_place) = (Vec::new(), Vec::new(), Vec::new());
        let (mut added, mut dropped, mut constraints) = (Vec::new(), Vec::new(), Vec::new());
        let (mut checks, mut dropped_checks) = (Vec::new(), Vec::new());
        let (mut altered_checks, mut renamed) = (Vec::new(), Vec::new());
        added.extend(unique);
        for change in changes {
            match change {
                TableChange::AddKey(key) => added.push(key),
                TableChange::DropKey(name) => dropped.push(name.as_str()),
                TableChange::RenameKey { old, new } => renamed.push((old.as_str(), new.as_str())),
                TableChange::DropConstraint(name) => constraints.push(name.as_str()),
                TableChange::AddCheck(check) => checks.push((check, None)),
                TableChange::DropCheck(name) => dropped_checks.push(name.as_str()),
                TableChange::AlterCheck { name, enforced } => {
                    altered_checks.push((name.as_str(), *enforced));
                }
                TableChange::EnableKeys(_) => {}
                TableChange::Other(text) if indexes::is_modifier(text) => {}
                change if column_list::is_of_columns(change) => {
                    match change {
                        TableChange::DropColumn(name) => gone.push(name.as_str()),
                        TableChange::AddColumn { column, .. }
                        | TableChange::ModifyColumn { column, .. }
                        | TableChange::ChangeColumn { column, .. } => {
                            let own = Some(column.name.as_str());
                            checks.extend(column.checks.iter().map(|check| (check, own)));
                        }
                        _ => {}
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
        Ok(Parts {
            columns,
            gone,
            added,
            dropped,
            constraints,
            checks,
            dropped_checks,
            altered_checks,
            renamed,
            in_place,
            highest: AtomicU64::new(0),
        })
    }

    /// Tells the constraints by their kinds: what is no CHECK of the table is to be a unique key.
    fn sort_constraints(&mut self, table: &TableDef) {
        let is_check = |name: &&str| table.checks.iter().any(|check| is_named(check, name));
        let names = std::mem::take(&mut self.constraints);
        let (checks, keys): (Vec<&str>, Vec<&str>) = names.into_iter().partition(is_check);
        self.dropped_checks.extend(checks);
        self.constraints = keys;
    }

    /// The constraints that are left of a table's when some columns go and others get names.
    fn checks_left(&self, table: &TableDef, columns: &[NewColumn]) -> Result<Vec<CheckDef>> {
        let mut left = table.checks.clone();
        for name in &self.dropped_checks {
            let at = left.iter().position(|check| is_named(check, name));
            left.remove(at.ok_or_else(|| Error::no_such_check(name))?);
        }
        for (name, enforced) in &self.altered_checks {
            let check = left.iter_mut().find(|check| is_named(check, name));
            check.ok_or_else(|| Error::no_such_check(name))?.enforced = *enforced;
        }
        let mut kept = Vec::with_capacity(left.len());
        for check in left {
            let read = check.rule.columns();
            match read.iter().copied().find(|column| !keeps(table, columns, *column)) {
                None => kept.push(check),
                // A constraint of one column goes with it.
                Some(column) if read.len() == 1 && goes(columns, column) => {}
                Some(column) => {
                    let column = &table.columns[column].name;
                    return Err(Error::needed_by_check(&check.name, column));
                }
            }
        }
        Ok(kept)
    }

    /// A table behind the first step: without indexes that are dropped, and without columns of indexes that go.
    fn stripped(&self, table: &TableDef) -> TableDef {
        let mut left = TableDef { unpublished: Vec::new(), ..table.clone() };
        let goes = |column: usize| {
            let name = &table.columns[column].name;
            self.gone.iter().any(|gone| gone.eq_ignore_ascii_case(name))
        };
        let is_dropped = |name: &str| {
            let mut names = self.dropped.iter().chain(&self.constraints);
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
        left
    }

    /// The table after the second step; its indexes have no columns that go.
    fn define(&self, table: &TableDef, ctx: &EvalContext) -> Result<TableDef> {
        if table.rebuild.is_some() {
            return Err(Error::not_supported(
                "ALTER TABLE of columns while rows move to another sharding key: wait for the job, SHOW DDL JOBS lists it",
            ));
        }
        let columns = column_list::changed(table, &self.columns, ctx)?;
        check_read_by_generated(table, &columns)?;
        let mut left = table.clone();
        left.checks = self.checks_left(table, &columns)?;
        let stays = |column: usize| columns.iter().any(|new| new.was == Some(column));
        for key in &mut left.declared {
            key.columns.retain(|column| stays(*column));
        }
        left.declared.retain(|key| !key.columns.is_empty());
        let is_gone = |column: usize| !table.columns[column].hidden && !stays(column);
        let mut used = left.all_indexes().flat_map(|index| {
            index.columns.iter().map(|part| part.column).chain(index.included.iter().copied())
        });
        if used.any(is_gone) {
            // Somebody has added an index meanwhile.
            return Err(Error::table_changed());
        }
        let mut new = left.with_columns(columns)?;
        indexes::rename_in(&mut new, &self.renamed)?;
        if new.next_ordinal > ROW_PLACES_MAX {
            return Err(Error::too_many_row_places(&table.name));
        }
        for (check, column) in &self.checks {
            create_table::add_check(&mut new, check, *column)?;
        }
        if let Some(collation) = column_list::conversion(&self.columns, table)? {
            new.collation = collation;
        }
        self.in_place.apply(&mut new)?;
        if new.auto_increment().is_some() && table.auto_increment().is_none() {
            let next = self.highest.load(Ordering::Relaxed).saturating_add(1);
            new.auto_increment_start = new.auto_increment_start.max(next);
        }
        new.with_rules_bound()
    }

    /// The indexes that have a column whose values are stored in another way, as they are afterwards: they are dropped before
    /// and built anew behind.
    fn converted_keys(&self, table: &TableDef, ctx: &EvalContext) -> Result<Vec<KeyDefinition>> {
        let columns = column_list::changed(table, &self.columns, ctx)?;
        let now = |column: usize| columns.iter().find(|new| new.was == Some(column));
        let converts = |column: usize| now(column).is_some_and(|new| new.converts);
        let name = |column: usize| now(column).map(|new| new.column.name.clone());
        let is_dropped = |index: &IndexDef| {
            let mut names = self.dropped.iter().chain(&self.constraints);
            names.any(|name| name.eq_ignore_ascii_case(&index.name))
        };
        let mut keys = Vec::new();
        for index in table.indexes.iter().filter(|index| !index.primary && !index.implicit) {
            let of_key = index.columns.iter().map(|part| part.column);
            let mut all = of_key.chain(index.included.iter().copied());
            if !all.any(converts) || is_dropped(index) {
                continue;
            }
            let part = |part: &IndexColumn| {
                let target = ast::KeyTarget::Column(name(part.column)?);
                let (prefix, descending) = (part.prefix, part.descending);
                Some(ast::KeyColumn { target, prefix, descending })
            };
            let kind = if index.unique { ast::KeyKind::Unique } else { ast::KeyKind::Plain };
            let comment = Some(index.comment.clone()).filter(|comment| !comment.is_empty());
            keys.push(KeyDefinition {
                kind,
                name: Some(index.name.clone()),
                global: index.global && !index.unique,
                local: false,
                columns: index.columns.iter().filter_map(part).collect(),
                included: index.included.iter().filter_map(|column| name(*column)).collect(),
                options: ast::IndexOptions { comment, ..ast::IndexOptions::default() },
            });
        }
        keys.retain(|key| !key.columns.is_empty());
        Ok(keys)
    }

    /// What the dearest change costs in MySQL.
    fn cost(&self, table: &TableDef, ctx: &EvalContext) -> Result<Cost> {
        let columns = column_list::changed(table, &self.columns, ctx)?;
        let of_column = |new: &NewColumn| {
            let stored = |column: &ColumnDef| column.generated.as_ref().is_some_and(|by| by.stored);
            match new.was.map(|was| &table.columns[was]) {
                _ if new.converts => Cost::CopyForType,
                None if stored(&new.column) => Cost::Copy,
                Some(old) if old.ty.nullable && !new.column.ty.nullable => Cost::InPlace,
                Some(old) => kept_type::cost(&old.ty, &new.column.ty),
                None => Cost::Instant,
            }
        };
        let of_columns = columns.iter().map(of_column).max().unwrap_or(Cost::Instant);
        let changes_keys =
            !self.added.is_empty() || !self.dropped.is_empty() || !self.constraints.is_empty();
        let enforces = self.checks.iter().any(|(check, _)| check.enforced)
            || self.altered_checks.iter().any(|(_, enforced)| *enforced);
        let converts =
            self.columns.iter().any(|change| matches!(change, TableChange::ConvertTo { .. }));
        let of_keys = if changes_keys { Cost::InPlace } else { Cost::Instant };
        let of_rules = if enforces || converts { Cost::Copy } else { Cost::Instant };
        Ok(of_columns.max(of_keys).max(of_rules))
    }

    /// Whether the definition changes beyond its indexes.
    fn defines(&self) -> bool {
        !self.columns.is_empty()
            || !self.checks.is_empty()
            || !self.dropped_checks.is_empty()
            || !self.altered_checks.is_empty()
            || !self.renamed.is_empty()
            || self.in_place != InPlace::default()
    }

    /// Warns of the character sets that the statement names.
    fn warn(&self, ctx: &EvalContext) -> Result<()> {
        for change in &self.columns {
            let (charset, collation) = match change {
                TableChange::AddColumn { column, .. }
                | TableChange::ModifyColumn { column, .. }
                | TableChange::ChangeColumn { column, .. } => {
                    (&column.ty.charset, &column.ty.collation)
                }
                TableChange::ConvertTo { charset, collation } => (charset, collation),
                _ => continue,
            };
            deprecated::warn_of(charset.as_deref(), collation.as_deref(), ctx)?;
        }
        Ok(())
    }

    /// Whether all that is changed of columns is that some come.
    fn only_adds(&self) -> bool {
        self.columns.iter().all(|change| matches!(change, TableChange::AddColumn { .. }))
    }
}

/// Whether a constraint has this name.
fn is_named(check: &CheckDef, name: &str) -> bool {
    check.name.eq_ignore_ascii_case(name)
}

/// Whether a column of now goes.
fn goes(columns: &[NewColumn], column: usize) -> bool {
    columns.iter().all(|new| new.was != Some(column))
}

/// Whether a column of now stays, under its name.
fn keeps(table: &TableDef, columns: &[NewColumn], column: usize) -> bool {
    let name = &table.columns[column].name;
    let is_it =
        |new: &NewColumn| new.was == Some(column) && new.column.name.eq_ignore_ascii_case(name);
    columns.iter().any(is_it)
}

/// Refuses to drop or rename a column that a generated one reads, unless that goes, too.
fn check_read_by_generated(table: &TableDef, columns: &[NewColumn]) -> Result<()> {
    for (position, column) in table.columns.iter().enumerate() {
        let Some(generated) = column.generated.as_ref().filter(|_| !goes(columns, position)) else {
            continue;
        };
        let mut read = generated.rule.columns().iter();
        if let Some(lost) = read.find(|column| !keeps(table, columns, **column)) {
            return Err(Error::needed_by_generated(&table.columns[*lost].name));
        }
    }
    Ok(())
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
    let mut parts = Parts::of(changes, &unique)?;
    let catalog = session.instance.catalog.current().await?;
    let table = find_table(name, session.database.as_deref(), &catalog)?;
    parts.sort_constraints(&table);
    let converted = parts.converted_keys(&table, &ctx)?;
    parts.added.extend(&converted);
    parts.dropped.extend(converted.iter().filter_map(|key| key.name.as_deref()));
    check(&parts, &table, &ctx)?;
    Modifiers::of(changes).check(parts.cost(&table, &ctx)?)?;
    if !parts.gone.is_empty() || !parts.dropped.is_empty() || !parts.constraints.is_empty() {
        // Tried before an index goes; what comes meanwhile is met when the table is locked.
        let (default, ctx) = (session.database.clone(), &*ctx);
        let new = &|table: &TableDef| parts.define(&parts.stripped(table), ctx);
        let highest = &parts.highest;
        let rows = RowCheck { name, default, new, highest, ctx };
        rows.check(&catalog, &session.instance).await?;
        let dropped = (parts.dropped.as_slice(), parts.constraints.as_slice());
        indexes::leave(session, name, dropped, &parts.gone).await?;
    }
    let before = match parts.defines() {
        true => {
            let new = &|table: &TableDef| parts.define(table, &ctx);
            define(session, name, new, &parts.highest, &ctx).await
        }
        false => Ok(TableDef::clone(&table)),
    };
    let before = match before {
        Err(error) if !converted.is_empty() => {
            // As they were: their columns are. What this meets is not what the statement has failed of.
            let keys: Vec<&KeyDefinition> = converted.iter().collect();
            let _ = indexes::add(session, name, &keys).await;
            return Err(error);
        }
        before => before?,
    };
    if !parts.added.is_empty()
        && let Err(error) = indexes::add(session, name, &parts.added).await
    {
        if parts.only_adds() {
            let new = &|table: &TableDef| without_added(table, &before);
            define(session, name, new, &parts.highest, &ctx).await?;
        }
        return Err(error);
    }
    parts.warn(&ctx)?;
    let info = format!("Records: 0  Duplicates: 0  Warnings: {}", session.diagnostics.count());
    Ok(Outcome::Ok(OkResult { info, ..OkResult::default() }))
}

/// Finds mistakes before the first step.
fn check(parts: &Parts<'_>, table: &TableDef, ctx: &EvalContext) -> Result<()> {
    let mut new = parts.define(&parts.stripped(table), ctx)?;
    let added = create_table::define_added(&parts.added, &new)?;
    new.indexes.extend(added);
    create_table::check_auto_increment(&new)
}

/// Changes the definition of a table, with the table to itself; what it was.
async fn define(
    session: &mut Session,
    name: &ast::TableName,
    new: &(dyn Fn(&TableDef) -> Result<TableDef> + Sync),
    highest: &AtomicU64,
    ctx: &EvalContext,
) -> Result<TableDef> {
    let database = database_of(session, name)?.to_string();
    let default = session.database.clone();
    loop {
        let (mut busy, mut before) = (None, None);
        let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
        let rows = RowCheck { name, default: default.clone(), new, highest, ctx };
        change_after(session, touched, Some(Before::Rows(&rows)), |change| {
            let table = find_table(name, default.as_deref(), &change.catalog)?;
            indexes::check_no_rekey(&change.index_jobs, &table)?;
            busy = indexes::job_of(&change.index_jobs, &table);
            if busy.is_some() {
                return Ok(false);
            }
            let new = new(&table)?;
            before = Some(TableDef::clone(&table));
            sequence::check_defaults(&change.catalog, &new)?;
            rule::check_names(&change.catalog, &new)?;
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
    let left = left.map(|(at, column)| NewColumn::kept(at, column.clone()));
    let checks = before.checks.clone();
    TableDef { checks, ..table.clone() }.with_columns(left.collect())
}
