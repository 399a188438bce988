//! All replicas of a node: one log, one set of lanes, one service.
//!
//! `server` opens the host, adds its service to the node's router, and starts the replicas it finds on
//! disk, each with the state machine of its shard:
//!
//! ```text
//! Host::open ─> router.add_service(host.service())
//!            ─> for (shard, replica) in host.local_replicas()? { host.start_replica(shard, replica, sm) }
//!            ─> first start of a cluster: host.bootstrap(shard, members) on one node
//! ```
//!
//! Starting a replica on an existing folder, in order: finish or undo a half-done install; open the
//! engine; compare the log with the watermark; bring log and state in line; build openraft; close the
//! vote gate; run. A folder that a split has made is started as any other; it has no log yet, and no bootstrap
//! is needed.

use crate::applier::{Applier, ApplierContext, blocking, read_applied};
use crate::compare;
use crate::config::{GATE_SPREAD, VOTE_GATE, raft_config};
use crate::defect;
use crate::engine_slot::EngineSlot;
use crate::error::{Error, Result};
use crate::log::disk::LogDisk;
use crate::log::health::DiskHealth;
use crate::log::record::Key;
use crate::log::{FlushMode, LogMetrics, LogOptions, SharedLog};
use crate::log_store::LogStore;
use crate::pacer;
use crate::purge;
use crate::replica::{Health, Raft, Replica, already_initialized};
use crate::replica_group::{ReplicaGroup, ReplicaStatus};
use crate::runtime::random_below;
use crate::scrub::{self, ScrubCounters, ScrubMetrics};
use crate::snapshot::Sending;
use crate::snapshot::transfers::{SnapshotOptions, TransferMetrics, Transfers};
use crate::split::{ChildSink, Children, NoSink};
use crate::state_machine::StateMachine;
use crate::transport::dialer::Dialer;
use crate::transport::hello::Identity;
use crate::transport::network::{Network, Peers};
use crate::transport::refusal::Refusals;
use crate::transport::service::{RaftService, Registry};
use crate::type_config::{Home, LogId, first_log_id};
use crate::vote_gate::VoteGate;
use base::{ClusterId, NodeId, ReplicaId, ShardId, SharedClock, limits};
use engine::folder::ReplicaIdentity;
use engine::mvcc::APPLIED_KEY;
use engine::{Engine, EngineFactory};
use openraft::StorageHelper;
use openraft::async_runtime::WatchReceiver;
use proto::raft::raft_server::RaftServer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Folder of the replicas, in the node's data folder.
pub const REPLICAS_FOLDER: &str = "replicas";

/// Folder of replicas that were given up and are kept as evidence, in the node's data folder.
pub const SET_ASIDE_FOLDER: &str = "set-aside";

/// Folder of what is left of removed replicas, in the node's data folder: their names.
pub const GONE_FOLDER: &str = "gone";

/// The folder of a replica in a node's data folder.
pub fn replica_folder(data_dir: &Path, key: Key) -> PathBuf {
    let identity = ReplicaIdentity::new(key.0, key.1);
    data_dir.join(REPLICAS_FOLDER).join(identity.folder_name())
}

/// What a host needs to know.
#[derive(Clone)]
pub struct HostConfig {
    /// This node.
    pub node: NodeId,
    /// Its cluster. Nodes of two clusters never talk.
    pub cluster: ClusterId,
    /// Its data folder. The log's folder is the disk's business.
    pub data_dir: PathBuf,
    /// Time.
    pub clock: SharedClock,
    /// Who runs the log's flusher.
    pub flush_mode: FlushMode,
    /// Sizes and intervals of the log.
    pub log: LogOptions,
    /// How fast and how many Raft snapshots move.
    pub snapshots: SnapshotOptions,
    /// Whom to tell of children that splits have made here.
    pub child_sink: Arc<dyn ChildSink>,
}

