//! Tokens: names under which it can be asked, from any node and any session, what became of a transaction.
//!
//! ```text
//! c3-1a2b-19b7d0c2a11   a commit with an unknown outcome: error 9002 names it
//! t3-1a2c-19b7d0c2a40   a transaction that has asked for its token: gtid()
//!  │  │    └ when, Unix milliseconds in hexadecimal
//!  │  └ counts on its node, in hexadecimal
//!  └ the node that gave it
//!
//! 9002 ─► identity of the commit ─► table 114 (or the node's memory until that can be written)
//!              └─ SHOW TRANSACTION STATUS ─► txn::settle ─► the outcome, kept in table 114
//! gtid() ─► COMMIT writes a row to table 115 in the same transaction, so whoever finds it knows
//!              └─ GTID_STATE(): no row, and the session is gone ─► writes "rolled back" there: only one of both can stand
//! ```
//!
//! A token holds nothing of the transaction's keys.
//!
//! Invariants:
//! 1. An outcome that was told, committed or rolled back, is true for ever.
//! 2. What is no longer known is said to be unknown, with a warning; a token that nobody has given is an error (9008).
//!
//! Reading order: this file (tokens, what is answered), `store` (rows), `kept` (what a node keeps until it is written),
//! `gtid` (transactions that ask for their token).

mod gtid;
mod kept;
mod store;

pub(crate) use gtid::Gtid;
pub(crate) use kept::KeptTokens;

use super::connection::Session;
use crate::ast::{Literal, SourceText};
use crate::context::EvalContext;
use crate::instance::Instance;
use crate::sysvar::plain_text;
use crate::value::Value;
use crate::{Error, Result};
use base::limits::TOKEN_RETENTION;
use base::{NodeId, Timestamp};
use std::fmt;
use std::sync::Arc;
use store::CommitRow;
use txn::command::LockOwner;
use txn::{Identity, Settled};

/// What a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TokenKind {
    /// A commit with an unknown outcome.
    Commit,
    /// A transaction that has asked for its token.
    Transaction,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token {
    kind: TokenKind,
    /// When it was given, by the clock of its node.
    unix_ms: u64,
    /// The node, and a number of which it gives each once.
    number: LockOwner,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TokenKind::Commit => 'c',
            TokenKind::Transaction => 't',
        };
        write!(f, "{kind}{}-{:x}-{:x}", self.number.node().0, self.number.age(), self.unix_ms)
    }
}

impl Token {
    /// The token that a text is; `None` when it is none.
    fn parse(text: &str) -> Option<Token> {
        let (kind, rest) = match text.split_at_checked(1)? {
            ("c", rest) => (TokenKind::Commit, rest),
            ("t", rest) => (TokenKind::Transaction, rest),
            _ => return None,
        };
        let mut parts = rest.split('-');
        let node = parts.next()?.parse::<u16>().ok()?;
        let count = u64::from_str_radix(parts.next()?, 16).ok()?;
        let unix_ms = u64::from_str_radix(parts.next()?, 16).ok()?;
        let number = LockOwner::new(NodeId(u64::from(node)), count);
        let token = Token { kind, unix_ms, number };
        // Every token has one text.
        (parts.next().is_none() && token.to_string() == text).then_some(token)
    }
}

/// What is known of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is committed.
    Committed {
        /// Since then.
        commit_ts: Timestamp,
    },
    /// It has done nothing and never will.
    RolledBack,
    /// It is not decided.
    Running,
    /// Nobody knows any more.
    Unknown,
}

impl Status {
    /// As SHOW TRANSACTION STATUS says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Committed { .. } => "COMMITTED",
            Status::RolledBack => "ROLLED BACK",
            Status::Running => "RUNNING",
            Status::Unknown => "UNKNOWN",
        }
    }
}

impl Instance {
    /// What a client is told of a commit that failed. Of one whose outcome nobody knows it gets a token: `asked` when the
    /// transaction has one already.
    pub(crate) async fn commit_error(
        &self,
        error: txn::Error,
        identity: Option<Identity>,
        asked: Option<Token>,
    ) -> Error {
        let txn::Error::OutcomeUnknown { shard } = error else { return error.into() };
        let Some(identity) = identity else { return error.into() };
        let what = format!("a quorum of shard {shard} did not answer in time");
        if let Some(token) = asked {
            return Error::outcome_by_token(what, token);
        }
        let config = &self.config;
        let token = Token {
            kind: TokenKind::Commit,
            unix_ms: config.clock.unix_ms(),
            number: LockOwner(config.client.lock_owners().number()),
        };
        self.tokens.prune(config);
        match self.tokens.keep(&config.client, token, CommitRow::open(identity)).await {
            kept::Place::Table => Error::outcome_by_token(what, token),
            kept::Place::Memory => Error::outcome_by_node(what, token, config.node.0),
            kept::Place::Nowhere => Error::outcome_unknown(what),
        }
    }

