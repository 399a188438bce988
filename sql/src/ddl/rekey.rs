//! ALTER TABLE … shardkey=: another sharding key for a table that is in use.
//!
//! A job makes a second layout of the table, with all rows and index entries, and lets the table read that one once it is
//! filled (`rekey_steps`). The statement waits for it as for a job of indexes (`indexes`): KILL takes it back, and a lost
//! connection does not.
//!
//! Other parts of ALTER TABLE are refused meanwhile; DROP, TRUNCATE and RENAME are not, for they wait for users alone.
//!
//! Not here: what the layout looks like (`rekey_steps::layout_of`).

use super::indexes::{self, Planned};
use super::{create_table, database_of, rekey_steps};
use crate::ast::{self, DistributionMethod, ShardingClause, TableChange};
use crate::catalog::index_jobs::Rekey;
use crate::catalog::{Sharding, TableDef, store};
use crate::session::{OkResult, Outcome, Session};
use crate::{Error, Result};
use base::TableId;

/// What ALTER TABLE changes of the sharding; `None` when it does not.
///
/// # Errors
/// 1235 when it changes other things as well.
pub(super) fn changes_alone(changes: &[TableChange]) -> Result<Option<&ShardingClause>> {
    let is_sharding = |change: &TableChange| matches!(change, TableChange::Sharding(_));
    match changes {
        [TableChange::Sharding(sharding)] => Ok(Some(sharding)),
        changes if changes.iter().any(is_sharding) => Err(Error::not_supported(
            "ALTER TABLE of the sharding key together with other things: say shardkey= in a statement of its own",
        )),
        _ => Ok(None),
    }
}

/// Changes the sharding key of a table.
pub(super) async fn alter(
    session: &mut Session,
    name: &ast::TableName,
    sharding: &ShardingClause,
) -> Result<Outcome> {
    // Refuses system schemas before an id is spent.
    database_of(session, name)?;
    let ids = store::new_table_ids(&session.instance.config.client, 1).await?;
    indexes::begin(session, name, |table| {
        let rekey = rekey_of(table, sharding, ids[0])?;
        Ok(rekey.map(|rekey| Planned {
            added: Vec::new(),
            dropped: Vec::new(),
            rekey: Some(rekey),
        }))
    })
    .await?;
    let info = format!("Records: 0  Duplicates: 0  Warnings: {}", session.diagnostics.count());
    Ok(Outcome::Ok(OkResult { info, ..OkResult::default() }))
}

/// What a table is that keeps its sharding, in words; `None` when it can change.
fn kept(table: &TableDef) -> Option<&'static str> {
    if table.partitioning.is_some() {
        return Some("a partitioned table");
    }
    if !table.placement.is_empty() {
        return Some("a table with a placement policy");
    }
    match &table.sharding {
        Sharding::Broadcast(_) => Some("a broadcast table"),
        Sharding::Keys(_) => Some("a table with SHARD BY RANGE"),
        Sharding::Hash(_) | Sharding::Single | Sharding::Range(_) | Sharding::List(_) => None,
    }
}

/// What a clause makes of a table; `None` when its rows are where they should be already.
fn rekey_of(table: &TableDef, clause: &ShardingClause, rows: TableId) -> Result<Option<Rekey>> {
    if let Some(other) = kept(table) {
        return Err(Error::not_supported(format!(
            "changing the sharding key of {other}: create a table with the key that you want, INSERT … SELECT into it and RENAME both",
        )));
    }
    let (names, distributed_by) = match clause {
        ShardingClause::ShardKey(name) => (Some(std::slice::from_ref(name)), false),
        ShardingClause::Single => (None, false),
        ShardingClause::Broadcast { .. } => {
            return Err(Error::not_supported(
                "changing a table to a broadcast table: use shardkey=noshardkey to keep it in one shard, or create a broadcast table, \
                 INSERT … SELECT into it and RENAME both",
            ));
        }
        ShardingClause::DistributedBy { method: DistributionMethod::Hash, columns, .. } => {
            (Some(columns.as_slice()), true)
        }
        ShardingClause::ByRange { .. } => {
            return Err(Error::not_supported(
                "changing a table to SHARD BY RANGE: use shardkey=, or create a table with the ranges that you want, INSERT … SELECT \
                 into it and RENAME both",
            ));
        }
        ShardingClause::DistributedBy { .. } => {
            return Err(Error::not_supported(
                "changing a table to TDSQL_DISTRIBUTED BY RANGE or LIST: use shardkey=, or create a table with the sets that you \
                 want, INSERT … SELECT into it and RENAME both",
            ));
        }
    };
    let mut columns: Option<Vec<usize>> = None;
    for name in names.unwrap_or_default() {
        let column = table.column(name).ok_or_else(|| Error::key_column_missing(name))?;
        let columns = columns.get_or_insert_default();
        if columns.contains(&column) {
            return Err(Error::duplicate_column(name));
        }
        columns.push(column);
    }
    let rekey = Rekey { rows, columns, distributed_by };
    let new = table.in_layout(&rekey_steps::layout_of(table, &rekey));
    create_table::check_sharding_columns(&new)?;
    let is_same = match (&table.sharding, &rekey.columns) {
        (Sharding::Hash(own), Some(columns)) => own == columns,
        (Sharding::Single, None) => true,
        _ => false,
    };
    Ok((!is_same).then_some(rekey))
}
