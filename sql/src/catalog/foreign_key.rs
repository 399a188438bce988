//! Foreign keys: which rows of a table must have a row of another table, and what happens to them when that row goes.
//!
//! ```text
//! child (columns) ──> parent (referenced columns: a unique key)
//!    index that begins with the columns          found by name, whether it is there or not
//! ```
//!
//! Invariants:
//! 1. A foreign key stands with its child and names everything: its columns, its parent, the parent's columns. So positions may
//!    change, and a parent may come later than its children (`foreign_key_checks = 0`).
//! 2. A child has an index that begins with the columns, in their order; a parent that is there has a unique key of exactly the
//!    referenced columns, in their order (`ddl::foreign_key` sees to both).
//!
//! Not here: checks of definitions (`ddl::foreign_key`), of rows (`dml::reference`).

use super::record::corrupt;
use super::{Catalog, IndexDef, TableDef};
use crate::Result;
use prost::Message;
use std::sync::Arc;

/// What happens to children when their parent goes or gets another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceAction {
    /// Nothing was said: refused.
    NoAction,
    /// Refused.
    Restrict,
    /// They go, or get the new key.
    Cascade,
    /// Their columns become NULL.
    SetNull,
}

impl ReferenceAction {
    /// As REFERENTIAL_CONSTRAINTS has it.
    pub fn name(self) -> &'static str {
        match self {
            ReferenceAction::NoAction => "NO ACTION",
            ReferenceAction::Restrict => "RESTRICT",
            ReferenceAction::Cascade => "CASCADE",
            ReferenceAction::SetNull => "SET NULL",
        }
    }

    /// Whether children are changed, not looked for alone.
    pub fn changes(self) -> bool {
        matches!(self, ReferenceAction::Cascade | ReferenceAction::SetNull)
    }

    fn number(self) -> u32 {
        match self {
            ReferenceAction::NoAction => 0,
            ReferenceAction::Restrict => 1,
            ReferenceAction::Cascade => 2,
            ReferenceAction::SetNull => 3,
        }
    }

    fn of(number: u32) -> Result<ReferenceAction> {
        match number {
            0 => Ok(ReferenceAction::NoAction),
            1 => Ok(ReferenceAction::Restrict),
            2 => Ok(ReferenceAction::Cascade),
            3 => Ok(ReferenceAction::SetNull),
            other => Err(corrupt(format!("action {other} of a foreign key"))),
        }
    }
}

/// A foreign key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKeyDef {
    /// Name of the constraint.
    pub name: String,
    /// The columns.
    pub columns: Vec<String>,
    /// Exact name of the parent's database.
    pub parent_database: String,
    /// Exact name of the parent.
    pub parent: String,
    /// The parent's columns, in the order of `columns`.
    pub parent_columns: Vec<String>,
    /// ON DELETE.
    pub on_delete: ReferenceAction,
    /// ON UPDATE.
    pub on_update: ReferenceAction,
}

impl ForeignKeyDef {
    /// Whether this table is the parent.
    pub fn refers_to(&self, database: &str, name: &str) -> bool {
        self.parent_database == database && self.parent == name
    }

    /// Whether it has this column.
    pub fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.eq_ignore_ascii_case(name))
    }

    /// Whether it refers to this column.
    pub fn has_parent_column(&self, name: &str) -> bool {
        self.parent_columns.iter().any(|column| column.eq_ignore_ascii_case(name))
    }

    /// As SHOW CREATE TABLE of its child prints it.
    pub fn clause(&self, child: &TableDef) -> String {
        let list = |names: &[String]| {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            names.join(", ")
        };
        let (columns, parent_columns) = (list(&self.columns), list(&self.parent_columns));
        let mut parent = quoted(&self.parent);
        if self.parent_database != child.database {
            parent = format!("{}.{parent}", quoted(&self.parent_database));
        }
        let mut clause = format!(
            "CONSTRAINT {} FOREIGN KEY ({columns}) REFERENCES {parent} ({parent_columns})",
            quoted(&self.name)
        );
        for (event, action) in [("DELETE", self.on_delete), ("UPDATE", self.on_update)] {
            if action != ReferenceAction::NoAction {
                clause.push_str(&format!(" ON {event} {}", action.name()));
            }
        }
        clause
    }

    /// The same with its table, as errors name it.
    pub fn full_clause(&self, child: &TableDef) -> String {
        let (database, table) = (quoted(&child.database), quoted(&child.name));
        format!("{database}.{table}, {}", self.clause(child))
    }

    /// Its table and name, as TRUNCATE names it.
    pub fn full_name(&self, child: &TableDef) -> String {
        let (database, table) = (quoted(&child.database), quoted(&child.name));
        format!("{database}.{table}, CONSTRAINT {}", quoted(&self.name))
    }

    /// The positions of its columns in the child; `None` when the child lacks one.
    pub fn columns_in(&self, child: &TableDef) -> Option<Vec<usize>> {
        self.columns.iter().map(|column| child.column(column)).collect()
    }

    /// The positions of the referenced columns; `None` when the parent lacks one.
    pub fn columns_in_parent(&self, parent: &TableDef) -> Option<Vec<usize>> {
        self.parent_columns.iter().map(|column| parent.column(column)).collect()
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Whether an index begins with whole columns.
pub(crate) fn begins_with(index: &IndexDef, columns: &[usize]) -> bool {
    let parts = index.columns.iter().take(columns.len());
    index.columns.len() >= columns.len()
        && parts.zip(columns).all(|(part, column)| part.column == *column && part.prefix.is_none())
}

/// The unique key of a table that is made of exactly these columns, in their order.
pub(crate) fn unique_key<'a>(table: &'a TableDef, columns: &[usize]) -> Option<&'a IndexDef> {
    let is_whole = |index: &&IndexDef| {
        index.unique && index.columns.len() == columns.len() && begins_with(index, columns)
    };
    table.indexes.iter().find(is_whole)
}

