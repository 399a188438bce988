//! Sending to the shards that own keys now: a shard may be split while a transaction runs.
//!
//! ```text
//!  keys ─► locate ─► one request per shard ─┬─ answered
//!            ▲                              └─ Moved: nothing was executed ─┐
//!            └──────── the keys of that request, by a newer map ────────────┘   MOVES_MAX times
//! ```
//!
//! So nothing that is kept for longer than a request names a shard alone: a transaction keeps keys, or the slots that it has
//! asked a shard for.

use crate::command::{WriteRequest, WriteResponse};
use crate::shard_client::{Route, ShardClient};
use crate::{Error, Result};
use base::{ShardId, SlotRange, limits};
use bytes::Bytes;
use futures::future::join_all;
use std::collections::BTreeMap;

/// How often the keys of one step have moved.
#[derive(Debug, Default)]
pub(super) struct Moves(u32);

impl Moves {
    /// Counts one more.
    ///
    /// # Errors
    /// `Unavailable` when it is one too many: the shard map stays behind, or shards are split without end.
    pub(super) fn again(&mut self, shard: ShardId) -> Result<()> {
        self.0 += 1;
        if self.0 < limits::MOVES_MAX {
            return Ok(());
        }
        let what = "it was split, and its new owners are not known here yet; try again".into();
        Err(Error::Unavailable { shard, what })
    }
}

/// The outcome of a request; `None` when its keys have moved.
pub(super) fn unless_moved<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Moved { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Things with keys, by the shards that own these now. The shard of the first one comes first.
pub(super) fn by_route<T>(
    client: &dyn ShardClient,
    things: Vec<T>,
    key_of: impl Fn(&T) -> &Bytes,
) -> Result<Vec<(Route, Vec<T>)>> {
    let mut places: BTreeMap<Route, usize> = BTreeMap::new();
    let mut parts: Vec<(Route, Vec<T>)> = Vec::new();
    for thing in things {
        let route = client.locate(key_of(&thing))?;
        let place = *places.entry(route).or_insert(parts.len());
        match parts.get_mut(place) {
            Some((_, part)) => part.push(thing),
            None => parts.push((route, vec![thing])),
        }
    }
    Ok(parts)
}

/// Keys by the shards that own them now.
fn by_shard(client: &dyn ShardClient, keys: Vec<Bytes>) -> Result<BTreeMap<Route, Vec<Bytes>>> {
    let mut shards: BTreeMap<Route, Vec<Bytes>> = BTreeMap::new();
    for key in keys {
        shards.entry(client.locate(&key)?).or_default().push(key);
    }
    Ok(shards)
}

/// The shards that own some of these slots now, in slot order.
pub(super) fn owners(client: &dyn ShardClient, slots: SlotRange) -> Result<Vec<Route>> {
    let overlap = |route: &Route| route.slots.start < slots.end && slots.start < route.slots.end;
    Ok(client.data_shards()?.into_iter().filter(overlap).collect())
}

/// Runs a write of one key at the shard that owns it, and answers which one that is.
pub(super) async fn write_at(
    client: &dyn ShardClient,
    key: &Bytes,
    request: WriteRequest,
) -> Result<(ShardId, WriteResponse)> {
    let mut moves = Moves::default();
    loop {
        let route = client.locate(key)?;
        match client.write(route, request.clone()).await {
            Err(Error::Moved { shard }) => moves.again(shard)?,
            outcome => return Ok((route.shard, outcome?)),
        }
    }
}

/// Runs a write of some keys at the shards that own them, all at once; how each has ended.
///
/// # Errors
/// When nobody knows the owner of a key.
pub(super) async fn write_everywhere(
    client: &dyn ShardClient,
    keys: Vec<Bytes>,
    request: impl Fn(Vec<Bytes>) -> WriteRequest,
) -> Result<Vec<(ShardId, Result<WriteResponse>)>> {
    let mut moves = Moves::default();
    let mut outcomes = Vec::new();
    let mut left = keys;
    while !left.is_empty() {
        let mut asked = Vec::new();
        for (route, keys) in by_shard(client, std::mem::take(&mut left))? {
            let written = client.write(route, request(keys.clone()));
            asked.push(async move { (route.shard, keys, written.await) });
        }
        let mut moved = None;
        for (shard, keys, outcome) in join_all(asked).await {
            match outcome {
                Err(Error::Moved { shard }) => {
                    moved = Some(shard);
                    left.extend(keys);
                }
                outcome => outcomes.push((shard, outcome)),
            }
        }
        moved.map_or(Ok(()), |shard| moves.again(shard))?;
    }
    Ok(outcomes)
}
