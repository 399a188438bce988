//! `RocksEngine`: one RocksDB instance per replica, with cache, write buffers and threads shared by
//! all instances of the node.
//!
//! ```text
//! RocksShared ── block cache ─── write-buffer budget ─── Env (threads)
//!      │               │                 │                   │
//!      ├── RocksEngine  replicas/3-17/db        no engine WAL: the Raft log is the log
//!      └── RocksEngine  replicas/8-21/db
//! ```
//!
//! Invariants:
//! 1. The engine WAL is off in every write, so what survives a crash is what was flushed: a prefix of
//!    the batches, because all entries live in one column family.
//! 2. Checksums are verified on every read; a mismatch is `Corrupt` and names the file.
//! 3. The prefix of a version's key is the key without its last 8 bytes. Blooms are built on it, and
//!    only `seek_prefix` uses it: range scans seek in total order, else a prefix could hide keys.
//! 4. A reader (engine snapshot) keeps its instance open: a replica that installs a Raft snapshot
//!    drops all readers first.
//!
//! Tried and left: pooled iterators for `seek_prefix`. They pin memtables and deleted files of idle
//! replicas; a fresh iterator costs about a microsecond.

use crate::engine::{Engine, EngineSnapshot, Verified, Visitor};
use crate::mvcc::{DATA, TIMESTAMP_BYTES};
use crate::{Error, Mutation, Result, WriteBatch, folder};
use base::KeyRange;
use base::key_range::prefix_end;
use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, Env, ErrorKind, LogLevel,
    Options, ReadOptions, ReadTier, SliceTransform, Snapshot, WriteBufferManager, WriteOptions,
};
use self_cell::self_cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How RocksDB calls ENOSPC in the text of an error (`Status`, sub-code `kNoSpace`). Its background jobs try
/// again by themselves once there is space, and until then writes fail with this and change nothing.
const NO_SPACE: &str = "No space left on device";

/// Memory, files and threads of a node's RocksDB instances together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Block cache of all instances, bytes. Index and filter blocks count.
    pub block_cache_bytes: usize,
    /// Memtables of all instances, bytes: above it the instance that writes flushes.
    pub write_buffer_bytes: usize,
    /// Memtable of one instance before it is flushed, bytes.
    pub memtable_bytes: usize,
    /// Open files of one instance.
    pub open_files_max: i32,
    /// Threads for compactions; flushes have one of their own.
    pub compaction_threads: i32,
}

impl Default for RocksOptions {
    /// Small: three nodes on a laptop share its memory with everything else.
    fn default() -> RocksOptions {
        RocksOptions {
            block_cache_bytes: 64 << 20,
            write_buffer_bytes: 64 << 20,
            memtable_bytes: 16 << 20,
            open_files_max: 256,
            compaction_threads: 2,
        }
    }
}

/// What all RocksDB instances of a node share.
pub struct RocksShared {
    /// Threads and files.
    env: Env,
    /// Block cache.
    cache: Cache,
    /// Budget of the memtables.
    write_buffers: WriteBufferManager,
    /// What they were built from.
    options: RocksOptions,
}

impl RocksShared {
    /// Sets up what a node's instances share.
    pub fn new(options: RocksOptions) -> Result<Arc<RocksShared>> {
        let mut env = Env::new().map_err(|error| rocks_error(Path::new("RocksDB"), &error))?;
        env.set_low_priority_background_threads(options.compaction_threads);
        env.set_high_priority_background_threads(1);
        Ok(Arc::new(RocksShared {
            env,
            cache: Cache::new_hyper_clock_cache(options.block_cache_bytes, 0),
            // Never stalls writers: the shard's proposer limits what is in flight.
            write_buffers: WriteBufferManager::new_write_buffer_manager(
                options.write_buffer_bytes,
                false,
            ),
            options,
        }))
    }

    /// Bytes that the block cache holds.
    pub fn block_cache_usage(&self) -> usize {
        self.cache.get_usage()
    }

    /// Bytes that the memtables hold.
    pub fn write_buffer_usage(&self) -> usize {
        self.write_buffers.get_usage()
    }

    /// The options of one instance.
    fn instance_options(&self) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_block_size(8 << 10);
        table.set_format_version(6);
        table.set_bloom_filter(10.0, false);
        table.set_whole_key_filtering(false);
        table.set_optimize_filters_for_memory(true);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);

        let mut options = Options::default();
        options.set_env(&self.env);
        options.set_block_based_table_factory(&table);
        options.set_prefix_extractor(SliceTransform::create(
            "precinct.version.1",
            version_prefix,
            None,
        ));
        options.set_write_buffer_manager(&self.write_buffers);
        options.set_write_buffer_size(self.options.memtable_bytes);
        options.set_arena_block_size(256 << 10);
        options.set_max_write_buffer_number(4);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_max_background_jobs(self.options.compaction_threads + 1);
        options.set_bytes_per_sync(1 << 20);
        options.set_max_open_files(self.options.open_files_max);
        options.set_skip_stats_update_on_db_open(true);
        options.set_paranoid_checks(true);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_log_level(LogLevel::Warn);
        options.set_max_log_file_size(1 << 20);
        options.set_keep_log_file_num(2);
        options
    }
}

