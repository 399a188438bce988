//! How a table says that its rows spread over shards.

use super::Expr;

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
