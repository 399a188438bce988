//! Errors as a MySQL client sees them: number, SQLSTATE, sentence.
//!
//! One constructor per number, so that each message is written once and each number keeps its SQLSTATE
//! (MySQL 8.0 reference manual, "Server Error Message Reference").

/// Result of a statement or a part of one.
pub type Result<T> = std::result::Result<T, Error>;

/// What a client gets instead of a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ERROR {code} ({sqlstate}): {message}")]
pub struct Error {
    /// MySQL's error number.
    pub code: u16,
    /// SQLSTATE, five characters.
    pub sqlstate: &'static str,
    /// One sentence in MySQL's own wording where MySQL has one.
    pub message: String,
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),*) = $code:literal, $state:literal, $format:literal;)*) => {
        impl Error {
            $($(#[$doc])*
            pub fn $name($($arg: impl std::fmt::Display),*) -> Error {
                Error { code: $code, sqlstate: $state, message: format!($format) }
            })*
        }
    };
}

errors! {
    /// Text that the grammar does not accept. `near` is the rest of the text from the bad token on.
    syntax(near, line) = 1064, "42000", "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the right syntax to use near '{near}' at line {line}";
    /// An empty statement.
    empty_query() = 1065, "42000", "Query was empty";
    /// No default database.
    no_database() = 1046, "3D000", "No database selected";
    /// A database that does not exist.
    unknown_database(name) = 1049, "42000", "Unknown database '{name}'";
    /// A database that exists already.
    database_exists(name) = 1007, "HY000", "Can't create database '{name}'; database exists";
    /// Dropping a database that does not exist.
    drop_unknown_database(name) = 1008, "HY000", "Can't drop database '{name}'; database doesn't exist";
    /// A table that exists already.
    table_exists(name) = 1050, "42S01", "Table '{name}' already exists";
    /// Dropping a table that does not exist (`db.table`).
    unknown_table(name) = 1051, "42S02", "Unknown table '{name}'";
    /// A table that does not exist (`db.table`).
    no_such_table(name) = 1146, "42S02", "Table '{name}' doesn't exist";
    /// A placement policy that exists already.
    placement_policy_exists(name) = 8238, "HY000", "Placement policy '{name}' already exists";
    /// A placement policy that does not exist.
    unknown_placement_policy(name) = 8239, "HY000", "Unknown placement policy '{name}'";
    /// Dropping a placement policy that somebody uses.
    placement_policy_in_use(name, user) = 8241, "HY000", "Placement policy '{name}' is still in use by {user}";
    /// A name that belongs to something else than was wanted, such as `BASE TABLE`.
    wrong_object(name, kind) = 1347, "HY000", "'{name}' is not {kind}";
    /// A sequence that has given its last value.
    sequence_run_out(name) = 4084, "HY000", "Sequence '{name}' has run out";
    /// Options of a sequence that do not go together, or values outside of its bounds.
    sequence_options(name) = 4085, "HY000", "Sequence '{name}' has out of range value for options";
    /// A table where a sequence was wanted.
    not_a_sequence(name) = 4089, "42S02", "'{name}' is not a SEQUENCE";
    /// Changing or dropping a sequence that does not exist.
    unknown_sequence(names) = 4091, "42S02", "Unknown SEQUENCE: '{names}'";
    /// A column that does not exist, and the clause that named it.
    unknown_column(name, clause) = 1054, "42S22", "Unknown column '{name}' in '{clause}'";
    /// A column name that fits several tables.
    ambiguous_column(name, clause) = 1052, "23000", "Column '{name}' in {clause} is ambiguous";
    /// A column defined twice.
    duplicate_column(name) = 1060, "42S21", "Duplicate column name '{name}'";
    /// A key defined twice.
    duplicate_key_name(name) = 1061, "42000", "Duplicate key name '{name}'";
    /// A unique key value that exists already; `key` is `table.key`.
    duplicate_entry(entry, key) = 1062, "23000", "Duplicate entry '{entry}' for key '{key}'";
    /// NULL for a NOT NULL column.
    column_null(name) = 1048, "23000", "Column '{name}' cannot be null";
    /// A column without default was not given a value.
    no_default(name) = 1364, "HY000", "Field '{name}' doesn't have a default value";
    /// A number outside its column's range, and the row it stands in.
    out_of_range(column, row) = 1264, "22003", "Out of range value for column '{column}' at row {row}";
    /// A string longer than its column.
    too_long(column, row) = 1406, "22001", "Data too long for column '{column}' at row {row}";
    /// Text that is no value of the column's type.
    incorrect_value(kind, value, column, row) = 1366, "HY000", "Incorrect {kind} value: '{value}' for column '{column}' at row {row}";
    /// Text that is no date or time of the column's type.
    incorrect_datetime(kind, value, column, row) = 1292, "22007", "Incorrect {kind} value: '{value}' for column '{column}' at row {row}";
    /// Text that lost characters on its way to a number or date in an expression.
    truncated_wrong_value(kind, value) = 1292, "22007", "Truncated incorrect {kind} value: '{value}'";
    /// Fraction digits or characters were cut.
    data_truncated(column, row) = 1265, "01000", "Data truncated for column '{column}' at row {row}";
    /// x / 0 under ERROR_FOR_DIVISION_BY_ZERO.
    division_by_zero() = 1365, "22012", "Division by 0";
    /// An arithmetic result outside its type.
    value_out_of_range(kind, expression) = 1690, "22003", "{kind} value is out of range in '{expression}'";
    /// Rows of different widths.
    wrong_value_count(row) = 1136, "21S01", "Column count doesn't match value count at row {row}";
    /// A column named twice in INSERT.
    column_twice(name) = 1110, "42000", "Column '{name}' specified twice";
    /// A table alias used twice.
    nonunique_table(name) = 1066, "42000", "Not unique table/alias: '{name}'";
    /// A function that does not exist.
    unknown_function(name) = 1305, "42000", "FUNCTION {name} does not exist";
    /// A function with the wrong number of arguments.
    wrong_parameter_count(name) = 1582, "42000", "Incorrect parameter count in the call to native function '{name}'";
    /// A subquery with more than one row where one was wanted.
    subquery_rows() = 1242, "21000", "Subquery returns more than 1 row";
    /// A row of the wrong width.
    operand_columns(count) = 1241, "21000", "Operand should contain {count} column(s)";
    /// An aggregate where none may stand.
    invalid_group_use() = 1111, "HY000", "Invalid use of group function";
    /// A select item that is neither grouped nor aggregated (ONLY_FULL_GROUP_BY).
    not_grouped(item, column) = 1055, "42000", "Expression #{item} of SELECT list is not in GROUP BY clause and contains nonaggregated column '{column}' which is not functionally dependent on columns in GROUP BY clause; this is incompatible with sql_mode=only_full_group_by";
    /// The same without GROUP BY.
    mixed_without_group(item, column) = 1140, "42000", "In aggregated query without GROUP BY, expression #{item} of SELECT list contains nonaggregated column '{column}'; this is incompatible with sql_mode=only_full_group_by";
    /// A system variable that does not exist.
    unknown_variable(name) = 1193, "HY000", "Unknown system variable '{name}'";
    /// A system variable that cannot take this value.
    wrong_value_for_variable(name, value) = 1231, "42000", "Variable '{name}' can't be set to the value of '{value}'";
    /// A system variable that takes another type.
    wrong_type_for_variable(name) = 1232, "42000", "Incorrect argument type to variable '{name}'";
    /// A system variable that cannot be set.
    read_only_variable(name) = 1238, "HY000", "Variable '{name}' is a read only variable";
    /// A character set that does not exist.
    unknown_charset(name) = 1115, "42000", "Unknown character set: '{name}'";
    /// A collation that does not exist.
    unknown_collation(name) = 1273, "HY000", "Unknown collation: '{name}'";
    /// A time zone that is not known.
    unknown_time_zone(name) = 1298, "HY000", "Unknown or incorrect time zone: '{name}'";
    /// Bytes that are not text of their character set.
    invalid_text(charset, bytes) = 1300, "HY000", "Invalid {charset} character string: '{bytes}'";
    /// Lost a deadlock or a write conflict: the transaction is rolled back, try it again.
    deadlock() = 1213, "40001", "Deadlock found when trying to get lock; try restarting transaction";
    /// A lock was held for too long.
    lock_wait_timeout() = 1205, "HY000", "Lock wait timeout exceeded; try restarting transaction";
    /// NOWAIT at a row that is locked.
    lock_not_available() = 3572, "HY000", "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set.";
    /// A write to a table that this session has locked with READ.
    table_locked_for_read(name) = 1099, "HY000", "Table '{name}' was locked with a READ lock and can't be updated";
    /// A table that a session under LOCK TABLES has not locked by this name.
    table_not_locked(name) = 1100, "HY000", "Table '{name}' was not locked with LOCK TABLES";
    /// An option that only other storage engines have, such as DISABLE KEYS.
    illegal_engine_option(name) = 1031, "HY000", "Table storage engine for '{name}' doesn't have this option";
    /// What is not done while tables are locked.
    lock_or_active_transaction() = 1192, "HY000", "Can't execute the given command because you have active locked tables or an active transaction";
    /// A write in the session that has said FLUSH TABLES WITH READ LOCK.
    conflicting_read_lock() = 1223, "HY000", "Can't execute the query because you have a conflicting read lock";
    /// GET_LOCK and its family with a name that cannot be.
    wrong_user_lock_name(name) = 3057, "42000", "Incorrect user-level lock name '{name}'.";
    /// Sessions that wait for each other's user locks.
    user_lock_deadlock() = 3058, "HY000", "Deadlock found when trying to get user-level lock; try rolling back transaction/releasing locks and restarting lock acquisition.";
    /// OF names a table that the query does not read.
    unresolved_lock_table(name) = 3568, "HY000", "Unresolved table name `{name}` in locking clause.";
    /// FOR UPDATE and FOR SHARE that both lock a table.
    duplicate_lock_table(name) = 3569, "HY000", "Table `{name}` appears in multiple locking clauses.";
    /// A key column that may be NULL in a primary key.
    primary_key_null() = 1171, "42000", "All parts of a PRIMARY KEY must be NOT NULL; if you need NULL in a key, use UNIQUE instead";
    /// A key over a column that the table lacks.
    key_column_missing(name) = 1072, "42000", "Key column '{name}' doesn't exist in table";
    /// DROP CONSTRAINT of a name that no constraint of the table has.
    no_such_constraint(name) = 3940, "HY000", "Constraint '{name}' does not exist.";
    /// Dropping an index that the table lacks.
    cant_drop(name) = 1091, "42000", "Can't DROP '{name}'; check that column/key exists";
    /// Renaming an index that the table lacks.
    key_does_not_exist(name, table) = 1176, "42000", "Key '{name}' doesn't exist in table '{table}'";
    /// A second primary key.
    multiple_primary_key() = 1068, "42000", "Multiple primary key defined";
    /// AUTO_INCREMENT on a column that is not first of a key, or twice.
    wrong_auto_key() = 1075, "42000", "Incorrect table definition; there can be only one auto column and it must be defined as a key";
    /// A key over a BLOB or TEXT column without a length.
    blob_key_without_length(name) = 1170, "42000", "BLOB/TEXT column '{name}' used in key specification without a key length";
    /// A key longer than allowed.
    key_too_long(limit) = 1071, "42000", "Specified key was too long; max key length is {limit} bytes";
    /// A default that is no value of the column.
    invalid_default(name) = 1067, "42000", "Invalid default value for '{name}'";
    /// An identifier that is too long.
    identifier_too_long(name) = 1059, "42000", "Identifier name '{name}' is too long";
    /// An identifier that cannot name a table.
    wrong_table_name(name) = 1103, "42000", "Incorrect table name '{name}'";
    /// A DECIMAL or DATETIME precision that is too big.
    too_big_precision(precision, name, max) = 1426, "42000", "Too-big precision {precision} specified for '{name}'. Maximum is {max}.";
    /// A DECIMAL scale that is too big.
    too_big_scale(scale, name, max) = 1425, "42000", "Too big scale {scale} specified for column '{name}'. Maximum is {max}.";
    /// A CHAR or VARCHAR that is too long.
    too_big_length(name, max) = 1074, "42000", "Column length too big for column '{name}' (max = {max}); use BLOB or TEXT instead";
    /// A prepared statement that does not exist.
    unknown_statement(id, command) = 1243, "HY000", "Unknown prepared statement handler ({id}) given to {command}";
    /// Wrong arguments.
    wrong_arguments(what) = 1210, "HY000", "Incorrect arguments to {what}";
    /// LOCAL INFILE is off.
    local_infile_off() = 3948, "42000", "Loading local data is disabled; this must be enabled on both the client and server sides";
    /// Something MySQL has and we do not; `what` says what, and what to do instead.
    not_supported(what) = 1235, "42000", "This version of PrecinctDB doesn't yet support '{what}'";
    /// Out of a query's memory.
    out_of_memory(what) = 1038, "HY001", "Out of memory for this query: {what}";
    /// KILL QUERY or a closed connection.
    interrupted() = 1317, "70100", "Query execution was interrupted";
    /// The disk is full.
    disk_full(what) = 1021, "HY000", "Disk full ({what}); waiting for someone to free some space...";
    /// No quorum, no leader, or a node that does not answer: nothing was executed.
    unavailable(what) = 9001, "HY000", "{what}; nothing was executed, it is safe to retry";
    /// The outcome of a write is unknown.
    outcome_unknown(what) = 9002, "HY000", "{what}; it may or may not have been executed, check before you retry";
    /// The same, with the token by which it can be asked what happened.
    outcome_by_token(what, token) = 9002, "HY000", "{what}; it may or may not have been executed: SHOW TRANSACTION STATUS '{token}' tells which";
    /// The same, while only the node that gave the token knows it.
    outcome_by_node(what, token, node) = 9002, "HY000", "{what}; it may or may not have been executed: SHOW TRANSACTION STATUS '{token}' tells which, at node {node} only until the meta shard answers it again";
    /// A token that names no transaction.
    unknown_token(token, why) = 9008, "HY000", "Unknown transaction token '{token}': {why}";
    /// A token of a transaction that its session has not ended; a warning only.
    token_running(token) = 9014, "01000", "Transaction '{token}' is still open: its session decides it, there is nothing to settle";
    /// A token of a transaction that is no longer remembered; a warning only.
    token_forgotten(token) = 9009, "01000", "What became of transaction '{token}' is no longer known: read its rows";
    /// The transaction reads versions that are not kept any more.
    snapshot_too_old() = 9006, "HY000", "What is read is no longer kept: the point in time that is read lies before the retention, or the transaction runs for more than a day, or its node did not answer the others for a while; roll it back and begin anew, or read a later point";
    /// AS OF TIMESTAMP where it cannot be, or of a time that cannot be read (TiDB's number).
    invalid_as_of(what) = 8135, "HY000", "invalid as of timestamp: {what}";
    /// AS OF TIMESTAMP while the cluster's clock is far ahead of the node's; a warning only.
    cluster_clock_ahead(ahead_ms) = 9011, "01000", "The cluster's clock is {ahead_ms} ms ahead of this node's: what was committed less than that before the given time may be later than it, and is not seen then";
    /// No follower may or can answer a read that is for followers only.
    no_follower(shard, what) = 9012, "HY000", "No follower of shard {shard} answers this read: {what}; read at the leader, allow more lag, or try again";
    /// A table whose definition is younger than the point that is read.
    table_younger(name) = 1412, "HY000", "Table definition has changed: {name} was created or changed after the point in time that is read; read a later one";
    /// An index that is named and is not there.
    no_such_key(name, table) = 1176, "42000", "Key '{name}' doesn't exist in table '{table}'";
    /// ADMIN CHECK: rows and index entries that do not fit each other (TiDB has 8223 for it).
    inconsistent(table, summary, first) = 9223, "HY000", "The indexes of {table} do not fit its rows: {summary}. The first: {first}. CHECK TABLE lists them; rebuild the index, and keep the data folders for whoever looks for the cause";
    /// The cluster refuses what an administrator asked of it; `what` says why and what to do.
    cluster_refuses(what) = 9005, "HY000", "{what}";
    /// A list of what runs in the cluster that lacks something; a warning only.
    incomplete_list(what) = 9007, "01000", "{what}";
    /// A row that no item of its table's RANGE or LIST takes.
    no_set_for_value(value) = 1526, "HY000", "Table has no partition for value {value}";
    /// A row that is written outside of the sets that the statement names.
    outside_of_sets() = 1748, "HY000", "Found a row not matching the given partition set";
    /// Bounds of RANGE that do not rise.
    range_not_increasing() = 1493, "HY000", "VALUES LESS THAN value must be strictly increasing for each partition";
    /// MAXVALUE before the last item.
    maxvalue_not_last() = 1481, "HY000", "MAXVALUE can only be used in last partition definition";
    /// A value that two items of LIST have.
    value_in_two_lists() = 1495, "HY000", "Multiple definition of same constant in list partitioning";
    /// NULL as a bound.
    null_bound() = 1566, "HY000", "Not allowed to use NULL value in VALUES LESS THAN";
    /// A value of RANGE or LIST that the column cannot have.
    wrong_set_value() = 1654, "HY000", "Partition column values of incorrect type";
    /// A bound of SHARD BY RANGE that is not above the one before it.
    range_bound_order(column, value) = 1493, "HY000", "Bounds of the ranges of column '{column}' must rise: {value} is not above the one before it";
    /// A new bound that the table has.
    range_bound_known(column, value) = 1493, "HY000", "{value} is a bound of the ranges of column '{column}' already";
    /// A bound that is to go and that the table does not have.
    range_bound_unknown(column, value) = 1507, "HY000", "{value} is no bound of the ranges of column '{column}': SHOW CREATE TABLE names them";
    /// NULL as a bound of ranges.
    range_bound_null(column) = 1566, "HY000", "NULL cannot be a bound of the ranges of column '{column}': rows with NULL lie in the lowest range";
    /// A bound of ranges that the column cannot have.
    range_bound_type(column, value) = 1654, "HY000", "{value} cannot be a bound of the ranges of column '{column}': write a value of the column's type";
    /// The table's definition changed under the transaction.
    table_changed() = 1412, "HY000", "Table definition has changed, please retry transaction";
    /// A transaction, row or packet above a named limit.
    too_large(what) = 1197, "HY000", "{what}";
    /// Storage failed or is corrupt.
    storage(what) = 1030, "HY000", "Got error from storage engine: {what}";
    /// A defect of ours: an invariant did not hold. The statement is undone.
    internal(what) = 1815, "HY000", "Internal error: {what}";
    /// A collation of another character set.
    collation_charset_mismatch(collation, charset) = 1253, "42000", "COLLATION '{collation}' is not valid for CHARACTER SET '{charset}'";
    /// YEAR with a width other than 4.
    invalid_year_width() = 1818, "HY000", "Supports only YEAR or YEAR(4) column.";
    /// A display width that is too big.
    too_big_display_width(column, max) = 1439, "42000", "Display width out of range for column '{column}' (max = {max})";
    /// A scale above its precision.
    scale_above_precision(column) = 1427, "42000", "For float(M,D), double(M,D) or decimal(M,D), M must be >= D (column '{column}').";
    /// An attribute that does not fit the column's type.
    wrong_column_specifier(column) = 1063, "42000", "Incorrect column specifier for column '{column}'";
    /// ENCLOSED BY or ESCAPED BY of more than one character.
    wrong_field_terminators() = 1083, "42000", "Field separator argument is not what is expected; check the manual";
    /// CREATE TABLE without columns.
    no_columns() = 1113, "42000", "A table must have at least 1 column";
    /// Too many columns.
    too_many_columns() = 1117, "HY000", "Too many columns";
    /// Too many keys.
    too_many_keys(max) = 1069, "42000", "Too many keys specified; max {max} keys allowed";
    /// Too many columns in a key.
    too_many_key_parts(max) = 1070, "42000", "Too many key parts specified; max {max} parts allowed";
    /// A key prefix that does not fit its column.
    wrong_key_prefix() = 1089, "HY000", "Incorrect prefix key; the used key part isn't a string, the used length is longer than the key part, or the storage engine doesn't support unique prefix keys";
    /// A literal default of a BLOB or TEXT.
    blob_default(name) = 1101, "42000", "BLOB, TEXT, GEOMETRY or JSON column '{name}' can't have a default value";
    /// ON UPDATE on a column that is no TIMESTAMP or DATETIME.
    invalid_on_update(name) = 1294, "HY000", "Invalid ON UPDATE clause for '{name}' column";
    /// A column name that cannot be.
    wrong_column_name(name) = 1166, "42000", "Incorrect column name '{name}'";
    /// An index name that cannot be.
    wrong_index_name(name) = 1280, "42000", "Incorrect index name '{name}'";
    /// ALGORITHM of an ALTER that is none.
    unknown_alter_algorithm(name) = 1800, "HY000", "Unknown ALGORITHM '{name}'";
    /// LOCK of an ALTER that is none.
    unknown_alter_lock(name) = 1801, "HY000", "Unknown LOCK type '{name}'";
    /// A long COMMENT of an index.
    index_comment_too_long(name, max) = 1688, "HY000", "Comment for index '{name}' is too long (max = {max})";
    /// A database name that cannot be.
    wrong_database_name(name) = 1102, "42000", "Incorrect database name '{name}'";
    /// A system schema that cannot be changed.
    access_denied_database(user, database) = 1044, "42000", "Access denied for user {user} to database '{database}'";
    /// LOAD DATA of a file on the server.
    file_priv() = 1290, "HY000", "The MySQL server is running with the --secure-file-priv option so it cannot execute this statement; use LOAD DATA LOCAL INFILE";
    /// A statement that changes data in a read-only transaction.
    read_only_transaction() = 1792, "25006", "Cannot execute statement in a READ ONLY transaction.";
    /// SET TRANSACTION within a transaction.
    transaction_in_progress() = 1568, "25001", "Transaction characteristics can't be changed while a transaction is in progress";
    /// A savepoint that does not exist.
    no_savepoint(name) = 1305, "42000", "SAVEPOINT {name} does not exist";
    /// A session variable where only a global one exists.
    global_variable(name) = 1229, "HY000", "Variable '{name}' is a GLOBAL variable and should be set with SET GLOBAL";
    /// A global variable where only a session one exists.
    session_variable(name) = 1228, "HY000", "Variable '{name}' is a SESSION variable and can't be used with SET GLOBAL";
    /// `@@session.x` of a variable that has only a global value.
    variable_scope(name, scope) = 1238, "HY000", "Variable '{name}' is a {scope} variable";
    /// A storage engine that does not exist.
    unknown_engine(name) = 1286, "42000", "Unknown storage engine '{name}'";
    /// Too many prepared statements.
    too_many_statements(max) = 1461, "42000", "Can't create more than max_prepared_stmt_count statements (current value: {max})";
    /// A statement that cannot be prepared.
    cannot_prepare() = 1295, "HY000", "This command is not supported in the prepared statement protocol yet";
    /// A line of a file that ends early.
    too_few_fields(row) = 1261, "01000", "Row {row} doesn't contain data for all columns";
    /// A line of a file with more fields than columns.
    too_many_fields(row) = 1262, "01000", "Row {row} was truncated; it contained more data than there were input columns";
    /// A hash that the plugin cannot have made.
    wrong_password_hash() = 1827, "HY000", "The password hash doesn't have the expected format.";
    /// A login plugin that does not exist.
    unknown_plugin(name) = 1524, "HY000", "Plugin '{name}' is not loaded";
    /// A virtual table that is not there.
    unknown_system_table(name) = 1109, "42S02", "Unknown table '{name}' in information_schema";
    /// A grant that does not exist.
    no_such_grant(user, host) = 1141, "42000", "There is no such grant defined for user '{user}' on host '{host}'";
    /// UPDATE or DELETE of something that is no table.
    not_updatable(name, operation) = 1288, "HY000", "The target table {name} of the {operation} is not updatable";
    /// The AUTO_INCREMENT column has no value left.
    auto_increment_failed() = 1467, "HY000", "Failed to read auto-increment value from storage engine";
    /// A key part of length 0.
    key_part_length_zero(name) = 1391, "HY000", "Key part '{name}' length cannot be 0";
    /// A user name that is too long.
    name_too_long(name, max) = 1470, "HY000", "String '{name}' is too long for user name (should be no longer than {max})";
    /// SET PASSWORD of an account that does not exist.
    no_matching_user() = 1133, "42000", "Can't find any matching row in the user table";
    /// SELECT … INTO with another number of variables.
    wrong_select_into() = 1222, "21000", "The used SELECT statements have a different number of columns";
    /// SELECT … INTO of several rows.
    too_many_rows() = 1172, "42000", "Result consisted of more than one row";
    /// SELECT … INTO of no row.
    no_rows() = 1329, "02000", "No data - zero rows fetched, selected, or processed";
    /// NULL in a file for a NOT NULL column.
    null_to_not_null(name, row) = 1263, "22004", "Column set to default value; NULL supplied to NOT NULL column '{name}' at row {row}";
    /// SHOW CREATE of a view, routine, trigger or event.
    no_such_object(kind, name) = 1305, "42000", "{kind} {name} does not exist";
    /// SHOW BINARY LOGS.
    no_binary_log() = 1381, "HY000", "You are not using binary logging";
    /// CALL of a procedure that does not exist.
    unknown_procedure(name) = 1305, "42000", "PROCEDURE {name} does not exist";
    /// KILL of a connection that is not there.
    no_such_thread(id) = 1094, "HY000", "Unknown thread id: {id}";
    /// A derived table with more or fewer names than columns.
    column_list_mismatch() = 1353, "HY000", "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts";
    /// ORDER BY of something that SELECT DISTINCT does not select.
    distinct_order(item, column) = 3065, "HY000", "Expression #{item} of ORDER BY clause is not in SELECT list, references column '{column}' which is not in SELECT list; this is incompatible with DISTINCT";
    /// GROUP BY of an aggregate.
    cannot_group(name) = 1056, "42000", "Can't group on '{name}'";
    /// `*` without FROM.
    no_tables_used() = 1096, "HY000", "No tables used";
    /// GROUP_CONCAT beyond `group_concat_max_len`.
    group_concat_cut(row) = 1260, "HY000", "Row {row} was cut by GROUP_CONCAT()";
    /// Sides of UNION with different widths.
    union_width() = 1222, "21000", "The used SELECT statements have a different number of columns";
    /// A user that exists already or not at all.
    cannot_user(operation, user) = 1396, "HY000", "Operation {operation} failed for {user}";
    /// A constant that is compared with dates and is none.
    wrong_value(kind, value) = 1525, "HY000", "Incorrect {kind} value: '{value}'";
    /// Arguments that a function cannot work with.
    wrong_native_parameters(name) = 1583, "42000", "Incorrect parameters in the call to native function '{name}'";
    /// Text in an expression that is no date or time.
    incorrect_temporal(kind, value) = 1292, "22007", "Incorrect {kind} value: '{value}'";
    /// Two texts whose collations cannot be reconciled, as `(collation,COERCIBILITY)`.
    illegal_mix(first, second, operation) = 1267, "HY000", "Illegal mix of collations {first} and {second} for operation '{operation}'";
    /// A string function's result that no packet could carry.
    packet_overflow(function, limit) = 1301, "HY000", "Result of {function}() was larger than max_allowed_packet ({limit}) - truncated";
    /// LN(0) and the like.
    invalid_logarithm() = 3020, "2201E", "Invalid argument for logarithm";
    /// A text that a function cannot read.
    incorrect_function_value(kind, value, function) = 1411, "HY000", "Incorrect {kind} value: '{value}' for function {function}";
    /// A date function's result outside of the years 0 to 9999.
    datetime_overflow(field) = 1441, "22008", "Datetime function: {field} field overflow";
    /// A regular expression that cannot be read.
    invalid_regexp(what) = 3692, "HY000", "Invalid regular expression: {what}";
    /// A login that failed; `used` is YES or NO.
    access_denied(user, host, used) = 1045, "28000", "Access denied for user '{user}'@'{host}' (using password: {used})";
    /// A command of the protocol that this server does not know.
    unknown_command() = 1047, "08S01", "Unknown command";
    /// No room for another connection.
    too_many_connections() = 1040, "08004", "Too many connections";
    /// A login packet that cannot be read.
    bad_handshake() = 1043, "08S01", "Bad handshake";
    /// A client that knows none of the methods its account allows.
    auth_mode_not_supported() = 1251, "08004", "Client does not support authentication protocol requested by server; consider upgrading MySQL client";
    /// A message above `max_allowed_packet`.
    packet_too_large() = 1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes";
    /// A packet with a wrong sequence number.
    packets_out_of_order() = 1156, "08S01", "Got packets out of order";
    /// A packet whose content cannot be read.
    malformed_packet() = 1835, "HY000", "Malformed communication packet.";
    /// COM_STMT_FETCH without a cursor.
    no_open_cursor(id) = 1421, "HY000", "The statement ({id}) has no open cursor.";
    /// A statement that is nested too deep to be read or executed safely.
    too_deep(limit) = 1436, "HY000", "Thread stack overrun: the statement is nested deeper than {limit} levels; write it with fewer nested parentheses, subqueries or operators";
    /// A floating-point literal that no DOUBLE can hold.
    illegal_double(text) = 1367, "22007", "Illegal double '{text}' value found during parsing";
    /// A derived table without a name.
    derived_without_alias() = 1248, "42000", "Every derived table must have its own alias";
    /// XA: a name that no transaction has here.
    xa_unknown() = 1397, "XAE04", "XAER_NOTA: Unknown XID";
    /// XA: what is never done.
    xa_invalid() = 1398, "XAE05", "XAER_INVAL: Invalid arguments (or unsupported command)";
    /// XA: what is not done in this state.
    xa_wrong_state(state) = 1399, "XAE07", "XAER_RMFAIL: The command cannot be executed when global transaction is in the  {state} state";
    /// XA START in a transaction.
    xa_outside() = 1400, "XAE09", "XAER_OUTSIDE: Some work is done outside global transaction";
    /// XA: storage failed under a transaction.
    xa_failed() = 1401, "XAE03", "XAER_RMERR: Fatal error occurred in the transaction branch - check your data for consistency";
    /// XA: a transaction that was rolled back.
    xa_rolled_back() = 1402, "XA100", "XA_RBROLLBACK: Transaction branch was rolled back";
    /// XA: a name that is in use.
    xa_duplicate() = 1440, "XAE08", "XAER_DUPID: The XID already exists";
    /// XA: a transaction that was rolled back because it had to wait too long.
    xa_timeout() = 1613, "XA106", "XA_RBTIMEOUT: Transaction branch was rolled back: took too long";
    /// XA: a transaction that was rolled back because of a deadlock or conflict.
    xa_deadlock() = 1614, "XA102", "XA_RBDEADLOCK: Transaction branch was rolled back: deadlock was detected";
    /// XA: a decision that is not carried out yet; repeating the statement goes on with it.
    xa_retry() = 3197, "HY000", "The resource manager is not able to commit the transaction branch at this time. Please retry later.";
    /// A transaction that was rolled back as a whole, because the part that was to be undone had left memory. `cause` is
    /// empty or a sentence with a blank before it.
    transaction_undone(cause) = 9010, "40000", "The whole transaction was rolled back: it was larger than memory, so that no single statement and no savepoint of it can be undone.{cause}";
    /// RANGE or LIST without VALUES.
    partition_without_values(method, values) = 1479, "HY000", "Syntax error: {method} PARTITIONING requires definition of VALUES {values} for each partition";
    /// VALUES of another method.
    partition_wrong_values(method, values) = 1480, "HY000", "Only {method} PARTITIONING can use VALUES {values} in partition definition";
    /// MAXVALUE in a partition that is not the last one.
    partition_maxvalue() = 1481, "HY000", "MAXVALUE can only be used in last partition definition";
    /// PARTITIONS n with another number of definitions.
    partition_count_mismatch() = 1484, "HY000", "Wrong number of partitions defined, mismatch with previous setting";
    /// A partitioning function whose value is not the row's alone.
    partition_function_unsteady() = 1486, "HY000", "Constant, random or timezone-dependent expressions in (sub)partitioning function are not allowed";
    /// A column of a partitioning that does not exist.
    partition_column_missing() = 1488, "HY000", "Field in list of fields for partition function not found in table";
    /// A partitioning function that is no integer.
    partition_function_type() = 1491, "HY000", "The PARTITION function returns the wrong type";
    /// RANGE or LIST without definitions.
    partitions_not_defined(method) = 1492, "HY000", "For {method} partitions each partition must be defined";
    /// Ranges out of order.
    partition_range_not_increasing() = 1493, "HY000", "VALUES LESS THAN value must be strictly increasing for each partition";
    /// One value in several lists.
    partition_value_twice() = 1495, "HY000", "Multiple definition of same constant in list partitioning";
    /// Too many partitions.
    too_many_partitions() = 1499, "HY000", "Too many partitions (including subpartitions) were defined";
    /// A BLOB or TEXT column in a partitioning.
    partition_blob() = 1502, "HY000", "A BLOB field is not allowed in partition function";
    /// A unique key without a partitioning column; `key` is `PRIMARY KEY` or `UNIQUE INDEX`.
    unique_without_partition_columns(key) = 1503, "HY000", "A {key} must include all columns in the table's partitioning function";
    /// PARTITIONS 0.
    no_partitions() = 1504, "HY000", "Number of partitions = 0 is not an allowed value";
    /// ALTER TABLE … PARTITION of a table without any.
    not_partitioned() = 1505, "HY000", "Partition management on a not partitioned table is not possible";
    /// A partition that ALTER TABLE names and the table does not have.
    wrong_partition_list(operation) = 1507, "HY000", "Error in list of partitions to {operation}";
    /// DROP PARTITION of all of them.
    drop_last_partition() = 1508, "HY000", "Cannot remove all partitions, use DROP TABLE instead";
    /// What is done to RANGE and LIST only.
    only_range_or_list(operation) = 1512, "HY000", "{operation} PARTITION can only be used on RANGE/LIST partitions";
    /// One name of two partitions.
    duplicate_partition(name) = 1517, "HY000", "Duplicate partition name {name}";
    /// A row that fits no partition.
    no_partition_for(value) = 1526, "HY000", "Table has no partition for value {value}";
    /// A value that the partitioning function cannot have.
    partition_constant_domain() = 1563, "HY000", "Partition constant is out of partition function domain";
    /// A function that no partitioning may use.
    partition_function_not_allowed() = 1564, "HY000", "This partition function is not allowed";
    /// NULL in VALUES LESS THAN.
    partition_less_than_null() = 1566, "HY000", "Not allowed to use NULL value in VALUES LESS THAN";
    /// A partition's name that cannot be.
    wrong_partition_name() = 1567, "HY000", "Incorrect partition name";
    /// A column named twice.
    duplicate_partition_column(name) = 1652, "HY000", "Duplicate partition field name '{name}'";
    /// Values that do not fit the columns in number.
    partition_columns_mismatch() = 1653, "HY000", "Inconsistency in usage of column lists for partitioning";
    /// A value of another type than its column.
    partition_value_type() = 1654, "HY000", "Partition column values of incorrect type";
    /// Too many columns.
    too_many_partition_columns() = 1655, "HY000", "Too many fields in 'list of partition fields'";
    /// MAXVALUE in VALUES IN.
    partition_maxvalue_in_list() = 1656, "HY000", "Cannot use MAXVALUE as value in VALUES IN";
    /// Several values where one is compared.
    too_many_partition_values(method) = 1657, "HY000", "Cannot have more than one value for this type of {method} partitioning";
    /// A column whose type cannot choose a partition.
    partition_column_type(name) = 1659, "HY000", "Field '{name}' is of a not allowed type for this type of partitioning";
    /// A value that is no integer.
    partition_value_not_integer(name) = 1697, "HY000", "VALUES value for partition '{name}' must have type INT";
    /// A partition that a statement names and the table does not have.
    unknown_partition(name, table) = 1735, "HY000", "Unknown partition '{name}' in table '{table}'";
    /// PARTITION (…) of a table without partitions.
    partition_clause_on_plain_table() = 1747, "HY000", "PARTITION () clause on non partitioned table";
    /// A row that belongs to a partition that the statement does not name.
    row_outside_partitions() = 1748, "HY000", "Found a row not matching the given partition set";
    /// CREATE TABLE without columns.
    table_without_columns() = 1113, "42000", "A table must have at least 1 column";
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Error {
        Error::storage(error)
    }
}

