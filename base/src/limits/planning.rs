//! Limits of the planner and of joins.

/// Terms of an OR, and conditions in each of them, among which common ones are looked for.
pub const OR_FACTOR_TERMS_MAX: usize = 256;
/// Bytes of the input of a hash join that is kept in memory; more is divided into files.
pub const JOIN_BUILD_BYTES_MAX: usize = super::QUERY_BYTES_MAX / 2;
/// What a hash table needs for each row that is kept, bytes.
pub const JOIN_ROW_BYTES: usize = 32;
/// Files that each input of a hash join beyond its memory is divided into. One of them must fit into memory.
pub const JOIN_SPILL_FILES: usize = 32;
/// Bytes of results of a correlated subquery that an operator remembers by the outer values.
pub const SUBQUERY_CACHE_BYTES_MAX: usize = 32 << 20;
/// Parts of a UNION that are read as a tree leaning to the left; more are paired first.
pub const UNION_PARTS_IN_LINE_MAX: usize = 64;
