//! Names and shapes in queries and in statements that change rows.

use super::{Error, errors};

errors! {
    /// A column that does not exist, and the clause that named it.
    unknown_column(name, clause) = 1054, "42S22", "Unknown column '{name}' in '{clause}'";
    /// A column name that fits several tables.
    ambiguous_column(name, clause) = 1052, "23000", "Column '{name}' in {clause} is ambiguous";
    /// Rows of different widths.
    wrong_value_count(row) = 1136, "21S01", "Column count doesn't match value count at row {row}";
    /// A column named twice in INSERT.
    column_twice(name) = 1110, "42000", "Column '{name}' specified twice";
    /// A table alias used twice.
    nonunique_table(name) = 1066, "42000", "Not unique table/alias: '{name}'";
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
    /// OF names a table that the query does not read.
    unresolved_lock_table(name) = 3568, "HY000", "Unresolved table name `{name}` in locking clause.";
    /// FOR UPDATE and FOR SHARE that both lock a table.
    duplicate_lock_table(name) = 3569, "HY000", "Table `{name}` appears in multiple locking clauses.";
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
    /// A window that the WINDOW clause does not have.
    no_such_window(name) = 3579, "HY000", "Window name '{name}' is not defined.";
    /// Windows that extend each other.
    circular_windows() = 3580, "HY000", "There is a circularity in the window dependency graph.";
    /// PARTITION BY in a window that extends another one.
    window_partitions_again() = 3581, "HY000", "A window which depends on another cannot define partitioning.";
    /// A window that extends one with a frame.
    window_inherits_frame(name) = 3582, "HY000", "Window '{name}' has a frame definition, so cannot be referenced by another window.";
    /// ORDER BY in a window that extends one with ORDER BY.
    window_orders_again(name, base) = 3583, "HY000", "Window '{name}' cannot inherit '{base}' since both contain an ORDER BY clause.";
    /// A frame that begins at the partition's end.
    window_frame_start(name) = 3584, "HY000", "Window '{name}': frame start cannot be UNBOUNDED FOLLOWING.";
    /// A frame that ends before it begins.
    window_frame_end(name) = 3585, "HY000", "Window '{name}': frame end cannot be UNBOUNDED PRECEDING.";
    /// A distance in a frame that is none.
    window_frame_value(name) = 3586, "HY000", "Window '{name}': frame start or end is negative, NULL or of non-integral type";
    /// The same, found when it is known.
    frame_distance() = 3586, "HY000", "Window '<unnamed window>': frame start or end is negative, NULL or of non-integral type";
    /// RANGE with distances over what has none.
    window_range_order(name) = 3587, "HY000", "Window '{name}' with RANGE N PRECEDING/FOLLOWING frame requires exactly one ORDER BY expression, of numeric or temporal type";
    /// A number as distance of dates.
    window_needs_interval(name) = 3588, "HY000", "Window '{name}' with RANGE frame has ORDER BY expression of datetime type. Only INTERVAL bound value allowed.";
    /// INTERVAL as distance of numbers.
    window_needs_number(name) = 3589, "HY000", "Window '{name}' with RANGE frame has ORDER BY expression of numeric type, INTERVAL bound value not allowed.";
    /// A distance that is not the same for all rows.
    window_bound_not_constant(name) = 3590, "HY000", "Window '{name}' has a non-constant frame bound.";
    /// A name that the WINDOW clause has twice.
    duplicate_window(name) = 3591, "HY000", "Window '{name}' is defined twice.";
    /// A window function where none may stand.
    window_function_misplaced(name) = 3593, "HY000", "You cannot use the window function '{name}' in this context.'";
    /// An alias of one where none may stand.
    window_alias_misplaced(name) = 3594, "HY000", "You cannot use the alias '{name}' of an expression containing a window function in this context.'";
    /// GROUPING() of something that GROUP BY does not name.
    grouping_of_no_key(place) = 3602, "HY000", "Argument #{place} of GROUPING function is not in GROUP BY";
    /// A query of WITH RECURSIVE that reads itself and is no UNION.
    recursive_without_union(name) = 3573, "HY000", "Recursive Common Table Expression '{name}' should contain a UNION";
    /// A query of WITH RECURSIVE whose first part reads itself, or one after which another one does not.
    recursive_order(name) = 3574, "HY000", "Recursive Common Table Expression '{name}' should have one or more non-recursive query blocks followed by one or more recursive ones";
    /// Aggregates over the rows of the round before.
    recursive_aggregate(name) = 3575, "HY000", "Recursive Common Table Expression '{name}' can contain neither aggregation nor window functions in recursive query block";
    /// The rows of the round before as the optional side of an outer join.
    recursive_outer_join(name) = 3576, "HY000", "In recursive query block of Recursive Common Table Expression '{name}', the recursive table must neither be in the right argument of a LEFT JOIN, nor be forced to be non-first with join order hints";
    /// The rows of the round before read twice, or in a subquery.
    recursive_reads(name) = 3577, "HY000", "In recursive query block of Recursive Common Table Expression '{name}', the recursive table must be referenced only once, and not in any subquery";
    /// A lateral derived table behind RIGHT JOIN.
    lateral_join_type(name) = 3668, "HY000", "INNER or LEFT JOIN must be used for LATERAL references made by '{name}'";
    /// A recursive query that does not end.
    recursion_depth(rounds) = 3636, "HY000", "Recursive query aborted after {rounds} iterations. Try increasing @@cte_max_recursion_depth to a larger value.";
    /// A table that a DELETE of several tables does not read.
    unknown_delete_target(name) = 1109, "42S02", "Unknown table '{name}' in MULTI DELETE";
    /// A table whose key is changed under one name while it is changed under another one as well.
    multi_update_key_conflict(first, second) = 1706, "HY000", "Primary key/partition key update is not allowed since the table is updated both as '{first}' and '{second}'.";
    /// DELETE from a view that joins tables (`db.view`).
    delete_from_join_view(name) = 1395, "HY000", "Can not delete from join view '{name}'";
}
