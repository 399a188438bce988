//! The number of the cluster that a node is of, as it says it to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a node's cluster. Clones share it: a node that founds or joins a cluster learns the number after
/// its links exist, and says it from then on.
#[derive(Clone, Debug, Default)]
pub struct ClusterId(Arc<AtomicU64>);

impl ClusterId {
    /// A number.
    pub fn new(number: u64) -> ClusterId {
        ClusterId(Arc::new(AtomicU64::new(number)))
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// From now on this one.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Release);
    }
}
