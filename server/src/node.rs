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
use crate::clock_offset::ClockOffset;
use crate::cluster_client::{ClusterClient, ClusterClientParts};
use crate::cluster_file::{self, ClusterFile};
use crate::cluster_view::ClusterView;
use crate::cluster_wire;
use crate::collector::{self, Collecting, CollectorCounters};
use crate::config::Config;
use crate::coordinator::{Coordinator, CoordinatorParts};
use crate::directory::{Directory, FIRST_VERSION};
use crate::disks::{self, Disks};
use crate::follower_reads::FollowerReads;
use crate::founding::{self, Begin, Founding, StartError};
use crate::future_partitions;
use crate::gossip::{self, Gossip};
use crate::grpc::{NodeService, Running};
use crate::http::{self, HttpState};
use crate::incoming::{incoming, node_server};
use crate::local_shards::LocalShards;
use crate::lock_handover::LockHandover;
use crate::lock_survey::LockSurvey;
use crate::map_refresh::MapRefresh;
use crate::members::Members;
use crate::meta_store::MetaStore;
use crate::oracle::NodeOracle;
use crate::peers::Peers;
use crate::record_collector;
use crate::replicas::{ChildNews, Replicas};
use crate::shard_merge::{Merger, MergerParts};
use crate::shard_split::{Splitter, SplitterParts};
use crate::twin;
use base::limits::{CATALOG_RENEW, INDEX_JOBS_WATCH, STATUS_WAIT_MAX};
use base::{ClusterId, NodeId, ReplicaId, Rng, ShardEpoch, SharedClock, SystemClock};
use engine::folder;
use engine::{RocksFactory, RocksOptions, RocksShared};
use gateway::listener::{Gateway, GatewayConfig, GatewayHandle};
use gateway::tls::TlsSource;
use proto::node as pb;
use raft::host::{Host, HostConfig};
use raft::log::LogOptions;
use raft::log::disk::FileDisk;
use raft::snapshot::transfers::SnapshotOptions;
use raft::transport::dialer::TcpDialer;
use shard_router::{ClusterState, NodeInfo, NodeState, ShardInfo};
use sql::instance::{Instance, InstanceConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use txn::ShardClient;

/// Pause between two tries to reach the meta shard at start.
const BOOTSTRAP_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often the oracle's leader looks at its window.
const ORACLE_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for running statements when the node stops.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// A running node.
pub struct Node {
    gateway: GatewayHandle,
    host: Arc<Host>,
    raft_runtime: RaftRuntime,
    background: Vec<tokio::task::JoinHandle<()>>,
    /// Why the node may not take part any more.
    refused: watch::Receiver<Option<String>>,
    /// Held so that no second process uses the folder.
    _lock: folder::FolderLock,
}

impl Node {
    /// Starts a node; returns when it answers SQL.
    ///
    /// # Errors
    /// One sentence for people: which part failed, on which file or address, and why.
    pub async fn start(mut config: Config) -> Result<Node, StartError> {
        let moved = config.clock_offset_file.clone().map(ClockOffset::new);
        let clock = moved.as_ref().map_or_else(SystemClock::shared, ClockOffset::clock);
        std::fs::create_dir_all(&config.data)
            .map_err(|error| format!("data folder {}: {error}", config.data.display()))?;
        let lock = folder::FolderLock::acquire(&config.data).map_err(|error| error.to_string())?;
        // Both listeners first: a taken port is noticed before anything else happens.
        let node_listener = bind(config.listen_node, "--listen-node").await?;
        let http_listener = bind(config.listen_http, "--listen-http").await?;
        let begin = founding::begin(&config)?;

        let (raft_runtime, raft_handle) = RaftRuntime::start()?;
        let mut background: Vec<_> =
            moved.into_iter().map(|moved| raft_handle.spawn(moved.follow())).collect();
        let begin = find_node(&mut config, begin, &raft_handle).await?;
        let log_gone = log_gone(&config, &begin);
        let me = NodeInfo {
            address: config.advertised_node(),
            sql_address: config.listen_sql.to_string(),
            incarnation: begin.incarnation,
            zone: config.zone.clone(),
            ..NodeInfo::default()
        };
        let addresses = config.nodes.clone();
        let cluster = ClusterId::new(config.cluster_id());
        if let Some(state) = &begin.state {
            say_number(&cluster, state);
        }
        let peers = Arc::new(Peers::new(
            config.node,
            cluster.clone(),
            addresses.clone(),
            raft_handle.clone(),
        ));
        let dialer = Arc::new(TcpDialer::new(addresses));
        let child_news = Arc::new(ChildNews::default());
        let host = {
            let (config, clock, dialer) = (config.clone(), clock.clone(), dialer.clone());
            let (cluster, news) = (cluster.clone(), child_news.clone());
            raft_handle
                .spawn(async move { open_host(&config, cluster, clock, dialer, news) })
                .await
                .map_err(|error| format!("opening the Raft log: {error}"))??
        };

        let process = Rng::from_entropy().next_u64().max(1);
        let founding = Founding::new(config.node, me.clone(), process);
        let running: Arc<OnceLock<Running>> = Arc::default();
        let instance_cell: Arc<OnceLock<Arc<Instance>>> = Arc::default();
        let service = NodeService {
            cluster: cluster.clone(),
            name: config.cluster_id(),
            founding: founding.clone(),
            running: running.clone(),
            instance: instance_cell.clone(),
        };
        background.push(serve_nodes(node_listener, &host, service, &raft_handle));
        let state = match begin.state {
            Some(state) => state,
            None => found(&config, &founding, &peers, begin.incarnation).await?,
        };
        say_number(&cluster, &state);
        write_identity(&config)?;
        if state.node_state(config.node) == NodeState::Left {
            return Err(StartError::Refused(gossip::left(config.node)));
        }

        let local = Arc::new(LocalShards::new(clock.clone()));
        let me = (config.node, me);
        let directory =
            Directory::new(config.data.clone(), me, state, peers.clone(), dialer.clone());
        // Before any replica runs: two processes under one number could both vote.
        refuse_twin(&config, &directory.state(), &peers, process).await?;
        let client = ClusterClient::new(ClusterClientParts {
            node: config.node,
            directory: directory.clone(),
            local: local.clone(),
            peers: peers.clone(),
            clock: clock.clone(),
            runtime: raft_handle.clone(),
            transaction_sizes: config.transaction_sizes,
        });
        let oracle = NodeOracle::start(local.clone(), Arc::downgrade(&client), &raft_handle);
        client.set_oracle(oracle.clone());
        let disks = Arc::new(Disks::new(config.node, host.clone()));
        let gossip = Gossip::new(
            directory.clone(),
            peers.clone(),
            local.clone(),
            disks.clone(),
            clock.clone(),
            client.read_points().clone(),
            process,
        );
        client.set_map_refresh(MapRefresh::new(
            directory.clone(),
            gossip.clone(),
            Arc::downgrade(&client),
            clock.clone(),
        ));
        let follower_reads = FollowerReads::new(
            config.node,
            local.clone(),
            peers.clone(),
            clock.clone(),
            Arc::downgrade(&client),
        );
        client.set_follower_reads(follower_reads.clone());
        let replicas = Replicas::new(
            host.clone(),
            child_news,
            local.clone(),
            directory.clone(),
            oracle.clone(),
            clock.clone(),
        );
        gossip.set_replicas(replicas.clone());
        let lock_survey = LockSurvey::new(
            config.node,
            client.clone(),
            local.clone(),
            peers.clone(),
            clock.clone(),
        );
        let lock_handover =
            LockHandover::new(local.clone(), peers.clone(), lock_survey.clone(), clock.clone());
        let members = Arc::new(Members {
            node: config.node,
            local: local.clone(),
            peers: peers.clone(),
            client: client.clone(),
            lock_handover: lock_handover.clone(),
        });
        let meta = MetaStore::new(client.clone());
        let splitter = Splitter::new(SplitterParts {
            meta: meta.clone(),
            directory: directory.clone(),
            gossip: gossip.clone(),
            local: local.clone(),
            peers: peers.clone(),
            members: members.clone(),
            clock: clock.clone(),
            bytes_max: config.split_bytes,
            cpu_max: config.split_cpu,
        });
        let merger = Merger::new(MergerParts {
            meta: meta.clone(),
            directory: directory.clone(),
            gossip: gossip.clone(),
            members: members.clone(),
            clock: clock.clone(),
        });
        let coordinator = Coordinator::new(CoordinatorParts {
            meta: meta.clone(),
            directory: directory.clone(),
            gossip: gossip.clone(),
            local: local.clone(),
            members: members.clone(),
            splitter: splitter.clone(),
            merger: merger.clone(),
            clock: clock.clone(),
            dead_after: config.dead_after,
        });
        let parts = Running {
            local: local.clone(),
            directory: directory.clone(),
            gossip: gossip.clone(),
            members: members.clone(),
            meta: meta.clone(),
            peers: peers.clone(),
            lock_survey: lock_survey.clone(),
            lock_handover: lock_handover.clone(),
            follower_reads: follower_reads.clone(),
        };
        // Nobody else may fail to set it: this is the only place that does.
        let _ = running.set(parts);
        {
            let (replicas, host, directory) = (replicas.clone(), host.clone(), directory.clone());
            let sound = log_gone.is_none();
            let start = async move {
                // Nothing is given up because a folder cannot be read: by a newer program, say.
                host.local_replicas().map_err(|error| error.to_string())?;
                replicas.start_known(log_gone).await;
                if sound { bootstrap_groups(&directory, &host).await } else { Ok(()) }
            };
            raft_handle
                .spawn(start)
                .await
                .map_err(|error| format!("starting replicas: {error}"))??;
        }
        background.push(raft_handle.spawn(gossip.clone().run()));
        background.push(raft_handle.spawn(replicas.clone().run()));
        background.push(raft_handle.spawn(coordinator.clone().run()));
        background.push(raft_handle.spawn(lock_survey.clone().run()));
        background.push(raft_handle.spawn(follower_reads.run()));
        background.push(raft_handle.spawn(keep_oracle_ahead(local.clone())));
        let collected = Arc::new(CollectorCounters::default());
        background.push(raft_handle.spawn(record_collector::run(
            client.clone(),
            local.clone(),
            clock.clone(),
            config.retention,
            collected.clone(),
        )));

        let view = Arc::new(ClusterView {
            client: client.clone(),
            local: local.clone(),
            replicas: replicas.clone(),
            peers: peers.clone(),
            directory: directory.clone(),
            gossip: gossip.clone(),
            meta,
            members,
            coordinator,
            splitter,
            merger,
            lock_survey: lock_survey.clone(),
        });
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
            cluster: view,
            replicas,
            instance: instance_cell.clone(),
            collected: collected.clone(),
        });
        background.push(raft_handle.spawn(async move {
            if let Err(error) = axum::serve(http_listener, http::router(state)).await {
                tracing::error!(%error, "the HTTP listener stopped");
            }
        }));
        let mut refused = gossip.refused();
        tokio::select! {
            () = await_bootstrap(&instance) => {}
            why = refused_why(&mut refused) => return Err(StartError::Refused(why)),
        }
        // As above.
        let _ = instance_cell.set(instance.clone());
        background.push(raft_handle.spawn(renew_catalog(instance.clone())));
        background.push(raft_handle.spawn(watch_index_jobs(instance.clone())));
        background.push(raft_handle.spawn(future_partitions::run(
            instance.clone(),
            local.clone(),
            clock.clone(),
        )));
        background.push(raft_handle.spawn(collector::run(Collecting {
            client: client.clone(),
            local: local.clone(),
            clock: clock.clone(),
            gossip: gossip.clone(),
            instance: instance.clone(),
            retention: config.retention,
            counters: collected,
        })));
        background.push(raft_handle.spawn(disks::shed_leaders(
            config.node,
            disks,
            local.clone(),
            gossip.clone(),
            lock_handover.clone(),
        )));
        let balancing = balancer::run(client, local, directory, gossip, lock_handover);
        background.push(raft_handle.spawn(balancing));
        let gateway = start_gateway(&config, instance, clock)?;
        tracing::info!(node = config.node.0, sql = %config.listen_sql, "serving SQL");
        Ok(Node { gateway, host, raft_runtime, background, refused, _lock: lock })
    }

    /// Resolves with the reason when this node may not take part in its cluster any more.
    pub async fn refused(&self) -> String {
        refused_why(&mut self.refused.clone()).await
    }

    /// Stops in order: no new statements, running ones end, leaders go, engines flush.
    pub async fn stop(self) {
        self.gateway.stop(STOP_WAIT_MAX).await;
        for task in &self.background {
            task.abort();
        }
        self.host.shutdown().await;
        drop(self.raft_runtime);
    }
}

