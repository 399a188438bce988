//! Administration: FLUSH, LOCK TABLES, ANALYZE and its relatives, nodes, jobs and rebalancing.

use super::TableName;

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
