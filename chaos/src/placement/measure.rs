//! What came of a run: how even nodes are, how few moves there could have been, which rules are broken, and the hash.
//!
//! The lower bound counts what no plan can avoid: every replica that was on a node that is gone is made anew, every replica
//! that is missing is made, what nodes hold above their share leaves them, and what they lack comes. Shares are those of the
//! nodes among which the rules leave a choice: of one city. So evenness is measured within a city, too.
//!
//! Six nodes that hold 39 replicas cannot be more even than 6, 6, 6, 7, 7, 7. That is the least variation.

use super::report::MOVES_PER_SHARD_MAX;
use super::world::World;
use base::{NodeId, ShardId};
use shard_router::{NodeState, Policy, ShardInfo};
use std::collections::{BTreeMap, BTreeSet};

/// Part of the mean that counts as even by bytes: one in so many.
const SLACK_PART: u64 = 20;

/// How even figures of nodes are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Standard deviation by the mean, percent.
    pub variation: f64,
    /// Farthest from the mean, percent of it.
    pub deviation: f64,
}

/// How even these figures are.
pub fn spread(figures: &[u64]) -> Spread {
    let count = figures.len() as f64;
    let mean = figures.iter().map(|figure| *figure as f64).sum::<f64>() / count;
    if figures.is_empty() || mean == 0.0 {
        return Spread::default();
    }
    let off = || figures.iter().map(|figure| *figure as f64 - mean);
    let variance = off().map(|off| off * off).sum::<f64>() / count;
    let farthest = off().map(f64::abs).fold(0.0, f64::max);
    Spread { variation: 100.0 * variance.sqrt() / mean, deviation: 100.0 * farthest / mean }
}

/// The variation when so many nodes hold so many replicas as evenly as they can, percent of the mean.
fn divided(nodes: u64, replicas: u64) -> f64 {
    let more = (replicas % nodes.max(1)) as usize;
    let mut held = vec![replicas / nodes.max(1); nodes as usize];
    held.iter_mut().take(more).for_each(|held| *held += 1);
    spread(&held).variation
}

