//! Preferred leaders, evened out by the order of replicas alone.
//!
//! A shard can go only to nodes that hold a replica of it, so the way from a node that leads many to one that
//! leads few may lead over others: n1 gives s3 to n2, and n2 gives s7 to n4. Each search takes the shortest such
//! way. What a search without a find has reached is not searched again.

use super::LeaderChange;
use super::standing::Standing;

/// A step of a way: the shard, who gives it, who gets it, all as positions.
type Step = (usize, usize, usize);

/// At most `limit` changes, unless one way alone is longer.
pub(super) fn even_out(standing: &mut Standing<'_>, limit: usize) -> Vec<LeaderChange> {
    let mut changes = Vec::new();
    let mut hopeless = vec![false; standing.nodes.len()];
    while changes.len() < limit {
        let Some(from) = busiest(standing, &hopeless) else { break };
        let Some(way) = search(standing, from, &mut hopeless) else { continue };
        if !changes.is_empty() && changes.len() + way.len() > limit {
            break;
        }
        changes.extend(way.into_iter().map(|step| take(standing, step)));
    }
    changes
}

/// Changes that bring shards to where their placement policies let them be led, at most `limit`.
pub(super) fn by_policy(standing: &mut Standing<'_>, limit: usize) -> Vec<LeaderChange> {
    let mut changes = Vec::new();
    if !standing.has_policies() {
        return changes;
    }
    for position in 0..standing.shards.len() {
        let shard = &standing.shards[position];
        let Some(from) = shard.places.first().copied().filter(|_| changes.len() < limit) else {
            continue;
        };
        if shard.fixed || standing.may_lead(shard, from) {
            continue;
        }
        let able = shard.places.iter().copied();
        let able = able.filter(|to| standing.nodes[*to].receives && standing.may_lead(shard, *to));
        let Some(to) = able.min_by_key(|to| (standing.nodes[*to].leading(), *to)) else { continue };
        let change = take(standing, (position, from, to));
        let why = format!(
            "its placement policy does not let node {} lead it: {} goes from {} to {}",
            change.from.0, change.shard, change.from, change.to
        );
        changes.push(LeaderChange { why, ..change });
    }
    changes
}

/// The node that leads most, if another one leads at least two less.
fn busiest(standing: &Standing<'_>, hopeless: &[bool]) -> Option<usize> {
    let least =
        standing.nodes.iter().filter(|node| node.receives).map(|node| node.leading()).min()?;
    let nodes = standing.nodes.iter().zip(hopeless).enumerate();
    nodes
        .filter(|(_, (node, hopeless))| {
            node.takes_part && !**hopeless && node.leading() >= least + 2
        })
        .max_by_key(|(place, (node, _))| (node.leading(), std::cmp::Reverse(*place)))
        .map(|(place, _)| place)
}

/// The shortest way from a node to one that leads at least two less, its last step first. Without one everything
/// that was reached is hopeless.
fn search(standing: &Standing<'_>, from: usize, hopeless: &mut [bool]) -> Option<Vec<Step>> {
    let most = standing.nodes[from].leading();
    let mut came: Vec<Option<Step>> = vec![None; standing.nodes.len()];
    let mut seen = hopeless.to_vec();
    seen[from] = true;
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(node) = reached.get(next).copied() {
        next += 1;
        for position in &standing.nodes[node].leads {
            let shard = &standing.shards[*position];
            for to in shard.places.iter().copied().filter(|_| !shard.fixed) {
                if seen[to] || !standing.nodes[to].receives || !standing.may_lead(shard, to) {
                    continue;
                }
                seen[to] = true;
                came[to] = Some((*position, node, to));
                if standing.nodes[to].leading() + 2 <= most {
                    let back = |step: &Step| came[step.1];
                    return Some(std::iter::successors(came[to], back).collect());
                }
                reached.push(to);
            }
        }
    }
    for node in reached {
        hopeless[node] = true;
    }
    None
}

/// Takes a step as done.
fn take(standing: &mut Standing<'_>, (position, from, to): Step) -> LeaderChange {
    let (source, target) = (&standing.nodes[from], &standing.nodes[to]);
    let (shard, from_id, to_id) = (standing.shards[position].info.id, source.id, target.id);
    let why = format!(
        "node {} is the preferred leader of {} shards, node {} of {}: {shard} goes from {from_id} to {to_id}",
        to_id.0,
        target.leading(),
        from_id.0,
        source.leading()
    );
    standing.nodes[from].leads.retain(|led| *led != position);
    standing.nodes[to].leads.push(position);
    standing.shards[position].fixed = true;
    LeaderChange { shard, from: from_id, to: to_id, why }
}
