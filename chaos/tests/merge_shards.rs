//! Neighbouring shards are merged while clients write and read: once in peace, then while a node is killed during a merge, each
//! node once, and all nodes are restarted at the end. A merge ends or is undone, and is asked for again. Nothing that was
//! acknowledged is lost, no reader sees less than was there before or a row twice, and all replicas hold the same.

use chaos::cluster::Cluster;
use chaos::writers::Writers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;

const CLIENTS: u64 = 4;
/// Pause of a client after each row: the nodes have other work here.
const PAUSE: Duration = Duration::from_millis(5);
/// Acknowledgements that each client must have had, so that the test means something.
const WRITES_MIN: usize = 50;
/// Work between two merges.
const QUIET: Duration = Duration::from_secs(1);
/// Looks for a state that must come.
const LOOKS_MAX: usize = 300;
/// Pause between two of them.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// Shards of the cluster at its start, with the meta shard.
const SHARDS: usize = 9;

#[test]
fn shards_are_merged_under_load_and_nothing_is_lost() {
    let cluster = Cluster::start(3, 17_700);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    Writers::prepare(&runtime, cluster.opts(1));
    refused(&cluster, "0", "meta shard");
    refused(&cluster, "99", "there is no shard 99");
    refused(&cluster, "8", "left neighbour, shard 7");

    let nodes: Vec<Opts> = (1..=3).map(|node| cluster.opts(node)).collect();
    let writers = Writers::start(&runtime, CLIENTS, &nodes, PAUSE);
    let reader = Reader::start(&runtime, cluster.opts(1));
    std::thread::sleep(QUIET);

    let mut left = SHARDS - 1;
    merge(&runtime, &cluster, "1", left);
    std::thread::sleep(QUIET);

    // A merge meets the death of each node once, of either leader or of whoever coordinates; sooner or later it is done.
    for (shard, node) in [("1", 3), ("4", 2), ("6", 1)] {
        left -= 1;
        std::thread::scope(|scope| {
            let cluster = &cluster;
            // Whatever it is told: the merge is asked for again.
            scope.spawn(move || cluster.precinct(node % 3 + 1, &["shard", "merge", shard]));
            std::thread::sleep(LOOK_PAUSE);
            cluster.kill(node);
        });
        std::thread::sleep(QUIET);
        cluster.restart(node);
        merge(&runtime, &cluster, shard, left);
    }
    let shards = settled(&runtime, cluster.opts(1), left);
    let covered: u64 = shards.iter().map(|shard| shard.slots.1 - shard.slots.0).sum();
    assert_eq!(covered, 65_536, "every slot has one owner: {shards:?}");
    for shard in &shards {
        assert_eq!(shard.replicas.split(',').count(), 3, "{shard:?}");
    }
    reader.finish(&runtime);
    writers.finish(&runtime, &cluster.opts(3), WRITES_MIN);
    equal_everywhere(&runtime, &cluster, left);

    let before = runtime.block_on(count(cluster.opts(1))).expect("a count");
    (1..=3).for_each(|node| cluster.kill(node));
    std::thread::scope(|scope| {
        for node in 1..=3 {
            let cluster = &cluster;
            scope.spawn(move || cluster.restart(node));
        }
    });
    settled(&runtime, cluster.opts(1), left);
    for node in 1..=3 {
        let after = runtime.block_on(count(cluster.opts(node))).expect("a count");
        assert_eq!(after, before, "as node {node} reads it");
    }
}

