//! Keys that live for a while: so that what a checker must look at once stays small, however long the run.

use super::Target;
use base::Rng;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Keys in use, and all that ever were.
pub(super) struct Keys {
    /// How long a key is used.
    life: Duration,
    /// How many are in use at once.
    at_once: u64,
    used: Mutex<BTreeSet<i64>>,
}

impl Keys {
    /// None used yet.
    pub(super) fn new(life: Duration, at_once: u64) -> Keys {
        Keys { life, at_once, used: Mutex::new(BTreeSet::new()) }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// One of the keys in use now, the same for all clients.
    pub(super) fn pick(&self, target: &Target, rng: &mut Rng) -> i64 {
        let age = target.clock.monotonic().as_micros() / self.life.as_micros().max(1);
        let key = age as i64 * self.at_once as i64 + rng.below(self.at_once) as i64;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        key
    }

    /// All keys that were ever picked.
    pub(super) fn all(&self) -> Vec<i64> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
