//! Rows and definitions: one client creates, renames, empties and drops tables; the others insert into them, and into
//! some that are gone already, by single statements and by transactions in the middle of which a definition is asked for: it
//! waits for them.
//!
//! ALTER TABLE, CREATE INDEX and DROP INDEX are answered with 1235 by the server, so they are not part of it.

use super::client::{Client, DEFINITION_WAIT, NO_SUCH_TABLE, Steady, Trouble};
use super::{Setup, Stop, Target, Workload};
use crate::history::check::{self, Verdict};
use crate::history::{Change, Event, Failure, Op, Recorder};
use async_trait::async_trait;
use base::Rng;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Clients; the first defines, the others' elements differ modulo this.
const CLIENTS: u64 = 4;
/// Tables that are open at once.
const OPEN_MAX: usize = 3;
/// Tables that are gone and still written to.
const ENDED_MAX: usize = 2;
/// Pause between two definitions: every one of them is announced to all nodes.
const PAUSE: Duration = Duration::from_millis(300);
/// Longest pause between the two halves of a transaction, milliseconds: long enough for a definition to meet it.
const BETWEEN_MS_MAX: u64 = 400;
/// First process of the final reads; one per node.
const FINAL: u64 = 1000;

static SETUP: Setup = Setup {
    name: "ddl",
    clients: CLIENTS,
    drop: "DROP DATABASE IF EXISTS chaos_ddl",
    create: "CREATE DATABASE chaos_ddl",
};

/// The workload.
pub(super) struct Ddl {
    tables: Mutex<Tables>,
}

/// What the defining client knows; the others choose from it.
#[derive(Default)]
struct Tables {
    /// Number of the next table.
    next: i64,
    /// Tables that are surely there.
    open: Vec<i64>,
    /// Tables that went away last.
    ended: Vec<i64>,
}

impl Tables {
    /// What to do next.
    fn choose(&mut self, rng: &mut Rng) -> Change {
        let chosen = rng.pick(&self.open).copied();
        let Some(table) = chosen.filter(|_| self.open.len() >= OPEN_MAX) else {
            return Change::Create(self.number());
        };
        match rng.below(4) {
            0 | 1 => Change::Drop(table),
            2 => Change::Truncate(table),
            _ => Change::Rename(table, self.number()),
        }
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    /// A change has been made, for sure or perhaps.
    fn changed(&mut self, change: Change, sure: bool) {
        if let Change::Drop(table) | Change::Rename(table, _) = change {
            self.open.retain(|other| *other != table);
            self.ended.push(table);
            let over = self.ended.len().saturating_sub(ENDED_MAX);
            self.ended.drain(..over);
        }
        match change {
            Change::Create(table) | Change::Rename(_, table) if sure => self.open.push(table),
            // It may become empty at any time: nothing can be said about its rows any more.
            Change::Truncate(table) if !sure => self.open.retain(|other| *other != table),
            _ => {}
        }
    }

    /// Where to insert: twice the same table, or two tables.
    fn pick(&self, rng: &mut Rng) -> Option<[i64; 2]> {
        let tables =
            if rng.chance(0.1) && !self.ended.is_empty() { &self.ended } else { &self.open };
        let first = *rng.pick(tables)?;
        let second = *rng.pick(tables)?;
        Some(if rng.chance(0.5) { [first, second] } else { [first, first] })
    }
}

/// The text of a change.
fn statement(change: Change) -> String {
    match change {
        Change::Create(table) => format!(
            "CREATE TABLE chaos_ddl.t{table} (element BIGINT NOT NULL, half BIGINT NOT NULL, mirror BIGINT NOT NULL,
             PRIMARY KEY (element, half), KEY mirrors (mirror, half))"
        ),
        Change::Drop(table) => format!("DROP TABLE chaos_ddl.t{table}"),
        Change::Truncate(table) => format!("TRUNCATE TABLE chaos_ddl.t{table}"),
        Change::Rename(from, to) => format!("RENAME TABLE chaos_ddl.t{from} TO chaos_ddl.t{to}"),
    }
}

/// Both ways to read a table, in one statement; the first column tells which.
fn read_statement(table: i64) -> String {
    format!(
        "SELECT 0, element, half FROM chaos_ddl.t{table}
         UNION ALL SELECT 1, mirror, half FROM chaos_ddl.t{table} FORCE INDEX (mirrors) WHERE mirror > -1"
    )
}

/// The answer of a read; no rows when there is no such table.
fn table_read(table: i64, rows: Option<Vec<(i64, i64, i64)>>) -> Op {
    let side = |wanted: i64| -> Option<Vec<(i64, i64)>> {
        let rows = rows.as_ref()?.iter().filter(|(side, ..)| *side == wanted);
        Some(rows.map(|(_, element, half)| (*element, *half)).collect())
    };
    Op::ReadTable { table, rows: side(0), index: side(1) }
}

