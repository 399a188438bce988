//! What runs in the cluster: sessions, open transactions, row locks and table locks of all nodes, for the tables and texts
//! that show them.
//!
//! ```text
//!  session ─ BEGIN, or an autocommit statement ─► Watched ◄── Progress ── Transaction (txn)
//!                                                    │
//!  each node: its sessions' transactions, and the row locks of the shards it leads ─► NodeActivity
//!                                                    │ asked of all nodes at once
//!                                                    ▼
//!                              Activity ─► data_locks, data_lock_waits, INNODB_TRX, SHOW ENGINE INNODB STATUS,
//!                                          PROCESSLIST, metadata_locks, SHOW OPEN TABLES
//! ```
//!
//! Prepared XA transactions run on no node; their records in the meta shard are read beside that (`prepared`).
//!
//! A transaction's node and the nodes that keep its locks are asked separately, so what they tell is of slightly different
//! moments: a lock may be told whose transaction has just ended.
//!
//! Invariants:
//! 1. A node that does not answer, and one that has more than it told, leaves a warning: rows are never missing silently.
//! 2. A transaction is listed from its first read, lock or write until it is over.
//!
//! Not here: sessions (`sessions`), lines and deadlocks (`txn::row_locks`), messages between nodes (`server`).

mod lock_name;
mod prepared;
mod sessions;

pub(crate) use lock_name::{LockName, key_values, lock_id, lock_name, mode_name};
pub use sessions::SessionRow;

use crate::Error;
use crate::ast::IsolationLevel;
use crate::catalog::table_locks::TableLocks;
use crate::context::EvalContext;
use crate::instance::{Instance, SessionEntry};
use crate::session::xa::list_prepared;
use crate::types::datetime::TimeZone;
use crate::value::Value;
use base::limits::{
    ACTIVITY_BYTES_MAX, ACTIVITY_ROWS_MAX, ACTIVITY_STATEMENT_CHARS_MAX, ACTIVITY_WAIT_MAX,
};
use base::{NodeId, TableId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use tokio::time::timeout;
use txn::command::LockOwner;
use txn::row_locks::{Deadlock, LockReport, WaitingLock};
use txn::{HeldUp, Progress};

/// In the number of a transaction that has asked for no lock; no owner has it.
const READER: u64 = 1 << 63;
/// Bits of such a number that count the session's transactions; above them is its connection id.
const READER_COUNT_BITS: u32 = 16;

/// What is asked of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityPart {
    /// Everything.
    All,
    /// Its sessions only.
    Sessions,
}

/// What runs on one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeActivity {
    /// Its sessions.
    pub sessions: Vec<SessionRow>,
    /// Whether there are more than it told.
    pub sessions_cut: bool,
    /// Open transactions of its sessions.
    pub transactions: Vec<TransactionRow>,
    /// Whether there are more than `ACTIVITY_ROWS_MAX` of them.
    pub transactions_cut: bool,
    /// Row locks of the shards that it leads.
    pub locks: LockReport,
}

/// An open transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRow {
    /// The number people see: the lock owner's, or another one before it has asked for a lock.
    pub id: u64,
    /// Who holds its row locks, once it has asked for one.
    pub owner: Option<LockOwner>,
    /// Its session; 0 for a prepared XA transaction, which is no session's any more.
    pub connection: u32,
    /// When it began, by its node's wall clock: BEGIN, or the statement that brought it.
    pub started_unix_micros: u64,
    /// Since when it asks for row locks, by its node's wall clock.
    pub asking_since_unix_ms: Option<u64>,
    /// Its read point, while it has one.
    pub read_ts: Option<Timestamp>,
    /// Row locks that it holds, those of indexes included.
    pub rows_locked: u64,
    /// Rows that it has written.
    pub rows_modified: u64,
    /// Isolation level as people write it, such as `READ COMMITTED`.
    pub isolation: String,
    /// Whether it may not write.
    pub read_only: bool,
    /// Whether it is over with its statement.
    pub autocommit: bool,
    /// The statement that its session runs.
    pub statement: Option<String>,
    /// The replicated lock that it waits for instead of a row lock.
    pub held_up: Option<HeldUp>,
}

impl TransactionRow {
    /// Whether it is a prepared XA transaction.
    pub(crate) fn is_prepared(&self) -> bool {
        self.connection == 0
    }
}

/// How a transaction began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    /// Wall clock.
    pub(crate) unix_micros: u64,
    /// Its level.
    pub(crate) isolation: IsolationLevel,
    /// Whether it may not write.
    pub(crate) read_only: bool,
    /// Whether it is over with its statement.
    pub(crate) autocommit: bool,
}

/// A transaction as its session's entry knows it.
#[derive(Debug)]
pub(crate) struct Watched {
    /// What it has done; nobody else holds this when the transaction is over.
    progress: Weak<Progress>,
    /// Its number while it has no lock owner.
    number: u64,
    /// How it began.
    begun: Begun,
}

