//! What administrators ask of evening out: pause, resume, how many moves at once, whether cold neighbours merge by themselves,
//! what happens next and why, and one move by hand.
//!
//! Asking only changes the cluster's records: the settings, or a job. The coordinator does the work, and whoever asked
//! may go away. Any node can say what happens next: the plan follows from what every node knows.

use crate::gossip::Gossip;
use crate::meta_store::{ChangeError, MetaStore};
use base::limits::REBALANCE_MOVES_MAX;
use base::{NodeId, ReplicaId, ShardId};
use shard_router::policy::PolicyMoves;
use shard_router::rebalance::{Rebalance, may_move};
use shard_router::repair::Health;
use shard_router::{ClusterState, Job, JobStep, Reason, RebalanceSettings};
use sql::ast::RebalanceAction;
use sql::instance::{RebalancePlanRow, RebalanceRow};

/// Changes how the cluster may even nodes out.
///
/// # Errors
/// A sentence: why it is refused and what to do instead.
pub async fn alter(
    meta: &MetaStore,
    gossip: &Gossip,
    action: RebalanceAction,
) -> Result<(), String> {
    let edit = |state: &mut ClusterState| {
        state.rebalance = next_settings(state.rebalance, action)?;
        Ok(())
    };
    adopt(gossip, meta.change(edit).await)
}

/// Begins to move a replica of a shard to another node.
///
/// # Errors
/// A sentence: why it is refused and what to do instead.
pub async fn move_replica(
    meta: &MetaStore,
    gossip: &Gossip,
    state: &ClusterState,
    health: &Health,
    (shard, from, to): (ShardId, NodeId, NodeId),
    now_unix_ms: u64,
) -> Result<(), String> {
    may_move(state, health, shard, from, to)?;
    let replica = meta.new_replica_id(state).await.map_err(|error| not_taken(&error))?;
    let edit = |state: &mut ClusterState| {
        let remove = may_move(state, health, shard, from, to)?;
        let job = Job {
            add: (replica, to),
            remove: Some(remove),
            reason: Reason::Request,
            step: JobStep::Adding,
            cancelled: false,
            started_unix_ms: now_unix_ms,
        };
        state.jobs.insert(shard, job);
        Ok(())
    };
    adopt(gossip, meta.change(edit).await)
}

/// The line of SHOW REBALANCE. Moves for placement policies count, too; they do not wait for repairs of other shards.
pub fn standing(state: &ClusterState, plan: &Rebalance, policies: &PolicyMoves) -> RebalanceRow {
    let under_way = state.jobs.values().filter(|job| !job.reason.repairs()).count();
    let leaders_left = plan.leaders.len() as u64;
    let for_policies = policies.start.len() as u64;
    let replicas_left = plan.replicas_left + for_policies;
    let done = under_way == 0 && replicas_left == 0 && leaders_left == 0;
    let (word, why) = match &plan.waits {
        _ if state.rebalance.paused => {
            ("paused", "nothing is begun until precinct rebalance resume".to_string())
        }
        Some(why) if for_policies == 0 => ("waiting", why.clone()),
        None if done => ("even", String::new()),
        Some(_) | None => ("moving", String::new()),
    };
    RebalanceRow {
        state: word.to_string(),
        moves_at_once: (state.rebalance.moves() * state.limit_units()) as u32,
        moves_under_way: under_way as u32,
        replicas_left,
        leaders_left,
        auto_merge: state.rebalance.auto_merge,
        why,
    }
}

/// The lines of SHOW REBALANCE PLAN: what is begun next, first for placement policies, then the shards that stay where they are
/// for now.
pub fn plan_rows(
    state: &ClusterState,
    plan: Rebalance,
    policies: PolicyMoves,
) -> Vec<RebalancePlanRow> {
    let home = |shard: ShardId, gone: Option<ReplicaId>| {
        let mut replicas = state.map.shard(shard)?.replicas.iter();
        replicas.find(|(replica, _)| Some(*replica) == gone).map(|(_, node)| *node)
    };
    let mut rows: Vec<RebalancePlanRow> = Vec::new();
    for new in policies.start {
        rows.push(RebalancePlanRow {
            what: "replica",
            shard: new.shard,
            from: home(new.shard, new.remove),
            to: Some(new.target),
            why: policies.why.get(&new.shard).cloned().unwrap_or_default(),
        });
    }
    // A shard that moves for its policy is not moved for evenness before that is done.
    let others = plan.moves.into_iter().filter(|next| !policies.why.contains_key(&next.shard));
    rows.extend(others.map(|next| RebalancePlanRow {
        what: "replica",
        shard: next.shard,
        from: Some(next.from),
        to: Some(next.to),
        why: next.why,
    }));
    rows.extend(plan.leaders.into_iter().map(|change| RebalancePlanRow {
        what: "leader",
        shard: change.shard,
        from: Some(change.from),
        to: Some(change.to),
        why: change.why,
    }));
    let mut held = plan.held;
    for (shard, why) in policies.unmet {
        let told = held.remove(&shard).map_or(String::new(), |told| format!("; {told}"));
        held.insert(shard, format!("{why}{told}"));
    }
    rows.extend(held.into_iter().map(|(shard, why)| {
        let job = state.jobs.get(&shard);
        let for_policy = job.filter(|job| job.reason == Reason::Placement);
        let reason = for_policy.map_or(String::new(), |job| format!("{}: ", job.reason.name()));
        RebalancePlanRow {
            what: if job.is_some() { "under way" } else { "held" },
            shard,
            from: job.and_then(|job| home(shard, job.remove)),
            to: job.map(|job| job.add.1),
            why: format!("{reason}{why}"),
        }
    }));
    rows
}

