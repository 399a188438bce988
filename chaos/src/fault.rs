//! Faults on a cluster of real processes: a lab that can be broken, and the ways to break it.
//!
//! ```text
//!  lab ──── network   a namespace per node; links are cut one direction at a time
//!   │ └──── disk      a folder or an image per node; filled, frozen, without power
//!   └─ journal        what was changed on this machine, undone whatever happens
//! ```
//!
//! Reading order: `lab`, `network`, `disk`, `journal`; `kind` (the faults by name) and `inject` with its means
//! `strace`, `shape`, `damage`, `clock`, `leaders`, `shards`; `view`; `health`; `deadman`; then the small parts `process`, `tool`, `kernel`, `error`.
//! Everything here blocks the calling thread, and every wait has a limit.

pub mod clock;
pub mod damage;
pub mod deadman;
pub mod disk;
pub mod error;
pub mod health;
pub mod inject;
pub mod journal;
pub mod kernel;
pub mod kind;
pub mod lab;
pub mod leaders;
pub mod network;
pub mod process;
pub mod shape;
pub mod shards;
pub mod strace;
pub mod tool;
pub mod view;
