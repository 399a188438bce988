//! What the planners think of one shard, in sentences: how large and busy it is, where it lives, what comes next and what is
//! in the way of it.
//!
//! ```text
//! size       it holds 21 GiB; above 16 GiB it is split
//! load       its requests take 12 % of a core; above 50 % for 60 s it is split
//! split      it is too large (21 GiB), but its replica on node 3 is away
//! merge      cold: may merge with s4 when auto-merge is on: together they hold 1 GiB and take 0 % of a core
//! placement  nodes 2, 1, 3 hold its replicas; node 2 is to lead it
//! balance    it stays where it is for now: repairs come first: …
//! ```
//!
//! Nothing is decided here: it tells the plans that it is given.

use crate::cluster::ClusterState;
use crate::merge::Neighbours;
use crate::rebalance::Rebalance;
use crate::split::{Seen, Splits, gib, percent};
use base::ShardId;
use base::limits::{AUTO_MERGE_WAIT, LOAD_STEP, SPLIT_CPU_STEPS};

/// What was planned, and by which bounds.
#[derive(Clone, Copy, Debug)]
pub struct Plans<'a> {
    /// Which shards become two.
    pub splits: &'a Splits,
    /// Which neighbours are cold.
    pub merges: &'a [Neighbours],
    /// What evens nodes out.
    pub rebalance: &'a Rebalance,
    /// Bytes above which a shard is split; none: never by itself.
    pub bytes_max: Option<u64>,
    /// CPU above which it is split, thousandths of a core; none: never by itself.
    pub cpu_max: Option<u32>,
}

/// One thing about a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about, a word.
    pub topic: &'static str,
    /// A sentence.
    pub text: String,
}

/// What there is to say of a shard.
///
/// # Errors
/// A sentence: there is no such shard.
pub fn why(
    state: &ClusterState,
    shard: ShardId,
    seen: Seen<'_>,
    plans: Plans<'_>,
) -> Result<Vec<Line>, String> {
    let Some(info) = state.map.shard(shard) else {
        let last = state.map.shards().iter().map(|info| info.id.0).max().unwrap_or_default();
        return Err(format!("there is no shard {}; the last one is {last}", shard.0));
    };
    let nodes: Vec<String> = info.replicas.iter().map(|(_, node)| node.0.to_string()).collect();
    let preferred = info
        .preferred_leader()
        .map_or(String::new(), |node| format!("; node {} is to lead it", node.0));
    let placement = match nodes.as_slice() {
        [only] => format!("node {only} holds its replica{preferred}"),
        _ => format!("nodes {} hold its replicas{preferred}", nodes.join(", ")),
    };
    let line = |topic, text| Line { topic, text };
    Ok(vec![
        line("size", size(shard, seen, plans)),
        line("load", load(shard, seen, plans)),
        line("split", split(state, shard, plans)),
        line("merge", merge(state, shard, plans)),
        line("placement", placement),
        line("balance", balance(state, shard, plans.rebalance)),
    ])
}

fn size(shard: ShardId, seen: Seen<'_>, plans: Plans<'_>) -> String {
    let limit = match plans.bytes_max {
        _ if shard == ShardId::META => "the meta shard is never split".to_string(),
        Some(bytes) => format!("above {} it is split", gib(bytes)),
        None => "shards are not split for their size ([shards] split_gib = 0)".to_string(),
    };
    match seen.sizes.get(&shard) {
        Some(size) if size.has_foreign => format!(
            "it holds {}, rows among them that went to another shard and are being removed; {limit}",
            gib(size.bytes)
        ),
        Some(size) => format!("it holds {}; {limit}", gib(size.bytes)),
        None => format!("its size is not known, for no leader tells it; {limit}"),
    }
}

fn load(shard: ShardId, seen: Seen<'_>, plans: Plans<'_>) -> String {
    let seconds = (LOAD_STEP * SPLIT_CPU_STEPS as u32).as_secs();
    let limit = match plans.cpu_max {
        _ if shard == ShardId::META => "the meta shard is never split".to_string(),
        Some(cpu) => format!("above {} for {seconds} s it is split", percent(cpu)),
        None => "shards are not split for their load ([shards] split_cpu_percent = 0)".to_string(),
    };
    match seen.loads.get(&shard) {
        Some(load) => format!(
            "{} reads and {} writes per second take {} of a core; {limit}",
            load.reads,
            load.writes,
            percent(load.cpu)
        ),
        None => {
            let step = LOAD_STEP.as_secs();
            format!("its load is not known: a new leader tells it after {step} s; {limit}")
        }
    }
}

