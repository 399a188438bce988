//! Reads at followers: the comment `/*slave*/`, and the variable `replica_read`.
//!
//! ```text
//! /*slave*/ SELECT …              at a follower, else at the leader
//! /*slave:20*/ SELECT …           what is read is at most 20 seconds old
//! /*slave:slaveonly*/ SELECT …    at a follower, else error 9012
//! /*slave:slaveonly,20*/ SELECT …
//! SET SESSION replica_read = 'follower' | 'follower_only' | 'leader', replica_read_max_lag = 20
//! ```
//!
//! The read point is chosen so that followers answer without a message, if such a point is young enough; else it is now, and
//! they ask their leaders (`ShardClient::closed_timestamp`). All shards are read at it, so the query sees one snapshot, whoever
//! answers. It is never before the catalog's own read point: the rows fit the definitions that the query was bound to.
//!
//! Only a SELECT that commits by itself is read so. Inside of a transaction leaders answer, as what it has written must be seen.
//!
//! Not here: why a follower may answer (`txn::closed`), which one does (`txn::FollowerClient` and the node's client).

use super::connection::Session;
use super::transaction::SharedTransaction;
use crate::ast::Statement;
use crate::binder::Sources;
use crate::catalog::Catalog;
use crate::{Error, Result};
use base::Timestamp;
use base::limits::{FOLLOWER_READ_LAG_DEFAULT, FOLLOWER_READ_LAG_MAX};
use std::sync::Arc;
use std::time::Duration;
use txn::{FollowerClient, Otherwise, Transaction};

/// What a comment before a statement asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplicaHint {
    /// The leader is not to be asked.
    only: bool,
    /// Seconds; 0 for the default.
    lag_s: u64,
}

/// How a statement wants to be read.
struct Wish {
    /// The leader is not to be asked.
    only: bool,
    /// How old what is read may be.
    lag_max: Duration,
    /// Whether the statement itself says so, and not its session.
    hinted: bool,
}

/// The hint before a statement, if there is one: a comment that begins with `slave`, without blanks inside.
///
/// # Errors
/// 1235 for one that cannot be read.
pub(crate) fn hint_of(sql: &str) -> Result<Option<ReplicaHint>> {
    let mut rest = sql.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("/*") {
            let Some((inside, after)) = comment.split_once("*/") else { return Ok(None) };
            // What is read of the statement itself.
            if inside.starts_with(['!', '+']) {
                return Ok(None);
            }
            if let Some(hint) = hint_in(inside)? {
                return Ok(Some(hint));
            }
            rest = after.trim_start();
        } else if rest.starts_with('#') || is_line_comment(rest) {
            let Some((_, after)) = rest.split_once('\n') else { return Ok(None) };
            rest = after.trim_start();
        } else {
            return Ok(None);
        }
    }
}

/// Whether a text begins with two dashes that make its line a comment.
fn is_line_comment(text: &str) -> bool {
    let after = text.strip_prefix("--");
    after.is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace))
}

/// The hint in a comment, if it is one.
fn hint_in(comment: &str) -> Result<Option<ReplicaHint>> {
    if comment == "slave" {
        return Ok(Some(ReplicaHint { only: false, lag_s: 0 }));
    }
    let Some(options) = comment.strip_prefix("slave:") else { return Ok(None) };
    let (only, lag) = match options.strip_prefix("slaveonly") {
        None => (false, options),
        Some("") => (true, "0"),
        Some(rest) => (true, rest.strip_prefix(',').unwrap_or("")),
    };
    let is_number = !lag.is_empty() && lag.bytes().all(|byte| byte.is_ascii_digit());
    match lag.parse() {
        Ok(lag_s) if is_number => Ok(Some(ReplicaHint { only, lag_s })),
        Ok(_) | Err(_) => Err(Error::not_supported(format!(
            "/*slave:{options}*/: write /*slave*/, /*slave:20*/, /*slave:slaveonly*/ or /*slave:slaveonly,20*/, without blanks \
             and with the lag in seconds"
        ))),
    }
}

/// How old what is read may be, from its seconds; 0 is the default.
fn lag_of(seconds: u64) -> Duration {
    match seconds {
        0 => FOLLOWER_READ_LAG_DEFAULT,
        seconds => Duration::from_secs(seconds).min(FOLLOWER_READ_LAG_MAX),
    }
}

/// The error for a statement that a hint cannot be given to.
pub(crate) fn only_select(statement: &Statement) -> Error {
    Error::not_supported(match statement {
        Statement::OnSets(_) => {
            "/*slave*/ together with sets: leave it out, and SET SESSION replica_read = 'follower' for a SELECT on sets"
        }
        _ => {
            "/*slave*/ before another statement than SELECT: leave it out, only SELECT is read at followers"
        }
    })
}

