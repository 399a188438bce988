//! Between what runs on a node (`sql::activity`) and its message of `node.proto`.

use base::{TableId, Timestamp};
use bytes::Bytes;
use proto::node as pb;
use sql::activity::{NodeActivity, SessionRow, TransactionRow};
use sql::instance::Process;
use txn::HeldUp;
use txn::command::{LockMode, LockOwner};
use txn::row_locks::{Deadlock, HeldLock, LockReport, WaitingLock};

/// What runs on a node, as a message.
pub fn activity_to_pb(activity: NodeActivity) -> pb::Activity {
    let LockReport { held, waits, cut, deadlock } = activity.locks;
    pb::Activity {
        sessions: activity.sessions.into_iter().map(session_to_pb).collect(),
        sessions_cut: activity.sessions_cut,
        transactions: activity.transactions.into_iter().map(transaction_to_pb).collect(),
        transactions_cut: activity.transactions_cut,
        held: held.into_iter().map(held_to_pb).collect(),
        waits: waits.into_iter().map(wait_to_pb).collect(),
        locks_cut: cut,
        deadlock: deadlock.map(|deadlock| pb::Deadlock {
            unix_ms: deadlock.unix_ms,
            victim: deadlock.victim.0,
            waits: deadlock.waits.into_iter().map(wait_to_pb).collect(),
        }),
    }
}

/// A message as what runs on a node.
pub fn activity_from_pb(message: pb::Activity) -> NodeActivity {
    let deadlock = message.deadlock.map(|deadlock| Deadlock {
        unix_ms: deadlock.unix_ms,
        victim: LockOwner(deadlock.victim),
        waits: deadlock.waits.into_iter().map(wait_from_pb).collect(),
    });
    NodeActivity {
        sessions: message.sessions.into_iter().map(session_from_pb).collect(),
        sessions_cut: message.sessions_cut,
        transactions: message.transactions.into_iter().map(transaction_from_pb).collect(),
        transactions_cut: message.transactions_cut,
        locks: LockReport {
            held: message.held.into_iter().map(held_from_pb).collect(),
            waits: message.waits.into_iter().map(wait_from_pb).collect(),
            cut: message.locks_cut,
            deadlock,
        },
    }
}

fn session_to_pb(row: SessionRow) -> pb::SessionState {
    let process = row.process;
    let table_use = |(table, write): (TableId, bool)| pb::TableUse { table: table.0, write };
    pb::SessionState {
        connection_id: process.id,
        user: process.user,
        host: process.host,
        database: process.database.unwrap_or_default(),
        seconds: process.seconds,
        running: process.statement.is_some(),
        statement: process.statement.unwrap_or_default(),
        state: process.state,
        table_locks: row.table_locks.into_iter().map(|owner| owner.0).collect(),
        uses: row.uses.into_iter().map(table_use).collect(),
    }
}

fn session_from_pb(message: pb::SessionState) -> SessionRow {
    let uses = message.uses.into_iter();
    SessionRow {
        process: Process {
            id: message.connection_id,
            user: message.user,
            host: message.host,
            database: (!message.database.is_empty()).then_some(message.database),
            command: if message.running { "Query" } else { "Sleep" },
            seconds: message.seconds,
            state: message.state,
            statement: message.running.then_some(message.statement),
        },
        table_locks: message.table_locks.into_iter().map(LockOwner).collect(),
        uses: uses.map(|table_use| (TableId(table_use.table), table_use.write)).collect(),
    }
}

fn transaction_to_pb(row: TransactionRow) -> pb::OpenTransaction {
    let (held_up_key, held_up_by) = match row.held_up {
        Some(HeldUp { key, by }) => (key, by.0),
        None => (Bytes::new(), 0),
    };
    pb::OpenTransaction {
        id: row.id,
        owner: row.owner.map_or(0, |owner| owner.0),
        connection_id: row.connection,
        started_unix_micros: row.started_unix_micros,
        asking_since_unix_ms: row.asking_since_unix_ms.unwrap_or(0),
        read_ts: row.read_ts.map_or(0, |ts| ts.0),
        rows_locked: row.rows_locked,
        rows_modified: row.rows_modified,
        isolation: row.isolation,
        read_only: row.read_only,
        autocommit: row.autocommit,
        running: row.statement.is_some(),
        statement: row.statement.unwrap_or_default(),
        held_up_key,
        held_up_by,
    }
}

