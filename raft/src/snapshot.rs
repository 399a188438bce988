//! Raft snapshots: what they are here, and how a checkpoint is cut, kept and given away.
//!
//! Two kinds share one type. A *virtual* one is metadata only: it lets openraft purge the log up to
//! what the engine has flushed, and answers its questions at a start. A *checkpoint* is the real one, cut
//! when a follower needs it: a hard-linked copy of the engine in `sending/`.
//!
//! ```text
//! openraft asks ─> flush in the background ─> asks again ─> cut ─> send ──ok──> kept a while ─> removed
//!                  (Later)                                          └─broken─> asks again: the same one
//! ```
//!
//! Invariants:
//! 1. A checkpoint's log id and membership are read from the checkpoint itself.
//! 2. A node keeps at most `limits::SNAPSHOT_CHECKPOINTS_MAX` of them, none longer than it is of use; a
//!    start removes all. One that serves nobody gives its place to another replica's.
//! 3. While a transfer runs, the log behind its checkpoint stays, bounded by time and by bytes.
//!
//! Reading order: here, `transfers` (what a node's transfers share), `incoming` and
//! `receiving` (the receiving side's checks, and what it keeps), then `transport::snapshot_send` and `transport::snapshot_receive`.

pub mod incoming;
pub mod receiving;
pub mod transfers;

use crate::engine_slot::EngineSlot;
use crate::type_config::{LogId, StoredMembership, term_of};
use base::limits;
use engine::EngineFactory;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Data of a Raft snapshot.
#[derive(Clone)]
pub enum SnapshotData {
    /// Nothing: the state is where it is.
    Virtual,
    /// A complete checkpoint.
    Checkpoint(Arc<Checkpoint>),
    /// Not now, and why; openraft asks again after a pause.
    Later(&'static str),
}

/// A checkpoint in a folder of its own, removed with the last handle.
pub struct Checkpoint {
    /// The folder.
    pub dir: PathBuf,
    /// Log id of the last entry in it.
    pub last_log_id: LogId,
    /// Membership in it.
    pub membership: StoredMembership,
    /// Tells this checkpoint from any other.
    pub id: u64,
    /// When it was cut, monotonic.
    pub cut_at: Duration,
    /// Set when it could not be read, or another one needed its place: it is sent no more.
    broken: AtomicBool,
    /// Set when a follower has installed it.
    delivered: AtomicBool,
    /// When a piece of it was last sent, monotonic microseconds.
    sent_at_micros: AtomicU64,
    /// Removes the folder.
    factory: Arc<dyn EngineFactory>,
    /// Its place among the node's checkpoints; none for a received one.
    place: Mutex<Option<OwnedSemaphorePermit>>,
    /// The engine it was cut from; none for a received one.
    source: Weak<EngineSlot>,
    /// Set when every block of that engine was read after the cut and none was damaged.
    sound: AtomicBool,
    /// Set when somebody has begun to send it.
    tried: AtomicBool,
}

impl Checkpoint {
    /// A checkpoint that exists, or comes to exist, in `dir`.
    pub fn new(
        dir: PathBuf,
        last_log_id: LogId,
        membership: StoredMembership,
        factory: Arc<dyn EngineFactory>,
    ) -> Checkpoint {
        Checkpoint {
            dir,
            last_log_id,
            membership,
            id: 0,
            cut_at: Duration::ZERO,
            broken: AtomicBool::new(false),
            delivered: AtomicBool::new(false),
            sent_at_micros: AtomicU64::new(0),
            factory,
            place: Mutex::new(None),
            source: Weak::new(),
            sound: AtomicBool::new(false),
            tried: AtomicBool::new(false),
        }
    }

    /// The same, cut here just now.
    pub fn cut(mut self, id: u64, cut_at: Duration, place: OwnedSemaphorePermit) -> Checkpoint {
        (self.id, self.cut_at, self.place) = (id, cut_at, Mutex::new(Some(place)));
        self.sent(cut_at);
        self
    }

    /// The same, cut from this engine.
    pub fn of(mut self, source: &Arc<EngineSlot>) -> Checkpoint {
        self.source = Arc::downgrade(source);
        self
    }

    /// Whether an attempt to send it was begun before this one.
    pub fn tried_before(&self) -> bool {
        self.tried.swap(true, Ordering::Relaxed)
    }

