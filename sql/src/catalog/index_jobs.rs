//! Jobs that add and drop indexes or change a sharding key: what the meta shard remembers of them.
//!
//! ```text
//! table 130  (job) → record      table 131  () → counter of jobs
//! ```
//!
//! A record has what was asked for, who works on it, how far the filling of new indexes is, and what came of it. How far
//! the states are stands in the table's definition. An ended job stays as long as entries of dropped indexes are removed,
//! and then for SHOW DDL JOBS, until `INDEX_JOBS_KEPT` younger ones have ended.
//!
//! Invariants:
//! 1. Every write of a record expects the version that its transaction has read. So of two nodes that take each other for
//!    gone, only the one that the record names gets anything done: all it writes goes with a write of the record.
//! 2. A table has at most one job with an open outcome.
//!
//! Not here: what a job does (`ddl::index_job`).

use super::record::{self, IndexRecord, RangeRecord, SetRecord, ShardingRecord};
use super::store::{bump, meta_key, scan_table};
use super::{Catalog, Distribution, IndexDef, Rebuild, Sharding, TableDef};
use crate::{Error, Result};
use base::{IndexId, TableId};
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;
use txn::command::LockOwner;
use txn::transaction::Mode;
use txn::{ShardClient, Transaction};

const JOBS: TableId = TableId(130);
const JOB_IDS: TableId = TableId(131);

/// What people want of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It goes on.
    #[default]
    Run,
    /// It waits.
    Pause,
    /// It takes back what it has done.
    Cancel,
}

/// What came of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum JobOutcome {
    /// Nothing yet.
    #[default]
    Open,
    /// The table has the indexes or the sharding key that were asked for.
    Done,
    /// The table has those of before; `IndexJob::error` says why.
    Failed,
}

/// How far a walk over all partitions and their slots is: of the partition `id` those below `from` are done, those from `from`
/// to `end` up to the key `after`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WalkPosition {
    /// Id of the partition that is walked, those with lower ones are done; that of a table without partitions. 0: none is begun.
    pub(crate) id: u32,
    /// First slot that is not done.
    pub(crate) from: u32,
    /// First slot that the walk under way does not meet; not above `from` when none is under way.
    pub(crate) end: u32,
    /// The last key that it has met; empty when there is none.
    pub(crate) after: Bytes,
}

/// The layout that a change of the sharding key or of the placement policy makes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rekey {
    /// The id under which its rows stand.
    pub(crate) rows: TableId,
    /// The columns whose hash is the slot, or the one that has ranges; `None` for a table that is kept in one slot.
    pub(crate) columns: Option<Vec<usize>>,
    /// Whether it was asked for as TDSQL_DISTRIBUTED BY.
    pub(crate) distributed_by: bool,
    /// Ranges of keys, as in a table's record; none when the slot is a hash.
    pub(crate) ranges: Vec<RangeRecord>,
    /// The placement policy, when that is what is changed; the table keeps what it has otherwise.
    pub(crate) policy: Option<PolicyRecord>,
}

/// The placement policy that a table gets with a layout.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRecord {
    /// Its name; empty for none.
    #[prost(string, tag = "1")]
    name: String,
    /// The set that has the rows, with all values; none when they are in all slots.
    #[prost(message, repeated, tag = "2")]
    sets: Vec<SetRecord>,
}

impl PolicyRecord {
    /// The policy's name; empty for none.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Rekey {
    /// A layout by ranges of keys.
    pub(crate) fn of_ranges(rows: TableId, by: Distribution) -> Rekey {
        let columns = Some(vec![by.column]);
        let ShardingRecord { ranges, .. } = record::encode_sharding(&Sharding::Keys(by));
        Rekey { rows, columns, distributed_by: false, ranges, policy: None }
    }

    /// A layout under a policy, empty for none, with the sharding that the rows of a table have there: by the same hash.
    pub(crate) fn of_policy(
        rows: TableId,
        table: &TableDef,
        name: &str,
        sharding: &Sharding,
    ) -> Rekey {
        let ShardingRecord { sets, .. } = record::encode_sharding(sharding);
        Rekey {
            rows,
            columns: Some(table.sharding_columns().to_vec()),
            distributed_by: table.distributed_by,
            ranges: Vec::new(),
            policy: Some(PolicyRecord { name: name.to_string(), sets }),
        }
    }

