//! PARTITION BY of CREATE TABLE, with MySQL's checks in MySQL's words; ADD, DROP and TRUNCATE PARTITION.
//!
//! ```text
//! ADD PARTITION        a new id, no rows            nothing else moves: the new range or list was empty before
//! DROP PARTITION       its id is dropped            its rows go
//! TRUNCATE PARTITION   a new id for the old one     its rows go
//! ```
//!
//! All three are one change of the catalog, with the table locked as TRUNCATE locks it. So is AUTO_PARTITION = n. Each of the
//! three waits while the table's indexes are being changed: a job fills the partitions that it has found.
//!
//! Not here: REORGANIZE, COALESCE, EXCHANGE and partitions added to HASH or KEY, which would move rows: refused with 1235.

mod function;

use super::change::{Touched, change};
use super::indexes;
use crate::ast::{self, TableChange};
use crate::catalog::partition::future::Period;
use crate::catalog::partition::{PartitionDef, PartitionMethod, PartitionValues, Partitioning};
use crate::catalog::{TableDef, store};
use crate::context::EvalContext;
use crate::session::{Outcome, Session};
use crate::types::{self, SqlType, TypeKind};
use crate::value::Value;
use crate::{Error, Result};
use base::TableId;
use base::limits::{AUTO_PARTITIONS_MAX, PARTITION_COLUMNS_MAX, PARTITIONS_MAX};
use std::sync::Arc;

/// How many partitions a clause declares, as far as ids have to be had for them.
pub(super) fn declared_count(by: &ast::PartitionBy) -> usize {
    let count = by.count.map_or(1, |count| usize::try_from(count).unwrap_or(usize::MAX));
    count.max(by.partitions.len()).min(PARTITIONS_MAX)
}

/// How many ids a table takes, with its partitions.
pub(super) fn ids_of(table: &TableDef) -> usize {
    1 + table.partitioning.as_ref().map_or(0, |by| by.partitions.len())
}

/// The same definition with other ids: the first for the table, one for each partition. There must be [`ids_of`] of them.
pub(super) fn with_ids(table: &TableDef, ids: &[TableId]) -> TableDef {
    let partitioning = table.partitioning.as_ref().map(|by| {
        let renewed = by.partitions.iter().zip(&ids[1..]);
        let renewed = renewed.map(|(partition, id)| PartitionDef { id: *id, ..partition.clone() });
        Arc::new(by.with_partitions(renewed.collect(), &table.columns))
    });
    TableDef { id: ids[0], rows: ids[0], partitioning, rebuild: None, ..table.clone() }
}

/// How many partitions of the future a table's options ask for.
pub(super) fn auto(options: &ast::TableOptions) -> Result<u32> {
    let Some(count) = options.auto_partition else { return Ok(0) };
    let count_max = AUTO_PARTITIONS_MAX;
    match u32::try_from(count) {
        Ok(count) if count <= count_max => Ok(count),
        _ => Err(Error::wrong_value(format!("AUTO_PARTITION (0 to {count_max})"), count)),
    }
}

/// Adds its partitions to the definition of a new table; one id for each.
pub(super) fn define(
    by: &ast::PartitionBy,
    table: TableDef,
    ids: &[TableId],
    auto: u32,
    ctx: &EvalContext,
) -> Result<TableDef> {
    if by.subpartition_by.is_some() {
        return Err(Error::not_supported(
            "SUBPARTITION BY: leave it out; the rows of a partition are spread by their sharding key",
        ));
    }
    let table = Arc::new(table);
    let method = method_of(by, &table)?;
    let given = by.partitions.len();
    if by.count == Some(0) {
        return Err(Error::no_partitions());
    }
    if by.count.is_some_and(|count| given > 0 && count != given as u64) {
        return Err(Error::partition_count_mismatch());
    }
    if by.count.is_some_and(|count| count > PARTITIONS_MAX as u64) || given > PARTITIONS_MAX {
        return Err(Error::too_many_partitions());
    }
    let numbered = given == 0;
    let partitions = match numbered {
        true if method.has_values() => {
            return Err(Error::partitions_not_defined(kind_of(&method)));
        }
        true => numbered_partitions(ids),
        false => partitions_of(&by.partitions, &method, &table, ids, ctx)?,
    };
    let mut partitioning = Partitioning::new(method, partitions, &table.columns);
    (partitioning.numbered, partitioning.tdsql, partitioning.auto) = (numbered, by.tdsql, auto);
    check(&partitioning)?;
    check_unique_keys(&table, &partitioning)?;
    let partitioning = Some(Arc::new(partitioning));
    Ok(TableDef { partitioning, ..Arc::unwrap_or_clone(table) })
}

