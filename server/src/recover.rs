//! Getting a cluster back that has lost the majority of its replicas, from the data folder of one stopped node.
//!
//! ```text
//! look: log, replicas, CLUSTER ─> plan (announced to people) ──accepted──> RECOVERY file
//!   ─> each shard: survivor 3 becomes replica 1003, alone in its group (`raft::recovery`)
//!   ─> the cluster's records in the meta shard ─> CLUSTER ─> RECOVERY file removed
//! ```
//!
//! The cluster goes on from this node alone: every other node leaves for good, and new ones join with empty
//! folders. So a node of the lost majority that comes back is told that it has left, and decides nothing.
//!
//! Invariants:
//! 1. Nothing is changed before the plan is accepted. What is replaced is kept in `set-aside/`.
//! 2. While the file RECOVERY is there the node does not start; repeating the recovery finishes it.
//! 3. Every shard must have a sound replica here, or nothing is recovered.
//!
//! A split that was under way has happened when the child's folder is here: this node's replica had applied it, or finds it
//! among its last entries when it is rebuilt. Else it is forgotten.
//!
//! Not here: shards whose survivors are spread over several nodes.

use crate::cluster_file::{self, ClusterFile};
use crate::shard_state::BatchMachine;
use crate::{meta_store, oracle};
use base::{NodeId, ReplicaId, ShardEpoch, ShardId, SharedClock};
use engine::folder::{self, FolderLock, NodeIdentity};
use engine::{RocksFactory, RocksOptions, RocksShared, WriteBatch};
use raft::FlushMode;
use raft::host::{SET_ASIDE_FOLDER, replica_folder};
use raft::log::disk::FileDisk;
use raft::log::{LogOptions, SharedLog};
use raft::recovery::{self, Position, StoppedNode, Survivor};
use serde::{Deserialize, Serialize};
use shard_router::{ClusterState, NodeState, ShardInfo, ShardMap};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The file that says that a recovery has begun and not ended.
pub const NAME: &str = "RECOVERY";
/// Distance between the ids that are known here and those given out: the lost majority may have given out
/// some that nobody here has heard of.
const REPLICA_ID_GAP: u64 = 1000;
/// The same for versions of the cluster's state.
const VERSION_GAP: u64 = 1000;
/// How long another node may take to show that it lives.
const ALIVE_WAIT_MAX: Duration = Duration::from_secs(1);

/// A stopped node, opened for a recovery.
pub struct Stopped {
    /// Its replicas and its log.
    node: StoppedNode,
    /// What it knows of its cluster.
    file: ClusterFile,
    /// Its view of the cluster, without splits under way.
    state: ClusterState,
    /// Shards whose split was under way and is not applied here.
    unsplit: Vec<ShardId>,
    /// Time.
    clock: SharedClock,
    /// Held so that the node does not start meanwhile.
    _lock: FolderLock,
}

/// What becomes of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPlan {
    /// The shard.
    pub shard: ShardId,
    /// The replica it is recovered from.
    pub survivor: ReplicaId,
    /// The replica that takes its place.
    pub replica: ReplicaId,
    /// Last entry of the survivor; none when it has become the new replica already.
    pub last: Option<Position>,
    /// Entries that only the survivor's log holds: kept, although nobody may have acknowledged them.
    pub unapplied: u64,
    /// Replicas that lose their vote, with their nodes.
    pub removed: Vec<(ReplicaId, NodeId)>,
}

/// What a recovery does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The node that stays.
    pub node: NodeId,
    /// The nodes that leave.
    pub leaving: Vec<NodeId>,
    /// Every shard.
    pub shards: Vec<ShardPlan>,
    /// Whether an earlier attempt is finished.
    pub goes_on: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The version of the cluster's new state.
    pub version: u64,
    /// Where the replaced files are.
    pub evidence: PathBuf,
}

/// The file RECOVERY: which replica takes which one's place.
#[derive(Serialize, Deserialize)]
struct Begun {
    /// Format of the file.
    format: u32,
    /// Shard, survivor, new replica.
    replicas: Vec<(u64, u64, u64)>,
}

/// Format of the file RECOVERY.
const FORMAT: u32 = 1;

