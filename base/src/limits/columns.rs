//! Limits of columns, and of what is declared over them.

/// Places that the columns of a table have had in its rows, those of dropped columns among them: each costs two bytes of every
/// row that is written.
pub const ROW_PLACES_MAX: usize = 4096;
/// How often the type of a column may change so that its values are converted when rows are read: each takes its time of every read.
pub const COLUMN_CONVERSIONS_MAX: usize = 8;
/// Rows of a table that gets another primary key: they are written in the transaction of the schema change.
pub const TABLE_COPY_ROWS_MAX: u64 = 100_000;
/// Bytes of those rows: they stay in memory, so that no lock is placed before all are known.
pub const TABLE_COPY_BYTES_MAX: usize = 8 << 20;
