//! How a node comes to its view of the cluster at the start: from its folder, as one of the first nodes of a
//! new cluster, or by asking to be let in.
//!
//! ```text
//! folder has CLUSTER with a state ───────────────> go on with it
//! folder has SHARDMAP of an older version ───────> state from it and the configured nodes, go on
//! empty, --join ──> ask a member: number, state ─> go on with no replica
//! empty, all configured nodes ──> each asks all others, and the cluster begins when all are there and empty
//! ```
//!
//! Each data folder draws a number once, its incarnation. A node that comes with an empty folder to a
//! cluster that has begun without it is refused: it may have been one of the first and have lost its disk,
//! and a replica that starts empty under an old id can give a vote it has given before.
//!
//! Invariants:
//! 1. A folder that holds replicas or a Raft log is never taken for an empty one.
//! 2. Replicas of a new cluster are created only by nodes that all first nodes have seen under their
//!    incarnation.

use crate::cluster_file::{self, ClusterFile};
use crate::cluster_wire as cw;
use crate::config::{Config, hash};
use crate::directory::FIRST_VERSION;
use crate::gossip;
use crate::peers::{CallError, Peers};
use crate::recover;
use crate::shard_map_file;
use base::limits::{JOIN_RETRY_PAUSE, PROPOSE_WAIT_MAX, STATUS_WAIT_MAX};
use base::{NodeId, Rng};
use engine::folder::NodeIdentity;
use parking_lot::Mutex;
use proto::node as pb;
use shard_router::{ClusterState, NodeInfo, RebalanceSettings, ShardMap, placement};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long one attempt to be let in may take: the member asked writes to the meta shard meanwhile.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(10);
/// Attempts to be let in before the node gives up.
const JOIN_ATTEMPTS_MAX: usize = 40;
/// Endings of files that may lie beside a node's own.
const BESIDE: [&str; 9] =
    [".log", ".sock", ".toml", ".pid", ".out", ".pem", ".crt", ".key", ".env"];
/// Files named in a refusal.
const FOREIGN_NAMED_MAX: usize = 3;
/// Pause between two looks for the other nodes of a new cluster.
const ROUND_PAUSE: Duration = Duration::from_millis(50);

const _: () = assert!(JOIN_WAIT_MAX.as_millis() > PROPOSE_WAIT_MAX.as_millis());

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A part of it failed: which, on what, and why.
    #[error("{0}")]
    Failed(String),
    /// Its cluster does not take it: why, and what to do.
    #[error("{0}")]
    Refused(String),
}

impl From<String> for StartError {
    fn from(what: String) -> StartError {
        StartError::Failed(what)
    }
}

/// What a node's folder says at the start.
#[derive(Debug)]
pub struct Begin {
    /// The number of the data folder.
    pub incarnation: u64,
    /// The state to go on with; `None` for an empty folder.
    pub state: Option<ClusterState>,
    /// Which node the folder belongs to; `None` for an empty one.
    pub node: Option<NodeId>,
}

/// Reads the folder. An empty one gets its incarnation.
///
/// # Errors
/// A sentence that names the file and what to do.
pub fn begin(config: &Config) -> Result<Begin, String> {
    let data = &config.data;
    if let Some(why) = recover::unfinished(data) {
        return Err(why);
    }
    let identity = NodeIdentity::read(data).map_err(|error| error.to_string())?;
    if let Some(found) = &identity
        && found.cluster != config.cluster_id()
    {
        return Err(format!(
            "{} belongs to node {} of another cluster than '{}'; name its cluster with --cluster, or choose another \
             --data folder",
            data.display(),
            found.node.0,
            config.cluster
        ));
    }
    let node = identity.map(|found| found.node);
    if let Some(file) = cluster_file::read(data)? {
        return Ok(Begin { incarnation: file.incarnation, state: file.state, node });
    }
    let incarnation = Rng::from_entropy().next_u64().max(1);
    let state = match shard_map_file::read(data)? {
        Some(map) => Some(migrated(config, map)),
        None => {
            refuse_data(config)?;
            None
        }
    };
    cluster_file::write(data, &ClusterFile { incarnation, state: state.clone() })?;
    Ok(Begin { incarnation, state, node })
}