/// An open instance and its folder.
struct Instance {
    /// RocksDB. Closing it flushes.
    db: DB,
    /// Its folder, named in errors.
    dir: PathBuf,
}

/// A replica's engine on RocksDB.
pub struct RocksEngine {
    /// The instance; engine snapshots hold it too.
    instance: Arc<Instance>,
    /// Engine WAL off.
    write_options: WriteOptions,
    /// Reads of everything.
    read_options: ReadOptions,
    /// Reads of what is flushed.
    flushed_options: ReadOptions,
    /// Keeps cache, buffers and threads alive.
    _shared: Arc<RocksShared>,
}

impl RocksEngine {
    /// Opens the engine in `dir`, creating it when there is none.
    pub fn open(shared: &Arc<RocksShared>, dir: &Path) -> Result<RocksEngine> {
        folder::create_folder(dir)?;
        let mut options = shared.instance_options();
        options.create_if_missing(true);
        let db = DB::open(&options, dir).map_err(|error| rocks_error(dir, &error))?;
        Ok(RocksEngine::of(shared, db, dir))
    }

    /// Opens a checkpoint for reading. Nothing in its folder changes; writes fail.
    pub fn open_checkpoint(shared: &Arc<RocksShared>, dir: &Path) -> Result<RocksEngine> {
        let options = shared.instance_options();
        let db = DB::open_for_read_only(&options, dir, false)
            .map_err(|error| rocks_error(dir, &error))?;
        Ok(RocksEngine::of(shared, db, dir))
    }

    fn of(shared: &Arc<RocksShared>, db: DB, dir: &Path) -> RocksEngine {
        let mut write_options = WriteOptions::default();
        write_options.disable_wal(true);
        let mut flushed_options = ReadOptions::default();
        flushed_options.set_read_tier(ReadTier::Persisted);
        RocksEngine {
            instance: Arc::new(Instance { db, dir: dir.to_path_buf() }),
            write_options,
            read_options: ReadOptions::default(),
            flushed_options,
            _shared: shared.clone(),
        }
    }

    /// Rewrites all files into the last level: what a long-lived replica looks like. For benchmarks
    /// and tests; compaction needs no help otherwise.
    pub fn compact(&self) {
        self.instance.db.compact_range(None::<&[u8]>, None::<&[u8]>);
    }

    fn error(&self, error: &rocksdb::Error) -> Error {
        rocks_error(&self.instance.dir, error)
    }

    fn get_with(&self, key: &[u8], options: &ReadOptions) -> Result<Option<Bytes>> {
        let found = self.instance.db.get_pinned_opt(key, options);
        let found = found.map_err(|error| self.error(&error))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn property(&self, name: &str) -> u64 {
        self.instance.db.property_int_value(name).ok().flatten().unwrap_or_default()
    }
}

impl Engine for RocksEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.get_with(key, &self.read_options)
    }

    fn get_flushed(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.get_with(key, &self.flushed_options)
    }

    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        let iterator = self.instance.db.raw_iterator_opt(seek_options(prefix, from));
        seek(iterator, &self.instance.dir, prefix, from)
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        let iterator = self.instance.db.raw_iterator_opt(scan_options(range));
        walk(iterator, &self.instance.dir, range, visit)
    }

    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        let iterator = self.instance.db.raw_iterator_opt(scan_options(range));
        walk_reverse(iterator, &self.instance.dir, range, visit)
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        let mut rocks_batch = rocksdb::WriteBatch::default();
        for mutation in batch.mutations() {
            match mutation {
                Mutation::Put { key, value } => rocks_batch.put(key, value),
                Mutation::Delete { key } => rocks_batch.delete(key),
            }
        }
        let written = self.instance.db.write_opt(rocks_batch, &self.write_options);
        written.map_err(|error| self.error(&error))
    }

    fn flush(&self) -> Result<()> {
        self.instance.db.flush().map_err(|error| self.error(&error))
    }

    fn snapshot(&self) -> Arc<dyn EngineSnapshot> {
        Arc::new(RocksSnapshot {
            view: OwnedSnapshot::new(self.instance.clone(), |instance| instance.db.snapshot()),
        })
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        if let Some(parent) = dir.parent() {
            folder::create_folder(parent)?;
        }
        let checkpoint = Checkpoint::new(&self.instance.db).map_err(|error| self.error(&error))?;
        checkpoint.create_checkpoint(dir).map_err(|error| rocks_error(dir, &error))
    }

    fn verify(&self, from: &[u8], bytes_max: usize) -> Result<Verified> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.set_verify_checksums(true);
        options.fill_cache(false);
        options.set_iterate_lower_bound(from.to_vec());
        let iterator = self.instance.db.raw_iterator_opt(options);
        let range = KeyRange { start: Bytes::copy_from_slice(from), end: Bytes::new() };
        let mut verified = Verified::default();
        let mut visit = verified.visitor(bytes_max);
        walk(iterator, &self.instance.dir, &range, &mut visit)?;
        drop(visit);
        Ok(verified)
    }

    fn unflushed_bytes(&self) -> u64 {
        // An empty memtable has a size too, so it is the entries that tell.
        let entries = self.property("rocksdb.num-entries-active-mem-table")
            + self.property("rocksdb.num-entries-imm-mem-tables");
        if entries == 0 { 0 } else { self.property("rocksdb.cur-size-all-mem-tables") }
    }

    fn stored_bytes(&self) -> u64 {
        self.property("rocksdb.live-sst-files-size")
    }
}

