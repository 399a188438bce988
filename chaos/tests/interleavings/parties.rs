//! Who takes part: coordinators that append their names to lists, sessions that decide a prepared transaction, sessions
//! that lock rows without waiting, and readers.
//!
//! Every transaction writes list A on shard 1 and list B on shard 2; [`THREE_LISTS`] writes Z on shard 2 as well, whose key
//! comes first, so that its primary lies on the other shard.

use crate::story::{Look, Story, Told};
use base::{IndexId, Slot, TableId};
use bytes::Bytes;
use engine::key::KeyBuilder;
use std::sync::Arc;
use txn::command::{Expect, LockMode, Patience};
use txn::testing::{ChosenClient, Crossing};
use txn::{
    Error, Mode, Result, RowLock, ShardClient, Transaction, commit_prepared, hold_prepared,
    roll_back_prepared,
};

/// The party that writes three lists.
pub const THREE_LISTS: &str = "T2";
/// The party whose transaction is prepared by itself and decided by others.
pub const PREPARED: &str = "T";
/// How often a reader begins anew, and a session asks again, before it gives up.
const ATTEMPTS: u32 = 5;

/// What a party does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes lists that must not exist yet.
    Writes,
    /// Reads lists, then appends to them.
    Appends,
    /// The same, serializable.
    AppendsSerializable,
    /// Prepares what [`Role::Writes`] writes, records it and holds it.
    Prepares,
    /// The same, and commits it.
    PreparesAndCommits,
    /// Commits what is recorded as prepared, if anything is.
    Commits,
    /// Rolls it back.
    RollsBack,
    /// Asks for the row lock of A without waiting, so many times, and writes nothing.
    Claims(u32),
    /// Reads all lists twice in one snapshot, so many times.
    Reads(u32),
}

impl Role {
    /// Whether the party changes something, so that its end in the middle of its work matters.
    pub fn coordinates(self) -> bool {
        !matches!(self, Role::Claims(_) | Role::Reads(_))
    }
}

/// Begins a party's work.
pub fn begin(crossing: &Arc<Crossing>, story: &Arc<Story>, party: &'static str, role: Role) {
    let client: Arc<ChosenClient> = crossing.client(party);
    let (way, story) = (client.clone(), story.clone());
    client.spawn(Box::pin(act(way, story, party, role)));
}

async fn act(client: Arc<dyn ShardClient>, story: Arc<Story>, party: &'static str, role: Role) {
    match role {
        Role::Writes => story.tell(party, told(write(&client, party).await)),
        Role::Appends => {
            let txn = Transaction::begin(client, Mode::Snapshot);
            story.tell(party, told(append(txn, party).await));
        }
        Role::AppendsSerializable => {
            let txn = Transaction::begin(client, Mode::Snapshot).serializable();
            story.tell(party, told(append(txn, party).await));
        }
        Role::Prepares => {
            if let Err(error) = prepare(&client, &story).await {
                story.tell(PREPARED, told(Err(error)));
            }
        }
        Role::PreparesAndCommits => match prepare(&client, &story).await {
            Ok(()) => commit(&client, &story).await,
            Err(error) => story.tell(PREPARED, told(Err(error))),
        },
        Role::Commits => commit(&client, &story).await,
        Role::RollsBack => roll_back(&client, &story).await,
        Role::Claims(times) => {
            for _ in 0..times {
                claim(&client).await;
            }
        }
        Role::Reads(snapshots) => {
            for _ in 0..snapshots {
                read(&client, &story, party).await;
            }
        }
    }
}

/// What an outcome means to whoever hears it.
fn told(outcome: Result<()>) -> Told {
    match outcome {
        Ok(()) => Told::Committed,
        Err(Error::OutcomeUnknown { .. }) => Told::Unknown,
        Err(error) => Told::Refused(error.to_string()),
    }
}

/// A transaction that has written without reading.
fn written(client: &Arc<dyn ShardClient>, party: &str) -> Result<Transaction> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    for key in lists_of(party) {
        txn.put(key, format!(",{party}"), Expect::Absent)?;
    }
    Ok(txn)
}

