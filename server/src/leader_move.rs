//! What administrators ask of a shard: that another node leads it.
//!
//! ```text
//! asked ─> refused beforehand, with what to do instead
//!       └> the leader hands over (raft) ─> looked at until the new one leads, at most LEADER_MOVE_WAIT_MAX
//! ```
//!
//! It is for the moment: once the balancer looks again it gives a shard back to the node that the shard map
//! prefers. Who wants leaders to stay away from a node drains it (`node_control`).

use crate::cluster_wire as cw;
use crate::gossip::Gossip;
use crate::members::Members;
use base::limits::{LEADER_MOVE_LOOK, LEADER_MOVE_WAIT_MAX};
use base::{NodeId, ShardId};
use shard_router::change::{GroupView, MemberView, Role, Step};
use shard_router::{ClusterState, NodeState};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Lets `to` lead a shard. Answers who led it before, once `to` leads.
///
/// # Errors
/// A sentence: why not, and what to do.
pub async fn transfer(
    state: &ClusterState,
    gossip: &Gossip,
    members: &Arc<Members>,
    shard: ShardId,
    to: NodeId,
) -> Result<NodeId, String> {
    may_lead(state, &gossip.alive(), shard, to)?;
    // A sick disk gives its leaders away at once.
    if let Some(disk) = gossip.disk(to).filter(|_| !gossip.well().contains(&to)) {
        return Err(format!(
            "the disk of node {} is not well ({disk}), so that leaders leave it; mend it first",
            to.0
        ));
    }
    let (from, group) = members.group(shard, None).await.map_err(|_| {
        format!("shard {} has no leader that answers; ask again when it has one", shard.0)
    })?;
    let view = cw::group_from_pb(&group)?;
    can_take_over(&view, shard, from, to)?;
    // In a task of its own: a leader that has begun to hand over must not be left in the middle of it.
    let asking = members.clone();
    let asked =
        tokio::spawn(
            async move { asking.step(shard, from, &group, &Step::TransferLeader(to)).await },
        );
    let looked = tokio::time::timeout(LEADER_MOVE_WAIT_MAX, async {
        let asked = asked.await.map_err(|error| error.to_string()).flatten();
        if let Err(why) = asked {
            return Err(format!(
                "shard {} was not handed over by node {}: node {} lacks entries that it did not get in time, or \
                 another node leads already ({why}); look at SHOW SHARDS and ask again",
                shard.0, from.0, to.0
            ));
        }
        while members.group(shard, None).await.ok().map(|(leader, _)| leader) != Some(to) {
            tokio::time::sleep(LEADER_MOVE_LOOK).await;
        }
        Ok(())
    });
    match looked.await {
        Ok(outcome) => outcome.map(|()| from),
        Err(_) => Err(format!(
            "node {} does not lead shard {} after {} s; look at SHOW SHARDS and ask again",
            to.0,
            shard.0,
            LEADER_MOVE_WAIT_MAX.as_secs()
        )),
    }
}

/// Whether the cluster's records let a node lead a shard.
fn may_lead(
    state: &ClusterState,
    alive: &BTreeSet<NodeId>,
    shard: ShardId,
    to: NodeId,
) -> Result<(), String> {
    let list = |numbers: &mut dyn Iterator<Item = u64>| {
        numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
    };
    let number = to.0;
    let Some(info) = state.map.shard(shard) else {
        let last = state.map.shards().iter().map(|info| info.id.0).max().unwrap_or_default();
        return Err(format!("there is no shard {}; the last one is {last}", shard.0));
    };
    if !state.nodes.contains_key(&to) {
        let known = list(&mut state.nodes.keys().map(|node| node.0));
        return Err(format!("there is no node {number}; there are {known}"));
    }
    if !info.is_on(to) {
        let holders = list(&mut info.replicas.iter().map(|(_, node)| node.0));
        return Err(format!(
            "node {number} holds no replica of shard {}; nodes {holders} do",
            shard.0
        ));
    }
    if !alive.contains(&to) {
        return Err(format!("node {number} does not answer; choose another one or start it"));
    }
    let back = match state.node_state(to) {
        NodeState::Active => return Ok(()),
        NodeState::Draining => "undrain it first",
        NodeState::Decommissioning => "recommission it first",
        NodeState::Left => "choose another one",
    };
    let wanted = state.node_state(to).name();
    Err(format!("node {number} is {wanted}, so that leaders leave it; {back}"))
}

