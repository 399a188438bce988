//! The answering side: hands messages to the replicas they name, and their answers back.

use super::hello::Identity;
use super::refusal::{Reason, Refusals};
use super::{frame, snapshot_receive};
use crate::codec::{
    append_from_wire, append_reply_to_wire, log_id_to_wire, transfer_from_wire, vote_reply_to_wire,
    vote_request_from_wire, vote_to_wire,
};
use crate::defect;
use crate::log::record::Key;
use crate::replica::Replica;
use crate::snapshot::transfers::Transfers;
use base::{NodeId, ReplicaId, ShardId, limits};
use futures::stream::{BoxStream, FuturesOrdered};
use futures::{Stream, StreamExt};
use openraft::raft::{AppendEntriesResponse, TransferLeaderError};
use parking_lot::RwLock;
use proto::raft as wire;
use proto::raft::item::Body;
use proto::raft::raft_server::Raft;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

/// Answers of one Raft snapshot on their way into a stream.
const SNAPSHOT_ANSWERS_MAX: usize = 4;

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
    pub registry: Arc<Registry>,
    /// Which node this is.
    pub identity: Identity,
    /// What the node's Raft snapshots share.
    pub transfers: Arc<Transfers>,
    /// What was refused.
    pub refusals: Arc<Refusals>,
}

impl RaftService {
    /// Checks who opened a stream.
    pub fn admit_hello(&self, hello: Option<&wire::Hello>) -> Result<NodeId, Status> {
        self.identity.check(hello).map_err(|(reason, what)| {
            let count = self.refusals.count(reason);
            // A stranger tries again and again: rarer and rarer in the log, each time in the counter.
            if count.is_power_of_two() {
                let reason = reason.name();
                tracing::warn!(reason, count, %what, "a stream from outside was refused");
            }
            Status::failed_precondition(what)
        })
    }

    /// Checks that a replica in whose name a node speaks lives there, as far as the membership known here
    /// says. A replica that is not known yet may speak: this one may lag.
    pub fn check_home(&self, replica: &Replica, from: u64, sender: NodeId) -> Result<(), String> {
        let home = replica.with_metrics(|metrics| {
            metrics.membership_config.membership().get_node(&from).map(|home| home.node)
        });
        match home {
            Some(home) if home != sender => {
                self.refusals.count(Reason::WrongSender);
                let (home, sender) = (home.0, sender.0);
                Err(format!("replica {from} lives on node {home}, but node {sender} speaks for it"))
            }
            _ => Ok(()),
        }
    }

