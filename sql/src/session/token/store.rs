//! Rows of tokens, in the meta shard.
//!
//! ```text
//! table 114  (unix_ms, number)  → identity of a commit with an unknown outcome, and the outcome once it is known
//! table 115  (unix_ms, number)  → what became of a transaction that has asked for its token
//! table 115  (0, 0)             → floor: rows of earlier tokens may have been removed
//! ```
//!
//! Keys begin with the time, so old rows stand together; whoever gives tokens removes them. The floor of table 115 is
//! raised by the transaction that removes: whoever finds no row and a token below the floor knows that it may have been
//! there. Values are protobuf messages; field numbers are never reused (`docs/formats.md`, "Catalog").

use super::Token;
use crate::{Error, Result};
use base::limits::{GTID_RETENTION, TOKEN_PRUNE_ROWS, TOKEN_RETENTION};
use base::{IndexId, KeyRange, Slot, TableId, Timestamp};
use bytes::Bytes;
use engine::key::KeyBuilder;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use txn::command::{CommitId, Expect};
use txn::transaction::{Mode, ScanOptions};
use txn::{Identity, ShardClient, Transaction};

/// Where commits with an unknown outcome are (docs/formats.md).
const COMMITS: TableId = TableId(114);
/// Where transactions are that have asked for their token (docs/formats.md).
const GTIDS: TableId = TableId(115);
/// The format that this version writes and reads.
const FORMAT: u32 = 1;
/// Tries to change a row that others change too.
const CHANGE_ATTEMPTS: u32 = 32;
/// Transactions that one removal of old rows takes, at most.
const PRUNE_ROUNDS: usize = 64;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its writes are visible.
    Committed {
        /// Since then.
        commit_ts: Timestamp,
    },
    /// It has done nothing and never will.
    RolledBack,
}

/// A commit whose outcome was not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommitRow {
    /// By what it is found.
    pub(super) identity: Identity,
    /// Its outcome, once it is known.
    pub(super) outcome: Option<Outcome>,
}

/// What is known of a transaction that has asked for its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GtidRow {
    /// It ended.
    Ended(Outcome),
    /// It has no row.
    Open,
    /// Its row may have been removed.
    Forgotten,
}

/// A row of table 114.
#[derive(Clone, PartialEq, Message)]
struct CommitMessage {
    #[prost(uint32, tag = "1")]
    format: u32,
    /// Of a commit of one entry; else 0.
    #[prost(uint64, tag = "2")]
    number: u64,
    #[prost(uint64, tag = "3")]
    since: u64,
    /// Of a commit of several shards; else 0.
    #[prost(uint64, tag = "4")]
    start_ts: u64,
    #[prost(bytes = "vec", tag = "5")]
    primary: Vec<u8>,
    /// 0 not known, 1 committed, 2 rolled back.
    #[prost(uint32, tag = "6")]
    outcome: u32,
    #[prost(uint64, tag = "7")]
    commit_ts: u64,
}

/// A row of table 115.
#[derive(Clone, PartialEq, Message)]
struct GtidMessage {
    #[prost(uint32, tag = "1")]
    format: u32,
    /// 1 committed (with this row), 2 rolled back.
    #[prost(uint32, tag = "2")]
    outcome: u32,
    /// In the floor's row: Unix milliseconds.
    #[prost(uint64, tag = "3")]
    floor: u64,
}

const NOT_KNOWN: u32 = 0;
const COMMITTED: u32 = 1;
const ROLLED_BACK: u32 = 2;

fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::storage(format!("corrupt row of a token: {what}"))
}

fn check_format(format: u32) -> Result<()> {
    match format {
        FORMAT => Ok(()),
        other => Err(corrupt(format!("format {other}, not {FORMAT}"))),
    }
}

/// The key of a time and number.
fn key(table: TableId, unix_ms: u64, number: u64) -> Bytes {
    let mut key = KeyBuilder::new(table, IndexId::PRIMARY);
    key.put_u64(unix_ms);
    key.put_u64(number);
    key.finish(Slot(0))
}

/// A bound right before all keys of a time.
fn bound(table: TableId, unix_ms: u64) -> Bytes {
    let mut key = KeyBuilder::new(table, IndexId::PRIMARY);
    key.put_u64(unix_ms);
    key.into_prefix()
}

fn floor_key() -> Bytes {
    key(GTIDS, 0, 0)
}

impl CommitRow {
    /// Of a commit that is not settled.
    pub(super) fn open(identity: Identity) -> CommitRow {
        CommitRow { identity, outcome: None }
    }

