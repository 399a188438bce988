//! Storage errors, grouped by what the caller does next.

use std::path::PathBuf;

/// Result of a storage operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong below a replica.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes on disk are not what was written. Stop the replica, keep its folder as evidence.
    #[error("corrupt data in {place}: {what}")]
    Corrupt {
        /// File or key where it was found.
        place: String,
        /// What was expected and what was found.
        what: String,
    },
    /// The disk refused. A write or sync that failed is never tried again: the process stops.
    #[error("disk error at {path}: {what}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's words.
        what: String,
    },
    /// The disk is full. Nothing was written; the engine goes on by itself when there is space again. Wait and
    /// try again.
    #[error("no space left at {path}: {what}")]
    NoSpace {
        /// File or folder.
        path: PathBuf,
        /// The system's words.
        what: String,
    },
    /// The folder belongs to someone else, or to another format version. Start nothing from it.
    #[error("cannot use {path}: {what}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not, and what to do.
        what: String,
    },
}

impl Error {
    /// Bytes that decode to nothing sensible.
    pub fn corrupt(place: impl Into<String>, what: impl Into<String>) -> Error {
        Error::Corrupt { place: place.into(), what: what.into() }
    }
}
