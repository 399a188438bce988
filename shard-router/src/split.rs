//! Which shards should become two: their sizes and loads in, a decision with a sentence for each out.
//!
//! A shard is split when it holds more than the limit, or when its requests have taken more CPU than the limit for a while.
//! One that is too large is cut where half of its data lies on either side, as far as samples tell, else in the middle of its
//! slots: keys are spread over slots by a hash, so the halves of a shard of many sharding keys are alike. One that is too busy
//! is cut where half of its load lies on either side.
//!
//! ```text
//! s3: 21 GiB, limit 16  ─> split at slot 4096: it holds 21.0 GiB, more than 16 GiB
//! s4: 30 GiB, limit 16  ─> waits: rows that it gave away at its last split are still being removed
//! s5:  9 GiB, CPU 71 %  ─> split at slot 5120: its requests took 71 % of a core, more than 50 %
//! s6:  9 GiB, CPU 90 %  ─> waits: 83 % of its load is on slot 8001, which cannot be divided
//! s7:  9 GiB            ─> –
//! s8: policy eu up to slot 7168 ─> split at slot 7168: another placement policy begins there
//! ```
//!
//! Invariants:
//! 1. At most `SPLITS_MAX` splits are under way because of this plan, beside those of shards that have had no majority for long.
//! 2. A split must gain: each half gets more than a quarter, and a shard is not divided again before the rows of its last
//!    split are gone and storage has had time to give their space back (for one that is too busy: before its load was
//!    measured anew). Otherwise the same bytes would be counted on both sides and divided for nothing.
//! 3. Those under several placement policies come first. Then come those that are too large, the largest of them before the
//!    others; then the busiest.
//!
//! Not here: how a split is carried out (`split_job`).

use crate::cluster::{ClusterState, NodeState};
use crate::load::{Cut, ShardLoad, Verdict};
use crate::repair::{Health, lacks_majority};
use base::limits::{LOAD_STEP, SPLIT_CPU_STEPS, SPLIT_LOAD_REST, SPLIT_REST, SPLITS_MAX};
use base::{ShardId, Slot};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a shard's leader says of its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSize {
    /// Bytes of its replica on the leader's disk.
    pub bytes: u64,
    /// Whether rows are among them that belong to other shards since it was split.
    pub has_foreign: bool,
}

/// When shards are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Bytes above which a shard is split; none: never by itself.
    pub bytes_max: Option<u64>,
    /// Now, Unix milliseconds.
    pub unix_ms: u64,
}

/// What leaders say of their shards.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// How large they are.
    pub sizes: &'a BTreeMap<ShardId, ShardSize>,
    /// How busy they are.
    pub loads: &'a BTreeMap<ShardId, ShardLoad>,
}

/// What to do with the shards that are too large or too busy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splits {
    /// To split now: the shard, the child's first slot, and why.
    pub start: Vec<(ShardId, Slot, String)>,
    /// Too large or too busy, and why they are not split now.
    pub waiting: BTreeMap<ShardId, String>,
}

/// Which shards to split now, of those whose sizes are known.
pub fn splits(
    state: &ClusterState,
    health: &Health,
    sizes: &BTreeMap<ShardId, ShardSize>,
    wanted: Wanted,
) -> Splits {
    let seen = Seen { sizes, loads: &BTreeMap::new() };
    splits_by_load(state, health, seen, wanted, None)
}

/// The same with their loads: shards whose requests take more than `cpu_max` thousandths of a core are split as well, unless
/// it is none.
pub fn splits_by_load(
    state: &ClusterState,
    health: &Health,
    seen: Seen<'_>,
    wanted: Wanted,
    cpu_max: Option<u32>,
) -> Splits {
    let mut planner = Planner { state, health, seen, wanted, plan: Splits::default() };
    planner.across_policies();
    if let Some(bytes_max) = wanted.bytes_max {
        planner.too_large(bytes_max);
    }
    if let Some(cpu_max) = cpu_max {
        planner.too_busy(cpu_max);
    }
    planner.plan
}

