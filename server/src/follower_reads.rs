//! Reads at the replicas of this node that do not lead, and the promises of their leaders that these rest on.
//!
//! ```text
//! this node, while somebody reads at followers            a leader of some of its shards
//!   every CLOSE_INTERVAL: T ── CloseTimestamp(T, shards) ──► writes under way that may commit at T are over
//!   <──────────────── entry of each shard's log ──────────── still leads
//!   applied that entry: reads at T and before are answered here, without any message
//!
//! a read at a later point: the same for its shard alone, now, then waits until the entry is applied
//! ```
//!
//! So a read may be as fresh as the clock, for one small message, or a little older, for none; and while a shard has no leader
//! its followers go on answering up to the last T. Nodes that nobody asks for such reads ask nobody: a quiet cluster stays quiet.
//!
//! Invariants:
//! 1. A timestamp is asked for only after the oracle has handed it out.
//! 2. One message per pair of nodes and round, however many shards.
//!
//! Not here: why a promise is true (`txn::closed`, `txn::shard`), who reads what (`cluster_client`).

use crate::cluster_client::ClusterClient;
use crate::local_shards::{LocalShard, LocalShards};
use crate::peers::{CallError, Peers};
use base::limits::{
    CLOSE_CALL_WAIT_MAX, CLOSE_INTEREST, CLOSE_INTERVAL, FOLLOWER_CATCH_UP_MAX, SHARDS_MAX,
};
use base::{NodeId, ShardId, SharedClock, Timestamp};
use futures::future::join_all;
use proto::node as pb;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;
use txn::command::{ReadRequest, ReadResponse};
use txn::{Closed, Error, Result, Route, ShardClient};

/// This node's followers.
pub struct FollowerReads {
    /// This node.
    node: NodeId,
    /// Its replicas.
    local: Arc<LocalShards>,
    /// Ways to their leaders.
    peers: Arc<Peers>,
    /// Time.
    clock: SharedClock,
    /// Where timestamps come from; it holds this in its turn.
    client: Weak<ClusterClient>,
    /// When somebody last wanted to read at followers, monotonic milliseconds plus one; 0 before the first.
    wanted_at: AtomicU64,
    /// Rings when somebody wants to after a while of silence.
    wanted: Notify,
    /// Up to when all followers of this node answer, as of the last round; zero before there was one.
    closed: AtomicU64,
}

impl FollowerReads {
    /// Silent until it runs and is wanted.
    pub fn new(
        node: NodeId,
        local: Arc<LocalShards>,
        peers: Arc<Peers>,
        clock: SharedClock,
        client: Weak<ClusterClient>,
    ) -> Arc<FollowerReads> {
        Arc::new(FollowerReads {
            node,
            local,
            peers,
            clock,
            client,
            wanted_at: AtomicU64::new(0),
            wanted: Notify::new(),
            closed: AtomicU64::new(0),
        })
    }

    /// A timestamp at which all followers of this node answered a moment ago.
    pub fn closed(&self) -> Option<Timestamp> {
        self.want();
        let closed = Timestamp(self.closed.load(Ordering::Relaxed));
        (closed != Timestamp::ZERO).then_some(closed)
    }

