//! ALTER TABLE, CREATE INDEX and DROP INDEX of temporary tables: the table is made anew in memory.
//!
//! ```text
//! SHOW CREATE TABLE ──parse──> columns and keys ──changes──> new definition ──> rows, value by value ──> in the place of the old one
//! ```
//!
//! Where it fails, nothing has changed.

use super::{define, in_memory};
use crate::ast::{self, ColumnDefinition, ColumnPlace, KeyDefinition, Statement, TableChange};
use crate::catalog::TableDef;
use crate::dml::duplicate;
use crate::dml::row::RowMaker;
use crate::parser::{self, ParseMode};
use crate::session::{Outcome, Session};
use crate::show::create_table::{ShardingStyle, text};
use crate::types::TypeKind;
use crate::value::{Row, Value};
use crate::{Error, Result};
use std::sync::Arc;

/// A column, and the one of the table as it was that it has its values from.
struct Column {
    definition: ColumnDefinition,
    source: Option<usize>,
}

/// A table while it is altered.
struct Altered {
    create: ast::CreateTable,
    columns: Vec<Column>,
}

/// CREATE INDEX.
pub(in crate::ddl) async fn add_index(
    session: &mut Session,
    table: &Arc<TableDef>,
    key: &KeyDefinition,
) -> Result<Outcome> {
    run(session, table, &[TableChange::AddKey(key.clone())]).await
}

/// DROP INDEX.
pub(in crate::ddl) async fn drop_index(
    session: &mut Session,
    table: &Arc<TableDef>,
    name: &str,
) -> Result<Outcome> {
    let change = match name.eq_ignore_ascii_case("PRIMARY") {
        true => TableChange::DropPrimaryKey,
        false => TableChange::DropKey(name.to_string()),
    };
    run(session, table, &[change]).await
}

/// ALTER TABLE.
pub(in crate::ddl) async fn run(
    session: &mut Session,
    table: &Arc<TableDef>,
    changes: &[TableChange],
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let now = text(table, None, ctx.time_zone, ShardingStyle::Never);
    let mut create = match parser::parse_statement(&now, &ParseMode::default()) {
        Ok(Statement::CreateTable(create)) => *create,
        Ok(_) | Err(_) => return Err(Error::internal("a temporary table without its definition")),
    };
    let columns = std::mem::take(&mut create.columns).into_iter().enumerate();
    let columns = columns.map(|(at, definition)| Column { definition, source: Some(at) });
    let mut altered = Altered { columns: columns.collect(), create };
    let mut database = table.database.clone();
    for change in changes {
        if let TableChange::RenameTable(to) = change {
            database = super::database_of(session, to)?.to_string();
            if session.temporary.find(&database, &to.name).is_some_and(|other| other.id != table.id)
            {
                return Err(Error::table_exists(&to.name));
            }
            altered.create.name.name.clone_from(&to.name);
            continue;
        }
        altered.apply(change)?;
    }
    let Altered { mut create, columns } = altered;
    let sources: Vec<Option<usize>> = columns.iter().map(|column| column.source).collect();
    create.columns = columns.into_iter().map(|column| column.definition).collect();
    let catalog = session.definitions().await?;
    super::existing_database(&catalog, &database)?;
    let made = define(session, &create, &database, &catalog, &ctx)?;
    let start = session.temporary.peek_number(table.id)?.max(made.auto_increment_start);
    let id = made.id;
    let made = Arc::new(in_memory(TableDef { auto_increment_start: start, ..made }, id));
    session.temporary.add_unseen(made.clone());
    // What is missing in the rows gets the zero of its type, as in MySQL.
    let filling = session.dml_context(Vec::new(), true);
    match move_rows(session, table, &made, &sources, &filling) {
        Ok(count) => {
            session.temporary.remove(table.id);
            session.temporary.show(made.id);
            session.temporary.keep();
            let records = crate::dml::Info::Records { records: count, duplicates: 0 };
            Ok(session.finish_change(crate::dml::Changes { info: records, ..Default::default() }))
        }
        Err(error) => {
            session.temporary.remove(made.id);
            Err(error)
        }
    }
}

/// Fills a table with the rows of another one.
fn move_rows(
    session: &Session,
    table: &Arc<TableDef>,
    made: &Arc<TableDef>,
    sources: &[Option<usize>],
    ctx: &crate::context::EvalContext,
) -> Result<u64> {
    let tables = &session.temporary;
    let maker = RowMaker::new(made, ctx)?;
    let mut count = 0;
    for (_, old) in tables.rows(table.id)? {
        count += 1;
        ctx.set_row(count);
        let mut row: Row = vec![Value::Null; made.columns.len()];
        for (column, source) in sources.iter().enumerate() {
            let warnings = ctx.warnings.count();
            row[column] = match source {
                Some(source) => {
                    let (from, to) = (table.columns[*source].ty, made.columns[column].ty);
                    let value = old[*source].clone();
                    let is_same = from.with_nullable(to.nullable) == to;
                    if is_same && !value.is_null() {
                        value
                    } else {
                        if !is_same && !value.is_null() {
                            check_type(from.kind)?;
                        }
                        maker.give(&mut row, column, value, count, true, ctx)?;
                        continue;
                    }
                }
                None => {
                    let value = maker.default_for(column, ctx)?;
                    ctx.warnings.forget_after(warnings);
                    value
                }
            };
        }
        let row = maker.complete_in_memory(row, tables, ctx)?.values;
        if let Some((index, _)) = tables.duplicate_of(made, &row, None)? {
            return Err(duplicate::error(made, index, &row, ctx));
        }
        tables.put(made, None, row)?;
    }
    Ok(count)
}

