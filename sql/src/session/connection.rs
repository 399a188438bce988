//! `Session`: the calls a connection makes, one per protocol command.

use super::call::Programs;
use super::infile::Infile;
use super::prepared::{Prepared, PreparedStatements};
use super::replica_read::ReplicaHint;
use super::statement::parse_mode;
use super::table_gate::Blocked;
use super::table_locks::SessionLocks;
use super::transaction::SessionTransaction;
use super::user_locks::UserLocks;
use super::variables::SessionVariables;
use super::{ColumnMeta, OkResult, Outcome};
use crate::context::SqlMode;
use crate::instance::{Instance, SessionEntry};
use crate::lexer::raw::{self, InvalidLiteral, StatementText};
use crate::temporary::TemporaryTables;
use crate::value::Value;
use crate::{Error, Result, parser};
use base::{SlotFilter, TableId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the gateway knows of a client that has logged in.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Unique in the cluster; KILL names it.
    pub connection_id: u32,
    /// User of the account.
    pub user: String,
    /// Host of the client.
    pub host: String,
    /// Affected rows count matched rows instead of changed ones (CLIENT_FOUND_ROWS).
    pub found_rows: bool,
    /// `interactive_timeout` holds instead of `wait_timeout` (CLIENT_INTERACTIVE).
    pub interactive: bool,
}

/// What OK and EOF packets say about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// A transaction is open.
    pub in_transaction: bool,
    /// `autocommit` is on.
    pub autocommit: bool,
    /// Warnings of the last statement, at most 65,535.
    pub warnings: u16,
    /// sql_mode has NO_BACKSLASH_ESCAPES.
    pub no_backslash_escapes: bool,
}

/// One client's connection.
pub struct Session {
    /// What all sessions of the node share.
    pub(crate) instance: Arc<Instance>,
    /// What the login said.
    pub(crate) info: SessionInfo,
    /// This session's line in SHOW PROCESSLIST and the flags that KILL raises.
    pub(crate) entry: Arc<SessionEntry>,
    /// System and user variables, counters that functions read.
    pub(crate) variables: Arc<SessionVariables>,
    /// Default database.
    pub(crate) database: Option<Arc<str>>,
    /// The open transaction and how the next one begins.
    pub(crate) transaction: SessionTransaction,
    /// Statements prepared by either protocol.
    pub(crate) prepared: PreparedStatements,
    /// What the comment before the statement at hand says of followers.
    pub(crate) replica_hint: Option<ReplicaHint>,
    /// Warnings of the last statement that did not only show them.
    pub(crate) diagnostics: super::statement::Diagnostics,
    /// String literals of the command at hand that are no text: its statement is warned of them.
    pub(crate) invalid_literals: Vec<InvalidLiteral>,
    /// A LOAD DATA LOCAL whose data is under way.
    pub(crate) infile: Option<Box<Infile>>,
    /// GET_LOCK.
    pub(crate) user_locks: UserLocks,
    /// LASTVAL: the last value that this session took from each sequence.
    pub(crate) last_values: Mutex<BTreeMap<TableId, i64>>,
    /// LOCK TABLES.
    pub(crate) table_locks: SessionLocks,
    /// Slots that the statement at hand looks at; `None` for all.
    pub(crate) part: Option<SlotFilter>,
    /// CREATE TEMPORARY TABLE.
    pub(crate) temporary: Arc<TemporaryTables>,
    /// Stored programs that run.
    pub(crate) programs: Programs,
    /// What the statement at hand waits for, since it met a locked table.
    pub(crate) blocked: Mutex<Option<Blocked>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(
        instance: Arc<Instance>,
        info: SessionInfo,
        entry: Arc<SessionEntry>,
    ) -> Session {
        let variables = Arc::new(SessionVariables::new(&instance));
        Session {
            instance,
            info,
            entry,
            variables,
            database: None,
            transaction: SessionTransaction::default(),
            prepared: PreparedStatements::default(),
            replica_hint: None,
            diagnostics: Default::default(),
            invalid_literals: Vec::new(),
            infile: None,
            user_locks: UserLocks::default(),
            last_values: Mutex::default(),
            table_locks: SessionLocks::default(),
            part: None,
            temporary: Arc::default(),
            programs: Programs::default(),
            blocked: Mutex::default(),
        }
    }

