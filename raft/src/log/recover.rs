//! Reading the log back after a start.
//!
//! Segments are replayed in order. What is no valid record is one of two things, and the watermark's
//! position W decides which:
//!
//! ```text
//! ───────── records that were synced ─────────W──── written, perhaps not synced ────
//!   a bad record here is damage: never cut,    a bad record here is a torn tail:
//!   find out who lost what                     the log ends before it
//! ```
//!
//! Who lost what: replaying up to W must give the votes and log ends that the watermark holds, and no
//! replica may have a hole. A replica that fails either check is reported with the file and offset of the
//! damage, and must not take part in its group under its id.
//!
//! Each record of entries also names the log id before its first entry. If another one stands there, a
//! truncation with what followed it was lost in between: the indexes fit, the log does not.
//!
//! What was written but never synced is read back too when the process died and the system did not. It is
//! synced before anyone relies on it.
//!
//! Freed segments are always the oldest, so what remains is a suffix of the log: a replica's first
//! entries found may begin anywhere, and the record that says up to where it was purged may come later.

use super::disk::{LogDisk, LogFile};
use super::index::{Index, Place, RecordAt};
use super::record::{self, ALIGNMENT, HEADER_BYTES, Key, Kind, Record};
use super::segment::{self, Position, SEGMENT_HEADER_BYTES};
use super::watermark::{Acknowledged, Watermark};
use crate::codec::{decode_entry_batch, log_id_from_wire, vote_from_wire};
use crate::defect;
use crate::type_config::{LogId, Vote};
use bytes::Bytes;
use prost::Message;
use proto::raft as wire;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// What a replica lost of what it had acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What it had acknowledged.
    pub acknowledged: Acknowledged,
    /// Whether its vote is missing or older.
    pub vote_lost: bool,
    /// Whether entries are missing in the middle of its log.
    pub hole: bool,
    /// File and offset of the damage, for people.
    pub place: String,
}

/// The log as it was found.
pub struct Recovered {
    /// Votes and entries.
    pub index: Index,
    /// Open segments.
    pub segments: BTreeMap<u64, Arc<dyn LogFile>>,
    /// Numbers of spare segments.
    pub spares: Vec<u64>,
    /// Number of the segment to begin.
    pub next_segment: u64,
    /// Replicas that lost something.
    pub shortfalls: BTreeMap<Key, Shortfall>,
    /// The first place that is damaged where it was synced.
    pub damage: Option<String>,
}

/// Replays the log of this disk.
pub fn recover(
    disk: &Arc<dyn LogDisk>,
    cache_bytes_max: usize,
    watermark: &Watermark,
) -> io::Result<Recovered> {
    let mut numbers = Vec::new();
    let mut spares = Vec::new();
    for name in disk.list()? {
        if let Some(number) = segment::segment_number(&name) {
            numbers.push(number);
        } else if let Some(number) = segment::spare_number(&name) {
            spares.push(number);
        }
    }
    refuse_newer(disk, &numbers)?;
    let mut replay = Replay {
        disk: disk.clone(),
        watermark,
        index: Index::new(cache_bytes_max),
        checked: false,
        damage: None,
        holes: BTreeMap::new(),
        shortfalls: BTreeMap::new(),
    };
    let mut segments = BTreeMap::new();
    let mut end = None;
    let mut expected = numbers.first().copied().unwrap_or(1);
    for (position, number) in numbers.iter().copied().enumerate() {
        if number != expected {
            let place = disk.place(&segment::segment_name(expected));
            if !replay.passed(Position { segment: expected, offset: 0 }) {
                replay.damaged(format!("{place} is missing"));
            } else {
                end = Some(position);
                break;
            }
        }
        let file = disk.open(&segment::segment_name(number))?;
        let outcome = replay.segment(number, &file)?;
        match outcome {
            // A process that was killed may have written what it never synced. It was read back, so it
            // counts from now on, and must not go with the next power cut.
            Scan::Sealed if number >= replay.watermark.position.segment => file.sync()?,
            Scan::Sealed => {}
            Scan::EndsBefore(offset) if offset <= SEGMENT_HEADER_BYTES => {
                // Nothing in it was ever synced; a begun segment may even lack its header.
                end = Some(position);
                break;
            }
            Scan::EndsBefore(offset) => {
                segment::seal(&file, number, offset)?;
                segments.insert(number, file);
                end = Some(position + 1);
                break;
            }
        }
        segments.insert(number, file);
        expected = number + 1;
    }
    // Behind a torn tail nothing was synced, so nothing was acknowledged.
    for number in numbers.split_off(end.unwrap_or(numbers.len())) {
        disk.remove(&segment::segment_name(number))?;
    }
    disk.sync()?;
    replay.check_watermark();
    let next_segment = segments
        .keys()
        .next_back()
        .map_or(1, |last| last + 1)
        .max(spares.iter().max().map_or(1, |last| last + 1));
    let Replay { mut index, shortfalls, damage, .. } = replay.finish();
    for key in shortfalls.keys() {
        let log = index.get_or_create(*key);
        log.damage = shortfalls.get(key).map(|shortfall| shortfall.place.clone());
    }
    Ok(Recovered { index, segments, spares, next_segment, shortfalls, damage })
}

