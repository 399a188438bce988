//! DELETE from several tables.
//!
//! `DELETE a, b FROM a JOIN b … WHERE …`: all joined rows are read first; then each row of `a` that is in one of them goes, then
//! those of `b`.

use super::joined::{Budget, Joined, Place, sources_of};
use super::reference::{self, References};
use super::trigger::Triggers;
use super::{Changes, Check, store};
use crate::ast::{self, TableName, TableRef, TriggerEvent};
use crate::binder::ScopeColumn;
use crate::catalog::TableDef;
use crate::session::Session;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::temporary::is_temporary;
use crate::{Error, Result};
use base::TableId;
use base::limits::GET_KEYS_MAX;
use bytes::Bytes;
use futures::StreamExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Runs DELETE of several tables; `env` knows the statement's WITH.
pub(super) async fn run(
    session: &Session,
    (targets, from): (&[TableName], &[TableRef]),
    (filter, ignore): (Option<&ast::Expr>, bool),
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<Changes> {
    let ctx = &env.ctx;
    let joined = Joined::bind(session, from, filter, env).await?;
    let mut places: Vec<Place> = Vec::with_capacity(targets.len());
    for target in targets {
        let place = place_of(target, from, &joined, session, env)?;
        if places.iter().any(|known| known.base == place.base) {
            return Err(Error::nonunique_table(&target.name));
        }
        places.push(place);
    }
    let references = places.iter().map(|place| References::of(&place.table, env));
    let references: Vec<Option<References>> = references.collect::<Result<_>>()?;
    let all: Vec<&Place> = places.iter().collect();
    joined.enter(session, &all, txn).await?;
    let needed: BTreeSet<usize> = places.iter().flat_map(Place::key_columns).collect();
    let mut doomed: Vec<Vec<Bytes>> = places.iter().map(|_| Vec::new()).collect();
    let mut known: BTreeSet<(TableId, Bytes)> = BTreeSet::new();
    let mut budget = Budget::default();
    let mut pages = joined.open(&needed, session, env, txn).await?;
    while let Some(page) = pages.next().await {
        for row in page? {
            for (place, keys) in places.iter().zip(&mut doomed) {
                // A row that is there under two names goes once.
                if let Some(key) = place.key_of(&row)?
                    && known.insert((place.table.id, key.clone()))
                {
                    budget.add(&key, &[])?;
                    keys.push(key);
                }
            }
        }
    }
    drop(pages);
    drop(known);
    let mut changes = changes_of(&places, &references);
    let check = Check::of(env.locking.as_ref());
    for ((place, references), keys) in places.iter().zip(&references).zip(doomed) {
        let events = &[TriggerEvent::Delete];
        let triggers = Triggers::of(&place.table, events, session, env, txn).await?;
        let triggers = triggers.as_ref();
        for keys in keys.chunks(GET_KEYS_MAX) {
            ctx.check_cancel()?;
            let rows = place.rows(keys, env, &mut *txn.lock().await).await?;
            for (key, row) in keys.iter().zip(rows) {
                let Some(row) = row else { continue };
                if let Some(tables) = session.memory_of(&place.table) {
                    tables.delete(place.table.id, key)?;
                    changes.affected += 1;
                    continue;
                }
                if let Some(triggers) = triggers {
                    triggers.before_delete(&row).await?;
                }
                let locking = env.locking.as_ref();
                let (references, table) = (references.as_ref(), &*place.table);
                let mut guard = txn.lock().await;
                let removed =
                    reference::remove_row(references, &mut guard, table, key, &row, locking, ctx)
                        .await;
                let removed = match removed {
                    Ok(removed) => removed,
                    Err(error) if ignore && store::is_ignored(&error) => {
                        ctx.warn(error);
                        false
                    }
                    Err(error) => return Err(error),
                };
                changes.affected += u64::from(removed);
                store::make_room(&mut guard, &changes, check, ctx).await?;
                drop(guard);
                if let Some(triggers) = triggers.filter(|_| removed) {
                    triggers.after_delete(&row).await?;
                }
            }
        }
        changes.others.extend(triggers.map_or_else(Vec::new, Triggers::others));
    }
    Ok(changes)
}

/// The changes of a statement that has changed nothing so far.
pub(super) fn changes_of<'a>(
    places: impl IntoIterator<Item = &'a Place>,
    references: &[Option<References>],
) -> Changes {
    let mut tables: Vec<Arc<TableDef>> = Vec::new();
    for place in places {
        if is_temporary(place.table.id) {
            continue;
        }
        if tables.iter().all(|known| known.id != place.table.id) {
            tables.push(place.table.clone());
        }
    }
    for other in references.iter().flatten().flat_map(References::others) {
        if tables.iter().all(|known| known.id != other.id) {
            tables.push(other);
        }
    }
    let mut tables = tables.into_iter();
    Changes { table: tables.next(), others: tables.collect(), ..Changes::default() }
}

/// The table that a name before FROM, or before USING, means: what it goes by there.
fn place_of(
    target: &TableName,
    from: &[TableRef],
    joined: &Joined,
    session: &Session,
    env: &StatementContext,
) -> Result<Place> {
    let is_meant = |column: &ScopeColumn| {
        let database = target.database.as_deref();
        column.table == target.name && database.is_none_or(|name| column.database == name)
    };
    let position = joined.scope.columns.iter().position(is_meant);
    let position = position.ok_or_else(|| Error::unknown_delete_target(&target.name))?;
    let mut sources = Vec::new();
    from.iter().for_each(|table| sources_of(table, &mut sources));
    for source in sources {
        if source.alias.as_ref().unwrap_or(&source.name.name) != &target.name {
            continue;
        }
        let default = session.default_database();
        let database = source.name.database.as_deref().or(default.as_deref());
        let view = database.and_then(|database| env.catalog.view(database, &source.name.name));
        if let Some(view) = view {
            return Err(Error::not_supported(format!(
                "DELETE of several tables through view {}: name the table itself",
                view.qualified_name()
            )));
        }
    }
    joined.place_of(position, "DELETE", &env.catalog)
}
