//! Which columns a table has after ALTER TABLE: MySQL's order of looking at the changes, and its words.
//!
//! ```text
//! columns of now ──> dropped: out · changed: the new definition, put later when it has a place · other: name, default
//!                ──> added and moved ones, each where it says, in the order of the statement
//! ```
//!
//! All changes speak of columns by the names that they have before the statement, but AFTER, which means those after it.
//!
//! Pure: nothing is read or written here. Not here: indexes that lose a column (`columns`), which types values keep (`kept_type`).

use super::kept_type;
use crate::ast::{self, ColumnPlace, TableChange};
use crate::catalog::{ColumnDef, DefaultValue, Generated, NewColumn, TableDef};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::ddl::create_table::{check_identifier, default_of, define_column, define_default};
use crate::ddl::{column_type, constant_expr, default_ast, rule};
use crate::dml::row::now_for;
use crate::session::sequences;
use crate::types::assign::implicit_default;
use crate::types::{TypeKind, assign};
use crate::value::Value;
use crate::{Error, Result};
use base::limits::TABLE_COLUMNS_MAX;

/// Whether a change is one of columns, or of what rows must be.
pub(super) fn is_of_columns(change: &TableChange) -> bool {
    use TableChange::*;
    matches!(
        change,
        AddColumn { .. }
            | ModifyColumn { .. }
            | ChangeColumn { .. }
            | DropColumn(_)
            | RenameColumn { .. }
            | AlterDefault { .. }
            | ConvertTo { .. }
            | AddCheck(_)
            | DropCheck(_)
            | AlterCheck { .. }
            | DropConstraint(_)
    )
}

/// A column that is added or changed.
struct Defined<'a> {
    /// What it was called; `None` for one that is added.
    old: Option<&'a str>,
    /// Its new definition.
    definition: &'a ast::ColumnDefinition,
    /// Where it goes.
    place: &'a ColumnPlace,
    /// Whether it stands in the list already.
    is_put: bool,
}

/// Changes of a statement that wait for their column.
#[derive(Default)]
struct Changes<'a> {
    defined: Vec<Defined<'a>>,
    dropped: Vec<&'a str>,
    renamed: Vec<(&'a str, &'a str)>,
    defaults: Vec<(&'a str, Option<&'a ast::DefaultValue>)>,
    /// CONVERT TO.
    collation: Option<CollationId>,
}

