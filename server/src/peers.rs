//! Calls to other nodes: one long-lived stream per peer, many calls per frame.
//!
//! ```text
//! call() ─┐                       ┌─> answers matched by seq ─> call() returns
//! call() ─┼─> queue ─> frames ────┤
//! call() ─┘   (one task per peer) └─< AnswerFrame stream
//! ```
//!
//! Invariants:
//! 1. A call fails as `NotSent` only when no byte of it left this node: trying elsewhere is safe.
//! 2. A call whose stream broke fails as `Lost`: the peer may have executed it.
//! 3. The queue is bounded; a full one fails the call as `NotSent`.

use base::NodeId;
use base::limits::{LANE_QUEUE_MAX, MESSAGE_BYTES_MAX};
use parking_lot::{Mutex, RwLock};
use proto::node as pb;
use proto::node::node_client::NodeClient;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// Longest time for a connection to a peer to come up.
const CONNECT_WAIT_MAX: Duration = Duration::from_millis(1000);
/// Pause after a failed connection, during which calls fail at once.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Calls packed into one frame.
const FRAME_CALLS_MAX: usize = 256;
/// Frames on their way to the network.
const FRAMES_QUEUED_MAX: usize = 16;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// Nothing left this node.
    NotSent(String),
    /// The stream broke, or no answer came in time: it may have been executed.
    Lost(String),
}

type AnswerSender = oneshot::Sender<Result<pb::answer::Response, CallError>>;
type Queued = (pb::call::Request, AnswerSender);

/// The ways to all other nodes.
pub struct Peers {
    /// This node.
    node: NodeId,
    /// The cluster, checked by the receiver.
    cluster: u64,
    /// Where each node listens for nodes: `host:port`.
    addresses: RwLock<BTreeMap<NodeId, String>>,
    /// One queue per peer that was ever called.
    queues: Mutex<BTreeMap<NodeId, mpsc::Sender<Queued>>>,
    /// Where the peers' tasks run.
    runtime: tokio::runtime::Handle,
}

impl Peers {
    /// Ways to the nodes of the address book, which may grow.
    pub fn new(
        node: NodeId,
        cluster: u64,
        addresses: BTreeMap<NodeId, String>,
        runtime: tokio::runtime::Handle,
    ) -> Peers {
        let (addresses, queues) = (RwLock::new(addresses), Mutex::new(BTreeMap::new()));
        Peers { node, cluster, addresses, queues, runtime }
    }

    /// Every node of the address book but this one.
    pub fn others(&self) -> Vec<NodeId> {
        self.addresses.read().keys().copied().filter(|node| *node != self.node).collect()
    }

    /// Says where a node listens for nodes; a link to its former address ends.
    pub fn set_address(&self, node: NodeId, address: &str) {
        let mut addresses = self.addresses.write();
        if addresses.get(&node).is_none_or(|known| known != address) {
            addresses.insert(node, address.to_string());
            drop(addresses);
            // The link's task ends with its queue.
            self.queues.lock().remove(&node);
        }
    }

    /// Forgets a node that has left.
    pub fn forget(&self, node: NodeId) {
        self.addresses.write().remove(&node);
        self.queues.lock().remove(&node);
    }

    /// Asks whoever listens at an address, over a link of its own: for a node that knows nobody yet.
    pub async fn call_address(
        &self,
        address: &str,
        request: pb::call::Request,
        wait_max: Duration,
    ) -> Result<pb::answer::Response, CallError> {
        let (sender, receiver) = mpsc::channel(1);
        let (from, cluster) = (self.node, self.cluster);
        let link = Link { from, cluster, to: NodeId(0), address: address.to_string() };
        let task = self.runtime.spawn(link.run(receiver));
        let answer = call_through(&sender, address, request, wait_max).await;
        task.abort();
        answer
    }

    /// Where a node listens for nodes.
    pub fn address(&self, node: NodeId) -> Option<String> {
        self.addresses.read().get(&node).cloned()
    }

    /// Sends a call to `node` and waits for its answer, at most `wait_max`.
    pub async fn call(
        &self,
        node: NodeId,
        request: pb::call::Request,
        wait_max: Duration,
    ) -> Result<pb::answer::Response, CallError> {
        let queue = self.queue(node)?;
        call_through(&queue, &format!("node {node}"), request, wait_max).await
    }

