//! Preferred leaders, evened out by the CPU that their shards take.
//!
//! ```text
//! n1 ███████ s3 s5   n2 ██ s4   n3 ██ s6        s5 goes from n1 to n2: n2 then has less than n1 had
//! ```
//!
//! A shard weighs its CPU and what leading costs at all. It starts when a node is far above the mean, and ends when none is
//! much above it; a shard goes only where the taker has clearly less afterwards than the giver had before. So the sum of
//! squares falls with every step, and the steps come to an end. A single shard that is too busy for its node stays: to move it
//! only moves the trouble.

use super::LeaderChange;
use super::standing::Standing;
use crate::split::percent;
use base::ShardId;
use base::limits::{
    LOAD_QUIET_PERMILLE, REBALANCE_LEADER_PERMILLE, REBALANCE_LEADERS_START_PERCENT,
    REBALANCE_LEADERS_START_PERMILLE, REBALANCE_LEADERS_STOP_PERCENT,
};
use std::collections::BTreeMap;

/// What is known of the CPU that shards take.
pub(super) enum Cpu {
    /// None of those that are known is busy.
    Quiet,
    /// Some shard is busy, and of another one it is not known.
    Unknown,
    /// What leading each shard weighs, by its position.
    Of(Vec<u64>),
}

/// What leading shards weighs.
pub(super) fn cpu_of(standing: &Standing<'_>, known: &BTreeMap<ShardId, u32>) -> Cpu {
    if known.values().all(|cpu| *cpu < LOAD_QUIET_PERMILLE) {
        return Cpu::Quiet;
    }
    let weight = |cpu: &u32| REBALANCE_LEADER_PERMILLE + u64::from(*cpu);
    // What nobody can lead takes nothing, and nobody tells.
    let idle = |lacks_majority: bool| lacks_majority.then_some(REBALANCE_LEADER_PERMILLE);
    let of = standing
        .shards
        .iter()
        .map(|shard| known.get(&shard.info.id).map(weight).or_else(|| idle(shard.lacks_majority)));
    of.collect::<Option<Vec<u64>>>().map_or(Cpu::Unknown, Cpu::Of)
}

/// At most `limit` changes.
pub(super) fn even_out(
    standing: &mut Standing<'_>,
    cpu: &[u64],
    limit: usize,
) -> Vec<LeaderChange> {
    let mut changes = Vec::new();
    let mut loads: Vec<u64> = standing
        .nodes
        .iter()
        .map(|node| node.leads.iter().map(|position| cpu[*position]).sum())
        .collect();
    let part = || standing.nodes.iter().zip(&loads).filter(|(node, _)| node.takes_part);
    let Some(most) = part().map(|(_, load)| *load).max() else { return changes };
    let mean = part().map(|(_, load)| *load).sum::<u64>() / part().count().max(1) as u64;
    let above = |percent: u64| mean + mean * percent / 100;
    let start = above(REBALANCE_LEADERS_START_PERCENT).max(mean + REBALANCE_LEADERS_START_PERMILLE);
    if most <= start {
        return changes;
    }
    let stop = above(REBALANCE_LEADERS_STOP_PERCENT);
    while changes.len() < limit {
        let Some(step) = best_step(standing, cpu, &loads, stop) else { break };
        changes.push(take(standing, cpu, &mut loads, step));
    }
    changes
}

/// The shard, who gives it and who gets it, all as positions: the heaviest that the node which leads most can give away.
fn best_step(
    standing: &Standing<'_>,
    cpu: &[u64],
    loads: &[u64],
    stop: u64,
) -> Option<(usize, usize, usize)> {
    let nodes = &standing.nodes;
    let mut givers: Vec<usize> =
        (0..nodes.len()).filter(|at| nodes[*at].takes_part && loads[*at] > stop).collect();
    givers.sort_by_key(|at| (std::cmp::Reverse(loads[*at]), *at));
    givers.into_iter().find_map(|from| {
        let led = nodes[from].leads.iter().filter(|position| !standing.shards[**position].fixed);
        let steps = led.flat_map(|position| {
            let places = standing.shards[*position].places.iter();
            places.map(move |to| (*position, from, *to))
        });
        let fits = |(position, from, to): &(usize, usize, usize)| {
            let (cpu, between) = (cpu[*position], loads[*from].saturating_sub(loads[*to]));
            nodes[*to].receives
                && cpu * 10 <= between * 9
                && standing.may_lead(&standing.shards[*position], *to)
        };
        steps.filter(fits).max_by_key(|(position, _, to)| {
            let place = std::cmp::Reverse((*position, *to));
            (cpu[*position], std::cmp::Reverse(loads[*to]), place)
        })
    })
}

/// Takes a step as done.
fn take(
    standing: &mut Standing<'_>,
    cpu: &[u64],
    loads: &mut [u64],
    (position, from, to): (usize, usize, usize),
) -> LeaderChange {
    let (from_id, to_id) = (standing.nodes[from].id, standing.nodes[to].id);
    let shard = standing.shards[position].info.id;
    let cores = |load: u64| percent(u32::try_from(load).unwrap_or(u32::MAX - 5));
    let why = format!(
        "shards that prefer node {} take {} of a core, those of node {} take {}: {shard} goes from {from_id} to {to_id}",
        to_id.0,
        cores(loads[to]),
        from_id.0,
        cores(loads[from])
    );
    standing.nodes[from].leads.retain(|led| *led != position);
    standing.nodes[to].leads.push(position);
    standing.shards[position].fixed = true;
    loads[from] -= cpu[position];
    loads[to] += cpu[position];
    LeaderChange { shard, from: from_id, to: to_id, why }
}
