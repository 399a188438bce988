//! The node that works on a schema job is killed, on real processes under load: while an index is added, while one is refused for
//! a duplicate, while a sharding key changes, before its cut-over and behind it, and while an index is dropped.
//!
//! ```text
//! holder at another node: BEGIN, SELECT ─────────────┐ keeps the job in its stage
//! node 1: CREATE INDEX … ─> stage ─> SIGKILL         │        restart
//! nodes 2, 3:                         taken over ─> COMMIT ─> … ─> done, or 1062
//! ```
//!
//! Nothing that was acknowledged is lost, rows and index entries fit each other, and duplicates are named. Every single step is
//! cut off in `sql/tests/index_job_kills`, without processes.

use chaos::cluster::Cluster;
use chaos::writers::Writers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use std::time::Duration;
use tokio::runtime::Runtime;

const PORT: u16 = 18_300;
const CLIENTS: u64 = 4;
/// Pause of a client after each row: the nodes have other work here.
const PAUSE: Duration = Duration::from_millis(10);
/// Acknowledgements that each client must have had, so that the test means something.
const WRITES_MIN: usize = 100;
/// Rows that are there from the beginning: several batches.
const ROWS: u64 = 3000;
/// The client in whose name they are written; nobody else writes those.
const FILLER: u64 = 1000;
/// Rows of a statement that inserts them.
const ROWS_AT_ONCE: u64 = 500;
/// Looks for a state that must come.
const LOOKS_MAX: usize = 600;
/// Pause between two of them.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The table that clients write to.
const WRITES: &str = "ledger.writes";

/// A job whose node is killed.
struct Round {
    table: &'static str,
    statement: &'static str,
    /// Stages in which it is held; in the last one the node is killed.
    stages: &'static [&'static str],
    /// What SHOW DDL JOBS says at the end: the state, and the error.
    ends: (&'static str, &'static str),
    /// What SHOW CREATE TABLE shows then, or not.
    mark: (&'static str, bool),
}

const ROUNDS: [Round; 4] = [
    Round {
        table: WRITES,
        statement: "CREATE INDEX by_number ON ledger.writes (write_number)",
        stages: &["delete only"],
        ends: ("done", ""),
        mark: ("KEY `by_number`", true),
    },
    Round {
        table: "ledger.pairs",
        statement: "CREATE UNIQUE INDEX by_half ON ledger.pairs (half)",
        stages: &["delete only", "write only"],
        ends: ("failed", "1062: Duplicate entry '77' for key 'pairs.by_half'"),
        mark: ("KEY `by_half`", false),
    },
    Round {
        table: WRITES,
        statement: "ALTER TABLE ledger.writes shardkey=client",
        stages: &["delete only", "write only", "dropping"],
        ends: ("done", ""),
        mark: ("shardkey=client", true),
    },
    Round {
        table: WRITES,
        statement: "DROP INDEX by_number ON ledger.writes",
        stages: &["dropping"],
        ends: ("done", ""),
        mark: ("KEY `by_number`", false),
    },
];

#[test]
fn a_job_whose_node_is_killed_is_ended_by_another_one() {
    let cluster = Cluster::start(3, PORT);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    Writers::prepare(&runtime, cluster.opts(1));
    runtime.block_on(fill(cluster.opts(1)));
    let nodes: Vec<Opts> = (1..=3).map(|node| cluster.opts(node)).collect();
    let writers = Writers::start(&runtime, CLIENTS, &nodes, PAUSE);
    for round in &ROUNDS {
        run(&runtime, &cluster, round);
    }
    writers.finish(&runtime, &cluster.opts(2), WRITES_MIN);
    for node in 1..=3 {
        let count = format!("SELECT COUNT(*) FROM {WRITES} WHERE client = {FILLER}");
        let rows: Vec<u64> = runtime.block_on(ask(cluster.opts(node), &count));
        assert_eq!(rows, [ROWS], "as node {node} reads it");
    }
}

