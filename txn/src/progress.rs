//! What a transaction has done so far, for others to look at while it runs.
//!
//! Whoever runs a transaction has it alone, also while it waits for a lock. So it leaves these figures outside, and
//! lists of open transactions read them without asking it. Each figure is right by itself; two of them may be of
//! different moments.
//!
//! Not here: who runs it and since when (`sql`).

use crate::command::LockOwner;
use base::Timestamp;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The figures of one transaction.
#[derive(Debug, Default)]
pub struct Progress {
    /// Whether it has read, locked or written anything.
    begun: AtomicBool,
    /// Who holds its row locks; 0 before it has asked for one or its writes have left memory.
    owner: AtomicU64,
    /// Its read point; 0 when it has none.
    read_ts: AtomicU64,
    /// Row locks that it holds.
    rows_locked: AtomicU64,
    /// Rows that it has written.
    rows_modified: AtomicU64,
    /// Wall clock since when it asks for row locks, milliseconds; 0 when it does not.
    asking_since_unix_ms: AtomicU64,
    /// What holds that request up, when it is no row lock.
    held_up: Mutex<Option<HeldUp>>,
}

/// A replicated lock that a request for row locks waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// The key.
    pub key: Bytes,
    /// Whose lock stands there: the start timestamp of a transaction that has prewritten the key.
    pub by: Timestamp,
}

/// A request for row locks under way; over when dropped, also when nobody waits for its answer any more.
#[derive(Debug)]
pub(crate) struct Asking(Arc<Progress>);

impl Progress {
    /// Whether it has read, locked or written anything.
    pub fn begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Who holds its row locks, once it has asked for one.
    pub fn owner(&self) -> Option<LockOwner> {
        some(self.owner.load(Ordering::Relaxed)).map(LockOwner)
    }

    /// Its read point, while it has one.
    pub fn read_ts(&self) -> Option<Timestamp> {
        some(self.read_ts.load(Ordering::Relaxed)).map(Timestamp)
    }

    /// Row locks that it holds, those of indexes included.
    pub fn rows_locked(&self) -> u64 {
        self.rows_locked.load(Ordering::Relaxed)
    }

    /// Rows that it has written and not undone.
    pub fn rows_modified(&self) -> u64 {
        self.rows_modified.load(Ordering::Relaxed)
    }

    /// Wall clock since when it asks for row locks, milliseconds.
    pub fn asking_since_unix_ms(&self) -> Option<u64> {
        some(self.asking_since_unix_ms.load(Ordering::Relaxed))
    }

    /// What holds its request for row locks up, when that is no row lock.
    pub fn held_up(&self) -> Option<HeldUp> {
        self.held_up.lock().clone()
    }

    /// Its request for row locks waits for this, or for no replicated lock any more.
    pub(crate) fn is_held_up(&self, by: Option<HeldUp>) {
        *self.held_up.lock() = by;
    }

    /// It reads, at whatever point.
    pub(crate) fn begins(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// It has this read point, or (zero) none any more.
    pub(crate) fn reads_at(&self, ts: Timestamp) {
        self.read_ts.store(ts.0, Ordering::Relaxed);
        if ts != Timestamp::ZERO {
            self.begins();
        }
    }

    /// It has written so many rows.
    pub(crate) fn has_written(&self, rows: usize) {
        self.rows_modified.store(rows as u64, Ordering::Relaxed);
        if rows > 0 {
            self.begins();
        }
    }

    /// It holds so many row locks.
    pub(crate) fn holds(&self, rows: usize) {
        self.rows_locked.store(rows as u64, Ordering::Relaxed);
    }

    /// This owner stands for it.
    pub(crate) fn is_owned_by(&self, owner: LockOwner) {
        self.owner.store(owner.0, Ordering::Relaxed);
    }

    /// It asks for row locks.
    pub(crate) fn asks(self: &Arc<Self>, owner: LockOwner, unix_ms: u64) -> Asking {
        self.begins();
        self.is_owned_by(owner);
        self.asking_since_unix_ms.store(unix_ms, Ordering::Relaxed);
        Asking(self.clone())
    }

    /// It has given up all locks and writes.
    pub(crate) fn has_rolled_back(&self) {
        self.owner.store(0, Ordering::Relaxed);
        self.holds(0);
        self.has_written(0);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking_since_unix_ms.store(0, Ordering::Relaxed);
        self.0.is_held_up(None);
    }
}

/// A figure that is 0 when there is nothing to tell.
fn some(figure: u64) -> Option<u64> {
    (figure != 0).then_some(figure)
}
