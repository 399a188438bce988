//! The placement simulator: the product's own plans for replicas and leaders, carried out in virtual time.
//!
//! ```text
//! scenario ─ events ─> World ── cluster state, health, sizes ──> Planner (shard-router)
//!                        ^                                          │ jobs, leaders, splits
//!                        └── transfers by bytes and bandwidth <─────┘
//! ```
//!
//! Nodes, disks and messages are figures; the plans are the real ones, called as the coordinator calls them: with the same
//! inputs, one look after another, within the same limits. Time jumps from one event to the next. A run depends on nothing
//! but its scenario, size and seed, so its hash is the same wherever it runs.
//!
//! Reading order: `planner` (what is asked), `world` (the cluster, its events and its time), `carrying` (how one change of
//! members goes through), `scenario` (what happens), `measure` (what came of it), `report` (the table and its bars).
//!
//! Not here: whether the figures are like those of a real cluster. `tests/placement_calibration.rs` compares them.

mod carrying;
pub mod measure;
pub mod planner;
pub mod report;
pub mod scenario;
pub mod world;

pub use planner::{Planner, RealPlanner};
pub use report::Report;
pub use scenario::{Scenario, Size, run};
pub use world::{Event, Founders, World};

#[cfg(test)]
mod tests;
