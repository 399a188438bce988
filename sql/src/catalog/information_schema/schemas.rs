//! SCHEMATA: the databases.

use super::{NAME, VirtualTable, name_type, table, text};
use crate::catalog::{Catalog, performance_schema};
use crate::collation::CollationId;
use crate::types::SqlType;
use crate::value::{Row, Value};

pub(super) fn schemata(catalog: &Catalog) -> VirtualTable {
    let row = |name: &str, collation: CollationId| {
        vec![
            text("def"),
            text(name),
            text(collation.charset()),
            text(collation.name()),
            Value::Null,
            text("NO"),
        ]
    };
    let system = [NAME, performance_schema::NAME];
    let mut rows: Vec<Row> =
        system.into_iter().map(|name| row(name, CollationId::UTF8MB4_GENERAL_CI)).collect();
    rows.extend(catalog.databases().map(|database| row(&database.name, database.collation)));
    table(
        &[
            ("CATALOG_NAME", name_type()),
            ("SCHEMA_NAME", name_type()),
            ("DEFAULT_CHARACTER_SET_NAME", name_type()),
            ("DEFAULT_COLLATION_NAME", name_type()),
            ("SQL_PATH", SqlType::varchar(512, CollationId::DEFAULT)),
            ("DEFAULT_ENCRYPTION", name_type()),
        ],
        rows,
    )
}
