//! Which neighbours should become one: the sizes and loads of shards in, for each two side by side a sentence out.
//!
//! Two neighbours are *cold* when both together hold little and do little, compared with what a shard is split for. Those that
//! have been cold for a while are merged, where an administrator has turned that on.
//!
//! ```text
//! split above 16 GiB or 50 % of a core: cold up to 4 GiB and 5 %
//!
//! s1 s2   1 GiB + 2 GiB, 1 % + 0 %   ─> cold ─[30 min]─> s1 takes s2 in
//! s2 s3   2 GiB + 9 GiB              ─> apart: together they hold 11 GiB, more than 4 GiB
//! s3 s4   split an hour ago          ─> apart: s3 was split less than 24 h ago
//! s4 s5   policy eu from slot 4096   ─> apart: another placement policy begins at slot 4096
//! ```
//!
//! Invariants:
//! 1. Nothing is merged unless somebody has asked for it (`RebalanceSettings::auto_merge`) and evening out is not paused: an
//!    administrator who has split a shard, or founded the cluster with some number of them, finds them as they were.
//! 2. A merge gives no reason for a split: what comes of it holds and does no more than a part of what a shard is split for. A
//!    split gives no reason for a merge: its halves rest for `AUTO_MERGE_SPLIT_REST`, and then have to be cold together.
//! 3. What is not known, of a size or a load, is not cold. Whoever begins to coordinate begins to wait.
//! 4. At most `AUTO_MERGES_MAX` merges are under way when one begins because of this plan, and as many shards as active nodes
//!    are left.
//!
//! Not here: how a merge is carried out (`merge_job`), who asks when (`server`).

use crate::ShardInfo;
use crate::cluster::{ClusterState, NodeState};
use crate::repair::Health;
use crate::split::{Seen, gib, is_sound, percent};
use base::limits::{
    AUTO_MERGE_BYTES_PARTS, AUTO_MERGE_CPU_PARTS, AUTO_MERGE_LOOK, AUTO_MERGE_LOOK_LATE,
    AUTO_MERGE_SHARDS_PER_NODE, AUTO_MERGE_SPLIT_REST, AUTO_MERGE_WAIT, AUTO_MERGES_MAX,
    SPLIT_CPU_PERCENT_DEFAULT,
};
use base::{ShardId, SlotRange};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// By what shards are cold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes above which a shard is split; none: never for its size, and then nothing says what is small.
    pub split_bytes: Option<u64>,
    /// CPU above which it is split, thousandths of a core; none: never for its load, and the usual bound says what is idle.
    pub split_cpu: Option<u32>,
    /// Now, Unix milliseconds.
    pub unix_ms: u64,
}

/// Two shards side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// The one that would stay.
    pub left: ShardId,
    /// The one that would go.
    pub right: ShardId,
    /// Bytes of both, as far as they are known.
    pub bytes: u64,
    /// They are cold, and why; or why they stay apart.
    pub cold: Result<String, String>,
}

/// All neighbours, in the order of their slots, and whether they are cold now.
pub fn neighbours(
    state: &ClusterState,
    health: &Health,
    seen: Seen<'_>,
    bounds: Bounds,
) -> Vec<Neighbours> {
    let look = Look { state, health, seen, bounds };
    let pairs = state.map.data_shards().windows(2);
    let told = pairs.map(|pair| {
        let (left, right) = (&pair[0], &pair[1]);
        let size = |id: ShardId| seen.sizes.get(&id).map_or(0, |size| size.bytes);
        let bytes = size(left.id).saturating_add(size(right.id));
        Neighbours { left: left.id, right: right.id, bytes, cold: look.cold(left, right) }
    });
    told.collect()
}

