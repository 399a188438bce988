//! The words between nodes: generated from the files in `proto/proto/`, one module each. No logic.
//!
//! Generated types stop at the crate that speaks the wire: `raft` turns them into its own before
//! anyone else sees them.

/// Messages between the replicas of a shard, and the payloads of the Raft log.
#[allow(missing_docs)] // Generated; the .proto file carries the words.
pub mod raft {
    tonic::include_proto!("precinct.raft");
}

/// What nodes ask of each other besides Raft.
#[allow(missing_docs)] // Generated; the .proto file carries the words.
pub mod node {
    tonic::include_proto!("precinct.node");
}
