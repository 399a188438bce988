//! What a shard's leader asks of its replicas. `server` plugs Raft into it; tests plug in memory.

use base::{NodeId, ReplicaId, ShardId};
use bytes::Bytes;
use engine::EngineSnapshot;
use std::sync::Arc;

/// One shard's replication, seen from a replica.
///
/// The leader *evaluates* a write (checks it, turns it into an engine write batch) while it holds
/// latches on its keys, and replicates only the outcome. That is sound because a batch is accepted
/// only under the leadership it was evaluated in, and latches keep every other batch off its keys
/// until this one is applied here.
#[async_trait::async_trait]
pub trait Replication: Send + Sync + 'static {
    /// The shard.
    fn shard(&self) -> ShardId;

    /// The term under which this replica may serve *now*: it leads, holds the leader lease with margin
    /// to spare, and has applied an entry of its own term. `None` otherwise. No I/O.
    fn serving_term(&self) -> Option<u64>;

    /// As [`Self::serving_term`], but when the lease is merely old it asks a quorum first (ReadIndex).
    async fn confirm_term(&self) -> Option<u64>;

    /// The leader's node, when known.
    fn leader(&self) -> Option<NodeId>;

    /// Why this node takes no new writes, a sentence for people, if it takes none. What was begun may
    /// still be replicated. No I/O.
    fn refuses_writes(&self) -> Option<String> {
        None
    }

    /// What this replica has applied, whether it leads or not. No message.
    ///
    /// # Errors
    /// A sentence: why nothing may be read here, for example because the replica has stopped.
    fn applied_view(&self) -> std::result::Result<AppliedView, String>;

    /// Replicates an encoded write batch if this replica still leads in `term`. `Ok` after a quorum has
    /// synced it and it is applied here.
    async fn replicate(&self, term: u64, batch: Bytes) -> Result<(), ReplicateError>;

    /// The same for an entry that splits the shard: every replica that applies it first makes a copy of itself as it is
    /// before the entry, the child's replica on that node.
    async fn replicate_split(&self, term: u64, split: Split) -> Result<(), ReplicateError>;
}

/// A frozen view of a replica's engine.
pub struct AppliedView {
    /// Everything up to this entry of the log is in it.
    pub index: u64,
    /// The view.
    pub view: Arc<dyn EngineSnapshot>,
}

/// A split as an entry of the parent's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The new shard.
    pub child: ShardId,
    /// The parent's replicas, each with the child's on the same node.
    pub replicas: Vec<(ReplicaId, ReplicaId)>,
    /// The version of the cluster that knows of the split.
    pub since: u64,
    /// The encoded write batch for the parent.
    pub own: Bytes,
    /// The encoded write batch for the child's copy.
    pub other: Bytes,
}

/// Why a batch was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicateError {
    /// Not the leader of that term any more; the batch is in no log.
    #[error("not the leader")]
    NotLeader,
    /// It may or may not be applied later.
    #[error("outcome unknown")]
    Unknown,
}
