//! One clock for all replicas of a node: leaders speak together, and timers run only where one may run out.
//!
//! openraft wakes each replica 25 times a second to look at its timers; with hundreds of replicas that is most
//! of what an idle node does. The pacer looks at all of them instead, and says who needs a timer:
//!
//! ```text
//! leads                         timer off   heartbeats every HEARTBEAT_INTERVAL, all leaders at one moment,
//!                                           so that a lane carries them in one frame
//! heard its leader lately       timer off   it cannot run out yet
//! neither                       timer on    openraft elects as ever
//! ```
//!
//! Invariant: no election is later for it. A follower stands no sooner than the lease and the shortest election
//! timeout after its leader's last message; its timer is back [`LEADER_HEARD_MAX`] and one look after that message.

use crate::defect;
use crate::replica::Replica;
use crate::transport::service::Registry;
use base::{SharedClock, limits};
use futures::FutureExt;
use openraft::ServerState;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Time between two looks at all replicas.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A follower that heard its leader this long ago needs no timer yet.
pub const LEADER_HEARD_MAX: Duration = Duration::from_millis(400);

const _: () = {
    let back = LEADER_HEARD_MAX.as_millis() + LOOK_INTERVAL.as_millis();
    assert!(back * 2 < limits::ELECTION_TIMEOUT_MAX.as_millis());
    assert!(LEADER_HEARD_MAX.as_millis() >= 2 * limits::HEARTBEAT_INTERVAL.as_millis());
    assert!(limits::HEARTBEAT_INTERVAL.as_millis().is_multiple_of(LOOK_INTERVAL.as_millis()));
};

/// Paces the replicas of a node until it has ended. When it panics the process ends: nobody would elect any more.
pub fn spawn(registry: Weak<Registry>, clock: SharedClock) {
    // Without a budget: one pass sends as many heartbeats as there are leaders, and tokio would let a task send 128
    // messages and make it wait before the rest.
    let pacer = tokio::spawn(tokio::task::unconstrained(run(registry, clock)));
    tokio::spawn(async move {
        if let Err(error) = pacer.await
            && error.is_panic()
        {
            tracing::error!(%error, "the pacer of the replicas failed; the process ends");
            std::process::abort();
        }
    });
}

async fn run(registry: Weak<Registry>, clock: SharedClock) {
    let mut next_heartbeat = clock.monotonic();
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let Some(registry) = registry.upgrade() else { return };
        let now = clock.monotonic();
        let heartbeat = now >= next_heartbeat;
        if heartbeat {
            // After a stall there is one heartbeat, not one for each that was missed.
            next_heartbeat = (next_heartbeat + limits::HEARTBEAT_INTERVAL).max(now);
        }
        for replica in registry.all() {
            pace(&replica, now, heartbeat);
        }
    }
}

/// Looks at one replica.
fn pace(replica: &Arc<Replica>, now: Duration, heartbeat: bool) {
    let (leads, ended) = replica.with_metrics(|metrics| {
        (metrics.state == ServerState::Leader, metrics.running_state.is_err())
    });
    if ended || replica.context.health.stopped() {
        return;
    }
    replica.tick(!leads && !heard_lately(replica.leader_heard_at(), now));
    if leads && heartbeat {
        // A replica whose queue is full is busy replicating, which says the same as a heartbeat; one that has
        // ended says so elsewhere.
        let _ = replica.raft.trigger().heartbeat().now_or_never();
    }
}

/// Whether the leader spoke so lately that no timer can run out.
fn heard_lately(heard_at: Option<Duration>, now: Duration) -> bool {
    if defect::active("timers-stay-off") {
        return heard_at.is_some();
    }
    heard_at.is_some_and(|heard| now.saturating_sub(heard) < LEADER_HEARD_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_needed_by_who_never_heard_a_leader_or_not_lately() {
        let now = Duration::from_secs(9);
        assert!(!heard_lately(None, now));
        assert!(heard_lately(Some(now), now));
        assert!(heard_lately(Some(now - Duration::from_millis(399)), now));
        assert!(!heard_lately(Some(now - LEADER_HEARD_MAX), now));
    }
}
