//! Assembly of a node: which parts it has, in which order they start, and how they stop.
//!
//! ```text
//! data folder ─> Raft host ─> replicas ─> shards ─> client ─> SQL instance ─> gateway
//!                    └────── gRPC server (Raft lanes + node calls) ──────┘      └─ HTTP
//! ```
//!
//! Raft and the calls between nodes run on a runtime of their own, so that a heavy query cannot starve
//! heartbeats. The gateway has a single-threaded runtime per core (`gateway::listener`).

use crate::balancer;
use crate::cluster_client::{ClusterClient, ClusterClientParts};
use crate::config::Config;
use crate::disks::{self, Disks};
use crate::grpc::NodeService;
use crate::http::{self, HttpState};
use crate::incoming::incoming;
use crate::local_shards::{LocalShard, LocalShards};
use crate::oracle::{LocalOracle, NodeOracle};
use crate::peers::Peers;
use crate::shard_map_file;
use crate::shard_state::{BatchMachine, GroupReplication};
use base::limits::{CATALOG_LEASE, CATALOG_RENEW};
use base::{NodeId, ShardId, SharedClock, SlotRange, SystemClock};
use engine::folder;
use engine::{RocksFactory, RocksOptions, RocksShared};
use gateway::listener::{Gateway, GatewayConfig, GatewayHandle};
use gateway::tls::TlsSource;
use parking_lot::Mutex;
use proto::node as pb;
use raft::host::{Host, HostConfig};
use raft::log::LogOptions;
use raft::log::disk::FileDisk;
use raft::transport::dialer::TcpDialer;
use shard_router::{ShardMap, placement};
use sql::instance::{Cluster, Instance, InstanceConfig, NodeRow, ShardRow};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;

/// Pause between two tries to reach the meta shard at start.
const BOOTSTRAP_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often a node asks the others how they are.
const STATUS_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for another node's state.
const STATUS_WAIT_MAX: Duration = Duration::from_millis(800);
/// How often the oracle's leader looks at its window.
const ORACLE_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for running statements when the node stops.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// A running node.
pub struct Node {
    gateway: GatewayHandle,
    host: Arc<Host>,
    raft_runtime: Option<tokio::runtime::Runtime>,
    background: Vec<tokio::task::JoinHandle<()>>,
    /// Held so that no second process uses the folder.
    _lock: folder::FolderLock,
}

