//! How busy a shard is and where: samples in, its hottest slot, the best cut, and a verdict out.
//!
//! ```text
//! load by slot   ▂▁▃▂▂▁▂▃▂▁▂▂▃▁▂▂   cut in the middle of the load: 49 % below, 51 % above   ─> a split helps
//!                ▁▁▁▁▁█▁▁▁▁▁▁▁▁▁▁   best cut: 12 % below, 88 % above                        ─> one slot is hot
//! ```
//!
//! Samples come by kind (reads of keys, reads of ranges, writes), each kind with the time that its requests take; a sample
//! bears its part of its kind's time. So a slot that takes few, but expensive writes is told from one that is read a lot.
//!
//! Invariants:
//! 1. A cut leaves something on both sides: it lies between two slots that were sampled.
//! 2. When the best cut gives a half less than a quarter, one slot bears at least half of the load.
//!
//! Not here: who counts (`txn::load`), who asks when (`split`, `rebalance`).

use base::limits::{
    LOAD_SAMPLES_KIND_MIN, LOAD_SAMPLES_MIN, LOAD_SCAN_ROWS, SPLIT_HALF_PERMILLE_MIN,
};
use base::{Slot, SlotRange, TableId};
use std::collections::BTreeMap;

/// What a shard's leader says of its load. Rates are per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardLoad {
    /// Requests that read keys, and pages of ranges.
    pub reads: u64,
    /// Pages of ranges among them.
    pub scans: u64,
    /// Rows of those pages.
    pub rows_scanned: u64,
    /// Keys that were asked for.
    pub keys_read: u64,
    /// Requests that begin to change something.
    pub writes: u64,
    /// Keys and values of those, bytes.
    pub bytes_written: u64,
    /// CPU that requests take, thousandths of a core.
    pub cpu: u32,
    /// What of it reads ranges.
    pub scan_cpu: u32,
    /// What of it evaluates writes.
    pub write_cpu: u32,
    /// The least of `cpu` in any step for as long as a shard must be busy to be split; 0 while it is not known for so long.
    pub cpu_least: u32,
    /// Samples of its load that there are.
    pub samples: u32,
    /// The slot that bears most.
    pub hottest: Option<HotSlot>,
    /// The table that bears most, and its part in thousandths.
    pub table: Option<(TableId, u32)>,
    /// Where the load is best cut in two.
    pub cut: Option<Cut>,
    /// Where the data is best cut in two.
    pub data_cut: Option<Cut>,
}

/// A slot that bears more of a shard's load than any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotSlot {
    /// The slot.
    pub slot: Slot,
    /// Its part of the shard's load, thousandths.
    pub permille: u32,
    /// The table that bears most of that.
    pub table: TableId,
    /// Whether most of it are writes.
    pub by_writes: bool,
}

/// A place to divide a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// First slot of the upper half.
    pub at: Slot,
    /// What lies below it, thousandths.
    pub below: u32,
}

impl Cut {
    /// The part of the smaller half, thousandths.
    pub fn smaller(self) -> u32 {
        self.below.min(1000 - self.below.min(1000))
    }

    /// Whether both halves get enough.
    pub fn gains(self) -> bool {
        self.smaller() > SPLIT_HALF_PERMILLE_MIN
    }
}

/// What can be done about a shard's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too few samples to say where it is.
    Unknown,
    /// One slot bears so much that no cut helps.
    OneSlot(HotSlot),
    /// It is even enough over its slots; most of it reads long ranges.
    Scans(Cut),
    /// It is even enough over its slots.
    Even(Cut),
}

impl ShardLoad {
    /// What can be done about it.
    pub fn verdict(&self) -> Verdict {
        if (self.samples as usize) < LOAD_SAMPLES_MIN {
            return Verdict::Unknown;
        }
        match (self.cut.filter(|cut| cut.gains()), self.hottest) {
            (Some(cut), _) if self.is_hot_by_scans() => Verdict::Scans(cut),
            (Some(cut), _) => Verdict::Even(cut),
            (None, Some(hottest)) => Verdict::OneSlot(hottest),
            (None, None) => Verdict::Unknown,
        }
    }

    /// Whether most of its CPU reads ranges, and long ones.
    fn is_hot_by_scans(&self) -> bool {
        self.scan_cpu * 2 > self.cpu
            && self.rows_scanned >= self.scans.max(1).saturating_mul(LOAD_SCAN_ROWS)
    }
}

/// A key that was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its slot.
    pub slot: Slot,
    /// Its table.
    pub table: TableId,
    /// How many keys of its kind it stands for, compared with the others.
    pub weight: u64,
}

/// One kind of a shard's load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindLoad {
    /// Time that its requests take, in whatever unit, the same for all kinds.
    pub busy: u64,
    /// Whether it writes.
    pub writes: bool,
    /// Some of its keys.
    pub samples: Vec<Sample>,
}

