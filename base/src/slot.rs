//! Slots: the hash buckets between a sharding key and a shard.

use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Number of slots in a cluster. Fixed for ever: it is part of the disk format.
pub const SLOT_COUNT: u32 = 65_536;

/// A hash bucket of the sharding key. Rows with equal sharding keys share a slot, in every table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot of a sharding key in memory-comparable form (collation weights for strings).
    ///
    /// The top 16 bits of xxh3-64 (<https://github.com/Cyan4973/xxHash>, seed 0).
    pub fn of(sharding_key: &[u8]) -> Slot {
        Slot((xxh3_64(sharding_key) >> 48) as u16)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Slots `start..end`, half-open. `end` may be [`SLOT_COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotRange {
    /// First slot inside.
    pub start: u32,
    /// First slot outside.
    pub end: u32,
}

impl SlotRange {
    /// Every slot.
    pub const ALL: SlotRange = SlotRange { start: 0, end: SLOT_COUNT };

    /// Whether the slot lies inside.
    pub fn contains(&self, slot: Slot) -> bool {
        (self.start..self.end).contains(&u32::from(slot.0))
    }

    /// Cuts all slots into `count` ranges whose sizes differ by at most one.
    ///
    /// # Panics
    /// When `count` is zero or above [`SLOT_COUNT`].
    pub fn even(count: u32) -> Vec<SlotRange> {
        assert!((1..=SLOT_COUNT).contains(&count), "{count} slot ranges");
        let cut = |i: u32| (u64::from(i) * u64::from(SLOT_COUNT) / u64::from(count)) as u32;
        (0..count).map(|i| SlotRange { start: cut(i), end: cut(i + 1) }).collect()
    }
}

impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// Some slots: those that a statement looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotFilter(Arc<[SlotRange]>);

impl SlotFilter {
    /// The slots of some ranges.
    pub fn new(ranges: impl Into<Arc<[SlotRange]>>) -> SlotFilter {
        SlotFilter(ranges.into())
    }

    /// Their ranges, in no order.
    pub fn ranges(&self) -> &[SlotRange] {
        &self.0
    }

    /// Whether a slot is among them.
    pub fn contains(&self, slot: Slot) -> bool {
        self.0.iter().any(|range| range.contains(slot))
    }

    /// Whether a range has any of them.
    pub fn meets(&self, range: SlotRange) -> bool {
        self.0.iter().any(|own| own.start < range.end && range.start < own.end)
    }

    /// The slots that are also in another filter.
    #[must_use]
    pub fn within(&self, other: &SlotFilter) -> SlotFilter {
        let common = self.0.iter().flat_map(|a| {
            let pairs = other
                .0
                .iter()
                .map(|b| SlotRange { start: a.start.max(b.start), end: a.end.min(b.end) });
            pairs.filter(|range| range.start < range.end)
        });
        SlotFilter(common.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_have_in_common_what_both_let_pass() {
        let of = |ranges: &[(u32, u32)]| {
            let ranges = ranges.iter().map(|(start, end)| SlotRange { start: *start, end: *end });
            SlotFilter::new(ranges.collect::<Vec<_>>())
        };
        let common = of(&[(0, 100), (200, 300)]).within(&of(&[(50, 250)]));
        assert_eq!(common, of(&[(50, 100), (200, 250)]));
        assert!(!common.contains(Slot(49)) && common.contains(Slot(50)));
        assert!(!common.contains(Slot(100)) && common.contains(Slot(249)));
        assert!(!common.meets(SlotRange { start: 100, end: 200 }));
        assert!(common.meets(SlotRange { start: 100, end: 201 }));
        assert!(!of(&[(0, 10)]).within(&of(&[(10, 20)])).meets(SlotRange::ALL));
    }

    #[test]
    fn even_ranges_cover_all_slots_once() {
        for count in [1, 3, 8, 1000] {
            let ranges = SlotRange::even(count);
            assert_eq!(ranges.len() as u32, count);
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges[ranges.len() - 1].end, SLOT_COUNT);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn slot_of_a_key_never_changes() {
        // Part of the disk format: a change here would lose every row.
        assert_eq!(Slot::of(b""), Slot((0x2d06_8005_38d3_94c2_u64 >> 48) as u16));
    }
}
