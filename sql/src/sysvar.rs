//! System variables: one registry that SELECT @@x, SET and SHOW VARIABLES read.
//!
//! Each variable says its scope, what values it takes, its default, and what SET may do to it. Values
//! of one session live in `session::variables`; global values are the defaults here, overridden by the
//! node's configuration (`InstanceConfig::variables`), and by what `SET GLOBAL` and `SET PERSIST` have
//! set for all nodes (`catalog::Setting`).
//!
//! A variable that has no effect here is settable only when MySQL's effect is one that cannot be
//! missed (tuning); where a client would rely on the effect, other values than ours are refused.

mod registry;

use crate::value::Value;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableScope {
    /// Only for the whole server.
    Global,
    /// Only in a session.
    Session,
    /// Both: sessions begin with the global value.
    Both,
}

/// What values a variable takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableKind {
    /// 0 or 1; SHOW VARIABLES prints OFF and ON.
    Flag,
    /// A whole number; values outside are moved to the nearest bound with warning 1292.
    Number {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A number with a fraction (`timestamp`, `long_query_time`).
    Real,
    /// One of these words, in any case; a number picks one by position.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
}

/// What SET SESSION may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settable {
    /// Never: 1238.
    ReadOnly,
    /// Only to the value it has; the sentence says why.
    Fixed(&'static str),
    /// To any value of its kind.
    Free,
    /// Code in `session::variables` checks it and acts on it.
    Special,
}

/// One system variable.
#[derive(Clone, Copy, Debug)]
pub struct SystemVariable {
    /// Lower-case name.
    pub name: &'static str,
    /// Where it lives.
    pub scope: VariableScope,
    /// What it takes.
    pub kind: VariableKind,
    /// Global value when the configuration gives none; flags and numbers as digits.
    pub default: &'static str,
    /// What SET SESSION may do.
    pub settable: Settable,
}

impl SystemVariable {
    /// Text from the registry or the configuration as a value of this variable.
    pub fn value_of_text(&self, text: &str) -> Value {
        match self.kind {
            VariableKind::Flag => {
                Value::Int(i64::from(matches!(text, "1") || text.eq_ignore_ascii_case("on")))
            }
            VariableKind::Number { .. } => {
                text.parse().map_or_else(|_| Value::Text(text.to_string()), Value::UInt)
            }
            VariableKind::Real => {
                text.parse().map_or_else(|_| Value::Text(text.to_string()), Value::Double)
            }
            VariableKind::Choice(_) | VariableKind::Text => Value::Text(text.to_string()),
        }
    }

    /// The name under which SET GLOBAL stores it: some variables have two names.
    pub fn stored_name(&self) -> &'static str {
        match self.name {
            "tx_isolation" => "transaction_isolation",
            "tx_read_only" => "transaction_read_only",
            name => name,
        }
    }

    /// What SET GLOBAL has stored as a value of this variable; `None` is NULL.
    pub fn value_of_setting(&self, text: Option<&str>) -> Value {
        text.map_or(Value::Null, |text| self.value_of_text(text))
    }

    /// The value as SHOW VARIABLES prints it.
    pub fn show(&self, value: &Value) -> String {
        match (self.kind, value) {
            (_, Value::Null) => String::new(),
            (VariableKind::Flag, Value::Int(flag)) => {
                (if *flag != 0 { "ON" } else { "OFF" }).to_string()
            }
            (VariableKind::Real, Value::Double(number)) => format!("{number:.6}"),
            (_, value) => plain_text(value),
        }
    }

    /// Checks a value that SET wants to store and brings it to this variable's form: 1231 for a wrong
    /// value, 1232 for a wrong type. The second part is whether it was moved to a bound.
    pub fn accept(&self, value: Value) -> Result<(Value, bool)> {
        let wrong = |value: &Value| Error::wrong_value_for_variable(self.name, show_wrong(value));
        match self.kind {
            VariableKind::Flag => match &value {
                Value::Int(0 | 1) => Ok((value, false)),
                Value::UInt(number @ (0 | 1)) => Ok((Value::Int(*number as i64), false)),
                Value::Text(text) if is_on(text) => Ok((Value::Int(1), false)),
                Value::Text(text) if is_off(text) => Ok((Value::Int(0), false)),
                _ => Err(wrong(&value)),
            },
            VariableKind::Number { min, max } => {
                let number = match value {
                    Value::Int(number) => i128::from(number),
                    Value::UInt(number) => i128::from(number),
                    _ => return Err(Error::wrong_type_for_variable(self.name)),
                };
                let bounded = number.clamp(i128::from(min), i128::from(max));
                Ok((Value::UInt(bounded as u64), bounded != number))
            }
            VariableKind::Real => match value {
                Value::Int(number) => Ok((Value::Double(number as f64), false)),
                Value::UInt(number) => Ok((Value::Double(number as f64), false)),
                Value::Double(number) => Ok((Value::Double(number), false)),
                Value::Decimal(_) => {
                    let number = plain_text(&value).parse().map_err(|_| wrong(&value))?;
                    Ok((Value::Double(number), false))
                }
                _ => Err(Error::wrong_type_for_variable(self.name)),
            },
            VariableKind::Choice(words) => {
                let position = match &value {
                    Value::Int(number) => usize::try_from(*number).ok(),
                    Value::UInt(number) => usize::try_from(*number).ok(),
                    Value::Text(text) => words.iter().position(|w| w.eq_ignore_ascii_case(text)),
                    _ => None,
                };
                match position.and_then(|position| words.get(position)) {
                    Some(word) => Ok((Value::Text((*word).to_string()), false)),
                    None => Err(wrong(&value)),
                }
            }
            VariableKind::Text => match value {
                Value::Text(_) | Value::Null => Ok((value, false)),
                Value::Bytes(bytes) => {
                    Ok((Value::Text(String::from_utf8_lossy(&bytes).into_owned()), false))
                }
                _ => Err(Error::wrong_type_for_variable(self.name)),
            },
        }
    }
}

