//! SHOW ENGINE INNODB STATUS: one text about the row locks and transactions of all nodes.
//!
//! Its sections are named and framed as InnoDB's, for tools that look for them. As there, the section of the last deadlock
//! is only there when there was one since the nodes that lead the shards have started.
//!
//! Not here: where the facts come from (`activity`).

use super::{Listing, text, text_column};
use crate::activity::{Activity, ActivityPart, TransactionRow, lock_name};
use crate::catalog::Catalog;
use crate::session::Session;
use crate::types::SqlType;
use crate::{Error, Result};
use std::collections::BTreeMap;
use txn::command::{LockMode, LockOwner};
use txn::row_locks::{Deadlock, HeldLock, WaitingLock};

/// Transactions in the text.
const TRANSACTIONS_MAX: usize = 1000;
/// Locks of one transaction in the text.
const LOCKS_MAX: usize = 10;

/// SHOW ENGINE.
pub(super) async fn engine(session: &mut Session, name: &str, what: &str) -> Result<Listing> {
    if !name.eq_ignore_ascii_case("innodb") {
        return Err(Error::unknown_engine(name));
    }
    if what != "STATUS" {
        return Err(Error::not_supported(format!(
            "SHOW ENGINE INNODB {what}: see SHOW ENGINE INNODB STATUS, SHOW SHARDS and the metrics page"
        )));
    }
    let catalog = session.instance.catalog.current().await?;
    let ctx = session.context(Vec::new());
    let activity = Activity::gather(&session.instance, ActivityPart::All, &ctx).await;
    let status = status(&activity, &catalog);
    let columns =
        vec![text_column("Type", 10), text_column("Name", 512), text_column("Status", 10)];
    Ok(Listing { columns, rows: vec![vec![text("InnoDB"), text(""), text(status)]] })
}

/// The whole text.
fn status(activity: &Activity, catalog: &Catalog) -> String {
    let now = time(activity, activity.now_unix_micros);
    let heavy = "=".repeat(37);
    let mut lines =
        vec![String::new(), heavy.clone(), format!("{now} INNODB MONITOR OUTPUT"), heavy];
    if let Some(deadlock) = activity.deadlock() {
        section(&mut lines, "LATEST DETECTED DEADLOCK");
        put_deadlock(&mut lines, activity, catalog, deadlock);
    }
    section(&mut lines, "TRANSACTIONS");
    put_transactions(&mut lines, activity, catalog);
    section(&mut lines, "END OF INNODB MONITOR OUTPUT");
    lines.pop();
    lines.push("=".repeat(28));
    lines.push(String::new());
    lines.join("\n")
}

fn section(lines: &mut Vec<String>, title: &str) {
    let frame = "-".repeat(title.len());
    lines.extend([frame.clone(), title.to_string(), frame]);
}

fn put_deadlock(
    lines: &mut Vec<String>,
    activity: &Activity,
    catalog: &Catalog,
    deadlock: &Deadlock,
) {
    lines.push(time(activity, deadlock.unix_ms * 1000));
    for (number, wait) in deadlock.waits.iter().enumerate() {
        let number = number + 1;
        lines.push(format!("*** ({number}) TRANSACTION:"));
        let owner = wait.owner;
        lines.push(format!("TRANSACTION {owner}, node {}", owner.node().0));
        lines.push(format!("*** ({number}) WAITING FOR THIS LOCK TO BE GRANTED:"));
        put_wait(lines, catalog, wait);
    }
    // The victim's waits stand first.
    lines.push(format!("*** WE ROLL BACK TRANSACTION (1), {}", deadlock.victim));
}

fn put_transactions(lines: &mut Vec<String>, activity: &Activity, catalog: &Catalog) {
    let transactions = activity.transactions();
    let waits = activity.waits();
    let mut held: BTreeMap<LockOwner, Vec<&HeldLock>> = BTreeMap::new();
    for lock in activity.locks().flat_map(|locks| &locks.held) {
        held.entry(lock.owner).or_default().push(lock);
    }
    lines.push(format!("{} transactions are open", transactions.len()));
    lines.push("LIST OF TRANSACTIONS FOR EACH SESSION:".to_string());
    for transaction in transactions.iter().take(TRANSACTIONS_MAX) {
        put_transaction(lines, activity, transaction);
        let Some(owner) = transaction.owner else { continue };
        if let Some(wait) = waits.get(&owner) {
            let asking = transaction.asking_since_unix_ms.map(|unix_ms| unix_ms * 1000);
            let waiting = asking.map_or(0, |since| seconds(activity, since));
            lines.push(format!(
                "------- TRX HAS BEEN WAITING {waiting} SEC FOR THIS LOCK TO BE GRANTED:"
            ));
            put_wait(lines, catalog, wait);
            lines.push("------------------".to_string());
        }
        let locks = held.get(&owner).map_or(&[][..], Vec::as_slice);
        for lock in locks.iter().take(LOCKS_MAX) {
            lines.push(record(catalog, lock.owner, &lock.key, lock.mode, ""));
        }
        if locks.len() > LOCKS_MAX {
            lines.push(format!("... and {} more locks", locks.len() - LOCKS_MAX));
        }
    }
    if transactions.len() > TRANSACTIONS_MAX {
        let more = transactions.len() - TRANSACTIONS_MAX;
        lines.push(format!("... and {more} more transactions: see information_schema.INNODB_TRX"));
    }
}