    /// Runs a read on this node's replica, which does not lead. The read point must have been handed out.
    ///
    /// # Errors
    /// As [`txn::shard::Shard::read_as_follower`], after its leader was asked and the replica has had time to catch up.
    pub async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        let shard = route.shard;
        let replica = self.local.get(shard);
        let replica = replica.ok_or_else(|| no_follower(shard, "it has no replica here"))?;
        self.want();
        let outcome = replica.shard.read_as_follower(route.slots, request.clone());
        let ts = match &request {
            ReadRequest::Get { ts, .. } | ReadRequest::Scan { ts, .. } => *ts,
            ReadRequest::Changed { .. } | ReadRequest::OldestLock { .. } => return outcome,
        };
        let leads = replica.group.serving_term().is_some();
        if leads || ts == Timestamp::MAX || !matches!(outcome, Err(Error::NoFollower { .. })) {
            return outcome;
        }
        let index = self.entry_for(&replica, ts).await?;
        if !replica.group.wait_applied(index, FOLLOWER_CATCH_UP_MAX).await {
            let what = format!("it lags: it has not applied entry {index} in time");
            return Err(no_follower(shard, &what));
        }
        replica.shard.read_as_follower(route.slots, request)
    }

    /// The entry that a replica must have applied before it answers a read; its leader is asked unless it has told before.
    async fn entry_for(&self, replica: &LocalShard, ts: Timestamp) -> Result<u64> {
        if let Some(index) = replica.shard.entry_for(ts) {
            return Ok(index);
        }
        let shard = replica.shard.id();
        let leader = replica.group.leader().filter(|leader| *leader != self.node);
        let leader = leader.ok_or_else(|| no_follower(shard, "its leader is not known"))?;
        self.ask(leader, ts, vec![shard.0]).await.map_err(|why| no_follower(shard, &why))?;
        let index = replica.shard.entry_for(ts);
        index.ok_or_else(|| no_follower(shard, &format!("node {} does not lead it now", leader.0)))
    }

    /// Has a leader close a timestamp for some of its shards, and remembers what it promises.
    async fn ask(
        &self,
        leader: NodeId,
        ts: Timestamp,
        shards: Vec<u64>,
    ) -> std::result::Result<(), String> {
        let request = pb::call::Request::CloseTimestamp(pb::CloseTimestamp { ts: ts.0, shards });
        let answer = match self.peers.call(leader, request, CLOSE_CALL_WAIT_MAX).await {
            Ok(pb::answer::Response::TimestampClosed(answer)) => answer,
            // It is starting, or of an older version.
            Ok(_) => return Err(format!("node {} cannot say what may be read", leader.0)),
            Err(CallError::NotSent(why) | CallError::Lost(why)) => return Err(why),
        };
        let ts = Timestamp(answer.ts);
        for pb::ClosedShard { shard, index } in answer.shards {
            if let Some(replica) = self.local.get(ShardId(shard)) {
                replica.shard.learn_closed(Closed { ts, index });
            }
        }
        Ok(())
    }

    /// Answers another node: what the leaders of this node promise.
    pub async fn close(&self, request: pb::CloseTimestamp) -> pb::TimestampClosed {
        let pb::CloseTimestamp { ts, shards } = request;
        let led = shards.into_iter().take(SHARDS_MAX);
        let led = led.filter_map(|shard| self.local.get(ShardId(shard)));
        let closed = join_all(led.map(|replica| async move {
            let closed = replica.shard.close(Timestamp(ts)).await.ok()?;
            Some(pb::ClosedShard { shard: replica.shard.id().0, index: closed.index })
        }));
        pb::TimestampClosed { ts, shards: closed.await.into_iter().flatten().collect() }
    }

    /// Keeps followers ready for reads, as long as somebody reads at them.
    pub async fn run(self: Arc<Self>) {
        loop {
            if !self.is_wanted() {
                self.wanted.notified().await;
            }
            self.round().await;
            tokio::time::sleep(CLOSE_INTERVAL).await;
        }
    }

    async fn round(&self) {
        let mut shards_by_leader: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        let all = self.local.all().into_iter();
        let followers: Vec<LocalShard> = all
            .filter(|replica| {
                replica.shard.id() != ShardId::META && replica.group.serving_term().is_none()
            })
            .collect();
        for replica in &followers {
            if let Some(leader) = replica.group.leader().filter(|leader| *leader != self.node) {
                shards_by_leader.entry(leader).or_default().push(replica.shard.id().0);
            }
        }
        if !shards_by_leader.is_empty()
            && let Some(ts) = self.now().await
        {
            let asked = shards_by_leader.into_iter();
            let asked = asked.map(|(leader, shards)| self.ask(leader, ts, shards));
            for why in join_all(asked).await.into_iter().filter_map(std::result::Result::err) {
                // The timestamp of the last round stands, and grows older.
                tracing::debug!(%why, "a leader has closed no timestamp");
            }
        }
        let closed = followers.iter().map(|replica| replica.shard.closed()).min();
        self.closed.store(closed.unwrap_or_default().0, Ordering::Relaxed);
    }

    /// A timestamp that is handed out now.
    async fn now(&self) -> Option<Timestamp> {
        self.client.upgrade()?.timestamp().await.ok()
    }

    fn want(&self) {
        let was_wanted = self.is_wanted();
        self.wanted_at.store(self.monotonic_ms() + 1, Ordering::Relaxed);
        if !was_wanted {
            self.wanted.notify_one();
        }
    }

    fn is_wanted(&self) -> bool {
        let at = self.wanted_at.load(Ordering::Relaxed);
        let silent_ms = self.monotonic_ms().saturating_sub(at);
        at != 0 && u128::from(silent_ms) <= CLOSE_INTEREST.as_millis()
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

fn no_follower(shard: ShardId, what: &str) -> Error {
    Error::NoFollower { shard, what: what.to_string() }
}
