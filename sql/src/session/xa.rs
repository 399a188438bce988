//! XA: transactions that an outside manager prepares here and elsewhere, and then ends everywhere.
//!
//! ```text
//!                    XA END            XA PREPARE             XA COMMIT, from any session of any node
//! none ─XA START─> ACTIVE ─> IDLE ─────────────> prepared ──────────────────────────> committed
//!                    │  ▲      │ XA ROLLBACK,       └── XA ROLLBACK, the same ──────> rolled back
//!          a conflict│  └──────┤ XA COMMIT … ONE PHASE
//!                    ▼  RESUME └──> none
//!                  ACTIVE, lost ─XA END (1402, 1613, 1614)─> ROLLBACK ONLY ─XA ROLLBACK─> none
//! ```
//!
//! ACTIVE, IDLE and ROLLBACK ONLY are states of a session, and end with it. A prepared transaction is no session's any
//! more (MySQL's `xa_detach_on_prepare`): it is a record in the meta shard (`record`) and locks without an expiry. How it
//! is prepared and ended is in `phases`.
//!
//! Invariants:
//! 1. While a session is in an XA transaction that is not lost, its transaction is open.
//! 2. A name is in use by one session of this node (`reserved`) or one record; names of sessions of other nodes meet at
//!    XA PREPARE, where the second is rolled back. Its session does not end the first one by mistake: the next XA
//!    ROLLBACK of that name is its own.
//!
//! Not here: what locks and commits mean (`txn`), what plain statements do in an XA transaction (`transaction`).

mod listing;
mod phases;
mod record;
mod reserved;

pub use record::oldest_prepared;
pub(crate) use record::{ListedPrepared, PreparedList, list_prepared};
pub(crate) use reserved::ReservedXids;

use super::connection::Session;
use super::table_uses::EVERYTHING;
use super::{ColumnMeta, Outcome};
use crate::ast::{IsolationLevel, XaJoin, XaStatement, XaSuspend, Xid};
use crate::catalog::table_locks::Change;
use crate::collation::CollationId;
use crate::instance::TableWanted;
use crate::types::SqlType;
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::{TableId, Timestamp};
use phases::{Ending, Failure};
use record::{Decision, XaRecord};
use reserved::ReservedXid;
use std::collections::BTreeSet;
use std::sync::Arc;
use txn::ShardClient;

/// What MySQL calls the state of a session that is in no XA transaction.
const NON_EXISTING: &str = "NON-EXISTING";
/// Characters of XA RECOVER's `data`: two parts of 64 bytes as hexadecimal, and `0x`.
const DATA_CHARS: u32 = 258;

/// States of an XA transaction that a session is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// After XA START: statements run.
    Active,
    /// After XA END.
    Idle,
    /// After XA END of a transaction that was rolled back.
    RollbackOnly,
}

impl State {
    /// MySQL's name.
    fn name(self) -> &'static str {
        match self {
            State::Active => "ACTIVE",
            State::Idle => "IDLE",
            State::RollbackOnly => "ROLLBACK ONLY",
        }
    }
}

/// The XA transaction that a session is in.
pub(crate) struct XaBranch {
    /// Its name.
    xid: Xid,
    /// How far it is.
    state: State,
    /// What XA END is to say, once a conflict has rolled it back.
    lost: Option<Error>,
    /// Keeps the name from other sessions of this node.
    _reserved: ReservedXid,
}

impl XaBranch {
    /// The same transaction, rolled back because a statement met `error`.
    pub(super) fn lost_by(self, error: &Error) -> XaBranch {
        XaBranch { lost: Some(Error::xa_lost(error)), ..self }
    }

    /// 1399.
    pub(super) fn wrong_state(&self) -> Error {
        Error::xa_wrong_state(self.state.name())
    }

    /// Whether statements may run in it.
    pub(super) fn check_usable(&self) -> Result<()> {
        match (self.state, &self.lost) {
            (State::Active, None) => Ok(()),
            (State::Active, Some(lost)) => Err(lost.clone()),
            (State::Idle | State::RollbackOnly, _) => Err(self.wrong_state()),
        }
    }

