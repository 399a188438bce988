//! The text of SHOW CREATE TABLE, byte for byte MySQL 8.0's, because tools parse it with regular
//! expressions. `shardkey=` or TDSQL_DISTRIBUTED BY follows at the end as it was declared (`tdsql_show_create` has other
//! ways), then a retention of the table's own and AUTO_PARTITION, in comments that only this server reads. The partitions come
//! last; only TDSQL_DISTRIBUTED BY RANGE or LIST, as TDSQL wants it, and SHARD BY RANGE stand behind them.

use super::partition;
use crate::catalog::information_schema::{now_text, shown_indexes};
use crate::catalog::{
    CheckDef, ColumnDef, DefaultValue, Distribution, IndexDef, ItemValue, ItemValues, Sharding,
    TableDef,
};
use crate::collation::CollationId;
use crate::lexer::{self, OWN_VERSION_NUMBER};
use crate::sets;
use crate::types::datetime::TimeZone;
use crate::types::{SqlType, TypeKind};
use crate::value::Value;
use std::fmt::Write;

/// Whether and how the sharding is printed: `tdsql_show_create`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardingStyle {
    /// As it was declared; not at all when it was not.
    Declared,
    /// Of every table, whether it was declared or not.
    Always,
    /// Never: MySQL reads the text.
    Never,
}

impl ShardingStyle {
    /// By the variable's value.
    pub(crate) fn of(word: &str) -> ShardingStyle {
        match word.to_ascii_lowercase().as_str() {
            "tdsql" => ShardingStyle::Always,
            "mysql" => ShardingStyle::Never,
            _ => ShardingStyle::Declared,
        }
    }
}

/// The statement that creates a table. `next` is the next AUTO_INCREMENT value; a TIMESTAMP default is
/// printed in the session's time zone.
pub(crate) fn text(
    table: &TableDef,
    next: Option<u64>,
    zone: TimeZone,
    style: ShardingStyle,
) -> String {
    let mut out = format!("CREATE TABLE {} (\n", quoted(&table.name));
    let mut lines = Vec::new();
    for (_, column) in table.visible_columns() {
        lines.push(column_line(table, column, zone));
    }
    for index in shown_indexes(table) {
        lines.push(index_line(table, index));
    }
    for key in &table.declared {
        let columns = key.columns.iter().map(|column| quoted(&table.columns[*column].name));
        let columns = columns.collect::<Vec<_>>().join(",");
        let mut line = format!("  {} KEY {} ({columns})", key.kind.name(), quoted(&key.name));
        if !key.comment.is_empty() {
            line.push_str(&format!(" COMMENT {}", string(&key.comment)));
        }
        lines.push(line);
    }
    lines.extend(table.foreign_keys.iter().map(|key| format!("  {}", key.clause(table))));
    lines.extend(table.checks.iter().map(check_line));
    out.push_str(&lines.join(",\n"));
    out.push_str("\n) ENGINE=InnoDB");
    // Writing to a String cannot fail.
    let _ = push_options(&mut out, table, next, style);
    if let Some(partitioning) = &table.partitioning {
        out.push_str(&partition::clause(table, partitioning, style));
        if stands_last(table) && prints_sharding(table, style) {
            let _ = push_sharding(&mut out, table);
        }
    }
    out
}

fn push_options(
    out: &mut String,
    table: &TableDef,
    next: Option<u64>,
    style: ShardingStyle,
) -> std::fmt::Result {
    if let Some(next) = next.filter(|next| *next > 1) {
        write!(out, " AUTO_INCREMENT={next}")?;
    }
    write!(out, " DEFAULT CHARSET={}", table.collation.charset())?;
    let info = table.collation.info();
    if !info.is_default || table.collation == CollationId::UTF8MB4_0900_AI_CI {
        write!(out, " COLLATE={}", info.name)?;
    }
    out.push_str(&table.options);
    if !table.comment.is_empty() {
        write!(out, " COMMENT={}", string(&table.comment))?;
    }
    if prints_sharding(table, style) && !stands_last(table) {
        push_sharding(out, table)?;
    }
    if table.retention_s > 0 {
        write!(out, " /*!{OWN_VERSION_NUMBER} RETENTION_SECONDS={} */", table.retention_s)?;
    }
    if !table.placement.is_empty() {
        let policy = quoted(&table.placement);
        write!(out, " /*!{OWN_VERSION_NUMBER} PLACEMENT POLICY={policy} */")?;
    }
    let auto = table.partitioning.as_ref().map_or(0, |partitioning| partitioning.auto);
    if auto > 0 {
        write!(out, " /*!{OWN_VERSION_NUMBER} AUTO_PARTITION={auto} */")?;
    }
    Ok(())
}

