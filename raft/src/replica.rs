//! One running replica: openraft with our log, engine and transport, seen as a `ReplicaGroup`.

use crate::applier::{Applier, ApplierContext};
use crate::command::OWN_TAG;
use crate::compare::Comparison;
use crate::defect;
use crate::engine_slot::EngineSlot;
use crate::follower_read::{FollowerReadError, FollowerSnapshot};
use crate::lease;
use crate::log::record::Key;
use crate::replica_group::{
    GroupProgress, MembershipError, MembershipVersion, ProposeError, ReplicaGroup, ReplicaStatus,
};
use crate::snapshot::receiving::Receiving;
use crate::split::SplitCommand;
use crate::transport::network::Peers;
use crate::type_config::{Answer, Command, Term, TypeConfig};
use crate::vote_gate::VoteGate;
use base::{NodeId, ReplicaId, ShardId, SharedClock, limits};
use bytes::Bytes;
use engine::Engine;
use futures::future::BoxFuture;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{LinearizerOption, RaftMetrics, ServerState};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Bytes that one permit of the proposal budget stands for.
const PERMIT_BYTES: usize = 1024;

/// Whether a replica works, and if not, why.
pub struct Health {
    /// Which replica, for messages.
    key: Key,
    /// Why it stopped.
    reason: watch::Sender<Option<String>>,
}

impl Health {
    /// A replica that works.
    pub fn new(key: Key) -> Health {
        Health { key, reason: watch::channel(None).0 }
    }

