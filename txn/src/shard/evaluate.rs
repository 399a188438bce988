//! Turns a write request into an engine write batch, or refuses it. Pure: reads, decides, returns.
//!
//! The caller holds the latches of all keys named in the request, so the engine and the lock table say the
//! last word about them.
//!
//! ```text
//! key:  free ──[Prewrite]──► locked ──[Commit]────► free, version at commit_ts (record on the primary)
//!                              │ ▲─ [Heartbeat], the same Prewrite again
//!                              ├──[Decide]────► free, as after Commit: of large and of prepared transactions
//!                              └──[Rollback, CheckStatus when expired]──► free (record on the primary)
//!       └──[CheckLocks, Rollback]──► free, with a record that no lock can be placed any more
//! ```
//!
//! A transaction of one shard (`CommitNow`) leaves no record: the version of its primary names it, and `SettleNow` looks
//! for that. Where it finds none, it leaves a refusal: the commit may still be under way. A refusal is needed until the
//! commit would come too late by its own timestamp; then it stays for `REFUSAL_KEEP`, because a commit may have got its
//! timestamp and not be evaluated yet, for moments, and is dropped by a later question.
//!
//! Checks inside one request come in this order over all keys: locks and records, then `AlreadyExists`,
//! then `WriteConflict`. A client thus hears of a duplicate rather than of a conflict when both are true.
//!
//! Below the lock floor no lock is placed any more, and records may be gone. So what is missing there can be told apart
//! no longer: *committed and forgotten* and *never locked* look the same. Nothing is written for it:
//!
//! | request | a key without lock and record, of a transaction below the lock floor |
//! |---|---|
//! | `Prewrite` | `RolledBack`: the lock that is asked for will never stand |
//! | `CheckStatus` | `Forgotten`: an asker who has met a lock may remove it, because the record of one that is committed would not be gone |
//! | `CheckLocks` | `RolledBack`: the lock will never be placed |
//! | `Commit`, `Decide`, `Rollback` | `Forgotten`: its own coordinator must not be told one or the other |
//!
//! Not here: what large transactions do otherwise (`large`).

mod large;

use super::locker;
use crate::command::{
    Change, CommitId, Expect, KeyWrite, LockOwner, TxnStatus, WriteRequest, WriteResponse,
};
use crate::defect;
use crate::lock_table::{HeldLock, LockChange, LockTable};
use crate::row_locks::RowLocks;
use crate::{Error, Result};
use base::{SlotRange, Timestamp, limits};
use bytes::Bytes;
use engine::mvcc::{self, AsyncCommit, FoundCommit, Lock, LockExpect, SafePoints, TxnRecord};
use engine::{Engine, WriteBatch};
use std::sync::atomic::{AtomicU64, Ordering};

/// The timestamp under which counters are kept: one version each, overwritten in place.
const COUNTER_TS: Timestamp = Timestamp(1);

/// What a request comes to.
#[derive(Debug)]
pub(super) struct Evaluation {
    /// The answer once the batch is applied.
    pub(super) response: WriteResponse,
    /// Changes to replicate; empty when there is nothing to change.
    pub(super) batch: WriteBatch,
    /// What the lock table must learn when the batch is applied.
    pub(super) locks: Vec<LockChange>,
}

/// What requests are evaluated against.
#[derive(Clone, Copy)]
pub(super) struct Evaluator<'a> {
    /// The replica's engine.
    pub(super) engine: &'a dyn Engine,
    /// The tenure's locks.
    pub(super) locks: &'a LockTable,
    /// The tenure's row locks.
    pub(super) row_locks: &'a RowLocks,
    /// Versions and tombstones that only earlier reads could see may be gone.
    pub(super) safe_points: &'a SafePoints,
    /// Transactions that began before this place no new locks, and their records may be gone. Replicated.
    pub(super) lock_floor: Timestamp,
    /// The last timestamp of a commit that may be refused: until then each is looked up.
    pub(super) refused_until: &'a AtomicU64,
}

