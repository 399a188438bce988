//! New rows against unique keys: error, IGNORE, REPLACE, ON DUPLICATE KEY UPDATE; and changing and
//! removing rows with their index entries.
//!
//! ```text
//! batch of rows ─ all their unique keys in one multi-get ─ row by row: overlay, then fetched
//! ```
//!
//! A statement that locks takes the row's key and all unique keys of a row before it looks at them; what it finds
//! there then is the newest there is.
//!
//! After each batch, and each row that is changed or removed, a transaction whose writes are too many for memory sends
//! them to the shards (`make_room`).
//!
//! Indexes that are being added or dropped are written as their states say (`catalog::IndexState`). Their unique entries may
//! belong to another row: before an index is filled nobody has compared its rows. So an entry of theirs is looked at before
//! it is removed, and what leads elsewhere stays.
//!
//! Of a broadcast table, keys are locked, looked up and compared in the first copy, and written in all (`broadcast`).
//!
//! A table whose sharding key is being changed has a second layout: whatever is written here is written there as well
//! (`mirror`).
//!
//! The overlay is what this statement has written since the multi-get, so that a row meets the rows
//! before it.

use super::auto_increment::AutoIncrement;
use super::reference::{Parents, References};
use super::row::{NewRow, null_in};
use super::trigger::Triggers;
use super::{Changes, Check, duplicate, mirror, reference};
use crate::access::read::is_inside;
use crate::broadcast;
use crate::catalog::{IndexState, TableDef};
use crate::context::EvalContext;
use crate::expr::Expr;
use crate::session::locking::{self, Locking};
use crate::session::transaction::SharedTransaction;
use crate::table_codec::{self, IndexEntry};
use crate::temporary::TemporaryTables;
use crate::types::assign;
use crate::value::{Row, Value};
use crate::{Error, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::Transaction;
use txn::command::Expect;
use txn::transaction::Mode;

/// Rows kept to name the values of a duplicate key at commit.
const ROWS_KEPT: usize = 1024;

/// `column = expression` over the row that exists, followed by the row that was to be inserted and what it was read from.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// Position in the table.
    pub(crate) column: usize,
    /// The value; `None` is DEFAULT.
    pub(crate) value: Option<Expr>,
}

/// What happens to a row whose key exists.
#[derive(Clone, Debug)]
pub(crate) enum OnDuplicate {
    /// 1062.
    Error,
    /// The new row is left out, with a warning.
    Ignore,
    /// The old rows go.
    Replace,
    /// The old row is changed.
    Update(Vec<Assignment>),
}

/// Stores new rows of one statement.
pub(crate) struct Store<'a> {
    /// The table.
    pub(crate) table: Arc<TableDef>,
    /// Modes and warnings.
    pub(crate) ctx: &'a EvalContext,
    /// When a plain insert learns of a duplicate.
    pub(crate) check: Check,
    /// How keys are locked.
    pub(crate) locking: Option<Locking>,
    /// What happens at a duplicate.
    pub(crate) on_duplicate: OnDuplicate,
    /// DEFAULT of each column, for assignments.
    pub(crate) defaults: &'a super::row::RowMaker,
    /// AUTO_INCREMENT values of the node.
    pub(crate) counters: &'a AutoIncrement,
    /// Where the rows are, when the table is a temporary one.
    pub(crate) memory: Option<Arc<TemporaryTables>>,
    /// Its foreign keys and those to it, when they are checked.
    pub(crate) references: Option<&'a References>,
    /// What is done before and after rows are replaced and changed, and after they are inserted.
    pub(crate) triggers: Option<&'a Triggers<'a>>,
    /// Rows stored, replaced, left out.
    pub(crate) changes: Changes,
    /// Rows that met a duplicate.
    pub(crate) duplicates: u64,
    /// Old rows that REPLACE removed.
    pub(crate) deleted: u64,
    /// Rows that IGNORE left out.
    pub(crate) skipped: u64,
    /// The largest AUTO_INCREMENT value that ON DUPLICATE KEY UPDATE has assigned.
    pub(crate) lifted: Option<u64>,
}

/// A key that exists, and the index it belongs to.
struct Hit {
    /// Position of the index in the table; 0 is the primary key.
    index: usize,
    /// Key of the row that has it.
    row_key: Bytes,
}

