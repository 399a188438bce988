//! The tables that a session uses now: what LOCK TABLES of others waits for.
//!
//! ```text
//! statement enters t ──> its use ──┬─ end, in an open transaction ──> the transaction's use, until that ends
//!                                  ├─ end, with rows still to send ─> the result's use, until it is read or dropped
//!                                  └─ end otherwise ────────────────> none
//! ```
//!
//! A statement notes its use first and looks at the table locks then; whoever locks tables makes the lock known first and
//! looks at the uses then. So one of them sees the other.
//!
//! Changes also note [`EVERYTHING`], which FLUSH TABLES WITH READ LOCK waits for: statements that write, and commits, but
//! not transactions between their statements, which cannot commit meanwhile.
//!
//! Not here: the locks (`catalog::table_locks`), waiting (`table_gate`).

use crate::instance::TableWanted;
use base::TableId;
use parking_lot::Mutex;
use std::sync::Arc;

/// Stands for all tables. No table has this id.
pub(crate) const EVERYTHING: TableId = TableId(0);

/// Who uses a table: the statement at hand, the open transaction, or a result.
const STATEMENT: u64 = 0;
const TRANSACTION: u64 = 1;
const FIRST_RESULT: u64 = 2;

/// What a statement and its transaction have used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsedBefore {
    /// This table in this way.
    pub(crate) table: bool,
    /// The statement has changed something, or is being repeated after it has.
    pub(crate) changing: bool,
    /// The transaction has used something, so that others may wait for it.
    pub(crate) in_transaction: bool,
}

/// The uses of a session.
#[derive(Debug, Default)]
pub(crate) struct TableUses {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    list: Vec<Use>,
    /// Results so far.
    results: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Use {
    by: u64,
    table: TableId,
    write: bool,
    /// Version of the table's indexes under which it is used.
    version: u64,
}

impl State {
    fn note(&mut self, by: u64, table: TableId, write: bool, version: u64) {
        let noted = Use { by, table, write, version };
        if !self.list.contains(&noted) {
            self.list.push(noted);
        }
    }
}

impl TableUses {
    /// Notes a use by the statement at hand, whatever indexes the table has. What was used before it.
    pub(crate) fn enter(&self, table: TableId, write: bool) -> UsedBefore {
        self.enter_at(table, write, u64::MAX)
    }

    /// Notes a use by the statement at hand, under a version of the table's indexes. What was used before it.
    pub(crate) fn enter_at(&self, table: TableId, write: bool, version: u64) -> UsedBefore {
        let mut state = self.state.lock();
        let covers = |noted: &Use| {
            noted.by < FIRST_RESULT && noted.table == table && (noted.write || !write)
        };
        let known = state.list.iter().any(covers);
        let changing = state.list.iter().any(|noted| noted.by == STATEMENT && noted.write);
        let in_transaction = state.list.iter().any(|noted| noted.by == TRANSACTION);
        if write {
            state.note(STATEMENT, EVERYTHING, true, u64::MAX);
        }
        if !known {
            state.note(STATEMENT, table, write, version);
        }
        UsedBefore { table: known, changing, in_transaction }
    }

    /// The statement is over, and belongs to the open transaction.
    pub(crate) fn keep(&self) {
        let mut state = self.state.lock();
        if state.list.iter().all(|noted| noted.by != STATEMENT) {
            return;
        }
        let list = std::mem::take(&mut state.list);
        for noted in list {
            match (noted.by, noted.table) {
                (STATEMENT, EVERYTHING) => {}
                (STATEMENT, table) => {
                    state.note(TRANSACTION, table, noted.write, noted.version);
                }
                _ => state.list.push(noted),
            }
        }
    }

    /// The statement is over, or is to be run again.
    pub(crate) fn leave(&self) {
        self.forget(STATEMENT);
    }

    fn forget(&self, by: u64) {
        self.state.lock().list.retain(|noted| noted.by != by);
    }

    /// Hands the uses of the statement to its result, as long as that lives.
    pub(crate) fn hand_to_result(self: &Arc<Self>) -> ResultUse {
        let mut state = self.state.lock();
        let by = FIRST_RESULT + state.results;
        state.results += 1;
        for noted in state.list.iter_mut().filter(|noted| noted.by == STATEMENT) {
            noted.by = by;
        }
        ResultUse { uses: self.clone(), by }
    }

    /// Whether something here is in the way of who wants these tables.
    pub(crate) fn conflict(&self, wanted: &[TableWanted]) -> bool {
        let state = self.state.lock();
        let conflicts = |noted: &Use, wanted: &TableWanted| match wanted.table {
            EVERYTHING => noted.write && noted.by != TRANSACTION,
            table => {
                noted.table == table
                    && match wanted.older_than {
                        Some(version) => noted.version < version,
                        None => noted.write || wanted.write,
                    }
            }
        };
        state.list.iter().any(|noted| wanted.iter().any(|wanted| conflicts(noted, wanted)))
    }

