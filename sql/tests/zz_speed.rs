//! Temporary measurement.
use base::{Clock, NodeId, SystemClock};
use sql::instance::{Cluster, Instance, InstanceConfig, NodeRow, ShardRow};
use sql::session::{Outcome, SessionInfo};
use sql::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
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
#[test]
fn speed() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    rt.block_on(async {
        let clock = SystemClock::shared();
        let client = txn::testing::MemoryCluster::new(8, clock.clone()).unwrap();
        let instance = Instance::new(InstanceConfig { client, cluster: Arc::new(Alone), clock: clock.clone(), node: NodeId(1), version: "8.0.46-PrecinctDB".into(), temp_dir: std::env::temp_dir(), local_infile: true, variables: BTreeMap::new() });
        instance.bootstrap().await.unwrap();
        let mut s = instance.session(SessionInfo { connection_id: 1, user: "root".into(), host: "localhost".into(), found_rows: false, interactive: false });
        for q in ["CREATE DATABASE d", "USE d", "CREATE TABLE crimes (crime_id VARCHAR(64), month CHAR(7) NOT NULL, a VARCHAR(60), b VARCHAR(60), lon DECIMAL(9,6), lat DECIMAL(9,6), loc VARCHAR(80), lsoa VARCHAR(12), lsoan VARCHAR(60), kind VARCHAR(40) NOT NULL, outcome VARCHAR(80), ctx VARCHAR(80), KEY (crime_id), KEY (lsoa)) shardkey=kind",
            "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, k INT, c CHAR(120), pad CHAR(60), KEY k (k))"] {
            s.execute(q).await.0.unwrap();
        }
        let kinds = ["Violence and sexual offences", "Anti-social behaviour", "Burglary", "Drugs", "Robbery", "Other theft", "Shoplifting"];
        let mut file = String::new();
        for i in 0..87_348 {
            file.push_str(&format!("{:064x},2018-07,West Yorkshire Police,West Yorkshire Police,-1.{:06},53.{:06},On or near Street {},E0101{:04},Bradford {:03}A,{},Investigation complete; no suspect identified,\n", (i as u64).wrapping_mul(0x9e3779b97f4a7c15), i, i, i % 1000, i % 2000, i % 500, kinds[i % 7]));
        }
        let t = clock.monotonic();
        let out = s.execute("LOAD DATA LOCAL INFILE 'x' INTO TABLE crimes FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' (@id, month, a, b, lon, lat, loc, lsoa, lsoan, kind, outcome, ctx) SET crime_id = NULLIF(@id, '')").await.0.unwrap();
        assert!(matches!(out, Outcome::LocalInfile { .. }));
        for chunk in file.as_bytes().chunks(16384) { s.infile_data(chunk).await.unwrap(); }
        let parsed = clock.monotonic() - t;
        let ok = s.infile_end().await.unwrap();
        eprintln!("load {:?} parse {:?} total {:?}", ok, parsed, clock.monotonic() - t);
        for i in 0..20 {
            let rows: Vec<String> = (0..500).map(|j| format!("({}, '{}', 'pad')", i * 500 + j, "c".repeat(100))).collect();
            s.execute(&format!("INSERT INTO t (k, c, pad) VALUES {}", rows.join(","))).await.0.unwrap();
        }
        let p = s.prepare("SELECT c FROM t WHERE id = ?").await.unwrap();
        let n = 50_000;
        let t = clock.monotonic();
        for i in 0..n { s.execute_prepared(p.id, vec![Value::Int(i % 10_000 + 1)]).await.unwrap(); }
        eprintln!("prepared point select {:?}", (clock.monotonic() - t) / n as u32);
        let t = clock.monotonic();
        for i in 0..n { s.execute(&format!("SELECT c FROM t WHERE id = {}", i % 10_000 + 1)).await.0.unwrap(); }
        eprintln!("text point select {:?}", (clock.monotonic() - t) / n as u32);
        let t = clock.monotonic();
        for _ in 0..n { s.execute("SELECT 1").await.0.unwrap(); }
        eprintln!("select 1 {:?}", (clock.monotonic() - t) / n as u32);
        let p = s.prepare("UPDATE t SET k = k + 1 WHERE id = ?").await.unwrap();
        let n = 5_000;
        let t = clock.monotonic();
        for i in 0..n { s.execute_prepared(p.id, vec![Value::Int(i % 10_000 + 1)]).await.unwrap(); }
        eprintln!("prepared update index {:?}", (clock.monotonic() - t) / n as u32);
        let p = s.prepare("INSERT INTO t (id, k, c, pad) VALUES (0, ?, ?, ?)").await.unwrap();
        let t = clock.monotonic();
        for i in 0..n { s.execute_prepared(p.id, vec![Value::Int(i), Value::Text("c".repeat(119)), Value::Text("p".repeat(59))]).await.unwrap(); }
        eprintln!("prepared insert {:?}", (clock.monotonic() - t) / n as u32);
        let p = s.prepare("SELECT c FROM t WHERE id BETWEEN ? AND ?").await.unwrap();
        let n = 2_000;
        let t = clock.monotonic();
        for i in 0..n { s.execute_prepared(p.id, vec![Value::Int(i), Value::Int(i + 99)]).await.unwrap(); }
        eprintln!("prepared range {:?}", (clock.monotonic() - t) / n as u32);
        let t = clock.monotonic();
        let (r, _) = s.execute("SELECT kind, COUNT(*) FROM crimes GROUP BY kind ORDER BY 2 DESC").await;
        if let Ok(Outcome::Rows { rows, .. }) = r { rows.collect().await.unwrap(); }
        eprintln!("group by {:?}", clock.monotonic() - t);
    });
}
