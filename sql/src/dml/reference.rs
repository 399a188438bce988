//! Foreign keys of rows that are written: parents that must be there, children that must not be, or go along.
//!
//! ```text
//! new row ─────── lock its parents' keys, shared ── one is not there: 1452 ── write
//! row that goes ─ write ── its children, as others have committed them ─┬─ RESTRICT, NO ACTION: one is there: 1451
//!  or gets another key     (it is locked, so no child can come)         ├─ CASCADE:  they go, or get the key ─┐ and so on with
//!                                                                       └─ SET NULL: their columns            ┘ their children
//! ```
//!
//! All in the statement's transaction: whatever fails undoes the statement with its cascades.
//!
//! Invariants:
//! 1. Who writes a child holds its parent's unique key shared until it commits; who takes that key away holds it alone. So
//!    either sees the other's row, whatever their read points are: children are looked for at the newest point.
//! 2. A statement on a table that refers to none and is referred to by none makes no `References`: it pays nothing.
//! 3. A statement with `References` locks (`Error::must_lock`): what it finds stays until it commits.
//! 4. The row itself is written before its children are looked for: one that refers to itself is no child of its own when it
//!    goes.
//!
//! Not here: definitions (`ddl::foreign_key`), rows and entries (`store`).

use super::store;
use crate::access::{self, ReadOptions};
use crate::catalog::foreign_key::{begins_with, unique_key};
use crate::catalog::{Catalog, ForeignKeyDef, ReferenceAction, TableDef};
use crate::context::{EvalContext, Scope};
use crate::expr::{CompareOp, Expr, build};
use crate::session::locking::{self, Locking};
use crate::session::statement::StatementContext;
use crate::temporary::is_temporary;
use crate::value::{Row, Value};
use crate::{Error, Result, table_codec};
use base::TableId;
use base::limits::{FOREIGN_KEY_DEPTH_MAX, FOREIGN_KEY_ROWS_MAX};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::Transaction;
use txn::command::{LockMode, LockedKey};

/// Whether `foreign_key_checks` is on.
pub(crate) fn are_checked(ctx: &EvalContext) -> bool {
    let value = ctx.vars.system(Some(Scope::Session), "foreign_key_checks");
    value.is_ok_and(|value| value.as_integer().is_some_and(|flag| flag != 0))
}

/// Whether rows of a table have parents or children.
pub(crate) fn is_bound(table: &TableDef, catalog: &Catalog) -> bool {
    !is_temporary(table.id)
        && (!table.foreign_keys.is_empty()
            || !catalog.children(&table.database, &table.name).is_empty())
}

/// What a statement that changes rows of a table has to look at.
pub(crate) struct References {
    catalog: Arc<Catalog>,
    table: Arc<TableDef>,
    locking: Locking,
    /// The same, beside others.
    shared: Locking,
}

/// Tables that a cascade has changed on its way, the statement's own first.
#[derive(Clone)]
struct Chain(Vec<TableId>);

impl Chain {
    fn with(&self, table: &TableDef) -> Result<Chain> {
        if self.0.len() > FOREIGN_KEY_DEPTH_MAX {
            return Err(Error::cascade_too_deep(FOREIGN_KEY_DEPTH_MAX));
        }
        let mut longer = self.clone();
        longer.0.push(table.id);
        Ok(longer)
    }
}

/// Where the parent of a row would be.
enum ParentKey {
    /// It needs none: a column is NULL.
    None,
    /// There is no such table, or none that could have it.
    Nowhere,
    /// The key of its row or of a unique entry.
    At(Bytes),
}

/// Parents that some rows need, locked.
pub(crate) struct Parents<'a> {
    references: &'a References,
    found: BTreeMap<Bytes, LockedKey>,
}

impl References {
    /// `None` when nothing is to be looked at.
    ///
    /// # Errors
    /// The marker of a statement that must lock, when it does not; 1235 for one that sees only some sets.
    pub(crate) fn of(table: &Arc<TableDef>, env: &StatementContext) -> Result<Option<References>> {
        if !is_bound(table, &env.catalog) || !are_checked(&env.ctx) {
            return Ok(None);
        }
        if env.ctx.slots.is_some() {
            return Err(Error::not_supported(
                "a change of a table with foreign keys for some sets: leave /*sets:…*/ out",
            ));
        }
        let Some(locking) = env.locking else { return Err(Error::must_lock()) };
        let mut shared = locking;
        shared.lock.mode = LockMode::Shared;
        let (catalog, table) = (env.catalog.clone(), table.clone());
        Ok(Some(References { catalog, table, locking, shared }))
    }

