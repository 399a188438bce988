//! Which shards need another member, and where it goes: cluster state and health in, jobs out.
//!
//! A replica must be replaced when it cannot run, when its node has been silent for too long, or when its
//! node is being decommissioned, in this order. Its successor goes to the active node that answers, has
//! no replica of the shard and holds fewest, of those in other zones than the replicas that stay (`placement`), as far as there
//! are any; to one whose disk is not well only when there is no other, and to one whose disk has been full for long not at all
//! (`fitness`): what is on its way there is taken back. A replica that cannot run on a node that is otherwise sound is rebuilt
//! there, under a new id, when no other node is free. A placement policy narrows the nodes that come into question (`policy`);
//! when it leaves none, the shard stays as it is.
//!
//! Invariants:
//! 1. One job per shard; at most `JOBS_MAX` repairs for each `CHANGES_NODES` nodes, and `JOBS_PER_NODE_MAX` jobs towards
//!    one node.
//! 2. What cannot be done now is named with its reason. A shard that is being split waits.
//! 3. A look costs about one look at each shard: nodes are kept in the order in which they are chosen.

use crate::ShardInfo;
use crate::cluster::{ClusterState, Job, JobStep, NodeState, Reason};
use crate::placement::{Zone, Zones};
use crate::policy::{Fit, Fits};
use base::limits::TARGET_BACK_OFF;
use base::{NodeId, ReplicaId, ShardId};
use std::collections::{BTreeMap, BTreeSet};

/// Repairs under way at once, for each `CHANGES_NODES` nodes.
pub const JOBS_MAX: usize = 8;
/// Jobs that bring replicas to one node at once.
pub const JOBS_PER_NODE_MAX: usize = 2;

/// How nodes and replicas are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Nodes that answer now.
    pub alive: BTreeSet<NodeId>,
    /// Nodes silent for longer than the cluster waits for one to come back.
    pub silent: BTreeSet<NodeId>,
    /// Replicas that cannot run, as their nodes report.
    pub lost: BTreeSet<(ShardId, ReplicaId)>,
    /// Nodes whose disks are not well: they get nothing that they do not need.
    pub sick: BTreeSet<NodeId>,
    /// Nodes whose disks have been full for too long, or were until lately: they get nothing at all (`fitness`).
    pub full: BTreeSet<NodeId>,
    /// Shards whose changes of members have been under way for so long that others do not wait for them.
    pub overdue: BTreeSet<ShardId>,
}

/// A job to begin; its replica id is still to be allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// The shard.
    pub shard: ShardId,
    /// Where the new replica goes.
    pub target: NodeId,
    /// The replica that goes.
    pub remove: Option<ReplicaId>,
    /// Why.
    pub reason: Reason,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Jobs to begin.
    pub start: Vec<NewJob>,
    /// Jobs to take back.
    pub cancel: Vec<ShardId>,
    /// Decommissioned nodes that hold nothing any more.
    pub emptied: Vec<NodeId>,
    /// Shards that need a change that cannot begin, and why.
    pub blocked: BTreeMap<ShardId, String>,
}

/// What the cluster needs now.
pub fn repairs(state: &ClusterState, health: &Health) -> Repairs {
    let mut repairs = Repairs::default();
    let mut load = Load::new(state, health, true);
    let fits = Fits::new(state);
    for (shard, job) in &state.jobs {
        if !job.cancelled && is_futile(state, health, &fits, *shard, job) {
            repairs.cancel.push(*shard);
        }
    }
    for info in state.map.shards() {
        if state.jobs.contains_key(&info.id) {
            continue;
        }
        let fit = fits.of(state, info);
        let Some((remove, reason)) = need(state, health, fit, info) else { continue };
        if let Some(why) = state.members_fixed(info.id) {
            repairs.blocked.insert(info.id, why);
            continue;
        }
        match place(health, fit, info, remove, reason, &mut load) {
            Ok(target) => {
                repairs.start.push(NewJob { shard: info.id, target, remove, reason });
            }
            Err(why) => {
                repairs.blocked.insert(info.id, why);
            }
        }
    }
    let going = state.nodes.iter().filter(|(_, info)| info.state == NodeState::Decommissioning);
    repairs.emptied = going.map(|(node, _)| *node).filter(|node| load.is_empty(*node)).collect();
    repairs
}