fn split(state: &ClusterState, shard: ShardId, plans: Plans<'_>) -> String {
    if let Some(job) = state.splits.get(&shard) {
        return format!(
            "it is being split: shard {} gets its slots from {} on",
            job.child.0, job.at
        );
    }
    let mut planned = plans.splits.start.iter();
    if let Some((_, at, why)) = planned.find(|(known, ..)| *known == shard) {
        return format!("it is split next, at slot {at}: {why}");
    }
    match plans.splits.waiting.get(&shard) {
        Some(why) => format!("it is {why}"),
        None => "none is planned".to_string(),
    }
}

fn merge(state: &ClusterState, shard: ShardId, plans: Plans<'_>) -> String {
    if shard == ShardId::META {
        return "the meta shard is never merged".to_string();
    }
    if let Some(why) = state.merging(shard) {
        return format!("it {why}");
    }
    let beside = |pair: &&Neighbours| pair.left == shard || pair.right == shard;
    let other = |pair: &Neighbours| if pair.left == shard { pair.right } else { pair.left };
    let pairs = || plans.merges.iter().filter(beside);
    let cold = pairs().find_map(|pair| Some((other(pair), pair.cold.as_ref().ok()?)));
    let Some((with, why)) = cold else {
        let apart = pairs().filter_map(|pair| {
            let why = pair.cold.as_ref().err()?;
            Some(format!("with {}: {why}", other(pair)))
        });
        let apart: Vec<String> = apart.collect();
        return match apart.is_empty() {
            true => "it has no neighbour".to_string(),
            false => format!("it stays apart; {}", apart.join("; ")),
        };
    };
    let minutes = AUTO_MERGE_WAIT.as_secs() / 60;
    match (state.rebalance.auto_merge, state.rebalance.paused) {
        (false, _) => format!("cold: may merge with {with} when auto-merge is on: {why}"),
        (true, false) => {
            format!("cold: may merge with {with} once both have been so for {minutes} min: {why}")
        }
        (true, true) => format!(
            "cold: may merge with {with}: {why}; but evening out is paused (precinct rebalance resume)"
        ),
    }
}