    /// What became of the transaction that a token names.
    ///
    /// # Errors
    /// 9008 when nobody has given such a token; 9001 when it cannot be found out now.
    pub(crate) async fn transaction_status(&self, text: &str, ctx: &EvalContext) -> Result<Status> {
        let Some(token) = Token::parse(text) else {
            return Err(Error::unknown_token(text, "it is none of this cluster's tokens"));
        };
        let status = match token.kind {
            TokenKind::Commit => self.commit_status(token).await?,
            TokenKind::Transaction => gtid::status(self, token, ctx).await?,
        };
        if status == Status::Unknown {
            ctx.warn(Error::token_forgotten(token));
        }
        Ok(status)
    }

    async fn commit_status(&self, token: Token) -> Result<Status> {
        let client = &self.config.client;
        let row = match self.tokens.get(token) {
            Some(row) => row,
            None => match store::find_commit(client, token).await? {
                Some(row) => row,
                None => return self.missing(token),
            },
        };
        if let Some(outcome) = row.outcome {
            return Ok(outcome.into());
        }
        match txn::settle(client, &row.identity).await? {
            Settled::Running => Ok(Status::Running),
            Settled::Forgotten => Ok(Status::Unknown),
            Settled::Committed { commit_ts } => {
                let outcome = store::Outcome::Committed { commit_ts };
                self.remember(token, row, outcome).await;
                Ok(outcome.into())
            }
            Settled::RolledBack => {
                self.remember(token, row, store::Outcome::RolledBack).await;
                Ok(Status::RolledBack)
            }
        }
    }

    /// Keeps an outcome, so that it can be told when the shard has forgotten it. Failing to does no harm: it is asked
    /// again, and the answer is the same or that nobody knows.
    async fn remember(&self, token: Token, row: CommitRow, outcome: store::Outcome) {
        let row = CommitRow { outcome: Some(outcome), ..row };
        if !self.tokens.replace(token, &row) {
            let _ = store::put_commit(&self.config.client, token, &row).await;
        }
    }

    /// What a token without a row is.
    fn missing(&self, token: Token) -> Result<Status> {
        let age_ms = self.config.clock.unix_ms().saturating_sub(token.unix_ms);
        if u128::from(age_ms) >= TOKEN_RETENTION.as_millis() {
            return Ok(Status::Unknown);
        }
        let node = token.number.node().0;
        let why =
            format!("nobody has written it down; ask at node {node}, which may keep it still");
        Err(Error::unknown_token(token, why))
    }
}

impl From<store::Outcome> for Status {
    fn from(outcome: store::Outcome) -> Status {
        match outcome {
            store::Outcome::Committed { commit_ts } => Status::Committed { commit_ts },
            store::Outcome::RolledBack => Status::RolledBack,
        }
    }
}

/// The functions of this module, in lower case.
pub(super) const FUNCTIONS: [&str; 2] = ["gtid", "gtid_state"];

impl Session {
    /// GTID() and GTID_STATE(token): the literal that stands for their result.
    pub(super) async fn run_token_function(&mut self, token: Option<&Value>) -> Result<Literal> {
        let text = match token {
            None => self.gtid().await?.map_or_else(String::new, |token| token.to_string()),
            Some(Value::Null) => return Ok(Literal::Null),
            Some(token) => {
                let ctx = self.context(Vec::new());
                let (text, instance) = (plain_text(token), self.instance.clone());
                match instance.transaction_status(&text, &ctx).await {
                    Ok(Status::Committed { .. }) => "COMMIT".to_string(),
                    Ok(Status::RolledBack) => "ABORT".to_string(),
                    Ok(Status::Running | Status::Unknown) => String::new(),
                    Err(error) if error.code == Error::unknown_token("", "").code => String::new(),
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(Literal::String { first: SourceText(text.clone()), value: text, charset: None })
    }

    /// The token of the open transaction, which has one from now on. `None` without a transaction, in one of the past, and
    /// in an XA transaction, which its manager ends by its xid.
    async fn gtid(&mut self) -> Result<Option<Token>> {
        if self.transaction.xa.is_some() {
            return Ok(None);
        }
        let instance: Arc<Instance> = self.instance.clone();
        let Some(open) = self.transaction.open_mut().filter(|open| open.past.is_none()) else {
            return Ok(None);
        };
        if let Some(gtid) = &open.gtid {
            return Ok(Some(gtid.token()));
        }
        let gtid = Gtid::begin(&instance.config).await?;
        instance.tokens.prune(&instance.config);
        Ok(Some(open.gtid.insert(gtid).token()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_text() {
        for kind in [TokenKind::Commit, TokenKind::Transaction] {
            let number = LockOwner::new(NodeId(3), 0xab_cdef);
            let token = Token { kind, unix_ms: 1_767_323_045_678, number };
            assert_eq!(Token::parse(&token.to_string()), Some(token));
        }
        let number = LockOwner::new(NodeId(3), 26);
        let token = Token { kind: TokenKind::Commit, unix_ms: 255, number };
        assert_eq!(token.to_string(), "c3-1a-ff");
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in
            ["", "c", "x3-1a-ff", "c3-1a", "c3-1a-ff-", "c03-1a-ff", "C3-1a-ff", "c3-1A-ff", "日本"]
        {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }
}
