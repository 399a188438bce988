//! The sharding of a table, and what it asks of its indexes.
//!
//! Invariant: a unique index that is checked in its own shard holds all columns that decide the slot; the other ones are
//! global.
//!
//! Not here: bounds of SHARD BY RANGE (`ranges`), the change of a sharding key (`rekey`).

use super::keys::key_columns;
use crate::catalog::{
    ColumnDef, Distribution, IndexColumn, IndexDef, IndexState, ItemValue, ItemValues, SetItem,
    Sharding, TableDef,
};
use crate::context::EvalContext;
use crate::ddl::placement::TablePlacement;
use crate::ddl::ranges;
use crate::sets::Sets;
use crate::types::{self, Domain, TypeKind};
use crate::{Error, Result, ast, broadcast};
use base::limits::BROADCAST_COPIES;
use base::{IndexId, Timestamp};

/// Most values that RANGE and LIST may have, all items together: they are looked through for each row.
const DISTRIBUTION_VALUES_MAX: usize = 1024;
/// Id of the implicit global entries of a primary key. Declared indexes count up from 1.
const GLOBAL_PRIMARY: IndexId = IndexId(u32::MAX);

/// 1235 for GLOBAL on an index of a broadcast table.
pub(super) fn refuse_global(indexes: &[IndexDef], table: &TableDef) -> Result<()> {
    match broadcast::is_broadcast(table) && indexes.iter().any(|index| index.global) {
        true => Err(Error::not_supported(
            "GLOBAL on an index of a broadcast table: leave it out, each copy of the table has all entries",
        )),
        false => Ok(()),
    }
}

/// 1235 for LOCAL on a unique key whose columns do not decide the slot: equal values may stand in two shards then.
pub(super) fn refuse_local(definitions: &[&ast::KeyDefinition], table: &TableDef) -> Result<()> {
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
pub(super) fn place_unique(indexes: &mut [IndexDef], table: &TableDef) {
    for index in indexes {
        let placed = places(index, table);
        index.global |= placed;
    }
}

/// Whether an index must place its entries by itself because of its table's sharding key.
pub(in crate::ddl) fn places(index: &IndexDef, table: &TableDef) -> bool {
    let single = table.sharding == Sharding::Single;
    let decides = single || table.sharding_columns().iter().all(|column| index.covers(*column));
    !index.primary && index.unique && !decides
}

pub(super) fn define_sharding(
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
        }) => {
            let mut found = Vec::with_capacity(columns.len());
            for name in columns {
                let column = find(name)?;
                if found.contains(&column) {
                    return Err(Error::duplicate_column(name));
                }
                found.push(column);
            }
            Sharding::Hash(found)
        }
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
pub(in crate::ddl) fn check_sharding_columns(table: &TableDef) -> Result<()> {
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
pub(in crate::ddl) fn place_indexes(table: &mut TableDef) {
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
            ignored: false,
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
pub(in crate::ddl) fn check_distribution_type(column: &ColumnDef, clause: &str) -> Result<()> {
    let ty = &column.ty;
    let fits = match ty.domain() {
        Domain::Integer if ty.kind == TypeKind::Bit => false,
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
pub(in crate::ddl) fn distribution_value(
    expr: &ast::Expr,
    column: &ColumnDef,
    ctx: &EvalContext,
) -> Result<ItemValue> {
    let value = crate::ddl::constant(expr, ctx)?;
    let value = match value.is_null() {
        true => value,
        false => types::assign(value, &column.ty, &column.name, 1, ctx)
            .map_err(|_| Error::wrong_set_value())?,
    };
    Ok(ItemValue::new(value, &column.ty))
}
