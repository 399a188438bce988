//! ADMIN CHECK TABLE, ADMIN CHECK INDEX, and CHECK TABLE: do rows and index entries fit each other.
//!
//! The first two are an error when they do not (as in TiDB), so that a script cannot overlook it; CHECK TABLE has MySQL's four
//! columns and lists what was found.

use super::{number_column, text, text_column, text_columns};
use crate::ast::{AdminCheck, TableName};
use crate::binder::view::columns_of;
use crate::catalog::TableDef;
use crate::dml::find_table;
use crate::index_check::{self, TableReport};
use crate::session::{ColumnMeta, Outcome, Session};
use crate::value::{Row, Value};
use crate::{Error, Result};
use std::sync::Arc;

/// ADMIN CHECK TABLE and ADMIN CHECK INDEX: a line per index, or error 9223 for the first table with differences.
pub(crate) async fn admin_check(session: &mut Session, check: &AdminCheck) -> Result<Outcome> {
    let (names, index) = match check {
        AdminCheck::Tables(names) => (names.as_slice(), None),
        AdminCheck::Index { table, index } => (std::slice::from_ref(table), Some(index.as_str())),
    };
    let mut rows: Vec<Row> = Vec::new();
    for table in find_tables(session, names).await? {
        let report = run(session, &table, index).await?;
        let name = table.qualified_name();
        if report.count() > 0 {
            let (summary, first) = (report.summary(), first_of(&report));
            return Err(Error::inconsistent(&name, summary, first));
        }
        if report.indexes.is_empty() {
            // The rows themselves are the entries of the primary key, where that was asked for.
            let (shown, entries) = match index {
                Some(_) => (text(&table.primary().name), report.rows),
                None => (Value::Null, 0),
            };
            rows.push(vec![text(&name), shown, Value::UInt(report.rows), Value::UInt(entries)]);
        }
        for found in &report.indexes {
            let index = text(&table.indexes[found.index].name);
            rows.push(vec![
                text(&name),
                index,
                Value::UInt(report.rows),
                Value::UInt(found.entries),
            ]);
        }
    }
    session.variables.set_row_count(-1);
    session.variables.set_found_rows(rows.len() as u64);
    Ok(Outcome::rows(columns(), rows))
}

/// The columns of ADMIN CHECK.
pub(super) fn columns() -> Vec<ColumnMeta> {
    vec![
        text_column("Table", 129),
        text_column("Index", 64),
        number_column("Rows"),
        number_column("Entries"),
    ]
}

/// CHECK TABLE: `OK`, or the differences and `Corrupt`, which an invalid view is, too; as in MySQL a table that is not there is no error of the statement.
pub(super) async fn check_tables(session: &mut Session, names: &[TableName]) -> Result<Outcome> {
    let mut rows: Vec<Row> = Vec::new();
    for name in names {
        let default = session.database.clone();
        let database = name.database.as_deref().or(default.as_deref());
        let database = database.ok_or_else(Error::no_database)?;
        let full = format!("{database}.{}", name.name);
        let line = |kind: &str, message: String| {
            vec![text(&full), text("check"), text(kind), text(message)]
        };
        let catalog = session.instance.catalog.current().await?;
        if let Some(view) = catalog.view(database, &name.name) {
            let ctx = session.context(Vec::new());
            let computed = session.virtual_tables(&catalog);
            match columns_of(view, &catalog, &ctx, &computed) {
                Ok(_) => rows.push(line("status", "OK".to_string())),
                Err(error) => {
                    rows.push(line("Error", error.message));
                    rows.push(line("error", "Corrupt".to_string()));
                }
            }
            continue;
        }
        let table = match find(session, name).await {
            Ok(table) => table,
            Err(error) if is_of_table(&error) => {
                rows.push(line("Error", error.message));
                rows.push(line("status", "Operation failed".to_string()));
                continue;
            }
            Err(error) => return Err(error),
        };
        let report = run(session, &table, None).await?;
        if report.count() == 0 {
            rows.push(line("status", "OK".to_string()));
            continue;
        }
        rows.extend(report.differences.iter().map(|found| line("error", found.clone())));
        let shown = report.differences.len() as u64;
        if report.count() > shown {
            rows.push(line("error", format!("and {} more", report.count() - shown)));
        }
        rows.push(line("error", report.summary()));
        rows.push(line("status", "Corrupt".to_string()));
    }
    let mut columns = text_columns("Table,Op,Msg_type");
    columns.push(text_column("Msg_text", 2048));
    Ok(Outcome::rows(columns, rows))
}

/// Whether only the table of a name is meant: there is none, or it is something else.
pub(super) fn is_of_table(error: &Error) -> bool {
    let known =
        [Error::no_such_table(""), Error::unknown_database(""), Error::wrong_object("", "")];
    known.iter().any(|known| known.code == error.code)
}

/// The tables of these names.
async fn find_tables(session: &Session, names: &[TableName]) -> Result<Vec<Arc<TableDef>>> {
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        tables.push(find(session, name).await?);
    }
    Ok(tables)
}

/// The table of a name, which the session's own LOCK TABLES lets it read.
pub(super) async fn find(session: &Session, name: &TableName) -> Result<Arc<TableDef>> {
    let catalog = session.instance.catalog.current().await?;
    let table = find_table(name, session.database.as_deref(), &catalog)?;
    session.table_locks.check_table(&table.database, &table.name, false)?;
    Ok(table)
}

async fn run(
    session: &mut Session,
    table: &Arc<TableDef>,
    index: Option<&str>,
) -> Result<TableReport> {
    let positions = index_check::positions(table, index)?;
    let ctx = session.context(Vec::new());
    let client = session.instance.config.client.clone();
    index_check::check(table, &positions, &client, &ctx).await
}

fn first_of(report: &TableReport) -> String {
    report.differences.first().cloned().unwrap_or_default()
}
