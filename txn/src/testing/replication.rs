//! Replication in memory, with the faults that a test wants, and replicas that follow when the test lets them.

use super::{NODE, Shards, folder};
use crate::Result;
use crate::replication::{AppliedView, ReplicateError, Replication, Split};
use base::{NodeId, ShardId};
use bytes::Bytes;
use engine::{Engine, mvcc};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// Replication to nobody else: a batch is applied here, or what the test wants happens to it.
pub struct MemoryReplication {
    /// The shard.
    shard: ShardId,
    /// Where batches are applied.
    engine: Arc<dyn Engine>,
    /// Where shards are made that are split off.
    shards: Weak<Shards>,
    /// Leadership and faults.
    state: Mutex<State>,
    /// Rings when a hold ends.
    released: Notify,
}

/// An entry of the log.
#[derive(Clone)]
enum Entry {
    /// An encoded write batch.
    Batch(Bytes),
    /// A split.
    Split(Split),
}

/// What a test has set up.
struct State {
    /// Whether this replica leads.
    leads: bool,
    /// The term.
    term: u64,
    /// What happens to batches.
    fault: Fault,
    /// Batches in the log that no quorum has confirmed, oldest first.
    limbo: Vec<Entry>,
    /// Entries applied that changed something.
    entries: u64,
    /// Entries applied.
    applied: u64,
    /// How many of them came before `log`; `None` while nobody follows.
    followed_since: Option<u64>,
    /// The later ones, oldest first.
    log: Vec<Entry>,
    /// Why new writes are refused.
    full: Option<String>,
}

impl Default for State {
    fn default() -> State {
        State {
            leads: true,
            term: 1,
            fault: Fault::None,
            limbo: Vec::new(),
            entries: 0,
            applied: 0,
            followed_since: None,
            log: Vec::new(),
            full: None,
        }
    }
}

/// What happens to batches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// They are applied.
    None,
    /// They wait, after so many more.
    Hold {
        /// How many are applied first.
        after: usize,
    },
    /// They enter the log, but no quorum answers.
    Unknown,
    /// They are applied, so many; at the next one the leader dies.
    Death {
        /// How many are applied first.
        after: usize,
        /// How far that one comes.
        death: Death,
    },
}

/// How far an entry has come when its leader dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It is in no log.
    Before,
    /// It is in a log, and no quorum has confirmed it; [`MemoryReplication::elect`] says what becomes of it.
    Unconfirmed,
    /// It is applied, and nobody has been told.
    Applied,
}

impl MemoryReplication {
    /// Leads in its first term.
    pub(super) fn new(
        shard: ShardId,
        engine: Arc<dyn Engine>,
        shards: Weak<Shards>,
    ) -> Arc<MemoryReplication> {
        let (state, released) = (Mutex::default(), Notify::new());
        Arc::new(MemoryReplication { shard, engine, shards, state, released })
    }

    /// From now on batches wait for [`Self::heal`], but for so many that come first.
    pub fn hold(&self, after: usize) {
        self.state.lock().fault = Fault::Hold { after };
    }

    /// This replica loses its leadership at an entry: at the next one, or after so many that come first.
    pub fn die_at(&self, after: usize, death: Death) {
        self.state.lock().fault = Fault::Death { after, death };
    }

    /// From now on batches enter the log but nobody learns their outcome.
    pub fn lose_quorum(&self) {
        self.state.lock().fault = Fault::Unknown;
    }

    /// Batches are applied again; those in the log as soon as the next one comes.
    pub fn heal(&self) {
        self.state.lock().fault = Fault::None;
        self.released.notify_waiters();
    }

    /// From now on new writes are refused with this sentence, or no longer.
    pub fn set_full(&self, why: Option<&str>) {
        self.state.lock().full = why.map(str::to_string);
    }

    /// This replica loses its leadership.
    pub fn depose(&self) {
        self.state.lock().leads = false;
        self.released.notify_waiters();
    }

    /// This replica leads again in a new term; batches without a quorum are applied or gone.
    ///
    /// # Errors
    /// When the engine refuses a batch.
    pub fn elect(&self, unconfirmed: Unconfirmed) -> Result<()> {
        let mut state = self.state.lock();
        let limbo = std::mem::take(&mut state.limbo);
        if unconfirmed == Unconfirmed::Kept {
            for entry in limbo {
                self.apply(&mut state, entry)?;
            }
        }
        state.term += 1;
        state.leads = true;
        state.fault = Fault::None;
        Ok(())
    }

    /// Entries applied that changed something.
    pub fn entries(&self) -> u64 {
        self.state.lock().entries
    }

    /// Does what a replica's state machine does with an entry.
    fn apply(&self, state: &mut State, entry: Entry) -> Result<()> {
        state.applied += 1;
        if state.followed_since.is_some() {
            state.log.push(entry.clone());
        }
        let batch = match entry {
            Entry::Batch(batch) => batch,
            Entry::Split(split) => {
                self.make_child(&split)?;
                split.own
            }
        };
        let batch = mvcc::decode_batch(&batch)?;
        state.entries += u64::from(!batch.is_empty());
        Ok(self.engine.write(batch)?)
    }

    /// Makes the child's engine, a copy of this one, and its shard.
    fn make_child(&self, split: &Split) -> Result<()> {
        let Some(shards) = self.shards.upgrade() else { return Ok(()) };
        if shards.get(split.child).is_some() {
            return Ok(());
        }
        let folder = folder(split.child);
        self.engine.checkpoint(&folder)?;
        shards.disk.open_checkpoint(&folder)?.write(mvcc::decode_batch(&split.other)?)?;
        shards.make(split.child)
    }

