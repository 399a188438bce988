//! The Raft log of a node: one stream of records for all its replicas.
//!
//! ```text
//! replica A ──append──┐                                  ┌── segment 17 ── segment 18 ── segment 19
//! replica B ──vote────┼──> queue ──> flusher: one sync ──┤
//! replica C ──purge───┘      │                           └── watermark.a, watermark.b
//!                            └──> index: readable at once
//! ```
//!
//! One stream, because a sync costs the same for one replica and for hundreds. Reading order: `record`
//! and `segment` (bytes), `disk` (files), `index` (what is where, in memory), `flusher` (the one
//! writer), `watermark` and `recover` (what a crash may take and what it may not), `room` (back-pressure),
//! `health` (a slow or full disk).
//!
//! Invariants:
//! 1. Operations of one replica reach the disk in the order in which they were queued, votes included.
//! 2. Nobody is told before what he waits for, and all that was queued before it, is synced.
//! 3. A failed write or sync stops the process.
//!
//! Not here: openraft (`log_store` adapts this log to it), and what the entries mean.

pub mod disk;
pub mod flusher;
pub mod health;
pub mod index;
pub mod options;
pub mod record;
pub mod recover;
pub mod room;
pub mod scrub;
pub mod segment;
pub mod watermark;

use crate::codec::{decode_entries, encode_entry_batch, entry_bytes};
use crate::type_config::{Entry, LogId, Vote};
use base::{SharedClock, limits};
use bytes::Bytes;
use disk::{LogDisk, LogFile};
use flusher::{Effect, FloorAfterPurge, Flusher, Operation};
use health::{DiskHealth, DiskWatch, SpaceLevel, Watcher};
use index::{Found, Index, Place, RecordAt};
use options::Counters;
pub use options::{LogMetrics, LogOptions, Pressure};
use parking_lot::{Condvar, Mutex};
use record::{Key, Kind};
use recover::Shortfall;
use room::Room;
use segment::Writer;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{Notify, watch};
use watermark::WatermarkFiles;

/// What to call when an operation is synced.
pub type Done = Box<dyn FnOnce() + Send>;

/// Target size of a record of entries, bytes.
const RECORD_BYTES_TARGET: usize = 1 << 20;

/// Who runs the flusher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// A thread of its own: a node.
    Thread,
    /// A task of the runtime: a simulation.
    Task,
}

/// The log as its users see it; the flusher changes places only.
pub(crate) struct State {
    /// Votes and entries.
    index: Index,
    /// Segments in use.
    segments: BTreeMap<u64, Arc<dyn LogFile>>,
    /// Replicas whose entries keep the oldest segment from being freed.
    pinning: BTreeSet<Key>,
    /// Segments below this one are complete, and the watermark on disk is past them.
    sealed_below: u64,
}

/// Operations on their way to the flusher.
#[derive(Default)]
pub(crate) struct Queue {
    /// In order.
    operations: Vec<Operation>,
    /// Whether the flusher shall end.
    stop: bool,
    /// The last ticket given.
    tickets: u64,
}

/// What the flusher and the log's users share.
pub(crate) struct Shared {
    /// Locked before `queue` when both are.
    state: Mutex<State>,
    /// Operations waiting for the flusher.
    queue: Mutex<Queue>,
    /// Wakes a flusher thread.
    wake_thread: Condvar,
    /// Wakes a flusher task.
    wake_task: Notify,
    /// Byte budgets of the queue.
    room: Room,
    /// How the disk does.
    disk_watch: Arc<DiskWatch>,
    /// Ticket up to which everything is synced.
    durable_ticket: watch::Sender<u64>,
    /// Number of segments in `state`: asked for each write, without the lock.
    segments_in_use: AtomicU64,
    /// Counts.
    counters: Counters,
    /// The folder.
    disk: Arc<dyn LogDisk>,
    /// Time.
    clock: SharedClock,
    /// Sizes and intervals.
    options: LogOptions,
}

