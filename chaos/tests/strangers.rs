//! Two clusters of one name on one machine, and a node of the second on the address of a node of the first: the
//! first must not listen to it, the second must not be talked into anything, and both keep their rows.
//! And two processes on copies of one data folder: one of them must end, whichever is there first.

use chaos::cluster::Cluster;
use chaos::fault::kernel::{self, Signal};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::runtime::Runtime;

const FIRST: u16 = 15_800;
const SECOND: u16 = 16_000;
const COPIED: u16 = 16_200;
/// Ports of the process that runs on a copy.
const COPY: u16 = 16_300;
/// How long a process on a copy may run before it is told to end.
const NOTICED_MAX: Duration = Duration::from_secs(20);
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

#[test]
fn of_two_processes_on_copies_of_one_data_folder_one_ends() {
    let cluster = Cluster::start(3, COPIED);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    make_table(&runtime, &cluster);
    insert(&runtime, &cluster, 1, 1);
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let copy = scratch.path().join("copy");
    // A node in the middle of its work is copied, as a virtual machine's snapshot does it.
    cluster.kill(2);
    copy_folder(&cluster.node_folder(2), &copy);
    cluster.restart(2);
    insert(&runtime, &cluster, 2, 2);

    // The original runs: the copy ends before it takes part.
    let log = scratch.path().join("first.err");
    let why = ended(start_on(&copy, &log, &[]), &log);
    assert!(why.contains("another process runs as node 2"), "{why}");
    assert!(why.contains(&format!("127.0.0.1:{}", COPIED + 41)), "names where: {why}");

    // With the configuration of the original too, so that it asks and is asked at the original's address.
    let log = scratch.path().join("same.err");
    let same = format!("127.0.0.1:{}", COPIED + 41);
    let why = ended(start_on(&copy, &log, &["--advertise", &same]), &log);
    assert!(why.contains("another process runs as node 2"), "{why}");

    // The original hangs while the copy comes, and wakes up when the copy is known: the original ends.
    let pid = cluster.pid(2);
    kernel::signal(pid, Signal::Stop).expect("a process of this test");
    let log = scratch.path().join("hung.err");
    let mut copied = start_on(&copy, &log, &[]);
    answers_at(&runtime, COPY);
    std::thread::sleep(VISIT);
    kernel::signal(pid, Signal::Continue).expect("a process of this test");
    let looks = NOTICED_MAX.as_millis() / 100;
    let gone = (0..looks).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        cluster.try_pid(2).is_none()
    });
    assert!(gone, "the original runs beside its copy\n{}", cluster.logs());
    assert!(copied.try_wait().expect("a process of this test").is_none(), "the copy goes on");
    insert(&runtime, &cluster, 1, 5);
    copied.kill().expect("it is a process of this test");
    copied.wait().expect("it ends");

    // The original is down: the copy is node 2 at a new address, and the original is refused when it comes.
    let log = scratch.path().join("second.err");
    let mut moved = start_on(&copy, &log, &[]);
    insert(&runtime, &cluster, 1, 3);
    answers_at(&runtime, COPY);
    // Long enough that every node has learned the new address.
    std::thread::sleep(VISIT);
    let why = cluster.try_restart(2).expect_err("the copy runs");
    assert!(why.contains("another process runs as node 2"), "{why}\n{}", cluster.logs());
    insert(&runtime, &cluster, 3, 4);
    assert!(moved.try_wait().expect("a process of this test").is_none(), "the copy goes on");
    moved.kill().expect("it is a process of this test");
    moved.wait().expect("it ends");
    assert_eq!(read(&runtime, &cluster, 1), [1, 2, 3, 4, 5], "{}", cluster.logs());
}

/// Starts a process on a data folder, on ports of its own; what it says goes to `log`.
fn start_on(data: &Path, log: &Path, flags: &[&str]) -> Child {
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let log = std::fs::File::create(log).expect("a file");
    Command::new(std::env::var_os("PRECINCT_BIN").expect("PRECINCT_BIN"))
        .args(["start", "--cluster", "demo", "--data"])
        .arg(data)
        .args(["--listen-sql", &listen(COPY), "--listen-http", &listen(COPY + 20)])
        .args(["--listen-node", &listen(COPY + 40)])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("the binary runs")
}

/// Waits until a process ends by itself; answers what it said.
fn ended(mut process: Child, log: &Path) -> String {
    let looks = NOTICED_MAX.as_millis() / 100;
    for _ in 0..looks {
        if let Some(status) = process.try_wait().expect("a process of this test") {
            assert!(!status.success());
            return std::fs::read_to_string(log).expect("its words");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    process.kill().expect("a process of this test");
    panic!("it still runs after {NOTICED_MAX:?}: {}", std::fs::read_to_string(log).expect("words"));
}

/// Waits until SQL is answered on a port.
fn answers_at(runtime: &Runtime, port: u16) {
    let url = format!("mysql://root@127.0.0.1:{port}");
    for _ in 0..TRIES {
        let asked = async { Conn::from_url(&url).await?.query_drop("SELECT 1").await };
        if runtime.block_on(asked).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("nobody answers on port {port}");
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs");
    assert!(copied.success(), "cp -a {from:?} {to:?}");
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
