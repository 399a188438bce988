//! The checkers are checked: a good and a bad history of every kind, and random runs of a small correct
//! database that are spoilt in one place.
//!
//! `tests/histories/<checker>-<what>.jsonl` are histories; `<what>` is `valid…` or the anomaly that must be
//! found, with hyphens for spaces.

mod goldens;
mod model;
mod spoilt;
