//! SLEEP: waits, and answers 0; 1 when KILL has ended the wait.
//!
//! Expressions are evaluated without waiting. So SLEEP is run before its statement and replaced by its result, as locks by name
//! are (`user_locks`), but only where it surely is to be run, and once: as an item of SELECT without FROM, WHERE and HAVING,
//! in DO, and as a value of SET. Elsewhere only what waits for nothing is answered (`function::information`): no time, and
//! times that are refused.
//!
//! KILL QUERY ends the wait and not the statement, as in MySQL: who is behind it in the same statement does not wait either.
//! KILL CONNECTION ends the statement, too.

use super::connection::Session;
use crate::Result;
use crate::ast::{Expr, ExprKind, Literal, Select};
use crate::function::information::SLEEP_SECONDS_MIN;
use crate::types::convert;
use crate::value::Value;
use base::limits::CANCEL_LOOK;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest time, three years: what is longer ends with the session all the same.
const SLEEP_SECONDS_MAX: f64 = 1e8;

/// Whether an expression is a call of SLEEP.
pub(super) fn is_call(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Function { database: None, name, .. }
        if name.eq_ignore_ascii_case("sleep"))
}

/// Whether each item of a query is evaluated exactly once.
pub(super) fn is_run_once(select: &Select) -> bool {
    select.from.is_empty() && select.filter.is_none() && select.having.is_none()
}

impl Session {
    /// Runs a call whose argument is `seconds` and puts its result in its place; whether KILL has ended it. A time that
    /// is refused is left to the statement, with its error or warning.
    pub(super) async fn run_sleep(&mut self, call: &mut Expr, seconds: &Value) -> Result<bool> {
        let ctx = self.context(Vec::new());
        let wanted = convert::to_double(seconds, &ctx)?;
        if seconds.is_null() || wanted < 0.0 {
            if let ExprKind::Function { args, .. } = &mut call.kind
                && let [arg] = &mut args[..]
            {
                arg.kind = ExprKind::Literal(Literal::Null);
            }
            return Ok(false);
        }
        let ended = wanted >= SLEEP_SECONDS_MIN && self.sleep(wanted).await;
        call.kind = ExprKind::Literal(Literal::Integer(u64::from(ended)));
        Ok(ended)
    }

    /// Waits; whether KILL has ended it.
    async fn sleep(&self, seconds: f64) -> bool {
        let _waiting = self.entry.waits("User sleep");
        let client = self.instance.config.client.clone();
        let mut pause = client.pause(Duration::from_secs_f64(seconds.min(SLEEP_SECONDS_MAX)));
        while !self.entry.cancel.load(Ordering::Acquire) {
            if tokio::time::timeout(CANCEL_LOOK, &mut pause).await.is_ok() {
                return false;
            }
        }
        true
    }

    /// KILL QUERY has ended a SLEEP: that was all of it.
    pub(super) fn forget_kill(&self) {
        self.entry.cancel.store(false, Ordering::Release);
    }
}
