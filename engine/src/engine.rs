//! The `Engine` trait: an ordered map of bytes whose crash behaviour Raft can build on.
//!
//! Invariants every implementation keeps (the parity tests check them on both):
//! 1. `write` is atomic: after a crash a batch is there whole or not at all.
//! 2. A crash takes a *suffix* of the batches written since the last `flush`, never one in the middle.
//! 3. A snapshot sees exactly the batches written before it was taken.
//! 4. `get_flushed` sees only what a crash cannot take.

use crate::{Result, WriteBatch};
use base::KeyRange;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

/// What a scan calls for each entry, in order. Returning `false` ends the scan.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool> + 'a;

/// What a step of [`Engine::verify`] read, without finding damage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<Bytes>,
}

impl Verified {
    /// Counts entries up to `bytes_max`, then notes where to go on. At least one entry is passed.
    pub(crate) fn visitor(
        &mut self,
        bytes_max: usize,
    ) -> impl FnMut(&[u8], &[u8]) -> Result<bool> + '_ {
        move |key, value| {
            if self.bytes > 0 && self.bytes >= bytes_max as u64 {
                self.next = Some(Bytes::copy_from_slice(key));
                return Ok(false);
            }
            self.bytes += (key.len() + value.len()) as u64;
            Ok(true)
        }
    }
}

/// An ordered map of bytes with atomic batches, engine snapshots and checkpoints.
pub trait Engine: Send + Sync + 'static {
    /// The value of a key, or `None`.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The value of a key as of the last flush: what would be left after a crash right now.
    fn get_flushed(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The first entry with `key >= from` that still begins with `prefix` (`from` begins with it too).
    /// This is the one LSM probe of a point read: `from` is the key of the newest version wanted.
    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>>;

    /// Visits the entries of a range in ascending key order.
    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()>;

    /// Visits the entries of a range in descending key order.
    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()>;

    /// Applies a batch atomically. Durable only after the next `flush` (the Raft log is the log).
    fn write(&self, batch: WriteBatch) -> Result<()>;

    /// Makes everything written so far survive a crash.
    fn flush(&self) -> Result<()>;

    /// A frozen view of the present content.
    fn snapshot(&self) -> Arc<dyn EngineSnapshot>;

    /// Flushes, then makes a hard-linked copy in `dir`, which must not exist; its parents are created.
    fn checkpoint(&self, dir: &Path) -> Result<()>;

    /// Reads what is stored from key `from` on, about `bytes_max` bytes, past the cache, and checks it. For
    /// a scrub, which goes on at [`Verified::next`].
    fn verify(&self, from: &[u8], bytes_max: usize) -> Result<Verified> {
        let range = KeyRange { start: Bytes::copy_from_slice(from), end: Bytes::new() };
        let mut verified = Verified::default();
        let mut visit = verified.visitor(bytes_max);
        self.scan(&range, &mut visit)?;
        drop(visit);
        Ok(verified)
    }

    /// Bytes written since the last flush, roughly: how much log a crash would have to replay.
    fn unflushed_bytes(&self) -> u64;

    /// Bytes that the flushed content takes on disk, roughly: what was deleted counts until storage has given its space
    /// back.
    fn stored_bytes(&self) -> u64;
}

/// A frozen view of an engine's content.
pub trait EngineSnapshot: Send + Sync {
    /// As [`Engine::get`], at the moment of the snapshot.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// As [`Engine::seek_prefix`], at the moment of the snapshot.
    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>>;

    /// As [`Engine::scan`], at the moment of the snapshot.
    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()>;

    /// As [`Engine::scan_reverse`], at the moment of the snapshot.
    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()>;
}
