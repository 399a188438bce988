//! Views, and derived tables as far as MySQL says the same of both.

use super::{Error, errors};

errors! {
    /// UPDATE or DELETE of something that is no table.
    not_updatable(name, operation) = 1288, "HY000", "The target table {name} of the {operation} is not updatable";
    /// INSERT or LOAD DATA into something that is no table.
    not_insertable(name, operation) = 1471, "HY000", "The target table {name} of the {operation} is not insertable-into";
    /// A derived table with more or fewer names than columns.
    column_list_mismatch() = 1353, "HY000", "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts";
    /// A view over a query with a clause that has no meaning there, such as INTO.
    view_select_clause(clause) = 1350, "HY000", "View's SELECT contains a '{clause}' clause";
    /// A view over a query with a variable or a parameter.
    view_select_variable() = 1351, "HY000", "View's SELECT contains a variable or parameter";
    /// ALGORITHM = MERGE of a view that has rows of its own: a warning.
    view_cannot_merge() = 1354, "HY000", "View merge algorithm can't be used here for now (assumed undefined algorithm)";
    /// A view whose query fails by now (`db.view`).
    view_invalid(name) = 1356, "HY000", "View '{name}' references invalid table(s) or column(s) or function(s) or definer/invoker of view lack rights to use them";
    /// WITH CHECK OPTION of a view through which nothing can be changed (`db.view`).
    view_check_not_updatable(name) = 1368, "HY000", "CHECK OPTION on non-updatable view '{name}'";
    /// A row that a view WITH CHECK OPTION would not show (`db.view`).
    view_check_failed(name) = 1369, "HY000", "CHECK OPTION failed '{name}'";
    /// A definer that is no account (`'user'@'host'`).
    no_such_definer(account) = 1449, "HY000", "The user specified as a definer ({account}) does not exist";
    /// RENAME TABLE of a view into another database.
    view_changes_database(from, to) = 1450, "HY000", "Changing schema from '{from}' to '{to}' is not allowed.";
    /// A view that is read while it is being read.
    view_recursion(database, name) = 1462, "HY000", "`{database}`.`{name}` contains view recursion";
    /// A view over a temporary table.
    view_of_temporary(name) = 1352, "HY000", "View's SELECT refers to a temporary table '{name}'";
}
