//! Limits of statistics about tables.

/// Hashes that ANALYZE TABLE keeps of a column or of leading columns of an index: so many distinct values are counted exactly,
/// more are estimated.
pub const ANALYZE_HASHES_MAX: usize = 1024;

/// Rows of a table, as ANALYZE TABLE lets expect, for each of which partners may be looked up by key instead of reading the other
/// table whole.
pub const LOOKUP_LEFT_ROWS_MAX: u32 = 1000;
