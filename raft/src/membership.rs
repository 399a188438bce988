//! Members of a group come and go: the leader-only calls behind `ReplicaGroup`'s membership methods.
//!
//! ```text
//! add_learner ──> learner ──[caught up]── change_voters ──> voter
//!                    ▲                                        │
//! remove_member <────┴──────────── change_voters ─────────────┘
//!                                  (joint, then the new set; old voters stay as learners)
//! ```
//!
//! Invariants:
//! 1. One change at a time: a second one is refused as `Busy`. Steps of two changes that interleave can
//!    leave a joint membership that nobody finishes.
//! 2. Each call is compare-and-set: it names the membership the caller saw and is refused as `Busy` when
//!    another one is in force, so a caller that slept cannot undo what was decided meanwhile.
//! 3. A voter set takes effect only when its newcomers have caught up and a majority of it answers.
//! 4. The leader never removes itself: a transfer must come first, because reads under its lease must have
//!    ended before anyone else can lead.
//!
//! A change goes on when its caller gives up waiting; a joint membership that a crash left behind is
//! finished by asking again for the same voters, or undone by asking for the old ones.

use crate::lease;
use crate::replica::Replica;
use crate::replica_group::{GroupProgress, Member, MemberRole, MembershipError, MembershipVersion};
use crate::type_config::{Home, LogId, Term, TypeConfig, log_id, term_of};
use base::{NodeId, ReplicaId, limits};
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::raft::{ChangeMembershipRequest, ClientWriteResponse, Precondition};
use openraft::{ChangeMembers, RaftMetrics};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What openraft answers to a change.
type Changed =
    Result<ClientWriteResponse<TypeConfig>, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>;

/// The group as its leader sees it; `None` when this replica does not lead.
pub fn progress(metrics: &RaftMetrics<TypeConfig>) -> Option<GroupProgress> {
    let term = lease::leading_term(metrics)?;
    let stored = &metrics.membership_config;
    let membership = stored.membership();
    let configs = membership.get_joint_config();
    let (old, new) = (configs.first()?, configs.last()?);
    let members = membership.nodes().map(|(id, home)| {
        let role = match (old.contains(id), new.contains(id)) {
            (true, true) => MemberRole::Voter,
            (true, false) => MemberRole::Leaving,
            (false, true) => MemberRole::Joining,
            (false, false) => MemberRole::Learner,
        };
        let myself = *id == metrics.id;
        let matched = metrics.replication.as_ref().and_then(|all| all.get(id).copied().flatten());
        let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(id).copied().flatten());
        Member {
            replica: ReplicaId(*id),
            node: home.node,
            role,
            matched: if myself { metrics.last_log_index } else { matched.map(|log| log.index) },
            silent_for: match myself {
                true => Some(std::time::Duration::ZERO),
                false => heard.map(|heard| openraft::Instant::elapsed(&*heard)),
            },
        }
    });
    Some(GroupProgress {
        term,
        last_log_index: metrics.last_log_index.unwrap_or(0),
        version: version_of(stored.log_id().as_ref()),
        settled: configs.len() == 1
            && metrics.committed_membership_config.log_id() == stored.log_id(),
        members: members.collect(),
    })
}

fn version_of(log: Option<&LogId>) -> MembershipVersion {
    log.map_or(MembershipVersion::default(), |log| MembershipVersion {
        term: term_of(log),
        index: log.index,
    })
}

