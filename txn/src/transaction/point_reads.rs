//! Reading keys at one point in time, whatever shards they are on, resolving the locks that are met.
//!
//! Not here: which point (`transaction`).

use super::owners::{Moves, unless_moved};
use super::{resolve, wrong_answer};
use crate::command::{KnownTransaction, ReadRequest, ReadResponse, Version};
use crate::shard_client::{Route, ShardClient};
use crate::{Error, Result};
use base::{Timestamp, limits};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The versions of keys, each with its key's number.
pub(super) type Found = Vec<(usize, Option<Version>)>;

/// Reads a key wherever it is.
pub(super) async fn get_one(
    client: &Arc<dyn ShardClient>,
    key: &Bytes,
    ts: Timestamp,
    own: Option<KnownTransaction>,
) -> Result<Option<Version>> {
    let mut moves = Moves::default();
    loop {
        let route = client.locate(key)?;
        let found = get_at(client, route, &[(key, 0)], ts, own).await;
        match unless_moved(found)? {
            Some(found) => return Ok(found.into_iter().next().and_then(|(_, version)| version)),
            None => moves.again(route.shard)?,
        }
    }
}

/// Reads keys wherever they are, at a timestamp. Each key has a number, by which the answers are told apart.
pub(super) async fn get_everywhere(
    client: &Arc<dyn ShardClient>,
    keys: &[(&Bytes, usize)],
    ts: Timestamp,
    own: Option<KnownTransaction>,
) -> Result<Found> {
    let mut moves = Moves::default();
    let mut found = Vec::with_capacity(keys.len());
    let mut left = keys.to_vec();
    while !left.is_empty() {
        let mut groups: BTreeMap<Route, Vec<(&Bytes, usize)>> = BTreeMap::new();
        for (key, number) in std::mem::take(&mut left) {
            groups.entry(client.locate(key)?).or_default().push((key, number));
        }
        let mut requests = Vec::new();
        for (route, group) in &groups {
            for part in group.chunks(limits::GET_KEYS_MAX) {
                requests.push(async move {
                    let answer = get_at(client, *route, part, ts, own).await;
                    Ok::<_, Error>((*route, part, unless_moved(answer)?))
                });
            }
        }
        let mut moved = None;
        for (route, part, answer) in futures::future::try_join_all(requests).await? {
            match answer {
                Some(versions) => found.extend(versions),
                None => {
                    moved = Some(route.shard);
                    left.extend_from_slice(part);
                }
            }
        }
        moved.map_or(Ok(()), |shard| moves.again(shard))?;
    }
    Ok(found)
}

/// Reads keys of one shard; `Moved` when it does not own them any more.
pub(super) async fn get_at(
    client: &Arc<dyn ShardClient>,
    route: Route,
    keys: &[(&Bytes, usize)],
    ts: Timestamp,
    own: Option<KnownTransaction>,
) -> Result<Found> {
    let known = own.into_iter().collect();
    let wanted = keys.iter().map(|(key, _)| (*key).clone()).collect();
    let request = ReadRequest::Get { keys: wanted, ts, known };
    match resolve::read(&**client, route, request).await? {
        ReadResponse::Values(values) if values.len() == keys.len() => {
            Ok(keys.iter().map(|(_, number)| *number).zip(values).collect())
        }
        ReadResponse::Values(_)
        | ReadResponse::Page { .. }
        | ReadResponse::Changed { .. }
        | ReadResponse::OldestLock { .. } => Err(wrong_answer(route.shard)),
    }
}
