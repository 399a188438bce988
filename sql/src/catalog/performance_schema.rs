//! performance_schema: who holds which lock of a row or table, who waits for whom, and the sessions, on all nodes.
//!
//! Columns are those of MySQL 8.0. THREAD_ID is the connection id, because there are no other threads to tell of; it is NULL
//! when the transaction is over or its node does not answer. There are no events (EVENT_ID is NULL) and no gaps.
//!
//! Locks of tables stand in metadata_locks: those of LOCK TABLES and FLUSH TABLES WITH READ LOCK, had or wanted, and the
//! tables that sessions use and that prepared XA transactions have written, which LOCK TABLES waits for.
//!
//! Not here: where the rows come from (`activity`).

use super::information_schema::{
    SystemTables, VirtualTable, name_type, number, processlist, table as computed, text,
};
use super::table_locks::{LockHolder, Stage};
use crate::activity::{Activity, LockName, SessionRow, lock_id, lock_name, mode_name};
use crate::catalog::Catalog;
use crate::collation::CollationId;
use crate::session::table_uses::EVERYTHING;
use crate::types::SqlType;
use crate::value::{Row, Value};
use base::TableId;
use bytes::Bytes;
use txn::command::{LockMode, LockOwner};

/// The name of the schema.
pub const NAME: &str = "performance_schema";

/// Its tables.
pub(crate) const TABLES: [&str; 4] =
    ["data_lock_waits", "data_locks", "metadata_locks", "processlist"];

/// A table by its name in lower case.
pub(super) fn table(name: &str, tables: &SystemTables) -> Option<VirtualTable> {
    match name {
        "data_locks" => Some(data_locks(tables)),
        "data_lock_waits" => Some(data_lock_waits(tables)),
        "metadata_locks" => Some(metadata_locks(tables)),
        "processlist" => Some(processes(tables)),
        _ => None,
    }
}

fn short(length: u32) -> SqlType {
    SqlType::varchar(length, CollationId::UTF8MB4_GENERAL_CI)
}

fn or_null(value: Option<impl Into<String>>) -> Value {
    value.map_or(Value::Null, text)
}

fn thread_of(activity: &Activity, owner: LockOwner) -> Value {
    activity.connection_of(owner).map_or(Value::Null, |id| Value::UInt(u64::from(id)))
}

fn data_locks(tables: &SystemTables) -> VirtualTable {
    let rows = tables.running(|activity, catalog| {
        let mut rows = Vec::new();
        for locks in activity.locks() {
            rows.extend(locks.held.iter().map(|lock| {
                lock_row(activity, catalog, (lock.owner, &lock.key, lock.mode), "GRANTED")
            }));
            rows.extend(locks.waits.iter().map(|lock| {
                lock_row(activity, catalog, (lock.owner, &lock.key, lock.mode), "WAITING")
            }));
        }
        rows
    });
    computed(
        &[
            ("ENGINE", short(32).not_null()),
            ("ENGINE_LOCK_ID", short(128).not_null()),
            ("ENGINE_TRANSACTION_ID", number()),
            ("THREAD_ID", number()),
            ("EVENT_ID", number()),
            ("OBJECT_SCHEMA", name_type()),
            ("OBJECT_NAME", name_type()),
            ("PARTITION_NAME", name_type()),
            ("SUBPARTITION_NAME", name_type()),
            ("INDEX_NAME", name_type()),
            ("OBJECT_INSTANCE_BEGIN", number().not_null()),
            ("LOCK_TYPE", short(32).not_null()),
            ("LOCK_MODE", short(32).not_null()),
            ("LOCK_STATUS", short(32).not_null()),
            ("LOCK_DATA", short(8192)),
        ],
        rows,
    )
}

fn lock_row(
    activity: &Activity,
    catalog: &Catalog,
    (owner, key, mode): (LockOwner, &Bytes, LockMode),
    status: &str,
) -> Row {
    let LockName { table, partition, index, data } = lock_name(catalog, key);
    let table = table.as_ref();
    vec![
        text("INNODB"),
        text(lock_id(owner, key, mode)),
        Value::UInt(owner.0),
        thread_of(activity, owner),
        Value::Null,
        or_null(table.map(|table| table.database.as_str())),
        or_null(table.map(|table| table.name.as_str())),
        or_null(partition),
        Value::Null,
        or_null(index),
        Value::UInt(0),
        text("RECORD"),
        text(mode_name(mode)),
        text(status),
        or_null(data),
    ]
}

fn data_lock_waits(tables: &SystemTables) -> VirtualTable {
    let rows = tables.running(|activity, _| {
        let side = |owner: LockOwner, key: &Bytes, mode: LockMode| {
            [
                text(lock_id(owner, key, mode)),
                Value::UInt(owner.0),
                thread_of(activity, owner),
                Value::Null,
                Value::UInt(0),
            ]
        };
        let mut rows = Vec::new();
        for wait in activity.locks().flat_map(|locks| &locks.waits) {
            for (blocker, mode) in &wait.blockers {
                let mut row = vec![text("INNODB")];
                row.extend(side(wait.owner, &wait.key, wait.mode));
                row.extend(side(*blocker, &wait.key, *mode));
                rows.push(row);
            }
        }
        rows
    });
    computed(
        &[
            ("ENGINE", short(32).not_null()),
            ("REQUESTING_ENGINE_LOCK_ID", short(128).not_null()),
            ("REQUESTING_ENGINE_TRANSACTION_ID", number()),
            ("REQUESTING_THREAD_ID", number()),
            ("REQUESTING_EVENT_ID", number()),
            ("REQUESTING_OBJECT_INSTANCE_BEGIN", number().not_null()),
            ("BLOCKING_ENGINE_LOCK_ID", short(128).not_null()),
            ("BLOCKING_ENGINE_TRANSACTION_ID", number()),
            ("BLOCKING_THREAD_ID", number()),
            ("BLOCKING_EVENT_ID", number()),
            ("BLOCKING_OBJECT_INSTANCE_BEGIN", number().not_null()),
        ],
        rows,
    )
}

