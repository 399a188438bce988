//! Partitions.

use super::{Error, errors};

errors! {
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
}
