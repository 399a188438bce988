//! Writes of a transaction that are not committed, in key order, with undo for savepoints.
//!
//! The last write of a key wins, but the first expectation stays: it speaks of the committed state from
//! before the transaction, which later writes of the same transaction do not change.
//!
//! ```text
//!  first     then                  kept
//!  any       NotNewerThan(t)       NotNewerThan(t)   the later one knows more
//!  Absent    delete                tombstone, Absent the insert must still have been allowed
//!  delete    put expecting Absent  put, the delete's expectation
//!  put       put expecting Absent  AlreadyExists at once
//! ```

use crate::command::{Change, Expect, KeyWrite};
use crate::{Error, Result};
use base::{IndexId, KeyRange, limits};
use bytes::Bytes;
use engine::key;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A mark in a transaction's write buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    /// Length of the undo list when it was made.
    undo_len: usize,
    /// How many savepoints were alive, this one included.
    depth: usize,
    /// How often the buffer had been emptied before.
    emptied: u32,
}

/// A buffered write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Buffered {
    /// The new value; `None` deletes.
    pub(super) value: Option<Bytes>,
    /// What must hold of the committed state.
    pub(super) expect: Expect,
}

/// The buffer.
#[derive(Debug, Default)]
pub(super) struct WriteBuffer {
    /// Writes by key.
    writes: BTreeMap<Bytes, Buffered>,
    /// Bytes of all keys and values in `writes`.
    bytes: usize,
    /// What each write replaced, oldest first; empty while no savepoint is alive.
    undo: Vec<(Bytes, Option<Buffered>)>,
    /// Savepoints alive.
    depth: usize,
    /// Keys in `writes` that are rows, not index entries.
    rows: usize,
    /// How often the writes have left the buffer for the shards. Savepoints from before that cannot be gone back to.
    emptied: u32,
}

