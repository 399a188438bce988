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
//! Filling and beginning segments are the places where the log can meet a full disk: what has been filled
//! can always be written. The writer then says so ([`WriteError::NoSpace`]), changes nothing, and may be asked
//! again; a small file of zeros, the ballast, is there to be given up at that moment, so that votes and small
//! records still fit. A sync is never tried again, whatever it says.
//!
//! Invariant: nothing follows a `Seal` record in its segment, and a segment that is not the last one
//! ends with one (or has no room for one).

use super::disk::{LogDisk, LogFile};
use super::record::{self, HEADER_BYTES, Key, Kind, record_bytes};
use base::{ReplicaId, ShardId};
use std::io;
use std::sync::Arc;

/// Why the writer did not do what it was asked.
#[derive(Debug)]
pub enum WriteError {
    /// The disk is full. Nothing was lost and nothing is half done: ask again when there is space.
    NoSpace(io::Error),
    /// The disk failed. What was written may be gone: stop.
    Failed(io::Error),
}

impl WriteError {
    /// The error of anything but a sync.
    pub fn of(error: io::Error) -> WriteError {
        match is_no_space(&error) {
            true => WriteError::NoSpace(error),
            false => WriteError::Failed(error),
        }
    }
}

/// Whether an error says that the disk, or the owner's share of it, is full.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// First bytes of every segment.
const MAGIC: &[u8; 8] = b"PRECLOG\0";
/// Version of the segment format.
pub const VERSION: u32 = 1;
/// Bytes before the first record.
pub const SEGMENT_HEADER_BYTES: u64 = 64;
/// How far ahead of the writer a new segment is filled with zeros.
const FILL_STEP_BYTES: u64 = 4 << 20;
/// Ending of segment names.
const SUFFIX: &str = ".seg";
/// Beginning of the names of segments that wait for another life.
const SPARE: &str = "spare.";
/// The file that is given up when the disk is full.
pub const BALLAST: &str = "ballast";
/// Bytes written at once when a file is filled with zeros.
const ZEROS_BYTES: u64 = 1 << 20;

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
fn encode_header(version: u32, epoch: u64) -> [u8; SEGMENT_HEADER_BYTES as usize] {
    let mut header = [0; SEGMENT_HEADER_BYTES as usize];
    header[0..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header[16..24].copy_from_slice(&epoch.to_le_bytes());
    header[12..16].copy_from_slice(&header_crc(version, epoch).to_le_bytes());
    header
}

/// The header that the next format's program would write.
#[cfg(test)]
pub(super) fn newer_header(epoch: u64) -> [u8; SEGMENT_HEADER_BYTES as usize] {
    encode_header(VERSION + 1, epoch)
}

fn header_crc(version: u32, epoch: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&version.to_le_bytes());
    hasher.update(&epoch.to_le_bytes());
    hasher.finalize()
}

/// The epoch in a segment's header; `None` when the header is not valid or of another version.
pub fn decode_header(bytes: &[u8]) -> Option<u64> {
    let (version, epoch) = sound_header(bytes)?;
    (version == VERSION).then_some(epoch)
}

/// The format version of a segment that a newer program wrote; `None` for all others, damaged ones included.
pub fn newer_version(bytes: &[u8]) -> Option<u32> {
    let (version, _) = sound_header(bytes)?;
    (version > VERSION).then_some(version)
}

