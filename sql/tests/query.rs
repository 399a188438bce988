//! Queries end to end: golden scripts of statements and their rows, over shards in memory.
//!
//! A script's command is a statement, written after `>`. Its output is the names of the columns, the
//! rows, and the warnings, or the error. Tags before `>`: `sort` sorts the rows, for statements that
//! promise no order; `types` shows what a client is told about the columns instead of the rows;
//! `count` shows the number of rows only; `node2` to `node9` run the statement in a session of that node,
//! which loads the catalog when it is first named.

use base::{NodeId, SystemClock};
use goldenscript::{Command, Context, Runner};
use sql::instance::{Cluster, Instance, InstanceConfig, NodeRow, ShardRow};
use sql::session::{ColumnMeta, Outcome, Session, SessionInfo};
use sql::value::Row;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use txn::testing::MemoryCluster;

test_each_file::test_each_path! { in "sql/src/testscripts/query" => script }

fn script(path: &std::path::Path) {
    goldenscript::run(&mut Queries::new(), path).expect("the script runs");
}

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

/// A session of each node named so far, over three data shards.
struct Queries {
    runtime: tokio::runtime::Runtime,
    client: Arc<MemoryCluster>,
    sessions: BTreeMap<u32, Session>,
    /// Spilled data of the script.
    temp: tempfile::TempDir,
}

impl Queries {
    fn new() -> Queries {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let temp = tempfile::tempdir().expect("a folder");
        let client = MemoryCluster::new(3, SystemClock::shared()).expect("a cluster");
        let mut queries = Queries { runtime, client, sessions: BTreeMap::new(), temp };
        let session = queries.connect(1);
        queries.sessions.insert(1, session);
        queries.execute(1, "CREATE DATABASE test").expect("a new database");
        queries.execute(1, "USE test").expect("the database is there");
        queries
    }

    /// A session of a node that has just started.
    fn connect(&self, node: u32) -> Session {
        let instance = Instance::new(InstanceConfig {
            client: self.client.clone(),
            cluster: Arc::new(Alone),
            clock: SystemClock::shared(),
            node: NodeId(node.into()),
            version: "8.0.46-PrecinctDB".to_string(),
            temp_dir: self.temp.path().to_path_buf(),
            local_infile: false,
            variables: BTreeMap::new(),
        });
        self.runtime.block_on(instance.bootstrap()).expect("a cluster that answers");
        instance.session(SessionInfo {
            connection_id: node,
            user: "root".to_string(),
            host: "localhost".to_string(),
            found_rows: false,
            interactive: false,
        })
    }

    fn execute(&mut self, node: u32, sql: &str) -> sql::Result<Outcome> {
        if !self.sessions.contains_key(&node) {
            let session = self.connect(node);
            self.sessions.insert(node, session);
            self.execute(node, "USE test")?;
        }
        let session = self.sessions.get_mut(&node).expect("just inserted");
        self.runtime.block_on(session.execute(sql)).0
    }

    fn rows(&mut self, node: u32, sql: &str, context: &Context) -> sql::Result<String> {
        let mut out = String::new();
        match self.execute(node, sql)? {
            Outcome::Ok(ok) if ok.affected_rows > 0 => {
                writeln!(out, "{} rows", ok.affected_rows).expect("a string");
            }
            Outcome::Ok(_) => writeln!(out, "ok").expect("a string"),
            Outcome::Many { results, end } => {
                for (columns, rows) in results {
                    out.push_str(&shown(&columns, &rows, context));
                }
                writeln!(out, "{} rows", end?.affected_rows).expect("a string");
            }
            Outcome::LocalInfile { file_name } => writeln!(out, "{file_name}").expect("a string"),
            Outcome::Rows { columns, rows } => {
                let rows = self.runtime.block_on(rows.collect())?;
                out = shown(&columns, &rows, context);
            }
        }
        Ok(out)
    }

    fn warnings(&mut self, node: u32) -> String {
        let mut out = String::new();
        if self.sessions[&node].status().warnings > 0
            && let Ok(Outcome::Rows { rows, .. }) = self.execute(node, "SHOW WARNINGS")
        {
            for row in self.runtime.block_on(rows.collect()).unwrap_or_default() {
                let cells: Vec<String> = row.iter().map(|value| format!("{value:?}")).collect();
                writeln!(out, "warning: {}", cells.join(" ")).expect("a string");
            }
        }
        out
    }
}

fn shown(columns: &[ColumnMeta], rows: &[Row], context: &Context) -> String {
    let mut out = String::new();
    if context.tags.contains("types") {
        for column in columns {
            writeln!(
                out,
                "{}: {} length={} decimals={} flags={} from {}.{}.{} ({})",
                column.name,
                column.ty.kind_name(),
                column.ty.length,
                column.ty.decimals,
                column.flags.0,
                column.database,
                column.org_table,
                column.org_name,
                column.table,
            )
            .expect("a string");
        }
        return out;
    }
    if context.tags.contains("count") {
        return format!("{} rows\n", rows.len());
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    writeln!(out, "{}", names.join(" | ")).expect("a string");
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            assert_eq!(row.len(), columns.len(), "a row as wide as its columns");
            let cells: Vec<String> = row
                .iter()
                .zip(columns)
                .map(|(value, column)| value.to_text(&column.ty).unwrap_or("NULL".to_string()))
                .collect();
            cells.join(" | ")
        })
        .collect();
    if context.tags.contains("sort") {
        lines.sort();
    }
    for line in lines {
        writeln!(out, "{line}").expect("a string");
    }
    out
}

impl Runner for Queries {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let tagged = context.tags.iter().find_map(|tag| tag.strip_prefix("node")?.parse().ok());
        let node = tagged.unwrap_or(1);
        let mut out = match self.rows(node, &command.name, context) {
            Ok(out) => out,
            Err(error) => return Ok(format!("{error}\n")),
        };
        out.push_str(&self.warnings(node));
        Ok(out)
    }
}