    /// Whether the engine that it was cut from has been read as a whole.
    pub fn was_read(&self) -> bool {
        self.sound.load(Ordering::Relaxed)
    }

    /// The engine whose blocks are to be read before this is sent as a whole; `None` when that was done.
    ///
    /// # Errors
    /// A sentence, when that engine is gone.
    pub fn unread_source(&self) -> Result<Option<Arc<EngineSlot>>, String> {
        if self.was_read() {
            return Ok(None);
        }
        let source = self.source.upgrade();
        source.map(Some).ok_or_else(|| "the replica it was cut from has ended".to_string())
    }

    /// Says that every block of the engine was read since the cut.
    pub fn is_sound(&self) {
        self.sound.store(true, Ordering::Relaxed);
    }

    /// Says that a piece of it was sent.
    pub fn sent(&self, now: Duration) {
        self.sent_at_micros.store(now.as_micros() as u64, Ordering::Relaxed);
    }

    /// Says that a follower has installed it.
    pub fn deliver(&self) {
        self.delivered.store(true, Ordering::Relaxed);
    }

    /// When it last served anybody, if another checkpoint may have its place now: it has one, and it was
    /// delivered, or no piece of it has gone for a while.
    fn yields(&self, now: Duration) -> Option<Duration> {
        self.place.lock().as_ref()?;
        let sent_at = Duration::from_micros(self.sent_at_micros.load(Ordering::Relaxed));
        let idle = now.saturating_sub(sent_at) > limits::SNAPSHOT_YIELD_AFTER;
        (idle || self.delivered.load(Ordering::Relaxed)).then_some(sent_at)
    }

    /// Gives its place to another one; it is sent no more.
    fn give_place(&self) -> Option<OwnedSemaphorePermit> {
        self.break_off();
        self.place.lock().take()
    }

    /// Whether it is too old to be sent, or was found broken.
    pub fn expired(&self, now: Duration) -> bool {
        let old = now.saturating_sub(self.cut_at) > limits::SNAPSHOT_AGE_MAX;
        old || self.broken.load(Ordering::Relaxed)
    }

    /// Says that it cannot be read.
    pub fn break_off(&self) {
        self.broken.store(true, Ordering::Relaxed);
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

/// A checkpoint that may be asked for again.
struct Kept {
    /// The checkpoint.
    checkpoint: Arc<Checkpoint>,
    /// When it was last asked for or seen in use, monotonic.
    used_at: Duration,
}

/// The checkpoint that a replica is sending, if any: shared by followers and by repeated attempts.
#[derive(Default)]
pub struct Sending {
    /// The last one cut, until it is of no more use.
    kept: Mutex<Option<Kept>>,
    /// A flush that makes the next cut short.
    flush: Mutex<AheadFlush>,
}

/// The flush ahead of a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AheadFlush {
    /// None was asked for.
    #[default]
    None,
    /// It runs.
    Running,
    /// It has ended: cut now.
    Done,
}

impl Sending {
    /// The checkpoint to send again, when it is fresh.
    pub fn reuse(&self, now: Duration) -> Option<Arc<Checkpoint>> {
        let mut kept = self.kept.lock();
        let kept = kept.as_mut().filter(|kept| !kept.checkpoint.expired(now))?;
        kept.used_at = now;
        Some(kept.checkpoint.clone())
    }

    /// Keeps a checkpoint for further attempts, in place of the one before.
    pub fn keep(&self, checkpoint: &Arc<Checkpoint>, now: Duration) {
        let kept = Kept { checkpoint: checkpoint.clone(), used_at: now };
        let before = self.kept.lock().replace(kept);
        // Its folder goes outside the lock.
        drop(before);
    }

    /// Lets go of a checkpoint that nobody asks for any more. Returns it, so that its folder can go where
    /// that holds up nobody.
    pub fn sweep(&self, now: Duration) -> Option<Arc<Checkpoint>> {
        let mut slot = self.kept.lock();
        let kept = slot.as_mut()?;
        if Arc::strong_count(&kept.checkpoint) > 1 {
            kept.used_at = now;
        }
        let idle = now.saturating_sub(kept.used_at) > limits::SNAPSHOT_KEEP;
        if !idle && !kept.checkpoint.expired(now) {
            return None;
        }
        slot.take().map(|kept| kept.checkpoint)
    }

    /// Lets go of the checkpoint.
    pub fn clear(&self) -> Option<Arc<Checkpoint>> {
        self.kept.lock().take().map(|kept| kept.checkpoint)
    }

