//! What a shard's leader counts of its load: requests, keys, bytes, the time they take, and samples of whose they are.
//!
//! ```text
//! request ─┬─> a few counters, relaxed                        reads, scans, writes, keys, bytes, time by kind
//!          └─> one key of LOAD_SAMPLE_EVERY ─> reservoir      (slot, table) by kind, of this window and the one before
//! collector's walk ─> a key per step of it   ─> reservoir     slots of the data
//! ```
//!
//! A sample is a slot and a table: keys may hold what nobody but their readers should see, so neither keys nor values are kept.
//! Every key that was read or written is as likely to be in a reservoir as every other one of its window and kind; so a part of
//! the samples stands for the same part of the load. Which statement asked is not known here.
//!
//! The time is that of evaluating requests at the leader: what the engine is asked, and what is decided. Neither Raft nor the
//! network, waits, or what followers do is in it. Of reads of a single key one of many is timed, for all: two looks at the
//! clock would cost as much as a tenth of the read. One that the system has interrupted must not count that often.
//!
//! Invariants:
//! 1. Nothing here waits: a sample that meets another one is left out.
//! 2. A request allocates nothing here, but for the first sample of a reservoir.

use crate::command::{KeyWrite, Version, WriteRequest};
use base::limits::{
    COLLECT_STEP_BYTES, LOAD_SAMPLE_EVERY, LOAD_SAMPLES_KEPT, LOAD_TIMED_MAX, LOAD_WINDOW,
};
use base::{Rng, ShardId, SharedClock, Slot, TableId};
use bytes::Bytes;
use engine::{key, mvcc};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoadKind {
    /// Reads of keys, also to lock their rows.
    Keys,
    /// Reads of ranges.
    Ranges,
    /// Writes.
    Writes,
}

impl LoadKind {
    /// All of them, in the order of what is counted by kind.
    pub const ALL: [LoadKind; 3] = [LoadKind::Keys, LoadKind::Ranges, LoadKind::Writes];
}

/// What a shard has done as a leader since its replica was started here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadTotals {
    /// Requests that read keys.
    pub reads: u64,
    /// Pages of ranges that were read.
    pub scans: u64,
    /// Requests that begin to change something: one for each transaction, or for each round of a large one.
    pub writes: u64,
    /// Keys that were asked for.
    pub keys_read: u64,
    /// Rows of pages.
    pub rows_scanned: u64,
    /// Keys and values of writes, bytes.
    pub bytes_written: u64,
    /// Time spent on requests, by kind, microseconds.
    pub busy_micros: [u64; LoadKind::ALL.len()],
}

impl LoadTotals {
    /// What was done since an earlier look at the same replica.
    pub fn since(&self, earlier: &LoadTotals) -> LoadTotals {
        let mut busy_micros = self.busy_micros;
        for (now, before) in busy_micros.iter_mut().zip(earlier.busy_micros) {
            *now = now.saturating_sub(before);
        }
        LoadTotals {
            reads: self.reads.saturating_sub(earlier.reads),
            scans: self.scans.saturating_sub(earlier.scans),
            writes: self.writes.saturating_sub(earlier.writes),
            keys_read: self.keys_read.saturating_sub(earlier.keys_read),
            rows_scanned: self.rows_scanned.saturating_sub(earlier.rows_scanned),
            bytes_written: self.bytes_written.saturating_sub(earlier.bytes_written),
            busy_micros,
        }
    }
}

/// A key that was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSample {
    /// How.
    pub kind: LoadKind,
    /// Its slot.
    pub slot: Slot,
    /// Its table.
    pub table: TableId,
    /// How many keys of its kind it stands for, compared with other samples of that kind.
    pub weight: u64,
}

/// Samples of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadSamples {
    /// Of keys that were read or written lately.
    pub keys: Vec<LoadSample>,
    /// Slots of the data, each with how many bytes it stands for, compared with the others.
    pub data: Vec<(Slot, u64)>,
}

