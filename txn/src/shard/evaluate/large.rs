//! Evaluating the requests of large transactions.
//!
//! ```text
//! key:  free ──[Prewrite round 1]──► locked ──[Prewrite round 2]──► locked, new change ──[Commit, Rollback]──► free
//!       └────────── refused once the shard has a record that the transaction is over ──────────┘
//! ```
//!
//! A copy of an early round that arrives late would put an old change into a key whose lock is gone. So every shard
//! keeps a record of a large transaction under its primary's key, written with or before the first lock that goes, and
//! a prewrite looks for it.

use super::{Evaluation, Evaluator, locked, put_change};
use crate::command::{Change, Expect, KeyWrite, LockOwner, Round, TxnStatus, WriteResponse};
use crate::defect;
use crate::lock_table::{HeldLock, LockChange};
use crate::{Error, Result};
use base::{Timestamp, limits};
use bytes::Bytes;
use engine::mvcc::{self, Lock, Rounds, TxnRecord};

impl Evaluator<'_> {
    /// A round of the first phase.
    pub(super) fn prewrite_round(
        &self,
        held: &HeldLock,
        round: Round,
        writes: &[KeyWrite],
        owner: Option<LockOwner>,
    ) -> Result<Evaluation> {
        let (start_ts, primary) = (held.start_ts, &held.primary);
        match mvcc::get_txn_record(self.engine, primary, start_ts)? {
            Some(TxnRecord::RolledBack) => return Err(Error::RolledBack { start_ts }),
            // A copy of a request whose transaction is long committed.
            Some(TxnRecord::Committed { .. }) => return Ok(Evaluation::done()),
            None => {}
        }
        let (mut fresh, mut again) = (Vec::new(), Vec::new());
        for write in writes {
            match self.lock_on(&write.key)? {
                Some(lock) if lock.start_ts == start_ts => again.push(write),
                Some(lock) => return Err(locked(&write.key, &lock)),
                None => {
                    self.check_row_lock(write, owner)?;
                    fresh.push(write);
                }
            }
        }
        // A record that ended it may be gone. One that has locks here holds all records back, however long it takes.
        if !fresh.is_empty()
            && start_ts < self.lock_floor
            && !self.locks.large().contains_key(&start_ts)
            && !defect::active("late-prewrite-accepted")
        {
            return Err(Error::RolledBack { start_ts });
        }
        self.check_expectations(fresh.iter().copied())?;
        let mut result = Evaluation::done();
        for write in fresh {
            let rounds = Rounds { round: round.number, older: Vec::new() };
            let lock = Lock {
                start_ts,
                primary: primary.clone(),
                expires_unix_ms: held.expires_unix_ms,
                change: write.change.clone(),
                expect: write.expect.into(),
                async_commit: None,
                rounds: Some(rounds),
            };
            result.put_round(&write.key, &lock);
        }
        for write in again {
            let before = self.own_lock(&write.key, start_ts)?;
            if let Some(lock) =
                before.map(|lock| replaced(lock, write, round)).transpose()?.flatten()
            {
                result.put_round(&write.key, &lock);
            }
        }
        if result.batch.bytes() > limits::ENTRY_BYTES_MAX {
            let limit = limits::ENTRY_BYTES_MAX;
            let what = format!(
                "rows that the statement changes again while it reads them exceed {limit} bytes; change fewer at once"
            );
            return Err(Error::TooLarge { what });
        }
        if !result.batch.is_empty() {
            mvcc::put_large(&mut result.batch, start_ts, primary);
            result.locks.push(LockChange::Large(start_ts, primary.clone()));
        }
        Ok(result)
    }

    /// Commits a large or a prepared transaction.
    pub(super) fn decide(
        &self,
        start_ts: Timestamp,
        primary: &Bytes,
        commit_ts: Timestamp,
    ) -> Result<Evaluation> {
        let Some(lock) = self.own_lock(primary, start_ts)? else {
            return match mvcc::get_txn_record(self.engine, primary, start_ts)? {
                Some(TxnRecord::Committed { commit_ts }) => {
                    let status = TxnStatus::Committed { commit_ts };
                    Ok(Evaluation::answering(WriteResponse::Status(status)))
                }
                None if start_ts < self.lock_floor => {
                    let status = WriteResponse::Status(TxnStatus::Forgotten);
                    Ok(Evaluation::answering(status))
                }
                Some(TxnRecord::RolledBack) | None => Err(Error::RolledBack { start_ts }),
            };
        };
        let mut result = Evaluation::answering(WriteResponse::Done { commit_ts });
        put_change(&mut result.batch, primary, commit_ts, &lock.change);
        let record = TxnRecord::Committed { commit_ts };
        mvcc::put_txn_record(&mut result.batch, primary, start_ts, record);
        result.free(primary, false);
        Ok(result)
    }

    /// Leaves the record that a large transaction is over, before its locks on this shard go.
    pub(super) fn record_end(
        &self,
        start_ts: Timestamp,
        primary: &Bytes,
        commit_ts: Option<Timestamp>,
    ) -> Result<Evaluation> {
        if let Some(lock) = self.locks.get(primary).filter(|lock| lock.start_ts == start_ts) {
            // It is not decided at all.
            return Err(locked(primary, lock));
        }
        let mut result = Evaluation::done();
        if mvcc::get_txn_record(self.engine, primary, start_ts)?.is_none() {
            let record = match commit_ts {
                Some(commit_ts) => TxnRecord::Committed { commit_ts },
                None => TxnRecord::RolledBack,
            };
            mvcc::put_txn_record(&mut result.batch, primary, start_ts, record);
        }
        Ok(result)
    }

    /// Forgets a large transaction none of whose locks is left here.
    pub(in crate::shard) fn forget(&self, start_ts: Timestamp) -> Evaluation {
        let mut result = Evaluation::done();
        mvcc::delete_large(&mut result.batch, start_ts);
        result.locks.push(LockChange::Forget(start_ts));
        result
    }
}

