//! Temporary tables: rows in the memory of the session that made them.
//!
//! ```text
//! TemporaryTables ─┬─ table: definition, rows by their keys, keys of unique indexes
//!                  └─ undo:  (table, key, row before) ─ statement fails, ROLLBACK ─> put back, the last one first
//! ```
//!
//! A temporary table has a definition like any other and stands before a table of its name. Its id is of a range that no other
//! table has; ids are the session's own. Queries read its rows as rows that are known already; nothing but memory is involved,
//! so that no lock, no shard and no other session is either. All rows are read, whatever indexes there are: those keep values
//! unique. Why: decision 0036.
//!
//! Invariants:
//! 1. A row is in memory together with the keys of its unique indexes.
//! 2. What is in `undo` has been done since the transaction began, or, without one, since the statement did.
//! 3. Rows and undo together are at most `TEMPORARY_BYTES_MAX`.
//!
//! Not here: statements that make them (`ddl::temporary`), and rows of statements (`dml::temporary`).

use crate::catalog::TableDef;
use crate::value::{Row, Value};
use crate::{Error, Result, table_codec};
use base::TableId;
use base::limits::{TEMPORARY_BYTES_MAX, TEMPORARY_TABLES_MAX};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Ids of temporary tables: so many that no counter of the cluster ever comes here.
const FIRST_ID: u32 = u32::MAX - (1 << 24);

/// Whether an id is that of a temporary table.
pub(crate) fn is_temporary(id: TableId) -> bool {
    id.0 >= FIRST_ID
}

/// The temporary tables of a session.
#[derive(Default)]
pub(crate) struct TemporaryTables {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tables: BTreeMap<TableId, MemoryTable>,
    undo: Vec<Undo>,
    /// Tables made so far.
    made: u32,
    /// Of rows and of `undo`.
    bytes: usize,
}

/// A table and its rows.
struct MemoryTable {
    def: Arc<TableDef>,
    /// Whether names mean it: not while it is filled.
    seen: bool,
    rows: BTreeMap<Bytes, Row>,
    /// Keys of rows by the keys of their entries in unique indexes.
    unique: BTreeMap<Bytes, Bytes>,
    /// The next AUTO_INCREMENT value.
    next_number: u64,
    /// The next hidden row id.
    next_row_id: u64,
    /// All rows, as queries read them, since the last change.
    page: Option<Arc<Vec<Row>>>,
}

/// A row before a change.
struct Undo {
    table: TableId,
    key: Bytes,
    row: Option<Row>,
    bytes: usize,
}

impl MemoryTable {
    fn new(def: Arc<TableDef>, seen: bool) -> MemoryTable {
        let next_number = def.auto_increment_start.max(1);
        let (rows, unique) = (BTreeMap::new(), BTreeMap::new());
        MemoryTable { def, seen, rows, unique, next_number, next_row_id: 1, page: None }
    }

    fn bytes(&self) -> usize {
        self.rows.iter().map(|(key, row)| bytes_of(key, row)).sum()
    }

    /// Puts a row, or none, under a key; the row that was there.
    fn set(&mut self, key: &Bytes, row: Option<Row>) -> Result<Option<Row>> {
        self.page = None;
        let entries = row.as_ref().map(|row| unique_keys(&self.def, row)).transpose()?;
        let old = match row {
            Some(row) => self.rows.insert(key.clone(), row),
            None => self.rows.remove(key),
        };
        if let Some(old) = &old {
            for (entry, _) in unique_keys(&self.def, old)? {
                if self.unique.get(&entry) == Some(key) {
                    self.unique.remove(&entry);
                }
            }
        }
        let entries = entries.into_iter().flatten();
        self.unique.extend(entries.map(|(entry, _)| (entry, key.clone())));
        Ok(old)
    }
}

fn bytes_of(key: &Bytes, row: &[Value]) -> usize {
    2 * key.len() + row.iter().map(Value::heap_bytes).sum::<usize>()
}

/// The keys of a row in unique indexes but the primary key, and the places of those indexes.
fn unique_keys(table: &TableDef, row: &[Value]) -> Result<Vec<(Bytes, usize)>> {
    let entries = table_codec::index_entries(table, row)?.into_iter();
    Ok(entries.filter(|entry| entry.unique).map(|entry| (entry.key, entry.index)).collect())
}

