//! `precinct demo`: a cluster of child processes on this machine, with real sample data.
//!
//! ```text
//! precinct demo ──┬── precinct start (node 1)      each child: own process, data folder, log file
//!  supervisor     ├── precinct start (node 2)
//!  + control      └── precinct start (node 3)
//!    socket  <──── precinct demo kill | restart | add | status | stop
//! ```
//!
//! A kill is a real kill (SIGKILL of a process). Nothing outside the data folder is written; the control
//! socket has a name in the abstract namespace, not a file.

pub mod control;
pub mod invented;
pub mod load;
pub mod ports;
pub mod screen;
pub mod supervisor;
