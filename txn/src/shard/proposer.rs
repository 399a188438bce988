//! The way of writes: many requests, one entry.
//!
//! A write takes its latches and joins the queue. A worker takes what is queued, fetches one range of
//! commit timestamps, evaluates each request and replicates the sum. While `PROPOSER_ENTRIES_IN_FLIGHT`
//! entries are under way, writes gather for the next one: when idle an entry leaves at once, under load
//! entries grow. Workers exist only while there is work.
//!
//! ```text
//!  request: waiting for latches ─► queued ─► claimed ─► replicated ─► answered
//!               └──── gave up in time ──┘       └─ gave up: OutcomeUnknown
//!                     (nothing executed)
//! ```
//!
//! Invariants:
//! 1. Latches drop only when the outcome is known, or the term is over.
//! 2. The lock table changes before latches drop and before anyone is answered.

use super::Core;
use super::evaluate::{Evaluation, Evaluator};
use super::finisher::{self, Ended};
use super::tenure::{Tenure, own_latch};
use crate::command::{KeyWrite, TxnStatus, WriteRequest, WriteResponse};
use crate::defect;
use crate::latch::{Guard, Latches, Visibility};
use crate::load::LoadKind;
use crate::lock_table::LockChange;
use crate::replication::ReplicateError;
use crate::{Error, Oracle, Result};
use base::{SlotRange, Timestamp, limits};
use bytes::Bytes;
use engine::mvcc::{self, SafePoints};
use engine::{Mutation, WriteBatch};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};

/// A shard's proposer.
pub(super) struct Proposer {
    /// Engine, replication, tenure.
    core: Arc<Core>,
    /// Commit timestamps.
    oracle: Arc<dyn Oracle>,
    /// Writes that hold or wait for nothing but their turn.
    queue: Mutex<Queue>,
    /// Bytes of commands that may still be admitted.
    bytes: Arc<Semaphore>,
}

/// Writes that wait for the next entry.
#[derive(Default)]
struct Queue {
    /// In order of arrival.
    waiting: VecDeque<Task>,
    /// Workers alive: entries in flight.
    workers: usize,
}

/// What a task does.
enum Work {
    /// A coordinator's write.
    Write(WriteRequest),
    /// Drops versions that nobody may read any more.
    Collect {
        /// Keys that have some.
        keys: Vec<Bytes>,
        /// The earliest read points from now on.
        safe_points: SafePoints,
        /// Whether the keys are a dropped table's: then all of their versions.
        all: bool,
    },
    /// Refuses new locks of transactions that began before a point, for good.
    RaiseLockFloor {
        /// The point.
        floor: Timestamp,
    },
    /// Drops transaction records.
    DropRecords {
        /// Primary and start timestamp of each.
        records: Vec<(Bytes, Timestamp)>,
    },
    /// Forgets a large transaction that has no locks here any more, as far as the shard's slots went when `merges` was the
    /// last merge that was over.
    Forget {
        /// The transaction.
        start_ts: Timestamp,
        /// The merge.
        merges: u64,
    },
    /// Drops what is left of keys of other slots.
    DropForeign {
        /// The keys.
        keys: Vec<Bytes>,
    },
    /// Notes that nothing is left of keys outside of these slots.
    ForgetForeign {
        /// The slots.
        bounds: SlotRange,
        /// The last merge that was over before they were looked for.
        merges: u64,
    },
}

/// An admitted write.
struct Task {
    /// The leadership it is latched under.
    tenure: Arc<Tenure>,
    /// The slots that it is for; `None` for the shard's own work.
    slots: Option<SlotRange>,
    /// What to do.
    work: Work,
    /// Latches of its keys, granted.
    guard: Guard,
    /// Its share of the bytes in flight; given back when the task ends.
    _bytes: OwnedSemaphorePermit,
    /// Set by whoever decides first: the worker that executes it or the caller that gives up.
    claimed: Arc<AtomicBool>,
    /// The caller.
    answer: oneshot::Sender<Result<WriteResponse>>,
}

