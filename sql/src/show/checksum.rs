//! CHECKSUM TABLE: one number for what a table's rows say, whatever their order and their shards.
//!
//! ```text
//! row ──> its columns as bytes, each with its length ──> CRC32 ──┐
//! row ──> …                                             ──> CRC32 ┴─ sum, the lowest 32 bits
//! ```
//!
//! Equal tables have equal sums in every cluster. MySQL's sums are other ones: they are taken over its own layout of rows.

use super::check::{find, is_of_table};
use super::{number_column, text, text_column};
use crate::ast::{Statement, TableAdministration};
use crate::catalog::TableDef;
use crate::parser::{ParseMode, parse_statement};
use crate::session::statement::StatementContext;
use crate::session::{Outcome, RowSource, Session};
use crate::value::Value;
use crate::{Error, Result};
use futures::StreamExt;
use std::fmt::Write;

/// A line for each table: its name, and its sum, NULL for one that is not there.
pub(super) async fn checksum_tables(
    session: &mut Session,
    what: &TableAdministration,
) -> Result<Outcome> {
    let quick = what.options.eq_ignore_ascii_case("QUICK");
    let default = session.database.clone();
    let ctx = session.context(Vec::new());
    let catalog = session.definitions().await?;
    let env = StatementContext { catalog, ctx, locking: None, with: None };
    let mut rows = Vec::with_capacity(what.tables.len());
    for name in &what.tables {
        let database = name.database.as_deref().or(default.as_deref());
        let database = database.ok_or_else(Error::no_database)?;
        let full = text(format!("{database}.{}", name.name));
        let table = match find(session, name).await {
            Ok(table) => table,
            Err(error) if is_of_table(&error) => {
                env.ctx.warn(error);
                rows.push(vec![full, Value::Null]);
                continue;
            }
            Err(error) => return Err(error),
        };
        // QUICK asks for a sum that is kept beside the table; none is.
        let sum = if quick { Value::Null } else { sum_of(session, &table, &env).await? };
        rows.push(vec![full, sum]);
    }
    Ok(Outcome::rows(vec![text_column("Table", 129), number_column("Checksum")], rows))
}

async fn sum_of(session: &mut Session, table: &TableDef, env: &StatementContext) -> Result<Value> {
    let statement = parse_statement(&query_of(table), &ParseMode::default())?;
    let Statement::Query(query) = statement else {
        return Err(Error::internal("a checksum that is no query"));
    };
    let source = session.rows_of(&query, env).await?;
    let mut rows = match source {
        RowSource::Ready(rows) => rows,
        RowSource::Stream(mut pages) => {
            let mut rows = Vec::new();
            while let Some(page) = pages.next().await {
                rows.extend(page?);
            }
            rows
        }
    };
    Ok(rows.pop().and_then(|mut row| row.pop()).unwrap_or(Value::Null))
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The query that adds up the rows.
fn query_of(table: &TableDef) -> String {
    let mut parts = String::new();
    for column in table.columns.iter().filter(|column| !column.hidden) {
        let name = quoted(&column.name);
        // Writing to a String cannot fail. A length keeps ('a', 'b') and ('ab', '') apart.
        let _ = write!(
            parts,
            ", COALESCE(LENGTH(CAST({name} AS BINARY)), -1), COALESCE(CAST({name} AS BINARY), '')"
        );
    }
    format!(
        "SELECT CAST(COALESCE(SUM(CRC32(CONCAT_WS(':'{parts}))), 0) % 4294967296 AS UNSIGNED) FROM {}.{}",
        quoted(&table.database),
        quoted(&table.name)
    )
}
