//! What all Raft snapshots of a node share: how many move at once, how fast, and what was counted. The
//! comparisons of replicas read at a pace of their own, kept here too.
//!
//! ```text
//! sending    turn (waits) ─> pieces, each paced ─>
//! receiving  place (or refused) ─> pieces, each paced ─> installed
//! ```
//!
//! A transfer competes with the foreground for disk and network; the byte rate is what protects the
//! foreground's latency, the number of transfers only bounds memory and open files.

use super::Checkpoint;
use base::{SharedClock, limits};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How fast and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// Bytes per second, all transfers of a direction together.
    pub bytes_per_second: u64,
    /// Bytes of one piece.
    pub chunk_bytes: usize,
    /// Transfers sent at once.
    pub sending_max: usize,
    /// Transfers received at once.
    pub receiving_max: usize,
    /// Checkpoints kept at once.
    pub checkpoints_max: usize,
}

impl Default for SnapshotOptions {
    fn default() -> SnapshotOptions {
        SnapshotOptions {
            bytes_per_second: limits::SNAPSHOT_BYTES_PER_SECOND,
            chunk_bytes: limits::SNAPSHOT_CHUNK_BYTES,
            sending_max: limits::SNAPSHOTS_SENDING_MAX,
            receiving_max: limits::SNAPSHOTS_RECEIVING_MAX,
            checkpoints_max: limits::SNAPSHOT_CHECKPOINTS_MAX,
        }
    }
}

/// Lets bytes through at a limited rate.
pub struct Pace {
    /// Bytes per second.
    rate: u64,
    /// Time.
    clock: SharedClock,
    /// When the next bytes may pass, monotonic.
    next: Mutex<Duration>,
}

impl Pace {
    /// A pace of so many bytes per second.
    pub fn new(rate: u64, clock: SharedClock) -> Pace {
        Pace { rate: rate.max(1), clock, next: Mutex::new(Duration::ZERO) }
    }

    /// Waits until `bytes` more may pass. Those who come at once pass one after the other.
    pub async fn take(&self, bytes: u64) {
        let wait = self.book(bytes);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Books the time that `bytes` take and says how long to wait for its beginning.
    fn book(&self, bytes: u64) -> Duration {
        let now = self.clock.monotonic();
        let mut next = self.next.lock();
        let start = (*next).max(now);
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.rate);
        *next = start + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        start - now
    }
}

/// Numbers of a node's transfers, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferMetrics {
    /// Bytes of files sent since the start.
    pub sent_bytes: u64,
    /// Bytes of files received and checked since the start.
    pub received_bytes: u64,
    /// Bytes that broken transfers did not have to send again.
    pub resumed_bytes: u64,
    /// Transfers installed here since the start.
    pub installed: u64,
    /// Transfers being sent now.
    pub sending: u64,
    /// Transfers being received now.
    pub receiving: u64,
    /// Checkpoints kept now.
    pub checkpoints: u64,
}

/// What a node's transfers share.
pub struct Transfers {
    /// How fast and how many.
    pub options: SnapshotOptions,
    /// Time.
    pub clock: SharedClock,
    /// Pace of what is sent.
    pub outward: Pace,
    /// Pace of what is received.
    pub inward: Pace,
    /// Pace of what is read of engines that are sent.
    pub reading: Pace,
    /// Pace of what is read to compare replicas.
    pub hashing: Pace,
    /// Turns to send.
    sending: Arc<Semaphore>,
    /// Places to receive.
    receiving: Arc<Semaphore>,
    /// Places for checkpoints.
    checkpoints: Arc<Semaphore>,
    /// Checkpoints that were given one.
    kept: Mutex<Vec<Weak<Checkpoint>>>,
    /// Bytes sent.
    pub sent_bytes: AtomicU64,
    /// Bytes received.
    pub received_bytes: AtomicU64,
    /// Bytes not sent again.
    pub resumed_bytes: AtomicU64,
    /// Transfers installed.
    pub installed: AtomicU64,
    /// Names given to checkpoints and comparisons.
    ids: AtomicU64,
}

impl Transfers {
    /// Nothing moves yet.
    pub fn new(mut options: SnapshotOptions, clock: SharedClock) -> Transfers {
        // A piece takes a second at most, however slow the rate is: the receiver waits for each one.
        let second = usize::try_from(options.bytes_per_second).unwrap_or(usize::MAX).max(1);
        options.chunk_bytes =
            options.chunk_bytes.clamp(1, limits::SNAPSHOT_CHUNK_BYTES).min(second);
        let first_id = clock.unix_micros() << 8;
        let semaphore = |places: usize| Arc::new(Semaphore::new(places));
        Transfers {
            outward: Pace::new(options.bytes_per_second, clock.clone()),
            inward: Pace::new(options.bytes_per_second, clock.clone()),
            reading: Pace::new(
                options.bytes_per_second.saturating_mul(limits::SNAPSHOT_READ_SPEEDUP),
                clock.clone(),
            ),
            hashing: Pace::new(limits::COMPARE_BYTES_PER_SECOND, clock.clone()),
            sending: semaphore(options.sending_max),
            receiving: semaphore(options.receiving_max),
            checkpoints: semaphore(options.checkpoints_max),
            kept: Mutex::default(),
            options,
            clock,
            sent_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            resumed_bytes: AtomicU64::new(0),
            installed: AtomicU64::new(0),
            // Time of the start above, a count below: a name does not come again after a restart.
            ids: AtomicU64::new(first_id),
        }
    }

