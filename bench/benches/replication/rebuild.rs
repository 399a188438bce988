//! How fast a replica that was lost comes back, and what writers feel meanwhile.
//!
//! ```text
//! big shard    512 MiB of content; its replica on one node is destroyed and a new one comes
//! small shard  writers at a fixed pace on the same nodes: their latency before and during the rebuild
//! disk         the same number of bytes written in order and synced file by file, nothing else
//! ```
//!
//! The rate is that of the installed content: bytes of the files, from the moment the new replica is added until it
//! has every entry.

use crate::nodes::{Counter, Nodes};
use crate::{VALUE_BYTES, median};
use base::{NodeId, ReplicaId, Rng, ShardId, SharedClock, SlotRange, SystemClock, TableId};
use bytes::Bytes;
use engine::key::KeyBuilder;
use raft::replica_group::ReplicaGroup;
use raft::snapshot::transfers::SnapshotOptions;
use server::shard_state::{BatchMachine, GroupReplication};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use txn::RowLocks;
use txn::command::{Change, Expect, KeyWrite, WriteRequest};
use txn::shard::Shard;

/// Content of the big shard, bytes.
const CONTENT_BYTES: usize = 512 << 20;
/// Bytes of a value of the big shard.
const BIG_VALUE_BYTES: usize = 32 << 10;
/// Values of one write of the big shard.
const BIG_BATCH: usize = 16;
/// Writers of the small shard, and the pause of each between two writes.
const WRITERS: u64 = 16;
const PAUSE: Duration = Duration::from_millis(10);
/// How long the writers are measured without a rebuild.
const CALM: Duration = Duration::from_secs(4);
/// Rebuilds at each pace.
const REBUILDS: u64 = 5;
/// The second pace, as a part of what the disk can do.
const PACE_OF_DISK: f64 = 0.36;
/// Longest rebuild.
const REBUILD_MAX: Duration = Duration::from_secs(120);
/// Bytes of a file in the bare loop: what the engine's files have.
const FILE_BYTES: usize = 64 << 20;

const BIG: ShardId = ShardId(1);
const SMALL: ShardId = ShardId(2);

/// Rebuilds under load, beside a bare loop of writes: at the usual pace, and at one that suits this disk.
pub async fn rebuild(report: &mut String) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let clock = SystemClock::shared();
    let bare = || {
        let (path, clock) = (folder.path().to_path_buf(), clock.clone());
        async {
            let bare = tokio::task::spawn_blocking(move || bare_writes(&path, &clock)).await;
            bare.expect("the loop does not panic")
        }
    };
    let usual = SnapshotOptions::default();
    let suited = (bare().await * PACE_OF_DISK) as u64;
    let suited = SnapshotOptions { bytes_per_second: suited, ..usual.clone() };
    for options in [usual, suited] {
        let pace = options.bytes_per_second >> 20;
        let nodes = Nodes::start(2, options).await;
        fill(&nodes).await;
        let lost = (0..3).find(|host| Some(*host) != nodes.leader(BIG)).expect("three nodes");
        let (mut rates, mut shares, mut calm, mut busy) = (vec![], vec![], vec![], vec![]);
        for round in 0..REBUILDS {
            let bare = bare().await;
            let writers = Writers::start(&nodes, &clock, round * 2);
            tokio::time::sleep(CALM).await;
            calm.append(&mut writers.stop().await);
            let (rate, mut latencies) = rebuild_once(&nodes, lost, round, &clock).await;
            busy.append(&mut latencies);
            rates.push(rate / f64::from(1 << 20));
            shares.push(rate / bare * 100.0);
        }
        nodes.stop().await;
        let (calm, busy) = (p99(calm), p99(busy));
        let _ = writeln!(
            report,
            "| rebuild of {} MiB under load at {pace} MiB/s at most: MiB/s (percent of a bare loop of writes and syncs) \
             | {:.0} ({:.0}) |\n\
             | writers of another shard meanwhile: p99 without and with the rebuild, ms | {calm:.2} / {busy:.2} ({:.1} times) |",
            CONTENT_BYTES >> 20,
            median(rates),
            median(shares),
            busy / calm
        );
    }
}

fn shard_on_leader(nodes: &Nodes, shard: ShardId) -> Arc<Shard> {
    let leader = nodes.leader(shard).expect("a leader");
    let group = nodes.hosts[leader].group(shard).expect("it leads");
    let replication = Arc::new(GroupReplication::new(group.clone()));
    let row_locks = RowLocks::new(SystemClock::shared());
    let oracle = Arc::new(Counter::default());
    Arc::new(Shard::new(replication, group.engine(), oracle, row_locks))
}

fn key_of(parts: [u64; 3]) -> Bytes {
    let mut key = KeyBuilder::new(TableId::FIRST_USER, base::IndexId(1));
    parts.iter().for_each(|part| key.put_u64(*part));
    let slot = key.slot();
    key.finish(slot)
}