/// A foreign key on disk.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ForeignKeyRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "2")]
    columns: Vec<String>,
    #[prost(string, tag = "3")]
    parent_database: String,
    #[prost(string, tag = "4")]
    parent: String,
    #[prost(string, repeated, tag = "5")]
    parent_columns: Vec<String>,
    /// 0 NO ACTION, 1 RESTRICT, 2 CASCADE, 3 SET NULL.
    #[prost(uint32, tag = "6")]
    on_delete: u32,
    #[prost(uint32, tag = "7")]
    on_update: u32,
}

pub(super) fn encode(key: &ForeignKeyDef) -> ForeignKeyRecord {
    ForeignKeyRecord {
        name: key.name.clone(),
        columns: key.columns.clone(),
        parent_database: key.parent_database.clone(),
        parent: key.parent.clone(),
        parent_columns: key.parent_columns.clone(),
        on_delete: key.on_delete.number(),
        on_update: key.on_update.number(),
    }
}

pub(super) fn decode(record: ForeignKeyRecord) -> Result<ForeignKeyDef> {
    let (on_delete, on_update) =
        (ReferenceAction::of(record.on_delete)?, ReferenceAction::of(record.on_update)?);
    if record.columns.is_empty() || record.columns.len() != record.parent_columns.len() {
        return Err(corrupt(format!("columns of the foreign key {}", record.name)));
    }
    let ForeignKeyRecord { name, columns, parent_database, parent, parent_columns, .. } = record;
    Ok(ForeignKeyDef {
        name,
        columns,
        parent_database,
        parent,
        parent_columns,
        on_delete,
        on_update,
    })
}

impl Catalog {
    /// The tables with foreign keys to a table, by its exact names; itself among them when it refers to itself.
    pub fn children(&self, database: &str, name: &str) -> &[Arc<TableDef>] {
        let children = self.children.get(database).and_then(|of| of.get(name));
        children.map_or(&[], Vec::as_slice)
    }

    /// The foreign keys to a table, each with its child.
    pub fn references_to<'a>(
        &'a self,
        database: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a Arc<TableDef>, &'a ForeignKeyDef)> {
        self.children(database, name).iter().flat_map(move |child| {
            let keys = child.foreign_keys.iter();
            keys.filter(move |key| key.refers_to(database, name)).map(move |key| (child, key))
        })
    }

    /// Notes whose parents a table names.
    pub(super) fn add_child(&mut self, child: &Arc<TableDef>) {
        for key in &child.foreign_keys {
            let of = self.children.entry(key.parent_database.clone()).or_default();
            let children = of.entry(key.parent.clone()).or_default();
            if children.iter().all(|known| known.id != child.id) {
                children.push(child.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ForeignKeyDef {
        ForeignKeyDef {
            name: "t_ibfk_1".into(),
            columns: vec!["a".into(), "b".into()],
            parent_database: "d".into(),
            parent: "p".into(),
            parent_columns: vec!["x".into(), "y".into()],
            on_delete: ReferenceAction::SetNull,
            on_update: ReferenceAction::Cascade,
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        use ReferenceAction::{Cascade, NoAction, Restrict, SetNull};
        for action in [NoAction, Restrict, Cascade, SetNull] {
            let key = ForeignKeyDef { on_delete: action, ..key() };
            assert_eq!(decode(encode(&key)).unwrap(), key);
        }
    }

    #[test]
    fn corrupt_records_are_refused() {
        let of_unknown_action = ForeignKeyRecord { on_update: 4, ..encode(&key()) };
        let uneven = ForeignKeyRecord { parent_columns: vec!["x".into()], ..encode(&key()) };
        let empty = ForeignKeyRecord::default();
        for record in [of_unknown_action, uneven, empty] {
            let error = decode(record).unwrap_err();
            assert!(error.message.contains("corrupt catalog record"), "{}", error.message);
        }
    }
}
