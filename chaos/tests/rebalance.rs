//! A node that joins fills itself while clients write: it ends with its share of replicas and of leaders. Paused,
//! nothing moves but by hand. No acknowledged row is lost.

use chaos::cluster::Cluster;
use chaos::writers::Writers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use std::time::Duration;
use tokio::runtime::Runtime;

const CLIENTS: u64 = 2;
/// Pause of a client after each row: the nodes have other work here.
const PAUSE: Duration = Duration::from_millis(5);
/// Acknowledgements that each client must have had, so that the test means something.
const WRITES_MIN: usize = 50;
/// Longest wait for nodes to become even: each of them takes part in one move at a time, and gives one leader away
/// every five seconds.
const EVEN_WAIT_MAX: Duration = Duration::from_secs(120);
/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Time in which a paused cluster would have begun something.
const PAUSED: Duration = Duration::from_secs(4);
/// Replicas in the cluster: the meta shard and eight others, three times each.
const REPLICAS: u64 = 27;
/// Shards.
const SHARDS: u64 = 9;

#[test]
fn a_node_that_joins_takes_its_share_under_writes() {
    let mut cluster = Cluster::start(3, 16_900);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    Writers::prepare(&runtime, cluster.opts(1));
    let nodes: Vec<Opts> = (1..=3).map(|node| cluster.opts(node)).collect();
    let clients = Writers::start(&runtime, CLIENTS, &nodes, PAUSE);
    cluster.add();
    become_even(&runtime, &cluster, 4);

    // Paused, the next newcomer stays empty.
    let paused = done(&cluster, &["rebalance", "pause"]);
    assert!(paused.contains("paused"), "{paused}");
    cluster.add();
    std::thread::sleep(PAUSED);
    let look = || runtime.block_on(shares(cluster.opts(1)));
    assert_eq!(look().last().copied(), Some((5, 0, 0)), "{}", cluster.logs());
    let plan = done(&cluster, &["rebalance", "explain"]);
    assert!(plan.contains("node 5 has 0 replicas"), "{plan}");
    let status = done(&cluster, &["rebalance", "status", "-o", "json"]);
    assert!(status.contains(r#""state":"paused""#), "{status}");

    // By hand it gets one, and only what can be.
    let (shard, from) = runtime.block_on(a_replica(cluster.opts(1)));
    let begun = done(&cluster, &["shard", "move", &shard, "--from", &from, "--to", "5"]);
    assert!(begun.starts_with("Shard  From  To"), "{begun}");
    let moved = (0..EVEN_WAIT_MAX.as_millis() / LOOK_PAUSE.as_millis()).any(|_| {
        std::thread::sleep(LOOK_PAUSE);
        look().last().is_some_and(|(_, _, replicas)| *replicas == 1)
    });
    assert!(moved, "{:?}\n{}", look(), cluster.logs());
    let again = ["shard", "move", &shard, "--from", &from, "--to", "5"];
    refused(&cluster, &again, &format!("node {from} holds no replica of shard {shard}"));
    refused(&cluster, &["shard", "move", "99", "--from", "1", "--to", "5"], "the last one is 8");
    refused(&cluster, &["rebalance", "set-rate", "0"], "rebalance pause");

    let rate = done(&cluster, &["rebalance", "set-rate", "8"]);
    assert!(rate.contains('8'), "{rate}");
    for switch in ["on", "off"] {
        let merging = done(&cluster, &["rebalance", "auto-merge", switch, "-o", "json"]);
        assert!(merging.contains(&format!("\"auto_merge\":\"{switch}\"")), "{merging}");
    }
    let resumed = done(&cluster, &["rebalance", "resume"]);
    assert!(!resumed.contains("paused"), "{resumed}");
    become_even(&runtime, &cluster, 5);
    // The newcomers' votes count.
    cluster.kill(2);
    std::thread::sleep(Duration::from_secs(3));
    cluster.restart(2);
    std::thread::sleep(Duration::from_secs(1));
    clients.finish(&runtime, &cluster.opts(5), WRITES_MIN);
}

/// What `precinct` prints, when it does what it is told.
fn done(cluster: &Cluster, args: &[&str]) -> String {
    let (code, out, why) = cluster.precinct(1, args);
    assert_eq!(code, 0, "{args:?}: {why}\n{}", cluster.logs());
    out
}

/// That `precinct` refuses, and says why.
fn refused(cluster: &Cluster, args: &[&str], words: &str) {
    let (code, out, why) = cluster.precinct(1, args);
    assert_eq!(code, 4, "{args:?}: {out}{why}");
    assert!(why.contains(words), "{args:?}: {why}");
}

/// Waits until so many nodes share replicas and leaders within one, and the cluster says so.
fn become_even(runtime: &Runtime, cluster: &Cluster, nodes: u64) {
    let within_one = |count: u64, all: u64| (all / nodes..=all.div_ceil(nodes)).contains(&count);
    let mut seen = Vec::new();
    for _ in 0..EVEN_WAIT_MAX.as_millis() / LOOK_PAUSE.as_millis() {
        std::thread::sleep(LOOK_PAUSE);
        seen = runtime.block_on(shares(cluster.opts(1)));
        let even = seen.len() as u64 == nodes
            && seen.iter().all(|(_, leaders, replicas)| {
                within_one(*replicas, REPLICAS) && within_one(*leaders, SHARDS)
            });
        if even && runtime.block_on(at_rest(cluster.opts(1))) {
            println!("{nodes} nodes, leaders, replicas: {seen:?}");
            return;
        }
    }
    let (_, status, _) = cluster.precinct(1, &["rebalance", "status"]);
    let (_, plan, _) = cluster.precinct(1, &["rebalance", "explain"]);
    panic!("not even: {seen:?}\n{status}\n{plan}\n{}", cluster.logs());
}

/// The rows of a statement; none when the node does not answer just now.
async fn rows(node: Opts, statement: &str) -> Vec<Row> {
    let Ok(mut conn) = Conn::new(node).await else { return Vec::new() };
    let rows = conn.query(statement).await.unwrap_or_default();
    // Everything is read; a failure to say goodbye changes nothing.
    let _ = conn.disconnect().await;
    rows
}

/// Number, leaders and replicas of each node.
async fn shares(node: Opts) -> Vec<(u64, u64, u64)> {
    let rows = rows(node, "SHOW NODES").await;
    let field = |row: &Row, name: &str| row.get::<u64, _>(name).unwrap_or_default();
    rows.iter()
        .map(|row| (field(row, "Node"), field(row, "Leaders"), field(row, "Replicas")))
        .collect()
}

/// Whether the cluster says that nodes are even, and every shard that it is well.
async fn at_rest(node: Opts) -> bool {
    let text = |row: &Row, name: &str| row.get::<String, _>(name).unwrap_or_default();
    let shards = rows(node.clone(), "SHOW SHARDS").await;
    let well = !shards.is_empty() && shards.iter().all(|row| text(row, "State") == "ok");
    let standing = rows(node, "SHOW REBALANCE").await;
    well && standing.len() == 1 && text(&standing[0], "State") == "even"
}

/// Shard 3 and a node that holds a replica of it.
async fn a_replica(node: Opts) -> (String, String) {
    let shards = rows(node, "SHOW SHARDS").await;
    let shard = shards.iter().find(|row| row.get::<u64, _>("Shard") == Some(3)).expect("shard 3");
    let replicas: String = shard.get("Replicas").expect("its replicas");
    let first = replicas.split(',').next().expect("a node");
    ("3".to_string(), first.to_string())
}
