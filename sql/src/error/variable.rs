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
    /// A name of a character set that will mean another one.
    utf8_alias() = 3719, "HY000", "'utf8' is currently an alias for the character set UTF8MB3, but will be an alias for UTF8MB4 in a future release. Please consider using UTF8MB4 in order to be unambiguous.";
    /// A collation of a character set that will go.
    utf8mb3_collation(name) = 3778, "HY000", "'{name}' is a collation of the deprecated character set UTF8MB3. Please consider using UTF8MB4 with an appropriate collation instead.";
    /// A word that will go, and the one to use.
    deprecated(name, instead) = 1287, "HY000", "'{name}' is deprecated and will be removed in a future release. Please use {instead} instead";
    /// A time zone that is not known.
    unknown_time_zone(name) = 1298, "HY000", "Unknown or incorrect time zone: '{name}'";
    /// A session variable where only a global one exists.
    global_variable(name) = 1229, "HY000", "Variable '{name}' is a GLOBAL variable and should be set with SET GLOBAL";
    /// A global variable where only a session one exists.
    session_variable(name) = 1228, "HY000", "Variable '{name}' is a SESSION variable and can't be used with SET GLOBAL";
    /// RESET PERSIST of a variable that SET PERSIST has not set.
    not_persisted(name) = 3615, "HY000", "Variable {name} does not exist in persisted config file";
    /// `@@session.x` of a variable that has only a global value.
    variable_scope(name, scope) = 1238, "HY000", "Variable '{name}' is a {scope} variable";
}