impl Begun {
    fn of(plan: &Plan) -> Begun {
        let replicas = plan.shards.iter();
        let replicas = replicas.map(|p| (p.shard.0, p.survivor.0, p.replica.0)).collect();
        Begun { format: FORMAT, replicas }
    }

    fn names(&self, shard: ShardId) -> bool {
        self.replicas.iter().any(|(named, ..)| *named == shard.0)
    }

    fn read(data: &Path) -> Result<Option<Begun>, String> {
        let path = data.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let begun: Begun = serde_json::from_slice(&bytes)
            .map_err(|error| format!("{} is damaged: {error}", path.display()))?;
        match begun.format {
            FORMAT => Ok(Some(begun)),
            other => Err(format!(
                "{} has format {other}, this program reads {FORMAT}; finish with the program that began",
                path.display()
            )),
        }
    }

    fn write(&self, data: &Path) -> Result<(), String> {
        let bytes = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        folder::write_atomically(&data.join(NAME), &bytes).map_err(|error| error.to_string())
    }
}

/// Why a node does not start: a recovery of its folder has begun and not ended.
pub fn unfinished(data: &Path) -> Option<String> {
    data.join(NAME).exists().then(|| {
        let data = data.display();
        format!(
            "the recovery of {data} has begun and not ended; finish it with precinct recover-quorum --data {data}"
        )
    })
}

impl Stopped {
    /// Opens the folder of a stopped node.
    ///
    /// # Errors
    /// A sentence: what prevents it.
    pub fn open(data: &Path, clock: SharedClock) -> Result<Stopped, String> {
        if !data.join(cluster_file::NAME).is_file() {
            return Err(format!("{} is not the data folder of a node", data.display()));
        }
        let lock = FolderLock::acquire(data).map_err(|error| error.to_string())?;
        let identity = NodeIdentity::read(data).map_err(|error| error.to_string())?;
        let identity =
            identity.ok_or_else(|| format!("{} says of no node whose it is", data.display()))?;
        let file = cluster_file::read(data)?
            .ok_or_else(|| format!("{} knows no cluster", data.display()))?;
        let state =
            file.state.clone().ok_or_else(|| format!("{} knows no cluster yet", data.display()))?;
        if state.node_state(identity.node) == NodeState::Left {
            return Err(format!("node {} has left its cluster", identity.node.0));
        }
        let log_folder = data.join("log");
        if std::fs::read_dir(&log_folder).into_iter().flatten().next().is_none() {
            return Err(format!(
                "the Raft log in {} is gone, and nobody knows what its replicas had acknowledged",
                log_folder.display()
            ));
        }
        let of_log = |error: std::io::Error| format!("{}: {error}", log_folder.display());
        let disk = FileDisk::open(&log_folder).map_err(of_log)?;
        let options =
            LogOptions { owner: format!("node {}", identity.node.0), ..LogOptions::default() };
        let log = SharedLog::open(Arc::new(disk), options, FlushMode::Thread, clock.clone())
            .map_err(of_log)?;
        let shared =
            RocksShared::new(RocksOptions::default()).map_err(|error| error.to_string())?;
        let unix_ms = clock.unix_ms();
        let (state, unsplit) = without_splits(&state, data, identity.node, unix_ms)?;
        let node = StoppedNode {
            node: identity.node,
            data_dir: data.to_path_buf(),
            factory: Arc::new(RocksFactory::new(shared)),
            log,
        };
        Ok(Stopped { node, file, state, unsplit, clock, _lock: lock })
    }

    /// The other nodes of the cluster that still have a part in it.
    fn others(&self) -> Vec<NodeId> {
        let nodes = self.state.nodes.iter().filter(|(_, info)| info.state != NodeState::Left);
        nodes.map(|(node, _)| *node).filter(|node| *node != self.node.node).collect()
    }

