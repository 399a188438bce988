//! `SimEngine`: an engine in memory whose crashes are decided by a seed.
//!
//! A [`SimDisk`] is a simulated node's disk. It outlives the engines that are opened on it, as a real
//! disk outlives a process. Each key keeps its past values, tagged by the number of the write that
//! made them, so that an engine snapshot, the flushed state and every state a crash may leave are
//! all just numbers:
//!
//! ```text
//! writes     1   2   3   4   5   6        key a: [(1, x), (5, y)]    key b: [(2, z), (6, gone)]
//!                    ▲           ▲
//!                 flushed       last      a crash keeps 3, 4, 5 or 6 writes: a suffix is lost
//! ```
//!
//! Invariants:
//! 1. Values that a reader, the flushed state or a possible crash can still see are kept; others go.
//! 2. A crash ends every engine and engine snapshot opened before it: their calls fail.
//! 3. One folder is open at most once, as with RocksDB.
//!
//! Not here: threads, time, chance of its own. `Rng` comes in with `crash`.

use crate::engine::{Engine, EngineSnapshot, Visitor};
use crate::folder::ReplicaIdentity;
use crate::{Error, Mutation, Result, WriteBatch};
use base::{KeyRange, Rng};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Entries that a scan takes under the lock at once.
const SCAN_CHUNK: usize = 128;

/// A node's simulated disk: engines, checkpoints and half-received checkpoints by their paths.
#[derive(Default)]
pub struct SimDisk {
    /// What lies on it.
    pub(crate) content: Mutex<Content>,
}

/// What lies on a simulated disk.
#[derive(Default)]
pub(crate) struct Content {
    /// Engines and complete checkpoints.
    pub(crate) stores: BTreeMap<PathBuf, Arc<Store>>,
    /// Files of checkpoints being received, by folder and name. Not synced: a crash takes them.
    pub(crate) received: BTreeMap<PathBuf, BTreeMap<String, Vec<u8>>>,
    /// Identities of replica folders.
    pub(crate) identities: BTreeMap<PathBuf, ReplicaIdentity>,
    /// Marks of replicas that were removed for ever.
    pub(crate) gone: BTreeSet<PathBuf>,
    /// Where the making of a child meets a full disk.
    stumble: Option<ChildStep>,
}

/// A step of making a child, after which a simulated disk may be full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildStep {
    /// The parent's engine was copied; the child's folder has not got its name.
    Copied,
    /// The child's folder is complete and has its name.
    Placed,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Arc<SimDisk> {
        Arc::new(SimDisk::default())
    }

    /// Opens the engine in `dir`, creating it when there is none.
    pub fn open(self: &Arc<SimDisk>, dir: &Path) -> Result<SimEngine> {
        let store = self.content.lock().stores.entry(dir.to_path_buf()).or_default().clone();
        SimEngine::open(self, store, dir)
    }

    /// Opens what [`Engine::checkpoint`] left in `dir`.
    pub fn open_checkpoint(self: &Arc<SimDisk>, dir: &Path) -> Result<SimEngine> {
        let store = self.content.lock().stores.get(dir).cloned();
        let store = store.ok_or_else(|| Error::Folder {
            path: dir.to_path_buf(),
            what: "there is no checkpoint in it".into(),
        })?;
        SimEngine::open(self, store, dir)
    }

    /// The node dies: every engine loses a random suffix of its un-flushed batches, half-received
    /// checkpoints vanish, and everything that was open is closed.
    pub fn crash(&self, rng: &mut Rng) {
        let mut content = self.content.lock();
        content.received.clear();
        for store in content.stores.values() {
            store.state.lock().crash(rng);
        }
    }

    /// From now on, whoever makes a child meets a full disk right after a step; nobody does with `None`.
    pub fn stumble_after(&self, step: Option<ChildStep>) {
        self.content.lock().stumble = step;
    }

    /// The full disk, if it is full after this step.
    pub(crate) fn stumble(&self, step: ChildStep, path: &Path) -> Result<()> {
        if self.content.lock().stumble != Some(step) {
            return Ok(());
        }
        Err(Error::NoSpace { path: path.to_path_buf(), what: "the simulated disk is full".into() })
    }

    /// Damages the stored value of a key: reads that meet it answer `Corrupt` until it is written again.
    pub fn damage(&self, dir: &Path, key: &[u8]) {
        if let Some(store) = self.content.lock().stores.get(dir) {
            store.state.lock().damaged.insert(Bytes::copy_from_slice(key));
        }
    }
}

