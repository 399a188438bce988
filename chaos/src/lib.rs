//! Proof by breaking things: real processes that are really killed, and a simulation that replays from a
//! seed.
//!
//! Here are the parts that tests share: `cluster` (a demo cluster of child processes) and `ledger` (what
//! clients were told, and the check of it). The scenarios are in `tests/`; simulator dependencies are
//! dev-dependencies, so that they never reach the shipped binary.

pub mod cluster;
pub mod fault;
pub mod ledger;