    /// How the rows of a table find their slots in the layout.
    ///
    /// # Errors
    /// When the record does not fit the table.
    pub(crate) fn sharding(&self, table: &TableDef) -> Result<Sharding> {
        let sets = self.policy.as_ref().map_or_else(Vec::new, |policy| policy.sets.clone());
        let sharding = match (&self.columns, self.ranges.as_slice()) {
            (None, _) => 1,
            (Some(_), _) if !sets.is_empty() => 3,
            (Some(_), []) => 0,
            (Some(_), _) => 5,
        };
        let columns = self.columns.as_deref().unwrap_or_default();
        // Of sets the column that says which one comes first, then those of the hash.
        let first = columns.first().filter(|_| !sets.is_empty());
        let columns = first.into_iter().chain(columns).map(|column| *column as u32).collect();
        let ranges = self.ranges.clone();
        let record = ShardingRecord { sharding, columns, sets, copies: 0, ranges };
        record::decode_sharding(record, &table.columns)
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IndexJob {
    /// Its number.
    pub(crate) id: u64,
    /// The table.
    pub(crate) table: TableId,
    /// `database.table` when it began, for people.
    pub(crate) name: String,
    /// The statement, for people.
    pub(crate) statement: String,
    /// Indexes that are added.
    pub(crate) added: Vec<IndexDef>,
    /// Indexes that are dropped once those are there.
    pub(crate) dropped: Vec<IndexId>,
    /// Who works on it.
    pub(crate) owner: LockOwner,
    /// When it began, Unix seconds.
    pub(crate) begun_unix: u64,
    /// When its outcome was known, Unix seconds.
    pub(crate) ended_unix: u64,
    /// What people want.
    pub(crate) wish: Wish,
    /// What came of it.
    pub(crate) outcome: JobOutcome,
    /// Why it failed, or is being taken back: number and sentence.
    pub(crate) error: Option<(u16, String)>,
    /// How far the new indexes, or the new layout, are filled.
    pub(crate) filled: WalkPosition,
    /// Rows that were met while filling.
    pub(crate) rows: u64,
    /// Whether they are filled.
    pub(crate) is_filled: bool,
    /// Whether writers that a silent node may still have were shut out before filling.
    pub(crate) is_fenced: bool,
    /// Indexes that are no more and whose entries are to be removed.
    pub(crate) garbage: Vec<IndexId>,
    /// How far the first of them is removed.
    pub(crate) removed: WalkPosition,
    /// Whether nothing is left to do.
    pub(crate) is_over: bool,
    /// Of a job that changes the sharding key or the placement policy, and no index.
    pub(crate) rekey: Option<Rekey>,
}

impl IndexJob {
    /// The error of a job that failed.
    pub(crate) fn failure(&self) -> Error {
        let Some((code, message)) = &self.error else { return Error::interrupted() };
        // Only these come with a state of their own.
        let known =
            [Error::duplicate_entry("", ""), Error::interrupted(), Error::no_such_table("")];
        let sqlstate = known.iter().find(|known| known.code == *code);
        let sqlstate = sqlstate.map_or("HY000", |known| known.sqlstate);
        Error { code: *code, sqlstate, message: message.clone() }
    }

    /// The share of the slots that were filled, of all partitions of its table, in percent.
    pub(crate) fn percent(&self, table: Option<&TableDef>) -> u64 {
        if self.is_filled {
            return 100;
        }
        let ids = table.map_or_else(Vec::new, TableDef::key_ids);
        let done = ids.iter().filter(|id| id.0 < self.filled.id).count() as u64;
        let slots = u64::from(base::SLOT_COUNT);
        let all = ids.len().max(1) as u64 * slots;
        ((done * slots + u64::from(self.filled.from)) * 100 / all).min(100)
    }
}

/// A [`WalkPosition`] on disk.
#[derive(Clone, PartialEq, Message)]
struct PositionMessage {
    #[prost(uint32, tag = "1")]
    from: u32,
    #[prost(uint32, tag = "2")]
    end: u32,
    #[prost(bytes = "vec", tag = "3")]
    after: Vec<u8>,
    #[prost(uint32, tag = "4")]
    id: u32,
}

impl PositionMessage {
    fn of(position: &WalkPosition) -> Option<PositionMessage> {
        let after = position.after.to_vec();
        Some(PositionMessage { from: position.from, end: position.end, after, id: position.id })
    }

    fn position(message: Option<PositionMessage>) -> WalkPosition {
        let PositionMessage { from, end, after, id } = message.unwrap_or_default();
        WalkPosition { id, from, end, after: after.into() }
    }
}

/// A [`Rekey`] on disk.
#[derive(Clone, PartialEq, Message)]
struct RekeyMessage {
    #[prost(uint32, tag = "1")]
    rows: u32,
    #[prost(bool, tag = "2")]
    single: bool,
    #[prost(uint32, repeated, tag = "3")]
    columns: Vec<u32>,
    #[prost(bool, tag = "4")]
    distributed_by: bool,
    #[prost(message, repeated, tag = "5")]
    ranges: Vec<RangeRecord>,
    #[prost(message, optional, tag = "6")]
    policy: Option<PolicyRecord>,
}

impl RekeyMessage {
    fn of(rekey: &Rekey) -> RekeyMessage {
        let columns = rekey.columns.iter().flatten().map(|column| *column as u32);
        RekeyMessage {
            rows: rekey.rows.0,
            single: rekey.columns.is_none(),
            columns: columns.collect(),
            distributed_by: rekey.distributed_by,
            ranges: rekey.ranges.clone(),
            policy: rekey.policy.clone(),
        }
    }

    fn rekey(self) -> Rekey {
        let columns = self.columns.into_iter().map(|column| column as usize).collect();
        Rekey {
            rows: TableId(self.rows),
            columns: (!self.single).then_some(columns),
            distributed_by: self.distributed_by,
            ranges: self.ranges,
            policy: self.policy,
        }
    }
}

/// A record on disk.
#[derive(Clone, PartialEq, Message)]
struct JobMessage {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint32, tag = "2")]
    table: u32,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    statement: String,
    #[prost(message, repeated, tag = "5")]
    added: Vec<IndexRecord>,
    #[prost(uint32, repeated, tag = "6")]
    dropped: Vec<u32>,
    #[prost(uint64, tag = "7")]
    owner: u64,
    #[prost(uint64, tag = "8")]
    begun_unix: u64,
    #[prost(uint64, tag = "9")]
    ended_unix: u64,
    /// 0 run, 1 pause, 2 cancel.
    #[prost(uint32, tag = "10")]
    wish: u32,
    /// 0 open, 1 done, 2 failed.
    #[prost(uint32, tag = "11")]
    outcome: u32,
    /// 0: none.
    #[prost(uint32, tag = "12")]
    error: u32,
    #[prost(string, tag = "13")]
    error_message: String,
    #[prost(message, optional, tag = "14")]
    filled: Option<PositionMessage>,
    #[prost(uint64, tag = "15")]
    rows: u64,
    #[prost(bool, tag = "16")]
    is_filled: bool,
    #[prost(bool, tag = "17")]
    is_fenced: bool,
    #[prost(uint32, repeated, tag = "18")]
    garbage: Vec<u32>,
    #[prost(message, optional, tag = "19")]
    removed: Option<PositionMessage>,
    #[prost(bool, tag = "20")]
    is_over: bool,
    #[prost(message, optional, tag = "21")]
    rekey: Option<RekeyMessage>,
}

