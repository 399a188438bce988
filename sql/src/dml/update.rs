//! UPDATE of one table; `multi_update` is for several.
//!
//! Rows are found through `access`, checked, and changed page by page; a scan does not see what the
//! statement writes, so no row is met twice. With ORDER BY, or when rows may change their partition, the rows are gathered
//! first. Rows that are chosen
//! are locked, where the statement locks; those it only looked at are not.

use super::auto_increment::Numbers;
use super::bind::{self, RowSubqueries};
use super::reference::{self, References};
use super::row::RowMaker;
use super::store::{self, Assignment};
use super::trigger::Triggers;
use super::view::{self, Checks, Seen};
use super::{Changes, Check, Info, duplicate, multi_update, temporary};
use crate::access::{self, Access, ReadOptions, hint};
use crate::ast::{self, TriggerEvent};
use crate::catalog::TableDef;
use crate::context::EvalContext;
use crate::expr::{self, Expr};
use crate::session::Session;
use crate::session::locking::Locking;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::temporary::TemporaryTables;
use crate::value::{Row, Value};
use crate::{Error, Result};
use bytes::Bytes;
use std::sync::Arc;

/// Which rows of a table a statement changes, and in which order.
pub(super) struct Target {
    /// The table.
    pub(super) table: Arc<TableDef>,
    /// What the statement calls it.
    seen: Seen,
    /// What views ask of new rows.
    checks: Checks,
    /// WHERE, cut at its ANDs.
    conjuncts: Vec<Expr>,
    /// Subqueries in it that need the row.
    subqueries: RowSubqueries,
    /// ORDER BY: keys, and whether they descend.
    order: Vec<(Expr, bool)>,
    /// LIMIT.
    limit: Option<u64>,
    /// How rows are locked.
    locking: Option<Locking>,
    /// Whether all rows are found before the first is changed, because a row may go to a partition that is read later.
    gathers: bool,
}

impl Target {
    /// Binds the clauses that choose rows.
    pub(super) async fn bind(
        session: &Session,
        source: &ast::TableSource,
        operation: &str,
        clauses: (Option<&ast::Expr>, &[ast::OrderItem], Option<&ast::Limit>),
        env: &StatementContext,
        txn: &SharedTransaction,
    ) -> Result<Target> {
        if source.as_of.is_some() {
            return Err(Error::invalid_as_of("only SELECT reads the past, nothing changes it"));
        }
        let (alias, partitions) = (source.alias.as_deref(), source.partitions.as_slice());
        let seen = view::find(&source.name, alias, partitions, operation, session, &env.catalog)?;
        let table = seen.table.clone();
        session.check_defined(std::slice::from_ref(&table)).await?;
        let shown = alias.unwrap_or(&source.name.name);
        let table = hint::hinted(&table, shown, &source.hints)?;
        let scope = seen.scope();
        let (filter, order_by, limit) = clauses;
        let filter: Vec<&ast::Expr> = filter.into_iter().collect();
        let bound = bind::row_exprs(session, &filter, scope, "where clause", env, txn).await?;
        let conditions = seen.conditions(session, env, txn).await?;
        let mut conjuncts = conditions.shown;
        conjuncts.extend(bound.exprs.iter().flat_map(Expr::conjuncts));
        let list: Vec<&ast::Expr> = order_by.iter().map(|item| &item.expr).collect();
        let keys = bind::exprs(session, &list, scope, "order clause", env, txn).await?;
        let keys = keys.into_iter().map(|key| expr::build::stored_member(&key).unwrap_or(key));
        let order = keys.zip(order_by.iter().map(|item| item.descending)).collect();
        let limit = match limit {
            None => None,
            Some(limit) => {
                let count = bind::literal(&limit.count, &env.ctx).and_then(|v| v.as_integer());
                let count = count.and_then(|count| u64::try_from(count).ok());
                Some(count.ok_or_else(|| Error::wrong_arguments("LIMIT"))?)
            }
        };
        let (subqueries, locking) = (bound.subqueries, env.locking);
        let (gathers, checks) = (false, conditions.checks);
        Ok(Target { table, seen, checks, conjuncts, subqueries, order, limit, locking, gathers })
    }

