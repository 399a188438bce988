//! Nodes whose disks are slow, full or hang: who they are, and leaders that move away from this one.
//!
//! A node tells how its disk does in its answer to `Status`. One that is not well is not wanted as a leader, as
//! long as there is another: the balancer gives it none, and it gives away those it has.

use crate::gossip::Gossip;
use crate::local_shards::LocalShards;
use crate::lock_handover::LockHandover;
use base::{NodeId, ShardId};
use parking_lot::Mutex;
use raft::DiskState;
use raft::host::Host;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Pause between two looks at this node's disk.
const PAUSE: Duration = Duration::from_secs(1);

/// How the nodes' disks do.
pub struct Disks {
    /// This node.
    node: NodeId,
    /// Knows this node's disk.
    host: Arc<Host>,
    /// What other nodes said last; those that are well are missing.
    others: Mutex<BTreeMap<NodeId, String>>,
}

impl Disks {
    /// Nothing is known of other nodes yet.
    pub fn new(node: NodeId, host: Arc<Host>) -> Disks {
        Disks { node, host, others: Mutex::default() }
    }

    /// A node has told how its disk does.
    pub fn heard(&self, node: NodeId, disk: &str) {
        let mut others = self.others.lock();
        match disk.is_empty() {
            true => others.remove(&node),
            false => others.insert(node, disk.to_string()),
        };
    }

    /// How a node's disk does, unless it is well.
    pub fn text(&self, node: NodeId) -> Option<String> {
        if node != self.node {
            return self.others.lock().get(&node).cloned();
        }
        let health = self.host.disk_health();
        (health.state != DiskState::Ok)
            .then(|| format!("{}: {}", health.state.word(), health.reason))
    }

    /// Whether a node's disk is full, as far as is known.
    pub fn is_full(&self, node: NodeId) -> bool {
        self.text(node).is_some_and(|text| text.starts_with(DiskState::Full.word()))
    }

    /// Those nodes that had better lead: whose disks are well, or all when none is.
    pub fn well(&self, alive: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let well: BTreeSet<NodeId> =
            alive.iter().copied().filter(|node| self.text(*node).is_none()).collect();
        if well.is_empty() { alive.clone() } else { well }
    }
}

/// Gives leaderships away while this node's disk is not well, until the node stops.
pub async fn shed_leaders(
    node: NodeId,
    disks: Arc<Disks>,
    local: Arc<LocalShards>,
    gossip: Arc<Gossip>,
    lock_handover: Arc<LockHandover>,
) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(why) = disks.text(node) else { continue };
        let wanted = gossip.well();
        if wanted.contains(&node) {
            continue; // Nobody is better off.
        }
        let led = local.all().into_iter().filter_map(|local| {
            local.group.serving_term()?;
            let voters = local.group.status().voters.into_iter().map(|(_, home)| home);
            Some((local.group.shard(), voters.collect()))
        });
        for (shard, to) in plan(led.collect(), &wanted) {
            let Some(replica) = local.get(shard) else { continue };
            match lock_handover.transfer_leader(&replica, to).await {
                Ok(()) => tracing::warn!(%shard, %to, disk = %why, "leadership given away"),
                // The target lags: the next look tries again.
                Err(error) => tracing::debug!(%shard, %to, %error, "leadership not given away"),
            }
        }
    }
}

/// Who shall lead which shard instead: a wanted voter each, the one that gets fewest.
fn plan(led: Vec<(ShardId, Vec<NodeId>)>, wanted: &BTreeSet<NodeId>) -> Vec<(ShardId, NodeId)> {
    let mut given: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut moves = Vec::new();
    for (shard, voters) in led {
        let candidates = voters.into_iter().filter(|voter| wanted.contains(voter));
        let fewest = candidates.min_by_key(|voter| (given.get(voter).copied(), *voter));
        if let Some(to) = fewest {
            *given.entry(to).or_default() += 1;
            moves.push((shard, to));
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_go_to_voters_that_are_well_and_are_shared_among_them() {
        let voters = |nodes: &[u64]| nodes.iter().copied().map(NodeId).collect::<Vec<_>>();
        let led = vec![
            (ShardId(1), voters(&[1, 2, 3])),
            (ShardId(2), voters(&[1, 2, 3])),
            (ShardId(3), voters(&[1, 2, 4])),
            (ShardId(4), voters(&[1, 4])),
        ];
        let moves = plan(led, &BTreeSet::from([NodeId(2), NodeId(3)]));
        let wanted = [(ShardId(1), NodeId(2)), (ShardId(2), NodeId(3)), (ShardId(3), NodeId(2))];
        assert_eq!(moves, wanted);
    }
}
