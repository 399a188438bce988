//! Reads a table the way an [`Access`] says.
//!
//! ```text
//! rows by key          keys ─────────────── multi-get ──> rows
//! index points, range  index entries ─ row keys ─ multi-get ──> rows
//! the same, carried    index entries ───────────────────────> rows (only the columns that entries carry)
//! primary range, full  scan ──────────────────────────> rows
//! several partitions   their scans, one after the other
//! ```
//!
//! Invariants:
//! 1. No row comes twice: points of one access never overlap.
//! 2. Index entries and rows are read at the same read point, so that each entry has its row.
//! 3. A scan runs without its transaction; only lookups by key borrow it, page by page.
//! 4. Of a broadcast table one copy is read, entries and rows, whatever slots the statement may see.
//!
//! Not here: conditions. Whoever reads checks all of them again.

use super::{Access, IndexPoint, PlacedRange};
use crate::broadcast;
use crate::catalog::TableDef;
use crate::value::Value;
use crate::{Error, Result, table_codec};
use base::{KeyRange, Slot, SlotFilter, TableId};
use bytes::Bytes;
use engine::key::slot_of_key;
use futures::future::try_join_all;
use std::collections::VecDeque;
use std::sync::Arc;
use txn::Transaction;
use txn::transaction::{Scan, ScanOptions};

/// Row keys looked up in one round of messages.
const LOOKUP_ROWS: usize = 1024;
/// Index points scanned at the same time.
const POINTS_AT_ONCE: usize = 16;

/// What a reader may rely on and what it may leave out.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Rows come in the order of the key that is walked; else as shards answer.
    pub ordered: bool,
    /// That order, descending.
    pub reverse: bool,
    /// Most rows that are wanted.
    pub limit: Option<usize>,
    /// A key whose shard holds every row that can match (`super::shard_of`).
    pub shard: Option<Bytes>,
    /// Only rows of these slots; `None` for all. Of a broadcast table, all rows in any case.
    pub slots: Option<SlotFilter>,
    /// Of a broadcast table the copy on this node is read, if there is one; else the first copy, whose keys are locked and
    /// written.
    pub near: bool,
    /// Entries of the index carry all columns that are wanted (`super::carries`): rows are not looked up, and have no others.
    pub carried: bool,
}

/// Rows of a table, page by page.
pub struct RowReader {
    table: Arc<TableDef>,
    wanted: Vec<usize>,
    source: Source,
    options: ReadOptions,
    /// The slot of the copy that is read of a broadcast table.
    copy: Option<Slot>,
}

/// Where the next page comes from.
enum Source {
    /// Row keys to look up.
    Rows(VecDeque<Bytes>),
    /// Rows themselves: of one range, or of one for each partition. All are open from the start, so that none sees what
    /// the statement writes.
    Scans(VecDeque<Scan>),
    /// Rows of several narrow ranges.
    Ranges(VecDeque<PlacedRange>),
    /// Index entries, then their rows.
    Index {
        /// Position of the index in the table.
        index: usize,
        /// Entries known by their whole key.
        entries: VecDeque<Bytes>,
        /// Scans over entries, not all of them started.
        scans: VecDeque<PlacedRange>,
        /// Scans that run, the first one first.
        running: VecDeque<Scan>,
        /// Row keys that wait for their lookup.
        keys: VecDeque<Bytes>,
        /// Where each column stands among the carried ones, when rows are not looked up.
        carried: Option<Vec<Option<usize>>>,
    },
}

