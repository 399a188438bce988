//! The answering side: hands messages to the replicas they name, and their answers back.

use super::frame;
use crate::applier::{blocking, receive_dir};
use crate::codec::{
    append_from_wire, append_reply_to_wire, log_id_from_wire, log_id_to_wire,
    stored_membership_from_wire, transfer_from_wire, vote_from_wire, vote_reply_to_wire,
    vote_request_from_wire, vote_to_wire,
};
use crate::defect;
use crate::log::record::Key;
use crate::replica::Replica;
use crate::snapshot::{Checkpoint, SnapshotData};
use base::{ReplicaId, ShardId, limits};
use futures::stream::{BoxStream, FuturesOrdered};
use futures::{Stream, StreamExt};
use openraft::SnapshotMeta;
use openraft::raft::TransferLeaderError;
use openraft::storage::Snapshot;
use parking_lot::RwLock;
use proto::raft as wire;
use proto::raft::item::Body;
use proto::raft::raft_server::Raft;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

/// The replicas that run on this node: one per shard.
#[derive(Default)]
pub struct Registry {
    /// By shard.
    replicas: RwLock<BTreeMap<ShardId, Arc<Replica>>>,
}

impl Registry {
    /// The replica of a shard.
    pub fn get(&self, shard: ShardId) -> Option<Arc<Replica>> {
        self.replicas.read().get(&shard).cloned()
    }

    /// Exactly this replica, if it works.
    pub fn find(&self, key: Key) -> Option<Arc<Replica>> {
        let same =
            |replica: &Replica| replica.key == key || defect::active("former-replica-answers");
        self.get(key.0).filter(|replica| same(replica) && !replica.context.health.stopped())
    }

    /// All replicas.
    pub fn all(&self) -> Vec<Arc<Replica>> {
        self.replicas.read().values().cloned().collect()
    }

    /// Adds a replica.
    pub fn insert(&self, replica: Arc<Replica>) {
        self.replicas.write().insert(replica.key.0, replica);
    }

    /// Takes a replica out.
    pub fn remove(&self, shard: ShardId) -> Option<Arc<Replica>> {
        self.replicas.write().remove(&shard)
    }
}

/// The gRPC service of a node.
#[derive(Clone)]
pub struct RaftService {
    /// Who is here.
    registry: Arc<Registry>,
}

impl RaftService {
    /// A service for these replicas.
    pub fn new(registry: Arc<Registry>) -> RaftService {
        RaftService { registry }
    }
}

/// An append on its way to its replica.
type QueuedAppend = (wire::Item, wire::AppendRequest);

/// The reply to a request.
fn reply_to(item: &wire::Item, body: Body) -> wire::Item {
    wire::Item {
        shard: item.shard,
        from: item.from,
        to: item.to,
        sequence: item.sequence,
        body: Some(body),
    }
}

fn refuse(item: &wire::Item, why: impl ToString) -> wire::Item {
    reply_to(item, Body::Refused(wire::Refused { why: why.to_string() }))
}

/// A request without its body, to reply to.
fn envelope(item: &wire::Item) -> wire::Item {
    wire::Item {
        body: None,
        shard: item.shard,
        from: item.from,
        to: item.to,
        sequence: item.sequence,
    }
}

#[tonic::async_trait]
impl Raft for RaftService {
    type LaneStream = BoxStream<'static, Result<wire::Frame, Status>>;

    async fn lane(
        &self,
        request: Request<Streaming<wire::Frame>>,
    ) -> Result<Response<Self::LaneStream>, Status> {
        let (replies, outgoing) = mpsc::channel(limits::LANE_QUEUE_MAX);
        tokio::spawn(read_lane(self.registry.clone(), request.into_inner(), replies));
        Ok(Response::new(reply_frames(outgoing).boxed()))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<wire::SnapshotPart>>,
    ) -> Result<Response<wire::SnapshotReply>, Status> {
        let reply = receive_snapshot(&self.registry, request.into_inner()).await?;
        Ok(Response::new(reply))
    }
}

/// Replies, gathered into frames.
fn reply_frames(
    outgoing: mpsc::Receiver<wire::Item>,
) -> impl Stream<Item = Result<wire::Frame, Status>> + Send {
    futures::stream::unfold(outgoing, |mut outgoing| async move {
        let first = outgoing.recv().await?;
        Some((Ok(frame::gather(first, &mut outgoing)), outgoing))
    })
}

