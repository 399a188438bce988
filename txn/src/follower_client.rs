//! The way of a transaction that only reads, at a timestamp, from replicas that do not lead.
//!
//! ```text
//! read at T ─► a follower ─┬─ answers
//!                          └─ cannot, or a lock is in the way ─┬─ Otherwise::Leader ─► the leader, at T as well
//!                                                              └─ Otherwise::Fail   ─► NoFollower; at a lock: again
//! ```
//!
//! All shards are read at one timestamp, whoever answers, so the transaction sees one snapshot. What has no timestamp to be
//! read at, and what lies in the meta shard, is read at the leader in any case.
//!
//! A lock that a follower shows may be over at the leader, and the record of its transaction gone. So it is never passed by
//! the word of a record that is missing: the leader is read instead, or the follower again until its lock is gone.
//!
//! Not here: which follower (`ShardClient::read_at_follower`), which timestamp (the session).

use crate::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use crate::lock_owners::LockOwners;
use crate::read_points::ReadPoints;
use crate::shard_client::{Route, ShardClient, TransactionSizes};
use crate::{Error, Result};
use base::{ShardId, Timestamp, limits};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What becomes of a read that no follower answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The leader answers it.
    Leader,
    /// It fails: the leader is to be spared.
    Fail {
        /// How old the read point may be, for the error.
        lag_max: Duration,
    },
}

/// A client whose reads go to followers.
pub struct FollowerClient {
    /// The way to leaders and followers.
    client: Arc<dyn ShardClient>,
    /// What becomes of reads that no follower answers.
    otherwise: Otherwise,
    /// Pauses because of locks so far.
    pauses: AtomicU32,
}

impl FollowerClient {
    /// A client over another one.
    pub fn new(client: Arc<dyn ShardClient>, otherwise: Otherwise) -> Arc<FollowerClient> {
        Arc::new(FollowerClient { client, otherwise, pauses: AtomicU32::new(0) })
    }

    /// What is left of a read that no follower has answered.
    async fn without_follower(
        &self,
        route: Route,
        request: ReadRequest,
        error: Error,
    ) -> Result<ReadResponse> {
        let Otherwise::Fail { lag_max } = self.otherwise else {
            return self.client.read(route, request).await;
        };
        let (key, start_ts, primary) = match error {
            Error::KeyLocked { key, start_ts, primary, .. } => (key, start_ts, primary),
            Error::NoFollower { shard, what } => {
                let what = format!("{what}; a lag of {} s is allowed", lag_max.as_secs());
                return Err(Error::NoFollower { shard, what });
            }
            error => return Err(error),
        };
        if self.pauses.fetch_add(1, Ordering::Relaxed) >= limits::FOLLOWER_LOCK_PAUSES_MAX {
            let what = "a transaction that is not over there has locked what is read".into();
            return Err(Error::NoFollower { shard: route.shard, what });
        }
        self.client.pause(limits::FOLLOWER_LOCK_PAUSE).await;
        // The reader finishes it at the leader and asks again. Not as one of a large transaction: of those a missing record
        // would say that the lock can be passed.
        Err(Error::KeyLocked { key, start_ts, primary, large: false })
    }
}

/// Whether a follower may answer a request at all.
fn is_for_followers(route: Route, request: &ReadRequest) -> bool {
    match request {
        ReadRequest::Get { ts, .. } | ReadRequest::Scan { ts, .. } => {
            route.shard != ShardId::META && *ts != Timestamp::MAX
        }
        ReadRequest::Changed { .. } | ReadRequest::OldestLock { .. } => false,
    }
}

#[async_trait::async_trait]
impl ShardClient for FollowerClient {
    fn locate(&self, key: &[u8]) -> Result<Route> {
        self.client.locate(key)
    }

    fn data_shards(&self) -> Result<Vec<Route>> {
        self.client.data_shards()
    }

    fn is_here(&self, route: Route) -> bool {
        self.client.follows(route)
    }

    async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        if !is_for_followers(route, &request) {
            return self.client.read(route, request).await;
        }
        match self.client.read_at_follower(route, request.clone()).await {
            Err(error @ (Error::NoFollower { .. } | Error::KeyLocked { .. })) => {
                self.without_follower(route, request, error).await
            }
            outcome => outcome,
        }
    }

    async fn write(&self, route: Route, request: WriteRequest) -> Result<WriteResponse> {
        self.client.write(route, request).await
    }

    async fn lock(&self, route: Route, request: LockRequest) -> Result<Vec<LockedKey>> {
        self.client.lock(route, request).await
    }

    async fn release(&self, route: Route, owner: LockOwner, keys: Vec<Bytes>) {
        self.client.release(route, owner, keys).await;
    }

    async fn cancel_lock(&self, route: Route, cancel: LockCancel) {
        self.client.cancel_lock(route, cancel).await;
    }

    fn lock_owners(&self) -> &Arc<LockOwners> {
        self.client.lock_owners()
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        self.client.timestamp().await
    }

    fn read_points(&self) -> &Arc<ReadPoints> {
        self.client.read_points()
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) {
        self.client.spawn(work);
    }

    fn unix_ms(&self) -> u64 {
        self.client.unix_ms()
    }

    fn transaction_sizes(&self) -> TransactionSizes {
        self.client.transaction_sizes()
    }

    async fn pause(&self, pause: Duration) {
        self.client.pause(pause).await;
    }
}
