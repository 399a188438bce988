//! ANALYZE TABLE: statistics are collected, and stored as a schema change that touches no table, so that every node has them when
//! the statement is answered and no plan of before is used again.
//!
//! Not here: collecting (`crate::statistics`).

use super::change::{Touched, change};
use crate::Result;
use crate::catalog::TableDef;
use crate::session::Session;
use crate::statistics;
use std::sync::Arc;

/// Collects and stores the statistics of a table. One that was dropped meanwhile has none.
pub(crate) async fn analyze(session: &mut Session, table: &Arc<TableDef>) -> Result<()> {
    let ctx = session.context(Vec::new());
    let client = session.instance.config.client.clone();
    let found = statistics::collect(table, &client, &ctx).await?;
    change(session, Touched::Nothing, |change| {
        let is_there = change.catalog.table_by_id(found.table).is_some();
        if is_there {
            change.put_statistics(&found)?;
        }
        Ok(is_there)
    })
    .await
}
