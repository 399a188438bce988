//! ENGINE, CHARSET, COMMENT, … of a table.

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