/// What a replica counts while it leads.
pub(crate) struct Load {
    clock: SharedClock,
    /// Reads of a single key on the fast path: one number for the request, the key, and whose turn it is to be sampled.
    points: AtomicU64,
    reads: AtomicU64,
    scans: AtomicU64,
    writes: AtomicU64,
    keys_read: AtomicU64,
    rows_scanned: AtomicU64,
    bytes_written: AtomicU64,
    busy_nanos: [AtomicU64; LoadKind::ALL.len()],
    /// Keys that could have been sampled, without `points`.
    passed: AtomicU64,
    samples: Mutex<Samples>,
}

impl Load {
    /// Nothing was done yet.
    pub(crate) fn new(shard: ShardId, clock: SharedClock) -> Load {
        let samples = Samples {
            // Chance is only to be fair to all keys: the same for every replica of the shard.
            rng: Rng::seeded(shard.0),
            began: clock.monotonic(),
            now: Default::default(),
            before: Default::default(),
            data_now: Window::default(),
            data_before: Window::default(),
        };
        Load {
            clock,
            points: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            scans: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            keys_read: AtomicU64::new(0),
            rows_scanned: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            busy_nanos: Default::default(),
            passed: AtomicU64::new(0),
            samples: Mutex::new(samples),
        }
    }

    /// Counts a read of one key. When it is one that is timed for the others, the time until the answer is dropped counts.
    pub(crate) fn point(&self, key: &[u8]) -> Option<Timed<'_>> {
        let turn = self.points.fetch_add(1, Ordering::Relaxed);
        if !turn.is_multiple_of(LOAD_SAMPLE_EVERY) {
            return None;
        }
        if let Some(mut samples) = self.samples.try_lock() {
            samples.take(self.clock.monotonic(), LoadKind::Keys, key);
        }
        // After the sample is taken: what that costs is not what the others cost.
        let (began, times) = (self.clock.monotonic(), LOAD_SAMPLE_EVERY);
        Some(Timed { load: self, kind: LoadKind::Keys, began, times })
    }

    /// Counts a request that reads keys, or locks their rows.
    pub(crate) fn asked_for(&self, keys: &[Bytes]) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.keys_read.fetch_add(keys.len() as u64, Ordering::Relaxed);
        self.sample(LoadKind::Keys, keys, own_key);
    }

    /// Counts a page of a range.
    pub(crate) fn scanned(&self, rows: &[(Bytes, Version)]) {
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.rows_scanned.fetch_add(rows.len() as u64, Ordering::Relaxed);
        self.sample(LoadKind::Ranges, rows, key_of_row);
    }

    /// Counts a write, if it begins something.
    pub(crate) fn wrote(&self, request: &WriteRequest) {
        match request {
            WriteRequest::CommitNow { writes, .. } | WriteRequest::Prewrite { writes, .. } => {
                let bytes = writes.iter().map(|write| write.key.len() + write.change.bytes());
                let bytes: usize = bytes.sum();
                self.writes.fetch_add(1, Ordering::Relaxed);
                self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
                self.sample(LoadKind::Writes, writes, key_of_write);
            }
            WriteRequest::Bump { key, .. } => {
                self.writes.fetch_add(1, Ordering::Relaxed);
                self.sample(LoadKind::Writes, std::slice::from_ref(key), own_key);
            }
            WriteRequest::SettleNow { .. }
            | WriteRequest::Commit { .. }
            | WriteRequest::Rollback { .. }
            | WriteRequest::CheckStatus { .. }
            | WriteRequest::CheckLocks { .. }
            | WriteRequest::LookAtLocks { .. }
            | WriteRequest::Decide { .. }
            | WriteRequest::FinishAll { .. }
            | WriteRequest::Heartbeat { .. } => {}
        }
    }

    /// Counts the time until the answer is dropped.
    pub(crate) fn timed(&self, kind: LoadKind) -> Timed<'_> {
        Timed { load: self, kind, began: self.clock.monotonic(), times: 1 }
    }

    /// Takes a step of a walk over the data as a sample of it: the version that the next step begins with, after so many
    /// bytes. `first`: the walk has just begun.
    pub(crate) fn walked(&self, first: bool, next: Option<&Bytes>, bytes: u64) {
        let mut samples = self.samples.lock();
        if first {
            samples.begin_walk();
        }
        if let Some(slot) = next.and_then(|next| mvcc::slot_of_version(next).ok()) {
            samples.take_data(slot, bytes);
        }
    }

    /// What was done.
    pub(crate) fn totals(&self) -> LoadTotals {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let points = count(&self.points);
        LoadTotals {
            reads: points + count(&self.reads),
            scans: count(&self.scans),
            writes: count(&self.writes),
            keys_read: points + count(&self.keys_read),
            rows_scanned: count(&self.rows_scanned),
            bytes_written: count(&self.bytes_written),
            busy_micros: LoadKind::ALL.map(|kind| count(&self.busy_nanos[kind as usize]) / 1000),
        }
    }

    /// The samples of now.
    pub(crate) fn samples(&self) -> LoadSamples {
        let now = self.clock.monotonic();
        let mut samples = self.samples.lock();
        samples.roll(now);
        samples.all()
    }

    /// Samples of some keys those whose turn it is.
    fn sample<T>(&self, kind: LoadKind, items: &[T], key_of: fn(&T) -> &[u8]) {
        let count = items.len() as u64;
        let first = self.passed.fetch_add(count, Ordering::Relaxed);
        let skipped = first.next_multiple_of(LOAD_SAMPLE_EVERY) - first;
        if skipped >= count {
            return;
        }
        let Some(mut samples) = self.samples.try_lock() else { return };
        let now = self.clock.monotonic();
        for item in items[skipped as usize..].iter().step_by(LOAD_SAMPLE_EVERY as usize) {
            samples.take(now, kind, key_of(item));
        }
    }
}