/// The runtime of Raft and the calls between nodes. Nobody waits for its tasks when it ends: what must end
/// in order has ended before.
struct RaftRuntime(Option<tokio::runtime::Runtime>);

impl RaftRuntime {
    fn start() -> Result<(RaftRuntime, tokio::runtime::Handle), String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("raft")
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the Raft runtime: {error}"))?;
        let handle = runtime.handle().clone();
        Ok((RaftRuntime(Some(runtime)), handle))
    }
}

impl Drop for RaftRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits for the reason why a node may not take part.
async fn refused_why(refused: &mut watch::Receiver<Option<String>>) -> String {
    match refused.wait_for(|why| why.is_some()).await {
        Ok(why) => why.clone().unwrap_or_default(),
        // The talk between nodes has ended: the node is stopping for another reason.
        Err(_) => std::future::pending().await,
    }
}

/// Which node this is: as its folder says, as its flags say, or as a member of the cluster says.
async fn find_node(
    config: &mut Config,
    mut begin: Begin,
    runtime: &tokio::runtime::Handle,
) -> Result<Begin, String> {
    let of_folder = |state: &ClusterState| {
        let mut nodes = state.nodes.iter();
        nodes.find(|(_, info)| info.incarnation == begin.incarnation).map(|(node, _)| *node)
    };
    let known = begin.node.or_else(|| begin.state.as_ref().and_then(of_folder));
    let node = match (known, begin.state.is_some()) {
        (Some(node), _) => node,
        (None, false) if !config.join.is_empty() => {
            if config.node_given {
                return Err(
                    "the cluster gives a node that joins its number; leave --node-id away".into()
                );
            }
            let (cluster, address) = (ClusterId::new(config.cluster_id()), BTreeMap::new());
            let peers = Peers::new(NodeId(0), cluster, address, runtime.clone());
            let (node, state) = founding::join(config, begin.incarnation, &peers).await?;
            let (incarnation, state) = (begin.incarnation, Some(state));
            let file = ClusterFile { incarnation, state: state.clone() };
            cluster_file::write(&config.data, &file)?;
            tracing::info!(%node, "the cluster let this node in");
            begin.state = state;
            node
        }
        (None, _) => config.node,
    };
    if config.node_given && node != config.node {
        return Err(format!(
            "{} belongs to node {}, and --node-id says {}; leave --node-id away or choose another --data folder",
            config.data.display(),
            node.0,
            config.node.0
        ));
    }
    if node != config.node {
        // The list of nodes was made for node 1; the folder knows the others.
        let address = config.advertised_node();
        config.nodes = BTreeMap::from([(node, address)]);
        config.node = node;
    }
    Ok(begin)
}

