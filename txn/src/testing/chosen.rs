//! A client of a cluster in memory whose messages wait until somebody chooses which of them goes on: for tests that go
//! through many orders.
//!
//! ```text
//!  coordinator ──► request waits ──► shard ──► answer waits ──► coordinator
//!                    │ lost, or given up: told so,                │ lost
//!                    ▼ and still on its way                       ▼
//!                  the coordinator hears "outcome unknown"
//! ```
//!
//! All clients of a [`Crossing`] share one queue, each for a party: a coordinator or a reader with all its work. A write
//! waits twice, before the shard hears of it and before its answer is heard. A read and a timestamp wait once: when their
//! answer comes matters only for the party's next message, and that waits by itself.
//!
//! Messages are on their own. One that was sent arrives also when its sender is dead.
//!
//! Time is tokio's, paused: whoever chooses also lets it pass.
//!
//! Not here: what to choose. Row locks are asked for and given up without waiting.

use super::MemoryCluster;
use super::rough::routed;
use crate::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use crate::lock_owners::LockOwners;
use crate::read_points::ReadPoints;
use crate::{Error, Result, Route, ShardClient};
use base::{ShardId, Timestamp};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Where the messages of all parties wait.
pub struct Crossing {
    /// The shards.
    cluster: Arc<MemoryCluster>,
    /// What waits, and who works.
    state: Mutex<State>,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Grows with every message: the order in which they began to wait.
    pub number: u64,
    /// Who has sent the request.
    pub party: &'static str,
    /// Which of the party's requests it belongs to, from 1 on.
    pub ordinal: usize,
    /// What it is.
    pub kind: MessageKind,
    /// The shard that executes the request; the meta shard for timestamps.
    pub shard: ShardId,
    /// What is requested.
    pub request: &'static str,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Asks the oracle.
    Timestamp,
    /// Asks a shard to read.
    Read,
    /// Asks a shard to write.
    Write,
    /// Answers a write.
    Answer,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (request, shard) = (self.request, self.shard.0);
        match self.kind {
            MessageKind::Timestamp => f.write_str(request),
            MessageKind::Read | MessageKind::Write => write!(f, "{request} at shard {shard}"),
            MessageKind::Answer => write!(f, "answer to {request} at shard {shard}"),
        }
    }
}

/// What becomes of the writes that a dead party has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTheWay {
    /// They arrive.
    Arrives,
    /// They are gone with it.
    Lost,
}

/// What waits, and who works.
#[derive(Default)]
struct State {
    /// Messages and pauses so far.
    numbers: u64,
    /// Requests of each party so far.
    ordinals: BTreeMap<&'static str, usize>,
    /// By number.
    waiting: BTreeMap<u64, Waiting>,
    /// Messages that were let go and have not come to their end.
    executing: usize,
    /// Pauses by number: whose, and until when.
    pauses: BTreeMap<u64, (&'static str, Duration)>,
    /// The work of each party.
    tasks: BTreeMap<&'static str, Vec<AbortHandle>>,
    /// Parties that were killed.
    dead: BTreeSet<&'static str>,
}

/// A message and what is in it.
struct Waiting {
    message: Message,
    content: Content,
}

/// The way back to whoever waits for an answer.
type Reply<T> = oneshot::Sender<Result<T>>;

/// What is in a message.
enum Content {
    Timestamp { reply: Reply<Timestamp> },
    Read { route: Route, request: ReadRequest, reply: Reply<ReadResponse> },
    Write { route: Route, request: WriteRequest, reply: Option<Reply<WriteResponse>> },
    Answer { outcome: Result<WriteResponse>, reply: Reply<WriteResponse> },
}

impl Crossing {
    /// An empty one before a cluster.
    pub fn new(cluster: Arc<MemoryCluster>) -> Arc<Crossing> {
        Arc::new(Crossing { cluster, state: Mutex::default() })
    }

    /// A client for a party.
    pub fn client(self: &Arc<Self>, party: &'static str) -> Arc<ChosenClient> {
        Arc::new(ChosenClient { crossing: self.clone(), party })
    }

    /// What waits, in the order in which it began to.
    pub fn messages(&self) -> Vec<Message> {
        self.state.lock().waiting.values().map(|waiting| waiting.message.clone()).collect()
    }

    /// Lets a message go on.
    pub fn deliver(self: &Arc<Self>, number: u64) {
        let Some(Waiting { message, content }) = self.take(number) else { return };
        self.state.lock().executing += 1;
        let crossing = self.clone();
        tokio::spawn(async move {
            crossing.execute(message, content).await;
            crossing.state.lock().executing -= 1;
        });
    }

