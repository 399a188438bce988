//! CREATE, ALTER and DROP SEQUENCE.
//!
//! Sequences share their names with tables. Nothing waits for those who use one: what they have taken stays theirs, and what
//! they take next follows the new definition once the statement has answered.

use super::change::{Touched, change};
use super::{create_table, database_of, existing_database};
use crate::ast::{SequenceOptions, SequenceStatement, SequenceType, TableName};
use crate::catalog::{Catalog, DefaultValue, SequenceDef, TableDef, store};
use crate::session::{Outcome, Session};
use crate::{Error, Result};
use base::TableId;

/// CACHE when none is named, as in MariaDB and TiDB.
const CACHE: u64 = 1000;

/// What CREATE SEQUENCE does where its name is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Refuse,
    /// IF NOT EXISTS.
    Keep,
    /// OR REPLACE: a sequence of the name is dropped in the same change.
    Replace,
}

/// Runs one of them.
pub(super) async fn run(session: &mut Session, statement: &SequenceStatement) -> Result<Outcome> {
    match statement {
        SequenceStatement::Create { or_replace: true, if_not_exists: true, .. } => {
            Err(Error::wrong_usage("OR REPLACE", "IF NOT EXISTS"))
        }
        SequenceStatement::Create { or_replace, if_not_exists, name, options } => {
            let taken = match (or_replace, if_not_exists) {
                (true, _) => Taken::Replace,
                (false, true) => Taken::Keep,
                (false, false) => Taken::Refuse,
            };
            create(session, taken, name, options).await
        }
        SequenceStatement::Alter { if_exists, name, options } => {
            alter(session, *if_exists, name, options).await
        }
        SequenceStatement::Drop { if_exists, names } => drop_all(session, *if_exists, names).await,
    }
}

/// Refuses a table whose defaults ask sequences that do not exist.
///
/// # Errors
/// 1146.
pub(super) fn check_defaults(catalog: &Catalog, table: &TableDef) -> Result<()> {
    for column in &table.columns {
        let Some(DefaultValue::Expression(text)) = &column.default else { continue };
        for name in crate::session::sequences::named_in(&super::default_ast(text)?) {
            let database = name.database.as_deref().unwrap_or(&table.database);
            if catalog.sequence(database, &name.name).is_none() {
                return Err(Error::no_such_table(format!("{database}.{}", name.name)));
            }
        }
    }
    Ok(())
}

