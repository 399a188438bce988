//! TABLES, PARTITIONS and SEQUENCES.
//!
//! Bytes are not counted: those columns are NULL. TABLE_ROWS is what ANALYZE TABLE has found, else NULL, too.

use super::{
    VirtualTable, all_sequences, all_tables, all_views, long_text, moment, name_type, number,
    table, text,
};
use crate::catalog::{Catalog, SequenceDef};
use crate::collation::CollationId;
use crate::show;
use crate::types::SqlType;
use crate::value::{Row, Value};
use base::TableId;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn tables(catalog: &Catalog, numbers: &BTreeMap<TableId, u64>) -> VirtualTable {
    let tables = all_tables(catalog).map(|table| {
        let number = numbers.get(&table.id).map_or(Value::Null, |next| Value::UInt(*next));
        let mut row = vec![text("def"), text(&table.database), text(&table.name)];
        row.extend([text("BASE TABLE"), text("InnoDB"), Value::UInt(10), text("Dynamic")]);
        let rows = catalog.statistics().get(&table.id);
        row.push(rows.map_or(Value::Null, |known| Value::UInt(known.rows)));
        // Bytes are not counted.
        row.extend(vec![Value::Null; 5]);
        row.extend([number, moment(table.created_unix), Value::Null, Value::Null]);
        row.extend([text(table.collation.name()), Value::Null]);
        row.extend([text(table.create_options()), text(&table.comment)]);
        row
    });
    let sequences = all_sequences(catalog).map(|sequence| {
        let mut row = vec![text("def"), text(&sequence.database), text(&sequence.name)];
        row.extend([text("SEQUENCE"), text("InnoDB"), Value::UInt(10), Value::Null]);
        row.extend(vec![Value::Null; 7]);
        row.extend([moment(sequence.created_unix), Value::Null, Value::Null]);
        row.extend([Value::Null, Value::Null, text(""), text("")]);
        row
    });
    let views = all_views(catalog).map(|view| {
        let mut row = vec![text("def"), text(&view.database), text(&view.name), text("VIEW")];
        row.extend(vec![Value::Null; 10]);
        row.push(moment(view.created_unix));
        row.extend(vec![Value::Null; 5]);
        row.push(text("VIEW"));
        row
    });
    let rows = tables.chain(sequences).chain(views).collect();
    self::table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("TABLE_TYPE", name_type()),
            ("ENGINE", name_type()),
            ("VERSION", number()),
            ("ROW_FORMAT", name_type()),
            ("TABLE_ROWS", number()),
            ("AVG_ROW_LENGTH", number()),
            ("DATA_LENGTH", number()),
            ("MAX_DATA_LENGTH", number()),
            ("INDEX_LENGTH", number()),
            ("DATA_FREE", number()),
            ("AUTO_INCREMENT", number()),
            ("CREATE_TIME", SqlType::datetime(0)),
            ("UPDATE_TIME", SqlType::datetime(0)),
            ("CHECK_TIME", SqlType::datetime(0)),
            ("TABLE_COLLATION", name_type()),
            ("CHECKSUM", number()),
            ("CREATE_OPTIONS", SqlType::varchar(256, CollationId::DEFAULT)),
            ("TABLE_COMMENT", long_text()),
        ],
        rows,
    )
}

/// One row for each partition, and one for each table without any. Sizes are not counted.
pub(super) fn partitions(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        let row = |own: [Value; 5], comment: Value| -> Row {
            let [name, position, method, expression, description] = own;
            let mut row = vec![text("def"), text(&table.database), text(&table.name)];
            row.extend([name, Value::Null, position, Value::Null, method, Value::Null]);
            row.extend([expression, Value::Null, description]);
            row.extend(vec![Value::Null; 6]);
            row.extend([moment(table.created_unix), Value::Null, Value::Null, Value::Null]);
            row.extend([comment, Value::Null, Value::Null]);
            row
        };
        let Some(partitioning) = &table.partitioning else {
            rows.push(row([const { Value::Null }; 5], text("")));
            continue;
        };
        for (position, partition) in partitioning.partitions.iter().enumerate() {
            let description = show::partition::description(table, partitioning, partition);
            let own = [
                text(&partition.name),
                Value::UInt(position as u64 + 1),
                text(partitioning.method.name()),
                text(show::partition::expression(table, &partitioning.method)),
                description.map_or(Value::Null, text),
            ];
            rows.push(row(own, text(&partition.comment)));
        }
    }
    table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("PARTITION_NAME", name_type()),
            ("SUBPARTITION_NAME", name_type()),
            ("PARTITION_ORDINAL_POSITION", number()),
            ("SUBPARTITION_ORDINAL_POSITION", number()),
            ("PARTITION_METHOD", SqlType::varchar(13, CollationId::DEFAULT)),
            ("SUBPARTITION_METHOD", SqlType::varchar(13, CollationId::DEFAULT)),
            ("PARTITION_EXPRESSION", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("SUBPARTITION_EXPRESSION", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("PARTITION_DESCRIPTION", long_text()),
            ("TABLE_ROWS", number()),
            ("AVG_ROW_LENGTH", number()),
            ("DATA_LENGTH", number()),
            ("MAX_DATA_LENGTH", number()),
            ("INDEX_LENGTH", number()),
            ("DATA_FREE", number()),
            ("CREATE_TIME", SqlType::datetime(0)),
            ("UPDATE_TIME", SqlType::datetime(0)),
            ("CHECK_TIME", SqlType::datetime(0)),
            ("CHECKSUM", number()),
            ("PARTITION_COMMENT", long_text()),
            ("NODEGROUP", name_type()),
            ("TABLESPACE_NAME", name_type()),
        ],
        rows,
    )
}

/// Sequences, with the columns that TiDB gives them.
pub(super) fn sequences(catalog: &Catalog) -> VirtualTable {
    let row = |sequence: &Arc<SequenceDef>| {
        vec![
            text("def"),
            text(&sequence.database),
            text(&sequence.name),
            Value::Int(i64::from(sequence.cache > 0)),
            Value::Int(i64::try_from(sequence.cache).unwrap_or(i64::MAX)),
            Value::Int(i64::from(sequence.cycle)),
            Value::Int(sequence.increment),
            Value::Int(sequence.max),
            Value::Int(sequence.min),
            Value::Int(sequence.start),
            text(""),
        ]
    };
    let rows = all_sequences(catalog).map(row);
    self::table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("SEQUENCE_SCHEMA", name_type()),
            ("SEQUENCE_NAME", name_type()),
            ("CACHE", SqlType::bigint()),
            ("CACHE_VALUE", SqlType::bigint()),
            ("CYCLE", SqlType::bigint()),
            ("INCREMENT", SqlType::bigint()),
            ("MAX_VALUE", SqlType::bigint()),
            ("MIN_VALUE", SqlType::bigint()),
            ("START", SqlType::bigint()),
            ("COMMENT", name_type()),
        ],
        rows.collect(),
    )
}
