//! What is in the log, in memory: per replica its vote, its entries and where each of them stands.
//!
//! An entry is readable here from the moment it is queued; while it is pending its bytes must stay
//! cached. Cached bytes of all replicas share one budget, the oldest leave first.
//!
//! Invariants:
//! 1. The entries of a replica are consecutive; the first stands right after `purged`, if that is set.
//! 2. A pending entry is cached.
//! 3. A replica's log ends at its last entry, or at `purged` when it has none.

use super::record::Key;
use super::segment::Position;
use crate::codec::entry_bytes;
use crate::type_config::{Entry, LogId, Vote, log_id, term_of};
use std::collections::{BTreeMap, VecDeque};

/// A record on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordAt {
    /// Where it begins.
    pub position: Position,
    /// Bytes with header and padding.
    pub bytes: u32,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the flush queue, under this ticket.
    Pending(u64),
    /// In a record on disk.
    Disk(RecordAt),
}

/// One entry.
#[derive(Clone, Debug)]
struct Slot {
    /// Term of its log id.
    term: u64,
    /// Bytes of the entry, roughly.
    bytes: usize,
    /// Where it stands.
    place: Place,
    /// The entry itself, while it is cached.
    cached: Option<Entry>,
}

/// An entry, or where to read it.
#[derive(Clone, Debug)]
pub enum Found {
    /// It was cached.
    Cached(Entry),
    /// It must be read from this record.
    OnDisk(RecordAt, u64),
}

/// One replica's log.
#[derive(Debug, Default)]
pub struct ReplicaLog {
    /// The last vote queued.
    pub vote: Option<Vote>,
    /// Segment of the record that held `vote` when the log was read back; 0 when there was none.
    pub vote_segment: u64,
    /// Up to where the log has been purged.
    pub purged: Option<LogId>,
    /// Segment of the record that held `purged` when the log was read back; 0 when there was none.
    pub purged_segment: u64,
    /// The newest log-committed log id this replica knows.
    pub committed: Option<LogId>,
    /// The last `committed` that was queued.
    pub committed_queued: Option<LogId>,
    /// Index of the first slot.
    first: u64,
    /// Entries, consecutive from `first`.
    slots: VecDeque<Slot>,
    /// Bytes of all entries.
    bytes: u64,
    /// Why this log cannot be trusted; then it is kept as evidence.
    pub damage: Option<String>,
}

impl ReplicaLog {
    /// Log id of the last entry, or of the last purged one.
    pub fn last_log_id(&self) -> Option<LogId> {
        match self.slots.back() {
            Some(slot) => Some(log_id(slot.term, self.next_index() - 1)),
            None => self.purged,
        }
    }

    /// Index of the first entry.
    pub fn first_index(&self) -> u64 {
        self.first
    }

    /// Index behind the last entry.
    pub fn next_index(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Whether this index can be appended.
    pub fn accepts(&self, index: u64) -> bool {
        match (&self.purged, self.slots.is_empty()) {
            (Some(purged), true) => index == purged.index + 1,
            (None, true) => true,
            (_, false) => index == self.next_index(),
        }
    }

    /// The slot of an index.
    fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    /// Whether an entry is in the log, and where.
    pub fn place(&self, index: u64) -> Option<Place> {
        let offset = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.slots.get(offset).map(|slot| slot.place)
    }

    /// Where each entry stands.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.slots.iter().map(|slot| slot.place)
    }

    /// Log id of an entry that is in the log, or of the purge point.
    pub fn log_id_at(&self, index: u64) -> Option<LogId> {
        if let Some(purged) = self.purged.filter(|purged| purged.index == index) {
            return Some(purged);
        }
        let offset = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.slots.get(offset).map(|slot| log_id(slot.term, index))
    }

    /// The last log id of each term among the entries `from..=to`.
    pub fn last_of_terms(&self, from: u64, to: u64) -> Vec<LogId> {
        let mut found: Vec<LogId> = Vec::new();
        for id in (from..=to).filter_map(|index| self.log_id_at(index)) {
            match found.last_mut() {
                Some(last) if term_of(last) == term_of(&id) => *last = id,
                _ => found.push(id),
            }
        }
        found
    }

    /// The entries of `from..to` that are in the log, up to `bytes_max` but at least one.
    pub fn find(&self, from: u64, to: u64, bytes_max: usize) -> Vec<Found> {
        let from = from.max(self.first);
        let to = to.min(self.next_index());
        let mut found = Vec::with_capacity(to.saturating_sub(from) as usize);
        let mut bytes = 0;
        for index in from..to {
            let slot = &self.slots[(index - self.first) as usize];
            bytes += slot.bytes;
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            match (&slot.cached, slot.place) {
                (Some(entry), _) => found.push(Found::Cached(entry.clone())),
                (None, Place::Disk(record)) => found.push(Found::OnDisk(record, index)),
                (None, Place::Pending(_)) => unreachable!("a pending entry is cached"),
            }
        }
        found
    }

