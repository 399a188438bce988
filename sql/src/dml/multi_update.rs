//! UPDATE of several tables.
//!
//! ```text
//! joined rows ─ per table that is assigned: key, new values of the assigned columns ─ all read ─ row by row: change
//! ```
//!
//! Values are computed from the rows as they were before the statement; assignments to one table see earlier ones to the same
//! table. A row that is joined with several others is changed by the first of them. A table that is assigned under two names is
//! changed under the first one, then under the other.

use super::auto_increment::Numbers;
use super::bind::{self, RowSubqueries};
use super::joined::{Budget, Joined, Place, key_columns};
use super::multi_delete::changes_of;
use super::reference::{self, References};
use super::row::RowMaker;
use super::store::{self, Assignment};
use super::trigger::Triggers;
use super::{Changes, Check, Info, duplicate, temporary};
use crate::ast::{self, TriggerEvent};
use crate::context::EvalContext;
use crate::session::Session;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::temporary::is_temporary;
use crate::value::Value;
use crate::{Error, Result};
use base::limits::GET_KEYS_MAX;
use bytes::Bytes;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};

/// A table that is assigned, and what becomes of its rows.
struct Target {
    place: Place,
    /// Over joined rows.
    assignments: Vec<Assignment>,
    /// Where each of them stands in the statement.
    numbers: Vec<usize>,
    maker: RowMaker,
    /// New values of the rows that were chosen, one per assignment.
    rows: BTreeMap<Bytes, Vec<Value>>,
    /// Their keys in the order in which they were found.
    order: Vec<Bytes>,
}

