//! CREATE DATABASE, ALTER DATABASE and DROP DATABASE.
//!
//! Not here: placement policies (`placement`).

use super::change::{Touched, change};
use super::{
    check_own, column_type, create_table, deprecated, existing_database, foreign_key, placement,
    trigger,
};
use crate::catalog::{DatabaseDef, TableDef, store};
use crate::collation::CollationId;
use crate::session::{OkResult, Outcome, Session};
use crate::{Error, Result, ast};
use std::sync::Arc;

/// CREATE DATABASE.
pub(super) async fn create(session: &mut Session, create: &ast::CreateDatabase) -> Result<Outcome> {
    create_table::check_identifier(&create.name, |name| Error::wrong_database_name(name))?;
    let options = &create.options;
    let collation = column_type::choose_collation(
        options.charset.as_deref(),
        options.collation.as_deref(),
        CollationId::DEFAULT,
    )?;
    if options.encryption.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("y")) {
        return Err(Error::not_supported("ENCRYPTION='Y': encrypt the disk"));
    }
    let ctx = session.dml_context(Vec::new(), false);
    deprecated::warn_of(options.charset.as_deref(), options.collation.as_deref(), &ctx)?;
    let placement = placement::known(session, options.placement.as_deref().unwrap_or_default())?;
    let id = store::new_database_id(&session.instance.config.client).await?;
    let name = create.name.clone();
    change(session, Touched::NewDatabase, |change| {
        if change.catalog.has_database(&name) {
            if !create.if_not_exists {
                return Err(Error::database_exists(&name));
            }
            ctx.note(Error::database_exists(&name));
            return Ok(false);
        }
        let placement = placement.clone();
        change.put_database(&DatabaseDef { id, name: name.clone(), collation, placement })?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::Ok(OkResult { affected_rows: 1, ..OkResult::default() }))
}

/// ALTER DATABASE: the collation of new tables that name none, or their placement policy.
pub(super) async fn alter(session: &mut Session, alter: &ast::AlterDatabase) -> Result<Outcome> {
    let options = &alter.options;
    if options.placement.is_some() {
        return placement::alter_database(session, alter).await;
    }
    if options.read_only == Some(true) {
        return Err(Error::not_supported("ALTER DATABASE … READ ONLY = 1: grant SELECT alone"));
    }
    if options.encryption.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("y")) {
        return Err(Error::not_supported("ENCRYPTION='Y': encrypt the disk"));
    }
    let ctx = session.dml_context(Vec::new(), false);
    let name = alter.name.clone().or_else(|| session.database.as_deref().map(String::from));
    let name = name.ok_or_else(Error::no_database)?;
    check_own(session, &name)?;
    let (charset, collation) = (options.charset.as_deref(), options.collation.as_deref());
    change(session, Touched::NewDatabase, |change| {
        let old = existing_database(&change.catalog, &name)?;
        let collation = column_type::choose_collation(charset, collation, old.collation)?;
        let new = DatabaseDef { collation, ..DatabaseDef::clone(old) };
        if new == **old {
            return Ok(false);
        }
        change.put_database(&new)?;
        Ok(true)
    })
    .await?;
    deprecated::warn_of(charset, collation, &ctx)?;
    Ok(Outcome::Ok(OkResult { affected_rows: 1, ..OkResult::default() }))
}

/// DROP DATABASE, with all its tables and their triggers, sequences, views and routines.
pub(super) async fn drop(session: &mut Session, name: &str, if_exists: bool) -> Result<Outcome> {
    check_own(session, name)?;
    let ctx = session.dml_context(Vec::new(), false);
    let now = ctx.now_unix_micros / 1_000_000;
    let mut dropped = 0;
    change(session, Touched::Database(name), |change| {
        dropped = 0;
        if change.catalog.database(name).is_none() {
            if !if_exists {
                return Err(Error::drop_unknown_database(name));
            }
            ctx.note(Error::drop_unknown_database(name));
            return Ok(false);
        }
        let tables: Vec<Arc<TableDef>> = change.catalog.tables(name).cloned().collect();
        for table in &tables {
            let is_dropped = |other: &TableDef| other.database == name;
            foreign_key::check_drop(&change.catalog, table, is_dropped, &ctx)?;
        }
        for table in tables {
            change.drop_table(&table, now)?;
            trigger::drop_of(change, &table)?;
            dropped += 1;
        }
        let sequences: Vec<_> = change.catalog.sequences(name).cloned().collect();
        for sequence in sequences {
            change.drop_sequence(&sequence, now)?;
            dropped += 1;
        }
        let views: Vec<_> = change.catalog.views(name).cloned().collect();
        for view in views {
            change.remove_object(&*view)?;
            dropped += 1;
        }
        let routines: Vec<_> = change.catalog.routines(name).cloned().collect();
        for routine in routines {
            change.remove_object(&*routine)?;
        }
        change.drop_database(name)?;
        Ok(true)
    })
    .await?;
    if session.database.as_deref() == Some(name) {
        session.forget_database();
    }
    Ok(Outcome::Ok(OkResult { affected_rows: dropped, ..OkResult::default() }))
}
