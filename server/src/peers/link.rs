//! The task behind one peer: connects, moves calls out and answers in, notices silence.
//!
//! ```text
//!            first call                     connected
//!  untried ───────────> connecting ───────────────────> up ──┐
//!                        ▲    │ failed                       │ broken, or silent with calls under way
//!                        └── down <──────────────────────────┘
//!                      (pause grows)
//! ```
//!
//! A peer that hangs keeps its connections, and a network that drops packets breaks none. So while calls
//! wait, the link asks for a sign of life; without any for `LINK_SILENCE_MAX` it is given up.
//!
//! Invariants:
//! 1. Every call is answered exactly once, or its caller has gone.
//! 2. A call that was handed to a connection is never refused as not sent.

use super::{CallError, error_chain};
use base::limits::{LINK_PING_INTERVAL, LINK_SILENCE_MAX, MESSAGE_BYTES_MAX};
use base::{ClusterId, NodeId};
use parking_lot::Mutex;
use proto::node as pb;
use proto::node::node_client::NodeClient;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// Longest time for a connection to a peer to come up, its first stream included.
const CONNECT_WAIT_MAX: Duration = Duration::from_millis(1000);
/// First pause after a failed connection; doubles up to [`RECONNECT_PAUSE_MAX`].
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two attempts to connect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(400);
/// Calls packed into one frame.
const FRAME_CALLS_MAX: usize = 256;
/// Frames on their way to the network.
const FRAMES_QUEUED_MAX: usize = 16;
/// Signs of life that may stay out before the link is given up.
const SILENT_PINGS_MAX: u128 = LINK_SILENCE_MAX.as_millis() / LINK_PING_INTERVAL.as_millis();

type AnswerSender = oneshot::Sender<Result<pb::answer::Response, CallError>>;
/// A call and whoever waits for its answer.
pub(super) type Queued = (pb::call::Request, AnswerSender);

/// Whether a link stands, for those who want to call.
#[derive(Default)]
pub(super) struct LinkState {
    /// Why it is down; `None` while it is up or was not tried.
    down: Mutex<Option<String>>,
}

impl LinkState {
    /// Why calls cannot be sent now; `None` when they may be.
    pub(super) fn why_down(&self) -> Option<String> {
        self.down.lock().clone()
    }

    fn set(&self, down: Option<String>) {
        *self.down.lock() = down;
    }
}

/// The task behind one peer.
pub(super) struct Link {
    /// This node.
    pub(super) from: NodeId,
    /// The cluster, checked by the receiver.
    pub(super) cluster: ClusterId,
    /// The peer; 0 when its number is not known yet.
    pub(super) to: NodeId,
    /// Where it listens for nodes.
    pub(super) address: String,
    /// Told whether the link stands.
    pub(super) state: Arc<LinkState>,
}

