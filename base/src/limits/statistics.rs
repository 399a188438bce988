//! Limits of statistics about tables.

/// Hashes that ANALYZE TABLE keeps of a column or of leading columns of an index: so many distinct values are counted exactly,
/// more are estimated.
pub const ANALYZE_HASHES_MAX: usize = 1024;
