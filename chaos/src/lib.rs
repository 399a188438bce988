//! Proof by breaking things: real processes that are really killed, and a simulation that replays from a
//! seed.
//!
//! Here are the parts that tests share: `cluster` (a demo cluster of child processes), `workload` (clients
//! that write histories), `history` (what they were told, and the checkers of it), `ledger` (the same in
//! memory, for one test) and `seeds` (many simulated runs at once). The scenarios are in `tests/`; simulator
//! dependencies are dev-dependencies, so that they never reach the shipped binary.

pub mod cluster;
pub mod history;
pub mod ledger;
pub mod seeds;
pub mod workload;
