//! Keys: from their definitions in columns, table and ALTER TABLE to `IndexDef`s.
//!
//! ```text
//! column's PRIMARY KEY, UNIQUE ─┐
//!                               ├─> Key ──check──> name ──sort as MySQL lists them──> IndexDef
//! KEY, UNIQUE KEY, … of table ──┘
//! ```
//!
//! Not here: which indexes place their entries by themselves (`sharding`).

use super::check_identifier;
use super::sharding::{place_unique, refuse_global, refuse_local};
use crate::catalog::{
    ColumnDef, DeclaredKey, DeclaredKind, IndexColumn, IndexDef, IndexState, TableDef,
};
use crate::types::{SqlType, TypeKind};
use crate::{Error, Result, ast};
use base::limits::{
    INDEX_COLUMNS_MAX, INDEX_COMMENT_CHARS_MAX, INDEX_INCLUDED_BYTES_MAX,
    INDEX_INCLUDED_COLUMNS_MAX, INDEX_KEY_BYTES_MAX, TABLE_INDEXES_MAX,
};
use base::{IndexId, Timestamp};

/// Name of the column that stands for a missing primary key.
const ROW_ID: &str = "_rowid";

/// A key as gathered from columns and table, before it gets a name and an id.
struct Key<'a> {
    kind: ast::KeyKind,
    name: Option<&'a str>,
    global: bool,
    columns: Vec<IndexColumn>,
    included: Vec<usize>,
    comment: &'a str,
}

fn key_of<'a>(definition: &'a ast::KeyDefinition, table: &TableDef) -> Result<Key<'a>> {
    if definition.options.invisible {
        return Err(Error::not_supported(
            "an INVISIBLE index: drop it and add it again, both leave the table in use",
        ));
    }
    let columns = key_columns(definition, table)?;
    Ok(Key {
        kind: definition.kind,
        name: definition.name.as_deref(),
        global: definition.global,
        included: included_columns(definition, &columns, table)?,
        columns,
        comment: definition.options.comment.as_deref().unwrap_or(""),
    })
}

pub(super) fn define_indexes(create: &ast::CreateTable, table: &mut TableDef) -> Result<()> {
    let mut keys = Vec::new();
    let plain = |kind, position| Key {
        kind,
        name: None,
        global: false,
        columns: vec![IndexColumn { column: position, prefix: None, descending: false }],
        included: Vec::new(),
        comment: "",
    };
    for (position, column) in create.columns.iter().enumerate() {
        if column.primary_key {
            keys.push(plain(ast::KeyKind::Primary, position));
        }
        if column.unique {
            keys.push(plain(ast::KeyKind::Unique, position));
        }
    }
    for definition in &create.keys {
        keys.push(key_of(definition, table)?);
    }
    if keys.len() > TABLE_INDEXES_MAX {
        return Err(Error::too_many_keys(TABLE_INDEXES_MAX));
    }
    for key in &keys {
        check_key(key, table)?;
    }
    let mut primaries = keys.iter().filter(|key| key.kind == ast::KeyKind::Primary);
    match (primaries.next(), primaries.next()) {
        (_, Some(_)) => return Err(Error::multiple_primary_key()),
        (Some(primary), None) => {
            for column in &primary.columns {
                let nullable = create.columns[column.column].nullable;
                if nullable == Some(true) {
                    return Err(Error::primary_key_null());
                }
                table.columns[column.column].ty.nullable = false;
            }
            let columns = primary.columns.clone();
            check_comment("PRIMARY", primary.comment)?;
            let comment = primary.comment.to_string();
            table.indexes.push(primary_index("PRIMARY", columns, comment));
        }
        (None, None) => {
            table.columns.push(row_id_column());
            let column = table.columns.len() - 1;
            let column = IndexColumn { column, prefix: None, descending: false };
            table.indexes.push(primary_index("", vec![column], String::new()));
        }
    }
    keys.retain(|key| key.kind != ast::KeyKind::Primary);
    let mut declared: Vec<IndexDef> = Vec::new();
    for (name, key) in name_keys(keys, table)? {
        match declared_kind(key.kind) {
            Some(kind) => table.declared.push(declared_key(name, kind, &key)),
            None => declared.push(declared_index(name, key)),
        }
    }
    // MySQL lists FULLTEXT keys last.
    table.declared.sort_by_key(|key| key.kind == DeclaredKind::Fulltext);
    declared.sort_by_key(|index| rank(index, table));
    for (number, mut index) in declared.into_iter().enumerate() {
        index.id = IndexId(number as u32 + 1);
        table.indexes.push(index);
    }
    Ok(())
}

