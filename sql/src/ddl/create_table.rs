//! CREATE TABLE: from the grammar's tree to a `TableDef`, with MySQL's checks in MySQL's words.
//!
//! Pure: nothing is read or written here. The order of the steps is the order in which MySQL finds
//! mistakes: columns, keys, defaults, sharding.
//!
//! Not here: column types (`column_type`), partitions (`partition`), storing the definition (`ddl`).

use super::column_type::{self, ColumnType};
use super::placement::TablePlacement;
use super::ranges;
use crate::ast;
use crate::broadcast;
use crate::catalog::{
    ColumnDef, DatabaseDef, DefaultValue, Distribution, IndexColumn, IndexDef, IndexState,
    ItemValue, ItemValues, SetItem, Sharding, TableDef,
};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::sets::Sets;
use crate::types::{Domain, SqlType, TypeKind};
use crate::{Error, Result, types};
use base::limits::{
    BROADCAST_COPIES, INDEX_COLUMNS_MAX, INDEX_COMMENT_CHARS_MAX, INDEX_INCLUDED_BYTES_MAX,
    INDEX_INCLUDED_COLUMNS_MAX, INDEX_KEY_BYTES_MAX, RETENTION_S, TABLE_COLUMNS_MAX,
    TABLE_INDEXES_MAX,
};
use base::{IndexId, TableId, Timestamp};

/// Longest identifier, in characters.
const IDENTIFIER_CHARS_MAX: usize = 64;
/// Name of the column that stands for a missing primary key.
const ROW_ID: &str = "_rowid";
/// Most values that RANGE and LIST may have, all items together: they are looked through for each row.
const DISTRIBUTION_VALUES_MAX: usize = 1024;
/// Id of the implicit global entries of a primary key. Declared indexes count up from 1.
const GLOBAL_PRIMARY: IndexId = IndexId(u32::MAX);

/// Refuses names that no table, column, index or database may have.
pub(super) fn check_identifier(name: &str, wrong: impl Fn(&str) -> Error) -> Result<()> {
    if name.chars().count() > IDENTIFIER_CHARS_MAX {
        return Err(Error::identifier_too_long(name));
    }
    if name.is_empty() || name.ends_with(' ') || name.contains('\0') {
        return Err(wrong(name));
    }
    Ok(())
}

/// Builds the definition of a new table.
pub(super) fn define(
    create: &ast::CreateTable,
    database: &DatabaseDef,
    id: TableId,
    placement: Option<&TablePlacement>,
    ctx: &EvalContext,
) -> Result<TableDef> {
    refuse_unsupported(create)?;
    check_identifier(&create.name.name, |name| Error::wrong_table_name(name))?;
    check_engine(&create.options)?;
    let options = &create.options;
    let collation = column_type::choose_collation(
        options.charset.as_deref(),
        options.collation.as_deref(),
        database.collation,
    )?;
    let mut table = TableDef {
        id,
        rows: id,
        database: database.name.clone(),
        name: create.name.name.clone(),
        columns: Vec::with_capacity(create.columns.len() + 1),
        indexes: Vec::new(),
        unpublished: Vec::new(),
        next_index_id: 0,
        index_version: 0,
        sharding: Sharding::Single,
        sharding_declared: create.sharding.is_some(),
        distributed_by: matches!(create.sharding, Some(ast::ShardingClause::DistributedBy { .. })),
        collation,
        comment: options.comment.clone().unwrap_or_default(),
        auto_increment_start: options.auto_increment.unwrap_or(0),
        created_unix: ctx.now_unix_micros / 1_000_000,
        options: printed_options(options),
        retention_s: retention(options)?,
        placement: placement.map_or(String::new(), |placement| placement.policy.clone()),
        // `partition` adds it.
        partitioning: None,
        rebuild: None,
    };
    if create.columns.is_empty() {
        return Err(Error::no_columns());
    }
    if create.columns.len() > TABLE_COLUMNS_MAX {
        return Err(Error::too_many_columns());
    }
    for definition in &create.columns {
        check_identifier(&definition.name, |name| Error::wrong_column_name(name))?;
        if table.column(&definition.name).is_some() {
            return Err(Error::duplicate_column(&definition.name));
        }
        let column = define_column(definition, collation)?;
        table.columns.push(column);
    }
    define_indexes(create, &mut table)?;
    check_auto_increment(&table)?;
    for (position, definition) in create.columns.iter().enumerate() {
        let default = define_default(definition, &table.columns[position], ctx)?;
        table.columns[position].default = default;
    }
    define_sharding(create, &mut table, placement, ctx)?;
    Ok(table)
}

