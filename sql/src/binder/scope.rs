//! Which columns a name can mean.
//!
//! A scope lists the columns of a FROM clause in the order of its rows. NATURAL and USING joins hide
//! the second of two equal columns from `*` and from bare names, but `table.column` still finds it.

use super::BoundColumn;
use crate::ast::ColumnName;
use crate::catalog::{DefaultValue, TableDef};
use crate::session::{ColumnFlags, ColumnMeta};
use crate::types::{SqlType, TypeKind};
use crate::{Error, Result};
use std::sync::Arc;

/// The columns that expressions of one query block see.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Columns, in the order of the row.
    pub columns: Vec<ScopeColumn>,
    /// Positions that `*` stands for, in order.
    pub star: Vec<usize>,
}

/// A column that can be named.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    /// Database of the table; empty for derived tables.
    pub database: String,
    /// The table's name in the query: its alias when it has one.
    pub table: String,
    /// The column's name.
    pub name: String,
    /// Type of the value in the row.
    pub ty: SqlType,
    /// What a client is told about it.
    pub meta: ColumnMeta,
    /// The table and the position in it, for columns read straight from a table.
    pub origin: Option<(Arc<TableDef>, usize)>,
    /// Not found by its bare name: the second one of a USING column.
    pub hidden: bool,
    /// `table.*` does not stand for it: INVISIBLE, of a table that is named.
    pub invisible: bool,
    /// The row holds UTC (TIMESTAMP in storage); expressions convert it to the session's zone.
    pub utc: bool,
    /// Place among the columns of its table.
    pub place: usize,
}

impl Scope {
    /// The columns of a table as they are stored, hidden row id included: positions equal the
    /// table's. For UPDATE, DELETE and the like.
    pub fn of_table(table: &Arc<TableDef>, alias: &str) -> Scope {
        let columns = (0..table.columns.len())
            .map(|i| {
                let column = &table.columns[i];
                ScopeColumn {
                    database: table.database.clone(),
                    table: alias.to_string(),
                    name: column.name.clone(),
                    ty: column.ty,
                    meta: table_column_meta(table, i, alias),
                    origin: Some((table.clone(), i)),
                    hidden: column.hidden,
                    invisible: column.invisible,
                    utc: column.ty.kind == TypeKind::Timestamp,
                    place: i,
                }
            })
            .collect();
        let star = table.shown_columns().map(|(i, _)| i).collect();
        Scope { columns, star }
    }

    /// The columns of a derived table or a virtual one.
    pub fn of_columns(database: &str, alias: &str, columns: &[BoundColumn]) -> Scope {
        let star = (0..columns.len()).collect();
        let columns = columns
            .iter()
            .enumerate()
            .map(|(place, column)| ScopeColumn {
                database: database.to_string(),
                table: alias.to_string(),
                name: column.meta.name.clone(),
                ty: column.ty,
                meta: ColumnMeta {
                    table: alias.to_string(),
                    database: database.to_string(),
                    org_table: column.meta.org_table.clone(),
                    ..column.meta.clone()
                },
                origin: None,
                hidden: false,
                invisible: false,
                utc: false,
                place,
            })
            .collect();
        Scope { columns, star }
    }

    /// Adds the columns of another scope behind these. The second side of an outer join may be NULL.
    pub fn append(&mut self, other: Scope, nullable: bool) {
        let offset = self.columns.len();
        self.star.extend(other.star.iter().map(|position| position + offset));
        self.columns.extend(other.columns);
        if nullable {
            self.make_nullable(offset..self.columns.len());
        }
    }

    /// Columns of the side of an outer join that may be missing.
    pub fn make_nullable(&mut self, columns: std::ops::Range<usize>) {
        for column in &mut self.columns[columns] {
            column.ty.nullable = true;
            column.meta.ty.nullable = true;
            column.meta.flags.0 &= !ColumnFlags::NOT_NULL.0;
        }
    }