/// `ON`, `TRUE`, `1`.
fn is_on(text: &str) -> bool {
    text == "1" || text.eq_ignore_ascii_case("on") || text.eq_ignore_ascii_case("true")
}

/// `OFF`, `FALSE`, `0`.
fn is_off(text: &str) -> bool {
    text == "0" || text.eq_ignore_ascii_case("off") || text.eq_ignore_ascii_case("false")
}

/// A value as error 1231 prints it.
pub fn show_wrong(value: &Value) -> String {
    if value.is_null() { "NULL".to_string() } else { plain_text(value) }
}

/// The text of a variable's value.
pub fn plain_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Decimal(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Date(_) | Value::Time(_) | Value::DateTime(_) => String::new(),
    }
}

/// A variable by its name in any case.
pub fn find(name: &str) -> Option<&'static SystemVariable> {
    let lower;
    let name = if name.bytes().any(|b| b.is_ascii_uppercase()) {
        lower = name.to_ascii_lowercase();
        lower.as_str()
    } else {
        name
    };
    let all = registry::VARIABLES;
    all.binary_search_by(|variable| variable.name.cmp(name)).ok().map(|at| &all[at])
}

/// All variables, by name.
pub fn all() -> &'static [SystemVariable] {
    registry::VARIABLES
}

/// The global values that the node's configuration overrides.
#[derive(Debug, Default)]
pub struct GlobalValues {
    /// By lower-case name.
    overrides: BTreeMap<&'static str, Value>,
}

impl GlobalValues {
    /// Takes the overrides of a configuration; names that are no variables are left out.
    pub fn new(overrides: &BTreeMap<String, String>) -> GlobalValues {
        let known = overrides.iter().filter_map(|(name, text)| {
            find(name).map(|variable| (variable.name, variable.value_of_text(text)))
        });
        GlobalValues { overrides: known.collect() }
    }

    /// All of them.
    pub fn overridden(&self) -> BTreeMap<&'static str, Value> {
        self.overrides.clone()
    }

    /// The global value.
    pub fn get(&self, variable: &SystemVariable) -> Value {
        match self.overrides.get(variable.name) {
            Some(value) => value.clone(),
            None => variable.value_of_text(variable.default),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_is_sorted_so_that_names_are_found() {
        assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(find("AutoCommit").unwrap().name, "autocommit");
        assert!(find("gtid_binlog_pos").is_none());
    }

    #[test]
    fn every_default_is_accepted_by_its_own_variable() {
        for variable in all() {
            let value = variable.value_of_text(variable.default);
            let (kept, moved) = variable.accept(value.clone()).unwrap();
            assert_eq!((&kept, moved), (&value, false), "{}", variable.name);
        }
    }

    #[test]
    fn numbers_outside_their_range_move_to_the_bound() {
        let variable = find("div_precision_increment").unwrap();
        assert_eq!(variable.accept(Value::Int(99)).unwrap(), (Value::UInt(30), true));
        assert_eq!(variable.accept(Value::Text("4".into())).unwrap_err().code, 1232);
    }
}
