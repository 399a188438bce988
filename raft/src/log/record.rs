//! A record of the log: one change to one replica's log or vote.
//!
//! ```text
//! 0        4      8      9       12          20            28
//! ┌────────┬──────┬──────┬───────┬───────────┬─────────────┬─────────┬──────────────┐
//! │ length │ crc  │ kind │ zero  │ shard     │ replica     │ payload │ zero to 8n   │
//! │ u32    │ u32  │ u8   │ 3     │ u64       │ u64         │ length  │              │
//! └────────┴──────┴──────┴───────┴───────────┴─────────────┴─────────┴──────────────┘
//! crc = crc32(epoch of the segment ‖ length ‖ bytes 8.. of the record without padding), little-endian all
//! ```
//!
//! The epoch makes records of a segment's earlier life fail the check, so a recycled segment needs no
//! erasing. Records begin at multiples of 8, so a reader can find the next one behind a damaged one.

use base::{ReplicaId, ShardId};
use bytes::Bytes;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 28;
/// Records begin at multiples of this.
pub const ALIGNMENT: u64 = 8;

/// What a record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Adds entries at the end; entries of the same or a higher index are replaced.
    Entries,
    /// Replaces the vote.
    Vote,
    /// Removes the entries after a log id (all of them when the payload is empty).
    TruncateAfter,
    /// Removes the entries up to and with a log id.
    PurgeUpto,
    /// Removes the replica: everything older of this replica id means nothing.
    Destroy,
    /// The newest log-committed log id that the replica knew.
    CommitHint,
    /// Nothing more follows in this segment.
    Seal,
}

impl Kind {
    /// The byte on disk. Retired bytes stay reserved in `docs/formats.md`.
    fn to_byte(self) -> u8 {
        match self {
            Kind::Entries => 1,
            Kind::Vote => 2,
            Kind::TruncateAfter => 3,
            Kind::PurgeUpto => 4,
            Kind::Destroy => 5,
            Kind::CommitHint => 6,
            Kind::Seal => 7,
        }
    }

    /// The kind of a byte on disk.
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Entries,
            2 => Kind::Vote,
            3 => Kind::TruncateAfter,
            4 => Kind::PurgeUpto,
            5 => Kind::Destroy,
            6 => Kind::CommitHint,
            7 => Kind::Seal,
            _ => return None,
        })
    }
}

/// A replica, as the log names it.
pub type Key = (ShardId, ReplicaId);

/// A record that has been read and has passed its check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it does.
    pub kind: Kind,
    /// To whom.
    pub key: Key,
    /// With what.
    pub payload: Bytes,
}

/// Bytes that a record with this payload takes in a segment.
pub fn record_bytes(payload: usize) -> u64 {
    ((HEADER_BYTES + payload) as u64).next_multiple_of(ALIGNMENT)
}

/// The check of a record whose header (from the kind on) and payload are `body`.
fn checksum(epoch: u64, length: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    if !crate::defect::active("recycled-records-accepted") {
        hasher.update(&epoch.to_le_bytes());
    }
    hasher.update(&length.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Appends a record to `buffer`.
///
/// # Panics
/// When the payload has 4 GiB or more; entries are limited to a thousandth of that.
pub fn encode(buffer: &mut Vec<u8>, epoch: u64, kind: Kind, key: Key, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a record's payload is below 4 GiB");
    let start = buffer.len();
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&[kind.to_byte(), 0, 0, 0]);
    buffer.extend_from_slice(&key.0.0.to_le_bytes());
    buffer.extend_from_slice(&key.1.0.to_le_bytes());
    buffer.extend_from_slice(payload);
    let crc = checksum(epoch, length, &buffer[start + 8..]);
    buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    buffer.resize(start + record_bytes(payload.len()) as usize, 0);
}

/// The record at `offset` of `segment`, and the offset behind it. `None`: no valid record of this
/// epoch stands here.
pub fn decode(segment: &Bytes, offset: u64, epoch: u64) -> Option<(Record, u64)> {
    let start = usize::try_from(offset).ok()?;
    let header = segment.get(start..start.checked_add(HEADER_BYTES)?)?;
    let length = u32::from_le_bytes(header[0..4].try_into().ok()?);
    let crc = u32::from_le_bytes(header[4..8].try_into().ok()?);
    let kind = Kind::from_byte(header[8])?;
    let end = start.checked_add(HEADER_BYTES)?.checked_add(length as usize)?;
    let body = segment.get(start + 8..end)?;
    if checksum(epoch, length, body) != crc {
        return None;
    }
    let shard = ShardId(u64::from_le_bytes(header[12..20].try_into().ok()?));
    let replica = ReplicaId(u64::from_le_bytes(header[20..28].try_into().ok()?));
    let payload = segment.slice(start + HEADER_BYTES..end);
    Some((Record { kind, key: (shard, replica), payload }, offset + record_bytes(length as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(epoch: u64, payload: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        encode(&mut buffer, epoch, Kind::Entries, (ShardId(3), ReplicaId(4)), payload);
        buffer
    }

    #[test]
    fn a_record_survives_a_round_trip() {
        let bytes = Bytes::from(encoded(7, b"hello"));
        let (record, next) = decode(&bytes, 0, 7).unwrap();
        assert_eq!(record.kind, Kind::Entries);
        assert_eq!(record.key, (ShardId(3), ReplicaId(4)));
        assert_eq!(record.payload.as_ref(), b"hello");
        assert_eq!(next, bytes.len() as u64);
        assert_eq!(next % ALIGNMENT, 0);
    }

    #[test]
    fn log_record_bytes_never_change() {
        let wanted: &[u8] = &[
            2, 0, 0, 0, 0x4c, 0xb1, 0xbb, 0xc6, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0,
            0, 0, 0, b'h', b'i', 0, 0,
        ];
        assert_eq!(encoded(7, b"hi"), wanted);
    }

    #[test]
    fn a_record_of_another_epoch_does_not_pass() {
        let bytes = Bytes::from(encoded(7, b"hello"));
        assert_eq!(decode(&bytes, 0, 8), None);
    }

    #[test]
    fn no_changed_byte_passes() {
        let good = encoded(1, b"payload");
        for position in 0..HEADER_BYTES + 7 {
            let mut bad = good.clone();
            bad[position] ^= 0x40;
            assert_eq!(decode(&bad.into(), 0, 1), None, "byte {position}");
        }
    }

    #[test]
    fn random_bytes_are_no_record_and_no_panic() {
        let mut rng = base::Rng::seeded(5);
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..rng.below(80)).map(|_| rng.next_u64() as u8).collect();
            assert_eq!(decode(&bytes.into(), 0, 1), None);
        }
    }
}
