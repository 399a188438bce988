//! One shard's replication as the rest of the node sees it. openraft's types stop here.

use crate::compare::Comparison;
use crate::follower_read::{FollowerReadError, FollowerSnapshot};
use crate::split::SplitCommand;
use base::{NodeId, ReplicaId, ShardId, limits};
use bytes::Bytes;
use engine::Engine;
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A replica of a shard together with its group.
#[async_trait::async_trait]
pub trait ReplicaGroup: Send + Sync + 'static {
    /// The shard.
    fn shard(&self) -> ShardId;

    /// This replica.
    fn replica(&self) -> ReplicaId;

    /// The replica's engine; reads only, writes come through `apply`.
    fn engine(&self) -> Arc<dyn Engine>;

    /// The leader's node, when known.
    fn leader(&self) -> Option<NodeId>;

    /// The term in which this replica may serve reads and writes right now: it leads, its last quorum
    /// acknowledgement is younger than `base::limits::LEASE_READ_MAX`, and it has applied an entry of its
    /// own term. Reads cached metrics only: no message, no channel.
    fn serving_term(&self) -> Option<u64>;

    /// As `serving_term`, but when only the lease is too old it asks a quorum first (ReadIndex).
    async fn confirm_term(&self) -> Option<u64>;

    /// A view of this replica's engine that misses nothing acknowledged before the call, on a follower too:
    /// the leader says how far it must reach, and this replica waits until it has applied that.
    ///
    /// # Errors
    /// When no leader can say, or the replica lags for longer than `wait_max`. Never an older view.
    async fn follower_snapshot(
        &self,
        wait_max: Duration,
    ) -> Result<FollowerSnapshot, FollowerReadError>;

    /// A view of this replica's engine as it is, whether it leads or not, and the entry up to which everything is in it. No
    /// message.
    ///
    /// # Errors
    /// When the replica has stopped, or is just installing a Raft snapshot.
    fn applied_view(&self) -> Result<FollowerSnapshot, FollowerReadError>;

    /// Waits until this replica has applied an entry; `false` when it has not after `wait_max`.
    async fn wait_applied(&self, index: u64, wait_max: Duration) -> bool;

    /// Compares what all members hold at one entry of the log, and stops those that differ from the
    /// majority. On the leader; takes as long as reading the content at a limited rate does.
    ///
    /// # Errors
    /// As `propose`.
    async fn compare(&self) -> Result<Comparison, ProposeError>;

    /// Why the node takes no new writes, a sentence for people, if it takes none: its disk or its log is
    /// full. What was begun may still be proposed, and reads are not concerned. No I/O.
    fn refuses_writes(&self) -> Option<String>;

    /// Replicates a command if this replica leads in `term` (openraft's `with_leader` fence).
    ///
    /// # Errors
    /// `NotLeader`: in no log, safe to try elsewhere. `Unknown`: may be applied later.
    async fn propose(&self, term: u64, command: Bytes) -> Result<(), ProposeError>;

    /// Replicates a split of this shard if this replica leads in `term`, as `propose` does. Applied on a replica that
    /// it names, it leaves the folder of a replica of the child beside this one's: the child's group can start.
    ///
    /// # Errors
    /// As `propose`; and `Refused` when it does not fit the members.
    async fn propose_split(&self, term: u64, split: SplitCommand) -> Result<(), ProposeError>;

    /// Stands for election now instead of when a timer runs out, if nobody leads: a majority is asked first whether
    /// it would vote. Returns once that has begun. For a group that a split has just made; asking again is safe.
    ///
    /// # Errors
    /// `Refused` while this replica may take no part in elections, after a start.
    async fn campaign(&self) -> Result<(), ProposeError>;

    /// Asks the group to make another of its replicas leader; returns once it has asked.
    ///
    /// # Errors
    /// `NotLeader` when this replica does not lead or the other one has no vote or lags: nothing has changed then.
    async fn transfer_leader(&self, to: NodeId) -> Result<(), ProposeError> {
        self.transfer_leader_after(to, Box::pin(async {})).await
    }

    /// The same with a farewell: it runs once this replica serves no more, and before the other one is asked to lead.
    /// Nobody serves while it runs, so it must end soon by itself. It is not run when the transfer is refused at once;
    /// when the other one turns out to lag, it was run for nothing and this replica goes on leading.
    ///
    /// # Errors
    /// As `transfer_leader`.
    async fn transfer_leader_after(
        &self,
        to: NodeId,
        farewell: BoxFuture<'static, ()>,
    ) -> Result<(), ProposeError>;

    /// A picture for `precinct status`, metrics and `SHOW SHARDS`.
    fn status(&self) -> ReplicaStatus;

    /// The group as its leader sees it; `None` when this replica does not lead.
    fn progress(&self) -> Option<GroupProgress>;

    /// Adds a replica without a vote, if the membership is still the one `seen`. Adding it twice is no
    /// error. The leader sends it everything, by a Raft snapshot where the log does not reach.
    ///
    /// # Errors
    /// `Refused` when the id is known on another node; the others as they say.
    async fn add_learner(
        &self,
        seen: MembershipVersion,
        replica: ReplicaId,
        node: NodeId,
    ) -> Result<(), MembershipError>;

    /// Makes these replicas the voters by joint consensus, if the membership is still the one `seen`.
    /// Those who lose their vote stay as learners. Also finishes or undoes a change that a crash left
    /// half-way.
    ///
    /// # Errors
    /// `Behind` when a new voter has not caught up; `Refused` when this leader is not among them, or no
    /// majority of them answers; the others as they say.
    async fn change_voters(
        &self,
        seen: MembershipVersion,
        voters: BTreeSet<ReplicaId>,
    ) -> Result<(), MembershipError>;

    /// Removes a learner, if the membership is still the one `seen`. Removing it twice is no error.
    ///
    /// # Errors
    /// `Refused` when it has a vote; the others as they say.
    async fn remove_member(
        &self,
        seen: MembershipVersion,
        replica: ReplicaId,
    ) -> Result<(), MembershipError>;
}