/// Where each replica of a node would go, or why it cannot: what decommissioning the node would do.
pub fn rehearse(
    state: &ClusterState,
    health: &Health,
    node: NodeId,
) -> BTreeMap<ShardId, Result<NodeId, String>> {
    let mut without = state.clone();
    without.jobs.clear();
    if let Some(info) = without.nodes.get_mut(&node) {
        info.state = NodeState::Decommissioning;
    }
    let mut load = Load::new(&without, health, false);
    let fits = Fits::new(&without);
    let shards = without.map.shards().iter().filter(|info| info.is_on(node));
    shards
        .map(|info| {
            let replica = info.replicas.iter().find(|(_, at)| *at == node).map(|(id, _)| *id);
            let reason = Reason::Decommission;
            let fit = fits.of(&without, info);
            (info.id, place(health, fit, info, replica, reason, &mut load))
        })
        .collect()
}

/// Whether a shard has no majority, and has been without one for long: its members cannot change, whoever waits.
pub(crate) fn lacks_majority(health: &Health, info: &ShardInfo) -> bool {
    let gone = info.replicas.iter().filter(|(replica, node)| {
        health.silent.contains(node) || health.lost.contains(&(info.id, *replica))
    });
    gone.count() * 2 >= info.replicas.len()
}

/// The replica of a shard that must go first, and why; or that one is missing.
pub(crate) fn need(
    state: &ClusterState,
    health: &Health,
    fit: Option<&Fit>,
    info: &ShardInfo,
) -> Option<(Option<ReplicaId>, Reason)> {
    let reason = |replica: ReplicaId, node: NodeId| match state.node_state(node) {
        _ if health.lost.contains(&(info.id, replica)) => Some(Reason::Lost),
        _ if health.silent.contains(&node) => Some(Reason::Silent),
        NodeState::Decommissioning | NodeState::Left => Some(Reason::Decommission),
        NodeState::Active | NodeState::Draining => None,
    };
    let rank = |reason: &Reason| match reason {
        Reason::Lost => 0,
        Reason::Silent => 1,
        Reason::Decommission | Reason::Missing => 2,
        Reason::Balance | Reason::Request | Reason::Placement => 3,
    };
    let worst = info
        .replicas
        .iter()
        .filter_map(|(replica, node)| Some((Some(*replica), reason(*replica, *node)?)))
        .min_by_key(|(_, reason)| rank(reason));
    let wanted = fit.map_or(state.replication as usize, |fit| fit.replicas);
    let missing = info.replicas.len() < wanted;
    worst.or(missing.then_some((None, Reason::Missing)))
}