fn own_key(key: &Bytes) -> &[u8] {
    key
}

fn key_of_row(row: &(Bytes, Version)) -> &[u8] {
    &row.0
}

fn key_of_write(write: &KeyWrite) -> &[u8] {
    &write.key
}

/// Time that is being spent on requests; it counts when this is dropped.
#[must_use = "what is dropped at once took no time"]
pub(crate) struct Timed<'l> {
    load: &'l Load,
    kind: LoadKind,
    began: Duration,
    /// For how many requests like it this one stands.
    times: u64,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let took = self.load.clock.monotonic().saturating_sub(self.began);
        let took = if self.times > 1 { took.min(LOAD_TIMED_MAX) } else { took };
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).saturating_mul(self.times);
        self.load.busy_nanos[self.kind as usize].fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Reservoirs by kind, for two windows of time, and for two walks over the data.
struct Samples {
    rng: Rng,
    /// When the window of now began, monotonic.
    began: Duration,
    now: [Window<(Slot, TableId)>; LoadKind::ALL.len()],
    before: [Window<(Slot, TableId)>; LoadKind::ALL.len()],
    data_now: Window<Slot>,
    data_before: Window<Slot>,
}

impl Samples {
    /// Takes a key. One that is no row's is nobody's load.
    fn take(&mut self, now: Duration, kind: LoadKind, key: &[u8]) {
        let found = key::slot_of_key(key).and_then(|slot| Ok((slot, key::table_of_key(key)?)));
        if let Ok(sample) = found {
            self.roll(now);
            self.now[kind as usize].take(sample, &mut self.rng);
        }
    }

