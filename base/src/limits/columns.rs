//! Limits of columns, and of what is declared over them.

/// Places that the columns of a table have had in its rows, those of dropped columns among them: each costs two bytes of every
/// row that is written.
pub const ROW_PLACES_MAX: usize = 4096;
/// How often the type of a column may change so that its values are converted when rows are read: each takes its time of every read.
pub const COLUMN_CONVERSIONS_MAX: usize = 8;