/// The settings that an action leads to.
fn next_settings(
    settings: RebalanceSettings,
    action: RebalanceAction,
) -> Result<RebalanceSettings, String> {
    match action {
        RebalanceAction::Pause => Ok(RebalanceSettings { paused: true, ..settings }),
        RebalanceAction::Resume => Ok(RebalanceSettings { paused: false, ..settings }),
        RebalanceAction::AutoMerge(auto_merge) => Ok(RebalanceSettings { auto_merge, ..settings }),
        RebalanceAction::Moves(moves) if (1..=REBALANCE_MOVES_MAX as u64).contains(&moves) => {
            Ok(RebalanceSettings { moves_at_once: moves as u32, ..settings })
        }
        RebalanceAction::Moves(0) => {
            Err("0 moves at once is none; to stop, pause: precinct rebalance pause".to_string())
        }
        RebalanceAction::Moves(moves) => {
            Err(format!("{moves} moves at once are too many; ask for 1 to {REBALANCE_MOVES_MAX}"))
        }
    }
}

/// Takes a change over.
fn adopt(gossip: &Gossip, changed: Result<ClusterState, ChangeError>) -> Result<(), String> {
    match changed {
        Ok(state) => {
            gossip.adopt(state);
            Ok(())
        }
        Err(ChangeError::Refused(why)) => Err(why),
        Err(error @ (ChangeError::Meta(_) | ChangeError::NotBegun)) => Err(not_taken(&error)),
    }
}

