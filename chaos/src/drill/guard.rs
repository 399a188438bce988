//! Guards: what a drill must not do, decided before anything is broken.

use super::scenario::{Aim, Scenario, Select};
use crate::fault::error::Error;
use crate::fault::kind::Kind;
use crate::fault::view::{META_SHARD, View};
use std::fs::File;
use std::path::Path;

/// The nodes that a drill is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// Those of the scope.
    pub scope: Vec<u64>,
    /// All others.
    pub others: Vec<u64>,
}

/// Chooses the targets. `shard` is the one that the probe's first lane writes to, `gateway` the node that
/// the lane is connected to at first.
///
/// # Errors
/// `Refused` when the cluster does not say who leads.
pub fn targets(
    scenario: &Scenario,
    view: &View,
    shard: u64,
    gateway: u64,
) -> Result<Targets, Error> {
    let all: Vec<u64> = (1..=scenario.scope.nodes).collect();
    let leader = |shard: u64| {
        view.leader(shard)
            .ok_or_else(|| Error::Refused(format!("shard {shard} has no leader before the drill")))
    };
    let scope = match scenario.scope.select {
        Select::Leader => vec![leader(shard)?],
        Select::Follower => {
            let (leader, meta) = (leader(shard)?, leader(META_SHARD)?);
            let follower = all.iter().copied().filter(|node| *node != leader);
            // Best one that leads neither.
            let best = follower.min_by_key(|node| (*node == meta, *node == gateway));
            best.into_iter().collect()
        }
        Select::MetaLeader => vec![leader(META_SHARD)?],
        Select::MetaReplicas => {
            view.shards.get(&META_SHARD).map(|shard| shard.replicas.clone()).unwrap_or_default()
        }
        Select::Gateway => vec![gateway],
        Select::All => all.clone(),
    };
    let others = all.into_iter().filter(|node| !scope.contains(node)).collect();
    Ok(Targets { scope, others })
}

/// Looks at every step before the first. Returns what was decided, line by line.
///
/// # Errors
/// `Refused` when a step hits more nodes or shards than the scenario admits; `Unavailable` when a fault does
/// not work on this machine.
pub fn check(scenario: &Scenario, targets: &Targets, view: &View) -> Result<Vec<String>, Error> {
    let mut decided = Vec::new();
    for kind in scenario.kinds() {
        kind.probe()?;
        decided.push(format!("{} works on this machine", kind.name()));
    }
    for step in &scenario.step {
        let mut hit = nodes_of(step.target, targets);
        // Steps that overlap hit together.
        for other in &scenario.step {
            let apart = other.at >= step.at + step.length || step.at >= other.at + other.length;
            if !apart {
                hit.extend(nodes_of(other.target, targets));
            }
        }
        hit.sort_unstable();
        hit.dedup();
        let limit = scenario.scope.max_nodes;
        if hit.len() as u64 > limit {
            return Err(Error::Refused(format!(
                "{} at {:?} hits {} nodes, the scenario admits {limit} (scope.max_nodes)",
                step.fault.name(),
                step.at,
                hit.len()
            )));
        }
        let lost = if takes_votes(step.fault) { view.without_quorum(&hit) } else { Vec::new() };
        let limit = scenario.scope.max_shards_without_quorum;
        if lost.len() as u64 > limit {
            return Err(Error::Refused(format!(
                "{} on nodes {hit:?} leaves {} shards without a quorum, the scenario admits {limit} \
                 (scope.max_shards_without_quorum)",
                step.fault.name(),
                lost.len()
            )));
        }
        decided.push(format!(
            "{} hits nodes {hit:?}; {} of {} shards lose their quorum, {limit} admitted",
            step.fault.name(),
            lost.len(),
            view.shards.len()
        ));
    }
    Ok(decided)
}

/// The nodes that a step hits.
pub fn nodes_of(aim: Aim, targets: &Targets) -> Vec<u64> {
    match aim {
        Aim::Scope => targets.scope.clone(),
        Aim::Others => targets.others.clone(),
    }
}

/// Whether a node that it hits may be missing from quorums.
fn takes_votes(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Loss
            | Kind::Delay
            | Kind::DiskSlow
            | Kind::ClockJump
            | Kind::LeaderMove
            | Kind::ShardChange
    )
}

/// The right to run a drill on this machine; freed when dropped, also by a crash.
pub struct Turn {
    _file: File,
}

/// Takes the turn.
///
/// # Errors
/// `Refused` while another drill runs.
pub fn take_turn(journals: &Path) -> Result<Turn, Error> {
    let path = journals.join("drill.lock");
    let what = |error| Error::system(format!("lock {}", path.display()), error);
    std::fs::create_dir_all(journals).map_err(what)?;
    let file = File::create(&path).map_err(what)?;
    match file.try_lock() {
        Ok(()) => Ok(Turn { _file: file }),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Refused(
            "another drill runs on this machine; wait for it, or end it with 'precinct drill abort'".into(),
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(what(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::view::ShardView;
    use std::collections::BTreeMap;

    fn view() -> View {
        let shard = |leader| ShardView {
            leader: Some(leader),
            term: 1,
            replicas: vec![1, 2, 3],
            state: "ok".into(),
        };
        View { shards: BTreeMap::from([(0, shard(1)), (1, shard(2)), (2, shard(3))]) }
    }

    fn scenario(select: &str, scope: &str, fault: &str) -> Scenario {
        let text = format!(
            "[meta]\nid='D1'\nname='x'\ntitle='x'\ntitle_zh='x'\nwhy='x'\n[scope]\nselect='{select}'\n{scope}\n\
             [[step]]\nat='0s'\nfault='{fault}'\nfor='1s'\n[expect]\nrto='1s'"
        );
        Scenario::parse(&text, "x").unwrap()
    }

    #[test]
    fn a_drill_never_hits_more_than_it_says() {
        let all = scenario("all", "", "process.kill");
        let hit = targets(&all, &view(), 1, 1).unwrap();
        let refused = check(&all, &hit, &view()).unwrap_err().to_string();
        assert!(refused.contains("hits 3 nodes"), "{refused}");
        let all = scenario("all", "max_nodes = 3", "process.kill");
        let refused = check(&all, &hit, &view()).unwrap_err().to_string();
        assert!(refused.contains("3 shards without a quorum"), "{refused}");
        let all = scenario("all", "max_nodes = 3\nmax_shards_without_quorum = 3", "process.kill");
        assert!(check(&all, &hit, &view()).is_ok());
    }

    #[test]
    fn the_targets_are_who_they_are_said_to_be() {
        let of = |select: &str| targets(&scenario(select, "", "process.kill"), &view(), 1, 3);
        assert_eq!(of("leader").unwrap().scope, [2]);
        assert_eq!(of("follower").unwrap().scope, [3]);
        assert_eq!(of("meta_leader").unwrap().scope, [1]);
        assert_eq!(of("meta_replicas").unwrap().scope, [1, 2, 3]);
        assert_eq!(of("gateway").unwrap().scope, [3]);
        assert_eq!(of("leader").unwrap().others, [1, 3]);
    }

    #[test]
    fn two_drills_never_run_at_once() {
        let scratch = tempfile::tempdir().unwrap();
        let turn = take_turn(scratch.path()).unwrap();
        assert!(take_turn(scratch.path()).is_err());
        drop(turn);
        assert!(take_turn(scratch.path()).is_ok());
    }
}