/// Whether ALTER TABLE changes partitions.
///
/// # Errors
/// 1235 for changes that move rows, and for several at once.
pub(super) fn is_change(changes: &[TableChange]) -> Result<bool> {
    const MOVING: [&str; 5] = ["REORGANIZE", "COALESCE", "EXCHANGE", "REMOVE", "PARTITION"];
    for change in changes {
        let TableChange::Other(text) = change else { continue };
        let first = text.split_whitespace().next().unwrap_or_default();
        if let Some(word) = MOVING.into_iter().find(|word| first.eq_ignore_ascii_case(word)) {
            let what = match word {
                "REMOVE" => "REMOVE PARTITIONING",
                "PARTITION" => "ALTER TABLE … PARTITION BY",
                "REORGANIZE" => "REORGANIZE PARTITION",
                "COALESCE" => "COALESCE PARTITION",
                _ => "EXCHANGE PARTITION",
            };
            return Err(Error::not_supported(format!(
                "{what}: create a table with the new partitions and INSERT … SELECT into it"
            )));
        }
    }
    let of_partitions = |change: &TableChange| {
        matches!(
            change,
            TableChange::AddPartitions { .. }
                | TableChange::DropPartitions(_)
                | TableChange::TruncatePartitions(_)
        )
    };
    match changes {
        [change] => Ok(of_partitions(change)),
        changes if changes.iter().any(of_partitions) => Err(Error::not_supported(
            "a change of partitions together with others: use one ALTER TABLE for each",
        )),
        _ => Ok(false),
    }
}

/// ADD PARTITION, DROP PARTITION or TRUNCATE PARTITION.
pub(super) async fn alter(
    session: &mut Session,
    name: &ast::TableName,
    alteration: &TableChange,
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let now = ctx.now_unix_micros / 1_000_000;
    let database = super::database_of(session, name)?.to_string();
    let default = session.database.clone();
    let client = session.instance.config.client.clone();
    let known = session.instance.catalog.current().await?;
    let table = crate::dml::find_table(name, default.as_deref(), &known)?;
    let mut wanted = Some(new_partitions(alteration, &table));
    while let Some(count) = wanted {
        let ids = match count {
            0 => Vec::new(),
            count => store::new_table_ids(&client, count).await?,
        };
        let mut busy = None;
        let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
        change(session, touched, |change| {
            let table = crate::dml::find_table(name, default.as_deref(), &change.catalog)?;
            busy = indexes::job_of(&change.index_jobs, &table);
            if busy.is_some() {
                return Ok(false);
            }
            let count = new_partitions(alteration, &table);
            if count > ids.len() {
                // It has got partitions since: once more, with an id for each.
                wanted = Some(count);
                return Ok(false);
            }
            wanted = None;
            let Changed { partitions, gone } = changed(alteration, &table, &ids, &ctx)?;
            for partition in &gone {
                change.drop_partition(&table, partition, now)?;
            }
            let partitioning = Some(Arc::new(partitions));
            let table = TableDef { partitioning, ..TableDef::clone(&table) };
            super::table::check_retentions(&change.catalog, &table)?;
            change.put_table(&table)?;
            Ok(true)
        })
        .await?;
        if let Some(job) = busy {
            indexes::wait_for_other(session, job).await?;
        }
    }
    Ok(Outcome::done())
}