fn prints_sharding(table: &TableDef, style: ShardingStyle) -> bool {
    match style {
        ShardingStyle::Declared => table.sharding_declared,
        ShardingStyle::Always => true,
        ShardingStyle::Never => false,
    }
}

/// Whether the partitions stand before the clause that says how rows are spread.
fn stands_last(table: &TableDef) -> bool {
    let over_sets = table.placement.is_empty() && table.sharding.distribution().is_some();
    table.partitioning.is_some() && over_sets
}

/// The clause that says how rows are spread. A hidden row id has none.
fn push_sharding(out: &mut String, table: &TableDef) -> std::fmt::Result {
    let name = |column: usize| table.columns[column].name.as_str();
    let hashed;
    let sharding = match &table.sharding {
        // The policy says which set.
        Sharding::Range(by) if !table.placement.is_empty() => {
            hashed = Sharding::Hash(by.spread.clone());
            &hashed
        }
        sharding => sharding,
    };
    match sharding {
        Sharding::Hash(columns) if columns.iter().any(|column| table.columns[*column].hidden) => {
            Ok(())
        }
        Sharding::Hash(columns) if columns.len() == 1 && !table.distributed_by => {
            write!(out, " shardkey={}", word(name(columns[0])))
        }
        Sharding::Hash(columns) => {
            let names: Vec<String> = columns.iter().map(|column| quoted(name(*column))).collect();
            write!(out, " TDSQL_DISTRIBUTED BY HASH({})", names.join(","))
        }
        Sharding::Single => out.write_str(" shardkey=noshardkey"),
        Sharding::Broadcast(_) => out.write_str(" shardkey=noshardkey_allset"),
        Sharding::Range(by) => {
            write!(out, " TDSQL_DISTRIBUTED BY RANGE({})", quoted(name(by.column)))?;
            push_items(out, table, by)
        }
        Sharding::List(by) => {
            write!(out, " TDSQL_DISTRIBUTED BY LIST({})", quoted(name(by.column)))?;
            push_items(out, table, by)
        }
        Sharding::Keys(by) => {
            write!(out, " /*!{OWN_VERSION_NUMBER} SHARD BY RANGE ({})", quoted(name(by.column)))?;
            let ty = &table.columns[by.column].ty;
            let bounds: Vec<String> = by.bounds().map(|bound| literal(bound, ty)).collect();
            if !bounds.is_empty() {
                write!(out, " SPLIT AT ({})", bounds.join(","))?;
            }
            out.write_str(" */")
        }
    }
}

fn push_items(out: &mut String, table: &TableDef, by: &Distribution) -> std::fmt::Result {
    let ty = &table.columns[by.column].ty;
    for (at, item) in by.items.iter().enumerate() {
        let before = if at == 0 { " (" } else { "," };
        write!(out, "{before}{} VALUES ", sets::alias(item.set))?;
        match &item.values {
            ItemValues::Below(bound) => write!(out, "LESS THAN ({})", literal(bound, ty))?,
            ItemValues::Rest => out.write_str("LESS THAN (MAXVALUE)")?,
            ItemValues::In(values) => {
                let values: Vec<String> = values.iter().map(|value| literal(value, ty)).collect();
                write!(out, "IN ({})", values.join(","))?;
            }
        }
    }
    out.write_str(")")
}

