//! The ledger: rows that are inserted, some of them updated, each acknowledgement synced to the history
//! before the client goes on. In the end every acknowledged row must be there.

use super::client::{Client, GAVE_UP, Steady, Trouble};
use super::{Setup, Stop, Target, Workload};
use crate::history::check::{self, Verdict};
use crate::history::{Event, Failure, Op, Recorder};
use async_trait::async_trait;
use base::Rng;

/// Clients; their rows differ modulo this.
const CLIENTS: u64 = 2;
/// First process of the final reads; one per node.
const FINAL: u64 = 1000;

/// The workload.
pub(super) struct Ledger {
    statements: &'static Statements,
}

struct Statements {
    setup: Setup,
    table: &'static str,
    /// Row.
    insert: &'static str,
    /// Version, row.
    update: &'static str,
    read_all: &'static str,
}

const BY_PRIMARY_KEY: Statements = Statements {
    setup: Setup {
        name: "ledger",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.ledger",
        create: "CREATE TABLE chaos.ledger (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)",
    },
    table: "ledger",
    insert: "INSERT INTO chaos.ledger (id, version) VALUES (?, 1)",
    update: "UPDATE chaos.ledger SET version = ? WHERE id = ?",
    read_all: "SELECT id, version FROM chaos.ledger",
};

const BY_INDEX: Statements = Statements {
    setup: Setup {
        name: "ledger-index",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.ledger_index",
        create: "CREATE TABLE chaos.ledger_index (id BIGINT PRIMARY KEY, version BIGINT NOT NULL,
               KEY versions (version, id))",
    },
    table: "ledger_index",
    insert: "INSERT INTO chaos.ledger_index (id, version) VALUES (?, 1)",
    update: "UPDATE chaos.ledger_index SET version = ? WHERE id = ?",
    read_all: "SELECT id, version FROM chaos.ledger_index FORCE INDEX (versions) WHERE version > 0",
};

impl Ledger {
    /// Read back by primary key.
    pub(super) fn by_primary_key() -> Ledger {
        Ledger { statements: &BY_PRIMARY_KEY }
    }

    /// Read back by a secondary index.
    pub(super) fn by_index() -> Ledger {
        Ledger { statements: &BY_INDEX }
    }

    async fn once(&self, client: &mut Client<'_>, row: i64, version: i64) -> Result<(), Trouble> {
        let changed = if version == 1 {
            client.change(self.statements.insert, (row,)).await
        } else {
            client.change(self.statements.update, (version, row)).await
        };
        if changed.map_err(Trouble::committing)? == 0 {
            let message = format!("nothing was changed at row {row}");
            return Err(Trouble::before_commit(Failure { code: GAVE_UP, message }));
        }
        Ok(())
    }

    fn put(&self, key: i64, version: i64) -> Op {
        Op::Put { table: self.statements.table.into(), key, version }
    }
}

#[async_trait]
impl Workload for Ledger {
    fn setup(&self) -> &'static Setup {
        &self.statements.setup
    }

    async fn run(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        let mut connection = Client::new(target, client);
        let mut rng = Rng::seeded(client);
        let mut rows = 0;
        // Row and version of this client that were acknowledged last.
        let mut last: Option<(i64, i64)> = None;
        while connection.turn(stop).await {
            let (row, version) = match last {
                Some((row, version)) if rng.chance(0.2) => (row, version + 1),
                _ => {
                    rows += 1;
                    ((rows * CLIENTS + client) as i64, 1)
                }
            };
            let op = self.put(row, version);
            recorder.invoke(client, &op);
            let answer = self.once(&mut connection, row, version).await;
            // A row of unknown version is not written again: its versions must stay in order.
            last = answer.is_ok().then_some((row, version));
            connection.settle(recorder, client, &op, answer.map(|()| op.clone())).await;
            if last.is_some() {
                let recorder = recorder.clone();
                // A sync that failed is kept by the recorder; a panic in it would be a defect of ours.
                let synced = tokio::task::spawn_blocking(move || recorder.sync()).await;
                synced.expect("a sync does not panic");
            }
        }
    }

    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure> {
        let table = self.statements.table.to_string();
        for node in 0..target.nodes.len() {
            let process = FINAL + node as u64;
            recorder.invoke(process, &Op::ReadRows { table: table.clone(), rows: None });
            let mut steady = Steady::new(target, node);
            let rows: Vec<(i64, i64)> = steady.rows(self.statements.read_all, ()).await?;
            recorder.ok(process, &Op::ReadRows { table: table.clone(), rows: Some(rows) });
        }
        Ok(())
    }

    fn check(&self, history: &[Event]) -> Verdict {
        check::ledger(history)
    }
}
