//! Conditions: errors and warnings as stored programs see them.

use crate::ast::HandlerCondition;
use crate::context::{Level, Warning};
use crate::value::Value;
use crate::{Error, Result};
use base::limits::SIGNAL_STATES_MAX;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// An error or a warning.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    /// How bad it is.
    pub(crate) level: Level,
    /// MYSQL_ERRNO.
    pub(crate) code: u16,
    /// RETURNED_SQLSTATE.
    pub(crate) state: &'static str,
    /// MESSAGE_TEXT.
    pub(crate) message: String,
    /// What SIGNAL set besides.
    pub(crate) items: BTreeMap<&'static str, Value>,
}

impl Condition {
    /// An error.
    pub(crate) fn of_error(error: &Error) -> Condition {
        Condition {
            level: Level::Error,
            code: error.code,
            state: error.sqlstate,
            message: error.message.clone(),
            items: BTreeMap::new(),
        }
    }

    /// A line of SHOW WARNINGS.
    pub(crate) fn of_warning(warning: &Warning) -> Condition {
        Condition {
            level: warning.level,
            code: warning.code,
            state: state_of(warning.code),
            message: warning.message.clone(),
            items: BTreeMap::new(),
        }
    }

    /// As an error that a client gets.
    pub(crate) fn error(&self) -> Error {
        Error { code: self.code, sqlstate: self.state, message: self.message.clone() }
    }

    /// How exactly a handler's condition means this one: the higher, the better; `None` when it does not. `named` are the
    /// declared conditions.
    pub(crate) fn rank(
        &self,
        wanted: &HandlerCondition,
        named: &dyn Fn(&str) -> Option<HandlerCondition>,
    ) -> Option<u8> {
        match wanted {
            HandlerCondition::Code(code) => (*code == u64::from(self.code)).then_some(4),
            HandlerCondition::State(state) => (state == self.state).then_some(3),
            HandlerCondition::Name(name) => self.rank(&named(name)?, &|_| None),
            HandlerCondition::Warning => {
                let is_one = self.level == Level::Warning && !self.is_not_found();
                (is_one || self.state.starts_with("01")).then_some(1)
            }
            HandlerCondition::NotFound => self.is_not_found().then_some(2),
            HandlerCondition::Exception => {
                let is_one = self.level == Level::Error;
                (is_one && !self.is_not_found() && !self.state.starts_with("01")).then_some(1)
            }
        }
    }

    /// SQLSTATE of class 02.
    pub(crate) fn is_not_found(&self) -> bool {
        self.state.starts_with("02")
    }
}

/// The SQLSTATE of a warning's number.
fn state_of(code: u16) -> &'static str {
    match code {
        1329 | 1643 => "02000",
        1048 => "23000",
        1062 => "23000",
        1264 | 1690 => "22003",
        1292 => "22007",
        1365 => "22012",
        1406 => "22001",
        1265 | 1642 => "01000",
        1305 => "42000",
        1051 => "42S02",
        _ => "HY000",
    }
}

/// States that programs have raised, kept for good: errors name theirs for the life of the process.
static STATES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// A SQLSTATE that a program names.
///
/// # Errors
/// 1235 when programs have named too many different ones.
pub(crate) fn state(name: &str) -> Result<&'static str> {
    let mut states = STATES.lock();
    if let Some(known) = states.get(name).copied() {
        return Ok(known);
    }
    if states.len() >= SIGNAL_STATES_MAX {
        return Err(Error::not_supported(format!(
            "SIGNAL with more than {SIGNAL_STATES_MAX} different SQLSTATEs; use '45000' and tell conditions apart by MYSQL_ERRNO"
        )));
    }
    let kept: &'static str = Box::leak(name.to_string().into_boxed_str());
    states.insert(kept);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<HandlerCondition> {
        None
    }

    #[test]
    fn a_number_is_more_exact_than_a_state_than_a_class() {
        let condition = Condition::of_error(&Error::duplicate_entry("1", "t.PRIMARY"));
        let rank = |wanted| condition.rank(&wanted, &none);
        let by_code = rank(HandlerCondition::Code(1062));
        let by_state = rank(HandlerCondition::State("23000".into()));
        let by_class = rank(HandlerCondition::Exception);
        assert!(by_code > by_state && by_state > by_class && by_class.is_some());
        assert_eq!(rank(HandlerCondition::Warning), None);
        assert_eq!(rank(HandlerCondition::NotFound), None);
        assert_eq!(rank(HandlerCondition::Code(1061)), None);
    }

    #[test]
    fn a_query_without_rows_is_not_found_and_no_exception() {
        let condition = Condition::of_error(&Error::no_rows());
        assert_eq!(condition.rank(&HandlerCondition::NotFound, &none), Some(2));
        assert_eq!(condition.rank(&HandlerCondition::Exception, &none), None);
    }

    #[test]
    fn states_are_kept_once() {
        let first = state("45678").unwrap();
        assert!(std::ptr::eq(first, state("45678").unwrap()));
    }
}