    /// What a recovery would do. Changes nothing.
    ///
    /// # Errors
    /// One sentence per shard that cannot be recovered, or per node that still lives.
    pub fn plan(&self) -> Result<Plan, Vec<String>> {
        let one = |error: String| vec![error];
        let survivors = recovery::inspect(&self.node).map_err(|error| one(error.to_string()))?;
        let begun = Begun::read(&self.node.data_dir).map_err(one)?;
        let mut next = self.free_replica_id(&survivors);
        let (mut shards, mut problems) = (Vec::new(), self.alive());
        for info in self.state.map.shards() {
            // A child came into being when its parent was rebuilt, and the attempt ended before it said so.
            let late =
                |begun: &&Begun| self.state.origins.contains_key(&info.id) && !begun.names(info.id);
            let outcome = match begun.as_ref().filter(|begun| !late(begun)) {
                Some(begun) => self.going_on(begun, info, &survivors),
                None => {
                    next += 1;
                    self.shard_plan(info, &survivors, ReplicaId(next))
                }
            };
            match outcome {
                Ok(plan) => shards.push(plan),
                Err(why) => problems.push(why),
            }
        }
        let recovered = |plan: &ShardPlan| {
            let alone = [(plan.survivor, self.node.node)];
            survivors.iter().any(|found| found.shard == plan.shard && found.members == alone)
        };
        if begun.is_none() && problems.is_empty() && shards.iter().all(recovered) {
            problems.push(format!(
                "node {} is the only member of all its shards already; start it",
                self.node.node.0
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let (node, leaving) = (self.node.node, self.others());
        Ok(Plan { node, leaving, shards, goes_on: begun.is_some() })
    }

    /// A sentence for each other node that answers: with them a majority may still be there.
    fn alive(&self) -> Vec<String> {
        let address = |node: &NodeId| Some((*node, self.state.nodes.get(node)?.address.clone()));
        let others = self.others();
        let alive = others.iter().filter_map(address).filter(|(_, address)| answers(address));
        alive
            .map(|(node, address)| {
                format!(
                    "node {} still answers at {address}: start this node beside it, or stop it if it is to leave",
                    node.0
                )
            })
            .collect()
    }

    /// The id below the first one that nobody has had.
    fn free_replica_id(&self, survivors: &[Survivor]) -> u64 {
        let of_map = self.state.map.shards().iter().flat_map(|info| info.replicas.iter());
        let of_jobs = self.state.jobs.values().map(|job| &job.add);
        let of_map = of_map.chain(of_jobs).map(|(replica, _)| replica.0);
        let of_groups = survivors.iter().flat_map(|found| {
            found.members.iter().map(|(replica, _)| replica.0).chain([found.replica.0])
        });
        of_map.chain(of_groups).max().unwrap_or(0) + REPLICA_ID_GAP
    }

    fn shard_plan(
        &self,
        info: &ShardInfo,
        survivors: &[Survivor],
        replica: ReplicaId,
    ) -> Result<ShardPlan, String> {
        let here = survivors
            .iter()
            .filter(|found| found.shard == info.id && self.state.knows(info.id, found.replica));
        let best = here.clone().filter(|found| found.unusable.is_none()).max_by_key(|f| f.last);
        match best {
            Some(survivor) => Ok(of_survivor(survivor, replica)),
            None => {
                let why = here.filter_map(|found| found.unusable.clone()).next();
                let why = why.unwrap_or_else(|| "none of its replicas is here".to_string());
                Err(format!("shard {} cannot be recovered from this node: {why}", info.id.0))
            }
        }
    }

    /// As an earlier attempt decided.
    fn going_on(
        &self,
        begun: &Begun,
        info: &ShardInfo,
        survivors: &[Survivor],
    ) -> Result<ShardPlan, String> {
        let decided = begun.replicas.iter().find(|(shard, ..)| *shard == info.id.0);
        let (_, old, new) =
            decided.ok_or_else(|| format!("{NAME} says nothing of shard {}", info.id.0))?;
        let (old, new) = (ReplicaId(*old), ReplicaId(*new));
        let found = |replica| {
            survivors.iter().find(move |found| found.shard == info.id && found.replica == replica)
        };
        let complete = self.node.log.vote(&(info.id, new)).is_some();
        match (found(old), found(new)) {
            (Some(survivor), _) if !complete => match &survivor.unusable {
                None => Ok(of_survivor(survivor, new)),
                Some(why) => Err(format!("shard {}: {why}", info.id.0)),
            },
            (_, Some(_)) if complete => Ok(ShardPlan {
                shard: info.id,
                survivor: old,
                replica: new,
                last: None,
                unapplied: 0,
                removed: Vec::new(),
            }),
            _ => {
                Err(format!("shard {}: neither its survivor nor its successor is here", info.id.0))
            }
        }
    }

    /// Does what the plan says. Repeating it after a crash finishes it.
    ///
    /// # Errors
    /// A sentence: what failed. The file RECOVERY stays, and so the node does not start.
    pub async fn carry_out(&self, plan: &Plan) -> Result<Done, String> {
        let data = &self.node.data_dir;
        let evidence = data.join(SET_ASIDE_FOLDER);
        folder::create_folder(&evidence).map_err(|error| error.to_string())?;
        self.keep_cluster_file(&evidence)?;
        let mut plan = plan.clone();
        Begun::of(&plan).write(data)?;
        for shard in &plan.shards {
            self.rebuild(shard).await?;
        }
        for child in self.just_split(&plan) {
            plan.shards.push(child.clone());
            Begun::of(&plan).write(data)?;
            self.rebuild(&child).await?;
        }
        let state = self.replace_records(&plan)?;
        let (incarnation, version) = (self.file.incarnation, state.version);
        cluster_file::write(data, &ClusterFile { incarnation, state: Some(state) })?;
        let marker = data.join(NAME);
        std::fs::remove_file(&marker).map_err(|error| format!("{}: {error}", marker.display()))?;
        folder::sync_folder(data).map_err(|error| error.to_string())?;
        Ok(Done { version, evidence })
    }

    /// Makes a shard's new replica of its survivor, unless that has been done.
    async fn rebuild(&self, shard: &ShardPlan) -> Result<(), String> {
        let survivor = (shard.shard, shard.survivor);
        if !replica_folder(&self.node.data_dir, survivor).is_dir() {
            return Ok(());
        }
        let built = recovery::rebuild(&self.node, survivor, shard.replica, &BatchMachine).await;
        built.map(|_| ()).map_err(|error| format!("shard {}: {error}", shard.shard.0))
    }

    /// The children that came into being when their parents were rebuilt.
    fn just_split(&self, plan: &Plan) -> Vec<ShardPlan> {
        let Some(before) = &self.file.state else { return Vec::new() };
        let mut next = plan.shards.iter().map(|shard| shard.replica.0).max().unwrap_or_default();
        let jobs = self.unsplit.iter().filter_map(|parent| before.splits.get(parent));
        let mut found = Vec::new();
        for child in jobs.map(|job| job.child) {
            let Some(survivor) = before.replica_on(child, self.node.node) else { continue };
            if replica_folder(&self.node.data_dir, (child, survivor)).is_dir() {
                next += 1;
                found.push(ShardPlan {
                    shard: child,
                    survivor,
                    replica: ReplicaId(next),
                    last: None,
                    unapplied: 0,
                    removed: Vec::new(),
                });
            }
        }
        found
    }

    /// Ends the log: what was written is synced, and its files are closed.
    pub fn close(self) {
        self.node.log.close();
    }

    /// Keeps the file CLUSTER as it was. One of the same version is the same.
    fn keep_cluster_file(&self, evidence: &Path) -> Result<(), String> {
        let from = self.node.data_dir.join(cluster_file::NAME);
        let to = evidence.join(format!("{}-{}", cluster_file::NAME, self.state.version));
        let bytes = std::fs::read(&from).map_err(|error| format!("{}: {error}", from.display()))?;
        folder::write_atomically(&to, &bytes).map_err(|error| error.to_string())
    }

    /// Writes the cluster's new state into the meta shard's new replica, which nobody else has.
    fn replace_records(&self, plan: &Plan) -> Result<ClusterState, String> {
        let meta = plan.shards.iter().find(|shard| shard.shard == ShardId::META);
        let meta = meta.ok_or("the plan has no meta shard")?;
        let of_engine = |error: engine::Error| error.to_string();
        let folder = replica_folder(&self.node.data_dir, (meta.shard, meta.replica));
        self.node.factory.recover(&folder).map_err(of_engine)?;
        let engine = self.node.factory.open(&folder).map_err(of_engine)?;
        let records = meta_store::load_stopped(engine.as_ref())?;
        // The records may be newer than the copy, or behind it: an entry was lost that another node had.
        let known = [Some(&self.state), records.as_ref()].into_iter().flatten();
        let newest = known.max_by_key(|state| state.version).unwrap_or(&self.state);
        let (data, node) = (&self.node.data_dir, self.node.node);
        let (newest, _) = without_splits(newest, data, node, self.clock.unix_ms())?;
        let after = recovered(&newest, plan)?;
        let mut batch = WriteBatch::new();
        let point = oracle::skip_window(engine.as_ref(), self.clock.unix_ms(), &mut batch)?;
        meta_store::replace_stopped(records.as_ref(), &after, point, &mut batch);
        engine.write(batch).map_err(of_engine)?;
        engine.flush().map_err(of_engine)?;
        Ok(after)
    }
}

/// Whether somebody takes connections at an address.
fn answers(address: &str) -> bool {
    let Ok(mut found) = address.to_socket_addrs() else { return false };
    found.any(|address| TcpStream::connect_timeout(&address, ALIVE_WAIT_MAX).is_ok())
}

fn of_survivor(survivor: &Survivor, replica: ReplicaId) -> ShardPlan {
    let index = |position: Option<Position>| position.map_or(0, |position| position.index);
    let gone = |(id, _): &&(ReplicaId, NodeId)| *id != survivor.replica;
    ShardPlan {
        shard: survivor.shard,
        survivor: survivor.replica,
        replica,
        last: survivor.last,
        unapplied: index(survivor.last).saturating_sub(index(survivor.applied)),
        removed: survivor.members.iter().filter(gone).copied().collect(),
    }
}

/// The state without splits under way, and the shards whose split has not been applied here.
fn without_splits(
    state: &ClusterState,
    data: &Path,
    node: NodeId,
    unix_ms: u64,
) -> Result<(ClusterState, Vec<ShardId>), String> {
    let (mut settled, mut unsplit) = (state.clone(), Vec::new());
    if state.splits.is_empty() {
        return Ok((settled, unsplit));
    }
    let begun = Begun::read(data)?;
    for (parent, job) in &state.splits {
        let made = |replica| replica_folder(data, (job.child, replica)).is_dir();
        // An attempt before this one may have moved the folder.
        let chosen = begun.as_ref().is_some_and(|begun| begun.names(job.child));
        if chosen || state.replica_on(job.child, node).is_some_and(made) {
            settled.finish_split(*parent, unix_ms).map_err(|error| error.to_string())?;
        } else {
            settled.splits.remove(parent);
            unsplit.push(*parent);
        }
    }
    Ok((settled, unsplit))
}

/// The state of a cluster that goes on with one replica of each shard.
fn recovered(before: &ClusterState, plan: &Plan) -> Result<ClusterState, String> {
    let replicas: BTreeMap<ShardId, ReplicaId> =
        plan.shards.iter().map(|shard| (shard.shard, shard.replica)).collect();
    let known: BTreeSet<ShardId> = before.map.shards().iter().map(|info| info.id).collect();
    if known != replicas.keys().copied().collect() {
        return Err("the meta shard knows other shards than this node".to_string());
    }
    let version = before.version + VERSION_GAP;
    let shards = before.map.shards().iter().map(|info| ShardInfo {
        id: info.id,
        epoch: ShardEpoch(info.epoch.0 + 1),
        slots: info.slots,
        replicas: replicas.get(&info.id).map(|replica| (*replica, plan.node)).into_iter().collect(),
    });
    let map = ShardMap::new(version, shards.collect()).map_err(|error| error.to_string())?;
    let mut nodes = before.nodes.clone();
    for (node, info) in &mut nodes {
        info.state = if *node == plan.node { NodeState::Active } else { NodeState::Left };
    }
    Ok(ClusterState {
        id: before.id,
        version,
        replication: before.replication,
        nodes,
        map: Arc::new(map),
        jobs: BTreeMap::new(),
        rebalance: before.rebalance,
        splits: BTreeMap::new(),
        // They name no replicas, and go on or are undone by what the shards know of them.
        merges: before.merges.clone(),
        // Every replica is another one now: none of them came from a split.
        origins: BTreeMap::new(),
        placement: before.placement.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Slot;
    use shard_router::{NewSplit, NodeInfo, RebalanceSettings};

    #[test]
    fn the_recovered_state_has_one_replica_per_shard_and_no_other_node() {
        let ids: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let map = Arc::new(shard_router::initial(&ids, 2, 3).unwrap().map);
        let nodes = ids.iter().map(|id| (*id, NodeInfo::default())).collect();
        let before = ClusterState {
            id: 9,
            version: 7,
            replication: 3,
            nodes,
            map,
            jobs: BTreeMap::new(),
            rebalance: RebalanceSettings::default(),
            splits: BTreeMap::new(),
            merges: BTreeMap::new(),
            origins: BTreeMap::new(),
            placement: shard_router::Placement::default(),
        };
        let shards = before.map.shards().iter().map(|info| ShardPlan {
            shard: info.id,
            survivor: info.replicas[0].0,
            replica: ReplicaId(1000 + info.id.0),
            last: None,
            unapplied: 0,
            removed: Vec::new(),
        });
        let mut plan = Plan {
            node: NodeId(3),
            leaving: vec![NodeId(1), NodeId(2)],
            shards: shards.collect(),
            goes_on: false,
        };
        let after = recovered(&before, &plan).unwrap();
        assert_eq!(after.version, 7 + VERSION_GAP);
        assert_eq!(after.node_state(NodeId(3)), NodeState::Active);
        assert_eq!(after.node_state(NodeId(1)), NodeState::Left);
        for info in after.map.shards() {
            assert_eq!(info.replicas, [(ReplicaId(1000 + info.id.0), NodeId(3))]);
            assert_eq!(info.epoch, ShardEpoch(2));
        }
        plan.shards.pop();
        assert!(recovered(&before, &plan).unwrap_err().contains("other shards"));
    }

    #[test]
    fn a_split_has_happened_when_the_childs_folder_is_here() {
        let data = tempfile::tempdir().unwrap();
        let ids: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let map = Arc::new(shard_router::initial(&ids, 2, 3).unwrap().map);
        let nodes = ids.iter().map(|id| (*id, NodeInfo::default())).collect();
        let mut before = ClusterState {
            id: 9,
            version: 7,
            replication: 3,
            nodes,
            map,
            jobs: BTreeMap::new(),
            rebalance: RebalanceSettings::default(),
            splits: BTreeMap::new(),
            merges: BTreeMap::new(),
            origins: BTreeMap::new(),
            placement: shard_router::Placement::default(),
        };
        let (parent, child) = (ShardId(1), ShardId(3));
        let new = NewSplit {
            parent,
            at: Slot(9),
            child,
            replicas: [40, 41, 42].map(ReplicaId).to_vec(),
            unix_ms: 0,
        };
        before.begin_split(new, 7).unwrap();
        let settle = || without_splits(&before, data.path(), NodeId(2), 5).unwrap();
        let (state, unsplit) = settle();
        assert_eq!((unsplit, state.splits.len(), state.map.shard(child)), (vec![parent], 0, None));
        let replica = before.replica_on(child, NodeId(2)).unwrap();
        std::fs::create_dir_all(replica_folder(data.path(), (child, replica))).unwrap();
        let (state, unsplit) = settle();
        assert_eq!((unsplit.len(), state.splits.len()), (0, 0));
        assert_eq!(state.replica_on(child, NodeId(2)), Some(replica));
        std::fs::remove_dir_all(data.path().join("replicas")).unwrap();
        Begun { format: FORMAT, replicas: vec![(3, 40, 1040)] }.write(data.path()).unwrap();
        assert!(settle().0.map.shard(child).is_some(), "as an earlier attempt decided");
    }

    #[test]
    fn a_begun_recovery_keeps_the_node_from_starting() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(unfinished(data.path()), None);
        Begun { format: FORMAT, replicas: vec![(0, 1, 2)] }.write(data.path()).unwrap();
        assert!(unfinished(data.path()).unwrap().contains("recover-quorum"));
        assert_eq!(Begun::read(data.path()).unwrap().unwrap().replicas, [(0, 1, 2)]);
        Begun { format: 9, replicas: Vec::new() }.write(data.path()).unwrap();
        let Err(error) = Begun::read(data.path()) else { panic!("format 9 is unknown") };
        assert!(error.contains("format 9"), "{error}");
    }
}