/// A plan in the making.
struct Planner<'a> {
    state: &'a ClusterState,
    health: &'a Health,
    seen: Seen<'a>,
    wanted: Wanted,
    plan: Splits,
}

impl Planner<'_> {
    /// Splits what lies under several placement policies, where another one begins.
    fn across_policies(&mut self) {
        let state = self.state;
        if state.placement.places.is_empty() {
            return;
        }
        for info in state.map.shards() {
            let edge = state.placement.edge(info.slots).filter(|_| self.is_concerned(info.id));
            let Some(edge) = edge else { continue };
            let sound = is_sound(state, self.health, info.id);
            let outcome = sound.and_then(|()| state.may_split(info.id, Some(edge)));
            let (why, figure) = ("another placement policy begins there", format!("slot {edge}"));
            self.note(info.id, outcome, why, ("under several placement policies", figure.as_str()));
        }
    }

    /// Whether something is decided about a shard.
    fn is_planned(&self, shard: ShardId) -> bool {
        let starts = self.plan.start.iter().any(|(known, ..)| *known == shard);
        starts || self.plan.waiting.contains_key(&shard)
    }

    /// Splits what holds more than so much.
    fn too_large(&mut self, bytes_max: u64) {
        let seen = self.seen;
        let mut large: Vec<(ShardId, ShardSize)> = seen
            .sizes
            .iter()
            .filter(|(shard, size)| {
                size.bytes > bytes_max && self.is_concerned(**shard) && !self.is_planned(**shard)
            })
            .map(|(shard, size)| (*shard, *size))
            .collect();
        large.sort_by_key(|(shard, size)| (std::cmp::Reverse(size.bytes), *shard));
        for (shard, size) in large {
            let cut = seen.loads.get(&shard).and_then(|load| load.data_cut);
            let outcome = self.may_gain(shard, SPLIT_REST).and_then(|()| data_slot(cut));
            let outcome = outcome.and_then(|at| self.state.may_split(shard, at));
            let bytes = gib(size.bytes);
            let why = format!("it holds {bytes}, more than {}", gib(bytes_max));
            self.note(shard, outcome, &why, ("too large", bytes.as_str()));
        }
    }

    /// Splits what has been busier than so much for a while.
    fn too_busy(&mut self, cpu_max: u32) {
        let seen = self.seen;
        let mut busy: Vec<(ShardId, ShardLoad)> = seen
            .loads
            .iter()
            .filter(|(shard, load)| load.cpu_least > cpu_max && self.is_concerned(**shard))
            .map(|(shard, load)| (*shard, *load))
            .collect();
        busy.sort_by_key(|(shard, load)| (std::cmp::Reverse(load.cpu), *shard));
        for (shard, load) in busy {
            // One that is too large is split for that, or waits for what it says.
            if self.is_planned(shard) {
                continue;
            }
            let outcome = load_slot(&load)
                .and_then(|at| self.may_gain(shard, SPLIT_LOAD_REST).map(|()| at))
                .and_then(|at| self.state.may_split(shard, Some(at)));
            let cpu = format!("CPU {}", percent(load.cpu));
            let why = format!(
                "its requests took {} of a core, for {} s never less than {}",
                percent(load.cpu),
                (LOAD_STEP * SPLIT_CPU_STEPS as u32).as_secs(),
                percent(cpu_max)
            );
            self.note(shard, outcome, &why, ("too busy", cpu.as_str()));
        }
    }

    /// Whether a shard is one that can be split at all, and is not yet: not the meta shard, and not one that the map does not
    /// name yet.
    fn is_concerned(&self, shard: ShardId) -> bool {
        shard != ShardId::META
            && self.state.map.shard(shard).is_some()
            && !self.state.splits.contains_key(&shard)
    }

    /// Writes down what becomes of a shard.
    fn note(
        &mut self,
        shard: ShardId,
        outcome: Result<Slot, String>,
        why: &str,
        (what, figure): (&str, &str),
    ) {
        // One that cannot go on keeps no other away.
        let goes_on = |parent: &&ShardId| {
            let info = self.state.map.shard(**parent);
            info.is_none_or(|info| !lacks_majority(self.health, info))
        };
        let under_way = self.state.splits.keys().filter(goes_on).count() + self.plan.start.len();
        match outcome {
            Ok(_) if under_way >= SPLITS_MAX => {
                let why = format!("{what}, waits for its turn: {under_way} splits are under way");
                self.plan.waiting.insert(shard, why);
            }
            Ok(at) => self.plan.start.push((shard, at, why.to_string())),
            Err(why) => {
                self.plan.waiting.insert(shard, format!("{what} ({figure}), but {why}"));
            }
        }
    }

    /// Whether splitting a shard now would help, as far as its last split and its replicas go.
    fn may_gain(&self, shard: ShardId, rest: Duration) -> Result<(), String> {
        let state = self.state;
        if self.seen.sizes.get(&shard).is_some_and(|size| size.has_foreign) {
            return Err("rows that it gave away at its last split are still being removed".into());
        }
        let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        let last = state.last_split_unix_ms(shard);
        if last != 0 && self.wanted.unix_ms < last.saturating_add(rest_ms) {
            return Err(match rest == SPLIT_REST {
                true => "storage has still to give back the space of its last split".into(),
                false => "it has just been split: its load is to be measured anew".into(),
            });
        }
        is_sound(state, self.health, shard)
    }
}

