//! Limits of queries and of the documents in them.

/// Times that queries of WITH are bound in a statement: those of an enclosing row are bound wherever they are named.
pub const COMMON_TABLES_MAX: usize = 1000;
/// Arrays and objects inside each other in a JSON document, as MySQL has it.
pub const JSON_DEPTH_MAX: usize = 100;
