//! A shard's load counters without the shard, for whoever measures what they cost.

use crate::load::Load;
use base::{ShardId, SharedClock};

/// What a shard's leader counts with.
pub struct LoadCounters(Load);

impl LoadCounters {
    /// Counters that have counted nothing.
    pub fn new(clock: SharedClock) -> LoadCounters {
        LoadCounters(Load::new(ShardId(1), clock))
    }

    /// Counts a read of one key as the leader's fast path does, with the looks at the clock when it is one that is timed.
    pub fn point(&self, key: &[u8]) {
        drop(self.0.point(key));
    }
}