impl From<txn::Error> for Error {
    fn from(error: txn::Error) -> Error {
        match error {
            txn::Error::KeyLocked { .. } => Error::lock_wait_timeout(),
            txn::Error::WriteConflict { .. }
            | txn::Error::RowLocked { .. }
            | txn::Error::Deadlock { .. }
            | txn::Error::RolledBack { .. } => Error::deadlock(),
            txn::Error::LockWaitTimeout { .. } => Error::lock_wait_timeout(),
            txn::Error::LockNotAvailable { .. } => Error::lock_not_available(),
            txn::Error::Stale { changed, .. } => Error::stale(changed),
            // Whoever wrote the key knows its index and values and reports 1062 with them.
            txn::Error::AlreadyExists { key } => Error::duplicate_entry(key.escape_ascii(), "?"),
            txn::Error::NotServing { shard, .. } => {
                Error::unavailable(format!("shard {shard} is changing its leader"))
            }
            txn::Error::Moved { shard } => {
                Error::unavailable(format!("shard {shard} is being split or merged"))
            }
            txn::Error::NoFollower { shard, what } => Error::no_follower(shard, what),
            txn::Error::Unavailable { shard, what } => {
                Error::unavailable(format!("shard {shard} has no leader that answers: {what}"))
            }
            txn::Error::OutcomeUnknown { shard } => {
                Error::outcome_unknown(format!("a quorum of shard {shard} did not answer in time"))
            }
            txn::Error::Forgotten { .. } => {
                Error::outcome_unknown("the transaction ended so long ago that its record is gone")
            }
            txn::Error::NotUndoable => Error::transaction_undone(""),
            txn::Error::TooLarge { what } => Error::too_large(what),
            txn::Error::DiskFull { what } => Error::disk_full(what),
            txn::Error::SnapshotTooOld { .. } => Error::snapshot_too_old(),
            txn::Error::ReadPointInFuture { .. } => Error::invalid_as_of(
                "the time lies in the future as the cluster's clock tells; read NOW() - INTERVAL 1 SECOND or earlier",
            ),
            txn::Error::Engine { what } => Error::storage(what),
        }
    }
}
