//! Tables that are younger than what a transaction reads.
//!
//! ```text
//! BEGIN ──── first read: read point ──────────────────────── SELECT … FROM t ─> 1412
//!                                        TRUNCATE t │
//! ```
//!
//! A transaction that keeps its read point must not read a table that was made, or emptied by TRUNCATE, after that point:
//! under the id of now it has no rows of then, and would look empty. A schema change waits for transactions that use its
//! tables (`ddl`), so this meets transactions that have not used the table before, and those of a node that did not answer.
//!
//! The definition at BEGIN tells most tables apart, without a message. For the others the record of then is read in the
//! meta shard. RENAME alone changes no row, so names are left out of it. An index that was added since has no entries of then:
//! such a transaction gets definitions without it (`Catalog::at`). What else changes of indexes is no harm: an index becomes
//! public a moment before its definition is committed (`public_since`), and a node learns a moment after the commit that it
//! is being dropped; at both times it has all entries, though the record of then says that it is only written.
//!
//! Not here: reads of the past (`past`), what was written before (`transaction`).

use super::connection::Session;
use super::transaction::OpenTransaction;
use crate::ast::IsolationLevel;
use crate::binder::Sources;
use crate::catalog::{Catalog, TableDef, store};
use crate::temporary::is_temporary;
use crate::{Error, Result};
use base::TableId;
use std::sync::Arc;

impl Session {
    /// The definitions that the next statement runs against. A transaction that keeps its read point does not read indexes
    /// that have become public since.
    pub(crate) async fn definitions(&self) -> Result<Arc<Catalog>> {
        let catalog = self.instance.catalog.current().await?;
        let Some(open) = self.transaction.open() else { return Ok(catalog) };
        let is_past = open.past.is_some();
        if !is_past && (!keeps_read_point(open) || open.catalog.version == catalog.version) {
            return Ok(catalog);
        }
        let read_ts = open.txn.lock().await.read_ts();
        Ok(read_ts.map_or_else(|| catalog.clone(), |ts| catalog.at(ts)))
    }

    /// 1412 when the open transaction cannot see the rows of a table that a query reads, because the table is younger.
    pub(crate) async fn check_snapshot(&self, sources: &Sources) -> Result<()> {
        // What is read as of a time is checked at that time.
        if !sources.points.is_empty() {
            return Ok(());
        }
        self.check_defined(&sources.tables).await
    }

    /// The same for tables that a statement reads.
    pub(crate) async fn check_defined(&self, tables: &[Arc<TableDef>]) -> Result<()> {
        let changed: Vec<&Arc<TableDef>> =
            tables.iter().filter(|table| !self.is_as_at_begin(table)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let Some(open) = self.transaction.open() else { return Ok(()) };
        let read_ts = open.txn.lock().await.read_ts();
        // It will choose its read point now, or the definition came before that.
        let Some(read_ts) = read_ts else { return Ok(()) };
        let ids: Vec<TableId> = changed.iter().map(|table| table.id).collect();
        let mut past = self.transaction_at(read_ts).await?;
        let then = store::tables_by_id(&mut past, &ids).await?;
        let mut both = changed.into_iter().zip(then);
        let fits = |then: &TableDef, now: &TableDef| {
            now.has_entries_of(then, read_ts) && differs_in_names(then, now)
        };
        match both.all(|(now, then)| then.is_some_and(|then| fits(&then, now))) {
            true => Ok(()),
            false => Err(Error::table_changed()),
        }
    }

    /// Whether the open transaction, if it keeps its read point, has begun with a table as it is now.
    pub(crate) fn is_as_at_begin(&self, table: &TableDef) -> bool {
        if is_temporary(table.id) {
            return true;
        }
        let open = self.transaction.open().filter(|open| keeps_read_point(open));
        open.is_none_or(|open| {
            let then = open.catalog.table_by_id(table.id);
            then.is_some_and(|then| std::ptr::eq(&**then, table) || has_same_rows(then, table))
        })
    }
}

/// Whether all its statements see one point. Those that read the past are checked by themselves.
fn keeps_read_point(open: &OpenTransaction) -> bool {
    let keeps =
        matches!(open.isolation, IsolationLevel::RepeatableRead | IsolationLevel::Serializable);
    keeps && open.past.is_none()
}

/// Whether two definitions of one id differ at most in their names and in indexes that are not read: one that has come
/// since has no entries of then.
fn has_same_rows(then: &TableDef, now: &TableDef) -> bool {
    then == now || now.has_indexes_of(then) && differs_in_names(then, now)
}

/// Whether two definitions of one id differ at most in their names and in indexes.
fn differs_in_names(then: &TableDef, now: &TableDef) -> bool {
    let (database, name) = (now.database.clone(), now.name.clone());
    TableDef { database, name, ..then.without_indexes() } == now.without_indexes()
}