/// Where a shard's load is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Samples that tell of it.
    pub samples: u32,
    /// The slot that bears most.
    pub hottest: Option<HotSlot>,
    /// The table that bears most, and its part in thousandths.
    pub table: Option<(TableId, u32)>,
    /// Where it is best cut in two.
    pub cut: Option<Cut>,
}

/// Load that was found in one place.
#[derive(Clone, Copy, Default)]
struct Found {
    all: u128,
    writes: u128,
}

/// Where the load of a shard that owns these slots is. Samples of other slots are from before it was split.
pub fn spread(slots: SlotRange, kinds: &[KindLoad]) -> Spread {
    let mut by_place: BTreeMap<(Slot, TableId), Found> = BTreeMap::new();
    let mut samples = 0;
    for kind in kinds {
        let own = || kind.samples.iter().filter(|sample| slots.contains(sample.slot));
        let count = own().count();
        if count < LOAD_SAMPLES_KIND_MIN {
            continue;
        }
        samples += count;
        let total: u128 = own().map(|sample| u128::from(sample.weight)).sum();
        // Where no time is measured every kind counts the same.
        let busy = u128::from(kind.busy.max(1)) << 32;
        for sample in own() {
            let part = busy * u128::from(sample.weight) / total.max(1);
            let found = by_place.entry((sample.slot, sample.table)).or_default();
            found.all += part;
            found.writes += if kind.writes { part } else { 0 };
        }
    }
    let mut by_slot: BTreeMap<Slot, Found> = BTreeMap::new();
    let mut by_table: BTreeMap<TableId, u128> = BTreeMap::new();
    for ((slot, table), found) in &by_place {
        let known = by_slot.entry(*slot).or_default();
        known.all += found.all;
        known.writes += found.writes;
        *by_table.entry(*table).or_default() += found.all;
    }
    let total: u128 = by_table.values().sum();
    let hottest = by_slot.iter().max_by_key(|(slot, found)| (found.all, std::cmp::Reverse(**slot)));
    let hottest = hottest.and_then(|(slot, found)| {
        let of_slot = by_place.range((*slot, TableId(0))..=(*slot, TableId(u32::MAX)));
        let ((_, table), _) = of_slot.max_by_key(|(_, found)| found.all)?;
        Some(HotSlot {
            slot: *slot,
            permille: permille(found.all, total),
            table: *table,
            by_writes: found.writes * 2 > found.all,
        })
    });
    let table = by_table.iter().max_by_key(|(table, all)| (**all, std::cmp::Reverse(**table)));
    let weights: Vec<(Slot, u128)> =
        by_slot.iter().map(|(slot, found)| (*slot, found.all)).collect();
    Spread {
        samples: samples as u32,
        hottest,
        table: table.map(|(table, all)| (*table, permille(*all, total))),
        cut: best_cut(&weights),
    }
}

/// Where the data of a shard that owns these slots is best cut in two, by samples of it; `None` when there are too few.
pub fn data_cut(slots: SlotRange, samples: &[(Slot, u64)]) -> Option<Cut> {
    let own = || samples.iter().filter(|(slot, _)| slots.contains(*slot));
    if own().count() < LOAD_SAMPLES_MIN {
        return None;
    }
    let mut by_slot: BTreeMap<Slot, u128> = BTreeMap::new();
    for (slot, weight) in own() {
        *by_slot.entry(*slot).or_default() += u128::from(*weight);
    }
    let weights: Vec<(Slot, u128)> = by_slot.into_iter().collect();
    // All of it in one slot: nothing lies on one side, wherever it is cut.
    let alone = || weights.first().map(|(slot, _)| Cut { at: *slot, below: 0 });
    best_cut(&weights).or_else(alone)
}

/// The cut between two of these slots, in their order, that comes nearest to the middle of their weights.
fn best_cut(weights: &[(Slot, u128)]) -> Option<Cut> {
    let total: u128 = weights.iter().map(|(_, weight)| weight).sum();
    let mut below: u128 = 0;
    let cuts = weights.windows(2).map(|pair| {
        below += pair[0].1;
        // Between the two, so that slots which were not sampled are shared as well.
        let (low, high) = (pair[0].0.0, pair[1].0.0);
        let at = Slot(low + (high - low).div_ceil(2));
        ((below * 2).abs_diff(total), Cut { at, below: permille(below, total) })
    });
    cuts.min_by_key(|(off, cut)| (*off, cut.at)).map(|(_, cut)| cut)
}

