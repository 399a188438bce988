//! Placement policies, sets, and ranges of a sharding key.

use super::{Error, errors};

errors! {
    /// A placement policy that exists already.
    placement_policy_exists(name) = 8238, "HY000", "Placement policy '{name}' already exists";
    /// A placement policy that does not exist.
    unknown_placement_policy(name) = 8239, "HY000", "Unknown placement policy '{name}'";
    /// Dropping a placement policy that somebody uses.
    placement_policy_in_use(name, user) = 8241, "HY000", "Placement policy '{name}' is still in use by {user}";
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
}
