//! openraft's network traits on lanes and snapshot streams.

use super::dialer::Dialer;
use super::lane::{CallError, Lane};
use crate::applier::{SnapshotOf, blocking};
use crate::codec::{
    append_reply_from_wire, append_to_wire, log_id_from_wire, log_id_to_wire,
    stored_membership_to_wire, transfer_to_wire, vote_from_wire, vote_reply_from_wire,
    vote_request_to_wire, vote_to_wire,
};
use crate::defect;
use crate::log::record::Key;
use crate::snapshot::{Checkpoint, SnapshotData};
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
use proto::raft::raft_client::RaftClient;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Append lanes per node.
const APPEND_LANES: u64 = 2;
/// Pieces of a Raft snapshot on their way into a stream.
const CHUNKS_IN_FLIGHT: usize = 4;

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
    /// Lanes by node.
    peers: Mutex<BTreeMap<NodeId, Peer>>,
}

impl Peers {
    /// No lanes yet.
    pub fn new(dialer: Arc<dyn Dialer>) -> Peers {
        Peers { dialer, peers: Mutex::new(BTreeMap::new()) }
    }

    /// The liveness lane and a shard's append lane to a node.
    fn lanes(&self, node: NodeId, shard: ShardId) -> (Arc<Lane>, Arc<Lane>) {
        let mut peers = self.peers.lock();
        let peer = peers.entry(node).or_insert_with(|| {
            let lane = || Arc::new(Lane::new(node, self.dialer.clone()));
            Peer { liveness: lane(), appends: (0..APPEND_LANES).map(|_| lane()).collect() }
        });
        let append = &peer.appends[(shard.0 % APPEND_LANES) as usize];
        (peer.liveness.clone(), append.clone())
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
            dialer: self.peers.dialer.clone(),
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
    dialer: Arc<dyn Dialer>,
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

fn item(from: Key, to: u64, body: Body) -> wire::Item {
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
        let SnapshotData::Checkpoint(checkpoint) = snapshot.snapshot else {
            let what = "a Raft snapshot without content cannot be sent";
            return Err(StreamingError::Unreachable(Unreachable::from_string(what)));
        };
        let sending = self.send_checkpoint(vote, checkpoint);
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => sent
                .map_err(|what| StreamingError::Unreachable(Unreachable::from_string(what))),
        }
    }
}

/// Gives a step of a transfer its time.
async fn step<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let timed = tokio::time::timeout(limits::SNAPSHOT_STEP_WAIT, work).await;
    timed.map_err(|_| "a step of the Raft snapshot took too long".to_string())
}

impl Client {
    /// Sends a checkpoint and waits until it is installed.
    async fn send_checkpoint(
        &self,
        vote: Vote,
        checkpoint: Arc<Checkpoint>,
    ) -> Result<SnapshotResponse<TypeConfig>, String> {
        let channel = step(self.dialer.dial(self.node)).await??;
        let mut client = RaftClient::new(channel)
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
        let (parts, outgoing) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let answer = client.snapshot(ReceiverStream::new(outgoing));
        let (sent, answer) =
            futures::future::join(self.send_parts(vote, checkpoint, parts), answer).await;
        // What the other side says explains more than that it hung up.
        let reply = answer.map_err(|status| status.to_string())?.into_inner();
        sent?;
        let vote = reply.vote.as_ref().ok_or("a snapshot reply without a vote")?;
        Ok(SnapshotResponse::new(vote_from_wire(vote)))
    }

    /// Feeds the stream.
    async fn send_parts(
        &self,
        vote: Vote,
        checkpoint: Arc<Checkpoint>,
        parts: mpsc::Sender<wire::SnapshotPart>,
    ) -> Result<(), String> {
        use wire::snapshot_part::Part;
        let send = async |part: Part| {
            let part = wire::SnapshotPart { part: Some(part) };
            step(parts.send(part)).await?.map_err(|_| "the stream broke".to_string())
        };
        let (factory, dir) = (self.factory.clone(), checkpoint.dir.clone());
        let files = blocking(move || factory.checkpoint_files(&dir)).await;
        let files = files.map_err(|error| error.to_string())?;
        let head = wire::SnapshotHead {
            shard: self.from.0.0,
            from: self.from.1.0,
            to: self.to,
            vote: Some(vote_to_wire(&vote)),
            last_log_id: Some(log_id_to_wire(&checkpoint.last_log_id)),
            membership: Some(stored_membership_to_wire(&checkpoint.membership)),
            files: files
                .iter()
                .map(|file| wire::SnapshotFile { name: file.name.clone(), bytes: file.bytes })
                .collect(),
        };
        send(Part::Head(head)).await?;
        for (position, file) in files.into_iter().enumerate() {
            let mut offset = 0;
            while offset < file.bytes {
                let (factory, dir) = (self.factory.clone(), checkpoint.dir.clone());
                let name = file.name.clone();
                let length = limits::SNAPSHOT_CHUNK_BYTES;
                let data = blocking(move || factory.read_file(&dir, &name, offset, length)).await;
                let data = data.map_err(|error| error.to_string())?;
                if data.is_empty() {
                    return Err(format!("{} ends before byte {}", file.name, file.bytes));
                }
                let crc = crc32fast::hash(&data);
                let bytes = data.len() as u64;
                let file = position as u32;
                send(Part::Chunk(wire::SnapshotChunk { file, offset, crc, data })).await?;
                offset += bytes;
            }
        }
        Ok(())
    }
}
