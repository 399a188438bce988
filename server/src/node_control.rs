//! What administrators ask of a node: drain, undrain, decommission, recommission.
//!
//! ```text
//! active ──drain──> draining            active, draining ──decommission──> decommissioning ──empty──> left
//!        <─undrain──                    active <──────────recommission────┘
//! ```
//!
//! Asking only changes the node's record. The balancer then moves leaders, the coordinator moves replicas, and
//! whoever asked may go away.

use crate::gossip::Gossip;
use crate::meta_store::{ChangeError, MetaStore};
use base::{NodeId, ShardId};
use shard_router::repair::{Health, rehearse};
use shard_router::{ClusterState, NodeState};
use sql::ast::NodeAction;
use sql::instance::NodePlanRow;
use std::collections::BTreeMap;

/// Shards named in a refusal.
const SHARDS_NAMED_MAX: usize = 3;

/// Changes what is wanted of a node, or only says what that would do. Answers the shards that have to move.
///
/// # Errors
/// A sentence: why it is refused and what to do instead.
pub async fn alter(
    meta: &MetaStore,
    gossip: &Gossip,
    health: &Health,
    node: NodeId,
    action: NodeAction,
    dry_run: bool,
) -> Result<Vec<NodePlanRow>, String> {
    let mut plan = Vec::new();
    let edit = |state: &mut ClusterState| {
        let next = next_state(state, health, node, action)?;
        plan = match action {
            NodeAction::Decommission => moves(state, health, node),
            _ => Vec::new(),
        };
        if dry_run {
            return Ok(());
        }
        refuse_blocked(node, &plan)?;
        if let Some(info) = state.nodes.get_mut(&node) {
            info.state = next;
        }
        Ok(())
    };
    match meta.change(edit).await {
        Ok(state) => gossip.adopt(state),
        Err(ChangeError::Refused(why)) => return Err(why),
        Err(error @ (ChangeError::Meta(_) | ChangeError::NotBegun)) => {
            return Err(format!("the meta shard did not take it: {error}; ask again"));
        }
    }
    Ok(plan)
}

/// The state that an action leads to.
fn next_state(
    state: &ClusterState,
    health: &Health,
    node: NodeId,
    action: NodeAction,
) -> Result<NodeState, String> {
    let Some(info) = state.nodes.get(&node) else {
        let known: Vec<String> = state.nodes.keys().map(|node| node.0.to_string()).collect();
        return Err(format!("there is no node {}; there are {}", node.0, known.join(", ")));
    };
    let number = node.0;
    match (action, info.state) {
        (_, NodeState::Left) => Err(format!("node {number} has left already")),
        (NodeAction::Drain, NodeState::Decommissioning) => Err(format!(
            "node {number} is being decommissioned, which moves its leaders too; recommission it first to keep it"
        )),
        (NodeAction::Drain, _) if !others_may_lead(state, health, node) => Err(format!(
            "no other node may lead: node {number} is the last one that answers, holds replicas and is neither drained \
             nor being decommissioned; undrain or start another one first"
        )),
        (NodeAction::Drain, _) => Ok(NodeState::Draining),
        (NodeAction::Undrain, NodeState::Decommissioning) => {
            Err(format!("node {number} is being decommissioned; recommission takes that back"))
        }
        (NodeAction::Undrain, _) => Ok(NodeState::Active),
        (NodeAction::Decommission, _) => Ok(NodeState::Decommissioning),
        (NodeAction::Recommission, NodeState::Draining) => {
            Err(format!("node {number} is draining; undrain takes that back"))
        }
        (NodeAction::Recommission, _) => Ok(NodeState::Active),
    }
}

/// Whether a node that answers and has replicas is left to lead when this one does not.
fn others_may_lead(state: &ClusterState, health: &Health, node: NodeId) -> bool {
    let holds = |other: NodeId| {
        let mut replicas = state.map.shards().iter().flat_map(|info| &info.replicas);
        replicas.any(|(_, home)| *home == other)
    };
    state.nodes.iter().any(|(other, info)| {
        *other != node
            && info.state == NodeState::Active
            && health.alive.contains(other)
            && holds(*other)
    })
}