    /// The tables whose rows may change with the statement's own.
    pub(crate) fn others(&self) -> Vec<Arc<TableDef>> {
        let mut known = vec![self.table.clone()];
        let mut at = 0;
        while let Some(parent) = known.get(at).cloned() {
            at += 1;
            for (child, key) in self.catalog.references_to(&parent.database, &parent.name) {
                let changes = key.on_delete.changes() || key.on_update.changes();
                if changes && known.iter().all(|table| table.id != child.id) {
                    known.push(child.clone());
                }
            }
        }
        known.split_off(1)
    }

    /// Locks the parents of rows that are to be written.
    pub(crate) async fn parents<'a, 'r>(
        &'a self,
        txn: &mut Transaction,
        rows: impl Iterator<Item = &'r [Value]>,
        ctx: &EvalContext,
    ) -> Result<Parents<'a>> {
        let mut keys = Vec::new();
        for row in rows {
            for key in &self.table.foreign_keys {
                if let ParentKey::At(key) = self.parent_key(&self.table, key, row)? {
                    keys.push(key);
                }
            }
        }
        self.lock_parents(txn, keys, ctx).await
    }

    async fn lock_parents<'a>(
        &'a self,
        txn: &mut Transaction,
        mut keys: Vec<Bytes>,
        ctx: &EvalContext,
    ) -> Result<Parents<'a>> {
        keys.sort();
        keys.dedup();
        let outcomes = self.shared.take_any(txn, &keys, ctx).await?;
        Ok(Parents { references: self, found: keys.into_iter().zip(outcomes).collect() })
    }

    /// Changes a row of the statement's table with its entries and its children. Answers what was written of the row.
    pub(crate) async fn change(
        &self,
        txn: &mut Transaction,
        row_key: &Bytes,
        (old, new): (&[Value], &[Value]),
        ctx: &EvalContext,
    ) -> Result<Vec<(Bytes, Option<Bytes>)>> {
        let chain = Chain(vec![self.table.id]);
        self.change_in(txn, &self.table, row_key, (old, new), (None, &chain), ctx).await
    }

    /// Looks after the children of a row of the statement's table that has been removed.
    pub(crate) async fn removed(
        &self,
        txn: &mut Transaction,
        row: &[Value],
        ctx: &EvalContext,
    ) -> Result<()> {
        let chain = Chain(vec![self.table.id]);
        self.settle_removed(txn, &self.table, row, &chain, ctx).await
    }

    /// Changes a row of any table. `from` is the foreign key over which the change has come: its parent is there.
    async fn change_in(
        &self,
        txn: &mut Transaction,
        table: &Arc<TableDef>,
        row_key: &Bytes,
        (old, new): (&[Value], &[Value]),
        (from, chain): (Option<&ForeignKeyDef>, &Chain),
        ctx: &EvalContext,
    ) -> Result<Vec<(Bytes, Option<Bytes>)>> {
        let mut needed = Vec::new();
        for key in table.foreign_keys.iter().filter(|key| from != Some(*key)) {
            let columns = columns_of(table, key)?;
            if columns.iter().all(|column| old[*column] == new[*column]) {
                continue;
            }
            match self.parent_key(table, key, new)? {
                ParentKey::None => {}
                ParentKey::Nowhere => return Err(Error::no_referenced_row(key.full_clause(table))),
                ParentKey::At(at) => needed.push((key, at)),
            }
        }
        let keys = needed.iter().map(|(_, at)| at.clone()).collect();
        let parents = self.lock_parents(txn, keys, ctx).await?;
        for (key, at) in needed {
            if !parents.is_there(txn, &at) && !self.is_own(table, key, new, &at)? {
                return Err(Error::no_referenced_row(key.full_clause(table)));
            }
        }
        let locking = Some(&self.locking);
        let written = store::change(txn, table, row_key, (old, new), locking, ctx).await?;
        for (child, key) in self.catalog.references_to(&table.database, &table.name) {
            let (before, after) = (referenced(table, key, old), referenced(table, key, new));
            let Some(before) = before else { continue };
            if after.as_ref() == Some(&before) || is_same_key(table, key, &before, after.as_ref())?
            {
                continue;
            }
            let after = after.unwrap_or_else(|| vec![Value::Null; before.len()]);
            self.settle(txn, (child, key), &before, Some(&after), chain, ctx).await?;
        }
        Ok(written)
    }

    async fn settle_removed(
        &self,
        txn: &mut Transaction,
        table: &Arc<TableDef>,
        row: &[Value],
        chain: &Chain,
        ctx: &EvalContext,
    ) -> Result<()> {
        for (child, key) in self.catalog.references_to(&table.database, &table.name) {
            if let Some(values) = referenced(table, key, row) {
                self.settle(txn, (child, key), &values, None, chain, ctx).await?;
            }
        }
        Ok(())
    }

    /// What becomes of the children that have these values; `after` is what their parent has now, if it is still there.
    fn settle<'a>(
        &'a self,
        txn: &'a mut Transaction,
        (child, key): (&'a Arc<TableDef>, &'a ForeignKeyDef),
        values: &'a [Value],
        after: Option<&'a [Value]>,
        chain: &'a Chain,
        ctx: &'a EvalContext,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            let columns = columns_of(child, key)?;
            let mut action = if after.is_some() { key.on_update } else { key.on_delete };
            if after.is_some() && chain.0.contains(&child.id) {
                // As InnoDB: a table that the change has been through is not changed once more.
                action = ReferenceAction::Restrict;
            }
            let most = if action.changes() { FOREIGN_KEY_ROWS_MAX } else { 1 };
            let found = self.children(txn, child, &columns, values, (most, action), ctx).await?;
            if found.is_empty() {
                return Ok(());
            }
            if !action.changes() {
                return Err(Error::row_is_referenced(key.full_clause(child)));
            }
            let chain = chain.with(child)?;
            for (row_key, row) in found {
                ctx.check_cancel()?;
                // A cascade may have come here before.
                let row = match txn.own_write(&row_key) {
                    Some(None) => continue,
                    Some(Some(own)) => table_codec::decode_all(child, &own)?,
                    None => row,
                };
                let new = match (action, after) {
                    (ReferenceAction::Cascade, None) => {
                        let locking = Some(&self.locking);
                        store::remove(txn, child, &row_key, &row, locking, ctx).await?;
                        self.settle_removed(txn, child, &row, &chain, ctx).await?;
                        continue;
                    }
                    (ReferenceAction::Cascade, Some(after)) => with(&row, &columns, after),
                    _ => with(&row, &columns, &vec![Value::Null; columns.len()]),
                };
                let new = completed(child, key, new, &columns, ctx)?;
                let rows = (row.as_slice(), new.as_slice());
                self.change_in(txn, child, &row_key, rows, (Some(key), &chain), ctx).await?;
            }
            Ok(())
        }
        .boxed()
    }

    /// The children with these values, own writes included; locked when they are to be changed.
    async fn children(
        &self,
        txn: &mut Transaction,
        child: &Arc<TableDef>,
        columns: &[usize],
        values: &[Value],
        (most, action): (usize, ReferenceAction),
        ctx: &EvalContext,
    ) -> Result<Vec<(Bytes, Row)>> {
        let look = txn.look_at_newest().await?;
        let found = find(txn, child, columns, values, most, ctx).await;
        let found = match found {
            Ok(rows) if action.changes() => {
                let keys: Vec<Bytes> = rows.iter().map(|(key, _)| key.clone()).collect();
                self.locking.take(txn, &keys, ctx).await.map(|_| rows)
            }
            found => found,
        };
        txn.look_back(look);
        found
    }

    fn parent_key(
        &self,
        child: &TableDef,
        key: &ForeignKeyDef,
        row: &[Value],
    ) -> Result<ParentKey> {
        let columns = columns_of(child, key)?;
        let values: Vec<Value> = columns.iter().map(|column| row[*column].clone()).collect();
        if values.iter().any(Value::is_null) {
            return Ok(ParentKey::None);
        }
        let Some(parent) = self.catalog.table(&key.parent_database, &key.parent) else {
            return Ok(ParentKey::Nowhere);
        };
        Ok(key_of_parent(parent, key, &values)?.map_or(ParentKey::Nowhere, ParentKey::At))
    }

    /// Whether a row is its own parent.
    fn is_own(
        &self,
        table: &TableDef,
        key: &ForeignKeyDef,
        row: &[Value],
        at: &Bytes,
    ) -> Result<bool> {
        if !key.refers_to(&table.database, &table.name) {
            return Ok(false);
        }
        let Some(values) = referenced(table, key, row) else { return Ok(false) };
        Ok(key_of_parent(table, key, &values)?.as_ref() == Some(at))
    }
}

