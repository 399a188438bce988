//! Registers: rows that are read, written and compared and swapped one at a time.
//!
//! By primary key, or by a secondary index that holds the value too: there each write moves an index entry,
//! and reads need nothing but the index.

use super::client::{Client, Steady, Trouble};
use super::keys::Keys;
use super::{Setup, Stop, Target, Workload};
use crate::history::check::{self, Verdict};
use crate::history::{Event, Failure, Op, Recorder};
use async_trait::async_trait;
use base::Rng;
use std::time::Duration;

/// How long a register is used.
const LIFE: Duration = Duration::from_secs(2);
/// Registers in use at once.
const AT_ONCE: u64 = 4;
/// Clients; their written values differ modulo this.
const CLIENTS: u64 = 4;
/// First process of the final reads; one per node.
const FINAL: u64 = 1000;

/// The workload.
pub(super) struct Register {
    statements: &'static Statements,
    keys: Keys,
}

struct Statements {
    setup: Setup,
    /// Key.
    read: &'static str,
    /// Key, value, value.
    write: &'static str,
    /// To, key, from.
    swap: &'static str,
}

const BY_PRIMARY_KEY: Statements = Statements {
    setup: Setup {
        name: "register",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.register",
        create: "CREATE TABLE chaos.register (k BIGINT PRIMARY KEY, v BIGINT NOT NULL)",
    },
    read: "SELECT v FROM chaos.register WHERE k = ?",
    write: "INSERT INTO chaos.register (k, v) VALUES (?, ?) ON DUPLICATE KEY UPDATE v = ?",
    swap: "UPDATE chaos.register SET v = ? WHERE k = ? AND v = ?",
};

const BY_INDEX: Statements = Statements {
    setup: Setup {
        name: "register-index",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.register_index",
        create: "CREATE TABLE chaos.register_index (id BIGINT PRIMARY KEY, k BIGINT NOT NULL, v BIGINT NOT NULL,
               KEY kv (k, v))",
    },
    read: "SELECT v FROM chaos.register_index WHERE k = ?",
    write: "INSERT INTO chaos.register_index (id, k, v) VALUES (? * 7919, ? , ?) ON DUPLICATE KEY UPDATE v = ?",
    swap: "UPDATE chaos.register_index SET v = ? WHERE k = ? AND v = ?",
};

impl Register {
    /// Rows are found by their primary key.
    pub(super) fn by_primary_key() -> Register {
        Register { statements: &BY_PRIMARY_KEY, keys: Keys::new(LIFE, AT_ONCE) }
    }

    /// Rows are found by a secondary index, and only written by primary key.
    pub(super) fn by_index() -> Register {
        Register { statements: &BY_INDEX, keys: Keys::new(LIFE, AT_ONCE) }
    }

    async fn once(&self, client: &mut Client<'_>, op: &Op) -> Result<Op, Trouble> {
        let statements = self.statements;
        match *op {
            Op::Write { key, value } => {
                let written = if std::ptr::eq(statements, &BY_INDEX) {
                    client.change(statements.write, (key, key, value, value)).await
                } else {
                    client.change(statements.write, (key, value, value)).await
                };
                written.map_err(Trouble::committing)?;
                Ok(op.clone())
            }
            Op::Cas { key, from, to, .. } => {
                let changed = client.change(statements.swap, (to, key, from)).await;
                let swapped = Some(changed.map_err(Trouble::committing)? > 0);
                Ok(Op::Cas { key, from, to, swapped })
            }
            _ => {
                let key = key_of(op);
                let rows = client.rows(statements.read, (key,)).await;
                value_read(key, &rows.map_err(Trouble::before_commit)?)
            }
        }
    }
}

fn key_of(op: &Op) -> i64 {
    match op {
        Op::Read { key, .. } | Op::Write { key, .. } | Op::Cas { key, .. } => *key,
        _ => 0,
    }
}

/// The answer of a read; two rows are an answer that no register can give.
fn value_read(key: i64, rows: &[i64]) -> Result<Op, Trouble> {
    match rows {
        [] => Ok(Op::Read { key, value: None }),
        [value] => Ok(Op::Read { key, value: Some(*value) }),
        // No write has this value, so the checker reports the read.
        _ => Ok(Op::Read { key, value: Some(i64::MIN) }),
    }
}

#[async_trait]
impl Workload for Register {
    fn setup(&self) -> &'static Setup {
        &self.statements.setup
    }

    fn begin(&self) -> Option<String> {
        self.keys.clear();
        None
    }

    async fn run(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        let mut connection = Client::new(target, client);
        let mut rng = Rng::seeded(client);
        let mut written = 0;
        // Key and value that this client saw last: a swap of them has a chance.
        let mut seen = (0, 0);
        while connection.turn(stop).await {
            let key = self.keys.pick(target, &mut rng);
            let op = match rng.below(4) {
                0 | 1 => Op::Read { key, value: None },
                kind => {
                    written += 1;
                    let value = (written * CLIENTS + client) as i64;
                    if kind == 2 {
                        Op::Write { key, value }
                    } else {
                        Op::Cas { key: seen.0, from: seen.1, to: value, swapped: None }
                    }
                }
            };
            recorder.invoke(client, &op);
            let answer = self.once(&mut connection, &op).await;
            match &answer {
                Ok(Op::Read { key, value: Some(value) } | Op::Write { key, value }) => {
                    seen = (*key, *value);
                }
                Ok(Op::Cas { key, to, swapped: Some(true), .. }) => seen = (*key, *to),
                _ => {}
            }
            connection.settle(recorder, client, &op, answer).await;
        }
    }

    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure> {
        for node in 0..target.nodes.len() {
            let mut steady = Steady::new(target, node);
            let process = FINAL + node as u64;
            for key in self.keys.all() {
                recorder.invoke(process, &Op::Read { key, value: None });
                let rows = steady.rows(self.statements.read, (key,)).await?;
                if let Ok(answer) = value_read(key, &rows) {
                    recorder.ok(process, &answer);
                }
            }
        }
        Ok(())
    }

    fn check(&self, history: &[Event]) -> Verdict {
        check::register(history)
    }
}
