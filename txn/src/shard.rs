//! A shard as its leader runs it: reads from the engine, writes evaluated and replicated.
//!
//! ```text
//!  write ─► latches ─► queue ─► proposer: one oracle call ─► evaluate each ─► one write batch
//!                                                                                 │ replicate(term)
//!  answer ◄─ latches dropped ◄─ lock table changed ◄─ applied here ◄──────────────┘
//!
//!  read ─► serving term ─► locks, latches ─► engine ─► still the same term? ─► answer
//! ```
//!
//! Everything that lives in memory (lock table, latches, row locks) belongs to one leadership, a [`Tenure`], and is
//! thrown away with it: when a new term serves, all entries of earlier terms are applied or will never be. Row locks alone
//! may be handed over by a leader that gives its leadership away; a tenure begins by taking them in.
//!
//! Invariants:
//! 1. A write is evaluated while its keys are latched and replicated under the term it was evaluated in.
//! 2. Its commit timestamp is fetched after the latches are held, so a reader whose read point is later
//!    meets the latch or the version, and versions of one key are written in the order of timestamps.
//! 3. Latches of a write whose outcome is unknown stay until a later entry of the same term is applied or
//!    the term is over.
//! 4. No answer leaves when the term changed while it was made.
//! 5. Safe points, one per table, rise in memory before a removal that they allow is replicated, and on disk with it.
//! 6. A write that meets another owner's row lock is refused, not queued: whoever asks for the lock waits in line.
//! 7. The lock floor is replicated before anything rests on it, and never falls: below it no lock is placed any more, under
//!    any leader. So a shard that has no lock below it now never will have one, and a record that no shard has an older
//!    lock than is asked for by nobody.
//! 8. A commit of one entry that was said to be rolled back is refused until it comes too late by its own timestamp.
//! 9. A request that names other slots than those that are served is answered `Moved`, and nothing is executed. A leader stops
//!    to serve a child's slots before the split is replicated, and waits for every write that it has evaluated before
//!    (`splitter`).
//! 10. A shard that its left neighbour takes in serves nobody from before it is frozen, under any leader, until it is thawed
//!     (`giver`). The neighbour serves its slots only after it has all of it (`merger`).
//!
//! A replica that does not lead answers reads up to the newest timestamp that a leader has closed (`follower`).
//!
//! Not here: Raft, routing, retries, when to collect (for transaction records, which all shards have a say in:
//! `transaction::records`).

mod changes;
mod evaluate;
mod finisher;
mod follower;
mod giver;
mod locker;
mod merger;
mod proposer;
mod reader;
mod sight;
mod splitter;
mod tenure;

use crate::closed::{Closed, ClosedTimestamps};
use crate::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, ReadRequest, ReadResponse, Version,
    WriteRequest, WriteResponse,
};
use crate::load::{Load, LoadSamples, LoadTotals};
use crate::lock_table::OldLocks;
use crate::merge::{MergeAnswer, MergeAsk, MergeProgress, MergeSource};
use crate::replication::{ReplicateError, Replication};
use crate::row_locks::{HeldLock, RowLocks};
use crate::{Error, Oracle, Result};
use base::{ReplicaId, ShardId, Slot, SlotRange, TableId, Timestamp, limits};
use bytes::Bytes;
use engine::Engine;
use engine::mvcc::{self, Dead, Foreign, Leftover, OldRecords, SafePoints, Sides};
use finisher::Ended;
use proposer::Proposer;
use splitter::Wish;
use std::sync::Arc;
use tenure::Tenure;

/// One replica's access to its shard. Serves while the replica leads.
pub struct Shard {
    /// Shared with the tasks that replicate.
    core: Arc<Core>,
    /// The way of writes.
    proposer: Arc<Proposer>,
}

/// What reads and writes share.
struct Core {
    /// The shard's replicas.
    replication: Arc<dyn Replication>,
    /// This replica's engine; written by `replication` alone.
    engine: Arc<dyn Engine>,
    /// Row locks of the shards that this node leads.
    row_locks: Arc<RowLocks>,
    /// What was done here.
    load: Load,
    /// The leadership whose memory is loaded.
    tenure: parking_lot::RwLock<Option<Arc<Tenure>>>,
    /// Held while a tenure is loaded, so that it happens once.
    loading: tokio::sync::Mutex<()>,
    /// Held while the shard is split or takes a step of a merge, until the outcome is known.
    splitting: Arc<tokio::sync::Mutex<()>>,
    /// What leaders have promised to this replica.
    closed: parking_lot::Mutex<ClosedTimestamps>,
    /// The copy of a neighbour that goes on with the next step of a merge.
    copying: parking_lot::Mutex<Option<merger::Copied>>,
}