/// FNV-1a (draft-eastlake-fnv).
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl World<'_> {
    /// The nodes that take part: active, and they run.
    pub fn taking_part(&self) -> Vec<NodeId> {
        let active = self.state.nodes.iter().filter(|(_, info)| info.state == NodeState::Active);
        active.map(|(node, _)| *node).filter(|node| self.is_up(*node)).collect()
    }

    /// Replicas of each node that takes part.
    pub fn replicas(&self) -> BTreeMap<NodeId, u64> {
        let nodes = self.state.map.shards().iter().flat_map(|info| info.replicas.iter());
        self.sum(nodes.map(|(_, node)| (*node, 1)))
    }

    /// Shards that each node that takes part leads.
    pub fn leads(&self) -> BTreeMap<NodeId, u64> {
        self.sum(self.leaders.values().map(|node| (*node, 1)))
    }

    /// What each node that takes part has to hold: replicas, or bytes where planners go by them.
    pub fn loads(&self) -> BTreeMap<NodeId, u64> {
        let of = |info: &ShardInfo| self.weight(info.id);
        let shards = self.state.map.shards().iter();
        let held = shards.flat_map(|info| info.replicas.iter().map(move |at| (at.1, of(info))));
        self.sum(held)
    }

    /// Adds figures up, of nodes that take part.
    fn sum(&self, figures: impl Iterator<Item = (NodeId, u64)>) -> BTreeMap<NodeId, u64> {
        let nodes = self.taking_part().into_iter();
        let mut sums: BTreeMap<NodeId, u64> = nodes.map(|node| (node, 0)).collect();
        for (node, figure) in figures {
            if let Some(sum) = sums.get_mut(&node) {
                *sum += figure;
            }
        }
        sums
    }

    /// What a replica of a shard counts for.
    fn weight(&self, shard: ShardId) -> u64 {
        if self.by_bytes { self.size(shard) } else { 1 }
    }

    fn zone(&self, node: NodeId) -> &str {
        self.state.nodes.get(&node).map_or("", |info| info.zone.as_str())
    }

    fn city(&self, node: NodeId) -> &str {
        self.zone(node).split('/').next().unwrap_or_default()
    }

    /// How many zones these nodes are in.
    fn zones_of(&self, nodes: impl Iterator<Item = NodeId>) -> usize {
        let names = nodes.map(|node| self.zone(node)).filter(|name| !name.is_empty());
        names.collect::<BTreeSet<&str>>().len()
    }

    /// How many cities these nodes are in.
    fn cities_of(&self, nodes: impl Iterator<Item = NodeId>) -> usize {
        let names = nodes.map(|node| self.city(node)).filter(|name| !name.is_empty());
        names.collect::<BTreeSet<&str>>().len()
    }

    /// The placement policy that a shard is under, with its name.
    fn policy(&self, info: &ShardInfo) -> Option<(&str, &Policy)> {
        self.state.placement.of(info.slots)
    }

    /// How even nodes are, in the city where they are least so.
    pub fn evenness(&self) -> Spread {
        let mut cities: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (node, load) in self.loads() {
            cities.entry(self.city(node)).or_default().push(load);
        }
        let spreads = cities.values().map(|loads| spread(loads));
        spreads.fold(Spread::default(), |worst, spread| Spread {
            variation: worst.variation.max(spread.variation),
            deviation: worst.deviation.max(spread.deviation),
        })
    }

    /// The variation that is left when whole replicas are divided as well as they can be, in the city where that is most,
    /// percent of the mean. By bytes none: there is no such figure.
    pub fn variation_least(&self) -> f64 {
        if self.by_bytes {
            return 0.0;
        }
        let mut cities: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (node, load) in self.loads() {
            let (nodes, total) = cities.entry(self.city(node)).or_default();
            *nodes += 1;
            *total += load;
        }
        let left = cities.values().map(|(nodes, total)| divided(*nodes, *total));
        left.fold(0.0, f64::max)
    }

    /// Of the shards that moved more often than they should the one that did so most: how often, and how often it may. Each
    /// may as often as replicas of it had to be made, for their nodes are gone or forbidden or there were too few, and twice anyway.
    pub fn restless(&self) -> Option<(u32, u32)> {
        let part: BTreeSet<NodeId> = self.taking_part().into_iter().collect();
        let wanted = self.state.replication as usize;
        let may = |shard: &ShardId| {
            let before = self.unmoved.get(shard).map_or(&[][..], Vec::as_slice);
            let policy = self.state.map.shard(*shard).and_then(|info| self.policy(info));
            let stays = |node: &NodeId| {
                part.contains(node)
                    && policy.is_none_or(|(_, policy)| policy.allows(self.zone(*node)))
            };
            let stay = before.iter().filter(|&node| stays(node)).count();
            MOVES_PER_SHARD_MAX.max(wanted.saturating_sub(stay) as u32)
        };
        let moved = self.tally.by_shard.iter().map(|(shard, moves)| (*moves, may(shard)));
        moved.filter(|(moves, most)| moves > most).max_by_key(|(moves, most)| moves - most)
    }

    /// What had to be moved since the mark at least: replicas, or bytes where planners go by them.
    pub fn lower_bound(&self) -> u64 {
        let loads = self.loads();
        let mut stays: BTreeMap<NodeId, u64> = loads.keys().map(|node| (*node, 0)).collect();
        let (mut gone, mut held) = (0, 0);
        for (shard, nodes) in &self.unmoved {
            for node in nodes {
                let weight = self.weight(*shard);
                held += weight;
                match stays.get_mut(node) {
                    Some(stays) => *stays += weight,
                    None => gone += weight,
                }
            }
        }
        let shards = self.state.map.shards().iter();
        let all: u64 = shards.map(|info| self.weight(info.id) * info.replicas.len() as u64).sum();
        let missing = all.saturating_sub(held);
        let mut cities: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (node, load) in &loads {
            let (nodes, total) = cities.entry(self.city(*node)).or_default();
            *nodes += 1;
            *total += load;
        }
        let (mut excess, mut deficit) = (0, 0);
        for (node, stays) in &stays {
            let (nodes, total) = cities.get(self.city(*node)).copied().unwrap_or((1, 0));
            let mean = total / nodes;
            let (low, high) = match self.by_bytes {
                true => (mean - mean / SLACK_PART, mean + mean / SLACK_PART),
                false => (mean, total.div_ceil(nodes)),
            };
            excess += stays.saturating_sub(high);
            deficit += low.saturating_sub(*stays);
        }
        (gone + missing + excess).max(deficit)
    }

    /// What is not as it must be now, one sentence for each shard.
    pub fn wrong(&self) -> Vec<String> {
        let part: BTreeSet<NodeId> = self.taking_part().into_iter().collect();
        let reach = |policy: Option<&Policy>| {
            let may = |node: &NodeId| policy.is_none_or(|policy| policy.allows(self.zone(*node)));
            let able = || part.iter().copied().filter(may);
            (self.zones_of(able()), self.cities_of(able()))
        };
        let anywhere = reach(None);
        let policies = self.state.placement.policies.iter();
        let within: BTreeMap<&str, (usize, usize)> =
            policies.map(|(name, policy)| (name.as_str(), reach(Some(policy)))).collect();
        let wanted = self.state.replication as usize;
        let of = |info: &ShardInfo| -> Option<String> {
            let (id, nodes) = (info.id, || info.replicas.iter().map(|(_, node)| *node));
            if info.replicas.len() != wanted {
                return Some(format!("{id} has {} of {wanted} replicas", info.replicas.len()));
            }
            if let Some(node) = nodes().find(|node| !part.contains(node)) {
                return Some(format!("{id} has a replica on {node}, which takes no part"));
            }
            let policy = self.policy(info);
            if let Some((name, policy)) = policy
                && let Some(node) = nodes().find(|node| !policy.allows(self.zone(*node)))
            {
                return Some(format!("{id} has a replica on {node}, which policy {name} forbids"));
            }
            let reach = policy.and_then(|(name, _)| within.get(name)).unwrap_or(&anywhere);
            let (zones, cities) = *reach;
            if self.zones_of(nodes()) < zones.min(wanted) {
                return Some(format!("{id} has two replicas in one zone"));
            }
            if self.cities_of(nodes()) < cities.min(wanted) {
                return Some(format!("{id} is in fewer cities than it could be"));
            }
            let led = self.leaders.get(&id).is_some_and(|leader| info.is_on(*leader));
            (!led).then(|| format!("{id} has no leader"))
        };
        let mut wrong: Vec<String> = self.state.map.shards().iter().filter_map(of).collect();
        wrong.extend(
            self.state.jobs.keys().map(|shard| format!("the change of {shard} has no end")),
        );
        wrong
    }

    /// The hash of the shard map and of who leads what.
    pub fn hash(&self) -> u64 {
        let leaders = self.leaders.iter().flat_map(|(shard, node)| [shard.0, node.0]);
        let leaders = leaders.flat_map(u64::to_le_bytes);
        hash(self.state.map.encode().iter().copied().chain(leaders))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_the_mean() {
        assert_eq!(spread(&[10, 10, 10]), Spread::default());
        let two = spread(&[8, 12]);
        assert!((two.variation - 20.0).abs() < 1e-9 && (two.deviation - 20.0).abs() < 1e-9);
        assert_eq!(spread(&[]), Spread::default());
    }

    #[test]
    fn what_cannot_be_divided_leaves_a_variation() {
        assert!(divided(6, 36).abs() < 1e-9 && divided(0, 0).abs() < 1e-9);
        assert!((divided(2, 13) - 100.0 * 0.5 / 6.5).abs() < 1e-9);
        // A thousand nodes with 6,830 replicas, as after growth: the bar of 5 % is out of reach.
        let growth = divided(1000, 6830);
        assert!((5.4..5.6).contains(&growth), "{growth}");
    }
}