impl Node {
    /// Starts a node; returns when it answers SQL.
    ///
    /// # Errors
    /// One sentence for people: which part failed, on which file or address, and why.
    pub async fn start(config: Config) -> Result<Node, String> {
        let clock = SystemClock::shared();
        let lock = open_folder(&config)?;
        // Both listeners first: a taken port is noticed before anything else happens.
        let node_listener = bind(config.listen_node, "--listen-node").await?;
        let http_listener = bind(config.listen_http, "--listen-http").await?;
        let (map, is_new) = shard_map(&config)?;
        let map = Arc::new(map);

        let raft_runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("raft")
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the Raft runtime: {error}"))?;
        let raft_handle = raft_runtime.handle().clone();
        let cluster_id = config.cluster_id();
        let addresses = config.nodes.clone();
        let started = {
            let (config, clock, map, addresses) =
                (config.clone(), clock.clone(), map.clone(), addresses.clone());
            raft_handle
                .spawn(async move { start_replicas(&config, clock, &map, addresses).await })
                .await
                .map_err(|error| format!("starting replicas: {error}"))??
        };
        let StartedReplicas { host, groups, lost } = started;
        let lost = Arc::new(lost);

        let peers = Arc::new(Peers::new(config.node, cluster_id, addresses, raft_handle.clone()));
        let local = Arc::new(LocalShards::default());
        let local_oracle = groups.get(&ShardId::META).map(|group| {
            let replication = Arc::new(GroupReplication::new(group.clone()));
            Arc::new(LocalOracle::new(replication, group.engine(), clock.clone()))
        });
        let client = ClusterClient::new(ClusterClientParts {
            node: config.node,
            map: map.clone(),
            local: local.clone(),
            peers: peers.clone(),
            clock: clock.clone(),
            runtime: raft_handle.clone(),
            local_oracle: local_oracle.clone(),
        });
        let oracle = NodeOracle::start(local_oracle.clone(), Arc::downgrade(&client), &raft_handle);
        client.set_oracle(oracle.clone());
        for (id, group) in &groups {
            let replication = Arc::new(GroupReplication::new(group.clone()));
            let shard =
                Arc::new(txn::shard::Shard::new(replication, group.engine(), oracle.clone()));
            local.add(*id, LocalShard { shard, group: group.clone() });
        }

        let disks = Arc::new(Disks::new(config.node, host.clone()));
        let instance_cell: Arc<OnceLock<Arc<Instance>>> = Arc::default();
        let service = NodeService {
            node: config.node,
            cluster: cluster_id,
            local: local.clone(),
            client: client.clone(),
            oracle: local_oracle.clone(),
            disks: disks.clone(),
            instance: instance_cell.clone(),
        };
        let mut background = Vec::new();
        let server = tonic::transport::Server::builder()
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .add_service(host.service())
            .add_service(service.into_server());
        background.push(raft_handle.spawn(async move {
            if let Err(error) = server.serve_with_incoming(incoming(node_listener)).await {
                tracing::error!(%error, "the listener for nodes stopped");
                std::process::abort();
            }
        }));
        if is_new {
            bootstrap_groups(&config, &host, &map, &raft_handle).await?;
        }

        let view = ClusterView::new(
            &config,
            client.clone(),
            local.clone(),
            peers.clone(),
            lost.clone(),
            disks.clone(),
        );
        background.push(raft_handle.spawn(view.clone().watch()));
        let instance = Instance::new(InstanceConfig {
            client: client.clone(),
            cluster: view.clone(),
            clock: clock.clone(),
            node: config.node,
            version: crate::MYSQL_VERSION.to_string(),
            temp_dir: config.data.join("tmp"),
            local_infile: config.local_infile,
            variables: variables(&config),
        });
        let state = Arc::new(HttpState {
            node: config.node,
            local: local.clone(),
            host: host.clone(),
            cluster: view.clone(),
            lost,
            instance: instance_cell.clone(),
        });
        background.push(raft_handle.spawn(async move {
            if let Err(error) = axum::serve(http_listener, http::router(state)).await {
                tracing::error!(%error, "the HTTP listener stopped");
            }
        }));
        if let Some(oracle) = local_oracle {
            background.push(raft_handle.spawn(async move {
                loop {
                    oracle.keep_ahead().await;
                    tokio::time::sleep(ORACLE_PAUSE).await;
                }
            }));
        }
        await_bootstrap(&instance).await;
        // Nobody else may fail to set it: this is the only place that does.
        let _ = instance_cell.set(instance.clone());
        background.push(raft_handle.spawn(renew_catalog(instance.clone())));
        background.push(raft_handle.spawn(balancer::run(
            config.node,
            client.clone(),
            local.clone(),
            view.alive.clone(),
            disks.clone(),
        )));
        background.push(raft_handle.spawn(disks::shed_leaders(
            config.node,
            disks,
            local.clone(),
            view.alive.clone(),
        )));
        let gateway = start_gateway(&config, instance, clock)?;
        tracing::info!(node = config.node.0, sql = %config.listen_sql, "serving SQL");
        Ok(Node { gateway, host, raft_runtime: Some(raft_runtime), background, _lock: lock })
    }