/// Where a new replica goes.
fn place(
    health: &Health,
    fit: Option<&Fit>,
    info: &ShardInfo,
    remove: Option<ReplicaId>,
    reason: Reason,
    load: &mut Load,
) -> Result<NodeId, String> {
    let works = |(replica, node): &(ReplicaId, NodeId)| {
        health.alive.contains(node) && !health.lost.contains(&(info.id, *replica))
    };
    let working = info.replicas.iter().filter(|replica| works(replica)).count();
    if working <= info.replicas.len() / 2 {
        return Err(format!(
            "only {working} of its {} replicas work, and members change only with a majority; bring a node back",
            info.replicas.len()
        ));
    }
    let home = info.replicas.iter().find(|(replica, _)| Some(*replica) == remove).map(|at| at.1);
    let in_place = home.filter(|node| reason == Reason::Lost && load.sound.contains(node));
    if let Some(fit) = fit {
        let free = |node: &NodeId| fit.allows(*node) && !info.is_on(*node);
        if !load.sound.iter().any(free) && in_place.is_none() {
            return Err(format!(
                "no free node that placement policy '{}' allows: every active one that answers has a replica already \
                 ({} allowed){}; add a node there, or alter the policy",
                fit.name,
                fit.allowed_text(),
                load.full_text()
            ));
        }
    }
    let held = info.replicas.iter().filter(|(_, node)| load.sound.contains(node)).count();
    // A node has one replica of a shard at most.
    if held == load.sound.len() && in_place.is_none() {
        let nodes: Vec<String> = info.replicas.iter().map(|(_, node)| node.0.to_string()).collect();
        return Err(format!(
            "no free node: every active node that answers has a replica already (nodes {}){}; add a node with \
             precinct start --join",
            nodes.join(", "),
            load.full_text()
        ));
    }
    let stay = info.replicas.iter().filter(|(replica, _)| Some(*replica) != remove);
    // Somebody must be where the policy lets it lead, as long as there is such a node.
    let leading = fit.filter(|fit| {
        fit.lacks_leader(stay.map(|(_, node)| *node))
            && load.sound.iter().any(|node| fit.leads(*node) && !info.is_on(*node))
    });
    let admits = |node: NodeId| match (leading, fit) {
        (Some(fit), _) => fit.leads(node),
        (None, Some(fit)) => fit.allows(node),
        (None, None) => true,
    };
    load.take(info, remove, &admits)
        .or_else(|| in_place.and_then(|node| load.take_at(node)))
        .ok_or_else(|| {
            let under_way = load.jobs;
            format!("waits for its turn: {under_way} changes are under way")
        })
}

/// Whether a job has lost its point, or its target.
fn is_futile(
    state: &ClusterState,
    health: &Health,
    fits: &Fits,
    shard: ShardId,
    job: &Job,
) -> bool {
    let (replica, target) = job.add;
    let target_bad = state.node_state(target) != NodeState::Active
        || health.silent.contains(&target)
        || health.full.contains(&target)
        || health.lost.contains(&(shard, replica));
    let home = state.map.shard(shard).and_then(|info| {
        info.replicas
            .iter()
            .find(|(replica, _)| Some(*replica) == job.remove)
            .map(|(_, node)| *node)
    });
    let early = job.step <= JobStep::CatchingUp;
    // A shard has one job: one that can wait makes room for one that mends something.
    let in_the_way = || {
        let info = state.map.shard(shard);
        let needed = info.and_then(|info| need(state, health, fits.of(state, info), info));
        needed.is_some_and(|(remove, _)| remove != job.remove)
    };
    // The policy is another one by now.
    let is_forbidden = || {
        let fit = state.map.shard(shard).and_then(|info| fits.of(state, info));
        fit.is_none_or(|fit| !fit.allows(target))
    };
    let pointless = home.is_some_and(|home| match job.reason {
        Reason::Decommission => state.node_state(home) == NodeState::Active,
        Reason::Silent => early && health.alive.contains(&home),
        Reason::Balance | Reason::Request => early && in_the_way(),
        Reason::Placement => early && (in_the_way() || is_forbidden()),
        Reason::Lost | Reason::Missing => false,
    });
    target_bad || pointless
}

/// Replicas held and coming, by node, and who gets the next one.
struct Load {
    /// Active nodes that answer and whose disks have room.
    sound: BTreeSet<NodeId>,
    /// Of them those whose disks are not well.
    sick: BTreeSet<NodeId>,
    /// Active nodes that answer and get nothing, as their disks have been full.
    full: BTreeSet<NodeId>,
    /// Where nodes are.
    zones: Zones,
    /// Replicas held or on their way.
    replicas: BTreeMap<NodeId, usize>,
    /// Jobs that bring a replica.
    coming: BTreeMap<NodeId, usize>,
    /// Of each zone the sound nodes: whether the disk is not well, number.
    there: BTreeMap<Zone, BTreeSet<(bool, NodeId)>>,
    /// The same of those with room for one more job: whether the disk is not well, replicas, number.
    open: BTreeMap<Zone, BTreeSet<(bool, usize, NodeId)>>,
    /// Repairs in all.
    jobs: usize,
    /// How many there may be.
    jobs_max: usize,
    /// Whether the limits of jobs count.
    limited: bool,
}

