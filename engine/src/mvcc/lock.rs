//! Locks of unfinished transactions and records of finished ones.

use super::large::Rounds;
use super::{LOCK, TXN, View};
use crate::{Error, Result, WriteBatch};
use base::{KeyRange, Timestamp};
use bytes::Bytes;

/// Format version of a lock's bytes.
const LOCK_VERSION: u8 = 1;
/// The same for a lock of an asynchronous commit.
const LOCK_VERSION_ASYNC: u8 = 2;
/// The same for a lock of a large transaction.
const LOCK_VERSION_LARGE: u8 = 3;
/// The locked write puts a value.
const WRITE_PUT: u8 = 0;
/// The locked write deletes the key.
const WRITE_TOMBSTONE: u8 = 1;
/// The lock keeps the key as it is.
const WRITE_KEEP: u8 = 2;
/// Tags of [`LockExpect`].
const EXPECT_ANY: u8 = 0;
const EXPECT_ABSENT: u8 = 1;
const EXPECT_NOT_NEWER_THAN: u8 = 2;
/// Tags of [`TxnRecord`].
const RECORD_ROLLED_BACK: u8 = 1;
const RECORD_COMMITTED: u8 = 2;

/// What a transaction does to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It gets this value.
    Put(Bytes),
    /// It goes.
    Delete,
    /// It stays as it is, and nobody may change it before the transaction ends: a locking read.
    Keep,
}

impl Change {
    /// Bytes of the value, zero when there is none.
    pub fn bytes(&self) -> usize {
        match self {
            Change::Put(value) => value.len(),
            Change::Delete | Change::Keep => 0,
        }
    }
}

/// A transaction's uncommitted claim on a key, together with what it will write there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Identity of the transaction.
    pub start_ts: Timestamp,
    /// The key whose lock decides the transaction.
    pub primary: Bytes,
    /// Wall clock after which anyone may roll the transaction back. Only the primary's counts.
    pub expires_unix_ms: u64,
    /// What the commit does to the key.
    pub change: Change,
    /// What was checked when the lock was placed, so that a repeated prewrite can be recognised.
    pub expect: LockExpect,
    /// Set when the transaction is committed as soon as all its locks stand.
    pub async_commit: Option<AsyncCommit>,
    /// Set when the transaction is a large one, which never commits asynchronously.
    pub rounds: Option<Rounds>,
}

/// What a lock knows of an asynchronous commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsyncCommit {
    /// The transaction does not commit before this. Its commit timestamp is the latest of all its locks.
    pub commit_from: Timestamp,
    /// In the primary's lock: the transaction's other keys. In other locks: none.
    pub secondaries: Vec<Bytes>,
}

/// What a prewrite demanded of the key's newest version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockExpect {
    /// Nothing.
    Any,
    /// No visible row.
    Absent,
    /// No version newer than this.
    NotNewerThan(Timestamp),
}

/// What became of a transaction, kept under its primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxnRecord {
    /// It was rolled back: a late prewrite must fail.
    RolledBack,
    /// It committed: its other locks become versions at `commit_ts`.
    Committed {
        /// When it became visible.
        commit_ts: Timestamp,
    },
}

/// Adds "place this lock on `key`" to a batch; it replaces the key's lock.
pub fn put_lock(batch: &mut WriteBatch, key: &[u8], lock: &Lock) {
    batch.put(lock_key(key), lock.encode());
}

/// Adds "remove the lock of `key`" to a batch.
pub fn delete_lock(batch: &mut WriteBatch, key: &[u8]) {
    batch.delete(lock_key(key));
}

/// The lock of a key.
pub fn get_lock<V: View + ?Sized>(view: &V, key: &[u8]) -> Result<Option<Lock>> {
    let engine_key = lock_key(key);
    view.get(&engine_key)?.map(|bytes| Lock::decode(&engine_key, &bytes)).transpose()
}

/// Calls `visit(key, lock)` for every lock, in key order, until it answers `false`.
pub fn scan_locks<V: View + ?Sized>(
    view: &V,
    mut visit: impl FnMut(Bytes, Lock) -> Result<bool>,
) -> Result<()> {
    view.scan(&KeyRange::prefix(vec![LOCK]), &mut |engine_key, stored| {
        let lock = Lock::decode(engine_key, &Bytes::copy_from_slice(stored))?;
        visit(Bytes::copy_from_slice(&engine_key[1..]), lock)
    })
}