    /// Begins a new window when the last one is over.
    fn roll(&mut self, now: Duration) {
        let age = now.saturating_sub(self.began);
        if age < LOAD_WINDOW {
            return;
        }
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.iter_mut().for_each(Window::clear);
        if age >= LOAD_WINDOW * 2 {
            self.before.iter_mut().for_each(Window::clear);
        }
        self.began = now;
    }

    fn begin_walk(&mut self) {
        std::mem::swap(&mut self.data_now, &mut self.data_before);
        self.data_now.clear();
    }

    /// Takes the slot after so many bytes. A short step stands for less: it is taken more rarely.
    fn take_data(&mut self, slot: Slot, bytes: u64) {
        if self.rng.below(COLLECT_STEP_BYTES) < bytes {
            self.data_now.take(slot, &mut self.rng);
        }
    }

    fn all(&self) -> LoadSamples {
        let windows = LoadKind::ALL.into_iter().flat_map(|kind| {
            [(kind, &self.before[kind as usize]), (kind, &self.now[kind as usize])]
        });
        let keys = windows.flat_map(|(kind, window)| {
            let weight = window.weight();
            let kept = window.kept.iter();
            kept.map(move |(slot, table)| LoadSample { kind, slot: *slot, table: *table, weight })
        });
        let walks = [&self.data_before, &self.data_now].into_iter();
        let data = walks.flat_map(|window| {
            let weight = window.weight();
            window.kept.iter().map(move |slot| (*slot, weight))
        });
        LoadSamples { keys: keys.collect(), data: data.collect() }
    }
}

/// A reservoir: of all that it has seen, each is as likely to be kept (Vitter's algorithm R).
struct Window<T> {
    seen: u64,
    kept: Vec<T>,
}

impl<T> Default for Window<T> {
    fn default() -> Window<T> {
        Window { seen: 0, kept: Vec::new() }
    }
}

impl<T> Window<T> {
    fn take(&mut self, sample: T, rng: &mut Rng) {
        self.seen += 1;
        if self.kept.len() < LOAD_SAMPLES_KEPT {
            if self.kept.capacity() == 0 {
                self.kept.reserve_exact(LOAD_SAMPLES_KEPT);
            }
            self.kept.push(sample);
        } else if let Some(place) = self.kept.get_mut(rng.below(self.seen) as usize) {
            *place = sample;
        }
    }

    /// Forgets all, and keeps the room.
    fn clear(&mut self) {
        self.seen = 0;
        self.kept.clear();
    }

    /// What each sample stands for: more than one when not all were kept.
    fn weight(&self) -> u64 {
        let kept = self.kept.len().max(1) as u64;
        self.seen.saturating_mul(LOAD_SAMPLES_KEPT as u64) / kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Clock, IndexId};
    use engine::key::KeyBuilder;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// A clock that a test moves.
    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn monotonic(&self) -> Duration {
            Duration::from_micros(self.0.load(Ordering::Relaxed))
        }

