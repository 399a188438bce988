//! Whether the rows of a table and the entries of its indexes fit each other.
//!
//! ```text
//!  rows, of all shards    ── the entries that they should have ── looked up by key ──> missing
//!  entries, of all shards ── the rows that they lead to ───────── looked up by key ──> orphaned, different
//! ```
//!
//! Of a broadcast table that is done with the first copy; then each of its keys is compared with those of the other copies, and theirs
//! with it.
//!
//! All of it is read at one point in time, so writes that go on meanwhile play no part. Pages of the shards and one batch of
//! look-ups are in memory, whatever the size of the table. Of a partitioned table, all partitions are walked.
//!
//! Invariants:
//! 1. The first walk counts rows that no entry leads to, the second entries that are no row's: one damage may be both.
//! 2. A report without differences means that each row has exactly its entries, and each entry its row, at that point; in every
//!    copy of a broadcast table.
//!
//! Not here: whether replicas of a shard hold the same (ADMIN CHECKSUM CLUSTER), mending.

use crate::activity::key_values;
use crate::broadcast;
use crate::catalog::TableDef;
use crate::context::EvalContext;
use crate::table_codec::{self, IndexEntry};
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::limits::{CHECK_DIFFERENCES_SHOWN, GET_KEYS_MAX};
use base::{KeyRange, Slot, SlotFilter, TableId};
use bytes::Bytes;
use engine::key::slot_of_key;
use std::sync::Arc;
use txn::transaction::{Mode, Scan, ScanOptions};
use txn::{ShardClient, Transaction};

/// Characters of a value that a difference shows.
const VALUE_CHARS_MAX: usize = 64;

/// What was found in a table.
#[derive(Debug)]
pub(crate) struct TableReport {
    /// Rows that were read.
    pub(crate) rows: u64,
    /// Rows under another key than their columns give.
    pub(crate) misplaced: u64,
    /// Keys that are not the same in all copies of a broadcast table, each once for each copy that differs from the first.
    pub(crate) copies: u64,
    /// What was found in each index that was looked at.
    pub(crate) indexes: Vec<IndexReport>,
    /// The first differences, each a sentence that names the key columns.
    pub(crate) differences: Vec<String>,
}

/// What was found in an index.
#[derive(Debug, Default)]
pub(crate) struct IndexReport {
    /// Position in the table.
    pub(crate) index: usize,
    /// Entries that were read.
    pub(crate) entries: u64,
    /// Rows that their entry does not lead to, or that have none.
    pub(crate) missing: u64,
    /// Entries that lead to a row with other values, or carry other values than their row has.
    pub(crate) different: u64,
    /// Entries that lead to no row.
    pub(crate) orphaned: u64,
}

impl IndexReport {
    /// Differences of all kinds.
    fn differences(&self) -> u64 {
        self.missing + self.different + self.orphaned
    }
}

impl TableReport {
    /// Differences of all kinds.
    pub(crate) fn count(&self) -> u64 {
        self.misplaced
            + self.copies
            + self.indexes.iter().map(IndexReport::differences).sum::<u64>()
    }

    /// How many there are of each kind.
    pub(crate) fn summary(&self) -> String {
        let sum = |figure: fn(&IndexReport) -> u64| self.indexes.iter().map(figure).sum::<u64>();
        let summary = format!(
            "{} entries missing, {} entries without a row, {} entries that do not fit their row, {} rows under a wrong key",
            sum(|index| index.missing),
            sum(|index| index.orphaned),
            sum(|index| index.different),
            self.misplaced,
        );
        match self.copies {
            0 => summary,
            copies => format!("{summary}, {copies} keys that differ between copies"),
        }
    }

    /// Keeps a sentence about a difference while there is room.
    fn note(&mut self, sentence: impl FnOnce() -> String) {
        if self.differences.len() < CHECK_DIFFERENCES_SHOWN {
            self.differences.push(sentence());
        }
    }
}