/// Starts reading. `wanted` are the columns that [`RowReader::next_page`] fills.
pub async fn read(
    access: &Access,
    table: &Arc<TableDef>,
    wanted: &[usize],
    options: ReadOptions,
    transaction: &mut Transaction,
) -> Result<RowReader> {
    let mut options = options;
    let copy = broadcast::slot_to_read(table, options.near, &**transaction.client())?;
    let moved = copy.map(|slot| access.in_copy(slot));
    let access = moved.as_ref().unwrap_or(access);
    if let Some(slot) = copy {
        options.shard = Some(table_codec::key_in_slot(table, slot));
        options.slots = Some(broadcast::only([slot]));
    }
    if let Access::Index { index, .. } | Access::IndexRange { index, .. } = access
        && table.indexes[*index].global
    {
        // Its entries are placed by their own columns, not with the rows.
        options.shard = None;
        if options.slots.is_some() {
            // Any number of entries may lead to rows that are not wanted.
            options.limit = None;
        }
    }
    let slots = options.slots.as_ref();
    let source = match access {
        Access::Nothing => Source::Rows(VecDeque::new()),
        // The shard with all of the rows has none in these slots.
        _ if !may_have(options.shard.as_ref(), slots) => Source::Rows(VecDeque::new()),
        Access::Rows(keys) => {
            let mut keys: VecDeque<Bytes> = in_slots(keys.iter().cloned(), slots);
            if options.reverse {
                keys = keys.into_iter().rev().collect();
            }
            Source::Rows(keys)
        }
        Access::Full => {
            let range = whole(table, table.rows)?;
            Source::Scans(open([range], &scan_options(&options), transaction).await?)
        }
        Access::Partitions(ids) => {
            let ranges = ids.iter().map(|id| whole(table, *id)).collect::<Result<Vec<_>>>()?;
            Source::Scans(open(ranges, &scan_options(&options), transaction).await?)
        }
        Access::PrimaryRange(ranges) => {
            let has_some = |range: &&PlacedRange| may_have(range.shard.as_ref(), slots);
            let mut scans: VecDeque<PlacedRange> =
                ranges.iter().filter(has_some).cloned().collect();
            if scans_at_once(table, scans.len()) {
                Source::Scans(open(scans, &scan_options(&options), transaction).await?)
            } else {
                if options.reverse {
                    scans.make_contiguous().reverse();
                }
                Source::Ranges(scans)
            }
        }
        Access::IndexRange { index, ranges } => Source::Index {
            index: *index,
            entries: VecDeque::new(),
            scans: VecDeque::new(),
            running: {
                let ranges: Vec<_> = ranges.iter().cloned().map(PlacedRange::from).collect();
                open(ranges, &entry_options(&options, table, *index), transaction).await?
            },
            keys: VecDeque::new(),
            carried: carried_places(&options, table, *index),
        },
        Access::Index { index, points } => {
            let mut points: Vec<&IndexPoint> = points.iter().collect();
            if options.reverse {
                points.reverse();
            }
            // Entries of a global index do not lie in the slots of their rows: those are looked at later.
            let slots = slots.filter(|_| !table.indexes[*index].global);
            let entries = in_slots(points.iter().filter_map(|point| point.entry.clone()), slots);
            let scans = points
                .into_iter()
                .filter(|point| point.entry.is_none() && may_have(point.shard.as_ref(), slots))
                .map(|point| PlacedRange::from(point.clone()))
                .collect();
            let (running, keys) = (VecDeque::new(), VecDeque::new());
            let carried = carried_places(&options, table, *index);
            Source::Index { index: *index, entries, scans, running, keys, carried }
        }
    };
    Ok(RowReader { table: table.clone(), wanted: wanted.to_vec(), source, options, copy })
}

fn carried_places(
    options: &ReadOptions,
    table: &TableDef,
    index: usize,
) -> Option<Vec<Option<usize>>> {
    options.carried.then(|| table_codec::carried_places(table, &table.indexes[index]))
}

/// All rows under an id.
fn whole(table: &TableDef, id: TableId) -> Result<PlacedRange> {
    let prefix = table_codec::key_prefix(table, id, table.primary(), &[])?;
    Ok(KeyRange::prefix(prefix).into())
}

/// Whether the scans of so many ranges of the primary key are all opened before the first page: one for each partition.
pub(crate) fn scans_at_once(table: &TableDef, ranges: usize) -> bool {
    ranges <= table.partitioning.as_ref().map_or(1, |by| by.partitions.len())
}

