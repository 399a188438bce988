//! The way from a transaction to shards: straight into the local leader, or over a peer's stream.
//!
//! A request looks for the shard's leader until it finds one or its time is up:
//!
//! ```text
//! hint ──> call ──┬─ answer ──────────────────────────────> caller
//!   ▲             ├─ Moved, and the newest map says so ───> caller, who groups its keys again
//!   │             ├─ Moved, and no map says so yet ───┐
//!   │             ├─ NotServing(leader?) ── new hint ─┤
//!   └── pause ────┴─ NotSent / Lost (read) ───────────┘   the newest map does not name the shard: as Moved
//! ```
//!
//! A read at a timestamp may also go to the replicas that do not lead (`read_at_follower`): each is asked once, this node's own
//! first, and nobody waits for a leader.
//!
//! First pages of a scan of many shards are tried before anything is searched for (`try_scan`, `try_scans_at`): here in a plain
//! call, at another node with one message for all shards that it probably leads. What that does not answer is read as above.
//!
//! Invariants:
//! 1. A write that may have happened is never sent again, unless repeating it changes nothing
//!    (prewrite, commit, rollback, status, locks, settle, heartbeat, bump).
//! 2. Every request ends within `ROUTE_WAIT_MAX` plus one call and one look for a newer map.
//! 3. `Moved` is answered only when nothing was executed and a newer map is here.

use crate::directory::Directory;
use crate::follower_reads::FollowerReads;
use crate::local_shards::{LocalShard, LocalShards};
use crate::lock_time::LockTime;
use crate::map_refresh::MapRefresh;
use crate::peers::{CallError, Peers};
use crate::wire;
use base::limits::{
    FOLLOWER_CALL_WAIT_MAX, LOCK_CANCEL_TRIES, PROPOSE_WAIT_MAX, ROUTE_RETRY_PAUSE, ROUTE_WAIT_MAX,
    ROW_LOCK_ROUND_MAX,
};
use base::{NodeId, ShardId, SharedClock, SlotRange, TableId, Timestamp};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use proto::node as pb;
use shard_router::{ShardInfo, ShardMap};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use txn::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, Patience, ReadRequest, ReadResponse,
    WriteRequest, WriteResponse,
};
use txn::{Error, LockOwners, Oracle, ReadPoints, Result, Route, ShardClient, TransactionSizes};

/// Longest wait for one call's answer: the leader's own wait for its quorum, and a little more.
const CALL_WAIT_MAX: Duration = Duration::from_millis(4300);

const _: () = assert!(CALL_WAIT_MAX.as_millis() > PROPOSE_WAIT_MAX.as_millis());

/// Finds leaders and talks to them.
pub struct ClusterClient {
    node: NodeId,
    directory: Arc<Directory>,
    local: Arc<LocalShards>,
    peers: Arc<Peers>,
    clock: SharedClock,
    runtime: tokio::runtime::Handle,
    /// Last known leader of shards whose leader no local replica knows.
    hints: Mutex<BTreeMap<ShardId, NodeId>>,
    oracle: OnceLock<Arc<dyn Oracle>>,
    /// Newer shard maps.
    map_refresh: OnceLock<Arc<MapRefresh>>,
    /// Reads at this node's followers.
    follower_reads: OnceLock<Arc<FollowerReads>>,
    /// Reads that followers have answered, here and elsewhere.
    answered_by_followers: AtomicU64,
    /// Counts reads at followers, so that each node gets its part.
    follower_turn: AtomicUsize,
    /// What this node's transactions read.
    read_points: Arc<ReadPoints>,
    /// Those of them that hold row locks.
    lock_owners: Arc<LockOwners>,
    /// By which locks expire.
    lock_time: LockTime,
    /// How large transactions may become.
    transaction_sizes: TransactionSizes,
}