    /// Opens the rows that match.
    pub(super) async fn open<'a>(
        &'a mut self,
        txn: &'a SharedTransaction,
        ctx: &'a EvalContext,
    ) -> Result<Matches<'a>> {
        let known: Vec<Expr> =
            self.conjuncts.iter().filter(|expr| !bind::has_subquery(expr)).cloned().collect();
        let mut choice = access::plan(&self.table, &known, ctx)?;
        if self.limit == Some(0) {
            // No row is wanted, so none is looked for, not even by its key.
            choice.access = Access::Nothing;
        }
        let wanted: Vec<usize> = (0..self.table.columns.len()).collect();
        let options = ReadOptions {
            shard: choice.shard.clone(),
            slots: choice.slots.clone(),
            ..ReadOptions::default()
        };
        if let Some(locking) = &self.locking {
            match &choice.access {
                Access::Rows(keys) => {
                    locking.take_points(txn, keys, ctx).await?;
                }
                _ => locking.begin(txn).await?,
            }
        }
        let reader = {
            let mut txn = txn.lock().await;
            access::read(&choice.access, &self.table, &wanted, options, &mut txn).await?
        };
        let left = self.limit.unwrap_or(u64::MAX);
        let mut matches = Matches { target: self, reader, txn, ctx, left, sorted: None };
        if !matches.target.order.is_empty() || matches.target.gathers {
            let mut rows = Vec::new();
            while let Some(page) = matches.page(u64::MAX).await? {
                rows.extend(page);
            }
            matches.sorted = Some(matches.target.sort(rows, ctx)?);
        }
        Ok(matches)
    }

    /// The rows of a temporary table that match, in order.
    pub(super) async fn rows_in_memory(
        &mut self,
        tables: &TemporaryTables,
        ctx: &EvalContext,
    ) -> Result<Vec<(Bytes, Row)>> {
        let mut found = Vec::new();
        for (key, row) in tables.rows(self.table.id)? {
            if self.accepts(&row, ctx).await? {
                found.push((key, row));
            }
        }
        ctx.check_cancel()?;
        self.sort(found, ctx)
    }

    async fn accepts(&mut self, row: &Row, ctx: &EvalContext) -> Result<bool> {
        for conjunct in &self.conjuncts {
            let truth = if bind::has_subquery(conjunct) {
                self.subqueries.settle(conjunct, row).await?.truth(row, ctx)?
            } else {
                conjunct.truth(row, ctx)?
            };
            if truth != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sort(&self, rows: Vec<(Bytes, Row)>, ctx: &EvalContext) -> Result<Vec<(Bytes, Row)>> {
        let mut keyed = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let values: Vec<Value> =
                self.order.iter().map(|(expr, _)| expr.eval(&row, ctx)).collect::<Result<_>>()?;
            keyed.push((values, key, row));
        }
        keyed.sort_by(|(a, ..), (b, ..)| {
            let mut ordering = std::cmp::Ordering::Equal;
            for ((x, y), (key, descending)) in a.iter().zip(b).zip(&self.order) {
                ordering = expr::key_bytes(x, &key.ty).cmp(&expr::key_bytes(y, &key.ty));
                if *descending {
                    ordering = ordering.reverse();
                }
                if ordering.is_ne() {
                    break;
                }
            }
            ordering
        });
        keyed.truncate(usize::try_from(self.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
        Ok(keyed.into_iter().map(|(_, key, row)| (key, row)).collect())
    }
}

/// Rows that match, page by page.
pub(super) struct Matches<'a> {
    target: &'a mut Target,
    reader: access::RowReader,
    txn: &'a SharedTransaction,
    ctx: &'a EvalContext,
    /// Rows that LIMIT still lets pass.
    left: u64,
    /// All rows, when they had to be sorted.
    sorted: Option<Vec<(Bytes, Row)>>,
}

impl Matches<'_> {
    /// The table.
    pub(super) fn table(&self) -> &Arc<TableDef> {
        &self.target.table
    }

    /// The next rows with their keys; `None` at the end. Locks the transaction meanwhile.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<(Bytes, Row)>>> {
        if let Some(sorted) = &mut self.sorted {
            let rows = std::mem::take(sorted);
            self.lock(&rows).await?;
            return Ok((!rows.is_empty()).then_some(rows));
        }
        if self.left == 0 {
            return Ok(None);
        }
        let page = self.page(self.left).await?;
        if let Some(page) = &page {
            self.left -= page.len() as u64;
            self.lock(page).await?;
        }
        Ok(page)
    }

    /// Locks rows that are about to be changed.
    async fn lock(&mut self, rows: &[(Bytes, Row)]) -> Result<()> {
        let Some(locking) = &self.target.locking else { return Ok(()) };
        let keys: Vec<Bytes> = rows.iter().map(|(key, _)| key.clone()).collect();
        locking.take(&mut *self.txn.lock().await, &keys, self.ctx).await.map(|_| ())
    }

    async fn page(&mut self, most: u64) -> Result<Option<Vec<(Bytes, Row)>>> {
        loop {
            self.ctx.check_cancel()?;
            let page = self.reader.next_page(&mut *self.txn.lock().await).await?;
            let Some(page) = page else { return Ok(None) };
            let mut rows = Vec::new();
            for (key, row) in page {
                if rows.len() as u64 == most {
                    break;
                }
                if self.target.accepts(&row, self.ctx).await? {
                    rows.push((key, row));
                }
            }
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
    }
}

