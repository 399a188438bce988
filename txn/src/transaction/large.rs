//! Transactions that memory does not hold: their writes go to the shards before the commit.
//!
//! ```text
//!  buffer full ─► round 1: primary's chunk, then the others ─► … ─► round n ─► Decide at the primary ─► answer
//!                      └─ from now on the primary's lock is kept alive             └─► FinishAll at every shard
//!  any failure, or dropped before the decision ─► roll back the primary ─► FinishAll at every shard
//! ```
//!
//! A round prewrites what the buffer held. A key that was sent before gets its new change with the next round. What
//! stays here is the identity, the primary and the shards, whatever the size.
//!
//! The commit timestamp is fetched by the primary's leader while it holds the primary's latch. So a reader that is told
//! "open" knows that the transaction commits after any timestamp it already has, and passes the locks (`resolve`).
//!
//! Invariants:
//! 1. A shard, or the one that it was split off, is among `routes` before the first message to it leaves.
//! 2. Nothing is decided before every prewrite of every round was confirmed.
//! 3. Whoever drops it undecided rolls it back; if that message is lost, the primary's lock expires.

use super::commit::{Chunk, cut, put_first};
use super::held_locks::HeldLocks;
use super::owners::{Moves, by_route, owners, unless_moved, write_at};
use super::resolve::{self, LockWait};
use super::wrong_answer;
use crate::command::{Change, KeyWrite, LockOwner, Round, TxnStatus, WriteRequest, WriteResponse};
use crate::shard_client::{Route, ShardClient};
use crate::{Error, Result};
use base::{Timestamp, limits};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// Rounds after which open scans of a transaction began, with how many there are.
#[derive(Debug, Default)]
pub(super) struct OpenScans(Mutex<BTreeMap<u32, usize>>);

/// One open scan; over when dropped.
#[derive(Debug)]
pub(super) struct OpenScan {
    round: u32,
    all: Arc<OpenScans>,
}

impl OpenScans {
    /// A scan that sees rounds up to this one.
    pub(super) fn open(self: &Arc<Self>, round: u32) -> OpenScan {
        *self.0.lock().entry(round).or_default() += 1;
        OpenScan { round, all: self.clone() }
    }

    /// The oldest and the newest round that an open scan sees up to; upside down when none is open.
    fn span(&self) -> (u32, u32) {
        let open = self.0.lock();
        match (open.keys().next(), open.keys().next_back()) {
            (Some(oldest), Some(newest)) => (*oldest, *newest),
            _ => (u32::MAX, 0),
        }
    }
}

impl OpenScan {
    /// The last round that it sees.
    pub(super) fn number(&self) -> u32 {
        self.round
    }
}

impl Drop for OpenScan {
    fn drop(&mut self) {
        let mut open = self.all.0.lock();
        if let Some(count) = open.get_mut(&self.round) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.round);
            }
        }
    }
}

/// What must be known to end a large transaction.
#[derive(Clone)]
struct Identity {
    client: Arc<dyn ShardClient>,
    start_ts: Timestamp,
    primary: Bytes,
    /// Shards that may have locks of it; after a split, those that own their slots then.
    routes: BTreeSet<Route>,
}

/// A large transaction before its decision.
pub(super) struct Large {
    identity: Identity,
    /// Rounds so far.
    round: u32,
    /// Writes sent so far.
    writes: u64,
    /// Bytes of their keys and values.
    bytes: u64,
    /// Rows among them.
    rows: usize,
    /// Alive as long as this is: the heart beats while somebody holds it.
    pulse: Arc<Pulse>,
    /// Whether the primary's shard has been asked to commit and may have done so.
    decided: bool,
}

/// What a transaction and its heartbeat share.
#[derive(Default)]
struct Pulse {
    /// Set when somebody else has rolled the transaction back.
    lost: AtomicBool,
}

impl Large {
    /// A transaction of which nothing was sent yet.
    pub(super) async fn begin(client: &Arc<dyn ShardClient>, primary: Bytes) -> Result<Large> {
        let start_ts = client.timestamp().await?;
        let routes = BTreeSet::new();
        let identity = Identity { client: client.clone(), start_ts, primary, routes };
        let pulse = Arc::default();
        Ok(Large { identity, round: 0, writes: 0, bytes: 0, rows: 0, pulse, decided: false })
    }

    /// The key whose lock decides it.
    pub(super) fn primary(&self) -> &Bytes {
        &self.identity.primary
    }

    /// Its identity.
    pub(super) fn start_ts(&self) -> Timestamp {
        self.identity.start_ts
    }

    /// Rounds so far.
    pub(super) fn round(&self) -> u32 {
        self.round
    }

