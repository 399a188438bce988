//! A transaction as its coordinator sees it: reads at one point, buffered writes, one commit.
//!
//! ```text
//!  get / scan ──► own writes ──► shards, at the read point
//!  put / delete ──► write buffer (savepoints undo inside it)
//!  commit ──► nothing written: no message
//!         ├─► one shard: CommitNow, one Raft entry
//!         └─► several: prewrite all ─► commit_ts ─► commit the primary, answer ─► the rest behind
//! ```
//!
//! # What each mode guarantees
//!
//! [`Mode::Snapshot`]: every read sees what was committed before the read point (fetched at the first
//! read) plus the transaction's own writes. A write that carries [`Transaction::expect_unchanged`] is
//! refused with `WriteConflict` when somebody committed the key after the read point, so no update is
//! lost. Write skew (two transactions read both of two rows and each writes the other one) is possible, as
//! under any snapshot isolation.
//!
//! [`Mode::Latest`]: one autocommit statement. Its first point read, when one shard holds all keys, sees
//! the newest committed versions without asking the oracle: one message, one LSM probe. Anything that
//! reads further fetches a timestamp first and checks that what was read before is still so at that
//! timestamp (else `WriteConflict`, and the statement is redone): the statement as a whole always
//! sees one point in time. A later write of a key that was read carries the version it was read at.
//! So updates are never lost here either, and write skew is possible.
//!
//! [`Transaction::at`]: a `Snapshot` whose read point lies in the past. Versions that it may need are kept while it
//! lives, for as long as any reader is waited for; one that comes too late is told (`SnapshotTooOld`).
//!
//! # Large transactions
//!
//! [`Transaction::make_room`] sends the buffered writes to the shards when they are more than memory should hold; from
//! then on the transaction is a large one (`large`). Its reads see what it has sent, its scans what had been written when
//! they were opened. What has left memory cannot be undone alone: a savepoint from before is out of reach, and whoever
//! tries to go back to it, or meets a conflict while sending, loses the whole transaction. SERIALIZABLE and prepared
//! transactions stay in memory.
//!
//! Invariants:
//! 1. Nothing is sent to a shard before `commit` or `make_room` except reads and requests for row locks.
//! 2. A transaction that failed to commit has no effect, except after `OutcomeUnknown`.
//! 3. Locks are identified by a timestamp fetched when the commit starts, not by the read point: readers
//!    older than the commit walk past the lock.
//!
//! # Row locks
//!
//! [`Transaction::lock`] keeps others from changing rows before the transaction ends, and waits for those that do so
//! now. A transaction that has locked all it writes meets no conflict when it commits, unless a leader was lost in
//! between, and with it its locks. A read point that is older than a locked row makes the row `Stale`: the transaction
//! moves its read point ([`Transaction::advance`], [`Transaction::unpin`], [`Transaction::read_newest`]) and reads
//! again.
//!
//! Not here: lines and cycles of waits (`row_locks`); a prewrite that meets an older transaction's prewrite gives way
//! after `LOCK_WAIT_YOUNGER_MAX`, which breaks every cycle of those.

mod commit;
mod held_locks;
mod large;
mod outcome;
mod owners;
mod point_reads;
mod prepared;
mod read_set;
mod records;
mod resolve;
mod scan;
mod write_buffer;

pub use held_locks::RowLock;
pub use outcome::{Identity, Settled, settle};
pub use prepared::{PreparedTransaction, commit_prepared, hold_prepared, roll_back_prepared};
pub use records::{ResolvedLocks, record_limit, resolve_old_locks};
pub use scan::{Scan, ScanOptions};
pub use write_buffer::Savepoint;

use crate::command::{Expect, Fate, KeyWrite, KnownTransaction, LockOwner, LockedKey, Version};
use crate::defect;
use crate::progress::Progress;
use crate::read_points::ReadPoint;
use crate::shard_client::{ShardClient, TransactionSizes};
use crate::{Error, Result};
use base::{KeyRange, ShardId, TableId, Timestamp, limits};
use bytes::Bytes;
use commit::Validation;
use held_locks::HeldLocks;
use large::{Large, OpenScans};
use owners::unless_moved;
use point_reads::{get_at, get_everywhere, get_one};
use read_set::ReadSet;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use write_buffer::WriteBuffer;

/// How a transaction chooses its read point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One timestamp for all reads, fetched at the first read or by [`Transaction::pin`].
    Snapshot,
    /// A single autocommit statement: the newest versions when one request reads everything.
    Latest,
}