fn encode(job: &IndexJob) -> Vec<u8> {
    let (error, error_message) = match &job.error {
        None => (0, String::new()),
        Some((code, message)) => (u32::from(*code), message.clone()),
    };
    let message = JobMessage {
        id: job.id,
        table: job.table.0,
        name: job.name.clone(),
        statement: job.statement.clone(),
        added: job.added.iter().map(record::encode_index).collect(),
        dropped: job.dropped.iter().map(|index| index.0).collect(),
        owner: job.owner.0,
        begun_unix: job.begun_unix,
        ended_unix: job.ended_unix,
        wish: match job.wish {
            Wish::Run => 0,
            Wish::Pause => 1,
            Wish::Cancel => 2,
        },
        outcome: match job.outcome {
            JobOutcome::Open => 0,
            JobOutcome::Done => 1,
            JobOutcome::Failed => 2,
        },
        error,
        error_message,
        filled: PositionMessage::of(&job.filled),
        rows: job.rows,
        is_filled: job.is_filled,
        is_fenced: job.is_fenced,
        garbage: job.garbage.iter().map(|index| index.0).collect(),
        removed: PositionMessage::of(&job.removed),
        is_over: job.is_over,
        rekey: job.rekey.as_ref().map(RekeyMessage::of),
    };
    message.encode_to_vec()
}

