//! A client's connection: goes to another node after trouble, bounds every wait, and tells what a failure
//! means.

use super::{Stop, Target};
use crate::history::{Failure, Op, Recorder};
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, OptsBuilder, Params};
use std::future::Future;
use std::time::Duration;

/// Makes the database of all workloads.
pub(super) const DATABASE: &str = "CREATE DATABASE IF NOT EXISTS chaos";
/// Code of "cannot connect" (MySQL's CR_CONN_HOST_ERROR).
const CANNOT_CONNECT: u16 = 2003;
/// Code of "connection lost during the query" (MySQL's CR_SERVER_LOST).
const CONNECTION_LOST: u16 = 2013;
/// Code of "no answer within the statement's wait".
const NO_ANSWER: u16 = 0;
/// Code of an operation that the client itself gave up before it changed anything (MySQL's code of a CHECK
/// that does not hold).
pub(super) const GAVE_UP: u16 = 3819;
/// MySQL's number of a table that does not exist.
pub(super) const NO_SUCH_TABLE: u16 = 1146;
/// How long a connection may take to come up.
const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// How long a client waits for a schema change: while a node does not answer, nobody knows for about 10 s whether it still
/// uses the table.
pub(super) const DEFINITION_WAIT: Duration = Duration::from_secs(20);
/// Lets a statement give up waiting for a row before its client gives up waiting for the statement.
const LOCK_WAIT: &str = "SET SESSION innodb_lock_wait_timeout = 4";
/// Pause after a failure, so that a dead cluster is not hammered.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);
/// Tries to reach a healthy cluster before and after a run.
const STEADY_TRIES: u32 = 20;
/// Pause between them.
const STEADY_PAUSE: Duration = Duration::from_millis(500);

/// Whether an error number means that the statement did nothing and never will.
///
/// A list of what is sure, from `sql/src/error.rs`: a number that is not in it counts as unknown, among
/// them 9002 (outcome unknown), 1030 (storage), 1815 (internal), 1317 (interrupted) and all of the client's.
pub fn certainly_not_executed(code: u16) -> bool {
    matches!(
        code,
        1213    // lost a write conflict: rolled back
        | 1205  // gave up waiting for a lock
        | 3572  // the lock was taken
        | 9001  // no leader or quorum found: nothing was executed
        | 1062  // duplicate key
        | 1021  // disk full: refused
        | 1040 | 1045 // refused to log in
        | 1046 | 1049 | NO_SUCH_TABLE | 1054 | 1412 // the names or their definitions do not fit
        | 1050 | 1051 // the table to make is there, the one to drop is not
        | 1064 | 1235 // not understood
        | 1792 // read-only
        | 2003 // never connected
    )
}

/// A failed operation: what was said, and whether it certainly did not happen.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) failure: Failure,
    pub(super) sure: bool,
}

impl Trouble {
    /// Of a statement that commits by itself, or of COMMIT.
    pub(super) fn committing(failure: Failure) -> Trouble {
        Trouble { sure: certainly_not_executed(failure.code), failure }
    }

    /// Of a statement that changes nothing by itself: a read, or a step of a transaction whose COMMIT was
    /// not sent.
    pub(super) fn before_commit(failure: Failure) -> Trouble {
        Trouble { failure, sure: true }
    }
}

/// One connection that heals itself.
pub(super) struct Client<'a> {
    target: &'a Target,
    /// Node of the present or next connection.
    node: usize,
    conn: Option<Conn>,
    /// When the next operation may start.
    next: Duration,
}

impl<'a> Client<'a> {
    /// A client that starts at the node with this number, modulo the number of nodes.
    pub(super) fn new(target: &'a Target, node: u64) -> Client<'a> {
        let node = (node % target.nodes.len().max(1) as u64) as usize;
        Client { target, node, conn: None, next: target.clock.monotonic() }
    }

    /// Waits until the next operation may start; false when the workload is to stop.
    pub(super) async fn turn(&mut self, stop: &Stop) -> bool {
        let now = self.target.clock.monotonic();
        // A turn that comes late is not made up for.
        self.next = self.next.max(now);
        tokio::time::sleep(self.next - now).await;
        self.next += Duration::from_secs(1) / self.target.rate.max(1);
        !stop.is_set()
    }

    /// Runs a statement that returns rows.
    pub(super) async fn rows<R: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
        params: impl Into<Params> + Send,
    ) -> Result<Vec<R>, Failure> {
        let mut conn = self.connected().await?;
        let answer = bounded(self.target.statement_wait, conn.exec(sql, params.into())).await;
        self.keep(conn, answer)
    }

    /// Runs a statement that changes rows; how many it changed.
    pub(super) async fn change(
        &mut self,
        sql: &str,
        params: impl Into<Params> + Send,
    ) -> Result<u64, Failure> {
        let mut conn = self.connected().await?;
        let answer = bounded(self.target.statement_wait, conn.exec_drop(sql, params.into())).await;
        let changed = conn.affected_rows();
        self.keep(conn, answer.map(|()| changed))
    }

    /// Runs a statement without parameters or rows, by the text protocol.
    pub(super) async fn text(&mut self, sql: &str) -> Result<(), Failure> {
        let mut conn = self.connected().await?;
        let answer = bounded(self.target.statement_wait, conn.query_drop(sql)).await;
        self.keep(conn, answer)
    }

