//! Prepared XA transactions among the open ones, and who waits for them.
//!
//! ```text
//!  record in the meta shard ─► a transaction without a session, and its replicated locks
//!  a session's transaction that is held up by such a lock ─► a wait, instead of the row lock that it got first
//! ```
//!
//! Their numbers are those of no lock owner: bit 62, and below it the start timestamp of their locks.
//!
//! Not here: how a transaction becomes prepared (`session::xa`).

use super::{Activity, NodeActivity, TransactionRow};
use crate::Error;
use crate::context::EvalContext;
use crate::session::xa::{ListedPrepared, PreparedList};
use base::limits::ACTIVITY_ROWS_MAX;
use base::{IndexId, TableId, Timestamp};
use bytes::Bytes;
use engine::key;
use std::collections::{BTreeMap, BTreeSet};
use txn::HeldUp;
use txn::command::{LockMode, LockOwner};
use txn::row_locks::{HeldLock, LockReport, WaitingLock};

/// In the number of a prepared transaction; nodes with owners that have it would be above 16,383.
const PREPARED: u64 = 1 << 62;

/// The number of a prepared transaction.
fn owner_of(start_ts: Timestamp) -> LockOwner {
    LockOwner(PREPARED | (start_ts.0 & (PREPARED - 1)))
}

impl Activity {
    /// The same with prepared transactions, and with the waits for them.
    pub(super) fn with_prepared(mut self, prepared: PreparedList, ctx: &EvalContext) -> Activity {
        if prepared.cut {
            ctx.warn(Error::incomplete_list(format!(
                "prepared XA transactions have locked more than the {ACTIVITY_ROWS_MAX} keys that are listed; XA \
                 RECOVER names all of them"
            )));
        }
        let starts: BTreeSet<Timestamp> =
            prepared.transactions.iter().map(|listed| listed.start_ts).collect();
        let locks = LockReport { waits: self.take_waits(&starts), ..LockReport::default() };
        let mut shown = NodeActivity { locks, ..NodeActivity::default() };
        for listed in prepared.transactions {
            shown.transactions.push(row(&listed));
            let (owner, mode) = (owner_of(listed.start_ts), LockMode::Exclusive);
            let keys = listed.keys.into_iter().chain(listed.kept);
            let held = keys.filter(|key| is_of_a_table(key));
            shown.locks.held.extend(held.map(|key| HeldLock { key, owner, mode }));
            self.prepared_tables.push(listed.tables);
        }
        self.nodes.push(shown);
        self
    }

    /// Who waits for transactions of these starts. Whoever does so has the row lock already, which is none to show.
    fn take_waits(&mut self, starts: &BTreeSet<Timestamp>) -> Vec<WaitingLock> {
        let mut waits: BTreeMap<(LockOwner, Bytes), (Timestamp, LockMode)> = BTreeMap::new();
        for row in self.nodes.iter().flat_map(|node| &node.transactions) {
            let (Some(owner), Some(HeldUp { key, by })) = (row.owner, &row.held_up) else {
                continue;
            };
            if starts.contains(by) {
                waits.insert((owner, key.clone()), (*by, LockMode::Exclusive));
            }
        }
        if waits.is_empty() {
            return Vec::new();
        }
        for node in &mut self.nodes {
            node.locks.held.retain(|lock| {
                let wait = waits.get_mut(&(lock.owner, lock.key.clone()));
                let is_shown = wait.is_none();
                if let Some((_, mode)) = wait {
                    *mode = lock.mode;
                }
                is_shown
            });
        }
        let waiting = |((owner, key), (by, mode)): ((LockOwner, Bytes), (Timestamp, LockMode))| {
            let blockers = vec![(owner_of(by), LockMode::Exclusive)];
            WaitingLock { key, owner, mode, blockers }
        };
        waits.into_iter().map(waiting).collect()
    }
}

impl Activity {
    /// The tables that each prepared transaction has written.
    pub(crate) fn prepared_tables(&self) -> &[BTreeSet<TableId>] {
        &self.prepared_tables
    }
}

/// A prepared transaction in the list.
fn row(listed: &ListedPrepared) -> TransactionRow {
    let owner = owner_of(listed.start_ts);
    let locked = listed.keys.iter().chain(&listed.kept).filter(|key| is_of_a_table(key)).count();
    let is_row = |key: &&Bytes| key::index_of_key(key).is_ok_and(|index| index == IndexId::PRIMARY);
    let modified = match listed.has_written {
        true => listed.keys.iter().filter(is_row).count(),
        false => 0,
    };
    TransactionRow {
        id: owner.0,
        owner: Some(owner),
        connection: 0,
        started_unix_micros: listed.prepared_unix_ms * 1000,
        asking_since_unix_ms: None,
        read_ts: None,
        rows_locked: locked as u64,
        rows_modified: modified as u64,
        // Nobody remembers it, and it matters no more: as InnoDB says of those it has found after a crash.
        isolation: "REPEATABLE READ".into(),
        read_only: false,
        autocommit: false,
        statement: None,
        held_up: None,
    }
}

/// Whether a key belongs to a table that people have made.
fn is_of_a_table(engine_key: &[u8]) -> bool {
    key::table_of_key(engine_key).is_ok_and(|table| table >= TableId::FIRST_USER)
}
