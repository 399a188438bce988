//! The flusher: the one writer of the log.
//!
//! It takes everything queued, writes it, syncs once, and then tells everyone who waits, in order. On a
//! node it is an OS thread; under simulation it is a task, because a simulation has one thread.
//!
//! ```text
//! append, vote, purge … ──> queue ──> one write, one sync ──> places, callbacks ──> watermark, at times
//! ```
//!
//! A write or sync that failed is never tried again: the kernel may have dropped the pages and call the
//! next sync a success. The process stops. The one exception is a full disk, which the writer meets before
//! anything of the batch is synced: the batch waits and is tried again, and nobody is told anything meanwhile.
//!
//! It also frees segments. What a replica needs of the log is known only here, from records that *are*
//! durable: the index runs ahead of the disk (a queued purge has already left it).

use super::health::SpaceLevel;
use super::index::RecordAt;
use super::record::{Key, Kind};
use super::recover::encode_log_id;
use super::room::Share;
use super::segment::{Position, WriteError, Writer, take_ballast};
use super::watermark::{Acknowledged, Watermark, WatermarkFiles};
use super::{Done, Shared};
use crate::codec::vote_to_wire;
use crate::defect;
use crate::type_config::{LogId, Vote};
use base::limits;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a queued operation changes.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Adds entries.
    Entries {
        /// Index of the first.
        first: u64,
        /// How many.
        count: u64,
        /// Log id of the last.
        last: LogId,
    },
    /// Replaces the vote.
    Vote(Vote),
    /// Removes what follows.
    TruncateAfter(Option<LogId>),
    /// Removes what precedes.
    Purge {
        /// Up to and with this entry.
        upto: LogId,
        /// What the replica needs afterwards.
        floor: FloorAfterPurge,
    },
    /// Removes the replica.
    Destroy,
    /// Newest log-committed log id.
    CommitHint(LogId),
    /// Nothing: only waits for what was queued before.
    Barrier,
}

/// The first entry that a purge leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloorAfterPurge {
    /// It stands in this segment.
    Segment(u64),
    /// It is queued.
    Pending,
    /// There is none.
    Empty,
}

/// An operation on its way to the disk.
pub struct Operation {
    /// Whose log.
    pub key: Key,
    /// What it changes.
    pub effect: Effect,
    /// Encoded entries; other payloads follow from `effect`.
    pub payload: Vec<u8>,
    /// Rises with every call that queues.
    pub ticket: u64,
    /// Whom to tell.
    pub done: Option<Done>,
    /// Its share of the bytes in flight; given back when the operation is synced.
    pub share: Option<Share>,
}

/// Operations on their way to the disk together.
struct Batch {
    /// In order.
    operations: Vec<Operation>,
    /// Where they stand, as far as the writer has them.
    places: Vec<Option<RecordAt>>,
    /// When it was begun, monotonic.
    begun_at: Duration,
    /// Segment in which it begins.
    start: u64,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything that was taken is synced.
    Done,
    /// The disk is full: try again later.
    NoSpace,
}

/// The segments that hold what one replica needs, as far as it is durable.
#[derive(Clone, Copy, Debug, Default)]
struct Floor {
    /// Its first entry.
    entries: Option<u64>,
    /// Its vote.
    vote: Option<u64>,
    /// Its purge point.
    purged: Option<u64>,
    /// Nothing of a damaged log may be freed.
    evidence: bool,
}

/// State of the flusher.
pub struct Flusher {
    /// What it shares with the log's users.
    shared: Arc<Shared>,
    /// End of the log.
    writer: Writer,
    /// The watermark's files.
    files: WatermarkFiles,
    /// What is durable, per replica; becomes the next watermark.
    acknowledged: BTreeMap<Key, Acknowledged>,
    /// Purge points that are durable: a log never ends before it.
    purged: BTreeMap<Key, LogId>,
    /// Up to where the log is synced.
    position: Position,
    /// Whether the watermark on disk is older than `acknowledged`.
    watermark_stale: bool,
    /// When the watermark was written, monotonic.
    watermark_at: Duration,
    /// What must be kept.
    floors: BTreeMap<Key, Floor>,
    /// Segment in which the flush before this one began.
    previous_start: u64,
    /// What is being written.
    batch: Option<Batch>,
}

/// Stops the process: the log cannot be trusted any more.
fn fatal<T>(result: io::Result<T>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => {
            eprintln!("the Raft log cannot {what}: {error}; the node stops");
            std::process::abort();
        }
    }
}