    /// Stops in order: no new statements, running ones end, leaders go, engines flush.
    pub async fn stop(mut self) {
        self.gateway.stop(STOP_WAIT_MAX).await;
        for task in &self.background {
            task.abort();
        }
        self.host.shutdown().await;
        if let Some(runtime) = self.raft_runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn bind(address: std::net::SocketAddr, flag: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}; choose another with {flag}"))
}

fn open_folder(config: &Config) -> Result<folder::FolderLock, String> {
    std::fs::create_dir_all(&config.data)
        .map_err(|error| format!("data folder {}: {error}", config.data.display()))?;
    let lock = folder::FolderLock::acquire(&config.data).map_err(|error| error.to_string())?;
    let wanted = folder::NodeIdentity { cluster: config.cluster_id(), node: config.node };
    match folder::NodeIdentity::read(&config.data).map_err(|error| error.to_string())? {
        None => wanted.write(&config.data).map_err(|error| error.to_string())?,
        Some(found) if found == wanted => {}
        Some(found) => {
            return Err(format!(
                "{} belongs to node {} of another cluster or number; this is node {} of cluster '{}'; choose another --data folder",
                config.data.display(),
                found.node.0,
                config.node.0,
                config.cluster
            ));
        }
    }
    Ok(lock)
}

/// The shard map of an old node, or the initial one of a new cluster, and whether it is new.
fn shard_map(config: &Config) -> Result<(ShardMap, bool), String> {
    if let Some(map) = shard_map_file::read(&config.data)? {
        return Ok((map, false));
    }
    let nodes: Vec<NodeId> = config.nodes.keys().copied().collect();
    let plan = placement::initial(&nodes, config.shards, config.replication as usize)
        .map_err(|error| error.to_string())?;
    shard_map_file::write(&config.data, &plan.map)?;
    Ok((plan.map, true))
}

struct StartedReplicas {
    host: Arc<Host>,
    groups: BTreeMap<ShardId, Arc<dyn raft::replica_group::ReplicaGroup>>,
    /// Replicas that could not be started, and why.
    lost: BTreeMap<ShardId, String>,
}

async fn start_replicas(
    config: &Config,
    clock: SharedClock,
    map: &ShardMap,
    addresses: BTreeMap<NodeId, String>,
) -> Result<StartedReplicas, String> {
    let shared = RocksShared::new(RocksOptions {
        block_cache_bytes: config.block_cache_bytes,
        write_buffer_bytes: config.write_buffer_bytes,
        ..RocksOptions::default()
    })
    .map_err(|error| error.to_string())?;
    let usual = HostConfig::new(config.node, config.data.clone(), clock);
    let log = LogOptions { reserve_bytes: config.reserve_bytes, ..usual.log.clone() };
    let host = Host::open(
        HostConfig { log, ..usual },
        Arc::new(RocksFactory::new(shared)),
        Arc::new(FileDisk::open(&config.data.join("log")).map_err(|error| {
            format!("the Raft log in {}: {error}", config.data.join("log").display())
        })?),
        Arc::new(TcpDialer::new(addresses)),
    )
    .map_err(|error| error.to_string())?;
    let (mut groups, mut lost) = (BTreeMap::new(), BTreeMap::new());
    for info in map.shards() {
        let Some((replica, _)) = info.replicas.iter().find(|(_, node)| *node == config.node) else {
            continue;
        };
        match host.start_replica(info.id, *replica, Arc::new(BatchMachine)).await {
            Ok(group) => {
                groups.insert(info.id, group);
            }
            // The other replicas of this node are sound: it serves them, and says which one it lost.
            Err(error) => {
                tracing::error!(shard = %info.id, replica = %replica, %error, "replica not started");
                lost.insert(info.id, error.to_string());
            }
        }
    }
    if groups.is_empty() && !lost.is_empty() {
        let reasons: Vec<String> =
            lost.iter().map(|(shard, why)| format!("shard {}: {why}", shard.0)).collect();
        return Err(format!("no replica of this node can be started: {}", reasons.join("; ")));
    }
    Ok(StartedReplicas { host, groups, lost })
}

/// On a new cluster the first node of each shard's list starts its group, so leaders start spread.
async fn bootstrap_groups(
    config: &Config,
    host: &Arc<Host>,
    map: &Arc<ShardMap>,
    runtime: &tokio::runtime::Handle,
) -> Result<(), String> {
    let (node, host, map) = (config.node, host.clone(), map.clone());
    let start = async move {
        for info in map.shards() {
            if info.replicas.first().is_some_and(|(_, first)| *first == node) {
                host.bootstrap(info.id, info.replicas.clone())
                    .await
                    .map_err(|error| format!("starting shard {}: {error}", info.id.0))?;
            }
        }
        Ok(())
    };
    runtime.spawn(start).await.map_err(|error| error.to_string())?
}

/// Waits until the meta shard answers and the catalog is there.
async fn await_bootstrap(instance: &Arc<Instance>) {
    loop {
        match instance.bootstrap().await {
            Ok(()) => return,
            Err(error) => tracing::info!(%error, "waiting for the meta shard"),
        }
        tokio::time::sleep(BOOTSTRAP_RETRY_PAUSE).await;
    }
}

async fn renew_catalog(instance: Arc<Instance>) {
    loop {
        tokio::time::sleep(CATALOG_RENEW).await;
        if let Err(error) = instance.renew_catalog().await {
            // Statements renew it themselves once the lease has run out, and report the failure.
            tracing::debug!(%error, "catalog not renewed");
        }
    }
}

fn variables(config: &Config) -> BTreeMap<String, String> {
    let socket = config.socket.as_ref().map_or(String::new(), |path| path.display().to_string());
    BTreeMap::from([
        ("port".to_string(), config.listen_sql.port().to_string()),
        ("socket".to_string(), socket),
        ("datadir".to_string(), format!("{}/", config.data.display())),
    ])
}

fn start_gateway(
    config: &Config,
    instance: Arc<Instance>,
    clock: SharedClock,
) -> Result<GatewayHandle, String> {
    let tls = match &config.tls {
        Some((certificate, key)) => {
            TlsSource::Files { certificate: certificate.clone(), key: key.clone() }
        }
        None => TlsSource::SelfMade { names: Vec::new() },
    };
    let gateway = Gateway::start(GatewayConfig {
        tcp: config.listen_sql,
        unix: config.socket.clone(),
        tls,
        secrets: Some(config.data.join("secrets")),
        instance,
        node: config.node,
        clock,
        workers: 0,
        connections_max: base::limits::CONNECTIONS_MAX,
    });
    gateway.map_err(|error| {
        format!(
            "MySQL at {}: {error}; choose another with --listen-sql or --socket",
            config.listen_sql
        )
    })
}

/// The cluster as SQL sees it: SHOW SHARDS, SHOW NODES, announcements of the catalog.
pub struct ClusterView {
    node: NodeId,
    sql_address: String,
    client: Arc<ClusterClient>,
    local: Arc<LocalShards>,
    peers: Arc<Peers>,
    /// Replicas of this node that could not be started, and why.
    lost: Arc<BTreeMap<ShardId, String>>,
    /// How the nodes' disks do.
    disks: Arc<Disks>,
    /// Nodes that answered last time, this one included.
    pub alive: Arc<Mutex<BTreeSet<NodeId>>>,
}

impl ClusterView {
    fn new(
        config: &Config,
        client: Arc<ClusterClient>,
        local: Arc<LocalShards>,
        peers: Arc<Peers>,
        lost: Arc<BTreeMap<ShardId, String>>,
        disks: Arc<Disks>,
    ) -> Arc<ClusterView> {
        let alive = Arc::new(Mutex::new(BTreeSet::from([config.node])));
        let sql_address = config.listen_sql.to_string();
        let node = config.node;
        Arc::new(ClusterView { node, sql_address, client, local, peers, lost, disks, alive })
    }