    /// Stops the replica. The first reason stays.
    pub fn stop(&self, reason: String) {
        self.reason.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                tracing::error!(shard = %self.key.0, replica = %self.key.1, %reason, "replica stops");
                *known = Some(reason);
            }
            first
        });
    }

    /// Ends the replica on purpose.
    pub fn end(&self, reason: &str) {
        self.reason.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| reason.to_string());
            first
        });
    }

    /// Why it stopped.
    pub fn reason(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    /// Whether it stopped. Cheap.
    pub fn stopped(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Waits until it stops.
    pub async fn wait_stopped(&self) {
        let mut reason = self.reason.subscribe();
        // The sender is `self`.
        let _ = reason.wait_for(|reason| reason.is_some()).await;
    }
}

/// openraft, as we run it.
pub type Raft = openraft::Raft<TypeConfig, Applier>;

/// A running replica.
pub struct Replica {
    /// Which one.
    pub key: Key,
    /// openraft.
    pub raft: Raft,
    /// What the state machine shares.
    pub context: Arc<ApplierContext>,
    /// Elections after a start.
    pub gate: VoteGate,
    /// The Raft snapshot that is being received.
    pub receiving: Receiving,
    /// The lanes to other nodes.
    pub peers: Arc<Peers>,
    /// Held while this replica compares its group.
    pub comparing: tokio::sync::Mutex<()>,
    /// Held while the members are being changed.
    pub(crate) changing: Arc<tokio::sync::Mutex<()>>,
    /// What openraft published last.
    metrics: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
    /// The term whose leadership was given away or is being given away; 0 when none.
    revoked_term: AtomicU64,
    /// When a leader's append was last taken, microseconds of the clock plus one; 0 before the first.
    leader_heard_at: AtomicU64,
    /// Whether openraft looks at its timers.
    ticks: AtomicBool,
    /// Budget of commands in flight.
    permits: Semaphore,
    /// Time.
    clock: SharedClock,
}

impl Replica {
    /// A replica whose openraft has been built.
    pub fn new(
        raft: Raft,
        context: Arc<ApplierContext>,
        gate: VoteGate,
        peers: Arc<Peers>,
    ) -> Replica {
        Replica {
            peers,
            comparing: tokio::sync::Mutex::new(()),
            key: context.key,
            metrics: raft.metrics(),
            raft,
            gate,
            receiving: Receiving::default(),
            changing: Arc::default(),
            revoked_term: AtomicU64::new(0),
            leader_heard_at: AtomicU64::new(0),
            ticks: AtomicBool::new(true),
            permits: Semaphore::new(limits::PROPOSER_BYTES_MAX / PERMIT_BYTES),
            clock: context.clock.clone(),
            context,
        }
    }

    /// Looks at what openraft published last.
    pub fn with_metrics<T>(&self, look: impl FnOnce(&RaftMetrics<TypeConfig>) -> T) -> T {
        look(&self.metrics.borrow_watched())
    }

    /// The engine, as readers hold it.
    pub fn slot(&self) -> &Arc<EngineSlot> {
        &self.context.slot
    }

    /// Why the replica does not work, if it does not.
    pub(crate) fn stop_reason(&self) -> Option<String> {
        let fatal = || {
            self.with_metrics(|metrics| metrics.running_state.clone().err())
                .map(|fatal| fatal.to_string())
        };
        self.context.health.reason().or_else(fatal)
    }

    /// Whether leadership of this term has been given away.
    pub(crate) fn revoked(&self, term: u64) -> bool {
        self.revoked_term.load(Ordering::Acquire) == term
    }

    /// Notes that an append of a leader of this term or a newer one, which came at a time, was taken: the lease runs
    /// anew.
    pub(crate) fn hear_leader(&self, came: Duration) {
        self.leader_heard_at.fetch_max(came.as_micros() as u64 + 1, Ordering::Relaxed);
    }

    /// When a leader was last heard, monotonic.
    pub(crate) fn leader_heard_at(&self) -> Option<Duration> {
        let heard = self.leader_heard_at.load(Ordering::Relaxed);
        heard.checked_sub(1).map(Duration::from_micros)
    }

    /// Whether openraft looks at its timers.
    #[cfg(test)]
    pub(crate) fn ticks(&self) -> bool {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Lets openraft look at its timers, or not.
    pub(crate) fn tick(&self, on: bool) {
        if self.ticks.swap(on, Ordering::Relaxed) != on {
            self.raft.runtime_config().tick(on);
        }
    }

    /// Ends openraft. The engine stays open for those who hold it.
    pub async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(shard = %self.key.0, replica = %self.key.1, %error, "Raft ended badly");
        }
    }

    /// Replicates a command, of the state machine or our own. Returns the index of its entry.
    pub(crate) async fn replicate(&self, term: u64, command: Bytes) -> Result<u64, ProposeError> {
        if let Some(reason) = self.stop_reason() {
            return Err(ProposeError::Stopped(reason));
        }
        if command.len() > limits::ENTRY_BYTES_MAX {
            let (bytes, max) = (command.len(), limits::ENTRY_BYTES_MAX);
            let what = format!("a command of {bytes} bytes is above the limit of {max}; cut it");
            return Err(ProposeError::Stopped(what));
        }
        if self.revoked(term) {
            return Err(ProposeError::NotLeader);
        }
        let permits = (command.len() / PERMIT_BYTES + 1) as u32;
        let room =
            tokio::time::timeout(limits::PROPOSE_WAIT_MAX, self.permits.acquire_many(permits));
        // Not that this replica leads no more: whoever hears that lets go of what the term protects.
        let Ok(Ok(_room)) = room.await else { return Err(ProposeError::Unknown) };
        let (answer, outcome) = Answer::pair();
        // The fence: accepted only while this replica leads in that term.
        let write = self.raft.write(Command(command)).responder(answer);
        let write =
            if defect::active("no-fence") { write } else { write.with_leader(Term::new(term)) };
        if write.await.is_err() {
            let reason = self.stop_reason().unwrap_or_else(|| "Raft has stopped".to_string());
            return Err(ProposeError::Stopped(reason));
        }
        match tokio::time::timeout(limits::PROPOSE_WAIT_MAX, outcome).await {
            Ok(Ok(Ok(applied))) => Ok(applied.log_id.index),
            // Refused before it was appended.
            Ok(Ok(Err(ClientWriteError::ForwardToLeader(_)))) => Err(ProposeError::NotLeader),
            Ok(Ok(Err(ClientWriteError::PreconditionFailed(_)))) => Err(ProposeError::NotLeader),
            Ok(Ok(Err(ClientWriteError::ChangeMembershipError(_)))) => Err(ProposeError::NotLeader),
            Ok(Ok(Err(ClientWriteError::LogEntryDiscarded(_)))) => Err(ProposeError::Unknown),
            Ok(Err(_)) | Err(_) if defect::active("unknown-is-acknowledged") => Ok(0),
            // Raft ended while the command was on its way, or no quorum answered in time.
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Waits until `to` has every entry and answered lately.
    async fn wait_caught_up(&self, to: u64) -> bool {
        let give_up = self.clock.monotonic() + limits::TRANSFER_WAIT_MAX;
        loop {
            let ready = self.with_metrics(|metrics| {
                let matched = metrics.replication.as_ref().and_then(|all| all.get(&to).copied());
                let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(&to).copied());
                let all = matched.flatten().map(|matched| matched.index) == metrics.last_log_index;
                let fresh = heard.flatten().is_some_and(|heard| {
                    openraft::Instant::elapsed(&*heard) < limits::HEARTBEAT_INTERVAL * 3
                });
                all && fresh
            });
            if ready {
                return true;
            }
            if self.clock.monotonic() > give_up {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[async_trait::async_trait]
impl ReplicaGroup for Replica {
    fn shard(&self) -> ShardId {
        self.key.0
    }

    fn replica(&self) -> ReplicaId {
        self.key.1
    }

    fn engine(&self) -> Arc<dyn Engine> {
        self.context.slot.clone()
    }

    fn leader(&self) -> Option<NodeId> {
        self.with_metrics(|metrics| {
            let leader = metrics.current_leader?;
            metrics.membership_config.membership().get_node(&leader).map(|home| home.node)
        })
    }

    fn serving_term(&self) -> Option<u64> {
        if self.context.health.stopped() || !self.context.log.serves() {
            return None;
        }
        self.with_metrics(lease::serving_term).filter(|term| !self.revoked(*term))
    }

    async fn confirm_term(&self) -> Option<u64> {
        if let Some(term) = self.serving_term() {
            return Some(term);
        }
        if self.context.health.stopped() || !self.context.log.serves() {
            return None;
        }
        self.with_metrics(|metrics| metrics.state == ServerState::Leader).then_some(())?;
        if defect::active("read-index-skipped") {
            return self.with_metrics(lease::leading_term);
        }
        // ReadIndex: one heartbeat round serves everybody who asks meanwhile.
        let option = LinearizerOption::new(Some(Duration::ZERO), true)
            .with_wait_timeout(limits::ELECTION_TIMEOUT_MAX);
        let confirmed = self.raft.ensure_linearizable(option);
        let read = tokio::time::timeout(limits::PROPOSE_WAIT_MAX, confirmed).await.ok()?.ok()?;
        let term = **read.committed_leader_id();
        let leads = self.with_metrics(lease::leading_term) == Some(term);
        (leads && !self.revoked(term)).then_some(term)
    }

    async fn follower_snapshot(
        &self,
        wait_max: Duration,
    ) -> Result<FollowerSnapshot, FollowerReadError> {
        self.snapshot_of_all_acknowledged(wait_max).await
    }

    fn applied_view(&self) -> Result<FollowerSnapshot, FollowerReadError> {
        self.view_as_it_is()
    }

    async fn wait_applied(&self, index: u64, wait_max: Duration) -> bool {
        self.has_applied(index, wait_max).await
    }

    async fn compare(&self) -> Result<Comparison, ProposeError> {
        self.compare_members().await
    }

    fn refuses_writes(&self) -> Option<String> {
        self.context.log.refuses_writes()
    }

    async fn propose(&self, term: u64, command: Bytes) -> Result<(), ProposeError> {
        if command.first() == Some(&OWN_TAG) {
            let what = "a command must not begin with ff: that byte is Raft's own".to_string();
            return Err(ProposeError::Stopped(what));
        }
        self.replicate(term, command).await.map(|_index| ())
    }

    async fn propose_split(&self, term: u64, split: SplitCommand) -> Result<(), ProposeError> {
        self.propose_split_at(term, split).await
    }

    async fn campaign(&self) -> Result<(), ProposeError> {
        if let Some(reason) = self.stop_reason() {
            return Err(ProposeError::Stopped(reason));
        }
        // openraft's trigger asks no gate.
        if let Some(left) = self.gate.closed_for() {
            let what = format!("no part in elections for {} ms after a start", left.as_millis());
            return Err(ProposeError::Refused(what));
        }
        let asked = self.raft.trigger().elect(true).await;
        asked.map_err(|fatal| ProposeError::Stopped(fatal.to_string()))
    }

    async fn transfer_leader_after(
        &self,
        to: NodeId,
        farewell: BoxFuture<'static, ()>,
    ) -> Result<(), ProposeError> {
        if let Some(reason) = self.stop_reason() {
            return Err(ProposeError::Stopped(reason));
        }
        let Some(term) = self.serving_term() else { return Err(ProposeError::NotLeader) };
        let target = self.with_metrics(|metrics| {
            let membership = metrics.membership_config.membership();
            // While a replica is replaced on its own node, the node has two; one of them is empty or dead.
            let on_node = |id: &u64| membership.get_node(id).is_some_and(|home| home.node == to);
            let matched =
                |id: &u64| metrics.replication.as_ref().and_then(|all| all.get(id).copied());
            membership.voter_ids().filter(on_node).max_by_key(matched)
        });
        let Some(target) = target.filter(|target| *target != self.key.1.0) else {
            return Err(ProposeError::NotLeader);
        };
        // Reads end here, before anyone else can be elected: a transfer ignores leases. Writes end too,
        // so that the target can catch up. Once asked, openraft does not take a transfer back.
        if !defect::active("reads-during-transfer") {
            self.revoked_term.store(term, Ordering::Release);
        }
        farewell.await;
        // Last, so that the target is known to be there when it is asked.
        if !self.wait_caught_up(target).await {
            self.revoked_term.store(0, Ordering::Release);
            return Err(ProposeError::NotLeader);
        }
        let asked = self.raft.trigger().transfer_leader(target).await;
        asked.map_err(|fatal| ProposeError::Stopped(fatal.to_string()))
    }

    fn status(&self) -> ReplicaStatus {
        let stopped = self.stop_reason().map(|reason| format!("stopped: {reason}"));
        self.with_metrics(|metrics| {
            let membership = metrics.membership_config.membership();
            let role = match metrics.state {
                ServerState::Leader => "leader",
                ServerState::Follower => "follower",
                ServerState::Candidate => "candidate",
                ServerState::Learner => "learner",
                ServerState::Shutdown => "stopped: shut down",
            };
            let leader = metrics.current_leader;
            ReplicaStatus {
                shard: self.key.0,
                replica: self.key.1,
                leader: leader.and_then(|id| membership.get_node(&id)).map(|home| home.node),
                term: metrics.current_term,
                last_log_index: metrics.last_log_index.unwrap_or(0),
                applied_index: metrics.last_applied.as_ref().map_or(0, |applied| applied.index),
                voters: membership
                    .voter_ids()
                    .map(|id| {
                        let node = membership.get_node(&id).map_or(NodeId(0), |home| home.node);
                        (ReplicaId(id), node)
                    })
                    .collect(),
                role: stopped.unwrap_or_else(|| role.to_string()),
            }
        })
    }

    fn progress(&self) -> Option<GroupProgress> {
        self.group_progress()
    }

    async fn add_learner(
        &self,
        seen: MembershipVersion,
        replica: ReplicaId,
        node: NodeId,
    ) -> Result<(), MembershipError> {
        self.add_learner_at(seen, replica, node).await
    }

    async fn change_voters(
        &self,
        seen: MembershipVersion,
        voters: BTreeSet<ReplicaId>,
    ) -> Result<(), MembershipError> {
        self.change_voters_at(seen, voters).await
    }

    async fn remove_member(
        &self,
        seen: MembershipVersion,
        replica: ReplicaId,
    ) -> Result<(), MembershipError> {
        self.remove_member_at(seen, replica).await
    }
}

/// Whether an error says that the group has members already.
pub fn already_initialized(
    error: &RaftError<TypeConfig, openraft::errors::InitializeError<TypeConfig>>,
) -> bool {
    matches!(error, RaftError::APIError(openraft::errors::InitializeError::NotAllowed(_)))
}
