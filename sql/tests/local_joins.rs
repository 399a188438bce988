//! A local join goes on while all shards are split under it: partitions are ranges of slots, whoever owns them. So does a read of a
//! broadcast table: its copy is a slot.

use base::{NodeId, Slot, SystemClock};
use futures::StreamExt;
use sql::instance::{Cluster, Instance, InstanceConfig, NodeRow, ShardRow};
use sql::session::{Outcome, RowSource, Session, SessionInfo};
use sql::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::ShardClient;
use txn::testing::MemoryCluster;

/// More than are joined at the same time.
const SHARDS: u32 = 12;
/// Rows of each table: several pages of the result.
const ROWS: usize = 20_000;
/// Fewer than a broadcast table has copies.
const SHARDS_OF_COPIES: u32 = 3;
/// Rows of a broadcast table: more than come at once.
const ROWS_OF_COPIES: usize = 10_000;

/// A cluster of one node.
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

async fn connect(client: Arc<MemoryCluster>, temp: &std::path::Path) -> Session {
    let instance = Instance::new(InstanceConfig {
        client,
        cluster: Arc::new(Alone),
        clock: SystemClock::shared(),
        node: NodeId(1),
        version: "8.0.46-PrecinctDB".to_string(),
        temp_dir: temp.to_path_buf(),
        local_infile: false,
        variables: BTreeMap::new(),
    });
    instance.bootstrap().await.expect("a cluster that answers");
    instance.session(SessionInfo {
        connection_id: 1,
        user: "root".to_string(),
        host: "localhost".to_string(),
        found_rows: false,
        interactive: false,
    })
}

async fn run(session: &mut Session, sql: &str) -> RowSource {
    match session.execute(sql).await.0.expect("the statement runs") {
        Outcome::Rows { rows, .. } => rows,
        _ => RowSource::Ready(Vec::new()),
    }
}

async fn split_all(cluster: &MemoryCluster) {
    for route in cluster.data_shards().expect("a map") {
        let middle = Slot(((route.slots.start + route.slots.end) / 2) as u16);
        cluster.split(route.shard, middle).await.expect("a shard that can be split");
    }
}

#[tokio::test]
async fn every_pair_comes_once_though_all_shards_are_split() {
    let temp = tempfile::tempdir().expect("a folder");
    let cluster = MemoryCluster::new(SHARDS, SystemClock::shared()).expect("a cluster");
    let mut session = connect(cluster.clone(), temp.path()).await;
    for sql in ["CREATE DATABASE d", "USE d", "CREATE TABLE person (id INT PRIMARY KEY)"] {
        run(&mut session, sql).await;
    }
    run(&mut session, "CREATE TABLE offence (id INT PRIMARY KEY, n INT)").await;
    let numbers: Vec<usize> = (0..ROWS).collect();
    for part in numbers.chunks(2000) {
        let persons: Vec<String> = part.iter().map(|id| format!("({id})")).collect();
        let offences: Vec<String> = part.iter().map(|id| format!("({id}, 1)")).collect();
        run(&mut session, &format!("INSERT INTO person VALUES {}", persons.join(", "))).await;
        run(&mut session, &format!("INSERT INTO offence VALUES {}", offences.join(", "))).await;
    }
    let join = "SELECT p.id, o.n FROM person p LEFT JOIN offence o ON o.id = p.id";
    let RowSource::Stream(mut pages) = run(&mut session, join).await else {
        panic!("more rows than come at once");
    };
    let mut rows = pages.next().await.expect("a page").expect("rows");
    split_all(&cluster).await;
    while let Some(page) = pages.next().await {
        rows.append(&mut page.expect("rows after the split"));
    }
    assert_eq!(cluster.data_shard_ids().len() as u32, 2 * SHARDS);
    let mut ids: Vec<i64> = rows
        .iter()
        .map(|row| match row[..] {
            [Value::Int(id), Value::Int(1)] => id,
            _ => panic!("{row:?} is not a person with an offence"),
        })
        .collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..ROWS as i64));
}

#[tokio::test]
async fn every_row_of_a_broadcast_table_comes_once_though_all_shards_are_split() {
    let temp = tempfile::tempdir().expect("a folder");
    let clock = SystemClock::shared();
    let cluster = MemoryCluster::new(SHARDS_OF_COPIES, clock).expect("a cluster");
    let mut session = connect(cluster.clone(), temp.path()).await;
    let table = "CREATE TABLE kind (id INT PRIMARY KEY) shardkey=noshardkey_allset";
    for sql in ["CREATE DATABASE d", "USE d", table] {
        run(&mut session, sql).await;
    }
    let numbers: Vec<usize> = (0..ROWS_OF_COPIES).collect();
    for part in numbers.chunks(2000) {
        let kinds: Vec<String> = part.iter().map(|id| format!("({id})")).collect();
        run(&mut session, &format!("INSERT INTO kind VALUES {}", kinds.join(", "))).await;
    }
    let RowSource::Stream(mut pages) = run(&mut session, "SELECT id FROM kind").await else {
        panic!("more rows than come at once");
    };
    let mut rows = pages.next().await.expect("a page").expect("rows");
    split_all(&cluster).await;
    while let Some(page) = pages.next().await {
        rows.append(&mut page.expect("rows after the split"));
    }
    assert_eq!(cluster.data_shard_ids().len() as u32, 2 * SHARDS_OF_COPIES);
    let mut ids: Vec<i64> = rows
        .iter()
        .map(|row| match row[..] {
            [Value::Int(id)] => id,
            _ => panic!("{row:?} is not a kind"),
        })
        .collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..ROWS_OF_COPIES as i64));
}