impl Load {
    fn new(state: &ClusterState, health: &Health, limited: bool) -> Load {
        let (mut replicas, mut coming) = (BTreeMap::new(), BTreeMap::new());
        let held = state.map.shards().iter().flat_map(|info| info.replicas.iter());
        for (_, node) in held.chain(state.jobs.values().map(|job| &job.add)) {
            *replicas.entry(*node).or_default() += 1;
        }
        for job in state.jobs.values() {
            *coming.entry(job.add.1).or_default() += 1;
        }
        let takes_part = |node: &NodeId| {
            state.node_state(*node) == NodeState::Active
                && health.alive.contains(node)
                && !health.silent.contains(node)
        };
        let active: BTreeSet<NodeId> = state.nodes.keys().copied().filter(takes_part).collect();
        let (sound, full) = (&active - &health.full, &active & &health.full);
        let jobs = state
            .jobs
            .iter()
            .filter(|(shard, job)| job.reason.repairs() && !health.overdue.contains(shard));
        let mut load = Load {
            full,
            sick: &sound & &health.sick,
            zones: Zones::new(state.nodes.iter().map(|(id, info)| (*id, info.zone.as_str()))),
            replicas,
            coming,
            there: BTreeMap::new(),
            open: BTreeMap::new(),
            // What only evens nodes out takes no room from repairs, nor does what comes to no end.
            jobs: jobs.count(),
            jobs_max: JOBS_MAX * state.limit_units(),
            limited,
            sound,
        };
        for node in load.sound.clone() {
            let sick = load.sick.contains(&node);
            load.there.entry(load.zones.of(node)).or_default().insert((sick, node));
            load.admit(node);
        }
        load
    }

    /// Whether a node holds nothing and gets nothing.
    fn is_empty(&self, node: NodeId) -> bool {
        count(&self.replicas, node) == 0
    }

    /// Which nodes get nothing for their disks, in words that follow others; nothing when there are none.
    fn full_text(&self) -> String {
        if self.full.is_empty() {
            return String::new();
        }
        let nodes: Vec<String> = self.full.iter().map(|node| node.0.to_string()).collect();
        let minutes = TARGET_BACK_OFF.as_secs() / 60;
        format!(
            ", and nodes {} get nothing while their disks are full and for {minutes} min or more afterwards; make room there",
            nodes.join(", ")
        )
    }

    fn has_room(&self, node: NodeId) -> bool {
        !self.limited || count(&self.coming, node) < JOBS_PER_NODE_MAX
    }

    /// A sound node's place among those that may get something.
    fn rank(&self, node: NodeId) -> (bool, usize, NodeId) {
        (self.sick.contains(&node), count(&self.replicas, node), node)
    }

    /// Takes a sound node in, if it has room.
    fn admit(&mut self, node: NodeId) {
        if self.has_room(node) {
            let rank = self.rank(node);
            self.open.entry(self.zones.of(node)).or_default().insert(rank);
        }
    }

