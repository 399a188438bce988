//! Calls to other nodes: one long-lived stream per peer, many calls per frame, and a way around a broken one.
//!
//! ```text
//! call() ─┐                       ┌─> answers matched by seq ─> call() returns
//! call() ─┼─> queue ─> frames ────┤
//! call() ─┘   (one task per peer) └─< AnswerFrame stream
//!
//! call_any_way():   this node ──✕── target        the link is known to be down
//!                       └─> third node ─┘         one hop, never more
//! ```
//!
//! Invariants:
//! 1. A call fails as `NotSent` only when nobody has executed it: trying elsewhere is safe.
//! 2. A call whose stream broke fails as `Lost`: the peer may have executed it.
//! 3. The queue is bounded; a full one fails the call as `NotSent`.
//! 4. While a link is down, calls fail at once; its task goes on trying to connect.
//! 5. A call that is passed on is not passed on again.

mod link;
mod relay;

use link::{Link, LinkState, Queued};

use base::limits::LANE_QUEUE_MAX;
use base::{ClusterId, NodeId};
use parking_lot::{Mutex, RwLock};
use proto::node as pb;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// Nothing left this node.
    NotSent(String),
    /// The stream broke, or no answer came in time: it may have been executed.
    Lost(String),
}

/// The way to one node.
#[derive(Clone)]
struct Way {
    /// Calls for its task.
    queue: mpsc::Sender<Queued>,
    /// Whether the link stands.
    state: Arc<LinkState>,
}

/// The ways to all other nodes.
pub struct Peers {
    /// This node.
    node: NodeId,
    /// The cluster, checked by the receiver.
    cluster: ClusterId,
    /// Where each node listens for nodes: `host:port`.
    addresses: RwLock<BTreeMap<NodeId, String>>,
    /// One way per peer that was ever called.
    ways: Mutex<BTreeMap<NodeId, Way>>,
    /// Where the peers' tasks run.
    runtime: tokio::runtime::Handle,
}

impl Peers {
    /// Ways to the nodes of the address book, which may grow.
    pub fn new(
        node: NodeId,
        cluster: ClusterId,
        addresses: BTreeMap<NodeId, String>,
        runtime: tokio::runtime::Handle,
    ) -> Peers {
        let (addresses, ways) = (RwLock::new(addresses), Mutex::new(BTreeMap::new()));
        Peers { node, cluster, addresses, ways, runtime }
    }

    /// Every node of the address book but this one.
    pub fn others(&self) -> Vec<NodeId> {
        self.addresses.read().keys().copied().filter(|node| *node != self.node).collect()
    }

    /// Says where a node listens for nodes; a link to its former address ends.
    pub fn set_address(&self, node: NodeId, address: &str) {
        let mut addresses = self.addresses.write();
        if addresses.get(&node).is_none_or(|known| known != address) {
            addresses.insert(node, address.to_string());
            drop(addresses);
            // The link's task ends with its queue.
            self.ways.lock().remove(&node);
        }
    }

    /// Forgets a node that has left.
    pub fn forget(&self, node: NodeId) {
        self.addresses.write().remove(&node);
        self.ways.lock().remove(&node);
    }

    /// Asks whoever listens at an address, over a link of its own: for a node that knows nobody yet.
    pub async fn call_address(
        &self,
        address: &str,
        request: pb::call::Request,
        wait_max: Duration,
    ) -> Result<pb::answer::Response, CallError> {
        let (sender, receiver) = mpsc::channel(1);
        let (from, cluster) = (self.node, self.cluster.clone());
        let state = Arc::new(LinkState::default());
        let link = Link { from, cluster, to: NodeId(0), address: address.to_string(), state };
        let task = self.runtime.spawn(link.run(receiver));
        let answer = call_through(&sender, address, request, wait_max).await;
        task.abort();
        answer
    }

    /// Where a node listens for nodes.
    pub fn address(&self, node: NodeId) -> Option<String> {
        self.addresses.read().get(&node).cloned()
    }

    /// Sends a call to `node` over this node's own link and waits for its answer, at most `wait_max`.
    pub async fn call(
        &self,
        node: NodeId,
        request: pb::call::Request,
        wait_max: Duration,
    ) -> Result<pb::answer::Response, CallError> {
        let way = self.way(node)?;
        if let Some(why) = way.state.why_down() {
            return Err(CallError::NotSent(why));
        }
        call_through(&way.queue, &format!("node {node}"), request, wait_max).await
    }

    fn way(&self, node: NodeId) -> Result<Way, CallError> {
        let mut ways = self.ways.lock();
        if let Some(way) = ways.get(&node) {
            return Ok(way.clone());
        }
        let address = self
            .address(node)
            .ok_or_else(|| CallError::NotSent(format!("node {node} has no known address")))?;
        let (queue, receiver) = mpsc::channel(LANE_QUEUE_MAX);
        let state = Arc::new(LinkState::default());
        let (from, cluster) = (self.node, self.cluster.clone());
        let link = Link { from, cluster, to: node, address, state: state.clone() };
        self.runtime.spawn(link.run(receiver));
        let way = Way { queue, state };
        ways.insert(node, way.clone());
        Ok(way)
    }
}

/// Queues a call and waits for its answer.
async fn call_through(
    queue: &mpsc::Sender<Queued>,
    whom: &str,
    request: pb::call::Request,
    wait_max: Duration,
) -> Result<pb::answer::Response, CallError> {
    let (answer, answered) = oneshot::channel();
    queue
        .try_send((request, answer))
        .map_err(|_| CallError::NotSent(format!("too many calls wait for {whom}")))?;
    match tokio::time::timeout(wait_max, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(CallError::Lost(format!("the link to {whom} went down"))),
        Err(_) => Err(CallError::Lost(format!("{whom} did not answer in time"))),
    }
}

/// An error and its causes in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