/// Reads a lane until it ends. Appends of one shard go through one worker, in order.
async fn read_lane(
    registry: Arc<Registry>,
    mut frames: Streaming<wire::Frame>,
    replies: mpsc::Sender<wire::Item>,
) {
    let mut workers: BTreeMap<Key, mpsc::Sender<QueuedAppend>> = BTreeMap::new();
    while let Ok(Some(frame)) = frames.message().await {
        for mut item in frame.items {
            let key = (ShardId(item.shard), ReplicaId(item.to));
            let body = item.body.take();
            let Some(replica) = registry.find(key) else {
                workers.remove(&key);
                if replies.send(refuse(&item, "unknown replica")).await.is_err() {
                    return;
                }
                continue;
            };
            let refused = match body {
                Some(Body::Append(append)) => {
                    let worker = workers.entry(key).or_insert_with(|| {
                        let (sender, receiver) = mpsc::channel(limits::APPEND_PIPELINE_MAX);
                        tokio::spawn(append_worker(replica, receiver, replies.clone()));
                        sender
                    });
                    match worker.try_send((envelope(&item), append)) {
                        Ok(()) => None,
                        Err(mpsc::error::TrySendError::Full(_)) => Some("busy"),
                        Err(mpsc::error::TrySendError::Closed(_)) => {
                            workers.remove(&key);
                            Some("unknown replica")
                        }
                    }
                }
                Some(body) => {
                    tokio::spawn(answer(replica, envelope(&item), body, replies.clone()));
                    None
                }
                None => Some("an empty message"),
            };
            if let Some(why) = refused
                && replies.send(refuse(&item, why)).await.is_err()
            {
                return;
            }
        }
    }
}

/// Feeds one replica the appends of one lane, many at once and in order, and sends its answers.
///
/// It ends with its lane, or when the replica is no longer the one it was made for.
async fn append_worker(
    replica: Arc<Replica>,
    mut requests: mpsc::Receiver<QueuedAppend>,
    replies: mpsc::Sender<wire::Item>,
) {
    let mut in_flight = FuturesOrdered::new();
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            Some(reply) = in_flight.next(), if !in_flight.is_empty() => {
                if replies.send(reply).await.is_err() {
                    return;
                }
            }
            request = requests.recv(), if open && in_flight.len() < limits::APPEND_PIPELINE_MAX => {
                match request {
                    // Polled in the order of the queue; the first poll hands it to the replica.
                    Some((item, append)) => {
                        in_flight.push_back(append_one(replica.clone(), item, append));
                    }
                    None => open = false,
                }
            }
            else => return,
        }
        if replica.context.health.stopped() {
            return;
        }
    }
}

/// One append.
async fn append_one(
    replica: Arc<Replica>,
    item: wire::Item,
    append: wire::AppendRequest,
) -> wire::Item {
    let request = match append_from_wire(append) {
        Ok(request) => request,
        Err(error) => return refuse(&item, error),
    };
    if !replica.context.log.takes_entries(&replica.key, &request.entries) {
        return refuse(&item, "its disk or its Raft log is full");
    }
    match replica.raft.append_entries(request).await {
        Ok(reply) => reply_to(&item, Body::AppendReply(append_reply_to_wire(&reply))),
        Err(error) => refuse(&item, error),
    }
}

/// Answers anything but an append.
async fn answer(
    replica: Arc<Replica>,
    item: wire::Item,
    body: Body,
    replies: mpsc::Sender<wire::Item>,
) {
    let outcome = match body {
        Body::Vote(request) => vote(&replica, &request, false).await,
        Body::PreVote(request) => vote(&replica, &request, true).await,
        Body::Transfer(request) => transfer(&replica, &request).await,
        _ => Err("a reply where a request belongs".to_string()),
    };
    let reply = match outcome {
        Ok(body) => reply_to(&item, body),
        Err(why) => refuse(&item, why),
    };
    // The lane may have ended meanwhile.
    let _ = replies.send(reply).await;
}

/// Vote and PreVote, unless the vote gate is closed.
async fn vote(
    replica: &Replica,
    request: &wire::VoteRequest,
    pre_vote: bool,
) -> Result<Body, String> {
    if !replica.gate.passes(request.leadership_transfer) {
        return Err("started a moment ago; it may have promised a leader not to vote".to_string());
    }
    let request = vote_request_from_wire(request).map_err(|error| error.to_string())?;
    let reply = match pre_vote {
        true => replica.raft.pre_vote(request).await,
        false => replica.raft.vote(request).await,
    };
    let reply = reply.map_err(|error| error.to_string())?;
    Ok(Body::VoteReply(vote_reply_to_wire(&reply)))
}

/// TransferLeader.
async fn transfer(replica: &Replica, request: &wire::TransferRequest) -> Result<Body, String> {
    use wire::transfer_reply::Outcome;
    let request = transfer_from_wire(request).map_err(|error| error.to_string())?;
    let reply = replica.raft.handle_transfer_leader(request).await;
    let (outcome, actual_vote, actual_log_id) = match reply.map_err(|error| error.to_string())? {
        Ok(()) => (Outcome::Accepted, None, None),
        Err(TransferLeaderError::VoteChanged { actual, .. }) => {
            (Outcome::VoteChanged, Some(vote_to_wire(&actual)), None)
        }
        Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
            (Outcome::LogNotFlushed, None, actual.as_ref().map(log_id_to_wire))
        }
    };
    Ok(Body::TransferReply(wire::TransferReply {
        outcome: outcome.into(),
        actual_vote,
        actual_log_id,
    }))
}

