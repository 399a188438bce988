//! The watermark: what the replicas of this node have acknowledged, kept outside the log.
//!
//! A replica that lost acknowledged entries or its vote must not vote: it could elect a leader that
//! lacks log-committed entries. The log cannot tell that it is shorter than it was, so two small files
//! beside it, written in turn, say how long it was: at log position P, every replica had this vote and
//! this last log id.
//!
//! ```text
//! watermark.a, watermark.b:
//! 0        4      8
//! ┌────────┬──────┬──────────────────────────┐      magic is part of the check
//! │ length │ crc  │ Watermark (raft.proto)   │
//! └────────┴──────┴──────────────────────────┘
//! ```
//!
//! It lags (decision 0002): the log's sync is never followed by a second one that a writer waits for.
//! It is therefore never ahead of the synced log, and what recovery compares is exact: replaying the log
//! up to P must give the values of the watermark.

use super::disk::LogDisk;
use super::record::Key;
use super::segment::{Position, WriteError};
use crate::codec::{log_id_from_wire, log_id_to_wire, vote_from_wire, vote_to_wire};
use crate::type_config::{LogId, Vote};
use base::{ReplicaId, ShardId};
use prost::Message;
use proto::raft as wire;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// The two files.
const NAMES: [&str; 2] = ["watermark.a", "watermark.b"];
/// Goes into the check, so that another file's bytes never pass.
const MAGIC: &[u8] = b"PRECWATERMARK1";

/// What one replica has acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its vote.
    pub vote: Option<Vote>,
    /// The end of its log.
    pub last_log_id: Option<LogId>,
}

/// What all replicas had acknowledged when the log was synced up to `position`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// Everything before it was synced.
    pub position: Position,
    /// Per replica.
    pub replicas: BTreeMap<Key, Acknowledged>,
}

/// Writes and reads the two files.
pub struct WatermarkFiles {
    /// The folder.
    disk: Arc<dyn LogDisk>,
    /// Number of the last write.
    generation: u64,
    /// Names that are known to be durable.
    named: [bool; NAMES.len()],
}

