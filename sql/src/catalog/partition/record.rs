//! Bytes of a partitioning in a table's record (`docs/formats.md`, "Catalog").

use super::{PartitionDef, PartitionFunction, PartitionMethod, PartitionValues, Partitioning};
use crate::catalog::TableDef;
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result, table_codec};
use base::TableId;
use prost::Message;
use std::sync::Arc;

/// A partitioning.
#[derive(Clone, PartialEq, Message)]
pub(in crate::catalog) struct PartitioningRecord {
    /// 0 RANGE, 1 LIST, 2 HASH, 3 RANGE COLUMNS, 4 LIST COLUMNS, 5 KEY.
    #[prost(uint32, tag = "1")]
    method: u32,
    #[prost(bool, tag = "2")]
    linear: bool,
    /// The expression of 0 to 2.
    #[prost(string, tag = "3")]
    function: String,
    #[prost(bool, tag = "4")]
    calendar: bool,
    /// The columns of 3 to 5.
    #[prost(uint32, repeated, tag = "5")]
    columns: Vec<u32>,
    /// Of KEY: whether the columns were named.
    #[prost(bool, tag = "6")]
    named: bool,
    #[prost(bool, tag = "7")]
    numbered: bool,
    #[prost(bool, tag = "8")]
    tdsql: bool,
    #[prost(message, repeated, tag = "9")]
    partitions: Vec<PartitionRecord>,
    /// Partitions of the future; 0: none are added by themselves.
    #[prost(uint32, tag = "10")]
    auto: u32,
}

/// A partition.
#[derive(Clone, PartialEq, Message)]
struct PartitionRecord {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    comment: String,
    /// One for LESS THAN, one per item of IN.
    #[prost(message, repeated, tag = "4")]
    items: Vec<ItemRecord>,
}

/// One value per column.
#[derive(Clone, PartialEq, Message)]
struct ItemRecord {
    /// Each as a row of one column; empty is MAXVALUE.
    #[prost(bytes = "vec", repeated, tag = "1")]
    values: Vec<Vec<u8>>,
}

fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::storage(format!("corrupt catalog record: {what}"))
}

pub(in crate::catalog) fn encode(partitioning: &Partitioning) -> PartitioningRecord {
    let method = &partitioning.method;
    let (number, linear, named) = match method {
        PartitionMethod::Range(_) => (0, false, false),
        PartitionMethod::List(_) => (1, false, false),
        PartitionMethod::Hash { linear, .. } => (2, *linear, false),
        PartitionMethod::RangeColumns(_) => (3, false, false),
        PartitionMethod::ListColumns(_) => (4, false, false),
        PartitionMethod::Key { named, linear, .. } => (5, *linear, *named),
    };
    PartitioningRecord {
        method: number,
        linear,
        function: method.function().map_or_else(String::new, |function| function.text.clone()),
        calendar: method.function().is_some_and(|function| function.calendar),
        columns: method.listed_columns().iter().map(|column| *column as u32).collect(),
        named,
        numbered: partitioning.numbered,
        tdsql: partitioning.tdsql,
        auto: partitioning.auto,
        partitions: partitioning.partitions.iter().map(encode_partition).collect(),
    }
}

fn encode_partition(partition: &PartitionDef) -> PartitionRecord {
    let bytes = |value: &Value| table_codec::encode_values(std::slice::from_ref(value)).to_vec();
    let items = match &partition.values {
        PartitionValues::None => Vec::new(),
        PartitionValues::LessThan(bound) => {
            let bound = bound.iter().map(|value| value.as_ref().map_or_else(Vec::new, bytes));
            vec![ItemRecord { values: bound.collect() }]
        }
        PartitionValues::In(items) => {
            let item = |item: &Vec<Value>| ItemRecord { values: item.iter().map(bytes).collect() };
            items.iter().map(item).collect()
        }
    };
    PartitionRecord {
        id: partition.id.0,
        name: partition.name.clone(),
        comment: partition.comment.clone(),
        items,
    }
}

/// The partitioning of a table that is read without it.
pub(in crate::catalog) fn decode(
    record: PartitioningRecord,
    table: &Arc<TableDef>,
) -> Result<Partitioning> {
    let width = table.columns.len();
    let position = |column: &u32| match *column as usize {
        column if column < width => Ok(column),
        column => Err(corrupt(format!("partition column {column} of {width}"))),
    };
    let columns = record.columns.iter().map(position).collect::<Result<Vec<usize>>>()?;
    let function = || PartitionFunction::new(&record.function, record.calendar, table);
    let (linear, named) = (record.linear, record.named);
    let method = match record.method {
        0 => PartitionMethod::Range(function()?),
        1 => PartitionMethod::List(function()?),
        2 => PartitionMethod::Hash { function: function()?, linear },
        3 => PartitionMethod::RangeColumns(columns),
        4 => PartitionMethod::ListColumns(columns),
        5 => PartitionMethod::Key { columns, named, linear },
        other => return Err(corrupt(format!("partitioning {other}"))),
    };
    let types = method.value_types(&table.columns);
    let partitions = record.partitions.into_iter();
    let partitions = partitions
        .map(|partition| decode_partition(partition, &method, &types))
        .collect::<Result<Vec<_>>>()?;
    if partitions.is_empty() {
        return Err(corrupt(format!("table {} has no partition", table.name)));
    }
    let read = Partitioning::new(method, partitions, &table.columns);
    let (numbered, tdsql, auto) = (record.numbered, record.tdsql, record.auto);
    Ok(Partitioning { numbered, tdsql, auto, ..read })
}

fn decode_partition(
    record: PartitionRecord,
    method: &PartitionMethod,
    types: &[SqlType],
) -> Result<PartitionDef> {
    let value = |bytes: &[u8], at: usize| -> Result<Option<Value>> {
        let ty = types.get(at).ok_or_else(|| corrupt("a partition's value without a column"))?;
        match bytes.is_empty() {
            true => Ok(None),
            false => table_codec::decode_value(bytes, ty).map(Some),
        }
    };
    let mut items: Vec<Vec<Option<Value>>> = Vec::with_capacity(record.items.len());
    for item in &record.items {
        let values = item.values.iter().enumerate();
        items.push(values.map(|(at, bytes)| value(bytes, at)).collect::<Result<_>>()?);
    }
    let values = match method {
        PartitionMethod::Range(_) | PartitionMethod::RangeColumns(_) => {
            let bound = items.into_iter().next();
            PartitionValues::LessThan(bound.ok_or_else(|| corrupt("a partition without bound"))?)
        }
        PartitionMethod::List(_) | PartitionMethod::ListColumns(_) => {
            let whole = |item: Vec<Option<Value>>| item.into_iter().collect::<Option<Vec<Value>>>();
            let items = items.into_iter().map(whole).collect::<Option<Vec<_>>>();
            PartitionValues::In(items.ok_or_else(|| corrupt("MAXVALUE in a list"))?)
        }
        PartitionMethod::Hash { .. } | PartitionMethod::Key { .. } => PartitionValues::None,
    };
    let (id, name, comment) = (TableId(record.id), record.name, record.comment);
    Ok(PartitionDef { id, name, values, comment })
}
