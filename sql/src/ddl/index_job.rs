//! Working on a job that adds and drops indexes, or changes a sharding key.
//!
//! ```text
//! record and definition ──> every node knows it ──> nobody uses the table as it was before ──> next (`index_steps`)
//!        ▲                                                                                        │
//!        └────────── step: one schema change │ batch: one transaction (`index_fill`) ◄────────────┘
//! ```
//!
//! The node whose session began the job works on it, in a task of its own: neither the statement nor its connection has to
//! live. When that node is gone, another one takes the job over (`watch`): all that matters is in the record and in the
//! definition, and every step can be asked for again.
//!
//! Between two steps the job waits for statements, open transactions, results and prepared XA transactions that have used the
//! table before the last step; newer ones come and go. Nobody waits for the job. A node that does not say what it uses is
//! passed after `TABLE_LOCK_SILENCE_MAX`: its commits compare definitions, and those of two steps ago are refused (1213).
//! Before new indexes are filled there is one more such step then, for a writer of the state before must not come later. Once
//! rows have entries the record tells that all this is done: whoever takes the job over goes on filling at once.
//!
//! ```text
//! node gone ─ the meta shard's leader, if it was there ─ INDEX_JOBS_WATCH ─ LOCK_OWNER_SILENCE_MAX ─> taken over, filling
//!                                                                                   └─ other states: TABLE_LOCK_SILENCE_MAX ─>
//! ```
//!
//! Not here: what a statement asks for and waits for (`indexes`).