/// Checks the indexes at these positions (without 0: that is the rows) against the rows of a table.
pub(crate) async fn check(
    table: &Arc<TableDef>,
    indexes: &[usize],
    client: &Arc<dyn ShardClient>,
    ctx: &EvalContext,
) -> Result<TableReport> {
    let report = TableReport {
        rows: 0,
        misplaced: 0,
        copies: 0,
        indexes: indexes
            .iter()
            .map(|&index| IndexReport { index, ..IndexReport::default() })
            .collect(),
        differences: Vec::new(),
    };
    let transaction = Transaction::begin(client.clone(), Mode::Snapshot);
    let mut walk = Walk { table, ctx, transaction, report };
    walk.transaction.pin().await?;
    walk.rows().await?;
    for place in 0..indexes.len() {
        walk.entries(place).await?;
    }
    walk.copies().await?;
    Ok(walk.report)
}

/// A check that runs.
struct Walk<'a> {
    table: &'a Arc<TableDef>,
    ctx: &'a EvalContext,
    /// Its read point is the check's.
    transaction: Transaction,
    report: TableReport,
}

impl Walk<'_> {
    /// From the rows to their entries.
    async fn rows(&mut self) -> Result<()> {
        let per_row = self.report.indexes.len().max(1);
        for id in self.table.key_ids() {
            let mut scan = self.scan(id, 0).await?;
            while let Some(page) = scan.next_page().await? {
                for batch in page.chunks((GET_KEYS_MAX / per_row).max(1)) {
                    self.ctx.check_cancel()?;
                    self.row_batch(batch).await?;
                }
            }
        }
        Ok(())
    }

    /// All keys of the index at this position, under the table's id or that of one of its partitions; of a broadcast table those of
    /// the first copy.
    async fn scan(&mut self, id: TableId, position: usize) -> Result<Scan> {
        let first = broadcast::slots(self.table).next();
        self.scan_slots(id, position, first.map(|slot| broadcast::only([slot]))).await
    }

    /// The same of some slots; of all without any.
    async fn scan_slots(
        &mut self,
        id: TableId,
        position: usize,
        slots: Option<SlotFilter>,
    ) -> Result<Scan> {
        let index = &self.table.indexes[position];
        let range = KeyRange::prefix(table_codec::key_prefix(self.table, id, index, &[])?);
        let options = ScanOptions { slots, ..ScanOptions::default() };
        Ok(self.transaction.scan(range, options).await?)
    }

    async fn row_batch(&mut self, batch: &[(Bytes, Bytes)]) -> Result<()> {
        // Each row, and the key that it should have.
        let mut rows: Vec<(Row, Bytes)> = Vec::with_capacity(batch.len());
        // For each expected entry: the place of its index in the report, the number of its row.
        let mut expected: Vec<(usize, usize, IndexEntry)> = Vec::new();
        for (number, (key, value)) in batch.iter().enumerate() {
            let row = table_codec::decode_all(self.table, value)?;
            self.report.rows += 1;
            let own_key = table_codec::row_key(self.table, &row)?;
            if own_key != *key {
                self.report.misplaced += 1;
                let row = self.row_name(&row);
                self.report.note(|| format!("{row} stands under the key of another row"));
            }
            for (place, index) in self.report.indexes.iter().enumerate() {
                let entry = table_codec::index_entry(self.table, index.index, &row)?;
                expected.push((place, number, entry));
            }
            rows.push((row, own_key));
        }
        let keys: Vec<Bytes> = expected.iter().map(|(_, _, entry)| entry.key.clone()).collect();
        let found = self.transaction.multi_get(&keys).await?;
        for ((place, number, entry), found) in expected.into_iter().zip(found) {
            let (row, row_key) = &rows[number];
            let index = &self.table.indexes[entry.index];
            let leads_to = |value: &Bytes| {
                table_codec::row_key_from_index_entry(self.table, index, &entry.key, value)
            };
            let is_there = found.is_some();
            let leads_here = found
                .as_ref()
                .is_some_and(|value| leads_to(value).is_ok_and(|key| key == *row_key));
            let carries_all = index.included.is_empty() || found.as_ref() == Some(&entry.value);
            if leads_here && carries_all {
                continue;
            }
            let (index, values) = (self.index_name(place), self.named(entry.index, row));
            let row = self.row_name(row);
            if leads_here {
                self.report.indexes[place].different += 1;
                self.report.note(|| {
                    format!("the entry {values} of index {index} carries other values than {row}")
                });
                continue;
            }
            self.report.indexes[place].missing += 1;
            self.report.note(|| match is_there {
                true => format!("the entry {values} of index {index} does not lead to {row}"),
                false => format!("index {index} lacks the entry {values} of {row}"),
            });
        }
        Ok(())
    }

    /// From the entries of an index to their rows.
    async fn entries(&mut self, place: usize) -> Result<()> {
        for id in self.table.key_ids() {
            let mut scan = self.scan(id, self.report.indexes[place].index).await?;
            while let Some(page) = scan.next_page().await? {
                for batch in page.chunks(GET_KEYS_MAX) {
                    self.ctx.check_cancel()?;
                    self.entry_batch(place, batch).await?;
                }
            }
        }
        Ok(())
    }

    async fn entry_batch(&mut self, place: usize, batch: &[(Bytes, Bytes)]) -> Result<()> {
        let position = self.report.indexes[place].index;
        let index = &self.table.indexes[position];
        self.report.indexes[place].entries += batch.len() as u64;
        let mut entries: Vec<&Bytes> = Vec::with_capacity(batch.len());
        let mut rows: Vec<Bytes> = Vec::with_capacity(batch.len());
        for (entry, value) in batch {
            match table_codec::row_key_from_index_entry(self.table, index, entry, value) {
                Ok(row) => {
                    entries.push(entry);
                    rows.push(row);
                }
                Err(_) => {
                    self.report.indexes[place].different += 1;
                    let (index, entry) = (self.index_name(place), self.key_name(position, entry));
                    self.report.note(|| format!("the entry {entry} of index {index} names no row"));
                }
            }
        }
        let found = self.transaction.multi_get(&rows).await?;
        for ((entry, row_key), row) in entries.into_iter().zip(&rows).zip(found) {
            let Some(row) = row else {
                self.report.indexes[place].orphaned += 1;
                let (index, entry) = (self.index_name(place), self.key_name(position, entry));
                let row = self.key_name(0, row_key);
                self.report.note(|| {
                    format!(
                        "the entry {entry} of index {index} leads to row {row}, which is not there"
                    )
                });
                continue;
            };
            let row = table_codec::decode_all(self.table, &row)?;
            // Where the key is right, the first walk has looked at the rest of the entry.
            if table_codec::index_entry(self.table, position, &row)?.key != *entry {
                self.report.indexes[place].different += 1;
                let (index, entry) = (self.index_name(place), self.key_name(position, entry));
                let row = self.row_name(&row);
                self.report.note(|| {
                    format!(
                        "the entry {entry} of index {index} leads to {row}, which has other values"
                    )
                });
            }
        }
        Ok(())
    }

    /// Compares the copies of a broadcast table: rows, and entries of the indexes that are looked at.
    async fn copies(&mut self) -> Result<()> {
        let Some(first) = broadcast::slots(self.table).next() else { return Ok(()) };
        let others: Vec<Slot> = broadcast::others(self.table).collect();
        let mut places: Vec<(usize, TableId)> = Vec::new();
        for id in self.table.key_ids() {
            places.push((0, id));
            places.extend(self.report.indexes.iter().map(|index| (index.index, id)));
        }
        for (position, id) in places {
            let mut scan = self.scan(id, position).await?;
            while let Some(page) = scan.next_page().await? {
                for batch in page.chunks((GET_KEYS_MAX / others.len().max(1)).max(1)) {
                    self.ctx.check_cancel()?;
                    self.copy_batch(position, batch, &others).await?;
                }
            }
            let mut scan = self.scan_slots(id, position, None).await?;
            while let Some(page) = scan.next_page().await? {
                for batch in page.chunks(GET_KEYS_MAX) {
                    self.ctx.check_cancel()?;
                    self.left_over(position, batch, (first, &others)).await?;
                }
            }
        }
        Ok(())
    }

    /// Looks up keys of the first copy in the others.
    async fn copy_batch(
        &mut self,
        position: usize,
        batch: &[(Bytes, Bytes)],
        others: &[Slot],
    ) -> Result<()> {
        let in_others = batch
            .iter()
            .flat_map(|(key, _)| others.iter().map(move |slot| broadcast::in_slot(key, *slot)));
        let keys: Vec<Bytes> = in_others.collect();
        let found = self.transaction.multi_get(&keys).await?;
        let expected =
            batch.iter().flat_map(|(_, value)| others.iter().map(move |slot| (slot, value)));
        for ((key, found), (slot, value)) in keys.iter().zip(found).zip(expected) {
            if found.as_ref() == Some(value) {
                continue;
            }
            let what = self.key_of(position, key);
            self.report.copies += 1;
            self.report.note(|| match found {
                Some(_) => {
                    format!("the copy in slot {slot} has another {what} than the first copy")
                }
                None => format!("the copy in slot {slot} lacks {what}"),
            });
        }
        Ok(())
    }

    /// Looks up keys of all slots in the first copy.
    async fn left_over(
        &mut self,
        position: usize,
        batch: &[(Bytes, Bytes)],
        (first, others): (Slot, &[Slot]),
    ) -> Result<()> {
        let keys: Vec<Bytes> =
            batch.iter().map(|(key, _)| broadcast::in_slot(key, first)).collect();
        let found = self.transaction.multi_get(&keys).await?;
        for ((key, _), found) in batch.iter().zip(found) {
            let (slot, is_known) = (slot_of_key(key)?, found.is_some());
            let is_of_a_copy = others.contains(&slot);
            if slot == first || is_known && is_of_a_copy {
                continue;
            }
            let what = self.key_of(position, key);
            self.report.copies += 1;
            self.report.note(|| match is_of_a_copy {
                true => format!("the copy in slot {slot} has {what}, which the first copy lacks"),
                false => format!("slot {slot}, which is no copy's, has {what}"),
            });
        }
        Ok(())
    }

    /// What a key stands for, in words.
    fn key_of(&self, position: usize, key: &[u8]) -> String {
        let values = self.key_name(position, key);
        match position {
            0 => format!("row {values}"),
            _ => format!("entry {values} of index {}", self.table.indexes[position].name),
        }
    }

    fn index_name(&self, place: usize) -> String {
        self.table.indexes[self.report.indexes[place].index].name.clone()
    }

    /// A row by its primary key.
    fn row_name(&self, row: &Row) -> String {
        format!("row {}", self.named(0, row))
    }

    /// The columns of an index with a row's values: `(plate='MB1234')`.
    fn named(&self, position: usize, row: &Row) -> String {
        let columns = self.table.indexes[position].columns.iter().map(|part| {
            let column = &self.table.columns[part.column];
            let value = row.get(part.column).unwrap_or(&Value::Null);
            let text = match value.to_text(&column.ty) {
                None => "NULL".to_string(),
                Some(text) if column.ty.is_numeric() => text,
                Some(text) => format!("'{}'", shortened(&text)),
            };
            format!("{}={text}", column.name)
        });
        format!("({})", columns.collect::<Vec<_>>().join(", "))
    }

    /// The same from a key alone. Text is shown as its weights: keys hold nothing else of it.
    fn key_name(&self, position: usize, key: &[u8]) -> String {
        match key_values(self.table, &self.table.indexes[position], key) {
            Ok(values) => {
                let parts = self.table.indexes[position].columns.iter().map(|part| part.column);
                let primary = self.table.primary().columns.iter().map(|part| part.column);
                let named = values.iter().zip(parts.chain(primary)).map(|(value, column)| {
                    format!("{}={}", self.table.columns[column].name, shortened(value))
                });
                format!("({})", named.collect::<Vec<_>>().join(", "))
            }
            // Bytes that are no values of these columns.
            Err(_) => format!("(key {})", shortened(&key.escape_ascii().to_string())),
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// The indexes of a table by a name, the rows (position 0) left out; all of them without a name.
///
/// # Errors
/// 1176 when there is none of this name.
pub(crate) fn positions(table: &TableDef, name: Option<&str>) -> Result<Vec<usize>> {
    let is_meant =
        |own: &str| name.is_none_or(|name| own.eq_ignore_ascii_case(name) && !own.is_empty());
    let found: Vec<usize> =
        (0..table.indexes.len()).filter(|&at| is_meant(&table.indexes[at].name)).collect();
    match (found.is_empty(), name) {
        (true, Some(name)) => Err(Error::no_such_key(name, &table.name)),
        _ => Ok(found.into_iter().filter(|&at| at > 0).collect()),
    }
}
