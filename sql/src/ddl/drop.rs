//! DROP TABLE, TRUNCATE and RENAME: what takes tables away from their users.
//!
//! Invariant: a dropped or truncated table's rows stay under an id that is never used again (`catalog::dropped`).

use super::change::{Touched, change};
use super::{
    create_table, database_of, existing_database, foreign_key, partition, rule, temporary, trigger,
};
use crate::catalog::{Catalog, TableDef, ViewDef, store};
use crate::session::{Outcome, Session};
use crate::{Error, Result, ast};

/// DROP TABLE: all of them or none.
pub(super) async fn tables(session: &mut Session, drop: &ast::DropTable) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let now = ctx.now_unix_micros / 1_000_000;
    let mut names = Vec::with_capacity(drop.names.len());
    // A temporary table stands before another one of its name, which stays.
    let mut temporary = Vec::new();
    for name in &drop.names {
        if let Some(table) = session.temporary_table(name)
            && !temporary.contains(&table.id)
        {
            temporary.push(table.id);
            continue;
        }
        let pair = (database_of(session, name)?.to_string(), name.name.clone());
        if names.contains(&pair) {
            return Err(Error::nonunique_table(&pair.1));
        }
        names.push(pair);
    }
    if names.is_empty() {
        temporary.into_iter().for_each(|id| session.temporary.remove(id));
        return Ok(Outcome::done());
    }
    let mut missing = Vec::new();
    let touched = names.iter().map(|(database, name)| (database.as_str(), name.as_str()));
    change(session, Touched::Tables(touched.collect()), |change| {
        missing.clear();
        let mut found = Vec::new();
        for (database, name) in &names {
            match change.catalog.table(database, name) {
                Some(table) => found.push(table.clone()),
                None if change.catalog.sequence(database, name).is_some() => {
                    let full = format!("{database}.{name}");
                    let wanted = "BASE TABLE: it is a sequence, use DROP SEQUENCE";
                    return Err(Error::wrong_object(full, wanted));
                }
                None => missing.push(format!("{database}.{name}")),
            }
        }
        if !missing.is_empty() && !drop.if_exists {
            // MySQL 8 drops all tables or none.
            return Err(Error::unknown_table(missing.join(",")));
        }
        for table in &found {
            let is_dropped = |other: &TableDef| found.iter().any(|table| table.id == other.id);
            foreign_key::check_drop(&change.catalog, table, is_dropped, &ctx)?;
        }
        for table in &found {
            change.drop_table(table, now)?;
            trigger::drop_of(change, table)?;
        }
        Ok(!found.is_empty())
    })
    .await?;
    temporary.into_iter().for_each(|id| session.temporary.remove(id));
    for name in missing {
        ctx.note(Error::unknown_table(name));
    }
    Ok(Outcome::done())
}

/// TRUNCATE: the table gets a new id.
pub(super) async fn truncate(session: &mut Session, name: &ast::TableName) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let now = ctx.now_unix_micros / 1_000_000;
    if let Some(table) = session.temporary_table(name) {
        temporary::truncate(session, &table);
        return Ok(Outcome::done());
    }
    let database = database_of(session, name)?.to_string();
    let default = session.database.clone();
    let client = session.instance.config.client.clone();
    let known = session.instance.catalog.current().await?;
    let mut wanted = known.table(&database, &name.name).map_or(1, |table| partition::ids_of(table));
    while wanted > 0 {
        let ids = store::new_table_ids(&client, wanted).await?;
        let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
        change(session, touched, |change| {
            let table = crate::dml::find_table(name, default.as_deref(), &change.catalog)?;
            wanted = partition::ids_of(&table);
            if wanted > ids.len() {
                // It has got partitions since: once more, with an id for each.
                return Ok(false);
            }
            wanted = 0;
            foreign_key::check_truncate(&change.catalog, &table, &ctx)?;
            change.drop_table(&table, now)?;
            // A new id is an empty table, and AUTO_INCREMENT begins again.
            let empty = partition::with_ids(&table, &ids);
            let unpublished = Vec::new();
            change.put_table(&TableDef { auto_increment_start: 0, unpublished, ..empty })?;
            Ok(true)
        })
        .await?;
    }
    Ok(Outcome::done())
}

