//! Values that grow: each transaction reads all values of a series, in two tables and over all shards, and inserts one
//! more than the highest; readers look at the series as it is, and as it was at a timestamp of the cluster.
//!
//! The value decides the table, so two transactions that have seen the same values meet at one key, and only one of
//! them commits: without SERIALIZABLE too the values of a series are 1, 2, 3 … in the order of the commits. A read
//! with AS OF TIMESTAMP shows them in the order of the cluster's timestamps.

use super::client::{Client, Steady, Trouble};
use super::keys::Keys;
use super::{Setup, Stop, Target, Workload};
use crate::history::check::{self, Verdict};
use crate::history::{Event, Failure, Op, Recorder};
use async_trait::async_trait;
use base::Rng;
use std::time::Duration;

/// How long a series is added to.
const LIFE: Duration = Duration::from_secs(4);
/// How far back a read of the past goes at least, so that its millisecond is over.
const PAST_MIN_MS: u64 = 50;
/// How much farther it goes at most.
const PAST_MS: u64 = 3000;
/// Clients.
const CLIENTS: u64 = 3;
/// First process of the final reads; one per node.
const FINAL: u64 = 1000;

static SETUP: Setup = Setup {
    name: "monotonic",
    clients: CLIENTS,
    drop: "DROP TABLE IF EXISTS chaos.monotonic_even, chaos.monotonic_odd",
    create: "CREATE TABLE chaos.monotonic_even (k BIGINT NOT NULL, v BIGINT NOT NULL, PRIMARY KEY (k, v))",
};
const CREATE_ODD: &str =
    "CREATE TABLE chaos.monotonic_odd (k BIGINT NOT NULL, v BIGINT NOT NULL, PRIMARY KEY (k, v))";
/// Series; one statement for each table.
const READ: [&str; 2] = [
    "SELECT v FROM chaos.monotonic_even WHERE k = ?",
    "SELECT v FROM chaos.monotonic_odd WHERE k = ?",
];
/// Series, series.
const READ_AT_ONCE: &str = "SELECT v FROM chaos.monotonic_even WHERE k = ?
    UNION ALL SELECT v FROM chaos.monotonic_odd WHERE k = ?";
/// Series, value; for even and for odd values.
const INSERT: [&str; 2] = [
    "INSERT INTO chaos.monotonic_even (k, v) VALUES (?, ?)",
    "INSERT INTO chaos.monotonic_odd (k, v) VALUES (?, ?)",
];

/// The workload.
pub(super) struct Monotonic {
    keys: Keys,
}

impl Monotonic {
    /// Nothing added yet.
    pub(super) fn new() -> Monotonic {
        Monotonic { keys: Keys::new(LIFE, 1) }
    }

    fn next(&self, target: &Target, rng: &mut Rng) -> Op {
        let key = self.keys.pick(target, rng);
        match rng.below(10) {
            0..=3 => Op::Next { key, value: None },
            4..=6 => Op::ReadValues { key, at: None, values: None },
            _ => {
                let back = PAST_MIN_MS + rng.below(PAST_MS);
                let at = Some(target.clock.unix_ms().saturating_sub(back));
                // Now and then the series before this one, which was in use then.
                let key = key - rng.below(2) as i64;
                Op::ReadValues { key, at, values: None }
            }
        }
    }
}

async fn once(client: &mut Client<'_>, op: &Op, by_one_statement: bool) -> Result<Op, Trouble> {
    match *op {
        Op::Next { key, .. } => {
            let value = insert_next(client, key).await.map_err(Trouble::before_commit)?;
            client.text("COMMIT").await.map_err(Trouble::committing)?;
            Ok(Op::Next { key, value: Some(value) })
        }
        Op::ReadValues { key, at, .. } => {
            let values = match at {
                None if by_one_statement => client.rows::<i64>(READ_AT_ONCE, (key, key)).await,
                None => in_transaction(client, key, "BEGIN").await,
                Some(at) => {
                    let (seconds, ms) = (at / 1000, at % 1000);
                    let begin = format!(
                        "START TRANSACTION READ ONLY AS OF TIMESTAMP FROM_UNIXTIME({seconds}.{ms:03})"
                    );
                    // A zone without summer time: every moment has a name of its own.
                    match client.text("SET time_zone = '+00:00'").await {
                        Ok(()) => in_transaction(client, key, &begin).await,
                        Err(failure) => Err(failure),
                    }
                }
            };
            let values = Some(values.map_err(Trouble::before_commit)?);
            Ok(Op::ReadValues { key, at, values })
        }
        _ => Ok(op.clone()),
    }
}

/// Opens a transaction, reads, and inserts one more than the highest value.
async fn insert_next(client: &mut Client<'_>, key: i64) -> Result<i64, Failure> {
    client.text("BEGIN").await?;
    let values = values(client, key).await?;
    let value = values.into_iter().max().unwrap_or(0) + 1;
    let insert = if value % 2 == 0 { INSERT[0] } else { INSERT[1] };
    client.change(insert, (key, value)).await?;
    Ok(value)
}

/// All values of a series, by a transaction that begins in this way.
async fn in_transaction(
    client: &mut Client<'_>,
    key: i64,
    begin: &str,
) -> Result<Vec<i64>, Failure> {
    client.text(begin).await?;
    let values = values(client, key).await?;
    client.text("COMMIT").await?;
    Ok(values)
}

async fn values(client: &mut Client<'_>, key: i64) -> Result<Vec<i64>, Failure> {
    let mut values: Vec<i64> = Vec::new();
    for read in READ {
        let rows: Vec<i64> = client.rows(read, (key,)).await?;
        values.extend(rows);
    }
    Ok(values)
}

#[async_trait]
impl Workload for Monotonic {
    fn setup(&self) -> &'static Setup {
        &SETUP
    }

    fn begin(&self) -> Option<String> {
        self.keys.clear();
        Some(CREATE_ODD.into())
    }

    async fn run(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        let mut connection = Client::new(target, client);
        let mut rng = Rng::seeded(client);
        while connection.turn(stop).await {
            let op = self.next(target, &mut rng);
            recorder.invoke(client, &op);
            let answer = once(&mut connection, &op, rng.chance(0.5)).await;
            connection.settle(recorder, client, &op, answer).await;
        }
    }

    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure> {
        for node in 0..target.nodes.len() {
            let mut steady = Steady::new(target, node);
            let process = FINAL + node as u64;
            for key in self.keys.all() {
                recorder.invoke(process, &Op::ReadValues { key, at: None, values: None });
                let values = Some(steady.rows(READ_AT_ONCE, (key, key)).await?);
                recorder.ok(process, &Op::ReadValues { key, at: None, values });
            }
        }
        Ok(())
    }

    fn check(&self, history: &[Event]) -> Verdict {
        check::monotonic(history)
    }
}
