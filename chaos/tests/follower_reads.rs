//! Reads at followers while a client writes: every node answers them with its own and other nodes' followers, no row is older
//! than the lag that was allowed, rows that are changed together are seen together, and a shard without a leader still answers.

use base::{Clock, SystemClock};
use chaos::cluster::Cluster;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Rows that each write changes together: they lie on several shards.
const ROWS: u64 = 16;
/// Pause of the writer after each write.
const WRITE_PAUSE: Duration = Duration::from_millis(20);
/// How old a reader allows its rows to be, as the statement says it and as a time.
const LAG: (u64, Duration) = (3, Duration::from_secs(3));
/// What clocks and the time between a commit and its answer may add.
const MARGIN: Duration = Duration::from_millis(500);
/// Reads of each reader while all is well.
const READS: usize = 40;
/// Pause between two of them.
const READ_PAUSE: Duration = Duration::from_millis(25);
/// Attempts at a write or a read.
const TRIES_MAX: usize = 200;
/// The error of a read that no follower answers.
const NO_FOLLOWER: u16 = 9012;
/// Time in which followers must have answered without their leader, after a node is gone.
const OUTAGE: Duration = Duration::from_secs(3);

/// Numbers that were written, each with the time of its answer.
type Written = Arc<Mutex<Vec<(Duration, u64)>>>;

#[test]
fn followers_answer_and_nothing_is_older_than_allowed() {
    let cluster = Cluster::start(3, 17_500);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let clock = Arc::new(SystemClock::new());
    runtime.block_on(prepare(cluster.opts(1)));
    let (written, ends) = (Written::default(), Arc::new(AtomicBool::new(false)));
    let writer =
        runtime.spawn(write(cluster.opts(1), clock.clone(), written.clone(), ends.clone()));

    for node in 1..=3 {
        let before = answered(&runtime, cluster.opts(node));
        runtime.block_on(read_all(cluster.opts(node), clock.clone(), written.clone()));
        let after = answered(&runtime, cluster.opts(node));
        assert!(
            after >= before + READS as u64,
            "node {node}: followers answered {before} to {after}"
        );
    }
    runtime.block_on(in_transactions(cluster.opts(2)));
    ends.store(true, Ordering::Relaxed);
    runtime.block_on(writer).expect("the writer ends well");

    // Node 3 leads some shards. Its followers answer what they had, before and while others are elected.
    let mut conn = runtime.block_on(Conn::new(cluster.opts(1))).expect("node 1 answers");
    let read = format!("/*slave:60*/ SELECT COUNT(*), MIN(n), MAX(n) FROM t.f WHERE id < {ROWS}");
    let last = written.lock().expect("nobody panics").last().expect("something was written").1;
    std::thread::sleep(LAG.1);
    runtime.block_on(conn.query_drop(read.as_str())).expect("a read");
    std::thread::sleep(LAG.1);
    cluster.kill(3);
    let begin = clock.monotonic();
    while clock.monotonic() - begin < OUTAGE {
        let row: Option<(u64, u64, u64)> =
            runtime.block_on(conn.query_first(read.as_str())).expect("a read without a leader");
        assert_eq!(row, Some((ROWS, last, last)));
        std::thread::sleep(READ_PAUSE);
    }
}

async fn prepare(node: Opts) {
    let mut conn = Conn::new(node).await.expect("node 1 answers");
    conn.query_drop("CREATE DATABASE t").await.expect("a database");
    conn.query_drop("CREATE TABLE t.f (id INT PRIMARY KEY, n BIGINT)").await.expect("a table");
    let rows: Vec<String> = (0..ROWS).map(|id| format!("({id}, 0)")).collect();
    let insert = format!("INSERT INTO t.f VALUES {}", rows.join(","));
    conn.query_drop(insert).await.expect("its rows");
}

