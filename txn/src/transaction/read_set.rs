//! What a transaction has read at its read point, so that the read point can move.
//!
//! When nothing that was read has changed between two points in time, everything would have read the same at the
//! later one: the transaction may go on as if it had begun then. That is how a locking read sees the newest rows in a
//! snapshot that stays one snapshot, and how SERIALIZABLE checks at the commit that its reads still hold
//! (CockroachDB calls it a read refresh; "CockroachDB: The Resilient Geo-Distributed SQL Database", SIGMOD 2020, §3.3).
//!
//! Beyond `READ_SET_MAX` pieces neighbours of one index become one range: it covers more than was read, so the check
//! may find a change that did not matter, never miss one.

use super::owners::{Moves, owners, unless_moved};
use super::resolve::{self, LockWait};
use super::wrong_answer;
use crate::Result;
use crate::command::{ReadRequest, ReadResponse};
use crate::defect;
use crate::shard_client::{Route, ShardClient};
use base::key_range::prefix_end;
use base::{KeyRange, TableId, Timestamp, limits};
use bytes::Bytes;
use futures::future::try_join_all;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a key that name its table and index.
const INDEX_PREFIX_BYTES: usize = 8;

/// Keys and ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadSet {
    keys: BTreeSet<Bytes>,
    ranges: Vec<KeyRange>,
}

impl ReadSet {
    /// Remembers a point read.
    pub(super) fn add_key(&mut self, key: &Bytes) {
        if self.ranges.iter().any(|range| range.contains(key)) || defect::active("keys-not-tracked")
        {
            return;
        }
        self.keys.insert(key.clone());
        self.limit();
    }

    /// Remembers a scan.
    pub(super) fn add_range(&mut self, range: &KeyRange) {
        if range.is_empty() || self.ranges.contains(range) || defect::active("ranges-not-tracked") {
            return;
        }
        self.ranges.push(range.clone());
        self.limit();
    }

    /// Whether nothing was read.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }

    /// Takes what was read of some tables back to what it was at an earlier moment; of all others it stays.
    pub(super) fn go_back(&mut self, tables: &BTreeSet<TableId>, before: &ReadSet) {
        let is_key = |key: &Bytes| table_of_key(key).is_some_and(|table| tables.contains(&table));
        let is_range =
            |range: &KeyRange| table_of_range(range).is_some_and(|table| tables.contains(&table));
        self.keys.retain(|key| !is_key(key));
        self.ranges.retain(|range| !is_range(range));
        self.keys.extend(before.keys.iter().filter(|key| is_key(key)).cloned());
        self.ranges.extend(before.ranges.iter().filter(|range| is_range(range)).cloned());
        self.limit();
    }

    /// Merges the pieces of each index when there are too many.
    fn limit(&mut self) {
        if self.keys.len() + self.ranges.len() <= limits::READ_SET_MAX {
            return;
        }
        let mut merged: BTreeMap<Bytes, KeyRange> = BTreeMap::new();
        let points = std::mem::take(&mut self.keys).into_iter().map(|key| {
            let end = [&key[..], &[0]].concat();
            KeyRange::new(key, end)
        });
        for range in std::mem::take(&mut self.ranges).into_iter().chain(points) {
            let prefix = range.start.slice(..range.start.len().min(INDEX_PREFIX_BYTES));
            match merged.get_mut(&prefix) {
                None => {
                    merged.insert(prefix, range);
                }
                Some(whole) => {
                    let (start, end) = (
                        whole.start.clone().min(range.start),
                        match () {
                            () if whole.end.is_empty() || range.end.is_empty() => Bytes::new(),
                            () => whole.end.clone().max(range.end),
                        },
                    );
                    *whole = KeyRange { start, end };
                }
            }
        }
        self.ranges = merged.into_values().collect();
    }

    /// Whether anything of it was changed after `since` and at or before `ts`. `own` is the prewrite of the asker
    /// itself, zero when there is none; a transaction that holds one gives way to older ones.
    pub(super) async fn has_changed(
        &self,
        client: &dyn ShardClient,
        since: Timestamp,
        ts: Timestamp,
        own: Timestamp,
    ) -> Result<bool> {
        let asker = Asker { client, since, ts, own };
        let mut parts: BTreeMap<Route, (Vec<Bytes>, Vec<KeyRange>)> = BTreeMap::new();
        for key in &self.keys {
            parts.entry(client.locate(key)?).or_default().0.push(key.clone());
        }
        for range in &self.ranges {
            for route in routes_of(client, range)? {
                parts.entry(route).or_default().1.push(range.clone());
            }
        }
        let mut moves = Moves::default();
        while !parts.is_empty() {
            let checks =
                std::mem::take(&mut parts).into_iter().flat_map(|(route, (keys, ranges))| {
                    let mut pieces: Vec<_> = keys
                        .chunks(limits::GET_KEYS_MAX)
                        .map(|part| (part.to_vec(), Vec::new()))
                        .collect();
                    match pieces.last_mut() {
                        Some((_, last)) => *last = ranges,
                        None => pieces.push((Vec::new(), ranges)),
                    }
                    pieces.into_iter().map(move |(keys, ranges)| (route, keys, ranges))
                });
            let looks = checks.map(|(route, keys, ranges)| asker.look(route, keys, ranges));
            for seen in try_join_all(looks).await? {
                let (route, keys, ranges) = match seen {
                    Seen::Change => return Ok(true),
                    Seen::Same => continue,
                    Seen::Moved(route, keys, ranges) => (route, keys, ranges),
                };
                moves.again(route.shard)?;
                for key in keys {
                    parts.entry(client.locate(&key)?).or_default().0.push(key);
                }
                if ranges.is_empty() {
                    continue;
                }
                for owner in owners(client, route.slots)? {
                    parts.entry(owner).or_default().1.extend(ranges.iter().cloned());
                }
            }
        }
        Ok(false)
    }
}