fn refuse_unsupported(create: &ast::CreateTable) -> Result<()> {
    let refuse = |what: &str| Err(Error::not_supported(what));
    if create.temporary {
        return refuse("CREATE TEMPORARY TABLE: use an ordinary table and drop it");
    }
    if create.query.is_some() {
        return refuse("CREATE TABLE … SELECT: create the table, then INSERT … SELECT");
    }
    if !create.foreign_keys.is_empty() {
        return refuse(
            "FOREIGN KEY: leave the constraint out and check references in the application",
        );
    }
    let has_check = |column: &ast::ColumnDefinition| !column.checks.is_empty();
    if !create.checks.is_empty() || create.columns.iter().any(has_check) {
        return refuse(
            "CHECK constraints: leave the constraint out and check values in the application",
        );
    }
    for column in &create.columns {
        if column.generated.is_some() {
            return refuse("generated columns: compute the value in the query");
        }
        if column.invisible {
            return refuse("INVISIBLE columns: name the columns you want in SELECT");
        }
    }
    Ok(())
}

fn check_engine(options: &ast::TableOptions) -> Result<()> {
    check_engine_name(options.engine.as_deref())
}

/// Refuses engines that nobody knows, of a table or of a partition.
pub(super) fn check_engine_name(engine: Option<&str>) -> Result<()> {
    match engine {
        Some(engine) if !engine.eq_ignore_ascii_case("InnoDB") => {
            // Schemas of other engines are taken as MySQL takes them with a substitute engine, but only
            // those whose tables behave like ours for every statement we have.
            let known = ["MyISAM", "RocksDB", "Aria", "ndbcluster", "precinct"];
            if known.iter().any(|name| name.eq_ignore_ascii_case(engine)) {
                Ok(())
            } else {
                Err(Error::unknown_engine(engine))
            }
        }
        _ => Ok(()),
    }
}

/// The retention that options give a table, seconds; 0 for the cluster's.
pub(super) fn retention(options: &ast::TableOptions) -> Result<u64> {
    match options.retention_s {
        None | Some(0) => Ok(0),
        Some(seconds) if RETENTION_S.contains(&seconds) => Ok(seconds),
        Some(seconds) => {
            let (least, most) = (*RETENTION_S.start(), *RETENTION_S.end());
            let kind = format!("RETENTION_SECONDS ({least} to {most}, or DEFAULT)");
            Err(Error::wrong_value(kind, seconds))
        }
    }
}

/// Table options that SHOW CREATE TABLE prints back.
fn printed_options(options: &ast::TableOptions) -> String {
    let mut text = String::new();
    for option in &options.other {
        if option.name == "ROW_FORMAT" && !option.value.eq_ignore_ascii_case("DEFAULT") {
            text.push_str(&format!(" ROW_FORMAT={}", option.value.to_ascii_uppercase()));
        }
    }
    text
}