impl WriteBuffer {
    /// The own write of a key, if there is one.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Buffered> {
        self.writes.get(key)
    }

    /// Buffers a write.
    pub(super) fn put(&mut self, key: Bytes, value: Option<Bytes>, expect: Expect) -> Result<()> {
        let bytes = key.len() + value.as_ref().map_or(0, Bytes::len);
        if bytes > limits::ROW_BYTES_MAX {
            let limit = limits::ROW_BYTES_MAX;
            let what = format!(
                "a row of {bytes} bytes exceeds the limit of {limit} bytes; store less in one row"
            );
            return Err(Error::TooLarge { what });
        }
        if self.bytes + bytes > limits::TRANSACTION_BYTES_MAX {
            let limit = limits::TRANSACTION_BYTES_MAX;
            let what = format!(
                "the transaction exceeds the limit of {limit} bytes; commit in smaller parts"
            );
            return Err(Error::TooLarge { what });
        }
        let before = self.writes.get(&key);
        let expect = match before {
            None => expect,
            Some(Buffered { value: Some(_), .. }) if expect == Expect::Absent => {
                return Err(Error::AlreadyExists { key });
            }
            Some(Buffered { expect: Expect::Any, value: Some(_) }) => expect,
            Some(before) => before.expect,
        };
        self.bytes += bytes;
        let before = self.writes.insert(key.clone(), Buffered { value, expect });
        match &before {
            Some(before) => self.bytes -= size(&key, before),
            None => self.rows += usize::from(is_row(&key)),
        }
        if self.depth > 0 {
            self.undo.push((key, before));
        }
        Ok(())
    }

    /// Marks the present state.
    pub(super) fn savepoint(&mut self) -> Savepoint {
        self.depth += 1;
        Savepoint { undo_len: self.undo.len(), depth: self.depth, emptied: self.emptied }
    }

    /// Whether everything since the mark is still here.
    pub(super) fn can_undo(&self, savepoint: Savepoint) -> bool {
        savepoint.emptied == self.emptied
    }

    /// Undoes everything since the mark, which must still be here. Answers the keys that have no write any more.
    pub(super) fn rollback_to(&mut self, savepoint: Savepoint) -> Vec<Bytes> {
        let mut gone = Vec::new();
        while self.undo.len() > savepoint.undo_len {
            let Some((key, before)) = self.undo.pop() else { break };
            let undone = match before {
                Some(before) => {
                    self.bytes += size(&key, &before);
                    self.writes.insert(key.clone(), before)
                }
                None => {
                    self.rows -= usize::from(is_row(&key));
                    gone.push(key.clone());
                    self.writes.remove(&key)
                }
            };
            self.bytes -= undone.map_or(0, |undone| size(&key, &undone));
        }
        self.depth = self.depth.min(savepoint.depth);
        gone
    }

    /// Forgets the mark and those after it.
    pub(super) fn release(&mut self, savepoint: Savepoint) {
        self.depth = self.depth.min(savepoint.depth.saturating_sub(1));
        if self.depth == 0 {
            self.undo = Vec::new();
        }
    }

    /// Whether nothing is buffered.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Number of writes.
    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    /// Number of rows written, index entries aside.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of all keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The own writes in a range, in key order.
    pub(super) fn in_range(&self, range: &KeyRange) -> impl Iterator<Item = (&Bytes, &Buffered)> {
        let end = match range.end.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Excluded(range.end.clone()),
        };
        // BTreeMap panics on an upside-down range.
        let writes = (!range.is_empty())
            .then(|| self.writes.range((Bound::Included(range.start.clone()), end)));
        writes.into_iter().flatten()
    }

    /// About how much memory it takes, bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.writes.len() * limits::BUFFERED_WRITE_OVERHEAD
    }

    /// Takes all writes for the shards, in key order. Savepoints stay alive, but nothing before them can be undone.
    pub(super) fn empty(&mut self) -> Vec<KeyWrite> {
        let (depth, emptied) = (self.depth, self.emptied + 1);
        let full =
            std::mem::replace(self, WriteBuffer { depth, emptied, ..WriteBuffer::default() });
        full.into_writes()
    }

    /// All writes in key order.
    pub(super) fn into_writes(self) -> Vec<KeyWrite> {
        self.writes
            .into_iter()
            .map(|(key, Buffered { value, expect })| {
                let change = value.map_or(Change::Delete, Change::Put);
                KeyWrite { key, change, expect }
            })
            .collect()
    }
}

/// Bytes of a buffered write.
fn size(key: &Bytes, write: &Buffered) -> usize {
    key.len() + write.value.as_ref().map_or(0, Bytes::len)
}