/// Where the replicas of a node would go.
fn moves(state: &ClusterState, health: &Health, node: NodeId) -> Vec<NodePlanRow> {
    let moves: BTreeMap<ShardId, Result<NodeId, String>> = rehearse(state, health, node);
    let moves = moves.into_iter();
    moves
        .map(|(shard, outcome)| match outcome {
            Ok(target) => NodePlanRow { shard, target: Some(target), blocked: String::new() },
            Err(blocked) => NodePlanRow { shard, target: None, blocked },
        })
        .collect()
}

fn refuse_blocked(node: NodeId, plan: &[NodePlanRow]) -> Result<(), String> {
    let blocked: Vec<&NodePlanRow> = plan.iter().filter(|row| !row.blocked.is_empty()).collect();
    if blocked.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = blocked
        .iter()
        .take(SHARDS_NAMED_MAX)
        .map(|row| format!("shard {}: {}", row.shard.0, row.blocked))
        .collect();
    let more = blocked.len().saturating_sub(SHARDS_NAMED_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Err(format!(
        "node {} cannot be decommissioned: {} of its {} shards have nowhere to go ({}{more})",
        node.0,
        blocked.len(),
        plan.len(),
        named.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shard_router::{NodeInfo, RebalanceSettings};
    use std::sync::Arc;

    fn state(wanted: NodeState, nodes: u64) -> ClusterState {
        let founders: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let map = Arc::new(shard_router::initial(&founders, 2, 3).unwrap().map);
        let info = |id| NodeInfo {
            state: if id == 2 { wanted } else { NodeState::Active },
            ..NodeInfo::default()
        };
        let nodes = (1..=nodes).map(|id| (NodeId(id), info(id))).collect();
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
    fn each_action_leads_where_it_should_or_says_why_not() {
        use NodeAction::{Decommission, Drain, Recommission, Undrain};
        use NodeState::{Active, Decommissioning, Draining, Left};
        let all = Health { alive: (1..=4).map(NodeId).collect(), ..Health::default() };
        let next = |from, action| next_state(&state(from, 4), &all, NodeId(2), action);
        assert_eq!(next(Active, Drain), Ok(Draining));
        assert_eq!(next(Draining, Drain), Ok(Draining));
        assert_eq!(next(Draining, Undrain), Ok(Active));
        assert_eq!(next(Active, Decommission), Ok(Decommissioning));
        assert_eq!(next(Draining, Decommission), Ok(Decommissioning));
        assert_eq!(next(Decommissioning, Recommission), Ok(Active));
        assert!(next(Decommissioning, Drain).unwrap_err().contains("recommission it first"));
        assert!(next(Decommissioning, Undrain).unwrap_err().contains("recommission"));
        assert!(next(Draining, Recommission).unwrap_err().contains("undrain"));
        assert!(next(Left, Recommission).unwrap_err().contains("left already"));
        let mut alone = state(Draining, 3);
        alone.nodes.get_mut(&NodeId(3)).unwrap().state = Decommissioning;
        let last = next_state(&alone, &all, NodeId(1), Drain).unwrap_err();
        assert!(last.contains("undrain or start another one first"), "{last}");
        // Node 4 has no replica, node 3 does not answer.
        let dead = Health { alive: [1, 2, 4].map(NodeId).into(), ..Health::default() };
        let last = next_state(&state(Draining, 4), &dead, NodeId(1), Drain).unwrap_err();
        assert!(last.contains("no other node may lead"), "{last}");
        let unknown = next_state(&state(Active, 4), &all, NodeId(9), Drain).unwrap_err();
        assert!(unknown.contains("there are 1, 2, 3, 4"), "{unknown}");
    }

    #[test]
    fn a_decommission_without_room_is_refused_and_names_shards() {
        let alive =
            |nodes: u64| Health { alive: (1..=nodes).map(NodeId).collect(), ..Health::default() };
        let room = moves(&state(NodeState::Active, 4), &alive(4), NodeId(2));
        assert_eq!((room.len(), refuse_blocked(NodeId(2), &room)), (3, Ok(())));
        let full = moves(&state(NodeState::Active, 3), &alive(3), NodeId(2));
        let why = refuse_blocked(NodeId(2), &full).unwrap_err();
        assert!(
            why.contains("3 of its 3 shards") && why.contains("shard 0: no free node"),
            "{why}"
        );
    }
}
