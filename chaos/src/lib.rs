//! Proof by breaking things: real processes that are really killed, and a simulation that replays from a
//! seed.
//!
//! Here are the parts that tests share: `fault` (labs of real processes and the ways to break them),
//! `workload` (clients that write histories), `history` (what they were told, and the checkers of it),
//! `cluster` (a demo cluster of child processes) and `ledger` (the same in memory, for one test). The scenarios are in `tests/`; simulator dependencies are dev-dependencies, so
//! that they never reach the shipped binary.

pub mod cluster;
pub mod drill;
pub mod fault;
pub mod history;
pub mod ledger;
pub mod soak;
pub mod workload;