/// Evaluated writes that share an entry.
#[derive(Default)]
struct Entry {
    /// The sum of their changes.
    batch: WriteBatch,
    /// The sum of their lock changes.
    locks: Vec<LockChange>,
    /// The writes with the answers they get when the batch is applied.
    writes: Vec<(Task, WriteResponse)>,
}

impl Proposer {
    /// A proposer with an empty queue.
    pub(super) fn new(core: Arc<Core>, oracle: Arc<dyn Oracle>) -> Arc<Proposer> {
        let bytes = Arc::new(Semaphore::new(limits::PROPOSER_BYTES_MAX));
        Arc::new(Proposer { core, oracle, queue: Mutex::default(), bytes })
    }

    /// Runs a write to its answer, or until `PROPOSE_WAIT_MAX` is over.
    pub(super) async fn write(
        self: &Arc<Self>,
        slots: SlotRange,
        request: WriteRequest,
    ) -> Result<WriteResponse> {
        self.run(Some(slots), Work::Write(request)).await
    }

    /// The same for a write that the shard makes itself.
    pub(super) async fn write_own(
        self: &Arc<Self>,
        request: WriteRequest,
    ) -> Result<WriteResponse> {
        self.run(None, Work::Write(request)).await
    }

    /// Drops dead versions of some keys, or `all` of dropped tables' keys, at most `COLLECT_VERSIONS_MAX`, and refuses reads
    /// before `safe_points` from now on. Returns how many were dropped.
    pub(super) async fn collect(
        self: &Arc<Self>,
        keys: Vec<Bytes>,
        safe_points: SafePoints,
        all: bool,
    ) -> Result<u64> {
        Ok(counted(self.run(None, Work::Collect { keys, safe_points, all }).await?))
    }

    /// Refuses new locks of transactions that began before `floor`: from now on, and under every later leader.
    pub(super) async fn raise_lock_floor(
        self: &Arc<Self>,
        slots: SlotRange,
        floor: Timestamp,
    ) -> Result<()> {
        let serving = self.core.serving_tenure();
        if serving.is_some_and(|tenure| tenure.lock_floor() >= floor) {
            return Ok(());
        }
        self.run(Some(slots), Work::RaiseLockFloor { floor }).await.map(|_| ())
    }

    /// Drops transaction records and returns how many.
    pub(super) async fn drop_records(
        self: &Arc<Self>,
        records: Vec<(Bytes, Timestamp)>,
    ) -> Result<u64> {
        Ok(counted(self.run(None, Work::DropRecords { records }).await?))
    }

    /// Forgets a large transaction that has no locks here any more; `Moved` when a merge is over that is later than `merges`.
    pub(super) async fn forget(self: &Arc<Self>, start_ts: Timestamp, merges: u64) -> Result<()> {
        self.run(None, Work::Forget { start_ts, merges }).await.map(|_| ())
    }

    /// Drops what is left of foreign keys, at most `COLLECT_VERSIONS_MAX` versions and locks. Returns how many.
    pub(super) async fn drop_foreign(self: &Arc<Self>, keys: Vec<Bytes>) -> Result<u64> {
        Ok(counted(self.run(None, Work::DropForeign { keys }).await?))
    }

    /// Notes that nothing is left of keys outside of these slots, unless a merge came in between.
    pub(super) async fn forget_foreign(
        self: &Arc<Self>,
        bounds: SlotRange,
        merges: u64,
    ) -> Result<()> {
        self.run(None, Work::ForgetForeign { bounds, merges }).await.map(|_| ())
    }

