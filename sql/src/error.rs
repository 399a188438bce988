//! Errors as a MySQL client sees them: number, SQLSTATE, sentence.
//!
//! One constructor per number, so that each message is written once and each number keeps its SQLSTATE
//! (MySQL 8.0 reference manual, "Server Error Message Reference").
//!
//! The constructors stand in a block per area, each in its own file; a new one goes to the end of its block. This file has what
//! all of them are, and how errors of the crates below become one.

mod account;
mod cluster;
mod constraint;
mod definition;
mod foreign_key;
mod grammar;
mod partition;
mod program;
mod query;
mod sequence;
mod sharding;
mod statement;
mod transaction;
mod value;
mod variable;
mod view;
mod xa;

/// Result of a statement or a part of one.
pub type Result<T> = std::result::Result<T, Error>;

/// What a client gets instead of a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ERROR {code} ({sqlstate}): {message}")]
pub struct Error {
    /// MySQL's error number.
    pub code: u16,
    /// SQLSTATE, five characters.
    pub sqlstate: &'static str,
    /// One sentence in MySQL's own wording where MySQL has one.
    pub message: String,
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),*) = $code:literal, $state:literal, $format:literal;)*) => {
        impl Error {
            $($(#[$doc])*
            pub fn $name($($arg: impl std::fmt::Display),*) -> Error {
                Error { code: $code, sqlstate: $state, message: format!($format) }
            })*
        }
    };
}

pub(crate) use errors;

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Error {
        Error::storage(error)
    }
}

impl From<txn::Error> for Error {
    fn from(error: txn::Error) -> Error {
        match error {
            txn::Error::KeyLocked { .. } => Error::lock_wait_timeout(),
            txn::Error::WriteConflict { .. }
            | txn::Error::RowLocked { .. }
            | txn::Error::Deadlock { .. }
            | txn::Error::RolledBack { .. } => Error::deadlock(),
            txn::Error::LockWaitTimeout { .. } => Error::lock_wait_timeout(),
            txn::Error::LockNotAvailable { .. } => Error::lock_not_available(),
            txn::Error::Stale { changed, .. } => Error::stale(changed),
            // Whoever wrote the key knows its index and values and reports 1062 with them.
            txn::Error::AlreadyExists { key } => Error::duplicate_entry(key.escape_ascii(), "?"),
            txn::Error::NotServing { shard, .. } => {
                Error::unavailable(format!("shard {shard} is changing its leader"))
            }
            txn::Error::Moved { shard } => {
                Error::unavailable(format!("shard {shard} is being split or merged"))
            }
            txn::Error::NoFollower { shard, what } => Error::no_follower(shard, what),
            txn::Error::Unavailable { shard, what } => {
                Error::unavailable(format!("shard {shard} has no leader that answers: {what}"))
            }
            txn::Error::OutcomeUnknown { shard } => {
                Error::outcome_unknown(format!("a quorum of shard {shard} did not answer in time"))
            }
            txn::Error::Forgotten { .. } => {
                Error::outcome_unknown("the transaction ended so long ago that its record is gone")
            }
            txn::Error::NotUndoable => Error::transaction_undone(""),
            txn::Error::TooLarge { what } => Error::too_large(what),
            txn::Error::DiskFull { what } => Error::disk_full(what),
            txn::Error::SnapshotTooOld { .. } => Error::snapshot_too_old(),
            txn::Error::ReadPointInFuture { .. } => Error::invalid_as_of(
                "the time lies in the future as the cluster's clock tells; read NOW() - INTERVAL 1 SECOND or earlier",
            ),
            txn::Error::Engine { what } => Error::storage(what),
        }
    }
}