/// A lock of metadata_locks.
struct MetadataLock<'a> {
    /// OBJECT_TYPE.
    kind: &'static str,
    /// Database and name of a table.
    table: Option<(&'a str, &'a str)>,
    /// LOCK_TYPE.
    lock: &'static str,
    /// LOCK_DURATION.
    duration: &'static str,
    /// Whether its session has it; else it waits.
    granted: bool,
    /// The session; none for a prepared XA transaction.
    connection: Option<u32>,
}

impl MetadataLock<'_> {
    fn row(self) -> Row {
        vec![
            text(self.kind),
            or_null(self.table.map(|(database, _)| database)),
            or_null(self.table.map(|(_, name)| name)),
            Value::Null,
            Value::UInt(0),
            text(self.lock),
            text(self.duration),
            text(if self.granted { "GRANTED" } else { "PENDING" }),
            text(""),
            self.connection.map_or(Value::Null, |id| Value::UInt(u64::from(id))),
            Value::Null,
        ]
    }
}

fn metadata_locks(tables: &SystemTables) -> VirtualTable {
    let rows = tables.running(|activity, catalog| {
        let mut rows = Vec::new();
        for holder in &activity.table_locks().holders {
            let locks = locks_of_record(holder, activity.has_locked(holder));
            rows.extend(locks.into_iter().map(MetadataLock::row));
        }
        for session in activity.sessions() {
            let locks = locks_of_uses(session, catalog);
            rows.extend(locks.into_iter().map(MetadataLock::row));
        }
        for tables in activity.prepared_tables() {
            let locks = tables.iter().filter_map(|table| lock_of_use(*table, true, None, catalog));
            rows.extend(locks.map(MetadataLock::row));
        }
        rows
    });
    computed(
        &[
            ("OBJECT_TYPE", name_type().not_null()),
            ("OBJECT_SCHEMA", name_type()),
            ("OBJECT_NAME", name_type()),
            ("COLUMN_NAME", name_type()),
            ("OBJECT_INSTANCE_BEGIN", number().not_null()),
            ("LOCK_TYPE", short(32).not_null()),
            ("LOCK_DURATION", short(32).not_null()),
            ("LOCK_STATUS", short(32).not_null()),
            ("SOURCE", name_type()),
            ("OWNER_THREAD_ID", number()),
            ("OWNER_EVENT_ID", number()),
        ],
        rows,
    )
}

/// What LOCK TABLES or FLUSH TABLES WITH READ LOCK of a session has, or waits for.
fn locks_of_record(holder: &LockHolder, had: bool) -> Vec<MetadataLock<'_>> {
    let connection = Some(holder.connection);
    let of_all = |kind, granted| MetadataLock {
        kind,
        table: None,
        lock: "SHARED",
        duration: "EXPLICIT",
        granted,
        connection,
    };
    let mut locks = Vec::new();
    if holder.everything {
        // Commits come last.
        let closed = holder.stage == Stage::Closed;
        locks.push(of_all("GLOBAL", closed));
        if closed {
            locks.push(of_all("COMMIT", had));
        }
    }
    locks.extend(holder.tables().map(|(database, name, write)| MetadataLock {
        kind: "TABLE",
        table: Some((database, name)),
        lock: if write { "SHARED_NO_READ_WRITE" } else { "SHARED_READ_ONLY" },
        duration: "TRANSACTION",
        granted: had,
        connection,
    }));
    locks
}

/// The tables that a session uses; those that were dropped are left out.
fn locks_of_uses<'a>(session: &SessionRow, catalog: &'a Catalog) -> Vec<MetadataLock<'a>> {
    let connection = Some(session.process.id);
    let lock_of = |(table, write): &(TableId, bool)| {
        if *table == EVERYTHING {
            return Some(MetadataLock {
                kind: "GLOBAL",
                table: None,
                lock: "INTENTION_EXCLUSIVE",
                duration: "STATEMENT",
                granted: true,
                connection,
            });
        }
        lock_of_use(*table, *write, connection, catalog)
    };
    session.uses.iter().filter_map(lock_of).collect()
}

/// A table that is used in a transaction, unless it was dropped.
fn lock_of_use(
    table: TableId,
    write: bool,
    connection: Option<u32>,
    catalog: &Catalog,
) -> Option<MetadataLock<'_>> {
    let table = catalog.table_by_id(table)?;
    Some(MetadataLock {
        kind: "TABLE",
        table: Some((table.database.as_str(), table.name.as_str())),
        lock: if write { "SHARED_WRITE" } else { "SHARED_READ" },
        duration: "TRANSACTION",
        granted: true,
        connection,
    })
}

/// The sessions, with one column more than those of information_schema.
fn processes(tables: &SystemTables) -> VirtualTable {
    let mut table = processlist(tables);
    table.columns.push(("EXECUTION_ENGINE".to_string(), short(16)));
    table.rows.iter_mut().for_each(|row| row.push(text("PRIMARY")));
    table
}