/// What is known of keys: the statement's own writes over what was fetched.
#[derive(Default)]
struct Known {
    fetched: BTreeMap<Bytes, Option<Bytes>>,
    overlay: BTreeMap<Bytes, Option<Bytes>>,
}

impl Known {
    async fn get(&mut self, txn: &mut Transaction, key: &Bytes) -> Result<Option<Bytes>> {
        if let Some(value) = self.overlay.get(key).or_else(|| self.fetched.get(key)) {
            return Ok(value.clone());
        }
        let value = txn.get(key).await?;
        self.fetched.insert(key.clone(), value.clone());
        Ok(value)
    }
}

impl<'a> Store<'a> {
    /// Stores a batch of complete rows.
    pub(crate) async fn put(&mut self, txn: &SharedTransaction, rows: Vec<NewRow>) -> Result<()> {
        if let Some(tables) = self.memory.clone() {
            return self.put_in_memory(&tables, rows);
        }
        if matches!(self.on_duplicate, OnDuplicate::Error) && self.triggers.is_none() {
            self.put_plain(&mut *txn.lock().await, rows).await?;
        } else {
            self.put_checked(txn, rows).await?;
        }
        // Between two batches: within one, a row that meets the same key again must find it here.
        self.changes.all_generated = self.changes.first_id.is_some() && !self.changes.some_given;
        make_room(&mut *txn.lock().await, &self.changes, self.check, self.ctx).await
    }

    async fn put_plain(&mut self, txn: &mut Transaction, rows: Vec<NewRow>) -> Result<()> {
        let mut encoded = Vec::with_capacity(rows.len());
        for row in &rows {
            encoded.push((
                new_row_key(&self.table, &row.values, self.ctx)?,
                table_codec::new_entries(&self.table, &row.values)?,
            ));
        }
        if self.check == Check::Now {
            let mut keys = Vec::new();
            let mut owners = Vec::new();
            // Nobody else has a value that was generated.
            let generates = self.table.auto_increment();
            let own_key = generates.is_some_and(|column| self.table.primary().covers(column));
            for (at, (row_key, entries)) in encoded.iter().enumerate() {
                let is_new = own_key && rows[at].generated.is_some();
                if self.table.row_id().is_none() && !is_new {
                    keys.push(row_key.clone());
                    owners.push((at, 0));
                }
                for entry in entries.iter().filter(|entry| entry.unique) {
                    keys.push(entry.key.clone());
                    owners.push((at, entry.index));
                }
            }
            let hit = match &self.locking {
                Some(locking) => {
                    let outcomes = locking.take_any(txn, &keys, self.ctx).await?;
                    let mut found = keys.iter().zip(outcomes);
                    found.position(|(key, outcome)| locking::exists(txn, key, outcome))
                }
                None => txn.multi_get(&keys).await?.iter().position(Option::is_some),
            };
            if let Some(hit) = hit {
                let (at, index) = owners[hit];
                return Err(duplicate::error(&self.table, index, &rows[at].values, self.ctx));
            }
        }
        let parents = self.parents(txn, rows.iter()).await?;
        for (row, (row_key, entries)) in rows.into_iter().zip(encoded) {
            parents.as_ref().map_or(Ok(()), |parents| parents.check(txn, &row.values))?;
            put_new(txn, &self.table, row_key, entries, &row.values, self.ctx)?;
            self.stored(row.generated);
            if self.changes.rows.len() < ROWS_KEPT {
                self.changes.rows.push(row.values);
            }
        }
        Ok(())
    }