    /// Asks every other node how it is, for ever.
    async fn watch(self: Arc<ClusterView>) {
        loop {
            let asked = self.peers.others().into_iter().map(|node| {
                let (peers, disks) = (self.peers.clone(), self.disks.clone());
                async move {
                    let request = pb::call::Request::Status(pb::StatusRequest {});
                    let answer = peers.call(node, request, STATUS_WAIT_MAX).await;
                    let Ok(pb::answer::Response::Status(status)) = answer else { return None };
                    disks.heard(node, &status.disk);
                    Some(node)
                }
            });
            let mut alive: BTreeSet<NodeId> =
                futures::future::join_all(asked).await.into_iter().flatten().collect();
            alive.insert(self.node);
            *self.alive.lock() = alive;
            tokio::time::sleep(STATUS_PAUSE).await;
        }
    }
}

#[async_trait::async_trait]
impl Cluster for ClusterView {
    async fn announce_catalog(&self, version: u64) -> bool {
        let asked = self.peers.others().into_iter().map(|node| {
            let request = pb::call::Request::AnnounceCatalog(pb::AnnounceCatalog { version });
            self.peers.call(node, request, CATALOG_LEASE)
        });
        futures::future::join_all(asked).await.into_iter().all(|answer| {
            matches!(answer, Ok(pb::answer::Response::CatalogLoaded(loaded)) if loaded.version >= version)
        })
    }

