//! BEGIN, COMMIT, ROLLBACK, savepoints.

use super::Parser;
use crate::ast::{AccessMode, Begin, Completion, Statement};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// A statement about transactions, by its first word.
    #[inline(never)]
    pub(super) fn transaction(&mut self) -> Result<Statement> {
        let word = self.upper();
        if word == "START" && self.is_any_at(1, &["REPLICA", "SLAVE", "GROUP_REPLICATION"]) {
            return Ok(self.unsupported(2));
        }
        self.advance();
        match word.as_str() {
            "BEGIN" => {
                self.accept_word("WORK");
                Ok(Statement::Begin(Begin::default()))
            }
            "START" => self.start_transaction(),
            "COMMIT" => {
                self.accept_word("WORK");
                Ok(Statement::Commit(self.completion()?))
            }
            "ROLLBACK" => {
                self.accept_word("WORK");
                if self.accept_word("TO") {
                    self.accept_word("SAVEPOINT");
                    return Ok(Statement::RollbackTo(self.identifier()?));
                }
                Ok(Statement::Rollback(self.completion()?))
            }
            "SAVEPOINT" => Ok(Statement::Savepoint(self.identifier()?)),
            _ => {
                self.expect_word("SAVEPOINT")?;
                Ok(Statement::ReleaseSavepoint(self.identifier()?))
            }
        }
    }

    pub(super) fn is_any_at(&self, ahead: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_at(ahead, word))
    }

    fn start_transaction(&mut self) -> Result<Statement> {
        self.expect_word("TRANSACTION")?;
        let mut begin = Begin::default();
        if matches!(self.kind(), TokenKind::End | TokenKind::Semicolon) {
            return Ok(Statement::Begin(begin));
        }
        loop {
            if self.accept(&["WITH", "CONSISTENT", "SNAPSHOT"]) {
                begin.consistent_snapshot = true;
            } else if begin.access.is_none() {
                begin.access = Some(self.access_mode()?);
                if begin.access == Some(AccessMode::ReadOnly) {
                    begin.as_of = self.as_of()?;
                }
            } else {
                return Err(self.error());
            }
            if !self.accept_kind(TokenKind::Comma) {
                return Ok(Statement::Begin(begin));
            }
        }
    }

    /// `[AND [NO] CHAIN] [[NO] RELEASE]`.
    fn completion(&mut self) -> Result<Completion> {
        let mut completion = Completion::default();
        if self.accept_word("AND") {
            completion.chain = Some(!self.accept_word("NO"));
            self.expect_word("CHAIN")?;
        }
        if self.accept(&["NO", "RELEASE"]) {
            completion.release = Some(false);
        } else if self.is("RELEASE") {
            // A chained transaction needs its connection.
            if completion.chain == Some(true) {
                return Err(self.error());
            }
            self.advance();
            completion.release = Some(true);
        }
        Ok(completion)
    }
}
