//! PARTITION BY and its definitions.

use super::Expr;

/// How rows are divided among partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionBy {
    /// Written TDSQL_PARTITION BY.
    pub tdsql: bool,
    /// By what.
    pub method: PartitionMethod,
    /// PARTITIONS n.
    pub count: Option<u64>,
    /// SUBPARTITION BY: its text.
    pub subpartition_by: Option<String>,
    /// The definitions; empty when there are none.
    pub partitions: Vec<PartitionDefinition>,
}

/// What chooses a row's partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionMethod {
    /// RANGE.
    Range(PartitionKey),
    /// LIST.
    List(PartitionKey),
    /// [LINEAR] HASH.
    Hash {
        /// LINEAR.
        linear: bool,
        /// What is hashed.
        expr: Expr,
    },
    /// [LINEAR] KEY.
    Key {
        /// LINEAR.
        linear: bool,
        /// The columns; none stands for those of the primary key.
        columns: Vec<String>,
    },
}

/// What RANGE and LIST compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionKey {
    /// An expression.
    Expr(Expr),
    /// COLUMNS.
    Columns(Vec<String>),
}

/// PARTITION p ….
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDefinition {
    /// The name.
    pub name: String,
    /// VALUES.
    pub values: Option<PartitionValues>,
    /// ENGINE.
    pub engine: Option<String>,
    /// COMMENT.
    pub comment: Option<String>,
    /// Definitions of subpartitions: their text, with its parentheses.
    pub subpartitions: Option<String>,
}

/// VALUES of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionValues {
    /// LESS THAN: one value per column.
    LessThan(Vec<PartitionValue>),
    /// IN: of each item one value per column.
    In(Vec<Vec<PartitionValue>>),
}

/// A value of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionValue {
    /// MAXVALUE.
    Max,
    /// A constant.
    Expr(Expr),
}