/// Who looks for changes.
struct Asker<'a> {
    client: &'a dyn ShardClient,
    /// Changes up to here do not count.
    since: Timestamp,
    /// Those after this do not.
    ts: Timestamp,
    /// The asker's own prewrite; zero when there is none.
    own: Timestamp,
}

/// What a look at one shard has come to.
enum Seen {
    /// Something was changed.
    Change,
    /// Nothing was.
    Same,
    /// The slots of the shard have moved; this was not looked at.
    Moved(Route, Vec<Bytes>, Vec<KeyRange>),
}

impl Asker<'_> {
    /// Looks at keys and ranges of one shard.
    async fn look(
        &self,
        route: Route,
        mut keys: Vec<Bytes>,
        mut ranges: Vec<KeyRange>,
    ) -> Result<Seen> {
        let Asker { client, since, ts, own } = *self;
        loop {
            let known = Vec::new();
            let (asked, within) = (keys.clone(), ranges.clone());
            let mut request =
                ReadRequest::Changed { keys: asked, ranges: within, since, ts, own, known };
            let wait = match own {
                Timestamp::ZERO => LockWait::patient(),
                own => LockWait::holding_locks(own),
            };
            let read = resolve::read_with(client, route, &mut request, wait).await;
            match unless_moved(read)? {
                None => return Ok(Seen::Moved(route, keys, ranges)),
                Some(ReadResponse::Changed { key: Some(_), .. }) => return Ok(Seen::Change),
                Some(ReadResponse::Changed { key: None, rest }) if rest.is_empty() => {
                    return Ok(Seen::Same);
                }
                Some(ReadResponse::Changed { key: None, rest }) => {
                    (keys, ranges) = (Vec::new(), rest);
                }
                Some(
                    ReadResponse::Values(_)
                    | ReadResponse::Page { .. }
                    | ReadResponse::OldestLock { .. },
                ) => return Err(wrong_answer(route.shard)),
            }
        }
    }
}

/// The table that a key belongs to.
fn table_of_key(key: &[u8]) -> Option<TableId> {
    key.first_chunk::<4>().map(|table| TableId(u32::from_be_bytes(*table)))
}

/// The table that all keys of a range belong to; `None` when there may be several.
fn table_of_range(range: &KeyRange) -> Option<TableId> {
    let table = table_of_key(&range.start)?;
    let end = prefix_end(&table.0.to_be_bytes());
    (!range.end.is_empty() && range.end <= end).then_some(table)
}

/// The shards that may hold keys of a range.
fn routes_of(client: &dyn ShardClient, range: &KeyRange) -> Result<Vec<Route>> {
    match range.start.first_chunk::<4>() {
        Some(table) if u32::from_be_bytes(*table) < TableId::FIRST_USER.0 => {
            Ok(vec![client.locate(&range.start)?])
        }
        _ => client.data_shards(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u8, number: u32) -> Bytes {
        let mut key = vec![0, 0, 1, 0, 0, 0, 0, index];
        key.extend_from_slice(&number.to_be_bytes());
        key.into()
    }

    #[test]
    fn too_many_pieces_become_one_range_per_index() {
        let mut reads = ReadSet::default();
        for number in 0..=limits::READ_SET_MAX as u32 {
            reads.add_key(&key((number % 2) as u8, number));
        }
        assert!(reads.keys.is_empty());
        assert_eq!(reads.ranges.len(), 2);
        for number in 0..=limits::READ_SET_MAX as u32 {
            let key = key((number % 2) as u8, number);
            assert!(reads.ranges.iter().any(|range| range.contains(&key)));
        }
    }

    #[test]
    fn one_table_goes_back_and_the_others_stay() {
        let of = |table: u32, number: u32| -> Bytes {
            [table, 0, number].into_iter().flat_map(u32::to_be_bytes).collect::<Vec<_>>().into()
        };
        let mut reads = ReadSet::default();
        reads.add_key(&of(256, 1));
        let before = reads.clone();
        reads.add_key(&of(256, 2));
        reads.add_key(&of(257, 2));
        reads.add_range(&KeyRange::new(of(256, 5), of(256, 9)));
        reads.add_range(&KeyRange::prefix(256u32.to_be_bytes().to_vec()));
        let others = [
            KeyRange::prefix(257u32.to_be_bytes().to_vec()),
            KeyRange::new(of(256, 5), of(257, 9)),
            KeyRange::new(of(256, 5), ""),
        ];
        others.iter().for_each(|range| reads.add_range(range));
        reads.go_back(&BTreeSet::from([TableId(256)]), &before);
        assert_eq!(reads.keys, BTreeSet::from([of(256, 1), of(257, 2)]));
        assert_eq!(reads.ranges, others);
    }

    #[test]
    fn an_open_end_stays_open() {
        let mut reads = ReadSet::default();
        reads.add_range(&KeyRange::new(key(1, 5), ""));
        for number in 0..limits::READ_SET_MAX as u32 {
            reads.add_range(&KeyRange::new(key(1, number), key(1, number + 1)));
        }
        assert!(reads.ranges.len() == 1 && reads.ranges[0].end.is_empty());
        assert_eq!(reads.ranges[0].start, key(1, 0));
    }
}
