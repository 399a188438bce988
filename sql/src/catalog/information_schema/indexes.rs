//! STATISTICS: the columns of indexes.
//!
//! Not here: histograms (`column_statistics`).

use super::{VirtualTable, all_tables, long_text, name_type, number, table, text};
use crate::catalog::{Catalog, DeclaredKind, IndexDef, TableDef, TableStatistics};
use crate::collation::CollationId;
use crate::types::SqlType;
use crate::value::{Row, Value};
use std::sync::Arc;

/// The rows of STATISTICS for one table: one per column of each index. Cardinality is what ANALYZE TABLE has found.
pub(crate) fn statistics_rows(table: &TableDef, known: Option<&TableStatistics>) -> Vec<Row> {
    let mut rows = Vec::new();
    for index in shown_indexes(table) {
        let included = included_text(table, index);
        for (sequence, part) in index.columns.iter().enumerate() {
            let column = &table.columns[part.column];
            let distinct = known.and_then(|known| known.distinct(index, sequence + 1));
            rows.push(vec![
                text("def"),
                text(&table.database),
                text(&table.name),
                Value::Int(i64::from(!index.unique)),
                text(&table.database),
                text(&index.name),
                Value::UInt(sequence as u64 + 1),
                text(&column.name),
                text(if part.descending { "D" } else { "A" }),
                distinct.map_or(Value::Null, Value::UInt),
                part.prefix.map_or(Value::Null, |length| Value::UInt(u64::from(length))),
                Value::Null,
                text(if column.ty.nullable { "YES" } else { "" }),
                text("BTREE"),
                text(&included),
                text(&index.comment),
                text("YES"),
                Value::Null,
            ]);
        }
    }
    for key in &table.declared {
        let (collation, part) = match key.kind {
            DeclaredKind::Fulltext => (Value::Null, Value::Null),
            // Of a place a box of 32 bytes would be in the index.
            DeclaredKind::Spatial => (text("A"), Value::UInt(32)),
        };
        for (sequence, column) in key.columns.iter().enumerate() {
            let column = &table.columns[*column];
            rows.push(vec![
                text("def"),
                text(&table.database),
                text(&table.name),
                Value::Int(1),
                text(&table.database),
                text(&key.name),
                Value::UInt(sequence as u64 + 1),
                text(&column.name),
                collation.clone(),
                Value::Null,
                part.clone(),
                Value::Null,
                text(if column.ty.nullable { "YES" } else { "" }),
                text(key.kind.name()),
                text(""),
                text(&key.comment),
                text("YES"),
                Value::Null,
            ]);
        }
    }
    rows
}

/// What the column COMMENT says of an index: its included columns are no parts of its key and have no rows.
fn included_text(table: &TableDef, index: &IndexDef) -> String {
    let names = index.included.iter().map(|column| table.columns[*column].name.as_str());
    match names.collect::<Vec<_>>().join(",") {
        names if names.is_empty() => names,
        names => format!("INCLUDE ({names})"),
    }
}

pub(super) fn statistics(catalog: &Catalog) -> VirtualTable {
    let rows = |table: &Arc<TableDef>| statistics_rows(table, catalog.statistics().get(&table.id));
    let rows = all_tables(catalog).flat_map(rows).collect();
    table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("NON_UNIQUE", SqlType::int()),
            ("INDEX_SCHEMA", name_type()),
            ("INDEX_NAME", name_type()),
            ("SEQ_IN_INDEX", number()),
            ("COLUMN_NAME", name_type()),
            ("COLLATION", name_type()),
            ("CARDINALITY", number()),
            ("SUB_PART", number()),
            ("PACKED", name_type()),
            ("NULLABLE", name_type()),
            ("INDEX_TYPE", name_type()),
            ("COMMENT", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("INDEX_COMMENT", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("IS_VISIBLE", name_type()),
            ("EXPRESSION", long_text()),
        ],
        rows,
    )
}

/// Indexes as they were declared: without a hidden row id and implicit entries.
pub(crate) fn shown_indexes(table: &TableDef) -> impl Iterator<Item = &IndexDef> {
    table.indexes.iter().filter(|index| !index.implicit && !index.name.is_empty())
}
