//! What this node knows of the cluster: the newest state it has seen, and where nodes listen.
//!
//! ```text
//! meta shard ──> some node ──(status exchange: "I have version 17")──> this node asks for it
//!                                                                        │ newer?
//!                          address book <── CLUSTER file (synced) <──────┘
//! ```
//!
//! Invariants:
//! 1. The version never goes back, not even over a restart: a state is written before anyone sees it.
//! 2. A state above [`FIRST_VERSION`] was committed by the meta shard. Only such a state may remove anything.

use crate::cluster_file::{self, ClusterFile};
use crate::peers::Peers;
use base::{NodeId, ShardId};
use parking_lot::{Mutex, RwLock};
use raft::transport::dialer::TcpDialer;
use shard_router::{ClusterState, NodeInfo, NodeState, ShardInfo, ShardMap};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Version of the state that nodes derive from their configuration; the meta shard's begin after it.
pub const FIRST_VERSION: u64 = 1;

/// This node's view of the cluster.
pub struct Directory {
    /// The data folder.
    data: PathBuf,
    /// This node as it wants to be known: addresses and incarnation. Its state is the cluster's business.
    me: (NodeId, NodeInfo),
    /// The newest state seen.
    state: RwLock<Arc<ClusterState>>,
    /// Held while a state is written.
    writing: Mutex<()>,
    /// Ways to other nodes.
    peers: Arc<Peers>,
    /// Lanes to other nodes.
    dialer: Arc<TcpDialer>,
    /// Version of `state`, for those who wait for the next one.
    version: watch::Sender<u64>,
}

impl Directory {
    /// A view that begins with `state`, which must be on disk.
    pub fn new(
        data: PathBuf,
        me: (NodeId, NodeInfo),
        state: ClusterState,
        peers: Arc<Peers>,
        dialer: Arc<TcpDialer>,
    ) -> Arc<Directory> {
        let version = watch::channel(state.version).0;
        let directory = Directory {
            data,
            me,
            state: RwLock::new(Arc::new(state)),
            writing: Mutex::new(()),
            peers,
            dialer,
            version,
        };
        directory.spread_addresses();
        Arc::new(directory)
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.me.0
    }

    /// This node as it wants to be known.
    pub fn myself(&self) -> &NodeInfo {
        &self.me.1
    }

    /// The newest state.
    pub fn state(&self) -> Arc<ClusterState> {
        self.state.read().clone()
    }

    /// The newest shard map.
    pub fn map(&self) -> Arc<ShardMap> {
        self.state.read().map.clone()
    }

    /// A shard's entry of the map.
    pub fn shard(&self, shard: ShardId) -> Option<ShardInfo> {
        self.state.read().map.shard(shard).cloned()
    }

    /// Told whenever the version grows.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Takes over a state if it is newer. Whether it was.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub fn adopt(&self, state: ClusterState) -> Result<bool, String> {
        let _writing = self.writing.lock();
        if state.version <= self.state.read().version {
            return Ok(false);
        }
        let file = ClusterFile { incarnation: self.me.1.incarnation, state: Some(state.clone()) };
        cluster_file::write(&self.data, &file)?;
        let version = state.version;
        *self.state.write() = Arc::new(state);
        self.spread_addresses();
        self.version.send_replace(version);
        Ok(true)
    }

    /// Tells calls and lanes where nodes listen.
    fn spread_addresses(&self) {
        let state = self.state();
        for (node, info) in &state.nodes {
            if info.state == NodeState::Left {
                self.peers.forget(*node);
            } else if *node != self.me.0 && !info.address.is_empty() {
                self.peers.set_address(*node, &info.address);
                self.dialer.set_address(*node, info.address.clone());
            }
        }
    }
}
