//! What ANALYZE TABLE has found in tables: how many rows, and how many different values.
//!
//! It is part of the catalog, so that a planner has it without asking anybody, and plans that were made of older statistics are
//! not used again: storing it is a schema change. It is no part of a table's definition: nobody waits for it, and what runs under
//! a definition goes on.
//!
//! Invariants:
//! 1. Statistics are a guess about rows of some time ago: no answer of a query depends on them, only its speed.
//! 2. Indexes and columns are known by what they keep (`IndexDef::id`, `ColumnDef::ordinal`), so one that came later has none.
//!
//! Not here: how they are collected (`crate::statistics`).

use super::{IndexDef, store};
use crate::{Error, Result};
use base::{IndexId, TableId};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use txn::Transaction;

/// Statistics by the ids of their tables.
pub type AllStatistics = BTreeMap<TableId, TableStatistics>;

/// What is known of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStatistics {
    /// The table.
    pub table: TableId,
    /// Its rows.
    pub rows: u64,
    /// Unix seconds when they were counted.
    pub analyzed_unix: u64,
    /// Of its indexes.
    pub indexes: Vec<IndexStatistics>,
    /// Of its columns.
    pub columns: Vec<ColumnStatistics>,
}

/// What is known of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexStatistics {
    /// The index.
    pub id: IndexId,
    /// Different values of its first column, of its first two columns, and so on; NULLs are equal to each other.
    pub distinct: Vec<u64>,
}

/// What is known of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnStatistics {
    /// The column's place in stored rows.
    pub ordinal: usize,
    /// Different values, without NULL.
    pub distinct: u64,
    /// Rows with NULL.
    pub nulls: u64,
}

impl TableStatistics {
    /// Different values of the first `columns` columns of an index; `None` when nothing is known of it.
    pub fn distinct(&self, index: &IndexDef, columns: usize) -> Option<u64> {
        let found = self.indexes.iter().find(|found| found.id == index.id)?;
        found.distinct.get(columns.checked_sub(1)?).copied()
    }

    /// What is known of the column with this place in stored rows.
    pub fn column(&self, ordinal: usize) -> Option<&ColumnStatistics> {
        self.columns.iter().find(|column| column.ordinal == ordinal)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let index = |index: &IndexStatistics| IndexRecord {
            id: u64::from(index.id.0),
            distinct: index.distinct.clone(),
        };
        let column = |column: &ColumnStatistics| ColumnRecord {
            ordinal: column.ordinal as u64,
            distinct: column.distinct,
            nulls: column.nulls,
        };
        StatisticsRecord {
            table: self.table.0,
            rows: self.rows,
            analyzed_unix: self.analyzed_unix,
            indexes: self.indexes.iter().map(index).collect(),
            columns: self.columns.iter().map(column).collect(),
        }
        .encode_to_vec()
    }

    fn decode(record: &[u8]) -> Result<TableStatistics> {
        let corrupt = || Error::storage("corrupt record of statistics");
        let record = StatisticsRecord::decode(record).map_err(|_| corrupt())?;
        let index = |index: IndexRecord| -> Result<IndexStatistics> {
            let id = u32::try_from(index.id).map_err(|_| corrupt())?;
            Ok(IndexStatistics { id: IndexId(id), distinct: index.distinct })
        };
        let column = |column: ColumnRecord| -> Result<ColumnStatistics> {
            let ordinal = usize::try_from(column.ordinal).map_err(|_| corrupt())?;
            Ok(ColumnStatistics { ordinal, distinct: column.distinct, nulls: column.nulls })
        };
        Ok(TableStatistics {
            table: TableId(record.table),
            rows: record.rows,
            analyzed_unix: record.analyzed_unix,
            indexes: record.indexes.into_iter().map(index).collect::<Result<_>>()?,
            columns: record.columns.into_iter().map(column).collect::<Result<_>>()?,
        })
    }
}

/// Statistics on disk (`docs/formats.md`, "Catalog", table 146).
#[derive(Clone, PartialEq, Message)]
struct StatisticsRecord {
    #[prost(uint32, tag = "1")]
    table: u32,
    #[prost(uint64, tag = "2")]
    rows: u64,
    #[prost(uint64, tag = "3")]
    analyzed_unix: u64,
    #[prost(message, repeated, tag = "4")]
    indexes: Vec<IndexRecord>,
    #[prost(message, repeated, tag = "5")]
    columns: Vec<ColumnRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct IndexRecord {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, repeated, tag = "2")]
    distinct: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct ColumnRecord {
    #[prost(uint64, tag = "1")]
    ordinal: u64,
    #[prost(uint64, tag = "2")]
    distinct: u64,
    #[prost(uint64, tag = "3")]
    nulls: u64,
}

/// The key of a table's statistics.
pub(super) fn key(table: TableId) -> Bytes {
    store::meta_key(store::STATISTICS, |key| key.put_u64(u64::from(table.0)))
}

/// All statistics, as a transaction sees them.
pub(super) async fn all_in(txn: &mut Transaction) -> Result<AllStatistics> {
    let decode = |_: &[u8], record: &[u8]| TableStatistics::decode(record);
    let found = store::scan_table(txn, store::STATISTICS, decode).await?;
    Ok(found.into_iter().map(|found| (found.table, found)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let found = TableStatistics {
            table: TableId(1000),
            rows: 7,
            analyzed_unix: 8,
            indexes: vec![IndexStatistics { id: IndexId(2), distinct: vec![3, 7] }],
            columns: vec![ColumnStatistics { ordinal: 1, distinct: 3, nulls: 2 }],
        };
        assert_eq!(TableStatistics::decode(&found.encode()).unwrap(), found);
        assert_eq!(found.column(1).map(|column| column.nulls), Some(2));
        assert!(found.column(0).is_none());
    }
}
