//! Committing buffered writes: one entry on one shard, two phases over several.
//!
//! ```text
//!             ┌ prewrite chunk 0 (has the primary) ┐
//!  start_ts ──┼ prewrite chunk 1                   ┼─► commit_ts ─► commit chunk 0 ─► answer
//!             └ …  PREWRITES_IN_FLIGHT at a time   ┘                     └─► commit the others
//!                  any failure ─► answer the error ─► roll back what was started
//! ```
//!
//! A chunk is a part of one shard's writes that fits one Raft entry. The two phases run as a task of their
//! own, so a client that goes away leaves no locks behind. The transaction is committed at the moment
//! chunk 0's commit is durable; whoever finds another lock later learns that from the primary's record.
//!
//! # Asynchronous commit
//!
//! A small transaction is committed at the moment its last lock is durable, one entry earlier:
//!
//! ```text
//!  start_ts ─► prewrite all chunks, each with a timestamp of its leader ─► answer ─► commit chunk 0, then the others
//!                  any failure ─► roll back the primary ─► answer what became of it
//! ```
//!
//! Its `commit_ts` is the latest of the timestamps that the leaders have put into the locks. Each was fetched under the
//! latches of the keys, so a reader whose read point is later meets the latch or the lock, and one whose read point is
//! earlier may pass. The primary's lock names all other keys: when it has expired, whoever meets a lock looks whether
//! all of them stand (`resolve`). A missing one is ruled out for good before the transaction is rolled back. (The idea:
//! CockroachDB's parallel commits, TiDB's async commit.)
//!
//! A row lock is released by its leader with the answer to the prewrite, whose replicated lock protects the row from then
//! on. So when the commit is answered no row lock is left, only replicated locks of a transaction that is decided; whoever
//! asks for one of these rows finishes them (`resolve`).
//!
//! Rows that were locked and not written travel with the writes, as changes that keep them: a lock that was lost with
//! its leader is noticed here. A serializable transaction takes the two phases even on one shard: once its writes are
//! locked and it has its `commit_ts`, it looks whether anything it has read was changed before that point.
//!
//! Before anything is sent that may commit, the caller gets the commit's [`Identity`]: by it the outcome is found out
//! (`outcome`) when nobody answers. A commit of one entry names a timestamp that this node has heard before; the shard's
//! leader commits it not much later than that, so a message that was lost for long does nothing.
//!
//! A shard may be split at any moment. Then a request answers `Moved`, nothing was executed, and its keys are sent to whoever
//! owns them now (`owners`). A transaction of one shard may have become one of several; a chunk, several requests. What
//! decides is always the primary's key, wherever it is.
//!
//! Invariants:
//! 1. `commit_ts` is fetched after the last prewrite is durable, so every reader whose read point is
//!    later meets the lock or the version. (An asynchronous commit: see above.)
//! 2. Secondary keys are rolled back only after the primary is known to be rolled back.
//! 3. An asynchronous commit answers an error only after the primary is known to be rolled back.

use super::held_locks::HeldLocks;
use super::outcome::Identity;
use super::owners::{Moves, by_route, unless_moved, write_at};
use super::prepared::PreparedTransaction;
use super::read_set::ReadSet;
use super::resolve::{self, LockWait};
use super::wrong_answer;
use crate::command::{
    Change, CommitId, KeyWrite, LockOwner, TxnStatus, WriteRequest, WriteResponse,
};
use crate::defect;
use crate::shard_client::{Route, ShardClient};
use crate::{Error, Result};
use base::{ShardId, Timestamp, limits};
use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// What a serializable transaction has read, and when.
pub(super) struct Validation {
    /// What.
    pub(super) reads: ReadSet,
    /// The read point.
    pub(super) since: Timestamp,
}

