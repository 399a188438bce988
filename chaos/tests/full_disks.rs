//! Disks without a free byte under real processes: one full node gives its leaders away and writes go on; when
//! all are full, writes answer 1021 with a sentence and do nothing, reads go on, and after room is made writes
//! work again in the same processes. Needs root, for disks that can be filled.

use base::{Clock, SystemClock};
use chaos::fault::disk;
use chaos::fault::lab::{Disks, Lab, Plan};
use chaos::fault::view::View;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Size of a node's image.
const IMAGE_BYTES: u64 = 1 << 30;
/// MySQL's ER_DISK_FULL.
const DISK_FULL: u16 = 1021;
/// Rows of one round of writes: enough that each of the eight shards gets one.
const ROUND: u64 = 32;
/// Longest time until the cluster has taken note that disks are full, or have room.
const NOTICE_WAIT_MAX: Duration = Duration::from_secs(20);
/// Longest time of a statement that is refused or only reads.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long all disks stay full after writes are refused: many leases and elections long.
const FULL_FOR: Duration = Duration::from_secs(8);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

#[test]
fn full_disks_refuse_writes_with_1021_serve_reads_and_recover_without_a_restart() {
    if let Err(why) = disk::probe() {
        println!("not tried: {why}");
        return;
    }
    let binary = PathBuf::from(std::env::var_os("PRECINCT_BIN").expect("PRECINCT_BIN"));
    let plan = Plan::best(binary, 3).with_images(IMAGE_BYTES);
    assert!(matches!(plan.disks, Disks::Images { .. }), "images work here");
    let mut lab = Lab::start(plan).unwrap();
    let mut rows = Rows::make(&lab);
    let processes: Vec<_> = (1..=3).map(|node| lab.process(node).expect("it runs")).collect();
    rows.until_all_inserted(&lab);

    // One full node: its leaders leave, and every key can be written through every node.
    let full = View::of(&lab).and_then(|view| view.busiest()).expect("a leader");
    fill(&mut lab, &[full]);
    let begin = rows.clock.monotonic();
    while View::of(&lab).is_none_or(|view| view.shards.values().any(|s| s.leader == Some(full))) {
        let waited = rows.clock.monotonic() - begin;
        assert!(waited < NOTICE_WAIT_MAX, "node {full} is full and leads: {:?}", View::of(&lab));
        std::thread::sleep(PAUSE);
    }
    println!("node {full} led nothing after {:?}", rows.clock.monotonic() - begin);
    for node in 1..=3 {
        let outcome = rows.insert_round(&lab, node);
        assert!(outcome.refusals.is_empty(), "through node {node}: {:?}", outcome.refusals);
    }
    rows.read_everywhere(&lab);

    // All full: nothing is written, everything is read.
    fill(&mut lab, &[1, 2, 3]);
    let begin = rows.clock.monotonic();
    // What is refused while leaders learn of their disks may still say something else.
    while (1..=3).any(|node| !rows.insert_round(&lab, node).is_refused_as_full()) {
        let waited = rows.clock.monotonic() - begin;
        let outcome = rows.insert_round(&lab, 1);
        assert!(waited < NOTICE_WAIT_MAX, "not all refused with 1021: {outcome:?}");
    }
    println!("all writes refused after {:?}", rows.clock.monotonic() - begin);
    let begin = rows.clock.monotonic();
    while rows.clock.monotonic() - begin < FULL_FOR {
        for node in 1..=3 {
            let outcome = rows.insert_round(&lab, node);
            assert!(outcome.is_refused_as_full(), "through node {node}: {outcome:?}");
        }
        rows.read_everywhere(&lab);
    }

    // Room again: writes work in the same processes.
    for node in 1..=3 {
        lab.disk(node).as_image().unwrap().free().unwrap();
    }
    let begin = rows.clock.monotonic();
    rows.until_all_inserted(&lab);
    println!("all writes work again after {:?}", rows.clock.monotonic() - begin);
    rows.read_everywhere(&lab);
    let now: Vec<_> = (1..=3).map(|node| lab.process(node).expect("it runs")).collect();
    assert_eq!(now, processes, "no node was started again");
    lab.close().unwrap();
}

fn fill(lab: &mut Lab, nodes: &[u64]) {
    for node in nodes {
        let image = lab.disk(*node).as_image().unwrap();
        // The segments and tables of a node at work may need more at any time: nothing is left.
        image.fill().unwrap();
    }
}

/// What came of a round of writes.
#[derive(Debug, Default)]
struct Outcome {
    done: usize,
    /// Error numbers and messages, each once.
    refusals: BTreeSet<(u16, String)>,
}