/// Calls `visit(key, lock)` for the locks in a range of keys, in key order, until it answers `false`. Those of large
/// transactions, but for their primaries', are found by `scan_large_locks`.
pub fn scan_locks_in<V: View + ?Sized>(
    view: &V,
    range: &KeyRange,
    mut visit: impl FnMut(Bytes, Lock) -> Result<bool>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let end = match range.end.is_empty() {
        true => Bytes::from_static(&[LOCK + 1]),
        false => lock_key(&range.end),
    };
    let engine_range = KeyRange { start: lock_key(&range.start), end };
    view.scan(&engine_range, &mut |engine_key, stored| {
        let lock = Lock::decode(engine_key, &Bytes::copy_from_slice(stored))?;
        visit(Bytes::copy_from_slice(&engine_key[1..]), lock)
    })
}

/// Every lock, in key order.
pub fn all_locks<V: View + ?Sized>(view: &V) -> Result<Vec<(Bytes, Lock)>> {
    let mut locks = Vec::new();
    scan_locks(view, |key, lock| {
        locks.push((key, lock));
        Ok(true)
    })?;
    Ok(locks)
}

/// Adds "this is what became of the transaction" to a batch.
pub fn put_txn_record(
    batch: &mut WriteBatch,
    primary: &[u8],
    start_ts: Timestamp,
    record: TxnRecord,
) {
    let mut bytes = Vec::with_capacity(9);
    match record {
        TxnRecord::RolledBack => bytes.push(RECORD_ROLLED_BACK),
        TxnRecord::Committed { commit_ts } => {
            bytes.push(RECORD_COMMITTED);
            bytes.extend_from_slice(&commit_ts.0.to_le_bytes());
        }
    }
    batch.put(txn_record_key(primary, start_ts), bytes);
}

/// Adds "forget what became of the transaction" to a batch.
pub fn delete_txn_record(batch: &mut WriteBatch, primary: &[u8], start_ts: Timestamp) {
    batch.delete(txn_record_key(primary, start_ts));
}

/// What became of a transaction, when it left a record.
pub fn get_txn_record<V: View + ?Sized>(
    view: &V,
    primary: &[u8],
    start_ts: Timestamp,
) -> Result<Option<TxnRecord>> {
    let engine_key = txn_record_key(primary, start_ts);
    let Some(bytes) = view.get(&engine_key)? else { return Ok(None) };
    match &bytes[..] {
        [RECORD_ROLLED_BACK] => Ok(Some(TxnRecord::RolledBack)),
        [RECORD_COMMITTED, a, b, c, d, e, f, g, h] => {
            let commit_ts = Timestamp(u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]));
            Ok(Some(TxnRecord::Committed { commit_ts }))
        }
        _ => Err(Error::corrupt(
            format!("transaction record {}", engine_key.escape_ascii()),
            format!("unknown bytes {}", bytes.escape_ascii()),
        )),
    }
}

