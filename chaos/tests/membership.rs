//! Nodes come and go while clients write: a node joins and another is decommissioned, a wiped replica is
//! rebuilt, a silent node is replaced, and a node without its disk is refused. No acknowledged row is lost.

use chaos::cluster::Cluster;
use chaos::writers::Writers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::runtime::Runtime;

const CLIENTS: u64 = 4;
/// Pause of a client after each row: the nodes have other work here.
const PAUSE: Duration = Duration::from_millis(5);
/// Acknowledgements that each client must have had, so that the test means something.
const WRITES_MIN: usize = 50;
/// Longest wait for the cluster to come to rest.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(90);

#[test]
fn a_node_joins_and_another_is_decommissioned_under_writes() {
    let mut cluster = Cluster::start(3, 15_400);
    let runtime = runtime();
    Writers::prepare(&runtime, cluster.opts(2));

    let (code, _, why) = cluster.precinct(2, &["node", "decommission", "1"]);
    assert_eq!(code, 4, "three nodes have no room: {why}");
    assert!(why.contains("no free node"), "{why}");

    // The newcomer is to be filled by the other one's leaving, not by itself.
    let (code, _, why) = cluster.precinct(2, &["rebalance", "pause"]);
    assert_eq!(code, 0, "{why}");
    cluster.add();
    let clients = writers(&runtime, &cluster, &[2, 3, 4]);
    std::thread::sleep(Duration::from_secs(1));
    let (code, plan, _) = cluster.precinct(2, &["node", "decommission", "1", "--dry-run"]);
    assert_eq!(code, 0);
    assert_eq!(plan.lines().count(), 10, "nine shards and a header:\n{plan}");
    let (code, out, progress) =
        cluster.precinct(2, &["node", "decommission", "1", "--wait", "--timeout", "90"]);
    assert_eq!(code, 0, "{out}\n{progress}\n{}", cluster.logs());
    assert!(out.contains("left"), "{out}");
    println!("decommission said:\n{progress}");

    let shards = runtime.block_on(settled(cluster.opts(2)));
    for (shard, replicas) in &shards {
        let nodes: BTreeSet<&str> = replicas.split(',').collect();
        assert_eq!(nodes, BTreeSet::from(["2", "3", "4"]), "shard {shard}");
    }
    // The node that left stops by itself, and does not come back under its number.
    let refused = (0..50).find_map(|_| {
        std::thread::sleep(Duration::from_millis(200));
        cluster.try_restart(1).err().filter(|why| why.contains("has left the cluster"))
    });
    assert!(refused.is_some(), "{}", cluster.logs());
    // The newcomer's votes count: without one of the others there is still a quorum.
    cluster.kill(2);
    std::thread::sleep(Duration::from_secs(3));
    cluster.restart(2);
    std::thread::sleep(Duration::from_secs(1));
    clients.finish(&runtime, &cluster.opts(4), WRITES_MIN);
}

#[test]
fn a_wiped_replica_is_rebuilt_under_a_new_id_and_a_wiped_node_is_refused() {
    let cluster = Cluster::start(3, 15_500);
    let runtime = runtime();
    Writers::prepare(&runtime, cluster.opts(1));
    let clients = writers(&runtime, &cluster, &[1, 2]);
    std::thread::sleep(Duration::from_secs(1));

    let replicas = cluster.node_folder(3).join("replicas");
    let folder_of_one = || {
        let entries = std::fs::read_dir(&replicas).expect("the replica folders").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("1-")).collect::<Vec<_>>()
    };
    let before = folder_of_one();
    cluster.kill(3);
    std::fs::remove_dir_all(replicas.join(&before[0])).expect("wiping one replica");
    cluster.restart(3);
    let waited = runtime.block_on(async {
        for _ in 0..300 {
            let after = folder_of_one();
            if after.len() == 1 && after != before && all_ok(cluster.opts(2)).await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        false
    });
    assert!(waited, "shard 1 was not rebuilt: {:?}\n{}", folder_of_one(), cluster.logs());
    // The rebuilt replica has a vote: without node 1 there is still a quorum.
    cluster.kill(1);
    std::thread::sleep(Duration::from_secs(3));
    cluster.restart(1);
    std::thread::sleep(Duration::from_secs(1));
    clients.finish(&runtime, &cluster.opts(3), WRITES_MIN);

    // A whole disk is another matter: under its number the node could give a vote it has given before.
    cluster.kill(3);
    let folder = cluster.node_folder(3);
    std::fs::remove_dir_all(&folder).expect("wiping the node");
    let refused = cluster.try_restart(3).expect_err("a wiped node must not come back as it was");
    assert!(refused.contains("must not vote under its old number"), "{refused}");
    assert!(!folder.join("replicas").exists(), "it made no replica");
}

