//! Whether this replica may serve right now, from what openraft last published.
//!
//! ```text
//! quorum acknowledged a round that was sent here
//! ├──────────── LEASE_READ_MAX ────────────┼── margin ──┤ ELECTION_TIMEOUT_MAX: others may elect
//!   serve                                    do not serve
//! ```
//!
//! The margin covers a clock that runs 10 % wrong on either side. Readers take their engine snapshot
//! first and look at the lease after it: then no newer leader can have written what they miss.
//!
//! No message and no channel: one read of a watched value.

use crate::defect;
use crate::type_config::{TypeConfig, term_of};
use base::limits;
use openraft::{Instant, RaftMetrics, ServerState};
use std::time::Duration;

/// The term in which the replica with these metrics may serve.
pub fn serving_term(metrics: &RaftMetrics<TypeConfig>) -> Option<u64> {
    let term = leading_term(metrics)?;
    let lease = sole_voter(metrics)
        || metrics
            .last_quorum_acked
            .is_some_and(|acknowledged| acknowledged.elapsed() < read_max());
    lease.then_some(term)
}

/// How long after a quorum's acknowledgement the lease may be used.
fn read_max() -> Duration {
    if defect::active("lease-without-margin") {
        return limits::ELECTION_TIMEOUT_MAX * 11 / 10;
    }
    if defect::active("lease-without-end") {
        return Duration::MAX;
    }
    limits::LEASE_READ_MAX
}

/// The term in which the replica leads and has applied an entry of its own: before that, it may not
/// have applied everything its predecessors acknowledged.
pub fn leading_term(metrics: &RaftMetrics<TypeConfig>) -> Option<u64> {
    let vote = &metrics.vote;
    let leads = metrics.running_state.is_ok()
        && metrics.state == ServerState::Leader
        && vote.committed
        && vote.leader_id.voted_for == metrics.id
        && vote.leader_id.term == metrics.current_term;
    let applied_own = metrics
        .last_applied
        .as_ref()
        .is_some_and(|applied| term_of(applied) == metrics.current_term);
    (leads && applied_own).then_some(metrics.current_term)
}

/// Whether this replica is the group's only voter: then its own word is the quorum's.
pub fn sole_voter(metrics: &RaftMetrics<TypeConfig>) -> bool {
    let mut voters = metrics.membership_config.voter_ids();
    voters.next() == Some(metrics.id) && voters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::type_config::{Home, Membership, StoredMembership, Vote, log_id};
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    fn leader_of(voters: &[u64]) -> RaftMetrics<TypeConfig> {
        let mut metrics = RaftMetrics::new_initial(1);
        metrics.state = ServerState::Leader;
        metrics.current_term = 4;
        metrics.vote = Vote::new_committed(4, 1);
        metrics.last_applied = Some(log_id(4, 9));
        let homes: BTreeMap<u64, Home> = voters.iter().map(|id| (*id, Home::default())).collect();
        let set: BTreeSet<u64> = voters.iter().copied().collect();
        let membership = Membership::new(vec![set], homes).unwrap();
        metrics.membership_config = Arc::new(StoredMembership::new(None, membership));
        metrics
    }

    #[test]
    fn a_sole_voter_that_leads_serves_without_anyone() {
        assert_eq!(serving_term(&leader_of(&[1])), Some(4));
    }

    #[test]
    fn a_leader_without_an_acknowledgement_does_not_serve() {
        assert_eq!(serving_term(&leader_of(&[1, 2, 3])), None);
        assert_eq!(leading_term(&leader_of(&[1, 2, 3])), Some(4));
    }

    #[test]
    fn a_leader_that_has_applied_nothing_of_its_term_does_not_serve() {
        let mut metrics = leader_of(&[1]);
        metrics.last_applied = Some(log_id(3, 9));
        assert_eq!(serving_term(&metrics), None);
    }

    #[test]
    fn a_leader_that_has_seen_a_newer_term_does_not_serve() {
        let mut metrics = leader_of(&[1]);
        metrics.current_term = 5;
        assert_eq!(serving_term(&metrics), None);
    }

    #[test]
    fn a_follower_does_not_serve() {
        let mut metrics = leader_of(&[1]);
        metrics.state = ServerState::Follower;
        assert_eq!(serving_term(&metrics), None);
    }
}