/// A part of a whole in thousandths.
fn permille(part: u128, whole: u128) -> u32 {
    u32::try_from(part * 1000 / whole.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: TableId = TableId(1000);
    const CARS: TableId = TableId(1001);

    fn samples(of: &[(u16, TableId, usize)]) -> Vec<Sample> {
        let some = |(slot, table, count): &(u16, TableId, usize)| {
            vec![Sample { slot: Slot(*slot), table: *table, weight: 1 }; *count]
        };
        of.iter().flat_map(some).collect()
    }

    fn reads(of: &[(u16, TableId, usize)]) -> KindLoad {
        KindLoad { busy: 100, writes: false, samples: samples(of) }
    }

    /// A load whose verdict follows from where it is.
    fn load(spread: Spread) -> ShardLoad {
        let Spread { samples, hottest, table, cut } = spread;
        ShardLoad { cpu: 600, samples, hottest, table, cut, ..ShardLoad::default() }
    }

    #[test]
    fn an_even_load_is_cut_in_its_middle() {
        let even: Vec<(u16, TableId, usize)> = (0..100).map(|at| (at * 10, CASES, 2)).collect();
        let found = spread(SlotRange::ALL, &[reads(&even)]);
        assert_eq!(found.cut, Some(Cut { at: Slot(495), below: 500 }));
        assert_eq!((found.samples, found.table), (200, Some((CASES, 1000))));
        assert_eq!(load(found).verdict(), Verdict::Even(found.cut.unwrap()));
        let scans = ShardLoad { scan_cpu: 400, scans: 3, rows_scanned: 900, ..load(found) };
        assert_eq!(scans.verdict(), Verdict::Scans(found.cut.unwrap()));
        let short = ShardLoad { rows_scanned: 20, ..scans };
        assert_eq!(short.verdict(), Verdict::Even(found.cut.unwrap()), "lookups by an index");
    }

    #[test]
    fn one_hot_slot_cannot_be_cut() {
        let hot = [(5, CASES, 20), (40, CARS, 15), (40, CASES, 60), (90, CASES, 5)];
        let found = spread(SlotRange::ALL, &[reads(&hot)]);
        let hottest = HotSlot { slot: Slot(40), permille: 750, table: CASES, by_writes: false };
        assert_eq!(found.hottest, Some(hottest));
        assert_eq!(found.cut, Some(Cut { at: Slot(23), below: 200 }));
        assert_eq!(load(found).verdict(), Verdict::OneSlot(hottest));
        let alone = spread(SlotRange::ALL, &[reads(&[(40, CASES, 80)])]);
        assert_eq!(alone.cut, None);
        assert!(matches!(load(alone).verdict(), Verdict::OneSlot(slot) if slot.permille == 1000));
    }

    #[test]
    fn a_kind_bears_its_time_and_not_its_number() {
        // A few expensive writes in one slot beside many cheap reads of others.
        let even: Vec<(u16, TableId, usize)> = (0..64).map(|at| (at, CARS, 4)).collect();
        let writes = KindLoad { busy: 900, writes: true, samples: samples(&[(7, CASES, 20)]) };
        let found = spread(SlotRange::ALL, &[reads(&even), writes.clone()]);
        let hottest = found.hottest.unwrap();
        assert_eq!((hottest.slot, hottest.table, hottest.by_writes), (Slot(7), CASES, true));
        assert!((895..=905).contains(&hottest.permille), "{hottest:?}");
        // As few as tell nothing are left out.
        let rare = KindLoad { samples: samples(&[(7, CASES, 3)]), ..writes };
        assert_eq!(spread(SlotRange::ALL, &[reads(&even), rare]).table, Some((CARS, 1000)));
    }

    #[test]
    fn too_few_samples_and_those_of_other_slots_say_nothing() {
        assert_eq!(spread(SlotRange::ALL, &[]), Spread::default());
        let few = spread(SlotRange::ALL, &[reads(&[(1, CASES, 20), (2, CASES, 20)])]);
        assert_eq!(load(few).verdict(), Verdict::Unknown);
        let own = SlotRange { start: 0, end: 100 };
        let mixed = reads(&[(10, CASES, 40), (20, CASES, 40), (500, CASES, 800)]);
        let found = spread(own, &[mixed]);
        assert_eq!((found.samples, found.cut), (80, Some(Cut { at: Slot(15), below: 500 })));
    }

    #[test]
    fn the_data_is_cut_in_its_middle_when_enough_of_it_is_known() {
        let even: Vec<(Slot, u64)> = (0..100).map(|slot| (Slot(slot), 3)).collect();
        let cut = data_cut(SlotRange::ALL, &even);
        assert_eq!(cut, Some(Cut { at: Slot(50), below: 500 }));
        assert_eq!(data_cut(SlotRange { start: 0, end: 50 }, &even), None);
        let heap: Vec<(Slot, u64)> = (0..100).map(|_| (Slot(9), 3)).collect();
        assert!(!data_cut(SlotRange::ALL, &heap).unwrap().gains());
        assert_eq!(
            [0, 250, 251, 749, 750, 1000].map(|below| Cut { at: Slot(1), below }.gains()),
            [false, false, true, true, false, false]
        );
    }
}