fn transaction_from_pb(message: pb::OpenTransaction) -> TransactionRow {
    let some = |number: u64| (number != 0).then_some(number);
    let (key, by) = (message.held_up_key, some(message.held_up_by));
    TransactionRow {
        id: message.id,
        owner: some(message.owner).map(LockOwner),
        connection: message.connection_id,
        started_unix_micros: message.started_unix_micros,
        asking_since_unix_ms: some(message.asking_since_unix_ms),
        read_ts: some(message.read_ts).map(Timestamp),
        rows_locked: message.rows_locked,
        rows_modified: message.rows_modified,
        isolation: message.isolation,
        read_only: message.read_only,
        autocommit: message.autocommit,
        statement: message.running.then_some(message.statement),
        held_up: by.map(|by| HeldUp { key, by: Timestamp(by) }),
    }
}

/// A row lock that is held, as a message.
pub fn held_to_pb(lock: HeldLock) -> pb::RowLockState {
    let exclusive = lock.mode == LockMode::Exclusive;
    pb::RowLockState { key: lock.key, owner: lock.owner.0, exclusive, blockers: Vec::new() }
}

/// A message as a row lock that is held.
pub fn held_from_pb(message: pb::RowLockState) -> HeldLock {
    let mode = mode_from_pb(message.exclusive);
    HeldLock { key: message.key, owner: LockOwner(message.owner), mode }
}

fn wait_to_pb(wait: WaitingLock) -> pb::RowLockState {
    let blocker = |(owner, mode): (LockOwner, LockMode)| pb::RowLockBlocker {
        owner: owner.0,
        exclusive: mode == LockMode::Exclusive,
    };
    pb::RowLockState {
        key: wait.key,
        owner: wait.owner.0,
        exclusive: wait.mode == LockMode::Exclusive,
        blockers: wait.blockers.into_iter().map(blocker).collect(),
    }
}

fn wait_from_pb(message: pb::RowLockState) -> WaitingLock {
    let blockers = message.blockers.into_iter();
    let blocker =
        |blocker: pb::RowLockBlocker| (LockOwner(blocker.owner), mode_from_pb(blocker.exclusive));
    WaitingLock {
        key: message.key,
        owner: LockOwner(message.owner),
        mode: mode_from_pb(message.exclusive),
        blockers: blockers.map(blocker).collect(),
    }
}

fn mode_from_pb(exclusive: bool) -> LockMode {
    match exclusive {
        true => LockMode::Exclusive,
        false => LockMode::Shared,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::NodeId;

    #[test]
    fn what_runs_survives_the_wire() {
        let (first, second) = (LockOwner::new(NodeId(2), 7), LockOwner::new(NodeId(3), 8));
        let (key, mode) = (Bytes::from_static(b"k"), LockMode::Exclusive);
        let transaction = TransactionRow {
            id: first.0,
            owner: Some(first),
            connection: 9,
            started_unix_micros: 10,
            asking_since_unix_ms: Some(11),
            read_ts: Some(Timestamp(12)),
            rows_locked: 13,
            rows_modified: 14,
            isolation: "READ COMMITTED".into(),
            read_only: true,
            autocommit: true,
            statement: Some("SELECT 1".into()),
            held_up: Some(HeldUp { key: key.clone(), by: Timestamp(15) }),
        };
        let idle = TransactionRow {
            owner: None,
            asking_since_unix_ms: None,
            read_ts: None,
            read_only: false,
            autocommit: false,
            statement: None,
            held_up: None,
            ..transaction.clone()
        };
        let blockers = vec![(second, LockMode::Shared), (first, mode)];
        let wait = WaitingLock { key: key.clone(), owner: first, mode, blockers };
        let session = SessionRow {
            process: Process {
                id: 9,
                user: "u".into(),
                host: "h".into(),
                database: Some("d".into()),
                command: "Query",
                seconds: 15,
                state: "executing".into(),
                statement: Some("SELECT 1".into()),
            },
            table_locks: vec![first, second],
            uses: vec![(TableId(1000), true), (TableId(0), false)],
        };
        let mut asleep = session.clone();
        asleep.process.command = "Sleep";
        asleep.process.state = String::new();
        (asleep.process.database, asleep.process.statement) = (None, None);
        let activity = NodeActivity {
            sessions: vec![session, asleep],
            sessions_cut: true,
            transactions: vec![transaction, idle],
            transactions_cut: true,
            locks: LockReport {
                held: vec![HeldLock { key, owner: second, mode: LockMode::Shared }],
                waits: vec![wait.clone()],
                cut: true,
                deadlock: Some(Deadlock { unix_ms: 5, victim: first, waits: vec![wait] }),
            },
        };
        assert_eq!(activity_from_pb(activity_to_pb(activity.clone())), activity);
    }
}
