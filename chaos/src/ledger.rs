//! What clients were told, and whether it is true.
//!
//! Each write is recorded before it is sent and again with its outcome. At the end:
//!
//! - every acknowledged write must be there (nothing acknowledged is ever lost);
//! - nothing may be there that nobody sent, or that was surely refused;
//! - a write of unknown outcome may be there or not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a client knows of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Sent, no answer yet, or an error that does not tell.
    Unknown,
    /// The server said that it is done.
    Acknowledged,
}

/// One client's book.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Write number → what is known.
    writes: BTreeMap<u64, Outcome>,
    /// When each acknowledgement came, in order.
    acknowledged_at: Vec<Duration>,
    /// Errors seen.
    pub errors: u64,
}

impl Ledger {
    /// A write is about to be sent.
    pub fn sent(&mut self, write: u64) {
        self.writes.insert(write, Outcome::Unknown);
    }

    /// The server said that it is done.
    pub fn acknowledged(&mut self, write: u64, now: Duration) {
        self.writes.insert(write, Outcome::Acknowledged);
        self.acknowledged_at.push(now);
    }

    /// The longest time between two acknowledgements.
    pub fn longest_gap(&self) -> Duration {
        let pairs = self.acknowledged_at.windows(2);
        pairs.map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default()
    }

    /// Number of acknowledged writes.
    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged_at.len()
    }

    /// Compares with what the database holds.
    ///
    /// # Errors
    /// The first writes that are missing or that nobody sent.
    pub fn check(&self, found: &BTreeSet<u64>) -> Result<(), String> {
        let lost: Vec<u64> = self
            .writes
            .iter()
            .filter(|(write, outcome)| **outcome == Outcome::Acknowledged && !found.contains(write))
            .map(|(write, _)| *write)
            .collect();
        let invented: Vec<u64> =
            found.iter().filter(|write| !self.writes.contains_key(write)).copied().collect();
        if lost.is_empty() && invented.is_empty() {
            return Ok(());
        }
        let few =
            |writes: &[u64]| format!("{} ({:?} …)", writes.len(), &writes[..writes.len().min(5)]);
        Err(format!(
            "acknowledged but lost: {}; there but never sent: {}",
            few(&lost),
            few(&invented)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_acknowledged_write_is_found() {
        let mut ledger = Ledger::default();
        ledger.sent(1);
        ledger.acknowledged(1, Duration::ZERO);
        ledger.sent(2);
        assert!(ledger.check(&BTreeSet::from([1])).is_ok());
        assert!(ledger.check(&BTreeSet::from([1, 2])).is_ok());
        assert!(ledger.check(&BTreeSet::from([2])).unwrap_err().contains("lost: 1"));
        assert!(ledger.check(&BTreeSet::from([1, 9])).unwrap_err().contains("never sent: 1"));
    }
}