impl Shard {
    /// A shard over this replica's engine; `row_locks` is the node's. Spawns nothing until something is written.
    pub fn new(
        replication: Arc<dyn Replication>,
        engine: Arc<dyn Engine>,
        oracle: Arc<dyn Oracle>,
        row_locks: Arc<RowLocks>,
    ) -> Shard {
        let load = Load::new(replication.shard(), row_locks.clock().clone());
        let core = Arc::new(Core {
            replication,
            engine,
            row_locks,
            load,
            tenure: parking_lot::RwLock::new(None),
            loading: tokio::sync::Mutex::new(()),
            splitting: Arc::default(),
            closed: parking_lot::Mutex::default(),
            copying: parking_lot::Mutex::new(None),
        });
        Shard { proposer: Proposer::new(core.clone(), oracle), core }
    }

    /// The shard's id.
    pub fn id(&self) -> ShardId {
        self.core.replication.shard()
    }

    /// What this replica has done as the leader since it was started.
    pub fn load_totals(&self) -> LoadTotals {
        self.core.load.totals()
    }

    /// Samples of the keys that were read and written here lately, and of the data.
    pub fn load_samples(&self) -> LoadSamples {
        self.core.load.samples()
    }

    /// Reads one key without waiting: the fast path of point reads, one LSM probe. `None` when there is
    /// something to wait for; [`Shard::read`] then does. `slots` as there.
    pub fn try_get(
        &self,
        slots: SlotRange,
        key: &[u8],
        ts: Timestamp,
    ) -> Option<Result<Option<Version>>> {
        reader::try_get(&self.core, slots, key, ts)
    }

    /// Reads a page of a range without waiting. `None` when there is something to wait for, when it is no read of a range, or
    /// when it fails; [`Shard::read`] then does it, or says why not. `slots` as there.
    pub fn try_scan(&self, slots: SlotRange, request: &ReadRequest) -> Option<ReadResponse> {
        reader::try_scan(&self.core, slots, request)
    }

    /// Runs a read. `slots` are those that the asker believes the shard to own ([`crate::Route`]).
    ///
    /// # Errors
    /// `Moved` when it owns others; `NotServing` when this replica does not lead; `KeyLocked` when a transaction that may commit at or
    /// before the read point holds a key; `Unavailable` when a pending write stayed pending too long. For `OldestLock`,
    /// which writes, also the errors of `write`.
    pub async fn read(&self, slots: SlotRange, request: ReadRequest) -> Result<ReadResponse> {
        if let ReadRequest::OldestLock { before } = request {
            self.proposer.raise_lock_floor(slots, before).await?;
        }
        reader::read(&self.core, slots, request).await
    }

    /// Promises that nothing more becomes visible at `ts` or before, but what is locked by then, and says after which entry of
    /// the log. `ts` must have been handed out by the oracle before this call.
    ///
    /// # Errors
    /// `NotServing` when this replica does not lead; `Unavailable` when a write under way found no quorum in time;
    /// `NoFollower` for the meta shard, whose counters have no timestamps.
    pub async fn close(&self, ts: Timestamp) -> Result<Closed> {
        follower::close(&self.core, ts).await
    }

    /// Takes in what a leader of this shard has promised.
    pub fn learn_closed(&self, closed: Closed) {
        self.core.closed.lock().learn(closed);
    }

    /// Up to when this replica answers reads while it does not lead; zero when nobody has promised anything. One look into
    /// the engine, on the caller's thread.
    pub fn closed(&self) -> Timestamp {
        follower::closed(&self.core)
    }

    /// The entry that this replica must have applied before it answers a read at `ts`; `None` when nothing was promised for it.
    pub fn entry_for(&self, ts: Timestamp) -> Option<u64> {
        self.core.closed.lock().entry_for(ts)
    }

    /// Runs a read of keys or of a range at a timestamp on this replica, which does not lead. `slots` as for a read.
    ///
    /// # Errors
    /// `NoFollower` when it does not know everything up to that timestamp, or leads; `KeyLocked` when a transaction that may
    /// commit at or before the read point had locked a key by then, and may be over at the leader; `Moved` when the shard, as
    /// far as this replica knows, does not own all of the slots; `SnapshotTooOld`.
    pub fn read_as_follower(&self, slots: SlotRange, request: ReadRequest) -> Result<ReadResponse> {
        follower::read(&self.core, slots, request)
    }

