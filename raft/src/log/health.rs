//! How the node's disk does: slow, stalled, or full.
//!
//! The flusher says when a sync begins and ends. Everybody else looks at the time since, because a sync that
//! hangs tells nobody; a thread of its own watches for the one that never returns.
//!
//! ```text
//! a sync takes longer than SYNC_SLOW      slow: leaders should move away; stays so for DISK_SLOW_HOLD
//!                          SYNC_STALLED   stalled: no reads under the leader lease while it lasts
//!                          SYNC_DEAD      the process ends: a disk that hangs is a disk that failed
//!
//! free space   ample ──< reserve──> low ──< reserve / 2──> exhausted
//!                    <──≥ reserve + 1/8──  <──≥ reserve / 2 + 1/8──
//!   low        new writes are refused, what runs may finish, reads go on
//!   exhausted  the node's replicas accept no entries from their leaders but very small ones
//! ```
//!
//! The gap between going down and coming up keeps a disk at its limit from changing its mind every second.

use base::{SharedClock, limits};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a disk does, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskState {
    /// As it should.
    Ok,
    /// Syncs take long.
    Slow,
    /// There is less free space than the reserve.
    Full,
    /// A sync hangs.
    Stalled,
}

impl DiskState {
    /// One word for metrics and tables.
    pub fn word(self) -> &'static str {
        match self {
            DiskState::Ok => "ok",
            DiskState::Slow => "slow",
            DiskState::Full => "full",
            DiskState::Stalled => "stalled",
        }
    }
}

/// How a disk does, since when, and why it is said to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskHealth {
    /// How.
    pub state: DiskState,
    /// Since when, milliseconds of Unix time.
    pub since_unix_ms: u64,
    /// Why, a sentence; empty when it is well.
    pub reason: String,
}

/// How much space is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpaceLevel {
    /// More than the reserve.
    Ample,
    /// Less than the reserve.
    Low,
    /// Less than half of the reserve.
    Exhausted,
}

impl SpaceLevel {
    /// The level after `free` bytes were found, coming from this one.
    pub fn next(self, free: u64, reserve: u64) -> SpaceLevel {
        let half = reserve / 2;
        let gap = reserve / 8;
        let left = |level: SpaceLevel, limit: u64| match self >= level {
            true => free >= limit + gap,
            false => free >= limit,
        };
        if !left(SpaceLevel::Exhausted, half) {
            SpaceLevel::Exhausted
        } else if !left(SpaceLevel::Low, reserve) {
            SpaceLevel::Low
        } else {
            SpaceLevel::Ample
        }
    }

    fn from_byte(byte: u8) -> SpaceLevel {
        match byte {
            0 => SpaceLevel::Ample,
            1 => SpaceLevel::Low,
            _ => SpaceLevel::Exhausted,
        }
    }
}

/// What is known of the disk, shared by those who use it and those who ask.
pub struct DiskWatch {
    /// Time.
    clock: SharedClock,
    /// Free space below which new writes are refused; 0: never.
    reserve: u64,
    /// Begin of the sync under way, monotonic microseconds and one; 0 when there is none.
    sync_began: AtomicU64,
    /// How much of that sync's time this process was held itself, microseconds.
    sync_held: AtomicU64,
    /// End of the last slow sync, likewise.
    slow_ended: AtomicU64,
    /// How long that one took, microseconds.
    slow_took: AtomicU64,
    /// Free bytes as last seen.
    free: AtomicU64,
    /// The level of free space.
    level: AtomicU8,
    /// Whether a write waits for space.
    waits: AtomicBool,
    /// Slow syncs since the start.
    slow_syncs: AtomicU64,
    /// Times a write met a full disk.
    no_space: AtomicU64,
    /// The state that was last told, and since when.
    told: Mutex<(DiskState, u64)>,
}

/// Microseconds of a time, never 0.
fn stamp(time: Duration) -> u64 {
    time.as_micros() as u64 + 1
}