/// What a transaction had read at some moment.
#[derive(Debug)]
pub struct ReadMark(Option<Arc<ReadSet>>);

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitOutcome {
    /// When the writes became visible; [`Timestamp::ZERO`] when nothing was written.
    pub commit_ts: Timestamp,
}

/// Where reads were before a look at the newest point.
#[must_use = "reads stay at the newest point until `look_back`"]
pub struct NewestLook(Option<Arc<ReadPoint>>);

/// A transaction.
pub struct Transaction {
    /// The way to shards.
    client: Arc<dyn ShardClient>,
    /// How the read point is chosen.
    mode: Mode,
    /// The read point; `None` until something needs it.
    read_point: Option<Arc<ReadPoint>>,
    /// Whether a round of point reads ran at [`Timestamp::MAX`] (mode `Latest` only, once).
    read_newest: bool,
    /// Keys read at [`Timestamp::MAX`] and the version seen; zero when no row was visible.
    observed: BTreeMap<Bytes, Timestamp>,
    /// Writes that are not committed.
    buffer: WriteBuffer,
    /// Row locks, once one was asked for.
    locks: Option<HeldLocks>,
    /// What was read at the read point, while it may have to move.
    reads: Option<Arc<ReadSet>>,
    /// The same at the beginning of a locking statement.
    marked: Option<Arc<ReadSet>>,
    /// Whether the commit demands that everything that was read is still so.
    serializable: bool,
    /// A newer point that reads use instead, for one statement.
    newest: Option<Arc<ReadPoint>>,
    /// Where others see what it does, if they do.
    progress: Option<Arc<Progress>>,
    /// By what its commit is found again, once it has begun.
    identity: Option<Identity>,
    /// How much of it memory holds, and how large it may become.
    sizes: TransactionSizes,
    /// Whether it never becomes a large one.
    in_memory: bool,
    /// What it has sent to the shards already.
    large: Option<Large>,
    /// Set when it was rolled back as a whole because a part could not be sent or undone.
    lost: bool,
    /// Its open scans.
    scans: Arc<OpenScans>,
}

impl Transaction {
    /// A transaction that has read and written nothing. Sends no message.
    pub fn begin(client: Arc<dyn ShardClient>, mode: Mode) -> Transaction {
        Transaction {
            sizes: client.transaction_sizes(),
            client,
            mode,
            read_point: None,
            read_newest: false,
            observed: BTreeMap::new(),
            buffer: WriteBuffer::default(),
            locks: None,
            reads: None,
            marked: None,
            serializable: false,
            newest: None,
            progress: None,
            identity: None,
            in_memory: false,
            large: None,
            lost: false,
            scans: Arc::default(),
        }
    }

    /// A transaction that reads what was committed at `ts` or before. A point in the millisecond of now means now. Its
    /// user writes nothing in it, and does not give up its read point.
    ///
    /// # Errors
    /// `ReadPointInFuture`; `Unavailable` and the like when the oracle does not answer. That a point is too old is told by
    /// the first read of a shard that has dropped versions since.
    pub async fn at(client: Arc<dyn ShardClient>, ts: Timestamp) -> Result<Transaction> {
        let now = client.timestamp().await?;
        if ts.unix_ms() > now.unix_ms() {
            return Err(Error::ReadPointInFuture { ts, now });
        }
        Ok(Transaction::at_known(client, ts.min(now)))
    }

    /// The same at a timestamp that is known to have been handed out. Sends no message.
    pub fn at_known(client: Arc<dyn ShardClient>, ts: Timestamp) -> Transaction {
        let point = client.read_points().hold(ts);
        let txn = Transaction::begin(client, Mode::Snapshot);
        Transaction { read_point: Some(point), ..txn }
    }

    /// Tells from now on what it does.
    #[must_use]
    pub fn telling(self, progress: Arc<Progress>) -> Transaction {
        Transaction { progress: Some(progress), ..self }
    }

    /// Remembers from now on what is read, so that [`Transaction::advance`] can move the read point.
    #[must_use]
    pub fn tracking_reads(mut self) -> Transaction {
        self.reads = Some(Arc::default());
        self
    }

    /// Commits only if everything that was read is still so at the commit: SERIALIZABLE.
    #[must_use]
    pub fn serializable(self) -> Transaction {
        Transaction { serializable: true, in_memory: true, ..self.tracking_reads() }
    }

