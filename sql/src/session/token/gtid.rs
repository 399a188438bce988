//! Transactions that have asked for their token: `gtid()`.
//!
//! ```text
//! gtid() ─► owner that lives as long as the transaction, read point ─► COMMIT writes the row, unless somebody was first
//! state  ─► row? ─┬─ yes: committed or rolled back
//!                 └─ no: does the owner live? ─┬─ yes: running
//!                                              └─ no, or its node is silent: write "rolled back"
//! ```
//!
//! The row decides. That a transaction whose node is silent is rolled back is no worse than what its row locks do: they
//! are given up after the same time.

use super::store::{self, GtidRow};
use super::{Status, Token, TokenKind};
use crate::Result;
use crate::context::EvalContext;
use crate::instance::{Instance, InstanceConfig};
use base::limits::{LOCK_OWNER_SILENCE_MAX, USER_LOCK_LOOK};
use std::sync::Arc;
use std::time::Duration;
use txn::Transaction;
use txn::command::LockOwner;
use txn::lock_owners::OwnerGuard;
use txn::read_points::ReadPoint;

/// The token of an open transaction.
pub(crate) struct Gtid {
    token: Token,
    /// Says on other nodes that the transaction lives.
    _alive: OwnerGuard,
    /// From before anybody could know the token; held, so that tombstones after it are not dropped.
    since: Arc<ReadPoint>,
}

impl Gtid {
    /// A new token.
    pub(super) async fn begin(config: &InstanceConfig) -> Result<Gtid> {
        let since = config.client.read_points().hold(config.client.timestamp().await?);
        let alive = config.client.lock_owners().begin();
        let (unix_ms, number) = (config.clock.unix_ms(), alive.owner());
        let token = Token { kind: TokenKind::Transaction, unix_ms, number };
        Ok(Gtid { token, _alive: alive, since })
    }

    /// The token.
    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// Lets the commit of its transaction say so.
    pub(crate) fn mark(&self, txn: &mut Transaction) -> Result<()> {
        store::put_committed(txn, self.token, self.since.ts())
    }
}

/// What became of a transaction.
pub(super) async fn status(instance: &Instance, token: Token, ctx: &EvalContext) -> Result<Status> {
    let client = &instance.config.client;
    let row = match store::find_gtid(client, token).await? {
        GtidRow::Open if may_run(instance, token.number, ctx).await? => GtidRow::Open,
        GtidRow::Open => store::abort(client, token).await?,
        row => row,
    };
    Ok(match row {
        GtidRow::Ended(outcome) => outcome.into(),
        GtidRow::Open => Status::Running,
        GtidRow::Forgotten => Status::Unknown,
    })
}

/// Whether a transaction lives, or may: its node has not been silent for long.
async fn may_run(instance: &Instance, owner: LockOwner, ctx: &EvalContext) -> Result<bool> {
    let config = &instance.config;
    let mut silent = Duration::ZERO;
    loop {
        ctx.check_cancel()?;
        let asked = config.clock.monotonic();
        if let Some(lives) = instance.owner_lives(owner).await {
            return Ok(lives);
        }
        config.client.pause(USER_LOCK_LOOK).await;
        silent += USER_LOCK_LOOK.max(config.clock.monotonic().saturating_sub(asked));
        if silent >= LOCK_OWNER_SILENCE_MAX {
            return Ok(false);
        }
    }
}