impl Lock {
    /// The bytes of `docs/formats.md`, "Versions and locks".
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, value) = parts(&self.change);
        let mut bytes = Vec::with_capacity(31 + self.primary.len() + value.len());
        bytes.push(match (&self.rounds, &self.async_commit) {
            (Some(_), _) => LOCK_VERSION_LARGE,
            (None, Some(_)) => LOCK_VERSION_ASYNC,
            (None, None) => LOCK_VERSION,
        });
        bytes.extend_from_slice(&self.start_ts.0.to_le_bytes());
        bytes.extend_from_slice(&self.expires_unix_ms.to_le_bytes());
        let (expect, expect_ts) = match self.expect {
            LockExpect::Any => (EXPECT_ANY, Timestamp::ZERO),
            LockExpect::Absent => (EXPECT_ABSENT, Timestamp::ZERO),
            LockExpect::NotNewerThan(ts) => (EXPECT_NOT_NEWER_THAN, ts),
        };
        bytes.push(expect);
        bytes.extend_from_slice(&expect_ts.0.to_le_bytes());
        put_key(&mut bytes, &self.primary);
        if let Some(Rounds { round, older }) = &self.rounds {
            bytes.extend_from_slice(&round.to_le_bytes());
            bytes.extend_from_slice(&(older.len() as u32).to_le_bytes());
            for (round, change) in older {
                let (kind, value) = parts(change);
                bytes.extend_from_slice(&round.to_le_bytes());
                bytes.push(kind);
                put_key(&mut bytes, value);
            }
        } else if let Some(AsyncCommit { commit_from, secondaries }) = &self.async_commit {
            bytes.extend_from_slice(&commit_from.0.to_le_bytes());
            bytes.extend_from_slice(&(secondaries.len() as u32).to_le_bytes());
            secondaries.iter().for_each(|key| put_key(&mut bytes, key));
        }
        bytes.push(kind);
        bytes.extend_from_slice(value);
        bytes
    }

    /// The lock in stored bytes; `engine_key` is only named in errors.
    pub(super) fn decode(engine_key: &[u8], bytes: &Bytes) -> Result<Lock> {
        Lock::parse(bytes).ok_or_else(|| {
            Error::corrupt(
                format!("lock {}", engine_key.escape_ascii()),
                format!(
                    "its {} bytes are not a lock of version {LOCK_VERSION} to {LOCK_VERSION_LARGE}",
                    bytes.len()
                ),
            )
        })
    }

    fn parse(bytes: &Bytes) -> Option<Lock> {
        let (&[version], rest) = bytes.split_first_chunk()?;
        let (start_ts, rest) = rest.split_first_chunk()?;
        let (expires_unix_ms, rest) = rest.split_first_chunk()?;
        let (&[expect], rest) = rest.split_first_chunk()?;
        let (expect_ts, rest) = rest.split_first_chunk()?;
        let (primary, rest) = take_key(rest)?;
        let (async_commit, rounds, rest) = match version {
            LOCK_VERSION => (None, None, rest),
            LOCK_VERSION_LARGE => {
                let (round, rest) = rest.split_first_chunk()?;
                let (count, mut rest) = rest.split_first_chunk()?;
                let mut older = Vec::new();
                for _ in 0..u32::from_le_bytes(*count) {
                    let (round, after) = rest.split_first_chunk()?;
                    let (&[kind], after) = after.split_first_chunk()?;
                    let (value, after) = take_key(after)?;
                    let change = change_of(bytes, kind, value)?;
                    older.push((u32::from_le_bytes(*round), change));
                    rest = after;
                }
                (None, Some(Rounds { round: u32::from_le_bytes(*round), older }), rest)
            }
            LOCK_VERSION_ASYNC => {
                let (commit_from, rest) = rest.split_first_chunk()?;
                let (count, mut rest) = rest.split_first_chunk()?;
                let mut secondaries = Vec::new();
                for _ in 0..u32::from_le_bytes(*count) {
                    let (key, after) = take_key(rest)?;
                    secondaries.push(bytes.slice_ref(key));
                    rest = after;
                }
                let commit_from = Timestamp(u64::from_le_bytes(*commit_from));
                (Some(AsyncCommit { commit_from, secondaries }), None, rest)
            }
            _ => return None,
        };
        let (&[kind], value) = rest.split_first_chunk()?;
        let change = change_of(bytes, kind, value)?;
        let expect = match (expect, Timestamp(u64::from_le_bytes(*expect_ts))) {
            (EXPECT_ANY, _) => LockExpect::Any,
            (EXPECT_ABSENT, _) => LockExpect::Absent,
            (EXPECT_NOT_NEWER_THAN, ts) => LockExpect::NotNewerThan(ts),
            _ => return None,
        };
        Some(Lock {
            start_ts: Timestamp(u64::from_le_bytes(*start_ts)),
            primary: bytes.slice_ref(primary),
            expires_unix_ms: u64::from_le_bytes(*expires_unix_ms),
            change,
            expect,
            async_commit,
            rounds,
        })
    }
}

/// A change as its kind and the value that goes with it.
fn parts(change: &Change) -> (u8, &[u8]) {
    match change {
        Change::Put(value) => (WRITE_PUT, value),
        Change::Delete => (WRITE_TOMBSTONE, &[]),
        Change::Keep => (WRITE_KEEP, &[]),
    }
}

/// The change in stored bytes.
fn change_of(bytes: &Bytes, kind: u8, value: &[u8]) -> Option<Change> {
    match (kind, value) {
        (WRITE_PUT, value) => Some(Change::Put(bytes.slice_ref(value))),
        (WRITE_TOMBSTONE, []) => Some(Change::Delete),
        (WRITE_KEEP, []) => Some(Change::Keep),
        _ => None,
    }
}

/// Writes a key with its length.
fn put_key(bytes: &mut Vec<u8>, key: &[u8]) {
    bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
    bytes.extend_from_slice(key);
}

/// Reads what [`put_key`] wrote, and what follows it.
fn take_key(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)
}

/// The engine key of a key's lock.
pub(super) fn lock_key(key: &[u8]) -> Bytes {
    let mut engine_key = Vec::with_capacity(1 + key.len());
    engine_key.push(LOCK);
    engine_key.extend_from_slice(key);
    engine_key.into()
}

/// The engine key of a transaction's record.
fn txn_record_key(primary: &[u8], start_ts: Timestamp) -> Bytes {
    let mut engine_key = Vec::with_capacity(1 + primary.len() + 8);
    engine_key.push(TXN);
    engine_key.extend_from_slice(primary);
    engine_key.extend_from_slice(&start_ts.0.to_be_bytes());
    engine_key.into()
}
