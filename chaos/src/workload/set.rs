//! Sets: rows that are inserted, a few of them deleted again, and read all together.
//!
//! By the head of the primary key, or by a secondary index: there a read needs nothing but the index, and some reads
//! compare what it says with the rows.

use super::client::{Client, GAVE_UP, Steady, Trouble};
use super::keys::Keys;
use super::{Setup, Stop, Target, Workload};
use crate::history::check::{self, Verdict};
use crate::history::{Event, Failure, Op, Recorder};
use async_trait::async_trait;
use base::Rng;
use std::time::Duration;

/// How long a set is added to.
const LIFE: Duration = Duration::from_secs(4);
/// Clients; their elements differ modulo this.
const CLIENTS: u64 = 3;
/// First process of the final reads; one per node.
const FINAL: u64 = 1000;

/// The workload.
pub(super) struct Set {
    statements: &'static Statements,
    keys: Keys,
}

struct Statements {
    setup: Setup,
    /// Set, element; by index the set once more.
    add: &'static str,
    /// Set, element.
    remove: &'static str,
    /// Set.
    read: &'static str,
    /// Set, set: the elements by the rows (0) and by the index (1).
    read_both: Option<&'static str>,
}

const BY_PRIMARY_KEY: Statements = Statements {
    setup: Setup {
        name: "set",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.elements",
        create: "CREATE TABLE chaos.elements (k BIGINT NOT NULL, element BIGINT NOT NULL, PRIMARY KEY (k, element))",
    },
    add: "INSERT INTO chaos.elements (k, element) VALUES (?, ?)",
    remove: "DELETE FROM chaos.elements WHERE k = ? AND element = ?",
    read: "SELECT element FROM chaos.elements WHERE k = ?",
    read_both: None,
};

const BY_INDEX: Statements = Statements {
    setup: Setup {
        name: "set-index",
        clients: CLIENTS,
        drop: "DROP TABLE IF EXISTS chaos.elements_index",
        create: "CREATE TABLE chaos.elements_index (k BIGINT NOT NULL, element BIGINT NOT NULL, mirror BIGINT NOT NULL,
               PRIMARY KEY (k, element), KEY mirrors (mirror, element))",
    },
    add: "INSERT INTO chaos.elements_index (k, element, mirror) VALUES (?, ?, ?)",
    remove: "DELETE FROM chaos.elements_index WHERE k = ? AND element = ?",
    read: "SELECT element FROM chaos.elements_index WHERE mirror = ?",
    read_both: Some(
        "SELECT 0, element FROM chaos.elements_index WHERE k = ?
         UNION ALL SELECT 1, element FROM chaos.elements_index WHERE mirror = ?",
    ),
};

impl Set {
    /// Elements are part of the primary key.
    pub(super) fn by_primary_key() -> Set {
        Set { statements: &BY_PRIMARY_KEY, keys: Keys::new(LIFE, 1) }
    }

    /// Elements are found by a secondary index over a copy of the set's number.
    pub(super) fn by_index() -> Set {
        Set { statements: &BY_INDEX, keys: Keys::new(LIFE, 1) }
    }

    async fn once(&self, client: &mut Client<'_>, op: &Op) -> Result<Op, Trouble> {
        match *op {
            Op::Add { key, element } => {
                let add = self.statements.add;
                let added = match self.statements.read_both {
                    Some(_) => client.change(add, (key, element, key)).await,
                    None => client.change(add, (key, element)).await,
                };
                added.map_err(Trouble::committing)?;
                Ok(op.clone())
            }
            Op::Remove { key, element } => {
                let removed = client.change(self.statements.remove, (key, element)).await;
                if removed.map_err(Trouble::committing)? == 0 {
                    // Then it must still be there for all others: the checker looks.
                    let message = "DELETE found no such row".into();
                    return Err(Trouble::before_commit(Failure { code: GAVE_UP, message }));
                }
                Ok(op.clone())
            }
            Op::ReadSet { key, .. } => {
                let rows = client.rows(self.statements.read, (key,)).await;
                let elements = Some(rows.map_err(Trouble::before_commit)?);
                Ok(Op::ReadSet { key, elements })
            }
            Op::ReadSetBoth { key, .. } => {
                // Asked for only where there is an index.
                let read = self.statements.read_both.unwrap_or_default();
                let rows = client.rows(read, (key, key)).await;
                Ok(both_read(key, &rows.map_err(Trouble::before_commit)?))
            }
            _ => Ok(op.clone()),
        }
    }

    /// A read of everything that this kind of set can compare.
    fn whole_read(&self, key: i64) -> Op {
        match self.statements.read_both {
            Some(_) => Op::ReadSetBoth { key, rows: None, index: None },
            None => Op::ReadSet { key, elements: None },
        }
    }
}

/// The answer of a read of rows (0) and index (1).
fn both_read(key: i64, found: &[(i64, i64)]) -> Op {
    let side = |wanted: i64| -> Option<Vec<i64>> {
        let found = found.iter().filter(|(side, _)| *side == wanted);
        Some(found.map(|(_, element)| *element).collect())
    };
    Op::ReadSetBoth { key, rows: side(0), index: side(1) }
}

#[async_trait]
impl Workload for Set {
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
        let mut added = 0;
        // The last element of this client that is surely there.
        let mut present: Option<(i64, i64)> = None;
        while connection.turn(stop).await {
            let key = self.keys.pick(target, &mut rng);
            let op = match (rng.below(10), present) {
                (0, Some((key, element))) => {
                    present = None;
                    Op::Remove { key, element }
                }
                (1 | 2, _) => Op::ReadSet { key, elements: None },
                (3, _) => {
                    let earlier = self.keys.all();
                    self.whole_read(rng.pick(&earlier).copied().unwrap_or(key))
                }
                _ => {
                    added += 1;
                    Op::Add { key, element: (added * CLIENTS + client) as i64 }
                }
            };
            recorder.invoke(client, &op);
            let answer = self.once(&mut connection, &op).await;
            if let Ok(Op::Add { key, element }) = &answer {
                present = Some((*key, *element));
            }
            connection.settle(recorder, client, &op, answer).await;
        }
    }

    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure> {
        for node in 0..target.nodes.len() {
            let mut steady = Steady::new(target, node);
            let process = FINAL + node as u64;
            for key in self.keys.all() {
                recorder.invoke(process, &self.whole_read(key));
                let answer = match self.statements.read_both {
                    Some(read) => both_read(key, &steady.rows(read, (key, key)).await?),
                    None => {
                        let elements = Some(steady.rows(self.statements.read, (key,)).await?);
                        Op::ReadSet { key, elements }
                    }
                };
                recorder.ok(process, &answer);
            }
        }
        Ok(())
    }

    fn check(&self, history: &[Event]) -> Verdict {
        check::set(history)
    }
}
