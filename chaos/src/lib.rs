//! Proof by breaking things: real processes that are really broken, and a simulation that replays from a
//! seed.
//!
//! Reading order: `fault` (labs of real processes and the ways to break them), `workload` (clients that write
//! histories), `history` (what they were told, and the checkers of it), `soak` (mixed faults for a while),
//! `drill` (scenarios with guards and a report), `placement` (the product's plans for replicas in virtual time), `cluster` (a demo cluster for a test), `ledger` (what clients
//! were told, in memory), `writers` (clients with such ledgers) and `seeds` (many simulated runs at once). The simulation is in `tests/`; its
//! dependencies are dev-dependencies, so that they never reach the shipped binary.

pub mod cluster;
pub mod drill;
pub mod fault;
pub mod history;
pub mod ledger;
pub mod placement;
pub mod seeds;
pub mod soak;
pub mod workload;
pub mod writers;
