//! SHOW CREATE TRIGGER and SHOW TRIGGERS.
//!
//! ```text
//! CREATE DEFINER=`root`@`localhost` TRIGGER `ins` BEFORE INSERT ON `t` FOR EACH ROW SET NEW.a = 1
//! ```

use super::create_table::quoted;
use super::{Listing, text, text_column, text_columns};
use crate::ast::TableName;
use crate::catalog::TriggerDef;
use crate::catalog::information_schema::created;
use crate::session::{ColumnMeta, Session};
use crate::types::SqlType;
use crate::{Error, Result};

/// SHOW CREATE by name.
///
/// # Errors
/// 1360 when there is none.
pub(super) async fn create(session: &mut Session, name: &TableName) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = name.database.as_deref().or(session.database.as_deref());
    let database = database.ok_or_else(Error::no_database)?;
    let trigger = catalog.trigger(database, &name.name).ok_or_else(Error::no_such_trigger)?;
    let mut columns = vec![
        text_column("Trigger", 64),
        text_column("sql_mode", 256),
        text_column("SQL Original Statement", 1024),
        text_column("character_set_client", 32),
        text_column("collation_connection", 32),
        text_column("Database Collation", 32),
    ];
    columns.push(ColumnMeta::computed("Created", SqlType::datetime(2)));
    let row = vec![
        text(&trigger.name),
        text(trigger.sql_mode.to_string()),
        text(statement_of(trigger)),
        text(&trigger.client_charset),
        text(&trigger.connection_collation),
        text(&trigger.database_collation),
        created(trigger),
    ];
    Ok(Listing { columns, rows: vec![row] })
}

fn statement_of(trigger: &TriggerDef) -> String {
    let (user, host) = (quoted(&trigger.definer.0), quoted(&trigger.definer.1));
    let (name, table) = (quoted(&trigger.name), quoted(&trigger.table));
    let (time, event) = (trigger.timing(), trigger.event.name());
    format!(
        "CREATE DEFINER={user}@{host} TRIGGER {name} {time} {event} ON {table} FOR EACH ROW {}",
        trigger.body
    )
}

/// SHOW TRIGGERS: those of a database, by their tables.
///
/// # Errors
/// 1046, 1049.
pub(super) async fn list(session: &mut Session, database: Option<&str>) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = database.or(session.database.as_deref()).ok_or_else(Error::no_database)?;
    if !catalog.has_database(database) {
        return Err(Error::unknown_database(database));
    }
    let mut columns = text_columns("Trigger,Event,Table,Statement,Timing");
    columns.push(ColumnMeta::computed("Created", SqlType::datetime(2)));
    columns.extend(text_columns(
        "sql_mode,Definer,character_set_client,collation_connection,Database Collation",
    ));
    let tables = catalog.tables(database);
    let triggers = tables.flat_map(|table| catalog.triggers_of(database, &table.name));
    let rows = triggers.map(|trigger| {
        vec![
            text(&trigger.name),
            text(trigger.event.name()),
            text(&trigger.table),
            text(&trigger.body),
            text(trigger.timing()),
            created(trigger),
            text(trigger.sql_mode.to_string()),
            text(format!("{}@{}", trigger.definer.0, trigger.definer.1)),
            text(&trigger.client_charset),
            text(&trigger.connection_collation),
            text(&trigger.database_collation),
        ]
    });
    Ok(Listing { columns, rows: rows.collect() })
}