impl Flusher {
    /// A flusher at the end of a recovered log.
    pub(crate) fn new(
        shared: Arc<Shared>,
        writer: Writer,
        files: WatermarkFiles,
        damaged: BTreeMap<Key, Acknowledged>,
    ) -> Flusher {
        let mut acknowledged = BTreeMap::new();
        let mut purged = BTreeMap::new();
        let mut floors = BTreeMap::new();
        for (key, log) in shared.state.lock().index.iter() {
            let found = Acknowledged { vote: log.vote, last_log_id: log.last_log_id() };
            acknowledged.insert(*key, found);
            if let Some(upto) = log.purged {
                purged.insert(*key, upto);
            }
            let on_disk = |segment: u64| (segment > 0).then_some(segment);
            let floor = Floor {
                entries: log.first_entry_segment(),
                vote: on_disk(log.vote_segment),
                purged: on_disk(log.purged_segment),
                evidence: log.damage.is_some(),
            };
            floors.insert(*key, floor);
        }
        // What a damaged replica had acknowledged stays so, until it is removed.
        acknowledged.extend(damaged);
        let position = writer.position();
        Flusher {
            watermark_at: shared.clock.monotonic(),
            shared,
            files,
            acknowledged,
            purged,
            position,
            watermark_stale: false,
            floors,
            previous_start: position.segment,
            writer,
            batch: None,
        }
    }

    /// Runs until the log is closed, on a thread of its own.
    pub fn run_as_thread(mut self) {
        let mut outcome = Outcome::Done;
        loop {
            let (operations, stop) = {
                let mut queue = self.shared.queue.lock();
                if outcome == Outcome::NoSpace && !queue.stop {
                    self.shared.wake_thread.wait_for(&mut queue, limits::NO_SPACE_PAUSE);
                }
                while self.batch.is_none() && queue.operations.is_empty() && !queue.stop {
                    match self.watermark_due_in() {
                        None => self.shared.wake_thread.wait(&mut queue),
                        Some(wait) => {
                            if self.shared.wake_thread.wait_for(&mut queue, wait).timed_out() {
                                break;
                            }
                        }
                    }
                }
                match self.batch {
                    Some(_) => (Vec::new(), queue.stop),
                    None => (std::mem::take(&mut queue.operations), queue.stop),
                }
            };
            outcome = self.turn(operations, stop);
            if stop
                && (outcome == Outcome::NoSpace || self.shared.queue.lock().operations.is_empty())
            {
                return;
            }
        }
    }

    /// Runs until the log is closed, as a task.
    pub async fn run_as_task(mut self) {
        let mut outcome = Outcome::Done;
        loop {
            let shared = self.shared.clone();
            if outcome == Outcome::NoSpace {
                let wake = shared.wake_task.notified();
                // Woken or not, it tries again.
                let _ = tokio::time::timeout(limits::NO_SPACE_PAUSE, wake).await;
            }
            let wake = shared.wake_task.notified();
            let (mut operations, stop) = {
                let mut queue = shared.queue.lock();
                match self.batch {
                    Some(_) => (Vec::new(), queue.stop),
                    None => (std::mem::take(&mut queue.operations), queue.stop),
                }
            };
            if self.batch.is_none() && operations.is_empty() && !stop {
                match self.watermark_due_in() {
                    None => wake.await,
                    Some(wait) => {
                        if tokio::time::timeout(wait, wake).await.is_err() {
                            outcome = self.write_watermark();
                        }
                    }
                }
                continue;
            }
            if defect::active("acknowledge-before-sync") {
                operations
                    .iter_mut()
                    .filter_map(|operation| operation.done.take())
                    .for_each(|done| done());
            }
            // A real disk takes its time inside the sync.
            let sync_time = shared.disk.sync_time();
            if !sync_time.is_zero() {
                shared.disk_watch.sync_begins();
                tokio::time::sleep(sync_time).await;
                shared.disk_watch.sync_ends();
            }
            outcome = self.turn(operations, stop);
            if stop && (outcome == Outcome::NoSpace || shared.queue.lock().operations.is_empty()) {
                return;
            }
            // Others on this thread get their turn between two flushes.
            tokio::task::yield_now().await;
        }
    }

    /// One round: flush what there is, write the watermark when it is due.
    fn turn(&mut self, operations: Vec<Operation>, stop: bool) -> Outcome {
        if !operations.is_empty() {
            self.batch = Some(Batch {
                places: Vec::with_capacity(operations.len()),
                operations,
                begun_at: self.shared.clock.monotonic(),
                start: self.writer.position().segment,
            });
        }
        if let Some(batch) = self.batch.take()
            && self.flush(batch) == Outcome::NoSpace
        {
            return Outcome::NoSpace;
        }
        let due = self.watermark_due_in().is_some_and(|wait| wait.is_zero());
        match due || (stop && self.watermark_stale) {
            true => self.write_watermark(),
            false => Outcome::Done,
        }
    }

