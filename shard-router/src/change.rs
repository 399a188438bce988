//! The next step of a change of members, from what the group's leader sees now.
//!
//! ```text
//! add ─> learner ─> caught up ─> leadership leaves the old one ─> new voters (joint) ─> remove ─> map
//! ```
//!
//! The answer depends only on what is there, never on which step was tried last: so a coordinator that
//! crashed, or two that overlap, find the same next step, and a step that happened is not repeated.

use crate::cluster::{Job, JobStep};
use base::{NodeId, ReplicaId};
use std::collections::BTreeSet;

/// What a member of a group counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Has a vote.
    Voter,
    /// Has none.
    Learner,
    /// Has a vote in the new set of a change under way.
    Joining,
    /// Has a vote in the old set of a change under way.
    Leaving,
}

/// A member of a group, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// The replica.
    pub replica: ReplicaId,
    /// Its node.
    pub node: NodeId,
    /// What it counts for.
    pub role: Role,
    /// Whether it has nearly every entry and answered lately.
    pub keeps_up: bool,
    /// Entries it lacks.
    pub lacks: u64,
}

/// A group, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// The replica that leads.
    pub leader: ReplicaId,
    /// Whether no change of members is under way in the group.
    pub settled: bool,
    /// Everyone.
    pub members: Vec<MemberView>,
}

impl GroupView {
    fn member(&self, replica: ReplicaId) -> Option<&MemberView> {
        self.members.iter().find(|member| member.replica == replica)
    }

    fn with_role(&self, roles: &[Role]) -> BTreeSet<ReplicaId> {
        let members = self.members.iter().filter(|member| roles.contains(&member.role));
        members.map(|member| member.replica).collect()
    }
}

/// What to ask of the group's leader, or of the meta shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the new replica a learner.
    AddLearner(ReplicaId, NodeId),
    /// Wait, and why.
    Wait(String),
    /// Give leadership to this node.
    TransferLeader(NodeId),
    /// Make these the voters.
    ChangeVoters(BTreeSet<ReplicaId>),
    /// Remove a learner.
    RemoveMember(ReplicaId),
    /// The change is done: update the map, drop the job.
    Finish,
    /// The change is undone: drop the job.
    Drop,
}

/// The next step of a job and what to call it.
pub fn next_step(job: &Job, group: &GroupView) -> (JobStep, Step) {
    let (new, _) = job.add;
    let old = job.remove.and_then(|old| group.member(old));
    if group.members.iter().any(|member| matches!(member.role, Role::Joining | Role::Leaving)) {
        // A change that was begun is finished, also when it is to be taken back: both sets must agree
        // either way, and there is always a way forward.
        let voters = group.with_role(&[Role::Voter, Role::Joining]);
        return match voters.contains(&group.leader) {
            true => (JobStep::ChangingVoters, Step::ChangeVoters(voters)),
            false => (JobStep::MovingLeader, leave_leader(group, &voters)),
        };
    }
    if !group.settled {
        return (job.step, Step::Wait("a change of members is being committed".into()));
    }
    let Some(added) = group.member(new) else {
        return match job.cancelled {
            true => (JobStep::Finishing, Step::Drop),
            false => (JobStep::Adding, Step::AddLearner(new, job.add.1)),
        };
    };
    if added.role != Role::Learner {
        return match old {
            Some(old) if old.role == Role::Voter => without_old(job, group, old.replica),
            Some(old) => (JobStep::Removing, Step::RemoveMember(old.replica)),
            None => (JobStep::Finishing, Step::Finish),
        };
    }
    if job.cancelled {
        return (JobStep::Removing, Step::RemoveMember(new));
    }
    if !added.keeps_up {
        let why = match added.lacks {
            0 => format!("replica {new} on node {} does not answer", job.add.1.0),
            lacks => format!("replica {new} on node {} lacks {lacks} entries", job.add.1.0),
        };
        return (JobStep::CatchingUp, Step::Wait(why));
    }
    match old.filter(|old| old.role == Role::Voter) {
        Some(old) => without_old(job, group, old.replica),
        None => {
            let mut voters = group.with_role(&[Role::Voter]);
            voters.insert(new);
            (JobStep::ChangingVoters, Step::ChangeVoters(voters))
        }
    }
}

/// The voters with the new replica and without the old one; leadership leaves it before.
fn without_old(job: &Job, group: &GroupView, old: ReplicaId) -> (JobStep, Step) {
    let mut voters = group.with_role(&[Role::Voter]);
    voters.insert(job.add.0);
    voters.remove(&old);
    if group.leader == old {
        let mut heirs = voters.clone();
        // It has no vote yet.
        if group.member(job.add.0).is_some_and(|added| added.role == Role::Learner) {
            heirs.remove(&job.add.0);
        }
        if heirs.is_empty() {
            // The only voter goes: both vote for a moment, then leadership can move.
            heirs.extend([old, job.add.0]);
            return (JobStep::ChangingVoters, Step::ChangeVoters(heirs));
        }
        return (JobStep::MovingLeader, leave_leader(group, &heirs));
    }
    (JobStep::ChangingVoters, Step::ChangeVoters(voters))
}