/// One simulated folder's content.
#[derive(Default)]
pub(crate) struct Store {
    /// All of it.
    state: Mutex<State>,
}

impl Store {
    /// A closed store that holds these entries, flushed.
    pub(crate) fn of(entries: BTreeMap<Bytes, Bytes>) -> Arc<Store> {
        let keys = entries.into_iter().map(|(key, value)| (key, vec![(0, Some(value))])).collect();
        Arc::new(Store { state: Mutex::new(State { keys, ..State::default() }) })
    }

    /// The newest entries.
    pub(crate) fn entries(&self) -> BTreeMap<Bytes, Bytes> {
        let state = self.state.lock();
        let visible = |(key, _): (&Bytes, _)| Some((key.clone(), state.at(key, state.last)?));
        state.keys.iter().filter_map(visible).collect()
    }

    /// Whether an engine is open on it.
    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().open
    }
}

/// The content of a store and who looks at it.
#[derive(Default)]
struct State {
    /// Past values of each key with the write that made them, oldest first; `None` is a deletion.
    keys: BTreeMap<Bytes, Vec<(u64, Option<Bytes>)>>,
    /// Number of the last write.
    last: u64,
    /// Number of the last write that no crash can take.
    flushed: u64,
    /// Bytes of the writes after `flushed`.
    unflushed_bytes: u64,
    /// Keys written after `flushed`, or with values that only a reader keeps.
    dirty: BTreeSet<Bytes>,
    /// Readers: the write they read at, and how many.
    readers: BTreeMap<u64, usize>,
    /// Whether an engine is open.
    open: bool,
    /// Number of crashes so far: an engine of an earlier one is dead.
    crashes: u64,
    /// Keys whose stored value is damaged.
    damaged: BTreeSet<Bytes>,
}

impl State {
    /// The value of a key after write number `seq`.
    fn at(&self, key: &[u8], seq: u64) -> Option<Bytes> {
        value_at(self.keys.get(key)?, seq)
    }

    fn write(&mut self, batch: WriteBatch) {
        self.last += 1;
        self.unflushed_bytes += batch.bytes() as u64;
        for mutation in batch.into_mutations() {
            let (key, value) = match mutation {
                Mutation::Put { key, value } => (key, Some(value)),
                Mutation::Delete { key } => (key, None),
            };
            self.damaged.remove(&key);
            let values = self.keys.entry(key.clone()).or_default();
            values.retain(|(seq, _)| *seq != self.last);
            values.push((self.last, value));
            self.dirty.insert(key);
        }
    }

    fn flush(&mut self) {
        self.flushed = self.last;
        self.unflushed_bytes = 0;
        self.prune();
    }

    /// Drops the values that nobody can see any more.
    fn prune(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        for key in dirty {
            let Some(values) = self.keys.get_mut(&key) else { continue };
            let next: Vec<u64> = values.iter().skip(1).map(|(seq, _)| *seq).collect();
            let seen = |seq: u64, next: u64| {
                seq > self.flushed
                    || next > self.flushed
                    || self.readers.range(seq..next).next().is_some()
            };
            let mut next = next.into_iter();
            values.retain(|(seq, _)| next.next().is_none_or(|next| seen(*seq, next)));
            match &values[..] {
                [(_, Some(_))] => {}
                // A deletion with nothing before it says no more than an absent key.
                [(seq, None)] if *seq <= self.flushed => {
                    self.keys.remove(&key);
                }
                _ => {
                    self.dirty.insert(key);
                }
            }
        }
    }