    /// Locks the parents of new rows, if they have some.
    async fn parents<'r>(
        &self,
        txn: &mut Transaction,
        rows: impl Iterator<Item = &'r NewRow>,
    ) -> Result<Option<Parents<'a>>> {
        let Some(references) = self.references else { return Ok(None) };
        let rows = rows.map(|row| row.values.as_slice());
        references.parents(txn, rows, self.ctx).await.map(Some)
    }

    async fn put_checked(&mut self, txn: &SharedTransaction, rows: Vec<NewRow>) -> Result<()> {
        self.changes.settles_duplicates = !matches!(self.on_duplicate, OnDuplicate::Error);
        let mut known = Known::default();
        let mut keys = Vec::new();
        let mut encoded = Vec::with_capacity(rows.len());
        for row in rows {
            let row_key = match new_row_key(&self.table, &row.values, self.ctx) {
                Err(error) if self.leaves_out(&error) => {
                    self.ctx.warn(error);
                    self.duplicates += 1;
                    self.skipped += 1;
                    continue;
                }
                row_key => row_key?,
            };
            let entries = table_codec::new_entries(&self.table, &row.values)?;
            keys.push(row_key.clone());
            keys.extend(entries.iter().filter(|e| e.unique).map(|e| e.key.clone()));
            encoded.push((row, row_key, entries));
        }
        let mut guard = txn.lock().await;
        if let Some(locking) = &self.locking {
            locking.take(&mut guard, &keys, self.ctx).await?;
        }
        let found = guard.multi_get(&keys).await?;
        drop(guard);
        known.fetched.extend(keys.into_iter().zip(found));
        for (row, row_key, entries) in encoded {
            self.put_one(txn, &mut known, row, row_key, entries).await?;
            if self.references.is_some() || self.triggers.is_some() {
                // Cascades may have changed what was fetched.
                known = Known::default();
            }
        }
        Ok(())
    }

    /// Whether IGNORE leaves a row out for this error.
    fn leaves_out(&self, error: &Error) -> bool {
        matches!(self.on_duplicate, OnDuplicate::Ignore) && is_ignored(error)
    }

    async fn put_one(
        &mut self,
        shared: &SharedTransaction,
        known: &mut Known,
        mut row: NewRow,
        mut row_key: Bytes,
        mut entries: Vec<IndexEntry>,
    ) -> Result<()> {
        let mut replaced = false;
        let mut guard = shared.lock().await;
        while let Some(hit) = self.find_hit(&mut guard, known, &row_key, &entries).await? {
            if self.defaults.generate_again(hit.index, &mut row, self.counters).await? {
                row_key = new_row_key(&self.table, &row.values, self.ctx)?;
                entries = table_codec::new_entries(&self.table, &row.values)?;
                if let Some(locking) = &self.locking {
                    let unique = entries.iter().filter(|entry| entry.unique);
                    let mut keys: Vec<Bytes> = unique.map(|entry| entry.key.clone()).collect();
                    keys.push(row_key.clone());
                    locking.take(&mut guard, &keys, self.ctx).await?;
                }
                continue;
            }
            if !self.is_public(hit.index) {
                // Nobody shows this index yet, and it may never come: no row is changed or left out for it.
                return Err(duplicate::error(&self.table, hit.index, &row.values, self.ctx));
            }
            if let Some(locking) = &self.locking {
                let key = std::slice::from_ref(&hit.row_key);
                locking.take(&mut guard, key, self.ctx).await?;
            }
            match &self.on_duplicate {
                OnDuplicate::Error => {
                    return Err(duplicate::error(&self.table, hit.index, &row.values, self.ctx));
                }
                OnDuplicate::Ignore => {
                    self.ctx.warn(duplicate::error(&self.table, hit.index, &row.values, self.ctx));
                    self.duplicates += 1;
                    self.skipped += 1;
                    return Ok(());
                }
                OnDuplicate::Replace => {
                    check_inside(&self.table, &hit.row_key, self.ctx)?;
                    let old = self.old_row(&mut guard, known, &hit.row_key).await?;
                    if let Some(triggers) = self.triggers {
                        drop(guard);
                        triggers.before_delete(&old).await?;
                        guard = shared.lock().await;
                    }
                    let (table, row_key) = (&*self.table, &hit.row_key);
                    let locking = self.locking.as_ref();
                    let removed =
                        remove(&mut guard, table, row_key, &old, locking, self.ctx).await?;
                    known.overlay.extend(removed.into_iter().map(|key| (key, None)));
                    if let Some(references) = self.references {
                        references.removed(&mut guard, &old, self.ctx).await?;
                        *known = Known::default();
                    }
                    if let Some(triggers) = self.triggers {
                        drop(guard);
                        triggers.after_delete(&old).await?;
                        guard = shared.lock().await;
                    }
                    // MySQL writes over the row where no other unique key can be in the way, and counts an equal one once.
                    let unique = self.table.indexes.iter().filter(|index| index.unique).count();
                    if unique > 1 || old != row.values {
                        self.changes.affected += 1;
                        self.deleted += 1;
                        replaced = true;
                    }
                }
                OnDuplicate::Update(assignments) => {
                    check_inside(&self.table, &hit.row_key, self.ctx)?;
                    let old = self.old_row(&mut guard, known, &hit.row_key).await?;
                    drop(guard);
                    let assignments = assignments.clone();
                    self.duplicates += 1;
                    let NewRow { values: mut new, read, .. } = row;
                    new.extend(read);
                    return self
                        .update_old(shared, known, &hit.row_key, old, &new, &assignments)
                        .await;
                }
            }
        }
        self.duplicates += u64::from(replaced);
        if let Some(parents) = self.parents(&mut guard, std::iter::once(&row)).await? {
            match parents.check(&guard, &row.values) {
                Err(error) if self.leaves_out(&error) => {
                    self.ctx.warn(error);
                    self.duplicates += 1;
                    self.skipped += 1;
                    return Ok(());
                }
                checked => checked?,
            }
        }
        let NewRow { values: row, generated, .. } = row;
        known.overlay.insert(row_key.clone(), Some(table_codec::encode_row(&self.table, &row)?));
        for entry in &entries {
            known.overlay.insert(entry.key.clone(), Some(entry.value.clone()));
        }
        put_new(&mut guard, &self.table, row_key, entries, &row, self.ctx)?;
        drop(guard);
        self.stored(generated);
        match self.triggers {
            Some(triggers) => triggers.after_insert(&row).await,
            None => Ok(()),
        }
    }

    /// Whether an index is read: one that is being added is not.
    fn is_public(&self, index: usize) -> bool {
        index < self.table.indexes.len()
    }

    /// Counts a row that was inserted. LAST_INSERT_ID() is the first generated value among those.
    pub(super) fn stored(&mut self, generated: Option<u64>) {
        self.changes.affected += 1;
        self.changes.some_given |= generated.is_none();
        if self.changes.first_id.is_none() {
            self.changes.first_id = generated;
        }
    }

    async fn find_hit(
        &self,
        txn: &mut Transaction,
        known: &mut Known,
        row_key: &Bytes,
        entries: &[IndexEntry],
    ) -> Result<Option<Hit>> {
        if known.get(txn, row_key).await?.is_some() {
            return Ok(Some(Hit { index: 0, row_key: row_key.clone() }));
        }
        for entry in entries.iter().filter(|entry| entry.unique) {
            if let Some(place) = known.get(txn, &entry.key).await? {
                let index = self.table.index_at(entry.index);
                let row_key =
                    table_codec::row_key_from_index_entry(&self.table, index, &entry.key, &place)?;
                return Ok(Some(Hit { index: entry.index, row_key }));
            }
        }
        Ok(None)
    }

    async fn old_row(
        &self,
        txn: &mut Transaction,
        known: &mut Known,
        row_key: &Bytes,
    ) -> Result<Row> {
        let bytes = known.get(txn, row_key).await?.ok_or_else(|| {
            Error::storage(format!("an index entry of {} has no row", self.table.qualified_name()))
        })?;
        table_codec::decode_all(&self.table, &bytes)
    }

    async fn update_old(
        &mut self,
        txn: &SharedTransaction,
        known: &mut Known,
        row_key: &Bytes,
        old: Row,
        new: &Row,
        assignments: &[Assignment],
    ) -> Result<()> {
        let width = old.len();
        let mut both = old.clone();
        both.extend(new.iter().cloned());
        apply(&self.table, &mut both, assignments, self.defaults, self.ctx)?;
        both.truncate(width);
        if both != old {
            touch(&self.table, &mut both, assignments, self.ctx);
            self.table.generate(&mut both, self.ctx)?;
        }
        if let Some(triggers) = self.triggers {
            triggers.before_update(&old, &mut both).await?;
        }
        if both == old {
            self.changes.unchanged += 1;
            return match self.triggers {
                Some(triggers) => triggers.after_update(&old, &both).await,
                None => Ok(()),
            };
        }
        self.table.check_row(&both, self.ctx)?;
        let locking = self.locking.as_ref();
        let rows = (old.as_slice(), both.as_slice());
        let (references, table) = (self.references, &*self.table);
        let mut guard = txn.lock().await;
        let written =
            reference::change_row(references, &mut guard, table, row_key, rows, locking, self.ctx)
                .await?;
        drop(guard);
        known.overlay.extend(written);
        self.lifted = self.lifted.max(assigned_number(&self.table, &old, &both));
        self.changes.affected += 2;
        match self.triggers {
            Some(triggers) => triggers.after_update(&old, &both).await,
            None => Ok(()),
        }
    }
}

