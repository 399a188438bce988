//! SHOW.

use super::{AccountName, Expr, Limit, PlacementTarget, TableName, VariableScope};

/// LIKE or WHERE of SHOW.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShowFilter {
    /// LIKE.
    Like(String),
    /// WHERE, over the result's columns.
    Where(Expr),
}

/// SHOW.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// SHOW DATABASES, SCHEMAS.
    Databases(Option<ShowFilter>),
    /// SHOW [EXTENDED] [FULL] TABLES [FROM db].
    Tables {
        /// EXTENDED.
        extended: bool,
        /// FULL.
        full: bool,
        /// FROM database.
        database: Option<String>,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW OPEN TABLES.
    OpenTables {
        /// FROM database.
        database: Option<String>,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW TABLE STATUS.
    TableStatus {
        /// FROM database.
        database: Option<String>,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW [EXTENDED] [FULL] COLUMNS, FIELDS.
    Columns {
        /// EXTENDED.
        extended: bool,
        /// FULL.
        full: bool,
        /// FROM table (and its database).
        table: TableName,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW INDEX, INDEXES, KEYS.
    Index {
        /// EXTENDED.
        extended: bool,
        /// FROM table (and its database).
        table: TableName,
        /// WHERE.
        filter: Option<Expr>,
    },
    /// SHOW CREATE TABLE.
    CreateTable(TableName),
    /// SHOW CREATE PLACEMENT POLICY.
    CreatePlacementPolicy(String),
    /// SHOW PLACEMENT.
    Placement(PlacementTarget),
    /// SHOW CREATE SEQUENCE.
    CreateSequence(TableName),
    /// SHOW CREATE DATABASE, SCHEMA.
    CreateDatabase {
        /// IF NOT EXISTS: printed back in the text.
        if_not_exists: bool,
        /// The database.
        name: String,
    },
    /// SHOW CREATE USER.
    CreateUser(AccountName),
    /// SHOW CREATE VIEW, PROCEDURE, FUNCTION, TRIGGER, EVENT.
    CreateObject {
        /// The kind in capitals.
        kind: String,
        /// The name.
        name: TableName,
    },
    /// SHOW WARNINGS.
    Warnings(Option<Limit>),
    /// SHOW ERRORS.
    Errors(Option<Limit>),
    /// SHOW COUNT(*) WARNINGS.
    CountWarnings,
    /// SHOW COUNT(*) ERRORS.
    CountErrors,
    /// SHOW [GLOBAL | SESSION] VARIABLES.
    Variables {
        /// GLOBAL or SESSION; session when it is not said.
        scope: Option<VariableScope>,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW [GLOBAL | SESSION] STATUS.
    Status {
        /// GLOBAL or SESSION; session when it is not said.
        scope: Option<VariableScope>,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW [FULL] PROCESSLIST.
    ProcessList {
        /// FULL.
        full: bool,
    },
    /// SHOW [STORAGE] ENGINES.
    Engines,
    /// SHOW ENGINE name STATUS | MUTEX | LOGS.
    Engine {
        /// The engine.
        name: String,
        /// STATUS, MUTEX or LOGS.
        what: String,
    },
    /// SHOW COLLATION.
    Collation(Option<ShowFilter>),
    /// SHOW CHARACTER SET, CHARSET.
    CharacterSet(Option<ShowFilter>),
    /// SHOW PLUGINS.
    Plugins,
    /// SHOW PRIVILEGES.
    Privileges,
    /// SHOW GRANTS [FOR account].
    Grants {
        /// Whose; the current user's when `None`.
        account: Option<AccountName>,
        /// USING roles.
        using: Vec<AccountName>,
    },
    /// SHOW TRIGGERS.
    Triggers {
        /// FROM database.
        database: Option<String>,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW EVENTS.
    Events {
        /// FROM database.
        database: Option<String>,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW PROCEDURE STATUS, SHOW FUNCTION STATUS.
    RoutineStatus {
        /// FUNCTION; else PROCEDURE.
        function: bool,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW MASTER STATUS, SHOW BINARY LOG STATUS.
    BinaryLogStatus,
    /// SHOW BINARY LOGS, SHOW MASTER LOGS.
    BinaryLogs,
    /// SHOW BINLOG EVENTS.
    BinlogEvents,
    /// SHOW REPLICA STATUS, SHOW SLAVE STATUS.
    ReplicaStatus {
        /// FOR CHANNEL.
        channel: Option<String>,
    },
    /// SHOW REPLICAS, SHOW SLAVE HOSTS.
    Replicas,
    /// SHOW PROFILES.
    Profiles,
    /// SHOW PROFILE.
    Profile,
    /// SHOW SHARDS [FROM table [FOR (value, …)]]: where slots and rows are.
    Shards {
        /// Only the shards of this table.
        table: Option<TableName>,
        /// Only the shard of its rows with these values of its sharding columns; empty: all.
        key: Vec<Expr>,
        /// LIKE or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW HOT SHARDS: what shards have to do, and where.
    HotShards(Option<ShowFilter>),
    /// SHOW SHARD n WHY: what the planners think of it.
    ShardWhy(u64),
    /// SHOW NODES: the nodes of the cluster.
    Nodes(Option<ShowFilter>),
    /// SHOW REBALANCE [PLAN]: how even nodes are, or what happens next and why.
    Rebalance {
        /// PLAN.
        plan: bool,
    },
    /// SHOW PROXY HELP, CONFIG, STATUS; TDSQL's `/*proxy*/help`, `/*proxy*/show config`, `/*proxy*/show status`.
    Proxy {
        /// Which of them.
        listing: ProxyListing,
        /// LIKE (of the first column) or WHERE.
        filter: Option<ShowFilter>,
    },
    /// SHOW TABLE WITH SHARDKEY, WITH NOSHARDKEY_ALLSET, WITHOUT SHARDKEY.
    TablesBySharding(ShardingClass),
    /// SHOW DDL JOBS.
    DdlJobs {
        /// LIKE (of the table's name) or WHERE.
        filter: Option<ShowFilter>,
        /// LIMIT, of what is left.
        limit: Option<Box<Limit>>,
    },
    /// SHOW TRANSACTION STATUS 'token'.
    TransactionStatus(String),
}

/// What SHOW PROXY lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyListing {
    /// The statements about sets.
    Help,
    /// Settings that matter to sets.
    Config,
    /// The sets.
    Status,
}

/// Classes of tables that SHOW TABLE WITH … lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardingClass {
    /// WITH SHARDKEY.
    Sharded,
    /// WITH NOSHARDKEY_ALLSET.
    Broadcast,
    /// WITHOUT SHARDKEY.
    Single,
}
