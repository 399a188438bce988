//! Segments: the files the log is cut into, and the writer at its end.
//!
//! ```text
//! <number, 16 hex digits>.seg
//! 0        8         12     16       24                64
//! ┌────────┬─────────┬──────┬────────┬─────────────────┬────────┬────────┬───
//! │ magic  │ version │ crc  │ epoch  │ zero            │ record │ record │ …
//! │ 8      │ u32     │ u32  │ u64    │                 │        │        │
//! └────────┴─────────┴──────┴────────┴─────────────────┴────────┴────────┴───
//! crc = crc32(version ‖ epoch)
//! ```
//!
//! A segment's number is its epoch; numbers only rise. A segment nobody needs becomes `spare.<number>`
//! and lives again under a new number: its blocks are allocated already, so syncs stay cheap. A new
//! segment is filled with zeros a step ahead of the writer for the same reason.
//!
//! Invariant: nothing follows a `Seal` record in its segment, and a segment that is not the last one
//! ends with one (or has no room for one).

use super::disk::{LogDisk, LogFile};
use super::record::{self, HEADER_BYTES, Key, Kind, record_bytes};
use base::{ReplicaId, ShardId};
use std::io;
use std::sync::Arc;

/// First bytes of every segment.
const MAGIC: &[u8; 8] = b"PRECLOG\0";
/// Version of the segment format.
const VERSION: u32 = 1;
/// Bytes before the first record.
pub const SEGMENT_HEADER_BYTES: u64 = 64;
/// How far ahead of the writer a new segment is filled with zeros.
const FILL_STEP_BYTES: u64 = 4 << 20;
/// Ending of segment names.
const SUFFIX: &str = ".seg";
/// Beginning of the names of segments that wait for another life.
const SPARE: &str = "spare.";

/// A place in the log. Ordered as the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Segment number.
    pub segment: u64,
    /// Byte offset in it.
    pub offset: u64,
}

/// The file name of a segment.
pub fn segment_name(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

/// The number of a segment's file name; `None` for other files.
pub fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// The file name of a spare segment.
pub fn spare_name(number: u64) -> String {
    format!("{SPARE}{number:016x}")
}

/// The last number a spare segment had; `None` for other files.
pub fn spare_number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix(SPARE)?, 16).ok()
}

/// The header of a segment.
fn encode_header(epoch: u64) -> [u8; SEGMENT_HEADER_BYTES as usize] {
    let mut header = [0; SEGMENT_HEADER_BYTES as usize];
    header[0..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&epoch.to_le_bytes());
    header[12..16].copy_from_slice(&header_crc(VERSION, epoch).to_le_bytes());
    header
}

fn header_crc(version: u32, epoch: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&version.to_le_bytes());
    hasher.update(&epoch.to_le_bytes());
    hasher.finalize()
}

/// The epoch in a segment's header; `None` when the header is not valid or of another version.
pub fn decode_header(bytes: &[u8]) -> Option<u64> {
    let version = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
    let crc = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
    let epoch = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
    let valid = &bytes[..8] == MAGIC && version == VERSION && crc == header_crc(version, epoch);
    valid.then_some(epoch)
}

/// The end of the log: where records are added.
pub struct Writer {
    /// The folder.
    disk: Arc<dyn LogDisk>,
    /// Size of a segment, bytes.
    segment_bytes: u64,
    /// Numbers of spare segments.
    spares: Vec<u64>,
    /// Number of the segment being written.
    number: u64,
    /// Its file.
    file: Arc<dyn LogFile>,
    /// Where `buffer` will be written.
    written: u64,
    /// Records not yet written to `file`.
    buffer: Vec<u8>,
    /// Bytes of the file that exist; what lies beyond must be filled with zeros first.
    filled: u64,
    /// Files written to since the last sync.
    unsynced: Vec<Arc<dyn LogFile>>,
    /// Segments begun since they were last taken.
    begun: Vec<(u64, Arc<dyn LogFile>)>,
}