    /// Passes versions from the engine key `from` on (empty: from the first) and names keys with versions that no read
    /// at their tables' safe points or later can see. Reads the engine on the caller's thread, a step at a time.
    ///
    /// # Errors
    /// `Engine`.
    pub fn find_dead(&self, from: &[u8], safe_points: &SafePoints) -> Result<Dead> {
        let (bytes_max, keys_max) = (limits::COLLECT_STEP_BYTES, limits::COLLECT_STEP_KEYS);
        let (engine, bounds) = (&*self.core.engine, self.bounds()?);
        let dead = mvcc::find_dead(engine, bounds, from, safe_points, bytes_max, keys_max)?;
        self.core.load.walked(from.is_empty(), dead.next.as_ref(), dead.bytes);
        Ok(dead)
    }

    /// Drops the dead versions of some keys, at most `base::limits::COLLECT_STEP_KEYS`; reads before the safe points are
    /// refused from now on with `SnapshotTooOld`. Returns how many were dropped.
    ///
    /// # Errors
    /// As `write`. After `OutcomeUnknown` it may be repeated.
    pub async fn drop_dead(&self, keys: Vec<Bytes>, safe_points: &SafePoints) -> Result<u64> {
        let mut dropped = 0;
        loop {
            let part = self.proposer.collect(keys.clone(), safe_points.clone(), false).await?;
            dropped += part;
            if part < limits::COLLECT_VERSIONS_MAX as u64 {
                return Ok(dropped);
            }
        }
    }

    /// Passes versions of a dropped table's keys from the engine key `from` on (empty: from the first), in whatever slots, and
    /// tells of locks. Reads the engine on the caller's thread, a step at a time.
    ///
    /// # Errors
    /// `Engine`.
    pub fn find_leftover(&self, table: TableId, from: &[u8]) -> Result<Leftover> {
        let (bytes_max, keys_max) = (limits::COLLECT_STEP_BYTES, limits::COLLECT_STEP_KEYS);
        Ok(mvcc::find_leftover(&*self.core.engine, table, from, bytes_max, keys_max)?)
    }

    /// Drops all versions of some keys of tables that no catalog has had since the safe points, at most
    /// `base::limits::COLLECT_STEP_KEYS` keys; those that are locked stay. Reads before the safe points are refused from now
    /// on. Returns how many versions were dropped.
    ///
    /// # Errors
    /// As `write`. After `OutcomeUnknown` it may be repeated.
    pub async fn drop_leftover(&self, keys: Vec<Bytes>, safe_points: &SafePoints) -> Result<u64> {
        let mut dropped = 0;
        loop {
            let part = self.proposer.collect(keys.clone(), safe_points.clone(), true).await?;
            dropped += part;
            if part < limits::COLLECT_VERSIONS_MAX as u64 {
                return Ok(dropped);
            }
        }
    }

    /// Locks of transactions that began before a point, from the key `from` on (empty: from the first), a step at a time.
    /// Held ones of prepared transactions are left out: somebody else decides about them.
    ///
    /// # Errors
    /// `NotServing`; `Moved` when the shard is being taken in.
    pub async fn old_locks(&self, from: &[u8], before: Timestamp) -> Result<OldLocks> {
        let tenure = self.core.tenure().await?;
        tenure.check_open()?;
        let (passed_max, found_max) = (limits::OLD_LOCKS_PASSED_MAX, limits::OLD_LOCKS_STEP);
        Ok(tenure.locks.read().older_than(before, from, passed_max, found_max))
    }

    /// Large transactions that began before a point and may have locks here, with their primaries.
    ///
    /// # Errors
    /// As [`Shard::old_locks`].
    pub async fn old_large(&self, before: Timestamp) -> Result<Vec<(Timestamp, Bytes)>> {
        let tenure = self.core.tenure().await?;
        tenure.check_open()?;
        let large = tenure.locks.read().large().clone();
        let old = large.range(..before);
        Ok(old.map(|(start_ts, primary)| (*start_ts, primary.clone())).collect())
    }

    /// Whether this replica has any transaction record. One look into the engine, on the caller's thread.
    ///
    /// # Errors
    /// `Engine`.
    pub fn has_records(&self) -> Result<bool> {
        Ok(mvcc::has_records(&*self.core.engine)?)
    }