impl SessionEntry {
    /// Takes a transaction into the list; it tells what it does in the answer.
    pub(crate) fn watch(&self, begun: Begun) -> Arc<Progress> {
        let progress: Arc<Progress> = Arc::default();
        let mut state = self.state.lock();
        state.transactions.retain(|watched| watched.progress.strong_count() > 0);
        let count = state.transactions_begun & ((1 << READER_COUNT_BITS) - 1);
        state.transactions_begun += 1;
        let number = READER | u64::from(self.id) << READER_COUNT_BITS | count;
        state.transactions.push(Watched { progress: Arc::downgrade(&progress), number, begun });
        progress
    }

    /// Its transactions that are listed.
    fn transactions(&self) -> Vec<TransactionRow> {
        let state = self.state.lock();
        let statement = state.statement.as_ref();
        let statement = statement
            .map(|text| text.chars().take(ACTIVITY_STATEMENT_CHARS_MAX).collect::<String>());
        let listed = state.transactions.iter().filter_map(|watched| {
            let progress = watched.progress.upgrade().filter(|progress| progress.begun())?;
            let owner = progress.owner();
            Some(TransactionRow {
                id: owner.map_or(watched.number, |owner| owner.0),
                owner,
                connection: self.id,
                started_unix_micros: watched.begun.unix_micros,
                asking_since_unix_ms: progress.asking_since_unix_ms(),
                read_ts: progress.read_ts(),
                rows_locked: progress.rows_locked(),
                rows_modified: progress.rows_modified(),
                isolation: watched.begun.isolation.name().replace('-', " "),
                read_only: watched.begun.read_only,
                autocommit: watched.begun.autocommit,
                statement: statement.clone(),
                held_up: progress.held_up(),
            })
        });
        listed.collect()
    }
}

impl Instance {
    /// What runs on this node, as it tells others.
    pub fn activity(&self, part: ActivityPart) -> NodeActivity {
        let (sessions, sessions_cut) = self.told_sessions();
        let told = NodeActivity { sessions, sessions_cut, ..NodeActivity::default() };
        if part == ActivityPart::Sessions {
            return told;
        }
        let entries: Vec<Arc<SessionEntry>> = self.sessions.lock().values().cloned().collect();
        let mut transactions: Vec<TransactionRow> = Vec::new();
        for entry in entries {
            transactions.extend(entry.transactions());
            if transactions.len() > ACTIVITY_ROWS_MAX {
                break;
            }
        }
        let transactions_cut = transactions.len() > ACTIVITY_ROWS_MAX;
        transactions.truncate(ACTIVITY_ROWS_MAX);
        let row_locks = self.config.cluster.row_locks();
        let locks = row_locks.map(|locks| locks.report(ACTIVITY_ROWS_MAX, ACTIVITY_BYTES_MAX));
        NodeActivity { transactions, transactions_cut, locks: locks.unwrap_or_default(), ..told }
    }
}

impl NodeActivity {
    fn is_cut(&self) -> bool {
        self.sessions_cut || self.transactions_cut || self.locks.cut
    }
}

/// What runs on all nodes, as one statement sees it.
pub(crate) struct Activity {
    /// Each node that answered.
    nodes: Vec<NodeActivity>,
    /// The sessions of transactions that have asked for locks.
    connections: BTreeMap<LockOwner, u32>,
    /// The nodes that answered.
    answered: BTreeSet<NodeId>,
    /// Who has table locks, or waits for them; none when only sessions were asked for.
    table_locks: Arc<TableLocks>,
    /// The tables that each prepared transaction has written; none when only sessions were asked for.
    prepared_tables: Vec<BTreeSet<TableId>>,
    /// In which people read times.
    time_zone: TimeZone,
    /// Wall clock of this node when the statement began, microseconds.
    pub(crate) now_unix_micros: u64,
}

impl Activity {
    /// Asks all nodes, and looks for prepared transactions; warns of those that do not answer.
    pub(crate) async fn gather(
        instance: &Instance,
        part: ActivityPart,
        ctx: &EvalContext,
    ) -> Activity {
        let mut answers = instance.config.cluster.activities(part).await;
        let sessions = instance.own_sessions();
        let own = NodeActivity { sessions, sessions_cut: false, ..instance.activity(part) };
        answers.push((instance.node(), Some(own)));
        answers.sort_by_key(|(node, _)| *node);
        let mut activity = Activity::of(answers, ctx);
        if part == ActivityPart::Sessions {
            // Sessions are listed while the meta shard does not answer, too.
            return activity;
        }
        let missing = |what: &str, why: &str| {
            ctx.warn(Error::incomplete_list(format!("{what} are missing here: {why}")));
        };
        match instance.catalog.table_locks().await {
            Ok(locks) => activity.table_locks = locks,
            Err(error) => missing("table locks", &error.message),
        }
        let of_prepared = "prepared XA transactions and their locks";
        match timeout(ACTIVITY_WAIT_MAX, list_prepared(&instance.config.client)).await {
            Ok(Ok(list)) => return activity.with_prepared(list, ctx),
            Ok(Err(error)) => missing(of_prepared, &error.message),
            Err(_) => missing(of_prepared, "the meta shard does not answer"),
        }
        activity
    }

