//! What to do about another transaction's lock: ask its primary, finish it, or wait.
//!
//! ```text
//!  KeyLocked ─► CheckStatus at the primary's shard
//!                 ├ committed   ─► Commit this key     ─► try again at once
//!                 ├ rolled back ─► Rollback this key   ─► try again at once
//!                 ├ prewritten  ─► CheckLocks at all its shards ─► decide it at the primary ─► as above
//!                 ├ alive       ─► pause, twice as long each time ─► try again, until the limit
//!                 └ open        ─► a reader passes it; a writer is told that the row is locked, and stands in line
//! ```
//!
//! *Open* are large transactions, which may write for hours, and prepared ones that are held (`prepared`), perhaps for
//! days. So nobody waits for them here. Their commit timestamp is fetched late, see below: readers see what was there
//! before. Who wants to change their rows waits with a row lock, as long as its session allows (`held_locks`).
//!
//! A reader that meets a large transaction does not wait and finishes nothing. It asks the primary once and tells the
//! shard what to make of the locks from then on:
//!
//! ```text
//!  KeyLocked, large ─► CheckStatus ─┬ committed   ─► read its locks as versions
//!                                   ├ open        ─► pass its locks: it will commit after the read point
//!                                   └ rolled back ─► pass its locks
//! ```
//!
//! *Open* says that the primary's lock stood, and that the commit timestamp will be fetched under the primary's latch,
//! later than this answer and so later than the read point. A read of the newest versions has none; it gets one first,
//! and asks once more.
//!
//! *Prewritten* is an asynchronous commit whose coordinator is silent: it is committed if all its locks stand. Several
//! may find that out at once; what the primary's shard executes first counts.
//!
//! Who asks for a row lock, and perhaps does not wait for it (NOWAIT, SKIP LOCKED), must not take a row for taken whose
//! transaction has been committed and answered. So it does not leave an asynchronous commit to its coordinator until the
//! locks expire, and looks at once:
//!
//! ```text
//!  KeyLocked ─► LookAtLocks at the primary ─┬ prewritten ─► LookAtLocks at its other shards
//!                                           │                ├ all stand ─► commit the primary, then this key
//!                                           │                └ one does not ─► look at the primary again ─┐
//!                                           ├ committed, rolled back ─► finish this key  ◄───────────────┤
//!                                           └ nobody knows ─► as above; alive: the row is taken  ◄───────┘
//! ```
//!
//! A look rules nothing out, so a transaction whose locks are being placed is not disturbed. A lock that is missing was
//! finished already or never placed: locks are finished after the primary's, so a primary that still stands then tells that
//! the transaction was undecided.

use crate::command::{
    Fate, KnownTransaction, ReadRequest, ReadResponse, TxnStatus, WriteRequest, WriteResponse,
};
use crate::defect;
use crate::shard_client::{Route, ShardClient};
use crate::transaction::owners::{write_at, write_everywhere};
use crate::transaction::wrong_answer;
use crate::{Error, Result};
use base::{Timestamp, limits};
use bytes::Bytes;
use std::time::Duration;

/// Runs a read, resolving the locks it meets.
///
/// # Errors
/// `Moved` when its keys have moved; `KeyLocked` when a live transaction stood in the way for `LOCK_WAIT_MAX`.
pub(super) async fn read(
    client: &dyn ShardClient,
    route: Route,
    mut request: ReadRequest,
) -> Result<ReadResponse> {
    read_with(client, route, &mut request, LockWait::patient()).await
}

/// The same for someone who waits as told. The request remembers what was learned of large transactions.
pub(super) async fn read_with(
    client: &dyn ShardClient,
    route: Route,
    request: &mut ReadRequest,
    mut wait: LockWait,
) -> Result<ReadResponse> {
    loop {
        match client.read(route, request.clone()).await {
            Err(Error::KeyLocked { key, start_ts, primary, large }) => {
                let looked =
                    large && look_through(client, route, request, start_ts, &primary).await?;
                if looked {
                    continue;
                }
                let left = finish(client, &key, start_ts, &primary).await?;
                let passed = left == Left::Open && pass(client, request, start_ts).await?;
                if left != Left::Nothing && !passed {
                    wait.pause(client, Met { key, start_ts, primary, large }).await?;
                }
            }
            outcome => return outcome,
        }
    }
}

