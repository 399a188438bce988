//! Checkers: pure functions from a history to a verdict.
//!
//! Each takes the events of one workload. A checker never trusts an `info` operation to have happened or
//! not to have happened, and says [`Verdict::Unknown`] rather than guess when its memory is used up.

mod append;
mod bank;
mod counter;
mod ddl;
mod ledger;
mod monotonic;
mod register;
mod sequential;
mod set;
mod verdict;

pub use append::{Level, append};
pub use bank::{Bank, bank};
pub use counter::counter;
pub use ddl::ddl;
pub use ledger::{Loss, ledger, loss};
pub use monotonic::monotonic;
pub use register::register;
pub use sequential::sequential;
pub use set::set;
pub use verdict::{Checked, Verdict, Violation};
