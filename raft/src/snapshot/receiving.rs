//! The one Raft snapshot that a replica receives at a time, and what is kept of it between attempts.
//!
//! A sender that lost its power says nothing more, and a broken connection may go unnoticed for long. So a
//! sender that begins anew, or a newer leader, ends what an older one began; what has come stays, and goes
//! on when it is the same checkpoint.

use super::Checkpoint;
use super::incoming::Progress;
use crate::type_config::Vote;
use base::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, watch};

/// A Raft snapshot of which a part is there. Its folder goes with it, unless it was installed.
pub struct Incoming {
    /// How far it has come.
    pub progress: Progress,
    /// Its folder.
    pub checkpoint: Arc<Checkpoint>,
}

impl Incoming {
    /// Whether the rest has not come for too long.
    fn stale(&self, now: Duration) -> bool {
        now.saturating_sub(self.progress.touched_at) > limits::SNAPSHOT_PART_KEEP
    }
}

/// What a replica receives.
pub struct Receiving {
    /// What is there; held while more of it comes and is installed.
    part: Mutex<Option<Incoming>>,
    /// How many were begun, and the vote of the last one's sender.
    begun: watch::Sender<(u64, Option<Vote>)>,
}

impl Default for Receiving {
    fn default() -> Receiving {
        Receiving { part: Mutex::new(None), begun: watch::channel((0, None)).0 }
    }
}

/// Tells when another Raft snapshot was begun.
pub struct Superseded {
    /// The number of this one.
    number: u64,
    /// The number of the last one.
    begun: watch::Receiver<(u64, Option<Vote>)>,
}

impl Superseded {
    /// Whether another one was begun since.
    fn already(&self) -> bool {
        self.begun.borrow().0 != self.number
    }

    /// Waits until another one is begun.
    pub async fn wait(&mut self) {
        let number = self.number;
        // The sender lives as long as the replica.
        let _ = self.begun.wait_for(|(count, _)| *count != number).await;
    }
}

/// The right to receive: what is there, and when to let go of it.
pub type Turn<'a> = (Superseded, MutexGuard<'a, Option<Incoming>>);

impl Receiving {
    /// Begins to receive from a leader with this vote, once the one before has let go. `None` when a newer
    /// leader has sent, or sends in the meantime.
    pub async fn begin(&self, vote: &Vote) -> Option<Turn<'_>> {
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
        let part = self.part.lock().await;
        let superseded = Superseded { number, begun: self.begun.subscribe() };
        let already = superseded.already();
        (!already).then_some((superseded, part))
    }

    /// Takes out what nobody goes on with: its rest has not come for too long, or its replica has stopped.
    pub fn sweep(&self, stopped: bool, now: Duration) -> Option<Incoming> {
        let mut part = self.part.try_lock().ok()?;
        part.take_if(|incoming| stopped || incoming.stale(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_begins_anew_ends_what_was_begun_unless_it_is_older() {
        let receiving = Receiving::default();
        let leader = Vote::new_committed(3, 1);
        let (mut superseded, part) = receiving.begin(&leader).await.unwrap();
        assert!(receiving.begin(&Vote::new_committed(2, 2)).await.is_none(), "an older leader");
        assert!(!superseded.already());
        let again = receiving.begin(&leader);
        let let_go = async {
            superseded.wait().await;
            drop(part);
        };
        let (again, ()) = tokio::join!(again, let_go);
        assert!(!again.unwrap().0.already());
    }
}
