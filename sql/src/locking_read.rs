//! SELECT … FOR UPDATE and FOR SHARE.
//!
//! ```text
//! rows at the read point ─ WHERE ─ ORDER BY ─ lock until LIMIT is reached ─ the rest of the query
//!                                              └ taken: wait, 3572 (NOWAIT) or pass over (SKIP LOCKED)
//! ```
//!
//! Rows that the query chooses are locked, those it only looked at are not, and gaps are not (decision 0010). In a
//! query of one table, a row that is looked up by its primary key is locked before it is read, also when it does not
//! exist: nobody inserts it before the transaction ends. LIMIT 0 reads and locks nothing.
//!
//! Queries of one table with filters, sorting and limits are run here, row by row. Others (aggregates, DISTINCT,
//! subqueries that read the outer row) lock every row that the rest of WHERE chooses, then run over those. Several
//! tables: `join`. A subquery that runs once is run first; its rows are not locked.
//!
//! While the sharding key of a table is being changed, the copies of its rows are locked with them (`dml::mirror`).
//!
//! Not here: which clause is about which table (`tables`), and what happens when a row has changed since it was read
//! (`session::locking`).

mod join;
mod tables;

pub(crate) use tables::{Clause, clauses};

use crate::access::{self, Access, ReadOptions};
use crate::ast;
use crate::binder::BoundQuery;
use crate::context::EvalContext;
use crate::dml::bind::has_subquery;
use crate::dml::mirror;
use crate::expr::{self, Expr};
use crate::planner::plan::{Plan, Scan, SortKey};
use crate::session::RowSource;
use crate::session::locking::Locking;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::value::{Row, Value};
use crate::{Error, Result, exec};
use base::limits::{GET_KEYS_MAX, QUERY_BYTES_MAX};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use txn::command::LockedKey;

