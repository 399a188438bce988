//! The read points in use on a node: what they see must not be dropped while they are held.
//!
//! A transaction holds its read point from its first read that needs one until it ends or gives the point up; a scan
//! that outlives its transaction holds it too. The collector of old versions asks every node for its oldest. A point
//! that is older than `READER_HOLD_MAX` holds up nothing any more; whoever still reads at it is told (error 9006).

use base::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All of a node's.
#[derive(Debug, Default)]
pub struct ReadPoints {
    /// How many hold each.
    held: Mutex<BTreeMap<Timestamp, usize>>,
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
    fn a_point_that_is_too_old_does_not_hide_a_younger_one() {
        let all = Arc::new(ReadPoints::default());
        let _points = (all.hold(Timestamp(4)), all.hold(Timestamp(9)));
        assert_eq!(all.oldest(Timestamp(4)), Some(Timestamp(4)));
        assert_eq!(all.oldest(Timestamp(5)), Some(Timestamp(9)));
        assert_eq!(all.oldest(Timestamp(10)), None);
    }
}