impl Writer {
    /// A writer at the beginning of segment `number`, which must not exist.
    pub fn begin(
        disk: Arc<dyn LogDisk>,
        segment_bytes: u64,
        spares: Vec<u64>,
        number: u64,
    ) -> io::Result<Writer> {
        let file = disk.open(&segment_name(number))?;
        let mut writer = Writer {
            disk,
            segment_bytes,
            spares,
            number,
            file: file.clone(),
            written: 0,
            buffer: Vec::new(),
            filled: 0,
            unsynced: Vec::new(),
            begun: Vec::new(),
        };
        writer.start(number, file)?;
        Ok(writer)
    }

    /// Where the next record will stand.
    pub fn position(&self) -> Position {
        Position { segment: self.number, offset: self.written + self.buffer.len() as u64 }
    }

    /// Adds a record; it is on disk after the next [`Writer::sync`]. Returns where it stands.
    pub fn push(&mut self, kind: Kind, key: Key, payload: &[u8]) -> io::Result<Position> {
        let seal = record_bytes(0);
        let needed = record_bytes(payload.len()) + seal;
        if self.position().offset + needed > self.segment_bytes
            && self.position().offset > SEGMENT_HEADER_BYTES
        {
            self.roll()?;
        }
        let position = self.position();
        record::encode(&mut self.buffer, self.number, kind, key, payload);
        Ok(position)
    }

    /// Ends this segment and begins the next.
    fn roll(&mut self) -> io::Result<()> {
        let key = (ShardId(0), ReplicaId(0));
        record::encode(&mut self.buffer, self.number, Kind::Seal, key, &[]);
        self.write()?;
        let number = self.number + 1;
        let name = segment_name(number);
        if let Some(spare) = self.spares.pop() {
            self.disk.rename(&spare_name(spare), &name)?;
        }
        let file = self.disk.open(&name)?;
        self.start(number, file)
    }

    /// Makes `file` the segment being written.
    fn start(&mut self, number: u64, file: Arc<dyn LogFile>) -> io::Result<()> {
        self.filled = file.length()?;
        self.number = number;
        self.written = 0;
        self.begun.push((number, file.clone()));
        self.file = file;
        self.buffer.extend_from_slice(&encode_header(number));
        // The name must not be lost while records in it are acknowledged.
        self.disk.sync()
    }

    /// Writes what has been added, without syncing it.
    fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let end = self.written + self.buffer.len() as u64;
        if self.filled < end {
            // A step ahead: the file's size and blocks then change once per step, and the syncs between
            // need no journal commit of the file system.
            let target = end.next_multiple_of(FILL_STEP_BYTES).min(self.segment_bytes).max(end);
            while self.filled < target {
                let zeros = vec![0; (target - self.filled).min(1 << 20) as usize];
                self.file.write_at(self.filled, &zeros)?;
                self.filled += zeros.len() as u64;
            }
        }
        self.file.write_at(self.written, &self.buffer)?;
        self.written = end;
        self.buffer.clear();
        if !self.unsynced.iter().any(|file| Arc::ptr_eq(file, &self.file)) {
            self.unsynced.push(self.file.clone());
        }
        Ok(())
    }

    /// Writes and syncs everything that has been added. Returns the number of syncs it took.
    pub fn sync(&mut self) -> io::Result<usize> {
        self.write()?;
        let files = std::mem::take(&mut self.unsynced);
        for file in &files {
            file.sync()?;
        }
        Ok(files.len())
    }

    /// Segments begun since the last call.
    pub fn take_begun(&mut self) -> Vec<(u64, Arc<dyn LogFile>)> {
        std::mem::take(&mut self.begun)
    }

    /// Takes a segment that nobody needs: keeps it for another life, or removes it.
    pub fn retire(&mut self, number: u64, spares_max: usize) -> io::Result<()> {
        if self.spares.len() < spares_max {
            self.disk.rename(&segment_name(number), &spare_name(number))?;
            self.spares.push(number);
        } else {
            self.disk.remove(&segment_name(number))?;
        }
        self.disk.sync()
    }
}

/// Puts a seal at `offset` of a segment: what stands behind it is no part of the log.
pub fn seal(file: &Arc<dyn LogFile>, number: u64, offset: u64) -> io::Result<()> {
    let mut buffer = Vec::new();
    record::encode(&mut buffer, number, Kind::Seal, (ShardId(0), ReplicaId(0)), &[]);
    debug_assert!(buffer.len() >= HEADER_BYTES);
    file.write_at(offset, &buffer)?;
    file.sync()
}