    /// The node that gets a shard's new replica, if one has room for one more job.
    fn take(
        &mut self,
        info: &ShardInfo,
        remove: Option<ReplicaId>,
        admits: &dyn Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        if self.limited && self.jobs >= self.jobs_max {
            return None;
        }
        let stay = info.replicas.iter().filter(|(replica, _)| Some(*replica) != remove);
        let stay: Vec<Zone> = stay.map(|(_, node)| self.zones.of(*node)).collect();
        let is_free = |node: NodeId| !info.is_on(node) && admits(node);
        let rank_of = |zone: &Zone, sick: bool| (sick, zone.crowding(stay.iter().copied()));
        let best = self.there.iter().filter_map(|(zone, nodes)| {
            let (sick, _) = nodes.iter().find(|(_, node)| is_free(*node))?;
            Some(rank_of(zone, *sick))
        });
        let best = best.min()?;
        // While the best ones are busy the others are no better.
        let free = self.open.iter().filter_map(|(zone, nodes)| {
            let (sick, held, node) = nodes.iter().find(|(.., node)| is_free(*node))?;
            (rank_of(zone, *sick) == best).then_some((*held, *node))
        });
        let (_, node) = free.min()?;
        self.give(node);
        Some(node)
    }

    /// The same for one sound node.
    fn take_at(&mut self, node: NodeId) -> Option<NodeId> {
        if (self.limited && self.jobs >= self.jobs_max) || !self.has_room(node) {
            return None;
        }
        self.give(node);
        Some(node)
    }

    /// Counts one more job towards a sound node.
    fn give(&mut self, node: NodeId) {
        let rank = self.rank(node);
        if let Some(nodes) = self.open.get_mut(&self.zones.of(node)) {
            nodes.remove(&rank);
        }
        *self.replicas.entry(node).or_default() += 1;
        *self.coming.entry(node).or_default() += 1;
        self.jobs += 1;
        self.admit(node);
    }
}