    /// Gives up the connection, and with it an open transaction.
    pub(super) fn forget(&mut self) {
        self.conn = None;
    }

    /// The same, and goes to the next node after a short pause.
    pub(super) async fn leave(&mut self) {
        self.conn = None;
        self.node = (self.node + 1) % self.target.nodes.len().max(1);
        tokio::time::sleep(FAILURE_PAUSE).await;
    }

    /// Writes down what came of an operation and gets ready for the next one.
    pub(super) async fn settle(
        &mut self,
        recorder: &Recorder,
        process: u64,
        called: &Op,
        answer: Result<Op, Trouble>,
    ) {
        match answer {
            Ok(answered) => recorder.ok(process, &answered),
            Err(trouble) => {
                let code = trouble.failure.code;
                if trouble.sure {
                    recorder.fail(process, called, trouble.failure);
                } else {
                    recorder.info(process, called, trouble.failure);
                }
                self.after(code).await;
            }
        }
    }

    /// After a failure: a connection that may be within a transaction is not used again, and a node that
    /// is not well is left.
    pub(super) async fn after(&mut self, code: u16) {
        match code {
            // The server has rolled back; the node is well.
            1213 => {}
            // The transaction may still be open; the node is well.
            1062 | 1205 | GAVE_UP => self.forget(),
            _ => self.leave().await,
        }
    }

    async fn connected(&mut self) -> Result<Conn, Failure> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        let Some(opts) = self.target.nodes.get(self.node) else {
            return Err(Failure { code: CANNOT_CONNECT, message: "the target has no node".into() });
        };
        // Whatever went wrong here, no statement was sent.
        let opts = OptsBuilder::from_opts(opts.clone()).init(vec![LOCK_WAIT]);
        bounded(CONNECT_WAIT, Conn::new(opts)).await.map_err(|failure| match failure.code {
            NO_ANSWER | CONNECTION_LOST => Failure { code: CANNOT_CONNECT, ..failure },
            _ => failure,
        })
    }

    fn keep<T>(&mut self, conn: Conn, answer: Result<T, Failure>) -> Result<T, Failure> {
        let broken = |failure: &Failure| matches!(failure.code, NO_ANSWER | CONNECTION_LOST);
        if !answer.as_ref().is_err_and(broken) {
            self.conn = Some(conn);
        }
        answer
    }
}

/// Makes tables on a healthy cluster; tries again while it says that nothing was executed.
pub(super) async fn prepare(target: &Target, statements: &[&str]) -> Result<(), Failure> {
    let target = Target { statement_wait: DEFINITION_WAIT, ..target.clone() };
    let mut client = Client::new(&target, 0);
    for statement in statements {
        // DROP and CREATE … IF NOT EXISTS may be done twice; CREATE TABLE is only repeated when it
        // certainly did nothing.
        let mut tries = 0;
        while let Err(failure) = client.text(statement).await {
            tries += 1;
            if tries == STEADY_TRIES || !certainly_not_executed(failure.code) {
                let message = format!("{statement}: {}", failure.message);
                return Err(Failure { message, ..failure });
            }
            client.leave().await;
            tokio::time::sleep(STEADY_PAUSE).await;
        }
    }
    Ok(())
}

/// A client of one node after a run: tries again until the node is well.
pub(super) struct Steady<'a> {
    client: Client<'a>,
}

impl<'a> Steady<'a> {
    /// A client that stays at this node.
    pub(super) fn new(target: &'a Target, node: usize) -> Steady<'a> {
        Steady { client: Client::new(target, node as u64) }
    }

    /// Rows of a statement that only reads.
    pub(super) async fn rows<R: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
        params: impl Into<Params> + Clone + Send,
    ) -> Result<Vec<R>, Failure> {
        let mut tries = 0;
        loop {
            match self.client.rows(sql, params.clone()).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => self.again(sql, failure, &mut tries).await?,
            }
        }
    }

    /// The same; `None` when a table is not there.
    pub(super) async fn rows_if_there<R: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
        params: impl Into<Params> + Clone + Send,
    ) -> Result<Option<Vec<R>>, Failure> {
        let mut tries = 0;
        loop {
            match self.client.rows(sql, params.clone()).await {
                Ok(rows) => return Ok(Some(rows)),
                Err(failure) if failure.code == NO_SUCH_TABLE => return Ok(None),
                Err(failure) => self.again(sql, failure, &mut tries).await?,
            }
        }
    }

    /// After a failure: waits before the next try. The failure itself when there were enough.
    async fn again(&mut self, sql: &str, failure: Failure, tries: &mut u32) -> Result<(), Failure> {
        *tries += 1;
        if *tries == STEADY_TRIES {
            let message = format!("{sql}: {}", failure.message);
            return Err(Failure { message, ..failure });
        }
        self.client.forget();
        tokio::time::sleep(STEADY_PAUSE).await;
        Ok(())
    }
}

async fn bounded<T>(
    wait: Duration,
    answer: impl Future<Output = mysql_async::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(wait, answer).await {
        Ok(answer) => answer.map_err(|error| match error {
            mysql_async::Error::Server(error) => {
                Failure { code: error.code, message: error.message }
            }
            other => Failure { code: CONNECTION_LOST, message: other.to_string() },
        }),
        Err(_) => Err(Failure { code: NO_ANSWER, message: format!("no answer within {wait:?}") }),
    }
}