    /// With other sizes than the node's.
    #[must_use]
    pub fn sized(self, sizes: TransactionSizes) -> Transaction {
        Transaction { sizes, ..self }
    }

    /// Keeps its writes in memory whatever they take, up to `base::limits::TRANSACTION_BYTES_MAX`: an XA transaction.
    pub fn stay_in_memory(&mut self) {
        self.in_memory = true;
    }

    /// The way to shards.
    pub fn client(&self) -> &Arc<dyn ShardClient> {
        &self.client
    }

    /// Fixes the read point now and returns it (START TRANSACTION WITH CONSISTENT SNAPSHOT).
    pub async fn pin(&mut self) -> Result<Timestamp> {
        Ok(self.read_point().await?.ts())
    }

    /// The read point; chosen now when there is none.
    async fn read_point(&mut self) -> Result<Arc<ReadPoint>> {
        if let Some(newest) = &self.newest {
            return Ok(newest.clone());
        }
        if let Some(point) = &self.read_point {
            return Ok(point.clone());
        }
        let ts = self.client.timestamp().await?;
        self.client.read_points().hear(ts, self.client.unix_ms());
        let point = self.client.read_points().hold(ts);
        self.confirm_observed(point.ts()).await?;
        self.tell(|progress| progress.reads_at(point.ts()));
        Ok(self.read_point.insert(point).clone())
    }

    /// Gives up the read point, so that the next read chooses a newer one (READ COMMITTED, between
    /// statements). Own writes stay.
    pub fn unpin(&mut self) {
        self.read_point = None;
        self.tell(|progress| progress.reads_at(Timestamp::ZERO));
        self.read_newest = false;
        self.observed.clear();
        if let Some(reads) = &mut self.reads {
            *reads = Arc::default();
        }
    }

    /// Moves the read point to now if nothing that was read at it has changed since: the transaction goes on as if it
    /// had begun now. `false` when something has; the read point stays then. Without a read point there is nothing to
    /// do.
    ///
    /// # Errors
    /// As for a read.
    pub async fn advance(&mut self) -> Result<bool> {
        let (Some(point), Some(reads)) = (&self.read_point, &self.reads) else {
            return Ok(self.read_point.is_none());
        };
        let ts = self.client.timestamp().await?;
        let own = self.own_start();
        if !reads.is_empty() && reads.has_changed(&*self.client, point.ts(), ts, own).await? {
            return Ok(false);
        }
        self.read_point = Some(self.client.read_points().hold(ts));
        self.tell(|progress| progress.reads_at(ts));
        Ok(true)
    }

    /// Reads at the newest point until [`Transaction::read_at_read_point`]: a statement that locks what it reads, in a
    /// transaction whose plain reads stay where they are.
    pub async fn read_newest(&mut self) -> Result<()> {
        let ts = self.client.timestamp().await?;
        self.newest = Some(self.client.read_points().hold(ts));
        self.tell(Progress::begins);
        Ok(())
    }

    /// Reads at the newest point until [`Transaction::look_back`]: a look at what others have committed, between other reads.
    ///
    /// # Errors
    /// As for a read.
    pub async fn look_at_newest(&mut self) -> Result<NewestLook> {
        let ts = self.client.timestamp().await?;
        let point = self.client.read_points().hold(ts);
        self.tell(Progress::begins);
        Ok(NewestLook(self.newest.replace(point)))
    }

    /// Ends a look: reads are where they were before.
    pub fn look_back(&mut self, look: NewestLook) {
        self.newest = look.0;
    }

    /// Ends [`Transaction::read_newest`].
    pub fn read_at_read_point(&mut self) {
        self.newest = None;
    }

    /// Locks rows, or keys that a row may get; the outcome of each in their order. What was granted stays locked until
    /// the transaction ends, also when a later key fails.
    ///
    /// # Errors
    /// `LockWaitTimeout`, `LockNotAvailable`, `Deadlock`; `Unavailable` and the like as for a read.
    pub async fn lock(&mut self, keys: &[Bytes], lock: RowLock) -> Result<Vec<LockedKey>> {
        let (weight, own) = (self.writes(), self.own_start());
        let locks = self.locks.get_or_insert_with(|| HeldLocks::new(self.client.clone()));
        let Some(progress) = &self.progress else {
            return locks.lock(keys, lock, (weight, own), None).await;
        };
        let asking = progress.asks(locks.owner(), self.client.unix_ms());
        let outcomes = locks.lock(keys, lock, (weight, own), Some(&**progress)).await;
        drop(asking);
        progress.holds(locks.count());
        outcomes
    }

