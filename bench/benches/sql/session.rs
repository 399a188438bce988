//! A point query of a session over a shard in memory: text whose plan is known, and a prepared statement.

use crate::allocations;
use base::{NodeId, SystemClock};
use criterion::Criterion;
use sql::instance::{Cluster, Instance, InstanceConfig, NodeRow, ShardRow};
use sql::session::{Outcome, Session, SessionInfo};
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::testing::MemoryCluster;

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

/// Point queries by text, their time and their allocations: those of the shard in memory are among them.
pub fn point_queries(c: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let temp = tempfile::tempdir().expect("a folder");
    let instance = Instance::new(InstanceConfig {
        client: MemoryCluster::new(1, SystemClock::shared()).expect("a cluster"),
        cluster: Arc::new(Alone),
        clock: SystemClock::shared(),
        node: NodeId(1),
        version: "8.0.46-PrecinctDB".to_string(),
        temp_dir: temp.path().to_path_buf(),
        local_infile: false,
        variables: BTreeMap::new(),
    });
    runtime.block_on(instance.bootstrap()).expect("a cluster that answers");
    let mut session = instance.session(SessionInfo {
        connection_id: 1,
        user: "root".to_string(),
        host: "localhost".to_string(),
        found_rows: false,
        interactive: false,
    });
    for text in [
        "CREATE DATABASE bench",
        "USE bench",
        "CREATE TABLE t (id INT PRIMARY KEY, c VARCHAR(40))",
        "INSERT INTO t VALUES (42, 'a row that is asked for by its key')",
    ] {
        run(&runtime, &mut session, text);
    }
    c.bench_function("sql_session/point", |bencher| {
        bencher.iter(|| run(&runtime, &mut session, crate::POINT));
    });
    let asked = allocations::during(|| run(&runtime, &mut session, crate::POINT));
    println!("allocations: point query with its shard in memory: {asked}");
}

fn run(runtime: &tokio::runtime::Runtime, session: &mut Session, text: &str) -> usize {
    runtime.block_on(async {
        match session.execute(text).await.0.expect("an answer") {
            Outcome::Rows { rows, .. } => rows.collect().await.expect("rows").len(),
            _ => 0,
        }
    })
}
