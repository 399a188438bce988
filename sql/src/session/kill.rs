//! KILL: which connection a value names, and what a session is told that names itself.
//!
//! The number may be any expression. MySQL cuts it to 32 bits and so may end somebody else's connection; here a number that
//! no connection can have is told as it was given (1094).

use super::connection::Session;
use crate::ast;
use crate::context::EvalContext;
use crate::types::convert;
use crate::value::Value;
use crate::{Error, Result};

impl Session {
    /// KILL; `query_only` for KILL QUERY. Whoever kills itself is interrupted like everybody else.
    pub(super) async fn kill(
        &mut self,
        query_only: bool,
        id: &ast::Expr,
        params: Vec<Value>,
    ) -> Result<()> {
        let values = self.evaluate(std::slice::from_ref(id), params).await?;
        let ctx = self.context(Vec::new());
        let number = number_of(values.first(), &ctx)?;
        let Ok(id) = u32::try_from(number) else { return Err(Error::no_such_thread(number)) };
        self.instance.kill_anywhere(id, !query_only).await?;
        if id == self.info.connection_id {
            return Err(Error::interrupted());
        }
        Ok(())
    }
}

/// The number that a value is, as in MySQL: 0 for NULL and for text without digits.
fn number_of(value: Option<&Value>, ctx: &EvalContext) -> Result<i128> {
    let Some(value) = value else { return Ok(0) };
    match value.as_integer() {
        Some(number) => Ok(number),
        None => Ok(convert::to_double(value, ctx)?.round_ties_even() as i128),
    }
}