/// Whether a set of voters may take effect, from what the leader knows.
///
/// # Errors
/// Why not.
pub fn check_voters(
    progress: &GroupProgress,
    leader: ReplicaId,
    voters: &BTreeSet<ReplicaId>,
) -> Result<(), MembershipError> {
    let refused = |what: String| Err(MembershipError::Refused(what));
    if voters.is_empty() {
        return refused("a group needs at least one voter".into());
    }
    if !voters.contains(&leader) {
        return refused(format!(
            "replica {leader} leads and is not among the new voters; transfer leadership first"
        ));
    }
    let with_role = |roles: &[MemberRole]| -> BTreeSet<ReplicaId> {
        let members = progress.members.iter().filter(|member| roles.contains(&member.role));
        members.map(|member| member.replica).collect()
    };
    let old = with_role(&[MemberRole::Voter, MemberRole::Leaving]);
    let new = with_role(&[MemberRole::Voter, MemberRole::Joining]);
    if old != new {
        // To finish a change, or to undo it, asks no more of anyone than the change under way does.
        return match *voters == old || *voters == new {
            true => Ok(()),
            false => {
                refused("a change to other voters is under way; finish or undo it first".into())
            }
        };
    }
    let mut answering = 0;
    for voter in voters {
        let Some(member) = progress.members.iter().find(|member| member.replica == *voter) else {
            return refused(format!("replica {voter} is no learner of the group; add it first"));
        };
        let answers = progress.keeps_up(member);
        answering += usize::from(answers);
        if !answers && !old.contains(voter) {
            return Err(MembershipError::Behind {
                replica: *voter,
                entries: progress.last_log_index
                    - member.matched.unwrap_or(0).min(progress.last_log_index),
            });
        }
    }
    if answering <= voters.len() / 2 {
        return refused(format!(
            "only {answering} of {} voters answer and have nearly every entry",
            voters.len()
        ));
    }
    Ok(())
}

/// What a caller learns from openraft's refusal.
fn refusal(error: ClientWriteError<TypeConfig>) -> MembershipError {
    match error {
        ClientWriteError::ForwardToLeader(_) => MembershipError::NotLeader,
        ClientWriteError::LogEntryDiscarded(_) => MembershipError::Unknown,
        ClientWriteError::PreconditionFailed(_) => MembershipError::Busy,
        ClientWriteError::ChangeMembershipError(error) => match error {
            ChangeMembershipError::InProgress(_)
            | ChangeMembershipError::UncommittedLeaderLog(_) => MembershipError::Busy,
            error => MembershipError::Refused(error.to_string()),
        },
    }
}

impl Replica {
    /// The progress to base a change on, if it is still the membership the caller saw.
    fn progress_at(&self, seen: MembershipVersion) -> Result<GroupProgress, MembershipError> {
        if let Some(reason) = self.stop_reason() {
            return Err(MembershipError::Stopped(reason));
        }
        let progress = self.group_progress().ok_or(MembershipError::NotLeader)?;
        if progress.version == seen { Ok(progress) } else { Err(MembershipError::Busy) }
    }

    /// The group as this leader sees it.
    pub fn group_progress(&self) -> Option<GroupProgress> {
        self.with_metrics(progress).filter(|progress| !self.revoked(progress.term))
    }

    /// Adds a member that has no vote.
    pub async fn add_learner_at(
        &self,
        seen: MembershipVersion,
        replica: ReplicaId,
        node: NodeId,
    ) -> Result<(), MembershipError> {
        let progress = self.progress_at(seen)?;
        if let Some(member) = progress.members.iter().find(|member| member.replica == replica) {
            if member.node == node {
                return Ok(());
            }
            let (known, what) = (member.node, "a replica id is never used twice");
            return Err(MembershipError::Refused(format!(
                "replica {replica} is on node {known}, not on node {node}: {what}"
            )));
        }
        if !progress.settled {
            return Err(MembershipError::Busy);
        }
        let added = BTreeMap::from([(replica.0, Home { node })]);
        self.change(progress, ChangeMembers::AddNodes(added)).await
    }

    /// Replaces the voters by joint consensus; those who lose their vote stay as learners.
    pub async fn change_voters_at(
        &self,
        seen: MembershipVersion,
        voters: BTreeSet<ReplicaId>,
    ) -> Result<(), MembershipError> {
        let progress = self.progress_at(seen)?;
        check_voters(&progress, self.key.1, &voters)?;
        if progress.settled && progress.voters() == voters {
            return Ok(());
        }
        let voters = voters.into_iter().map(|voter| voter.0).collect();
        self.change(progress, ChangeMembers::ReplaceAllVoters(voters)).await
    }

    /// Removes a learner.
    pub async fn remove_member_at(
        &self,
        seen: MembershipVersion,
        replica: ReplicaId,
    ) -> Result<(), MembershipError> {
        let progress = self.progress_at(seen)?;
        match progress.members.iter().find(|member| member.replica == replica) {
            None => Ok(()),
            Some(_) if !progress.settled => Err(MembershipError::Busy),
            Some(member) if member.role == MemberRole::Learner => {
                let removed = BTreeSet::from([replica.0]);
                self.change(progress, ChangeMembers::RemoveNodes(removed)).await
            }
            Some(_) => Err(MembershipError::Refused(format!(
                "replica {replica} has a vote; change the voters first"
            ))),
        }
    }

