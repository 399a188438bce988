//! CREATE, ALTER, DROP VIEW, and the clauses that views share with routines (DEFINER, SQL SECURITY).
//!
//! Which object CREATE makes shows only behind these clauses, so [`Parser::create_stored`] reads them first.

use super::Parser;
use crate::ast::{
    AccountName, CheckOption, SqlSecurity, Statement, ViewAlgorithm, ViewDefinition, ViewStatement,
};
use crate::error::{Error, Result};
use crate::lexer::TokenKind;

/// What may stand between CREATE or ALTER and the kind of a stored object.
#[derive(Default)]
struct Prefix {
    or_replace: bool,
    algorithm: Option<ViewAlgorithm>,
    definer: Option<AccountName>,
    security: Option<SqlSecurity>,
}

impl Prefix {
    /// Whether all that was said may stand before something else than a view.
    fn is_of_programs(&self) -> bool {
        !self.or_replace && self.algorithm.is_none() && self.security.is_none()
    }
}

impl Parser<'_> {
    /// CREATE of a view, a routine, a trigger or an event; CREATE is the next word.
    #[inline(never)]
    pub(super) fn create_stored(&mut self) -> Result<Statement> {
        self.advance();
        let prefix = self.stored_prefix(true)?;
        if self.is("VIEW") {
            let or_replace = prefix.or_replace;
            let view = self.view_definition(prefix)?;
            return Ok(view_statement(ViewStatement::Create { or_replace, view }));
        }
        if !prefix.is_of_programs() {
            return Err(self.error());
        }
        self.create_program(prefix.definer)
    }

    /// ALTER of a view or an event; ALTER is the next word.
    #[inline(never)]
    pub(super) fn alter_stored(&mut self) -> Result<Statement> {
        self.advance();
        let prefix = self.stored_prefix(false)?;
        if self.is("VIEW") {
            let view = self.view_definition(prefix)?;
            return Ok(view_statement(ViewStatement::Alter(view)));
        }
        if !prefix.is_of_programs() {
            return Err(self.error());
        }
        self.alter_event(prefix.definer)
    }

    /// DROP VIEW.
    pub(super) fn drop_view(&mut self) -> Result<Statement> {
        self.at += 2;
        let if_exists = self.if_exists();
        let names = self.list(Self::table_name)?;
        self.accept_any(&["RESTRICT", "CASCADE"]);
        Ok(view_statement(ViewStatement::Drop { if_exists, names }))
    }

    /// `[OR REPLACE] [ALGORITHM = …] [DEFINER = account] [SQL SECURITY …]`.
    fn stored_prefix(&mut self, may_replace: bool) -> Result<Prefix> {
        let mut prefix = Prefix {
            or_replace: may_replace && self.accept(&["OR", "REPLACE"]),
            ..Prefix::default()
        };
        if self.accept_word("ALGORITHM") {
            self.expect_kind(TokenKind::Equal)?;
            let word = self.upper();
            let known = ViewAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == word);
            prefix.algorithm = Some(known.ok_or_else(|| self.error())?);
            self.advance();
        }
        if self.accept_word("DEFINER") {
            self.expect_kind(TokenKind::Equal)?;
            prefix.definer = Some(self.account_name()?);
        }
        prefix.security = self.sql_security()?;
        Ok(prefix)
    }

    /// `SQL SECURITY DEFINER | INVOKER`, when it comes next.
    pub(super) fn sql_security(&mut self) -> Result<Option<SqlSecurity>> {
        if !self.accept(&["SQL", "SECURITY"]) {
            return Ok(None);
        }
        match self.accept_any(&["DEFINER", "INVOKER"]) {
            Some("DEFINER") => Ok(Some(SqlSecurity::Definer)),
            Some(_) => Ok(Some(SqlSecurity::Invoker)),
            None => Err(self.error()),
        }
    }

    /// From the word VIEW on.
    fn view_definition(&mut self, prefix: Prefix) -> Result<ViewDefinition> {
        self.expect_word("VIEW")?;
        let name = self.table_name()?;
        let columns = match self.kind() {
            TokenKind::LeftParen => self.names()?,
            _ => Vec::new(),
        };
        self.expect_word("AS")?;
        if !self.starts_query() && self.kind() != TokenKind::LeftParen {
            return Err(self.error());
        }
        let query = self.boxed_query()?;
        if query.into.is_some() {
            return Err(Error::view_select_clause("INTO"));
        }
        let check = self.check_option()?;
        let Prefix { algorithm, definer, security, .. } = prefix;
        Ok(ViewDefinition { algorithm, definer, security, name, columns, query, check })
    }

    /// `WITH [CASCADED | LOCAL] CHECK OPTION`.
    fn check_option(&mut self) -> Result<Option<CheckOption>> {
        if !self.accept_word("WITH") {
            return Ok(None);
        }
        let check = match self.accept_any(&["CASCADED", "LOCAL"]) {
            Some("LOCAL") => CheckOption::Local,
            _ => CheckOption::Cascaded,
        };
        self.expect(&["CHECK", "OPTION"])?;
        Ok(Some(check))
    }
}

fn view_statement(statement: ViewStatement) -> Statement {
    Statement::View(Box::new(statement))
}
