//! Transactions over any number of shards.
//!
//! Reading order: `shard_client` (what a coordinator asks of shards), `command` (the words),
//! `transaction` (the coordinator: buffer, commit, resolve), `progress` (what others see of one), `oracle` (timestamps),
//! then the shard's side: `replication` (what a shard asks of its replicas), `merge` (what it asks of its neighbour), `latch`, `lock_table`, `row_locks`, `shard` (reads, locks
//! and writes at the leader), `load` (what it counts of them). Reads at followers: `follower_client` and `closed`. `testing` is a
//! cluster in memory.
//!
//! Not here: Raft (never named), where shards live (`shard-router`), SQL.

pub mod closed;
pub mod command;
mod defect;
pub mod error;
pub mod follower_client;
pub mod latch;
pub mod load;
pub mod lock_owners;
pub mod lock_table;
pub mod merge;
pub mod oracle;
pub mod progress;
pub mod read_points;
pub mod replication;
pub mod row_locks;
pub mod shard;
pub mod shard_client;
pub mod testing;
pub mod transaction;

pub use closed::Closed;
pub use error::{Error, Result};
pub use follower_client::{FollowerClient, Otherwise};
pub use lock_owners::LockOwners;
pub use oracle::Oracle;
pub use progress::{HeldUp, Progress};
pub use read_points::ReadPoints;
pub use row_locks::RowLocks;
pub use shard_client::{Route, ShardClient, TransactionSizes};
pub use transaction::{
    CommitOutcome, Identity, Mode, PreparedTransaction, ResolvedLocks, RowLock, Savepoint, Scan,
    ScanOptions, Settled, Transaction, commit_prepared, hold_prepared, record_limit,
    resolve_old_locks, roll_back_prepared, settle,
};
