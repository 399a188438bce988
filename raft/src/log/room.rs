//! Room for appends in flight: a byte budget for the node, and in it one for each replica.
//!
//! An append waits until both have room; that is the back-pressure on replication. A replica's own budget is
//! asked first, so a replica with much to write waits on itself and leaves the node's to the others.

use super::record::Key;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that one permit stands for.
const PERMIT_BYTES: usize = 1024;

/// The budgets.
pub struct Room {
    /// All replicas together.
    node: Arc<Semaphore>,
    /// Permits of `node`.
    node_max: usize,
    /// Each replica.
    replicas: Mutex<BTreeMap<Key, Arc<Semaphore>>>,
    /// Permits of each replica.
    replica_max: usize,
}

/// Bytes in flight; dropping it gives them back.
pub struct Share {
    /// Of the replica's budget.
    _replica: OwnedSemaphorePermit,
    /// Of the node's.
    _node: OwnedSemaphorePermit,
}

impl Room {
    /// Budgets of so many bytes.
    pub fn new(node_bytes: usize, replica_bytes: usize) -> Room {
        let permits = |bytes: usize| (bytes / PERMIT_BYTES).clamp(1, u32::MAX as usize);
        Room {
            node: Arc::new(Semaphore::new(permits(node_bytes))),
            node_max: permits(node_bytes),
            replicas: Mutex::default(),
            replica_max: permits(replica_bytes),
        }
    }

    /// Waits for room. What is larger than a budget takes all of it.
    ///
    /// # Errors
    /// When the log is closed.
    pub async fn take(&self, key: Key, bytes: usize) -> io::Result<Share> {
        let wanted = bytes / PERMIT_BYTES + 1;
        let replica = self
            .replicas
            .lock()
            .entry(key)
            .or_insert_with(|| Arc::new(Semaphore::new(self.replica_max)))
            .clone();
        let closed = |_| io::Error::other("the Raft log is closed");
        let share = replica.acquire_many_owned(wanted.min(self.replica_max) as u32).await;
        let _replica = share.map_err(closed)?;
        let node = self.node.clone();
        let share = node.acquire_many_owned(wanted.min(self.node_max) as u32).await;
        Ok(Share { _replica, _node: share.map_err(closed)? })
    }

    /// Forgets a replica that is gone.
    pub fn forget(&self, key: &Key) {
        self.replicas.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{ReplicaId, ShardId};
    use futures::FutureExt;

    const A: Key = (ShardId(1), ReplicaId(1));
    const B: Key = (ShardId(2), ReplicaId(2));

    #[tokio::test]
    async fn a_busy_replica_waits_on_itself_and_not_on_the_node() {
        let room = Room::new(64 << 10, 16 << 10);
        let first = room.take(A, 15 << 10).await.unwrap();
        assert!(room.take(A, 1 << 10).now_or_never().is_none());
        let _others = room.take(B, 10 << 10).now_or_never().unwrap().unwrap();
        drop(first);
        assert!(room.take(A, 1 << 10).now_or_never().is_some());
    }

    #[tokio::test]
    async fn all_replicas_share_the_nodes_budget() {
        let room = Room::new(16 << 10, 16 << 10);
        let first = room.take(A, 10 << 10).await.unwrap();
        assert!(room.take(B, 10 << 10).now_or_never().is_none());
        drop(first);
        assert!(room.take(B, 10 << 10).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_is_larger_than_the_budget_passes_alone() {
        let room = Room::new(16 << 10, 8 << 10);
        let _all = room.take(A, 1 << 20).now_or_never().unwrap().unwrap();
        assert!(room.take(A, 1).now_or_never().is_none());
    }
}
