//! The words between a coordinator and a shard's leader.

use base::{KeyRange, NodeId, Timestamp, limits};
use bytes::Bytes;
use std::time::Duration;

pub use engine::mvcc::Change;

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
        /// Large and prepared transactions whose locks are no obstacle.
        known: Vec<KnownTransaction>,
    },
    /// The rows of a key range, one page at a time.
    Scan {
        /// Engine keys to visit; the slot at the end of a key plays no part in the bounds.
        range: KeyRange,
        /// Read point.
        ts: Timestamp,
        /// Descending order when true.
        reverse: bool,
        /// Most rows that are wanted; capped by `base::limits::SCAN_ROWS_MAX` and `SCAN_BYTES_MAX`. With `known`
        /// transactions the answer may hold up to twice as many.
        limit: usize,
        /// Large and prepared transactions whose locks are no obstacle.
        known: Vec<KnownTransaction>,
    },
    /// Whether anything in some keys and ranges was changed between two read points.
    Changed {
        /// Engine keys of this shard.
        keys: Vec<Bytes>,
        /// Ranges of engine keys, as in a scan.
        ranges: Vec<KeyRange>,
        /// Versions up to here are known to the asker.
        since: Timestamp,
        /// Versions above this are none of its concern.
        ts: Timestamp,
        /// The asker's own prewrite, whose locks are no obstacle; zero when there is none.
        own: Timestamp,
        /// Large and prepared transactions whose locks are no obstacle. What they have committed in between counts.
        known: Vec<KnownTransaction>,
    },
    /// When the oldest transaction began that has a lock here. The shard raises its lock floor first: transactions that
    /// began before it place no new locks, ever.
    OldestLock {
        /// The lock floor that is asked for. It stays where it is when it is higher already.
        before: Timestamp,
    },
}

impl ReadRequest {
    /// Its read point, and the transactions that its reader knows; `None` when it reads no rows.
    pub(crate) fn sight(&mut self) -> Option<(&mut Timestamp, &mut Vec<KnownTransaction>)> {
        match self {
            ReadRequest::Get { ts, known, .. }
            | ReadRequest::Scan { ts, known, .. }
            | ReadRequest::Changed { ts, known, .. } => Some((ts, known)),
            ReadRequest::OldestLock { .. } => None,
        }
    }
}

/// A large or prepared transaction of which a reader knows what to make, so that its locks do not hold the reader up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownTransaction {
    /// Its identity.
    pub start_ts: Timestamp,
    /// What to make of its locks.
    pub fate: Fate,
}

/// What a reader makes of a known transaction's locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is the reader's own: what it has written up to this round counts.
    Own {
        /// Later rounds do not count.
        round: u32,
    },
    /// Its locks are as good as versions of this timestamp.
    Committed {
        /// When it became visible.
        commit_ts: Timestamp,
    },
    /// It does not commit at or before the read point: its locks are passed over.
    Passed,
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
    /// To `Changed`.
    Changed {
        /// A key that has a version in between, if there is one.
        key: Option<Bytes>,
        /// Ranges that were not looked at for want of room, when none was found.
        rest: Vec<KeyRange>,
    },
    /// To `OldestLock`. Before both, no lock stands and none will ever stand.
    OldestLock {
        /// The lock floor.
        floor: Timestamp,
        /// When the oldest transaction began that has a lock; `None` when nothing is locked.
        oldest: Option<Timestamp>,
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
    /// What happens to it.
    pub change: Change,
    /// What must hold for it to pass.
    pub expect: Expect,
}

/// By what the commit of a transaction of one shard is found again when nobody knows its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitId {
    /// Drawn by the coordinator's node ([`crate::LockOwners::number`]); stored with the version of the primary, the first
    /// key that is changed.
    pub number: u64,
    /// A timestamp that was handed out before the commit was sent, so the commit timestamp is later.
    pub since: Timestamp,
}

impl CommitId {
    /// The last timestamp at which it may be committed: a message that comes later does nothing.
    pub fn until(self) -> Timestamp {
        let age_ms = limits::COMMIT_AGE_MAX.as_millis() as u64;
        Timestamp::last_of_unix_ms(self.since.unix_ms().saturating_add(age_ms))
    }
}