impl Parents<'_> {
    /// 1452 unless all parents of a row are there, or it is its own.
    pub(crate) fn check(&self, txn: &Transaction, row: &[Value]) -> Result<()> {
        let References { table, .. } = self.references;
        for key in &table.foreign_keys {
            let is_there = match self.references.parent_key(table, key, row)? {
                ParentKey::None => true,
                ParentKey::Nowhere => false,
                ParentKey::At(at) => {
                    self.is_there(txn, &at) || self.references.is_own(table, key, row, &at)?
                }
            };
            if !is_there {
                return Err(Error::no_referenced_row(key.full_clause(table)));
            }
        }
        Ok(())
    }

    fn is_there(&self, txn: &Transaction, at: &Bytes) -> bool {
        self.found.get(at).is_some_and(|outcome| locking::exists(txn, at, *outcome))
    }
}

/// The positions of the columns of a foreign key.
fn columns_of(child: &TableDef, key: &ForeignKeyDef) -> Result<Vec<usize>> {
    let columns = key.columns_in(child);
    columns.ok_or_else(|| Error::internal(format!("{} lacks a column of it", key.full_name(child))))
}

/// The values of a parent's row that children may have; `None` when one of them is NULL: then there are no children.
fn referenced(parent: &TableDef, key: &ForeignKeyDef, row: &[Value]) -> Option<Vec<Value>> {
    let columns = key.columns_in_parent(parent)?;
    let values: Vec<Value> = columns.iter().map(|column| row[*column].clone()).collect();
    (!values.iter().any(Value::is_null)).then_some(values)
}

