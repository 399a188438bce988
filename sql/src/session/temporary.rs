//! The temporary tables of a session, as its statements find them.
//!
//! Not here: their rows (`crate::temporary`), statements that make and drop them (`ddl::temporary`).

use super::connection::Session;
use crate::ast::{DeleteTarget, Statement, TableName, TableRef};
use crate::catalog::TableDef;
use crate::temporary::{TemporaryTables, is_temporary};
use crate::{Error, Result};
use std::sync::Arc;

impl Session {
    /// What the next statement sees of temporary tables; `None` when there are none.
    pub(crate) fn visible_temporary(&self) -> Option<Arc<TemporaryTables>> {
        (!self.temporary.is_empty()).then(|| self.temporary.clone())
    }

    /// The temporary table that a name means.
    pub(crate) fn temporary_table(&self, name: &TableName) -> Option<Arc<TableDef>> {
        if self.temporary.is_empty() {
            return None;
        }
        let default = self.default_database();
        let database = name.database.as_deref().or(default.as_deref())?;
        self.temporary.find(database, &name.name)
    }

    /// Where the rows of a table are, when it is a temporary one.
    pub(crate) fn memory_of(&self, table: &TableDef) -> Option<Arc<TemporaryTables>> {
        is_temporary(table.id).then(|| self.temporary.clone())
    }

    /// Whether a temporary table may be changed now.
    ///
    /// # Errors
    /// 1235 in an XA transaction: somebody else may commit that, who has not got the rows.
    pub(crate) fn check_temporary_use(&self) -> Result<()> {
        self.transaction.check_no_xa().map_err(|_| {
            Error::not_supported(
                "changes of temporary tables in an XA transaction: change them before XA START or after its end",
            )
        })
    }

    /// Whether all that a statement changes is a temporary table: that may be done in a read-only transaction, too.
    pub(crate) fn changes_temporary(&self, statement: &Statement) -> bool {
        let name = match statement {
            Statement::Insert(insert) => &insert.table,
            Statement::Update(update) => match update.tables.as_slice() {
                [TableRef::Table(source)] => &source.name,
                _ => return false,
            },
            Statement::Delete(delete) => match &delete.target {
                DeleteTarget::Single(source) => &source.name,
                DeleteTarget::Multi { .. } => return false,
            },
            _ => return false,
        };
        self.temporary_table(name).is_some()
    }
}
