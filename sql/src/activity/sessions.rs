//! The sessions of all nodes: what each runs and waits for, which tables it uses, which table locks it has.
//!
//! A node tells others its sessions with statements that are cut; those of the node that asks are whole.
//!
//! Not here: who waits for a table lock before it has it (`catalog::table_locks`), transactions (`activity`).

use super::Activity;
use crate::catalog::table_locks::{LockHolder, TableLocks};
use crate::instance::{Instance, Process, SessionEntry};
use base::TableId;
use base::limits::{ACTIVITY_BYTES_MAX, ACTIVITY_ROWS_MAX, ACTIVITY_STATEMENT_CHARS_MAX};
use std::sync::Arc;
use txn::command::LockOwner;

/// Bytes that a session takes besides its texts, and each of its uses.
const FIXED_BYTES: usize = 64;
const USE_BYTES: usize = 8;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its line in the list of processes.
    pub process: Process,
    /// Owners of the table locks that it has.
    pub table_locks: Vec<LockOwner>,
    /// The tables that it uses now, and whether it writes them; 0 stands for any change at all.
    pub uses: Vec<(TableId, bool)>,
}

/// What a session waits for, as people read it in PROCESSLIST, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    entry: Arc<SessionEntry>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.entry.state.lock().waits = None;
    }
}

impl SessionEntry {
    /// Shows what the statement waits for.
    pub(crate) fn waits(self: &Arc<Self>, state: &'static str) -> Waiting {
        self.state.lock().waits = Some(state);
        Waiting { entry: self.clone() }
    }

    fn row(&self, process: Process) -> SessionRow {
        let table_locks = self.state.lock().table_locks.clone();
        SessionRow { process, table_locks, uses: self.uses.list() }
    }
}

impl SessionRow {
    /// How much it adds to a message.
    fn bytes(&self) -> usize {
        let process = &self.process;
        let database = process.database.as_ref().map_or(0, String::len);
        let statement = process.statement.as_ref().map_or(0, String::len);
        let texts = process.user.len() + process.host.len() + database + statement;
        FIXED_BYTES + texts + USE_BYTES * (self.uses.len() + self.table_locks.len())
    }
}

impl Instance {
    /// The sessions of this node, with whole statements.
    pub(super) fn own_sessions(&self) -> Vec<SessionRow> {
        let now = self.config.clock.monotonic();
        let entries: Vec<Arc<SessionEntry>> = self.sessions.lock().values().cloned().collect();
        entries.iter().map(|entry| entry.row(entry.process(now))).collect()
    }

    /// The same for other nodes: as many as a message takes, and whether there are more.
    pub(super) fn told_sessions(&self) -> (Vec<SessionRow>, bool) {
        let mut rows = self.own_sessions();
        for statement in rows.iter_mut().filter_map(|row| row.process.statement.as_mut()) {
            let mut ends = statement.char_indices().map(|(at, _)| at);
            if let Some(end) = ends.nth(ACTIVITY_STATEMENT_CHARS_MAX) {
                statement.truncate(end);
            }
        }
        let mut bytes = 0;
        let fitting = rows.iter().take(ACTIVITY_ROWS_MAX).take_while(|row| {
            bytes += row.bytes();
            bytes <= ACTIVITY_BYTES_MAX
        });
        let fitting = fitting.count();
        let cut = fitting < rows.len();
        rows.truncate(fitting);
        (rows, cut)
    }
}

impl Activity {
    /// All sessions, by their connection ids.
    pub(crate) fn sessions(&self) -> Vec<&SessionRow> {
        let mut rows: Vec<&SessionRow> =
            self.nodes.iter().flat_map(|node| &node.sessions).collect();
        rows.sort_by_key(|row| row.process.id);
        rows
    }

    /// Who has table locks, or waits for them. Only known when all was asked for.
    pub(crate) fn table_locks(&self) -> &TableLocks {
        &self.table_locks
    }

    /// Whether a session has what its record names. When its node does not answer: whether nobody is ahead of it.
    pub(crate) fn has_locked(&self, holder: &LockHolder) -> bool {
        if !self.answered.contains(&holder.owner.node()) {
            return self.table_locks.ahead_of(holder).is_none();
        }
        let mut owners =
            self.nodes.iter().flat_map(|node| &node.sessions).flat_map(|row| &row.table_locks);
        owners.any(|owner| *owner == holder.owner)
    }
}