/// The key of a row that is written.
///
/// # Errors
/// 1526 when no set takes the row, of the former layout neither; 1748 when the statement may not write where it belongs.
fn new_row_key(table: &TableDef, row: &[Value], ctx: &EvalContext) -> Result<Bytes> {
    let key = table_codec::row_key(table, row)?;
    mirror::check_place(table, row)?;
    check_inside(table, &key, ctx)?;
    Ok(key)
}

/// 1748 for a row outside of the sets that the statement names. A row of a broadcast table is in all of them.
fn check_inside(table: &TableDef, key: &[u8], ctx: &EvalContext) -> Result<()> {
    match broadcast::is_broadcast(table) || is_inside(ctx.slots.as_ref(), key) {
        true => Ok(()),
        false => Err(Error::outside_of_sets()),
    }
}

/// Whether IGNORE makes a warning of an error: a duplicate key, no set or partition for the row, or one that the statement has
/// not named, a parent that is not there, or children that are.
pub(crate) fn is_ignored(error: &Error) -> bool {
    matches!(error.code, 1062 | 1526 | 1748 | 1451 | 1452)
}

/// Lets a transaction send its writes when they are too many for memory. `changes` are the statement's so far.
///
/// # Errors
/// Whatever a commit may answer; the whole transaction is rolled back then. 1062 for a key that the statement has not looked
/// up; a conflict for one that somebody has added since it was looked up, or before it was generated.
pub(crate) async fn make_room(
    txn: &mut Transaction,
    changes: &Changes,
    check: Check,
    ctx: &EvalContext,
) -> Result<()> {
    let key = match txn.make_room().await {
        Err(txn::Error::AlreadyExists { key }) => key,
        other => return Ok(other?),
    };
    let is_conflict = check == Check::Now || changes.settles_duplicates;
    match changes.table_of(&key) {
        Some(table) if !is_conflict && !changes.is_generated_key(&key) => {
            let client = txn.client().clone();
            Err(duplicate::describe(&client, table, &key, &changes.rows, ctx).await)
        }
        Some(_) | None => Err(Error::deadlock()),
    }
}