    /// Carries a change out. It goes on when the caller leaves, and no other begins before its end.
    async fn change(
        &self,
        progress: GroupProgress,
        change: ChangeMembers<u64, Home>,
    ) -> Result<(), MembershipError> {
        let turn = Arc::clone(&self.changing).try_lock_owned();
        let Ok(turn) = turn else { return Err(MembershipError::Busy) };
        let version = progress.version;
        let request = ChangeMembershipRequest::new(change, true).with_preconditions([
            Precondition::LastMembershipLogId {
                last_membership_log_id: Some(log_id(version.term, version.index)),
            },
            Precondition::CommittedLeaderId { committed_leader_id: Term::new(progress.term) },
        ]);
        let raft = self.raft.clone();
        let changed = tokio::spawn(async move {
            let changed: Changed =
                raft.change_membership_with_payload(request).await.map(|outcome| outcome.uniform);
            drop(turn);
            changed
        });
        match tokio::time::timeout(limits::PROPOSE_WAIT_MAX, changed).await {
            Ok(Ok(Ok(_done))) => Ok(()),
            Ok(Ok(Err(RaftError::APIError(error)))) => Err(refusal(error)),
            Ok(Ok(Err(RaftError::Fatal(fatal)))) => {
                Err(MembershipError::Stopped(fatal.to_string()))
            }
            Ok(Err(_)) | Err(_) => Err(MembershipError::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn member(id: u64, role: MemberRole, matched: u64) -> Member {
        Member {
            replica: ReplicaId(id),
            node: NodeId(id),
            role,
            matched: Some(matched),
            silent_for: Some(Duration::ZERO),
        }
    }

    fn group(members: Vec<Member>) -> GroupProgress {
        let settled = members
            .iter()
            .all(|member| matches!(member.role, MemberRole::Voter | MemberRole::Learner));
        let version = MembershipVersion { term: 1, index: 1 };
        GroupProgress { term: 1, last_log_index: 1000, version, settled, members }
    }

    fn voters(ids: &[u64]) -> BTreeSet<ReplicaId> {
        ids.iter().copied().map(ReplicaId).collect()
    }

    fn check(members: Vec<Member>, ids: &[u64]) -> String {
        match check_voters(&group(members), ReplicaId(1), &voters(ids)) {
            Ok(()) => "ok".to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_change_of_voters_is_allowed_only_when_it_is_safe() {
        use MemberRole::{Joining, Learner, Leaving, Voter};
        let three = || vec![member(1, Voter, 1000), member(2, Voter, 1000), member(3, Voter, 1000)];
        let with = |extra| [three(), vec![extra]].concat();
        assert_eq!(check(with(member(4, Learner, 990)), &[1, 2, 4]), "ok");
        assert!(check(with(member(4, Learner, 100)), &[1, 2, 4]).contains("lacks 900 entries"));
        assert!(check(three(), &[1, 2, 4]).contains("add it first"));
        assert!(check(with(member(4, Learner, 990)), &[2, 3, 4]).contains("transfer leadership"));
        assert!(check(three(), &[]).contains("at least one voter"));
        let silent = Member { silent_for: Some(Duration::from_secs(60)), ..member(2, Voter, 1000) };
        let members = vec![member(1, Voter, 1000), silent.clone(), member(3, Voter, 10)];
        assert!(check(members, &[1, 2, 3]).contains("only 1 of 3 voters"));
        let newcomer = Member { role: Learner, ..silent };
        assert!(check(vec![member(1, Voter, 1000), newcomer], &[1, 2]).contains("replica r2"));
        let joint =
            || vec![member(1, Voter, 1000), member(2, Leaving, 1000), member(3, Joining, 1000)];
        assert_eq!(check(joint(), &[1, 3]), "ok", "finished");
        assert_eq!(check(joint(), &[1, 2]), "ok", "undone");
        assert!(check(joint(), &[1, 2, 3]).contains("under way"));
    }
}
