//! The read points in use on a node: what they see must not be dropped while they are held.
//!
//! A transaction holds its read point from its first read that needs one until it ends or gives the point up; a scan
//! that outlives its transaction holds it too. The collector of old versions asks every node for its oldest.

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

    /// The oldest point that is held.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.held.lock().keys().next().copied()
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
        assert_eq!(all.oldest(), None);
        let young = all.hold(Timestamp(9));
        let (old, again) = (all.hold(Timestamp(4)), all.hold(Timestamp(4)));
        assert_eq!((all.oldest(), old.ts()), (Some(Timestamp(4)), Timestamp(4)));
        drop(old);
        assert_eq!(all.oldest(), Some(Timestamp(4)));
        drop(again);
        assert_eq!(all.oldest(), Some(Timestamp(9)));
        drop(young);
        assert_eq!(all.oldest(), None);
    }
}
