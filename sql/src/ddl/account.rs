//! Accounts: CREATE, ALTER, DROP, RENAME USER and SET PASSWORD, and finding the one for a login.
//!
//! An account is a record of the meta shard, read at each login: no node caches a password.
//!
//! Not here: privileges. Every account has all of them today; GRANT and REVOKE say so.

use super::password;
use crate::ast::{AccountName, AccountSpec, AccountStatement, Identified, Secret};
use crate::catalog::store;
use crate::context::EvalContext;
use crate::instance::Account;
use crate::session::{Outcome, Session};
use crate::{Error, Result};
use base::limits::CONFLICT_RETRIES_MAX;
use std::sync::Arc;
use txn::command::Expect;
use txn::transaction::Mode;
use txn::{ShardClient, Transaction};

/// Longest user name, in characters.
const USER_CHARS_MAX: usize = 32;
/// Longest host name, in characters.
const HOST_CHARS_MAX: usize = 255;
/// Plugins that can check a password.
const PLUGINS: [&str; 2] = ["caching_sha2_password", "mysql_native_password"];

/// The account that a user of this host logs in with: the most specific host pattern wins, a named
/// user wins over the anonymous one.
pub(crate) async fn find(
    client: &Arc<dyn ShardClient>,
    user: &str,
    host: &str,
) -> Result<Option<Account>> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    Ok(best(store::accounts(&mut txn).await?, user, host))
}

/// Whether there is an account of exactly this name.
pub(crate) async fn exists(client: &Arc<dyn ShardClient>, user: &str, host: &str) -> Result<bool> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    let accounts = store::accounts(&mut txn).await?;
    Ok(accounts.iter().any(|account| account.user == user && account.host == host))
}

/// Who a stored object belongs to, user and host, and whether there is such an account. A session whose account is gone by now
/// goes by what it logged in as.
pub(super) async fn definer(
    session: &Session,
    name: Option<&AccountName>,
) -> Result<((String, String), bool)> {
    let mut txn = Transaction::begin(session.instance.config.client.clone(), Mode::Snapshot);
    let accounts = store::accounts(&mut txn).await?;
    let (user, host) = match name {
        Some(name) if name.user.is_some() => name_of(session, &accounts, name)?,
        _ => match best(accounts.clone(), &session.info.user, &session.info.host) {
            Some(account) => (account.user, account.host),
            None => (session.info.user.clone(), session.info.host.clone()),
        },
    };
    let is_known = accounts.iter().any(|account| account.user == user && account.host == host);
    Ok(((user, host), is_known))
}

fn best(mut accounts: Vec<Account>, user: &str, host: &str) -> Option<Account> {
    accounts.retain(|account| {
        (account.user == user || account.user.is_empty()) && host_matches(&account.host, host)
    });
    accounts.sort_by_key(|account| (specificity(&account.host), account.user.is_empty()));
    accounts.into_iter().next()
}

/// Lower is more specific: no wildcard, then the longer text before the first one.
fn specificity(pattern: &str) -> (bool, usize) {
    let wildcard = pattern.find(['%', '_']);
    (wildcard.is_some(), usize::MAX - wildcard.unwrap_or(pattern.len()))
}

/// Host patterns with `%` and `_`, in any case.
fn host_matches(pattern: &str, host: &str) -> bool {
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'%', rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
            Some((b'_', rest)) => !text.is_empty() && matches(rest, &text[1..]),
            Some((byte, rest)) => {
                text.first().is_some_and(|first| first.eq_ignore_ascii_case(byte))
                    && matches(rest, &text[1..])
            }
        }
    }
    matches(pattern.as_bytes(), host.as_bytes())
}

/// Runs a statement about accounts.
pub(crate) async fn run(session: &mut Session, statement: &AccountStatement) -> Result<Outcome> {
    let ctx = session.context(Vec::new());
    let no_roles = || Err(Error::not_supported("roles: every account has all privileges today"));
    let options = match statement {
        AccountStatement::Create { options, default_roles, .. } => {
            if !default_roles.is_empty() {
                return no_roles();
            }
            options
        }
        AccountStatement::Alter { options, .. } => options,
        AccountStatement::CreateRole { .. } | AccountStatement::DropRole { .. } => {
            return no_roles();
        }
        AccountStatement::Drop { .. } | AccountStatement::Rename(_) => "",
    };
    if !options.is_empty() {
        return Err(Error::not_supported(format!("account options ({options}): leave them out")));
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        match attempt_change(session, statement, &ctx).await {
            Err(error) if error.code == 1213 && attempt < CONFLICT_RETRIES_MAX => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(Outcome::done()),
        }
    }
}

