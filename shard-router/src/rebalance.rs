//! What evens nodes out: cluster state and health in, a few moves of replicas and of preferred leaders out.
//!
//! ```text
//! replicas    n1 ███████  n2 ███████  n3 ██████   n4 ·         s3 moves from n1 to n4, …
//!             n1 █████    n2 █████    n3 █████    n4 █████
//! leaders     n1 ███      n2 ██       n3 ██       n4 ·         s3 prefers n4 as its leader
//! ```
//!
//! A step takes a replica from a node that holds more than its share to one that holds less, and only where they
//! differ by at least two replicas. What is under way counts as done, and a shard that is being split counts as the two that
//! it becomes. So the steps come to an end, and there are no more of them than replicas that must change their place. A leader
//! is moved by the order of the shard's replicas alone; `balance` does the rest.
//!
//! By bytes: where shards differ by more than a part of their mean, a replica weighs its bytes and, beside them, a little for what
//! a group costs (`weights`). It starts when a node is farther from the mean than `REBALANCE_START_PERCENT` and goes on while
//! moves are under way until all are as near as `REBALANCE_STOP_PERCENT`; a replica moves only where the giver still holds as
//! much as the taker afterwards. So a shard that grows by a little sends nothing to and fro. Where no such move is left and a
//! node is still too far off, a detour is taken: over nodes that are near the mean, or a large replica against a smaller one
//! (`standing::detour`). Every step, a change of places taken as one, makes the sum of the squares of what nodes hold less.
//!
//! By load: where a shard is busy, leaders are evened out by the CPU that they take instead of by their number, again between
//! two bounds. While the load of some shard is not known, as after a change of its leader, nobody is moved for that.
//!
//! Invariants:
//! 1. Nothing moves while something is broken: what cannot run or does not answer is replaced first (`repair`). Only for a
//!    shard whose placement policy leaves no node for a successor nobody waits.
//! 2. Replicas come only to active nodes that answer, whose disks are well, and that have none of the shard.
//! 3. A shard with a change of its members under way stays as it is, and so does one that is being split.
//! 4. Of equals a follower goes before the preferred leader, then the shard whose members have changed least; the
//!    meta shard goes last.
//! 5. A placement policy is kept: nothing moves or is led where it does not allow it. Leaders go where policies want them
//!    before they are evened out. What policies keep from being even counts as even.
//! 6. A move brings no two replicas of a shard closer together than they are: not into one zone, not into one city.
//!
//! Not here: when it is looked at and who carries it out (`server`, its coordinator).

mod by_load;
mod leaders;
mod request;
mod standing;
mod weights;

pub use request::may_move;
pub use weights::bytes_of;

use crate::cluster::{ClusterState, RebalanceSettings};
use crate::repair::Health;
use base::limits::{REBALANCE_LEADERS_MAX, REBALANCE_MOVES_PER_NODE};
use base::{NodeId, ReplicaId, ShardId};
use by_load::Cpu;
use standing::Standing;
use std::collections::BTreeMap;

/// How much may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Moves over the whole cluster.
    pub moves: usize,
    /// Moves that a node takes part in, as the giving or the receiving one; when replicas change places, two.
    pub moves_per_node: usize,
    /// Shards that get another preferred leader.
    pub leaders: usize,
}

impl Limits {
    /// What these settings allow.
    pub fn of(settings: RebalanceSettings) -> Limits {
        Limits {
            moves: settings.moves(),
            moves_per_node: REBALANCE_MOVES_PER_NODE,
            leaders: REBALANCE_LEADERS_MAX,
        }
    }

    /// What a cluster's settings and its size allow: a large one moves more at once.
    pub fn in_cluster(state: &ClusterState) -> Limits {
        let of = Limits::of(state.rebalance);
        Limits { moves: of.moves * state.limit_units(), ..of }
    }
}

/// A replica that shall move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaMove {
    /// The shard.
    pub shard: ShardId,
    /// The replica that goes.
    pub replica: ReplicaId,
    /// Its node.
    pub from: NodeId,
    /// The node that gets a replica instead.
    pub to: NodeId,
    /// The figures, in a sentence.
    pub why: String,
}

/// A shard that shall have another preferred leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// The shard.
    pub shard: ShardId,
    /// The preferred leader now.
    pub from: NodeId,
    /// The next one; it holds a replica.
    pub to: NodeId,
    /// The figures, in a sentence.
    pub why: String,
}

/// What a node holds, with everything that is under way done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Replicas.
    pub replicas: u64,
    /// Their bytes, as far as the sizes of shards are known.
    pub bytes: u64,
    /// Shards that prefer it as their leader.
    pub leaders: u64,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebalance {
    /// Moves to begin.
    pub moves: Vec<ReplicaMove>,
    /// Preferred leaders to change.
    pub leaders: Vec<LeaderChange>,
    /// Shards that stay where they are for now, and why.
    pub held: BTreeMap<ShardId, String>,
    /// Why nothing is begun at all.
    pub waits: Option<String>,
    /// Replicas that must move before nodes are even, beside those under way.
    pub replicas_left: u64,
    /// The nodes that take part.
    pub shares: BTreeMap<NodeId, Share>,
}

/// What is known of shards.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Their sizes, bytes. Without any each replica weighs the same, and a shard without a size weighs as much as the others
    /// on average.
    pub bytes: &'a BTreeMap<ShardId, u64>,
    /// CPU that each takes at its leader, thousandths of a core.
    pub cpu: &'a BTreeMap<ShardId, u32>,
}

/// What evens nodes out now, by the sizes of shards and the number of leaders.
pub fn rebalance(
    state: &ClusterState,
    health: &Health,
    bytes: &BTreeMap<ShardId, u64>,
    limits: Limits,
) -> Rebalance {
    rebalance_by_load(state, health, Weights { bytes, cpu: &BTreeMap::new() }, limits)
}

/// What evens nodes out now, by the sizes and loads of shards.
pub fn rebalance_by_load(
    state: &ClusterState,
    health: &Health,
    weights: Weights<'_>,
    limits: Limits,
) -> Rebalance {
    let mut standing = Standing::new(state, health, weights.bytes);
    let mut plan = Rebalance {
        held: std::mem::take(&mut standing.held),
        waits: standing.waits.take(),
        replicas_left: standing.replicas_left(),
        shares: standing.shares(),
        ..Rebalance::default()
    };
    if plan.waits.is_some() {
        return plan;
    }
    while standing.under_way < limits.moves {
        let more = limits.moves - standing.under_way;
        let next = standing.next_moves(limits.moves_per_node, more);
        if next.is_empty() {
            break;
        }
        plan.moves.extend(next);
    }
    if plan.moves.is_empty() && standing.under_way == 0 && plan.held.is_empty() {
        // By weight nodes may differ, and yet no replica is small enough to make it better; nor may a policy let one go.
        plan.replicas_left = match standing.by_weight || standing.has_policies() {
            true => 0,
            false => plan.replicas_left,
        };
    }
    plan.leaders = leaders::by_policy(&mut standing, limits.leaders);
    let limit = limits.leaders.saturating_sub(plan.leaders.len());
    if limit > 0 {
        plan.leaders.extend(match by_load::cpu_of(&standing, weights.cpu) {
            Cpu::Quiet => leaders::even_out(&mut standing, limit),
            Cpu::Unknown => Vec::new(),
            Cpu::Of(cpu) => by_load::even_out(&mut standing, &cpu, limit),
        });
    }
    plan
}

#[cfg(test)]
mod tests;
