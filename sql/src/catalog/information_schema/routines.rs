//! ROUTINES and PARAMETERS.

use super::columns::column_row;
use super::{VirtualTable, long_text, moment, name_type, number, table, text};
use crate::ast::{DataType, ParameterMode, RoutineKind, SqlSecurity};
use crate::catalog::{Catalog, ColumnDef, RoutineDef};
use crate::collation::{self, CollationId};
use crate::ddl::column_type;
use crate::types::SqlType;
use crate::value::{Row, Value};
use std::ops::Range;
use std::sync::Arc;

/// Where a row of COLUMNS tells of the type: from DATA_TYPE to COLUMN_TYPE.
const TYPE_COLUMNS: Range<usize> = 7..16;

fn all_routines(catalog: &Catalog) -> impl Iterator<Item = &Arc<RoutineDef>> {
    catalog.databases().flat_map(|database| catalog.routines(&database.name))
}

/// Procedures and functions.
pub(super) fn routines(catalog: &Catalog) -> VirtualTable {
    table(
        &[
            ("SPECIFIC_NAME", name_type()),
            ("ROUTINE_CATALOG", name_type()),
            ("ROUTINE_SCHEMA", name_type()),
            ("ROUTINE_NAME", name_type()),
            ("ROUTINE_TYPE", name_type()),
            ("DATA_TYPE", long_text()),
            ("CHARACTER_MAXIMUM_LENGTH", number()),
            ("CHARACTER_OCTET_LENGTH", number()),
            ("NUMERIC_PRECISION", number()),
            ("NUMERIC_SCALE", number()),
            ("DATETIME_PRECISION", number()),
            ("CHARACTER_SET_NAME", name_type()),
            ("COLLATION_NAME", name_type()),
            ("DTD_IDENTIFIER", long_text()),
            ("ROUTINE_BODY", name_type()),
            ("ROUTINE_DEFINITION", long_text()),
            ("EXTERNAL_NAME", name_type()),
            ("EXTERNAL_LANGUAGE", name_type()),
            ("PARAMETER_STYLE", name_type()),
            ("IS_DETERMINISTIC", name_type()),
            ("SQL_DATA_ACCESS", name_type()),
            ("SQL_PATH", name_type()),
            ("SECURITY_TYPE", name_type()),
            ("CREATED", SqlType::datetime(0)),
            ("LAST_ALTERED", SqlType::datetime(0)),
            ("SQL_MODE", long_text()),
            ("ROUTINE_COMMENT", long_text()),
            ("DEFINER", SqlType::varchar(288, CollationId::DEFAULT)),
            ("CHARACTER_SET_CLIENT", name_type()),
            ("COLLATION_CONNECTION", name_type()),
            ("DATABASE_COLLATION", name_type()),
        ],
        all_routines(catalog).map(|routine| routine_row(routine)).collect(),
    )
}

fn routine_row(routine: &RoutineDef) -> Row {
    let security = match routine.security {
        SqlSecurity::Definer => "DEFINER",
        SqlSecurity::Invoker => "INVOKER",
    };
    let returns = routine.tree().ok().and_then(|tree| tree.returns);
    let mut row = vec![
        text(&routine.name),
        text("def"),
        text(&routine.database),
        text(&routine.name),
        text(routine.kind.name()),
    ];
    row.extend(match returns {
        Some(ty) => described(&ty, routine),
        None => without_type(),
    });
    row.extend([
        text("SQL"),
        text(&routine.body),
        Value::Null,
        text("SQL"),
        text("SQL"),
        text(if routine.deterministic { "YES" } else { "NO" }),
        text(routine.data.name()),
        Value::Null,
        text(security),
        moment(routine.created_unix),
        moment(routine.altered_unix),
        text(routine.sql_mode.to_string()),
        text(&routine.comment),
        text(format!("{}@{}", routine.definer.0, routine.definer.1)),
        text(&routine.client_charset),
        text(&routine.connection_collation),
        text(&routine.database_collation),
    ]);
    row
}

/// What a procedure says of the type of its result.
fn without_type() -> Vec<Value> {
    let mut values = vec![Value::Null; TYPE_COLUMNS.len()];
    values[0] = text("");
    values
}

/// What COLUMNS would tell of a column of this type.
fn described(ty: &DataType, routine: &RoutineDef) -> Vec<Value> {
    let collation = collation::by_name(&routine.database_collation);
    let collation = collation.map_or(CollationId::DEFAULT, |collation| collation.id);
    let Ok(resolved) = column_type::resolve("", ty, collation) else { return without_type() };
    let column = ColumnDef {
        name: String::new(),
        ty: resolved.ty,
        default: None,
        auto_increment: false,
        on_update_now: false,
        zerofill: false,
        comment: String::new(),
        hidden: false,
        type_text: resolved.text,
        collation_declared: false,
        ordinal: 0,
        absent: None,
        former: None,
        generated: None,
        invisible: false,
    };
    let row = column_row([Value::Null, Value::Null], 0, &column, None, "");
    row.into_iter().skip(TYPE_COLUMNS.start).take(TYPE_COLUMNS.len()).collect()
}

/// Their parameters; of a function also its result, at place 0.
pub(super) fn parameters(catalog: &Catalog) -> VirtualTable {
    table(
        &[
            ("SPECIFIC_CATALOG", name_type()),
            ("SPECIFIC_SCHEMA", name_type()),
            ("SPECIFIC_NAME", name_type()),
            ("ORDINAL_POSITION", number()),
            ("PARAMETER_MODE", name_type()),
            ("PARAMETER_NAME", name_type()),
            ("DATA_TYPE", long_text()),
            ("CHARACTER_MAXIMUM_LENGTH", number()),
            ("CHARACTER_OCTET_LENGTH", number()),
            ("NUMERIC_PRECISION", number()),
            ("NUMERIC_SCALE", number()),
            ("DATETIME_PRECISION", number()),
            ("CHARACTER_SET_NAME", name_type()),
            ("COLLATION_NAME", name_type()),
            ("DTD_IDENTIFIER", long_text()),
            ("ROUTINE_TYPE", name_type()),
        ],
        all_routines(catalog).flat_map(|routine| parameter_rows(routine)).collect(),
    )
}

fn parameter_rows(routine: &RoutineDef) -> Vec<Row> {
    let Ok(tree) = routine.tree() else { return Vec::new() };
    let row = |place: usize, mode: Value, name: Value, ty: &DataType| {
        let mut row = vec![
            text("def"),
            text(&routine.database),
            text(&routine.name),
            Value::UInt(place as u64),
            mode,
            name,
        ];
        row.extend(described(ty, routine));
        row.push(text(routine.kind.name()));
        row
    };
    let mut rows = Vec::new();
    rows.extend(tree.returns.iter().map(|ty| row(0, Value::Null, Value::Null, ty)));
    for (place, parameter) in tree.parameters.iter().enumerate() {
        let mode = match routine.kind {
            RoutineKind::Function => ParameterMode::In,
            RoutineKind::Procedure => parameter.mode.unwrap_or(ParameterMode::In),
        };
        rows.push(row(place + 1, text(mode.name()), text(&parameter.name), &parameter.ty));
    }
    rows
}