/// What a client is made of.
pub struct ClusterClientParts {
    /// This node.
    pub node: NodeId,
    /// The shard map, and where nodes are.
    pub directory: Arc<Directory>,
    /// Local replicas.
    pub local: Arc<LocalShards>,
    /// Ways to other nodes.
    pub peers: Arc<Peers>,
    /// Time.
    pub clock: SharedClock,
    /// Where background work runs.
    pub runtime: tokio::runtime::Handle,
    /// How large transactions may become.
    pub transaction_sizes: TransactionSizes,
}

impl ClusterClient {
    /// A client; call [`Self::set_oracle`] before its first timestamp is wanted.
    pub fn new(parts: ClusterClientParts) -> Arc<ClusterClient> {
        let lock_owners = LockOwners::new(parts.node, parts.clock.unix_ms());
        Arc::new(ClusterClient {
            lock_owners,
            lock_time: LockTime::new(parts.clock.clone()),
            node: parts.node,
            directory: parts.directory,
            local: parts.local,
            peers: parts.peers,
            clock: parts.clock,
            runtime: parts.runtime,
            hints: Mutex::new(BTreeMap::new()),
            oracle: OnceLock::new(),
            map_refresh: OnceLock::new(),
            follower_reads: OnceLock::new(),
            answered_by_followers: AtomicU64::new(0),
            follower_turn: AtomicUsize::new(0),
            read_points: Arc::default(),
            transaction_sizes: parts.transaction_sizes,
        })
    }

    /// Gives the client its oracle, which itself needs the client. Only the first call counts.
    pub fn set_oracle(&self, oracle: Arc<dyn Oracle>) {
        let _ = self.oracle.set(oracle);
    }

    /// Says where newer shard maps come from, which itself needs the client. Only the first call counts.
    pub fn set_map_refresh(&self, map_refresh: Arc<MapRefresh>) {
        let _ = self.map_refresh.set(map_refresh);
    }

    /// Says who reads at this node's followers, which itself needs the client. Only the first call counts.
    pub fn set_follower_reads(&self, follower_reads: Arc<FollowerReads>) {
        let _ = self.follower_reads.set(follower_reads);
    }

    /// The shard map in force.
    pub fn map(&self) -> Arc<ShardMap> {
        self.directory.map()
    }

    /// The node that leads a shard, as far as this node knows.
    pub fn leader(&self, shard: ShardId) -> Option<NodeId> {
        let hinted = || self.hints.lock().get(&shard).copied();
        match self.local.get(shard) {
            Some(local) => local.group.leader().or_else(hinted),
            None => hinted(),
        }
    }

    /// Timestamps from the meta shard's leader, wherever it is.
    pub async fn timestamps_from_leader(&self, count: u32) -> Result<Timestamp> {
        let mut search = self.search(ShardId::META);
        loop {
            let target = search.target();
            let attempt = if target == self.node {
                Attempt::Answered(match self.local.oracle() {
                    Some(oracle) => oracle.timestamps(count).await,
                    None => Err(Error::NotServing { shard: ShardId::META, leader: None }),
                })
            } else {
                let request = pb::call::Request::Timestamps(pb::TimestampsRequest { count });
                match self.peers.call_any_way(target, request, CALL_WAIT_MAX).await {
                    Ok(answer) => Attempt::Answered(match answer {
                        pb::answer::Response::Timestamps(answer) => Ok(Timestamp(answer.first)),
                        pb::answer::Response::Failure(failure) => {
                            Err(wire::failure_from_pb(failure))
                        }
                        _ => Err(search.unavailable("a peer gave an answer of the wrong kind")),
                    }),
                    // Timestamps that were handed out and lost are never used: asking again is safe.
                    Err(CallError::NotSent(why) | CallError::Lost(why)) => Attempt::Failed(why),
                }
            };
            if let Some(answer) = search.conclude(target, attempt).await {
                return answer;
            }
        }
    }

    /// The local replica of a shard; without one, this node is none to ask.
    fn here(&self, shard: ShardId) -> Result<LocalShard> {
        self.local.get(shard).ok_or(Error::NotServing { shard, leader: None })
    }