    fn encode(&self) -> Vec<u8> {
        let mut message = CommitMessage { format: FORMAT, ..Default::default() };
        match &self.identity {
            Identity::OneShard { id, primary } => {
                message.number = id.number;
                message.since = id.since.0;
                message.primary = primary.to_vec();
            }
            Identity::SeveralShards { start_ts, primary } => {
                message.start_ts = start_ts.0;
                message.primary = primary.to_vec();
            }
        }
        match self.outcome {
            None => message.outcome = NOT_KNOWN,
            Some(Outcome::Committed { commit_ts }) => {
                message.outcome = COMMITTED;
                message.commit_ts = commit_ts.0;
            }
            Some(Outcome::RolledBack) => message.outcome = ROLLED_BACK,
        }
        message.encode_to_vec()
    }

    fn decode(value: &[u8]) -> Result<CommitRow> {
        let message = CommitMessage::decode(value).map_err(corrupt)?;
        check_format(message.format)?;
        let primary = Bytes::from(message.primary);
        let identity = match message.start_ts {
            0 => {
                let (number, since) = (message.number, Timestamp(message.since));
                Identity::OneShard { id: CommitId { number, since }, primary }
            }
            start_ts => Identity::SeveralShards { start_ts: Timestamp(start_ts), primary },
        };
        let outcome = match message.outcome {
            NOT_KNOWN => None,
            COMMITTED => Some(Outcome::Committed { commit_ts: Timestamp(message.commit_ts) }),
            ROLLED_BACK => Some(Outcome::RolledBack),
            other => return Err(corrupt(format!("outcome {other}"))),
        };
        Ok(CommitRow { identity, outcome })
    }
}

/// Writes the row of a commit, whatever stands there.
pub(super) async fn put_commit(
    client: &Arc<dyn ShardClient>,
    token: Token,
    row: &CommitRow,
) -> Result<()> {
    let mut txn = Transaction::begin(client.clone(), Mode::Latest);
    txn.put(key(COMMITS, token.unix_ms, token.number.0), row.encode(), Expect::Any)?;
    txn.commit().await?;
    Ok(())
}

/// The row of a commit.
pub(super) async fn find_commit(
    client: &Arc<dyn ShardClient>,
    token: Token,
) -> Result<Option<CommitRow>> {
    let mut txn = Transaction::begin(client.clone(), Mode::Latest);
    let row = txn.get(&key(COMMITS, token.unix_ms, token.number.0)).await?;
    row.map(|row| CommitRow::decode(&row)).transpose()
}

/// Adds the row of a transaction to its writes: the commit fails when anybody has written it after `since`.
pub(super) fn put_committed(txn: &mut Transaction, token: Token, since: Timestamp) -> Result<()> {
    let row = GtidMessage { format: FORMAT, outcome: COMMITTED, floor: 0 }.encode_to_vec();
    let key = key(GTIDS, token.unix_ms, token.number.0);
    Ok(txn.put(key, row, Expect::NotNewerThan(since))?)
}

/// What is known of a transaction that has asked for its token.
pub(super) async fn find_gtid(client: &Arc<dyn ShardClient>, token: Token) -> Result<GtidRow> {
    find_gtid_in(&mut Transaction::begin(client.clone(), Mode::Snapshot), token).await
}

/// Rolls a transaction back that has no row yet: its commit fails after this. What became of it.
pub(super) async fn abort(client: &Arc<dyn ShardClient>, token: Token) -> Result<GtidRow> {
    let key = key(GTIDS, token.unix_ms, token.number.0);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
        let found = find_gtid_in(&mut txn, token).await?;
        if found != GtidRow::Open {
            return Ok(found);
        }
        let row = GtidMessage { format: FORMAT, outcome: ROLLED_BACK, floor: 0 }.encode_to_vec();
        // A row that came and went since is a row, too.
        let expect = txn.expect_unchanged(&key);
        txn.put(key.clone(), row, expect)?;
        match txn.commit().await {
            Ok(_) => return Ok(GtidRow::Ended(Outcome::RolledBack)),
            Err(txn::Error::WriteConflict { .. }) if attempt < CHANGE_ATTEMPTS => {}
            // The next question finds the row, or writes it.
            Err(error) => return Err(error.into()),
        }
    }
}

async fn find_gtid_in(txn: &mut Transaction, token: Token) -> Result<GtidRow> {
    if token.unix_ms < floor(txn).await? {
        return Ok(GtidRow::Forgotten);
    }
    let row = txn.get_committed(&key(GTIDS, token.unix_ms, token.number.0)).await?;
    let Some(version) = row else { return Ok(GtidRow::Open) };
    let message = GtidMessage::decode(&version.value[..]).map_err(corrupt)?;
    check_format(message.format)?;
    match message.outcome {
        // The row was written by the transaction itself.
        COMMITTED => Ok(GtidRow::Ended(Outcome::Committed { commit_ts: version.commit_ts })),
        ROLLED_BACK => Ok(GtidRow::Ended(Outcome::RolledBack)),
        other => Err(corrupt(format!("outcome {other}"))),
    }
}