/// Has a shard take its right neighbour in, until so many shards are left; asked again while another change or an election
/// is under way, and when it was undone.
fn merge(runtime: &Runtime, cluster: &Cluster, shard: &str, wanted: usize) {
    let mut told = String::new();
    for _ in 0..LOOKS_MAX {
        // A node that has just started may have an old view: asked by that, one shard too many would go.
        let views: Vec<Vec<Shard>> =
            (1..=3).map(|node| runtime.block_on(shards(cluster.opts(node)))).collect();
        if views.iter().all(|view| view.len() == wanted) {
            settled(runtime, cluster.opts(1), wanted);
            return;
        }
        let is_quiet = |view: &Vec<Shard>| {
            view.len() == wanted + 1 && view.iter().all(|shard| shard.state == "ok")
        };
        if views.iter().all(is_quiet) {
            let (code, out, why) = cluster.precinct(1, &["shard", "merge", shard]);
            if code == 0 {
                assert!(out.contains("Merged_shard"), "{out}");
            }
            told = format!("exit code {code}: {why}");
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    panic!("shard {shard} is not merged: {told}\n{}", cluster.logs());
}

fn refused(cluster: &Cluster, shard: &str, words: &str) {
    let mut told = String::new();
    for _ in 0..LOOKS_MAX {
        let (code, _, why) = cluster.precinct(1, &["shard", "merge", shard]);
        if code == 4 && why.contains(words) {
            return;
        }
        // The records of a cluster that has just begun are written in a moment.
        told = format!("exit code {code}: {why}");
        std::thread::sleep(LOOK_PAUSE);
    }
    panic!("shard {shard}: {told}\n{}", cluster.logs());
}

/// A line of SHOW SHARDS.
#[derive(Debug)]
struct Shard {
    slots: (u64, u64),
    replicas: String,
    state: String,
}

async fn shards(node: Opts) -> Vec<Shard> {
    let Ok(mut conn) = Conn::new(node).await else { return Vec::new() };
    let rows: Vec<Row> = conn.query("SHOW SHARDS").await.unwrap_or_default();
    let _ = conn.disconnect().await;
    let number = |row: &Row, name: &str| row.get::<u64, _>(name).unwrap_or_default();
    let words = |row: &Row, name: &str| row.get::<String, _>(name).unwrap_or_default();
    let shard = |row: &Row| Shard {
        slots: (number(row, "Slot_start"), number(row, "Slot_end")),
        replicas: words(row, "Replicas"),
        state: words(row, "State"),
    };
    rows.iter().map(shard).collect()
}

/// Waits until a node knows so many shards and says `ok` of each.
fn settled(runtime: &Runtime, node: Opts, wanted: usize) -> Vec<Shard> {
    let mut seen = Vec::new();
    for _ in 0..LOOKS_MAX {
        seen = runtime.block_on(shards(node.clone()));
        if seen.len() == wanted && seen.iter().all(|shard| shard.state == "ok") {
            return seen;
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    panic!("the cluster did not come to rest with {wanted} shards: {seen:?}");
}

/// The replicas of every shard hold the same.
fn equal_everywhere(runtime: &Runtime, cluster: &Cluster, wanted: usize) {
    let mut verdicts: Vec<String> = Vec::new();
    for _ in 0..LOOKS_MAX {
        verdicts = runtime.block_on(compare_once(cluster.opts(1)));
        if verdicts.len() == wanted && verdicts.iter().all(|verdict| verdict == "equal") {
            return;
        }
        let wrong = verdicts.iter().find(|verdict| verdict.starts_with("different"));
        assert!(wrong.is_none(), "{verdicts:?}\n{}", cluster.logs());
        std::thread::sleep(LOOK_PAUSE);
    }
    panic!("the replicas were not compared: {verdicts:?}");
}

/// What ADMIN CHECKSUM CLUSTER says of each shard; nothing when it cannot be asked now.
async fn compare_once(node: Opts) -> Vec<String> {
    let Ok(mut conn) = Conn::new(node).await else { return Vec::new() };
    let rows: Vec<Row> = conn.query("ADMIN CHECKSUM CLUSTER").await.unwrap_or_default();
    let _ = conn.disconnect().await;
    rows.iter().map(|row| row.get::<String, _>("Verdict").unwrap_or_default()).collect()
}

async fn count(node: Opts) -> mysql_async::Result<u64> {
    let mut conn = Conn::new(node).await?;
    let count: Option<u64> = conn.query_first("SELECT COUNT(*) FROM ledger.writes").await?;
    conn.disconnect().await?;
    Ok(count.unwrap_or_default())
}

/// A client that counts the rows again and again: rows only come, so a count never falls.
struct Reader {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<usize>,
}

impl Reader {
    fn start(runtime: &Runtime, node: Opts) -> Reader {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = runtime.spawn(async move {
            let (mut most, mut reads) = (0, 0);
            while !stopped.load(Ordering::Relaxed) {
                // While a leader is elected there may be no answer; a wrong one never.
                if let Ok(rows) = count(node.clone()).await {
                    assert!(rows >= most, "{rows} rows where there were {most}");
                    (most, reads) = (rows, reads + 1);
                }
                tokio::time::sleep(PAUSE).await;
            }
            reads
        });
        Reader { stop, task }
    }

    fn finish(self, runtime: &Runtime) {
        self.stop.store(true, Ordering::Relaxed);
        let reads = runtime.block_on(self.task).expect("no count fell");
        assert!(reads > WRITES_MIN, "the reader hardly got to work: {reads} counts");
    }
}
