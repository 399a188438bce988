//! What a node keeps of tokens in memory: those that could not be written down yet, and when it last removed old ones.
//!
//! ```text
//! keep ─► table 114 within TOKEN_WRITE_WAIT ─┬─ written
//!                                            └─ not: memory ─► one task tries again until all are written
//! ```

use super::Token;
use super::store::{self, CommitRow};
use crate::instance::InstanceConfig;
use base::limits::{TOKEN_PRUNE_PAUSE, TOKEN_RETRY_PAUSE, TOKEN_WRITE_WAIT, TOKENS_UNWRITTEN_MAX};
use futures::future::{Either, select};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use txn::ShardClient;

/// Tokens of a node.
#[derive(Default)]
pub(crate) struct KeptTokens {
    /// Those that are not written down.
    unwritten: Mutex<BTreeMap<Token, CommitRow>>,
    /// Whether a task writes them.
    writing: AtomicBool,
    /// Monotonic time of the last removal of old ones.
    pruned: Mutex<Option<Duration>>,
}

/// Where a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Every node finds it.
    Table,
    /// This node finds it, and tries to write it down.
    Memory,
    /// There was no room.
    Nowhere,
}

impl KeptTokens {
    /// Writes a token down, or keeps it until that succeeds.
    pub(super) async fn keep(
        self: &Arc<Self>,
        client: &Arc<dyn ShardClient>,
        token: Token,
        row: CommitRow,
    ) -> Place {
        let write = pin!(store::put_commit(client, token, &row));
        let written = match select(write, client.pause(TOKEN_WRITE_WAIT)).await {
            Either::Left((outcome, _)) => outcome.is_ok(),
            Either::Right(_) => false,
        };
        if written {
            return Place::Table;
        }
        {
            let mut unwritten = self.unwritten.lock();
            if unwritten.len() >= TOKENS_UNWRITTEN_MAX {
                return Place::Nowhere;
            }
            unwritten.insert(token, row.clone());
        }
        if !self.writing.swap(true, Ordering::SeqCst) {
            let (kept, work) = (self.clone(), client.clone());
            client.spawn(Box::pin(async move { kept.write_all(&work).await }));
        }
        Place::Memory
    }

    /// A token that is not written down.
    pub(super) fn get(&self, token: Token) -> Option<CommitRow> {
        self.unwritten.lock().get(&token).cloned()
    }

    /// Changes a token that is not written down; `false` when there is none.
    pub(super) fn replace(&self, token: Token, row: &CommitRow) -> bool {
        match self.unwritten.lock().get_mut(&token) {
            Some(kept) => {
                *kept = row.clone();
                true
            }
            None => false,
        }
    }

    /// Writes tokens down until all are.
    async fn write_all(&self, client: &Arc<dyn ShardClient>) {
        loop {
            let first = self.unwritten.lock().first_key_value().map(|(t, row)| (*t, row.clone()));
            match first {
                Some((token, row)) => match store::put_commit(client, token, &row).await {
                    Ok(()) => {
                        let mut unwritten = self.unwritten.lock();
                        // Its outcome may have become known meanwhile.
                        if unwritten.get(&token) == Some(&row) {
                            unwritten.remove(&token);
                        }
                    }
                    Err(_) => client.pause(TOKEN_RETRY_PAUSE).await,
                },
                None => {
                    self.writing.store(false, Ordering::SeqCst);
                    // Somebody may have come in between and counted on this task.
                    let idle = self.unwritten.lock().is_empty();
                    if idle || self.writing.swap(true, Ordering::SeqCst) {
                        return;
                    }
                }
            }
        }
    }

    /// Removes tokens that are no longer remembered, now and then, without waiting for it.
    pub(super) fn prune(&self, config: &InstanceConfig) {
        let now = config.clock.monotonic();
        {
            let mut pruned = self.pruned.lock();
            if pruned.is_some_and(|then| now < then + TOKEN_PRUNE_PAUSE) {
                return;
            }
            *pruned = Some(now);
        }
        let (client, unix_ms) = (config.client.clone(), config.clock.unix_ms());
        let work = client.clone();
        client.spawn(Box::pin(async move {
            // What stays is removed the next time.
            let _ = store::prune(&work, unix_ms).await;
        }));
    }
}
