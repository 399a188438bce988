//! Row locks seen over nodes: owners and requests that are gone, and deadlocks that no single leader can see.
//!
//! ```text
//!  leader ── "which of these owners of yours live?" ──► their node      gone ─► their locks are released
//!         "and do these requests still wait?"          over ─► they leave their lines
//!  leader ── all waits for row locks here ──► node that leads the meta shard
//!                                               │ cycle over the waits of all nodes, twice in a row
//!                                               └► "this one gives way" ─► it answers 1213
//! ```
//!
//! Cycles within one node are found where the wait begins (`txn::row_locks`); this is for the others. A cycle counts
//! only if two surveys see it: what nodes told at different moments can look like one for a moment.
//!
//! Invariants:
//! 1. An owner is given up only when its node says that it is gone, or is silent for `LOCK_OWNER_SILENCE_MAX`. One
//!    that lives on all the same loses nothing: its commit checks what it has read.
//! 2. A waiter whose request was given up without a cancel leaves its line within `LOCK_OWNERS_ROUNDS` surveys.
//! 3. Nothing is sent while nobody of another node holds a lock and nobody waits.

use crate::cluster_client::ClusterClient;
use crate::local_shards::LocalShards;
use crate::peers::Peers;
use crate::wire;
use base::limits::{
    LOCK_OWNER_SILENCE_MAX, LOCK_OWNERS_ROUNDS, LOCK_SURVEY_INTERVAL, STATUS_WAIT_MAX,
};
use base::{NodeId, ShardId, SharedClock};
use parking_lot::Mutex;
use proto::node as pb;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use txn::ShardClient;
use txn::command::{LockOwner, LockWaiting};
use txn::row_locks::find_victims;

/// Waits that a node told longer ago than this many surveys are forgotten.
const TOLD_ROUNDS_MAX: u32 = 3;

/// This node's part in the survey.
pub struct LockSurvey {
    node: NodeId,
    client: Arc<ClusterClient>,
    local: Arc<LocalShards>,
    peers: Arc<Peers>,
    clock: SharedClock,
    /// What nodes told this one, while it leads the meta shard.
    told: Mutex<BTreeMap<NodeId, Told>>,
}

/// What one node told.
#[derive(Default)]
struct Told {
    /// When, monotonic.
    at: Duration,
    /// Its waits.
    waits: Vec<LockWaiting>,
    /// Owners waiting there that stood in a cycle when it last told.
    suspects: BTreeSet<LockOwner>,
}

/// Owners of one node, and requests of theirs that wait here.
#[derive(Clone, Default)]
struct Asked {
    owners: Vec<LockOwner>,
    waiting: Vec<(LockOwner, u64)>,
}

/// What that node says of them.
struct Answered {
    alive: BTreeSet<LockOwner>,
    /// Requests that nobody waits for any more.
    over: Vec<(LockOwner, u64)>,
}

impl LockSurvey {
    /// The survey of a node; [`Self::run`] makes it work.
    pub fn new(
        node: NodeId,
        client: Arc<ClusterClient>,
        local: Arc<LocalShards>,
        peers: Arc<Peers>,
        clock: SharedClock,
    ) -> Arc<LockSurvey> {
        let told = Mutex::default();
        Arc::new(LockSurvey { node, client, local, peers, clock, told })
    }

    /// Surveys until the node stops.
    pub async fn run(self: Arc<Self>) {
        // Since when nodes have not answered.
        let mut silent: BTreeMap<NodeId, Duration> = BTreeMap::new();
        let mut round = 0_u32;
        loop {
            tokio::time::sleep(LOCK_SURVEY_INTERVAL).await;
            round = round.wrapping_add(1);
            let locks = self.local.row_locks();
            if locks.is_empty() {
                silent.clear();
                continue;
            }
            if round.is_multiple_of(LOCK_OWNERS_ROUNDS) {
                self.ask_owners(&mut silent).await;
            }
            let waits = locks.waits();
            if !waits.is_empty() {
                for victim in self.tell_waits(waits).await {
                    locks.give_way(victim);
                }
            }
        }
    }

    /// Asks at once, and releases the locks of owners that are gone. Silent nodes are left to the next survey.
    pub async fn release_ended(&self) {
        self.ask_owners(&mut BTreeMap::new()).await;
    }

