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
use crate::command::OwnCommand;
use crate::compare::{digest::Digests, diverged_before};
use crate::defect;
use crate::engine_slot::EngineSlot;
use crate::log::SharedLog;
use crate::log::record::Key;
use crate::replica::Health;
use crate::snapshot::transfers::Transfers;
use crate::snapshot::{AheadFlush, Checkpoint, Sending, SnapshotData, incoming_dir, sending_dir};
use crate::split::{Children, SplitCommand};
use crate::state_machine::StateMachine;
use crate::type_config::{LogId, StoredMembership, TypeConfig, first_log_id};
use base::{ReplicaId, SharedClock, limits};
use engine::folder::ReplicaIdentity;
use engine::mvcc::APPLIED_KEY;
use engine::{Engine, EngineFactory, WriteBatch};
use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, SnapshotMeta};
use parking_lot::Mutex;
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
    /// What the node's Raft snapshots share.
    pub transfers: Arc<Transfers>,
    /// Digests of its content.
    pub digests: Arc<Digests>,
    /// What the node's replicas share about children.
    pub children: Arc<Children>,
    /// Index of the last split that changed nothing, and why.
    pub void_split: Mutex<Option<(u64, String)>>,
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

/// What entries change that are not written yet.
#[derive(Default)]
struct Pending {
    /// The changes.
    batch: WriteBatch,
    /// The last of the entries.
    last: Option<LogId>,
    /// The membership among them.
    membership: Option<StoredMembership>,
    /// The last of them that nobody here waits for: a follower's, to be applied when it is synced.
    unasked: Option<u64>,
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