/// Fills the big shard with what no compression makes smaller.
async fn fill(nodes: &Nodes) {
    let shard = shard_on_leader(nodes, BIG);
    let mut random = Rng::seeded(7);
    for batch in 0..CONTENT_BYTES / BIG_VALUE_BYTES / BIG_BATCH {
        let writes = (0..BIG_BATCH).map(|row| {
            let words = (0..BIG_VALUE_BYTES / 8).flat_map(|_| random.next_u64().to_le_bytes());
            KeyWrite {
                key: key_of([0, batch as u64, row as u64]),
                change: Change::Put(words.collect::<Vec<u8>>().into()),
                expect: Expect::Absent,
            }
        });
        let request = WriteRequest::CommitNow { writes: writes.collect(), owner: None, id: None };
        let written = shard.write(SlotRange::ALL, request).await;
        written.expect("a healthy group");
    }
}

/// Writers of the small shard, each at its pace.
struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<f64>>>,
}

impl Writers {
    fn start(nodes: &Nodes, clock: &SharedClock, round: u64) -> Writers {
        let shard = shard_on_leader(nodes, SMALL);
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..WRITERS).map(|writer| {
            let (shard, stop, clock) = (shard.clone(), stop.clone(), clock.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                let mut row = 0;
                while !stop.load(Ordering::Relaxed) {
                    let write = KeyWrite {
                        key: key_of([1 + round, writer, row]),
                        change: Change::Put(Bytes::from_static(&[7; VALUE_BYTES])),
                        expect: Expect::Absent,
                    };
                    row += 1;
                    let began = clock.monotonic();
                    let commit =
                        WriteRequest::CommitNow { writes: vec![write], owner: None, id: None };
                    let written = shard.write(SlotRange::ALL, commit);
                    written.await.expect("a healthy group");
                    latencies.push((clock.monotonic() - began).as_secs_f64() * 1e3);
                    tokio::time::sleep(PAUSE).await;
                }
                latencies
            })
        });
        Writers { tasks: tasks.collect(), stop }
    }

    /// Latencies in ms.
    async fn stop(self) -> Vec<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for task in self.tasks {
            all.append(&mut task.await.expect("a writer does not panic"));
        }
        all
    }
}

fn p99(mut latencies: Vec<f64>) -> f64 {
    latencies.sort_by(f64::total_cmp);
    latencies[latencies.len() * 99 / 100]
}

/// Destroys the replica of the big shard on a node and brings a new one there. Returns bytes per second, and the
/// writers' latencies meanwhile.
async fn rebuild_once(
    nodes: &Nodes,
    host: usize,
    round: u64,
    clock: &SharedClock,
) -> (f64, Vec<f64>) {
    let leader = nodes.leader(BIG).expect("a leader");
    let group = nodes.hosts[leader].group(BIG).expect("it leads");
    let lost = nodes.hosts[host].group(BIG).expect("a replica").replica();
    let node = NodeId(host as u64 + 1);
    let progress = || group.progress().expect("it leads");
    let stays = progress().voters().into_iter().filter(|voter| *voter != lost).collect();
    group.change_voters(progress().version, stays).await.expect("two of three stay");
    settled(&group).await;
    group.remove_member(progress().version, lost).await.expect("it has no vote");
    nodes.hosts[host].destroy_replica(BIG, lost).await.expect("its folder goes");

    let writers = Writers::start(nodes, clock, round * 2 + 1);
    let begin = clock.monotonic();
    let (before, new) =
        (nodes.hosts[host].metrics().transfers.received_bytes, ReplicaId(100 + round));
    let started = nodes.hosts[host].start_replica(BIG, new, Arc::new(BatchMachine)).await;
    started.expect("a new replica");
    settled(&group).await;
    group.add_learner(progress().version, new, node).await.expect("a new member");
    let there = || {
        let progress = progress();
        let mut members = progress.members.iter();
        members
            .any(|member| member.replica == new && member.matched == Some(progress.last_log_index))
    };
    while !there() {
        assert!(clock.monotonic() - begin < REBUILD_MAX, "the rebuild takes too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = (clock.monotonic() - begin).as_secs_f64();
    let latencies = writers.stop().await;
    let bytes = nodes.hosts[host].metrics().transfers.received_bytes - before;
    let voters = progress().voters().into_iter().chain([new]).collect();
    group.change_voters(progress().version, voters).await.expect("it has caught up");
    settled(&group).await;
    (bytes as f64 / seconds, latencies)
}

/// Waits until no change of members is under way.
async fn settled(group: &Arc<dyn ReplicaGroup>) {
    while !group.progress().is_some_and(|progress| progress.settled) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bytes per second of a loop that only writes files in order and syncs each.
fn bare_writes(folder: &Path, clock: &SharedClock) -> f64 {
    let mut random = Rng::seeded(9);
    let piece: Vec<u8> = (0..(1 << 20) / 8).flat_map(|_| random.next_u64().to_le_bytes()).collect();
    let begin = clock.monotonic();
    for number in 0..CONTENT_BYTES / FILE_BYTES {
        let path = folder.join(format!("bare-{number}"));
        let mut file = File::create(&path).expect("a file");
        for _ in 0..FILE_BYTES / piece.len() {
            file.write_all(&piece).expect("room");
        }
        file.sync_all().expect("a sync");
        std::fs::remove_file(&path).expect("the file");
    }
    CONTENT_BYTES as f64 / (clock.monotonic() - begin).as_secs_f64()
}
