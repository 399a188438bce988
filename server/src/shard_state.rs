//! Plugs `txn` into `raft`: what a replica does with a command, and how a shard's leader replicates.
//!
//! A command is an engine write batch that the shard's leader evaluated (`txn::shard`). Applying it is
//! decoding it; nothing is decided below Raft, so every replica ends up with the same bytes. A split carries two: one for
//! this shard, one for the copy that becomes another shard's replica.

use base::{NodeId, ShardId};
use bytes::Bytes;
use engine::{Mutation, WriteBatch, mvcc};
use raft::SplitCommand;
use raft::replica_group::{ProposeError, ReplicaGroup};
use raft::state_machine::StateMachine;
use std::sync::Arc;
use txn::replication::{AppliedView, ReplicateError, Replication, Split};

/// Applies evaluated write batches.
#[derive(Debug, Default)]
pub struct BatchMachine;

impl StateMachine for BatchMachine {
    fn apply(&self, _index: u64, command: &[u8], batch: &mut WriteBatch) -> engine::Result<()> {
        for mutation in mvcc::decode_batch(command)?.into_mutations() {
            match mutation {
                Mutation::Put { key, value } => batch.put(key, value),
                Mutation::Delete { key } => batch.delete(key),
            }
        }
        Ok(())
    }
}

/// A shard's replication, on top of its Raft group.
pub struct GroupReplication {
    /// The local replica and its group.
    group: Arc<dyn ReplicaGroup>,
}

impl GroupReplication {
    /// Replication through `group`.
    pub fn new(group: Arc<dyn ReplicaGroup>) -> GroupReplication {
        GroupReplication { group }
    }
}

#[async_trait::async_trait]
impl Replication for GroupReplication {
    fn shard(&self) -> ShardId {
        self.group.shard()
    }

    fn serving_term(&self) -> Option<u64> {
        self.group.serving_term()
    }

    async fn confirm_term(&self) -> Option<u64> {
        self.group.confirm_term().await
    }

    fn leader(&self) -> Option<NodeId> {
        self.group.leader()
    }

    fn refuses_writes(&self) -> Option<String> {
        self.group.refuses_writes()
    }

    fn applied_view(&self) -> Result<AppliedView, String> {
        let snapshot = self.group.applied_view().map_err(|error| error.to_string())?;
        Ok(AppliedView { index: snapshot.index, view: snapshot.view })
    }

    async fn replicate(&self, term: u64, batch: Bytes) -> Result<(), ReplicateError> {
        self.group.propose(term, batch).await.map_err(not_acknowledged)
    }

    async fn replicate_split(&self, term: u64, split: Split) -> Result<(), ReplicateError> {
        let Split { child, replicas, since, own, other } = split;
        let command = SplitCommand { child, replicas, since, own, other };
        let done = self.group.propose_split(term, command).await;
        if let Err(ProposeError::Refused(why)) = &done {
            let shard = self.group.shard();
            tracing::warn!(%shard, %child, %why, "a split was refused");
        }
        done.map_err(not_acknowledged)
    }
}

fn not_acknowledged(error: ProposeError) -> ReplicateError {
    match error {
        ProposeError::NotLeader => ReplicateError::NotLeader,
        // A stopped replica may have handed the command on before it stopped. A split that was refused has changed nothing,
        // but the term goes on: whoever asked finds that out by what is applied.
        ProposeError::Unknown | ProposeError::Refused(_) | ProposeError::Stopped(_) => {
            ReplicateError::Unknown
        }
    }
}
