//! Batches of a job that changes indexes: rows get entries in a new index, entries of a dropped one go.
//!
//! ```text
//! snapshot at ts:  rows of one shard, from where the record says ──> entries ──> compare with those that are there
//! commit:          entries, each "not newer than ts", and the record's new position, or nothing of all that
//! ```
//!
//! Whoever changes a row also writes its entries, as the states of the indexes say; the removal of one that is not there yet
//! is a version, too. So a batch meets every change of its rows since `ts` at the entries, and is done again. An entry is
//! never lost, and none comes back after its row.
//!
//! A change of the sharding key is filled the same way: each row is copied into the new layout with all its entries there.
//! Whoever writes a row writes its copy too, so a batch meets every change at the copies.
//!
//! A unique entry that leads elsewhere at `ts` is a duplicate: 1062, and the job takes the indexes back.
//!
//! Not here: when batches run (`index_job`), the position in words (`catalog::index_jobs`).

use crate::broadcast;
use crate::catalog::index_jobs::{self, IndexJob, WalkPosition};
use crate::catalog::{Rebuild, TableDef};
use crate::dml::duplicate;
use crate::table_codec::{self, IndexEntry};
use crate::types::datetime::TimeZone;
use crate::value::Row;
use crate::{Error, Result};
use base::limits::{INDEX_BATCH_BYTES, INDEX_BATCH_PARTITIONS};
use base::{IndexId, KeyRange, SLOT_COUNT, Slot, TableId};
use bytes::Bytes;
use engine::key;
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::command::Expect;
use txn::transaction::{Mode, ScanOptions};
use txn::{ShardClient, Transaction};

/// Rows and entries to be written.
type Copies = (Vec<(Bytes, Bytes)>, Vec<(IndexEntry, Row)>);

/// What a batch came to.
pub(super) enum Batch {
    /// It is committed; whether it was a full one.
    Done { full: bool },
    /// The record is not what it was: somebody has changed it.
    Stale,
    /// The new indexes cannot be.
    Refused(Error),
}

/// Gives some rows their entries in the indexes that a job adds, or copies them into the layout that it adds.
pub(super) async fn fill(
    client: &Arc<dyn ShardClient>,
    table: &TableDef,
    job: &IndexJob,
    limit: usize,
) -> Result<Batch> {
    let Some(mut txn) = begin(client, job).await? else { return Ok(Batch::Stale) };
    let mut done = job.clone();
    let (mut rows, over) = walk(&mut txn, table, IndexId::PRIMARY, &mut done.filled, limit).await?;
    let full = rows.is_full();
    // The row of the first copy gives all copies their entries.
    rows.pairs.retain(|(key, _)| broadcast::is_first(table, key));
    let (written, made) = match table.rebuild.as_deref().filter(|_| job.rekey.is_some()) {
        Some(Rebuild { mirror, .. }) => (mirror, copies_of(mirror, &rows.pairs)),
        None => {
            let entries = entries_of(table, job, &rows.pairs);
            (table, entries.map(|entries| (Vec::new(), entries)))
        }
    };
    let (copies, entries) = match made {
        Ok(made) => made,
        Err(error) => return Ok(Batch::Refused(error)),
    };
    let read_ts = txn.pin().await?;
    for (key, value) in copies {
        txn.put(key, value, Expect::NotNewerThan(read_ts))?;
        // Rows may be long: what is too much for memory goes to the shards before the commit.
        txn.make_room().await?;
    }
    if let Some(error) = put_entries(&mut txn, written, entries).await? {
        return Ok(Batch::Refused(error));
    }
    done.rows += rows.pairs.len() as u64;
    done.is_filled = over;
    commit(txn, &done, full).await
}

/// Removes some entries of the first index that is no more.
pub(super) async fn remove(
    client: &Arc<dyn ShardClient>,
    table: &TableDef,
    job: &IndexJob,
    limit: usize,
) -> Result<Batch> {
    let Some(mut txn) = begin(client, job).await? else { return Ok(Batch::Stale) };
    let Some(index) = job.garbage.first() else { return Ok(Batch::Stale) };
    let mut done = job.clone();
    let (entries, over) = walk(&mut txn, table, *index, &mut done.removed, limit).await?;
    let full = entries.is_full();
    for (key, _) in entries.pairs {
        txn.delete(key, Expect::Any)?;
    }
    if over {
        done.garbage.remove(0);
        done.removed = WalkPosition::default();
    }
    commit(txn, &done, full).await
}

/// A transaction that sees the record as it is known; `None` when it is not so any more.
async fn begin(client: &Arc<dyn ShardClient>, job: &IndexJob) -> Result<Option<Transaction>> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    let now = index_jobs::get(&mut txn, job.id).await?;
    Ok((now.as_ref() == Some(job)).then_some(txn))
}

async fn commit(mut txn: Transaction, done: &IndexJob, full: bool) -> Result<Batch> {
    index_jobs::put(&mut txn, done)?;
    txn.commit().await?;
    Ok(Batch::Done { full })
}

/// What a batch has met.
struct Found {
    /// Keys with their values.
    pairs: Vec<(Bytes, Bytes)>,
    /// Bytes of all that was read.
    bytes: usize,
    /// Most pairs.
    limit: usize,
}

impl Found {
    fn is_full(&self) -> bool {
        self.pairs.len() >= self.limit || self.bytes >= INDEX_BATCH_BYTES
    }
}