/// Whether all replicas of a shard are there.
pub(crate) fn is_sound(
    state: &ClusterState,
    health: &Health,
    shard: ShardId,
) -> Result<(), String> {
    let replicas = state.map.shard(shard).map_or(&[][..], |info| info.replicas.as_slice());
    let sound = |replica, node| {
        state.node_state(node) != NodeState::Left
            && health.alive.contains(&node)
            && !health.lost.contains(&(shard, replica))
    };
    match replicas.iter().find(|(replica, node)| !sound(*replica, *node)) {
        Some((_, node)) => Err(format!("its replica on node {} is away", node.0)),
        None => Ok(()),
    }
}

/// Where a shard that is too large is to be cut; `None`: in the middle of its slots, for nobody knows better.
fn data_slot(cut: Option<Cut>) -> Result<Option<Slot>, String> {
    match cut {
        None => Ok(None),
        Some(cut) if cut.gains() => Ok(Some(cut.at)),
        Some(cut) => Err(format!(
            "most of its rows have the same sharding key: the best cut, at slot {}, leaves {} on one side; a split \
             cannot help",
            cut.at,
            percent(cut.smaller())
        )),
    }
}

/// Where a shard that is too busy is to be cut.
fn load_slot(load: &ShardLoad) -> Result<Slot, String> {
    match load.verdict() {
        Verdict::Even(cut) | Verdict::Scans(cut) => Ok(cut.at),
        Verdict::OneSlot(hot) => Err(format!(
            "{} of its load is on slot {}, which cannot be divided, most of that on table {}; see SHOW HOT SHARDS",
            percent(hot.permille),
            hot.slot,
            hot.table.0
        )),
        Verdict::Unknown => {
            Err(format!("too few samples tell where its load is: {}", load.samples))
        }
    }
}

/// Thousandths for people.
pub(crate) fn percent(permille: u32) -> String {
    format!("{} %", (permille + 5) / 10)
}

