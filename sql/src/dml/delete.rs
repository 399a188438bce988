//! DELETE from one table; `multi_delete` is for several.

use super::reference::{self, References};
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
            let filter = (delete.filter.as_ref(), delete.ignore);
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
    let references = References::of(&target.table, env)?;
    let references = references.as_ref();
    let mut matches = target.open(txn, &env.ctx).await?;
    let table = matches.table().clone();
    let others = references.map_or_else(Vec::new, References::others);
    let so_far = Changes { table: Some(table.clone()), others, ..Changes::default() };
    let check = Check::of(env.locking.as_ref());
    while let Some(rows) = matches.next().await? {
        let mut txn = txn.lock().await;
        for (key, row) in rows {
            let (locking, ctx) = (env.locking.as_ref(), &*env.ctx);
            let removed =
                reference::remove_row(references, &mut txn, &table, &key, &row, locking, ctx).await;
            match removed {
                Ok(removed) => affected += u64::from(removed),
                Err(error) if delete.ignore && store::is_ignored(&error) => ctx.warn(error),
                Err(error) => return Err(error),
            }
            store::make_room(&mut txn, &so_far, check, ctx).await?;
        }
    }
    Ok(Changes { affected, ..so_far })
}