    /// Releases the locks of owners that are gone, and ends waits for requests that are over.
    async fn ask_owners(&self, silent: &mut BTreeMap<NodeId, Duration>) {
        let locks = self.local.row_locks();
        let mut of_nodes: BTreeMap<NodeId, Asked> = BTreeMap::new();
        for owner in locks.owners() {
            of_nodes.entry(owner.node()).or_default().owners.push(owner);
        }
        for (owner, number) in locks.waiting_requests() {
            of_nodes.entry(owner.node()).or_default().waiting.push((owner, number));
        }
        silent.retain(|node, _| of_nodes.contains_key(node));
        let began = self.clock.monotonic();
        let asked = of_nodes.into_iter().map(async |(node, asked)| {
            let answered = self.ask_node(node, asked.clone()).await;
            (node, asked.owners, answered)
        });
        for (node, owners, answered) in futures::future::join_all(asked).await {
            let now = self.clock.monotonic();
            match answered {
                Some(Answered { alive, over }) => {
                    silent.remove(&node);
                    let gone = owners.into_iter().filter(|owner| !alive.contains(owner));
                    gone.for_each(|owner| locks.release_all(owner));
                    over.into_iter().for_each(|(owner, number)| locks.cancel(owner, number, &[]));
                }
                None => {
                    // It was silent while it was asked; what took longer than an answer may is this node's own silence.
                    let asked_at = began.max(now.saturating_sub(STATUS_WAIT_MAX));
                    let since = *silent.entry(node).or_insert(asked_at);
                    if now >= since + LOCK_OWNER_SILENCE_MAX {
                        tracing::warn!(%node, owners = owners.len(),
                            "a node is silent; the row locks of its transactions are released");
                        owners.into_iter().for_each(|owner| locks.release_all(owner));
                    }
                }
            }
        }
    }

    /// Which owners of a node still live, and which of the requests are over; `None` when it does not answer.
    async fn ask_node(&self, node: NodeId, asked: Asked) -> Option<Answered> {
        if node == self.node {
            return Some(self.say(asked));
        }
        let request = wire::lock_owners_to_pb(asked.owners, asked.waiting);
        let request = pb::call::Request::LockOwners(request);
        match self.peers.call_any_way(node, request, STATUS_WAIT_MAX).await {
            Ok(pb::answer::Response::LockOwnersAlive(answer)) => {
                let alive = answer.owners.into_iter().map(LockOwner).collect();
                let over = wire::lock_requests_from_pb(answer.over);
                Some(Answered { alive, over })
            }
            Ok(_) | Err(_) => None,
        }
    }

    /// What this node knows of owners and requests of its own.
    fn say(&self, asked: Asked) -> Answered {
        let known = self.client.lock_owners();
        let alive = asked.owners.into_iter().filter(|owner| known.is_alive(*owner)).collect();
        let waiting = asked.waiting.into_iter();
        let over = waiting.filter(|(owner, number)| !known.is_under_way(*owner, *number)).collect();
        Answered { alive, over }
    }

    /// Whether an owner of any node still lives; `None` when its node does not say.
    pub async fn lives(&self, owner: LockOwner) -> Option<bool> {
        let asked = Asked { owners: vec![owner], waiting: Vec::new() };
        Some(self.ask_node(owner.node(), asked).await?.alive.contains(&owner))
    }

    /// Answers which owners of this node still live, and which of their requests are over.
    pub fn answer_owners(&self, request: pb::LockOwnersRequest) -> pb::LockOwnersAlive {
        let owners = request.owners.into_iter().map(LockOwner).collect();
        let waiting = wire::lock_requests_from_pb(request.waiting);
        let Answered { alive, over } = self.say(Asked { owners, waiting });
        let owners = alive.into_iter().map(|owner| owner.0).collect();
        pb::LockOwnersAlive { owners, over: wire::lock_requests_to_pb(over) }
    }

    /// Tells the waits of this node; the owners that are to give way here.
    async fn tell_waits(&self, waits: Vec<LockWaiting>) -> Vec<LockOwner> {
        let Some(finder) = self.client.leader(ShardId::META) else { return Vec::new() };
        if finder == self.node {
            return self.victims(self.node, waits);
        }
        let message = pb::call::Request::LockWaits(wire::waits_to_pb(self.node, waits));
        match self.peers.call_any_way(finder, message, STATUS_WAIT_MAX).await {
            Ok(pb::answer::Response::LockVictims(victims)) => {
                victims.owners.into_iter().map(LockOwner).collect()
            }
            // The next survey finds another one, or this one again.
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    /// Answers who of a node's waiting owners gives way.
    pub fn answer_waits(&self, message: pb::LockWaits) -> pb::LockVictims {
        let (node, waits) = wire::waits_from_pb(message);
        let victims = self.victims(node, waits);
        pb::LockVictims { owners: victims.into_iter().map(|owner| owner.0).collect() }
    }

    fn victims(&self, node: NodeId, waits: Vec<LockWaiting>) -> Vec<LockOwner> {
        let now = self.clock.monotonic();
        let mut told = self.told.lock();
        told.retain(|_, told| told.at + LOCK_SURVEY_INTERVAL * TOLD_ROUNDS_MAX >= now);
        let here: BTreeSet<LockOwner> = waits.iter().map(|waiting| waiting.owner).collect();
        let suspects = told.remove(&node).unwrap_or_default().suspects;
        let all = told.values().flat_map(|told| told.waits.iter().cloned());
        let all: Vec<LockWaiting> = all.chain(waits.iter().cloned()).collect();
        let found: BTreeSet<LockOwner> = find_victims(&all).intersection(&here).copied().collect();
        let victims = found.intersection(&suspects).copied().collect();
        told.insert(node, Told { at: now, waits, suspects: found });
        victims
    }
}