    /// Loses a message. Whoever waits for an answer learns that there will be none.
    pub fn lose(&self, number: u64) {
        let Some(Waiting { message, content }) = self.take(number) else { return };
        let shard = message.shard;
        let lost = || Error::Unavailable { shard, what: "the message is lost".into() };
        // A caller that went away needs no answer.
        match content {
            Content::Timestamp { reply } => drop(reply.send(Err(lost()))),
            Content::Read { reply, .. } => drop(reply.send(Err(lost()))),
            Content::Write { reply, .. } => forget(reply, shard),
            Content::Answer { reply, .. } => forget(Some(reply), shard),
        }
    }

    /// Has the sender of a write hear that the outcome is unknown while the write is still on its way.
    pub fn give_up(&self, number: u64) {
        let given_up = match self.state.lock().waiting.get_mut(&number) {
            Some(Waiting { message, content: Content::Write { reply, .. } }) => {
                Some((reply.take(), message.shard))
            }
            Some(_) | None => None,
        };
        if let Some((reply, shard)) = given_up {
            forget(reply, shard);
        }
    }

    /// Ends all work of a party.
    pub fn kill(&self, party: &'static str, on_the_way: OnTheWay) {
        let tasks = {
            let mut state = self.state.lock();
            state.dead.insert(party);
            state.waiting.retain(|_, waiting| match &mut waiting.content {
                _ if waiting.message.party != party => true,
                Content::Write { reply, .. } if on_the_way == OnTheWay::Arrives => {
                    *reply = None;
                    true
                }
                _ => false,
            });
            state.tasks.remove(party).unwrap_or_default()
        };
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// Who pauses, and for how long from now on.
    pub fn pauses(&self) -> Vec<(&'static str, Duration)> {
        let now = self.cluster.clock.monotonic();
        let state = self.state.lock();
        state.pauses.values().map(|(party, until)| (*party, until.saturating_sub(now))).collect()
    }

    /// Whether a message that was let go has not come to its end.
    pub fn is_executing(&self) -> bool {
        self.state.lock().executing > 0
    }

    /// Whether nothing waits, and nobody works any more.
    pub fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.waiting.is_empty()
            && state.executing == 0
            && state.tasks.values().flatten().all(AbortHandle::is_finished)
    }

    /// Takes a message out of the queue.
    fn take(&self, number: u64) -> Option<Waiting> {
        self.state.lock().waiting.remove(&number)
    }

    /// Puts a request into the queue.
    fn send(&self, party: &'static str, content: Content) {
        let mut state = self.state.lock();
        let ordinal = state.ordinals.entry(party).or_default();
        *ordinal += 1;
        let ordinal = *ordinal;
        let (kind, shard, request) = content.describe();
        state.enqueue(Message { number: 0, party, ordinal, kind, shard, request }, content);
    }

    /// Does what a message is there for.
    async fn execute(&self, message: Message, content: Content) {
        // A caller that went away needs no answer.
        match content {
            Content::Timestamp { reply } => {
                let _ = reply.send(self.cluster.timestamp().await);
            }
            Content::Read { route, request, reply } => {
                let outcome = routed(|| self.cluster.read(route, request.clone())).await;
                let _ = reply.send(outcome);
            }
            Content::Write { route, request, reply } => {
                let outcome = routed(|| self.cluster.write(route, request.clone())).await;
                let heard = reply.filter(|reply| !reply.is_closed());
                let mut state = self.state.lock();
                if let Some(reply) = heard
                    && !state.dead.contains(message.party)
                {
                    let message = Message { kind: MessageKind::Answer, ..message };
                    state.enqueue(message, Content::Answer { outcome, reply });
                }
            }
            Content::Answer { outcome, reply } => {
                let _ = reply.send(outcome);
            }
        }
    }
}

/// Tells the sender of a write that nobody knows what became of it.
fn forget(reply: Option<Reply<WriteResponse>>, shard: ShardId) {
    if let Some(reply) = reply {
        // A caller that went away needs no answer.
        let _ = reply.send(Err(Error::OutcomeUnknown { shard }));
    }
}

impl State {
    /// Numbers a message and puts it at the end of the queue.
    fn enqueue(&mut self, message: Message, content: Content) {
        self.numbers += 1;
        let number = self.numbers;
        let message = Message { number, ..message };
        self.waiting.insert(number, Waiting { message, content });
    }
}

impl Content {
    /// Kind, shard and name of a request.
    fn describe(&self) -> (MessageKind, ShardId, &'static str) {
        match self {
            Content::Timestamp { .. } => (MessageKind::Timestamp, ShardId::META, "timestamp"),
            Content::Read { route, request, .. } => {
                let name = match request {
                    ReadRequest::Get { .. } => "read",
                    ReadRequest::Scan { .. } => "scan",
                    ReadRequest::Changed { .. } => "look for changes",
                    ReadRequest::OldestLock { .. } => "look for the oldest lock",
                };
                (MessageKind::Read, route.shard, name)
            }
            Content::Write { route, request, .. } => {
                (MessageKind::Write, route.shard, name_of(request))
            }
            Content::Answer { .. } => (MessageKind::Answer, ShardId::META, "answer"),
        }
    }
}

/// A write in a word or two.
fn name_of(request: &WriteRequest) -> &'static str {
    match request {
        WriteRequest::CommitNow { .. } => "commit at once",
        WriteRequest::Prewrite { .. } => "prewrite",
        WriteRequest::Commit { .. } => "commit",
        WriteRequest::Rollback { .. } => "rollback",
        WriteRequest::CheckStatus { .. } => "check of the status",
        WriteRequest::CheckLocks { .. } => "check of locks",
        WriteRequest::LookAtLocks { .. } => "look at locks",
        WriteRequest::SettleNow { .. } => "question what became of it",
        WriteRequest::Decide { .. } => "decision",
        WriteRequest::FinishAll { .. } => "finish all",
        WriteRequest::Heartbeat { .. } => "heartbeat",
        WriteRequest::Bump { .. } => "bump",
    }
}

