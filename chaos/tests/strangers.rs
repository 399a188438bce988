//! Two clusters of one name on one machine, and a node of the second on the address of a node of the first: the
//! first must not listen to it, the second must not be talked into anything, and both keep their rows.

use chaos::cluster::Cluster;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::runtime::Runtime;

const FIRST: u16 = 15_800;
const SECOND: u16 = 16_000;
/// How long the stranger is there: many rounds of talk between nodes, and several elections.
const VISIT: Duration = Duration::from_secs(6);
/// Statements that may fail in a row while leaders move.
const TRIES: usize = 400;

#[test]
fn a_node_of_another_cluster_of_the_same_name_changes_nothing() {
    let (first, second) = (Cluster::start(3, FIRST), Cluster::start(3, SECOND));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (cluster, rows) in [(&first, 0..20), (&second, 100..120)] {
        make_table(&runtime, cluster);
        rows.for_each(|row| insert(&runtime, cluster, 1, row));
    }
    first.kill(2);
    second.kill(2);
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let mut stranger = Command::new(std::env::var_os("PRECINCT_BIN").expect("PRECINCT_BIN"))
        .args(["start", "--cluster", "demo", "--data"])
        .arg(second.node_folder(2))
        .args(["--listen-sql", &listen(FIRST + 1), "--listen-http", &listen(FIRST + 21)])
        .args(["--listen-node", &listen(FIRST + 41)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    std::thread::sleep(VISIT);
    for (cluster, row) in [(&first, 20), (&second, 120)] {
        insert(&runtime, cluster, 1, row);
        insert(&runtime, cluster, 3, row + 1);
    }
    stranger.kill().expect("it is a process of this test");
    stranger.wait().expect("it ends");
    first.restart(2);
    second.restart(2);
    for (cluster, rows) in [(&first, 0..22), (&second, 100..122)] {
        for node in 1..=3 {
            insert(&runtime, cluster, node, 1000 + i64::from(node));
            let mut expected: Vec<i64> = rows.clone().collect();
            expected.extend(1001..=1000 + i64::from(node));
            assert_eq!(read(&runtime, cluster, node), expected, "node {node}\n{}", cluster.logs());
        }
    }
}

fn make_table(runtime: &Runtime, cluster: &Cluster) {
    runtime.block_on(async {
        let mut conn = Conn::new(cluster.opts(1)).await.expect("the node answers");
        for statement in ["CREATE DATABASE s", "CREATE TABLE s.rows (id BIGINT PRIMARY KEY)"] {
            conn.query_drop(statement).await.expect(statement);
        }
        conn.disconnect().await.expect("a clean goodbye");
    });
}

/// Inserts a row through a node, again when nobody led.
fn insert(runtime: &Runtime, cluster: &Cluster, node: u16, row: i64) {
    let mut why = String::new();
    for _ in 0..TRIES {
        let outcome = runtime.block_on(async {
            let mut conn = Conn::new(cluster.opts(node)).await?;
            conn.exec_drop("INSERT IGNORE INTO s.rows VALUES (?)", (row,)).await?;
            conn.disconnect().await
        });
        match outcome {
            Ok(()) => return,
            Err(error) => why = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("row {row} through node {node}: {why}\n{}", cluster.logs());
}

fn read(runtime: &Runtime, cluster: &Cluster, node: u16) -> Vec<i64> {
    let mut why = String::new();
    for _ in 0..TRIES {
        let outcome = runtime.block_on(async {
            let mut conn = Conn::new(cluster.opts(node)).await?;
            conn.query("SELECT id FROM s.rows ORDER BY id").await
        });
        match outcome {
            Ok(rows) => return rows,
            Err(error) => why = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("node {node}: {why}\n{}", cluster.logs());
}
