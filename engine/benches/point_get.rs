//! A point read: one probe for the newest version of a key, from files that the block cache holds.

use base::{IndexId, KeyRange, Rng, Slot, TableId, Timestamp};
use criterion::{Criterion, criterion_group, criterion_main};
use engine::key::KeyBuilder;
use engine::mvcc::{get, put_version, scan};
use engine::{Engine, RocksEngine, RocksOptions, RocksShared, WriteBatch};

const ROWS: u64 = 200_000;
const ROW_BYTES: usize = 200;

fn key(id: u64) -> bytes::Bytes {
    let mut builder = KeyBuilder::new(TableId(1000), IndexId(0));
    builder.put_u64(id);
    builder.finish(Slot(id as u16))
}

fn point_get(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let options = RocksOptions { block_cache_bytes: 256 << 20, ..RocksOptions::default() };
    let shared = RocksShared::new(options).unwrap();
    let engine = RocksEngine::open(&shared, folder.path()).unwrap();
    let mut rng = Rng::seeded(1);
    for first in (0..ROWS).step_by(1000) {
        let mut batch = WriteBatch::new();
        for id in first..first + 1000 {
            let row: Vec<u8> = (0..ROW_BYTES).map(|_| b'a' + rng.below(16) as u8).collect();
            put_version(&mut batch, &key(id), Timestamp(10), Some(&row));
        }
        engine.write(batch).unwrap();
    }
    engine.flush().unwrap();
    engine.compact();
    let view: &dyn Engine = &engine;

    criterion.bench_function("point get/present", |bench| {
        bench.iter(|| get(view, &key(rng.below(ROWS)), Timestamp::MAX).unwrap().unwrap())
    });
    criterion.bench_function("point get/absent", |bench| {
        bench.iter(|| get(view, &key(ROWS + rng.below(ROWS)), Timestamp::MAX).unwrap())
    });
    criterion.bench_function("point get/in an engine snapshot", |bench| {
        bench.iter(|| {
            let snapshot = engine.snapshot();
            get(&*snapshot, &key(rng.below(ROWS)), Timestamp::MAX).unwrap().unwrap()
        })
    });
    criterion.bench_function("scan/100 rows", |bench| {
        bench.iter(|| {
            let first = rng.below(ROWS - 100);
            let range = KeyRange::new(key(first), key(first + 100));
            let mut bytes = 0;
            scan(view, &range, Timestamp::MAX, false, |_, _, row| {
                bytes += row.len();
                Ok(true)
            })
            .unwrap();
            bytes
        })
    });
}

criterion_group!(benches, point_get);
criterion_main!(benches);
