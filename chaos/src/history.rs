//! Histories: what clients asked, what they were told, and whether a correct database could have said so.
//!
//! ```text
//! workload ──invoke──> Recorder ──line──> history.jsonl ──read──> events ──check──> Verdict
//!     └───ok | fail | info──┘
//! ```
//!
//! A history is a file with one JSON line per [`Event`] (`docs/reference/history.md`). The order of lines is
//! the order of time: a line is written before its statement is sent and after its answer has come, so when
//! the answer of one operation stands before the call of another, it came before that call.
//!
//! Invariants:
//! 1. `fail` means that the operation certainly did not happen. Whoever cannot be sure says `info`.
//! 2. A process has at most one operation under way.
//! 3. A history that could not be written whole is never judged ([`Recorder::finish`]).
//!
//! Not here: who issues the operations (`workload`) and who breaks things meanwhile (`fault`, `drill`).

pub mod check;
mod event;
mod operation;
mod recorder;

pub use event::{Action, Change, Event, Failure, Op, Phase};
pub use operation::{Operation, operations};
pub use recorder::{Counts, Recorder, read};