    /// The column that a name means; `None` when there is none, 1052 when there are several.
    pub fn find(&self, name: &ColumnName, clause: &str) -> Result<Option<usize>> {
        let mut found = None;
        for (i, column) in self.columns.iter().enumerate() {
            if !column.name.eq_ignore_ascii_case(&name.column) || column.is_row_id() {
                continue;
            }
            match &name.table {
                Some(table) => {
                    if column.table != *table {
                        continue;
                    }
                    if name.database.as_ref().is_some_and(|database| column.database != *database) {
                        continue;
                    }
                }
                None if column.hidden => continue,
                None => {}
            }
            if found.is_some() {
                return Err(Error::ambiguous_column(display(name), clause));
            }
            found = Some(i);
        }
        Ok(found)
    }

    /// Whether a table of this name is in scope.
    pub fn has_table(&self, database: Option<&str>, table: &str) -> bool {
        self.columns.iter().any(|column| {
            column.table == table && database.is_none_or(|database| column.database == database)
        })
    }

    /// Positions that `table.*` stands for, in order.
    pub fn table_star(&self, database: Option<&str>, table: &str) -> Vec<usize> {
        let own = (0..self.columns.len()).filter(|&i| {
            let column = &self.columns[i];
            column.table == table
                && database.is_none_or(|database| column.database == database)
                && !column.is_row_id()
                && !column.invisible
        });
        let mut own: Vec<usize> = own.collect();
        // The columns of a view stand in the rows as its tables have them. Those of each table stand together.
        own.sort_by(|&a, &b| {
            let (left, right) = (&self.columns[a], &self.columns[b]);
            match left.database == right.database {
                true => left.place.cmp(&right.place),
                false => a.cmp(&b),
            }
        });
        own
    }
}

impl ScopeColumn {
    /// Whether it is the row id of a table without a primary key, which nobody can name.
    pub fn is_row_id(&self) -> bool {
        self.origin.as_ref().is_some_and(|(table, i)| table.columns[*i].hidden)
    }
}

/// `database.table.column` as far as it was written.
pub fn display(name: &ColumnName) -> String {
    let parts = [name.database.as_deref(), name.table.as_deref(), Some(name.column.as_str())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}

/// What a client is told about a column of a table.
pub fn table_column_meta(table: &TableDef, position: usize, alias: &str) -> ColumnMeta {
    let column = &table.columns[position];
    let mut flags = ColumnFlags::of_type(&column.ty);
    for index in &table.indexes {
        let Some(place) = index.columns.iter().position(|c| c.column == position) else { continue };
        flags = flags.with(ColumnFlags::PART_KEY);
        if index.primary && !column.hidden {
            flags = flags.with(ColumnFlags::PRI_KEY);
        } else if place == 0 && index.unique && index.columns.len() == 1 {
            flags = flags.with(ColumnFlags::UNIQUE_KEY);
        } else if place == 0 && !index.primary {
            flags = flags.with(ColumnFlags::MULTIPLE_KEY);
        }
    }
    if column.auto_increment {
        flags = flags.with(ColumnFlags::AUTO_INCREMENT);
    }
    if column.zerofill {
        flags = flags.with(ColumnFlags::ZEROFILL);
    }
    if column.on_update_now {
        flags = flags.with(ColumnFlags::ON_UPDATE_NOW);
    }
    if column.default.is_none() && !column.ty.nullable && !column.auto_increment {
        flags = flags.with(ColumnFlags::NO_DEFAULT_VALUE);
    }
    let default = match &column.default {
        Some(DefaultValue::Literal(value)) => value.to_text(&column.ty),
        Some(DefaultValue::Now) => Some("CURRENT_TIMESTAMP".to_string()),
        Some(DefaultValue::Expression(text)) => Some(text.clone()),
        None => None,
    };
    ColumnMeta {
        database: table.database.clone(),
        table: alias.to_string(),
        org_table: table.name.clone(),
        name: column.name.clone(),
        org_name: column.name.clone(),
        ty: match column.ty.kind {
            TypeKind::Bit => column.ty,
            _ => column.ty.shown(),
        },
        flags,
        default,
    }
}