self_cell!(
    /// A RocksDB snapshot together with the instance it borrows from.
    struct OwnedSnapshot {
        owner: Arc<Instance>,
        #[covariant]
        dependent: Snapshot,
    }
);

/// An engine snapshot on RocksDB.
struct RocksSnapshot {
    /// The snapshot and its instance.
    view: OwnedSnapshot,
}

impl RocksSnapshot {
    fn dir(&self) -> &Path {
        &self.view.borrow_owner().dir
    }

    fn iterator(&self, options: ReadOptions) -> DBRawIterator<'_> {
        self.view.borrow_dependent().raw_iterator_opt(options)
    }
}

impl EngineSnapshot for RocksSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let found = self.view.borrow_dependent().get_pinned(key);
        let found = found.map_err(|error| rocks_error(self.dir(), &error))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn seek_prefix(&self, prefix: &[u8], from: &[u8]) -> Result<Option<(Bytes, Bytes)>> {
        seek(self.iterator(seek_options(prefix, from)), self.dir(), prefix, from)
    }

    fn scan(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        walk(self.iterator(scan_options(range)), self.dir(), range, visit)
    }

    fn scan_reverse(&self, range: &KeyRange, visit: &mut Visitor<'_>) -> Result<()> {
        walk_reverse(self.iterator(scan_options(range)), self.dir(), range, visit)
    }
}

/// RocksDB's idea of a key's prefix: a version's key without the timestamp, other keys as they are.
fn version_prefix(key: &[u8]) -> &[u8] {
    match key {
        [DATA, ..] if key.len() > TIMESTAMP_BYTES => &key[..key.len() - TIMESTAMP_BYTES],
        _ => key,
    }
}

/// A seek for a version may use the bloom of its prefix; any other seek goes in total order.
fn seek_options(prefix: &[u8], from: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    if prefix.first() == Some(&DATA) && version_prefix(from) == prefix {
        options.set_prefix_same_as_start(true);
    } else {
        options.set_total_order_seek(true);
        let end = prefix_end(prefix);
        if !end.is_empty() {
            options.set_iterate_upper_bound(end.to_vec());
        }
    }
    options
}

fn scan_options(range: &KeyRange) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    if !range.start.is_empty() {
        options.set_iterate_lower_bound(range.start.to_vec());
    }
    if !range.end.is_empty() {
        options.set_iterate_upper_bound(range.end.to_vec());
    }
    options
}

fn seek(
    mut iterator: DBRawIterator<'_>,
    dir: &Path,
    prefix: &[u8],
    from: &[u8],
) -> Result<Option<(Bytes, Bytes)>> {
    iterator.seek(from);
    match iterator.item() {
        Some((key, value)) if key.starts_with(prefix) => {
            Ok(Some((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))))
        }
        Some(_) => Ok(None),
        None => ended(&iterator, dir).map(|()| None),
    }
}

fn walk(
    mut iterator: DBRawIterator<'_>,
    dir: &Path,
    range: &KeyRange,
    visit: &mut Visitor<'_>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    iterator.seek(&range.start);
    while let Some((key, value)) = iterator.item() {
        if !visit(key, value)? {
            return Ok(());
        }
        iterator.next();
    }
    ended(&iterator, dir)
}

fn walk_reverse(
    mut iterator: DBRawIterator<'_>,
    dir: &Path,
    range: &KeyRange,
    visit: &mut Visitor<'_>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    // With an upper bound this is the last key below it.
    iterator.seek_to_last();
    while let Some((key, value)) = iterator.item() {
        if !visit(key, value)? {
            return Ok(());
        }
        iterator.prev();
    }
    ended(&iterator, dir)
}

/// An iterator that is not valid any more has come to its end, or has met an error.
fn ended(iterator: &DBRawIterator<'_>, dir: &Path) -> Result<()> {
    iterator.status().map_err(|error| rocks_error(dir, &error))
}

/// RocksDB's error as ours. Its text names the file; the place is that file, else the folder.
fn rocks_error(dir: &Path, error: &rocksdb::Error) -> Error {
    let what = error.as_ref().to_string();
    match error.kind() {
        ErrorKind::Corruption => {
            let file = what.split_whitespace().find(|word| word.starts_with('/'));
            let place = file.map(|file| file.trim_end_matches([':', ',', ';']).to_string());
            Error::corrupt(place.unwrap_or_else(|| dir.display().to_string()), what)
        }
        // The sub-code does not come through the C interface; its text is a constant of RocksDB's.
        _ if what.contains(NO_SPACE) => Error::NoSpace { path: dir.to_path_buf(), what },
        _ => Error::Io { path: dir.to_path_buf(), what },
    }
}