fn define_column(definition: &ast::ColumnDefinition, inherited: CollationId) -> Result<ColumnDef> {
    let ColumnType { mut ty, text, collation_declared } =
        column_type::resolve(&definition.name, &definition.ty, inherited)?;
    ty.nullable = definition.nullable.unwrap_or(true) && !definition.primary_key;
    if definition.primary_key && definition.nullable == Some(true) {
        return Err(Error::primary_key_null());
    }
    if definition.auto_increment {
        if !(ty.is_integer() || ty.is_floating()) || ty.kind == TypeKind::Year {
            return Err(Error::wrong_column_specifier(&definition.name));
        }
        if ty.is_floating() {
            return Err(Error::not_supported(
                "AUTO_INCREMENT on FLOAT and DOUBLE: declare the column BIGINT",
            ));
        }
        // An AUTO_INCREMENT column is NOT NULL whatever is written.
        ty.nullable = false;
    }
    if let Some(digits) = definition.on_update_now
        && (!ty.is_datetime() || digits != ty.decimals)
    {
        return Err(Error::invalid_on_update(&definition.name));
    }
    Ok(ColumnDef {
        name: definition.name.clone(),
        ty,
        default: None,
        auto_increment: definition.auto_increment,
        on_update_now: definition.on_update_now.is_some(),
        zerofill: definition.ty.zerofill,
        comment: definition.comment.clone().unwrap_or_default(),
        hidden: false,
        type_text: text,
        collation_declared,
    })
}

fn define_default(
    definition: &ast::ColumnDefinition,
    column: &ColumnDef,
    ctx: &EvalContext,
) -> Result<Option<DefaultValue>> {
    let invalid = || Error::invalid_default(&definition.name);
    let ty = &column.ty;
    let Some(default) = &definition.default else { return Ok(None) };
    if definition.auto_increment {
        return Err(invalid());
    }
    Ok(Some(match default {
        ast::DefaultValue::Now(digits) => {
            if !ty.is_datetime() || *digits != ty.decimals {
                return Err(invalid());
            }
            DefaultValue::Now
        }
        ast::DefaultValue::Literal(expr) => {
            let value = super::constant(expr, ctx).map_err(|_| invalid())?;
            if value.is_null() {
                return if ty.nullable { Ok(None) } else { Err(invalid()) };
            }
            if ty.is_blob() {
                return Err(Error::blob_default(&definition.name));
            }
            let value =
                types::assign(value, ty, &definition.name, 1, ctx).map_err(|_| invalid())?;
            DefaultValue::Literal(value)
        }
        ast::DefaultValue::Expression(expr) => {
            // Binding now finds unknown functions and columns before the first INSERT does.
            super::constant_expr(expr, ctx)?;
            // MySQL shows operators in parentheses of their own.
            let text = crate::printer::expr(expr);
            let is_operator = matches!(
                expr.kind,
                ast::ExprKind::Binary { .. } | ast::ExprKind::DateArithmetic { .. }
            );
            DefaultValue::Expression(if is_operator { format!("({text})") } else { text })
        }
    }))
}

pub(super) fn check_auto_increment(table: &TableDef) -> Result<()> {
    let mut columns = table.columns.iter().enumerate().filter(|(_, column)| column.auto_increment);
    let Some((position, _)) = columns.next() else { return Ok(()) };
    let is_key = table.indexes.iter().any(|index| {
        !index.implicit && index.columns.first().is_some_and(|first| first.column == position)
    });
    if columns.next().is_some() || !is_key { Err(Error::wrong_auto_key()) } else { Ok(()) }
}

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

fn define_indexes(create: &ast::CreateTable, table: &mut TableDef) -> Result<()> {
    let mut keys = Vec::new();
    let plain = |kind, position| Key {
        kind,
        name: None,
        global: false,
        columns: vec![IndexColumn { column: position, prefix: None }],
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
            let column = IndexColumn { column: table.columns.len() - 1, prefix: None };
            table.indexes.push(primary_index("", vec![column], String::new()));
        }
    }
    keys.retain(|key| key.kind != ast::KeyKind::Primary);
    let named = name_keys(keys, table)?;
    let mut declared: Vec<IndexDef> =
        named.into_iter().map(|(name, key)| declared_index(name, key)).collect();
    declared.sort_by_key(|index| rank(index, table));
    for (number, mut index) in declared.into_iter().enumerate() {
        index.id = IndexId(number as u32 + 1);
        table.indexes.push(index);
    }
    Ok(())
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
    }
}

