//! Locking reads of several tables.
//!
//! ```text
//! Project, HAVING, …              run over the rows that are held
//! LIMIT, DISTINCT or groups       the lowest of them: LIMIT says how many rows are locked
//! ─────────────────────────────── rows are locked here, page by page, and take the place of what is below
//! ORDER BY, Project, WHERE        run as in any query, at the statement's read point,
//! Join (a, Join (b, c))           with the columns added that the row keys of a, b and c are made of
//! ```
//!
//! Invariants:
//! 1. A joined row is held when all of its rows are locked that a clause asks for. The missing side of an outer join
//!    has none.
//! 2. A row that was passed over once (SKIP LOCKED) is passed over until the statement ends: the rows it is joined with
//!    are all held or all left out.
//! 3. Of a table that passes rows over only those that are held count as read; of the other tables all that was looked
//!    at. The missing side of an outer join counts as looked at.
//! 4. Tables that are locked exclusively come first, so that a row which stands for two tables is locked once.
//!
//! Not here: derived tables that group, limit or remove duplicates, and UNION: their rows are no longer rows of a table
//! (1235, unless no clause names them). Rows that are not there are not locked, whatever looked for them.

use super::tables::tables_of;
use super::{Budget, limit};
use crate::binder::BoundQuery;
use crate::binder::subquery::column_expr;
use crate::catalog::TableDef;
use crate::context::EvalContext;
use crate::dml::mirror;
use crate::exec::subquery::literal;
use crate::exec::{self, Environment};
use crate::expr::Expr;
use crate::planner::plan::{Join, Plan, Scan, SortKey, Subqueries, columns_of, move_columns};
use crate::session::RowSource;
use crate::session::locking::Locking;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::value::{Row, Value};
use crate::{Error, Result, table_codec};
use base::TableId;
use base::limits::GET_KEYS_MAX;
use bytes::Bytes;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use txn::command::{LockMode, LockedKey};

/// Locks the joined rows that a query chooses and runs the rest of it over them. `chain` are the nodes above `source`,
/// the topmost first; `locks` has one item per table.
///
/// # Errors
/// 1235 for rows that belong to no table, 1038 for too many; as [`Locking::take`].
pub(super) async fn run(
    bound: &BoundQuery,
    (chain, source): (&[&Plan], &Plan),
    locks: &[Option<Locking>],
    env: &StatementContext,
    txn: &SharedTransaction,
    temp_dir: &Path,
) -> Result<RowSource> {
    let ctx = &env.ctx;
    let lowest = chain.iter().rposition(|node| {
        matches!(
            node,
            Plan::Aggregate { .. }
                | Plan::Distinct { .. }
                | Plan::Window { .. }
                | Plan::Limit { .. }
        )
    });
    let depth = lowest.map_or(0, |at| at + 1);
    let above = lowest.map(|at| chain[at]);
    let below = chain.get(depth).copied().unwrap_or(source);
    let most = match above {
        Some(Plan::Limit { offset, count, .. }) => {
            let (offset, count) = limit(offset.as_ref(), count.as_ref(), ctx)?;
            offset.saturating_add(count)
        }
        _ => usize::MAX,
    };
    let mut subqueries = bound.subqueries.clone();
    let narrow = narrowed(below, above, &subqueries);
    let Carried { plan, mut tables, .. } = carry(&narrow, &mut locks.iter(), &mut subqueries)?;
    tables.sort_by_key(|table| table.locking.lock.mode == LockMode::Shared);
    if let Some(table) = tables.first() {
        table.locking.begin(txn).await?;
    }
    let mut passed_over = passed_over(source, locks, &bound.subqueries);
    let before = txn.lock().await.reads_so_far();
    let types = below.types();
    let environment = Environment::new(txn.clone(), ctx.clone(), temp_dir).await?;
    let mut pages = exec::stream_plan(plan, subqueries, &environment)?;
    let mut held: Vec<Row> = Vec::new();
    let mut budget = Budget::default();
    while held.len() < most {
        let Some(page) = pages.next().await else { break };
        let mut page = page?.into_iter();
        while held.len() < most {
            let count = (most - held.len()).min(GET_KEYS_MAX);
            let round: Vec<Row> = page.by_ref().take(count).collect();
            if round.is_empty() {
                break;
            }
            for mut row in hold(&mut tables, round, txn, ctx).await? {
                row.truncate(types.len());
                budget.add(&row)?;
                held.push(row);
            }
        }
    }
    drop(pages);
    // Where an outer join has no row, the query tells that there is none.
    for table in tables.iter().filter(|table| table.lacks) {
        table.table.key_ids().iter().for_each(|id| {
            passed_over.remove(id);
        });
    }
    if !passed_over.is_empty() {
        let mut txn = txn.lock().await;
        txn.forget_reads_of(&passed_over, &before);
        tables.iter().flat_map(|table| &table.held).for_each(|key| txn.count_as_read(key));
    }
    if depth == 0 {
        return Ok(RowSource::Ready(held));
    }
    let rows = Plan::Rows { name: "locked rows".into(), types, rows: Arc::new(held) };
    let mut rest = bound.clone();
    super::replace(&mut rest.plan, depth, rows);
    exec::run_query(&rest, txn, ctx, temp_dir).await
}

