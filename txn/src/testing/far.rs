//! A client on a node that leads no shard: a lock request goes on at its leader although nobody waits for the answer any
//! more, as it does on another node, and first pages of a scan are tried with one message.

use super::MemoryCluster;
use crate::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use crate::lock_owners::LockOwners;
use crate::read_points::ReadPoints;
use crate::{Error, Result, Route, ShardClient, TransactionSizes};
use base::{NodeId, ShardId, Timestamp};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The node that leads all shards.
const LEADER: NodeId = NodeId(2);

/// What becomes of cancels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancels {
    /// The leader hears them.
    Arrive,
    /// They are lost.
    Lost,
}

/// The client.
pub struct FarClient {
    cluster: Arc<MemoryCluster>,
    cancels: Cancels,
    /// Messages with reads.
    reads: AtomicUsize,
}

impl FarClient {
    /// A client of a cluster.
    pub fn new(cluster: Arc<MemoryCluster>, cancels: Cancels) -> Arc<FarClient> {
        Arc::new(FarClient { cluster, cancels, reads: AtomicUsize::new(0) })
    }

    /// How many messages with reads it has sent.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl ShardClient for FarClient {
    fn locate(&self, key: &[u8]) -> Result<Route> {
        self.cluster.locate(key)
    }

    fn data_shards(&self) -> Result<Vec<Route>> {
        self.cluster.data_shards()
    }

    async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.cluster.read(route, request).await
    }

    fn probable_leader(&self, _shard: ShardId) -> Option<NodeId> {
        Some(LEADER)
    }

    async fn try_scans_at(
        &self,
        _node: NodeId,
        requests: Vec<(Route, ReadRequest)>,
    ) -> Vec<Option<ReadResponse>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let answer =
            |(route, request): &(Route, ReadRequest)| self.cluster.try_scan(*route, request);
        requests.iter().map(answer).collect()
    }

    async fn write(&self, route: Route, request: WriteRequest) -> Result<WriteResponse> {
        self.cluster.write(route, request).await
    }

    async fn lock(&self, route: Route, request: LockRequest) -> Result<Vec<LockedKey>> {
        let cluster = self.cluster.clone();
        let answer = tokio::spawn(async move { cluster.lock(route, request).await });
        let shard = route.shard;
        let silence = |_| Err(Error::Unavailable { shard, what: "the leader is gone".into() });
        answer.await.unwrap_or_else(silence)
    }

    async fn release(&self, route: Route, owner: LockOwner, keys: Vec<Bytes>) {
        self.cluster.release(route, owner, keys).await;
    }

    async fn cancel_lock(&self, route: Route, cancel: LockCancel) {
        match self.cancels {
            Cancels::Arrive => self.cluster.cancel_lock(route, cancel).await,
            Cancels::Lost => {}
        }
    }

    fn lock_owners(&self) -> &Arc<LockOwners> {
        self.cluster.lock_owners()
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        self.cluster.timestamp().await
    }

    fn read_points(&self) -> &Arc<ReadPoints> {
        self.cluster.read_points()
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) {
        self.cluster.spawn(work);
    }

    fn unix_ms(&self) -> u64 {
        self.cluster.unix_ms()
    }

    fn transaction_sizes(&self) -> TransactionSizes {
        self.cluster.transaction_sizes()
    }

    async fn pause(&self, pause: Duration) {
        self.cluster.pause(pause).await;
    }
}