impl Shared {
    /// Adds operations to the queue under one ticket while the state is locked.
    fn queue(&self, ticketed: impl FnOnce(u64) -> Vec<Operation>) -> u64 {
        let mut queue = self.queue.lock();
        queue.tickets += 1;
        let ticket = queue.tickets;
        queue.operations.extend(ticketed(ticket));
        ticket
    }

    /// Keeps `segments_in_use` in step with the state.
    fn count_segments(&self, state: &State) {
        self.segments_in_use.store(state.segments.len() as u64, Ordering::Relaxed);
    }

    /// Tells the flusher that there is something to do.
    fn wake(&self) {
        self.wake_thread.notify_one();
        self.wake_task.notify_one();
    }

    /// Queues a vote or purge point again, so that the segment that holds it can be freed.
    fn rewrite(&self, key: Key, vote: bool, purged: bool) {
        let state = self.state.lock();
        let Some(log) = state.index.get(&key) else { return };
        let mut effects = Vec::new();
        if let (true, Some(vote)) = (vote, log.vote) {
            effects.push(Effect::Vote(vote));
        }
        if let (true, Some(upto)) = (purged, log.purged) {
            effects.push(Effect::Purge { upto, floor: floor_after_purge(log) });
        }
        self.queue(|ticket| {
            effects.into_iter().map(|effect| operation(key, effect, ticket, None)).collect()
        });
        drop(state);
        self.wake();
    }
}

/// An operation without entries.
fn operation(key: Key, effect: Effect, ticket: u64, done: Option<Done>) -> Operation {
    Operation { key, effect, payload: Vec::new(), ticket, done, share: None }
}

/// What a replica needs of the log after a purge that the index has seen.
fn floor_after_purge(log: &index::ReplicaLog) -> FloorAfterPurge {
    match log.place(log.first_index()) {
        None => FloorAfterPurge::Empty,
        Some(Place::Pending(_)) => FloorAfterPurge::Pending,
        Some(Place::Disk(record)) => FloorAfterPurge::Segment(record.position.segment),
    }
}

/// The log of a node. Clones are the same log.
#[derive(Clone)]
pub struct SharedLog {
    /// The log itself.
    shared: Arc<Shared>,
    /// What replicas lost, as found at the start.
    shortfalls: Arc<BTreeMap<Key, Shortfall>>,
    /// The first place before the watermark that could not be read at the start.
    damage: Option<Arc<str>>,
    /// The flusher's thread, until it is joined.
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// The thread that watches the flusher's syncs, until it is joined.
    watcher: Arc<Mutex<Option<Watcher>>>,
}

