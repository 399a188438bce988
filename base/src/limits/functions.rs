//! Limits of SQL functions.

/// Rounds of BENCHMARK(): a thread that runs statements of others, too, is its own for so long.
pub const BENCHMARK_LOOPS_MAX: u64 = 1_000_000;