fn put_transaction(lines: &mut Vec<String>, activity: &Activity, transaction: &TransactionRow) {
    let TransactionRow { id, rows_locked, rows_modified, connection, isolation, .. } = transaction;
    let active = seconds(activity, transaction.started_unix_micros);
    let state = if transaction.is_prepared() { "ACTIVE (PREPARED)" } else { "ACTIVE" };
    lines.push(format!("---TRANSACTION {id}, {state} {active} sec, {isolation}"));
    lines.push(format!("{rows_locked} row lock(s), undo log entries {rows_modified}"));
    if let Some(read_ts) = transaction.read_ts {
        let age = seconds(activity, read_ts.unix_ms() * 1000);
        lines.push(format!("Trx read view: reads what was committed {age} sec ago, at {read_ts}"));
    }
    if transaction.is_prepared() {
        // It is no session's any more.
        return;
    }
    let statement = transaction.statement.as_deref().unwrap_or("");
    lines.push(format!("MySQL thread id {connection} {statement}").trim_end().to_string());
}

fn put_wait(lines: &mut Vec<String>, catalog: &Catalog, wait: &WaitingLock) {
    lines.push(record(catalog, wait.owner, &wait.key, wait.mode, " waiting"));
    let blockers: Vec<String> = wait.blockers.iter().map(|(owner, _)| owner.to_string()).collect();
    if !blockers.is_empty() {
        lines.push(format!("blocked by TRANSACTION {}", blockers.join(", ")));
    }
}

fn record(
    catalog: &Catalog,
    owner: LockOwner,
    key: &[u8],
    mode: LockMode,
    waiting: &str,
) -> String {
    let name = lock_name(catalog, key);
    let table = match name.table {
        Some(table) => format!("`{}`.`{}`", table.database, table.name),
        None => "(dropped or of the system)".to_string(),
    };
    let index = name.index.as_deref().unwrap_or("?");
    let mode = match mode {
        LockMode::Shared => "S",
        LockMode::Exclusive => "X",
    };
    let data = name.data.map_or_else(String::new, |data| format!(": {data}"));
    format!(
        "RECORD LOCKS index {index} of table {table} trx id {owner} lock_mode {mode} \
         locks rec but not gap{waiting}{data}"
    )
}

fn seconds(activity: &Activity, since_unix_micros: u64) -> u64 {
    activity.now_unix_micros.saturating_sub(since_unix_micros) / 1_000_000
}

fn time(activity: &Activity, unix_micros: u64) -> String {
    activity.moment(unix_micros).to_text(&SqlType::datetime(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::NodeActivity;
    use crate::context::EvalContext;
    use base::{IndexId, NodeId, Slot, SystemClock, TableId, Timestamp};
    use engine::key::KeyBuilder;
    use txn::row_locks::LockReport;

    #[test]
    fn the_text_names_who_waits_for_whom_and_the_last_deadlock() {
        let (holder, waiter) = (LockOwner::new(NodeId(1), 5), LockOwner::new(NodeId(2), 6));
        let mut key = KeyBuilder::new(TableId(1000), IndexId::PRIMARY);
        key.put_i64(7);
        let (key, mode) = (key.finish(Slot(3)), LockMode::Exclusive);
        let blockers = vec![(holder, mode)];
        let wait = WaitingLock { key: key.clone(), owner: waiter, mode, blockers };
        let deadlock = Deadlock { unix_ms: 1000, victim: waiter, waits: vec![wait.clone()] };
        let now_ms = SystemClock::shared().unix_ms();
        let transaction = |owner: LockOwner, connection| TransactionRow {
            id: owner.0,
            owner: Some(owner),
            connection,
            started_unix_micros: now_ms * 1000,
            asking_since_unix_ms: Some(now_ms),
            read_ts: Some(Timestamp::from_unix_ms(now_ms)),
            rows_locked: 1,
            rows_modified: 0,
            isolation: "REPEATABLE READ".into(),
            read_only: false,
            autocommit: false,
            statement: None,
            held_up: None,
        };
        let prepared = LockOwner(17);
        let node = NodeActivity {
            transactions: vec![
                transaction(holder, 11),
                transaction(waiter, 12),
                transaction(prepared, 0),
            ],
            transactions_cut: false,
            locks: LockReport {
                held: vec![HeldLock { key, owner: holder, mode }],
                waits: vec![wait],
                cut: false,
                deadlock: Some(deadlock),
            },
            ..NodeActivity::default()
        };
        let ctx = EvalContext::detached(0);
        let quiet = Activity::of(vec![(NodeId(1), Some(NodeActivity::default()))], &ctx);
        let quiet = status(&quiet, &Catalog::default());
        assert!(quiet.contains("\nTRANSACTIONS\n") && !quiet.contains("DEADLOCK"), "{quiet}");
        let activity = Activity::of(vec![(NodeId(1), Some(node))], &ctx);
        let text = status(&activity, &Catalog::default());
        for expected in [
            " INNODB MONITOR OUTPUT\n".to_string(),
            "\nLATEST DETECTED DEADLOCK\n".to_string(),
            "\n1970-01-01 00:00:01\n*** (1) TRANSACTION:\n".to_string(),
            format!("\n*** WE ROLL BACK TRANSACTION (1), {waiter}\n"),
            "\n3 transactions are open\n".to_string(),
            format!("\n---TRANSACTION {prepared}, ACTIVE (PREPARED) "),
            "\nMySQL thread id 12\n------- TRX HAS BEEN WAITING ".to_string(),
            format!("\nblocked by TRANSACTION {holder}\n"),
            format!("trx id {holder} lock_mode X locks rec but not gap\n"),
            "\nEND OF INNODB MONITOR OUTPUT\n============================\n".to_string(),
        ] {
            assert!(text.contains(&expected), "{expected:?} is not in {text}");
        }
    }
}