/// Buffers a new row and its entries.
pub(crate) fn put_new(
    txn: &mut Transaction,
    table: &TableDef,
    row_key: Bytes,
    entries: Vec<IndexEntry>,
    row: &[Value],
    ctx: &EvalContext,
) -> Result<()> {
    let value = table_codec::encode_row(table, row)?;
    put(txn, table, row_key, value, true, || duplicate::error(table, 0, row, ctx))?;
    for entry in entries {
        let index = entry.index;
        put(txn, table, entry.key, entry.value, entry.unique, || {
            duplicate::error(table, index, row, ctx)
        })?;
    }
    mirror::put_new(txn, table, row, ctx)
}

/// Buffers a row or an entry, in all copies of a broadcast table.
fn put(
    txn: &mut Transaction,
    table: &TableDef,
    key: Bytes,
    value: Bytes,
    unique: bool,
    duplicate: impl FnOnce() -> Error,
) -> Result<()> {
    let expect = if unique { Expect::Absent } else { Expect::Any };
    match broadcast::put(txn, table, key, value, expect) {
        Err(txn::Error::AlreadyExists { .. }) => Err(duplicate()),
        other => Ok(other?),
    }
}

/// Buffers the removal of a row and its entries; answers the keys.
pub(crate) async fn remove(
    txn: &mut Transaction,
    table: &TableDef,
    row_key: &Bytes,
    row: &[Value],
    locking: Option<&Locking>,
    ctx: &EvalContext,
) -> Result<Vec<Bytes>> {
    let entries = table_codec::index_entries(table, row)?;
    if let Some(locking) = locking {
        let unique = entries.iter().filter(|entry| entry.unique);
        let unique: Vec<Bytes> = unique.map(|entry| entry.key.clone()).collect();
        locking.take_any(txn, &unique, ctx).await?;
    }
    let expect = txn.expect_unchanged(row_key);
    broadcast::delete(txn, table, row_key.clone(), expect)?;
    let mut keys = vec![row_key.clone()];
    for entry in entries {
        if !leads_to_its_row(txn, &entry, locking, ctx).await? {
            continue;
        }
        remove_entry(txn, table, &entry)?;
        keys.push(entry.key);
    }
    mirror::remove(txn, table, row, locking, ctx).await?;
    Ok(keys)
}

