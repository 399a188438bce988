//! An operator moves leaders by command: each shard to each of its nodes while a client writes, and every refusal
//! says why. Row locks go along.

use chaos::cluster::Cluster;
use chaos::writers::Writers;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::time::Duration;

const CLIENTS: u64 = 2;
/// Pause of a client after each row: the nodes have other work here.
const PAUSE: Duration = Duration::from_millis(5);
/// Acknowledgements that each client must have had, so that the test means something.
const WRITES_MIN: usize = 20;
/// Times that a move is asked for again: another one may be under way, by the balancer.
const TRIES_MAX: usize = 40;
/// Pause between two of them.
const TRY_PAUSE: Duration = Duration::from_millis(200);
/// Rows that are locked: every shard has some.
const LOCKED_ROWS: u64 = 200;
/// Longer than the balancer's pause: it has begun to give leaders back.
const BALANCED: Duration = Duration::from_secs(7);
/// Time that a statement which shall wait for a lock is given to go wrong.
const WAITS: Duration = Duration::from_millis(1500);

#[test]
fn leaders_move_by_command_under_writes_and_refusals_say_why() {
    let mut cluster = Cluster::start(3, 16_700);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    Writers::prepare(&runtime, cluster.opts(1));

    refused(&cluster, "99", "1", "there is no shard 99; the last one is 8");
    refused(&cluster, "1", "9", "there is no node 9; there are 1, 2, 3");
    // A newcomer that fills itself would soon hold one.
    let (code, _, why) = cluster.precinct(1, &["rebalance", "pause"]);
    assert_eq!(code, 0, "{why}");
    cluster.add();
    refused(&cluster, "1", "4", "node 4 holds no replica of shard 1");

    let nodes = [cluster.opts(1), cluster.opts(2)];
    let clients = Writers::start(&runtime, CLIENTS, &nodes, PAUSE);
    for shard in ["0", "1", "5"] {
        for to in ["2", "3", "1"] {
            move_to(&cluster, shard, to);
        }
    }
    // All shards were moved to node 1 last, or given back: they are spread over the nodes again.
    let mut told = String::new();
    let spread = (0..TRIES_MAX).any(|_| {
        let (code, out, why) = cluster.precinct(1, &["shard", "scatter", "-o", "json"]);
        told = format!("exit code {code}: {why}");
        std::thread::sleep(TRY_PAUSE);
        code == 0 && out.contains("leader")
    });
    assert!(spread, "{told}");
    let (code, _, why) = cluster.precinct(1, &["shard", "scatter", "--table", "nothing.t"]);
    assert!(code != 0 && why.contains("1049"), "{code}: {why}");
    cluster.kill(3);
    refused(&cluster, "1", "3", "node 3 does not answer");
    cluster.restart(3);
    clients.finish(&runtime, &cluster.opts(1), WRITES_MIN);
}

#[test]
fn row_locks_go_along_with_leaders_that_are_moved() {
    let cluster = Cluster::start(3, 16_800);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(cluster.fill(1, LOCKED_ROWS));
    let connect = |node| runtime.block_on(Conn::new(cluster.opts(node))).expect("it answers");
    let (mut holder, mut other) = (connect(1), connect(2));
    let locked: Vec<u64> = runtime.block_on(async {
        holder.query_drop("BEGIN").await.expect("a transaction");
        holder.query("SELECT id FROM t.rows_ FOR UPDATE").await.expect("its rows")
    });
    assert_eq!(locked.len() as u64, LOCKED_ROWS);
    for to in ["2", "3"] {
        for shard in 1..=8 {
            move_to(&cluster, &shard.to_string(), to);
        }
        runtime.block_on(all_locked(&mut other, &format!("moved to node {to}")));
    }
    std::thread::sleep(BALANCED);
    runtime.block_on(all_locked(&mut other, "moved by the balancer"));

    let update = "UPDATE t.rows_ SET n = n + 1 WHERE id = 1";
    let count: Option<u64> = runtime.block_on(async {
        let held = async {
            tokio::time::sleep(WAITS).await;
            holder.query_drop(update).await.expect("nobody else has changed it");
            holder.query_drop("COMMIT").await.expect("what it locked is as it was");
        };
        let (waited, ()) = tokio::join!(other.query_drop(update), held);
        waited.expect("it waits and goes on");
        other.query_first("SELECT n FROM t.rows_ WHERE id = 1").await.expect("a row")
    });
    assert_eq!(count, Some(2));
    for conn in [holder, other] {
        runtime.block_on(conn.disconnect()).expect("a clean goodbye");
    }
}

/// Another session meets the lock of every row.
async fn all_locked(other: &mut Conn, when: &str) {
    other.query_drop("BEGIN").await.expect("a transaction");
    let one = "SELECT n FROM t.rows_ WHERE id = 1 FOR UPDATE NOWAIT";
    match other.query_drop(one).await {
        Err(Error::Server(error)) => assert_eq!(error.code, 3572, "{when}: {error}"),
        outcome => panic!("{when}: the lock of a row is gone: {outcome:?}"),
    }
    let free: Vec<u64> = other
        .query("SELECT id FROM t.rows_ FOR UPDATE SKIP LOCKED")
        .await
        .expect("what is not locked");
    assert!(free.is_empty(), "{when}: the locks of rows {free:?} are gone");
    other.query_drop("ROLLBACK").await.expect("the end");
}

/// A move is refused with these words; asked again until node 1 has heard what they say.
fn refused(cluster: &Cluster, shard: &str, to: &str, words: &str) {
    let mut told = String::new();
    for _ in 0..TRIES_MAX {
        let (code, _, why) = cluster.precinct(1, &["shard", "transfer-leader", shard, "--to", to]);
        if code == 4 && why.contains(words) {
            return;
        }
        told = format!("exit code {code}: {why}");
        std::thread::sleep(TRY_PAUSE);
    }
    panic!("shard {shard} to node {to}: {told}\n{}", cluster.logs());
}

/// Moves a shard to a node; where it is already, that is refused.
fn move_to(cluster: &Cluster, shard: &str, to: &str) {
    let mut told = String::new();
    for _ in 0..TRIES_MAX {
        let (code, out, why) =
            cluster.precinct(1, &["shard", "transfer-leader", shard, "--to", to, "-o", "json"]);
        if code == 0 {
            assert!(out.contains("new_leader"), "{out}");
            return;
        }
        if why.contains(&format!("node {to} leads shard {shard} already")) {
            assert_eq!(code, 4, "{why}");
            return;
        }
        told = why;
        std::thread::sleep(TRY_PAUSE);
    }
    panic!("shard {shard} does not move to node {to}: {told}\n{}", cluster.logs());
}