    /// Passes transaction records from the engine key `from` on (empty: from the first) and names those of transactions
    /// that began before `limit`. Reads the engine on the caller's thread, a step at a time.
    ///
    /// # Errors
    /// `Engine`.
    pub fn find_old_records(&self, from: &[u8], limit: Timestamp) -> Result<OldRecords> {
        let (bytes_max, records_max) = (limits::COLLECT_STEP_BYTES, limits::COLLECT_RECORDS_MAX);
        Ok(mvcc::find_old_records(&*self.core.engine, from, limit, bytes_max, records_max)?)
    }

    /// Drops transaction records, one step's, and returns how many. Their transactions must have begun before
    /// [`crate::record_limit`]; one that began after the lock floor of this shard stays in any case.
    ///
    /// # Errors
    /// As `write`. After `OutcomeUnknown` it may be repeated.
    pub async fn drop_records(&self, records: Vec<(Bytes, Timestamp)>) -> Result<u64> {
        self.proposer.drop_records(records).await
    }

    /// Splits the shard: it keeps the slots below `at`, and `child` gets the others, with replicas on the same nodes. `slots`
    /// are the parent's as the map has them, `replicas` its replicas, each with the child's on the same node, and `since` is
    /// the version of the cluster that knows of the split. `Ok` when it is applied here, also when it was done before.
    ///
    /// # Errors
    /// `NotServing` when this replica does not lead; `Moved` when the shard owns other slots; `Unavailable` when `at` is not
    /// inside them, another split is under way, or writes under way have found no quorum in time: nothing was executed.
    /// `OutcomeUnknown`: repeat it.
    pub async fn split(
        &self,
        at: Slot,
        child: ShardId,
        replicas: Vec<(ReplicaId, ReplicaId)>,
        since: u64,
        slots: SlotRange,
    ) -> Result<()> {
        splitter::split(&self.core, Wish { at, child, replicas, since, slots }).await
    }

    /// Goes on with taking in the right neighbour: `sides` are the slots of both as the map has them, `merge` is the number of
    /// the merge, higher than any before, and `right` is the way to the neighbour's leader. Asked again and again until it is
    /// over, which it is for good, under every leader.
    ///
    /// # Errors
    /// `NotServing` when this replica does not lead; `Moved` when the shard owns other slots; `Unavailable` when a step is
    /// under way, or right's leader does not answer. Then, and after `OutcomeUnknown`, it may be repeated.
    pub async fn merge(
        &self,
        merge: u64,
        sides: Sides,
        right: Arc<dyn MergeSource>,
    ) -> Result<MergeProgress> {
        merger::merge(&self.core, merger::Wish { merge, sides, undo: false }, right).await
    }

    /// The same for a merge that shall be undone, unless it has been carried out.
    ///
    /// # Errors
    /// As [`Shard::merge`].
    pub async fn undo_merge(
        &self,
        merge: u64,
        sides: Sides,
        right: Arc<dyn MergeSource>,
    ) -> Result<MergeProgress> {
        merger::merge(&self.core, merger::Wish { merge, sides, undo: true }, right).await
    }

    /// Answers the leader of the left neighbour, which takes this shard in.
    ///
    /// # Errors
    /// `NotServing` when this replica does not lead; `Moved` when the shard owns other slots; `Unavailable` when the copy must
    /// begin anew, or the merge is over. `OutcomeUnknown`: it may be asked again.
    pub async fn answer_merge(&self, ask: MergeAsk) -> Result<MergeAnswer> {
        giver::answer(&self.core, ask).await
    }

    /// The number of the last merge that was over here when this replica applied what it has; 0 when there was none.
    ///
    /// # Errors
    /// `Engine`.
    pub fn merges_over(&self) -> Result<u64> {
        Ok(mvcc::merge_state(&*self.core.engine)?.over)
    }

    /// The slots that the shard owns, as far as this replica has applied; `None` when it was never split.
    ///
    /// # Errors
    /// `Engine`.
    pub fn bounds(&self) -> Result<Option<SlotRange>> {
        Ok(mvcc::bounds(&*self.core.engine)?)
    }

    /// Whether keys of other slots may be left here. One look into the engine, on the caller's thread.
    ///
    /// # Errors
    /// `Engine`.
    pub fn has_foreign(&self) -> Result<bool> {
        Ok(mvcc::has_foreign(&*self.core.engine)?)
    }