    /// Whether the newest map gives a shard other slots than these.
    async fn has_moved(&self, shard: ShardId, slots: SlotRange) -> bool {
        match self.map_refresh.get() {
            Some(map_refresh) => map_refresh.differs(shard, slots).await,
            None => false,
        }
    }

    /// A search for the leader of a shard that is asked for keys of these slots.
    fn search_route(&self, route: Route) -> Search<'_> {
        Search { slots: Some(route.slots), ..self.search(route.shard) }
    }

    fn search(&self, shard: ShardId) -> Search<'_> {
        let deadline = self.clock.monotonic() + ROUTE_WAIT_MAX;
        let why = "no replica of it answered".to_string();
        Search {
            client: self,
            shard,
            slots: None,
            deadline,
            next_replica: 0,
            told: None,
            avoid: None,
            why,
            sent: false,
        }
    }

    /// The nodes with replicas of a shard that do not lead, as far as this node knows: itself first, the others in turn.
    fn followers(&self, shard: ShardId) -> Vec<NodeId> {
        let leader = self.leader(shard);
        let mut nodes = self.replicas(shard);
        nodes.retain(|node| Some(*node) != leader);
        if !nodes.is_empty() {
            let turn = self.follower_turn.fetch_add(1, Ordering::Relaxed) % nodes.len();
            nodes.rotate_left(turn);
        }
        nodes.sort_by_key(|node| *node != self.node);
        nodes
    }

    /// Asks a node for a read at its replica, which does not lead.
    async fn ask_follower(
        &self,
        node: NodeId,
        route: Route,
        request: ReadRequest,
    ) -> Result<ReadResponse> {
        let no_follower = |what: String| Error::NoFollower { shard: route.shard, what };
        if node == self.node {
            return match self.follower_reads.get() {
                Some(follower_reads) => follower_reads.read(route, request).await,
                None => Err(no_follower("this node is still starting".into())),
            };
        }
        let message = pb::ShardRead { at_follower: true, ..wire::read_to_pb(route, request) };
        let call = pb::call::Request::Read(message);
        match self.peers.call(node, call, FOLLOWER_CALL_WAIT_MAX).await {
            Ok(answer) => wire::read_answer_from_pb(route.shard, answer),
            Err(CallError::NotSent(why) | CallError::Lost(why)) => Err(no_follower(why)),
        }
    }

    fn replicas(&self, shard: ShardId) -> Vec<NodeId> {
        let map = self.map();
        let info = map.shard(shard);
        info.map(|info| info.replicas.iter().map(|(_, node)| *node).collect()).unwrap_or_default()
    }
}

/// What came of asking one node.
enum Attempt<T> {
    /// It answered, if only that it does not lead.
    Answered(Result<T>),
    /// It did not answer, for this reason, and another one may be asked.
    Failed(String),
}

/// One request's search for a shard's leader.
struct Search<'a> {
    client: &'a ClusterClient,
    shard: ShardId,
    /// The slots that it is believed to own, when keys are asked for.
    slots: Option<SlotRange>,
    /// Monotonic time at which it gives up.
    deadline: Duration,
    /// Which replica to try next when nobody knows the leader.
    next_replica: usize,
    /// What the last replica said about the leader.
    told: Option<NodeId>,
    /// Who did not lead or did not answer: not asked again on this node's own word alone, which may be old.
    avoid: Option<NodeId>,
    /// Why the last attempt failed, for the error.
    why: String,
    /// Whether an attempt that decides a transaction was sent and nobody knows what became of it.
    sent: bool,
}