fn balance(state: &ClusterState, shard: ShardId, plan: &Rebalance) -> String {
    if let Some(why) = plan.held.get(&shard) {
        return format!("it stays as it is for now: {why}");
    }
    let paused = match state.rebalance.paused {
        true => "; but evening out is paused (precinct rebalance resume)",
        false => "",
    };
    if let Some(next) = plan.moves.iter().find(|next| next.shard == shard) {
        return format!("a replica moves next: {}{paused}", next.why);
    }
    if let Some(next) = plan.leaders.iter().find(|next| next.shard == shard) {
        return format!("its leader changes next: {}{paused}", next.why);
    }
    match &plan.waits {
        Some(why) => format!("it stays where it is, as all shards do: {why}"),
        None if plan.replicas_left > 0 => {
            format!("it stays where it is; {} replicas of other shards move", plan.replicas_left)
        }
        None => "it stays where it is: nodes are even".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::{job, state};
    use crate::load::ShardLoad;
    use crate::merge::{Bounds, neighbours};
    use crate::rebalance::{Limits, rebalance};
    use crate::repair::Health;
    use crate::split::{ShardSize, Wanted, splits_by_load};
    use base::NodeId;
    use std::collections::BTreeMap;

    /// What is said of a shard of 20 GiB, by topic.
    fn told(state: &ClusterState, shard: u64, alive: u64) -> BTreeMap<&'static str, String> {
        let health = Health { alive: (1..=alive).map(NodeId).collect(), ..Health::default() };
        let size = ShardSize { bytes: 20 << 30, has_foreign: false };
        let load = ShardLoad { reads: 7, writes: 2, cpu: 120, ..ShardLoad::default() };
        let sizes = BTreeMap::from([(ShardId(1), size)]);
        let loads = BTreeMap::from([(ShardId(1), load)]);
        let seen = Seen { sizes: &sizes, loads: &loads };
        let wanted = Wanted { bytes_max: Some(16 << 30), unix_ms: 1_000_000_000 };
        let splits = splits_by_load(state, &health, seen, wanted, Some(500));
        let plan = rebalance(state, &health, &BTreeMap::new(), Limits::of(state.rebalance));
        let bounds =
            Bounds { split_bytes: wanted.bytes_max, split_cpu: Some(500), unix_ms: wanted.unix_ms };
        let merges = neighbours(state, &health, seen, bounds);
        let plans = Plans {
            splits: &splits,
            merges: &merges,
            rebalance: &plan,
            bytes_max: wanted.bytes_max,
            cpu_max: Some(500),
        };
        let lines = why(state, ShardId(shard), seen, plans).unwrap();
        lines.into_iter().map(|line| (line.topic, line.text)).collect()
    }

    #[test]
    fn a_sound_shard_is_told_with_its_bounds() {
        let state = state(3, 3, 2);
        let lines = told(&state, 1, 3);
        assert_eq!(lines["size"], "it holds 20 GiB; above 16 GiB it is split");
        assert_eq!(
            lines["load"],
            "7 reads and 2 writes per second take 12 % of a core; above 50 % for 60 s it is split"
        );
        assert_eq!(
            lines["split"],
            "it is split next, at slot 16384: it holds 20 GiB, more than 16 GiB"
        );
        assert!(lines["placement"].starts_with("nodes "), "{lines:?}");
        assert_eq!(lines["balance"], "it stays where it is: nodes are even");
        let lines = told(&state, 2, 3);
        assert!(lines["size"].starts_with("its size is not known"), "{lines:?}");
        assert_eq!(lines["split"], "none is planned");
        assert_eq!(lines["merge"], "it stays apart; with s1: the size of s2 is not known");
        assert!(told(&state, 0, 3)["load"].contains("never split"));
    }

    #[test]
    fn a_cold_neighbour_is_told_with_what_it_waits_for() {
        let mut state = state(3, 3, 4);
        let pair = |left, right, cold: Result<&str, &str>| Neighbours {
            left: ShardId(left),
            right: ShardId(right),
            bytes: 0,
            cold: cold.map(str::to_string).map_err(str::to_string),
        };
        let merges = [
            pair(1, 2, Err("together they hold 9 GiB, more than 4 GiB")),
            pair(2, 3, Ok("together they hold 2 GiB and take 1 % of a core")),
            pair(3, 4, Err("the load of s4 is not known")),
        ];
        let told = |state: &ClusterState, shard| {
            let seen = Seen { sizes: &BTreeMap::new(), loads: &BTreeMap::new() };
            let plans = Plans {
                splits: &Splits::default(),
                merges: &merges,
                rebalance: &Rebalance::default(),
                bytes_max: None,
                cpu_max: None,
            };
            let lines = why(state, ShardId(shard), seen, plans).unwrap();
            lines.into_iter().find(|line| line.topic == "merge").unwrap().text
        };
        let why = "together they hold 2 GiB and take 1 % of a core";
        let off = format!("cold: may merge with s3 when auto-merge is on: {why}");
        assert_eq!(told(&state, 2), off);
        assert!(told(&state, 3).starts_with("cold: may merge with s2 when"));
        assert_eq!(
            told(&state, 1),
            "it stays apart; with s2: together they hold 9 GiB, more than 4 GiB"
        );
        assert_eq!(told(&state, 4), "it stays apart; with s3: the load of s4 is not known");
        assert_eq!(told(&state, 0), "the meta shard is never merged");
        state.rebalance.auto_merge = true;
        let on = format!("cold: may merge with s3 once both have been so for 30 min: {why}");
        assert_eq!(told(&state, 2), on);
        state.rebalance.paused = true;
        assert!(told(&state, 2).ends_with("is paused (precinct rebalance resume)"));
        state.begin_merge(ShardId(2), 7, 0).unwrap();
        assert_eq!(told(&state, 2), "it takes shard 3 in");
        assert_eq!(told(&state, 3), "it is being taken in by shard 2");
    }

    #[test]
    fn what_is_in_the_way_is_told() {
        let mut state = state(3, 4, 2);
        let lines = told(&state, 1, 2);
        assert!(lines["split"].contains("on node 3 is away"), "{lines:?}");
        assert!(lines["balance"].contains("node 3"), "{lines:?}");
        let old = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        state.jobs.insert(ShardId(1), job((77, 4), Some(old.0)));
        let lines = told(&state, 1, 4);
        assert!(lines["balance"].contains("gets a replica on node 4"), "{lines:?}");
        assert!(lines["split"].contains("is being replaced"), "{lines:?}");
        let nodes = (1..=4).map(NodeId).collect();
        let full = Health { alive: nodes, sick: [NodeId(4)].into(), ..Health::default() };
        let limits = Limits::of(state.rebalance);
        let plan = rebalance(&state, &full, &BTreeMap::new(), limits);
        let told = balance(&state, ShardId(1), &plan);
        assert!(told.contains("stays as it is for now"), "{told}");
        assert!(told.contains("the disk of node 4 is not well"), "{told}");
        let seen = Seen { sizes: &BTreeMap::new(), loads: &BTreeMap::new() };
        let plans = Plans {
            splits: &Splits::default(),
            merges: &[],
            rebalance: &Rebalance::default(),
            bytes_max: None,
            cpu_max: None,
        };
        assert!(why(&state, ShardId(9), seen, plans).unwrap_err().contains("the last one is 2"));
        let lines = why(&state, ShardId(2), seen, plans).unwrap();
        assert!(lines[0].text.contains("split_gib = 0"), "{lines:?}");
    }
}