impl Link {
    /// Connects when there is something to send first, and again after each failure, until nobody can
    /// send any more.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Queued>) {
        let Some(first) = queue.recv().await else { return };
        let (mut batch, mut pause) = (vec![first], RECONNECT_PAUSE_MIN);
        loop {
            let connected = match timeout(CONNECT_WAIT_MAX, self.connect()).await {
                Ok(connected) => connected,
                Err(_) => Err(self.unreachable("it does not answer")),
            };
            let why = match connected {
                Ok((frames, answers)) => {
                    self.state.set(None);
                    pause = RECONNECT_PAUSE_MIN;
                    let first = std::mem::take(&mut batch);
                    self.exchange(first, &mut queue, frames, answers).await
                }
                Err(why) => why,
            };
            self.state.set(Some(why.clone()));
            // What queued up meanwhile has not been sent: it fails now, not in a while.
            batch.drain(..).for_each(|call| refuse(call, &why));
            while let Ok(call) = queue.try_recv() {
                refuse(call, &why);
            }
            if queue.is_closed() {
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }

    fn unreachable(&self, why: &str) -> String {
        format!("node {} at {}: {why}", self.to, self.address)
    }

    async fn connect(
        &self,
    ) -> Result<(mpsc::Sender<pb::CallFrame>, tonic::Streaming<pb::AnswerFrame>), String> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))
            .map_err(|error| self.unreachable(&error.to_string()))?
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_WAIT_MAX)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(3));
        let channel =
            endpoint.connect().await.map_err(|error| self.unreachable(&error_chain(&error)))?;
        let mut client = NodeClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (frames, outgoing) = mpsc::channel(FRAMES_QUEUED_MAX);
        let answers = client
            .calls(ReceiverStream::new(outgoing))
            .await
            .map_err(|status| self.unreachable(status.message()))?;
        Ok((frames, answers.into_inner()))
    }

    /// Moves calls out and answers in until the stream breaks or falls silent; says why.
    async fn exchange(
        &self,
        first: Vec<Queued>,
        queue: &mut mpsc::Receiver<Queued>,
        frames: mpsc::Sender<pb::CallFrame>,
        mut answers: tonic::Streaming<pb::AnswerFrame>,
    ) -> String {
        let mut pending = Pending::default();
        let mut outgoing = self.frame(pending.number(first));
        let mut batch = Vec::new();
        let mut silent_pings = 0;
        let mut ticks = interval(LINK_PING_INTERVAL);
        // A node that was held itself counts one tick, and then finds the answers that have come.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Answers before ticks: what has come is no silence.
                biased;
                frame = answers.message() => match frame {
                    Ok(Some(frame)) => {
                        silent_pings = 0;
                        pending.answer(frame);
                    }
                    Ok(None) => return self.lose(pending, "the peer closed the link"),
                    Err(status) => return self.lose(pending, status.message()),
                },
                permit = frames.reserve(), if outgoing.is_some() => match (permit, outgoing.take()) {
                    (Ok(permit), Some(frame)) => permit.send(frame),
                    _ => return self.lose(pending, "the link went down"),
                },
                received = queue.recv_many(&mut batch, FRAME_CALLS_MAX), if outgoing.is_none() => {
                    if received == 0 {
                        return self.lose(pending, "this node is stopping");
                    }
                    outgoing = self.frame(pending.number(batch.drain(..)));
                }
                _ = ticks.tick() => {
                    pending.forget_abandoned();
                    if pending.is_empty() {
                        silent_pings = 0;
                        continue;
                    }
                    if silent_pings >= SILENT_PINGS_MAX {
                        return self.lose(pending, "no sign of life");
                    }
                    silent_pings += 1;
                    if outgoing.is_none() {
                        outgoing = self.frame(vec![pending.ping()]);
                    }
                }
            }
        }
    }

    /// A frame of calls; none of no calls.
    fn frame(&self, calls: Vec<pb::Call>) -> Option<pb::CallFrame> {
        let (from_node, cluster) = (self.from.0, self.cluster.get());
        (!calls.is_empty()).then_some(pb::CallFrame { from_node, cluster, calls })
    }

    fn lose(&self, pending: Pending, why: &str) -> String {
        let why = format!("link to node {} lost: {why}", self.to);
        for sender in pending.waiting.into_values() {
            let _ = sender.send(Err(CallError::Lost(why.clone())));
        }
        why
    }
}

/// Calls that were handed to a connection.
#[derive(Default)]
struct Pending {
    /// Who waits, by the number of the call.
    waiting: BTreeMap<u64, AnswerSender>,
    /// The last number given.
    last: u64,
}

impl Pending {
    /// Gives calls their numbers; leaves out those whose callers have gone.
    fn number(&mut self, calls: impl IntoIterator<Item = Queued>) -> Vec<pb::Call> {
        let wanted = calls.into_iter().filter(|(_, answer)| !answer.is_closed());
        let numbered = wanted.map(|(request, answer)| {
            self.last += 1;
            self.waiting.insert(self.last, answer);
            pb::Call { seq: self.last, request: Some(request) }
        });
        numbered.collect()
    }

    /// A call whose answer says only that the peer lives.
    fn ping(&mut self) -> pb::Call {
        self.last += 1;
        pb::Call { seq: self.last, request: Some(pb::call::Request::Ping(pb::Ping {})) }
    }

    fn answer(&mut self, frame: pb::AnswerFrame) {
        for answer in frame.answers {
            if let (Some(sender), Some(response)) =
                (self.waiting.remove(&answer.seq), answer.response)
            {
                // The caller may have given up; its answer is then of no use.
                let _ = sender.send(Ok(response));
            }
        }
    }

    fn forget_abandoned(&mut self) {
        self.waiting.retain(|_, sender| !sender.is_closed());
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn refuse((_, answer): Queued, why: &str) {
    let _ = answer.send(Err(CallError::NotSent(why.to_string())));
}