async fn open(
    ranges: impl IntoIterator<Item = PlacedRange>,
    options: &ScanOptions,
    transaction: &mut Transaction,
) -> Result<VecDeque<Scan>> {
    let mut scans = VecDeque::new();
    for range in ranges {
        scans.push_back(start(range, options.clone(), transaction).await?);
    }
    Ok(scans)
}

/// The next page of scans that run one after the other.
async fn next_of(scans: &mut VecDeque<Scan>) -> Result<Option<Vec<(Bytes, Bytes)>>> {
    while let Some(scan) = scans.front_mut() {
        if let Some(page) = scan.next_page().await? {
            return Ok(Some(page));
        }
        scans.pop_front();
    }
    Ok(None)
}

fn scan_options(options: &ReadOptions) -> ScanOptions {
    ScanOptions {
        reverse: options.reverse,
        limit: options.limit,
        shard: options.shard.clone(),
        ordered: options.ordered,
        slots: options.slots.clone(),
    }
}

/// The same for entries of an index: those of a global one do not lie in the slots of their rows.
fn entry_options(options: &ReadOptions, table: &TableDef, index: usize) -> ScanOptions {
    let slots = options.slots.clone().filter(|_| !table.indexes[index].global);
    ScanOptions { slots, ..scan_options(options) }
}

/// Starts the scan of a range: of its own shard, when that is known.
async fn start(
    placed: PlacedRange,
    options: ScanOptions,
    transaction: &mut Transaction,
) -> Result<Scan> {
    let shard = placed.shard.or(options.shard);
    Ok(transaction.scan(placed.range, ScanOptions { shard, ..options }).await?)
}

/// Whether rows of the shard of a key may be in these slots. All rows that are meant share the key's slot.
fn may_have(shard: Option<&Bytes>, slots: Option<&SlotFilter>) -> bool {
    shard.is_none_or(|key| is_inside(slots, key))
}

/// The keys in these slots, in their order.
fn in_slots(keys: impl Iterator<Item = Bytes>, slots: Option<&SlotFilter>) -> VecDeque<Bytes> {
    keys.filter(|key| is_inside(slots, key)).collect()
}

/// Whether a row's key lies in a wanted slot. One that has none is passed on: whoever reads it finds it corrupt.
pub(crate) fn is_inside(slots: Option<&SlotFilter>, key: &[u8]) -> bool {
    slots.is_none_or(|slots| slot_of_key(key).map_or(true, |slot| slots.contains(slot)))
}

impl RowReader {
    /// The next rows: row key, and one value per column of the table, those that are not wanted NULL.
    /// `None` at the end. A TIMESTAMP is in UTC, as stored.
    pub async fn next_page(
        &mut self,
        transaction: &mut Transaction,
    ) -> Result<Option<Vec<(Bytes, Vec<Value>)>>> {
        let Some(page) = self.next_encoded(Some(transaction)).await? else { return Ok(None) };
        let mut rows = Vec::with_capacity(page.len());
        for (key, value) in page {
            let row = table_codec::decode_row(&self.table, &value, &self.wanted)?;
            rows.push((key, row));
        }
        Ok(Some(rows))
    }

    /// Whether the next page needs the transaction.
    pub(crate) fn needs_transaction(&self) -> bool {
        match &self.source {
            Source::Scans(_) => false,
            Source::Rows(keys) => !keys.is_empty(),
            Source::Ranges(_) | Source::Index { .. } => true,
        }
    }

