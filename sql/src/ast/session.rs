//! Statements about transactions, variables, accounts and the server.

use super::{Expr, PlacementTarget, Query, Statement, TableName, VariableScope};

/// BEGIN, START TRANSACTION.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begin {
    /// WITH CONSISTENT SNAPSHOT.
    pub consistent_snapshot: bool,
    /// READ WRITE or READ ONLY.
    pub access: Option<AccessMode>,
    /// AS OF TIMESTAMP behind READ ONLY.
    pub as_of: Option<Box<Expr>>,
}

/// READ WRITE or READ ONLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// READ WRITE.
    ReadWrite,
    /// READ ONLY.
    ReadOnly,
}

/// What COMMIT and ROLLBACK say about afterwards; `None` follows `completion_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// AND [NO] CHAIN.
    pub chain: Option<bool>,
    /// [NO] RELEASE.
    pub release: Option<bool>,
}

/// Isolation levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// READ UNCOMMITTED.
    ReadUncommitted,
    /// READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

impl IsolationLevel {
    /// As `@@transaction_isolation` shows it.
    pub fn name(self) -> &'static str {
        match self {
            IsolationLevel::ReadUncommitted => "READ-UNCOMMITTED",
            IsolationLevel::ReadCommitted => "READ-COMMITTED",
            IsolationLevel::RepeatableRead => "REPEATABLE-READ",
            IsolationLevel::Serializable => "SERIALIZABLE",
        }
    }
}

/// One item of SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetItem {
    /// A system variable.
    System {
        /// GLOBAL, SESSION, …; session when it is not said.
        scope: Option<VariableScope>,
        /// The name as written.
        name: String,
        /// The new value.
        value: SetValue,
    },
    /// `@name = value`.
    User {
        /// The name without `@`.
        name: String,
        /// The new value.
        value: Expr,
    },
    /// SET NAMES.
    Names {
        /// The character set; `None` for DEFAULT.
        charset: Option<String>,
        /// COLLATE.
        collation: Option<String>,
    },
    /// SET CHARACTER SET; `None` for DEFAULT.
    CharacterSet(Option<String>),
    /// SET [GLOBAL | SESSION] TRANSACTION.
    Transaction {
        /// The scope; the next transaction only when it is not said.
        scope: Option<VariableScope>,
        /// ISOLATION LEVEL.
        isolation: Option<IsolationLevel>,
        /// READ WRITE or READ ONLY.
        access: Option<AccessMode>,
        /// AS OF TIMESTAMP behind READ ONLY.
        as_of: Option<Box<Expr>>,
    },
    /// SET PASSWORD [FOR account] = 'password'.
    Password {
        /// Whose; the current user's when `None`.
        account: Option<AccountName>,
        /// The new password in clear.
        password: String,
    },
    /// `SET ROLE …`, `SET DEFAULT ROLE …`, `SET RESOURCE GROUP …`: its text after SET.
    Other(String),
}

/// The new value of a system variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// DEFAULT.
    Default,
    /// A bare word such as `ON`, `ALL`, `utf8mb4` or `binary`: a string, not a column.
    Word(String),
    /// An expression.
    Expr(Expr),
}

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
    Warnings(Option<super::Limit>),
    /// SHOW ERRORS.
    Errors(Option<super::Limit>),
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
    Proxy(ProxyListing),
    /// SHOW TABLE WITH SHARDKEY, WITH NOSHARDKEY_ALLSET, WITHOUT SHARDKEY.
    TablesBySharding(ShardingClass),
    /// SHOW DDL JOBS.
    DdlJobs {
        /// LIKE (of the table's name) or WHERE.
        filter: Option<ShowFilter>,
        /// LIMIT, of what is left.
        limit: Option<Box<super::Limit>>,
    },
    /// SHOW TRANSACTION STATUS 'token'.
    TransactionStatus(String),
}

/// A statement that looks at a part of the cluster only, as TDSQL's pass-through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnSets {
    /// Which part.
    pub part: ClusterPart,
    /// The statement.
    pub statement: Statement,
}

/// A part of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterPart {
    /// `ON SETS (set_1, s2)`: sets by their names; `allsets` is all of them.
    Sets(Vec<String>),
    /// `ON SHARDKEY ('value')`: the set of rows whose sharding key has this value.
    ShardKey(String),
    /// `ON SHARDKEY_HASH (slot)`: the set of a slot.
    Slot(u64),
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

/// EXPLAIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explain {
    /// ANALYZE: executes, too.
    pub analyze: bool,
    /// FORMAT = TRADITIONAL | JSON | TREE, in capitals.
    pub format: Option<String>,
    /// What is explained.
    pub target: ExplainTarget,
}

/// What EXPLAIN explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExplainTarget {
    /// A statement.
    Statement(Box<Statement>),
    /// FOR CONNECTION id.
    Connection(u64),
    /// DDL statement: what it will do (EXPLAIN DDL …).
    Ddl(Box<Statement>),
}

/// Where PREPARE takes its text from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareSource {
    /// A string.
    Text(String),
    /// A user variable, without `@`.
    Variable(String),
}

/// `'user'@'host'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountName {
    /// The user; `None` for CURRENT_USER.
    pub user: Option<String>,
    /// The host; `%` when it is not named.
    pub host: String,
}

impl std::fmt::Display for AccountName {
    /// As error messages name it: `'user'@'host'`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.user {
            Some(user) => write!(f, "'{user}'@'{}'", self.host),
            None => f.write_str("CURRENT_USER()"),
        }
    }
}

/// CREATE, ALTER, DROP, RENAME of accounts and roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountStatement {
    /// CREATE USER.
    Create {
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The accounts.
        accounts: Vec<AccountSpec>,
        /// DEFAULT ROLE.
        default_roles: Vec<AccountName>,
        /// Text of REQUIRE, WITH limits, PASSWORD … options; empty when there are none.
        options: String,
    },
    /// ALTER USER.
    Alter {
        /// IF EXISTS.
        if_exists: bool,
        /// The accounts.
        accounts: Vec<AccountSpec>,
        /// Text of REQUIRE, WITH limits, PASSWORD … options; empty when there are none.
        options: String,
    },
    /// DROP USER.
    Drop {
        /// IF EXISTS.
        if_exists: bool,
        /// The accounts.
        accounts: Vec<AccountName>,
    },
    /// RENAME USER.
    Rename(
        /// Pairs of old and new name.
        Vec<(AccountName, AccountName)>,
    ),
    /// CREATE ROLE.
    CreateRole {
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The roles.
        roles: Vec<AccountName>,
    },
    /// DROP ROLE.
    DropRole {
        /// IF EXISTS.
        if_exists: bool,
        /// The roles.
        roles: Vec<AccountName>,
    },
}

/// An account and how it logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSpec {
    /// The account.
    pub account: AccountName,
    /// IDENTIFIED …
    pub identified: Option<Identified>,
}

/// IDENTIFIED [WITH plugin] BY 'password' | AS 'hash'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// WITH plugin; the default plugin when `None`.
    pub plugin: Option<String>,
    /// The secret, when one is given.
    pub secret: Option<Secret>,
}

/// What IDENTIFIED gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// BY: a password in clear.
    Password(String),
    /// BY RANDOM PASSWORD.
    RandomPassword,
    /// AS: what the plugin stores, as bytes (a string or a hexadecimal literal).
    Stored(Vec<u8>),
}

/// GRANT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What is given.
    pub privileges: Vec<Privilege>,
    /// ON; `None` when roles are granted or for PROXY.
    pub on: Option<GrantObject>,
    /// To whom.
    pub to: Vec<AccountSpec>,
    /// WITH GRANT OPTION (or WITH ADMIN OPTION for roles).
    pub grant_option: bool,
}

/// REVOKE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// IF EXISTS.
    pub if_exists: bool,
    /// What is taken.
    pub privileges: Vec<Privilege>,
    /// ON; `None` when roles (or everything) are taken.
    pub on: Option<GrantObject>,
    /// From whom.
    pub from: Vec<AccountName>,
    /// IGNORE UNKNOWN USER.
    pub ignore_unknown_user: bool,
}

/// A privilege or a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// A privilege's words in capitals (`SELECT`, `ALL PRIVILEGES`, `GRANT OPTION`), or a role.
    pub name: PrivilegeName,
    /// The columns it is limited to; all when empty.
    pub columns: Vec<String>,
}

/// What a grant gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivilegeName {
    /// Words in capitals.
    Words(String),
    /// A role.
    Role(AccountName),
}

