//! Temporary tables, which are in the memory of their session.

/// Bytes of the rows of a session's temporary tables, and of what undoes changes of them; 1114 beyond.
pub const TEMPORARY_BYTES_MAX: usize = 64 << 20;

/// Temporary tables that a session has at a time.
pub const TEMPORARY_TABLES_MAX: usize = 256;
