//! Limits of SQL functions.

/// Rounds of BENCHMARK(): a thread that runs statements of others, too, is its own for so long.
pub const BENCHMARK_LOOPS_MAX: u64 = 1_000_000;
/// Pairs of sides that a distance or relation of two geometries looks at.
pub const GEOMETRY_PAIRS_MAX: usize = 4_000_000;