    /// Hands what is missing of a batch to the writer and syncs it. Returns the syncs it took, or `None` when
    /// the disk is full.
    fn write(&mut self, batch: &mut Batch) -> Option<usize> {
        loop {
            let written = match batch.operations.get(batch.places.len()) {
                Some(operation) => self.push(operation).map(|place| {
                    batch.places.push(place);
                    None
                }),
                None => {
                    let writer = &mut self.writer;
                    self.shared.disk_watch.syncing(|| writer.sync()).map(Some)
                }
            };
            match written {
                Ok(None) => {}
                Ok(Some(syncs)) => {
                    self.shared.disk_watch.space_found();
                    return Some(syncs);
                }
                Err(WriteError::Failed(error)) => fatal(Err(error), "be written and synced"),
                Err(WriteError::NoSpace(error)) => {
                    if fatal(take_ballast(&*self.shared.disk), "give up its ballast") {
                        tracing::warn!(%error, "the disk is full; the log goes on in its ballast");
                        continue;
                    }
                    self.shared.disk_watch.space_missing();
                    return None;
                }
            }
        }
    }

    /// Writes and syncs a batch, then tells those who wait.
    fn flush(&mut self, mut batch: Batch) -> Outcome {
        let Some(syncs) = self.write(&mut batch) else {
            self.batch = Some(batch);
            return Outcome::NoSpace;
        };
        let Batch { mut operations, places, begun_at, start } = batch;
        self.position = self.writer.position();
        self.watermark_stale = true;
        self.count(&operations, &places, syncs, begun_at);
        {
            let mut state = self.shared.state.lock();
            for (number, file) in self.writer.take_begun() {
                state.segments.insert(number, file);
            }
            self.shared.count_segments(&state);
            for (operation, place) in operations.iter().zip(&places) {
                if let (Effect::Entries { first, count, .. }, Some(place)) =
                    (&operation.effect, place)
                {
                    state.index.settle(&operation.key, *first, *count, operation.ticket, *place);
                }
            }
            state.index.evict();
        }
        for (operation, place) in operations.iter().zip(&places) {
            self.note(operation, *place);
        }
        self.previous_start = start;
        if let Some(last) = operations.last() {
            self.shared.durable_ticket.send_replace(last.ticket);
        }
        for operation in &mut operations {
            if let Some(done) = operation.done.take() {
                done();
            }
        }
        Outcome::Done
    }