/// Lets a read pass the locks of an open transaction; `false` when it is none of rows.
async fn pass(
    client: &dyn ShardClient,
    request: &mut ReadRequest,
    start_ts: Timestamp,
) -> Result<bool> {
    let Some((ts, known)) = request.sight() else { return Ok(false) };
    if *ts == Timestamp::MAX {
        // It may be decided by now: the next answer counts, which is later than this point.
        *ts = client.timestamp().await?;
        return Ok(true);
    }
    known.retain(|other| other.start_ts != start_ts);
    known.push(KnownTransaction { start_ts, fate: Fate::Passed });
    Ok(true)
}

/// Learns what a read has to make of a large transaction's locks. `false` when nobody knows yet.
async fn look_through(
    client: &dyn ShardClient,
    route: Route,
    request: &mut ReadRequest,
    start_ts: Timestamp,
    primary: &Bytes,
) -> Result<bool> {
    let Some((ts, known)) = request.sight() else { return Ok(false) };
    if *ts == Timestamp::MAX {
        // Before the question: what is decided after it is later.
        *ts = client.timestamp().await?;
    }
    let fate = match check_status(client, start_ts, primary).await? {
        TxnStatus::Alive | TxnStatus::Prewritten { .. } => return Ok(false),
        TxnStatus::Open => Fate::Passed,
        TxnStatus::Committed { commit_ts } => {
            have_finished(client, route, start_ts, primary, Some(commit_ts)).await;
            Fate::Committed { commit_ts }
        }
        // Of one that is committed there would be a record as long as its lock stands.
        TxnStatus::RolledBack | TxnStatus::Forgotten => {
            have_finished(client, route, start_ts, primary, None).await;
            Fate::Passed
        }
    };
    known.retain(|other| other.start_ts != start_ts);
    known.push(KnownTransaction { start_ts, fate });
    Ok(true)
}

/// Runs a write, resolving the locks it meets. `KeyLocked` means that nothing was executed, so another
/// attempt does no harm.
///
/// # Errors
/// `Moved` when its keys have moved; `RowLocked` at the lock of a large transaction that is not decided, or of a prepared one
/// that is held.
pub(super) async fn write(
    client: &dyn ShardClient,
    route: Route,
    mut wait: LockWait,
    request: WriteRequest,
) -> Result<WriteResponse> {
    loop {
        match client.write(route, request.clone()).await {
            Err(Error::KeyLocked { key, start_ts, primary, large }) => {
                match finish(client, &key, start_ts, &primary).await? {
                    Left::Nothing => {}
                    // Perhaps for long: whoever wants the row waits with a row lock, as its session allows.
                    Left::Open => return Err(Error::RowLocked { key }),
                    Left::Lock => {
                        wait.pause(client, Met { key, start_ts, primary, large }).await?;
                    }
                }
            }
            outcome => return outcome,
        }
    }
}

/// A lock that was met.
struct Met {
    key: Bytes,
    start_ts: Timestamp,
    primary: Bytes,
    large: bool,
}

/// How long to go on against locks of live transactions.
pub(super) struct LockWait {
    /// Time spent in pauses so far.
    waited: Duration,
    /// The next pause.
    next: Duration,
    /// Identity of the waiting transaction when it may hold locks itself; `None` when it holds none.
    own: Option<Timestamp>,
}

impl LockWait {
    /// For someone who holds no lock and so cannot be part of a deadlock.
    pub(super) fn patient() -> LockWait {
        LockWait { waited: Duration::ZERO, next: limits::LOCK_RETRY_PAUSE_MIN, own: None }
    }

    /// For a transaction that may hold locks. It waits long for younger ones but gives way to older
    /// ones soon: two transactions never wait long for each other.
    pub(super) fn holding_locks(own: Timestamp) -> LockWait {
        LockWait { own: Some(own), ..LockWait::patient() }
    }

    /// Pauses because of a lock that stands; an error when it is time to give up.
    async fn pause(&mut self, client: &dyn ShardClient, met: Met) -> Result<()> {
        let Met { key, start_ts, primary, large } = met;
        let gives_way = self.own.is_some_and(|own| own > start_ts);
        if gives_way && self.waited >= limits::LOCK_WAIT_YOUNGER_MAX {
            return Err(Error::WriteConflict { key });
        }
        if self.waited >= limits::LOCK_WAIT_MAX {
            return Err(Error::KeyLocked { key, start_ts, primary, large });
        }
        client.pause(self.next).await;
        self.waited += self.next;
        self.next = (self.next * 2).min(limits::LOCK_RETRY_PAUSE_MAX);
        Ok(())
    }
}