    /// 1397 when it has another name.
    fn check_xid(&self, xid: &Xid) -> Result<()> {
        if self.xid == *xid { Ok(()) } else { Err(Error::xa_unknown()) }
    }
}

/// Whether a prepared transaction has written tables that LOCK TABLES or a schema change wants, or (for all tables) is being committed.
pub(super) async fn is_in_the_way(
    client: &Arc<dyn ShardClient>,
    wanted: &[TableWanted],
) -> Result<bool> {
    let records = record::list(client).await?;
    Ok(records.iter().any(|record| {
        wanted.iter().any(|wanted| match wanted.table {
            EVERYTHING => record.decision == Some(Decision::Commit),
            table => record.tables.contains(&table),
        })
    }))
}

/// The prepared transactions that have written a table, each told from others of its name.
pub(crate) async fn prepared_on(
    client: &Arc<dyn ShardClient>,
    table: TableId,
) -> Result<BTreeSet<Timestamp>> {
    let records = record::list(client).await?;
    let on_table = records.into_iter().filter(|record| record.tables.contains(&table));
    Ok(on_table.map(|record| record.id).collect())
}

impl Error {
    /// What the client is told of an XA transaction that was rolled back because of `cause`.
    fn xa_lost(cause: &Error) -> Error {
        if cause.code == Error::deadlock().code {
            Error::xa_deadlock()
        } else if cause.code == Error::lock_wait_timeout().code {
            Error::xa_timeout()
        } else if cause.code == Error::storage("").code {
            Error::xa_failed()
        } else {
            Error::xa_rolled_back()
        }
    }
}

impl Session {
    /// Runs an XA statement.
    pub(super) async fn xa(&mut self, statement: &XaStatement) -> Result<Outcome> {
        match statement {
            XaStatement::Start { xid, join } => self.xa_start(xid, *join).await?,
            XaStatement::End { xid, suspend } => self.xa_end(xid, *suspend)?,
            XaStatement::Prepare(xid) => self.xa_prepare(xid).await?,
            XaStatement::Commit { xid, one_phase } => self.xa_commit(xid, *one_phase).await?,
            XaStatement::Rollback(xid) => self.xa_rollback(xid).await?,
            XaStatement::Recover { convert_xid } => return self.xa_recover(*convert_xid).await,
            XaStatement::Show => return self.xa_show().await,
            XaStatement::LockWait => return self.xa_lockwait().await,
            XaStatement::Boost(token) => self.xa_boost(token).await?,
        }
        self.variables.set_row_count(0);
        Ok(Outcome::done())
    }

    async fn xa_start(&mut self, xid: &Xid, join: Option<XaJoin>) -> Result<()> {
        if let Some(branch) = &mut self.transaction.xa
            && branch.state == State::Idle
            && join == Some(XaJoin::Resume)
        {
            branch.check_xid(xid)?;
            branch.state = State::Active;
            return Ok(());
        }
        // As MySQL: nothing can be joined, and only what is idle be resumed.
        if join.is_some() {
            return Err(Error::xa_invalid());
        }
        self.transaction.check_no_xa()?;
        if self.transaction.is_open() || self.table_locks.tables_owner().is_some() {
            return Err(Error::xa_outside());
        }
        let reserved = self.instance.xids.reserve(xid).ok_or_else(Error::xa_duplicate)?;
        if record::exists(&self.instance.config.client, xid).await? {
            return Err(Error::xa_duplicate());
        }
        self.open_transaction(None, None);
        if let Some(open) = self.transaction.open() {
            // Its keys must fit into the record that XA PREPARE leaves.
            open.txn.lock().await.stay_in_memory();
        }
        let branch =
            XaBranch { xid: xid.clone(), state: State::Active, lost: None, _reserved: reserved };
        self.transaction.xa = Some(branch);
        self.transaction.refused = None;
        Ok(())
    }

    fn xa_end(&mut self, xid: &Xid, suspend: Option<XaSuspend>) -> Result<()> {
        // As MySQL: nothing can be suspended.
        if suspend.is_some() {
            return Err(Error::xa_invalid());
        }
        let branch = self.branch_in(State::Active)?;
        branch.check_xid(xid)?;
        match branch.lost.clone() {
            None => {
                branch.state = State::Idle;
                Ok(())
            }
            Some(lost) => {
                branch.state = State::RollbackOnly;
                Err(lost)
            }
        }
    }

