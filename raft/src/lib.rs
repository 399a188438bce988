//! One shard's replication on openraft, and the host that runs many shards on a node.
//!
//! ```text
//!   txn / server ── propose, serving_term ──> ReplicaGroup ── Host ── one per node
//!                                                │
//!                          ┌─────────────────────┼──────────────────────┐
//!                      log (shared)         applier (engine)       transport (lanes)
//! ```
//!
//! Reading order: `replica_group` and `state_machine` (what others see), `host` (what `server` starts),
//! `type_config`, `config` and `codec` (openraft made ours), `log` with `log_store` (the log),
//! `applier`, `engine_slot` and `snapshot` (the state), `transport` (between nodes), `replica`, `membership`,
//! `lease` and `vote_gate` (when a replica may serve and vote), `follower_read` (reads elsewhere), `compare`
//! (whether replicas hold the same), `split` (one shard becomes two), `purge` (keeping the log short), `scrub` (finding rot), `recovery`
//! (after a lost majority).
//!
//! Invariants:
//! 1. Nothing here looks inside a command of a state machine; `raft`'s own begin with a byte that no
//!    state machine uses (`command`).
//! 2. openraft's types stop at this crate, generated proto types too (but for the service that `Host`
//!    hands to the node's router).
//! 3. Nothing is acknowledged before it is synced; a failed sync stops the process.
//! 4. A replica that lost what it had acknowledged takes no part under its id.

pub mod applier;
pub mod codec;
pub mod command;
pub mod compare;
pub mod config;
pub(crate) mod defect;
pub mod engine_slot;
pub mod error;
pub mod follower_read;
#[cfg(test)]
mod hand_clock;
pub mod host;
pub mod lease;
pub mod log;
pub mod log_store;
pub mod membership;
pub mod pacer;
pub mod purge;
pub mod recovery;
pub mod replica;
pub mod replica_group;
pub mod runtime;
pub mod scrub;
pub mod snapshot;
pub mod split;
pub mod state_machine;
pub mod transport;
pub mod type_config;
pub mod vote_gate;

pub use compare::Comparison;
pub use error::{Error, Result};
pub use follower_read::{FollowerReadError, FollowerSnapshot};
pub use host::{Host, HostConfig};
pub use log::FlushMode;
pub use log::disk::{FileDisk, LogDisk, LogFile, SimLogDisk};
pub use log::health::{DiskHealth, DiskState};
pub use replica_group::{
    GroupProgress, Member, MemberRole, MembershipError, MembershipVersion, ProposeError,
    ReplicaGroup, ReplicaStatus,
};
pub use runtime::seed_thread;
pub use split::{ChildSink, SplitCommand};
pub use state_machine::StateMachine;
pub use transport::dialer::{Dialer, TcpDialer};
