//! SET: system variables, user variables, names, transactions, passwords.

use super::Parser;
use crate::ast::{
    AccessMode, ExprKind, IsolationLevel, SetItem, SetValue, Statement, VariableScope,
};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// SET …
    #[inline(never)]
    pub(super) fn set(&mut self) -> Result<Statement> {
        self.advance();
        if self.is_set_of_something_else() {
            return Ok(Statement::Set(vec![SetItem::Other(self.rest_of_statement()?)]));
        }
        let start = self.at;
        let scope = self.scope_word();
        if self.accept_word("TRANSACTION") {
            return Ok(Statement::Set(vec![self.set_transaction(scope)?]));
        }
        self.at = start;
        // A scope holds for the following items that name none.
        let mut last_scope = None;
        let items = self.list(|parser| parser.set_item(&mut last_scope))?;
        Ok(Statement::Set(items))
    }

    /// `RESET PERSIST [[IF EXISTS] name]`.
    pub(super) fn reset_persist(&mut self) -> Result<Statement> {
        self.advance();
        self.advance();
        let if_exists = self.accept(&["IF", "EXISTS"]);
        let name = match if_exists || self.is_identifier() {
            true => Some(self.identifier()?),
            false => None,
        };
        Ok(Statement::Set(vec![SetItem::ResetPersist { if_exists, name }]))
    }

    /// SET ROLE, SET DEFAULT ROLE, SET RESOURCE GROUP: no assignment follows the word.
    fn is_set_of_something_else(&self) -> bool {
        let assigned = |ahead| {
            matches!(self.kind_at(ahead), TokenKind::Equal | TokenKind::Assign | TokenKind::Dot)
        };
        (self.is("ROLE") && !assigned(1))
            || self.are(&["DEFAULT", "ROLE"])
            || self.are(&["RESOURCE", "GROUP"])
    }

    /// GLOBAL, SESSION, … before a name (not: a variable of that name).
    fn scope_word(&mut self) -> Option<VariableScope> {
        let follows =
            matches!(self.kind_at(1), TokenKind::Word | TokenKind::Quoted | TokenKind::Reserved);
        if !follows {
            return None;
        }
        let scope = scope_of(&self.upper())?;
        self.advance();
        Some(scope)
    }

    /// `name` or `scope.name` after `@@`.
    pub(super) fn scoped_variable(&mut self) -> Result<(Option<VariableScope>, String)> {
        let scope = match self.kind_at(1) {
            TokenKind::Dot => scope_of(&self.upper()),
            _ => None,
        };
        if scope.is_some() {
            self.at += 2;
        }
        Ok((scope, self.variable_path()?))
    }

    /// A variable's name with the dots that a component's has.
    fn variable_path(&mut self) -> Result<String> {
        let mut name = match self.kind() {
            // Some variables are named like reserved words.
            TokenKind::Reserved => {
                let name = self.source(self.token()).to_string();
                self.advance();
                name
            }
            _ => self.identifier()?,
        };
        while self.accept_kind(TokenKind::Dot) {
            name.push('.');
            name.push_str(&self.identifier()?);
        }
        Ok(name)
    }

    fn set_item(&mut self, last_scope: &mut Option<VariableScope>) -> Result<SetItem> {
        match self.kind() {
            TokenKind::UserVariable => {
                let name = self.variable_name()?;
                self.assignment_sign()?;
                return Ok(SetItem::User { name, value: self.expr()? });
            }
            TokenKind::AtAt => {
                self.advance();
                let (scope, name) = self.scoped_variable()?;
                self.assignment_sign()?;
                return Ok(SetItem::System { scope, name, value: self.set_value()? });
            }
            _ => {}
        }
        let assigned = matches!(self.kind_at(1), TokenKind::Equal | TokenKind::Assign);
        if !assigned {
            if self.accept_word("NAMES") {
                return self.set_names();
            }
            if self.accept_charset_words() {
                let charset = match self.accept_word("DEFAULT") {
                    true => None,
                    false => Some(self.charset_name()?),
                };
                return Ok(SetItem::CharacterSet(charset));
            }
        }
        if self.is("PASSWORD") {
            return self.set_password();
        }
        if let Some(scope) = self.scope_word() {
            *last_scope = Some(scope);
        }
        let name = self.variable_path()?;
        self.assignment_sign()?;
        if self.in_program && last_scope.is_none() {
            return Ok(SetItem::Named { name, value: self.set_value()? });
        }
        Ok(SetItem::System { scope: *last_scope, name, value: self.set_value()? })
    }

    fn assignment_sign(&mut self) -> Result<()> {
        if self.accept_kind(TokenKind::Assign) {
            return Ok(());
        }
        self.expect_kind(TokenKind::Equal)
    }

    fn set_value(&mut self) -> Result<SetValue> {
        let ends =
            matches!(self.kind_at(1), TokenKind::Comma | TokenKind::End | TokenKind::Semicolon);
        if ends && self.kind() == TokenKind::Reserved {
            let word = self.upper();
            match word.as_str() {
                "DEFAULT" => {
                    self.advance();
                    return Ok(SetValue::Default);
                }
                "ON" | "ALL" | "BINARY" | "ROW" | "SYSTEM" => {
                    let written = self.source(self.token()).to_string();
                    self.advance();
                    return Ok(SetValue::Word(written));
                }
                _ => {}
            }
        }
        let expr = self.expr()?;
        Ok(match expr.kind {
            ExprKind::Column(column) if column.table.is_none() => SetValue::Word(column.column),
            _ => SetValue::Expr(expr),
        })
    }

    fn set_names(&mut self) -> Result<SetItem> {
        if self.accept_word("DEFAULT") {
            return Ok(SetItem::Names { charset: None, collation: None });
        }
        let charset = Some(self.charset_name()?);
        let collation = match self.accept_word("COLLATE") {
            true if self.accept_word("DEFAULT") => None,
            true => Some(self.charset_name()?),
            false => None,
        };
        Ok(SetItem::Names { charset, collation })
    }

    fn set_password(&mut self) -> Result<SetItem> {
        let start = self.at;
        self.advance();
        let account = match self.accept_word("FOR") {
            true => Some(self.account_name()?),
            false => None,
        };
        if self.is("TO") {
            self.at = start;
            return Ok(SetItem::Other(self.rest_of_statement()?));
        }
        self.assignment_sign()?;
        let password = self.string()?;
        Ok(SetItem::Password { account, password })
    }

    fn set_transaction(&mut self, scope: Option<VariableScope>) -> Result<SetItem> {
        let (mut isolation, mut access, mut as_of) = (None, None, None);
        loop {
            if isolation.is_none() && self.accept(&["ISOLATION", "LEVEL"]) {
                isolation = Some(self.isolation_level()?);
            } else if access.is_none() {
                access = Some(self.access_mode()?);
                if access == Some(AccessMode::ReadOnly) {
                    as_of = self.as_of()?;
                }
            } else {
                return Err(self.error());
            }
            if !self.accept_kind(TokenKind::Comma) {
                return Ok(SetItem::Transaction { scope, isolation, access, as_of });
            }
        }
    }

    fn isolation_level(&mut self) -> Result<IsolationLevel> {
        if self.accept(&["READ", "UNCOMMITTED"]) {
            Ok(IsolationLevel::ReadUncommitted)
        } else if self.accept(&["READ", "COMMITTED"]) {
            Ok(IsolationLevel::ReadCommitted)
        } else if self.accept(&["REPEATABLE", "READ"]) {
            Ok(IsolationLevel::RepeatableRead)
        } else {
            self.expect_word("SERIALIZABLE")?;
            Ok(IsolationLevel::Serializable)
        }
    }

    /// READ WRITE or READ ONLY.
    pub(super) fn access_mode(&mut self) -> Result<AccessMode> {
        self.expect_word("READ")?;
        match self.accept_any(&["WRITE", "ONLY"]) {
            Some("WRITE") => Ok(AccessMode::ReadWrite),
            Some(_) => Ok(AccessMode::ReadOnly),
            None => Err(self.error()),
        }
    }
}

fn scope_of(word: &str) -> Option<VariableScope> {
    Some(match word {
        "GLOBAL" => VariableScope::Global,
        "SESSION" | "LOCAL" => VariableScope::Session,
        "PERSIST" => VariableScope::Persist,
        "PERSIST_ONLY" => VariableScope::PersistOnly,
        _ => return None,
    })
}
