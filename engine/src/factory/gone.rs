//! What is left of replicas that were removed for ever: nothing but their names.
//!
//! ```text
//! replicas/9-40/ ──renamed──> gone/9-40/ ──emptied──> gone/9-40/     an empty folder: the mark
//! ```
//!
//! A split that is applied late must not make a replica again that was here and is gone. A folder becomes its own
//! mark by a rename, so that a full disk prevents no removal.

use super::{Error, Result, folder, io_error};
use crate::folder::ReplicaIdentity;
use base::limits::GONE_REPLICAS_MAX;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Whether a replica folder is there, though it may be damaged.
pub(super) fn is_there(replica_folder: &Path) -> Result<bool> {
    match ReplicaIdentity::read(replica_folder) {
        Err(Error::Corrupt { .. }) => Ok(true),
        found => Ok(found?.is_some()),
    }
}

/// The mark of a replica folder; `None` when the path has no name.
pub(super) fn mark_of(replica_folder: &Path, gone: &Path) -> Option<PathBuf> {
    replica_folder.file_name().map(|name| gone.join(name))
}

/// Removes a replica folder and leaves its mark. May be repeated after a crash.
pub(super) fn destroy(replica_folder: &Path, gone: &Path) -> Result<()> {
    let Some(mark) = mark_of(replica_folder, gone) else { return Ok(()) };
    folder::create_folder(gone)?;
    empty(&mark)?;
    if replica_folder.is_dir() {
        folder::rename(replica_folder, &mark)?;
    }
    note(replica_folder, gone)?;
    empty(&mark)
}

/// Leaves the mark of a replica whose folder is not in its place any more. The oldest marks go when there are
/// too many.
pub(super) fn note(replica_folder: &Path, gone: &Path) -> Result<()> {
    let Some(mark) = mark_of(replica_folder, gone) else { return Ok(()) };
    folder::create_folder(&mark)?;
    let mut marks = folder::subfolders(gone)?;
    let excess = marks.len().saturating_sub(GONE_REPLICAS_MAX);
    if excess > 0 {
        // Ids grow.
        marks.sort_by_key(|mark| {
            ReplicaIdentity::from_folder_name(mark).map(|identity| identity.replica)
        });
    }
    for old in &marks[..excess] {
        folder::remove_folder(old)?;
    }
    Ok(())
}

/// Finishes removals that a crash interrupted.
pub(super) fn clear(gone: &Path) -> Result<()> {
    folder::remove_trash(gone)?;
    folder::subfolders(gone)?.iter().try_for_each(|mark| empty(mark))
}

/// Removes what a mark holds.
fn empty(mark: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(mark) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(mark, &error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| io_error(mark, &error))?.path();
        let removed = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
        removed.map_err(|error| io_error(&path, &error))?;
    }
    Ok(())
}
