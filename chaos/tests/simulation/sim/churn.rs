//! The leader's care for its members: a replica that was lost is replaced by the node's new one.
//!
//! ```text
//! new replica ──[its time has come]──> learner ──[caught up]──> voter; the old one: learner ──> removed
//! ```
//!
//! Every step is decided anew from what the leader sees, so that any node may go on where another one lost
//! leadership. The new replica must have heard nothing before it is made a learner.

use super::clock::world_time;
use super::invariant::former_replica_is_silent;
use super::world::World;
use base::{NodeId, ReplicaId};
use raft::replica_group::{GroupProgress, MemberRole, MembershipError, ReplicaGroup};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Pause between two steps.
const PAUSE: Duration = Duration::from_millis(250);

/// Runs until the node's power is cut.
pub async fn run(node: u64, world: Arc<World>, group: Arc<dyn ReplicaGroup>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Some(progress) = group.progress()
            && let Some(step) = next_step(&world, &progress)
        {
            let outcome = take(&group, &progress, &step).await;
            world.event(&format!("{:?} node {node} {step:?}: {outcome:?}", world_time()));
            if outcome.is_ok() {
                world.count("fault: membership changed", 1);
            }
        }
    }
}

/// A change of members.
#[derive(Debug)]
enum Step {
    /// A new replica.
    Add(ReplicaId, NodeId),
    /// These have a vote.
    Voters(BTreeSet<ReplicaId>),
    /// One that has no vote any more.
    Remove(ReplicaId),
}

/// What is to be done; nothing when every node has its voter.
fn next_step(world: &World, progress: &GroupProgress) -> Option<Step> {
    let wanted: BTreeSet<ReplicaId> =
        world.nodes().into_iter().map(|node| world.replica(node)).collect();
    if !progress.settled {
        let joint = progress
            .members
            .iter()
            .any(|member| matches!(member.role, MemberRole::Joining | MemberRole::Leaving));
        return joint.then(|| Step::Voters(progress.voters()));
    }
    let known = |replica| progress.members.iter().any(|member| member.replica == replica);
    for node in world.nodes() {
        let replica = world.replica(node);
        if known(replica) {
            continue;
        }
        let welcome_at = world.observed.lock().welcome_at.get(&node).copied();
        if welcome_at.is_some_and(|welcome_at| world_time() < welcome_at) {
            return None;
        }
        former_replica_is_silent::before_joining(world, node, replica);
        return Some(Step::Add(replica, NodeId(node)));
    }
    if progress.voters() != wanted {
        return Some(Step::Voters(wanted));
    }
    let leftover = progress.members.iter().find(|member| !wanted.contains(&member.replica));
    if let Some(leftover) = leftover {
        return Some(Step::Remove(leftover.replica));
    }
    let mut observed = world.observed.lock();
    // One that was found rotten a moment ago is not replaced yet.
    let replaced: Vec<u64> = observed.welcome_at.keys().copied().collect();
    for node in replaced {
        observed.welcome_at.remove(&node);
        observed.lost.remove(&node);
    }
    None
}

async fn take(
    group: &Arc<dyn ReplicaGroup>,
    progress: &GroupProgress,
    step: &Step,
) -> Result<(), MembershipError> {
    match step {
        Step::Add(replica, node) => group.add_learner(progress.version, *replica, *node).await,
        Step::Voters(voters) => group.change_voters(progress.version, voters.clone()).await,
        Step::Remove(replica) => group.remove_member(progress.version, *replica).await,
    }
}