fn not_taken(error: &dyn std::fmt::Display) -> String {
    format!("the meta shard did not take it: {error}; ask again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shard_router::policy::policy_moves;
    use shard_router::rebalance::{Limits, rebalance};
    use shard_router::{NodeInfo, Policy};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn state() -> ClusterState {
        let founders: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let map = Arc::new(shard_router::initial(&founders, 8, 3).unwrap().map);
        let nodes = (1..=4).map(|id| (NodeId(id), NodeInfo::default())).collect();
        ClusterState {
            id: 4,
            version: 2,
            replication: 3,
            nodes,
            map,
            jobs: BTreeMap::new(),
            rebalance: RebalanceSettings::default(),
            splits: BTreeMap::new(),
            merges: BTreeMap::new(),
            origins: BTreeMap::new(),
            placement: shard_router::Placement::default(),
        }
    }

    fn health(alive: u64) -> Health {
        Health { alive: (1..=alive).map(NodeId).collect(), ..Health::default() }
    }

    fn plan(state: &ClusterState, alive: u64) -> Rebalance {
        rebalance(state, &health(alive), &BTreeMap::new(), Limits::of(state.rebalance))
    }

    fn for_policies(state: &ClusterState, alive: u64) -> PolicyMoves {
        policy_moves(state, &health(alive), Limits::of(state.rebalance))
    }

    fn line_of(state: &ClusterState, alive: u64) -> RebalanceRow {
        standing(state, &plan(state, alive), &for_policies(state, alive))
    }

    fn rows_of(state: &ClusterState, alive: u64) -> Vec<RebalancePlanRow> {
        plan_rows(state, plan(state, alive), for_policies(state, alive))
    }

    #[test]
    fn settings_change_one_by_one_and_rates_without_sense_are_refused() {
        use RebalanceAction::{AutoMerge, Moves, Pause, Resume};
        let paused = next_settings(RebalanceSettings::default(), Pause).unwrap();
        let expected = RebalanceSettings { paused: true, ..RebalanceSettings::default() };
        assert_eq!(paused, expected);
        let slow = next_settings(paused, Moves(1)).unwrap();
        assert_eq!(slow, RebalanceSettings { moves_at_once: 1, ..expected });
        let merging = next_settings(slow, AutoMerge(true)).unwrap();
        assert_eq!(merging, RebalanceSettings { auto_merge: true, ..slow });
        assert_eq!(next_settings(merging, AutoMerge(false)), Ok(slow));
        assert_eq!(next_settings(slow, Resume).unwrap().moves(), 1);
        assert!(next_settings(slow, Moves(0)).unwrap_err().contains("rebalance pause"));
        assert!(next_settings(slow, Moves(1000)).unwrap_err().contains("ask for 1 to 8"));
    }

    #[test]
    fn the_line_says_what_goes_on() {
        let mut state = state();
        let line = line_of(&state, 4);
        assert_eq!((line.state.as_str(), line.replicas_left), ("moving", 6));
        let line = line_of(&state, 3);
        assert_eq!((line.state.as_str(), line.replicas_left), ("even", 0), "n4 does not answer");
        let line = line_of(&state, 2);
        assert_eq!(line.state, "waiting");
        assert!(line.why.contains("node 3"), "{}", line.why);
        state.rebalance.paused = true;
        let line = line_of(&state, 4);
        assert_eq!((line.state.as_str(), line.replicas_left), ("paused", 6));
        assert!(!line.auto_merge, "off until somebody turns it on");
        state.rebalance.auto_merge = true;
        assert!(line_of(&state, 4).auto_merge);
    }

    #[test]
    fn the_plan_tells_what_is_under_way_and_what_comes() {
        let mut state = state();
        let first = rows_of(&state, 4);
        assert_eq!((first.len(), first[0].what, first[0].to), (1, "replica", Some(NodeId(4))));
        let moved = state.map.shard(first[0].shard).unwrap().clone();
        let (replica, home) = moved.replicas[1];
        let job = Job {
            add: (ReplicaId(77), NodeId(4)),
            remove: Some(replica),
            reason: Reason::Balance,
            step: JobStep::CatchingUp,
            cancelled: false,
            started_unix_ms: 0,
        };
        state.jobs.insert(moved.id, job);
        let then = rows_of(&state, 4);
        assert_eq!(then.len(), 1, "{then:?}");
        assert_eq!(
            (then[0].what, then[0].from, then[0].to),
            ("under way", Some(home), Some(NodeId(4)))
        );
        assert!(then[0].why.contains("the new replica catches up"), "{}", then[0].why);
    }

    /// `state` with all slots under a policy that has nothing against any node but node 1.
    fn under_policy() -> ClusterState {
        let mut state = state();
        for (node, info) in &mut state.nodes {
            info.zone = if node.0 == 1 { "rome/a".into() } else { format!("paris/{node}") };
        }
        let policy = Policy { regions: vec!["paris".into()], ..Policy::default() };
        state.placement.policies.insert("eu".into(), policy);
        state.placement.assign(base::SlotRange::ALL, Some("eu"));
        state
    }

    #[test]
    fn moves_for_policies_stand_in_the_plan_with_their_reason() {
        let state = under_policy();
        let rows = rows_of(&state, 4);
        let next = &rows[0];
        assert_eq!((next.what, next.from, next.to), ("replica", Some(NodeId(1)), Some(NodeId(4))));
        assert!(next.why.contains("policy 'eu' allows no replica on node 1"), "{}", next.why);
        let mut moved: Vec<ShardId> =
            rows.iter().filter(|row| row.what == "replica").map(|row| row.shard).collect();
        let all = moved.len();
        moved.sort();
        moved.dedup();
        assert_eq!(moved.len(), all, "none twice: {rows:?}");
        let waits = |row: &&RebalancePlanRow| row.what == "held" && row.why.contains("its turn");
        assert!(rows.iter().any(|row| waits(&row)), "those after it: {rows:?}");
        let line = line_of(&state, 4);
        assert_eq!(line.state, "moving");
        assert!(line.replicas_left >= 1);
    }

    #[test]
    fn what_moves_for_a_policy_says_so_and_what_cannot_is_held() {
        let mut state = under_policy();
        let first = rows_of(&state, 4).remove(0);
        let (replica, _) = state.map.shard(first.shard).unwrap().replicas[0];
        let job = Job {
            add: (ReplicaId(77), NodeId(4)),
            remove: Some(replica),
            reason: Reason::Placement,
            step: JobStep::CatchingUp,
            cancelled: false,
            started_unix_ms: 0,
        };
        state.jobs.insert(first.shard, job);
        let rows = rows_of(&state, 4);
        let row = rows.iter().find(|row| row.shard == first.shard).unwrap();
        assert_eq!((row.what, row.to), ("under way", Some(NodeId(4))));
        assert!(row.why.starts_with("its placement policy wants it there: "), "{}", row.why);
        // Without node 4 there is no place.
        state.jobs.clear();
        let rows = rows_of(&state, 3);
        assert!(!rows.is_empty() && rows.iter().all(|row| row.what != "replica"), "{rows:?}");
        assert!(rows.iter().any(|row| row.why.contains("the shard is kept as it is")), "{rows:?}");
    }
}
