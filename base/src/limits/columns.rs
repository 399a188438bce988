//! Limits of columns, and of what is declared over them.

/// Places that the columns of a table have had in its rows, those of dropped columns among them: each costs two bytes of every
/// row that is written.
pub const ROW_PLACES_MAX: usize = 4096;
