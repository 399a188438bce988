//! Scans over many pages and transactions larger than an entry.

use base::{IndexId, KeyRange, ShardId, Slot, SystemClock, TableId, limits};
use bytes::Bytes;
use engine::key::{KeyBuilder, table_prefix};
use std::sync::Arc;
use txn::command::Expect;
use txn::testing::MemoryCluster;
use txn::{Error, Mode, ScanOptions, Transaction};

fn key(number: u64, slot: u16) -> Bytes {
    let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
    key.put_u64(number);
    key.finish(Slot(slot))
}

fn cluster() -> Arc<MemoryCluster> {
    MemoryCluster::new(4, SystemClock::shared()).expect("a cluster")
}

async fn read_all(txn: &mut Transaction, options: ScanOptions) -> Vec<Bytes> {
    let range = KeyRange::prefix(table_prefix(TableId::FIRST_USER));
    let mut scan = txn.scan(range, options).await.unwrap();
    let mut keys = Vec::new();
    while let Some(page) = scan.next_page().await.unwrap() {
        assert!(!page.is_empty());
        keys.extend(page.into_iter().map(|(key, _)| key));
    }
    keys
}

#[tokio::test]
async fn a_scan_over_many_pages_returns_each_row_once_and_in_order() {
    let cluster = cluster();
    let rows = 6 * limits::SCAN_PAGE_ROWS as u64;
    // Shard 1 has half of the rows, shard 4 none.
    let slot_of = |number: u64| [100, 100, 20_000, 40_000][number as usize % 4];
    let all: Vec<Bytes> = (0..rows).map(|number| key(number, slot_of(number))).collect();
    let mut txn = Transaction::begin(cluster.clone(), Mode::Snapshot);
    for key in &all {
        txn.put(key.clone(), "row", Expect::Absent).unwrap();
    }
    // Once from the own writes alone, once from the shards.
    for committed in [false, true] {
        if committed {
            txn.commit().await.unwrap();
        }
        let ordered = ScanOptions { ordered: true, ..ScanOptions::default() };
        assert!(read_all(&mut txn, ordered.clone()).await == all, "ordered, {committed}");
        let mut backwards =
            read_all(&mut txn, ScanOptions { reverse: true, ..ordered.clone() }).await;
        backwards.reverse();
        assert!(backwards == all, "reverse, {committed}");
        let mut unordered = read_all(&mut txn, ScanOptions::default()).await;
        unordered.sort_unstable();
        assert!(unordered == all, "unordered, {committed}");
        let limit = 2 * limits::SCAN_PAGE_ROWS + 5;
        let first = read_all(&mut txn, ScanOptions { limit: Some(limit), ..ordered }).await;
        assert!(first == all[..limit], "limit, {committed}");
    }
}

#[tokio::test]
async fn a_transaction_larger_than_an_entry_commits_on_one_shard() {
    let cluster = cluster();
    let mut txn = Transaction::begin(cluster.clone(), Mode::Snapshot);
    let value = Bytes::from(vec![7; 100_000]);
    let count = (limits::ENTRY_BYTES_MAX / value.len() + 20) as u64;
    for number in 0..count {
        txn.put(key(number, 100), value.clone(), Expect::Absent).unwrap();
    }
    assert!(txn.bytes() > limits::ENTRY_BYTES_MAX);
    txn.commit().await.unwrap();
    assert!(cluster.shard(ShardId(1)).unwrap().replication.entries() > 2);
    let keys = read_all(&mut txn, ScanOptions::default()).await;
    assert_eq!(keys.len() as u64, count);
}

#[tokio::test]
async fn a_row_of_the_largest_size_commits_and_a_larger_one_is_refused() {
    let cluster = cluster();
    let mut txn = Transaction::begin(cluster.clone(), Mode::Latest);
    let key = key(1, 100);
    let largest = Bytes::from(vec![1; limits::ROW_BYTES_MAX - key.len()]);
    txn.put(key.clone(), largest.clone(), Expect::Any).unwrap();
    txn.commit().await.unwrap();
    let read = txn.get(&key).await.unwrap();
    assert!(read.is_some_and(|value| value == largest));
    let larger = Bytes::from(vec![1; limits::ROW_BYTES_MAX]);
    let refused = txn.put(key, larger, Expect::Any);
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
}