/// Commits writes (at least one) and returns their commit timestamp. `locks` are released when it is over. `identity` is
/// set before anything is sent that may commit.
pub(super) async fn commit(
    client: &Arc<dyn ShardClient>,
    mut writes: Vec<KeyWrite>,
    mut locks: Option<HeldLocks>,
    validation: Option<Validation>,
    identity: &mut Option<Identity>,
) -> Result<Timestamp> {
    let owner = locks.as_ref().map(HeldLocks::owner);
    let changed = writes.iter().find(|write| write.change != Change::Keep);
    let Some(primary) = changed.map(|write| write.key.clone()) else {
        return confirm(&**client, writes, locks).await;
    };
    let mut moves = Moves::default();
    let parts = loop {
        let mut parts = by_route(&**client, writes, |write| &write.key)?;
        let alone = validation.is_none() && parts.len() == 1;
        match parts.pop() {
            Some((route, all)) if alone && bytes_of(&all) <= limits::ENTRY_BYTES_MAX => {
                let commit = commit_one(&**client, (route, &primary), &all, owner, identity).await;
                if let Some(commit_ts) = unless_moved(commit)? {
                    if let Some(locks) = &mut locks {
                        locks.released(route);
                    }
                    return Ok(commit_ts);
                }
                moves.again(route.shard)?;
                writes = all;
            }
            last => {
                parts.extend(last);
                break parts;
            }
        }
    };
    let mut work = TwoPhase::begin(client, parts, primary, locks).await?;
    work.secondaries = match validation {
        None => secondaries_of(&work.chunks),
        // What was read must be looked at again between the phases.
        Some(_) => None,
    };
    work.validation = validation;
    let (start_ts, primary) = (work.start_ts, work.primary.clone());
    *identity = Some(Identity::SeveralShards { start_ts, primary });
    let shard = work.shard();
    let (answer, outcome) = oneshot::channel();
    client.spawn(Box::pin(work.run(answer)));
    // The task answers always; silence means that the node is going down.
    outcome.await.unwrap_or(Err(Error::OutcomeUnknown { shard }))
}

/// First phase of writes (at least one) that are committed later, and by somebody else perhaps. `locks` are released
/// when it is over.
pub(super) async fn prepare(
    client: &Arc<dyn ShardClient>,
    writes: Vec<KeyWrite>,
    locks: Option<HeldLocks>,
) -> Result<PreparedTransaction> {
    let written = writes.iter().find(|write| write.change != Change::Keep);
    let Some(primary) = written.or(writes.first()).map(|write| write.key.clone()) else {
        return Err(Error::Unavailable { shard: ShardId::META, what: "nothing to prepare".into() });
    };
    let parts = by_route(&**client, writes, |write| &write.key)?;
    let work = TwoPhase::begin(client, parts, primary, locks).await?;
    let shard = work.shard();
    let (answer, outcome) = oneshot::channel();
    client.spawn(Box::pin(work.run_first_phase(answer)));
    // Silence means that the node is going down; the locks expire.
    let gone = |_| Err(Error::Unavailable { shard, what: "this node is stopping".into() });
    outcome.await.unwrap_or_else(gone)
}

/// Ends a transaction that has locked rows and written none: what it has read under its locks must still be so.
async fn confirm(
    client: &dyn ShardClient,
    writes: Vec<KeyWrite>,
    mut locks: Option<HeldLocks>,
) -> Result<Timestamp> {
    let owner = locks.as_ref().map(HeldLocks::owner);
    let mut moves = Moves::default();
    let mut confirmed: Vec<Route> = Vec::new();
    let mut left = writes;
    while !left.is_empty() {
        let mut parts = by_route(client, std::mem::take(&mut left), |write| &write.key)?;
        parts.sort_unstable_by_key(|(route, _)| *route);
        let chunks = parts.into_iter().flat_map(|(route, writes)| cut(route, writes));
        let answers = chunks.map(async |Chunk { route, writes }| {
            match commit_now(client, route, writes.clone(), owner, None).await {
                // It writes nothing, so nothing may have happened.
                Err(Error::OutcomeUnknown { shard }) => {
                    let what = "it did not confirm in time that the locked rows are as they were; the transaction has \
                                written nothing";
                    Err(Error::Unavailable { shard, what: what.into() })
                }
                outcome => Ok((route, unless_moved(outcome)?.is_none().then_some(writes))),
            }
        });
        let mut moved = None;
        for (route, not_confirmed) in try_join_all(answers).await? {
            match not_confirmed {
                None => confirmed.push(route),
                Some(writes) => {
                    moved = Some(route.shard);
                    left.extend(writes);
                }
            }
        }
        moved.map_or(Ok(()), |shard| moves.again(shard))?;
    }
    if let Some(locks) = &mut locks
        && confirmed.len() == confirmed.iter().collect::<BTreeSet<_>>().len()
    {
        confirmed.into_iter().for_each(|route| locks.released(route));
    }
    Ok(Timestamp::ZERO)
}

