//! One shard's replication as the rest of the node sees it. openraft's types stop here.

use base::{NodeId, ReplicaId, ShardId};
use bytes::Bytes;
use engine::Engine;
use std::sync::Arc;

/// A replica of a shard together with its group.
#[async_trait::async_trait]
pub trait ReplicaGroup: Send + Sync + 'static {
    /// The shard.
    fn shard(&self) -> ShardId;

    /// This replica.
    fn replica(&self) -> ReplicaId;

    /// The replica's engine; reads only, writes come through `apply`.
    fn engine(&self) -> Arc<dyn Engine>;

    /// The leader's node, when known.
    fn leader(&self) -> Option<NodeId>;

    /// The term in which this replica may serve reads and writes right now: it leads, its last quorum
    /// acknowledgement is younger than `base::limits::LEASE_READ_MAX`, and it has applied an entry of its
    /// own term. Reads cached metrics only: no message, no channel.
    fn serving_term(&self) -> Option<u64>;

    /// As `serving_term`, but when only the lease is too old it asks a quorum first (ReadIndex).
    async fn confirm_term(&self) -> Option<u64>;

    /// Why the node takes no new writes, a sentence for people, if it takes none: its disk or its log is
    /// full. What was begun may still be proposed, and reads are not concerned. No I/O.
    fn refuses_writes(&self) -> Option<String>;

    /// Replicates a command if this replica leads in `term` (openraft's `with_leader` fence).
    ///
    /// # Errors
    /// `NotLeader`: in no log, safe to try elsewhere. `Unknown`: may be applied later.
    async fn propose(&self, term: u64, command: Bytes) -> Result<(), ProposeError>;

    /// Asks the group to make another of its replicas leader; returns once it has asked.
    async fn transfer_leader(&self, to: NodeId) -> Result<(), ProposeError>;

    /// A picture for `precinct status`, metrics and `SHOW SHARDS`.
    fn status(&self) -> ReplicaStatus;
}

/// Why a command was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This replica does not lead in that term; the command is in no log.
    #[error("not the leader")]
    NotLeader,
    /// No quorum answered in time, or leadership was lost meanwhile: it may be applied later.
    #[error("outcome unknown")]
    Unknown,
    /// The replica has stopped (corruption, disk error, shutdown).
    #[error("replica stopped: {0}")]
    Stopped(String),
}

/// A replica's state for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The shard.
    pub shard: ShardId,
    /// The replica.
    pub replica: ReplicaId,
    /// The leader's node, when known.
    pub leader: Option<NodeId>,
    /// Current term.
    pub term: u64,
    /// Index of the last entry in the log.
    pub last_log_index: u64,
    /// Index of the last applied entry.
    pub applied_index: u64,
    /// Voters: replica and its node.
    pub voters: Vec<(ReplicaId, NodeId)>,
    /// `leader`, `follower`, `candidate`, `learner`, or `stopped: why`.
    pub role: String,
}