/// A write to one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteRequest {
    /// The whole transaction, when it touches one shard: checked, given a commit timestamp by the
    /// leader, replicated as part of one entry.
    CommitNow {
        /// All its changes.
        writes: Vec<KeyWrite>,
        /// Whose row locks are no obstacle. They are released with the commit.
        owner: Option<LockOwner>,
        /// By what it is found again; `None` when nobody will ask, as when it changes nothing.
        id: Option<CommitId>,
    },
    /// Asks what became of a `CommitNow`. One that was not executed never will be after this. Repeating it changes
    /// nothing.
    SettleNow {
        /// By what it is found.
        id: CommitId,
        /// The first key that it changes.
        primary: Bytes,
    },
    /// First phase over several shards: a lock with the new value on each key.
    Prewrite {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// The key whose lock decides it.
        primary: Bytes,
        /// Wall clock of the coordinator plus the lock's TTL: after this anyone may settle it.
        expires_unix_ms: u64,
        /// The changes on this shard. Repeating them changes nothing.
        writes: Vec<KeyWrite>,
        /// Whose row locks are no obstacle. Those on the keys of these writes are released with the answer: the
        /// replicated locks keep others away from then on.
        owner: Option<LockOwner>,
        /// For an asynchronous commit, which is decided once all its locks stand: the transaction's other keys when
        /// the primary is among these writes, else none. The leader answers the timestamp before which the transaction
        /// does not commit.
        secondaries: Option<Vec<Bytes>>,
        /// For a large transaction: which of its rounds this is.
        round: Option<Round>,
    },
    /// Second phase: turns locks into versions. Repeating it changes nothing.
    Commit {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// When its versions become visible.
        commit_ts: Timestamp,
        /// Locked keys on this shard. A key whose lock is gone and whose version at `commit_ts` is absent answers
        /// `RolledBack`, or `Status(Forgotten)` when nobody knows any more. The primary of a prepared transaction that
        /// is held answers `KeyLocked`: `Decide` commits it.
        keys: Vec<Bytes>,
        /// Locked keys that get no version; one whose lock is gone is passed over.
        kept: Vec<Bytes>,
    },
    /// Removes locks, and remembers the rollback on the primary so that a late prewrite fails. A
    /// primary that is committed already stays so, and the answer is `Status(Committed)`. Of one whose lock and record
    /// are gone for long nobody knows; the answer is `Status(Forgotten)`.
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
    /// Asks whether the locks of an asynchronous commit stand. When one is missing it can never be placed after this,
    /// so the transaction cannot commit any more unless it has already.
    CheckLocks {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// Keys on this shard.
        keys: Vec<Bytes>,
    },
    /// Asks how an asynchronous commit stands, as far as some of its keys tell, whether its locks have expired or not.
    /// Changes nothing and rules nothing out: `Prewritten` when all these locks stand, what a record says where one is
    /// missing, else `Alive`.
    LookAtLocks {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// Keys on this shard.
        keys: Vec<Bytes>,
    },
    /// Commits a large or prepared transaction, all of whose locks stand, at a timestamp that the primary's leader fetches
    /// while it holds the primary's latch. Repeating it changes nothing. Of one whose lock and record are gone for long
    /// nobody knows; the answer is `Status(Forgotten)`.
    Decide {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// Its primary key.
        primary: Bytes,
    },
    /// Turns all locks that a decided large transaction has on this shard into versions, or removes them. The leader
    /// does it behind the answer; repeating the request tells how far it is.
    FinishAll {
        /// Identity of the transaction.
        start_ts: Timestamp,
        /// Its primary key.
        primary: Bytes,
        /// When it was committed; `None` when it was rolled back.
        commit_ts: Option<Timestamp>,
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

/// One sending of a large transaction's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Counts from 1. A lock of an earlier round gets the new change, one of this round stays as it is.
    pub number: u32,
    /// The round after which the oldest open scan of the transaction began; above `newest_scan` when none is open.
    pub oldest_scan: u32,
    /// The same for the newest one.
    pub newest_scan: u32,
}

impl Round {
    /// Whether an open scan of the transaction sees a change that one round has placed and a later one replaced.
    pub(crate) fn is_needed(&self, placed: u32, replaced: u32) -> bool {
        placed <= self.newest_scan && replaced > self.oldest_scan
    }
}

