//! What the shards of a script's cluster hold, as text.

use crate::words::name_of;
use base::{KeyRange, Timestamp};
use engine::mvcc::{self, TxnRecord};
use std::error::Error;
use txn::command::Change;
use txn::testing::MemoryCluster;

/// All transaction records of the data shards.
pub fn records(cluster: &MemoryCluster) -> Result<String, Box<dyn Error>> {
    let mut lines = Vec::new();
    for id in cluster.data_shard_ids() {
        let engine = &*cluster.shard(id)?.engine;
        let all = mvcc::find_old_records(engine, b"", Timestamp::MAX, u64::MAX, usize::MAX)?;
        for (primary, start_ts) in all.records {
            let what = match mvcc::get_txn_record(engine, &primary, start_ts)? {
                Some(TxnRecord::Committed { .. }) => "committed",
                Some(TxnRecord::RolledBack) => "rolled back",
                None => "gone",
            };
            lines.push(format!("{} {what}", name_of(&primary)));
        }
    }
    Ok(lines.join("\n"))
}

/// All newest rows, locks of every shard.
pub fn state(cluster: &MemoryCluster) -> Result<String, Box<dyn Error>> {
    let mut lines = Vec::new();
    for id in cluster.data_shard_ids() {
        let engine = &*cluster.shard(id)?.engine;
        let bounds = mvcc::bounds(engine)?;
        let foreign = |key: &[u8]| match mvcc::is_foreign(bounds, key) {
            Ok(true) => format!(" (foreign on shard {})", id.0),
            Ok(false) | Err(_) => String::new(),
        };
        mvcc::scan(engine, &KeyRange::default(), Timestamp::MAX, false, |key, _, value| {
            let (name, foreign) = (name_of(key), foreign(key));
            lines.push(format!("{name}={}{foreign}", value.escape_ascii()));
            Ok(true)
        })?;
        let mut locks = mvcc::all_locks(engine)?;
        mvcc::scan_large_locks(engine, &KeyRange::default(), false, |key, lock| {
            locks.push((key, lock));
            Ok(true)
        })?;
        for (key, lock) in locks {
            let value = match &lock.change {
                Change::Put(value) => value.escape_ascii().to_string(),
                Change::Delete => "(delete)".into(),
                Change::Keep => "(keep)".into(),
            };
            let primary = name_of(&lock.primary);
            let (name, foreign) = (name_of(&key), foreign(&key));
            lines.push(format!("{name} locked, to be {value}, primary {primary}{foreign}"));
        }
        for (_, primary) in mvcc::all_large(engine)? {
            lines.push(format!(
                "shard {}: a large transaction, primary {}",
                id.0,
                name_of(&primary)
            ));
        }
    }
    Ok(lines.join("\n"))
}