/// A segment of a newer program is no damage: nothing may be read past it, and nothing changed.
fn refuse_newer(disk: &Arc<dyn LogDisk>, numbers: &[u64]) -> io::Result<()> {
    for number in numbers {
        let name = segment::segment_name(*number);
        let mut header = vec![0; SEGMENT_HEADER_BYTES as usize];
        let count = disk.open(&name)?.read_at(0, &mut header)?;
        if let Some(version) = segment::newer_version(&header[..count]) {
            let what = format!(
                "{} has format version {version}, which a newer program wrote, and this one knows up to {}; start the \
                 newer program again; nothing was changed",
                disk.place(&name),
                segment::VERSION
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
    }
    Ok(())
}

/// How a segment ended.
enum Scan {
    /// With a seal, or where no record can follow.
    Sealed,
    /// Before this offset: what follows was never synced.
    EndsBefore(u64),
}

/// A replay under way.
struct Replay<'a> {
    /// For names of places.
    disk: Arc<dyn LogDisk>,
    /// What was acknowledged.
    watermark: &'a Watermark,
    /// State so far.
    index: Index,
    /// Whether the state has been compared with the watermark.
    checked: bool,
    /// First damage found.
    damage: Option<String>,
    /// Replicas with a hole in their log.
    holes: BTreeMap<Key, String>,
    /// Result.
    shortfalls: BTreeMap<Key, Shortfall>,
}

impl Replay<'_> {
    /// Whether a place is at or behind the watermark's position: perhaps never synced.
    fn passed(&self, position: Position) -> bool {
        position >= self.watermark.position
    }

    /// Remembers damage.
    fn damaged(&mut self, place: String) {
        tracing::error!(%place, "the Raft log is damaged where it was synced");
        self.damage.get_or_insert(place);
    }

    /// Replays one segment.
    fn segment(&mut self, number: u64, file: &Arc<dyn LogFile>) -> io::Result<Scan> {
        let mut content = vec![0; file.length()? as usize];
        let count = file.read_at(0, &mut content)?;
        content.truncate(count);
        let content = Bytes::from(content);
        let name = self.disk.place(&segment::segment_name(number));
        if segment::decode_header(&content) != Some(number) {
            if self.passed(Position { segment: number, offset: SEGMENT_HEADER_BYTES }) {
                return Ok(Scan::EndsBefore(0));
            }
            self.damaged(format!("{name} at byte 0"));
        }
        let mut offset = SEGMENT_HEADER_BYTES;
        loop {
            let position = Position { segment: number, offset };
            if self.passed(position) {
                self.check_watermark();
            }
            match record::decode(&content, offset, number) {
                Some((Record { kind: Kind::Seal, .. }, _)) => return Ok(Scan::Sealed),
                Some((record, next)) => {
                    let at = RecordAt { position, bytes: (next - offset) as u32 };
                    if let Err(what) = self.apply(record, at) {
                        self.damaged(format!("{name} at byte {offset}: {what}"));
                    }
                    offset = next;
                }
                None if self.passed(position) => return Ok(Scan::EndsBefore(offset)),
                None if defect::active("truncate-at-bad-checksum") => {
                    self.checked = true;
                    return Ok(Scan::EndsBefore(offset));
                }
                None => {
                    self.damaged(format!("{name} at byte {offset}"));
                    match next_record(&content, offset, number) {
                        Some(next) => offset = next,
                        None => return Ok(Scan::Sealed),
                    }
                }
            }
        }
    }

    /// Applies one record.
    fn apply(&mut self, record: Record, at: RecordAt) -> Result<(), String> {
        let Record { kind, key, payload } = record;
        match kind {
            Kind::Entries => {
                let (prev, entries) =
                    decode_entry_batch(payload).map_err(|error| error.to_string())?;
                let fits = |index: &Index, next: u64| {
                    index.get(&key).is_none_or(|log| {
                        log.first_index() == log.next_index() || next <= log.next_index()
                    })
                };
                let follows = prev.is_none_or(|prev| {
                    let found = self.index.get(&key).and_then(|log| log.log_id_at(prev.index));
                    found.is_none_or(|found| found == prev)
                });
                let next = entries.first().map(|first| first.log_id.index);
                if !follows || next.is_some_and(|next| !fits(&self.index, next)) {
                    let place = self.damage.clone().unwrap_or_else(|| {
                        let name = segment::segment_name(at.position.segment);
                        format!("{} at byte {}", self.disk.place(&name), at.position.offset)
                    });
                    self.holes.entry(key).or_insert(place);
                }
                // What follows a hole is evidence, not a log.
                if !self.holes.contains_key(&key) {
                    for entry in entries {
                        self.index.append_recovered(key, entry, Place::Disk(at));
                    }
                }
            }
            Kind::Vote => {
                let log = self.index.get_or_create(key);
                log.vote = Some(decode_vote(&payload)?);
                log.vote_segment = at.position.segment;
            }
            Kind::TruncateAfter => {
                let from = match decode_log_id(&payload)? {
                    None => 0,
                    Some(last) => last.index + 1,
                };
                self.index.truncate_from(key, from);
            }
            Kind::PurgeUpto => {
                let upto = decode_log_id(&payload)?.ok_or("a purge without a log id")?;
                self.index.purge(key, upto);
                self.index.get_or_create(key).purged_segment = at.position.segment;
            }
            Kind::Destroy => {
                self.index.remove(&key);
                self.holes.remove(&key);
            }
            Kind::CommitHint => {
                let committed = decode_log_id(&payload)?;
                let log = self.index.get_or_create(key);
                log.committed = committed;
                log.committed_queued = committed;
            }
            Kind::Seal => {}
        }
        Ok(())
    }

    /// Compares the state with the watermark, once, when its position is reached.
    fn check_watermark(&mut self) {
        if self.checked {
            return;
        }
        self.checked = true;
        if self.damage.is_some() {
            // The watermark names every replica there was. Others come from before a removal that was lost.
            let known = |key: &Key| self.watermark.replicas.contains_key(key);
            let ghosts: Vec<Key> =
                self.index.iter().map(|(key, _)| *key).filter(|key| !known(key)).collect();
            for key in ghosts {
                self.index.remove(&key);
                self.holes.remove(&key);
            }
        }
        for (key, acknowledged) in &self.watermark.replicas {
            let log = self.index.get(key);
            let vote = log.and_then(|log| log.vote);
            let last = log.and_then(|log| log.last_log_id());
            let vote_lost = match (&vote, &acknowledged.vote) {
                (_, None) => false,
                (None, Some(_)) => true,
                // Two votes for different replicas in one term do not compare: that is a loss too.
                (Some(found), Some(wanted)) => !matches!(
                    found.partial_cmp(wanted),
                    Some(std::cmp::Ordering::Equal | std::cmp::Ordering::Greater)
                ),
            };
            if vote_lost || last < acknowledged.last_log_id {
                let place = self.damage.clone().unwrap_or_else(|| {
                    let at = self.watermark.position;
                    let name = self.disk.place(&segment::segment_name(at.segment));
                    format!("{name}: it ends before byte {}", at.offset)
                });
                let shortfall =
                    Shortfall { acknowledged: acknowledged.clone(), vote_lost, hole: false, place };
                self.shortfalls.insert(*key, shortfall);
            }
        }
    }

    /// The last checks, on the whole log.
    fn finish(mut self) -> Self {
        for (key, log) in self.index.iter() {
            let empty = log.first_index() == log.next_index();
            let begins_right = match &log.purged {
                Some(purged) => log.first_index() == purged.index + 1,
                None => log.first_index() == 0 || self.damage.is_none(),
            };
            if !empty && !begins_right {
                let place = self.damage.clone().unwrap_or_else(|| self.disk.place("").clone());
                self.holes.entry(*key).or_insert(place);
            }
        }
        for (key, place) in std::mem::take(&mut self.holes) {
            let acknowledged = self.watermark.replicas.get(&key).cloned().unwrap_or_default();
            let shortfall = Shortfall { acknowledged, vote_lost: false, hole: true, place };
            self.shortfalls.entry(key).and_modify(|known| known.hole = true).or_insert(shortfall);
        }
        self
    }
}