impl Ddl {
    /// No table yet.
    pub(super) fn new() -> Ddl {
        Ddl { tables: Mutex::default() }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn define(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        let target = Target { statement_wait: DEFINITION_WAIT, ..target.clone() };
        let mut connection = Client::new(&target, client);
        let mut rng = Rng::seeded(client);
        while connection.turn(stop).await {
            let change = self.tables().choose(&mut rng);
            let op = Op::Define { change };
            recorder.invoke(client, &op);
            let answer = connection.text(&statement(change)).await.map_err(Trouble::committing);
            match &answer {
                Ok(()) => self.tables().changed(change, true),
                Err(trouble) if !trouble.sure => self.tables().changed(change, false),
                Err(_) => {}
            }
            connection.settle(recorder, client, &op, answer.map(|()| op.clone())).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn use_tables(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        let mut connection = Client::new(target, client);
        let mut rng = Rng::seeded(client);
        let mut inserted = 0;
        while connection.turn(stop).await {
            let picked = self.tables().pick(&mut rng);
            let Some(tables) = picked else { continue };
            let kind = rng.below(10);
            if kind < 2 {
                read(&mut connection, recorder, client, tables[0]).await;
                continue;
            }
            inserted += 1;
            let element = (inserted * CLIENTS + client) as i64;
            if kind < 6 {
                insert_at_once(&mut connection, recorder, client, tables[0], element).await;
            } else {
                let between = Duration::from_millis(rng.below(BETWEEN_MS_MAX));
                let op = Op::InsertHalves { tables, element };
                let written = insert_halves(&mut connection, tables, element, between).await;
                // Nothing has happened yet: what matters to others begins with COMMIT.
                recorder.invoke(client, &op);
                let answer = match written {
                    Ok(()) => connection.text("COMMIT").await.map_err(Trouble::committing),
                    Err(failure) => Err(Trouble::before_commit(failure)),
                };
                connection.settle(recorder, client, &op, answer.map(|()| op.clone())).await;
            }
        }
    }
}

async fn read(client: &mut Client<'_>, recorder: &Recorder, process: u64, table: i64) {
    let called = Op::ReadTable { table, rows: None, index: None };
    recorder.invoke(process, &called);
    let answer = match client.rows(&read_statement(table), ()).await {
        Ok(rows) => Ok(table_read(table, Some(rows))),
        Err(failure) if failure.code == NO_SUCH_TABLE => Ok(table_read(table, None)),
        Err(failure) => Err(Trouble::before_commit(failure)),
    };
    client.settle(recorder, process, &called, answer).await;
}

/// Both halves by one statement that commits by itself.
async fn insert_at_once(
    client: &mut Client<'_>,
    recorder: &Recorder,
    process: u64,
    table: i64,
    element: i64,
) {
    let op = Op::InsertHalves { tables: [table, table], element };
    recorder.invoke(process, &op);
    let insert = format!(
        "INSERT INTO chaos_ddl.t{table} (element, half, mirror) VALUES (?, 0, ?), (?, 1, ?)"
    );
    let answer = client.change(&insert, (element, element, element, element)).await;
    let answer = answer.map(|_| op.clone()).map_err(Trouble::committing);
    client.settle(recorder, process, &op, answer).await;
}

/// Both halves by a transaction whose COMMIT is left to the caller.
async fn insert_halves(
    client: &mut Client<'_>,
    tables: [i64; 2],
    element: i64,
    between: Duration,
) -> Result<(), Failure> {
    client.text("BEGIN").await?;
    for (half, table) in (0_i64..).zip(tables) {
        if half > 0 {
            tokio::time::sleep(between).await;
        }
        let insert =
            format!("INSERT INTO chaos_ddl.t{table} (element, half, mirror) VALUES (?, ?, ?)");
        client.change(&insert, (element, half, element)).await?;
    }
    Ok(())
}

#[async_trait]
impl Workload for Ddl {
    fn setup(&self) -> &'static Setup {
        &SETUP
    }

    fn begin(&self) -> Option<String> {
        *self.tables() = Tables::default();
        None
    }

    async fn run(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        if client == 0 {
            self.define(client, target, recorder, stop).await;
        } else {
            self.use_tables(client, target, recorder, stop).await;
        }
    }

    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure> {
        let last = self.tables().next;
        for node in 0..target.nodes.len() {
            let mut steady = Steady::new(target, node);
            let process = FINAL + node as u64;
            for table in 1..=last {
                recorder.invoke(process, &Op::ReadTable { table, rows: None, index: None });
                let rows = steady.rows_if_there(&read_statement(table), ()).await?;
                recorder.ok(process, &table_read(table, rows));
            }
        }
        Ok(())
    }

    fn check(&self, history: &[Event]) -> Verdict {
        check::ddl(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_may_be_gone_or_empty_are_not_open() {
        let mut tables = Tables { next: 3, open: vec![1, 2, 3], ended: Vec::new() };
        tables.changed(Change::Truncate(1), true);
        assert_eq!((tables.open.clone(), tables.ended.clone()), (vec![1, 2, 3], vec![]));
        tables.changed(Change::Truncate(1), false);
        assert_eq!((tables.open.clone(), tables.ended.clone()), (vec![2, 3], vec![]));
        tables.changed(Change::Rename(2, 4), true);
        assert_eq!((tables.open.clone(), tables.ended.clone()), (vec![3, 4], vec![2]));
        tables.changed(Change::Rename(4, 5), false);
        assert_eq!((tables.open.clone(), tables.ended.clone()), (vec![3], vec![2, 4]));
        tables.changed(Change::Drop(3), false);
        assert_eq!((tables.open.clone(), tables.ended.clone()), (vec![], vec![4, 3]));
        tables.changed(Change::Create(6), false);
        assert_eq!((tables.open, tables.ended), (vec![], vec![4, 3]));
    }

    #[test]
    fn an_answer_is_told_apart_by_its_first_column() {
        let rows = vec![(0, 7, 0), (1, 7, 1), (0, 7, 1)];
        let (rows, index) = (table_read(1, Some(rows)), table_read(1, None));
        let both =
            Op::ReadTable { table: 1, rows: Some(vec![(7, 0), (7, 1)]), index: Some(vec![(7, 1)]) };
        assert_eq!(rows, both);
        assert_eq!(index, Op::ReadTable { table: 1, rows: None, index: None });
    }
}
