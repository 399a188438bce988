//! Foreign keys of definitions: from the grammar's tree to `ForeignKeyDef`s, with MySQL's checks in MySQL's words.
//!
//! ```text
//! CREATE TABLE ── with_keys: an index where none begins with the columns ── define: names, columns, actions
//!                                       check: the parent, if it is there or must be; children that name the new table
//! ```
//!
//! A parent that is not there is taken under `foreign_key_checks = 0` alone; when it comes it is checked against its children.
//!
//! Not here: rows (`dml::reference`), what a definition is (`catalog::foreign_key`).

use super::create_table::check_identifier;
use crate::ast::{self, KeyColumn, KeyDefinition, KeyKind, KeyTarget, TableChange};
use crate::catalog::foreign_key::{begins_with, unique_key};
use crate::catalog::{Catalog, ColumnDef, ForeignKeyDef, IndexDef, ReferenceAction, TableDef};
use crate::context::EvalContext;
use crate::dml::reference::are_checked;
use crate::types::TypeKind;
use crate::{Error, Result};
use std::borrow::Cow;

/// The statement with an index for each foreign key that has none.
pub(super) fn with_keys(create: &ast::CreateTable) -> Cow<'_, ast::CreateTable> {
    let mut added: Vec<KeyDefinition> = Vec::new();
    for key in &create.foreign_keys {
        let [first, ..] = key.columns.as_slice() else { continue };
        let is_own = |column: &ast::ColumnDefinition| {
            column.name.eq_ignore_ascii_case(first) && (column.primary_key || column.unique)
        };
        let of_column = key.columns.len() == 1 && create.columns.iter().any(is_own);
        let mut known = create.keys.iter().chain(&added);
        if of_column || known.any(|known| serves(known, &key.columns)) {
            continue;
        }
        // As MySQL names it; one that is taken is left to the name of the first column.
        let name = key.constraint.as_ref().or(key.index.as_ref());
        let is_free = |name: &&String| {
            let mut known = create.keys.iter().chain(&added);
            !known.any(|key| key.name.as_ref().is_some_and(|n| n.eq_ignore_ascii_case(name)))
        };
        let index = index_for(&key.columns, name.filter(is_free).cloned());
        added.push(index);
    }
    if added.is_empty() {
        return Cow::Borrowed(create);
    }
    let mut create = create.clone();
    create.keys.extend(added);
    Cow::Owned(create)
}

/// An index of columns.
fn index_for(columns: &[String], name: Option<String>) -> KeyDefinition {
    let columns = columns.iter().map(|column| {
        let target = KeyTarget::Column(column.clone());
        KeyColumn { target, prefix: None, descending: false }
    });
    KeyDefinition {
        kind: KeyKind::Plain,
        name,
        global: false,
        local: false,
        columns: columns.collect(),
        included: Vec::new(),
        options: ast::IndexOptions::default(),
    }
}

/// Whether a key begins with columns.
fn serves(key: &KeyDefinition, columns: &[String]) -> bool {
    let is_same = |(part, column): (&KeyColumn, &String)| match &part.target {
        KeyTarget::Column(name) => part.prefix.is_none() && name.eq_ignore_ascii_case(column),
        KeyTarget::Expression(_) => false,
    };
    let is_index = !matches!(key.kind, KeyKind::Fulltext | KeyKind::Spatial);
    is_index && key.columns.len() >= columns.len() && key.columns.iter().zip(columns).all(is_same)
}

/// The foreign keys of a new table, whose columns and indexes are there.
pub(super) fn define_all(create: &ast::CreateTable, table: &mut TableDef) -> Result<()> {
    if !create.foreign_keys.is_empty() && create.partition_by.is_some() {
        return Err(Error::foreign_key_on_partitioned());
    }
    for key in &create.foreign_keys {
        let key = define(key, table)?;
        table.foreign_keys.push(key);
    }
    sort(&mut table.foreign_keys);
    Ok(())
}

