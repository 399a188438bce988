//! COLUMNS, and what SHOW COLUMNS prints in the same words.

use super::{VirtualTable, all_tables, long_text, name_type, number, table, text};
use crate::catalog::{Catalog, ColumnDef, DefaultValue, IndexDef, TableDef};
use crate::collation::CollationId;
use crate::types::{SqlType, TypeKind};
use crate::value::{Row, Value};

/// `PRI`, `UNI`, `MUL` or nothing, as SHOW COLUMNS prints it.
pub(crate) fn column_key(table: &TableDef, column: usize) -> &'static str {
    let declared = || table.indexes.iter().filter(|index| !index.implicit);
    if declared().any(|i| i.primary && i.columns.iter().any(|c| c.column == column)) {
        return if table.columns[column].hidden { "" } else { "PRI" };
    }
    let first = |index: &&IndexDef| index.columns.first().is_some_and(|c| c.column == column);
    let alone = |index: &IndexDef| index.unique && index.columns.len() == 1;
    if declared().filter(first).any(alone) {
        "UNI"
    } else if declared().any(|index| first(&index))
        || table.declared.iter().any(|key| key.columns.first() == Some(&column))
    {
        "MUL"
    } else {
        ""
    }
}

/// What SHOW COLUMNS prints in its column Extra.
pub(crate) fn column_extra(column: &ColumnDef) -> String {
    let mut extra = Vec::new();
    if column.auto_increment {
        extra.push("auto_increment".to_string());
    }
    if matches!(column.default, Some(DefaultValue::Now | DefaultValue::Expression(_))) {
        extra.push("DEFAULT_GENERATED".to_string());
    }
    if column.on_update_now {
        extra.push(format!("on update {}", now_text(&column.ty)));
    }
    extra.join(" ")
}

/// `CURRENT_TIMESTAMP` with the column's digits.
pub(crate) fn now_text(ty: &SqlType) -> String {
    match ty.decimals {
        0 => "CURRENT_TIMESTAMP".to_string(),
        digits => format!("CURRENT_TIMESTAMP({digits})"),
    }
}

/// The default as text; `None` without one.
pub(crate) fn column_default(column: &ColumnDef) -> Option<String> {
    match &column.default {
        None => None,
        Some(DefaultValue::Literal(Value::UInt(bits))) if column.ty.kind == TypeKind::Bit => {
            Some(format!("b'{bits:b}'"))
        }
        Some(DefaultValue::Literal(value)) => value.to_text(&column.ty),
        Some(DefaultValue::Now) => Some(now_text(&column.ty)),
        Some(DefaultValue::Expression(text)) => Some(text.clone()),
    }
}

/// The type's name without length, as information_schema prints it.
fn data_type(column: &ColumnDef) -> String {
    column.type_text.split(['(', ' ']).next().unwrap_or("").to_string()
}

pub(super) fn columns(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        for (position, column) in table.visible_columns() {
            rows.push(column_row(table, position, column));
        }
    }
    table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("COLUMN_NAME", name_type()),
            ("ORDINAL_POSITION", number()),
            ("COLUMN_DEFAULT", long_text()),
            ("IS_NULLABLE", name_type()),
            ("DATA_TYPE", long_text()),
            ("CHARACTER_MAXIMUM_LENGTH", number()),
            ("CHARACTER_OCTET_LENGTH", number()),
            ("NUMERIC_PRECISION", number()),
            ("NUMERIC_SCALE", number()),
            ("DATETIME_PRECISION", number()),
            ("CHARACTER_SET_NAME", name_type()),
            ("COLLATION_NAME", name_type()),
            ("COLUMN_TYPE", long_text()),
            ("COLUMN_KEY", name_type()),
            ("EXTRA", SqlType::varchar(256, CollationId::DEFAULT)),
            ("PRIVILEGES", SqlType::varchar(154, CollationId::DEFAULT)),
            ("COLUMN_COMMENT", long_text()),
            ("GENERATION_EXPRESSION", long_text()),
            ("SRS_ID", number()),
        ],
        rows,
    )
}

fn column_row(table: &TableDef, position: usize, column: &ColumnDef) -> Row {
    let ty = &column.ty;
    let or_null = |value: Option<u64>| value.map_or(Value::Null, Value::UInt);
    let is_text = ty.is_string() && ty.kind != TypeKind::Geometry;
    let length = (is_text || ty.has_members()).then(|| u64::from(ty.length));
    let octets = length.map(|length| {
        let per_char = if ty.is_blob() { 1 } else { u64::from(ty.collation.bytes_per_char()) };
        length * per_char
    });
    let precision = match ty.kind {
        TypeKind::BigInt if !ty.unsigned => Some(19),
        TypeKind::BigInt => Some(20),
        TypeKind::Float => Some(12),
        TypeKind::Double => Some(22),
        TypeKind::Year => None,
        TypeKind::Bit => Some(u64::from(ty.length)),
        _ if ty.is_numeric() => Some(u64::from(ty.precision())),
        _ => None,
    };
    let scale = match ty.kind {
        TypeKind::Decimal => Some(u64::from(ty.decimals)),
        _ if ty.is_integer() && ty.kind != TypeKind::Year => Some(0),
        _ => None,
    };
    let digits = (ty.is_temporal() && ty.kind != TypeKind::Date).then(|| u64::from(ty.decimals));
    let (charset, collation) = if ty.has_charset() {
        (text(ty.collation.charset()), text(ty.collation.name()))
    } else {
        (Value::Null, Value::Null)
    };
    vec![
        text("def"),
        text(&table.database),
        text(&table.name),
        text(&column.name),
        Value::UInt(position as u64 + 1),
        column_default(column).map_or(Value::Null, text),
        text(if ty.nullable { "YES" } else { "NO" }),
        text(data_type(column)),
        or_null(length),
        or_null(octets),
        or_null(precision),
        or_null(scale),
        or_null(digits),
        charset,
        collation,
        text(&column.type_text),
        text(column_key(table, position)),
        text(column_extra(column)),
        text("select,insert,update,references"),
        text(&column.comment),
        text(""),
        Value::Null,
    ]
}