    async fn run(self: &Arc<Self>, slots: Option<SlotRange>, work: Work) -> Result<WriteResponse> {
        let shard = self.core.replication.shard();
        let bytes = weight(&work);
        if bytes > limits::ENTRY_BYTES_MAX {
            let limit = limits::ENTRY_BYTES_MAX;
            let what = format!("a command of {bytes} bytes exceeds the limit of {limit} bytes");
            return Err(Error::TooLarge { what });
        }
        let claimed = Arc::new(AtomicBool::new(false));
        let admitted = async {
            let (answer, outcome) = oneshot::channel();
            let task = self.admit((slots, work), bytes as u32, claimed.clone(), answer).await?;
            self.enqueue(task)?;
            // Silence means that the worker is gone, and the write may be under way.
            outcome.await.unwrap_or(Err(Error::OutcomeUnknown { shard }))
        };
        match timeout(limits::PROPOSE_WAIT_MAX, admitted).await {
            Ok(outcome) => outcome,
            Err(_) if claimed.swap(true, Ordering::SeqCst) => Err(Error::OutcomeUnknown { shard }),
            Err(_) => Err(self.busy("earlier writes have found no quorum in time")),
        }
    }

    /// Waits for a share of the bytes in flight and for the latches.
    async fn admit(
        &self,
        (slots, work): (Option<SlotRange>, Work),
        bytes: u32,
        claimed: Arc<AtomicBool>,
        answer: oneshot::Sender<Result<WriteResponse>>,
    ) -> Result<Task> {
        let tenure = self.core.tenure().await?;
        check(&tenure, slots)?;
        // After the look at the tenure: a node that does not lead says that, and not how its disk does.
        if begins(&work)
            && let Some(what) = self.core.replication.refuses_writes()
        {
            return Err(Error::DiskFull { what });
        }
        let permit = match self.bytes.clone().acquire_many_owned(bytes).await {
            Ok(permit) => permit,
            Err(_) => return Err(self.busy("the shard is closing")),
        };
        let guard = match defect::active("latches-of-nobody") {
            true => Arc::<Latches>::default().enqueue(keys(&work), visibility(&work)),
            false => tenure.latches.enqueue(keys(&work), visibility(&work)),
        };
        if !guard.is_granted() {
            guard.granted().await;
        }
        Ok(Task { tenure, slots, work, guard, _bytes: permit, claimed, answer })
    }

    /// Hands a write to a worker.
    fn enqueue(self: &Arc<Self>, task: Task) -> Result<()> {
        let mut queue = self.queue.lock();
        if queue.waiting.len() >= limits::PROPOSER_QUEUE_MAX {
            return Err(self.busy("too many writes wait for their turn"));
        }
        queue.waiting.push_back(task);
        if queue.workers < limits::PROPOSER_ENTRIES_IN_FLIGHT {
            queue.workers += 1;
            tokio::spawn(self.clone().work());
        }
        Ok(())
    }

    /// A worker: proposes until nothing is queued.
    async fn work(self: Arc<Self>) {
        loop {
            let tasks = {
                let mut queue = self.queue.lock();
                if queue.waiting.is_empty() {
                    queue.workers -= 1;
                    return;
                }
                let count = queue.waiting.len().min(limits::PROPOSER_BATCH_MAX);
                queue.waiting.drain(..count).collect()
            };
            self.propose(tasks).await;
        }
    }

    /// Evaluates and replicates some writes, and answers each.
    async fn propose(self: &Arc<Self>, tasks: Vec<Task>) {
        let tenure = match self.core.tenure().await {
            Ok(tenure) => tenure,
            Err(error) => return refuse(tasks, &error),
        };
        // Latches of a past tenure keep nobody out any more.
        let (tasks, stale): (Vec<_>, Vec<_>) =
            tasks.into_iter().partition(|task| Arc::ptr_eq(&task.tenure, &tenure));
        refuse(stale, &self.core.not_serving());
        let (tasks, first_ts) = self.with_timestamps(tasks).await;
        let (entries, unchanged) = self.evaluate(&tenure, tasks, first_ts);
        // What was read counts only if no other leader could write meanwhile.
        if !self.core.still_serves(&tenure).await {
            let writes = entries.into_iter().flat_map(|entry| entry.writes);
            let tasks = writes.map(|(task, _)| task).chain(unchanged.into_iter().map(|(t, _)| t));
            return refuse(tasks.collect(), &self.core.not_serving());
        }
        for (task, outcome) in unchanged {
            if let Ok(response) = &outcome {
                self.finish_the_others(&tenure, &task.work, response);
            }
            task.end(outcome);
        }
        let entries = entries.into_iter().map(|entry| self.replicate(&tenure, entry));
        futures::future::join_all(entries).await;
    }