/// Has node 1 begin a job, kills it, and waits until another node has ended what it began.
fn run(runtime: &Runtime, cluster: &Cluster, round: &Round) {
    let Round { table, statement, stages, ends, mark } = round;
    let before = runtime.block_on(newest(cluster.opts(2))).map_or(0, |job| job.id);
    let mut holder = runtime.block_on(hold(cluster.opts(2), table));
    let (asker, sql) = (cluster.opts(1), round.statement);
    // Its connection ends with the node; the job does not.
    let asked = runtime.spawn(async move {
        let mut conn = Conn::new(asker).await?;
        conn.query_drop(sql).await
    });
    for (position, stage) in stages.iter().enumerate() {
        until(runtime, cluster, &format!("{statement} is in stage {stage}"), |job| {
            job.id > before && job.stage == *stage
        });
        if position + 1 < stages.len() {
            let next = runtime.block_on(hold(cluster.opts(3), table));
            runtime.block_on(let_go(std::mem::replace(&mut holder, next)));
        }
    }
    cluster.kill(1);
    let outcome = runtime.block_on(asked).expect("it does not panic");
    assert!(outcome.is_err(), "{statement} was answered before its node was killed");
    until(runtime, cluster, &format!("{statement} is taken over"), |job| job.node != 1);
    runtime.block_on(let_go(holder));
    cluster.restart(1);
    let ended = until(runtime, cluster, &format!("{statement} ends"), |job| job.stage == "none");
    assert_eq!((ended.state.as_str(), ended.error.as_str()), *ends, "{statement}");

    let shown: Vec<(String, String)> =
        runtime.block_on(ask(cluster.opts(2), &format!("SHOW CREATE TABLE {table}")));
    let (words, is_there) = *mark;
    assert_eq!(shown[0].1.contains(words), is_there, "{statement}: {}", shown[0].1);
    let checked: Vec<(String, Option<String>, u64, u64)> =
        runtime.block_on(ask(cluster.opts(3), &format!("ADMIN CHECK TABLE {table}")));
    assert!(!checked.is_empty(), "{statement}");
    for (_, index, rows, entries) in checked {
        assert!(index.is_none() || rows == entries, "{statement}: {index:?}: {entries} of {rows}");
    }
}

/// A line of SHOW DDL JOBS.
#[derive(Debug)]
struct Job {
    id: u64,
    state: String,
    stage: String,
    node: u64,
    error: String,
}

/// The newest job as a node tells it; `None` when there is none, or it cannot say now.
async fn newest(node: Opts) -> Option<Job> {
    let mut conn = Conn::new(node).await.ok()?;
    let rows: Vec<Row> = conn.query("SHOW DDL JOBS LIMIT 1").await.ok()?;
    // What was read is good whether or not the goodbye is heard.
    let _ = conn.disconnect().await;
    let row = rows.first()?;
    let words = |name: &str| row.get::<Option<String>, _>(name).flatten().unwrap_or_default();
    let number = |name: &str| row.get::<u64, _>(name).unwrap_or_default();
    Some(Job {
        id: number("Job_id"),
        state: words("State"),
        stage: words("Stage"),
        node: number("Node"),
        error: words("Error"),
    })
}

/// Waits until the newest job is as wanted.
fn until(runtime: &Runtime, cluster: &Cluster, what: &str, is_so: impl Fn(&Job) -> bool) -> Job {
    let mut last = None;
    for _ in 0..LOOKS_MAX {
        last = runtime.block_on(newest(cluster.opts(2))).or(last);
        if let Some(job) = last.take_if(|job| is_so(job)) {
            return job;
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    panic!("not reached: {what}; last seen: {last:?}\n{}", cluster.logs());
}

/// A transaction that has used a table as it is now: the job does not go further than one step.
async fn hold(node: Opts, table: &str) -> Conn {
    let mut conn = Conn::new(node).await.expect("the node answers");
    conn.query_drop("BEGIN").await.expect("a transaction begins");
    let read = format!("SELECT COUNT(*) FROM {table}");
    let rows: Vec<u64> = conn.query(read).await.expect("it reads the table");
    assert_eq!(rows.len(), 1);
    conn
}

async fn let_go(mut conn: Conn) {
    conn.query_drop("COMMIT").await.expect("it has written nothing");
    conn.disconnect().await.expect("a clean goodbye");
}

/// The rows of a statement, which must be answered.
async fn ask<T: mysql_async::prelude::FromRow + Send + 'static>(node: Opts, sql: &str) -> Vec<T> {
    let mut conn = Conn::new(node).await.expect("the node answers");
    let rows = conn.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    conn.disconnect().await.expect("a clean goodbye");
    rows
}

/// Rows for the jobs to walk over, and a table with two that are equal.
async fn fill(node: Opts) {
    let mut conn = Conn::new(node).await.expect("the node answers");
    let pairs = "CREATE TABLE ledger.pairs (id INT PRIMARY KEY, half INT, KEY by_id (half, id))";
    conn.query_drop(pairs).await.expect(pairs);
    for first in (1..=ROWS).step_by(ROWS_AT_ONCE as usize) {
        let numbers = first..first + ROWS_AT_ONCE;
        let writes: Vec<String> =
            numbers.clone().map(|n| format!("({FILLER}, {n}, 'row {n}')")).collect();
        // Two of them are 77.
        let half = |n: u64| if n == 2999 { 77 } else { n };
        let pairs: Vec<String> = numbers.map(|n| format!("({n}, {})", half(n))).collect();
        for sql in [
            format!("INSERT INTO {WRITES} VALUES {}", writes.join(", ")),
            format!("INSERT INTO ledger.pairs VALUES {}", pairs.join(", ")),
        ] {
            conn.query_drop(sql).await.expect("rows are inserted");
        }
    }
    conn.disconnect().await.expect("a clean goodbye");
}