/// The state of a cluster that was made before states were kept.
fn migrated(config: &Config, map: ShardMap) -> ClusterState {
    let replication = map.shards().iter().map(|info| info.replicas.len()).max().unwrap_or(1) as u32;
    let nodes = config.nodes.iter().map(|(node, address)| {
        (*node, NodeInfo { address: address.clone(), ..NodeInfo::default() })
    });
    ClusterState {
        id: 0,
        version: FIRST_VERSION,
        replication,
        nodes: nodes.collect(),
        map: Arc::new(map),
        jobs: BTreeMap::new(),
        rebalance: RebalanceSettings::default(),
        splits: BTreeMap::new(),
        merges: BTreeMap::new(),
        origins: BTreeMap::new(),
        placement: shard_router::Placement::default(),
    }
}

/// The number of a new cluster. Every first node computes it by itself from what all have seen of all: the numbers
/// that were drawn for their data folders.
fn founded_id(name: u64, nodes: &BTreeMap<NodeId, NodeInfo>) -> u64 {
    let words = nodes.iter().flat_map(|(node, info)| [node.0, info.incarnation]);
    let bytes: Vec<u8> = std::iter::once(name).chain(words).flat_map(u64::to_le_bytes).collect();
    hash(&bytes).max(1)
}

/// A folder without a map must hold nothing.
fn refuse_data(config: &Config) -> Result<(), String> {
    for name in ["replicas", "log"] {
        let folder = config.data.join(name);
        let holds = match std::fs::read_dir(&folder) {
            Ok(mut entries) => entries.next().is_some(),
            Err(_) => false,
        };
        if holds {
            return Err(format!(
                "{} holds data, but {} is missing, so nobody can say whose it is; put the file back, or choose an \
                 empty --data folder",
                folder.display(),
                config.data.join(cluster_file::NAME).display()
            ));
        }
    }
    let foreign = foreign_files(&config.data)?;
    if foreign.is_empty() {
        return Ok(());
    }
    let named = &foreign[..foreign.len().min(FOREIGN_NAMED_MAX)];
    let more = if foreign.len() > named.len() { ", …" } else { "" };
    Err(format!(
        "{} holds what is not of this program ({}{more}); a node begins in an empty data folder: choose another --data \
         folder, or move these away",
        config.data.display(),
        named.join(", ")
    ))
}

/// What lies in a data folder that has no cluster yet and was not put there by this program or its operator: logs,
/// sockets and configuration may lie there, and what a file system or a container leaves.
fn foreign_files(data: &std::path::Path) -> Result<Vec<String>, String> {
    let listed = |error: std::io::Error| format!("data folder {}: {error}", data.display());
    let mut foreign = Vec::new();
    for entry in std::fs::read_dir(data).map_err(listed)? {
        let name = entry.map_err(listed)?.file_name().to_string_lossy().into_owned();
        let ours = ["LOCK", "log", "replicas", "tmp", "tls", "lost+found"].contains(&name.as_str());
        let beside = BESIDE.iter().any(|ending| name.ends_with(ending)) || name.contains(".log.");
        // A file that was being written when the process died is written anew.
        let part = [".part", ".tmp", ".new"].iter().any(|ending| name.ends_with(ending));
        if !(ours || beside || part || name.starts_with('.')) {
            foreign.push(name);
        }
    }
    foreign.sort();
    Ok(foreign)
}