/// Gives leadership to one of these that keeps up; the one that lacks least.
fn leave_leader(group: &GroupView, heirs: &BTreeSet<ReplicaId>) -> Step {
    let able = group.members.iter().filter(|member| {
        member.keeps_up && member.replica != group.leader && heirs.contains(&member.replica)
    });
    match able.min_by_key(|member| (member.lacks, member.replica)) {
        Some(heir) => Step::TransferLeader(heir.node),
        None => Step::Wait("no other voter keeps up that could lead".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::job;

    fn member(id: u64, role: Role) -> MemberView {
        MemberView { replica: ReplicaId(id), node: NodeId(id), role, keeps_up: true, lacks: 0 }
    }

    fn group(leader: u64, members: Vec<MemberView>) -> GroupView {
        GroupView { leader: ReplicaId(leader), settled: true, members }
    }

    /// Executes a step as a group would.
    fn execute(group: &mut GroupView, step: &Step) {
        match step {
            Step::AddLearner(replica, _) => group.members.push(member(replica.0, Role::Learner)),
            Step::TransferLeader(node) => group.leader = ReplicaId(node.0),
            Step::ChangeVoters(voters) => {
                assert!(voters.contains(&group.leader), "{group:?} to {voters:?}");
                for member in &mut group.members {
                    let votes = voters.contains(&member.replica);
                    member.role = if votes { Role::Voter } else { Role::Learner };
                }
            }
            Step::RemoveMember(replica) => group.members.retain(|m| m.replica != *replica),
            Step::Wait(_) | Step::Finish | Step::Drop => {}
        }
    }

    fn run(job: &Job, group: &mut GroupView) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..20 {
            let (_, step) = next_step(job, group);
            execute(group, &step);
            let last = matches!(step, Step::Finish | Step::Drop | Step::Wait(_));
            steps.push(step);
            if last {
                return steps;
            }
        }
        panic!("no end: {steps:?}");
    }

    fn three(leader: u64) -> GroupView {
        group(leader, (1..=3).map(|id| member(id, Role::Voter)).collect())
    }

    fn ids(ids: &[u64]) -> BTreeSet<ReplicaId> {
        ids.iter().copied().map(ReplicaId).collect()
    }

    #[test]
    fn a_follower_is_replaced() {
        let steps = run(&job((4, 4), Some(2)), &mut three(1));
        assert_eq!(
            steps,
            [
                Step::AddLearner(ReplicaId(4), NodeId(4)),
                Step::ChangeVoters(ids(&[1, 3, 4])),
                Step::RemoveMember(ReplicaId(2)),
                Step::Finish
            ]
        );
    }

    #[test]
    fn a_leader_is_replaced_after_it_gave_leadership_away() {
        let steps = run(&job((4, 4), Some(1)), &mut three(1));
        assert_eq!(steps[1], Step::TransferLeader(NodeId(2)));
        assert_eq!(steps[2], Step::ChangeVoters(ids(&[2, 3, 4])));
        assert_eq!(steps.last(), Some(&Step::Finish));
    }

    #[test]
    fn the_only_replica_is_replaced() {
        let mut one = group(1, vec![member(1, Role::Voter)]);
        let steps = run(&job((4, 4), Some(1)), &mut one);
        assert_eq!(steps.last(), Some(&Step::Finish));
        assert_eq!(one.members.len(), 1);
        assert_eq!(one.leader, ReplicaId(4));
    }

    #[test]
    fn a_replica_is_added_where_one_is_missing() {
        let steps = run(&job((4, 4), None), &mut three(1));
        assert_eq!(steps[1], Step::ChangeVoters(ids(&[1, 2, 3, 4])));
    }

    #[test]
    fn a_joint_membership_is_finished_whatever_came_between() {
        for cancelled in [false, true] {
            for leader in 1..=4 {
                let mut half = group(
                    leader,
                    vec![
                        member(1, Role::Voter),
                        member(2, Role::Leaving),
                        member(3, Role::Voter),
                        member(4, Role::Joining),
                    ],
                );
                let job = Job { cancelled, ..job((4, 4), Some(2)) };
                let steps = run(&job, &mut half);
                assert_eq!(steps.last(), Some(&Step::Finish), "{steps:?}");
                assert_eq!(half.members.len(), 3);
            }
        }
    }

    #[test]
    fn a_job_that_is_taken_back_removes_its_learner() {
        let cancelled = Job { cancelled: true, ..job((4, 4), Some(2)) };
        let mut with_learner = three(1);
        with_learner.members.push(member(4, Role::Learner));
        let steps = run(&cancelled, &mut with_learner);
        assert_eq!(steps, [Step::RemoveMember(ReplicaId(4)), Step::Drop]);
        assert_eq!(run(&cancelled, &mut three(1)), [Step::Drop]);
    }

    #[test]
    fn a_job_that_another_coordinator_takes_back_at_any_step_is_done_or_undone() {
        let job = job((4, 4), Some(2));
        let taken_back = Job { cancelled: true, ..job.clone() };
        for leader in 1..=3 {
            for steps in 0..6 {
                let mut group = three(leader);
                for _ in 0..steps {
                    let (_, step) = next_step(&job, &group);
                    execute(&mut group, &step);
                }
                let last = run(&taken_back, &mut group).pop();
                let kept = match last {
                    Some(Step::Finish) => ids(&[1, 3, 4]),
                    Some(Step::Drop) => ids(&[1, 2, 3]),
                    other => panic!("led by {leader}, taken back after {steps} steps: {other:?}"),
                };
                assert_eq!(group.with_role(&[Role::Voter]), kept, "{leader} leads, {steps} steps");
                assert_eq!(group.members.len(), 3, "{leader} leads, {steps} steps: {group:?}");
            }
        }
    }

    /// Begins a step that changes voters, and no more: both sets have votes.
    fn execute_half(group: &mut GroupView, step: &Step) {
        let Step::ChangeVoters(voters) = step else { return execute(group, step) };
        for member in &mut group.members {
            member.role = match (member.role == Role::Learner, voters.contains(&member.replica)) {
                (false, true) => Role::Voter,
                (false, false) => Role::Leaving,
                (true, true) => Role::Joining,
                (true, false) => Role::Learner,
            };
        }
    }

    #[test]
    fn whoever_leads_after_any_step_goes_on_to_the_end() {
        let mut deaths = 0;
        for removed in [1, 2] {
            let job = job((4, 4), Some(removed));
            let kept: Vec<u64> = (1..=4).filter(|id| *id != removed).collect();
            for (steps, is_half) in (0..6).flat_map(|steps| [(steps, false), (steps, true)]) {
                for heir in 1..=4 {
                    let mut group = three(1);
                    for taken in 0..steps {
                        let (_, step) = next_step(&job, &group);
                        match is_half && taken + 1 == steps {
                            true => execute_half(&mut group, &step),
                            false => execute(&mut group, &step),
                        }
                        let votes = group.members.iter().filter(|m| m.role != Role::Learner);
                        assert!(votes.count() >= 3, "{steps} steps: {group:?}");
                    }
                    let heir = ReplicaId(heir);
                    if group.member(heir).is_none_or(|member| member.role == Role::Learner) {
                        continue; // It cannot be elected.
                    }
                    deaths += usize::from(group.leader != heir);
                    group.leader = heir;
                    let taken = run(&job, &mut group);
                    let what = format!("{heir} after {steps} steps, half {is_half}: {taken:?}");
                    assert_eq!(taken.last(), Some(&Step::Finish), "{what}");
                    assert_eq!(group.with_role(&[Role::Voter]), ids(&kept), "{what}");
                    assert_eq!(group.members.len(), 3, "{what}");
                }
            }
        }
        assert!(deaths > 20, "only {deaths} leaders have died");
    }

    #[test]
    fn a_target_that_dies_at_any_step_is_waited_for_or_taken_back() {
        for steps in 0..6 {
            let job = job((4, 4), Some(2));
            let taken_back = Job { cancelled: true, ..job.clone() };
            let mut group = three(1);
            for _ in 0..steps {
                let (_, step) = next_step(&job, &group);
                execute(&mut group, &step);
            }
            let Some(target) = group.members.iter_mut().find(|m| m.replica == ReplicaId(4)) else {
                assert_eq!(run(&taken_back, &mut group), [Step::Drop]);
                continue;
            };
            target.keeps_up = false;
            let was_voter = target.role != Role::Learner;
            let waits = run(&job, &mut group.clone()).pop();
            let last = run(&taken_back, &mut group).pop();
            // With its vote it is a member as any other, and a repair replaces it.
            match was_voter {
                true => assert_eq!((waits, last), (Some(Step::Finish), Some(Step::Finish))),
                false => {
                    assert!(matches!(waits, Some(Step::Wait(_))), "{steps} steps: {waits:?}");
                    assert_eq!(last, Some(Step::Drop), "{steps} steps");
                    assert_eq!(group, three(1), "{steps} steps");
                }
            }
        }
    }

    #[test]
    fn a_learner_that_lags_is_waited_for() {
        let mut lagging = three(1);
        let slow = MemberView { keeps_up: false, lacks: 500, ..member(4, Role::Learner) };
        lagging.members.push(slow);
        let (step, wait) = next_step(&job((4, 4), Some(2)), &lagging);
        assert_eq!(step, JobStep::CatchingUp);
        assert!(matches!(wait, Step::Wait(why) if why.contains("lacks 500")));
    }
}