/// Why the Raft log is not the one that this node's replicas wrote, if it is not. A cluster that is just
/// beginning has none yet.
fn log_gone(config: &Config, begin: &Begin) -> Option<String> {
    let state = begin.state.as_ref()?;
    let folder = config.data.join("log");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().count();
    let gone = entries == 0 && state.version > FIRST_VERSION;
    gone.then(|| format!("the Raft log in {} is gone", folder.display()))
}

/// Asks at the addresses that this node and the others know it by: if another process answers for this node there,
/// this one runs on a copy of its data folder. Who does not answer says nothing; the talk between nodes notices later
/// what was missed here.
async fn refuse_twin(
    config: &Config,
    state: &ClusterState,
    peers: &Peers,
    process: u64,
) -> Result<(), StartError> {
    let address_in = |state: &ClusterState| {
        state.nodes.get(&config.node).map(|info| info.address.clone()).unwrap_or_default()
    };
    let others = peers.others().into_iter().map(|node| async move {
        let request = pb::call::Request::Cluster(pb::ClusterRequest {});
        match peers.call(node, request, STATUS_WAIT_MAX).await {
            Ok(pb::answer::Response::Cluster(state)) => cluster_wire::state_from_pb(state).ok(),
            _ => None,
        }
    });
    let told = futures::future::join_all(others).await.into_iter().flatten();
    let mut addresses: BTreeSet<String> = told.map(|state| address_in(&state)).collect();
    addresses.extend([address_in(state), config.advertised_node()]);
    for address in addresses {
        if address.is_empty() {
            continue;
        }
        let request = pb::call::Request::Status(pb::StatusRequest::default());
        let answer = peers.call_address(&address, request, STATUS_WAIT_MAX).await;
        if let Ok(pb::answer::Response::Status(status)) = answer
            && status.node == config.node.0
            && ![0, process].contains(&status.process)
        {
            return Err(StartError::Refused(twin::sentence(config.node, &address)));
        }
    }
    Ok(())
}

