//! openraft's state machine on an engine.
//!
//! One apply call is one write batch: the commands' changes and, under `engine::mvcc::APPLIED_KEY`, the log id of the
//! last of them with the membership. The engine has no log of its own, so a crash may take the end of
//! what was applied, but never a part of a batch: what is left is a consistent prefix, and the Raft log
//! brings the rest again.
//!
//! openraft applies what is log-committed, also before this node has synced it. A follower that did so
//! could flush state that its own log does not explain after a crash; so it waits for its own sync.
//! The leader need not: those who wait for it are answered when a quorum has synced, and `host`
//! clears up at the next start.

use crate::codec::{DecodeError, decode_applied, encode_applied};
use crate::defect;
use crate::engine_slot::EngineSlot;
use crate::log::SharedLog;
use crate::log::record::Key;
use crate::replica::Health;
use crate::snapshot::{Checkpoint, Sending, SnapshotData, incoming_dir, sending_dir};
use crate::state_machine::StateMachine;
use crate::type_config::{LogId, StoredMembership, TypeConfig};
use base::{SharedClock, limits};
use engine::mvcc::APPLIED_KEY;
use engine::{Engine, EngineFactory, WriteBatch};
use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, SnapshotMeta};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the state machine and the rest of a replica share.
pub struct ApplierContext {
    /// Which replica.
    pub key: Key,
    /// Its folder.
    pub folder: PathBuf,
    /// Its engine.
    pub slot: Arc<EngineSlot>,
    /// Makes engines.
    pub factory: Arc<dyn EngineFactory>,
    /// The node's log.
    pub log: SharedLog,
    /// What to do with commands.
    pub state_machine: Arc<dyn StateMachine>,
    /// Time.
    pub clock: SharedClock,
    /// The checkpoint being sent.
    pub sending: Sending,
    /// Whether openraft runs: before, a snapshot is asked for its metadata only.
    pub running: AtomicBool,
    /// Whether the replica works.
    pub health: Arc<Health>,
}

/// openraft's state machine.
pub struct Applier {
    /// Shared parts.
    context: Arc<ApplierContext>,
    /// Last applied entry.
    applied: Option<LogId>,
    /// Membership as of `applied`.
    membership: StoredMembership,
}

/// The applied record of an engine.
pub fn read_applied(
    value: engine::Result<Option<bytes::Bytes>>,
) -> io::Result<(Option<LogId>, StoredMembership)> {
    match value.map_err(io::Error::other)? {
        None => Ok((None, StoredMembership::default())),
        Some(value) => decode_applied(value).map_err(|DecodeError(what)| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the applied record: {what}"))
        }),
    }
}

impl Applier {
    /// The state machine of a replica whose engine is open.
    pub fn new(context: Arc<ApplierContext>) -> io::Result<Applier> {
        let (applied, membership) = read_applied(context.slot.get(APPLIED_KEY))?;
        Ok(Applier { context, applied, membership })
    }

    /// Writes a batch; waits while the disk is full. Nothing of the batch is written before all of it is, so
    /// it may be tried again.
    async fn write(&self, batch: WriteBatch) -> io::Result<()> {
        loop {
            match self.context.slot.write(batch.clone()) {
                Err(engine::Error::NoSpace { .. }) if !self.context.health.stopped() => {
                    tokio::time::sleep(limits::NO_SPACE_PAUSE).await;
                }
                written => return written.map_err(|error| self.stopped(&error)),
            }
        }
    }

    /// Stops the replica and passes the reason on to openraft.
    fn stopped(&self, error: &engine::Error) -> io::Error {
        self.context.health.stop(error.to_string());
        io::Error::other(error.to_string())
    }
}

/// Runs something that waits for a disk where it holds up nobody: on a thread of the runtime that is
/// made for it, or right here when the runtime has only this thread (a simulation).
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        },
        _ => work(),
    }
}

