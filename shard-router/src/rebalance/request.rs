//! A move that somebody asks for: whether it can be, and what to do when it cannot.

use crate::cluster::{ClusterState, NodeState};
use crate::repair::Health;
use base::{NodeId, ReplicaId, ShardId};

/// Whether a shard's replica may move between two nodes now. The replica that goes.
///
/// # Errors
/// A sentence: why not, and what to do.
pub fn may_move(
    state: &ClusterState,
    health: &Health,
    shard: ShardId,
    from: NodeId,
    to: NodeId,
) -> Result<ReplicaId, String> {
    let list = |numbers: &mut dyn Iterator<Item = u64>| {
        numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
    };
    let Some(info) = state.map.shard(shard) else {
        let last = state.map.shards().last().map_or(0, |info| info.id.0);
        return Err(format!("there is no shard {}; the last one is {last}", shard.0));
    };
    for node in [from, to] {
        if !state.nodes.contains_key(&node) {
            let known = list(&mut state.nodes.keys().map(|node| node.0));
            return Err(format!("there is no node {}; there are {known}", node.0));
        }
    }
    let holders = list(&mut info.replicas.iter().map(|(_, node)| node.0));
    let Some((replica, _)) = info.replicas.iter().find(|(_, node)| *node == from) else {
        return Err(format!(
            "node {} holds no replica of shard {}; nodes {holders} do",
            from.0, shard.0
        ));
    };
    if info.is_on(to) {
        return Err(format!(
            "node {} holds a replica of shard {} already; choose a node other than {holders}",
            to.0, shard.0
        ));
    }
    let wanted = state.node_state(to);
    if wanted != NodeState::Active {
        return Err(format!(
            "node {} is {} and gets no replicas; choose an active one",
            to.0,
            wanted.name()
        ));
    }
    if !health.alive.contains(&to) {
        return Err(format!("node {} does not answer; choose another one or start it", to.0));
    }
    if health.full.contains(&to) {
        return Err(format!(
            "the disk of node {} is full, or was until lately; choose another one, or make room and ask later",
            to.0
        ));
    }
    if health.sick.contains(&to) {
        return Err(format!(
            "the disk of node {} is not well; choose another one or mend it",
            to.0
        ));
    }
    let zone = state.nodes.get(&to).map_or("", |node| node.zone.as_str());
    let policy = state.placement.of(info.slots);
    if let Some((name, policy)) = policy.filter(|(_, policy)| !policy.allows(zone)) {
        return Err(format!(
            "placement policy '{name}' of shard {} ({}) allows no replica on node {}; choose another one or alter it",
            shard.0,
            policy.options_text(),
            to.0
        ));
    }
    if let Some(job) = state.jobs.get(&shard) {
        return Err(format!(
            "shard {} gets a replica on node {} just now, as {}; ask again when SHOW SHARDS says ok",
            shard.0,
            job.add.1.0,
            job.reason.name()
        ));
    }
    if let Some(why) = state.members_fixed(shard) {
        return Err(format!("shard {} {why}; ask again when SHOW SHARDS says ok", shard.0));
    }
    let stays = info.replicas.iter().filter(|(_, node)| *node != from);
    for (other, node) in stays {
        let broken = !health.alive.contains(node) || health.lost.contains(&(shard, *other));
        if broken {
            return Err(format!(
                "replica {} of shard {} on node {} does not work, and that is mended first; ask again when SHOW SHARDS \
                 says ok",
                other.0, shard.0, node.0
            ));
        }
    }
    Ok(*replica)
}