    /// Ends the leadership at an entry. What its proposer hears.
    fn die(&self, state: &mut State, entry: Entry, death: Death) -> ReplicateError {
        state.leads = false;
        state.fault = Fault::None;
        match death {
            Death::Before => return ReplicateError::NotLeader,
            Death::Unconfirmed => state.limbo.push(entry),
            Death::Applied => {
                if let Err(error) = self.apply(state, entry) {
                    panic!("shard {}: an entry was not applied: {error}", self.shard);
                }
            }
        }
        ReplicateError::Unknown
    }

    /// Takes an entry into the log, and applies it unless the test has set up something else.
    async fn append(&self, term: u64, entry: Entry) -> std::result::Result<(), ReplicateError> {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            {
                let mut state = self.state.lock();
                if !state.leads || state.term != term {
                    return Err(ReplicateError::NotLeader);
                }
                match state.fault {
                    Fault::Hold { after: 0 } => {}
                    Fault::Death { after: 0, death } => {
                        return Err(self.die(&mut state, entry, death));
                    }
                    Fault::None | Fault::Hold { .. } | Fault::Death { .. } => {
                        if let Fault::Hold { after } | Fault::Death { after, .. } = &mut state.fault
                        {
                            *after -= 1;
                        }
                        let mut entries = std::mem::take(&mut state.limbo);
                        entries.push(entry);
                        let applied =
                            entries.into_iter().try_for_each(|entry| self.apply(&mut state, entry));
                        return applied.map_err(|_| ReplicateError::Unknown);
                    }
                    Fault::Unknown => {
                        state.limbo.push(entry);
                        return Err(ReplicateError::Unknown);
                    }
                }
            }
            released.await;
        }
    }
}

/// What a new term does with batches that no quorum had confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unconfirmed {
    /// The new leader has them in its log.
    Kept,
    /// Its log does not have them.
    Lost,
}

#[async_trait::async_trait]
impl Replication for MemoryReplication {
    fn shard(&self) -> ShardId {
        self.shard
    }

    fn serving_term(&self) -> Option<u64> {
        let state = self.state.lock();
        state.leads.then_some(state.term)
    }

    async fn confirm_term(&self) -> Option<u64> {
        self.serving_term()
    }

    fn leader(&self) -> Option<NodeId> {
        self.state.lock().leads.then_some(NODE)
    }

    fn refuses_writes(&self) -> Option<String> {
        self.state.lock().full.clone()
    }

    fn applied_view(&self) -> std::result::Result<AppliedView, String> {
        let state = self.state.lock();
        Ok(AppliedView { index: state.applied, view: self.engine.snapshot() })
    }

    async fn replicate(&self, term: u64, batch: Bytes) -> std::result::Result<(), ReplicateError> {
        self.append(term, Entry::Batch(batch)).await
    }

    async fn replicate_split(
        &self,
        term: u64,
        split: Split,
    ) -> std::result::Result<(), ReplicateError> {
        self.append(term, Entry::Split(split)).await
    }
}

/// A replica that follows: it applies the leader's entries when a test says so.
pub struct MemoryFollower {
    /// Whose log it follows.
    leader: Arc<MemoryReplication>,
    /// Its own copy.
    engine: Arc<dyn Engine>,
    /// Entries that it has applied, and those that were applied when it began.
    applied: Mutex<(u64, u64)>,
}

impl MemoryFollower {
    /// The only replica beside the leader, with an engine that holds what the leader's does now.
    pub(super) fn new(
        leader: Arc<MemoryReplication>,
        engine: Arc<dyn Engine>,
    ) -> Arc<MemoryFollower> {
        let began = {
            let mut state = leader.state.lock();
            let now = state.applied;
            *state.followed_since.get_or_insert(now)
        };
        Arc::new(MemoryFollower { leader, engine, applied: Mutex::new((began, began)) })
    }

    /// Applies what it lacks.
    ///
    /// # Errors
    /// When the engine refuses a batch.
    pub fn catch_up(&self) -> Result<()> {
        let mut applied = self.applied.lock();
        let has = (applied.0 - applied.1) as usize;
        let lacks = self.leader.state.lock().log[has..].to_vec();
        for entry in lacks {
            let (Entry::Batch(batch) | Entry::Split(Split { own: batch, .. })) = entry;
            self.engine.write(mvcc::decode_batch(&batch)?)?;
            applied.0 += 1;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Replication for MemoryFollower {
    fn shard(&self) -> ShardId {
        self.leader.shard
    }

    fn serving_term(&self) -> Option<u64> {
        None
    }

    async fn confirm_term(&self) -> Option<u64> {
        None
    }

    fn leader(&self) -> Option<NodeId> {
        self.leader.leader()
    }

    fn applied_view(&self) -> std::result::Result<AppliedView, String> {
        let applied = self.applied.lock();
        Ok(AppliedView { index: applied.0, view: self.engine.snapshot() })
    }

    async fn replicate(
        &self,
        _term: u64,
        _batch: Bytes,
    ) -> std::result::Result<(), ReplicateError> {
        Err(ReplicateError::NotLeader)
    }

    async fn replicate_split(
        &self,
        _term: u64,
        _split: Split,
    ) -> std::result::Result<(), ReplicateError> {
        Err(ReplicateError::NotLeader)
    }
}
