//! Nodes die while indexes are added and dropped, and while a sharding key changes: after each single write.
//!
//! ```text
//! node 1   begins the job, dies after its n-th write ──┐            n = 1, 2, 3 … until the job ends before that
//! node 2                         takes it over, dies after its n-th ──┐
//! node 3   writes rows all the time, looks ───────────────────── takes it over, ends it
//! ```
//!
//! A write that was executed stays, its answer is not heard, and nothing of the node goes on. So every step of a job is cut off
//! behind its commit, and every batch between its two phases. Whatever is cut off, the job ends; the table has what was asked for
//! or, when the node died before the job was written down, what it had; rows and index entries fit each other; no row that node
//! 3 was told of is lost; and the next statement finds nothing in its way.
//!
//! At every second cut the dead do not answer, at the others they have begun anew and have none of what they had.

mod mortal;

use base::limits::INDEX_JOBS_WATCH;
use base::{NodeId, SharedClock};
use mortal::{Node, Nodes};
use sql::session::{Outcome, Session, SessionInfo};
use sql::value::{Row, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use txn::testing::{MemoryCluster, PausedClock};

/// Rows at the beginning: more than a batch has.
const ROWS: i64 = 600;
/// Rows that are inserted later have ids above this.
const NEW: i64 = 100_000;
/// Cuts of a job, at most: it has far fewer writes.
const CUTS_MAX: u64 = 400;
/// Looks at a job until it must have ended.
const LOOKS_MAX: usize = 2000;
/// Longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// MySQL's numbers: a deadlock's victim, a changed definition, a duplicate.
const DEADLOCK: u16 = 1213;
const TABLE_CHANGED: u16 = 1412;
const DUPLICATE: u16 = 1062;

/// A statement whose job is cut off.
struct Case {
    statement: &'static str,
    /// How the table is sharded before, behind its CREATE TABLE.
    sharded_by: &'static str,
    /// Whether two rows make it impossible.
    is_doubled: bool,
    /// What SHOW CREATE TABLE shows …
    mark: &'static str,
    /// … afterwards, or before.
    appears: bool,
    /// Stages in which the job must have been cut off.
    stages: &'static [&'static str],
}

#[test]
fn an_index_is_added() {
    every_cut(&Case {
        statement: "CREATE INDEX by_v ON d.t (v)",
        sharded_by: "",
        is_doubled: false,
        mark: "KEY `by_v`",
        appears: true,
        stages: &["waiting for users", "delete only", "write only", "filling", "publishing"],
    });
}

#[test]
fn a_unique_index_is_added() {
    every_cut(&Case {
        statement: "CREATE UNIQUE INDEX by_v ON d.t (v)",
        sharded_by: "",
        is_doubled: false,
        mark: "UNIQUE KEY `by_v`",
        appears: true,
        stages: &["waiting for users", "delete only", "write only", "filling", "publishing"],
    });
}

#[test]
fn a_unique_index_is_taken_back_for_a_duplicate() {
    every_cut(&Case {
        statement: "CREATE UNIQUE INDEX by_v ON d.t (v)",
        sharded_by: "",
        is_doubled: true,
        mark: "UNIQUE KEY `by_v`",
        appears: true,
        stages: &["waiting for users", "delete only", "write only", "taking back"],
    });
}

#[test]
fn an_index_is_dropped() {
    every_cut(&Case {
        statement: "DROP INDEX by_owner ON d.t",
        sharded_by: "",
        is_doubled: false,
        mark: "KEY `by_owner`",
        appears: false,
        stages: &["waiting for users", "dropping", "removing entries"],
    });
}

#[test]
fn a_sharding_key_is_changed() {
    every_cut(&Case {
        statement: "ALTER TABLE d.t shardkey=owner",
        sharded_by: "",
        is_doubled: false,
        mark: "shardkey=owner",
        appears: true,
        stages: &[
            "waiting for users",
            "delete only",
            "write only",
            "filling",
            "cutting over",
            "dropping",
        ],
    });
}

/// Rows move in the layout that is read, between what is filled already and what is not, and stay where they are in the other.
#[test]
fn a_sharding_key_that_is_updated_is_changed() {
    every_cut(&Case {
        statement: "ALTER TABLE d.t shardkey=v",
        sharded_by: "shardkey=owner",
        is_doubled: false,
        mark: "shardkey=v",
        appears: true,
        stages: &["waiting for users", "write only", "filling", "cutting over", "dropping"],
    });
}

/// Cuts a job off after its first write, its second one, and so on.
fn every_cut(case: &Case) {
    let mut stages = BTreeSet::new();
    for cut in 1..=CUTS_MAX {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let Some(stage) = runtime.block_on(cut_off(case, cut)) else {
            let missed: Vec<_> = case.stages.iter().filter(|at| !stages.contains(**at)).collect();
            assert!(missed.is_empty(), "never cut off while {missed:?}, only while {stages:?}");
            return;
        };
        stages.insert(stage);
    }
    panic!("{} does not end within {CUTS_MAX} writes", case.statement);
}