    /// The XA transaction of this session; 1399 when it is not in this state.
    fn branch_in(&mut self, state: State) -> Result<&mut XaBranch> {
        let branch = self.transaction.xa.as_mut();
        let branch = branch.ok_or_else(|| Error::xa_wrong_state(NON_EXISTING))?;
        if branch.state == state { Ok(branch) } else { Err(branch.wrong_state()) }
    }

    async fn xa_prepare(&mut self, xid: &Xid) -> Result<()> {
        self.branch_in(State::Idle)?.check_xid(xid)?;
        if self
            .transaction
            .open()
            .is_some_and(|open| open.isolation == IsolationLevel::Serializable)
        {
            return Err(Error::not_supported(
                "XA PREPARE of a SERIALIZABLE transaction, because nobody could check at XA COMMIT what it has read: use \
                 REPEATABLE READ with FOR SHARE, or XA COMMIT ... ONE PHASE",
            ));
        }
        // The name stays reserved until the record stands. Whatever happens, the session is in no transaction any more.
        let _branch = self.transaction.xa.take();
        let open = self.transaction.take_open();
        self.transaction.discard();
        let open = open.ok_or_else(|| Error::internal("an XA transaction that is not open"))?;
        let entered = self.enter_commit(&open).await;
        let (client, clock) = (&self.instance.config.client, &self.instance.config.clock);
        let id = match entered {
            Ok(()) => client.timestamp().await.map_err(Error::from),
            Err(error) => Err(error),
        };
        let prepared = match id {
            Ok(id) => {
                let record = XaRecord {
                    xid: xid.clone(),
                    id,
                    decision: None,
                    tables: open.written.keys().copied().collect(),
                    node: self.instance.config.node,
                    connection: self.info.connection_id,
                    prepared_unix_ms: clock.unix_micros() / 1000,
                    transaction: None,
                };
                phases::prepare(client, &open.txn, record).await
            }
            Err(error) => Err(Failure::rolled_back(error)),
        };
        prepared.map_err(|failure| {
            if failure.is_duplicate() {
                self.transaction.refused = Some(xid.clone());
            }
            self.explained(failure)
        })
    }

    async fn xa_commit(&mut self, xid: &Xid, one_phase: bool) -> Result<()> {
        match &self.transaction.xa {
            Some(branch) if branch.xid == *xid => {
                if let Some(lost) = branch.lost.clone() {
                    self.transaction.discard();
                    return Err(lost);
                }
                if branch.state == State::Idle && one_phase {
                    return self.commit_one_phase().await;
                }
                Err(branch.wrong_state())
            }
            // As MySQL, a prepared transaction takes ONE PHASE as well.
            _ => self.commit_prepared(xid).await,
        }
    }

    /// XA COMMIT … ONE PHASE of this session's idle transaction.
    async fn commit_one_phase(&mut self) -> Result<()> {
        let _branch = self.transaction.xa.take();
        let committed = self.commit_open().await;
        self.transaction.discard();
        match committed {
            Err(error) if error.code == Error::outcome_unknown("").code => Err(error),
            Err(error) => Err(self.explained(Failure::rolled_back(error))),
            Ok(()) => Ok(()),
        }
    }

    async fn commit_prepared(&mut self, xid: &Xid) -> Result<()> {
        self.check_detached()?;
        if self.transaction.refused.as_ref() == Some(xid) {
            return Err(Error::xa_rolled_back());
        }
        let client = self.instance.config.client.clone();
        let record = record::find(&client, xid).await?.ok_or_else(Error::xa_unknown)?;
        self.enter_changes(Change::Commit).await?;
        if record.decision.is_none() {
            self.check_tables(&record.tables).await?;
        }
        match phases::settle(&client, xid, None, Decision::Commit).await {
            Ok(Some(Ending::Committed)) => Ok(()),
            Ok(Some(Ending::RolledBack)) => Err(Error::xa_rolled_back()),
            Ok(None) => Err(Error::xa_unknown()),
            Err(failure) => Err(self.explained(failure)),
        }
    }