/// What a key is that has no entries.
fn declared_kind(kind: ast::KeyKind) -> Option<DeclaredKind> {
    match kind {
        ast::KeyKind::Fulltext => Some(DeclaredKind::Fulltext),
        ast::KeyKind::Spatial => Some(DeclaredKind::Spatial),
        ast::KeyKind::Primary | ast::KeyKind::Unique | ast::KeyKind::Plain => None,
    }
}

fn declared_key(name: String, kind: DeclaredKind, key: &Key<'_>) -> DeclaredKey {
    let columns = key.columns.iter().map(|part| part.column).collect();
    DeclaredKey { name, kind, columns, comment: key.comment.to_string() }
}

/// Refuses columns that cannot be of such a key.
fn check_declared(kind: DeclaredKind, key: &Key<'_>, table: &TableDef) -> Result<()> {
    if key.global || !key.included.is_empty() {
        return Err(Error::not_supported(format!(
            "GLOBAL and INCLUDE of a {} key: leave them out, it has no entries",
            kind.name()
        )));
    }
    for part in &key.columns {
        let column = &table.columns[part.column];
        match kind {
            DeclaredKind::Fulltext if !column.ty.is_text() => {
                return Err(Error::not_fulltext_column(&column.name));
            }
            DeclaredKind::Spatial if column.ty.kind != TypeKind::Geometry => {
                return Err(Error::not_spatial_column());
            }
            DeclaredKind::Spatial if column.ty.nullable => {
                return Err(Error::nullable_spatial_column());
            }
            DeclaredKind::Spatial if key.columns.len() > 1 => {
                return Err(Error::too_many_key_parts(1));
            }
            DeclaredKind::Fulltext | DeclaredKind::Spatial => {}
        }
    }
    match key.columns.len() > INDEX_COLUMNS_MAX {
        true => Err(Error::too_many_key_parts(INDEX_COLUMNS_MAX)),
        false => Ok(()),
    }
}

fn declared_index(name: String, key: Key<'_>) -> IndexDef {
    IndexDef {
        id: IndexId(0),
        name,
        unique: key.kind == ast::KeyKind::Unique,
        columns: key.columns,
        included: key.included,
        global: key.global,
        primary: false,
        implicit: false,
        comment: key.comment.to_string(),
        state: IndexState::Public,
        public_since: Timestamp::ZERO,
        ignored: false,
    }
}

/// Where MySQL lists a declared index: unique ones first, those without NULLs and prefixes before others.
pub(in crate::ddl) fn rank(index: &IndexDef, table: &TableDef) -> (bool, bool, bool) {
    let nullable = index.columns.iter().any(|c| table.columns[c.column].ty.nullable);
    let partial = index.columns.iter().any(|c| c.prefix.is_some());
    (!index.unique, index.unique && nullable, index.unique && partial)
}