impl HostConfig {
    /// A node with the usual sizes.
    pub fn new(node: NodeId, data_dir: impl Into<PathBuf>, clock: SharedClock) -> HostConfig {
        HostConfig {
            node,
            cluster: ClusterId::default(),
            data_dir: data_dir.into(),
            clock,
            flush_mode: FlushMode::Thread,
            log: LogOptions::default(),
            snapshots: SnapshotOptions::default(),
            child_sink: Arc::new(NoSink),
        }
    }
}

/// Numbers of a host for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostMetrics {
    /// The log.
    pub log: LogMetrics,
    /// The scrubs.
    pub scrub: ScrubMetrics,
    /// File and offset of damage to the log that was found at the start.
    pub log_damage: Option<String>,
    /// Every replica that runs or has stopped since the start.
    pub replicas: Vec<ReplicaStatus>,
    /// Raft snapshots.
    pub transfers: TransferMetrics,
    /// What came from outside and was refused: reason and count.
    pub refused: Vec<(&'static str, u64)>,
}

/// All replicas of a node.
pub struct Host {
    /// Settings.
    config: HostConfig,
    /// Makes engines.
    factory: Arc<dyn EngineFactory>,
    /// The log of all replicas.
    log: SharedLog,
    /// Figures of the scrubs.
    scrubs: Arc<ScrubCounters>,
    /// Lanes to other nodes.
    peers: Arc<Peers>,
    /// Replicas that run.
    registry: Arc<Registry>,
    /// What Raft snapshots share.
    transfers: Arc<Transfers>,
    /// What was refused.
    refusals: Arc<Refusals>,
    /// What replicas share about children.
    children: Arc<Children>,
    /// One start or stop at a time.
    changing: tokio::sync::Mutex<()>,
}

