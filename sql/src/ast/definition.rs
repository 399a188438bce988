//! Statements that define tables as a whole: CREATE TABLE, CREATE TABLE … LIKE, DROP TABLE.
//!
//! Not here: what they consist of (`column`, `key`, `constraint`, `table_options`, `sharding`, `partition`), ALTER TABLE (`alter`).

use super::{
    Check, ColumnDefinition, ForeignKey, KeyDefinition, LoadDuplicates, PartitionBy, Query,
    ShardingClause, TableName, TableOptions,
};

/// CREATE TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTable {
    /// TEMPORARY.
    pub temporary: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The table.
    pub name: TableName,
    /// Columns in order.
    pub columns: Vec<ColumnDefinition>,
    /// Keys, in order; a column's own PRIMARY KEY or UNIQUE stays with the column.
    pub keys: Vec<KeyDefinition>,
    /// FOREIGN KEY of the table.
    pub foreign_keys: Vec<ForeignKey>,
    /// CHECK of the table.
    pub checks: Vec<Check>,
    /// ENGINE, CHARSET, …
    pub options: TableOptions,
    /// shardkey= and its relatives.
    pub sharding: Option<ShardingClause>,
    /// PARTITION BY or TDSQL_PARTITION BY.
    pub partition_by: Option<Box<PartitionBy>>,
    /// `[AS] SELECT …`.
    pub query: Option<CreateTableQuery>,
}

/// The query of CREATE TABLE … SELECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTableQuery {
    /// What happens at duplicate keys.
    pub duplicates: LoadDuplicates,
    /// The query.
    pub query: Box<Query>,
}

/// CREATE TABLE … LIKE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTableLike {
    /// TEMPORARY.
    pub temporary: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The new table.
    pub name: TableName,
    /// The table it resembles.
    pub like: TableName,
}

/// DROP TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropTable {
    /// TEMPORARY.
    pub temporary: bool,
    /// IF EXISTS.
    pub if_exists: bool,
    /// The tables.
    pub names: Vec<TableName>,
}
