//! Comparing the replicas of every shard: each shard's leader does it, wherever it is.
//!
//! A shard whose leader cannot be found or falls silent is *unknown*, never equal.

use crate::cluster_client::ClusterClient;
use crate::gossip::Gossip;
use crate::local_shards::LocalShards;
use crate::peers::Peers;
use base::{NodeId, ShardId, limits};
use futures::StreamExt;
use proto::node as pb;
use raft::compare::{Comparison, Finding};
use raft::replica_group::ReplicaGroup;
use sql::instance::ComparisonRow;
use std::sync::Arc;

/// Shards compared at once.
const SHARDS_AT_ONCE: usize = 4;
/// How often a shard's leader is looked for: long enough for a leader to be elected.
const ATTEMPTS_MAX: usize = 100;

/// Compares the replicas of one shard that this node leads.
///
/// # Errors
/// A sentence: why not.
pub async fn compare_led_here(group: &Arc<dyn ReplicaGroup>) -> Result<pb::Compared, String> {
    let comparison = group.compare().await.map_err(|error| error.to_string())?;
    Ok(pb::Compared {
        index: comparison.index,
        replicas: replicas_of(&comparison),
        verdict: comparison.verdict.to_string(),
    })
}

/// What each replica holds, for people.
fn replicas_of(comparison: &Comparison) -> String {
    let one = |replica: &raft::compare::Compared| {
        let found = match &replica.finding {
            Finding::Holds(digest) => format!("{:032x} ({} keys)", digest.hash, digest.keys),
            Finding::Unknown(why) => format!("unknown ({why})"),
        };
        format!("replica {} on node {}: {found}", replica.replica.0, replica.node.0)
    };
    comparison.replicas.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Who asks, and through what.
#[derive(Clone)]
pub struct Comparer {
    /// This node.
    pub node: NodeId,
    /// Knows shards and leaders.
    pub client: Arc<ClusterClient>,
    /// Replicas of this node.
    pub local: Arc<LocalShards>,
    /// Ways to the other nodes.
    pub peers: Arc<Peers>,
    /// Who says to lead what.
    pub gossip: Arc<Gossip>,
}

impl Comparer {
    /// Compares the replicas of every shard; one row per shard, in order.
    pub async fn compare_all(&self) -> Vec<ComparisonRow> {
        let shards: Vec<ShardId> = self.client.map().shards().iter().map(|info| info.id).collect();
        let rows = shards.into_iter().map(|shard| async move {
            match self.compare(shard).await {
                Ok(found) => ComparisonRow {
                    shard,
                    index: Some(found.index),
                    replicas: found.replicas,
                    verdict: found.verdict,
                },
                Err(why) => ComparisonRow {
                    shard,
                    index: None,
                    replicas: String::new(),
                    verdict: format!("unknown: {why}"),
                },
            }
        });
        futures::stream::iter(rows).buffered(SHARDS_AT_ONCE).collect().await
    }

    async fn compare(&self, shard: ShardId) -> Result<pb::Compared, String> {
        let mut why = String::new();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                tokio::time::sleep(limits::ROUTE_RETRY_PAUSE).await;
            }
            let told = || self.gossip.leader_of(shard).map(|led| led.node);
            let Some(leader) = self.client.leader(shard).or_else(told) else {
                why = "the shard has no leader that is known here".to_string();
                continue;
            };
            let outcome = match self.local.get(shard) {
                Some(local) if leader == self.node => compare_led_here(&local.group).await,
                _ => self.ask(leader, shard).await,
            };
            match outcome {
                Ok(found) => return Ok(found),
                Err(error) => why = format!("node {}: {error}", leader.0),
            }
        }
        Err(why)
    }

    async fn ask(&self, leader: NodeId, shard: ShardId) -> Result<pb::Compared, String> {
        let request = pb::call::Request::Compare(pb::CompareRequest { shard: shard.0 });
        match self.peers.call_any_way(leader, request, limits::COMPARE_TIME_MAX).await {
            Ok(pb::answer::Response::Compared(found)) => Ok(found),
            Ok(pb::answer::Response::Failure(failure)) => Err(failure.what),
            Ok(_) => Err("it answers something else".to_string()),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}
