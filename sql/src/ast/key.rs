//! Keys of tables, CREATE INDEX and DROP INDEX.

use super::{Expr, TableName};

/// PRIMARY KEY, UNIQUE, KEY, FULLTEXT or SPATIAL of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDefinition {
    /// Which.
    pub kind: KeyKind,
    /// Its name (or its CONSTRAINT's), when one is given.
    pub name: Option<String>,
    /// GLOBAL: its entries are sharded by its own columns.
    pub global: bool,
    /// LOCAL: its entries stand with their rows.
    pub local: bool,
    /// Its columns.
    pub columns: Vec<KeyColumn>,
    /// INCLUDE: columns that its entries carry.
    pub included: Vec<String>,
    /// USING, COMMENT, …
    pub options: IndexOptions,
}

impl KeyDefinition {
    /// UNIQUE of one column, without a name.
    pub fn unique(column: &str) -> KeyDefinition {
        let target = KeyTarget::Column(column.to_string());
        KeyDefinition {
            kind: KeyKind::Unique,
            name: None,
            global: false,
            local: false,
            columns: vec![KeyColumn { target, prefix: None, descending: false }],
            included: Vec::new(),
            options: IndexOptions::default(),
        }
    }
}

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// PRIMARY KEY.
    Primary,
    /// UNIQUE.
    Unique,
    /// KEY, INDEX.
    Plain,
    /// FULLTEXT.
    Fulltext,
    /// SPATIAL.
    Spatial,
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// A column or an expression.
    pub target: KeyTarget,
    /// Characters (or bytes) of the column that count.
    pub prefix: Option<u32>,
    /// DESC.
    pub descending: bool,
}

/// What a part of a key indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTarget {
    /// A column.
    Column(String),
    /// An expression in parentheses.
    Expression(Expr),
}

/// Options of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexOptions {
    /// USING BTREE or HASH, in capitals.
    pub using: Option<String>,
    /// COMMENT.
    pub comment: Option<String>,
    /// KEY_BLOCK_SIZE.
    pub key_block_size: Option<u64>,
    /// WITH PARSER.
    pub parser: Option<String>,
    /// INVISIBLE.
    pub invisible: bool,
}

/// CREATE INDEX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateIndex {
    /// The table.
    pub table: TableName,
    /// The key; its name is given.
    pub key: KeyDefinition,
    /// `ALGORITHM = …` and `LOCK = …` as text in capitals.
    pub modifiers: Vec<(String, String)>,
}

/// DROP INDEX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropIndex {
    /// The index.
    pub name: String,
    /// The table.
    pub table: TableName,
    /// `ALGORITHM = …` and `LOCK = …` as text in capitals.
    pub modifiers: Vec<(String, String)>,
}