/// The next part of a snapshot, in time.
async fn next_part(
    parts: &mut Streaming<wire::SnapshotPart>,
) -> Result<Option<wire::snapshot_part::Part>, Status> {
    let part = tokio::time::timeout(limits::SNAPSHOT_STEP_WAIT, parts.message()).await;
    let part =
        part.map_err(|_| Status::deadline_exceeded("the Raft snapshot stopped coming"))??;
    Ok(part.and_then(|part| part.part))
}

fn failed(error: impl ToString) -> Status {
    Status::internal(error.to_string())
}

/// Receives a Raft snapshot, checks it and installs it.
async fn receive_snapshot(
    registry: &Registry,
    mut parts: Streaming<wire::SnapshotPart>,
) -> Result<wire::SnapshotReply, Status> {
    use wire::snapshot_part::Part;
    let Some(Part::Head(head)) = next_part(&mut parts).await? else {
        return Err(Status::invalid_argument("a Raft snapshot begins with its head"));
    };
    let key = (ShardId(head.shard), ReplicaId(head.to));
    let replica = registry.find(key).ok_or_else(|| Status::not_found("unknown replica"))?;
    let vote = head.vote.as_ref().map(vote_from_wire);
    let vote = vote.ok_or_else(|| Status::invalid_argument("a Raft snapshot without a vote"))?;
    let turn = tokio::time::timeout(limits::SNAPSHOT_STEP_WAIT, replica.receiving.begin(&vote));
    let mut turn = match turn.await {
        Ok(Some(turn)) => turn,
        Ok(None) => return Err(Status::aborted("a newer leader sends a Raft snapshot")),
        Err(_) => return Err(Status::unavailable("another Raft snapshot is being installed")),
    };
    let last_log_id = head.last_log_id.as_ref().map(log_id_from_wire);
    let last_log_id =
        last_log_id.ok_or_else(|| Status::invalid_argument("a Raft snapshot without a log id"))?;
    let membership = stored_membership_from_wire(head.membership.as_ref())
        .map_err(|error| Status::invalid_argument(error.to_string()))?;

    let context = &replica.context;
    let dir = receive_dir(context, &last_log_id);
    let (factory, at) = (context.factory.clone(), dir.clone());
    blocking(move || factory.remove(&at)).await.map_err(failed)?;
    let factory = context.factory.clone();
    // From here on the folder goes when this handle goes, unless it was installed.
    let checkpoint =
        Arc::new(Checkpoint::new(dir.clone(), last_log_id, membership.clone(), factory));
    let mut received = vec![0u64; head.files.len()];
    loop {
        let part = tokio::select! {
            biased;
            () = turn.superseded() => {
                return Err(Status::aborted("another Raft snapshot was begun"));
            }
            part = next_part(&mut parts) => part?,
        };
        let Some(part) = part else { break };
        let Part::Chunk(chunk) = part else {
            return Err(Status::invalid_argument("a second head in a Raft snapshot"));
        };
        let position = chunk.file as usize;
        let (Some(file), Some(have)) = (head.files.get(position), received.get_mut(position))
        else {
            return Err(Status::invalid_argument("a piece of a file that was not announced"));
        };
        if chunk.offset != *have || crc32fast::hash(&chunk.data) != chunk.crc {
            let what = format!("a damaged piece of {} at byte {}", file.name, chunk.offset);
            return Err(Status::data_loss(what));
        }
        *have += chunk.data.len() as u64;
        let (factory, at, name) = (context.factory.clone(), dir.clone(), file.name.clone());
        blocking(move || factory.receive_file(&at, &name, chunk.offset, &chunk.data))
            .await
            .map_err(failed)?;
    }
    // A file without content has no pieces.
    for (file, have) in head.files.iter().zip(&received) {
        if *have != file.bytes {
            let what = format!("{} of {} bytes of {} came", have, file.bytes, file.name);
            return Err(Status::data_loss(what));
        }
        if file.bytes == 0 {
            let (factory, at, name) = (context.factory.clone(), dir.clone(), file.name.clone());
            blocking(move || factory.receive_file(&at, &name, 0, &[])).await.map_err(failed)?;
        }
    }
    let (factory, at) = (context.factory.clone(), dir);
    blocking(move || factory.finish_receive(&at)).await.map_err(failed)?;
    let meta = SnapshotMeta { last_log_id: Some(last_log_id), last_membership: membership };
    let snapshot = Snapshot { meta, snapshot: SnapshotData::Checkpoint(checkpoint) };
    let installed = replica.raft.install_full_snapshot(vote, snapshot).await.map_err(failed)?;
    Ok(wire::SnapshotReply { vote: Some(vote_to_wire(&installed.vote)) })
}
