//! Transactions: BEGIN, COMMIT and ROLLBACK, isolation levels.

use super::Expr;

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