    fn crash(&mut self, rng: &mut Rng) {
        let survived = self.flushed + rng.below(self.last - self.flushed + 1);
        for key in &self.dirty {
            if let Some(values) = self.keys.get_mut(key) {
                values.retain(|(seq, _)| *seq <= survived);
                if values.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
        self.last = survived;
        self.crashes += 1;
        self.open = false;
        self.readers.clear();
        self.flush();
    }

    fn check(&self, dir: &Path, key: &[u8]) -> Result<()> {
        if self.damaged.contains(key) {
            return Err(Error::corrupt(
                dir.display().to_string(),
                format!("the value of key {} is damaged", key.escape_ascii()),
            ));
        }
        Ok(())
    }
}

/// The newest value not after write number `seq`.
fn value_at(values: &[(u64, Option<Bytes>)], seq: u64) -> Option<Bytes> {
    values.iter().rev().find(|(written, _)| *written <= seq)?.1.clone()
}

/// An open store. Closed when the engine and all its snapshots are gone, or by a crash.
struct Handle {
    /// The store.
    store: Arc<Store>,
    /// Its folder, named in errors.
    dir: PathBuf,
    /// Crashes before it was opened.
    crashes: u64,
}

impl Handle {
    /// Runs `work` on the store's state, unless a crash has ended this handle.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.store.state.lock();
        if state.crashes != self.crashes {
            return Err(Error::Io {
                path: self.dir.clone(),
                what: "the node crashed; open the engine again".into(),
            });
        }
        work(&mut state)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.store.state.lock();
        if state.crashes == self.crashes {
            // A clean shutdown flushes, as RocksDB's does.
            state.flush();
            state.open = false;
        }
    }
}

/// A replica's engine in simulated memory.
pub struct SimEngine {
    /// The open store.
    handle: Arc<Handle>,
    /// Where checkpoints go.
    disk: Arc<SimDisk>,
}

impl SimEngine {
    fn open(disk: &Arc<SimDisk>, store: Arc<Store>, dir: &Path) -> Result<SimEngine> {
        let mut state = store.state.lock();
        if state.open {
            return Err(Error::Io { path: dir.to_path_buf(), what: "it is open already".into() });
        }
        state.open = true;
        let crashes = state.crashes;
        drop(state);
        let handle = Arc::new(Handle { store, dir: dir.to_path_buf(), crashes });
        Ok(SimEngine { handle, disk: disk.clone() })
    }

    /// As [`SimDisk::crash`], for this engine alone.
    pub fn crash(&self, rng: &mut Rng) {
        self.handle.store.state.lock().crash(rng);
    }

    /// A reader of the present content.
    fn reader(&self) -> SimSnapshot {
        let mut state = self.handle.store.state.lock();
        let seq = state.last;
        *state.readers.entry(seq).or_default() += 1;
        SimSnapshot { handle: self.handle.clone(), seq }
    }
}

impl Engine for SimEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.handle.with(|state| {
            state.check(&self.handle.dir, key)?;
            Ok(state.at(key, state.last))
        })
    }

    fn get_flushed(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.handle.with(|state| {
            state.check(&self.handle.dir, key)?;
            Ok(state.at(key, state.flushed))
        })
    }

    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        self.handle
            .with(|state| first_with_prefix(state, &self.handle.dir, prefix, from, state.last))
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.reader().scan(range, visit)
    }

    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.reader().scan_reverse(range, visit)
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        self.handle.with(|state| {
            state.write(batch);
            Ok(())
        })
    }

    fn flush(&self) -> Result<()> {
        self.handle.with(|state| {
            state.flush();
            Ok(())
        })
    }

    fn snapshot(&self) -> Arc<dyn EngineSnapshot> {
        Arc::new(self.reader())
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        self.flush()?;
        let copy = Store::of(self.handle.store.entries());
        let mut content = self.disk.content.lock();
        if content.stores.contains_key(dir) {
            return Err(Error::Io { path: dir.to_path_buf(), what: "it exists already".into() });
        }
        content.stores.insert(dir.to_path_buf(), copy);
        Ok(())
    }

    fn unflushed_bytes(&self) -> u64 {
        self.handle.store.state.lock().unflushed_bytes
    }

    fn stored_bytes(&self) -> u64 {
        let state = self.handle.store.state.lock();
        let newest = |(key, values): (&Bytes, &Vec<(u64, Option<Bytes>)>)| {
            let value = values.last().and_then(|(_, value)| value.as_ref())?;
            Some((key.len() + value.len()) as u64)
        };
        state.keys.iter().filter_map(newest).sum()
    }
}

