//! The digest of a replica's content at one entry of the log.
//!
//! ```text
//! apply, at the entry ──> view of the engine ──> pages, each paced ──> digest of all keys and values
//! ```
//!
//! The view is taken inside the apply call, so it holds exactly the entries up to this one; the reading is
//! done afterwards, at a limited rate. What a replica knows of itself (first byte `engine::mvcc::META`) is
//! left out: that is the one thing in which sound replicas differ.
//!
//! An engine that is to be replaced waits for nobody here: the reading gives up between two pages.

use crate::applier::blocking;
use crate::engine_slot::EngineSlot;
use crate::snapshot::transfers::Transfers;
use base::{KeyRange, limits};
use bytes::Bytes;
use engine::EngineSnapshot;
use engine::mvcc::META;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Digest of a replica's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    /// Hash of all keys and values in key order.
    pub hash: u128,
    /// Number of entries.
    pub keys: u64,
}

/// How far one replica's digest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The content is being read.
    Running,
    /// It is there.
    Done(Digest),
    /// It could not be computed, and why.
    Failed(String),
}

/// The digests that a replica has computed lately or is computing.
#[derive(Default)]
pub struct Digests {
    /// Comparison to index of its entry and progress.
    known: Mutex<BTreeMap<u64, (u64, Progress)>>,
}

impl Digests {
    /// The index and progress of a comparison.
    pub fn get(&self, comparison: u64) -> Option<(u64, Progress)> {
        self.known.lock().get(&comparison).cloned()
    }

    /// Computes the digest of a view in the background.
    pub fn begin(
        self: &Arc<Digests>,
        comparison: u64,
        index: u64,
        slot: Arc<EngineSlot>,
        view: Arc<dyn EngineSnapshot>,
        transfers: Arc<Transfers>,
    ) {
        {
            let mut known = self.known.lock();
            let running = known.values().filter(|(_, progress)| *progress == Progress::Running);
            let progress = match running.count() < limits::COMPARISONS_RUNNING_MAX {
                true => Progress::Running,
                false => Progress::Failed("too many comparisons run".to_string()),
            };
            let runs = progress == Progress::Running;
            known.insert(comparison, (index, progress));
            while known.len() > limits::COMPARISONS_KEPT_MAX {
                known.pop_first();
            }
            if !runs {
                return;
            }
        }
        let digests = self.clone();
        tokio::spawn(async move {
            let progress = match read_all(&slot, view, &transfers).await {
                Ok(digest) => Progress::Done(digest),
                Err(why) => Progress::Failed(why),
            };
            if let Some(known) = digests.known.lock().get_mut(&comparison) {
                known.1 = progress;
            }
        });
    }
}

/// Where a reading stands.
struct Reading {
    /// Hash so far.
    hash: Xxh3,
    /// Entries so far.
    keys: u64,
    /// Key from which to go on.
    from: Vec<u8>,
    /// Whether the last key was read.
    ended: bool,
}

/// Reads a view from its first key to its last.
async fn read_all(
    slot: &Arc<EngineSlot>,
    view: Arc<dyn EngineSnapshot>,
    transfers: &Arc<Transfers>,
) -> Result<Digest, String> {
    let give_up = transfers.clock.monotonic() + limits::COMPARE_TIME_MAX;
    let mut reading = Reading { hash: Xxh3::new(), keys: 0, from: Vec::new(), ended: false };
    loop {
        if !slot.is_open() {
            return Err("the engine is being closed or replaced".to_string());
        }
        if transfers.clock.monotonic() > give_up {
            return Err("reading the content took too long".to_string());
        }
        let page = view.clone();
        let read = blocking(move || {
            let bytes = read_page(page.as_ref(), &mut reading);
            (reading, bytes)
        });
        let (next, bytes) = read.await;
        reading = next;
        transfers.hashing.take(bytes.map_err(|error| error.to_string())?).await;
        if reading.ended {
            return Ok(Digest { hash: reading.hash.digest128(), keys: reading.keys });
        }
    }
}

/// Reads the next page. Returns its bytes.
fn read_page(view: &dyn EngineSnapshot, reading: &mut Reading) -> engine::Result<u64> {
    let mut bytes = 0;
    let range = KeyRange::new(std::mem::take(&mut reading.from), Bytes::new());
    reading.ended = true;
    view.scan(&range, &mut |key, value| {
        if key.first() != Some(&META) {
            reading.hash.update(&(key.len() as u64).to_le_bytes());
            reading.hash.update(key);
            reading.hash.update(&(value.len() as u64).to_le_bytes());
            reading.hash.update(value);
            reading.keys += 1;
        }
        bytes += (key.len() + value.len()) as u64;
        if bytes >= limits::COMPARE_PAGE_BYTES {
            // Right after this key.
            reading.from = [key, &[0]].concat();
            reading.ended = false;
        }
        Ok(reading.ended)
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::SystemClock;
    use engine::{Engine, SimDisk, WriteBatch};
    use std::path::Path;

    async fn digest_of(entries: &[(&str, usize)]) -> Digest {
        let engine: Arc<dyn Engine> = Arc::new(SimDisk::new().open(Path::new("/x")).unwrap());
        let mut batch = WriteBatch::new();
        for (key, bytes) in entries {
            batch.put(key.to_string(), vec![b'v'; *bytes]);
        }
        engine.write(batch).unwrap();
        let slot = Arc::new(EngineSlot::new(engine, Path::new("/x"), Box::new(|_| {})));
        let transfers = Arc::new(Transfers::new(Default::default(), SystemClock::shared()));
        read_all(&slot, slot.snapshot(), &transfers).await.unwrap()
    }

    #[tokio::test]
    async fn every_key_and_value_counts_but_not_what_a_replica_knows_of_itself() {
        let page = limits::COMPARE_PAGE_BYTES as usize;
        let base = digest_of(&[("d1", 3), ("d2", page), ("d3", 3)]).await;
        assert_eq!(base.keys, 3);
        assert_eq!(base, digest_of(&[("a/applied", 9), ("d1", 3), ("d2", page), ("d3", 3)]).await);
        for other in [
            &[("d1", 3), ("d2", page), ("d3", 4)][..],
            &[("d1", 3), ("d2", page + 1), ("d3", 3)],
            &[("d1", 3), ("d2", page), ("d4", 3)],
            &[("d1", 3), ("d2", page)],
            &[("d1v", 2), ("d2", page), ("d3", 3)],
            &[],
        ] {
            assert_ne!(base, digest_of(other).await);
        }
    }

    #[tokio::test]
    async fn an_engine_that_closes_is_not_held_up() {
        let engine: Arc<dyn Engine> = Arc::new(SimDisk::new().open(Path::new("/x")).unwrap());
        let slot = Arc::new(EngineSlot::new(engine, Path::new("/x"), Box::new(|_| {})));
        let clock = SystemClock::shared();
        slot.close(&clock, std::time::Duration::ZERO).await.unwrap();
        let transfers = Arc::new(Transfers::new(Default::default(), clock));
        let why = read_all(&slot, slot.snapshot(), &transfers).await.unwrap_err();
        assert!(why.contains("closed or replaced"), "{why}");
    }
}
