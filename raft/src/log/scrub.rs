//! Checking a segment that is not needed right now.

use super::index::Place;
use super::record::{self, HEADER_BYTES, Key};
use super::segment::segment_name;
use super::{SharedLog, recover};
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// What a step of a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sound records up to `next`.
    Sound {
        /// Where to go on.
        next: u64,
        /// Bytes read.
        bytes: u64,
    },
    /// The end of the segment.
    End,
    /// A record that is not what was written.
    Damaged {
        /// File and offset, for people.
        place: String,
        /// Replicas that have entries in it, as far as they still need them.
        replicas: Vec<Key>,
        /// The next sound record behind it, if there is one.
        next: Option<u64>,
    },
}

impl SharedLog {
    /// Numbers of the segments that nobody writes to any more and that the watermark has left behind.
    pub fn sealed_segments(&self) -> Vec<u64> {
        let state = self.shared.state.lock();
        let end = state.sealed_below;
        state.segments.keys().copied().filter(|number| *number < end).collect()
    }

    /// Checks the records of a sealed segment from `offset` on, about `bytes_max` bytes of them. `None`: the
    /// segment was freed meanwhile.
    ///
    /// # Errors
    /// When the disk cannot read.
    pub fn scrub_segment(
        &self,
        number: u64,
        offset: u64,
        bytes_max: usize,
    ) -> io::Result<Option<Step>> {
        let Some(file) = self.shared.state.lock().segments.get(&number).cloned() else {
            return Ok(None);
        };
        let length = file.length()?;
        if offset + HEADER_BYTES as u64 > length {
            return Ok(Some(Step::End));
        }
        let read = |bytes: u64| -> io::Result<Bytes> {
            let mut buffer = vec![0; bytes.min(length - offset) as usize];
            let count = file.read_at(offset, &mut buffer)?;
            buffer.truncate(count);
            Ok(buffer.into())
        };
        let mut content = read(bytes_max as u64)?;
        // A record larger than a step.
        if let Some(prefix) = content.get(..4).and_then(|prefix| prefix.try_into().ok()) {
            let record = record::record_bytes(u32::from_le_bytes(prefix) as usize);
            if record > content.len() as u64 && record <= length - offset {
                content = read(record)?;
            }
        }
        // Records begin at multiples of 8 in the segment, and so they do here.
        let mut done = 0;
        while let Some((record, next)) = record::decode(&content, done, number) {
            if record.kind == record::Kind::Seal && done == 0 {
                return Ok(Some(Step::End));
            }
            if record.kind == record::Kind::Seal {
                break;
            }
            done = next;
        }
        if done > 0 {
            return Ok(Some(Step::Sound { next: offset + done, bytes: done }));
        }
        // Read it all again: what fails twice is no passing fault of the reading.
        let whole = read(length - offset)?;
        if record::decode(&whole, 0, number).is_some() {
            return Ok(Some(Step::Sound { next: offset, bytes: whole.len() as u64 }));
        }
        let next = recover::next_record(&whole, 0, number).map(|next| offset + next);
        let state = self.shared.state.lock();
        if !state.segments.get(&number).is_some_and(|now| Arc::ptr_eq(now, &file)) {
            return Ok(None);
        }
        let bad = offset..next.unwrap_or(u64::MAX);
        let stands_there = |place: Place| match place {
            Place::Disk(at) => at.position.segment == number && bad.contains(&at.position.offset),
            Place::Pending(_) => false,
        };
        let concerned = state.index.iter().filter(|(_, log)| log.places().any(stands_there));
        let replicas = concerned.map(|(key, _)| *key).collect();
        let name = self.shared.disk.place(&segment_name(number));
        Ok(Some(Step::Damaged { place: format!("{name} at byte {offset}"), replicas, next }))
    }

    /// Writes every replica's vote and purge point again, from memory: the records that held them may be
    /// damaged.
    pub fn rewrite_marks(&self) {
        for key in self.replicas() {
            self.shared.rewrite(key, true, true);
        }
    }
}
