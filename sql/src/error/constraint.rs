//! Constraints, and rows that break them.

use super::{Error, errors};

errors! {
    /// A unique key value that exists already; `key` is `table.key`.
    duplicate_entry(entry, key) = 1062, "23000", "Duplicate entry '{entry}' for key '{key}'";
    /// NULL for a NOT NULL column.
    column_null(name) = 1048, "23000", "Column '{name}' cannot be null";
    /// A column without default was not given a value.
    no_default(name) = 1364, "HY000", "Field '{name}' doesn't have a default value";
    /// DROP CONSTRAINT of a name that no constraint of the table has.
    no_such_constraint(name) = 3940, "HY000", "Constraint '{name}' does not exist.";
}
