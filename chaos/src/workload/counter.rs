//! Counters: a few rows that all clients increment. What is done twice, or not at all, shows.

use super::client::{Client, GAVE_UP, Steady, Trouble};
use super::{Setup, Stop, Target, Workload};
use crate::history::check::{self, Verdict};
use crate::history::{Event, Failure, Op, Recorder};
use async_trait::async_trait;
use base::Rng;

/// Counters.
const COUNTERS: u64 = 3;
/// Clients.
const CLIENTS: u64 = 3;
/// First process of the final reads; one per node.
const FINAL: u64 = 1000;

/// The workload.
pub(super) struct Counter {
    statements: &'static Statements,
}

struct Statements {
    setup: Setup,
    open: &'static str,
    /// Counter.
    increment: &'static str,
    /// Counter.
    read: &'static str,
}

const BY_PRIMARY_KEY: Statements = Statements {
    setup: Setup {
        name: "counter",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.counters",
        create: "CREATE TABLE chaos.counters (k BIGINT PRIMARY KEY, v BIGINT NOT NULL)",
    },
    open: "INSERT INTO chaos.counters (k, v) VALUES",
    increment: "UPDATE chaos.counters SET v = v + 1 WHERE k = ?",
    read: "SELECT v FROM chaos.counters WHERE k = ?",
};

const BY_INDEX: Statements = Statements {
    setup: Setup {
        name: "counter-index",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.counters_index",
        create:
        "CREATE TABLE chaos.counters_index (id BIGINT AUTO_INCREMENT PRIMARY KEY, k BIGINT NOT NULL,
               v BIGINT NOT NULL, KEY kv (k, v))",
    },
    open: "INSERT INTO chaos.counters_index (k, v) VALUES",
    increment: "UPDATE chaos.counters_index SET v = v + 1 WHERE k = ?",
    read: "SELECT v FROM chaos.counters_index WHERE k = ?",
};

impl Counter {
    /// Counters are found by their primary key.
    pub(super) fn by_primary_key() -> Counter {
        Counter { statements: &BY_PRIMARY_KEY }
    }

    /// Counters are found and read by a secondary index, in which each increment moves an entry.
    pub(super) fn by_index() -> Counter {
        Counter { statements: &BY_INDEX }
    }

    async fn once(&self, client: &mut Client<'_>, op: &Op) -> Result<Op, Trouble> {
        match *op {
            Op::Increment { key } => {
                let changed = client.change(self.statements.increment, (key,)).await;
                let changed = changed.map_err(Trouble::committing)?;
                if changed != 1 {
                    // Zero is sure not to have counted; of several the checker finds one too many.
                    let message = format!("UPDATE changed {changed} rows of counter {key}");
                    let failure = Failure { code: GAVE_UP, message };
                    return Err(Trouble { failure, sure: changed == 0 });
                }
                Ok(op.clone())
            }
            Op::ReadCounter { key, .. } => {
                let rows: Result<Vec<i64>, Failure> =
                    client.rows(self.statements.read, (key,)).await;
                Ok(value_read(key, &rows.map_err(Trouble::before_commit)?))
            }
            _ => Ok(op.clone()),
        }
    }
}

/// The answer of a read. A counter that shows two values shows one that nobody counted to.
fn value_read(key: i64, rows: &[i64]) -> Op {
    let value = if rows.len() > 1 { Some(i64::MAX) } else { rows.first().copied() };
    Op::ReadCounter { key, value }
}

#[async_trait]
impl Workload for Counter {
    fn setup(&self) -> &'static Setup {
        &self.statements.setup
    }

    fn begin(&self) -> Option<String> {
        let rows: Vec<String> = (0..COUNTERS).map(|counter| format!("({counter}, 0)")).collect();
        Some(format!("{} {}", self.statements.open, rows.join(", ")))
    }

    async fn run(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        let mut connection = Client::new(target, client);
        let mut rng = Rng::seeded(client);
        while connection.turn(stop).await {
            let key = rng.below(COUNTERS) as i64;
            let op = if rng.chance(0.5) {
                Op::Increment { key }
            } else {
                Op::ReadCounter { key, value: None }
            };
            recorder.invoke(client, &op);
            let answer = self.once(&mut connection, &op).await;
            connection.settle(recorder, client, &op, answer).await;
        }
    }

    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure> {
        for node in 0..target.nodes.len() {
            let mut steady = Steady::new(target, node);
            let process = FINAL + node as u64;
            for key in 0..COUNTERS as i64 {
                recorder.invoke(process, &Op::ReadCounter { key, value: None });
                let rows: Vec<i64> = steady.rows(self.statements.read, (key,)).await?;
                recorder.ok(process, &value_read(key, &rows));
            }
        }
        Ok(())
    }

    fn check(&self, history: &[Event]) -> Verdict {
        check::counter(history)
    }
}
