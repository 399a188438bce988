//! openraft's network traits on lanes and snapshot streams.

use super::dialer::Dialer;
use super::hello::Identity;
use super::lane::{CallError, Lane};
use super::snapshot_send::SnapshotSender;
use crate::applier::SnapshotOf;
use crate::codec::{
    append_reply_from_wire, append_to_wire, log_id_from_wire, transfer_to_wire, vote_from_wire,
    vote_reply_from_wire, vote_request_to_wire,
};
use crate::defect;
use crate::log::record::Key;
use crate::snapshot::SnapshotData;
use crate::snapshot::transfers::Transfers;
use crate::type_config::{Home, LogId, TypeConfig, Vote};
use base::{NodeId, ShardId, limits};
use engine::EngineFactory;
use futures::{Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::Mutex;
use proto::raft as wire;
use proto::raft::item::Body;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Append lanes per node.
const APPEND_LANES: u64 = 2;

/// The lanes to one node.
struct Peer {
    /// Heartbeats, votes, transfers: never behind bulk.
    liveness: Arc<Lane>,
    /// Entries, by shard.
    appends: Vec<Arc<Lane>>,
}

/// The lanes of this node to all others, opened when first needed.
pub struct Peers {
    /// Opens connections.
    dialer: Arc<dyn Dialer>,
    /// Which node this is.
    pub(crate) identity: Identity,
    /// What the node's Raft snapshots share.
    transfers: Arc<Transfers>,
    /// Lanes by node.
    peers: Mutex<BTreeMap<NodeId, Peer>>,
}

impl Peers {
    /// No lanes yet.
    pub fn new(dialer: Arc<dyn Dialer>, identity: Identity, transfers: Arc<Transfers>) -> Peers {
        Peers { dialer, identity, transfers, peers: Mutex::new(BTreeMap::new()) }
    }

    /// The liveness lane and a shard's append lane to a node.
    fn lanes(&self, node: NodeId, shard: ShardId) -> (Arc<Lane>, Arc<Lane>) {
        let mut peers = self.peers.lock();
        let peer = peers.entry(node).or_insert_with(|| {
            let lane = || Arc::new(Lane::new(node, self.dialer.clone(), self.identity.clone()));
            Peer { liveness: lane(), appends: (0..APPEND_LANES).map(|_| lane()).collect() }
        });
        let append = &peer.appends[(shard.0 % APPEND_LANES) as usize];
        (peer.liveness.clone(), append.clone())
    }

    /// The liveness lane to a node.
    pub fn liveness(&self, node: NodeId, shard: ShardId) -> Arc<Lane> {
        self.lanes(node, shard).0
    }

    /// Closes all lanes.
    pub fn close(&self) {
        self.peers.lock().clear();
    }
}

/// Makes the clients of one replica.
pub struct Network {
    /// Lanes of the node.
    peers: Arc<Peers>,
    /// Reads checkpoints to send.
    factory: Arc<dyn EngineFactory>,
    /// Who asks.
    from: Key,
}

impl Network {
    /// The network as a replica sees it.
    pub fn new(peers: Arc<Peers>, factory: Arc<dyn EngineFactory>, from: Key) -> Network {
        Network { peers, factory, from }
    }

    fn client(&self, target: u64, home: &Home, heartbeats: bool) -> Client {
        let (liveness, append) = self.peers.lanes(home.node, self.from.0);
        Client {
            append: if heartbeats { liveness.clone() } else { append },
            liveness,
            heartbeats,
            peers: self.peers.clone(),
            factory: self.factory.clone(),
            from: self.from,
            to: target,
            node: home.node,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, node: &Home) -> Client {
        self.client(target, node, false)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Home) -> Client {
        self.client(target, node, true)
    }
}

/// From one replica to another.
pub struct Client {
    /// Votes and transfers.
    liveness: Arc<Lane>,
    /// Entries; the liveness lane for heartbeats.
    append: Arc<Lane>,
    /// Whether this client carries heartbeats only.
    heartbeats: bool,
    /// For Raft snapshots.
    peers: Arc<Peers>,
    /// Reads checkpoints.
    factory: Arc<dyn EngineFactory>,
    /// Who asks.
    from: Key,
    /// Who is asked.
    to: u64,
    /// Where that replica lives.
    node: NodeId,
}

impl Client {
    /// A request.
    fn item(&self, body: Body) -> wire::Item {
        item(self.from, self.to, body)
    }

    /// Asks on the liveness lane.
    async fn ask(&self, body: Body, option: &RPCOption) -> Result<Body, CallError> {
        self.liveness.call(self.item(body))?.wait(option.soft_ttl()).await
    }
}

/// A request from one replica to another.
pub(crate) fn item(from: Key, to: u64, body: Body) -> wire::Item {
    wire::Item { shard: from.0.0, from: from.1.0, to, sequence: 0, body: Some(body) }
}

/// Every failure of a call means to openraft: not reached, try later.
fn unreachable(error: impl ToString) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(error))
}

fn bad(error: impl ToString) -> CallError {
    CallError::Bad(error.to_string())
}

