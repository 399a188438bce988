//! Sizes of the log, its figures, and how they decide when it presses for being purged.

use base::limits;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Bytes that one place of the flush queue stands for.
const QUEUE_PLACE_BYTES: usize = 1024;

/// Sizes and intervals of a log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Size of a segment, bytes.
    pub segment_bytes: u64,
    /// Entries kept in memory, bytes.
    pub cache_bytes_max: usize,
    /// Entries queued at the flusher before appenders wait, bytes.
    pub queue_bytes_max: usize,
    /// Entries of one replica queued at the flusher before its appends wait, bytes.
    pub replica_queue_bytes_max: usize,
    /// How far the watermark may lag.
    pub watermark_interval: Duration,
    /// Segments in use above which new writes are refused, bytes.
    pub bytes_max: u64,
    /// Free space of the disk below which new writes are refused, bytes; 0: never.
    pub reserve_bytes: u64,
    /// The file that is given up when the disk is full, bytes; 0: none.
    pub ballast_bytes: u64,
    /// How messages name the node.
    pub owner: String,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: limits::LOG_SEGMENT_BYTES,
            cache_bytes_max: limits::LOG_CACHE_BYTES,
            queue_bytes_max: limits::FLUSH_QUEUE_MAX * QUEUE_PLACE_BYTES,
            replica_queue_bytes_max: limits::REPLICA_QUEUE_BYTES_MAX,
            watermark_interval: limits::WATERMARK_INTERVAL,
            bytes_max: limits::LOG_BYTES_MAX,
            reserve_bytes: limits::DISK_RESERVE_BYTES,
            ballast_bytes: limits::LOG_BALLAST_BYTES,
            owner: "this node".to_string(),
        }
    }
}

/// What happened since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Syncs of segments and watermark files.
    pub syncs: AtomicU64,
    /// Bytes of records.
    pub bytes: AtomicU64,
    /// Entries.
    pub entries: AtomicU64,
    /// Time of the last flush.
    pub last_flush_micros: AtomicU64,
    /// Time of the slowest flush.
    pub slowest_flush_micros: AtomicU64,
}

/// Numbers of the log for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogMetrics {
    /// Syncs of segments and watermark files since the start.
    pub syncs: u64,
    /// Bytes of records written since the start.
    pub bytes: u64,
    /// Entries appended since the start.
    pub entries: u64,
    /// Time of the last write and sync, microseconds.
    pub last_flush_micros: u64,
    /// Time of the slowest write and sync since the start, microseconds.
    pub slowest_flush_micros: u64,
    /// Segments in use.
    pub segments: u64,
    /// Bytes of entries in memory.
    pub cached_bytes: u64,
    /// Syncs above `base::limits::SYNC_SLOW` since the start.
    pub slow_syncs: u64,
    /// Times a write met a full disk since the start.
    pub no_space: u64,
    /// Free bytes of the disk as last seen.
    pub free_bytes: u64,
}

/// How much the log presses for being purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Not at all.
    None,
    /// Replicas that pin the oldest segment should be flushed and purged.
    Pinned,
    /// The limit is near: everything that is applied should go, also what followers that lag still need.
    Near,
    /// The limit is reached.
    Reached,
}

impl Pressure {
    /// The pressure of so many segments under these options.
    pub fn of(segments: u64, options: &LogOptions) -> Pressure {
        let bytes = segments.saturating_mul(options.segment_bytes);
        if bytes >= options.bytes_max {
            Pressure::Reached
        } else if bytes >= options.bytes_max / 8 * 7 {
            Pressure::Near
        } else if segments >= limits::LOG_SEGMENTS_PINNED_MAX {
            Pressure::Pinned
        } else {
            Pressure::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_rises_with_the_number_of_segments() {
        let options =
            LogOptions { segment_bytes: 64 << 20, bytes_max: 4 << 30, ..Default::default() };
        let of = |segments| Pressure::of(segments, &options);
        assert_eq!([of(0), of(7)], [Pressure::None; 2]);
        assert_eq!([of(8), of(55)], [Pressure::Pinned; 2]);
        assert_eq!([of(56), of(63)], [Pressure::Near; 2]);
        assert_eq!([of(64), of(1000)], [Pressure::Reached; 2]);
    }
}
