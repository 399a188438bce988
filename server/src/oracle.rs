//! The timestamp oracle: the meta shard's leader hands out timestamps from memory, inside a window it
//! has replicated beforehand.
//!
//! ```text
//!  handed out          next        window_end (replicated)
//! ────────────────────────┼──────────────┤ · · · · · ·
//! ```
//!
//! A new leader starts at the end, so for a moment after a planned change the oracle is ahead of the wall clock: by the
//! window's length at most, however often the leader changes (`window`).
//!
//! Invariants:
//! 1. `next <= window_end`, and the window is replicated before a timestamp inside it is handed out.
//! 2. A new leader starts at the replicated window's end: it can never go back.
//! 3. Timestamps are handed out only while the leader lease holds, so two leaders never do at once.
//!
//! Nodes that do not lead the meta shard ask its leader, many requests in one call.

use crate::cluster_client::ClusterClient;
use crate::local_shards::LocalShards;
use base::limits::{ORACLE_WINDOW_MAX_MS, PROPOSE_WAIT_MAX};
use base::{ShardId, SharedClock, Timestamp};
use engine::{Engine, WriteBatch, mvcc};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};
use txn::replication::{ReplicateError, Replication};
use txn::{Error, Oracle, Result};
use window::Window;

mod window;

/// Engine key of the replicated window's end. `o` is reserved for the oracle (`docs/formats.md`).
const WINDOW_KEY: &[u8] = b"oracle";
/// Requests waiting for the meta shard's leader.
const REQUESTS_QUEUED_MAX: usize = 65_536;
/// Requests merged into one call.
const REQUESTS_MERGED_MAX: usize = 4096;
/// Calls under way at once.
const CALLS_MAX: usize = 4;

/// The oracle on a node that holds a replica of the meta shard.
pub struct LocalOracle {
    replication: Arc<dyn Replication>,
    engine: Arc<dyn Engine>,
    clock: SharedClock,
    window: Mutex<Window>,
    /// Held while a window is replicated, so that one at a time is.
    extending: tokio::sync::Mutex<()>,
}

impl LocalOracle {
    /// An oracle over the meta shard's local replica.
    pub fn new(
        replication: Arc<dyn Replication>,
        engine: Arc<dyn Engine>,
        clock: SharedClock,
    ) -> LocalOracle {
        LocalOracle {
            replication,
            engine,
            clock,
            window: Mutex::new(Window::default()),
            extending: tokio::sync::Mutex::new(()),
        }
    }

    /// Hands out timestamps from memory, when this replica leads and its window has room.
    fn take(&self, count: u32) -> Option<Timestamp> {
        let term = self.replication.serving_term()?;
        let mut window = self.window.lock();
        if window.term != term {
            return None;
        }
        let first = window.take(self.clock.unix_ms(), count)?;
        drop(window);
        // The lease may have run out between the two looks; a timestamp handed out then would be
        // unordered with those of the next leader.
        (self.replication.serving_term() == Some(term)).then_some(first)
    }

