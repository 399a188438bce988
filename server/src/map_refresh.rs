//! A newer shard map for requests that met a shard with other slots than they thought.
//!
//! ```text
//! request ── slots [0,8192) ──> shard that owns [0,4096) now: Moved
//!    ▲    └─> version in the meta shard newer? ─> load, adopt ─> map differs? ─> the transaction groups its keys again
//!    └── pause ── no: the split or merge is only just being written down, or came to nothing ┘
//! ```
//!
//! Invariants:
//! 1. One look at the meta shard at a time on a node, however many requests wait: who comes while one is under way
//!    shares the next one.
//! 2. Nobody waits for one longer than `MAP_WAIT_MAX`.

use crate::cluster_client::ClusterClient;
use crate::directory::Directory;
use crate::gossip::Gossip;
use crate::meta_store::MetaStore;
use base::limits::MAP_WAIT_MAX;
use base::{ShardId, SharedClock, SlotRange};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Where a node's newer shard maps come from.
pub struct MapRefresh {
    /// The newest state here.
    directory: Arc<Directory>,
    /// Takes a newer one over, and tells others.
    gossip: Arc<Gossip>,
    /// The way to the meta shard; it holds this in its turn.
    client: Weak<ClusterClient>,
    /// Time.
    clock: SharedClock,
    /// Held during a look: when the last one began, monotonic.
    looking: tokio::sync::Mutex<Option<Duration>>,
}

impl MapRefresh {
    /// Over the node's own parts.
    pub fn new(
        directory: Arc<Directory>,
        gossip: Arc<Gossip>,
        client: Weak<ClusterClient>,
        clock: SharedClock,
    ) -> Arc<MapRefresh> {
        let looking = tokio::sync::Mutex::new(None);
        Arc::new(MapRefresh { directory, gossip, client, clock, looking })
    }

    /// Whether the newest map gives a shard other slots than these, as far as can be found out in `MAP_WAIT_MAX`.
    pub async fn differs(&self, shard: ShardId, slots: SlotRange) -> bool {
        if self.says_other(shard, slots) {
            return true;
        }
        // What was not found out is asked again with the request's next attempt.
        let _ = tokio::time::timeout(MAP_WAIT_MAX, self.look()).await;
        self.says_other(shard, slots)
    }

    fn says_other(&self, shard: ShardId, slots: SlotRange) -> bool {
        self.directory.shard(shard).is_none_or(|info| info.slots != slots)
    }

    /// Takes the meta shard's state over, if it is newer. A look that began after this was called is shared.
    async fn look(&self) {
        let called = self.clock.monotonic();
        let mut last = self.looking.lock().await;
        if last.is_some_and(|began| began > called) {
            return;
        }
        *last = Some(self.clock.monotonic());
        let Some(client) = self.client.upgrade() else { return };
        let meta = MetaStore::new(client);
        match newer(&meta, self.directory.state().version).await {
            Ok(Some(state)) => self.gossip.adopt(state),
            Ok(None) => {}
            // Whoever waits looks again.
            Err(error) => {
                tracing::debug!(%error, "the meta shard did not say which map is the newest")
            }
        }
    }
}

/// The meta shard's state, if it is newer than a version.
async fn newer(meta: &MetaStore, version: u64) -> txn::Result<Option<shard_router::ClusterState>> {
    match meta.version().await? {
        Some(newest) if newest > version => meta.load().await,
        Some(_) | None => Ok(None),
    }
}
