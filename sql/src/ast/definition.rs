//! Statements that define databases, tables and indexes.

use super::{Expr, Query, TableName};

/// CREATE DATABASE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDatabase {
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The name.
    pub name: String,
    /// Character set and collation.
    pub options: DatabaseOptions,
}

/// ALTER DATABASE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterDatabase {
    /// The name; the default database when `None`.
    pub name: Option<String>,
    /// Character set and collation.
    pub options: DatabaseOptions,
}

/// What a database says about its tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// CHARACTER SET.
    pub charset: Option<String>,
    /// COLLATE.
    pub collation: Option<String>,
    /// ENCRYPTION 'Y' or 'N'.
    pub encryption: Option<String>,
    /// READ ONLY = 0 | 1 (ALTER DATABASE).
    pub read_only: Option<bool>,
    /// PLACEMENT POLICY of new tables; empty for DEFAULT.
    pub placement: Option<String>,
}

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
    pub duplicates: super::LoadDuplicates,
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

/// A column of CREATE TABLE or ALTER TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// The name.
    pub name: String,
    /// The type.
    pub ty: DataType,
    /// NULL or NOT NULL, when it is said.
    pub nullable: Option<bool>,
    /// DEFAULT.
    pub default: Option<DefaultValue>,
    /// ON UPDATE CURRENT_TIMESTAMP(n): the digits n.
    pub on_update_now: Option<u8>,
    /// AUTO_INCREMENT.
    pub auto_increment: bool,
    /// PRIMARY KEY.
    pub primary_key: bool,
    /// UNIQUE.
    pub unique: bool,
    /// COMMENT.
    pub comment: Option<String>,
    /// GENERATED ALWAYS AS.
    pub generated: Option<Generated>,
    /// CHECK.
    pub checks: Vec<Check>,
    /// REFERENCES (parsed and without effect in MySQL, too).
    pub references: Option<Reference>,
    /// INVISIBLE.
    pub invisible: bool,
}

/// A generated column's expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The expression.
    pub expr: Expr,
    /// STORED; else VIRTUAL.
    pub stored: bool,
}

/// DEFAULT of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// A literal, perhaps with a sign, or NULL.
    Literal(Expr),
    /// CURRENT_TIMESTAMP(n): the digits n.
    Now(u8),
    /// An expression in parentheses.
    Expression(Expr),
}

/// A column's type as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataType {
    /// Which type.
    pub kind: DataTypeKind,
    /// Display width, precision, characters, bytes, or digits of a second's fraction.
    pub length: Option<u32>,
    /// Digits after the point.
    pub decimals: Option<u32>,
    /// UNSIGNED (ZEROFILL implies it).
    pub unsigned: bool,
    /// ZEROFILL.
    pub zerofill: bool,
    /// CHARACTER SET; ASCII is `latin1`, UNICODE `ucs2`, BYTE `binary`, NATIONAL `utf8mb3`.
    pub charset: Option<String>,
    /// COLLATE.
    pub collation: Option<String>,
    /// The attribute BINARY: the `_bin` collation of the character set.
    pub binary: bool,
    /// Members of ENUM and SET.
    pub members: Vec<String>,
}

/// Types by name; synonyms are resolved (INTEGER is Int, NUMERIC is Decimal, BOOL is TinyInt(1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are MySQL's")]
pub enum DataTypeKind {
    TinyInt,
    SmallInt,
    MediumInt,
    Int,
    BigInt,
    Decimal,
    Float,
    Double,
    Bit,
    Char,
    Varchar,
    Binary,
    Varbinary,
    TinyText,
    Text,
    MediumText,
    LongText,
    TinyBlob,
    Blob,
    MediumBlob,
    LongBlob,
    Date,
    Time,
    DateTime,
    Timestamp,
    Year,
    Json,
    Enum,
    Set,
    Geometry,
    Point,
    LineString,
    Polygon,
    MultiPoint,
    MultiLineString,
    MultiPolygon,
    GeometryCollection,
}

impl DataTypeKind {
    /// The name in capitals.
    pub fn name(self) -> &'static str {
        use DataTypeKind::*;
        match self {
            TinyInt => "TINYINT",
            SmallInt => "SMALLINT",
            MediumInt => "MEDIUMINT",
            Int => "INT",
            BigInt => "BIGINT",
            Decimal => "DECIMAL",
            Float => "FLOAT",
            Double => "DOUBLE",
            Bit => "BIT",
            Char => "CHAR",
            Varchar => "VARCHAR",
            Binary => "BINARY",
            Varbinary => "VARBINARY",
            TinyText => "TINYTEXT",
            Text => "TEXT",
            MediumText => "MEDIUMTEXT",
            LongText => "LONGTEXT",
            TinyBlob => "TINYBLOB",
            Blob => "BLOB",
            MediumBlob => "MEDIUMBLOB",
            LongBlob => "LONGBLOB",
            Date => "DATE",
            Time => "TIME",
            DateTime => "DATETIME",
            Timestamp => "TIMESTAMP",
            Year => "YEAR",
            Json => "JSON",
            Enum => "ENUM",
            Set => "SET",
            Geometry => "GEOMETRY",
            Point => "POINT",
            LineString => "LINESTRING",
            Polygon => "POLYGON",
            MultiPoint => "MULTIPOINT",
            MultiLineString => "MULTILINESTRING",
            MultiPolygon => "MULTIPOLYGON",
            GeometryCollection => "GEOMETRYCOLLECTION",
        }
    }
}

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

