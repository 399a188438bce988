//! Costs of the codecs that every row meets: keys, rows, write batches.

use base::{IndexId, Slot, TableId, Timestamp};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::WriteBatch;
use engine::key::{KeyBuilder, KeyReader};
use engine::mvcc::{decode_batch, encode_batch, put_version};
use engine::row::{RowReader, RowWriter};
use std::hint::black_box;

/// A key of an id and a name.
fn key(id: i64) -> bytes::Bytes {
    let mut builder = KeyBuilder::new(TableId(1000), IndexId(0));
    builder.put_i64(id);
    builder.put_bytes(b"West Yorkshire Police");
    builder.finish(Slot(id as u16))
}

/// A row of twelve columns, as a crime report has them.
fn row(id: i64) -> bytes::Bytes {
    let mut writer = RowWriter::new(12);
    writer.push_i64(id);
    writer.push_bytes(b"2018-07");
    writer.push_bytes(b"West Yorkshire Police");
    writer.push_bytes(b"West Yorkshire Police");
    writer.push_f64(-1.55);
    writer.push_f64(53.8);
    writer.push_bytes(b"On or near Park Lane");
    writer.push_bytes(b"E01011464");
    writer.push_bytes(b"Leeds 063A");
    writer.push_bytes(b"Violence and sexual offences");
    writer.push_bytes(b"Under investigation");
    writer.push_null();
    writer.finish()
}

fn keys(criterion: &mut Criterion) {
    criterion.bench_function("key/encode", |bench| bench.iter(|| key(black_box(42))));
    let encoded = key(42);
    criterion.bench_function("key/decode", |bench| {
        bench.iter(|| {
            let mut reader = KeyReader::new(black_box(&encoded)).unwrap();
            let id = reader.take_i64().unwrap();
            let name = reader.take_bytes().unwrap().map(|name| name.len());
            (id, name, reader.finish().unwrap())
        })
    });
}

fn rows(criterion: &mut Criterion) {
    criterion.bench_function("row/encode", |bench| bench.iter(|| row(black_box(42))));
    let encoded = row(42);
    criterion.bench_function("row/one column", |bench| {
        bench.iter(|| {
            RowReader::new(black_box(&encoded)).unwrap().column(9).unwrap().map(<[u8]>::len)
        })
    });
    criterion.bench_function("row/all columns", |bench| {
        bench.iter(|| {
            let reader = RowReader::new(black_box(&encoded)).unwrap();
            (0..reader.columns())
                .filter_map(|column| reader.column(column).unwrap())
                .map(<[u8]>::len)
                .sum::<usize>()
        })
    });
}

fn batches(criterion: &mut Criterion) {
    let mut batch = WriteBatch::new();
    for id in 0..100 {
        put_version(&mut batch, &key(id), Timestamp(1), Some(&row(id)));
    }
    let encoded = encode_batch(&batch);
    let mut group = criterion.benchmark_group("batch of 100 rows");
    group.throughput(Throughput::Bytes(encoded.len() as u64));
    group.bench_function("encode", |bench| bench.iter(|| encode_batch(black_box(&batch))));
    group.bench_function("decode", |bench| {
        bench.iter(|| decode_batch(black_box(&encoded)).unwrap())
    });
    group.finish();
}

criterion_group!(benches, keys, rows, batches);
criterion_main!(benches);
