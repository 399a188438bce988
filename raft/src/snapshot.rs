//! Raft snapshots: what they are here, and how a checkpoint is cut, kept and given away.
//!
//! Two kinds share one type. A *virtual* one is metadata only: it lets openraft purge the log up to
//! what the engine has flushed, and answers its questions at a start. A *checkpoint* is the real one, cut
//! when a follower needs it: a hard-linked copy of the engine in `sending/`, removed when the last
//! transfer lets go of it.

use crate::type_config::{LogId, StoredMembership, term_of};
use engine::EngineFactory;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// Data of a Raft snapshot.
#[derive(Clone)]
pub enum SnapshotData {
    /// Nothing: the state is where it is.
    Virtual,
    /// A complete checkpoint.
    Checkpoint(Arc<Checkpoint>),
}

/// A checkpoint in a folder of its own, removed with the last handle.
pub struct Checkpoint {
    /// The folder.
    pub dir: PathBuf,
    /// Log id of the last entry in it.
    pub last_log_id: LogId,
    /// Membership in it.
    pub membership: StoredMembership,
    /// Removes the folder.
    factory: Arc<dyn EngineFactory>,
}

impl Checkpoint {
    /// A checkpoint that exists in `dir`.
    pub fn new(
        dir: PathBuf,
        last_log_id: LogId,
        membership: StoredMembership,
        factory: Arc<dyn EngineFactory>,
    ) -> Checkpoint {
        Checkpoint { dir, last_log_id, membership, factory }
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if let Err(error) = self.factory.remove(&self.dir) {
            // The next start removes it.
            tracing::warn!(%error, "a checkpoint is left behind");
        }
    }
}

/// The name of the folder of a checkpoint.
pub fn checkpoint_name(last_log_id: &LogId) -> String {
    format!("{}-{}", term_of(last_log_id), last_log_id.index)
}

/// The checkpoint that a replica is sending, if any: shared by followers and by repeated attempts.
#[derive(Default)]
pub struct Sending {
    /// The last one cut.
    last: Mutex<Weak<Checkpoint>>,
}

impl Sending {
    /// The checkpoint in use.
    pub fn current(&self) -> Option<Arc<Checkpoint>> {
        self.last.lock().upgrade()
    }

    /// Remembers a checkpoint.
    pub fn remember(&self, checkpoint: &Arc<Checkpoint>) {
        *self.last.lock() = Arc::downgrade(checkpoint);
    }
}

/// Where a replica's checkpoints being sent are.
pub fn sending_dir(replica_folder: &Path, last_log_id: &LogId) -> PathBuf {
    replica_folder.join(engine::folder::SENDING_FOLDER).join(checkpoint_name(last_log_id))
}

/// Where a replica receives a checkpoint.
pub fn incoming_dir(replica_folder: &Path, last_log_id: &LogId) -> PathBuf {
    replica_folder.join(engine::folder::INCOMING_FOLDER).join(checkpoint_name(last_log_id))
}
