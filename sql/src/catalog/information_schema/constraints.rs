//! KEY_COLUMN_USAGE, TABLE_CONSTRAINTS, REFERENTIAL_CONSTRAINTS and CHECK_CONSTRAINTS.

use super::columns::clause;
use super::indexes::shown_indexes;
use super::{VirtualTable, all_tables, empty, long_text, name_type, number, table, text};
use crate::catalog::Catalog;
use crate::value::Value;

pub(super) fn key_column_usage(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
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

/// FOREIGN KEYs: none can be declared.
pub(super) fn referential_constraints(_: &Catalog) -> VirtualTable {
    empty(
        "CONSTRAINT_CATALOG,CONSTRAINT_SCHEMA,CONSTRAINT_NAME,UNIQUE_CONSTRAINT_CATALOG,\
             UNIQUE_CONSTRAINT_SCHEMA,UNIQUE_CONSTRAINT_NAME,MATCH_OPTION,UPDATE_RULE,DELETE_RULE,\
             TABLE_NAME,REFERENCED_TABLE_NAME",
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