/// Cuts a job off after so many writes, its heir as well; the stage in which the first node died, `None` when it did not.
async fn cut_off(case: &Case, cut: u64) -> Option<String> {
    let is_silent = cut.is_multiple_of(2);
    let clock: SharedClock = Arc::new(PausedClock::start());
    let shards = MemoryCluster::new(4, clock.clone()).expect("a cluster in memory");
    let nodes = Nodes::new(is_silent);
    let [first, second, third] = [1, 2, 3].map(|id| nodes.add(NodeId(id), &shards, &clock));
    first.instance.bootstrap().await.expect("bootstrap");
    let mut table = Table::make(&third, case).await;

    let mut asker = session(&first, 1);
    let sql = case.statement;
    first.client.dies_after(cut);
    let statement = tokio::spawn(async move { asker.execute(sql).await.0.map(drop) });
    let mut pause = Duration::from_millis(1);
    for _ in 0..LOOKS_MAX {
        if first.client.is_dead() || statement.is_finished() && table.jobs_are_over().await {
            break;
        }
        table.write().await;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    if !first.client.is_dead() {
        assert!(statement.is_finished(), "{sql} does not end");
        match statement.await.expect("the statement does not panic") {
            Ok(()) => assert!(!case.is_doubled, "{sql} although two rows are equal"),
            Err(error) => {
                assert!(case.is_doubled && error.code == DUPLICATE, "{sql} ends with {error}");
            }
        }
        table.is_as_promised(case, cut).await;
        nodes.forget();
        return None;
    }

    third.instance.renew_catalog().await.expect("the meta shard answers");
    let jobs = table.jobs().await;
    let stage = jobs.first().map_or("not begun", |job| job.stage.as_str()).to_string();
    second.client.dies_after(cut);
    watch(&second);
    let mut is_watched = false;
    let mut pause = Duration::from_millis(1);
    let mut looks = 0;
    while !table.jobs_are_over().await {
        looks += 1;
        assert!(looks < LOOKS_MAX, "{sql}, cut off after {cut} writes, {stage}: it does not end");
        if second.client.is_dead() && !is_watched {
            is_watched = true;
            watch(&third);
        }
        table.write().await;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    // Who died behind the last write did not announce it: the others learn of it as the server has them ask, after a while.
    third.instance.renew_catalog().await.expect("the meta shard answers");
    table.is_as_promised(case, cut).await;
    if !is_silent {
        table.next_statement(sql, cut).await;
    }
    nodes.forget();
    Some(stage)
}

/// Has a node look for jobs that nobody has, as the server does.
fn watch(node: &Node) {
    let instance = node.instance.clone();
    tokio::spawn(async move {
        loop {
            // What fails is tried again at the next look.
            let _ = instance.watch_index_jobs().await;
            tokio::time::sleep(INDEX_JOBS_WATCH).await;
        }
    });
}

fn session(node: &Node, connection_id: u32) -> Session {
    node.instance.session(SessionInfo {
        connection_id,
        user: "root".into(),
        host: "localhost".into(),
        found_rows: false,
        interactive: false,
    })
}

/// The rows of a statement.
async fn run(session: &mut Session, sql: &str) -> sql::Result<Vec<Row>> {
    match session.execute(sql).await.0? {
        Outcome::Rows { rows, .. } => rows.collect().await,
        Outcome::Ok(_) | Outcome::LocalInfile { .. } | Outcome::Many { .. } => Ok(Vec::new()),
    }
}

/// A line of SHOW DDL JOBS.
struct Job {
    state: String,
    stage: String,
    error: String,
}

/// The table and what node 3, which writes it, was told of its rows.
struct Table {
    session: Session,
    /// `v` of each `id`.
    rows: BTreeMap<i64, i64>,
    /// Rounds of writes.
    rounds: i64,
}

impl Table {
    async fn make(node: &Node, case: &Case) -> Table {
        let mut rows: BTreeMap<i64, i64> = (1..=ROWS).map(|id| (id, 10 * id)).collect();
        if case.is_doubled {
            rows.extend([(ROWS + 1, 77), (ROWS + 2, 77)]);
        }
        let values: Vec<String> =
            rows.iter().map(|(id, v)| format!("({id}, {}, {v})", id % 7)).collect();
        let mut session = session(node, 3);
        for sql in [
            "CREATE DATABASE d".to_string(),
            format!(
                "CREATE TABLE d.t (id INT PRIMARY KEY, owner INT, v INT, KEY by_owner (owner)) {}",
                case.sharded_by
            ),
            format!("INSERT INTO d.t VALUES {}", values.join(", ")),
        ] {
            run(&mut session, &sql).await.expect("the table is made");
        }
        Table { session, rows, rounds: 0 }
    }

    /// One round: a row comes, one changes and moves to another owner, one moves only, one may go. No two have the same `v`.
    async fn write(&mut self) {
        self.rounds += 1;
        let (new, old, gone) =
            (NEW + self.rounds, 1 + self.rounds * 7 % ROWS, NEW + self.rounds / 3);
        let owner = self.rounds % 7;
        let insert = format!("INSERT INTO d.t VALUES ({new}, {owner}, {})", 10 * new);
        if self.is_done(&insert).await {
            self.rows.insert(new, 10 * new);
        }
        let v = self.rows.get(&old).copied().unwrap_or_default() + 10_000_000;
        let update = format!("UPDATE d.t SET v = {v}, owner = {owner} WHERE id = {old}");
        if self.is_done(&update).await {
            self.rows.insert(old, v);
        }
        let (moved, to) = (1 + self.rounds * 11 % ROWS, (owner + 3) % 7);
        self.is_done(&format!("UPDATE d.t SET owner = {to} WHERE id = {moved}")).await;
        if self.is_done(&format!("DELETE FROM d.t WHERE id = {gone}")).await {
            self.rows.remove(&gone);
        }
    }

    /// Whether a write was acknowledged; else it was certainly not executed.
    async fn is_done(&mut self, sql: &str) -> bool {
        match run(&mut self.session, sql).await {
            Ok(_) => true,
            Err(error) if matches!(error.code, DEADLOCK | TABLE_CHANGED) => false,
            Err(error) => panic!("{sql}: {error}"),
        }
    }

    async fn jobs(&mut self) -> Vec<Job> {
        let jobs = run(&mut self.session, "SHOW DDL JOBS").await.expect("the jobs are listed");
        let words = |value: &Value| match value {
            Value::Text(words) => words.clone(),
            _ => String::new(),
        };
        let job = |row: &Row| Job {
            state: words(&row[3]),
            stage: words(&row[4]),
            error: words(&row[10]),
        };
        jobs.iter().map(job).collect()
    }

    async fn jobs_are_over(&mut self) -> bool {
        self.jobs().await.iter().all(|job| job.stage == "none")
    }

    /// The table has what was asked for, or what it had; all rows are there, and all entries are theirs.
    async fn is_as_promised(&mut self, case: &Case, cut: u64) {
        let what = format!("{}, cut off after {cut} writes", case.statement);
        let jobs = self.jobs().await;
        assert!(jobs.len() <= 1, "{what}: one job");
        let is_done = match jobs.first() {
            None => false,
            Some(Job { state, error, .. }) if case.is_doubled => {
                let told = "1062: Duplicate entry '77' for key 't.by_v'";
                assert_eq!((state.as_str(), error.as_str()), ("failed", told), "{what}");
                false
            }
            Some(Job { state, error, .. }) => {
                assert_eq!((state.as_str(), error.as_str()), ("done", ""), "{what}");
                true
            }
        };
        let shown = run(&mut self.session, "SHOW CREATE TABLE d.t").await.expect("it is shown");
        let Value::Text(shown) = &shown[0][1] else { panic!("{what}: {shown:?}") };
        assert_eq!(shown.contains(case.mark), is_done == case.appears, "{what}: {shown}");

        let rows = run(&mut self.session, "SELECT id, v FROM d.t").await.expect("rows are read");
        let read = rows.iter().map(|row| match row[..] {
            [Value::Int(id), Value::Int(v)] => (id, v),
            _ => panic!("{what}: a row {row:?}"),
        });
        assert_eq!(read.collect::<BTreeMap<i64, i64>>(), self.rows, "{what}");
        assert_eq!(rows.len(), self.rows.len(), "{what}: a row twice");
        let checked = run(&mut self.session, "ADMIN CHECK TABLE d.t").await;
        let checked = checked.unwrap_or_else(|error| panic!("{what}: {error}"));
        let all = Value::UInt(self.rows.len() as u64);
        for index in checked.iter().filter(|index| index[1] != Value::Null) {
            assert_eq!((&index[2], &index[3]), (&all, &all), "{what}: {index:?}");
        }
        for (id, v) in self.rows.iter().step_by(97).filter(|(_, v)| **v != 77) {
            let sql = format!("SELECT id FROM d.t WHERE v = {v}");
            let found = run(&mut self.session, &sql).await.expect("a row is found");
            assert_eq!(found, [vec![Value::Int(*id)]], "{what}: {sql}");
        }
    }

    /// Another job of the table, at a node that lives.
    async fn next_statement(&mut self, sql: &str, cut: u64) {
        let next = run(&mut self.session, "CREATE INDEX owner_v ON d.t (owner, v)").await;
        if let Err(error) = next {
            panic!("after {sql}, cut off after {cut} writes: {error}");
        }
    }
}
