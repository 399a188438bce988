//! Commits of one shard that must not be executed any more: somebody was told that they are rolled back.
//!
//! A message that is long under way may bring such a commit after the question what became of it was answered. The refusal
//! stands until no such message can be executed any more; its time tells.

use super::{REFUSED, View};
use crate::{Error, Result, WriteBatch};
use base::{KeyRange, Timestamp};
use bytes::Bytes;

/// Adds "refuse this commit" to a batch; no later timestamp than `until` could be its own.
pub fn put_refusal(batch: &mut WriteBatch, commit: u64, until: Timestamp) {
    batch.put(refusal_key(commit), until.0.to_be_bytes().to_vec());
}

/// Adds "this commit need not be refused any more" to a batch.
pub fn delete_refusal(batch: &mut WriteBatch, commit: u64) {
    batch.delete(refusal_key(commit));
}

/// Until when a commit is refused; `None` when it is not.
pub fn get_refusal<V: View + ?Sized>(view: &V, commit: u64) -> Result<Option<Timestamp>> {
    let engine_key = refusal_key(commit);
    view.get(&engine_key)?.map(|stored| until_of(&engine_key, &stored)).transpose()
}

/// Every refused commit, and until when.
pub fn refusals<V: View + ?Sized>(view: &V) -> Result<Vec<(u64, Timestamp)>> {
    let mut refusals = Vec::new();
    view.scan(&KeyRange::prefix(vec![REFUSED]), &mut |engine_key, stored| {
        let until = until_of(engine_key, stored)?;
        match <[u8; 8]>::try_from(&engine_key[1..]) {
            Ok(commit) => refusals.push((u64::from_be_bytes(commit), until)),
            Err(_) => return Err(corrupt(engine_key, "its key")),
        }
        Ok(true)
    })?;
    Ok(refusals)
}

fn until_of(engine_key: &[u8], stored: &[u8]) -> Result<Timestamp> {
    match <[u8; 8]>::try_from(stored) {
        Ok(until) => Ok(Timestamp(u64::from_be_bytes(until))),
        Err(_) => Err(corrupt(engine_key, "its value")),
    }
}

fn corrupt(engine_key: &[u8], what: &str) -> Error {
    let place = format!("refusal {}", engine_key.escape_ascii());
    Error::corrupt(place, format!("{what} does not have its length"))
}

fn refusal_key(commit: u64) -> Bytes {
    let mut engine_key = Vec::with_capacity(9);
    engine_key.push(REFUSED);
    engine_key.extend_from_slice(&commit.to_be_bytes());
    engine_key.into()
}
