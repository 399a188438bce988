//! Versions of rows, locks of transactions, and the write batch that Raft replicates.
//!
//! An engine holds these kinds of entries, told apart by their first byte:
//!
//! ```text
//! 'a' name                     what a replica knows of itself: the applied log id, its shard's slots, …
//! 'd' key  !commit_ts (8 BE)   a version: the value of `key` from `commit_ts` on, newest first
//! 'l' key                      the lock of an unfinished transaction on `key`
//! 'm' key                      the same of a large transaction (`large`)
//! 'n' start_ts (8 BE)          a large transaction that has locks here
//! 's' commit (8 BE)            a commit of one shard that must not be executed any more
//! 't' primary  start_ts (8 BE) what became of a transaction whose primary lock is gone
//!
//!              commit_ts ▲
//!      30 ───────────────┼─── a2 ──────────── (tombstone)      get(a, 25) = a1
//!      20 ─── a1 ────────┼────┼──────── b1 ──────┼────         get(a, 30) = a2
//!      10 ────┼──────────┼────┼────────┼─────────┼────         get(b, 30) = nothing
//!             a               a        b         b   key
//! ```
//!
//! A point read is one probe: seek to `'d' key !ts`, which is the newest version not above `ts`, or
//! the end of the key's versions.
//!
//! Invariants:
//! 1. Keys are **prefix-free**: no stored key is a proper prefix of another one. Keys that `engine::key`
//!    builds are, within one index because each column's encoding is, between indexes because the
//!    head has a fixed length. So the versions of a key stand together, and no other key's between.
//! 2. A scan's bound never extends a stored key by more than one zero byte (`key + 00` is "right
//!    after `key`", which pages of a scan use).
//! 3. A key holds at most one version per `commit_ts` and at most one lock.
//!
//! Not here: who may read or write when, and when versions and records are dropped (`txn`).

mod batch;
mod bounds;
mod changes;
mod collect;
mod dropped;
mod large;
mod lock;
mod merge;
mod records;
mod refusal;
mod safe_points;
mod scan;
mod version;

pub use batch::{decode_batch, encode_batch};
pub use bounds::{
    Foreign, bounds, delete_foreign_mark, delete_key, find_foreign, has_foreign, is_foreign,
    put_bounds,
};
pub use changes::{Changes, find_change};
pub use collect::{Dead, delete_dead, find_dead};
pub use dropped::{Leftover, find_leftover, may_go};
pub use large::{
    Rounds, all_large, delete_large, delete_large_lock, get_large_lock, put_large, put_large_lock,
    scan_large_locks,
};
pub use lock::{
    AsyncCommit, Change, Lock, LockExpect, TxnRecord, all_locks, delete_lock, delete_txn_record,
    get_lock, get_txn_record, put_lock, put_txn_record, scan_locks, scan_locks_in,
};
pub use merge::{
    Aligned, Interval, MergePart, MergeState, Piece, Rest, Sides, align, find_piece, is_copied,
    merge_state, put_merge_state, put_rest, read_rest, rest_of, taken_changes,
};
pub use records::{OldRecords, find_old_records, has_records};
pub use refusal::{delete_refusal, get_refusal, put_refusal, refusals};
pub use safe_points::{SafePoints, TableSpan, put_safe_points, safe_points};
pub use scan::scan;
pub use version::{
    Found, FoundCommit, find_commit, get, newest, put_version, put_version_by, slot_of_version,
    version_key,
};

use crate::engine::Visitor;
use crate::{Engine, EngineSnapshot, Result, WriteBatch};
use base::{KeyRange, Timestamp};
use bytes::Bytes;

/// First byte of what a replica knows of itself.
pub const META: u8 = b'a';
/// First byte of versions.
pub const DATA: u8 = b'd';
/// First byte of locks.
pub const LOCK: u8 = b'l';
/// First byte of locks of large transactions, but for their primaries'.
pub const LARGE_LOCK: u8 = b'm';
/// First byte of the large transactions that have locks here.
pub const LARGE: u8 = b'n';
/// First byte of refused commits.
pub const REFUSED: u8 = b's';
/// First byte of transaction records.
pub const TXN: u8 = b't';
/// Length of the timestamp at the end of a version's engine key.
pub const TIMESTAMP_BYTES: usize = 8;
/// The engine key under which `raft` keeps the applied log id and the membership.
pub const APPLIED_KEY: &[u8] = b"a/applied";
/// The engine key of the safe points: versions that only reads before them could see may be gone.
const SAFE_POINT_KEY: &[u8] = b"a/safe_point";
/// The engine key of the lock floor: locks of transactions that began before it are refused.
const LOCK_FLOOR_KEY: &[u8] = b"a/lock_floor";

/// The lock floor of a shard (`docs/formats.md`); zero when it was never raised.
pub fn lock_floor<V: View + ?Sized>(view: &V) -> Result<Timestamp> {
    let Some(stored) = view.get(LOCK_FLOOR_KEY)? else { return Ok(Timestamp::ZERO) };
    match <[u8; 8]>::try_from(&stored[..]) {
        Ok(bytes) => Ok(Timestamp(u64::from_be_bytes(bytes))),
        Err(_) => Err(crate::Error::corrupt("the lock floor", format!("{} bytes", stored.len()))),
    }
}

/// Adds a new lock floor to a batch. Nobody may rely on it before the batch is applied.
pub fn put_lock_floor(batch: &mut WriteBatch, floor: Timestamp) {
    batch.put(LOCK_FLOOR_KEY, floor.0.to_be_bytes().to_vec());
}

/// The engine key of something a replica knows of itself.
pub fn meta_key(name: &[u8]) -> Bytes {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(META);
    key.extend_from_slice(name);
    key.into()
}

/// What versions and locks are read from: an engine, or an engine snapshot of it.
pub trait View {
    /// As [`Engine::get`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// As [`Engine::seek_prefix`].
    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>>;

    /// As [`Engine::scan`].
    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()>;

    /// As [`Engine::scan_reverse`].
    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()>;
}

macro_rules! view {
    ($source:ty) => {
        impl View for $source {
            fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
                <$source>::get(self, key)
            }

            fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
                <$source>::seek_prefix(self, prefix, from)
            }

            fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
                <$source>::scan(self, range, visit)
            }

            fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
                <$source>::scan_reverse(self, range, visit)
            }
        }
    };
}

view!(dyn Engine + '_);
view!(dyn EngineSnapshot + '_);

#[cfg(test)]
mod tests;
