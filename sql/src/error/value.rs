//! Values: what cannot be stored, computed or read.

use super::{Error, errors};

errors! {
    /// A text that is no document, for a column of type JSON.
    invalid_json_value(what, at, column) = 3140, "22032", "Invalid JSON text: \"{what}\" at position {at} in value for column '{column}'.";
    /// A name of a member that is NULL.
    json_null_name() = 3158, "22032", "JSON documents may not contain NULL member names.";
    /// A path to what cannot be removed.
    json_vacuous_path() = 3153, "42000", "The path expression '$' is not allowed in this context.";
    /// JSON_ARRAY_INSERT at what is no element of an array.
    json_path_of_no_cell() = 3165, "42000", "A path expression is not a path to a cell in an array.";
    /// JSON_SEARCH with an escape that is no character.
    json_escape() = 1210, "HY000", "Incorrect arguments to ESCAPE";
    /// A key over a JSON column.
    json_used_as_key(column) = 3152, "42000", "JSON column '{column}' supports indexing only via generated columns on a specified JSON path.";
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
    /// A function with the wrong number of arguments.
    wrong_parameter_count(name) = 1582, "42000", "Incorrect parameter count in the call to native function '{name}'";
    /// Bytes that are not text of their character set.
    invalid_text(charset, bytes) = 1300, "HY000", "Invalid {charset} character string: '{bytes}'";
    /// A line of a file that ends early.
    too_few_fields(row) = 1261, "01000", "Row {row} doesn't contain data for all columns";
    /// A line of a file with more fields than columns.
    too_many_fields(row) = 1262, "01000", "Row {row} was truncated; it contained more data than there were input columns";
    /// The AUTO_INCREMENT column has no value left.
    auto_increment_failed() = 1467, "HY000", "Failed to read auto-increment value from storage engine";
    /// NULL in a file for a NOT NULL column.
    null_to_not_null(name, row) = 1263, "22004", "Column set to default value; NULL supplied to NOT NULL column '{name}' at row {row}";
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
    /// A text that is no JSON document.
    invalid_json_text(argument, function, what, at) = 3141, "22032", "Invalid JSON text in argument {argument} to function {function}: \"{what}\" at position {at}.";
    /// A text that is no path into a document.
    invalid_json_path(at) = 3143, "42000", "Invalid JSON path expression. The error is around character position {at}.";
    /// Bytes where a document is wanted.
    json_of_binary() = 3144, "22032", "Cannot create a JSON value from a string with CHARACTER SET 'binary'.";
    /// Neither a text nor a document.
    json_argument_type(argument, function) = 3146, "22032", "Invalid data type for JSON data in argument {argument} to function {function}; a JSON string or JSON type is required.";
    /// A path that may mean several values.
    json_path_wildcard() = 3149, "42000", "In this situation, path expressions may not contain the * and ** tokens or an array range.";
    /// JSON_QUOTE of something else than a text.
    incorrect_json_quote_type() = 3064, "HY000", "Incorrect type for argument 1 in function json_quote.";
    /// Neither 'one' nor 'all'.
    json_one_or_all(function) = 3154, "42000", "The oneOrAll argument to {function} may take these values: 'one' or 'all'.";
    /// Too many arrays and objects inside each other.
    json_too_deep() = 3157, "22032", "The JSON document exceeds the maximum depth.";
    /// A regular expression that cannot be read.
    invalid_regexp(what) = 3692, "HY000", "Invalid regular expression: {what}";
    /// An argument that has no meaning here.
    option_ignored(option) = 1618, "HY000", "<{option}> option ignored";
    /// An initialization vector with too few bytes.
    invalid_vector(function, bytes) = 1882, "HY000", "The initialization vector supplied to {function} is too short. Must be at least {bytes} bytes long";
    /// Bytes that COMPRESS did not make.
    corrupt_compressed() = 1259, "HY000", "ZLIB: Input data corrupted";
    /// A text that a digest function cannot read as a statement.
    undigestible(error) = 3676, "HY000", "Could not parse argument to digest function: \"{error}\".";
    /// A moment at which clocks were put on.
    skipped_timestamp(column, row) = 1299, "HY000", "Invalid TIMESTAMP value in column '{column}' at row {row}";
    /// A locale that there is not.
    unknown_locale(name) = 1649, "HY000", "Unknown locale: '{name}'";
    /// A place that is not on the globe.
    longitude_out_of_range(longitude, function) = 3616, "22S02", "Longitude {longitude} is out of range in function {function}. It must be within (-180.000000, 180.000000].";
    /// A place that is not on the globe.
    latitude_out_of_range(latitude, function) = 3617, "22S03", "Latitude {latitude} is out of range in function {function}. It must be within [-90.000000, 90.000000].";
    /// A globe of no size.
    nonpositive_radius(function) = 3706, "22003", "Invalid radius provided to function {function}: Radius must be greater than zero.";
    /// A regular expression that takes too many steps.
    regexp_timeout() = 3699, "HY000", "Timeout exceeded in regular expression match.";
    /// A regular expression that comes back to too many places.
    regexp_overflow() = 3698, "HY000", "Overflow in the regular expression backtrack stack.";
    /// A text that names no vector.
    no_vector(text) = 6138, "HY000", "Data cannot be converted to a valid vector: '{text}'";
    /// A path into XML that cannot be read.
    xpath_syntax(rest) = 1105, "HY000", "XPATH syntax error: '{rest}'";
    /// A text that would be longer than a packet.
    too_big_uncompressed(limit) = 1256, "HY000", "Uncompressed data size too large; the maximum size is {limit} (based on max_allowed_packet). The length of uncompressed data may also be corrupted.";
}
