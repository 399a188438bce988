//! Variables, character sets, collations and time zones.

use super::{Error, errors};

errors! {
    /// A system variable that does not exist.
    unknown_variable(name) = 1193, "HY000", "Unknown system variable '{name}'";
    /// A system variable that cannot take this value.
    wrong_value_for_variable(name, value) = 1231, "42000", "Variable '{name}' can't be set to the value of '{value}'";
    /// A system variable that takes another type.
    wrong_type_for_variable(name) = 1232, "42000", "Incorrect argument type to variable '{name}'";
    /// A system variable that cannot be set.
    read_only_variable(name) = 1238, "HY000", "Variable '{name}' is a read only variable";
    /// A character set that does not exist.
    unknown_charset(name) = 1115, "42000", "Unknown character set: '{name}'";
    /// A collation that does not exist.
    unknown_collation(name) = 1273, "HY000", "Unknown collation: '{name}'";
    /// A time zone that is not known.
    unknown_time_zone(name) = 1298, "HY000", "Unknown or incorrect time zone: '{name}'";
    /// A session variable where only a global one exists.
    global_variable(name) = 1229, "HY000", "Variable '{name}' is a GLOBAL variable and should be set with SET GLOBAL";
    /// A global variable where only a session one exists.
    session_variable(name) = 1228, "HY000", "Variable '{name}' is a SESSION variable and can't be used with SET GLOBAL";
    /// `@@session.x` of a variable that has only a global value.
    variable_scope(name, scope) = 1238, "HY000", "Variable '{name}' is a {scope} variable";
}
