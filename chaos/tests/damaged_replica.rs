//! One replica of a node has a damaged engine: the node goes on with its other replicas, no query through any
//! node gets a wrong answer, and the replica is rebuilt while the damaged folder stays as evidence.

use chaos::cluster::Cluster;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROWS: u64 = 2000;
/// The node whose replica is damaged.
const NODE: u16 = 2;
/// Looks at the damaged shard until it is whole again.
const REBUILD_LOOKS: u32 = 120;
/// Pause between two looks.
const REBUILD_LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for a page.
const PAGE_WAIT_MAX: Duration = Duration::from_secs(10);

#[test]
fn a_node_goes_on_without_a_damaged_replica_and_it_is_rebuilt() {
    let cluster = Cluster::start(3, 15_200);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(cluster.fill(1, ROWS));

    cluster.kill(NODE);
    let damaged = damage_a_data_replica(&cluster.node_folder(NODE));
    cluster.restart(NODE);

    runtime.block_on(async {
        for node in 1..=cluster.nodes() {
            let mut conn = Conn::new(cluster.opts(node)).await.expect("the node answers");
            let sum: Option<(u64, u64)> =
                conn.query_first("SELECT COUNT(*), SUM(id) FROM t.rows_").await.expect("a sum");
            assert_eq!(sum, Some((ROWS, ROWS * (ROWS + 1) / 2)), "through node {node}");
            conn.query_drop("UPDATE t.rows_ SET n = n + 1").await.expect("a quorum is left");
        }
        let mut state = String::new();
        for _ in 0..REBUILD_LOOKS {
            state = shard_state(&cluster, damaged).await;
            if state.starts_with("ok; ") {
                break;
            }
            tokio::time::sleep(REBUILD_LOOK_PAUSE).await;
        }
        // The rest of the state names the folder that was set aside.
        assert!(state.starts_with("ok; "), "shard {damaged}: {state}\n{}", cluster.logs());
    });
    let health = page(cluster.http_port(NODE), "/healthz");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
}

async fn shard_state(cluster: &Cluster, shard: u64) -> String {
    let mut conn = Conn::new(cluster.opts(NODE)).await.expect("the node answers");
    let rows: Vec<Row> = conn.query("SHOW SHARDS").await.expect("shards");
    let row = rows
        .iter()
        .find(|row| row.get::<u64, _>("Shard") == Some(shard))
        .unwrap_or_else(|| panic!("shard {shard} is not in SHOW SHARDS"));
    row.get("State").expect("a state")
}

/// Overwrites the manifest of one data shard's engine; returns the shard.
fn damage_a_data_replica(node: &Path) -> u64 {
    let replicas = std::fs::read_dir(node.join("replicas")).expect("replica folders");
    let mut folders: Vec<(u64, PathBuf)> = replicas
        .map(|entry| {
            let path = entry.expect("a folder").path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let shard = name.split('-').next().and_then(|shard| shard.parse().ok());
            (shard.unwrap_or_else(|| panic!("{name} is no <shard>-<replica>")), path)
        })
        .filter(|(shard, _)| *shard != 0)
        .collect();
    folders.sort();
    let (shard, folder) = folders.remove(0);
    let files = std::fs::read_dir(folder.join("db")).expect("an engine");
    let manifest = files
        .map(|entry| entry.expect("a file").path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("MANIFEST"))
        .expect("a manifest");
    std::fs::write(&manifest, b"not a manifest").expect("writing the damage");
    shard
}

fn page(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the HTTP port answers");
    stream.set_read_timeout(Some(PAGE_WAIT_MAX)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a page");
    text
}
