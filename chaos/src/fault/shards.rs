//! Shards that are split by command, and replicas that move by command, while clients work.
//!
//! The changer asks a node, as an operator would: a random data shard is split at a random slot (`ALTER SHARD … SPLIT AT
//! SLOT …`) until there are [`SHARDS_MAX`], or a random replica moves to a node that has none of its shard
//! (`ALTER SHARD … MOVE REPLICA …`). What is refused is counted: another change may be under way.

use super::lab::Lab;
use super::view::META_SHARD;
use base::Rng;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Data shards beyond which nothing is split: each of them costs every node a replica.
pub const SHARDS_MAX: usize = 24;
/// Pause between two changes.
const CHANGE_PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for an answer.
const CHANGE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Who changes shards.
#[derive(Debug)]
pub struct Changer {
    task: JoinHandle<()>,
    tally: Arc<Mutex<Tally>>,
}

/// A change of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Two shards of one.
    Split {
        /// Which.
        shard: u64,
        /// First slot of the new one.
        at: u64,
    },
    /// A replica goes from one node to another.
    Move {
        /// Of which shard.
        shard: u64,
        /// The node that gives it away.
        from: u64,
        /// The node that gets it.
        to: u64,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Split { shard, at } => write!(f, "ALTER SHARD {shard} SPLIT AT SLOT {at}"),
            Change::Move { shard, from, to } => {
                write!(f, "ALTER SHARD {shard} MOVE REPLICA FROM {from} TO {to}")
            }
        }
    }
}

/// A data shard as SHOW SHARDS lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub shard: u64,
    /// Its first slot, and the one behind its last.
    pub slots: (u64, u64),
    /// Nodes with a replica.
    pub replicas: Vec<u64>,
}

impl Listed {
    /// The data shards among the rows of SHOW SHARDS.
    pub fn parse(rows: &[Row]) -> Vec<Listed> {
        let listed = |row: &Row| {
            let slot = |name: &str| row.get_opt::<u64, _>(name)?.ok();
            let shard = slot("Shard").filter(|shard| *shard != META_SHARD)?;
            let replicas: String = row.get_opt("Replicas")?.ok()?;
            let replicas =
                replicas.split(',').filter_map(|node| node.trim().parse().ok()).collect();
            Some(Listed { shard, slots: (slot("Slot_start")?, slot("Slot_end")?), replicas })
        };
        rows.iter().filter_map(listed).collect()
    }
}

impl Changer {
    /// Begins. The seed decides what is changed.
    pub fn start(lab: &Lab, seed: u64) -> Changer {
        let asked = (1..=lab.nodes()).map(|node| (node, lab.admin_opts(node))).collect();
        Changer::among(lab.runtime(), asked, seed)
    }

    /// Begins on any cluster: its nodes with how they are asked.
    pub fn among(runtime: &tokio::runtime::Runtime, nodes: Vec<(u64, Opts)>, seed: u64) -> Changer {
        let tally: Arc<Mutex<Tally>> = Arc::default();
        let work = go_on(nodes, Rng::seeded(seed), tally.clone());
        Changer { task: runtime.spawn(work), tally }
    }

    /// Ends; says what was changed.
    pub fn stop(self) -> String {
        self.task.abort();
        self.tally.lock().to_string()
    }
}

/// Makes one change after the other until somebody ends the task.
async fn go_on(nodes: Vec<(u64, Opts)>, mut rng: Rng, tally: Arc<Mutex<Tally>>) {
    loop {
        let changed = tokio::time::timeout(CHANGE_WAIT_MAX, one(&nodes, &mut rng)).await;
        let changed = changed.unwrap_or_else(|_| Err(format!("no answer in {CHANGE_WAIT_MAX:?}")));
        tally.lock().count(changed);
        tokio::time::sleep(CHANGE_PAUSE).await;
    }
}

