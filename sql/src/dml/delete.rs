//! DELETE from one table; `multi_delete` is for several.

use super::update::Target;
use super::{Changes, Check, multi_delete, store, view};
use crate::ast::{self, DeleteTarget};
use crate::session::Session;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::{Error, Result};

/// Runs DELETE.
pub(crate) async fn run(
    session: &Session,
    delete: &ast::Delete,
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<Changes> {
    let env = &env.with_named(&delete.with);
    let source = match &delete.target {
        DeleteTarget::Single(source) => source,
        DeleteTarget::Multi { targets, from } => {
            let names = (targets.as_slice(), from.as_slice());
            let filter = delete.filter.as_ref();
            return Box::pin(multi_delete::run(session, names, filter, env, txn)).await;
        }
    };
    if let Some(view) = view::find_join(&source.name, session, &env.catalog)? {
        return Err(Error::delete_from_join_view(view.qualified_name()));
    }
    let clauses = (delete.filter.as_ref(), delete.order_by.as_slice(), delete.limit.as_ref());
    let mut target = Target::bind(session, source, "DELETE", clauses, env, txn).await?;
    let mut affected = 0;
    if let Some(tables) = session.memory_of(&target.table) {
        let rows = target.rows_in_memory(&tables, &env.ctx).await?;
        for (key, _) in &rows {
            tables.delete(target.table.id, key)?;
        }
        return Ok(Changes { affected: rows.len() as u64, ..Changes::default() });
    }
    let mut matches = target.open(txn, &env.ctx).await?;
    let table = matches.table().clone();
    let so_far = Changes { table: Some(table.clone()), ..Changes::default() };
    let check = Check::of(env.locking.as_ref());
    while let Some(rows) = matches.next().await? {
        let mut txn = txn.lock().await;
        for (key, row) in rows {
            store::remove(&mut txn, &table, &key, &row, env.locking.as_ref(), &env.ctx).await?;
            store::make_room(&mut txn, &so_far, check, &env.ctx).await?;
            affected += 1;
        }
    }
    Ok(Changes { table: Some(table), affected, ..Changes::default() })
}
