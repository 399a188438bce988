//! Drills: rehearsed disasters with guards, measures and a report that can be kept.
//!
//! ```text
//! scenario (TOML) ─ guard ─ lab ─ steady state ─ steps ─ heal ─ steady state ─ final reads ─ report
//!                                   └── workloads, probe, watcher of leaders ──┘
//! ```
//!
//! Reading order: `scenario` (what shall happen), `guard` (what must not), `metric` (what is looked at while it
//! runs), `watch` (who leads what, all the time), `run`, `report`, `page` with its `timeline`.

pub mod catalogue;
pub mod guard;
pub mod metric;
pub mod page;
pub mod report;
pub mod run;
pub mod scenario;
mod timeline;
pub mod watch;