/// The next keys of an index and their values, until the batch is full, and whether none is left; moves the position behind
/// them.
///
/// Partitions are walked by their ids, a table without them by its own. While an index is filled they stay as they are
/// (`partition::alter`); one that is dropped while entries are removed is passed, and a new one has none of those.
async fn walk(
    txn: &mut Transaction,
    table: &TableDef,
    index: IndexId,
    position: &mut WalkPosition,
    limit: usize,
) -> Result<(Found, bool)> {
    let mut ids = table.key_ids();
    ids.retain(|id| id.0 >= position.id);
    ids.sort_unstable();
    let mut found = Found { pairs: Vec::new(), bytes: 0, limit };
    for id in ids.iter().take(INDEX_BATCH_PARTITIONS) {
        if position.id == 0 {
            // The first one; in a record from before partitions the table, perhaps half walked.
            position.id = id.0;
        }
        if position.id != id.0 {
            *position = WalkPosition { id: id.0, ..WalkPosition::default() };
        }
        let range = KeyRange::prefix(key::index_prefix(*id, index));
        walk_one(txn, table, range, position, &mut found).await?;
        if found.is_full() {
            break;
        }
    }
    let is_last = |last: &TableId| position.id == last.0 && position.from >= SLOT_COUNT;
    let over = ids.last().is_none_or(is_last);
    Ok((found, over))
}

/// Finds keys of a range until the batch is full, shard by shard; moves the position behind them. A shard that was split since
/// is walked in parts, and what has joined it comes later.
async fn walk_one(
    txn: &mut Transaction,
    table: &TableDef,
    range: KeyRange,
    position: &mut WalkPosition,
    found: &mut Found,
) -> Result<()> {
    while !found.is_full()
        && let Ok(slot) = u16::try_from(position.from)
    {
        let shard = table_codec::key_in_slot(table, Slot(slot));
        let owned = txn.client().locate(&shard)?.slots;
        if !owned.contains(Slot(slot)) {
            return Err(Error::unavailable("the shard map is being changed"));
        }
        let begun = position.end > position.from;
        let end = if begun { position.end.min(owned.end) } else { owned.end };
        let start: Bytes = if begun && !position.after.is_empty() {
            let mut next = position.after.to_vec();
            next.push(0);
            next.into()
        } else {
            range.start.clone()
        };
        let wanted = found.limit - found.pairs.len();
        let options = ScanOptions {
            shard: Some(shard),
            ordered: true,
            limit: Some(wanted),
            ..Default::default()
        };
        let mut scan = txn.scan(KeyRange::new(start, range.end.clone()), options).await?;
        let (mut met, mut last) = (0, Bytes::new());
        while let Some(page) = scan.next_page().await? {
            for (key, value) in page {
                met += 1;
                last = key.clone();
                found.bytes += key.len() + value.len();
                let slot = u32::from(key::slot_of_key(&key)?.0);
                if (position.from..end).contains(&slot) {
                    found.pairs.push((key, value));
                }
            }
            if found.is_full() {
                break;
            }
        }
        *position = if met < wanted && !found.is_full() {
            WalkPosition { id: position.id, from: end, end, after: Bytes::new() }
        } else {
            WalkPosition { id: position.id, from: position.from, end, after: last }
        };
    }
    Ok(())
}

/// The entries of rows in the indexes that a job adds, each with its row.
fn entries_of(
    table: &TableDef,
    job: &IndexJob,
    rows: &[(Bytes, Bytes)],
) -> Result<Vec<(IndexEntry, Row)>> {
    let added: Vec<usize> = table
        .all_indexes()
        .enumerate()
        .filter(|(_, index)| job.added.iter().any(|added| added.id == index.id))
        .map(|(position, _)| position)
        .collect();
    let mut entries = Vec::with_capacity(rows.len() * added.len());
    for (_, value) in rows {
        let row = table_codec::decode_all(table, value)?;
        for position in &added {
            entries.push((table_codec::index_entry(table, *position, &row)?, row.clone()));
        }
    }
    Ok(entries)
}

/// Copies of rows in another layout, by their keys there, and their entries there, each with its row.
fn copies_of(mirror: &TableDef, rows: &[(Bytes, Bytes)]) -> Result<Copies> {
    let mut copies = Vec::with_capacity(rows.len());
    let mut entries = Vec::with_capacity(rows.len() * mirror.indexes.len());
    for (_, value) in rows {
        let row = table_codec::decode_all(mirror, value)?;
        copies.push((table_codec::row_key(mirror, &row)?, value.clone()));
        let own = table_codec::index_entries(mirror, &row)?;
        entries.extend(own.into_iter().map(|entry| (entry, row.clone())));
    }
    Ok((copies, entries))
}

/// Buffers entries that are not there; the error when one of them leads elsewhere already.
async fn put_entries(
    txn: &mut Transaction,
    table: &TableDef,
    entries: Vec<(IndexEntry, Row)>,
) -> Result<Option<Error>> {
    let read_ts = txn.pin().await?;
    let unique = entries.iter().filter(|(entry, _)| entry.unique);
    let keys: Vec<Bytes> = unique.map(|(entry, _)| entry.key.clone()).collect();
    let there = txn.multi_get(&keys).await?;
    let mut places: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    for (key, place) in keys.into_iter().zip(there) {
        if let Some(place) = place {
            places.insert(key, place);
        }
    }
    for (entry, row) in entries {
        if entry.unique {
            match places.get(&entry.key) {
                Some(place) if *place == entry.value => continue,
                Some(_) => {
                    let error = duplicate::error_in(table, entry.index, &row, TimeZone::UTC);
                    return Ok(Some(error));
                }
                None => {
                    places.insert(entry.key.clone(), entry.value.clone());
                }
            }
        }
        let expect = Expect::NotNewerThan(read_ts);
        broadcast::put(txn, table, entry.key, entry.value, expect)?;
    }
    Ok(None)
}