    /// Passes versions and locks from the engine key `from` on (empty: from the first) and names keys of other slots, but for
    /// slots that are being taken in. Reads the engine on the caller's thread, a step at a time.
    ///
    /// # Errors
    /// `Engine`.
    pub fn find_foreign(&self, from: &[u8]) -> Result<Foreign> {
        let Some(mut bounds) = self.bounds()? else { return Ok(Foreign::default()) };
        if let Some(incoming) = mvcc::merge_state(&*self.core.engine)?.incoming() {
            // They follow the shard's own.
            bounds.end = bounds.end.max(incoming.end);
        }
        let (bytes_max, keys_max) = (limits::COLLECT_STEP_BYTES, limits::COLLECT_STEP_KEYS);
        Ok(mvcc::find_foreign(&*self.core.engine, bounds, from, bytes_max, keys_max)?)
    }

    /// Drops all versions and locks of some keys of other slots, at most `base::limits::COLLECT_STEP_KEYS` keys. Returns how
    /// many went.
    ///
    /// # Errors
    /// As `write`. After `OutcomeUnknown` it may be repeated.
    pub async fn drop_foreign(&self, keys: Vec<Bytes>) -> Result<u64> {
        let mut dropped = 0;
        loop {
            let part = self.proposer.drop_foreign(keys.clone()).await?;
            dropped += part;
            if part < limits::COLLECT_VERSIONS_MAX as u64 {
                return Ok(dropped);
            }
        }
    }

    /// Notes that no key of other slots is left. Comes after a whole walk has found none; `bounds` and `merges` are those from
    /// before the walk ([`Shard::bounds`], [`Shard::merges_over`]). Nothing happens when the shard was split since, or a merge
    /// has begun.
    ///
    /// # Errors
    /// As `write`. After `OutcomeUnknown` it may be repeated.
    pub async fn forget_foreign(&self, bounds: SlotRange, merges: u64) -> Result<()> {
        self.proposer.forget_foreign(bounds, merges).await
    }

    /// Locks rows for an owner, waiting as the request says. Row locks live in memory: they keep others waiting, and
    /// are gone with this leadership. `slots` as for a read.
    ///
    /// # Errors
    /// `LockWaitTimeout`, `LockNotAvailable`, `Deadlock`; `KeyLocked` when an unfinished commit stands on a key: it is
    /// to be resolved first; `Moved`, `NotServing` and `Unavailable` as for a read. Locks that were granted stay.
    pub async fn lock(&self, slots: SlotRange, request: LockRequest) -> Result<Vec<LockedKey>> {
        locker::lock(&self.core, slots, request).await
    }

    /// Gives up an owner's row locks on this shard: those on some keys, or (without keys) all.
    ///
    /// # Errors
    /// `NotServing` when this replica does not lead: the locks may have gone to the next leader before they were given
    /// up here, which is to be told as well.
    pub fn release(&self, owner: LockOwner, keys: &[Bytes]) -> Result<()> {
        match keys {
            [] => self.core.row_locks.release(self.id(), owner),
            keys => self.core.row_locks.release_keys(owner, keys),
        }
        // Looked at afterwards: a leader that hands its locks over has ended to serve before it looks for them.
        match self.core.replication.serving_term() {
            Some(_) => Ok(()),
            None => Err(self.core.not_serving()),
        }
    }

    /// Gives up a lock request: its waits end, and what it alone was granted goes back.
    ///
    /// # Errors
    /// `NotServing` when this replica does not lead: the request may be on its way to the next leader.
    pub fn cancel_lock(&self, cancel: &LockCancel) -> Result<()> {
        self.core.row_locks.cancel(cancel.owner, cancel.number, &cancel.keys);
        match self.core.replication.serving_term() {
            Some(_) => Ok(()),
            None => Err(self.core.not_serving()),
        }
    }

    /// The row locks of a leadership that has just ended to serve, and how many more there are than a handover carries.
    /// For the next leader of this shard, or of those that come in its place.
    pub fn locks_to_hand_over(&self, term: u64) -> (Vec<HeldLock>, usize) {
        match self.core.has_loaded(term) {
            true => self.core.row_locks.held_of(self.id()),
            false => (Vec::new(), 0),
        }
    }

    /// Keeps row locks that the leader of `term` hands over until this replica leads. Answers how many it keeps.
    pub fn keep_locks_aside(&self, term: u64, locks: Vec<HeldLock>) -> usize {
        self.core.row_locks.keep_aside(self.id(), term, locks)
    }

