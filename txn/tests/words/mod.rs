//! What the words of a script mean: keys, writes, errors.

use base::{IndexId, Slot, TableId};
use bytes::Bytes;
use engine::key::{KeyBuilder, KeyReader};
use std::collections::BTreeMap;
use txn::command::{Change, Expect, KeyWrite};

/// The table of most keys.
pub const TABLE: TableId = TableId::FIRST_USER;
/// The table of the keys whose names begin with a capital letter.
pub const SECOND_TABLE: TableId = TableId(TABLE.0 + 1);

/// Where a shard is split: in the middle of the first one's slots.
pub const SPLIT_AT: u16 = 16_384;

/// The engine key of a name: its last letter is the shard.
pub fn key_of(name: &str) -> Bytes {
    let slot = match name.as_bytes().last() {
        Some(b'2') => 40_000,
        Some(b'3') => 20_000,
        _ => 1_000,
    };
    let mut key = KeyBuilder::new(table_of(name), IndexId::PRIMARY);
    key.put_bytes(name.as_bytes());
    key.finish(Slot(slot))
}

/// A bound that sorts right before every key whose name begins with this.
pub fn bound_of(name: &str) -> Bytes {
    let mut key = KeyBuilder::new(table_of(name), IndexId::PRIMARY);
    key.put_bytes(name.as_bytes());
    key.into_prefix()
}

fn table_of(name: &str) -> TableId {
    if name.starts_with(char::is_uppercase) { SECOND_TABLE } else { TABLE }
}

/// The name of an engine key.
pub fn name_of(key: &[u8]) -> String {
    let name =
        KeyReader::new(key).and_then(|mut key| Ok(key.take_bytes()?.map(|n| n.into_owned())));
    name.ok().flatten().map_or("?".into(), |name| name.escape_ascii().to_string())
}

/// Writes from `a1=x` arguments.
pub fn writes_of(options: &BTreeMap<String, String>, expect: Expect) -> Vec<KeyWrite> {
    options
        .iter()
        .map(|(name, value)| KeyWrite {
            key: key_of(name),
            change: Change::Put(Bytes::from(value.clone())),
            expect,
        })
        .collect()
}

/// How a merge has ended.
pub fn merged(is_taken: bool) -> String {
    if is_taken { "merged".into() } else { "undone".into() }
}

/// An error without timestamps and bytes.
pub fn describe(error: txn::Error) -> String {
    match error {
        txn::Error::KeyLocked { key, primary, .. } => {
            format!("error: {} locked, primary {}", name_of(&key), name_of(&primary))
        }
        txn::Error::RowLocked { key } => format!("error: {} is row-locked", name_of(&key)),
        txn::Error::LockWaitTimeout { key } => {
            format!("error: waited too long for {}", name_of(&key))
        }
        txn::Error::LockNotAvailable { key } => format!("error: {} is taken", name_of(&key)),
        txn::Error::Deadlock { key } => format!("error: deadlock at {}", name_of(&key)),
        txn::Error::Stale { key, changed: false } => {
            format!("error: {} was waited for", name_of(&key))
        }
        txn::Error::Stale { key, .. } => format!("error: {} has changed", name_of(&key)),
        txn::Error::WriteConflict { key } => format!("error: write conflict on {}", name_of(&key)),
        txn::Error::AlreadyExists { key } => format!("error: {} already exists", name_of(&key)),
        txn::Error::RolledBack { .. } => "error: rolled back".into(),
        txn::Error::Forgotten { .. } => "error: forgotten".into(),
        txn::Error::NotUndoable => "error: rolled back as a whole".into(),
        txn::Error::SnapshotTooOld { .. } => "error: snapshot too old".into(),
        txn::Error::ReadPointInFuture { .. } => "error: read point in the future".into(),
        other => format!("error: {other}"),
    }
}
