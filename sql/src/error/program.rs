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
    /// A name after INTO that no stored program declares.
    undeclared_variable(name) = 1327, "42000", "Undeclared variable: {name}";
    /// A label at the end that is not the one at the beginning.
    label_mismatch(name) = 1310, "42000", "End-label {name} without match";
    /// A variable or a condition behind a cursor or a handler.
    variable_after_cursor() = 1337, "42000", "Variable or condition declaration after cursor or handler declaration";
    /// A cursor behind a handler.
    cursor_after_handler() = 1338, "42000", "Cursor declaration after handler declaration";
    /// What cannot be a SQLSTATE, or says that all is well.
    bad_sqlstate(state) = 1407, "42000", "Bad SQLSTATE: '{state}'";
    /// SIGNAL sets an item twice.
    duplicate_signal_item(name) = 1641, "42000", "Duplicate condition information item '{name}'";
}