/// What is left of a lock that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing: try again.
    Nothing,
    /// The lock; its transaction may be decided soon.
    Lock,
    /// The lock of a large or prepared transaction, which commits after the answer, perhaps long after.
    Open,
}

/// Finishes a transaction's lock on `key` if the transaction is decided.
pub(super) async fn finish(
    client: &dyn ShardClient,
    key: &Bytes,
    start_ts: Timestamp,
    primary: &Bytes,
) -> Result<Left> {
    let status = what_became(client, start_ts, primary).await?;
    left_after(client, key, start_ts, status).await
}

/// Finishes the lock on `key` of a transaction of which this has become, and says what is left of it.
async fn left_after(
    client: &dyn ShardClient,
    key: &Bytes,
    start_ts: Timestamp,
    status: TxnStatus,
) -> Result<Left> {
    Ok(match finish_key(client, key, start_ts, &status).await? {
        true => Left::Nothing,
        false if status == TxnStatus::Open => Left::Open,
        false => Left::Lock,
    })
}

/// The same for someone who asks for a row lock: an asynchronous commit that is decided is finished before its locks expire.
pub(super) async fn finish_at_once(
    client: &dyn ShardClient,
    key: &Bytes,
    start_ts: Timestamp,
    primary: &Bytes,
) -> Result<Left> {
    let status = match look(client, start_ts, primary).await? {
        TxnStatus::Alive => what_became(client, start_ts, primary).await?,
        status => status,
    };
    left_after(client, key, start_ts, status).await
}

/// Looks whether a transaction is decided, and commits it if all locks of its asynchronous commit stand. `Alive` when
/// nobody knows.
async fn look(client: &dyn ShardClient, start_ts: Timestamp, primary: &Bytes) -> Result<TxnStatus> {
    let first = look_at(client, start_ts, primary).await?;
    let (commit_from, secondaries) = match first {
        TxnStatus::Prewritten { commit_from, secondaries } => (commit_from, secondaries),
        status => return Ok(status),
    };
    let request = |keys| WriteRequest::LookAtLocks { start_ts, keys };
    let looks = write_everywhere(client, secondaries, request).await?;
    let mut commit_ts = Some(commit_from);
    for (_, outcome) in looks {
        // A shard that does not answer leaves it open; the primary is asked again.
        commit_ts = match (commit_ts, outcome) {
            (Some(ts), Ok(WriteResponse::Status(TxnStatus::Prewritten { commit_from, .. }))) => {
                Some(ts.max(commit_from))
            }
            (ts, _) if defect::active("look-misses-a-lock") => ts,
            (_, _) => None,
        };
    }
    if commit_ts.is_some() {
        return conclude(client, start_ts, primary, commit_ts).await;
    }
    match look_at(client, start_ts, primary).await? {
        TxnStatus::Prewritten { .. } => Ok(TxnStatus::Alive),
        status => Ok(status),
    }
}

/// Asks the primary how an asynchronous commit stands. `Alive` also when nobody knows.
async fn look_at(
    client: &dyn ShardClient,
    start_ts: Timestamp,
    primary: &Bytes,
) -> Result<TxnStatus> {
    let request = WriteRequest::LookAtLocks { start_ts, keys: vec![primary.clone()] };
    match write_at(client, primary, request).await {
        Ok((_, WriteResponse::Status(status))) => Ok(status),
        Ok((shard, _)) => Err(wrong_answer(shard)),
        Err(Error::OutcomeUnknown { .. }) => Ok(TxnStatus::Alive),
        Err(error) => Err(error),
    }
}

/// What became of a transaction over several shards. One whose lock has expired is decided now, if that can be done.
pub(super) async fn what_became(
    client: &dyn ShardClient,
    start_ts: Timestamp,
    primary: &Bytes,
) -> Result<TxnStatus> {
    match check_status(client, start_ts, primary).await? {
        TxnStatus::Prewritten { commit_from, secondaries } => {
            decide(client, start_ts, primary, commit_from, secondaries).await
        }
        status => Ok(status),
    }
}