/// The tables of which only the rows that are held count as read: those that skip locked rows wherever the query names
/// them. `locks` has one item per table of `source`; tables of subqueries are only read.
fn passed_over(
    source: &Plan,
    locks: &[Option<Locking>],
    subqueries: &Subqueries,
) -> BTreeSet<TableId> {
    let mut tables = Vec::new();
    tables_of(source, &mut tables);
    subqueries.iter().for_each(|subquery| tables_of(&subquery.plan, &mut tables));
    let locks = locks.iter().copied().chain(std::iter::repeat(None));
    let (mut skipping, mut read) = (BTreeSet::new(), BTreeSet::new());
    for (table, locking) in tables.into_iter().zip(locks) {
        let Plan::Scan(scan) = table else { continue };
        match locking.is_some_and(|locking| locking.skips()) {
            true => skipping.extend(scan.table.key_ids()),
            false => read.extend(scan.table.key_ids()),
        }
    }
    skipping.retain(|table| !read.contains(table));
    skipping
}

/// The plan with NULL in the columns that an aggregate above it does not read, so that they are not kept either.
fn narrowed(plan: &Plan, above: Option<&Plan>, subqueries: &Subqueries) -> Plan {
    let types = plan.types();
    let mut read: BTreeSet<usize> = BTreeSet::new();
    match above.filter(|node| matches!(node, Plan::Aggregate { .. })) {
        Some(node) => node.for_each_expr(&mut |expr| read.extend(columns_of(expr, subqueries))),
        None => read.extend(0..types.len()),
    }
    let exprs = types.into_iter().enumerate().map(|(column, ty)| match read.contains(&column) {
        true => column_expr(column, ty, ""),
        false => literal(ty.with_nullable(true), Value::Null),
    });
    Plan::Project { exprs: exprs.collect(), input: Box::new(plan.clone()) }
}

/// A plan that carries the keys of its locked tables along.
struct Carried {
    plan: Plan,
    /// Where each column of the plan as it was stands now.
    places: Vec<usize>,
    /// The tables whose rows are locked.
    tables: Vec<LockedTable>,
}

/// A table whose rows are locked.
struct LockedTable {
    table: Arc<TableDef>,
    locking: Locking,
    /// What a row's key is made of: columns of the table, and where they stand in the plan's output.
    key: Vec<(usize, usize)>,
    /// Rows that somebody else holds and that are passed over.
    skipped: BTreeSet<Bytes>,
    /// Rows that are held, where others may be passed over.
    held: Vec<Bytes>,
    /// Whether a joined row that is held has none of this table.
    lacks: bool,
}