    /// Fetches commit timestamps for the writes that need one: the first of a consecutive range.
    async fn with_timestamps(&self, tasks: Vec<Task>) -> (Vec<Task>, Timestamp) {
        let asks = |task: &Task| task.work.needs_timestamp();
        let count = tasks.iter().filter(|task| asks(task)).count();
        if count == 0 {
            return (tasks, Timestamp::ZERO);
        }
        tasks.iter().filter(|task| task.work.commits()).for_each(|task| task.guard.asks());
        match self.oracle.timestamps(count as u32).await {
            Ok(first) => (tasks, first),
            Err(error) => {
                let (failed, others) = tasks.into_iter().partition(asks);
                refuse(failed, &error);
                (others, Timestamp::ZERO)
            }
        }
    }

    /// Evaluates writes: what goes into entries, and what is decided without a change.
    fn evaluate(
        &self,
        tenure: &Tenure,
        tasks: Vec<Task>,
        first_ts: Timestamp,
    ) -> (Vec<Entry>, Vec<(Task, Result<WriteResponse>)>) {
        let _timed = self.core.load.timed(LoadKind::Writes);
        let mut entries: Vec<Entry> = Vec::new();
        let mut unchanged = Vec::new();
        let mut next_ts = first_ts;
        let locks = tenure.locks.read();
        let safe_points = tenure.safe_points();
        let evaluator = Evaluator {
            engine: &*self.core.engine,
            locks: &locks,
            row_locks: &tenure.row_locks,
            safe_points: &safe_points,
            lock_floor: tenure.lock_floor(),
            refused_until: &tenure.refused_until,
        };
        for task in tasks {
            let commit_ts = next_ts;
            if task.work.needs_timestamp() {
                next_ts = next_ts.next();
            }
            if task.work.commits() {
                task.guard.stamp(match &task.work {
                    Work::Write(WriteRequest::Prewrite { .. })
                        if defect::active("async-prewrite-unseen") =>
                    {
                        Timestamp::MAX
                    }
                    _ => commit_ts,
                });
            }
            // Nobody waits for a write whose caller gave up; it was told that nothing happened.
            if task.claimed.swap(true, Ordering::SeqCst) {
                continue;
            }
            // Looked at while the latches are held, for which splits and merges wait.
            let evaluated = check(tenure, task.slots).and_then(|()| match &task.work {
                Work::Write(request) => {
                    self.core.load.wrote(request);
                    evaluator.evaluate(request, commit_ts)
                }
                Work::Collect { keys, safe_points, all } => {
                    let safe_points = tenure.raise_safe_points(safe_points);
                    evaluator.collect(keys, &safe_points, *all)
                }
                Work::RaiseLockFloor { floor } => evaluator.raise_lock_floor(*floor),
                Work::DropRecords { records } => Ok(evaluator.drop_records(records)),
                Work::Forget { start_ts, merges } => {
                    match mvcc::merge_state(&*self.core.engine)?.over == *merges {
                        true => Ok(evaluator.forget(*start_ts)),
                        // Locks have come that were not looked at.
                        false => Err(Error::Moved { shard: tenure.shard }),
                    }
                }
                Work::DropForeign { keys } => evaluator.drop_foreign(keys, tenure.expected()),
                Work::ForgetForeign { bounds, merges } => {
                    let state = mvcc::merge_state(&*self.core.engine)?;
                    let is_as_before = state.part.is_none() && state.over == *merges;
                    let unchanged = is_as_before && tenure.bounds() == Some(*bounds);
                    Ok(evaluator.forget_foreign(unchanged))
                }
            });
            match evaluated {
                Ok(done) if done.batch.is_empty() => unchanged.push((task, Ok(done.response))),
                Ok(done) => add(&mut entries, task, done),
                Err(error) => unchanged.push((task, Err(error))),
            }
        }
        (entries, unchanged)
    }