    /// A name for a checkpoint or a comparison.
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits for a turn to send. `None` when the node ends.
    pub async fn turn_to_send(&self) -> Option<OwnedSemaphorePermit> {
        self.sending.clone().acquire_owned().await.ok()
    }

    /// A place to receive, if one is free.
    pub fn place_to_receive(&self) -> Option<OwnedSemaphorePermit> {
        self.receiving.clone().try_acquire_owned().ok()
    }

    /// A place for a checkpoint, if one is free or held by one that serves nobody: the longest idle one goes.
    pub fn place_for_checkpoint(&self, now: Duration) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.checkpoints.clone().try_acquire_owned() {
            return Some(place);
        }
        let known: Vec<Arc<Checkpoint>> =
            self.kept.lock().iter().filter_map(|kept| kept.upgrade()).collect();
        // One handle is its keeper's and one is here; whoever sends it has a third.
        let unused = known.iter().filter(|kept| Arc::strong_count(kept) <= 2);
        let idle = unused.filter_map(|kept| Some((kept.yields(now)?, kept)));
        let (_, longest) = idle.min_by_key(|(sent_at, kept)| (*sent_at, kept.id))?;
        longest.give_place()
    }

    /// Takes note of a checkpoint that has a place.
    pub fn note(&self, checkpoint: &Arc<Checkpoint>) {
        let mut kept = self.kept.lock();
        kept.retain(|known| known.strong_count() > 0);
        kept.push(Arc::downgrade(checkpoint));
    }

    /// The numbers.
    pub fn metrics(&self) -> TransferMetrics {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let used = |max: usize, left: &Semaphore| (max - left.available_permits().min(max)) as u64;
        TransferMetrics {
            sent_bytes: count(&self.sent_bytes),
            received_bytes: count(&self.received_bytes),
            resumed_bytes: count(&self.resumed_bytes),
            installed: count(&self.installed),
            sending: used(self.options.sending_max, &self.sending),
            receiving: used(self.options.receiving_max, &self.receiving),
            checkpoints: used(self.options.checkpoints_max, &self.checkpoints),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hand_clock::HandClock;
    use crate::type_config::{StoredMembership, log_id};
    use engine::{SimDisk, SimFactory};

    #[test]
    fn bytes_pass_at_the_rate_and_a_pause_gives_no_credit() {
        let clock = Arc::new(HandClock(Mutex::new(Duration::from_secs(1))));
        let pace = Pace::new(1000, clock.clone());
        assert_eq!(pace.book(500), Duration::ZERO);
        assert_eq!(pace.book(500), Duration::from_millis(500));
        assert_eq!(pace.book(1), Duration::from_millis(1000));
        *clock.0.lock() = Duration::from_secs(100);
        assert_eq!(pace.book(1000), Duration::ZERO);
        assert_eq!(pace.book(1000), Duration::from_secs(1));
    }

    #[test]
    fn a_slow_rate_makes_small_pieces() {
        let clock = Arc::new(HandClock(Mutex::new(Duration::ZERO)));
        for (rate, wanted) in [(0, 1), (1000, 1000), (u64::MAX, limits::SNAPSHOT_CHUNK_BYTES)] {
            let options = SnapshotOptions { bytes_per_second: rate, ..SnapshotOptions::default() };
            assert_eq!(Transfers::new(options, clock.clone()).options.chunk_bytes, wanted);
        }
    }

    #[test]
    fn a_checkpoint_that_serves_nobody_gives_its_place() {
        let clock = Arc::new(HandClock(Mutex::new(Duration::ZERO)));
        let options = SnapshotOptions { checkpoints_max: 2, ..SnapshotOptions::default() };
        let transfers = Transfers::new(options, clock);
        let now = Duration::from_secs(100);
        let cut = |id| {
            let factory = Arc::new(SimFactory::new(SimDisk::new()));
            let place = transfers.place_for_checkpoint(now).unwrap();
            let (last, members) = (log_id(1, id), StoredMembership::default());
            let new = Checkpoint::new("/x".into(), last, members, factory).cut(id, now, place);
            let new = Arc::new(new);
            transfers.note(&new);
            new
        };
        let (one, two) = (cut(1), cut(2));
        assert!(transfers.place_for_checkpoint(now).is_none(), "both are fresh");
        one.deliver();
        let sending = one.clone();
        assert!(transfers.place_for_checkpoint(now).is_none(), "the delivered one is sent again");
        drop(sending);
        let place = transfers.place_for_checkpoint(now).unwrap();
        assert!(one.expired(now) && !two.expired(now));
        let later = now + limits::SNAPSHOT_YIELD_AFTER + Duration::from_secs(1);
        two.sent(later);
        assert!(transfers.place_for_checkpoint(later).is_none(), "pieces of it go");
        let later = later + limits::SNAPSHOT_YIELD_AFTER + Duration::from_secs(1);
        assert!(transfers.place_for_checkpoint(later).is_some());
        assert!(two.expired(later));
        drop((one, place));
        assert!(transfers.place_for_checkpoint(later).is_some(), "a place came back");
    }

    #[test]
    fn places_are_limited_and_come_back() {
        let clock = Arc::new(HandClock(Mutex::new(Duration::ZERO)));
        let options = SnapshotOptions { receiving_max: 1, ..SnapshotOptions::default() };
        let transfers = Transfers::new(options, clock);
        let place = transfers.place_to_receive().unwrap();
        assert!(transfers.place_to_receive().is_none());
        assert_eq!(transfers.metrics().receiving, 1);
        drop(place);
        assert!(transfers.place_to_receive().is_some());
    }
}
