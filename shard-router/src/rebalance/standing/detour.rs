//! What evens nodes out by weight when no plain move does: nodes that hold too much have no replica that fits into what the
//! others lack, or those have a replica of each of its shards already.
//!
//! ```text
//! over a third node          n1 ██████ ─> n2 ████ ─> n3 ███       n1 gives to n2, which is near the mean; n2 to n3 later
//! a large one for a smaller  n1 ██████ <─> n3 ███                 s5 (large) goes to n3, s8 (smaller) comes to n1
//! ```
//!
//! Two replicas that change places are begun at once, so both are under way or done in whatever is planned next. As with a
//! move the giver still holds as much as the taker afterwards. A detour is taken only when nothing is under way, and only if
//! it mends a good part of what the two nodes differ by: copying much to gain little is not worth it.

use super::{Goal, Standing};
use crate::rebalance::ReplicaMove;
use base::ShardId;
use base::limits::{REBALANCE_DETOUR_NODES, REBALANCE_DETOUR_PARTS};
use std::cmp::Reverse;

/// Two shards that change places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Exchange {
    /// By how much the giver has less afterwards, and the taker more.
    shift: u64,
    /// What both weigh: the less the better.
    moved: Reverse<u64>,
    /// Positions of what goes, what comes back, the giver and the taker.
    parts: Reverse<(usize, usize, usize, usize)>,
}

impl Standing<'_> {
    /// One move or an exchange, taken as done; nothing when nothing is worth it.
    pub(super) fn detour(&mut self, goal: &Goal, more: usize) -> Vec<ReplicaMove> {
        let pairs = self.pairs(goal);
        let plain = pairs.iter().find_map(|(from, to)| {
            let between = self.between(*from, *to);
            let shard = self.movable(*from, *to, between / 2)?;
            let worth = self.shards[shard].weight >= least_shift(between);
            worth.then_some((shard, *from, *to))
        });
        if let Some((shard, from, to)) = plain {
            return vec![self.take(shard, from, to)];
        }
        if more < 2 {
            return Vec::new();
        }
        let best = pairs.iter().filter_map(|(from, to)| self.exchange(*from, *to)).max();
        let Some(Exchange { parts: Reverse((goes, comes, from, to)), .. }) = best else {
            return Vec::new();
        };
        let (one, other) = (self.shards[goes].info.id, self.shards[comes].info.id);
        let mut moves = vec![self.take(goes, from, to), self.take(comes, to, from)];
        moves[0].why.push_str(&format!(", and {other} the other way"));
        moves[1].why.push_str(&format!(", and {one} the other way"));
        moves
    }

    /// Nodes that hold more than the mean and such that hold less, where one of the two is too far from it: those that are
    /// farthest first.
    fn pairs(&self, goal: &Goal) -> Vec<(usize, usize)> {
        let load = |place: &usize| self.nodes[*place].load;
        let well = (0..self.nodes.len()).filter(|place| self.nodes[*place].receives);
        let (mut above, mut below): (Vec<usize>, Vec<usize>) =
            well.partition(|place| load(place) > goal.gives_above);
        below.retain(|place| load(place) < goal.gets_below);
        above.sort_by_key(|place| (Reverse(load(place)), *place));
        below.sort_by_key(|place| (load(place), *place));
        above.truncate(REBALANCE_DETOUR_NODES);
        below.truncate(REBALANCE_DETOUR_NODES);
        let pairs = above.iter().flat_map(|from| below.iter().map(|to| (*from, *to)));
        pairs.filter(|(from, to)| load(from) > goal.high || load(to) < goal.low).collect()
    }

    /// What a node holds more than another one.
    fn between(&self, from: usize, to: usize) -> u64 {
        self.nodes[from].load.saturating_sub(self.nodes[to].load)
    }

    /// The exchange between two nodes that mends most.
    fn exchange(&self, from: usize, to: usize) -> Option<Exchange> {
        let between = self.between(from, to);
        let back = self.may_go(to, from);
        let best = self.may_go(from, to).into_iter().filter_map(|(weight, goes)| {
            // The lightest one that leaves the giver as much as the taker.
            let first = back.partition_point(|(other, _)| *other + between / 2 < weight);
            let (other, comes) = *back.get(first)?;
            let shift = weight.checked_sub(other)?;
            let parts = Reverse((goes, comes, from, to));
            let exchange = Exchange { shift, moved: Reverse(weight + other), parts };
            (shift >= least_shift(between)).then_some(exchange)
        });
        best.max()
    }

    /// Weights and positions of the shards that may go from one node to another, the lightest first.
    fn may_go(&self, from: usize, to: usize) -> Vec<(u64, usize)> {
        let may_go = self.nodes[from].held.iter().copied().filter(|position| {
            let shard = &self.shards[*position];
            let is_free = !shard.fixed && shard.info.id != ShardId::META;
            is_free
                && !shard.places.contains(&to)
                && self.stays_apart(shard, from, to)
                && self.may_hold(shard, from, to)
        });
        let mut may_go: Vec<(u64, usize)> =
            may_go.map(|position| (self.shards[position].weight, position)).collect();
        may_go.sort_unstable();
        may_go
    }
}

/// What a detour has to mend at least between two nodes that differ by so much.
fn least_shift(between: u64) -> u64 {
    (between / REBALANCE_DETOUR_PARTS).max(1)
}
