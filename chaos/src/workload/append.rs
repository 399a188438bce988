//! Lists: transactions that append numbers to texts and read them back.
//!
//! A list is a VARCHAR `,5,17,3`. One action alone commits by itself, several are one transaction; so both of
//! the server's ways of meeting a conflict are used: redoing the statement, and 1213.

use super::client::{Client, Steady, Trouble};
use super::keys::Keys;
use super::{Setup, Stop, Target, Workload};
use crate::history::check::{self, Level, Verdict};
use crate::history::{Action, Event, Failure, Op, Recorder};
use async_trait::async_trait;
use base::Rng;
use std::time::Duration;

/// How long a list is used.
const LIFE: Duration = Duration::from_secs(2);
/// Lists in use at once.
const AT_ONCE: u64 = 3;
/// Actions of a transaction.
const ACTIONS_MAX: u64 = 4;
/// Clients; their elements differ modulo this.
const CLIENTS: u64 = 4;
/// First process of the final reads; one per node.
const FINAL: u64 = 1000;

/// The workload.
pub(super) struct Append {
    statements: &'static Statements,
    keys: Keys,
}

struct Statements {
    setup: Setup,
    /// List.
    read: &'static str,
    /// Element with its comma, list.
    append: &'static str,
    /// List, element with its comma.
    insert: &'static str,
}

const BY_PRIMARY_KEY: Statements = Statements {
    setup: Setup {
        name: "append",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.lists",
        create: "CREATE TABLE chaos.lists (k BIGINT PRIMARY KEY, v VARCHAR(12000) NOT NULL)",
    },
    read: "SELECT v FROM chaos.lists WHERE k = ?",
    append: "UPDATE chaos.lists SET v = CONCAT(v, ?) WHERE k = ?",
    insert: "INSERT INTO chaos.lists (k, v) VALUES (?, ?)",
};

const BY_INDEX: Statements = Statements {
    setup: Setup {
        name: "append-index",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.lists_index",
        create:
        "CREATE TABLE chaos.lists_index (id BIGINT AUTO_INCREMENT PRIMARY KEY, k BIGINT NOT NULL,
               v VARCHAR(12000) NOT NULL, UNIQUE KEY k (k))",
    },
    read: "SELECT v FROM chaos.lists_index WHERE k = ?",
    append: "UPDATE chaos.lists_index SET v = CONCAT(v, ?) WHERE k = ?",
    insert: "INSERT INTO chaos.lists_index (k, v) VALUES (?, ?)",
};

impl Append {
    /// Lists are found by their primary key.
    pub(super) fn by_primary_key() -> Append {
        Append { statements: &BY_PRIMARY_KEY, keys: Keys::new(LIFE, AT_ONCE) }
    }

    /// Lists are found by a unique index.
    pub(super) fn by_index() -> Append {
        Append { statements: &BY_INDEX, keys: Keys::new(LIFE, AT_ONCE) }
    }

    async fn once(&self, client: &mut Client<'_>, called: &[Action]) -> Result<Op, Trouble> {
        let mut actions = called.to_vec();
        if let [action] = actions.as_mut_slice() {
            self.act(client, action).await.map_err(Trouble::committing)?;
            return Ok(Op::Txn { actions });
        }
        client.text("BEGIN").await.map_err(Trouble::before_commit)?;
        for action in &mut actions {
            self.act(client, action).await.map_err(Trouble::before_commit)?;
        }
        client.text("COMMIT").await.map_err(Trouble::committing)?;
        Ok(Op::Txn { actions })
    }

    async fn act(&self, client: &mut Client<'_>, action: &mut Action) -> Result<(), Failure> {
        match action {
            Action::Append(key, element) => {
                let text = format!(",{element}");
                if client.change(self.statements.append, (text.as_str(), *key)).await? == 0 {
                    // Nothing was there to append to: whoever inserts first makes the list.
                    client.change(self.statements.insert, (*key, text)).await?;
                }
            }
            Action::Read(key, list) => {
                let rows: Vec<String> = client.rows(self.statements.read, (*key,)).await?;
                *list = Some(elements(&rows));
            }
        }
        Ok(())
    }
}

/// The elements of a list. What is no list, or several of one key, shows as an element that nobody appends.
fn elements(rows: &[String]) -> Vec<i64> {
    if rows.len() > 1 {
        return vec![-(rows.len() as i64)];
    }
    let text = rows.first().map(String::as_str).unwrap_or_default();
    text.split(',').skip(1).map(|element| element.parse().unwrap_or(-1)).collect()
}

#[async_trait]
impl Workload for Append {
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
        let mut appended = 0;
        while connection.turn(stop).await {
            let count = 1 + rng.below(ACTIONS_MAX);
            let mut actions = Vec::new();
            for _ in 0..count {
                let key = self.keys.pick(target, &mut rng);
                if rng.chance(0.5) {
                    appended += 1;
                    actions.push(Action::Append(key, (appended * CLIENTS + client) as i64));
                } else {
                    actions.push(Action::Read(key, None));
                }
            }
            let op = Op::Txn { actions: actions.clone() };
            recorder.invoke(client, &op);
            let answer = self.once(&mut connection, &actions).await;
            connection.settle(recorder, client, &op, answer).await;
        }
    }

    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure> {
        for node in 0..target.nodes.len() {
            let mut steady = Steady::new(target, node);
            let process = FINAL + node as u64;
            for key in self.keys.all() {
                recorder.invoke(process, &Op::Txn { actions: vec![Action::Read(key, None)] });
                let rows: Vec<String> = steady.rows(self.statements.read, (key,)).await?;
                let actions = vec![Action::Read(key, Some(elements(&rows)))];
                recorder.ok(process, &Op::Txn { actions });
            }
        }
        Ok(())
    }

    fn check(&self, history: &[Event]) -> Verdict {
        check::append(history, Level::Snapshot)
    }
}
