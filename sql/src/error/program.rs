//! Procedures, functions, triggers and events, and what their bodies say: SELECT … INTO.

use super::{Error, errors};

errors! {
    /// A function that does not exist.
    unknown_function(name) = 1305, "42000", "FUNCTION {name} does not exist";
    /// SELECT … INTO with another number of variables.
    wrong_select_into() = 1222, "21000", "The used SELECT statements have a different number of columns";
    /// SELECT … INTO of several rows.
    too_many_rows() = 1172, "42000", "Result consisted of more than one row";
    /// SELECT … INTO of no row.
    no_rows() = 1329, "02000", "No data - zero rows fetched, selected, or processed";
    /// SHOW CREATE of a view, routine, trigger or event.
    no_such_object(kind, name) = 1305, "42000", "{kind} {name} does not exist";
    /// CALL of a procedure that does not exist.
    unknown_procedure(name) = 1305, "42000", "PROCEDURE {name} does not exist";
}
