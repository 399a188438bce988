//! Transaction errors, grouped by what the caller does next.

use base::{NodeId, ShardId, Timestamp};
use bytes::Bytes;

/// Result of a transaction step.
pub type Result<T> = std::result::Result<T, Error>;

/// What can stop a transaction.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another transaction's lock stands on the key. Resolve it or wait for it, then retry here.
    #[error("key {} is locked by transaction {start_ts}", key.escape_ascii())]
    KeyLocked {
        /// The locked key.
        key: Bytes,
        /// Start timestamp (identity) of the transaction that holds it.
        start_ts: Timestamp,
        /// The key whose lock decides that transaction.
        primary: Bytes,
        /// Whether it is a large transaction, whose locks readers need not wait for.
        large: bool,
    },
    /// Another transaction has locked the row. Ask for the lock, then read again what the write was made of. Nothing
    /// was executed.
    #[error("the row {} is locked by another transaction", key.escape_ascii())]
    RowLocked {
        /// The key.
        key: Bytes,
    },
    /// Another transaction held a row lock for too long. The client sees 1205; its transaction goes on.
    #[error("waited too long for the lock of {}", key.escape_ascii())]
    LockWaitTimeout {
        /// The key.
        key: Bytes,
    },
    /// Another transaction holds the row, and the request would not wait. The client sees 3572; its transaction goes
    /// on.
    #[error("the lock of {} is not free", key.escape_ascii())]
    LockNotAvailable {
        /// The key.
        key: Bytes,
    },
    /// The transaction waited for others that wait for it, and was chosen to give way. The client sees 1213.
    #[error("deadlock at the lock of {}", key.escape_ascii())]
    Deadlock {
        /// The key it waited for.
        key: Bytes,
    },
    /// The read point is older than a lock that was just granted. Choose a newer one and read again.
    #[error("{} has changed since it was read", key.escape_ascii())]
    Stale {
        /// The key.
        key: Bytes,
        /// Whether the row itself has a newer version. Else its lock was waited for, and reading at the old point is
        /// right, though it misses what the former holder has done.
        changed: bool,
    },
    /// A newer version exists than the transaction may overwrite. The client sees 1213.
    #[error("write conflict on {}", key.escape_ascii())]
    WriteConflict {
        /// The key.
        key: Bytes,
    },
    /// A key that had to be absent exists. The client sees 1062 with the index's name.
    #[error("key {} already exists", key.escape_ascii())]
    AlreadyExists {
        /// The key.
        key: Bytes,
    },
    /// The transaction was rolled back by someone who found its lock expired, or its commit came too late. The client sees
    /// 1213.
    #[error("transaction {start_ts} was rolled back")]
    RolledBack {
        /// Its start timestamp; of a transaction of one shard the timestamp that its commit brought along.
        start_ts: Timestamp,
    },
    /// The transaction ended so long ago that its record is gone: whether it was committed nobody knows any more. Read
    /// what it may have written.
    #[error("nobody knows any more what became of transaction {start_ts}")]
    Forgotten {
        /// Its start timestamp.
        start_ts: Timestamp,
    },
    /// A large transaction, a part of whose writes had left memory, was rolled back as a whole: because a part of it had to
    /// be undone, or because it could not send its writes.
    #[error("the transaction was larger than memory and was rolled back as a whole")]
    NotUndoable,
    /// The shard moved, or its leader changed. Refresh the route, then retry elsewhere.
    /// Nothing was executed.
    #[error("shard {shard} is not served here")]
    NotServing {
        /// The shard asked for.
        shard: ShardId,
        /// Its leader, when this node knows it.
        leader: Option<NodeId>,
    },
    /// The shard does not own the slots that it was asked for: it was split, or is being split, since the asker looked for its
    /// keys. Nothing was executed. Look for the keys again.
    #[error("shard {shard} does not own the slots that it was asked for")]
    Moved {
        /// The shard asked for.
        shard: ShardId,
    },
    /// No replica that follows can answer the read now. Read at the leader, or later.
    #[error("no follower of shard {shard} answers the read: {what}")]
    NoFollower {
        /// The shard.
        shard: ShardId,
        /// Why the one that was asked last could not.
        what: String,
    },
    /// No leader was found in time; nothing was executed. The client sees a clear error.
    #[error("shard {shard} does not answer: {what}")]
    Unavailable {
        /// The shard.
        shard: ShardId,
        /// What was tried.
        what: String,
    },
    /// The write may or may not have happened: its quorum did not answer in time. What became of a transaction can be asked
    /// later ([`crate::settle`]).
    #[error("the outcome of a write to shard {shard} is unknown")]
    OutcomeUnknown {
        /// The shard.
        shard: ShardId,
    },
    /// The transaction or one of its rows exceeds a named limit. Nothing was executed.
    #[error("{what}")]
    TooLarge {
        /// Which limit, its value, and what to do.
        what: String,
    },
    /// The node that leads the shard takes no new writes: its disk or its log is full. Nothing was
    /// executed. Reads are not concerned, and what was begun may still end.
    #[error("{what}")]
    DiskFull {
        /// Which node, why, and what to do.
        what: String,
    },
    /// The read point is older than the versions that are kept. Begin anew. Nothing was executed.
    #[error("the read point {ts} is before the safe point {safe_point} of shard {shard}")]
    SnapshotTooOld {
        /// The shard.
        shard: ShardId,
        /// The read point.
        ts: Timestamp,
        /// The earliest read point that is still served.
        safe_point: Timestamp,
    },
    /// The read point that was asked for is later than now: what will be committed before it is not known yet. Nothing was
    /// executed.
    #[error("the read point {ts} lies after the oracle's now {now}")]
    ReadPointInFuture {
        /// The read point.
        ts: Timestamp,
        /// The oracle's now.
        now: Timestamp,
    },
    /// Storage failed or is corrupt. The replica stops; nothing from it is answered.
    #[error("storage engine failed: {what}")]
    Engine {
        /// Which file and why.
        what: String,
    },
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Error {
        Error::Engine { what: error.to_string() }
    }
}