#[test]
fn a_silent_node_is_replaced_and_keeps_nothing_that_it_had() {
    let mut cluster = Cluster::start_with(3, 15_600, &["--dead-after", "3"]);
    let runtime = runtime();
    Writers::prepare(&runtime, cluster.opts(1));
    cluster.add();
    let clients = writers(&runtime, &cluster, &[1, 2, 4]);
    std::thread::sleep(Duration::from_secs(1));
    cluster.kill(3);
    let replicas = cluster.node_folder(3).join("replicas");
    let folders = || -> BTreeSet<String> {
        let entries = std::fs::read_dir(&replicas).expect("the replica folders").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let before = folders();
    assert!(!before.is_empty(), "it holds replicas");
    let shards = runtime.block_on(async {
        for _ in 0..450 {
            let shards = shards(cluster.opts(1)).await;
            if shards.iter().all(|(_, replicas, _)| !replicas.split(',').any(|node| node == "3")) {
                return shards;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("node 3 was not replaced\n{}", cluster.logs());
    });
    assert!(shards.iter().all(|(_, replicas, _)| replicas.contains('4')), "{shards:?}");
    cluster.restart(3);
    // It gets its share again, under new ids.
    let gone = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(200));
        folders().is_disjoint(&before)
    });
    assert!(gone, "node 3 keeps replicas that are no longer its own\n{}", cluster.logs());
    clients.finish(&runtime, &cluster.opts(3), WRITES_MIN);
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Number, replicas and state of each shard.
async fn shards(node: Opts) -> Vec<(u64, String, String)> {
    let Ok(mut conn) = Conn::new(node).await else { return Vec::new() };
    let rows: Vec<Row> = conn.query("SHOW SHARDS").await.unwrap_or_default();
    let _ = conn.disconnect().await;
    let field = |row: &Row, name: &str| row.get::<String, _>(name).unwrap_or_default();
    let rows = rows.iter();
    rows.map(|row| {
        let shard = row.get::<u64, _>("Shard").unwrap_or_default();
        (shard, field(row, "Replicas"), field(row, "State"))
    })
    .collect()
}

async fn all_ok(node: Opts) -> bool {
    let shards = shards(node).await;
    !shards.is_empty() && shards.iter().all(|(_, _, state)| state == "ok")
}

/// Waits until every shard says `ok`; the replicas of each.
async fn settled(node: Opts) -> Vec<(u64, String)> {
    let pause = Duration::from_millis(200);
    for _ in 0..SETTLE_WAIT_MAX.as_millis() / pause.as_millis() {
        if all_ok(node.clone()).await {
            let shards = shards(node).await.into_iter();
            return shards.map(|(shard, replicas, _)| (shard, replicas)).collect();
        }
        tokio::time::sleep(pause).await;
    }
    panic!("the cluster did not come to rest: {:?}", shards(node).await);
}

/// Clients of these nodes.
fn writers(runtime: &Runtime, cluster: &Cluster, nodes: &[u16]) -> Writers {
    let nodes: Vec<Opts> = nodes.iter().map(|node| cluster.opts(*node)).collect();
    Writers::start(runtime, CLIENTS, &nodes, PAUSE)
}
