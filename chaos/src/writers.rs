//! Clients of a test that insert numbered rows until they are stopped, each with its ledger.
//!
//! ```text
//! prepare ─> start ─> (the test breaks things) ─> finish: every acknowledged row is there, no long silence
//! ```

use crate::ledger::Ledger;
use base::{Clock, SystemClock};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Longest time a client may go without an acknowledgement.
const OUTAGE_MAX: Duration = Duration::from_secs(10);
/// A client gives up on a statement after this and tries another node.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(6);
/// Longest wait for a connection.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(1);
/// Pause after a connection was refused.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Clients at work.
pub struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Ledger>>,
}

impl Writers {
    /// Makes the table that they write to, through this node.
    ///
    /// # Panics
    /// When the node refuses it.
    pub fn prepare(runtime: &Runtime, node: Opts) {
        runtime.block_on(async {
            let mut conn = Conn::new(node).await.expect("the node answers");
            for statement in [
                "CREATE DATABASE ledger",
                "CREATE TABLE ledger.writes (client INT NOT NULL, write_number BIGINT NOT NULL, \
                 note VARCHAR(40) NOT NULL, PRIMARY KEY (client, write_number), KEY note (note))",
            ] {
                conn.query_drop(statement).await.expect(statement);
            }
            conn.disconnect().await.expect("a clean goodbye");
        });
    }

    /// Starts so many clients; each goes to the next of the nodes when one fails it, and pauses after each row.
    pub fn start(runtime: &Runtime, clients: u64, nodes: &[Opts], pause: Duration) -> Writers {
        let (stop, clock) = (Arc::new(AtomicBool::new(false)), Arc::new(SystemClock::new()));
        let tasks = (0..clients).map(|client| {
            let writer = Writer {
                client,
                nodes: nodes.to_vec(),
                pause,
                clock: clock.clone(),
                stop: stop.clone(),
            };
            runtime.spawn(writer.run())
        });
        Writers { tasks: tasks.collect(), stop }
    }

    /// Stops them and compares what was acknowledged with what a node reads.
    ///
    /// # Panics
    /// When an acknowledged row is missing or a row is there that nobody sent; when a client had fewer
    /// acknowledgements than `at_least`, or none for ten seconds.
    pub fn finish(self, runtime: &Runtime, node: &Opts, at_least: usize) {
        self.stop.store(true, Ordering::Relaxed);
        for (client, task) in self.tasks.into_iter().enumerate() {
            let ledger = runtime.block_on(task).expect("a client does not panic");
            let found = runtime.block_on(rows_of(node.clone(), client as u64));
            let (acknowledged, gap) = (ledger.acknowledged_count(), ledger.longest_gap());
            println!(
                "client {client}: {acknowledged} acknowledged, {} found, {} errors, longest gap {gap:?}",
                found.len(),
                ledger.errors,
            );
            ledger.check(&found).unwrap_or_else(|why| panic!("client {client}: {why}"));
            assert!(acknowledged > at_least, "client {client} hardly got to work");
            assert!(gap <= OUTAGE_MAX, "client {client} had no acknowledgement for {gap:?}");
        }
    }
}

/// One client.
struct Writer {
    client: u64,
    nodes: Vec<Opts>,
    pause: Duration,
    clock: Arc<SystemClock>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    async fn run(self) -> Ledger {
        let mut ledger = Ledger::default();
        let mut node = self.client as usize;
        let mut conn: Option<Conn> = None;
        let mut write = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let mut connected = match conn.take() {
                Some(conn) => conn,
                None => {
                    node += 1;
                    let connect = Conn::new(self.nodes[node % self.nodes.len()].clone());
                    match tokio::time::timeout(CONNECT_WAIT_MAX, connect).await {
                        Ok(Ok(conn)) => conn,
                        _ => {
                            ledger.errors += 1;
                            tokio::time::sleep(CONNECT_PAUSE).await;
                            continue;
                        }
                    }
                }
            };
            write += 1;
            ledger.sent(write);
            let insert = connected.exec_drop(
                "INSERT INTO ledger.writes VALUES (?, ?, ?)",
                (self.client, write, format!("write {write} of client {}", self.client)),
            );
            match tokio::time::timeout(STATEMENT_WAIT_MAX, insert).await {
                Ok(Ok(())) => {
                    ledger.acknowledged(write, self.clock.monotonic());
                    conn = Some(connected);
                }
                // A refused or unanswered write counts as unknown; the client goes to another node.
                Ok(Err(_)) | Err(_) => ledger.errors += 1,
            }
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
        }
        ledger
    }
}

async fn rows_of(node: Opts, client: u64) -> BTreeSet<u64> {
    let mut conn = Conn::new(node).await.expect("the cluster answers afterwards");
    let rows: Vec<u64> = conn
        .exec("SELECT write_number FROM ledger.writes WHERE client = ?", (client,))
        .await
        .expect("reading the rows back");
    conn.disconnect().await.expect("a clean goodbye");
    rows.into_iter().collect()
}