/// A new cluster begins: waits for its other nodes, and keeps what was decided.
async fn found(
    config: &Config,
    founding: &Founding,
    peers: &Peers,
    incarnation: u64,
) -> Result<ClusterState, StartError> {
    let state = founding.decide(config, peers).await?;
    cluster_file::write(&config.data, &ClusterFile { incarnation, state: Some(state.clone()) })?;
    founding.decided(&state);
    Ok(state)
}

/// From now on links say the cluster's own number, which another cluster of the same name does not have.
fn say_number(cluster: &ClusterId, state: &ClusterState) {
    if state.id != 0 {
        cluster.set(state.id);
    }
}

fn write_identity(config: &Config) -> Result<(), String> {
    let wanted = folder::NodeIdentity { cluster: config.cluster_id(), node: config.node };
    match folder::NodeIdentity::read(&config.data).map_err(|error| error.to_string())? {
        None => wanted.write(&config.data).map_err(|error| error.to_string()),
        // `founding::begin` and `find_node` have compared it.
        Some(_) => Ok(()),
    }
}

/// The listener for nodes: Raft lanes and calls.
fn serve_nodes(
    listener: TcpListener,
    host: &Arc<Host>,
    service: NodeService,
    runtime: &tokio::runtime::Handle,
) -> tokio::task::JoinHandle<()> {
    let server = node_server().add_service(host.service()).add_service(service.into_server());
    runtime.spawn(async move {
        if let Err(error) = server.serve_with_incoming(incoming(listener)).await {
            tracing::error!(%error, "the listener for nodes stopped");
            std::process::abort();
        }
    })
}