impl NetBackoff<TypeConfig> for Client {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

/// The reply to an append, as openraft's stream wants it, and whether the stream goes on after it.
fn stream_result(
    body: Body,
    prev: Option<LogId>,
    last: Option<LogId>,
) -> Result<(StreamAppendResult<TypeConfig>, bool), CallError> {
    let Body::AppendReply(reply) = body else { return Err(bad("no reply to an append")) };
    let reply = append_reply_from_wire(&reply).map_err(bad)?;
    let complete = match &reply {
        AppendEntriesResponse::Success => true,
        AppendEntriesResponse::PartialSuccess(upto) => *upto == last,
        AppendEntriesResponse::Conflict if prev.is_none() => {
            return Err(bad("a conflict with nothing"));
        }
        AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => false,
    };
    Ok((reply.into_stream_result(prev, last), complete))
}

impl NetStreamAppend<TypeConfig> for Client {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>,
            RPCError<TypeConfig>,
        >,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        let (lane, from, to) = (self.append.clone(), self.from, self.to);
        // A heartbeat that is late is worthless; entries may take as long as their sync does.
        let wait_max = if self.heartbeats { option.soft_ttl() } else { limits::APPEND_REPLY_WAIT };
        let replies = input
            .map(move |request| {
                let prev = request.prev_log_id;
                let last = request.entries.last().map(|entry| entry.log_id).or(prev);
                // Queued here and not in the future, so that the order of requests is the input's.
                let reply = lane.call(item(from, to, Body::Append(append_to_wire(&request))));
                async move {
                    let replied = reply?.wait(wait_max).await;
                    if replied.is_err() && defect::active("silence-is-acknowledgement") {
                        return Ok((
                            AppendEntriesResponse::Success.into_stream_result(prev, last),
                            true,
                        ));
                    }
                    stream_result(replied?, prev, last)
                }
            })
            .buffered(limits::APPEND_PIPELINE_MAX);
        // The first answer that is no full success ends the stream: what was sent behind it is void.
        let until_failure = futures::stream::unfold(Some(replies), |replies| async move {
            let mut replies = replies?;
            match replies.next().await? {
                Ok((result, true)) => Some((Ok(result), Some(replies))),
                Ok((result, false)) => Some((Ok(result), None)),
                Err(error) => Some((Err(unreachable(error)), None)),
            }
        });
        Box::pin(async move {
            let stream: BoxStream<'s, _> = Box::pin(until_failure);
            Ok(stream)
        })
    }
}

impl NetVote<TypeConfig> for Client {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let body = Body::Vote(vote_request_to_wire(&request));
        vote_reply(self.ask(body, &option).await)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let body = Body::PreVote(vote_request_to_wire(&request));
        vote_reply(self.ask(body, &option).await)
    }
}

fn vote_reply(
    reply: Result<Body, CallError>,
) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
    match reply.map_err(unreachable)? {
        Body::VoteReply(reply) => vote_reply_from_wire(&reply).map_err(unreachable),
        _ => Err(unreachable("no reply to a vote")),
    }
}

impl NetTransferLeader<TypeConfig> for Client {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        use wire::transfer_reply::Outcome;
        let body = self.ask(Body::Transfer(transfer_to_wire(&request)), &option).await;
        let Body::TransferReply(reply) = body.map_err(unreachable)? else {
            return Err(unreachable("no reply to a transfer"));
        };
        let actual = reply.actual_vote.as_ref().map(vote_from_wire);
        match (reply.outcome(), actual) {
            (Outcome::Accepted, _) => Ok(Ok(())),
            (Outcome::VoteChanged, Some(actual)) => {
                let expected = *request.from_leader();
                Ok(Err(TransferLeaderError::VoteChanged { expected, actual }))
            }
            (Outcome::LogNotFlushed, _) => Ok(Err(TransferLeaderError::LogNotFlushed {
                expected: request.last_log_id().copied(),
                actual: reply.actual_log_id.as_ref().map(log_id_from_wire),
            })),
            (Outcome::VoteChanged, None) | (Outcome::Unknown, _) => {
                Err(unreachable("a transfer reply without an outcome"))
            }
        }
    }
}

impl NetSnapshot<TypeConfig> for Client {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let later = |what: String| StreamingError::Unreachable(Unreachable::from_string(what));
        let checkpoint = match snapshot.snapshot {
            SnapshotData::Checkpoint(checkpoint) => checkpoint,
            SnapshotData::Later(why) => return Err(later(why.to_string())),
            SnapshotData::Virtual => {
                return Err(later("a Raft snapshot without content cannot be sent".to_string()));
            }
        };
        let sender = SnapshotSender {
            dialer: self.peers.dialer.clone(),
            factory: self.factory.clone(),
            transfers: self.peers.transfers.clone(),
            identity: self.peers.identity.clone(),
            from: self.from,
            to: self.to,
            node: self.node,
        };
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sender.send(vote, checkpoint) => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(why) => {
                    let (shard, to) = (self.from.0, self.to);
                    tracing::info!(%shard, to, node = %self.node, %why, "a Raft snapshot broke off");
                    Err(later(why))
                }
            },
        }
    }
}
