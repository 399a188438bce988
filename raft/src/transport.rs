//! Messages between the replicas of different nodes.
//!
//! ```text
//! node A                                                        node B
//! replicas of many shards ─┬─ liveness lane: heartbeats, votes ──┬─> service ─> replica
//!                          ├─ append lane 0 ─────────────────────┤
//!                          ├─ append lane 1 (by hash of shard) ──┤
//!                          └─ one stream per Raft snapshot ──────┘
//! ```
//!
//! A lane is a long-lived bidirectional gRPC stream on a connection of its own; each frame carries
//! messages of many shards. Requests go one way and their replies come back on the same stream, matched
//! by a sequence number. Each node dials its own lanes to every other node.
//!
//! Invariants:
//! 1. A message reaches exactly the replica it names; anyone else answers "unknown replica".
//! 2. Requests of one shard on one lane are handed to its replica in the order they were sent.
//! 3. Nothing here waits without a limit, and no queue grows without one: what is full refuses, what is
//!    late counts as unreachable, and openraft tries again.
//!
//! 4. Nothing from outside is trusted: a stream begins with who speaks, a message is checked against the
//!    membership and against itself, and whatever is wrong is refused with a sentence and counted.
//!
//! Reading order: `dialer` (connections), `hello` (who speaks), `frame` (gathering messages), `lane` (the
//! asking side), `network` (openraft's traits on lanes), `service` (the answering side), `refusal` (what
//! it counts), `snapshot_send` and `snapshot_receive` (Raft snapshots).

pub mod dialer;
pub mod frame;
pub mod hello;
pub mod lane;
pub mod network;
pub mod refusal;
pub mod service;
pub mod snapshot_receive;
pub mod snapshot_send;