/// A value of RANGE or LIST as the statement has it.
fn literal(value: &ItemValue, ty: &SqlType) -> String {
    match &value.value {
        Value::Null => "NULL".to_string(),
        Value::Bytes(bytes) => hexadecimal(bytes),
        value => {
            let text = value.to_text(ty).unwrap_or_default();
            if ty.is_numeric() { text } else { string(&text) }
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    match digits.is_empty() {
        true => "''".to_string(),
        false => format!("0x{digits}"),
    }
}

/// A name without backticks where it needs none, as TDSQL prints it behind `shardkey=`.
fn word(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !lexer::is_reserved(name);
    if is_plain { name.to_string() } else { quoted(name) }
}

/// A name in backticks.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// A column as CREATE TABLE has it.
pub(crate) fn column_line(table: &TableDef, column: &ColumnDef, zone: TimeZone) -> String {
    let ty = &column.ty;
    let mut line = format!("  {} {}", quoted(&column.name), column.type_text);
    if ty.has_charset() {
        let other = ty.collation != table.collation || column.collation_declared;
        if other {
            line.push_str(&format!(" CHARACTER SET {}", ty.collation.charset()));
        }
        if other || !ty.collation.info().is_default {
            line.push_str(&format!(" COLLATE {}", ty.collation.name()));
        }
    }
    if let Some(generated) = &column.generated {
        let kind = if generated.stored { "STORED" } else { "VIRTUAL" };
        line.push_str(&format!(" GENERATED ALWAYS AS ({}) {kind}", generated.rule.text));
    }
    if !ty.nullable {
        line.push_str(" NOT NULL");
    } else if ty.kind == TypeKind::Timestamp {
        line.push_str(" NULL");
    }
    match &column.default {
        Some(DefaultValue::Literal(value)) => {
            let value = match value {
                Value::DateTime(moment) if ty.kind == TypeKind::Timestamp => {
                    Value::DateTime(zone.from_utc(*moment))
                }
                value => value.clone(),
            };
            let text = match &value {
                Value::UInt(bits) if ty.kind == TypeKind::Bit => format!("b'{bits:b}'"),
                Value::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => hexadecimal(bytes),
                value => string(&value.to_text(ty).unwrap_or_default()),
            };
            line.push_str(&format!(" DEFAULT {text}"));
        }
        Some(DefaultValue::Now) => line.push_str(&format!(" DEFAULT {}", now_text(ty))),
        Some(DefaultValue::Expression(text)) => line.push_str(&format!(" DEFAULT ({text})")),
        None if column.generated.is_some() => {}
        None if ty.nullable
            && (!ty.is_blob() || matches!(ty.kind, TypeKind::Geometry | TypeKind::Json)) =>
        {
            line.push_str(" DEFAULT NULL");
        }
        None => {}
    }
    if column.on_update_now {
        line.push_str(&format!(" ON UPDATE {}", now_text(ty)));
    }
    if column.auto_increment {
        line.push_str(" AUTO_INCREMENT");
    }
    if column.invisible {
        line.push_str(" /*!80023 INVISIBLE */");
    }
    if !column.comment.is_empty() {
        line.push_str(&format!(" COMMENT {}", string(&column.comment)));
    }
    line
}

fn check_line(check: &CheckDef) -> String {
    let enforced = if check.enforced { "" } else { " /*!80016 NOT ENFORCED */" };
    format!("  CONSTRAINT {} CHECK ({}){enforced}", quoted(&check.name), check.rule.text)
}

fn index_line(table: &TableDef, index: &IndexDef) -> String {
    let mut columns = Vec::with_capacity(index.columns.len());
    for part in &index.columns {
        let name = quoted(&table.columns[part.column].name);
        let order = if part.descending { " DESC" } else { "" };
        columns.push(match part.prefix {
            Some(length) => format!("{name}({length}){order}"),
            None => format!("{name}{order}"),
        });
    }
    let columns = columns.join(",");
    let mut line = if index.primary {
        format!("  PRIMARY KEY ({columns})")
    } else if index.unique {
        format!("  UNIQUE KEY {} ({columns}){}", quoted(&index.name), included(table, index))
    } else {
        let global = match index.global {
            true => format!(" /*!{OWN_VERSION_NUMBER} GLOBAL */"),
            false => String::new(),
        };
        let included = included(table, index);
        format!("  KEY {} ({columns}){included}{global}", quoted(&index.name))
    };
    if !index.comment.is_empty() {
        line.push_str(&format!(" COMMENT {}", string(&index.comment)));
    }
    line
}

/// INCLUDE in a comment that only this server reads.
fn included(table: &TableDef, index: &IndexDef) -> String {
    let names = index.included.iter().map(|column| quoted(&table.columns[*column].name));
    match names.collect::<Vec<_>>().join(",") {
        names if names.is_empty() => String::new(),
        names => format!(" /*!{OWN_VERSION_NUMBER} INCLUDE ({names}) */"),
    }
}