impl State {
    fn table(&mut self, id: TableId) -> Result<&mut MemoryTable> {
        self.tables.get_mut(&id).ok_or_else(|| Error::internal("a temporary table that is gone"))
    }

    fn set(&mut self, id: TableId, key: &Bytes, row: Option<Row>) -> Result<()> {
        let added = row.as_ref().map_or(0, |row| bytes_of(key, row));
        if self.bytes + added > TEMPORARY_BYTES_MAX {
            return Err(Error::table_full(&self.table(id)?.def.name));
        }
        let old = self.table(id)?.set(key, row)?;
        // What was there is kept to be put back.
        let bytes = old.as_ref().map_or(0, |row| bytes_of(key, row));
        self.bytes += added;
        self.undo.push(Undo { table: id, key: key.clone(), row: old, bytes });
        Ok(())
    }

    fn forget(&mut self, id: TableId) {
        // Marks count what is in the list, so nothing leaves it.
        for undo in self.undo.iter_mut().filter(|undo| undo.table == id) {
            (undo.row, undo.bytes) = (None, 0);
        }
        self.tables.remove(&id);
        self.count();
    }

    fn count(&mut self) {
        let rows: usize = self.tables.values().map(MemoryTable::bytes).sum();
        self.bytes = rows + self.undo.iter().map(|undo| undo.bytes).sum::<usize>();
    }
}

