//! Transactions of a session: what BEGIN, COMMIT, savepoints and autocommit mean.
//!
//! ```text
//! none ──BEGIN, or any statement with autocommit=0──> open ──COMMIT, ROLLBACK, DDL, conflict──> none
//! ```
//!
//! Dropping an open transaction is a rollback; its row locks go with it. A deadlock or conflict that a commit or a
//! statement meets ends the transaction with 1213, as InnoDB's deadlock does.
//!
//! A transaction that grew beyond memory has sent its writes to the shards (`txn`, large transactions). A statement of it
//! that fails, and ROLLBACK TO a savepoint from before, end the whole transaction with 9010.
//!
//! An XA transaction is an open transaction with a name (`xa`): BEGIN, COMMIT, ROLLBACK and what commits by itself are
//! refused in it, and a conflict is remembered until the client has heard of it.
//!
//! READ COMMITTED gives up the read point before each statement; REPEATABLE READ keeps the one of the
//! first read, or moves it (`locking`); SERIALIZABLE checks at the commit that all it has read is still so. A transaction
//! of the past (`past`) keeps its read point, whatever the level.
//!
//! Not here: autocommit statements, which bring a transaction of their own (`statement`).

use super::connection::Session;
use super::locking::WriteView;
use super::table_uses::TransactionUse;
use super::token::Gtid;
use super::xa::XaBranch;
use crate::activity::Begun;
use crate::ast::{AccessMode, Begin, Completion, IsolationLevel, Xid};
use crate::catalog::table_locks::Change;
use crate::catalog::{Catalog, TableDef};
use crate::temporary::UndoAtEnd;
use crate::value::Value;
use crate::{Error, Result};
use base::{TableId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use txn::Transaction;
use txn::transaction::{Mode, Savepoint};

/// A transaction that operators and statements share.
pub(crate) type SharedTransaction = Arc<tokio::sync::Mutex<Transaction>>;

/// The transaction side of a session.
#[derive(Default)]
pub(crate) struct SessionTransaction {
    /// The open transaction.
    open: Option<OpenTransaction>,
    /// SET TRANSACTION ISOLATION LEVEL for the next transaction only.
    pub(crate) next_isolation: Option<IsolationLevel>,
    /// SET TRANSACTION READ ONLY | READ WRITE for the next transaction only.
    pub(crate) next_read_only: Option<bool>,
    /// SET TRANSACTION READ ONLY AS OF TIMESTAMP: the next transaction, at its read point already.
    pub(crate) next_past: Option<Transaction>,
    /// The XA transaction that this session is in, from XA START to XA PREPARE, COMMIT or ROLLBACK.
    pub(super) xa: Option<XaBranch>,
    /// The name of the XA transaction that was rolled back here at XA PREPARE because one of another node has it: XA
    /// ROLLBACK and XA COMMIT of this session do not mean that one.
    pub(super) refused: Option<Xid>,
}

/// An open transaction.
pub(crate) struct OpenTransaction {
    /// Reads and buffered writes.
    pub(crate) txn: SharedTransaction,
    /// Its isolation level.
    pub(super) isolation: IsolationLevel,
    /// What its locking statements see.
    pub(crate) view: WriteView,
    /// Writes are refused with 1792.
    pub(crate) read_only: bool,
    /// Its read point, when it reads the past.
    pub(crate) past: Option<Timestamp>,
    /// Named savepoints, oldest first, and how many changes of temporary tables there were.
    savepoints: Vec<(String, Savepoint, usize)>,
    /// The catalog when it began, or an older one.
    pub(super) catalog: Arc<Catalog>,
    /// Tables it has written, as they were then.
    pub(super) written: BTreeMap<TableId, Arc<TableDef>>,
    /// Its token, once it has asked for one.
    pub(super) gtid: Option<Gtid>,
    /// Tables it has used: LOCK TABLES of others waits for its end.
    _uses: TransactionUse,
    /// What it has changed in temporary tables goes with it, unless that was kept before.
    _temporary: UndoAtEnd,
}

/// What COMMIT AND CHAIN hands on to the next transaction.
struct Characteristics {
    /// Its isolation level.
    isolation: IsolationLevel,
    /// Whether it writes nothing.
    read_only: bool,
    /// Its read point, when it reads the past.
    past: Option<Timestamp>,
}

impl SessionTransaction {
    /// Whether a transaction is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The open transaction.
    pub(crate) fn open(&self) -> Option<&OpenTransaction> {
        self.open.as_ref()
    }

    /// The open transaction, to be changed.
    pub(super) fn open_mut(&mut self) -> Option<&mut OpenTransaction> {
        self.open.as_mut()
    }

    /// Forgets the open transaction, XA or not: a rollback.
    pub(crate) fn discard(&mut self) {
        *self = SessionTransaction::default();
    }

    /// Takes the transaction that SET TRANSACTION READ ONLY AS OF TIMESTAMP has prepared; what else was said of it is used
    /// up too.
    pub(crate) fn take_next_past(&mut self) -> Option<Transaction> {
        let past = self.next_past.take()?;
        self.forget_next();
        Some(past)
    }

    /// Forgets what SET TRANSACTION has said of the next one.
    fn forget_next(&mut self) {
        self.next_isolation = None;
        self.next_read_only = None;
        self.next_past = None;
    }

    /// Rolls the open transaction back because a statement met `error`; an XA transaction still has to be ended.
    pub(crate) fn lose(&mut self, error: &Error) {
        let xa = self.xa.take();
        self.discard();
        self.xa = xa.map(|xa| xa.lost_by(error));
    }

    /// Takes the open transaction from the session.
    pub(super) fn take_open(&mut self) -> Option<OpenTransaction> {
        self.open.take()
    }

    /// 1399 when the session is in an XA transaction, whatever its state: only XA statements end that.
    pub(crate) fn check_no_xa(&self) -> Result<()> {
        self.xa.as_ref().map_or(Ok(()), |xa| Err(xa.wrong_state()))
    }

    /// 1399 when the session is in an XA transaction that no statement may use any more; 1402 and the like when it was
    /// rolled back.
    pub(crate) fn check_usable(&self) -> Result<()> {
        self.xa.as_ref().map_or(Ok(()), XaBranch::check_usable)
    }

    /// Remembers that the open transaction writes a table.
    pub(crate) fn wrote(&mut self, table: &Arc<TableDef>) {
        if let Some(open) = &mut self.open {
            open.written.entry(table.id).or_insert_with(|| table.clone());
        }
    }
}

impl Session {
    /// BEGIN: commits what is open and opens a transaction.
    pub(crate) async fn begin(&mut self, begin: &Begin, params: Vec<Value>) -> Result<()> {
        // A time that is refused leaves the open transaction alone.
        let past = match &begin.as_of {
            Some(point) => Some(self.past_at(point, params).await?),
            None => None,
        };
        self.commit_open().await?;
        self.release_tables().await;
        let read_only = match begin.access {
            Some(AccessMode::ReadOnly) => Some(true),
            Some(AccessMode::ReadWrite) => Some(false),
            None => None,
        };
        self.open_transaction(read_only, past);
        if begin.consistent_snapshot
            && let Some(open) = &self.transaction.open
            && matches!(
                open.isolation,
                IsolationLevel::RepeatableRead | IsolationLevel::Serializable
            )
        {
            let pinned = open.txn.lock().await.pin().await;
            if let Err(error) = pinned {
                self.transaction.open = None;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Opens a transaction: one of the past, when one is given or prepared and READ WRITE is not asked for.
    pub(super) fn open_transaction(&mut self, read_only: Option<bool>, past: Option<Transaction>) {
        let next_isolation = self.transaction.next_isolation.take();
        let next_read_only = self.transaction.next_read_only.take();
        let next_past = self.transaction.next_past.take();
        let past = past.or(next_past).filter(|_| read_only != Some(false));
        if let Some(txn) = past {
            self.transaction.open = Some(OpenTransaction {
                past: txn.read_ts(),
                txn: Arc::new(tokio::sync::Mutex::new(txn)),
                isolation: IsolationLevel::RepeatableRead,
                view: WriteView::Newest,
                read_only: true,
                savepoints: Vec::new(),
                catalog: self.instance.catalog.known(),
                written: BTreeMap::new(),
                gtid: None,
                _uses: TransactionUse::new(&self.entry.uses),
                _temporary: UndoAtEnd::new(&self.temporary),
            });
            return;
        }
        let isolation = next_isolation.unwrap_or_else(|| self.variables.isolation());
        let read_only = read_only.or(next_read_only).unwrap_or_else(|| self.variables.read_only());
        let txn = Transaction::begin(self.instance.config.client.clone(), Mode::Snapshot);
        let snapshot = self.variables.number("innodb_snapshot_isolation") != 0;
        let (txn, view) = match isolation {
            IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted => {
                (txn, WriteView::Fresh)
            }
            IsolationLevel::RepeatableRead if snapshot => {
                (txn.tracking_reads(), WriteView::Advance)
            }
            IsolationLevel::RepeatableRead => (txn, WriteView::Newest),
            IsolationLevel::Serializable => (txn.serializable(), WriteView::Advance),
        };
        let unix_micros = self.instance.config.clock.unix_micros();
        let begun = Begun { unix_micros, isolation, read_only, autocommit: false };
        let txn = txn.telling(self.entry.watch(begun));
        self.transaction.open = Some(OpenTransaction {
            txn: Arc::new(tokio::sync::Mutex::new(txn)),
            isolation,
            view,
            read_only,
            past: None,
            savepoints: Vec::new(),
            catalog: self.instance.catalog.known(),
            written: BTreeMap::new(),
            gtid: None,
            _uses: TransactionUse::new(&self.entry.uses),
            _temporary: UndoAtEnd::new(&self.temporary),
        });
    }

    /// A transaction of one statement, in the list of open ones.
    pub(crate) fn watched_alone(&self, txn: Transaction) -> Transaction {
        let unix_micros = self.instance.config.clock.unix_micros();
        let isolation = self.variables.isolation();
        let begun = Begun { unix_micros, isolation, read_only: false, autocommit: true };
        txn.telling(self.entry.watch(begun))
    }

    /// The transaction that the next statement runs in: the open one (opened now when autocommit is
    /// off), or `None` when the statement is to bring its own. Gives READ COMMITTED a new read point.
    pub(crate) async fn statement_transaction(&mut self) -> Result<Option<SharedTransaction>> {
        self.transaction.check_usable()?;
        if self.transaction.open.is_none() {
            if self.variables.autocommit() {
                return Ok(None);
            }
            self.open_transaction(None, None);
        }
        let Some(open) = &self.transaction.open else { return Ok(None) };
        if matches!(open.isolation, IsolationLevel::ReadCommitted | IsolationLevel::ReadUncommitted)
        {
            open.txn.lock().await.unpin();
        }
        Ok(Some(open.txn.clone()))
    }

    /// The same for a query, which may read no table at all: that is answered in every state of an XA transaction.
    pub(crate) async fn query_transaction(
        &mut self,
        reads_tables: bool,
    ) -> Result<Option<SharedTransaction>> {
        if !reads_tables && self.transaction.xa.is_some() {
            return Ok(self.transaction.open.as_ref().map(|open| open.txn.clone()));
        }
        self.statement_transaction().await
    }

    /// 1792 when the open (or next) transaction is read-only.
    pub(crate) fn check_writable(&self) -> Result<()> {
        let read_only = match &self.transaction.open {
            Some(open) => open.read_only,
            None => self.transaction.next_read_only.unwrap_or_else(|| self.variables.read_only()),
        };
        if read_only { Err(Error::read_only_transaction()) } else { Ok(()) }
    }

    /// Commits the open transaction, if there is one. 1399 in an XA transaction.
    pub(crate) async fn commit_open(&mut self) -> Result<()> {
        self.transaction.check_no_xa()?;
        let Some(open) = self.transaction.open.take() else { return Ok(()) };
        self.enter_commit(&open).await?;
        let mut txn = open.txn.lock().await;
        if let Some(gtid) = &open.gtid {
            gtid.mark(&mut txn)?;
        }
        let committed = txn.commit().await;
        self.entry.uses.leave();
        match committed {
            Ok(_) => {
                self.count_commit(txn.identity());
                self.temporary.keep();
                Ok(())
            }
            // The statement saw the key absent, so somebody else added it since: a conflict.
            Err(txn::Error::AlreadyExists { .. }) => Err(Error::deadlock()),
            Err(error) => {
                let (identity, token) =
                    (txn.identity().cloned(), open.gtid.as_ref().map(Gtid::token));
                Err(self.instance.commit_error(error, identity, token).await)
            }
        }
    }

    /// What comes before a transaction is committed or prepared: waits for FLUSH TABLES WITH READ LOCK when it changes
    /// something, then looks at the tables that its statements have written.
    pub(super) async fn enter_commit(&mut self, open: &OpenTransaction) -> Result<()> {
        if open.txn.lock().await.is_dirty() {
            self.enter_changes(Change::Commit).await?;
        }
        self.check_written(&open.written).await
    }

    /// What [`Session::check_tables`] checks; 1213 also when a table was renamed, or its indexes changed by more than one
    /// step, without the transaction that wrote it.
    pub(super) async fn check_written(
        &self,
        written: &BTreeMap<TableId, Arc<TableDef>>,
    ) -> Result<()> {
        self.check_tables(&written.keys().copied().collect()).await?;
        match written.values().all(|table| self.instance.catalog.may_commit(table)) {
            true => Ok(()),
            false => Err(Error::deadlock()),
        }
    }

    /// 1412 when a table that a transaction has written is not there any more; 1213 when it was locked without it.
    pub(super) async fn check_tables(&self, written: &BTreeSet<TableId>) -> Result<()> {
        if written.is_empty() {
            return Ok(());
        }
        // A table that was dropped or truncated since has another id: what was written under the old one would be
        // lost without a word.
        let catalog = self.instance.catalog.current().await?;
        if !written.iter().all(|id| catalog.table_by_id(*id).is_some()) {
            return Err(Error::table_changed());
        }
        self.check_forced(written.iter().copied()).await
    }

    /// COMMIT.
    pub(crate) async fn commit(&mut self, completion: &Completion) -> Result<()> {
        let characteristics = self.characteristics();
        self.commit_open().await?;
        self.complete(completion, characteristics).await
    }

    /// ROLLBACK.
    pub(crate) async fn rollback(&mut self, completion: &Completion) -> Result<()> {
        self.transaction.check_no_xa()?;
        let characteristics = self.characteristics();
        if let Some(open) = self.transaction.open.take() {
            open.txn.lock().await.release_locks().await;
        }
        self.complete(completion, characteristics).await
    }

    fn characteristics(&self) -> Option<Characteristics> {
        self.transaction.open.as_ref().map(|open| Characteristics {
            isolation: open.isolation,
            read_only: open.read_only,
            past: open.past,
        })
    }

    async fn complete(
        &mut self,
        completion: &Completion,
        characteristics: Option<Characteristics>,
    ) -> Result<()> {
        if completion.release == Some(true) {
            self.entry.killed.store(true, std::sync::atomic::Ordering::Release);
        }
        if completion.chain == Some(true) {
            // The next transaction has the characteristics of the one that ended.
            let past = match characteristics.as_ref().and_then(|ended| ended.past) {
                Some(ts) => Some(self.transaction_at(ts).await?),
                None => None,
            };
            self.transaction.next_isolation = characteristics.as_ref().map(|ended| ended.isolation);
            self.open_transaction(characteristics.map(|ended| ended.read_only), past);
        }
        Ok(())
    }

    /// SAVEPOINT. Outside of a transaction it does nothing, as in MySQL under autocommit.
    pub(crate) async fn savepoint(&mut self, name: &str) -> Result<()> {
        self.statement_transaction().await?;
        let mark = self.temporary.mark();
        let Some(open) = &mut self.transaction.open else { return Ok(()) };
        // A second savepoint of a name replaces the first; its undo stays until the outer one goes.
        open.savepoints.retain(|(other, ..)| !other.eq_ignore_ascii_case(name));
        let savepoint = open.txn.lock().await.savepoint();
        open.savepoints.push((name.to_string(), savepoint, mark));
        Ok(())
    }

    /// ROLLBACK TO SAVEPOINT.
    pub(crate) async fn rollback_to(&mut self, name: &str) -> Result<()> {
        let (open, at) = self.find_savepoint(name)?;
        open.savepoints.truncate(at + 1);
        let (_, savepoint, mark) = open.savepoints[at];
        let undone = open.txn.lock().await.rollback_and_unlock_to(savepoint).await;
        self.temporary.undo_to(mark);
        undone.map_err(|error| {
            let error = Error::from(error);
            self.transaction.lose(&error);
            error
        })
    }

    /// RELEASE SAVEPOINT.
    pub(crate) async fn release_savepoint(&mut self, name: &str) -> Result<()> {
        let (open, at) = self.find_savepoint(name)?;
        let savepoint = open.savepoints[at].1;
        open.savepoints.truncate(at);
        open.txn.lock().await.release(savepoint);
        Ok(())
    }

    fn find_savepoint(&mut self, name: &str) -> Result<(&mut OpenTransaction, usize)> {
        self.transaction.check_usable()?;
        let open = self.transaction.open.as_mut().ok_or_else(|| Error::no_savepoint(name))?;
        let at = open
            .savepoints
            .iter()
            .position(|(other, ..)| other.eq_ignore_ascii_case(name))
            .ok_or_else(|| Error::no_savepoint(name))?;
        Ok((open, at))
    }
}