    /// All uses, each once: tables, and whether they are written.
    pub(crate) fn list(&self) -> Vec<(TableId, bool)> {
        let state = self.state.lock();
        let mut list: Vec<_> = state.list.iter().map(|noted| (noted.table, noted.write)).collect();
        list.sort_unstable();
        list.dedup();
        list
    }

    /// What the transaction uses: tables, and whether it writes them.
    pub(crate) fn of_transaction(&self) -> Vec<(TableId, bool)> {
        let state = self.state.lock();
        let own = state.list.iter().filter(|noted| noted.by == TRANSACTION);
        own.map(|noted| (noted.table, noted.write)).collect()
    }
}

/// The uses of an open transaction; over when dropped.
#[derive(Debug)]
pub(crate) struct TransactionUse {
    uses: Arc<TableUses>,
}

impl TransactionUse {
    /// Of a transaction that begins.
    pub(crate) fn new(uses: &Arc<TableUses>) -> TransactionUse {
        TransactionUse { uses: uses.clone() }
    }
}

impl Drop for TransactionUse {
    fn drop(&mut self) {
        self.uses.forget(TRANSACTION);
    }
}

/// The uses of a result that is still read; over when dropped.
#[derive(Debug)]
pub(crate) struct ResultUse {
    uses: Arc<TableUses>,
    by: u64,
}

impl ResultUse {
    /// Called by whatever keeps it.
    pub(crate) fn stays(&self) {}
}

impl Drop for ResultUse {
    fn drop(&mut self) {
        self.uses.forget(self.by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TableId = TableId(1000);
    const U: TableId = TableId(1001);

    fn wants(uses: &TableUses, table: TableId, write: bool) -> bool {
        !uses.conflict(&[TableWanted { table, write, older_than: None }])
    }

    #[test]
    fn a_use_lasts_as_long_as_statement_transaction_and_result() {
        let uses = Arc::new(TableUses::default());
        assert!(!uses.enter(T, true).table);
        assert!(!wants(&uses, T, false) && wants(&uses, U, true));
        uses.leave();
        assert!(wants(&uses, T, true));

        let transaction = TransactionUse::new(&uses);
        uses.enter(T, true);
        uses.keep();
        uses.leave();
        assert_eq!(uses.of_transaction(), vec![(T, true)]);
        assert!(!wants(&uses, T, false));
        drop(transaction);
        assert!(wants(&uses, T, true));

        uses.enter(U, false);
        let result = uses.hand_to_result();
        uses.leave();
        assert!(wants(&uses, U, false) && !wants(&uses, U, true));
        drop(result);
        assert!(wants(&uses, U, true));
    }

    #[test]
    fn a_use_counts_for_the_version_of_its_first_statement() {
        let uses = TableUses::default();
        let older = |version| {
            uses.conflict(&[TableWanted { table: T, write: true, older_than: Some(version) }])
        };
        uses.enter_at(T, false, 3);
        uses.keep();
        uses.enter_at(T, false, 4);
        assert!(older(4) && !older(3));
        uses.enter_at(T, true, 5);
        uses.keep();
        assert!(older(4) && !older(3));
    }

    #[test]
    fn all_tables_are_used_by_changes_not_by_open_transactions() {
        let uses = Arc::new(TableUses::default());
        uses.enter(T, false);
        assert!(wants(&uses, EVERYTHING, false));
        uses.enter(T, true);
        assert!(!wants(&uses, EVERYTHING, false));
        uses.keep();
        assert!(wants(&uses, EVERYTHING, false));
        uses.enter(EVERYTHING, true);
        assert!(!wants(&uses, EVERYTHING, false));
    }

    #[test]
    fn a_table_is_known_by_the_stronger_use() {
        let uses = TableUses::default();
        assert!(!uses.enter(T, true).table);
        uses.keep();
        assert!(uses.enter(T, false).table && uses.enter(T, true).table);
        assert!(!uses.enter(U, false).table && !uses.enter(U, true).table);
    }

    #[test]
    fn a_statement_counts_from_its_first_write_a_transaction_from_its_first_use() {
        let uses = TableUses::default();
        assert!(!uses.enter(T, false).changing);
        assert!(!uses.enter(T, true).changing);
        let before = uses.enter(U, true);
        assert!(before.changing && !before.in_transaction);
        uses.leave();
        uses.enter(T, false);
        uses.keep();
        let before = uses.enter(U, true);
        assert!(!before.changing && before.in_transaction);
    }
}
