//! The `precinct` binary: one process is one node. The only crate that sees all others and the only one
//! that reads configuration.
//!
//! Reading order: `config`, `clock_offset`, `node` (assembly of a node), `shard_state` (plugs `txn` into `raft`),
//! `local_shards`, `cluster_client` (from a transaction to a shard's leader), `follower_reads`, `map_refresh`, `lock_time`, `peers`, `incoming`, `grpc` and
//! `wire` (calls between nodes), `oracle`, `balancer`, `collector`, `record_collector`, `future_partitions`, `http`.
//!
//! What the cluster is: `founding` (how a node comes to its first view), `cluster_file` and `directory` (the
//! view), `meta_store` (the truth), `gossip` (how news spreads), `load_meter` (how busy shards are), `replicas` (a node does what the view says),
//! `node_control`, `leader_move` and `rebalance_control` (what administrators ask), `lock_handover` (how leaders are moved),
//! `lock_survey`, `coordinator` and `members` (replicas are replaced, nodes evened out), `shard_split` (a shard becomes two),
//! `shard_merge` and `merge_wire` (two become one),
//! `cluster_view` (what SQL shows), `compare` (whether replicas hold the same), `cluster_wire`, `recover` (after
//! a lost majority). Then `cli` and `demo`.

pub mod activity_wire;
pub mod balancer;
pub mod cli;
pub mod clock_offset;
pub mod cluster_client;
pub mod cluster_file;
pub mod cluster_view;
pub mod cluster_wire;
pub mod collector;
pub mod compare;
pub mod config;
pub mod coordinator;
pub mod demo;
pub mod directory;
pub mod disks;
pub mod follower_reads;
pub mod founding;
pub mod future_partitions;
pub mod gossip;
pub mod grpc;
pub mod http;
pub mod incoming;
pub mod leader_move;
pub mod load_meter;
pub mod local_shards;
pub mod lock_handover;
pub mod lock_survey;
pub mod lock_time;
pub mod map_refresh;
pub mod members;
pub mod merge_wire;
pub mod meta_store;
pub mod node;
pub mod node_control;
pub mod oracle;
pub mod peers;
pub mod placement_control;
pub mod rebalance_control;
pub mod record_collector;
pub mod recover;
pub mod replicas;
pub mod shard_map_file;
pub mod shard_merge;
pub mod shard_split;
pub mod shard_state;
pub mod twin;
pub mod wire;

/// Version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What MySQL clients see as the server's version. Clients branch on the number (`docs/decisions/0005-announced-version.md`).
pub const MYSQL_VERSION: &str = "8.0.46-PrecinctDB";