        fn unix_micros(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Hand {
        fn pass(&self, time: Duration) {
            self.0.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
        }
    }

    fn load() -> (Arc<Hand>, Load) {
        let hand = Arc::new(Hand::default());
        (hand.clone(), Load::new(ShardId(3), hand))
    }

    fn key(table: u32, slot: u16) -> Bytes {
        let mut builder = KeyBuilder::new(TableId(table), IndexId(1));
        builder.put_u64(7);
        builder.finish(Slot(slot))
    }

    /// The weight of each slot.
    fn slots(load: &Load) -> BTreeMap<u16, u64> {
        let mut slots = BTreeMap::new();
        for sample in load.samples().keys {
            *slots.entry(sample.slot.0).or_default() += sample.weight;
        }
        slots
    }

    #[test]
    fn parts_of_the_samples_are_parts_of_the_load() {
        let (_, load) = load();
        // Of ten keys nine have slot 5.
        let keys: Vec<Bytes> = (0..10).map(|at| key(1000, if at == 0 { 9 } else { 5 })).collect();
        for _ in 0..20_000 {
            load.asked_for(&keys);
        }
        let slots = slots(&load);
        let total: u64 = slots.values().sum();
        assert!((820..970).contains(&(slots[&5] * 1000 / total)), "{slots:?}");
        let kept = load.samples().keys.len();
        assert_eq!(kept, LOAD_SAMPLES_KEPT);
        let totals = load.totals();
        assert_eq!((totals.reads, totals.keys_read), (20_000, 200_000));
    }

    #[test]
    fn old_samples_go_after_two_windows() {
        let (hand, load) = load();
        for _ in 0..10_000 {
            drop(load.point(&key(1000, 5)));
        }
        hand.pass(LOAD_WINDOW);
        for _ in 0..10_000 {
            drop(load.point(&key(1000, 6)));
        }
        assert_eq!(slots(&load).into_keys().collect::<Vec<_>>(), [5, 6]);
        hand.pass(LOAD_WINDOW);
        assert_eq!(slots(&load).into_keys().collect::<Vec<_>>(), [6]);
        hand.pass(LOAD_WINDOW * 2);
        assert!(slots(&load).is_empty());
    }

    #[test]
    fn one_read_is_timed_for_many_and_everything_else_for_itself() {
        let (hand, load) = load();
        for _ in 0..LOAD_SAMPLE_EVERY * 10 {
            let _timed = load.point(&key(1000, 5));
            hand.pass(Duration::from_micros(2));
        }
        let timed = load.timed(LoadKind::Writes);
        hand.pass(Duration::from_secs(7));
        drop(timed);
        let reads = LOAD_SAMPLE_EVERY * 10 * 2;
        assert_eq!(load.totals().busy_micros, [reads, 0, 7_000_000]);
        // One that was interrupted does not stand for many that were, too.
        let timed = load.point(&key(1000, 5));
        hand.pass(Duration::from_secs(1));
        assert!(timed.is_some());
        drop(timed);
        let most = LOAD_SAMPLE_EVERY * LOAD_TIMED_MAX.as_micros() as u64;
        assert_eq!(load.totals().busy_micros[0], reads + most);
    }

    #[test]
    fn the_data_is_known_by_the_walks_over_it() {
        let (_, load) = load();
        let version = |slot| mvcc::version_key(&key(1000, slot), base::Timestamp(8));
        load.walked(true, Some(&version(4)), COLLECT_STEP_BYTES);
        load.walked(false, Some(&version(5)), COLLECT_STEP_BYTES);
        load.walked(false, Some(&version(6)), 0);
        load.walked(false, None, COLLECT_STEP_BYTES);
        let slots = |load: &Load| load.samples().data.iter().map(|(slot, _)| slot.0).collect();
        let found: Vec<u16> = slots(&load);
        assert_eq!(found, [4, 5], "a step without bytes stands for nothing");
        load.walked(true, Some(&version(8)), COLLECT_STEP_BYTES);
        let found: Vec<u16> = slots(&load);
        assert_eq!(found, [4, 5, 8], "the walk before this one counts until the next one");
        load.walked(true, None, 0);
        let found: Vec<u16> = slots(&load);
        assert_eq!(found, [8]);
    }

    #[test]
    fn keys_of_no_row_are_not_sampled_and_writes_count_once() {
        let (_, load) = load();
        let bump = WriteRequest::Bump { key: Bytes::from_static(b"c"), by: 1, at_least: 0 };
        for _ in 0..LOAD_SAMPLE_EVERY * 3 {
            load.wrote(&bump);
        }
        assert!(load.samples().keys.is_empty());
        let heartbeat = WriteRequest::Heartbeat {
            start_ts: base::Timestamp(1),
            primary: key(1000, 5),
            expires_unix_ms: 0,
        };
        load.wrote(&heartbeat);
        assert_eq!(load.totals().writes, LOAD_SAMPLE_EVERY * 3);
    }
}
