//! Views, and derived tables as far as MySQL says the same of both.

use super::{Error, errors};

errors! {
    /// UPDATE or DELETE of something that is no table.
    not_updatable(name, operation) = 1288, "HY000", "The target table {name} of the {operation} is not updatable";
    /// A derived table with more or fewer names than columns.
    column_list_mismatch() = 1353, "HY000", "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts";
    /// A view over a query with a clause that has no meaning there, such as INTO.
    view_select_clause(clause) = 1350, "HY000", "View's SELECT contains a '{clause}' clause";
}
