//! The `precinct` binary: one process is one node. The only crate that sees all others and the only one
//! that reads configuration.
//!
//! Reading order: `config`, `node` (assembly of a node), `shard_state` (plugs `txn` into `raft`),
//! `local_shards`, `cluster_client` (from a transaction to a shard's leader), `peers`, `incoming`, `grpc` and `wire`
//! (calls between nodes), `oracle`, `balancer`, `http`, then `cli` and `demo`.

pub mod balancer;
pub mod cli;
pub mod cluster_client;
pub mod config;
pub mod demo;
pub mod disks;
pub mod grpc;
pub mod http;
pub mod incoming;
pub mod local_shards;
pub mod node;
pub mod oracle;
pub mod peers;
pub mod shard_map_file;
pub mod shard_state;
pub mod wire;

/// Version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What MySQL clients see as the server's version. Clients branch on the number (`docs/decisions/0005-announced-version.md`).
pub const MYSQL_VERSION: &str = "8.0.46-PrecinctDB";
