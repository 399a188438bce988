//! Limits of foreign keys.

/// Cascades behind each other, as InnoDB counts them; more is error 3008.
pub const FOREIGN_KEY_DEPTH_MAX: usize = 15;

/// Rows of one child that one row of its parent changes with it: they are in memory together. More is an error.
pub const FOREIGN_KEY_ROWS_MAX: usize = 100_000;
