//! Foreign keys: their definitions, and rows that they keep.

use super::{Error, errors};

errors! {
    /// A row that children refer to; `key` is the constraint with its table.
    row_is_referenced(key) = 1451, "23000", "Cannot delete or update a parent row: a foreign key constraint fails ({key})";
    /// A row whose parent is not there.
    no_referenced_row(key) = 1452, "23000", "Cannot add or update a child row: a foreign key constraint fails ({key})";
    /// A foreign key that no table can have.
    cannot_add_foreign_key() = 1215, "HY000", "Cannot add foreign key constraint";
    /// As many columns here as there are not.
    wrong_foreign_key(name, why) = 1239, "42000", "Incorrect foreign key definition for '{name}': {why}";
    /// Foreign keys and partitions.
    foreign_key_on_partitioned() = 1506, "HY000", "Foreign keys are not yet supported in conjunction with partitioning";
    /// Dropping an index that a foreign key needs.
    needed_by_foreign_key(index) = 1553, "HY000", "Cannot drop index '{index}': needed in a foreign key constraint";
    /// TRUNCATE of a parent.
    truncate_of_parent(key) = 1701, "42000", "Cannot truncate a table referenced in a foreign key constraint ({key})";
    /// The parent has no index for it.
    no_index_of_parent(name, parent) = 1822, "HY000", "Failed to add the foreign key constraint. Missing index for constraint '{name}' in the referenced table '{parent}'";
    /// The parent is not there.
    no_referenced_table(parent) = 1824, "HY000", "Failed to open the referenced table '{parent}'";
    /// A second foreign key of a name in a database.
    duplicate_foreign_key_name(name) = 1826, "HY000", "Duplicate foreign key constraint name '{name}'";
    /// Dropping a column that a foreign key of the table has.
    column_needed_by_foreign_key(column, name) = 1828, "HY000", "Cannot drop column '{column}': needed in a foreign key constraint '{name}'";
    /// The same of another table.
    column_needed_by_child(column, name, child) = 1829, "HY000", "Cannot drop column '{column}': needed in a foreign key constraint '{name}' of table '{child}'";
    /// SET NULL of a column that is NOT NULL.
    set_null_of_not_null(column, name) = 1830, "HY000", "Column '{column}' cannot be NOT NULL: needed in a foreign key constraint '{name}' SET NULL";
    /// Changing a column that a foreign key of the table has.
    column_used_by_foreign_key(column, name) = 1832, "HY000", "Cannot change column '{column}': used in a foreign key constraint '{name}'";
    /// The same of another table.
    column_used_by_child(column, name, child) = 1833, "HY000", "Cannot change column '{column}': used in a foreign key constraint '{name}' of table '{child}'";
    /// Cascades behind each other.
    cascade_too_deep(most) = 3008, "HY000", "Foreign key cascade delete/update exceeds max depth of {most}.";
    /// A computed column whose value a clause would set.
    clause_on_generated(clause) = 3104, "HY000", "Cannot define foreign key with {clause} clause on a generated column.";
    /// DROP of a parent.
    drop_of_parent(table, name, child) = 3730, "HY000", "Cannot drop table '{table}' referenced by a foreign key constraint '{name}' on table '{child}'.";
    /// A virtual column in a foreign key.
    foreign_key_of_virtual(name, column) = 3733, "HY000", "Foreign key '{name}' uses virtual column '{column}' which is not supported.";
    /// The parent has no such column.
    no_column_of_parent(column, name, parent) = 3734, "HY000", "Failed to add the foreign key constraint. Missing column '{column}' for constraint '{name}' in the referenced table '{parent}'";
    /// Columns of different types.
    incompatible_reference(column, referenced, name) = 3780, "HY000", "Referencing column '{column}' and referenced column '{referenced}' in foreign key constraint '{name}' are incompatible.";
    /// The parent has an index for it that is not unique, or has more columns.
    no_unique_key_of_parent(name, parent) = 6125, "HY000", "Failed to add the foreign key constraint. Missing unique key for constraint '{name}' in the referenced table '{parent}'";
}