/// Runs UPDATE.
pub(crate) async fn run(
    session: &Session,
    update: &ast::Update,
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<Changes> {
    let env = &env.with_named(&update.with);
    let ctx = &env.ctx;
    let [ast::TableRef::Table(source)] = update.tables.as_slice() else {
        return Box::pin(multi_update::run(session, update, env, txn)).await;
    };
    if view::find_join(&source.name, session, &env.catalog)?.is_some() {
        return Box::pin(multi_update::run(session, update, env, txn)).await;
    }
    let clauses = (update.filter.as_ref(), update.order_by.as_slice(), update.limit.as_ref());
    let mut target = Target::bind(session, source, "UPDATE", clauses, env, txn).await?;
    let (assignments, mut subqueries) =
        bind_assignments(session, update, &target, env, txn).await?;
    let moving = target.table.partition_columns();
    let is_touched = |column: &usize| {
        let assigned = assignments.iter().any(|assignment| assignment.column == *column);
        let column = &target.table.columns[*column];
        assigned || column.on_update_now || column.generated.is_some()
    };
    let events = &[TriggerEvent::Update];
    let triggers = Triggers::of(&target.table, events, session, env, txn).await?;
    // A trigger may change any column.
    target.gathers = moving.iter().any(is_touched) || triggers.is_some();
    let triggers = triggers.as_ref();
    let maker = RowMaker::new(&target.table, ctx)?;
    if let Some(tables) = session.memory_of(&target.table) {
        let mut memory = InMemory { tables, target, assignments, subqueries, maker };
        return memory.run(session, update.ignore, env).await;
    }
    let references = References::of(&target.table, env)?;
    let checks = std::mem::take(&mut target.checks);
    let (mut matched, mut changed) = (0, 0);
    let mut matches = target.open(txn, ctx).await?;
    let table = matches.table().clone();
    let references = references.as_ref();
    let others = references.map_or_else(Vec::new, References::others);
    let so_far = Changes { table: Some(table.clone()), others, ..Changes::default() };
    let check = Check::of(env.locking.as_ref());
    let mut numbers = Numbers::default();
    // Columns that keep their value or get one that is no default.
    let mut kept = vec![true; maker.width()];
    for assignment in assignments.iter().filter(|assignment| assignment.value.is_none()) {
        kept[assignment.column] = false;
    }
    while let Some(rows) = matches.next().await? {
        for (key, old) in rows {
            matched += 1;
            ctx.set_row(matched);
            maker.prepare(&kept, session, env).await?;
            let mut new = assigned(&old, &assignments, &mut subqueries, &maker, ctx).await?;
            if new != old {
                store::touch(&table, &mut new, &assignments, ctx);
                table.generate(&mut new, ctx)?;
            }
            if let Some(triggers) = triggers {
                triggers.before_update(&old, &mut new).await?;
            }
            if new == old {
                if let Some(triggers) = triggers {
                    triggers.after_update(&old, &new).await?;
                }
                continue;
            }
            match table.check_row(&new, ctx).and_then(|()| checks.check(&new, ctx)) {
                Ok(()) => {}
                Err(error) if update.ignore => {
                    ctx.warn(error);
                    continue;
                }
                Err(error) => return Err(error),
            }
            let mut guard = txn.lock().await;
            let locking = env.locking.as_ref();
            let rows = (old.as_slice(), new.as_slice());
            let mut is_changed = false;
            match reference::change_row(references, &mut guard, &table, &key, rows, locking, ctx)
                .await
            {
                Ok(_) => {
                    is_changed = true;
                    changed += 1;
                    let assigned = store::assigned_number(&table, &old, &new);
                    assigned.into_iter().for_each(|value| numbers.lift(value));
                }
                Err(error)
                    if update.ignore
                        && store::is_ignored(&error)
                        && !duplicate::is_of_unpublished(&table, &error) =>
                {
                    ctx.warn(error);
                }
                Err(error) => return Err(error),
            }
            store::make_room(&mut guard, &so_far, check, ctx).await?;
            drop(guard);
            if let Some(triggers) = triggers.filter(|_| is_changed) {
                triggers.after_update(&old, &new).await?;
            }
        }
    }
    let mut so_far = so_far;
    so_far.others.extend(triggers.map_or_else(Vec::new, Triggers::others));
    session.instance.auto_increment.settle(&table, &mut numbers).await?;
    Ok(Changes {
        affected: changed,
        unchanged: matched - changed,
        info: Info::Matched { matched, changed },
        ..so_far
    })
}

/// An UPDATE of a temporary table.
struct InMemory {
    tables: Arc<TemporaryTables>,
    target: Target,
    assignments: Vec<Assignment>,
    subqueries: RowSubqueries,
    maker: RowMaker,
}

impl InMemory {
    async fn run(
        &mut self,
        session: &Session,
        ignore: bool,
        env: &StatementContext,
    ) -> Result<Changes> {
        let ctx: &EvalContext = &env.ctx;
        let table = self.target.table.clone();
        let (mut matched, mut changed) = (0, 0);
        let mut kept = vec![true; self.maker.width()];
        for assignment in self.assignments.iter().filter(|given| given.value.is_none()) {
            kept[assignment.column] = false;
        }
        let rows = self.target.rows_in_memory(&self.tables, ctx).await?;
        for (key, old) in rows {
            matched += 1;
            ctx.set_row(matched);
            self.maker.prepare(&kept, session, env).await?;
            let InMemory { assignments, subqueries, maker, .. } = self;
            let mut new = assigned(&old, assignments, subqueries, maker, ctx).await?;
            if new == old {
                continue;
            }
            store::touch(&table, &mut new, assignments, ctx);
            match temporary::change(&self.tables, &table, &key, (&old, new), ctx) {
                Ok(()) => changed += 1,
                Err(error) if ignore && store::is_ignored(&error) => ctx.warn(error),
                Err(error) => return Err(error),
            }
        }
        let unchanged = matched - changed;
        let info = Info::Matched { matched, changed };
        Ok(Changes { affected: changed, unchanged, info, ..Changes::default() })
    }
}

/// A row after the assignments.
async fn assigned(
    old: &Row,
    assignments: &[Assignment],
    subqueries: &mut RowSubqueries,
    maker: &RowMaker,
    ctx: &EvalContext,
) -> Result<Row> {
    let mut new = old.clone();
    if subqueries.is_empty() {
        store::apply(maker.table(), &mut new, assignments, maker, ctx)?;
    } else {
        let mut settled = assignments.to_vec();
        for assignment in &mut settled {
            if let Some(value) = &mut assignment.value {
                *value = subqueries.settle(value, old).await?;
            }
        }
        store::apply(maker.table(), &mut new, &settled, maker, ctx)?;
    }
    Ok(new)
}

async fn bind_assignments(
    session: &Session,
    update: &ast::Update,
    target: &Target,
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<(Vec<Assignment>, RowSubqueries)> {
    let mut assignments = Vec::with_capacity(update.assignments.len());
    // All values are bound together, so that their subqueries are numbered together.
    let mut given = Vec::new();
    let mut values = Vec::new();
    for assignment in &update.assignments {
        let name = &assignment.column;
        let column = target.seen.column(name)?;
        if !bind::is_default(&assignment.value, &name.column) {
            given.push(assignments.len());
            values.push(&assignment.value);
        }
        assignments.push(Assignment { column, value: None });
    }
    let scope = target.seen.scope();
    let bound = bind::row_exprs(session, &values, scope, "field list", env, txn).await?;
    for (at, expr) in given.into_iter().zip(bound.exprs) {
        assignments[at].value = Some(expr);
    }
    Ok((assignments, bound.subqueries))
}
