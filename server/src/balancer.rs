//! Keeps leaders spread: every few seconds each node gives away at most one leadership that the shard
//! map would rather see elsewhere. The plan is `shard_router::balance`; this is its hands.

use crate::cluster_client::ClusterClient;
use crate::directory::Directory;
use crate::gossip::Gossip;
use crate::local_shards::LocalShards;
use crate::lock_handover::LockHandover;
use base::{NodeId, ShardId};
use shard_router::{ClusterState, NodeState, balance};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Pause while this node has leaderships that it is to give up.
const LEAVE_PAUSE: Duration = Duration::from_millis(500);

/// Runs until the node stops.
pub async fn run(
    client: Arc<ClusterClient>,
    local: Arc<LocalShards>,
    directory: Arc<Directory>,
    gossip: Arc<Gossip>,
    lock_handover: Arc<LockHandover>,
) {
    let node = directory.node();
    loop {
        let leaves = directory.state().node_state(node) != NodeState::Active;
        tokio::time::sleep(if leaves { LEAVE_PAUSE } else { PAUSE }).await;
        let state = directory.state();
        let leaders: BTreeMap<ShardId, NodeId> = state
            .map
            .shards()
            .iter()
            .filter_map(|info| client.leader(info.id).map(|leader| (info.id, leader)))
            .collect();
        let able = able_to_lead(&state, gossip.well());
        let moves = balance::leader_moves(&state, &leaders, &able);
        let mine = moves.into_iter().find(|(shard, _)| leaders.get(shard) == Some(&node));
        let Some((shard, to)) = mine else { continue };
        let Some(replica) = local.get(shard) else { continue };
        match lock_handover.transfer_leader(&replica, to).await {
            Ok(()) => tracing::info!(%shard, %to, "leadership offered"),
            // The target lags or the group is busy with a change: the next look tries again.
            Err(error) => tracing::debug!(%shard, %to, %error, "leadership not offered"),
        }
    }
}

/// Of these nodes, those that may lead: a draining or decommissioned one gives its leaders away.
fn able_to_lead(state: &ClusterState, nodes: BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    nodes.into_iter().filter(|node| state.node_state(*node) == NodeState::Active).collect()
}