fn decode(bytes: &[u8]) -> Result<IndexJob> {
    let corrupt = |what: String| Error::storage(format!("corrupt record of an index job: {what}"));
    let message = JobMessage::decode(bytes).map_err(|error| corrupt(error.to_string()))?;
    let wish = match message.wish {
        0 => Wish::Run,
        1 => Wish::Pause,
        2 => Wish::Cancel,
        other => return Err(corrupt(format!("wish {other}"))),
    };
    let outcome = match message.outcome {
        0 => JobOutcome::Open,
        1 => JobOutcome::Done,
        2 => JobOutcome::Failed,
        other => return Err(corrupt(format!("outcome {other}"))),
    };
    let code = u16::try_from(message.error).map_err(|error| corrupt(error.to_string()))?;
    // Its columns are compared with the table's when they are used.
    let added = message.added.into_iter().map(|index| record::decode_index(index, usize::MAX));
    Ok(IndexJob {
        id: message.id,
        table: TableId(message.table),
        name: message.name,
        statement: message.statement,
        added: added.collect::<Result<_>>()?,
        dropped: message.dropped.into_iter().map(IndexId).collect(),
        owner: LockOwner(message.owner),
        begun_unix: message.begun_unix,
        ended_unix: message.ended_unix,
        wish,
        outcome,
        error: (code != 0).then_some((code, message.error_message)),
        filled: PositionMessage::position(message.filled),
        rows: message.rows,
        is_filled: message.is_filled,
        is_fenced: message.is_fenced,
        garbage: message.garbage.into_iter().map(IndexId).collect(),
        removed: PositionMessage::position(message.removed),
        is_over: message.is_over,
        rekey: message.rekey.map(RekeyMessage::rekey),
    })
}

fn job_key(id: u64) -> Bytes {
    meta_key(JOBS, |key| key.put_u64(id))
}

/// A number that no job had.
pub(crate) async fn new_id(client: &Arc<dyn ShardClient>) -> Result<u64> {
    bump(client, meta_key(JOB_IDS, |_| {}), 1, 1).await
}

/// All jobs, by number.
pub(crate) async fn all(client: &Arc<dyn ShardClient>) -> Result<Vec<IndexJob>> {
    all_in(&mut Transaction::begin(client.clone(), Mode::Snapshot)).await
}

/// The same as a transaction sees them.
pub(super) async fn all_in(txn: &mut Transaction) -> Result<Vec<IndexJob>> {
    scan_table(txn, JOBS, |_, value| decode(value)).await
}

/// A job now.
pub(crate) async fn read(client: &Arc<dyn ShardClient>, id: u64) -> Result<Option<IndexJob>> {
    get(&mut Transaction::begin(client.clone(), Mode::Latest), id).await
}

/// A job as a transaction sees it.
pub(crate) async fn get(txn: &mut Transaction, id: u64) -> Result<Option<IndexJob>> {
    txn.get(&job_key(id)).await?.map(|value| decode(&value)).transpose()
}

/// Stores a job in a transaction that has read it, or has seen that it is not there.
pub(crate) fn put(txn: &mut Transaction, job: &IndexJob) -> Result<()> {
    let key = job_key(job.id);
    let expect = txn.expect_unchanged(&key);
    Ok(txn.put(key, encode(job), expect)?)
}

/// Removes a job in a transaction that has read it.
pub(super) fn remove(txn: &mut Transaction, id: u64) -> Result<()> {
    let key = job_key(id);
    let expect = txn.expect_unchanged(&key);
    Ok(txn.delete(key, expect)?)
}

/// Changes a job, unless `plan` answers `false`; the job as it is then, `None` when it is not there.
pub(crate) async fn change(
    client: &Arc<dyn ShardClient>,
    id: u64,
    mut plan: impl FnMut(&mut IndexJob) -> bool,
) -> Result<Option<IndexJob>> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
        let Some(mut job) = get(&mut txn, id).await? else { return Ok(None) };
        if !plan(&mut job) {
            return Ok(Some(job));
        }
        put(&mut txn, &job)?;
        match txn.commit().await.map_err(Error::from) {
            Ok(_) => return Ok(Some(job)),
            Err(error) if error.code == 1213 && attempt < base::limits::CONFLICT_RETRIES_MAX => {}
            Err(error) => return Err(error),
        }
    }
}