/// Asks to be let in until somebody does.
///
/// # Errors
/// A sentence: refused, or nobody answers.
pub async fn join(
    config: &Config,
    incarnation: u64,
    peers: &Peers,
) -> Result<(NodeId, ClusterState), String> {
    let me = NodeInfo {
        address: config.advertised_node(),
        sql_address: config.listen_sql.to_string(),
        incarnation,
        zone: config.zone.clone(),
        ..NodeInfo::default()
    };
    let mut why = String::new();
    for attempt in 0..JOIN_ATTEMPTS_MAX {
        for address in &config.join {
            let node = Some(cw::node_to_pb(NodeId(0), &me));
            let request = pb::call::Request::Join(pb::JoinRequest { node });
            match peers.call_address(address, request, JOIN_WAIT_MAX).await {
                Ok(pb::answer::Response::Joined(joined)) => {
                    let state = joined.cluster.ok_or("the member sent no cluster state")?;
                    return Ok((NodeId(joined.node), cw::state_from_pb(state)?));
                }
                Ok(pb::answer::Response::Failure(failure)) => {
                    if failure.kind == pb::failure::Kind::BadCall as i32 {
                        return Err(format!(
                            "{address} does not let this node in: {}; this node is of cluster '{}' (--cluster)",
                            failure.what, config.cluster
                        ));
                    }
                    why = format!("{address}: {}", failure.what);
                }
                Ok(_) => why = format!("{address} gave an answer of the wrong kind"),
                Err(CallError::NotSent(what) | CallError::Lost(what)) => {
                    why = format!("{address}: {what}");
                }
            }
        }
        if attempt == 0 {
            tracing::info!(%why, "waiting to be let in");
        }
        tokio::time::sleep(JOIN_RETRY_PAUSE).await;
    }
    Err(format!("no member of --join lets this node in; the last reason: {why}"))
}

/// Who has been heard while a new cluster begins: served to the other first nodes.
pub struct Founding {
    /// This node and its incarnation.
    me: (NodeId, NodeInfo),
    /// Drawn when this process started.
    process: u64,
    /// What this node has decided; `None` while it waits.
    decided: Mutex<Option<ClusterState>>,
}

impl Founding {
    /// Nothing is decided yet.
    pub fn new(node: NodeId, info: NodeInfo, process: u64) -> Arc<Founding> {
        Arc::new(Founding { me: (node, info), process, decided: Mutex::new(None) })
    }

    /// Answers another node's question while this one has no directory.
    pub fn answer(&self, request: &pb::StatusRequest) -> pb::Status {
        let decided = self.decided.lock();
        let asker = request.sender.as_ref().map(|sender| NodeId(sender.id));
        let known = decided.as_ref().zip(asker).and_then(|(state, node)| state.nodes.get(&node));
        pb::Status {
            node: self.me.0.0,
            cluster_version: decided.as_ref().map_or(0, |state| state.version),
            sender: Some(cw::node_to_pb(self.me.0, &self.me.1)),
            your_incarnation: known.map_or(0, |info| info.incarnation),
            process: self.process,
            ..Default::default()
        }
    }

    /// The decided state, for who asks for it.
    pub fn state(&self) -> Option<ClusterState> {
        self.decided.lock().clone()
    }

