//! Error 1062 with the values and the key's name.

use crate::Error;
use crate::catalog::{IndexDef, TableDef};
use crate::context::EvalContext;
use crate::table_codec;
use crate::types::datetime::TimeZone;
use crate::value::{Row, Value};
use base::IndexId;
use bytes::Bytes;
use std::sync::Arc;
use txn::transaction::Mode;
use txn::{ShardClient, Transaction};

/// 1062 for a row whose key in the index at this position exists already.
pub(crate) fn error(table: &TableDef, index: usize, row: &[Value], ctx: &EvalContext) -> Error {
    error_in(table, index, row, ctx.time_zone)
}

/// The same with moments named in a time zone.
pub(crate) fn error_in(table: &TableDef, index: usize, row: &[Value], zone: TimeZone) -> Error {
    let index = table.index_at(index);
    let mut entry = String::new();
    for (at, part) in index.columns.iter().enumerate() {
        if at > 0 {
            entry.push('-');
        }
        let ty = &table.columns[part.column].ty;
        let value = row.get(part.column).unwrap_or(&Value::Null);
        let text = match value {
            // A TIMESTAMP is stored in UTC and named in the session's time zone.
            Value::DateTime(moment) if ty.kind == crate::types::TypeKind::Timestamp => {
                Value::DateTime(zone.from_utc(*moment)).to_text(ty)
            }
            value => value.to_text(ty),
        };
        let text = text.unwrap_or_else(|| "NULL".to_string());
        match part.prefix {
            Some(length) => entry.extend(text.chars().take(length as usize)),
            None => entry.push_str(&text),
        }
    }
    Error::duplicate_entry(entry, format!("{}.{}", table.name, index.name))
}

/// Whether an error is 1062 of an index that is being added: IGNORE leaves no row as it was for one that may never come.
pub(crate) fn is_of_unpublished(table: &TableDef, error: &Error) -> bool {
    let names = |index: &IndexDef| {
        let of = Error::duplicate_entry("", format!("{}.{}", table.name, index.name));
        let end = of.message.find(" for key").map_or("", |at| &of.message[at..]);
        error.code == of.code && error.message.ends_with(end)
    };
    table.unpublished.iter().any(names)
}

/// 1062 for a key that a commit found. The values come from the statement's rows, or, when the row is
/// not among those kept, from the row that has the key.
pub(crate) async fn describe(
    client: &Arc<dyn ShardClient>,
    table: &Arc<TableDef>,
    key: &Bytes,
    rows: &[Row],
    ctx: &EvalContext,
) -> Error {
    let table = table.in_layout_of(key);
    let Some(position) = index_of(table, key) else {
        return Error::duplicate_entry(key.escape_ascii(), &table.name);
    };
    let has_key = |row: &&Row| match position {
        0 => table_codec::row_key(table, row).is_ok_and(|found| found == *key),
        _ => table_codec::index_entry(table, position, row).is_ok_and(|entry| entry.key == *key),
    };
    if let Some(row) = rows.iter().find(has_key) {
        return error(table, position, row, ctx);
    }
    match existing(client, table, position, key).await {
        Ok(Some(row)) => error(table, position, &row, ctx),
        Ok(None) | Err(_) => {
            let name = &table.index_at(position).name;
            Error::duplicate_entry("?", format!("{}.{name}", table.name))
        }
    }
}

fn index_of(table: &TableDef, key: &[u8]) -> Option<usize> {
    let id: IndexId = engine::key::index_of_key(key).ok()?;
    table.all_indexes().position(|index| index.id == id)
}

async fn existing(
    client: &Arc<dyn ShardClient>,
    table: &TableDef,
    position: usize,
    key: &Bytes,
) -> crate::Result<Option<Row>> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    let row_key = if position == 0 {
        key.clone()
    } else {
        let Some(place) = txn.get(key).await? else { return Ok(None) };
        table_codec::row_key_from_index_entry(table, table.index_at(position), key, &place)?
    };
    match txn.get(&row_key).await? {
        Some(bytes) => Ok(Some(table_codec::decode_all(table, &bytes)?)),
        None => Ok(None),
    }
}