/// Indexes that are to be added to a table, without ids. `table` has the names that are taken.
pub(in crate::ddl) fn define_added(
    definitions: &[&ast::KeyDefinition],
    table: &TableDef,
) -> Result<Vec<IndexDef>> {
    let mut keys = Vec::with_capacity(definitions.len());
    for definition in definitions {
        if definition.kind == ast::KeyKind::Primary {
            return Err(Error::not_supported(
                "ADD PRIMARY KEY: create a table with the key and INSERT … SELECT into it",
            ));
        }
        if let Some(kind) = declared_kind(definition.kind) {
            return Err(Error::not_supported(format!(
                "a {} key of a table that there is: declare it in CREATE TABLE, or leave it out, no query uses it",
                kind.name()
            )));
        }
        keys.push(key_of(definition, table)?);
    }
    keys.iter().try_for_each(|key| check_key(key, table))?;
    if table.all_indexes().count() + keys.len() > TABLE_INDEXES_MAX {
        return Err(Error::too_many_keys(TABLE_INDEXES_MAX));
    }
    let named = name_keys(keys, table)?;
    let mut added: Vec<IndexDef> =
        named.into_iter().map(|(name, key)| declared_index(name, key)).collect();
    refuse_global(&added, table)?;
    refuse_local(definitions, table)?;
    place_unique(&mut added, table);
    Ok(added)
}

fn primary_index(name: &str, columns: Vec<IndexColumn>, comment: String) -> IndexDef {
    IndexDef {
        id: IndexId::PRIMARY,
        name: name.to_string(),
        unique: true,
        columns,
        included: Vec::new(),
        global: false,
        primary: true,
        implicit: false,
        comment,
        state: IndexState::Public,
        public_since: Timestamp::ZERO,
        ignored: false,
    }
}

fn row_id_column() -> ColumnDef {
    ColumnDef {
        name: ROW_ID.to_string(),
        ty: SqlType::bigint().unsigned().not_null(),
        default: None,
        auto_increment: false,
        on_update_now: false,
        zerofill: false,
        comment: String::new(),
        hidden: true,
        type_text: "bigint unsigned".to_string(),
        collation_declared: false,
        // `create_table::define` numbers the columns.
        ordinal: 0,
        absent: None,
        former: None,
        generated: None,
        invisible: false,
    }
}

pub(super) fn key_columns(
    definition: &ast::KeyDefinition,
    table: &TableDef,
) -> Result<Vec<IndexColumn>> {
    let mut columns: Vec<IndexColumn> = Vec::with_capacity(definition.columns.len());
    for part in &definition.columns {
        let name = match &part.target {
            ast::KeyTarget::Column(name) => name,
            ast::KeyTarget::Expression(_) => {
                return Err(Error::not_supported(
                    "an index on an expression: declare a generated column and index that",
                ));
            }
        };
        let column = table.column(name).ok_or_else(|| Error::key_column_missing(name))?;
        if columns.iter().any(|other| other.column == column) {
            return Err(Error::duplicate_column(name));
        }
        let prefix = key_prefix(part.prefix, &table.columns[column])?;
        columns.push(IndexColumn { column, prefix, descending: part.descending });
    }
    Ok(columns)
}

/// The columns of INCLUDE. One that the key holds as a whole is there twice; one of the primary key does no harm.
fn included_columns(
    definition: &ast::KeyDefinition,
    key: &[IndexColumn],
    table: &TableDef,
) -> Result<Vec<usize>> {
    let mut included: Vec<usize> = Vec::with_capacity(definition.included.len());
    if definition.kind == ast::KeyKind::Primary && !definition.included.is_empty() {
        return Err(Error::not_supported(
            "INCLUDE of a PRIMARY KEY: leave it out, a row has all its columns",
        ));
    }
    let mut bytes = 0;
    for name in &definition.included {
        let column = table.column(name).ok_or_else(|| Error::key_column_missing(name))?;
        let in_key = key.iter().any(|part| part.column == column && part.prefix.is_none());
        if in_key || included.contains(&column) {
            return Err(Error::duplicate_column(name));
        }
        bytes += key_part_bytes(&table.columns[column].ty, None);
        included.push(column);
    }
    if included.len() > INDEX_INCLUDED_COLUMNS_MAX {
        return Err(Error::too_many_key_parts(INDEX_INCLUDED_COLUMNS_MAX));
    }
    if bytes > INDEX_INCLUDED_BYTES_MAX {
        return Err(Error::not_supported(format!(
            "INCLUDE of columns of more than {INDEX_INCLUDED_BYTES_MAX} bytes: leave long ones out, such as TEXT and BLOB"
        )));
    }
    Ok(included)
}

