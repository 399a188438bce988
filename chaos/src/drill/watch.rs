//! Watches who leads which shard, from every node at once, so that a report can say when a failure was
//! noticed and when a new leader stood.

use crate::fault::lab::Lab;
use crate::fault::view::View;
use base::SharedClock;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Time between two questions to a node.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for an answer: a node that does not answer is asked again.
const ANSWER_WAIT_MAX: Duration = Duration::from_millis(500);
/// Changes that are kept.
const CHANGES_MAX: usize = 20_000;

/// Something that a node said for the first time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When, by the drill's clock.
    pub at: Duration,
    /// The shard.
    pub shard: u64,
    /// Its leader now; `None` when the node knows none.
    pub leader: Option<u64>,
    /// The node that said it.
    pub node: u64,
}

/// A running watch.
pub struct Watch {
    stop: Arc<AtomicBool>,
    changes: Arc<Mutex<Vec<Change>>>,
    /// What each node says at present: (node, shard) → leader.
    said: Said,
    tasks: Vec<JoinHandle<()>>,
}

type Said = Arc<Mutex<BTreeMap<(u64, u64), Option<u64>>>>;

impl Watch {
    /// Starts watching all nodes of a lab.
    pub fn start(lab: &Lab, clock: &SharedClock) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let changes = Arc::new(Mutex::new(Vec::new()));
        let said: Said = Arc::default();
        let tasks = (1..=lab.nodes())
            .map(|node| {
                let one = One {
                    node,
                    opts: lab.admin_opts(node),
                    clock: clock.clone(),
                    stop: stop.clone(),
                    changes: changes.clone(),
                    said: said.clone(),
                };
                lab.runtime().spawn(one.run())
            })
            .collect();
        Watch { stop, changes, said, tasks }
    }

    /// Shards that no node names a leader of at present.
    pub fn leaderless(&self) -> usize {
        let said = self.said.lock();
        let mut named: BTreeMap<u64, bool> = BTreeMap::new();
        for ((_, shard), leader) in said.iter() {
            *named.entry(*shard).or_default() |= leader.is_some();
        }
        named.values().filter(|named| !**named).count()
    }

    /// Ends it and returns what changed, in the order of time.
    pub async fn finish(self) -> Vec<Change> {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            // A task that panicked has seen nothing more; what it saw is kept.
            let _ = task.await;
        }
        let mut changes = std::mem::take(&mut *self.changes.lock());
        changes.sort_by_key(|change| change.at);
        changes
    }
}

/// The watch of one node.
struct One {
    node: u64,
    opts: Opts,
    clock: SharedClock,
    stop: Arc<AtomicBool>,
    changes: Arc<Mutex<Vec<Change>>>,
    said: Said,
}

impl One {
    async fn run(self) {
        let mut conn: Option<Conn> = None;
        while !self.stop.load(Ordering::Acquire) {
            tokio::time::sleep(PAUSE).await;
            let asked = tokio::time::timeout(ANSWER_WAIT_MAX, self.ask(conn.take())).await;
            match asked {
                Ok(Ok((rows, same))) => {
                    conn = Some(same);
                    self.note(&View::parse(&rows));
                }
                // A node that does not answer says nothing about leaders.
                Ok(Err(_)) | Err(_) => {
                    self.said.lock().retain(|(node, _), _| *node != self.node);
                }
            }
        }
    }

    async fn ask(&self, conn: Option<Conn>) -> mysql_async::Result<(Vec<Row>, Conn)> {
        let mut conn = match conn {
            Some(conn) => conn,
            None => Conn::new(self.opts.clone()).await?,
        };
        let rows = conn.query("SHOW SHARDS").await?;
        Ok((rows, conn))
    }

    fn note(&self, view: &View) {
        let at = self.clock.monotonic();
        let mut said = self.said.lock();
        let mut changes = self.changes.lock();
        for (shard, seen) in &view.shards {
            let before = said.insert((self.node, *shard), seen.leader);
            if before != Some(seen.leader) && changes.len() < CHANGES_MAX {
                changes.push(Change { at, shard: *shard, leader: seen.leader, node: self.node });
            }
        }
    }
}