    /// Replicates a further window with room for `count` timestamps under the present term, unless somebody else has done
    /// enough meanwhile.
    async fn extend(
        &self,
        count: u32,
        is_enough: impl Fn(&Window, u64) -> bool + Send,
    ) -> Result<()> {
        let _one_at_a_time = self.extending.lock().await;
        let not_serving =
            || Error::NotServing { shard: ShardId::META, leader: self.replication.leader() };
        let term = match self.replication.serving_term() {
            Some(term) => term,
            None => self.replication.confirm_term().await.ok_or_else(not_serving)?,
        };
        let now_ms = self.clock.unix_ms();
        let end = {
            let mut window = self.window.lock();
            if window.term != term {
                let stored = self.stored_end()?;
                // No room yet: what is handed out waits for the renewal.
                (window.term, window.next, window.end) = (term, stored, stored);
            } else if is_enough(&window, now_ms) {
                return Ok(());
            }
            window.longer(now_ms, count)
        };
        let began = self.clock.monotonic();
        let mut batch = WriteBatch::new();
        batch.put(WINDOW_KEY, end.to_be_bytes().to_vec());
        let replicate = self.replication.replicate(term, mvcc::encode_batch(&batch));
        match tokio::time::timeout(PROPOSE_WAIT_MAX, replicate).await {
            Ok(Ok(())) => {}
            Ok(Err(ReplicateError::NotLeader)) => return Err(not_serving()),
            // A window that may or may not be replicated later can only be larger than what is used.
            Ok(Err(ReplicateError::Unknown)) | Err(_) => {
                let what = "its quorum does not answer".to_string();
                return Err(Error::Unavailable { shard: ShardId::META, what });
            }
        }
        let took = self.clock.monotonic().saturating_sub(began);
        let mut window = self.window.lock();
        if window.term == term {
            window.end = window.end.max(end);
            window.renewed_in(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn stored_end(&self) -> Result<u64> {
        window_end(self.engine.as_ref())
    }

    /// Keeps the window ahead of the clock while this replica leads and somebody asks, so that no request waits for it.
    pub async fn keep_ahead(&self) {
        let Some(term) = self.replication.serving_term() else { return };
        let is_low = {
            let window = self.window.lock();
            window.term != term || window.is_low(self.clock.unix_ms())
        };
        if is_low {
            // A failure here is seen again, and reported, by the next request.
            let _ = self.extend(0, |window, now_ms| !window.is_low(now_ms)).await;
        }
    }
}

#[async_trait::async_trait]
impl Oracle for LocalOracle {
    async fn timestamps(&self, count: u32) -> Result<Timestamp> {
        for _ in 0..3 {
            if let Some(first) = self.take(count) {
                return Ok(first);
            }
            self.extend(count, |window, now_ms| window.has_room(now_ms, count)).await?;
        }
        Err(Error::NotServing { shard: ShardId::META, leader: self.replication.leader() })
    }
}

/// Moves the window of a stopped meta replica beyond every timestamp that can have been handed out: also
/// beyond windows that other replicas took with them, which reach this far ahead of the clock at most.
/// Answers a timestamp that nobody has had and nobody will get.
///
/// # Errors
/// A sentence, when the window cannot be read.
pub fn skip_window(
    engine: &dyn Engine,
    now_unix_ms: u64,
    batch: &mut WriteBatch,
) -> std::result::Result<Timestamp, String> {
    let stored = window_end(engine).map_err(|error| error.to_string())?;
    let reach = Timestamp::from_unix_ms(now_unix_ms + 2 * ORACLE_WINDOW_MAX_MS).0;
    let point = stored.max(reach);
    batch.put(WINDOW_KEY, (point + 1).to_be_bytes().to_vec());
    Ok(Timestamp(point))
}

/// The end of the window that an engine holds; 0 when there is none.
fn window_end(engine: &dyn Engine) -> Result<u64> {
    let Some(bytes) = engine.get(WINDOW_KEY)? else { return Ok(0) };
    let bytes: [u8; 8] = bytes.as_ref().try_into().map_err(|_| Error::Engine {
        what: format!("the oracle's window has {} bytes instead of 8", bytes.len()),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

/// The oracle as every part of a node uses it: local when the meta shard's leader is here, else merged
/// calls to that leader.
pub struct NodeOracle {
    local: Arc<LocalShards>,
    requests: mpsc::Sender<(u32, oneshot::Sender<Result<Timestamp>>)>,
}

impl NodeOracle {
    /// Starts the task that merges requests to a remote leader. `client` finds that leader; it is weak
    /// because the client itself holds the oracle.
    pub fn start(
        local: Arc<LocalShards>,
        client: Weak<ClusterClient>,
        runtime: &tokio::runtime::Handle,
    ) -> Arc<NodeOracle> {
        let (requests, queue) = mpsc::channel(REQUESTS_QUEUED_MAX);
        runtime.spawn(merge(queue, client));
        Arc::new(NodeOracle { local, requests })
    }
}

#[async_trait::async_trait]
impl Oracle for NodeOracle {
    async fn timestamps(&self, count: u32) -> Result<Timestamp> {
        if let Some(first) = self.local.oracle().and_then(|local| local.take(count)) {
            return Ok(first);
        }
        let stopping =
            || Error::Unavailable { shard: ShardId::META, what: "this node is stopping".into() };
        let (answer, answered) = oneshot::channel();
        self.requests.send((count, answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

/// Merges waiting requests into calls, a few of which may be under way at once.
async fn merge(
    mut queue: mpsc::Receiver<(u32, oneshot::Sender<Result<Timestamp>>)>,
    client: Weak<ClusterClient>,
) {
    let permits = Arc::new(tokio::sync::Semaphore::new(CALLS_MAX));
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, REQUESTS_MERGED_MAX).await > 0 {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        while waiting.len() < REQUESTS_MERGED_MAX {
            let Ok(request) = queue.try_recv() else { break };
            waiting.push(request);
        }
        let Some(client) = client.upgrade() else { return };
        let requests = std::mem::take(&mut waiting);
        tokio::spawn(async move {
            let total: u32 = requests.iter().map(|(count, _)| count).sum();
            let outcome = client.timestamps_from_leader(total).await;
            let mut offset = 0;
            for (count, answer) in requests {
                let share = outcome.clone().map(|first| Timestamp(first.0 + offset));
                offset += u64::from(count);
                let _ = answer.send(share);
            }
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Clock;
    use base::limits::{ORACLE_IDLE_MS, ORACLE_STEP_MS, ORACLE_WINDOW_MS};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;
    use txn::testing::{MemoryCluster, MemoryReplication, Unconfirmed};

    const STARTED_MS: u64 = 1_767_323_045_678;
    /// Between two looks whether the window is low.
    const LOOK_MS: u64 = 100;

    /// Wall time as the test sets it, milliseconds.
    struct HandClock(AtomicU64);

    impl HandClock {
        fn pass(&self, ms: u64) {
            self.0.fetch_add(ms, Ordering::Relaxed);
        }
    }

    impl Clock for HandClock {
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn unix_micros(&self) -> u64 {
            self.0.load(Ordering::Relaxed) * 1000
        }
    }

    fn oracle() -> (Arc<HandClock>, Arc<MemoryReplication>, LocalOracle) {
        let clock = Arc::new(HandClock(AtomicU64::new(STARTED_MS)));
        let cluster = MemoryCluster::new(1, clock.clone()).expect("a cluster in memory");
        let meta = cluster.shard(ShardId::META).expect("it is there");
        let replication = meta.replication.clone();
        let oracle = LocalOracle::new(replication.clone(), meta.engine.clone(), clock.clone());
        (clock, replication, oracle)
    }

    #[tokio::test]
    async fn changes_of_the_leader_never_take_it_back_and_do_not_add_up() {
        let (clock, replication, oracle) = oracle();
        let mut last = oracle.timestamps(1).await.expect("it leads");
        assert_eq!(last.unix_ms(), STARTED_MS);
        for change in 1..=10 {
            replication.elect(Unconfirmed::Lost).expect("an engine in memory");
            let next = oracle.timestamps(1).await.expect("it leads");
            assert!(next > last);
            last = next;
            let ahead_ms = last.unix_ms() - clock.unix_ms();
            assert!(ahead_ms <= ORACLE_WINDOW_MS + change * ORACLE_STEP_MS, "{ahead_ms} ms");
        }
        clock.pass(2 * ORACLE_WINDOW_MS);
        let next = oracle.timestamps(1).await.expect("it leads");
        assert_eq!(next.unix_ms(), clock.unix_ms(), "it follows the clock again");
    }

    #[tokio::test]
    async fn no_request_waits_while_it_is_used_and_nothing_is_written_while_it_is_not() {
        let (clock, replication, oracle) = oracle();
        oracle.timestamps(1).await.expect("it leads");
        let (looks, before) = (600, replication.entries());
        for _ in 0..looks {
            clock.pass(LOOK_MS);
            assert!(oracle.take(1).is_some(), "the window has room");
            oracle.keep_ahead().await;
        }
        let renewals = replication.entries() - before;
        assert!(renewals <= looks * LOOK_MS / (ORACLE_WINDOW_MS / 2), "{renewals} renewals");
        clock.pass(ORACLE_IDLE_MS + 1);
        let before = replication.entries();
        for _ in 0..looks {
            clock.pass(LOOK_MS);
            oracle.keep_ahead().await;
        }
        assert_eq!(replication.entries(), before);
        let next = oracle.timestamps(1).await.expect("it leads");
        assert_eq!(next.unix_ms(), clock.unix_ms());
    }
}