/// AUTO_PARTITION = n.
pub(super) async fn set_auto(
    session: &mut Session,
    name: &ast::TableName,
    auto: u32,
) -> Result<Outcome> {
    let database = super::database_of(session, name)?.to_string();
    let default = session.database.clone();
    let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
    change(session, touched, |change| {
        let table = crate::dml::find_table(name, default.as_deref(), &change.catalog)?;
        let by = table.partitioning.as_ref().ok_or_else(Error::not_partitioned)?;
        if by.auto == auto {
            return Ok(false);
        }
        let mut partitioning = Partitioning::clone(by);
        partitioning.auto = auto;
        check(&partitioning)?;
        let partitioning = Some(Arc::new(partitioning));
        change.put_table(&TableDef { partitioning, ..TableDef::clone(&table) })?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}

/// How many new ids a change takes.
fn new_partitions(alteration: &TableChange, table: &TableDef) -> usize {
    match alteration {
        TableChange::AddPartitions { partitions, .. } => partitions.len(),
        TableChange::TruncatePartitions(names) if names.is_empty() => ids_of(table) - 1,
        TableChange::TruncatePartitions(names) => names.len(),
        _ => 0,
    }
}

/// What a change makes of a table's partitions.
struct Changed {
    /// The partitions afterwards.
    partitions: Partitioning,
    /// Partitions whose rows go.
    gone: Vec<PartitionDef>,
}

fn changed(
    alteration: &TableChange,
    table: &Arc<TableDef>,
    ids: &[TableId],
    ctx: &EvalContext,
) -> Result<Changed> {
    let by = table.partitioning.as_ref().ok_or_else(Error::not_partitioned)?;
    let mut partitions = by.partitions.clone();
    let mut gone = Vec::new();
    match alteration {
        TableChange::AddPartitions { count, partitions: added } => {
            if !by.method.has_values() {
                return Err(Error::not_supported(
                    "ADD PARTITION to HASH or KEY: create a table with more partitions and INSERT … SELECT into it",
                ));
            }
            if count.is_some() {
                return Err(Error::partitions_not_defined(kind_of(&by.method)));
            }
            partitions.extend(partitions_of(added, &by.method, table, ids, ctx)?);
        }
        TableChange::DropPartitions(names) => {
            if !by.method.has_values() {
                return Err(Error::only_range_or_list("DROP"));
            }
            if !names.iter().all(|name| by.position_of(name).is_some()) {
                return Err(Error::wrong_partition_list("DROP"));
            }
            let is_named = |partition: &PartitionDef| {
                names.iter().any(|name| name.eq_ignore_ascii_case(&partition.name))
            };
            (gone, partitions) = partitions.into_iter().partition(is_named);
            if partitions.is_empty() {
                return Err(Error::drop_last_partition());
            }
        }
        TableChange::TruncatePartitions(names) => {
            if let Some(name) = names.iter().find(|name| by.position_of(name).is_none()) {
                return Err(Error::unknown_partition(name, &table.name));
            }
            let mut ids = ids.iter();
            for partition in &mut partitions {
                let is_named = names.iter().any(|name| name.eq_ignore_ascii_case(&partition.name));
                if !is_named && !names.is_empty() {
                    continue;
                }
                let id =
                    ids.next().ok_or_else(|| Error::internal("a partition without a new id"))?;
                gone.push(partition.clone());
                partition.id = *id;
            }
        }
        _ => return Err(Error::internal("not a change of partitions")),
    }
    let partitions = by.with_partitions(partitions, &table.columns);
    check(&partitions)?;
    Ok(Changed { partitions, gone })
}

/// RANGE or LIST, as errors name a method.
fn kind_of(method: &PartitionMethod) -> &'static str {
    match method {
        PartitionMethod::List(_) | PartitionMethod::ListColumns(_) => "LIST",
        _ => "RANGE",
    }
}

fn method_of(by: &ast::PartitionBy, table: &Arc<TableDef>) -> Result<PartitionMethod> {
    use ast::PartitionKey::{Columns, Expr};
    Ok(match &by.method {
        ast::PartitionMethod::Range(Expr(expr)) => {
            PartitionMethod::Range(function::of_range(expr, table)?)
        }
        ast::PartitionMethod::List(Expr(expr)) => PartitionMethod::List(function::of(expr, table)?),
        ast::PartitionMethod::Hash { linear, expr } => {
            PartitionMethod::Hash { function: function::of(expr, table)?, linear: *linear }
        }
        ast::PartitionMethod::Range(Columns(names)) => {
            PartitionMethod::RangeColumns(compared_columns(names, table)?)
        }
        ast::PartitionMethod::List(Columns(names)) => {
            PartitionMethod::ListColumns(compared_columns(names, table)?)
        }
        ast::PartitionMethod::Key { linear, columns: names } => {
            let named = !names.is_empty();
            let columns = if named { columns_of(names, table)? } else { key_columns(table)? };
            if columns.iter().any(|column| table.columns[*column].ty.is_blob()) {
                return Err(Error::partition_blob());
            }
            PartitionMethod::Key { columns, named, linear: *linear }
        }
    })
}

fn columns_of(names: &[String], table: &TableDef) -> Result<Vec<usize>> {
    if names.len() > PARTITION_COLUMNS_MAX {
        return Err(Error::too_many_partition_columns());
    }
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let column = table.column(name).ok_or_else(Error::partition_column_missing)?;
        if columns.contains(&column) {
            return Err(Error::duplicate_partition_column(name));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// The columns of RANGE COLUMNS and LIST COLUMNS.
fn compared_columns(names: &[String], table: &TableDef) -> Result<Vec<usize>> {
    let columns = columns_of(names, table)?;
    for column in &columns {
        let column = &table.columns[*column];
        if column.ty.is_blob() {
            return Err(Error::partition_blob());
        }
        let is_timed =
            matches!(column.ty.kind, TypeKind::Date | TypeKind::DateTime | TypeKind::Time);
        if !(column.ty.is_integer() || column.ty.is_string() || is_timed) {
            return Err(Error::partition_column_type(&column.name));
        }
    }
    Ok(columns)
}

/// The columns of `KEY ()`: those of the primary key, else of the first unique key without NULLs.
fn key_columns(table: &TableDef) -> Result<Vec<usize>> {
    let is_whole = |index: &&crate::catalog::IndexDef| {
        let columns = || index.columns.iter();
        let nullable = columns().any(|part| table.columns[part.column].ty.nullable);
        let hidden = columns().any(|part| table.columns[part.column].hidden);
        index.unique && !nullable && !hidden && columns().all(|part| part.prefix.is_none())
    };
    let key = table.indexes.iter().find(is_whole).ok_or_else(Error::partition_column_missing)?;
    Ok(key.columns.iter().map(|part| part.column).collect())
}

/// Partitions that were declared by their number alone.
fn numbered_partitions(ids: &[TableId]) -> Vec<PartitionDef> {
    let partition = |(number, id): (usize, &TableId)| PartitionDef {
        id: *id,
        name: format!("p{number}"),
        values: PartitionValues::None,
        comment: String::new(),
    };
    ids.iter().enumerate().map(partition).collect()
}

fn partitions_of(
    definitions: &[ast::PartitionDefinition],
    method: &PartitionMethod,
    table: &TableDef,
    ids: &[TableId],
    ctx: &EvalContext,
) -> Result<Vec<PartitionDef>> {
    let mut partitions = Vec::with_capacity(definitions.len());
    for (definition, id) in definitions.iter().zip(ids) {
        super::create_table::check_identifier(&definition.name, |_| Error::wrong_partition_name())?;
        super::create_table::check_engine_name(definition.engine.as_deref())?;
        if definition.subpartitions.is_some() {
            return Err(Error::not_supported(
                "subpartitions: leave them out; the rows of a partition are spread by their sharding key",
            ));
        }
        partitions.push(PartitionDef {
            id: *id,
            name: definition.name.clone(),
            values: values_of(definition, method, table, ctx)?,
            comment: definition.comment.clone().unwrap_or_default(),
        });
    }
    Ok(partitions)
}

fn values_of(
    definition: &ast::PartitionDefinition,
    method: &PartitionMethod,
    table: &TableDef,
    ctx: &EvalContext,
) -> Result<PartitionValues> {
    use ast::PartitionValues::{In, LessThan};
    let kind = if method.has_values() { kind_of(method) } else { "HASH" };
    let of = Constants { method, types: method.value_types(&table.columns), definition, ctx };
    match &definition.values {
        None if kind == "RANGE" => Err(Error::partition_without_values("RANGE", "LESS THAN")),
        None if kind == "LIST" => Err(Error::partition_without_values("LIST", "IN")),
        None => Ok(PartitionValues::None),
        Some(LessThan(values)) if kind == "RANGE" => {
            of.bound(values).map(PartitionValues::LessThan)
        }
        Some(LessThan(_)) => Err(Error::partition_wrong_values("RANGE", "LESS THAN")),
        Some(In(items)) if kind == "LIST" => {
            let items = items.iter().map(|item| of.item(item)).collect::<Result<_>>()?;
            Ok(PartitionValues::In(items))
        }
        Some(In(_)) => Err(Error::partition_wrong_values("LIST", "IN")),
    }
}

/// The constants of a partition's VALUES.
struct Constants<'a> {
    method: &'a PartitionMethod,
    /// Types of the values.
    types: Vec<SqlType>,
    definition: &'a ast::PartitionDefinition,
    ctx: &'a EvalContext,
}

impl Constants<'_> {
    fn bound(&self, values: &[ast::PartitionValue]) -> Result<Vec<Option<Value>>> {
        self.check_width(values.len())?;
        let mut bound = Vec::with_capacity(values.len());
        for (value, ty) in values.iter().zip(&self.types) {
            bound.push(match value {
                ast::PartitionValue::Max => None,
                ast::PartitionValue::Expr(expr) => match self.constant(expr, ty)? {
                    Value::Null => return Err(Error::partition_less_than_null()),
                    value => Some(value),
                },
            });
        }
        Ok(bound)
    }

    fn item(&self, values: &[ast::PartitionValue]) -> Result<Vec<Value>> {
        self.check_width(values.len())?;
        let mut item = Vec::with_capacity(values.len());
        for (value, ty) in values.iter().zip(&self.types) {
            item.push(match value {
                ast::PartitionValue::Max => return Err(Error::partition_maxvalue_in_list()),
                ast::PartitionValue::Expr(expr) => self.constant(expr, ty)?,
            });
        }
        Ok(item)
    }

    fn check_width(&self, width: usize) -> Result<()> {
        match (width == self.types.len(), self.method.function()) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(Error::too_many_partition_values(kind_of(self.method))),
            (false, None) => Err(Error::partition_columns_mismatch()),
        }
    }

    /// A constant as a value of its type; NULL of any.
    fn constant(&self, expr: &ast::Expr, ty: &SqlType) -> Result<Value> {
        let value = super::constant(expr, self.ctx)?;
        if value.is_null() {
            return Ok(value);
        }
        if self.method.function().is_some() {
            let name = &self.definition.name;
            let number =
                value.as_integer().ok_or_else(|| Error::partition_value_not_integer(name))?;
            let value = match ty.unsigned {
                true => u64::try_from(number).map(Value::UInt),
                false => i64::try_from(number).map(Value::Int),
            };
            return value.map_err(|_| Error::partition_constant_domain());
        }
        let fits = match &value {
            Value::Int(_) | Value::UInt(_) => ty.is_integer(),
            Value::Text(_) | Value::Bytes(_) => !ty.is_integer(),
            Value::Date(_) | Value::DateTime(_) | Value::Time(_) => ty.is_temporal(),
            Value::Null | Value::Decimal(_) | Value::Double(_) => false,
        };
        if !fits {
            return Err(Error::partition_value_type());
        }
        // A value that had to be changed is none of the column's, whatever sql_mode makes of it.
        let before = self.ctx.warnings.count();
        let assigned = types::assign(value, ty, &self.definition.name, 1, self.ctx);
        let changed = self.ctx.warnings.count() != before;
        self.ctx.warnings.forget_after(before);
        match assigned {
            Ok(value) if !changed => Ok(value),
            Ok(_) | Err(_) => Err(Error::partition_value_type()),
        }
    }
}

