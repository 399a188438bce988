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
//! next sync a success. The process stops.
//!
//! It also frees segments. What a replica needs of the log is known only here, from records that *are*
//! durable: the index runs ahead of the disk (a queued purge has already left it).

use super::index::RecordAt;
use super::record::{Key, Kind};
use super::recover::encode_log_id;
use super::segment::{Position, Writer};
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
    /// Permits of the queue's byte budget to give back.
    pub permits: u32,
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
        }
    }

    /// Runs until the log is closed, on a thread of its own.
    pub fn run_as_thread(mut self) {
        loop {
            let (operations, stop) = {
                let mut queue = self.shared.queue.lock();
                while queue.operations.is_empty() && !queue.stop {
                    let wait = self.watermark_due_in();
                    match wait {
                        None => self.shared.wake_thread.wait(&mut queue),
                        Some(wait) => {
                            if self.shared.wake_thread.wait_for(&mut queue, wait).timed_out() {
                                break;
                            }
                        }
                    }
                }
                (std::mem::take(&mut queue.operations), queue.stop)
            };
            self.turn(operations, stop);
            if stop {
                return;
            }
        }
    }

    /// Runs until the log is closed, as a task.
    pub async fn run_as_task(mut self) {
        loop {
            let shared = self.shared.clone();
            let wake = shared.wake_task.notified();
            let (mut operations, stop) = {
                let mut queue = shared.queue.lock();
                (std::mem::take(&mut queue.operations), queue.stop)
            };
            if operations.is_empty() && !stop {
                match self.watermark_due_in() {
                    None => wake.await,
                    Some(wait) => {
                        if tokio::time::timeout(wait, wake).await.is_err() {
                            self.write_watermark();
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
                tokio::time::sleep(sync_time).await;
            }
            self.turn(operations, stop);
            if stop {
                return;
            }
            // Others on this thread get their turn between two flushes.
            tokio::task::yield_now().await;
        }
    }

    /// One round: flush what there is, write the watermark when it is due.
    fn turn(&mut self, operations: Vec<Operation>, stop: bool) {
        if !operations.is_empty() {
            self.flush(operations);
        }
        let due = self.watermark_due_in().is_some_and(|wait| wait.is_zero());
        if due || (stop && self.watermark_stale) {
            self.write_watermark();
        }
    }

    /// Writes and syncs a batch, then tells those who wait.
    fn flush(&mut self, mut operations: Vec<Operation>) {
        let begin = self.shared.clock.monotonic();
        let start = self.writer.position().segment;
        let mut places = Vec::with_capacity(operations.len());
        let mut bytes = 0;
        let mut entries = 0;
        for operation in &operations {
            let place = self.push(operation);
            if let Some(place) = place {
                bytes += u64::from(place.bytes);
            }
            if let Effect::Entries { count, .. } = operation.effect {
                entries += count;
            }
            places.push(place);
        }
        let syncs = fatal(self.writer.sync(), "be written and synced");
        self.position = self.writer.position();
        self.watermark_stale = true;
        let took = self.shared.clock.monotonic().saturating_sub(begin);
        let counters = &self.shared.counters;
        counters.syncs.fetch_add(syncs as u64, Ordering::Relaxed);
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        counters.entries.fetch_add(entries, Ordering::Relaxed);
        counters.last_flush_micros.store(took.as_micros() as u64, Ordering::Relaxed);
        counters.slowest_flush_micros.fetch_max(took.as_micros() as u64, Ordering::Relaxed);

        {
            let mut state = self.shared.state.lock();
            for (number, file) in self.writer.take_begun() {
                state.segments.insert(number, file);
            }
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
        let mut permits = 0;
        for operation in &mut operations {
            permits += operation.permits as usize;
            if let Some(done) = operation.done.take() {
                done();
            }
        }
        self.shared.queue_permits.add_permits(permits);
    }

    /// Hands one operation to the writer.
    fn push(&mut self, operation: &Operation) -> Option<RecordAt> {
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
            Effect::Barrier => return None,
        };
        let position = fatal(self.writer.push(kind, operation.key, payload), "begin a segment");
        let bytes = super::record::record_bytes(payload.len()) as u32;
        Some(RecordAt { position, bytes })
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
            free.into_keys().collect()
        };
        for number in free {
            let retired = self.writer.retire(number, limits::LOG_SEGMENTS_SPARE);
            fatal(retired, "free a segment");
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

    /// Writes the watermark.
    fn write_watermark(&mut self) {
        let watermark = Watermark { position: self.position, replicas: self.acknowledged.clone() };
        fatal(self.files.write(&watermark), "write its watermark");
        self.shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.watermark_stale = false;
        self.watermark_at = self.shared.clock.monotonic();
        self.reclaim();
    }
}
