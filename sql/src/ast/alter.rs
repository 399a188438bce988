//! ALTER TABLE.

use super::{
    Check, ColumnDefinition, DefaultValue, Expr, ForeignKey, KeyDefinition, PartitionDefinition,
    ShardingClause, TableName, TableOptions,
};

/// ALTER TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterTable {
    /// The table.
    pub table: TableName,
    /// What is changed, in order.
    pub changes: Vec<TableChange>,
}

/// One change of ALTER TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableChange {
    /// ADD [COLUMN].
    AddColumn {
        /// The new column.
        column: ColumnDefinition,
        /// FIRST or AFTER.
        place: ColumnPlace,
    },
    /// MODIFY [COLUMN].
    ModifyColumn {
        /// The changed column.
        column: ColumnDefinition,
        /// FIRST or AFTER.
        place: ColumnPlace,
    },
    /// CHANGE [COLUMN].
    ChangeColumn {
        /// The old name.
        old: String,
        /// The changed column.
        column: ColumnDefinition,
        /// FIRST or AFTER.
        place: ColumnPlace,
    },
    /// DROP [COLUMN].
    DropColumn(String),
    /// RENAME COLUMN.
    RenameColumn {
        /// The old name.
        old: String,
        /// The new name.
        new: String,
    },
    /// ALTER [COLUMN] SET DEFAULT or DROP DEFAULT.
    AlterDefault {
        /// The column.
        column: String,
        /// The new default; `None` for DROP DEFAULT.
        default: Option<DefaultValue>,
    },
    /// ADD KEY and its relatives.
    AddKey(KeyDefinition),
    /// ADD FOREIGN KEY.
    AddForeignKey(ForeignKey),
    /// DROP FOREIGN KEY.
    DropForeignKey(String),
    /// ADD CHECK.
    AddCheck(Check),
    /// DROP PRIMARY KEY.
    DropPrimaryKey,
    /// DROP KEY or INDEX.
    DropKey(String),
    /// DROP CONSTRAINT: of a unique key or a CHECK.
    DropConstraint(String),
    /// DROP CHECK.
    DropCheck(String),
    /// ALTER CHECK or CONSTRAINT, [NOT] ENFORCED.
    AlterCheck {
        /// The constraint.
        name: String,
        /// Whether it is enforced.
        enforced: bool,
    },
    /// RENAME KEY or INDEX.
    RenameKey {
        /// The old name.
        old: String,
        /// The new name.
        new: String,
    },
    /// RENAME [TO].
    RenameTable(TableName),
    /// Table options.
    Options(TableOptions),
    /// CONVERT TO CHARACTER SET.
    ConvertTo {
        /// The character set; `None` for DEFAULT.
        charset: Option<String>,
        /// COLLATE.
        collation: Option<String>,
    },
    /// shardkey= and its relatives.
    Sharding(ShardingClause),
    /// ENABLE KEYS; else DISABLE KEYS.
    EnableKeys(bool),
    /// ADD PARTITION.
    AddPartitions {
        /// PARTITIONS n.
        count: Option<u64>,
        /// The definitions.
        partitions: Vec<PartitionDefinition>,
    },
    /// DROP PARTITION.
    DropPartitions(Vec<String>),
    /// TRUNCATE PARTITION; none stands for ALL.
    TruncatePartitions(Vec<String>),
    /// SPLIT RANGE AT (values).
    SplitRange(Vec<Expr>),
    /// MERGE RANGES AT (values).
    MergeRanges(Vec<Expr>),
    /// Anything else that MySQL has (other operations on partitions, tablespaces, …): its text.
    Other(String),
}

/// Where a column is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnPlace {
    /// At the end, or where it is.
    Unchanged,
    /// FIRST.
    First,
    /// AFTER column.
    After(String),
}