    fn queue(&self, node: NodeId) -> Result<mpsc::Sender<Queued>, CallError> {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get(&node) {
            return Ok(queue.clone());
        }
        let address = self
            .address(node)
            .ok_or_else(|| CallError::NotSent(format!("node {node} has no known address")))?;
        let (sender, receiver) = mpsc::channel(LANE_QUEUE_MAX);
        let link = Link { from: self.node, cluster: self.cluster, to: node, address };
        self.runtime.spawn(link.run(receiver));
        queues.insert(node, sender.clone());
        Ok(sender)
    }
}

/// Queues a call and waits for its answer.
async fn call_through(
    queue: &mpsc::Sender<Queued>,
    whom: &str,
    request: pb::call::Request,
    wait_max: Duration,
) -> Result<pb::answer::Response, CallError> {
    let (answer, answered) = oneshot::channel();
    queue
        .try_send((request, answer))
        .map_err(|_| CallError::NotSent(format!("too many calls wait for {whom}")))?;
    match tokio::time::timeout(wait_max, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(CallError::Lost(format!("the link to {whom} went down"))),
        Err(_) => Err(CallError::Lost(format!("{whom} did not answer in time"))),
    }
}

/// The task behind one peer.
struct Link {
    from: NodeId,
    cluster: u64,
    to: NodeId,
    address: String,
}

impl Link {
    /// Connects when there is something to send, and again after each failure.
    async fn run(self, mut queue: mpsc::Receiver<Queued>) {
        while let Some(first) = queue.recv().await {
            let why = match self.connect().await {
                Ok((frames, answers)) => self.exchange(first, &mut queue, frames, answers).await,
                Err(why) => {
                    refuse(first, &why);
                    why
                }
            };
            // Calls that queued up meanwhile have not been sent: they fail now, not in a while.
            while let Ok(call) = queue.try_recv() {
                refuse(call, &why);
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn connect(
        &self,
    ) -> Result<(mpsc::Sender<pb::CallFrame>, tonic::Streaming<pb::AnswerFrame>), String> {
        let unreachable = |why: String| format!("node {} at {}: {why}", self.to, self.address);
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))
            .map_err(|error| unreachable(error.to_string()))?
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_WAIT_MAX)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(3));
        let channel = endpoint.connect().await.map_err(|error| unreachable(error_chain(&error)))?;
        let mut client = NodeClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (frames, outgoing) = mpsc::channel(FRAMES_QUEUED_MAX);
        let answers = client
            .calls(ReceiverStream::new(outgoing))
            .await
            .map_err(|status| unreachable(status.message().to_string()))?;
        Ok((frames, answers.into_inner()))
    }

    /// Moves calls out and answers in until the stream breaks; says why it broke.
    async fn exchange(
        &self,
        first: Queued,
        queue: &mut mpsc::Receiver<Queued>,
        frames: mpsc::Sender<pb::CallFrame>,
        mut answers: tonic::Streaming<pb::AnswerFrame>,
    ) -> String {
        let mut pending: BTreeMap<u64, AnswerSender> = BTreeMap::new();
        let mut next_seq = 0;
        let mut batch = vec![first];
        loop {
            if !batch.is_empty() {
                let calls = batch
                    .drain(..)
                    .filter(|(_, answer)| !answer.is_closed())
                    .map(|(request, answer)| {
                        next_seq += 1;
                        pending.insert(next_seq, answer);
                        pb::Call { seq: next_seq, request: Some(request) }
                    })
                    .collect();
                let frame = pb::CallFrame { from_node: self.from.0, cluster: self.cluster, calls };
                if frames.send(frame).await.is_err() {
                    return self.lose(pending, "the link went down");
                }
            }
            tokio::select! {
                received = queue.recv_many(&mut batch, FRAME_CALLS_MAX) => {
                    if received == 0 {
                        return self.lose(pending, "this node is stopping");
                    }
                }
                frame = answers.message() => match frame {
                    Ok(Some(frame)) => {
                        for answer in frame.answers {
                            if let (Some(sender), Some(response)) =
                                (pending.remove(&answer.seq), answer.response)
                            {
                                // The caller may have given up; its answer is then of no use.
                                let _ = sender.send(Ok(response));
                            }
                        }
                    }
                    Ok(None) => return self.lose(pending, "the peer closed the link"),
                    Err(status) => return self.lose(pending, status.message()),
                },
            }
        }
    }

    fn lose(&self, pending: BTreeMap<u64, AnswerSender>, why: &str) -> String {
        let why = format!("link to node {} lost: {why}", self.to);
        for sender in pending.into_values() {
            let _ = sender.send(Err(CallError::Lost(why.clone())));
        }
        why
    }
}

fn refuse((_, answer): Queued, why: &str) {
    let _ = answer.send(Err(CallError::NotSent(why.to_string())));
}

/// An error and its causes in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
