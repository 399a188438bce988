//! An entry that nobody wrote appears in one replica's engine, behind Raft's back: ADMIN CHECKSUM CLUSTER
//! finds it, names the replica and stops it, and the shard goes on.

use chaos::cluster::Cluster;
use engine::{EngineFactory, RocksFactory, RocksOptions, RocksShared, WriteBatch};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROWS: u64 = 1000;
/// The node whose replica is changed.
const NODE: u16 = 3;
/// A key above those of all tables.
const KEY: &[u8] = b"d\xff\xff\xff\xff behind Raft's back";
/// Times a comparison is repeated while the changed node's replica is still catching up.
const ATTEMPTS_MAX: usize = 20;

#[test]
fn a_changed_replica_is_found_named_and_stopped() {
    let cluster = Cluster::start(3, 15_400);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        cluster.fill(1, ROWS).await;
        let mut conn = Conn::new(cluster.opts(1)).await.expect("the first node answers");
        for (shard, verdict, replicas) in compare(&mut conn).await {
            assert_eq!(verdict, "equal", "shard {shard}: {replicas}");
        }
    });

    cluster.kill(NODE);
    let (shard, replica) = change_a_data_replica(&cluster.node_folder(NODE));
    cluster.restart(NODE);

    runtime.block_on(async {
        let mut conn = Conn::new(cluster.opts(1)).await.expect("the first node answers");
        let found = format!("different: replica {replica} told to stop");
        let (mut verdict, mut others) = (None, Vec::new());
        for _ in 0..ATTEMPTS_MAX {
            for (of, says, replicas) in compare(&mut conn).await {
                let unknown = says.starts_with("unknown");
                if of == shard && !unknown {
                    // The first that is known: afterwards the changed replica is silent.
                    verdict.get_or_insert(says);
                } else if of != shard {
                    assert!(says == "equal" || unknown, "shard {of}: {says}: {replicas}");
                    others.retain(|(known, _)| *known != of);
                    others.push((of, says));
                }
            }
            if verdict.is_some() && others.iter().all(|(_, says)| says == "equal") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(verdict, Some(found));
        // Leaders move when a node comes back; in the end each shard was compared.
        assert!(others.iter().all(|(_, says)| says == "equal"), "{others:?}");
        conn.query_drop("UPDATE t.rows_ SET n = n + 1").await.expect("a quorum is left");
        let sum: Option<(u64, u64)> =
            conn.query_first("SELECT COUNT(*), SUM(n) FROM t.rows_").await.expect("a sum");
        assert_eq!(sum, Some((ROWS, ROWS)));
        // Kept where it was, or set aside when its successor has come already.
        let kept = ["replicas", "set-aside"].iter().any(|place| {
            let name = format!("{place}/{shard}-{replica}/db");
            cluster.node_folder(NODE).join(name).is_dir()
        });
        assert!(kept, "the evidence is gone");
    });
}

/// Shard, verdict and what its replicas hold.
async fn compare(conn: &mut Conn) -> Vec<(u64, String, String)> {
    let rows: Vec<Row> = conn.query("ADMIN CHECKSUM CLUSTER").await.expect("a comparison");
    let text = |row: &Row, name: &str| row.get::<String, _>(name).expect("a text");
    let line = |row: &Row| {
        let shard = row.get::<u64, _>("Shard").expect("a shard");
        (shard, text(row, "Verdict"), text(row, "Replicas"))
    };
    rows.iter().map(line).collect()
}

/// Writes an entry into the engine of a data shard's replica; returns shard and replica.
fn change_a_data_replica(node: &Path) -> (u64, u64) {
    let replicas = std::fs::read_dir(node.join("replicas")).expect("replica folders");
    let mut folders: Vec<((u64, u64), PathBuf)> = replicas
        .map(|entry| {
            let path = entry.expect("a folder").path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let (shard, replica) = name.split_once('-').expect("<shard>-<replica>");
            ((shard.parse().expect("a shard"), replica.parse().expect("a replica")), path)
        })
        .filter(|((shard, _), _)| *shard != 0)
        .collect();
    folders.sort();
    let (key, folder) = folders.remove(0);
    let shared = RocksShared::new(RocksOptions::default()).expect("RocksDB");
    let engine = RocksFactory::new(shared).open(&folder).expect("the engine");
    let mut batch = WriteBatch::new();
    batch.put(KEY, "flipped");
    engine.write(batch).expect("a write");
    engine.flush().expect("a flush");
    key
}
