//! Values of sequences: batches that a node takes from counters of the meta shard.
//!
//! ```text
//! counter (meta shard): 3001        next free place
//! node 1: 1044 .. 2001              places that it still has
//! node 2: 2001 .. 3001
//! ```
//!
//! A batch is CACHE values. What is taken stays taken: no transaction gives values back. Which value stands at a place is said
//! by the definition (`catalog::SequenceDef`), as it is when the value is handed out.
//!
//! Invariants:
//! 1. A place is in the range of at most one node, and is handed out once.
//! 2. Values of a plain sequence rise (or fall) at each node; with NOCACHE over the whole cluster.

use crate::catalog::{SequenceDef, store};
use crate::{Error, Result};
use base::TableId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::ShardClient;

/// Places that a node still has.
#[derive(Clone, Copy, Debug)]
struct Range {
    /// The next one.
    next: u128,
    /// Behind the last one.
    end: u128,
}

impl Range {
    /// The next value; `None` when the range is used up.
    ///
    /// # Errors
    /// 4084 behind the last value; the place stays.
    fn take(&mut self, sequence: &SequenceDef) -> Result<Option<i64>> {
        let place = self.next.max(u128::from(sequence.origin()));
        if place >= self.end {
            return Ok(None);
        }
        let value = u64::try_from(place).ok().and_then(|place| sequence.value_at(place));
        let value = value.ok_or_else(|| Error::sequence_run_out(sequence.qualified_name()))?;
        self.next = place + u128::from(sequence.stride());
        Ok(Some(value))
    }
}

/// The ranges of a node.
pub(crate) struct Sequences {
    /// The way to the meta shard.
    client: Arc<dyn ShardClient>,
    /// By sequence and generation.
    ranges: Mutex<BTreeMap<(TableId, u64), Range>>,
    /// Held while a batch is fetched, so that many sessions fetch one.
    fetching: tokio::sync::Mutex<()>,
}

impl Sequences {
    /// No ranges yet.
    pub(crate) fn new(client: Arc<dyn ShardClient>) -> Sequences {
        let (ranges, fetching) = (Mutex::default(), tokio::sync::Mutex::new(()));
        Sequences { client, ranges, fetching }
    }

    /// NEXTVAL.
    pub(crate) async fn next(&self, sequence: &SequenceDef) -> Result<i64> {
        if let Some(value) = self.take(sequence)? {
            return Ok(value);
        }
        let _one = self.fetching.lock().await;
        if let Some(value) = self.take(sequence)? {
            return Ok(value);
        }
        let mut range = self.fetch(sequence).await?;
        let mut ranges = self.ranges.lock();
        let value = range.take(sequence);
        // Earlier generations are over.
        ranges
            .retain(|(id, generation), _| *id != sequence.id || *generation >= sequence.generation);
        ranges.insert((sequence.id, sequence.generation), range);
        value?.ok_or_else(|| Error::sequence_run_out(sequence.qualified_name()))
    }

    /// SETVAL: the next value comes after `value`, or is it when it is not `used`. `None` when values so high were handed out
    /// before.
    ///
    /// # Errors
    /// 4085 outside of the sequence's bounds.
    pub(crate) async fn set(
        &self,
        sequence: &SequenceDef,
        value: i64,
        used: bool,
    ) -> Result<Option<i64>> {
        if sequence.cycle {
            return Err(Error::not_supported(
                "SETVAL of a sequence with CYCLE: use ALTER SEQUENCE … RESTART WITH",
            ));
        }
        if !(sequence.min..=sequence.max).contains(&value) {
            return Err(Error::sequence_options(sequence.qualified_name()));
        }
        let passed = if used { sequence.stride() } else { 0 };
        let target = sequence.place_of(value).saturating_add(passed);
        let _one = self.fetching.lock().await;
        let key = (sequence.id, sequence.generation);
        let has_range = {
            let mut ranges = self.ranges.lock();
            match ranges.get_mut(&key) {
                Some(range) if range.next < range.end => {
                    if u128::from(target) <= range.next {
                        return Ok(None);
                    }
                    if u128::from(target) < range.end {
                        range.next = u128::from(target);
                        return Ok(Some(value));
                    }
                    ranges.remove(&key);
                    true
                }
                Some(_) | None => false,
            }
        };
        let counter = store::sequence_counter_key(sequence);
        let at_least = target.max(sequence.origin());
        let place = store::bump(&self.client, counter, 0, at_least).await?;
        Ok((has_range || place == target).then_some(value))
    }

    /// The value that the next batch begins with; `None` behind the last one.
    pub(crate) async fn counted(&self, sequence: &SequenceDef) -> Result<Option<i64>> {
        let counter = store::sequence_counter_key(sequence);
        let place = store::bump(&self.client, counter, 0, 0).await?;
        Ok(sequence.value_at(place.max(sequence.origin())))
    }

    fn take(&self, sequence: &SequenceDef) -> Result<Option<i64>> {
        let mut ranges = self.ranges.lock();
        match ranges.get_mut(&(sequence.id, sequence.generation)) {
            Some(range) => range.take(sequence),
            None => Ok(None),
        }
    }

    /// Takes a batch from the counter.
    async fn fetch(&self, sequence: &SequenceDef) -> Result<Range> {
        let (counter, origin) = (store::sequence_counter_key(sequence), sequence.origin());
        let batch = sequence.batch();
        let (place, by) = match store::bump(&self.client, counter.clone(), batch, origin).await {
            Err(error) if error.code == Error::too_large("").code => {
                // Near the end of all numbers a whole batch does not fit: take what is left.
                let place = store::bump(&self.client, counter.clone(), 0, origin).await?;
                let left = u64::MAX - place;
                (store::bump(&self.client, counter, left, origin).await?, left)
            }
            place => (place?, batch),
        };
        Ok(Range { next: u128::from(place), end: u128::from(place) + u128::from(by) })
    }
}

impl std::fmt::Debug for Sequences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sequences").field("ranges", &self.ranges.lock().len()).finish()
    }
}