/// The plan with the columns added that the keys of its locked tables are made of. `locks` has one item per table.
fn carry(
    plan: &Plan,
    locks: &mut std::slice::Iter<'_, Option<Locking>>,
    subqueries: &mut Subqueries,
) -> Result<Carried> {
    match plan {
        Plan::Scan(scan) => {
            let locking = locks.next().copied().flatten();
            let table = locking.map(|locking| LockedTable::of(scan, locking)).transpose()?;
            Ok(Carried { tables: table.into_iter().collect(), ..Carried::unlocked(plan) })
        }
        Plan::Filter { input, conjuncts } => {
            let inner = carry(input, locks, subqueries)?;
            let conjuncts = moved(conjuncts, &inner.places, subqueries);
            let plan = Plan::Filter { input: Box::new(inner.plan), conjuncts };
            Ok(Carried { plan, places: inner.places, tables: inner.tables })
        }
        Plan::Sort { input, keys } => {
            let inner = carry(input, locks, subqueries)?;
            let exprs: Vec<Expr> = keys.iter().map(|key| key.expr.clone()).collect();
            let exprs = moved(&exprs, &inner.places, subqueries);
            let keys = exprs.into_iter().zip(keys);
            let keys = keys.map(|(expr, key)| SortKey { expr, descending: key.descending });
            let plan = Plan::Sort { keys: keys.collect(), input: Box::new(inner.plan) };
            Ok(Carried { plan, places: inner.places, tables: inner.tables })
        }
        Plan::Project { input, exprs } => {
            let mut inner = carry(input, locks, subqueries)?;
            let types = inner.plan.types();
            let mut exprs = moved(exprs, &inner.places, subqueries);
            let places = (0..exprs.len()).collect();
            for (_, place) in inner.tables.iter_mut().flat_map(|table| &mut table.key) {
                exprs.push(column_expr(*place, types[*place], ""));
                *place = exprs.len() - 1;
            }
            let plan = Plan::Project { input: Box::new(inner.plan), exprs };
            Ok(Carried { plan, places, tables: inner.tables })
        }
        Plan::Join(join) => carry_join(join, locks, subqueries),
        Plan::OneRow
        | Plan::Rows { .. }
        | Plan::Shared { .. }
        | Plan::Lateral(_)
        | Plan::Aggregate { .. }
        | Plan::Distinct { .. }
        | Plan::Window { .. }
        | Plan::Limit { .. }
        | Plan::Union { .. } => {
            let mut tables = Vec::new();
            tables_of(plan, &mut tables);
            match locks.by_ref().take(tables.len()).any(Option::is_some) {
                true => Err(of_no_table(plan)),
                false => Ok(Carried::unlocked(plan)),
            }
        }
    }
}

fn carry_join(
    join: &Join,
    locks: &mut std::slice::Iter<'_, Option<Locking>>,
    subqueries: &mut Subqueries,
) -> Result<Carried> {
    let mut left = carry(&join.left, locks, subqueries)?;
    let mut right = carry(&join.right, locks, subqueries)?;
    let width = left.plan.width();
    for (_, place) in right.tables.iter_mut().flat_map(|table| &mut table.key) {
        *place += width;
    }
    left.tables.append(&mut right.tables);
    left.places.extend(right.places.iter().map(|place| place + width));
    let on = moved(&join.on, &left.places, subqueries);
    let (kind, straight) = (join.kind, join.straight);
    let join = Join { left: left.plan, right: right.plan, kind, on, straight };
    Ok(Carried { plan: Plan::Join(Box::new(join)), places: left.places, tables: left.tables })
}

/// 1235 for locking rows that are made from rows of tables.
fn of_no_table(plan: &Plan) -> Error {
    Error::not_supported(match plan {
        Plan::Union { .. } => {
            "FOR UPDATE and FOR SHARE of a UNION: lock the rows of each table with a SELECT of its own"
        }
        _ => {
            "FOR UPDATE and FOR SHARE of a derived table with groups, DISTINCT or LIMIT: name the other \
             tables after OF, or lock its rows with a SELECT of its own"
        }
    })
}

/// Expressions over columns that stand elsewhere now.
fn moved(exprs: &[Expr], places: &[usize], subqueries: &mut Subqueries) -> Vec<Expr> {
    exprs.iter().map(|expr| move_columns(expr, &|column| places[column], subqueries)).collect()
}

