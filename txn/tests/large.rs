//! Scans over many pages, transactions larger than an entry, transactions larger than memory.

use base::{IndexId, KeyRange, ShardId, Slot, SystemClock, TableId, limits};
use bytes::Bytes;
use engine::key::{KeyBuilder, table_prefix};
use std::sync::Arc;
use txn::command::Expect;
use txn::testing::MemoryCluster;
use txn::{Error, Mode, ScanOptions, Transaction, TransactionSizes};

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

/// A transaction that sends its writes whenever it is asked to make room.
fn sending(cluster: &Arc<MemoryCluster>) -> Transaction {
    let sizes = TransactionSizes { buffered_max: 0, ..TransactionSizes::default() };
    Transaction::begin(cluster.clone(), Mode::Snapshot).sized(sizes)
}

#[tokio::test]
async fn a_scan_of_a_large_transaction_does_not_see_what_is_written_while_it_is_open() {
    let cluster = cluster();
    let rows = 4 * limits::SCAN_PAGE_ROWS as u64;
    let mut txn = sending(&cluster);
    for number in 0..rows {
        txn.put(key(2 * number, 100), "first", Expect::Absent).unwrap();
    }
    txn.make_room().await.unwrap();
    assert!(txn.is_large());
    let ordered = ScanOptions { ordered: true, ..ScanOptions::default() };
    let range = KeyRange::prefix(table_prefix(TableId::FIRST_USER));
    let mut scan = txn.scan(range, ordered.clone()).await.unwrap();
    let mut seen = scan.next_page().await.unwrap().map_or(0, |page| page.len() as u64);
    // Ahead of the scan: rows that change, that are new, and one that goes.
    for number in rows - 10..rows {
        txn.put(key(2 * number, 100), "second", Expect::Any).unwrap();
        txn.put(key(2 * number + 1, 100), "second", Expect::Absent).unwrap();
    }
    txn.delete(key(2 * (rows - 20), 100), Expect::Any).unwrap();
    txn.make_room().await.unwrap();
    while let Some(page) = scan.next_page().await.unwrap() {
        assert!(page.iter().all(|(_, value)| value == "first"));
        seen += page.len() as u64;
    }
    assert_eq!(seen, rows);
    drop(scan);
    // What is asked afterwards does, before and after the commit, in either direction.
    for committed in [false, true] {
        if committed {
            txn.commit().await.unwrap();
        }
        let keys = read_all(&mut txn, ordered.clone()).await;
        assert_eq!(keys.len() as u64, rows + 10 - 1, "{committed}");
        assert!(keys.is_sorted());
        let mut backwards =
            read_all(&mut txn, ScanOptions { reverse: true, ..ordered.clone() }).await;
        backwards.reverse();
        assert!(backwards == keys, "{committed}");
        let changed = txn.get(&key(2 * (rows - 1), 100)).await.unwrap();
        assert_eq!(changed.as_deref(), Some(&b"second"[..]));
    }
}

#[tokio::test]
async fn the_locks_of_a_large_transaction_are_not_kept_in_memory_and_go_in_the_end() {
    let cluster = cluster();
    let rows = 3 * limits::FINISH_STEP_KEYS as u64;
    for commits in [true, false] {
        let mut txn = sending(&cluster);
        for number in 0..rows {
            txn.put(key(number, 100), "row", Expect::Any).unwrap();
        }
        txn.make_room().await.unwrap();
        if commits {
            txn.commit().await.unwrap();
        } else {
            txn.rollback();
        }
        let engine = &cluster.shard(ShardId(1)).unwrap().engine;
        let mut left = usize::MAX;
        for _ in 0..600 {
            tokio::time::sleep(limits::FINISH_LOOK).await;
            left = engine::mvcc::all_large(&**engine).unwrap().len();
            if left == 0 {
                break;
            }
        }
        assert_eq!(left, 0, "{commits}");
        let mut locks = 0;
        engine::mvcc::scan_large_locks(&**engine, &KeyRange::default(), false, |_, _| {
            locks += 1;
            Ok(true)
        })
        .unwrap();
        assert_eq!(locks, 0, "{commits}");
    }
    let mut txn = Transaction::begin(cluster.clone(), Mode::Snapshot);
    assert_eq!(read_all(&mut txn, ScanOptions::default()).await.len() as u64, rows);
}

#[tokio::test]
async fn a_transaction_above_the_limit_is_refused_and_rolled_back() {
    let cluster = cluster();
    let sizes = TransactionSizes { buffered_max: 0, total_max: 100 };
    let mut txn = Transaction::begin(cluster.clone(), Mode::Snapshot).sized(sizes);
    txn.put(key(1, 100), vec![1_u8; 50], Expect::Any).unwrap();
    txn.make_room().await.unwrap();
    txn.put(key(2, 100), vec![1_u8; 50], Expect::Any).unwrap();
    let refused = txn.make_room().await;
    assert!(
        matches!(&refused, Err(Error::TooLarge { what }) if what.contains("max_transaction_gib")),
        "{refused:?}"
    );
    assert!(matches!(txn.commit().await, Err(Error::NotUndoable)));
    let mut txn = Transaction::begin(cluster, Mode::Snapshot);
    assert!(read_all(&mut txn, ScanOptions::default()).await.is_empty());
}
