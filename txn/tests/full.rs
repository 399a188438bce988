//! A node whose disk is full: no new writes, but what was begun ends and reads go on.

use base::{IndexId, ShardId, Slot, SlotRange, SystemClock, TableId};
use bytes::Bytes;
use engine::key::KeyBuilder;
use txn::command::{Change, Expect, KeyWrite, WriteRequest, WriteResponse};
use txn::testing::MemoryCluster;
use txn::{Error, Mode, ShardClient, Transaction};

const WHY: &str = "node 3 takes no new writes: its disk has 1 MiB left";

fn key(number: u64, slot: u16) -> Bytes {
    let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
    key.put_u64(number);
    key.finish(Slot(slot))
}

#[tokio::test]
async fn a_full_node_refuses_new_writes_with_its_sentence_and_serves_reads() {
    let cluster = MemoryCluster::new(2, SystemClock::shared()).unwrap();
    let shard = cluster.shard(ShardId(1)).unwrap();
    let mut txn = Transaction::begin(cluster.clone(), Mode::Latest);
    txn.put(key(1, 100), "before", Expect::Any).unwrap();
    txn.commit().await.unwrap();

    shard.replication.set_full(Some(WHY));
    let mut txn = Transaction::begin(cluster.clone(), Mode::Latest);
    assert_eq!(txn.get(&key(1, 100)).await.unwrap().as_deref(), Some(&b"before"[..]));
    txn.put(key(1, 100), "after", Expect::Any).unwrap();
    let refused = txn.commit().await.unwrap_err();
    assert!(matches!(&refused, Error::DiskFull { what } if what == WHY), "{refused:?}");
    assert!(!refused.is_retryable());

    // Two shards: the one that is well is left clean too.
    let mut txn = Transaction::begin(cluster.clone(), Mode::Latest);
    txn.put(key(2, 100), "x", Expect::Absent).unwrap();
    txn.put(key(2, 60_000), "x", Expect::Absent).unwrap();
    assert!(matches!(txn.commit().await, Err(Error::DiskFull { .. })));

    shard.replication.set_full(None);
    let mut txn = Transaction::begin(cluster.clone(), Mode::Latest);
    txn.put(key(2, 100), "y", Expect::Absent).unwrap();
    txn.put(key(2, 60_000), "y", Expect::Absent).unwrap();
    txn.commit().await.unwrap();
}

#[tokio::test]
async fn a_full_node_ends_what_was_begun() {
    let cluster = MemoryCluster::new(2, SystemClock::shared()).unwrap();
    let replication = &cluster.shard(ShardId(1)).unwrap().replication;
    let key = key(1, 100);
    let route = cluster.locate(&key).unwrap();
    let start_ts = cluster.timestamp().await.unwrap();
    let write = KeyWrite {
        key: key.clone(),
        change: Change::Put(Bytes::from_static(b"v")),
        expect: Expect::Any,
    };
    let prewrite = WriteRequest::Prewrite {
        start_ts,
        primary: key.clone(),
        expires_unix_ms: u64::MAX - 1,
        writes: vec![write.clone()],
        owner: None,
        secondaries: None,
        round: None,
    };
    cluster.write(route, prewrite.clone()).await.unwrap();
    replication.set_full(Some(WHY));
    for refused in [
        prewrite,
        WriteRequest::CommitNow { writes: vec![write], owner: None, id: None },
        WriteRequest::Bump { key: key.clone(), by: 1, at_least: 0 },
    ] {
        let outcome = cluster.write(route, refused).await;
        assert!(matches!(outcome, Err(Error::DiskFull { .. })), "{outcome:?}");
    }
    let commit_ts = cluster.timestamp().await.unwrap();
    let commit =
        WriteRequest::Commit { start_ts, commit_ts, keys: vec![key.clone()], kept: vec![] };
    let done = cluster.write(route, commit).await.unwrap();
    assert!(matches!(done, WriteResponse::Done { .. }), "{done:?}");
    let mut txn = Transaction::begin(cluster.clone(), Mode::Snapshot);
    assert_eq!(txn.get(&key).await.unwrap().as_deref(), Some(&b"v"[..]));

    // A replica that does not lead says that, so that the caller looks elsewhere.
    replication.depose();
    let bump = WriteRequest::Bump { key, by: 1, at_least: 0 };
    let outcome = cluster.shard(ShardId(1)).unwrap().shard.write(SlotRange::ALL, bump).await;
    assert!(matches!(outcome, Err(Error::NotServing { .. })), "{outcome:?}");
}
