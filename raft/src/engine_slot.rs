//! The place of a replica's engine, which an installed Raft snapshot replaces.
//!
//! Readers hold the slot, not the engine. To replace the engine, the slot is emptied, the last reader of
//! the old engine is waited for (RocksDB locks its folder as long as anything is open), and the new one
//! takes its place.
//!
//! The slot also sees every error an engine reports: corrupt data stops the replica, and a disk that
//! refuses stops the process.

use base::{KeyRange, SharedClock};
use bytes::Bytes;
use engine::engine::{Verified, Visitor};
use engine::{Engine, EngineSnapshot, Error, Result, WriteBatch};
use parking_lot::RwLock;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Called with the words of the first corruption.
pub type OnCorrupt = Box<dyn Fn(String) + Send + Sync>;

/// What a reader hears who comes while there is no engine.
const CLOSED: &str = "the engine is closed: the replica has ended or installs a Raft snapshot";

/// An engine and those who read it: alive as long as a snapshot of it is.
struct Live {
    /// The engine.
    engine: Arc<dyn Engine>,
}

/// A replica's engine, replaceable.
pub struct EngineSlot {
    /// The engine; `None` while it is being replaced.
    live: RwLock<Option<Arc<Live>>>,
    /// For messages.
    folder: PathBuf,
    /// Whom to tell of corruption.
    on_corrupt: Arc<OnCorrupt>,
}

/// Sorts out the errors that need more than an answer.
fn watch<T>(result: Result<T>, on_corrupt: &OnCorrupt) -> Result<T> {
    match &result {
        Err(error @ Error::Corrupt { .. }) => on_corrupt(error.to_string()),
        Err(error @ Error::Io { .. }) => {
            eprintln!("{error}; the node stops");
            std::process::abort();
        }
        // Whoever asked waits: the engine goes on when there is space.
        Err(Error::NoSpace { .. } | Error::Folder { .. }) | Ok(_) => {}
    }
    result
}

impl EngineSlot {
    /// A slot with an engine in it.
    pub fn new(engine: Arc<dyn Engine>, folder: &Path, on_corrupt: OnCorrupt) -> EngineSlot {
        EngineSlot {
            live: RwLock::new(Some(Arc::new(Live { engine }))),
            folder: folder.to_path_buf(),
            on_corrupt: Arc::new(on_corrupt),
        }
    }

    /// Runs something on the engine.
    fn with<T>(&self, work: impl FnOnce(&Arc<Live>) -> Result<T>) -> Result<T> {
        let live = self.live.read();
        match &*live {
            Some(live) => watch(work(live), &self.on_corrupt),
            None => Err(Error::Folder { path: self.folder.clone(), what: CLOSED.to_string() }),
        }
    }

    /// Whether there is an engine in it.
    pub fn is_open(&self) -> bool {
        self.live.read().is_some()
    }

    /// Empties the slot and waits until nobody holds the old engine.
    ///
    /// # Errors
    /// When somebody still holds it after `wait_max`. The slot stays empty then.
    pub async fn close(&self, clock: &SharedClock, wait_max: Duration) -> Result<()> {
        let old: Weak<Live> = match self.live.write().take() {
            Some(live) => Arc::downgrade(&live),
            None => return Ok(()),
        };
        let give_up = clock.monotonic() + wait_max;
        while old.strong_count() > 0 {
            if clock.monotonic() > give_up {
                return Err(Error::Folder {
                    path: self.folder.clone(),
                    what: "readers hold the old engine for too long".to_string(),
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Puts an engine into the empty slot.
    pub fn fill(&self, engine: Arc<dyn Engine>) {
        *self.live.write() = Some(Arc::new(Live { engine }));
    }
}

impl Engine for EngineSlot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.with(|live| live.engine.get(key))
    }

    fn get_flushed(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.with(|live| live.engine.get_flushed(key))
    }

    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        self.with(|live| live.engine.seek_prefix(prefix, from))
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.with(|live| live.engine.scan(range, visit))
    }

    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        self.with(|live| live.engine.scan_reverse(range, visit))
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        self.with(|live| live.engine.write(batch))
    }

    fn flush(&self) -> Result<()> {
        self.with(|live| live.engine.flush())
    }

    fn snapshot(&self) -> Arc<dyn EngineSnapshot> {
        match &*self.live.read() {
            Some(live) => Arc::new(SlotSnapshot {
                view: live.engine.snapshot(),
                on_corrupt: self.on_corrupt.clone(),
                _live: live.clone(),
            }),
            None => Arc::new(Closed { folder: self.folder.clone() }),
        }
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        self.with(|live| live.engine.checkpoint(dir))
    }

    fn verify(&self, from: &[u8], bytes_max: usize) -> Result<Verified> {
        self.with(|live| live.engine.verify(from, bytes_max))
    }

    fn unflushed_bytes(&self) -> u64 {
        self.live.read().as_ref().map_or(0, |live| live.engine.unflushed_bytes())
    }

    fn stored_bytes(&self) -> u64 {
        self.live.read().as_ref().map_or(0, |live| live.engine.stored_bytes())
    }
}

/// A snapshot that keeps its engine from being replaced.
struct SlotSnapshot {
    /// The engine's snapshot. Dropped before `_live`: fields drop in order.
    view: Arc<dyn EngineSnapshot>,
    /// Whom to tell of corruption.
    on_corrupt: Arc<OnCorrupt>,
    /// The engine.
    _live: Arc<Live>,
}

impl EngineSnapshot for SlotSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        watch(self.view.get(key), &self.on_corrupt)
    }

    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        watch(self.view.seek_prefix(prefix, from), &self.on_corrupt)
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        watch(self.view.scan(range, visit), &self.on_corrupt)
    }

    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        watch(self.view.scan_reverse(range, visit), &self.on_corrupt)
    }
}

/// The snapshot of a slot without an engine: every read says so.
struct Closed {
    /// For messages.
    folder: PathBuf,
}

impl Closed {
    fn error(&self) -> Error {
        Error::Folder { path: self.folder.clone(), what: CLOSED.to_string() }
    }
}

impl EngineSnapshot for Closed {
    fn get(&self, _key: &[u8]) -> Result<Option<Bytes>> {
        Err(self.error())
    }

    fn seek_prefix(&self, _prefix: &[u8], _from: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        Err(self.error())
    }

    fn scan(&self, _range: &KeyRange, _visit: &mut Visitor<'_>) -> Result<()> {
        Err(self.error())
    }

    fn scan_reverse(&self, _range: &KeyRange, _visit: &mut Visitor<'_>) -> Result<()> {
        Err(self.error())
    }
}
