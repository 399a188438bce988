//! Cluster states as messages: between nodes, in the meta shard's rows, and in the file CLUSTER.
//!
//! Reading a message checks everything: an unknown number or a map that contradicts itself is an error that
//! says what, never a guess.

use base::{NodeId, ReplicaId, ShardEpoch, ShardId, Slot, SlotRange};
use proto::node as pb;
use raft::{GroupProgress, MemberRole};
use shard_router::change::{GroupView, MemberView, Role};
use shard_router::policy::{Place, constraints_text, parse_constraints};
use shard_router::{
    ClusterState, Job, JobStep, MergeJob, NodeInfo, NodeState, Origin, Placement, Policy, Reason,
    RebalanceSettings, ShardInfo, ShardMap, SplitJob,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::merge::MergeProgress;

/// What a message says that cannot be.
type Result<T> = std::result::Result<T, String>;

/// States by their number.
const STATES: [NodeState; 4] =
    [NodeState::Active, NodeState::Draining, NodeState::Decommissioning, NodeState::Left];
/// Reasons by their number.
const REASONS: [Reason; 7] = [
    Reason::Decommission,
    Reason::Silent,
    Reason::Lost,
    Reason::Missing,
    Reason::Balance,
    Reason::Request,
    Reason::Placement,
];
/// Steps by their number.
const STEPS: [JobStep; 6] = [
    JobStep::Adding,
    JobStep::CatchingUp,
    JobStep::MovingLeader,
    JobStep::ChangingVoters,
    JobStep::Removing,
    JobStep::Finishing,
];

fn number<T: PartialEq>(all: &[T], value: &T) -> u32 {
    // Every value is in its table: a test walks all of them.
    all.iter().position(|known| known == value).unwrap_or_default() as u32
}

fn value<T: Copy>(all: &[T], number: u32, what: &str) -> Result<T> {
    all.get(number as usize).copied().ok_or_else(|| format!("{what} {number} is unknown here"))
}

/// A node to its message.
pub fn node_to_pb(id: NodeId, info: &NodeInfo) -> pb::NodeRecord {
    pb::NodeRecord {
        id: id.0,
        address: info.address.clone(),
        sql_address: info.sql_address.clone(),
        state: number(&STATES, &info.state),
        incarnation: info.incarnation,
        zone: info.zone.clone(),
    }
}

/// A node from its message.
pub fn node_from_pb(record: pb::NodeRecord) -> Result<(NodeId, NodeInfo)> {
    let info = NodeInfo {
        address: record.address,
        sql_address: record.sql_address,
        state: value(&STATES, record.state, "node state")?,
        incarnation: record.incarnation,
        zone: record.zone,
    };
    Ok((NodeId(record.id), info))
}

/// A shard to its message, with where it comes from.
pub fn shard_to_pb(info: &ShardInfo, origin: Option<&Origin>) -> pb::ShardRecord {
    let replicas = info.replicas.iter();
    let first = origin.map_or(&[][..], |origin| origin.replicas.as_slice());
    pb::ShardRecord {
        id: info.id.0,
        epoch: info.epoch.0,
        first_slot: info.slots.start,
        end_slot: info.slots.end,
        replicas: replicas.map(|(replica, node)| replica_to_pb(*replica, *node)).collect(),
        parent: origin.map_or(0, |origin| origin.parent.0),
        first_replicas: first.iter().map(|replica| replica.0).collect(),
        split_unix_ms: origin.map_or(0, |origin| origin.unix_ms),
    }
}

/// Where a shard comes from, from its message.
fn origin_from_pb(record: &pb::ShardRecord) -> Option<(ShardId, Origin)> {
    // The meta shard is never split, so 0 is nobody's parent.
    let origin = (record.parent != 0).then(|| Origin {
        parent: ShardId(record.parent),
        replicas: record.first_replicas.iter().copied().map(ReplicaId).collect(),
        unix_ms: record.split_unix_ms,
    });
    origin.map(|origin| (ShardId(record.id), origin))
}

/// A shard from its message.
pub fn shard_from_pb(record: pb::ShardRecord) -> ShardInfo {
    let replicas = record.replicas.iter();
    ShardInfo {
        id: ShardId(record.id),
        epoch: ShardEpoch(record.epoch),
        slots: SlotRange { start: record.first_slot, end: record.end_slot },
        replicas: replicas.map(|place| (ReplicaId(place.replica), NodeId(place.node))).collect(),
    }
}

fn replica_to_pb(replica: ReplicaId, node: NodeId) -> pb::ReplicaRecord {
    pb::ReplicaRecord { replica: replica.0, node: node.0 }
}

/// A job to its message.
pub fn job_to_pb(shard: ShardId, job: &Job) -> pb::JobRecord {
    pb::JobRecord {
        shard: shard.0,
        add: Some(replica_to_pb(job.add.0, job.add.1)),
        remove: job.remove.map_or(0, |replica| replica.0),
        reason: number(&REASONS, &job.reason),
        step: number(&STEPS, &job.step),
        cancelled: job.cancelled,
        started_unix_ms: job.started_unix_ms,
    }
}

/// A job from its message.
pub fn job_from_pb(record: pb::JobRecord) -> Result<(ShardId, Job)> {
    let add = record.add.ok_or("a job without a new replica")?;
    let job = Job {
        add: (ReplicaId(add.replica), NodeId(add.node)),
        remove: (record.remove != 0).then_some(ReplicaId(record.remove)),
        reason: value(&REASONS, record.reason, "reason")?,
        step: value(&STEPS, record.step, "step")?,
        cancelled: record.cancelled,
        started_unix_ms: record.started_unix_ms,
    };
    Ok((ShardId(record.shard), job))
}

/// How nodes may be evened out, to its message; nothing when nobody has said.
pub fn rebalance_to_pb(settings: RebalanceSettings) -> Option<pb::RebalanceRecord> {
    let RebalanceSettings { paused, moves_at_once, auto_merge } = settings;
    let said = settings != RebalanceSettings::default();
    said.then_some(pb::RebalanceRecord { paused, moves_at_once, auto_merge })
}

/// How nodes may be evened out, from its message.
fn rebalance_from_pb(record: Option<pb::RebalanceRecord>) -> RebalanceSettings {
    let pb::RebalanceRecord { paused, moves_at_once, auto_merge } = record.unwrap_or_default();
    RebalanceSettings { paused, moves_at_once, auto_merge }
}

/// A split to its message.
pub fn split_to_pb(shard: ShardId, job: &SplitJob) -> pb::SplitRecord {
    pb::SplitRecord {
        shard: shard.0,
        child: job.child.0,
        slot: u32::from(job.at.0),
        replicas: pairs_to_pb(&job.replicas),
        since: job.since,
        started_unix_ms: job.started_unix_ms,
    }
}

/// A split from its message.
pub fn split_from_pb(record: pb::SplitRecord) -> Result<(ShardId, SplitJob)> {
    let job = SplitJob {
        child: ShardId(record.child),
        at: slot_from_pb(record.slot)?,
        replicas: pairs_from_pb(&record.replicas),
        since: record.since,
        started_unix_ms: record.started_unix_ms,
    };
    Ok((ShardId(record.shard), job))
}

/// A merge to its message.
pub fn merge_to_pb(shard: ShardId, job: &MergeJob) -> pb::MergeRecord {
    pb::MergeRecord {
        shard: shard.0,
        right: job.right.0,
        number: job.number,
        started_unix_ms: job.started_unix_ms,
    }
}

/// A merge from its message.
pub fn merge_from_pb(record: &pb::MergeRecord) -> (ShardId, MergeJob) {
    let job = MergeJob {
        right: ShardId(record.right),
        number: record.number,
        started_unix_ms: record.started_unix_ms,
    };
    (ShardId(record.shard), job)
}

/// How far a merge has come, or why it does not go on, to its message.
pub fn merged_to_pb(outcome: Result<MergeProgress>) -> pb::ShardsMerged {
    use pb::shards_merged::Progress;
    let (progress, copied, refused) = match outcome {
        Ok(MergeProgress::UnderWay { copied }) => (Progress::UnderWay, copied, String::new()),
        Ok(MergeProgress::Taken) => (Progress::Taken, 0, String::new()),
        Ok(MergeProgress::Undone) => (Progress::Undone, 0, String::new()),
        Err(why) => (Progress::UnderWay, 0, why),
    };
    pb::ShardsMerged { progress: progress as i32, copied, refused }
}

/// How far a merge has come, from its message.
pub fn merged_from_pb(merged: pb::ShardsMerged) -> Result<MergeProgress> {
    use pb::shards_merged::Progress;
    if !merged.refused.is_empty() {
        return Err(merged.refused);
    }
    match Progress::try_from(merged.progress) {
        Ok(Progress::UnderWay) => Ok(MergeProgress::UnderWay { copied: merged.copied }),
        Ok(Progress::Taken) => Ok(MergeProgress::Taken),
        Ok(Progress::Undone) => Ok(MergeProgress::Undone),
        Err(_) => Err(format!("there is no progress {} of a merge", merged.progress)),
    }
}

/// A slot from its number.
pub fn slot_from_pb(number: u32) -> Result<Slot> {
    u16::try_from(number).map(Slot).map_err(|_| format!("there is no slot {number}"))
}

/// Replicas of a parent and of its child to messages.
pub fn pairs_to_pb(pairs: &[(ReplicaId, ReplicaId)]) -> Vec<pb::ReplicaPair> {
    let pair = |(parent, child): &(ReplicaId, ReplicaId)| pb::ReplicaPair {
        parent: parent.0,
        child: child.0,
    };
    pairs.iter().map(pair).collect()
}

/// Replicas of a parent and of its child from messages.
pub fn pairs_from_pb(pairs: &[pb::ReplicaPair]) -> Vec<(ReplicaId, ReplicaId)> {
    pairs.iter().map(|pair| (ReplicaId(pair.parent), ReplicaId(pair.child))).collect()
}

/// Placement policies to their message; nothing when there are none.
pub fn placement_to_pb(placement: &Placement) -> Option<pb::PlacementRecord> {
    let policy = |(name, policy): (&String, &Policy)| pb::PolicyRecord {
        name: name.clone(),
        primary_region: policy.primary_region.clone(),
        regions: policy.regions.clone(),
        followers: policy.followers,
        constraints: constraints_text(&policy.constraints),
        leader_constraints: constraints_text(&policy.leader_constraints),
    };
    let place = |place: &Place| pb::PlaceRecord {
        first_slot: place.slots.start,
        end_slot: place.slots.end,
        policy: place.policy.clone(),
    };
    let said = *placement != Placement::default();
    said.then(|| pb::PlacementRecord {
        policies: placement.policies.iter().map(policy).collect(),
        places: placement.places.iter().map(place).collect(),
    })
}

/// Placement policies from their message.
fn placement_from_pb(record: Option<pb::PlacementRecord>) -> Result<Placement> {
    let record = record.unwrap_or_default();
    let mut placement = Placement::default();
    for policy in record.policies {
        let read = Policy {
            primary_region: policy.primary_region,
            regions: policy.regions,
            followers: policy.followers,
            constraints: parse_constraints(&policy.constraints)?,
            leader_constraints: parse_constraints(&policy.leader_constraints)?,
        };
        placement.policies.insert(policy.name, read);
    }
    for place in record.places {
        if !placement.policies.contains_key(&place.policy) {
            return Err(format!("slots under an unknown placement policy '{}'", place.policy));
        }
        let slots = SlotRange { start: place.first_slot, end: place.end_slot };
        placement.assign(slots, Some(&place.policy));
    }
    Ok(placement)
}

/// A state to its message.
pub fn state_to_pb(state: &ClusterState) -> pb::ClusterState {
    let shard = |info: &ShardInfo| shard_to_pb(info, state.origins.get(&info.id));
    pb::ClusterState {
        id: state.id,
        version: state.version,
        replication: state.replication,
        nodes: state.nodes.iter().map(|(id, info)| node_to_pb(*id, info)).collect(),
        shards: state.map.shards().iter().map(shard).collect(),
        jobs: state.jobs.iter().map(|(shard, job)| job_to_pb(*shard, job)).collect(),
        rebalance: rebalance_to_pb(state.rebalance),
        splits: state.splits.iter().map(|(shard, job)| split_to_pb(*shard, job)).collect(),
        merges: state.merges.iter().map(|(shard, job)| merge_to_pb(*shard, job)).collect(),
        placement: placement_to_pb(&state.placement),
    }
}

/// A state from its message.
pub fn state_from_pb(message: pb::ClusterState) -> Result<ClusterState> {
    let origins: BTreeMap<_, _> = message.shards.iter().filter_map(origin_from_pb).collect();
    let shards = message.shards.into_iter().map(shard_from_pb).collect();
    let map = ShardMap::new(message.version, shards).map_err(|error| error.to_string())?;
    Ok(ClusterState {
        id: message.id,
        version: message.version,
        replication: message.replication,
        nodes: message.nodes.into_iter().map(node_from_pb).collect::<Result<_>>()?,
        map: Arc::new(map),
        jobs: message.jobs.into_iter().map(job_from_pb).collect::<Result<_>>()?,
        rebalance: rebalance_from_pb(message.rebalance),
        splits: message.splits.into_iter().map(split_from_pb).collect::<Result<_>>()?,
        merges: message.merges.iter().map(merge_from_pb).collect(),
        origins,
        placement: placement_from_pb(message.placement)?,
    })
}

/// What the leader knows of its group, as a message.
pub fn group_to_pb(leader: ReplicaId, progress: &GroupProgress) -> pb::Group {
    let members = progress.members.iter().map(|member| pb::GroupMember {
        replica: member.replica.0,
        node: member.node.0,
        role: match member.role {
            MemberRole::Voter => 0,
            MemberRole::Learner => 1,
            MemberRole::Joining => 2,
            MemberRole::Leaving => 3,
        },
        keeps_up: progress.keeps_up(member),
        lacks: progress.last_log_index.saturating_sub(member.matched.unwrap_or(0)),
    });
    pb::Group {
        leader: leader.0,
        term: progress.term,
        last_log_index: progress.last_log_index,
        settled: progress.settled,
        version_term: progress.version.term,
        version_index: progress.version.index,
        members: members.collect(),
    }
}

/// A group from its message.
pub fn group_from_pb(group: &pb::Group) -> Result<GroupView> {
    let roles = [Role::Voter, Role::Learner, Role::Joining, Role::Leaving];
    let members = group.members.iter().map(|member| {
        Ok(MemberView {
            replica: ReplicaId(member.replica),
            node: NodeId(member.node),
            role: value(&roles, member.role, "role")?,
            keeps_up: member.keeps_up,
            lacks: member.lacks,
        })
    });
    Ok(GroupView {
        leader: ReplicaId(group.leader),
        settled: group.settled,
        members: members.collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ClusterState {
        let nodes: Vec<NodeId> = (1..=4).map(NodeId).collect();
        let map = Arc::new(shard_router::initial(&nodes, 4, 3).unwrap().map);
        let info = |id: u64| NodeInfo {
            address: format!("h{id}:7800"),
            sql_address: format!("h{id}:4000"),
            state: STATES[id as usize - 1],
            incarnation: id * 1000,
            zone: format!("city/{id}"),
        };
        let job = |number: usize| Job {
            add: (ReplicaId(100 + number as u64), NodeId(4)),
            remove: (number > 0).then_some(ReplicaId(1)),
            reason: REASONS[number % REASONS.len()],
            step: STEPS[number],
            cancelled: number.is_multiple_of(2),
            started_unix_ms: 9,
        };
        ClusterState {
            id: 77,
            version: 1,
            replication: 3,
            nodes: nodes.iter().map(|id| (*id, info(id.0))).collect(),
            map,
            jobs: (0..STEPS.len())
                .map(|at| (ShardId(at as u64), job(at)))
                .collect::<BTreeMap<_, _>>(),
            rebalance: RebalanceSettings { paused: true, moves_at_once: 3, auto_merge: true },
            splits: BTreeMap::from([(ShardId(4), split())]),
            merges: BTreeMap::from([(ShardId(2), merge())]),
            origins: BTreeMap::from([(ShardId(2), origin())]),
            placement: placement(),
        }
    }

    fn placement() -> Placement {
        let policy = Policy {
            primary_region: "city".into(),
            regions: vec!["city".into(), "town".into()],
            followers: 4,
            constraints: parse_constraints("[+region=city,-zone=b]").unwrap(),
            leader_constraints: parse_constraints("-zone=c").unwrap(),
        };
        let policies = BTreeMap::from([("eu".to_string(), policy)]);
        let slots = SlotRange { start: 7, end: 65_536 };
        Placement { policies, places: vec![Place { slots, policy: "eu".into() }] }
    }

    fn split() -> SplitJob {
        SplitJob {
            child: ShardId(5),
            at: Slot(65_535),
            replicas: vec![(ReplicaId(3), ReplicaId(103)), (ReplicaId(4), ReplicaId(104))],
            since: 8,
            started_unix_ms: 10,
        }
    }

    fn merge() -> MergeJob {
        MergeJob { right: ShardId(3), number: 12, started_unix_ms: 13 }
    }

    fn origin() -> Origin {
        Origin { parent: ShardId(1), replicas: vec![ReplicaId(6), ReplicaId(7)], unix_ms: 11 }
    }

    #[test]
    fn states_survive_the_wire() {
        assert_eq!(state_from_pb(state_to_pb(&state())).unwrap(), state());
        // There are more reasons than steps.
        let last = number(&REASONS, &Reason::Placement);
        assert_eq!(value(&REASONS, last, "reason"), Ok(Reason::Placement));
        let plain = ClusterState { rebalance: RebalanceSettings::default(), ..state() };
        let message = state_to_pb(&plain);
        assert_eq!(message.rebalance, None, "as in states that are older than it");
        assert_eq!(state_from_pb(message).unwrap(), plain);
        // As programs wrote it that knew neither splits nor merges.
        let mut older = state_to_pb(&state());
        older.splits.clear();
        older.merges.clear();
        older.placement = None;
        older.shards.iter_mut().for_each(|shard| shard.parent = 0);
        let read = state_from_pb(older).unwrap();
        assert_eq!(read.placement, Placement::default());
        assert!(read.splits.is_empty() && read.merges.is_empty() && read.origins.is_empty());
    }

    #[test]
    fn the_progress_of_a_merge_survives_the_wire() {
        let all = [
            Ok(MergeProgress::UnderWay { copied: 7 }),
            Ok(MergeProgress::Taken),
            Ok(MergeProgress::Undone),
            Err("not now".to_string()),
        ];
        for outcome in all {
            assert_eq!(merged_from_pb(merged_to_pb(outcome.clone())), outcome);
        }
        let unknown = pb::ShardsMerged { progress: 9, ..Default::default() };
        assert!(merged_from_pb(unknown).unwrap_err().contains("progress 9"));
    }

    #[test]
    fn what_cannot_be_is_refused_and_named() {
        let refused = |change: &dyn Fn(&mut pb::ClusterState)| {
            let mut message = state_to_pb(&state());
            change(&mut message);
            state_from_pb(message).unwrap_err()
        };
        assert!(refused(&|m| m.nodes[0].state = 9).contains("node state 9"));
        assert!(refused(&|m| m.jobs[0].step = 9).contains("step 9"));
        assert!(refused(&|m| m.splits[0].slot = 65_536).contains("no slot 65536"));
        let places = |m: &mut pb::ClusterState| m.placement.as_mut().unwrap().policies.clear();
        assert!(refused(&places).contains("unknown placement policy 'eu'"));
        assert!(refused(&|m| m.jobs[0].add = None).contains("without a new replica"));
        assert!(refused(&|m| drop(m.shards.remove(1))).contains("slot 0 is next"));
    }
}