    /// Waits until all configured nodes are there and empty, or have begun with this one; answers the first
    /// state. Waits for ever: a cluster does not begin with a part of its nodes.
    ///
    /// # Errors
    /// A sentence when the cluster has begun without this folder.
    pub async fn decide(&self, config: &Config, peers: &Peers) -> Result<ClusterState, StartError> {
        let (node, info) = &self.me;
        let mut told = Vec::new();
        loop {
            let round = self.round(config, peers).await?;
            match round {
                Round::Begun(state) => return Ok(state),
                Round::AllEmpty(nodes) => {
                    let mut nodes = nodes;
                    nodes.insert(*node, info.clone());
                    let zones =
                        nodes.iter().map(|(node, info)| (*node, info.zone.clone())).collect();
                    let (shards, replication) = (config.shards, config.replication as usize);
                    let plan = placement::initial_in_zones(&zones, shards, replication)
                        .map_err(|error| error.to_string())?;
                    let state = ClusterState {
                        id: founded_id(config.cluster_id(), &nodes),
                        version: FIRST_VERSION,
                        replication: config.replication,
                        nodes,
                        map: Arc::new(plan.map),
                        jobs: BTreeMap::new(),
                        rebalance: RebalanceSettings::default(),
                        splits: BTreeMap::new(),
                        merges: BTreeMap::new(),
                        origins: BTreeMap::new(),
                        placement: shard_router::Placement::default(),
                    };
                    return Ok(state);
                }
                Round::Missing(missing) => {
                    if missing != told {
                        let text = missing.join("; ");
                        tracing::info!(
                            missing = %text,
                            "a new cluster begins when all its nodes are there; waiting"
                        );
                        told = missing;
                    }
                }
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }

    /// Makes a decision known. It must be on disk.
    pub fn decided(&self, state: &ClusterState) {
        *self.decided.lock() = Some(state.clone());
    }

    /// Asks every other node once.
    async fn round(&self, config: &Config, peers: &Peers) -> Result<Round, StartError> {
        let (me, info) = &self.me;
        let asked = config.nodes.keys().filter(|node| *node != me).map(|node| async move {
            let sender = Some(cw::node_to_pb(*me, info));
            let process = self.process;
            let request = pb::StatusRequest { sender, cluster_version: 0, process };
            let request = pb::call::Request::Status(request);
            (*node, peers.call(*node, request, STATUS_WAIT_MAX).await)
        });
        let (mut empty, mut missing) = (BTreeMap::new(), Vec::new());
        for (node, answer) in futures::future::join_all(asked).await {
            let status = match answer {
                Ok(pb::answer::Response::Status(status)) => status,
                Ok(pb::answer::Response::Failure(failure)) => {
                    missing.push(format!("node {}: {}", node.0, failure.what));
                    continue;
                }
                Ok(_) => {
                    missing.push(format!("node {} gave an answer of the wrong kind", node.0));
                    continue;
                }
                Err(CallError::NotSent(why) | CallError::Lost(why)) => {
                    missing.push(format!("node {}: {why}", node.0));
                    continue;
                }
            };
            if status.cluster_version > 0 {
                if !status.refused.is_empty() {
                    return Err(StartError::Refused(status.refused));
                }
                if status.your_incarnation != info.incarnation {
                    return Err(StartError::Refused(gossip::wiped(*me)));
                }
                let request = pb::call::Request::Cluster(pb::ClusterRequest {});
                match peers.call(node, request, STATUS_WAIT_MAX).await {
                    Ok(pb::answer::Response::Cluster(state)) => {
                        return Ok(Round::Begun(cw::state_from_pb(state)?));
                    }
                    _ => missing.push(format!("node {} does not tell its state", node.0)),
                }
                continue;
            }
            let sender =
                status.sender.ok_or_else(|| format!("node {} does not say who it is", node.0))?;
            let (id, info) = cw::node_from_pb(sender)?;
            if id != node {
                return Err(StartError::Failed(format!(
                    "{} is named as node {} in the list of nodes, but node {} answers there; correct --nodes",
                    config.nodes.get(&node).map_or("", |address| address.as_str()),
                    node.0,
                    id.0
                )));
            }
            empty.insert(id, info);
        }
        Ok(if missing.is_empty() { Round::AllEmpty(empty) } else { Round::Missing(missing) })
    }
}

/// What a round of questions found.
enum Round {
    /// The cluster has begun, with this node.
    Begun(ClusterState),
    /// All other nodes are there, and empty.
    AllEmpty(BTreeMap<NodeId, NodeInfo>),
    /// Some are not there, and why.
    Missing(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_of_one_name_have_numbers_of_their_own() {
        let nodes = |incarnations: [u64; 3]| -> BTreeMap<NodeId, NodeInfo> {
            let info = |incarnation| NodeInfo { incarnation, ..NodeInfo::default() };
            (1..).map(NodeId).zip(incarnations.map(info)).collect()
        };
        let one = founded_id(7, &nodes([11, 12, 13]));
        assert_eq!(one, founded_id(7, &nodes([11, 12, 13])), "every first node finds the same");
        assert_ne!(one, founded_id(7, &nodes([11, 12, 14])));
        assert_ne!(one, founded_id(7, &nodes([12, 11, 13])));
        assert_ne!(one, founded_id(8, &nodes([11, 12, 13])));
    }
    use crate::config::StartFlags;
    use std::path::Path;

    fn config(data: &Path) -> Config {
        let flags = StartFlags {
            data: Some(data.to_path_buf()),
            nodes: vec!["1=127.0.0.1:1".into(), "2=127.0.0.1:2".into(), "3=127.0.0.1:3".into()],
            ..StartFlags::default()
        };
        Config::load(&flags).unwrap()
    }

    #[test]
    fn an_empty_folder_gets_one_number_for_ever() {
        let data = tempfile::tempdir().unwrap();
        let first = begin(&config(data.path())).unwrap();
        let second = begin(&config(data.path())).unwrap();
        assert!(first.incarnation != 0 && first.incarnation == second.incarnation);
        assert!(first.state.is_none() && first.node.is_none());
        let other = tempfile::tempdir().unwrap();
        assert_ne!(begin(&config(other.path())).unwrap().incarnation, first.incarnation);
    }

    #[test]
    fn a_folder_of_an_older_version_is_taken_over() {
        let data = tempfile::tempdir().unwrap();
        let nodes: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let map = placement::initial(&nodes, 4, 3).unwrap().map;
        let body = map.encode();
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend(crc32fast::hash(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        std::fs::write(data.path().join(shard_map_file::NAME), bytes).unwrap();
        std::fs::create_dir(data.path().join("replicas")).unwrap();
        let state = begin(&config(data.path())).unwrap().state.unwrap();
        assert_eq!((state.version, state.replication, state.nodes.len()), (FIRST_VERSION, 3, 3));
        assert_eq!(*state.map, map);
        assert_eq!(begin(&config(data.path())).unwrap().state.unwrap(), state, "once");
    }

    #[test]
    fn a_folder_that_holds_data_is_never_taken_for_an_empty_one() {
        for name in ["replicas", "log"] {
            let data = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(data.path().join(name).join("1-1")).unwrap();
            let refused = begin(&config(data.path())).unwrap_err();
            assert!(refused.contains("holds data") && refused.contains(name), "{refused}");
        }
    }

    #[test]
    fn a_folder_with_files_of_others_is_not_taken_for_an_empty_one() {
        let data = tempfile::tempdir().unwrap();
        for name in ["ibdata1", "PG_VERSION", "a", "b"] {
            std::fs::write(data.path().join(name), "x").unwrap();
        }
        let refused = begin(&config(data.path())).unwrap_err();
        assert!(refused.contains("(PG_VERSION, a, b, …)"), "{refused}");
        assert!(!data.path().join(cluster_file::NAME).exists(), "nothing was written");
        let data = tempfile::tempdir().unwrap();
        for name in
            ["node.log", "node.log.1", "mysql.sock", "node.toml", "node.pid", ".snapshot", "LOCK"]
        {
            std::fs::write(data.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(data.path().join("lost+found")).unwrap();
        assert!(begin(&config(data.path())).is_ok());
    }

    #[test]
    fn a_folder_of_another_cluster_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let identity = NodeIdentity { cluster: 1, node: NodeId(2) };
        identity.write(data.path()).unwrap();
        let refused = begin(&config(data.path())).unwrap_err();
        assert!(refused.contains("another cluster") && refused.contains("--data"), "{refused}");
    }

    #[test]
    fn a_node_that_waits_says_what_it_is_and_then_what_was_decided() {
        let info = NodeInfo { incarnation: 5, ..NodeInfo::default() };
        let founding = Founding::new(NodeId(1), info.clone(), 3);
        let asker = cw::node_to_pb(NodeId(2), &NodeInfo { incarnation: 6, ..info.clone() });
        let request = pb::StatusRequest { sender: Some(asker), ..Default::default() };
        let waiting = founding.answer(&request);
        assert_eq!((waiting.cluster_version, waiting.your_incarnation), (0, 0));
        let nodes: Vec<NodeId> = (1..=2).map(NodeId).collect();
        let map = Arc::new(placement::initial(&nodes, 1, 2).unwrap().map);
        let known = NodeInfo { incarnation: 6, ..NodeInfo::default() };
        let nodes = BTreeMap::from([(NodeId(1), info), (NodeId(2), known)]);
        founding.decided(&ClusterState {
            id: 5,
            version: FIRST_VERSION,
            replication: 2,
            nodes,
            map,
            jobs: BTreeMap::new(),
            rebalance: RebalanceSettings::default(),
            splits: BTreeMap::new(),
            merges: BTreeMap::new(),
            origins: BTreeMap::new(),
            placement: shard_router::Placement::default(),
        });
        let decided = founding.answer(&request);
        assert_eq!((decided.cluster_version, decided.your_incarnation), (FIRST_VERSION, 6));
    }
}
