//! What the cluster says of itself while it is being broken: who holds and who leads which shard.

use super::lab::Lab;
use std::collections::BTreeMap;

/// The meta shard.
pub const META_SHARD: u64 = 0;

/// The shards as one node sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Shard by number.
    pub shards: BTreeMap<u64, ShardView>,
}

/// One shard as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardView {
    /// Its leader, if the node knows one.
    pub leader: Option<u64>,
    /// Its Raft term as far as the node knows; 0 when it does not.
    pub term: u64,
    /// Nodes with a replica.
    pub replicas: Vec<u64>,
}

impl View {
    /// Asks nodes in turn until one answers; `None` when none does.
    pub fn of(lab: &Lab) -> Option<View> {
        (1..=lab.nodes()).find_map(|node| View::from(lab, node))
    }

    /// Asks one node.
    pub fn from(lab: &Lab, node: u64) -> Option<View> {
        // A node that is down or held would cost the whole wait.
        let process = lab.process(node)?;
        if process.is_stopped() {
            return None;
        }
        Some(View::parse(&lab.ask(node, "SHOW SHARDS").ok()?))
    }

    /// Reads the rows of SHOW SHARDS; rows without the expected columns are left out.
    pub fn parse(rows: &[mysql_async::Row]) -> View {
        let shard = |row: &mysql_async::Row| {
            let number: u64 = row.get_opt("Shard")?.ok()?;
            let leader: Option<u64> = row.get_opt("Leader")?.ok()?;
            let term: Option<u64> = row.get_opt("Term")?.ok()?;
            let replicas: String = row.get_opt("Replicas")?.ok()?;
            let replicas =
                replicas.split(',').filter_map(|node| node.trim().parse().ok()).collect();
            Some((number, ShardView { leader, term: term.unwrap_or_default(), replicas }))
        };
        View { shards: rows.iter().filter_map(shard).collect() }
    }

    /// The leader of a shard.
    pub fn leader(&self, shard: u64) -> Option<u64> {
        self.shards.get(&shard).and_then(|shard| shard.leader)
    }

    /// The node that leads most shards.
    pub fn busiest(&self) -> Option<u64> {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for leader in self.shards.values().filter_map(|shard| shard.leader) {
            *counts.entry(leader).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(node, _)| node)
    }

    /// Shards without a known leader.
    pub fn leaderless(&self) -> usize {
        self.shards.values().filter(|shard| shard.leader.is_none()).count()
    }

    /// Shards that have no majority of replicas outside these nodes.
    pub fn without_quorum(&self, hit: &[u64]) -> Vec<u64> {
        let lost = |shard: &ShardView| {
            let left = shard.replicas.iter().filter(|node| !hit.contains(node)).count();
            left * 2 <= shard.replicas.len()
        };
        self.shards.iter().filter(|(_, shard)| lost(shard)).map(|(number, _)| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_without_majority_is_foreseen() {
        let shard =
            |replicas: &[u64]| ShardView { leader: Some(1), term: 1, replicas: replicas.to_vec() };
        let view =
            View { shards: BTreeMap::from([(0, shard(&[1, 2, 3])), (1, shard(&[3, 4, 5]))]) };
        assert_eq!(view.without_quorum(&[3]), [0_u64; 0]);
        assert_eq!(view.without_quorum(&[1, 2]), [0]);
        assert_eq!(view.without_quorum(&[1, 2, 3, 4]), [0, 1]);
    }
}