impl SharedLog {
    /// Reads the log of this disk back and starts its flusher.
    ///
    /// # Errors
    /// When a file cannot be read, or both watermark files are damaged. Damage inside the log is no
    /// error here: see [`SharedLog::shortfall`].
    pub fn open(
        disk: Arc<dyn LogDisk>,
        options: LogOptions,
        mode: FlushMode,
        clock: SharedClock,
    ) -> io::Result<SharedLog> {
        let (files, watermark) = WatermarkFiles::open(disk.clone())?;
        let begin = || {
            let mut recovered = recover::recover(&disk, options.cache_bytes_max, &watermark)?;
            let spares = std::mem::take(&mut recovered.spares);
            let (disk, number) = (disk.clone(), recovered.next_segment);
            Writer::begin(disk, options.segment_bytes, spares, number).map(|w| (recovered, w))
        };
        let (recovered, writer) = match begin() {
            // Reading back writes a seal: a node that stopped on a full disk must be able to start on it.
            Err(error) if segment::is_no_space(&error) && segment::take_ballast(&*disk)? => {
                begin()?
            }
            begun => begun?,
        };
        let disk_watch = Arc::new(DiskWatch::new(clock.clone(), options.reserve_bytes));
        disk_watch.saw_free_bytes(disk.free_bytes()?);
        let recovered_segments = recovered.segments.len() as u64;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                index: recovered.index,
                segments: recovered.segments,
                pinning: BTreeSet::new(),
                sealed_below: recovered.next_segment,
            }),
            queue: Mutex::new(Queue::default()),
            wake_thread: Condvar::new(),
            wake_task: Notify::new(),
            room: Room::new(options.queue_bytes_max, options.replica_queue_bytes_max),
            disk_watch: disk_watch.clone(),
            segments_in_use: AtomicU64::new(recovered_segments),
            durable_ticket: watch::channel(0).0,
            counters: Counters::default(),
            disk,
            clock,
            options,
        });
        let damaged = recovered
            .shortfalls
            .iter()
            .map(|(key, shortfall)| (*key, shortfall.acknowledged.clone()))
            .collect();
        let flusher = Flusher::new(shared.clone(), writer, files, damaged);
        let (thread, watcher) = match mode {
            FlushMode::Thread => {
                let thread = base::thread::spawn("raft-log", move || flusher.run_as_thread());
                (Some(thread), Some(Watcher::start(disk_watch)))
            }
            // A simulated disk answers at once.
            FlushMode::Task => {
                tokio::spawn(flusher.run_as_task());
                (None, None)
            }
        };
        Ok(SharedLog {
            shared,
            shortfalls: Arc::new(recovered.shortfalls),
            damage: recovered.damage.map(Arc::from),
            thread: Arc::new(Mutex::new(thread)),
            watcher: Arc::new(Mutex::new(watcher)),
        })
    }

    /// How the disk does.
    pub fn disk_health(&self) -> DiskHealth {
        self.shared.disk_watch.health()
    }

    /// Whether replicas may serve under their leases: not while the disk hangs.
    pub fn serves(&self) -> bool {
        self.shared.disk_watch.serves()
    }

    /// Looks at the free space of the disk, and puts the ballast back when there is enough of it.
    ///
    /// # Errors
    /// When the disk does not answer.
    pub fn look_at_space(&self) -> io::Result<()> {
        let shared = &self.shared;
        let watch = &shared.disk_watch;
        watch.saw_free_bytes(shared.disk.free_bytes()?);
        let bytes = shared.options.ballast_bytes;
        if bytes > 0 && watch.space_level() == SpaceLevel::Ample && !watch.waits_for_space() {
            segment::put_ballast(&*shared.disk, bytes)?;
        }
        Ok(())
    }

    /// How much the log presses for being purged.
    pub fn pressure(&self) -> Pressure {
        Pressure::of(self.shared.segments_in_use.load(Ordering::Relaxed), &self.shared.options)
    }

    /// Why this node takes no new writes, a sentence for people, if it takes none.
    pub fn refuses_writes(&self) -> Option<String> {
        let options = &self.shared.options;
        let owner = &options.owner;
        if let Some(why) = self.shared.disk_watch.lacks_space() {
            return Some(format!(
                "{owner} takes no new writes: {why}; free space on its disk and writes go on by \
                 themselves, reads are not concerned"
            ));
        }
        (self.pressure() == Pressure::Reached).then(|| {
            format!(
                "{owner} takes no new writes: its Raft log has reached its limit of {} MiB; they go on \
                 by themselves when the log is shorter, else look at the node's replicas and its disk",
                options.bytes_max >> 20
            )
        })
    }

    /// Whether a replica may take these entries from its leader. There is more room for them than for new
    /// writes, because what was begun elsewhere should end; and for a few bytes there is room until the disk is
    /// really full. What the log has already counts for nothing: a new leader sends it to find out.
    pub fn takes_entries(&self, key: &Key, entries: &[Entry]) -> bool {
        let options = &self.shared.options;
        let watch = &self.shared.disk_watch;
        let segments = self.shared.segments_in_use.load(Ordering::Relaxed);
        let used = segments.saturating_mul(options.segment_bytes);
        let limit = options.bytes_max + options.bytes_max / 8 + options.segment_bytes;
        let waits = watch.waits_for_space();
        if !waits && used < limit && watch.space_level() < SpaceLevel::Exhausted {
            return true;
        }
        let state = self.shared.state.lock();
        let log = state.index.get(key);
        let is_new = |entry: &&Entry| {
            log.and_then(|log| log.log_id_at(entry.log_id.index)) != Some(entry.log_id)
        };
        let bytes: usize = entries.iter().filter(is_new).map(entry_bytes).sum();
        bytes == 0 || (!waits && bytes <= limits::SMALL_APPEND_BYTES)
    }

    /// Replicas that have something in the log.
    pub fn replicas(&self) -> Vec<Key> {
        self.shared.state.lock().index.iter().map(|(key, _)| *key).collect()
    }

    /// File and offset of the first damage found at the start in what had been synced, whether or not a
    /// replica lost something by it.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// What a replica had acknowledged and has lost; `None` when nothing.
    pub fn shortfall(&self, key: &Key) -> Option<&Shortfall> {
        self.shortfalls.get(key)
    }

    /// Adds entries; they are readable when this returns, and `done` is called when they are synced.
    ///
    /// Waits for room in the flush queue: that is the back-pressure.
    ///
    /// # Errors
    /// When the entries would leave a hole.
    pub async fn append(&self, key: Key, entries: Vec<Entry>, done: Done) -> io::Result<()> {
        let shared = &self.shared;
        let Some(last) = entries.last().map(|entry| entry.log_id) else {
            let state = shared.state.lock();
            shared.queue(|ticket| vec![operation(key, Effect::Barrier, ticket, Some(done))]);
            drop(state);
            shared.wake();
            return Ok(());
        };
        let bytes: usize = entries.iter().map(entry_bytes).sum();
        let share = shared.room.take(key, bytes).await?;
        // Nobody else changes this replica's log meanwhile: openraft does one thing after the other.
        let before = entries[0].log_id.index.checked_sub(1);
        let prev = before.and_then(|before| self.log_id_at(&key, before));
        let records = encode_records(prev, &entries);
        {
            let mut state = shared.state.lock();
            let log = state.index.get_or_create(key);
            let hint = log.committed.filter(|_| log.committed != log.committed_queued);
            log.committed_queued = log.committed;
            let ticket = shared.queue.lock().tickets + 1;
            for entry in entries {
                let index = entry.log_id.index;
                if let Err(expected) = state.index.append(key, entry, Place::Pending(ticket)) {
                    let what = format!("entry {index} appended where {expected} was expected");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
                }
            }
            shared.queue(|ticket| {
                let mut operations: Vec<Operation> = hint
                    .map(|committed| operation(key, Effect::CommitHint(committed), ticket, None))
                    .into_iter()
                    .collect();
                operations.extend(records.into_iter().map(|(first, count, last, payload)| {
                    let effect = Effect::Entries { first, count, last };
                    Operation { payload, ..operation(key, effect, ticket, None) }
                }));
                let end = operation(key, Effect::Barrier, ticket, Some(done));
                operations.push(Operation { share: Some(share), ..end });
                operations
            });
            state.index.evict();
        }
        debug_assert!(last.index < u64::MAX);
        shared.wake();
        Ok(())
    }

    /// Queues an operation that the index has seen already, and tells when it is synced.
    fn submit(&self, key: Key, effect: Effect, change: impl FnOnce(&mut Index)) -> Synced {
        let (done, synced) = tokio::sync::oneshot::channel();
        let done: Done = Box::new(move || {
            // A caller that does not wait has dropped its end.
            let _ = done.send(());
        });
        let mut state = self.shared.state.lock();
        change(&mut state.index);
        let effect = match effect {
            Effect::Purge { upto, .. } => {
                let log = state.index.get_or_create(key);
                Effect::Purge { upto, floor: floor_after_purge(log) }
            }
            other => other,
        };
        self.shared.queue(|ticket| vec![operation(key, effect, ticket, Some(done))]);
        drop(state);
        self.shared.wake();
        Synced(synced)
    }

    /// Replaces the vote.
    pub fn save_vote(&self, key: Key, vote: Vote) -> Synced {
        self.submit(key, Effect::Vote(vote), |index| index.get_or_create(key).vote = Some(vote))
    }

    /// Removes the entries after `last`; all of them when it is `None`.
    pub fn truncate_after(&self, key: Key, last: Option<LogId>) -> Synced {
        let from = last.map_or(0, |last| last.index + 1);
        self.submit(key, Effect::TruncateAfter(last), |index| index.truncate_from(key, from))
    }

    /// Removes the entries up to and with `upto`.
    pub fn purge(&self, key: Key, upto: LogId) -> Synced {
        let effect = Effect::Purge { upto, floor: FloorAfterPurge::Empty };
        self.submit(key, effect, |index| index.purge(key, upto))
    }

    /// Removes a replica's log for ever.
    pub fn destroy(&self, key: Key) -> Synced {
        self.shared.room.forget(&key);
        self.submit(key, Effect::Destroy, |index| index.remove(&key))
    }

    /// Remembers the newest log-committed log id. No I/O: it rides on the next entries.
    pub fn save_committed(&self, key: Key, committed: Option<LogId>) {
        self.shared.state.lock().index.get_or_create(key).committed = committed;
    }

    /// The newest log-committed log id that was remembered.
    pub fn committed(&self, key: &Key) -> Option<LogId> {
        self.shared.state.lock().index.get(key).and_then(|log| log.committed)
    }

    /// The vote.
    pub fn vote(&self, key: &Key) -> Option<Vote> {
        self.shared.state.lock().index.get(key).and_then(|log| log.vote)
    }

    /// Up to where the log was purged, and where it ends.
    pub fn bounds(&self, key: &Key) -> (Option<LogId>, Option<LogId>) {
        let state = self.shared.state.lock();
        let log = state.index.get(key);
        (log.and_then(|log| log.purged), log.and_then(|log| log.last_log_id()))
    }

    /// Log id of an entry in the log.
    pub fn log_id_at(&self, key: &Key, index: u64) -> Option<LogId> {
        self.shared.state.lock().index.get(key).and_then(|log| log.log_id_at(index))
    }

    /// The last log id of each term among the entries `from..=to`.
    pub fn last_of_terms(&self, key: &Key, from: u64, to: u64) -> Vec<LogId> {
        let state = self.shared.state.lock();
        state.index.get(key).map(|log| log.last_of_terms(from, to)).unwrap_or_default()
    }

    /// Bytes of entries a replica has in the log.
    pub fn bytes(&self, key: &Key) -> u64 {
        self.shared.state.lock().index.get(key).map_or(0, |log| log.bytes())
    }

    /// The last index whose purge leaves about `tail_bytes` of entries.
    pub fn index_before_tail(&self, key: &Key, tail_bytes: u64) -> Option<u64> {
        let state = self.shared.state.lock();
        state.index.get(key).and_then(|log| log.index_before_tail(tail_bytes))
    }

    /// Whether this replica's entries keep the oldest segment from being freed.
    pub fn pins_oldest_segment(&self, key: &Key) -> bool {
        self.shared.state.lock().pinning.contains(key)
    }

    /// Numbers for metrics.
    pub fn metrics(&self) -> LogMetrics {
        let counters = &self.shared.counters;
        let watch = &self.shared.disk_watch;
        let (slow_syncs, no_space) = watch.counts();
        let state = self.shared.state.lock();
        LogMetrics {
            syncs: counters.syncs.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            entries: counters.entries.load(Ordering::Relaxed),
            last_flush_micros: counters.last_flush_micros.load(Ordering::Relaxed),
            slowest_flush_micros: counters.slowest_flush_micros.load(Ordering::Relaxed),
            segments: state.segments.len() as u64,
            cached_bytes: state.index.cached_bytes() as u64,
            slow_syncs,
            no_space,
            free_bytes: watch.free_bytes().unwrap_or_default(),
        }
    }

    /// Waits until the entry at `index` is synced, if it is in the log at all.
    pub async fn wait_synced(&self, key: &Key, index: u64) {
        let mut durable = self.shared.durable_ticket.subscribe();
        let place = self.shared.state.lock().index.get(key).and_then(|log| log.place(index));
        if let Some(Place::Pending(ticket)) = place {
            // The sender lives as long as this log.
            let _ = durable.wait_for(|durable| *durable >= ticket).await;
        }
    }

    /// The entries of `from..to` that are in the log, up to `bytes_max` but at least one.
    ///
    /// # Errors
    /// When a record on disk cannot be read or fails its check; the message names file and offset.
    pub fn read(&self, key: &Key, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let find = || {
            let state = self.shared.state.lock();
            state.index.get(key).map(|log| log.find(from, to, bytes_max)).unwrap_or_default()
        };
        let found = find();
        match self.materialise(found) {
            // The segment may have been freed and begun anew between looking and reading: then the
            // entries were purged, and looking again says so.
            Err(_) => self.materialise(find()),
            entries => entries,
        }
    }

    /// Reads what was not cached.
    fn materialise(&self, found: Vec<Found>) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity(found.len());
        let mut last: Option<(RecordAt, Vec<Entry>)> = None;
        for item in found {
            match item {
                Found::Cached(entry) => entries.push(entry),
                Found::OnDisk(at, index) => {
                    if last.as_ref().is_none_or(|(known, _)| *known != at) {
                        last = Some((at, self.read_record(at)?));
                    }
                    let entry = last.as_ref().and_then(|(_, entries)| {
                        entries.iter().find(|entry| entry.log_id.index == index)
                    });
                    entries.push(entry.cloned().ok_or_else(|| self.bad_record(at))?);
                }
            }
        }
        Ok(entries)
    }

    /// Reads a record of entries.
    fn read_record(&self, at: RecordAt) -> io::Result<Vec<Entry>> {
        let file = self.shared.state.lock().segments.get(&at.position.segment).cloned();
        let file = file.ok_or_else(|| self.bad_record(at))?;
        let mut bytes = vec![0; at.bytes as usize];
        let count = file.read_at(at.position.offset, &mut bytes)?;
        bytes.truncate(count);
        let (record, _) = record::decode(&Bytes::from(bytes), 0, at.position.segment)
            .filter(|(record, _)| record.kind == Kind::Entries)
            .ok_or_else(|| self.bad_record(at))?;
        decode_entries(record.payload).map_err(|_| self.bad_record(at))
    }

    /// Names a record that cannot be read.
    fn bad_record(&self, at: RecordAt) -> io::Error {
        let name = self.shared.disk.place(&segment::segment_name(at.position.segment));
        let what = format!("corrupt Raft log record in {name} at byte {}", at.position.offset);
        io::Error::new(io::ErrorKind::InvalidData, what)
    }

    /// Writes and syncs what is queued, and ends the flusher. The log refuses nothing afterwards, but
    /// nobody would hear of a sync.
    pub fn close(&self) {
        self.shared.queue.lock().stop = true;
        self.shared.wake();
        if let Some(thread) = self.thread.lock().take() {
            // A flusher that panicked has aborted the process.
            let _ = thread.join();
        }
        // Not before: the last sync can hang too.
        if let Some(watcher) = self.watcher.lock().take() {
            watcher.stop();
        }
    }
}