    /// Replicates an entry and answers its writes.
    async fn replicate(self: &Arc<Self>, tenure: &Arc<Tenure>, entry: Entry) {
        let Entry { batch, locks, writes } = entry;
        let command = mvcc::encode_batch(&batch);
        drop(batch);
        match self.core.replicate(tenure, command).await {
            Ok(()) => {
                tenure.change_locks(locks);
                for (task, response) in writes {
                    self.finish_the_others(tenure, &task.work, &response);
                    task.end(Ok(response));
                }
            }
            Err(ReplicateError::NotLeader) => {
                refuse(
                    writes.into_iter().map(|(task, _)| task).collect(),
                    &self.core.not_serving(),
                );
            }
            Err(ReplicateError::Unknown) => {
                let shard = self.core.replication.shard();
                tracing::warn!(%shard, term = tenure.term, writes = writes.len(),
                    "the outcome of an entry is unknown");
                let guards = writes
                    .into_iter()
                    .map(|(task, _)| {
                        let Task { guard, answer, .. } = task;
                        // A caller that went away needs no answer.
                        let _ = answer.send(Err(Error::OutcomeUnknown { shard }));
                        guard
                    })
                    .collect();
                tokio::spawn(settle(self.core.clone(), tenure.clone(), guards));
            }
        }
    }

    /// When a large transaction turns out to be decided, or somebody has finished a lock of it, its other locks are
    /// finished as well.
    fn finish_the_others(
        self: &Arc<Self>,
        tenure: &Arc<Tenure>,
        work: &Work,
        response: &WriteResponse,
    ) {
        let Work::Write(request) = work else { return };
        let (start_ts, commit_ts) = match (request, response) {
            (
                WriteRequest::Commit { start_ts, .. }
                | WriteRequest::Decide { start_ts, .. }
                | WriteRequest::CheckStatus { start_ts, .. },
                WriteResponse::Status(TxnStatus::Committed { commit_ts }),
            )
            | (WriteRequest::Decide { start_ts, .. }, WriteResponse::Done { commit_ts })
            | (WriteRequest::Commit { start_ts, commit_ts, .. }, WriteResponse::Done { .. }) => {
                (*start_ts, Some(*commit_ts))
            }
            (WriteRequest::Rollback { start_ts, .. }, WriteResponse::Done { .. })
            | (
                WriteRequest::CheckStatus { start_ts, .. },
                WriteResponse::Status(TxnStatus::RolledBack),
            ) => (*start_ts, None),
            _ => return,
        };
        let primary = tenure.locks.read().large().get(&start_ts).cloned();
        if let Some(primary) = primary {
            let ended = Ended { start_ts, primary, commit_ts };
            finisher::start(&self.core, self, tenure.clone(), ended);
        }
    }

    /// The error for a write that was not begun.
    fn busy(&self, why: &str) -> Error {
        let what = format!("{why}; nothing was executed");
        Error::Unavailable { shard: self.core.replication.shard(), what }
    }
}

impl Task {
    /// Drops the latches, then answers: the caller's next write finds them free.
    fn end(self, outcome: Result<WriteResponse>) {
        let Task { tenure, work, guard, answer, .. } = self;
        drop(guard);
        match work {
            Work::Write(WriteRequest::CommitNow { owner: Some(owner), .. }) if outcome.is_ok() => {
                tenure.row_locks.release(tenure.shard, owner);
            }
            // Now that it is applied, answers may rest on it.
            Work::RaiseLockFloor { floor } if outcome.is_ok() => tenure.raise_lock_floor(floor),
            // The replicated locks keep others away from now on, and they can be finished by whoever meets them as
            // soon as the transaction is decided.
            Work::Write(WriteRequest::Prewrite { owner: Some(owner), writes, .. })
                if outcome.is_ok() =>
            {
                let keys: Vec<Bytes> = writes.into_iter().map(|write| write.key).collect();
                tenure.row_locks.release_keys(owner, &keys);
            }
            _ => {}
        }
        // A caller that went away needs no answer.
        let _ = answer.send(outcome);
    }
}

