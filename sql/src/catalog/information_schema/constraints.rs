//! KEY_COLUMN_USAGE, TABLE_CONSTRAINTS, REFERENTIAL_CONSTRAINTS and CHECK_CONSTRAINTS.

use super::columns::clause;
use super::indexes::shown_indexes;
use super::{VirtualTable, all_tables, long_text, name_type, number, table, text};
use crate::catalog::Catalog;
use crate::catalog::foreign_key::unique_key;
use crate::value::Value;

pub(super) fn key_column_usage(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        for key in &table.foreign_keys {
            let columns = key.columns.iter().zip(&key.parent_columns);
            for (sequence, (column, referenced)) in columns.enumerate() {
                rows.push(vec![
                    text("def"),
                    text(&table.database),
                    text(&key.name),
                    text("def"),
                    text(&table.database),
                    text(&table.name),
                    text(column),
                    Value::UInt(sequence as u64 + 1),
                    Value::UInt(sequence as u64 + 1),
                    text(&key.parent_database),
                    text(&key.parent),
                    text(referenced),
                ]);
            }
        }
        for index in shown_indexes(table).filter(|index| index.unique) {
            for (sequence, part) in index.columns.iter().enumerate() {
                rows.push(vec![
                    text("def"),
                    text(&table.database),
                    text(&index.name),
                    text("def"),
                    text(&table.database),
                    text(&table.name),
                    text(&table.columns[part.column].name),
                    Value::UInt(sequence as u64 + 1),
                    Value::Null,
                    Value::Null,
                    Value::Null,
                    Value::Null,
                ]);
            }
        }
    }
    table(
        &[
            ("CONSTRAINT_CATALOG", name_type()),
            ("CONSTRAINT_SCHEMA", name_type()),
            ("CONSTRAINT_NAME", name_type()),
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("COLUMN_NAME", name_type()),
            ("ORDINAL_POSITION", number()),
            ("POSITION_IN_UNIQUE_CONSTRAINT", number()),
            ("REFERENCED_TABLE_SCHEMA", name_type()),
            ("REFERENCED_TABLE_NAME", name_type()),
            ("REFERENCED_COLUMN_NAME", name_type()),
        ],
        rows,
    )
}

pub(super) fn table_constraints(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        for index in shown_indexes(table).filter(|index| index.unique) {
            rows.push(vec![
                text("def"),
                text(&table.database),
                text(&index.name),
                text(&table.database),
                text(&table.name),
                text(if index.primary { "PRIMARY KEY" } else { "UNIQUE" }),
                text("YES"),
            ]);
        }
        for key in &table.foreign_keys {
            rows.push(vec![
                text("def"),
                text(&table.database),
                text(&key.name),
                text(&table.database),
                text(&table.name),
                text("FOREIGN KEY"),
                text("YES"),
            ]);
        }
        for check in &table.checks {
            rows.push(vec![
                text("def"),
                text(&table.database),
                text(&check.name),
                text(&table.database),
                text(&table.name),
                text("CHECK"),
                text(if check.enforced { "YES" } else { "NO" }),
            ]);
        }
    }
    table(
        &[
            ("CONSTRAINT_CATALOG", name_type()),
            ("CONSTRAINT_SCHEMA", name_type()),
            ("CONSTRAINT_NAME", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("CONSTRAINT_TYPE", name_type()),
            ("ENFORCED", name_type()),
        ],
        rows,
    )
}

pub(super) fn referential_constraints(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for child in all_tables(catalog) {
        for key in &child.foreign_keys {
            let parent = catalog.table(&key.parent_database, &key.parent);
            let columns = parent.and_then(|parent| key.columns_in_parent(parent));
            let index = match (parent, &columns) {
                (Some(parent), Some(columns)) => unique_key(parent, columns),
                _ => None,
            };
            rows.push(vec![
                text("def"),
                text(&child.database),
                text(&key.name),
                text("def"),
                text(&key.parent_database),
                index.map_or(Value::Null, |index| text(&index.name)),
                text("NONE"),
                text(key.on_update.name()),
                text(key.on_delete.name()),
                text(&child.name),
                text(&key.parent),
            ]);
        }
    }
    table(
        &[
            ("CONSTRAINT_CATALOG", name_type()),
            ("CONSTRAINT_SCHEMA", name_type()),
            ("CONSTRAINT_NAME", name_type()),
            ("UNIQUE_CONSTRAINT_CATALOG", name_type()),
            ("UNIQUE_CONSTRAINT_SCHEMA", name_type()),
            ("UNIQUE_CONSTRAINT_NAME", name_type()),
            ("MATCH_OPTION", name_type()),
            ("UPDATE_RULE", name_type()),
            ("DELETE_RULE", name_type()),
            ("TABLE_NAME", name_type()),
            ("REFERENCED_TABLE_NAME", name_type()),
        ],
        rows,
    )
}

pub(super) fn check_constraints(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        for check in &table.checks {
            rows.push(vec![
                text("def"),
                text(&table.database),
                text(&check.name),
                text(clause(&check.rule)),
            ]);
        }
    }
    table(
        &[
            ("CONSTRAINT_CATALOG", name_type()),
            ("CONSTRAINT_SCHEMA", name_type()),
            ("CONSTRAINT_NAME", name_type()),
            ("CHECK_CLAUSE", long_text()),
        ],
        rows,
    )
}
