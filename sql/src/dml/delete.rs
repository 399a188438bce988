//! DELETE from one table; `multi_delete` is for several.

use super::reference::{self, References};
use super::trigger::Triggers;
use super::update::Target;
use super::{Changes, Check, multi_delete, store, view};
use crate::ast::{self, DeleteTarget, TriggerEvent};
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
    let events = &[TriggerEvent::Delete];
    let triggers = Triggers::of(&target.table, events, session, env, txn).await?;
    let triggers = triggers.as_ref();
    let mut matches = target.open(txn, &env.ctx).await?;
    let table = matches.table().clone();
    let others = references.map_or_else(Vec::new, References::others);
    let mut so_far = Changes { table: Some(table.clone()), others, ..Changes::default() };
    let check = Check::of(env.locking.as_ref());
    while let Some(rows) = matches.next().await? {
        for (key, row) in rows {
            if let Some(triggers) = triggers {
                triggers.before_delete(&row).await?;
            }
            let (locking, ctx) = (env.locking.as_ref(), &*env.ctx);
            let mut guard = txn.lock().await;
            let removed =
                reference::remove_row(references, &mut guard, &table, &key, &row, locking, ctx)
                    .await;
            let removed = match removed {
                Ok(removed) => removed,
                Err(error) if delete.ignore && store::is_ignored(&error) => {
                    ctx.warn(error);
                    false
                }
                Err(error) => return Err(error),
            };
            affected += u64::from(removed);
            store::make_room(&mut guard, &so_far, check, ctx).await?;
            drop(guard);
            if let Some(triggers) = triggers.filter(|_| removed) {
                triggers.after_delete(&row).await?;
            }
        }
    }
    so_far.others.extend(triggers.map_or_else(Vec::new, Triggers::others));
    Ok(Changes { affected, ..so_far })
}