fn define(key: &ast::ForeignKey, table: &TableDef) -> Result<ForeignKeyDef> {
    let name = match &key.constraint {
        Some(name) => name.clone(),
        None => next_name(table),
    };
    check_identifier(&name, |name| Error::wrong_index_name(name))?;
    let reference = &key.reference;
    if key.columns.len() != reference.columns.len() {
        let known = key.constraint.as_ref().or(key.index.as_ref());
        let known = known.map_or("foreign key without name", String::as_str);
        return Err(Error::wrong_foreign_key(
            known,
            "Key reference and table reference don't match",
        ));
    }
    if reference.matching.as_ref().is_some_and(|word| !word.eq_ignore_ascii_case("SIMPLE")) {
        return Err(Error::not_supported(
            "MATCH FULL and MATCH PARTIAL: leave them out, a key with a NULL refers to nothing",
        ));
    }
    let action = |action: Option<ast::ReferenceAction>| match action {
        None | Some(ast::ReferenceAction::NoAction) => Ok(ReferenceAction::NoAction),
        Some(ast::ReferenceAction::Restrict) => Ok(ReferenceAction::Restrict),
        Some(ast::ReferenceAction::Cascade) => Ok(ReferenceAction::Cascade),
        Some(ast::ReferenceAction::SetNull) => Ok(ReferenceAction::SetNull),
        // InnoDB has none either.
        Some(ast::ReferenceAction::SetDefault) => Err(Error::cannot_add_foreign_key()),
    };
    let (on_delete, on_update) = (action(reference.on_delete)?, action(reference.on_update)?);
    let mut columns: Vec<String> = Vec::with_capacity(key.columns.len());
    for column in &key.columns {
        let at = table.column(column).ok_or_else(|| Error::key_column_missing(column))?;
        let column = &table.columns[at];
        if columns.contains(&column.name) {
            return Err(Error::duplicate_column(&column.name));
        }
        check_column(column, &name, (on_delete, on_update))?;
        columns.push(column.name.clone());
    }
    let parent_database = reference.table.database.clone();
    Ok(ForeignKeyDef {
        name,
        columns,
        parent_database: parent_database.unwrap_or_else(|| table.database.clone()),
        parent: reference.table.name.clone(),
        parent_columns: reference.columns.clone(),
        on_delete,
        on_update,
    })
}

/// Refuses a column that a foreign key with these actions cannot have.
fn check_column(
    column: &ColumnDef,
    name: &str,
    (on_delete, on_update): (ReferenceAction, ReferenceAction),
) -> Result<()> {
    let actions = [("DELETE", on_delete), ("UPDATE", on_update)];
    for (event, action) in actions {
        if action == ReferenceAction::SetNull && !column.ty.nullable {
            return Err(Error::set_null_of_not_null(&column.name, name));
        }
        let sets = action == ReferenceAction::SetNull
            || action == ReferenceAction::Cascade && event == "UPDATE";
        if sets && column.generated.is_some() {
            return Err(Error::clause_on_generated(format!("ON {event} {}", action.name())));
        }
    }
    if column.generated.as_ref().is_some_and(|generated| !generated.stored) {
        return Err(Error::foreign_key_of_virtual(name, &column.name));
    }
    if matches!(column.ty.kind, TypeKind::Enum | TypeKind::Set) {
        return Err(Error::not_supported(
            "a foreign key of ENUM and SET columns: refer by a number or a text",
        ));
    }
    Ok(())
}

fn number_of(name: &str, table: &str) -> Option<u64> {
    name.strip_prefix(table)?.strip_prefix("_ibfk_")?.parse().ok()
}

fn next_name(table: &TableDef) -> String {
    let numbers = table.foreign_keys.iter().filter_map(|key| number_of(&key.name, &table.name));
    format!("{}_ibfk_{}", table.name, numbers.max().map_or(1, |highest| highest + 1))
}

fn sort(keys: &mut [ForeignKeyDef]) {
    keys.sort_by_key(|key| key.name.to_lowercase());
}

/// Checks a new table among the others: its parents, and the children that name it.
pub(super) fn check(catalog: &Catalog, table: &TableDef, ctx: &EvalContext) -> Result<()> {
    for (at, key) in table.foreign_keys.iter().enumerate() {
        let is_same = |other: &ForeignKeyDef| other.name.eq_ignore_ascii_case(&key.name);
        let mut others = catalog.tables(&table.database).filter(|other| other.id != table.id);
        if table.foreign_keys[..at].iter().any(is_same)
            || others.any(|other| other.foreign_keys.iter().any(is_same))
        {
            return Err(Error::duplicate_foreign_key_name(&key.name));
        }
    }
    for key in &table.foreign_keys {
        let is_own = key.refers_to(&table.database, &table.name);
        let parent = match catalog.table(&key.parent_database, &key.parent) {
            _ if is_own => table,
            Some(parent) => &**parent,
            None if are_checked(ctx) => return Err(Error::no_referenced_table(&key.parent)),
            None => continue,
        };
        check_parent(table, key, parent)?;
    }
    for (child, key) in catalog.references_to(&table.database, &table.name) {
        if child.id != table.id {
            check_parent(child, key, table)?;
        }
    }
    Ok(())
}

