//! One transaction that is larger than the memory for its writes, on real processes: it commits as a whole, others read
//! meanwhile, and no node grows with it.
//!
//! An ordinary run writes about 100 MB, `PRECINCT_SOAK` about 1.6 GB.

use chaos::cluster::Cluster;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

const PORT: u16 = 16_600;
/// Bytes of a row.
const ROW_BYTES: usize = 1000;
/// Rows of the table at first.
const ROWS: u64 = 25_000;
/// Rows that one statement inserts to begin with.
const BATCH: u64 = 500;
/// Copies of the table that the transaction adds.
const COPIES: u64 = 4;
/// The same in a soak.
const COPIES_SOAK: u64 = 64;
/// Most memory that a node may ever have had, bytes.
const MEMORY_MAX: u64 = 1 << 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_larger_than_memory_commits_as_a_whole() {
    let copies = match std::env::var_os("PRECINCT_SOAK") {
        Some(_) => COPIES_SOAK,
        None => COPIES,
    };
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(3, PORT)).await.unwrap();
    let mut conn = Conn::new(cluster.opts(1)).await.unwrap();
    let mut other = Conn::new(cluster.opts(2)).await.unwrap();
    conn.query_drop("CREATE DATABASE l").await.unwrap();
    let columns = "id BIGINT PRIMARY KEY, copy INT, text VARCHAR(2000)";
    conn.query_drop(format!("CREATE TABLE l.t ({columns})")).await.unwrap();
    let text = "x".repeat(ROW_BYTES);
    for first in (0..ROWS).step_by(BATCH as usize) {
        let rows: Vec<String> =
            (first..first + BATCH).map(|id| format!("({id}, 0, '{text}')")).collect();
        conn.query_drop(format!("INSERT INTO l.t VALUES {}", rows.join(","))).await.unwrap();
    }
    let count = "SELECT COUNT(*) FROM l.t";

    // Rolled back, it leaves nothing.
    conn.query_drop("BEGIN").await.unwrap();
    conn.query_drop(copy(1)).await.unwrap();
    conn.query_drop(copy(2)).await.unwrap();
    assert_eq!(conn.query_first::<u64, _>(count).await.unwrap(), Some(3 * ROWS));
    conn.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(conn.query_first::<u64, _>(count).await.unwrap(), Some(ROWS));

    conn.query_drop("BEGIN").await.unwrap();
    for number in 1..=copies {
        conn.query_drop(copy(number)).await.unwrap();
        assert_eq!(other.query_first::<u64, _>(count).await.unwrap(), Some(ROWS), "{number}");
    }
    let changed = "UPDATE l.t SET copy = copy + 1000 WHERE copy = 1";
    conn.query_drop(changed).await.unwrap();
    conn.query_drop("DELETE FROM l.t WHERE copy = 2").await.unwrap();
    let own: Vec<Row> = conn.query("SELECT copy, COUNT(*) FROM l.t GROUP BY copy").await.unwrap();
    assert_eq!(own.len() as u64, copies);
    conn.query_drop("COMMIT").await.unwrap();
    for conn in [&mut conn, &mut other] {
        let rows = conn.query_first::<u64, _>(count).await.unwrap();
        assert_eq!(rows, Some(copies * ROWS));
        let changed = "SELECT COUNT(*) FROM l.t WHERE copy = 1001";
        assert_eq!(conn.query_first::<u64, _>(changed).await.unwrap(), Some(ROWS));
    }
    for node in 1..=3 {
        let peak = peak_memory(cluster.pid(node));
        println!("node {node}: {} MiB at most", peak >> 20);
        assert!(peak < MEMORY_MAX, "node {node} has had {} MiB", peak >> 20);
    }
}

/// The statement that copies the first rows of the table.
fn copy(number: u64) -> String {
    let id = format!("id + {}", number * ROWS);
    format!("INSERT INTO l.t SELECT {id}, {number}, text FROM l.t WHERE copy = 0")
}

/// The most memory that a process has ever had, bytes.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    kib.expect("a number of KiB") << 10
}
