//! Rows of temporary tables: what `store` does with those of others, in memory.
//!
//! Not here: the memory (`crate::temporary`), and which rows a statement changes (`update`, `delete`).

use super::row::NewRow;
use super::store::{self, OnDuplicate, Store};
use super::{duplicate, row::RowMaker};
use crate::catalog::TableDef;
use crate::context::EvalContext;
use crate::temporary::TemporaryTables;
use crate::value::{Row, Value};
use crate::{Error, Result};
use bytes::Bytes;
use std::sync::Arc;

impl Store<'_> {
    /// Stores a batch of complete rows in memory.
    pub(super) fn put_in_memory(
        &mut self,
        tables: &TemporaryTables,
        rows: Vec<NewRow>,
    ) -> Result<()> {
        for row in rows {
            self.put_one_in_memory(tables, row)?;
        }
        self.changes.all_generated = self.changes.first_id.is_some() && !self.changes.some_given;
        Ok(())
    }

    fn put_one_in_memory(&mut self, tables: &TemporaryTables, row: NewRow) -> Result<()> {
        let table = self.table.clone();
        let mut replaced = false;
        while let Some((index, key)) = tables.duplicate_of(&table, &row.values, None)? {
            match &self.on_duplicate {
                OnDuplicate::Error => {
                    return Err(duplicate::error(&table, index, &row.values, self.ctx));
                }
                OnDuplicate::Ignore => {
                    self.ctx.warn(duplicate::error(&table, index, &row.values, self.ctx));
                    self.duplicates += 1;
                    self.skipped += 1;
                    return Ok(());
                }
                OnDuplicate::Replace => {
                    let old = tables.get(table.id, std::slice::from_ref(&key))?.pop().flatten();
                    tables.delete(table.id, &key)?;
                    // As for other tables: an equal row is written over and counts once.
                    let unique = table.indexes.iter().filter(|index| index.unique).count();
                    if unique > 1 || old.as_ref() != Some(&row.values) {
                        self.changes.affected += 1;
                        self.deleted += 1;
                        replaced = true;
                    }
                }
                OnDuplicate::Update(assignments) => {
                    self.duplicates += 1;
                    let old = tables.get(table.id, std::slice::from_ref(&key))?.pop().flatten();
                    let old = old.ok_or_else(|| Error::internal("a temporary row that is gone"))?;
                    let mut both = old.clone();
                    both.extend(row.values);
                    both.extend(row.read);
                    store::apply(&table, &mut both, assignments, self.defaults, self.ctx)?;
                    both.truncate(old.len());
                    if both == old {
                        self.changes.unchanged += 1;
                        return Ok(());
                    }
                    store::touch(&table, &mut both, assignments, self.ctx);
                    table.generate(&mut both, self.ctx)?;
                    table.check_row(&both, self.ctx)?;
                    change(tables, &table, &key, (&old, both), self.ctx)?;
                    self.changes.affected += 2;
                    return Ok(());
                }
            }
        }
        self.duplicates += u64::from(replaced);
        tables.put(&table, None, row.values)?;
        self.stored(row.generated);
        Ok(())
    }
}

/// Changes a row in memory. 1062 when another one has a key of it.
pub(super) fn change(
    tables: &TemporaryTables,
    table: &Arc<TableDef>,
    key: &Bytes,
    (old, new): (&[Value], Row),
    ctx: &EvalContext,
) -> Result<()> {
    if let Some((index, _)) = tables.duplicate_of(table, &new, Some(key))? {
        return Err(duplicate::error(table, index, &new, ctx));
    }
    if let Some(number) = store::assigned_number(table, old, &new) {
        tables.saw_number(table.id, number)?;
    }
    tables.put(table, Some(key), new)
}

impl RowMaker {
    /// Generates what is to be generated in a row of a temporary table.
    pub(crate) fn complete_in_memory(
        &self,
        mut row: Row,
        tables: &TemporaryTables,
        ctx: &EvalContext,
    ) -> Result<NewRow> {
        let id = self.table().id;
        let mut generated = None;
        if let Some(column) = self.asks_for_number(&row) {
            let number = tables.next_number(id)?;
            row[column] = self.number_for(column, number)?;
            generated = Some(number);
        } else if let Some(number) = self.given_number(&row) {
            tables.saw_number(id, number)?;
        }
        if let Some(column) = self.table().row_id()
            && row[column].is_null()
        {
            row[column] = Value::UInt(tables.next_row_id(id)?);
        }
        self.table().generate(&mut row, ctx)?;
        Ok(NewRow { values: row, generated, read: Row::new() })
    }
}
