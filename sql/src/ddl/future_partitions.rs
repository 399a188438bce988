//! AUTO_PARTITION: adds the partitions of the future that tables lack.
//!
//! By the statement that a person would write, ALTER TABLE … ADD PARTITION, in a session of its own. So several nodes may try at
//! once: whoever comes later meets partitions that are there (1493, 1517), and nothing happens twice.
//!
//! Invariant: nobody waits for a table longer than `FUTURE_PARTITIONS_LOCK_WAIT_S` because of this: a table in use is left for
//! later.
//!
//! Not here: which partitions are missing (`catalog::partition::future`), when and on which node this runs (`server`).

use crate::Result;
use crate::catalog::Catalog;
use crate::catalog::partition::future::missing;
use crate::instance::Instance;
use crate::printer::identifier;
use crate::session::SessionInfo;
use crate::types::datetime::{Date, TimeZone};
use base::TableId;
use base::limits::FUTURE_PARTITIONS_LOCK_WAIT_S;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Partitions that were to be added to a table.
#[derive(Debug)]
pub struct Addition {
    /// The table.
    pub table: TableId,
    /// The statement.
    pub statement: String,
    /// Whether it has added them; 1205 when the table is in use.
    pub result: Result<()>,
}

/// Adds what is missing to all tables but those that rest.
pub(crate) async fn add(
    instance: &Arc<Instance>,
    resting: &BTreeSet<TableId>,
) -> Result<Vec<Addition>> {
    let catalog = instance.catalog.current().await?;
    let statements = statements(&catalog, tomorrow(instance), resting);
    if statements.is_empty() {
        return Ok(Vec::new());
    }
    // No connection has the number 0.
    let mut session = instance.session(SessionInfo {
        connection_id: 0,
        user: "system user".to_string(),
        host: String::new(),
        found_rows: false,
        interactive: false,
    });
    let waits_shortly = format!("SET lock_wait_timeout = {FUTURE_PARTITIONS_LOCK_WAIT_S}");
    session.execute(&waits_shortly).await.0?;
    let mut additions = Vec::with_capacity(statements.len());
    for (table, statement) in statements {
        let result = session.execute(&statement).await.0.map(|_| ());
        additions.push(Addition { table, statement, result });
    }
    Ok(additions)
}

/// The day after today's in UTC: nowhere is it later.
fn tomorrow(instance: &Instance) -> Date {
    let micros = instance.config.clock.unix_micros();
    let today = TimeZone::UTC.from_unix_micros(micros as i64).date();
    Date::from_days(today.to_days() + 1)
}

fn statements(
    catalog: &Catalog,
    today: Date,
    resting: &BTreeSet<TableId>,
) -> Vec<(TableId, String)> {
    let mut statements = Vec::new();
    for table in catalog.databases().flat_map(|database| catalog.tables(&database.name)) {
        let Some(partitioning) = &table.partitioning else { continue };
        if resting.contains(&table.id) {
            continue;
        }
        let partitions = missing(partitioning, today).into_iter().map(|partition| {
            let name = identifier(&partition.name);
            format!("PARTITION {name} VALUES LESS THAN ({})", partition.bound)
        });
        let partitions: Vec<String> = partitions.collect();
        if !partitions.is_empty() {
            let (database, name) = (identifier(&table.database), identifier(&table.name));
            let partitions = partitions.join(", ");
            let statement = format!("ALTER TABLE {database}.{name} ADD PARTITION ({partitions})");
            statements.push((table.id, statement));
        }
    }
    statements
}
