//! The log against an oracle: random operations of several replicas, restarts, power cuts, full disks.
//!
//! The oracle is a RocksDB that holds what has been acknowledged, under group ‖ replica ‖ kind ‖ index. Changes
//! that are queued but not acknowledged wait beside it. After each restart the log must hold exactly the
//! oracle's content, or that and the first few of the waiting changes: nothing acknowledged is missing, nothing
//! else appears, and nobody is told that he lost something.

use super::SharedLog;
use super::disk::SimLogDisk;
use super::record::Key;
use super::tests::{HOUR, close, entry, open, options};
use super::{LogOptions, Synced};
use crate::type_config::{Entry, Vote, log_id, term_of};
use base::{KeyRange, ReplicaId, Rng, ShardId};
use bytes::Bytes;
use engine::{Engine, RocksEngine, RocksOptions, RocksShared, WriteBatch};
use openraft::EntryPayload;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::oneshot;

/// Shards of a run, each with one replica at a time.
const SHARDS: usize = 4;
/// Runs.
const CASES: u32 = 160;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// Entries are added; a new leader's replace the last `back` of them.
    Append { who: usize, back: usize, count: usize, bytes: usize },
    /// The vote changes.
    Vote { who: usize },
    /// A part of the beginning goes, in hundredths.
    Purge { who: usize, part: usize },
    /// The replica is removed; its successor has a new id.
    Destroy { who: usize },
    /// The flusher gets so many turns.
    Turns(usize),
    /// Everything queued is waited for.
    Sync,
    /// The disk is full from now on, or no longer.
    Full(bool),
    /// The node stops in order and starts.
    Restart,
    /// The power goes, perhaps in the middle of the next flush.
    PowerCut { seed: u64, mid_flush: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..SHARDS;
    prop_oneof![
        10 => (who.clone(), 0..3usize, 1..5usize, 0..900usize).prop_map(|(who, back, count, bytes)| {
            Step::Append { who, back, count, bytes }
        }),
        3 => who.clone().prop_map(|who| Step::Vote { who }),
        3 => (who.clone(), 0..100usize).prop_map(|(who, part)| Step::Purge { who, part }),
        1 => who.prop_map(|who| Step::Destroy { who }),
        4 => (1..6usize).prop_map(Step::Turns),
        2 => Just(Step::Sync),
        1 => any::<bool>().prop_map(Step::Full),
        1 => Just(Step::Restart),
        2 => (any::<u64>(), any::<bool>()).prop_map(|(seed, mid_flush)| {
            Step::PowerCut { seed, mid_flush }
        }),
    ]
}

/// A replica's log as it should be.
#[derive(Clone, Debug, Default)]
struct Model {
    vote: Option<Vote>,
    purged: Option<(u64, u64)>,
    entries: VecDeque<Entry>,
    /// Terms only rise.
    term: u64,
}

impl Model {
    fn next(&self) -> u64 {
        let purged = self.purged.map_or(0, |(_, index)| index + 1);
        self.entries.back().map_or(purged, |entry| entry.log_id.index + 1)
    }
}

/// Everything that is queued: per shard the replica and its log.
#[derive(Clone, Debug)]
struct Front {
    replicas: Vec<(Key, Model)>,
}

impl Front {
    fn new() -> Front {
        let key = |shard| (ShardId(shard as u64 + 1), ReplicaId(shard as u64 + 1));
        Front { replicas: (0..SHARDS).map(|shard| (key(shard), Model::default())).collect() }
    }
}

/// What has been acknowledged.
struct Oracle<'a> {
    engine: &'a RocksEngine,
    /// Beginning of this run's keys.
    run: u64,
}