    fn shards(&self) -> Vec<ShardRow> {
        let map = self.client.map();
        let alive = self.alive.lock().clone();
        map.shards()
            .iter()
            .map(|info| {
                let status = self.local.get(info.id).map(|local| local.group.status());
                let replicas: Vec<NodeId> = info.replicas.iter().map(|(_, node)| *node).collect();
                let down: Vec<String> = replicas
                    .iter()
                    .filter(|node| !alive.contains(node))
                    .map(|node| node.0.to_string())
                    .collect();
                let leader = self.client.leader(info.id);
                let state = match (&status, leader) {
                    _ if self.lost.contains_key(&info.id) => {
                        format!(
                            "replica of node {} not started: {}",
                            self.node.0, self.lost[&info.id]
                        )
                    }
                    (Some(status), _) if status.role.starts_with("stopped") => status.role.clone(),
                    (_, None) => "no leader".to_string(),
                    _ if down.is_empty() => "ok".to_string(),
                    _ => format!("node {} does not answer", down.join(", ")),
                };
                ShardRow {
                    shard: info.id,
                    epoch: info.epoch,
                    slots: if info.id == ShardId::META {
                        SlotRange { start: 0, end: 0 }
                    } else {
                        info.slots
                    },
                    leader,
                    replicas,
                    state,
                    applied_index: status.as_ref().map_or(0, |status| status.applied_index),
                    term: status.as_ref().map_or(0, |status| status.term),
                }
            })
            .collect()
    }

    fn nodes(&self) -> Vec<NodeRow> {
        let map = self.client.map();
        let alive = self.alive.lock().clone();
        let mut nodes = self.peers.others();
        nodes.push(self.node);
        nodes.sort_unstable();
        nodes
            .into_iter()
            .map(|node| NodeRow {
                node,
                sql_address: if node == self.node { self.sql_address.clone() } else { "-".into() },
                peer_address: self.peers.address(node).unwrap_or_default(),
                state: match (alive.contains(&node), self.disks.text(node)) {
                    (false, _) => "does not answer".into(),
                    (true, None) => "up".into(),
                    (true, Some(disk)) => format!("up, disk {disk}"),
                },
                leaders: map
                    .shards()
                    .iter()
                    .filter(|info| self.client.leader(info.id) == Some(node))
                    .count() as u32,
                replicas: map
                    .shards()
                    .iter()
                    .filter(|info| info.replicas.iter().any(|(_, holder)| *holder == node))
                    .count() as u32,
            })
            .collect()
    }
}
