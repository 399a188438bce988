//! Statements that define databases.

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