    /// Writes sent so far.
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    /// Bytes of their keys and values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Rows among the writes sent so far; one that was sent twice counts twice.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Counts rows that the next round will send.
    pub(super) fn count_rows(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// Sends writes, which the first time include the primary.
    ///
    /// # Errors
    /// As a commit, but for `OutcomeUnknown`. The transaction cannot go on then.
    pub(super) async fn send(
        &mut self,
        writes: Vec<KeyWrite>,
        owner: Option<LockOwner>,
        scans: &OpenScans,
    ) -> Result<()> {
        if self.pulse.lost.load(Ordering::SeqCst) {
            return Err(Error::RolledBack { start_ts: self.start_ts() });
        }
        self.round += 1;
        let (oldest_scan, newest_scan) = scans.span();
        let round = Round { number: self.round, oldest_scan, newest_scan };
        self.writes += writes.len() as u64;
        let bytes = |write: &KeyWrite| (write.key.len() + write.change.bytes()) as u64;
        self.bytes += writes.iter().map(bytes).sum::<u64>();
        let mut parts = by_route(&*self.identity.client, writes, |write| &write.key)?;
        parts.sort_unstable_by_key(|(route, _)| *route);
        self.identity.routes.extend(parts.iter().map(|(route, _)| *route));
        if self.round == 1 {
            put_first(&mut parts, &self.identity.primary);
        }
        let mut chunks = parts.into_iter().flat_map(|(route, writes)| cut(route, writes));
        if self.round == 1 {
            if let Some(first) = chunks.next() {
                self.prewrite(first, owner, round).await?;
            }
            self.keep_alive();
        }
        self.prewrite_all(chunks, owner, round).await
    }

    async fn prewrite_all(
        &self,
        chunks: impl Iterator<Item = Chunk>,
        owner: Option<LockOwner>,
        round: Round,
    ) -> Result<()> {
        let prewrites: Vec<_> = chunks.map(|chunk| self.prewrite(chunk, owner, round)).collect();
        stream::iter(prewrites)
            .buffer_unordered(limits::PREWRITES_IN_FLIGHT)
            .try_for_each(|()| futures::future::ready(Ok(())))
            .await
    }

    /// Sends one chunk.
    async fn prewrite(&self, chunk: Chunk, owner: Option<LockOwner>, round: Round) -> Result<()> {
        let mut moves = Moves::default();
        let mut left = VecDeque::from([chunk]);
        while let Some(part) = left.pop_front() {
            if unless_moved(self.prewrite_part(&part, owner, round).await)?.is_none() {
                moves.again(part.route.shard)?;
                left.extend(part.parts(&*self.identity.client)?);
            }
        }
        Ok(())
    }

    /// Sends writes of one shard.
    async fn prewrite_part(
        &self,
        part: &Chunk,
        owner: Option<LockOwner>,
        round: Round,
    ) -> Result<()> {
        let Identity { client, start_ts, primary, .. } = &self.identity;
        let request = WriteRequest::Prewrite {
            start_ts: *start_ts,
            primary: primary.clone(),
            expires_unix_ms: expires_unix_ms(&**client),
            writes: part.writes.clone(),
            owner,
            secondaries: None,
            round: Some(round),
        };
        let wait = LockWait::holding_locks(*start_ts);
        match resolve::write(&**client, part.route, wait, request).await {
            Ok(WriteResponse::Done { .. }) => Ok(()),
            Ok(_) => Err(wrong_answer(part.route.shard)),
            // A lock that may or may not stand decides nothing: the transaction is rolled back.
            Err(Error::OutcomeUnknown { shard }) => Err(Error::Unavailable {
                shard,
                what: "it did not confirm a lock in time; the transaction was rolled back".into(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Moves the expiry of the primary's lock on for as long as the transaction is not dropped.
    fn keep_alive(&self) {
        let pulse = Arc::downgrade(&self.pulse);
        let Identity { client, start_ts, primary, .. } = self.identity.clone();
        self.identity.client.spawn(Box::pin(async move {
            loop {
                client.pause(limits::LOCK_TTL / 3).await;
                if pulse.strong_count() == 0 {
                    return;
                }
                let request = WriteRequest::Heartbeat {
                    start_ts,
                    primary: primary.clone(),
                    expires_unix_ms: expires_unix_ms(&*client),
                };
                // Any other failure is not final: the next beat or the commit will tell.
                if let Err(Error::RolledBack { .. }) = write_at(&*client, &primary, request).await {
                    if let Some(pulse) = pulse.upgrade() {
                        pulse.lost.store(true, Ordering::SeqCst);
                    }
                    return;
                }
            }
        }));
    }

    /// Commits what was sent and returns the commit timestamp. Row locks are released when it is decided.
    ///
    /// # Errors
    /// `RolledBack`, `Unavailable`: nothing was written. `OutcomeUnknown`.
    pub(super) async fn commit(self, locks: Option<HeldLocks>) -> Result<Timestamp> {
        let shard = self.identity.client.locate(&self.identity.primary)?.shard;
        let (answer, outcome) = oneshot::channel();
        let client = self.identity.client.clone();
        client.spawn(Box::pin(self.run_commit(locks, answer)));
        // Silence means that the node is going down.
        outcome.await.unwrap_or(Err(Error::OutcomeUnknown { shard }))
    }

    async fn run_commit(
        mut self,
        locks: Option<HeldLocks>,
        answer: oneshot::Sender<Result<Timestamp>>,
    ) {
        let outcome = self.decide().await;
        self.decided = matches!(outcome, Ok(_) | Err(Error::OutcomeUnknown { .. }));
        drop(locks);
        let commit_ts = outcome.as_ref().ok().copied();
        // A caller that went away needs no answer. After an error the drop of this rolls back.
        let _ = answer.send(outcome);
        if let Some(commit_ts) = commit_ts {
            self.identity.finish(Some(commit_ts)).await;
        }
    }

    async fn decide(&self) -> Result<Timestamp> {
        let Identity { client, start_ts, primary, .. } = &self.identity;
        let request = WriteRequest::Decide { start_ts: *start_ts, primary: primary.clone() };
        let (shard, response) = write_at(&**client, primary, request).await?;
        match response {
            WriteResponse::Done { commit_ts }
            | WriteResponse::Status(TxnStatus::Committed { commit_ts }) => Ok(commit_ts),
            WriteResponse::Status(_) | WriteResponse::Counter(_) => {
                Err(Error::OutcomeUnknown { shard })
            }
        }
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        if self.decided || self.round == 0 {
            return;
        }
        let identity = self.identity.clone();
        self.identity.client.spawn(Box::pin(async move { identity.roll_back().await }));
    }
}

impl Identity {
    /// Rolls the primary back, unless it is committed, and has the shards do the rest.
    async fn roll_back(&self) {
        for _ in 0..limits::FINISH_FAILURES_MAX {
            let (start_ts, keys) = (self.start_ts, vec![self.primary.clone()]);
            let request = WriteRequest::Rollback { start_ts, keys };
            match write_at(&*self.client, &self.primary, request).await {
                Ok((_, WriteResponse::Done { .. })) => return self.finish(None).await,
                Ok((_, WriteResponse::Status(TxnStatus::Committed { commit_ts }))) => {
                    return self.finish(Some(commit_ts)).await;
                }
                Ok(_) => return,
                Err(_) => self.client.pause(limits::FINISH_LOOK).await,
            }
        }
    }

    /// Has every shard finish its locks; of a shard that was split, each one that owns some of its slots now.
    async fn finish(&self, commit_ts: Option<Timestamp>) {
        let mut moves = Moves::default();
        let mut left = self.routes.clone();
        while !left.is_empty() {
            let shards: Vec<_> =
                left.iter().map(|route| self.finish_shard(*route, commit_ts)).collect();
            let moved: Vec<Route> =
                futures::future::join_all(shards).await.into_iter().flatten().collect();
            left.clear();
            for route in moved {
                // Whoever meets a lock that is left sees to it.
                if moves.again(route.shard).is_ok() {
                    left.extend(owners(&*self.client, route.slots).unwrap_or_default());
                }
            }
        }
    }

    /// Has a shard finish its locks; answers it when its slots have moved.
    async fn finish_shard(&self, route: Route, commit_ts: Option<Timestamp>) -> Option<Route> {
        let mut failures = 0;
        for _ in 0..limits::FINISH_LOOKS_MAX {
            let (start_ts, primary) = (self.start_ts, self.primary.clone());
            let request = WriteRequest::FinishAll { start_ts, primary, commit_ts };
            match self.client.write(route, request).await {
                Ok(WriteResponse::Counter(0)) => return None,
                Err(Error::Moved { .. }) => return Some(route),
                Ok(_) => failures = 0,
                Err(_) => failures += 1,
            }
            if failures == limits::FINISH_FAILURES_MAX {
                return None;
            }
            self.client.pause(limits::FINISH_LOOK).await;
        }
        None
    }
}

/// When a lock written now expires.
fn expires_unix_ms(client: &dyn ShardClient) -> u64 {
    client.unix_ms() + limits::LOCK_TTL.as_millis() as u64
}

/// The key that decides a transaction of these writes: the first one that is written.
pub(super) fn primary_of(writes: &[KeyWrite]) -> Option<Bytes> {
    writes.iter().find(|write| write.change != Change::Keep).map(|write| write.key.clone())
}
