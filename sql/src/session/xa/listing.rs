//! XA SHOW, XA LOCKWAIT, XA BOOST: TDSQL's statements for whoever looks after transactions over several shards.
//!
//! ```text
//! XA SHOW                 open and prepared transactions of all nodes, the oldest first
//! XA LOCKWAIT             digraph G {
//!                           "session 12" -> "session 7";      12 waits for a row lock of 7
//!                         }
//! XA BOOST 't3-1a-19b…'   what gtid() has named is settled now; GTID_STATE() tells the outcome
//! ```
//!
//! The graph is in the language of Graphviz's dot. Its nodes are what KILL takes; a transaction that is no session's (a
//! prepared one) stands under its number, which is `trx_id` of INNODB_TRX.
//!
//! Not here: where the facts come from (`activity`), tokens (`token`).

use crate::activity::{Activity, ActivityPart};
use crate::collation::CollationId;
use crate::session::connection::Session;
use crate::session::token::Status;
use crate::session::{ColumnMeta, Outcome};
use crate::types::SqlType;
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::limits::ACTIVITY_STATEMENT_CHARS_MAX;
use std::collections::BTreeSet;
use txn::command::LockOwner;

impl Session {
    /// XA SHOW.
    pub(super) async fn xa_show(&mut self) -> Result<Outcome> {
        let ctx = self.context(Vec::new());
        let activity = Activity::gather(&self.instance, ActivityPart::All, &ctx).await;
        let waits = activity.waits();
        let rows = activity.transactions().into_iter().map(|row| -> Row {
            let waiting = row.owner.is_some_and(|owner| waits.contains_key(&owner));
            let state = match row.is_prepared() {
                true => "PREPARED",
                false if waiting || row.held_up.is_some() => "LOCK WAIT",
                false => "RUNNING",
            };
            vec![
                Value::UInt(row.id),
                match row.is_prepared() {
                    true => Value::Null,
                    false => Value::UInt(u64::from(row.connection)),
                },
                Value::Text(state.to_string()),
                activity.moment(row.started_unix_micros),
                Value::UInt(row.rows_locked),
                Value::UInt(row.rows_modified),
                row.statement.clone().map_or(Value::Null, Value::Text),
            ]
        });
        let rows = rows.collect();
        let number = || SqlType::bigint().unsigned();
        let text = |length| SqlType::varchar(length, CollationId::DEFAULT);
        let columns = vec![
            ColumnMeta::computed("transaction", number()),
            ColumnMeta::computed("session", number()),
            ColumnMeta::computed("state", text(10)),
            ColumnMeta::computed("started", SqlType::datetime(0)),
            ColumnMeta::computed("rows_locked", number()),
            ColumnMeta::computed("rows_modified", number()),
            ColumnMeta::computed("statement", text(ACTIVITY_STATEMENT_CHARS_MAX as u32)),
        ];
        self.variables.set_row_count(-1);
        Ok(Outcome::rows(columns, rows))
    }

    /// XA LOCKWAIT.
    pub(super) async fn xa_lockwait(&mut self) -> Result<Outcome> {
        let ctx = self.context(Vec::new());
        let activity = Activity::gather(&self.instance, ActivityPart::All, &ctx).await;
        let name = |owner: LockOwner| match activity.connection_of(owner) {
            None | Some(0) => format!("transaction {owner}"),
            Some(connection) => format!("session {connection}"),
        };
        let mut edges = BTreeSet::new();
        for wait in activity.locks().flat_map(|locks| &locks.waits) {
            for (blocker, _) in &wait.blockers {
                edges.insert(format!("  \"{}\" -> \"{}\";\n", name(wait.owner), name(*blocker)));
            }
        }
        let graph = format!("digraph G {{\n{}}}", edges.into_iter().collect::<String>());
        let column = ColumnMeta::computed("graph", SqlType::text(CollationId::DEFAULT));
        self.variables.set_row_count(-1);
        Ok(Outcome::rows(vec![column], vec![vec![Value::Text(graph)]]))
    }

    /// XA BOOST.
    ///
    /// # Errors
    /// Those of `Instance::transaction_status`.
    pub(super) async fn xa_boost(&mut self, token: &str) -> Result<()> {
        let ctx = self.context(Vec::new());
        let instance = self.instance.clone();
        if instance.transaction_status(token, &ctx).await? == Status::Running {
            ctx.warn(Error::token_running(token));
        }
        Ok(())
    }
}
