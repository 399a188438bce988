//! What a replica weighs when nodes are evened out.
//!
//! ```text
//! shards alike         1  1  1  1                     nodes have equally many
//! shards of any size   ▏█████  ▏██  ▏▏█████████       bytes, in steps, and beside them a little for each (▏)
//! ```
//!
//! Everything is measured by the shards' own mean, so a cluster of some megabytes is evened out as one of terabytes is. Only
//! shards that differ by less than `REBALANCE_APART_BYTES_MIN` are always alike. The meta shard plays no part in that, and weighs
//! no more than others do on average: an empty cluster is not uneven for it.

use base::ShardId;
use base::limits::{
    REBALANCE_APART_BYTES_MIN, REBALANCE_APART_PARTS, REBALANCE_REPLICA_BYTES_MAX,
    REBALANCE_REPLICA_PARTS, REBALANCE_STEP_BYTES_MAX, REBALANCE_STEP_BYTES_MIN,
    REBALANCE_STEP_PARTS, REBALANCE_STORED_BYTES_MIN,
};
use std::collections::BTreeMap;

/// By what replicas are weighed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Bytes of a data shard on average.
    pub mean: u64,
    /// Whether replicas differ in weight.
    pub by_weight: bool,
    /// What a replica weighs beside its bytes.
    replica: u64,
    /// Bytes count in steps of so many.
    step: u64,
}

impl Scale {
    /// From the sizes of data shards, as far as they are known.
    pub fn of(sizes: &[u64]) -> Scale {
        let mean = sizes.iter().sum::<u64>() / (sizes.len() as u64).max(1);
        let least = sizes.iter().min().copied().unwrap_or_default();
        let most = sizes.iter().max().copied().unwrap_or_default();
        let apart = REBALANCE_APART_BYTES_MIN.max(mean / REBALANCE_APART_PARTS);
        let step = mean / REBALANCE_STEP_PARTS;
        let replica = mean / REBALANCE_REPLICA_PARTS;
        Scale {
            mean,
            by_weight: most - least > apart,
            replica: replica.clamp(REBALANCE_STEP_BYTES_MIN, REBALANCE_REPLICA_BYTES_MAX),
            step: step.clamp(REBALANCE_STEP_BYTES_MIN, REBALANCE_STEP_BYTES_MAX),
        }
    }

    /// What a replica of a shard weighs that has so many bytes.
    pub fn weight(&self, shard: ShardId, bytes: u64) -> u64 {
        let bytes = if shard == ShardId::META { bytes.min(self.mean) } else { bytes };
        match self.by_weight {
            true => self.replica + (bytes + self.step / 2) / self.step * self.step,
            false => 1,
        }
    }
}

/// What shards weigh by: where they are large on average, what they take on disk; else the bytes of their rows, of which
/// memtables and files that are not compacted yet make no difference.
pub fn bytes_of(
    stored: BTreeMap<ShardId, u64>,
    rows: BTreeMap<ShardId, u64>,
) -> BTreeMap<ShardId, u64> {
    let of_data = || stored.iter().filter(|(shard, _)| **shard != ShardId::META);
    let mean = of_data().map(|(_, bytes)| *bytes).sum::<u64>() / of_data().count().max(1) as u64;
    if mean >= REBALANCE_STORED_BYTES_MIN { stored } else { rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_group_costs_little_beside_bytes_however_small_shards_are() {
        for unit in [4 * MIB, 64 * MIB, 1024 * MIB] {
            let scale = Scale::of(&[unit, 2 * unit, 9 * unit]);
            assert!(scale.by_weight);
            let (small, large) =
                (scale.weight(ShardId(1), unit), scale.weight(ShardId(3), 9 * unit));
            assert!(small < unit * 5 / 4 && large > 9 * unit, "{small} and {large} of {unit}");
            let meta = |bytes| scale.weight(ShardId::META, bytes);
            assert!(meta(0) < small && meta(90 * unit) == scale.weight(ShardId(2), 4 * unit));
        }
        let huge = Scale::of(&[1 << 40, 3 << 40]);
        assert_eq!(huge.weight(ShardId(1), 1 << 40), (1 << 40) + REBALANCE_REPLICA_BYTES_MAX);
    }

    #[test]
    fn shards_that_hardly_differ_weigh_the_same() {
        for sizes in [vec![], vec![0, MIB], vec![100 * MIB, 106 * MIB], vec![9 << 40]] {
            let scale = Scale::of(&sizes);
            assert!(!scale.by_weight, "{sizes:?}");
            assert_eq!(scale.weight(ShardId(1), 70 * MIB), 1);
        }
        assert!(Scale::of(&[0, MIB + 1]).by_weight && Scale::of(&[100 * MIB, 110 * MIB]).by_weight);
    }

    #[test]
    fn small_shards_count_by_their_rows_and_large_ones_by_what_they_take() {
        let of = |bytes: [u64; 3]| (0..).map(ShardId).zip(bytes).collect::<BTreeMap<_, _>>();
        let rows = of([7, 8, 9]);
        let small = of([9000 * MIB, 2 * MIB, 300 * MIB]);
        assert_eq!(bytes_of(small, rows.clone()), rows, "the meta shard does not count");
        let large = of([0, 100 * MIB, 500 * MIB]);
        assert_eq!(bytes_of(large.clone(), rows.clone()), large);
        assert_eq!(bytes_of(BTreeMap::new(), rows.clone()), rows);
    }
}