    /// The next rows as stored. The transaction may be left out when [`Self::needs_transaction`] is
    /// false.
    pub(crate) async fn next_encoded(
        &mut self,
        transaction: Option<&mut Transaction>,
    ) -> Result<Option<Vec<(Bytes, Bytes)>>> {
        match (&mut self.source, transaction) {
            (Source::Scans(scans), _) => next_of(scans).await,
            (Source::Rows(keys), None) if keys.is_empty() => Ok(None),
            (Source::Rows(keys), Some(transaction)) => {
                while !keys.is_empty() {
                    let chunk: Vec<Bytes> = keys.drain(..keys.len().min(LOOKUP_ROWS)).collect();
                    let found = transaction.multi_get(&chunk).await?;
                    let rows: Vec<_> = chunk
                        .into_iter()
                        .zip(found)
                        .filter_map(|(key, value)| Some((key, value?)))
                        .collect();
                    if !rows.is_empty() {
                        return Ok(Some(rows));
                    }
                }
                Ok(None)
            }
            (Source::Ranges(ranges), Some(transaction)) => {
                while !ranges.is_empty() {
                    let count = ranges.len().min(POINTS_AT_ONCE);
                    let mut started = Vec::with_capacity(count);
                    for range in ranges.drain(..count) {
                        started.push(start(range, scan_options(&self.options), transaction).await?);
                    }
                    let pages = try_join_all(started.into_iter().map(drain)).await?;
                    let rows: Vec<_> = pages.into_iter().flatten().collect();
                    if !rows.is_empty() {
                        return Ok(Some(rows));
                    }
                }
                Ok(None)
            }
            (Source::Index { .. }, Some(transaction)) => self.next_by_index(transaction).await,
            (_, None) => Err(Error::internal("a lookup needs its transaction")),
        }
    }

    async fn next_by_index(
        &mut self,
        transaction: &mut Transaction,
    ) -> Result<Option<Vec<(Bytes, Bytes)>>> {
        let Source::Index { index, entries, scans, running, keys, carried } = &mut self.source
        else {
            return Err(Error::internal("not an index access"));
        };
        let options = entry_options(&self.options, &self.table, *index);
        let index = &self.table.indexes[*index];
        while keys.is_empty() {
            let page: Vec<(Bytes, Bytes)> = if !entries.is_empty() {
                let chunk: Vec<Bytes> = entries.drain(..entries.len().min(LOOKUP_ROWS)).collect();
                let found = transaction.multi_get(&chunk).await?;
                let pairs = chunk.into_iter().zip(found);
                pairs.filter_map(|(entry, value)| Some((entry, value?))).collect()
            } else if let Some(page) = next_of(running).await? {
                page
            } else if !scans.is_empty() {
                let count = scans.len().min(POINTS_AT_ONCE);
                let mut started = Vec::with_capacity(count);
                for range in scans.drain(..count) {
                    started.push(start(range, options.clone(), transaction).await?);
                }
                let pages = try_join_all(started.into_iter().map(drain)).await?;
                pages.into_iter().flatten().collect()
            } else {
                return Ok(None);
            };
            let mut rows = Vec::new();
            for (entry, value) in page {
                let mut key =
                    table_codec::row_key_from_index_entry(&self.table, index, &entry, &value)?;
                if let Some(slot) = self.copy {
                    // Entries name the rows of the first copy.
                    key = broadcast::in_slot(&key, slot);
                }
                if !is_inside(self.options.slots.as_ref(), &key) {
                    continue;
                }
                match carried.as_deref() {
                    Some(places) => {
                        let row = table_codec::carried_row(&self.table, index, places, &value)?;
                        rows.push((key, row));
                    }
                    None => keys.push_back(key),
                }
            }
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
        let chunk: Vec<Bytes> = keys.drain(..keys.len().min(LOOKUP_ROWS)).collect();
        let found = transaction.multi_get(&chunk).await?;
        let mut rows = Vec::with_capacity(chunk.len());
        for (key, value) in chunk.into_iter().zip(found) {
            let value = value.ok_or_else(|| {
                Error::storage(format!(
                    "index {} of table {} has an entry without its row",
                    index.name,
                    self.table.qualified_name()
                ))
            })?;
            rows.push((key, value));
        }
        Ok(Some(rows))
    }
}

/// All entries of a scan. Points are narrow: equal values of an index.
async fn drain(mut scan: Scan) -> Result<Vec<(Bytes, Bytes)>> {
    let mut entries = Vec::new();
    while let Some(mut page) = scan.next_page().await? {
        entries.append(&mut page);
    }
    Ok(entries)
}