/// Names, order of ranges, values of lists.
fn check(partitioning: &Partitioning) -> Result<()> {
    let partitions = &partitioning.partitions;
    if partitions.len() > PARTITIONS_MAX {
        return Err(Error::too_many_partitions());
    }
    for (at, partition) in partitions.iter().enumerate() {
        if partitioning.position_of(&partition.name) != Some(at) {
            return Err(Error::duplicate_partition(&partition.name));
        }
    }
    if partitioning.method.function().is_some() {
        let without_bound = |partition: &PartitionDef| {
            let PartitionValues::LessThan(bound) = &partition.values else { return false };
            bound.first().is_some_and(Option::is_none)
        };
        if partitions.iter().rev().skip(1).any(without_bound) {
            return Err(Error::partition_maxvalue());
        }
    }
    if partitioning.auto > 0 {
        check_auto(partitioning)?;
    }
    let bounds = partitioning.bounds().unwrap_or_default();
    if !bounds.is_sorted_by(|before, after| before < after) {
        return Err(Error::partition_range_not_increasing());
    }
    let items = partitions.iter().map(|partition| match &partition.values {
        PartitionValues::In(items) => items.len(),
        PartitionValues::None | PartitionValues::LessThan(_) => 0,
    });
    let listed: usize = items.sum();
    match partitioning.values() {
        Some(values) if values.len() != listed => Err(Error::partition_value_twice()),
        Some(_) | None => Ok(()),
    }
}