/// Holds latches until it is known whether their batch was applied.
///
/// A later entry of the same term that is applied proves it: the log is in order, so the batch was applied
/// before it or is in no log. A term that is over proves that it no longer matters here: the next
/// tenure starts from what is applied by then.
async fn settle(core: Arc<Core>, tenure: Arc<Tenure>, guards: Vec<Guard>) {
    loop {
        match core.replicate(&tenure, mvcc::encode_batch(&WriteBatch::new())).await {
            Ok(()) => {
                let mut reloads =
                    guards.iter().map(|guard| tenure.reload_locks(&*core.engine, guard.keys()));
                match reloads.find_map(std::result::Result::err) {
                    None => return,
                    Some(error) => {
                        tracing::error!(shard = %core.replication.shard(), %error,
                            "cannot read locks; their keys stay closed in this term");
                    }
                }
            }
            Err(ReplicateError::NotLeader) => return,
            Err(ReplicateError::Unknown) => {}
        }
        sleep(limits::OUTCOME_RETRY_PAUSE).await;
    }
}

/// `Moved` unless the shard serves who asks for these slots; without slots, its own work.
fn check(tenure: &Tenure, slots: Option<SlotRange>) -> Result<()> {
    match slots {
        Some(slots) => tenure.check_slots(slots).map(|_| ()),
        None => tenure.check_open(),
    }
}

/// Answers all with the same error: nothing of them was executed.
fn refuse(tasks: Vec<Task>, error: &Error) {
    for task in tasks {
        task.end(Err(error.clone()));
    }
}

/// Adds an evaluated write to the last entry, or to a new one when that is full.
fn add(entries: &mut Vec<Entry>, task: Task, done: Evaluation) {
    let Evaluation { response, batch, locks } = done;
    match entries.last_mut() {
        Some(entry) if size(&entry.batch) + size(&batch) <= limits::ENTRY_BYTES_TARGET => {
            for mutation in batch.into_mutations() {
                match mutation {
                    Mutation::Put { key, value } => entry.batch.put(key, value),
                    Mutation::Delete { key } => entry.batch.delete(key),
                }
            }
            entry.locks.extend(locks);
            entry.writes.push((task, response));
        }
        _ => entries.push(Entry { batch, locks, writes: vec![(task, response)] }),
    }
}

/// How many were dropped.
fn counted(response: WriteResponse) -> u64 {
    match response {
        WriteResponse::Counter(dropped) => dropped,
        WriteResponse::Done { .. } | WriteResponse::Status(_) => 0,
    }
}

/// What a batch costs in an entry, bytes.
fn size(batch: &WriteBatch) -> usize {
    batch.bytes() + batch.len() * limits::WRITE_OVERHEAD_BYTES
}

impl Work {
    /// Whether it needs a timestamp: to commit at, or to know what time it is.
    fn needs_timestamp(&self) -> bool {
        self.commits() || matches!(self, Work::Write(WriteRequest::SettleNow { .. }))
    }

    /// Whether it commits, or may.
    fn commits(&self) -> bool {
        matches!(
            self,
            Work::Write(
                WriteRequest::CommitNow { .. }
                    | WriteRequest::Prewrite { secondaries: Some(_), .. }
                    | WriteRequest::Decide { .. }
            )
        )
    }
}

/// The keys a request reads or changes.
fn keys(work: &Work) -> Vec<Bytes> {
    let request = match work {
        Work::Write(request) => request,
        Work::DropForeign { keys } => return keys.clone(),
        // The safe points are written with each step.
        Work::Collect { keys, .. } => return keys.iter().cloned().chain([own_latch()]).collect(),
        // One at a time raises the floor, so it never falls; splits and merges wait for whoever forgets something.
        Work::RaiseLockFloor { .. } | Work::ForgetForeign { .. } | Work::Forget { .. } => {
            return vec![own_latch()];
        }
        // Nobody reads or writes a record that may go.
        Work::DropRecords { .. } => return Vec::new(),
    };
    match request {
        WriteRequest::CommitNow { writes, .. } | WriteRequest::Prewrite { writes, .. } => {
            writes.iter().map(|write| write.key.clone()).collect()
        }
        WriteRequest::Commit { keys, kept, .. } => keys.iter().chain(kept).cloned().collect(),
        WriteRequest::Rollback { keys, .. }
        | WriteRequest::CheckLocks { keys, .. }
        | WriteRequest::LookAtLocks { keys, .. } => keys.clone(),
        WriteRequest::CheckStatus { primary, .. }
        | WriteRequest::SettleNow { primary, .. }
        | WriteRequest::Heartbeat { primary, .. }
        | WriteRequest::Decide { primary, .. }
        | WriteRequest::FinishAll { primary, .. } => vec![primary.clone()],
        WriteRequest::Bump { key, .. } => vec![key.clone()],
    }
}