/// Whether a table can be the parent of a foreign key.
fn check_parent(child: &TableDef, key: &ForeignKeyDef, parent: &TableDef) -> Result<()> {
    if parent.partitioning.is_some() {
        return Err(Error::foreign_key_on_partitioned());
    }
    let mut columns = Vec::with_capacity(key.parent_columns.len());
    for (own, referenced) in key.columns.iter().zip(&key.parent_columns) {
        let at = parent
            .column(referenced)
            .ok_or_else(|| Error::no_column_of_parent(referenced, &key.name, &parent.name))?;
        let column = child.column(own).ok_or_else(|| Error::key_column_missing(own))?;
        let (column, referenced) = (&child.columns[column], &parent.columns[at]);
        if !are_compatible(column, referenced) {
            return Err(Error::incompatible_reference(&column.name, &referenced.name, &key.name));
        }
        if referenced.generated.as_ref().is_some_and(|generated| !generated.stored) {
            return Err(Error::foreign_key_of_virtual(&key.name, &referenced.name));
        }
        columns.push(at);
    }
    if unique_key(parent, &columns).is_some() {
        return Ok(());
    }
    // `restrict_fk_on_non_standard_key` is on in MySQL 8.4.
    match parent.indexes.iter().any(|index| begins_with(index, &columns)) {
        true => Err(Error::no_unique_key_of_parent(&key.name, &parent.name)),
        false => Err(Error::no_index_of_parent(&key.name, &parent.name)),
    }
}

/// Whether two columns can have the same values: integers of one size and sign, decimals alike, texts of one collation.
fn are_compatible(column: &ColumnDef, referenced: &ColumnDef) -> bool {
    let (a, b) = (&column.ty, &referenced.ty);
    if a.is_string() && b.is_string() {
        return a.collation == b.collation && a.is_blob() == b.is_blob();
    }
    let is_alike = a.kind == b.kind && a.unsigned == b.unsigned;
    match a.kind {
        TypeKind::Decimal => is_alike && a.length == b.length && a.decimals == b.decimals,
        TypeKind::Bit => is_alike && a.length == b.length,
        TypeKind::Time | TypeKind::DateTime | TypeKind::Timestamp => {
            is_alike && a.decimals == b.decimals
        }
        _ => is_alike,
    }
}

/// 3730 when a table that is to be dropped is the parent of one that stays.
pub(super) fn check_drop(
    catalog: &Catalog,
    table: &TableDef,
    is_dropped: impl Fn(&TableDef) -> bool,
    ctx: &EvalContext,
) -> Result<()> {
    if !are_checked(ctx) {
        return Ok(());
    }
    let mut keys = catalog.references_to(&table.database, &table.name);
    match keys.find(|(child, _)| child.id != table.id && !is_dropped(child)) {
        None => Ok(()),
        Some((child, key)) => Err(Error::drop_of_parent(&table.name, &key.name, &child.name)),
    }
}

/// 1701 when a table that is to be emptied is the parent of another one.
pub(super) fn check_truncate(catalog: &Catalog, table: &TableDef, ctx: &EvalContext) -> Result<()> {
    if !are_checked(ctx) {
        return Ok(());
    }
    let mut keys = catalog.references_to(&table.database, &table.name);
    match keys.find(|(child, _)| child.id != table.id) {
        None => Ok(()),
        Some((child, key)) => Err(Error::truncate_of_parent(key.full_name(child))),
    }
}

/// Gives foreign keys that were named after their table its new name, and those to itself. `old` is what it was called.
pub(super) fn rename(table: &mut TableDef, old: (&str, &str)) {
    let (database, name) = (table.database.clone(), table.name.clone());
    for key in &mut table.foreign_keys {
        if let Some(number) = number_of(&key.name, old.1) {
            key.name = format!("{name}_ibfk_{number}");
        }
        rename_parent(key, old, (database.as_str(), name.as_str()));
    }
    sort(&mut table.foreign_keys);
}

/// Gives a foreign key its parent's new name, if that is its parent.
pub(super) fn rename_parent(key: &mut ForeignKeyDef, old: (&str, &str), new: (&str, &str)) {
    if key.refers_to(old.0, old.1) {
        key.parent_database = new.0.to_string();
        key.parent = new.1.to_string();
    }
}

/// Drops a foreign key; 1091 when there is none of the name.
pub(super) fn drop(table: &mut TableDef, name: &str) -> Result<()> {
    let at = table.foreign_keys.iter().position(|key| key.name.eq_ignore_ascii_case(name));
    table.foreign_keys.remove(at.ok_or_else(|| Error::cant_drop(name))?);
    Ok(())
}