async fn attempt_change(
    session: &Session,
    statement: &AccountStatement,
    ctx: &EvalContext,
) -> Result<()> {
    let client = session.instance.config.client.clone();
    let mut txn = Transaction::begin(client, Mode::Snapshot);
    let mut accounts = store::accounts(&mut txn).await?;
    let position = |accounts: &[Account], name: &(String, String)| {
        accounts.iter().position(|account| account.user == name.0 && account.host == name.1)
    };
    let mut failed = Vec::new();
    match statement {
        AccountStatement::Create { if_not_exists, accounts: specs, .. } => {
            for spec in specs {
                let name = name_of(session, &accounts, &spec.account)?;
                if position(&accounts, &name).is_some() {
                    failed.push(shown(&name));
                    continue;
                }
                let mut account = Account {
                    user: name.0,
                    host: name.1,
                    plugin: PLUGINS[0].to_string(),
                    authentication_string: Vec::new(),
                };
                identify(&mut account, spec)?;
                store::put_account(&mut txn, &account, Expect::Absent)?;
                accounts.push(account);
            }
            finish(&failed, "CREATE USER", *if_not_exists, ctx)?;
        }
        AccountStatement::Alter { if_exists, accounts: specs, .. } => {
            for spec in specs {
                let name = name_of(session, &accounts, &spec.account)?;
                let Some(at) = position(&accounts, &name) else {
                    failed.push(shown(&name));
                    continue;
                };
                let mut account = accounts[at].clone();
                identify(&mut account, spec)?;
                put_changed(&mut txn, &account)?;
            }
            finish(&failed, "ALTER USER", *if_exists, ctx)?;
        }
        AccountStatement::Drop { if_exists, accounts: names } => {
            for account in names {
                let name = name_of(session, &accounts, account)?;
                if position(&accounts, &name).is_none() {
                    failed.push(shown(&name));
                    continue;
                }
                store::drop_account(&mut txn, &name.0, &name.1)?;
                accounts.retain(|account| account.user != name.0 || account.host != name.1);
            }
            finish(&failed, "DROP USER", *if_exists, ctx)?;
            if accounts.is_empty() {
                return Err(Error::not_supported(
                    "dropping the last account: nobody could log in; create another one first",
                ));
            }
        }
        AccountStatement::Rename(pairs) => {
            for (from, to) in pairs {
                let (from, to) =
                    (name_of(session, &accounts, from)?, name_of(session, &accounts, to)?);
                match (position(&accounts, &from), position(&accounts, &to)) {
                    (Some(at), None) => {
                        store::drop_account(&mut txn, &from.0, &from.1)?;
                        accounts[at].user.clone_from(&to.0);
                        accounts[at].host.clone_from(&to.1);
                        store::put_account(&mut txn, &accounts[at], Expect::Absent)?;
                    }
                    _ => failed.push(shown(&from)),
                }
            }
            finish(&failed, "RENAME USER", false, ctx)?;
        }
        AccountStatement::CreateRole { .. } | AccountStatement::DropRole { .. } => {}
    }
    match txn.commit().await {
        Err(txn::Error::AlreadyExists { .. }) => Err(Error::deadlock()),
        other => Ok(other.map(drop)?),
    }
}

fn put_changed(txn: &mut Transaction, account: &Account) -> Result<()> {
    let read = txn.read_ts().map_or(Expect::Any, Expect::NotNewerThan);
    store::put_account(txn, account, read)
}

/// All names or none: 1396, unless IF [NOT] EXISTS makes it a note.
fn finish(failed: &[String], operation: &str, lenient: bool, ctx: &EvalContext) -> Result<()> {
    if failed.is_empty() {
        return Ok(());
    }
    let error = Error::cannot_user(operation, failed.join(","));
    if !lenient {
        return Err(error);
    }
    ctx.note(error);
    Ok(())
}

fn shown(name: &(String, String)) -> String {
    format!("'{}'@'{}'", name.0, name.1)
}

fn name_of(
    session: &Session,
    accounts: &[Account],
    name: &AccountName,
) -> Result<(String, String)> {
    let Some(user) = &name.user else {
        // CURRENT_USER: the account that this session logged in with.
        let account = best(accounts.to_vec(), &session.info.user, &session.info.host);
        let account = account.ok_or_else(Error::no_matching_user)?;
        return Ok((account.user, account.host));
    };
    if user.chars().count() > USER_CHARS_MAX || name.host.chars().count() > HOST_CHARS_MAX {
        return Err(Error::name_too_long(user, USER_CHARS_MAX));
    }
    Ok((user.clone(), name.host.to_ascii_lowercase()))
}

fn identify(account: &mut Account, spec: &AccountSpec) -> Result<()> {
    let Some(Identified { plugin, secret }) = &spec.identified else { return Ok(()) };
    if let Some(plugin) = plugin {
        let known = PLUGINS.iter().find(|known| known.eq_ignore_ascii_case(plugin));
        account.plugin = known.ok_or_else(|| Error::unknown_plugin(plugin))?.to_string();
    }
    account.authentication_string = match secret {
        None => Vec::new(),
        Some(Secret::Password(password)) => store_password(&account.plugin, password),
        Some(Secret::RandomPassword) => {
            return Err(Error::not_supported("RANDOM PASSWORD: choose one"));
        }
        Some(Secret::Stored(stored)) => {
            if !password::is_stored_form(&account.plugin, stored) {
                return Err(Error::wrong_password_hash());
            }
            stored.clone()
        }
    };
    Ok(())
}

fn store_password(plugin: &str, text: &str) -> Vec<u8> {
    if plugin == PLUGINS[1] { password::native(text) } else { password::sha2(text) }
}

/// SET PASSWORD.
pub(crate) async fn set_password(
    session: &mut Session,
    account: Option<&AccountName>,
    text: &str,
) -> Result<()> {
    let current = AccountName { user: None, host: String::new() };
    let client = session.instance.config.client.clone();
    let mut txn = Transaction::begin(client, Mode::Snapshot);
    let accounts = store::accounts(&mut txn).await?;
    let name = name_of(session, &accounts, account.unwrap_or(&current))?;
    let found = accounts.into_iter().find(|a| a.user == name.0 && a.host == name.1);
    let Some(mut account) = found else {
        return Err(Error::no_matching_user());
    };
    account.authentication_string = store_password(&account.plugin, text);
    put_changed(&mut txn, &account)?;
    txn.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_patterns_match_like_mysqls() {
        assert!(host_matches("%", "10.0.0.7"));
        assert!(host_matches("10.0.%", "10.0.0.7"));
        assert!(host_matches("LOCALHOST", "localhost"));
        assert!(!host_matches("10.0.%", "10.1.0.7"));
        assert!(specificity("10.0.0.7") < specificity("10.0.%"));
        assert!(specificity("10.0.%") < specificity("%"));
    }
}