    /// The bytes of a command as text, by the session's sql_mode. String literals may be no text, unless the client sends
    /// latin1: that would have been text.
    ///
    /// # Errors
    /// The bytes that are not text, from the first one on.
    pub fn statement_text<'a>(
        &self,
        bytes: &'a [u8],
    ) -> std::result::Result<StatementText<'a>, &'a [u8]> {
        let text = raw::statement_text(bytes, &parse_mode(self.variables.sql_mode()))?;
        match str::from_utf8(bytes) {
            Err(error) if !text.invalid.is_empty() && self.variables.is_client_latin1() => {
                Err(&bytes[error.valid_up_to()..])
            }
            _ => Ok(text),
        }
    }

    /// Bytes of the first statement of `sql`, its semicolon included.
    pub fn statement_length(&self, sql: &str) -> usize {
        parser::statement_length(sql, &parse_mode(self.variables.sql_mode()))
    }

    /// Where the second statement of `sql` starts, when there is one. Semicolons inside of a stored program's body end none.
    pub fn second_statement(&self, sql: &str) -> Option<usize> {
        let mode = parse_mode(self.variables.sql_mode());
        parser::rest_after(sql, parser::statement_length(sql, &mode), &mode)
    }

    /// String literals of the next command that are no text: its statement will be warned of them.
    pub fn set_invalid_literals(&mut self, literals: Vec<InvalidLiteral>) {
        self.invalid_literals = literals;
    }

    /// Executes the first statement of `sql`. The second part of the answer is the byte offset of the
    /// rest after `;`, when there is more than blanks and comments.
    pub async fn execute(&mut self, sql: &str) -> (Result<Outcome>, Option<usize>) {
        self.begin_command(Some(sql));
        let (result, rest) = self.execute_text(sql).await;
        (self.end_command(result), rest)
    }

    /// Prepares a statement of any kind for the binary protocol.
    pub async fn prepare(&mut self, sql: &str) -> Result<Prepared> {
        self.begin_command(Some(sql));
        let result = self.prepare_statement(sql).await;
        self.end_command(result)
    }

    /// Executes a prepared statement. 1243 when there is none of this id, 1210 for a wrong number of
    /// parameters.
    pub async fn execute_prepared(&mut self, id: u32, params: Vec<Value>) -> Result<Outcome> {
        self.begin_command(None);
        let result = self.execute_prepared_statement(id, params).await;
        self.end_command(result)
    }

    /// Forgets a prepared statement. An unknown id is no error.
    pub fn close_prepared(&mut self, id: u32) {
        self.prepared.close(id);
    }

    /// The next piece of the file that `Outcome::LocalInfile` asked for. After an error the rest of
    /// the file must still be read from the client, and thrown away.
    pub async fn infile_data(&mut self, chunk: &[u8]) -> Result<()> {
        let Some(mut infile) = self.infile.take() else {
            return Err(Error::internal("no LOAD DATA is under way"));
        };
        match self.load_chunk(&mut infile, chunk).await {
            Ok(()) => {
                self.infile = Some(infile);
                Ok(())
            }
            Err(error) => self.end_command(Err(error)),
        }
    }

    /// The file is complete: stores what is left and commits under autocommit.
    pub async fn infile_end(&mut self) -> Result<OkResult> {
        let Some(infile) = self.infile.take() else {
            return Err(Error::internal("no LOAD DATA is under way"));
        };
        let result = self.load_end(infile).await;
        self.end_command(result)
    }

    /// The client went away or broke off: nothing of the file is kept.
    pub async fn infile_abort(&mut self) {
        if let Some(infile) = self.infile.take() {
            self.load_abort(*infile).await;
            self.settle_uses();
        }
    }

    /// Makes a database the default one. 1049 when it does not exist.
    pub async fn use_database(&mut self, name: &str) -> Result<()> {
        let catalog = self.instance.catalog.current().await?;
        if !catalog.has_database(name) {
            return Err(Error::unknown_database(name));
        }
        self.database = Some(name.into());
        self.variables.set_database(Some(&catalog), Some(name));
        self.entry.state.lock().database = Some(name.to_string());
        Ok(())
    }

    /// The columns of a table whose names match a LIKE pattern (empty: all), with their defaults.
    pub async fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Vec<ColumnMeta>> {
        crate::show::field_list(self, table, wildcard).await
    }

    /// As after a new login: rolls back, forgets variables, prepared statements and counters. The
    /// default database stays.
    pub async fn reset(&mut self) {
        self.infile_abort().await;
        self.transaction.discard();
        self.settle_uses();
        self.drop_user_locks();
        self.release_all_tables().await;
        self.temporary.clear();
        self.prepared = PreparedStatements::default();
        self.diagnostics = Default::default();
        self.variables = Arc::new(SessionVariables::new(&self.instance));
        let catalog = self.instance.catalog.current().await.ok();
        self.variables.set_database(catalog.as_deref(), self.database.as_deref());
    }

    /// Another account goes on with this connection, which has been authenticated again.
    pub async fn change_user(
        &mut self,
        user: &str,
        host: &str,
        database: Option<&str>,
    ) -> Result<()> {
        self.database = None;
        self.reset().await;
        self.info.user = user.to_string();
        self.info.host = host.to_string();
        {
            let mut state = self.entry.state.lock();
            state.user = user.to_string();
            state.host = host.to_string();
            state.database = None;
        }
        match database {
            Some(name) if !name.is_empty() => self.use_database(name).await,
            _ => Ok(()),
        }
    }

    /// DROP DATABASE removed the default one.
    pub(crate) fn forget_database(&mut self) {
        self.database = None;
        self.variables.set_database(None, None);
        self.entry.state.lock().database = None;
    }

    /// What OK and EOF packets say now.
    pub fn status(&self) -> SessionStatus {
        SessionStatus {
            in_transaction: self.transaction.is_open(),
            autocommit: self.variables.autocommit(),
            warnings: self.diagnostics.count().min(u64::from(u16::MAX)) as u16,
            no_backslash_escapes: self.variables.sql_mode().contains(SqlMode::NO_BACKSLASH_ESCAPES),
        }
    }

    /// The line that COM_STATISTICS answers.
    pub fn statistics(&self) -> String {
        let instance = &self.instance;
        let uptime = instance.config.clock.monotonic().saturating_sub(instance.started).as_secs();
        let questions = instance.questions.load(Ordering::Relaxed);
        format!(
            "Uptime: {uptime}  Threads: {}  Questions: {questions}  Slow queries: 0  Opens: 0  \
             Flush tables: 0  Open tables: 0  Queries per second avg: {:.3}",
            instance.sessions.lock().len(),
            questions as f64 / uptime.max(1) as f64
        )
    }

    /// Name of the character set that the client sends, such as `utf8mb4`.
    pub fn client_charset(&self) -> String {
        self.variables.client_charset()
    }

    /// Takes the collation id of the handshake as the connection's. Ids whose collation is not built
    /// here stand for a near one (`collation`); only character sets that are UTF-8 or ASCII pass, 1115.
    pub fn set_client_collation(&mut self, id: u16) -> Result<()> {
        self.variables.set_client_collation(id)
    }

    /// Raise it to stop the statement that runs.
    pub fn cancel_handle(&self) -> Arc<AtomicBool> {
        self.entry.cancel.clone()
    }

    /// Whether KILL CONNECTION was called on this session: close it after the statement.
    pub fn is_killed(&self) -> bool {
        self.entry.killed.load(Ordering::Acquire)
    }

    /// Seconds without a statement after which the gateway should close the connection.
    pub fn idle_seconds_max(&self) -> u64 {
        let name = if self.info.interactive { "interactive_timeout" } else { "wait_timeout" };
        self.variables.number(name)
    }

    /// Ends the session: rolls back what is not prepared.
    pub async fn close(mut self) {
        self.infile_abort().await;
        self.transaction.discard();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.drop_user_locks();
        self.drop_table_locks();
        self.instance.session_ended(self.entry.id);
    }
}