/// Rows of tokens before this time may have been removed.
async fn floor(txn: &mut Transaction) -> Result<u64> {
    let Some(row) = txn.get(&floor_key()).await? else { return Ok(0) };
    let message = GtidMessage::decode(&row[..]).map_err(corrupt)?;
    check_format(message.format)?;
    Ok(message.floor)
}

/// Removes the rows of tokens that are no longer remembered at this time.
pub(super) async fn prune(client: &Arc<dyn ShardClient>, unix_ms: u64) -> Result<()> {
    for (table, retention) in [(COMMITS, TOKEN_RETENTION), (GTIDS, GTID_RETENTION)] {
        let before_ms = unix_ms.saturating_sub(ms(retention));
        for _ in 0..PRUNE_ROUNDS {
            if prune_some(client, table, before_ms).await? < TOKEN_PRUNE_ROWS {
                break;
            }
        }
    }
    Ok(())
}

/// Removes some rows of tokens before a time. How many.
async fn prune_some(
    client: &Arc<dyn ShardClient>,
    table: TableId,
    before_ms: u64,
) -> Result<usize> {
    // Time 0 is the floor's.
    let range = KeyRange::new(bound(table, 1), bound(table, before_ms));
    if before_ms <= 1 {
        return Ok(0);
    }
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    let options = ScanOptions {
        shard: Some(floor_key()),
        ordered: true,
        limit: Some(TOKEN_PRUNE_ROWS),
        ..ScanOptions::default()
    };
    let mut scan = txn.scan(range, options).await?;
    let mut rows = 0;
    while let Some(page) = scan.next_page().await? {
        for (key, _) in page {
            rows += 1;
            txn.delete(key, Expect::Any)?;
        }
    }
    if rows == 0 {
        return Ok(0);
    }
    if table == GTIDS {
        let floor = floor(&mut txn).await?.max(before_ms);
        let row = GtidMessage { format: FORMAT, outcome: NOT_KNOWN, floor }.encode_to_vec();
        let expect = txn.expect_unchanged(&floor_key());
        txn.put(floor_key(), row, expect)?;
    }
    txn.commit().await?;
    Ok(rows)
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::token::TokenKind;
    use base::NodeId;
    use txn::command::LockOwner;
    use txn::testing::{MemoryCluster, PausedClock};

    fn token(unix_ms: u64) -> Token {
        let number = LockOwner::new(NodeId(1), unix_ms);
        Token { kind: TokenKind::Transaction, unix_ms, number }
    }

    fn cluster() -> Arc<dyn ShardClient> {
        MemoryCluster::new(1, Arc::new(PausedClock::start())).expect("a cluster in memory")
    }

    #[test]
    fn a_row_of_a_commit_comes_back() {
        let primary = Bytes::from_static(b"p");
        let id = CommitId { number: 7, since: Timestamp(8) };
        for identity in [
            Identity::OneShard { id, primary: primary.clone() },
            Identity::SeveralShards { start_ts: Timestamp(9), primary },
        ] {
            for outcome in [
                None,
                Some(Outcome::RolledBack),
                Some(Outcome::Committed { commit_ts: Timestamp(10) }),
            ] {
                let row = CommitRow { identity: identity.clone(), outcome };
                assert_eq!(CommitRow::decode(&row.encode()), Ok(row));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_after_its_transaction_was_said_to_be_rolled_back_fails() {
        let client = cluster();
        let since = client.timestamp().await.unwrap();
        let mut late = Transaction::begin(client.clone(), Mode::Snapshot);
        put_committed(&mut late, token(5), since).unwrap();
        assert_eq!(abort(&client, token(5)).await, Ok(GtidRow::Ended(Outcome::RolledBack)));
        assert!(matches!(late.commit().await, Err(txn::Error::WriteConflict { .. })));
        assert_eq!(find_gtid(&client, token(5)).await, Ok(GtidRow::Ended(Outcome::RolledBack)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_removed_is_not_said_to_be_rolled_back_nor_committed_later() {
        let client = cluster();
        let since = client.timestamp().await.unwrap();
        let mut committed = Transaction::begin(client.clone(), Mode::Snapshot);
        put_committed(&mut committed, token(5), since).unwrap();
        committed.commit().await.unwrap();
        let ended = find_gtid(&client, token(5)).await.unwrap();
        assert!(matches!(ended, GtidRow::Ended(Outcome::Committed { .. })));
        abort(&client, token(6)).await.unwrap();
        prune(&client, ms(GTID_RETENTION) + 7).await.unwrap();
        assert_eq!(find_gtid(&client, token(5)).await, Ok(GtidRow::Forgotten));
        assert_eq!(abort(&client, token(5)).await, Ok(GtidRow::Forgotten));
        assert_eq!(find_gtid(&client, token(7)).await, Ok(GtidRow::Open));
        let mut late = Transaction::begin(client.clone(), Mode::Snapshot);
        put_committed(&mut late, token(6), since).unwrap();
        assert!(matches!(late.commit().await, Err(txn::Error::WriteConflict { .. })));
    }
}
