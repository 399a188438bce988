//! Reads on a replica that does not lead, which miss nothing that was acknowledged before they began.
//!
//! ```text
//! follower                                leader
//!   ── read index? (liveness lane) ─────────> sure to lead? (lease, else a heartbeat round)
//!   <──────────────── index of what is committed ──
//!   wait until applied, then a snapshot of the engine
//! ```
//!
//! Who knows by other means up to which entry a read must reach takes a view as it is, and asks it how far it reaches
//! (`applied_view`).
//!
//! A follower cut off from its leader, or whose leader is cut off from its quorum, gets no index and says
//! so: no answer is ever older than the moment the question was asked.

use crate::applier::read_applied;
use crate::replica::Replica;
use crate::transport::network::item;
use crate::type_config::Term;
use base::limits;
use engine::mvcc::APPLIED_KEY;
use engine::{Engine, EngineSnapshot};
use openraft::LinearizerOption;
use proto::raft as wire;
use proto::raft::item::Body;
use std::sync::Arc;
use std::time::Duration;

/// A frozen view of a replica's engine.
pub struct FollowerSnapshot {
    /// Everything up to this entry is in it.
    pub index: u64,
    /// The view.
    pub view: Arc<dyn EngineSnapshot>,
}

/// Why a replica cannot answer a read right now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowerReadError {
    /// No leader is known, or it cannot be sure to lead. Try again, or another replica.
    #[error("no leader can say how far a read must reach: {0}")]
    NoLeader(String),
    /// The replica lags. Try again with more time, or read at the leader.
    #[error("the read must reach entry {index}, and this replica has applied {applied} in time")]
    Behind {
        /// What the read needs.
        index: u64,
        /// What is applied.
        applied: u64,
    },
    /// The replica has stopped, or is just installing a Raft snapshot.
    #[error("replica stopped: {0}")]
    Stopped(String),
}

impl Replica {
    /// Up to where a reader must have applied so that it misses nothing that was acknowledged before this
    /// call. On the leader only.
    ///
    /// # Errors
    /// A sentence: why this replica cannot say.
    pub async fn read_index(&self) -> Result<u64, String> {
        if self.context.health.stopped() {
            return Err("the replica has stopped".to_string());
        }
        let option = LinearizerOption::new(Some(limits::LEASE_READ_MAX), true)
            .with_wait_timeout(limits::ELECTION_TIMEOUT_MAX);
        let asked =
            tokio::time::timeout(limits::PROPOSE_WAIT_MAX, self.raft.get_read_linearizer(option));
        let linearizer = asked.await.map_err(|_| "no quorum answers".to_string())?;
        let linearizer = linearizer.map_err(|error| error.to_string())?;
        let read = linearizer.read_log_id();
        // A transfer ignores the lease: from its beginning on somebody else may lead already. The flag is
        // set before the transfer begins, so looking at it last is looking early enough.
        let term: &Term = read.committed_leader_id();
        match self.revoked(**term) {
            true => Err("leadership is being handed over".to_string()),
            false => Ok(read.index()),
        }
    }

    /// Asks whoever leads.
    async fn leader_read_index(&self, wait_max: Duration) -> Result<u64, String> {
        let leader = self.with_metrics(|metrics| {
            let leader = metrics.current_leader?;
            let home = metrics.membership_config.membership().get_node(&leader)?;
            Some((leader, home.node))
        });
        let Some((leader, node)) = leader else { return Err("none is known".to_string()) };
        if leader == self.key.1.0 {
            return match tokio::time::timeout(wait_max, self.read_index()).await {
                Ok(index) => index,
                Err(_) => Err("no quorum answered in time".to_string()),
            };
        }
        let body = Body::ReadIndex(wire::ReadIndexRequest {});
        let lane = self.peers.liveness(node, self.key.0);
        let reply = lane.call(item(self.key, leader, body));
        let waited = async { reply?.wait(wait_max).await }.await;
        match waited.map_err(|error| format!("node {}: {error}", node.0))? {
            Body::ReadIndexReply(reply) => Ok(reply.index),
            _ => Err(format!("node {} answers something else", node.0)),
        }
    }

    /// As `ReplicaGroup::follower_snapshot`.
    pub(crate) async fn snapshot_of_all_acknowledged(
        &self,
        wait_max: Duration,
    ) -> Result<FollowerSnapshot, FollowerReadError> {
        if let Some(reason) = self.stop_reason() {
            return Err(FollowerReadError::Stopped(reason));
        }
        let begin = self.context.clock.monotonic();
        let index = self.leader_read_index(wait_max).await.map_err(FollowerReadError::NoLeader)?;
        let spent = self.context.clock.monotonic().saturating_sub(begin);
        let left = wait_max.saturating_sub(spent);
        let waited = self.raft.wait(Some(left)).applied_index_at_least(Some(index), "a read").await;
        if waited.is_err() {
            let applied = self.with_metrics(|metrics| metrics.last_applied);
            let applied = applied.map_or(0, |applied| applied.index);
            return Err(FollowerReadError::Behind { index, applied });
        }
        let snapshot = self.view_as_it_is()?;
        match snapshot.index < index {
            true => Err(FollowerReadError::Behind { index, applied: snapshot.index }),
            false => Ok(snapshot),
        }
    }

    /// As `ReplicaGroup::applied_view`.
    pub(crate) fn view_as_it_is(&self) -> Result<FollowerSnapshot, FollowerReadError> {
        let view = self.slot().snapshot();
        // The view says itself how far it reaches: what was published elsewhere is not believed.
        let stopped = |error: std::io::Error| FollowerReadError::Stopped(error.to_string());
        let (applied, _) = read_applied(view.get(APPLIED_KEY)).map_err(stopped)?;
        let index = applied.map_or(0, |applied| applied.index);
        match self.stop_reason() {
            Some(reason) => Err(FollowerReadError::Stopped(reason)),
            None => Ok(FollowerSnapshot { index, view }),
        }
    }

    /// As `ReplicaGroup::wait_applied`.
    pub(crate) async fn has_applied(&self, index: u64, wait_max: Duration) -> bool {
        let wait = self.raft.wait(Some(wait_max));
        wait.applied_index_at_least(Some(index), "a read").await.is_ok()
    }
}