use super::index_fill::{self, Batch};
use super::index_steps::{self, Next};
use super::rekey_steps;
use crate::catalog::index_jobs::{self, IndexJob, JobOutcome, Wish};
use crate::catalog::store::SchemaChange;
use crate::catalog::{Rebuild, TableDef};
use crate::instance::{Instance, TableWanted};
use crate::session::xa;
use crate::silence::OwnerState;
use crate::{Error, Result};
use base::limits::{
    INDEX_BATCH_PAUSE, INDEX_BATCH_ROWS, INDEX_JOB_LOOK, INDEX_JOB_RETRY_PAUSE, INDEX_JOBS_KEPT,
    LOCK_OWNER_SILENCE_MAX, TABLE_LOCK_LOOK_MAX, TABLE_LOCK_LOOK_MIN, TABLE_LOCK_SILENCE_MAX,
};
use base::{NodeId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use txn::command::LockOwner;
use txn::lock_owners::OwnerGuard;

/// Works on a job that names this owner, until nothing is left or somebody else has it.
pub(super) fn start(instance: &Arc<Instance>, id: u64, guard: OwnerGuard) {
    let worker = Worker {
        instance: instance.clone(),
        id,
        guard,
        users: Users::default(),
        batch_rows: INDEX_BATCH_ROWS,
        pause: TABLE_LOCK_LOOK_MIN,
    };
    instance.config.client.spawn(Box::pin(worker.run()));
}

/// Tells statements of this node that jobs have an outcome.
#[derive(Debug)]
pub(crate) struct JobSignal(watch::Sender<()>);

impl Default for JobSignal {
    fn default() -> JobSignal {
        JobSignal(watch::channel(()).0)
    }
}

impl JobSignal {
    /// Some job has an outcome.
    fn tell(&self) {
        self.0.send_replace(());
    }

    /// For who waits for that.
    pub(super) fn hear(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Takes over jobs whose nodes are gone, and forgets jobs that ended long ago.
///
/// # Errors
/// 9001 and the like: the next look tries again.
pub(crate) async fn watch(instance: &Arc<Instance>) -> Result<()> {
    let client = &instance.config.client;
    let jobs = index_jobs::all(client).await?;
    for job in jobs.iter().filter(|job| !job.is_over) {
        let is_gone = match instance.owner_state(job.owner).await {
            OwnerState::Lives => false,
            OwnerState::Gone => true,
            OwnerState::Silent(known) => known >= LOCK_OWNER_SILENCE_MAX,
        };
        if is_gone {
            take_over(instance, job).await?;
        }
    }
    let over = jobs.iter().filter(|job| job.is_over).count();
    if over > INDEX_JOBS_KEPT {
        let mut change = SchemaChange::begin(client).await?;
        let ended: Vec<u64> =
            change.index_jobs.iter().filter(|job| job.is_over).map(|job| job.id).collect();
        let old = ended.len().saturating_sub(INDEX_JOBS_KEPT);
        ended[..old].iter().try_for_each(|id| change.forget_index_job(*id))?;
        change.commit().await?;
    }
    Ok(())
}

/// Lets a job go on, wait, or take back what it has done; a sentence for people when it does not.
///
/// # Errors
/// 9001 and the like: nothing is known of the job now.
pub(crate) async fn ask(
    instance: &Instance,
    id: u64,
    wish: Wish,
) -> Result<std::result::Result<(), &'static str>> {
    let catalog = instance.catalog.current().await?;
    let mut answer = Err("there is no such job");
    index_jobs::change(&instance.config.client, id, |job| {
        let table = catalog.table_by_id(job.table);
        answer = if job.outcome != JobOutcome::Open {
            Err("it has ended")
        } else if job.wish == Wish::Cancel {
            Err("it is being taken back")
        } else if table.is_some_and(|table| index_steps::is_past_return(table, job)) {
            Err("it is dropping what was before already, and ends soon")
        } else {
            Ok(())
        };
        if answer.is_ok() {
            job.wish = wish;
        }
        answer.is_ok()
    })
    .await?;
    Ok(answer)
}

async fn take_over(instance: &Arc<Instance>, job: &IndexJob) -> Result<()> {
    let client = &instance.config.client;
    let (before, guard) = (job.owner, client.lock_owners().begin());
    let owner = guard.owner();
    let taken = index_jobs::change(client, job.id, |job| {
        let free = job.owner == before && !job.is_over;
        if free {
            job.owner = owner;
        }
        free
    });
    if taken.await?.is_some_and(|job| job.owner == owner) {
        start(instance, job.id, guard);
    }
    Ok(())
}

/// What a turn came to.
enum Turn {
    /// There is more to do at once.
    Again,
    /// There is more to do after a while.
    Wait(Duration),
    /// Somebody uses the table as it was before.
    Used,
    /// Nothing is left to do here.
    Over,
}

/// Who works on a job.
struct Worker {
    instance: Arc<Instance>,
    id: u64,
    guard: OwnerGuard,
    users: Users,
    /// Rows of the next batch: fewer after a conflict.
    batch_rows: usize,
    /// Pause before the next look for users, or try after a conflict.
    pause: Duration,
}

impl Worker {
    async fn run(mut self) {
        let client = self.instance.config.client.clone();
        loop {
            let turn = self.turn().await;
            let pause = match turn {
                Ok(Turn::Over) => return,
                Ok(Turn::Again) => {
                    self.pause = TABLE_LOCK_LOOK_MIN;
                    continue;
                }
                Ok(Turn::Wait(pause)) => {
                    self.pause = TABLE_LOCK_LOOK_MIN;
                    pause
                }
                Ok(Turn::Used) => self.longer_pause(),
                // Somebody changes the same rows, perhaps for long.
                Err(error) if error.code == Error::deadlock().code => {
                    self.batch_rows = (self.batch_rows / 2).max(1);
                    self.longer_pause()
                }
                // No quorum, for example: whatever was done of a step or batch is seen by the next turn.
                Err(_) => INDEX_JOB_RETRY_PAUSE,
            };
            client.pause(pause).await;
        }
    }

    fn longer_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(TABLE_LOCK_LOOK_MAX);
        pause
    }

    fn owner(&self) -> LockOwner {
        self.guard.owner()
    }

    async fn turn(&mut self) -> Result<Turn> {
        let client = self.instance.config.client.clone();
        let job = index_jobs::read(&client, self.id).await?;
        let job = job.filter(|job| job.owner == self.owner() && !job.is_over);
        let Some(job) = job else { return Ok(Turn::Over) };
        let catalog = self.instance.catalog.current().await?;
        let Some(table) = catalog.table_by_id(job.table) else {
            let is_there = catalog
                .databases()
                .flat_map(|database| catalog.tables(&database.name))
                .any(|table| table.qualified_name() == job.name);
            return self
                .end_without_table(match is_there {
                    true => Error::table_changed(),
                    false => Error::no_such_table(&job.name),
                })
                .await;
        };
        let is_settled = index_steps::is_settled(table, &job);
        if !is_settled && !self.users.are_gone(&self.instance, table, catalog.version).await? {
            return Ok(Turn::Used);
        }
        match index_steps::next(table, &job, self.now_unix()) {
            Next::Step(_) => self.step(table, false).await,
            Next::Fill if self.users.were_passed && !job.is_fenced => self.step(table, true).await,
            Next::Pause => Ok(Turn::Wait(INDEX_JOB_LOOK)),
            Next::Fill => {
                let batch = index_fill::fill(&client, table, &job, self.batch_rows).await?;
                self.after_batch(batch).await
            }
            Next::Remove => {
                let batch = index_fill::remove(&client, table, &job, self.batch_rows).await?;
                self.after_batch(batch).await
            }
            Next::Over => {
                self.change(|job| job.is_over = true).await?;
                Ok(Turn::Over)
            }
        }
    }

    fn now_unix(&self) -> u64 {
        self.instance.config.clock.unix_micros() / 1_000_000
    }

    async fn after_batch(&mut self, batch: Batch) -> Result<Turn> {
        match batch {
            Batch::Done { full } => {
                self.batch_rows = (self.batch_rows * 2).min(INDEX_BATCH_ROWS);
                Ok(if full { Turn::Wait(INDEX_BATCH_PAUSE) } else { Turn::Again })
            }
            Batch::Stale => Ok(Turn::Again),
            Batch::Refused(error) => {
                self.change(|job| {
                    job.error.get_or_insert((error.code, error.message.clone()));
                })
                .await?;
                Ok(Turn::Again)
            }
        }
    }

    /// Makes the next step of a table whose definition was this one, as a schema change.
    async fn step(&mut self, before: &TableDef, fence: bool) -> Result<Turn> {
        let mut change = SchemaChange::begin(&self.instance.config.client).await?;
        let (id, owner) = (self.id, self.owner());
        let Some(job) = change.index_jobs.iter().find(|job| job.id == id && job.owner == owner)
        else {
            return Ok(Turn::Over);
        };
        let table = change.catalog.table_by_id(job.table);
        let Some(table) = table.filter(|table| table.index_version == before.index_version) else {
            // This node does not know the newest definition yet.
            drop(change);
            self.instance.renew_catalog().await?;
            return Ok(Turn::Again);
        };
        let next = match fence {
            true => index_steps::fence(table, job),
            false => index_steps::next(table, job, self.now_unix()),
        };
        let Next::Step(made) = next else { return Ok(Turn::Again) };
        let stored = table.stored_ids();
        let (mut table, job) = *made;
        // What was filled is seen from here on.
        let read_ts = change.read_ts();
        for index in &mut table.indexes {
            if !before.indexes.iter().any(|known| known.id == index.id) {
                index.public_since = read_ts;
            }
        }
        if let Some(rebuild) = table.rebuild.as_ref().filter(|r| r.since == rekey_steps::UNKNOWN) {
            let rebuild = Rebuild { since: read_ts, ..Rebuild::clone(rebuild) };
            table.rebuild = Some(Arc::new(rebuild));
        }
        let left = table.stored_ids();
        for id in stored.into_iter().filter(|id| !left.contains(id)) {
            change.drop_layout(&table, id, self.now_unix())?;
        }
        change.put_table(&table)?;
        change.put_index_job(&job)?;
        let version = change.commit().await?;
        if job.outcome != JobOutcome::Open {
            self.instance.index_jobs.tell();
        }
        self.instance.catalog.announced(version).await?;
        Ok(Turn::Again)
    }

    /// The table was dropped, or emptied by TRUNCATE: its rows go with all their entries.
    async fn end_without_table(&mut self, error: Error) -> Result<Turn> {
        let now_unix = self.now_unix();
        self.change(|job| {
            if job.outcome == JobOutcome::Open {
                job.error.get_or_insert((error.code, error.message.clone()));
                job.outcome = JobOutcome::Failed;
                job.ended_unix = now_unix;
            }
            job.is_over = true;
        })
        .await?;
        self.instance.index_jobs.tell();
        Ok(Turn::Over)
    }

    async fn change(&self, mut plan: impl FnMut(&mut IndexJob)) -> Result<()> {
        let owner = self.owner();
        let changed = index_jobs::change(&self.instance.config.client, self.id, |job| {
            let own = job.owner == owner;
            if own {
                plan(job);
            }
            own
        });
        changed.await.map(drop)
    }
}

/// Who still uses a table as it was before the last change of its indexes.
#[derive(Default)]
struct Users {
    /// The version of the table's indexes that is looked at.
    version: Option<u64>,
    /// Nobody uses it under an older one.
    gone: bool,
    /// Nodes that do not say, since when.
    silent: BTreeMap<NodeId, Duration>,
    /// Some node never said.
    were_passed: bool,
    /// Prepared XA transactions that have written it, as they were when no session was left. Later ones know the
    /// definition.
    prepared: Option<BTreeSet<Timestamp>>,
}

impl Users {
    /// Whether no user of before is left.
    async fn are_gone(
        &mut self,
        instance: &Instance,
        table: &TableDef,
        catalog_version: u64,
    ) -> Result<bool> {
        if self.version != Some(table.index_version) {
            super::change::announce(instance, catalog_version).await;
            *self = Users { version: Some(table.index_version), ..Users::default() };
        }
        if self.gone || table.index_version == 0 {
            return Ok(true);
        }
        // A node that does not know versions looks at all users.
        let older_than = Some(table.index_version);
        let wanted = [TableWanted { table: table.id, write: true, older_than }];
        let locks = instance.catalog.table_locks().await?.version;
        let others = instance.config.cluster.announce_table_locks(locks, &wanted).await;
        let now = instance.config.clock.monotonic();
        self.silent.retain(|node, _| others.silent.contains(node));
        for node in others.silent {
            self.silent.entry(node).or_insert(now);
        }
        let asks = |since: &Duration| now < *since + TABLE_LOCK_SILENCE_MAX;
        if others.used || instance.uses_tables(&wanted) || self.silent.values().any(asks) {
            self.prepared = None;
            return Ok(false);
        }
        let prepared = xa::prepared_on(&instance.config.client, table.id).await?;
        let left: BTreeSet<Timestamp> = match self.prepared.take() {
            None => prepared,
            Some(before) => before.intersection(&prepared).copied().collect(),
        };
        self.gone = left.is_empty();
        self.prepared = Some(left);
        self.were_passed = !self.silent.is_empty();
        Ok(self.gone)
    }
}
