//! Accounts, roles, GRANT and REVOKE.

use super::Parser;
use crate::ast::{
    AccountName, AccountSpec, AccountStatement, Grant, GrantLevel, GrantObject, Identified,
    Privilege, PrivilegeName, Revoke, Secret, Statement, TableName,
};
use crate::error::Result;
use crate::lexer::{self, TokenKind};

/// First words of privileges that are not words of an account. Dynamic privileges have an underscore
/// or are listed here, too.
const PRIVILEGE_WORDS: [&str; 28] = [
    "ALL",
    "ALTER",
    "CREATE",
    "DELETE",
    "DROP",
    "EVENT",
    "EXECUTE",
    "FILE",
    "GRANT",
    "INDEX",
    "INSERT",
    "LOCK",
    "PROCESS",
    "PROXY",
    "REFERENCES",
    "RELOAD",
    "REPLICATION",
    "SELECT",
    "SHOW",
    "SHUTDOWN",
    "SUPER",
    "TRIGGER",
    "UPDATE",
    "USAGE",
    "CLONE_ADMIN",
    "XA_RECOVER_ADMIN",
    "SYSTEM_USER",
    "ROLE_ADMIN",
];

impl Parser<'_> {
    /// `'user'@'host'`, `user@host`, `user`, CURRENT_USER.
    pub(super) fn account_name(&mut self) -> Result<AccountName> {
        if self.accept_word("CURRENT_USER") {
            if self.accept_kind(TokenKind::LeftParen) {
                self.expect_kind(TokenKind::RightParen)?;
            }
            return Ok(AccountName { user: None, host: String::new() });
        }
        let user = Some(self.identifier_or_string()?);
        let host = match self.kind() {
            TokenKind::UserVariable => self.variable_name()?.to_ascii_lowercase(),
            TokenKind::At => {
                self.advance();
                self.identifier_or_string()?.to_ascii_lowercase()
            }
            _ => "%".to_string(),
        };
        Ok(AccountName { user, host })
    }

    fn account_spec(&mut self) -> Result<AccountSpec> {
        let account = self.account_name()?;
        let identified = match self.accept_word("IDENTIFIED") {
            true => Some(self.identified()?),
            false => None,
        };
        Ok(AccountSpec { account, identified })
    }

    fn identified(&mut self) -> Result<Identified> {
        let plugin = match self.accept_word("WITH") {
            true => Some(self.identifier_or_string()?),
            false => None,
        };
        let secret = if self.accept_word("BY") {
            if self.accept(&["RANDOM", "PASSWORD"]) {
                Some(Secret::RandomPassword)
            } else {
                Some(Secret::Password(self.string()?))
            }
        } else if plugin.is_some() && self.accept_word("AS") {
            let token = self.token();
            Some(Secret::Stored(match token.kind {
                TokenKind::Hex => {
                    self.advance();
                    lexer::bytes_value(self.source(token), false)
                }
                _ => self.string()?.into_bytes(),
            }))
        } else if plugin.is_none() {
            return Err(self.error());
        } else {
            None
        };
        // REPLACE 'old' and RETAIN CURRENT PASSWORD belong to the secret.
        if secret.is_some() {
            if self.accept_word("REPLACE") {
                self.string()?;
            }
            self.accept(&["RETAIN", "CURRENT", "PASSWORD"]);
        }
        Ok(Identified { plugin, secret })
    }

    /// CREATE USER, CREATE ROLE.
    pub(super) fn create_account(&mut self) -> Result<Statement> {
        let role = self.is_at(1, "ROLE");
        self.at += 2;
        let if_not_exists = self.if_not_exists();
        if role {
            let roles = self.list(Self::account_name)?;
            return Ok(Statement::Account(AccountStatement::CreateRole { if_not_exists, roles }));
        }
        let accounts = self.list(Self::account_spec)?;
        let default_roles = match self.accept(&["DEFAULT", "ROLE"]) {
            true => self.list(Self::account_name)?,
            false => Vec::new(),
        };
        let options = self.account_options()?;
        Ok(Statement::Account(AccountStatement::Create {
            if_not_exists,
            accounts,
            default_roles,
            options,
        }))
    }

    /// ALTER USER.
    pub(super) fn alter_account(&mut self) -> Result<Statement> {
        self.at += 2;
        let if_exists = self.if_exists();
        // `USER()` stands for the current account.
        let accounts = if self.accept_word("USER") {
            self.expect_kind(TokenKind::LeftParen)?;
            self.expect_kind(TokenKind::RightParen)?;
            self.expect_word("IDENTIFIED")?;
            let account = AccountName { user: None, host: String::new() };
            vec![AccountSpec { account, identified: Some(self.identified()?) }]
        } else {
            self.list(Self::account_spec)?
        };
        let options = self.account_options()?;
        Ok(Statement::Account(AccountStatement::Alter { if_exists, accounts, options }))
    }

    /// REQUIRE, WITH limits, PASSWORD and ACCOUNT options, COMMENT, ATTRIBUTE.
    fn account_options(&mut self) -> Result<String> {
        let words = [
            "REQUIRE",
            "WITH",
            "PASSWORD",
            "ACCOUNT",
            "COMMENT",
            "ATTRIBUTE",
            "DEFAULT",
            "FAILED_LOGIN_ATTEMPTS",
            "PASSWORD_LOCK_TIME",
            "DISCARD",
            "ADD",
            "MODIFY",
            "DROP",
        ];
        if self.is_any(&words) { self.rest_of_statement() } else { Ok(String::new()) }
    }

    /// DROP USER, DROP ROLE.
    pub(super) fn drop_account(&mut self) -> Result<Statement> {
        let role = self.is_at(1, "ROLE");
        self.at += 2;
        let if_exists = self.if_exists();
        let accounts = self.list(Self::account_name)?;
        Ok(Statement::Account(match role {
            true => AccountStatement::DropRole { if_exists, roles: accounts },
            false => AccountStatement::Drop { if_exists, accounts },
        }))
    }

    /// RENAME USER.
    pub(super) fn rename_account(&mut self) -> Result<Statement> {
        self.at += 2;
        let pairs = self.list(|parser| {
            let old = parser.account_name()?;
            parser.expect_word("TO")?;
            Ok((old, parser.account_name()?))
        })?;
        Ok(Statement::Account(AccountStatement::Rename(pairs)))
    }

    /// GRANT.
    #[inline(never)]
    pub(super) fn grant(&mut self) -> Result<Statement> {
        self.advance();
        let privileges = self.list(Self::privilege)?;
        let on = self.grant_object()?;
        self.expect_word("TO")?;
        let to = self.list(Self::account_spec)?;
        let grant_option =
            self.accept(&["WITH", "GRANT", "OPTION"]) || self.accept(&["WITH", "ADMIN", "OPTION"]);
        if self.accept_word("AS") {
            // The account in whose name is granted, WITH ROLE …: without effect here.
            self.rest_of_statement()?;
        }
        Ok(Statement::Grant(Grant { privileges, on, to, grant_option }))
    }

    /// REVOKE.
    #[inline(never)]
    pub(super) fn revoke(&mut self) -> Result<Statement> {
        self.advance();
        let if_exists = self.if_exists();
        let privileges = self.list(Self::privilege)?;
        let on = self.grant_object()?;
        self.expect_word("FROM")?;
        let from = self.list(Self::account_name)?;
        let ignore_unknown_user = self.accept(&["IGNORE", "UNKNOWN", "USER"]);
        Ok(Statement::Revoke(Revoke { if_exists, privileges, on, from, ignore_unknown_user }))
    }

    fn privilege(&mut self) -> Result<Privilege> {
        let word = self.upper();
        let dynamic = word.contains('_') && self.kind_at(1) != TokenKind::UserVariable;
        if !PRIVILEGE_WORDS.contains(&word.as_str()) && !dynamic {
            let role = self.account_name()?;
            return Ok(Privilege { name: PrivilegeName::Role(role), columns: Vec::new() });
        }
        let mut words = vec![word];
        self.advance();
        while !self.is_any(&["ON", "TO", "FROM"]) && !self.upper().is_empty() {
            words.push(self.upper());
            self.advance();
        }
        let columns = match self.kind() {
            TokenKind::LeftParen => self.names()?,
            _ => Vec::new(),
        };
        let mut name = words.join(" ");
        if name == "ALL" {
            name = "ALL PRIVILEGES".to_string();
        }
        Ok(Privilege { name: PrivilegeName::Words(name), columns })
    }

    /// ON [TABLE | FUNCTION | PROCEDURE] level; ON account for PROXY.
    fn grant_object(&mut self) -> Result<Option<GrantObject>> {
        if !self.accept_word("ON") {
            return Ok(None);
        }
        let kind = self.accept_any(&["TABLE", "FUNCTION", "PROCEDURE"]).map(str::to_string);
        if self.accept_kind(TokenKind::Star) {
            let level = match self.accept_kind(TokenKind::Dot) {
                true => {
                    self.expect_kind(TokenKind::Star)?;
                    GrantLevel::Global
                }
                false => GrantLevel::DefaultDatabase,
            };
            return Ok(Some(GrantObject { kind, level }));
        }
        if self.kind() == TokenKind::String || self.kind_at(1) == TokenKind::UserVariable {
            // GRANT PROXY ON account.
            let account = self.account_name()?;
            let name = TableName { database: account.user, name: account.host };
            let kind = Some("PROXY".to_string());
            return Ok(Some(GrantObject { kind, level: GrantLevel::Table(name) }));
        }
        let first = self.identifier()?;
        let level = if !self.accept_kind(TokenKind::Dot) {
            GrantLevel::Table(TableName { database: None, name: first })
        } else if self.accept_kind(TokenKind::Star) {
            GrantLevel::Database(first)
        } else {
            GrantLevel::Table(TableName { database: Some(first), name: self.identifier()? })
        };
        Ok(Some(GrantObject { kind, level }))
    }
}
