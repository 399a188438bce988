//! The asking side of a lane: one stream to one node, dialled when there is something to say.
//!
//! ```text
//! call ─> queue ─> frame ─────────────> node
//!   └─ pending: sequence ─> waiter <─── frame of replies
//! ```
//!
//! When the stream breaks, everyone who waits hears it at once; what was queued meanwhile is refused
//! too. There is no second attempt here: openraft repeats what still matters.

use super::dialer::Dialer;
use super::frame;
use super::hello::Identity;
use base::{NodeId, limits};
use parking_lot::Mutex;
use proto::raft::item::Body;
use proto::raft::raft_client::RaftClient;
use proto::raft::{Frame, Item};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

/// Frames on their way into a stream.
const FRAMES_IN_FLIGHT: usize = 8;

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The lane's queue is full.
    #[error("the lane is full")]
    Full,
    /// There is no connection, or it broke.
    #[error("not connected")]
    Broken,
    /// No reply in time.
    #[error("no reply in time")]
    Late,
    /// The other side does not take the message.
    #[error("refused: {0}")]
    Refused(String),
    /// The reply makes no sense.
    #[error("bad reply: {0}")]
    Bad(String),
}

/// Those who wait for a reply.
#[derive(Default)]
struct Pending {
    /// Sequence number to waiter.
    waiters: Mutex<BTreeMap<u64, oneshot::Sender<Body>>>,
    /// Last sequence number given.
    sequence: AtomicU64,
}

/// One lane to one node.
pub struct Lane {
    /// Messages to send.
    queue: mpsc::Sender<Item>,
    /// Those who wait.
    pending: Arc<Pending>,
}

/// A reply that has not come yet.
pub struct Reply {
    /// Where it comes.
    receiver: oneshot::Receiver<Body>,
    /// Its sequence number.
    sequence: u64,
    /// To leave the list of those who wait.
    pending: Arc<Pending>,
}

impl Lane {
    /// A lane to `node`. It ends when the last handle is gone.
    pub fn new(node: NodeId, dialer: Arc<dyn Dialer>, identity: Identity) -> Lane {
        let (queue, messages) = mpsc::channel(limits::LANE_QUEUE_MAX);
        let pending = Arc::new(Pending::default());
        tokio::spawn(run(node, dialer, identity, messages, pending.clone()));
        Lane { queue, pending }
    }

    /// Queues a request. Requests are sent in the order of their calls.
    pub fn call(&self, mut item: Item) -> Result<Reply, CallError> {
        let sequence = self.pending.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        item.sequence = sequence;
        let (sender, receiver) = oneshot::channel();
        self.pending.waiters.lock().insert(sequence, sender);
        let reply = Reply { receiver, sequence, pending: self.pending.clone() };
        match self.queue.try_send(item) {
            Ok(()) => Ok(reply),
            Err(mpsc::error::TrySendError::Full(_)) => Err(CallError::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(CallError::Broken),
        }
    }
}

impl Reply {
    /// Waits for the reply.
    pub async fn wait(mut self, wait_max: Duration) -> Result<Body, CallError> {
        match tokio::time::timeout(wait_max, &mut self.receiver).await {
            Ok(Ok(Body::Refused(refused))) => Err(CallError::Refused(refused.why)),
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(CallError::Broken),
            Err(_) => Err(CallError::Late),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.pending.waiters.lock().remove(&self.sequence);
    }
}

/// Connects whenever there is something to send, and sends.
async fn run(
    node: NodeId,
    dialer: Arc<dyn Dialer>,
    identity: Identity,
    mut messages: mpsc::Receiver<Item>,
    pending: Arc<Pending>,
) {
    // Said once: a lane that is refused is dialled again with every message.
    let mut refused = String::new();
    while let Some(first) = messages.recv().await {
        match connect(node, &dialer, identity.clone()).await {
            Ok((frames, replies)) => {
                let first = frame::gather(first, &mut messages);
                let why = pump(first, &mut messages, frames, replies, &pending).await;
                tracing::debug!(%node, %why, "lane ended");
            }
            Err(NoLane::Unreachable(why)) => tracing::debug!(%node, %why, "lane cannot connect"),
            Err(NoLane::Refused(why)) if why != refused => {
                tracing::warn!(%node, %why, "the lane was refused");
                refused = why;
            }
            Err(NoLane::Refused(_)) => {}
        }
        while messages.try_recv().is_ok() {}
        pending.waiters.lock().clear();
    }
}

/// Why a lane cannot be opened.
enum NoLane {
    /// The other side does not answer.
    Unreachable(String),
    /// The other side, or this one, does not want to speak to the other.
    Refused(String),
}

/// Opens the stream: both sides say who they are first.
async fn connect(
    node: NodeId,
    dialer: &Arc<dyn Dialer>,
    identity: Identity,
) -> Result<(mpsc::Sender<Frame>, Streaming<Frame>), NoLane> {
    let failed = |status: Status| match status.code() {
        Code::FailedPrecondition => NoLane::Refused(status.message().to_string()),
        _ => NoLane::Unreachable(status.to_string()),
    };
    let open = async {
        let channel = dialer.dial(node).await.map_err(NoLane::Unreachable)?;
        let mut client = RaftClient::new(channel)
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
        let (frames, outgoing) = mpsc::channel(FRAMES_IN_FLIGHT);
        let hello = Frame { items: Vec::new(), hello: Some(identity.hello(node)) };
        frames.try_send(hello).map_err(|_| NoLane::Unreachable("closed".to_string()))?;
        let answer = client.lane(ReceiverStream::new(outgoing)).await;
        let mut replies = answer.map_err(failed)?.into_inner();
        let first = replies.message().await.map_err(failed)?;
        let speaker = identity.check(first.and_then(|frame| frame.hello).as_ref());
        match speaker.map_err(|(_, why)| NoLane::Refused(why))? {
            speaker if speaker == node => Ok((frames, replies)),
            speaker => {
                Err(NoLane::Refused(format!("node {} answers for node {}", speaker.0, node.0)))
            }
        }
    };
    match tokio::time::timeout(limits::DIAL_WAIT_MAX, open).await {
        Ok(result) => result,
        Err(_) => Err(NoLane::Unreachable("it took too long".to_string())),
    }
}

/// Sends frames and hands out replies until the stream breaks. Returns why it did.
async fn pump(
    first: Frame,
    messages: &mut mpsc::Receiver<Item>,
    frames: mpsc::Sender<Frame>,
    mut replies: Streaming<Frame>,
    pending: &Pending,
) -> String {
    let mut outgoing = Some(first);
    loop {
        tokio::select! {
            biased;
            reply = replies.message() => match reply {
                Ok(Some(frame)) => {
                    for item in frame.items {
                        if let (0, Some(Body::Refused(refused))) = (item.sequence, &item.body) {
                            return refused.why.clone();
                        }
                        let waiter = pending.waiters.lock().remove(&item.sequence);
                        if let (Some(waiter), Some(body)) = (waiter, item.body) {
                            // A waiter that gave up has dropped its end.
                            let _ = waiter.send(body);
                        }
                    }
                }
                Ok(None) => return "closed by the other side".to_string(),
                Err(status) => return status.to_string(),
            },
            permit = frames.reserve(), if outgoing.is_some() => match (permit, outgoing.take()) {
                (Ok(permit), Some(frame)) => permit.send(frame),
                _ => return "closed".to_string(),
            },
            message = messages.recv(), if outgoing.is_none() => match message {
                Some(message) => outgoing = Some(frame::gather(message, messages)),
                None => return "no longer needed".to_string(),
            },
        }
    }
}