/// Whether a key is a row's, not an index entry's.
fn is_row(engine_key: &[u8]) -> bool {
    key::index_of_key(engine_key).is_ok_and(|index| index == IndexId::PRIMARY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Slot, TableId, Timestamp};
    use engine::key::KeyBuilder;

    fn key(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn put(buffer: &mut WriteBuffer, text: &'static str, value: &'static str, expect: Expect) {
        buffer.put(key(text), Some(key(value)), expect).unwrap();
    }

    #[test]
    fn rollback_to_a_savepoint_undoes_only_later_writes() {
        let mut buffer = WriteBuffer::default();
        put(&mut buffer, "a", "1", Expect::Any);
        let outer = buffer.savepoint();
        put(&mut buffer, "a", "22", Expect::Any);
        let inner = buffer.savepoint();
        put(&mut buffer, "b", "3", Expect::Absent);
        assert_eq!(buffer.rollback_to(inner), [key("b")]);
        assert!(buffer.get(b"b").is_none());
        assert_eq!(buffer.bytes(), 3);
        assert!(buffer.rollback_to(outer).is_empty());
        assert_eq!(buffer.get(b"a").unwrap().value, Some(key("1")));
        assert_eq!(buffer.bytes(), 2);
    }

    #[test]
    fn rows_are_counted_once_and_without_their_index_entries() {
        let entry = |index: u32, id: i64| {
            let mut builder = KeyBuilder::new(TableId(1000), IndexId(index));
            builder.put_i64(id);
            builder.finish(Slot(0))
        };
        let mut buffer = WriteBuffer::default();
        let write = |buffer: &mut WriteBuffer, index, id, value| {
            buffer.put(entry(index, id), value, Expect::Any).unwrap();
            buffer.rows()
        };
        assert_eq!(write(&mut buffer, 0, 1, Some(Bytes::new())), 1);
        assert_eq!(write(&mut buffer, 4, 1, Some(Bytes::new())), 1);
        let savepoint = buffer.savepoint();
        assert_eq!(write(&mut buffer, 0, 1, None), 1);
        assert_eq!(write(&mut buffer, 0, 2, None), 2);
        buffer.rollback_to(savepoint);
        assert_eq!(buffer.rows(), 1);
    }

    #[test]
    fn release_of_an_inner_savepoint_keeps_the_outer_undo() {
        let mut buffer = WriteBuffer::default();
        let outer = buffer.savepoint();
        let inner = buffer.savepoint();
        put(&mut buffer, "a", "1", Expect::Any);
        buffer.release(inner);
        assert_eq!(buffer.undo.len(), 1);
        buffer.rollback_to(outer);
        assert!(buffer.is_empty());
        buffer.release(outer);
        put(&mut buffer, "a", "1", Expect::Any);
        assert!(buffer.undo.is_empty());
    }

    #[test]
    fn the_first_expectation_stays() {
        let at = Expect::NotNewerThan(Timestamp(7));
        let mut buffer = WriteBuffer::default();
        put(&mut buffer, "a", "1", Expect::Absent);
        put(&mut buffer, "a", "2", at);
        assert_eq!(buffer.get(b"a").unwrap().expect, Expect::Absent);
        buffer.put(key("a"), None, Expect::Any).unwrap();
        put(&mut buffer, "a", "3", Expect::Absent);
        assert_eq!(buffer.get(b"a").unwrap().expect, Expect::Absent);
        put(&mut buffer, "b", "1", Expect::Any);
        put(&mut buffer, "b", "2", at);
        assert_eq!(buffer.get(b"b").unwrap().expect, at);
    }

    #[test]
    fn inserting_an_own_row_again_is_refused() {
        let mut buffer = WriteBuffer::default();
        put(&mut buffer, "a", "1", Expect::Absent);
        let again = buffer.put(key("a"), Some(key("2")), Expect::Absent);
        assert!(matches!(again, Err(Error::AlreadyExists { .. })));
    }

    #[test]
    fn a_row_above_the_limit_is_refused() {
        let mut buffer = WriteBuffer::default();
        let value = Bytes::from(vec![0; limits::ROW_BYTES_MAX]);
        let refused = buffer.put(key("a"), Some(value), Expect::Any);
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_was_written_after_the_buffer_was_emptied_can_be_undone() {
        let mut buffer = WriteBuffer::default();
        let before = buffer.savepoint();
        put(&mut buffer, "a", "1", Expect::Any);
        let writes = buffer.empty();
        assert_eq!(writes.len(), 1);
        assert!(buffer.is_empty() && buffer.bytes() == 0);
        assert!(!buffer.can_undo(before));
        let after = buffer.savepoint();
        put(&mut buffer, "b", "2", Expect::Any);
        assert!(buffer.can_undo(after));
        buffer.rollback_to(after);
        assert!(buffer.is_empty());
        buffer.release(before);
        assert_eq!(buffer.depth, 0);
    }

    #[test]
    fn an_upside_down_range_holds_nothing() {
        let mut buffer = WriteBuffer::default();
        put(&mut buffer, "b", "1", Expect::Any);
        assert_eq!(buffer.in_range(&KeyRange::new("c", "a")).count(), 0);
        assert_eq!(buffer.in_range(&KeyRange::new("b", "b")).count(), 0);
        assert_eq!(buffer.in_range(&KeyRange::new("a", "")).count(), 1);
    }
}
