//! How long shards are without a leader when its node is killed: from the kill to the first write that each
//! of its shards acknowledges, to clients of the nodes that are left.
//!
//! ```text
//!  kill ─┬─ shard 3: error, error, ok ── 1.4 s
//!        ├─ shard 7: error, ok ───────── 1.1 s      one sample per shard that the node led
//!        └─ …
//! ```
//!
//! Three kills here; `make failover KILLS=100 SHARDS=100` for figures.

use base::{Clock, SlotRange, SystemClock};
use chaos::cluster::Cluster;
use engine::key::KeyBuilder;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Kills when nobody says how many.
const KILLS: usize = 3;
/// Longest time a shard may be without a leader before the test fails: far above what is measured.
const OUTAGE_MAX: Duration = Duration::from_secs(15);
/// A client gives up on a statement after this.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(6);
/// Pause after a statement that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(10);
/// Time for a node that is back to catch up, and for leaders to settle.
const SETTLE: Duration = Duration::from_secs(2);

/// A shard of user data with a row of it.
#[derive(Clone, Copy)]
struct Target {
    shard: u64,
    row: i64,
}

#[test]
fn every_shard_of_a_killed_leader_is_written_again() {
    let kills =
        std::env::var("PRECINCT_KILLS").map_or(KILLS, |text| text.parse().expect("a number"));
    let cluster = Cluster::start(3, 15_700);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let targets = runtime.block_on(prepare(cluster.opts(1)));
    let mut samples = Vec::new();
    for kill in 0..kills {
        std::thread::sleep(SETTLE);
        let leaders = runtime.block_on(leaders(cluster.opts(1)));
        let victim = busiest(&leaders, cluster.nodes());
        let led: Vec<Target> = targets
            .iter()
            .filter(|target| leaders.get(&target.shard) == Some(&victim))
            .copied()
            .collect();
        let times = outages(&runtime, &cluster, victim, &led);
        println!(
            "kill {} of {kills}: node {victim}, {} shards, longest {:?}",
            kill + 1,
            led.len(),
            times.iter().max().copied().unwrap_or_default()
        );
        samples.extend(times);
        cluster.restart(victim as u16);
    }
    assert!(samples.len() >= kills, "{} samples of {kills} kills", samples.len());
    samples.sort();
    let at = |part: f64| samples[((samples.len() - 1) as f64 * part).round() as usize];
    println!(
        "failover: {kills} kills, {} shards, {} samples: p50 {:?}, p90 {:?}, p99 {:?}, longest {:?}",
        targets.len(),
        samples.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    assert!(
        at(1.0) < OUTAGE_MAX,
        "a shard was without a leader for {:?}\n{}",
        at(1.0),
        cluster.logs()
    );
}

/// Makes the table, with one row in each shard.
async fn prepare(node: Opts) -> Vec<Target> {
    let mut conn = Conn::new(node).await.expect("the node answers");
    for statement in [
        "CREATE DATABASE failover",
        "CREATE TABLE failover.probe (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let shards: Vec<mysql_async::Row> =
        conn.query("SHOW SHARDS FROM failover.probe").await.expect("SHOW SHARDS");
    let mut targets = Vec::new();
    for shard in &shards {
        let number = |column| shard.get::<u64, usize>(column).expect("a number");
        let slots = SlotRange { start: number(1) as u32, end: number(2) as u32 };
        let row = (0..).find(|row| slots.contains(slot_of(*row))).expect("every slot has rows");
        conn.exec_drop("INSERT INTO failover.probe VALUES (?, 0)", (row,)).await.expect("a row");
        targets.push(Target { shard: number(0), row });
    }
    targets
}

fn slot_of(row: i64) -> base::Slot {
    let mut columns = KeyBuilder::columns();
    columns.put_i64(row);
    columns.slot()
}

/// Who leads which shard.
async fn leaders(node: Opts) -> BTreeMap<u64, u64> {
    let mut conn = Conn::new(node).await.expect("the node answers");
    let shards: Vec<mysql_async::Row> =
        conn.query("SHOW SHARDS FROM failover.probe").await.expect("SHOW SHARDS");
    let led = shards
        .iter()
        .filter_map(|row| Some((row.get::<u64, _>(0)?, row.get::<Option<u64>, _>(4)??)));
    led.collect()
}

fn busiest(leaders: &BTreeMap<u64, u64>, nodes: u16) -> u64 {
    let led = |node: &u64| leaders.values().filter(|leader| *leader == node).count();
    (1..=u64::from(nodes)).max_by_key(led).expect("a cluster has nodes")
}

/// Kills a node and says how long each of its shards was not written.
fn outages(runtime: &Runtime, cluster: &Cluster, victim: u64, led: &[Target]) -> Vec<Duration> {
    let survivors: Vec<Opts> = (1..=cluster.nodes())
        .filter(|node| u64::from(*node) != victim)
        .map(|node| cluster.opts(node))
        .collect();
    let clock = Arc::new(SystemClock::new());
    // Connected before the kill, as clients with a pool are.
    let conns: Vec<Conn> = runtime.block_on(async {
        let mut conns = Vec::new();
        for (at, _) in led.iter().enumerate() {
            conns.push(
                Conn::new(survivors[at % survivors.len()].clone()).await.expect("a survivor"),
            );
        }
        conns
    });
    let begin = clock.monotonic();
    cluster.kill(victim as u16);
    let probes: Vec<_> = conns
        .into_iter()
        .zip(led)
        .enumerate()
        .map(|(at, (conn, target))| {
            let opts = survivors[at % survivors.len()].clone();
            let (clock, row) = (clock.clone(), target.row);
            runtime.spawn(async move {
                first_write(conn, opts, row, &clock).await;
                clock.monotonic() - begin
            })
        })
        .collect();
    let ends = probes.into_iter().map(|probe| runtime.block_on(probe).expect("a probe ends"));
    ends.collect()
}

/// Writes a row until it is acknowledged.
async fn first_write(mut conn: Conn, opts: Opts, row: i64, clock: &SystemClock) {
    let begin = clock.monotonic();
    loop {
        let write = conn.exec_drop("UPDATE failover.probe SET n = n + 1 WHERE id = ?", (row,));
        let failed = match tokio::time::timeout(STATEMENT_WAIT_MAX, write).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".into(),
        };
        assert!(clock.monotonic() - begin < 2 * OUTAGE_MAX, "row {row}: {failed}");
        tokio::time::sleep(RETRY_PAUSE).await;
        if conn.ping().await.is_err() {
            conn = Conn::new(opts.clone()).await.expect("a survivor answers");
        }
    }
}
