//! One replica's part of the node's log, as openraft wants to see it.

use crate::defect;
use crate::log::record::Key;
use crate::log::{Done, SharedLog};
use crate::type_config::{Entry, LogId, TypeConfig, Vote};
use base::limits;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds, RangeInclusive};

/// A replica's log. Clones are the same log.
#[derive(Clone)]
pub struct LogStore {
    /// The node's log.
    log: SharedLog,
    /// Whose part of it.
    key: Key,
}

impl LogStore {
    /// The part of the node's log that belongs to a replica.
    pub fn new(log: SharedLog, key: Key) -> LogStore {
        LogStore { log, key }
    }
}

/// `start..end` of any range.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (start, end) = bounds(&range);
        self.log.read(&self.key, start, end, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.log.vote(&self.key))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.log.read(&self.key, start, end, limits::APPEND_BYTES_MAX)
    }

    /// openraft's page on this method asks for the first log id of each leader; its code and its suite
    /// want the last one.
    async fn get_key_log_ids(&mut self, range: RangeInclusive<LogId>) -> io::Result<Vec<LogId>> {
        Ok(self.log.last_of_terms(&self.key, range.start().index, range.end().index))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let (last_purged_log_id, last_log_id) = self.log.bounds(&self.key);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let synced = self.log.save_vote(self.key, *vote);
        if defect::active("vote-before-sync") {
            return Ok(());
        }
        synced.wait().await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.log.save_committed(self.key, committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        if defect::active("whole-log-taken-for-committed") {
            return Ok(self.log.bounds(&self.key).1);
        }
        Ok(self.log.committed(&self.key))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let done: Done = Box::new(move || callback.io_completed(Ok(())));
        self.log.append(self.key, entries.into_iter().collect(), done).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        // Not waited for: the queue keeps the order, and what follows is acknowledged after it.
        drop(self.log.truncate_after(self.key, last_log_id));
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        drop(self.log.purge(self.key, log_id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applier::{Applier, ApplierContext};
    use crate::engine_slot::EngineSlot;
    use crate::log::disk::SimLogDisk;
    use crate::log::{FlushMode, LogOptions};
    use crate::replica::Health;
    use crate::snapshot::Sending;
    use crate::snapshot::transfers::{SnapshotOptions, Transfers};
    use crate::split::{Children, NoSink};
    use crate::state_machine::StateMachine;
    use base::{ReplicaId, ShardId, SystemClock};
    use engine::{EngineFactory, RocksFactory, RocksOptions, RocksShared, SimFactory, WriteBatch};
    use openraft::StorageError;
    use openraft::testing::log::{StoreBuilder, Suite};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    struct Nothing;

    impl StateMachine for Nothing {
        fn apply(&self, _: u64, _: &[u8], _: &mut WriteBatch) -> engine::Result<()> {
            Ok(())
        }
    }

    /// Builds stores that share a folder, so that a checkpoint of one can be installed in another.
    struct Builder {
        factory: Arc<dyn EngineFactory>,
        root: PathBuf,
        built: AtomicU64,
    }

    impl StoreBuilder<TypeConfig, LogStore, Applier> for Builder {
        async fn build(&self) -> Result<((), LogStore, Applier), StorageError<TypeConfig>> {
            let number = self.built.fetch_add(1, Ordering::Relaxed);
            let key = (ShardId(1), ReplicaId(number));
            let folder = self.root.join(number.to_string());
            let identity = engine::folder::ReplicaIdentity::new(key.0, key.1);
            self.factory.put_identity(&folder, &identity).unwrap();
            let engine = self.factory.open(&folder).unwrap();
            let clock = SystemClock::shared();
            let disk = Arc::new(SimLogDisk::new());
            let options = LogOptions { segment_bytes: 1 << 16, ..LogOptions::default() };
            let log = SharedLog::open(disk, options, FlushMode::Task, clock.clone()).unwrap();
            let context = Arc::new(ApplierContext {
                key,
                slot: Arc::new(EngineSlot::new(engine, &folder, Box::new(|_| {}))),
                folder,
                factory: self.factory.clone(),
                log: log.clone(),
                state_machine: Arc::new(Nothing),
                sending: Sending::default(),
                digests: Arc::default(),
                children: Arc::new(Children::new(Arc::new(NoSink), self.root.join("gone"))),
                void_split: Default::default(),
                transfers: Arc::new(Transfers::new(SnapshotOptions::default(), clock.clone())),
                clock,
                running: AtomicBool::new(true),
                health: Arc::new(Health::new(key)),
            });
            Ok(((), LogStore::new(log, key), Applier::new(context).unwrap()))
        }
    }

    async fn run_suite(factory: Arc<dyn EngineFactory>, root: PathBuf) {
        let builder = Builder { factory, root, built: AtomicU64::new(1) };
        Suite::<TypeConfig, LogStore, Applier, Builder, ()>::test_all(builder).await.unwrap();
    }

    #[tokio::test]
    async fn openraft_suite_on_the_simulated_engine() {
        let factory = SimFactory::new(engine::SimDisk::new());
        run_suite(Arc::new(factory), PathBuf::from("/suite")).await;
    }

    #[tokio::test]
    async fn openraft_suite_on_rocksdb() {
        let folder = tempfile::tempdir().unwrap();
        let shared = RocksShared::new(RocksOptions::default()).unwrap();
        let factory = RocksFactory::new(shared);
        run_suite(Arc::new(factory), folder.path().to_path_buf()).await;
    }
}
