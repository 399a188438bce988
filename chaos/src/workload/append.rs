//! Lists: transactions that append numbers to texts and read them back.
//!
//! A list is a VARCHAR `,5,17,3`. One action alone commits by itself, several are one transaction; so both of
//! the server's ways of meeting a conflict are used: redoing the statement, and 1213.
//!
//! | workload | transactions | judged as |
//! |---|---|---|
//! | `append`, `append-index` | plain reads, by primary key and by a unique index | snapshot isolation |
//! | `append-locking` | reads are FOR UPDATE | serializable |
//! | `append-locking-index` | the same; a list that is not there yet is not locked by an index | snapshot isolation |
//! | `append-serializable`, `…-index` | plain reads, SERIALIZABLE | serializable |
//! | `long-fork` | one append, or reads of all lists in use | snapshot isolation |

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

/// What transactions are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Some appends and reads.
    Mixed,
    /// One append, or a read of every list in use: two readers must not see two appends in different orders.
    LongFork,
}

struct Statements {
    setup: Setup,
    shape: Shape,
    /// What is promised.
    level: Level,
    /// Said before BEGIN.
    before: Option<&'static str>,
    /// What a read inside a transaction ends with.
    suffix: &'static str,
    /// List.
    read: &'static str,
    /// Element with its comma, list.
    append: &'static str,
    /// List, element with its comma.
    insert: &'static str,
}

/// Statements over a table of this name; its columns in SQL.
macro_rules! statements {
    ($name:literal, $table:literal, $columns:literal) => {
        Statements {
            setup: Setup {
                name: $name,
                clients: CLIENTS,
                drop: concat!("DROP TABLE IF EXISTS chaos.", $table),
                create: concat!("CREATE TABLE chaos.", $table, " (", $columns, ")"),
            },
            shape: Shape::Mixed,
            level: Level::Snapshot,
            before: None,
            suffix: "",
            read: concat!("SELECT v FROM chaos.", $table, " WHERE k = ?"),
            append: concat!("UPDATE chaos.", $table, " SET v = CONCAT(v, ?) WHERE k = ?"),
            insert: concat!("INSERT INTO chaos.", $table, " (k, v) VALUES (?, ?)"),
        }
    };
    ($name:literal, $table:literal) => {
        statements!($name, $table, "k BIGINT PRIMARY KEY, v VARCHAR(12000) NOT NULL")
    };
    ($name:literal, $table:literal, index) => {
        statements!(
            $name,
            $table,
            "id BIGINT AUTO_INCREMENT PRIMARY KEY, k BIGINT NOT NULL, v VARCHAR(12000) NOT NULL, UNIQUE KEY k (k)"
        )
    };
}

const SERIALIZABLE: Option<&str> = Some("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");

static ALL: [Statements; 7] = [
    statements!("append", "lists"),
    statements!("append-index", "lists_index", index),
    Statements {
        level: Level::Serializable,
        suffix: " FOR UPDATE",
        ..statements!("append-locking", "lists_locking")
    },
    Statements {
        suffix: " FOR UPDATE",
        ..statements!("append-locking-index", "lists_locking_index", index)
    },
    Statements {
        level: Level::Serializable,
        before: SERIALIZABLE,
        ..statements!("append-serializable", "lists_serializable")
    },
    Statements {
        level: Level::Serializable,
        before: SERIALIZABLE,
        ..statements!("append-serializable-index", "lists_serializable_index", index)
    },
    Statements { shape: Shape::LongFork, ..statements!("long-fork", "forks") },
];

impl Append {
    /// Every kind of it.
    pub(super) fn all() -> impl Iterator<Item = Append> {
        ALL.iter().map(|statements| Append { statements, keys: Keys::new(LIFE, AT_ONCE) })
    }

    /// What the next transaction is to do. `appended` counts this client's elements.
    fn next(&self, target: &Target, rng: &mut Rng, client: u64, appended: &mut u64) -> Vec<Action> {
        let mut append = |key| {
            *appended += 1;
            Action::Append(key, (*appended * CLIENTS + client) as i64)
        };
        match self.statements.shape {
            Shape::Mixed => (0..1 + rng.below(ACTIONS_MAX))
                .map(|_| {
                    let key = self.keys.pick(target, rng);
                    if rng.chance(0.5) { append(key) } else { Action::Read(key, None) }
                })
                .collect(),
            Shape::LongFork if rng.chance(0.5) => vec![append(self.keys.pick(target, rng))],
            Shape::LongFork => {
                let key = self.keys.pick(target, rng);
                let first = key - key % AT_ONCE as i64;
                (first..first + AT_ONCE as i64).map(|key| Action::Read(key, None)).collect()
            }
        }
    }

    async fn once(&self, client: &mut Client<'_>, called: &[Action]) -> Result<Op, Trouble> {
        let mut actions = called.to_vec();
        if let [action] = actions.as_mut_slice() {
            self.act(client, action, "").await.map_err(Trouble::committing)?;
            return Ok(Op::Txn { actions });
        }
        if let Some(before) = self.statements.before {
            client.text(before).await.map_err(Trouble::before_commit)?;
        }
        client.text("BEGIN").await.map_err(Trouble::before_commit)?;
        for action in &mut actions {
            let suffix = self.statements.suffix;
            self.act(client, action, suffix).await.map_err(Trouble::before_commit)?;
        }
        client.text("COMMIT").await.map_err(Trouble::committing)?;
        Ok(Op::Txn { actions })
    }

    async fn act(
        &self,
        client: &mut Client<'_>,
        action: &mut Action,
        suffix: &str,
    ) -> Result<(), Failure> {
        match action {
            Action::Append(key, element) => {
                let text = format!(",{element}");
                if client.change(self.statements.append, (text.as_str(), *key)).await? == 0 {
                    // Nothing was there to append to: whoever inserts first makes the list.
                    client.change(self.statements.insert, (*key, text)).await?;
                }
            }
            Action::Read(key, list) => {
                let read = format!("{}{suffix}", self.statements.read);
                let rows: Vec<String> = client.rows(&read, (*key,)).await?;
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
            let actions = self.next(target, &mut rng, client, &mut appended);
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
        check::append(history, self.statements.level)
    }
}
