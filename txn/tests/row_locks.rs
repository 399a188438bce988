//! Row locks whose messages take their time.

use base::{IndexId, Rng, Slot, TableId};
use bytes::Bytes;
use engine::key::KeyBuilder;
use std::sync::Arc;
use std::time::Duration;
use txn::command::{LockMode, Patience};
use txn::testing::{MemoryCluster, PausedClock, RoughClient, Roughness};
use txn::{Mode, RowLock, Transaction};

fn key(slot: u16) -> Bytes {
    let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
    key.put_u64(1);
    key.finish(Slot(slot))
}

#[tokio::test(start_paused = true)]
async fn who_has_heard_of_a_rollback_finds_the_rows_free() {
    let cluster = MemoryCluster::new(2, Arc::new(PausedClock::start())).unwrap();
    let smooth = Roughness { loss: 0.0, late: 0.0, death: 0.0, stall: 0.0 };
    let client = RoughClient::new(cluster.clone(), Rng::seeded(1), smooth);
    let mut txn = Transaction::begin(client, Mode::Snapshot);
    let patience = Patience::Wait(Duration::from_secs(1));
    let lock = RowLock { mode: LockMode::Exclusive, patience };
    txn.lock(&[key(100), key(60_000)], lock).await.unwrap();
    assert_eq!(cluster.row_locks().len(), 2);
    txn.release_locks().await;
    assert!(cluster.row_locks().is_empty());
}