    /// What these nodes answered.
    pub(crate) fn of(answers: Vec<(NodeId, Option<NodeActivity>)>, ctx: &EvalContext) -> Activity {
        let mut nodes = Vec::with_capacity(answers.len());
        let mut answered = BTreeSet::new();
        for (node, answer) in answers {
            match answer {
                Some(activity) => {
                    answered.insert(node);
                    if activity.is_cut() {
                        ctx.warn(Error::incomplete_list(format!(
                            "node {} has more sessions, row locks or transactions than the {ACTIVITY_ROWS_MAX} \
                             that are listed; of locks, those that somebody waits for are listed first",
                            node.0
                        )));
                    }
                    nodes.push(activity);
                }
                None => ctx.warn(Error::incomplete_list(format!(
                    "node {} does not answer: its sessions and transactions, and locks of shards that it leads, \
                     are missing here",
                    node.0
                ))),
            }
        }
        let transactions = nodes.iter().flat_map(|node| &node.transactions);
        let connections = transactions.filter_map(|row| Some((row.owner?, row.connection)));
        Activity {
            connections: connections.collect(),
            answered,
            table_locks: Arc::default(),
            prepared_tables: Vec::new(),
            time_zone: ctx.time_zone,
            now_unix_micros: ctx.clock.unix_micros(),
            nodes,
        }
    }

    /// The open transactions, the oldest first.
    pub(crate) fn transactions(&self) -> Vec<&TransactionRow> {
        let rows = self.nodes.iter().flat_map(|node| &node.transactions);
        let mut rows: Vec<&TransactionRow> = rows.collect();
        rows.sort_by_key(|row| (row.started_unix_micros, row.id));
        rows
    }

    /// Row locks of each node.
    pub(crate) fn locks(&self) -> impl Iterator<Item = &LockReport> {
        self.nodes.iter().map(|node| &node.locks)
    }

    /// What each owner waits for.
    pub(crate) fn waits(&self) -> BTreeMap<LockOwner, &WaitingLock> {
        let waits = self.locks().flat_map(|locks| &locks.waits);
        waits.map(|wait| (wait.owner, wait)).collect()
    }

    /// The last deadlock of the cluster.
    pub(crate) fn deadlock(&self) -> Option<&Deadlock> {
        let deadlocks = self.locks().filter_map(|locks| locks.deadlock.as_ref());
        deadlocks.max_by_key(|deadlock| deadlock.unix_ms)
    }

    /// The session of an owner, while its transaction is open and its node answers.
    pub(crate) fn connection_of(&self, owner: LockOwner) -> Option<u32> {
        self.connections.get(&owner).copied()
    }

    /// A wall clock's time as DATETIME in the session's time zone.
    pub(crate) fn moment(&self, unix_micros: u64) -> Value {
        let seconds = (unix_micros / 1_000_000) as i64;
        Value::DateTime(self.time_zone.from_unix_micros(seconds * 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(
        connection: u32,
        owner: Option<u64>,
        started_unix_micros: u64,
    ) -> TransactionRow {
        TransactionRow {
            id: owner.unwrap_or(READER),
            owner: owner.map(LockOwner),
            connection,
            started_unix_micros,
            asking_since_unix_ms: None,
            read_ts: None,
            rows_locked: 0,
            rows_modified: 0,
            isolation: "REPEATABLE READ".into(),
            read_only: false,
            autocommit: false,
            statement: None,
            held_up: None,
        }
    }

    #[test]
    fn nodes_that_do_not_answer_or_tell_only_a_part_leave_warnings() {
        let ctx = EvalContext::detached(0);
        let (first, second) = (transaction(1, Some(7), 20), transaction(2, None, 10));
        let whole = NodeActivity { transactions: vec![first], ..NodeActivity::default() };
        let cut = NodeActivity {
            transactions: vec![second],
            transactions_cut: true,
            ..NodeActivity::default()
        };
        let answers = vec![(NodeId(1), Some(whole)), (NodeId(2), None), (NodeId(3), Some(cut))];
        let activity = Activity::of(answers, &ctx);
        let connections: Vec<u32> =
            activity.transactions().iter().map(|row| row.connection).collect();
        assert_eq!(connections, [2, 1], "the oldest first");
        assert_eq!(activity.connection_of(LockOwner(7)), Some(1));
        let warnings = ctx.warnings.to_vec();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].message.starts_with("node 2 does not answer"));
        assert!(warnings[1].message.starts_with("node 3 has more"));
    }

    #[test]
    fn the_last_deadlock_of_all_nodes_counts() {
        let at = |unix_ms| {
            let deadlock = Deadlock { unix_ms, victim: LockOwner(unix_ms), waits: Vec::new() };
            let locks = LockReport { deadlock: Some(deadlock), ..LockReport::default() };
            Some(NodeActivity { locks, ..NodeActivity::default() })
        };
        let answers = vec![(NodeId(1), at(5)), (NodeId(2), at(9)), (NodeId(3), at(7))];
        let activity = Activity::of(answers, &EvalContext::detached(0));
        assert_eq!(activity.deadlock().map(|deadlock| deadlock.unix_ms), Some(9));
    }
}