impl Oracle<'_> {
    fn key(&self, key: Key, kind: u8, index: u64) -> Bytes {
        let mut bytes = self.run.to_be_bytes().to_vec();
        bytes.extend_from_slice(&key.0.0.to_be_bytes());
        bytes.extend_from_slice(&key.1.0.to_be_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&index.to_be_bytes());
        bytes.into()
    }

    /// A replica's log as keys and values.
    fn rows(&self, key: Key, model: &Model, rows: &mut BTreeMap<Bytes, Bytes>) {
        if let Some(vote) = model.vote {
            rows.insert(self.key(key, b'v', 0), format!("{vote:?}").into());
        }
        if let Some(purged) = model.purged {
            rows.insert(self.key(key, b'p', 0), format!("{purged:?}").into());
        }
        for entry in &model.entries {
            let EntryPayload::Normal(command) = &entry.payload else { panic!("{entry:?}") };
            let mut value = term_of(&entry.log_id).to_be_bytes().to_vec();
            value.extend_from_slice(&command.0);
            rows.insert(self.key(key, b'e', entry.log_id.index), value.into());
        }
    }

    fn rows_of(&self, front: &Front) -> BTreeMap<Bytes, Bytes> {
        let mut rows = BTreeMap::new();
        for (key, model) in &front.replicas {
            self.rows(*key, model, &mut rows);
        }
        rows
    }

    /// The log's content as keys and values.
    fn found(&self, log: &SharedLog) -> BTreeMap<Bytes, Bytes> {
        let mut rows = BTreeMap::new();
        for key in log.replicas() {
            let model = Model {
                vote: log.vote(&key),
                purged: log.bounds(&key).0.map(|id| (term_of(&id), id.index)),
                entries: log.read(&key, 0, u64::MAX, usize::MAX).unwrap().into(),
                term: 0,
            };
            self.rows(key, &model, &mut rows);
        }
        rows
    }

    fn content(&self) -> BTreeMap<Bytes, Bytes> {
        let (start, end) = (self.run.to_be_bytes(), (self.run + 1).to_be_bytes());
        let range =
            KeyRange { start: Bytes::copy_from_slice(&start), end: Bytes::copy_from_slice(&end) };
        let mut rows = BTreeMap::new();
        let mut take = |key: &[u8], value: &[u8]| {
            rows.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            Ok(true)
        };
        self.engine.scan(&range, &mut take).unwrap();
        rows
    }

    /// Acknowledges a change.
    fn apply(&self, change: &Change) {
        let mut batch = WriteBatch::new();
        for (key, value) in &change.rows {
            match value {
                Some(value) => batch.put(key.clone(), value.clone()),
                None => batch.delete(key.clone()),
            }
        }
        self.engine.write(batch).unwrap();
    }
}

/// A change that is queued.
struct Change {
    /// What it does to the oracle's rows.
    rows: Vec<(Bytes, Option<Bytes>)>,
    /// Everything queued, this included.
    front: Front,
    /// Tells that it is synced.
    synced: oneshot::Receiver<()>,
}

/// One run.
struct Run<'a> {
    oracle: Oracle<'a>,
    disk: SimLogDisk,
    options: LogOptions,
    log: SharedLog,
    front: Front,
    /// As of the last acknowledged change.
    acknowledged: Front,
    waiting: VecDeque<Change>,
    full: bool,
    next_replica: u64,
}