    async fn xa_rollback(&mut self, xid: &Xid) -> Result<()> {
        match &self.transaction.xa {
            Some(branch) if branch.xid == *xid => match branch.state {
                State::Active => Err(branch.wrong_state()),
                State::Idle | State::RollbackOnly => {
                    self.transaction.discard();
                    Ok(())
                }
            },
            _ => self.roll_back_prepared(xid).await,
        }
    }

    async fn roll_back_prepared(&mut self, xid: &Xid) -> Result<()> {
        self.check_detached()?;
        if self.transaction.refused.take_if(|refused| *refused == *xid).is_some() {
            return Ok(());
        }
        let client = self.instance.config.client.clone();
        if !record::exists(&client, xid).await? {
            return Err(Error::xa_unknown());
        }
        // As in MySQL: the end of a prepared transaction is a change, whichever it is.
        self.enter_changes(Change::Commit).await?;
        match phases::settle(&client, xid, None, Decision::RollBack).await {
            Ok(Some(Ending::RolledBack)) => Ok(()),
            // Somebody has committed it: there is nothing of this name to roll back.
            Ok(Some(Ending::Committed) | None) => Err(Error::xa_unknown()),
            Err(failure) => Err(self.explained(failure)),
        }
    }

    /// 1399 while the session is in a transaction, XA or not: then it ends no prepared ones.
    fn check_detached(&self) -> Result<()> {
        self.transaction.check_no_xa()?;
        match self.transaction.is_open() {
            true => Err(Error::xa_wrong_state(NON_EXISTING)),
            false => Ok(()),
        }
    }

    /// The answer of a failure; its cause stands in SHOW WARNINGS.
    fn explained(&mut self, failure: Failure) -> Error {
        if let Some(cause) = failure.cause {
            self.context(Vec::new()).warn(cause);
        }
        failure.answer
    }

    async fn xa_recover(&mut self, convert_xid: bool) -> Result<Outcome> {
        let records = record::list(&self.instance.config.client).await?;
        let xids: Vec<Xid> = records.into_iter().map(|record| record.xid).collect();
        let form = match convert_xid {
            true => DataForm::Hexadecimal,
            false if xids.iter().all(|xid| std::str::from_utf8(&data_of(xid)).is_ok()) => {
                DataForm::Text
            }
            false => DataForm::Bytes,
        };
        let rows = xids.iter().map(|xid| recover_row(xid, form)).collect();
        let data = match form == DataForm::Bytes {
            true => SqlType::varbinary(DATA_CHARS),
            false => SqlType::varchar(DATA_CHARS, CollationId::DEFAULT),
        };
        let mut columns: Vec<ColumnMeta> = ["formatID", "gtrid_length", "bqual_length"]
            .into_iter()
            .map(|name| ColumnMeta::computed(name, SqlType::bigint_width(11)))
            .collect();
        columns.push(ColumnMeta::computed("data", data));
        self.variables.set_row_count(-1);
        Ok(Outcome::rows(columns, rows))
    }
}

/// How XA RECOVER shows names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DataForm {
    /// CONVERT XID.
    Hexadecimal,
    /// All of them are text.
    Text,
    /// Some are not.
    Bytes,
}

/// Both parts of a name.
fn data_of(xid: &Xid) -> Vec<u8> {
    [xid.gtrid.as_slice(), &xid.bqual].concat()
}

/// A line of XA RECOVER.
fn recover_row(xid: &Xid, form: DataForm) -> Row {
    let data = data_of(xid);
    let data = match form {
        DataForm::Hexadecimal => {
            let digits: String = data.iter().map(|byte| format!("{byte:02X}")).collect();
            Value::Text(format!("0x{digits}"))
        }
        DataForm::Text => Value::Text(String::from_utf8_lossy(&data).into_owned()),
        DataForm::Bytes => Value::Bytes(data),
    };
    vec![
        Value::Int(i64::from(xid.format_id)),
        Value::Int(xid.gtrid.len() as i64),
        Value::Int(xid.bqual.len() as i64),
        data,
    ]
}