/// The key of the row, or of its unique entry, that a parent with these values has; `None` when it has no such key.
fn key_of_parent(
    parent: &TableDef,
    key: &ForeignKeyDef,
    values: &[Value],
) -> Result<Option<Bytes>> {
    let Some(columns) = key.columns_in_parent(parent) else { return Ok(None) };
    for index in &parent.indexes {
        if !index.unique || index.columns.len() != columns.len() || !begins_with(index, &columns) {
            continue;
        }
        let key = match index.primary {
            true => table_codec::row_key_of_primary(parent, values)?,
            false => table_codec::unique_entry_key(parent, index, values)?,
        };
        if key.is_some() {
            return Ok(key);
        }
    }
    Ok(None)
}

/// Whether a parent has the same key with other values: of texts that are equal.
fn is_same_key(
    parent: &TableDef,
    key: &ForeignKeyDef,
    before: &[Value],
    after: Option<&Vec<Value>>,
) -> Result<bool> {
    let (Some(after), Some(columns)) = (after, key.columns_in_parent(parent)) else {
        return Ok(false);
    };
    let Some(index) = unique_key(parent, &columns) else { return Ok(false) };
    let of = |values: &[Value]| table_codec::key_prefix(parent, parent.rows, index, values);
    Ok(of(before)? == of(after)?)
}