/// Whether a merge that was planned may still begin.
///
/// # Errors
/// A sentence: what has changed meanwhile.
pub fn still_wanted(state: &ClusterState, left: ShardId, right: ShardId) -> Result<(), String> {
    if !state.rebalance.auto_merge || state.rebalance.paused {
        return Err("shards do not merge by themselves any more".into());
    }
    if state.merges.len() >= AUTO_MERGES_MAX {
        return Err(format!("{} merges are under way", state.merges.len()));
    }
    if state.may_merge(left)? != right {
        return Err(format!("{left} and {right} are not side by side any more"));
    }
    is_free(state, left).and_then(|()| is_free(state, right)).and_then(|()| has_room(state))
}

/// Since when neighbours have been cold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// When somebody looked last, monotonic; none before the first look.
    looked: Option<Duration>,
    /// Left and right shards, and since when they have been cold, monotonic.
    since: BTreeMap<(ShardId, ShardId), Duration>,
}

impl Waits {
    /// Whether it is time to look again.
    pub fn is_time(&self, now: Duration) -> bool {
        self.looked.is_none_or(|last| now.saturating_sub(last) >= AUTO_MERGE_LOOK)
    }

    /// Writes down who is cold now. Answers what is to be merged now, the smallest first: left, right, and why.
    pub fn due(
        &mut self,
        state: &ClusterState,
        seen: &[Neighbours],
        now: Duration,
    ) -> Vec<(ShardId, ShardId, String)> {
        if self.looked.is_none_or(|last| now.saturating_sub(last) > AUTO_MERGE_LOOK_LATE) {
            // Nobody knows what was between.
            self.since.clear();
        }
        self.looked = Some(now);
        let cold = seen.iter().filter(|pair| pair.cold.is_ok());
        let since = |pair: &Neighbours| {
            let known = (pair.left, pair.right);
            (known, self.since.get(&known).copied().unwrap_or(now))
        };
        self.since = cold.map(since).collect();
        let mut ripe: Vec<&Neighbours> = seen
            .iter()
            .filter(|pair| {
                let since = self.since.get(&(pair.left, pair.right));
                since.is_some_and(|since| now.saturating_sub(*since) >= AUTO_MERGE_WAIT)
            })
            .collect();
        ripe.sort_by_key(|pair| (pair.bytes, pair.left));
        let begun = AUTO_MERGES_MAX.saturating_sub(state.merges.len()).min(room(state));
        let mut taken = BTreeSet::new();
        let mut due = Vec::new();
        for pair in ripe {
            let is_open = !taken.contains(&pair.left) && !taken.contains(&pair.right);
            let Some(why) = pair.cold.as_ref().ok().filter(|_| is_open && due.len() < begun) else {
                continue;
            };
            taken.extend([pair.left, pair.right]);
            due.push((pair.left, pair.right, why.clone()));
        }
        due
    }
}

/// What one look goes by.
struct Look<'a> {
    state: &'a ClusterState,
    health: &'a Health,
    seen: Seen<'a>,
    bounds: Bounds,
}

