//! Rows that only lie there: enough table data that damage to files hits what a drill's few rows would not fill.
//!
//! What a row holds follows from its number, so that a reader knows a wrong byte when it sees one.

use super::Target;
use super::client::{Client, DATABASE, prepare};
use crate::history::Failure;
use base::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of a row: much more than a block of a table file, much less than the largest entry.
const ROW_BYTES: u64 = 256 << 10;
/// Rows that are written or read at once.
const LANES: u64 = 8;
/// Times that a row is tried while it is written: the cluster is well then.
const TRIES_MAX: u32 = 10;
/// Longest look at all rows.
const READ_WAIT_MAX: Duration = Duration::from_secs(30);
const DROP: &str = "DROP TABLE IF EXISTS chaos.ballast";
const CREATE: &str = "CREATE TABLE chaos.ballast (id BIGINT PRIMARY KEY, body MEDIUMBLOB NOT NULL)";

/// The rows of a ballast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballast {
    rows: u64,
}

/// What a look at all rows found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Rows as they were written.
    pub good: u64,
    /// Rows that an answer without error lacked or showed with other bytes.
    pub wrong: u64,
    /// Rows whose read ended with an error.
    pub refused: u64,
    /// The first of these errors.
    pub error: Option<String>,
}

impl Ballast {
    /// Makes the table and writes so many MiB, through all nodes.
    ///
    /// # Errors
    /// When a row is not acknowledged.
    pub async fn write(target: &Target, mib: u64) -> Result<Ballast, Failure> {
        prepare(target, &[DATABASE, DROP, CREATE]).await?;
        let ballast = Ballast { rows: (mib << 20) / ROW_BYTES };
        let lanes = (0..LANES).map(|lane| {
            let target = target.clone();
            tokio::spawn(async move {
                let mut client = Client::new(&target, lane);
                for row in (lane..ballast.rows).step_by(LANES as usize) {
                    write_row(&mut client, row).await?;
                }
                Ok::<_, Failure>(())
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await.expect("a lane of the ballast does not panic")?;
        }
        Ok(ballast)
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Reads every row, if need be through one node after the other, and compares it. What was not answered in time
    /// counts as refused: rows of shards that have stopped would each take the whole wait of a statement.
    ///
    /// # Panics
    /// When a lane panics.
    pub async fn read(self, target: &Target) -> Found {
        let deadline = target.clock.monotonic() + READ_WAIT_MAX;
        let next = Arc::new(AtomicU64::new(0));
        let lanes = (0..LANES).map(|lane| {
            let (target, next) = (target.clone(), next.clone());
            tokio::spawn(async move {
                let mut client = Client::new(&target, lane);
                let mut found = Found::default();
                loop {
                    let row = next.fetch_add(1, Ordering::Relaxed);
                    if row >= self.rows {
                        return found;
                    }
                    let late = target.clock.monotonic() > deadline;
                    let answer = match late {
                        true => Err(Failure { code: 0, message: "not tried any more".into() }),
                        false => read_row(&mut client, row, target.nodes.len()).await,
                    };
                    found.note(row, answer);
                }
            })
        });
        let mut all = Found::default();
        for lane in lanes.collect::<Vec<_>>() {
            all.add(lane.await.expect("a lane of the ballast does not panic"));
        }
        all
    }
}

impl Found {
    fn note(&mut self, row: u64, answer: Result<Option<Vec<u8>>, Failure>) {
        match answer {
            Ok(Some(bytes)) if bytes == body(row) => self.good += 1,
            Ok(_) => self.wrong += 1,
            Err(failure) => {
                self.refused += 1;
                let error = || format!("{} {}", failure.code, failure.message);
                self.error.get_or_insert_with(error);
            }
        }
    }

    fn add(&mut self, other: Found) {
        self.good += other.good;
        self.wrong += other.wrong;
        self.refused += other.refused;
        self.error = self.error.take().or(other.error);
    }
}

async fn write_row(client: &mut Client<'_>, row: u64) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        // The same row twice is the same row: a lost answer does no harm.
        let replace = "REPLACE INTO chaos.ballast VALUES (?, ?)";
        match client.change(replace, (row, body(row))).await {
            Ok(_) => return Ok(()),
            Err(failure) if tries == TRIES_MAX => return Err(failure),
            Err(failure) => client.after(failure.code).await,
        }
        tries += 1;
    }
}

/// Reads a row through one of so many nodes; the error of the last that was tried.
async fn read_row(
    client: &mut Client<'_>,
    row: u64,
    nodes: usize,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut tries = 0;
    loop {
        let answer = client.rows("SELECT body FROM chaos.ballast WHERE id = ?", (row,)).await;
        tries += 1;
        match answer {
            Ok(rows) => return Ok(rows.into_iter().next()),
            Err(failure) => {
                client.after(failure.code).await;
                if tries >= nodes {
                    return Err(failure);
                }
            }
        }
    }
}

/// Noise, which no compression makes smaller.
fn body(row: u64) -> Vec<u8> {
    let mut rng = Rng::seeded(row);
    (0..ROW_BYTES / 8).flat_map(|_| rng.next_u64().to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_row_is_never_taken_for_a_refused_one() {
        let mut found = Found::default();
        found.note(3, Ok(Some(body(3))));
        found.note(3, Ok(Some(body(4))));
        found.note(3, Ok(None));
        found.note(3, Err(Failure { code: 9001, message: "no quorum".into() }));
        found.note(4, Err(Failure { code: 1030, message: "damaged".into() }));
        let error = Some("9001 no quorum".to_string());
        assert_eq!(found, Found { good: 1, wrong: 2, refused: 2, error });
        assert_eq!(body(7).len() as u64, ROW_BYTES);
    }
}
