//! What came from outside and was refused, counted by reason.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why something from outside was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Reason {
    /// A stream that does not begin with who speaks.
    NoHello,
    /// A node of another cluster.
    WrongCluster,
    /// Another node was meant, or the speaker is not who it says.
    WrongNode,
    /// A node that speaks another version of the protocol.
    WrongVersion,
    /// A message in the name of a replica that lives on another node.
    WrongSender,
    /// A message for a replica that does not run here.
    UnknownReplica,
    /// A frame above the limit of bytes or of messages.
    TooLarge,
    /// Bytes that are no message.
    Garbage,
    /// A message that contradicts itself.
    BadMessage,
    /// A Raft snapshot, or a part of one.
    Snapshot,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Reason; 10] = [
        Reason::NoHello,
        Reason::WrongCluster,
        Reason::WrongNode,
        Reason::WrongVersion,
        Reason::WrongSender,
        Reason::UnknownReplica,
        Reason::TooLarge,
        Reason::Garbage,
        Reason::BadMessage,
        Reason::Snapshot,
    ];

    /// Its name as a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Reason::NoHello => "no_hello",
            Reason::WrongCluster => "wrong_cluster",
            Reason::WrongNode => "wrong_node",
            Reason::WrongVersion => "wrong_version",
            Reason::WrongSender => "wrong_sender",
            Reason::UnknownReplica => "unknown_replica",
            Reason::TooLarge => "too_large",
            Reason::Garbage => "garbage",
            Reason::BadMessage => "bad_message",
            Reason::Snapshot => "snapshot",
        }
    }
}

/// Counters by reason.
#[derive(Default)]
pub struct Refusals {
    /// One per reason.
    counters: [AtomicU64; Reason::ALL.len()],
}

impl Refusals {
    /// Counts one. Returns how many there are now.
    pub fn count(&self, reason: Reason) -> u64 {
        self.counters[reason as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How often so far.
    pub fn of(&self, reason: Reason) -> u64 {
        self.counters[reason as usize].load(Ordering::Relaxed)
    }

    /// Every reason's name with its count.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        Reason::ALL.iter().map(|reason| (reason.name(), self.of(*reason))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let refusals = Refusals::default();
        for (position, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position);
            (0..=position).for_each(|so_far| {
                assert_eq!(refusals.count(reason), so_far as u64 + 1);
            });
        }
        let counts: Vec<u64> = refusals.all().into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=Reason::ALL.len() as u64).collect::<Vec<_>>());
    }
}
