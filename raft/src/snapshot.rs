//! Raft snapshots: what they are here, and how a checkpoint is cut, kept and given away.
//!
//! Two kinds share one type. A *virtual* one is metadata only: it lets openraft purge the log up to
//! what the engine has flushed, and answers its questions at a start. A *checkpoint* is the real one, cut
//! when a follower needs it: a hard-linked copy of the engine in `sending/`, removed when the last
//! transfer lets go of it.

use crate::type_config::{LogId, StoredMembership, Vote, term_of};
use engine::EngineFactory;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use tokio::sync::watch;

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

/// The one Raft snapshot that a replica receives at a time.
///
/// A sender that lost its power says nothing more, and a broken connection may go unnoticed for long. So a
/// sender that begins anew, or a newer leader, ends what an older one began.
pub struct Receiving {
    /// Held while one is received and installed.
    turn: tokio::sync::Mutex<()>,
    /// How many were begun, and the vote of the last one's sender.
    begun: watch::Sender<(u64, Option<Vote>)>,
}

impl Default for Receiving {
    fn default() -> Receiving {
        Receiving { turn: tokio::sync::Mutex::default(), begun: watch::channel((0, None)).0 }
    }
}

/// The right to receive.
pub struct ReceivingTurn<'a> {
    /// The number of this one.
    number: u64,
    /// Tells when another one was begun.
    begun: watch::Receiver<(u64, Option<Vote>)>,
    /// Until the end.
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Receiving {
    /// Begins to receive from a leader with this vote, once the one before has let go. `None` when a newer
    /// leader has sent, or sends in the meantime.
    pub async fn begin(&self, vote: &Vote) -> Option<ReceivingTurn<'_>> {
        let mut number = 0;
        self.begun.send_if_modified(|(count, newest)| {
            if newest.is_some_and(|newest| *vote < newest) {
                return false;
            }
            *count += 1;
            *newest = Some(*vote);
            number = *count;
            true
        });
        if number == 0 {
            return None;
        }
        let turn = self.turn.lock().await;
        let turn = ReceivingTurn { number, begun: self.begun.subscribe(), _turn: turn };
        (!turn.is_superseded()).then_some(turn)
    }
}

impl ReceivingTurn<'_> {
    /// Whether another one was begun since.
    fn is_superseded(&self) -> bool {
        self.begun.borrow().0 != self.number
    }

    /// Waits until another one is begun.
    pub async fn superseded(&mut self) {
        let number = self.number;
        // The sender lives as long as the replica.
        let _ = self.begun.wait_for(|(count, _)| *count != number).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_begins_anew_ends_what_was_begun_unless_it_is_older() {
        let receiving = Receiving::default();
        let leader = Vote::new_committed(3, 1);
        let mut first = receiving.begin(&leader).await.unwrap();
        assert!(receiving.begin(&Vote::new_committed(2, 2)).await.is_none(), "an older leader");
        assert!(!first.is_superseded());
        let again = receiving.begin(&leader);
        let let_go = async {
            first.superseded().await;
            drop(first);
        };
        let (again, ()) = tokio::join!(again, let_go);
        assert!(!again.unwrap().is_superseded());
    }
}