/// An engine snapshot of a simulated engine.
struct SimSnapshot {
    /// The open store.
    handle: Arc<Handle>,
    /// The write it reads at.
    seq: u64,
}

impl SimSnapshot {
    /// The next entries of a range, at most `SCAN_CHUNK`, in scan order.
    fn chunk(
        &self,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
    ) -> Result<Vec<(Bytes, Bytes)>> {
        self.handle.with(|state| {
            let mut chunk = Vec::new();
            let mut take = |(key, values): (&Bytes, &Vec<(u64, Option<Bytes>)>)| -> Result<bool> {
                if let Some(value) = value_at(values, self.seq) {
                    state.check(&self.handle.dir, key)?;
                    chunk.push((key.clone(), value));
                }
                Ok(chunk.len() < SCAN_CHUNK)
            };
            let mut entries = state.keys.range::<[u8], _>(bounds);
            while let Some(entry) = if reverse { entries.next_back() } else { entries.next() } {
                if !take(entry)? {
                    break;
                }
            }
            Ok(chunk)
        })
    }

    fn walk(&self, range: &KeyRange, reverse: bool, visit: &mut Visitor<'_>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let mut start = Bound::Included(range.start.clone());
        let mut end = match range.end.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Excluded(range.end.clone()),
        };
        loop {
            // The visitor may use the engine itself, so it is called without the lock.
            let bounds = (start.as_ref().map(|key| &key[..]), end.as_ref().map(|key| &key[..]));
            let chunk = self.chunk(bounds, reverse)?;
            for (key, value) in &chunk {
                if !visit(key, value)? {
                    return Ok(());
                }
            }
            match chunk.last() {
                Some((last, _)) if chunk.len() == SCAN_CHUNK => {
                    // `last` lies inside the range, so the two bounds never cross.
                    *(if reverse { &mut end } else { &mut start }) = Bound::Excluded(last.clone());
                }
                _ => return Ok(()),
            }
        }
    }
}

impl EngineSnapshot for SimSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.handle.with(|state| {
            state.check(&self.handle.dir, key)?;
            Ok(state.at(key, self.seq))
        })
    }

    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        self.handle.with(|state| first_with_prefix(state, &self.handle.dir, prefix, from, self.seq))
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.walk(range, false, visit)
    }

    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.walk(range, true, visit)
    }
}

impl Drop for SimSnapshot {
    fn drop(&mut self) {
        let mut state = self.handle.store.state.lock();
        if state.crashes == self.handle.crashes
            && let Some(count) = state.readers.get_mut(&self.seq)
        {
            *count -= 1;
            if *count == 0 {
                state.readers.remove(&self.seq);
            }
        }
    }
}

/// The first entry at or after `from` that begins with `prefix`.
fn first_with_prefix(
    state: &State,
    dir: &Path,
    prefix: &[u8],
    from: &[u8],
    seq: u64,
) -> Result<Option<(Bytes, Bytes)>> {
    let entries = state.keys.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
    for (key, values) in entries.take_while(|(key, _)| key.starts_with(prefix)) {
        if let Some(value) = value_at(values, seq) {
            state.check(dir, key)?;
            return Ok(Some((key.clone(), value)));
        }
    }
    Ok(None)
}