    /// Counts a flush.
    fn count(
        &self,
        operations: &[Operation],
        places: &[Option<RecordAt>],
        syncs: usize,
        begun_at: Duration,
    ) {
        let took = self.shared.clock.monotonic().saturating_sub(begun_at);
        let bytes: u64 = places.iter().flatten().map(|place| u64::from(place.bytes)).sum();
        let entries = operations.iter().map(|operation| match operation.effect {
            Effect::Entries { count, .. } => count,
            _ => 0,
        });
        let counters = &self.shared.counters;
        counters.syncs.fetch_add(syncs as u64, Ordering::Relaxed);
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        counters.entries.fetch_add(entries.sum(), Ordering::Relaxed);
        counters.last_flush_micros.store(took.as_micros() as u64, Ordering::Relaxed);
        counters.slowest_flush_micros.fetch_max(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// Hands one operation to the writer.
    fn push(&mut self, operation: &Operation) -> Result<Option<RecordAt>, WriteError> {
        let encoded;
        let (kind, payload) = match &operation.effect {
            Effect::Entries { .. } => (Kind::Entries, operation.payload.as_slice()),
            Effect::Vote(vote) => {
                encoded = vote_to_wire(vote).encode_to_vec();
                (Kind::Vote, encoded.as_slice())
            }
            Effect::TruncateAfter(last) => {
                encoded = encode_log_id(last.as_ref());
                (Kind::TruncateAfter, encoded.as_slice())
            }
            Effect::Purge { upto, .. } => {
                encoded = encode_log_id(Some(upto));
                (Kind::PurgeUpto, encoded.as_slice())
            }
            Effect::Destroy => (Kind::Destroy, &[][..]),
            Effect::CommitHint(committed) => {
                encoded = encode_log_id(Some(committed));
                (Kind::CommitHint, encoded.as_slice())
            }
            Effect::Barrier => return Ok(None),
        };
        let position = self.writer.push(kind, operation.key, payload)?;
        let bytes = super::record::record_bytes(payload.len()) as u32;
        Ok(Some(RecordAt { position, bytes }))
    }

    /// Notes what is durable now.
    fn note(&mut self, operation: &Operation, place: Option<RecordAt>) {
        let Some(place) = place else { return };
        let segment = place.position.segment;
        let key = operation.key;
        let purged = self.purged.get(&key).copied();
        match &operation.effect {
            Effect::Entries { last, .. } => {
                self.acknowledged.entry(key).or_default().last_log_id = Some(*last);
                self.floors.entry(key).or_default().entries.get_or_insert(segment);
            }
            Effect::Vote(vote) => {
                self.acknowledged.entry(key).or_default().vote = Some(*vote);
                self.floors.entry(key).or_default().vote = Some(segment);
            }
            Effect::TruncateAfter(last) => {
                self.acknowledged.entry(key).or_default().last_log_id = (*last).max(purged);
            }
            Effect::Purge { upto, floor } => {
                let known = self.acknowledged.entry(key).or_default();
                known.last_log_id = known.last_log_id.max(Some(*upto));
                self.purged.insert(key, purged.map_or(*upto, |known| known.max(*upto)));
                let floors = self.floors.entry(key).or_default();
                floors.purged = Some(segment);
                floors.entries = match floor {
                    FloorAfterPurge::Segment(first) => Some(*first),
                    FloorAfterPurge::Empty => None,
                    // It was queued when the purge was: so it stands in this flush or the one before.
                    FloorAfterPurge::Pending => Some(self.previous_start),
                };
            }
            Effect::Destroy => {
                self.acknowledged.remove(&key);
                self.purged.remove(&key);
                self.floors.remove(&key);
            }
            Effect::CommitHint(_) | Effect::Barrier => {}
        }
    }

    /// Frees the oldest segments, as far as nobody needs them. Called when the watermark on disk is up to
    /// date, so that it never points into a segment that is gone.
    fn reclaim(&mut self) {
        let current = self.position.segment;
        if self.shared.state.lock().segments.keys().next() == Some(&current) {
            return;
        }
        let needed = self
            .floors
            .values()
            .flat_map(|floor| {
                let evidence = floor.evidence.then_some(0);
                [floor.entries, floor.vote, floor.purged, evidence]
            })
            .flatten()
            .min()
            .unwrap_or(current)
            .min(current);
        let free: Vec<u64> = {
            let mut state = self.shared.state.lock();
            let keep = state.segments.split_off(&needed);
            let free = std::mem::replace(&mut state.segments, keep);
            self.shared.count_segments(&state);
            free.into_keys().collect()
        };
        let spares_max = match self.shared.disk_watch.space_level() {
            SpaceLevel::Ample => limits::LOG_SEGMENTS_SPARE,
            SpaceLevel::Low | SpaceLevel::Exhausted => 0,
        };
        for number in free {
            fatal(self.writer.retire(number, spares_max), "free a segment");
        }
        let oldest = self.shared.state.lock().segments.keys().next().copied();
        if let Some(oldest) = oldest.filter(|oldest| *oldest < current) {
            self.rewrite_leftovers(oldest);
        }
        let pinning: BTreeSet<Key> = self
            .floors
            .iter()
            .filter(|(_, floor)| floor.entries.is_some() && floor.entries == oldest)
            .map(|(key, _)| *key)
            .collect();
        self.shared.state.lock().pinning = pinning;
    }

    /// Writes votes and purge points again that are all that is left in the oldest segment.
    fn rewrite_leftovers(&mut self, oldest: u64) {
        if self.floors.values().any(|floor| floor.evidence || floor.entries == Some(oldest)) {
            return;
        }
        let mut keys = Vec::new();
        for (key, floor) in &self.floors {
            if floor.vote == Some(oldest) || floor.purged == Some(oldest) {
                keys.push((*key, floor.vote == Some(oldest), floor.purged == Some(oldest)));
            }
        }
        for (key, vote, purged) in keys {
            self.shared.rewrite(key, vote, purged);
        }
    }

    /// How long the watermark may still wait; `None` when it is up to date.
    fn watermark_due_in(&self) -> Option<Duration> {
        let due = self.watermark_at + self.shared.options.watermark_interval;
        self.watermark_stale.then(|| due.saturating_sub(self.shared.clock.monotonic()))
    }

    /// Writes the watermark. It may lag, so on a full disk it does.
    fn write_watermark(&mut self) -> Outcome {
        let watermark = Watermark { position: self.position, replicas: self.acknowledged.clone() };
        let files = &mut self.files;
        match self.shared.disk_watch.syncing(|| files.write(&watermark)) {
            Err(WriteError::NoSpace(_)) => {
                if !fatal(take_ballast(&*self.shared.disk), "give up its ballast") {
                    self.shared.disk_watch.space_missing();
                }
                return Outcome::NoSpace;
            }
            Err(WriteError::Failed(error)) => fatal(Err(error), "write its watermark"),
            Ok(()) => self.shared.disk_watch.space_found(),
        }
        self.shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.watermark_stale = false;
        self.watermark_at = self.shared.clock.monotonic();
        self.shared.state.lock().sealed_below = self.position.segment;
        self.reclaim();
        Outcome::Done
    }
}