/// Whether a node's replica can take over from the leader now.
fn can_take_over(
    group: &GroupView,
    shard: ShardId,
    leader: NodeId,
    to: NodeId,
) -> Result<(), String> {
    let (shard, number) = (shard.0, to.0);
    if leader == to {
        return Err(format!("node {number} leads shard {shard} already"));
    }
    // While a replica is replaced on its own node, the node has two.
    let on_node: Vec<&MemberView> =
        group.members.iter().filter(|member| member.node == to).collect();
    let voters = on_node.iter().filter(|member| member.role == Role::Voter);
    match voters.min_by_key(|member| (!member.keeps_up, member.lacks)) {
        Some(voter) if voter.keeps_up => Ok(()),
        Some(voter) => Err(format!(
            "the replica of shard {shard} on node {number} lacks {} entries or does not answer; ask again when it has \
             caught up",
            voter.lacks
        )),
        None if on_node.is_empty() => {
            Err(format!("node {number} is no member of the group of shard {shard} yet; ask again"))
        }
        None => Err(format!(
            "the replica of shard {shard} on node {number} is a learner or changes its vote just now; ask again when \
             SHOW SHARDS says ok"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::ReplicaId;
    use shard_router::{NodeInfo, RebalanceSettings};
    use std::collections::BTreeMap;

    fn state(wanted: NodeState) -> ClusterState {
        let founders: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let map = Arc::new(shard_router::initial(&founders, 2, 3).unwrap().map);
        let info = |id| NodeInfo {
            state: if id == 2 { wanted } else { NodeState::Active },
            ..NodeInfo::default()
        };
        let nodes = (1..=4).map(|id| (NodeId(id), info(id))).collect();
        ClusterState {
            id: 4,
            version: 2,
            replication: 3,
            nodes,
            map,
            jobs: BTreeMap::new(),
            rebalance: RebalanceSettings::default(),
            splits: BTreeMap::new(),
            merges: BTreeMap::new(),
            origins: BTreeMap::new(),
            placement: shard_router::Placement::default(),
        }
    }

    #[test]
    fn what_cannot_lead_is_refused_with_what_to_do() {
        let all: BTreeSet<NodeId> = (1..=4).map(NodeId).collect();
        let active = state(NodeState::Active);
        let ask = |shard, to| may_lead(&active, &all, ShardId(shard), NodeId(to));
        assert_eq!(ask(0, 1), Ok(()));
        assert_eq!(ask(2, 2), Ok(()));
        assert!(ask(3, 1).unwrap_err().contains("the last one is 2"));
        assert!(ask(1, 9).unwrap_err().contains("there are 1, 2, 3, 4"));
        let no_replica = ask(1, 4).unwrap_err();
        assert!(no_replica.contains("holds no replica"), "{no_replica}");
        let dead: BTreeSet<NodeId> = [1, 3].map(NodeId).into();
        let refused = may_lead(&active, &dead, ShardId(1), NodeId(2)).unwrap_err();
        assert!(refused.contains("does not answer"), "{refused}");
        for (wanted, words) in [
            (NodeState::Draining, "undrain it first"),
            (NodeState::Decommissioning, "recommission it first"),
            (NodeState::Left, "choose another one"),
        ] {
            let refused = may_lead(&state(wanted), &all, ShardId(1), NodeId(2)).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn only_a_voter_that_has_caught_up_takes_over() {
        let member = |id, role, keeps_up, lacks| MemberView {
            replica: ReplicaId(10 + id),
            node: NodeId(id),
            role,
            keeps_up,
            lacks,
        };
        let mut group = GroupView {
            leader: ReplicaId(11),
            settled: true,
            members: vec![
                member(1, Role::Voter, true, 0),
                member(2, Role::Voter, true, 1),
                member(3, Role::Voter, false, 900),
                member(4, Role::Learner, true, 0),
            ],
        };
        let ask = |group: &GroupView, to| can_take_over(group, ShardId(1), NodeId(1), NodeId(to));
        assert_eq!(ask(&group, 2), Ok(()));
        assert!(ask(&group, 1).unwrap_err().contains("leads shard 1 already"));
        assert!(ask(&group, 3).unwrap_err().contains("lacks 900 entries"));
        assert!(ask(&group, 4).unwrap_err().contains("learner"));
        assert!(ask(&group, 5).unwrap_err().contains("no member"));
        // A new replica beside the old one on the same node does not stand in its way.
        group.members.push(member(2, Role::Learner, false, 5000));
        assert_eq!(ask(&group, 2), Ok(()));
    }
}
