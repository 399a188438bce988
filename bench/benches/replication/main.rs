//! What replication costs: the log beside a bare fdatasync loop, a replicated write, a timestamp, idle replicas, a rebuild.
//!
//! ```text
//! 64 clients ─> txn::Shard ─> leader's log + 2 followers over loopback TCP, each with its own sync ─> answer
//! ```
//!
//! All three nodes live in this process, so CPU figures are the sum over the three replicas. Rounds of the
//! log and of the bare loop alternate, because disks of shared machines change from minute to minute.
//! Run by `make bench-replication`; the table goes to `bench/results/replication.md`.

mod nodes;
mod oracle;
mod rebuild;

use base::{ReplicaId, ShardId, SharedClock, SlotRange, SystemClock, TableId};
use bytes::Bytes;
use engine::key::KeyBuilder;
use nodes::{Counter, Nodes};
use openraft::EntryPayload;
use parking_lot::Mutex;
use raft::log::{LogOptions, SharedLog};
use raft::snapshot::transfers::SnapshotOptions;
use raft::type_config::{Command, Entry, log_id};
use raft::{FileDisk, FlushMode};
use server::shard_state::GroupReplication;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use txn::RowLocks;
use txn::command::{Change, Expect, KeyWrite, WriteRequest};
use txn::shard::Shard;

/// Clients that write at once.
const CLIENTS: u64 = 64;
/// Bytes of a written value.
const VALUE_BYTES: usize = 200;
/// Rounds of each measurement.
const ROUNDS: usize = 3;
/// Length of a round.
const ROUND: Duration = Duration::from_secs(4);
/// Length of the look at idle replicas.
const IDLE: Duration = Duration::from_secs(20);
/// Replicas of the idle node.
const IDLE_REPLICAS: u64 = 200;
/// Kernel clock ticks per second in /proc (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let mut report = format!(
        "# Replication\n\n{} cores; all nodes in one process on loopback; {ROUNDS} rounds of {} s; values of {VALUE_BYTES} bytes.\n\n\
         | what | figure |\n|---|---|\n",
        std::thread::available_parallelism().map_or(0, usize::from),
        ROUND.as_secs()
    );
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime")
    };
    // `cargo bench --bench replication -- idle` measures one part and leaves the table of the last whole run.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let part = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if part("log") {
        log_beside_a_bare_loop(&runtime(), &mut report);
    }
    if part("writes") {
        runtime().block_on(replicated_writes(&mut report));
    }
    if part("oracle") {
        runtime().block_on(oracle::timestamps(&mut report));
    }
    if part("idle") {
        runtime().block_on(idle_replicas(&mut report));
    }
    if part("rebuild") {
        runtime().block_on(rebuild::rebuild(&mut report));
    }
    println!("{report}");
    if !wanted.is_empty() {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/replication.md");
    std::fs::write(&path, report).expect("the results folder can be written");
}

/// Sum of user and system CPU time of this process, seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    // Fields 14 and 15 of proc(5); the rest after the name begins with field 3.
    let ticks = |field: usize| fields.get(field - 2).and_then(|text| text.parse::<f64>().ok());
    (ticks(14).expect("utime") + ticks(15).expect("stime")) / TICKS_PER_SECOND
}

/// Resident memory of this process, MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Syncs per second and entries per sync of the log under load, then a loop that does only the same syncs.
fn log_beside_a_bare_loop(runtime: &tokio::runtime::Runtime, report: &mut String) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let disk = Arc::new(FileDisk::open(&folder.path().join("log")).expect("a folder"));
    let clock = SystemClock::shared();
    let log = runtime
        .block_on(async {
            SharedLog::open(disk, LogOptions::default(), FlushMode::Thread, SystemClock::shared())
        })
        .expect("an empty log opens");
    let (mut log_rates, mut bare_rates, mut ratios, mut per_sync) =
        (vec![], vec![], vec![], vec![]);
    let mut first_index = vec![0; CLIENTS as usize];
    for _ in 0..ROUNDS {
        let before = log.metrics();
        let start = clock.monotonic();
        let entries = runtime.block_on(append_for(&log, &clock, &mut first_index));
        let seconds = (clock.monotonic() - start).as_secs_f64();
        let after = log.metrics();
        let syncs = (after.syncs - before.syncs) as f64;
        let bytes_per_sync = (after.bytes - before.bytes) as f64 / syncs;
        let entries_per_sync = entries as f64 / syncs;
        let bare = bare_syncs_per_second(folder.path(), bytes_per_sync as usize, &clock);
        log_rates.push(entries as f64 / seconds);
        bare_rates.push(bare * entries_per_sync);
        ratios.push(syncs / seconds / bare);
        per_sync.push(entries_per_sync);
    }
    log.close();
    let _ = writeln!(
        report,
        "| log, {CLIENTS} replicas appending: entries/s (entries per sync) | {:.0} ({:.1}) |\n\
         | bare loop of pwrite + fdatasync with the same batch: entries/s | {:.0} |\n\
         | log / bare loop, syncs per second (median) | {:.2} |",
        median(log_rates),
        median(per_sync),
        median(bare_rates),
        median(ratios)
    );
}