/// Rows of a table whose columns have these values, at most so many.
async fn find(
    txn: &mut Transaction,
    table: &Arc<TableDef>,
    columns: &[usize],
    values: &[Value],
    most: usize,
    ctx: &EvalContext,
) -> Result<Vec<(Bytes, Row)>> {
    let mut conditions: Vec<Expr> = Vec::with_capacity(columns.len());
    for (column, value) in columns.iter().zip(values) {
        let ty = table.columns[*column].ty;
        let (left, right) = (build::column(*column, ty), build::literal_typed(value.clone(), ty));
        conditions.push(build::compare(CompareOp::Equal, left, right, ctx)?);
    }
    let choice = access::plan(table, &conditions, ctx)?;
    let wanted: Vec<usize> = (0..table.columns.len()).collect();
    let options =
        ReadOptions { shard: choice.shard, slots: choice.slots, ..ReadOptions::default() };
    let mut reader = access::read(&choice.access, table, &wanted, options, txn).await?;
    let mut found = Vec::new();
    while let Some(page) = reader.next_page(txn).await? {
        ctx.check_cancel()?;
        for (key, row) in page {
            let mut fits = true;
            for condition in &conditions {
                fits = fits && condition.truth(&row, ctx)? == Some(true);
            }
            if !fits {
                continue;
            }
            found.push((key, row));
            if most == 1 {
                return Ok(found);
            }
        }
        if found.len() > most {
            return Err(Error::too_large(format!(
                "one row has more than {most} children in {}: change them first, in parts",
                table.qualified_name()
            )));
        }
    }
    Ok(found)
}

/// A row with other values in some columns.
fn with(row: &[Value], columns: &[usize], values: &[Value]) -> Row {
    let mut new = row.to_vec();
    for (column, value) in columns.iter().zip(values) {
        new[*column] = value.clone();
    }
    new
}

/// A child with what its parent has given it, as it is stored: with its generated columns, if its constraints allow it. 1451
/// when a column cannot have the value.
fn completed(
    child: &TableDef,
    key: &ForeignKeyDef,
    mut row: Row,
    columns: &[usize],
    ctx: &EvalContext,
) -> Result<Row> {
    for column in columns {
        let ty = &child.columns[*column].ty;
        let is_too_long = match &row[*column] {
            Value::Null => !ty.nullable,
            Value::Text(text) => text.chars().count() > ty.length as usize,
            Value::Bytes(bytes) => bytes.len() > ty.length as usize,
            _ => false,
        };
        if is_too_long {
            return Err(Error::row_is_referenced(key.full_clause(child)));
        }
    }
    child.generate(&mut row, ctx)?;
    child.check_row(&row, ctx)?;
    Ok(row)
}

/// Changes a row with its entries and, where there are some, its children: all or nothing of it.
pub(crate) async fn change_row(
    references: Option<&References>,
    txn: &mut Transaction,
    table: &TableDef,
    row_key: &Bytes,
    rows: (&[Value], &[Value]),
    locking: Option<&Locking>,
    ctx: &EvalContext,
) -> Result<Vec<(Bytes, Option<Bytes>)>> {
    let Some(references) = references else {
        return store::change(txn, table, row_key, rows, locking, ctx).await;
    };
    let savepoint = txn.savepoint();
    let written = references.change(txn, row_key, rows, ctx).await;
    if written.is_err() {
        txn.rollback_to(savepoint)?;
    }
    txn.release(savepoint);
    written
}

/// Removes a row with its entries and, where there are some, its children: all or nothing of it. `false` when a cascade of this
/// statement has removed it already.
pub(crate) async fn remove_row(
    references: Option<&References>,
    txn: &mut Transaction,
    table: &TableDef,
    row_key: &Bytes,
    row: &[Value],
    locking: Option<&Locking>,
    ctx: &EvalContext,
) -> Result<bool> {
    let Some(references) = references else {
        store::remove(txn, table, row_key, row, locking, ctx).await?;
        return Ok(true);
    };
    let now = match txn.own_write(row_key) {
        Some(None) => return Ok(false),
        Some(Some(own)) => table_codec::decode_all(table, &own)?,
        None => row.to_vec(),
    };
    let savepoint = txn.savepoint();
    let removed = match store::remove(txn, table, row_key, &now, locking, ctx).await {
        Ok(_) => references.removed(txn, &now, ctx).await,
        Err(error) => Err(error),
    };
    if removed.is_err() {
        txn.rollback_to(savepoint)?;
    }
    txn.release(savepoint);
    removed.map(|()| true)
}