impl Host {
    /// Reads the log back and starts its flusher. Must be called inside a tokio runtime, which should be
    /// one for Raft alone: heavy queries must not starve heartbeats.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn open(
        config: HostConfig,
        factory: Arc<dyn EngineFactory>,
        disk: Arc<dyn LogDisk>,
        dialer: Arc<dyn Dialer>,
    ) -> Result<Arc<Host>> {
        let gone = config.data_dir.join(GONE_FOLDER);
        factory.clear_gone(&gone)?;
        let place = disk.place("");
        let options = LogOptions { owner: format!("node {}", config.node.0), ..config.log.clone() };
        let log = SharedLog::open(disk, options, config.flush_mode, config.clock.clone())
            .map_err(|error| Error::Log { place, what: error.to_string() })?;
        let registry = Arc::new(Registry::default());
        tokio::spawn(purge::run(Arc::downgrade(&registry), log.clone()));
        tokio::spawn(watch_space(Arc::downgrade(&registry), log.clone()));
        let scrubs = Arc::new(ScrubCounters::default());
        tokio::spawn(scrub::run(Arc::downgrade(&registry), log.clone(), scrubs.clone()));
        let transfers = Arc::new(Transfers::new(config.snapshots.clone(), config.clock.clone()));
        tokio::spawn(sweep(Arc::downgrade(&registry)));
        pacer::spawn(Arc::downgrade(&registry), config.clock.clone());
        let identity = Identity { cluster: config.cluster.clone(), node: config.node };
        let children = Arc::new(Children::new(config.child_sink.clone(), gone));
        Ok(Arc::new(Host {
            config,
            factory,
            children,
            log,
            scrubs,
            peers: Arc::new(Peers::new(dialer, identity, transfers.clone())),
            registry,
            transfers,
            refusals: Arc::default(),
            changing: tokio::sync::Mutex::new(()),
        }))
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.config.node
    }

    /// The gRPC service to add to the node's router.
    pub fn service(&self) -> RaftServer<RaftService> {
        let service = RaftService {
            registry: self.registry.clone(),
            identity: self.peers.identity.clone(),
            transfers: self.transfers.clone(),
            refusals: self.refusals.clone(),
        };
        RaftServer::new(service)
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX)
    }

    /// The replicas that have a folder on this node.
    ///
    /// # Errors
    /// When a folder's identity cannot be read.
    pub fn local_replicas(&self) -> Result<Vec<(ShardId, ReplicaId)>> {
        let identities = self.local_identities()?.into_iter();
        Ok(identities.map(|identity| (identity.shard, identity.replica)).collect())
    }

    /// The same, and since when the cluster knows those that splits have made.
    ///
    /// # Errors
    /// As `local_replicas`.
    pub fn local_identities(&self) -> Result<Vec<ReplicaIdentity>> {
        let folders = self.factory.replica_folders(&self.config.data_dir.join(REPLICAS_FOLDER))?;
        Ok(folders.into_iter().map(|(_, identity)| identity).collect())
    }

    /// The folder of a replica.
    fn folder(&self, key: Key) -> PathBuf {
        replica_folder(&self.config.data_dir, key)
    }

    /// The replica of a shard that runs here.
    pub fn group(&self, shard: ShardId) -> Option<Arc<dyn ReplicaGroup>> {
        self.registry.get(shard).map(|replica| replica as Arc<dyn ReplicaGroup>)
    }

    /// All replicas that run here, or did until they stopped.
    pub fn groups(&self) -> Vec<Arc<dyn ReplicaGroup>> {
        let all = self.registry.all().into_iter();
        all.map(|replica| replica as Arc<dyn ReplicaGroup>).collect()
    }

    /// How the node's disk does.
    pub fn disk_health(&self) -> DiskHealth {
        self.log.disk_health()
    }

    /// Numbers for metrics.
    pub fn metrics(&self) -> HostMetrics {
        let replicas = self.registry.all();
        HostMetrics {
            log: self.log.metrics(),
            scrub: self.scrubs.metrics(),
            log_damage: self.log.damage().map(str::to_string),
            replicas: replicas.iter().map(|replica| replica.status()).collect(),
            transfers: self.transfers.metrics(),
            refused: self.refusals.all(),
        }
    }

    /// Starts a replica on its folder, which is created for a new one. Starting it twice is no error.
    ///
    /// # Errors
    /// `Recovering` when it lost what it had acknowledged; `Occupied` when another replica of the shard
    /// runs here; else what its log or engine says.
    pub async fn start_replica(
        &self,
        shard: ShardId,
        replica: ReplicaId,
        state_machine: Arc<dyn StateMachine>,
    ) -> Result<Arc<dyn ReplicaGroup>> {
        let _changing = self.changing.lock().await;
        let key = (shard, replica);
        if let Some(running) = self.registry.get(shard) {
            return match running.key == key {
                true => Ok(running),
                false => Err(Error::Occupied { shard, replica: running.key.1 }),
            };
        }
        let folder = self.folder(key);
        let engine = self.open_engine(key, folder.clone()).await?;
        if let Some(what) = compare::diverged_before(engine.as_ref())? {
            let place = folder.display().to_string();
            return Err(Error::Recovering { shard, replica, what, place });
        }
        let applied = self.align(key, engine.as_ref()).await?;

        let health = Arc::new(Health::new(key));
        let stop = health.clone();
        let slot = EngineSlot::new(engine, &folder, Box::new(move |what| stop.stop(what)));
        let context = Arc::new(ApplierContext {
            key,
            folder,
            slot: Arc::new(slot),
            factory: self.factory.clone(),
            log: self.log.clone(),
            state_machine,
            clock: self.config.clock.clone(),
            sending: Sending::default(),
            digests: Arc::default(),
            children: self.children.clone(),
            void_split: parking_lot::Mutex::default(),
            transfers: self.transfers.clone(),
            running: AtomicBool::new(false),
            health,
        });
        let replica = self.build(context, applied).await?;
        self.registry.insert(replica.clone());
        Ok(replica)
    }

    /// Opens the engine of a replica, creating its folder for a new one.
    async fn open_engine(&self, key: Key, folder: PathBuf) -> Result<Arc<dyn Engine>> {
        let known = self.local_replicas()?.contains(&key);
        if !known && self.log.replicas().contains(&key) {
            // The folder is synced before the first record, and the log forgets a replica before its
            // folder goes: so somebody else removed the folder, and with it flushed state.
            return Err(Error::Recovering {
                shard: key.0,
                replica: key.1,
                what: "its folder is gone".to_string(),
                place: folder.display().to_string(),
            });
        }
        let (factory, children) = (self.factory.clone(), self.children.clone());
        let replicas = self.config.data_dir.join(REPLICAS_FOLDER);
        let opened = blocking(move || {
            // A split may make this very folder meanwhile.
            let making = children.folders.lock();
            let is_key = |found: &ReplicaIdentity| (found.shard, found.replica) == key;
            if !factory.replica_folders(&replicas)?.iter().any(|(_, found)| is_key(found)) {
                let identity = ReplicaIdentity::new(key.0, key.1);
                factory.put_identity(&folder, &identity)?;
            }
            drop(making);
            factory.recover(&folder)?;
            factory.open(&folder)
        });
        Ok(opened.await?)
    }

    /// Compares the log with what was acknowledged, and brings log and state in line. Returns the last
    /// applied entry.
    async fn align(&self, key: Key, engine: &dyn Engine) -> Result<Option<LogId>> {
        let recovering = |what: String, place: String| Error::Recovering {
            shard: key.0,
            replica: key.1,
            what,
            place,
        };
        let (applied, _) = read_applied(engine.get(APPLIED_KEY))
            .map_err(|error| Error::raft(key, format!("applied record: {error}")))?;
        let (purged, last) = self.log.bounds(&key);
        let shortfall = self.log.shortfall(&key);
        if let Some(shortfall) = shortfall.filter(|_| !defect::active("vote-while-recovering")) {
            let wanted = shortfall.acknowledged.last_log_id;
            let what = match shortfall {
                _ if shortfall.vote_lost => Some("its vote".to_string()),
                _ if shortfall.hole => Some("entries inside its log".to_string()),
                // An installed Raft snapshot may have left the log behind the state.
                _ if last.max(applied) < wanted => Some(match wanted {
                    Some(wanted) => format!("entries up to {wanted}"),
                    None => "entries".to_string(),
                }),
                _ => None,
            };
            if let Some(what) = what {
                return Err(recovering(what, shortfall.place.clone()));
            }
        }
        if let Some(purged) = purged.filter(|purged| Some(*purged) > applied) {
            let what = format!("state between {applied:?} and the purged entry {purged}");
            return Err(recovering(what, self.folder(key).display().to_string()));
        }
        if let Some(applied) = applied.filter(|applied| Some(*applied) > last) {
            // Entries up to `applied` are in the state; those above it in the log have an older term
            // and were superseded. openraft refuses to start on such a log.
            drop(self.log.truncate_after(key, None));
            let synced = self.log.purge(key, applied).wait().await;
            synced.map_err(|error| Error::raft(key, error))?;
        }
        Ok(applied)
    }

    /// Builds openraft, closes the vote gate where it is needed, and runs.
    async fn build(
        &self,
        context: Arc<ApplierContext>,
        applied: Option<LogId>,
    ) -> Result<Arc<Replica>> {
        let key = context.key;
        let failed = |error: &dyn std::fmt::Display| Error::raft(key, error.to_string());
        let mut store = LogStore::new(self.log.clone(), key);
        let mut applier = Applier::new(context.clone()).map_err(|error| failed(&error))?;
        let membership = StorageHelper::new(&mut store, &mut applier).get_membership().await;
        let membership = membership.map_err(|error| failed(&error))?;
        let voters: Vec<u64> = membership.effective().voter_ids().collect();
        let alone = voters == [key.1.0];
        // What a split has made has promised nothing before its first vote.
        let has_state = self.log.vote(&key).is_some() || applied > Some(first_log_id());
        let gated = has_state && !alone && !defect::active("no-vote-gate");
        let closed_for = if gated { VOTE_GATE } else { Duration::ZERO };

        let network = Network::new(self.peers.clone(), self.factory.clone(), key);
        let raft = Raft::build(key.1.0, raft_config(), network, store, applier).await;
        let raft = raft.map_err(|error| failed(&error))?;
        if !closed_for.is_zero() {
            raft.runtime_config().elect(false);
        }
        context.running.store(true, Ordering::Release);
        let gate = VoteGate::new(self.config.clock.clone(), closed_for);
        let replica = Arc::new(Replica::new(raft, context, gate, self.peers.clone()));
        replica.raft.run();
        if alone {
            // Nobody to wait for.
            let elected = replica.raft.trigger().elect(false).await;
            elected.map_err(|error| failed(&error))?;
        }
        if !closed_for.is_zero() {
            tokio::spawn(open_gate(replica.clone()));
        }
        tokio::spawn(end_when_stopped(replica.clone()));
        Ok(replica)
    }

    /// Gives a new group its members. On one replica only; repeating it changes nothing.
    ///
    /// # Errors
    /// When the shard has no replica here, or it is not among the members.
    pub async fn bootstrap(&self, shard: ShardId, members: Vec<(ReplicaId, NodeId)>) -> Result<()> {
        let replica = self.registry.get(shard).ok_or(Error::Unknown(shard))?;
        let members: BTreeMap<u64, Home> =
            members.into_iter().map(|(replica, node)| (replica.0, Home { node })).collect();
        match replica.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(error) if already_initialized(&error) => Ok(()),
            Err(error) => Err(Error::raft(replica.key, error)),
        }
    }

    /// Ends a replica and closes its engine; its folder and log stay, and it can be started again.
    ///
    /// # Errors
    /// When the shard has no replica here, or its engine cannot be flushed.
    pub async fn stop_replica(&self, shard: ShardId) -> Result<()> {
        let _changing = self.changing.lock().await;
        let replica = self.registry.remove(shard).ok_or(Error::Unknown(shard))?;
        end(&replica).await
    }

    /// Removes a replica for ever: first from the log, then its folder. Its id must not come again.
    ///
    /// # Errors
    /// When its folder cannot be removed.
    pub async fn destroy_replica(&self, shard: ShardId, replica: ReplicaId) -> Result<()> {
        let _changing = self.changing.lock().await;
        let key = (shard, replica);
        self.end_for_ever(key).await?;
        let (factory, folder) = (self.factory.clone(), self.folder(key));
        let children = self.children.clone();
        let destroyed = blocking(move || {
            let _one = children.folders.lock();
            factory.destroy(&folder, &children.gone)
        });
        Ok(destroyed.await?)
    }

    /// Gives up a replica that must never run again, and keeps its folder as evidence; its log is forgotten.
    /// Returns where the folder is now, or `None` when there was none. Its id must not come again.
    ///
    /// # Errors
    /// When its folder cannot be moved.
    pub async fn set_aside_replica(
        &self,
        shard: ShardId,
        replica: ReplicaId,
    ) -> Result<Option<PathBuf>> {
        let _changing = self.changing.lock().await;
        let key = (shard, replica);
        self.end_for_ever(key).await?;
        let folder = self.folder(key);
        let aside = self.config.data_dir.join(SET_ASIDE_FOLDER);
        let (factory, children) = (self.factory.clone(), self.children.clone());
        let moved = blocking(move || {
            let _one = children.folders.lock();
            factory.set_aside(&folder, &aside, &children.gone)
        });
        Ok(moved.await?)
    }

    /// Ends a replica if it runs, and makes the log forget it.
    async fn end_for_ever(&self, key: Key) -> Result<()> {
        if let Some(running) = self.registry.get(key.0).filter(|running| running.key == key) {
            self.registry.remove(key.0);
            running.context.health.end("removed");
            running.shutdown().await;
            let closed = running.slot().close(&self.config.clock, limits::ENGINE_CLOSE_WAIT).await;
            closed?;
        }
        let synced = self.log.destroy(key).wait().await;
        synced.map_err(|error| Error::raft(key, error))
    }

    /// Ends everything: replicas, flushed engines, lanes, log. The router should have stopped before.
    pub async fn shutdown(&self) {
        let _changing = self.changing.lock().await;
        for replica in self.registry.all() {
            if let Err(error) = end(&replica).await {
                tracing::warn!(shard = %replica.key.0, %error, "a replica ended without a flush");
            }
        }
        self.peers.close();
        let log = self.log.clone();
        blocking(move || log.close()).await;
    }
}

