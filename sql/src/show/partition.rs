//! The partitions of a table as SHOW CREATE TABLE and information_schema print them, byte for byte MySQL's.
//!
//! What was written TDSQL_PARTITION BY is printed so, without the comment that other servers would read over; for MySQL it is
//! PARTITION BY like any other.

use super::create_table::{ShardingStyle, quoted, string};
use crate::catalog::TableDef;
use crate::catalog::partition::{PartitionDef, PartitionMethod, PartitionValues, Partitioning};
use crate::lexer;
use crate::types::SqlType;
use crate::value::Value;

/// The clause, from the end of the line before it.
pub(super) fn clause(
    table: &TableDef,
    partitioning: &Partitioning,
    style: ShardingStyle,
) -> String {
    let method = &partitioning.method;
    let names = || {
        let names = method.listed_columns().iter();
        names.map(|column| word(&table.columns[*column].name)).collect::<Vec<_>>().join(",")
    };
    let function = method.function().map_or("", |function| function.text.as_str());
    let by = match method {
        PartitionMethod::Range(_) => format!("RANGE ({function})"),
        PartitionMethod::List(_) => format!("LIST ({function})"),
        PartitionMethod::Hash { linear: false, .. } => format!("HASH ({function})"),
        PartitionMethod::Hash { linear: true, .. } => format!("LINEAR HASH ({function})"),
        PartitionMethod::RangeColumns(_) => format!("RANGE  COLUMNS({})", names()),
        PartitionMethod::ListColumns(_) => format!("LIST  COLUMNS({})", names()),
        PartitionMethod::Key { named, linear, .. } => {
            let linear = if *linear { "LINEAR " } else { "" };
            let columns = if *named { names() } else { String::new() };
            format!("{linear}KEY ({columns})")
        }
    };
    let definitions = match (partitioning.numbered, partitioning.partitions.len()) {
        (true, 1) => String::new(),
        (true, count) => format!("\nPARTITIONS {count}"),
        (false, _) => {
            let definition = |partition| definition(table, partitioning, partition);
            let definitions = partitioning.partitions.iter().map(definition);
            format!("\n({})", definitions.collect::<Vec<_>>().join(",\n "))
        }
    };
    if partitioning.tdsql && style != ShardingStyle::Never {
        return format!("\nTDSQL_PARTITION BY {by}{definitions}");
    }
    let of_columns =
        matches!(method, PartitionMethod::RangeColumns(_) | PartitionMethod::ListColumns(_));
    let version = if of_columns { 50500 } else { 50100 };
    format!("\n/*!{version} PARTITION BY {by}{definitions} */")
}

fn definition(table: &TableDef, partitioning: &Partitioning, partition: &PartitionDef) -> String {
    let mut text = format!("PARTITION {}", word(&partition.name));
    let of_function = partitioning.method.function().is_some();
    let values = description(table, partitioning, partition);
    match (&partition.values, values) {
        (PartitionValues::LessThan(bound), Some(values)) => {
            let is_max = of_function && bound.iter().all(Option::is_none);
            text.push_str(" VALUES LESS THAN ");
            text.push_str(&if is_max { values } else { format!("({values})") });
        }
        (PartitionValues::In(_), Some(values)) => text.push_str(&format!(" VALUES IN ({values})")),
        _ => {}
    }
    if !partition.comment.is_empty() {
        text.push_str(&format!(" COMMENT = {}", string(&partition.comment)));
    }
    text.push_str(" ENGINE = InnoDB");
    text
}

/// The values of a partition, without the parentheses around them; `None` when it has none.
pub(crate) fn description(
    table: &TableDef,
    partitioning: &Partitioning,
    partition: &PartitionDef,
) -> Option<String> {
    let types = partitioning.method.value_types(&table.columns);
    let shown = |values: &[Value]| {
        let values = values.iter().zip(&types).map(|(value, ty)| literal(value, ty));
        values.collect::<Vec<_>>().join(",")
    };
    match &partition.values {
        PartitionValues::None => None,
        PartitionValues::LessThan(bound) => {
            let bound = bound.iter().zip(&types).map(|(value, ty)| match value {
                Some(value) => literal(value, ty),
                None => "MAXVALUE".to_string(),
            });
            Some(bound.collect::<Vec<_>>().join(","))
        }
        PartitionValues::In(items) => {
            let mut items: Vec<&Vec<Value>> = items.iter().collect();
            if partitioning.method.function().is_some() {
                // MySQL prints NULL first.
                items.sort_by_key(|item| !item.iter().any(Value::is_null));
            }
            let several = types.len() > 1;
            let item = |item: &Vec<Value>| match several {
                true => format!("({})", shown(item)),
                false => shown(item),
            };
            Some(items.into_iter().map(item).collect::<Vec<_>>().join(","))
        }
    }
}

/// What chooses the partition, as information_schema prints it.
pub(crate) fn expression(table: &TableDef, method: &PartitionMethod) -> String {
    if let Some(function) = method.function() {
        return function.text.clone();
    }
    let names = method.listed_columns().iter();
    let names = names.map(|column| quoted(&table.columns[*column].name));
    names.collect::<Vec<_>>().join(",")
}

fn literal(value: &Value, ty: &SqlType) -> String {
    match value {
        Value::Null => "NULL".to_string(),
        Value::Int(_) | Value::UInt(_) => value.to_text(ty).unwrap_or_default(),
        Value::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("0x{hex}")
        }
        _ => string(&value.to_text(ty).unwrap_or_default()),
    }
}

/// A name, in backticks only where it needs them.
fn word(name: &str) -> String {
    let simple = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
        && !lexer::is_reserved(name);
    if simple { name.to_string() } else { quoted(name) }
}