impl WatermarkFiles {
    /// The newer valid one of the two files, and the writer that goes on from there.
    ///
    /// # Errors
    /// When both files have content and neither is valid: a torn write can spoil one of them only.
    pub fn open(disk: Arc<dyn LogDisk>) -> io::Result<(WatermarkFiles, Watermark)> {
        let mut newest: Option<(u64, Watermark)> = None;
        let mut spoiled = Vec::new();
        let present = disk.list()?;
        for name in NAMES {
            if !present.iter().any(|other| other == name) {
                continue;
            }
            let file = disk.open(name)?;
            let mut bytes = vec![0; file.length()? as usize];
            let count = file.read_at(0, &mut bytes)?;
            bytes.truncate(count);
            match decode(&bytes) {
                Some(found) if newest.as_ref().is_none_or(|(best, _)| found.0 > *best) => {
                    newest = Some(found);
                }
                Some(_) => {}
                None if bytes.is_empty() => {}
                None => spoiled.push(disk.place(name)),
            }
        }
        // The very first write may be torn: then the other file does not exist yet.
        if newest.is_none() && spoiled.len() == NAMES.len() {
            let what = format!("both watermark files are damaged: {}", spoiled.join(", "));
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let (generation, watermark) = newest.unwrap_or_default();
        Ok((WatermarkFiles { disk, generation, named: [false; NAMES.len()] }, watermark))
    }

    /// Writes a watermark and syncs it. On a full disk the other file stays the newer one, and the next
    /// call writes to the same file again.
    pub fn write(&mut self, watermark: &Watermark) -> Result<(), WriteError> {
        let generation = self.generation + 1;
        let turn = (generation % NAMES.len() as u64) as usize;
        let name = NAMES[turn];
        let file = self.disk.open(name).map_err(WriteError::of)?;
        file.write_at(0, &encode(generation, watermark)).map_err(WriteError::of)?;
        file.sync().map_err(WriteError::Failed)?;
        if !self.named[turn] {
            self.disk.sync().map_err(WriteError::Failed)?;
            self.named[turn] = true;
        }
        self.generation = generation;
        Ok(())
    }
}

fn checksum(body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(MAGIC);
    hasher.update(body);
    hasher.finalize()
}

fn encode(generation: u64, watermark: &Watermark) -> Vec<u8> {
    let message = wire::Watermark {
        generation,
        segment: watermark.position.segment,
        offset: watermark.position.offset,
        replicas: watermark
            .replicas
            .iter()
            .map(|((shard, replica), acknowledged)| wire::WatermarkReplica {
                shard: shard.0,
                replica: replica.0,
                vote: acknowledged.vote.as_ref().map(vote_to_wire),
                last_log_id: acknowledged.last_log_id.as_ref().map(log_id_to_wire),
            })
            .collect(),
    };
    let body = message.encode_to_vec();
    let mut bytes = Vec::with_capacity(8 + body.len());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&checksum(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8]) -> Option<(u64, Watermark)> {
    let length = u32::from_le_bytes(bytes.get(0..4)?.try_into().ok()?) as usize;
    let crc = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    let body = bytes.get(8..length.checked_add(8)?)?;
    if checksum(body) != crc {
        return None;
    }
    let message = wire::Watermark::decode(body).ok()?;
    let replicas = message
        .replicas
        .iter()
        .map(|replica| {
            let acknowledged = Acknowledged {
                vote: replica.vote.as_ref().map(vote_from_wire),
                last_log_id: replica.last_log_id.as_ref().map(log_id_from_wire),
            };
            ((ShardId(replica.shard), ReplicaId(replica.replica)), acknowledged)
        })
        .collect();
    let position = Position { segment: message.segment, offset: message.offset };
    Some((message.generation, Watermark { position, replicas }))
}

#[cfg(test)]
mod tests {
    use super::super::disk::SimLogDisk;
    use super::*;
    use crate::type_config::log_id;

    fn watermark(offset: u64) -> Watermark {
        let acknowledged =
            Acknowledged { vote: Some(Vote::new(3, 7)), last_log_id: Some(log_id(2, offset)) };
        Watermark {
            position: Position { segment: 4, offset },
            replicas: BTreeMap::from([((ShardId(1), ReplicaId(7)), acknowledged)]),
        }
    }

    #[test]
    fn the_newer_file_counts_and_a_torn_one_falls_back_to_the_other() {
        let disk = SimLogDisk::new();
        let (mut files, empty) = WatermarkFiles::open(Arc::new(disk.clone())).unwrap();
        assert_eq!(empty, Watermark::default());
        for offset in [10, 20, 30] {
            files.write(&watermark(offset)).unwrap();
        }
        let newest = |disk: &SimLogDisk| WatermarkFiles::open(Arc::new(disk.clone())).unwrap().1;
        assert_eq!(newest(&disk), watermark(30));
        disk.corrupt(NAMES[1], 12, 1);
        assert_eq!(newest(&disk), watermark(20));
    }

    #[test]
    fn two_damaged_files_are_an_error_that_names_them() {
        let disk = SimLogDisk::new();
        let (mut files, _) = WatermarkFiles::open(Arc::new(disk.clone())).unwrap();
        files.write(&watermark(1)).unwrap();
        files.write(&watermark(2)).unwrap();
        disk.corrupt(NAMES[0], 9, 1);
        disk.corrupt(NAMES[1], 9, 1);
        let error = WatermarkFiles::open(Arc::new(disk)).err().unwrap();
        assert!(error.to_string().contains("watermark.a"));
    }

    #[test]
    fn a_torn_first_write_is_no_error() {
        let disk = SimLogDisk::new();
        let (mut files, _) = WatermarkFiles::open(Arc::new(disk.clone())).unwrap();
        files.write(&watermark(1)).unwrap();
        disk.cut(NAMES[1], 11);
        assert_eq!(WatermarkFiles::open(Arc::new(disk)).unwrap().1, Watermark::default());
    }
}
