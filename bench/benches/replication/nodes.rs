//! Three nodes in this process, with real disks and real sockets.

use base::{NodeId, ReplicaId, ShardId, SharedClock, SystemClock, Timestamp};
use engine::{RocksFactory, RocksOptions, RocksShared};
use raft::FileDisk;
use raft::host::{Host, HostConfig};
use raft::snapshot::transfers::SnapshotOptions;
use raft::transport::dialer::TcpDialer;
use server::shard_state::BatchMachine;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// Longest wait for leaders.
const LEADERS_WAIT_MAX: Duration = Duration::from_secs(60);

/// Timestamps from a counter: the oracle's own cost is not measured here.
#[derive(Default)]
pub struct Counter(AtomicU64);

#[async_trait::async_trait]
impl txn::Oracle for Counter {
    async fn timestamps(&self, count: u32) -> txn::Result<Timestamp> {
        Ok(Timestamp(1 + self.0.fetch_add(count.into(), Ordering::Relaxed)))
    }
}

/// Three nodes with real disks and real sockets.
pub struct Nodes {
    /// By number, from 1.
    pub hosts: Vec<Arc<Host>>,
    _folders: Vec<tempfile::TempDir>,
}

impl Nodes {
    /// Starts them with empty shards of three replicas; returns when all have leaders.
    pub async fn start(shards: u64, snapshots: SnapshotOptions) -> Nodes {
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for node in 1..=3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            addresses.push((NodeId(node), listener.local_addr().expect("bound").to_string()));
            listeners.push(listener);
        }
        let clock: SharedClock = SystemClock::shared();
        let (mut hosts, mut folders) = (Vec::new(), Vec::new());
        for (node, listener) in (1..=3).map(NodeId).zip(listeners) {
            let folder = tempfile::tempdir().expect("a scratch folder");
            let options = RocksOptions { write_buffer_bytes: 64 << 20, ..RocksOptions::default() };
            let shared = RocksShared::new(options).expect("options");
            let mut config = HostConfig::new(node, folder.path(), clock.clone());
            config.snapshots = snapshots.clone();
            let host = Host::open(
                config,
                Arc::new(RocksFactory::new(shared)),
                Arc::new(FileDisk::open(&folder.path().join("log")).expect("a folder")),
                Arc::new(TcpDialer::new(addresses.clone())),
            )
            .expect("a new host");
            let server = server::incoming::node_server().add_service(host.service());
            tokio::spawn(server.serve_with_incoming(server::incoming::incoming(listener)));
            for shard in 1..=shards {
                let replica = ReplicaId(shard * 10 + node.0);
                let started = host.start_replica(ShardId(shard), replica, Arc::new(BatchMachine));
                started.await.expect("a new replica");
            }
            hosts.push(host);
            folders.push(folder);
        }
        for shard in 1..=shards {
            let members =
                (1..=3).map(|node| (ReplicaId(shard * 10 + node), NodeId(node))).collect();
            let first = &hosts[(shard % 3) as usize];
            first.bootstrap(ShardId(shard), members).await.expect("a new group");
        }
        let nodes = Nodes { hosts, _folders: folders };
        let deadline = clock.monotonic() + LEADERS_WAIT_MAX;
        for shard in 1..=shards {
            while nodes.leader(ShardId(shard)).is_none() {
                assert!(clock.monotonic() < deadline, "shard {shard} has no leader");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        nodes
    }

    /// The place in `hosts` of the node that leads a shard.
    pub fn leader(&self, shard: ShardId) -> Option<usize> {
        self.hosts
            .iter()
            .position(|host| host.group(shard).is_some_and(|group| group.serving_term().is_some()))
    }

    /// Ends them.
    pub async fn stop(self) {
        for host in &self.hosts {
            host.shutdown().await;
        }
    }
}
