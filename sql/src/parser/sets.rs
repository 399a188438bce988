//! Statements about sets: ON SETS and its relatives, and the comments of TDSQL that mean the same (`lexer::hint`).

use super::Parser;
use crate::ast::{ClusterPart, OnSets, ProxyListing, Show, Statement};
use crate::error::{Error, Result};
use crate::lexer::hint::{self, Hint};
use crate::lexer::{self, TokenKind};

impl Parser<'_> {
    /// A statement, as the comment before it wants it.
    pub(super) fn hinted_statement(&mut self) -> Result<Statement> {
        let start = self.token().span.start as usize;
        let before = self.text.get(..start).unwrap_or("");
        let Some((hint, at)) = hint::leading(before) else { return self.statement() };
        if hint::second(before, at) {
            return Err(Error::not_supported(
                "two comments before a statement that say where it runs: write one, such as /*sets:set_1,set_2*/",
            ));
        }
        let part = match hint {
            Hint::Proxy => return self.proxy_statement(),
            Hint::Sets(names) => {
                let names: Vec<String> =
                    names.split(',').map(|name| name.trim().to_string()).collect();
                names.iter().all(|name| !name.is_empty()).then_some(ClusterPart::Sets(names))
            }
            Hint::ShardKey(value) => {
                let is_string = value.len() > 1 && value.starts_with('\'') && value.ends_with('\'');
                let value = match is_string {
                    true => lexer::string_value(value, &self.mode),
                    false => value.to_string(),
                };
                (!value.is_empty() || is_string).then_some(ClusterPart::ShardKey(value))
            }
            Hint::ShardKeyHash(slot) => slot.parse().ok().map(ClusterPart::Slot),
        };
        // A part that nobody can name must not become the whole.
        let part = part.ok_or_else(|| self.error_at(at))?;
        Ok(Statement::OnSets(Box::new(OnSets { part, statement: self.statement()? })))
    }

    /// What stands behind `/*proxy*/`.
    fn proxy_statement(&mut self) -> Result<Statement> {
        let ends =
            |ahead: usize| matches!(self.kind_at(ahead), TokenKind::End | TokenKind::Semicolon);
        let filtered =
            |ahead: usize| ends(ahead) || self.is_at(ahead, "LIKE") || self.is_at(ahead, "WHERE");
        let listing = if self.is("HELP") && ends(1) {
            Some((ProxyListing::Help, 1))
        } else if self.are(&["SHOW", "CONFIG"]) && filtered(2) {
            Some((ProxyListing::Config, 2))
        } else if self.are(&["SHOW", "STATUS"]) && filtered(2) {
            Some((ProxyListing::Status, 2))
        } else {
            None
        };
        if let Some((listing, words)) = listing {
            self.at += words;
            let filter = self.show_filter()?;
            return Ok(Statement::Show(Show::Proxy { listing, filter }));
        }
        let mut statement = self.statement()?;
        if let Statement::Explain(explain) = &mut statement
            && explain.format.is_none()
            && !explain.analyze
        {
            explain.format = Some("TDSQL".to_string());
        }
        Ok(statement)
    }

    /// `ON SETS (…) statement`, `ON SHARDKEY (…) statement`, `ON SHARDKEY_HASH (…) statement`.
    #[inline(never)]
    pub(super) fn on_sets(&mut self) -> Result<Statement> {
        self.advance();
        let part = match self.accept_any(&["SETS", "SHARDKEY", "SHARDKEY_HASH"]) {
            Some("SETS") => ClusterPart::Sets(self.names()?),
            Some(word) => {
                self.expect_kind(TokenKind::LeftParen)?;
                let part = match (word, self.kind()) {
                    ("SHARDKEY", TokenKind::String) => ClusterPart::ShardKey(self.string()?),
                    ("SHARDKEY", _) => ClusterPart::ShardKey(self.number()?.to_string()),
                    _ => ClusterPart::Slot(self.number()?),
                };
                self.expect_kind(TokenKind::RightParen)?;
                part
            }
            None => return Err(self.error()),
        };
        Ok(Statement::OnSets(Box::new(OnSets { part, statement: self.statement()? })))
    }

    /// What stands behind SHOW PROXY.
    pub(super) fn show_proxy(&mut self) -> Result<Show> {
        let listing = match self.accept_any(&["HELP", "CONFIG", "STATUS"]) {
            Some("HELP") => ProxyListing::Help,
            Some("CONFIG") => ProxyListing::Config,
            Some(_) => ProxyListing::Status,
            None => return Err(self.error()),
        };
        Ok(Show::Proxy { listing, filter: self.show_filter()? })
    }
}
