//! Accounts, roles and privileges.

use super::TableName;

/// `'user'@'host'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountName {
    /// The user; `None` for CURRENT_USER.
    pub user: Option<String>,
    /// The host; `%` when it is not named.
    pub host: String,
}

impl std::fmt::Display for AccountName {
    /// As error messages name it: `'user'@'host'`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.user {
            Some(user) => write!(f, "'{user}'@'{}'", self.host),
            None => f.write_str("CURRENT_USER()"),
        }
    }
}

/// CREATE, ALTER, DROP, RENAME of accounts and roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountStatement {
    /// CREATE USER.
    Create {
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The accounts.
        accounts: Vec<AccountSpec>,
        /// DEFAULT ROLE.
        default_roles: Vec<AccountName>,
        /// Text of REQUIRE, WITH limits, PASSWORD … options; empty when there are none.
        options: String,
    },
    /// ALTER USER.
    Alter {
        /// IF EXISTS.
        if_exists: bool,
        /// The accounts.
        accounts: Vec<AccountSpec>,
        /// Text of REQUIRE, WITH limits, PASSWORD … options; empty when there are none.
        options: String,
    },
    /// DROP USER.
    Drop {
        /// IF EXISTS.
        if_exists: bool,
        /// The accounts.
        accounts: Vec<AccountName>,
    },
    /// RENAME USER.
    Rename(
        /// Pairs of old and new name.
        Vec<(AccountName, AccountName)>,
    ),
    /// CREATE ROLE.
    CreateRole {
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The roles.
        roles: Vec<AccountName>,
    },
    /// DROP ROLE.
    DropRole {
        /// IF EXISTS.
        if_exists: bool,
        /// The roles.
        roles: Vec<AccountName>,
    },
}

/// An account and how it logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSpec {
    /// The account.
    pub account: AccountName,
    /// IDENTIFIED …
    pub identified: Option<Identified>,
}

/// IDENTIFIED [WITH plugin] BY 'password' | AS 'hash'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// WITH plugin; the default plugin when `None`.
    pub plugin: Option<String>,
    /// The secret, when one is given.
    pub secret: Option<Secret>,
}

/// What IDENTIFIED gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// BY: a password in clear.
    Password(String),
    /// BY RANDOM PASSWORD.
    RandomPassword,
    /// AS: what the plugin stores, as bytes (a string or a hexadecimal literal).
    Stored(Vec<u8>),
}

/// GRANT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What is given.
    pub privileges: Vec<Privilege>,
    /// ON; `None` when roles are granted or for PROXY.
    pub on: Option<GrantObject>,
    /// To whom.
    pub to: Vec<AccountSpec>,
    /// WITH GRANT OPTION (or WITH ADMIN OPTION for roles).
    pub grant_option: bool,
}

/// REVOKE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// IF EXISTS.
    pub if_exists: bool,
    /// What is taken.
    pub privileges: Vec<Privilege>,
    /// ON; `None` when roles (or everything) are taken.
    pub on: Option<GrantObject>,
    /// From whom.
    pub from: Vec<AccountName>,
    /// IGNORE UNKNOWN USER.
    pub ignore_unknown_user: bool,
}

/// A privilege or a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// A privilege's words in capitals (`SELECT`, `ALL PRIVILEGES`, `GRANT OPTION`), or a role.
    pub name: PrivilegeName,
    /// The columns it is limited to; all when empty.
    pub columns: Vec<String>,
}

/// What a grant gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivilegeName {
    /// Words in capitals.
    Words(String),
    /// A role.
    Role(AccountName),
}

/// ON of GRANT and REVOKE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantObject {
    /// TABLE, FUNCTION or PROCEDURE, when it is said.
    pub kind: Option<String>,
    /// Everything (`*.*`), a database (`db.*`), or a table.
    pub level: GrantLevel,
}

/// What a privilege is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantLevel {
    /// `*.*`.
    Global,
    /// `*`: the default database.
    DefaultDatabase,
    /// `database.*`.
    Database(String),
    /// `database.table` or `table`.
    Table(TableName),
}