impl Run<'_> {
    /// Queues a change of one replica, whose model `change` brings up to date.
    fn queue(
        &mut self,
        who: usize,
        synced: oneshot::Receiver<()>,
        change: impl FnOnce(&mut Model),
    ) {
        let mut before = BTreeMap::new();
        let mut after = BTreeMap::new();
        let (key, model) = &mut self.front.replicas[who];
        self.oracle.rows(*key, model, &mut before);
        change(model);
        self.oracle.rows(*key, model, &mut after);
        let gone =
            before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), None));
        let new = after.iter().filter(|(key, value)| before.get(*key) != Some(*value));
        let rows = gone.chain(new.map(|(key, value)| (key.clone(), Some(value.clone())))).collect();
        self.waiting.push_back(Change { rows, front: self.front.clone(), synced });
    }

    fn signal(synced: Synced) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(async move {
            if synced.wait().await.is_ok() {
                let _ = sender.send(());
            }
        });
        receiver
    }

    async fn append(&mut self, who: usize, back: usize, count: usize, bytes: usize) {
        let (key, model) = self.front.replicas[who].clone();
        let back = back.min(model.entries.len());
        let mut term = model.term.max(1);
        if back > 0 {
            term += 1;
            let keep = model.entries.len() - back;
            let last = match keep.checked_sub(1) {
                Some(last) => Some(model.entries[last].log_id),
                None => model.purged.map(|(term, index)| log_id(term, index)),
            };
            let synced = Self::signal(self.log.truncate_after(key, last));
            self.queue(who, synced, |model| model.entries.truncate(keep));
        }
        let first = self.front.replicas[who].1.next();
        let entries: Vec<Entry> =
            (first..first + count as u64).map(|index| entry(term, index, bytes)).collect();
        let (sender, synced) = oneshot::channel();
        let done = Box::new(move || _ = sender.send(()));
        self.log.append(key, entries.clone(), done).await.unwrap();
        self.queue(who, synced, |model| {
            model.term = term;
            model.entries.extend(entries);
        });
    }

    /// Moves what has been acknowledged into the oracle.
    fn settle(&mut self) {
        while let Some(change) = self.waiting.front_mut() {
            if change.synced.try_recv().is_err() {
                return;
            }
            let change = self.waiting.pop_front().unwrap();
            self.oracle.apply(&change);
            self.acknowledged = change.front;
        }
    }

    /// Waits for everything queued.
    async fn sync(&mut self) {
        while let Some(mut change) = self.waiting.pop_front() {
            (&mut change.synced).await.unwrap();
            self.oracle.apply(&change);
            self.acknowledged = change.front;
        }
    }

    /// Opens the log on a disk as a crash left it, and compares.
    fn reopen(&mut self, disk: SimLogDisk) {
        disk.set_capacity(None);
        self.full = false;
        self.log.close();
        self.disk = disk;
        self.log = open(&self.disk, self.options.clone());
        for key in self.log.replicas() {
            assert_eq!(self.log.shortfall(&key), None);
        }
        assert_eq!(self.log.damage(), None);
        let found = self.oracle.found(&self.log);
        while self.oracle.content() != found {
            let Some(change) = self.waiting.pop_front() else {
                let wanted = self.oracle.rows_of(&self.acknowledged);
                panic!("the log holds what never was: {found:?}; acknowledged: {wanted:?}");
            };
            self.oracle.apply(&change);
            self.acknowledged = change.front;
        }
        self.waiting.clear();
        self.front = self.acknowledged.clone();
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Append { who, back, count, bytes } => self.append(who, back, count, bytes).await,
            Step::Vote { who } => {
                let (key, model) = &self.front.replicas[who];
                let term = model.term + 1;
                let vote = Vote::new(term, key.1.0);
                let synced = Self::signal(self.log.save_vote(*key, vote));
                self.queue(who, synced, |model| {
                    model.term = term;
                    model.vote = Some(vote);
                });
            }
            Step::Purge { who, part } => {
                let (key, model) = &self.front.replicas[who];
                let count = model.entries.len() * part / 100;
                let Some(last) = count.checked_sub(1) else { return };
                let upto = model.entries[last].log_id;
                let synced = Self::signal(self.log.purge(*key, upto));
                self.queue(who, synced, |model| {
                    model.entries.drain(..count);
                    model.purged = Some((term_of(&upto), upto.index));
                });
            }
            Step::Destroy { who } => {
                let key = self.front.replicas[who].0;
                let synced = Self::signal(self.log.destroy(key));
                self.queue(who, synced, |model| *model = Model::default());
                self.front.replicas[who].0 = (key.0, ReplicaId(self.next_replica));
                self.next_replica += 1;
                let changed = self.front.clone();
                self.waiting.back_mut().unwrap().front = changed;
            }
            Step::Turns(count) => {
                for _ in 0..count {
                    tokio::task::yield_now().await;
                }
            }
            Step::Full(full) => {
                self.full = full;
                self.disk.set_capacity(full.then(|| self.disk.used_bytes()));
            }
            Step::Sync if self.full => tokio::time::sleep(Duration::from_secs(3)).await,
            Step::Sync => self.sync().await,
            Step::Restart => {
                close(&self.log, &self.disk).await;
                self.settle();
                assert!(self.full || self.waiting.is_empty(), "a clean end writes everything");
                let disk = self.disk.clone();
                self.reopen(disk);
            }
            Step::PowerCut { seed, mid_flush } => {
                let mut copy = None;
                self.settle();
                if mid_flush {
                    self.disk.copy_before_sync(0);
                    for _ in 0..20 {
                        tokio::task::yield_now().await;
                    }
                    copy = self.disk.take_copy();
                }
                let disk = copy.unwrap_or_else(|| {
                    self.settle();
                    self.disk.fork()
                });
                disk.crash(&mut Rng::seeded(seed));
                self.reopen(disk);
            }
        }
        self.settle();
    }
}

async fn run(engine: &RocksEngine, number: u64, steps: Vec<Step>) {
    let interval = if number.is_multiple_of(2) { Duration::ZERO } else { HOUR };
    let options = LogOptions { cache_bytes_max: 2000, ..options(4096, interval) };
    let disk = SimLogDisk::new();
    let log = open(&disk, options.clone());
    let mut run = Run {
        oracle: Oracle { engine, run: number },
        disk,
        options,
        log,
        front: Front::new(),
        acknowledged: Front::new(),
        waiting: VecDeque::new(),
        full: false,
        next_replica: 100,
    };
    for step in steps {
        run.step(step).await;
    }
    run.step(Step::Restart).await;
    run.log.close();
}

#[test]
fn the_log_agrees_with_a_database_that_holds_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let shared = RocksShared::new(RocksOptions::default()).unwrap();
    let engine = RocksEngine::open(&shared, &folder.path().join("oracle")).unwrap();
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let runs = std::cell::Cell::new(0u64);
    let outcome = runner.run(&prop::collection::vec(step(), 1..120), |steps| {
        // Shrinking repeats runs, so each has keys of its own.
        let number = runs.replace(runs.get() + 1);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(run(&engine, number, steps));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