/// Bytes for people.
pub(crate) fn gib(bytes: u64) -> String {
    // Tenths, for people: no precision is lost that anyone would see.
    let tenths = bytes.saturating_mul(10) >> 30;
    match tenths % 10 {
        0 => format!("{} GiB", tenths / 10),
        part => format!("{}.{part} GiB", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::{job, state};
    use crate::load::HotSlot;
    use crate::split_job::NewSplit;
    use base::{NodeId, ReplicaId, TableId};

    const GIB: u64 = 1 << 30;

    fn health() -> Health {
        Health { alive: (1..=3).map(NodeId).collect(), ..Health::default() }
    }

    fn sizes(gib: &[(u64, u64)]) -> BTreeMap<ShardId, ShardSize> {
        let size = |bytes| ShardSize { bytes, has_foreign: false };
        gib.iter().map(|(shard, gib)| (ShardId(*shard), size(gib * GIB))).collect()
    }

    fn wanted() -> Wanted {
        Wanted { bytes_max: Some(16 * GIB), unix_ms: 1_000_000_000 }
    }

    #[test]
    fn only_what_is_too_large_is_split_and_the_largest_first() {
        let state = state(3, 3, 4);
        let sizes = sizes(&[(0, 90), (1, 16), (2, 17), (3, 40), (9, 50)]);
        let plan = splits(&state, &health(), &sizes, wanted());
        let started: Vec<u64> = plan.start.iter().map(|(shard, ..)| shard.0).collect();
        assert_eq!(started, [3, 2]);
        assert_eq!(plan.start[0].1, Slot(40_960));
        assert_eq!(plan.start[0].2, "it holds 40 GiB, more than 16 GiB");
        assert!(
            plan.waiting.is_empty(),
            "neither the meta shard nor one without a place: {plan:?}"
        );
        let never = Wanted { bytes_max: None, ..wanted() };
        assert_eq!(splits(&state, &health(), &sizes, never), Splits::default());
    }

    #[test]
    fn splits_of_shards_without_a_majority_keep_no_other_away() {
        let mut state = state(3, 3, 6);
        let mut lost = health();
        for parent in [1, 2].map(ShardId) {
            let at = state.may_split(parent, None).unwrap();
            let child = ShardId(10 + parent.0);
            let replicas = (0..3).map(|replica| ReplicaId(child.0 * 100 + replica)).collect();
            let new = NewSplit { parent, at, child, replicas, unix_ms: 0 };
            state.begin_split(new, state.version + 1).unwrap();
            let gone = [1, 2].map(|node| state.replica_on(parent, NodeId(node)).unwrap());
            lost.lost.extend(gone.map(|replica| (parent, replica)));
        }
        let sizes = sizes(&[(3, 20), (4, 21), (5, 22)]);
        let plan = splits(&state, &health(), &sizes, wanted());
        assert_eq!((plan.start.len(), plan.waiting.len()), (0, 3), "{plan:?}");
        let plan = splits(&state, &lost, &sizes, wanted());
        assert_eq!((plan.start.len(), plan.waiting.len()), (SPLITS_MAX, 1), "{plan:?}");
    }

    #[test]
    fn only_a_few_are_split_at_once() {
        let mut state = state(3, 3, 6);
        let sizes = sizes(&[(1, 20), (2, 21), (3, 22), (4, 23)]);
        let plan = splits(&state, &health(), &sizes, wanted());
        assert_eq!(plan.start.len(), SPLITS_MAX);
        let waits = plan.waiting.values().next().unwrap();
        assert!(waits.contains("2 splits are under way"), "{waits}");
        for (number, (parent, at, _)) in plan.start.into_iter().enumerate() {
            let child = ShardId(10 + number as u64);
            let replicas = (0..3).map(|replica| ReplicaId(child.0 * 100 + replica)).collect();
            let new = NewSplit { parent, at, child, replicas, unix_ms: 0 };
            state.begin_split(new, 2).unwrap();
        }
        let plan = splits(&state, &health(), &sizes, wanted());
        assert_eq!((plan.start.len(), plan.waiting.len()), (0, 2));
    }

    #[test]
    fn a_shard_rests_after_a_split_until_its_space_is_back() {
        let mut state = state(3, 3, 2);
        let replicas = [70, 71, 72].map(ReplicaId).to_vec();
        let (parent, child) = (ShardId(1), ShardId(3));
        let new = NewSplit { parent, at: Slot(9), child, replicas, unix_ms: 0 };
        state.begin_split(new, 2).unwrap();
        state.finish_split(parent, wanted().unix_ms).unwrap();
        let large = sizes(&[(1, 30), (3, 30)]);
        let plan = splits(&state, &health(), &large, wanted());
        assert_eq!((plan.start.len(), plan.waiting.len()), (0, 2));
        assert!(plan.waiting[&child].contains("give back the space"), "{plan:?}");
        let rested = wanted().unix_ms + u64::try_from(SPLIT_REST.as_millis()).unwrap();
        let later = Wanted { unix_ms: rested, ..wanted() };
        assert_eq!(splits(&state, &health(), &large, later).start.len(), 2);
        let foreign = ShardSize { bytes: 30 * GIB, has_foreign: true };
        let removing = BTreeMap::from([(parent, foreign)]);
        let plan = splits(&state, &health(), &removing, later);
        assert!(plan.waiting[&parent].contains("still being removed"), "{plan:?}");
    }

    #[test]
    fn a_shard_without_all_its_replicas_or_with_a_job_waits() {
        let mut state = state(3, 4, 2);
        let large = sizes(&[(1, 30)]);
        let two = Health { alive: [1, 2].map(NodeId).into(), ..Health::default() };
        let plan = splits(&state, &two, &large, wanted());
        assert!(plan.waiting[&ShardId(1)].contains("on node 3 is away"), "{plan:?}");
        let old = state.replica_on(ShardId(1), NodeId(2)).unwrap();
        state.jobs.insert(ShardId(1), job((77, 4), Some(old.0)));
        let plan = splits(&state, &health(), &large, wanted());
        assert!(plan.waiting[&ShardId(1)].contains("is being replaced"), "{plan:?}");
    }

    /// A shard that has been busy for long, with a cut and a hottest slot.
    fn busy(cpu: u32, cut: (u16, u32), hottest: u32) -> ShardLoad {
        let hottest =
            HotSlot { slot: Slot(9000), permille: hottest, table: TableId(1007), by_writes: true };
        ShardLoad {
            cpu: cpu + 20,
            cpu_least: cpu,
            samples: 300,
            hottest: Some(hottest),
            cut: Some(Cut { at: Slot(cut.0), below: cut.1 }),
            ..ShardLoad::default()
        }
    }

    fn by_load(state: &ClusterState, sizes: &[(u64, u64)], loads: &[(u64, ShardLoad)]) -> Splits {
        let sizes = self::sizes(sizes);
        let loads = loads.iter().map(|(shard, load)| (ShardId(*shard), *load)).collect();
        let seen = Seen { sizes: &sizes, loads: &loads };
        splits_by_load(state, &health(), seen, wanted(), Some(500))
    }

    #[test]
    fn a_busy_shard_is_cut_in_the_middle_of_its_load() {
        let state = state(3, 3, 4);
        // Shard 1 owns slots 0 to 16383.
        let plan = by_load(
            &state,
            &[],
            &[(1, busy(700, (5000, 480), 40)), (2, busy(500, (20_000, 500), 40))],
        );
        let why = "its requests took 72 % of a core, for 60 s never less than 50 %";
        assert_eq!(plan.start, [(ShardId(1), Slot(5000), why.to_string())]);
        assert!(plan.waiting.is_empty(), "at the limit is not above it: {plan:?}");
        let loads = BTreeMap::from([(ShardId(1), busy(700, (5000, 480), 40))]);
        let sizes = BTreeMap::new();
        let seen = Seen { sizes: &sizes, loads: &loads };
        assert_eq!(splits_by_load(&state, &health(), seen, wanted(), None), Splits::default());
    }

    #[test]
    fn a_shard_with_one_hot_slot_is_not_split_and_says_why() {
        let state = state(3, 3, 4);
        let plan = by_load(&state, &[], &[(1, busy(900, (5000, 120), 830))]);
        assert_eq!(plan.start, []);
        assert_eq!(
            plan.waiting[&ShardId(1)],
            "too busy (CPU 92 %), but 83 % of its load is on slot 9000, which cannot be divided, most of that on table \
             1007; see SHOW HOT SHARDS"
        );
        let unknown = ShardLoad { samples: 3, ..busy(900, (5000, 480), 40) };
        let plan = by_load(&state, &[], &[(1, unknown)]);
        assert!(plan.waiting[&ShardId(1)].contains("too few samples"), "{plan:?}");
        // Another shard's slot: what the leader told is older than its last split.
        let plan = by_load(&state, &[], &[(1, busy(900, (40_000, 480), 40))]);
        assert!(plan.waiting[&ShardId(1)].contains("not at 40000"), "{plan:?}");
    }

    #[test]
    fn a_large_shard_is_cut_in_the_middle_of_its_data_and_comes_first() {
        let state = state(3, 3, 4);
        let data = |below| {
            let data_cut = Some(Cut { at: Slot(3000), below });
            ShardLoad { data_cut, ..busy(700, (5000, 480), 40) }
        };
        let plan = by_load(&state, &[(1, 20)], &[(1, data(520))]);
        let why = "it holds 20 GiB, more than 16 GiB".to_string();
        assert_eq!(plan.start, [(ShardId(1), Slot(3000), why)]);
        let plan = by_load(&state, &[(1, 20)], &[(1, data(100))]);
        assert_eq!(plan.start, []);
        assert!(plan.waiting[&ShardId(1)].contains("leaves 10 % on one side"), "{plan:?}");
        let loads = [(1, busy(700, (5000, 480), 40)), (2, busy(800, (20_000, 480), 40))];
        let plan = by_load(&state, &[(3, 20)], &loads);
        let started: Vec<u64> = plan.start.iter().map(|(shard, ..)| shard.0).collect();
        assert_eq!(started, [3, 2]);
        assert_eq!(
            plan.waiting[&ShardId(1)],
            "too busy, waits for its turn: 2 splits are under way"
        );
    }

    #[test]
    fn a_busy_shard_rests_for_a_shorter_time_than_a_large_one() {
        let mut state = state(3, 3, 2);
        let replicas = [70, 71, 72].map(ReplicaId).to_vec();
        let parent = ShardId(1);
        let new = NewSplit { parent, at: Slot(9), child: ShardId(3), replicas, unix_ms: 0 };
        state.begin_split(new, 2).unwrap();
        state.finish_split(parent, wanted().unix_ms).unwrap();
        let hot = [(3, busy(900, (5000, 480), 40))];
        let plan = by_load(&state, &[], &hot);
        assert!(plan.waiting[&ShardId(3)].contains("measured anew"), "{plan:?}");
        let loads = BTreeMap::from(hot.map(|(shard, load)| (ShardId(shard), load)));
        let rest_ms = u64::try_from(SPLIT_LOAD_REST.as_millis()).unwrap();
        let later = Wanted { unix_ms: wanted().unix_ms + rest_ms, ..wanted() };
        let sizes = BTreeMap::new();
        let seen = Seen { sizes: &sizes, loads: &loads };
        let plan = splits_by_load(&state, &health(), seen, later, Some(500));
        assert_eq!(plan.start.len(), 1, "{plan:?}");
        let foreign = ShardSize { bytes: GIB, has_foreign: true };
        let sizes = BTreeMap::from([(ShardId(3), foreign)]);
        let seen = Seen { sizes: &sizes, loads: &loads };
        let plan = splits_by_load(&state, &health(), seen, later, Some(500));
        assert!(plan.waiting[&ShardId(3)].contains("still being removed"), "{plan:?}");
    }

    #[test]
    fn sizes_are_written_in_tenths() {
        assert_eq!(
            [gib(16 * GIB), gib(21 * GIB + GIB / 2), gib(GIB / 4)],
            ["16 GiB", "21.5 GiB", "0.2 GiB"]
        );
    }
}