/// Makes one change; which.
async fn one(nodes: &[(u64, Opts)], rng: &mut Rng) -> Result<Change, String> {
    let (_, opts) = rng.pick(nodes).cloned().ok_or("there are no nodes")?;
    let told = |error: mysql_async::Error| error.to_string();
    let mut conn = Conn::new(opts).await.map_err(told)?;
    let rows: Vec<Row> = conn.query("SHOW SHARDS").await.map_err(told)?;
    let numbers: Vec<u64> = nodes.iter().map(|(node, _)| *node).collect();
    let change =
        choose(&Listed::parse(&rows), &numbers, rng).ok_or("there is nothing to change")?;
    conn.query_drop(change.to_string()).await.map_err(told)?;
    conn.disconnect().await.map_err(told)?;
    Ok(change)
}

/// A change that makes sense: moves and splits are as likely where both are possible.
pub fn choose(shards: &[Listed], nodes: &[u64], rng: &mut Rng) -> Option<Change> {
    let shard = rng.pick(shards)?;
    let free: Vec<u64> =
        nodes.iter().copied().filter(|node| !shard.replicas.contains(node)).collect();
    let (first, end) = shard.slots;
    let splits = shards.len() < SHARDS_MAX && end > first + 1;
    if !free.is_empty() && (!splits || rng.chance(0.5)) {
        let (from, to) = (*rng.pick(&shard.replicas)?, *rng.pick(&free)?);
        return Some(Change::Move { shard: shard.shard, from, to });
    }
    splits.then(|| Change::Split { shard: shard.shard, at: first + 1 + rng.below(end - first - 1) })
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    splits: u64,
    moves: u64,
    /// Changes that were not made.
    not: u64,
    /// Why the last of those was not.
    why: String,
}

impl Tally {
    fn count(&mut self, changed: Result<Change, String>) {
        match changed {
            Ok(Change::Split { .. }) => self.splits += 1,
            Ok(Change::Move { .. }) => self.moves += 1,
            Err(why) => {
                self.not += 1;
                self.why = why;
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shards split, {} replicas told to move", self.splits, self.moves)?;
        match self.not {
            0 => Ok(()),
            not => write!(f, "; {not} changes refused, the last because: {}", self.why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn listed(shard: u64, slots: (u64, u64), replicas: &[u64]) -> Listed {
        Listed { shard, slots, replicas: replicas.to_vec() }
    }

    fn drawn(shards: &[Listed], nodes: &[u64]) -> BTreeSet<Change> {
        let mut rng = Rng::seeded(1);
        (0..300).filter_map(|_| choose(shards, nodes, &mut rng)).collect()
    }

    #[test]
    fn splits_are_inside_the_shard_and_moves_go_to_nodes_without_a_replica() {
        let shards = [listed(1, (0, 3), &[1, 2])];
        let (split, moved) =
            (|at| Change::Split { shard: 1, at }, |from, to| Change::Move { shard: 1, from, to });
        assert_eq!(drawn(&shards, &[1, 2]), BTreeSet::from([split(1), split(2)]));
        let all = BTreeSet::from([split(1), split(2), moved(1, 3), moved(2, 3)]);
        assert_eq!(drawn(&shards, &[1, 2, 3]), all);
        assert_eq!(drawn(&[listed(1, (7, 8), &[1])], &[1]), BTreeSet::new());
    }

    #[test]
    fn enough_shards_are_not_split() {
        let shards: Vec<Listed> =
            (0..SHARDS_MAX as u64).map(|n| listed(n + 1, (n * 10, n * 10 + 10), &[1])).collect();
        assert_eq!(drawn(&shards, &[1]), BTreeSet::new());
    }

    #[test]
    fn the_tally_tells_splits_moves_and_the_last_refusal() {
        let mut tally = Tally::default();
        tally.count(Ok(Change::Split { shard: 1, at: 2 }));
        tally.count(Ok(Change::Move { shard: 1, from: 2, to: 3 }));
        assert_eq!(tally.to_string(), "1 shards split, 1 replicas told to move");
        tally.count(Err("busy".into()));
        assert!(tally.to_string().ends_with("; 1 changes refused, the last because: busy"));
    }
}
