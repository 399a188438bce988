//! Limits of SQL functions.

/// Rounds of BENCHMARK(): a thread that runs statements of others, too, is its own for so long.
pub const BENCHMARK_LOOPS_MAX: u64 = 1_000_000;
/// Pairs of sides that a distance or relation of two geometries looks at.
pub const GEOMETRY_PAIRS_MAX: usize = 4_000_000;
/// Steps of a regular expression with look-around or back-references, for one search in one text.
pub const REGEXP_STEPS_MAX: u64 = 2_000_000;
/// Ways that such an expression may come back to, at once.
pub const REGEXP_WAYS_MAX: usize = 50_000;
/// Instructions of such an expression.
pub const REGEXP_INSTRUCTIONS_MAX: usize = 20_000;
/// Elements of XML in each other, and parts of a path into it.
pub const XML_DEPTH_MAX: usize = 128;
/// Nodes that a path into XML looks at.
pub const XPATH_STEPS_MAX: usize = 20_000_000;
