//! What an append to the node's Raft log costs on a real disk: alone, and when many replicas share a sync.

#![allow(missing_docs)] // `criterion_group!` makes a public function without words.

use base::{ReplicaId, ShardId, SystemClock};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use openraft::EntryPayload;
use raft::log::record::Key;
use raft::log::{LogOptions, SharedLog};
use raft::type_config::{Command, Entry, log_id};
use raft::{FileDisk, FlushMode};
use std::sync::Arc;

/// Bytes of a command: a row or two.
const COMMAND_BYTES: usize = 256;
/// Entries a replica keeps before the benchmark purges them.
const KEPT: u64 = 10_000;

/// Appends one entry to each of the replicas at once and waits for all of them.
async fn append_round(log: &SharedLog, replicas: u64, index: u64) {
    let mut waits = Vec::with_capacity(replicas as usize);
    for replica in 0..replicas {
        let key: Key = (ShardId(replica), ReplicaId(replica + 1));
        let command = Command(Bytes::from_static(&[7; COMMAND_BYTES]));
        let entry = Entry { log_id: log_id(1, index), payload: EntryPayload::Normal(command) };
        let (sender, synced) = tokio::sync::oneshot::channel();
        let done = Box::new(move || _ = sender.send(()));
        log.append(key, vec![entry], done).await.expect("the log takes entries in order");
        if index > 0 && index.is_multiple_of(KEPT) {
            drop(log.purge(key, log_id(1, index - 1)));
        }
        waits.push(synced);
    }
    for synced in waits {
        synced.await.expect("the flusher lives");
    }
}

fn log_append(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut group = criterion.benchmark_group("log_append");
    for replicas in [1, 16, 128] {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let disk = Arc::new(FileDisk::open(folder.path()).expect("the folder can be used"));
        let options = LogOptions::default();
        let log = runtime
            .block_on(async {
                SharedLog::open(disk, options, FlushMode::Thread, SystemClock::shared())
            })
            .expect("an empty log opens");
        group.throughput(Throughput::Elements(replicas));
        let mut index = 0;
        group.bench_function(BenchmarkId::new("replicas", replicas), |bencher| {
            bencher.iter(|| {
                runtime.block_on(append_round(&log, replicas, index));
                index += 1;
            });
        });
        log.close();
    }
    group.finish();
}

criterion_group!(benches, log_append);
criterion_main!(benches);
