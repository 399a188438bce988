//! Statements that are not done: not supported, interrupted, prepared no more, with wrong arguments.

use super::{Error, errors};

errors! {
    /// A prepared statement that does not exist.
    unknown_statement(id, command) = 1243, "HY000", "Unknown prepared statement handler ({id}) given to {command}";
    /// Wrong arguments.
    wrong_arguments(what) = 1210, "HY000", "Incorrect arguments to {what}";
    /// LOCAL INFILE is off.
    local_infile_off() = 3948, "42000", "Loading local data is disabled; this must be enabled on both the client and server sides";
    /// Something MySQL has and we do not; `what` says what, and what to do instead.
    not_supported(what) = 1235, "42000", "This version of PrecinctDB doesn't yet support '{what}'";
    /// KILL QUERY or a closed connection.
    interrupted() = 1317, "70100", "Query execution was interrupted";
    /// A query that took longer than max_execution_time.
    query_timeout() = 3024, "HY000", "Query execution was interrupted, maximum statement execution time exceeded";
    /// A file of the server that is to be written.
    no_files_of_server() = 1290, "HY000", "The MySQL server is running with the --secure-file-priv option so it cannot execute this statement";
    /// SQL_CALC_FOUND_ROWS: a warning.
    deprecated_calc_found_rows() = 1287, "HY000", "SQL_CALC_FOUND_ROWS is deprecated and will be removed in a future release. Consider using two separate queries instead.";
    /// A file of the server that is to be read.
    file_priv() = 1290, "HY000", "The MySQL server is running with the --secure-file-priv option so it cannot execute this statement; use LOAD DATA LOCAL INFILE";
    /// Too many prepared statements.
    too_many_statements(max) = 1461, "42000", "Can't create more than max_prepared_stmt_count statements (current value: {max})";
    /// A statement that cannot be prepared.
    cannot_prepare() = 1295, "HY000", "This command is not supported in the prepared statement protocol yet";
    /// SHOW BINARY LOGS.
    no_binary_log() = 1381, "HY000", "You are not using binary logging";
    /// KILL of a connection that is not there.
    no_such_thread(id) = 1094, "HY000", "Unknown thread id: {id}";
    /// COM_STMT_FETCH without a cursor.
    no_open_cursor(id) = 1421, "HY000", "The statement ({id}) has no open cursor.";
}
