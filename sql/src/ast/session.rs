//! Statements about statements and sessions: EXPLAIN, PREPARE, and those that look at a part of the cluster.

use super::{Query, Statement};

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

impl Statement {
    /// The query, when the statement is one.
    pub fn as_query(&self) -> Option<&Query> {
        match self {
            Statement::Query(query) => Some(query),
            _ => None,
        }
    }
}