/// The whole transaction in one entry that can be found again.
async fn commit_one(
    client: &dyn ShardClient,
    (route, primary): (Route, &Bytes),
    writes: &[KeyWrite],
    owner: Option<LockOwner>,
    identity: &mut Option<Identity>,
) -> Result<Timestamp> {
    let mut since = match client.read_points().recent(client.unix_ms()) {
        Some(since) => since,
        None => heard_now(client).await?,
    };
    let mut again = false;
    loop {
        let id = CommitId { number: client.lock_owners().number(), since };
        *identity = Some(Identity::OneShard { id, primary: primary.clone() });
        match commit_now(client, route, writes.to_vec(), owner, Some(id)).await {
            // It came too late: nothing was executed. The oracle's time has jumped, or it had to wait.
            Err(Error::RolledBack { .. }) if !again => {
                again = true;
                since = heard_now(client).await?;
            }
            Ok(commit_ts) => {
                client.read_points().hear(commit_ts, client.unix_ms());
                return Ok(commit_ts);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A new timestamp, remembered.
async fn heard_now(client: &dyn ShardClient) -> Result<Timestamp> {
    let ts = client.timestamp().await?;
    client.read_points().hear(ts, client.unix_ms());
    Ok(ts)
}

/// Writes of one shard in one entry.
async fn commit_now(
    client: &dyn ShardClient,
    route: Route,
    writes: Vec<KeyWrite>,
    owner: Option<LockOwner>,
    id: Option<CommitId>,
) -> Result<Timestamp> {
    let request = WriteRequest::CommitNow { writes, owner, id };
    match resolve::write(client, route, LockWait::patient(), request).await? {
        WriteResponse::Done { commit_ts } => Ok(commit_ts),
        WriteResponse::Status(_) | WriteResponse::Counter(_) => Err(wrong_answer(route.shard)),
    }
}

/// Writes of one shard that travel in one request, unless the shard is split.
pub(super) struct Chunk {
    /// The shard, when the writes were cut into chunks.
    pub(super) route: Route,
    /// The writes, in key order.
    pub(super) writes: Vec<KeyWrite>,
}

impl Chunk {
    /// Its writes by the shards that own them now; that of the first one comes first.
    pub(super) fn parts(&self, client: &dyn ShardClient) -> Result<Vec<Chunk>> {
        let parts = by_route(client, self.writes.clone(), |write| &write.key)?;
        Ok(parts.into_iter().map(|(route, writes)| Chunk { route, writes }).collect())
    }

    /// Its keys.
    fn keys(&self) -> Vec<Bytes> {
        self.writes.iter().map(|write| write.key.clone()).collect()
    }

    /// Its keys that are written, and those that are only kept.
    pub(super) fn written_and_kept(&self) -> (Vec<Bytes>, Vec<Bytes>) {
        let keep = |write: &&KeyWrite| write.change == Change::Keep;
        let (kept, written): (Vec<_>, Vec<_>) = self.writes.iter().partition(keep);
        let keys = |writes: Vec<&KeyWrite>| writes.iter().map(|write| write.key.clone()).collect();
        (keys(written), keys(kept))
    }
}

/// A transaction between its first prewrite and its last commit.
pub(super) struct TwoPhase {
    /// The way to shards.
    client: Arc<dyn ShardClient>,
    /// Identity.
    pub(super) start_ts: Timestamp,
    /// The deciding key: the first write of chunk 0.
    pub(super) primary: Bytes,
    /// All writes.
    pub(super) chunks: Vec<Chunk>,
    /// All keys but the primary, when the transaction commits asynchronously.
    secondaries: Option<Vec<Bytes>>,
    /// Row locks that prewrites have not released yet; gone when it is decided.
    locks: Option<HeldLocks>,
    /// What must not have changed at the commit.
    validation: Option<Validation>,
    /// Chunks whose prewrite may have been sent: the first so many.
    started: AtomicUsize,
    /// Whether the primary's lock stands, so that there is something to keep alive.
    primary_locked: AtomicBool,
}

impl TwoPhase {
    /// A transaction of which nothing was sent yet: its writes by shards.
    async fn begin(
        client: &Arc<dyn ShardClient>,
        mut parts: Vec<(Route, Vec<KeyWrite>)>,
        primary: Bytes,
        locks: Option<HeldLocks>,
    ) -> Result<TwoPhase> {
        // The primary is the first write of the first chunk, the others come in the order of their shards.
        parts.sort_unstable_by_key(|(route, _)| *route);
        put_first(&mut parts, &primary);
        let chunks: Vec<Chunk> =
            parts.into_iter().flat_map(|(route, writes)| cut(route, writes)).collect();
        Ok(TwoPhase {
            client: client.clone(),
            start_ts: heard_now(&**client).await?,
            primary,
            chunks,
            secondaries: None,
            locks,
            validation: None,
            started: AtomicUsize::new(0),
            primary_locked: AtomicBool::new(false),
        })
    }

    /// The shard whose name errors give.
    fn shard(&self) -> ShardId {
        self.chunks[0].route.shard
    }

    /// Runs the first phase only.
    async fn run_first_phase(self, answer: oneshot::Sender<Result<PreparedTransaction>>) {
        let prewritten = tokio::select! {
            biased;
            outcome = self.prewrite_all() => outcome,
            error = self.keep_alive() => Err(error),
        };
        match prewritten {
            Ok(_) => {
                // Whoever asked may have gone away: then nobody holds the locks, and they expire.
                let _ = answer.send(Ok(PreparedTransaction::of(&self)));
            }
            Err(error) => {
                let _ = answer.send(Err(error));
                self.roll_back().await;
            }
        }
    }

    /// Runs both phases; answers as soon as the outcome is decided, then tidies up.
    async fn run(mut self, answer: oneshot::Sender<Result<Timestamp>>) {
        let early = match defect::active("commit-point-before-prewrites") {
            true => self.client.timestamp().await.ok(),
            false => None,
        };
        let prewritten = tokio::select! {
            // In this order, or equal seeds would give different runs.
            biased;
            outcome = self.prewrite_all() => outcome,
            error = self.keep_alive() => Err(error),
        };
        if self.secondaries.is_some() {
            return match prewritten {
                Ok(commit_ts) => {
                    // What was granted to a request that failed afterwards no prewrite has released.
                    drop(self.locks.take());
                    let _ = answer.send(Ok(commit_ts));
                    self.commit_behind(commit_ts).await;
                }
                Err(error) => self.undo_async(error, answer).await,
            };
        }
        let commit_ts = match prewritten {
            Ok(_) if early.is_some() => Ok(early.unwrap_or_default()),
            Ok(_) => self.commit_point().await,
            Err(error) => Err(error),
        };
        let commit_ts = match commit_ts {
            Ok(commit_ts) => commit_ts,
            Err(error) => {
                // A caller that went away needs no answer; the locks must go in any case.
                let _ = answer.send(Err(error));
                return self.roll_back().await;
            }
        };
        if defect::active("answered-before-the-primary") {
            let _ = answer.send(Ok(commit_ts));
            return drop(self.commit_primary(commit_ts).await);
        }
        match self.commit_primary(commit_ts).await {
            Ok((commit_ts, rest)) => {
                drop(self.locks.take());
                let _ = answer.send(Ok(commit_ts));
                self.commit_others(commit_ts, rest).await;
            }
            Err(error @ Error::OutcomeUnknown { .. }) => {
                // Nobody may undo what may be committed; whoever meets a lock asks the primary.
                let _ = answer.send(Err(error));
            }
            Err(error) => {
                let _ = answer.send(Err(error));
                self.roll_back().await;
            }
        }
    }

    /// The commit timestamp, if what was read is still so then.
    async fn commit_point(&self) -> Result<Timestamp> {
        let commit_ts = self.client.timestamp().await?;
        let Some(Validation { reads, since }) = &self.validation else { return Ok(commit_ts) };
        match reads.has_changed(&*self.client, *since, commit_ts, self.start_ts).await? {
            true => Err(Error::WriteConflict { key: self.primary.clone() }),
            false => Ok(commit_ts),
        }
    }

    /// Tidies up after an asynchronous commit that is answered. A failure leaves locks that readers resolve.
    async fn commit_behind(&self, commit_ts: Timestamp) {
        if let Ok((commit_ts, rest)) = self.commit_primary(commit_ts).await {
            self.commit_others(commit_ts, rest).await;
        }
    }

    /// Ends an asynchronous commit whose first phase failed. All its locks may stand nevertheless, and somebody may have
    /// found that out: the primary knows.
    async fn undo_async(&self, error: Error, answer: oneshot::Sender<Result<Timestamp>>) {
        if defect::active("async-error-before-rollback") {
            let _ = answer.send(Err(error));
            return self.roll_back().await;
        }
        match self.roll_back_primary().await {
            Ok((WriteResponse::Status(TxnStatus::Committed { commit_ts }), rest)) => {
                let _ = answer.send(Ok(commit_ts));
                self.commit_others(commit_ts, rest).await;
            }
            Ok((WriteResponse::Done { .. }, rest)) => {
                let _ = answer.send(Err(error));
                self.roll_back_others(rest).await;
            }
            // Nobody knows, or (after a very long silence) nobody knows any more.
            Ok(_) | Err(_) => {
                let shard = self.shard();
                let _ = answer.send(Err(Error::OutcomeUnknown { shard }));
            }
        }
    }

    /// First phase, over all chunks; the latest of the timestamps that their leaders gave.
    async fn prewrite_all(&self) -> Result<Timestamp> {
        let prewrites: Vec<_> = (0..self.chunks.len()).map(|index| self.prewrite(index)).collect();
        stream::iter(prewrites)
            .buffer_unordered(limits::PREWRITES_IN_FLIGHT)
            .try_fold(Timestamp::ZERO, async |latest: Timestamp, ts| {
                Ok(match defect::active("async-commit-at-the-first") && latest != Timestamp::ZERO {
                    true => latest.min(ts),
                    false => latest.max(ts),
                })
            })
            .await
    }

    /// First phase of one chunk.
    async fn prewrite(&self, index: usize) -> Result<Timestamp> {
        self.started.fetch_max(index + 1, Ordering::SeqCst);
        let mut moves = Moves::default();
        let mut latest = Timestamp::ZERO;
        let mut left = VecDeque::from(self.chunks[index].parts(&*self.client)?);
        while let Some(part) = left.pop_front() {
            match unless_moved(self.prewrite_part(&part).await)? {
                Some(ts) => latest = latest.max(ts),
                None => {
                    moves.again(part.route.shard)?;
                    left.extend(part.parts(&*self.client)?);
                }
            }
        }
        Ok(latest)
    }

    /// First phase of writes of one shard.
    async fn prewrite_part(&self, part: &Chunk) -> Result<Timestamp> {
        let has_primary = part.writes.iter().any(|write| write.key == self.primary);
        let request = WriteRequest::Prewrite {
            start_ts: self.start_ts,
            primary: self.primary.clone(),
            expires_unix_ms: self.expires_unix_ms(),
            writes: part.writes.clone(),
            owner: self.locks.as_ref().map(HeldLocks::owner),
            secondaries: match has_primary {
                true => self.secondaries.clone(),
                false => self.secondaries.as_ref().map(|_| Vec::new()),
            },
            round: None,
        };
        let wait = LockWait::holding_locks(self.start_ts);
        match resolve::write(&*self.client, part.route, wait, request).await {
            Ok(response) => {
                if has_primary {
                    self.primary_locked.store(true, Ordering::SeqCst);
                }
                match response {
                    WriteResponse::Done { commit_ts } => Ok(commit_ts),
                    _ => Err(wrong_answer(part.route.shard)),
                }
            }
            // A lock that may or may not stand decides nothing: the transaction is rolled back, and
            // that is a certain outcome.
            Err(Error::OutcomeUnknown { shard }) => Err(Error::Unavailable {
                shard,
                what: "it did not confirm a lock in time; the transaction was rolled back".into(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Moves the expiry of the primary's lock on while prewrites run. Ends only with the news that
    /// somebody rolled the transaction back.
    async fn keep_alive(&self) -> Error {
        loop {
            self.client.pause(limits::LOCK_TTL / 3).await;
            if !self.primary_locked.load(Ordering::SeqCst) {
                continue;
            }
            let request = WriteRequest::Heartbeat {
                start_ts: self.start_ts,
                primary: self.primary.clone(),
                expires_unix_ms: self.expires_unix_ms(),
            };
            // Any other failure is not final: the next beat or the commit will tell.
            if let Err(error @ Error::RolledBack { .. }) =
                write_at(&*self.client, &self.primary, request).await
            {
                return error;
            }
        }
    }

    /// Sends the part of chunk 0 that has the primary, and answers what is left of the chunk beside it.
    async fn send_primary(
        &self,
        request: impl Fn(&Chunk) -> WriteRequest,
    ) -> Result<(WriteResponse, Vec<Chunk>)> {
        let mut moves = Moves::default();
        loop {
            let mut parts = self.chunks[0].parts(&*self.client)?;
            // That of the chunk's first write.
            let rest = parts.split_off(1);
            let outcome = self.client.write(parts[0].route, request(&parts[0])).await;
            match unless_moved(outcome)? {
                Some(response) => return Ok((response, rest)),
                None => moves.again(parts[0].route.shard)?,
            }
        }
    }

    /// Sends a chunk whose outcome decides nothing: a failure leaves locks that readers resolve.
    async fn send_other(&self, chunk: &Chunk, request: impl Fn(&Chunk) -> WriteRequest) {
        let mut moves = Moves::default();
        let mut left = VecDeque::from(chunk.parts(&*self.client).unwrap_or_default());
        while let Some(part) = left.pop_front() {
            let outcome = self.client.write(part.route, request(&part)).await;
            if let Err(Error::Moved { shard }) = outcome
                && moves.again(shard).is_ok()
            {
                left.extend(part.parts(&*self.client).unwrap_or_default());
            }
        }
    }

    /// The second phase of some writes.
    fn commit_request(&self, chunk: &Chunk, commit_ts: Timestamp) -> WriteRequest {
        let (start_ts, (keys, kept)) = (self.start_ts, chunk.written_and_kept());
        WriteRequest::Commit { start_ts, commit_ts, keys, kept }
    }

    /// Undoes the first phase of some writes.
    fn roll_back_request(&self, chunk: &Chunk) -> WriteRequest {
        WriteRequest::Rollback { start_ts: self.start_ts, keys: chunk.keys() }
    }

    /// Second phase of what decides; the timestamp at which it is committed, which somebody else may have chosen before, and
    /// what is left of chunk 0.
    async fn commit_primary(&self, commit_ts: Timestamp) -> Result<(Timestamp, Vec<Chunk>)> {
        let request = |chunk: &Chunk| self.commit_request(chunk, commit_ts);
        let (response, rest) = self.send_primary(request).await?;
        match response {
            WriteResponse::Status(TxnStatus::Committed { commit_ts }) => Ok((commit_ts, rest)),
            // This coordinator was silent for so long that everything was decided and tidied up without it.
            WriteResponse::Status(TxnStatus::Forgotten) => {
                Err(Error::OutcomeUnknown { shard: self.shard() })
            }
            _ => Ok((commit_ts, rest)),
        }
    }

    /// Second phase of the chunks that do not decide. A failure leaves locks that readers resolve.
    async fn commit_others(&self, commit_ts: Timestamp, rest: Vec<Chunk>) {
        let others = rest.iter().chain(&self.chunks[1..]);
        let request = |chunk: &Chunk| self.commit_request(chunk, commit_ts);
        let commits: Vec<_> = others.map(|chunk| self.send_other(chunk, request)).collect();
        stream::iter(commits)
            .buffer_unordered(limits::PREWRITES_IN_FLIGHT)
            .for_each(|()| futures::future::ready(()))
            .await;
    }

    /// Removes the locks of every chunk that may have been sent, the deciding one first.
    async fn roll_back(&self) {
        // Unless the primary is known to be rolled back, its record decides for the other locks.
        if let Ok((WriteResponse::Done { .. }, rest)) = self.roll_back_primary().await {
            self.roll_back_others(rest).await;
        }
    }

    /// Removes the primary's lock, and those that go with it in one request; answers what is left of chunk 0.
    async fn roll_back_primary(&self) -> Result<(WriteResponse, Vec<Chunk>)> {
        self.send_primary(|chunk| self.roll_back_request(chunk)).await
    }

    /// Removes the locks of every chunk that may have been sent, but for the deciding ones.
    async fn roll_back_others(&self, rest: Vec<Chunk>) {
        let started = self.started.load(Ordering::SeqCst).max(1);
        let others = rest.iter().chain(&self.chunks[1..started]);
        let request = |chunk: &Chunk| self.roll_back_request(chunk);
        let rollbacks: Vec<_> = others.map(|chunk| self.send_other(chunk, request)).collect();
        stream::iter(rollbacks)
            .buffer_unordered(limits::PREWRITES_IN_FLIGHT)
            .for_each(|()| futures::future::ready(()))
            .await;
    }

    /// When a lock written now expires.
    fn expires_unix_ms(&self) -> u64 {
        self.client.unix_ms() + limits::LOCK_TTL.as_millis() as u64
    }
}

/// All keys but the primary, the first one, if they are few enough for an asynchronous commit.
fn secondaries_of(chunks: &[Chunk]) -> Option<Vec<Bytes>> {
    let keys: usize = chunks.iter().map(|chunk| chunk.writes.len()).sum();
    let bytes: usize = chunks.iter().flat_map(|chunk| &chunk.writes).map(|w| w.key.len()).sum();
    (keys <= limits::ASYNC_COMMIT_KEYS_MAX && bytes <= limits::ASYNC_COMMIT_BYTES_MAX)
        .then(|| chunks.iter().flat_map(Chunk::keys).skip(1).collect())
}

/// Puts the part with a key before the others, and the key's write before the others of its part.
pub(super) fn put_first(parts: &mut [(Route, Vec<KeyWrite>)], key: &Bytes) {
    let place = |writes: &[KeyWrite]| writes.iter().position(|write| write.key == *key);
    let Some(part) = parts.iter().position(|(_, writes)| place(writes).is_some()) else { return };
    parts[..=part].rotate_right(1);
    let writes = &mut parts[0].1;
    if let Some(at) = place(writes) {
        writes[..=at].rotate_right(1);
    }
}

/// What writes cost in a command, bytes.
fn bytes_of(writes: &[KeyWrite]) -> usize {
    writes.iter().map(weight).sum()
}

/// What a write costs in a command, bytes.
fn weight(write: &KeyWrite) -> usize {
    write.key.len() + write.change.bytes() + limits::WRITE_OVERHEAD_BYTES
}

/// Cuts the writes of one shard into chunks of about `ENTRY_BYTES_TARGET`.
pub(super) fn cut(route: Route, writes: Vec<KeyWrite>) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut bytes = usize::MAX;
    for write in writes {
        let more = weight(&write);
        match chunks.last_mut() {
            Some(chunk) if bytes + more <= limits::ENTRY_BYTES_TARGET => {
                bytes += more;
                chunk.writes.push(write);
            }
            _ => {
                bytes = more;
                chunks.push(Chunk { route, writes: vec![write] });
            }
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Expect;
    use base::{ShardEpoch, SlotRange};

    #[test]
    fn chunks_stay_below_the_target_and_keep_the_order() {
        let route = Route { shard: ShardId(1), epoch: ShardEpoch(0), slots: SlotRange::ALL };
        let writes: Vec<KeyWrite> = (0u8..10)
            .map(|i| KeyWrite {
                key: Bytes::from(vec![i]),
                change: Change::Put(Bytes::from(vec![0; 300_000])),
                expect: Expect::Any,
            })
            .collect();
        let chunks = cut(route, writes.clone());
        assert_eq!(chunks.iter().map(|c| c.writes.len()).collect::<Vec<_>>(), [3, 3, 3, 1]);
        assert_eq!(chunks.into_iter().flat_map(|c| c.writes).collect::<Vec<_>>(), writes);
    }
}
