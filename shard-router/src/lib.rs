//! Where a key lives, and where it should: map in, plan out. Pure: no I/O, no time, no chance.
//!
//! Reading order: `shard_map` (slots to shards to nodes), `placement` (the first map of a cluster),
//! `balance` (who should lead), `cluster` (nodes, map and changes of members), `repair` (who must be
//! replaced, and where the successor goes), `fitness` (whose disk has been full for too long), `rebalance` (what evens nodes out), `change` (the next step of such a
//! change), `split_job` (a shard becomes two), `load` (how busy shards are and where), `split` (which shards should become two),
//! `merge_job` (two become one), `merge` (which two should), `policy` (which nodes may hold and lead what), `why` (what planners
//! think of a shard), `error`.
//!
//! Not here: who keeps the map (the meta shard, through `txn`), who carries plans out (`server`).

pub mod balance;
pub mod change;
pub mod cluster;
pub mod error;
pub mod fitness;
pub mod load;
pub mod merge;
pub mod merge_job;
pub mod placement;
pub mod policy;
pub mod rebalance;
pub mod repair;
pub mod shard_map;
pub mod split;
pub mod split_job;
pub mod why;

pub use balance::leader_moves;
pub use cluster::{ClusterState, Job, JobStep, NodeInfo, NodeState, Reason, RebalanceSettings};
pub use error::{Error, Result};
pub use merge_job::MergeJob;
pub use placement::{Plan, initial};
pub use policy::{Placement, Policy};
pub use shard_map::{ShardInfo, ShardMap};
pub use split_job::{NewSplit, Origin, SplitJob};
