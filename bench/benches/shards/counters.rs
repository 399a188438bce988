//! What it costs that a shard's leader counts its load (`txn/src/load.rs`): a point read with the counters, and they alone.
//!
//! The read is of an engine in memory, which is faster than a real one: the counters' part of a real read is smaller still
//! (`engine/benches/point_get.rs` has the probe of one).

use base::{IndexId, Rng, ShardId, Slot, SlotRange, SystemClock, TableId, Timestamp};
use bytes::Bytes;
use criterion::Criterion;
use engine::key::KeyBuilder;
use txn::command::{Change, Expect, KeyWrite, Version, WriteRequest};
use txn::shard::Shard;
use txn::testing::{LoadCounters, MemoryCluster};

/// Rows of the shard.
const ROWS: u64 = 10_000;
/// Rows of a write.
const BATCH: u64 = 100;
/// Bytes of a row.
const ROW_BYTES: usize = 100;
/// Keys that are read in turn.
const KEYS: usize = 4_096;

/// Both.
pub fn counters(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cluster = MemoryCluster::new(1, SystemClock::shared()).expect("a cluster in memory");
    let shard = &cluster.shard(ShardId(1)).expect("its only data shard").shard;
    runtime.block_on(fill(shard));
    let mut rng = Rng::seeded(1);
    let keys: Vec<Bytes> = (0..KEYS).map(|_| key(rng.below(ROWS))).collect();
    let found = read(shard, &keys[0]).expect("nothing to wait for").expect("a sound shard");
    assert!(found.is_some(), "the row is there");

    let mut group = criterion.benchmark_group("shard_counters");
    let mut turn = keys.iter().cycle();
    group.bench_function("point_read", |bench| {
        bench.iter(|| turn.next().map(|key| read(shard, key)))
    });
    let counters = LoadCounters::new(SystemClock::shared());
    let mut turn = keys.iter().cycle();
    group
        .bench_function("alone", |bench| bench.iter(|| turn.next().map(|key| counters.point(key))));
    group.finish();
}

/// The fast path of a point read.
fn read(shard: &Shard, key: &[u8]) -> Option<txn::Result<Option<Version>>> {
    shard.try_get(SlotRange::ALL, key, Timestamp::MAX)
}

async fn fill(shard: &Shard) {
    for first in (0..ROWS).step_by(BATCH as usize) {
        let writes = (first..first + BATCH).map(|id| KeyWrite {
            key: key(id),
            change: Change::Put(Bytes::from_static(&[7; ROW_BYTES])),
            expect: Expect::Absent,
        });
        let request = WriteRequest::CommitNow { writes: writes.collect(), owner: None, id: None };
        shard.write(SlotRange::ALL, request).await.expect("a sound shard");
    }
}

fn key(id: u64) -> Bytes {
    let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
    key.put_u64(id);
    key.finish(Slot(id as u16))
}