/// ON of GRANT and REVOKE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantObject {
    /// TABLE, FUNCTION or PROCEDURE, when it is said.
    pub kind: Option<String>,
    /// Everything (`*.*`), a database (`db.*`), or a table.
    pub level: GrantLevel,
}

/// What a privilege is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantLevel {
    /// `*.*`.
    Global,
    /// `*`: the default database.
    DefaultDatabase,
    /// `database.*`.
    Database(String),
    /// `database.table` or `table`.
    Table(TableName),
}

/// FLUSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush {
    /// NO_WRITE_TO_BINLOG or LOCAL.
    pub local: bool,
    /// What is flushed.
    pub what: FlushTarget,
}

/// What FLUSH works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlushTarget {
    /// PRIVILEGES, STATUS, BINARY LOGS, … each in capitals.
    Options(Vec<String>),
    /// TABLES.
    Tables {
        /// The tables; all when empty.
        tables: Vec<TableName>,
        /// WITH READ LOCK.
        read_lock: bool,
        /// FOR EXPORT.
        for_export: bool,
    },
}

/// One table of LOCK TABLES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableLock {
    /// The table.
    pub table: TableName,
    /// Its alias.
    pub alias: Option<String>,
    /// WRITE; else READ.
    pub write: bool,
    /// READ LOCAL.
    pub local: bool,
}

/// What ADMIN CHECK looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCheck {
    /// All indexes of these tables.
    Tables(Vec<TableName>),
    /// One index.
    Index {
        /// Its table.
        table: TableName,
        /// Its name.
        index: String,
    },
}

/// ANALYZE and its relatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableAdministration {
    /// ANALYZE, OPTIMIZE, CHECK, REPAIR or CHECKSUM.
    pub action: AdministrationAction,
    /// NO_WRITE_TO_BINLOG or LOCAL.
    pub local: bool,
    /// The tables.
    pub tables: Vec<TableName>,
    /// Words after the tables in capitals (`QUICK`, `FOR UPGRADE`, `UPDATE HISTOGRAM …`).
    pub options: String,
}

/// What is done to tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdministrationAction {
    /// ANALYZE TABLE.
    Analyze,
    /// OPTIMIZE TABLE.
    Optimize,
    /// CHECK TABLE.
    Check,
    /// REPAIR TABLE.
    Repair,
    /// CHECKSUM TABLE.
    Checksum,
}

impl AdministrationAction {
    /// The name in capitals.
    pub fn name(self) -> &'static str {
        match self {
            AdministrationAction::Analyze => "ANALYZE",
            AdministrationAction::Optimize => "OPTIMIZE",
            AdministrationAction::Check => "CHECK",
            AdministrationAction::Repair => "REPAIR",
            AdministrationAction::Checksum => "CHECKSUM",
        }
    }
}

impl Statement {
    /// The query, when the statement is one.
    pub fn as_query(&self) -> Option<&Query> {
        match self {
            Statement::Query(query) => Some(query),
            _ => None,
        }
    }
}

/// What ALTER REBALANCE wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebalanceAction {
    /// PAUSE: nothing is begun.
    Pause,
    /// RESUME: it goes on.
    Resume,
    /// MOVES n: so many replicas move at once, at most.
    Moves(u64),
    /// AUTO_MERGE ON or OFF: whether neighbours that are cold become one shard by themselves.
    AutoMerge(bool),
}

/// What ADMIN … DDL JOBS wants of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobAction {
    /// PAUSE: they wait.
    Pause,
    /// RESUME: they go on.
    Resume,
    /// CANCEL: they take back what they have done.
    Cancel,
}

/// What ALTER NODE wants of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeAction {
    /// It leads nothing any more: it is about to be stopped for a while.
    Drain,
    /// It leads again.
    Undrain,
    /// Its replicas go to other nodes, then it has left.
    Decommission,
    /// It stays after all.
    Recommission,
}

impl NodeAction {
    /// All of them.
    pub const ALL: [NodeAction; 4] = [
        NodeAction::Drain,
        NodeAction::Undrain,
        NodeAction::Decommission,
        NodeAction::Recommission,
    ];

    /// The word in the statement.
    pub fn name(self) -> &'static str {
        match self {
            NodeAction::Drain => "DRAIN",
            NodeAction::Undrain => "UNDRAIN",
            NodeAction::Decommission => "DECOMMISSION",
            NodeAction::Recommission => "RECOMMISSION",
        }
    }
}
