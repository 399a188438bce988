//! performance_schema: who holds which row lock, and who waits for whom, on all nodes.
//!
//! Columns are those of MySQL 8.0. THREAD_ID is the connection id, because there are no other threads to tell of; it is NULL
//! when the transaction is over or its node does not answer. There are no events (EVENT_ID is NULL), no locks of tables
//! and no gaps.
//!
//! Not here: where the rows come from (`activity`).

use super::information_schema::{
    SystemTables, VirtualTable, name_type, number, table as computed, text,
};
use crate::activity::{Activity, LockName, lock_id, lock_name, mode_name};
use crate::catalog::Catalog;
use crate::collation::CollationId;
use crate::types::SqlType;
use crate::value::{Row, Value};
use bytes::Bytes;
use txn::command::{LockMode, LockOwner};

/// The name of the schema.
pub const NAME: &str = "performance_schema";

/// Its tables.
pub(crate) const TABLES: [&str; 2] = ["data_lock_waits", "data_locks"];

/// A table by its name in lower case.
pub(super) fn table(name: &str, tables: &SystemTables) -> Option<VirtualTable> {
    match name {
        "data_locks" => Some(data_locks(tables)),
        "data_lock_waits" => Some(data_lock_waits(tables)),
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
    let LockName { table, index, data } = lock_name(catalog, key);
    let table = table.as_ref();
    vec![
        text("INNODB"),
        text(lock_id(owner, key, mode)),
        Value::UInt(owner.0),
        thread_of(activity, owner),
        Value::Null,
        or_null(table.map(|table| table.database.as_str())),
        or_null(table.map(|table| table.name.as_str())),
        Value::Null,
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