impl Evaluator<'_> {
    /// Evaluates one request; `commit_ts` is for those that commit, or may, and for those that ask what time it is.
    pub(super) fn evaluate(
        &self,
        request: &WriteRequest,
        commit_ts: Timestamp,
    ) -> Result<Evaluation> {
        match request {
            WriteRequest::CommitNow { writes, owner, id } => {
                self.commit_now(writes, *owner, *id, commit_ts)
            }
            WriteRequest::SettleNow { id, primary } => self.settle_now(*id, primary, commit_ts),
            WriteRequest::Prewrite {
                start_ts,
                primary,
                expires_unix_ms,
                writes,
                owner,
                secondaries,
                round,
            } => {
                let held = HeldLock {
                    start_ts: *start_ts,
                    primary: primary.clone(),
                    expires_unix_ms: *expires_unix_ms,
                    commit_from: secondaries.is_some().then_some(commit_ts),
                    large: round.is_some(),
                };
                if let Some(round) = round {
                    return self.prewrite_round(&held, *round, writes, *owner);
                }
                self.prewrite(held, writes, *owner, secondaries.as_deref().unwrap_or_default())
            }
            WriteRequest::Commit { start_ts, commit_ts, keys, kept } => {
                self.commit(*start_ts, *commit_ts, keys, kept)
            }
            WriteRequest::Rollback { start_ts, keys } => self.roll_back(*start_ts, keys),
            WriteRequest::CheckStatus { start_ts, primary, now_unix_ms } => {
                self.check_status(*start_ts, primary, *now_unix_ms)
            }
            WriteRequest::CheckLocks { start_ts, keys } => self.check_locks(*start_ts, keys),
            WriteRequest::LookAtLocks { start_ts, keys } => self.look_at_locks(*start_ts, keys),
            WriteRequest::Decide { start_ts, primary } => {
                self.decide(*start_ts, primary, commit_ts)
            }
            // The shard runs it in steps of its own (`finisher`).
            WriteRequest::FinishAll { start_ts, primary, commit_ts } => {
                self.record_end(*start_ts, primary, *commit_ts)
            }
            WriteRequest::Heartbeat { start_ts, primary, expires_unix_ms } => {
                self.heartbeat(*start_ts, primary, *expires_unix_ms)
            }
            WriteRequest::Bump { key, by, at_least } => self.bump(key, *by, *at_least),
        }
    }

    /// A whole transaction of one shard.
    fn commit_now(
        &self,
        writes: &[KeyWrite],
        owner: Option<LockOwner>,
        id: Option<CommitId>,
        commit_ts: Timestamp,
    ) -> Result<Evaluation> {
        if let Some(id) = id
            && (commit_ts > id.until() || self.is_refused(id, commit_ts)?)
        {
            return Err(Error::RolledBack { start_ts: id.since });
        }
        for write in writes {
            if let Some(lock) = self.lock_on(&write.key)? {
                return Err(locked(&write.key, &lock));
            }
            self.check_row_lock(write, owner)?;
        }
        self.check_expectations(writes.iter())?;
        let mut result = Evaluation::answering(WriteResponse::Done { commit_ts });
        // The first version names the commit.
        let mut number = id.map(|id| id.number);
        for write in writes {
            let value = match &write.change {
                Change::Put(value) => Some(&value[..]),
                Change::Delete => None,
                Change::Keep => continue,
            };
            let (batch, key) = (&mut result.batch, &write.key);
            match number.take() {
                Some(number) => mvcc::put_version_by(batch, key, commit_ts, value, number),
                None => mvcc::put_version(batch, key, commit_ts, value),
            }
        }
        Ok(result)
    }

    /// Whether somebody was told that a commit is rolled back.
    fn is_refused(&self, id: CommitId, commit_ts: Timestamp) -> Result<bool> {
        Ok(commit_ts.0 <= self.refused_until.load(Ordering::SeqCst)
            && mvcc::get_refusal(self.engine, id.number)?.is_some())
    }

    /// What became of a whole transaction of one shard. `now` was handed out while its primary was latched.
    fn settle_now(&self, id: CommitId, primary: &Bytes, now: Timestamp) -> Result<Evaluation> {
        let status = |status| Evaluation::answering(WriteResponse::Status(status));
        if mvcc::get_refusal(self.engine, id.number)?.is_some() {
            return Ok(status(TxnStatus::RolledBack));
        }
        let (between, steps_max) = ((id.since, id.until()), limits::SETTLE_VERSIONS_MAX);
        match mvcc::find_commit(self.engine, primary, id.number, between, steps_max)? {
            FoundCommit::At(commit_ts) => {
                return Ok(status(TxnStatus::Committed { commit_ts }));
            }
            FoundCommit::TooMany => return Ok(status(TxnStatus::Forgotten)),
            // Its version may have been dropped.
            FoundCommit::Nowhere if self.safe_points.of_key(primary) >= id.since => {
                return Ok(status(TxnStatus::Forgotten));
            }
            FoundCommit::Nowhere => {}
        }
        let mut result = status(TxnStatus::RolledBack);
        // A later one comes too late by itself.
        if now <= id.until() {
            self.refused_until.fetch_max(id.until().0, Ordering::SeqCst);
            mvcc::put_refusal(&mut result.batch, id.number, id.until());
            let keep_ms = limits::REFUSAL_KEEP.as_millis() as u64;
            for (number, until) in mvcc::refusals(self.engine)? {
                if until.unix_ms().saturating_add(keep_ms) < now.unix_ms() {
                    mvcc::delete_refusal(&mut result.batch, number);
                }
            }
        }
        Ok(result)
    }

    /// Refuses a change of a row that another owner has locked.
    fn check_row_lock(&self, write: &KeyWrite, owner: Option<LockOwner>) -> Result<()> {
        let mode = locker::mode_of(&write.change);
        match self.row_locks.is_blocked(&write.key, owner, mode) {
            true => Err(Error::RowLocked { key: write.key.clone() }),
            false => Ok(()),
        }
    }

    /// First phase.
    fn prewrite(
        &self,
        held: HeldLock,
        writes: &[KeyWrite],
        owner: Option<LockOwner>,
        secondaries: &[Bytes],
    ) -> Result<Evaluation> {
        let mut fresh = Vec::with_capacity(writes.len());
        let mut commit_from = Timestamp::ZERO;
        for write in writes {
            match self.lock_on(&write.key)? {
                Some(lock) if lock.start_ts == held.start_ts => {
                    commit_from = commit_from.max(lock.commit_from.unwrap_or_default());
                }
                Some(lock) => return Err(locked(&write.key, &lock)),
                None => {
                    self.check_row_lock(write, owner)?;
                    fresh.push(write);
                }
            }
        }
        let mut open = Vec::with_capacity(fresh.len());
        for write in fresh {
            match mvcc::get_txn_record(self.engine, &write.key, held.start_ts)? {
                Some(TxnRecord::RolledBack) => {
                    return Err(Error::RolledBack { start_ts: held.start_ts });
                }
                // A copy of a request whose transaction is long committed.
                Some(TxnRecord::Committed { commit_ts }) => {
                    commit_from = commit_from.max(commit_ts)
                }
                // A record that ruled this lock out may be gone.
                None if held.start_ts < self.lock_floor
                    && !defect::active("late-prewrite-accepted") =>
                {
                    return Err(Error::RolledBack { start_ts: held.start_ts });
                }
                None => open.push(write),
            }
        }
        self.check_expectations(open.iter().copied())?;
        if let (Some(from), false) = (held.commit_from, open.is_empty()) {
            commit_from = commit_from.max(from);
        }
        let mut result = Evaluation::answering(WriteResponse::Done { commit_ts: commit_from });
        for write in open {
            let lock = Lock {
                start_ts: held.start_ts,
                primary: held.primary.clone(),
                expires_unix_ms: held.expires_unix_ms,
                change: write.change.clone(),
                expect: write.expect.into(),
                async_commit: held.commit_from.map(|commit_from| AsyncCommit {
                    commit_from,
                    secondaries: match write.key == held.primary {
                        true => secondaries.to_vec(),
                        false => Vec::new(),
                    },
                }),
                rounds: None,
            };
            mvcc::put_lock(&mut result.batch, &write.key, &lock);
            result.locks.push(LockChange::Put(write.key.clone(), held.clone()));
        }
        Ok(result)
    }

    /// Second phase.
    fn commit(
        &self,
        start_ts: Timestamp,
        mut commit_ts: Timestamp,
        keys: &[Bytes],
        kept: &[Bytes],
    ) -> Result<Evaluation> {
        let mut result = Evaluation::done();
        let mut recorded = false;
        for key in kept {
            if let Some(lock) = self.own_lock(key, start_ts)? {
                result.free(key, is_large_secondary(&lock, key));
            }
        }
        for key in keys {
            let Some(lock) = self.own_lock(key, start_ts)? else {
                match mvcc::get_txn_record(self.engine, key, start_ts)? {
                    // Whoever decided it may have found other locks, or the same ones placed anew.
                    Some(TxnRecord::Committed { commit_ts: at }) => {
                        commit_ts = at;
                        let status = TxnStatus::Committed { commit_ts };
                        result.response = WriteResponse::Status(status);
                        continue;
                    }
                    None if self.is_version(key, commit_ts)? => continue,
                    None if start_ts < self.lock_floor => {
                        let status = WriteResponse::Status(TxnStatus::Forgotten);
                        return Ok(Evaluation::answering(status));
                    }
                    Some(TxnRecord::RolledBack) | None => {
                        return Err(Error::RolledBack { start_ts });
                    }
                }
            };
            let held = HeldLock::of(&lock);
            if held.is_held(key) {
                // Readers were told that it commits later than anything that was handed out by then (`Decide`).
                return Err(locked(key, &held));
            }
            put_change(&mut result.batch, key, commit_ts, &lock.change);
            let large = is_large_secondary(&lock, key);
            if lock.primary == key || (large && !recorded) {
                recorded = true;
                let record = TxnRecord::Committed { commit_ts };
                mvcc::put_txn_record(&mut result.batch, &lock.primary, start_ts, record);
            }
            result.free(key, large);
        }
        Ok(result)
    }

    /// Undoes the first phase.
    fn roll_back(&self, start_ts: Timestamp, keys: &[Bytes]) -> Result<Evaluation> {
        let mut result = Evaluation::done();
        for key in keys {
            match self.lock_on(key)? {
                Some(lock) if lock.start_ts == start_ts => {
                    result.remove_lock(key, &lock);
                }
                Some(_) | None => match mvcc::get_txn_record(self.engine, key, start_ts)? {
                    Some(TxnRecord::RolledBack) => {}
                    Some(TxnRecord::Committed { commit_ts }) => {
                        let status = TxnStatus::Committed { commit_ts };
                        return Ok(Evaluation::answering(WriteResponse::Status(status)));
                    }
                    None if start_ts < self.lock_floor => {
                        result.response = WriteResponse::Status(TxnStatus::Forgotten);
                    }
                    None if defect::active("rollback-leaves-no-record") => {}
                    None => {
                        let record = TxnRecord::RolledBack;
                        mvcc::put_txn_record(&mut result.batch, key, start_ts, record);
                    }
                },
            }
        }
        Ok(result)
    }

    /// What became of a transaction.
    fn check_status(
        &self,
        start_ts: Timestamp,
        primary: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Evaluation> {
        let status = |status| Evaluation::answering(WriteResponse::Status(status));
        if let Some(lock) = self.locks.get(primary)
            && lock.start_ts == start_ts
        {
            // Both commit at a timestamp that is fetched under the latch that is held now.
            if (lock.large && now_unix_ms < lock.expires_unix_ms) || lock.is_held(primary) {
                return Ok(status(TxnStatus::Open));
            }
            if now_unix_ms < lock.expires_unix_ms {
                return Ok(status(TxnStatus::Alive));
            }
            if lock.commit_from.is_some()
                && !defect::active("async-commit-rolled-back")
                && let Some(Lock { async_commit: Some(commit), .. }) =
                    mvcc::get_lock(self.engine, primary)?
            {
                let AsyncCommit { commit_from, secondaries } = commit;
                return Ok(status(TxnStatus::Prewritten { commit_from, secondaries }));
            }
            let mut result = status(TxnStatus::RolledBack);
            result.remove_lock(primary, lock);
            return Ok(result);
        }
        match mvcc::get_txn_record(self.engine, primary, start_ts)? {
            Some(TxnRecord::Committed { commit_ts }) => {
                Ok(status(TxnStatus::Committed { commit_ts }))
            }
            Some(TxnRecord::RolledBack) => Ok(status(TxnStatus::RolledBack)),
            None if start_ts < self.lock_floor => Ok(status(TxnStatus::Forgotten)),
            None if now_unix_ms < start_ts.unix_ms() + limits::LOCK_TTL.as_millis() as u64 => {
                Ok(status(TxnStatus::Alive))
            }
            None if defect::active("rollback-leaves-no-record") => {
                Ok(status(TxnStatus::RolledBack))
            }
            None => {
                let mut result = status(TxnStatus::RolledBack);
                let record = TxnRecord::RolledBack;
                mvcc::put_txn_record(&mut result.batch, primary, start_ts, record);
                Ok(result)
            }
        }
    }

    /// Whether locks of an asynchronous commit stand.
    fn check_locks(&self, start_ts: Timestamp, keys: &[Bytes]) -> Result<Evaluation> {
        let mut commit_from = Timestamp::ZERO;
        let mut missing = Evaluation::answering(WriteResponse::Status(TxnStatus::RolledBack));
        let mut whole = true;
        for key in keys {
            match self.locks.get(key) {
                Some(HeldLock { start_ts: own, commit_from: Some(from), .. })
                    if *own == start_ts =>
                {
                    commit_from = commit_from.max(*from);
                }
                Some(_) | None => {
                    whole = false;
                    // Without this the prewrite might still come, unless the lock floor keeps it out.
                    if start_ts >= self.lock_floor
                        && mvcc::get_txn_record(self.engine, key, start_ts)?.is_none()
                        && !defect::active("missing-lock-leaves-no-record")
                    {
                        let record = TxnRecord::RolledBack;
                        mvcc::put_txn_record(&mut missing.batch, key, start_ts, record);
                    }
                }
            }
        }
        let secondaries = Vec::new();
        let stands = WriteResponse::Status(TxnStatus::Prewritten { commit_from, secondaries });
        Ok(if whole { Evaluation::answering(stands) } else { missing })
    }

    /// How an asynchronous commit stands, as far as these keys tell.
    fn look_at_locks(&self, start_ts: Timestamp, keys: &[Bytes]) -> Result<Evaluation> {
        let status = |status| Ok(Evaluation::answering(WriteResponse::Status(status)));
        let (mut commit_from, mut secondaries) = (Timestamp::ZERO, Vec::new());
        for key in keys {
            match self.locks.get(key) {
                Some(HeldLock { start_ts: own, primary, commit_from: Some(from), .. })
                    if *own == start_ts =>
                {
                    commit_from = commit_from.max(*from);
                    if primary == key
                        && let Some(Lock { async_commit: Some(commit), .. }) =
                            mvcc::get_lock(self.engine, key)?
                    {
                        secondaries = commit.secondaries;
                    }
                }
                Some(_) | None => {
                    return status(match mvcc::get_txn_record(self.engine, key, start_ts)? {
                        Some(TxnRecord::Committed { commit_ts }) => {
                            TxnStatus::Committed { commit_ts }
                        }
                        Some(TxnRecord::RolledBack) => TxnStatus::RolledBack,
                        None => TxnStatus::Alive,
                    });
                }
            }
        }
        status(TxnStatus::Prewritten { commit_from, secondaries })
    }

    /// Moves a primary's expiry.
    fn heartbeat(
        &self,
        start_ts: Timestamp,
        primary: &Bytes,
        expires_unix_ms: u64,
    ) -> Result<Evaluation> {
        let Some(lock) = self.own_lock(primary, start_ts)? else {
            return match mvcc::get_txn_record(self.engine, primary, start_ts)? {
                Some(TxnRecord::Committed { .. }) => Ok(Evaluation::done()),
                Some(TxnRecord::RolledBack) | None => Err(Error::RolledBack { start_ts }),
            };
        };
        let mut result = Evaluation::done();
        if expires_unix_ms > lock.expires_unix_ms {
            let lock = Lock { expires_unix_ms, ..lock };
            mvcc::put_lock(&mut result.batch, primary, &lock);
            result.locks.push(LockChange::Put(primary.clone(), HeldLock::of(&lock)));
        }
        Ok(result)
    }

    /// Drops the dead versions of some keys, or `all` of dropped tables' keys, as the safe points of their tables allow.
    pub(super) fn collect(
        &self,
        keys: &[Bytes],
        safe_points: &SafePoints,
        all: bool,
    ) -> Result<Evaluation> {
        let mut result = Evaluation::answering(WriteResponse::Counter(0));
        let mut left = limits::COLLECT_VERSIONS_MAX;
        for key in keys {
            let safe_point = safe_points.of_key(key);
            left -= match all {
                false => mvcc::delete_dead(self.engine, &mut result.batch, key, safe_point, left)?,
                true if mvcc::may_go(self.engine, key, safe_point)? => {
                    mvcc::delete_key(self.engine, &mut result.batch, key, left)?
                }
                true => 0,
            };
            if left == 0 {
                break;
            }
        }
        let dropped = limits::COLLECT_VERSIONS_MAX - left;
        result.response = WriteResponse::Counter(dropped as u64);
        if dropped > 0 {
            mvcc::put_safe_points(&mut result.batch, safe_points);
        }
        Ok(result)
    }

    /// Drops what is left of keys of slots that the shard does not own, but for those that it expects. Their transaction
    /// records stay.
    pub(super) fn drop_foreign(
        &self,
        keys: &[Bytes],
        expected: Option<SlotRange>,
    ) -> Result<Evaluation> {
        let mut result = Evaluation::answering(WriteResponse::Counter(0));
        // What is served may be less for the time of a split that comes to nothing.
        let bounds = mvcc::bounds(self.engine)?;
        let mut left = limits::COLLECT_VERSIONS_MAX;
        for key in keys {
            let is_expected = expected.is_some() && !mvcc::is_foreign(expected, key)?;
            if mvcc::is_foreign(bounds, key)? && !is_expected {
                left -= mvcc::delete_key(self.engine, &mut result.batch, key, left)?;
            }
            if left == 0 {
                break;
            }
        }
        let dropped = limits::COLLECT_VERSIONS_MAX - left;
        result.response = WriteResponse::Counter(dropped as u64);
        Ok(result)
    }

    /// Notes that no foreign key is left, if the bounds are still those that were looked at.
    pub(super) fn forget_foreign(&self, unchanged: bool) -> Evaluation {
        let mut result = Evaluation::done();
        if unchanged {
            mvcc::delete_foreign_mark(&mut result.batch);
        }
        result
    }

    /// Raises the lock floor.
    pub(super) fn raise_lock_floor(&self, floor: Timestamp) -> Result<Evaluation> {
        let mut result = Evaluation::done();
        // One that was replicated without an answer may be higher than what memory knows.
        if floor > mvcc::lock_floor(self.engine)? {
            mvcc::put_lock_floor(&mut result.batch, floor);
        }
        Ok(result)
    }

    /// Drops records, each named by its primary and its transaction's start. Those above the lock floor stay: their
    /// transactions may still place locks, and those locks may ask for them.
    pub(super) fn drop_records(&self, records: &[(Bytes, Timestamp)]) -> Evaluation {
        let mut result = Evaluation::done();
        let mut dropped = 0;
        for (primary, start_ts) in records.iter().filter(|(_, ts)| *ts < self.lock_floor) {
            mvcc::delete_txn_record(&mut result.batch, primary, *start_ts);
            dropped += 1;
        }
        result.response = WriteResponse::Counter(dropped);
        result
    }

    /// Adds to a counter.
    fn bump(&self, key: &Bytes, by: u64, at_least: u64) -> Result<Evaluation> {
        let stored = mvcc::newest(self.engine, key)?.and_then(|found| found.value);
        let count = match stored.as_deref().map(<[u8; 8]>::try_from) {
            None => 0,
            Some(Ok(bytes)) => u64::from_be_bytes(bytes),
            Some(Err(_)) => {
                let what = format!("the counter {} is not 8 bytes long", key.escape_ascii());
                return Err(Error::Engine { what });
            }
        };
        let before = count.max(at_least);
        let Some(after) = before.checked_add(by) else {
            let what = format!("the counter {} has come to its end", key.escape_ascii());
            return Err(Error::TooLarge { what });
        };
        let mut result = Evaluation::answering(WriteResponse::Counter(before));
        if after != count {
            mvcc::put_version(&mut result.batch, key, COUNTER_TS, Some(&after.to_be_bytes()));
        }
        Ok(result)
    }

    /// Checks what writes expect of the newest versions.
    fn check_expectations<'w>(&self, writes: impl Iterator<Item = &'w KeyWrite>) -> Result<()> {
        let mut conflict = None;
        for write in writes {
            if write.expect == Expect::Any || defect::active("expectations-unchecked") {
                continue;
            }
            let Some(newest) = mvcc::newest(self.engine, &write.key)? else {
                // A row was seen before the safe point, and even its tombstone is gone.
                let deleted = matches!(write.expect, Expect::NotNewerThan(ts)
                    if ts != Timestamp::ZERO && ts < self.safe_points.of_key(&write.key));
                if deleted && conflict.is_none() {
                    conflict = Some(Error::WriteConflict { key: write.key.clone() });
                }
                continue;
            };
            let refused = match write.expect {
                Expect::Any => false,
                Expect::Absent if newest.value.is_some() => {
                    return Err(Error::AlreadyExists { key: write.key.clone() });
                }
                Expect::Absent => false,
                Expect::NotNewerThan(Timestamp::ZERO) => newest.value.is_some(),
                Expect::NotNewerThan(ts) => newest.commit_ts > ts,
            };
            if refused && conflict.is_none() {
                conflict = Some(Error::WriteConflict { key: write.key.clone() });
            }
        }
        conflict.map_or(Ok(()), Err)
    }

    /// The lock of a key, whoever has placed it.
    fn lock_on(&self, key: &[u8]) -> Result<Option<HeldLock>> {
        Ok(self.locks.find(self.engine, key)?)
    }

    /// The transaction's lock on a key, with its value.
    fn own_lock(&self, key: &[u8], start_ts: Timestamp) -> Result<Option<Lock>> {
        match self.locks.get(key) {
            Some(held) if held.start_ts == start_ts => Ok(mvcc::get_lock(self.engine, key)?),
            Some(_) => Ok(None),
            None => {
                let lock = self.locks.find_large(self.engine, key)?;
                Ok(lock.filter(|lock| lock.start_ts == start_ts))
            }
        }
    }

    /// Whether a key has a version of exactly this timestamp.
    fn is_version(&self, key: &[u8], commit_ts: Timestamp) -> Result<bool> {
        let version = mvcc::get(self.engine, key, commit_ts)?;
        Ok(version.is_some_and(|version| version.commit_ts == commit_ts))
    }
}

