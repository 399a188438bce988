//! Drills: rehearsed disasters with guards, measures and a report that can be kept.
//!
//! ```text
//! scenario (TOML) ─ guard ─ lab ─ steady state ─ steps ─ heal ─ steady state ─ final reads ─ report
//!                                   └── workloads, probe, watcher of leaders ──┘
//! ```
//!
//! Reading order: `scenario` (what shall happen), `guard` (what must not), `metric` (what is looked at while it
//! runs), `watch` (who leads what, all the time), `stop` (whether a damaged cluster stops loudly), `run`, `report`, `page` with its `timeline`,
//! `index` (all reports).

pub mod catalogue;
pub mod guard;
pub mod index;
pub mod metric;
pub mod page;
pub mod report;
pub mod run;
pub mod scenario;
mod stop;
mod timeline;
pub mod watch;
