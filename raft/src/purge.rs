//! Keeps the log short: flushes engines and purges what they have flushed.
//!
//! The engine has no log of its own, so an entry may leave the Raft log only when the state that holds
//! it is flushed. A flush happens when RocksDB likes, and a cold replica with one old write would keep the
//! oldest segment for ever; so each replica is looked at from time to time, those that pin the oldest segment
//! first:
//!
//! ```text
//! pressure   who                          up to where
//! none       log above tail + minimum     all but a tail, for followers that lag a little
//! pinned     pins the oldest segment      what every follower that answers has
//! near       everybody                    everything applied: a follower that lags gets a Raft snapshot
//!            (and while the limit is reached, new writes are refused)
//!
//! nothing of it flushed   ─> virtual snapshot (flushes, then says what is flushed)
//! something is flushed    ─> purge that
//! ```
//!
//! Everything behind a checkpoint that is being sent stays until it has arrived, unless the limit is near.

use crate::log::{Pressure, SharedLog};
use crate::replica::Replica;
use crate::transport::service::Registry;
use crate::type_config::LogId;
use base::limits;
use openraft::Instant;
use std::sync::{Arc, Weak};

/// What one look at one replica finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    /// Bytes of entries in the log.
    bytes: u64,
    /// Whether it keeps the oldest segment from being freed.
    pins_oldest: bool,
    /// Last applied index.
    applied: Option<u64>,
    /// Last index whose state is flushed.
    flushed: Option<u64>,
    /// Last purged index.
    purged: Option<u64>,
    /// Last index in the checkpoint being sent.
    sending: Option<u64>,
    /// On a leader: what the slowest follower that answers has; 0 when that is nothing.
    slowest: Option<u64>,
    /// The last index that can be purged so that a tail stays.
    before_tail: Option<u64>,
    /// The last index in the log.
    last: Option<u64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Nothing,
    /// Flush the engine.
    Flush,
    /// Purge up to and with this index.
    Purge(u64),
}

impl View {
    /// Up to where the log should go, whether or not it can.
    fn wanted(&self, pressure: Pressure) -> Option<u64> {
        let sent = self.sending.unwrap_or(u64::MAX);
        if pressure >= Pressure::Near {
            return self.last.min(self.applied);
        }
        if pressure == Pressure::Pinned && self.pins_oldest {
            let needed = sent.min(self.slowest.unwrap_or(u64::MAX));
            return self.last.min(self.applied).map(|index| index.min(needed));
        }
        if self.bytes > limits::LOG_TAIL_BYTES + limits::PURGE_BYTES_MIN {
            return self.before_tail.min(self.applied).map(|index| index.min(sent));
        }
        None
    }

    /// The step under this pressure.
    fn step(&self, pressure: Pressure) -> Step {
        let Some(wanted) = self.wanted(pressure).filter(|wanted| Some(*wanted) > self.purged)
        else {
            return Step::Nothing;
        };
        // As far as it goes: waiting until all that is wanted is flushed would be waiting for ever while
        // writes go on.
        match self.flushed.filter(|flushed| Some(*flushed) > self.purged) {
            Some(flushed) => Step::Purge(flushed.min(wanted)),
            None => Step::Flush,
        }
    }
}

/// Looks at every replica, again and again, until the node has ended.
pub async fn run(registry: Weak<Registry>, log: SharedLog) {
    loop {
        let hurry = log.pressure() >= Pressure::Near;
        tokio::time::sleep(limits::PURGE_INTERVAL / if hurry { 5 } else { 1 }).await;
        let Some(registry) = registry.upgrade() else { return };
        let mut replicas = registry.all();
        replicas.retain(|replica| !replica.context.health.stopped());
        replicas.sort_by_key(|replica| !log.pins_oldest_segment(&replica.key));
        for replica in replicas {
            look_at(&replica, &log).await;
        }
    }
}

/// The matched index of the slowest follower that has answered lately, on a leader.
fn slowest_follower(replica: &Replica) -> Option<u64> {
    replica.with_metrics(|metrics| {
        let heard = metrics.heartbeat.as_ref()?;
        let answers = |id: &u64| {
            let heard = heard.get(id).copied().flatten();
            heard.is_some_and(|heard| heard.elapsed() < limits::LAGGARD_HEARD_MAX)
        };
        let matched = metrics.replication.as_ref()?.iter().filter(|(id, _)| answers(id));
        matched.map(|(_, matched)| matched.as_ref().map_or(0, |matched| matched.index)).min()
    })
}