/// The foreign keys that ALTER TABLE drops, when it does nothing else.
pub(super) fn dropped_alone<'a>(
    table: &TableDef,
    changes: &'a [TableChange],
) -> Option<Vec<&'a str>> {
    let dropped = changes.iter().map(|change| match change {
        TableChange::DropForeignKey(name) => Some(name.as_str()),
        TableChange::DropConstraint(name) => {
            let mut keys = table.foreign_keys.iter();
            keys.any(|key| key.name.eq_ignore_ascii_case(name)).then_some(name.as_str())
        }
        _ => None,
    });
    dropped.collect::<Option<Vec<&str>>>().filter(|names| !names.is_empty())
}

/// Refuses what ALTER TABLE cannot do to a table with foreign keys, or with some to it.
pub(super) fn check_alter(
    catalog: &Catalog,
    table: &TableDef,
    changes: &[TableChange],
) -> Result<()> {
    let has_children = !catalog.children(&table.database, &table.name).is_empty();
    if table.foreign_keys.is_empty() && !has_children {
        return Ok(());
    }
    for change in changes {
        match change {
            TableChange::DropColumn(column) => check_column_goes(catalog, table, column)?,
            TableChange::ModifyColumn { column, .. } => {
                check_column_changes(catalog, table, &column.name)?;
            }
            TableChange::ChangeColumn { old, .. } | TableChange::RenameColumn { old, .. } => {
                check_column_changes(catalog, table, old)?;
            }
            TableChange::DropConstraint(name)
                if table.foreign_keys.iter().any(|key| key.name.eq_ignore_ascii_case(name)) => {}
            TableChange::DropKey(name) | TableChange::DropConstraint(name) => {
                check_index_goes(catalog, table, name)?;
            }
            TableChange::AddColumn { column, .. }
                if !column.primary_key && !column.auto_increment => {}
            TableChange::AddKey(key) if key.kind != KeyKind::Primary => {}
            TableChange::Options(options) if options.placement.is_none() => {}
            TableChange::RenameKey { .. }
            | TableChange::AddCheck(_)
            | TableChange::DropCheck(_)
            | TableChange::AlterCheck { .. }
            | TableChange::AlterDefault { .. }
            | TableChange::EnableKeys(_)
            | TableChange::DropForeignKey(_)
            | TableChange::RenameTable(_)
            | TableChange::Other(_) => {}
            _ => {
                return Err(Error::not_supported(
                    "this ALTER TABLE of a table with foreign keys: make another table, and INSERT … SELECT into it",
                ));
            }
        }
    }
    Ok(())
}

fn check_column_goes(catalog: &Catalog, table: &TableDef, column: &str) -> Result<()> {
    if let Some(key) = table.foreign_keys.iter().find(|key| key.has_column(column)) {
        return Err(Error::column_needed_by_foreign_key(column, &key.name));
    }
    let mut of_others = catalog.references_to(&table.database, &table.name);
    match of_others.find(|(_, key)| key.has_parent_column(column)) {
        None => Ok(()),
        Some((child, key)) => Err(Error::column_needed_by_child(column, &key.name, &child.name)),
    }
}

fn check_column_changes(catalog: &Catalog, table: &TableDef, column: &str) -> Result<()> {
    if let Some(key) = table.foreign_keys.iter().find(|key| key.has_column(column)) {
        return Err(Error::column_used_by_foreign_key(column, &key.name));
    }
    let mut of_others = catalog.references_to(&table.database, &table.name);
    match of_others.find(|(_, key)| key.has_parent_column(column)) {
        None => Ok(()),
        Some((child, key)) => Err(Error::column_used_by_child(column, &key.name, &child.name)),
    }
}

/// 1553 for an index that a foreign key needs, of the table or to it, and no other one serves.
pub(super) fn check_index_goes(catalog: &Catalog, table: &TableDef, name: &str) -> Result<()> {
    let is_it = |index: &IndexDef| index.name.eq_ignore_ascii_case(name);
    if !table.indexes.iter().any(is_it) {
        return Ok(());
    }
    let mut left = table.clone();
    left.indexes.retain(|index| !is_it(index));
    for key in &table.foreign_keys {
        let columns = key.columns_in(table).unwrap_or_default();
        if !left.indexes.iter().any(|index| begins_with(index, &columns)) {
            return Err(Error::needed_by_foreign_key(name));
        }
    }
    for (_, key) in catalog.references_to(&table.database, &table.name) {
        let columns = key.columns_in_parent(table).unwrap_or_default();
        if unique_key(&left, &columns).is_none() {
            return Err(Error::needed_by_foreign_key(name));
        }
    }
    Ok(())
}
