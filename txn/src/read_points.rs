//! The read points in use on a node: what they see must not be dropped while they are held; and the newest timestamp that
//! the node has heard of.
//!
//! A transaction holds its read point from its first read that needs one until it ends or gives the point up; a scan
//! that outlives its transaction holds it too. The collector of old versions asks every node for its oldest. A point
//! that is older than `READER_HOLD_MAX` holds up nothing any more; whoever still reads at it is told (error 9006).

use base::{Timestamp, limits};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All of a node's.
#[derive(Debug, Default)]
pub struct ReadPoints {
    /// How many hold each.
    held: Mutex<BTreeMap<Timestamp, usize>>,
    /// The newest timestamp that was handed out, as far as is known here; zero for none.
    heard: AtomicU64,
    /// When it was heard, by the clock of locks, milliseconds. Being wrong about it does no harm.
    heard_at_ms: AtomicU64,
}

/// The right to read at a point; given back when dropped.
#[derive(Debug)]
pub struct ReadPoint {
    ts: Timestamp,
    all: Arc<ReadPoints>,
}

impl ReadPoints {
    /// Holds a point.
    pub fn hold(self: &Arc<Self>, ts: Timestamp) -> Arc<ReadPoint> {
        *self.held.lock().entry(ts).or_default() += 1;
        Arc::new(ReadPoint { ts, all: self.clone() })
    }

    /// Notes a timestamp that was just handed out; `unix_ms` is now.
    pub fn hear(&self, ts: Timestamp, unix_ms: u64) {
        if self.heard.fetch_max(ts.0, Ordering::SeqCst) < ts.0 {
            self.heard_at_ms.store(unix_ms, Ordering::SeqCst);
        }
    }

    /// A timestamp that was handed out before now, and not long ago. `None` when none was heard for a while.
    pub fn recent(&self, unix_ms: u64) -> Option<Timestamp> {
        let age_ms = self.heard_at_ms.load(Ordering::SeqCst).abs_diff(unix_ms);
        let heard = Timestamp(self.heard.load(Ordering::SeqCst));
        let is_recent = u128::from(age_ms) <= limits::COMMIT_SINCE_AGE_MAX.as_millis();
        (is_recent && heard != Timestamp::ZERO).then_some(heard)
    }

    /// The oldest point that is held, of those at `since` or later: older ones are not waited for any more, and must not
    /// hide the others.
    pub fn oldest(&self, since: Timestamp) -> Option<Timestamp> {
        self.held.lock().range(since..).next().map(|(ts, _)| *ts)
    }
}

impl ReadPoint {
    /// The point.
    pub fn ts(&self) -> Timestamp {
        self.ts
    }
}

impl Drop for ReadPoint {
    fn drop(&mut self) {
        let mut held = self.all.held.lock();
        if let Some(count) = held.get_mut(&self.ts) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.ts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_point_is_held_until_its_last_holder_lets_go() {
        let all = Arc::new(ReadPoints::default());
        let oldest = || all.oldest(Timestamp::ZERO);
        assert_eq!(oldest(), None);
        let young = all.hold(Timestamp(9));
        let (old, again) = (all.hold(Timestamp(4)), all.hold(Timestamp(4)));
        assert_eq!((oldest(), old.ts()), (Some(Timestamp(4)), Timestamp(4)));
        drop(old);
        assert_eq!(oldest(), Some(Timestamp(4)));
        drop(again);
        assert_eq!(oldest(), Some(Timestamp(9)));
        drop(young);
        assert_eq!(oldest(), None);
    }

    #[test]
    fn a_timestamp_is_recent_for_a_while() {
        let all = ReadPoints::default();
        assert_eq!(all.recent(5), None);
        all.hear(Timestamp(9), 1000);
        all.hear(Timestamp(7), 2000);
        let later = 1000 + limits::COMMIT_SINCE_AGE_MAX.as_millis() as u64;
        assert_eq!((all.recent(later), all.recent(later + 1)), (Some(Timestamp(9)), None));
    }

    #[test]
    fn a_point_that_is_too_old_does_not_hide_a_younger_one() {
        let all = Arc::new(ReadPoints::default());
        let _points = (all.hold(Timestamp(4)), all.hold(Timestamp(9)));
        assert_eq!(all.oldest(Timestamp(4)), Some(Timestamp(4)));
        assert_eq!(all.oldest(Timestamp(5)), Some(Timestamp(9)));
        assert_eq!(all.oldest(Timestamp(10)), None);
    }
}
