//! While eight clients insert, each node is killed with SIGKILL in turn and restarted, then all three
//! within one second. Every acknowledged row must be there afterwards, and no client may be without an
//! acknowledgement for more than ten seconds.

use base::{Clock, SystemClock};
use chaos::cluster::Cluster;
use chaos::ledger::Ledger;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CLIENTS: u64 = 8;
/// Longest time a client may go without an acknowledgement.
const OUTAGE_MAX: Duration = Duration::from_secs(10);
/// A client gives up on a statement after this and tries another node.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(6);
/// Time of quiet work before and after each kill.
const QUIET: Duration = Duration::from_secs(2);

#[test]
fn acknowledged_rows_survive_the_kill_of_every_node_and_of_all() {
    let cluster = Cluster::start(3, 15_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(prepare(cluster.opts(1)));
    let clock = Arc::new(SystemClock::new());
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let nodes = (1..=cluster.nodes()).map(|node| cluster.opts(node)).collect();
            runtime.spawn(insert_until_stopped(client, nodes, clock.clone(), stop.clone()))
        })
        .collect();

    let rounds = if std::env::var_os("PRECINCT_SOAK").is_some() { 10 } else { 1 };
    for _ in 0..rounds {
        for node in 1..=cluster.nodes() {
            std::thread::sleep(QUIET);
            cluster.kill(node);
            std::thread::sleep(QUIET);
            cluster.restart(node);
        }
        std::thread::sleep(QUIET);
        (1..=cluster.nodes()).for_each(|node| cluster.kill(node));
        std::thread::scope(|scope| {
            for node in 1..=cluster.nodes() {
                let cluster = &cluster;
                scope.spawn(move || cluster.restart(node));
            }
        });
    }
    std::thread::sleep(QUIET);
    stop.store(true, Ordering::Relaxed);

    let ledgers: Vec<Ledger> = clients
        .into_iter()
        .map(|client| runtime.block_on(client).expect("a client does not panic"))
        .collect();
    for (client, ledger) in ledgers.iter().enumerate() {
        let found = runtime.block_on(rows_of(cluster.opts(1), client as u64));
        println!(
            "client {client}: {} acknowledged, {} found, {} errors, longest gap {:?}",
            ledger.acknowledged_count(),
            found.len(),
            ledger.errors,
            ledger.longest_gap()
        );
        ledger.check(&found).unwrap_or_else(|why| panic!("client {client}: {why}"));
        assert!(ledger.acknowledged_count() > 100, "client {client} hardly got to work");
        assert!(
            ledger.longest_gap() <= OUTAGE_MAX,
            "client {client} had no acknowledgement for {:?}",
            ledger.longest_gap()
        );
    }
}

async fn prepare(node: Opts) {
    let mut conn = Conn::new(node).await.expect("the first node answers");
    for statement in [
        "CREATE DATABASE ledger",
        "CREATE TABLE ledger.writes (client INT NOT NULL, write_number BIGINT NOT NULL, note VARCHAR(40) NOT NULL,
           PRIMARY KEY (client, write_number), KEY note (note))",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    conn.disconnect().await.expect("a clean goodbye");
}

async fn insert_until_stopped(
    client: u64,
    nodes: Vec<Opts>,
    clock: Arc<SystemClock>,
    stop: Arc<AtomicBool>,
) -> Ledger {
    let mut ledger = Ledger::default();
    let mut node = client as usize;
    let mut conn: Option<Conn> = None;
    let mut write = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut connected = match conn.take() {
            Some(conn) => conn,
            None => {
                node += 1;
                let connect = Conn::new(nodes[node % nodes.len()].clone());
                match tokio::time::timeout(Duration::from_secs(1), connect).await {
                    Ok(Ok(conn)) => conn,
                    _ => {
                        ledger.errors += 1;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                }
            }
        };
        write += 1;
        ledger.sent(write);
        let insert = connected.exec_drop(
            "INSERT INTO ledger.writes VALUES (?, ?, ?)",
            (client, write, format!("write {write} of client {client}")),
        );
        match tokio::time::timeout(STATEMENT_WAIT_MAX, insert).await {
            Ok(Ok(())) => {
                ledger.acknowledged(write, clock.monotonic());
                conn = Some(connected);
            }
            // A refused or unanswered write counts as unknown; the client goes to another node.
            Ok(Err(_)) | Err(_) => ledger.errors += 1,
        }
    }
    ledger
}

async fn rows_of(node: Opts, client: u64) -> BTreeSet<u64> {
    let mut conn = Conn::new(node).await.expect("the cluster answers after the drill");
    let rows: Vec<u64> = conn
        .exec("SELECT write_number FROM ledger.writes WHERE client = ?", (client,))
        .await
        .expect("reading the rows back");
    conn.disconnect().await.expect("a clean goodbye");
    rows.into_iter().collect()
}