/// The states of a job's indexes or layout in words.
pub(crate) fn stage(job: &IndexJob, catalog: &Catalog) -> &'static str {
    let table = catalog.table_by_id(job.table);
    if job.rekey.is_some() {
        return stage_of_rekey(job, table.and_then(|table| table.rebuild.as_deref()));
    }
    let unpublished = table.map_or([].as_slice(), |table| table.unpublished.as_slice());
    let adding = |index: &IndexDef| job.added.iter().any(|added| added.id == index.id);
    let dropping = |index: &IndexDef| job.dropped.contains(&index.id);
    match job.outcome {
        JobOutcome::Open if job.wish == Wish::Cancel || job.error.is_some() => "taking back",
        JobOutcome::Open if unpublished.iter().any(dropping) => "dropping",
        JobOutcome::Open if job.is_filled => "publishing",
        JobOutcome::Open => match unpublished.iter().find(|index| adding(index)) {
            None => "waiting for users",
            Some(index) if index.state == super::IndexState::DeleteOnly => "delete only",
            Some(_) if job.filled == WalkPosition::default() && job.rows == 0 => "write only",
            Some(_) => "filling",
        },
        JobOutcome::Done | JobOutcome::Failed if job.is_over => "none",
        JobOutcome::Done | JobOutcome::Failed => "removing entries",
    }
}

/// The same of a job that changes the sharding key of a table with this other layout.
fn stage_of_rekey(job: &IndexJob, rebuild: Option<&Rebuild>) -> &'static str {
    match (job.outcome, rebuild) {
        (JobOutcome::Done | JobOutcome::Failed, _) => "none",
        (JobOutcome::Open, Some(rebuild)) if rebuild.is_past_cut_over() => "dropping",
        (JobOutcome::Open, _) if job.wish == Wish::Cancel || job.error.is_some() => "taking back",
        (JobOutcome::Open, _) if job.is_filled => "cutting over",
        (JobOutcome::Open, None) => "waiting for users",
        (JobOutcome::Open, Some(rebuild)) if !rebuild.is_added_to() => "delete only",
        (JobOutcome::Open, Some(_)) if job.filled == WalkPosition::default() && job.rows == 0 => {
            "write only"
        }
        (JobOutcome::Open, Some(_)) => "filling",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{IndexColumn, IndexState};

    #[test]
    fn a_record_comes_back() {
        let index = IndexDef {
            id: IndexId(7),
            name: "k".into(),
            unique: true,
            columns: vec![IndexColumn { column: 2, prefix: Some(3), descending: true }],
            included: vec![4, 1],
            global: true,
            primary: false,
            implicit: false,
            comment: "c".into(),
            state: IndexState::WriteOnly,
            public_since: base::Timestamp(8),
            ignored: false,
        };
        let job = IndexJob {
            id: 3,
            table: TableId(1001),
            name: "d.t".into(),
            statement: "CREATE INDEX".into(),
            added: vec![index],
            dropped: vec![IndexId(1), IndexId(2)],
            owner: LockOwner(9),
            begun_unix: 10,
            ended_unix: 11,
            wish: Wish::Cancel,
            outcome: JobOutcome::Failed,
            error: Some((1062, "Duplicate".into())),
            filled: WalkPosition { id: 1003, from: 5, end: 9, after: Bytes::from_static(b"key") },
            rows: 12,
            is_filled: true,
            is_fenced: true,
            garbage: vec![IndexId(7)],
            removed: WalkPosition { id: 0, from: 1, end: 2, after: Bytes::new() },
            is_over: true,
            rekey: Some(Rekey {
                rows: TableId(1009),
                columns: Some(vec![1, 0]),
                distributed_by: true,
                ranges: vec![RangeRecord::default()],
                policy: Some(PolicyRecord { name: "eu".into(), sets: vec![SetRecord::default()] }),
            }),
        };
        assert_eq!(decode(&encode(&job)).unwrap(), job);
        assert_eq!(job.failure().sqlstate, "23000");
    }
}