impl Look<'_> {
    /// Why two neighbours are cold, or stay apart.
    fn cold(&self, left: &ShardInfo, right: &ShardInfo) -> Result<String, String> {
        let bytes = self.bytes(left.id, right.id)?;
        let cpu = self.cpu(left.id, right.id)?;
        let state = self.state;
        for id in [left.id, right.id] {
            is_free(state, id)?;
            self.has_rested(id)?;
            is_sound(state, self.health, id).map_err(|why| format!("{id}: {why}"))?;
        }
        let both = SlotRange { start: left.slots.start, end: right.slots.end };
        if let Some(edge) = state.placement.edge(both) {
            return Err(format!("another placement policy begins at slot {edge}"));
        }
        has_room(state)?;
        Ok(format!("together they hold {} and take {} of a core", gib(bytes), percent(cpu)))
    }

    /// What two shards hold, if that is little.
    fn bytes(&self, left: ShardId, right: ShardId) -> Result<u64, String> {
        let Some(split_bytes) = self.bounds.split_bytes else {
            return Err("shards are not split for their size ([shards] split_gib = 0), so nothing says which are small"
                .into());
        };
        let mut bytes: u64 = 0;
        for id in [left, right] {
            let size = self.seen.sizes.get(&id);
            let size = size.ok_or_else(|| format!("the size of {id} is not known"))?;
            if size.has_foreign {
                return Err(format!("rows that {id} gave away are still being removed"));
            }
            bytes = bytes.saturating_add(size.bytes);
        }
        let most = split_bytes / AUTO_MERGE_BYTES_PARTS;
        match bytes > most {
            true => Err(format!("together they hold {}, more than {}", gib(bytes), gib(most))),
            false => Ok(bytes),
        }
    }

    /// The CPU that two shards take, if that is little.
    fn cpu(&self, left: ShardId, right: ShardId) -> Result<u32, String> {
        let mut cpu: u32 = 0;
        for id in [left, right] {
            let load = self.seen.loads.get(&id);
            let load = load.ok_or_else(|| format!("the load of {id} is not known"))?;
            cpu = cpu.saturating_add(load.cpu);
        }
        let most = self.bounds.split_cpu.unwrap_or(SPLIT_CPU_PERCENT_DEFAULT * 10);
        let most = most / AUTO_MERGE_CPU_PARTS;
        match cpu > most {
            true => {
                let (cpu, most) = (percent(cpu), percent(most));
                Err(format!("together they take {cpu} of a core, more than {most}"))
            }
            false => Ok(cpu),
        }
    }

    /// Whether a shard's last split is long ago.
    fn has_rested(&self, shard: ShardId) -> Result<(), String> {
        let rest_ms = u64::try_from(AUTO_MERGE_SPLIT_REST.as_millis()).unwrap_or(u64::MAX);
        let last = self.state.last_split_unix_ms(shard);
        if last != 0 && self.bounds.unix_ms < last.saturating_add(rest_ms) {
            let hours = AUTO_MERGE_SPLIT_REST.as_secs() / 3600;
            return Err(format!("{shard} was split less than {hours} h ago"));
        }
        Ok(())
    }
}

/// Whether nothing else is done with a shard.
fn is_free(state: &ClusterState, shard: ShardId) -> Result<(), String> {
    if state.jobs.contains_key(&shard) {
        return Err(format!("a replica of {shard} is being replaced"));
    }
    if state.splits.contains_key(&shard) {
        return Err(format!("{shard} is being split"));
    }
    match state.merging(shard) {
        Some(why) => Err(format!("{shard} {why}")),
        None => Ok(()),
    }
}

/// Whether there are more shards than the nodes need.
fn has_room(state: &ClusterState) -> Result<(), String> {
    match room(state) {
        0 => {
            let shards = state.map.data_shards().len();
            Err(format!("of {shards} shards none is left over: each active node is to lead one"))
        }
        _ => Ok(()),
    }
}