/// Keeps the oracle's window ahead of the clock while this node leads the meta shard and timestamps are asked for.
async fn keep_oracle_ahead(local: Arc<LocalShards>) {
    loop {
        if let Some(oracle) = local.oracle() {
            oracle.keep_ahead().await;
        }
        tokio::time::sleep(ORACLE_PAUSE).await;
    }
}

async fn bind(address: std::net::SocketAddr, flag: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}; choose another with {flag}"))
}

fn open_host(
    config: &Config,
    cluster: ClusterId,
    clock: SharedClock,
    dialer: Arc<TcpDialer>,
    child_sink: Arc<ChildNews>,
) -> Result<Arc<Host>, String> {
    let shared = RocksShared::new(RocksOptions {
        block_cache_bytes: config.block_cache_bytes,
        write_buffer_bytes: config.write_buffer_bytes,
        ..RocksOptions::default()
    })
    .map_err(|error| error.to_string())?;
    let usual = HostConfig::new(config.node, config.data.clone(), clock);
    let log = LogOptions { reserve_bytes: config.reserve_bytes, ..usual.log.clone() };
    let snapshots = SnapshotOptions {
        bytes_per_second: config.rebuild_bytes_per_second,
        ..usual.snapshots.clone()
    };
    Host::open(
        HostConfig { cluster, log, snapshots, child_sink, ..usual },
        Arc::new(RocksFactory::new(shared)),
        Arc::new(FileDisk::open(&config.data.join("log")).map_err(|error| {
            format!("the Raft log in {}: {error}", config.data.join("log").display())
        })?),
        dialer,
    )
    .map_err(|error| error.to_string())
}

