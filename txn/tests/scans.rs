//! Short ranges over many shards: their first pages are tried, here or with one message, and what a try leaves is asked for.

use base::{IndexId, KeyRange, Slot, SystemClock, TableId, limits};
use bytes::Bytes;
use engine::key::{KeyBuilder, table_prefix};
use std::sync::Arc;
use txn::command::{Change, Expect, KeyWrite, WriteRequest};
use txn::testing::{Cancels, FarClient, MemoryCluster};
use txn::{Mode, ScanOptions, ShardClient, Transaction};

const SHARDS: u32 = 32;

/// Row keys in order, one after the other on all shards.
fn keys(count: u64) -> Vec<Bytes> {
    let key = |number: u64| {
        let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
        key.put_u64(number);
        key.finish(Slot((number % u64::from(SHARDS)) as u16 * (65_536 / SHARDS) as u16))
    };
    (0..count).map(key).collect()
}

async fn filled(keys: &[Bytes]) -> Arc<MemoryCluster> {
    let cluster = MemoryCluster::new(SHARDS, SystemClock::shared()).expect("a cluster");
    // A transaction per shard: each is over with its one entry, and no lock is left to be finished.
    for shard in 0..SHARDS as usize {
        let mut txn = Transaction::begin(cluster.clone(), Mode::Snapshot);
        for key in keys.iter().skip(shard).step_by(SHARDS as usize) {
            txn.put(key.clone(), "row", Expect::Absent).unwrap();
        }
        txn.commit().await.unwrap();
    }
    cluster
}

async fn read_all(client: Arc<dyn ShardClient>, options: ScanOptions) -> Vec<Bytes> {
    let mut txn = Transaction::begin(client, Mode::Snapshot);
    let range = KeyRange::prefix(table_prefix(TableId::FIRST_USER));
    let mut scan = txn.scan(range, options).await.unwrap();
    let mut keys = Vec::new();
    while let Some(page) = scan.next_page().await.unwrap() {
        assert!(!page.is_empty());
        keys.extend(page.into_iter().map(|(key, _)| key));
    }
    keys
}

fn ordered() -> ScanOptions {
    ScanOptions { ordered: true, ..ScanOptions::default() }
}

/// Reads all rows in every way, and compares.
async fn check(client: Arc<dyn ShardClient>, all: &[Bytes]) {
    assert!(read_all(client.clone(), ordered()).await == all, "ordered");
    let reverse = ScanOptions { reverse: true, ..ordered() };
    let mut backwards = read_all(client.clone(), reverse).await;
    backwards.reverse();
    assert!(backwards == all, "reverse");
    let mut unordered = read_all(client.clone(), ScanOptions::default()).await;
    unordered.sort_unstable();
    assert!(unordered == all, "unordered");
    let limit = Some(7);
    let first = read_all(client.clone(), ScanOptions { limit, ..ordered() }).await;
    assert!(first == all[..7], "limit");
    let some = read_all(client, ScanOptions { limit, ..ScanOptions::default() }).await;
    assert!(some.len() == 7 && some.iter().all(|key| all.contains(key)), "limit, unordered");
}

#[tokio::test]
async fn rows_are_the_same_wherever_the_leaders_are() {
    // The longer one leaves a rest on every shard after its first page.
    for count in [100, u64::from(SHARDS) * (limits::SCAN_TRY_ROWS as u64 + 3)] {
        let all = keys(count);
        let cluster = filled(&all).await;
        check(cluster.clone(), &all).await;
        check(FarClient::new(cluster, Cancels::Arrive), &all).await;
    }
}

#[tokio::test]
async fn a_short_range_over_many_shards_is_one_message_for_their_node() {
    let all = keys(100);
    let far = FarClient::new(filled(&all).await, Cancels::Arrive);
    assert!(read_all(far.clone(), ordered()).await == all);
    assert_eq!(far.reads(), 1);
}

#[tokio::test]
async fn only_a_shard_with_a_lock_in_the_way_is_asked_again() {
    let all = keys(u64::from(SHARDS));
    let cluster = filled(&all).await;
    // Left behind by a coordinator that is gone for long.
    let (key, start_ts) = (all[5].clone(), cluster.timestamp().await.unwrap());
    let change = Change::Put("never".into());
    let left = WriteRequest::Prewrite {
        start_ts,
        primary: key.clone(),
        expires_unix_ms: 0,
        writes: vec![KeyWrite { key: key.clone(), change, expect: Expect::Any }],
        owner: None,
        secondaries: None,
        round: None,
    };
    cluster.write(cluster.locate(&key).unwrap(), left).await.unwrap();
    let far = FarClient::new(cluster, Cancels::Arrive);
    assert!(read_all(far.clone(), ordered()).await == all);
    // All at once; the one with the lock; and once more, after the lock is gone.
    assert_eq!(far.reads(), 3);
}

#[tokio::test]
async fn a_limit_asks_for_no_more_rows_than_it_may_need() {
    let all = keys(u64::from(SHARDS) * 20);
    let far = FarClient::new(filled(&all).await, Cancels::Arrive);
    let first = read_all(far.clone(), ScanOptions { limit: Some(7), ..ordered() }).await;
    assert!(first == all[..7]);
    assert_eq!(far.reads(), 1);
}
