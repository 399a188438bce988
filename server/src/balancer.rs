//! Keeps leaders spread: every few seconds each node gives away at most one leadership that the shard
//! map would rather see elsewhere. The plan is `shard_router::balance`; this is its hands.

use crate::cluster_client::ClusterClient;
use crate::disks::Disks;
use crate::local_shards::LocalShards;
use base::{NodeId, ShardId};
use shard_router::balance;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs until the node stops. `alive` tells which nodes answer now, `disks` which of them had better not lead.
pub async fn run(
    node: NodeId,
    client: Arc<ClusterClient>,
    local: Arc<LocalShards>,
    alive: Arc<parking_lot::Mutex<BTreeSet<NodeId>>>,
    disks: Arc<Disks>,
) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let map = client.map();
        let leaders: BTreeMap<ShardId, NodeId> = map
            .shards()
            .iter()
            .filter_map(|info| client.leader(info.id).map(|leader| (info.id, leader)))
            .collect();
        let alive_now = disks.well(&alive.lock());
        let moves = balance::leader_moves(&map, &leaders, &alive_now);
        let mine = moves.into_iter().find(|(shard, _)| leaders.get(shard) == Some(&node));
        let Some((shard, to)) = mine else { continue };
        let Some(replica) = local.get(shard) else { continue };
        match replica.group.transfer_leader(to).await {
            Ok(()) => tracing::info!(%shard, %to, "leadership offered"),
            // The target lags or the group is busy with a change: the next look tries again.
            Err(error) => tracing::debug!(%shard, %to, %error, "leadership not offered"),
        }
    }
}