/// The answer to a [`WriteRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteResponse {
    /// Done; the timestamp is the transaction's commit timestamp where it has one.
    Done {
        /// Commit timestamp of `CommitNow` and `Decide`; of a `Prewrite` that commits asynchronously, the earliest one possible; else
        /// zero.
        commit_ts: Timestamp,
    },
    /// To `CheckStatus`, `CheckLocks`, `LookAtLocks` and `SettleNow`, to a `Rollback` that came after the commit, and to a `Commit` or
    /// `Rollback` that came too late.
    Status(TxnStatus),
    /// To `Bump`: the counter before the addition. To `FinishAll`: 0 when nothing is left to do. To a shard's own
    /// collector: the versions or records dropped.
    Counter(u64),
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnStatus {
    /// Its primary lock stands and has not expired: wait.
    Alive,
    /// As `Alive`, of a large transaction or a prepared one that is held: its commit timestamp will be later than any that
    /// was handed out before this answer, so that readers need not wait.
    Open,
    /// Committed: turn its locks into versions.
    Committed {
        /// When it became visible.
        commit_ts: Timestamp,
    },
    /// It commits asynchronously and the locks that were asked for stand: it is committed if all others do, too. (To
    /// `CheckStatus`: its coordinator is silent.)
    Prewritten {
        /// It does not commit before this.
        commit_from: Timestamp,
        /// From the primary: where the other locks must be.
        secondaries: Vec<Bytes>,
    },
    /// Rolled back, or it cannot commit any more: remove its locks.
    RolledBack,
    /// It has neither a lock nor a record under some key, and began before the lock floor: it ended long ago, or never
    /// came so far. Whoever holds a lock of it may remove it; whether it was committed, nobody knows any more.
    /// To `SettleNow`: it may have been committed so long ago that its version is gone, or too many others came after.
    Forgotten,
}

/// Who holds row locks: one transaction of one node.
///
/// The number's upper 16 bits are the node, the rest grows with the node's clock, so that owners of all nodes can be
/// ordered by age, roughly, and a restarted node never repeats one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockOwner(pub u64);

/// Bits of an owner's number below its node.
const OWNER_AGE_BITS: u32 = 48;

impl LockOwner {
    /// The owner of a node that was numbered `count`.
    pub fn new(node: NodeId, count: u64) -> LockOwner {
        LockOwner(node.0 << OWNER_AGE_BITS | count & ((1 << OWNER_AGE_BITS) - 1))
    }

    /// The node that runs the transaction. Nodes above 65,535 are not told apart; ids are given one by one.
    pub fn node(self) -> NodeId {
        NodeId(self.0 >> OWNER_AGE_BITS)
    }

    /// When it began, in the order of all owners: later ones are greater.
    pub fn age(self) -> u64 {
        self.0 & ((1 << OWNER_AGE_BITS) - 1)
    }
}

impl std::fmt::Display for LockOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Strength of a row lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    /// Beside others of its kind (FOR SHARE).
    Shared,
    /// Alone (FOR UPDATE, and every write).
    Exclusive,
}

/// What a lock request does when somebody else holds the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Waits this long in all, then fails with `LockWaitTimeout`.
    Wait(Duration),
    /// Fails with `LockNotAvailable` (NOWAIT).
    NoWait,
    /// Leaves the row out (SKIP LOCKED).
    Skip,
}

/// Asks for row locks on keys of one shard. What was granted stays granted when a later key fails; repeating it
/// changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRequest {
    /// For whom.
    pub owner: LockOwner,
    /// Grows with the owner's requests, of which one is under way at a time; requests to several shards that belong
    /// together share one. 0 when it cannot be cancelled.
    pub number: u64,
    /// Locks and writes that the owner has already: who has least gives way in a deadlock.
    pub weight: u64,
    /// The keys, at most `base::limits::GET_KEYS_MAX`.
    pub keys: Vec<Bytes>,
    /// The asker's identity as a large transaction, zero when it is none: it has the keys that it has written.
    pub own: Timestamp,
    /// How.
    pub mode: LockMode,
    /// What to do about other owners.
    pub patience: Patience,
}

/// Gives up a [`LockRequest`], and all of its owner with smaller numbers. Repeating it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockCancel {
    /// Whose request.
    pub owner: LockOwner,
    /// Its number.
    pub number: u64,
    /// Its keys: what it alone was granted of them is given back.
    pub keys: Vec<Bytes>,
}

/// What became of one key of a [`LockRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockedKey {
    /// It is locked. Until the lock goes, no other version appears.
    Held {
        /// Of the newest version, a tombstone included; zero when there never was one.
        commit_ts: Timestamp,
        /// Whether that version is a row.
        exists: bool,
        /// Whether somebody else had to let it go first: what was read before that may be older than what the other one
        /// has left behind, here or elsewhere.
        waited: bool,
    },
    /// The asker, a large transaction, has written it before: nobody else can change it.
    Own {
        /// Whether it has a row in the asker's eyes.
        exists: bool,
    },
    /// Somebody else holds it, and the request skips such keys.
    Skipped,
}

impl LockedKey {
    /// Says that the lock had to be waited for.
    pub fn set_waited(&mut self) {
        if let LockedKey::Held { waited, .. } = self {
            *waited = true;
        }
    }
}

/// One owner that waits for a row lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWaiting {
    /// Who waits.
    pub owner: LockOwner,
    /// Its weight.
    pub weight: u64,
    /// For whom: those who hold the row or stand before it in the line, or the large transaction that has written it.
    pub blockers: Vec<LockOwner>,
}