impl Session {
    /// Whether queries may be read at followers, as far as that can be said without looking at them.
    pub(crate) fn may_read_followers(&self) -> bool {
        self.replica_wish().is_some()
    }

    fn replica_wish(&self) -> Option<Wish> {
        if let Some(ReplicaHint { only, lag_s }) = self.replica_hint {
            return Some(Wish { only, lag_max: lag_of(lag_s), hinted: true });
        }
        let only = self.variables.reads_followers_only()?;
        let lag_max = lag_of(self.variables.number("replica_read_max_lag"));
        Some(Wish { only, lag_max, hinted: false })
    }

    /// The transaction of a query that is read at followers; otherwise `past`, the transaction of the past that it reads in, if
    /// it does. `catalog` is what the query is bound to.
    ///
    /// # Errors
    /// 1235 for a hint that this query cannot follow.
    pub(crate) async fn or_at_followers(
        &self,
        past: Option<SharedTransaction>,
        sources: &Sources,
        locks: bool,
        catalog: &Catalog,
    ) -> Result<Option<SharedTransaction>> {
        let Some(wish) = self.replica_wish() else { return Ok(past) };
        if sources.tables.is_empty() {
            return Ok(past);
        }
        if locks {
            return match wish.hinted {
                true => Err(Error::not_supported(
                    "/*slave*/ before SELECT … FOR UPDATE or FOR SHARE: leave it out, rows are locked at their leader",
                )),
                false => Ok(past),
            };
        }
        let is_alone = self.variables.autocommit()
            && !self.transaction.is_open()
            && self.transaction.check_no_xa().is_ok();
        if past.is_some() || !is_alone {
            return match wish.hinted && wish.only {
                true => Err(Error::not_supported(
                    "/*slave:slaveonly*/ inside of a transaction or with AS OF TIMESTAMP: leave it out, leaders answer there",
                )),
                false => Ok(past),
            };
        }
        let ts = self.follower_point(wish.lag_max, catalog.read_ts).await?;
        let otherwise = match wish.only {
            true => Otherwise::Fail { lag_max: wish.lag_max },
            false => Otherwise::Leader,
        };
        let client = FollowerClient::new(self.instance.config.client.clone(), otherwise);
        let txn = Transaction::at_known(client, ts);
        Ok(Some(Arc::new(tokio::sync::Mutex::new(txn))))
    }

    /// A timestamp that was handed out, is not before another one, and lies at most so far in the past.
    async fn follower_point(&self, lag_max: Duration, from: Timestamp) -> Result<Timestamp> {
        let client = &self.instance.config.client;
        let lag_ms = u64::try_from(lag_max.as_millis()).unwrap_or(u64::MAX);
        let oldest_ms = client.unix_ms().saturating_sub(lag_ms);
        match client.closed_timestamp() {
            Some(closed) if closed.unix_ms() >= oldest_ms && closed >= from => Ok(closed),
            Some(_) | None => Ok(client.timestamp().await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(only: bool, lag_s: u64) -> Option<ReplicaHint> {
        Some(ReplicaHint { only, lag_s })
    }

    #[test]
    fn a_hint_stands_before_the_statement() {
        for (sql, wanted) in [
            ("/*slave*/ select 1", hint(false, 0)),
            ("/*slave*/select 1", hint(false, 0)),
            (" \n/* app */ -- x\n--\n# y\n/*slave:20*/ select 1", hint(false, 20)),
            ("/*slave:slaveonly*/ select 1", hint(true, 0)),
            ("/*slave:slaveonly,20*/ select 1", hint(true, 20)),
            ("select /*slave*/ 1", None),
            ("select 1 /*slave*/", None),
            ("/* slave */ select 1", None),
            ("/*SLAVE*/ select 1", None),
            ("/*slaves*/ select 1", None),
            ("/*!80000 /*slave*/ select 1 */", None),
            ("/*slave", None),
            ("-- /*slave*/", None),
            ("", None),
        ] {
            assert_eq!(hint_of(sql).unwrap(), wanted, "{sql}");
        }
    }

    #[test]
    fn a_hint_that_cannot_be_read_is_told() {
        for options in ["", "x", "-1", "+1", "20 ", "slaveonly,", "slaveonly20", "20,slaveonly"] {
            let error = hint_of(&format!("/*slave:{options}*/ select 1")).unwrap_err();
            assert_eq!(error.code, 1235, "{options}");
        }
        assert_eq!(hint_of("/*slave:99999999999999999999*/ select 1").unwrap_err().code, 1235);
    }

    #[test]
    fn a_lag_has_a_default_and_a_limit() {
        assert_eq!(lag_of(0), FOLLOWER_READ_LAG_DEFAULT);
        assert_eq!(lag_of(3), Duration::from_secs(3));
        assert_eq!(lag_of(u64::MAX), FOLLOWER_READ_LAG_MAX);
    }
}