    /// Bytes of all entries in the log.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last index that can be purged so that about `tail_bytes` of entries stay.
    pub fn index_before_tail(&self, tail_bytes: u64) -> Option<u64> {
        let mut kept = 0;
        for (offset, slot) in self.slots.iter().enumerate().rev() {
            kept += slot.bytes as u64;
            if kept > tail_bytes {
                return Some(self.first + offset as u64);
            }
        }
        None
    }

    /// The first segment that this replica's entries need.
    pub fn first_entry_segment(&self) -> Option<u64> {
        match self.slots.front().map(|slot| slot.place) {
            Some(Place::Disk(record)) => Some(record.position.segment),
            _ => None,
        }
    }
}

/// All logs of a node.
#[derive(Debug)]
pub struct Index {
    /// The logs.
    replicas: BTreeMap<Key, ReplicaLog>,
    /// Cached entries, oldest first; may name entries that have left.
    cache_order: VecDeque<(Key, u64)>,
    /// Bytes of all cached entries.
    cached_bytes: usize,
    /// Number of cached entries.
    cached_entries: usize,
    /// Budget of `cached_bytes`.
    cache_bytes_max: usize,
}

impl Index {
    /// An empty index.
    pub fn new(cache_bytes_max: usize) -> Index {
        Index {
            replicas: BTreeMap::new(),
            cache_order: VecDeque::new(),
            cached_bytes: 0,
            cached_entries: 0,
            cache_bytes_max,
        }
    }

    /// The log of a replica.
    pub fn get(&self, key: &Key) -> Option<&ReplicaLog> {
        self.replicas.get(key)
    }

    /// The log of a replica, an empty one if there was none.
    pub fn get_or_create(&mut self, key: Key) -> &mut ReplicaLog {
        self.replicas.entry(key).or_default()
    }