/// The client of one party.
pub struct ChosenClient {
    /// Where its messages wait.
    crossing: Arc<Crossing>,
    /// Whose it is.
    party: &'static str,
}

/// A pause that is noted while it lasts.
struct Pause {
    crossing: Arc<Crossing>,
    number: u64,
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.crossing.state.lock().pauses.remove(&self.number);
    }
}

#[async_trait::async_trait]
impl ShardClient for ChosenClient {
    fn locate(&self, key: &[u8]) -> Result<Route> {
        self.crossing.cluster.locate(key)
    }

    fn data_shards(&self) -> Result<Vec<Route>> {
        self.crossing.cluster.data_shards()
    }

    async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        let (reply, answer) = oneshot::channel();
        self.crossing.send(self.party, Content::Read { route, request, reply });
        let shard = route.shard;
        let silence = |_| Err(Error::Unavailable { shard, what: "the party is dead".into() });
        answer.await.unwrap_or_else(silence)
    }

    async fn write(&self, route: Route, request: WriteRequest) -> Result<WriteResponse> {
        let (reply, answer) = oneshot::channel();
        self.crossing.send(self.party, Content::Write { route, request, reply: Some(reply) });
        answer.await.unwrap_or(Err(Error::OutcomeUnknown { shard: route.shard }))
    }

    async fn lock(&self, route: Route, request: LockRequest) -> Result<Vec<LockedKey>> {
        self.crossing.cluster.lock(route, request).await
    }

    async fn release(&self, route: Route, owner: LockOwner, keys: Vec<Bytes>) {
        self.crossing.cluster.release(route, owner, keys).await;
    }

    async fn cancel_lock(&self, route: Route, cancel: LockCancel) {
        self.crossing.cluster.cancel_lock(route, cancel).await;
    }

    fn lock_owners(&self) -> &Arc<LockOwners> {
        self.crossing.cluster.lock_owners()
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        let (reply, answer) = oneshot::channel();
        self.crossing.send(self.party, Content::Timestamp { reply });
        let shard = ShardId::META;
        let silence = |_| Err(Error::Unavailable { shard, what: "the party is dead".into() });
        answer.await.unwrap_or_else(silence)
    }

    fn read_points(&self) -> &Arc<ReadPoints> {
        self.crossing.cluster.read_points()
    }

    /// Work of this party: it ends when the party is killed.
    fn spawn(&self, work: BoxFuture<'static, ()>) {
        let task = tokio::spawn(work).abort_handle();
        self.crossing.state.lock().tasks.entry(self.party).or_default().push(task);
    }

    fn unix_ms(&self) -> u64 {
        self.crossing.cluster.unix_ms()
    }

    async fn pause(&self, pause: Duration) {
        let until = self.crossing.cluster.clock.monotonic() + pause;
        let number = {
            let mut state = self.crossing.state.lock();
            state.numbers += 1;
            let number = state.numbers;
            state.pauses.insert(number, (self.party, until));
            number
        };
        let _noted = Pause { crossing: self.crossing.clone(), number };
        tokio::time::sleep(pause).await;
    }
}
