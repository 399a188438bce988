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
    /// CREATE TRIGGER of a name that is taken.
    trigger_exists() = 1359, "HY000", "Trigger already exists";
    /// A trigger that does not exist.
    no_such_trigger() = 1360, "HY000", "Trigger does not exist";
    /// A trigger of what has no rows of its own, or of rows that only one session has.
    trigger_on_no_table(name) = 1361, "HY000", "Trigger's '{name}' is view, temporary table or system table";
    /// A trigger of a table of a system schema.
    trigger_on_system_table() = 1465, "HY000", "Triggers can not be created on system tables";
    /// SET of a row that a trigger cannot change.
    cannot_change_row(row, time) = 1362, "HY000", "Updating of {row} row is not allowed in {time}trigger";
    /// NEW in a trigger on DELETE, OLD in one on INSERT.
    no_such_row(row, event) = 1363, "HY000", "There is no {row} row in on {event} trigger";
    /// A trigger in another database than its table.
    trigger_in_wrong_schema() = 1435, "HY000", "Trigger in wrong schema";
    /// A trigger changes rows of the table whose rows it runs for.
    table_in_use(name) = 1442, "HY000", "Can't update table '{name}' in stored function/trigger because it is already used by statement which invoked this stored function/trigger.";
    /// FOLLOWS or PRECEDES a trigger that is not there.
    no_referenced_trigger(name) = 3011, "HY000", "Referenced trigger '{name}' for the given action time and event type does not exist.";
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
    /// CREATE of a procedure or function whose name is taken.
    routine_exists(kind, name) = 1304, "42000", "{kind} {name} already exists";
    /// LEAVE or ITERATE of a label that is not around.
    no_such_label(word, label) = 1308, "42000", "{word} with no matching label: {label}";
    /// A label inside of itself.
    label_redefined(label) = 1309, "42000", "Redefining label {label}";
    /// RETURN in a procedure.
    return_outside_function() = 1313, "42000", "RETURN is only allowed in a FUNCTION";
    /// A statement that cannot stand in a routine.
    not_in_programs(what) = 1314, "0A000", "{what} is not allowed in stored procedures";
    /// CALL with another number of arguments.
    wrong_argument_count(kind, name, expected, got) = 1318, "42000", "Incorrect number of arguments for {kind} {name}; expected {expected}, got {got}";
    /// A condition that nothing declares.
    undefined_condition(name) = 1319, "42000", "Undefined CONDITION: {name}";
    /// A function without RETURN.
    no_return_in(name) = 1320, "42000", "No RETURN found in FUNCTION {name}";
    /// A function that came to its end.
    function_without_return(name) = 1321, "2F005", "FUNCTION {name} ended without RETURN";
    /// A cursor that nothing declares.
    undefined_cursor(name) = 1324, "42000", "Undefined CURSOR: {name}";
    /// OPEN of an open cursor.
    cursor_open() = 1325, "24000", "Cursor is already open";
    /// FETCH or CLOSE of a closed one.
    cursor_closed() = 1326, "24000", "Cursor is not open";
    /// FETCH into another number of variables.
    wrong_fetch() = 1328, "HY000", "Incorrect number of FETCH variables";
    /// FETCH behind the last row.
    no_more_rows() = 1329, "02000", "No data - zero rows fetched, selected, or processed";
    /// Two parameters of one name.
    duplicate_parameter(name) = 1330, "42000", "Duplicate parameter: {name}";
    /// Two variables of one name in a block.
    duplicate_variable(name) = 1331, "42000", "Duplicate variable: {name}";
    /// Two conditions of one name in a block.
    duplicate_condition(name) = 1332, "42000", "Duplicate condition: {name}";
    /// Two cursors of one name in a block.
    duplicate_cursor(name) = 1333, "42000", "Duplicate cursor: {name}";
    /// CASE in which no WHEN holds, without ELSE.
    case_not_found() = 1339, "20000", "Case not found for CASE statement";
    /// Two handlers of one condition in a block.
    duplicate_handler() = 1413, "42000", "Duplicate handler declared in the same block";
    /// CALL with something else than a variable for OUT.
    not_a_variable(number, name) = 1414, "42000", "OUT or INOUT argument {number} for routine {name} is not a variable or NEW pseudo-variable in BEFORE trigger";
    /// A query in a function that would send rows.
    rows_from(kind) = 1415, "0A000", "Not allowed to return a result set from a {kind}";
    /// A statement in a function that would end the transaction.
    commit_in_function() = 1422, "HY000", "Explicit or implicit commit is not allowed in stored function or trigger.";
    /// A function that calls itself.
    recursive_function() = 1424, "HY000", "Recursive stored functions and triggers are not allowed.";
    /// A procedure that calls itself too often.
    recursion_limit(limit, name) = 1456, "HY000", "Recursive limit {limit} (as set by the max_sp_recursion_depth variable) was exceeded for routine {name}";
    /// RESIGNAL where no handler runs.
    resignal_without_handler() = 1645, "0K000", "RESIGNAL when handler not active";
    /// SIGNAL of a condition that is declared by number.
    signal_of_number() = 1646, "HY000", "SIGNAL/RESIGNAL can only use a CONDITION defined with SQLSTATE";
    /// SIGNAL sets an item to what it cannot be.
    bad_signal_item(name, value) = 1231, "42000", "Variable '{name}' can't be set to the value of '{value}'";
    /// GET DIAGNOSTICS of a condition that is not there.
    no_such_condition() = 1758, "35000", "Invalid condition number";
    /// GET STACKED DIAGNOSTICS where no handler runs.
    no_stacked_diagnostics() = 1887, "0Z002", "GET STACKED DIAGNOSTICS when handler not active";
    /// CREATE of a routine inside of one.
    create_inside_routine(kind) = 1303, "2F003", "Can't create a {kind} from within another stored routine";
    /// PREPARE in a function.
    dynamic_in_function() = 1336, "0A000", "Dynamic SQL is not allowed in stored function or trigger";
    /// A procedure with result sets for a client that takes one.
    no_results_here(name) = 1312, "0A000", "PROCEDURE {name} can't return a result set in the given context";
    /// A name that no routine can have.
    wrong_routine_name(name) = 1458, "42000", "Incorrect routine name '{name}'";
    /// ALTER or DROP of a routine that does not exist.
    unknown_routine(kind, name) = 1305, "42000", "{kind} {name} does not exist";
}