/// Lets go of checkpoints that nobody asks for any more and of Raft snapshots whose rest does not come,
/// until the node has ended.
async fn sweep(registry: Weak<Registry>) {
    loop {
        tokio::time::sleep(limits::SNAPSHOT_SWEEP_INTERVAL).await;
        let Some(registry) = registry.upgrade() else { return };
        for replica in registry.all() {
            let now = replica.context.clock.monotonic();
            let unused = match replica.context.health.stopped() {
                true => replica.context.sending.clear(),
                false => replica.context.sending.sweep(now),
            };
            let stopped = replica.context.health.stopped();
            let stale = replica.receiving.sweep(stopped, now);
            if unused.is_some() || stale.is_some() {
                blocking(move || drop((unused, stale))).await;
            }
        }
    }
}

/// Ends a replica: openraft first, then a flush, so that the next start replays nothing, then its engine,
/// whoever still holds the slot.
async fn end(replica: &Arc<Replica>) -> Result<()> {
    replica.context.health.end("shut down");
    replica.shutdown().await;
    let slot = replica.slot().clone();
    let flushed = blocking(move || slot.flush()).await;
    replica.slot().close(&replica.context.clock, limits::ENGINE_CLOSE_WAIT).await?;
    Ok(flushed?)
}

/// Looks at the disk's free space, again and again, until the node has ended.
async fn watch_space(registry: Weak<Registry>, log: SharedLog) {
    loop {
        tokio::time::sleep(limits::DISK_SPACE_INTERVAL).await;
        if registry.strong_count() == 0 {
            return;
        }
        let looking = log.clone();
        if let Err(error) = blocking(move || looking.look_at_space()).await {
            tracing::error!(%error, "the free space of the disk cannot be read");
        }
    }
}

/// Lets a replica stand for election when its vote gate has opened: a little later, each at another time,
/// because after a power cut of all nodes every gate opens at once and every timer has run out.
async fn open_gate(replica: Arc<Replica>) {
    let left = replica.gate.closed_for().unwrap_or_default();
    tokio::time::sleep(left + random_below(GATE_SPREAD)).await;
    while let Some(left) = replica.gate.closed_for() {
        tokio::time::sleep(left).await;
    }
    replica.raft.runtime_config().elect(true);
}

/// Ends openraft when its replica stops, so that others can be elected; and stops the replica when openraft
/// has ended for a reason of its own, such as a log record that fails its check.
async fn end_when_stopped(replica: Arc<Replica>) {
    let health = replica.context.health.clone();
    let mut server = replica.raft.server_metrics();
    let core_ended = async { while server.changed().await.is_ok() {} };
    tokio::select! {
        biased;
        () = health.wait_stopped() => {}
        () = core_ended => {
            let why = replica.with_metrics(|metrics| metrics.running_state.clone().err());
            health.stop(why.map_or_else(|| "Raft has ended".to_string(), |why| why.to_string()));
        }
    }
    replica.shutdown().await;
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
