//! Second replicas of shards in memory, which follow as far as a test lets them.
//!
//! ```text
//!  leader's log ─► catch-up ─► follower's engine        close: a promise of the leader, told to the follower at once
//! ```
//!
//! Not here: asking a leader when a read needs a promise (`server`); a follower that has none refuses.

use super::replication::MemoryFollower;
use super::{MemoryCluster, no_such_shard};
use crate::command::{ReadRequest, ReadResponse};
use crate::shard::Shard;
use crate::{Error, Result, Route, ShardClient};
use base::{ShardId, Timestamp};
use engine::Engine;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All of a cluster's.
#[derive(Default)]
pub(super) struct Followers {
    /// By their shards.
    all: Mutex<BTreeMap<ShardId, Follower>>,
    /// Reads that they have answered.
    reads: AtomicU64,
}

/// One shard's.
#[derive(Clone)]
struct Follower {
    /// What reads it.
    shard: Arc<Shard>,
    /// How far it is.
    replica: Arc<MemoryFollower>,
}

impl Followers {
    /// Reads that they have answered.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Up to when all of them answer.
    pub(super) fn closed(&self) -> Option<Timestamp> {
        let all = self.all.lock();
        let closed = all.values().map(|follower| follower.shard.closed()).min();
        closed.filter(|closed| *closed != Timestamp::ZERO)
    }

    /// Whether a shard has one.
    pub(super) fn has(&self, id: ShardId) -> bool {
        self.all.lock().contains_key(&id)
    }

    fn get(&self, id: ShardId) -> Result<Follower> {
        self.all.lock().get(&id).cloned().ok_or_else(|| no_such_shard(id))
    }
}

impl MemoryCluster {
    /// Gives a shard a second replica, which holds what the first one does now.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn follow(&self, id: ShardId) -> Result<()> {
        let leader = self.shard(id)?;
        let folder = PathBuf::from(format!("follower-{id}"));
        leader.engine.checkpoint(&folder)?;
        let engine: Arc<dyn Engine> = Arc::new(self.shards.disk.open_checkpoint(&folder)?);
        let replica = MemoryFollower::new(leader.replication.clone(), engine.clone());
        let (oracle, row_locks) = (self.oracle.clone(), self.row_locks.clone());
        let shard = Arc::new(Shard::new(replica.clone(), engine, oracle, row_locks));
        self.followers.all.lock().insert(id, Follower { shard, replica });
        Ok(())
    }

    /// Lets a shard's second replica apply what it lacks.
    ///
    /// # Errors
    /// When there is none.
    pub fn catch_up(&self, id: ShardId) -> Result<()> {
        self.followers.get(id)?.replica.catch_up()
    }

    /// Has the leader of a followed shard close a timestamp, and tells the second replica.
    ///
    /// # Errors
    /// As [`Shard::close`]; when the shard is not followed.
    pub async fn close(&self, id: ShardId, ts: Timestamp) -> Result<()> {
        let follower = self.followers.get(id)?;
        let closed = self.shard(id)?.shard.close(ts).await?;
        follower.shard.learn_closed(closed);
        Ok(())
    }

    /// Runs a read at the second replica of a shard.
    pub(super) fn read_followed(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        let shard = route.shard;
        let follower = self
            .followers
            .get(shard)
            .map_err(|_| Error::NoFollower { shard, what: "it has only one replica".into() })?;
        let answer = follower.shard.read_as_follower(route.slots, request);
        match answer {
            Ok(answer) => {
                self.followers.reads.fetch_add(1, Ordering::SeqCst);
                Ok(answer)
            }
            // What the map knows is all there is to know here.
            Err(Error::Moved { .. }) if self.is_current(route) => {
                let what = "it has not heard of the newest shard map".into();
                Err(Error::NoFollower { shard, what })
            }
            Err(error) => Err(error),
        }
    }

    /// A timestamp that is handed out now, closed at all followed shards.
    ///
    /// # Errors
    /// As [`MemoryCluster::close`].
    pub async fn close_all(&self) -> Result<Timestamp> {
        let ts = self.timestamp().await?;
        let followed: Vec<ShardId> = self.followers.all.lock().keys().copied().collect();
        for id in followed {
            self.close(id, ts).await?;
        }
        Ok(ts)
    }
}