    /// Takes in the row locks that were kept aside, unless a request has had that done already.
    ///
    /// # Errors
    /// `NotServing` when this replica does not lead yet; `Engine`.
    pub async fn take_in_locks(&self) -> Result<()> {
        let tenure = self.core.tenure().await?;
        // Those that came after it had begun.
        self.core.row_locks.take_in(self.id(), tenure.term);
        Ok(())
    }

    /// Forgets the row locks of a leadership that was given away; who waits for one asks elsewhere.
    pub async fn forget_locks(&self, term: u64) {
        // A later leadership may be about to begin here.
        let _loading = self.core.loading.lock().await;
        if self.core.has_loaded(term) {
            self.core.row_locks.reset(self.id());
        }
    }

    /// Runs a write; `Ok` after it is replicated and applied here. `slots` as for a read.
    ///
    /// # Errors
    /// `OutcomeUnknown` when it may or may not happen later. After any other error nothing was executed.
    pub async fn write(&self, slots: SlotRange, request: WriteRequest) -> Result<WriteResponse> {
        match request {
            WriteRequest::FinishAll { start_ts, primary, commit_ts } => {
                self.core.row_locks.forget_large(start_ts);
                let ended = Ended { start_ts, primary, commit_ts };
                finisher::finish_all(&self.core, &self.proposer, slots, ended).await
            }
            request => {
                if let WriteRequest::Prewrite {
                    start_ts, owner: Some(owner), round: Some(_), ..
                } = &request
                {
                    self.core.row_locks.note_large(*start_ts, *owner);
                }
                self.proposer.write(slots, request).await
            }
        }
    }
}

impl Core {
    /// The tenure of the term that serves now, if its memory is loaded. Never waits.
    fn serving_tenure(&self) -> Option<Arc<Tenure>> {
        let term = self.replication.serving_term()?;
        self.tenure.read().as_ref().filter(|tenure| tenure.term == term).cloned()
    }

    /// The tenure of the term that serves now; asks a quorum and loads memory when needed.
    async fn tenure(&self) -> Result<Arc<Tenure>> {
        if let Some(tenure) = self.serving_tenure() {
            return Ok(tenure);
        }
        let Some(term) = self.confirmed_term().await else { return Err(self.not_serving()) };
        let _loading = self.loading.lock().await;
        if let Some(tenure) = self.tenure.read().as_ref().filter(|tenure| tenure.term == term) {
            return Ok(tenure.clone());
        }
        let tenure =
            Tenure::load((self.replication.shard(), term), &*self.engine, self.row_locks.clone())?;
        let tenure = Arc::new(tenure);
        // Entries of a later leader may have been applied during the scan.
        if self.confirmed_term().await != Some(term) {
            return Err(self.not_serving());
        }
        self.row_locks.reset(self.replication.shard());
        self.row_locks.take_in(self.replication.shard(), term);
        *self.tenure.write() = Some(tenure.clone());
        Ok(tenure)
    }

    /// Replicates a command of this leadership, noting what it changes.
    async fn replicate(
        &self,
        tenure: &Tenure,
        command: Bytes,
    ) -> std::result::Result<(), ReplicateError> {
        let number = tenure.changes.begin(&command);
        let outcome = self.replication.replicate(tenure.term, command).await;
        tenure.changes.end(number, &outcome);
        outcome
    }

    /// The answer to a split or merge that cannot go on now; nothing was executed.
    fn refused(&self, why: &str) -> Error {
        Error::Unavailable { shard: self.replication.shard(), what: why.to_string() }
    }

    /// Whether the memory is that of a term, whether it still serves or not.
    fn has_loaded(&self, term: u64) -> bool {
        self.tenure.read().as_ref().is_some_and(|tenure| tenure.term == term)
    }

    /// Whether this replica still serves in the term of a tenure.
    async fn still_serves(&self, tenure: &Tenure) -> bool {
        self.confirmed_term().await == Some(tenure.term)
    }

    /// The serving term; asks a quorum when the lease is merely old.
    async fn confirmed_term(&self) -> Option<u64> {
        match self.replication.serving_term() {
            Some(term) => Some(term),
            None => self.replication.confirm_term().await,
        }
    }

    /// The answer of a replica that does not lead.
    fn not_serving(&self) -> Error {
        Error::NotServing { shard: self.replication.shard(), leader: self.replication.leader() }
    }
}