/// Data shards that may go before there are fewer than nodes that should lead one.
fn room(state: &ClusterState) -> usize {
    let active = state.nodes.values().filter(|info| info.state == NodeState::Active).count();
    let shards = state.map.data_shards().len().saturating_sub(state.merges.len());
    // One is left for the smallest cluster, too.
    shards.saturating_sub((active * AUTO_MERGE_SHARDS_PER_NODE).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::{job, state};
    use crate::load::ShardLoad;
    use crate::split::{ShardSize, Wanted, splits_by_load};
    use crate::{NewSplit, Policy};
    use base::{NodeId, ReplicaId};

    const GIB: u64 = 1 << 30;
    const NOW_MS: u64 = 1_000_000_000_000;

    /// Bytes and CPU of each shard, from the first on.
    type Told<'a> = &'a [(u64, u32)];

    fn health(alive: u64) -> Health {
        Health { alive: (1..=alive).map(NodeId).collect(), ..Health::default() }
    }

    fn bounds() -> Bounds {
        Bounds { split_bytes: Some(16 * GIB), split_cpu: Some(500), unix_ms: NOW_MS }
    }

    fn look_by(state: &ClusterState, told: Told<'_>, bounds: Bounds) -> Vec<Neighbours> {
        let ids = || (1..).map(ShardId).zip(told);
        let size = |bytes| ShardSize { bytes, has_foreign: false };
        let sizes: BTreeMap<_, _> = ids().map(|(id, (bytes, _))| (id, size(*bytes))).collect();
        let load = |cpu| ShardLoad { cpu, ..ShardLoad::default() };
        let loads: BTreeMap<_, _> = ids().map(|(id, (_, cpu))| (id, load(*cpu))).collect();
        neighbours(state, &health(3), Seen { sizes: &sizes, loads: &loads }, bounds)
    }

    fn look(state: &ClusterState, told: Told<'_>) -> Vec<Neighbours> {
        look_by(state, told, bounds())
    }

    /// Why two neighbours stay apart.
    fn apart(pairs: &[Neighbours], at: usize) -> &str {
        pairs[at].cold.as_ref().unwrap_err()
    }

    /// What is due after so many seconds of looks, one every `AUTO_MERGE_LOOK`, at the last of them.
    fn wait(
        waits: &mut Waits,
        state: &ClusterState,
        pairs: &[Neighbours],
        seconds: std::ops::RangeInclusive<u64>,
    ) -> Vec<(u64, u64)> {
        let mut due = Vec::new();
        for second in seconds.step_by(AUTO_MERGE_LOOK.as_secs() as usize) {
            due = waits.due(state, pairs, Duration::from_secs(second));
        }
        due.into_iter().map(|(left, right, _)| (left.0, right.0)).collect()
    }

    #[test]
    fn two_that_hold_and_do_little_together_are_cold() {
        let state = state(3, 3, 5);
        let told = [(GIB, 20), (3 * GIB, 30), (GIB, 20), (GIB, 1), (GIB, 500)];
        let pairs = look(&state, &told);
        let names: Vec<(u64, u64)> = pairs.iter().map(|pair| (pair.left.0, pair.right.0)).collect();
        assert_eq!(names, [(1, 2), (2, 3), (3, 4), (4, 5)], "never the meta shard");
        let why = "together they hold 4 GiB and take 5 % of a core";
        assert_eq!(pairs[0].cold, Ok(why.to_string()), "at the bounds is not above them");
        assert_eq!(pairs[0].bytes, 4 * GIB);
        assert!(pairs[1].cold.is_ok() && pairs[2].cold.is_ok(), "{pairs:?}");
        assert_eq!(apart(&pairs, 3), "together they take 50 % of a core, more than 5 %");
        let pairs = look(&state, &[(GIB, 20), (3 * GIB + (1 << 28), 0), (9 * GIB, 0)]);
        assert_eq!(apart(&pairs, 0), "together they hold 4.2 GiB, more than 4 GiB");
        assert_eq!(apart(&pairs, 1), "together they hold 12.2 GiB, more than 4 GiB");
        assert_eq!(apart(&pairs, 2), "the size of s4 is not known");
    }

    #[test]
    fn by_other_bounds_other_shards_are_cold() {
        let state = state(3, 3, 4);
        let told = [(GIB, 40), (GIB, 20), (GIB, 0), (GIB, 0)];
        let never = Bounds { split_bytes: None, ..bounds() };
        assert!(apart(&look_by(&state, &told, never), 2).contains("split_gib = 0"));
        let by_size = Bounds { split_cpu: None, ..bounds() };
        let pairs = look_by(&state, &told, by_size);
        assert!(apart(&pairs, 0).contains("more than 5 %"), "{pairs:?}");
        assert!(pairs[1].cold.is_ok());
        let small = Bounds { split_bytes: Some(4 * GIB), ..bounds() };
        assert!(apart(&look_by(&state, &told, small), 2).contains("more than 1 GiB"));
    }

    #[test]
    fn what_something_else_is_done_with_stays_apart() {
        let mut state = state(3, 4, 8);
        let told = [(GIB, 0); 8];
        let old = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        state.jobs.insert(ShardId(1), job((77, 4), Some(old.0)));
        state.begin_merge(ShardId(3), 7, 0).unwrap();
        let replicas = [70, 71, 72].map(ReplicaId).to_vec();
        let (parent, child) = (ShardId(6), ShardId(9));
        let at = state.may_split(parent, None).unwrap();
        let new = NewSplit { parent, at, child, replicas, unix_ms: 0 };
        state.begin_split(new, 2).unwrap();
        let pairs = look(&state, &told);
        assert_eq!(apart(&pairs, 0), "a replica of s1 is being replaced");
        assert_eq!(apart(&pairs, 1), "s3 takes shard 4 in");
        assert_eq!(apart(&pairs, 3), "s4 is being taken in by shard 3");
        assert_eq!(apart(&pairs, 5), "s6 is being split");
        assert!(pairs[6].cold.is_ok(), "{pairs:?}");
    }

    #[test]
    fn shards_with_a_replica_away_or_of_another_policy_stay_apart() {
        let state = state(4, 4, 6);
        let told = [(GIB, 0); 6];
        let pairs = look(&state, &told);
        let away = |id| state.map.shard(id).unwrap().is_on(NodeId(4));
        for pair in &pairs {
            let is_away = away(pair.left) || away(pair.right);
            assert_eq!(pair.cold.is_err(), is_away, "{pair:?}");
            assert!(pair.cold.as_ref().err().is_none_or(|why| why.contains("on node 4 is away")));
        }
        assert!(pairs.iter().any(|pair| pair.cold.is_err()));
        let mut state = crate::cluster::tests::state(3, 3, 5);
        let first = state.map.shard(ShardId(1)).unwrap().slots;
        state.placement.policies.insert("eu".into(), Policy::default());
        state.placement.assign(first, Some("eu"));
        let pairs = look(&state, &told);
        let why = format!("another placement policy begins at slot {}", first.end);
        assert_eq!(apart(&pairs, 0), why);
        assert!(pairs[1].cold.is_ok(), "{pairs:?}");
    }

    #[test]
    fn nothing_is_due_before_both_have_been_cold_for_a_while() {
        let state = state(3, 3, 6);
        let told = [(GIB, 0), (2 * GIB, 0), (GIB, 0), (GIB, 0), (9 * GIB, 0), (GIB, 0)];
        let pairs = look(&state, &told);
        let mut waits = Waits::default();
        assert!(waits.is_time(Duration::ZERO));
        assert_eq!(wait(&mut waits, &state, &pairs, 0..=1790), []);
        assert!(!waits.is_time(Duration::from_secs(1799)));
        assert_eq!(wait(&mut waits, &state, &pairs, 1800..=1800), [(3, 4)], "the smallest");
        // One moment of load, and it begins anew.
        let busy = look(&state, &[(GIB, 0), (2 * GIB, 0), (GIB, 0), (GIB, 90)]);
        assert_eq!(wait(&mut waits, &state, &busy, 1810..=1810), [(1, 2)]);
        assert_eq!(wait(&mut waits, &state, &pairs, 1820..=3610), [(1, 2)]);
        assert_eq!(wait(&mut waits, &state, &pairs, 3620..=3620), [(3, 4)]);
        // So it does when nobody has looked for a while.
        assert_eq!(wait(&mut waits, &state, &pairs, 3660..=5450), []);
        assert_eq!(wait(&mut waits, &state, &pairs, 5460..=5460), [(3, 4)]);
    }

    #[test]
    fn one_at_once_and_never_fewer_shards_than_nodes() {
        let mut state = state(3, 3, 5);
        let told = [(GIB, 0); 5];
        let pairs = look(&state, &told);
        let mut waits = Waits::default();
        assert_eq!(wait(&mut waits, &state, &pairs, 0..=1800), [(1, 2)]);
        state.begin_merge(ShardId(4), 7, 0).unwrap();
        let pairs = look(&state, &told);
        assert_eq!(wait(&mut waits, &state, &pairs, 1810..=1810), [], "a command was first");
        state.finish_merge(ShardId(4)).unwrap();
        let pairs = look(&state, &told);
        assert_eq!(wait(&mut waits, &state, &pairs, 1820..=1820), [(1, 2)]);
        state.begin_merge(ShardId(1), 8, 0).unwrap();
        state.finish_merge(ShardId(1)).unwrap();
        let pairs = look(&state, &told);
        let none = "of 3 shards none is left over: each active node is to lead one";
        assert!(pairs.iter().all(|pair| pair.cold == Err(none.to_string())), "{pairs:?}");
        assert_eq!(wait(&mut waits, &state, &pairs, 1830..=9000), []);
    }

    #[test]
    fn a_split_is_not_undone_by_a_merge_nor_a_merge_by_a_split() {
        let mut state = state(3, 3, 4);
        let replicas = [70, 71, 72].map(ReplicaId).to_vec();
        let (parent, child) = (ShardId(4), ShardId(5));
        let at = state.may_split(parent, None).unwrap();
        let new = NewSplit { parent, at, child, replicas, unix_ms: NOW_MS - 10 };
        state.begin_split(new, 2).unwrap();
        state.finish_split(parent, NOW_MS).unwrap();
        let told = [(GIB, 0), (3 * GIB, 50), (GIB, 0), (GIB, 0), (GIB, 0)];
        let rest_ms = u64::try_from(AUTO_MERGE_SPLIT_REST.as_millis()).unwrap();
        let at = |unix_ms| look_by(&state, &told, Bounds { unix_ms, ..bounds() });
        let why = "s4 was split less than 24 h ago";
        assert_eq!(apart(&at(NOW_MS + rest_ms - 1), 3), why);
        assert!(at(NOW_MS + rest_ms)[3].cold.is_ok());
        // The most that can be cold together, as one shard.
        assert!(at(NOW_MS)[0].cold.is_ok());
        state.begin_merge(ShardId(1), 9, 0).unwrap();
        state.finish_merge(ShardId(1)).unwrap();
        let merged = ShardSize { bytes: 4 * GIB, has_foreign: false };
        let sizes = BTreeMap::from([(ShardId(1), merged)]);
        let load = ShardLoad { cpu: 50, cpu_least: 50, ..ShardLoad::default() };
        let loads = BTreeMap::from([(ShardId(1), load)]);
        let seen = Seen { sizes: &sizes, loads: &loads };
        let wanted = Wanted { bytes_max: bounds().split_bytes, unix_ms: NOW_MS };
        let splits = splits_by_load(&state, &health(3), seen, wanted, bounds().split_cpu);
        assert_eq!(splits, crate::split::Splits::default());
    }

    #[test]
    fn what_was_planned_begins_only_while_it_is_wanted() {
        let mut state = state(3, 3, 5);
        let wanted = |state: &ClusterState| still_wanted(state, ShardId(1), ShardId(2));
        assert!(wanted(&state).unwrap_err().contains("by themselves"), "off until turned on");
        state.rebalance.auto_merge = true;
        assert_eq!(wanted(&state), Ok(()));
        state.rebalance.paused = true;
        assert!(wanted(&state).is_err());
        state.rebalance.paused = false;
        assert!(still_wanted(&state, ShardId(1), ShardId(3)).unwrap_err().contains("side by side"));
        state.begin_merge(ShardId(4), 7, 0).unwrap();
        assert!(wanted(&state).unwrap_err().contains("under way"));
        state.drop_merge(ShardId(4));
        state.jobs.insert(ShardId(2), job((77, 3), None));
        assert!(wanted(&state).unwrap_err().contains("replica of s2"));
        state.jobs.clear();
        for left in [4, 1] {
            state.begin_merge(ShardId(left), 8, 0).unwrap();
            state.finish_merge(ShardId(left)).unwrap();
        }
        let last = still_wanted(&state, ShardId(1), ShardId(3));
        assert!(last.unwrap_err().contains("of 3 shards none is left over"));
    }
}
