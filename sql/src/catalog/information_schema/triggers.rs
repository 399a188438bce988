//! TRIGGERS.

use super::{VirtualTable, long_text, name_type, number, table, text};
use crate::catalog::{Catalog, TriggerDef};
use crate::collation::CollationId;
use crate::types::SqlType;
use crate::types::datetime::TimeZone;
use crate::value::{Row, Value};

/// Triggers of all databases.
pub(super) fn triggers(catalog: &Catalog) -> VirtualTable {
    let all = catalog.databases().flat_map(|database| catalog.triggers(&database.name));
    table(
        &[
            ("TRIGGER_CATALOG", name_type()),
            ("TRIGGER_SCHEMA", name_type()),
            ("TRIGGER_NAME", name_type()),
            ("EVENT_MANIPULATION", name_type()),
            ("EVENT_OBJECT_CATALOG", name_type()),
            ("EVENT_OBJECT_SCHEMA", name_type()),
            ("EVENT_OBJECT_TABLE", name_type()),
            ("ACTION_ORDER", number()),
            ("ACTION_CONDITION", long_text()),
            ("ACTION_STATEMENT", long_text()),
            ("ACTION_ORIENTATION", name_type()),
            ("ACTION_TIMING", name_type()),
            ("ACTION_REFERENCE_OLD_TABLE", name_type()),
            ("ACTION_REFERENCE_NEW_TABLE", name_type()),
            ("ACTION_REFERENCE_OLD_ROW", name_type()),
            ("ACTION_REFERENCE_NEW_ROW", name_type()),
            ("CREATED", SqlType::datetime(2)),
            ("SQL_MODE", long_text()),
            ("DEFINER", SqlType::varchar(288, CollationId::DEFAULT)),
            ("CHARACTER_SET_CLIENT", name_type()),
            ("COLLATION_CONNECTION", name_type()),
            ("DATABASE_COLLATION", name_type()),
        ],
        all.map(|trigger| row(trigger)).collect(),
    )
}

/// When a trigger was made, to hundredths of a second.
pub(crate) fn created(trigger: &TriggerDef) -> Value {
    let moment = TimeZone::UTC.from_unix_micros(trigger.created_unix_micros as i64);
    Value::DateTime(moment.round(2, true).unwrap_or(moment))
}

fn row(trigger: &TriggerDef) -> Row {
    vec![
        text("def"),
        text(&trigger.database),
        text(&trigger.name),
        text(trigger.event.name()),
        text("def"),
        text(&trigger.database),
        text(&trigger.table),
        Value::UInt(u64::from(trigger.order)),
        Value::Null,
        text(&trigger.body),
        text("ROW"),
        text(trigger.timing()),
        Value::Null,
        Value::Null,
        text("OLD"),
        text("NEW"),
        created(trigger),
        text(trigger.sql_mode.to_string()),
        text(format!("{}@{}", trigger.definer.0, trigger.definer.1)),
        text(&trigger.client_charset),
        text(&trigger.connection_collation),
        text(&trigger.database_collation),
    ]
}
