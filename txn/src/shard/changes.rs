//! Which entries of the engine a leadership changes, for a copy of the shard that is made meanwhile.
//!
//! ```text
//!  begin ─► open ─┬─ applied ──────────────────────► keys noted for the copy
//!                 ├─ NotLeader ────────────────────► in no log
//!                 └─ unknown ─► until a later command of the term is applied ─► keys noted
//! ```
//!
//! A command is open from before it is replicated, whether somebody copies or not. So a copy that begins in between misses
//! nothing: what was applied before it began is read with the content, what is open then is noted when it is applied.
//!
//! Invariants:
//! 1. A key is noted after its change is applied here. Whoever takes a note and then reads the engine has read that change,
//!    and a later one leaves another note.
//! 2. A note that was taken is kept until the next ones are asked for: its answer may be lost and asked for again. What did
//!    not fit into an answer is noted again.
//!
//! Not here: who copies (`giver`).

use crate::replication::ReplicateError;
use base::{SlotRange, limits};
use bytes::Bytes;
use engine::Mutation;
use engine::mvcc;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// Commands of one leadership, and what they change.
#[derive(Debug, Default)]
pub(super) struct Changes {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The number of the next command.
    next: u64,
    /// Commands under way.
    open: BTreeMap<u64, Bytes>,
    /// Commands of unknown outcome, by the number of the first command that began after that was so.
    unknown: BTreeMap<u64, Vec<Bytes>>,
    /// Bytes of these.
    unknown_bytes: usize,
    /// Whether some of these were forgotten: nothing can be copied in this term.
    blind: bool,
    /// Copies that were begun.
    copies: u64,
    /// The last of them.
    copy: Option<Copying>,
}

/// A copy that is being made.
#[derive(Debug)]
struct Copying {
    /// Tells it from earlier ones.
    number: u64,
    /// The shard's slots.
    slots: SlotRange,
    /// Engine keys that have changed.
    keys: BTreeSet<Bytes>,
    /// Bytes of these.
    bytes: usize,
    /// The last turn that was asked for.
    turn: u64,
    /// What it was told.
    told: Vec<Bytes>,
    /// Whether notes were lost: it must begin anew.
    lost: bool,
}

impl Copying {
    fn note(&mut self, key: Bytes) {
        let bytes = key.len();
        if self.keys.insert(key) {
            self.bytes += bytes;
        }
        let full = self.keys.len() > limits::MERGE_CHANGES_MAX
            || self.bytes > limits::MERGE_CHANGES_BYTES_MAX;
        if full {
            self.lost = true;
            self.keys.clear();
            self.bytes = 0;
        }
    }

    fn note_all(&mut self, command: &Bytes) {
        let Ok(batch) = mvcc::decode_batch(command) else {
            self.lost = true;
            return;
        };
        for mutation in batch.into_mutations() {
            if self.lost {
                return;
            }
            let (Mutation::Put { key, .. } | Mutation::Delete { key }) = mutation;
            match mvcc::is_copied(&key, self.slots) {
                // The key's bytes would keep the whole command alive.
                Ok(true) => self.note(Bytes::copy_from_slice(&key)),
                Ok(false) => {}
                Err(_) => self.lost = true,
            }
        }
    }
}

/// Engine keys to be read again, and how many more there are.
pub(super) struct Told {
    /// The keys.
    pub(super) keys: Vec<Bytes>,
    /// How many are left.
    pub(super) left: u64,
}

impl Changes {
    /// A command is about to be replicated. Answers its number.
    pub(super) fn begin(&self, command: &Bytes) -> u64 {
        let mut inner = self.inner.lock();
        let number = inner.next;
        inner.next += 1;
        inner.open.insert(number, command.clone());
        number
    }

    /// What became of it.
    pub(super) fn end(&self, number: u64, outcome: &Result<(), ReplicateError>) {
        let mut inner = self.inner.lock();
        let Some(command) = inner.open.remove(&number) else { return };
        match outcome {
            Ok(()) => {
                // The log is in order: what was proposed before it is applied, or in no log of this term.
                let later = inner.unknown.split_off(&(number + 1));
                let settled = std::mem::replace(&mut inner.unknown, later);
                let settled: Vec<Bytes> = settled.into_values().flatten().collect();
                inner.unknown_bytes -= settled.iter().map(Bytes::len).sum::<usize>();
                if let Some(copy) = &mut inner.copy {
                    settled.iter().chain([&command]).for_each(|command| copy.note_all(command));
                }
            }
            // In no log.
            Err(ReplicateError::NotLeader) => {}
            Err(ReplicateError::Unknown) => {
                let from = inner.next;
                inner.unknown_bytes += command.len();
                inner.unknown.entry(from).or_default().push(command);
                if inner.unknown_bytes > limits::MERGE_UNKNOWN_BYTES_MAX {
                    inner.blind = true;
                    inner.unknown.clear();
                    inner.unknown_bytes = 0;
                }
            }
        }
    }

    /// Begins a copy of a shard with these slots and answers its number; `None` when nothing can be copied in this term.
    pub(super) fn open_copy(&self, slots: SlotRange) -> Option<u64> {
        let mut inner = self.inner.lock();
        if inner.blind {
            return None;
        }
        inner.copies += 1;
        let number = inner.copies;
        let (keys, told) = (BTreeSet::new(), Vec::new());
        let copy = Copying { number, slots, keys, bytes: 0, turn: 0, told, lost: false };
        inner.copy = Some(copy);
        Some(number)
    }

