//! CREATE, ALTER and DROP of procedures and functions.
//!
//! What MySQL refuses when a routine is made is checked over its tree (`program::check`). Names of tables, columns and other
//! routines in its body are looked up when it runs: as in MySQL, they may come later.
//!
//! Not here: triggers (`trigger`); events, which answer 1235; what routines do (`crate::program`).

use super::change::{Touched, change};
use super::{account, column_type, create_table, database_of, existing_database, trigger};
use crate::ast::{
    Characteristics, CreateRoutine, DataUse, ProgramKind, ProgramStatement, RoutineKind,
    SqlSecurity, TableName,
};
use crate::catalog::{RoutineDef, store};
use crate::collation::CollationId;
use crate::program::check;
use crate::session::{Outcome, Session};
use crate::{Error, Result};

/// Runs one of them.
pub(super) async fn run(session: &mut Session, statement: &ProgramStatement) -> Result<Outcome> {
    match statement {
        ProgramStatement::CreateRoutine(wanted) => create(session, wanted).await,
        ProgramStatement::AlterRoutine { kind, name, characteristics } => {
            alter(session, *kind, name, characteristics).await
        }
        ProgramStatement::Drop { kind: ProgramKind::Routine(kind), if_exists, name } => {
            drop_one(session, *kind, *if_exists, name).await
        }
        ProgramStatement::CreateTrigger(wanted) => trigger::create(session, wanted).await,
        ProgramStatement::Drop { kind: ProgramKind::Trigger, if_exists, name } => {
            trigger::drop_one(session, *if_exists, name).await
        }
        other => Err(Error::not_supported(format!(
            "{}: there are no events yet; run their statements from the application",
            other.name()
        ))),
    }
}

async fn create(session: &mut Session, wanted: &CreateRoutine) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let (kind, name) = (wanted.kind(), wanted.name.name.as_str());
    create_table::check_identifier(name, |name| Error::wrong_routine_name(name))?;
    let database = database_of(session, &wanted.name)?.to_string();
    let catalog = session.instance.catalog.current().await?;
    let collation = existing_database(&catalog, &database)?.collation;
    check::routine(wanted, &database, collation)?;
    let (definer, is_known) = account::definer(session, wanted.definer.as_ref()).await?;
    if !is_known {
        ctx.note(Error::no_such_definer(format!("'{}'@'{}'", definer.0, definer.1)));
    }
    let client = session.instance.config.client.clone();
    let id = store::new_table_ids(&client, 1).await?[0];
    let now = ctx.now_unix_micros / 1_000_000;
    let said = &wanted.characteristics;
    let made = RoutineDef {
        parameters: wanted.parameters_text.0.clone(),
        returns: returns(wanted, collation)?,
        body: wanted.body.text.0.clone(),
        definer,
        security: said.security.unwrap_or(SqlSecurity::Definer),
        comment: said.comment.clone().unwrap_or_default(),
        deterministic: said.deterministic.unwrap_or(false),
        data: said.data.unwrap_or(DataUse::Contains),
        sql_mode: session.variables.sql_mode(),
        client_charset: session.variables.text("character_set_client"),
        connection_collation: session.variables.text("collation_connection"),
        database_collation: collation.name().to_string(),
        created_unix: now,
        altered_unix: now,
        ..RoutineDef::named(id, &database, kind, name)
    };
    // What is kept must be read back as what was written.
    made.tree()?;
    let mut exists = false;
    change(session, Touched::Tables(Vec::new()), |change| {
        existing_database(&change.catalog, &database)?;
        exists = change.catalog.routine(&database, kind, name).is_some();
        if exists && !wanted.if_not_exists {
            return Err(Error::routine_exists(kind.name(), name));
        }
        if !exists {
            change.put_object(&made)?;
        }
        Ok(!exists)
    })
    .await?;
    if exists {
        ctx.note(Error::routine_exists(kind.name(), name));
    }
    Ok(Outcome::done())
}

/// RETURNS as SHOW prints it: with its character set when it is text.
fn returns(wanted: &CreateRoutine, inherited: CollationId) -> Result<String> {
    let Some(ty) = &wanted.returns else { return Ok(String::new()) };
    let resolved = column_type::resolve("", ty, inherited)?;
    let collation = resolved.ty.collation;
    let mut text = resolved.text;
    if resolved.ty.has_charset() {
        text.push_str(&format!(" CHARSET {}", collation.charset()));
        let default = crate::collation::charset_by_name(collation.charset())?.default;
        if default != collation {
            text.push_str(&format!(" COLLATE {}", collation.name()));
        }
    }
    Ok(text)
}

async fn alter(
    session: &mut Session,
    kind: RoutineKind,
    name: &TableName,
    said: &Characteristics,
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, name)?.to_string();
    let now = ctx.now_unix_micros / 1_000_000;
    change(session, Touched::Tables(Vec::new()), |change| {
        let Some(old) = change.catalog.routine(&database, kind, &name.name) else {
            let full = format!("{database}.{}", name.name);
            return Err(Error::unknown_routine(kind.name(), full));
        };
        let mut changed = RoutineDef::clone(old);
        if let Some(comment) = &said.comment {
            changed.comment.clone_from(comment);
        }
        changed.data = said.data.unwrap_or(changed.data);
        changed.security = said.security.unwrap_or(changed.security);
        changed.altered_unix = now;
        change.put_object(&changed)?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}

async fn drop_one(
    session: &mut Session,
    kind: RoutineKind,
    if_exists: bool,
    name: &TableName,
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, name)?.to_string();
    let full = format!("{database}.{}", name.name);
    let mut found = false;
    change(session, Touched::Tables(Vec::new()), |change| {
        let old = change.catalog.routine(&database, kind, &name.name).cloned();
        found = old.is_some();
        match old {
            Some(old) => {
                change.remove_object(&*old)?;
                Ok(true)
            }
            None if if_exists => Ok(false),
            None => Err(Error::unknown_routine(kind.name(), &full)),
        }
    })
    .await?;
    if !found {
        ctx.note(Error::unknown_routine(kind.name(), full));
    }
    Ok(Outcome::done())
}