impl TemporaryTables {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().tables.is_empty()
    }

    /// The table of this name.
    pub(crate) fn find(&self, database: &str, name: &str) -> Option<Arc<TableDef>> {
        let state = self.state.lock();
        let seen = state.tables.values().filter(|table| table.seen);
        let mut tables = seen.map(|table| &table.def);
        tables.find(|table| table.database == database && table.name == name).cloned()
    }

    /// An id that no table of the session has had.
    ///
    /// # Errors
    /// 1235 when there are too many tables, or were.
    pub(crate) fn new_id(&self) -> Result<TableId> {
        let mut state = self.state.lock();
        let id = FIRST_ID.checked_add(state.made);
        match id.filter(|_| state.tables.len() < TEMPORARY_TABLES_MAX) {
            Some(id) => {
                state.made += 1;
                Ok(TableId(id))
            }
            None => Err(Error::not_supported(format!(
                "more than {TEMPORARY_TABLES_MAX} temporary tables of a session: drop some of them"
            ))),
        }
    }

    /// Adds an empty table, or replaces one of this id by an empty one.
    pub(crate) fn add(&self, table: Arc<TableDef>) {
        self.add_table(table, true);
    }

    /// Adds an empty table that no name means until it is shown.
    pub(crate) fn add_unseen(&self, table: Arc<TableDef>) {
        self.add_table(table, false);
    }

    fn add_table(&self, table: Arc<TableDef>, seen: bool) {
        let mut state = self.state.lock();
        state.forget(table.id);
        state.tables.insert(table.id, MemoryTable::new(table, seen));
    }

    /// Lets its name mean a table.
    pub(crate) fn show(&self, id: TableId) {
        if let Some(table) = self.state.lock().tables.get_mut(&id) {
            table.seen = true;
        }
    }

    /// Removes a table; there is no way back.
    pub(crate) fn remove(&self, id: TableId) {
        self.state.lock().forget(id);
    }

    /// Removes all tables.
    pub(crate) fn clear(&self) {
        *self.state.lock() = State::default();
    }

    /// All rows of a table.
    pub(crate) fn page(&self, id: TableId) -> Result<Arc<Vec<Row>>> {
        let mut state = self.state.lock();
        let table = state.table(id)?;
        let page = match table.page.take() {
            Some(page) => page,
            None => Arc::new(table.rows.values().cloned().collect()),
        };
        table.page = Some(page.clone());
        Ok(page)
    }

    /// All rows of a table with their keys.
    pub(crate) fn rows(&self, id: TableId) -> Result<Vec<(Bytes, Row)>> {
        let mut state = self.state.lock();
        let rows = state.table(id)?.rows.iter();
        Ok(rows.map(|(key, row)| (key.clone(), row.clone())).collect())
    }

    /// Rows by their keys.
    pub(crate) fn get(&self, id: TableId, keys: &[Bytes]) -> Result<Vec<Option<Row>>> {
        let mut state = self.state.lock();
        let table = state.table(id)?;
        Ok(keys.iter().map(|key| table.rows.get(key).cloned()).collect())
    }

    /// The first row that has a key of this one: the place of the index, 0 for the primary key, and the row's key. The row
    /// under `own` is this one as it was.
    pub(crate) fn duplicate_of(
        &self,
        table: &TableDef,
        row: &[Value],
        own: Option<&Bytes>,
    ) -> Result<Option<(usize, Bytes)>> {
        let key = table_codec::row_key(table, row)?;
        let entries = unique_keys(table, row)?;
        let mut state = self.state.lock();
        let known = state.table(table.id)?;
        if known.rows.contains_key(&key) && own != Some(&key) {
            return Ok(Some((0, key)));
        }
        let mut found = entries.into_iter().filter_map(|(entry, index)| {
            let place = known.unique.get(&entry).filter(|place| own != Some(*place))?;
            Some((index, place.clone()))
        });
        Ok(found.next())
    }

    /// Puts a row under the key that it has, in the place of the one under `old`.
    ///
    /// # Errors
    /// 1114.
    pub(crate) fn put(&self, table: &TableDef, old: Option<&Bytes>, row: Row) -> Result<()> {
        let key = table_codec::row_key(table, &row)?;
        // As it would come back from a shard: numbers and decimals in their columns' forms.
        let row = table_codec::decode_all(table, &table_codec::encode_row(table, &row)?)?;
        let mut state = self.state.lock();
        if let Some(old) = old.filter(|old| **old != key) {
            state.set(table.id, old, None)?;
        }
        state.set(table.id, &key, Some(row))
    }

    /// Removes a row.
    pub(crate) fn delete(&self, id: TableId, key: &Bytes) -> Result<()> {
        self.state.lock().set(id, key, None)
    }

    /// The next AUTO_INCREMENT value of a table.
    pub(crate) fn next_number(&self, id: TableId) -> Result<u64> {
        let mut state = self.state.lock();
        let table = state.table(id)?;
        let number = table.next_number;
        table.next_number = number.saturating_add(1);
        Ok(number)
    }

    /// Lets the next AUTO_INCREMENT value be above one that was given.
    pub(crate) fn saw_number(&self, id: TableId, number: u64) -> Result<()> {
        let mut state = self.state.lock();
        let table = state.table(id)?;
        table.next_number = table.next_number.max(number.saturating_add(1));
        Ok(())
    }

    /// What the next AUTO_INCREMENT value will be.
    pub(crate) fn peek_number(&self, id: TableId) -> Result<u64> {
        Ok(self.state.lock().table(id)?.next_number)
    }

    /// The next hidden row id of a table.
    pub(crate) fn next_row_id(&self, id: TableId) -> Result<u64> {
        let mut state = self.state.lock();
        let table = state.table(id)?;
        table.next_row_id += 1;
        Ok(table.next_row_id - 1)
    }

    /// How many changes could be undone now.
    pub(crate) fn mark(&self) -> usize {
        self.state.lock().undo.len()
    }

    /// Undoes all changes since a mark.
    pub(crate) fn undo_to(&self, mark: usize) {
        let mut state = self.state.lock();
        if state.undo.len() <= mark {
            return;
        }
        for undo in state.undo.split_off(mark).into_iter().rev() {
            let Some(table) = state.tables.get_mut(&undo.table) else { continue };
            // The row was there under this definition, so its keys can be made again.
            let _ = table.set(&undo.key, undo.row);
        }
        state.count();
    }

    /// Changes so far stay.
    pub(crate) fn keep(&self) {
        let mut state = self.state.lock();
        if !state.undo.is_empty() {
            state.undo.clear();
            state.count();
        }
    }
}

/// Undoes what is not kept when the transaction is over.
pub(crate) struct UndoAtEnd {
    tables: Arc<TemporaryTables>,
}

impl UndoAtEnd {
    /// Of a transaction that begins.
    pub(crate) fn new(tables: &Arc<TemporaryTables>) -> UndoAtEnd {
        UndoAtEnd { tables: tables.clone() }
    }
}

impl Drop for UndoAtEnd {
    fn drop(&mut self) {
        self.tables.undo_to(0);
    }
}
