//! Text that is no statement, or is one too deep.

use super::{Error, errors};

errors! {
    /// Text that the grammar does not accept. `near` is the rest of the text from the bad token on.
    syntax(near, line) = 1064, "42000", "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the right syntax to use near '{near}' at line {line}";
    /// An empty statement.
    empty_query() = 1065, "42000", "Query was empty";
    /// ENCLOSED BY or ESCAPED BY of more than one character.
    wrong_field_terminators() = 1083, "42000", "Field separator argument is not what is expected; check the manual";
    /// A statement that is nested too deep to be read or executed safely.
    too_deep(limit) = 1436, "HY000", "Thread stack overrun: the statement is nested deeper than {limit} levels; write it with fewer nested parentheses, subqueries or operators";
    /// A floating-point literal that no DOUBLE can hold.
    illegal_double(text) = 1367, "22007", "Illegal double '{text}' value found during parsing";
    /// A derived table without a name.
    derived_without_alias() = 1248, "42000", "Every derived table must have its own alias";
}
