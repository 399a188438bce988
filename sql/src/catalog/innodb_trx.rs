//! information_schema.INNODB_TRX: the open transactions of all nodes.
//!
//! Columns are those of MySQL 8.0; what does not exist here (tickets, the adaptive hash index, …) is 0 or NULL.
//!
//! Not here: where the rows come from (`activity`).

use super::information_schema::{
    SystemTables, VirtualTable, name_type, number, table as computed, text,
};
use crate::activity::{Activity, TransactionRow, lock_id};
use crate::collation::CollationId;
use crate::types::SqlType;
use crate::value::{Row, Value};
use base::limits::ACTIVITY_STATEMENT_CHARS_MAX;
use txn::row_locks::WaitingLock;

pub(super) fn table(tables: &SystemTables) -> VirtualTable {
    let rows = tables.running(|activity, _| {
        let waits = activity.waits();
        let waits_of =
            |row: &TransactionRow| row.owner.and_then(|owner| waits.get(&owner).copied());
        let transactions = activity.transactions().into_iter();
        transactions.map(|transaction| row(activity, transaction, waits_of(transaction))).collect()
    });
    let short = |length: u32| SqlType::varchar(length, CollationId::UTF8MB4_GENERAL_CI);
    let count = || number().not_null();
    let flag = || SqlType::int().not_null();
    computed(
        &[
            ("trx_id", count()),
            ("trx_state", short(13).not_null()),
            ("trx_started", SqlType::datetime(0).not_null()),
            ("trx_requested_lock_id", short(126)),
            ("trx_wait_started", SqlType::datetime(0)),
            ("trx_weight", count()),
            ("trx_mysql_thread_id", count()),
            ("trx_query", short(ACTIVITY_STATEMENT_CHARS_MAX as u32)),
            ("trx_operation_state", name_type()),
            ("trx_tables_in_use", count()),
            ("trx_tables_locked", count()),
            ("trx_lock_structs", count()),
            ("trx_lock_memory_bytes", count()),
            ("trx_rows_locked", count()),
            ("trx_rows_modified", count()),
            ("trx_concurrency_tickets", count()),
            ("trx_isolation_level", short(16).not_null()),
            ("trx_unique_checks", flag()),
            ("trx_foreign_key_checks", flag()),
            ("trx_last_foreign_key_error", short(256)),
            ("trx_adaptive_hash_latched", flag()),
            ("trx_adaptive_hash_timeout", count()),
            ("trx_is_read_only", flag()),
            ("trx_autocommit_non_locking", flag()),
            ("trx_schedule_weight", number()),
        ],
        rows,
    )
}

fn row(activity: &Activity, transaction: &TransactionRow, wait: Option<&WaitingLock>) -> Row {
    let requested = wait.map(|wait| lock_id(wait.owner, &wait.key, wait.mode));
    let asking = transaction.asking_since_unix_ms.filter(|_| wait.is_some());
    let (locked, modified) = (transaction.rows_locked, transaction.rows_modified);
    let only_reads = transaction.autocommit && transaction.owner.is_none() && modified == 0;
    let zero = || Value::UInt(0);
    let flag = |is: bool| Value::Int(i64::from(is));
    vec![
        Value::UInt(transaction.id),
        text(if wait.is_some() { "LOCK WAIT" } else { "RUNNING" }),
        activity.moment(transaction.started_unix_micros),
        requested.map_or(Value::Null, text),
        asking.map_or(Value::Null, |unix_ms| activity.moment(unix_ms * 1000)),
        Value::UInt(locked + modified),
        Value::UInt(u64::from(transaction.connection)),
        transaction.statement.as_ref().map_or(Value::Null, text),
        Value::Null,
        zero(),
        zero(),
        Value::UInt(locked + u64::from(wait.is_some())),
        zero(),
        Value::UInt(locked),
        Value::UInt(modified),
        zero(),
        text(&transaction.isolation),
        // Unique keys are always checked; there are no foreign keys.
        flag(true),
        flag(false),
        Value::Null,
        flag(false),
        zero(),
        flag(transaction.read_only),
        flag(only_reads),
        Value::Null,
    ]
}
