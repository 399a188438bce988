//! SIGNAL, RESIGNAL and GET DIAGNOSTICS.

use super::condition::{self, Condition};
use super::run::{Raise, Run, Stepped};
use crate::ast::{Expr, ExprKind, HandlerCondition, IntoTarget, SignalCondition};
use crate::context::Level;
use crate::types::convert::{shown_value, to_double};
use crate::value::Value;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Characters of MESSAGE_TEXT.
const MESSAGE_CHARS_MAX: usize = 128;

impl<'a> Run<'a> {
    /// SIGNAL; RESIGNAL raises what the handler handles, with changes.
    pub(super) async fn signal(
        &mut self,
        raised: Option<&SignalCondition>,
        items: &[(&'static str, Expr)],
        again: bool,
    ) -> Stepped<'a> {
        let handled = self.stacked.last().and_then(|conditions| conditions.first()).cloned();
        if again && handled.is_none() {
            return Err(Error::resignal_without_handler().into());
        }
        let state = raised.map(|raised| self.state_of(raised)).transpose()?;
        let mut condition = match (handled.filter(|_| again), state) {
            (Some(handled), None) => handled,
            (Some(handled), Some(state)) => {
                let fresh = unhandled(state);
                Condition { message: handled.message, items: handled.items, ..fresh }
            }
            (None, state) => unhandled(state.unwrap_or("45000")),
        };
        for (name, expr) in items {
            let value = self.value(expr).await?;
            if value.is_null() {
                return Err(Error::bad_signal_item(name, "NULL").into());
            }
            match *name {
                "MESSAGE_TEXT" => {
                    let text = match value {
                        Value::Text(text) => text,
                        other => shown_value(&other),
                    };
                    condition.message = text.chars().take(MESSAGE_CHARS_MAX).collect();
                }
                "MYSQL_ERRNO" => {
                    let number = to_double(&value, &self.host.context())?;
                    let bad = || Error::bad_signal_item(name, shown_value(&value));
                    if !(1.0..=65_535.0).contains(&number) {
                        return Err(bad().into());
                    }
                    condition.code = number as u16;
                }
                _ => {
                    condition.items.insert(*name, value);
                }
            }
        }
        if condition.level != Level::Warning {
            return Err(Raise::New(condition));
        }
        let ctx = self.host.context();
        ctx.warnings.push(condition.level, condition.code, condition.message.clone());
        self.noticed(vec![condition]).await
    }

    /// The SQLSTATE that SIGNAL names.
    fn state_of(&self, raised: &SignalCondition) -> Result<&'static str> {
        match raised {
            SignalCondition::State(state) => condition::state(state),
            SignalCondition::Name(name) => match self.frame.condition(name) {
                Some(HandlerCondition::State(state)) => condition::state(&state),
                Some(_) => Err(Error::signal_of_number()),
                None => Err(Error::undefined_condition(name)),
            },
        }
    }

    /// GET DIAGNOSTICS. What statements have met stays as it is.
    pub(super) async fn get_diagnostics(
        &mut self,
        stacked: bool,
        number: Option<&Expr>,
        items: &[(IntoTarget, &'static str)],
    ) -> Result<()> {
        let area = match (stacked, self.stacked.last()) {
            (false, _) => self.current.clone(),
            (true, Some(handled)) => handled.clone(),
            (true, None) => return Err(Error::no_stacked_diagnostics()),
        };
        let condition = match number {
            None => None,
            Some(number) => {
                let value = self.value(number).await?;
                let number = to_double(&value, &self.host.context())?;
                let place = (number >= 1.0).then_some(number as usize - 1);
                let condition = place.and_then(|place| area.get(place));
                Some(condition.ok_or_else(Error::no_such_condition)?)
            }
        };
        for (target, item) in items {
            let value = match condition {
                Some(condition) => item_of(condition, item),
                None if *item == "NUMBER" => Value::Int(area.len() as i64),
                None => self.value(&row_count()).await?,
            };
            self.put(target, value)?;
        }
        Ok(())
    }
}

/// A condition that no handler has handled yet, as SIGNAL makes it of a SQLSTATE.
fn unhandled(state: &'static str) -> Condition {
    let (level, code, message) = match &state[..2] {
        "01" => (Level::Warning, 1642, "Unhandled user-defined warning condition"),
        "02" => (Level::Error, 1643, "Unhandled user-defined not found condition"),
        _ => (Level::Error, 1644, "Unhandled user-defined exception condition"),
    };
    Condition { level, code, state, message: message.to_string(), items: BTreeMap::new() }
}

/// `ROW_COUNT()`.
fn row_count() -> Expr {
    Expr::new(ExprKind::Function {
        database: None,
        name: "row_count".to_string(),
        args: Vec::new(),
    })
}

fn item_of(condition: &Condition, item: &str) -> Value {
    if let Some(value) = condition.items.get(item) {
        return value.clone();
    }
    match item {
        "RETURNED_SQLSTATE" => Value::text(condition.state),
        "MYSQL_ERRNO" => Value::Int(i64::from(condition.code)),
        "MESSAGE_TEXT" => Value::text(condition.message.as_str()),
        "CLASS_ORIGIN" | "SUBCLASS_ORIGIN" => Value::text("ISO 9075"),
        _ => Value::text(""),
    }
}