    /// The slots of a copy; `None` when it must begin anew.
    pub(super) fn copied_slots(&self, number: u64) -> Option<SlotRange> {
        let inner = self.inner.lock();
        let copy = inner.copy.as_ref().filter(|copy| copy.number == number && !copy.lost)?;
        (!inner.blind).then_some(copy.slots)
    }

    /// The shard is frozen: whatever of its commands is still open or unknown here is decided, and noted.
    pub(super) fn note_the_rest(&self) {
        let mut inner = self.inner.lock();
        let unknown = std::mem::take(&mut inner.unknown).into_values().flatten();
        let commands: Vec<Bytes> = unknown.chain(inner.open.values().cloned()).collect();
        inner.unknown_bytes = 0;
        if let Some(copy) = &mut inner.copy {
            commands.iter().for_each(|command| copy.note_all(command));
        }
    }

    /// Keys that have changed, for a turn of a copy. The same turn is told the same again; `None` when the copy must begin
    /// anew.
    pub(super) fn take(&self, number: u64, turn: u64) -> Option<Told> {
        let mut inner = self.inner.lock();
        if inner.blind {
            return None;
        }
        let copy = inner.copy.as_mut().filter(|copy| copy.number == number && !copy.lost)?;
        if turn == copy.turn + 1 {
            copy.turn = turn;
            copy.told.clear();
            while copy.told.len() < limits::MERGE_CHANGES_A_STEP {
                let Some(key) = copy.keys.pop_first() else { break };
                copy.bytes -= key.len();
                copy.told.push(key);
            }
        } else if turn != copy.turn {
            return None;
        }
        Some(Told { keys: copy.told.clone(), left: copy.keys.len() as u64 })
    }

    /// Notes keys again that did not fit into the answer.
    pub(super) fn give_back(&self, number: u64, keys: Vec<Bytes>) {
        let mut inner = self.inner.lock();
        let Some(copy) = inner.copy.as_mut().filter(|copy| copy.number == number) else { return };
        let again: BTreeSet<&Bytes> = keys.iter().collect();
        copy.told.retain(|told| !again.contains(told));
        keys.into_iter().for_each(|key| copy.note(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{IndexId, Slot, TableId, Timestamp};
    use engine::WriteBatch;
    use engine::key::KeyBuilder;

    const SLOTS: SlotRange = SlotRange { start: 100, end: 200 };

    fn engine_key(slot: u16, ts: u64) -> Bytes {
        let key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY).finish(Slot(slot));
        mvcc::version_key(&key, Timestamp(ts))
    }

    fn command(slot: u16, ts: u64) -> Bytes {
        let mut batch = WriteBatch::new();
        batch.put(engine_key(slot, ts), Bytes::new());
        mvcc::encode_batch(&batch)
    }

    fn applied(changes: &Changes, slot: u16, ts: u64) {
        let number = changes.begin(&command(slot, ts));
        changes.end(number, &Ok(()));
    }

    fn told(changes: &Changes, copy: u64, turn: u64) -> Vec<Bytes> {
        changes.take(copy, turn).expect("the copy goes on").keys
    }

    #[test]
    fn what_is_under_way_when_a_copy_begins_is_noted_when_it_is_applied() {
        let changes = Changes::default();
        applied(&changes, 100, 1);
        let (open, refused) = (changes.begin(&command(100, 2)), changes.begin(&command(100, 3)));
        let copy = changes.open_copy(SLOTS).unwrap();
        assert!(told(&changes, copy, 1).is_empty(), "it is not applied yet");
        changes.end(open, &Ok(()));
        changes.end(refused, &Err(ReplicateError::NotLeader));
        applied(&changes, 99, 4);
        assert_eq!(told(&changes, copy, 2), [engine_key(100, 2)]);
        assert_eq!(told(&changes, copy, 2), [engine_key(100, 2)], "the answer was lost");
        applied(&changes, 101, 5);
        assert_eq!(told(&changes, copy, 3), [engine_key(101, 5)]);
        assert!(changes.take(copy, 2).is_none() && changes.take(copy, 5).is_none());
    }

    #[test]
    fn an_unknown_outcome_is_noted_when_a_later_command_is_applied() {
        let changes = Changes::default();
        let copy = changes.open_copy(SLOTS).unwrap();
        let (unknown, beside) = (changes.begin(&command(100, 1)), changes.begin(&command(100, 2)));
        changes.end(unknown, &Err(ReplicateError::Unknown));
        changes.end(beside, &Ok(()));
        assert_eq!(told(&changes, copy, 1), [engine_key(100, 2)], "that one began before");
        applied(&changes, 50, 3);
        assert_eq!(told(&changes, copy, 2), [engine_key(100, 1)]);
    }

    #[test]
    fn nothing_is_left_out_when_the_shard_is_frozen() {
        let changes = Changes::default();
        let copy = changes.open_copy(SLOTS).unwrap();
        let (unknown, open) = (changes.begin(&command(100, 1)), changes.begin(&command(100, 2)));
        changes.end(unknown, &Err(ReplicateError::Unknown));
        changes.note_the_rest();
        let all = BTreeSet::from([engine_key(100, 1), engine_key(100, 2)]);
        assert_eq!(told(&changes, copy, 1).into_iter().collect::<BTreeSet<_>>(), all);
        changes.end(open, &Ok(()));
    }

    #[test]
    fn a_later_copy_ends_an_earlier_one() {
        let changes = Changes::default();
        let first = changes.open_copy(SLOTS).unwrap();
        let second = changes.open_copy(SLOTS).unwrap();
        assert!(changes.take(first, 1).is_none() && changes.copied_slots(first).is_none());
        assert_eq!(changes.copied_slots(second), Some(SLOTS));
    }
}
