//! Variables of stored programs, as a statement of a body sees them.

use crate::types::SqlType;
use crate::value::Value;

/// A variable and its value when the statement began.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// Its name as declared.
    pub name: String,
    /// The type of its value.
    pub ty: SqlType,
    /// Its value.
    pub value: Value,
}

/// Whether a name means a row of a trigger.
pub fn is_row(name: &str) -> bool {
    name.eq_ignore_ascii_case("new") || name.eq_ignore_ascii_case("old")
}

/// What a statement inside of a stored program sees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Locals {
    /// The variables, those of the innermost block last.
    pub variables: Vec<Local>,
    /// The functions that are running, `database.name` in lower case: none of them may be called again.
    pub functions: Vec<String>,
}

impl Locals {
    /// What a view inside of the statement sees.
    pub fn without_variables(&self) -> Locals {
        Locals { variables: Vec::new(), functions: self.functions.clone() }
    }

    /// What a name means that may stand with `NEW.` or `OLD.` before it; the rows of a trigger are variables of such names.
    pub fn find_row(&self, row: &str, column: &str) -> Option<&Local> {
        if !is_row(row) {
            return None;
        }
        self.variables.iter().rev().find(|local| {
            let parts = local.name.split_once('.');
            parts.is_some_and(|(known, name)| {
                known.eq_ignore_ascii_case(row) && name.eq_ignore_ascii_case(column)
            })
        })
    }

    /// The variable of this name, in any case; the innermost one.
    pub fn find(&self, name: &str) -> Option<&Local> {
        self.variables.iter().rev().find(|local| local.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_variable_of_a_name_is_found_in_any_case() {
        let local = |name: &str, value| Local {
            name: name.into(),
            ty: SqlType::bigint(),
            value: Value::Int(value),
        };
        let locals =
            Locals { variables: vec![local("a", 1), local("A", 2)], functions: Vec::new() };
        assert_eq!(locals.find("a").map(|local| local.value.clone()), Some(Value::Int(2)));
        assert_eq!(locals.find("b"), None);
    }

    #[test]
    fn the_rows_of_a_trigger_are_found_by_both_names() {
        let new = Local { name: "NEW.Total".into(), ty: SqlType::bigint(), value: Value::Int(7) };
        let locals = Locals { variables: vec![new], functions: Vec::new() };
        assert_eq!(locals.find_row("new", "total").map(|l| l.value.clone()), Some(Value::Int(7)));
        assert_eq!(locals.find_row("old", "total"), None);
        assert_eq!(locals.find_row("t", "total"), None);
    }
}
