//! The text of SHOW CREATE TABLE, byte for byte MySQL 8.0's, because tools parse it with regular
//! expressions. `shardkey=` follows at the end when it was declared, then a retention of the table's own,
//! in a comment that only this server reads.

use crate::catalog::information_schema::{now_text, shown_indexes};
use crate::catalog::{ColumnDef, DefaultValue, IndexDef, Sharding, TableDef};
use crate::collation::CollationId;
use crate::lexer::OWN_VERSION_NUMBER;
use crate::types::TypeKind;
use crate::types::datetime::TimeZone;
use crate::value::Value;
use std::fmt::Write;

/// The statement that creates a table. `next` is the next AUTO_INCREMENT value; a TIMESTAMP default is
/// printed in the session's time zone.
pub(crate) fn text(table: &TableDef, next: Option<u64>, zone: TimeZone) -> String {
    let mut out = format!("CREATE TABLE {} (\n", quoted(&table.name));
    let mut lines = Vec::new();
    for (_, column) in table.visible_columns() {
        lines.push(column_line(table, column, zone));
    }
    for index in shown_indexes(table) {
        lines.push(index_line(table, index));
    }
    out.push_str(&lines.join(",\n"));
    out.push_str("\n) ENGINE=InnoDB");
    // Writing to a String cannot fail.
    let _ = push_options(&mut out, table, next);
    out
}

fn push_options(out: &mut String, table: &TableDef, next: Option<u64>) -> std::fmt::Result {
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
    if table.sharding_declared {
        let names = |columns: &[usize]| {
            let names = columns.iter().map(|column| table.columns[*column].name.as_str());
            names.collect::<Vec<_>>().join(",")
        };
        match &table.sharding {
            Sharding::Hash(columns) if columns.len() == 1 => {
                write!(out, " shardkey={}", names(columns))?;
            }
            Sharding::Hash(columns) => {
                write!(out, " TDSQL_DISTRIBUTED BY HASH({})", names(columns))?;
            }
            Sharding::Single => out.push_str(" shardkey=noshardkey"),
            Sharding::Broadcast => out.push_str(" shardkey=noshardkey_allset"),
        }
    }
    if table.retention_s > 0 {
        write!(out, " /*!{OWN_VERSION_NUMBER} RETENTION_SECONDS={} */", table.retention_s)?;
    }
    Ok(())
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

fn column_line(table: &TableDef, column: &ColumnDef, zone: TimeZone) -> String {
    let ty = &column.ty;
    let mut line = format!("  {} {}", quoted(&column.name), column.type_text);
    if ty.is_text() {
        let other = ty.collation != table.collation || column.collation_declared;
        if other {
            line.push_str(&format!(" CHARACTER SET {}", ty.collation.charset()));
        }
        if other || !ty.collation.info().is_default {
            line.push_str(&format!(" COLLATE {}", ty.collation.name()));
        }
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
                Value::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => {
                    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                    format!("0x{hex}")
                }
                value => string(&value.to_text(ty).unwrap_or_default()),
            };
            line.push_str(&format!(" DEFAULT {text}"));
        }
        Some(DefaultValue::Now) => line.push_str(&format!(" DEFAULT {}", now_text(ty))),
        Some(DefaultValue::Expression(text)) => line.push_str(&format!(" DEFAULT ({text})")),
        None if ty.nullable && !ty.is_blob() => line.push_str(" DEFAULT NULL"),
        None => {}
    }
    if column.on_update_now {
        line.push_str(&format!(" ON UPDATE {}", now_text(ty)));
    }
    if column.auto_increment {
        line.push_str(" AUTO_INCREMENT");
    }
    if !column.comment.is_empty() {
        line.push_str(&format!(" COMMENT {}", string(&column.comment)));
    }
    line
}

fn index_line(table: &TableDef, index: &IndexDef) -> String {
    let mut columns = Vec::with_capacity(index.columns.len());
    for part in &index.columns {
        let name = quoted(&table.columns[part.column].name);
        columns.push(match part.prefix {
            Some(length) => format!("{name}({length})"),
            None => name,
        });
    }
    let columns = columns.join(",");
    let mut line = if index.primary {
        format!("  PRIMARY KEY ({columns})")
    } else if index.unique {
        format!("  UNIQUE KEY {} ({columns})", quoted(&index.name))
    } else {
        let global = if index.global { "GLOBAL " } else { "" };
        format!("  {global}KEY {} ({columns})", quoted(&index.name))
    };
    if !index.comment.is_empty() {
        line.push_str(&format!(" COMMENT {}", string(&index.comment)));
    }
    line
}