/// Version and epoch of a header whose checksum is right.
fn sound_header(bytes: &[u8]) -> Option<(u32, u64)> {
    let version = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
    let crc = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
    let epoch = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
    let sound = &bytes[..8] == MAGIC && crc == header_crc(version, epoch);
    sound.then_some((version, epoch))
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
    /// Whether the segment being written has its seal, and only the next one is missing.
    sealed: bool,
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
            sealed: false,
        };
        writer.start(number, file).map_err(|error| match error {
            WriteError::NoSpace(error) | WriteError::Failed(error) => error,
        })?;
        Ok(writer)
    }

    /// Where the next record will stand.
    pub fn position(&self) -> Position {
        Position { segment: self.number, offset: self.written + self.buffer.len() as u64 }
    }

    /// Adds a record; it is on disk after the next [`Writer::sync`]. Returns where it stands.
    pub fn push(&mut self, kind: Kind, key: Key, payload: &[u8]) -> Result<Position, WriteError> {
        let seal = record_bytes(0);
        let needed = record_bytes(payload.len()) + seal;
        let full = self.position().offset + needed > self.segment_bytes
            && self.position().offset > SEGMENT_HEADER_BYTES;
        if self.sealed || full {
            self.roll()?;
        }
        let position = self.position();
        record::encode(&mut self.buffer, self.number, kind, key, payload);
        Ok(position)
    }

    /// Ends this segment and begins the next. Goes on where it was when the disk was full.
    fn roll(&mut self) -> Result<(), WriteError> {
        if !self.sealed {
            let key = (ShardId(0), ReplicaId(0));
            record::encode(&mut self.buffer, self.number, Kind::Seal, key, &[]);
            self.sealed = true;
        }
        self.write()?;
        let number = self.number + 1;
        let name = segment_name(number);
        if let Some(spare) = self.spares.last() {
            self.disk.rename(&spare_name(*spare), &name).map_err(WriteError::of)?;
            self.spares.pop();
        }
        let file = self.disk.open(&name).map_err(WriteError::of)?;
        self.start(number, file)
    }

    /// Makes `file` the segment being written.
    fn start(&mut self, number: u64, file: Arc<dyn LogFile>) -> Result<(), WriteError> {
        self.filled = file.length().map_err(WriteError::Failed)?;
        self.number = number;
        self.written = 0;
        self.sealed = false;
        self.begun.push((number, file.clone()));
        self.file = file;
        self.buffer.extend_from_slice(&encode_header(VERSION, number));
        // The name must not be lost while records in it are acknowledged.
        self.disk.sync().map_err(WriteError::Failed)
    }

    /// Writes what has been added, without syncing it.
    fn write(&mut self) -> Result<(), WriteError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let end = self.written + self.buffer.len() as u64;
        if self.filled < end {
            // A step ahead: the file's size and blocks then change once per step, and the syncs between
            // need no journal commit of the file system. With little space left, only what is needed.
            let ahead = end.next_multiple_of(FILL_STEP_BYTES).min(self.segment_bytes).max(end);
            match self.fill(ahead) {
                Err(WriteError::NoSpace(_)) => self.fill(end)?,
                filled => filled?,
            }
        }
        self.file.write_at(self.written, &self.buffer).map_err(WriteError::of)?;
        self.written = end;
        self.buffer.clear();
        if !self.unsynced.iter().any(|file| Arc::ptr_eq(file, &self.file)) {
            self.unsynced.push(self.file.clone());
        }
        Ok(())
    }

    /// Fills the segment with zeros up to `target`.
    fn fill(&mut self, target: u64) -> Result<(), WriteError> {
        while self.filled < target {
            let zeros = vec![0; (target - self.filled).min(ZEROS_BYTES) as usize];
            self.file.write_at(self.filled, &zeros).map_err(WriteError::of)?;
            self.filled += zeros.len() as u64;
        }
        Ok(())
    }

    /// Writes and syncs everything that has been added. Returns the number of syncs it took.
    pub fn sync(&mut self) -> Result<usize, WriteError> {
        self.write()?;
        let files = std::mem::take(&mut self.unsynced);
        for file in &files {
            file.sync().map_err(WriteError::Failed)?;
        }
        Ok(files.len())
    }

    /// Segments begun since the last call.
    pub fn take_begun(&mut self) -> Vec<(u64, Arc<dyn LogFile>)> {
        std::mem::take(&mut self.begun)
    }

    /// Takes a segment that nobody needs: keeps it for another life, or removes it.
    pub fn retire(&mut self, number: u64, spares_max: usize) -> io::Result<()> {
        let kept = self.spares.len() < spares_max
            && match self.disk.rename(&segment_name(number), &spare_name(number)) {
                // A new name may need space; a removal needs none.
                Err(error) if is_no_space(&error) => false,
                renamed => renamed.map(|()| true)?,
            };
        match kept {
            true => self.spares.push(number),
            false => self.disk.remove(&segment_name(number))?,
        }
        self.disk.sync()
    }
}

/// Creates the ballast of `bytes` unless it is there. Returns whether it is whole now: a full disk is no
/// error, there is just no ballast then.
pub fn put_ballast(disk: &dyn LogDisk, bytes: u64) -> io::Result<bool> {
    let fill = || {
        let file = disk.open(BALLAST)?;
        let mut filled = file.length()?;
        let fresh = filled < bytes;
        while filled < bytes {
            let zeros = vec![0; (bytes - filled).min(ZEROS_BYTES) as usize];
            file.write_at(filled, &zeros)?;
            filled += zeros.len() as u64;
        }
        if fresh { file.sync() } else { Ok(()) }
    };
    match fill() {
        Ok(()) => Ok(true),
        Err(error) if is_no_space(&error) => {
            take_ballast(disk)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives the ballast up. Returns whether there was one.
pub fn take_ballast(disk: &dyn LogDisk) -> io::Result<bool> {
    match disk.remove(BALLAST) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
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
