//! System variables: one registry that SELECT @@x, SET and SHOW VARIABLES read.
//!
//! Each variable says its scope, what values it takes, its default, and what SET may do to it. Values
//! of one session live in `session::variables`; global values are the defaults here, overridden by the
//! node's configuration (`InstanceConfig::variables`), and by what `SET GLOBAL` and `SET PERSIST` have
//! set for all nodes (`catalog::Setting`).
//!
//! A variable that has no effect here is settable only when MySQL's effect is one that cannot be
//! missed (tuning); where a client would rely on the effect, other values than ours are refused.

mod accepted;
mod effect;
mod registry;

pub use effect::effect;

use crate::value::Value;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::LazyLock;

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
    let all = all();
    all.binary_search_by(|variable| variable.name.cmp(name)).ok().map(|at| &all[at])
}

static ALL: LazyLock<Vec<SystemVariable>> = LazyLock::new(|| {
    let mut all = [registry::VARIABLES, accepted::VARIABLES].concat();
    all.sort_by_key(|variable| variable.name);
    all
});

/// All variables, by name.
pub fn all() -> &'static [SystemVariable] {
    &ALL
}

/// `optimizer_switch` with some of its switches set: `name=on`, `name=off` and `name=default` with commas between, or `default`
/// alone; 1231 for another one.
pub fn switched(now: &str, given: &str) -> Result<String> {
    let wrong = || Error::wrong_value_for_variable("optimizer_switch", given);
    let usual = find("optimizer_switch").map_or("", |variable| variable.default);
    let pairs = |text: &str| -> Vec<(String, String)> {
        text.split(',').filter_map(|pair| pair.split_once('=')).map(owned).collect()
    };
    let (usual, mut switches) = (pairs(usual), pairs(now));
    for wish in given.split(',').map(str::trim).filter(|wish| !wish.is_empty()) {
        if wish.eq_ignore_ascii_case("default") {
            switches.clone_from(&usual);
            continue;
        }
        let (name, value) = wish.split_once('=').map(owned).ok_or_else(wrong)?;
        let place = usual.iter().position(|(known, _)| *known == name).ok_or_else(wrong)?;
        let value = match value.as_str() {
            "on" | "off" => value,
            "default" => usual[place].1.clone(),
            _ => return Err(wrong()),
        };
        match switches.iter_mut().find(|(known, _)| *known == name) {
            Some(switch) => switch.1 = value,
            None => switches.push((name, value)),
        }
    }
    let shown: Vec<String> =
        switches.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(shown.join(","))
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase())
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
        assert!(all().len() >= 350);
        assert_eq!(find("AutoCommit").unwrap().name, "autocommit");
        assert!(find("gtid_binlog_pos").is_none());
    }

    #[test]
    fn switches_are_set_one_by_one() {
        let all = find("optimizer_switch").unwrap().default;
        assert!(all.starts_with("index_merge=on,") && !all.contains(' '));
        let one = switched(all, "MRR=off, hash_join=OFF").unwrap();
        assert!(one.contains(",mrr=off,") && one.contains(",hash_join=off,"));
        assert_eq!(switched(&one, "default").unwrap(), all);
        assert_eq!(switched(&one, "mrr=default,hash_join=on").unwrap(), all);
        for bad in ["mrr", "mrr=maybe", "nothing=on"] {
            assert_eq!(switched(all, bad).unwrap_err().code, 1231, "{bad}");
        }
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
