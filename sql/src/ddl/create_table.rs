//! CREATE TABLE: from the grammar's tree to a `TableDef`, with MySQL's checks in MySQL's words.
//!
//! Pure: nothing is read or written here. The order of the steps is the order in which MySQL finds
//! mistakes: columns, keys, defaults, sharding.
//!
//! Parts: `constraints` (CHECK, generated columns), `options`, `columns`, `keys`, `sharding`.
//!
//! Not here: column types (`column_type`), partitions (`partition`), storing the definition (`table`).

mod columns;
mod constraints;
mod keys;
mod options;
mod sharding;

use super::placement::TablePlacement;
use super::{column_type, foreign_key};
use crate::catalog::{DatabaseDef, Sharding, TableDef};
use crate::context::EvalContext;
use crate::{Error, Result, ast};
use base::TableId;
use base::limits::TABLE_COLUMNS_MAX;
use constraints::define_rules;
use keys::define_indexes;
use options::{check_engine, printed_options};
use sharding::define_sharding;

pub(super) use columns::{check_auto_increment, default_of, define_column, define_default};
pub(super) use constraints::add_check;
pub(super) use keys::{define_added, rank};
pub(super) use options::{check_engine_name, comment, retention};
pub(super) use sharding::{
    check_distribution_type, check_sharding_columns, distribution_value, place_indexes, places,
};

/// Longest identifier, in characters.
const IDENTIFIER_CHARS_MAX: usize = 64;

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
    let create = &*foreign_key::with_keys(create);
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
        next_ordinal: 0,
        indexes: Vec::new(),
        unpublished: Vec::new(),
        declared: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        next_index_id: 0,
        index_version: 0,
        sharding: Sharding::Single,
        sharding_declared: create.sharding.is_some(),
        distributed_by: matches!(create.sharding, Some(ast::ShardingClause::DistributedBy { .. })),
        collation,
        comment: comment(&create.name.name, options.comment.as_deref().unwrap_or_default())?,
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
    if create.columns.iter().all(|column| column.invisible) {
        return Err(Error::no_visible_column());
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
    for (ordinal, column) in table.columns.iter_mut().enumerate() {
        column.ordinal = ordinal;
    }
    table.next_ordinal = table.columns.len();
    check_auto_increment(&table)?;
    for (position, definition) in create.columns.iter().enumerate() {
        let default = define_default(definition, &table.columns[position], ctx)?;
        table.columns[position].default = default;
    }
    define_rules(create, &mut table)?;
    foreign_key::define_all(create, &mut table)?;
    define_sharding(create, &mut table, placement, ctx)?;
    table.with_rules_bound()
}