/// Changes all rows to the same number, again and again.
async fn write(node: Opts, clock: Arc<SystemClock>, written: Written, ends: Arc<AtomicBool>) {
    let mut conn = Conn::new(node).await.expect("node 1 answers");
    let mut number = 0;
    while !ends.load(Ordering::Relaxed) {
        number += 1;
        let update = format!("UPDATE t.f SET n = {number} WHERE id < {ROWS}");
        // Leaders may be moving. Writing the same number again does no harm.
        let mut tries = 0;
        while let Err(error) = conn.query_drop(update.as_str()).await {
            tries += 1;
            assert!(tries < TRIES_MAX, "a write: {error}");
            tokio::time::sleep(WRITE_PAUSE).await;
        }
        written.lock().expect("nobody panics").push((clock.monotonic(), number));
        tokio::time::sleep(WRITE_PAUSE).await;
    }
}

/// Reads all rows at followers only, and checks each time that they belong together and are young enough.
async fn read_all(node: Opts, clock: Arc<SystemClock>, written: Written) {
    let mut conn = Conn::new(node).await.expect("the node answers");
    let (lag_s, lag) = LAG;
    let read = format!(
        "/*slave:slaveonly,{lag_s}*/ SELECT COUNT(*), MIN(n), MAX(n) FROM t.f WHERE id < {ROWS}"
    );
    for _ in 0..READS {
        let oldest = clock.monotonic().saturating_sub(lag + MARGIN);
        let (count, least, most) = read_once(&mut conn, &read).await;
        assert_eq!((count, least), (ROWS, most), "rows of two moments");
        let needed = {
            let written = written.lock().expect("nobody panics");
            written.iter().rev().find(|(at, _)| *at <= oldest).map_or(0, |(_, number)| *number)
        };
        assert!(least >= needed, "{least} is older than {lag_s} s: {needed} was there by then");
        tokio::time::sleep(READ_PAUSE).await;
    }
    conn.query_drop("SET SESSION replica_read = 'follower_only', replica_read_max_lag = 1")
        .await
        .expect("the variables");
    let shown: Option<(String, u64)> = conn
        .query_first("SELECT @@replica_read, @@replica_read_max_lag")
        .await
        .expect("the variables");
    assert_eq!(shown, Some(("follower_only".to_string(), 1)));
}

/// Reads again while no follower answers: one may be slow to catch up, and says so then.
async fn read_once(conn: &mut Conn, read: &str) -> (u64, u64, u64) {
    let mut told = String::new();
    for _ in 0..TRIES_MAX {
        match conn.query_first(read).await {
            Ok(row) => return row.expect("an aggregate has a row"),
            Err(Error::Server(error)) if error.code == NO_FOLLOWER => told = error.message,
            Err(error) => panic!("a read at followers: {error}"),
        }
        tokio::time::sleep(READ_PAUSE).await;
    }
    panic!("no follower answers: {told}");
}

/// A transaction sees what it has written, whatever the comment says.
async fn in_transactions(node: Opts) {
    let mut conn = Conn::new(node).await.expect("node 2 answers");
    for statement in ["BEGIN", "INSERT INTO t.f VALUES (1000, 7)"] {
        conn.query_drop(statement).await.expect(statement);
    }
    let row: Option<u64> = conn
        .query_first("/*slave*/ SELECT n FROM t.f WHERE id = 1000")
        .await
        .expect("a read in a transaction");
    assert_eq!(row, Some(7));
    conn.query_drop("ROLLBACK").await.expect("a rollback");
    let refused = conn.query_drop("/*slave*/ DELETE FROM t.f").await;
    assert!(
        matches!(&refused, Err(Error::Server(error)) if error.code == 1235),
        "a change at a follower: {refused:?}"
    );
}

/// How many reads of a node's sessions followers have answered.
fn answered(runtime: &Runtime, node: Opts) -> u64 {
    runtime.block_on(async {
        let mut conn = Conn::new(node).await.expect("the node answers");
        let row: Option<(String, u64)> =
            conn.query_first("SHOW STATUS LIKE 'Follower_reads'").await.expect("its status");
        row.expect("the counter").1
    })
}
