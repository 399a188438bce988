//! ALTER TABLE … shardkey= and SHARD BY RANGE: another sharding key, or other ranges, for a table that is in use.
//!
//! A job makes a second layout of the table, with all rows and index entries, and lets the table read that one once it is
//! filled (`rekey_steps`). The statement waits for it as for a job of indexes (`indexes`): KILL takes it back, and a lost
//! connection does not.
//!
//! Other parts of ALTER TABLE are refused meanwhile; DROP, TRUNCATE and RENAME are not, for they wait for users alone.
//!
//! Not here: what the layout looks like (`rekey_steps::layout_of`), which ranges SPLIT RANGE and MERGE RANGES make (`ranges`), the
//! same job for another placement policy (`placement`).

use super::indexes::{self, Planned};
use super::{create_table, database_of, ranges, rekey_steps};
use crate::ast::{self, DistributionMethod, ShardingClause, TableChange};
use crate::catalog::index_jobs::Rekey;
use crate::catalog::{ItemValue, Sharding, TableDef, store};
use crate::context::EvalContext;
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
    let ctx = session.dml_context(Vec::new(), false);
    begin(session, name, |table, rows| rekey_of(table, sharding, rows, &ctx)).await
}

/// Begins a job for what `plan` makes of a table, whose rows get the id that it is given, and waits for it.
pub(super) async fn begin(
    session: &mut Session,
    name: &ast::TableName,
    mut plan: impl FnMut(&TableDef, TableId) -> Result<Rekey>,
) -> Result<Outcome> {
    // Refuses system schemas before an id is spent.
    database_of(session, name)?;
    let ids = store::new_table_ids(&session.instance.config.client, 1).await?;
    indexes::begin(session, name, |table| {
        check_moves(table)?;
        let rekey = plan(table, ids[0])?;
        Ok(is_new(table, &rekey)?.then_some(rekey).map(|rekey| Planned {
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
        Sharding::Hash(_)
        | Sharding::Single
        | Sharding::Range(_)
        | Sharding::List(_)
        | Sharding::Keys(_) => None,
    }
}

/// 1235 for a table that keeps its sharding.
fn check_moves(table: &TableDef) -> Result<()> {
    match kept(table) {
        None => Ok(()),
        Some(other) => Err(Error::not_supported(format!(
            "changing the sharding key of {other}: create a table with the key that you want, INSERT … SELECT into it and RENAME both",
        ))),
    }
}

/// Whether rows are elsewhere then.
fn is_new(table: &TableDef, rekey: &Rekey) -> Result<bool> {
    let new = table.in_layout(&rekey_steps::layout_of(table, rekey)?);
    create_table::check_sharding_columns(&new)?;
    Ok(match (&table.sharding, &new.sharding) {
        (Sharding::Hash(own), Sharding::Hash(new)) => own != new,
        (Sharding::Single, Sharding::Single) => false,
        (Sharding::Keys(own), Sharding::Keys(new)) => {
            let (bounds, new_bounds) = (own.bounds(), new.bounds());
            own.column != new.column
                || !bounds.map(ItemValue::key).eq(new_bounds.map(ItemValue::key))
        }
        _ => true,
    })
}

/// What a clause makes of a table.
fn rekey_of(
    table: &TableDef,
    clause: &ShardingClause,
    rows: TableId,
    ctx: &EvalContext,
) -> Result<Rekey> {
    let find = |name: &String| table.column(name).ok_or_else(|| Error::key_column_missing(name));
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
        ShardingClause::ByRange { columns, bounds } => {
            let columns = columns.iter().map(find).collect::<Result<Vec<_>>>()?;
            return Ok(Rekey::of_ranges(rows, ranges::define(table, &columns, bounds, ctx)?));
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
        let column = find(name)?;
        let columns = columns.get_or_insert_default();
        if columns.contains(&column) {
            return Err(Error::duplicate_column(name));
        }
        columns.push(column);
    }
    Ok(Rekey { rows, columns, distributed_by, ranges: Vec::new(), policy: None })
}