/// Runs UPDATE of several tables; `env` knows the statement's WITH.
pub(super) async fn run(
    session: &Session,
    update: &ast::Update,
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<Changes> {
    let ctx = &env.ctx;
    if !update.order_by.is_empty() {
        return Err(Error::wrong_usage("UPDATE", "ORDER BY"));
    }
    if update.limit.is_some() {
        return Err(Error::wrong_usage("UPDATE", "LIMIT"));
    }
    let joined = Joined::bind(session, &update.tables, update.filter.as_ref(), env).await?;
    let mut targets = targets_of(update, &joined, env)?;
    let references = targets.iter().map(|target| References::of(&target.place.table, env));
    let references: Vec<Option<References>> = references.collect::<Result<_>>()?;
    check_keys(&targets)?;
    let places: Vec<&Place> = targets.iter().map(|target| &target.place).collect();
    joined.enter(session, &places, txn).await?;
    let mut subqueries = bind_values(session, update, &joined, &mut targets, env, txn).await?;
    let needed = needed(&joined, &targets, &subqueries);
    let mut pages = joined.open(&needed, session, env, txn).await?;
    let mut budget = Budget::default();
    let mut number = 0;
    while let Some(page) = pages.next().await {
        for row in page? {
            number += 1;
            ctx.set_row(number);
            for target in &mut targets {
                let Some(key) = target.place.key_of(&row)? else { continue };
                if target.rows.contains_key(&key) {
                    continue;
                }
                let values = target.values(&row, &mut subqueries, session, env).await?;
                budget.add(&key, &values)?;
                target.order.push(key.clone());
                target.rows.insert(key, values);
            }
        }
    }
    drop(pages);
    let mut changes = changes_of(targets.iter().map(|target| &target.place), &references);
    let (mut matched, mut changed) = (0, 0);
    for (target, references) in targets.into_iter().zip(&references) {
        let how = (update.ignore, references.as_ref());
        let (found, different) = target.change(how, &mut changes, session, env, txn).await?;
        matched += found;
        changed += different;
    }
    changes.affected = changed;
    changes.unchanged = matched - changed;
    changes.info = Info::Matched { matched, changed };
    Ok(changes)
}

/// The tables that are assigned, in the order of FROM; values are bound later.
fn targets_of(
    update: &ast::Update,
    joined: &Joined,
    env: &StatementContext,
) -> Result<Vec<Target>> {
    let mut targets: Vec<Target> = Vec::new();
    for (number, assignment) in update.assignments.iter().enumerate() {
        let name = &assignment.column;
        let position = joined.scope.find(name, "field list")?;
        let position = position.ok_or_else(|| Error::unknown_column(name, "field list"))?;
        let place = joined.place_of(position, "UPDATE", &env.catalog)?;
        let known = targets.iter().position(|target| target.place.base == place.base);
        let known = match known {
            Some(known) => known,
            None => {
                let maker = RowMaker::new(&place.table, &env.ctx)?;
                let (assignments, numbers) = (Vec::new(), Vec::new());
                let (rows, order) = (BTreeMap::new(), Vec::new());
                targets.push(Target { place, assignments, numbers, maker, rows, order });
                targets.len() - 1
            }
        };
        let target = &mut targets[known];
        let column = position - target.place.base;
        target.assignments.push(Assignment { column, value: None });
        target.numbers.push(number);
    }
    targets.sort_by_key(|target| target.place.base);
    Ok(targets)
}

/// 1706 when rows of a table may move while they are changed under another name as well.
fn check_keys(targets: &[Target]) -> Result<()> {
    for (at, first) in targets.iter().enumerate() {
        let same = |other: &&Target| other.place.table.id == first.place.table.id;
        let Some(second) = targets[at + 1..].iter().find(same) else { continue };
        let both = first.assignments.iter().chain(&second.assignments);
        let mut columns = both.map(|assignment| assignment.column);
        if columns.any(|column| key_columns(&first.place.table).any(|key| key == column)) {
            let (first, second) = (&first.place.name, &second.place.name);
            return Err(Error::multi_update_key_conflict(first, second));
        }
    }
    Ok(())
}

/// Binds all values together, so that their subqueries are numbered together.
async fn bind_values(
    session: &Session,
    update: &ast::Update,
    joined: &Joined,
    targets: &mut [Target],
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<RowSubqueries> {
    let mut given = Vec::new();
    let mut values = Vec::new();
    for (number, assignment) in update.assignments.iter().enumerate() {
        if !bind::is_default(&assignment.value, &assignment.column.column) {
            given.push(number);
            values.push(&assignment.value);
        }
    }
    let bound = bind::row_exprs(session, &values, &joined.scope, "field list", env, txn).await?;
    let mut exprs: BTreeMap<usize, _> = given.into_iter().zip(bound.exprs).collect();
    for target in targets {
        for (number, assignment) in target.numbers.iter().zip(&mut target.assignments) {
            assignment.value = exprs.remove(number);
        }
    }
    Ok(bound.subqueries)
}

/// The columns of joined rows that keys and values are made of.
fn needed(joined: &Joined, targets: &[Target], subqueries: &RowSubqueries) -> BTreeSet<usize> {
    if !subqueries.is_empty() {
        return (0..joined.scope.columns.len()).collect();
    }
    let mut needed = BTreeSet::new();
    for target in targets {
        needed.extend(target.place.key_columns());
        let values = target.assignments.iter().filter_map(|assignment| assignment.value.as_ref());
        values.for_each(|value| value.columns(&mut needed));
    }
    needed
}

impl Target {
    /// The values that a joined row gives the columns which are assigned.
    async fn values(
        &self,
        joined: &[Value],
        subqueries: &mut RowSubqueries,
        session: &Session,
        env: &StatementContext,
    ) -> Result<Vec<Value>> {
        let ctx = &env.ctx;
        let defaults = self.assignments.iter().filter(|assignment| assignment.value.is_none());
        // Columns that keep their value or get one that is no default.
        let mut kept = vec![true; self.maker.width()];
        defaults.for_each(|assignment| kept[assignment.column] = false);
        self.maker.prepare(&kept, session, env).await?;
        let mut row = joined.to_vec();
        let mut values = Vec::with_capacity(self.assignments.len());
        for assignment in &self.assignments {
            let table = &self.place.table;
            if store::is_computed(table, assignment)? {
                // When the row is changed.
                values.push(row[self.place.base + assignment.column].clone());
                continue;
            }
            let value = match &assignment.value {
                Some(expr) if bind::has_subquery(expr) => {
                    let value = Some(subqueries.settle(expr, joined).await?);
                    let settled = Assignment { column: assignment.column, value };
                    store::assigned(table, &row, &settled, &self.maker, ctx)?
                }
                Some(_) | None => store::assigned(table, &row, assignment, &self.maker, ctx)?,
            };
            row[self.place.base + assignment.column] = value.clone();
            values.push(value);
        }
        Ok(values)
    }

    /// Changes the rows; how many there were, and how many became different.
    async fn change(
        mut self,
        (ignore, references): (bool, Option<&References>),
        so_far: &mut Changes,
        session: &Session,
        env: &StatementContext,
        txn: &SharedTransaction,
    ) -> Result<(u64, u64)> {
        let ctx: &EvalContext = &env.ctx;
        let table = self.place.table.clone();
        let check = Check::of(env.locking.as_ref());
        let events = &[TriggerEvent::Update];
        let triggers = Triggers::of(&table, events, session, env, txn).await?;
        let triggers = triggers.as_ref();
        let mut numbers = Numbers::default();
        let (mut matched, mut changed) = (0, 0);
        let order = std::mem::take(&mut self.order);
        for keys in order.chunks(GET_KEYS_MAX) {
            ctx.check_cancel()?;
            let rows = self.place.rows(keys, env, &mut *txn.lock().await).await?;
            for (key, old) in keys.iter().zip(rows) {
                let (Some(old), Some(values)) = (old, self.rows.remove(key)) else { continue };
                matched += 1;
                ctx.set_row(matched);
                let mut new = old.clone();
                for (assignment, value) in self.assignments.iter().zip(values) {
                    new[assignment.column] = value;
                }
                if new != old {
                    store::touch(&table, &mut new, &self.assignments, ctx);
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
                match table.check_row(&new, ctx) {
                    Ok(()) => {}
                    Err(error) if ignore => {
                        ctx.warn(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                let locking = env.locking.as_ref();
                let mut guard = txn.lock().await;
                let mut is_changed = false;
                let done = match session.memory_of(&table) {
                    Some(tables) => {
                        temporary::change(&tables, &table, key, (&old, new.clone()), ctx)
                    }
                    None => {
                        let rows = (old.as_slice(), new.as_slice());
                        let (txn, table) = (&mut guard, &table);
                        reference::change_row(references, txn, table, key, rows, locking, ctx)
                            .await
                            .map(drop)
                    }
                };
                match done {
                    Ok(()) => {
                        is_changed = true;
                        changed += 1;
                        let assigned = store::assigned_number(&table, &old, &new);
                        assigned.into_iter().for_each(|value| numbers.lift(value));
                    }
                    Err(error)
                        if ignore
                            && store::is_ignored(&error)
                            && !duplicate::is_of_unpublished(&table, &error) =>
                    {
                        ctx.warn(error);
                    }
                    Err(error) => return Err(error),
                }
                store::make_room(&mut guard, so_far, check, ctx).await?;
                drop(guard);
                if let Some(triggers) = triggers.filter(|_| is_changed) {
                    triggers.after_update(&old, &new).await?;
                }
            }
        }
        so_far.others.extend(triggers.map_or_else(Vec::new, Triggers::others));
        if !is_temporary(table.id) {
            session.instance.auto_increment.settle(&table, &mut numbers).await?;
        }
        Ok((matched, changed))
    }
}