/// Locks the rows of a query and runs it.
///
/// # Errors
/// 3568 for a wrong name after OF, 3569 for a table of several clauses, 1235 for rows that are no rows of a table, 1038
/// for more rows than fit into memory; as [`Locking::take`].
pub(crate) async fn run(
    query: &ast::Query,
    bound: &BoundQuery,
    env: &StatementContext,
    txn: &SharedTransaction,
    clauses: &[Clause<'_>],
    temp_dir: &Path,
) -> Result<RowSource> {
    let database = env.ctx.database.as_deref();
    let known = tables::Known { catalog: &env.catalog, database };
    let locks = tables::locks_of(query, &bound.plan, clauses, known)?;
    let Some(locking) = locks.iter().flatten().next() else {
        return exec::run_query(bound, txn, &env.ctx, temp_dir).await;
    };
    let mut chain = Vec::new();
    chain_of(&bound.plan, &mut chain);
    if let Some(depth) = depth_of_nothing(&chain, &env.ctx)? {
        // What would be found below is wanted by nobody.
        let (name, types) = ("no rows".into(), chain[depth].types());
        let mut bound = bound.clone();
        replace(&mut bound.plan, depth, Plan::Rows { name, types, rows: Arc::default() });
        return exec::run_query(&bound, txn, &env.ctx, temp_dir).await;
    }
    let settled = exec::settle_subqueries(bound, txn, &env.ctx, temp_dir).await?;
    let mut chain = Vec::new();
    match chain_of(&settled.plan, &mut chain) {
        Plan::Scan(scan) => {
            let lock = Lock { env, txn, locking, twins: Mutex::default() };
            lock.run(&settled, (chain.as_slice(), scan), temp_dir).await
        }
        source => {
            let parts = (chain.as_slice(), source);
            join::run(&settled, parts, &locks, env, txn, temp_dir).await
        }
    }
}

/// A column of the scan's output as a column of its table. Placeholders of subqueries stay.
fn place(scan: &Scan, at: usize) -> usize {
    scan.columns.get(at).copied().unwrap_or(at)
}

/// The nodes above what a plan reads, the topmost first; what it reads: a table, a join or a UNION.
fn chain_of<'p>(plan: &'p Plan, chain: &mut Vec<&'p Plan>) -> &'p Plan {
    match plan {
        Plan::OneRow
        | Plan::Rows { .. }
        | Plan::Shared { .. }
        | Plan::Scan(_)
        | Plan::Join(_)
        | Plan::Lateral(_)
        | Plan::Union { .. } => plan,
        Plan::Filter { input, .. }
        | Plan::Project { input, .. }
        | Plan::Aggregate { input, .. }
        | Plan::Window { input, .. }
        | Plan::Distinct { input }
        | Plan::Sort { input, .. }
        | Plan::Limit { input, .. } => {
            chain.push(plan);
            chain_of(input, chain)
        }
    }
}

/// Replaces the node that stands so deep in the chain by rows.
fn replace(plan: &mut Plan, depth: usize, rows: Plan) {
    match plan {
        _ if depth == 0 => *plan = rows,
        Plan::Filter { input, .. }
        | Plan::Project { input, .. }
        | Plan::Aggregate { input, .. }
        | Plan::Window { input, .. }
        | Plan::Distinct { input }
        | Plan::Sort { input, .. }
        | Plan::Limit { input, .. } => replace(input, depth - 1, rows),
        Plan::OneRow
        | Plan::Rows { .. }
        | Plan::Shared { .. }
        | Plan::Scan(_)
        | Plan::Join(_)
        | Plan::Lateral(_)
        | Plan::Union { .. } => {}
    }
}

/// How deep in a chain the first LIMIT 0 stands.
fn depth_of_nothing(chain: &[&Plan], ctx: &EvalContext) -> Result<Option<usize>> {
    for (depth, node) in chain.iter().enumerate() {
        if let Plan::Limit { offset, count, .. } = node
            && limit(offset.as_ref(), count.as_ref(), ctx)?.1 == 0
        {
            return Ok(Some(depth));
        }
    }
    Ok(None)
}

/// The rows that LIMIT leaves out first, and those it lets pass.
fn limit(offset: Option<&Expr>, count: Option<&Expr>, ctx: &EvalContext) -> Result<(usize, usize)> {
    let number = |expr: Option<&Expr>, none: usize| -> Result<usize> {
        let Some(expr) = expr else { return Ok(none) };
        let value = expr.eval(&[], ctx)?.as_integer();
        let value = value.and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| Error::wrong_arguments("LIMIT"))
    };
    Ok((number(offset, 0)?, number(count, usize::MAX)?))
}

/// The memory of the rows that a locking read has chosen: at most what a query's operators may have.
#[derive(Default)]
struct Budget {
    bytes: usize,
}

impl Budget {
    /// Counts a row; 1038 when it is one too many.
    fn add(&mut self, row: &[Value]) -> Result<()> {
        self.bytes += row.iter().map(Value::heap_bytes).sum::<usize>();
        match self.bytes > QUERY_BYTES_MAX {
            true => Err(Error::out_of_memory(format!(
                "a locking read chooses more than {} MiB of rows; lock fewer rows or columns at a time",
                QUERY_BYTES_MAX >> 20
            ))),
            false => Ok(()),
        }
    }
}

/// Rows with their keys.
type Keyed = Vec<(Bytes, Row)>;

/// A locking read of one table at work.
struct Lock<'a> {
    env: &'a StatementContext,
    txn: &'a SharedTransaction,
    locking: &'a Locking,
    /// Keys of the rows' copies, by those of the rows, while the table has a second layout.
    twins: Mutex<BTreeMap<Bytes, Bytes>>,
}