impl Outcome {
    /// Whether each write answered 1021, with a sentence that names a node and says what is the matter.
    fn is_refused_as_full(&self) -> bool {
        let says_why = |text: &str| text.contains("takes no new writes: its disk");
        self.done == 0
            && !self.refusals.is_empty()
            && self.refusals.iter().all(|(code, text)| *code == DISK_FULL && says_why(text))
    }
}

/// A table, what was acknowledged to be in it, and what was certainly refused.
struct Rows {
    acknowledged: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    next: u64,
    clock: SystemClock,
}

impl Rows {
    fn make(lab: &Lab) -> Rows {
        lab.ask(1, "CREATE DATABASE full").unwrap();
        lab.ask(1, "CREATE TABLE full.rows_ (id BIGINT PRIMARY KEY)").unwrap();
        Rows {
            acknowledged: BTreeSet::new(),
            refused: BTreeSet::new(),
            next: 0,
            clock: SystemClock::new(),
        }
    }

    /// Inserts rows of as many keys as reach all shards, one statement each, through a node.
    fn insert_round(&mut self, lab: &Lab, node: u64) -> Outcome {
        let ids: Vec<u64> = (self.next..self.next + ROUND).collect();
        self.next += ROUND;
        let (opts, sent) = (lab.opts(node), ids.clone());
        let answers = lab.call(insert(opts, sent));
        let mut outcome = Outcome::default();
        for (id, answer) in ids.into_iter().zip(answers) {
            match answer {
                Ok(()) => {
                    outcome.done += 1;
                    self.acknowledged.insert(id);
                }
                Err((code, text)) => {
                    if code == DISK_FULL {
                        self.refused.insert(id);
                    }
                    outcome.refusals.insert((code, text));
                }
            }
        }
        outcome
    }

    /// Inserts rounds through every node until one of each succeeds as a whole.
    fn until_all_inserted(&mut self, lab: &Lab) {
        let begin = self.clock.monotonic();
        for node in 1..=3 {
            loop {
                let outcome = self.insert_round(lab, node);
                if outcome.refusals.is_empty() {
                    break;
                }
                let waited = self.clock.monotonic() - begin;
                assert!(waited < NOTICE_WAIT_MAX, "through node {node}: {:?}", outcome.refusals);
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Every node shows each acknowledged row and none that was refused, by a scan and by keys, at once.
    fn read_everywhere(&self, lab: &Lab) {
        for node in 1..=3 {
            let (opts, begin) = (lab.opts(node), self.clock.monotonic());
            let keys: Vec<u64> = self.acknowledged.iter().rev().take(16).copied().collect();
            let (all, by_key) = lab.call(read(opts, keys.clone()));
            let all: BTreeSet<u64> = all.unwrap_or_else(|why| panic!("node {node}: {why}"));
            let missing: Vec<_> = self.acknowledged.difference(&all).collect();
            assert!(missing.is_empty(), "node {node} does not show {missing:?}");
            let ghosts: Vec<_> = self.refused.intersection(&all).collect();
            assert!(ghosts.is_empty(), "refused with 1021, and yet at node {node}: {ghosts:?}");
            let by_key = by_key.unwrap_or_else(|why| panic!("node {node}: {why}"));
            assert_eq!(by_key, keys, "by key at node {node}");
            let took = self.clock.monotonic() - begin;
            assert!(took < 2 * ANSWER_WAIT_MAX, "reads at node {node} took {took:?}");
        }
    }
}

/// Inserts each id by a statement of its own.
async fn insert(opts: Opts, ids: Vec<u64>) -> Vec<Result<(), (u16, String)>> {
    let mut conn = match Conn::new(opts).await {
        Ok(conn) => conn,
        Err(error) => return ids.iter().map(|_| Err((0, error.to_string()))).collect(),
    };
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        let answer = conn.query_drop(format!("INSERT INTO full.rows_ VALUES ({id})")).await;
        answers.push(answer.map_err(|error| match error {
            Error::Server(error) => (error.code, error.message),
            other => (0, other.to_string()),
        }));
    }
    answers
}

/// All ids by a scan, and these one by one.
async fn read(
    opts: Opts,
    keys: Vec<u64>,
) -> (Result<BTreeSet<u64>, String>, Result<Vec<u64>, String>) {
    let mut conn = match Conn::new(opts).await {
        Ok(conn) => conn,
        Err(error) => return (Err(error.to_string()), Ok(Vec::new())),
    };
    let all: Result<Vec<u64>, _> = conn.query("SELECT id FROM full.rows_").await;
    let all = all.map(BTreeSet::from_iter).map_err(|error| format!("a scan: {error}"));
    let mut found = Vec::new();
    for key in keys {
        match conn.exec_first("SELECT id FROM full.rows_ WHERE id = ?", (key,)).await {
            Ok(row) => found.extend::<Option<u64>>(row),
            Err(error) => return (all, Err(format!("a read by key: {error}"))),
        }
    }
    (all, Ok(found))
}