    /// Counts why a stream from outside broke, when that is not the network's fault.
    pub fn count_broken(&self, status: &Status) {
        let network = status.message().starts_with("h2 protocol error");
        match status.code() {
            Code::OutOfRange => _ = self.refusals.count(Reason::TooLarge),
            Code::Internal if !network => _ = self.refusals.count(Reason::Garbage),
            _ => {}
        }
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
    type SnapshotStream = ReceiverStream<Result<wire::SnapshotAnswer, Status>>;

    async fn lane(
        &self,
        request: Request<Streaming<wire::Frame>>,
    ) -> Result<Response<Self::LaneStream>, Status> {
        let mut frames = request.into_inner();
        let first = tokio::time::timeout(limits::HELLO_WAIT_MAX, frames.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("nobody said who speaks"))?;
        let first = first.inspect_err(|status| self.count_broken(status))?;
        let sender = self.admit_hello(first.and_then(|frame| frame.hello).as_ref())?;
        let hello = wire::Frame { items: Vec::new(), hello: Some(self.identity.hello(sender)) };
        let (replies, outgoing) = mpsc::channel(limits::LANE_QUEUE_MAX);
        tokio::spawn(read_lane(self.clone(), sender, frames, replies));
        let hello = futures::stream::once(async move { Ok(hello) });
        Ok(Response::new(hello.chain(reply_frames(outgoing)).boxed()))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<wire::SnapshotPart>>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let (answers, outgoing) = mpsc::channel(SNAPSHOT_ANSWERS_MAX);
        tokio::spawn(snapshot_receive::serve(self.clone(), request.into_inner(), answers));
        Ok(Response::new(ReceiverStream::new(outgoing)))
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
    service: RaftService,
    sender: NodeId,
    mut frames: Streaming<wire::Frame>,
    replies: mpsc::Sender<wire::Item>,
) {
    let mut workers: BTreeMap<Key, mpsc::Sender<QueuedAppend>> = BTreeMap::new();
    loop {
        let frame = match frames.message().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(status) => return service.count_broken(&status),
        };
        if frame.items.len() > limits::FRAME_ITEMS_MAX {
            service.refusals.count(Reason::TooLarge);
            let (count, max) = (frame.items.len(), limits::FRAME_ITEMS_MAX);
            let why = format!("a frame of {count} messages is above the limit of {max}");
            // Nobody waits for number 0: it ends the lane. A sender that is gone needs no reason.
            let _ = replies.send(refuse(&wire::Item::default(), why)).await;
            return;
        }
        for item in frame.items {
            if let Err(refused) = hand_over(&service, sender, &mut workers, item, &replies)
                && replies.send(*refused).await.is_err()
            {
                return;
            }
        }
    }
}

/// Hands a request to the replica it names, or says why not.
fn hand_over(
    service: &RaftService,
    sender: NodeId,
    workers: &mut BTreeMap<Key, mpsc::Sender<QueuedAppend>>,
    mut item: wire::Item,
    replies: &mpsc::Sender<wire::Item>,
) -> Result<(), Box<wire::Item>> {
    let key = (ShardId(item.shard), ReplicaId(item.to));
    let body = item.body.take();
    let bad = |item: &wire::Item, why: &str| {
        service.refusals.count(Reason::BadMessage);
        Box::new(refuse(item, why))
    };
    let Some(replica) = service.registry.find(key) else {
        workers.remove(&key);
        service.refusals.count(Reason::UnknownReplica);
        return Err(Box::new(refuse(&item, "unknown replica")));
    };
    if let Err(why) = service.check_home(&replica, item.from, sender) {
        return Err(Box::new(refuse(&item, why)));
    }
    let Some(body) = body else {
        return Err(bad(&item, "a message of a kind that this program does not know"));
    };
    if let Err(why) = check_request(&item, &body) {
        return Err(bad(&item, why));
    }
    let Body::Append(append) = body else {
        tokio::spawn(answer(replica, item, body, replies.clone()));
        return Ok(());
    };
    let worker = workers.entry(key).or_insert_with(|| {
        let (worker, queue) = mpsc::channel(limits::APPEND_PIPELINE_MAX);
        tokio::spawn(append_worker(replica, queue, replies.clone()));
        worker
    });
    match worker.try_send((envelope(&item), append)) {
        Ok(()) => Ok(()),
        Err(mpsc::error::TrySendError::Full(_)) => Err(Box::new(refuse(&item, "busy"))),
        Err(mpsc::error::TrySendError::Closed(_)) => {
            workers.remove(&key);
            Err(Box::new(refuse(&item, "unknown replica")))
        }
    }
}

/// Whether a request may come from the replica in whose name it was sent.
fn check_request(item: &wire::Item, body: &Body) -> Result<(), &'static str> {
    let speaks_for_itself = |vote: &Option<wire::Vote>| match vote {
        Some(vote) if vote.voted_for != item.from => {
            Err("a message with the vote of another replica than its sender")
        }
        Some(_) => Ok(()),
        None => Err("a message without a vote"),
    };
    if item.sequence == 0 {
        return Err("a request without a number");
    }
    match body {
        Body::Append(request) => speaks_for_itself(&request.vote),
        Body::Vote(request) | Body::PreVote(request) => speaks_for_itself(&request.vote),
        Body::Transfer(request) => speaks_for_itself(&request.from_leader),
        Body::ReadIndex(_) | Body::Digest(_) | Body::Diverged(_) => Ok(()),
        Body::AppendReply(_)
        | Body::VoteReply(_)
        | Body::TransferReply(_)
        | Body::ReadIndexReply(_)
        | Body::DigestReply(_)
        | Body::DivergedReply(_)
        | Body::Refused(_) => Err("a reply where a request belongs"),
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
    let came = replica.context.clock.monotonic();
    match replica.raft.append_entries(request).await {
        Ok(reply) => {
            // Only a newer vote keeps an append from renewing the lease.
            if !matches!(reply, AppendEntriesResponse::HigherVote(_)) {
                replica.hear_leader(came);
            }
            reply_to(&item, Body::AppendReply(append_reply_to_wire(&reply)))
        }
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
        Body::ReadIndex(_) => replica
            .read_index()
            .await
            .map(|index| Body::ReadIndexReply(wire::ReadIndexReply { index })),
        Body::Digest(request) => Ok(replica.digest_reply(&request)),
        Body::Diverged(found) => {
            replica.diverged(&found).map(|()| Body::DivergedReply(wire::DivergedReply {}))
        }
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
