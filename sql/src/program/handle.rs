//! Handlers: which one handles a condition, and what becomes of the program then.
//!
//! ```text
//! BEGIN                                    scope 0
//!   DECLARE EXIT HANDLER FOR 1062 …;
//!   BEGIN                                  scope 1   hidden while the handler runs
//!     INSERT …  -- 1062 ──> handler of scope 0 runs, then scope 0 is left
//! ```
//!
//! Of one block the most exact handler counts: number, then SQLSTATE, then class.

use super::condition::Condition;
use super::frame::Handler;
use super::run::{Flow, Raise, Run, Stepped};
use crate::Error;
use crate::context::Level;

impl<'a> Run<'a> {
    /// What becomes of an error.
    pub(super) async fn raise(&mut self, condition: Condition) -> Stepped<'a> {
        self.current = vec![condition.clone()];
        if condition.code == Error::interrupted().code {
            return Err(Raise::Unhandled(condition));
        }
        match self.find(&condition) {
            Some((at, handler)) => self.handle(at, handler, condition).await,
            None => Err(Raise::Unhandled(condition)),
        }
    }

    /// What becomes of what a statement has met that did not fail.
    pub(super) async fn noticed(&mut self, conditions: Vec<Condition>) -> Stepped<'a> {
        self.current = conditions;
        let last = self.current.iter().rev().find_map(|condition| {
            let found = (condition.level == Level::Warning).then(|| self.find(condition))??;
            Some((found, condition.clone()))
        });
        match last {
            Some(((at, handler), condition)) => self.handle(at, handler, condition).await,
            None => Ok(Flow::Next),
        }
    }

    /// The handler of a condition, and the depth of its block.
    fn find(&self, condition: &Condition) -> Option<(usize, Handler<'a>)> {
        let named = |name: &str| self.frame.condition(name);
        for (at, scope) in self.frame.scopes.iter().enumerate().rev() {
            if scope.unhandling > 0 {
                continue;
            }
            let ranked = scope.handlers.iter().filter_map(|handler| {
                let ranks = handler.conditions.iter();
                let best = ranks.filter_map(|wanted| condition.rank(wanted, &named)).max()?;
                Some((best, handler))
            });
            if let Some((_, handler)) = ranked.max_by_key(|(rank, _)| *rank) {
                return Some((at, *handler));
            }
        }
        None
    }

    /// Runs a handler of the block at depth `at`.
    async fn handle(
        &mut self,
        at: usize,
        handler: Handler<'a>,
        condition: Condition,
    ) -> Stepped<'a> {
        let depth = self.frame.scopes.len();
        for scope in &mut self.frame.scopes[at..] {
            scope.unhandling += 1;
        }
        for scope in &mut self.frame.scopes[at + 1..] {
            scope.hidden += 1;
        }
        self.stacked.push(vec![condition]);
        let flow = self.step(handler.step).await;
        self.stacked.pop();
        for scope in &mut self.frame.scopes[at..depth] {
            scope.unhandling -= 1;
        }
        for scope in &mut self.frame.scopes[at + 1..depth] {
            scope.hidden -= 1;
        }
        match flow? {
            Flow::Next if handler.exit => Ok(Flow::Exit(at)),
            other => Ok(other),
        }
    }
}