impl Search<'_> {
    /// The node to try now.
    fn target(&mut self) -> NodeId {
        let known = || self.client.leader(self.shard).filter(|node| Some(*node) != self.avoid);
        if let Some(node) = self.told.take().or_else(known) {
            return node;
        }
        let replicas = self.client.replicas(self.shard);
        let node = replicas.get(self.next_replica % replicas.len().max(1)).copied();
        self.next_replica += 1;
        node.unwrap_or(self.client.node)
    }

    /// What the caller is told, if an attempt at `target` or the time ends the search. Otherwise the next one comes after a
    /// pause that is over now.
    async fn conclude<T>(&mut self, target: NodeId, attempt: Attempt<T>) -> Option<Result<T>> {
        match attempt {
            Attempt::Answered(Err(Error::NotServing { leader, .. })) => {
                self.learned(target, leader);
            }
            Attempt::Answered(Err(Error::Moved { shard })) => {
                let moved = match self.slots {
                    Some(slots) => self.client.has_moved(shard, slots).await,
                    None => true,
                };
                if moved {
                    return Some(Err(self.moved()));
                }
                self.why =
                    "it is being split or merged, and no map says yet which shard has the rows"
                        .into();
            }
            Attempt::Answered(answer) => return Some(answer),
            Attempt::Failed(why) => self.failed(target, why),
        }
        if self.is_gone() {
            // Its replicas may be gone, too: nobody else would say it.
            return Some(Err(self.moved()));
        }
        self.pause().await.err().map(Err)
    }

    /// Whether the map does not name the shard any more: a neighbour has taken it in.
    fn is_gone(&self) -> bool {
        self.shard != ShardId::META && self.client.directory.shard(self.shard).is_none()
    }

    /// The error for a shard whose slots another one owns. What an earlier attempt may have done cannot be looked up there.
    fn moved(&self) -> Error {
        let shard = self.shard;
        if self.sent { Error::OutcomeUnknown { shard } } else { Error::Moved { shard } }
    }

    /// `target` does not lead; perhaps it knows who does.
    fn learned(&mut self, target: NodeId, leader: Option<NodeId>) {
        self.why = format!("node {} does not lead it", target.0);
        self.avoid = Some(target);
        match leader.filter(|leader| *leader != target) {
            Some(leader) => {
                self.client.hints.lock().insert(self.shard, leader);
                self.told = Some(leader);
            }
            None => {
                self.client.hints.lock().remove(&self.shard);
            }
        }
    }

    /// `target` could not be reached.
    fn failed(&mut self, target: NodeId, why: String) {
        self.why = why;
        self.avoid = Some(target);
        self.client.hints.lock().remove(&self.shard);
    }

    /// Waits a little, or gives up.
    async fn pause(&self) -> Result<()> {
        if self.client.clock.monotonic() + ROUTE_RETRY_PAUSE >= self.deadline {
            return Err(gave_up(self.shard, self.sent, &self.why));
        }
        tokio::time::sleep(ROUTE_RETRY_PAUSE).await;
        Ok(())
    }

    fn unavailable(&self, why: &str) -> Error {
        gave_up(self.shard, false, why)
    }
}

/// The error of a search that ended without an answer: only what was never sent surely did not happen.
fn gave_up(shard: ShardId, sent: bool, why: &str) -> Error {
    if sent {
        return Error::OutcomeUnknown { shard };
    }
    Error::Unavailable { shard, what: why.to_string() }
}

/// The way to a shard, as the map has it.
fn route_to(info: &ShardInfo) -> Route {
    Route { shard: info.id, epoch: info.epoch, slots: info.slots }
}

/// Whether a transaction is committed once this request is executed, even if nobody hears of it.
fn decides(request: &WriteRequest) -> bool {
    match request {
        WriteRequest::CommitNow { .. }
        | WriteRequest::Commit { .. }
        | WriteRequest::Decide { .. } => true,
        // It may place the last lock of an asynchronous commit.
        WriteRequest::Prewrite { secondaries, .. } => secondaries.is_some(),
        WriteRequest::Bump { .. }
        | WriteRequest::Rollback { .. }
        | WriteRequest::CheckStatus { .. }
        | WriteRequest::CheckLocks { .. }
        | WriteRequest::LookAtLocks { .. }
        | WriteRequest::SettleNow { .. }
        | WriteRequest::FinishAll { .. }
        | WriteRequest::Heartbeat { .. } => false,
    }
}