    /// The index up to which the log may be purged for the sake of the transfer; `None` when it does not
    /// matter: nothing is being sent, or the transfer takes too long, or the log has grown too long.
    pub fn purge_bound(&self, now: Duration, log_bytes: u64) -> Option<u64> {
        let kept = self.kept.lock();
        let checkpoint = &kept.as_ref()?.checkpoint;
        let young = now.saturating_sub(checkpoint.cut_at) <= limits::SNAPSHOT_HOLD_MAX;
        let short = log_bytes <= limits::SNAPSHOT_HOLD_LOG_BYTES_MAX;
        (young && short).then_some(checkpoint.last_log_id.index)
    }

    /// How the flush ahead of the next cut stands.
    pub fn ahead_flush(&self) -> AheadFlush {
        *self.flush.lock()
    }

    /// Says how the flush ahead of the next cut stands.
    pub fn set_ahead_flush(&self, state: AheadFlush) {
        *self.flush.lock() = state;
    }
}

/// Where a replica cuts a checkpoint to send. No two have the same folder: one may still be sent when the
/// next is cut.
pub fn sending_dir(replica_folder: &Path, last_log_id: &LogId, id: u64) -> PathBuf {
    let name = format!("{}-{id:x}", checkpoint_name(last_log_id));
    replica_folder.join(engine::folder::SENDING_FOLDER).join(name)
}

/// Where a replica receives a checkpoint.
pub fn incoming_dir(replica_folder: &Path, last_log_id: &LogId) -> PathBuf {
    replica_folder.join(engine::folder::INCOMING_FOLDER).join(checkpoint_name(last_log_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::type_config::log_id;
    use engine::{SimDisk, SimFactory};

    fn checkpoint(index: u64, cut_at: Duration) -> Arc<Checkpoint> {
        let factory = Arc::new(SimFactory::new(SimDisk::new()));
        let place = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
        let (id, membership) = (log_id(1, index), StoredMembership::default());
        Arc::new(Checkpoint::new("/x".into(), id, membership, factory).cut(7, cut_at, place))
    }

    #[test]
    fn a_checkpoint_is_kept_while_it_is_used_and_a_while_longer() {
        let sending = Sending::default();
        let start = Duration::from_secs(100);
        sending.keep(&checkpoint(9, start), start);
        let using = sending.reuse(start).unwrap();
        let later = start + limits::SNAPSHOT_KEEP * 3;
        assert!(sending.sweep(later).is_none(), "it is in use");
        drop(using);
        assert!(sending.sweep(later + limits::SNAPSHOT_KEEP).is_none());
        let end = later + limits::SNAPSHOT_KEEP + Duration::from_secs(1);
        assert!(sending.sweep(end).is_some());
        assert!(sending.reuse(end).is_none());
    }

    #[test]
    fn an_old_checkpoint_is_sent_no_more_even_when_it_is_in_use() {
        let sending = Sending::default();
        sending.keep(&checkpoint(9, Duration::ZERO), Duration::ZERO);
        let _using = sending.reuse(Duration::ZERO).unwrap();
        let old = limits::SNAPSHOT_AGE_MAX + Duration::from_secs(1);
        assert!(sending.reuse(old).is_none());
        assert!(sending.sweep(old).is_some());
    }

    #[test]
    fn a_checkpoint_that_cannot_be_read_is_not_sent_again() {
        let sending = Sending::default();
        sending.keep(&checkpoint(9, Duration::ZERO), Duration::ZERO);
        sending.reuse(Duration::ZERO).unwrap().break_off();
        assert!(sending.reuse(Duration::ZERO).is_none());
    }

    #[test]
    fn a_transfer_holds_the_purge_point_within_time_and_bytes() {
        let sending = Sending::default();
        assert_eq!(sending.purge_bound(Duration::ZERO, 0), None);
        sending.keep(&checkpoint(9, Duration::ZERO), Duration::ZERO);
        assert_eq!(sending.purge_bound(limits::SNAPSHOT_HOLD_MAX, 0), Some(9));
        let late = limits::SNAPSHOT_HOLD_MAX + Duration::from_secs(1);
        assert_eq!(sending.purge_bound(late, 0), None);
        let long = limits::SNAPSHOT_HOLD_LOG_BYTES_MAX + 1;
        assert_eq!(sending.purge_bound(Duration::ZERO, long), None);
    }
}