/// Whether an entry that is to be removed, and is locked if the statement locks, belongs to the row: it leads there, or
/// is not there at all. Of an index that is read there is no other.
async fn leads_to_its_row(
    txn: &mut Transaction,
    entry: &IndexEntry,
    locking: Option<&Locking>,
    ctx: &EvalContext,
) -> Result<bool> {
    if entry.state == IndexState::Public || !entry.unique {
        return Ok(true);
    }
    if let Some(own) = txn.own_write(&entry.key) {
        return Ok(own.is_none_or(|place| place == entry.value));
    }
    let found = match locking {
        // What the shards have of a large transaction only its own reads pass.
        Some(locking) if txn.is_large() => {
            locking.take(txn, std::slice::from_ref(&entry.key), ctx).await?;
            txn.get(&entry.key).await?
        }
        // It is locked, so the newest version stays; the read point may be older than that.
        Some(_) => Transaction::begin(txn.client().clone(), Mode::Latest).get(&entry.key).await?,
        None => txn.get(&entry.key).await?,
    };
    Ok(found.is_none_or(|place| place == entry.value))
}

/// Buffers the removal of an entry. Where it was looked at, it must still be what it was.
fn remove_entry(txn: &mut Transaction, table: &TableDef, entry: &IndexEntry) -> Result<()> {
    let expect = match entry.state {
        IndexState::Public => Expect::Any,
        IndexState::DeleteOnly | IndexState::WriteOnly if entry.unique => {
            txn.expect_unchanged(&entry.key)
        }
        IndexState::DeleteOnly | IndexState::WriteOnly => Expect::Any,
    };
    Ok(broadcast::delete(txn, table, entry.key.clone(), expect)?)
}

/// Buffers the change of a row: only entries that differ are written. 1062 when a new key exists.
/// Answers what was written.
pub(crate) async fn change(
    txn: &mut Transaction,
    table: &TableDef,
    row_key: &Bytes,
    (old, new): (&[Value], &[Value]),
    locking: Option<&Locking>,
    ctx: &EvalContext,
) -> Result<Vec<(Bytes, Option<Bytes>)>> {
    let new_key = new_row_key(table, new, ctx)?;
    let moved = new_key != *row_key;
    let old_entries = table_codec::index_entries(table, old)?;
    let new_entries = table_codec::index_entries(table, new)?;
    let changed = || {
        let pairs = old_entries.iter().zip(&new_entries);
        pairs.filter(|(before, after)| before.key != after.key)
    };
    if let Some(locking) = locking {
        let pairs = old_entries.iter().zip(&new_entries);
        let left = pairs.filter(|(before, after)| {
            before.key != after.key || before != after && before.state != IndexState::Public
        });
        let left = left.map(|(before, _)| before).filter(|before| before.unique);
        let left: Vec<Bytes> = left.map(|before| before.key.clone()).collect();
        locking.take_any(txn, &left, ctx).await?;
    }
    // Keys that the row takes, and the index each belongs to.
    let entered = changed().map(|(_, after)| after);
    let entered = entered.filter(|after| after.unique && after.is_added());
    let entered = entered.map(|after| (after.key.clone(), after.index));
    let entered = moved.then(|| (new_key.clone(), 0)).into_iter().chain(entered);
    let (keys, indexes): (Vec<Bytes>, Vec<usize>) = entered.unzip();
    if let Some(hit) = first_that_exists(txn, &keys, locking, ctx).await? {
        return Err(duplicate::error(table, indexes[hit], new, ctx));
    }
    let mut written = Vec::new();
    let expect = txn.expect_unchanged(row_key);
    let value = table_codec::encode_row(table, new)?;
    if moved {
        broadcast::delete(txn, table, row_key.clone(), expect)?;
        written.push((row_key.clone(), None));
        put(txn, table, new_key.clone(), value.clone(), true, || {
            duplicate::error(table, 0, new, ctx)
        })?;
        written.push((new_key, Some(value)));
    } else {
        broadcast::put(txn, table, row_key.clone(), value.clone(), expect)?;
        written.push((row_key.clone(), Some(value)));
    }
    for (before, after) in old_entries.into_iter().zip(new_entries) {
        if before == after {
            continue;
        }
        let own = leads_to_its_row(txn, &before, locking, ctx).await?;
        if before.key == after.key && after.is_added() {
            // The key stays and leads to another place, for the row has moved, or carries other values.
            if !own && moved {
                return Err(duplicate::error(table, after.index, new, ctx));
            }
            if !own {
                // It is another row's: whoever fills the index finds both.
                continue;
            }
            let expect = match after.state {
                IndexState::Public => Expect::Any,
                IndexState::DeleteOnly | IndexState::WriteOnly => txn.expect_unchanged(&after.key),
            };
            broadcast::put(txn, table, after.key.clone(), after.value.clone(), expect)?;
            written.push((after.key, Some(after.value)));
            continue;
        }
        if own {
            remove_entry(txn, table, &before)?;
            written.push((before.key, None));
        }
        if after.is_added() {
            let index = after.index;
            put(txn, table, after.key.clone(), after.value.clone(), after.unique, || {
                duplicate::error(table, index, new, ctx)
            })?;
            written.push((after.key, Some(after.value)));
        }
    }
    mirror::change(txn, table, (old, new), locking, ctx).await?;
    Ok(written)
}