/// FOREIGN KEY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// Name of the constraint.
    pub constraint: Option<String>,
    /// Name of the index.
    pub index: Option<String>,
    /// The columns.
    pub columns: Vec<String>,
    /// What they refer to.
    pub reference: Reference,
}

/// REFERENCES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The table.
    pub table: TableName,
    /// Its columns.
    pub columns: Vec<String>,
    /// MATCH FULL, PARTIAL or SIMPLE.
    pub matching: Option<String>,
    /// ON DELETE.
    pub on_delete: Option<ReferenceAction>,
    /// ON UPDATE.
    pub on_update: Option<ReferenceAction>,
}

/// What happens to rows that refer to a changed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceAction {
    /// RESTRICT.
    Restrict,
    /// CASCADE.
    Cascade,
    /// SET NULL.
    SetNull,
    /// NO ACTION.
    NoAction,
    /// SET DEFAULT.
    SetDefault,
}

/// CHECK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Name of the constraint.
    pub name: Option<String>,
    /// The condition.
    pub expr: Expr,
    /// NOT ENFORCED is false.
    pub enforced: bool,
}

/// Options after the columns of CREATE TABLE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// ENGINE.
    pub engine: Option<String>,
    /// CHARACTER SET.
    pub charset: Option<String>,
    /// COLLATE.
    pub collation: Option<String>,
    /// COMMENT.
    pub comment: Option<String>,
    /// AUTO_INCREMENT.
    pub auto_increment: Option<u64>,
    /// RETENTION_SECONDS; 0 for DEFAULT, the cluster's.
    pub retention_s: Option<u64>,
    /// AUTO_PARTITION: partitions of the future that are added by themselves.
    pub auto_partition: Option<u64>,
    /// PLACEMENT POLICY; empty for DEFAULT.
    pub placement: Option<String>,
    /// The other ones, name in capitals and value as text (`ROW_FORMAT` → `DYNAMIC`); read, kept, and
    /// without effect.
    pub other: Vec<TableOption>,
}

/// A table option that is kept as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOption {
    /// The name in capitals.
    pub name: String,
    /// The value without quotes.
    pub value: String,
    /// Whether the value was a string.
    pub quoted: bool,
}

/// How rows spread over shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardingClause {
    /// `shardkey=column`.
    ShardKey(String),
    /// `shardkey=noshardkey_allset` or BROADCAST: every row has copies all over the cluster.
    Broadcast {
        /// Written as the word BROADCAST.
        word: bool,
    },
    /// `shardkey=noshardkey`: one shard holds the table.
    Single,
    /// `TDSQL_DISTRIBUTED BY HASH | RANGE | LIST (columns) …`.
    DistributedBy {
        /// HASH, RANGE or LIST.
        method: DistributionMethod,
        /// The columns.
        columns: Vec<String>,
        /// What goes to which set; empty for HASH.
        items: Vec<DistributionItem>,
    },
    /// `SHARD BY RANGE (columns) [SPLIT AT (bounds)]`.
    ByRange {
        /// The columns.
        columns: Vec<String>,
        /// Where one range ends and the next begins.
        bounds: Vec<Expr>,
    },
}

/// What goes to a set: `s1 VALUES LESS THAN (100)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributionItem {
    /// Name of the set.
    pub set: String,
    /// The values.
    pub values: DistributionValues,
}

/// The values that go to a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistributionValues {
    /// VALUES LESS THAN (value).
    LessThan(Expr),
    /// VALUES LESS THAN (MAXVALUE).
    Maxvalue,
    /// VALUES IN (values).
    In(Vec<Expr>),
}

/// How TDSQL_DISTRIBUTED BY spreads rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistributionMethod {
    /// HASH.
    Hash,
    /// RANGE.
    Range,
    /// LIST.
    List,
}

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
    /// ADD CHECK.
    AddCheck(Check),
    /// DROP PRIMARY KEY.
    DropPrimaryKey,
    /// DROP KEY or INDEX.
    DropKey(String),
    /// DROP CONSTRAINT: of a unique key.
    DropConstraint(String),
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
    /// Anything else that MySQL has (other operations on partitions, CONVERT TO, tablespaces, …): its text.
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