/// RENAME TABLE.
pub(super) async fn rename(
    session: &mut Session,
    pairs: &[(ast::TableName, ast::TableName)],
) -> Result<Outcome> {
    session.dml_context(Vec::new(), false);
    // Locks are known by names: a table that is locked keeps its name.
    session.table_locks.check_no_tables()?;
    let mut renames = Vec::with_capacity(pairs.len());
    for (from, to) in pairs {
        create_table::check_identifier(&to.name, |name| Error::wrong_table_name(name))?;
        let from = (database_of(session, from)?.to_string(), from.name.clone());
        let to = (database_of(session, to)?.to_string(), to.name.clone());
        renames.push((from, to));
    }
    let touched = renames.iter().flat_map(|(from, to)| [from, to]);
    let touched = touched.map(|(database, name)| (database.as_str(), name.as_str()));
    change(session, Touched::Tables(touched.collect()), |change| {
        // Left to right, so that two tables can swap names over a third one.
        let mut now: Vec<TableDef> = Vec::new();
        let find = |now: &[TableDef], catalog: &Catalog, database: &str, name: &str| {
            let renamed = now.iter().find(|t| t.database == database && t.name == name).cloned();
            let original = catalog.table(database, name).map(|table| TableDef::clone(table));
            renamed.or_else(|| original.filter(|o| !now.iter().any(|t| t.id == o.id)))
        };
        let mut views: Vec<ViewDef> = Vec::new();
        let find_view = |now: &[ViewDef], catalog: &Catalog, database: &str, name: &str| {
            let renamed = now.iter().find(|v| v.database == database && v.name == name).cloned();
            let original = catalog.view(database, name).map(|view| ViewDef::clone(view));
            renamed.or_else(|| original.filter(|o| !now.iter().any(|v| v.id == o.id)))
        };
        for ((from_database, from), (to_database, to)) in &renames {
            existing_database(&change.catalog, to_database)?;
            let table = find(&now, &change.catalog, from_database, from);
            let view = find_view(&views, &change.catalog, from_database, from);
            if table.is_none() && view.is_none() {
                let full = format!("{from_database}.{from}");
                return Err(match change.catalog.sequence(from_database, from) {
                    Some(_) => Error::wrong_object(full, "BASE TABLE"),
                    None => Error::no_such_table(full),
                });
            }
            let is_sequence = change.catalog.sequence(to_database, to).is_some();
            if is_sequence
                || find(&now, &change.catalog, to_database, to).is_some()
                || find_view(&views, &change.catalog, to_database, to).is_some()
            {
                return Err(Error::table_exists(to));
            }
            if let Some(mut view) = view {
                if from_database != to_database {
                    return Err(Error::view_changes_database(from_database, to_database));
                }
                view.name.clone_from(to);
                views.retain(|other| other.id != view.id);
                views.push(view);
            }
            let Some(mut table) = table else { continue };
            table.database.clone_from(to_database);
            table.name.clone_from(to);
            rule::rename(&mut table, from);
            let (old, new) =
                ((from_database.as_str(), from.as_str()), (to_database.as_str(), to.as_str()));
            foreign_key::rename(&mut table, old);
            now.retain(|other| other.id != table.id);
            now.push(table);
            for child in change.catalog.children(old.0, old.1) {
                if now.iter().all(|known| known.id != child.id) {
                    now.push(TableDef::clone(child));
                }
            }
            for key in now.iter_mut().flat_map(|table| &mut table.foreign_keys) {
                foreign_key::rename_parent(key, old, new);
            }
        }
        for table in &now {
            rule::check_names(&change.catalog, table)?;
            change.put_table(table)?;
            if let Some(old) = change.catalog.table_by_id(table.id).cloned() {
                trigger::rename(change, &old, table)?;
            }
        }
        for view in &views {
            change.put_object(view)?;
        }
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}
