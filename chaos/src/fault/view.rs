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
    /// `ok`, or what the node says is the matter.
    pub state: String,
}

impl View {
    /// Asks every node and puts the answers together; `None` when none answers. A node knows the leaders of
    /// shards that it holds or has talked to lately, so that one node alone may know less.
    pub fn of(lab: &Lab) -> Option<View> {
        (1..=lab.nodes()).filter_map(|node| View::from(lab, node)).reduce(View::with)
    }

    /// What two nodes know together: of each shard, the leader of the higher term.
    #[must_use]
    pub fn with(mut self, other: View) -> View {
        for (number, seen) in other.shards {
            let known = self.shards.entry(number).or_default();
            let newer = seen.term > known.term && seen.leader.is_some();
            if newer || known.leader.is_none() {
                *known = seen;
            }
        }
        self
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
            let state = row.get_opt("State")?.ok()?;
            Some((number, ShardView { leader, term: term.unwrap_or_default(), replicas, state }))
        };
        View { shards: rows.iter().filter_map(shard).collect() }
    }

    /// The leader of a shard.
    pub fn leader(&self, shard: u64) -> Option<u64> {
        self.shards.get(&shard).and_then(|shard| shard.leader)
    }

    /// Why not every shard of an earlier view is well and has as many replicas as it had then, if so.
    pub fn lacks_replicas(&self, before: &View) -> Option<String> {
        before.shards.iter().find_map(|(number, then)| {
            let Some(now) = self.shards.get(number) else {
                return Some(format!("shard {number} is not listed"));
            };
            // The rest of the state may name evidence that was set aside.
            let well = now.state == "ok" || now.state.starts_with("ok;");
            let (has, had) = (now.replicas.len(), then.replicas.len());
            (!well || has != had)
                .then(|| format!("shard {number} has {has} replicas of {had}: {}", now.state))
        })
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

    fn shard(leader: Option<u64>, term: u64, replicas: &[u64], state: &str) -> ShardView {
        ShardView { leader, term, replicas: replicas.to_vec(), state: state.into() }
    }

    #[test]
    fn a_shard_lacks_replicas_until_it_has_as_many_as_before_and_is_well() {
        let of = |replicas: &[u64], state: &str| View {
            shards: BTreeMap::from([(1, shard(Some(1), 1, replicas, state))]),
        };
        let before = of(&[1, 2, 3], "ok");
        let lack = |now: View| now.lacks_replicas(&before);
        assert_eq!(lack(of(&[1, 3, 4], "ok")), None);
        assert_eq!(lack(of(&[1, 3, 4], "ok; damaged files kept in set-aside/1-2")), None);
        assert!(lack(of(&[1, 3], "ok")).unwrap().contains("2 replicas of 3"));
        let moving = lack(of(&[1, 2, 3], "replica 9 comes to node 4 for 2: filling"));
        assert!(moving.unwrap().contains("filling"));
        assert!(lack(View::default()).unwrap().contains("not listed"));
    }

    #[test]
    fn two_nodes_know_more_than_one() {
        let view = |leader, term| View {
            shards: BTreeMap::from([(1, shard(leader, term, &[1, 2, 3], "ok"))]),
        };
        assert_eq!(view(None, 0).with(view(Some(2), 4)).leader(1), Some(2));
        assert_eq!(view(Some(2), 4).with(view(None, 0)).leader(1), Some(2));
        assert_eq!(view(Some(1), 3).with(view(Some(2), 4)).leader(1), Some(2));
        assert_eq!(view(Some(2), 4).with(view(None, 5)).leader(1), Some(2));
    }

    #[test]
    fn a_shard_without_majority_is_foreseen() {
        let shard = |replicas: &[u64]| shard(Some(1), 1, replicas, "ok");
        let view =
            View { shards: BTreeMap::from([(0, shard(&[1, 2, 3])), (1, shard(&[3, 4, 5]))]) };
        assert_eq!(view.without_quorum(&[3]), [0_u64; 0]);
        assert_eq!(view.without_quorum(&[1, 2]), [0]);
        assert_eq!(view.without_quorum(&[1, 2, 3, 4]), [0, 1]);
    }
}