/// Where MySQL lists a declared index: unique ones first, those without NULLs and prefixes before others.
pub(super) fn rank(index: &IndexDef, table: &TableDef) -> (bool, bool, bool) {
    let nullable = index.columns.iter().any(|c| table.columns[c.column].ty.nullable);
    let partial = index.columns.iter().any(|c| c.prefix.is_some());
    (!index.unique, index.unique && nullable, index.unique && partial)
}

/// Indexes that are to be added to a table, without ids. `table` has the names that are taken.
pub(super) fn define_added(
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

/// 1235 for GLOBAL on an index of a broadcast table.
fn refuse_global(indexes: &[IndexDef], table: &TableDef) -> Result<()> {
    match broadcast::is_broadcast(table) && indexes.iter().any(|index| index.global) {
        true => Err(Error::not_supported(
            "GLOBAL on an index of a broadcast table: leave it out, each copy of the table has all entries",
        )),
        false => Ok(()),
    }
}

/// 1235 for LOCAL on a unique key whose columns do not decide the slot: equal values may stand in two shards then.
fn refuse_local(definitions: &[&ast::KeyDefinition], table: &TableDef) -> Result<()> {
    let unique = [ast::KeyKind::Primary, ast::KeyKind::Unique];
    for key in definitions.iter().filter(|key| key.local && unique.contains(&key.kind)) {
        if !decides_slot(&key_columns(key, table)?, table) {
            return Err(Error::not_supported(
                "LOCAL on a unique index that does not hold all columns of the sharding key: leave LOCAL out, or add those columns",
            ));
        }
    }
    Ok(())
}

/// Whether whole columns of a key say in which slot a row is.
fn decides_slot(columns: &[IndexColumn], table: &TableDef) -> bool {
    let holds =
        |column: &usize| columns.iter().any(|part| part.column == *column && part.prefix.is_none());
    table.sharding == Sharding::Single || table.sharding_columns().iter().all(holds)
}

/// A unique index is only checked in its own shard, so one whose columns do not decide the slot places its entries by
/// itself. NULLs take part: they only make entries that never collide.
fn place_unique(indexes: &mut [IndexDef], table: &TableDef) {
    for index in indexes {
        let placed = places(index, table);
        index.global |= placed;
    }
}

/// Whether an index must place its entries by itself because of its table's sharding key.
pub(super) fn places(index: &IndexDef, table: &TableDef) -> bool {
    let single = table.sharding == Sharding::Single;
    let decides = single || table.sharding_columns().iter().all(|column| index.covers(*column));
    !index.primary && index.unique && !decides
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
    }
}

