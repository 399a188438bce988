//! CREATE INDEX, DROP INDEX, and ALTER TABLE that adds, drops and renames indexes.
//!
//! ```text
//! statement: check ──> schema change: record of a job ──> wait for its outcome ──> every node knows ──> answer
//! job:                                   └──> states, filling (`index_job`), whoever waits or not
//! ```
//!
//! The table is used meanwhile: statements write new indexes as soon as every node knows them, and read them once they are
//! filled. A table has one such job at a time; a second statement, and one that changes the table's partitions, waits up to
//! `lock_wait_timeout`.
//!
//! KILL, of the statement or its connection, takes the job back; behind the step that makes the change the statement answers that
//! it is made. When only the connection is lost the job goes on.
//!
//! RENAME INDEX changes the definition alone, with the table to itself for a moment.
//!
//! Not here: the checks of new keys (`create_table`), changes of the sharding key, which are such jobs as well (`rekey`).

use super::change::{Touched, announce, change};
use super::{
    create_table, database_of, foreign_key, index_job, index_steps, partition, placement, temporary,
};
use crate::ast::{self, KeyDefinition, TableChange};
use crate::catalog::index_jobs::{self, IndexJob, JobOutcome, Rekey, WalkPosition, Wish};
use crate::catalog::table_locks::WAITS_FOR_TABLE;
use crate::catalog::{IndexDef, TableDef};
use crate::dml::find_table;
use crate::instance::Instance;
use crate::session::{OkResult, Outcome, Session};
use crate::{Error, Result};
use base::limits::{CATALOG_LEASE, INDEX_JOB_LOOK, INDEX_JOB_STATEMENT_CHARS};
use base::{IndexId, Timestamp};
use futures::future::{Either, select};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What PROCESSLIST says while a job runs, in MySQL's words.
const ALTERING: &str = "altering table";

/// A change of a table's indexes.
#[derive(Clone, Copy, Debug)]
pub(super) enum IndexChange<'a> {
    /// ADD.
    Add(&'a KeyDefinition),
    /// DROP, by name.
    Drop(&'a str),
    /// RENAME, from and to.
    Rename(&'a str, &'a str),
}

/// An index that is dropped.
#[derive(Clone, Copy, Debug)]
struct Dropped<'a> {
    name: &'a str,
    /// Whether it was named as a constraint, which only a unique key is.
    constraint: bool,
}

/// CREATE INDEX.
pub(super) async fn create(session: &mut Session, create: &ast::CreateIndex) -> Result<Outcome> {
    session.dml_context(Vec::new(), false);
    if let Some(table) = session.temporary_table(&create.table) {
        return temporary::add_index(session, &table, &create.key).await;
    }
    alter(session, &create.table, vec![IndexChange::Add(&create.key)]).await
}

/// DROP INDEX.
pub(super) async fn drop(session: &mut Session, drop: &ast::DropIndex) -> Result<Outcome> {
    session.dml_context(Vec::new(), false);
    if let Some(table) = session.temporary_table(&drop.table) {
        return temporary::drop_index(session, &table, &drop.name).await;
    }
    let catalog = session.instance.catalog.current().await?;
    let database = database_of(session, &drop.table)?;
    if let Some(table) = catalog.table(database, &drop.table.name) {
        foreign_key::check_index_goes(&catalog, table, &drop.name)?;
    }
    alter(session, &drop.table, vec![IndexChange::Drop(&drop.name)]).await
}

/// What ALTER TABLE changes of indexes; `None` when it does not.
///
/// # Errors
/// 1235 when it changes other things as well.
pub(super) fn changes_alone(changes: &[TableChange]) -> Result<Option<Vec<IndexChange<'_>>>> {
    let (mut of_indexes, mut has_others) = (Vec::new(), false);
    for change in changes {
        match change {
            TableChange::AddKey(key) => of_indexes.push(IndexChange::Add(key)),
            TableChange::DropKey(name) => of_indexes.push(IndexChange::Drop(name)),
            TableChange::RenameKey { old, new } => of_indexes.push(IndexChange::Rename(old, new)),
            TableChange::Other(text) if is_modifier(text) => {}
            TableChange::EnableKeys(_) => {}
            _ => has_others = true,
        }
    }
    if of_indexes.is_empty() {
        return Ok(None);
    }
    if has_others {
        return Err(Error::not_supported(
            "ALTER TABLE of indexes together with other things: say the indexes in a statement of their own",
        ));
    }
    Ok(Some(of_indexes))
}

