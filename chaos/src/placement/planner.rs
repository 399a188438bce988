//! What the simulated coordinator asks, and who answers: `shard-router`, unless a test puts something worse in its place.

use base::{NodeId, ShardId};
use shard_router::policy::{PolicyMoves, policy_moves};
use shard_router::rebalance::{Limits, Rebalance, rebalance};
use shard_router::repair::{Health, Repairs, repairs};
use shard_router::split::{ShardSize, Splits, Wanted, splits};
use shard_router::{ClusterState, leader_moves};
use std::collections::{BTreeMap, BTreeSet};

/// Plans. Each method is the product's own unless it is written anew.
pub trait Planner {
    /// Which shards need another member.
    fn repairs(&self, state: &ClusterState, health: &Health) -> Repairs {
        repairs(state, health)
    }

    /// What brings replicas to where placement policies want them.
    fn policy_moves(&self, state: &ClusterState, health: &Health, limits: Limits) -> PolicyMoves {
        policy_moves(state, health, limits)
    }

    /// What evens nodes out.
    fn rebalance(
        &self,
        state: &ClusterState,
        health: &Health,
        bytes: &BTreeMap<ShardId, u64>,
        limits: Limits,
    ) -> Rebalance {
        rebalance(state, health, bytes, limits)
    }

    /// Which leaders go where.
    fn leader_moves(
        &self,
        state: &ClusterState,
        leaders: &BTreeMap<ShardId, NodeId>,
        able: &BTreeSet<NodeId>,
    ) -> Vec<(ShardId, NodeId)> {
        leader_moves(state, leaders, able)
    }

    /// Which shards become two.
    fn splits(
        &self,
        state: &ClusterState,
        health: &Health,
        sizes: &BTreeMap<ShardId, ShardSize>,
        wanted: Wanted,
    ) -> Splits {
        splits(state, health, sizes, wanted)
    }
}

/// The product's plans.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealPlanner;

impl Planner for RealPlanner {}
