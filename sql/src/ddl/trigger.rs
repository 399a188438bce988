//! CREATE and DROP of triggers, and what becomes of them when their table goes or gets another name.
//!
//! What MySQL refuses when a trigger is made is checked over its tree and its text (`program::check`).
//!
//! Not here: running them (`dml::trigger`).

use super::change::{Touched, change};
use super::{account, create_table, database_of, existing_database};
use crate::ast::{CreateTrigger, TableName};
use crate::catalog::store::SchemaChange;
use crate::catalog::{TableDef, TriggerDef, information_schema, store};
use crate::program::check;
use crate::session::{Outcome, Session};
use crate::{Error, Result};

/// CREATE TRIGGER.
pub(super) async fn create(session: &mut Session, wanted: &CreateTrigger) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let name = wanted.name.name.as_str();
    create_table::check_identifier(name, |name| Error::wrong_routine_name(name))?;
    if session.temporary_table(&wanted.table).is_some() {
        return Err(Error::trigger_on_no_table(&wanted.table.name));
    }
    let table = (database_of(session, &wanted.table)?.to_string(), wanted.table.name.clone());
    let database = match &wanted.name.database {
        Some(database) => database.clone(),
        None => table.0.clone(),
    };
    if database != table.0 {
        return Err(Error::trigger_in_wrong_schema());
    }
    if information_schema::is_schema(&database) {
        return Err(Error::trigger_on_system_table());
    }
    let catalog = session.instance.catalog.current().await?;
    let collation = existing_database(&catalog, &database)?.collation;
    let (definer, is_known) = account::definer(session, wanted.definer.as_ref()).await?;
    if !is_known {
        ctx.note(Error::no_such_definer(format!("'{}'@'{}'", definer.0, definer.1)));
    }
    let client = session.instance.config.client.clone();
    let id = store::new_table_ids(&client, 1).await?[0];
    let made = TriggerDef {
        id,
        database: database.clone(),
        name: name.to_string(),
        table: table.1.clone(),
        after: wanted.after,
        event: wanted.event,
        order: 1,
        body: wanted.body.text.0.clone(),
        definer,
        sql_mode: session.variables.sql_mode(),
        client_charset: session.variables.text("character_set_client"),
        connection_collation: session.variables.text("collation_connection"),
        database_collation: collation.name().to_string(),
        created_unix_micros: ctx.now_unix_micros,
    };
    // What is kept must be read back as what was written.
    made.tree()?;
    let mut exists = false;
    let touched = Touched::Tables(vec![(table.0.as_str(), table.1.as_str())]);
    change(session, touched, |change| {
        existing_database(&change.catalog, &database)?;
        exists = change.catalog.trigger(&database, name).is_some();
        if exists && wanted.if_not_exists {
            return Ok(false);
        }
        let Some(of) = change.catalog.table(&table.0, &table.1) else {
            return Err(match change.catalog.is_name_taken(&table.0, &table.1) {
                true => Error::wrong_object(format!("{}.{}", table.0, table.1), "BASE TABLE"),
                false => Error::no_such_table(format!("{}.{}", table.0, table.1)),
            });
        };
        check::trigger(wanted, of, collation, made.sql_mode)?;
        if exists {
            return Err(Error::trigger_exists());
        }
        for trigger in placed(&made, wanted, change.catalog.triggers_of(&table.0, &table.1))? {
            change.put_object(&trigger)?;
        }
        Ok(true)
    })
    .await?;
    if exists {
        ctx.note(Error::trigger_exists());
    }
    Ok(Outcome::done())
}

/// A new trigger at its place, and those that move because of it.
///
/// # Errors
/// 3011.
fn placed(
    made: &TriggerDef,
    wanted: &CreateTrigger,
    known: &[std::sync::Arc<TriggerDef>],
) -> Result<Vec<TriggerDef>> {
    let beside = known.iter().filter(|trigger| trigger.is_beside(made));
    let mut list: Vec<TriggerDef> = beside.map(|trigger| TriggerDef::clone(trigger)).collect();
    let place = match &wanted.order {
        None => list.len(),
        Some(order) => {
            let other = list.iter().position(|trigger| trigger.name == order.other);
            let other = other.ok_or_else(|| Error::no_referenced_trigger(&order.other))?;
            if order.precedes { other } else { other + 1 }
        }
    };
    list.insert(place, made.clone());
    let mut changed = Vec::new();
    for (number, mut trigger) in (1..).zip(list) {
        if trigger.order != number || trigger.id == made.id {
            trigger.order = number;
            changed.push(trigger);
        }
    }
    Ok(changed)
}

/// DROP TRIGGER.
pub(super) async fn drop_one(
    session: &mut Session,
    if_exists: bool,
    name: &TableName,
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, name)?.to_string();
    let catalog = session.instance.catalog.current().await?;
    existing_database(&catalog, &database)?;
    let known = catalog.trigger(&database, &name.name).map(|trigger| trigger.table.clone());
    let touched = known.iter().map(|table| (database.as_str(), table.as_str())).collect();
    let mut found = false;
    change(session, Touched::Tables(touched), |change| {
        let old = change.catalog.trigger(&database, &name.name).cloned();
        found = old.is_some();
        match old {
            Some(old) => {
                change.remove_object(&*old)?;
                let beside = change.catalog.triggers_of(&old.database, &old.table).to_vec();
                for trigger in beside {
                    if trigger.is_beside(&old) && trigger.order > old.order {
                        let order = trigger.order - 1;
                        change.put_object(&TriggerDef { order, ..TriggerDef::clone(&trigger) })?;
                    }
                }
                Ok(true)
            }
            None if if_exists => Ok(false),
            None => Err(Error::no_such_trigger()),
        }
    })
    .await?;
    if !found {
        ctx.note(Error::no_such_trigger());
    }
    Ok(Outcome::done())
}

/// Removes the triggers of a table that goes.
pub(super) fn drop_of(change: &mut SchemaChange, table: &TableDef) -> Result<()> {
    let triggers = change.catalog.triggers_of(&table.database, &table.name).to_vec();
    triggers.iter().try_for_each(|trigger| change.remove_object(&**trigger))
}

/// Gives the triggers of a table its new name.
///
/// # Errors
/// 1435 when the table goes to another database.
pub(super) fn rename(change: &mut SchemaChange, old: &TableDef, new: &TableDef) -> Result<()> {
    let triggers = change.catalog.triggers_of(&old.database, &old.name).to_vec();
    for trigger in triggers {
        if old.database != new.database {
            return Err(Error::trigger_in_wrong_schema());
        }
        if old.name != new.name {
            let table = new.name.clone();
            change.put_object(&TriggerDef { table, ..TriggerDef::clone(&trigger) })?;
        }
    }
    Ok(())
}