/// Whether sending a write twice has the effect of sending it once.
fn is_repeatable(request: &WriteRequest) -> bool {
    match request {
        WriteRequest::CommitNow { .. } => false,
        // A counter that moved twice skips values, which nobody relies on.
        WriteRequest::Bump { .. }
        | WriteRequest::Prewrite { .. }
        | WriteRequest::Commit { .. }
        | WriteRequest::Rollback { .. }
        | WriteRequest::CheckStatus { .. }
        | WriteRequest::CheckLocks { .. }
        | WriteRequest::LookAtLocks { .. }
        | WriteRequest::SettleNow { .. }
        | WriteRequest::Decide { .. }
        | WriteRequest::FinishAll { .. }
        | WriteRequest::Heartbeat { .. } => true,
    }
}

#[async_trait::async_trait]
impl ShardClient for ClusterClient {
    fn locate(&self, key: &[u8]) -> Result<Route> {
        let corrupt = |error: engine::Error| Error::Engine { what: error.to_string() };
        let table = engine::key::table_of_key(key).map_err(corrupt)?;
        let map = self.directory.map();
        let shard = if table < TableId::FIRST_USER {
            map.meta()
        } else {
            map.locate(engine::key::slot_of_key(key).map_err(corrupt)?)
        };
        let info = shard.ok_or_else(|| Error::Unavailable {
            shard: ShardId::META,
            what: "the shard map names no owner of this key".into(),
        })?;
        Ok(route_to(info))
    }

    fn data_shards(&self) -> Result<Vec<Route>> {
        let map = self.directory.map();
        Ok(map.data_shards().iter().map(route_to).collect())
    }

    fn is_here(&self, route: Route) -> bool {
        self.leader(route.shard) == Some(self.node)
    }

    fn follows(&self, route: Route) -> bool {
        self.local.get(route.shard).is_some() && !self.is_here(route)
    }

