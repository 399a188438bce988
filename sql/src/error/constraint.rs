//! Constraints, and rows that break them.

use super::{Error, errors};

errors! {
    /// A unique key value that exists already; `key` is `table.key`.
    duplicate_entry(entry, key) = 1062, "23000", "Duplicate entry '{entry}' for key '{key}'";
    /// NULL for a NOT NULL column.
    column_null(name) = 1048, "23000", "Column '{name}' cannot be null";
    /// A column without default was not given a value.
    no_default(name) = 1364, "HY000", "Field '{name}' doesn't have a default value";
    /// A row of which a CHECK constraint is false.
    check_violated(name) = 3819, "HY000", "Check constraint '{name}' is violated.";
    /// A CHECK that is no condition.
    check_not_boolean(name) = 3812, "HY000", "An expression of non-boolean type specified to a check constraint '{name}'.";
    /// The CHECK of a column that names another one.
    check_of_other_column(name) = 3813, "HY000", "Column check constraint '{name}' references other column.";
    /// A function in a CHECK that is not the same for all time.
    check_named_function(name, function) = 3814, "HY000", "An expression of a check constraint '{name}' contains disallowed function: {function}.";
    /// What no CHECK can have, such as a query.
    check_function(name) = 3815, "HY000", "An expression of a check constraint '{name}' contains disallowed function.";
    /// A variable in a CHECK.
    check_of_variable(name) = 3816, "HY000", "An expression of a check constraint '{name}' cannot refer to a user or system variable.";
    /// The AUTO_INCREMENT column in a CHECK.
    check_of_auto_increment(name) = 3818, "HY000", "Check constraint '{name}' cannot refer to an auto-increment column.";
    /// A column that the table lacks in a CHECK.
    check_of_unknown_column(name, column) = 3820, "HY000", "Check constraint '{name}' refers to non-existing column '{column}'.";
    /// A CHECK that the table lacks.
    no_such_check(name) = 3821, "HY000", "Check constraint '{name}' is not found in the table.";
    /// A second CHECK of a name in a database.
    duplicate_check_name(name) = 3822, "HY000", "Duplicate check constraint name '{name}'.";
    /// Dropping or renaming a column that a CHECK names besides others.
    needed_by_check(name, column) = 3959, "HY000", "Check constraint '{name}' uses column '{column}', hence column cannot be dropped or renamed.";
    /// A NULL in a column that is to be NOT NULL.
    invalid_null() = 1138, "22004", "Invalid use of NULL value";
    /// A value for a column that is computed.
    value_of_generated(column, table) = 3105, "HY000", "The value specified for generated column '{column}' in table '{table}' is not allowed.";
    /// DROP CONSTRAINT of a name that no constraint of the table has.
    no_such_constraint(name) = 3940, "HY000", "Constraint '{name}' does not exist.";
}
