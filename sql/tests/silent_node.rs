//! A node that others do not hear: what they go on with without it, and how it learns of that.
//!
//! A schema change is made while the node does not say what its sessions use; what its transactions have begun is refused when
//! it comes back. Table locks and user locks of its sessions are given up, and they are told.
//!
//! Two nodes over the same shards in memory. Where the clock stands still, a node keeps its lease on the old catalog until it is
//! told to renew it, as it would have to after a silence.

use base::{Clock, NodeId, SharedClock};
use sql::instance::{
    Cluster, Instance, InstanceConfig, NodeRow, ShardRow, TableUsers, TableWanted,
};
use sql::session::{Outcome, Session, SessionInfo};
use sql::value::{Row, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use txn::testing::MemoryCluster;

/// MySQL's numbers: a deadlock's victim; a definition that has changed. And what others gave up.
const DEADLOCK: u16 = 1213;
const TABLE_CHANGED: u16 = 1412;
const UNAVAILABLE: u16 = 9001;

/// The node that is not heard, whichever asks.
const OTHER: NodeId = NodeId(2);

struct StandingClock;

impl Clock for StandingClock {
    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn unix_micros(&self) -> u64 {
        1_767_323_045_678_000
    }
}

/// Time that goes on with that of the test.
#[derive(Default)]
struct MovingClock {
    ms: AtomicU64,
}

impl MovingClock {
    /// One that moves as long as the test runs.
    fn start() -> Arc<MovingClock> {
        const STEP: u64 = 50;
        let clock = Arc::new(MovingClock::default());
        let moved = clock.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(STEP)).await;
                moved.ms.fetch_add(STEP, Ordering::Relaxed);
            }
        });
        clock
    }
}

impl Clock for MovingClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(1000 + self.ms.load(Ordering::Relaxed))
    }

    fn unix_micros(&self) -> u64 {
        1_767_323_045_678_000 + self.ms.load(Ordering::Relaxed) * 1000
    }
}

/// Other nodes that never answer.
struct Silence;

#[async_trait::async_trait]
impl Cluster for Silence {
    async fn announce_catalog(&self, _: u64) -> bool {
        false
    }

    async fn announce_table_locks(&self, _: u64, _: &[TableWanted]) -> TableUsers {
        TableUsers { used: false, silent: BTreeSet::from([OTHER]) }
    }

    fn shards(&self) -> Vec<ShardRow> {
        Vec::new()
    }

    fn nodes(&self) -> Vec<NodeRow> {
        Vec::new()
    }
}

/// Another node that hears who wants tables and says whether it uses them, but neither says whether its sessions live nor
/// hears that a lock was removed.
#[derive(Default)]
struct HalfDeaf {
    other: OnceLock<Arc<Instance>>,
}

#[async_trait::async_trait]
impl Cluster for HalfDeaf {
    async fn announce_catalog(&self, _: u64) -> bool {
        false
    }

    async fn announce_table_locks(&self, version: u64, wanted: &[TableWanted]) -> TableUsers {
        let other = self.other.get().filter(|_| !wanted.is_empty());
        match other {
            Some(other) => match other.table_locks_announced(version, wanted).await {
                Ok(used) => TableUsers { used, ..TableUsers::default() },
                Err(_) => TableUsers { used: false, silent: BTreeSet::from([OTHER]) },
            },
            None => TableUsers { used: false, silent: BTreeSet::from([OTHER]) },
        }
    }

    fn shards(&self) -> Vec<ShardRow> {
        Vec::new()
    }

    fn nodes(&self) -> Vec<NodeRow> {
        Vec::new()
    }
}

fn node(id: u64, shards: &Arc<MemoryCluster>) -> Arc<Instance> {
    node_among(id, shards, Arc::new(Silence), Arc::new(StandingClock))
}