/// One look at one replica.
async fn look_at(replica: &Arc<Replica>, log: &SharedLog) {
    let key = replica.key;
    let index = |id: &Option<LogId>| id.as_ref().map(|id| id.index);
    let (applied, flushed, purged) = replica.with_metrics(|metrics| {
        (index(&metrics.last_applied), index(&metrics.snapshot), index(&metrics.purged))
    });
    let now = replica.context.clock.monotonic();
    let view = View {
        bytes: log.bytes(&key),
        pins_oldest: log.pins_oldest_segment(&key),
        applied,
        flushed,
        purged,
        sending: replica.context.sending.purge_bound(now, log.bytes(&key)),
        slowest: slowest_follower(replica),
        before_tail: log.index_before_tail(&key, limits::LOG_TAIL_BYTES),
        last: log.index_before_tail(&key, 0),
    };
    let asked = match view.step(log.pressure()) {
        Step::Nothing => return,
        Step::Purge(upto) => replica.raft.trigger().purge_log(upto).await,
        Step::Flush => replica.raft.trigger().snapshot().await,
    };
    if let Err(error) = asked {
        tracing::warn!(shard = %key.0, replica = %key.1, %error, "the Raft log cannot be purged");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leader with entries 1..=100 applied, 60 of them before the tail, and everything flushed.
    fn view() -> View {
        View {
            bytes: limits::LOG_TAIL_BYTES + limits::PURGE_BYTES_MIN + 1,
            pins_oldest: false,
            applied: Some(100),
            flushed: Some(100),
            purged: None,
            sending: None,
            slowest: Some(100),
            before_tail: Some(60),
            last: Some(100),
        }
    }

    #[test]
    fn a_long_log_is_purged_up_to_its_tail() {
        assert_eq!(view().step(Pressure::None), Step::Purge(60));
        let short = limits::LOG_TAIL_BYTES + limits::PURGE_BYTES_MIN;
        assert_eq!(View { bytes: short, ..view() }.step(Pressure::None), Step::Nothing);
    }

    #[test]
    fn what_is_flushed_goes_first_and_what_is_not_applied_stays() {
        assert_eq!(View { flushed: Some(59), ..view() }.step(Pressure::None), Step::Purge(59));
        let again = View { flushed: Some(59), purged: Some(59), ..view() };
        assert_eq!(again.step(Pressure::None), Step::Flush);
        assert_eq!(View { flushed: None, ..view() }.step(Pressure::None), Step::Flush);
        assert_eq!(View { applied: Some(40), ..view() }.step(Pressure::None), Step::Purge(40));
        assert_eq!(View { applied: None, ..view() }.step(Pressure::Reached), Step::Nothing);
    }

    #[test]
    fn a_replica_that_pins_the_oldest_segment_goes_as_far_as_its_followers() {
        let pinning = View { bytes: 10, pins_oldest: true, ..view() };
        assert_eq!(pinning.step(Pressure::None), Step::Nothing);
        assert_eq!(pinning.step(Pressure::Pinned), Step::Purge(100));
        let lagging = View { slowest: Some(30), ..pinning.clone() };
        assert_eq!(lagging.step(Pressure::Pinned), Step::Purge(30));
        let follower = View { slowest: None, ..pinning.clone() };
        assert_eq!(follower.step(Pressure::Pinned), Step::Purge(100));
        let other = View { bytes: 10, ..view() };
        assert_eq!(other.step(Pressure::Pinned), Step::Nothing);
    }

    #[test]
    fn near_the_limit_nobody_waits_for_a_follower_or_a_transfer() {
        let held = View { bytes: 10, slowest: Some(5), sending: Some(20), ..view() };
        assert_eq!(
            View { pins_oldest: true, ..held.clone() }.step(Pressure::Pinned),
            Step::Purge(5)
        );
        assert_eq!(held.step(Pressure::Near), Step::Purge(100));
        assert_eq!(held.step(Pressure::Reached), Step::Purge(100));
    }

    #[test]
    fn a_checkpoint_on_its_way_keeps_what_follows_it() {
        assert_eq!(View { sending: Some(20), ..view() }.step(Pressure::None), Step::Purge(20));
    }

    #[test]
    fn what_is_purged_is_not_purged_again() {
        assert_eq!(View { purged: Some(60), ..view() }.step(Pressure::None), Step::Nothing);
        assert_eq!(View { purged: Some(59), ..view() }.step(Pressure::None), Step::Purge(60));
        assert_eq!(View { purged: Some(100), ..view() }.step(Pressure::Reached), Step::Nothing);
    }
}