    /// Gives up one row lock before the transaction ends: for locks that stand for something else than a row.
    ///
    /// # Errors
    /// `Unavailable` when nobody knows where the key belongs.
    pub async fn unlock(&mut self, key: &Bytes) -> Result<()> {
        let Some(locks) = &mut self.locks else { return Ok(()) };
        locks.unlock(key).await?;
        let held = locks.count();
        self.tell(|progress| progress.holds(held));
        Ok(())
    }

    /// Gives up all row locks before the transaction is rolled back, and waits a moment until their leaders have heard of
    /// it: whoever then hears of the rollback finds the rows free.
    pub async fn release_locks(&mut self) {
        if let Some(locks) = self.locks.take() {
            locks.release().await;
        }
        self.tell(|progress| progress.holds(0));
    }

    /// Keeps the locks of rows that were asked for and are not there: they outlive an insert that is undone
    /// ([`Transaction::rollback_and_unlock_to`]).
    pub fn guard_absent(&mut self, keys: &[Bytes]) {
        let Some(locks) = &mut self.locks else { return };
        // One that this transaction has inserted before was there.
        for key in keys.iter().filter(|key| self.buffer.get(key).is_none()) {
            locks.guard_absent(key);
        }
    }

    /// Checks that a locked row is what this transaction has read or would read of it, and that nobody had to be waited
    /// for after the read point was chosen.
    ///
    /// # Errors
    /// `Stale` when it is not so.
    pub fn check_fresh(&self, key: &Bytes, outcome: LockedKey) -> Result<()> {
        let LockedKey::Held { commit_ts, exists, waited } = outcome else { return Ok(()) };
        let point = self.newest.as_ref().or(self.read_point.as_ref());
        let changed = match (self.observed.get(key), point) {
            (Some(seen), _) => *seen != if exists { commit_ts } else { Timestamp::ZERO },
            (None, Some(point)) => commit_ts > point.ts(),
            (None, None) => false,
        };
        // Who has read nothing yet reads what the former holder has left behind.
        let has_read = point.is_some() || !self.observed.is_empty();
        let stale = changed || (waited && has_read);
        if stale && !defect::active("stale-is-fresh") {
            Err(Error::Stale { key: key.clone(), changed })
        } else {
            Ok(())
        }
    }

    /// Marks where a locking statement begins: [`Transaction::forget_reads`] goes back to it.
    pub fn mark_reads(&mut self) {
        self.marked = self.reads.clone();
        if let Some(locks) = &mut self.locks {
            locks.begin_statement();
        }
    }

    /// Forgets what was read since the mark: the statement is run again, so it does not matter any more.
    pub fn forget_reads(&mut self) {
        self.reads = self.marked.clone();
    }

    /// What was read so far, to go back to with [`Transaction::forget_reads_of`].
    pub fn reads_so_far(&self) -> ReadMark {
        ReadMark(self.reads.clone())
    }

    /// Forgets what was read of some tables since a mark of the same read point: whoever has read it does not rely on it
    /// (SKIP LOCKED). What was read of other tables stays.
    pub fn forget_reads_of(&mut self, tables: &BTreeSet<TableId>, mark: &ReadMark) {
        if let (Some(reads), Some(before)) = (&mut self.reads, &mark.0) {
            Arc::make_mut(reads).go_back(tables, before);
        }
    }

    /// Counts a key as read at the read point, where reads count at all.
    pub fn count_as_read(&mut self, key: &Bytes) {
        self.remember(key);
    }

    /// Who holds its row locks, once it has asked for one.
    pub fn lock_owner(&self) -> Option<LockOwner> {
        self.locks.as_ref().map(HeldLocks::owner)
    }

    /// Its own buffered write of a key: the value, or `None` inside for a deletion. What a large transaction has sent is
    /// told with the row lock ([`LockedKey::Own`]).
    pub fn own_write(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.buffer.get(key).map(|own| own.value.clone())
    }

    /// The read point, once there is one. `None` also while a `Latest` statement has read the newest
    /// versions only: use [`Transaction::expect_unchanged`] rather than a timestamp for its writes.
    pub fn read_ts(&self) -> Option<Timestamp> {
        self.read_point.as_ref().map(|point| point.ts())
    }

    /// The value of a key, own writes included.
    pub async fn get(&mut self, key: &Bytes) -> Result<Option<Bytes>> {
        if let Some(own) = self.buffer.get(key) {
            return Ok(own.value.clone());
        }
        Ok(self.get_committed(key).await?.map(|version| version.value))
    }