impl RaftStateMachine<TypeConfig> for Applier {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = VirtualBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        let mut batch = WriteBatch::new();
        let mut responders = Vec::new();
        let mut unasked = None;
        let mut applied = self.applied;
        let mut membership = None;
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(command) => {
                    let index = entry.log_id.index;
                    let outcome = self.context.state_machine.apply(index, &command.0, &mut batch);
                    outcome.map_err(|error| self.stopped(&error))?;
                }
                EntryPayload::Membership(members) => {
                    membership = Some(StoredMembership::new(Some(entry.log_id), members));
                }
            }
            match responder {
                Some(responder) => responders.push(responder),
                None => unasked = Some(entry.log_id.index),
            }
        }
        if let Some(index) = unasked {
            self.context.log.wait_synced(&self.context.key, index).await;
        }
        if let Some(membership) = membership {
            self.membership = membership;
        }
        if defect::active("applied-apart") {
            let state = std::mem::take(&mut batch);
            self.context.slot.write(state).map_err(|error| self.stopped(&error))?;
        }
        batch.put(APPLIED_KEY, encode_applied(applied.as_ref(), &self.membership));
        self.write(batch).await?;
        self.applied = applied;
        for responder in responders {
            responder.send(());
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<VirtualBuilder> {
        Some(VirtualBuilder { context: self.context.clone() })
    }

    async fn get_snapshot_builder(&mut self) -> VirtualBuilder {
        VirtualBuilder { context: self.context.clone() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        let SnapshotData::Checkpoint(checkpoint) = snapshot else {
            // A virtual one is never ahead of the state, so there is nothing to replace.
            return Ok(());
        };
        if defect::active("snapshot-meta-without-content") {
            self.applied = meta.last_log_id;
            return Ok(());
        }
        let context = &self.context;
        let (slot, factory) = (&context.slot, context.factory.clone());
        let closed = slot.close(&context.clock, limits::ENGINE_CLOSE_WAIT).await;
        closed.map_err(|error| self.stopped(&error))?;
        let (folder, dir) = (context.folder.clone(), checkpoint.dir.clone());
        let opened = blocking(move || {
            factory.install(&folder, &dir)?;
            factory.open(&folder)
        })
        .await;
        slot.fill(opened.map_err(|error| self.stopped(&error))?);
        let (applied, membership) = read_applied(slot.get(APPLIED_KEY))?;
        if applied != meta.last_log_id {
            let what = format!(
                "the installed Raft snapshot holds {applied:?}, but {:?} was announced",
                meta.last_log_id
            );
            context.health.stop(what.clone());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.applied = applied;
        self.membership = membership;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf>> {
        let context = &self.context;
        if !context.running.load(Ordering::Acquire) {
            let (flushed, membership) = read_applied(context.slot.get_flushed(APPLIED_KEY))?;
            return Ok(flushed.map(|flushed| Snapshot {
                meta: SnapshotMeta { last_log_id: Some(flushed), last_membership: membership },
                snapshot: SnapshotData::Virtual,
            }));
        }
        let Some(applied) = self.applied else { return Ok(None) };
        let (purged, _) = context.log.bounds(&context.key);
        // The one being sent will do, while the log still holds everything behind it.
        let checkpoint = match context.sending.current() {
            Some(known) if Some(known.last_log_id) >= purged => known,
            _ => {
                let dir = sending_dir(&context.folder, &applied);
                let (slot, factory, at) =
                    (context.slot.clone(), context.factory.clone(), dir.clone());
                // No apply runs now: this is the state machine's task. So the checkpoint holds `applied`,
                // and reading it back proves that.
                let held = loop {
                    let (slot, factory, at) = (slot.clone(), factory.clone(), at.clone());
                    let held = blocking(move || {
                        factory.remove(&at)?;
                        slot.checkpoint(&at)?;
                        factory.open_checkpoint(&at)?.get(APPLIED_KEY)
                    });
                    match held.await {
                        Err(engine::Error::NoSpace { .. }) if !context.health.stopped() => {
                            tokio::time::sleep(limits::NO_SPACE_PAUSE).await;
                        }
                        held => break held,
                    }
                };
                let (last_log_id, membership) = read_applied(held)?;
                let last_log_id = last_log_id.filter(|held| *held == applied).ok_or_else(|| {
                    let what = format!("the checkpoint in {} is not as cut", dir.display());
                    io::Error::new(io::ErrorKind::InvalidData, what)
                })?;
                let factory = context.factory.clone();
                let checkpoint = Arc::new(Checkpoint::new(dir, last_log_id, membership, factory));
                context.sending.remember(&checkpoint);
                checkpoint
            }
        };
        Ok(Some(Snapshot {
            meta: SnapshotMeta {
                last_log_id: Some(checkpoint.last_log_id),
                last_membership: checkpoint.membership.clone(),
            },
            snapshot: SnapshotData::Checkpoint(checkpoint),
        }))
    }
}

/// Metadata of a Raft snapshot.
pub type SnapshotMetaOf = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
/// A Raft snapshot.
pub type SnapshotOf = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// Builds virtual snapshots: flushes, and says what is flushed.
pub struct VirtualBuilder {
    /// Shared parts.
    context: Arc<ApplierContext>,
}

impl RaftSnapshotBuilder<TypeConfig> for VirtualBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf> {
        let flushed = loop {
            let slot = self.context.slot.clone();
            let flushed = blocking(move || {
                if defect::active("purge-past-flushed") {
                    return slot.get(APPLIED_KEY);
                }
                slot.flush()?;
                slot.get_flushed(APPLIED_KEY)
            });
            match flushed.await {
                // A received snapshot is just being installed: what it holds is flushed soon. Or the disk is
                // full: what is flushed can wait.
                Err(engine::Error::Folder { .. } | engine::Error::NoSpace { .. })
                    if !self.context.health.stopped() =>
                {
                    tokio::time::sleep(limits::PURGE_INTERVAL).await;
                }
                flushed => break flushed,
            }
        };
        let (last_log_id, last_membership) = read_applied(flushed)?;
        Ok(Snapshot {
            meta: SnapshotMeta { last_log_id, last_membership },
            snapshot: SnapshotData::Virtual,
        })
    }
}

/// Where a replica receives a Raft snapshot.
pub fn receive_dir(context: &ApplierContext, last_log_id: &LogId) -> PathBuf {
    incoming_dir(&context.folder, last_log_id)
}