/// The first node of each shard's first list starts its group, so leaders start spread. A group that has begun
/// is not begun again.
async fn bootstrap_groups(directory: &Directory, host: &Arc<Host>) -> Result<(), String> {
    let state = directory.state();
    for info in state.map.shards() {
        let local = host.group(info.id).map(|group| group.replica());
        if !starts_group(info, directory.node(), local) {
            continue;
        }
        host.bootstrap(info.id, info.replicas.clone())
            .await
            .map_err(|error| format!("starting shard {}: {error}", info.id.0))?;
    }
    Ok(())
}

/// Whether this node starts a shard's group. `local` is the replica that runs here: one that could not be started is
/// lost, not new, and one that comes in its place is filled by the others.
fn starts_group(info: &ShardInfo, node: NodeId, local: Option<ReplicaId>) -> bool {
    let first = info.replicas.first().copied();
    info.epoch == ShardEpoch(1) && local.is_some_and(|local| first == Some((local, node)))
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

async fn watch_index_jobs(instance: Arc<Instance>) {
    loop {
        tokio::time::sleep(INDEX_JOBS_WATCH).await;
        if let Err(error) = instance.watch_index_jobs().await {
            tracing::debug!(%error, "jobs that change indexes were not looked after");
        }
    }
}

fn variables(config: &Config) -> BTreeMap<String, String> {
    let socket = config.socket.as_ref().map_or(String::new(), |path| path.display().to_string());
    BTreeMap::from([
        ("port".to_string(), config.listen_sql.port().to_string()),
        ("socket".to_string(), socket),
        ("datadir".to_string(), format!("{}/", config.data.display())),
        ("tdsql_sets".to_string(), config.tdsql_sets.to_string()),
        ("tdsql_cluster".to_string(), config.cluster.clone()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use base::{ShardId, SlotRange};

    #[test]
    fn only_the_first_replica_of_a_new_shard_starts_its_group() {
        let (one, two) = (NodeId(1), NodeId(2));
        let replicas = vec![(ReplicaId(13), two), (ReplicaId(14), one)];
        let info = |epoch| ShardInfo {
            id: ShardId(4),
            epoch,
            slots: SlotRange::ALL,
            replicas: replicas.clone(),
        };
        let new = info(ShardEpoch(1));
        assert!(starts_group(&new, two, Some(ReplicaId(13))));
        assert!(!starts_group(&new, one, Some(ReplicaId(14))), "the second of the list");
        assert!(!starts_group(&new, two, None), "lost");
        assert!(!starts_group(&new, two, Some(ReplicaId(32))), "it comes in place of the lost one");
        assert!(!starts_group(&info(ShardEpoch(2)), two, Some(ReplicaId(13))));
    }
}