/// Which membership is in force: the place of its entry in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MembershipVersion {
    /// Term of the entry.
    pub term: u64,
    /// Index of the entry.
    pub index: u64,
}

/// What a member counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    /// Has a vote, before and after a change that may be under way.
    Voter,
    /// Receives everything, has no vote.
    Learner,
    /// During a change of voters: has a vote in the new set only.
    Joining,
    /// During a change of voters: has a vote in the old set only.
    Leaving,
}

/// One member, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The replica.
    pub replica: ReplicaId,
    /// Its node.
    pub node: NodeId,
    /// What it counts for.
    pub role: MemberRole,
    /// Index up to which it has the leader's log; `None` when it has nothing or nothing is known.
    pub matched: Option<u64>,
    /// Time since it answered last; `None` when it never answered this leader.
    pub silent_for: Option<Duration>,
}

/// A group, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupProgress {
    /// The leader's term.
    pub term: u64,
    /// Index of the last entry in its log.
    pub last_log_index: u64,
    /// The membership in force.
    pub version: MembershipVersion,
    /// Whether no change is under way: the membership is log-committed and not joint.
    pub settled: bool,
    /// Everyone.
    pub members: Vec<Member>,
}

impl GroupProgress {
    /// Those who have a vote when a change under way is done.
    pub fn voters(&self) -> BTreeSet<ReplicaId> {
        let voters = |role| matches!(role, MemberRole::Voter | MemberRole::Joining);
        let members = self.members.iter().filter(|member| voters(member.role));
        members.map(|member| member.replica).collect()
    }

    /// Whether a member has nearly every entry and answered lately.
    pub fn keeps_up(&self, member: &Member) -> bool {
        let near = |matched| matched + limits::MEMBER_LAG_MAX >= self.last_log_index;
        let fresh = |silent: Duration| silent <= limits::MEMBER_SILENT_MAX;
        member.matched.is_some_and(near) && member.silent_for.is_some_and(fresh)
    }
}

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// This replica does not lead. Ask the leader.
    #[error("not the leader")]
    NotLeader,
    /// Another change is under way, or the membership is not the one the caller saw. Look again.
    #[error("another change of members is under way")]
    Busy,
    /// A new voter has not caught up. Wait and ask again.
    #[error("replica {replica} lacks {entries} entries or does not answer")]
    Behind {
        /// Which one.
        replica: ReplicaId,
        /// How many entries it lacks.
        entries: u64,
    },
    /// The change would break a rule. Ask for something else.
    #[error("{0}")]
    Refused(String),
    /// No quorum answered in time, or leadership was lost meanwhile: it may have happened. Look again.
    #[error("outcome unknown")]
    Unknown,
    /// The replica has stopped.
    #[error("replica stopped: {0}")]
    Stopped(String),
}

/// Why a command was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This replica does not lead in that term; the command is in no log.
    #[error("not the leader")]
    NotLeader,
    /// No quorum answered in time, or leadership was lost meanwhile: it may be applied later.
    #[error("outcome unknown")]
    Unknown,
    /// It cannot be done as things stand: it has changed nothing and never will. Ask again later, or for
    /// something else. Only of splits and campaigns.
    #[error("refused: {0}")]
    Refused(String),
    /// The replica has stopped (corruption, disk error, shutdown).
    #[error("replica stopped: {0}")]
    Stopped(String),
}

/// A replica's state for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The shard.
    pub shard: ShardId,
    /// The replica.
    pub replica: ReplicaId,
    /// The leader's node, when known.
    pub leader: Option<NodeId>,
    /// Current term.
    pub term: u64,
    /// Index of the last entry in the log.
    pub last_log_index: u64,
    /// Index of the last applied entry.
    pub applied_index: u64,
    /// Voters: replica and its node.
    pub voters: Vec<(ReplicaId, NodeId)>,
    /// `leader`, `follower`, `candidate`, `learner`, or `stopped: why`.
    pub role: String,
}
