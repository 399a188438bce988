//! COLUMNS, and what SHOW COLUMNS prints in the same words.

use super::{VirtualTable, all_tables, long_text, name_type, number, table, text};
use crate::binder::view::ViewColumn;
use crate::catalog::{Catalog, ColumnDef, DefaultValue, IndexDef, Rule, TableDef, ViewDef};
use crate::collation::CollationId;
use crate::types::{DECIMALS_NOT_FIXED, SqlType, TypeKind};
use crate::value::{Row, Value};
use std::sync::Arc;

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
    if let Some(generated) = &column.generated {
        let kind = if generated.stored { "STORED" } else { "VIRTUAL" };
        extra.push(format!("{kind} GENERATED"));
    }
    if column.invisible {
        extra.push("INVISIBLE".to_string());
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

/// An expression as information_schema prints it: with quotes as the data dictionary keeps them.
pub(super) fn clause(rule: &Rule) -> String {
    rule.text.replace('\'', "\\'")
}

/// The type's name without length, as information_schema prints it.
fn data_type(column: &ColumnDef) -> String {
    column.type_text.split(['(', ' ']).next().unwrap_or("").to_string()
}

/// A view and its columns.
pub(super) type ColumnsOfView = (Arc<ViewDef>, Vec<ViewColumn>);

/// Digits from which on a computed whole number is a BIGINT.
const BIGINT_DIGITS: u32 = 10;

/// A type as a column would declare it.
fn type_text(ty: &SqlType) -> String {
    let name = ty.kind_name().to_ascii_lowercase();
    let sign = if ty.unsigned && ty.kind != TypeKind::Year { " unsigned" } else { "" };
    match ty.kind {
        TypeKind::Null => "binary(0)".to_string(),
        TypeKind::BigInt if ty.length < BIGINT_DIGITS => format!("int{sign}"),
        TypeKind::Decimal => format!("decimal({},{}){sign}", ty.length, ty.decimals),
        TypeKind::Float | TypeKind::Double if ty.decimals < DECIMALS_NOT_FIXED => {
            format!("{name}({},{}){sign}", ty.length, ty.decimals)
        }
        TypeKind::Char | TypeKind::Varchar => format!("{name}({})", ty.length),
        TypeKind::Time | TypeKind::DateTime | TypeKind::Timestamp if ty.decimals > 0 => {
            format!("{name}({})", ty.decimals)
        }
        _ => format!("{name}{sign}"),
    }
}

/// A column of a view as lists show it, and its default: that of the column it shows, as far as a value is left by itself.
pub(crate) fn view_column(column: &ViewColumn) -> (ColumnDef, Option<String>) {
    let ty = column.ty;
    let base = column.base.as_ref();
    let default = match base {
        Some(base) if base.auto_increment => Some("0".to_string()),
        Some(base) => column_default(base),
        None if ty.nullable => None,
        None if ty.kind == TypeKind::Decimal => {
            Some(format!("{:.*}", usize::from(ty.decimals), 0.0))
        }
        None if ty.is_numeric() => Some("0".to_string()),
        None if ty.is_string() => Some(String::new()),
        None => None,
    };
    let shown = ColumnDef {
        name: column.name.clone(),
        ty,
        default: None,
        auto_increment: false,
        on_update_now: false,
        zerofill: base.is_some_and(|base| base.zerofill),
        comment: base.map(|base| base.comment.clone()).unwrap_or_default(),
        hidden: false,
        type_text: base.map_or_else(|| type_text(&ty), |base| base.type_text.clone()),
        collation_declared: false,
        ordinal: 0,
        absent: None,
        former: None,
        generated: None,
        invisible: false,
    };
    (shown, default)
}

pub(super) fn columns(catalog: &Catalog, views: &[ColumnsOfView]) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        for (position, column) in table.visible_columns() {
            let own = [text(&table.database), text(&table.name)];
            let default = column_default(column);
            rows.push(column_row(own, position, column, default, column_key(table, position)));
        }
    }
    for (view, columns) in views {
        for (position, column) in columns.iter().enumerate() {
            let own = [text(&view.database), text(&view.name)];
            let (column, default) = view_column(column);
            rows.push(column_row(own, position, &column, default, ""));
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

pub(super) fn column_row(
    [database, table]: [Value; 2],
    position: usize,
    column: &ColumnDef,
    default: Option<String>,
    key: &str,
) -> Row {
    let ty = &column.ty;
    let or_null = |value: Option<u64>| value.map_or(Value::Null, Value::UInt);
    let is_text = ty.is_string() && !matches!(ty.kind, TypeKind::Geometry | TypeKind::Json);
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
        database,
        table,
        text(&column.name),
        Value::UInt(position as u64 + 1),
        default.map_or(Value::Null, text),
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
        text(key),
        text(column_extra(column)),
        text("select,insert,update,references"),
        text(&column.comment),
        text(column.generated.as_ref().map_or_else(String::new, |by| clause(&by.rule))),
        Value::Null,
    ]
}