/// Finishes the lock on `key` of a transaction of which this has become. `false`: it is alive.
pub(super) async fn finish_key(
    client: &dyn ShardClient,
    key: &Bytes,
    start_ts: Timestamp,
    status: &TxnStatus,
) -> Result<bool> {
    let keys = vec![key.clone()];
    let finish = match *status {
        TxnStatus::Alive if defect::active("undecided-is-rolled-back") => {
            WriteRequest::Rollback { start_ts, keys }
        }
        TxnStatus::Alive | TxnStatus::Open | TxnStatus::Prewritten { .. } => return Ok(false),
        TxnStatus::Committed { commit_ts } => {
            WriteRequest::Commit { start_ts, commit_ts, keys, kept: Vec::new() }
        }
        // Forgotten: its record is gone, and so are all its locks; there is nothing left to remove.
        TxnStatus::RolledBack | TxnStatus::Forgotten => WriteRequest::Rollback { start_ts, keys },
    };
    match write_at(client, key, finish).await {
        Ok(_) => Ok(true),
        // Somebody else finished it first.
        Err(Error::RolledBack { .. }) => Ok(true),
        Err(Error::OutcomeUnknown { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Asks a transaction's primary what became of it. `Alive` also when nobody knows.
async fn check_status(
    client: &dyn ShardClient,
    start_ts: Timestamp,
    primary: &Bytes,
) -> Result<TxnStatus> {
    let now_unix_ms = client.unix_ms();
    let question = WriteRequest::CheckStatus { start_ts, primary: primary.clone(), now_unix_ms };
    match write_at(client, primary, question).await {
        Ok((_, WriteResponse::Status(status))) => Ok(status),
        Ok((shard, _)) => Err(wrong_answer(shard)),
        // The question may have rolled it back or not; asking again tells.
        Err(Error::OutcomeUnknown { .. }) => Ok(TxnStatus::Alive),
        Err(error) => Err(error),
    }
}

/// Has a shard finish the locks of a large transaction, whose coordinator may be gone. The shard does it behind its
/// answer.
pub(super) async fn have_finished(
    client: &dyn ShardClient,
    route: Route,
    start_ts: Timestamp,
    primary: &Bytes,
    commit_ts: Option<Timestamp>,
) {
    let request = WriteRequest::FinishAll { start_ts, primary: primary.clone(), commit_ts };
    // Whoever meets the next lock tries again.
    let _ = client.write(route, request).await;
}

/// Decides an asynchronous commit whose primary lock has expired. `Alive` when that could not be done now.
async fn decide(
    client: &dyn ShardClient,
    start_ts: Timestamp,
    primary: &Bytes,
    commit_from: Timestamp,
    secondaries: Vec<Bytes>,
) -> Result<TxnStatus> {
    let request = |keys| WriteRequest::CheckLocks { start_ts, keys };
    let mut commit_ts = Some(commit_from);
    for (shard, outcome) in write_everywhere(client, secondaries, request).await? {
        match outcome {
            Ok(WriteResponse::Status(TxnStatus::Prewritten { commit_from, .. })) => {
                commit_ts = commit_ts.map(|ts| ts.max(commit_from));
            }
            Ok(WriteResponse::Status(TxnStatus::RolledBack)) => commit_ts = None,
            Ok(_) => return Err(wrong_answer(shard)),
            Err(Error::OutcomeUnknown { .. }) => return Ok(TxnStatus::Alive),
            Err(error) => return Err(error),
        }
    }
    conclude(client, start_ts, primary, commit_ts).await
}

/// Commits or rolls back a transaction at its primary, and answers what counts there: somebody else may have been
/// faster. `Alive` when nobody knows.
async fn conclude(
    client: &dyn ShardClient,
    start_ts: Timestamp,
    primary: &Bytes,
    commit_ts: Option<Timestamp>,
) -> Result<TxnStatus> {
    let keys = vec![primary.clone()];
    let decision = match commit_ts {
        Some(commit_ts) => WriteRequest::Commit { start_ts, commit_ts, keys, kept: Vec::new() },
        None => WriteRequest::Rollback { start_ts, keys },
    };
    match (write_at(client, primary, decision).await, commit_ts) {
        (Ok((_, WriteResponse::Status(status))), _) => Ok(status),
        (Ok((_, WriteResponse::Done { .. })), Some(commit_ts)) => {
            Ok(TxnStatus::Committed { commit_ts })
        }
        (Ok((_, WriteResponse::Done { .. })), None) | (Err(Error::RolledBack { .. }), _) => {
            Ok(TxnStatus::RolledBack)
        }
        (Ok((shard, WriteResponse::Counter(_))), _) => Err(wrong_answer(shard)),
        (Err(Error::OutcomeUnknown { .. }), _) => Ok(TxnStatus::Alive),
        (Err(error), _) => Err(error),
    }
}
