//! Transactions of one row at a fixed pace, and how long each took: what clients feel while shards are changed.
//!
//! ```text
//! connection 1  due ─> begin, read, write, commit ─> line         due ─> …
//! connection 2         due ─> …
//! connection 3                due ─> …
//! ```
//!
//! Each connection has a timetable. A transaction that begins late because the one before took long counts from when it was due:
//! else a shard that answers nobody for a second would look like one slow transaction. Each connection has rows of its own,
//! so that they never wait for each other.
//!
//! Ends at SIGTERM or after `--seconds`, then prints a JSON object per transaction:
//! `{"due_us": Unix microseconds, "took_us": until its answer, "error": code of the failure, 0 for none}`.
//! `bench/shards.py` starts it and makes figures of that.

use base::{Clock, Rng, SystemClock};
use clap::Parser;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest wait for a transaction; beyond it the connection is given up.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);
/// Code of "no answer in time, or the connection broke" (MySQL's CR_SERVER_LOST).
const CONNECTION_LOST: u16 = 2013;

/// Point transactions at a fixed pace, and how long each took.
#[derive(Debug, Parser)]
struct Args {
    /// Ports of the nodes, with commas; connections take them in turn
    #[arg(long, value_delimiter = ',', required = true)]
    ports: Vec<u16>,
    /// Database and table, with columns `id` (1 to `rows`) and `n`
    #[arg(long, default_value = "bench.points")]
    table: String,
    /// Rows of the table
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Connections, no more than rows
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..))]
    connections: u64,
    /// Transactions per second, over all connections
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// Longest run
    #[arg(long, default_value_t = 120)]
    seconds: u64,
}

/// What all connections share.
struct Plan {
    args: Args,
    clock: SystemClock,
    /// When the first transaction is due, monotonic.
    begin: Duration,
    /// The same, Unix microseconds.
    begin_unix_us: u64,
    /// No more transactions are begun.
    stop: AtomicBool,
}

/// What came of a transaction.
struct Line {
    /// When it was due, since the beginning.
    due: Duration,
    /// How long it took.
    took: Duration,
    /// Code of its failure, 0 for none.
    error: u16,
}

fn main() {
    let args = Args::parse();
    assert!(args.connections <= args.rows, "each connection needs a row of its own");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (plan, lines) = runtime.block_on(run(args));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for Line { due, took, error } in lines {
        let due_us = plan.begin_unix_us + due.as_micros() as u64;
        let took_us = took.as_micros();
        writeln!(out, "{{\"due_us\": {due_us}, \"took_us\": {took_us}, \"error\": {error}}}")
            .expect("somebody reads what is printed");
    }
    out.flush().expect("somebody reads what is printed");
}

/// All connections, until they are told to stop.
async fn run(args: Args) -> (Arc<Plan>, Vec<Line>) {
    let clock = SystemClock::new();
    let (begin, begin_unix_us) = (clock.monotonic(), clock.unix_micros());
    let seconds = Duration::from_secs(args.seconds);
    let stop = AtomicBool::new(false);
    let plan = Arc::new(Plan { args, clock, begin, begin_unix_us, stop });
    let clients: Vec<_> = (0..plan.args.connections)
        .map(|number| tokio::spawn(client(plan.clone(), number)))
        .collect();
    let terminate = tokio::signal::unix::SignalKind::terminate();
    let mut terminated = tokio::signal::unix::signal(terminate).expect("signals can be heard");
    // Either way it is over.
    let _ = tokio::time::timeout(seconds, terminated.recv()).await;
    plan.stop.store(true, Ordering::Relaxed);
    let mut lines = Vec::new();
    for client in clients {
        lines.append(&mut client.await.expect("a connection's task does not panic"));
    }
    lines.sort_by_key(|line| line.due);
    (plan, lines)
}

/// One connection's transactions.
async fn client(plan: Arc<Plan>, number: u64) -> Vec<Line> {
    let Args { connections, rate, .. } = plan.args;
    let mut rng = Rng::seeded(number);
    let mut conn = None;
    let mut lines = Vec::new();
    for turn in 0.. {
        let place = turn * connections + number;
        let due = Duration::from_micros(place.saturating_mul(1_000_000) / rate);
        let wait = (plan.begin + due).saturating_sub(plan.clock.monotonic());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if plan.stop.load(Ordering::Relaxed) {
            break;
        }
        let woken = plan.clock.monotonic() - plan.begin;
        // Timers are late by up to a millisecond; that is no wait for the database.
        let due = if wait.is_zero() { due } else { woken };
        let error = match answered(&plan, number, &mut conn, &mut rng).await {
            Ok(()) => 0,
            Err(code) => {
                conn = None;
                tokio::time::sleep(FAILURE_PAUSE).await;
                code
            }
        };
        let took = (plan.clock.monotonic() - plan.begin).saturating_sub(due);
        lines.push(Line { due, took, error });
    }
    lines
}

/// A transaction within its time; else the code of its failure.
async fn answered(
    plan: &Plan,
    number: u64,
    conn: &mut Option<Conn>,
    rng: &mut Rng,
) -> Result<(), u16> {
    let id = own_row(&plan.args, number, rng);
    match tokio::time::timeout(ANSWER_WAIT_MAX, transact(&plan.args, number, conn, id)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Error::Server(error))) => Err(error.code),
        Ok(Err(_)) | Err(_) => Err(CONNECTION_LOST),
    }
}

/// A row that no other connection touches.
fn own_row(args: &Args, number: u64, rng: &mut Rng) -> u64 {
    1 + number + rng.below(args.rows / args.connections) * args.connections
}

/// Reads a row and writes it, on a connection that is made when there is none.
async fn transact(
    args: &Args,
    number: u64,
    conn: &mut Option<Conn>,
    id: u64,
) -> mysql_async::Result<()> {
    let table = &args.table;
    let conn = match conn {
        Some(conn) => conn,
        None => {
            let port = args.ports[number as usize % args.ports.len()];
            let node = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port);
            conn.insert(Conn::new(node.user(Some("root"))).await?)
        }
    };
    conn.query_drop("BEGIN").await?;
    let select = format!("SELECT n FROM {table} WHERE id = ?");
    let _: Option<i64> = conn.exec_first(select, (id,)).await?;
    conn.exec_drop(format!("UPDATE {table} SET n = n + 1 WHERE id = ?"), (id,)).await?;
    conn.query_drop("COMMIT").await
}