/// The AUTO_INCREMENT value that a change has given a row: the counter goes on above it.
pub(crate) fn assigned_number(table: &TableDef, old: &[Value], new: &[Value]) -> Option<u64> {
    let column = table.auto_increment().filter(|column| old[*column] != new[*column])?;
    u64::try_from(new[column].as_integer()?).ok()
}

/// The first of some keys that exists, locked if the statement locks.
async fn first_that_exists(
    txn: &mut Transaction,
    keys: &[Bytes],
    locking: Option<&Locking>,
    ctx: &EvalContext,
) -> Result<Option<usize>> {
    let Some(locking) = locking else {
        for (at, key) in keys.iter().enumerate() {
            if txn.get(key).await?.is_some() {
                return Ok(Some(at));
            }
        }
        return Ok(None);
    };
    let outcomes = locking.take_any(txn, keys, ctx).await?;
    let mut found = keys.iter().zip(outcomes);
    Ok(found.position(|(key, outcome)| locking::exists(txn, key, outcome)))
}

/// Assigns left to right; later assignments see earlier ones, as in MySQL.
pub(crate) fn apply(
    table: &TableDef,
    row: &mut Row,
    assignments: &[Assignment],
    defaults: &super::row::RowMaker,
    ctx: &EvalContext,
) -> Result<()> {
    for assignment in assignments {
        if is_computed(table, assignment)? {
            continue;
        }
        row[assignment.column] = assigned(table, row, assignment, defaults, ctx)?;
    }
    Ok(())
}

/// Whether an assignment is DEFAULT for a generated column, which is computed anyway; any other value is refused.
pub(crate) fn is_computed(table: &TableDef, assignment: &Assignment) -> Result<bool> {
    let column = &table.columns[assignment.column];
    match (&column.generated, &assignment.value) {
        (None, _) => Ok(false),
        (Some(_), None) => Ok(true),
        (Some(_), Some(_)) => Err(Error::value_of_generated(&column.name, &table.name)),
    }
}

/// The value that an assignment gives its column; the row may be a joined one.
pub(crate) fn assigned(
    table: &TableDef,
    row: &[Value],
    assignment: &Assignment,
    defaults: &super::row::RowMaker,
    ctx: &EvalContext,
) -> Result<Value> {
    let column = &table.columns[assignment.column];
    let Some(expr) = &assignment.value else {
        return defaults.default_for(assignment.column, ctx);
    };
    match expr.eval(row, ctx)? {
        Value::Null if column.ty.nullable => Ok(Value::Null),
        Value::Null => null_in(column, false, ctx),
        value => assign(value, &column.ty, &column.name, ctx.row(), ctx),
    }
}

/// ON UPDATE CURRENT_TIMESTAMP of a row that has changed.
pub(crate) fn touch(
    table: &TableDef,
    row: &mut Row,
    assignments: &[Assignment],
    ctx: &EvalContext,
) {
    for (position, column) in table.columns.iter().enumerate() {
        let assigned = assignments.iter().any(|assignment| assignment.column == position);
        if column.on_update_now && !assigned {
            row[position] = super::row::now_for(&column.ty, ctx);
        }
    }
}