fn node_among(
    id: u64,
    shards: &Arc<MemoryCluster>,
    cluster: Arc<dyn Cluster>,
    clock: SharedClock,
) -> Arc<Instance> {
    Instance::new(InstanceConfig {
        client: shards.clone(),
        cluster,
        clock,
        node: NodeId(id),
        version: "8.0.46-PrecinctDB".into(),
        temp_dir: std::env::temp_dir().join("precinct-sql-tests"),
        local_infile: false,
        variables: BTreeMap::new(),
    })
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

/// The rows of a statement, or its error's number.
async fn run(session: &mut Session, sql: &str) -> Result<Vec<Row>, u16> {
    let rows = match session.execute(sql).await.0 {
        Ok(Outcome::Rows { rows, .. }) => rows.collect().await,
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    rows.map_err(|error| error.code)
}

async fn run_all(session: &mut Session, statements: &[&str]) {
    for sql in statements {
        assert!(run(session, sql).await.is_ok(), "{sql}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_silent_node_began_under_an_old_definition_is_refused() {
    let shards = MemoryCluster::new(4, Arc::new(StandingClock)).expect("a cluster in memory");
    let (here, there) = (node(1, &shards), node(2, &shards));
    here.bootstrap().await.expect("bootstrap");
    let (mut a, mut b) = (session(&here, 1), session(&there, 2));
    run_all(
        &mut a,
        &[
            "CREATE DATABASE d",
            "CREATE TABLE d.t (id INT PRIMARY KEY)",
            "CREATE TABLE d.u (id INT PRIMARY KEY)",
            "INSERT INTO d.u VALUES (1)",
        ],
    )
    .await;
    there.renew_catalog().await.expect("the meta shard answers");

    // Its row would be in the table, but under a name that the transaction has never heard of.
    run_all(&mut b, &["BEGIN", "INSERT INTO d.t VALUES (2)"]).await;
    run_all(&mut a, &["RENAME TABLE d.t TO d.t2"]).await;
    there.renew_catalog().await.expect("the meta shard answers");
    assert_eq!(run(&mut b, "COMMIT").await, Err(DEADLOCK));
    assert_eq!(run(&mut a, "SELECT id FROM d.t2").await, Ok(Vec::new()));

    // Its row would be lost.
    run_all(&mut b, &["BEGIN", "INSERT INTO d.t2 VALUES (3)"]).await;
    run_all(&mut a, &["TRUNCATE TABLE d.t2"]).await;
    there.renew_catalog().await.expect("the meta shard answers");
    assert_eq!(run(&mut b, "COMMIT").await, Err(TABLE_CHANGED));

    // The table would look empty at the read point.
    run_all(&mut b, &["BEGIN"]).await;
    assert_eq!(run(&mut b, "SELECT id FROM d.u").await, Ok(vec![vec![Value::Int(1)]]));
    run_all(&mut a, &["TRUNCATE TABLE d.u", "INSERT INTO d.u VALUES (4)"]).await;
    there.renew_catalog().await.expect("the meta shard answers");
    assert_eq!(run(&mut b, "SELECT id FROM d.u").await, Err(TABLE_CHANGED));
    run_all(&mut b, &["COMMIT"]).await;
    assert_eq!(run(&mut b, "SELECT id FROM d.u").await, Ok(vec![vec![Value::Int(4)]]));
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_a_table_lock_lets_its_last_owner_know_first() {
    let shards = MemoryCluster::new(4, Arc::new(StandingClock)).expect("a cluster in memory");
    // All owners of locks in these shards are node 1's: node 2 waits for what it cannot ask.
    let there = node(1, &shards);
    let cluster = Arc::new(HalfDeaf::default());
    let here = node_among(2, &shards, cluster.clone(), Arc::new(StandingClock));
    assert!(cluster.other.set(there.clone()).is_ok());
    there.bootstrap().await.expect("bootstrap");
    let (mut a, mut b) = (session(&here, 1), session(&there, 2));
    run_all(&mut b, &["CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)"]).await;
    here.renew_catalog().await.expect("the meta shard answers");

    run_all(&mut b, &["LOCK TABLES d.t WRITE", "INSERT INTO d.t VALUES (1)"]).await;
    here.renew_catalog().await.expect("the meta shard answers");
    run_all(&mut a, &["LOCK TABLES d.t WRITE"]).await;
    assert_eq!(run(&mut b, "INSERT INTO d.t VALUES (2)").await, Err(UNAVAILABLE));
    assert_eq!(run(&mut a, "SELECT id FROM d.t").await, Ok(vec![vec![Value::Int(1)]]));
}

/// The number that a function answers.
async fn call(session: &mut Session, function: &str) -> Result<Option<i64>, u16> {
    let rows = run(session, &format!("SELECT {function}")).await?;
    match rows[0][0] {
        Value::Int(number) => Ok(Some(number)),
        Value::Null => Ok(None),
        ref other => panic!("{function} answers {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_lost_a_user_lock_in_a_silence_is_told() {
    let clock = MovingClock::start();
    let shards = MemoryCluster::new(4, clock.clone()).expect("a cluster in memory");
    // All owners of locks in these shards are node 1's: node 2 waits for what it cannot ask.
    let there = node_among(1, &shards, Arc::new(Silence), clock.clone());
    let here = node_among(2, &shards, Arc::new(Silence), clock.clone());
    there.bootstrap().await.expect("bootstrap");
    let (mut a, mut b) = (session(&here, 1), session(&there, 2));
    run_all(&mut b, &["CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)"]).await;
    here.renew_catalog().await.expect("the meta shard answers");
    // What a leader does when it hears nothing from a node.
    let release = || {
        for owner in shards.row_locks().owners() {
            shards.row_locks().release_all(owner);
        }
    };

    // In a transaction, which counts on the lock.
    assert_eq!(call(&mut b, "GET_LOCK('z', 0)").await, Ok(Some(1)));
    run_all(&mut b, &["BEGIN", "INSERT INTO d.t VALUES (1)"]).await;
    release();
    assert_eq!(call(&mut a, "GET_LOCK('z', 10)").await, Ok(Some(1)));
    assert_eq!(run(&mut b, "COMMIT").await, Err(UNAVAILABLE));
    assert_eq!(run(&mut b, "SELECT id FROM d.t").await, Ok(Vec::new()));
    assert_eq!(call(&mut b, "GET_LOCK('z', 1)").await, Ok(Some(0)));
    assert_eq!(call(&mut b, "RELEASE_LOCK('z')").await, Ok(Some(0)));

    // The functions say it themselves.
    for name in ["x", "y"] {
        assert_eq!(call(&mut b, &format!("GET_LOCK('{name}', 0)")).await, Ok(Some(1)));
        assert_eq!(call(&mut b, &format!("GET_LOCK('{name}', 0)")).await, Ok(Some(1)));
    }
    release();
    for name in ["x", "y"] {
        assert_eq!(call(&mut a, &format!("GET_LOCK('{name}', 10)")).await, Ok(Some(1)));
    }
    assert_eq!(call(&mut b, "GET_LOCK('x', 0)").await, Ok(Some(0)));
    assert_eq!(call(&mut b, "RELEASE_ALL_LOCKS()").await, Ok(Some(0)));
    assert_eq!(call(&mut a, "RELEASE_ALL_LOCKS()").await, Ok(Some(3)));
    assert_eq!(call(&mut b, "RELEASE_LOCK('y')").await, Ok(None));
    assert_eq!(call(&mut b, "GET_LOCK('y', 0)").await, Ok(Some(1)));
    run_all(&mut b, &["INSERT INTO d.t VALUES (2)"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_silence_of_a_node_is_waited_for_once() {
    let clock = MovingClock::start();
    let shards = MemoryCluster::new(4, clock.clone()).expect("a cluster in memory");
    let there = node_among(1, &shards, Arc::new(Silence), clock.clone());
    let cluster = Arc::new(HalfDeaf::default());
    let here = node_among(2, &shards, cluster.clone(), clock.clone());
    assert!(cluster.other.set(there.clone()).is_ok());
    there.bootstrap().await.expect("bootstrap");
    let mut holders: Vec<Session> = (1..=8).map(|id| session(&there, id)).collect();
    run_all(&mut holders[0], &["CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)"]).await;
    here.renew_catalog().await.expect("the meta shard answers");
    for holder in &mut holders {
        run_all(holder, &["LOCK TABLES d.t READ"]).await;
    }
    let began = clock.monotonic();
    let mut a = session(&here, 9);
    run_all(&mut a, &["LOCK TABLES d.t WRITE"]).await;
    let waited = clock.monotonic() - began;
    assert!(waited > Duration::from_millis(2900) && waited < Duration::from_secs(4), "{waited:?}");
    for holder in &mut holders {
        assert_eq!(run(holder, "SELECT id FROM d.t").await, Err(UNAVAILABLE));
    }
}

#[tokio::test(start_paused = true)]
async fn who_stands_in_line_waits_for_a_silent_node_at_the_same_time() {
    let clock = MovingClock::start();
    let shards = MemoryCluster::new(4, clock.clone()).expect("a cluster in memory");
    let here = node_among(1, &shards, Arc::new(Silence), clock.clone());
    here.bootstrap().await.expect("bootstrap");
    let mut a = session(&here, 1);
    run_all(&mut a, &["CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)"]).await;
    let began = clock.monotonic();
    let lockers = (2..=5).map(|id| {
        let mut locker = session(&here, id);
        tokio::spawn(async move {
            run_all(&mut locker, &["LOCK TABLES d.t WRITE", "UNLOCK TABLES"]).await;
        })
    });
    for locker in lockers.collect::<Vec<_>>() {
        locker.await.expect("it locks and unlocks");
    }
    let waited = clock.monotonic() - began;
    assert!(waited > Duration::from_secs(9) && waited < Duration::from_secs(12), "{waited:?}");

    // Statements of nodes that answered go on.
    run_all(&mut a, &["BEGIN", "INSERT INTO d.t VALUES (1)"]).await;
    let mut b = session(&here, 6);
    let locker = tokio::spawn(async move {
        run_all(&mut b, &["LOCK TABLES d.t READ"]).await;
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    run_all(&mut a, &["INSERT INTO d.t VALUES (2)", "COMMIT"]).await;
    locker.await.expect("it locks");
}
