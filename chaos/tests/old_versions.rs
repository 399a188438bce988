//! Versions of rows that newer ones have replaced go after the retention, on all replicas alike, and not while a
//! transaction on any node reads them; nothing that can be read changes. A table with a longer retention of its own keeps them.

use chaos::cluster::Cluster;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::time::Duration;

const PORT: u16 = 16_500;
/// Rows of the table.
const ROWS: i64 = 40;
/// Times that each row is changed.
const CHANGES: i64 = 25;
/// The retention, seconds: the shortest there is.
const RETENTION: &str = "--retention=10";
/// Longer than the retention and a pause of the collector.
const HELD: Duration = Duration::from_secs(25);
/// Longest wait until all that may go has gone.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_versions_go_when_nobody_reads_them() {
    let cluster =
        tokio::task::spawn_blocking(|| Cluster::start_with(3, PORT, &[RETENTION])).await.unwrap();
    let mut conn = Conn::new(cluster.opts(1)).await.unwrap();
    conn.query_drop("CREATE DATABASE v").await.unwrap();
    conn.query_drop("CREATE TABLE v.t (id INT PRIMARY KEY, n INT, KEY (n))").await.unwrap();
    let kept = "CREATE TABLE v.kept (id INT PRIMARY KEY, n INT) RETENTION_SECONDS=3600";
    conn.query_drop(kept).await.unwrap();
    conn.query_drop("INSERT INTO v.kept VALUES (1, 0)").await.unwrap();
    for id in 0..ROWS {
        conn.exec_drop("INSERT INTO v.t VALUES (?, 0)", (id,)).await.unwrap();
    }
    let then: Option<String> = conn.query_first("SELECT CAST(NOW(3) AS CHAR)").await.unwrap();
    let then = then.unwrap();
    // What comes now is in a later millisecond.
    tokio::time::sleep(Duration::from_millis(10)).await;
    conn.query_drop("UPDATE v.kept SET n = 1").await.unwrap();
    let mut old = Conn::new(cluster.opts(2)).await.unwrap();
    old.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").await.unwrap();
    let sum = "SELECT CAST(SUM(n) AS SIGNED) FROM v.t";
    assert_eq!(old.query_first::<i64, _>(sum).await.unwrap(), Some(0));
    for _ in 0..CHANGES {
        conn.query_drop("UPDATE v.t SET n = n + 1").await.unwrap();
    }
    conn.query_drop("DELETE FROM v.t WHERE id % 2 = 1").await.unwrap();
    assert_eq!(old.query_first::<i64, _>(sum).await.unwrap(), Some(0), "within the retention");

    // Two passes later: the versions that the transaction on node 2 reads are there.
    tokio::time::sleep(HELD).await;
    assert_eq!(old.query_first::<i64, _>(sum).await.unwrap(), Some(0), "as long as it reads");
    let newer = (ROWS * CHANGES) as u64;
    let dropped = || -> u64 {
        (1..=3).map(|node| metric(&cluster, node, "precinct_gc_versions_dropped_total")).sum()
    };
    assert!(dropped() < newer, "{} versions dropped\n{}", dropped(), cluster.logs());
    old.query_drop("ROLLBACK").await.unwrap();

    // Row and index versions: all but the newest of each row that is left. An index entry dies with its tombstone.
    let looks = WAIT_MAX.as_millis() / 500;
    for _ in 0..looks {
        if dropped() >= newer {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(dropped() >= newer, "{} versions dropped\n{}", dropped(), cluster.logs());
    for conn in [&mut conn, &mut old] {
        assert_eq!(conn.query_first::<i64, _>(sum).await.unwrap(), Some(ROWS / 2 * CHANGES));
        let by_index = format!("SELECT COUNT(*) FROM v.t WHERE n = {CHANGES}");
        assert_eq!(conn.query_first::<i64, _>(by_index).await.unwrap(), Some(ROWS / 2));
    }
    let past =
        |table: &str| format!("SELECT n FROM v.{table} AS OF TIMESTAMP '{then}' WHERE id < 2");
    assert_eq!(conn.query_first::<i64, _>(past("kept")).await.unwrap(), Some(0), "kept for longer");
    let gone = conn.query_first::<i64, _>(past("t")).await.unwrap_err().to_string();
    assert!(gone.contains("9006"), "{gone}");
    // A replica may be a moment behind; what is not equal then is "unknown".
    let mut verdicts = Vec::new();
    for _ in 0..10 {
        let rows: Vec<mysql_async::Row> = conn.query("ADMIN CHECKSUM CLUSTER").await.unwrap();
        verdicts = rows.iter().filter_map(|row| row.get::<String, _>("Verdict")).collect();
        if verdicts.iter().all(|verdict| verdict == "equal") {
            break;
        }
    }
    assert!(!verdicts.is_empty());
    assert!(verdicts.iter().all(|verdict| verdict == "equal"), "{verdicts:?}");
}

/// The value of a counter on a node's metrics page.
fn metric(cluster: &Cluster, node: u16, name: &str) -> u64 {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", cluster.http_port(node)))
    else {
        return 0;
    };
    let request = "GET /metrics HTTP/1.0\r\nHost: node\r\n\r\n";
    let mut text = String::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_string(&mut text).is_err() {
        return 0;
    }
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or(0)
}