/// Whether partitions of the future can be added by themselves.
fn check_auto(partitioning: &Partitioning) -> Result<()> {
    if Period::of(&partitioning.method).is_none() {
        return Err(Error::not_supported(
            "AUTO_PARTITION without RANGE of year(d), or of month(d) or day(d) in a table with a sharding clause: partition so, or \
             add partitions by a job of your own",
        ));
    }
    let ends_open = partitioning.partitions.last().is_some_and(|last| match &last.values {
        PartitionValues::LessThan(bound) => bound.iter().any(Option::is_none),
        PartitionValues::None | PartitionValues::In(_) => false,
    });
    match ends_open {
        true => Err(Error::not_supported(
            "AUTO_PARTITION with MAXVALUE: leave that partition out, nothing can be added behind it",
        )),
        false => Ok(()),
    }
}

/// The same checks for a table that is there already, with or without partitions.
///
/// # Errors
/// 1503.
pub(super) fn check_keys(table: &TableDef) -> Result<()> {
    table.partitioning.as_ref().map_or(Ok(()), |by| check_unique_keys(table, by))
}

/// 1503 unless every unique key holds all columns that choose the partition: only then is it unique in the whole table.
fn check_unique_keys(table: &TableDef, partitioning: &Partitioning) -> Result<()> {
    let hidden = table.row_id();
    for index in table.indexes.iter().filter(|index| index.unique) {
        let is_row_id = index.columns.iter().any(|part| Some(part.column) == hidden);
        if !is_row_id && !partitioning.columns().iter().all(|column| index.covers(*column)) {
            let is_primary = index.primary || index.implicit;
            let key = if is_primary { "PRIMARY KEY" } else { "UNIQUE INDEX" };
            return Err(Error::unique_without_partition_columns(key));
        }
    }
    Ok(())
}