impl Carried {
    /// A plan of which nothing is locked.
    fn unlocked(plan: &Plan) -> Carried {
        Carried { plan: plan.clone(), places: (0..plan.width()).collect(), tables: Vec::new() }
    }
}

impl LockedTable {
    fn of(scan: &Scan, locking: Locking) -> Result<LockedTable> {
        let table = scan.table.clone();
        let mut columns: BTreeSet<usize> =
            table.primary().columns.iter().map(|part| part.column).collect();
        columns.extend(table.sharding_columns());
        columns.extend(table.partition_columns());
        columns.extend(table.rebuild.iter().flat_map(|other| other.mirror.sharding_columns()));
        let mut key = Vec::with_capacity(columns.len());
        for column in columns {
            let place = scan.columns.iter().position(|read| *read == column);
            let place = place.ok_or_else(|| Error::internal("a scan without the row's key"))?;
            key.push((column, place));
        }
        let (skipped, held) = (BTreeSet::new(), Vec::new());
        Ok(LockedTable { table, locking, key, skipped, held, lacks: false })
    }

    /// The key of this table's row in a joined one; `None` on the missing side of an outer join.
    fn key_of(&self, joined: &[Value]) -> Result<Option<Bytes>> {
        let row = self.row_of(joined);
        row.map(|row| table_codec::row_key(&self.table, &row)).transpose()
    }

    /// The key of that row's copy, when it is to be locked, too.
    fn twin_of(&self, joined: &[Value]) -> Result<Option<Bytes>> {
        let row = self.row_of(joined);
        Ok(row.map(|row| mirror::key_of(&self.table, &row)).transpose()?.flatten())
    }

    /// What is known of this table's row in a joined one.
    fn row_of(&self, joined: &[Value]) -> Option<Row> {
        let mut row = vec![Value::Null; self.table.columns.len()];
        for (column, place) in &self.key {
            row[*column] = joined[*place].clone();
        }
        // No column of a primary key is ever NULL.
        let lacks = self.table.primary().columns.iter().any(|part| row[part.column].is_null());
        (!lacks).then_some(row)
    }
}

/// Locks what joined rows are made of, table by table; answers those that could be locked whole.
async fn hold(
    tables: &mut [LockedTable],
    mut rows: Vec<Row>,
    txn: &SharedTransaction,
    ctx: &EvalContext,
) -> Result<Vec<Row>> {
    for table in tables {
        let keys = rows.iter().map(|row| table.key_of(row)).collect::<Result<Vec<_>>>()?;
        let wanted: BTreeSet<&Bytes> =
            keys.iter().flatten().filter(|key| !table.skipped.contains(*key)).collect();
        let wanted: Vec<Bytes> = wanted.into_iter().cloned().collect();
        let outcomes = table.locking.take(&mut *txn.lock().await, &wanted, ctx).await?;
        for (key, outcome) in wanted.into_iter().zip(outcomes) {
            if outcome == LockedKey::Skipped {
                table.skipped.insert(key);
            } else if table.locking.skips() {
                table.held.push(key);
            }
        }
        let mut twins: BTreeMap<Bytes, &Bytes> = BTreeMap::new();
        for (row, key) in rows.iter().zip(&keys) {
            if let Some(key) = key.as_ref().filter(|key| !table.skipped.contains(*key))
                && let Some(twin) = table.twin_of(row)?
            {
                twins.insert(twin, key);
            }
        }
        let wanted: Vec<Bytes> = twins.keys().cloned().collect();
        let outcomes = table.locking.take_any(&mut *txn.lock().await, &wanted, ctx).await?;
        for (key, outcome) in twins.into_values().zip(outcomes) {
            if outcome == LockedKey::Skipped {
                table.held.retain(|held| held != key);
                table.skipped.insert(key.clone());
            }
        }
        let mut keys = keys.into_iter();
        rows.retain(|_| match keys.next().flatten() {
            Some(key) => !table.skipped.contains(&key),
            None => {
                table.lacks = true;
                true
            }
        });
    }
    Ok(rows)
}