    /// All logs.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &ReplicaLog)> {
        self.replicas.iter()
    }

    /// Bytes of cached entries.
    pub fn cached_bytes(&self) -> usize {
        self.cached_bytes
    }

    /// Forgets a replica.
    pub fn remove(&mut self, key: &Key) {
        self.truncate_from(*key, 0);
        self.replicas.remove(key);
    }

    /// Adds an entry, cached when it is pending. Replaces entries of its index and above.
    ///
    /// # Errors
    /// The index that was expected, when the entry would leave a hole.
    pub fn append(&mut self, key: Key, entry: Entry, place: Place) -> Result<(), u64> {
        let index = entry.log_id.index;
        let log = self.replicas.entry(key).or_default();
        if !log.slots.is_empty() && index < log.next_index() {
            self.truncate_from(key, index);
        }
        let log = self.replicas.entry(key).or_default();
        if !log.accepts(index) {
            return Err(log.purged.map_or(0, |purged| purged.index + 1).max(log.next_index()));
        }
        if log.slots.is_empty() {
            log.first = index;
        }
        let bytes = entry_bytes(&entry);
        let term = term_of(&entry.log_id);
        let cached = match place {
            Place::Pending(_) => Some(entry),
            Place::Disk(_) => None,
        };
        if cached.is_some() {
            self.cached_bytes += bytes;
            self.cached_entries += 1;
            self.cache_order.push_back((key, index));
        }
        log.bytes += bytes as u64;
        log.slots.push_back(Slot { term, bytes, place, cached });
        Ok(())
    }

    /// As [`Index::append`] while the log is read back: the first entry found may have any index, because
    /// the purge record that explains it may come later.
    pub fn append_recovered(&mut self, key: Key, entry: Entry, place: Place) {
        let index = entry.log_id.index;
        self.truncate_from(key, index);
        let log = self.replicas.entry(key).or_default();
        if log.slots.is_empty() {
            log.first = index;
        }
        let bytes = entry_bytes(&entry);
        log.bytes += bytes as u64;
        let term = term_of(&entry.log_id);
        log.slots.push_back(Slot { term, bytes, place, cached: None });
    }

    /// Removes the entries from `index` on.
    pub fn truncate_from(&mut self, key: Key, index: u64) {
        let Some(log) = self.replicas.get_mut(&key) else { return };
        while log.next_index() > index {
            let Some(slot) = log.slots.pop_back() else { break };
            log.bytes -= slot.bytes as u64;
            if slot.cached.is_some() {
                self.cached_bytes -= slot.bytes;
                self.cached_entries -= 1;
            }
        }
    }

    /// Removes the entries up to and with `upto`, and remembers it.
    pub fn purge(&mut self, key: Key, upto: LogId) {
        let log = self.replicas.entry(key).or_default();
        while !log.slots.is_empty() && log.first <= upto.index {
            let Some(slot) = log.slots.pop_front() else { break };
            log.first += 1;
            log.bytes -= slot.bytes as u64;
            if slot.cached.is_some() {
                self.cached_bytes -= slot.bytes;
                self.cached_entries -= 1;
            }
        }
        if log.purged.is_none_or(|purged| purged < upto) {
            log.purged = Some(upto);
        }
        if log.slots.is_empty() {
            log.first = log.purged.map_or(0, |purged| purged.index + 1);
        }
    }

    /// Entries `first..first + count` that were queued under `ticket` now stand in `record`.
    pub fn settle(&mut self, key: &Key, first: u64, count: u64, ticket: u64, record: RecordAt) {
        let Some(log) = self.replicas.get_mut(key) else { return };
        for index in first..first + count {
            if let Some(slot) = log.slot_mut(index)
                && slot.place == Place::Pending(ticket)
            {
                slot.place = Place::Disk(record);
            }
        }
    }

    /// Drops cached entries, oldest first, until the budget is kept or the oldest is pending.
    pub fn evict(&mut self) {
        while self.cached_bytes > self.cache_bytes_max {
            let Some((key, index)) = self.cache_order.front().copied() else { break };
            let slot = self.replicas.get_mut(&key).and_then(|log| log.slot_mut(index));
            match slot {
                Some(slot) if matches!(slot.place, Place::Pending(_)) => break,
                Some(slot) => {
                    let was_cached = slot.cached.take().is_some();
                    self.cached_bytes -= if was_cached { slot.bytes } else { 0 };
                    self.cached_entries -= usize::from(was_cached);
                }
                None => {}
            }
            self.cache_order.pop_front();
        }
        // Purged entries leave their names behind; without this the queue would grow for ever.
        if self.cache_order.len() > 2 * self.cached_entries + 4096 {
            let replicas = &self.replicas;
            self.cache_order.retain(|(key, index)| {
                replicas.get(key).is_some_and(|log| {
                    *index >= log.first
                        && log
                            .slots
                            .get((*index - log.first) as usize)
                            .is_some_and(|slot| slot.cached.is_some())
                })
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::type_config::Command;
    use base::{ReplicaId, ShardId};
    use bytes::Bytes;
    use openraft::EntryPayload;

    const KEY: Key = (ShardId(1), ReplicaId(2));

    fn entry(term: u64, index: u64) -> Entry {
        let command = Command(Bytes::from(vec![0; 84]));
        Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(command) }
    }

    fn record(segment: u64) -> RecordAt {
        RecordAt { position: Position { segment, offset: 64 }, bytes: 100 }
    }

    fn filled(count: u64) -> Index {
        let mut index = Index::new(500);
        for position in 0..count {
            index.append(KEY, entry(1, position), Place::Pending(1)).unwrap();
        }
        index
    }

    #[test]
    fn a_hole_is_refused() {
        let mut index = filled(3);
        assert_eq!(index.append(KEY, entry(1, 4), Place::Pending(2)), Err(3));
        index.purge(KEY, log_id(1, 9));
        assert_eq!(index.append(KEY, entry(1, 12), Place::Pending(2)), Err(10));
        assert_eq!(index.append(KEY, entry(1, 10), Place::Pending(2)), Ok(()));
    }

    #[test]
    fn pending_entries_are_not_evicted() {
        let mut index = filled(10);
        index.evict();
        assert_eq!(index.cached_bytes(), 1000);
        index.settle(&KEY, 0, 10, 1, record(1));
        index.evict();
        assert_eq!(index.cached_bytes(), 500);
        let found = index.get(&KEY).unwrap().find(0, 10, usize::MAX);
        assert!(matches!(found[0], Found::OnDisk(_, 0)));
        assert!(matches!(found[9], Found::Cached(_)));
    }

    #[test]
    fn an_entry_replaced_while_pending_does_not_take_the_old_place() {
        let mut index = filled(3);
        index.append(KEY, entry(2, 1), Place::Pending(2)).unwrap();
        index.settle(&KEY, 0, 3, 1, record(1));
        let log = index.get(&KEY).unwrap();
        assert_eq!(log.place(0), Some(Place::Disk(record(1))));
        assert_eq!(log.place(1), Some(Place::Pending(2)));
        assert_eq!(log.last_log_id(), Some(log_id(2, 1)));
    }

    #[test]
    fn a_read_is_cut_by_bytes_but_never_empty() {
        let index = filled(5);
        let log = index.get(&KEY).unwrap();
        assert_eq!(log.find(0, 5, 250).len(), 2);
        assert_eq!(log.find(0, 5, 1).len(), 1);
    }

    #[test]
    fn the_log_ends_at_the_purge_point_when_it_is_empty() {
        let mut index = filled(5);
        index.purge(KEY, log_id(1, 4));
        let log = index.get(&KEY).unwrap();
        assert_eq!(log.last_log_id(), Some(log_id(1, 4)));
        assert_eq!((log.bytes(), log.next_index()), (0, 5));
        assert_eq!(index.cached_bytes(), 0);
    }

    #[test]
    fn each_term_is_marked_by_its_last_entry() {
        let mut index = Index::new(1 << 20);
        for (term, position) in [(2, 2), (2, 3), (5, 4), (5, 5)] {
            index.append(KEY, entry(term, position), Place::Pending(1)).unwrap();
        }
        let ids = index.get(&KEY).unwrap().last_of_terms(2, 5);
        assert_eq!(ids, vec![log_id(2, 3), log_id(5, 5)]);
    }
}
