//! The vocabulary every crate shares: who (ids), when (timestamps, clock), where (slots, key ranges),
//! chance (rng) and how much (limits).
//!
//! Nothing here does I/O or is async. `Clock` is the only place that reads time and `Rng` the only
//! one that draws randomness, so that a simulation can replay a whole cluster from one seed.

pub mod clock;
pub mod cluster_id;
pub mod ids;
pub mod key_range;
pub mod limits;
pub mod rng;
pub mod slot;
pub mod thread;
pub mod timestamp;

pub use clock::{Clock, SharedClock, SystemClock, WallOffset};
pub use cluster_id::ClusterId;
pub use ids::{DatabaseId, IndexId, NodeId, ReplicaId, ShardEpoch, ShardId, TableId};
pub use key_range::KeyRange;
pub use rng::Rng;
pub use slot::{SLOT_COUNT, Slot, SlotFilter, SlotRange};
pub use timestamp::Timestamp;