impl DiskWatch {
    /// A disk of which nothing bad is known.
    pub fn new(clock: SharedClock, reserve: u64) -> DiskWatch {
        let told = Mutex::new((DiskState::Ok, clock.unix_ms()));
        DiskWatch {
            clock,
            reserve,
            sync_began: AtomicU64::new(0),
            sync_held: AtomicU64::new(0),
            slow_ended: AtomicU64::new(0),
            slow_took: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            level: AtomicU8::new(0),
            waits: AtomicBool::new(false),
            slow_syncs: AtomicU64::new(0),
            no_space: AtomicU64::new(0),
            told,
        }
    }

    /// Runs something that syncs.
    pub fn syncing<T>(&self, work: impl FnOnce() -> T) -> T {
        self.sync_begins();
        let done = work();
        self.sync_ends();
        done
    }

    /// A sync begins.
    pub fn sync_begins(&self) {
        self.sync_held.store(0, Ordering::Release);
        self.sync_began.store(stamp(self.clock.monotonic()), Ordering::Release);
    }

    /// It has returned.
    pub fn sync_ends(&self) {
        let took = self.sync_runs_for();
        self.sync_began.store(0, Ordering::Release);
        if took > limits::SYNC_SLOW {
            self.slow_took.store(took.as_micros() as u64, Ordering::Relaxed);
            self.slow_ended.store(stamp(self.clock.monotonic()), Ordering::Release);
            self.slow_syncs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How long the sync under way has been running while this process ran, too; zero when there is none.
    pub fn sync_runs_for(&self) -> Duration {
        match self.sync_began.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            began => {
                let now = stamp(self.clock.monotonic());
                let held = self.sync_held.load(Ordering::Acquire);
                Duration::from_micros(now.saturating_sub(began).saturating_sub(held))
            }
        }
    }

    /// The watching thread slept from `before` until now. Much longer than it meant to is time in which nothing ran
    /// here (SIGSTOP, a paused machine): the disk is not to blame for it.
    fn slept_since(&self, before: Duration) {
        let (before, now) = (stamp(before), stamp(self.clock.monotonic()));
        let began = self.sync_began.load(Ordering::Acquire);
        if began > 0
            && Duration::from_micros(now.saturating_sub(before)) > limits::DISK_WATCH_GAP_MAX
        {
            self.sync_held.fetch_add(now.saturating_sub(before.max(began)), Ordering::AcqRel);
        }
    }

    /// Whether replicas may serve under their leases.
    pub fn serves(&self) -> bool {
        self.sync_runs_for() <= limits::SYNC_STALLED
    }

    /// Takes note of the free space.
    pub fn saw_free_bytes(&self, free: u64) {
        let level = self.space_level().next(free, self.reserve);
        self.free.store(free, Ordering::Relaxed);
        self.level.store(level as u8, Ordering::Release);
    }

    /// A write met a full disk and waits.
    pub fn space_missing(&self) {
        if !self.waits.swap(true, Ordering::AcqRel) {
            self.no_space.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The write that waited has been done.
    pub fn space_found(&self) {
        self.waits.store(false, Ordering::Release);
    }

    /// Whether a write waits for space.
    pub fn waits_for_space(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// The level of free space.
    pub fn space_level(&self) -> SpaceLevel {
        SpaceLevel::from_byte(self.level.load(Ordering::Acquire))
    }

    /// Free bytes as last seen; `None` before the first look.
    pub fn free_bytes(&self) -> Option<u64> {
        Some(self.free.load(Ordering::Relaxed)).filter(|free| *free != u64::MAX)
    }

    /// Slow syncs, and times a write met a full disk, since the start.
    pub fn counts(&self) -> (u64, u64) {
        (self.slow_syncs.load(Ordering::Relaxed), self.no_space.load(Ordering::Relaxed))
    }

    /// Why new writes are refused, if they are.
    pub fn lacks_space(&self) -> Option<String> {
        let mib = |bytes: u64| bytes >> 20;
        if self.waits_for_space() {
            return Some("its disk is full and the Raft log waits for space".to_string());
        }
        (self.space_level() > SpaceLevel::Ample).then(|| {
            let free = self.free_bytes().unwrap_or_default();
            let reserve = self.reserve;
            format!(
                "its disk has {} MiB left, and {} MiB are kept in reserve (storage.reserve_mib)",
                mib(free),
                mib(reserve)
            )
        })
    }

    /// The state, and the sentence that explains it.
    fn look(&self) -> (DiskState, String) {
        let running = self.sync_runs_for();
        if running > limits::SYNC_STALLED {
            return (DiskState::Stalled, format!("a sync has been running for {running:.1?}"));
        }
        if let Some(why) = self.lacks_space() {
            return (DiskState::Full, why);
        }
        if running > limits::SYNC_SLOW {
            return (DiskState::Slow, format!("a sync has been running for {running:.1?}"));
        }
        let ended = self.slow_ended.load(Ordering::Acquire);
        let ago = Duration::from_micros(stamp(self.clock.monotonic()).saturating_sub(ended));
        if ended > 0 && ago < limits::DISK_SLOW_HOLD {
            let took = Duration::from_micros(self.slow_took.load(Ordering::Relaxed));
            return (DiskState::Slow, format!("a sync took {took:.1?}"));
        }
        (DiskState::Ok, String::new())
    }

    /// How the disk does. Logs a change that nobody has seen yet.
    pub fn health(&self) -> DiskHealth {
        let (state, reason) = self.look();
        let mut told = self.told.lock();
        if told.0 != state {
            *told = (state, self.clock.unix_ms());
            match state {
                DiskState::Ok => tracing::info!("the disk is well again"),
                _ => tracing::warn!(state = state.word(), %reason, "the disk is not well"),
            }
        }
        DiskHealth { state, since_unix_ms: told.1, reason }
    }

    /// One look of the watching thread: the sentence to die with when a sync hangs for good.
    pub fn dead(&self) -> Option<String> {
        self.health();
        let running = self.sync_runs_for();
        (running > limits::SYNC_DEAD).then(|| {
            format!(
                "a sync of the Raft log has been running for {running:.1?}, the limit is {:?}; \
                 the node stops: look at its disk, then start it again",
                limits::SYNC_DEAD
            )
        })
    }
}

/// The thread that ends the process when a sync hangs for good.
pub struct Watcher {
    /// Set and signalled when it shall end.
    stop: Arc<(Mutex<bool>, Condvar)>,
    /// The thread.
    thread: JoinHandle<()>,
}

impl Watcher {
    /// Starts watching.
    pub fn start(watch: Arc<DiskWatch>) -> Watcher {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = stop.clone();
        let thread = base::thread::spawn("disk-watch", move || {
            let (stop, signal) = &*stopped;
            let mut stop = stop.lock();
            while !*stop {
                let before = watch.clock.monotonic();
                signal.wait_for(&mut stop, limits::DISK_WATCH_INTERVAL);
                watch.slept_since(before);
                if let Some(last_words) = watch.dead() {
                    eprintln!("{last_words}");
                    std::process::abort();
                }
            }
        });
        Watcher { stop, thread }
    }

    /// Ends watching.
    pub fn stop(self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        // A watcher that panicked has aborted the process.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hand_clock::HandClock;
    use base::Clock;

    fn watch(reserve: u64) -> (Arc<HandClock>, DiskWatch) {
        let clock = Arc::new(HandClock(Mutex::new(Duration::from_secs(100))));
        (clock.clone(), DiskWatch::new(clock, reserve))
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_sync_that_hangs_is_slow_then_stalled_then_dead() {
        let (clock, watch) = watch(0);
        watch.sync_begins();
        clock.advance(500 * MS);
        assert_eq!(watch.health().state, DiskState::Ok);
        clock.advance(MS);
        assert_eq!(watch.health().state, DiskState::Slow);
        assert!(watch.serves());
        clock.advance(2500 * MS);
        assert_eq!(watch.health().state, DiskState::Stalled);
        assert!(!watch.serves());
        assert_eq!(watch.dead(), None);
        clock.advance(7000 * MS);
        let last_words = watch.dead().unwrap();
        assert!(last_words.contains("10.0s"), "{last_words}");
        assert_eq!(watch.health().since_unix_ms, 103_001, "the first look that saw the stall");
    }

    #[test]
    fn a_disk_is_not_blamed_for_time_in_which_the_process_was_held() {
        let (clock, watch) = watch(0);
        watch.sync_begins();
        clock.advance(200 * MS);
        let before = clock.monotonic();
        clock.advance(20_000 * MS);
        watch.slept_since(before);
        assert_eq!((watch.dead(), watch.health().state), (None, DiskState::Ok));
        // What comes after counts, and so does a sleep that was only a little too long.
        let before = clock.monotonic();
        clock.advance(900 * MS);
        watch.slept_since(before);
        assert_eq!(watch.health().state, DiskState::Slow);
        clock.advance(9_000 * MS);
        assert!(watch.dead().unwrap().contains("10.1s"));
        // A sync that began after the process went on gets nothing of it.
        watch.sync_ends();
        let before = clock.monotonic();
        clock.advance(20_000 * MS);
        watch.sync_begins();
        watch.slept_since(before);
        clock.advance(10_001 * MS);
        assert!(watch.dead().is_some());
    }

    #[test]
    fn a_disk_stays_slow_for_a_while_after_a_slow_sync() {
        let (clock, watch) = watch(0);
        watch.syncing(|| clock.advance(4000 * MS));
        assert!(watch.serves(), "it has returned");
        let health = watch.health();
        assert_eq!(health.state, DiskState::Slow);
        assert_eq!(health.reason, "a sync took 4.0s");
        clock.advance(limits::DISK_SLOW_HOLD);
        assert_eq!(watch.health().state, DiskState::Ok);
        watch.syncing(|| clock.advance(500 * MS));
        assert_eq!(watch.health().state, DiskState::Ok);
        assert_eq!(watch.counts(), (1, 0));
    }

    #[test]
    fn space_levels_come_back_later_than_they_went() {
        use SpaceLevel::{Ample, Exhausted, Low};
        // (before, free, after) with a reserve of 800.
        for (before, free, after) in [
            (Ample, 800, Ample),
            (Ample, 799, Low),
            (Ample, 399, Exhausted),
            (Low, 899, Low),
            (Low, 900, Ample),
            (Low, 400, Low),
            (Low, 399, Exhausted),
            (Exhausted, 499, Exhausted),
            (Exhausted, 500, Low),
            (Exhausted, 899, Low),
            (Exhausted, 900, Ample),
        ] {
            assert_eq!(before.next(free, 800), after, "{before:?} with {free}");
        }
        assert_eq!(Ample.next(0, 0), Ample, "no reserve, no level");
    }

    #[test]
    fn a_full_disk_refuses_new_writes_and_says_why() {
        let (_, watch) = watch(800 << 20);
        assert_eq!(watch.lacks_space(), None);
        watch.saw_free_bytes(500 << 20);
        assert_eq!(
            watch.lacks_space().unwrap(),
            "its disk has 500 MiB left, and 800 MiB are kept in reserve (storage.reserve_mib)"
        );
        assert_eq!(watch.health().state, DiskState::Full);
        watch.saw_free_bytes(900 << 20);
        assert_eq!(watch.lacks_space(), None);
        watch.space_missing();
        assert!(watch.lacks_space().unwrap().contains("waits for space"));
        watch.space_found();
        assert_eq!((watch.lacks_space(), watch.counts()), (None, (0, 1)));
    }
}
