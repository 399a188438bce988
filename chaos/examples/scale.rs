//! A cluster grows from three nodes to six and shrinks back to three while sysbench and checked workloads run, shards are
//! split and moved, and a node is killed every minute. `make scale MINUTES=30`: it needs sysbench and that much time.
//!
//! ```text
//! minutes  0 ──────── 3 nodes ──┬── 6 nodes ─────────┬─ nodes 6, 5, 4 leave ─┬─ 3 nodes ── end
//!                               └ 10 %               └ 55 %                  └ workloads judged, rows counted
//! each minute: shards change for a while, a node is killed and comes back
//! ```
//!
//! What must hold: no acknowledged row is lost, every history is clean, sysbench's sums are those of before, fewer than one in
//! 10,000 of its statements fails, and the rows of each node are within 10 % of even with six nodes and with three.

use base::{Clock, Rng, SystemClock};
use chaos::cluster::Cluster;
use chaos::fault::shards::{Changer, Listed};
use chaos::workload::{Run, Target, named};
use engine::key::KeyBuilder;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// First SQL port.
const PORT: u16 = 18_600;
/// Nodes at the beginning and at the end.
const NODES: u16 = 3;
/// Nodes in between.
const NODES_MAX: u16 = 6;
/// sysbench's tables and the rows of each.
const TABLES: u64 = 4;
const TABLE_ROWS: u64 = 50_000;
/// sysbench's clients.
const THREADS: u32 = 8;
/// Operations per second of each client of the checked workloads.
const RATE: u32 = 10;
/// Time of a minute in which shards change.
const CHANGE_TIME: Duration = Duration::from_secs(12);
/// Time for which a killed node is away.
const AWAY: Duration = Duration::from_secs(5);
/// Longest wait for replicas and leaders to be even.
const EVEN_WAIT_MAX: Duration = Duration::from_secs(300);
/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How far the rows of a node may be from even.
const UNEVEN_MAX: f64 = 0.10;
/// Failed statements of all.
const ERRORS_MAX: f64 = 0.0001;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let length = Duration::from_secs(60 * numbers.next().unwrap_or(30));
    let mut rng = Rng::seeded(numbers.next().unwrap_or(1));
    let mut cluster = Cluster::start(NODES, PORT);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let clock = Arc::new(SystemClock::new());

    runtime.block_on(told(cluster.opts(1), "CREATE DATABASE sbtest")).expect("a database");
    let prepared = sysbench(&["prepare"], folder.path(), length).wait().expect("sysbench runs");
    assert!(prepared.success(), "{}", log(folder.path()));
    let before = runtime.block_on(sums(cluster.opts(1)));

    let names = ["ledger", "bank", "append"].map(String::from);
    let workloads = named(&names).unwrap_or_else(|name| panic!("no workload {name}"));
    let mut target =
        Target::new((1..=NODES).map(|node| cluster.opts(node)).collect(), clock.clone());
    target.rate = RATE;
    let run = runtime.block_on(Run::start(workloads, &target, folder.path())).expect("workloads");
    let mut load = sysbench(&["run"], folder.path(), length);

    let begin = clock.monotonic();
    let at = |share: f64| begin + length.mul_f64(share);
    let (mut grown, mut shrunk, mut kills) = (false, false, 0);
    // What did not hold and keeps nothing from going on.
    let mut failed: Vec<String> = Vec::new();
    while clock.monotonic() < at(0.9) {
        let minute = clock.monotonic();
        let early = load.try_wait().expect("sysbench can be asked");
        assert!(early.is_none(), "sysbench ended early: {early:?}\n{}", log(folder.path()));
        if !grown && minute >= at(0.1) {
            (NODES..NODES_MAX).for_each(|_| cluster.add());
            grown = true;
            say(&*clock, begin, "six nodes");
        }
        if grown && !shrunk && minute >= at(0.55) {
            await_even(&runtime, &cluster, NODES_MAX);
            failed.extend(runtime.block_on(uneven(&cluster, NODES_MAX)));
            for node in (NODES + 1..=NODES_MAX).rev() {
                leave(&cluster, node);
                say(&*clock, begin, &format!("node {node} has left"));
            }
            shrunk = true;
        }
        let last = if grown && !shrunk { NODES_MAX } else { NODES };
        let nodes = (1..=last).map(|node| (u64::from(node), cluster.opts(node))).collect();
        let changer = Changer::among(&runtime, nodes, rng.next_u64());
        std::thread::sleep(CHANGE_TIME);
        say(&*clock, begin, &changer.stop());
        let victim = 2 + rng.below(u64::from(last) - 1) as u16;
        cluster.kill(victim);
        std::thread::sleep(AWAY);
        cluster.restart(victim);
        kills += 1;
        say(&*clock, begin, &format!("node {victim} was killed and is back"));
        let rest = (minute + Duration::from_secs(60)).saturating_sub(clock.monotonic());
        std::thread::sleep(rest.min(at(0.9).saturating_sub(clock.monotonic())));
    }
    assert!(grown && shrunk, "too short to grow and shrink");
    let ended = load.wait().expect("sysbench runs");
    say(&*clock, begin, &format!("sysbench has ended; {kills} kills"));
    assert!(ended.success(), "{}\n{}", log(folder.path()), cluster.logs());
    await_even(&runtime, &cluster, NODES);
    failed.extend(runtime.block_on(uneven(&cluster, NODES)));

    for part in runtime.block_on(run.finish()) {
        println!(
            "{:<24} {} ok, {} unknown: {}",
            part.name, part.counts.ok, part.counts.info, part.verdict
        );
        if !part.verdict.is_valid() {
            failed.push(format!("{}: {}", part.name, part.verdict));
        }
    }
    let after = runtime.block_on(sums(cluster.opts(2)));
    if after != before {
        failed.push(format!("rows and sums of ids: {before:?} before, {after:?} after"));
    }
    let totals = Totals::read(&log(folder.path()));
    let Totals { transactions, queries, ignored, reconnects } = totals;
    let percent = totals.share_failed() * 100.0;
    println!(
        "sysbench: {transactions} transactions, {queries} statements, {ignored} errors, {reconnects} lost connections, \
         {percent:.4} % of the statements"
    );
    if queries == 0 || totals.share_failed() >= ERRORS_MAX {
        failed.push(format!("{percent:.4} % of sysbench's statements failed"));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn say(clock: &dyn Clock, begin: Duration, words: &str) {
    println!("{:>7.1} s  {words}", (clock.monotonic() - begin).as_secs_f64());
}

/// Starts sysbench's oltp_read_write against the first node, which is not killed: sysbench 1.0.20 itself crashes when it connects
/// again. The checked workloads' clients are at all nodes.
fn sysbench(action: &[&str], folder: &Path, length: Duration) -> Child {
    let out = std::fs::File::create(folder.join("sysbench.log")).expect("a log file");
    Command::new("sysbench")
        .arg("oltp_read_write")
        .args([
            "--db-driver=mysql",
            "--mysql-host=127.0.0.1",
            "--mysql-user=root",
            "--mysql-db=sbtest",
        ])
        .arg(format!("--mysql-port={PORT}"))
        .arg(format!("--tables={TABLES}"))
        .arg(format!("--table-size={TABLE_ROWS}"))
        .arg(format!("--threads={THREADS}"))
        .arg(format!("--time={}", length.as_secs()))
        .args(["--rand-type=uniform", "--report-interval=60", "--mysql-ignore-errors=all"])
        .arg("--db-ps-mode=disable")
        .args(action)
        .stdin(Stdio::null())
        .stdout(out.try_clone().expect("a second handle of the log"))
        .stderr(out)
        .spawn()
        .expect("sysbench is installed")
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("sysbench.log")).unwrap_or_default()
}