impl<'a> Changes<'a> {
    fn of(changes: &[&'a TableChange], table: &TableDef) -> Result<Changes<'a>> {
        let mut all = Changes { collation: conversion(changes, table)?, ..Changes::default() };
        for &change in changes {
            let (old, definition, place) = match change {
                TableChange::AddColumn { column, place } => (None, column, place),
                TableChange::ModifyColumn { column, place } => {
                    (Some(column.name.as_str()), column, place)
                }
                TableChange::ChangeColumn { old, column, place } => {
                    (Some(old.as_str()), column, place)
                }
                TableChange::DropColumn(name) => {
                    all.dropped.push(name);
                    continue;
                }
                TableChange::RenameColumn { old, new } => {
                    all.renamed.push((old.as_str(), new.as_str()));
                    continue;
                }
                TableChange::AlterDefault { column, default } => {
                    all.defaults.push((column.as_str(), default.as_ref()));
                    continue;
                }
                _ => continue,
            };
            all.defined.push(Defined { old, definition, place, is_put: false });
        }
        Ok(all)
    }

    /// The change of a column of now, as a position in `defined`.
    fn change_of(&self, name: &str) -> Option<usize> {
        let is_it = |defined: &Defined<'_>| {
            defined.old.is_some_and(|old| old.eq_ignore_ascii_case(name)) && !defined.is_put
        };
        self.defined.iter().position(is_it)
    }
}

/// The first of some names that is this one, taken out of them.
fn take<T>(list: &mut Vec<(&str, T)>, name: &str) -> Option<T> {
    let at = list.iter().position(|(other, _)| other.eq_ignore_ascii_case(name))?;
    Some(list.remove(at).1)
}

/// The collation that CONVERT TO gives a table and its texts.
///
/// # Errors
/// 1253; 1235 for what is no character set of texts.
pub(super) fn conversion(
    changes: &[&TableChange],
    table: &TableDef,
) -> Result<Option<CollationId>> {
    let mut wanted = None;
    for change in changes {
        let TableChange::ConvertTo { charset, collation } = change else { continue };
        if charset.is_none() && collation.is_none() {
            return Err(Error::not_supported(
                "CONVERT TO CHARACTER SET DEFAULT: name the character set",
            ));
        }
        let (charset, collation) = (charset.as_deref(), collation.as_deref());
        let chosen = column_type::choose_collation(charset, collation, table.collation)?;
        if chosen == CollationId::BINARY {
            return Err(Error::not_supported(
                "CONVERT TO CHARACTER SET binary: MODIFY each column to VARBINARY or BLOB",
            ));
        }
        wanted = Some(chosen);
    }
    Ok(wanted)
}

/// The columns of a table after changes of its columns, a hidden row id aside.
///
/// # Errors
/// 1054, 1060, 1067, 1090, 1091, 1117 as MySQL; 1235 for what rows would have to be written anew for.
pub(super) fn changed(
    table: &TableDef,
    changes: &[&TableChange],
    ctx: &EvalContext,
) -> Result<Vec<NewColumn>> {
    let mut changes = Changes::of(changes, table)?;
    let unknown = |name: &str| Error::unknown_column(name, &table.name);
    let mut list: Vec<NewColumn> = Vec::with_capacity(table.columns.len() + 1);
    let mut moved: Vec<(usize, NewColumn)> = Vec::new();
    for (position, column) in table.visible_columns() {
        let dropped =
            changes.dropped.iter().position(|name| name.eq_ignore_ascii_case(&column.name));
        if let Some(dropped) = dropped {
            changes.dropped.remove(dropped);
            check_goes(table, position)?;
            continue;
        }
        if let Some(at) = changes.change_of(&column.name) {
            let defined = &mut changes.defined[at];
            defined.is_put = true;
            let (column, converts) = redefined(table, position, defined.definition, ctx)?;
            let new = NewColumn { was: Some(position), converts, column };
            match defined.place {
                ColumnPlace::Unchanged => list.push(new),
                ColumnPlace::First | ColumnPlace::After(_) => moved.push((at, new)),
            }
            continue;
        }
        let mut column = column.clone();
        if let Some(default) = take(&mut changes.defaults, &column.name) {
            column.default = match default {
                Some(default) => default_of(default, &column, ctx)?,
                None => None,
            };
        }
        if let Some(new) = take(&mut changes.renamed, &column.name) {
            check_renamed(table, position, new)?;
            column.name = new.to_string();
        }
        let mut converts = false;
        if let Some(collation) = changes.collation.filter(|_| column.ty.has_charset()) {
            column.ty.collation = collation;
            column.collation_declared = false;
            converts = kept_type::converts(table, position, &column)?;
        }
        list.push(NewColumn { was: Some(position), converts, column });
    }
    if let Some((name, _)) = changes.renamed.first() {
        return Err(unknown(name));
    }
    for (at, defined) in changes.defined.iter().enumerate() {
        let new = match defined.old {
            Some(old) if !defined.is_put => return Err(unknown(old)),
            Some(_) => match moved.iter().position(|(change, _)| *change == at) {
                Some(moved_at) => moved.remove(moved_at).1,
                None => continue,
            },
            None => {
                let column = added(table, defined.definition, ctx)?;
                NewColumn { was: None, converts: false, column }
            }
        };
        let at = match defined.place {
            ColumnPlace::Unchanged => list.len(),
            ColumnPlace::First => 0,
            ColumnPlace::After(name) => {
                let is_it = |other: &NewColumn| other.column.name.eq_ignore_ascii_case(name);
                list.iter().position(is_it).ok_or_else(|| unknown(name))? + 1
            }
        };
        list.insert(at, new);
    }
    if let Some(name) = changes.dropped.first() {
        return Err(Error::cant_drop(name));
    }
    if let Some((name, _)) = changes.defaults.first() {
        return Err(unknown(name));
    }
    check_list(&list)?;
    define_generated(table, &mut list, &changes)?;
    Ok(list)
}

/// Gives generated columns their rules, over all columns that there will be.
fn define_generated(table: &TableDef, list: &mut [NewColumn], changes: &Changes<'_>) -> Result<()> {
    let shape =
        TableDef { columns: list.iter().map(|new| new.column.clone()).collect(), ..table.clone() };
    for Defined { definition, .. } in &changes.defined {
        let is_it = |new: &&mut NewColumn| new.column.name == definition.name;
        let Some(new) = list.iter_mut().find(is_it) else { continue };
        let generated = rule::generated(definition, &shape)?;
        let was = new.was.map(|was| &table.columns[was]);
        if let Some(was) = was {
            check_stays_generated(was, generated.as_ref())?;
        }
        new.column.generated = generated;
    }
    Ok(())
}

/// Refuses to compute a column of now in another way, or no longer: its values stand in rows.
fn check_stays_generated(was: &ColumnDef, new: Option<&Generated>) -> Result<()> {
    let is_virtual = |generated: &Generated| !generated.stored;
    match (was.generated.as_ref(), new) {
        (None, None) => Ok(()),
        (Some(was), Some(new)) if was == new => Ok(()),
        (Some(was), Some(new)) if was.stored == new.stored => Err(Error::not_supported(
            "another expression for a generated column: drop it and add it again",
        )),
        (was, new) if was.is_some_and(is_virtual) || new.is_some_and(is_virtual) => {
            Err(Error::not_for_generated("Changing the STORED status"))
        }
        (_, _) => Err(Error::not_supported(format!(
            "making {} a generated column, or none: add another column, drop it and rename that",
            was.name
        ))),
    }
}

/// Refuses a list that no table has.
fn check_list(list: &[NewColumn]) -> Result<()> {
    if list.is_empty() {
        return Err(Error::cant_drop_all_columns());
    }
    if list.iter().all(|new| new.column.invisible) {
        return Err(Error::no_visible_column());
    }
    if list.len() > TABLE_COLUMNS_MAX {
        return Err(Error::too_many_columns());
    }
    for (at, NewColumn { column, .. }) in list.iter().enumerate() {
        let is_same = |other: &NewColumn| other.column.name.eq_ignore_ascii_case(&column.name);
        if list[..at].iter().any(is_same) {
            return Err(Error::duplicate_column(&column.name));
        }
    }
    Ok(())
}

/// Refuses to drop a column that says where rows stand.
fn check_goes(table: &TableDef, column: usize) -> Result<()> {
    let name = &table.columns[column].name;
    if table.partition_columns().contains(&column) {
        return Err(Error::needed_by_partitioning(name));
    }
    if table.primary().columns.iter().any(|part| part.column == column) {
        return Err(Error::not_supported(format!(
            "DROP COLUMN of the primary key's column {name}: create a table without it and INSERT … SELECT into it"
        )));
    }
    let by = table.sharding.distribution().map(|by| by.column);
    if table.sharding_columns().contains(&column) || by == Some(column) {
        return Err(Error::not_supported(format!(
            "DROP COLUMN of the sharding key's column {name}: change the sharding key with ALTER TABLE … shardkey= first"
        )));
    }
    Ok(())
}

/// Refuses another name for a column that the text of the partitioning names.
fn check_renamed(table: &TableDef, column: usize, new: &str) -> Result<()> {
    check_identifier(new, |name| Error::wrong_column_name(name))?;
    let is_same = table.columns[column].name.eq_ignore_ascii_case(new);
    if table.partition_columns().contains(&column) && !is_same {
        return Err(Error::needed_by_partitioning(&table.columns[column].name));
    }
    Ok(())
}

/// What a column is after MODIFY or CHANGE, and whether its values are converted.
fn redefined(
    table: &TableDef,
    position: usize,
    definition: &ast::ColumnDefinition,
    ctx: &EvalContext,
) -> Result<(ColumnDef, bool)> {
    check_renamed(table, position, &definition.name)?;
    if definition.primary_key {
        return Err(match table.row_id() {
            None => Error::multiple_primary_key(),
            Some(_) => Error::not_supported(
                "a PRIMARY KEY for a table that there is: create a table with the key and INSERT … SELECT into it",
            ),
        });
    }
    let mut column = define_column(definition, table.collation)?;
    if table.primary().columns.iter().any(|part| part.column == position) {
        if definition.nullable == Some(true) {
            return Err(Error::primary_key_null());
        }
        column.ty.nullable = false;
    }
    let converts = kept_type::converts(table, position, &column)?;
    column.default = define_default(definition, &column, ctx)?;
    Ok((column, converts))
}

/// A new column, with what the rows of now have in it.
fn added(
    table: &TableDef,
    definition: &ast::ColumnDefinition,
    ctx: &EvalContext,
) -> Result<ColumnDef> {
    check_identifier(&definition.name, |name| Error::wrong_column_name(name))?;
    if definition.primary_key || definition.auto_increment {
        return Err(Error::not_supported(
            "ADD COLUMN with PRIMARY KEY or AUTO_INCREMENT together with this: say it in a statement of its own",
        ));
    }
    let mut column = define_column(definition, table.collation)?;
    column.default = define_default(definition, &column, ctx)?;
    if definition.generated.is_none() {
        column.absent = Some(value_of_old_rows(&column, ctx)?);
    }
    Ok(column)
}

/// What rows have in a new column that were there before it.
pub(super) fn value_of_old_rows(column: &ColumnDef, ctx: &EvalContext) -> Result<Value> {
    let ty = &column.ty;
    Ok(match &column.default {
        Some(DefaultValue::Literal(value)) => value.clone(),
        Some(DefaultValue::Now) => now_for(ty, ctx),
        Some(DefaultValue::Expression(text)) => {
            let expr = default_ast(text)?;
            let bound = match sequences::named_in(&expr).is_empty() {
                true => Some(constant_expr(&expr, ctx)?).filter(|bound| bound.is_constant()),
                false => None,
            };
            let Some(bound) = bound else {
                return Err(Error::not_supported(
                    "ADD COLUMN with a default that differs from row to row: add the column, UPDATE it, then SET DEFAULT",
                ));
            };
            assign(bound.eval(&[], ctx)?, ty, &column.name, 1, ctx)?
        }
        None if ty.nullable => Value::Null,
        None if ty.kind == TypeKind::Enum => Value::UInt(1),
        None if ty.kind == TypeKind::Geometry => return Err(Error::no_geometry()),
        // Whether a date of zeros may be is for `row_check`: not when there are rows.
        None => implicit_default(ty),
    })
}
