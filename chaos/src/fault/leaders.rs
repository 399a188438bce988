//! Leaders that move by command, one after the other, while clients work.
//!
//! The mover asks a node, as an operator would (`ALTER SHARD … TRANSFER LEADER TO …`): a random shard that a target
//! leads, the meta shard included, to a random other replica. What is refused is counted; the database may have
//! its reasons, such as an election under way.

use super::lab::Lab;
use super::view::View;
use base::Rng;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Pause between two moves.
const MOVE_PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for one: the cluster's own limit, and a little more.
const MOVE_WAIT_MAX: Duration = Duration::from_secs(10);

const _: () = assert!(MOVE_WAIT_MAX.as_millis() > base::limits::LEADER_MOVE_WAIT_MAX.as_millis());

/// Who moves leaders.
#[derive(Debug)]
pub struct Mover {
    task: JoinHandle<()>,
    tally: Arc<Mutex<Tally>>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    /// Moves of data shards that were done.
    data: u64,
    /// Moves of the meta shard that were done.
    meta: u64,
    /// Moves that were not.
    not: u64,
    /// Why the last of those was not.
    why: String,
}

impl Mover {
    /// Begins: shards that these nodes lead get other leaders. The seed decides which.
    pub fn start(lab: &Lab, targets: &[u64], seed: u64) -> Mover {
        let asked: Vec<Opts> = (1..=lab.nodes()).map(|node| lab.admin_opts(node)).collect();
        let tally: Arc<Mutex<Tally>> = Arc::default();
        let work = go_on(asked, targets.to_vec(), Rng::seeded(seed), tally.clone());
        Mover { task: lab.runtime().spawn(work), tally }
    }

    /// Ends; says what was moved.
    pub fn stop(self) -> String {
        self.task.abort();
        self.tally.lock().to_string()
    }
}

/// Moves one leader after the other until somebody ends the task.
async fn go_on(asked: Vec<Opts>, targets: Vec<u64>, mut rng: Rng, tally: Arc<Mutex<Tally>>) {
    loop {
        let moved = tokio::time::timeout(MOVE_WAIT_MAX, one(&asked, &targets, &mut rng)).await;
        let moved = moved.unwrap_or_else(|_| Err(format!("no answer after {MOVE_WAIT_MAX:?}")));
        tally.lock().count(moved);
        tokio::time::sleep(MOVE_PAUSE).await;
    }
}

/// Moves one leader; which shard's.
async fn one(asked: &[Opts], targets: &[u64], rng: &mut Rng) -> Result<u64, String> {
    let node = rng.pick(asked).cloned().ok_or("the lab has no nodes")?;
    let told = |error: mysql_async::Error| error.to_string();
    let mut conn = Conn::new(node).await.map_err(told)?;
    let rows: Vec<Row> = conn.query("SHOW SHARDS").await.map_err(told)?;
    let (shard, to) = choose(&View::parse(&rows), targets, rng).ok_or("no target leads a shard")?;
    let statement = format!("ALTER SHARD {shard} TRANSFER LEADER TO {to}");
    conn.query_drop(statement).await.map_err(told)?;
    conn.disconnect().await.map_err(told)?;
    Ok(shard)
}

/// A shard that a target leads, and another node with a replica of it.
fn choose(view: &View, targets: &[u64], rng: &mut Rng) -> Option<(u64, u64)> {
    let led = view.shards.iter().filter_map(|(number, shard)| {
        let leader = shard.leader.filter(|leader| targets.contains(leader))?;
        let others: Vec<u64> =
            shard.replicas.iter().copied().filter(|node| *node != leader).collect();
        (!others.is_empty()).then_some((*number, others))
    });
    let led: Vec<(u64, Vec<u64>)> = led.collect();
    let (shard, others) = rng.pick(&led)?;
    Some((*shard, *rng.pick(others)?))
}

impl Tally {
    fn count(&mut self, moved: Result<u64, String>) {
        match moved {
            Ok(super::view::META_SHARD) => self.meta += 1,
            Ok(_) => self.data += 1,
            Err(why) => {
                self.not += 1;
                self.why = why;
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leaders moved: {} of data shards, {} of the meta shard", self.data, self.meta)?;
        match self.not {
            0 => Ok(()),
            not => write!(f, "; {not} not moved, the last because: {}", self.why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::view::ShardView;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn only_shards_of_targets_move_and_only_to_other_replicas() {
        let shard = |leader, replicas: &[u64]| ShardView {
            leader,
            term: 1,
            replicas: replicas.to_vec(),
            state: "ok".into(),
        };
        let shards = [
            (0, shard(Some(1), &[1, 2, 3])),
            (1, shard(Some(2), &[1, 2, 3])),
            (2, shard(None, &[1, 2, 3])),
            (3, shard(Some(1), &[1])),
        ];
        let view = View { shards: BTreeMap::from(shards) };
        let mut rng = Rng::seeded(1);
        let drawn: BTreeSet<_> =
            (0..200).filter_map(|_| choose(&view, &[1, 2, 3], &mut rng)).collect();
        assert_eq!(drawn, BTreeSet::from([(0, 2), (0, 3), (1, 1), (1, 3)]));
        let drawn: BTreeSet<_> = (0..200).filter_map(|_| choose(&view, &[2], &mut rng)).collect();
        assert_eq!(drawn, BTreeSet::from([(1, 1), (1, 3)]));
        assert_eq!(choose(&view, &[3], &mut rng), None);
    }

    #[test]
    fn the_tally_tells_meta_and_data_shards_apart_and_the_last_refusal() {
        let mut tally = Tally::default();
        [Ok(0), Ok(3), Ok(4)].into_iter().for_each(|moved| tally.count(moved));
        assert_eq!(tally.to_string(), "leaders moved: 2 of data shards, 1 of the meta shard");
        tally.count(Err("no leader".into()));
        assert!(tally.to_string().ends_with("; 1 not moved, the last because: no leader"));
    }
}
