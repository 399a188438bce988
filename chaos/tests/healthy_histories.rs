//! All workloads at once on a healthy three-process cluster: every history is valid, and each workload got
//! to work. The probe beside them sees every shard answer.

use base::SystemClock;
use chaos::cluster::Cluster;
use chaos::workload::probe::Probe;
use chaos::workload::{Run, Target, all};
use std::time::Duration;

/// How long the clients work.
const WORK: Duration = Duration::from_secs(6);
/// Operations per second of a client: two cores run cluster and clients.
const RATE: u32 = 20;
/// Acknowledged operations that each workload must reach.
const OK_MIN: u64 = 20;
/// MySQL's number for a duplicate key.
const DUPLICATE_KEY: u16 = 1062;
/// Longest time that a shard of a healthy cluster may leave the probe without an answer.
const GAP_MAX: Duration = Duration::from_secs(3);

#[test]
fn a_healthy_cluster_gives_valid_histories() {
    let cluster = Cluster::start(3, 15_600);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let nodes = (1..=cluster.nodes()).map(|node| cluster.opts(node)).collect();
    let mut target = Target::new(nodes, SystemClock::shared());
    target.rate = RATE;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (finished, report) = runtime.block_on(async {
        let lanes = Probe::lane_per_shard(&target).await.expect("SHOW SHARDS answers");
        let run = Run::start(all(), &target, folder.path()).await.expect("the tables are made");
        let probe = Probe::start(&target, lanes).await.expect("the probe's table is made");
        tokio::time::sleep(WORK).await;
        let report = probe.finish().await;
        (run.finish().await, report)
    });

    let mut wrong = Vec::new();
    for workload in &finished {
        let counts = &workload.counts;
        println!(
            "{}: {} called, {} ok, {} failed, {} unknown, errors {:?}; {}",
            workload.name,
            counts.invoked,
            counts.ok,
            counts.fail,
            counts.info,
            counts.errors,
            workload.verdict
        );
        // ON DUPLICATE KEY UPDATE must settle what it meets. In a transaction of several statements the
        // commit alone can say so, and the client repeats the transaction.
        let alone = workload.name.starts_with("register");
        let duplicates = alone && counts.errors.contains_key(&DUPLICATE_KEY);
        if !workload.verdict.is_valid() || counts.ok < OK_MIN || duplicates {
            wrong.push(workload.name);
        }
    }
    println!(
        "probe: {} lanes, pMax {:?}, p50 {:?}, p99 {:?}, max {:?}, errors {:?}",
        report.lanes.len(),
        report.p_max(),
        report.latencies.quantile(0.5),
        report.latencies.quantile(0.99),
        report.latencies.max(),
        report.errors
    );
    if !wrong.is_empty() {
        println!("histories kept in {}", folder.keep().display());
    }
    assert!(wrong.is_empty(), "not valid, hardly at work, or with duplicate keys: {wrong:?}");
    assert!(!report.lanes.is_empty(), "no shard to probe");
    assert!(report.lanes.iter().all(|lane| lane.ok > 0), "a shard never answered");
    assert!(
        report.p_max() <= GAP_MAX,
        "a shard left the probe without an answer for {:?}",
        report.p_max()
    );
}
