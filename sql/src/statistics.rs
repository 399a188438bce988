//! ANALYZE TABLE: how many rows a table has, and how many different values its columns and indexes.
//!
//! ```text
//! rows of all shards, page by page ──> count
//!                                  └─> hash of each column, of each run of leading index columns ──> sketch ──> distinct values
//! ```
//!
//! A sketch keeps the smallest hashes it has seen. As long as it has all of them it knows the number; afterwards the largest one
//! kept tells how densely they lie, and so how many there are (within some 3 %). So all rows count, and memory does not grow
//! with the table.
//!
//! All is read at one point in time, and beside the session's transaction: what that has not committed plays no part. Of a broadcast
//! table the first copy is read.
//!
//! Not here: what is stored (`catalog::statistics`), and who stores it (`ddl::statistics`).

use crate::Result;
use crate::broadcast;
use crate::catalog::{ColumnStatistics, IndexStatistics, TableDef, TableStatistics};
use crate::context::EvalContext;
use crate::table_codec;
use crate::value::Value;
use base::KeyRange;
use base::limits::ANALYZE_HASHES_MAX;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use txn::transaction::{Mode, ScanOptions};
use txn::{ShardClient, Transaction};

/// Reads a table and counts.
pub(crate) async fn collect(
    table: &Arc<TableDef>,
    client: &Arc<dyn ShardClient>,
    ctx: &EvalContext,
) -> Result<TableStatistics> {
    let mut transaction = Transaction::begin(client.clone(), Mode::Snapshot);
    transaction.pin().await?;
    let mut count = Count::of(table);
    let first = broadcast::slots(table).next();
    for id in table.key_ids() {
        let range = KeyRange::prefix(table_codec::key_prefix(table, id, table.primary(), &[])?);
        let slots = first.map(|slot| broadcast::only([slot]));
        let options = ScanOptions { slots, ..ScanOptions::default() };
        let mut scan = transaction.scan(range, options).await?;
        while let Some(page) = scan.next_page().await? {
            ctx.check_cancel()?;
            for (_, bytes) in page {
                count.row(table, &table_codec::decode_all(table, &bytes)?)?;
            }
        }
    }
    Ok(count.finish(table, ctx.now_unix_micros / 1_000_000))
}

/// What is counted of a table.
struct Count {
    rows: u64,
    /// Of each index, for each run of leading columns.
    indexes: Vec<Vec<Sketch>>,
    /// Of each column, and its NULLs.
    columns: Vec<(Sketch, u64)>,
}

impl Count {
    fn of(table: &TableDef) -> Count {
        let sketches =
            |columns: usize| -> Vec<Sketch> { (0..columns).map(|_| Sketch::default()).collect() };
        Count {
            rows: 0,
            indexes: table.indexes.iter().map(|index| sketches(index.columns.len())).collect(),
            columns: table.columns.iter().map(|_| (Sketch::default(), 0)).collect(),
        }
    }

    fn row(&mut self, table: &TableDef, row: &[Value]) -> Result<()> {
        self.rows += 1;
        for (index, sketches) in table.indexes.iter().zip(&mut self.indexes) {
            let values: Vec<Value> =
                index.columns.iter().map(|part| row[part.column].clone()).collect();
            for (last, sketch) in sketches.iter_mut().enumerate() {
                // Equal under the index is what has the same key; the id plays no part.
                let key = table_codec::key_prefix(table, table.id, index, &values[..=last])?;
                sketch.add(&key);
            }
        }
        for ((value, column), (sketch, nulls)) in
            row.iter().zip(&table.columns).zip(&mut self.columns)
        {
            if value.is_null() {
                *nulls += 1;
                continue;
            }
            for part in table_codec::equal_parts(value, &column.ty, None) {
                sketch.add(&part);
            }
        }
        Ok(())
    }

    fn finish(self, table: &TableDef, analyzed_unix: u64) -> TableStatistics {
        let rows = self.rows;
        let estimate = |sketch: &Sketch| sketch.estimate().min(rows);
        let indexes = table.indexes.iter().zip(&self.indexes);
        let columns = table.columns.iter().zip(&self.columns);
        TableStatistics {
            table: table.id,
            rows,
            analyzed_unix,
            indexes: indexes
                .map(|(index, sketches)| IndexStatistics {
                    id: index.id,
                    distinct: sketches.iter().map(estimate).collect(),
                })
                .collect(),
            columns: columns
                .map(|(column, (sketch, nulls))| ColumnStatistics {
                    ordinal: column.ordinal,
                    distinct: estimate(sketch),
                    nulls: *nulls,
                })
                .collect(),
        }
    }
}

/// The smallest hashes of values.
#[derive(Default)]
struct Sketch {
    hashes: BTreeSet<u64>,
}

impl Sketch {
    fn add(&mut self, value: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(value);
        let hash = hasher.finish();
        if self.hashes.len() == ANALYZE_HASHES_MAX && self.hashes.last().is_some_and(|l| hash >= *l)
        {
            return;
        }
        self.hashes.insert(hash);
        if self.hashes.len() > ANALYZE_HASHES_MAX {
            self.hashes.pop_last();
        }
    }

    /// How many different values there were.
    fn estimate(&self) -> u64 {
        let kept = self.hashes.len();
        match self.hashes.last() {
            Some(largest) if kept == ANALYZE_HASHES_MAX => {
                let share = (*largest as f64 + 1.0) / (u64::MAX as f64);
                ((kept - 1) as f64 / share).round() as u64
            }
            _ => kept as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(values: u64) -> Sketch {
        let mut sketch = Sketch::default();
        for value in (0..values).chain(0..values) {
            sketch.add(&value.to_be_bytes());
        }
        sketch
    }

    #[test]
    fn few_values_are_counted() {
        assert_eq!(sketch(0).estimate(), 0);
        assert_eq!(sketch(1).estimate(), 1);
        assert_eq!(sketch(1000).estimate(), 1000);
    }

    #[test]
    fn many_values_are_estimated() {
        let estimate = sketch(100_000).estimate();
        assert!((85_000..115_000).contains(&estimate), "{estimate}");
        assert!(sketch(100_000).hashes.len() <= ANALYZE_HASHES_MAX);
    }
}