    async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        let mut search = self.search_route(route);
        loop {
            let target = search.target();
            let attempt = if target == self.node {
                Attempt::Answered(match self.here(route.shard) {
                    Ok(local) => local.shard.read(route.slots, request.clone()).await,
                    Err(error) => Err(error),
                })
            } else {
                let call = pb::call::Request::Read(wire::read_to_pb(route, request.clone()));
                match self.peers.call_any_way(target, call, CALL_WAIT_MAX).await {
                    Ok(answer) => Attempt::Answered(wire::read_answer_from_pb(route.shard, answer)),
                    Err(CallError::NotSent(why) | CallError::Lost(why)) => Attempt::Failed(why),
                }
            };
            if let Some(answer) = search.conclude(target, attempt).await {
                return answer;
            }
        }
    }

    fn try_scan(&self, route: Route, request: &ReadRequest) -> Option<ReadResponse> {
        self.local.get(route.shard)?.shard.try_scan(route.slots, request)
    }

    fn probable_leader(&self, shard: ShardId) -> Option<NodeId> {
        self.leader(shard).filter(|leader| *leader != self.node)
    }

    async fn try_scans_at(
        &self,
        node: NodeId,
        requests: Vec<(Route, ReadRequest)>,
    ) -> Vec<Option<ReadResponse>> {
        let shards: Vec<ShardId> = requests.iter().map(|(route, _)| route.shard).collect();
        let call = pb::call::Request::ShardScans(wire::scans_to_pb(requests));
        match self.peers.call_any_way(node, call, CALL_WAIT_MAX).await {
            Ok(answer) => wire::pages_from_pb(shards.len(), answer),
            Err(CallError::NotSent(_) | CallError::Lost(_)) => {
                // Each is searched for now, elsewhere first when nobody here knows better.
                let mut hints = self.hints.lock();
                for shard in &shards {
                    if hints.get(shard) == Some(&node) {
                        hints.remove(shard);
                    }
                }
                vec![None; shards.len()]
            }
        }
    }

    async fn read_at_follower(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        let mut what = "it has no other replica than its leader's".to_string();
        for node in self.followers(route.shard) {
            match self.ask_follower(node, route, request.clone()).await {
                Ok(answer) => {
                    self.answered_by_followers.fetch_add(1, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error @ (Error::KeyLocked { .. } | Error::SnapshotTooOld { .. })) => {
                    return Err(error);
                }
                Err(Error::Moved { shard }) => {
                    if self.has_moved(shard, route.slots).await {
                        return Err(Error::Moved { shard });
                    }
                    what = format!("node {}: it is being split", node.0);
                }
                Err(Error::NoFollower { what: why, .. }) => {
                    what = format!("node {}: {why}", node.0);
                }
                Err(error) => what = format!("node {}: {error}", node.0),
            }
        }
        Err(Error::NoFollower { shard: route.shard, what })
    }

    fn closed_timestamp(&self) -> Option<Timestamp> {
        self.follower_reads.get()?.closed()
    }

    fn follower_reads(&self) -> u64 {
        self.answered_by_followers.load(Ordering::Relaxed)
    }

    async fn write(&self, route: Route, request: WriteRequest) -> Result<WriteResponse> {
        let mut search = self.search_route(route);
        loop {
            let target = search.target();
            let attempt = if target == self.node {
                Attempt::Answered(match self.here(route.shard) {
                    Ok(local) => local.shard.write(route.slots, request.clone()).await,
                    Err(error) => Err(error),
                })
            } else {
                let call = pb::call::Request::Write(wire::write_to_pb(route, request.clone()));
                match self.peers.call_any_way(target, call, CALL_WAIT_MAX).await {
                    Ok(answer) => {
                        Attempt::Answered(wire::write_answer_from_pb(route.shard, answer))
                    }
                    Err(CallError::Lost(_)) if !is_repeatable(&request) => {
                        return Err(Error::OutcomeUnknown { shard: route.shard });
                    }
                    Err(CallError::Lost(why)) => {
                        search.sent |= decides(&request);
                        Attempt::Failed(why)
                    }
                    Err(CallError::NotSent(why)) => Attempt::Failed(why),
                }
            };
            let attempt = match attempt {
                Attempt::Answered(Err(Error::OutcomeUnknown { .. })) if is_repeatable(&request) => {
                    search.sent |= decides(&request);
                    Attempt::Failed("its quorum did not answer".to_string())
                }
                other => other,
            };
            if let Some(answer) = search.conclude(target, attempt).await {
                return answer;
            }
        }
    }

    async fn lock(&self, route: Route, request: LockRequest) -> Result<Vec<LockedKey>> {
        let wait = match request.patience {
            Patience::Wait(wait) => wait.min(ROW_LOCK_ROUND_MAX),
            Patience::NoWait | Patience::Skip => Duration::ZERO,
        };
        let mut search = self.search_route(route);
        search.deadline += wait;
        // Rounds before this one may have waited for others.
        let mut again = false;
        loop {
            let target = search.target();
            let attempt = if target == self.node {
                Attempt::Answered(match self.here(route.shard) {
                    Ok(local) => local.shard.lock(route.slots, request.clone()).await,
                    Err(error) => Err(error),
                })
            } else {
                let call = pb::call::Request::Lock(wire::lock_to_pb(route, request.clone()));
                match self.peers.call_any_way(target, call, wait + CALL_WAIT_MAX).await {
                    Ok(answer) => {
                        let keys = request.keys.len();
                        Attempt::Answered(wire::lock_answer_from_pb(route.shard, keys, answer))
                    }
                    // What was granted and lost is granted again at once.
                    Err(CallError::NotSent(why) | CallError::Lost(why)) => Attempt::Failed(why),
                }
            };
            if let Some(answer) = search.conclude(target, attempt).await {
                let mut outcomes = answer?;
                outcomes.iter_mut().filter(|_| again).for_each(LockedKey::set_waited);
                return Ok(outcomes);
            }
            again = true;
        }
    }

    async fn release(&self, route: Route, owner: LockOwner, keys: Vec<Bytes>) {
        let mut search = self.search(route.shard);
        loop {
            let target = search.target();
            let outcome = if target == self.node {
                self.here(route.shard).and_then(|local| local.shard.release(owner, &keys))
            } else {
                let (shard, keys) = (route.shard.0, keys.clone());
                let release = pb::LockRelease { shard, owner: owner.0, keys };
                let release = pb::call::Request::LockRelease(release);
                match self.peers.call_any_way(target, release, CALL_WAIT_MAX).await {
                    Ok(pb::answer::Response::Failure(failure)) => {
                        Err(wire::failure_from_pb(failure))
                    }
                    // A leader that does not hear it asks which owners live.
                    Ok(_) | Err(_) => return,
                }
            };
            // The locks may have gone to the next leader ahead of the release.
            if search.conclude(target, Attempt::Answered(outcome)).await.is_some() {
                return;
            }
        }
    }

    async fn cancel_lock(&self, route: Route, cancel: LockCancel) {
        let mut search = self.search(route.shard);
        for _ in 0..LOCK_CANCEL_TRIES {
            let target = search.target();
            let attempt = if target == self.node {
                let cancelled =
                    self.here(route.shard).and_then(|local| local.shard.cancel_lock(&cancel));
                Attempt::Answered(cancelled)
            } else {
                let call = wire::lock_cancel_to_pb(route.shard, cancel.clone());
                let call = pb::call::Request::LockCancel(call);
                match self.peers.call_any_way(target, call, CALL_WAIT_MAX).await {
                    Ok(pb::answer::Response::Failure(failure)) => {
                        Attempt::Answered(Err(wire::failure_from_pb(failure)))
                    }
                    Ok(_) => return,
                    Err(CallError::NotSent(why) | CallError::Lost(why)) => Attempt::Failed(why),
                }
            };
            if search.conclude(target, attempt).await.is_some() {
                return;
            }
        }
    }

    fn lock_owners(&self) -> &Arc<LockOwners> {
        &self.lock_owners
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        match self.oracle.get() {
            Some(oracle) => {
                let timestamp = oracle.timestamps(1).await?;
                self.lock_time.heard(timestamp);
                Ok(timestamp)
            }
            None => Err(Error::Unavailable {
                shard: ShardId::META,
                what: "this node is still starting".into(),
            }),
        }
    }

    fn read_points(&self) -> &Arc<ReadPoints> {
        &self.read_points
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) {
        self.runtime.spawn(work);
    }

    fn unix_ms(&self) -> u64 {
        self.lock_time.unix_ms()
    }

    fn transaction_sizes(&self) -> TransactionSizes {
        self.transaction_sizes
    }

    async fn pause(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use txn::command::CommitId;

    #[test]
    fn a_commit_of_one_entry_is_sent_once() {
        let id = CommitId { number: 7, since: Timestamp(1) };
        let primary = Bytes::from_static(b"p");
        for id in [None, Some(id)] {
            let commit = WriteRequest::CommitNow { writes: vec![], owner: None, id };
            assert!(!is_repeatable(&commit), "who sends it twice may execute it twice");
        }
        let settle = WriteRequest::SettleNow { id, primary };
        assert!(is_repeatable(&settle) && !decides(&settle));
    }

    #[test]
    fn a_commit_that_was_sent_is_never_said_not_to_have_happened() {
        let commit = WriteRequest::Commit {
            start_ts: Timestamp(1),
            commit_ts: Timestamp(2),
            keys: vec![],
            kept: vec![],
        };
        let rollback = WriteRequest::Rollback { start_ts: Timestamp(1), keys: vec![] };
        assert!(decides(&commit) && !decides(&rollback));
        let error = gave_up(ShardId(7), decides(&commit), "node 2 did not answer in time");
        assert!(matches!(error, Error::OutcomeUnknown { shard: ShardId(7) }));
        let error = gave_up(ShardId(7), decides(&rollback), "node 2 did not answer in time");
        assert!(matches!(error, Error::Unavailable { .. }));
    }
}