/// What sysbench counted.
#[derive(Debug, Default)]
struct Totals {
    transactions: u64,
    queries: u64,
    ignored: u64,
    reconnects: u64,
}

impl Totals {
    /// Reads the totals at the end of sysbench's output.
    fn read(log: &str) -> Totals {
        let after = |words: &str| {
            let line = log.lines().find(|line| line.trim_start().starts_with(words));
            let number = line.and_then(|line| line.split_once(':'))?.1.split_whitespace().next()?;
            number.parse().ok()
        };
        Totals {
            transactions: after("transactions:").unwrap_or(0),
            queries: after("queries:").unwrap_or(0),
            ignored: after("ignored errors:").unwrap_or(0),
            reconnects: after("reconnects:").unwrap_or(0),
        }
    }

    /// Statements that failed, lost connections among them, of all.
    fn share_failed(&self) -> f64 {
        (self.ignored + self.reconnects) as f64 / self.queries.max(1) as f64
    }
}

/// Rows and sum of ids of each of sysbench's tables, and the sum of `k` by the table and by its index.
async fn sums(node: Opts) -> Vec<(u64, u64)> {
    let mut conn = Conn::new(node).await.expect("the node answers");
    let mut sums = Vec::new();
    for table in 1..=TABLES {
        let name = format!("sbtest{table}");
        let counted: Option<(u64, u64)> = conn
            .query_first(format!("SELECT COUNT(*), CAST(SUM(id) AS UNSIGNED) FROM sbtest.{name}"))
            .await
            .expect("a count");
        sums.extend(counted);
        let by = |hint: &str| {
            format!("SELECT CAST(SUM(k) AS UNSIGNED) FROM sbtest.{name} {hint} WHERE k > 0")
        };
        let by_table: Option<u64> =
            conn.query_first(by("IGNORE INDEX (PRIMARY)")).await.expect("a sum");
        let hint = format!("FORCE INDEX (k_{table})");
        let by_index: Option<u64> = conn.query_first(by(&hint)).await.expect("a sum");
        assert_eq!(by_table, by_index, "table {name} and its index");
    }
    conn.disconnect().await.expect("a clean goodbye");
    sums
}