/// Whether a part of ALTER TABLE only says how: every way here leaves the table in use.
pub(super) fn is_modifier(text: &str) -> bool {
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
    ["ALGORITHM", "LOCK"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Changes indexes of a table.
pub(super) async fn alter(
    session: &mut Session,
    table: &ast::TableName,
    changes: Vec<IndexChange<'_>>,
) -> Result<Outcome> {
    let (mut added, mut dropped, mut renamed) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match change {
            IndexChange::Add(key) => added.push(key),
            IndexChange::Drop(name) => dropped.push(Dropped { name, constraint: false }),
            IndexChange::Rename(old, new) => renamed.push((old, new)),
        }
    }
    if renamed.is_empty() {
        run_job(session, table, &added, &dropped).await?;
    } else if added.is_empty() && dropped.is_empty() {
        rename(session, table, &renamed).await?;
    } else {
        return Err(Error::not_supported(
            "RENAME INDEX together with ADD and DROP: say it in a statement of its own",
        ));
    }
    let info = format!("Records: 0  Duplicates: 0  Warnings: {}", session.diagnostics.count());
    Ok(Outcome::Ok(OkResult { info, ..OkResult::default() }))
}

/// What a job is to do to a table.
pub(super) struct Planned {
    /// Indexes that are added.
    pub(super) added: Vec<IndexDef>,
    /// Indexes that are dropped.
    pub(super) dropped: Vec<IndexId>,
    /// The new sharding key or placement policy.
    pub(super) rekey: Option<Rekey>,
}

/// Adds indexes to a table.
pub(super) async fn add(
    session: &mut Session,
    name: &ast::TableName,
    added: &[&KeyDefinition],
) -> Result<()> {
    run_job(session, name, added, &[]).await
}

/// Drops indexes of a table, and builds those anew that have columns which go, without them.
pub(super) async fn leave(
    session: &mut Session,
    name: &ast::TableName,
    (dropped, constraints): (&[&str], &[&str]),
    gone: &[&str],
) -> Result<()> {
    begin(session, name, |table| {
        let named = dropped.iter().map(|&name| Dropped { name, constraint: false });
        let of_constraints = constraints.iter().map(|&name| Dropped { name, constraint: true });
        let named: Vec<Dropped<'_>> = named.chain(of_constraints).collect();
        let ids = named_ids(&mut table.clone(), &named)?;
        Ok(Planned::without(table, &ids, gone))
    })
    .await
}

impl Planned {
    /// The job that drops some indexes and takes columns out of the others; `None` when no index changes.
    fn without(table: &TableDef, ids: &[IndexId], gone: &[&str]) -> Option<Planned> {
        let goes = |column: usize| {
            gone.iter().any(|name| table.columns[column].name.eq_ignore_ascii_case(name))
        };
        let (mut added, mut dropped) = (Vec::new(), ids.to_vec());
        for index in table.indexes.iter().filter(|index| !ids.contains(&index.id)) {
            let mut left = index.clone();
            left.columns.retain(|part| !goes(part.column));
            left.included.retain(|column| !goes(*column));
            if left == *index {
                continue;
            }
            dropped.push(index.id);
            if !left.columns.is_empty() {
                left.id = IndexId(table.free_index_id() + added.len() as u32);
                left.public_since = Timestamp::ZERO;
                added.push(left);
            }
        }
        (!dropped.is_empty()).then_some(Planned { added, dropped, rekey: None })
    }
}

/// Adds and drops indexes.
async fn run_job(
    session: &mut Session,
    name: &ast::TableName,
    added: &[&KeyDefinition],
    dropped: &[Dropped<'_>],
) -> Result<()> {
    let mut made = None;
    begin(session, name, |table| {
        let (added, dropped) = plan(table, added, dropped)?;
        made = Some((table.placement.clone(), added.clone()));
        Ok(Some(Planned { added, dropped, rekey: None }))
    })
    .await?;
    if let Some((policy, added)) = made {
        placement::warn_of_global(&policy, &added, &session.context(Vec::new()));
    }
    Ok(())
}

/// Begins a job and waits for it, unless `plan` has nothing for it to do.
pub(super) async fn begin(
    session: &mut Session,
    name: &ast::TableName,
    mut plan: impl FnMut(&TableDef) -> Result<Option<Planned>>,
) -> Result<()> {
    let instance = session.instance.clone();
    let client = &instance.config.client;
    let database = database_of(session, name)?.to_string();
    let default = session.database.clone();
    let (id, guard) = (index_jobs::new_id(client).await?, client.lock_owners().begin());
    let owner = guard.owner();
    let statement = session.entry.state.lock().statement.clone().unwrap_or_default();
    let statement: String = statement.chars().take(INDEX_JOB_STATEMENT_CHARS).collect();
    let begun_unix = instance.config.clock.unix_micros() / 1_000_000;
    loop {
        let (mut busy, mut is_begun) = (None, false);
        change(session, Touched::Altered(&database, &name.name), |change| {
            is_begun = false;
            let table = find_table(name, default.as_deref(), &change.catalog)?;
            check_no_rekey(&change.index_jobs, &table)?;
            busy = job_of(&change.index_jobs, &table);
            if busy.is_some() {
                return Ok(false);
            }
            let Some(Planned { added, dropped, rekey }) = plan(&table)? else { return Ok(false) };
            is_begun = true;
            let next_index_id = table.free_index_id() + added.len() as u32;
            change.put_table(&TableDef { next_index_id, ..TableDef::clone(&table) })?;
            change.put_index_job(&IndexJob {
                id,
                table: table.id,
                name: table.qualified_name(),
                statement: statement.clone(),
                added,
                dropped,
                owner,
                begun_unix,
                ended_unix: 0,
                wish: Wish::Run,
                outcome: JobOutcome::Open,
                error: None,
                filled: WalkPosition::default(),
                rows: 0,
                is_filled: false,
                is_fenced: false,
                garbage: Vec::new(),
                removed: WalkPosition::default(),
                is_over: false,
                rekey,
            })?;
            Ok(true)
        })
        .await?;
        match busy {
            Some(other) => wait_for_other(session, other).await?,
            None if is_begun => break,
            None => return Ok(()),
        }
    }
    index_job::start(&instance, id, guard);
    wait_for_own(session, id).await
}

/// 1235 when the sharding key or the placement policy of a table is being changed.
pub(super) fn check_no_rekey(jobs: &[IndexJob], table: &TableDef) -> Result<()> {
    let id = job_of(jobs, table);
    match jobs.iter().find(|job| Some(job.id) == id && job.rekey.is_some()) {
        None => Ok(()),
        Some(job) => {
            let of_policy = job.rekey.as_ref().is_some_and(|rekey| rekey.policy.is_some());
            let what = if of_policy { "placement policy" } else { "sharding key" };
            Err(Error::not_supported(format!(
                "ALTER TABLE while the {what} of the table is being changed: wait for DDL job {id}, or end it with ADMIN CANCEL DDL \
                 JOBS {id}",
                id = job.id
            )))
        }
    }
}

/// The job with an open outcome that a table has.
pub(super) fn job_of(jobs: &[IndexJob], table: &TableDef) -> Option<u64> {
    let open = |job: &&IndexJob| job.table == table.id && job.outcome == JobOutcome::Open;
    jobs.iter().find(open).map(|job| job.id)
}

/// The indexes that a job adds and drops.
fn plan(
    table: &TableDef,
    added: &[&KeyDefinition],
    dropped: &[Dropped<'_>],
) -> Result<(Vec<IndexDef>, Vec<IndexId>)> {
    let mut left = table.clone();
    let ids = named_ids(&mut left, dropped)?;
    let mut added = create_table::define_added(added, &left)?;
    for (id, index) in (table.free_index_id()..).zip(&mut added) {
        index.id = IndexId(id);
    }
    left.indexes.extend(added.iter().cloned());
    create_table::check_auto_increment(&left)?;
    partition::check_keys(&left)?;
    Ok((added, ids))
}

/// The indexes of these names, taken out of a table.
fn named_ids(left: &mut TableDef, dropped: &[Dropped<'_>]) -> Result<Vec<IndexId>> {
    let mut ids = Vec::with_capacity(dropped.len());
    for Dropped { name, constraint } in dropped {
        if name.eq_ignore_ascii_case("PRIMARY") {
            return Err(Error::not_supported(
                "DROP PRIMARY KEY: create a table without the key and INSERT … SELECT into it",
            ));
        }
        if left.declared.iter().any(|key| key.name.eq_ignore_ascii_case(name)) {
            return Err(Error::not_supported(
                "dropping a FULLTEXT or SPATIAL key: leave it, it has no entries that cost anything",
            ));
        }
        let position = position_of(left, name);
        let position = position.filter(|at| !constraint || left.indexes[*at].unique);
        let position = position.ok_or_else(|| match constraint {
            true => Error::no_such_constraint(name),
            false => Error::cant_drop(name),
        })?;
        ids.push(left.indexes.remove(position).id);
    }
    Ok(ids)
}

/// The declared index of a name, the primary key aside.
fn position_of(table: &TableDef, name: &str) -> Option<usize> {
    table.indexes.iter().position(|index| {
        !index.primary && !index.implicit && index.name.eq_ignore_ascii_case(name)
    })
}

/// Waits until another job of the table has an outcome.
pub(super) async fn wait_for_other(session: &Session, id: u64) -> Result<()> {
    let _waiting = session.entry.waits(WAITS_FOR_TABLE);
    until_ended(session, id, Some(session.table_lock_wait())).await.map(|_| ())
}

/// Waits for the outcome of the session's own job.
async fn wait_for_own(session: &Session, id: u64) -> Result<()> {
    let _altering = session.entry.waits(ALTERING);
    let instance = &session.instance;
    let ended = match until_ended(session, id, None).await {
        Err(error) if session.entry.stopped.load(Ordering::Acquire) => {
            let cancelled = cancel(session, id).await?;
            match cancelled {
                // It was quicker, or is past its return and ends soon: what was asked for is so.
                Some(job) if job.outcome == JobOutcome::Done => Some(job),
                Some(job) if is_past_return(instance, &job).await? => Some(job),
                _ => return Err(error),
            }
        }
        ended => ended?,
    };
    let Some(job) = ended else {
        return Err(Error::unavailable("the job ended long ago: SHOW INDEX tells what came of it"));
    };
    if job.outcome == JobOutcome::Failed {
        return Err(job.failure());
    }
    let renewed = instance.renew_catalog().await.is_ok();
    announce(instance, instance.catalog_version()).await;
    if !renewed {
        instance.config.client.pause(CATALOG_LEASE).await;
    }
    Ok(())
}

/// Whether a job goes on to its end whatever is wished, according to the newest definition. A wish that is stored is known to
/// every later step.
async fn is_past_return(instance: &Instance, job: &IndexJob) -> Result<bool> {
    instance.renew_catalog().await?;
    let catalog = instance.catalog.current().await?;
    let table = catalog.table_by_id(job.table);
    let open = job.outcome == JobOutcome::Open;
    Ok(open && table.is_some_and(|table| index_steps::is_past_return(table, job)))
}

async fn cancel(session: &Session, id: u64) -> Result<Option<IndexJob>> {
    index_jobs::change(&session.instance.config.client, id, |job| {
        let open = job.outcome == JobOutcome::Open && job.wish != Wish::Cancel;
        if open {
            job.wish = Wish::Cancel;
        }
        open
    })
    .await
}

/// Waits until a job has an outcome; `None` when nobody knows it any more.
///
/// # Errors
/// 1317; 1205 after `limit`.
async fn until_ended(
    session: &Session,
    id: u64,
    limit: Option<Duration>,
) -> Result<Option<IndexJob>> {
    let client = &session.instance.config.client;
    let mut told = session.instance.index_jobs.hear();
    let mut waited = Duration::ZERO;
    loop {
        std::mem::drop(told.borrow_and_update());
        session.check_cancel()?;
        match index_jobs::read(client, id).await {
            Ok(Some(job)) if job.outcome == JobOutcome::Open => {}
            Ok(ended) => return Ok(ended),
            // The meta shard changes its leader, for example.
            Err(_) => {}
        }
        if limit.is_some_and(|limit| waited >= limit) {
            return Err(Error::lock_wait_timeout());
        }
        let changed = std::pin::pin!(told.changed());
        let paused = std::pin::pin!(client.pause(INDEX_JOB_LOOK));
        if let Either::Right(_) = select(changed, paused).await {
            waited += INDEX_JOB_LOOK;
        }
    }
}

/// Renames indexes, all at once: two may swap their names.
async fn rename(
    session: &mut Session,
    name: &ast::TableName,
    pairs: &[(&str, &str)],
) -> Result<()> {
    let database = database_of(session, name)?.to_string();
    let default = session.database.clone();
    loop {
        let mut busy = None;
        let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
        change(session, touched, |change| {
            let table = find_table(name, default.as_deref(), &change.catalog)?;
            check_no_rekey(&change.index_jobs, &table)?;
            busy = job_of(&change.index_jobs, &table);
            if busy.is_some() {
                return Ok(false);
            }
            let mut table = TableDef::clone(&table);
            rename_in(&mut table, pairs)?;
            change.put_table(&table)?;
            Ok(true)
        })
        .await?;
        let Some(other) = busy else { return Ok(()) };
        wait_for_other(session, other).await?;
    }
}

/// Renames indexes in a definition.
///
/// # Errors
/// 1061, 1176, 1280.
pub(super) fn rename_in(table: &mut TableDef, pairs: &[(&str, &str)]) -> Result<()> {
    let mut positions = Vec::with_capacity(pairs.len());
    for (old, new) in pairs {
        create_table::check_identifier(new, |name| Error::wrong_index_name(name))?;
        if new.eq_ignore_ascii_case("PRIMARY") {
            return Err(Error::wrong_index_name(new));
        }
        let position = position_of(table, old).filter(|position| !positions.contains(position));
        positions.push(position.ok_or_else(|| Error::key_does_not_exist(old, &table.name))?);
    }
    for (position, (_, new)) in positions.iter().zip(pairs) {
        table.indexes[*position].name = (*new).to_string();
    }
    for (position, (_, new)) in positions.iter().zip(pairs) {
        let is_other = |(at, index): (usize, &IndexDef)| {
            at != *position && index.name.eq_ignore_ascii_case(new)
        };
        if table.indexes.iter().enumerate().any(is_other) {
            return Err(Error::duplicate_key_name(new));
        }
    }
    Ok(())
}