async fn create(
    session: &mut Session,
    taken: Taken,
    name: &TableName,
    options: &SequenceOptions,
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    create_table::check_identifier(&name.name, |name| Error::wrong_table_name(name))?;
    let database = database_of(session, name)?.to_string();
    let id = store::new_table_ids(&session.instance.config.client, 1).await?[0];
    let created_unix = ctx.now_unix_micros / 1_000_000;
    let sequence = define(id, &database, name, options, created_unix)?;
    let touched = match taken {
        Taken::Replace => Touched::Tables(vec![(database.as_str(), name.name.as_str())]),
        Taken::Refuse | Taken::Keep => Touched::NewTable(&database, &name.name),
    };
    change(session, touched, |change| {
        existing_database(&change.catalog, &database)?;
        let old = change.catalog.sequence(&database, &name.name).cloned();
        match (taken, old) {
            (Taken::Replace, Some(old)) => change.drop_sequence(&old, created_unix)?,
            (Taken::Replace, None) if change.catalog.is_name_taken(&database, &name.name) => {
                return Err(missing(&change.catalog, &database, &name.name));
            }
            (Taken::Refuse | Taken::Keep, _)
                if change.catalog.is_name_taken(&database, &name.name) =>
            {
                let error = Error::table_exists(&name.name);
                if taken == Taken::Refuse {
                    return Err(error);
                }
                ctx.note(error);
                return Ok(false);
            }
            _ => {}
        }
        change.put_object(&sequence)?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}

async fn alter(
    session: &mut Session,
    if_exists: bool,
    name: &TableName,
    options: &SequenceOptions,
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, name)?.to_string();
    let catalog = session.instance.catalog.current().await?;
    existing_database(&catalog, &database)?;
    let Some(old) = catalog.sequence(&database, &name.name).cloned() else {
        let error = missing(&catalog, &database, &name.name);
        if if_exists && catalog.table(&database, &name.name).is_none() {
            ctx.note(error);
            return Ok(Outcome::done());
        }
        return Err(error);
    };
    let next = session.instance.sequences.counted(&old).await?;
    let new = altered(&old, options, next)?;
    let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
    change(session, touched, |change| {
        // Somebody else has changed it meanwhile: what was counted is no longer so.
        if change.catalog.sequence(&database, &name.name) != Some(&old) {
            return Err(Error::deadlock());
        }
        if new == *old {
            return Ok(false);
        }
        change.put_object(&new)?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}

async fn drop_all(session: &mut Session, if_exists: bool, names: &[TableName]) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let now = ctx.now_unix_micros / 1_000_000;
    let mut pairs = Vec::with_capacity(names.len());
    for name in names {
        let pair = (database_of(session, name)?.to_string(), name.name.clone());
        if pairs.contains(&pair) {
            return Err(Error::nonunique_table(&pair.1));
        }
        pairs.push(pair);
    }
    let mut absent = Vec::new();
    let touched = pairs.iter().map(|(database, name)| (database.as_str(), name.as_str()));
    change(session, Touched::Tables(touched.collect()), |change| {
        absent.clear();
        let mut found = Vec::new();
        for (database, name) in &pairs {
            match change.catalog.sequence(database, name) {
                Some(sequence) => found.push(sequence.clone()),
                None if change.catalog.table(database, name).is_some() => {
                    return Err(missing(&change.catalog, database, name));
                }
                None => absent.push(format!("{database}.{name}")),
            }
        }
        if !absent.is_empty() && !if_exists {
            return Err(Error::unknown_sequence(absent.join(",")));
        }
        for sequence in &found {
            change.drop_sequence(sequence, now)?;
        }
        Ok(!found.is_empty())
    })
    .await?;
    for name in absent {
        ctx.note(Error::unknown_sequence(name));
    }
    Ok(Outcome::done())
}

/// Why a name is no sequence.
fn missing(catalog: &Catalog, database: &str, name: &str) -> Error {
    let full = format!("{database}.{name}");
    match catalog.table(database, name) {
        Some(_) => Error::not_a_sequence(full),
        None => Error::unknown_sequence(full),
    }
}

/// What a sequence is, before it is checked: numbers may be too large.
struct Wanted {
    /// Lowest and highest value of its type.
    of: (i128, i128),
    start: Option<i128>,
    increment: i128,
    min: Option<i128>,
    max: Option<i128>,
}

impl Wanted {
    /// The bounds: those named, else as far as its direction and type go. As in MariaDB and TiDB the type's own ends stay free.
    fn bounds(&self) -> (i128, i128) {
        let (low, high) = match self.increment > 0 {
            true => (1, self.of.1 - 1),
            false => (self.of.0 + 1, -1),
        };
        (self.min.unwrap_or(low), self.max.unwrap_or(high))
    }

    /// Where it starts, unless that is named: at the end that it leaves.
    fn start(&self) -> i128 {
        let (min, max) = self.bounds();
        self.start.unwrap_or(if self.increment > 0 { min } else { max })
    }
}

fn define(
    id: TableId,
    database: &str,
    name: &TableName,
    options: &SequenceOptions,
    created_unix: u64,
) -> Result<SequenceDef> {
    let of = options.of.as_ref();
    let wanted = Wanted {
        of: of.map_or(Ok((i128::from(i64::MIN), i128::from(i64::MAX))), limits)?,
        start: options.start,
        increment: options.increment.unwrap_or(1),
        min: options.min.flatten(),
        max: options.max.flatten(),
    };
    let refused = || Error::sequence_options(format!("{database}.{}", name.name));
    let number = |value: i128| i64::try_from(value).map_err(|_| refused());
    let (min, max) = wanted.bounds();
    if min < wanted.of.0 || max > wanted.of.1 {
        return Err(refused());
    }
    let start = number(wanted.start())?;
    let sequence = SequenceDef {
        id,
        database: database.to_string(),
        name: name.name.clone(),
        type_text: of.map(type_text).unwrap_or_default(),
        start,
        increment: number(wanted.increment)?,
        min: number(min)?,
        max: number(max)?,
        cache: options.cache.unwrap_or(CACHE),
        cycle: options.cycle.unwrap_or(false),
        generation: 0,
        first: start,
        created_unix,
    };
    sequence.check()?;
    check_ends(&sequence)?;
    Ok(sequence)
}

/// The sequence with what ALTER SEQUENCE names; `next` is the value that its counter stands at.
fn altered(old: &SequenceDef, options: &SequenceOptions, next: Option<i64>) -> Result<SequenceDef> {
    if options.of.is_some() {
        return Err(Error::not_supported(
            "ALTER SEQUENCE … AS: its bounds say how large values may be; set MINVALUE and MAXVALUE",
        ));
    }
    let refused = || Error::sequence_options(old.qualified_name());
    let number = |value: i128| i64::try_from(value).map_err(|_| refused());
    let increment = options.increment.map_or(Ok(old.increment), number)?;
    let bound = |named: Option<Option<i128>>, old: i64| match named {
        None => Some(i128::from(old)),
        Some(named) => named,
    };
    let wanted = Wanted {
        of: (i128::from(i64::MIN), i128::from(i64::MAX)),
        start: options.start.or(Some(i128::from(old.start))),
        increment: i128::from(increment),
        min: bound(options.min, old.min),
        max: bound(options.max, old.max),
    };
    let (min, max) = wanted.bounds();
    let mut new = SequenceDef {
        start: number(wanted.start())?,
        increment,
        min: number(min)?,
        max: number(max)?,
        cache: options.cache.unwrap_or(old.cache),
        cycle: options.cycle.unwrap_or(old.cycle),
        ..old.clone()
    };
    if new.min >= new.max {
        return Err(refused());
    }
    let turned = (new.increment > 0) != (old.increment > 0) || new.cycle != old.cycle;
    let rounds = (new.increment, new.min, new.max) != (old.increment, old.min, old.max);
    if let Some(at) = options.restart {
        new.generation += 1;
        new.first = at.map_or(Ok(new.start), number)?;
    } else if turned || (new.cycle && rounds) {
        // The counter counts something else from now on: a new one begins where this one stands.
        let bottom = if new.increment > 0 { new.min } else { new.max };
        new.generation += 1;
        new.first = next.unwrap_or(bottom).clamp(new.min, new.max);
    } else {
        new.first = new.first.clamp(new.min, new.max);
    }
    new.check()?;
    // One that was made before its ends were looked at goes on with them until others are named.
    if (new.min, new.max) != (old.min, old.max) {
        check_ends(&new)?;
    }
    Ok(new)
}

/// The outermost values of 64 bits are never handed out, as in MariaDB: behind them the counter has no place to stand.
fn check_ends(sequence: &SequenceDef) -> Result<()> {
    match sequence.min == i64::MIN || sequence.max == i64::MAX {
        true => Err(Error::sequence_options(sequence.qualified_name())),
        false => Ok(()),
    }
}

/// The lowest and the highest value of a type.
fn limits(of: &SequenceType) -> Result<(i128, i128)> {
    let bits = match of.name {
        "TINYINT" => 8,
        "SMALLINT" => 16,
        "MEDIUMINT" => 24,
        "INT" | "INTEGER" => 32,
        _ if of.unsigned => {
            return Err(Error::not_supported(
                "CREATE SEQUENCE … AS BIGINT UNSIGNED: values end at 9223372036854775807; leave AS out",
            ));
        }
        _ => 64,
    };
    Ok(match of.unsigned {
        true => (0, (1 << bits) - 1),
        false => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
    })
}

fn type_text(of: &SequenceType) -> String {
    let name = of.name.to_ascii_lowercase();
    if of.unsigned { format!("{name} unsigned") } else { name }
}