async fn told(node: Opts, statement: &str) -> mysql_async::Result<Vec<Row>> {
    let mut conn = Conn::new(node).await?;
    let rows = conn.query(statement).await?;
    conn.disconnect().await?;
    Ok(rows)
}

/// Waits until the cluster says that nodes are even, with so many of them.
fn await_even(runtime: &Runtime, cluster: &Cluster, nodes: u16) {
    let mut seen = String::new();
    for _ in 0..EVEN_WAIT_MAX.as_secs() {
        let rows = runtime.block_on(told(cluster.opts(1), "SHOW REBALANCE")).unwrap_or_default();
        let state = |row: &Row| row.get::<String, _>("State").unwrap_or_default();
        seen = rows.iter().map(state).collect::<Vec<_>>().join(", ");
        if seen == "even" {
            return;
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    let (_, plan, _) = cluster.precinct(1, &["rebalance", "explain"]);
    panic!("{nodes} nodes are not even: {seen}\n{plan}\n{}", cluster.logs());
}

/// A node gives everything away and leaves.
fn leave(cluster: &Cluster, node: u16) {
    let node = node.to_string();
    let args = ["node", "decommission", &node, "--wait", "--timeout", "300"];
    let (code, out, why) = cluster.precinct(1, &args);
    assert_eq!(code, 0, "{args:?}: {out}{why}\n{}", cluster.logs());
}

/// Counts the rows of sysbench's tables that each node holds, by the slots of its shards; what is wrong when they are not even.
async fn uneven(cluster: &Cluster, nodes: u16) -> Option<String> {
    let rows = told(cluster.opts(1), "SHOW SHARDS").await.expect("the shards");
    let shards = Listed::parse(&rows);
    let mut per_slot: BTreeMap<u64, u64> = BTreeMap::new();
    for id in 1..=TABLE_ROWS {
        let mut key = KeyBuilder::columns();
        key.put_i64(i64::try_from(id).expect("small"));
        *per_slot.entry(u64::from(key.slot().0)).or_default() += TABLES;
    }
    let mut held: BTreeMap<u64, u64> = (1..=u64::from(nodes)).map(|node| (node, 0)).collect();
    for shard in &shards {
        let here: u64 = per_slot.range(shard.slots.0..shard.slots.1).map(|(_, count)| count).sum();
        shard.replicas.iter().for_each(|node| *held.entry(*node).or_default() += here);
    }
    let even = held.values().sum::<u64>() as f64 / f64::from(nodes);
    let off = |count: u64| (count as f64 - even).abs() / even;
    let worst = held.values().map(|count| off(*count)).fold(0.0, f64::max);
    println!(
        "{} data shards, rows per node {held:?}, {:.1} % from even",
        shards.len(),
        worst * 100.0
    );
    (worst > UNEVEN_MAX)
        .then(|| format!("{nodes} nodes, {:.1} % from even: {held:?}", worst * 100.0))
}
