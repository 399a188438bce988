//! Questions to a shard's leader about its group, and changes of its members: here, or on the leader's node.

use crate::cluster_client::ClusterClient;
use crate::cluster_wire as cw;
use crate::local_shards::LocalShards;
use crate::lock_handover::LockHandover;
use crate::peers::{CallError, Peers};
use base::limits::{PROPOSE_WAIT_MAX, STATUS_WAIT_MAX};
use base::{NodeId, ReplicaId, ShardId};
use proto::node as pb;
use raft::{MembershipVersion, ReplicaGroup};
use shard_router::change::Step;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a change: the leader's own wait for its quorum twice (joint, then the new voters).
const CHANGE_WAIT_MAX: Duration =
    Duration::from_millis(2 * PROPOSE_WAIT_MAX.as_millis() as u64 + 500);

/// The way to the leaders of groups.
pub struct Members {
    /// This node.
    pub node: NodeId,
    /// Replicas of this node.
    pub local: Arc<LocalShards>,
    /// Ways to other nodes.
    pub peers: Arc<Peers>,
    /// Who leads.
    pub client: Arc<ClusterClient>,
    /// Moves leaders.
    pub lock_handover: Arc<LockHandover>,
}

impl Members {
    /// The group as its leader sees it, and the leader's node. `also` may hold a replica that the map does
    /// not name yet.
    ///
    /// # Errors
    /// A sentence when no replica says that it leads.
    pub async fn group(
        &self,
        shard: ShardId,
        also: Option<NodeId>,
    ) -> Result<(NodeId, pb::Group), String> {
        let map = self.client.map();
        let info = map.shard(shard).ok_or_else(|| format!("there is no shard {}", shard.0))?;
        let mut asked = BTreeSet::new();
        let known = self.client.leader(shard).into_iter();
        let holders = info.replicas.iter().map(|(_, node)| *node);
        for node in known.chain(holders).chain(also) {
            if !asked.insert(node) {
                continue;
            }
            let answer = if node == self.node {
                Some(self.answer_group(shard))
            } else {
                let request = pb::call::Request::Group(pb::GroupRequest { shard: shard.0 });
                self.peers.call_any_way(node, request, STATUS_WAIT_MAX).await.ok()
            };
            if let Some(pb::answer::Response::Group(group)) = answer {
                return Ok((node, group));
            }
        }
        Err("no leader".into())
    }

    /// Asks the leader on `node` for a step, if its group is still the one seen.
    ///
    /// # Errors
    /// A sentence: not now, not at all, or nobody knows. Looking at the group again tells.
    pub async fn step(
        &self,
        shard: ShardId,
        node: NodeId,
        seen: &pb::Group,
        step: &Step,
    ) -> Result<(), String> {
        use pb::member_change::Kind;
        let ids = |replicas: &mut dyn Iterator<Item = ReplicaId>| replicas.map(|id| id.0).collect();
        let (kind, replicas, target): (Kind, Vec<u64>, u64) = match step {
            Step::AddLearner(replica, node) => (Kind::AddLearner, vec![replica.0], node.0),
            Step::ChangeVoters(voters) => (Kind::ChangeVoters, ids(&mut voters.iter().copied()), 0),
            Step::RemoveMember(replica) => (Kind::RemoveMember, vec![replica.0], 0),
            Step::TransferLeader(node) => (Kind::TransferLeader, Vec::new(), node.0),
            // These ask nothing of the leader.
            Step::Wait(_) | Step::Finish | Step::Drop => return Ok(()),
        };
        let change = pb::MemberChange {
            shard: shard.0,
            version_term: seen.version_term,
            version_index: seen.version_index,
            kind: kind as i32,
            replicas,
            node: target,
        };
        let answer = if node == self.node {
            self.answer_change(change).await
        } else {
            let request = pb::call::Request::MemberChange(change);
            match self.peers.call_any_way(node, request, CHANGE_WAIT_MAX).await {
                Ok(answer) => answer,
                Err(CallError::NotSent(why) | CallError::Lost(why)) => return Err(why),
            }
        };
        match answer {
            pb::answer::Response::MemberChanged(changed) if changed.refused.is_empty() => Ok(()),
            pb::answer::Response::MemberChanged(changed) => Err(changed.refused),
            pb::answer::Response::Failure(failure) => Err(failure.what),
            _ => Err(format!("node {} gave an answer of the wrong kind", node.0)),
        }
    }

    fn led_here(&self, shard: ShardId) -> Option<Arc<dyn ReplicaGroup>> {
        self.local.get(shard).map(|local| local.group)
    }

    /// What this node's replica says of its group, when it leads.
    pub fn answer_group(&self, shard: ShardId) -> pb::answer::Response {
        let group = self.led_here(shard);
        let progress = group.as_ref().and_then(|group| Some((group.replica(), group.progress()?)));
        match progress {
            Some((leader, progress)) => {
                pb::answer::Response::Group(cw::group_to_pb(leader, &progress))
            }
            None => {
                let error = txn::Error::NotServing {
                    shard,
                    leader: group.and_then(|group| group.leader()),
                };
                pb::answer::Response::Failure(crate::wire::failure_to_pb(error))
            }
        }
    }

    /// Carries a change out, when this node's replica leads.
    pub async fn answer_change(&self, change: pb::MemberChange) -> pb::answer::Response {
        let refused = match self.change(change).await {
            Ok(()) => String::new(),
            Err(why) => why,
        };
        pb::answer::Response::MemberChanged(pb::MemberChanged { refused })
    }

    async fn change(&self, change: pb::MemberChange) -> Result<(), String> {
        use pb::member_change::Kind;
        let shard = ShardId(change.shard);
        let replica = self.local.get(shard).ok_or("no replica of the shard is here")?;
        let group = &replica.group;
        let seen = MembershipVersion { term: change.version_term, index: change.version_index };
        let one = || change.replicas.first().copied().map(ReplicaId).ok_or("no replica is named");
        let done = match Kind::try_from(change.kind) {
            Ok(Kind::AddLearner) => group.add_learner(seen, one()?, NodeId(change.node)).await,
            Ok(Kind::ChangeVoters) => {
                let voters = change.replicas.iter().copied().map(ReplicaId).collect();
                group.change_voters(seen, voters).await
            }
            Ok(Kind::RemoveMember) => group.remove_member(seen, one()?).await,
            Ok(Kind::TransferLeader) => {
                let to = NodeId(change.node);
                let moved = self.lock_handover.transfer_leader(&replica, to).await;
                return moved.map_err(|error| error.to_string());
            }
            Err(_) => return Err("a change of an unknown kind".into()),
        };
        done.map_err(|error| error.to_string())
    }
}