/// 1235 for values that are stored otherwise than they are seen.
fn check_type(from: TypeKind) -> Result<()> {
    match from {
        TypeKind::Enum | TypeKind::Set | TypeKind::Bit | TypeKind::Timestamp => {
            Err(Error::not_supported(
                "another type for an ENUM, SET, BIT or TIMESTAMP column of a temporary table: make another table of its rows",
            ))
        }
        _ => Ok(()),
    }
}

impl Altered {
    fn apply(&mut self, change: &TableChange) -> Result<()> {
        match change {
            TableChange::AddColumn { column, place } => {
                let added = Column { definition: column.clone(), source: None };
                self.place(added, place)
            }
            TableChange::ModifyColumn { column, place } => self.change(&column.name, column, place),
            TableChange::ChangeColumn { old, column, place } => self.change(old, column, place),
            TableChange::RenameColumn { old, new } => {
                let at = self.find(old)?;
                let definition =
                    ColumnDefinition { name: new.clone(), ..self.columns[at].definition.clone() };
                self.change(old, &definition, &ColumnPlace::Unchanged)
            }
            TableChange::DropColumn(name) => {
                let at = match self.find(name) {
                    Ok(at) => at,
                    Err(_) => return Err(Error::cant_drop(name)),
                };
                self.columns.remove(at);
                for key in &mut self.create.keys {
                    key.columns.retain(|part| !is_column(&part.target, name));
                }
                self.create.keys.retain(|key| !key.columns.is_empty());
                Ok(())
            }
            TableChange::AlterDefault { column, default } => {
                let at = self.find(column)?;
                self.columns[at].definition.default.clone_from(default);
                Ok(())
            }
            TableChange::AddKey(key) => {
                self.create.keys.push(key.clone());
                Ok(())
            }
            TableChange::DropPrimaryKey => {
                let before = self.create.keys.len();
                self.create.keys.retain(|key| key.kind != ast::KeyKind::Primary);
                match self.create.keys.len() < before {
                    true => Ok(()),
                    false => Err(Error::cant_drop("PRIMARY")),
                }
            }
            TableChange::DropKey(name) | TableChange::DropConstraint(name) => {
                let at = self.key(name).ok_or_else(|| Error::cant_drop(name))?;
                self.create.keys.remove(at);
                Ok(())
            }
            TableChange::RenameKey { old, new } => {
                let table = &self.create.name.name;
                let at = self.key(old).ok_or_else(|| Error::key_does_not_exist(old, table))?;
                self.create.keys[at].name = Some(new.clone());
                Ok(())
            }
            TableChange::Options(options)
                if options.charset.is_none()
                    && options.collation.is_none()
                    && options.placement.is_none()
                    && options.auto_partition.is_none() =>
            {
                let own = &mut self.create.options;
                own.comment = options.comment.clone().or(own.comment.take());
                own.auto_increment = options.auto_increment.or(own.auto_increment);
                Ok(())
            }
            TableChange::EnableKeys(_) => Ok(()),
            _ => Err(Error::not_supported(
                "this change of a temporary table: make another one of its rows with CREATE TEMPORARY TABLE … SELECT",
            )),
        }
    }

    fn find(&self, name: &str) -> Result<usize> {
        let mut names = self.columns.iter().map(|column| &column.definition.name);
        let at = names.position(|known| known.eq_ignore_ascii_case(name));
        at.ok_or_else(|| Error::unknown_column(name, &self.create.name.name))
    }

    fn key(&self, name: &str) -> Option<usize> {
        let is_named = |key: &KeyDefinition| {
            key.name.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        self.create.keys.iter().position(is_named)
    }

    /// Gives a column another definition, perhaps another name, and keeps its keys.
    fn change(
        &mut self,
        old: &str,
        definition: &ColumnDefinition,
        place: &ColumnPlace,
    ) -> Result<()> {
        let at = self.find(old)?;
        for part in self.create.keys.iter_mut().flat_map(|key| &mut key.columns) {
            if is_column(&part.target, old) {
                part.target = ast::KeyTarget::Column(definition.name.clone());
            }
        }
        self.columns[at].definition = definition.clone();
        if *place == ColumnPlace::Unchanged {
            return Ok(());
        }
        let column = self.columns.remove(at);
        self.place(column, place)
    }

    fn place(&mut self, column: Column, place: &ColumnPlace) -> Result<()> {
        let at = match place {
            ColumnPlace::Unchanged => self.columns.len(),
            ColumnPlace::First => 0,
            ColumnPlace::After(name) => self.find(name)? + 1,
        };
        self.columns.insert(at, column);
        Ok(())
    }
}

fn is_column(target: &ast::KeyTarget, name: &str) -> bool {
    matches!(target, ast::KeyTarget::Column(column) if column.eq_ignore_ascii_case(name))
}