impl Evaluation {
    /// Adds a lock of a large transaction.
    fn put_round(&mut self, key: &Bytes, lock: &Lock) {
        if lock.primary == key {
            mvcc::put_lock(&mut self.batch, key, lock);
            self.locks.push(LockChange::Put(key.clone(), HeldLock::of(lock)));
        } else {
            mvcc::put_large_lock(&mut self.batch, key, lock);
        }
    }
}

/// The lock that a later round makes of an earlier one's; `None` when it stays as it is.
fn replaced(lock: Lock, write: &KeyWrite, round: Round) -> Result<Option<Lock>> {
    let Some(Rounds { round: placed, mut older }) = lock.rounds else { return Ok(None) };
    if placed >= round.number || write.change == Change::Keep || defect::active("first-round-stays")
    {
        return Ok(None);
    }
    if write.expect == Expect::Absent && matches!(lock.change, Change::Put(_)) {
        return Err(Error::AlreadyExists { key: write.key.clone() });
    }
    older.push((placed, lock.change));
    // Each was replaced by the one after it, the last one by this write.
    let mut replaced_by = round.number;
    for at in (0..older.len()).rev() {
        let placed = older[at].0;
        if !round.is_needed(placed, replaced_by) {
            older.remove(at);
        }
        replaced_by = placed;
    }
    let rounds = Some(Rounds { round: round.number, older });
    Ok(Some(Lock { change: write.change.clone(), rounds, ..lock }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::mvcc::LockExpect;

    const NO_SCAN: (u32, u32) = (u32::MAX, 0);

    fn lock(round: u32, older: &[u32]) -> Lock {
        let older = older.iter().map(|placed| (*placed, Change::Delete)).collect();
        Lock {
            start_ts: Timestamp(1),
            primary: Bytes::from_static(b"p"),
            expires_unix_ms: 0,
            change: Change::Delete,
            expect: LockExpect::Any,
            async_commit: None,
            rounds: Some(Rounds { round, older }),
        }
    }

    /// The rounds that are left in a lock after one more.
    fn rounds(before: Lock, number: u32, (oldest_scan, newest_scan): (u32, u32)) -> Vec<u32> {
        let change = Change::Put(Bytes::from_static(b"v"));
        let write = KeyWrite { key: Bytes::from_static(b"k"), change, expect: Expect::Any };
        let round = Round { number, oldest_scan, newest_scan };
        let Some(lock) = replaced(before, &write, round).expect("allowed") else {
            return Vec::new();
        };
        let Rounds { round, older } = lock.rounds.expect("it is a large transaction's");
        older.into_iter().map(|(placed, _)| placed).chain([round]).collect()
    }

    #[test]
    fn a_lock_keeps_the_changes_that_open_scans_see() {
        assert_eq!(rounds(lock(1, &[]), 2, NO_SCAN), [2]);
        assert_eq!(rounds(lock(1, &[]), 2, (1, 1)), [1, 2]);
        // The scan began before the first round: it sees none of them.
        assert_eq!(rounds(lock(1, &[]), 2, (0, 0)), [2]);
        assert_eq!(rounds(lock(3, &[1]), 4, (2, 2)), [1, 4]);
        assert_eq!(rounds(lock(3, &[1]), 4, (2, 3)), [1, 3, 4]);
        assert_eq!(rounds(lock(3, &[1]), 4, (3, 3)), [3, 4]);
    }

    #[test]
    fn a_round_that_comes_again_or_late_changes_nothing() {
        assert!(rounds(lock(2, &[]), 2, NO_SCAN).is_empty());
        assert!(rounds(lock(2, &[]), 1, NO_SCAN).is_empty());
    }
}