/// One client per replica appends and waits for its sync, over and over; returns the entries.
async fn append_for(log: &SharedLog, clock: &SharedClock, next: &mut [u64]) -> u64 {
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = next
        .iter()
        .enumerate()
        .map(|(client, index)| {
            let (log, stop, mut index) = (log.clone(), stop.clone(), *index);
            tokio::spawn(async move {
                let key = (ShardId(client as u64), ReplicaId(client as u64 + 1));
                while !stop.load(Ordering::Relaxed) {
                    let command = Command(Bytes::from_static(&[7; VALUE_BYTES]));
                    let payload = EntryPayload::Normal(command);
                    let entry = Entry { log_id: log_id(1, index), payload };
                    let (sender, synced) = tokio::sync::oneshot::channel();
                    let done = Box::new(move || _ = sender.send(()));
                    log.append(key, vec![entry], done).await.expect("in order");
                    if index > 0 && index.is_multiple_of(10_000) {
                        drop(log.purge(key, log_id(1, index - 1)));
                    }
                    synced.await.expect("the flusher lives");
                    index += 1;
                }
                index
            })
        })
        .collect();
    let end = clock.monotonic() + ROUND;
    while clock.monotonic() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut entries = 0;
    for (client, position) in clients.into_iter().zip(next) {
        let index = client.await.expect("a client does not panic");
        entries += index - *position;
        *position = index;
    }
    entries
}

/// fdatasync calls per second of a loop that does nothing else, on a preallocated file.
fn bare_syncs_per_second(folder: &Path, bytes: usize, clock: &SharedClock) -> f64 {
    let file = File::create(folder.join("bare")).expect("a file");
    let size: usize = 64 << 20;
    file.write_all_at(&vec![0; size], 0).expect("room");
    file.sync_all().expect("a sync");
    let batch = vec![7; bytes.max(1)];
    let (start, mut offset, mut syncs) = (clock.monotonic(), 0, 0_u32);
    while clock.monotonic() - start < ROUND {
        if offset + batch.len() > size {
            offset = 0;
        }
        file.write_all_at(&batch, offset as u64).expect("a write");
        file.sync_data().expect("a sync");
        offset += batch.len();
        syncs += 1;
    }
    f64::from(syncs) / (clock.monotonic() - start).as_secs_f64()
}

/// Writes of 200 bytes by 64 clients to one shard of three replicas.
async fn replicated_writes(report: &mut String) {
    let nodes = Nodes::start(1, SnapshotOptions::default()).await;
    let leader = nodes.leader(ShardId(1)).expect("waited for");
    let group = nodes.hosts[leader].group(ShardId(1)).expect("just found");
    let oracle = Arc::new(Counter::default());
    let replication = Arc::new(GroupReplication::new(group.clone()));
    let clock = SystemClock::shared();
    let row_locks = RowLocks::new(clock.clone());
    let shard = Arc::new(Shard::new(replication, group.engine(), oracle, row_locks));
    let (mut rates, mut cpu, mut per_sync, mut p50, mut p99) =
        (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS as u64 {
        let stop = Arc::new(AtomicBool::new(false));
        let latencies = Arc::new(Mutex::new(Vec::new()));
        let syncs_before = nodes.hosts[leader].metrics().log.syncs;
        let (cpu_before, start) = (cpu_seconds(), clock.monotonic());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (shard, stop, clock) = (shard.clone(), stop.clone(), clock.clone());
                let latencies = latencies.clone();
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    let mut row = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let mut key = KeyBuilder::new(TableId::FIRST_USER, base::IndexId(1));
                        key.put_u64(round);
                        key.put_u64(client);
                        key.put_u64(row);
                        row += 1;
                        let slot = key.slot();
                        let write = KeyWrite {
                            key: key.finish(slot),
                            change: Change::Put(Bytes::from_static(&[7; VALUE_BYTES])),
                            expect: Expect::Absent,
                        };
                        let began = clock.monotonic();
                        let commit =
                            WriteRequest::CommitNow { writes: vec![write], owner: None, id: None };
                        let written = shard.write(SlotRange::ALL, commit);
                        written.await.expect("a healthy group");
                        mine.push((clock.monotonic() - began).as_secs_f64() * 1e3);
                    }
                    latencies.lock().append(&mut mine);
                })
            })
            .collect();
        tokio::time::sleep(ROUND).await;
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.expect("a client does not panic");
        }
        let seconds = (clock.monotonic() - start).as_secs_f64();
        let mut all = std::mem::take(&mut *latencies.lock());
        all.sort_by(f64::total_cmp);
        let writes = all.len() as f64;
        let syncs = (nodes.hosts[leader].metrics().log.syncs - syncs_before) as f64;
        rates.push(writes / seconds);
        cpu.push((cpu_seconds() - cpu_before) * 1e6 / writes);
        per_sync.push(writes / syncs);
        p50.push(all[all.len() / 2]);
        p99.push(all[all.len() * 99 / 100]);
    }
    nodes.stop().await;
    let _ = writeln!(
        report,
        "| replicated writes, 3 replicas, {CLIENTS} clients: writes/s | {:.0} |\n\
         | transactions per sync of the leader's log | {:.1} |\n\
         | CPU of all three replicas and the clients per write, µs | {:.1} |\n\
         | latency p50 / p99, ms | {:.2} / {:.2} |",
        median(rates),
        median(per_sync),
        median(cpu),
        median(p50),
        median(p99)
    );
}

/// Many replicas that do nothing.
async fn idle_replicas(report: &mut String) {
    let nodes = Nodes::start(IDLE_REPLICAS, SnapshotOptions::default()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let clock = SystemClock::shared();
    let (cpu_before, start) = (cpu_seconds(), clock.monotonic());
    tokio::time::sleep(IDLE).await;
    let cores = (cpu_seconds() - cpu_before) / (clock.monotonic() - start).as_secs_f64();
    let memory = resident_mib();
    nodes.stop().await;
    let _ = writeln!(
        report,
        "| {IDLE_REPLICAS} idle replicas per node: CPU of one node, % of a core | {:.1} |\n\
         | {IDLE_REPLICAS} idle replicas per node: resident memory of one node, MiB | {:.0} |",
        cores / 3.0 * 100.0,
        memory / 3.0
    );
}