impl Evaluation {
    /// Nothing to change yet, and this answer.
    fn answering(response: WriteResponse) -> Evaluation {
        Evaluation { response, batch: WriteBatch::new(), locks: Vec::new() }
    }

    /// Nothing to change yet, and an answer without a timestamp.
    fn done() -> Evaluation {
        Evaluation::answering(WriteResponse::Done { commit_ts: Timestamp::ZERO })
    }

    /// Adds the removal of a lock that is rolled back.
    fn remove_lock(&mut self, key: &Bytes, lock: &HeldLock) {
        if lock.primary == key || lock.large {
            let record = TxnRecord::RolledBack;
            mvcc::put_txn_record(&mut self.batch, &lock.primary, lock.start_ts, record);
        }
        self.free(key, lock.large && lock.primary != key);
    }

    /// Adds the removal of a lock.
    fn free(&mut self, key: &Bytes, large_secondary: bool) {
        if large_secondary {
            mvcc::delete_large_lock(&mut self.batch, key);
        } else {
            mvcc::delete_lock(&mut self.batch, key);
            self.locks.push(LockChange::Remove(key.clone()));
        }
    }
}

/// Whether a lock is kept where those of large transactions are.
fn is_large_secondary(lock: &Lock, key: &Bytes) -> bool {
    lock.rounds.is_some() && lock.primary != key
}

impl From<Expect> for LockExpect {
    fn from(expect: Expect) -> LockExpect {
        match expect {
            Expect::Any => LockExpect::Any,
            Expect::Absent => LockExpect::Absent,
            Expect::NotNewerThan(ts) => LockExpect::NotNewerThan(ts),
        }
    }
}

/// Adds the version that a change makes of a key, if it makes one.
fn put_change(batch: &mut WriteBatch, key: &[u8], commit_ts: Timestamp, change: &Change) {
    match change {
        Change::Put(value) => mvcc::put_version(batch, key, commit_ts, Some(value)),
        Change::Delete => mvcc::put_version(batch, key, commit_ts, None),
        Change::Keep => {}
    }
}

/// The error that names a lock.
pub(super) fn locked(key: &[u8], lock: &HeldLock) -> Error {
    Error::KeyLocked {
        key: Bytes::copy_from_slice(key),
        start_ts: lock.start_ts,
        primary: lock.primary.clone(),
        large: lock.large,
    }
}
