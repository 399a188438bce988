//! What a coordinator asks of shards. `server` implements it: directly when the leader is on this
//! node, over the peers' streams when it is not.

use crate::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use crate::lock_owners::LockOwners;
use crate::read_points::ReadPoints;
use crate::{Error, Result};
use base::{NodeId, ShardEpoch, ShardId, SlotRange, Timestamp, limits};
use bytes::Bytes;
use std::sync::Arc;

/// Where a key lives, as far as the local shard map knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The shard that owns the key's slot.
    pub shard: ShardId,
    /// The epoch under which that was true.
    pub epoch: ShardEpoch,
    /// The slots that it owned then. A shard that was split since answers `Moved`. The meta shard's say nothing.
    pub slots: SlotRange,
}

/// How large transactions may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionSizes {
    /// Bytes of buffered writes above which a transaction sends them to the shards and becomes a large one.
    pub buffered_max: usize,
    /// Bytes of keys and values of a whole transaction.
    pub total_max: u64,
}

impl Default for TransactionSizes {
    fn default() -> TransactionSizes {
        TransactionSizes {
            buffered_max: limits::TRANSACTION_BUFFER_BYTES,
            total_max: limits::LARGE_TRANSACTION_BYTES_DEFAULT,
        }
    }
}

/// The way from a transaction to shards. Implementations find leaders, retry `NotServing` within
/// `base::limits::ROUTE_WAIT_MAX`, and never retry a write that may have happened. They answer `Moved` once they know a
/// newer map than the route, or when that takes longer than `ROUTE_WAIT_MAX`; until then they try again.
#[async_trait::async_trait]
pub trait ShardClient: Send + Sync + 'static {
    /// The shard of an engine key: table id in its first four bytes, slot in its last two.
    fn locate(&self, key: &[u8]) -> Result<Route>;

    /// Every shard that may hold rows of user tables, in slot order.
    fn data_shards(&self) -> Result<Vec<Route>>;

    /// Whether reads of a shard are answered on this node, as far as it knows.
    fn is_here(&self, _route: Route) -> bool {
        false
    }

    /// Whether this node has a replica of a shard that does not lead, as far as it knows.
    fn follows(&self, _route: Route) -> bool {
        false
    }

    /// Runs a read on the shard's leader, under its leader lease.
    async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse>;

    /// Reads a page of a range if the shard's leader is on this node and there is nothing to wait for. `None` when it is not,
    /// when there is, or when the read fails: [`Self::read`] then knows what to do. Never waits.
    fn try_scan(&self, _route: Route, _request: &ReadRequest) -> Option<ReadResponse> {
        None
    }

    /// Another node that probably leads a shard, to which reads of several shards can go with one message
    /// ([`Self::try_scans_at`]). `None` when this node leads it, or nobody knows.
    fn probable_leader(&self, _shard: ShardId) -> Option<NodeId> {
        None
    }

    /// As [`Self::try_scan`] at another node, for several shards with one message: an answer or `None` for each request, in
    /// their order. At most `base::limits::SCAN_SHARDS_MAX`. Ends in the time of one call, and tries no other node.
    async fn try_scans_at(
        &self,
        _node: NodeId,
        requests: Vec<(Route, ReadRequest)>,
    ) -> Vec<Option<ReadResponse>> {
        vec![None; requests.len()]
    }

    /// Runs a read of keys or of a range, at a timestamp that was handed out, on a replica of the shard that does not lead:
    /// this node's own, else another one's.
    ///
    /// # Errors
    /// `NoFollower` when none answers it now; `KeyLocked`, `SnapshotTooOld` and `Moved` as from the leader, but a lock may be
    /// over there.
    async fn read_at_follower(&self, route: Route, _request: ReadRequest) -> Result<ReadResponse> {
        Err(Error::NoFollower { shard: route.shard, what: "it has only one replica".into() })
    }

    /// A timestamp that was handed out and at which this node's followers answer reads at once; `None` when there is none yet.
    fn closed_timestamp(&self) -> Option<Timestamp> {
        None
    }

    /// Reads of this node's sessions that followers have answered, since its start.
    fn follower_reads(&self) -> u64 {
        0
    }

    /// Runs a write on the shard's leader; `Ok` means a quorum has synced it.
    async fn write(&self, route: Route, request: WriteRequest) -> Result<WriteResponse>;

    /// Asks the shard's leader for row locks; the outcome of each key in their order.
    async fn lock(&self, route: Route, request: LockRequest) -> Result<Vec<LockedKey>>;

    /// Gives up an owner's row locks on a shard: those on some keys, or (without keys) all and what it waits for there.
    /// Tries once: a leader that does not hear it finds out by itself that the owner is gone.
    async fn release(&self, route: Route, owner: LockOwner, keys: Vec<Bytes>);

    /// Gives up a lock request whose answer nobody waits for. Tries `base::limits::LOCK_CANCEL_TRIES` times: a leader that
    /// does not hear it finds out by itself that the request is not under way any more.
    async fn cancel_lock(&self, route: Route, cancel: LockCancel);

    /// The transactions of this node that hold row locks.
    fn lock_owners(&self) -> &Arc<LockOwners>;

    /// A timestamp after every one that was handed out before this call began.
    async fn timestamp(&self) -> Result<Timestamp>;

    /// Where transactions of this node note what they read.
    fn read_points(&self) -> &Arc<ReadPoints>;

    /// Runs `work` to its end even when the caller goes away (second phase of commits, heartbeats).
    fn spawn(&self, work: futures::future::BoxFuture<'static, ()>);

    /// Milliseconds since 1970 by a clock that nodes share as far as they can, for the TTL of locks.
    fn unix_ms(&self) -> u64;

    /// How much of a transaction memory holds, and how large one may become.
    fn transaction_sizes(&self) -> TransactionSizes {
        TransactionSizes::default()
    }

    /// Waits. (Time goes through the implementation, so that a simulation owns it.)
    async fn pause(&self, pause: std::time::Duration);
}

impl Error {
    /// Whether another attempt may succeed and cannot do harm: nothing was executed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::KeyLocked { .. } | Error::NotServing { .. } | Error::Moved { .. } => true,
            Error::WriteConflict { .. }
            | Error::RowLocked { .. }
            | Error::LockWaitTimeout { .. }
            | Error::LockNotAvailable { .. }
            | Error::Deadlock { .. }
            | Error::Stale { .. }
            | Error::AlreadyExists { .. }
            | Error::RolledBack { .. }
            | Error::Forgotten { .. }
            | Error::NotUndoable
            | Error::NoFollower { .. }
            | Error::Unavailable { .. }
            | Error::OutcomeUnknown { .. }
            | Error::TooLarge { .. }
            | Error::DiskFull { .. }
            | Error::SnapshotTooOld { .. }
            | Error::ReadPointInFuture { .. }
            | Error::Engine { .. } => false,
        }
    }
}
