//! How many timestamps the oracle hands out on the node that leads the meta shard.
//!
//! ```text
//! 64 tasks ─> NodeOracle ─> LocalOracle: leader lease? room in the window? ─> timestamp, from memory
//!                                └── twice a second: a further window, replicated to three replicas
//! ```
//!
//! Every task asks for one timestamp at a time and lets the others have their turn after each; so the figure holds for
//! sessions that ask one by one, without the batches in which a shard's leader asks. Each task checks that its
//! timestamps rise.
//!
//! Not here: nodes that do not lead. Their requests share calls to the leader, and the network decides.

use crate::nodes::Nodes;
use crate::{CLIENTS, ROUND, ROUNDS, cpu_seconds, median};
use base::{ShardId, SystemClock, Timestamp};
use raft::snapshot::transfers::SnapshotOptions;
use server::local_shards::LocalShards;
use server::oracle::{LocalOracle, NodeOracle};
use server::shard_state::GroupReplication;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use txn::Oracle;

/// The shard whose leader hands out timestamps.
const SHARD: ShardId = ShardId(1);
/// Pause between two looks whether the window is low.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Timestamps per second and what one costs.
pub async fn timestamps(report: &mut String) {
    let nodes = Nodes::start(1, SnapshotOptions::default()).await;
    let leader = nodes.leader(SHARD).expect("waited for");
    let group = nodes.hosts[leader].group(SHARD).expect("just found");
    let clock = SystemClock::shared();
    let replication = Arc::new(GroupReplication::new(group.clone()));
    let leader = Arc::new(LocalOracle::new(replication, group.engine(), clock.clone()));
    leader.timestamps(1).await.expect("a healthy group");
    let local = Arc::new(LocalShards::new(clock.clone()));
    local.set_oracle(Some(leader.clone()));
    let node = NodeOracle::start(local, Weak::new(), &tokio::runtime::Handle::current());
    let ahead = tokio::spawn(keep_ahead(leader.clone()));
    let (mut rates, mut cpu) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let (cpu_before, start) = (cpu_seconds(), clock.monotonic());
        let askers: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(ask(node.clone(), leader.clone(), stop.clone())))
            .collect();
        tokio::time::sleep(ROUND).await;
        stop.store(true, Ordering::Relaxed);
        let mut taken = 0;
        for asker in askers {
            taken += asker.await.expect("timestamps rise");
        }
        let seconds = (clock.monotonic() - start).as_secs_f64();
        rates.push(taken as f64 / seconds);
        cpu.push((cpu_seconds() - cpu_before) * 1e6 / taken as f64);
    }
    ahead.abort();
    nodes.stop().await;
    let _ = writeln!(
        report,
        "| oracle, {CLIENTS} tasks on the node that leads, one at a time: timestamps/s | {:.0} |\n\
         | CPU of all three replicas and the tasks per timestamp, µs | {:.2} |",
        median(rates),
        median(cpu)
    );
}

/// Asks until told to stop; returns how many timestamps there were.
async fn ask(node: Arc<NodeOracle>, leader: Arc<LocalOracle>, stop: Arc<AtomicBool>) -> u64 {
    let (mut taken, mut last) = (0, Timestamp::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let timestamp = match node.timestamps(1).await {
            Ok(timestamp) => timestamp,
            // Neither lease nor room at the moment: a node then calls the leader, which is this one.
            Err(_) => leader.timestamps(1).await.expect("a healthy group"),
        };
        assert!(timestamp > last, "{timestamp} after {last}");
        (taken, last) = (taken + 1, timestamp);
        tokio::task::yield_now().await;
    }
    taken
}

/// Keeps the window ahead of the clock, as a node does.
async fn keep_ahead(leader: Arc<LocalOracle>) {
    loop {
        leader.keep_ahead().await;
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}