fn count(counts: &BTreeMap<NodeId, usize>, node: NodeId) -> usize {
    counts.get(&node).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::{job, state};
    use crate::split_job::NewSplit;
    use base::Slot;

    fn alive(nodes: &[u64]) -> Health {
        Health { alive: nodes.iter().copied().map(NodeId).collect(), ..Health::default() }
    }

    #[test]
    fn a_sound_cluster_needs_nothing() {
        assert_eq!(repairs(&state(3, 4, 8), &alive(&[1, 2, 3, 4])), Repairs::default());
    }

    #[test]
    fn a_decommissioned_node_is_emptied_within_the_limits_and_then_named() {
        let mut state = state(3, 4, 8);
        state.nodes.get_mut(&NodeId(2)).unwrap().state = NodeState::Decommissioning;
        let all = alive(&[1, 2, 3, 4]);
        let mut rounds = 0;
        loop {
            let repairs = repairs(&state, &all);
            if repairs.emptied == [NodeId(2)] {
                break;
            }
            assert!((1..=JOBS_PER_NODE_MAX).contains(&repairs.start.len()), "{repairs:?}");
            for new in repairs.start {
                let id = 1000 + new.shard.0;
                state.jobs.insert(new.shard, job((id, new.target.0), new.remove.map(|r| r.0)));
                let done = state.finished(new.shard).unwrap();
                state.jobs.remove(&new.shard);
                state.replace_shard(done).unwrap();
            }
            rounds += 1;
            assert!(rounds < 20);
        }
        assert!(
            state.map.shards().iter().all(|info| info.is_on(NodeId(4)) && info.replicas.len() == 3)
        );
    }

    #[test]
    fn without_a_free_node_every_shard_says_why() {
        let mut state = state(3, 3, 2);
        state.nodes.get_mut(&NodeId(2)).unwrap().state = NodeState::Decommissioning;
        let repairs = repairs(&state, &alive(&[1, 2, 3]));
        assert_eq!((repairs.start.len(), repairs.blocked.len()), (0, 3));
        assert!(repairs.blocked.values().all(|why| why.contains("no free node")));
        let rehearsed = rehearse(&state, &alive(&[1, 2, 3]), NodeId(1));
        assert!(rehearsed.values().all(|outcome| outcome.is_err()));
    }

    #[test]
    fn a_lost_replica_goes_to_a_free_node_or_is_rebuilt_in_place() {
        let lost = |state: &ClusterState| {
            let replica = state.replica_on(ShardId(1), NodeId(3)).unwrap();
            let nodes: Vec<u64> = state.nodes.keys().map(|node| node.0).collect();
            Health { lost: BTreeSet::from([(ShardId(1), replica)]), ..alive(&nodes) }
        };
        let four = state(3, 4, 2);
        assert_eq!(repairs(&four, &lost(&four)).start[0].target, NodeId(4));
        let three = state(3, 3, 2);
        let plan = repairs(&three, &lost(&three));
        assert_eq!((plan.start[0].target, plan.start[0].reason), (NodeId(3), Reason::Lost));
    }

    #[test]
    fn a_silent_node_is_replaced_but_never_without_a_majority() {
        let state = state(3, 5, 2);
        let one = Health { silent: BTreeSet::from([NodeId(3)]), ..alive(&[1, 2, 4, 5]) };
        let plan = repairs(&state, &one);
        assert_eq!(plan.start.len(), 3);
        assert!(plan.start.iter().all(|new| new.reason == Reason::Silent));
        let two = Health { silent: BTreeSet::from([NodeId(2), NodeId(3)]), ..alive(&[1, 4, 5]) };
        let plan = repairs(&state, &two);
        assert_eq!(plan.start, []);
        assert!(plan.blocked.values().all(|why| why.contains("only 1 of its 3")));
    }

    #[test]
    fn a_successor_goes_to_another_zone_and_to_a_sick_disk_only_when_there_is_no_other() {
        let mut state = state(3, 6, 2);
        for (node, zone) in [(1, "a/1"), (2, "b/1"), (3, "c/1"), (4, "a/1"), (5, "a/2"), (6, "c/2")]
        {
            state.nodes.get_mut(&NodeId(node)).unwrap().zone = zone.into();
        }
        let target = |state: &ClusterState, health: &Health| repairs(state, health).start[0].target;
        let mut health = Health { silent: BTreeSet::from([NodeId(3)]), ..alive(&[1, 2, 4, 5, 6]) };
        assert_eq!(target(&state, &health), NodeId(6), "the only one in the third city");
        health.sick.insert(NodeId(6));
        assert_eq!(
            target(&state, &health),
            NodeId(5),
            "in a city that has one, but in another zone"
        );
        health.sick.insert(NodeId(5));
        assert_eq!(target(&state, &health), NodeId(4), "in the zone of another one");
        health.sick.insert(NodeId(4));
        assert_eq!(target(&state, &health), NodeId(6), "all that is left");
        let crowded = repairs(&state, &health);
        assert_eq!(crowded.start.len(), JOBS_PER_NODE_MAX, "the third shard waits for node 6");
        assert!(crowded.blocked[&ShardId(2)].contains("waits for its turn"), "{crowded:?}");
    }

    #[test]
    fn a_larger_cluster_mends_more_at_once() {
        let mut state = state(40, 80, 100);
        for node in 1..=40 {
            state.nodes.get_mut(&NodeId(node)).unwrap().state = NodeState::Decommissioning;
        }
        let nodes: Vec<u64> = (1..=80).collect();
        assert_eq!(repairs(&state, &alive(&nodes)).start.len(), 3 * JOBS_MAX);
        assert_eq!(repairs(&state, &alive(&nodes)).blocked.len(), 101 - 3 * JOBS_MAX);
    }

    #[test]
    fn a_round_over_the_largest_cluster_takes_less_than_a_second() {
        let mut state = state(900, 1000, base::SLOT_COUNT);
        for node in 1..=300 {
            state.nodes.get_mut(&NodeId(node)).unwrap().state = NodeState::Decommissioning;
        }
        let nodes: Vec<u64> = (1..=1000).collect();
        let health = alive(&nodes);
        let clock = base::SystemClock::shared();
        let began = clock.monotonic();
        let plan = repairs(&state, &health);
        let took = clock.monotonic().saturating_sub(began);
        assert_eq!(plan.start.len(), 32 * JOBS_MAX);
        assert!(took <= std::time::Duration::from_secs(1), "{took:?}");
    }

    #[test]
    fn a_job_that_lost_its_target_or_its_point_is_taken_back() {
        let mut state = state(3, 4, 2);
        let old = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        state.nodes.get_mut(&NodeId(2)).unwrap().state = NodeState::Decommissioning;
        state.jobs.insert(ShardId(1), job((77, 4), Some(old.0)));
        let all = alive(&[1, 2, 3, 4]);
        assert_eq!(repairs(&state, &all).cancel, []);
        let dead = Health { silent: BTreeSet::from([NodeId(4)]), ..alive(&[1, 2, 3]) };
        assert_eq!(repairs(&state, &dead).cancel, [ShardId(1)]);
        state.nodes.get_mut(&NodeId(2)).unwrap().state = NodeState::Active;
        assert_eq!(repairs(&state, &all).cancel, [ShardId(1)], "recommissioned");
    }

    #[test]
    fn a_target_whose_disk_fills_up_is_given_up_for_another_node_and_gets_nothing() {
        let mut state = state(3, 5, 2);
        state.nodes.get_mut(&NodeId(2)).unwrap().state = NodeState::Decommissioning;
        let old = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        let full = Health { full: BTreeSet::from([NodeId(4)]), ..alive(&[1, 2, 3, 4, 5]) };
        for reason in [Reason::Decommission, Reason::Balance, Reason::Request, Reason::Placement] {
            let copy = Job { reason, step: JobStep::CatchingUp, ..job((77, 4), Some(old.0)) };
            state.jobs.insert(ShardId(1), copy);
            assert_eq!(repairs(&state, &full).cancel, [ShardId(1)], "{reason:?}");
        }
        state.jobs.get_mut(&ShardId(1)).unwrap().cancelled = true;
        assert_eq!(repairs(&state, &full).cancel, [], "once");
        state.jobs.clear();
        let plan = repairs(&state, &full);
        assert_eq!(plan.start.len(), JOBS_PER_NODE_MAX, "{plan:?}");
        assert!(plan.start.iter().all(|new| new.target == NodeId(5)), "{plan:?}");
        // With nobody else there it waits and says why; nothing is begun to be taken back again.
        let alone = Health { alive: [1, 2, 3, 4].map(NodeId).into(), ..full };
        let plan = repairs(&state, &alone);
        assert_eq!((plan.start.len(), plan.blocked.len()), (0, 3), "{plan:?}");
        let why = &plan.blocked[&ShardId(1)];
        assert!(why.contains("no free node") && why.contains("nodes 4 get nothing"), "{why}");
    }

    #[test]
    fn a_replica_is_not_rebuilt_in_place_on_a_full_disk() {
        let state = state(3, 3, 2);
        let replica = state.replica_on(ShardId(1), NodeId(3)).unwrap();
        let lost = Health { lost: [(ShardId(1), replica)].into(), ..alive(&[1, 2, 3]) };
        let full = Health { full: [NodeId(3)].into(), ..lost.clone() };
        assert_eq!(repairs(&state, &lost).start.len(), 1);
        let plan = repairs(&state, &full);
        assert_eq!(plan.start, []);
        assert!(plan.blocked[&ShardId(1)].contains("nodes 3 get nothing"), "{plan:?}");
    }

    #[test]
    fn whatever_makes_a_target_unfit_in_the_middle_of_a_move_takes_it_back() {
        let mut state = state(3, 5, 2);
        let old = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        let moved = Job { reason: Reason::Balance, ..job((77, 4), Some(old.0)) };
        state.jobs.insert(ShardId(1), moved);
        let away = alive(&[1, 2, 3, 5]);
        assert_eq!(repairs(&state, &away).cancel, [], "it may come back");
        let dead = Health { silent: BTreeSet::from([NodeId(4)]), ..away };
        assert_eq!(repairs(&state, &dead).cancel, [ShardId(1)]);
        let all = alive(&[1, 2, 3, 4, 5]);
        for unfit in [NodeState::Draining, NodeState::Decommissioning, NodeState::Left] {
            state.nodes.get_mut(&NodeId(4)).unwrap().state = unfit;
            assert_eq!(repairs(&state, &all).cancel, [ShardId(1)], "{unfit:?}");
        }
        state.nodes.remove(&NodeId(4));
        assert_eq!(repairs(&state, &all).cancel, [ShardId(1)], "removed");
    }

    #[test]
    fn repairs_that_come_to_no_end_take_no_room_from_others() {
        let mut state = state(3, 16, 20);
        state.nodes.get_mut(&NodeId(2)).unwrap().state = NodeState::Decommissioning;
        for shard in 0..JOBS_MAX as u64 {
            let old = state.replica_on(ShardId(shard), NodeId(2)).unwrap();
            let stuck = job((1000 + shard, 4 + shard / 2), Some(old.0));
            state.jobs.insert(ShardId(shard), stuck);
        }
        let nodes: Vec<u64> = (1..=16).collect();
        let plan = repairs(&state, &alive(&nodes));
        assert_eq!(plan.start, [], "{plan:?}");
        let overdue = state.jobs.keys().copied().collect();
        let plan = repairs(&state, &Health { overdue, ..alive(&nodes) });
        assert_eq!(plan.start.len(), JOBS_MAX, "{plan:?}");
    }

    #[test]
    fn a_move_makes_room_for_a_repair_of_its_shard_and_for_no_other() {
        let mut state = state(3, 5, 2);
        let old = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        let moved = Job { reason: Reason::Balance, ..job((77, 4), Some(old.0)) };
        state.jobs.insert(ShardId(1), moved.clone());
        let all = alive(&[1, 2, 3, 4, 5]);
        assert_eq!(repairs(&state, &all).cancel, []);
        let lost = |shard, node| {
            let replica = state.replica_on(shard, node).unwrap();
            Health { lost: BTreeSet::from([(shard, replica)]), ..all.clone() }
        };
        assert_eq!(repairs(&state, &lost(ShardId(1), NodeId(3))).cancel, [ShardId(1)]);
        assert_eq!(repairs(&state, &lost(ShardId(1), NodeId(2))).cancel, [], "it goes anyway");
        assert_eq!(repairs(&state, &lost(ShardId(2), NodeId(3))).cancel, []);
        let late = Job { step: JobStep::ChangingVoters, ..moved };
        let lost = lost(ShardId(1), NodeId(3));
        state.jobs.insert(ShardId(1), late);
        assert_eq!(repairs(&state, &lost).cancel, [], "its voters change already");
    }

    #[test]
    fn a_shard_that_is_split_is_left_alone_until_then() {
        let mut state = state(3, 4, 2);
        state.nodes.get_mut(&NodeId(2)).unwrap().state = NodeState::Decommissioning;
        let (parent, child) = (ShardId(1), ShardId(3));
        let replicas = [50, 51, 52].map(ReplicaId).to_vec();
        let new = NewSplit { parent, at: Slot(9), child, replicas, unix_ms: 0 };
        state.begin_split(new, 2).unwrap();
        let all = alive(&[1, 2, 3, 4]);
        let plan = repairs(&state, &all);
        assert!(plan.start.iter().all(|job| job.shard != parent), "{plan:?}");
        assert!(plan.blocked[&parent].contains("waits until it is split"), "{plan:?}");
        state.finish_split(parent, 0).unwrap();
        let plan = repairs(&state, &all);
        assert!(!plan.blocked.get(&parent).is_some_and(|why| why.contains("split")), "{plan:?}");
    }

    #[test]
    fn a_shard_with_too_few_replicas_gets_one() {
        let mut state = state(3, 4, 1);
        state.replication = 4;
        let plan = repairs(&state, &alive(&[1, 2, 3, 4]));
        assert!(plan.start.iter().all(|new| new.remove.is_none() && new.target == NodeId(4)));
        assert_eq!(plan.start.len(), 2);
    }
}