/// The next valid record behind a bad one.
pub fn next_record(content: &Bytes, bad: u64, epoch: u64) -> Option<u64> {
    let mut offset = bad + ALIGNMENT;
    while offset + HEADER_BYTES as u64 <= content.len() as u64 {
        if record::decode(content, offset, epoch).is_some() {
            return Some(offset);
        }
        offset += ALIGNMENT;
    }
    None
}

fn decode_vote(payload: &Bytes) -> Result<Vote, String> {
    let message = wire::Vote::decode(payload.clone()).map_err(|error| error.to_string())?;
    Ok(vote_from_wire(&message))
}

fn decode_log_id(payload: &Bytes) -> Result<Option<LogId>, String> {
    if payload.is_empty() {
        return Ok(None);
    }
    // A wrapper, because the log id (0, 0) encodes to no bytes at all.
    let message = wire::Applied::decode(payload.clone()).map_err(|error| error.to_string())?;
    Ok(message.log_id.as_ref().map(log_id_from_wire))
}

/// Payload of the records that carry a log id. No log id: no bytes.
pub fn encode_log_id(log_id: Option<&LogId>) -> Vec<u8> {
    match log_id {
        None => Vec::new(),
        Some(log_id) => {
            wire::Applied { log_id: Some(crate::codec::log_id_to_wire(log_id)), membership: None }
                .encode_to_vec()
        }
    }
}
