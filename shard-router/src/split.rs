//! Which shards should become two: their sizes in, a decision with a sentence for each out.
//!
//! A shard is split in the middle of its slots when it holds more than the limit. Keys are spread over slots by a hash, so
//! the halves of a shard of many sharding keys are alike.
//!
//! ```text
//! s3: 21 GiB, limit 16  ─> split at slot 4096: it holds 21.0 GiB, more than 16 GiB
//! s4: 30 GiB, limit 16  ─> waits: rows that it gave away at its last split are still being removed
//! s5:  9 GiB            ─> –
//! ```
//!
//! Invariants:
//! 1. At most `SPLITS_MAX` splits are under way because of this plan.
//! 2. A split must gain: a shard is not divided again before the rows of its last split are gone and storage has had time to
//!    give their space back. Otherwise the same bytes would be counted on both sides and divided for nothing.
//! 3. The largest come first.
//!
//! Not here: how a split is carried out (`split_job`).

use crate::cluster::{ClusterState, NodeState};
use crate::repair::Health;
use base::limits::{SPLIT_REST, SPLITS_MAX};
use base::{ShardId, Slot};
use std::collections::BTreeMap;

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

/// What to do with the shards that are too large.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splits {
    /// To split now: the shard, the child's first slot, and why.
    pub start: Vec<(ShardId, Slot, String)>,
    /// Too large, and why they are not split now.
    pub waiting: BTreeMap<ShardId, String>,
}

/// Which shards to split now, of those whose sizes are known.
pub fn splits(
    state: &ClusterState,
    health: &Health,
    sizes: &BTreeMap<ShardId, ShardSize>,
    wanted: Wanted,
) -> Splits {
    let mut plan = Splits::default();
    let Some(bytes_max) = wanted.bytes_max else { return plan };
    let mut large: Vec<(ShardId, ShardSize)> = sizes
        .iter()
        .filter(|(shard, size)| size.bytes > bytes_max && !state.splits.contains_key(shard))
        .map(|(shard, size)| (*shard, *size))
        .collect();
    large.sort_by_key(|(shard, size)| (std::cmp::Reverse(size.bytes), *shard));
    for (shard, size) in large {
        // Sizes of shards that the map does not name yet, or of the meta shard, are nobody's business here.
        if shard == ShardId::META || state.map.shard(shard).is_none() {
            continue;
        }
        let outcome = may_gain(state, health, shard, size, wanted.unix_ms)
            .and_then(|()| state.may_split(shard, None));
        match outcome {
            Ok(_) if state.splits.len() + plan.start.len() >= SPLITS_MAX => {
                let under_way = state.splits.len() + plan.start.len();
                let why =
                    format!("too large, waits for its turn: {under_way} splits are under way");
                plan.waiting.insert(shard, why);
            }
            Ok(at) => {
                let why = format!("it holds {}, more than {}", gib(size.bytes), gib(bytes_max));
                plan.start.push((shard, at, why));
            }
            Err(why) => {
                plan.waiting.insert(shard, format!("too large ({}), but {why}", gib(size.bytes)));
            }
        }
    }
    plan
}

/// Whether splitting a shard now would help.
fn may_gain(
    state: &ClusterState,
    health: &Health,
    shard: ShardId,
    size: ShardSize,
    unix_ms: u64,
) -> Result<(), String> {
    if size.has_foreign {
        return Err("rows that it gave away at its last split are still being removed".into());
    }
    let rest_ms = u64::try_from(SPLIT_REST.as_millis()).unwrap_or(u64::MAX);
    let last = state.last_split_unix_ms(shard);
    if last != 0 && unix_ms < last.saturating_add(rest_ms) {
        return Err("storage has still to give back the space of its last split".into());
    }
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

fn gib(bytes: u64) -> String {
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
    use crate::split_job::NewSplit;
    use base::{NodeId, ReplicaId};

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

    #[test]
    fn sizes_are_written_in_tenths() {
        assert_eq!(
            [gib(16 * GIB), gib(21 * GIB + GIB / 2), gib(GIB / 4)],
            ["16 GiB", "21.5 GiB", "0.2 GiB"]
        );
    }
}
