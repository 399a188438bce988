//! Table locks are handed over at once: whoever waits for one does not sleep when it is free.
//!
//! Time stands still as long as somebody has work to do, so a sleeper does not wake here.

use base::{NodeId, SystemClock};
use sql::instance::{Cluster, Instance, InstanceConfig, NodeRow, ShardRow};
use sql::session::{Session, SessionInfo};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use txn::testing::MemoryCluster;

/// Turns of other tasks within which a statement that does not sleep ends.
const TURNS: usize = 20_000;

/// No other nodes.
struct Alone;

#[async_trait::async_trait]
impl Cluster for Alone {
    async fn announce_catalog(&self, _: u64) -> bool {
        true
    }

    fn shards(&self) -> Vec<ShardRow> {
        Vec::new()
    }

    fn nodes(&self) -> Vec<NodeRow> {
        Vec::new()
    }
}

fn session(node: &Arc<Instance>, connection_id: u32) -> Session {
    node.session(SessionInfo {
        connection_id,
        user: "root".into(),
        host: "localhost".into(),
        found_rows: false,
        interactive: false,
    })
}

async fn run(session: &mut Session, sql: &str) {
    assert!(session.execute(sql).await.0.is_ok(), "{sql}");
}

/// A statement that has to wait, and has waited for a while.
async fn waiting(mut session: Session, sql: &'static str) -> JoinHandle<Session> {
    let waiting = tokio::spawn(async move {
        run(&mut session, sql).await;
        session
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!waiting.is_finished(), "{sql}");
    waiting
}

/// What it comes to without a sleep.
async fn awake(waiting: JoinHandle<Session>) -> Session {
    for _ in 0..TURNS {
        if waiting.is_finished() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(waiting.is_finished(), "it sleeps");
    waiting.await.expect("the statement ends")
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_table_lock_goes_on_when_it_is_free() {
    let clock = SystemClock::shared();
    let shards = MemoryCluster::new(4, clock.clone()).expect("a cluster in memory");
    let node = Instance::new(InstanceConfig {
        client: shards,
        cluster: Arc::new(Alone),
        clock,
        node: NodeId(1),
        version: "8.0.46-PrecinctDB".into(),
        temp_dir: std::env::temp_dir().join("precinct-sql-tests"),
        local_infile: false,
        variables: BTreeMap::new(),
    });
    node.bootstrap().await.expect("bootstrap");
    let (mut a, b, c) = (session(&node, 1), session(&node, 2), session(&node, 3));
    run(&mut a, "CREATE DATABASE d").await;
    run(&mut a, "CREATE TABLE d.t (id INT PRIMARY KEY)").await;
    run(&mut a, "LOCK TABLES d.t WRITE").await;
    let b = waiting(b, "LOCK TABLES d.t WRITE").await;
    let c = waiting(c, "INSERT INTO d.t VALUES (1)").await;
    run(&mut a, "UNLOCK TABLES").await;
    let mut b = awake(b).await;
    run(&mut b, "UNLOCK TABLES").await;
    awake(c).await;
}