    /// The committed version of a key, as a read sees it before own writes.
    pub async fn get_committed(&mut self, key: &Bytes) -> Result<Option<Version>> {
        let ts = self.point_read_ts(true).await?;
        let version = get_one(&self.client, key, ts, self.own()).await?;
        self.observe(ts, key, version.as_ref());
        self.remember(key);
        Ok(version)
    }

    /// The values of some keys in their order, own writes included. Shards are asked in parallel.
    pub async fn multi_get(&mut self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let mut values: Vec<Option<Bytes>> = vec![None; keys.len()];
        let mut wanted: Vec<(&Bytes, usize)> = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            match self.buffer.get(key) {
                Some(own) => values[index] = own.value.clone(),
                None => wanted.push((key, index)),
            }
        }
        let Some((first, _)) = wanted.first() else { return Ok(values) };
        let route = self.client.locate(first)?;
        let mut one_request = wanted.len() <= limits::GET_KEYS_MAX;
        for (key, _) in &wanted {
            one_request = one_request && self.client.locate(key)?.shard == route.shard;
        }
        let mut ts = self.point_read_ts(one_request).await?;
        let mut found = None;
        if ts == Timestamp::MAX {
            let newest = get_at(&self.client, route, &wanted, ts, self.own()).await;
            found = unless_moved(newest)?;
            // Two shards show no common point in time without a timestamp.
            if found.is_none() {
                ts = self.read_point().await?.ts();
            }
        }
        let found = match found {
            Some(found) => found,
            None => get_everywhere(&self.client, &wanted, ts, self.own()).await?,
        };
        for (index, version) in found {
            self.observe(ts, &keys[index], version.as_ref());
            self.remember(&keys[index]);
            values[index] = version.map(|version| version.value);
        }
        Ok(values)
    }

    /// Starts a scan at the read point over committed rows and the own writes made so far. The scan
    /// lives on its own; later writes of this transaction do not show in it.
    pub async fn scan(&mut self, range: KeyRange, options: ScanOptions) -> Result<Scan> {
        let point = self.read_point().await?;
        if let (Some(reads), None) = (&mut self.reads, &self.newest) {
            Arc::make_mut(reads).add_range(&range);
        }
        let own = self.large.as_ref().map(Large::start_ts);
        let round = self.scans.open(self.large.as_ref().map_or(0, Large::round));
        Scan::open(self.client.clone(), point, range, options, &self.buffer, (own, round))
    }

    /// Buffers "set `key` to `value`".
    ///
    /// # Errors
    /// `AlreadyExists` when `expect` is `Absent` and this transaction has put the key itself;
    /// `TooLarge` for a row or a transaction above its limit.
    pub fn put(
        &mut self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        expect: Expect,
    ) -> Result<()> {
        let key = key.into();
        let expect = self.at_least_observed(&key, expect);
        self.buffer.put(key, Some(value.into()), expect)?;
        self.tell_writes();
        Ok(())
    }

    /// Buffers "remove `key`". Errors as [`Transaction::put`].
    pub fn delete(&mut self, key: impl Into<Bytes>, expect: Expect) -> Result<()> {
        let key = key.into();
        let expect = self.at_least_observed(&key, expect);
        self.buffer.put(key, None, expect)?;
        self.tell_writes();
        Ok(())
    }

    /// What an update or delete of a row that this transaction has read must expect, so that no other
    /// transaction's change is lost: the version that was locked, the version seen, or nothing newer than the read point.
    /// `Any` when nothing has been read yet.
    pub fn expect_unchanged(&self, key: &[u8]) -> Expect {
        if let Some(expect) = self.locks.as_ref().and_then(|locks| locks.expect(key)) {
            return expect;
        }
        match (self.observed.get(key), self.read_ts()) {
            (Some(commit_ts), _) => Expect::NotNewerThan(*commit_ts),
            (None, Some(ts)) => Expect::NotNewerThan(ts),
            (None, None) => Expect::Any,
        }
    }

    /// Marks the present state of the buffer.
    pub fn savepoint(&mut self) -> Savepoint {
        self.buffer.savepoint()
    }

    /// Undoes every write made since the savepoint. The savepoint stays usable; later ones are gone.
    ///
    /// # Errors
    /// `NotUndoable` when some of them have left memory: the whole transaction is rolled back now.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        self.undo(savepoint).map(|_| ())
    }

    /// The same, and gives up the row locks of rows that were inserted since: others may insert them. Locks of rows that
    /// were there stay, and of those that are not there and were asked for.
    ///
    /// # Errors
    /// As [`Transaction::rollback_to`].
    pub async fn rollback_and_unlock_to(&mut self, savepoint: Savepoint) -> Result<()> {
        let undone = self.undo(savepoint)?;
        self.unlock_undone(undone).await;
        Ok(())
    }

    /// The same for a statement that has failed and began with [`Transaction::mark_reads`]: it also gives up the keys that
    /// it has locked to insert there and has not written.
    ///
    /// # Errors
    /// As [`Transaction::rollback_to`].
    pub async fn fail_statement(&mut self, savepoint: Savepoint) -> Result<()> {
        let mut undone = self.undo(savepoint)?;
        if let Some(locks) = &mut self.locks {
            undone.extend(locks.take_vacant());
            undone.retain(|key| self.buffer.get(key).is_none());
        }
        self.unlock_undone(undone).await;
        Ok(())
    }

    /// Gives up the locks of keys that have no write any more, where there was no row before.
    async fn unlock_undone(&mut self, keys: Vec<Bytes>) {
        let Some(locks) = &mut self.locks else { return };
        locks.unlock_undone(keys).await;
        let held = locks.count();
        self.tell(|progress| progress.holds(held));
    }

    /// Undoes writes; answers the keys that have none any more.
    fn undo(&mut self, savepoint: Savepoint) -> Result<Vec<Bytes>> {
        if self.lost || !self.buffer.can_undo(savepoint) {
            self.lose();
            return Err(Error::NotUndoable);
        }
        let undone = self.buffer.rollback_to(savepoint);
        self.tell_writes();
        Ok(undone)
    }

    /// Forgets a savepoint and those made after it; their writes stay. Frees the undo memory when it
    /// was the outermost.
    pub fn release(&mut self, savepoint: Savepoint) {
        self.buffer.release(savepoint);
    }

    /// Whether something was written.
    pub fn is_dirty(&self) -> bool {
        !self.buffer.is_empty() || self.large.is_some()
    }

    /// Whether some of its writes have left memory.
    pub fn is_large(&self) -> bool {
        self.large.is_some()
    }

    /// Sends the buffered writes to the shards when they are more than memory should hold. Whoever writes much calls it
    /// after every few rows.
    ///
    /// # Errors
    /// As [`Transaction::commit`], but for `OutcomeUnknown`: the whole transaction is rolled back then, and can only be
    /// dropped or told to roll back. `TooLarge` when it exceeds the limit for transactions.
    pub async fn make_room(&mut self) -> Result<()> {
        if self.in_memory || self.buffer.memory() <= self.sizes.buffered_max {
            return Ok(());
        }
        // Whoever gives up in the middle has lost it, too.
        self.lost = true;
        let sent = self.send().await;
        match &sent {
            Ok(()) => self.lost = false,
            Err(_) => self.lose(),
        }
        sent
    }

    /// Sends what is buffered, and the rows that are locked only when they are too many.
    async fn send(&mut self) -> Result<()> {
        let sent = self.large.as_ref().map_or(0, Large::bytes);
        if sent + self.buffer.bytes() as u64 > self.sizes.total_max {
            let limit = self.sizes.total_max;
            let what = format!(
                "the transaction exceeds the limit of {limit} bytes; commit in smaller parts or raise [transactions] max_transaction_gib"
            );
            return Err(Error::TooLarge { what });
        }
        let rows = self.buffer.rows();
        let mut writes = self.buffer.empty();
        let mut large = match self.large.take() {
            Some(large) => large,
            None => {
                let Some(primary) = large::primary_of(&writes) else { return Ok(()) };
                Large::begin(&self.client, primary).await?
            }
        };
        // Also one that has locked no row has an owner: others may wait for what it has written.
        let locks = self.locks.get_or_insert_with(|| HeldLocks::new(self.client.clone()));
        locks.forget(&writes);
        if locks.count() > limits::LARGE_TRANSACTION_ROW_LOCKS {
            let kept = locks.kept(|_| false);
            locks.forget(&kept);
            writes.extend(kept);
            writes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        }
        let owner = locks.owner();
        self.tell(|progress| progress.is_owned_by(owner));
        large.count_rows(rows);
        let large = self.large.insert(large);
        large.send(writes, Some(owner), &self.scans).await?;
        let held = self.locks.as_ref().map_or(0, HeldLocks::count);
        self.tell(|progress| progress.holds(held));
        self.tell_writes();
        Ok(())
    }

    /// Rolls everything back, and lets nothing be committed any more.
    fn lose(&mut self) {
        self.rollback();
        self.lost = true;
    }

    /// Bytes of the buffered keys and values.
    pub fn bytes(&self) -> usize {
        self.buffer.bytes()
    }

    /// Forgets all writes and the read point, and gives up row locks.
    pub fn rollback(&mut self) {
        self.buffer = WriteBuffer::default();
        self.large = None;
        self.lost = false;
        self.locks = None;
        self.newest = None;
        self.unpin();
        self.tell(Progress::has_rolled_back);
    }

    /// Commits. Whatever the outcome, the transaction is over: buffer and read point are gone.
    ///
    /// # Errors
    /// `KeyLocked`: another transaction stood in the way too long. `RowLocked`, `WriteConflict`, `AlreadyExists`,
    /// `RolledBack`, `TooLarge`, `NotServing`, `Unavailable`: nothing was written. `OutcomeUnknown`: it
    /// may or may not be committed; [`Transaction::identity`] is what to ask with.
    pub async fn commit(&mut self) -> Result<CommitOutcome> {
        self.identity = None;
        self.check_not_lost()?;
        if let Some(large) = self.large.take() {
            return self.commit_large(large).await;
        }
        let validation = match (self.serializable, &self.read_point, &mut self.reads) {
            (true, Some(point), Some(reads)) => {
                let reads = Arc::unwrap_or_clone(std::mem::take(reads));
                Some(Validation { reads, since: point.ts() })
            }
            _ => None,
        };
        // Versions after the read point are needed until the validation is over.
        let _point = self.read_point.clone();
        let (writes, locks) = self.take_writes();
        if writes.is_empty() {
            return Ok(CommitOutcome { commit_ts: Timestamp::ZERO });
        }
        let (client, identity) = (&self.client, &mut self.identity);
        let commit_ts = commit::commit(client, writes, locks, validation, identity).await?;
        Ok(CommitOutcome { commit_ts })
    }

    /// By what the last commit is found again ([`settle`]) when it has ended with `OutcomeUnknown`.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Sends the rest and commits. The drop of `large` rolls back when something fails before.
    async fn commit_large(&mut self, mut large: Large) -> Result<CommitOutcome> {
        let (writes, locks) = self.take_writes();
        if !writes.is_empty() {
            let owner = locks.as_ref().map(HeldLocks::owner);
            large.send(writes, owner, &self.scans).await?;
        }
        let (start_ts, primary) = (large.start_ts(), large.primary().clone());
        self.identity = Some(Identity::SeveralShards { start_ts, primary });
        let commit_ts = large.commit(locks).await?;
        Ok(CommitOutcome { commit_ts })
    }

    /// `NotUndoable` when it was rolled back as a whole; it may be used anew then.
    fn check_not_lost(&mut self) -> Result<()> {
        if !self.lost {
            return Ok(());
        }
        self.rollback();
        Err(Error::NotUndoable)
    }

    /// First phase of a transaction that is decided later: its writes and the rows it has locked get replicated locks,
    /// which expire unless they are held ([`hold_prepared`]). Whatever the outcome, this object is over. `None` when
    /// nothing was written or locked.
    ///
    /// # Errors
    /// As [`Transaction::commit`], but for `OutcomeUnknown`: nothing is prepared. `Unavailable` for a serializable
    /// transaction, whose reads nobody could check at the commit, and for a large one, whose keys no record could name.
    pub async fn prepare(&mut self) -> Result<Option<PreparedTransaction>> {
        self.check_not_lost()?;
        if self.is_large() {
            self.rollback();
            let what =
                "a transaction that is larger than memory cannot be prepared; it was rolled back";
            return Err(Error::Unavailable { shard: ShardId::META, what: what.into() });
        }
        let serializable = self.serializable;
        let (writes, locks) = self.take_writes();
        if serializable {
            let what = "a serializable transaction cannot be prepared".into();
            return Err(Error::Unavailable { shard: ShardId::META, what });
        }
        if writes.is_empty() {
            return Ok(None);
        }
        commit::prepare(&self.client, writes, locks).await.map(Some)
    }

    /// What is to be committed: the buffered writes, and the rows that are locked and not written, in key order.
    fn take_writes(&mut self) -> (Vec<KeyWrite>, Option<HeldLocks>) {
        let buffer = std::mem::take(&mut self.buffer);
        let locks = self.locks.take();
        let kept = locks.as_ref().map(|locks| locks.kept(|key| buffer.get(key).is_some()));
        let mut writes = buffer.into_writes();
        self.newest = None;
        self.unpin();
        if let Some(kept) = kept.filter(|kept| !kept.is_empty()) {
            writes.extend(kept);
            writes.sort_unstable_by(|a: &KeyWrite, b| a.key.cmp(&b.key));
        }
        (writes, locks)
    }

    fn tell(&self, what: impl FnOnce(&Progress)) {
        if let Some(progress) = &self.progress {
            what(progress);
        }
    }

    fn tell_writes(&self) {
        let sent = self.large.as_ref().map_or(0, Large::rows);
        self.tell(|progress| progress.has_written(sent + self.buffer.rows()));
    }

    /// Writes so far.
    fn writes(&self) -> u64 {
        self.buffer.len() as u64 + self.large.as_ref().map_or(0, Large::writes)
    }

    /// Its start timestamp as a large transaction; zero when it is none.
    fn own_start(&self) -> Timestamp {
        self.large.as_ref().map_or(Timestamp::ZERO, Large::start_ts)
    }

    /// What shards must know to show it what it has sent.
    fn own(&self) -> Option<KnownTransaction> {
        let fate = Fate::Own { round: u32::MAX };
        self.large.as_ref().map(|large| KnownTransaction { start_ts: large.start_ts(), fate })
    }

    /// The timestamp for a round of point reads; `one_request` when a single request reads them all.
    async fn point_read_ts(&mut self, one_request: bool) -> Result<Timestamp> {
        let newest = one_request
            && self.newest.is_none()
            && self.mode == Mode::Latest
            && self.read_ts().is_none()
            && self.large.is_none()
            && !self.read_newest;
        if newest {
            self.read_newest = true;
            self.tell(Progress::begins);
            return Ok(Timestamp::MAX);
        }
        Ok(self.read_point().await?.ts())
    }

    /// Remembers what a read of the newest versions saw.
    fn observe(&mut self, ts: Timestamp, key: &Bytes, version: Option<&Version>) {
        if ts == Timestamp::MAX {
            let commit_ts = version.map_or(Timestamp::ZERO, |version| version.commit_ts);
            self.observed.insert(key.clone(), commit_ts);
        }
    }

    /// Adds to what was read at the read point.
    fn remember(&mut self, key: &Bytes) {
        if let (Some(reads), None) = (&mut self.reads, &self.newest) {
            Arc::make_mut(reads).add_key(key);
        }
    }

    /// Checks that what was read at [`Timestamp::MAX`] is what a read at `ts` sees, so that both belong
    /// to one point in time.
    async fn confirm_observed(&self, ts: Timestamp) -> Result<()> {
        if self.observed.is_empty() || defect::active("first-read-unconfirmed") {
            return Ok(());
        }
        let seen: Vec<(&Bytes, Timestamp)> =
            self.observed.iter().map(|(key, seen)| (key, *seen)).collect();
        let wanted: Vec<(&Bytes, usize)> =
            seen.iter().enumerate().map(|(index, (key, _))| (*key, index)).collect();
        // What it has written itself since does not count.
        let own = self.own().map(|own| KnownTransaction { fate: Fate::Passed, ..own });
        for (index, version) in get_everywhere(&self.client, &wanted, ts, own).await? {
            let (key, seen) = seen[index];
            let now = version.map_or(Timestamp::ZERO, |version| version.commit_ts);
            if now != seen {
                return Err(Error::WriteConflict { key: key.clone() });
            }
        }
        Ok(())
    }

    /// A write's expectation, made as strict as what this transaction saw of the key.
    fn at_least_observed(&self, key: &Bytes, expect: Expect) -> Expect {
        if let Some(locked) = self.locks.as_ref().and_then(|locks| locks.expect(key)) {
            return if expect == Expect::Any { locked } else { expect };
        }
        match (expect, self.observed.get(key)) {
            (Expect::Absent, _) | (_, None) => expect,
            (Expect::Any, Some(seen)) => Expect::NotNewerThan(*seen),
            (Expect::NotNewerThan(ts), Some(seen)) => Expect::NotNewerThan(ts.min(*seen)),
        }
    }
}

/// The error for an answer that does not fit its request: a peer of another version or a bug.
fn wrong_answer(shard: ShardId) -> Error {
    Error::Unavailable { shard, what: "its answer does not fit the request".into() }
}
