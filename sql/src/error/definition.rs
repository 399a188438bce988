//! Databases, tables, columns and keys: their names and definitions.

use super::{Error, errors};

errors! {
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
    /// A name that belongs to something else than was wanted, such as `BASE TABLE`.
    wrong_object(name, kind) = 1347, "HY000", "'{name}' is not {kind}";
    /// A column defined twice.
    duplicate_column(name) = 1060, "42S21", "Duplicate column name '{name}'";
    /// BIT(0).
    invalid_field_size(name) = 3013, "HY000", "Invalid size for column '{name}'.";
    /// A SET of more than 64 members.
    too_many_set_members(column) = 1097, "HY000", "Too many strings for column {column} and SET";
    /// An ENUM of more than 65,535 members.
    too_many_enum_members(column) = 3046, "HY000", "Too many enumeration values for column {column}.";
    /// A member of more than 255 characters.
    member_too_long(column) = 3505, "HY000", "Too long enumeration/set value for column {column}.";
    /// A member of ENUM or SET that is equal to another one.
    duplicate_member(column, member, kind) = 1291, "HY000", "Column '{column}' has duplicated value '{member}' in {kind}";
    /// A member of SET with a comma, which stands between members.
    comma_in_set_member(member) = 1367, "22007", "Illegal set '{member}' value found during parsing";
    /// A column of a FULLTEXT key that is no text.
    not_fulltext_column(name) = 1283, "HY000", "Column '{name}' cannot be part of FULLTEXT index";
    /// A column of a SPATIAL key that has no places.
    not_spatial_column() = 1687, "42000", "A SPATIAL index may only contain a geometrical type column";
    /// A column of a SPATIAL key that may be NULL.
    nullable_spatial_column() = 1252, "42000", "All parts of a SPATIAL index must be NOT NULL";
    /// A SPATIAL key that no query uses.
    unused_spatial_key(column) = 3674, "HY000", "The spatial index on column '{column}' will not be used by the query optimizer since the column does not have an SRID attribute. Consider adding an SRID attribute to the column.";
    /// An argument of a function that is no place.
    invalid_geometry(function) = 3037, "22023", "Invalid GIS data provided to function {function}.";
    /// A place of another kind than a function takes.
    unexpected_geometry(wanted, kind, function) = 3516, "22S01", "{wanted} value is a geometry of unexpected type {kind} in {function}.";
    /// Bytes that are no place, or none of the column's kind.
    no_geometry() = 1416, "22003", "Cannot get geometry object from data you send to the GEOMETRY field";
    /// A key defined twice.
    duplicate_key_name(name) = 1061, "42000", "Duplicate key name '{name}'";
    /// An option that only other storage engines have, such as DISABLE KEYS.
    illegal_engine_option(name) = 1031, "HY000", "Table storage engine for '{name}' doesn't have this option";
    /// A key column that may be NULL in a primary key.
    primary_key_null() = 1171, "42000", "All parts of a PRIMARY KEY must be NOT NULL; if you need NULL in a key, use UNIQUE instead";
    /// A key over a column that the table lacks.
    key_column_missing(name) = 1072, "42000", "Key column '{name}' doesn't exist in table";
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
    /// An index that is named and is not there.
    no_such_key(name, table) = 1176, "42000", "Key '{name}' doesn't exist in table '{table}'";
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
    /// Two clauses of which only one can be.
    conflicting_declarations(first, second) = 1302, "HY000", "Conflicting declarations: '{first}' and '{second}'";
    /// Two words that do not go together.
    wrong_usage(first, second) = 1221, "HY000", "Incorrect usage of {first} and {second}";
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
    /// A long COMMENT of a table.
    table_comment_too_long(name, max) = 1628, "HY000", "Comment for table '{name}' is too long (max = {max})";
    /// A database name that cannot be.
    wrong_database_name(name) = 1102, "42000", "Incorrect database name '{name}'";
    /// A storage engine that does not exist.
    unknown_engine(name) = 1286, "42000", "Unknown storage engine '{name}'";
    /// A virtual table that is not there.
    unknown_system_table(name) = 1109, "42S02", "Unknown table '{name}' in information_schema";
    /// A key part of length 0.
    key_part_length_zero(name) = 1391, "HY000", "Key part '{name}' length cannot be 0";
    /// CREATE TABLE without columns.
    table_without_columns() = 1113, "42000", "A table must have at least 1 column";
    /// What no generated column can have, such as a query.
    generated_function(name) = 3102, "HY000", "Expression of generated column '{name}' contains a disallowed function.";
    /// A function in a generated column that is not the same for all time.
    generated_named_function(name, function) = 3763, "HY000", "Expression of generated column '{name}' contains a disallowed function: {function}.";
    /// A variable in a generated column.
    generated_of_variable(name) = 3765, "HY000", "Expression of generated column '{name}' cannot refer to user or system variables.";
    /// What generated columns cannot be.
    not_for_generated(what) = 3106, "HY000", "'{what}' is not supported for generated columns.";
    /// A generated column that reads one behind it.
    generated_not_prior() = 3107, "HY000", "Generated column can refer only to generated columns defined prior to it.";
    /// Dropping or renaming a column that a generated one reads.
    needed_by_generated(name) = 3108, "HY000", "Column '{name}' has a generated column dependency.";
    /// A generated column of the AUTO_INCREMENT column.
    generated_of_auto_increment(name) = 3109, "HY000", "Generated column '{name}' cannot refer to auto-increment column.";
    /// A table all of whose columns are INVISIBLE.
    no_visible_column() = 4028, "HY000", "A table must have at least one visible column.";
    /// ALGORITHM or LOCK that the statement cannot keep to.
    alter_not_supported(what, instead) = 1845, "0A000", "{what} is not supported for this operation. Try {instead}.";
    /// The same, with the reason.
    alter_not_supported_because(what, why, instead) = 1846, "0A000", "{what} is not supported. Reason: {why}. Try {instead}.";
    /// ALTER TABLE that leaves no column.
    cant_drop_all_columns() = 1090, "42000", "You can't delete all columns with ALTER TABLE; use DROP TABLE instead";
    /// Dropping or renaming a column that chooses the partition.
    needed_by_partitioning(name) = 3855, "HY000", "Column '{name}' has a partitioning function dependency and cannot be dropped or renamed.";
    /// More columns added and dropped than rows have places for.
    too_many_row_places(table) = 4092, "HY000", "Maximum row versions reached for table {table}. No more columns can be added or dropped instantly. Please use COPY/INPLACE.";
    /// A temporary table that a query names twice.
    cannot_reopen(name) = 1137, "HY000", "Can't reopen table: '{name}'";
    /// A temporary table with partitions.
    partitioned_temporary() = 1562, "HY000", "Cannot create temporary table with partitions";
    /// A temporary table beyond the memory of its session.
    table_full(name) = 1114, "HY000", "The table '{name}' is full";
}