/// A prefix as long as its column is no prefix.
fn key_prefix(prefix: Option<u32>, column: &ColumnDef) -> Result<Option<u32>> {
    let Some(length) = prefix else { return Ok(None) };
    if length == 0 {
        return Err(Error::key_part_length_zero(&column.name));
    }
    if !column.ty.is_string() || (!column.ty.is_blob() && length > column.ty.length) {
        return Err(Error::wrong_key_prefix());
    }
    Ok((column.ty.is_blob() || length < column.ty.length).then_some(length))
}

fn check_key(key: &Key<'_>, table: &TableDef) -> Result<()> {
    if let Some(kind) = declared_kind(key.kind) {
        return check_declared(kind, key, table);
    }
    if key.columns.len() > INDEX_COLUMNS_MAX {
        return Err(Error::too_many_key_parts(INDEX_COLUMNS_MAX));
    }
    let mut bytes = 0;
    for part in &key.columns {
        let column = &table.columns[part.column];
        if column.ty.kind == TypeKind::Json {
            return Err(Error::json_used_as_key(&column.name));
        }
        if column.ty.is_blob() && part.prefix.is_none() {
            return Err(Error::blob_key_without_length(&column.name));
        }
        if key.kind == ast::KeyKind::Primary && part.prefix.is_some() {
            return Err(Error::not_supported(
                "a PRIMARY KEY on a prefix: take the whole column, or a shorter one",
            ));
        }
        bytes += key_part_bytes(&column.ty, part.prefix);
    }
    if bytes > INDEX_KEY_BYTES_MAX {
        return Err(Error::key_too_long(INDEX_KEY_BYTES_MAX));
    }
    Ok(())
}

/// Bytes of a key column as MySQL counts them.
fn key_part_bytes(ty: &SqlType, prefix: Option<u32>) -> usize {
    if ty.is_string() {
        let length = prefix.unwrap_or(ty.length) as usize;
        return length * ty.collation.bytes_per_char() as usize;
    }
    match ty.kind {
        TypeKind::Decimal => ty.length as usize / 2 + 1,
        _ => 8,
    }
}

fn check_comment(name: &str, comment: &str) -> Result<()> {
    match comment.chars().count() > INDEX_COMMENT_CHARS_MAX {
        true => Err(Error::index_comment_too_long(name, INDEX_COMMENT_CHARS_MAX)),
        false => Ok(()),
    }
}

/// Names keys that have none after their first column, as MySQL does: `a`, `a_2`, `a_3`.
fn name_keys<'a>(keys: Vec<Key<'a>>, table: &TableDef) -> Result<Vec<(String, Key<'a>)>> {
    let mut taken: Vec<String> = table.all_indexes().map(|index| index.name.clone()).collect();
    taken.extend(table.declared.iter().map(|key| key.name.clone()));
    for name in keys.iter().filter_map(|key| key.name) {
        check_identifier(name, |name| Error::wrong_index_name(name))?;
        if name.eq_ignore_ascii_case("PRIMARY") {
            return Err(Error::wrong_index_name(name));
        }
        if taken.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(Error::duplicate_key_name(name));
        }
        taken.push(name.to_string());
    }
    let mut named = Vec::with_capacity(keys.len());
    for key in keys {
        let name = match key.name {
            Some(name) => name.to_string(),
            None => {
                let first = &table.columns[key.columns[0].column].name;
                let is_free = |name: &str| {
                    !name.eq_ignore_ascii_case("PRIMARY")
                        && !taken.iter().any(|other| other.eq_ignore_ascii_case(name))
                };
                let mut name = first.clone();
                let mut number = 2;
                while !is_free(&name) {
                    name = format!("{first}_{number}");
                    number += 1;
                }
                taken.push(name.clone());
                name
            }
        };
        check_comment(&name, key.comment)?;
        named.push((name, key));
    }
    Ok(named)
}
