//! The words between a coordinator and a shard's leader.

use base::{KeyRange, Timestamp};
use bytes::Bytes;

/// A read. `ts` is the read point; [`Timestamp::MAX`] reads the newest committed versions and needs no
/// timestamp from the oracle (single-shard autocommit reads).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadRequest {
    /// The versions of some keys of this shard, in the order of the keys.
    Get {
        /// Engine keys (`engine::key`), each with its slot.
        keys: Vec<Bytes>,
        /// Read point.
        ts: Timestamp,
    },
    /// The rows of a key range, one page at a time.
    Scan {
        /// Engine keys to visit; the slot at the end of a key plays no part in the bounds.
        range: KeyRange,
        /// Read point.
        ts: Timestamp,
        /// Descending order when true.
        reverse: bool,
        /// Most rows in the answer; capped by `base::limits::SCAN_ROWS_MAX` and `SCAN_BYTES_MAX`.
        limit: usize,
    },
}

/// The answer to a [`ReadRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadResponse {
    /// One entry per key asked for, in that order; `None` where no row is visible.
    Values(Vec<Option<Version>>),
    /// A page of a scan.
    Page {
        /// Visible rows, in scan order.
        rows: Vec<(Bytes, Version)>,
        /// Where to go on: the rest of the range, or `None` when it is exhausted.
        rest: Option<KeyRange>,
    },
}

/// A committed value and when it became visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its commit timestamp.
    pub commit_ts: Timestamp,
    /// The row or index entry.
    pub value: Bytes,
}

/// What must be true of a key's newest committed version for a write to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the write needs no knowledge of the key (its row's key is checked instead).
    Any,
    /// No row may be visible, else `AlreadyExists` (INSERT, unique index entries).
    Absent,
    /// No version newer than this may exist, else `WriteConflict` (snapshot isolation).
    /// [`Timestamp::ZERO`] stands for "was read as absent": a tombstone of any age passes, a row does
    /// not.
    NotNewerThan(Timestamp),
}

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWrite {
    /// Engine key with its slot.
    pub key: Bytes,
    /// The new value; `None` deletes.
    pub value: Option<Bytes>,
    /// What must hold for it to pass.
    pub expect: Expect,
}

/// A write to one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteRequest {
    /// The whole transaction, when it touches one shard: checked, given a commit timestamp by the
    /// leader, replicated as part of one entry.
    CommitNow {
        /// All its changes.
        writes: Vec<KeyWrite>,
    },
    /// First phase over several shards: a lock with the new value on each key.
    Prewrite {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// The key whose lock decides it.
        primary: Bytes,
        /// Wall clock of the coordinator plus the lock's TTL: after this anyone may roll it back.
        expires_unix_ms: u64,
        /// The changes on this shard. Repeating them changes nothing.
        writes: Vec<KeyWrite>,
    },
    /// Second phase: turns locks into versions. Repeating it changes nothing.
    Commit {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// When its versions become visible.
        commit_ts: Timestamp,
        /// Locked keys on this shard. A key whose lock is gone and whose version at `commit_ts` is
        /// absent answers `RolledBack`.
        keys: Vec<Bytes>,
    },
    /// Removes locks, and remembers the rollback on the primary so that a late prewrite fails. A
    /// primary that is committed already stays so, and the answer is `Status(Committed)`.
    Rollback {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// Keys on this shard.
        keys: Vec<Bytes>,
    },
    /// Asks the primary's shard what became of a transaction; rolls it back when its lock has expired
    /// or was never written. (A transaction younger than `base::limits::LOCK_TTL` without a primary
    /// lock counts as alive: its prewrites run in parallel and the primary's may still be under way.)
    CheckStatus {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// Its primary key.
        primary: Bytes,
        /// Wall clock of the asker.
        now_unix_ms: u64,
    },
    /// Moves the expiry of a primary's lock: the transaction is alive.
    Heartbeat {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// Its primary key.
        primary: Bytes,
        /// The new expiry.
        expires_unix_ms: u64,
    },
    /// Adds to a counter key of the meta shard and answers the value before: AUTO_INCREMENT ranges,
    /// ids.
    Bump {
        /// The counter's engine key.
        key: Bytes,
        /// How much to add.
        by: u64,
        /// The counter is at least this before it is bumped (explicit AUTO_INCREMENT values).
        at_least: u64,
    },
}

/// The answer to a [`WriteRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteResponse {
    /// Done; the timestamp is the transaction's commit timestamp where it has one.
    Done {
        /// Commit timestamp of `CommitNow`, else zero.
        commit_ts: Timestamp,
    },
    /// To `CheckStatus`, and to a `Rollback` that came after the commit.
    Status(TxnStatus),
    /// To `Bump`: the counter before the addition. To a shard's own collector: the versions dropped.
    Counter(u64),
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxnStatus {
    /// Its primary lock stands and has not expired: wait.
    Alive,
    /// Committed: turn its locks into versions.
    Committed {
        /// When it became visible.
        commit_ts: Timestamp,
    },
    /// Rolled back: remove its locks.
    RolledBack,
}