/// Resolves when an operation is synced.
pub struct Synced(tokio::sync::oneshot::Receiver<()>);

impl Synced {
    /// Waits for the sync.
    ///
    /// # Errors
    /// When the log was closed first.
    pub async fn wait(self) -> io::Result<()> {
        self.0.await.map_err(|_| io::Error::other("the Raft log is closed"))
    }
}

/// Cuts entries that follow `prev` into records: first index, count, last log id, payload.
fn encode_records(mut prev: Option<LogId>, entries: &[Entry]) -> Vec<(u64, u64, LogId, Vec<u8>)> {
    let mut records = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take_while(|entry| {
                bytes += entry_bytes(entry);
                bytes <= RECORD_BYTES_TARGET
            })
            .count();
        let (chunk, others) = rest.split_at(fitting.max(1));
        rest = others;
        let last = chunk[chunk.len() - 1].log_id;
        let payload = encode_entry_batch(prev.as_ref(), chunk);
        records.push((chunk[0].log_id.index, chunk.len() as u64, last, payload));
        prev = Some(last);
    }
    records
}

#[cfg(test)]
#[path = "log/damage_tests.rs"]
mod damage_tests;
#[cfg(test)]
#[path = "log/full_tests.rs"]
mod full_tests;
#[cfg(test)]
#[path = "log/oracle_tests.rs"]
mod oracle_tests;
#[cfg(test)]
#[path = "log/tests.rs"]
mod tests;