/// Whether a request begins something. The others end what was begun, or free what it holds.
fn begins(work: &Work) -> bool {
    let Work::Write(request) = work else { return false };
    match request {
        WriteRequest::CommitNow { .. }
        | WriteRequest::Prewrite { .. }
        | WriteRequest::Bump { .. } => true,
        WriteRequest::Commit { .. }
        | WriteRequest::Rollback { .. }
        | WriteRequest::CheckStatus { .. }
        | WriteRequest::CheckLocks { .. }
        | WriteRequest::LookAtLocks { .. }
        | WriteRequest::SettleNow { .. }
        | WriteRequest::Decide { .. }
        | WriteRequest::FinishAll { .. }
        | WriteRequest::Heartbeat { .. } => false,
    }
}

/// From which read point on readers must wait for a request.
fn visibility(work: &Work) -> Visibility {
    let Work::Write(request) = work else { return Visibility::Never };
    match request {
        WriteRequest::CommitNow { .. } | WriteRequest::Decide { .. } => Visibility::AtStamp,
        // The transaction may be committed with this entry.
        WriteRequest::Prewrite { secondaries: Some(_), .. } => Visibility::AtStamp,
        WriteRequest::Commit { commit_ts, .. } => Visibility::From(*commit_ts),
        WriteRequest::Prewrite { .. }
        | WriteRequest::Rollback { .. }
        | WriteRequest::CheckStatus { .. }
        | WriteRequest::CheckLocks { .. }
        | WriteRequest::LookAtLocks { .. }
        | WriteRequest::SettleNow { .. }
        | WriteRequest::FinishAll { .. }
        | WriteRequest::Heartbeat { .. }
        | WriteRequest::Bump { .. } => Visibility::Never,
    }
}

/// What a request costs in an entry, bytes.
fn weight(work: &Work) -> usize {
    let keys_only = || keys(work).iter().map(|key| key.len() + limits::WRITE_OVERHEAD_BYTES).sum();
    let request = match work {
        Work::Write(request) => request,
        Work::Collect { .. }
        | Work::RaiseLockFloor { .. }
        | Work::Forget { .. }
        | Work::DropForeign { .. }
        | Work::ForgetForeign { .. } => return keys_only(),
        Work::DropRecords { records } => {
            let one =
                |(primary, _): &(Bytes, Timestamp)| primary.len() + limits::WRITE_OVERHEAD_BYTES;
            return records.iter().map(one).sum();
        }
    };
    let one = |write: &KeyWrite| write.key.len() + write.change.bytes();
    let bytes: usize = match request {
        WriteRequest::CommitNow { writes, .. } | WriteRequest::Prewrite { writes, .. } => {
            writes.iter().map(|write| one(write) + limits::WRITE_OVERHEAD_BYTES).sum()
        }
        WriteRequest::CheckLocks { .. }
        | WriteRequest::LookAtLocks { .. }
        | WriteRequest::Commit { .. }
        | WriteRequest::Rollback { .. }
        | WriteRequest::CheckStatus { .. }
        | WriteRequest::SettleNow { .. }
        | WriteRequest::Decide { .. }
        | WriteRequest::FinishAll { .. }
        | WriteRequest::Heartbeat { .. }
        | WriteRequest::Bump { .. } => keys_only(),
    };
    bytes.max(1)
}