fn key_columns(definition: &ast::KeyDefinition, table: &TableDef) -> Result<Vec<IndexColumn>> {
    let mut columns: Vec<IndexColumn> = Vec::with_capacity(definition.columns.len());
    for part in &definition.columns {
        let name = match &part.target {
            ast::KeyTarget::Column(name) => name,
            ast::KeyTarget::Expression(_) => {
                return Err(Error::not_supported(
                    "an index on an expression: store the value in a column and index that",
                ));
            }
        };
        let column = table.column(name).ok_or_else(|| Error::key_column_missing(name))?;
        if columns.iter().any(|other| other.column == column) {
            return Err(Error::duplicate_column(name));
        }
        if part.descending {
            return Err(Error::not_supported(
                "a descending index: an ascending one serves ORDER BY … DESC as well",
            ));
        }
        let prefix = key_prefix(part.prefix, &table.columns[column])?;
        columns.push(IndexColumn { column, prefix });
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
    match key.kind {
        ast::KeyKind::Fulltext => {
            return Err(Error::not_supported("FULLTEXT indexes: use LIKE, or a search engine"));
        }
        ast::KeyKind::Spatial => {
            return Err(Error::not_supported("SPATIAL indexes: index the coordinates' columns"));
        }
        ast::KeyKind::Primary | ast::KeyKind::Unique | ast::KeyKind::Plain => {}
    }
    if key.columns.len() > INDEX_COLUMNS_MAX {
        return Err(Error::too_many_key_parts(INDEX_COLUMNS_MAX));
    }
    let mut bytes = 0;
    for part in &key.columns {
        let column = &table.columns[part.column];
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

fn define_sharding(
    create: &ast::CreateTable,
    table: &mut TableDef,
    placement: Option<&TablePlacement>,
    ctx: &EvalContext,
) -> Result<()> {
    use ast::{DistributionMethod, ShardingClause};
    let find = |name: &str| table.column(name).ok_or_else(|| Error::key_column_missing(name));
    table.sharding = match &create.sharding {
        None => Sharding::Hash(table.primary().columns.iter().map(|c| c.column).collect()),
        Some(ShardingClause::ShardKey(name)) => Sharding::Hash(vec![find(name)?]),
        Some(ShardingClause::Single) => Sharding::Single,
        Some(ShardingClause::Broadcast { .. }) => Sharding::Broadcast(BROADCAST_COPIES),
        Some(ShardingClause::ByRange { columns, bounds }) => {
            let columns = columns.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
            Sharding::Keys(ranges::define(table, &columns, bounds, ctx)?)
        }
        Some(ShardingClause::DistributedBy {
            method: DistributionMethod::Hash, columns, ..
        }) => Sharding::Hash(columns.iter().map(|name| find(name)).collect::<Result<_>>()?),
        Some(ShardingClause::DistributedBy { method, columns, items }) => {
            let [column] = columns.as_slice() else {
                return Err(Error::not_supported(
                    "TDSQL_DISTRIBUTED BY RANGE or LIST of several columns: name one column",
                ));
            };
            let by = define_distribution(table, find(column)?, items, ctx)?;
            match method {
                DistributionMethod::Range => Sharding::Range(by),
                DistributionMethod::Hash | DistributionMethod::List => Sharding::List(by),
            }
        }
    };
    check_sharding_columns(table)?;
    refuse_global(&table.indexes, table)?;
    if let (Some(placement), Sharding::Hash(columns)) = (placement, &table.sharding)
        && let Some(sharding) = placement.sharding(columns)
    {
        table.sharding = sharding;
    }
    refuse_local(&create.keys.iter().collect::<Vec<_>>(), table)?;
    place_indexes(table);
    Ok(())
}

/// Refuses BLOB and TEXT columns as sharding key: their values can be too long for a key.
pub(super) fn check_sharding_columns(table: &TableDef) -> Result<()> {
    for column in table.sharding_columns() {
        let column = &table.columns[*column];
        if column.ty.is_blob() {
            return Err(Error::not_supported(format!(
                "the BLOB or TEXT column '{}' as sharding key: declare it VARCHAR or VARBINARY",
                column.name
            )));
        }
    }
    Ok(())
}

/// Places the indexes of a table as its sharding asks for.
pub(super) fn place_indexes(table: &mut TableDef) {
    let mut indexes = std::mem::take(&mut table.indexes);
    place_unique(&mut indexes, table);
    table.indexes = indexes;
    let single = table.sharding == Sharding::Single;
    if !single && !table.primary_decides_slot() && table.row_id().is_none() {
        let columns = table.primary().columns.clone();
        table.indexes.push(IndexDef {
            id: GLOBAL_PRIMARY,
            name: "PRIMARY".to_string(),
            unique: true,
            columns,
            included: Vec::new(),
            global: true,
            primary: false,
            implicit: true,
            comment: String::new(),
            state: IndexState::Public,
            public_since: Timestamp::ZERO,
        });
    }
}

/// What TDSQL_DISTRIBUTED BY RANGE or LIST says, with the slots that the sets have now.
fn define_distribution(
    table: &TableDef,
    column: usize,
    items: &[ast::DistributionItem],
    ctx: &EvalContext,
) -> Result<Distribution> {
    use ast::DistributionValues;
    let definition = &table.columns[column];
    check_distribution_type(definition, "TDSQL_DISTRIBUTED BY RANGE or LIST")?;
    let values = items.iter().map(|item| match &item.values {
        DistributionValues::LessThan(_) | DistributionValues::Maxvalue => 1,
        DistributionValues::In(values) => values.len(),
    });
    if values.sum::<usize>() > DISTRIBUTION_VALUES_MAX {
        return Err(Error::not_supported(format!(
            "TDSQL_DISTRIBUTED BY with more than {DISTRIBUTION_VALUES_MAX} values: use RANGE, or HASH"
        )));
    }
    let sets = Sets::of_context(ctx)?;
    let mut defined: Vec<SetItem> = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let values = match &item.values {
            DistributionValues::Maxvalue if at + 1 < items.len() => {
                return Err(Error::maxvalue_not_last());
            }
            DistributionValues::Maxvalue => ItemValues::Rest,
            DistributionValues::LessThan(expr) => {
                let bound = distribution_value(expr, definition, ctx)?;
                if bound.value.is_null() {
                    return Err(Error::null_bound());
                }
                if let Some(SetItem { values: ItemValues::Below(before), .. }) = defined.last()
                    && bound.key() <= before.key()
                {
                    return Err(Error::range_not_increasing());
                }
                ItemValues::Below(bound)
            }
            DistributionValues::In(exprs) => {
                let mut own: Vec<ItemValue> = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    let value = distribution_value(expr, definition, ctx)?;
                    let is_same = |other: &ItemValue| other.key() == value.key();
                    let taken = defined.iter().any(|item| match &item.values {
                        ItemValues::In(others) => others.iter().any(is_same),
                        ItemValues::Below(_) | ItemValues::Rest => false,
                    });
                    if taken || own.iter().any(is_same) {
                        return Err(Error::value_in_two_lists());
                    }
                    own.push(value);
                }
                ItemValues::In(own)
            }
        };
        let set = sets.by_name(&item.set)?;
        if defined.iter().any(|other| other.set == set) {
            return Err(Error::duplicate_partition(&item.set));
        }
        let slots = sets.slots(set).ok_or_else(|| Error::internal("a set without slots"))?;
        defined.push(SetItem { set, slots, values });
    }
    // Rows spread over the set by what tells them apart, as long as the primary key alone still finds them.
    let primary = table.primary();
    let spread = if primary.covers(column) {
        primary.columns.iter().map(|part| part.column).collect()
    } else {
        std::iter::once(column).chain(table.row_id()).collect()
    };
    Ok(Distribution { column, spread, items: defined })
}

/// Refuses columns whose values are no good as bounds.
pub(super) fn check_distribution_type(column: &ColumnDef, clause: &str) -> Result<()> {
    let ty = &column.ty;
    let fits = match ty.domain() {
        Domain::Integer | Domain::Decimal | Domain::Text | Domain::Bytes | Domain::Date => true,
        Domain::DateTime => ty.kind == TypeKind::DateTime,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(Error::not_supported(format!(
        "{clause} of the {} column '{}': use a column of whole numbers, DECIMAL, CHAR, VARCHAR, DATE or DATETIME",
        ty.kind_name(),
        column.name
    )))
}

/// A value of RANGE or LIST as one of the column's.
pub(super) fn distribution_value(
    expr: &ast::Expr,
    column: &ColumnDef,
    ctx: &EvalContext,
) -> Result<ItemValue> {
    let value = super::constant(expr, ctx)?;
    let value = match value.is_null() {
        true => value,
        false => types::assign(value, &column.ty, &column.name, 1, ctx)
            .map_err(|_| Error::wrong_set_value())?,
    };
    Ok(ItemValue::new(value, &column.ty))
}
