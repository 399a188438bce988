//! Errors of starting and running replicas, grouped by what the caller does next.

use crate::log::record::Key;
use base::{ReplicaId, ShardId};

/// Result of a host operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong when a node starts or changes its replicas.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log or a folder cannot be read. The node must not start on it.
    #[error("the Raft log in {place}: {what}")]
    Log {
        /// Where.
        place: String,
        /// What the system says.
        what: String,
    },
    /// A replica lost what it had acknowledged. It must not vote again: keep its folder as evidence and
    /// replace it under a new replica id.
    #[error(
        "replica {replica} of shard {shard} lost what it had acknowledged ({what}), see {place}; \
             replace it under a new replica id"
    )]
    Recovering {
        /// The shard.
        shard: ShardId,
        /// The replica.
        replica: ReplicaId,
        /// What is missing.
        what: String,
        /// File and offset of the damage.
        place: String,
    },
    /// The replica's engine cannot be opened or is damaged. Other replicas are not concerned.
    #[error("the replica's engine failed: {0}")]
    Engine(#[from] engine::Error),
    /// There is no such replica here. Look where it is.
    #[error("shard {0} has no replica on this node")]
    Unknown(ShardId),
    /// Something else of the shard runs already.
    #[error("shard {shard} already runs replica {replica} on this node")]
    Occupied {
        /// The shard.
        shard: ShardId,
        /// The replica that runs.
        replica: ReplicaId,
    },
    /// openraft does not start or has stopped.
    #[error("Raft of shard {shard}, replica {replica}: {what}")]
    Raft {
        /// The shard.
        shard: ShardId,
        /// The replica.
        replica: ReplicaId,
        /// openraft's words.
        what: String,
    },
}

impl Error {
    /// An error of openraft.
    pub fn raft(key: Key, what: impl ToString) -> Error {
        Error::Raft { shard: key.0, replica: key.1, what: what.to_string() }
    }
}