async fn write(client: &Arc<dyn ShardClient>, party: &str) -> Result<()> {
    written(client, party)?.commit().await.map(|_| ())
}

async fn append(mut txn: Transaction, party: &str) -> Result<()> {
    let keys = lists_of(party);
    let values = txn.multi_get(&keys).await?;
    for (key, value) in keys.into_iter().zip(values) {
        let mut names = value.map_or(Vec::new(), |value| value.to_vec());
        names.extend_from_slice(format!(",{party}").as_bytes());
        let expect = txn.expect_unchanged(&key);
        txn.put(key, names, expect)?;
    }
    txn.commit().await.map(|_| ())
}

/// Prepares, records and holds a transaction, as XA PREPARE does.
async fn prepare(client: &Arc<dyn ShardClient>, story: &Story) -> Result<()> {
    let Some(prepared) = written(client, PREPARED)?.prepare().await? else { return Ok(()) };
    story.record(prepared.clone());
    hold_prepared(client, &prepared).await
}

/// Commits what is recorded as prepared. Asks again while nobody knows.
async fn commit(client: &Arc<dyn ShardClient>, story: &Story) {
    let Some(prepared) = story.recorded() else { return };
    for _ in 0..ATTEMPTS {
        match commit_prepared(client, &prepared).await {
            Ok(_) => return story.tell(PREPARED, Told::Committed),
            Err(error @ Error::RolledBack { .. }) => {
                return story.tell(PREPARED, Told::Refused(error.to_string()));
            }
            Err(_) => {}
        }
    }
}

/// Rolls it back. Asks again while nobody knows.
async fn roll_back(client: &Arc<dyn ShardClient>, story: &Story) {
    let Some(prepared) = story.recorded() else { return };
    for _ in 0..ATTEMPTS {
        match roll_back_prepared(client, &prepared).await {
            Ok(()) => return story.tell(PREPARED, Told::Refused("it was rolled back".into())),
            // It is committed: whoever has done that says so.
            Err(Error::Unavailable { .. }) => return,
            Err(_) => {}
        }
    }
}

/// Asks for a row lock without waiting, and gives it up.
async fn claim(client: &Arc<dyn ShardClient>) {
    // A message that waits: the lock itself is asked for at once.
    if client.timestamp().await.is_err() {
        return;
    }
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    let lock = RowLock { mode: LockMode::Exclusive, patience: Patience::NoWait };
    // Whether it gets the lock does not matter here, only what it leaves behind.
    let _ = txn.lock(&[list(1)], lock).await;
}

/// Reads all lists twice in one snapshot. A snapshot that fails is begun anew.
async fn read(client: &Arc<dyn ShardClient>, story: &Story, party: &'static str) {
    for _ in 0..ATTEMPTS {
        let begun = story.moment();
        let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
        let Ok(first) = look(&mut txn).await else { continue };
        let Ok(second) = look(&mut txn).await else { continue };
        return story.see(party, begun, [first, second]);
    }
}

async fn look(txn: &mut Transaction) -> Result<Look> {
    let values = txn.multi_get(&[list(0), list(1), list(2)]).await?;
    let mut lists = values.into_iter().map(names);
    let mut next = || lists.next().unwrap_or_default();
    Ok(Look { z: next(), a: next(), b: next() })
}

fn names(value: Option<Bytes>) -> Vec<String> {
    let value = value.unwrap_or_default();
    let text = std::str::from_utf8(&value).expect("as it was written");
    text.split(',').skip(1).map(str::to_string).collect()
}

fn lists_of(party: &str) -> Vec<Bytes> {
    match party {
        THREE_LISTS => vec![list(0), list(1), list(2)],
        _ => vec![list(1), list(2)],
    }
}

/// The key of Z, A or B.
fn list(number: u64) -> Bytes {
    // The lower half of the slots is shard 1's.
    let slot = if number == 1 { 100 } else { 40_000 };
    let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
    key.put_u64(number);
    key.finish(Slot(slot))
}