impl Lock<'_> {
    /// Locks the rows of the table that a query chooses and runs the query. `chain` has the topmost node first.
    async fn run(
        &self,
        bound: &BoundQuery,
        (chain, scan): (&[&Plan], &Scan),
        temp_dir: &Path,
    ) -> Result<RowSource> {
        let plain = |plan: &&Plan| {
            let mut subquery = false;
            plan.for_each_expr(&mut |expr| subquery |= has_subquery(expr));
            let kind = matches!(
                plan,
                Plan::Filter { .. } | Plan::Project { .. } | Plan::Sort { .. } | Plan::Limit { .. }
            );
            kind && !subquery
        };
        if chain.iter().all(plain) && !scan.conjuncts.iter().any(has_subquery) {
            return Ok(RowSource::Ready(self.run_rows(scan, chain).await?));
        }
        let first = chain.last().map_or(&[][..], |plan| match plan {
            Plan::Filter { conjuncts, .. } => conjuncts.as_slice(),
            _ => &[],
        });
        let mut conjuncts: Vec<Expr> = scan.conjuncts.clone();
        conjuncts.extend(first.iter().map(|expr| expr.map_columns(&|at| place(scan, at))));
        conjuncts.retain(|expr| !has_subquery(expr));
        let rows = self.hold(self.find(scan, conjuncts).await?, usize::MAX).await?;
        let rows = Plan::Rows {
            name: scan.alias.clone(),
            types: scan.columns.iter().map(|column| scan.table.columns[*column].ty).collect(),
            rows: Arc::new(rows.into_iter().map(|(_, row)| row).collect()),
        };
        let mut bound = bound.clone();
        replace(&mut bound.plan, chain.len(), rows);
        exec::run_query(&bound, self.txn, &self.env.ctx, temp_dir).await
    }

    /// Runs nodes over a table row by row. `chain` has the topmost node first.
    async fn run_rows(&self, scan: &Scan, chain: &[&Plan]) -> Result<Vec<Row>> {
        let ctx = &*self.env.ctx;
        let mut conjuncts = scan.conjuncts.clone();
        let mut nodes = chain.iter().rev().peekable();
        if let Some(Plan::Filter { conjuncts: first, .. }) = nodes.peek() {
            conjuncts.extend(first.iter().map(|expr| expr.map_columns(&|at| place(scan, at))));
            nodes.next();
        }
        let mut rows = self.find(scan, conjuncts).await?;
        let mut held = false;
        for node in nodes {
            match node {
                Plan::Filter { conjuncts, .. } => {
                    let mut kept = Vec::with_capacity(rows.len());
                    for (key, row) in rows {
                        if accepts(conjuncts, &row, ctx)? {
                            kept.push((key, row));
                        }
                    }
                    rows = kept;
                }
                Plan::Project { exprs, .. } => {
                    for (_, row) in &mut rows {
                        *row =
                            exprs.iter().map(|expr| expr.eval(row, ctx)).collect::<Result<_>>()?;
                    }
                }
                Plan::Sort { keys, .. } => sort(&mut rows, keys, ctx)?,
                Plan::Limit { offset, count, .. } => {
                    let (offset, count) = limit(offset.as_ref(), count.as_ref(), ctx)?;
                    if !held {
                        rows = self.hold(rows, offset.saturating_add(count)).await?;
                        held = true;
                    }
                    rows.drain(..offset.min(rows.len()));
                    rows.truncate(count);
                }
                _ => return Err(Error::internal("a locking read of this shape")),
            }
        }
        if !held {
            rows = self.hold(rows, usize::MAX).await?;
        }
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// The rows that all conditions accept, as the scan's columns.
    async fn find(&self, scan: &Scan, conjuncts: Vec<Expr>) -> Result<Keyed> {
        let ctx = &*self.env.ctx;
        let choice = access::plan(&scan.table, &conjuncts, ctx)?;
        let mut access = choice.access;
        if let Access::Rows(keys) = &mut access {
            let outcomes = self.locking.take_points(self.txn, keys, ctx).await?;
            let mut outcomes = outcomes.into_iter();
            keys.retain(|_| outcomes.next() != Some(LockedKey::Skipped));
        } else {
            self.locking.begin(self.txn).await?;
        }
        let all: Vec<usize> = (0..scan.table.columns.len()).collect();
        let (shard, slots) = (choice.shard, choice.slots);
        let options = ReadOptions { shard, slots, ..ReadOptions::default() };
        let mut txn = self.txn.lock().await;
        let before = self.locking.skips().then(|| txn.reads_so_far());
        let mut reader = access::read(&access, &scan.table, &all, options, &mut txn).await?;
        let mut rows = Vec::new();
        let mut budget = Budget::default();
        while let Some(page) = reader.next_page(&mut txn).await? {
            ctx.check_cancel()?;
            for (key, row) in page {
                if accepts(&conjuncts, &row, ctx)? {
                    if let Some(twin) = mirror::key_of(&scan.table, &row)? {
                        self.twins.lock().insert(key.clone(), twin);
                    }
                    let row: Row = scan.columns.iter().map(|column| row[*column].clone()).collect();
                    budget.add(&row)?;
                    rows.push((key, row));
                }
            }
        }
        // Whoever skips rows learns only of those that are held.
        if let Some(before) = before {
            let ids: BTreeSet<_> = scan.table.key_ids().into_iter().collect();
            txn.forget_reads_of(&ids, &before);
        }
        Ok(rows)
    }

    /// The first `most` of some rows that could be locked.
    async fn hold(&self, rows: Keyed, most: usize) -> Result<Keyed> {
        let mut held: Keyed = Vec::new();
        let mut rows = rows.into_iter();
        while held.len() < most {
            let round: Keyed = rows.by_ref().take((most - held.len()).min(GET_KEYS_MAX)).collect();
            if round.is_empty() {
                break;
            }
            let keys: Vec<Bytes> = round.iter().map(|(key, _)| key.clone()).collect();
            let mut txn = self.txn.lock().await;
            let outcomes = self.locking.take(&mut txn, &keys, &self.env.ctx).await?;
            let twins = self.twins_of(&keys, &outcomes);
            let wanted: Vec<Bytes> = twins.iter().map(|(_, twin)| twin.clone()).collect();
            let taken = self.locking.take_any(&mut txn, &wanted, &self.env.ctx).await?;
            let skipped = twins.into_iter().zip(taken);
            let skipped = skipped.filter(|(_, outcome)| *outcome == LockedKey::Skipped);
            let skipped: BTreeSet<Bytes> = skipped.map(|((key, _), _)| key).collect();
            for ((key, row), outcome) in round.into_iter().zip(outcomes) {
                if outcome == LockedKey::Skipped || skipped.contains(&key) {
                    continue;
                }
                if self.locking.skips() {
                    txn.count_as_read(&key);
                }
                held.push((key, row));
            }
        }
        Ok(held)
    }

    /// Keys of rows that are held, each with that of the row's copy.
    fn twins_of(&self, keys: &[Bytes], outcomes: &[LockedKey]) -> Vec<(Bytes, Bytes)> {
        let known = self.twins.lock();
        let held = keys.iter().zip(outcomes);
        let held = held.filter(|(_, outcome)| **outcome != LockedKey::Skipped);
        held.filter_map(|(key, _)| Some((key.clone(), known.get(key)?.clone()))).collect()
    }
}

fn accepts(conjuncts: &[Expr], row: &Row, ctx: &EvalContext) -> Result<bool> {
    for conjunct in conjuncts {
        if conjunct.truth(row, ctx)? != Some(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sorts rows as ORDER BY says; equal ones keep their order.
fn sort(rows: &mut Keyed, keys: &[SortKey], ctx: &EvalContext) -> Result<()> {
    let mut keyed = Vec::with_capacity(rows.len());
    for row in rows.drain(..) {
        let bytes_of = |key: &SortKey| -> Result<Vec<u8>> {
            let value: Value = key.expr.eval(&row.1, ctx)?;
            Ok(expr::key_bytes(&value, &key.expr.ty))
        };
        let bytes: Vec<Vec<u8>> = keys.iter().map(bytes_of).collect::<Result<_>>()?;
        keyed.push((bytes, row));
    }
    keyed.sort_by(|(a, _), (b, _)| {
        let orders = a.iter().zip(b).zip(keys).map(|((a, b), key)| match key.descending {
            true => b.cmp(a),
            false => a.cmp(b),
        });
        orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    rows.extend(keyed.into_iter().map(|(_, row)| row));
    Ok(())
}