    /// Writes what several entries change as one batch, together with the applied record.
    async fn write_pending(&mut self, pending: Pending) -> io::Result<()> {
        let Some(applied) = pending.last else { return Ok(()) };
        if let Some(index) = pending.unasked {
            self.context.log.wait_synced(&self.context.key, index).await;
        }
        if let Some(membership) = pending.membership {
            self.membership = membership;
        }
        let mut batch = pending.batch;
        if defect::active("applied-apart") {
            let state = std::mem::take(&mut batch);
            self.context.slot.write(state).map_err(|error| self.stopped(&error))?;
        }
        batch.put(APPLIED_KEY, encode_applied(Some(&applied), &self.membership));
        self.write(batch).await?;
        self.applied = Some(applied);
        Ok(())
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

    /// Begins the digest of the content as it is right now, after entry `index`.
    fn compare(&self, id: u64, index: u64) {
        let context = &self.context;
        let (slot, transfers) = (context.slot.clone(), context.transfers.clone());
        context.digests.begin(id, index, slot, context.slot.snapshot(), transfers);
    }

    /// Applies a split, which nothing that is not written stands before; `pending` holds its log id only.
    async fn split(&mut self, split: &SplitCommand, mut pending: Pending) -> io::Result<()> {
        let index = pending.last.map_or(0, |last| last.index);
        if let Some(index) = pending.unasked {
            // Nor does a follower's child stand on what its own log does not explain.
            self.context.log.wait_synced(&self.context.key, index).await;
        }
        let (shard, replica) = self.context.key;
        let membership = match split.membership(shard, self.membership.membership()) {
            Ok(membership) => membership,
            Err(why) => {
                tracing::error!(%shard, %replica, index, %why, "a split changes nothing");
                *self.context.void_split.lock() = Some((index, why));
                return self.write_pending(pending).await;
            }
        };
        let mut made = None;
        if let Some(child) = split.child_of(replica)
            && self.make_child(split, child, &membership, index).await?
        {
            made = Some(child);
        }
        let machine = &self.context.state_machine;
        let outcome = machine.apply(index, &split.own, &mut pending.batch);
        outcome.map_err(|error| self.stopped(&error))?;
        self.write_pending(pending).await?;
        if let Some(child) = made {
            self.context.children.sink.child_made(split.child, child);
        }
        Ok(())
    }

    /// Makes the folder of a child's replica from the content as it is right now; waits while the disk is full.
    /// Says whether the folder is there: not when it was removed before.
    async fn make_child(
        &self,
        split: &SplitCommand,
        child: ReplicaId,
        membership: &StoredMembership,
        index: u64,
    ) -> io::Result<bool> {
        let context = &self.context;
        let identity = ReplicaIdentity { shard: split.child, replica: child, since: split.since };
        let mut changes = WriteBatch::new();
        let outcome = context.state_machine.apply(index, &split.other, &mut changes);
        outcome.map_err(|error| self.stopped(&error))?;
        changes.put(APPLIED_KEY, encode_applied(Some(&first_log_id()), membership));
        loop {
            let (context, changes) = (self.context.clone(), changes.clone());
            let made = blocking(move || {
                let _one = context.children.folders.lock();
                let (factory, slot) = (&context.factory, &*context.slot);
                let (folder, gone) = (&context.folder, &context.children.gone);
                factory.make_child(slot, folder, gone, &identity, changes)
            });
            match made.await {
                Err(error @ engine::Error::NoSpace { .. }) => {
                    tokio::time::sleep(limits::NO_SPACE_PAUSE).await;
                    // A replica that has ended meanwhile has no engine to copy.
                    if self.context.health.stopped() {
                        return Err(self.stopped(&error));
                    }
                }
                made => return made.map_err(|error| self.stopped(&error)),
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
        let mut pending = Pending::default();
        let mut responders = Vec::new();
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let index = entry.log_id.index;
            if matches!(&entry.payload, EntryPayload::Normal(it) if OwnCommand::is_split(&it.0)) {
                self.write_pending(std::mem::take(&mut pending)).await?;
            }
            pending.last = Some(entry.log_id);
            match responder {
                Some(responder) => responders.push(responder),
                None => pending.unasked = Some(index),
            }
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(command) => match OwnCommand::decode(&command.0) {
                    Ok(None) => {
                        let machine = &self.context.state_machine;
                        let outcome = machine.apply(index, &command.0, &mut pending.batch);
                        outcome.map_err(|error| self.stopped(&error))?;
                    }
                    Ok(Some(OwnCommand::Compare { id })) => {
                        self.write_pending(std::mem::take(&mut pending)).await?;
                        self.compare(id, index);
                    }
                    Ok(Some(OwnCommand::Split(split))) => {
                        self.split(&split, std::mem::take(&mut pending)).await?;
                    }
                    Err(why) => {
                        self.context.health.stop(format!("entry {index}: {why}"));
                        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                    }
                },
                EntryPayload::Membership(members) => {
                    pending.membership = Some(StoredMembership::new(Some(entry.log_id), members));
                }
            }
        }
        self.write_pending(pending).await?;
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
        let now = context.clock.monotonic();
        let (purged, _) = context.log.bounds(&context.key);
        let later = |why| Snapshot {
            meta: SnapshotMeta {
                last_log_id: Some(applied),
                last_membership: self.membership.clone(),
            },
            snapshot: SnapshotData::Later(why),
        };
        // The one being sent will do, while the log still holds everything behind it.
        let known = context.sending.reuse(now).filter(|known| Some(known.last_log_id) >= purged);
        let checkpoint = match known {
            Some(known) => known,
            None => {
                // A place for the next one must not wait for the one before.
                let before = context.sending.clear();
                blocking(move || drop(before)).await;
                let Some(place) = context.transfers.place_for_checkpoint(now) else {
                    return Ok(Some(later("the node keeps as many checkpoints as it may")));
                };
                if !flushed_ahead(context) {
                    return Ok(Some(later("the engine is flushed before a checkpoint is cut")));
                }
                let id = context.transfers.next_id();
                let Some(checkpoint) = cut(context, applied, id).await? else {
                    return Ok(Some(later("the disk is full")));
                };
                let checkpoint = Arc::new(checkpoint.cut(id, now, place).of(&context.slot));
                context.transfers.note(&checkpoint);
                context.sending.keep(&checkpoint, now);
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

/// Whether the engine has little left to flush, so that a cut is short. When not, a flush begins in the
/// background; after it, the cut comes whatever was written meanwhile.
fn flushed_ahead(context: &Arc<ApplierContext>) -> bool {
    match context.sending.ahead_flush() {
        AheadFlush::Done => {
            context.sending.set_ahead_flush(AheadFlush::None);
            true
        }
        AheadFlush::Running => false,
        AheadFlush::None => {
            if context.slot.unflushed_bytes() <= limits::SNAPSHOT_CUT_UNFLUSHED_MAX {
                return true;
            }
            context.sending.set_ahead_flush(AheadFlush::Running);
            let context = context.clone();
            tokio::spawn(async move {
                let slot = context.slot.clone();
                if let Err(error) = blocking(move || slot.flush()).await {
                    // The cut meets the same error and reports it.
                    tracing::warn!(%error, "the flush before a checkpoint failed");
                }
                context.sending.set_ahead_flush(AheadFlush::Done);
            });
            false
        }
    }
}

/// Cuts a checkpoint. No apply runs now: this is the state machine's task. So the checkpoint holds
/// `applied`, and reading it back proves that. `None` when the disk is full.
async fn cut(
    context: &Arc<ApplierContext>,
    applied: LogId,
    id: u64,
) -> io::Result<Option<Checkpoint>> {
    let dir = sending_dir(&context.folder, &applied, id);
    let (slot, factory, at) = (context.slot.clone(), context.factory.clone(), dir.clone());
    let held = blocking(move || {
        factory.remove(&at)?;
        slot.checkpoint(&at)?;
        let cut = factory.open_checkpoint(&at)?;
        match diverged_before(cut.as_ref())? {
            Some(why) => Err(engine::Error::corrupt(at.display().to_string(), why)),
            None => cut.get(APPLIED_KEY),
        }
    })
    .await;
    if let Err(engine::Error::NoSpace { .. }) = held {
        return Ok(None);
    }
    let (last_log_id, membership) = read_applied(held)?;
    let last_log_id = last_log_id.filter(|held| *held == applied).ok_or_else(|| {
        let what = format!("the checkpoint in {} is not as cut", dir.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    })?;
    Ok(Some(Checkpoint::new(dir, last_log_id, membership, context.factory.clone())))
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
